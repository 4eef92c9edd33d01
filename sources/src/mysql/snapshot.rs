//! The initial snapshot: every row of every watched table as of one moment, and the place of the log that belongs to that moment.
//!
//! How such a view is opened stands in [`super::view`]. Values come over the binary protocol with `character_set_results = NULL`, so that
//! they are the ones that the log gives: FLOATs are whole, text arrives in its column's character set.

use std::sync::Arc;

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Opts, Row as SqlRow, Value as Sql};
use thalweg_formulas::{Timestamp, Value};
use thalweg_graph::ports::{SourceMessage, SourceStatus};
use thalweg_graph::transaction::{Body, Change, Op};
use thalweg_graph::{Schema, Transaction};

use super::catalog::{Catalog, Reading, Table};
use super::connect::{Flavour, ask_first, quoted};
use super::failure::{Failure, code};
use super::follow::Port;
use super::{MysqlConfig, SnapshotEffects, view};
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
pub(crate) async fn take(
    conn: &mut Conn,
    opts: &Opts,
    flavour: Flavour,
    config: &MysqlConfig,
    watch: &Watch,
    port: &Port,
) -> Result<Taken, Failure> {
    let view = view::open(conn, opts, flavour, watch).await?;
    let (position, catalog, as_of) = (view.position, view.catalog, view.as_of);
    let at: Option<f64> = ask_first(conn, "SELECT UNIX_TIMESTAMP(NOW(6))").await?;
    port.message(SourceMessage::Schemas(catalog.schemas())).await?;
    port.status(SourceStatus::Snapshot(0)).await?;
    let mut rows = Vec::new();
    for table in &catalog.tables {
        read_table(conn, table, as_of.as_deref(), &mut rows, port).await?;
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

async fn read_table(
    conn: &mut Conn,
    table: &Table,
    as_of: Option<&str>,
    rows: &mut Vec<Change>,
    port: &Port,
) -> Result<(), Failure> {
    let read = table.schema.columns.iter().zip(&table.readings).filter(|(_, reading)| reading.is_some());
    let columns: Vec<String> = read.map(|(column, _)| quoted(&column.name)).collect();
    let as_of = as_of.map_or_else(String::new, |commit| format!(" AS OF '{commit}'"));
    let sql = format!("SELECT {} FROM {}{as_of}", columns.join(","), table.sql);
    let mut result = conn.exec_iter(sql, ()).await?;
    while let Some(row) = result.next().await? {
        rows.push(insert(&table.schema, &table.readings, row)?);
        if (rows.len() as u64).is_multiple_of(PROGRESS_ROWS) {
            port.status(SourceStatus::Snapshot(rows.len() as u64)).await?;
        }
    }
    Ok(result.drop_result().await?)
}

fn insert(schema: &Arc<Schema>, readings: &[Option<Reading>], row: SqlRow) -> Result<Change, Failure> {
    let mut cells = row.unwrap().into_iter();
    let read = |(i, reading): (usize, &Option<Reading>)| {
        let Some(reading) = reading else { return Ok(None) };
        let cell = cells.next().and_then(|sql| value(*reading, sql));
        cell.map(Some).ok_or_else(|| {
            let column = &schema.columns[i].name;
            let reason = format!("column `{column}` of {} came from the server in a form that is not known", schema.table);
            Failure::stop(code::UNSUPPORTED, reason, "leave the table out of `tables`")
        })
    };
    let after = readings.iter().enumerate().map(read).collect::<Result<_, _>>()?;
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
