//! Question: how many row changes a second does one thread decode from a binlog file, into the values that the engine takes?
//!
//! Two tables, logged by a private MariaDB: `narrow`, the one of sysbench (id, k, char(120), char(60)), inserted and then updated once, in
//! transactions of 1,000 rows and of 100; `typed`, eleven columns of eleven types, inserted. Whole transactions come out, and are dropped
//! as the engine drops them. The peer is `mysql_common`'s `rows()`, over the same bytes with the same allocator; both first give the same values, row for
//! row. Where PyPI's `mysql-replication` is installed for `python3` (or for the program that `THALWEG_PYTHON` names), it reads the first row
//! events of the same file (`decode_peer.py`). Expected: five million a second on both, more than six times the first peer.
//!
//! `cargo bench -p thalweg-benches --bench decode [-- --quick]`

use std::hash::{Hash, Hasher};
use std::hint::black_box;
use std::process::Command;

use mysql_common::binlog::consts::BinlogVersion;
use mysql_common::binlog::events::EventData;
use mysql_common::binlog::value::BinlogValue;
use mysql_common::value::Value as Sql;
use thalweg_benches::clock::{Figure, cpu_ns_of, median, quantile};
use thalweg_benches::recording::record;
use thalweg_benches::{Effort, Table, Target, Unit};
use thalweg_formulas::Value;
use thalweg_formulas::time::Civil;
use thalweg_graph::Change;
use thalweg_graph::transaction::Body;
use thalweg_sources::binlog::frame::FileEvents;
use thalweg_sources::binlog::plan::Hints;
use thalweg_sources::binlog::{Assembler, Step, Watch};

/// The allocator of the program; the peer has it too.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const MEMBERS: [&str; 3] = ["new", "paid", "shipped"];

/// A binlog file and what it holds.
struct Recording {
    name: &'static str,
    file: Vec<u8>,
    changes: u64,
    /// Changes of one transaction.
    each: u64,
}

impl Recording {
    /// Row changes a second, over so many readings.
    fn rate(&self, readings: usize, mut read: impl FnMut(&[u8]) -> u64) -> Figure {
        let time = |_| {
            let ns = cpu_ns_of(|| assert_eq!(black_box(read(&self.file)), self.changes));
            self.changes as f64 * 1e3 / ns
        };
        let rates: Vec<f64> = (0..readings).map(time).collect();
        Figure { median: median(rates.clone()), best: Some(quantile(rates, 0.9)) }
    }

    fn megabytes(&self) -> f64 {
        self.file.len() as f64 / 1e6
    }
}

const NARROW: &str = "CREATE TABLE t (id INT NOT NULL PRIMARY KEY, k INT NOT NULL, c CHAR(120) NOT NULL, pad CHAR(60) NOT NULL)";

const TYPED: &str = "CREATE TABLE t (id BIGINT UNSIGNED NOT NULL PRIMARY KEY, customer INT, store SMALLINT UNSIGNED, total DECIMAL(12,2), \
    weight DOUBLE, placed DATETIME(3), changed TIMESTAMP(6) NULL, due DATE, note VARCHAR(40), state ENUM('new','paid','shipped'), priority TINYINT)";

/// Digits in groups, as sysbench fills its texts.
fn digits(groups: u32, seed: &str) -> String {
    let group = |i: u32| format!("LPAD(({seed} * {} + {i}) % 99999999989, 11, '0')", 7_919 + 2 * i);
    format!("CONCAT_WS('-', {})", (0..groups).map(group).collect::<Vec<_>>().join(","))
}

/// `each` rows a statement, which is a transaction.
fn narrow(rows: u64, each: u64) -> Recording {
    let mut statements = Vec::new();
    for first in (0..rows).step_by(each as usize) {
        let (c, pad) = (digits(10, "seq"), digits(5, "seq"));
        statements
            .push(format!("INSERT INTO t SELECT seq, seq * 7 % 100000, {c}, {pad} FROM seq_{first}_to_{}", first + each - 1));
    }
    for first in (0..rows).step_by(each as usize) {
        let c = digits(10, "(id + 1)");
        statements.push(format!("UPDATE t SET k = k + 1, c = {c} WHERE id BETWEEN {first} AND {}", first + each - 1));
    }
    Recording { name: "narrow", file: record(NARROW, &statements), changes: 2 * rows, each }
}

fn typed(rows: u64, each: u64) -> Recording {
    let statement = |first: u64| {
        format!(
            "INSERT INTO t SELECT seq, CAST(seq * 31 % 100000 AS SIGNED) - 50000, seq % 65536, seq * 17 % 10000000000 / 100, seq / 7, \
             '2024-01-01' + INTERVAL seq SECOND + INTERVAL seq % 1000 * 1000 MICROSECOND, \
             '2024-06-01' + INTERVAL seq SECOND + INTERVAL seq % 1000000 MICROSECOND, '2024-01-01' + INTERVAL seq % 1000 DAY, \
             CONCAT('note ', seq * 7919), 1 + seq % 3, CAST(seq % 256 AS SIGNED) - 128 FROM seq_{first}_to_{}",
            first + each - 1
        )
    };
    let statements: Vec<String> = (1..=rows).step_by(each as usize).map(statement).collect();
    Recording { name: "typed", file: record(TYPED, &statements), changes: rows, each }
}

/// Reads a whole file as the source does, checksums verified, and hands every change to `each`.
fn ours(file: &[u8], mut each: impl FnMut(&Change)) -> u64 {
    let watch = Watch::new(&["bench.*".to_string()], None).expect("a pattern");
    let mut assembler = Assembler::anywhere(watch, Hints::default(), &[]);
    let (mut steps, mut changes) = (Vec::new(), 0);
    for frame in FileEvents::new(file) {
        let frame = frame.expect("the server's log is whole");
        assembler.event(frame.header, frame.body, &mut steps).expect("the server's log is known");
        for step in steps.drain(..) {
            if let Step::Transaction { body: Body::Changes(whole), .. } = step {
                whole.iter().for_each(&mut each);
                changes += whole.len() as u64;
                black_box(whole);
            }
        }
    }
    changes
}

/// Reads a whole file with the peer, checksums not verified.
fn peer(file: &[u8], mut each: impl FnMut([Option<Vec<BinlogValue<'static>>>; 2])) -> u64 {
    let mut log = mysql_common::binlog::BinlogFile::new(BinlogVersion::Version4, file).expect("a binlog file");
    let mut changes = 0;
    while let Some(event) = log.next() {
        let event = event.expect("the server's log is whole");
        let Ok(Some(EventData::RowsEvent(rows))) = event.read_data() else { continue };
        let table = log.reader().get_tme(rows.table_id()).expect("a table map came before");
        for row in rows.rows(table) {
            let row = row.expect("the server's log is known to the peer");
            let (before, after) = black_box(row);
            changes += 1;
            each([before, after].map(|image| image.map(mysql_common::binlog::row::BinlogRow::unwrap)));
        }
    }
    changes
}

/// Row changes a second of PyPI's `mysql-replication`, over the first row events of a file; `None`: it is not installed.
fn python(file: &[u8], events: usize) -> Option<Figure> {
    let log = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(log.path(), file).expect("room for it");
    let program = std::env::var("THALWEG_PYTHON").unwrap_or_else(|_| "python3".to_string());
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/decode_peer.py");
    let output = Command::new(program).arg(script).arg(log.path()).arg(events.to_string()).output().ok()?;
    if output.status.code() == Some(3) {
        return None;
    }
    let told = String::from_utf8_lossy(&output.stdout);
    let [changes, seconds] = told.split_whitespace().flat_map(str::parse::<f64>).collect::<Vec<_>>()[..] else {
        panic!("decode_peer.py: {}", String::from_utf8_lossy(&output.stderr));
    };
    Some(Figure { median: changes / seconds / 1e6, best: None })
}

/// A sum over all values in their order; the texts of both contestants say the same for the same value.
#[derive(Default)]
struct Sum(std::hash::DefaultHasher);

impl Sum {
    fn ours(&mut self, change: &Change) {
        for image in [&change.before, &change.after] {
            image.iter().flatten().for_each(|value| our_text(value.as_ref().expect("full images")).hash(&mut self.0));
        }
    }

    fn peer(&mut self, images: [Option<Vec<BinlogValue<'static>>>; 2], is_typed: bool) {
        for image in images.iter().flatten() {
            image.iter().enumerate().for_each(|(i, value)| peer_text(value, i, is_typed).hash(&mut self.0));
        }
    }
}

fn our_text(value: &Value) -> String {
    match value {
        Value::Int(x) => x.to_string(),
        Value::Uint(x) => x.to_string(),
        Value::Double(x) => x.to_bits().to_string(),
        Value::Decimal(x) => x.to_string(),
        Value::Text(x) => x.to_string(),
        Value::Timestamp(t) => {
            let civil = Civil::at(*t, 0);
            format!("{} {}", civil.date(), civil.micros)
        }
        other => panic!("{other:?} is in none of the tables"),
    }
}

fn peer_text(value: &BinlogValue<'_>, column: usize, is_typed: bool) -> String {
    let BinlogValue::Value(value) = value else { panic!("{value:?} is in none of the tables") };
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("ASCII");
    match (value, is_typed.then_some(column)) {
        (Sql::Int(member), Some(9)) => MEMBERS[*member as usize - 1].to_string(),
        (Sql::Int(x), _) => x.to_string(),
        (Sql::UInt(x), _) => x.to_string(),
        (Sql::Double(x), _) => x.to_bits().to_string(),
        (Sql::Bytes(seconds), Some(6)) => {
            let seconds = text(seconds);
            let (whole, micros) = seconds.split_once('.').expect("microseconds");
            let number = |digits: &str| digits.parse::<i64>().expect("digits");
            our_text(&Value::Timestamp(thalweg_formulas::Timestamp(number(whole) * 1_000_000 + number(micros))))
        }
        (Sql::Bytes(bytes), _) => text(bytes),
        (Sql::Date(year, month, day, hour, minute, second, micros), _) => {
            let seconds = i64::from(*hour) * 3600 + i64::from(*minute) * 60 + i64::from(*second);
            format!("{year:04}-{month:02}-{day:02} {}", seconds * 1_000_000 + i64::from(*micros))
        }
        (other, _) => panic!("{other:?} is in none of the tables"),
    }
}

/// Right first: the same values in the same order.
fn check(recording: &Recording) {
    let (mut mine, mut theirs) = (Sum::default(), Sum::default());
    assert_eq!(ours(&recording.file, |change| mine.ours(change)), recording.changes);
    assert_eq!(peer(&recording.file, |images| theirs.peer(images, recording.name == "typed")), recording.changes);
    assert_eq!(mine.0.finish(), theirs.0.finish(), "{}: the values differ", recording.name);
}

fn main() {
    if !thalweg_testkit::require() {
        return;
    }
    let effort = Effort::from_args();
    let rows = effort.pick(400_000, 40_000);
    let readings = effort.pick(11, 3);
    let mut table = Table::new("how many row changes a second does one thread decode from a binlog file?");
    for recording in [narrow(rows, 1_000), narrow(rows, 100), typed(rows, 1_000)] {
        check(&recording);
        let Recording { name, changes, each, .. } = recording;
        let case = format!("{name}, {changes} changes, {each} a transaction, {:.0} MB", recording.megabytes());
        let rate = recording.rate(readings, |file| ours(file, |_| {}));
        table.ours(&case, rate, Unit::MillionPerS("changes"), Target::Reach(5.0));
        let theirs = recording.rate(effort.pick(3, 1), |file| peer(file, |images| drop(black_box(images))));
        table.peer("mysql_common `rows()`", theirs, Target::None);
        match python(&recording.file, effort.pick(1_000, 100)) {
            Some(rate) => table.peer("PyPI `mysql-replication`", rate, Target::None),
            None => println!("  PyPI `mysql-replication` is not installed, and is left out"),
        };
        let bytes = recording.megabytes() / recording.changes as f64 * 1e6;
        table.ours(format!("{name}, {each} a transaction, bytes"), rate.map(|rate| rate * bytes), Unit::PerS("MB"), Target::None);
    }
}
