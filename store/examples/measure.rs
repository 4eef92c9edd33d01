//! Measures the store: what an event costs on disk and in time, and how fast a start is.
//!
//! Every rate is given by the clock and by processor time: on a busy machine only the second says what the store costs.
//!
//! `cargo run --release -p thalweg-store --example measure [DIR]`; DIR (default: the current directory) says on which disk.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use thalweg_formulas::{Timestamp, Type, Value};
use thalweg_graph::ports::{CommitBatch, OutboxRow, OutboxState, OutboxUpdate, Store};
use thalweg_graph::state::EngineState;
use thalweg_graph::transaction::{Body, Change, Op, Row, Schema, SchemaColumn, Transaction};
use thalweg_store::{SqliteStore, StoreConfig};

/// As in the binary.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

type Outcome = Result<(), Box<dyn std::error::Error>>;

fn main() -> Outcome {
    let at = std::env::args().nth(1).unwrap_or_else(|| ".".to_string());
    for batch in [1, 100, 1000] {
        commits(&at, batch)?;
    }
    let rows = 2_000_000;
    let dir = tempfile::tempdir_in(&at)?;
    replay(dir.path(), rows)?;
    snapshot(dir.path(), rows)?;
    outbox(&at)
}

fn schema() -> Arc<Schema> {
    let column = |(name, ty): (&str, Type)| SchemaColumn::new(name.into(), ty);
    let names =
        [("id", Type::Int), ("customer", Type::Int), ("qty", Type::Int), ("price", Type::Double), ("at", Type::Timestamp)];
    Arc::new(Schema { table: "shop.orders".into(), columns: names.into_iter().map(column).collect(), key: vec![0] })
}

fn row(n: u64) -> Row {
    let mixed = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    [
        Value::Int(n as i64),
        Value::Int((mixed >> 44) as i64),
        Value::Int((mixed >> 20 & 0xff) as i64),
        Value::Double((mixed >> 30 & 0xffff) as f64 / 100.0),
        Value::Timestamp(Timestamp(1_700_000_000_000_000 + n as i64 * 1_357)),
    ]
    .map(Some)
    .into()
}

/// One inserted row.
fn single(schema: &Arc<Schema>, n: u64) -> Transaction {
    let change = Change { schema: schema.clone(), op: Op::Insert, key: None, before: None, after: Some(row(n)) };
    let body = Body::Changes(vec![change]);
    Transaction {
        source: "shop".into(),
        origin: format!("0-1-{n}").into(),
        at: Timestamp(1_700_000_000_000_000 + n as i64 * 1_357),
        body,
    }
}

fn batch(schema: &Arc<Schema>, first: u64, n: u64) -> CommitBatch {
    let transactions = (first..first + n).map(|n| single(schema, n)).collect();
    CommitBatch {
        first,
        transactions,
        positions: vec![("shop".into(), format!("0-1-{}", first + n - 1))],
        ..CommitBatch::default()
    }
}

/// Processor time of this process: user and system, in seconds. 0 where there is no `/proc`.
fn cpu() -> f64 {
    let text = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = text.rsplit(')').next().unwrap_or("").split_whitespace().collect();
    let ticks = |i: usize| fields.get(i).and_then(|t| t.parse::<f64>().ok()).unwrap_or(0.0);
    (ticks(11) + ticks(12)) / 100.0
}

/// Clock and processor time since a moment.
struct Since(Instant, f64);

impl Since {
    fn now() -> Since {
        Since(Instant::now(), cpu())
    }

    fn rate(&self, n: u64) -> String {
        let (wall, cpu) = (self.0.elapsed().as_secs_f64(), cpu() - self.1);
        format!("{:.2} M/s by the clock, {:.2} M per processor second", n as f64 / wall / 1e6, n as f64 / cpu.max(0.001) / 1e6)
    }
}

fn size(dir: &Path) -> u64 {
    std::fs::metadata(dir.join("thalweg.db")).map_or(0, |m| m.len())
}

fn commits(at: &str, rows: u64) -> Outcome {
    let dir = tempfile::tempdir_in(at)?;
    let mut store = SqliteStore::open(dir.path(), StoreConfig::default())?;
    let schema = schema();
    let mut batches: Vec<CommitBatch> = Vec::new();
    let n = if rows == 1 { 600 } else { 400 };
    (0..n).for_each(|i| batches.push(batch(&schema, i * rows + 1, rows)));
    let mut times = Vec::new();
    let (start, cpu_start) = (Instant::now(), cpu());
    for batch in &batches {
        let begun = Instant::now();
        store.commit(batch)?;
        times.push(begun.elapsed());
    }
    let (wall, cpu) = (start.elapsed(), cpu() - cpu_start);
    drop(store);
    times.sort();
    let events = (n * rows) as f64;
    println!(
        "commit, {rows:>4} rows each: {:>7.0} commits/s, {:>8.0} rows/s, p50 {:?}, p99 {:?}, max {:?}; {:.2} us CPU a row, {:.0} bytes a row",
        n as f64 / wall.as_secs_f64(),
        events / wall.as_secs_f64(),
        times[times.len() / 2],
        times[times.len() * 99 / 100],
        times[times.len() - 1],
        cpu * 1e6 / events,
        size(dir.path()) as f64 / events
    );
    Ok(())
}

fn replay(dir: &Path, rows: u64) -> Outcome {
    let mut store = SqliteStore::open(dir, StoreConfig::default())?;
    let schema = schema();
    let mut writing = Duration::ZERO;
    for first in (1..=rows).step_by(1000) {
        let batch = batch(&schema, first, 1000);
        let begun = Instant::now();
        store.commit(&batch)?;
        writing += begun.elapsed();
    }
    println!(
        "log of {rows} rows: {:.0} rows/s written, {:.1} bytes a row",
        rows as f64 / writing.as_secs_f64(),
        size(dir) as f64 / rows as f64
    );
    for _ in 0..3 {
        let (begun, mut seen) = (Since::now(), 0);
        store.replay(0, &mut |_, _| seen += 1)?;
        assert_eq!(seen, rows);
        println!("replay of single-row transactions: {}", begun.rate(rows));
    }
    Ok(())
}

fn snapshot(dir: &Path, rows: u64) -> Outcome {
    let mut store = SqliteStore::open(dir, StoreConfig::default())?;
    let begun = Since::now();
    store.snapshot(&EngineState { epoch: rows, ..EngineState::default() })?;
    store.finish_snapshot()?;
    println!("snapshot written, fold included: {}", begun.rate(rows));
    for _ in 0..3 {
        let begun = Since::now();
        store.snapshot_state()?;
        let checked = begun.0.elapsed();
        let mut seen = 0;
        store.snapshot_rows(&mut |fill| {
            if let Body::Fill(changes) = fill.body {
                seen += changes.len() as u64;
            }
        })?;
        assert_eq!(seen, rows);
        println!("snapshot loaded: {}; checked in {checked:?}", begun.rate(rows));
    }
    Ok(())
}

fn outbox(at: &str) -> Outcome {
    let dir = tempfile::tempdir_in(at)?;
    let mut store = SqliteStore::open(dir.path(), StoreConfig::default())?;
    let schema = schema();
    let (n, batch_rows) = (100_000, 1000);
    let delivery = |n: u64| OutboxRow {
        id: format!("01{n:024}").into(),
        epoch: n,
        node: "big".into(),
        action: 0,
        key: (n % 50_000).to_string().into(),
        version: 1,
        body: vec![b'x'; 400].into(),
        settings: "{\"type\":\"webhook\",\"url\":\"https://example.test/hook\"}".into(),
        manner: thalweg_graph::ports::Manner::default(),
    };
    let begun = Since::now();
    for first in (1..=n).step_by(batch_rows as usize) {
        let outbox = (first..first + batch_rows).map(delivery).collect();
        store.commit(&CommitBatch { outbox, ..batch(&schema, first, batch_rows) })?;
    }
    println!("deliveries committed: {}", begun.rate(n));
    let (begun, asks) = (Since::now(), 1000);
    for _ in 0..asks {
        assert_eq!(store.due_deliveries(Timestamp(0), 64, &|_| false)?.len(), 64);
    }
    println!("due deliveries read, 64 of {n} at a time: {}", begun.rate(asks * 64));
    let begun = Since::now();
    let mut done = 0;
    while done < 20_000 {
        let due = store.due_deliveries(Timestamp(0), 256, &|_| false)?;
        let ack = |d: thalweg_graph::ports::PendingDelivery| OutboxUpdate {
            id: d.row.id,
            state: OutboxState::Acked,
            attempts: 1,
            not_before: Timestamp(0),
            error: String::new(),
            at: Timestamp(1),
            deliveries: 0,
            restarts: false,
            note: None,
        };
        let updates: Vec<_> = due.into_iter().map(ack).collect();
        store.update_outbox(&updates)?;
        done += updates.len();
    }
    println!("deliveries acknowledged, 256 a commit: {}", begun.rate(done as u64));
    let begun = Instant::now();
    drop(store);
    let store = SqliteStore::open(dir.path(), StoreConfig::default())?;
    println!("closed and opened with {} pending: {:?}", n as usize - done, begun.elapsed());
    drop(store);
    Ok(())
}
