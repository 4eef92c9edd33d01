//! Time as an input: where it is, and the timers that wait for it.
//!
//! Invariant: a timer fires in its own epoch, before any transaction whose time reaches it, whoever steps and however often; its id and that
//! of its effects are those that a daemon would give.
//!
//! Next to read: [`crate::sequencer`], which does the same for a daemon.

use std::collections::BTreeMap;
use std::sync::Arc;

use thalweg_formulas::Timestamp;
use thalweg_graph::ports::Timer;
use thalweg_graph::{Outcome, Plan, Transaction};

use crate::sequencer::{armed, firing};

/// The clock of one graph.
pub(super) struct Clock {
    now: Timestamp,
    /// The shortest delay of any timer in the plan, in microseconds.
    delay_min: Option<i64>,
    timers: BTreeMap<(Timestamp, Arc<str>), Timer>,
    /// Origin and time of each epoch that is pushed and not closed; kept where there may be timers.
    open: Vec<(Arc<str>, Timestamp)>,
}

impl Clock {
    pub fn new(plan: &Plan) -> Clock {
        let delay_min = plan.reactions.iter().filter_map(|reaction| reaction.timer.as_ref()).map(|(delay, _)| *delay).min();
        Clock { now: Timestamp(i64::MIN), delay_min, timers: BTreeMap::new(), open: Vec::new() }
    }

    pub fn now(&self) -> Timestamp {
        self.now
    }

    pub fn next_due(&self) -> Option<Timestamp> {
        self.timers.keys().next().map(|(due, _)| *due)
    }

    /// Time does not go back: `at`, or where time is.
    pub fn not_before(&self, at: Timestamp) -> Timestamp {
        self.now.max(at)
    }

    /// Nothing older than `at` will come.
    pub fn reach(&mut self, at: Timestamp) {
        self.now = self.now.max(at);
    }

    /// Whether what is open could arm a timer that is due by `at`.
    pub fn could_be_overtaken(&self, at: Timestamp) -> bool {
        let first = self.open.first().map(|(_, first)| *first);
        matches!((first, self.delay_min), (Some(first), Some(delay)) if at.0 >= first.0.saturating_add(delay))
    }

    pub fn pushed(&mut self, transaction: &Transaction) {
        self.reach(transaction.at);
        if self.delay_min.is_some() {
            self.open.push((transaction.origin.clone(), transaction.at));
        }
    }

    /// What is open is closed, and came to this.
    pub fn closed(&mut self, plan: &Plan, outcome: &Outcome) {
        let open = std::mem::take(&mut self.open);
        let first = outcome.through + 1 - open.len() as u64;
        let timers = armed(plan, &outcome.timers, |epoch| &open[(epoch - first) as usize].0);
        self.timers.extend(timers.into_iter().map(|timer| ((timer.due, timer.id.clone()), timer)));
    }

    /// The next timer that is due by `at`, as the transaction that it is.
    pub fn take_due(&mut self, at: Timestamp) -> Option<Transaction> {
        let next = self.timers.first_entry().filter(|timer| timer.key().0 <= at)?;
        let timer = next.remove();
        let at = self.not_before(timer.due);
        Some(firing(timer, at))
    }
}
