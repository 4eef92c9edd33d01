//! What one commit writes, inside its SQLite transaction.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use rusqlite::Connection;
use sha2::{Digest, Sha256};
use thalweg_formulas::Timestamp;
use thalweg_graph::ports::{CommitBatch, OutboxRow, StoreError};
use thalweg_graph::transaction::Epoch;

use super::stage::Staging;
use super::state::State;
use super::{log, outbox, tables};
use crate::codec::log::{Blob, Encoder, Target};
use crate::dir::Dir;
use crate::error::{FENCED, ORDER, fatal, from_sqlite};
use crate::schemas::Schemas;

/// A batch continues where the commit before ended.
pub(crate) fn check_order(batch: &CommitBatch, epoch: Epoch) -> Result<(), StoreError> {
    if batch.transactions.is_empty() { Ok(()) } else { check_next(batch.first, epoch) }
}

/// An epoch follows the last one.
pub(super) fn check_next(first: Epoch, last: Epoch) -> Result<(), StoreError> {
    if first == last + 1 {
        return Ok(());
    }
    Err(fatal(ORDER, format!("broken invariant: a commit begins at epoch {first}, and epoch {last} was the last")))
}

/// Takes the store over from whoever had it before.
pub(super) fn raise_fence(conn: &Connection, path: &Path, state: &mut State) -> Result<(), StoreError> {
    let before = state.fence;
    state.fence += 1;
    state.commits += 1;
    let written = state.write(conn, before).map_err(|e| from_sqlite("write to", path, &e))?;
    if written { Ok(()) } else { Err(fenced(path)) }
}

/// Writes the row that makes the rest of the SQLite transaction a commit.
pub(super) fn seal(conn: &Connection, dir: &Dir, next: &mut State) -> Result<(), StoreError> {
    dir.check_in_place()?;
    next.commits += 1;
    let path = dir.database();
    let written = next.write(conn, next.fence).map_err(|e| from_sqlite("write to", &path, &e))?;
    if written { Ok(()) } else { Err(fenced(&path)) }
}

fn fenced(path: &Path) -> StoreError {
    fatal(FENCED, format!("another process has taken over {}; this one stops without writing", path.display()))
}

/// Log and outbox, epoch by epoch, each a link of the hash chain; of the epoch that is staged, what is not written yet.
pub(super) fn write_epochs(
    conn: &Connection,
    path: &Path,
    batch: &CommitBatch,
    encoder: &mut Encoder,
    schemas: &mut Schemas,
    staging: Option<&Staging>,
    next: &mut State,
) -> Result<(), StoreError> {
    let mut emit = |blob: Blob| log::insert(conn, &blob).map_err(|e| from_sqlite("write to", path, &e));
    let mut rows: Vec<&OutboxRow> = batch.outbox.iter().collect();
    rows.sort_by_key(|row| row.epoch);
    let mut rows = &rows[..];
    if batch.transactions.is_empty() && !rows.is_empty() {
        let mut link = Sha256::new_with_prefix(next.chain);
        write_rows(conn, path, &mut rows, next.epoch, next.at, &mut link, next)?;
        next.chain = link.finalize().into();
    }
    encoder.begin(batch.first);
    for (epoch, transaction) in (batch.first..).zip(&batch.transactions) {
        let mut link = Sha256::new_with_prefix(next.chain);
        let mut known = schemas.len();
        if let Some(staging) = staging.filter(|staging| staging.epoch == epoch) {
            staging.waiting.iter().try_for_each(|blob| log::insert(conn, blob)).map_err(|e| from_sqlite("write to", path, &e))?;
            (link, known) = (staging.link.clone(), staging.known);
            encoder.begin(epoch + 1);
        } else {
            link.update(epoch.to_le_bytes());
            encoder.push(epoch, transaction, &mut Target { schemas, link: &mut link, emit: &mut emit })?;
        }
        schemas.since(known).for_each(|(_, schema)| link.update(&schema.body));
        write_rows(conn, path, &mut rows, epoch, transaction.at, &mut link, next)?;
        next.chain = link.finalize().into();
        next.at = next.at.max(transaction.at);
        next.epoch = epoch;
    }
    encoder.finish(next.epoch, &mut emit)?;
    match rows.first() {
        None => Ok(()),
        Some(row) => Err(fatal(
            ORDER,
            format!("broken invariant: a delivery of epoch {} in a commit that ends at epoch {}", row.epoch, next.epoch),
        )),
    }
}

/// The firings of one epoch.
fn write_rows(
    conn: &Connection,
    path: &Path,
    rows: &mut &[&OutboxRow],
    epoch: Epoch,
    fired_at: Timestamp,
    link: &mut Sha256,
    next: &mut State,
) -> Result<(), StoreError> {
    while let Some((row, rest)) = rows.split_first().filter(|(row, _)| row.epoch <= epoch) {
        hash_row(row, link);
        outbox::insert(conn, path, row, fired_at, &mut next.counts)?;
        *rows = rest;
    }
    Ok(())
}

fn hash_row(row: &OutboxRow, link: &mut Sha256) {
    for part in [row.id.as_bytes(), row.node.as_bytes(), row.key.as_bytes(), row.settings.as_bytes(), &row.body] {
        link.update((part.len() as u64).to_le_bytes());
        link.update(part);
    }
    link.update(row.action.to_le_bytes());
    link.update(row.version.to_le_bytes());
}

/// Schemas, positions and timers.
pub(super) fn write_small(
    conn: &Connection,
    batch: &CommitBatch,
    schemas: &Schemas,
    positions: &BTreeMap<Arc<str>, String>,
    next: &mut State,
) -> rusqlite::Result<()> {
    tables::put_schemas(conn, schemas, next.epoch)?;
    next.schemas = schemas.len() as u64;
    next.tables = schemas.tables() as u64;
    let mut new_sources: Vec<&Arc<str>> =
        batch.positions.iter().map(|(source, _)| source).filter(|s| !positions.contains_key(*s)).collect();
    new_sources.sort();
    new_sources.dedup();
    next.sources += new_sources.len() as u64;
    for (source, position) in &batch.positions {
        tables::put_position(conn, source, position)?;
    }
    for timer in &batch.timers {
        next.timers += tables::put_timer(conn, timer)?;
    }
    for id in &batch.timers_done {
        next.timers -= tables::drop_timer(conn, id)?;
    }
    Ok(())
}
