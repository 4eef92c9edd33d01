//! A graph at work in the thread that owns it: no store, no files, no sockets, no threads of its own (with one worker).

use std::collections::BTreeMap;
use std::sync::Arc;

use thalweg_engine::Engine;
use thalweg_formulas::{Cell, Value};
use thalweg_graph::outcome::Fired;
use thalweg_graph::{Epoch, Outcome, Transaction};

/// What an effect does: called once per firing, in the order of the outcome.
pub type Handler = Box<dyn FnMut(&Fired)>;

/// A running graph, stepped by hand.
pub struct LiveGraph {
    engine: Engine,
    handlers: BTreeMap<Arc<str>, Handler>,
}

impl LiveGraph {
    pub(super) fn new(engine: Engine, handlers: BTreeMap<Arc<str>, Handler>) -> Self {
        Self { engine, handlers }
    }

    /// Takes a transaction as the next epoch; nothing runs yet.
    pub fn push(&mut self, transaction: impl Into<Transaction>) -> Epoch {
        self.engine.push(transaction.into())
    }

    /// Closes every pushed epoch and runs the handlers of what has fired.
    pub fn step(&mut self) -> Outcome {
        let outcome = self.engine.step();
        for fired in &outcome.fired {
            if let Some(handler) = self.handlers.get_mut(&fired.node) {
                handler(fired);
            }
        }
        outcome
    }

    /// One transaction, at once.
    pub fn apply(&mut self, transaction: impl Into<Transaction>) -> Outcome {
        self.push(transaction);
        self.step()
    }

    /// A field or column of one document; `None` if the document is not there.
    pub fn get<V: Into<Value>, const N: usize>(&mut self, node: &str, key: [V; N]) -> Option<Cell> {
        self.engine.read(node, &key.map(Into::into))
    }

    /// The engine underneath.
    pub fn engine(&mut self) -> &mut Engine {
        &mut self.engine
    }
}
