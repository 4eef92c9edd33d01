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
//! Cost of a step: O(rows that are moved), and what their changes cost the graph. Next to read: [`step`].

mod rows;
mod step;

use std::sync::Arc;

use thalweg_engine::Engine;
use thalweg_formulas::Timestamp;
use thalweg_graph::plan::{GOALS, Plan};
use thalweg_graph::transaction::Body;
use thalweg_graph::{Epoch, Transaction};

pub use rows::Standing;
pub use step::Stop;

/// Steps the goals of a plan.
pub struct Trainer {
    plan: Arc<Plan>,
    /// By goal: how many steps may still follow.
    left: Vec<u64>,
    /// Only rows that were there before have come since the last step.
    held: bool,
}

impl Trainer {
    /// Goes on where `engine` stands.
    pub fn new(plan: Arc<Plan>, engine: &mut Engine) -> Trainer {
        let goals = plan.goals.len();
        let mut trainer = Trainer { plan, left: vec![0; goals], held: false };
        if engine.epoch() > 0 && trainer.watches() {
            trainer.resume(engine);
        }
        trainer
    }

    /// Whether a goal steps when data changes, so that every epoch must be closed before the next.
    pub fn watches(&self) -> bool {
        self.plan.goals.iter().any(|goal| goal.online.is_some())
    }

    /// Whether a step may follow at once.
    pub fn is_due(&self) -> bool {
        !self.held && self.left.iter().any(|left| *left > 0)
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
