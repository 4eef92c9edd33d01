//! The outbox: deliveries to make, in lanes.
//!
//! A lane is (node, action, key); within it deliveries go out one after another, in the order in which they fired. So at most one
//! pending row per lane, its **head**, can ever be due, and `head` is stored: two partial indexes over heads, one of rows that may go at
//! once and one of rows that wait for their `not_before`, make every question cost what its answer holds, however many rows wait.
//!
//! Invariants:
//! - STORE-1: a lane with pending rows has exactly one head, the pending row with the least `seq`; no row that is not pending is a head.
//! - STORE-2: an id is inserted once; a second insert changes nothing.
//! - STORE-3: `fired = acked + dead + cancelled + pending`, in `state` and by counting rows; `seq` is dense, so `fired` = the last `seq`.

use std::path::Path;

use rusqlite::{Connection, OptionalExtension, Row, params};
use sha2::{Digest, Sha256};
use thalweg_formulas::Timestamp;
use thalweg_graph::ports::{OutboxCounts, OutboxRow, OutboxState, OutboxUpdate, PendingDelivery, StoreError};

use super::crc::RowCrc;
use crate::error::{ORDER, damaged, fatal, from_sqlite};

/// What of a row changes during delivery.
struct Mutable<'a> {
    head: bool,
    state: &'a str,
    attempts: u32,
    not_before: Timestamp,
    error: &'a str,
}

impl Mutable<'_> {
    fn crc(&self, seq: i64) -> i64 {
        let crc = RowCrc::new().int(seq).int(self.head.into()).text(self.state).int(self.attempts.into());
        crc.int(self.not_before.0).text(self.error).done()
    }
}

fn row_crc(seq: i64, lane: i64, row: &OutboxRow, fired_at: Timestamp) -> i64 {
    let crc = RowCrc::new().int(seq).int(lane).text(&row.id).int(row.epoch as i64).text(&row.node).int(row.action.into());
    crc.text(&row.key).int(row.version as i64).int(fired_at.0).text(&row.settings).bytes(&row.body).done()
}

/// A hash of the lane. Two lanes that share it would only wait for each other.
fn lane_of(row: &OutboxRow) -> i64 {
    let mut hash = Sha256::new();
    hash.update((row.node.len() as u64).to_le_bytes());
    hash.update(row.node.as_bytes());
    hash.update(row.action.to_le_bytes());
    hash.update(row.key.as_bytes());
    i64::from_le_bytes(*hash.finalize().first_chunk().expect("SHA-256 has 32 bytes"))
}

/// Inserts a firing; `false` if its id was there already.
pub(super) fn insert(conn: &Connection, row: &OutboxRow, fired_at: Timestamp, fired: u64) -> rusqlite::Result<bool> {
    if conn.prepare_cached("SELECT 1 FROM outbox WHERE id = ?1")?.exists([&row.id])? {
        return Ok(false);
    }
    let seq = fired as i64 + 1;
    let lane = lane_of(row);
    let busy = "SELECT 1 FROM outbox INDEXED BY outbox_lane WHERE lane = ?1 AND state = 'pending'";
    let head = !conn.prepare_cached(busy)?.exists([lane])?;
    let fresh = Mutable { head, state: "pending", attempts: 0, not_before: Timestamp(0), error: "" };
    conn.prepare_cached("INSERT INTO outbox VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, 'pending', 0, 0, '', ?12)")?
        .execute(params![
            seq,
            row.id,
            row.epoch as i64,
            row.node,
            row.action,
            row.key,
            row.version as i64,
            fired_at.0,
            row_crc(seq, lane, row, fired_at),
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

const COLUMNS: &str = "SELECT o.seq, o.id, o.epoch, o.node, o.action, o.key, o.version, o.fired_at, o.crc, o.lane, o.head, o.state, \
                       o.attempts, o.not_before, o.error, o.state_crc, b.settings, b.body FROM outbox o";

/// Heads that are due, longest due first: a row that never failed has been due since it fired, another since its `not_before`. Those
/// whose (id, node, action) is `passed` over cost a step of the query each.
pub(super) fn due(
    conn: &Connection,
    path: &Path,
    now: Timestamp,
    limit: usize,
    passed: &dyn Fn(&str, &str, u32) -> bool,
) -> Result<Vec<PendingDelivery>, StoreError> {
    let fresh = collect(conn, path, &fresh_query(), &[], limit, passed)?;
    let deferred = collect(conn, path, &deferred_query(), &[now.0], limit, passed)?;
    Ok(merge(fresh, deferred, limit))
}

fn fresh_query() -> String {
    format!(
        "{COLUMNS} INDEXED BY outbox_fresh LEFT JOIN outbox_body b ON b.seq = o.seq \
         WHERE o.head = 1 AND o.not_before = 0 ORDER BY o.seq"
    )
}

fn deferred_query() -> String {
    format!(
        "{COLUMNS} INDEXED BY outbox_deferred LEFT JOIN outbox_body b ON b.seq = o.seq \
         WHERE o.head = 1 AND o.not_before > 0 AND o.not_before <= ?1 ORDER BY o.not_before, o.seq"
    )
}

/// Merges by the time since which each is due; a retry goes before a fresh row of the same time.
pub(crate) fn merge(fresh: Vec<PendingDelivery>, deferred: Vec<PendingDelivery>, limit: usize) -> Vec<PendingDelivery> {
    let mut merged = Vec::with_capacity(limit.min(fresh.len() + deferred.len()));
    let (mut fresh, mut deferred) = (fresh.into_iter().peekable(), deferred.into_iter().peekable());
    while merged.len() < limit {
        let next = match (fresh.peek(), deferred.peek()) {
            (Some(f), Some(d)) if f.fired_at < d.not_before => fresh.next(),
            (_, Some(_)) => deferred.next(),
            (Some(_), None) => fresh.next(),
            (None, None) => break,
        };
        merged.extend(next);
    }
    merged
}

fn collect(
    conn: &Connection,
    path: &Path,
    sql: &str,
    params: &[i64],
    limit: usize,
    passed: &dyn Fn(&str, &str, u32) -> bool,
) -> Result<Vec<PendingDelivery>, StoreError> {
    let failed = |e: rusqlite::Error| from_sqlite("read", path, &e);
    let mut query = conn.prepare_cached(sql).map_err(failed)?;
    let mut rows = query.query(rusqlite::params_from_iter(params)).map_err(failed)?;
    let mut found = Vec::new();
    while found.len() < limit {
        let Some(row) = rows.next().map_err(failed)? else { break };
        let text = |column| row.get_ref(column).ok().and_then(|text| text.as_str().ok()).unwrap_or("");
        if passed(text(1), text(3), row.get(4).map_err(failed)?) {
            continue;
        }
        let delivery = delivery_of(row).map_err(failed)?;
        found.push(delivery.ok_or_else(|| damaged(path, format!("delivery number {}", row.get::<_, i64>(0).unwrap_or(0))))?);
    }
    Ok(found)
}

/// Reads a row and checks both checksums; `None` if one is wrong.
fn delivery_of(row: &Row<'_>) -> rusqlite::Result<Option<PendingDelivery>> {
    let text = |i: usize| row.get_ref(i)?.as_str().map_err(rusqlite::Error::from).map(std::sync::Arc::<str>::from);
    let Some(body) = row.get_ref(17)?.as_blob_or_null()? else { return Ok(None) };
    let (seq, lane): (i64, i64) = (row.get(0)?, row.get(9)?);
    let outbox = OutboxRow {
        id: text(1)?,
        epoch: row.get::<_, i64>(2)? as u64,
        node: text(3)?,
        action: row.get(4)?,
        key: text(5)?,
        version: row.get::<_, i64>(6)? as u64,
        body: body.into(),
        settings: text(16)?,
    };
    let (fired_at, not_before) = (Timestamp(row.get(7)?), Timestamp(row.get(13)?));
    let (state, error) = (text(11)?, text(14)?);
    let mutable = Mutable { head: row.get(10)?, state: &state, attempts: row.get(12)?, not_before, error: &error };
    let intact = row.get::<_, i64>(8)? == row_crc(seq, lane, &outbox, fired_at) && row.get::<_, i64>(15)? == mutable.crc(seq);
    Ok(intact.then(|| PendingDelivery { attempts: mutable.attempts, row: outbox, fired_at, not_before }))
}

/// When the next head is due; the epoch's start for one that may go at once.
pub(super) fn next_at(conn: &Connection) -> rusqlite::Result<Option<Timestamp>> {
    let fresh = "SELECT 1 FROM outbox INDEXED BY outbox_fresh WHERE head = 1 AND not_before = 0";
    if conn.prepare_cached(fresh)?.exists([])? {
        return Ok(Some(Timestamp(0)));
    }
    next_after(conn, Timestamp(0))
}

/// When the first head becomes due that is not due at `now`.
pub(super) fn next_after(conn: &Connection, now: Timestamp) -> rusqlite::Result<Option<Timestamp>> {
    let sql =
        "SELECT min(not_before) FROM outbox INDEXED BY outbox_deferred WHERE head = 1 AND not_before > 0 AND not_before > ?1";
    Ok(conn.prepare_cached(sql)?.query_row([now.0], |row| row.get::<_, Option<i64>>(0))?.map(Timestamp))
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

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    /// A sort, or a scan of the table, would make an answer cost what waits and not what it holds.
    #[test]
    fn what_is_due_is_read_from_an_index_in_its_order() {
        let conn = Connection::open_in_memory().unwrap();
        conn.execute_batch(include_str!("schema.sql")).unwrap();
        let plan = |sql: String| {
            let mut query = conn.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
            let steps = query.query_map(rusqlite::params_from_iter(sql.contains("?1").then_some(0)), |row| row.get(3));
            steps.unwrap().collect::<Result<Vec<String>, _>>().unwrap().join("\n")
        };
        let plans = format!("{}\n{}\n", plan(fresh_query()), plan(deferred_query()));
        expect![[r#"
            SCAN o USING INDEX outbox_fresh
            SEARCH b USING INTEGER PRIMARY KEY (rowid=?) LEFT-JOIN
            SEARCH o USING INDEX outbox_deferred (not_before>? AND not_before<?)
            SEARCH b USING INTEGER PRIMARY KEY (rowid=?) LEFT-JOIN
        "#]]
        .assert_eq(&plans);
    }
}
