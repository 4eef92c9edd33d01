//! One table: its columns by name, its rows by key.

use std::collections::BTreeMap;
use std::sync::Arc;

use hashbrown::{HashMap, HashSet};
use thalweg_formulas::coerce::coerce;
use thalweg_formulas::{Type, Value};
use thalweg_graph::transaction::{Change, Op, Row, Schema, SchemaColumn};

use super::TableRows;
use crate::config::StoreConfig;

/// The values of the key's columns; of a multiset's row all values that tell it from others.
pub(crate) type Key = Box<[Value]>;
/// A row, as long as its last present cell at least.
pub(crate) type Cells = Vec<Option<Value>>;

/// See the module.
#[derive(Debug)]
pub(crate) struct Table {
    name: Arc<str>,
    columns: Vec<SchemaColumn>,
    /// Declared types, column by column.
    types: Vec<Type>,
    declared: BTreeMap<String, Type>,
    /// Positions of the key columns, and the types of their values. For a multiset: the columns of the first schema.
    key: Vec<usize>,
    key_types: Vec<Type>,
    rows: Rows,
    layout: Option<Layout>,
}

#[derive(Debug)]
enum Rows {
    Keyed(HashMap<Key, Cells>),
    /// Rows that have the same values, last in, first out.
    Multiset(HashMap<Key, Vec<Cells>>),
}

/// How the rows of one schema lie in the table's columns.
#[derive(Clone, Debug)]
struct Layout {
    schema: Arc<Schema>,
    /// The column of each cell; `None`: each stands where it stands.
    to: Option<Arc<[usize]>>,
}

impl Table {
    /// An empty table that is first met with `schema`.
    pub(crate) fn new(schema: &Arc<Schema>, config: &StoreConfig) -> Table {
        let declared = config.types.get(&*schema.table).cloned().unwrap_or_default();
        let names: Vec<Arc<str>> = match config.keys.get(&*schema.table) {
            Some(names) => names.iter().map(|name| name.as_str().into()).collect(),
            None => schema.key.iter().filter_map(|at| schema.columns.get(*at as usize)).map(|c| c.name.clone()).collect(),
        };
        let rows = if names.is_empty() { Rows::Multiset(HashMap::new()) } else { Rows::Keyed(HashMap::new()) };
        let mut table = Table {
            name: schema.table.clone(),
            columns: Vec::new(),
            types: Vec::new(),
            declared,
            key: Vec::new(),
            key_types: Vec::new(),
            rows,
            layout: None,
        };
        table.lay_out(schema);
        table.key = if names.is_empty() {
            (0..table.columns.len()).collect()
        } else {
            names.iter().map(|name| table.column(name)).collect()
        };
        let type_of = |at: &usize| table.declared.get(&*table.columns[*at].name).unwrap_or(&table.columns[*at].ty).clone();
        table.key_types = table.key.iter().map(type_of).collect();
        table
    }

    /// The place of a column; a new one at the end if it is not known.
    fn column(&mut self, name: &Arc<str>) -> usize {
        self.columns.iter().position(|c| c.name == *name).unwrap_or_else(|| {
            self.columns.push(SchemaColumn::new(name.clone(), Type::Dyn));
            self.types.push(self.declared.get(&**name).cloned().unwrap_or(Type::Dyn));
            self.columns.len() - 1
        })
    }

    /// Where the cells of `schema` lie; the columns that it brings are added, and its types are the newest.
    fn lay_out(&mut self, schema: &Arc<Schema>) -> Layout {
        if let Some(layout) = self.layout.as_ref().filter(|l| Arc::ptr_eq(&l.schema, schema)) {
            return layout.clone();
        }
        let mut to = Vec::with_capacity(schema.columns.len());
        for column in &schema.columns {
            let at = self.column(&column.name);
            self.columns[at].ty = column.ty.clone();
            to.push(at);
        }
        let straight = to.iter().enumerate().all(|(i, at)| i == *at);
        let layout = Layout { schema: schema.clone(), to: (!straight).then(|| to.into()) };
        self.layout = Some(layout.clone());
        layout
    }

    /// The row in the table's columns.
    fn place(&self, layout: &Layout, row: Row) -> Cells {
        let mut cells = row.into_vec();
        cells.truncate(layout.schema.columns.len());
        let Some(to) = &layout.to else { return cells };
        let mut placed = vec![None; self.columns.len()];
        cells.into_iter().zip(to.iter()).for_each(|(cell, at)| placed[*at] = cell);
        placed
    }

    /// The values in the declared types of their columns; `None` if one does not fit.
    fn typed(&self, mut cells: Cells) -> Option<Cells> {
        for (cell, ty) in cells.iter_mut().zip(&self.types).filter(|(_, ty)| **ty != Type::Dyn) {
            if let Some(value) = cell.take() {
                *cell = Some(coerce(value, ty).ok()?);
            }
        }
        Some(cells)
    }

    /// Applies a change; `None`: it was refused.
    pub(crate) fn change(&mut self, change: Change) -> Option<()> {
        let layout = self.lay_out(&change.schema);
        let whole = change.before.as_ref().is_some_and(|row| row.iter().all(Option::is_some));
        let before = change.before.map(|row| self.place(&layout, row));
        let after = change.after.map(|row| self.place(&layout, row));
        match self.rows {
            Rows::Keyed(_) => self.keyed(change.op, change.key.as_deref(), before, after),
            Rows::Multiset(_) => self.multiset(change.op, before.filter(|_| whole), after),
        }
    }

    fn keyed(&mut self, op: Op, given: Option<&[Value]>, before: Option<Cells>, after: Option<Cells>) -> Option<()> {
        let mut key = self.old_key(op, given, &before, &after)?;
        if op == Op::Delete {
            return self.keyed_rows().remove(&key).map(drop);
        }
        let after = after?;
        let mut moved_to = if op == Op::Insert { None } else { self.key_after(&key, &after)? };
        let after = self.typed(after)?;
        if op == Op::Upsert && !self.keyed_rows().contains_key(&key) {
            key = moved_to.take().unwrap_or(key); // Nothing is there to move.
        }
        let new = moved_to.as_ref().unwrap_or(&key);
        let cells: Vec<(usize, Value)> = self.key.iter().copied().zip(new.iter().cloned()).collect();
        let rows = self.keyed_rows();
        let there = rows.contains_key(&key);
        if matches!((there, op), (true, Op::Insert) | (false, Op::Update))
            || moved_to.as_ref().is_some_and(|new| rows.contains_key(new))
        {
            return None;
        }
        let row = match moved_to {
            None => rows.entry(key).or_default(),
            Some(new) => {
                let row = rows.remove(&key).unwrap_or_default();
                rows.entry(new).insert(row).into_mut()
            }
        };
        overlay(row, after);
        put_under_key(row, &cells);
        Some(())
    }

    fn keyed_rows(&mut self) -> &mut HashMap<Key, Cells> {
        match &mut self.rows {
            Rows::Keyed(rows) => rows,
            Rows::Multiset(_) => unreachable!("invariant: a table has a key from the first schema on, or never"),
        }
    }

    /// The key before the change: as given, else from the image that comes first for the operation, if that names it.
    fn old_key(&self, op: Op, given: Option<&[Value]>, before: &Option<Cells>, after: &Option<Cells>) -> Option<Key> {
        if let Some(key) = given {
            return self.key_from(key.iter().map(Some));
        }
        let (first, second) = match op {
            Op::Insert | Op::Upsert => (after, before),
            Op::Update | Op::Delete => (before, after),
        };
        let names_key = |row: &&Cells| self.key.iter().all(|at| row.get(*at).is_some_and(Option::is_some));
        let row = first.as_ref().filter(names_key).or_else(|| second.as_ref().filter(names_key))?;
        self.key_from(self.key.iter().map(|at| row.get(*at).and_then(Option::as_ref)))
    }

    /// The key after an update, where it is another; the outer `None`: it does not fit.
    fn key_after(&self, old: &Key, after: &Cells) -> Option<Option<Key>> {
        let given = |at: &usize| after.get(*at).and_then(Option::as_ref);
        if self.key.iter().zip(old).all(|(at, old)| given(at).is_none_or(|value| value == old)) {
            return Some(None);
        }
        let new = self.key_from(self.key.iter().zip(old).map(|(at, old)| Some(given(at).unwrap_or(old))))?;
        Some((new != *old).then_some(new))
    }

    /// Values as a key; `None` if one is absent, NULL or of a wrong type, or there are too many or too few.
    fn key_from<'a>(&self, values: impl Iterator<Item = Option<&'a Value>>) -> Option<Key> {
        let mut types = self.key_types.iter();
        let mut key = Vec::with_capacity(self.key.len());
        for value in values {
            let value = coerce(value?.clone(), types.next()?).ok()?;
            if value.is_null() {
                return None;
            }
            key.push(value);
        }
        (key.len() == self.key.len()).then(|| key.into())
    }

    fn multiset(&mut self, op: Op, before: Option<Cells>, after: Option<Cells>) -> Option<()> {
        match op {
            Op::Insert | Op::Upsert => {
                let after = self.typed(after?)?;
                self.add(after)
            }
            Op::Delete => self.remove(&before?).map(drop),
            Op::Update => {
                let (before, after) = (self.typed(before?)?, self.typed(after?)?);
                let mut row = before.clone();
                overlay(&mut row, after);
                self.values_of(&row)?;
                let mut stored = self.remove(&before)?;
                overlay(&mut stored, row);
                self.add(stored)
            }
        }
    }

    fn add(&mut self, row: Cells) -> Option<()> {
        let values = self.values_of(&row)?;
        let Rows::Multiset(rows) = &mut self.rows else { return None };
        rows.entry(values).or_default().push(row);
        Some(())
    }

    /// Takes out the last row with the values of `image`.
    fn remove(&mut self, image: &Cells) -> Option<Cells> {
        let values = self.values_of(image)?;
        let Rows::Multiset(rows) = &mut self.rows else { return None };
        let equal = rows.get_mut(&values)?;
        let row = equal.pop();
        if equal.is_empty() {
            rows.remove(&values);
        }
        row
    }

    /// What tells a multiset's rows apart: an absent cell counts as NULL.
    fn values_of(&self, row: &Cells) -> Option<Key> {
        let value = |at: &usize| row.get(*at).cloned().flatten().unwrap_or(Value::Null);
        self.key.iter().zip(&self.key_types).map(|(at, ty)| coerce(value(at), ty).ok()).collect()
    }

    /// Adds the keys of all rows that `change` may look at or write; it brings its columns, as the change itself will.
    pub(crate) fn touches(&mut self, change: &Change, keys: &mut HashSet<Key>) {
        let layout = self.lay_out(&change.schema);
        let placed = |image: &Option<Row>| image.clone().map(|row| self.place(&layout, row));
        let (before, after) = (placed(&change.before), placed(&change.after));
        match self.rows {
            Rows::Keyed(_) => {
                let Some(key) = self.old_key(change.op, change.key.as_deref(), &before, &after) else { return };
                keys.extend(after.as_ref().and_then(|after| self.key_after(&key, after)).flatten());
                keys.insert(key);
            }
            Rows::Multiset(_) => {
                let images = [before, after].map(|image| image.and_then(|row| self.typed(row)));
                let mut updated = Cells::new();
                images.iter().flatten().for_each(|image| overlay(&mut updated, image.clone()));
                keys.extend(images.iter().flatten().chain([&updated]).filter_map(|row| self.values_of(row)));
            }
        }
    }

    /// A row of a snapshot of this table, whose columns are the table's first ones, as an insert would take it; `None`: it no longer fits.
    pub(crate) fn again(&self, row: Row) -> Option<(Key, Cells)> {
        let row = row.into_vec();
        match self.rows {
            Rows::Keyed(_) => {
                let key = self.key_from(self.key.iter().map(|at| row.get(*at).and_then(Option::as_ref)))?;
                let mut row = self.typed(row)?;
                let cells: Vec<(usize, Value)> = self.key.iter().copied().zip(key.iter().cloned()).collect();
                put_under_key(&mut row, &cells);
                Some((key, row))
            }
            Rows::Multiset(_) => {
                let row = self.typed(row)?;
                Some((self.values_of(&row)?, row))
            }
        }
    }

    /// Takes a row back in that [`Table::again`] gave, unless one with its key is there.
    pub(crate) fn load(&mut self, key: Key, row: Cells) {
        match &mut self.rows {
            Rows::Keyed(rows) => drop(rows.entry(key).or_insert(row)),
            Rows::Multiset(rows) => rows.entry(key).or_default().push(row),
        }
    }

    /// Whether several rows may have one key.
    pub(crate) fn is_multiset(&self) -> bool {
        matches!(self.rows, Rows::Multiset(_))
    }

    /// The schema that its rows have now.
    pub(crate) fn schema(&self) -> Schema {
        let key = match &self.rows {
            Rows::Keyed(_) => self.key.iter().map(|at| *at as u32).collect(),
            Rows::Multiset(_) => Vec::new(),
        };
        Schema { table: self.name.clone(), columns: self.columns.clone(), key }
    }

    /// Takes all rows out, in the order of their keys; equal rows of a multiset keep theirs.
    pub(crate) fn take_sorted(&mut self) -> Vec<(Key, Cells)> {
        let mut rows: Vec<(Key, Cells)> = match &mut self.rows {
            Rows::Keyed(rows) => std::mem::take(rows).into_iter().collect(),
            Rows::Multiset(rows) => {
                let equal = |(key, equal): (Key, Vec<Cells>)| equal.into_iter().map(move |row| (key.clone(), row));
                std::mem::take(rows).into_iter().flat_map(equal).collect()
            }
        };
        rows.sort_by(|a, b| a.0.cmp(&b.0));
        rows
    }

    pub(super) fn into_rows(mut self) -> TableRows {
        let (rows, schema) = (self.take_sorted(), Arc::new(self.schema()));
        let width = schema.columns.len();
        let whole = |(_, mut cells): (Key, Cells)| {
            cells.resize(width, None);
            Row::from(cells)
        };
        TableRows { schema, rows: rows.into_iter().map(whole).collect() }
    }
}

/// Writes the present cells of `with` over `row`.
fn overlay(row: &mut Cells, with: Cells) {
    if row.len() < with.len() {
        row.resize(with.len(), None);
    }
    for (cell, new) in row.iter_mut().zip(with) {
        if new.is_some() {
            *cell = new;
        }
    }
}

/// Writes the key into its columns.
fn put_under_key(row: &mut Cells, key: &[(usize, Value)]) {
    for (at, value) in key {
        if row.len() <= *at {
            row.resize(at + 1, None);
        }
        row[*at] = Some(value.clone());
    }
}
