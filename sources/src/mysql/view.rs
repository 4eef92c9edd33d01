//! Opening a view of all watched tables as of one place of the log, as each kind of server allows it.
//!
//! - MariaDB says with a consistent snapshot to which place of the log it belongs: no lock at all.
//! - MySQL needs a moment in which nothing commits: FLUSH TABLES WITH READ LOCK, for less than a millisecond once it is granted. A
//!   user who may not do that, or a server where it is not granted in time, gets LOCK TABLES … READ from a second connection: exact too,
//!   since only the watched tables must stand still.
//! - Dolt has its own way, see [`super::dolt`].
//!
//! Reading the position before or after the view without any of these loses or repeats transactions.

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Opts, Row as SqlRow};
use thalweg_formulas::Code;

use super::catalog::{Catalog, Missing, Table};
use super::check::executed;
use super::connect::{Flavour, ask, connect};
use super::dolt;
use super::failure::{Failure, code, lower};
use crate::binlog::{GtidState, Place, Watch};

/// Seconds that a lock may be waited for: whoever comes after us waits as long.
const LOCK_WAIT_SECONDS: u32 = 5;

const BEGIN: &str = "START TRANSACTION WITH CONSISTENT SNAPSHOT";

/// What makes a session's results those that the log gives.
pub(crate) const AS_STORED: &str =
    "SET SESSION time_zone = '+00:00', sql_mode = '', net_write_timeout = 3600, character_set_results = NULL";

/// A view that is open on a connection.
#[derive(Debug)]
pub(crate) struct View {
    /// The place of the log that it belongs to.
    pub(crate) position: GtidState,
    /// The tables in it.
    pub(crate) catalog: Catalog,
    /// The Dolt commit that they are read of; `None`: the open transaction's view.
    pub(crate) as_of: Option<String>,
}

/// Opens a view on `conn`, which serves for nothing else until its COMMIT.
pub(crate) async fn open(
    conn: &mut Conn,
    opts: &Opts,
    flavour: Flavour,
    watch: &Watch,
    missing: Missing,
) -> Result<View, Failure> {
    for_reading(conn).await?;
    let view = match flavour {
        Flavour::MariaDb => lock_free(conn, watch, missing).await?,
        Flavour::MySql => stopped(conn, opts, watch, missing).await?,
        Flavour::Dolt => return dolt::open(conn, opts, watch, missing).await,
    };
    refuse_prepared(conn).await?;
    refuse_engines(&view.catalog.tables)?;
    Ok(view)
}

/// The settings of a connection that reads rows.
pub(crate) async fn for_reading(conn: &mut Conn) -> Result<(), Failure> {
    for sql in ["SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ", AS_STORED] {
        conn.query_drop(sql).await?;
    }
    Ok(())
}

/// MariaDB: opens a view; the place in the files that it belongs to.
pub(crate) async fn begin_placed(conn: &mut Conn) -> Result<Place, Failure> {
    conn.query_drop(BEGIN).await?;
    let status: Vec<(String, String)> = ask(conn, "SHOW STATUS LIKE 'binlog_snapshot_%'").await?;
    let value = |name: &str| status.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.clone());
    let (file, at) = (value("Binlog_snapshot_file").unwrap_or_default(), value("Binlog_snapshot_position").unwrap_or_default());
    Ok(Place { file, offset: at.parse().unwrap_or(0) })
}

/// MariaDB: the view knows its place.
async fn lock_free(conn: &mut Conn, watch: &Watch, missing: Missing) -> Result<View, Failure> {
    let Place { file, offset: at } = begin_placed(conn).await?;
    let gtid: Option<Option<String>> = conn.exec_first("SELECT BINLOG_GTID_POS(?, ?)", (&file, at)).await?;
    let lost = || Failure::Retry(format!("E0400: the position of the snapshot, {file}:{at}, is not in the log any more"));
    let position = gtid.flatten().ok_or_else(lost)?.parse().map_err(|_| lost())?;
    Ok(View { position, catalog: Catalog::read(conn, Flavour::MariaDb, watch, missing).await?, as_of: None })
}

/// MySQL: everything stands still while the view is opened, or at least the watched tables do.
async fn stopped(conn: &mut Conn, opts: &Opts, watch: &Watch, missing: Missing) -> Result<View, Failure> {
    conn.query_drop(format!("SET SESSION lock_wait_timeout = {LOCK_WAIT_SECONDS}")).await?;
    if let Err(refused) = conn.query_drop("FLUSH TABLES WITH READ LOCK").await {
        let user_may = of_lock(refused)?;
        // One that waited in vain for a long statement holds the half that it got: nobody could write.
        conn.query_drop("UNLOCK TABLES").await?;
        return with_locked_tables(conn, opts, watch, missing, user_may).await;
    }
    conn.query_drop(BEGIN).await?;
    let position = executed(conn).await?;
    conn.query_drop("UNLOCK TABLES").await?;
    Ok(View { position, catalog: Catalog::read(conn, Flavour::MySql, watch, missing).await?, as_of: None })
}

/// The watched tables are locked on a connection of its own: beginning a transaction would give up the locks of this one.
async fn with_locked_tables(
    conn: &mut Conn,
    opts: &Opts,
    watch: &Watch,
    missing: Missing,
    may_flush: Lock,
) -> Result<View, Failure> {
    let catalog = Catalog::read(conn, Flavour::MySql, watch, missing).await?;
    let mut locker = connect(opts).await?;
    locker.query_drop(format!("SET SESSION lock_wait_timeout = {LOCK_WAIT_SECONDS}")).await?;
    let tables: Vec<String> = catalog.tables.iter().map(|t| format!("{} READ", t.sql)).collect();
    if !tables.is_empty()
        && let Err(refused) = locker.query_drop(format!("LOCK TABLES {}", tables.join(", "))).await
    {
        return Err(match (of_lock(refused)?, may_flush) {
            (Lock::Denied(reason), Lock::Denied(_)) => Failure::stop(
                code::PRIVILEGE,
                format!("{}, and nothing may be locked for the moment in which a snapshot begins", lower(&reason)),
                "run on the server: GRANT SELECT, LOCK TABLES ON the watched databases, or RELOAD ON *.*, TO this user",
            ),
            _ => Failure::Retry(format!(
                "{}: the snapshot waits for a long transaction: no lock on the watched tables within {LOCK_WAIT_SECONDS} seconds",
                Code(code::CONNECTION)
            )),
        });
    }
    conn.query_drop(BEGIN).await?;
    let position = executed(conn).await?;
    locker.query_drop("UNLOCK TABLES").await?;
    // Between the reading of the layout and the lock it may have changed; behind the lock it is that of the view.
    Ok(View { position, catalog: Catalog::read(conn, Flavour::MySql, watch, missing).await?, as_of: None })
}

/// Why a lock was not granted.
enum Lock {
    /// This user may not.
    Denied(String),
    /// Not in time.
    Waited,
}

fn of_lock(refused: mysql_async::Error) -> Result<Lock, Failure> {
    match refused {
        mysql_async::Error::Server(e) if matches!(e.code, 1044 | 1142 | 1227) => Ok(Lock::Denied(e.message)),
        mysql_async::Error::Server(e) if matches!(e.code, 1205 | 3168) => Ok(Lock::Waited),
        other => Err(other.into()),
    }
}

/// A transaction that was prepared before the position and commits after it is in neither the rows nor the log that follows. A user who
/// may not ask for them learns of it at the COMMIT, which then has no rows and stops the source.
async fn refuse_prepared(conn: &mut Conn) -> Result<(), Failure> {
    let prepared: Vec<SqlRow> = match conn.query("XA RECOVER").await {
        Err(mysql_async::Error::Server(e)) if matches!(e.code, 1227 | 1401) => Vec::new(),
        answer => answer?,
    };
    if prepared.is_empty() {
        return Ok(());
    }
    Err(Failure::Retry(format!(
        "{}: the snapshot waits until no XA transaction is prepared ({} are); see XA RECOVER on the server",
        Code(code::PREPARED),
        prepared.len()
    )))
}

/// Refuses a table whose rows cannot be read as of one moment.
pub(crate) fn refuse_engines<'a>(tables: impl IntoIterator<Item = &'a Table>) -> Result<(), Failure> {
    match tables.into_iter().find(|t| t.engine != "InnoDB") {
        None => Ok(()),
        Some(table) => Err(Failure::stop(
            code::TABLE,
            format!("{} is of engine {}, which cannot be read as of one moment", table.schema.table, table.engine),
            format!("run on the server: ALTER TABLE {} ENGINE = InnoDB; or leave the table out of `tables`", table.sql),
        )),
    }
}
