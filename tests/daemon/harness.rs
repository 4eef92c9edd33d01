//! A daemon in a folder of its own, and the receivers it sends to.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use tempfile::TempDir;
use thalweg_graph::ports::{OutboxCounts, Store};
use thalweg_sinks::receiver::Receiver;
use thalweg_store::{OutboxReader, SqliteStore, StoreConfig};
pub use thalweg_testkit::{Daemon, Ended, until};
use thalweg_testkit::{MariaDb, Server, require};
use tokio::runtime::Runtime;

/// What signs the webhooks of these tests.
pub const SECRET: &str = "whsec_dGhhbHdlZy1kYWVtb24tdGVzdHMta2V5LTAwMDE=";

/// Where receivers and writers live.
pub fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap())
}

/// A receiver on any free port that verifies [`SECRET`].
pub fn receiver() -> Receiver {
    receiver_at("127.0.0.1:0", SECRET)
}

pub fn receiver_at(address: &str, secret: &str) -> Receiver {
    runtime().block_on(Receiver::start(address, secret)).expect("a loopback port can be had")
}

/// A folder with a configuration, where the daemon keeps its data.
pub struct Home {
    dir: TempDir,
    env: Vec<(String, String)>,
}

impl Home {
    pub fn new(config: &str) -> Home {
        let dir = tempfile::tempdir().expect("a temporary folder can be made");
        let home = Home { dir, env: vec![("HOOK_SECRET".into(), SECRET.into())] };
        home.configure(config);
        home
    }

    pub fn configure(&self, config: &str) {
        std::fs::write(self.path("thalweg.toml"), config).expect("the configuration can be written");
    }

    pub fn env(mut self, name: &str, value: &str) -> Home {
        self.env.push((name.into(), value.into()));
        self
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The store, while no daemon runs. It recovers as the daemon would, and leaves nothing to recover.
    pub fn store(&self) -> SqliteStore {
        SqliteStore::open(&self.path(".thalweg"), StoreConfig::default()).expect("the store opens")
    }

    /// The secret of the instance, also while a daemon runs.
    pub fn store_secret(&self) -> String {
        OutboxReader::open(&self.path(".thalweg")).expect("the store can be read").instance_secret().to_owned()
    }

    /// The outbox's counts, after their conservation was checked.
    pub fn counts(&self) -> OutboxCounts {
        let counts = self.store().outbox_counts().expect("the outbox can be counted");
        assert_eq!(counts.fired, counts.acked + counts.dead + counts.cancelled + counts.pending, "{counts:?}");
        counts
    }

    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_thalweg"));
        command.args(args).current_dir(&self.dir).env_clear().envs(self.env.iter().cloned());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// A daemon that runs until it is told to stop.
    pub fn start(&self) -> Daemon {
        Daemon::of(self.command(&["run", "thalweg.toml"]))
    }

    /// A daemon that follows its sources live.
    pub fn start_live(&self) -> Daemon {
        let daemon = self.start();
        daemon.until_said(": live");
        daemon
    }

    /// A run to where nothing moves any more.
    pub fn run_until_idle(&self, seconds: &str) -> Ended {
        Daemon::of(self.command(&["run", "thalweg.toml", "--until-idle", seconds])).wait()
    }
}

/// A source of one shop table, egress to this machine, a small table of orders, and an effect for big ones.
pub fn shop(url: &str, actions: &str) -> String {
    format!(
        r#"
[egress]
allow = ["127.0.0.0/8"]

[[source]]
name = "shop"
kind = "mysql"
url = "{url}"
tables = ["shop.orders"]

[[table]]
name = "Order"
from = "shop.orders"

[fields]
"Order.big" = "amount > 100"

[[effect]]
name = "big"
on = "Order"
when = "big"
payload = ["id", "amount"]
actions = [{actions}]
"#
    )
}

/// A server with the table behind [`shop`]; `None`, and the reason is said, where no server can be had.
pub fn shop_server() -> Option<MariaDb> {
    require().then(|| {
        let server = MariaDb::start();
        server.exec(SHOP);
        server
    })
}

/// Throws all of the log away but its last file. The server keeps a file until its engine has done with it, which takes a moment.
pub fn purge(server: &Server) {
    until("the old logs to go", || {
        let last = server.query("SHOW BINARY LOGS").last().expect("there is a log")[0].clone();
        server.exec(&format!("PURGE BINARY LOGS TO '{last}'"));
        server.query("SHOW BINARY LOGS").len() == 1
    });
}

/// The table behind [`shop`].
pub const SHOP: &str = "CREATE DATABASE shop; CREATE TABLE shop.orders (id INT PRIMARY KEY, amount INT NOT NULL)";

/// A signed webhook that is tried again quickly.
pub fn webhook(receiver: &Receiver) -> String {
    webhook_to(&receiver.url())
}

pub fn webhook_to(url: &str) -> String {
    format!("{{ type = \"webhook\", url = \"{url}\", secret = \"${{HOOK_SECRET}}\", backoff = \"50ms..200ms\" }}")
}
