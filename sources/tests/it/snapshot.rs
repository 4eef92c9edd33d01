//! The snapshot and the log meet exactly.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

use thalweg_formulas::Value;
use thalweg_graph::transaction::Body;
use thalweg_graph::{Op, Row};
use thalweg_sources::mysql::{MysqlConfig, Snapshot, SnapshotEffects};
use thalweg_testkit::{MariaDb, Server, require};

use crate::harness::{changes, config, line, start};

/// A table of four counters.
pub const COUNTERS: &str = "CREATE TABLE shop.c (id INT PRIMARY KEY, n INT); INSERT INTO shop.c VALUES (0,0),(1,0),(2,0),(3,0)";

fn counter(row: &Row) -> (i64, i64) {
    match row[..] {
        [Some(Value::Int(id)), Some(Value::Int(n))] => (id, n),
        ref other => panic!("{other:?}"),
    }
}

/// Runs `test` while four writers count in [`COUNTERS`] as fast as they can.
pub fn under_writers(server: &Server, test: impl FnOnce()) {
    let ended = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for id in 0..4 {
            let ended = &ended;
            let block = format!("UPDATE shop.c SET n = n + 1 WHERE id = {id};").repeat(200);
            scope.spawn(move || {
                while !ended.load(Ordering::Relaxed) {
                    server.exec(&block);
                }
            });
        }
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(test));
        ended.store(true, Ordering::Relaxed);
        result.unwrap();
    });
}

/// In each round the first before-image of every counter must be what the snapshot read.
pub fn rounds(server: &Server, url: &str, count: usize) {
    for _ in 0..count {
        let mut source = start(config(url, &["shop.c"]), None);
        let fill = source.transaction();
        let mut expected: BTreeMap<i64, i64> = changes(&fill).iter().map(|c| counter(c.after.as_ref().unwrap())).collect();
        assert_eq!(expected.len(), 4);
        while !expected.is_empty() {
            for change in changes(&source.transaction()) {
                assert_eq!(change.op, Op::Update);
                let (id, n) = counter(change.before.as_ref().unwrap());
                if let Some(wanted) = expected.remove(&id) {
                    assert_eq!(n, wanted, "counter {id}: the log begins elsewhere than the snapshot ends; at {}", server.gtid());
                }
            }
        }
    }
}

#[test]
fn src_18_a_snapshot_under_writers_neither_loses_nor_repeats() {
    if !require() {
        return;
    }
    let server = MariaDb::start();
    server.exec(&format!("CREATE DATABASE shop; {COUNTERS}"));
    under_writers(&server, || rounds(&server, &server.url(), 12));
}

/// More rows than a piece has: what cannot be half there comes as one transaction, with the position that belongs to all of it.
#[test]
fn src_18_a_snapshot_of_several_pieces_is_one_transaction_where_that_is_asked_for() {
    if !require() {
        return;
    }
    let server = MariaDb::start();
    server.exec(
        "CREATE DATABASE shop; USE shop; CREATE TABLE a (id INT PRIMARY KEY); INSERT INTO a SELECT seq FROM seq_1_to_25000",
    );
    for (in_one, sizes) in [(false, &[10_000, 10_000, 5_000][..]), (true, &[25_000])] {
        let config = MysqlConfig { clears: true, in_one, ..config(&server.url(), &["shop.a"]) };
        let mut source = start(config, None);
        for (i, size) in sizes.iter().enumerate() {
            let transaction = source.transaction();
            assert_eq!(changes(&transaction).len(), *size, "in one: {in_one}");
            assert!(matches!(transaction.body, Body::Fill(_)), "in one: {in_one}");
            let is_last = i + 1 == sizes.len();
            let place = if is_last { server.gtid() } else { "snapshot".into() };
            assert_eq!(source.stand(), place + ";tables=shop.a", "in one: {in_one}");
        }
        source.until_live();
    }
}

#[test]
fn a_snapshot_is_taken_as_the_settings_say() {
    if !require() {
        return;
    }
    let server = MariaDb::start();
    server.exec("CREATE DATABASE shop; USE shop; CREATE TABLE a (id INT PRIMARY KEY); INSERT INTO a VALUES (1); CREATE TABLE b (x INT); INSERT INTO b VALUES (5), (5)");
    let mut config = config(&server.url_of("shop"), &[]);
    let mut source = start(config.clone(), None);
    assert_eq!(line(&source.transaction()), "snapshot:0-1-5: fill +a(1) +b(5) +b(5)");
    assert_eq!(source.stand(), "0-1-5");
    source.until_live();

    config.snapshot = Snapshot::Always;
    config.snapshot_effects = SnapshotEffects::Fire;
    let mut source = start(config.clone(), Some("0-1-2"));
    assert_eq!(line(&source.transaction()), "snapshot:0-1-5: +a(1) +b(5) +b(5)");

    config.snapshot = Snapshot::Never;
    let mut source = start(config.clone(), None);
    source.until_live();
    assert_eq!(source.stand(), "0-1-5");
    server.exec("INSERT INTO shop.a VALUES (2)");
    assert_eq!(line(&source.transaction()), "0-1-6: +a(2)");
    let tables: Vec<String> = source.schemas.iter().map(|s| format!("{} {:?}", s.table, s.key)).collect();
    assert_eq!(tables, ["shop.a [0]", "shop.b []"]);
}
