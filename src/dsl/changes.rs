//! Transactions as an embedding program writes them.

use std::sync::Arc;

use thalweg_formulas::{Timestamp, Type, Value};
use thalweg_graph::transaction::{Body, SchemaColumn};
use thalweg_graph::{Change, Op, Row, Schema, Transaction};

/// One transaction under construction: row changes that become visible together.
#[derive(Clone, Debug)]
pub struct Changes {
    origin: Arc<str>,
    at: Timestamp,
    changes: Vec<Change>,
}

impl Changes {
    /// A transaction with this origin: effect ids derive from it, so the same origin gives the same ids.
    pub fn new(origin: &str) -> Changes {
        Changes { origin: origin.into(), at: Timestamp(0), changes: Vec::new() }
    }

    /// When it was committed.
    pub fn at(mut self, at: Timestamp) -> Changes {
        self.at = at;
        self
    }

    /// A new row.
    pub fn insert<V: Into<Value>>(self, table: &str, row: impl IntoIterator<Item = (&'static str, V)>) -> Changes {
        self.change(table, Op::Insert, row)
    }

    /// Changed columns of a row; its key columns say which.
    pub fn update<V: Into<Value>>(self, table: &str, row: impl IntoIterator<Item = (&'static str, V)>) -> Changes {
        self.change(table, Op::Update, row)
    }

    /// "Make it so", there or not.
    pub fn upsert<V: Into<Value>>(self, table: &str, row: impl IntoIterator<Item = (&'static str, V)>) -> Changes {
        self.change(table, Op::Upsert, row)
    }

    /// A row that goes; its key columns say which.
    pub fn delete<V: Into<Value>>(self, table: &str, key: impl IntoIterator<Item = (&'static str, V)>) -> Changes {
        self.change(table, Op::Delete, key)
    }

    fn change<V: Into<Value>>(self, table: &str, op: Op, row: impl IntoIterator<Item = (&'static str, V)>) -> Changes {
        self.row(table, op, row.into_iter().map(|(name, value)| (name, value.into())))
    }

    /// A change of a row by its columns.
    pub(crate) fn row<N: AsRef<str>>(mut self, table: &str, op: Op, row: impl IntoIterator<Item = (N, Value)>) -> Changes {
        let (names, values): (Vec<N>, Vec<Option<Value>>) = row.into_iter().map(|(name, value)| (name, Some(value))).unzip();
        let columns = names.into_iter().map(|name| SchemaColumn::new(name.as_ref().into(), Type::Dyn)).collect();
        let schema = Arc::new(Schema { table: table.into(), columns, key: Vec::new() });
        let row: Row = values.into();
        let (before, after) = if op == Op::Delete { (Some(row), None) } else { (None, Some(row)) };
        self.changes.push(Change { schema, op, key: None, before, after });
        self
    }
}

impl From<Changes> for Transaction {
    fn from(changes: Changes) -> Transaction {
        Transaction { source: "".into(), origin: changes.origin, at: changes.at, body: Body::Changes(changes.changes) }
    }
}
