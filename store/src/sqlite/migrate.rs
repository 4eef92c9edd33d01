//! From an older format to this one, in one SQLite transaction: a start that is broken off finds the old format again.
//!
//! Format 2 added to the outbox from when retries count, unacknowledged deliveries and the time of the end, beside it histories, pauses and
//! the count of what was coalesced, and to a timer the rule that armed it. Each row is checked as format 1 checked it before it is written anew.
//! Format 3 added digests, and the list of what became of deliveries.
//!
//! Cost: the outbox is written once. Memory: one row.

use std::path::Path;
use std::sync::Arc;

use rusqlite::{Connection, Row, TransactionBehavior, params};
use thalweg_formulas::Timestamp;
use thalweg_graph::ports::{OutboxCounts, OutboxState, StoreError, Timer};

use super::crc::RowCrc;
use super::open::{Meta, SCHEMA, put_meta};
use super::outbox::{Mutable, state_of};
use super::state::State;
use super::tables::put_timer;
use crate::codec::value::get_key;
use crate::codec::wire::Reader;
use crate::error::{damaged, from_sqlite};

/// Tables and indexes of format 1.
pub(super) const SCHEMA_1: &str = include_str!("schema_1.sql");

/// Tables and indexes of format 2.
pub(super) const SCHEMA_2: &str = include_str!("schema_2.sql");

/// What is made anew.
const REPLACED: [&str; 7] = ["state", "outbox", "outbox_lane", "outbox_fresh", "outbox_deferred", "timers", "timers_due"];

/// Brings a database of format 1, whose table definitions were checked, to this format.
pub(super) fn from_1(conn: &Connection, path: &Path, meta: &Meta) -> Result<(), StoreError> {
    let failed = |e: rusqlite::Error| from_sqlite("bring to the newer format", path, &e);
    let tx = rusqlite::Transaction::new_unchecked(conn, TransactionBehavior::Immediate).map_err(failed)?;
    let state = state_1(conn).map_err(failed)?;
    let state = state.ok_or_else(|| damaged(path, "the row that says where the last commit stands"))?;
    let old = "DROP TABLE state; DROP INDEX outbox_lane; DROP INDEX outbox_fresh; DROP INDEX outbox_deferred; \
               DROP INDEX timers_due; ALTER TABLE outbox RENAME TO outbox_1; ALTER TABLE timers RENAME TO timers_1;";
    conn.execute_batch(old).map_err(failed)?;
    // Indexes come last, when the rows are there.
    let (indexes, tables): (Vec<&str>, Vec<&str>) = added().partition(|line| line.starts_with("CREATE INDEX"));
    conn.execute_batch(&tables.concat()).map_err(failed)?;
    if let Some(seq) = copy_outbox(conn).map_err(failed)? {
        return Err(damaged(path, format!("delivery number {seq}")));
    }
    if !copy_timers(conn).map_err(failed)? {
        return Err(damaged(path, "a timer"));
    }
    conn.execute_batch("DROP TABLE outbox_1; DROP TABLE timers_1;").map_err(failed)?;
    conn.execute_batch(&indexes.concat()).map_err(failed)?;
    state.insert(conn).map_err(failed)?;
    conn.execute("DELETE FROM meta", []).and_then(|_| put_meta(conn, meta)).map_err(failed)?;
    tx.commit().map_err(failed)
}

/// Brings a database of format 2, whose table definitions were checked, to this format: it had all but digests and what became of deliveries.
pub(super) fn from_2(conn: &Connection, path: &Path, meta: &Meta) -> Result<(), StoreError> {
    let failed = |e: rusqlite::Error| from_sqlite("bring to the newer format", path, &e);
    let tx = rusqlite::Transaction::new_unchecked(conn, TransactionBehavior::Immediate).map_err(failed)?;
    let added: Vec<&str> = SCHEMA.lines().filter(|line| !SCHEMA_2.lines().any(|old| old == *line)).collect();
    conn.execute_batch(&added.concat()).map_err(failed)?;
    conn.execute("DELETE FROM meta", []).and_then(|_| put_meta(conn, meta)).map_err(failed)?;
    tx.commit().map_err(failed)
}

/// The statements of this format that format 1 did not have, or had otherwise.
fn added() -> impl Iterator<Item = &'static str> {
    let name = |line: &'static str| line.split([' ', '(']).nth(2).unwrap_or_default();
    let replaced = move |line: &&'static str| REPLACED.contains(&name(line)) || !SCHEMA_1.lines().any(|old| old == *line);
    SCHEMA.lines().filter(replaced)
}

/// Format 1's row, with what came later; `None` if it is missing or contradicts its checksum.
fn state_1(conn: &Connection) -> rusqlite::Result<Option<State>> {
    let sql = "SELECT fence, commits, epoch, at, log_start, sources, schemas, tables, timers, fired, acked, dead, cancelled, pending, \
               chain, crc FROM state";
    let mut query = conn.prepare(sql)?;
    let mut rows = query.query([])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    let ints = (0..14).map(|i| row.get::<_, i64>(i)).collect::<Result<Vec<_>, _>>()?;
    let Ok(chain) = row.get::<_, [u8; 32]>(14) else { return Ok(None) };
    let crc = ints.iter().copied().fold(RowCrc::new(), RowCrc::int).bytes(&chain).done();
    if crc != row.get::<_, i64>(15)? {
        return Ok(None);
    }
    let n = |i: usize| ints[i] as u64;
    let counts = OutboxCounts { fired: n(9), acked: n(10), dead: n(11), cancelled: n(12), pending: n(13), coalesced: 0 };
    Ok(Some(State {
        fence: ints[0],
        commits: n(1),
        epoch: n(2),
        at: Timestamp(ints[3]),
        chain,
        log_start: n(4),
        sources: n(5),
        schemas: n(6),
        tables: n(7),
        timers: n(8),
        paused: 0,
        counts,
    }))
}

/// Copies every timer: format 1 did not say which rule had armed it. `false`: one contradicts its checksum.
fn copy_timers(conn: &Connection) -> rusqlite::Result<bool> {
    let mut query = conn.prepare("SELECT id, event, doc, key, due, crc FROM timers_1")?;
    let mut rows = query.query([])?;
    while let Some(row) = rows.next()? {
        let (id, event, table): (String, String, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
        let (key, due): (Vec<u8>, i64) = (row.get(3)?, row.get(4)?);
        let crc = RowCrc::new().text(&id).text(&event).text(&table).bytes(&key).int(due).done();
        let Ok(key) = get_key::<Arc<[_]>>(&mut Reader::new(&key)) else { return Ok(false) };
        if crc != row.get::<_, i64>(5)? {
            return Ok(false);
        }
        let (id, event, table) = (id.into(), event.into(), table.into());
        put_timer(conn, &Timer { id, rule: "".into(), event, table, key, due: Timestamp(due) })?;
    }
    Ok(true)
}

/// Copies every delivery; gives the place of one that contradicts its checksum, if one does.
fn copy_outbox(conn: &Connection) -> rusqlite::Result<Option<i64>> {
    let sql = "SELECT seq, head, state, attempts, not_before, error, state_crc, fired_at FROM outbox_1 ORDER BY seq";
    let mut query = conn.prepare(sql)?;
    let mut rows = query.query([])?;
    let into = "INSERT INTO outbox SELECT seq, id, epoch, node, action, key, version, fired_at, crc, rule, lane, head, state, attempts, \
                not_before, error, ?2, 0, 0, ?3 FROM outbox_1 WHERE seq = ?1";
    let mut insert = conn.prepare(into)?;
    while let Some(row) = rows.next()? {
        let seq: i64 = row.get(0)?;
        let Some(now) = mutable_1(seq, row)? else { return Ok(Some(seq)) };
        insert.execute(params![seq, now.since.0, now.crc(seq)])?;
    }
    Ok(None)
}

fn mutable_1(seq: i64, row: &Row<'_>) -> rusqlite::Result<Option<Mutable>> {
    let Some(state) = state_of(row.get_ref(2)?.as_str()?) else { return Ok(None) };
    let now = Mutable {
        head: row.get(1)?,
        state,
        attempts: row.get(3)?,
        not_before: Timestamp(row.get(4)?),
        error: row.get(5)?,
        since: Timestamp(row.get(7)?),
        deliveries: 0,
        ended_at: Timestamp(0),
    };
    Ok((crc_1(seq, now.head, now.state, &now) == row.get::<_, i64>(6)?).then_some(now))
}

fn crc_1(seq: i64, head: bool, state: OutboxState, now: &Mutable) -> i64 {
    let crc = RowCrc::new().int(seq).int(head.into()).text(state.name()).int(now.attempts.into());
    crc.int(now.not_before.0).text(&now.error).done()
}
