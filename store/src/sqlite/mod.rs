//! [`SqliteStore`]: one SQLite transaction and one sync per commit.
//!
//! A commit holds its transactions, positions, schemas, outbox rows and timers together; memory is brought along only after SQLite
//! has said yes, so a failed commit can be tried again with the same batch. The write-ahead log is checkpointed here, on the caller's
//! thread, when it has grown beyond [`WAL_PAGES`]; nothing else writes. A transaction that comes in parts is written ahead of its commit,
//! which makes it visible ([`stage`]).
//!
//! Next to read: [`commit`], [`stage`], [`log`], [`outbox`], [`due`], [`digest`], [`acts`], [`settled`], [`open`].

pub(crate) mod acts;
pub(crate) mod commit;
pub(crate) mod crc;
pub(crate) mod digest;
pub(crate) mod due;
pub(crate) mod history;
pub(crate) mod log;
pub(crate) mod look;
mod migrate;
pub(crate) mod open;
pub(crate) mod outbox;
pub(crate) mod settled;
pub(crate) mod snapshots;
mod stage;
pub(crate) mod state;
pub(crate) mod tables;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;

use rusqlite::{Connection, TransactionBehavior};
use thalweg_formulas::Timestamp;
use thalweg_graph::ports::{
    Act, Acted, CommitBatch, DeclaredKeys, DeclaredTypes, Digest, Listed, LogPart, OutboxCounts, OutboxFilter, OutboxRow,
    OutboxUpdate, Paused, PendingDelivery, Recovered, Settled, Shown, Store, StoreError, Timer,
};
use thalweg_graph::state::EngineState;
use thalweg_graph::transaction::{Change, Epoch, Transaction};

use self::acts::Desk;
use self::commit::{check_order, raise_fence, seal, write_epochs, write_small};
use self::due::Ask;
use self::log::Span;
use self::open::Meta;
use self::outbox::Turn;
use self::stage::Staging;
use self::state::State;
use crate::codec::log::{Encoder, PIECE, Piece};
use crate::config::{LogRetention, StoreConfig};
use crate::dir::Dir;
use crate::error::{IO, ORDER, fatal, from_sqlite, retry};
use crate::schemas::Schemas;
use crate::snapshot::{Manifest, Recorded, Snapshots};

/// The write-ahead log is copied into the database when it holds more pages than this (8 MiB): small enough that the copy is a
/// short pause, large enough that it is rare.
const WAL_PAGES: i64 = 2048;

/// The durable store in a directory. One process at a time; every method works on the calling thread.
pub struct SqliteStore {
    conn: Connection,
    dir: Dir,
    meta: Meta,
    snapshots: Snapshots,
    /// The snapshot that is being written.
    writing: Option<JoinHandle<Result<Recorded, StoreError>>>,
    /// The snapshot whose state was handed out.
    chosen: Option<Manifest>,
    state: State,
    positions: BTreeMap<Arc<str>, String>,
    paused: Vec<Paused>,
    /// The source that follows what becomes of deliveries.
    follower: Option<Arc<str>>,
    schemas: Schemas,
    encoder: Encoder,
    /// The transaction that is written ahead of its commit; the encoder is in the middle of it.
    staging: Option<Staging>,
}

impl SqliteStore {
    /// Opens the store in `dir`, or makes one where nothing was. One sync; time grows with the pending deliveries, not with the log.
    ///
    /// # Errors
    /// The directory is in use, what lies there is not a store of this version, or it is damaged. Nothing was changed then.
    pub fn open(dir: &Path, config: StoreConfig) -> Result<SqliteStore, StoreError> {
        let mut dir = Dir::enter(dir)?;
        let path = dir.database();
        let (conn, meta, mut state) = open::open(&dir, config.max_bytes)?;
        dir.opened();
        let positions = tables::read_positions(&conn, &path, &state)?;
        let schemas = tables::read_schemas(&conn, &path, Some((state.schemas, state.tables)))?;
        outbox::check(&conn, &path, &state.counts)?;
        tables::read_timers(&conn, &path, &state)?;
        let paused = acts::read_paused(&conn, &path, state.paused)?;
        let follower = settled::read_follower(&conn, &path)?;
        let recorded = snapshots::read(&conn, &path)?;
        snapshots::sweep(&dir.snapshots(), &recorded, state.epoch)?;
        raise_fence(&conn, &path, &mut state)?;
        if log::drop_staged(&conn, &path, state.epoch)? {
            tracing::info!("a large transaction had not come in whole; it is read again");
        }
        dir.testify(state.commits);
        let encoder = Encoder::new(config.piece_bytes.unwrap_or(PIECE));
        let snapshots = Snapshots {
            folder: dir.snapshots(),
            database: path,
            instance: meta.instance.clone(),
            config: Arc::new(config),
            recorded,
            log_start: state.log_start,
        };
        Ok(SqliteStore {
            conn,
            dir,
            meta,
            snapshots,
            writing: None,
            chosen: None,
            state,
            positions,
            paused,
            follower,
            schemas,
            encoder,
            staging: None,
        })
    }

    /// The secret that signs webhooks for which none is configured: `whsec_` and 32 random bytes in base64, made with the store.
    pub fn instance_secret(&self) -> &str {
        &self.meta.secret
    }

    /// Who this store is: 32 hex digits, made with the store.
    pub fn instance(&self) -> &str {
        &self.meta.instance
    }

    /// The hash chain through the last epoch, in hex: equal for equal inputs and firings, whatever the batches were.
    pub fn chain(&self) -> String {
        open::hex(&self.state.chain)
    }

    /// Waits for the snapshot that is being written, if there is one, and records it.
    ///
    /// # Errors
    /// It was not written, or could not be recorded; the one before stays.
    pub fn finish_snapshot(&mut self) -> Result<(), StoreError> {
        match self.writing.take() {
            None => Ok(()),
            Some(thread) => self.record(&thread.join().expect("invariant: writing a snapshot does not panic")?),
        }
    }

    /// Records a snapshot that is ready. One that failed for want of room is reported and done without: the log is the authority.
    fn settle_snapshot(&mut self) -> Result<(), StoreError> {
        if self.writing.as_ref().is_some_and(JoinHandle::is_finished) { self.await_snapshot() } else { Ok(()) }
    }

    /// The same for one that is still being written.
    fn await_snapshot(&mut self) -> Result<(), StoreError> {
        match self.finish_snapshot() {
            Err(StoreError::Retry { code, message }) => {
                tracing::warn!("{code}: a snapshot was not written: {message}");
                Ok(())
            }
            done => done,
        }
    }

    fn record(&mut self, new: &Recorded) -> Result<(), StoreError> {
        let path = self.dir.database();
        let failed = |e: rusqlite::Error| from_sqlite("write to", &path, &e);
        let mut next = self.state.clone();
        let tx = rusqlite::Transaction::new_unchecked(&self.conn, TransactionBehavior::Immediate).map_err(failed)?;
        let kept = snapshots::record(&self.conn, &self.snapshots.recorded, new).map_err(failed)?;
        if let (LogRetention::SinceOlderSnapshot, [_, .., older]) = (self.snapshots.config.log_retention, &kept[..]) {
            next.log_start = log::trim(&self.conn, older.epoch).map_err(failed)?.unwrap_or(next.epoch + 1);
        }
        seal(&self.conn, &self.dir, &mut next)?;
        tx.commit().map_err(failed)?;
        self.snapshots.log_start = next.log_start;
        self.snapshots.recorded = kept;
        self.chosen = None;
        self.written(next)?;
        snapshots::sweep(&self.dir.snapshots(), &self.snapshots.recorded, self.state.epoch)
    }

    fn failed(&self, doing: &str, error: &rusqlite::Error) -> StoreError {
        from_sqlite(doing, &self.dir.database(), error)
    }

    /// Writes a batch in one SQLite transaction; gives the state after it. Memory is as before, except for staged schemas.
    fn write(&mut self, batch: &CommitBatch) -> Result<State, StoreError> {
        let path = self.dir.database();
        let failed = |e: rusqlite::Error| from_sqlite("write to", &path, &e);
        let mut next = self.state.clone();
        let tx = rusqlite::Transaction::new_unchecked(&self.conn, TransactionBehavior::Immediate).map_err(failed)?;
        let staging = self.staging.as_ref();
        write_epochs(&self.conn, &path, batch, &mut self.encoder, &mut self.schemas, staging, &mut next)?;
        write_small(&self.conn, batch, &self.schemas, &self.positions, &mut next).map_err(failed)?;
        if let Some((_, position)) = batch.positions.iter().rfind(|(source, _)| Some(source) == self.follower.as_ref()) {
            settled::trim(&self.conn, position).map_err(failed)?;
        }
        seal(&self.conn, &self.dir, &mut next)?;
        tx.commit().map_err(failed)?;
        Ok(next)
    }

    /// Brings memory to what was just committed.
    fn written(&mut self, next: State) -> Result<(), StoreError> {
        self.state = next;
        self.dir.testify(self.state.commits);
        self.checkpoint()
    }

    /// Copies the write-ahead log into the database when it has grown. No room there is no loss: the log stays and grows on.
    fn checkpoint(&self) -> Result<(), StoreError> {
        let pages = |mode: &str| {
            let mut query = self.conn.prepare_cached(&format!("PRAGMA wal_checkpoint({mode})"))?;
            query.query_row([], |row| row.get::<_, i64>(1))
        };
        let done = pages("NOOP").and_then(|n| if n > WAL_PAGES { pages("PASSIVE") } else { Ok(n) });
        match done.map_err(|e| self.failed("checkpoint", &e)) {
            Err(StoreError::Retry { message, .. }) => tracing::warn!("{message}"),
            Err(fatal) => return Err(fatal),
            Ok(_) => {}
        }
        Ok(())
    }
}

impl Store for SqliteStore {
    fn declare(&mut self, keys: DeclaredKeys, types: DeclaredTypes) {
        self.snapshots.config = Arc::new(StoreConfig { keys, types, ..StoreConfig::clone(&self.snapshots.config) });
    }

    fn follow(&mut self, follower: Option<Arc<str>>) -> Result<(), StoreError> {
        if self.follower == follower {
            return Ok(());
        }
        self.settle_snapshot()?;
        let path = self.dir.database();
        let failed = |e: rusqlite::Error| from_sqlite("write to", &path, &e);
        let mut next = self.state.clone();
        let tx = rusqlite::Transaction::new_unchecked(&self.conn, TransactionBehavior::Immediate).map_err(failed)?;
        settled::put_follower(&self.conn, follower.as_deref()).map_err(failed)?;
        seal(&self.conn, &self.dir, &mut next)?;
        tx.commit().map_err(failed)?;
        self.follower = follower;
        self.written(next)
    }

    fn recovered(&self) -> Recovered {
        Recovered {
            epoch: self.state.epoch,
            at: self.state.at,
            positions: self.positions.iter().map(|(source, position)| (source.clone(), position.clone())).collect(),
            schemas: self.schemas.newest(),
        }
    }

    fn snapshot_state(&mut self) -> Result<Option<EngineState>, StoreError> {
        self.await_snapshot()?;
        self.chosen = self.snapshots.newest_usable()?;
        self.chosen.as_ref().map(|manifest| self.snapshots.state(manifest)).transpose()
    }

    fn snapshot_rows(&mut self, rows: &mut dyn FnMut(Transaction)) -> Result<(), StoreError> {
        match &self.chosen {
            None => Ok(()),
            Some(manifest) => self.snapshots.rows(manifest, rows),
        }
    }

    fn replay_parts(&mut self, epoch: Epoch, each: &mut dyn FnMut(LogPart)) -> Result<(), StoreError> {
        let path = self.dir.database();
        let span = Span { after: epoch, through: self.state.epoch };
        log::read(&self.conn, &path, span, &self.schemas, &mut |Piece { epoch, transaction, more, .. }| {
            each(LogPart { epoch, transaction, more });
            Ok(())
        })
    }

    fn stage(&mut self, epoch: Epoch, transaction: &Transaction, from: u64, changes: &[Change]) -> Result<(), StoreError> {
        self.settle_snapshot()?;
        self.stage_part(epoch, transaction, from, changes)
    }

    fn commit(&mut self, batch: &CommitBatch) -> Result<(), StoreError> {
        check_order(batch, self.state.epoch)?;
        self.settle_snapshot()?;
        self.settle_staged(batch)?;
        match self.write(batch) {
            Ok(next) => {
                self.staging = None;
                self.schemas.kept();
                self.positions.extend(batch.positions.iter().cloned());
                self.written(next)
            }
            Err(error) => {
                self.schemas.forget_new();
                Err(error)
            }
        }
    }

    fn update_outbox(&mut self, updates: &[OutboxUpdate]) -> Result<(), StoreError> {
        if updates.is_empty() {
            return Ok(());
        }
        self.settle_snapshot()?;
        let path = self.dir.database();
        let failed = |e: rusqlite::Error| from_sqlite("write to", &path, &e);
        let mut next = self.state.clone();
        let tx = rusqlite::Transaction::new_unchecked(&self.conn, TransactionBehavior::Immediate).map_err(failed)?;
        for update in updates {
            let (counts, follower) = (&mut next.counts, self.follower.as_deref());
            Turn { conn: &self.conn, path: &path, at: update.at, counts, follower }.update(update)?;
        }
        seal(&self.conn, &self.dir, &mut next)?;
        tx.commit().map_err(failed)?;
        self.written(next)
    }

    fn due_deliveries_except(
        &mut self,
        now: Timestamp,
        limit: usize,
        in_flight: &dyn Fn(&str) -> bool,
        busy: &dyn Fn(&str, u32) -> bool,
    ) -> Result<Vec<PendingDelivery>, StoreError> {
        let busy = |node: &str, action| busy(node, action) || is_paused(&self.paused, node, action);
        due::due(&self.conn, &self.dir.database(), &Ask { now, limit, in_flight, busy: &busy })
    }

    fn gather(&mut self, id: &str, digest: &Digest, at: Timestamp) -> Result<Vec<OutboxRow>, StoreError> {
        let path = self.dir.database();
        let leader = digest::leader(&self.conn, &path, id)?;
        if let Some(known) = digest::known(&self.conn, &path, &leader)? {
            return Ok(known);
        }
        self.settle_snapshot()?;
        let failed = |e: rusqlite::Error| from_sqlite("write to", &path, &e);
        let mut next = self.state.clone();
        let tx = rusqlite::Transaction::new_unchecked(&self.conn, TransactionBehavior::Immediate).map_err(failed)?;
        let rows = digest::gather(&self.conn, &path, leader, digest, at)?;
        seal(&self.conn, &self.dir, &mut next)?;
        tx.commit().map_err(failed)?;
        self.written(next)?;
        Ok(rows)
    }

    fn next_delivery_at(&mut self) -> Result<Option<Timestamp>, StoreError> {
        due::next_at(&self.conn).map_err(|e| self.failed("read", &e))
    }

    fn next_delivery_after(&mut self, now: Timestamp) -> Result<Option<Timestamp>, StoreError> {
        due::next_after(&self.conn, now).map_err(|e| self.failed("read", &e))
    }

    fn act(&mut self, act: &Act, at: Timestamp) -> Result<Acted, StoreError> {
        self.settle_snapshot()?;
        let path = self.dir.database();
        let failed = |e: rusqlite::Error| from_sqlite("write to", &path, &e);
        let (mut next, mut paused) = (self.state.clone(), self.paused.clone());
        let tx = rusqlite::Transaction::new_unchecked(&self.conn, TransactionBehavior::Immediate).map_err(failed)?;
        let turn = Turn { conn: &self.conn, path: &path, at, counts: &mut next.counts, follower: self.follower.as_deref() };
        let acted = Desk { turn, paused: &mut paused }.act(act)?;
        next.paused = paused.len() as u64;
        seal(&self.conn, &self.dir, &mut next)?;
        tx.commit().map_err(failed)?;
        self.paused = paused;
        self.written(next)?;
        Ok(acted)
    }

    fn paused(&self) -> Vec<Paused> {
        self.paused.clone()
    }

    fn deliveries(&mut self, filter: &OutboxFilter) -> Result<Vec<Listed>, StoreError> {
        look::list(&self.conn, &self.dir.database(), filter)
    }

    fn delivery(&mut self, id: &str) -> Result<Option<Shown>, StoreError> {
        look::show(&self.conn, &self.dir.database(), id)
    }

    fn settled(&mut self, after: u64, limit: usize) -> Result<Vec<Settled>, StoreError> {
        let Some(source) = &self.follower else { return Ok(Vec::new()) };
        settled::read(&self.conn, &self.dir.database(), Some(source), after, limit)
    }

    fn timers(&mut self) -> Result<Vec<Timer>, StoreError> {
        tables::read_timers(&self.conn, &self.dir.database(), &self.state)
    }

    fn outbox_counts(&mut self) -> Result<OutboxCounts, StoreError> {
        Ok(self.state.counts)
    }

    /// Starts writing and returns; what comes of it is recorded by a later commit or update of the outbox, by
    /// [`SqliteStore::finish_snapshot`], or when the store is closed.
    fn snapshot(&mut self, state: &EngineState) -> Result<(), StoreError> {
        self.finish_snapshot()?;
        if state.epoch > self.state.epoch {
            return Err(fatal(
                ORDER,
                format!("broken invariant: a snapshot at epoch {}, and {} was the last commit", state.epoch, self.state.epoch),
            ));
        }
        if self.snapshots.recorded.first().is_some_and(|newest| newest.epoch >= state.epoch) {
            return Ok(());
        }
        let (snapshots, state) = (self.snapshots.clone(), state.clone());
        let thread = std::thread::Builder::new().name("thalweg-snapshot".into());
        let started = thread.spawn(move || snapshots.write(&state));
        self.writing = Some(started.map_err(|e| retry(IO, format!("no thread to write a snapshot: {e}")))?);
        Ok(())
    }
}

/// Whether an action of a rule is paused.
pub(crate) fn is_paused(paused: &[Paused], node: &str, action: u32) -> bool {
    paused.iter().any(|p| *p.node == *node && p.action.is_none_or(|of| of == action))
}

impl Drop for SqliteStore {
    fn drop(&mut self) {
        if let Err(error) = self.finish_snapshot() {
            tracing::warn!("{error}: the last snapshot is not recorded; the log replaces it");
        }
    }
}
