//! `thalweg tail` of a real server: what it prints, applied, equals what SQL computes.

use std::collections::BTreeMap;
use std::process::{Command, Stdio};

use expect_test::expect;
use serde_json::Value as Json;
use thalweg_testkit::{MariaDb, MySql, Server, require, require_mysql};

use super::harness::{Home, purge, until};

const TABLES: &str = "CREATE DATABASE shop;
CREATE TABLE shop.orders (id BIGINT UNSIGNED PRIMARY KEY, customer VARCHAR(20), at DATETIME(6), raw VARBINARY(20), share DOUBLE);
CREATE TABLE shop.items (id INT PRIMARY KEY, order_id BIGINT UNSIGNED, qty INT, price DECIMAL(10,2));
CREATE TABLE shop.other (id INT PRIMARY KEY);";

/// Changes of every kind, a rollback, a key that changes, and layouts that change in between.
const HISTORY: [&str; 14] = [
    "INSERT INTO shop.orders VALUES (1, 'grün', '2024-02-29 12:34:56.789012', x'00ff', 0.1), (18446744073709551615, NULL, NULL, '', -1234.5)",
    "BEGIN; INSERT INTO shop.items VALUES (1, 1, 2, 10.50), (2, 1, 1, 0.01); INSERT INTO shop.items VALUES (3, 18446744073709551615, 7, 99999999.99); COMMIT",
    "BEGIN; UPDATE shop.items SET qty = 1000; ROLLBACK",
    "UPDATE shop.items SET qty = 3 WHERE id = 1",
    "ALTER TABLE shop.items ADD COLUMN note TEXT FIRST",
    "INSERT INTO shop.items VALUES ('new \"first\"\\n', 4, 1, 5, 1.25)",
    "UPDATE shop.items SET id = 30, order_id = 1 WHERE id = 3; INSERT INTO shop.other VALUES (1)",
    "ALTER TABLE shop.items DROP COLUMN note, MODIFY qty BIGINT",
    "INSERT INTO shop.items VALUES (5, 18446744073709551615, 9007199254740993, 2.00)",
    "DELETE FROM shop.items WHERE id = 2",
    "TRUNCATE shop.items",
    "BEGIN; INSERT INTO shop.items VALUES (2, 1, 4, 2.50), (7, 18446744073709551615, 2, 1.00); COMMIT",
    "DROP TABLE shop.other; DROP TABLE shop.items; CREATE TABLE shop.items (id INT PRIMARY KEY, order_id BIGINT UNSIGNED, qty BIGINT, price DECIMAL(10,2)); INSERT INTO shop.items VALUES (2, 1, 1, 5.25), (9, 18446744073709551615, 2, 0.50)",
    "UPDATE shop.orders SET share = share / 3, raw = x'c328' WHERE id = 1",
];

const CONFIG: &str = r#"
[[table]]
name = "Order"
from = "shop.orders"
key = ["id"]
[table.relations]
items = { table = "Item", key = "order_id" }

[[table]]
name = "Item"
from = "shop.items"
key = ["id"]

[fields]
"Order.total" = "sum(items[*].price * items[*].qty)"
"Order.who" = "customer"
"Order.moment" = "at"
"Order.bytes" = "raw"
"Order.part" = "share"
"#;

/// The same fields as text, by node and id.
const SQL: &str = "SELECT o.id, (SELECT SUM(price * qty) FROM shop.items i WHERE i.order_id = o.id), customer,
    REPLACE(at, ' ', 'T'), TO_BASE64(raw), share FROM shop.orders o ORDER BY o.id";

fn text(value: &Json) -> String {
    match value {
        Json::Null => "NULL".into(),
        Json::String(text) => text.trim_end_matches('Z').to_owned(),
        other => other.to_string(),
    }
}

fn output(mut command: Command) -> String {
    let output = command.output().expect("the binary runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("lines are UTF-8")
}

#[test]
fn a_tail_of_a_server_applied_equals_what_sql_computes() {
    if require() {
        applied_equals_sql(&MariaDb::start());
    }
}

#[test]
fn a_tail_of_mysql_applied_equals_what_sql_computes() {
    if require_mysql() {
        applied_equals_sql(&MySql::start());
    }
}

fn applied_equals_sql(server: &Server) {
    server.exec(TABLES);
    HISTORY.iter().for_each(|sql| server.exec(sql));
    let home = Home::new(CONFIG);
    let url = server.url();
    let tail = ["tail", &url, "--from", "start", "--until-idle", "0.5", "--tables"];
    let lines = output(home.command(&[&tail[..], &["shop.orders,shop.items"]].concat()));
    assert!(!lines.contains("shop.other"), "{lines}");
    assert_eq!(lines.matches("{\"schema\":{\"table\":\"shop.items\"").count(), 3, "at first, and when it changes\n{lines}");
    std::fs::write(home.path("lines.jsonl"), &lines).unwrap();

    let applied = output(home.command(&["apply", "thalweg.toml", "--input", "lines.jsonl", "--final"]));
    let mut rows: BTreeMap<u64, BTreeMap<String, String>> = BTreeMap::new();
    for line in applied.lines() {
        let line: Json = serde_json::from_str(line).unwrap();
        assert_ne!(line["kind"], "error", "{line}");
        if line["kind"] == "final" {
            let id = text(&line["key"]["id"]).parse().unwrap();
            rows.entry(id).or_default().insert(line["node"].as_str().unwrap().to_owned(), text(&line["value"]));
        }
    }
    let of = |fields: &BTreeMap<String, String>| {
        ["total", "who", "moment", "bytes", "part"].map(|name| fields[&format!("Order.{name}")].clone()).to_vec()
    };
    let mine: Vec<Vec<String>> = rows.iter().map(|(id, fields)| [vec![id.to_string()], of(fields)].concat()).collect();
    assert_eq!(mine, server.query(SQL));
}

#[test]
fn now_is_what_happens_from_now_on_and_an_interrupt_ends_it() {
    if !require() {
        return;
    }
    let server = MariaDb::start();
    server.exec(TABLES);
    server.exec("INSERT INTO shop.other VALUES (1)");
    let home = Home::new("");
    let said = std::fs::File::create(home.path("said")).unwrap();
    let lines = std::fs::File::create(home.path("lines")).unwrap();
    let mut command = home.command(&["tail", &server.url_of("shop"), "--tables", "oth*"]);
    let mut child = command.stdout(Stdio::from(lines)).stderr(Stdio::from(said)).spawn().unwrap();
    let read = |name: &str| std::fs::read_to_string(home.path(name)).unwrap();
    until("the tail to begin", || read("said").contains("begins behind"));
    server.exec("INSERT INTO shop.other VALUES (2)");
    until("the row", || read("lines").contains("\"after\":{\"id\":2}"));
    server.exec("DELETE FROM shop.other WHERE id = 1");
    until("the other row", || read("lines").contains("\"before\":{\"id\":1}"));
    assert!(!read("lines").contains("\"after\":{\"id\":1}"), "{}", read("lines"));
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(130), "{}", read("said"));
    assert!(read("lines").ends_with("\n"));
}

#[test]
fn what_no_line_can_say_ends_it_with_the_reason() {
    if !require() {
        return;
    }
    let server = MariaDb::start();
    server.exec(TABLES);
    server.exec("INSERT INTO shop.other VALUES (1); INSERT INTO shop.other VALUES (2)");
    let home = Home::new("");
    let url = server.url_of("shop");
    let tail = |args: &[&str]| {
        let output = home.command(&[&["tail", &url, "--until-idle", "0.5"], args].concat()).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        let lines = text(output.stdout).lines().filter(|line| line.contains("\"tx\"")).count();
        format!("exit {}, {lines} transactions\n{}", output.status.code().unwrap(), text(output.stderr))
    };
    server.exec("FLUSH BINARY LOGS; INSERT INTO shop.other VALUES (3); FLUSH BINARY LOGS; INSERT INTO shop.other VALUES (4)");
    purge(&server);
    expect![[r#"
        exit 4, 0 transactions
        error: E0410: this source stands at its beginning, and the server no longer has 0-1-1 … 0-1-7 in its log; begin elsewhere with --from; a larger binlog_expire_logs_seconds keeps the log longer
    "#]].assert_eq(&tail(&["--from", "start"]));
}
