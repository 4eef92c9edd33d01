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
//! - INV-DISPATCH-5: a delivery that may be attempted once is claimed in the store before it is.
//!
//! - INV-DISPATCH-6: who is in a digest is durable before it is attempted, so that every attempt has the same id and bytes.
//!
//! Bound: `IN_FLIGHT_MAX` attempts at a time. Next to read: `verdict`, `endpoints`.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use thalweg_formulas::Timestamp;
use thalweg_graph::ids;
use thalweg_graph::ports::{Act, Attempt, Digest, OutboxRow, OutboxState, OutboxUpdate, PendingDelivery};
use tokio::sync::watch;
use tokio::task::{self, JoinSet};

use super::actions::{Action, Actions};
use super::clock::Clock;
use super::commit::{Outbox, Without};
use super::endpoints::Endpoints;
use super::status::Board;
use super::verdict::{self, Before};

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

/// How a dispatcher ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// With what is due: nobody will come after it for a while.
    Drain,
    /// With what is under way: another one goes on at once.
    Settle,
}

/// Delivers until it is told to end; that takes it `DRAIN_MAX` at most.
pub struct Dispatcher {
    outbox: Outbox,
    actions: Arc<Actions>,
    clock: Arc<dyn Clock>,
    board: Arc<Board>,
    in_flight: HashSet<Arc<str>>,
    /// How many of them each (node, action) has.
    per_action: HashMap<(Arc<str>, u32), usize>,
    endpoints: Endpoints,
    attempts: JoinSet<Attempt>,
    /// What each attempt delivers, and when it began.
    under_way: HashMap<task::Id, (PendingDelivery, Instant)>,
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
            endpoints: Endpoints::default(),
            attempts: JoinSet::new(),
            under_way: HashMap::new(),
            known: HashMap::new(),
        }
    }

    /// Runs to the end.
    pub async fn run(mut self, mut stop: watch::Receiver<Option<End>>) {
        let added = self.outbox.added.clone();
        let end = loop {
            let Some(pause) = self.take_due().await else { return };
            tokio::select! {
                biased;
                end = told(&mut stop) => break end,
                Some(done) = self.attempts.join_next_with_id() => {
                    if self.record(done).await.is_none() {
                        return;
                    }
                }
                () = added.notified() => {}
                () = tokio::time::sleep(pause) => {}
            }
        };
        // Whoever drains this long has receivers that hang: what is left stays pending.
        if tokio::time::timeout(DRAIN_MAX, self.end(end)).await.is_err() {
            tracing::info!("{} deliveries are left for the next start", self.in_flight.len());
        }
    }

    async fn end(&mut self, end: End) {
        match end {
            End::Drain => self.drain().await,
            End::Settle => self.settle().await,
        }
    }

    /// Waits for what is under way.
    async fn settle(&mut self) {
        while let Some(done) = self.attempts.join_next_with_id().await {
            if self.record(done).await.is_none() {
                return;
            }
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
            let due = self.outbox.due(now, limit, self.without(now)).await?;
            // There may be more; and what cannot be started now stood in the place of others.
            let mut more = due.deliveries.len() == limit;
            let (mut first, mut claimed) = (Vec::new(), Vec::new());
            for delivery in due.deliveries {
                match verdict::before(&self.action(&delivery.row.settings), &delivery, now) {
                    Before::Attempt => more |= !self.start(delivery, now),
                    Before::Over(update) => {
                        tracing::warn!(effect = %delivery.row.node, id = %delivery.row.id, "dead letter: {}", update.error);
                        first.push(*update);
                        more = true;
                    }
                    Before::Claim(update) if self.enter(&delivery, now) => {
                        first.push(*update);
                        claimed.push(delivery);
                    }
                    Before::Claim(_) => more = true,
                }
            }
            if !first.is_empty() {
                self.outbox.update(first).await?;
            }
            claimed.into_iter().for_each(|delivery| self.send(delivery));
            if !more {
                let next = [due.next_at, self.endpoints.next_at(now)].into_iter().flatten().min();
                let wait_us = next.map_or(i64::MAX, |at| at.0.saturating_sub(now.0)).max(1_000);
                return Some(Duration::from_micros(wait_us as u64).min(LOOK_AGAIN));
            }
        }
    }

    fn without(&self, now: Timestamp) -> Without {
        let full = self.per_action.iter().filter(|(_, n)| **n >= IN_FLIGHT_PER_ACTION).map(|(action, _)| action.clone());
        let mut busy = self.endpoints.busy(now);
        busy.extend(full);
        Without { in_flight: self.in_flight.clone(), busy }
    }

    /// Starts an attempt. `false`: its action or its endpoint has as many under way as it may.
    fn start(&mut self, delivery: PendingDelivery, now: Timestamp) -> bool {
        let entered = self.enter(&delivery, now);
        if entered {
            self.send(delivery);
        }
        entered
    }

    /// Takes a place for an attempt.
    fn enter(&mut self, delivery: &PendingDelivery, now: Timestamp) -> bool {
        let id = (delivery.row.node.clone(), delivery.row.action);
        if self.per_action.get(&id).is_some_and(|n| *n >= IN_FLIGHT_PER_ACTION) {
            return false;
        }
        let action = self.action(&delivery.row.settings);
        if let Some(endpoint) = &action.endpoint
            && !self.endpoints.enter(&id, endpoint, action.policy.rate, now)
        {
            return false;
        }
        *self.per_action.entry(id).or_default() += 1;
        self.in_flight.insert(delivery.row.id.clone());
        true
    }

    fn send(&mut self, delivery: PendingDelivery) {
        let action = self.action(&delivery.row.settings);
        let (sent, outbox, now) = (delivery.clone(), self.outbox.clone(), self.clock.now());
        let attempt = self.attempts.spawn(async move {
            let sent = match &action.policy.digest {
                None => sent,
                Some(policy) => match gathered(&outbox, sent, policy.digest, now).await {
                    Ok(gathered) => gathered,
                    Err(attempt) => return attempt,
                },
            };
            match &action.sink {
                Ok(sink) => sink.deliver(&sent).await,
                Err(error) => Attempt::Permanent { error: error.clone() },
            }
        });
        self.under_way.insert(attempt.id(), (delivery, Instant::now()));
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
        let (mut updates, mut done, mut gone) =
            (Vec::with_capacity(results.len()), Vec::with_capacity(results.len()), Vec::new());
        for result in results {
            let (id, attempt) = match result {
                Ok(done) => done,
                Err(panic) => (panic.id(), Attempt::Permanent { error: "E0500: the sink panicked".into() }),
            };
            let (delivery, begun) = self.under_way.remove(&id).expect("invariant INV-DISPATCH-3: every attempt is under way");
            let action = self.action(&delivery.row.settings);
            if let Some(endpoint) = &action.endpoint {
                self.endpoints.leave(endpoint, &attempt, now);
            }
            let took_us = i64::try_from(begun.elapsed().as_micros()).unwrap_or(i64::MAX);
            let update = verdict::after(&action, &delivery, &attempt, took_us, now);
            tell(&delivery.row, &update);
            updates.push(update);
            if let Attempt::Gone { error } = attempt {
                gone.push(Act::Pause { node: delivery.row.node.clone(), action: Some(delivery.row.action), reason: error });
            }
            done.push(delivery.row);
        }
        let failed = updates.iter().filter(|update| !update.error.is_empty()).count() as u64;
        let (made, resting) = (updates.len() as u64, self.endpoints.resting(now));
        self.board.update(|report| {
            report.attempts = (report.attempts.0 + made, report.attempts.1 + failed);
            report.resting = resting;
        });
        self.outbox.update(updates).await?;
        for pause in gone {
            self.outbox.act(pause, now).await?;
        }
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
}

/// The digest that a delivery leads, as the delivery that is attempted: its own id, and the bodies of all that are in it.
async fn gathered(outbox: &Outbox, first: PendingDelivery, digest: Digest, now: Timestamp) -> Result<PendingDelivery, Attempt> {
    let Some(rows) = outbox.gather(first.row.id.clone(), digest, now).await else {
        // Nobody can record this: it is attempted after the next start.
        return Err(Attempt::Transient { error: "E0613: the store has closed".into(), retry_after: None });
    };
    if rows.is_empty() {
        return Err(Attempt::Done); // Somebody has withdrawn it since it was due, and what is over stays so.
    }
    let id = ids::digest_id(&first.row.id, first.fired_at).into();
    let body = thalweg_sinks::together(rows.iter().map(|row| &row.body[..])).into();
    Ok(PendingDelivery { row: OutboxRow { id, body, ..first.row.clone() }, ..first })
}

/// Says what has failed.
fn tell(row: &OutboxRow, update: &OutboxUpdate) {
    let OutboxUpdate { state, attempts, error, .. } = update;
    match state {
        OutboxState::Dead => tracing::warn!(effect = %row.node, id = %row.id, attempts, "dead letter: {error}"),
        OutboxState::Pending if !error.is_empty() => {
            tracing::info!(effect = %row.node, id = %row.id, attempts, "delivery failed, trying again: {error}");
        }
        OutboxState::Pending | OutboxState::Acked | OutboxState::Cancelled => {}
    }
}

/// Waits to be told how to end; whoever is gone wants no more than a stop.
async fn told(stop: &mut watch::Receiver<Option<End>>) -> End {
    stop.wait_for(Option::is_some).await.ok().and_then(|end| *end).unwrap_or(End::Drain)
}
