//! Crashes, cuts and silence: nothing is lost, nothing comes twice.

use std::time::Duration;

use thalweg_graph::ports::SourceStatus;
use thalweg_sources::mysql::MysqlConfig;
use thalweg_testkit::{MySql, Proxy, require_mysql};

use super::{next, shop};
use crate::faults::{crashes, cuts, two_readers};
use crate::harness::{config, follow, start};

#[test]
fn src_1_nothing_is_lost_or_repeated_over_server_crashes() {
    if !require_mysql() {
        return;
    }
    crashes(&mut shop("CREATE TABLE a (id INT PRIMARY KEY)"), 3);
}

#[test]
fn src_2_a_cut_at_any_byte_loses_and_repeats_nothing() {
    if !require_mysql() {
        return;
    }
    cuts(&shop("CREATE TABLE a (id INT PRIMARY KEY, note VARCHAR(200))"), 15, 6000);
}

#[test]
fn src_5_heartbeats_keep_a_quiet_connection_and_silence_ends_it() {
    if !require_mysql() {
        return;
    }
    let server = shop("CREATE TABLE a (id INT PRIMARY KEY)");
    let proxy = Proxy::to(server.port());
    let mut source = follow(&format!("mysql://root@127.0.0.1:{}", proxy.port()), &["shop.a"]);
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
    two_readers(&shop("CREATE TABLE a (id INT PRIMARY KEY)"));
}

/// Without checksums, and where the protocol library unpacks and says nothing if it could not: the transaction is read again, not passed by.
#[test]
fn src_22_a_compressed_transaction_that_cannot_be_unpacked_is_read_again() {
    if !require_mysql() {
        return;
    }
    let server = MySql::start_with(&["--binlog-transaction-compression=ON", "--binlog-checksum=NONE"]);
    server.exec("CREATE DATABASE shop; CREATE TABLE shop.a (id INT PRIMARY KEY, note TEXT)");
    let proxy = Proxy::to(server.port());
    let config = config(&format!("mysql://root@127.0.0.1:{}", proxy.port()), &["shop.a"]);
    // No heartbeat comes between the bytes that are counted.
    let mut source = start(MysqlConfig { heartbeat: Duration::from_secs(60), ..config }, None);
    source.transaction();
    source.until_live();
    let insert = |id: u32| server.exec(&format!("INSERT INTO shop.a VALUES ({id}, REPEAT('x', 300))"));
    let row = |id: u32| format!("+a({id}, \"{}\")", "x".repeat(300));
    insert(1);
    assert!(next(&server, &mut source).ends_with(&row(1)));
    // The GTID event of such a transaction, and the head of the packet behind it; then the compressed bytes begin.
    let events = server.query("SHOW BINLOG EVENTS");
    let number = |cell: &str| cell.parse::<u64>().unwrap();
    let gtid = events.iter().rfind(|event| event[2] == "Gtid").map(|event| number(&event[4]) - number(&event[1])).unwrap();
    const PACKET: u64 = 5;
    const HEADS: u64 = PACKET + 19 + 12;
    proxy.damage_after(PACKET + gtid + HEADS);
    insert(2);
    insert(3);
    let status = source.until("damage", |s| matches!(s, SourceStatus::Connecting { error: Some(_) }));
    let text = "E0415: malformed event: a compressed transaction that cannot be unpacked";
    assert_eq!(status, SourceStatus::Connecting { error: Some(text.into()) });
    for id in [2, 3] {
        assert!(next(&server, &mut source).ends_with(&row(id)));
    }
}
