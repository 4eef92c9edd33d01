//! A view of a Dolt server's tables as of one place of its log.
//!
//! Dolt has no lock that locks and no way to read a state and its place at once. What it has is commits. One transaction writes a marker
//! row and makes a Dolt commit: commits to a branch follow one another, so the commit holds exactly what was logged up to the marker's own
//! transaction. The log is read until the marker comes; then the tables are read `AS OF` the commit, at leisure.
//!
//! A user who may not write gets the second best: place and state are read twice, some time apart, and count as belonging together when
//! nothing has moved in between.
//!
//! Commits can also be followed by themselves, on any branch and without the log: see [`poll`]. Where the log was purged, the commit that
//! a position stands at leads on: see [`resync`].

pub(crate) mod added;
pub(crate) mod ancestry;
pub(crate) mod difference;
pub(crate) mod place;
pub(crate) mod poll;
pub(crate) mod resync;

use std::time::Duration;

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Opts};
use thalweg_formulas::{Code, Value};
use thalweg_graph::transaction::Body;

use super::catalog::{Catalog, Missing};
use super::check::{executed, own_position};
use super::connect::{Flavour, ask_first, connect, quoted};
use super::dump::Dump;
use super::failure::{Failure, code};
use super::stream::SILENCE_MIN_DOLT;
use super::view::View;
use crate::binlog::plan::Hints;
use crate::binlog::{Assembler, GtidState, Position, Step, Watch};

/// The table that marker rows are written to, in the watched database.
const MARKER_TABLE: &str = "thalweg_snapshot";

/// How long nothing may have moved for state and place to belong together: longer than a commit takes between the two.
const STILL: Duration = Duration::from_millis(300);
/// How often that is tried.
const STILL_TRIES: u32 = 40;

/// Opens a view. `conn` reads from it until its COMMIT.
pub(crate) async fn open(conn: &mut Conn, opts: &Opts, watch: &Watch, missing: Missing) -> Result<View, Failure> {
    let catalog = Catalog::read(conn, Flavour::Dolt, watch, missing).await?;
    let Some(database) = only_database(&catalog)? else {
        let position = executed(conn).await?;
        return Ok(View { position, catalog, as_of: None });
    };
    match mark(conn, opts, &database).await? {
        Some((commit, position)) => {
            // The tables as of the commit may be newer than those that were looked at before.
            let catalog = Catalog::read(conn, Flavour::Dolt, watch, missing).await?;
            Ok(View { position, catalog, as_of: Some(commit) })
        }
        None => {
            let position = still(conn, opts, &database).await?;
            Ok(View { position, catalog: Catalog::read(conn, Flavour::Dolt, watch, missing).await?, as_of: None })
        }
    }
}

/// Commits of two databases follow no common order, so no marker could stand for both.
pub(crate) fn only_database(catalog: &Catalog) -> Result<Option<String>, Failure> {
    let mut databases: Vec<&str> = catalog.tables.iter().filter_map(|t| Some(t.schema.table.split_once('.')?.0)).collect();
    databases.dedup();
    match databases[..] {
        [] => Ok(None),
        [one] => Ok(Some(one.to_string())),
        [first, second, ..] => Err(Failure::stop(
            code::SETTING,
            format!("tables of {first} and of {second} are watched, and Dolt's databases have no common history"),
            "configure one source for each database",
        )),
    }
}

/// Writes a marker, commits, and finds the marker in the log: the commit and its place. `None`: this user may not write.
async fn mark(conn: &mut Conn, opts: &Opts, database: &str) -> Result<Option<(String, GtidState)>, Failure> {
    let before = executed(conn).await?;
    let marker = format!("{:032x}", rand::random::<u128>());
    match write_marker(conn, database, &marker).await {
        Ok(commit) => {
            let position = find_marker(opts, database, &marker, before).await?;
            Ok(Some((commit, position)))
        }
        Err(mysql_async::Error::Server(why)) => {
            tracing::info!("no marker can be written ({}), so the snapshot waits for a quiet moment", why.message);
            conn.query_drop("ROLLBACK").await?;
            Ok(None)
        }
        Err(why) => Err(why.into()),
    }
}

async fn write_marker(conn: &mut Conn, database: &str, marker: &str) -> Result<String, mysql_async::Error> {
    let table = format!("{}.{MARKER_TABLE}", quoted(database));
    conn.query_drop(format!("USE {}", quoted(database))).await?;
    conn.query_drop(format!("CREATE TABLE IF NOT EXISTS {table} (id INT PRIMARY KEY, marker VARCHAR(36))")).await?;
    conn.query_drop("START TRANSACTION").await?;
    conn.query_drop(format!("REPLACE INTO {table} VALUES (1, '{marker}')")).await?;
    let commit: Option<String> = conn.query_first(format!("CALL dolt_commit('-Am', 'snapshot marker {marker}')")).await?;
    Ok(commit.unwrap_or_default())
}

/// Reads the log from `before` until the marker's transaction: the place behind it.
async fn find_marker(opts: &Opts, database: &str, marker: &str, before: GtidState) -> Result<GtidState, Failure> {
    let watch = Watch::new(&[format!("{database}.{MARKER_TABLE}")], None)
        .map_err(|why| Failure::stop(code::SETTING, why, "rename the database"))?;
    let mut assembler = Assembler::new(watch, Hints::default(), Position { done: before, reread: None }, &[]);
    let conn = connect(opts).await?;
    let server_id = rand::random::<u32>() | 0x8000_0000;
    let mut stream = Dump::open(conn, Flavour::Dolt, server_id, STILL, &assembler.position().done).await?;
    let wanted = Some(Value::text(marker));
    let mut steps = Vec::new();
    while let Some(event) = stream.next(SILENCE_MIN_DOLT).await? {
        assembler.event(event.header, event.body(), &mut steps)?;
        for step in steps.drain(..) {
            let Step::Transaction { body: Body::Changes(changes), .. } = step else { continue };
            if changes.iter().any(|c| c.after.as_ref().is_some_and(|row| row.contains(&wanted))) {
                return Ok(assembler.position().done.clone());
            }
        }
    }
    Err(Failure::Retry("E0400: the server ended the connection before the snapshot's marker was logged".to_string()))
}

/// Begins a transaction in a moment in which nothing moves; its place. A second connection looks, since the first sees its own view.
async fn still(conn: &mut Conn, opts: &Opts, database: &str) -> Result<GtidState, Failure> {
    let mut watcher = connect(opts).await?;
    watcher.query_drop(format!("USE {}", quoted(database))).await?;
    for _ in 0..STILL_TRIES {
        let before = state(&mut watcher).await?;
        conn.query_drop("START TRANSACTION").await?;
        tokio::time::sleep(STILL).await;
        if before == state(&mut watcher).await? {
            return own_position(&before.0);
        }
        conn.query_drop("ROLLBACK").await?;
    }
    Err(Failure::Retry(format!(
        "{}: the snapshot waits for a quiet moment: this user may not write the marker row that would make one unnecessary",
        Code(code::CONNECTION)
    )))
}

/// The place of the log and the state of the data, in that order.
async fn state(conn: &mut Conn) -> Result<(String, String), Failure> {
    Ok(ask_first(conn, "SELECT @@global.gtid_executed, dolt_hashof_db()").await?.unwrap_or_default())
}
