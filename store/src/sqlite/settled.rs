//! What became of deliveries, in the order in which it did, for a source that follows it.
//!
//! Each move of a delivery from one state to another is a row here, written in the commit that moves it, if a source follows. It is gone
//! when that source's position is beyond it, so the list holds what was not taken yet, and one row that tells where to count on.
//!
//! Invariants:
//! - STORE-15: while a source follows, every move of a delivery has one row, numbered from 1 without a gap; rows are dropped only in the
//!   commit of a position that is beyond them.

use std::path::Path;
use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, params};
use thalweg_formulas::Timestamp;
use thalweg_graph::ports::{Settled, StoreError};

use super::crc::RowCrc;
use super::due;
use super::outbox::{Standing, state_of};
use crate::error::{damaged, from_sqlite};

/// Where a delivery stands in its chain is noted for those that an effect caused.
pub(super) fn put_depth(conn: &Connection, seq: i64, depth: u32) -> rusqlite::Result<()> {
    let sql = "INSERT INTO outbox_depth VALUES(?1, ?2, ?3)";
    conn.prepare_cached(sql)?.execute(params![seq, depth, depth_crc(seq, depth.into())]).map(drop)
}

/// The source that follows, if one does.
pub(crate) fn read_follower(conn: &Connection, path: &Path) -> Result<Option<Arc<str>>, StoreError> {
    let read = || {
        let mut query = conn.prepare("SELECT source, crc FROM outbox_follower")?;
        query.query_row([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?))).optional()
    };
    match read().map_err(|e| from_sqlite("read", path, &e))? {
        Some((source, crc)) if crc != RowCrc::new().text(&source).done() => {
            Err(damaged(path, "the name of the source that follows deliveries"))
        }
        found => Ok(found.map(|(source, _)| source.into())),
    }
}

/// Notes who follows from now on.
pub(super) fn put_follower(conn: &Connection, source: Option<&str>) -> rusqlite::Result<()> {
    conn.execute("DELETE FROM outbox_follower", [])?;
    let Some(source) = source else { return Ok(()) };
    let values = params![source, RowCrc::new().text(source).done()];
    conn.execute("INSERT INTO outbox_follower VALUES(0, ?1, ?2)", values).map(drop)
}

/// Adds what has become of `row`, for `source`.
pub(super) fn add(conn: &Connection, source: &str, row: &Standing, at: Timestamp) -> rusqlite::Result<()> {
    let last = "SELECT coalesce(max(n), 0) FROM outbox_settled";
    let n = conn.prepare_cached(last)?.query_row([], |row| row.get::<_, i64>(0))? + 1;
    let (seq, state, attempts) = (row.seq, row.now.state.name(), row.now.attempts);
    let (result, error) = (&row.result, &row.now.error);
    let crc = crc([n, seq, at.0, attempts.into()], [source, state, result, error]);
    let sql = "INSERT INTO outbox_settled VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
    conn.prepare_cached(sql)?.execute(params![n, source, seq, at.0, state, attempts, result, error, crc]).map(drop)
}

const READ: &str = "SELECT o.n, o.seq, o.at, o.state, o.attempts, o.result, o.error, o.crc, d.depth, d.crc, o.source FROM outbox_settled o \
                    LEFT JOIN outbox_depth d ON d.seq = o.seq WHERE o.n > ?1 AND (?3 IS NULL OR o.source = ?3) ORDER BY o.n LIMIT ?2";

/// What has become of deliveries after number `after`, at most `limit`; with `source`, as far as it was noted for that one.
pub(super) fn read(
    conn: &Connection,
    path: &Path,
    source: Option<&str>,
    after: u64,
    limit: usize,
) -> Result<Vec<Settled>, StoreError> {
    let mut all = Vec::new();
    let mut damage = None;
    let mut read = || {
        let mut query = conn.prepare_cached(READ)?;
        let mut rows = query.query(params![i64::try_from(after).unwrap_or(i64::MAX), limit as i64, source])?;
        while let Some(row) = rows.next()? {
            let n: i64 = row.get(0)?;
            match read_row(conn, n, row)? {
                Some(settled) => all.push(settled),
                None => damage = Some(n),
            }
        }
        Ok(())
    };
    read().map_err(|e: rusqlite::Error| from_sqlite("read", path, &e))?;
    damage.map_or(Ok(all), |n| Err(damaged(path, format!("settled delivery number {n}"))))
}

fn read_row(conn: &Connection, n: i64, row: &rusqlite::Row<'_>) -> rusqlite::Result<Option<Settled>> {
    let (seq, at, attempts): (i64, i64, u32) = (row.get(1)?, row.get(2)?, row.get(4)?);
    let (state, result, error): (String, String, String) = (row.get(3)?, row.get(5)?, row.get(6)?);
    let source: String = row.get(10)?;
    let intact = row.get::<_, i64>(7)? == crc([n, seq, at, attempts.into()], [&source, &state, &result, &error]);
    let depth: i64 = row.get::<_, Option<i64>>(8)?.unwrap_or(0);
    let depth_intact = row.get::<_, Option<i64>>(9)?.is_none_or(|crc| crc == depth_crc(seq, depth));
    let (Some(state), Ok(depth), Some(whole)) = (state_of(&state), u32::try_from(depth), due::load(conn, seq)?) else {
        return Ok(None);
    };
    let delivery = whole.delivery;
    let (number, at, fired_at) = (n as u64, Timestamp(at), delivery.fired_at);
    let settled = Settled { number, row: delivery.row, depth, state, attempts, result, error, fired_at, at };
    Ok((intact && depth_intact).then_some(settled))
}

/// Drops what is before a position; the row at it tells where to count on.
pub(super) fn trim(conn: &Connection, position: &str) -> rusqlite::Result<()> {
    let before: i64 = position.parse().unwrap_or(0);
    conn.prepare_cached("DELETE FROM outbox_settled WHERE n < ?1")?.execute([before]).map(drop)
}

/// Looks through all of them: each row's checksum, and that no number is missing.
pub(crate) fn check(conn: &Connection, path: &Path) -> Result<(), StoreError> {
    let mut last = None;
    loop {
        let part = read(conn, path, None, last.unwrap_or(0), 1_000)?;
        let Some(end) = part.last() else { return Ok(()) };
        for settled in &part {
            if last.is_some_and(|last| settled.number != last + 1) {
                return Err(damaged(path, format!("what is before settled delivery number {}", settled.number)));
            }
            last = Some(settled.number);
        }
        last = Some(end.number);
    }
}

fn crc(numbers: [i64; 4], texts: [&str; 4]) -> i64 {
    let crc = numbers.into_iter().fold(RowCrc::new(), RowCrc::int);
    texts.into_iter().fold(crc, RowCrc::text).done()
}

fn depth_crc(seq: i64, depth: i64) -> i64 {
    RowCrc::new().int(seq).int(depth).done()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_taken_is_read_by_its_number() {
        let conn = Connection::open_in_memory().unwrap();
        conn.execute_batch(include_str!("schema.sql")).unwrap();
        let mut query = conn.prepare(&format!("EXPLAIN QUERY PLAN {READ}")).unwrap();
        let steps = query.query_map([0, 0, 0], |row| row.get::<_, String>(3)).unwrap();
        let steps: Vec<String> = steps.collect::<Result<_, _>>().unwrap();
        assert_eq!(
            steps,
            ["SEARCH o USING INTEGER PRIMARY KEY (rowid>?)", "SEARCH d USING INTEGER PRIMARY KEY (rowid=?) LEFT-JOIN"]
        );
    }
}
