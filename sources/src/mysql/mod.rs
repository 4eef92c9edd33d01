//! A MariaDB, MySQL or Dolt server as a source: an initial snapshot, then its binary log, transaction by transaction.
//!
//! ```no_run
//! use thalweg_sources::mysql::{MysqlConfig, MysqlSource};
//!
//! let mut config = MysqlConfig::new("shop", "mysql://reader:secret@db.example/shop");
//! config.tables = vec!["shop.orders".into(), "shop.item*".into()];
//! let source = MysqlSource::new(config);
//! ```
//!
//! The life of a connection: connect and ask what kind of server it is (`connect`), check its settings (`check`), read the layout of the
//! watched tables (`catalog`), take the snapshot if there is no position yet (`snapshot`, over a view that `view` and `dolt` open as the
//! server allows it), then stream (`stream`, over a `dump`, which is a `wire` of our own or the library's); `follow` starts over with
//! backoff when it breaks, or reads the tables anew. A position also says which tables it is of (`extent`): one that is added is read in
//! beside the stream (`added`; how the two meet: `fill`; its rows: `chunk`).
//!
//! Invariants:
//! - MYSQL-1: what the outlet gets is one sequence of whole transactions, each once, whatever breaks; after a restart it goes on behind
//!   the position that it was given.
//! - MYSQL-2: nothing of the log is skipped. What cannot be followed exactly stops the source with one text: code, reason, cure; or, where
//!   the settings allow it, the tables are read anew and take the place of what the receiver has.
//! - MYSQL-3: no password and no URL appears in any text.

mod added;
mod cascades;
mod catalog;
mod check;
mod chunk;
mod connect;
mod dolt;
mod dump;
mod estimate;
mod examine;
mod extent;
mod failure;
mod fill;
mod finding;
mod follow;
mod grants;
mod history;
mod pause;
mod share;
mod snapshot;
mod stream;
mod target;
mod view;
mod wire;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use thalweg_graph::ports::{BoxFuture, Outlet, Source};

use crate::binlog::Spooling;
pub use dolt::place::{Commit, CommitPlace, PlaceError};
pub use examine::{Examined, Stands, examine};
pub use extent::place;
pub use finding::{Finding, Grade};
pub use share::Share;
pub use target::{Target, examine_targets};

/// When the rows that are already there are read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Snapshot {
    /// At the first start, when there is no position.
    #[default]
    Initial,
    /// Not at all: the first start begins with what happens from then on.
    Never,
    /// At every start, whatever the position says: for an engine that starts empty each time, without a store.
    Always,
}

/// What the rows of a snapshot cause.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SnapshotEffects {
    /// They set state and fire nothing.
    #[default]
    Suppress,
    /// They count as inserted now.
    Fire,
}

/// What happens when the server no longer has the log behind the position.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AfterPurge {
    /// The source stops and says what is missing.
    #[default]
    Stop,
    /// The tables are read anew, and what has become of each row in between counts as one change. Needs [`MysqlConfig::clears`].
    Snapshot,
}

/// How the commits of a Dolt server are followed in place of its log: by asking for them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Polling {
    /// The branch; `None`: the one that the server's sessions begin on.
    pub branch: Option<String>,
    /// How often the branch is looked at. From 10 ms to 1 h.
    pub every: Duration,
}

impl Default for Polling {
    /// The server's own branch, each second.
    fn default() -> Self {
        Polling { branch: None, every: Duration::from_secs(1) }
    }
}

/// How the connection is secured.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Tls {
    /// As the url says: `?require_ssl=true`, else not at all.
    #[default]
    AsUrl,
    /// TLS, with the server's certificate verified.
    Verified {
        /// A file with the certificates of the authorities to trust, in PEM; without, the public ones.
        ca: Option<PathBuf>,
        /// The name in the certificate, where it is not the url's host.
        server_name: Option<String>,
    },
    /// TLS, whoever answers: safe from eavesdroppers, not from impostors.
    Unverified,
}

/// The settings of a source.
#[derive(Clone)]
pub struct MysqlConfig {
    /// The source's name in the configuration.
    pub name: String,
    /// `mysql://user:password@host:port/database?options`, with the options of mysql_async (`require_ssl`, `ssl_ca`, …). Of Dolt also
    /// `…/database/branch`, which is polled.
    pub url: String,
    /// How the connection is secured.
    pub tls: Tls,
    /// The id by which the server knows this reader, unique among its replicas; `None`: a random one for each process.
    pub server_id: Option<u32>,
    /// `db.table` with `*` and `?`; without a dot in the URL's database; empty: all tables of that database.
    pub tables: Vec<String>,
    /// Whether to read the rows that are there.
    pub snapshot: Snapshot,
    /// What they cause.
    pub snapshot_effects: SnapshotEffects,
    /// The receiver understands [`Change::clear`](thalweg_graph::Change::clear). Then TRUNCATE and DROP are one, after RENAME and the like
    /// the tables are read anew, and a snapshot comes in pieces of some ten thousand rows; else those statements stop the source, and a
    /// snapshot is one transaction.
    pub clears: bool,
    /// The snapshot is one transaction even so: something counts its steps, as a field that refers to itself does.
    pub in_one: bool,
    /// Tables, named as in `tables`, that the receiver holds without a key, whatever key they have here: they are read as a whole.
    pub keyless: Vec<String>,
    /// What to do when the log behind the position is gone; of commits, when the last one is not in the branch's history any more.
    pub after_purge: AfterPurge,
    /// Commits are followed, not the log; only Dolt has them.
    pub polling: Option<Polling>,
    /// How often an idle server says that it is alive; after three of them without a byte the connection is given up. From 0.1 s to 1 h.
    pub heartbeat: Duration,
    /// Where sources of one server come together on one replication connection, once they have caught up; `None`: this one stays alone.
    pub share: Option<Share>,
    /// Where the rows of very large transactions wait, and what very large is.
    pub spooling: Spooling,
}

impl MysqlConfig {
    /// The usual settings: all tables of the URL's database, an initial snapshot that fires nothing, a heartbeat each 5 seconds; where the
    /// URL names a branch, its commits.
    pub fn new(name: impl Into<String>, url: impl Into<String>) -> MysqlConfig {
        let url = url.into();
        MysqlConfig {
            name: name.into(),
            polling: branch_in(&url).map(|branch| Polling { branch: Some(branch), ..Polling::default() }),
            url,
            tls: Tls::default(),
            server_id: None,
            tables: Vec::new(),
            snapshot: Snapshot::default(),
            snapshot_effects: SnapshotEffects::default(),
            clears: false,
            in_one: false,
            keyless: Vec::new(),
            after_purge: AfterPurge::default(),
            heartbeat: Duration::from_secs(5),
            share: None,
            spooling: Spooling::default(),
        }
    }
}

/// The branch in a URL of a database's branch, `mysql://host/database/branch`; it may have slashes of its own.
fn branch_in(url: &str) -> Option<String> {
    let (_, path) = url.split_once("://")?.1.split_once('/')?;
    let (_, branch) = path.split(['?', '#']).next()?.split_once('/')?;
    Some(branch.to_string()).filter(|branch| !branch.is_empty())
}

/// Everything but the URL, which holds the password.
impl fmt::Debug for MysqlConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MysqlConfig")
            .field("name", &self.name)
            .field("tls", &self.tls)
            .field("server_id", &self.server_id)
            .field("tables", &self.tables)
            .field("snapshot", &self.snapshot)
            .field("snapshot_effects", &self.snapshot_effects)
            .field("clears", &self.clears)
            .field("in_one", &self.in_one)
            .field("keyless", &self.keyless)
            .field("after_purge", &self.after_purge)
            .field("polling", &self.polling)
            .field("heartbeat", &self.heartbeat)
            .field("spooling", &self.spooling)
            .finish_non_exhaustive()
    }
}

/// The source. It runs on the tokio runtime that polls it.
#[derive(Debug)]
pub struct MysqlSource {
    config: MysqlConfig,
}

impl MysqlSource {
    /// A source with these settings; nothing is connected before it runs, and wrong settings come as a `Stopped` status then.
    #[expect(clippy::new_ret_no_self, reason = "sources are used through their port")]
    pub fn new(config: MysqlConfig) -> Box<dyn Source> {
        Box::new(MysqlSource { config })
    }
}

impl Source for MysqlSource {
    fn name(&self) -> &str {
        &self.config.name
    }

    fn run(self: Box<Self>, position: Option<String>, outlet: Arc<dyn Outlet>) -> BoxFuture<'static, ()> {
        match self.config.polling.clone() {
            None => Box::pin(follow::run(self.config, position, outlet)),
            Some(polling) => Box::pin(dolt::poll::run(self.config, polling, position, outlet)),
        }
    }
}
