//! Crashes, cuts and silence: nothing is lost, nothing comes twice.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use thalweg_graph::ports::SourceStatus;
use thalweg_sources::mysql::MysqlConfig;
use thalweg_testkit::{MariaDb, Proxy, Server, require};

use crate::harness::{config, follow, ids, line, start};

/// The table `shop.a` gets rows, and the server is killed, again and again: in the end every row has come that is there, once, in order.
pub fn crashes(server: &mut Server, rounds: i64) {
    let mut source = follow(&server.url(), &["shop.a"]);
    let mut seen = Vec::new();
    for round in 0..rounds {
        let inserts: String = (0..200).map(|i| format!("INSERT INTO shop.a VALUES ({});", round * 1000 + i)).collect();
        std::thread::scope(|scope| {
            let client = server.client();
            let writer = scope.spawn(move || client.try_query(&inserts).ok());
            // Among the commits: this one has arrived, others are under way, most are still to come.
            while seen.last().is_none_or(|id| *id < round * 1000 + 20 * round) {
                seen.extend(ids(&source.transaction()));
            }
            server.kill9();
            writer.join().unwrap();
        });
        server.restart();
    }
    server.exec("INSERT INTO shop.a VALUES (-1)");
    while seen.last() != Some(&-1) {
        seen.extend(ids(&source.transaction()));
    }
    seen.pop();
    let stored = server.query("SELECT id FROM shop.a WHERE id >= 0 ORDER BY id");
    assert_eq!(seen, stored.iter().map(|row| row[0].parse().unwrap()).collect::<Vec<i64>>());
    assert!(source.statuses.iter().any(|s| matches!(s, SourceStatus::Connecting { error: Some(_) })), "{:?}", source.statuses);
}

/// Each connection is cut somewhere in the first `span` bytes; the table is `shop.a (id, note)`.
pub fn cuts(server: &Server, rounds: i64, span: u64) {
    let proxy = Proxy::to(server.port());
    let mut source = follow(&format!("mysql://root@127.0.0.1:{}", proxy.port()), &["shop.a"]);
    for round in 0..rounds {
        proxy.cut_after(1 + (round as u64 * 397) % span);
        let rows: Vec<String> = (0..40).map(|i| format!("({}, REPEAT('n', {}))", round * 100 + i, i * 5)).collect();
        server.exec(&format!(
            "INSERT INTO shop.a VALUES {}; INSERT INTO shop.a VALUES ({}, 'one')",
            rows.join(","),
            round * 100 + 99
        ));
        assert_eq!(ids(&source.transaction()), (0..40).map(|i| round * 100 + i).collect::<Vec<i64>>());
        assert_eq!(ids(&source.transaction()), [round * 100 + 99]);
    }
    assert!(proxy.accepted() as i64 > rounds * 4 / 5, "{}", proxy.accepted());
}

/// Of two readers of `shop.a` with one id the first is pushed out.
pub fn two_readers(server: &Server) {
    let config = MysqlConfig { server_id: Some(77), ..config(&server.url(), &["shop.a"]) };
    let mut first = start(config.clone(), None);
    first.transaction();
    first.until_live();
    let mut second = start(config, None);
    second.transaction();
    second.until_live();
    let status = first.until("being pushed out", |s| matches!(s, SourceStatus::Connecting { error: Some(_) }));
    let text = "E0412: another reader has the same server id; give each its own `server_id`, or none for a random one";
    assert_eq!(status, SourceStatus::Connecting { error: Some(text.into()) });
    // Two that push each other out wait three seconds each, so neither comes more than ten times a minute.
    let pushed = Instant::now();
    first.until("the next connection", |s| matches!(s, SourceStatus::Live(_)));
    assert!(pushed.elapsed() >= Duration::from_secs(3), "it came back after {:?}", pushed.elapsed());
}

#[test]
fn src_1_nothing_is_lost_or_repeated_over_server_crashes() {
    if !require() {
        return;
    }
    let mut server = MariaDb::start();
    server.exec("CREATE DATABASE shop; CREATE TABLE shop.a (id INT PRIMARY KEY)");
    crashes(&mut server, 5);
}

#[test]
fn src_2_a_cut_at_any_byte_loses_and_repeats_nothing() {
    if !require() {
        return;
    }
    let server = MariaDb::start();
    server.exec("CREATE DATABASE shop; CREATE TABLE shop.a (id INT PRIMARY KEY, note VARCHAR(200))");
    // A connection brings some 4 kB before its first transaction; the cut falls anywhere in what follows.
    cuts(&server, 25, 9000);
}

/// A changed byte in `shop.a (id, note)` is found by the checksum of its event, and read again.
pub fn damaged(server: &Server) {
    let proxy = Proxy::to(server.port());
    let mut source = follow(&format!("mysql://root@127.0.0.1:{}", proxy.port()), &["shop.a"]);
    proxy.damage_after(30_000);
    server.exec("INSERT INTO shop.a VALUES (1, REPEAT('x', 60000))");
    let status = source.until("damage", |s| matches!(s, SourceStatus::Connecting { error: Some(_) }));
    let SourceStatus::Connecting { error: Some(text) } = status else { unreachable!() };
    assert!(text.starts_with("E0415: checksum mismatch in an event of type 23 that ends at "), "{text}");
    let transaction = source.transaction();
    let x = "x".repeat(60_000);
    assert_eq!(line(&transaction), format!("0-1-3: +a(1, \"{x}\")"));
}

#[test]
fn src_22_a_byte_damaged_on_the_way_is_found_and_read_again() {
    if require() {
        let server = MariaDb::start();
        server.exec("CREATE DATABASE shop; CREATE TABLE shop.a (id INT PRIMARY KEY, note TEXT)");
        damaged(&server);
    }
}

#[test]
fn src_5_a_silent_server_is_given_up_and_found_again() {
    if !require() {
        return;
    }
    let server = MariaDb::start();
    server.exec("CREATE DATABASE shop; CREATE TABLE shop.a (id INT PRIMARY KEY)");
    let proxy = Proxy::to(server.port());
    let mut source = follow(&format!("mysql://root@127.0.0.1:{}", proxy.port()), &["shop.a"]);
    source.nothing_for(Duration::from_millis(1200)); // Heartbeats keep it up.
    proxy.stall(true);
    server.exec("INSERT INTO shop.a VALUES (1)");
    let begin = Instant::now();
    let status = source.until("a silent server", |s| matches!(s, SourceStatus::Connecting { error: Some(_) }));
    assert_eq!(status, SourceStatus::Connecting { error: Some("E0400: no sign of life from the server for 900ms".into()) });
    assert!(begin.elapsed() < Duration::from_secs(5));
    proxy.cut();
    proxy.stall(false);
    assert_eq!(line(&source.transaction()), "0-1-3: +a(1)");
}

#[test]
fn a_position_resumes_exactly_behind_its_transaction() {
    if !require() {
        return;
    }
    let server = MariaDb::start();
    server.exec("CREATE DATABASE shop; CREATE TABLE shop.a (id INT PRIMARY KEY)");
    let inserts: String = (0..300).map(|i| format!("INSERT INTO shop.a VALUES ({i});")).collect();
    server.exec(&inserts);
    let mut seen = Vec::new();
    let mut position = String::new();
    for stop_after in [1, 7, 50, 0, 100, 142] {
        let mut source = start(config(&server.url(), &["shop.a"]), Some(&position));
        for _ in 0..stop_after {
            seen.extend(ids(&source.transaction()));
        }
        position = source.position.clone().unwrap();
    }
    assert_eq!(seen, (0..300).collect::<Vec<i64>>());
    assert_eq!(seen.iter().collect::<BTreeSet<_>>().len(), 300);
}

#[test]
fn src_11_two_readers_with_one_server_id_are_told() {
    if !require() {
        return;
    }
    let server = MariaDb::start();
    server.exec("CREATE DATABASE shop; CREATE TABLE shop.a (id INT PRIMARY KEY)");
    two_readers(&server);
}

#[test]
fn a_server_that_is_down_is_waited_for() {
    if !require() {
        return;
    }
    let mut server = MariaDb::start();
    server.exec("CREATE DATABASE shop; CREATE TABLE shop.a (id INT PRIMARY KEY)");
    server.shutdown();
    let mut source = start(config(&server.url(), &["shop.a"]), None);
    let status = source.until("an error", |s| matches!(s, SourceStatus::Connecting { error: Some(_) }));
    let SourceStatus::Connecting { error: Some(text) } = status else { unreachable!() };
    assert!(text.starts_with("E0400: ") && text.contains("onnection refused"), "{text}");
    server.restart();
    assert_eq!(line(&source.transaction()), "snapshot:0-1-2: fill");
}
