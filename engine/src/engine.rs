//! The engine as others drive it: transactions in, one outcome a step.

use std::sync::Arc;

use thalweg_formulas::{Cell, Timestamp, Value};
use thalweg_graph::outcome::{Deltas, Document, Key, NodeStats};
use thalweg_graph::state::EngineState;
use thalweg_graph::{Change, Epoch, Outcome, Plan, Transaction};

use crate::context::EpochInfo;
use crate::driver::Driver;
use crate::names::Names;
use crate::outcome;
use crate::replace::{Lacks, Replaced};

/// How an engine runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Timely workers, at least 1. With 1 the engine has no thread of its own and runs inside [`Engine::step`].
    pub workers: usize,
    /// Also report deltas of columns (`apply --state`); every table then keeps its whole rows.
    pub state_deltas: bool,
    /// The most row changes of a step that the caller's thread runs by itself, however many workers there are: to wake them takes as long as
    /// some dozens of changes. With 0 they run everything.
    pub inline_max: usize,
    /// Every table keeps its whole rows, also columns that nothing reads: so that [`Engine::replace`] can take any plan over the same tables.
    pub keep_columns: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { workers: 1, state_deltas: false, inline_max: 128, keep_columns: false }
    }
}

/// One live document as it stands, as far as the engine keeps it.
#[derive(Clone, Debug, PartialEq)]
pub struct Standing {
    /// Its key.
    pub key: Key,
    /// The nodes that were asked for, in their order; `None` where the engine does not keep one.
    pub cells: Vec<Option<Cell>>,
    /// The whole row as a map of its columns, where the table keeps whole rows.
    pub row: Option<Value>,
}

/// Runs a plan. Not `Send`: build it on the thread that steps it.
///
/// Life: [`Engine::new`], perhaps [`Engine::import`], then any number of [`Engine::push`] and [`Engine::step`]. Between steps it can
/// be read and exported; what was pushed and not yet stepped is not seen. A transaction that is too large to be held comes in parts:
/// [`Engine::begin`], [`Engine::stage`] as often as needed, and a step that closes it.
pub struct Engine {
    names: Names,
    driver: Driver,
    pending: Vec<Transaction>,
    epoch: Epoch,
    options: Options,
    reports_fills: bool,
}

impl Engine {
    /// An engine over `plan`, with no rows yet.
    pub fn new(plan: Arc<Plan>, options: Options) -> Engine {
        let driver = Driver::new(plan.clone(), &options);
        Engine { names: Names::new(&plan), driver, pending: Vec::new(), epoch: 0, options, reports_fills: true }
    }

    /// The last closed epoch; 0 before the first.
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Takes a transaction as the next epoch, which it returns. Runs nothing. What is spilled is read by the step, which panics if it
    /// cannot be: where that may be, stage it.
    pub fn push(&mut self, tx: Transaction) -> Epoch {
        self.pending.push(tx);
        self.epoch + self.pending.len() as Epoch
    }

    /// Opens the next epoch, which it returns, for the transaction `head` whose changes come in parts. What was pushed before must have
    /// been stepped. Until the next step, which closes the epoch, the engine takes [`Engine::stage`] only and is not read; an engine whose
    /// parts stop coming is to be dropped. The body of `head` only says whether it is a fill.
    pub fn begin(&mut self, head: &Transaction) -> Epoch {
        assert!(self.pending.is_empty() && !self.driver.is_staging(), "invariant: a staged epoch is alone in its batch");
        self.driver.begin(self.epoch + 1, EpochInfo { large: true, ..EpochInfo::of(head) });
        self.epoch + 1
    }

    /// Takes the next changes of the transaction that was begun. The same changes cut otherwise give the same outcome.
    ///
    /// Cost: memory for what the changes touch until the epoch is closed: 24 bytes a row, and the old values of rows that were there before.
    pub fn stage(&mut self, part: Vec<Change>) {
        self.driver.stage(part);
    }

    /// Closes every pushed epoch as one batch, or the staged one. The outcome is the same for any batching and any number of workers.
    pub fn step(&mut self) -> Outcome {
        let first = self.epoch + 1;
        let mut outcome = if self.driver.is_staging() {
            self.epoch += 1;
            self.driver.finish()
        } else {
            self.epoch += self.pending.len() as Epoch;
            self.driver.run(first, &mut self.pending)
        };
        outcome.through = self.epoch;
        outcome::sort(&mut outcome);
        outcome
    }

    /// Takes back deltas that have been read, so that the next step writes into their memory instead of new.
    pub fn recycle(&mut self, deltas: Deltas) {
        self.driver.recycle(deltas);
    }

    /// Whether fills, and transactions that come in parts, report deltas, as they do unless told otherwise. Millions of rows whose deltas
    /// nobody wants are faster and need half the memory without. Errors are reported in any case.
    pub fn report_fills(&mut self, wanted: bool) {
        self.reports_fills = wanted;
        self.driver.report_fills(wanted);
    }

    /// Takes over what rows cannot rebuild; call it on a new engine, before the first push. Then bring the rows back by fills, in any
    /// number of steps, and end with [`Engine::resume_at`] or with the first transaction that is no fill.
    pub fn import(&mut self, state: EngineState) {
        self.epoch = state.epoch;
        self.driver.import(state);
    }

    /// Ends a restart. Numbers the epochs from `epoch` on: what was filled from a snapshot of that epoch counts as there at its end.
    pub fn resume_at(&mut self, epoch: Epoch) {
        self.driver.thaw(epoch);
        self.epoch = epoch;
    }

    /// Lets another plan take the place of the one that runs, at the end of the last closed epoch; what was pushed must have been stepped. Nothing fires and
    /// nothing is told: fields, self-references, latches, versions and what waits for the clock go on where both plans have them by name, and what is new is
    /// computed from the rows that are there. It means what a restart with the other plan means.
    ///
    /// `given` are inserts of rows for tables whose own rows are to be forgotten, because they lack columns; it may be empty. Those of them that are
    /// refused come back as errors.
    ///
    /// # Errors
    /// Columns that the plan reads and the engine does not keep ([`Options::keep_columns`]); nothing has changed.
    pub fn replace(&mut self, plan: Arc<Plan>, given: Vec<Change>) -> Result<Replaced, Lacks> {
        assert!(self.pending.is_empty() && !self.driver.is_staging(), "invariant: a plan is replaced at a closed epoch");
        self.driver.thaw(self.epoch);
        let (mut next, replaced) = self.driver.replaced(plan.clone(), &self.options, self.epoch, given)?;
        next.report_fills(self.reports_fills);
        self.driver = next;
        self.names = Names::new(&plan);
        Ok(replaced)
    }

    /// The times for which documents wait to be published, sorted, each once: what outcomes have asked for and has not come yet, also over a
    /// restart.
    pub fn appointments(&mut self) -> Vec<Timestamp> {
        let mut times = self.driver.appointments();
        times.sort_unstable();
        times.dedup();
        times
    }

    /// What rows cannot rebuild, at the last closed epoch; sorted, so that equal states are equal bytes.
    pub fn export(&mut self) -> EngineState {
        let mut state = self.driver.export();
        state.epoch = self.epoch;
        state.selves.sort();
        state.triggers.sort();
        state.held.sort();
        state
    }

    /// A derived field (`Order.total`) or a column (`Order.price`) of one live document. A lazy field is computed now, if a change has reached it since
    /// it was last asked for; the same holds for [`Engine::rows`] and [`Engine::documents`].
    pub fn read(&mut self, node: &str, key: &[Value]) -> Option<Cell> {
        self.driver.read(self.names.target(node)?, key)
    }

    /// The lazy fields that are kept from now on, as any others are: computed at once, their deltas told. Those that were and are not among `fields` wait
    /// again until somebody asks. Names of no lazy field mean nothing here.
    ///
    /// Cost: of a field that comes to them, one computation for each of its documents.
    pub fn follow<'a>(&mut self, fields: impl IntoIterator<Item = &'a str>) {
        let fields = fields.into_iter().filter_map(|field| self.names.lazy_field(field)).collect();
        self.driver.follow(fields);
    }

    /// Every live document of a table with these fields and columns (`Order.total`), sorted by key; the global document has the table `""`.
    ///
    /// Cost: O(documents × nodes), and an allocation for each document.
    pub fn rows(&mut self, table: &str, nodes: &[&str]) -> Vec<Standing> {
        let Some(table) = self.names.table(table) else { return Vec::new() };
        let targets = nodes.iter().map(|node| self.names.target(node)).collect();
        let mut rows = self.driver.rows(table, &targets);
        rows.sort_by(|a, b| a.key.cmp(&b.key));
        rows
    }

    /// Every live document's derived fields, sorted by node and key. Before the first epoch: the global document as it will be born.
    pub fn documents(&mut self) -> Vec<Document> {
        let mut documents = if self.driver.has_started() { self.driver.documents() } else { self.driver.unborn() };
        documents.sort_by(|a, b| a.node.cmp(&b.node).then_with(|| a.key.cmp(&b.key)));
        documents
    }

    /// The names of a document type's key columns: from the plan, or from the first schema seen; empty while unknown.
    pub fn key_names(&self, table: &str) -> Arc<[Arc<str>]> {
        let names = self.names.table(table).and_then(|table| self.driver.key_names(table));
        names.unwrap_or_else(|| Arc::new([]))
    }

    /// What each node holds and has cost so far.
    pub fn stats(&mut self) -> Vec<NodeStats> {
        self.driver.stats()
    }
}
