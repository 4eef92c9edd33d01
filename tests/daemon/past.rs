//! What a field was: told from the log, the same beside a daemon, after `kill -9`, and as `apply` tells it of the same history.

use expect_test::{Expect, expect};
use serde_json::{Value as Json, json};

use super::harness::Home;

const CONFIG: &str = r#"
[[source]]
name = "shop"
kind = "jsonl"
path = "orders.jsonl"

[[table]]
name = "Order"
key = ["id"]
columns = { id = "int", name = "text" }
[table.relations]
items = { table = "Item", key = "order_id" }

[[table]]
name = "Item"
key = ["id"]
columns = { id = "int", order_id = "int", price = "decimal(10,2)" }

[fields]
"Order.total" = "sum(items[*].price)"
"Order.share" = "100 / count(items[*])"
"Order.letter" = { formula = "name + ' owes ' + string(total)", timing = "lazy" }
"#;

fn line(minute: i64, changes: &[Json]) -> String {
    let at = format!("2026-11-23T10:{:02}:{:02}Z", minute / 60, minute % 60);
    format!("{}\n", json!({ "at": at, "changes": changes }))
}

fn order(id: i64, name: &str) -> Json {
    json!({ "table": "Order", "op": "upsert", "after": { "id": id, "name": name } })
}

fn item(id: i64, order: i64, price: i64) -> Json {
    json!({ "table": "Item", "op": "upsert", "after": { "id": id, "order_id": order, "price": format!("{price}.50") } })
}

fn gone(table: &str, id: i64) -> Json {
    json!({ "table": table, "op": "delete", "key": { "id": id } })
}

fn history(home: &Home, args: &[&str]) -> String {
    let all: Vec<&str> = ["history", "thalweg.toml"].iter().chain(args).copied().collect();
    let output = home.command(&all).output().expect("the binary runs");
    String::from_utf8([output.stdout, output.stderr].concat()).expect("text")
}

#[test]
fn a_history_tells_values_errors_and_what_is_gone_and_what_was_at_a_time() {
    let home = Home::new(CONFIG);
    let lines = [
        line(1, &[order(1, "Ann"), item(1, 1, 10)]),
        line(2, &[order(2, "Bob")]),
        line(3, &[item(2, 1, 5), item(3, 2, 7)]),
        line(4, &[gone("Item", 3)]),
        line(5, &[gone("Item", 1), order(1, "Eve")]),
        line(6, &[gone("Order", 1)]),
    ];
    std::fs::write(home.path("orders.jsonl"), lines.concat()).unwrap();
    home.run_until_idle("1").well();
    let told = |args: &[&str], want: Expect| want.assert_eq(&history(&home, args));
    told(
        &["Order.total"],
        expect![[r#"
            EPOCH    TIME                 KEY            VALUE
            1        2026-11-23T10:00:01Z [1]            "10.50"
            2        2026-11-23T10:00:02Z [2]            "0.00"
            3        2026-11-23T10:00:03Z [1]            "16.00"
            3        2026-11-23T10:00:03Z [2]            "7.50"
            4        2026-11-23T10:00:04Z [2]            "0.00"
            5        2026-11-23T10:00:05Z [1]            "5.50"
            6        2026-11-23T10:00:06Z [1]            gone
        "#]],
    );
    told(
        &["Order.share", "--key", "[2]"],
        expect![[r#"
            EPOCH    TIME                 KEY            VALUE
            2        2026-11-23T10:00:02Z [2]            E0302: division by zero
            3        2026-11-23T10:00:03Z [2]            100
            4        2026-11-23T10:00:04Z [2]            E0302: division by zero
        "#]],
    );
    told(
        &["Order.letter", "--last", "1"],
        expect![[r#"
            EPOCH    TIME                 KEY            VALUE
            6        2026-11-23T10:00:06Z [1]            gone
            4        2026-11-23T10:00:04Z [2]            "Bob owes 0.00"
        "#]],
    );
    told(
        &["Order.total", "--at", "3"],
        expect![[r#"
            EPOCH    TIME                 KEY            VALUE
            3        2026-11-23T10:00:03Z [1]            "16.00"
            3        2026-11-23T10:00:03Z [2]            "7.50"
        "#]],
    );
    told(
        &["Order.name", "--at", "2026-11-23T10:00:05Z"],
        expect![[r#"
            EPOCH    TIME                 KEY            VALUE
            5        2026-11-23T10:00:05Z [1]            "Eve"
            2        2026-11-23T10:00:02Z [2]            "Bob"
        "#]],
    );
    told(
        &["Order.total", "--at", "6", "--json"],
        expect![[r#"
        {"v":1,"epoch":4,"at":"2026-11-23T10:00:04Z","node":"Order.total","key":"[2]","value":"0.00"}
    "#]],
    );
    told(
        &["total"],
        expect![[r#"
        error: E0290: there is no field or column `total`
          = help: thalweg graph lists the fields
    "#]],
    );
}

/// The values of a field as `apply` tells them of the lines, in the order of its epochs.
fn applied(home: &Home, node: &str) -> Vec<(String, Json)> {
    let output = home.command(&["apply", "thalweg.toml", "--input", "orders.jsonl"]).output().expect("the binary runs");
    let lines = String::from_utf8(output.stdout).expect("text");
    let lines = lines.lines().map(|line| serde_json::from_str::<Json>(line).expect("a line is JSON"));
    let of_node = lines.filter(|line| line["kind"] == "delta" && line["node"] == node);
    of_node
        .map(|line| (format!("[{}]", line["key"]["id"]), if line["gone"] == true { "gone".into() } else { line["new"].clone() }))
        .collect()
}

/// The same as the log tells it.
fn logged(home: &Home, node: &str) -> Vec<(String, Json)> {
    let lines = history(home, &[node, "--json"]);
    let lines = lines.lines().map(|line| serde_json::from_str::<Json>(line).expect("a line is JSON"));
    let value = |line: &Json| if line["gone"] == true { "gone".into() } else { line["value"].clone() };
    lines.map(|line| (line["key"].as_str().expect("a key is text").to_owned(), value(&line))).collect()
}

#[test]
fn a_history_is_the_one_of_the_transactions_also_after_kill_9_and_beside_a_daemon() {
    let home = Home::new(CONFIG);
    let mut lines = String::new();
    for n in 0..3_000i64 {
        let changes = match n % 7 {
            0 => vec![order(n % 5, &format!("name {n}"))],
            6 => vec![gone(if n % 2 == 0 { "Order" } else { "Item" }, n % 5)],
            _ => vec![item(n % 11, n % 5, n % 13)],
        };
        lines += &line(n, &changes);
    }
    std::fs::write(home.path("orders.jsonl"), lines).unwrap();
    for _ in 0..3 {
        // Wherever it stands.
        home.start().kill9();
    }
    home.run_until_idle("1").well();
    let expected = applied(&home, "Order.total");
    assert!(expected.len() > 1_000, "{} values are too few to mean anything", expected.len());
    assert_eq!(logged(&home, "Order.total"), expected);
    let daemon = home.start();
    assert_eq!(logged(&home, "Order.total"), expected);
    daemon.kill9();
    assert_eq!(logged(&home, "Order.total"), expected);
}
