//! Crashes, cuts and silence: nothing is lost, nothing comes twice.

use std::time::Duration;

use thalweg_formulas::Value;
use thalweg_graph::Transaction;
use thalweg_graph::ports::SourceStatus;
use thalweg_testkit::{Proxy, require_mysql};

use super::{follow, next, shop};
use crate::harness::{changes, config, start};

/// The first columns of the rows that a transaction inserts.
fn ids(transaction: &Transaction) -> Vec<i64> {
    let id = |c: &thalweg_graph::Change| match c.after.as_ref().unwrap()[0] {
        Some(Value::Int(id)) => id,
        ref other => panic!("{other:?}"),
    };
    changes(transaction).iter().map(id).collect()
}

#[test]
fn src_1_nothing_is_lost_or_repeated_over_server_crashes() {
    if !require_mysql() {
        return;
    }
    let mut server = shop("CREATE TABLE a (id INT PRIMARY KEY)");
    let mut source = follow(&server, &["shop.a"]);
    for round in 0..3 {
        let inserts: String = (0..200).map(|i| format!("INSERT INTO shop.a VALUES ({});", round * 1000 + i)).collect();
        std::thread::scope(|scope| {
            let client = server.client();
            let writer = scope.spawn(move || client.try_query(&inserts).ok());
            std::thread::sleep(Duration::from_millis(20 + 25 * round as u64));
            server.kill9();
            writer.join().unwrap();
        });
        server.restart();
    }
    server.exec("INSERT INTO shop.a VALUES (-1)");
    let mut seen = Vec::new();
    while !seen.contains(&-1) {
        seen.extend(ids(&source.transaction()));
    }
    seen.pop();
    let stored: Vec<i64> =
        server.query("SELECT id FROM shop.a WHERE id >= 0 ORDER BY id").iter().map(|r| r[0].parse().unwrap()).collect();
    assert_eq!(seen, stored);
}

#[test]
fn src_2_a_cut_at_any_byte_loses_and_repeats_nothing() {
    if !require_mysql() {
        return;
    }
    let server = shop("CREATE TABLE a (id INT PRIMARY KEY, note VARCHAR(200))");
    let proxy = Proxy::to(server.port());
    let mut source = start(config(&format!("mysql://root@127.0.0.1:{}", proxy.port()), &["shop.a"]), None);
    source.transaction();
    source.until_live();
    for round in 0..15i64 {
        proxy.cut_after(1 + (round as u64 * 397) % 6000);
        let rows: Vec<String> = (0..40).map(|i| format!("({}, REPEAT('n', {}))", round * 100 + i, i * 5)).collect();
        server.exec(&format!(
            "INSERT INTO shop.a VALUES {}; INSERT INTO shop.a VALUES ({}, 'one')",
            rows.join(","),
            round * 100 + 99
        ));
        assert_eq!(ids(&source.transaction()), (0..40).map(|i| round * 100 + i).collect::<Vec<i64>>());
        assert_eq!(ids(&source.transaction()), [round * 100 + 99]);
    }
    assert!(proxy.accepted() > 12, "{}", proxy.accepted());
}

#[test]
fn src_5_heartbeats_keep_a_quiet_connection_and_silence_ends_it() {
    if !require_mysql() {
        return;
    }
    let server = shop("CREATE TABLE a (id INT PRIMARY KEY)");
    let proxy = Proxy::to(server.port());
    let mut source = start(config(&format!("mysql://root@127.0.0.1:{}", proxy.port()), &["shop.a"]), None);
    source.transaction();
    source.until_live();
    source.nothing_for(Duration::from_millis(1500));
    proxy.stall(true);
    server.exec("INSERT INTO shop.a VALUES (1)");
    let status = source.until("a silent server", |s| matches!(s, SourceStatus::Connecting { error: Some(_) }));
    assert_eq!(status, SourceStatus::Connecting { error: Some("E0400: no sign of life from the server for 900ms".into()) });
    proxy.cut();
    proxy.stall(false);
    assert_eq!(next(&server, &mut source), "U:3: +a(1)");
}

#[test]
fn src_11_two_readers_with_one_server_id_are_told() {
    if !require_mysql() {
        return;
    }
    let server = shop("CREATE TABLE a (id INT PRIMARY KEY)");
    let mut config = config(&server.url(), &["shop.a"]);
    config.server_id = Some(77);
    let mut first = start(config.clone(), None);
    first.transaction();
    first.until_live();
    let mut second = start(config, None);
    second.transaction();
    second.until_live();
    let status = first.until("being pushed out", |s| matches!(s, SourceStatus::Connecting { error: Some(_) }));
    let text = "E0412: another reader has the same server id; give each its own `server_id`, or none for a random one";
    assert_eq!(status, SourceStatus::Connecting { error: Some(text.into()) });
}
