//! The column layouts of the tables that the lines speak of: declared ones first, then whatever names come.
//!
//! A layout only grows, and every growth is a new [`Schema`]; rows that were read keep the one they were made with.

use std::collections::HashMap;
use std::sync::Arc;

use thalweg_formulas::{Type, Value};
use thalweg_graph::Schema;
use thalweg_graph::transaction::{Row, SchemaColumn};

use super::cursor::{Cursor, Fault};

/// A table that lines may speak of.
#[derive(Clone, Debug, PartialEq)]
pub struct JsonTable {
    /// The document type.
    pub name: Arc<str>,
    /// The table behind it, `db.table`; lines may use either name.
    pub from: Arc<str>,
    /// The key, if it is declared; else the first `key` of a change tells, and without one the rows are a multiset.
    pub key: Option<Vec<Arc<str>>>,
    /// Declared columns. A column that is not declared is dynamic.
    pub columns: Vec<(Arc<str>, Type)>,
    /// It is derived: its documents are kept from rows of others, so no line may speak of it.
    pub kept: bool,
}

/// One table's layout.
#[derive(Debug)]
pub(super) struct Layout {
    pub(super) schema: Arc<Schema>,
    columns: Vec<SchemaColumn>,
    index: HashMap<Arc<str>, u32>,
    key: Option<Vec<u32>>,
    grown: bool,
}

impl Layout {
    pub(super) fn new(table: &JsonTable) -> Layout {
        let schema = Arc::new(Schema { table: table.name.clone(), columns: Vec::new(), key: Vec::new() });
        let mut layout = Layout { schema, columns: Vec::new(), index: HashMap::new(), key: None, grown: true };
        for (name, ty) in &table.columns {
            layout.add(name, ty.clone());
        }
        layout.key = table.key.as_ref().map(|key| key.iter().map(|name| layout.column(name)).collect());
        layout.seal();
        layout
    }

    /// Declares columns and key anew, as a `schema` line does; columns that are not named any more stay in the layout, unused.
    pub(super) fn declare(&mut self, schema: &Schema, key_given: bool) {
        for SchemaColumn { name, ty, .. } in &schema.columns {
            match self.index.get(name) {
                Some(at) => self.columns[*at as usize].ty = ty.clone(),
                None => self.add(name, ty.clone()),
            }
        }
        if key_given {
            let names = schema.key.iter().map(|at| schema.columns[*at as usize].name.clone());
            self.key = Some(names.map(|name| self.column(&name)).collect());
        }
        self.grown = true;
        self.seal();
    }

    fn add(&mut self, name: &str, ty: Type) {
        let name: Arc<str> = name.into();
        self.index.insert(name.clone(), self.columns.len() as u32);
        self.columns.push(SchemaColumn::new(name, ty));
        self.grown = true;
    }

    /// The position of a column; a new name gets one.
    fn column(&mut self, name: &str) -> u32 {
        if let Some(at) = self.index.get(name) {
            return *at;
        }
        self.add(name, Type::Dyn);
        self.columns.len() as u32 - 1
    }

    /// A row image: absent members stay `None`.
    pub(super) fn row(&mut self, cursor: &mut Cursor<'_>, what: &str) -> Result<Vec<Option<Value>>, Fault> {
        let mut row: Vec<Option<Value>> = vec![None; self.columns.len()];
        let mut guess = 0;
        cursor.object(what, |cursor, name, _| {
            // Rows of one writer come with their columns in one order: the next column is the likely one.
            let known = self.columns.get(guess).is_some_and(|column| *column.name == *name);
            let at = if known { guess } else { self.column(&name) as usize };
            guess = at + 1;
            if at >= row.len() {
                row.resize(at + 1, None);
            }
            row[at] = Some(cursor.value(&self.columns[at].ty)?);
            Ok(())
        })?;
        Ok(row)
    }

    /// The `key` of a change, in key order.
    pub(super) fn key(&mut self, cursor: &mut Cursor<'_>) -> Result<Box<[Value]>, Fault> {
        let at = cursor.place();
        let mut given: Vec<(u32, Value)> = Vec::with_capacity(1);
        cursor.object("an object with the key", |cursor, name, _| {
            let at = self.column(&name);
            given.push((at, cursor.value(&self.columns[at as usize].ty)?));
            Ok(())
        })?;
        let Some(names) = self.key.clone() else {
            // Nothing declares a key: the first one that is given does.
            self.key = Some(given.iter().map(|(at, _)| *at).collect());
            self.grown = true;
            return Ok(given.into_iter().map(|(_, value)| value).collect());
        };
        if names.is_empty() {
            return Err(Fault::new(
                464,
                at,
                format!("table `{}` has no key, so a change of it cannot have one", self.schema.table),
            ));
        }
        let value = |column: &u32| given.iter().find(|(at, _)| at == column).map(|(_, value)| value.clone());
        let missing = |column: &u32| self.columns[*column as usize].name.clone();
        names
            .iter()
            .map(|column| value(column).ok_or_else(|| Fault::new(464, at, format!("`key` has no member `{}`", missing(column)))))
            .collect()
    }

    /// Makes the layout fit all that was read, and gives it; call it once a change is read whole.
    pub(super) fn seal(&mut self) -> Arc<Schema> {
        if self.grown {
            let key = self.key.clone().unwrap_or_default();
            self.schema = Arc::new(Schema { table: self.schema.table.clone(), columns: self.columns.clone(), key });
            self.grown = false;
        }
        self.schema.clone()
    }

    /// A row as wide as the layout.
    pub(super) fn widen(&self, mut row: Vec<Option<Value>>) -> Row {
        row.resize(self.columns.len(), None);
        row.into()
    }

    /// Whether changes of the table are known by a key.
    pub(super) fn has_key(&self) -> bool {
        self.key.as_ref().is_some_and(|key| !key.is_empty())
    }
}

impl JsonTable {
    /// The tables that a plan knows, with the types it declares.
    pub fn all(plan: &thalweg_graph::Plan) -> Vec<JsonTable> {
        let table = |table: &thalweg_graph::plan::Table| JsonTable {
            name: table.name.clone(),
            from: table.from.clone(),
            key: table.key.as_ref().map(|key| key.iter().map(|c| table.columns[c.0 as usize].name.clone()).collect()),
            columns: table.columns.iter().map(|column| (column.name.clone(), column.ty.clone())).collect(),
            kept: table.is_derived(),
        };
        // The table called "" holds the global fields: no line speaks of it.
        plan.tables.iter().filter(|t| !t.name.is_empty()).map(table).collect()
    }
}
