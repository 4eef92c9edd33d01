//! The snapshot before and the log after it, made one: row by row, so that what is in memory follows the log and not the tables.
//!
//! A table's file holds its rows in the order of their keys. So the log is taken in rounds; of each round the keys are noted that its changes
//! may look at or write ([`Table::touches`]). The rows with these keys are read from the files and folded with the changes as ever; all other
//! rows stay what they are, and pass from file to file in the merge of both.
//!
//! Where a round only adds rows behind all others, as most of a fill does, they become a file behind the files; else the files are
//! written anew as one. The last round makes one file of them, the same bytes as if everything had been folded at once.
//!
//! Invariant STORE-9: the files of a table are in order, each and one behind the other. One that is not, since a declared type is another now
//! and with it the order, is folded in memory whole.
//!
//! Bound: [`ROUND`] changes or [`ROUND_BYTES`] and the rows that they touch. Behind a round that wrote large tables anew, an eighth of their rows,
//! so that a log which is large too does not write them too often.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hashbrown::HashSet;
use thalweg_formulas::Value;
use thalweg_graph::ports::StoreError;
use thalweg_graph::transaction::{Body, Change, Row, Transaction};

use super::columns::Kind;
use super::manifest::{Manifest, TableEntry};
use super::read;
use super::write::TableFile;
use crate::config::StoreConfig;
use crate::error::from_io;
use crate::fold::table::{Cells, Key, Table};

/// Changes that are held before they are folded, and bytes of their texts.
const ROUND: usize = 100_000;
const ROUND_BYTES: usize = 32 << 20;

/// All tables, as of the changes so far.
pub(super) struct Merge<'a> {
    /// Where files are written.
    to: &'a Path,
    config: Arc<StoreConfig>,
    tables: BTreeMap<Arc<str>, Merging>,
    /// The changes of this round, and bytes of their texts.
    changes: Vec<Change>,
    bytes: usize,
    /// Changes of a round: of this one, and at least.
    round: usize,
    least: usize,
    /// Files of rounds so far.
    runs: usize,
}

/// A table: its columns, its files, and what the round does to it.
struct Merging {
    table: Table,
    runs: Vec<Run>,
    touched: HashSet<Key>,
}

/// A file of rows, in their order.
struct Run {
    path: PathBuf,
    /// What its columns hold and its last key, once it was read or written.
    known: Option<Known>,
    /// It is of this snapshot and is removed once it is in another.
    is_own: bool,
}

/// Of the rows of a file that the round does not touch.
#[derive(Clone, Default)]
struct Known {
    kinds: Vec<Option<Kind>>,
    last: Option<Key>,
    /// There are others.
    is_touched: bool,
}

impl Known {
    /// Takes a row behind the others; `false`: it does not belong there.
    fn row(&mut self, key: &Key, cells: &Cells, is_multiset: bool) -> bool {
        if self.kinds.len() < cells.len() {
            // The rows before lack these columns.
            let before = self.last.as_ref().map(|_| Kind::Tagged);
            self.kinds.resize(cells.len(), before);
        }
        let absent = self.kinds.len().saturating_sub(cells.len());
        let all = cells.iter().map(Option::as_ref).chain(std::iter::repeat_n(None, absent));
        self.kinds.iter_mut().zip(all).for_each(|(kind, cell)| *kind = Kind::with(*kind, cell));
        let order = self.last.as_ref().map_or(Ordering::Less, |last| last.cmp(key));
        self.last = Some(key.clone());
        order == Ordering::Less || order == Ordering::Equal && is_multiset
    }

    /// What the columns of both hold.
    fn join(&mut self, other: &Known) {
        let (mine, others) = (self.last.as_ref().map(|_| Kind::Tagged), other.last.as_ref().map(|_| Kind::Tagged));
        let width = self.kinds.len().max(other.kinds.len());
        self.kinds.resize(width, mine);
        for (at, kind) in self.kinds.iter_mut().enumerate() {
            *kind = Kind::join(*kind, other.kinds.get(at).copied().unwrap_or(others));
        }
        self.last = self.last.take().max(other.last.clone());
    }
}

impl<'a> Merge<'a> {
    /// No tables yet; files are written into `to`.
    pub(super) fn new(config: Arc<StoreConfig>, to: &'a Path) -> Merge<'a> {
        let (round, least) = (ROUND, ROUND);
        Merge { to, config, tables: BTreeMap::new(), changes: Vec::new(), bytes: 0, round, least, runs: 0 }
    }

    /// Begins with the tables of a snapshot that lies in `place`.
    ///
    /// # Errors
    /// A file cannot be read.
    pub(super) fn begin(&mut self, place: &Path, manifest: &Manifest) -> Result<(), StoreError> {
        for entry in &manifest.tables {
            let path = place.join(&entry.file.file);
            let schema = read::schema(&path)?;
            let table = || Merging { table: Table::new(&schema, &self.config), runs: Vec::new(), touched: HashSet::new() };
            let merging = self.tables.entry(schema.table.clone()).or_insert_with(table);
            merging.runs.push(Run { path, known: None, is_own: false });
        }
        Ok(())
    }

    /// Takes a transaction of the log, or a part of one.
    ///
    /// # Errors
    /// A file cannot be read or written.
    pub(super) fn transaction(&mut self, transaction: Transaction) -> Result<(), StoreError> {
        let (Body::Changes(changes) | Body::Fill(changes)) = transaction.body else { return Ok(()) };
        for change in changes {
            self.bytes += [&change.before, &change.after].into_iter().flatten().map(bytes).sum::<usize>();
            self.changes.push(change);
            if self.changes.len() >= self.round || self.bytes >= ROUND_BYTES.max(self.round * 64) {
                self.fold()?;
                self.settle()?;
            }
        }
        Ok(())
    }

    /// After a round that is not the last.
    fn settle(&mut self) -> Result<(), StoreError> {
        let mut anew = 0;
        for merging in self.tables.values_mut() {
            anew += merging.settle(self.to, &mut self.runs)?;
        }
        self.round = self.least.max(anew as usize / 8);
        Ok(())
    }

    /// Folds the changes of this round with the rows that they touch.
    fn fold(&mut self) -> Result<(), StoreError> {
        for change in &self.changes {
            let name = &change.schema.table;
            if !self.tables.contains_key(name) {
                let table = Table::new(&change.schema, &self.config);
                self.tables.insert(name.clone(), Merging { table, runs: Vec::new(), touched: HashSet::new() });
            }
            let Some(Merging { table, touched, .. }) = self.tables.get_mut(name) else { continue };
            table.touches(change, touched);
        }
        self.tables.values_mut().try_for_each(Merging::load)?;
        for change in std::mem::take(&mut self.changes) {
            if let Some(merging) = self.tables.get_mut(&change.schema.table) {
                merging.table.change(change);
            }
        }
        self.bytes = 0;
        Ok(())
    }

    /// One file for each table, in the order of their names.
    ///
    /// # Errors
    /// A file cannot be read or written.
    pub(super) fn finish(mut self) -> Result<Vec<TableEntry>, StoreError> {
        self.fold()?;
        let tables = std::mem::take(&mut self.tables).into_values().enumerate();
        tables.map(|(number, merging)| merging.finish(self.to.join(format!("{number:04}.arrow")))).collect()
    }
}

/// What texts and bytes of a row take.
fn bytes(row: &Row) -> usize {
    let size = |cell: &Option<Value>| match cell {
        Some(Value::Text(text)) => text.len(),
        Some(Value::Bytes(bytes)) => bytes.len(),
        Some(Value::List(_) | Value::Map(_) | Value::Tensor(_)) => 256,
        _ => 0,
    };
    row.iter().map(size).sum()
}

impl Merging {
    /// Reads the rows that the round touches, and learns of the others what their columns hold.
    fn load(&mut self) -> Result<(), StoreError> {
        let first = self.touched.iter().min().cloned();
        let is_before = |known: &Known| first.is_none() || known.last < first;
        for at in 0..self.runs.len() {
            if self.runs[at].known.as_ref().is_some_and(is_before) {
                continue;
            }
            let Some(known) = self.load_run(at)? else { return self.load_all() };
            self.runs[at].known = Some(known);
        }
        Ok(())
    }

    /// `None`: its rows are in another order.
    fn load_run(&mut self, at: usize) -> Result<Option<Known>, StoreError> {
        let Merging { table, runs, touched } = self;
        let (mut known, mut is_sorted) = (Known::default(), true);
        read::each_row(&runs[at].path, &mut |row| {
            match table.again(row) {
                Some((key, cells)) if touched.contains(&key) => {
                    known.is_touched = true;
                    table.load(key, cells);
                }
                Some((key, cells)) => is_sorted &= known.row(&key, &cells, table.is_multiset()),
                None => {}
            }
            Ok(())
        })?;
        Ok(is_sorted.then_some(known))
    }

    /// All rows, whatever their order.
    fn load_all(&mut self) -> Result<(), StoreError> {
        self.table.take_sorted();
        for run in self.drop_runs() {
            let table = &mut self.table;
            read::each_row(&run.path, &mut |row| {
                if let Some((key, cells)) = table.again(row) {
                    table.load(key, cells);
                }
                Ok(())
            })?;
            run.remove()?;
        }
        Ok(())
    }

    fn drop_runs(&mut self) -> Vec<Run> {
        std::mem::take(&mut self.runs)
    }

    /// After a round that is not the last: its rows lie in files again. How many others were written anew with them.
    fn settle(&mut self, to: &Path, number: &mut usize) -> Result<u64, StoreError> {
        if self.touched.is_empty() {
            return Ok(0);
        }
        let path = to.join(format!("run-{number}.arrow"));
        *number += 1;
        let first = self.touched.iter().min().cloned();
        let is_passed = |known: &Known| !known.is_touched && known.last < first;
        let adds = self.runs.iter().all(|run| run.known.as_ref().is_some_and(is_passed));
        let kept = if adds { self.drop_runs() } else { Vec::new() };
        let (entry, known) = self.write(path.clone())?;
        self.drop_runs().into_iter().try_for_each(Run::remove)?;
        self.runs = kept;
        self.runs.push(Run { path, known: Some(known), is_own: true });
        self.touched = HashSet::new();
        Ok(if adds { 0 } else { entry.rows })
    }

    fn finish(mut self, path: PathBuf) -> Result<TableEntry, StoreError> {
        let (entry, _) = self.write(path)?;
        self.drop_runs().into_iter().try_for_each(Run::remove)?;
        Ok(entry)
    }

    /// Writes the rows of the files that are not touched, and the folded ones, in the order of their keys.
    fn write(&mut self, path: PathBuf) -> Result<(TableEntry, Known), StoreError> {
        let folded = self.table.take_sorted();
        let mut known = Known::default();
        for (key, cells) in &folded {
            known.row(key, cells, true);
        }
        self.runs.iter().filter_map(|run| run.known.as_ref()).for_each(|run| known.join(run));
        let schema = self.table.schema();
        let absent = known.last.as_ref().map(|_| Kind::Tagged);
        known.kinds.resize(schema.columns.len(), absent);
        let kinds = known.kinds.iter().map(|kind| kind.unwrap_or(Kind::Tagged)).collect();
        let mut file = TableFile::create(path, schema, kinds)?;
        let mut folded = folded.into_iter().peekable();
        for run in &self.runs {
            read::each_row(&run.path, &mut |row| {
                let Some((key, cells)) = self.table.again(row).filter(|(key, _)| !self.touched.contains(key)) else {
                    return Ok(());
                };
                while let Some((_, cells)) = folded.next_if(|(folded, _)| *folded < key) {
                    file.push(cells)?;
                }
                file.push(cells)
            })?;
        }
        folded.try_for_each(|(_, cells)| file.push(cells))?;
        Ok((file.finish()?, known))
    }
}

impl Run {
    fn remove(self) -> Result<(), StoreError> {
        if !self.is_own {
            return Ok(());
        }
        fs::remove_file(&self.path).map_err(|e| from_io("remove", &self.path, &e))
    }
}

#[cfg(test)]
mod tests;
