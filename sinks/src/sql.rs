//! The `sql-insert` action, also called `dolt-insert`: a row per firing, exactly once.
//!
//! - INV-SQL-ONCE: a firing's row is written by a transaction that also writes the effect id under a primary key: the row's own, where the
//!   target's primary key is `id`, else one in `thalweg_applied` in the target's database. A repeat, also after a commit whose answer was lost,
//!   finds the id and counts as delivered.
//! - INV-SQL-WHOLE: nothing is cut: the session is strict, and a text is measured against its column before it is sent.
//!
//! Values are always bound; names come from the settings or the server's own catalogue and are quoted. The egress guard does not cover
//! database URLs.
//!
//! Bounds: 8 connections an action, 15 s an attempt (`timeout`). Cost: one round trip where the row carries the id, else four.

mod fault;
mod row;
mod table;
mod template;

use std::sync::Arc;
use std::time::Duration;

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Opts, OptsBuilder, Params, Pool, PoolConstraints, PoolOpts, TxOpts};
use serde_json::{Map, Value as Json};
use thalweg_formulas::Problem;
use thalweg_graph::ports::{Attempt, BoxFuture, Firing, PendingDelivery, Sink};
use thalweg_graph::spec::ActionSpec;
use tokio::sync::Mutex;

use crate::secret::{self, Secret};
use crate::settings::{Reader, SettingProblem, wrong};
use crate::{SinkContext, retry};
use fault::Fault;
use row::RowShape;
use table::Table;

const TIMEOUT: Duration = Duration::from_secs(15);
const TIMEOUT_MAX: Duration = Duration::from_secs(300);
const CONNECTIONS_MAX: usize = 8;
/// Strict, so that the server refuses what it would otherwise cut or invent; UTC, for columns of type TIMESTAMP.
const SESSION: [&str; 2] = ["SET SESSION sql_mode = 'STRICT_ALL_TABLES'", "SET SESSION time_zone = '+00:00'"];

/// The action, set up. Connects at its first delivery.
pub(crate) struct SqlInsert {
    url: Option<String>,
    database: Option<String>,
    table: String,
    create: bool,
    shape: RowShape,
    timeout: Duration,
    context: SinkContext,
    target: Mutex<Option<Arc<Target>>>,
}

/// Where an action writes, as long as its URL stays the same.
struct Target {
    url: Secret,
    pool: Pool,
    database: String,
    /// What the catalogue said; forgotten when the server contradicts it.
    table: Mutex<Option<Arc<Table>>>,
}

impl SqlInsert {
    pub(crate) fn new(action: &ActionSpec, context: &SinkContext) -> Result<Self, Vec<SettingProblem>> {
        let mut reader = Reader::new(&action.kind, &action.settings);
        reader.leave(&retry::KEYS);
        let url = reader.text("url").map(str::to_owned);
        let database = reader.text("database").map(str::to_owned);
        let table = reader.required("table", "\"event_log\"").map(str::to_owned);
        let create = reader.flag("create");
        let shape = RowShape::read(&mut reader);
        let timeout = reader.duration("timeout", TIMEOUT_MAX).unwrap_or(TIMEOUT);
        if create && shape.is_custom() {
            reader.refuse(
                "create",
                wrong(
                    "create",
                    "the table of `create` has its own columns; make the table yourself where `columns` names others",
                ),
            );
        }
        check_names(&mut reader, database.as_deref(), table.as_deref());
        check_url(&mut reader, url.as_deref(), database.as_deref(), context);
        reader.finish()?;
        let table = table.expect("invariant: a table that could not be read is a problem, and finish() refused");
        Ok(Self { url, database, table, create, shape, timeout, context: context.clone(), target: Mutex::default() })
    }

    async fn attempt(&self, delivery: &PendingDelivery) -> Result<(), Fault> {
        let row: Map<String, Json> = serde_json::from_slice(&delivery.row.body)
            .map_err(|why| Fault::permanent(format!("E0523: the stored row cannot be read: {why}")))?;
        let target = self.target().await?;
        let mut conn = target.pool.get_conn().await.map_err(|why| Fault::of(&why))?;
        let table = self.table(&target, &mut conn).await?;
        let done = self.insert(&mut conn, &table, &delivery.row.id, &row).await;
        if done.as_ref().is_err_and(Fault::contradicts_catalogue) {
            *target.table.lock().await = None;
        }
        done
    }

    /// The row and its id, in one transaction.
    async fn insert(&self, conn: &mut Conn, table: &Table, id: &str, row: &Map<String, Json>) -> Result<(), Fault> {
        let (columns, values) = table.assign(row, self.shape.is_custom())?;
        let insert = table.insert_statement(&columns);
        match table.is_keyed_by_id(self.shape.writes_own_id()) {
            true => insert_keyed(conn, table, id, &insert, values).await,
            false => insert_with_ledger(conn, table, id, &insert, values).await,
        }
    }

    /// The pool of the URL as it resolves now.
    async fn target(&self) -> Result<Arc<Target>, Fault> {
        let url = match (&self.url, &self.context.database_url) {
            (Some(text), _) => {
                secret::resolve_url(text, &self.context.secrets).map_err(|why| Fault::transient(format!("E0506: {why}")))?
            }
            (None, Some(url)) => url.clone(),
            (None, None) => return Err(Fault::permanent("E0503: no database url".to_owned())),
        };
        let mut current = self.target.lock().await;
        if let Some(target) = current.as_ref().filter(|target| target.url == url) {
            return Ok(target.clone());
        }
        let opts = options(&url).map_err(Fault::permanent)?;
        let database =
            self.database.as_deref().or(opts.db_name()).ok_or_else(|| Fault::permanent("E0503: no database named".to_owned()))?;
        let target = Arc::new(Target { database: database.to_owned(), pool: Pool::new(opts), url, table: Mutex::default() });
        *current = Some(target.clone());
        Ok(target)
    }

    /// What the catalogue says of the table, asked once; makes the table first if it should.
    async fn table(&self, target: &Target, conn: &mut Conn) -> Result<Arc<Table>, Fault> {
        let mut known = target.table.lock().await;
        if let Some(table) = known.as_ref() {
            return Ok(table.clone());
        }
        if self.create {
            let create = table::create_statement(&target.database, &self.table);
            conn.query_drop(create).await.map_err(|why| Fault::of(&why))?;
        }
        let table = Table::load(conn, &target.database, &self.table).await?;
        if !table.is_keyed_by_id(self.shape.writes_own_id()) {
            conn.query_drop(table.ledger_statement()).await.map_err(|why| Fault::of(&why))?;
        }
        let table = Arc::new(table);
        *known = Some(table.clone());
        Ok(table)
    }
}

impl Sink for SqlInsert {
    fn render(&self, firing: &Firing<'_>) -> Vec<u8> {
        Json::Object(self.shape.row(firing)).to_string().into_bytes()
    }

    fn deliver<'a>(&'a self, delivery: &'a PendingDelivery) -> BoxFuture<'a, Attempt> {
        Box::pin(async move {
            match tokio::time::timeout(self.timeout, self.attempt(delivery)).await {
                Ok(Ok(())) => Attempt::Done,
                Ok(Err(fault)) => fault.into_attempt(),
                Err(_) => {
                    Fault::transient(format!("E0524: the database did not answer within {:?}", self.timeout)).into_attempt()
                }
            }
        })
    }
}

/// One statement is one transaction; the row's own primary key refuses the repeat.
async fn insert_keyed(conn: &mut Conn, table: &Table, id: &str, insert: &str, values: Params) -> Result<(), Fault> {
    let Err(why) = conn.exec_drop(insert, values).await else { return Ok(()) };
    let fault = Fault::of(&why);
    if fault.is_duplicate() {
        // Some other unique key may have refused it: only our id is our own row.
        let found: Option<u8> = conn.exec_first(table.find_statement(), (id,)).await.map_err(|why| Fault::of(&why))?;
        if found.is_some() {
            return Ok(());
        }
    }
    Err(fault)
}

/// Row and id in one transaction. The id goes first: a repeat touches nothing.
async fn insert_with_ledger(conn: &mut Conn, table: &Table, id: &str, insert: &str, values: Params) -> Result<(), Fault> {
    let mut transaction = conn.start_transaction(TxOpts::default()).await.map_err(|why| Fault::of(&why))?;
    if let Err(why) = transaction.exec_drop(table.ledger_insert_statement(), (id,)).await {
        let fault = Fault::of(&why);
        transaction.rollback().await.map_err(|why| Fault::of(&why))?;
        return if fault.is_duplicate() { Ok(()) } else { Err(fault) };
    }
    if let Err(why) = transaction.exec_drop(insert, values).await {
        let fault = Fault::of(&why);
        // If this fails too, the connection is gone, and the transaction with it.
        let _ = transaction.rollback().await;
        return Err(fault);
    }
    transaction.commit().await.map_err(|why| Fault::of(&why))
}

/// Connection options of a URL; the error shows nothing of it.
fn options(url: &Secret) -> Result<Opts, String> {
    let opts = Opts::from_url(url.reveal())
        .map_err(|_| "E0504: the database url is not valid; it reads mysql://user:${PASSWORD}@host:3306/database".to_owned())?;
    let pool = PoolOpts::default()
        .with_constraints(PoolConstraints::new(0, CONNECTIONS_MAX).expect("invariant: 0 is at most 8"))
        .with_inactive_connection_ttl(Duration::from_secs(60));
    let setup = SESSION.map(str::to_owned).to_vec();
    Ok(OptsBuilder::from_opts(opts).pool_opts(pool).setup(setup).tcp_nodelay(true).prefer_socket(false).into())
}

fn check_names(reader: &mut Reader<'_>, database: Option<&str>, table: Option<&str>) {
    for (key, name) in [("database", database), ("table", table)] {
        if let Some(name) = name.filter(|name| !table::is_name(name)) {
            reader.refuse(key, wrong(key, &format!("`{}` is not a name of 1 to 64 characters", name.escape_debug())));
        }
    }
}

/// What can be told without a connection: that there is a URL, that it can be read, and that somebody names the database.
fn check_url(reader: &mut Reader<'_>, url: Option<&str>, database: Option<&str>, context: &SinkContext) {
    let literal = match (url, &context.database_url) {
        (Some(text), _) if secret::has_reference(text) => return,
        (Some(text), _) => Secret::new(text),
        (None, Some(url)) => url.clone(),
        (None, None) => {
            let problem = Problem::new(503, "there is no database to write to")
                .help("write url = \"mysql://user:${PASSWORD}@host:3306/database\"");
            return reader.refuse("url", problem);
        }
    };
    match options(&literal) {
        Err(_) => {
            reader.refuse("url", wrong("url", "this is not a database url; it reads mysql://user:${PASSWORD}@host:3306/database"))
        }
        Ok(opts) if database.is_none() && opts.db_name().is_none_or(str::is_empty) => {
            reader.refuse("database", Problem::new(503, "no setting names the database").help("write database = \"my_app\""));
        }
        Ok(_) => {}
    }
}
