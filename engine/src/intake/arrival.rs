//! What reaches the worker that owns a document.

use std::collections::BTreeMap;
use std::sync::Arc;

use thalweg_formulas::Value;
use thalweg_graph::plan::TableId;
use thalweg_graph::transaction::TimerFired;
use thalweg_graph::{Change, Epoch, Row};

use super::mapping::MappingId;
use crate::state::KeyBuf;

/// A row by column name, undeclared columns included: what reactions see and send.
pub type RowMap = BTreeMap<Value, Value>;

/// One input to one document's home.
#[derive(Clone, Debug)]
pub struct Arrival {
    /// The transaction.
    pub epoch: Epoch,
    /// The document type.
    pub table: TableId,
    /// What happens.
    pub what: What,
}

/// What happens to the document.
#[derive(Clone, Debug)]
pub enum What {
    /// A change as the source tells it, in a layout that has a mapping.
    Change(MappingId, Change),
    /// All changes of a transaction, in one layout.
    Changes(MappingId, Vec<Change>),
    /// The first half of a change of key that leaves this worker: the row goes. With the before-image, for the count.
    Take(MappingId, Box<(KeyBuf, Option<Row>)>),
    /// The other half: the row appears, whole.
    Place(MappingId, Box<(KeyBuf, Image)>),
    /// A timer that this document armed.
    Timer(Arc<TimerFired>),
}

impl Arrival {
    /// What happens; what is left is an arrival of nothing.
    #[inline]
    pub fn take(&mut self) -> What {
        std::mem::replace(&mut self.what, What::Changes(0, Vec::new()))
    }
}

/// A whole row on its way between two keys.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Image {
    /// The columns that have a slot: (slot of the home region, value).
    pub slots: Vec<(u32, Value)>,
    /// All columns, where the table keeps whole rows.
    pub whole: Option<Arc<RowMap>>,
}
