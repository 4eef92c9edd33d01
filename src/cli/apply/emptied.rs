//! Clears in a file of transactions: which rows went with a table that was emptied.
//!
//! The graph takes deletes, and each names its row. Nothing is kept until the first clear comes; then what stands before it in the file is
//! read again, once, and from there on the rows are kept by the rules of the engine.
//!
//! Cost: without a clear none; else a second reading, and memory for all rows.

use std::sync::Arc;

use thalweg_formulas::Type;
use thalweg_graph::transaction::{Body, Change, Op, Transaction};
use thalweg_graph::{Plan, plan};
use thalweg_sources::jsonl::{JsonTable, JsonlReader, Line};
use thalweg_store::StoreConfig;
use thalweg_store::fold::{Fold, TableRows};

use super::{Failure, Input};

/// What clears have to say.
pub(super) struct Emptied<'a> {
    plan: &'a Plan,
    input: &'a Input,
    /// The rows, from the first clear on.
    rows: Option<Fold>,
}

impl<'a> Emptied<'a> {
    pub(super) fn new(plan: &'a Plan, input: &'a Input) -> Emptied<'a> {
        Emptied { plan, input, rows: None }
    }

    /// The transaction of a line with a delete for every row that a clear takes.
    pub(super) fn told(&mut self, mut transaction: Transaction, line: u64) -> Result<Transaction, Failure> {
        let Body::Changes(changes) = &mut transaction.body else { return Ok(transaction) };
        if self.rows.is_none() && !changes.iter().any(Change::is_clear) {
            return Ok(transaction);
        }
        let mut rows = match self.rows.take() {
            Some(rows) => rows,
            None => self.before(line)?,
        };
        let mut told = Vec::with_capacity(changes.len());
        for change in std::mem::take(changes) {
            if change.is_clear() {
                let table = &*change.schema.table;
                told.extend(rows.take_tables(|name| name == table).into_iter().flat_map(deletes));
            } else {
                rows.change(change.clone());
                told.push(change);
            }
        }
        *changes = told;
        self.rows = Some(rows);
        Ok(transaction)
    }

    /// The rows before a line. All lines before it were right.
    fn before(&self, line: u64) -> Result<Fold, Failure> {
        let mut rows = Fold::new(Arc::new(store_config(self.plan)));
        let mut reader = JsonlReader::new(self.input.reader()?, JsonTable::all(self.plan));
        while reader.line() + 1 < line
            && let Some(read) = reader.next_line()
        {
            if let Line::Transaction(transaction) = read.map_err(|error| self.input.wrong(error))? {
                rows.transaction(transaction);
            }
        }
        Ok(rows)
    }
}

fn deletes(table: TableRows) -> impl Iterator<Item = Change> {
    let TableRows { schema, rows } = table;
    rows.into_iter().map(move |row| Change { schema: schema.clone(), op: Op::Delete, key: None, before: Some(row), after: None })
}

/// The keys and types by which the engine takes changes.
fn store_config(plan: &Plan) -> StoreConfig {
    let mut config = StoreConfig::default();
    for table in plan.tables.iter().filter(|table| table.kept_by.is_none()) {
        let column = |at: &plan::ColumnId| table.columns[at.0 as usize].name.to_string();
        if let Some(key) = &table.key {
            config.keys.insert(table.name.to_string(), key.iter().map(column).collect());
        }
        let types = table.columns.iter().filter(|column| column.ty != Type::Dyn);
        let types = types.map(|column| (column.name.to_string(), column.ty.clone())).collect();
        config.types.insert(table.name.to_string(), types);
    }
    config
}
