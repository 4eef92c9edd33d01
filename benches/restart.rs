//! Question: how long does a start take that finds its store full?
//!
//! A log of single-row transactions of five columns is written, then a snapshot. A start reads the snapshot into a new engine and replays the
//! log behind it; each is timed by itself, reading alone and into an engine with one derived field. Expected: 1 million rows a second from the log,
//! 20 million from the snapshot; into the engine, what the engine takes. All on one thread, the disk's cache warm. No peer keeps both
//! a log and a snapshot; the floor is a differential arrangement's batch read back, 40 million narrow rows a second.
//!
//! `cargo bench -p thalweg-benches --bench restart [-- --quick]`

use thalweg_benches::clock::{cpu_ns_of, median};
use thalweg_benches::graphs::{Doc, double, engine};
use thalweg_benches::{Effort, Table, Target, Unit};
use thalweg_engine::Engine;
use thalweg_formulas::{Timestamp, Value};
use thalweg_graph::Transaction;
use thalweg_graph::ports::{CommitBatch, Store};
use thalweg_graph::state::EngineState;
use thalweg_graph::transaction::Body;
use thalweg_store::{SqliteStore, StoreConfig};

/// Transactions to a commit.
const BATCH: u64 = 10_000;

fn doc() -> Doc {
    Doc::new("orders", &[("id", "int"), ("customer", "int"), ("qty", "int"), ("price", "double"), ("at", "timestamp")])
}

fn quantity(n: u64) -> i64 {
    (n % 89) as i64 + 1
}

fn price(n: u64) -> f64 {
    (n % 997) as f64 / 8.0
}

fn transaction(doc: &Doc, n: u64) -> Transaction {
    let at = Timestamp(1_700_000_000_000_000 + n as i64 * 1_357);
    let row = [
        Value::Int(n as i64),
        Value::Int((n % 5_003) as i64),
        Value::Int(quantity(n)),
        Value::Double(price(n)),
        Value::Timestamp(at),
    ];
    let body = Body::Changes(vec![doc.insert(row)]);
    Transaction { source: "shop".into(), origin: format!("0-1-{n}").into(), at, body }
}

fn new_engine() -> Engine {
    engine(&[&doc()], &[("orders.total", "price * qty")])
}

fn write_log(store: &mut SqliteStore, rows: u64) {
    let doc = doc();
    for first in (1..=rows).step_by(BATCH as usize) {
        let transactions = (first..first + BATCH).map(|n| transaction(&doc, n)).collect();
        let positions = vec![("shop".into(), format!("0-1-{}", first + BATCH - 1))];
        store.commit(&CommitBatch { first, transactions, positions, ..CommitBatch::default() }).expect("the batch is committed");
    }
}

/// Every row is there.
fn check(engine: &mut Engine, rows: u64) {
    for n in (1..=rows).step_by(997) {
        assert_eq!(double(engine.read("orders.total", &[Value::Int(n as i64)])), price(n) * quantity(n) as f64);
    }
}

/// Millions of rows a second, the median of some runs; a run makes what it needs and times the rest itself.
fn speed(rounds: usize, rows: u64, mut run: impl FnMut() -> f64) -> f64 {
    rows as f64 * 1e3 / median((0..rounds).map(|_| run()).collect())
}

fn read_log(store: &mut SqliteStore, rows: u64) -> f64 {
    let mut seen = 0;
    let ns = cpu_ns_of(|| store.replay(0, &mut |_, _| seen += 1).expect("the log can be read"));
    assert_eq!(seen, rows);
    ns
}

fn replay(store: &mut SqliteStore, rows: u64) -> f64 {
    let mut engine = new_engine();
    let ns = cpu_ns_of(|| {
        let mut waiting = 0;
        let mut each = |_, transaction| {
            engine.push(transaction);
            waiting += 1;
            if waiting == 1_000 {
                std::hint::black_box(engine.step());
                waiting = 0;
            }
        };
        store.replay(0, &mut each).expect("the log can be read");
        engine.step();
    });
    check(&mut engine, rows);
    ns
}

fn read_snapshot(store: &mut SqliteStore, rows: u64) -> f64 {
    let mut seen = 0;
    let ns = cpu_ns_of(|| {
        store.snapshot_state().expect("a snapshot is there").expect("it is usable");
        let mut each = |fill: Transaction| match fill.body {
            Body::Fill(rows) => seen += rows.len() as u64,
            other => panic!("a snapshot is filled in, not {other:?}"),
        };
        store.snapshot_rows(&mut each).expect("it can be read");
    });
    assert_eq!(seen, rows);
    ns
}

fn load_snapshot(store: &mut SqliteStore, rows: u64) -> f64 {
    let mut engine = new_engine();
    let ns = cpu_ns_of(|| {
        let state = store.snapshot_state().expect("a snapshot is there").expect("it is usable");
        let mut each = |fill: Transaction| {
            engine.push(fill);
            std::hint::black_box(engine.step());
        };
        store.snapshot_rows(&mut each).expect("it can be read");
        engine.resume_at(state.epoch);
    });
    check(&mut engine, rows);
    ns
}

fn main() {
    let effort = Effort::from_args();
    let rows = effort.pick(1_000_000, 100_000);
    let rounds = effort.pick(3, 1);
    let unit = Unit::MillionPerS("rows");
    let mut table = Table::new("how long does a start take that finds its store full?");
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let mut store = SqliteStore::open(folder.path(), StoreConfig::default()).expect("a new store");
    write_log(&mut store, rows);
    table.ours(
        "log of single-row transactions, read",
        speed(rounds, rows, || read_log(&mut store, rows)),
        unit,
        Target::Reach(1.0),
    );
    table.ours("log, read into an engine", speed(rounds, rows, || replay(&mut store, rows)), unit, Target::None);
    store.snapshot(&EngineState { epoch: rows, ..EngineState::default() }).expect("a snapshot can be written");
    store.finish_snapshot().expect("it is written");
    table.ours("snapshot, checked and read", speed(rounds, rows, || read_snapshot(&mut store, rows)), unit, Target::Reach(20.0));
    table.ours("snapshot, into an engine", speed(rounds, rows, || load_snapshot(&mut store, rows)), unit, Target::None);
}
