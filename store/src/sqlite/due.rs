//! What is due: heads of lanes, longest due first.
//!
//! The two indexes over heads are ordered by rule (a node's action) and within a rule by the time at which a head became due. So a
//! question goes rule by rule, leaves out those that are busy without looking at their rows, and merges what the others have.
//!
//! The statements of one question run in one read transaction, so that the file's locks are taken once.
//!
//! Cost: O(rules with something due + rows in the answer + rows in flight), each times the depth of an index.

use std::path::Path;

use rusqlite::{Connection, OptionalExtension, Row};
use thalweg_formulas::Timestamp;
use thalweg_graph::ports::{Manner, OutboxRow, PendingDelivery, StoreError};

use super::outbox::{Mutable, row_crc};
use crate::error::{damaged, from_sqlite};

/// Which heads.
#[derive(Clone, Copy)]
enum Heads {
    /// Never tried, or to be tried again at once.
    Fresh,
    /// To be tried again later.
    Deferred,
}

impl Heads {
    /// The next rule that has any, from hash `?1` on.
    fn next_rule(self) -> &'static str {
        match self {
            Heads::Fresh => {
                "SELECT rule, node, action FROM outbox INDEXED BY outbox_fresh \
                 WHERE head = 1 AND not_before = 0 AND rule >= ?1 ORDER BY rule LIMIT 1"
            }
            Heads::Deferred => {
                "SELECT rule, node, action FROM outbox INDEXED BY outbox_deferred \
                 WHERE head = 1 AND not_before > 0 AND rule >= ?1 ORDER BY rule LIMIT 1"
            }
        }
    }

    /// Those of rule `?1` that are due at `?2`, longest due first.
    fn of_rule(self) -> &'static str {
        match self {
            Heads::Fresh => {
                "SELECT seq, not_before, id FROM outbox INDEXED BY outbox_fresh \
                 WHERE head = 1 AND not_before = 0 AND not_before <= ?2 AND rule = ?1 ORDER BY seq"
            }
            Heads::Deferred => {
                "SELECT seq, not_before, id FROM outbox INDEXED BY outbox_deferred \
                 WHERE head = 1 AND not_before > 0 AND not_before <= ?2 AND rule = ?1 ORDER BY not_before, seq"
            }
        }
    }
}

/// What is asked for.
pub(super) struct Ask<'a> {
    pub now: Timestamp,
    pub limit: usize,
    pub in_flight: &'a dyn Fn(&str) -> bool,
    pub busy: &'a dyn Fn(&str, u32) -> bool,
}

/// Heads that are due, longest due first: a row that never failed has been due since it fired, another since its `not_before`.
pub(super) fn due(conn: &Connection, path: &Path, ask: &Ask<'_>) -> Result<Vec<PendingDelivery>, StoreError> {
    let failed = |e: rusqlite::Error| from_sqlite("read", path, &e);
    let _one_view = conn.unchecked_transaction().map_err(failed)?;
    let read = |heads: Heads| -> Result<Vec<PendingDelivery>, StoreError> {
        let whole = |seq| load(conn, seq).map_err(failed)?.ok_or_else(|| damaged(path, format!("delivery number {seq}")));
        candidates(conn, heads, ask).map_err(failed)?.into_iter().map(|seq| Ok(whole(seq)?.delivery)).collect()
    };
    Ok(merge(read(Heads::Fresh)?, read(Heads::Deferred)?, ask.limit))
}

/// At most as many as are asked for, of all rules that are not busy, in order.
fn candidates(conn: &Connection, heads: Heads, ask: &Ask<'_>) -> rusqlite::Result<Vec<i64>> {
    let mut found: Vec<(i64, i64)> = Vec::new();
    let mut from = Some(i64::MIN);
    while let Some((rule, node, action)) = from.map(|from| next_rule(conn, heads, from)).transpose()?.flatten() {
        if !(ask.busy)(&node, action) {
            of_rule(conn, heads, rule, ask, &mut found)?;
        }
        from = rule.checked_add(1);
    }
    found.sort_unstable();
    found.truncate(ask.limit);
    Ok(found.into_iter().map(|(_, seq)| seq).collect())
}

fn next_rule(conn: &Connection, heads: Heads, from: i64) -> rusqlite::Result<Option<(i64, String, u32)>> {
    conn.prepare_cached(heads.next_rule())?.query_row([from], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).optional()
}

fn of_rule(conn: &Connection, heads: Heads, rule: i64, ask: &Ask<'_>, found: &mut Vec<(i64, i64)>) -> rusqlite::Result<()> {
    let mut query = conn.prepare_cached(heads.of_rule())?;
    let mut rows = query.query([rule, ask.now.0.max(0)])?;
    let before = found.len();
    while found.len() - before < ask.limit {
        let Some(row) = rows.next()? else { break };
        if !(ask.in_flight)(row.get_ref(2)?.as_str()?) {
            found.push((row.get(1)?, row.get(0)?));
        }
    }
    Ok(())
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

/// A delivery as it is stored.
pub(crate) struct Whole {
    pub delivery: PendingDelivery,
    pub(super) now: Mutable,
    /// The hashes of its rule and its lane.
    pub place: (i64, i64),
}

impl Whole {
    /// Its state.
    pub(crate) fn state(&self) -> thalweg_graph::ports::OutboxState {
        self.now.state
    }
}

/// One delivery, whole; `None` if it is missing or contradicts one of its checksums.
pub(crate) fn load(conn: &Connection, seq: i64) -> rusqlite::Result<Option<Whole>> {
    let columns = Mutable::COLUMNS;
    let sql = format!(
        "SELECT id, epoch, node, action, key, version, fired_at, crc, rule, lane, settings, body, {columns} \
         FROM outbox o JOIN outbox_body b ON b.seq = o.seq WHERE o.seq = ?1"
    );
    Ok(conn.prepare_cached(&sql)?.query_row([seq], |row| delivery_of(seq, row)).optional()?.flatten())
}

fn delivery_of(seq: i64, row: &Row<'_>) -> rusqlite::Result<Option<Whole>> {
    let text = |i: usize| row.get_ref(i)?.as_str().map_err(rusqlite::Error::from).map(std::sync::Arc::<str>::from);
    let outbox = OutboxRow {
        id: text(0)?,
        epoch: row.get::<_, i64>(1)? as u64,
        node: text(2)?,
        action: row.get(3)?,
        key: text(4)?,
        version: row.get::<_, i64>(5)? as u64,
        body: row.get_ref(11)?.as_blob()?.into(),
        settings: text(10)?,
        // It has done its work when the row was written.
        manner: Manner::default(),
    };
    let Some(now) = Mutable::read(seq, row, 12)? else { return Ok(None) };
    let (fired_at, place) = (Timestamp(row.get(6)?), (row.get(8)?, row.get(9)?));
    let intact = row.get::<_, i64>(7)? == row_crc(seq, place, &outbox, fired_at);
    let delivery = PendingDelivery {
        attempts: now.attempts,
        row: outbox,
        fired_at,
        not_before: now.not_before,
        since: now.since,
        deliveries: now.deliveries,
    };
    Ok(intact.then_some(Whole { delivery, now, place }))
}

/// When the next head is due; the epoch's start for one that may go at once.
pub(super) fn next_at(conn: &Connection) -> rusqlite::Result<Option<Timestamp>> {
    match next_rule(conn, Heads::Fresh, i64::MIN)? {
        Some(_) => Ok(Some(Timestamp(0))),
        None => next_after(conn, Timestamp(0)),
    }
}

/// When the first head becomes due that is not due at `now`.
pub(super) fn next_after(conn: &Connection, now: Timestamp) -> rusqlite::Result<Option<Timestamp>> {
    let _one_view = conn.unchecked_transaction()?;
    let mut soonest: Option<i64> = None;
    let mut from = Some(i64::MIN);
    while let Some((rule, ..)) = from.map(|from| next_rule(conn, Heads::Deferred, from)).transpose()?.flatten() {
        let at = conn.prepare_cached(FIRST_AFTER)?.query_row([rule, now.0], |row| row.get::<_, Option<i64>>(0))?;
        soonest = [soonest, at].into_iter().flatten().min();
        from = rule.checked_add(1);
    }
    Ok(soonest.map(Timestamp))
}

const FIRST_AFTER: &str = "SELECT min(not_before) FROM outbox INDEXED BY outbox_deferred \
                           WHERE head = 1 AND not_before > 0 AND not_before > ?2 AND rule = ?1";

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    /// A sort, or a scan of the table, would make an answer cost what waits and not what it holds.
    #[test]
    fn what_is_due_is_read_from_an_index_in_its_order() {
        let conn = Connection::open_in_memory().unwrap();
        conn.execute_batch(include_str!("schema.sql")).unwrap();
        let plan = |sql: &str| {
            let mut query = conn.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
            let params = rusqlite::params_from_iter((0..query.parameter_count()).map(|_| 0));
            let steps = query.query_map(params, |row| row.get(3)).unwrap();
            steps.collect::<Result<Vec<String>, _>>().unwrap().join("\n")
        };
        let all = [Heads::Fresh, Heads::Deferred].map(|heads| format!("{}\n{}", plan(heads.next_rule()), plan(heads.of_rule())));
        let plans = format!("{}\n{}\n{}\n", all[0], all[1], plan(FIRST_AFTER));
        expect![[r#"
            SEARCH outbox USING INDEX outbox_fresh (rule>?)
            SEARCH outbox USING INDEX outbox_fresh (rule=?)
            SEARCH outbox USING INDEX outbox_deferred (rule>?)
            SEARCH outbox USING INDEX outbox_deferred (rule=? AND not_before>? AND not_before<?)
            SEARCH outbox USING COVERING INDEX outbox_deferred (rule=? AND not_before>?)
        "#]]
        .assert_eq(&plans);
    }
}
