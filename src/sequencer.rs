//! The sequencer: one epoch per transaction, in one order, with due timers in their place.
//!
//! All inputs pass here. A timer that is due takes its own epoch before the first transaction whose commit time reaches it.
//! Time never moves backwards: an earlier commit time is raised to the latest one seen.
//!
//! Invariants:
//! - INV-SEQ-1: the epochs, and so every result, do not depend on how transactions are cut into batches. A batch therefore
//!   ends before a transaction that a timer armed *inside* the batch could precede: one that is at least the shortest timer delay
//!   younger than the batch's first. Where timers can be taken back, it also ends before a due timer.
//! - INV-SEQ-2: epochs are dense.
//!
//! Steps of goals follow the epoch that they are due after, each in an epoch of its own, before any timer or transaction ([`crate::goals`]).
//!
//! A transaction that is spilled is a batch of its own: its changes are read part by part, and go to the engine and to whoever else takes
//! parts, so that never more than a part of it is held here.
//!
//! Cost: O(log timers) per timer, O(1) per transaction. Next to read: [`crate::runtime`], `thalweg_engine`.

use std::collections::VecDeque;
use std::sync::Arc;

use thalweg_engine::Engine;
use thalweg_formulas::{Timestamp, Value};
use thalweg_graph::outcome::{Fired, Outcome, RuleId, TimerArmed};
use thalweg_graph::plan::Plan;
use thalweg_graph::ports::{Timer, TimerAct};
use thalweg_graph::transaction::{Body, Spill, TimerFired};
use thalweg_graph::{Change, Epoch, Transaction, ids};

mod timers;

use crate::goals::{GoalAct, GoalTold, Trainer};
use timers::Moved;
pub(crate) use timers::Timers;
pub use timers::{brought_forward, is_scheduled};

/// Orders inputs, steps the engine, keeps the timers that wait.
pub struct Sequencer {
    engine: Engine,
    plan: Arc<Plan>,
    waiting: VecDeque<Transaction>,
    timers: Timers,
    trainer: Trainer,
    /// The latest commit time seen.
    at: Timestamp,
    /// Nothing before this time will come any more: timers due by then may fire.
    clock: Timestamp,
}

/// What one step closed: the inputs with their epochs, and what came of them.
#[derive(Debug)]
pub struct Batch {
    /// The epoch of the first transaction.
    pub first: Epoch,
    /// The inputs, timer firings among them, one per epoch.
    pub transactions: Vec<Transaction>,
    /// What the engine made of them.
    pub outcome: Outcome,
    /// Timers that were armed.
    pub armed: Vec<Timer>,
    /// Ids of the timers that fired or were taken back.
    pub timers_done: Vec<Arc<str>>,
}

/// A part of a spilled transaction, on its way.
#[derive(Clone, Copy, Debug)]
pub struct Part<'a> {
    /// The transaction's epoch.
    pub epoch: Epoch,
    /// The transaction.
    pub head: &'a Transaction,
    /// How many changes came before this part.
    pub from: u64,
    /// The next changes, some thousands.
    pub changes: &'a [Change],
}

/// Takes the parts of a spilled transaction; `false`: no more.
pub type TakeParts<'a> = dyn FnMut(&Part<'_>) -> bool + 'a;

/// Why a batch was not closed.
#[derive(Debug, thiserror::Error)]
pub enum Halted {
    /// A spilled transaction cannot be read.
    #[error("a large transaction of source `{source_name}` cannot be read: {why}")]
    Unreadable {
        /// The source that it came from.
        source_name: Arc<str>,
        /// Code, place and cure.
        why: String,
    },
    /// Whoever takes the parts does not want them.
    #[error("the parts of a large transaction are not wanted")]
    Refused,
}

impl Batch {
    /// The transaction of an epoch of this batch.
    pub fn transaction(&self, epoch: Epoch) -> &Transaction {
        &self.transactions[(epoch - self.first) as usize]
    }

    /// The id of one action of a firing of this batch. The canonical key of a reaction begins with its table, since
    /// one rule may watch several.
    pub fn effect_id(&self, plan: &Plan, fired: &Fired, action: u32) -> String {
        let tx = self.transaction(fired.epoch);
        match fired.rule {
            RuleId::Effect(_) => ids::effect_id(&tx.origin, &fired.node, action, &fired.key, tx.at),
            RuleId::Reaction(n) => {
                let table = &plan.tables[plan.reactions[n as usize].table.0 as usize];
                let key: Vec<Value> = std::iter::once(Value::text(table.from.clone())).chain(fired.key.iter().cloned()).collect();
                ids::effect_id(&tx.origin, &fired.node, action, &key, tx.at)
            }
        }
    }
}

impl Sequencer {
    /// Goes on where `engine` stands, with the timers that wait.
    pub fn new(mut engine: Engine, plan: Arc<Plan>, timers: Vec<Timer>, at: Timestamp) -> Self {
        let mut timers = Timers::new(plan.clone(), timers);
        engine.appointments().iter().for_each(|due| timers.appoint(*due));
        let trainer = Trainer::new(plan.clone(), &mut engine);
        Self { engine, plan, waiting: VecDeque::new(), timers, trainer, at, clock: Timestamp(i64::MIN) }
    }

    /// The engine, for reading.
    pub fn engine(&mut self) -> &mut Engine {
        &mut self.engine
    }

    /// The plan it runs.
    pub fn plan(&self) -> &Arc<Plan> {
        &self.plan
    }

    /// Queues a transaction.
    pub fn offer(&mut self, transaction: Transaction) {
        self.waiting.push_back(transaction);
    }

    /// Tells that time has reached `now` and that nothing older is still to come: timers due by then fire.
    pub fn clock(&mut self, now: Timestamp) {
        self.clock = self.clock.max(now);
        if self.waiting.is_empty() {
            self.trainer.release();
            self.timers.skip_missed(self.clock);
        }
    }

    /// Transactions that wait.
    pub fn queued(&self) -> usize {
        self.waiting.len()
    }

    /// When the next timer is due.
    pub fn next_due(&self) -> Option<Timestamp> {
        self.timers.next_due()
    }

    /// Does what somebody asks of a timer, `now`; `false`: none that waits has this id. What moved is in [`Sequencer::moved_timers`].
    pub fn act(&mut self, act: &TimerAct, now: Timestamp) -> bool {
        self.timers.act(act, now)
    }

    /// Takes on what somebody asks of a goal: the next batches do it.
    ///
    /// # Errors
    /// There is no such goal.
    pub fn act_on_goal(&mut self, act: &GoalAct) -> Result<(), String> {
        self.trainer.act(act)
    }

    /// How goals stand, and what came of what was asked.
    pub fn tell_of_goals(&mut self) -> GoalTold {
        self.trainer.told(&mut self.engine)
    }

    /// Timers that wait.
    pub fn timers(&self) -> usize {
        self.timers.len()
    }

    /// Closes up to `max` epochs. `None` if nothing is to be done, or if less than `max` waits and `flush` is false.
    ///
    /// # Errors
    /// A spilled transaction cannot be read. The engine has a part of it: the sequencer is to be dropped.
    pub fn batch(&mut self, max: usize, flush: bool) -> Result<Option<Batch>, Halted> {
        self.batch_in_parts(max, flush, &mut |_| true)
    }

    /// The same; `parts` gets the parts of a spilled transaction as they are read, before the engine has them, and stops the reading with
    /// `false`.
    ///
    /// # Errors
    /// As [`Sequencer::batch`], and where `parts` said `false`.
    pub fn batch_in_parts(&mut self, max: usize, flush: bool, parts: &mut TakeParts<'_>) -> Result<Option<Batch>, Halted> {
        if !flush && self.waiting.len() < max && !self.trainer.is_due() {
            return Ok(None);
        }
        let first = self.engine.epoch() + 1;
        let transactions = self.take(max);
        let outcome = match &transactions[..] {
            [] => return Ok(None),
            [Transaction { body: Body::Spilled(spill), .. }] => self.stage(&transactions[0], spill.as_ref(), parts)?,
            held => {
                for transaction in held {
                    self.engine.push(transaction.clone());
                }
                self.engine.step()
            }
        };
        let origin = |armed: &TimerArmed| transactions[(armed.epoch - first) as usize].origin.clone();
        self.timers.follow(&outcome, &origin);
        self.trainer.closed(&transactions);
        let Moved { armed, done: timers_done } = self.timers.moved();
        Ok(Some(Batch { first, timers_done, armed, outcome, transactions }))
    }

    /// Timers armed and ids of timers that wait no more, without a transaction: a schedule's first time, or times that were left out.
    /// To be made durable like those of a batch.
    pub fn moved_timers(&mut self) -> (Vec<Timer>, Vec<Arc<str>>) {
        let Moved { armed, done } = self.timers.moved();
        (armed, done)
    }

    /// The inputs of the next batch: at most `max`, or one that is spilled.
    fn take(&mut self, max: usize) -> Vec<Transaction> {
        self.wind_up();
        if let Some(step) = self.trainer.next(&mut self.engine, self.at) {
            return vec![step];
        }
        let max = if self.trainer.watches() { 1 } else { max };
        let mut taken: Vec<Transaction> = Vec::new();
        while taken.len() < max {
            // A stream that tells no time at first may tell one now.
            self.wind_up();
            let Some(at) = self.next_at() else { break };
            if let Some(first) = taken.first()
                && (self.timers.could_overtake(first.at, at) || self.is_alone(at))
            {
                break;
            }
            taken.push(self.take_next(at));
            if matches!(taken[..], [.., Transaction { body: Body::Spilled(_), .. }]) {
                break;
            }
        }
        taken
    }

    /// Schedules that are new begin with the first input.
    fn wind_up(&mut self) {
        if self.timers.is_unwound() {
            let input = self.waiting.front().map(|next| next.at).or((self.clock > Timestamp(i64::MIN)).then_some(self.clock));
            if let Some(now) = input {
                self.timers.wind_up(now.max(self.at));
            }
        }
    }

    /// Whether the next input, at `at`, must begin a batch: a spilled transaction, or a timer that the batch so far may take back.
    fn is_alone(&self, at: Timestamp) -> bool {
        match self.due_by(Some(at)) {
            Some(_) => self.timers.revocable(),
            None => self.waiting.front().is_some_and(|next| matches!(next.body, Body::Spilled(_))),
        }
    }

    /// A spilled transaction through the engine.
    fn stage(&mut self, head: &Transaction, spill: &dyn Spill, parts: &mut TakeParts<'_>) -> Result<Outcome, Halted> {
        let epoch = self.engine.begin(head);
        let (mut from, mut wanted) = (0, true);
        let read = spill.read(&mut |changes| {
            wanted = parts(&Part { epoch, head, from, changes: &changes });
            from += changes.len() as u64;
            if wanted {
                self.engine.stage(changes);
            }
            wanted
        });
        match read {
            Err(why) => Err(Halted::Unreadable { source_name: head.source.clone(), why }),
            Ok(()) if !wanted => Err(Halted::Refused),
            Ok(()) => Ok(self.engine.step()),
        }
    }

    /// The time of the next input: a due timer's or the next transaction's, never before what has been seen.
    fn next_at(&self) -> Option<Timestamp> {
        let transaction = self.waiting.front().map(|t| t.at.max(self.at));
        match (self.due_by(transaction), transaction) {
            (Some(due), _) => Some(due.max(self.at)),
            (None, at) => at,
        }
    }

    /// The due time of the first timer, if it fires before a transaction at `next`. While a transaction waits, time is where that one
    /// is: the clock counts when nothing does, else what fires would depend on how many are taken at once (INV-SEQ-1).
    fn due_by(&self, next: Option<Timestamp>) -> Option<Timestamp> {
        let reached = next.unwrap_or(self.clock);
        self.next_due().filter(|due| *due <= reached)
    }

    fn take_next(&mut self, at: Timestamp) -> Transaction {
        let next = self.waiting.front().map(|t| t.at.max(self.at));
        self.at = at;
        if self.due_by(next).is_some() {
            let missed = next.is_none().then_some(self.clock);
            let timer = self.timers.pop(missed).expect("invariant INV-SEQ-1: a due timer waits");
            return firing(timer, at);
        }
        let mut transaction = self.waiting.pop_front().expect("invariant INV-SEQ-1: a transaction waits");
        transaction.at = at;
        transaction
    }
}

/// A timer that came due, as the transaction that it is.
pub(crate) fn firing(timer: Timer, at: Timestamp) -> Transaction {
    Transaction {
        source: "".into(),
        origin: timer.id.clone(),
        at,
        body: Body::Timer(TimerFired {
            id: timer.id,
            event: timer.event,
            table: timer.table,
            key: timer.key.iter().cloned().collect(),
            due: timer.due,
        }),
    }
}

#[cfg(test)]
mod tests;
