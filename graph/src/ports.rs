//! The ports: how `store`, `sources` and `sinks` meet the runtime without knowing each other.
//!
//! Futures are plain `std` futures, so this room needs no async runtime.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use thalweg_formulas::{Timestamp, Type, Value};

pub use crate::outbox::{
    Act, Acted, Digest, Listed, Manner, NEVER, Note, NoteKind, OutboxFilter, OutboxState, Paused, Settled, Shown, TimerAct,
};
use crate::outcome::Key;
use crate::state::EngineState;
use crate::transaction::{Change, Epoch, Schema, Transaction};

/// A boxed future that may move between threads.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Declared key columns by source table.
pub type DeclaredKeys = BTreeMap<String, Vec<String>>;

/// Declared column types by source table and column.
pub type DeclaredTypes = BTreeMap<String, BTreeMap<String, Type>>;

// ---- store ---------------------------------------------------------------------------------------------------

/// Everything that one commit makes durable, together or not at all.
#[derive(Debug, Default)]
pub struct CommitBatch {
    /// The first epoch; epochs are dense from here.
    pub first: Epoch,
    /// The transactions of the epochs, in order: the input log.
    pub transactions: Vec<Transaction>,
    /// New source positions: (source name, position as that source prints it).
    pub positions: Vec<(Arc<str>, String)>,
    /// Deliveries to make: one per action of each firing.
    pub outbox: Vec<OutboxRow>,
    /// Timers armed.
    pub timers: Vec<Timer>,
    /// Ids of timers that wait no more: they fired in this batch, or were taken back.
    pub timers_done: Vec<Arc<str>>,
}

impl CommitBatch {
    /// Adds the batch that follows: together they are one commit. Epochs stay dense; the later position of a source wins.
    pub fn append(&mut self, next: CommitBatch) {
        if self.transactions.is_empty() {
            self.first = next.first;
        }
        self.transactions.extend(next.transactions);
        for (source, position) in next.positions {
            match self.positions.iter_mut().find(|(name, _)| *name == source) {
                Some(known) => known.1 = position,
                None => self.positions.push((source, position)),
            }
        }
        self.outbox.extend(next.outbox);
        self.timers.extend(next.timers);
        self.timers_done.extend(next.timers_done);
    }
}

/// One delivery: written when the effect fires, sent with the same id and the same bytes on every attempt.
#[derive(Clone, Debug, PartialEq)]
pub struct OutboxRow {
    /// The effect id (26 characters, ULID form), unique.
    pub id: Arc<str>,
    /// Its epoch.
    pub epoch: Epoch,
    /// The effect's or reaction's name.
    pub node: Arc<str>,
    /// Which of its actions.
    pub action: u32,
    /// The canonical key as text: the ordering key of the delivery.
    pub key: Arc<str>,
    /// 2k−1.
    pub version: u64,
    /// The sink's rendering of what is to be sent, stored once (a CloudEvents body; the row to insert).
    pub body: Arc<[u8]>,
    /// The action's settings as JSON with secrets left as references.
    pub settings: Arc<str>,
    /// How it stands to its neighbours.
    pub manner: Manner,
}

/// What became of an attempt.
#[derive(Clone, Debug, PartialEq)]
pub struct OutboxUpdate {
    /// Which row.
    pub id: Arc<str>,
    /// Its new state.
    pub state: OutboxState,
    /// Attempts so far.
    pub attempts: u32,
    /// Not before this time again (for pending).
    pub not_before: Timestamp,
    /// The last error, without secrets; empty if none.
    pub error: String,
    /// When it became so.
    pub at: Timestamp,
    /// How often it was delivered and not acknowledged; 0 where no acknowledgement is waited for.
    pub deliveries: u32,
    /// The limits of its retries count from here on.
    pub restarts: bool,
    /// What goes into its history.
    pub note: Option<Note>,
}

/// A pending delivery as the dispatcher reads it.
#[derive(Clone, Debug, PartialEq)]
pub struct PendingDelivery {
    /// The row.
    pub row: OutboxRow,
    /// Attempts so far.
    pub attempts: u32,
    /// When it fired (the commit time of its epoch's transaction).
    pub fired_at: Timestamp,
    /// Not before this time.
    pub not_before: Timestamp,
    /// From when the limits of its retries count: when it fired, was last replayed, or was last delivered.
    pub since: Timestamp,
    /// How often it was delivered without an acknowledgement.
    pub deliveries: u32,
}

/// A timer that waits.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Timer {
    /// Derived id; unique.
    pub id: Arc<str>,
    /// The rule that armed it; empty for one that an earlier version armed, which nothing cancels.
    pub rule: Arc<str>,
    /// The event it raises.
    pub event: Arc<str>,
    /// Document type of the row that armed it.
    pub table: Arc<str>,
    /// That row's key.
    pub key: Key,
    /// When it is due.
    pub due: Timestamp,
}

/// The durable commit. Synchronous and batch-level; one writer. Nothing leaves the process before `commit` has returned.
pub trait Store: Send {
    /// What was committed before: where to go on.
    fn recovered(&self) -> Recovered;
    /// The newest usable snapshot: base rows as fill transactions handed to `rows`, and the engine's state. `None`: start from nothing.
    /// Where the state must be known before the rows come, see [`Store::snapshot_state`].
    ///
    /// # Errors
    /// As the two that it calls.
    fn load_snapshot(&mut self, rows: &mut dyn FnMut(Transaction)) -> Result<Option<EngineState>, StoreError> {
        let state = self.snapshot_state()?;
        if state.is_some() {
            self.snapshot_rows(rows)?;
        }
        Ok(state)
    }
    /// Chooses the newest usable snapshot and gives the engine's state in it; `None`: there is none, start from nothing and replay
    /// from epoch 0. One that is damaged is passed over with a warning.
    ///
    /// # Errors
    /// None is usable and the log does not reach back to the start.
    fn snapshot_state(&mut self) -> Result<Option<EngineState>, StoreError>;
    /// Hands out the rows of the chosen snapshot as fill transactions of some ten thousand rows each (source empty, origin
    /// `snapshot`): together they are one fill. Nothing if none was chosen.
    ///
    /// # Errors
    /// A file changed since it was checked.
    fn snapshot_rows(&mut self, rows: &mut dyn FnMut(Transaction)) -> Result<(), StoreError>;
    /// Every logged transaction after `epoch`, in order, each whole: memory for the largest.
    ///
    /// # Errors
    /// A damaged log.
    fn replay(&mut self, epoch: Epoch, each: &mut dyn FnMut(Epoch, Transaction)) -> Result<(), StoreError> {
        let mut open: Option<Transaction> = None;
        self.replay_parts(epoch, &mut |part| {
            let whole = match open.take() {
                None => part.transaction,
                Some(mut open) => {
                    open.body.append(part.transaction.body);
                    open
                }
            };
            if part.more { open = Some(whole) } else { each(part.epoch, whole) }
        })
    }
    /// The same in parts: a transaction that is large comes as several, one after the other. Memory for a part.
    ///
    /// # Errors
    /// A damaged log.
    fn replay_parts(&mut self, epoch: Epoch, each: &mut dyn FnMut(LogPart)) -> Result<(), StoreError>;
    /// Takes the next changes of the spilled `transaction` of `epoch`, the one after the last committed, ahead of its commit; `from` of its
    /// changes came before. Nobody sees them before the commit whose first transaction it is: that makes them part of the log, and
    /// any other commit, or a start, drops them. What the store has already is passed over, so a call that failed can be made again, and
    /// a commit takes from the spill what was not staged. A store that gains nothing by it does nothing.
    ///
    /// # Errors
    /// As `commit`.
    fn stage(&mut self, epoch: Epoch, transaction: &Transaction, from: u64, changes: &[Change]) -> Result<(), StoreError> {
        let _ = (epoch, transaction, from, changes);
        Ok(())
    }
    /// Takes what a changed definition declares of its tables: key columns, and column types by table and column, as rows are folded by from
    /// the next snapshot on. A store that folds nothing does nothing.
    fn declare(&mut self, keys: DeclaredKeys, types: DeclaredTypes) {
        drop((keys, types));
    }
    /// From now on the source `follower` follows what becomes of deliveries, or none does; durable when it returns, and so for whoever opens
    /// the store after this.
    ///
    /// # Errors
    /// As `commit`.
    fn follow(&mut self, follower: Option<Arc<str>>) -> Result<(), StoreError>;
    /// Makes a batch durable: everything in it or nothing. An outbox row whose id is already there is left as it is.
    ///
    /// # Errors
    /// Nothing was written; [`StoreError::Fatal`] means the process must stop.
    fn commit(&mut self, batch: &CommitBatch) -> Result<(), StoreError>;
    /// Records what became of deliveries; durable when it returns.
    ///
    /// # Errors
    /// As `commit`.
    fn update_outbox(&mut self, updates: &[OutboxUpdate]) -> Result<(), StoreError>;
    /// Pending deliveries that are due at `now`, oldest first, at most `limit`, without those in `in_flight` and without any that
    /// follows an undelivered one with the same (node, action, key).
    ///
    /// # Errors
    /// The store could not be read.
    fn due_deliveries(
        &mut self,
        now: Timestamp,
        limit: usize,
        in_flight: &dyn Fn(&str) -> bool,
    ) -> Result<Vec<PendingDelivery>, StoreError> {
        self.due_deliveries_except(now, limit, in_flight, &|_, _| false)
    }
    /// The same, also without those of a `busy` (node, action): one that has all the attempts under way that it may have does not
    /// stand before the others.
    ///
    /// # Errors
    /// The store could not be read.
    fn due_deliveries_except(
        &mut self,
        now: Timestamp,
        limit: usize,
        in_flight: &dyn Fn(&str) -> bool,
        busy: &dyn Fn(&str, u32) -> bool,
    ) -> Result<Vec<PendingDelivery>, StoreError>;
    /// The deliveries that go out together with the pending delivery `id`, which is first in its lane: the pending ones behind it, as far
    /// as `digest` lets. Who they are is durable when it returns, and stays so: asked again, they are the same. They end together, and are
    /// delivered again together. Empty: `id` is not pending.
    ///
    /// # Errors
    /// As `commit`.
    fn gather(&mut self, id: &str, digest: &Digest, at: Timestamp) -> Result<Vec<OutboxRow>, StoreError>;
    /// When the next pending delivery becomes due, if any waits.
    ///
    /// # Errors
    /// The store could not be read.
    fn next_delivery_at(&mut self) -> Result<Option<Timestamp>, StoreError>;
    /// When the next pending delivery becomes due that is not due at `now`: how long to wait while all that is due is in flight.
    ///
    /// # Errors
    /// The store could not be read.
    fn next_delivery_after(&mut self, now: Timestamp) -> Result<Option<Timestamp>, StoreError>;
    /// Does what somebody asks of the outbox; durable when it returns.
    ///
    /// # Errors
    /// As `commit`.
    fn act(&mut self, act: &Act, at: Timestamp) -> Result<Acted, StoreError>;
    /// The rules that are paused, by name; none of their deliveries is ever due.
    fn paused(&self) -> Vec<Paused>;
    /// Deliveries, oldest first.
    ///
    /// # Errors
    /// The store could not be read.
    fn deliveries(&mut self, filter: &OutboxFilter) -> Result<Vec<Listed>, StoreError>;
    /// One delivery, whole.
    ///
    /// # Errors
    /// The store could not be read.
    fn delivery(&mut self, id: &str) -> Result<Option<Shown>, StoreError>;
    /// What became of deliveries after number `after`, in order, at most `limit`: what was noted for the source that [follows](Store::follow) it now,
    /// until that source's committed position is beyond it.
    ///
    /// # Errors
    /// The store could not be read.
    fn settled(&mut self, after: u64, limit: usize) -> Result<Vec<Settled>, StoreError>;
    /// Timers that wait, soonest first.
    ///
    /// # Errors
    /// The store could not be read.
    fn timers(&mut self) -> Result<Vec<Timer>, StoreError>;
    /// The conservation counts: `fired = acked + dead + cancelled + pending`, and `rises = fired + coalesced`.
    ///
    /// # Errors
    /// The store could not be read.
    fn outbox_counts(&mut self) -> Result<OutboxCounts, StoreError>;
    /// Writes a snapshot at the engine state's epoch, which must be committed; a store may do so in the background.
    ///
    /// # Errors
    /// The snapshot is not recorded; the one before stays.
    fn snapshot(&mut self, state: &EngineState) -> Result<(), StoreError>;
}

/// A logged transaction, or a part of one.
#[derive(Clone, Debug, PartialEq)]
pub struct LogPart {
    /// Its epoch.
    pub epoch: Epoch,
    /// The transaction, with the changes of this part; they are held.
    pub transaction: Transaction,
    /// The next part is of the same transaction.
    pub more: bool,
}

/// Where the last commit stands.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Recovered {
    /// The last committed epoch; 0: a new store.
    pub epoch: Epoch,
    /// The latest commit time of any logged transaction.
    pub at: Timestamp,
    /// Source positions.
    pub positions: Vec<(Arc<str>, String)>,
    /// The newest schema of each table.
    pub schemas: Vec<Arc<Schema>>,
}

/// Outbox rows by state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OutboxCounts {
    /// All of them.
    pub fired: u64,
    /// Delivered.
    pub acked: u64,
    /// Given up.
    pub dead: u64,
    /// Withdrawn.
    pub cancelled: u64,
    /// Still to deliver, or to be acknowledged.
    pub pending: u64,
    /// Triggers that wrote no delivery, since an earlier one of a boolean effect was pending.
    pub coalesced: u64,
}

/// Why the store did not do as asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The environment is short of something; the same batch may be tried again.
    #[error("{code}: {message}")]
    Retry {
        /// The stable code.
        code: thalweg_formulas::Code,
        /// What and what to do.
        message: String,
    },
    /// Durability is in doubt; stop the process, recovery happens at the next start.
    #[error("{code}: {message}")]
    Fatal {
        /// The stable code.
        code: thalweg_formulas::Code,
        /// What and what to do.
        message: String,
    },
}

// ---- sources -------------------------------------------------------------------------------------------------

/// What a source hands to the runtime.
#[derive(Debug)]
pub enum SourceMessage {
    /// Schemas of the tables it watches, before anything else and again when they change.
    Schemas(Vec<Arc<Schema>>),
    /// A whole transaction and the position after it.
    Transaction(Transaction, SourcePosition),
    /// A position alone: what the log held up to here does not concern the watched tables. Sent now and then, never instead of a
    /// transaction; to be made durable with the next commit, or by itself.
    Position(SourcePosition),
    /// How it is doing, for `/status` and the log.
    Status(SourceStatus),
    /// Nothing more will come (a file at its end).
    End,
}

/// Where a source goes on, as it prints it. The text is made when it is asked for: a position can be long (a hundred thousand intervals of
/// GTIDs are a megabyte), and of all that wait for one commit only the last is written.
#[derive(Clone)]
pub struct SourcePosition(Arc<dyn fmt::Display + Send + Sync>);

impl SourcePosition {
    /// What prints itself as the position; it must not change any more, and should share what it is made of with those before.
    pub fn new(position: impl fmt::Display + Send + Sync + 'static) -> SourcePosition {
        SourcePosition(Arc::new(position))
    }
}

impl From<String> for SourcePosition {
    fn from(text: String) -> Self {
        SourcePosition::new(text)
    }
}

impl From<&str> for SourcePosition {
    fn from(text: &str) -> Self {
        SourcePosition::from(text.to_owned())
    }
}

impl fmt::Display for SourcePosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for SourcePosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.to_string())
    }
}

/// How a source is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SourceStatus {
    /// Connecting, again after `error` if there is one.
    Connecting {
        /// Why the last connection ended.
        error: Option<String>,
    },
    /// Reading the initial snapshot.
    Snapshot(RowsRead),
    /// Following live, while tables that have come to the source are read in.
    Filling(RowsRead),
    /// Following live; `true` once it has caught up with where the server stood at connect.
    Live(bool),
    /// Stopped until somebody acts; code, reason and cure in one text.
    Stopped(String),
}

/// How far the reading of rows has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RowsRead {
    /// Rows so far.
    pub rows: u64,
    /// About how many there are in all, as the server estimates; `None`: nobody knows.
    pub expected: Option<u64>,
}

/// Where a source delivers; waits while the runtime's queue is full.
pub trait Outlet: Send + Sync {
    /// Hands over one message; `false` = the runtime is gone, stop.
    fn send(&self, message: SourceMessage) -> BoxFuture<'_, bool>;
}

/// A source of transactions.
pub trait Source: Send {
    /// Its name in the configuration.
    fn name(&self) -> &str;
    /// Runs until the end, a stop, or the outlet's `false`; starts after `position` (as it printed it), or from its beginning.
    fn run(self: Box<Self>, position: Option<String>, outlet: Arc<dyn Outlet>) -> BoxFuture<'static, ()>;
}

// ---- sinks ---------------------------------------------------------------------------------------------------

/// What a sink needs to render a delivery at fire time.
#[derive(Clone, Debug)]
pub struct Firing<'a> {
    /// The effect id of this action.
    pub id: &'a str,
    /// The effect's or reaction's name.
    pub node: &'a str,
    /// The event's name: the reaction's event, or the effect's name.
    pub event: &'a str,
    /// `db.table`, or the document type.
    pub table: &'a str,
    /// The key's columns.
    pub key: &'a [(Arc<str>, Value)],
    /// The k-th trigger is 2k−1.
    pub version: u64,
    /// Commit time of its transaction.
    pub at: Timestamp,
    /// GTID, publish id, timer id or `tx`.
    pub origin: &'a str,
    /// The payload, a map.
    pub payload: &'a Value,
    /// What an acknowledgement over HTTP must carry, where one is awaited.
    pub ack_token: Option<&'a str>,
}

/// What became of one attempt.
#[derive(Clone, Debug, PartialEq)]
pub enum Attempt {
    /// Delivered.
    Done,
    /// Delivered, and the answer says that it is taken care of.
    Acknowledged {
        /// What came of it.
        result: String,
    },
    /// The receiver is gone for good: nothing more is sent to it until somebody says so.
    Gone {
        /// Why, without secrets.
        error: String,
    },
    /// Failed; trying again may help, not before the given number of seconds if the receiver said so.
    Transient {
        /// Why, without secrets.
        error: String,
        /// `Retry-After`, in seconds.
        retry_after: Option<u64>,
    },
    /// Failed; trying again will hardly help.
    Permanent {
        /// Why, without secrets.
        error: String,
    },
}

/// One kind of action, set up for one configured action.
pub trait Sink: Send + Sync {
    /// The bytes that every attempt of this firing sends.
    fn render(&self, firing: &Firing<'_>) -> Vec<u8>;
    /// One attempt.
    fn deliver<'a>(&'a self, delivery: &'a PendingDelivery) -> BoxFuture<'a, Attempt>;
}
