//! A dry run: what a run would deliver from here on, without delivering it and without changing the data directory.
//!
//! It runs on a copy of the data directory as of one commit (the same that `thalweg backup` makes), so it goes on from the positions, the
//! values, the timers and the versions that the real run would go on from; without a data directory it begins as a first run does. The copy is
//! removed at the end. All is real but the dispatcher's view of the outbox, which is empty: nothing ever leaves.
//!
//! Invariants:
//! - INV-DRY-1: nothing is due, so no sink is called; each delivery that a commit adds is shown once, with the id and the bytes that the
//!   real run would send.
//! - INV-DRY-2: nothing of a daemon beside it is taken: not its directory, its address, nor its `server_id`.
//!
//! What effects would write is not written, so what follows from that is not seen either.

use std::sync::Arc;

use tempfile::TempDir;
use thalweg_formulas::{Code, Timestamp};
use thalweg_graph::ports::{
    Act, Acted, CommitBatch, DeclaredKeys, DeclaredTypes, Digest, Listed, LogPart, OutboxCounts, OutboxFilter, OutboxRow,
    OutboxUpdate, Paused, PendingDelivery, Recovered, Settled, Shown, Store, StoreError, Timer,
};
use thalweg_graph::state::EngineState;
use thalweg_graph::transaction::{Change, Epoch, Transaction};
use thalweg_store::OutboxReader;

use super::Setup;
use super::launch::{self, Launch, LaunchError};
use crate::config::SourceKind;

/// Takes what would be delivered.
pub type Show = Box<dyn FnMut(&OutboxRow) + Send>;

/// Opens and builds everything over a copy; the copy is there until the second of the two is dropped.
///
/// # Errors
/// As [`launch::setup`], and what keeps the directory from being copied.
pub fn setup(mut launch: Launch, show: Show) -> Result<(Setup, TempDir), LaunchError> {
    let real = launch.data.take().unwrap_or_else(|| launch::data_directory(&launch.config));
    let copy = tempfile::tempdir().map_err(no_room)?;
    if real.join("thalweg.db").exists() {
        OutboxReader::open(&real)?.back_up(copy.path())?;
    }
    for source in &mut launch.config.sources {
        if let SourceKind::Mysql(mysql) = &mut source.kind {
            mysql.server_id = None; // A server lets go of the reader that had the same one.
        }
    }
    launch.data = Some(copy.path().to_owned());
    let setup = launch::setup(launch)?;
    let store = Box::new(DryStore { real: setup.store, show });
    Ok((Setup { store, listen: None, reread: None, ..setup }, copy))
}

fn no_room(error: std::io::Error) -> LaunchError {
    let place = std::env::temp_dir();
    let message = format!("cannot create a directory in {}: {error}; set TMPDIR to a place that can be written", place.display());
    LaunchError::Store(StoreError::Fatal { code: Code(608), message })
}

/// A store whose deliveries are shown, not made.
struct DryStore {
    real: Box<dyn Store>,
    show: Show,
}

impl Store for DryStore {
    fn commit(&mut self, batch: &CommitBatch) -> Result<(), StoreError> {
        let mut new = Vec::new();
        for row in &batch.outbox {
            if self.real.delivery(&row.id)?.is_none() {
                new.push(row);
            }
        }
        self.real.commit(batch)?;
        for row in new {
            // One that is coalesced is not there.
            if self.real.delivery(&row.id)?.is_some() {
                (self.show)(row);
            }
        }
        Ok(())
    }

    fn due_deliveries_except(
        &mut self,
        _: Timestamp,
        _: usize,
        _: &dyn Fn(&str) -> bool,
        _: &dyn Fn(&str, u32) -> bool,
    ) -> Result<Vec<PendingDelivery>, StoreError> {
        Ok(Vec::new())
    }

    fn gather(&mut self, id: &str, digest: &Digest, at: Timestamp) -> Result<Vec<OutboxRow>, StoreError> {
        self.real.gather(id, digest, at)
    }

    fn next_delivery_at(&mut self) -> Result<Option<Timestamp>, StoreError> {
        Ok(None)
    }

    fn next_delivery_after(&mut self, _: Timestamp) -> Result<Option<Timestamp>, StoreError> {
        Ok(None)
    }

    fn recovered(&self) -> Recovered {
        self.real.recovered()
    }

    fn snapshot_state(&mut self) -> Result<Option<EngineState>, StoreError> {
        self.real.snapshot_state()
    }

    fn snapshot_rows(&mut self, rows: &mut dyn FnMut(Transaction)) -> Result<(), StoreError> {
        self.real.snapshot_rows(rows)
    }

    fn replay_parts(&mut self, epoch: Epoch, each: &mut dyn FnMut(LogPart)) -> Result<(), StoreError> {
        self.real.replay_parts(epoch, each)
    }

    fn stage(&mut self, epoch: Epoch, transaction: &Transaction, from: u64, changes: &[Change]) -> Result<(), StoreError> {
        self.real.stage(epoch, transaction, from, changes)
    }

    fn declare(&mut self, keys: DeclaredKeys, types: DeclaredTypes) {
        self.real.declare(keys, types);
    }

    fn follow(&mut self, follower: Option<Arc<str>>) -> Result<(), StoreError> {
        self.real.follow(follower)
    }

    fn settled(&mut self, after: u64, limit: usize) -> Result<Vec<Settled>, StoreError> {
        self.real.settled(after, limit)
    }

    fn update_outbox(&mut self, updates: &[OutboxUpdate]) -> Result<(), StoreError> {
        self.real.update_outbox(updates)
    }

    fn act(&mut self, act: &Act, at: Timestamp) -> Result<Acted, StoreError> {
        self.real.act(act, at)
    }

    fn paused(&self) -> Vec<Paused> {
        self.real.paused()
    }

    fn deliveries(&mut self, filter: &OutboxFilter) -> Result<Vec<Listed>, StoreError> {
        self.real.deliveries(filter)
    }

    fn delivery(&mut self, id: &str) -> Result<Option<Shown>, StoreError> {
        self.real.delivery(id)
    }

    fn timers(&mut self) -> Result<Vec<Timer>, StoreError> {
        self.real.timers()
    }

    fn outbox_counts(&mut self) -> Result<OutboxCounts, StoreError> {
        self.real.outbox_counts()
    }

    fn snapshot(&mut self, state: &EngineState) -> Result<(), StoreError> {
        self.real.snapshot(state)
    }
}
