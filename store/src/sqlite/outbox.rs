//! The outbox: deliveries to make, in lanes.
//!
//! A lane is (node, action, key); within it deliveries go out one after another, in the order in which they fired. So at most one
//! pending row per lane, its **head**, can ever be due, and `head` is stored: two partial indexes over heads, one of rows that may go at
//! once and one of rows that wait for their `not_before`, make every question cost what its answer holds, however many rows wait
//! ([`super::due`]).
//!
//! Invariants:
//! - STORE-1: a lane with pending rows has exactly one head, the pending row with the least `seq`; no row that is not pending is a head.
//! - STORE-2: an id is inserted once; a second insert changes nothing.
//! - STORE-3: `fired = acked + dead + cancelled + pending`, in `state` and by counting rows; `seq` is dense, so `fired` = the last `seq`.

use std::path::Path;

use rusqlite::{Connection, OptionalExtension, params};
use sha2::{Digest, Sha256};
use thalweg_formulas::Timestamp;
use thalweg_graph::ports::{OutboxCounts, OutboxRow, OutboxState, OutboxUpdate, StoreError};

use super::crc::RowCrc;
use crate::error::{ORDER, damaged, fatal, from_sqlite};

/// What of a row changes during delivery.
pub(super) struct Mutable<'a> {
    pub head: bool,
    pub state: &'a str,
    pub attempts: u32,
    pub not_before: Timestamp,
    pub error: &'a str,
}

impl Mutable<'_> {
    pub(super) fn crc(&self, seq: i64) -> i64 {
        let crc = RowCrc::new().int(seq).int(self.head.into()).text(self.state).int(self.attempts.into());
        crc.int(self.not_before.0).text(self.error).done()
    }
}

pub(super) fn row_crc(seq: i64, (rule, lane): (i64, i64), row: &OutboxRow, fired_at: Timestamp) -> i64 {
    let crc =
        RowCrc::new().int(seq).int(rule).int(lane).text(&row.id).int(row.epoch as i64).text(&row.node).int(row.action.into());
    crc.text(&row.key).int(row.version as i64).int(fired_at.0).text(&row.settings).bytes(&row.body).done()
}

/// Hashes of (node, action), the rule, and of the lane. Two lanes that share one would only wait for each other, two rules only be busy
/// together.
fn rule_and_lane(row: &OutboxRow) -> (i64, i64) {
    let first = |hash: Sha256| i64::from_le_bytes(*hash.finalize().first_chunk().expect("SHA-256 has 32 bytes"));
    let mut hash = Sha256::new();
    hash.update(row.action.to_le_bytes());
    hash.update((row.node.len() as u64).to_le_bytes());
    hash.update(row.node.as_bytes());
    let rule = first(hash.clone());
    hash.update(row.key.as_bytes());
    (rule, first(hash))
}

/// Inserts a firing; `false` if its id was there already.
pub(super) fn insert(conn: &Connection, row: &OutboxRow, fired_at: Timestamp, fired: u64) -> rusqlite::Result<bool> {
    if conn.prepare_cached("SELECT 1 FROM outbox WHERE id = ?1")?.exists([&row.id])? {
        return Ok(false);
    }
    let seq = fired as i64 + 1;
    let (rule, lane) = rule_and_lane(row);
    let busy = "SELECT 1 FROM outbox INDEXED BY outbox_lane WHERE lane = ?1 AND state = 'pending'";
    let head = !conn.prepare_cached(busy)?.exists([lane])?;
    let fresh = Mutable { head, state: "pending", attempts: 0, not_before: Timestamp(0), error: "" };
    conn.prepare_cached(
        "INSERT INTO outbox VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, 'pending', 0, 0, '', ?13)",
    )?
    .execute(params![
        seq,
        row.id,
        row.epoch as i64,
        row.node,
        row.action,
        row.key,
        row.version as i64,
        fired_at.0,
        row_crc(seq, (rule, lane), row, fired_at),
        rule,
        lane,
        head,
        fresh.crc(seq)
    ])?;
    conn.prepare_cached("INSERT INTO outbox_body VALUES(?1, ?2, ?3)")?.execute(params![seq, row.settings, &row.body[..]])?;
    Ok(true)
}

/// Records one attempt's end and moves the counts with it.
pub(super) fn update(conn: &Connection, path: &Path, update: &OutboxUpdate, counts: &mut OutboxCounts) -> Result<(), StoreError> {
    let failed = |e: rusqlite::Error| from_sqlite("write to", path, &e);
    let found = conn
        .prepare_cached("SELECT seq, lane, state FROM outbox WHERE id = ?1")
        .and_then(|mut q| q.query_row([&update.id], |row| Ok((row.get(0)?, row.get(1)?, row.get::<_, String>(2)?))).optional());
    let Some((seq, lane, state)) = found.map_err(failed)? else {
        return Err(fatal(ORDER, format!("broken invariant: delivery {} is not in the outbox", update.id)));
    };
    let was = state_of(&state).ok_or_else(|| damaged(path, format!("the state of delivery {}", update.id)))?;
    if matches!(was, OutboxState::Acked | OutboxState::Cancelled) {
        return Ok(()); // What is over stays as it ended.
    }
    *count_of(counts, was) -= 1;
    *count_of(counts, update.state) += 1;
    write_update(conn, seq, update).and_then(|()| rehead(conn, lane)).map_err(failed)
}

/// Writes the new state; the row is a head only if it is pending and [`rehead`] makes it one.
fn write_update(conn: &Connection, seq: i64, update: &OutboxUpdate) -> rusqlite::Result<()> {
    let not_before = Timestamp(update.not_before.0.max(0));
    let now = Mutable { head: false, state: name_of(update.state), attempts: update.attempts, not_before, error: &update.error };
    let sql = "UPDATE outbox SET head = 0, state = ?2, attempts = ?3, not_before = ?4, error = ?5, state_crc = ?6 WHERE seq = ?1";
    conn.prepare_cached(sql)?.execute(params![seq, now.state, now.attempts, not_before.0, now.error, now.crc(seq)])?;
    Ok(())
}

/// Restores STORE-1 in one lane. Only the first two pending rows can be wrong: the one that must be the head, and, where a dead
/// letter before it became pending again, the one that was.
fn rehead(conn: &Connection, lane: i64) -> rusqlite::Result<()> {
    let sql = "SELECT seq, head, attempts, not_before, error FROM outbox INDEXED BY outbox_lane \
               WHERE lane = ?1 AND state = 'pending' ORDER BY seq LIMIT 2";
    let mut query = conn.prepare_cached(sql)?;
    let first = query.query_map([lane], |row| {
        Ok((row.get(0)?, row.get::<_, bool>(1)?, row.get(2)?, Timestamp(row.get(3)?), row.get::<_, String>(4)?))
    })?;
    for (place, row) in first.collect::<Result<Vec<_>, _>>()?.into_iter().enumerate() {
        let (seq, was_head, attempts, not_before, error) = row;
        let head = place == 0;
        if head != was_head {
            set_head(conn, seq, &Mutable { head, state: "pending", attempts, not_before, error: &error })?;
        }
    }
    Ok(())
}

fn set_head(conn: &Connection, seq: i64, row: &Mutable<'_>) -> rusqlite::Result<()> {
    let sql = "UPDATE outbox SET head = ?2, state_crc = ?3 WHERE seq = ?1";
    conn.prepare_cached(sql)?.execute(params![seq, row.head, row.crc(seq)])?;
    Ok(())
}

/// Compares the counts with what can be counted in time that grows only with what is pending.
pub(super) fn check(conn: &Connection, path: &Path, counts: &OutboxCounts) -> Result<(), StoreError> {
    let one = |sql: &str| {
        conn.query_row(sql, [], |row| row.get::<_, i64>(0)).map(|n| n as u64).map_err(|e| from_sqlite("read", path, &e))
    };
    let last = one("SELECT coalesce(max(seq), 0) FROM outbox")?;
    let pending = one("SELECT count(*) FROM outbox INDEXED BY outbox_lane WHERE state = 'pending'")?;
    let lanes = one("SELECT count(DISTINCT lane) FROM outbox INDEXED BY outbox_lane WHERE state = 'pending'")?;
    let heads = one("SELECT count(*) FROM outbox INDEXED BY outbox_fresh WHERE head = 1 AND not_before = 0")?
        + one("SELECT count(*) FROM outbox INDEXED BY outbox_deferred WHERE head = 1 AND not_before > 0")?;
    let conserved = counts.fired == counts.acked + counts.dead + counts.cancelled + counts.pending;
    if conserved && last == counts.fired && pending == counts.pending && heads == lanes {
        return Ok(());
    }
    Err(damaged(
        path,
        format!(
            "the outbox holds {last} deliveries, {pending} pending, {heads} due of {lanes}; counted were {} and {}",
            counts.fired, counts.pending
        ),
    ))
}

fn name_of(state: OutboxState) -> &'static str {
    match state {
        OutboxState::Pending => "pending",
        OutboxState::Acked => "acked",
        OutboxState::Dead => "dead",
        OutboxState::Cancelled => "cancelled",
    }
}

fn state_of(name: &str) -> Option<OutboxState> {
    [OutboxState::Pending, OutboxState::Acked, OutboxState::Dead, OutboxState::Cancelled]
        .into_iter()
        .find(|s| name_of(*s) == name)
}

/// The count of a state.
pub(crate) fn count_of(counts: &mut OutboxCounts, state: OutboxState) -> &mut u64 {
    match state {
        OutboxState::Pending => &mut counts.pending,
        OutboxState::Acked => &mut counts.acked,
        OutboxState::Dead => &mut counts.dead,
        OutboxState::Cancelled => &mut counts.cancelled,
    }
}
