//! Question: how much memory does the program hold beside the rows while a transaction of millions of rows comes in?
//!
//! The program as it is built for release follows a private MariaDB, which commits `INSERT … SELECT` of all rows at once into a table of
//! (id int, v int). Memory is that of its process, told by the kernel: before, at its peak until the effect of the transaction has
//! fired, when it has come to rest, and at its peak until it has ended, which writes a snapshot. What came to stay is the rows; beside them is
//! all the rest of the peak, the process before included. Expected: at most 256 MB, whatever the rows.
//!
//! `cargo build --release && cargo bench -p thalweg-benches --bench giant [-- --quick]`

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use thalweg_benches::{Effort, Table, Target, Unit};
use thalweg_testkit::MariaDb;

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(600);

/// The program, which lies beside the folder of this bench.
fn program() -> PathBuf {
    let bench = std::env::current_exe().expect("this program has a path");
    let program = bench.parent().and_then(Path::parent).map(|release| release.join("thalweg")).filter(|path| path.exists());
    program.expect("the program is built: cargo build --release")
}

fn definition(url: &str) -> String {
    format!(
        r#"
[[source]]
name = "shop"
kind = "mysql"
url = "{url}"
tables = ["shop.t"]

[[table]]
name = "T"
from = "shop.t"

[fields]
"T.twice" = "v * 2"

[[effect]]
name = "seventh"
on = "T"
when = "v == 77"
actions = [{{ type = "log", path = "fired.jsonl" }}]
"#
    )
}

/// A figure of the process, in megabytes; 0 once it has ended.
fn megabytes(child: &Child, figure: &str) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(figure));
    line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok()).unwrap_or(0.0) * 1024.0 / 1e6
}

/// Waits, and tells the highest peak meanwhile.
fn until(child: &mut Child, what: &str, mut done: impl FnMut(&mut Child) -> bool) -> f64 {
    let (begin, mut peak) = (Instant::now(), 0.0);
    loop {
        peak = megabytes(child, "VmHWM:").max(peak);
        if done(child) {
            return peak;
        }
        assert!(begin.elapsed() < PATIENCE, "it takes too long until {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// The resident size once it has not fallen for five seconds: memory is given back late.
fn settled(child: &Child) -> f64 {
    let (begin, mut least, mut since) = (Instant::now(), f64::INFINITY, Instant::now());
    while since.elapsed() < Duration::from_secs(5) && begin.elapsed() < PATIENCE {
        let now = megabytes(child, "VmRSS:");
        if now < least {
            (least, since) = (now, Instant::now());
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    least
}

fn main() {
    if !thalweg_testkit::require() {
        return;
    }
    let rows = Effort::from_args().pick(5_000_000, 500_000);
    let server = MariaDb::start_with(&["--innodb-buffer-pool-size=512M", "--innodb-flush-log-at-trx-commit=0"]);
    server.exec("CREATE DATABASE shop; CREATE TABLE shop.t (id INT PRIMARY KEY, v INT); INSERT INTO shop.t VALUES (-1, 77)");
    let home = tempfile::tempdir().expect("a temporary folder");
    let (config, fired) = (home.path().join("thalweg.toml"), home.path().join("fired.jsonl"));
    std::fs::write(config, definition(&server.url())).expect("the configuration can be written");
    let mut command = Command::new(program());
    command.args(["run", "thalweg.toml"]).current_dir(home.path()).stdin(Stdio::null());
    let said = std::fs::File::create(home.path().join("said.txt")).expect("a file");
    let mut child = command.stdout(Stdio::null()).stderr(said).spawn().expect("the program starts");
    until(&mut child, "it is live", |_| {
        std::fs::read_to_string(home.path().join("said.txt")).is_ok_and(|t| t.contains(": live"))
    });
    let before = megabytes(&child, "VmRSS:");

    server.exec(&format!("USE shop; INSERT INTO t SELECT seq, seq * 11 FROM seq_1_to_{rows}"));
    let committed = |_: &mut Child| std::fs::read_to_string(&fired).is_ok_and(|text| !text.is_empty());
    let peak = until(&mut child, "the rows are committed", committed);
    let after = settled(&child);
    kill_process(Pid::from_child(&child), Signal::TERM).expect("it runs");
    let end = until(&mut child, "it has ended", |child| child.try_wait().expect("a child").is_some());

    let stays = after - before;
    let mut table = Table::new("how much memory is held beside the rows while a transaction of millions of rows comes in?");
    let case = |what: &str| format!("{rows} rows of (id int, v int): {what}");
    table.ours(case("beside them, until they are committed"), peak - stays, Unit::Megabytes, Target::Reach(256.0));
    table.ours(case("beside them, until the program has ended"), end.max(peak) - stays, Unit::Megabytes, Target::None);
    table.ours(case("the rows"), stays, Unit::Megabytes, Target::None);
    table.ours("the process before", before, Unit::Megabytes, Target::None);
}
