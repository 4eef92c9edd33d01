//! What flows out of a step: deltas, firings, errors, timers to arm; each with its epoch.
//!
//! Order: epoch, kind (delta, effect, error), node name (bytes), key (typed, column by column), version.
//! It is the same for any batching and any number of workers.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use thalweg_formulas::{Error, Timestamp, Value};

use crate::transaction::Epoch;

pub mod deltas;

pub use deltas::Deltas;

/// A document's key: its key columns' values, in key order. Empty for the global document.
pub type Key = Arc<[Value]>;

/// All that one step produced.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outcome {
    /// The last closed epoch.
    pub through: Epoch,
    /// Changed derived fields.
    pub deltas: Deltas,
    /// Firings of effects and reactions.
    pub fired: Vec<Fired>,
    /// Fields and rows that went into or out of error.
    pub errors: Vec<ErrorChange>,
    /// Timers to arm.
    pub timers: Vec<TimerArmed>,
    /// Timers taken back, sorted by (epoch, rule, key). A row's come before those that the same epoch arms.
    pub cancelled: Vec<TimerCancelled>,
    /// Moments at which fields of documents are to be published, sorted, each once.
    pub appointments: Vec<Appointment>,
    /// Counters of the step.
    pub counts: Counts,
}

/// A document that is to be published at a time of its own. Which one it is the engine knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Appointment {
    /// When it began to wait.
    pub epoch: Epoch,
    /// When it is published.
    pub due: Timestamp,
}

/// One field of one document changed.
#[derive(Clone, Debug, PartialEq)]
pub struct Delta {
    /// When.
    pub epoch: Epoch,
    /// The field, `Order.total`; a state column with `--state`.
    pub node: Arc<str>,
    /// The document; the engine knows the names of its key columns.
    pub key: Key,
    /// The value before; NULL if there was none.
    pub old: Value,
    /// The value now.
    pub new: Value,
    /// The document is gone.
    pub gone: bool,
}

/// One firing of an effect or a match of a reaction.
#[derive(Clone, Debug, PartialEq)]
pub struct Fired {
    /// When.
    pub epoch: Epoch,
    /// The effect's or reaction's name.
    pub node: Arc<str>,
    /// Its place in [`crate::plan::Plan::effects`] or [`crate::plan::Plan::reactions`].
    pub rule: RuleId,
    /// The document.
    pub key: Key,
    /// 2k−1 for the k-th trigger of (node, key).
    pub version: u64,
    /// What is sent: a map.
    pub payload: Value,
}

/// Which rule fired.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum RuleId {
    /// Index into the plan's effects.
    Effect(u32),
    /// Index into the plan's reactions.
    Reaction(u32),
}

/// A field (or a row of a table) went into error, or its error was withdrawn.
#[derive(Clone, Debug, PartialEq)]
pub struct ErrorChange {
    /// When.
    pub epoch: Epoch,
    /// The field; the table's name where a change itself was refused.
    pub node: Arc<str>,
    /// The document.
    pub key: Key,
    /// The error.
    pub error: Error,
    /// It is withdrawn.
    pub cleared: bool,
}

/// Whose a timer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TimerOf {
    /// A reaction's rule: its place in [`crate::spec::GraphSpec::reactions`], which may be several reactions.
    Rule(u32),
    /// An effect's, which fires again while its condition holds: its place in the plan.
    Effect(u32),
}

/// A reaction, or an effect that fires again while its condition holds, armed a timer.
#[derive(Clone, Debug, PartialEq)]
pub struct TimerArmed {
    /// When.
    pub epoch: Epoch,
    /// The reaction or effect that armed it.
    pub rule: RuleId,
    /// The event it will raise.
    pub event: Arc<str>,
    /// The document type and key of the row.
    pub table: Arc<str>,
    /// The row's key.
    pub key: Key,
    /// When it is due.
    pub due: Timestamp,
}

/// What a rule has armed for a row before this epoch is taken back.
#[derive(Clone, Debug, PartialEq)]
pub struct TimerCancelled {
    /// When.
    pub epoch: Epoch,
    /// Whose timers.
    pub rule: TimerOf,
    /// The document type of the row.
    pub table: Arc<str>,
    /// The row's key.
    pub key: Key,
}

/// Counters of a step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Row changes taken.
    pub changes: u64,
    /// Changes whose after-image was already stored.
    pub redundant: u64,
    /// Before-images that contradicted the stored row.
    pub contradicted: u64,
    /// Cells evaluated.
    pub cells: u64,
}

/// One derived field of one live document, as `--final` shows it.
#[derive(Clone, Debug, PartialEq)]
pub struct Document {
    /// The field, `Order.total`.
    pub node: Arc<str>,
    /// The document.
    pub key: Key,
    /// The value; the last good one where the field is in error.
    pub value: Value,
    /// The error that stands in the field, if one does.
    pub error: Option<Error>,
}

/// What one node holds and has cost so far, over all workers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeStats {
    /// The node as `graph` names it: a table, `Order.total`, `sum(items[*].price)`.
    pub node: Arc<str>,
    /// The region it lives in; `None` for a table's index of keys and for a lookup edge's index.
    pub region: Option<crate::plan::RegionId>,
    /// Rows held: documents, groups or references.
    pub rows: u64,
    /// Bytes of state, heap included; an estimate for what is shared.
    pub state_bytes: u64,
    /// How many (epoch, row) pairs have written or evaluated the node since the start.
    pub rows_touched: u64,
}
