//! Arrow: all documents of a type as one `RecordBatch`, and a `RecordBatch` as rows.
//!
//! Types are those of the definition: decimals stay decimals (128 bits up to 38 digits, else 256), timestamps are microseconds in UTC, lists
//! are lists. A column whose type the definition does not know takes that of its values, and is text with JSON in it where they are of several
//! types (the Arrow field says so: `thalweg.encoding = "json"`). Nothing is rounded or cut: what does not fit is an error with its place.
//!
//! Next to read: [`write`], [`read`].

mod read;
mod write;

use std::fmt;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::{Field, Schema as ArrowSchema};
use thalweg_formulas::{Cell, Code, Problem, Text, Type, Value};
use thalweg_graph::transaction::Body;
use thalweg_graph::{Change, Outcome, Transaction};

use super::live::LiveGraph;

/// Why a batch does not go in or come out. Nothing has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchError {
    /// `thalweg explain` tells its story.
    pub code: Code,
    /// The document type and the column, with the row where one is to blame: `Order.price, row 3`.
    pub path: String,
    /// What is wrong, lower case, no full stop.
    pub reason: String,
    /// What to do.
    pub cure: Option<String>,
}

impl BatchError {
    fn new(path: String, reason: impl Into<String>, cure: &str) -> BatchError {
        let cure = (!cure.is_empty()).then(|| cure.to_owned());
        BatchError { code: Code(344), path, reason: reason.into(), cure }
    }

    pub(super) fn of_problem(table: &str, problem: Problem) -> BatchError {
        BatchError { code: problem.code, path: table.into(), reason: problem.message, cure: problem.help }
    }
}

impl fmt::Display for BatchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.code, self.path, self.reason)?;
        self.cure.as_ref().map_or(Ok(()), |cure| write!(f, " ({cure})"))
    }
}

impl std::error::Error for BatchError {}

impl LiveGraph {
    /// All documents of a type (`""`: the global one) as they stand at the last closed epoch, sorted by key: key columns, columns that are kept,
    /// fields. A field in error is NULL, and its Arrow field counts such rows: `thalweg.errors`. The schema has the epoch: `thalweg.epoch`.
    ///
    /// ```
    /// use thalweg::arrow::array::{AsArray, types};
    /// use thalweg::prelude::*;
    ///
    /// let mut graph = Graph::new();
    /// graph.state(State::document("Order").key("id").column("id", "int").column("price", "decimal(10,2)"));
    /// graph.derived("Order.total", Derived::formula("price * 2"));
    /// let mut live = graph.start()?;
    /// live.apply(Changes::new("tx-1").insert("Order", [("id", Value::Int(1)), ("price", "12.50".into())]));
    ///
    /// let orders = live.snapshot("Order")?;
    /// assert_eq!(orders.schema().fields().iter().map(|field| field.name().as_str()).collect::<Vec<_>>(), ["id", "price", "total"]);
    /// assert_eq!(orders["total"].as_primitive::<types::Decimal128Type>().value(0), 2500);
    ///
    /// let mut copy = Graph::new();
    /// copy.state(State::document("Order").key("id"));
    /// copy.derived("Orders", Derived::formula("count(Order[*].price)"));
    /// let mut copy = copy.start()?;
    /// copy.fill_batch("Order", &orders)?;
    /// assert_eq!(copy.get("Orders", [0; 0]), Some(Ok(Value::Int(1))));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// E0290, E0291: there is no such type, or nothing keeps its rows. E0344: a value does not fit its column's Arrow type.
    pub fn snapshot(&mut self, table: &str) -> Result<RecordBatch, BatchError> {
        self.close_early();
        let shape = self.shape(table).map_err(|problem| BatchError::of_problem(table, problem))?;
        let nodes: Vec<&str> = shape.nodes.iter().map(|node| &*node.full).collect();
        let rows = self.engine.rows(&shape.table, &nodes);
        let mut columns: Vec<(String, Type, Vec<Cell>)> = Vec::new();
        for (at, (name, ty)) in shape.key.iter().enumerate() {
            let cells = rows.iter().map(|row| Ok(row.key.get(at).cloned().unwrap_or(Value::Null)));
            columns.push((name.to_string(), ty.clone(), cells.collect()));
        }
        for (at, node) in shape.nodes.iter().enumerate() {
            let cells = rows.iter().map(|row| row.cells[at].clone().unwrap_or(Ok(Value::Null)));
            columns.push((node.name.to_string(), node.ty.clone(), cells.collect()));
        }
        if self.keeps_columns {
            columns.extend(undeclared(rows.iter().map(|row| shape.others(row)).collect()));
        }
        let written: Result<Vec<(Field, ArrayRef)>, BatchError> =
            columns.into_iter().map(|(name, ty, cells)| write::column(&shape.table, &name, &ty, cells)).collect();
        let (fields, arrays): (Vec<Field>, Vec<ArrayRef>) = written?.into_iter().unzip();
        let epoch = [("thalweg.epoch".to_owned(), self.epoch().to_string())].into();
        let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(rows.len()));
        RecordBatch::try_new_with_options(Arc::new(ArrowSchema::new_with_metadata(fields, epoch)), arrays, &options)
            .map_err(|error| BatchError::new(table.into(), error.to_string(), ""))
    }

    /// Takes the rows of a batch as rows that were there before anybody looked: latches are set, nothing fires. One epoch.
    ///
    /// # Errors
    /// E0290: there is no such type. E0344: a column's Arrow type has no counterpart. A row that is refused is an error of the outcome.
    pub fn fill_batch(&mut self, table: &str, batch: &RecordBatch) -> Result<Outcome, BatchError> {
        let rows = self.rows_of(table, batch)?;
        Ok(self.fill(rows))
    }

    /// Takes the rows of a batch as inserts of one transaction with this origin.
    ///
    /// # Errors
    /// As [`LiveGraph::fill_batch`].
    pub fn insert_batch(&mut self, origin: &str, table: &str, batch: &RecordBatch) -> Result<Outcome, BatchError> {
        let body = Body::Changes(self.rows_of(table, batch)?);
        Ok(self.apply(Transaction { source: "".into(), origin: origin.into(), at: self.now().max(Default::default()), body }))
    }

    fn rows_of(&self, table: &str, batch: &RecordBatch) -> Result<Vec<Change>, BatchError> {
        if self.plan.table(table).is_none() {
            let known = self.plan.tables.iter().map(|table| &*table.name);
            return Err(BatchError::of_problem(table, super::nodes::unknown("document type", table, known)));
        }
        read::rows(table, batch)
    }
}

/// Columns that the definition does not know, by name; a row without one has NULL.
fn undeclared(rows: Vec<Vec<(Text, Value)>>) -> Vec<(String, Type, Vec<Cell>)> {
    let mut names: Vec<Text> = rows.iter().flatten().map(|(name, _)| name.clone()).collect();
    names.sort();
    names.dedup();
    let column = |name: Text| {
        let cell =
            |row: &Vec<(Text, Value)>| row.iter().find(|(of, _)| *of == name).map_or(Value::Null, |(_, value)| value.clone());
        (name.to_string(), Type::Dyn, rows.iter().map(|row| Ok(cell(row))).collect())
    };
    names.into_iter().map(column).collect()
}
