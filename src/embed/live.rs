//! A graph at work in the thread that owns it: no store, no files, no sockets, no threads of its own (with one worker).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use thalweg_engine::{Engine, Options};
use thalweg_formulas::{Cell, Timestamp, Value, coerce};
use thalweg_graph::outcome::Fired;
use thalweg_graph::transaction::Body;
use thalweg_graph::{Change, Epoch, GraphSpec, Outcome, Plan, Transaction};

use super::clock::Clock;
use super::feed::Feed;
use crate::dsl::Definition;
use crate::goals::{Standing, Stop, Trainer};

/// What an effect does: called once per firing, in the order of the outcome.
pub type Handler = Box<dyn FnMut(&Fired) + Send>;

/// What a graph does about firings.
#[derive(Default)]
pub(crate) struct Handlers {
    pub by_name: BTreeMap<Arc<str>, Handler>,
    /// Reactions that only arm a timer of [`Effect::after`](crate::dsl::Effect::after): nobody has asked for them.
    pub silent: BTreeSet<Arc<str>>,
}

/// A running graph, stepped by hand.
///
/// It is not `Send`: build it in the thread that steps it, or let [`Graph::spawn`](crate::dsl::Graph::spawn) do both.
pub struct LiveGraph {
    pub(super) engine: Engine,
    pub(super) plan: Arc<Plan>,
    pub(super) feed: Feed,
    /// The definition as it was given.
    pub(super) spec: GraphSpec,
    /// Every column is kept and told of.
    pub(super) keeps_columns: bool,
    /// Every column is kept.
    pub(super) keeps_rows: bool,
    pub(super) clock: Clock,
    pub(super) trainer: Trainer,
    pub(super) handlers: Handlers,
    /// What epochs came to that had to be closed before the step that was asked for.
    early: Option<Outcome>,
}

impl LiveGraph {
    pub(crate) fn new(definition: Definition, options: Options) -> Self {
        let Definition { spec, plan, handlers } = definition;
        let keeps_columns = options.state_deltas;
        let keeps_rows = keeps_columns || options.keep_columns;
        let mut engine = Engine::new(plan.clone(), options);
        let clock = Clock::new(plan.clone());
        let trainer = Trainer::new(plan.clone(), &mut engine);
        Self { engine, plan, feed: Feed::default(), spec, keeps_columns, keeps_rows, clock, trainer, handlers, early: None }
    }

    /// Takes a transaction as the next epoch, which it returns; what comes of it is told by the next step.
    ///
    /// Its time is never before that of what was pushed before. Timers that are due by then fire first, each in an epoch of its own.
    pub fn push(&mut self, transaction: impl Into<Transaction>) -> Epoch {
        let mut transaction = transaction.into();
        let at = self.clock.not_before(transaction.at);
        if self.clock.could_be_overtaken(at) {
            self.close_early();
        }
        self.fire_due(at);
        transaction.at = at;
        self.clock.pushed(&transaction);
        if !self.trainer.watches() {
            return self.engine.push(transaction);
        }
        self.close_early();
        let is_fill = matches!(transaction.body, Body::Fill(_));
        let epoch = self.engine.push(transaction);
        self.close_early();
        self.trainer.changed(is_fill);
        self.take_steps();
        epoch
    }

    /// Closes every pushed epoch, runs the handlers of what has fired, and tells the subscribers.
    pub fn step(&mut self) -> Outcome {
        self.close_early();
        self.early.take().unwrap_or_default()
    }

    /// One transaction, at once.
    pub fn apply(&mut self, transaction: impl Into<Transaction>) -> Outcome {
        self.push(transaction);
        self.step()
    }

    /// Rows that were there before anybody looked: latches are set, nothing fires. One epoch however many they are.
    pub fn fill(&mut self, rows: Vec<Change>) -> Outcome {
        let body = Body::Fill(rows);
        self.apply(Transaction { source: "".into(), origin: "fill".into(), at: Timestamp(0), body })
    }

    /// Time is an input: nothing older than `at` will come, so every timer that is due by then fires, in an epoch of its own, in the order
    /// in which they are due. What was pushed is closed first.
    ///
    /// ```
    /// use thalweg::prelude::*;
    ///
    /// let mut graph = Graph::new();
    /// graph.state(State::document("Order").key("id"));
    /// graph.effect("reminder", Effect::when_changed("Order").after("15m").provided(|ctx| ctx.get("status") == "open"));
    /// let mut live = graph.start()?;
    ///
    /// let minutes = |n: i64| Timestamp(n * 60_000_000);
    /// live.apply(Changes::new("tx-1").at(minutes(0)).insert("Order", [("id", Value::Int(1)), ("status", "open".into())]));
    /// assert!(live.advance_to(minutes(14)).fired.is_empty());
    /// assert_eq!(live.advance_to(minutes(16)).fired[0].key[0], Value::Int(1));
    /// # Ok::<(), DefinitionError>(())
    /// ```
    pub fn advance_to(&mut self, at: Timestamp) -> Outcome {
        self.close_early();
        self.fire_due(at);
        self.clock.reach(at);
        self.trainer.release();
        self.take_steps();
        self.step()
    }

    /// The time that has been reached; before anything, the least there is.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// When the next timer is due.
    pub fn next_due(&self) -> Option<Timestamp> {
        self.clock.next_due()
    }

    /// The last closed epoch; 0 before the first.
    pub fn epoch(&self) -> Epoch {
        self.engine.epoch()
    }

    /// A field or column of one document; `None` if the document is not there.
    pub fn get<V: Into<Value>, const N: usize>(&mut self, node: &str, key: [V; N]) -> Option<Cell> {
        let key = self.key_of(node.rsplit_once('.').map_or("", |(table, _)| table), key);
        self.engine.read(node, &key)
    }

    /// Takes up to `steps` steps of a goal, each in an epoch of its own, and tells what came of them all; and why it stopped before.
    /// `None`: there is no such goal.
    pub fn train(&mut self, goal: &str, steps: u64) -> Option<(Outcome, Option<Stop>)> {
        let goal = self.plan.goals.iter().position(|known| *known.name == *goal)?;
        self.close_early();
        let mut stop = None;
        for _ in 0..steps {
            match self.trainer.step(&mut self.engine, goal, 0, self.clock.now()) {
                Ok(step) => {
                    self.engine.push(step);
                    self.close_early();
                }
                Err(why) => {
                    stop = Some(why);
                    break;
                }
            }
        }
        Some((self.step(), stop))
    }

    /// How a goal stands; `None`: there is no such goal.
    pub fn goal(&mut self, goal: &str) -> Option<Standing> {
        let goal = self.plan.goals.iter().position(|known| *known.name == *goal)?;
        Some(self.trainer.standing(&mut self.engine, goal))
    }

    /// The engine underneath.
    pub fn engine(&mut self) -> &mut Engine {
        &mut self.engine
    }

    /// The definition that it runs, as data.
    pub fn spec(&self) -> &GraphSpec {
        &self.spec
    }

    /// The checked graph that it runs.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// A key in the types of the table's key columns; left as it is where it does not fit them, for then no document has it.
    pub(super) fn key_of<V: Into<Value>>(&self, table: &str, key: impl IntoIterator<Item = V>) -> Vec<Value> {
        let key: Vec<Value> = key.into_iter().map(Into::into).collect();
        let Some((table, columns)) = self.plan.table(table).and_then(|(_, table)| Some((table, table.key.as_ref()?))) else {
            return key;
        };
        let typed = key.iter().zip(columns).map(|(value, at)| coerce::coerce(value.clone(), &table.columns[at.0 as usize].ty));
        let typed: Result<Vec<Value>, String> = typed.collect();
        typed.ok().filter(|typed| typed.len() == key.len()).unwrap_or(key)
    }

    /// Timers that are due by `at`, one epoch each; one of them may arm the next.
    fn fire_due(&mut self, at: Timestamp) {
        while let Some(firing) = self.clock.take_due(at) {
            self.clock.pushed(&firing);
            self.engine.push(firing);
            self.close_early();
            self.trainer.changed(false);
            self.take_steps();
        }
    }

    /// The steps of goals that follow what is closed, one epoch each.
    fn take_steps(&mut self) {
        while let Some(step) = self.trainer.next(&mut self.engine, self.clock.now()) {
            self.engine.push(step);
            self.close_early();
        }
    }

    /// Closes what is pushed; what came of it waits for the step that tells.
    pub(super) fn close_early(&mut self) {
        let mut outcome = self.engine.step();
        self.clock.closed(&outcome);
        self.publish(&outcome);
        outcome.fired.retain(|fired| !self.handlers.silent.contains(&fired.node));
        for fired in &outcome.fired {
            if let Some(handler) = self.handlers.by_name.get_mut(&fired.node) {
                handler(fired);
            }
        }
        match &mut self.early {
            Some(all) => join(all, outcome),
            none => *none = Some(outcome),
        }
    }
}

/// Adds what later epochs came to.
fn join(all: &mut Outcome, next: Outcome) {
    all.through = next.through;
    all.deltas.append(next.deltas);
    all.fired.extend(next.fired);
    all.errors.extend(next.errors);
    all.timers.extend(next.timers);
    all.cancelled.extend(next.cancelled);
    all.appointments.extend(next.appointments);
    all.counts.changes += next.counts.changes;
    all.counts.redundant += next.counts.redundant;
    all.counts.contradicted += next.counts.contradicted;
    all.counts.cells += next.counts.cells;
}
