//! The small tables: source positions, schemas, timers. Every row has its checksum, and `state` knows how many rows there are.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use rusqlite::{Connection, Row, params};
use thalweg_formulas::Timestamp;
use thalweg_graph::ports::{StoreError, Timer};
use thalweg_graph::transaction::Epoch;

use super::crc::RowCrc;
use super::state::State;
use crate::codec::value::{get_key, put_key};
use crate::codec::wire::Reader;
use crate::error::{damaged, from_sqlite};
use crate::schemas::Schemas;

/// Reads every row with `each`, which says `false` for one that contradicts its checksum.
fn read_all(
    conn: &Connection,
    path: &Path,
    what: &str,
    sql: &str,
    each: &mut dyn FnMut(&Row<'_>) -> rusqlite::Result<bool>,
) -> Result<u64, StoreError> {
    let mut intact = true;
    let mut read = || {
        let mut query = conn.prepare_cached(sql)?;
        let mut rows = query.query([])?;
        let mut n = 0;
        while let Some(row) = rows.next()? {
            intact &= each(row)?;
            n += 1;
        }
        Ok(n)
    };
    let n = read().map_err(|e: rusqlite::Error| from_sqlite("read", path, &e))?;
    if intact { Ok(n) } else { Err(damaged(path, format!("a {what}"))) }
}

fn expect_count(path: &Path, what: &str, found: u64, expected: u64) -> Result<(), StoreError> {
    if found == expected { Ok(()) } else { Err(damaged(path, format!("it holds {found} {what}s, and {expected} were written"))) }
}

/// The stored source positions.
pub(crate) fn read_positions(conn: &Connection, path: &Path, state: &State) -> Result<BTreeMap<Arc<str>, String>, StoreError> {
    let mut positions = BTreeMap::new();
    let n = read_all(conn, path, "source position", "SELECT source, position, crc FROM source_pos", &mut |row| {
        let (source, position): (String, String) = (row.get(0)?, row.get(1)?);
        let intact = row.get::<_, i64>(2)? == RowCrc::new().text(&source).text(&position).done();
        positions.insert(source.into(), position);
        Ok(intact)
    })?;
    expect_count(path, "source position", n, state.sources)?;
    Ok(positions)
}

/// Stores a source's position.
pub(super) fn put_position(conn: &Connection, source: &str, position: &str) -> rusqlite::Result<()> {
    let sql = "INSERT INTO source_pos VALUES(?1, ?2, ?3) ON CONFLICT(source) DO UPDATE SET position = ?2, crc = ?3";
    conn.prepare_cached(sql)?.execute(params![source, position, RowCrc::new().text(source).text(position).done()])?;
    Ok(())
}

/// The stored schemas, and which is the newest of each table.
pub(crate) fn read_schemas(conn: &Connection, path: &Path, counts: Option<(u64, u64)>) -> Result<Schemas, StoreError> {
    let mut schemas = Schemas::default();
    let sql = "SELECT number, name, epoch, body, crc FROM schema_history ORDER BY number";
    let n = read_all(conn, path, "schema", sql, &mut |row| {
        let (number, epoch): (i64, i64) = (row.get(0)?, row.get(2)?);
        let (name, body): (String, Vec<u8>) = (row.get(1)?, row.get(3)?);
        let intact = row.get::<_, i64>(4)? == schema_crc(number, &name, epoch, &body) && number == schemas.len() as i64;
        Ok(intact && schemas.restore(&body).is_ok())
    })?;
    let tables = read_all(conn, path, "table's schema", "SELECT name, schema, crc FROM tables", &mut |row| {
        let (name, number): (String, i64) = (row.get(0)?, row.get(1)?);
        let intact = row.get::<_, i64>(2)? == RowCrc::new().text(&name).int(number).done();
        Ok(intact && schemas.restore_newest(name.into(), number as u64))
    })?;
    if let Some((expected, expected_tables)) = counts {
        expect_count(path, "schema", n, expected)?;
        expect_count(path, "table", tables, expected_tables)?;
    }
    Ok(schemas)
}

fn schema_crc(number: i64, name: &str, epoch: i64, body: &[u8]) -> i64 {
    RowCrc::new().int(number).text(name).int(epoch).bytes(body).done()
}

/// Stores the schemas that a commit met first.
pub(super) fn put_schemas(conn: &Connection, schemas: &Schemas, epoch: Epoch) -> rusqlite::Result<()> {
    for (number, known) in schemas.new_ones() {
        let (number, name) = (number as i64, &known.schema.table);
        conn.prepare_cached("INSERT INTO schema_history VALUES(?1, ?2, ?3, ?4, ?5)")?.execute(params![
            number,
            name,
            epoch as i64,
            &known.body[..],
            schema_crc(number, name, epoch as i64, &known.body)
        ])?;
    }
    for (name, number) in schemas.new_newest() {
        let sql = "INSERT INTO tables VALUES(?1, ?2, ?3) ON CONFLICT(name) DO UPDATE SET schema = ?2, crc = ?3";
        conn.prepare_cached(sql)?.execute(params![name, number, RowCrc::new().text(name).int(number.into()).done()])?;
    }
    Ok(())
}

/// Timers that wait, soonest first.
pub(crate) fn read_timers(conn: &Connection, path: &Path, state: &State) -> Result<Vec<Timer>, StoreError> {
    let mut timers = Vec::new();
    let sql = "SELECT id, event, doc, key, due, rule, crc FROM timers ORDER BY due, id";
    let n = read_all(conn, path, "timer", sql, &mut |row| {
        let (id, event, table): (String, String, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
        let (key, due, rule): (Vec<u8>, i64, String) = (row.get(3)?, row.get(4)?, row.get(5)?);
        let intact = row.get::<_, i64>(6)? == timer_crc([&id, &rule, &event, &table], &key, due);
        let Ok(key) = get_key::<Arc<[_]>>(&mut Reader::new(&key)) else { return Ok(false) };
        timers.push(Timer {
            id: id.into(),
            rule: rule.into(),
            event: event.into(),
            table: table.into(),
            key,
            due: Timestamp(due),
        });
        Ok(intact)
    })?;
    expect_count(path, "timer", n, state.timers)?;
    Ok(timers)
}

fn timer_crc([id, rule, event, table]: [&str; 4], key: &[u8], due: i64) -> i64 {
    RowCrc::new().text(id).text(event).text(table).bytes(key).int(due).text(rule).done()
}

/// Arms a timer; how many rows that added.
pub(super) fn put_timer(conn: &Connection, timer: &Timer) -> rusqlite::Result<u64> {
    let mut key = Vec::new();
    put_key(&mut key, &timer.key);
    let crc = timer_crc([&timer.id, &timer.rule, &timer.event, &timer.table], &key, timer.due.0);
    let params = params![timer.id, timer.event, timer.table, key, timer.due.0, timer.rule, crc];
    Ok(conn.prepare_cached("INSERT OR IGNORE INTO timers VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7)")?.execute(params)? as u64)
}

/// Drops a timer that fired or was taken back; how many rows that removed.
pub(super) fn drop_timer(conn: &Connection, id: &str) -> rusqlite::Result<u64> {
    Ok(conn.prepare_cached("DELETE FROM timers WHERE id = ?1")?.execute([id])? as u64)
}
