//! Question: how fast are the rows of an initial snapshot read from a MariaDB on loopback, and with how much memory?
//! Expected: at least 500,000 rows a second by the clock; resident memory that does not grow with the table.
//!
//! `cargo run --release -p thalweg-sources --example snapshot_speed [ROWS]`

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use thalweg_graph::ports::{BoxFuture, Outlet, SourceMessage, SourceStatus};
use thalweg_graph::transaction::Body;
use thalweg_sources::mysql::{MysqlConfig, MysqlSource};
use thalweg_testkit::MariaDb;
use tokio::sync::Notify;

/// Counts rows and drops them.
#[derive(Default)]
struct Count {
    rows: AtomicU64,
    live: Notify,
}

impl Outlet for Count {
    fn send(&self, message: SourceMessage) -> BoxFuture<'_, bool> {
        match message {
            SourceMessage::Transaction(transaction, _) => {
                if let Body::Fill(rows) = transaction.body {
                    self.rows.fetch_add(rows.len() as u64, Ordering::Relaxed);
                }
            }
            SourceMessage::Status(SourceStatus::Live(_)) => self.live.notify_one(),
            SourceMessage::Status(SourceStatus::Stopped(why)) => panic!("{why}"),
            _ => {}
        }
        Box::pin(std::future::ready(true))
    }
}

fn main() {
    let rows: u64 = std::env::args().nth(1).map_or(2_000_000, |n| n.parse().expect("ROWS is a number"));
    let server = MariaDb::start_with(&["--innodb-buffer-pool-size=1G"]);
    server.exec("CREATE DATABASE shop");
    for (name, columns, values) in [
        (
            "narrow: id, k, char(120), char(60)",
            "id INT PRIMARY KEY, k INT NOT NULL, c CHAR(120) NOT NULL, pad CHAR(60) NOT NULL",
            "seq, seq * 7, REPEAT('c', 119), REPEAT('p', 59)",
        ),
        (
            "typed: 11 columns",
            "id BIGINT UNSIGNED PRIMARY KEY, a INT, b SMALLINT UNSIGNED, price DECIMAL(12,2), x DOUBLE, at DATETIME(3), seen TIMESTAMP(6) NULL, \
             day DATE, name VARCHAR(40), state ENUM('new','paid','sent'), flag TINYINT",
            "seq, seq, seq % 60000, seq / 100, seq / 7, '2024-02-29 12:34:56.789', '2024-02-29 12:34:56.789012', '2024-02-29', \
             CONCAT('name ', seq), 1 + seq % 3, seq % 2",
        ),
    ] {
        server.exec(&format!("USE shop; DROP TABLE IF EXISTS shop.t; CREATE TABLE shop.t ({columns}); INSERT INTO shop.t SELECT {values} FROM seq_1_to_{rows}"));
        for _ in 0..3 {
            let (wall, cpu, peak) = snapshot(&server, rows);
            let rate = |time: Duration| rows as f64 / time.as_secs_f64() / 1e6;
            println!("{name}: {:.2} M rows/s, {:.2} M rows per CPU second, {peak} MB resident", rate(wall), rate(cpu));
        }
    }
}

/// One snapshot: wall time, CPU time of this process, resident memory afterwards.
fn snapshot(server: &MariaDb, rows: u64) -> (Duration, Duration, u64) {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime can be built");
    let mut config = MysqlConfig::new("shop", server.url());
    config.tables = vec!["shop.t".into()];
    config.clears = true;
    let count = Arc::new(Count::default());
    let (begin, cpu) = (Instant::now(), cpu());
    let task = runtime.spawn(MysqlSource::new(config).run(None, count.clone()));
    runtime.block_on(count.live.notified());
    let times = (begin.elapsed(), self::cpu() - cpu);
    task.abort();
    assert_eq!(count.rows.load(Ordering::Relaxed), rows);
    (times.0, times.1, resident_mb())
}

/// User and system time of this process so far.
fn cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("Linux has /proc");
    let behind_name = stat.rsplit(')').next().expect("a stat line has a name");
    let ticks: u64 = behind_name.split_whitespace().skip(11).take(2).map(|n| n.parse::<u64>().expect("ticks")).sum();
    Duration::from_millis(ticks * 10)
}

fn resident_mb() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("Linux has /proc");
    statm.split_whitespace().nth(1).expect("pages").parse::<u64>().expect("pages") * 4096 / 1_000_000
}
