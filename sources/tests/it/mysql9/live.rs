//! Transactions as they are committed: whole, in order, each once.

use std::time::Duration;

use thalweg_testkit::{MySql, require_mysql};

use super::{next, shop, short};
use crate::harness::{config, follow, line, start};

#[test]
fn transactions_arrive_whole_and_in_order() {
    if !require_mysql() {
        return;
    }
    let server = shop(
        "CREATE TABLE orders (id INT PRIMARY KEY, status VARCHAR(20)); CREATE TABLE other (id INT); INSERT INTO orders VALUES (1, 'old')",
    );
    let mut source = start(config(&server.url_of("shop"), &["orders"]), None);
    assert_eq!(next(&server, &mut source), "snapshot:U:1-4: fill +orders(1, \"old\")");
    source.until_live();
    server.exec(
        "USE shop; BEGIN; INSERT INTO orders VALUES (2, 'new'), (3, NULL); UPDATE orders SET status = 'paid' WHERE id = 2; COMMIT;
         INSERT INTO other VALUES (7);
         BEGIN; INSERT INTO orders VALUES (4, 'x'); ROLLBACK;
         BEGIN; INSERT INTO orders VALUES (5, 'x'); SAVEPOINT s; INSERT INTO orders VALUES (6, 'x'); ROLLBACK TO s; COMMIT;
         DELETE FROM orders WHERE id = 3; CREATE TABLE third AS SELECT * FROM orders",
    );
    assert_eq!(next(&server, &mut source), "U:5: +orders(2, \"new\") +orders(3, NULL) ~orders(2, \"new\" -> 2, \"paid\")");
    assert_eq!(short(&server, &source.stand()), "U:1-5");
    assert_eq!(next(&server, &mut source), "U:7: +orders(5, \"x\")");
    assert_eq!(next(&server, &mut source), "U:8: -orders(3, NULL)");
    source.until_position(&server.gtid());
    // A restart goes on behind the position, and from the beginning of the log if it is empty.
    server.exec("INSERT INTO shop.orders VALUES (9, 'x')");
    let mut again = start(config(&server.url(), &["shop.orders", "shop.third"]), source.position.as_deref());
    assert_eq!(next(&server, &mut again), "U:10: +orders(9, \"x\")");
    let mut all = start(config(&server.url(), &["shop.orders", "shop.third"]), Some(""));
    let lines: Vec<String> = (0..6).map(|_| next(&server, &mut all)).collect();
    assert_eq!(lines[0], "U:4: +orders(1, \"old\")");
    assert_eq!(lines[4], "U:9: +third(1, \"old\") +third(2, \"paid\") +third(5, \"x\")");
}

#[test]
fn src_10_tagged_transactions_and_gaps_are_kept_in_the_position() {
    if !require_mysql() {
        return;
    }
    let server = shop("CREATE TABLE a (id INT PRIMARY KEY)");
    let mut source = follow(&server.url(), &["shop.a"]);
    let uuid = "3e11fa47-71ca-11e1-9e33-c80aa9429562";
    server.exec(&format!(
        "USE shop; SET gtid_next = 'AUTOMATIC:import'; INSERT INTO a VALUES (1); SET gtid_next = '{uuid}:7'; INSERT INTO a VALUES (2);
         SET gtid_next = 'AUTOMATIC'; INSERT INTO a VALUES (3)"
    ));
    let lines: Vec<String> = (0..3).map(|_| next(&server, &mut source)).collect();
    assert_eq!(lines, ["U:import:1: +a(1)".into(), format!("{uuid}:7: +a(2)"), "U:3: +a(3)".into()]);
    let position = source.position.clone().unwrap();
    assert!(position.contains(&format!("{uuid}:7")) && position.contains(":import:1"), "{position}");
    server.exec("INSERT INTO shop.a VALUES (4)");
    let mut again = start(config(&server.url(), &["shop.a"]), Some(&position));
    assert_eq!(next(&server, &mut again), "U:4: +a(4)");
}

#[test]
fn src_6_rotation_and_a_change_of_checksums_are_transparent() {
    if !require_mysql() {
        return;
    }
    let server = shop("CREATE TABLE a (id INT PRIMARY KEY)");
    let mut source = follow(&server.url(), &["shop.a"]);
    for id in 0..6 {
        let checksum = ["NONE", "CRC32"][id % 2];
        server.exec(&format!("INSERT INTO shop.a VALUES ({id}); FLUSH BINARY LOGS; SET GLOBAL binlog_checksum = {checksum}"));
        assert_eq!(next(&server, &mut source), format!("U:{}: +a({id})", id + 3));
    }
    let mut late = start(config(&server.url(), &["shop.a"]), Some(""));
    for id in 0..6 {
        assert_eq!(next(&server, &mut late), format!("U:{}: +a({id})", id + 3));
    }
}

#[test]
fn src_14_compressed_transactions_and_partial_json_are_unpacked() {
    if !require_mysql() {
        return;
    }
    let server = MySql::start_with(&["--binlog-transaction-compression=ON", "--binlog-row-value-options=PARTIAL_JSON"]);
    server.exec("CREATE DATABASE shop; USE shop; CREATE TABLE a (id INT PRIMARY KEY, doc JSON, note TEXT)");
    let mut source = follow(&server.url(), &["shop.a"]);
    server.exec(
        "USE shop; INSERT INTO a VALUES (1, JSON_OBJECT('k', REPEAT('v', 100), 'list', JSON_ARRAY(1, 2, 3)), REPEAT('x', 300));
         UPDATE a SET doc = JSON_SET(doc, '$.list[1]', 20); UPDATE a SET doc = JSON_REMOVE(doc, '$.k'); UPDATE a SET note = 'y'; DELETE FROM a",
    );
    let (v, x) = ("v".repeat(100), "x".repeat(300));
    let with = |list: &str| format!("1, {{\"k\":\"{v}\",\"list\":[{list}]}}, \"{x}\"");
    let short_doc = "{\"list\":[1,20,3]}";
    let lines: Vec<String> = (0..5).map(|_| next(&server, &mut source)).collect();
    assert_eq!(
        lines,
        [
            format!("U:3: +a({})", with("1,2,3")),
            format!("U:4: ~a({} -> {})", with("1,2,3"), with("1,20,3")),
            format!("U:5: ~a({} -> 1, {short_doc}, \"{x}\")", with("1,20,3")),
            format!("U:6: ~a(1, {short_doc}, \"{x}\" -> 1, {short_doc}, \"y\")"),
            format!("U:7: -a(1, {short_doc}, \"y\")"),
        ]
    );
    // Compressed and plain transactions side by side, and a checksum behind the compressed ones.
    server.exec("USE shop; SET binlog_transaction_compression = OFF; INSERT INTO a (id) VALUES (2); SET binlog_transaction_compression = ON; INSERT INTO a (id) VALUES (3)");
    assert_eq!(next(&server, &mut source), "U:8: +a(2, NULL, NULL)");
    assert_eq!(next(&server, &mut source), "U:9: +a(3, NULL, NULL)");
}

#[test]
fn src_14_changes_of_an_xa_transaction_happen_at_its_commit() {
    if !require_mysql() {
        return;
    }
    let server = shop("CREATE TABLE a (id INT PRIMARY KEY)");
    let mut source = follow(&server.url(), &["shop.a"]);
    server
        .exec("USE shop; XA START 'one', 'b', 3; INSERT INTO a VALUES (1), (2); XA END 'one', 'b', 3; XA PREPARE 'one', 'b', 3;");
    server.exec("USE shop; XA START 'two'; INSERT INTO a VALUES (3); XA END 'two'; XA PREPARE 'two';");
    server.exec("USE shop; INSERT INTO a VALUES (4); XA ROLLBACK 'two'");
    assert_eq!(next(&server, &mut source), "U:5: +a(4)");
    let uuid = server.query("SELECT @@server_uuid")[0][0].clone();
    source.until_position(&format!("{uuid}:1-6;reread={uuid}:1-2"));
    drop(source);
    let mut source = start(config(&server.url(), &["shop.a"]), Some(&format!("{uuid}:1-6;reread={uuid}:1-2")));
    source.until_live();
    server.exec("USE shop; XA COMMIT 'one', 'b', 3; XA START 'p'; INSERT INTO a VALUES (5); XA END 'p'; XA COMMIT 'p' ONE PHASE");
    assert_eq!(next(&server, &mut source), "U:7: +a(1) +a(2)");
    assert_eq!(short(&server, &source.stand()), "U:1-7");
    assert_eq!(next(&server, &mut source), "U:8: +a(5)");
    source.nothing_for(Duration::from_millis(700));
}

#[test]
fn rows_are_read_with_the_layout_of_their_time() {
    if !require_mysql() {
        return;
    }
    let server = shop(
        "CREATE TABLE a (id INT PRIMARY KEY, x INT, y VARCHAR(9)); INSERT INTO a VALUES (1, 10, 'old');
         ALTER TABLE a DROP COLUMN x; INSERT INTO a VALUES (2, 'two');
         ALTER TABLE a ADD COLUMN z DECIMAL(5,2) FIRST, RENAME COLUMN y TO w; INSERT INTO a VALUES (3.5, 3, 'three')",
    );
    let mut source = start(config(&server.url(), &["shop.*"]), Some(""));
    let mut seen = Vec::new();
    for _ in 0..3 {
        let transaction = source.transaction();
        let columns: Vec<String> =
            crate::harness::changes(&transaction)[0].schema.columns.iter().map(|c| format!("{} {}", c.name, c.ty)).collect();
        seen.push(format!("{} [{}]", short(&server, &line(&transaction)), columns.join(", ")));
    }
    assert_eq!(
        seen,
        [
            "U:3: +a(1, 10, \"old\") [id int, x int, y text]",
            "U:5: +a(2, \"two\") [id int, y text]",
            "U:7: +a(3.50d, 3, \"three\") [z decimal(5,2), id int, w text]",
        ]
    );
    source.until_live();
}
