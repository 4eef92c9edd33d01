//! More of what happens to servers: resets, failovers, clocks, settings and rights that change under a source.

use thalweg_graph::ports::SourceStatus;
use thalweg_testkit::{MariaDb, MySql, Proxy, Server, require, require_mysql};

use crate::harness::{Running, changes, config, eventually, follow, line, show, start};

/// A source over a proxy that has taken its snapshot and is live.
fn follow_through(proxy: &Proxy) -> Running {
    follow(&format!("mysql://root@127.0.0.1:{}", proxy.port()), &["shop.a"])
}

/// Runs SQL until it gives what is wanted.
fn wait_for(server: &Server, sql: &str, wanted: &str) {
    eventually(&format!("{wanted} as the answer to {sql}"), || server.query(sql).concat().concat() == wanted);
}

#[test]
fn src_3_4_a_transaction_that_is_cut_in_its_middle_is_read_whole_again() {
    if !require() {
        return;
    }
    let server = MariaDb::start();
    server.exec("CREATE DATABASE shop; CREATE TABLE shop.a (id INT PRIMARY KEY, note VARCHAR(200))");
    let proxy = Proxy::to(server.port());
    let mut source = follow_through(&proxy);
    for round in 0..4 {
        // Some hundred row events; the cut falls behind the first table map, long before the end.
        proxy.cut_after(60_000 + round * 150_000);
        server.exec(&format!(
            "USE shop; BEGIN; INSERT INTO a SELECT seq + {}, REPEAT('n', 100) FROM seq_1_to_5000; DELETE FROM a WHERE id % 2 = 0; COMMIT",
            round * 10_000
        ));
        let before = source.position.clone();
        let transaction = source.transaction();
        assert_eq!(changes(&transaction).len(), 7_500);
        assert_ne!(source.position, before);
        assert_eq!(source.position.as_deref(), Some(&*server.gtid()));
    }
    assert!(proxy.accepted() >= 5, "{}", proxy.accepted());
}

#[test]
fn src_8_a_reset_log_is_another_history() {
    if !require() {
        return;
    }
    let server = MariaDb::start();
    server.exec("CREATE DATABASE shop; CREATE TABLE shop.a (id INT PRIMARY KEY); INSERT INTO shop.a VALUES (1)");
    let proxy = Proxy::to(server.port());
    let mut source = follow_through(&proxy);
    server.exec("RESET MASTER; INSERT INTO shop.a VALUES (2)");
    proxy.cut();
    let text = source.stopped();
    let reason = "this source stands at 0-1-3, and the server's log has only 0-1-1: its history is another one";
    assert_eq!(
        text,
        format!("E0411: {reason}; connect to the right server, or start with a new data directory to read the tables anew")
    );
}

/// A primary and its replica behind one address; the primary dies, the replica takes its place.
fn failover(mut primary: impl AsMut<Server>, mut replica: impl AsMut<Server>, attach: &str, caught_up: &str, detach: &str) {
    let (primary, replica) = (primary.as_mut(), replica.as_mut());
    replica.exec(&attach.replace("{port}", &primary.port().to_string()));
    primary.exec("CREATE DATABASE shop; CREATE TABLE shop.a (id INT PRIMARY KEY)");
    let proxy = Proxy::to(primary.port());
    let mut source = follow_through(&proxy);
    primary.exec("INSERT INTO shop.a VALUES (1)");
    assert!(line(&source.transaction()).ends_with(": +a(1)"));
    wait_for(replica, "SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_SCHEMA = 'shop'", "1");

    primary.exec("INSERT INTO shop.a VALUES (2)");
    assert!(line(&source.transaction()).ends_with(": +a(2)"));
    wait_for(replica, caught_up, "2");
    primary.kill9();
    replica.exec(detach);
    proxy.retarget(replica.port());
    replica.exec("INSERT INTO shop.a VALUES (3)");
    assert!(line(&source.transaction()).ends_with(": +a(3)"));
    assert_eq!(source.position.as_deref(), Some(&*replica.gtid()));
}

#[test]
fn src_9_a_replica_takes_over_by_gtid() {
    if !require() {
        return;
    }
    failover(
        MariaDb::start(),
        MariaDb::start_with(&["--server-id=2", "--log-slave-updates=ON"]),
        "CHANGE MASTER TO MASTER_HOST = '127.0.0.1', MASTER_PORT = {port}, MASTER_USER = 'root', MASTER_USE_GTID = slave_pos; START SLAVE",
        "SELECT MAX(id) FROM shop.a",
        "STOP SLAVE; RESET SLAVE ALL",
    );
}

#[test]
fn mysql9_src_9_a_replica_takes_over_by_gtid() {
    if !require_mysql() {
        return;
    }
    failover(
        MySql::start(),
        MySql::start_with(&["--server-id=2", "--log-replica-updates=ON"]),
        "CHANGE REPLICATION SOURCE TO SOURCE_HOST = '127.0.0.1', SOURCE_PORT = {port}, SOURCE_USER = 'root', SOURCE_AUTO_POSITION = 1, \
         GET_SOURCE_PUBLIC_KEY = 1; START REPLICA",
        "SELECT MAX(id) FROM shop.a",
        "STOP REPLICA; RESET REPLICA ALL",
    );
}

#[test]
fn src_9_a_server_that_lacks_what_was_read_is_not_followed() {
    if !require() {
        return;
    }
    let primary = MariaDb::start();
    primary.exec("CREATE DATABASE shop; CREATE TABLE shop.a (id INT PRIMARY KEY)");
    let behind = MariaDb::start();
    behind.exec("CREATE DATABASE shop");
    let proxy = Proxy::to(primary.port());
    let mut source = follow_through(&proxy);
    proxy.retarget(behind.port());
    proxy.cut();
    let text = source.stopped();
    assert!(text.starts_with("E0411: this source stands at 0-1-2, and the server's log has only 0-1-1: "), "{text}");
}

#[test]
fn src_13_rows_without_names_stop_the_source() {
    if !require() {
        return;
    }
    let server = MariaDb::start();
    server.exec("CREATE DATABASE shop; CREATE TABLE shop.a (id INT PRIMARY KEY)");
    let mut source = start(config(&server.url(), &["shop.a"]), None);
    source.transaction();
    source.until_live();
    server.exec("SET GLOBAL binlog_row_metadata = 'NO_LOG'; FLUSH TABLES; INSERT INTO shop.a VALUES (1)");
    let text = source.stopped();
    let cure = "run on the server: SET GLOBAL binlog_row_metadata = 'FULL'";
    assert_eq!(text, format!("E0416: a row of shop.a without column names cannot be read; {cure}"));
}

#[test]
fn src_19_clocks_and_time_zones_of_a_server_change_no_order_and_no_value() {
    if !require() {
        return;
    }
    let server = MariaDb::start();
    server.exec("CREATE DATABASE shop; USE shop; SET time_zone = '+00:00'; CREATE TABLE a (id INT PRIMARY KEY, at TIMESTAMP NULL, on_wall DATETIME); INSERT INTO a VALUES (0, '2024-03-31 01:30:00', '2024-03-31 01:30:00')");
    let mut source = start(config(&server.url(), &["shop.a"]), None);
    let value = |transaction: &thalweg_graph::Transaction| {
        let row = changes(transaction)[0].after.clone().unwrap();
        format!("{} {}", show(row[1].as_ref().unwrap()), show(row[2].as_ref().unwrap()))
    };
    let wanted = value(&source.transaction());
    source.until_live();
    let mut seconds = Vec::new();
    for (id, zone, local, clock) in [
        (1, "+05:30", "2024-03-31 07:00:00", 2_000_000_000),
        (2, "-08:00", "2024-03-30 17:30:00", 1), // The clock is set back by decades.
        (3, "+00:00", "2024-03-31 01:30:00", 1_700_000_000),
    ] {
        server.exec(&format!(
            "SET GLOBAL time_zone = '{zone}'; SET time_zone = '{zone}', timestamp = {clock}; INSERT INTO shop.a VALUES ({id}, '{local}', '2024-03-31 01:30:00')"
        ));
        let transaction = source.transaction();
        assert_eq!(value(&transaction), wanted, "{zone}");
        seconds.push(transaction.at.0 / 1_000_000);
    }
    assert_eq!(seconds, [2_000_000_000, 1, 1_700_000_000]);
}

#[test]
fn src_23_a_user_whose_password_changes_is_told_once_the_connection_ends() {
    if !require() {
        return;
    }
    let server = MariaDb::start();
    server.exec(
        "CREATE DATABASE shop; CREATE TABLE shop.a (id INT PRIMARY KEY); CREATE USER reader@'%' IDENTIFIED BY 'sesame';
         GRANT SELECT, REPLICATION SLAVE, BINLOG MONITOR ON *.* TO reader@'%'",
    );
    let proxy = Proxy::to(server.port());
    let mut source = start(config(&format!("mysql://reader:sesame@127.0.0.1:{}", proxy.port()), &["shop.a"]), None);
    source.transaction();
    source.until_live();
    server.exec("SET PASSWORD FOR reader@'%' = PASSWORD('mellon'); INSERT INTO shop.a VALUES (1)");
    assert!(line(&source.transaction()).ends_with(": +a(1)"), "what is open stays open");
    proxy.cut();
    let text = source.stopped();
    assert!(text.starts_with("E0401: access denied for user 'reader'@"), "{text}");
    assert!(!text.contains("sesame") && !format!("{:?}", source.statuses).contains("sesame"));
}

#[test]
fn src_24_a_server_that_becomes_read_only_is_followed_on() {
    if !require() {
        return;
    }
    let server = MariaDb::start();
    server.exec("CREATE DATABASE shop; CREATE TABLE shop.a (id INT PRIMARY KEY)");
    let proxy = Proxy::to(server.port());
    let mut source = follow_through(&proxy);
    server.exec("SET GLOBAL read_only = ON");
    proxy.cut();
    source.until("a new connection", |s| *s == SourceStatus::Live(true));
    server.exec("SET GLOBAL read_only = OFF; INSERT INTO shop.a VALUES (1)");
    assert!(line(&source.transaction()).ends_with(": +a(1)"));
}
