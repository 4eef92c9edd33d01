//! The snapshot and the log meet exactly, by either kind of lock.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

use thalweg_formulas::Value;
use thalweg_graph::Op;
use thalweg_graph::Row;
use thalweg_testkit::{MySql, require_mysql};

use super::shop;
use crate::harness::{changes, config, start};

fn counter(row: &Row) -> (i64, i64) {
    match row[..] {
        [Some(Value::Int(id)), Some(Value::Int(n))] => (id, n),
        ref other => panic!("{other:?}"),
    }
}

/// In each round the first before-image of every counter must be what the snapshot read.
fn rounds(server: &MySql, url: &str, count: usize) {
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
    if !require_mysql() {
        return;
    }
    let server = shop(
        "CREATE TABLE c (id INT PRIMARY KEY, n INT); INSERT INTO c VALUES (0,0),(1,0),(2,0),(3,0);
         CREATE USER plain@'%' IDENTIFIED BY ''; GRANT REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO plain@'%';
         GRANT SELECT, LOCK TABLES ON shop.* TO plain@'%'",
    );
    let ended = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for id in 0..4 {
            let (server, ended) = (&server, &ended);
            let block = format!("UPDATE shop.c SET n = n + 1 WHERE id = {id};").repeat(200);
            scope.spawn(move || {
                while !ended.load(Ordering::Relaxed) {
                    server.exec(&block);
                }
            });
        }
        let all = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            rounds(&server, &server.url(), 8); // FLUSH TABLES WITH READ LOCK
            rounds(&server, &format!("mysql://plain@127.0.0.1:{}", server.port()), 8); // LOCK TABLES
        }));
        ended.store(true, Ordering::Relaxed);
        all.unwrap();
    });
}

/// A statement that runs for long holds up a lock on everything, and not one on the watched tables alone.
#[test]
fn a_long_statement_elsewhere_does_not_hold_up_a_snapshot() {
    if !require_mysql() {
        return;
    }
    let server = shop(
        "CREATE TABLE a (id INT PRIMARY KEY); INSERT INTO a VALUES (1); CREATE TABLE elsewhere (id INT); INSERT INTO elsewhere VALUES (1)",
    );
    std::thread::scope(|scope| {
        let client = server.client();
        scope.spawn(move || client.try_query("SELECT SLEEP(20) FROM shop.elsewhere"));
        while server.query("SHOW PROCESSLIST").iter().all(|row| !row.concat().contains("SLEEP(20)")) {
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        let mut source = start(config(&server.url(), &["shop.a"]), None);
        assert_eq!(super::next(&server, &mut source), "snapshot:U:1-5: fill +a(1)");
        let waits = server.query("SHOW PROCESSLIST").iter().any(|row| row.concat().contains("SLEEP(20)"));
        assert!(waits, "the snapshot came only after the statement");
        source.until_live();
        server.exec("INSERT INTO shop.a VALUES (2)");
        assert_eq!(super::next(&server, &mut source), "U:6: +a(2)");
    });
}
