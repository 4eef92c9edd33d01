//! Crashes, cuts and silence: nothing is lost, nothing comes twice.

use std::time::Duration;

use thalweg_graph::ports::SourceStatus;
use thalweg_testkit::{Proxy, require_mysql};

use super::{next, shop};
use crate::faults::{crashes, cuts, two_readers};
use crate::harness::follow;

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
