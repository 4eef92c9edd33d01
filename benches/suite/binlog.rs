//! From a binlog file to deltas: w2 over rows that a private MariaDB has logged, inserted and then updated, a hundred a transaction.
//!
//! Ours decodes as the source does, checksums verified, and steps after ten transactions, each of which is an epoch. The peer decodes with
//! `mysql_common`, checksums not verified, and hands ten transactions as one time to the dataflow of w2. Without a server nothing is measured.

use mysql_common::binlog::consts::BinlogVersion;
use mysql_common::binlog::events::EventData;
use mysql_common::binlog::row::BinlogRow;
use mysql_common::binlog::value::BinlogValue;
use mysql_common::value::Value as Sql;
use thalweg_formulas::Timestamp;
use thalweg_graph::Transaction;
use thalweg_sources::binlog::frame::FileEvents;
use thalweg_sources::binlog::plan::Hints;
use thalweg_sources::binlog::{Assembler, Step, Watch};

use super::Entry;
use super::data::w2_shown;
use super::differential;
use super::flow::{Flow, Input};
use super::harness::Runner;
use super::ours::Ours;
use super::workloads::{Contestant, Size};
use crate::graphs::Doc;
use crate::recording::record;

/// Rows of a transaction.
const EACH: u64 = 100;

/// Transactions of a step.
const STEP: usize = 10;

/// What is logged: each item inserted, then updated.
struct Log {
    items: u64,
    file: Vec<u8>,
}

impl Log {
    fn new(items: u64) -> Log {
        let create = "CREATE TABLE item (id INT NOT NULL PRIMARY KEY, orders INT NOT NULL, price INT NOT NULL, qty INT NOT NULL)";
        let orders = items / 10;
        let insert = |first: u64| {
            let rows = format!("seq, seq % {orders}, 1 + seq * 7919 % 10000, 1 + seq % 9");
            format!("INSERT INTO item SELECT {rows} FROM seq_{first}_to_{}", first + EACH - 1)
        };
        let update = |first: u64| {
            format!("UPDATE item SET price = 1 + id * 4729 % 10000 WHERE id BETWEEN {first} AND {}", first + EACH - 1)
        };
        let firsts = (0..items).step_by(EACH as usize);
        let statements: Vec<String> = firsts.clone().map(insert).chain(firsts.map(update)).collect();
        Log { items, file: record(create, &statements) }
    }

    /// The right answer at the end.
    fn checksum(&self) -> u64 {
        let orders = self.items / 10;
        let part = |order: u64| {
            let (mut sum, mut count, mut max) = (0, 0, 0);
            for id in (order..self.items).step_by(orders as usize) {
                let (price, qty) = ((1 + id * 4_729 % 10_000) as i64, (1 + id % 9) as i64);
                (sum, count, max) = (sum + price * qty, count + 1, max.max(price));
            }
            w2_shown(order, sum, count, max)
        };
        (0..orders).map(part).fold(0, u64::wrapping_add)
    }
}

/// Who reads a log.
trait Reads: Contestant {
    /// Reads all of it, step by step.
    fn read(&mut self, file: &[u8]);
}

fn run<E: Reads>(mut runner: Runner<'_>, size: Size, make: impl FnOnce() -> E) {
    if !thalweg_testkit::require() {
        return;
    }
    let log = Log::new(size.pick(500_000, 50_000, 1_000));
    let mut engine = make();
    let rows = 2 * log.items;
    let measured = runner.measure_parts(rows, &mut engine, [&log.file[..]].into_iter(), |_, file| file, E::read);
    runner.tell("file", measured, engine.checksum() == log.checksum());
}

/// Ours and by hand.
pub(super) fn entries() -> Vec<Entry> {
    vec![
        Entry::new("binlog", "thalweg", |runner, size| run(runner, size, ours)),
        Entry::new("binlog", "differential", |runner, size| run(runner, size, || differential::w2(1))),
    ]
}

fn ours() -> Ours {
    let item = Doc::new("Item", &["id", "orders", "price", "qty"].map(|name| (name, "int"))).from("bench.item");
    let order = Doc::group("Order", "Item", &[("id", "orders")], "items");
    let fields = [
        ("Order.sum", "sum(items[*].price * items[*].qty)"),
        ("Order.count", "count(items[*].id)"),
        ("Order.max", "max(items[*].price)"),
    ];
    Ours::new(vec![item, order], &fields, &["Order.sum", "Order.count", "Order.max"], 0, 1)
}

impl Reads for Ours {
    fn read(&mut self, file: &[u8]) {
        let watch = Watch::new(&["bench.*".to_string()], None).expect("a pattern");
        let mut assembler = Assembler::anywhere(watch, Hints::default(), &[]);
        let (mut steps, mut waiting) = (Vec::new(), 0);
        for frame in FileEvents::new(file) {
            let frame = frame.expect("the server's log is whole");
            assembler.event(frame.header, frame.body, &mut steps).expect("the server's log is known");
            for step in steps.drain(..) {
                if let Step::Transaction { seconds, body, .. } = step {
                    let at = Timestamp(i64::from(seconds) * 1_000_000);
                    self.push(Transaction { source: "bench".into(), origin: "".into(), at, body });
                    waiting += 1;
                }
            }
            if waiting >= STEP {
                self.close();
                waiting = 0;
            }
        }
        self.close();
    }
}

/// A row as the dataflow takes it.
fn row(image: BinlogRow) -> (u32, (u32, u32)) {
    let number = |value: &BinlogValue<'_>| match value {
        BinlogValue::Value(Sql::Int(x)) => *x as u32,
        other => panic!("{other:?} is no INT"),
    };
    let image = image.unwrap();
    (number(&image[1]), (number(&image[2]), number(&image[3])))
}

impl Reads for Flow<(u32, (u32, u32))> {
    fn read(&mut self, file: &[u8]) {
        let mut log = mysql_common::binlog::BinlogFile::new(BinlogVersion::Version4, file).expect("a binlog file");
        let (mut input, mut waiting) = (Input::default(), 0);
        while let Some(event) = log.next() {
            let event = event.expect("the server's log is whole");
            match event.read_data() {
                Ok(Some(EventData::RowsEvent(rows))) => {
                    let table = log.reader().get_tme(rows.table_id()).expect("a table map came before");
                    for images in rows.rows(table) {
                        let (before, after) = images.expect("the server's log is known to the peer");
                        input.a.extend(before.map(|image| (row(image), -1)));
                        input.a.extend(after.map(|image| (row(image), 1)));
                    }
                }
                Ok(Some(EventData::XidEvent(_))) => waiting += 1,
                _ => {}
            }
            if waiting >= STEP {
                self.step(std::mem::take(&mut input));
                waiting = 0;
            }
        }
        self.step(input);
    }
}
