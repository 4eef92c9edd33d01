//! The commit thread: the one writer of the store.
//!
//! Everything that is waiting becomes one commit and so one fsync (group commit): while it syncs, the engine computes the next.
//! Nothing leaves the process before the commit that holds it has returned: deliveries are only ever read back from the store.
//!
//! Invariants:
//! - INV-COMMIT-1: batches are committed in epoch order, each exactly once; a commit that fails for want of something is tried again
//!   with the same content, and nothing after it overtakes it.
//! - INV-COMMIT-2: when durability is in doubt (a failed fsync) the thread ends and so does the process: its end is an event that the
//!   engine's thread waits for, since nothing else may come that would find out.
//!
//! A transaction that comes in parts is staged in the store as it comes; its batch follows its last part. Answers to the dispatcher are
//! given in between.
//!
//! Bound: `WAITING_MAX` batches (whose large transactions hold what `queue` allows) and `PARTS_MAX` parts wait, then the engine does.

use std::collections::HashSet;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded, unbounded};
use thalweg_formulas::Timestamp;
use thalweg_graph::ports::{
    Act, Acted, CommitBatch, Digest, OutboxRow, OutboxUpdate, PendingDelivery, Settled, Store, StoreError,
};
use thalweg_graph::state::EngineState;
use thalweg_graph::{Change, Epoch, Transaction};
use tokio::sync::{Notify, oneshot, watch};

use super::queue::Held;
use super::status::Board;
use crate::sequencer::Part;

/// Batches that may wait for the disk before the engine waits too.
const WAITING_MAX: usize = 64;

/// Parts of a large transaction that may wait: they are large themselves.
const PARTS_MAX: usize = 4;

/// A part of a large transaction.
struct Staged {
    epoch: Epoch,
    head: Transaction,
    from: u64,
    changes: Vec<Change>,
}

/// What the engine asks of the store.
enum Write {
    /// With the shares of its large transactions, which are given back when it is durable.
    Batch(CommitBatch, Vec<Held>),
    /// The next of the parts that wait.
    Part,
    Snapshot(EngineState),
    /// Says that everything before is durable.
    Tell(oneshot::Sender<Acted>, Acted),
}

/// What the dispatcher, and whoever acts on deliveries, asks of the store.
enum Ask {
    Due { now: Timestamp, limit: usize, without: Without, reply: oneshot::Sender<Due> },
    Update { updates: Vec<OutboxUpdate>, reply: oneshot::Sender<()> },
    Act { act: Act, at: Timestamp, reply: oneshot::Sender<Acted> },
    Settled { after: u64, limit: usize, reply: oneshot::Sender<Vec<Settled>> },
    Gather { id: Arc<str>, digest: Digest, at: Timestamp, reply: oneshot::Sender<Vec<OutboxRow>> },
}

/// What is not asked for.
#[derive(Clone, Debug, Default)]
pub struct Without {
    /// Deliveries that are under way.
    pub in_flight: HashSet<Arc<str>>,
    /// (node, action) that may have no more under way.
    pub busy: HashSet<(Arc<str>, u32)>,
}

/// Deliveries to make now, and when to look again.
#[derive(Debug, Default)]
pub struct Due {
    /// Due now.
    pub deliveries: Vec<PendingDelivery>,
    /// When the next one becomes due that is not yet.
    pub next_at: Option<Timestamp>,
}

/// The engine's end: hands over batches, waits when too many wait.
pub struct Committer {
    writes: Sender<Write>,
    parts: Sender<Staged>,
    /// Closed by the end of the thread.
    runs: watch::Receiver<()>,
}

impl Committer {
    /// Waits for the end of the commit thread.
    pub async fn ended(&self) {
        let mut runs = self.runs.clone();
        while runs.changed().await.is_ok() {}
    }

    /// Hands over a batch. `false`: the commit thread has ended.
    pub fn commit(&self, batch: CommitBatch, held: Vec<Held>) -> bool {
        self.writes.send(Write::Batch(batch, held)).is_ok()
    }

    /// Hands over a part of a transaction whose batch will follow. `false`: the commit thread has ended.
    pub fn stage(&self, part: &Part<'_>) -> bool {
        let Part { epoch, head, from, changes } = *part;
        let staged = Staged { epoch, head: head.clone(), from, changes: changes.to_vec() };
        self.parts.send(staged).is_ok() && self.writes.send(Write::Part).is_ok()
    }

    /// Answers once every batch handed over so far is durable.
    pub fn tell(&self, reply: oneshot::Sender<Acted>, acted: Acted) -> bool {
        self.writes.send(Write::Tell(reply, acted)).is_ok()
    }

    /// Asks for a snapshot at `state`'s epoch, after every batch handed over so far.
    pub fn snapshot(&self, state: EngineState) -> bool {
        self.writes.send(Write::Snapshot(state)).is_ok()
    }
}

/// The dispatcher's end.
#[derive(Clone)]
pub struct Outbox {
    asks: Sender<Ask>,
    /// Rung when a commit has added deliveries.
    pub added: Arc<Notify>,
    /// Rung when what became of a delivery was recorded.
    pub moved: Arc<Notify>,
}

impl Outbox {
    /// Deliveries due at `now`. `None`: the commit thread has ended.
    pub async fn due(&self, now: Timestamp, limit: usize, without: Without) -> Option<Due> {
        let (reply, answer) = oneshot::channel();
        self.asks.send(Ask::Due { now, limit, without, reply }).ok()?;
        answer.await.ok()
    }

    /// Records what became of deliveries; durable when it returns. `None`: the commit thread has ended.
    pub async fn update(&self, updates: Vec<OutboxUpdate>) -> Option<()> {
        let (reply, answer) = oneshot::channel();
        self.asks.send(Ask::Update { updates, reply }).ok()?;
        answer.await.ok()
    }
}

impl Outbox {
    /// Does what somebody asks of the outbox; durable when it returns. `None`: the commit thread has ended.
    pub async fn act(&self, act: Act, at: Timestamp) -> Option<Acted> {
        let (reply, answer) = oneshot::channel();
        self.asks.send(Ask::Act { act, at, reply }).ok()?;
        answer.await.ok()
    }
}

impl Outbox {
    /// The deliveries of the digest that `id` leads; who they are is durable when it returns. `None`: the commit thread has ended.
    pub async fn gather(&self, id: Arc<str>, digest: Digest, at: Timestamp) -> Option<Vec<OutboxRow>> {
        let (reply, answer) = oneshot::channel();
        self.asks.send(Ask::Gather { id, digest, at, reply }).ok()?;
        answer.await.ok()
    }
}

impl Outbox {
    /// What became of deliveries after number `after`, as far as a source follows it. `None`: the commit thread has ended.
    pub async fn settled(&self, after: u64, limit: usize) -> Option<Vec<Settled>> {
        let (reply, answer) = oneshot::channel();
        self.asks.send(Ask::Settled { after, limit, reply }).ok()?;
        answer.await.ok()
    }
}

/// The thread gives the store back when it ends, or the error that makes the process stop.
pub type CommitHandle = JoinHandle<Result<Box<dyn Store>, StoreError>>;

/// Starts the commit thread. It ends when both ends are dropped, or when durability is in doubt.
pub fn start(store: Box<dyn Store>, board: Arc<Board>) -> (Committer, Outbox, CommitHandle) {
    let (writes, write_receiver) = bounded(WAITING_MAX);
    let (asks, ask_receiver) = unbounded();
    let (added, moved) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (parts, part_receiver) = bounded(PARTS_MAX);
    let mut thread = CommitThread { store, board, added: added.clone(), moved: moved.clone(), parts: part_receiver };
    let (alive, runs) = watch::channel(());
    let handle = std::thread::Builder::new()
        .name("thalweg-commit".into())
        .spawn(move || {
            let _alive = alive;
            thread.run(&write_receiver, &ask_receiver).map(|()| thread.store)
        })
        .expect("a thread can be started");
    (Committer { writes, parts, runs }, Outbox { asks, added, moved }, handle)
}

struct CommitThread {
    store: Box<dyn Store>,
    board: Arc<Board>,
    added: Arc<Notify>,
    moved: Arc<Notify>,
    parts: Receiver<Staged>,
}

impl CommitThread {
    fn run(&mut self, writes: &Receiver<Write>, asks: &Receiver<Ask>) -> Result<(), StoreError> {
        self.board.outbox(self.store.outbox_counts()?);
        let paused = self.store.paused();
        self.board.update(|report| report.paused = paused);
        let (mut writes_open, mut asks_open) = (true, true);
        while writes_open || asks_open {
            let never_writes = crossbeam_channel::never();
            let never_asks = crossbeam_channel::never();
            crossbeam_channel::select! {
                recv(if writes_open { writes } else { &never_writes }) -> write => match write {
                    Ok(first) => self.write(first, writes)?,
                    Err(_) => writes_open = false,
                },
                recv(if asks_open { asks } else { &never_asks }) -> ask => match ask {
                    Ok(ask) => self.answer(ask)?,
                    Err(_) => asks_open = false,
                },
            }
            self.board.writes(false);
        }
        Ok(())
    }

    /// Commits `first` and all batches that wait behind it as one.
    fn write(&mut self, first: Write, writes: &Receiver<Write>) -> Result<(), StoreError> {
        let (mut batch, mut held) = match first {
            Write::Snapshot(state) => return self.snapshot(&state),
            Write::Part => return self.part(),
            Write::Tell(reply, acted) => return tell(reply, acted),
            Write::Batch(batch, held) => (batch, held),
        };
        let mut behind = None;
        while behind.is_none() {
            match writes.try_recv() {
                Ok(Write::Batch(next, more)) => {
                    batch.append(next);
                    held.extend(more);
                }
                Ok(other) => behind = Some(other),
                Err(_) => break,
            }
        }
        self.insist(|store| store.commit(&batch))?;
        self.board.committed(&batch);
        drop(held);
        if !batch.outbox.is_empty() {
            self.board.outbox(self.store.outbox_counts()?);
            self.added.notify_one();
        }
        match behind {
            Some(Write::Snapshot(state)) => self.snapshot(&state),
            Some(Write::Part) => self.part(),
            Some(Write::Tell(reply, acted)) => tell(reply, acted),
            Some(Write::Batch(..)) | None => Ok(()),
        }
    }

    /// Stages the part that waits longest.
    fn part(&mut self) -> Result<(), StoreError> {
        let Ok(Staged { epoch, head, from, changes }) = self.parts.recv() else { return Ok(()) };
        self.insist(|store| store.stage(epoch, &head, from, &changes))
    }

    /// A snapshot that cannot be written is reported and does without: the log is the authority.
    fn snapshot(&mut self, state: &EngineState) -> Result<(), StoreError> {
        match self.store.snapshot(state) {
            Err(StoreError::Retry { code, message }) => {
                tracing::warn!("{code}: the snapshot at epoch {} was not written: {message}", state.epoch);
                Ok(())
            }
            done => done,
        }
    }

    fn answer(&mut self, ask: Ask) -> Result<(), StoreError> {
        match ask {
            Ask::Due { now, limit, without, reply } => {
                let busy = |node: &str, action| without.busy.iter().any(|(n, a)| **n == *node && *a == action);
                let in_flight = |id: &str| without.in_flight.contains(id);
                let deliveries = self.store.due_deliveries_except(now, limit, &in_flight, &busy)?;
                let next_at = if deliveries.len() < limit { self.store.next_delivery_after(now)? } else { Some(now) };
                // A dispatcher that has gone away needs no answer.
                let _ = reply.send(Due { deliveries, next_at });
            }
            Ask::Update { updates, reply } => {
                self.insist(|store| store.update_outbox(&updates))?;
                self.board.outbox(self.store.outbox_counts()?);
                self.moved.notify_one();
                let _ = reply.send(());
            }
            Ask::Settled { after, limit, reply } => {
                // A source that has gone away needs no answer.
                let _ = reply.send(self.store.settled(after, limit)?);
            }
            Ask::Gather { id, digest, at, reply } => {
                let mut rows = Vec::new();
                self.insist(|store| store.gather(&id, &digest, at).map(|gathered| rows = gathered))?;
                let _ = reply.send(rows);
            }
            Ask::Act { act, at, reply } => {
                let mut acted = None;
                self.insist(|store| store.act(&act, at).map(|done| acted = Some(done)))?;
                self.board.outbox(self.store.outbox_counts()?);
                let paused = self.store.paused();
                self.board.update(|report| report.paused = paused);
                self.added.notify_one();
                self.moved.notify_one();
                let _ = reply.send(acted.expect("invariant: an act that succeeded has its answer"));
            }
        }
        Ok(())
    }

    /// Tries again, ever more slowly, while the environment is short of something; says so on the board.
    fn insist(&mut self, mut write: impl FnMut(&mut dyn Store) -> Result<(), StoreError>) -> Result<(), StoreError> {
        let mut pause = Duration::from_millis(50);
        self.board.writes(true);
        loop {
            match write(self.store.as_mut()) {
                Err(StoreError::Retry { code, message }) => {
                    tracing::warn!("{code}: {message}; trying again in {pause:?}");
                    self.board.store_problem(Some(format!("{code}: {message}")));
                    std::thread::park_timeout(pause);
                    pause = (pause * 2).min(Duration::from_secs(5));
                }
                done => {
                    self.board.store_problem(done.as_ref().err().map(ToString::to_string));
                    return done;
                }
            }
        }
    }
}

/// Who has gone away needs no answer.
fn tell(reply: oneshot::Sender<Acted>, acted: Acted) -> Result<(), StoreError> {
    let _ = reply.send(acted);
    Ok(())
}
