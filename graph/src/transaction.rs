//! What flows in: whole source transactions of row changes.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use thalweg_formulas::{Timestamp, Type, Value};

pub use crate::row::Row;
pub use crate::spill::{PART, Spill};
pub use crate::sql_type::SqlType;

/// The engine's dense, totally ordered time: one source transaction (or timer firing) is one epoch. The first is 1.
pub type Epoch = u64;

/// The column layout of the rows of one source table at one time. Rows point to it, so a column's name is stored once.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Schema {
    /// The table as the source names it: `db.table`, or a document type (JSON lines).
    pub table: Arc<str>,
    /// Its columns, in row order.
    pub columns: Vec<SchemaColumn>,
    /// Positions of the key columns, in key order; empty: no key, the rows are a multiset. Ignored where the plan declares a key.
    pub key: Vec<u32>,
}

/// One column. Two are equal where name and type are: what SQL calls the type changes no value.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SchemaColumn {
    /// Its name.
    pub name: Arc<str>,
    /// Its type; [`Type::Dyn`] where the source cannot tell.
    pub ty: Type,
    /// What SQL calls its type, for printing; not stored.
    #[serde(skip)]
    pub sql: SqlType,
}

impl SchemaColumn {
    /// A column of no database.
    pub fn new(name: Arc<str>, ty: Type) -> SchemaColumn {
        SchemaColumn { name, ty, sql: SqlType::Other }
    }
}

impl PartialEq for SchemaColumn {
    fn eq(&self, other: &SchemaColumn) -> bool {
        (&self.name, &self.ty) == (&other.name, &other.ty)
    }
}

/// What happened to a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Op {
    /// A row that was not there.
    Insert,
    /// A row that was there.
    Update,
    /// A row that goes.
    Delete,
    /// "Make it so", there or not.
    Upsert,
}

/// One row change as the source tells it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// The layout of the images.
    pub schema: Arc<Schema>,
    /// What happened.
    pub op: Op,
    /// The key before the change, in key order, where the source gives it apart from the images.
    pub key: Option<Box<[Value]>>,
    /// The row before.
    pub before: Option<Row>,
    /// The row after; may be partial on update and upsert.
    pub after: Option<Row>,
}

impl Change {
    /// Every row of a table goes, whatever they are: TRUNCATE, DROP, or rows that are about to be read anew. A delete that names no row.
    ///
    /// Only sources make it; the runtime tells the rows before the engine and the log see it. Of the schema only the table's name counts;
    /// `db.*` stands for all tables of a database.
    pub fn clear(schema: Arc<Schema>) -> Change {
        Change { schema, op: Op::Delete, key: None, before: None, after: None }
    }

    /// Whether it is a [`Change::clear`].
    pub fn is_clear(&self) -> bool {
        self.op == Op::Delete && self.key.is_none() && self.before.is_none()
    }
}

/// One source transaction, whole: what becomes one epoch.
#[derive(Clone, Debug, PartialEq)]
pub struct Transaction {
    /// The source's name in the configuration; empty for `apply` and embedded use.
    pub source: Arc<str>,
    /// GTID, publish id, timer id or the line's `tx`: what effect ids derive from. The same on every replay.
    pub origin: Arc<str>,
    /// Commit time at the source.
    pub at: Timestamp,
    /// What kind of input it is.
    pub body: Body,
}

/// The source of the transactions that goals make.
pub const STEP: &str = "@goal";

impl Transaction {
    /// Whether it is a step of a goal: no source has told it, and no position goes with it.
    pub fn is_step(&self) -> bool {
        *self.source == *STEP
    }

    /// Its changes in order: at once where they are held, part by part where they are spilled; a timer has none. No part is empty.
    /// Ends early when `each` answers `false`.
    ///
    /// # Errors
    /// What is spilled cannot be read; see [`Spill::read`].
    pub fn parts(&self, each: &mut dyn FnMut(&[Change]) -> bool) -> Result<(), String> {
        match &self.body {
            Body::Changes(changes) | Body::Fill(changes) => {
                let _ = changes.is_empty() || each(changes);
                Ok(())
            }
            Body::Spilled(spill) => spill.read(&mut |part| each(&part)),
            Body::Timer(_) => Ok(()),
        }
    }

    /// The same without its changes, to go with a part of them.
    pub fn head(&self) -> Transaction {
        let (source, origin) = (self.source.clone(), self.origin.clone());
        Transaction { source, origin, at: self.at, body: Body::Changes(Vec::new()) }
    }
}

/// What a transaction carries. Two are equal where the same is in them; spilled changes are equal to themselves only.
#[derive(Clone, Debug)]
pub enum Body {
    /// Row changes of one commit.
    Changes(Vec<Change>),
    /// Row changes of one commit that are too many to be held at once. Means the same as [`Body::Changes`] with all of them.
    Spilled(Arc<dyn Spill>),
    /// Rows that were there before the engine looked: sets latches, never fires. One epoch however large.
    Fill(Vec<Change>),
    /// A timer that came due.
    Timer(TimerFired),
}

impl Body {
    /// Adds the changes of the next part of the same transaction; both are held and of one kind, else nothing is added.
    pub fn append(&mut self, next: Body) {
        if let (Body::Changes(all), Body::Changes(part)) | (Body::Fill(all), Body::Fill(part)) = (self, next) {
            all.extend(part);
        }
    }
}

impl PartialEq for Body {
    fn eq(&self, other: &Body) -> bool {
        match (self, other) {
            (Body::Changes(a), Body::Changes(b)) | (Body::Fill(a), Body::Fill(b)) => a == b,
            (Body::Spilled(a), Body::Spilled(b)) => Arc::ptr_eq(a, b),
            (Body::Timer(a), Body::Timer(b)) => a == b,
            _ => false,
        }
    }
}

/// A due timer as an input.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TimerFired {
    /// The timer's id: the origin of the effects it causes.
    pub id: Arc<str>,
    /// The event it raises.
    pub event: Arc<str>,
    /// The document type whose row armed it.
    pub table: Arc<str>,
    /// That row's key.
    pub key: Box<[Value]>,
    /// When it was due.
    pub due: Timestamp,
}
