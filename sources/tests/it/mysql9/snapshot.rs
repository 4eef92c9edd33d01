//! The snapshot and the log meet exactly, by either kind of lock.

use thalweg_testkit::require_mysql;

use super::{next, shop};
use crate::harness::{config, eventually, start};
use crate::snapshot::{COUNTERS, rounds, under_writers};

#[test]
fn src_18_a_snapshot_under_writers_neither_loses_nor_repeats() {
    if !require_mysql() {
        return;
    }
    let server = shop(&format!(
        "{COUNTERS}; CREATE USER plain@'%' IDENTIFIED BY ''; GRANT REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO plain@'%';
         GRANT SELECT, LOCK TABLES ON shop.* TO plain@'%'"
    ));
    under_writers(&server, || {
        rounds(&server, &server.url(), 8); // FLUSH TABLES WITH READ LOCK
        rounds(&server, &format!("mysql://plain@127.0.0.1:{}", server.port()), 8); // LOCK TABLES
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
        let is_running = || server.query("SHOW PROCESSLIST").iter().any(|row| row.concat().contains("SLEEP(20)"));
        eventually("the long statement", is_running);
        let mut source = start(config(&server.url(), &["shop.a"]), None);
        assert_eq!(next(&server, &mut source), "snapshot:U:1-5: fill +a(1)");
        assert!(is_running(), "the snapshot came only after the statement");
        source.until_live();
        server.exec("INSERT INTO shop.a VALUES (2)");
        assert_eq!(next(&server, &mut source), "U:6: +a(2)");
    });
}
