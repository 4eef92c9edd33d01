//! A source that runs, and what it delivers, in order.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use thalweg_formulas::Value;
use thalweg_graph::ports::{BoxFuture, Outlet, SourceMessage, SourceStatus};
use thalweg_graph::transaction::Body;
use thalweg_graph::{Change, Op, Schema, Transaction};
use thalweg_sources::mysql::{Grade, MysqlConfig, MysqlSource, Stands, examine};
use thalweg_testkit::{MariaDb, Server};
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

/// How long anything may take before a test fails.
const PATIENCE: Duration = Duration::from_secs(30);

/// How to go on where the log has nothing to go on with.
pub const ANEW: &str = "start with a new data directory to read the tables anew";

/// A server that all tests share; each has its own database on it.
pub fn shared() -> &'static MariaDb {
    static SERVER: OnceLock<MariaDb> = OnceLock::new();
    SERVER.get_or_init(MariaDb::start)
}

pub fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap())
}

struct Collect(Mutex<Sender<SourceMessage>>);

impl Outlet for Collect {
    fn send(&self, message: SourceMessage) -> BoxFuture<'_, bool> {
        let sent = self.0.lock().unwrap().send(message).is_ok();
        Box::pin(std::future::ready(sent))
    }
}

/// An outlet, and what comes out of it.
pub fn outlet() -> (Arc<dyn Outlet>, Receiver<SourceMessage>) {
    let (sender, messages) = channel();
    (Arc::new(Collect(Mutex::new(sender))), messages)
}

/// A source that runs. Dropping it ends it.
pub struct Running {
    messages: Receiver<SourceMessage>,
    task: JoinHandle<()>,
    /// Statuses so far.
    pub statuses: Vec<SourceStatus>,
    pub schemas: Vec<Arc<Schema>>,
    /// The last position that came.
    pub position: Option<String>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The usual settings with a short heartbeat.
pub fn config(url: &str, tables: &[&str]) -> MysqlConfig {
    let mut config = MysqlConfig::new("test", url);
    config.tables = tables.iter().map(ToString::to_string).collect();
    config.heartbeat = Duration::from_millis(300);
    config
}

pub fn start(config: MysqlConfig, position: Option<&str>) -> Running {
    let (outlet, messages) = outlet();
    let task = runtime().spawn(MysqlSource::new(config).run(position.map(String::from), outlet));
    Running { messages, task, statuses: Vec::new(), schemas: Vec::new(), position: position.map(String::from) }
}

/// A source of whatever answers at the URL that has taken its snapshot and is live.
pub fn follow(url: &str, tables: &[&str]) -> Running {
    let mut source = start(config(url, tables), None);
    source.transaction();
    source.until_live();
    source
}

/// The text with which a source stops.
pub fn stop(config: MysqlConfig, position: Option<&str>) -> String {
    start(config, position).stopped()
}

/// What is found on a server, on a line each: `ok binlog_format ROW`.
pub fn findings(config: &MysqlConfig) -> Vec<String> {
    let examined = runtime().block_on(examine(config, Stands::Unknown));
    let grade = |grade| match grade {
        Grade::Ok => "ok",
        Grade::Warn => "warn",
        Grade::Bad => "bad",
    };
    examined.findings.iter().map(|f| format!("{} {} {}", grade(f.grade), f.name, f.found)).collect()
}

/// Looks again and again until something holds; for what nobody tells.
pub fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !holds() {
        assert!(begin.elapsed() < PATIENCE, "{what} never came");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Has a server delete its log before a file. It keeps a file until its engine has done with it, which takes a moment.
pub fn purge_to(server: &Server, file: &str) {
    eventually("the end of older files", || {
        server.exec(&format!("PURGE BINARY LOGS TO '{file}'"));
        server.query("SHOW BINARY LOGS")[0][0] == file
    });
}

impl Running {
    fn note(&mut self, message: SourceMessage) -> Option<Transaction> {
        match message {
            SourceMessage::Schemas(new) => {
                self.schemas.retain(|old| new.iter().all(|n| n.table != old.table));
                self.schemas.extend(new);
            }
            SourceMessage::Status(status) => self.statuses.push(status),
            SourceMessage::Position(position) => self.position = Some(position.to_string()),
            SourceMessage::Transaction(transaction, position) => {
                self.position = Some(position.to_string());
                return Some(transaction);
            }
            SourceMessage::End => {}
        }
        None
    }

    fn receive(&mut self, what: &str) -> Option<Transaction> {
        match self.messages.recv_timeout(PATIENCE) {
            Ok(message) => self.note(message),
            Err(error) => panic!("waiting for {what}: {error}; statuses: {:?}", self.statuses),
        }
    }

    /// The next message; the transaction, if it is one.
    pub fn any(&mut self, what: &str) -> Option<Transaction> {
        self.receive(what)
    }

    /// The next transaction.
    pub fn transaction(&mut self) -> Transaction {
        let begin = Instant::now();
        loop {
            assert!(begin.elapsed() < PATIENCE, "waiting for a transaction; statuses: {:?}", self.statuses);
            if let Some(transaction) = self.receive("a transaction") {
                return transaction;
            }
        }
    }

    /// Waits for a status.
    pub fn until(&mut self, what: &str, wanted: impl Fn(&SourceStatus) -> bool) -> SourceStatus {
        let mut seen = self.statuses.len();
        let begin = Instant::now();
        loop {
            assert!(begin.elapsed() < PATIENCE, "waiting for {what}; statuses: {:?}", self.statuses);
            let transaction = self.receive(what);
            assert!(transaction.is_none(), "a transaction while waiting for {what}: {transaction:?}");
            if self.statuses.len() > seen {
                seen = self.statuses.len();
                let last = self.statuses.last().unwrap();
                if wanted(last) {
                    return last.clone();
                }
            }
        }
    }

    pub fn until_live(&mut self) {
        self.until("live", |s| *s == SourceStatus::Live(true));
    }

    /// The text of the stop.
    pub fn stopped(&mut self) -> String {
        match self.until("a stop", |s| matches!(s, SourceStatus::Stopped(_))) {
            SourceStatus::Stopped(text) => text,
            _ => unreachable!(),
        }
    }

    /// The last position without the transaction that it is behind, whose time no test knows.
    pub fn stand(&self) -> String {
        let position = self.position.as_deref().unwrap_or("none");
        let Some((place, latest)) = position.split_once(";latest=") else { return position.to_string() };
        latest.split_once(';').map_or_else(|| place.to_string(), |(_, tables)| format!("{place};{tables}"))
    }

    /// Waits until the position is `wanted`, and fails if a transaction comes before.
    pub fn until_position(&mut self, wanted: &str) {
        let came = self.all_until_position(wanted);
        assert!(came.is_empty(), "{came:?}");
    }

    /// Waits until the position is `wanted`: the transactions that came before.
    pub fn all_until_position(&mut self, wanted: &str) -> Vec<Transaction> {
        let (begin, mut came) = (Instant::now(), Vec::new());
        while self.stand() != wanted {
            assert!(begin.elapsed() < PATIENCE, "waiting for {wanted}, at {:?}; statuses: {:?}", self.position, self.statuses);
            came.extend(self.receive("a position"));
        }
        came
    }

    /// Fails if a transaction comes within `time`.
    pub fn nothing_for(&mut self, time: Duration) {
        match self.messages.recv_timeout(time) {
            Err(RecvTimeoutError::Timeout) => {}
            Ok(message) => {
                let transaction = self.note(message);
                assert!(transaction.is_none(), "{transaction:?}");
            }
            Err(error) => panic!("{error}"),
        }
    }
}

/// The changes of a transaction, snapshot or not.
pub fn changes(transaction: &Transaction) -> &[Change] {
    match &transaction.body {
        Body::Changes(changes) | Body::Fill(changes) => changes,
        Body::Spilled(spill) => panic!("{spill:?}"),
        Body::Timer(timer) => panic!("{timer:?}"),
    }
}

/// The first columns of the rows that a transaction inserts.
pub fn ids(transaction: &Transaction) -> Vec<i64> {
    changes(transaction).iter().map(id).collect()
}

/// The first column of the row that a change leaves.
pub fn id(change: &Change) -> i64 {
    match change.after.as_ref().unwrap()[0] {
        Some(Value::Int(id)) => id,
        ref other => panic!("{other:?}"),
    }
}

/// A transaction on one line: `0-1-5: +orders(1, "new") ~orders(1, "new" -> 1, "paid") -orders(1, "paid")`.
pub fn line(transaction: &Transaction) -> String {
    let row = |row: &Option<thalweg_graph::Row>| {
        let cell = |cell: &Option<Value>| cell.as_ref().map_or_else(|| "absent".to_string(), show);
        row.as_ref().map(|r| r.iter().map(cell).collect::<Vec<_>>().join(", ")).unwrap_or_default()
    };
    let change = |c: &Change| {
        let table = c.schema.table.rsplit('.').next().unwrap();
        match c.op {
            Op::Insert => format!(" +{table}({})", row(&c.after)),
            Op::Update => format!(" ~{table}({} -> {})", row(&c.before), row(&c.after)),
            Op::Delete => format!(" -{table}({})", row(&c.before)),
            Op::Upsert => panic!("no upserts in a log"),
        }
    };
    let kind = if matches!(transaction.body, Body::Fill(_)) { " fill" } else { "" };
    let all: String = changes(transaction).iter().map(change).collect();
    format!("{}:{kind}{all}", transaction.origin)
}

/// A value with its type to be seen.
pub fn show(value: &Value) -> String {
    match value {
        Value::Null => "NULL".into(),
        Value::Bool(x) => x.to_string(),
        Value::Int(x) => x.to_string(),
        Value::Uint(x) => format!("{x}u"),
        Value::Double(x) => format!("{x:?}"),
        Value::Decimal(x) => format!("{x}d"),
        Value::Text(x) => format!("{x:?}"),
        Value::Bytes(x) => format!("x{}", x.iter().map(|b| format!("{b:02x}")).collect::<String>()),
        Value::Timestamp(t) => format!("@{}", t.0),
        Value::Duration(d) => format!("{}us", d.0),
        Value::List(items) => format!("[{}]", items.iter().map(show).collect::<Vec<_>>().join(",")),
        Value::Map(map) => {
            format!("{{{}}}", map.iter().map(|(k, v)| format!("{}:{}", show(k), show(v))).collect::<Vec<_>>().join(","))
        }
        other => format!("{other:?}"),
    }
}
