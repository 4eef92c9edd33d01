//! Digests: several triggers of one action, delivered as one.
//!
//! The deliveries of such an action are rows like others, in one lane for all keys or for each. Each waits until its window ends, or until as many
//! wait as a digest may hold. Then the dispatcher asks for the digest that the lane's head leads, and who is in it is written down: the same
//! rows at every attempt, whatever fires meanwhile.
//!
//! Invariants:
//! - STORE-13: a row is in one digest at most, for good; the row that leads a digest is in it, and first.
//! - STORE-14: the rows of a digest end together, and become pending again together.
//!
//! Cost: a firing looks at as many rows as a digest may hold.

use std::path::Path;

use rusqlite::{Connection, params};
use thalweg_formulas::Timestamp;
use thalweg_graph::ids;
use thalweg_graph::ports::{Digest, Note, NoteKind, OutboxRow, OutboxState, StoreError};

use super::crc::RowCrc;
use super::outbox::{Standing, standing, standing_at, write};
use super::{due, history};
use crate::error::{ORDER, damaged, fatal, from_sqlite};

const WAITING: &str = "SELECT seq FROM outbox o INDEXED BY outbox_lane WHERE lane = ?1 AND state = 'pending' AND seq >= ?2 \
                       AND NOT EXISTS (SELECT 1 FROM outbox_digest d WHERE d.seq = o.seq) ORDER BY seq LIMIT ?3";

const TOGETHER: &str = "SELECT seq, leader, crc FROM outbox_digest \
                        WHERE leader = (SELECT leader FROM outbox_digest WHERE seq = ?1) ORDER BY seq";

/// When a row that fired at this time goes out, if no more come.
pub(crate) fn window_end(digest: &Digest, fired_at: Timestamp) -> Timestamp {
    Timestamp(fired_at.0.saturating_add(digest.every_us).max(0))
}

/// Rows of a lane from a place on that are pending and in no digest.
fn waiting(conn: &Connection, path: &Path, lane: i64, from: i64, limit: u32) -> Result<Vec<i64>, StoreError> {
    let found = conn
        .prepare_cached(WAITING)
        .and_then(|mut q| q.query_map(params![lane, from, limit], |row| row.get(0))?.collect::<Result<Vec<_>, _>>());
    found.map_err(|e| from_sqlite("read", path, &e))
}

/// Who waits in a lane goes at once if they are as many as a digest may hold.
pub(super) fn ripen(conn: &Connection, path: &Path, lane: i64, digest: &Digest) -> Result<(), StoreError> {
    let waiting = waiting(conn, path, lane, 0, digest.max)?;
    let Some(first) = waiting.first().filter(|_| waiting.len() >= digest.max as usize) else { return Ok(()) };
    let mut first = there(standing_at(conn, path, *first)?, path, *first)?;
    if first.now.not_before > Timestamp(0) {
        first.now.not_before = Timestamp(0);
        write(conn, first.seq, &first.now).map_err(|e| from_sqlite("write to", path, &e))?;
    }
    Ok(())
}

/// The delivery that is asked for.
pub(super) fn leader(conn: &Connection, path: &Path, id: &str) -> Result<Standing, StoreError> {
    let found = standing(conn, path, id)?;
    found.ok_or_else(|| fatal(ORDER, format!("broken invariant: delivery {id} is not in the outbox")))
}

/// What is known already: who is in its digest, or that nobody is since it is over. `None`: it is to be gathered.
pub(super) fn known(conn: &Connection, path: &Path, leader: &Standing) -> Result<Option<Vec<OutboxRow>>, StoreError> {
    if leader.now.state != OutboxState::Pending {
        return Ok(Some(Vec::new()));
    }
    let rows = of(conn, path, leader.seq)?.into_iter().map(|seq| Ok(whole(conn, path, seq)?.delivery.row));
    let rows = rows.collect::<Result<Vec<_>, StoreError>>()?;
    Ok(Some(rows).filter(|rows| !rows.is_empty()))
}

/// Gathers who waits from `leader` on.
pub(super) fn gather(
    conn: &Connection,
    path: &Path,
    leader: Standing,
    digest: &Digest,
    at: Timestamp,
) -> Result<Vec<OutboxRow>, StoreError> {
    let (mut rows, mut bytes) = (Vec::new(), 0);
    for seq in waiting(conn, path, leader.lane, leader.seq, digest.max)? {
        let row = whole(conn, path, seq)?.delivery.row;
        bytes += row.body.len() as u64;
        if bytes > digest.bytes && !rows.is_empty() {
            break;
        }
        rows.push((seq, row));
    }
    let lane = leader.lane;
    seal(conn, path, leader, &rows, at)?;
    ripen(conn, path, lane, digest)?; // Those behind it were not looked at while it waited.
    Ok(rows.into_iter().map(|(_, row)| row).collect())
}

/// Writes down who is in a digest. The limits of its retries count from now.
fn seal(
    conn: &Connection,
    path: &Path,
    mut leader: Standing,
    rows: &[(i64, OutboxRow)],
    at: Timestamp,
) -> Result<(), StoreError> {
    let failed = |e: rusqlite::Error| from_sqlite("write to", path, &e);
    let first = whole(conn, path, leader.seq)?.delivery;
    let note = Note { what: NoteKind::Gathered, took_us: 0, detail: ids::digest_id(&first.row.id, first.fired_at) };
    for (seq, _) in rows {
        let values = params![seq, leader.seq, crc(*seq, leader.seq)];
        conn.prepare_cached("INSERT INTO outbox_digest VALUES(?1, ?2, ?3)")
            .and_then(|mut q| q.execute(values))
            .map_err(failed)?;
        history::add(conn, *seq, at, &note).map_err(failed)?;
    }
    leader.now.since = at;
    write(conn, leader.seq, &leader.now).map_err(failed)
}

/// The places of all rows of the digest that `seq` is in, in order; none if it is in none.
pub(super) fn of(conn: &Connection, path: &Path, seq: i64) -> Result<Vec<i64>, StoreError> {
    let found = conn.prepare_cached(TOGETHER).and_then(|mut q| {
        let rows = q.query_map([seq], |row| {
            let (seq, leader): (i64, i64) = (row.get(0)?, row.get(1)?);
            Ok((seq, row.get::<_, i64>(2)? == crc(seq, leader)))
        })?;
        rows.collect::<Result<Vec<_>, _>>()
    });
    let found = found.map_err(|e| from_sqlite("read", path, &e))?;
    match found.iter().find(|(_, intact)| !intact) {
        Some((seq, _)) => Err(damaged(path, format!("the digest of delivery number {seq}"))),
        None => Ok(found.into_iter().map(|(seq, _)| seq).collect()),
    }
}

/// Those that are in one digest with `seq`, the last first.
pub(super) fn others(conn: &Connection, path: &Path, seq: i64) -> Result<Vec<Standing>, StoreError> {
    let others = of(conn, path, seq)?.into_iter().rev().filter(|other| *other != seq);
    others.map(|other| there(standing_at(conn, path, other)?, path, other)).collect()
}

/// Looks through all digests: each row's checksum, its leader, and that all of a digest stand alike.
pub(crate) fn check(conn: &Connection, path: &Path) -> Result<(), StoreError> {
    let sql = "SELECT d.seq, d.leader, d.crc, r.state = l.state, l.lane = r.lane FROM outbox_digest d \
               LEFT JOIN outbox r ON r.seq = d.seq LEFT JOIN outbox l ON l.seq = d.leader";
    let failed = |e: rusqlite::Error| from_sqlite("read", path, &e);
    let mut query = conn.prepare(sql).map_err(failed)?;
    let mut rows = query.query([]).map_err(failed)?;
    while let Some(row) = rows.next().map_err(failed)? {
        let read = || Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?, row.get::<_, i64>(2)?, row.get(3)?, row.get(4)?));
        let (seq, leader, stored, alike, in_lane): (_, _, _, Option<bool>, Option<bool>) = read().map_err(failed)?;
        if stored != crc(seq, leader) || alike != Some(true) || in_lane != Some(true) {
            return Err(damaged(path, format!("the digest of delivery number {seq}")));
        }
    }
    Ok(())
}

fn crc(seq: i64, leader: i64) -> i64 {
    RowCrc::new().int(seq).int(leader).done()
}

fn there(found: Option<Standing>, path: &Path, seq: i64) -> Result<Standing, StoreError> {
    found.ok_or_else(|| damaged(path, format!("delivery number {seq}")))
}

fn whole(conn: &Connection, path: &Path, seq: i64) -> Result<due::Whole, StoreError> {
    let found = due::load(conn, seq).map_err(|e| from_sqlite("read", path, &e))?;
    found.ok_or_else(|| damaged(path, format!("delivery number {seq}")))
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    /// Every settled delivery asks who is with it, and every firing who waits: a scan would make each cost what the store holds.
    #[test]
    fn who_waits_and_who_is_together_is_read_from_an_index() {
        let conn = Connection::open_in_memory().unwrap();
        conn.execute_batch(include_str!("schema.sql")).unwrap();
        let plan = |sql: &str| {
            let mut query = conn.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
            let params = rusqlite::params_from_iter((0..query.parameter_count()).map(|_| 0));
            let steps = query.query_map(params, |row| row.get(3)).unwrap();
            steps.collect::<Result<Vec<String>, _>>().unwrap().join("\n")
        };
        expect![[r#"
            SEARCH o USING COVERING INDEX outbox_lane (lane=? AND seq>?)
            CORRELATED SCALAR SUBQUERY 1
            SEARCH d USING INTEGER PRIMARY KEY (rowid=?)
            SEARCH outbox_digest USING INDEX outbox_digests (leader=?)
            SCALAR SUBQUERY 1
            SEARCH outbox_digest USING INTEGER PRIMARY KEY (rowid=?)
        "#]]
        .assert_eq(&format!("{}\n{}\n", plan(WAITING), plan(TOGETHER)));
    }
}
