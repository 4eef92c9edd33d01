//! Question: how long after a commit does the webhook arrive, through a real database and a durable store?
//!
//! A private MariaDB that syncs each commit, `thalweg run` as a process of its own with its store on disk, a receiver here. 8 writers commit 500
//! transactions a second for 10 seconds; each inserts one order, whose field `big` becomes true, which sends one signed webhook.
//! The time counts from the client's answer to COMMIT until the request is read. Expected: p50 40 ms, p99 150 ms, where a sync takes 7 ms:
//! the store's commit is one sync, what waits meanwhile shares the next. Before the writers start, the daemon's resident memory is read.
//!
//! `cargo build --release && cargo run --release -p thalweg-benches --bin commit_to_webhook [-- --quick]`

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Opts};
use thalweg_benches::clock::{process_cpu_s, quantile, rss_bytes};
use thalweg_benches::{Effort, Table, Target, Unit};
use thalweg_testkit::MariaDb;

const WRITERS: u64 = 8;
const PER_S: u64 = 500;

/// When each order's webhook was read; the first request counts.
type Arrivals = Arc<Mutex<HashMap<u64, Instant>>>;

/// The daemon; ended with this.
struct Daemon(Child);

impl Daemon {
    fn start(program: &Path, config: &Path) -> Daemon {
        let log = std::fs::File::create(config.with_file_name("daemon.log")).expect("a log file can be made");
        let mut command = Command::new(program);
        command.arg("run").arg(config).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        Daemon(command.spawn().expect("the daemon starts"))
    }

    fn id(&self) -> String {
        self.0.id().to_string()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// The binary that `cargo build --release` makes, beside this one.
fn program() -> Option<PathBuf> {
    let beside = std::env::current_exe().ok()?.with_file_name("thalweg");
    beside.is_file().then_some(beside)
}

fn config(server: &MariaDb, receiver: u16) -> String {
    format!(
        r#"
[egress]
allow = ["127.0.0.0/8"]

[[source]]
name = "shop"
kind = "mysql"
url = "{}"
tables = ["bench.orders"]

[[table]]
name = "Order"
from = "bench.orders"
key = ["id"]

[fields]
"Order.total" = "price * qty"
"Order.big" = "total > 0"

[[effect]]
name = "big order"
on = "Order"
when = "big"
payload = ["id", "total"]
actions = [{{ type = "webhook", url = "http://127.0.0.1:{receiver}/hook" }}]
"#,
        server.url_of("bench")
    )
}

/// Listens, answers 200 to everything, notes the order in each body.
fn receive() -> (u16, Arrivals) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a loopback port can be had");
    let port = listener.local_addr().expect("a bound socket has an address").port();
    let arrivals = Arrivals::default();
    let noted = arrivals.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let noted = noted.clone();
            std::thread::spawn(move || serve(stream, &noted));
        }
    });
    (port, arrivals)
}

/// Requests of one connection, until it ends.
fn serve(stream: TcpStream, arrivals: &Arrivals) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut answers = stream.try_clone()?;
    let mut requests = BufReader::new(stream);
    while let Some(length) = head(&mut requests)? {
        let mut body = vec![0; length];
        requests.read_exact(&mut body)?;
        let at = Instant::now();
        answers.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")?;
        let event: serde_json::Value = serde_json::from_slice(&body)?;
        let order = event["data"]["id"].as_u64().expect("an event names its order");
        arrivals.lock().unwrap_or_else(PoisonError::into_inner).entry(order).or_insert(at);
    }
    Ok(())
}

/// Reads a request's head; the length of its body, `None` at the end of the connection.
fn head(requests: &mut impl BufRead) -> std::io::Result<Option<usize>> {
    let mut length = 0;
    loop {
        let mut line = String::new();
        if requests.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        if line.trim().is_empty() {
            return Ok(Some(length));
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().unwrap_or(0);
        }
    }
}

/// One writer's commits: `(order, COMMIT sent, COMMIT answered)`.
async fn write(url: String, writer: u64, seconds: u64) -> mysql_async::Result<Vec<(u64, Instant, Instant)>> {
    let mut connection = Conn::new(Opts::from_url(&url).expect("the server's URL is one")).await?;
    let mut beat = tokio::time::interval(Duration::from_micros(1_000_000 * WRITERS / PER_S));
    beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Burst);
    let mut commits = Vec::new();
    for n in 0..seconds * PER_S / WRITERS {
        beat.tick().await;
        let order = writer + n * WRITERS + 1;
        connection.query_drop("BEGIN").await?;
        connection.query_drop(format!("INSERT INTO orders VALUES ({order}, 12.50, {})", n % 7 + 1)).await?;
        let sent = Instant::now();
        connection.query_drop("COMMIT").await?;
        commits.push((order, sent, Instant::now()));
    }
    connection.disconnect().await?;
    Ok(commits)
}

fn write_all(url: &str, seconds: u64) -> Vec<(u64, Instant, Instant)> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("tokio starts");
    runtime.block_on(async {
        let writers: Vec<_> = (0..WRITERS).map(|writer| tokio::spawn(write(url.to_owned(), writer, seconds))).collect();
        let mut commits = Vec::new();
        for writer in writers {
            commits.extend(writer.await.expect("a writer does not panic").expect("the server takes every write"));
        }
        commits
    })
}

/// Waits until something holds; `false` after the time is up.
fn wait_for(most: Duration, mut holds: impl FnMut() -> bool) -> bool {
    let begin = Instant::now();
    while begin.elapsed() < most {
        if holds() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    false
}

fn count(arrivals: &Arrivals) -> usize {
    arrivals.lock().unwrap_or_else(PoisonError::into_inner).len()
}

/// A sync of a small file in this folder, in milliseconds: what a commit can not be faster than.
fn sync_ms(folder: &Path) -> f64 {
    let mut file = std::fs::File::create(folder.join("sync")).expect("a file can be made");
    let mut once = || {
        let begin = Instant::now();
        file.write_all(&[0; 4096]).and_then(|()| file.sync_data()).expect("the disk takes a page");
        begin.elapsed().as_secs_f64() * 1e3
    };
    quantile((0..50).map(|_| once()).collect(), 0.5)
}

fn main() {
    let Some(program) = program() else {
        println!("not measured: there is no `thalweg` beside this program; run `cargo build --release` first");
        return;
    };
    if !thalweg_testkit::require() {
        return;
    }
    let seconds = Effort::from_args().pick(10, 2);
    let mut table = Table::new("how long after a commit does the webhook arrive, through a real database and a durable store?");
    let server = MariaDb::start_with(&["--sync-binlog=1", "--innodb-flush-log-at-trx-commit=1"]);
    server.exec(
        "CREATE DATABASE bench; CREATE TABLE bench.orders (id INT PRIMARY KEY, price DECIMAL(10,2), qty INT) ENGINE=InnoDB",
    );
    let (port, arrivals) = receive();
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let file = folder.path().join("bench.toml");
    std::fs::write(&file, config(&server, port)).expect("the configuration can be written");
    let daemon = Daemon::start(&program, &file);
    // One order at a time until the daemon follows live and its connections stand; its memory is read when it has been idle since.
    let mut probe = 1_000_000;
    let live = wait_for(Duration::from_secs(30), || {
        probe += 1;
        server.exec(&format!("INSERT INTO bench.orders VALUES ({probe}, 1, 1)"));
        wait_for(Duration::from_millis(500), || count(&arrivals) > 0)
    });
    assert!(live, "no webhook arrives:\n{}", std::fs::read_to_string(folder.path().join("daemon.log")).unwrap_or_default());
    std::thread::sleep(Duration::from_secs(2));
    table.ours("idle `thalweg run`, resident", rss_bytes(&daemon.id()) / 1e6, Unit::Megabytes, Target::Reach(60.0));
    let (cpu, begin) = (process_cpu_s(&daemon.id()), Instant::now());
    let commits = write_all(&server.url_of("bench"), seconds);
    let wrote = begin.elapsed().as_secs_f64();
    let here = |order: &u64| arrivals.lock().unwrap_or_else(PoisonError::into_inner).contains_key(order);
    let all = wait_for(Duration::from_secs(60), || commits.iter().all(|(order, ..)| here(order)));
    assert!(all, "not every commit has its webhook");
    let cpu = (process_cpu_s(&daemon.id()) - cpu) * 1e6 / commits.len() as f64;
    let arrivals = arrivals.lock().unwrap_or_else(PoisonError::into_inner);
    let since = |from: fn(&(u64, Instant, Instant)) -> Instant| -> Vec<f64> {
        commits.iter().map(|commit| arrivals[&commit.0].saturating_duration_since(from(commit)).as_secs_f64() * 1e3).collect()
    };
    let answered = since(|commit| commit.2);
    table.ours(
        "offered and committed",
        commits.len() as f64 / wrote,
        Unit::PerS("transactions"),
        Target::Reach(0.95 * PER_S as f64),
    );
    table.ours("COMMIT answered to webhook read, p50", quantile(answered.clone(), 0.5), Unit::Ms, Target::Reach(40.0));
    table.ours("COMMIT answered to webhook read, p99", quantile(answered, 0.99), Unit::Ms, Target::Reach(150.0));
    let sent = since(|commit| commit.1);
    table.ours("COMMIT sent to webhook read, p50", quantile(sent.clone(), 0.5), Unit::Ms, Target::None);
    table.ours("COMMIT sent to webhook read, p99", quantile(sent, 0.99), Unit::Ms, Target::None);
    table.ours("one sync of one page", sync_ms(folder.path()), Unit::Ms, Target::None);
    table.ours("the daemon's processor time", cpu, Unit::Us("transaction"), Target::None);
    table.ours("busy `thalweg run`, resident", rss_bytes(&daemon.id()) / 1e6, Unit::Megabytes, Target::None);
}
