//! Goals at work: after a change of data their steps follow, each a transaction of its own.
//!
//! A step reads what stands after the last closed epoch (fields, slopes, what the optimiser keeps), and writes rows of the tables that goals own
//! ([`thalweg_graph::plan::Variable::values`], [`GOALS`]). So it is logged, delivered and brought back like a source's transaction, and whoever
//! looks between two epochs sees all fields of a goal before a step or after it.
//!
//! Invariants:
//! - INV-GOAL-1: a step depends on the closed epoch before it alone, so the same input gives the same steps, however it is cut into batches and
//!   on any number of workers; while a goal may step, a batch therefore ends at each transaction.
//! - INV-GOAL-2: what is left to do stands in the rows too. A start after a crash goes on with the step that the crash left out, bit for bit.
//!
//! Steps follow every epoch but their own. After rows that were there before anybody looked (fills) they wait until something else happens, so
//! that a first load is stepped once.
//!
//! Cost of a step: O(rows that are moved), and what their changes cost the graph. Next to read: `step`, which takes one.

mod acts;
mod rows;
mod step;

use std::collections::VecDeque;
use std::sync::Arc;

use thalweg_engine::Engine;
use thalweg_formulas::Timestamp;
use thalweg_graph::plan::{GOALS, Plan};
use thalweg_graph::transaction::{Body, STEP};
use thalweg_graph::{Change, Epoch, Transaction};

pub use acts::{GoalAct, GoalReport, GoalTold, Ledger, Taken};
pub use rows::Standing;
pub use step::Stop;

/// Steps the goals of a plan.
pub struct Trainer {
    plan: Arc<Plan>,
    /// By goal: how many steps may still follow.
    left: Vec<u64>,
    /// Only rows that were there before have come since the last step.
    held: bool,
    /// What somebody has asked for and is not in a transaction yet.
    writes: VecDeque<Write>,
    asked: Option<Asked>,
}

/// How a goal is to stand, whatever its slope.
struct Write {
    goal: usize,
    what: String,
    paused: Option<bool>,
    changes: Vec<Change>,
}

/// Steps that somebody asks for.
#[derive(Clone, Copy, Default)]
struct Asked {
    goal: usize,
    left: u64,
    taken: u64,
    stop: Option<Stop>,
}

impl Trainer {
    /// Goes on where `engine` stands.
    pub fn new(plan: Arc<Plan>, engine: &mut Engine) -> Trainer {
        let goals = plan.goals.len();
        let (writes, asked) = Default::default();
        let mut trainer = Trainer { plan, left: vec![0; goals], held: false, writes, asked };
        if engine.epoch() > 0 && trainer.watches() {
            trainer.resume(engine);
        }
        trainer
    }

    /// Goes on by another plan, which `engine` runs.
    pub fn replace(&mut self, plan: Arc<Plan>, engine: &mut Engine) {
        *self = Trainer { held: self.held, ..Trainer::new(plan, engine) };
    }

    /// Whether a goal steps when data changes, so that every epoch must be closed before the next.
    pub fn watches(&self) -> bool {
        self.plan.goals.iter().any(|goal| goal.online.is_some())
    }

    /// Whether a step may follow at once.
    pub fn is_due(&self) -> bool {
        let asked = !self.writes.is_empty() || self.asked.is_some_and(|asked| asked.left > 0);
        asked || !self.held && self.left.iter().any(|left| *left > 0)
    }

    /// Nothing more is being filled: what waits for that may follow.
    pub fn release(&mut self) {
        self.held = false;
    }

    /// Takes note of closed epochs.
    pub fn closed(&mut self, transactions: &[Transaction]) {
        for transaction in transactions.iter().filter(|transaction| !transaction.is_step()) {
            self.changed(matches!(transaction.body, Body::Fill(_)));
        }
    }

    /// Takes note of a closed epoch that was no step.
    pub fn changed(&mut self, is_fill: bool) {
        self.held = is_fill;
        self.wind_up();
    }

    /// The step that follows the last closed epoch, at time `at`; `None` if none does.
    pub fn next(&mut self, engine: &mut Engine, at: Timestamp) -> Option<Transaction> {
        if let Some(write) = self.writes.pop_front() {
            return Some(self.write(engine, write, at));
        }
        if let Some(step) = self.next_asked(engine, at) {
            return Some(step);
        }
        if self.held {
            return None;
        }
        for goal in 0..self.left.len() {
            while self.left[goal] > 0 {
                match self.step(engine, goal, self.left[goal] - 1, at) {
                    Ok(step) => {
                        self.left[goal] -= 1;
                        return Some(step);
                    }
                    Err(_) => self.left[goal] = 0,
                }
            }
        }
        None
    }

    /// A step of goal number `goal` that somebody asks for, whatever data does; `left` more may follow by themselves.
    ///
    /// # Errors
    /// Why there is nothing to do.
    pub fn step(&mut self, engine: &mut Engine, goal: usize, left: u64, at: Timestamp) -> Result<Transaction, Stop> {
        let lefts: Vec<(usize, u64)> =
            self.left.iter().enumerate().map(|(of, n)| (of, if of == goal { left } else { *n })).collect();
        step::step(&self.plan, engine, goal, &lefts, at)
    }

    /// Takes on what somebody asks; it is done by the transactions that follow.
    ///
    /// # Errors
    /// There is no such goal.
    pub fn act(&mut self, act: &GoalAct) -> Result<(), String> {
        let Some(name) = act.goal() else { return Ok(()) };
        let Some(goal) = self.plan.goals.iter().position(|goal| *goal.name == *name) else {
            let known: Vec<&str> = self.plan.goals.iter().map(|goal| &*goal.name).collect();
            return Err(format!("there is no goal `{name}` with fields of its own: {}", known.join(", ")));
        };
        match act {
            GoalAct::List => {}
            GoalAct::Train { steps, .. } => self.asked = Some(Asked { goal, left: *steps, ..Asked::default() }),
            GoalAct::Pause { paused, .. } => {
                self.left[goal] = if *paused { 0 } else { self.plan.goals[goal].online.unwrap_or(0) };
                let what = if *paused { "pause" } else { "on" }.to_owned();
                self.writes.push_back(Write { goal, what, paused: Some(*paused), changes: Vec::new() });
            }
            GoalAct::Rollback { step, changes, .. } => {
                self.left[goal] = 0;
                let own = |change: &&Change| self.plan.goals[goal].variables.iter().any(|v| v.values == change.schema.table);
                let changes = changes.iter().filter(own).cloned().collect();
                self.writes.push_back(Write { goal, what: format!("back to {step}"), paused: None, changes });
            }
        }
        Ok(())
    }

    /// How all goals stand, and what came of the steps that were asked for.
    pub fn told(&mut self, engine: &mut Engine) -> GoalTold {
        let asked = self.asked.take().unwrap_or_default();
        let goals = (0..self.left.len()).map(|goal| self.report(engine, goal)).collect();
        GoalTold { goals, taken: asked.taken, stop: asked.stop.map(|stop| stop.word().to_owned()) }
    }

    fn report(&mut self, engine: &mut Engine, goal: usize) -> GoalReport {
        let standing = self.standing(engine, goal);
        let wanted = &self.plan.goals[goal];
        let value = |field: &str, engine: &mut Engine| engine.read(field, &[]).and_then(|cell| rows::double(&cell));
        let values: Vec<Option<f64>> = wanted.objectives.iter().map(|of| value(&of.field, engine)).collect();
        let losses = wanted.objectives.iter().zip(&values).map(|(of, value)| value.map(|value| of.loss(value)));
        let state = match step::step(&self.plan, engine, goal, &[], Timestamp(0)) {
            Ok(_) => "due",
            Err(stop) => stop.word(),
        };
        GoalReport {
            name: wanted.name.to_string(),
            steps: standing.steps,
            epoch: standing.epoch,
            left: self.left[goal],
            paused: standing.paused,
            loss: losses.sum(),
            metric: values.first().copied().flatten(),
            state: state.to_owned(),
        }
    }

    fn next_asked(&mut self, engine: &mut Engine, at: Timestamp) -> Option<Transaction> {
        let mut asked = self.asked.filter(|asked| asked.left > 0)?;
        let step = self.step(engine, asked.goal, self.left[asked.goal], at);
        match &step {
            Ok(_) => (asked.left, asked.taken) = (asked.left - 1, asked.taken + 1),
            Err(stop) => (asked.left, asked.stop) = (0, Some(*stop)),
        }
        self.asked = Some(asked);
        step.ok()
    }

    /// A transaction that says how a goal stands from now on.
    fn write(&self, engine: &mut Engine, write: Write, at: Timestamp) -> Transaction {
        let goal = &self.plan.goals[write.goal];
        let before = rows::standing(engine, goal);
        let epoch = engine.epoch() + 1;
        let standing = Standing { epoch, left: self.left[write.goal], paused: write.paused.unwrap_or(before.paused), ..before };
        let mut changes = write.changes;
        changes.push(rows::goal_row(&goal.name, &standing));
        let origin = format!("goal {} {} {epoch}", goal.name, write.what).into();
        Transaction { source: STEP.into(), origin, at, body: Body::Changes(changes) }
    }

    /// How goal number `goal` stands.
    pub fn standing(&self, engine: &mut Engine, goal: usize) -> Standing {
        rows::standing(engine, &self.plan.goals[goal])
    }

    /// Every goal that steps when data changes may take all its steps.
    fn wind_up(&mut self) {
        for (left, goal) in self.left.iter_mut().zip(&self.plan.goals) {
            *left = goal.online.unwrap_or(0);
        }
    }

    /// What is left to do stands in the rows, if the last epoch was a step; else all of it is (INV-GOAL-2).
    fn resume(&mut self, engine: &mut Engine) {
        let standings: Vec<Standing> = self.plan.goals.iter().map(|goal| rows::standing(engine, goal)).collect();
        let last: Epoch = standings.iter().map(|standing| standing.epoch).max().unwrap_or(0);
        if last == engine.epoch() {
            self.left = standings.iter().map(|standing| standing.left).collect();
        } else {
            self.wind_up();
        }
    }
}

/// The tables that only steps write, among those of a plan.
pub fn own_tables(plan: &Plan) -> impl Iterator<Item = &str> {
    let values = plan.goals.iter().flat_map(|goal| goal.variables.iter().map(|variable| &*variable.values));
    values.chain((!plan.goals.is_empty()).then_some(GOALS))
}
