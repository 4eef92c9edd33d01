//! Tables that are emptied, swapped, dropped and altered under a running daemon.

use thalweg_testkit::{MariaDb, MySql, Server, require, require_mysql};

use super::harness::{Home, SHOP, receiver, shop, shop_server, until, webhook};

/// A row that comes back after its table was emptied is a new one: its condition rises again.
fn story(server: &Server) {
    server.exec(SHOP);
    server.exec("INSERT INTO shop.orders VALUES (7, 700), (8, 1)");
    let receiver = receiver();
    let home = Home::new(&shop(&server.url(), &webhook(&receiver)));
    let daemon = home.start_live();
    let fired = |count: u64| until(&format!("{count} webhooks"), || receiver.totals().accepted_distinct == count);
    server.exec("USE shop; INSERT INTO orders VALUES (1, 150), (2, 50)");
    fired(1); // 7 was there before: it set its latch and fired nothing.
    server.exec("USE shop; TRUNCATE orders; INSERT INTO orders VALUES (1, 150), (7, 700), (8, 200)");
    fired(4);
    // An online schema change: the copy takes the table's place, and only what it changed counts.
    server.exec("USE shop; CREATE TABLE copy LIKE orders; INSERT INTO copy SELECT * FROM orders; INSERT INTO copy VALUES (9, 900); RENAME TABLE orders TO old, copy TO orders");
    // What is there when the tables are read fires nothing, so the next change waits for the end of that.
    until("the tables read anew", || {
        daemon.said().split_once("the tables are read anew").is_some_and(|(_, rest)| rest.contains("source shop: live"))
    });
    server.exec("USE shop; INSERT INTO orders VALUES (10, 1000); UPDATE orders SET amount = 800 WHERE id = 7");
    fired(5);
    // Down while the table is dropped and made again.
    daemon.kill9();
    server.exec("USE shop; DROP TABLE orders; CREATE TABLE orders (id INT PRIMARY KEY, amount INT NOT NULL); INSERT INTO orders VALUES (7, 700)");
    let ended = home.run_until_idle("1");
    ended.well();
    fired(6);
    assert_eq!((receiver.totals().contradictions, receiver.totals().unverified), (0, 0));
    // A drop without a successor: nothing fires, nothing stops.
    server.exec("DROP TABLE shop.orders");
    home.run_until_idle("1").well();
    home.run_until_idle("1").well();
    assert_eq!(receiver.totals().accepted_distinct, 6);
}

#[test]
fn src_12_emptied_swapped_and_dropped_tables() {
    if require() {
        story(&MariaDb::start());
    }
}

#[test]
fn mysql9_src_12_emptied_swapped_and_dropped_tables() {
    if require_mysql() {
        story(&MySql::start());
    }
}

/// Rows take the place of a table in one epoch, with what they take the place of: a few, and 20 MB that are too many to be held.
#[test]
fn src_15_a_large_transaction_may_take_the_place_of_a_table() {
    for rows in [30, 30_000] {
        let Some(server) = shop_server() else { return };
        server.exec("INSERT INTO shop.orders VALUES (1, 150), (900000, 150)");
        let receiver = receiver();
        let home = Home::new(&shop(&server.url(), &webhook(&receiver)));
        let daemon = home.start_live();
        let fired = |count: u64| until(&format!("{count} webhooks"), || receiver.totals().accepted_distinct == count);
        server.exec(&format!(
            "USE shop; CREATE OR REPLACE TABLE orders (id INT PRIMARY KEY, amount INT NOT NULL, note TEXT)
             SELECT seq id, IF(seq <= 3, 150, 1) amount, REPEAT('n', 600) note FROM seq_1_to_{rows};
             INSERT INTO orders VALUES (900000, 150, '')"
        ));
        fired(3); // 2 and 3 are new, 900000 was gone; 1 has been big all the time.
        server.exec("UPDATE shop.orders SET amount = 150 WHERE id = 30");
        fired(4);
        daemon.kill9();
        home.run_until_idle("0.5").well();
        assert_eq!(receiver.totals().accepted_distinct, 4);
        assert_eq!(home.counts().fired, 4);
    }
}

/// A rule that loses a column is left out with a named error, the rest goes on, and it comes back with the column.
#[test]
fn src_12_a_rule_that_loses_its_column_stops_and_the_others_go_on() {
    let Some(server) = shop_server() else { return };
    server.exec("ALTER TABLE shop.orders ADD COLUMN weight INT NOT NULL DEFAULT 1");
    let receiver = receiver();
    let heavy =
        format!("\n[[effect]]\nname = \"heavy\"\non = \"Order\"\nwhen = \"weight > 10\"\nactions = [{}]\n", webhook(&receiver));
    let home = Home::new(&(shop(&server.url(), &webhook(&receiver)) + &heavy));
    let daemon = home.start_live();
    let fired = |count: u64| until(&format!("{count} webhooks"), || receiver.totals().accepted_distinct == count);
    server.exec("INSERT INTO shop.orders VALUES (1, 150, 1), (2, 1, 20)");
    fired(2);
    server.exec("ALTER TABLE shop.orders DROP COLUMN weight; INSERT INTO shop.orders VALUES (3, 300)");
    fired(3);
    daemon.until_said("effect heavy is left out: E0203: ");
    // The same after a restart; and the rule comes back with its column.
    daemon.kill9();
    let daemon = home.start_live();
    daemon.until_said("effect heavy is left out: E0203: ");
    server.exec("ALTER TABLE shop.orders ADD COLUMN weight INT NOT NULL DEFAULT 1; INSERT INTO shop.orders VALUES (4, 400, 40)");
    fired(5);
    daemon.stop().well();
}
