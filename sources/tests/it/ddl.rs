//! Statements that change tables and not rows, for a receiver that can take rows back.

use thalweg_graph::ports::SourceStatus;
use thalweg_sources::mysql::{AfterPurge, MysqlConfig};
use thalweg_testkit::{MariaDb, MySql, Server, require, require_mysql};

use crate::harness::{Running, changes, config, line, purge_to, start};

fn clearing(server: &Server, tables: &[&str]) -> MysqlConfig {
    MysqlConfig { clears: true, ..config(&server.url(), tables) }
}

/// The next transaction without its id.
fn next(source: &mut Running) -> String {
    let line = line(&source.transaction());
    line.split_once(": ").unwrap().1.replace("fill ", "")
}

/// What is emptied is told as such, in its place, and what comes behind it goes on.
pub fn emptied(server: &Server) {
    server.exec("CREATE DATABASE shop; USE shop; CREATE TABLE a (id INT PRIMARY KEY); INSERT INTO a VALUES (1), (2); CREATE TABLE b (id INT PRIMARY KEY)");
    let mut source = start(clearing(server, &["shop.*"]), None);
    assert_eq!(next(&mut source), "+a(1) +a(2)");
    source.until_live();
    let before = source.position.clone();
    let story = "USE shop; TRUNCATE a; INSERT INTO a VALUES (3); DROP TABLE a; INSERT INTO b VALUES (7);
         CREATE TABLE a (name VARCHAR(9), id INT PRIMARY KEY); INSERT INTO a VALUES ('four', 4); DROP DATABASE shop";
    server.exec(story);
    let expected = ["-a()", "+a(3)", "-a()", "+b(7)", "+a(\"four\", 4)", "-*()"];
    let lines: Vec<String> = expected.iter().map(|_| next(&mut source)).collect();
    assert_eq!(lines, expected);
    // A restart anywhere in between, long after: the same; though the tables are not there any more.
    let mut source = start(clearing(server, &["shop.a", "shop.b"]), before.as_deref());
    for (i, wanted) in expected.iter().enumerate() {
        assert_eq!(next(&mut source), *wanted);
        source = start(clearing(server, &["shop.a", "shop.b"]), source.position.clone().as_deref());
        assert!(i < expected.len());
    }
    source.until_live();
}

/// Where rows come from elsewhere, the tables are read anew: afterwards the receiver has what the server has.
pub fn swapped(server: &Server) {
    server.exec("CREATE DATABASE swap; USE swap; CREATE TABLE a (id INT PRIMARY KEY); INSERT INTO a VALUES (1), (2)");
    let mut source = start(clearing(server, &["swap.a"]), None);
    assert_eq!(next(&mut source), "+a(1) +a(2)");
    source.until_live();
    // As online schema changes do it: a copy, then both are renamed at once.
    server.exec("USE swap; CREATE TABLE _a_new (id INT PRIMARY KEY, note TEXT); INSERT INTO _a_new SELECT id, 'copied' FROM a; INSERT INTO a VALUES (3);
         INSERT INTO _a_new VALUES (3, 'new'); RENAME TABLE a TO _a_old, _a_new TO a");
    assert_eq!(next(&mut source), "+a(3)");
    assert_eq!(next(&mut source), "-a() +a(1, \"copied\") +a(2, \"copied\") +a(3, \"new\")");
    let told = source.statuses.iter().find_map(|status| match status {
        SourceStatus::Connecting { error: Some(text) } => Some(text.clone()),
        _ => None,
    });
    let told = told.expect("the reason is told");
    assert!(told.starts_with("E0414: transaction ") && told.ends_with("; the tables are read anew"), "{told}");
    source.until_live();
    server.exec("INSERT INTO swap.a VALUES (4, 'later')");
    assert_eq!(next(&mut source), "+a(4, \"later\")");
    server.exec("RENAME TABLE swap.a TO swap.gone");
    assert_eq!(next(&mut source), "-a()");
}

#[test]
fn src_12_emptied_and_swapped_tables_on_mariadb() {
    if require() {
        let server = MariaDb::start();
        emptied(&server);
        swapped(&server);
    }
}

#[test]
fn mysql9_src_12_emptied_and_swapped_tables() {
    if require_mysql() {
        let server = MySql::start();
        emptied(&server);
        swapped(&server);
    }
}

#[test]
fn src_18_a_snapshot_comes_in_pieces_and_begins_anew_if_it_was_broken_off() {
    if !require() {
        return;
    }
    let server = MariaDb::start();
    server.exec("CREATE DATABASE shop; USE shop; CREATE TABLE a (id INT PRIMARY KEY); INSERT INTO a SELECT seq FROM seq_1_to_25000; CREATE TABLE b (id INT PRIMARY KEY, x LONGBLOB); INSERT INTO b SELECT seq, REPEAT('x', 1000000) FROM seq_1_to_12");
    let mut source = start(clearing(&server, &["shop.*"]), None);
    let mut sizes = Vec::new();
    let mut positions = Vec::new();
    while source.position.as_deref().is_none_or(|p| p.starts_with("snapshot")) {
        sizes.push(changes(&source.transaction()).len());
        positions.push(source.stand());
    }
    // Ten thousand rows, or eight megabytes.
    assert_eq!(sizes, [10_000, 10_000, 5_000 + 9, 3]);
    assert_eq!(positions[..3], ["snapshot;tables=shop.*"; 3]);
    assert_eq!(positions[3], format!("{};tables=shop.*", server.gtid()));
    drop(source);
    let mut source = start(clearing(&server, &["shop.*"]), Some("snapshot"));
    let first = source.transaction();
    let cleared: Vec<&str> = changes(&first).iter().filter(|c| c.is_clear()).map(|c| &*c.schema.table).collect();
    assert_eq!((cleared, changes(&first).len()), (vec!["shop.*", "shop.a", "shop.b"], 10_000));
}

#[test]
fn src_7_after_a_purge_the_tables_are_read_anew_if_so_configured() {
    if !require() {
        return;
    }
    let server = MariaDb::start();
    server.exec("CREATE DATABASE shop; CREATE TABLE shop.a (id INT PRIMARY KEY); INSERT INTO shop.a VALUES (1)");
    server.exec("FLUSH BINARY LOGS; DELETE FROM shop.a; INSERT INTO shop.a VALUES (4); FLUSH BINARY LOGS");
    purge_to(&server, "binlog.000003");
    let config = MysqlConfig { after_purge: AfterPurge::Snapshot, ..clearing(&server, &["shop.a"]) };
    let mut source = start(config, Some("0-1-3"));
    assert_eq!(next(&mut source), "-a() +a(4)");
    assert_eq!(source.stand(), "0-1-5;tables=shop.a");
    source.until_live();
}
