//! Question: how fast is one transaction of millions of rows taken from a MariaDB on loopback, and with how much memory?
//! Expected: resident memory that does not grow with the transaction; reading at the speed of the decoder.
//!
//! `cargo run --release -p thalweg-sources --example giant [ROWS]`

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use thalweg_graph::Transaction;
use thalweg_graph::ports::{BoxFuture, Outlet, SourceMessage, SourceStatus};
use thalweg_graph::transaction::Body;
use thalweg_sources::mysql::{MysqlConfig, MysqlSource, Snapshot};
use thalweg_testkit::MariaDb;
use tokio::sync::Notify;

/// Keeps the transaction that comes.
#[derive(Default)]
struct Keep {
    transaction: Mutex<Option<Transaction>>,
    live: Notify,
    came: Notify,
}

impl Outlet for Keep {
    fn send(&self, message: SourceMessage) -> BoxFuture<'_, bool> {
        match message {
            SourceMessage::Transaction(transaction, _) => {
                *self.transaction.lock().expect("nobody panics") = Some(transaction);
                self.came.notify_one();
            }
            SourceMessage::Status(SourceStatus::Live(true)) => self.live.notify_one(),
            SourceMessage::Status(SourceStatus::Stopped(why)) => panic!("{why}"),
            _ => {}
        }
        Box::pin(std::future::ready(true))
    }
}

fn main() {
    let rows: u64 = std::env::args().nth(1).map_or(5_000_000, |n| n.parse().expect("ROWS is a number"));
    let server = MariaDb::start_with(&["--innodb-buffer-pool-size=1G", "--innodb-flush-log-at-trx-commit=0"]);
    server.exec("CREATE DATABASE shop; CREATE TABLE shop.t (id INT PRIMARY KEY, v INT)");
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime can be built");
    let mut config = MysqlConfig::new("shop", server.url());
    (config.tables, config.snapshot) = (vec!["shop.t".into()], Snapshot::Never);
    let keep = Arc::new(Keep::default());
    let task = runtime.spawn(MysqlSource::new(config).run(None, keep.clone()));
    runtime.block_on(keep.live.notified());
    println!("following: {} MB resident", resident_mb("VmRSS:"));
    server.exec(&format!("USE shop; INSERT INTO t SELECT seq, seq * 7 FROM seq_1_to_{rows}"));
    let (begin, cpu_begin) = (Instant::now(), cpu());
    runtime.block_on(keep.came.notified());
    let rate = |time: Duration| rows as f64 / time.as_secs_f64() / 1e6;
    let (wall, used) = (begin.elapsed(), cpu() - cpu_begin);
    println!("{rows} rows came {:.2} s after their COMMIT: {:.2} M rows per CPU second", wall.as_secs_f64(), rate(used));
    println!("taken: {} MB resident, {} MB at most", resident_mb("VmRSS:"), resident_mb("VmHWM:"));
    let transaction = keep.transaction.lock().expect("nobody panics").take().expect("it came");
    assert!(matches!(transaction.body, Body::Spilled(_)), "so many rows are spilled");
    let (mut count, cpu_begin) = (0, cpu());
    transaction
        .parts(&mut |part| {
            count += part.len() as u64;
            true
        })
        .expect("it can be read");
    assert_eq!(count, rows);
    println!("read: {:.2} M rows per CPU second, {} MB at most", rate(cpu() - cpu_begin), resident_mb("VmHWM:"));
    task.abort();
}

/// User and system time of this process so far.
fn cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("Linux has /proc");
    let behind_name = stat.rsplit(')').next().expect("a stat line has a name");
    let ticks: u64 = behind_name.split_whitespace().skip(11).take(2).map(|n| n.parse::<u64>().expect("ticks")).sum();
    Duration::from_millis(ticks * 10)
}

/// Resident memory now (`VmRSS:`) or at its highest (`VmHWM:`).
fn resident_mb(which: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux has /proc");
    let line = status.lines().find_map(|line| line.strip_prefix(which)).expect("Linux tells it");
    line.split_whitespace().next().expect("a number").parse::<u64>().expect("kB") / 1000
}
