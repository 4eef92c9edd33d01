//! Time as an input: where it is, and the timers that wait for it.
//!
//! Invariant: a timer fires in its own epoch, before any transaction whose time reaches it, whoever steps and however often; its id and that
//! of its effects are those that a daemon would give.
//!
//! Next to read: [`crate::sequencer`], which does the same for a daemon.

use std::sync::Arc;

use thalweg_formulas::Timestamp;
use thalweg_graph::outcome::TimerArmed;
use thalweg_graph::{Outcome, Plan, Transaction};

use crate::sequencer::{Timers, firing};

/// The clock of one graph.
pub(super) struct Clock {
    now: Timestamp,
    timers: Timers,
    /// Origin and time of each epoch that is pushed and not closed; kept where there may be timers.
    open: Vec<(Arc<str>, Timestamp)>,
}

impl Clock {
    pub fn new(plan: Arc<Plan>) -> Clock {
        Clock { now: Timestamp(i64::MIN), timers: Timers::new(plan, Vec::new()), open: Vec::new() }
    }

    /// Goes on with the timers that wait, by another plan; documents wait for these times besides.
    pub fn replace(&mut self, plan: Arc<Plan>, appointments: Vec<Timestamp>) {
        self.timers = Timers::new(plan, self.timers.waiting());
        appointments.into_iter().for_each(|due| self.timers.appoint(due));
        self.timers.moved();
        self.reach(self.now);
    }

    pub fn now(&self) -> Timestamp {
        self.now
    }

    pub fn next_due(&self) -> Option<Timestamp> {
        self.timers.next_due()
    }

    /// Time does not go back: `at`, or where time is.
    pub fn not_before(&self, at: Timestamp) -> Timestamp {
        self.now.max(at)
    }

    /// Nothing older than `at` will come. Schedules begin with the first time that is told.
    pub fn reach(&mut self, at: Timestamp) {
        self.now = self.now.max(at);
        if self.timers.is_unwound() {
            self.timers.wind_up(self.now);
        }
    }

    /// Whether what is open could arm a timer that is due by `at`, or take one back.
    pub fn could_be_overtaken(&self, at: Timestamp) -> bool {
        let Some((_, first)) = self.open.first() else { return false };
        let revocable = self.timers.revocable() && self.next_due().is_some_and(|due| due <= at);
        revocable || self.timers.could_overtake(*first, at)
    }

    pub fn pushed(&mut self, transaction: &Transaction) {
        self.reach(transaction.at);
        if !self.timers.is_idle() {
            self.open.push((transaction.origin.clone(), transaction.at));
        }
    }

    /// What is open is closed, and came to this.
    pub fn closed(&mut self, outcome: &Outcome) {
        let open = std::mem::take(&mut self.open);
        let first = outcome.through + 1 - open.len() as u64;
        self.timers.follow(outcome, &|armed: &TimerArmed| open[(armed.epoch - first) as usize].0.clone());
        // Nothing is kept of what waits but the timers themselves.
        self.timers.moved();
    }

    /// The next timer that is due by `at`, as the transaction that it is.
    pub fn take_due(&mut self, at: Timestamp) -> Option<Transaction> {
        self.next_due().filter(|due| *due <= at)?;
        let timer = self.timers.pop(None)?;
        let at = self.not_before(timer.due);
        Some(firing(timer, at))
    }
}
