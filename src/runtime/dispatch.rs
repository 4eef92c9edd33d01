//! The dispatcher: takes due deliveries from the outbox, attempts them side by side, records what became of them.
//!
//! Invariants:
//! - INV-DISPATCH-1: only committed deliveries are attempted (they are read from the store), each with the bytes that were stored when it fired.
//! - INV-DISPATCH-2: per (effect, action, key) one delivery is under way at a time, in version order; the store's query sees to it.
//! - INV-DISPATCH-3: a delivery leaves `in_flight` only when what became of it is durable, so it is never attempted twice at once.
//!
//! - INV-DISPATCH-4: one action has at most `IN_FLIGHT_PER_ACTION` attempts under way, so that a receiver that never answers does not
//!   take the place of all others.
//!
//! Bound: `IN_FLIGHT_MAX` attempts at a time.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use thalweg_formulas::Timestamp;
use thalweg_graph::ports::{Attempt, OutboxRow, OutboxState, OutboxUpdate, PendingDelivery};
use thalweg_sinks::retry::Next;
use tokio::sync::watch;
use tokio::task::{self, JoinSet};

use super::actions::{Action, Actions};
use super::clock::Clock;
use super::commit::{Outbox, Without};
use super::raised;
use super::status::Board;

/// Attempts under way at a time.
const IN_FLIGHT_MAX: usize = 1_024;

/// Attempts of one action of one rule under way at a time.
const IN_FLIGHT_PER_ACTION: usize = 64;

/// Deliveries asked for at once: more than one action may have, so that what is refused is seldom read for nothing.
const ASKED_MAX: usize = 128;

/// Looks again at least this often, whatever the store says, so that a clock that jumps does no harm.
const LOOK_AGAIN: Duration = Duration::from_secs(30);

/// How long deliveries that are due may take after the run was asked to stop.
const DRAIN_MAX: Duration = Duration::from_secs(5);

/// Delivers until `stop` turns true; then drains, for `DRAIN_MAX` at most.
pub struct Dispatcher {
    outbox: Outbox,
    actions: Arc<Actions>,
    clock: Arc<dyn Clock>,
    board: Arc<Board>,
    in_flight: HashSet<Arc<str>>,
    /// How many of them each (node, action) has.
    per_action: HashMap<(Arc<str>, u32), usize>,
    attempts: JoinSet<Attempt>,
    /// What each attempt delivers.
    under_way: HashMap<task::Id, PendingDelivery>,
    /// Sinks and policies by the settings that deliveries were fired with.
    known: HashMap<Arc<str>, Arc<Action>>,
}

impl Dispatcher {
    /// A dispatcher over the store's outbox.
    pub fn new(outbox: Outbox, actions: Arc<Actions>, clock: Arc<dyn Clock>, board: Arc<Board>) -> Self {
        Self {
            outbox,
            actions,
            clock,
            board,
            in_flight: HashSet::new(),
            per_action: HashMap::new(),
            attempts: JoinSet::new(),
            under_way: HashMap::new(),
            known: HashMap::new(),
        }
    }

    /// Runs to the end.
    pub async fn run(mut self, mut stop: watch::Receiver<bool>) {
        let added = self.outbox.added.clone();
        loop {
            let Some(pause) = self.take_due().await else { return };
            tokio::select! {
                biased;
                () = raised(&mut stop) => break,
                Some(done) = self.attempts.join_next_with_id() => {
                    if self.record(done).await.is_none() {
                        return;
                    }
                }
                () = added.notified() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
        // Whoever drains this long has receivers that hang: what is left stays pending.
        if tokio::time::timeout(DRAIN_MAX, self.drain()).await.is_err() {
            tracing::info!("{} deliveries are left for the next start", self.in_flight.len());
        }
    }

    /// Delivers what is due, and what that lets come after it, until nothing more is due.
    async fn drain(&mut self) {
        loop {
            if self.take_due().await.is_none() {
                return;
            }
            let Some(done) = self.attempts.join_next_with_id().await else { return };
            if self.record(done).await.is_none() {
                return;
            }
        }
    }

    /// Starts an attempt for everything that is due; gives the time to wait for more. `None`: the store has closed.
    async fn take_due(&mut self) -> Option<Duration> {
        loop {
            let room = IN_FLIGHT_MAX - self.in_flight.len();
            if room == 0 {
                return Some(LOOK_AGAIN);
            }
            let now = self.clock.now();
            let limit = room.min(ASKED_MAX);
            let due = self.outbox.due(now, limit, self.without()).await?;
            // There may be more; and what cannot be started now stood in the place of others.
            let mut more = due.deliveries.len() == limit;
            for delivery in due.deliveries {
                more |= !self.start(delivery);
            }
            if !more {
                let wait_us = due.next_at.map_or(i64::MAX, |at| at.0.saturating_sub(now.0)).max(1_000);
                return Some(Duration::from_micros(wait_us as u64).min(LOOK_AGAIN));
            }
        }
    }

    fn without(&self) -> Without {
        let busy = self.per_action.iter().filter(|(_, n)| **n >= IN_FLIGHT_PER_ACTION).map(|(action, _)| action.clone());
        Without { in_flight: self.in_flight.clone(), busy: busy.collect() }
    }

    /// Starts an attempt. `false`: its action has as many under way as it may.
    fn start(&mut self, delivery: PendingDelivery) -> bool {
        let under_way = self.per_action.entry((delivery.row.node.clone(), delivery.row.action)).or_default();
        if *under_way >= IN_FLIGHT_PER_ACTION {
            return false;
        }
        *under_way += 1;
        self.in_flight.insert(delivery.row.id.clone());
        let action = self.action(&delivery.row.settings);
        let sent = delivery.clone();
        let attempt = self.attempts.spawn(async move {
            match &action.sink {
                Ok(sink) => sink.deliver(&sent).await,
                Err(error) => Attempt::Permanent { error: error.clone() },
            }
        });
        self.under_way.insert(attempt.id(), delivery);
        true
    }

    /// The sink and retry policy for the settings that a delivery was fired with.
    fn action(&mut self, settings: &Arc<str>) -> Arc<Action> {
        self.known.entry(settings.clone()).or_insert_with(|| self.actions.from_settings(settings)).clone()
    }

    /// Records one result and all others that are ready, as one write.
    async fn record(&mut self, first: Result<(task::Id, Attempt), task::JoinError>) -> Option<()> {
        let mut results = vec![first];
        while let Some(more) = self.attempts.try_join_next_with_id() {
            results.push(more);
        }
        let now = self.clock.now();
        let (mut updates, mut done) = (Vec::with_capacity(results.len()), Vec::with_capacity(results.len()));
        for result in results {
            let (id, attempt) = match result {
                Ok(done) => done,
                Err(panic) => (panic.id(), Attempt::Permanent { error: "E0500: the sink panicked".into() }),
            };
            let delivery = self.under_way.remove(&id).expect("invariant INV-DISPATCH-3: every attempt is under way");
            updates.push(self.judge(&delivery, &attempt, now));
            done.push(delivery.row);
        }
        let failed = updates.iter().filter(|update| update.state != OutboxState::Acked).count();
        self.board
            .update(|report| report.attempts = (report.attempts.0 + updates.len() as u64, report.attempts.1 + failed as u64));
        self.outbox.update(updates).await?;
        done.iter().for_each(|row| self.leave(row));
        Some(())
    }

    /// A delivery is no longer in flight.
    fn leave(&mut self, row: &OutboxRow) {
        self.in_flight.remove(&row.id);
        if let Entry::Occupied(mut entry) = self.per_action.entry((row.node.clone(), row.action)) {
            *entry.get_mut() -= 1;
            if *entry.get() == 0 {
                entry.remove();
            }
        }
    }

    fn judge(&mut self, delivery: &PendingDelivery, attempt: &Attempt, now: Timestamp) -> OutboxUpdate {
        let action = self.action(&delivery.row.settings);
        let attempts = delivery.attempts + 1;
        let update = |state, not_before, error: &str| OutboxUpdate {
            id: delivery.row.id.clone(),
            state,
            attempts,
            not_before,
            error: error.to_owned(),
        };
        let error = match attempt {
            Attempt::Done => "",
            Attempt::Transient { error, .. } | Attempt::Permanent { error } => error,
        };
        match action.retry.decide(&delivery.row.id, attempts, delivery.fired_at, now, attempt) {
            Next::Ack => update(OutboxState::Acked, now, ""),
            Next::Retry { at } => {
                tracing::info!(effect = %delivery.row.node, id = %delivery.row.id, attempts, "delivery failed, trying again: {error}");
                update(OutboxState::Pending, at, error)
            }
            Next::Dead => {
                tracing::warn!(effect = %delivery.row.node, id = %delivery.row.id, attempts, "dead letter: {error}");
                update(OutboxState::Dead, now, error)
            }
        }
    }
}
