//! Crashes, cuts and silence: nothing is lost, nothing comes twice.

use std::time::Duration;

use thalweg_graph::ports::SourceStatus;
use thalweg_sources::mysql::MysqlConfig;
use thalweg_testkit::{MySql, Proxy, require_mysql};

use super::{next, shop};
use crate::faults::{crashes, cuts, two_readers};
use crate::harness::{Running, config, follow, start};
use crate::hostile::peak_kilobytes;

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

/// A server that compresses transactions and has no checksums, and a source of `shop.a` over a proxy, with one transaction behind it.
fn compressing() -> (MySql, Proxy, Running) {
    let server = MySql::start_with(&["--binlog-transaction-compression=ON", "--binlog-checksum=NONE"]);
    server.exec("CREATE DATABASE shop; CREATE TABLE shop.a (id INT PRIMARY KEY, note TEXT)");
    let proxy = Proxy::to(server.port());
    let config = config(&format!("mysql://root@127.0.0.1:{}", proxy.port()), &["shop.a"]);
    // No heartbeat comes between the bytes that are counted.
    let mut source = start(MysqlConfig { heartbeat: Duration::from_secs(60), ..config }, None);
    source.transaction();
    source.until_live();
    insert(&server, 1);
    assert!(next(&server, &mut source).ends_with(&row(1)));
    (server, proxy, source)
}

fn insert(server: &MySql, id: usize) {
    server.exec(&format!("INSERT INTO shop.a VALUES ({id}, REPEAT('x', 300))"));
}

fn row(id: usize) -> String {
    format!("+a({id}, \"{}\")", "x".repeat(300))
}

/// Bytes of the next transaction on the wire before those of the compressed event's body.
fn bytes_before_the_body(server: &MySql) -> u64 {
    const PACKET: u64 = 5;
    const HEADER: u64 = 19;
    let events = server.query("SHOW BINLOG EVENTS");
    let number = |cell: &str| cell.parse::<u64>().unwrap();
    let gtid = events.iter().rfind(|event| event[2] == "Gtid").map(|event| number(&event[4]) - number(&event[1])).unwrap();
    PACKET + gtid + PACKET + HEADER
}

#[test]
fn src_22_a_compressed_transaction_that_cannot_be_unpacked_is_read_again() {
    if !require_mysql() {
        return;
    }
    let (server, proxy, mut source) = compressing();
    // The head of such an event is 12 bytes here; then the compressed bytes begin.
    proxy.damage_after(bytes_before_the_body(&server) + 12);
    insert(&server, 2);
    insert(&server, 3);
    let status = source.until("damage", |s| matches!(s, SourceStatus::Connecting { error: Some(_) }));
    let text = "E0415: malformed event: a compressed transaction: Unknown frame descriptor";
    assert_eq!(status, SourceStatus::Connecting { error: Some(text.into()) });
    for id in [2, 3] {
        assert!(next(&server, &mut source).ends_with(&row(id)));
    }
}

/// What is claimed to be in it, and how it is packed: whatever of that is wrong, the transaction comes once, and no memory is taken for it.
#[test]
fn src_22_no_damage_to_the_head_of_a_compressed_transaction_loses_it_or_takes_memory() {
    if !require_mysql() {
        return;
    }
    let (server, proxy, mut source) = compressing();
    let before = peak_kilobytes();
    // Byte 2 is the algorithm's number, and another one is refused by name.
    for at in (0..12).filter(|at| *at != 2) {
        proxy.damage_after(bytes_before_the_body(&server) + at);
        let id = 2 + at as usize;
        insert(&server, id);
        assert!(next(&server, &mut source).ends_with(&row(id)), "byte {at}");
    }
    let errors = source.statuses.iter().filter(|s| matches!(s, SourceStatus::Connecting { error: Some(_) })).count();
    assert!(errors > 6, "{:?}", source.statuses);
    let grown = peak_kilobytes() - before;
    assert!(grown < 50_000, "{grown} kB more");
}

/// Of a table that is not watched, so that nothing but the unpacking could take memory or room. The engine keeps no rows.
#[test]
fn src_15_a_compressed_transaction_is_unpacked_event_by_event() {
    if !require_mysql() {
        return;
    }
    let server = MySql::start_with(&["--binlog-transaction-compression=ON"]);
    server.exec("CREATE DATABASE shop; CREATE TABLE shop.a (id INT PRIMARY KEY); CREATE TABLE shop.other (note LONGTEXT) ENGINE = BLACKHOLE");
    let mut source = follow(&server.url(), &["shop.a"]);
    let before = peak_kilobytes();
    let digits = "(SELECT 0 UNION ALL SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3 UNION ALL SELECT 4 UNION ALL SELECT 5 UNION ALL SELECT 6)";
    server.exec(&format!(
        "USE shop; INSERT INTO other SELECT REPEAT('n', 1000000) FROM {digits} x JOIN {digits} y JOIN {digits} z; INSERT INTO a VALUES (1)"
    ));
    assert!(next(&server, &mut source).ends_with(": +a(1)"));
    let packed = server.query("SHOW BINLOG EVENTS").into_iter().find(|event| event[2] == "Transaction_payload").unwrap();
    let unpacked = packed[5].split("decompressed_size=").nth(1).unwrap().split(' ').next().unwrap().parse::<u64>().unwrap();
    assert!(unpacked > 340_000_000, "{packed:?}");
    let grown = peak_kilobytes() - before;
    assert!(grown < 30_000, "{grown} kB more for {unpacked} bytes");
}
