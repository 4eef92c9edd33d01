//! The rows that are already there, all watched tables in one read view, and the log position that belongs to exactly that view.
//!
//! MariaDB gives both without a lock: `START TRANSACTION WITH CONSISTENT SNAPSHOT` opens the read view and fixes
//! `Binlog_snapshot_file/position` under the lock of the commit order. That holds for InnoDB, so other engines are refused.
//!
//! Values come by the binary protocol with `character_set_results = NULL`, so that they are the ones that the log gives: FLOATs are whole,
//! text arrives in its column's character set.

use std::sync::Arc;

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Row as SqlRow, Value as Sql};
use thalweg_formulas::{Timestamp, Value};
use thalweg_graph::ports::{SourceMessage, SourceStatus};
use thalweg_graph::transaction::{Body, Change, Op};
use thalweg_graph::{Schema, Transaction};

use super::catalog::{Catalog, Reading, Table};
use super::connect::quoted;
use super::failure::{Failure, code};
use super::follow::Port;
use super::{MysqlConfig, SnapshotEffects};
use crate::binlog::plan::{float, json};
use crate::binlog::temporal::Civil;
use crate::binlog::{GtidState, Watch};

/// Rows between two words on the progress.
const PROGRESS_ROWS: u64 = 10_000;

/// What a snapshot was taken of.
#[derive(Debug)]
pub(crate) struct Taken {
    /// The state of the log that belongs to the rows.
    pub(crate) position: GtidState,
    /// The layout of the tables.
    pub(crate) catalog: Catalog,
    /// The rows, as one transaction.
    pub(crate) transaction: Transaction,
}

/// Reads all watched tables as of one moment. `conn` serves for nothing else afterwards.
pub(crate) async fn take(conn: &mut Conn, config: &MysqlConfig, watch: &Watch, port: &Port) -> Result<Taken, Failure> {
    for sql in [
        "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ",
        "SET SESSION time_zone = '+00:00', sql_mode = '', net_write_timeout = 3600, character_set_results = NULL",
        "START TRANSACTION WITH CONSISTENT SNAPSHOT",
    ] {
        conn.query_drop(sql).await?;
    }
    let position = position(conn).await?;
    refuse_prepared(conn).await?;
    let at: Option<f64> = conn.query_first("SELECT UNIX_TIMESTAMP(NOW(6))").await?;
    let catalog = Catalog::read(conn, watch).await?;
    refuse_engines(&catalog)?;
    port.message(SourceMessage::Schemas(catalog.schemas())).await?;
    port.status(SourceStatus::Snapshot(0)).await?;
    let mut rows = Vec::new();
    for table in &catalog.tables {
        read_table(conn, table, &mut rows, port).await?;
    }
    conn.query_drop("COMMIT").await?;
    port.status(SourceStatus::Snapshot(rows.len() as u64)).await?;
    let body = match config.snapshot_effects {
        SnapshotEffects::Suppress => Body::Fill(rows),
        SnapshotEffects::Fire => Body::Changes(rows),
    };
    let transaction = Transaction {
        source: config.name.as_str().into(),
        origin: format!("snapshot:{position}").into(),
        at: Timestamp((at.unwrap_or_default() * 1e6).round() as i64),
        body,
    };
    Ok(Taken { position, catalog, transaction })
}

/// The log position of the read view.
async fn position(conn: &mut Conn) -> Result<GtidState, Failure> {
    let status: Vec<(String, String)> = conn.query("SHOW STATUS LIKE 'binlog_snapshot_%'").await?;
    let value = |name: &str| status.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.clone());
    let (file, at) = (value("Binlog_snapshot_file").unwrap_or_default(), value("Binlog_snapshot_position").unwrap_or_default());
    let gtid: Option<Option<String>> =
        conn.exec_first("SELECT BINLOG_GTID_POS(?, ?)", (&file, at.parse::<u64>().unwrap_or(0))).await?;
    let lost = || Failure::Retry(format!("E0400: the position of the snapshot, {file}:{at}, is not in the log any more"));
    gtid.flatten().ok_or_else(lost)?.parse().map_err(|_| lost())
}

/// A transaction that was prepared before the position and commits after it is in neither the rows nor the log that follows.
async fn refuse_prepared(conn: &mut Conn) -> Result<(), Failure> {
    let prepared: Vec<SqlRow> = conn.query("XA RECOVER").await?;
    if prepared.is_empty() {
        return Ok(());
    }
    Err(Failure::Retry(format!(
        "{}: the snapshot waits until no XA transaction is prepared ({} are); see XA RECOVER on the server",
        thalweg_formulas::Code(code::PREPARED),
        prepared.len()
    )))
}

fn refuse_engines(catalog: &Catalog) -> Result<(), Failure> {
    match catalog.tables.iter().find(|t| t.engine != "InnoDB") {
        None => Ok(()),
        Some(table) => Err(Failure::stop(
            code::TABLE,
            format!("{} is of engine {}, which cannot be read as of one moment", table.schema.table, table.engine),
            format!("run on the server: ALTER TABLE {} ENGINE = InnoDB; or leave the table out of `tables`", table.sql),
        )),
    }
}

async fn read_table(conn: &mut Conn, table: &Table, rows: &mut Vec<Change>, port: &Port) -> Result<(), Failure> {
    let columns: Vec<String> = table.schema.columns.iter().map(|c| quoted(&c.name)).collect();
    let sql = format!("SELECT {} FROM {}", columns.join(","), table.sql);
    let mut result = conn.exec_iter(sql, ()).await?;
    while let Some(row) = result.next().await? {
        rows.push(insert(&table.schema, &table.readings, row)?);
        if (rows.len() as u64).is_multiple_of(PROGRESS_ROWS) {
            port.status(SourceStatus::Snapshot(rows.len() as u64)).await?;
        }
    }
    Ok(result.drop_result().await?)
}

fn insert(schema: &Arc<Schema>, readings: &[Reading], row: SqlRow) -> Result<Change, Failure> {
    let read = |(i, (sql, reading)): (usize, (Sql, &Reading))| match value(*reading, sql) {
        Some(value) => Ok(Some(value)),
        None => {
            let column = &schema.columns[i].name;
            let reason = format!("column `{column}` of {} came from the server in a form that is not known", schema.table);
            Err(Failure::stop(code::UNSUPPORTED, reason, "leave the table out of `tables`"))
        }
    };
    let after = row.unwrap().into_iter().zip(readings).enumerate().map(read).collect::<Result<_, _>>()?;
    Ok(Change { schema: schema.clone(), op: Op::Insert, key: None, before: None, after: Some(after) })
}

/// A value of the binary protocol as the one that the log gives; `None` if the server sent another type than the column has.
fn value(reading: Reading, sql: Sql) -> Option<Value> {
    Some(match (reading, sql) {
        (_, Sql::NULL) => Value::Null,
        (Reading::Int, Sql::Int(x)) => Value::Int(x),
        (Reading::Int, Sql::UInt(x)) => Value::Int(x.try_into().ok()?),
        (Reading::Uint, Sql::UInt(x)) => Value::Uint(x),
        (Reading::Uint, Sql::Int(x)) => Value::Uint(x.try_into().ok()?),
        (Reading::Float, Sql::Float(x)) => float(x),
        (Reading::Double, Sql::Double(x)) => Value::double(x),
        (Reading::Decimal, Sql::Bytes(text)) => Value::Decimal(std::str::from_utf8(&text).ok()?.parse().ok()?),
        (Reading::Bit, Sql::Bytes(bytes)) => Value::Uint(bytes.iter().fold(0, |x, b| x << 8 | u64::from(*b))),
        (Reading::Date, Sql::Date(year, month, day, ..)) => {
            Civil { year, month, day, hour: 0, minute: 0, second: 0, micros: 0 }.date()
        }
        (Reading::Datetime { digits }, Sql::Date(year, month, day, hour, minute, second, micros)) => {
            Civil { year, month, day, hour, minute, second, micros }.datetime(digits)
        }
        (Reading::Time, Sql::Time(negative, days, hours, minutes, seconds, micros)) => {
            let whole = i64::from(days) * 86_400 + i64::from(hours) * 3600 + i64::from(minutes) * 60 + i64::from(seconds);
            let span = whole * 1_000_000 + i64::from(micros);
            Value::Duration(thalweg_formulas::Duration(if negative { -span } else { span }))
        }
        (Reading::String(charset), Sql::Bytes(bytes)) => charset.decode(&bytes),
        (Reading::Json(charset), Sql::Bytes(bytes)) => json(charset.decode(&bytes)),
        _ => return None,
    })
}
