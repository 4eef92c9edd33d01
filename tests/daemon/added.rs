//! A table that comes to a definition which has run before, and what became of rows while the log was lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use thalweg_graph::ports::Store;
use thalweg_store::StoreConfig;
use thalweg_store::fold::Fold;
use thalweg_testkit::{MariaDb, MySql, Proxy, Server, require, require_mysql};

use super::harness::{Home, SHOP, purge, receiver, shop, shop_server, until, webhook};

const ITEMS: &str = "CREATE TABLE shop.items (id INT PRIMARY KEY, order_id INT NOT NULL, price INT NOT NULL);
    CREATE TABLE shop.event_log (id VARCHAR(26) PRIMARY KEY, timestamp DATETIME(3) NOT NULL, event_type VARCHAR(50) NOT NULL,
    source_db VARCHAR(50), source_table VARCHAR(50), subject_id VARCHAR(50), actor VARCHAR(100), summary TEXT, payload JSON)";

/// [`shop`] with the table of items, a total over them, and an effect that tells the total of an order that is asked for.
fn with_items(url: &str, actions: &str) -> String {
    let insert = "{ type = \"dolt-insert\", database = \"shop\", table = \"event_log\" }";
    let orders = shop(url, actions).replace("[\"shop.orders\"]", "[\"shop.orders\", \"shop.items\"]");
    let orders = orders.replace(
        "from = \"shop.orders\"",
        "from = \"shop.orders\"\nrelations = { items = { table = \"Item\", key = \"order_id\" } }",
    );
    let item = "[[table]]\nname = \"Item\"\nfrom = \"shop.items\"\n\n[fields]\n\"Order.total\" = \"sum(items[*].price)\"";
    let orders = orders.replace("[fields]", item);
    format!(
        "{orders}\n[[effect]]\nname = \"asked\"\non = \"Order\"\nwhen = \"amount < 0\"\npayload = [\"id\", \"total\"]\nactions = [{insert}]\n
         [[effect]]\nname = \"old\"\non = \"Item\"\nwhen = \"price >= 0\"\nactions = [{actions}]\n"
    )
}

/// The rows of the store, table by table.
fn stored(home: &Home, table: &str) -> Vec<String> {
    let mut store = home.store();
    let mut fold = Fold::new(Arc::new(StoreConfig::default()));
    let mut from = 0;
    if let Some(state) = store.snapshot_state().unwrap() {
        from = state.epoch;
        store.snapshot_rows(&mut |rows| fold.transaction(rows)).unwrap();
    }
    store.replay(from, &mut |_, transaction| fold.transaction(transaction)).unwrap();
    let rows = fold.into_tables().filter(|rows| &*rows.schema.table == table).flat_map(|rows| rows.rows);
    let mut rows: Vec<String> = rows.map(|row| format!("{row:?}")).collect();
    rows.sort();
    rows
}

/// The store has the rows of a table, whose columns are whole numbers, that the server has.
fn assert_stored(home: &Home, server: &Server, table: &str, columns: &str) {
    let stored = stored(home, table);
    let text =
        |row: &Vec<String>| format!("[{}]", row.iter().map(|cell| format!("Some(Int({cell}))")).collect::<Vec<_>>().join(", "));
    let mut wanted: Vec<String> = server.query(&format!("SELECT {columns} FROM {table}")).iter().map(text).collect();
    wanted.sort();
    assert_eq!(stored.len(), wanted.len());
    assert_eq!(stored, wanted);
}

/// A table is added to a definition that runs; writers write to it while it is read in, and the daemon is killed in the middle.
fn story(server: &Server, rows: u32) {
    server.exec(SHOP);
    server.exec(ITEMS);
    server.exec(
        "INSERT INTO shop.orders VALUES (1, 150), (2, 50), (3, 1); INSERT INTO shop.items VALUES (1, 1, 1), (2, 2, 1), (3, 3, 1)",
    );
    while server.query("SELECT COUNT(*) FROM shop.items")[0][0].parse::<u32>().unwrap() < rows {
        server.exec("INSERT INTO shop.items SELECT id + (SELECT MAX(id) FROM shop.items), order_id, 1 FROM shop.items");
    }
    let receiver = receiver();
    let actions = webhook(&receiver);
    let home = Home::new(&shop(&server.url(), &actions));
    home.start_live().stop().well();
    server.exec("UPDATE shop.items SET price = 2 WHERE id % 5 = 0; INSERT INTO shop.orders VALUES (4, 400)");

    home.configure(&with_items(&server.url(), &actions));
    let ended = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let client = server.client();
            for round in 0u32.. {
                let (id, other) = (round * 7919 % rows, round * 104_729 % rows);
                let sql = format!(
                    "UPDATE shop.items SET price = price + 1, order_id = 1 + {round} % 4 WHERE id = {id}; DELETE FROM shop.items WHERE id = {other};
                     BEGIN; INSERT INTO shop.items VALUES ({rows} * 2 + {round}, 2, 3); UPDATE shop.orders SET amount = 1 WHERE id = 3; COMMIT"
                );
                client.try_query(&sql).expect("the writer writes");
                if ended.load(Ordering::Relaxed) {
                    return;
                }
                std::thread::sleep(Duration::from_millis(2));
            }
        });
        for kill in 0.. {
            let daemon = home.start();
            let is_whole = || daemon.said().contains("source shop: live\n");
            // Every second one lives until it reads, however long it takes to get there, so that all of them together come to an end.
            if kill % 2 == 1 {
                until("the reading", || is_whole() || daemon.said().contains("reading the tables that were added\n"));
            }
            let deadline = std::time::Instant::now() + Duration::from_millis(900 + 150 * kill);
            while !is_whole() && std::time::Instant::now() < deadline {
                std::thread::sleep(Duration::from_millis(5));
            }
            let whole = is_whole();
            let said = daemon.kill9().said;
            assert!(kill < 40, "{said}");
            if whole {
                break;
            }
        }
        ended.store(true, Ordering::Relaxed);
    });
    home.run_until_idle("1").well();
    assert_stored(&home, server, "shop.items", "id, order_id, price");
    // The totals, as the engine has them.
    server.exec("UPDATE shop.orders SET amount = -id");
    home.run_until_idle("1").well();
    let told = server.query("SELECT subject_id, JSON_UNQUOTE(JSON_EXTRACT(payload, '$.total')) FROM shop.event_log ORDER BY 1");
    // An order may have no item: how far the writer comes is not said.
    let sums = "SELECT o.id, COALESCE(SUM(i.price), 0) FROM shop.orders o LEFT JOIN shop.items i ON i.order_id = o.id GROUP BY 1 ORDER BY 1";
    let sums = server.query(sums);
    assert_eq!(told, sums);
    // Order 4 rose once. Of the items none fired but those that came after the table was whole.
    let fired: Vec<String> = receiver.received().into_values().map(|event| format!("{event:?}")).collect();
    assert!(!fired.iter().any(|event| event.contains("contradiction")), "{fired:?}");
    assert_eq!((receiver.totals().contradictions, receiver.totals().unverified), (0, 0));
}

#[test]
fn src_26_an_added_table_is_read_in_over_kills_and_ends_as_sql_says() {
    if require() {
        story(&MariaDb::start(), 20_000);
    }
}

#[test]
fn mysql9_src_26_an_added_table_is_read_in_over_kills_and_ends_as_sql_says() {
    if require_mysql() {
        story(&MySql::start(), 20_000);
    }
}

/// After a purge the tables are read anew: what has not changed moves nothing and fires nothing, and what has changed fires as asked for.
#[test]
fn src_07_what_changed_behind_a_purged_log_counts_once_and_fires_as_the_settings_say() {
    let Some(server) = shop_server() else { return };
    for (settings, fired, deltas) in [("", 0, 0), ("snapshot_effects = \"fire\"\n", 2, 3)] {
        server.exec("DELETE FROM shop.orders; INSERT INTO shop.orders VALUES (1, 150), (2, 50), (3, 300), (5, 5)");
        let receiver = receiver();
        let plain = shop(&server.url(), &webhook(&receiver));
        let home = Home::new(&plain);
        home.start_live().stop().well();
        server.exec("UPDATE shop.orders SET amount = 500 WHERE id = 2; DELETE FROM shop.orders WHERE id = 3; INSERT INTO shop.orders VALUES (4, 700); FLUSH BINARY LOGS; FLUSH BINARY LOGS");
        purge(&server);
        home.configure(
            &plain.replace("kind = \"mysql\"\n", &format!("kind = \"mysql\"\nafter_purge = \"snapshot\"\n{settings}")),
        );
        let ended = home.run_until_idle("1");
        ended.well();
        until("the webhooks", || receiver.totals().accepted_distinct == fired);
        assert!(ended.said.contains(&format!(", {deltas} deltas, {fired} effects fired")), "{}", ended.said);
        // What was told is what is there: 2 has risen, 4 is there, 1 was there all the time.
        server
            .exec("UPDATE shop.orders SET amount = 600 WHERE id IN (1, 2, 4); UPDATE shop.orders SET amount = 600 WHERE id = 5");
        home.run_until_idle("1").well();
        until("the webhook of order 5", || receiver.totals().accepted_distinct == fired + 1);
    }
}

/// The first snapshot comes slowly; daemon and server are killed amid it.
#[test]
fn src_18_a_first_snapshot_over_kills_of_both_ends_as_sql_says() {
    let Some(mut server) = shop_server() else { return };
    server.exec("USE shop; INSERT INTO orders SELECT seq, seq % 200 FROM seq_1_to_25000");
    let proxy = Proxy::to(server.port());
    proxy.delay(Duration::from_millis(10));
    let receiver = receiver();
    let home = Home::new(&shop(&format!("mysql://root@127.0.0.1:{}", proxy.port()), &webhook(&receiver)));
    let mut amid = 0;
    for kill in 0..3 {
        let daemon = home.start();
        daemon.until_said("source shop: reading its tables");
        std::thread::sleep(Duration::from_millis(60 * kill));
        amid += u32::from(!daemon.said().contains("source shop: live"));
        daemon.kill9();
        server.exec(&format!("DELETE FROM shop.orders WHERE id % 1000 = {kill}; UPDATE shop.orders SET amount = 1 WHERE id = 7"));
    }
    assert!(amid > 1, "{amid} kills amid a snapshot");
    let daemon = home.start();
    daemon.until_said("source shop: reading its tables");
    server.kill9();
    server.restart();
    proxy.delay(Duration::ZERO);
    daemon.until_said("source shop: live\n");
    server.exec("INSERT INTO shop.orders VALUES (0, 500)");
    until("the one that rose", || receiver.totals().accepted_distinct == 1);
    daemon.stop().well();
    assert_stored(&home, &server, "shop.orders", "id, amount");
    assert_eq!(home.counts().fired, 1);
}
