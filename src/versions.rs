//! What a node of the graph went through, from what steps tell of it.
//!
//! A delta tells what a reader sees, which behind an error is the last good value; a version is what the document has: its value or its error, from an
//! epoch on, until the next one.

use std::collections::BTreeMap;
use std::sync::Arc;

use thalweg_formulas::{Cell, Error, Value};
use thalweg_graph::outcome::Key;
use thalweg_graph::{Epoch, Outcome};

/// What a document has.
#[derive(Clone, Debug, PartialEq)]
pub enum Had {
    /// A value.
    Value(Value),
    /// An error.
    Error(Error),
    /// It went.
    Gone,
}

impl Had {
    /// As a cell; `None`: the document is not there.
    pub fn cell(&self) -> Option<Cell> {
        match self {
            Had::Value(value) => Some(Ok(value.clone())),
            Had::Error(error) => Some(Err(error.clone())),
            Had::Gone => None,
        }
    }
}

/// The past of one field or column, step by step.
pub struct Past {
    node: Arc<str>,
    /// How each document stands.
    standing: BTreeMap<Key, Standing>,
}

#[derive(Clone, Debug)]
struct Standing {
    /// The last good value.
    value: Value,
    error: Option<Error>,
}

/// What an epoch tells of a document.
#[derive(Default)]
struct Moved {
    value: Option<Value>,
    gone: bool,
    error: Option<Error>,
    cleared: bool,
}

impl Past {
    /// Of a node of which nothing is known yet.
    pub fn new(node: Arc<str>) -> Past {
        Past { node, standing: BTreeMap::new() }
    }

    /// How a document stands before the first step.
    pub fn begin(&mut self, key: &Key, cell: &Cell) {
        let value = cell.clone().unwrap_or(Value::Null);
        self.standing.insert(key.clone(), Standing { value, error: cell.clone().err() });
    }

    /// The versions that a step brings, by epoch and key. NULL from the start is no version.
    pub fn take(&mut self, outcome: &Outcome) -> Vec<(Epoch, Key, Had)> {
        let mut moves: BTreeMap<(Epoch, Key), Moved> = BTreeMap::new();
        for delta in outcome.deltas.sorted().into_iter().filter(|delta| delta.node == self.node) {
            let moved = moves.entry((delta.epoch, delta.key)).or_default();
            (moved.value, moved.gone) = (Some(delta.new), delta.gone);
        }
        for error in outcome.errors.iter().filter(|error| error.node == self.node) {
            let moved = moves.entry((error.epoch, error.key.clone())).or_default();
            if error.cleared { moved.cleared = true } else { moved.error = Some(error.error.clone()) }
        }
        moves.into_iter().map(|((epoch, key), moved)| (epoch, key.clone(), self.stands(&key, moved))).collect()
    }

    /// What a document has after an epoch: its error, or the value that it last had.
    fn stands(&mut self, key: &Key, moved: Moved) -> Had {
        let standing = self.standing.entry(key.clone()).or_insert(Standing { value: Value::Null, error: None });
        moved.value.into_iter().for_each(|value| standing.value = value);
        if moved.error.is_some() || moved.cleared {
            standing.error = moved.error;
        }
        match &standing.error {
            _ if moved.gone => {
                self.standing.remove(key);
                Had::Gone
            }
            Some(error) => Had::Error(error.clone()),
            None => Had::Value(standing.value.clone()),
        }
    }
}
