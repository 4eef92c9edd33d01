//! Several sources of one server, and how many connections they hold.

use std::ops::RangeInclusive;
use std::time::Duration;

use thalweg_sources::mysql::{MysqlConfig, Share};
use thalweg_testkit::{MariaDb, Server, require};

use crate::harness::{Running, config, eventually, line, start};

/// How many read the server's log.
fn dumps(server: &Server) -> usize {
    server.query("SHOW PROCESSLIST").iter().filter(|row| row.iter().any(|cell| cell.starts_with("Binlog Dump"))).count()
}

fn sharing(server: &Server, table: &str, share: &Share) -> MysqlConfig {
    MysqlConfig { share: Some(share.clone()), ..config(&server.url_of("shop"), &[table]) }
}

/// A source that has its snapshot and is live.
fn live(config: MysqlConfig) -> Running {
    let mut source = start(config, None);
    source.transaction();
    source.until_live();
    source
}

/// The content of the next transactions.
fn next(source: &mut Running, count: usize) -> Vec<String> {
    let content = |line: String| line.split_once(": ").map(|(_, content)| content.to_owned()).unwrap_or(line);
    (0..count).map(|_| content(line(&source.transaction()))).collect()
}

/// What holds on any server: each source gets what it watches, whoever holds the connection.
pub fn one_connection(mut server: impl AsMut<Server>) {
    let server = server.as_mut();
    server.exec("SET GLOBAL sync_binlog = 0; SET GLOBAL innodb_flush_log_at_trx_commit = 0"); // So that seats fill.
    server.exec("CREATE DATABASE shop; USE shop; CREATE TABLE a (id INT PRIMARY KEY); CREATE TABLE b (id INT PRIMARY KEY)");
    let share = Share::default();
    let write = |server: &Server, ids: RangeInclusive<i32>| {
        let each = ids.map(|id| format!("BEGIN; INSERT INTO a VALUES ({id}); INSERT INTO b VALUES ({id}); COMMIT;"));
        server.exec(&format!("USE shop; {}", each.collect::<String>()));
    };
    let (mut a, mut b) = (live(sharing(server, "a", &share)), live(sharing(server, "b", &share)));
    eventually("one connection", || dumps(server) == 1);
    write(server, 1..=50);
    let rows = |table: &str, ids: RangeInclusive<i32>| ids.map(|id| format!("+{table}({id})")).collect::<Vec<_>>();
    assert_eq!(next(&mut a, 50), rows("a", 1..=50));
    assert_eq!(next(&mut b, 50), rows("b", 1..=50));

    // One that lags behind catches up by itself, and then comes to the others.
    let position = a.position.clone().unwrap();
    drop(a);
    write(server, 51..=100);
    assert_eq!(next(&mut b, 50), rows("b", 51..=100));
    let mut a = start(sharing(server, "a", &share), Some(&position));
    std::thread::scope(|scope| {
        scope.spawn(|| write(server, 101..=1500)); // Some of it is written while the other comes to its seat.
        assert_eq!(next(&mut a, 1450), rows("a", 51..=1500));
        assert_eq!(next(&mut b, 1400), rows("b", 101..=1500));
    });
    eventually("one connection again", || dumps(server) == 1);

    // A crash of the server ends it for both, and both come back to one.
    server.kill9();
    server.restart();
    server.exec("USE shop; INSERT INTO b VALUES (1501); INSERT INTO a VALUES (1501)");
    assert_eq!((next(&mut a, 1), next(&mut b, 1)), (rows("a", 1501..=1501), rows("b", 1501..=1501)));
    eventually("one connection after the crash", || dumps(server) == 1);

    // Who goes takes nothing with it, whoever had opened the connection.
    drop(b);
    server.exec("INSERT INTO shop.a VALUES (1502)");
    assert_eq!(next(&mut a, 1), rows("a", 1502..=1502));
    // What stops one source stops that one.
    let mut b = live(sharing(server, "b", &share));
    eventually("one connection with the new one", || dumps(server) == 1);
    server.exec("TRUNCATE TABLE shop.b; INSERT INTO shop.a VALUES (1503)");
    assert!(b.stopped().contains("TRUNCATE"), "{:?}", b.statuses);
    assert_eq!(next(&mut a, 1), rows("a", 1503..=1503));
    a.nothing_for(Duration::from_millis(50));
    drop((a, b, share));
    eventually("no connection when all have gone", || dumps(server) == 0);
}

#[test]
fn sources_of_one_server_hold_one_connection_through_lag_and_crash() {
    if require() {
        one_connection(MariaDb::start());
    }
}

#[test]
fn sources_with_one_server_id_do_not_push_each_other_out() {
    if !require() {
        return;
    }
    let server = MariaDb::start();
    server.exec("CREATE DATABASE shop; USE shop; CREATE TABLE a (id INT PRIMARY KEY); CREATE TABLE b (id INT PRIMARY KEY)");
    let share = Share::default();
    let with_id = |table: &str| MysqlConfig { server_id: Some(77), ..sharing(&server, table, &share) };
    let mut a = live(with_id("a"));
    server.exec("INSERT INTO shop.a VALUES (1)"); // Its connection is shared from its first event on.
    assert_eq!(next(&mut a, 1), ["+a(1)"]);
    let mut b = live(with_id("b"));
    let inserts = (2..=20).map(|id| format!("INSERT INTO shop.a VALUES ({id}); INSERT INTO shop.b VALUES ({id});"));
    server.exec(&inserts.collect::<String>());
    assert_eq!((next(&mut a, 19).len(), next(&mut b, 19).len()), (19, 19));
    eventually("one connection", || dumps(&server) == 1);
    assert!(!format!("{:?}{:?}", a.statuses, b.statuses).contains("error: Some"), "{:?}{:?}", a.statuses, b.statuses);
}
