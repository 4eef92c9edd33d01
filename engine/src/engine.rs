//! The engine as others drive it: transactions in, one outcome a step.

use std::sync::Arc;

use thalweg_formulas::{Cell, Value};
use thalweg_graph::outcome::{Document, NodeStats};
use thalweg_graph::state::EngineState;
use thalweg_graph::{Epoch, Outcome, Plan, Transaction};

/// How an engine runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Timely workers. With 1 the engine has no thread of its own and runs inside [`Engine::step`].
    pub workers: usize,
    /// Also report deltas of columns (`apply --state`); every table then keeps its whole rows.
    pub state_deltas: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { workers: 1, state_deltas: false }
    }
}

/// Runs a plan. Not `Send`: build it on the thread that steps it.
pub struct Engine {
    plan: Arc<Plan>,
    epoch: Epoch,
    pending: Vec<(Epoch, Transaction)>,
}

impl Engine {
    /// An engine over `plan`, with no rows yet.
    pub fn new(plan: Arc<Plan>, options: Options) -> Engine {
        let _ = options;
        Engine { plan, epoch: 0, pending: Vec::new() }
    }

    /// The last closed epoch; 0 before the first.
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Takes a transaction as the next epoch, which it returns. Runs nothing.
    pub fn push(&mut self, tx: Transaction) -> Epoch {
        let epoch = self.epoch + self.pending.len() as u64 + 1;
        self.pending.push((epoch, tx));
        epoch
    }

    /// Closes every pushed epoch as one batch. The outcome is the same for any batching and any number of workers.
    pub fn step(&mut self) -> Outcome {
        self.epoch += self.pending.drain(..).len() as u64;
        Outcome { through: self.epoch, ..Outcome::default() }
    }

    /// Takes over what rows cannot rebuild; call it on a new engine, before the first push.
    pub fn import(&mut self, state: EngineState) {
        self.epoch = state.epoch;
    }

    /// What rows cannot rebuild, at the last closed epoch.
    pub fn export(&mut self) -> EngineState {
        EngineState { epoch: self.epoch, ..EngineState::default() }
    }

    /// A derived field (`Order.total`) or a column (`Order.price`) of one live document.
    pub fn read(&mut self, node: &str, key: &[Value]) -> Option<Cell> {
        let _ = (node, key);
        None
    }

    /// Every live document's derived fields, sorted by node and key.
    pub fn documents(&mut self) -> Vec<Document> {
        Vec::new()
    }

    /// The names of a document type's key columns: from the plan, or from the first schema seen.
    pub fn key_names(&self, table: &str) -> Arc<[Arc<str>]> {
        let _ = (table, &self.plan);
        Arc::new([])
    }

    /// What each node holds and has cost so far.
    pub fn stats(&mut self) -> Vec<NodeStats> {
        Vec::new()
    }
}
