//! The outbox: deliveries to make, in lanes.
//!
//! A lane is (node, action, key), and of an unordered rule (node, action, key, version); within it deliveries go out one after another,
//! in the order in which they fired. All deliveries of an action with a digest are one lane, or those of each key ([`super::digest`]). So at most one pending row per lane, its **head**, can ever be due, and `head` is stored: two partial
//! indexes over heads, one of rows that may go at once and one of rows that wait for their `not_before`, make every question cost what its
//! answer holds, however many rows wait ([`super::due`]). A row that waits for an acknowledgement without a limit, or for the action before
//! it, has a `not_before` that never comes ([`NEVER`]).
//!
//! Invariants:
//! - STORE-1: a lane with pending rows has exactly one head, the pending row with the least `seq`; no row that is not pending is a head.
//! - STORE-2: an id is inserted once; a second insert changes nothing.
//! - STORE-3: `fired = acked + dead + cancelled + pending`, in `state` and by counting rows; `seq` is dense, so `fired` = the last `seq`.
//!   What is coalesced has no row: `rises = fired + coalesced`.
//! - STORE-9: the deliveries of one trigger have consecutive `seq`, by action.
//!
//! Next to read: [`super::acts`], [`super::history`].

use std::path::Path;

use rusqlite::{Connection, OptionalExtension, Row, params};
use sha2::{Digest, Sha256};
use thalweg_formulas::Timestamp;
use thalweg_graph::ports::{NEVER, Note, NoteKind, OutboxCounts, OutboxRow, OutboxState, OutboxUpdate, StoreError};

use super::crc::RowCrc;
use super::{digest, history, settled};
use crate::error::{ORDER, damaged, fatal, from_sqlite};

/// What of a row changes during delivery.
#[derive(Clone)]
pub(super) struct Mutable {
    pub head: bool,
    pub state: OutboxState,
    pub attempts: u32,
    pub not_before: Timestamp,
    pub error: String,
    pub since: Timestamp,
    pub deliveries: u32,
    /// 0 while it is pending, and where format 1 recorded it.
    pub ended_at: Timestamp,
}

impl Mutable {
    /// The columns of [`Mutable::read`], in its order.
    pub(super) const COLUMNS: &str = "head, state, attempts, not_before, error, since, deliveries, ended_at, state_crc";

    /// A row that has just fired.
    pub(super) fn fresh(head: bool, fired_at: Timestamp) -> Mutable {
        let (since, ended_at) = (fired_at, Timestamp(0));
        let (state, not_before) = (OutboxState::Pending, Timestamp(0));
        Mutable { head, state, attempts: 0, not_before, error: String::new(), since, deliveries: 0, ended_at }
    }

    pub(super) fn crc(&self, seq: i64) -> i64 {
        let crc = RowCrc::new().int(seq).int(self.head.into()).text(self.state.name()).int(self.attempts.into());
        let crc = crc.int(self.not_before.0).text(&self.error).int(self.since.0).int(self.deliveries.into());
        crc.int(self.ended_at.0).done()
    }

    /// From [`Mutable::COLUMNS`], the first of which is column `at`; `None` if they contradict their checksum.
    pub(super) fn read(seq: i64, row: &Row<'_>, at: usize) -> rusqlite::Result<Option<Mutable>> {
        let Some(state) = state_of(row.get_ref(at + 1)?.as_str()?) else { return Ok(None) };
        let found = Mutable {
            head: row.get(at)?,
            state,
            attempts: row.get(at + 2)?,
            not_before: Timestamp(row.get(at + 3)?),
            error: row.get(at + 4)?,
            since: Timestamp(row.get(at + 5)?),
            deliveries: row.get(at + 6)?,
            ended_at: Timestamp(row.get(at + 7)?),
        };
        let crc: i64 = row.get(at + 8)?;
        Ok((found.crc(seq) == crc).then_some(found))
    }

    /// It waits for the action before it.
    fn is_held(&self) -> bool {
        self.state == OutboxState::Pending && self.not_before == NEVER && self.deliveries == 0
    }
}

/// A row's place and what of it changes.
pub(super) struct Standing {
    pub seq: i64,
    pub lane: i64,
    pub now: Mutable,
    /// What an acknowledgement says; told once, and kept in the history.
    pub result: String,
}

/// A change of the outbox, inside a SQLite transaction.
pub(super) struct Turn<'a> {
    pub conn: &'a Connection,
    pub path: &'a Path,
    pub at: Timestamp,
    pub counts: &'a mut OutboxCounts,
    /// The source that follows what becomes of deliveries.
    pub follower: Option<&'a str>,
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
    if let Some(digest) = &row.manner.digest {
        hash.update([0xfe]); // Nor does any hold this one.
        if digest.by_key {
            hash.update(row.key.as_bytes());
        }
        return (rule, first(hash));
    }
    hash.update(row.key.as_bytes());
    if row.manner.unordered {
        hash.update([0xff]); // No key's text holds this byte.
        hash.update(row.version.to_le_bytes());
    }
    (rule, first(hash))
}

/// Inserts a firing, and counts it; one whose id is there already changes nothing.
pub(super) fn insert(
    conn: &Connection,
    path: &Path,
    row: &OutboxRow,
    fired_at: Timestamp,
    counts: &mut OutboxCounts,
) -> Result<(), StoreError> {
    let failed = |e: rusqlite::Error| from_sqlite("write to", path, &e);
    let known = conn.prepare_cached("SELECT 1 FROM outbox WHERE id = ?1").and_then(|mut q| q.exists([&row.id]));
    if known.map_err(failed)? {
        return Ok(());
    }
    let (rule, lane) = rule_and_lane(row);
    let pending = "SELECT seq FROM outbox INDEXED BY outbox_lane WHERE lane = ?1 AND state = 'pending' ORDER BY seq LIMIT 1";
    let first = conn.prepare_cached(pending).and_then(|mut q| q.query_row([lane], |row| row.get::<_, i64>(0)).optional());
    let first = first.map_err(failed)?;
    if let Some(standing) = first.filter(|_| row.manner.coalesces) {
        counts.coalesced += 1;
        let note = Note { what: NoteKind::Coalesced, took_us: 0, detail: row.version.to_string() };
        return history::add(conn, standing, fired_at, &note).map_err(failed);
    }
    let seq = counts.fired as i64 + 1;
    let mut fresh = Mutable::fresh(first.is_none(), fired_at);
    if row.manner.after_previous && follows_pending(conn, path, seq, row)? {
        fresh.not_before = NEVER;
    }
    if let Some(digest) = &row.manner.digest {
        fresh.not_before = digest::window_end(digest, fired_at);
    }
    insert_row(conn, seq, (rule, lane), row, fired_at, &fresh).map_err(failed)?;
    if row.manner.depth > 0 {
        settled::put_depth(conn, seq, row.manner.depth).map_err(failed)?;
    }
    counts.fired += 1;
    counts.pending += 1;
    row.manner.digest.map_or(Ok(()), |digest| digest::ripen(conn, path, lane, &digest))
}

pub(super) fn insert_row(
    conn: &Connection,
    seq: i64,
    (rule, lane): (i64, i64),
    row: &OutboxRow,
    fired_at: Timestamp,
    now: &Mutable,
) -> rusqlite::Result<()> {
    let sql =
        "INSERT INTO outbox VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20)";
    conn.prepare_cached(sql)?.execute(params![
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
        now.head,
        now.state.name(),
        now.attempts,
        now.not_before.0,
        now.error,
        now.since.0,
        now.deliveries,
        now.ended_at.0,
        now.crc(seq)
    ])?;
    conn.prepare_cached("INSERT INTO outbox_body VALUES(?1, ?2, ?3)")?.execute(params![seq, row.settings, &row.body[..]])?;
    Ok(())
}

/// Whether the row before `seq` is the action before `row`'s, of the same trigger, and not over.
fn follows_pending(conn: &Connection, path: &Path, seq: i64, row: &OutboxRow) -> Result<bool, StoreError> {
    let sql = "SELECT 1 FROM outbox WHERE seq = ?1 AND node = ?2 AND key = ?3 AND version = ?4 AND epoch = ?5 AND action + 1 = ?6 \
               AND state IN ('pending', 'dead')";
    let found = conn
        .prepare_cached(sql)
        .and_then(|mut q| q.exists(params![seq - 1, row.node, row.key, row.version as i64, row.epoch as i64, row.action]));
    found.map_err(|e| from_sqlite("read", path, &e))
}

/// The row with this id.
pub(super) fn standing(conn: &Connection, path: &Path, id: &str) -> Result<Option<Standing>, StoreError> {
    read_standing(conn, path, "id", &id)
}

/// The row at this place.
pub(super) fn standing_at(conn: &Connection, path: &Path, seq: i64) -> Result<Option<Standing>, StoreError> {
    read_standing(conn, path, "seq", &seq)
}

fn read_standing(conn: &Connection, path: &Path, by: &str, value: &dyn rusqlite::ToSql) -> Result<Option<Standing>, StoreError> {
    let sql = format!("SELECT seq, lane, {} FROM outbox WHERE {by} = ?1", Mutable::COLUMNS);
    let found = conn.prepare_cached(&sql).and_then(|mut q| {
        q.query_row([value], |row| {
            let seq = row.get(0)?;
            Ok((seq, row.get(1)?, Mutable::read(seq, row, 2)?))
        })
        .optional()
    });
    match found.map_err(|e| from_sqlite("read", path, &e))? {
        None => Ok(None),
        Some((seq, lane, Some(now))) => Ok(Some(Standing { seq, lane, now, result: String::new() })),
        Some((seq, ..)) => Err(damaged(path, format!("delivery number {seq}"))),
    }
}

impl Turn<'_> {
    /// Records what became of a delivery and moves the counts with it.
    pub(super) fn update(&mut self, update: &OutboxUpdate) -> Result<(), StoreError> {
        let Some(mut row) = standing(self.conn, self.path, &update.id)? else {
            return Err(fatal(ORDER, format!("broken invariant: delivery {} is not in the outbox", update.id)));
        };
        if let Some(note) = &update.note {
            history::add(self.conn, row.seq, self.at, note).map_err(|e| from_sqlite("write to", self.path, &e))?;
        }
        if is_over(row.now.state) {
            return Ok(()); // What is over stays as it ended.
        }
        let was = row.now.state;
        row.now.state = update.state;
        row.now.attempts = update.attempts;
        row.now.not_before = Timestamp(update.not_before.0.max(0));
        row.now.error.clone_from(&update.error);
        row.now.deliveries = update.deliveries;
        if update.restarts {
            row.now.since = self.at;
        }
        self.settle_digest(&mut row, was)
    }

    /// Writes a row whose state was `was`. If it is not pending any more, nor are those that are in one digest with it.
    pub(super) fn settle_digest(&mut self, row: &mut Standing, was: OutboxState) -> Result<(), StoreError> {
        self.settle(row, was)?;
        if row.now.state == OutboxState::Pending {
            return Ok(());
        }
        for mut other in digest::others(self.conn, self.path, row.seq)? {
            let was = other.now.state;
            if !is_over(was) {
                other.now.state = row.now.state;
                other.now.error.clone_from(&row.now.error);
                other.result.clone_from(&row.result);
                self.settle(&mut other, was)?;
            }
        }
        Ok(())
    }

    /// Writes a row whose state was `was`, with everything that follows from its new state.
    pub(super) fn settle(&mut self, row: &mut Standing, was: OutboxState) -> Result<(), StoreError> {
        let failed = |e: rusqlite::Error| from_sqlite("write to", self.path, &e);
        *count_of(self.counts, was) -= 1;
        *count_of(self.counts, row.now.state) += 1;
        row.now.head = false;
        row.now.ended_at = if row.now.state == OutboxState::Pending { Timestamp(0) } else { self.at };
        write(self.conn, row.seq, &row.now).and_then(|()| rehead(self.conn, row.lane)).map_err(failed)?;
        if let Some(source) = self.follower.filter(|_| row.now.state != was) {
            settled::add(self.conn, source, row, self.at).map_err(failed)?;
        }
        if is_over(row.now.state) { release_next(self.conn, self.path, row.seq) } else { Ok(()) }
    }
}

pub(super) fn write(conn: &Connection, seq: i64, now: &Mutable) -> rusqlite::Result<()> {
    let sql = "UPDATE outbox SET head = ?2, state = ?3, attempts = ?4, not_before = ?5, error = ?6, since = ?7, deliveries = ?8, \
               ended_at = ?9, state_crc = ?10 WHERE seq = ?1";
    conn.prepare_cached(sql)?.execute(params![
        seq,
        now.head,
        now.state.name(),
        now.attempts,
        now.not_before.0,
        now.error,
        now.since.0,
        now.deliveries,
        now.ended_at.0,
        now.crc(seq)
    ])?;
    Ok(())
}

/// Restores STORE-1 in one lane. Only the first two pending rows can be wrong: the one that must be the head, and, where a dead
/// letter before it became pending again, the one that was.
fn rehead(conn: &Connection, lane: i64) -> rusqlite::Result<()> {
    let sql = "SELECT seq, head, attempts, not_before, error, since, deliveries, ended_at FROM outbox INDEXED BY outbox_lane \
               WHERE lane = ?1 AND state = 'pending' ORDER BY seq LIMIT 2";
    let mut query = conn.prepare_cached(sql)?;
    let first = query.query_map([lane], |row| {
        let now = Mutable {
            head: row.get(1)?,
            state: OutboxState::Pending,
            attempts: row.get(2)?,
            not_before: Timestamp(row.get(3)?),
            error: row.get(4)?,
            since: Timestamp(row.get(5)?),
            deliveries: row.get(6)?,
            ended_at: Timestamp(row.get(7)?),
        };
        Ok((row.get(0)?, now))
    })?;
    for (place, row) in first.collect::<Result<Vec<_>, _>>()?.into_iter().enumerate() {
        let (seq, mut now) = row;
        let head = place == 0;
        if head != now.head {
            now.head = head;
            set_head(conn, seq, &now)?;
        }
    }
    Ok(())
}

fn set_head(conn: &Connection, seq: i64, row: &Mutable) -> rusqlite::Result<()> {
    let sql = "UPDATE outbox SET head = ?2, state_crc = ?3 WHERE seq = ?1";
    conn.prepare_cached(sql)?.execute(params![seq, row.head, row.crc(seq)])?;
    Ok(())
}

/// The action behind `seq` of the same trigger may go, if it waits for that.
fn release_next(conn: &Connection, path: &Path, seq: i64) -> Result<(), StoreError> {
    let sql = "SELECT 1 FROM outbox o JOIN outbox n ON n.seq = o.seq + 1 WHERE o.seq = ?1 AND n.state = 'pending' AND n.action = o.action + 1 \
               AND n.epoch = o.epoch AND n.version = o.version AND n.node = o.node AND n.key = o.key";
    let next = conn.prepare_cached(sql).and_then(|mut q| q.exists([seq]));
    if !next.map_err(|e| from_sqlite("read", path, &e))? {
        return Ok(());
    }
    match standing_at(conn, path, seq + 1)? {
        Some(mut next) if next.now.is_held() => {
            next.now.not_before = Timestamp(0);
            write(conn, next.seq, &next.now).map_err(|e| from_sqlite("write to", path, &e))
        }
        _ => Ok(()),
    }
}

/// Compares the counts with what can be counted in time that grows only with what is pending.
pub(crate) fn check(conn: &Connection, path: &Path, counts: &OutboxCounts) -> Result<(), StoreError> {
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

/// Whether nothing but an explicit edit of the database changes it any more.
pub(crate) fn is_over(state: OutboxState) -> bool {
    matches!(state, OutboxState::Acked | OutboxState::Cancelled)
}

pub(super) fn state_of(name: &str) -> Option<OutboxState> {
    OutboxState::ALL.into_iter().find(|state| state.name() == name)
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
