//! The initial snapshot: every row of every watched table as of one moment, and the place of the log that belongs to that moment.
//!
//! How such a view is opened stands in [`super::view`]. Values come over the binary protocol with `character_set_results = NULL`, so that
//! they are the ones that the log gives: FLOATs are whole, text arrives in its column's character set.
//!
//! Where the receiver can take rows back ([`MysqlConfig::clears`]), the rows come in pieces, so that memory is bounded by one of them; the
//! position says that the snapshot is not complete until its last piece. A start from such a position, or after a broken connection,
//! clears the tables and begins anew: a view lives no longer than its connection.

use std::sync::Arc;

use mysql_async::prelude::Queryable;
use mysql_async::{BinaryProtocol, Conn, Opts, QueryResult, Value as Sql};
use thalweg_formulas::{Code, Timestamp, Value};
use thalweg_graph::ports::{RowsRead, SourceMessage, SourceStatus};
use thalweg_graph::transaction::{Body, Change, Op};
use thalweg_graph::{Row, Schema, Transaction};

use super::catalog::{Catalog, Missing, Reading, Table};
use super::connect::{Flavour, ask_first, quoted};
use super::dolt::place::Commit;
use super::dolt::resync;
use super::estimate;
use super::extent::Extent;
use super::failure::{Failure, code};
use super::follow::Port;
use super::history;
use super::view::{self, View};
use super::{MysqlConfig, SnapshotEffects};
use crate::binlog::plan::{float, json};
use crate::binlog::temporal::Civil;
use crate::binlog::{GtidState, Latest, Position, Watch};

/// Rows and bytes of one piece; a snapshot that comes in pieces needs memory for one of them.
pub(crate) const PIECE_ROWS: usize = 10_000;
pub(crate) const PIECE_BYTES: usize = 8 << 20;

/// The position behind every piece but the last: a start from here begins the snapshot anew.
pub(crate) const INCOMPLETE: &str = "snapshot";

/// What a snapshot was taken of.
#[derive(Debug)]
pub(crate) struct Taken {
    /// The state of the log that belongs to the rows.
    pub(crate) position: GtidState,
    /// What is known of the newest transaction in it.
    pub(crate) latest: Option<Latest>,
    /// The layout of the tables.
    pub(crate) catalog: Catalog,
    /// The commit of Dolt that the rows are of.
    pub(crate) commit: Option<Commit>,
}

/// What a snapshot is taken for.
pub(crate) struct Job<'a> {
    pub(crate) opts: &'a Opts,
    pub(crate) flavour: Flavour,
    pub(crate) config: &'a MysqlConfig,
    pub(crate) watch: &'a Watch,
    /// Tables that the receiver may have rows of: they are cleared first. `None`: it has none.
    pub(crate) known: Option<&'a [Arc<Schema>]>,
    /// Whether it has any: set with the first piece.
    pub(crate) has_rows: &'a mut bool,
    /// What the positions say of the tables.
    pub(crate) extent: Option<&'a Extent>,
}

/// Reads all watched tables as of one moment and hands the rows over. `conn` serves for nothing else afterwards.
pub(crate) async fn take(conn: &mut Conn, job: Job<'_>, port: &Port) -> Result<Taken, Failure> {
    let missing = if job.known.is_none() { Missing::Refused } else { Missing::Dropped };
    let View { position, catalog, as_of } = view::open(conn, job.opts, job.flavour, job.watch, missing).await?;
    let at: Option<f64> = ask_first(conn, "SELECT UNIX_TIMESTAMP(NOW(6))").await?;
    let latest = history::latest(conn, job.flavour, &position).await?;
    let commit = as_of.as_ref().and_then(|commit| commit.parse().ok());
    let place = Position { done: position.clone(), reread: None };
    let text = resync::joined(&place, commit.as_ref());
    let moment = Moment {
        tables: catalog.tables.iter().collect(),
        clears: job.known.map_or_else(Vec::new, |known| clears(known, &catalog, job.watch)),
        as_of: as_of.as_deref(),
        origin: format!("snapshot:{position}"),
        at: Timestamp((at.unwrap_or_default() * 1e6).round() as i64),
        position: latest.as_ref().map_or_else(|| text.clone(), |latest| format!("{text}{}", latest.behind())),
        incomplete: INCOMPLETE.to_string(),
    };
    read(conn, job, moment, port).await?;
    conn.query_drop("COMMIT").await?;
    Ok(Taken { position, latest, catalog, commit })
}

/// The moment that rows are read of.
pub(crate) struct Moment<'a> {
    /// The tables to read.
    pub(crate) tables: Vec<&'a Table>,
    /// What goes before their rows come.
    pub(crate) clears: Vec<Change>,
    /// A commit; `None`: the open transaction's view.
    pub(crate) as_of: Option<&'a str>,
    pub(crate) origin: String,
    pub(crate) at: Timestamp,
    /// The position behind the last row.
    pub(crate) position: String,
    /// The position behind every piece before it.
    pub(crate) incomplete: String,
}

/// Reads tables as of a moment and hands the rows over.
pub(crate) async fn read(conn: &mut Conn, job: Job<'_>, moment: Moment<'_>, port: &Port) -> Result<(), Failure> {
    port.message(SourceMessage::Schemas(moment.tables.iter().map(|table| table.schema.clone()).collect())).await?;
    let expected = estimate::rows(conn, job.flavour, &moment.tables).await;
    let mut pieces = Pieces {
        port,
        config: job.config,
        origin: moment.origin,
        at: moment.at,
        changes: moment.clears,
        incomplete: moment.incomplete,
        bytes: 0,
        handed: 0,
        has_rows: job.has_rows,
        extent: job.extent.map(Extent::to_string).unwrap_or_default(),
        read: RowsRead { rows: 0, expected },
    };
    port.status(SourceStatus::Snapshot(pieces.read)).await?;
    for table in moment.tables {
        read_table(conn, table, moment.as_of, &mut pieces).await?;
    }
    pieces.finish(moment.position).await
}

/// A clear for every table that there may be rows of.
pub(crate) fn clears(known: &[Arc<Schema>], catalog: &Catalog, watch: &Watch) -> Vec<Change> {
    let named = watch.patterns().filter(|(d, t)| !Watch::is_wild(d) && (!Watch::is_wild(t) || *t == "*"));
    let named = named.map(|(d, t)| Arc::new(Schema { table: format!("{d}.{t}").into(), columns: Vec::new(), key: Vec::new() }));
    let mut all: Vec<Arc<Schema>> = catalog.schemas().into_iter().chain(known.iter().cloned()).chain(named).collect();
    all.sort_by(|a, b| a.table.cmp(&b.table));
    all.dedup_by(|a, b| a.table == b.table);
    all.into_iter().map(Change::clear).collect()
}

/// The rows on their way out, piece by piece; or all as one transaction where the receiver could not take back half of them.
struct Pieces<'a> {
    port: &'a Port,
    config: &'a MysqlConfig,
    origin: String,
    at: Timestamp,
    changes: Vec<Change>,
    incomplete: String,
    bytes: usize,
    /// Pieces so far.
    handed: u32,
    has_rows: &'a mut bool,
    /// What stands behind the place in every position.
    extent: String,
    read: RowsRead,
}

impl Pieces<'_> {
    async fn add(&mut self, row: Change, bytes: usize) -> Result<(), Failure> {
        self.changes.push(row);
        self.bytes += bytes;
        self.read.rows += 1;
        if self.read.rows.is_multiple_of(PIECE_ROWS as u64) {
            self.port.status(SourceStatus::Snapshot(self.read)).await?;
        }
        // What fires must be judged on the whole, so it comes as a whole.
        let in_pieces = self.config.clears && !self.config.in_one && self.config.snapshot_effects == SnapshotEffects::Suppress;
        if in_pieces && (self.changes.len() >= PIECE_ROWS || self.bytes >= PIECE_BYTES) {
            return self.hand_over(self.incomplete.clone()).await;
        }
        Ok(())
    }

    async fn finish(mut self, position: String) -> Result<(), Failure> {
        self.port.status(SourceStatus::Snapshot(self.read)).await?;
        self.hand_over(position).await
    }

    async fn hand_over(&mut self, mut position: String) -> Result<(), Failure> {
        self.bytes = 0;
        position.push_str(&self.extent);
        let changes = std::mem::take(&mut self.changes);
        let origin = match self.handed {
            0 => self.origin.clone(),
            n => format!("{}/{n}", self.origin),
        };
        self.handed += 1;
        *self.has_rows = true;
        let body = match self.config.snapshot_effects {
            SnapshotEffects::Suppress => Body::Fill(changes),
            SnapshotEffects::Fire => Body::Changes(changes),
        };
        let transaction = Transaction { source: self.config.name.as_str().into(), origin: origin.into(), at: self.at, body };
        self.port.message(SourceMessage::Transaction(transaction, position.into())).await
    }
}

async fn read_table(conn: &mut Conn, table: &Table, as_of: Option<&str>, pieces: &mut Pieces<'_>) -> Result<(), Failure> {
    let mut rows = Rows::of(conn, table, as_of, "").await?;
    while let Some(cells) = rows.next().await? {
        let bytes = size(&cells);
        pieces.add(insert(&table.schema, &table.readings, cells)?, bytes).await?;
    }
    rows.end().await
}

/// Rows of a table as they come, a cell for each column that is read.
pub(crate) struct Rows<'c> {
    result: QueryResult<'c, 'static, BinaryProtocol>,
}

impl<'c> Rows<'c> {
    /// `which`: what stands behind the table's name, such as a WHERE.
    pub(crate) async fn of(conn: &'c mut Conn, table: &Table, as_of: Option<&str>, which: &str) -> Result<Rows<'c>, Failure> {
        let read = table.schema.columns.iter().zip(&table.readings).filter(|(_, reading)| reading.is_some());
        let columns: Vec<String> = read.map(|(column, _)| quoted(&column.name)).collect();
        let as_of = as_of.map_or_else(String::new, |commit| format!(" AS OF '{commit}'"));
        let sql = format!("SELECT {} FROM {}{as_of}{which}", columns.join(","), table.sql);
        Ok(Rows { result: conn.exec_iter(sql, ()).await? })
    }

    pub(crate) async fn next(&mut self) -> Result<Option<Vec<Sql>>, Failure> {
        Ok(self.result.next().await?.map(mysql_async::Row::unwrap))
    }

    /// To be called when all have come, or all but those that nobody wants.
    pub(crate) async fn end(self) -> Result<(), Failure> {
        Ok(self.result.drop_result().await?)
    }
}

/// What a row takes in memory, about.
pub(crate) fn size(cells: &[Sql]) -> usize {
    cells.iter().map(|cell| if let Sql::Bytes(bytes) = cell { bytes.len() } else { 0 } + 32).sum()
}

/// A row as an insert.
pub(crate) fn insert(schema: &Arc<Schema>, readings: &[Option<Reading>], cells: Vec<Sql>) -> Result<Change, Failure> {
    let after = row(schema, readings, cells.into_iter())?;
    Ok(Change { schema: schema.clone(), op: Op::Insert, key: None, before: None, after: Some(after) })
}

/// A row of values of the binary protocol, of the columns that are read.
pub(crate) fn row(schema: &Schema, readings: &[Option<Reading>], mut cells: impl Iterator<Item = Sql>) -> Result<Row, Failure> {
    let mut row = Vec::with_capacity(readings.len());
    for (i, reading) in readings.iter().enumerate() {
        row.push(match reading {
            None => None,
            Some(reading) => match cells.next().and_then(|sql| value(*reading, sql)) {
                None => return Err(unknown_form(schema, i)),
                read => read,
            },
        });
    }
    Ok(row.into())
}

/// The server sent a value in another form than its column has; or in that of another column, if the tables are being changed.
#[cold]
pub(crate) fn unknown_form(schema: &Schema, column: usize) -> Failure {
    let column = &schema.columns[column].name;
    let reason = format!("column `{column}` of {} came from the server in a form that is not known", schema.table);
    Failure::Form(format!("{}: {reason}; leave the table out of `tables`", Code(code::UNSUPPORTED)))
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
