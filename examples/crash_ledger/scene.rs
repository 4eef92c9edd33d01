//! Where it plays: a folder with the definition and the data directory, the binary, and what the checker must know.

use std::path::PathBuf;
use std::process::{Command, ExitStatus, Stdio};

use serde::{Deserialize, Serialize};
use tempfile::TempDir;
use thalweg_testkit::{Daemon, Ended};

use crate::receivers::{Receivers, SECRET};

/// The watched table, the writers' ledger beside it, and the sink's table. An entry of the ledger is written in the transaction that it
/// tells of; an order that is deleted has the amount NULL.
pub const TABLES: &str = "CREATE DATABASE shop; CREATE DATABASE book; CREATE DATABASE told;
CREATE TABLE shop.orders (id BIGINT PRIMARY KEY, amount INT NOT NULL);
CREATE TABLE book.ledger (n BIGINT AUTO_INCREMENT PRIMARY KEY, writer INT NOT NULL, nth BIGINT NOT NULL, order_id BIGINT NOT NULL, amount INT);
CREATE TABLE told.events (n BIGINT AUTO_INCREMENT PRIMARY KEY, id VARCHAR(26), order_id BIGINT, amount INT, version BIGINT);";

/// Above this an order is big.
pub const LIMIT: i64 = 100;

/// No order comes near it.
const NEVER: i64 = 1_000_000_000;

/// What the checker is told, and no more.
#[derive(Debug, Serialize, Deserialize)]
pub struct Facts {
    pub url: String,
    pub binary: PathBuf,
    pub kills: u64,
    pub seed: u64,
}

/// The folder, kept where something is wrong.
pub struct Scene {
    dir: TempDir,
    facts: Facts,
    config: String,
}

impl Scene {
    pub fn new(url: &str, receivers: &Receivers, kills: u64, seed: u64) -> Scene {
        let dir = tempfile::tempdir().expect("a temporary folder can be made");
        let facts = Facts { url: url.to_owned(), binary: built(), kills, seed };
        let written = serde_json::to_string(&facts).expect("facts are JSON");
        std::fs::write(dir.path().join("facts.json"), written).expect("the folder can be written");
        let scene = Scene { dir, config: config(url, receivers), facts };
        scene.configure(1, 0);
        scene
    }

    pub fn folder(&self) -> PathBuf {
        self.dir.path().to_owned()
    }

    /// Writes the definition, for so many workers, with that many fields and effects more, which never fire.
    pub fn configure(&self, workers: u64, spare: u64) {
        let fields: String = (0..spare).map(|n| format!("\"Order.spare{n}\" = \"amount * {n}\"\n")).collect();
        let effect = |n| {
            format!(
                "[[effect]]\nname = \"spare{n}\"\non = \"Order\"\nwhen = \"amount > {NEVER} && spare{n} > 0\"\nactions = [{{ type = \"log\", path = \"spare.log\" }}]\n"
            )
        };
        let effects: String = (0..spare).map(effect).collect();
        let text = format!("{}\n[engine]\nworkers = {workers}\n\n[fields]\n{fields}\n{effects}", self.config);
        std::fs::write(self.dir.path().join("thalweg.toml"), text).expect("the folder can be written");
    }

    pub fn thalweg(&self, args: &[&str]) -> Command {
        self.within(Command::new(&self.facts.binary), args)
    }

    /// The binary, started by another program.
    pub fn thalweg_by(&self, mut program: Command, args: &[&str]) -> Command {
        program.arg(&self.facts.binary);
        self.within(program, args)
    }

    fn within(&self, mut command: Command, args: &[&str]) -> Command {
        command.args(args).current_dir(&self.dir).env_clear().env("HOOK_SECRET", SECRET);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    pub fn run_until_idle(&self, seconds: &str) {
        Daemon::of(self.thalweg(&["run", "thalweg.toml", "--until-idle", seconds])).wait().well();
    }

    /// The checker, as a process of its own.
    pub fn check(&self) -> ExitStatus {
        // This program as it was started, even where its file has been built anew since.
        Command::new("/proc/self/exe").arg("check").arg(self.dir.path()).status().expect("the checker runs")
    }
}

/// A daemon that was struck ended by the blow. By itself it ends where a sync failed, and where a start finds no room.
pub fn assert_struck(ended: &Ended, kill: u64) {
    use std::os::unix::process::ExitStatusExt;
    let gave_up = matches!(ended.status.code(), Some(1 | 4)) && ["E0606", "E0608"].iter().any(|code| ended.said.contains(code));
    assert!(
        gave_up || ended.status.signal() == Some(9),
        "before kill {kill} it ended by itself, {}:\n{}",
        ended.status,
        ended.said
    );
}

/// The binary that `THALWEG_BINARY` names, else the one beside this program, which is built.
fn built() -> PathBuf {
    if let Some(binary) = std::env::var_os("THALWEG_BINARY") {
        return binary.into();
    }
    let own = std::env::current_exe().expect("a program knows its path");
    let folder = own.ancestors().nth(2).expect("an example lies two folders below its profile's").to_owned();
    let mut cargo = Command::new(option_env!("CARGO").unwrap_or("cargo"));
    cargo.args([
        "build",
        "--quiet",
        "--bin",
        "thalweg",
        "--example",
        "crash_ledger",
        "--manifest-path",
        concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"),
    ]);
    if folder.ends_with("release") {
        cargo.arg("--release");
    }
    assert!(cargo.status().expect("cargo runs").success(), "the binary cannot be built");
    folder.join("thalweg")
}

fn config(url: &str, receivers: &Receivers) -> String {
    let hook = |url: String| {
        format!(
            "{{ type = \"webhook\", url = \"{url}\", secret = \"${{HOOK_SECRET}}\", backoff = \"20ms..100ms\", retries = 1000000 }}"
        )
    };
    let (idempotent, naive, hostile) =
        (hook(receivers.idempotent.url()), hook(receivers.naive.url()), hook(receivers.hostile.url()));
    let insert = "{ type = \"sql-insert\", database = \"told\", table = \"events\", backoff = \"20ms..100ms\", retries = 1000000, \
                  columns = { id = \"{id}\", order_id = \"{payload.id}\", amount = \"{payload.amount}\", version = \"{version}\" } }";
    format!(
        r#"
[egress]
allow = ["127.0.0.0/8"]

[http]
listen = "127.0.0.1:0"

[[source]]
name = "shop"
kind = "mysql"
url = "{url}"
tables = ["shop.orders"]

[[table]]
name = "Order"
from = "shop.orders"

[[effect]]
name = "big"
on = "Order"
when = "amount > {LIMIT}"
payload = ["id", "amount"]
actions = [{idempotent}, {naive}, {hostile}, {insert}]

[[effect]]
name = "asked"
on = "Order"
when = "amount > {LIMIT}"
mode = "ack"
ack = {{ timeout = "100ms", retries = 1000000 }}
actions = [{idempotent}]

[[effect]]
name = "merged"
on = "Order"
when = "amount > {LIMIT}"
kind = "boolean"
actions = [{idempotent}]
"#
    )
}
