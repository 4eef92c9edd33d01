//! Transactions as they are committed: whole, in order, each once.

use std::time::Duration;

use thalweg_graph::ports::{RowsRead, SourceStatus};
use thalweg_testkit::{MariaDb, Server, require};

use crate::harness::{config, line, shared, start};

#[test]
fn transactions_arrive_whole_and_in_order() {
    if !require() {
        return;
    }
    let server = shared();
    server.exec("CREATE DATABASE live; CREATE TABLE live.orders (id INT PRIMARY KEY, status VARCHAR(20)); CREATE TABLE live.other (id INT)");
    server.exec("INSERT INTO live.orders VALUES (1, 'old')");
    let mut source = start(config(&server.url_of("live"), &["orders"]), None);
    let fill = line(&source.transaction());
    assert!(fill.starts_with("snapshot:0-1-") && fill.ends_with(": fill +orders(1, \"old\")"), "{fill}");
    source.until_live();
    server.exec(
        "USE live; BEGIN; INSERT INTO orders VALUES (2, 'new'), (3, NULL); UPDATE orders SET status = 'paid' WHERE id = 2; COMMIT;
         INSERT INTO other VALUES (7);
         BEGIN; INSERT INTO orders VALUES (4, 'x'); ROLLBACK;
         BEGIN; INSERT INTO orders VALUES (5, 'x'); SAVEPOINT s; INSERT INTO orders VALUES (6, 'x'); ROLLBACK TO s; COMMIT;
         DELETE FROM orders WHERE id = 3",
    );
    let (first, second, third) = (source.transaction(), source.transaction(), source.transaction());
    let at = format!("{}:", first.origin);
    assert_eq!(line(&first), format!("{at} +orders(2, \"new\") +orders(3, NULL) ~orders(2, \"new\" -> 2, \"paid\")"));
    assert_eq!(line(&second), format!("{}: +orders(5, \"x\")", second.origin));
    assert_eq!(line(&third), format!("{}: -orders(3, NULL)", third.origin));
    assert_eq!(&*third.source, "test");
    assert!(third.at.0 > 1_600_000_000_000_000, "{:?}", third.at);
    assert_eq!(source.stand(), &*third.origin);
    // How many rows the server expects is its own affair.
    let counted = |status: SourceStatus| match status {
        SourceStatus::Snapshot(read) => SourceStatus::Snapshot(RowsRead { expected: None, ..read }),
        other => other,
    };
    assert_eq!(
        source.statuses.drain(..).map(counted).collect::<Vec<_>>(),
        [
            SourceStatus::Connecting { error: None },
            SourceStatus::Snapshot(RowsRead { rows: 0, expected: None }),
            SourceStatus::Snapshot(RowsRead { rows: 1, expected: None }),
            SourceStatus::Live(false),
            SourceStatus::Live(true)
        ]
    );
}

#[test]
fn unwatched_changes_move_the_position_and_domains_stand_side_by_side() {
    if !require() {
        return;
    }
    let server = MariaDb::start();
    server.exec("CREATE DATABASE shop; CREATE TABLE shop.a (id INT PRIMARY KEY); CREATE TABLE shop.b (id INT PRIMARY KEY); CREATE SEQUENCE shop.s");
    let mut config = config(&server.url(), &["shop.a", "shop.s*"]);
    config.snapshot = thalweg_sources::mysql::Snapshot::Never;
    let mut source = start(config.clone(), None);
    source.until_live();
    server.exec("INSERT INTO shop.b VALUES (1); SET gtid_domain_id = 1; INSERT INTO shop.b VALUES (2); SELECT NEXTVAL(shop.s)");
    source.until_position("0-1-5,1-1-2");
    server.exec("SET gtid_domain_id = 2; INSERT INTO shop.a VALUES (1)");
    assert_eq!(line(&source.transaction()), "2-1-1: +a(1)");
    assert_eq!(source.stand(), "0-1-5,1-1-2,2-1-1");
    drop(source);
    // From the first event of the log: the sequence and the unwatched table are not seen.
    let mut source = start(config, Some(""));
    assert_eq!(line(&source.transaction()), "2-1-1: +a(1)");
    source.until_live();
}

/// Files of the log and checksums change between transactions.
pub fn rotation(server: &Server) {
    server.exec("CREATE DATABASE shop; CREATE TABLE shop.a (id INT PRIMARY KEY)");
    let mut source = start(config(&server.url(), &["shop.a"]), None);
    source.transaction();
    source.until_live();
    for id in 0..10 {
        let checksum = ["NONE", "CRC32"][id % 2];
        server.exec(&format!("INSERT INTO shop.a VALUES ({id}); FLUSH BINARY LOGS; SET GLOBAL binlog_checksum = {checksum}"));
        let transaction = source.transaction();
        assert_eq!(line(&transaction), format!("{}: +a({id})", transaction.origin));
    }
    // A reader that comes later reads all of the files.
    let mut late = start(config(&server.url(), &["shop.a"]), Some("0-1-2"));
    for id in 0..10 {
        assert_eq!(line(&late.transaction()), format!("0-1-{}: +a({id})", id + 3));
    }
}

#[test]
fn src_6_rotation_and_a_change_of_checksums_are_transparent() {
    if !require() {
        return;
    }
    rotation(&MariaDb::start());
}

/// The options of a server that does it.
pub const COMPRESSED: &[&str] = &["--log-bin-compress=ON", "--log-bin-compress-min-len=10"];

/// The server compresses every statement and change of more than ten bytes.
pub fn compressed(server: &Server) {
    server.exec("CREATE DATABASE shop; CREATE TABLE shop.a (id INT PRIMARY KEY, note TEXT)");
    let mut source = start(config(&server.url(), &["shop.a"]), None);
    source.transaction();
    source.until_live();
    server.exec("USE shop; INSERT INTO a VALUES (1, REPEAT('x', 300)); UPDATE a SET note = 'y'; DELETE FROM a; ALTER TABLE a ADD COLUMN later_and_longer INT");
    let x = "x".repeat(300);
    assert_eq!(line(&source.transaction()), format!("0-1-3: +a(1, \"{x}\")"));
    assert_eq!(line(&source.transaction()), format!("0-1-4: ~a(1, \"{x}\" -> 1, \"y\")"));
    assert_eq!(line(&source.transaction()), "0-1-5: -a(1, \"y\")");
}

#[test]
fn compressed_events_are_unpacked() {
    if !require() {
        return;
    }
    compressed(&MariaDb::start_with(COMPRESSED));
}

/// The layout of a table changes between rows.
pub fn layouts(server: &Server) {
    server.exec(
        "CREATE DATABASE shop; USE shop; CREATE TABLE a (id INT PRIMARY KEY, x INT, y VARCHAR(9)); INSERT INTO a VALUES (1, 10, 'old');
         ALTER TABLE a DROP COLUMN x; INSERT INTO a VALUES (2, 'two');
         ALTER TABLE a ADD COLUMN z DECIMAL(5,2) FIRST, RENAME COLUMN y TO w; INSERT INTO a VALUES (3.5, 3, 'three');
         CREATE TABLE c AS SELECT id FROM a; CREATE UNIQUE INDEX i ON a (w)",
    );
    let mut source = start(config(&server.url(), &["shop.*"]), Some(""));
    let mut seen = Vec::new();
    for _ in 0..4 {
        let transaction = source.transaction();
        let columns: Vec<String> =
            crate::harness::changes(&transaction)[0].schema.columns.iter().map(|c| format!("{} {}", c.name, c.ty)).collect();
        seen.push(format!("{} [{}]", line(&transaction), columns.join(", ")));
    }
    assert_eq!(
        seen,
        [
            "0-1-3: +a(1, 10, \"old\") [id int, x int, y text]",
            "0-1-5: +a(2, \"two\") [id int, y text]",
            "0-1-7: +a(3.50d, 3, \"three\") [z decimal(5,2), id int, w text]",
            "0-1-8: +c(1) +c(2) +c(3) [id int]",
        ]
    );
    source.until_live();
    server.exec("USE shop; ALTER TABLE a MODIFY w CHAR(30), ADD u UUID; INSERT INTO a VALUES (1, 4, 'four', '123e4567-e89b-12d3-a456-426655440000')");
    assert_eq!(line(&source.transaction()), "0-1-11: +a(1.00d, 4, \"four\", \"123e4567-e89b-12d3-a456-426655440000\")");
    let layout = source.schemas.iter().find(|s| &*s.table == "shop.a").unwrap();
    assert_eq!(layout.columns.iter().map(|c| c.name.to_string()).collect::<Vec<_>>(), ["z", "id", "w", "u"]);
}

#[test]
fn rows_are_read_with_the_layout_of_their_time() {
    if !require() {
        return;
    }
    layouts(&MariaDb::start());
}

/// Transactions that are prepared, and committed or not in another session.
pub fn xa(server: &Server) {
    server.exec("CREATE DATABASE shop; CREATE TABLE shop.a (id INT PRIMARY KEY)");
    let mut source = start(config(&server.url(), &["shop.a"]), None);
    source.transaction();
    source.until_live();
    server
        .exec("USE shop; XA START 'one', 'b', 3; INSERT INTO a VALUES (1), (2); XA END 'one', 'b', 3; XA PREPARE 'one', 'b', 3;");
    server.exec("USE shop; XA START 'two'; INSERT INTO a VALUES (3); XA END 'two'; XA PREPARE 'two';");
    server.exec("USE shop; INSERT INTO a VALUES (4); XA ROLLBACK 'two'");
    assert_eq!(line(&source.transaction()), "0-1-5: +a(4)");
    source.until_position("0-1-6;reread=0-1-2");
    // A restart between the two finds the rows again, and delivers nothing twice.
    drop(source);
    let mut source = start(config(&server.url(), &["shop.a"]), Some("0-1-6;reread=0-1-2"));
    source.until_live();
    server.exec("USE shop; XA COMMIT 'one', 'b', 3; XA START 'p'; INSERT INTO a VALUES (5); XA END 'p'; XA COMMIT 'p' ONE PHASE");
    assert_eq!(line(&source.transaction()), "0-1-7: +a(1) +a(2)");
    assert_eq!(source.stand(), "0-1-7");
    assert_eq!(line(&source.transaction()), "0-1-8: +a(5)");
    source.nothing_for(Duration::from_millis(700));
}

#[test]
fn src_14_changes_of_an_xa_transaction_happen_at_its_commit() {
    if !require() {
        return;
    }
    xa(&MariaDb::start());
}

#[test]
fn src_16_a_row_beyond_16_mib_is_read() {
    if !require() {
        return;
    }
    let server = MariaDb::start_with(&["--max-allowed-packet=64M"]);
    server.exec("CREATE DATABASE shop; CREATE TABLE shop.a (id INT PRIMARY KEY, b LONGBLOB)");
    let mut source = start(config(&server.url(), &["shop.a"]), None);
    source.transaction();
    source.until_live();
    server.exec("USE shop; INSERT INTO a VALUES (1, REPEAT('x', 20000000)); UPDATE a SET id = 2");
    for images in [1, 2] {
        let mut blobs = Vec::new();
        let mut measure = |part: &[thalweg_graph::Change]| {
            for row in part.iter().flat_map(|change| [&change.before, &change.after]).flatten() {
                match row[1].as_ref().unwrap() {
                    thalweg_formulas::Value::Bytes(bytes) => blobs.push(bytes.len()),
                    other => panic!("{other:?}"),
                }
            }
            true
        };
        source.transaction().parts(&mut measure).unwrap();
        assert_eq!(blobs, vec![20_000_000; images]);
    }
}
