//! Where a SQL action writes: the pool of its URL as it resolves now, and what the catalogue said of its tables.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use mysql_async::{Conn, Opts, OptsBuilder, Pool, PoolConstraints, PoolOpts};
use thalweg_formulas::Problem;
use thalweg_graph::ports::Attempt;
use tokio::sync::Mutex;

use super::fault::Fault;
use super::table::{self, Table};
use crate::SinkContext;
use crate::secret::{self, Secret};
use crate::settings::{Reader, wrong};

const TIMEOUT: Duration = Duration::from_secs(15);
const TIMEOUT_MAX: Duration = Duration::from_secs(300);
const CONNECTIONS_MAX: usize = 8;
/// Strict, so that the server refuses what it would otherwise cut or invent (a zero in a counting column stays a zero); UTC, for columns
/// of type TIMESTAMP.
const SESSION: [&str; 2] =
    ["SET SESSION sql_mode = 'STRICT_ALL_TABLES,NO_AUTO_VALUE_ON_ZERO'", "SET SESSION time_zone = '+00:00'"];

/// The database of an action, as configured.
pub(super) struct Database {
    url: Option<String>,
    name: Option<String>,
    timeout: Duration,
    context: SinkContext,
    current: Mutex<Option<Arc<Target>>>,
}

/// The database of an action, as long as its URL stays the same.
pub(super) struct Target {
    url: Secret,
    pool: Pool,
    /// Its name.
    pub(super) database: String,
    /// What the catalogue said; a table is forgotten when the server contradicts it.
    tables: Mutex<BTreeMap<String, Arc<Table>>>,
}

impl Database {
    /// Reads `url`, `database` and `timeout`.
    pub(super) fn read(reader: &mut Reader<'_>, context: &SinkContext) -> Self {
        let url = reader.text("url").map(str::to_owned);
        let name = reader.text("database").map(str::to_owned);
        let timeout = reader.duration("timeout", TIMEOUT_MAX).unwrap_or(TIMEOUT);
        Self { url, name, timeout, context: context.clone(), current: Mutex::default() }
    }

    /// What can be told without a connection: that the names can be names, that there is a URL, that it can be read, and that somebody
    /// names the database.
    pub(super) fn check(&self, reader: &mut Reader<'_>, table: Option<&str>) {
        for (key, name) in [("database", self.name.as_deref()), ("table", table)] {
            if let Some(name) = name.filter(|name| !table::is_name(name)) {
                reader.refuse(key, wrong(key, &format!("`{}` is not a name of 1 to 64 characters", name.escape_debug())));
            }
        }
        self.check_url(reader);
    }

    fn check_url(&self, reader: &mut Reader<'_>) {
        let literal = match (&self.url, &self.context.database_url) {
            (Some(text), _) if secret::has_reference(text) => return,
            (Some(text), _) => Secret::new(text.as_str()),
            (None, Some(url)) => url.clone(),
            (None, None) => {
                let problem = Problem::new(503, "there is no database to write to")
                    .help("write url = \"mysql://user:${PASSWORD}@host:3306/database\"");
                return reader.refuse("url", problem);
            }
        };
        match options(&literal) {
            Err(_) => {
                let why = "this is not a database url; it reads mysql://user:${PASSWORD}@host:3306/database";
                reader.refuse("url", wrong("url", why));
            }
            Ok(opts) if self.name.is_none() && opts.db_name().is_none_or(str::is_empty) => {
                reader.refuse("database", Problem::new(503, "no setting names the database").help("write database = \"my_app\""));
            }
            Ok(_) => {}
        }
    }

    /// One attempt, within the time it may take.
    pub(super) async fn attempt(&self, write: impl Future<Output = Result<(), Fault>>) -> Attempt {
        match tokio::time::timeout(self.timeout, write).await {
            Ok(Ok(())) => Attempt::Done,
            Ok(Err(fault)) => fault.into_attempt(),
            Err(_) => Fault::transient(format!("E0524: the database did not answer within {:?}", self.timeout)).into_attempt(),
        }
    }

    /// The pool of the URL as it resolves now.
    pub(super) async fn target(&self) -> Result<Arc<Target>, Fault> {
        let url = match (&self.url, &self.context.database_url) {
            (Some(text), _) => {
                secret::resolve_url(text, &self.context.secrets).map_err(|why| Fault::transient(format!("E0506: {why}")))?
            }
            (None, Some(url)) => url.clone(),
            (None, None) => return Err(Fault::permanent("E0503: no database url".to_owned())),
        };
        let mut current = self.current.lock().await;
        if let Some(target) = current.as_ref().filter(|target| target.url == url) {
            return Ok(target.clone());
        }
        let opts = options(&url).map_err(Fault::permanent)?;
        let database =
            self.name.as_deref().or(opts.db_name()).ok_or_else(|| Fault::permanent("E0503: no database named".to_owned()))?;
        let target = Arc::new(Target { database: database.to_owned(), pool: Pool::new(opts), url, tables: Mutex::default() });
        *current = Some(target.clone());
        Ok(target)
    }
}

impl Target {
    pub(super) async fn connect(&self) -> Result<Conn, Fault> {
        self.pool.get_conn().await.map_err(|why| Fault::of(&why))
    }

    /// What is known of a table; `load` asks the catalogue and sets up what an action needs, once.
    pub(super) async fn table(&self, name: &str, load: impl Future<Output = Result<Table, Fault>>) -> Result<Arc<Table>, Fault> {
        let mut tables = self.tables.lock().await;
        if let Some(table) = tables.get(name) {
            return Ok(table.clone());
        }
        let table = Arc::new(load.await?);
        tables.insert(name.to_owned(), table.clone());
        Ok(table)
    }

    /// The catalogue is asked again at the next attempt.
    pub(super) async fn forget(&self, name: &str) {
        self.tables.lock().await.remove(name);
    }
}

/// Connection options of a URL; the error shows nothing of it. Affected rows are rows found, changed or not.
fn options(url: &Secret) -> Result<Opts, String> {
    let opts = Opts::from_url(url.reveal())
        .map_err(|_| "E0504: the database url is not valid; it reads mysql://user:${PASSWORD}@host:3306/database".to_owned())?;
    let pool = PoolOpts::default()
        .with_constraints(PoolConstraints::new(0, CONNECTIONS_MAX).expect("invariant: 0 is at most 8"))
        .with_inactive_connection_ttl(Duration::from_secs(60));
    let setup = SESSION.map(str::to_owned).to_vec();
    let opts = OptsBuilder::from_opts(opts).pool_opts(pool).setup(setup).client_found_rows(true);
    Ok(opts.tcp_nodelay(true).prefer_socket(false).into())
}
