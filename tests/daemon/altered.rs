//! What `ALTER TABLE` gives to the rows that are there, under a running daemon: no row event tells it, and no field may miss it.

use thalweg_testkit::{MariaDb, MySql, Server, require, require_mysql};

use super::harness::{Home, receiver, until, webhook};

const TABLES: &str = "CREATE DATABASE shop; USE shop; CREATE TABLE shops (id INT PRIMARY KEY, ask INT NOT NULL);
    CREATE TABLE orders (id INT PRIMARY KEY, shop_id INT NOT NULL, weight INT, note VARCHAR(20));
    INSERT INTO shops VALUES (1, 0); INSERT INTO orders VALUES (1, 1, 10, 'a'), (2, 1, 20, 'b'), (3, 1, 300, 'c');
    CREATE TABLE event_log (id VARCHAR(26) PRIMARY KEY, timestamp DATETIME(3) NOT NULL, event_type VARCHAR(50) NOT NULL,
    source_db VARCHAR(50), source_table VARCHAR(50), subject_id VARCHAR(50), actor VARCHAR(100), summary TEXT, payload JSON)";

fn config(url: &str, heavy: &str) -> String {
    format!(
        r#"
[egress]
allow = ["127.0.0.0/8"]

[[source]]
name = "shop"
kind = "mysql"
url = "{url}"
tables = ["shop.shops", "shop.orders"]

[[table]]
name = "Shop"
from = "shop.shops"
relations = {{ orders = {{ table = "Order", key = "shop_id" }} }}

[[table]]
name = "Order"
from = "shop.orders"

[fields]
"Shop.weight" = "sum(orders[*].weight)"
"Shop.notes" = "string_agg(orders[*].note, ',')"
"Shop.orders_in_all" = "count(orders[*].id)"

[[effect]]
name = "asked"
on = "Shop"
when = "ask % 2 == 1"
payload = ["weight", "notes", "orders_in_all"]
actions = [{{ type = "dolt-insert", database = "shop", table = "event_log" }}]

[[effect]]
name = "heavy"
on = "Order"
when = "weight > 100"
actions = [{heavy}]
"#
    )
}

/// Asks for the fields of the shop until they are these.
fn shows(server: &Server, weight: &str, notes: &str) {
    until(&format!("weight {weight}, notes {notes}"), || {
        let before: u32 = server.query("SELECT COUNT(*) FROM shop.event_log")[0][0].parse().unwrap();
        server.exec("UPDATE shop.shops SET ask = ask + 1; UPDATE shop.shops SET ask = ask + 1");
        until("the answer", || server.query("SELECT COUNT(*) FROM shop.event_log")[0][0].parse::<u32>().unwrap() > before);
        let asked = "JSON_UNQUOTE(JSON_EXTRACT(payload, '$.weight')), JSON_UNQUOTE(JSON_EXTRACT(payload, '$.notes')), JSON_EXTRACT(payload, '$.orders_in_all')";
        let told = server.query(&format!("SELECT {asked} FROM shop.event_log ORDER BY id DESC LIMIT 1"));
        let count = server.query("SELECT COUNT(*) FROM shop.orders WHERE shop_id = 1")[0][0].clone();
        told[0] == [weight.to_string(), notes.to_string(), count]
    });
}

fn story(server: &Server) {
    server.exec(TABLES);
    let receiver = receiver();
    let home = Home::new(&config(&server.url(), &webhook(&receiver)));
    let mut daemon = home.start_live();
    let fired = |count: u64| until(&format!("{count} webhooks"), || receiver.totals().accepted_distinct == count);
    let alter = |sql: &str| server.exec(&format!("USE shop; SET sql_mode = ''; {sql}"));
    shows(server, "330", "a,b,c");

    // Clipped, and the log does not say so. What the row that changes behind it does counts, and is not lost.
    alter("ALTER TABLE orders MODIFY weight TINYINT; UPDATE orders SET weight = 120 WHERE id = 1");
    shows(server, "267", "a,b,c"); // 120 + 20 + 127
    fired(1);

    // Another name: `note` is what `weight` was.
    alter(
        "ALTER TABLE orders DROP COLUMN note; ALTER TABLE orders CHANGE weight note VARCHAR(20), ADD COLUMN weight INT NOT NULL DEFAULT 4",
    );
    shows(server, "12", "120,20,127");
    fired(1);

    // The same while nobody looks, and killed in the middle of whatever it does then.
    daemon.kill9();
    alter(
        "ALTER TABLE orders DROP COLUMN weight; ALTER TABLE orders ADD COLUMN weight INT DEFAULT 7; UPDATE orders SET note = 'x' WHERE id = 2",
    );
    home.start_live().kill9();
    daemon = home.start_live();
    shows(server, "21", "120,x,127");

    // A column that goes and one that comes by its name, empty: at once, and with a life in between.
    alter("ALTER TABLE orders DROP COLUMN weight, ADD COLUMN weight INT");
    shows(server, "0", "120,x,127");
    alter("UPDATE orders SET weight = 5 WHERE id <> 2; ALTER TABLE orders DROP COLUMN weight");
    daemon.until_said("Shop.weight is left out: E0203: ");
    daemon.stop().well();
    daemon = home.start_live();
    alter("ALTER TABLE orders ADD COLUMN weight INT; UPDATE orders SET weight = 101 WHERE id = 3");
    shows(server, "101", "120,x,127");
    fired(2);

    // Rows that are told apart otherwise.
    alter("ALTER TABLE orders DROP PRIMARY KEY, ADD COLUMN k INT NOT NULL AUTO_INCREMENT PRIMARY KEY FIRST");
    shows(server, "101", "120,x,127");
    alter("INSERT INTO orders (id, shop_id, weight, note) VALUES (3, 1, 200, 'twin'); UPDATE orders SET weight = 1 WHERE k = 1");
    shows(server, "302", "120,x,127,twin");
    fired(3);
    daemon.stop().well();
    assert_eq!((receiver.totals().contradictions, receiver.totals().unverified), (0, 0));
}

#[test]
fn src_12_what_an_alter_gives_to_rows_is_known() {
    if require() {
        story(&MariaDb::start());
    }
}

#[test]
fn mysql9_src_12_what_an_alter_gives_to_rows_is_known() {
    if require_mysql() {
        story(&MySql::start());
    }
}
