//! The engine's thread: takes what the sources bring, steps the engine batch by batch, hands each batch to the commit thread.
//!
//! The queue before it is bounded, so a source waits when the engine does; the engine waits when the disk does. A batch is
//! whatever is waiting, up to [`BATCH_MAX`] transactions: one after another when it is quiet, many at a time under load.
//!
//! Invariants:
//! - INV-PUMP-1: a source's position goes into the commit that holds the transaction it follows, never an earlier one, and never goes
//!   back: what was read again after a restart would fire again.
//! - INV-PUMP-2: an effect's bytes are rendered once, here, and stored; every attempt sends those.
//! - INV-PUMP-3: between the parts of a large transaction, and between the last of them and its batch, nothing goes to the commit thread.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use thalweg_formulas::{Value, json};
use thalweg_graph::cause::Cause;
use thalweg_graph::outcome::{Fired, RuleId};
use thalweg_graph::plan::Plan;
use thalweg_graph::ports::{Acted, CommitBatch, Firing, Manner, OutboxRow, SourceMessage, SourcePosition, SourceStatus};
use thalweg_graph::transaction::Body;
use thalweg_graph::{Schema, Transaction};
use thalweg_sinks::Secret;
use thalweg_sinks::sign::ack_token;
use tokio::sync::{mpsc, watch};

use super::actions::{Action, PlanActions};
use super::clears;
use super::clock::Clock;
use super::commit::Committer;
use super::desk::{GoalAsk, TimerAsk};
use super::queue::Held;
use super::raised;
use super::reading::{self, Reading};
use super::reload;
use super::session::Arrivals;
use super::status::Board;
use crate::sequencer::{Batch, Halted, Sequencer};

/// Transactions in one step at most.
pub const BATCH_MAX: usize = 1_000;

/// A timer is looked at again at least this often, so that a clock that jumps does no harm.
const LOOK_AGAIN: Duration = Duration::from_secs(30);

/// A message, the source it came from, and its share of what may wait.
pub(super) struct Arrival {
    pub source: Arc<str>,
    pub message: SourceMessage,
    pub held: Held,
}

/// Why the pump has ended.
pub(super) enum Ended {
    /// It was asked to stop, or every source is gone.
    Stopped,
    /// A source's tables have changed: plan again and go on from the store.
    Schemas(Arc<str>, Vec<Arc<Schema>>),
    /// A table was emptied: what is held here goes on when the store has told its rows.
    Clear(Box<Arrival>),
    /// Another definition is to take the place of this one, which has left a snapshot.
    Reload(Box<reload::Ask>),
    /// The commit thread has ended.
    StoreClosed,
    /// A large transaction of a source cannot be read; nothing of it is committed.
    Unreadable(Arc<str>, String),
}

impl From<Halted> for Ended {
    fn from(halted: Halted) -> Ended {
        match halted {
            Halted::Refused => Ended::StoreClosed,
            Halted::Unreadable { source_name, why } => Ended::Unreadable(source_name, why),
        }
    }
}

/// The position behind a transaction that waits in the sequencer, and its share of what may wait.
pub(super) struct Waiting {
    source: Arc<str>,
    position: SourcePosition,
    held: Held,
}

/// The engine, its queue and what it reports to.
pub(super) struct Pump {
    /// Orders and steps.
    pub sequencer: Sequencer,
    /// The plan's actions.
    pub actions: PlanActions,
    /// Where batches go.
    pub committer: Committer,
    /// Where reports go.
    pub board: Arc<Board>,
    /// The time for timers.
    pub clock: Arc<dyn Clock>,
    /// What tokens of acknowledgement are made with.
    pub secret: Secret,
    /// Transactions between snapshots.
    pub snapshot_every: u64,
    /// Schemas that the plan was made with.
    pub schemas: Vec<Arc<Schema>>,
    /// Positions of the transactions that wait in the sequencer, in their order.
    pub positions: VecDeque<Waiting>,
    /// Positions that moved without a transaction.
    pub idle_positions: Vec<(Arc<str>, SourcePosition)>,
    /// Transactions since the last snapshot.
    pub since_snapshot: u64,
    /// What is asked of timers.
    pub timer_asks: mpsc::Receiver<TimerAsk>,
    /// What is asked of goals.
    pub goal_asks: mpsc::Receiver<GoalAsk>,
}

impl Pump {
    /// Runs until asked to stop, or until the plan must be made again.
    pub async fn run(
        &mut self,
        arrivals: &mut Arrivals,
        reloads: &mut mpsc::Receiver<reload::Ask>,
        stop: &mut watch::Receiver<bool>,
    ) -> Ended {
        let mut sources_open = true;
        // What a fill moves is told nobody.
        self.sequencer.engine().report_fills(false);
        loop {
            // At first as well: a reload may bring schedules, and sources that follow already say nothing new.
            if let Err(ended) = self.step_all() {
                return ended;
            }
            let pause = self.pause();
            tokio::select! {
                biased;
                () = raised(stop) => return self.finish(),
                () = self.committer.ended() => return Ended::StoreClosed,
                Some(ask) = reloads.recv() => {
                    if let Some(ended) = self.give_way(ask) {
                        return ended;
                    }
                }
                arrival = arrivals.recv(), if sources_open => match arrival {
                    Some(first) => {
                        if let Some(ended) = self.take(first, arrivals) {
                            return ended;
                        }
                    }
                    // Files are at their end and databases gone: timers and deliveries go on until the run is stopped.
                    None => sources_open = false,
                },
                Some(ask) = self.timer_asks.recv() => {
                    if let Err(ended) = self.answer(ask) {
                        return ended;
                    }
                }
                Some(ask) = self.goal_asks.recv() => {
                    if let Err(ended) = self.answer_of_goals(ask) {
                        return ended;
                    }
                }
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Takes the first arrival and whatever else is there, up to a batch.
    fn take(&mut self, first: Arrival, arrivals: &mut Arrivals) -> Option<Ended> {
        let mut next = Some(first);
        while let Some(arrival) = next {
            if let Some(ended) = self.arrive(arrival) {
                return Some(self.step_all().err().unwrap_or(ended));
            }
            next = if self.sequencer.queued() < BATCH_MAX { arrivals.try_recv() } else { None };
        }
        None
    }

    fn arrive(&mut self, arrival: Arrival) -> Option<Ended> {
        let Arrival { source, message, held } = arrival;
        match message {
            message if clears::is_in(&message) => return Some(Ended::Clear(Box::new(Arrival { source, message, held }))),
            SourceMessage::Transaction(transaction, position) => {
                // A position that came before this transaction must not be committed after it (INV-PUMP-1).
                self.idle_positions.retain(|(idle, _)| *idle != source);
                self.positions.push_back(Waiting { source, position, held });
                self.sequencer.offer(transaction);
            }
            SourceMessage::Position(position) => match self.positions.iter_mut().rfind(|waiting| waiting.source == source) {
                Some(last) => last.position = position,
                None => self.idle_positions.push((source, position)),
            },
            SourceMessage::Schemas(schemas) if self.schemas_differ(&schemas) => return Some(Ended::Schemas(source, schemas)),
            SourceMessage::Schemas(_) => {}
            SourceMessage::Status(status) => {
                report_status(&self.board, &source, status);
            }
            SourceMessage::End => self.board.source(&source, |report| report.ended = true),
        }
        None
    }

    /// Does what is asked of a timer, and answers when that is durable.
    fn answer(&mut self, (act, reply): TimerAsk) -> Result<(), Ended> {
        let acted = if self.sequencer.act(&act, self.clock.now()) { Acted::Done } else { Acted::Unknown };
        self.step_all()?;
        if self.committer.tell(reply, acted) { Ok(()) } else { Err(Ended::StoreClosed) }
    }

    /// Does what is asked of goals, and answers when that is durable.
    fn answer_of_goals(&mut self, (act, reply, done): GoalAsk) -> Result<(), Ended> {
        let taken_on = self.sequencer.act_on_goal(&act);
        self.step_all()?;
        // Whoever has gone away needs no answer.
        let _ = reply.send(taken_on.map(|()| self.sequencer.tell_of_goals()));
        if self.committer.tell(done, Acted::Done) { Ok(()) } else { Err(Ended::StoreClosed) }
    }

    /// Gives way to another definition, if that is right: closes what is taken, and leaves a snapshot for it to begin with.
    fn give_way(&mut self, ask: reload::Ask) -> Option<Ended> {
        let ask = ask.check(&self.schemas)?;
        Some(self.step_all().and_then(|()| self.snapshot()).err().unwrap_or_else(|| Ended::Reload(Box::new(ask))))
    }

    /// Whether any of these tables is other than the plan knows it.
    fn schemas_differ(&self, schemas: &[Arc<Schema>]) -> bool {
        schemas.iter().any(|schema| !self.schemas.contains(schema))
    }

    /// Steps until nothing is left to do now.
    ///
    /// # Errors
    /// The commit thread has ended, or a large transaction cannot be read.
    fn step_all(&mut self) -> Result<(), Ended> {
        let waits = self.board.read().sources.values().any(super::status::SourceReport::is_waited_for);
        if !waits && self.sequencer.queued() == 0 {
            self.sequencer.clock(self.clock.now());
        }
        while let Some(batch) = self.sequencer.batch_in_parts(BATCH_MAX, true, &mut |part| self.committer.stage(part))? {
            self.commit(batch)?;
        }
        let (waiting, next) = (self.sequencer.timers() as u64, self.sequencer.next_due());
        if { (self.board.read().timers, self.board.read().next_timer) } != (waiting, next) {
            self.board.update(|report| (report.timers, report.next_timer) = (waiting, next));
        }
        let (timers, timers_done) = self.sequencer.moved_timers();
        if self.idle_positions.is_empty() && timers.is_empty() && timers_done.is_empty() {
            return Ok(());
        }
        let positions = last_of_each(self.idle_positions.drain(..));
        let first = self.sequencer.engine().epoch() + 1;
        self.hand_over(CommitBatch { first, positions, timers, timers_done, ..CommitBatch::default() }, Vec::new())
    }

    fn commit(&mut self, mut batch: Batch) -> Result<(), Ended> {
        let outbox = self.render(&batch);
        self.report(&batch);
        self.sequencer.engine().recycle(std::mem::take(&mut batch.outcome.deltas));
        let sourced = batch.transactions.iter().filter(|t| !t.is_step() && !matches!(t.body, Body::Timer(_))).count();
        let mut held = Vec::new();
        let positions = last_of_each(self.positions.drain(..sourced.min(self.positions.len())).map(|waiting| {
            if waiting.held.is_some() {
                held.push(waiting.held);
            }
            (waiting.source, waiting.position)
        }));
        self.since_snapshot += batch.transactions.len() as u64;
        let mut commit = CommitBatch::default();
        commit.append(CommitBatch {
            first: batch.first,
            transactions: batch.transactions,
            positions,
            outbox,
            timers: batch.armed,
            timers_done: batch.timers_done,
        });
        self.hand_over(commit, held)?;
        if self.since_snapshot < self.snapshot_every { Ok(()) } else { self.snapshot() }
    }

    fn hand_over(&self, batch: CommitBatch, held: Vec<Held>) -> Result<(), Ended> {
        if self.committer.commit(batch, held) { Ok(()) } else { Err(Ended::StoreClosed) }
    }

    fn snapshot(&mut self) -> Result<(), Ended> {
        self.since_snapshot = 0;
        let state = self.sequencer.engine().export();
        if self.committer.snapshot(state) { Ok(()) } else { Err(Ended::StoreClosed) }
    }

    /// Closes what waits and leaves a snapshot, so that the next start is quick.
    fn finish(&mut self) -> Ended {
        let left = self.step_all().and_then(|()| if self.since_snapshot == 0 { Ok(()) } else { self.snapshot() });
        left.err().unwrap_or(Ended::Stopped)
    }

    /// One outbox row per action of each firing.
    fn render(&mut self, batch: &Batch) -> Vec<OutboxRow> {
        let plan = self.sequencer.plan().clone();
        let mut rows = Vec::new();
        for fired in &batch.outcome.fired {
            let (actions, event, table) = rule(&plan, &self.actions, fired);
            if actions.is_empty() {
                continue;
            }
            let table = &plan.tables[table as usize];
            let names = self.sequencer.engine().key_names(&table.name);
            let key: Vec<(Arc<str>, Value)> = names.iter().cloned().zip(fired.key.iter().cloned()).collect();
            for (index, action) in actions.iter().enumerate() {
                let mut row = outbox_row(batch, &plan, fired, index as u32, action, &event, &table.from, &key, &self.secret);
                if let Some(policy) = &action.policy.digest {
                    let at = batch.transaction(fired.epoch).at;
                    // Where the source tells no time the window begins now, and not in 1970.
                    let begins = if at.0 > 0 { at } else { self.clock.now() };
                    row.manner.digest = Some(policy.of(at, begins));
                }
                rows.push(row);
            }
        }
        rows
    }

    fn report(&mut self, batch: &Batch) {
        let outcome = &batch.outcome;
        self.board.update(|report| {
            report.epoch = outcome.through;
            report.totals.transactions += batch.transactions.len() as u64;
            report.totals.changes += outcome.counts.changes;
            report.totals.deltas += outcome.deltas.len() as u64;
            report.totals.fired += outcome.fired.len() as u64;
            report.totals.errors += outcome.errors.len() as u64;
            report.totals.redundant += outcome.counts.redundant;
        });
    }

    fn pause(&self) -> Duration {
        let now = self.clock.now().0;
        let wait_us = self.sequencer.next_due().map_or(i64::MAX, |due| due.0.saturating_sub(now)).max(1_000);
        Duration::from_micros(wait_us as u64).min(LOOK_AGAIN)
    }
}

/// The last position of each source, as text: those before it are never printed.
fn last_of_each(positions: impl Iterator<Item = (Arc<str>, SourcePosition)>) -> Vec<(Arc<str>, String)> {
    let mut last: Vec<(Arc<str>, SourcePosition)> = Vec::new();
    for (source, position) in positions {
        match last.iter_mut().find(|(known, _)| *known == source) {
            Some(known) => known.1 = position,
            None => last.push((source, position)),
        }
    }
    last.into_iter().map(|(source, position)| (source, position.to_string())).collect()
}

/// The actions, event name and table of the rule that fired.
fn rule<'a>(plan: &Plan, actions: &'a PlanActions, fired: &Fired) -> (&'a [Action], Arc<str>, u32) {
    match fired.rule {
        RuleId::Effect(n) => (&actions.effects[n as usize], fired.node.clone(), plan.effects[n as usize].table.0),
        RuleId::Reaction(n) => {
            let reaction = &plan.reactions[n as usize];
            (&actions.reactions[n as usize], reaction.event.clone(), reaction.table.0)
        }
    }
}

#[expect(clippy::too_many_arguments, reason = "one row needs all of these, and each is known to the caller only")]
fn outbox_row(
    batch: &Batch,
    plan: &Plan,
    fired: &Fired,
    index: u32,
    action: &Action,
    event: &str,
    table: &str,
    key: &[(Arc<str>, Value)],
    secret: &Secret,
) -> OutboxRow {
    let tx: &Transaction = batch.transaction(fired.epoch);
    let id: Arc<str> = batch.effect_id(plan, fired, index).into();
    let sink = action.sink.as_ref().expect("invariant: an action of a running plan has its sink");
    let token = action.policy.ack.and_then(|_| ack_token(secret.reveal(), &id).ok());
    let body = sink.render(&Firing {
        id: &id,
        node: &fired.node,
        event,
        table,
        key,
        version: fired.version,
        at: tx.at,
        origin: &tx.origin,
        payload: &fired.payload,
        ack_token: token.as_deref(),
    });
    let mut key_text = String::new();
    json::write(&Value::list(fired.key.iter().cloned()), &mut key_text);
    OutboxRow {
        id,
        epoch: fired.epoch,
        node: fired.node.clone(),
        action: index,
        key: key_text.into(),
        version: fired.version,
        body: body.into(),
        settings: action.settings.clone(),
        manner: Manner { depth: Cause::of(&tx.origin).map_or(0, |cause| cause.depth), ..action.manner },
    }
}

/// Notes how a source is doing; says it where it is news.
pub(super) fn report_status(board: &Board, source: &Arc<str>, status: SourceStatus) {
    let Some(before) = board.read().sources.get(source).cloned().filter(|report| report.status != status) else { return };
    let (now, mut reading) = (Instant::now(), before.reading);
    if std::mem::discriminant(&before.status) != std::mem::discriminant(&status)
        && let Some(done) = reading.take()
    {
        tracing::info!("source {source}: {}", done.end(now));
    }
    match &status {
        SourceStatus::Connecting { error: Some(error) } => tracing::warn!("source {source}: {error}; connecting again"),
        SourceStatus::Connecting { error: None } => tracing::info!("source {source}: connecting"),
        SourceStatus::Live(true) => tracing::info!("source {source}: live"),
        SourceStatus::Live(false) => tracing::info!("source {source}: catching up"),
        SourceStatus::Stopped(reason) => tracing::error!("source {source} stopped: {reason}"),
        SourceStatus::Snapshot(read) | SourceStatus::Filling(read) => match &mut reading {
            Some(reading) => {
                reading.at(*read, now).iter().for_each(|line| tracing::info!(target: reading::TARGET, "source {source}: {line}"));
            }
            None if matches!(status, SourceStatus::Snapshot(_)) => tracing::info!("source {source}: reading its tables"),
            None => tracing::info!("source {source}: live, reading the tables that were added"),
        },
    }
    let reading = match status {
        SourceStatus::Snapshot(read) | SourceStatus::Filling(read) => reading.or_else(|| Some(Reading::new(now, read))),
        _ => None,
    };
    board.source(source, |report| (report.status, report.reading) = (status, reading));
}

#[cfg(test)]
mod tests;
