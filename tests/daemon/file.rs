//! Live and from a file, a history means the same.

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};
use thalweg_testkit::{MariaDb, require};

use super::harness::{Home, receiver, until, webhook};

/// Commit times of the history lie ahead of the clock, so that the empty snapshot before it moves nothing.
const FIRST_COMMIT: i64 = 2_100_000_000;

/// One row change, said in both languages.
enum Row {
    Insert(&'static str, Json),
    Update(&'static str, i64, Json),
    Delete(&'static str, i64),
}
use Row::{Delete, Insert, Update};

impl Row {
    fn sql(&self) -> String {
        let table = |name: &str| format!("shop.{}s", name.to_lowercase());
        let sets = |row: &Json| {
            let set = |(name, value): (&String, &Json)| format!("{name} = {}", value.to_string().replace('"', "'"));
            row.as_object().unwrap().iter().map(set).collect::<Vec<_>>().join(", ")
        };
        match self {
            Insert(name, row) => format!("INSERT INTO {} SET {}", table(name), sets(row)),
            Update(name, id, row) => format!("UPDATE {} SET {} WHERE id = {id}", table(name), sets(row)),
            Delete(name, id) => format!("DELETE FROM {} WHERE id = {id}", table(name)),
        }
    }

    fn json(&self) -> Json {
        match self {
            Insert(name, row) => json!({"table": name, "op": "insert", "after": row}),
            Update(name, id, row) => json!({"table": name, "op": "update", "key": {"id": id}, "after": row}),
            Delete(name, id) => json!({"table": name, "op": "delete", "key": {"id": id}}),
        }
    }
}

fn customer(id: i64, region: &str) -> Row {
    Insert("Customer", json!({"id": id, "region": region}))
}

fn order(id: i64, customer: i64) -> Row {
    Insert("Order", json!({"id": id, "customer_id": customer}))
}

fn item(id: i64, order: i64, qty: i64, price: &str) -> Row {
    Insert("Item", json!({"id": id, "order_id": order, "qty": qty, "price": price}))
}

/// Rises, falls, a rise by a new row, by a looked-up row (two at once), a row that goes and comes back.
fn history() -> Vec<Vec<Row>> {
    vec![
        vec![customer(7, "north"), order(1, 7), item(11, 1, 2, "40.00")],
        vec![item(12, 1, 1, "100.50")],
        vec![Update("Item", 12, json!({"qty": 0}))],
        vec![Update("Item", 12, json!({"qty": 3})), Update("Item", 11, json!({"qty": 1}))],
        vec![order(2, 7), item(21, 2, 5, "99.99")],
        vec![Update("Customer", 7, json!({"region": "south"}))],
        vec![Delete("Item", 11), Delete("Item", 12), Delete("Order", 1)],
        vec![order(1, 7), item(11, 1, 2, "400.00")],
        vec![Update("Customer", 7, json!({"region": "north"}))],
        vec![Update("Item", 21, json!({"id": 22, "order_id": 1}))],
    ]
}

const TABLES: &str = "CREATE DATABASE shop;
CREATE TABLE shop.customers (id INT PRIMARY KEY, region VARCHAR(20) COLLATE utf8mb4_bin);
CREATE TABLE shop.orders (id INT PRIMARY KEY, customer_id INT);
CREATE TABLE shop.items (id INT PRIMARY KEY, order_id INT, qty INT, price DECIMAL(10,2));";

fn config(url: &str, hook: &str) -> String {
    format!(
        r#"
[egress]
allow = ["127.0.0.0/8"]

[[source]]
name = "shop"
kind = "mysql"
url = "{url}"

[[table]]
name = "Customer"
from = "shop.customers"
key = ["id"]
columns = {{ id = "int", region = "text" }}

[[table]]
name = "Order"
from = "shop.orders"
key = ["id"]
columns = {{ id = "int", customer_id = "int" }}
[table.relations]
items = {{ table = "Item", key = "order_id" }}
customer = {{ to = "Customer", key = "customer_id" }}

[[table]]
name = "Item"
from = "shop.items"
key = ["id"]
columns = {{ id = "int", order_id = "int", qty = "int", price = "decimal(10,2)" }}

[fields]
"Order.total" = "sum(items[*].price * items[*].qty)"
"Order.mean" = "avg(items[*].qty)"
"Order.region" = "customer.region"

[[effect]]
name = "big"
on = "Order"
when = "total > 150"
payload = ["id", "total", "mean", "region"]
actions = [{hook}, {{ type = "log", path = "fired.log" }}]

[[effect]]
name = "southern"
on = "Order"
when = "region == 'south'"
payload = ["id", "total"]
actions = [{hook}, {{ type = "log", path = "fired.log" }}]
"#
    )
}

/// (effect, key, version) and what it carried, by id.
type Fired = BTreeMap<(String, String, u64), Json>;

#[test]
fn derived_fields_over_a_real_database_equal_the_same_history_from_a_file() {
    if !require() {
        return;
    }
    let server = MariaDb::start();
    server.exec(TABLES);
    let receiver = receiver();
    let home = Home::new(&config(&server.url(), &webhook(&receiver)));
    let daemon = home.start_live();

    let mut lines = String::new();
    for (n, rows) in history().iter().enumerate() {
        let at = FIRST_COMMIT + n as i64;
        let statements: Vec<String> = rows.iter().map(Row::sql).collect();
        server.exec(&format!("SET timestamp = {at}; BEGIN; {}; COMMIT", statements.join("; ")));
        let changes: Vec<Json> = rows.iter().map(Row::json).collect();
        let at = jiff::Timestamp::from_second(at).unwrap();
        lines.push_str(&format!("{}\n", json!({"tx": server.gtid(), "at": at.to_string(), "changes": changes})));
    }
    std::fs::write(home.path("history.jsonl"), lines).unwrap();
    let output = home.command(&["apply", "thalweg.toml", "--input", "history.jsonl"]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut from_file = Fired::new();
    let mut ids = Vec::new();
    for line in String::from_utf8(output.stdout).unwrap().lines() {
        let line: Json = serde_json::from_str(line).unwrap();
        if line["kind"] == "effect" {
            let text = |name: &str| line[name].as_str().unwrap().to_owned();
            ids.push(text("id"));
            let place = (text("node"), line["key"]["id"].to_string(), line["version"].as_u64().unwrap());
            from_file.insert(place, line["payload"].clone());
        }
    }
    ids.sort();
    assert_eq!(ids.len(), 7, "{from_file:#?}");

    until("every webhook of the history", || receiver.totals().accepted_distinct >= ids.len() as u64);
    daemon.stop().well();
    let mut received: Vec<String> = receiver.received().into_keys().collect();
    received.sort();
    assert_eq!(received, ids);
    assert_eq!(receiver.totals().unverified, 0);

    let logged = std::fs::read_to_string(home.path("fired.log")).unwrap();
    let live: Fired = logged
        .lines()
        .map(|line| {
            let event: Json = serde_json::from_str(line).unwrap();
            let text = |name: &str| event[name].as_str().unwrap().to_owned();
            ((text("type"), text("subject"), event["version"].as_u64().unwrap()), event["data"].clone())
        })
        .collect();
    assert_eq!(live, from_file);
}
