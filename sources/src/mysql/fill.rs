//! Tables that are read in while the log is followed: which of the log's changes concern them, and when what was read may be handed over.
//! Pure: no connection, no clock.
//!
//! **By chunks**, in the order of the primary key (after DBLog and Debezium's incremental snapshots). Before a chunk is read the server
//! is asked what has been committed (*low*), and again afterwards (*high*). The chunk waits in hand until the log has been read up to
//! *high*; the keys that transactions behind *low* touch are taken out of it, since the log tells their rows. What is left is as of *high*,
//! and is handed over there.
//!
//! Until the table is wholly read, the log's changes of its rows are handed over as fills too, in a form that holds whether the row has been
//! read or not: an update or delete first makes its row so. So no order of keys has to be known here, only equality, and whatever collation
//! the server sorts by, nothing is lost: the receiver has every row that the log has told of as the log left it, and each chunk only adds
//! rows that the log does not tell of.
//!
//! **A table that the receiver has** is read again where an `ALTER TABLE` has changed what its rows hold. Then the log's changes of it are
//! ordinary ones all the while, and what is read only brings rows up to date that the log does not tell of.
//!
//! **As a whole**, where there is no such key: a view of the table belongs to a place of the log. Changes before that place are passed by,
//! there the rows are handed over, and from there on the log is followed as ever. Of a table that the receiver has none is passed by.
//!
//! Invariants:
//! - FILL-1: a chunk is taken only if its *low* covers what of the log has been handed over, so no row in it is older than what the receiver
//!   has, but for those that are touched.
//! - FILL-2: a table counts as read once the log was read past what may have been visible to its last chunk.
//! - FILL-3: and none is newer than *high*, where it is handed over: by then the log has told of whatever it shows.
//!
//! Bound: one chunk, and [`TOUCHED_MAX`] keys.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use thalweg_formulas::Value;
use thalweg_graph::transaction::{Change, Op};
use thalweg_graph::{Row, Schema};

use super::extent::{Bound, Partial, Read};
use crate::binlog::{GtidState, TransactionId};

/// Keys touched while a chunk is in hand; beyond, it is dropped and read again later.
const TOUCHED_MAX: usize = 100_000;

type RowKey = Box<[Value]>;

/// How a table is read in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum By {
    /// Chunk by chunk.
    Chunks,
    /// As one view.
    View,
}

/// A part of a table.
#[derive(Debug)]
pub(crate) struct Chunk {
    /// What had been committed, and could be seen, before reading began.
    pub(crate) low: GtidState,
    /// What had been committed when reading had ended: all that its rows show.
    pub(crate) high: GtidState,
    /// Its rows, as inserts.
    pub(crate) rows: Vec<Change>,
    /// The key of the last; `None`: there is no row.
    pub(crate) bound: Option<Bound>,
    /// No row follows.
    pub(crate) is_last: bool,
}

/// What is to be done next, besides following the log.
#[derive(Debug, PartialEq)]
pub(crate) enum Want<'a> {
    /// Take back the rows that the receiver has.
    Clear,
    /// Read the rows behind a key, or the first.
    Chunk(&'a str, Option<&'a Bound>),
    /// Ask for what has been committed: there the table is whole.
    End,
    /// Open a view.
    View(&'a str),
}

/// What the log has been read far enough for.
#[derive(Debug)]
pub(crate) enum Ready {
    /// These rows, as upserts.
    Rows(Vec<Change>),
    /// The view's rows.
    View(Beside),
    /// The table is whole.
    Whole,
}

/// What the receiver has of a table whose view is handed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Beside {
    /// No row.
    Nothing,
    /// Some, which go first.
    Some,
    /// All of them, perhaps not up to date.
    All,
}

/// The changes of one transaction, parted.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Parted {
    /// Of tables that are being read in.
    pub(crate) fill: Vec<Change>,
    /// Of the others, as they came.
    pub(crate) rest: Vec<Change>,
}

/// All tables that are being read in; the first is the one that is read now.
#[derive(Debug, Default)]
pub(crate) struct Fills {
    tables: VecDeque<Fill>,
    hand: Hand,
}

#[derive(Debug)]
struct Fill {
    table: String,
    read: Read,
    by: By,
    /// The receiver has all its rows; see [`Partial::is_whole`].
    is_whole: bool,
}

#[derive(Debug, Default)]
enum Hand {
    #[default]
    Empty,
    /// A chunk, until the log has been read up to its high.
    Chunk { chunk: Box<Chunk>, touched: HashSet<RowKey> },
    /// The last chunk was handed over.
    Ended,
    /// The same, and there the table is whole.
    Ends(GtidState),
    /// A view of this place is open.
    View(GtidState),
}

impl Fills {
    pub(crate) fn new(tables: impl IntoIterator<Item = (Partial, By)>) -> Fills {
        let fill = |(Partial { table, read, is_whole }, by)| Fill { table, read, by, is_whole };
        Fills { tables: tables.into_iter().map(fill).collect(), hand: Hand::Empty }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.tables.is_empty()
    }

    /// What of the tables the receiver has.
    pub(crate) fn partials(&self) -> Vec<Partial> {
        let partial = |fill: &Fill| Partial { table: fill.table.clone(), read: fill.read.clone(), is_whole: fill.is_whole };
        self.tables.iter().map(partial).collect()
    }

    /// The table that is read now.
    pub(crate) fn table(&self) -> Option<&str> {
        self.tables.front().map(|fill| &*fill.table)
    }

    /// What is to be done now; `None`: to go on in the log.
    pub(crate) fn want(&self) -> Option<Want<'_>> {
        let fill = self.tables.front()?;
        match (&self.hand, fill.by) {
            (Hand::Empty, By::Chunks) if fill.read == Read::Stale => Some(Want::Clear),
            (Hand::Empty, By::Chunks) => Some(Want::Chunk(&fill.table, fill.bound())),
            (Hand::Empty, By::View) => Some(Want::View(&fill.table)),
            (Hand::Ended, _) => Some(Want::End),
            (Hand::Chunk { .. } | Hand::Ends(_) | Hand::View(_), _) => None,
        }
    }

    /// The rows of the table that is read now were taken back.
    pub(crate) fn cleared(&mut self) {
        if let Some(fill) = self.tables.front_mut() {
            fill.read = Read::Nothing;
        }
    }

    /// A chunk was read, as it was wanted.
    pub(crate) fn take(&mut self, chunk: Chunk) {
        self.hand = Hand::Chunk { chunk: Box::new(chunk), touched: HashSet::new() };
    }

    /// This was committed after the last chunk was handed over.
    pub(crate) fn take_end(&mut self, end: GtidState) {
        self.hand = Hand::Ends(end);
    }

    /// A view was opened that belongs to this place.
    pub(crate) fn take_view(&mut self, at: GtidState) {
        self.hand = Hand::View(at);
    }

    /// The layout of the tables may be another now; `of` gives each one's way and the labels of its order. What is in hand is read again, and
    /// from the beginning where the order is another.
    pub(crate) fn altered(&mut self, of: impl Fn(&str) -> Option<(By, Vec<String>)>) {
        self.drop_chunk();
        for fill in &mut self.tables {
            let Some((by, labels)) = of(&fill.table) else { continue };
            fill.by = by;
            let is_stale = match &fill.read {
                Read::Nothing => false,
                Read::Upto(bound) => bound.labels != labels,
                Read::Some | Read::Stale => true, // Rows of the log have the form of their time.
            };
            if is_stale {
                fill.begin_anew();
            }
        }
    }

    /// The rows of a table hold something else from this place of the log on: all that was read of it is to be read again. If it was whole,
    /// it is read from now on, and its rows are taken back before unless the receiver knows them by the `same_key`.
    pub(crate) fn rewritten(&mut self, table: &str, by: By, same_key: bool) {
        let at = self.tables.iter().position(|fill| fill.table == table);
        if at == Some(0) && !matches!(self.hand, Hand::View(_)) {
            self.hand = Hand::Empty; // A view that is open belongs to a place further on.
        }
        let at = at.unwrap_or_else(|| {
            self.tables.push_back(Fill { table: table.to_string(), read: Read::Nothing, by, is_whole: true });
            self.tables.len() - 1
        });
        let fill = &mut self.tables[at];
        if !same_key && fill.is_whole {
            (fill.is_whole, fill.read) = (false, Read::Stale);
        }
        fill.begin_anew();
    }

    /// The table that is read now is whole, or is not there any more.
    pub(crate) fn finish(&mut self) {
        self.tables.pop_front();
        self.hand = Hand::Empty;
    }

    /// What can be handed over now that the log has been read up to `done`.
    pub(crate) fn ready(&mut self, done: &GtidState) -> Option<Ready> {
        let at = match &self.hand {
            Hand::Chunk { chunk, .. } => &chunk.high,
            Hand::Ends(at) | Hand::View(at) => at,
            Hand::Empty | Hand::Ended => return None,
        };
        if !done.covers(at) {
            return None;
        }
        let fill = self.tables.front_mut()?;
        match std::mem::take(&mut self.hand) {
            Hand::Chunk { chunk, touched } => {
                let Chunk { rows, bound, is_last, .. } = *chunk;
                if let Some(bound) = bound {
                    fill.read = Read::Upto(bound);
                }
                if is_last {
                    self.hand = Hand::Ended;
                }
                let is_told = |row: &Change| row_key(&row.schema, row.after.as_ref()).is_some_and(|key| touched.contains(&key));
                let rows = rows.into_iter().filter(|row| !is_told(row)).map(|row| Change { op: Op::Upsert, ..row });
                Some(Ready::Rows(rows.collect()))
            }
            Hand::View(_) => {
                let beside = match fill.read {
                    _ if fill.is_whole => Beside::All,
                    Read::Nothing => Beside::Nothing,
                    _ => Beside::Some,
                };
                fill.read = Read::Some;
                Some(Ready::View(beside))
            }
            Hand::Ends(_) | Hand::Empty | Hand::Ended => {
                self.tables.pop_front();
                Some(Ready::Whole)
            }
        }
    }

    /// Parts the changes of a transaction that comes next in the log.
    pub(crate) fn part(&mut self, id: &TransactionId, changes: Vec<Change>) -> Parted {
        let mut parted = Parted::default();
        if self.tables.is_empty() {
            parted.rest = changes;
            return parted;
        }
        for change in changes {
            let at = self.tables.iter().position(|fill| is_of(&change, &fill.table));
            match at {
                None => parted.rest.push(change),
                Some(at) => self.part_one(at, id, change, &mut parted),
            }
        }
        parted
    }

    fn part_one(&mut self, at: usize, id: &TransactionId, change: Change, parted: &mut Parted) {
        let fill = &mut self.tables[at];
        if change.is_clear() && *change.schema.table != fill.table {
            // All tables of a database go, and those that are read in go with the others.
            self.drop_chunk();
            return parted.rest.push(change);
        }
        let is_whole = fill.is_whole;
        if fill.by == By::View && !is_whole {
            return; // It is in the view.
        }
        if change.is_clear() {
            self.drop_chunk();
            return if is_whole { parted.rest.push(change) } else { parted.fill.push(change) };
        }
        if fill.read == Read::Nothing && !is_whole {
            fill.read = Read::Some;
        }
        if at == 0 {
            self.touch(id, &change);
        }
        match is_whole {
            true => parted.rest.push(change),
            false => told(change, &mut parted.fill),
        }
    }

    /// The rows of a change are the log's to tell.
    fn touch(&mut self, id: &TransactionId, change: &Change) {
        let Hand::Chunk { chunk, touched } = &mut self.hand else { return };
        if chunk.low.has_passed(id) {
            return;
        }
        for row in [&change.before, &change.after].into_iter().flatten() {
            match row_key(&change.schema, Some(row)) {
                Some(key) if touched.len() < TOUCHED_MAX => _ = touched.insert(key),
                _ => return self.drop_chunk(),
            }
        }
    }

    /// A chunk in hand is read again.
    fn drop_chunk(&mut self) {
        if matches!(self.hand, Hand::Chunk { .. }) {
            self.hand = Hand::Empty;
        }
    }
}

impl Fill {
    /// What was read has to be read again.
    fn begin_anew(&mut self) {
        self.read = match self.read {
            Read::Nothing => Read::Nothing,
            _ if self.is_whole => Read::Nothing,
            _ => Read::Stale,
        };
    }

    fn bound(&self) -> Option<&Bound> {
        match &self.read {
            Read::Upto(bound) => Some(bound),
            Read::Nothing | Read::Some | Read::Stale => None,
        }
    }
}

/// Whether a change is of this table; a clear may be of all tables of a database.
fn is_of(change: &Change, table: &str) -> bool {
    let name = &*change.schema.table;
    match name.strip_suffix('*') {
        Some(database) if change.is_clear() => table.starts_with(database),
        _ => name == table,
    }
}

/// A change in a form that holds whether its row is there or not: what is deleted is made so first, and what is updated, deleted first.
fn told(change: Change, out: &mut Vec<Change>) {
    let Change { schema, op, before, after, .. } = change;
    let of = |op, before, after| Change { schema: schema.clone(), op, key: None, before, after };
    if matches!(op, Op::Update | Op::Delete) && before.is_some() {
        out.push(of(Op::Upsert, None, before.clone()));
        out.push(of(Op::Delete, before, None));
    }
    if op != Op::Delete {
        out.push(of(Op::Upsert, None, after));
    }
}

/// The key of a row; `None`: the row does not have all of it.
fn row_key(schema: &Arc<Schema>, row: Option<&Row>) -> Option<RowKey> {
    let row = row?;
    let key: Option<RowKey> = schema.key.iter().map(|at| row.get(*at as usize).cloned().flatten()).collect();
    key.filter(|key| !key.is_empty())
}

#[cfg(test)]
mod tests;
