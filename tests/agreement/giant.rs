//! A transaction that is too large to be held, through the real runtime into the store on disk and back: one epoch, all or nothing, and
//! memory that does not grow with it beyond what its rows take.
//!
//! `THALWEG_GIANT_ROWS=5000000 cargo test --release --test agreement -- giant --nocapture` prints the figures for five million.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use thalweg::config::{Config, Environment, SourceText};
use thalweg::runtime::clock::SystemClock;
use thalweg::runtime::deliveries::Hatch;
use thalweg::runtime::recover::recover;
use thalweg::runtime::{RunError, Setup, SourceSetup, launch, start, status::Report};
use thalweg_formulas::{Timestamp, Type, Value};
use thalweg_graph::ports::{BoxFuture, Outlet, Source, SourceMessage, SourceStatus, Store};
use thalweg_graph::transaction::{Body, Op, PART, SchemaColumn, Spill};
use thalweg_graph::{Change, GraphSpec, Schema, Transaction, planning};
use thalweg_sinks::{Secret, SinkContext};
use thalweg_store::SqliteStore;
use tokio::sync::watch;

/// How long a run may take: five million rows in a build without optimization.
const PATIENCE: Duration = Duration::from_secs(900);

/// What may be held besides the rows.
const BESIDES: u64 = 256 << 20;

const DEFINITION: &str = r#"
[[table]]
name = "T"
from = "db.t"
key = ["id"]
columns = { id = "int", v = "int" }

[fields]
"T.twice" = "v * 2"

[[effect]]
name = "seventh"
on = "T"
when = "v == 77"
actions = [{ type = "log" }]
"#;

fn spec() -> GraphSpec {
    Config::parse(SourceText::new("giant.toml", DEFINITION), &Environment::default()).expect("the configuration is right").spec
}

fn schema() -> Arc<Schema> {
    let column = |name: &str| SchemaColumn::new(name.into(), Type::Int);
    Arc::new(Schema { table: "db.t".into(), columns: vec![column("id"), column("v")], key: vec![0] })
}

/// Inserts of (1, 11), (2, 22), …, made as they are read; perhaps with an error behind so many.
#[derive(Debug)]
struct Rows {
    schema: Arc<Schema>,
    rows: i64,
    breaks_at: Option<i64>,
}

impl Spill for Rows {
    fn changes(&self) -> u64 {
        self.rows as u64
    }

    fn read(&self, each: &mut dyn FnMut(Vec<Change>) -> bool) -> Result<(), String> {
        let insert = |id: i64| {
            let after = Some([Value::Int(id), Value::Int(id * 11)].map(Some).into());
            Change { schema: self.schema.clone(), op: Op::Insert, key: None, before: None, after }
        };
        for first in (1..=self.rows).step_by(PART) {
            if self.breaks_at.is_some_and(|at| first > at) {
                return Err("E0499: the file is gone; start again".into());
            }
            if !each((first..(first + PART as i64).min(self.rows + 1)).map(insert).collect()) {
                break;
            }
        }
        Ok(())
    }
}

/// A small transaction, the large one, and a small one again.
struct Three(Rows);

impl Source for Three {
    fn name(&self) -> &str {
        "db"
    }

    fn run(self: Box<Self>, position: Option<String>, outlet: Arc<dyn Outlet>) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            let schema = self.0.schema.clone();
            let small = |id: i64| {
                let after = Some([Value::Int(id), Value::Int(0)].map(Some).into());
                Body::Changes(vec![Change { schema: schema.clone(), op: Op::Insert, key: None, before: None, after }])
            };
            outlet.send(SourceMessage::Schemas(vec![schema.clone()])).await;
            let after = position.and_then(|position| position.parse().ok()).unwrap_or(0);
            let bodies = [small(-1), Body::Spilled(Arc::new(self.0)), small(-2)];
            for (n, body) in (1..).zip(bodies).skip(after) {
                let at = Timestamp(n * 1_000_000);
                let transaction = Transaction { source: "db".into(), origin: format!("0-1-{n}").into(), at, body };
                outlet.send(SourceMessage::Transaction(transaction, n.to_string().into())).await;
            }
            outlet.send(SourceMessage::Status(SourceStatus::Live(true))).await;
            outlet.send(SourceMessage::End).await;
        })
    }
}

/// Runs until all three are committed, or until it ends badly; `then` sees the process before it stops.
fn run(folder: &Path, rows: Rows, workers: usize, then: impl FnOnce(&Report)) -> Result<Report, RunError> {
    let spec = spec();
    let store = SqliteStore::open(folder, launch::store_config(&spec)).expect("the store opens");
    let (stop, stopped) = watch::channel(false);
    let setup = Setup {
        spec,
        sources: vec![SourceSetup { source: Box::new(Three(rows)), announces: true }],
        store: Box::new(store),
        directory: PathBuf::new(),
        sinks: SinkContext::new(Secret::new("none")),
        workers,
        snapshot_every: u64::MAX,
        listen: None,
        until_idle: None,
        clock: Arc::new(SystemClock),
        stop: stopped,
        hatch: Hatch::default(),
        reread: None,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let running = start(setup).await?;
        let begin = Instant::now();
        let mut changed = running.board.changed();
        loop {
            let report = running.board.read();
            if report.committed == 3 && report.outbox.acked == 1 {
                then(&report);
                break;
            }
            assert!(begin.elapsed() < PATIENCE, "it takes too long: {report:?}");
            match tokio::time::timeout(Duration::from_millis(50), changed.changed()).await {
                Ok(Err(_)) => break,
                _ if running.is_finished() => break,
                _ => {}
            }
        }
        stop.send_replace(true);
        running.wait().await
    })
}

/// A figure of `/proc/self/status`, in bytes.
fn memory(name: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|line| line.trim_matches([':', ' ', '\t', 'k', 'B']).parse::<u64>().ok()).unwrap_or(0) << 10
}

fn rows_asked() -> i64 {
    std::env::var("THALWEG_GIANT_ROWS").ok().and_then(|rows| rows.parse().ok()).unwrap_or(150_000)
}

#[test]
fn src_15_a_giant_transaction_is_one_epoch_in_little_more_memory_than_its_rows() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let rows = rows_asked();
    let before = memory("VmRSS");
    let begin = Instant::now();
    let (mut peak, mut after) = (0, 0);
    let made = Rows { schema: schema(), rows, breaks_at: None };
    let report = run(folder.path(), made, 1, |report| {
        (peak, after) = (memory("VmHWM"), memory("VmRSS"));
        assert_eq!((report.totals.transactions, report.totals.changes), (3, rows as u64 + 2), "every row of it is one epoch");
        assert_eq!((report.outbox.fired, report.outbox.acked), (1, 1));
    });
    let took = begin.elapsed();
    report.expect("the run ends well");

    let spec = spec();
    let plan = Arc::new(planning::plan(&spec, &[schema()]).expect("the definition is right").0);
    let mut store = SqliteStore::open(folder.path(), launch::store_config(&spec)).expect("the store opens");
    let mut recovered = recover(plan, 1, &mut store).expect("the store is readable");
    let engine = recovered.engine();
    let last = engine.read("T.twice", &[Value::Int(rows)]);
    assert_eq!((engine.epoch(), last), (3, Some(Ok(Value::Int(rows * 22)))));
    let resident: u64 = engine.stats().iter().map(|node| node.state_bytes).sum();
    let mib = |bytes: u64| bytes >> 20;
    println!(
        "{rows} rows in {took:?}: RSS {} MiB before, {} at its peak, {} after; the rows take {}; beside them {} at most",
        mib(before),
        mib(peak),
        mib(after),
        mib(resident),
        mib(peak.saturating_sub(resident))
    );
    assert!(peak > 0 && peak < resident + BESIDES, "{} MiB beside the rows", mib(peak.saturating_sub(resident)));
}

#[test]
fn src_15_a_giant_transaction_that_cannot_be_read_leaves_nothing_and_comes_again() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let rows = |breaks_at| Rows { schema: schema(), rows: 30_000, breaks_at };
    let ended = run(folder.path(), rows(Some(20_000)), 1, |_| panic!("it cannot be committed")).expect_err("it cannot go on");
    assert_eq!(ended.to_string(), "source `db` stopped: E0499: the file is gone; start again");
    let mut store = SqliteStore::open(folder.path(), launch::store_config(&spec())).expect("the store opens");
    let recovered = store.recovered();
    assert_eq!((recovered.epoch, recovered.positions), (1, vec![("db".into(), "1".into())]));
    let mut epochs = Vec::new();
    store.replay(0, &mut |epoch, _| epochs.push(epoch)).expect("the log is readable");
    assert_eq!(epochs, [1]);
    drop(store);
    let again = run(folder.path(), rows(None), 2, |report| assert_eq!(report.totals.changes, 30_001)).expect("the run ends well");
    assert_eq!((again.committed, again.outbox.fired), (3, 1));
}
