//! Staging: the log of a transaction that comes in parts is written ahead of its commit, blob by blob, each in an SQLite transaction of its
//! own. So neither memory nor one SQLite transaction must hold it.
//!
//! Invariants:
//! - STORE-7: what is staged lies in the log beyond the committed epoch, where no reader looks. The commit that begins with its
//!   transaction makes it part of the log by moving the epoch; every other commit, and a start, removes it.
//! - STORE-8: the bytes and the hash chain are those of the same transaction in one piece, however it is cut into parts.

use std::sync::Arc;

use rusqlite::TransactionBehavior;
use sha2::{Digest, Sha256};
use thalweg_graph::ports::{CommitBatch, StoreError};
use thalweg_graph::transaction::{Body, Change, Epoch, Transaction};

use super::SqliteStore;
use super::commit::{check_next, seal};
use super::log;
use crate::codec::log::{Blob, Target};
use crate::error::{ORDER, fatal, from_sqlite, miscounted, unreadable};

/// A transaction of which some is written.
pub(super) struct Staging {
    /// Its epoch: the one after the last committed.
    pub epoch: Epoch,
    origin: Arc<str>,
    /// Schemas that were known before it.
    pub known: usize,
    /// Its link of the hash chain so far.
    pub link: Sha256,
    /// Changes that were taken.
    taken: u64,
    /// All are.
    whole: bool,
    /// Blobs that are to be written, in their order.
    pub waiting: Vec<Blob>,
}

impl SqliteStore {
    /// See [`thalweg_graph::ports::Store::stage`].
    pub(super) fn stage_part(
        &mut self,
        epoch: Epoch,
        transaction: &Transaction,
        from: u64,
        changes: &[Change],
    ) -> Result<(), StoreError> {
        check_next(epoch, self.state.epoch)?;
        if !self.is_staged(epoch, transaction) {
            self.begin_staging(epoch, transaction)?;
        }
        self.take_part(transaction, from, changes)?;
        self.write_staged()
    }

    /// Brings what is staged to where the batch can be committed: its first transaction is staged whole, or nothing is.
    pub(super) fn settle_staged(&mut self, batch: &CommitBatch) -> Result<(), StoreError> {
        let first = batch.transactions.first();
        let Some((first, Body::Spilled(spill))) = first.map(|first| (first, &first.body)) else { return self.unstage() };
        if !self.is_staged(batch.first, first) {
            self.begin_staging(batch.first, first)?;
        }
        self.write_staged()?;
        let mut from = 0;
        let mut done = Ok(());
        if self.staging.as_ref().is_some_and(|staging| staging.taken < spill.changes()) {
            let read = spill.read(&mut |part| {
                done = self.stage_part(batch.first, first, from, &part);
                from += part.len() as u64;
                done.is_ok()
            });
            read.map_err(unreadable)?;
            done?;
        }
        self.end_staging(spill.changes())
    }

    fn is_staged(&self, epoch: Epoch, transaction: &Transaction) -> bool {
        self.staging.as_ref().is_some_and(|staging| staging.epoch == epoch && staging.origin == transaction.origin)
    }

    fn begin_staging(&mut self, epoch: Epoch, transaction: &Transaction) -> Result<(), StoreError> {
        self.unstage()?;
        let mut link = Sha256::new_with_prefix(self.state.chain);
        link.update(epoch.to_le_bytes());
        self.encoder.start(epoch, transaction, &mut link);
        let (origin, known) = (transaction.origin.clone(), self.schemas.len());
        self.staging = Some(Staging { epoch, origin, known, link, taken: 0, whole: false, waiting: Vec::new() });
        Ok(())
    }

    /// Encodes what of the part is new.
    fn take_part(&mut self, transaction: &Transaction, from: u64, changes: &[Change]) -> Result<(), StoreError> {
        let staging = self.staging.as_mut().expect("invariant STORE-7: it was begun");
        if from > staging.taken || staging.whole {
            let message = format!("broken invariant: a part from change {from} on, and {} were staged", staging.taken);
            return Err(fatal(ORDER, message));
        }
        let new = &changes[(staging.taken - from).min(changes.len() as u64) as usize..];
        let (link, waiting) = (&mut staging.link, &mut staging.waiting);
        let mut emit = |blob| {
            waiting.push(blob);
            Ok(())
        };
        self.encoder.append(
            staging.epoch,
            transaction,
            new,
            &mut Target { schemas: &mut self.schemas, link, emit: &mut emit },
        )?;
        staging.taken += new.len() as u64;
        self.schemas.hold();
        Ok(())
    }

    /// Writes the blobs that are full. They stay where they are while there is no room.
    fn write_staged(&mut self) -> Result<(), StoreError> {
        let Some(staging) = self.staging.as_mut().filter(|staging| !staging.waiting.is_empty() && !staging.whole) else {
            return Ok(());
        };
        let path = self.dir.database();
        let failed = |e: rusqlite::Error| from_sqlite("write to", &path, &e);
        let mut next = self.state.clone();
        let tx = rusqlite::Transaction::new_unchecked(&self.conn, TransactionBehavior::Immediate).map_err(failed)?;
        staging.waiting.iter().try_for_each(|blob| log::insert(&self.conn, blob)).map_err(failed)?;
        seal(&self.conn, &self.dir, &mut next)?;
        tx.commit().map_err(failed)?;
        staging.waiting.clear();
        self.written(next)
    }

    /// All changes are in: what is not written yet is written by the commit.
    fn end_staging(&mut self, changes: u64) -> Result<(), StoreError> {
        let Some(staging) = self.staging.as_mut().filter(|staging| !staging.whole) else { return Ok(()) };
        if staging.taken != changes {
            return Err(miscounted(staging.taken, changes));
        }
        staging.whole = true;
        self.encoder.shut(&mut staging.link);
        let waiting = &mut staging.waiting;
        self.encoder.finish(staging.epoch, &mut |blob| {
            waiting.push(blob);
            Ok(())
        })
    }

    /// Drops what is staged.
    fn unstage(&mut self) -> Result<(), StoreError> {
        if self.staging.is_none() {
            return Ok(());
        }
        let path = self.dir.database();
        let failed = |e: rusqlite::Error| from_sqlite("write to", &path, &e);
        let mut next = self.state.clone();
        let tx = rusqlite::Transaction::new_unchecked(&self.conn, TransactionBehavior::Immediate).map_err(failed)?;
        log::drop_staged(&self.conn, &path, self.state.epoch)?;
        seal(&self.conn, &self.dir, &mut next)?;
        tx.commit().map_err(failed)?;
        self.staging = None;
        self.schemas.let_go();
        self.schemas.forget_new();
        self.written(next)
    }
}
