//! Typed documents: any type with serde's `Serialize` goes in as a row, any with `Deserialize` comes out of the fields and columns of a
//! document.
//!
//! The names of the type's fields are the names of columns and fields (serde's `rename` counts). Whole numbers become int, as in JSON, and
//! uint above what an int holds; a declared column takes the value in its own type or refuses the row. Text is what goes into and comes out
//! of decimals, timestamps and durations, so that nothing is rounded on the way ([`Decimal`](thalweg_formulas::decimal::Decimal) itself works
//! too). A field of type `Result<T, String>` takes the error of a field that is in error.
//!
//! Next to read: [`write`], [`read`].

mod error;
mod read;
mod write;

use serde::Serialize;
use serde::de::DeserializeOwned;
use thalweg_formulas::Value;
use thalweg_graph::{Op, Outcome};

use self::read::{CellReader, DocumentReader, fields_of};
use super::live::LiveGraph;
use super::nodes::Shape;
use crate::dsl::Changes;
pub use error::DocumentError;
pub use write::value_of;

/// The columns of a document, in the order of its fields.
///
/// # Errors
/// E0340: it is no struct and no map with text keys, or a value in it has no place in a row.
pub fn document_of<T: Serialize + ?Sized>(table: &str, document: &T) -> Result<Vec<(String, Value)>, DocumentError> {
    write::columns(document).map_err(|unfit| unfit.of(table))
}

impl Changes {
    /// A new row from a document; see [`crate::embed`].
    ///
    /// # Errors
    /// E0340: it is not a document.
    pub fn insert_from<T: Serialize + ?Sized>(self, table: &str, document: &T) -> Result<Changes, DocumentError> {
        Ok(self.row(table, Op::Insert, document_of(table, document)?))
    }

    /// Changed columns of a row from a document that has the key and those columns.
    ///
    /// # Errors
    /// As [`Changes::insert_from`].
    pub fn update_from<T: Serialize + ?Sized>(self, table: &str, document: &T) -> Result<Changes, DocumentError> {
        Ok(self.row(table, Op::Update, document_of(table, document)?))
    }

    /// "Make it so" from a document.
    ///
    /// # Errors
    /// As [`Changes::insert_from`].
    pub fn upsert_from<T: Serialize + ?Sized>(self, table: &str, document: &T) -> Result<Changes, DocumentError> {
        Ok(self.row(table, Op::Upsert, document_of(table, document)?))
    }

    /// A row that goes, from a document that has its key.
    ///
    /// # Errors
    /// As [`Changes::insert_from`].
    pub fn delete_from<T: Serialize + ?Sized>(self, table: &str, document: &T) -> Result<Changes, DocumentError> {
        Ok(self.row(table, Op::Delete, document_of(table, document)?))
    }
}

impl LiveGraph {
    /// Inserts a typed document, as a transaction of its own.
    ///
    /// ```
    /// use serde::{Deserialize, Serialize};
    /// use thalweg::prelude::*;
    ///
    /// #[derive(Serialize)]
    /// struct Order { id: u32, price: &'static str, qty: i64 }
    ///
    /// #[derive(Deserialize, Debug, PartialEq)]
    /// struct OrderView { id: u32, qty: i64, total: String }
    ///
    /// let mut graph = Graph::new();
    /// graph.state(State::document("Order").key("id").column("price", "decimal(10,2)"));
    /// graph.derived("Order.total", Derived::formula("price * qty"));
    /// let mut live = graph.start()?;
    ///
    /// live.insert("Order", &Order { id: 7, price: "12.50", qty: 3 })?;
    /// let order: Option<OrderView> = live.read("Order", [7])?;
    /// assert_eq!(order, Some(OrderView { id: 7, qty: 3, total: "37.50".into() }));
    ///
    /// let wrong = live.insert("Order", &Order { id: 7, price: "1.00", qty: 1 }).unwrap_err();
    /// assert_eq!(wrong.to_string(), "E0330: Order: insert of a row that exists");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// E0340: it is not a document. Else why the row is refused (E0330 to E0335); the stored row is as it was. E0290, E0291: there is no such type,
    /// or nothing keeps its rows.
    pub fn insert<T: Serialize + ?Sized>(&mut self, table: &str, document: &T) -> Result<Outcome, DocumentError> {
        self.write(table, Op::Insert, document_of(table, document)?)
    }

    /// Changes a row: the document has the key and the columns that change. Else as [`LiveGraph::insert`].
    ///
    /// # Errors
    /// As [`LiveGraph::insert`].
    pub fn update<T: Serialize + ?Sized>(&mut self, table: &str, document: &T) -> Result<Outcome, DocumentError> {
        self.write(table, Op::Update, document_of(table, document)?)
    }

    /// Makes a row so, there or not. Else as [`LiveGraph::insert`].
    ///
    /// # Errors
    /// As [`LiveGraph::insert`].
    pub fn upsert<T: Serialize + ?Sized>(&mut self, table: &str, document: &T) -> Result<Outcome, DocumentError> {
        self.write(table, Op::Upsert, document_of(table, document)?)
    }

    /// Deletes the row with the document's key. Else as [`LiveGraph::insert`].
    ///
    /// # Errors
    /// As [`LiveGraph::insert`].
    pub fn delete<T: Serialize + ?Sized>(&mut self, table: &str, document: &T) -> Result<Outcome, DocumentError> {
        self.write(table, Op::Delete, document_of(table, document)?)
    }

    /// A document as a type of one's own: each field of the type is a key column, a column or a field of the document. `None` if the document is not there;
    /// the global document is that of the type `""` with the key `[0; 0]`.
    ///
    /// A struct is read by its fields; a map gets everything that is kept.
    ///
    /// # Errors
    /// E0290 to E0292: the type names what the document has not. E0341: a value does not fit. E0342: a field is in error.
    pub fn read<T: DeserializeOwned>(
        &mut self,
        table: &str,
        key: impl IntoIterator<Item = impl Into<Value>>,
    ) -> Result<Option<T>, DocumentError> {
        let shape = self.shape(table).map_err(|problem| DocumentError::of_problem(table, problem))?;
        let key = self.key_of(table, key);
        let names = fields_of::<T>().unwrap_or_else(|| shape.names());
        let mut cells: Vec<(&str, CellReader)> = Vec::with_capacity(names.len());
        let mut lives = false;
        for name in names {
            if let Some(at) = shape.key.iter().position(|(column, _)| **column == *name) {
                cells.push((name, CellReader(Ok(key.get(at).cloned().unwrap_or(Value::Null)))));
                continue;
            }
            let node = shape.node(name, self).map_err(|problem| DocumentError::of_problem(table, problem))?;
            let cell = self.engine.read(&node.full, &key);
            lives |= cell.is_some();
            cells.push((name, CellReader(cell.unwrap_or(Ok(Value::Null)))));
        }
        if !lives && !self.lives(&shape, &key) {
            return Ok(None);
        }
        T::deserialize(DocumentReader(cells)).map(Some).map_err(|unfit| unfit.of(table))
    }

    /// Whether a document is there, by any node of it.
    fn lives(&mut self, shape: &Shape, key: &[Value]) -> bool {
        shape.nodes.iter().any(|node| self.engine.read(&node.full, key).is_some())
            || (shape.nodes.is_empty() && self.engine.rows(&shape.table, &[]).iter().any(|row| *row.key == *key))
    }

    /// One change of a row as a transaction of its own, and whether it was taken.
    pub(super) fn write(&mut self, table: &str, op: Op, row: Vec<(String, Value)>) -> Result<Outcome, DocumentError> {
        let shape = self.shape(table).map_err(|problem| DocumentError::of_problem(table, problem))?;
        self.close_early();
        // The same origin on every replay.
        let changes = Changes::new(&format!("epoch {}", self.epoch() + 1)).row(table, op, row);
        let epoch = self.push(changes);
        let outcome = self.step();
        let refused = outcome.errors.iter().find(|error| error.epoch == epoch && *error.node == *shape.table && !error.cleared);
        match refused {
            Some(refused) => Err(DocumentError::of_error(&shape.table, &refused.error)),
            None => Ok(outcome),
        }
    }
}
