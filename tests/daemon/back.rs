//! What goes away and comes back: a receiver, the server, a table's layout.

use thalweg_sinks::receiver::Behaviour;
use thalweg_testkit::Server;

use super::harness::{Home, SECRET, receiver, receiver_at, shop, shop_server, until, webhook, webhook_to};

#[test]
fn snk_06_a_dead_receiver_delays_nothing_else_and_everything_arrives_when_it_is_back() {
    let Some(server) = shop_server() else { return };
    let (well, dead) = (receiver(), receiver());
    let (address, url) = (dead.address().to_string(), dead.url());
    drop(dead);
    let home = Home::new(&shop(&server.url(), &format!("{}, {}", webhook_to(&url), webhook(&well))));
    let daemon = home.start_live();
    let values: Vec<String> = (1..=400).map(|id| format!("({id}, 150)")).collect();
    server.exec(&format!("INSERT INTO shop.orders VALUES {}", values.join(", ")));
    until("all at the receiver that is well", || well.totals().accepted_distinct == 400);

    let back = receiver_at(&address, SECRET);
    until("all at the receiver that is back", || back.totals().accepted_distinct == 400);
    daemon.stop().well();
    assert_eq!((well.totals().accepted, back.totals().contradictions), (400, 0));
    let counts = home.counts();
    assert_eq!((counts.fired, counts.acked), (800, 800), "{counts:?}");
}

#[test]
fn snk_08_a_receiver_that_never_answers_delays_nothing_else() {
    let Some(server) = shop_server() else { return };
    let (well, silent) = (receiver(), receiver());
    silent.behave(Behaviour::Hang);
    let home = Home::new(&shop(&server.url(), &format!("{}, {}", webhook(&silent), webhook(&well))));
    let daemon = home.start_live();
    let values: Vec<String> = (1..=600).map(|id| format!("({id}, 150)")).collect();
    let begun = std::time::Instant::now();
    server.exec(&format!("INSERT INTO shop.orders VALUES {}", values.join(", ")));
    until("all at the receiver that is well", || well.totals().accepted_distinct == 600);
    // An attempt at the silent one lasts 15 s: none of those had to end before all others were through.
    assert!(begun.elapsed().as_secs() < 12, "{:?}", begun.elapsed());
    silent.behave(Behaviour::Accept);
    daemon.kill9();
    home.run_until_idle("0.5").well();
    assert_eq!((well.totals().contradictions, silent.totals().accepted_distinct), (0, 600));
}

#[test]
fn the_server_goes_down_and_comes_back() {
    let Some(mut server) = shop_server() else { return };
    let receiver = receiver();
    let home = Home::new(&shop(&server.url(), &webhook(&receiver)));
    let daemon = home.start_live();
    for round in 0..3 {
        let first = round * 10;
        for id in first + 1..=first + 10 {
            server.exec(&format!("INSERT INTO shop.orders VALUES ({id}, 150)"));
        }
        server.kill9();
        server.restart();
    }
    until("all webhooks", || receiver.totals().accepted_distinct == 30);
    let ended = daemon.stop();
    ended.well();
    assert!(ended.said.contains("connecting again"), "{}", ended.said);
    assert_eq!((receiver.totals().accepted, receiver.totals().unverified), (30, 0));
    assert_eq!(home.counts().fired, 30);
}

#[test]
fn a_layout_that_changed_while_the_daemon_was_down_is_read_as_it_was_and_as_it_is() {
    let Some(server) = shop_server() else { return };
    let receiver = receiver();
    let home = Home::new(&shop(&server.url(), &webhook(&receiver)));
    let daemon = home.start_live();
    server.exec("INSERT INTO shop.orders VALUES (1, 150)");
    until("the first webhook", || receiver.totals().accepted_distinct == 1);
    daemon.kill9();
    server.exec("INSERT INTO shop.orders VALUES (2, 150); ALTER TABLE shop.orders ADD COLUMN note VARCHAR(20) FIRST");
    server.exec(
        "INSERT INTO shop.orders VALUES ('x', 3, 150); UPDATE shop.orders SET note = 'y'; UPDATE shop.orders SET amount = 5",
    );
    server.exec(
        "ALTER TABLE shop.orders DROP COLUMN note, ADD COLUMN more INT FIRST; UPDATE shop.orders SET amount = 700 WHERE id = 2",
    );
    let ended = home.run_until_idle("0.5");
    ended.well();
    assert_eq!(receiver.totals().accepted_distinct, 4, "{}", ended.said);
    assert_eq!((receiver.totals().contradictions, home.counts().fired), (0, 4));
}

#[test]
fn two_sources_each_go_on_where_they_stood() {
    let Some(server) = shop_server() else { return };
    let receiver = receiver();
    let notes = r#"
[[source]]
name = "notes"
kind = "jsonl"
path = "notes.jsonl"

[[table]]
name = "Note"
key = ["id"]
columns = { id = "int", loud = "bool" }

[[effect]]
name = "shout"
on = "Note"
when = "loud"
actions = ["#;
    let config = format!("{}\n{notes}{}]\n", shop(&server.url(), &webhook(&receiver)), webhook(&receiver));
    let home = Home::new(&config);
    let note =
        |id: i32| format!("{{\"changes\":[{{\"table\":\"Note\",\"op\":\"upsert\",\"after\":{{\"id\":{id},\"loud\":true}}}}]}}\n");
    let mut lines = String::new();
    for round in 1..=4 {
        (0..5).for_each(|n| lines.push_str(&note(round * 10 + n)));
        std::fs::write(home.path("notes.jsonl"), &lines).unwrap();
        server.exec(&format!("INSERT INTO shop.orders VALUES ({round}, 150); CREATE TABLE shop.other{round} (id INT)"));
        let ended = home.run_until_idle("0.3");
        ended.well();
        // What the first snapshot holds was there before: it fires nothing.
        let expected = round as u64 * 5 + round as u64 - 1;
        assert_eq!(receiver.totals().accepted, expected, "round {round}\n{}", ended.said);
    }
}

#[test]
fn two_sources_of_one_server_hold_one_connection_and_lose_nothing() {
    let Some(mut server) = shop_server() else { return };
    server.exec("CREATE TABLE shop.returns (id INT PRIMARY KEY, amount INT)");
    let receiver = receiver();
    let second = format!(
        r#"
[[source]]
name = "returns"
kind = "mysql"
url = "{}"
tables = ["shop.returns"]

[[table]]
name = "Return"
from = "shop.returns"
key = ["id"]

[[effect]]
name = "back"
on = "Return"
when = "amount > 100"
actions = ["#,
        server.url()
    );
    let home = Home::new(&format!("{}\n{second}{}]\n", shop(&server.url(), &webhook(&receiver)), webhook(&receiver)));
    let dumps = |server: &Server| {
        let all = server.query("SHOW PROCESSLIST");
        all.iter().filter(|row| row.iter().any(|cell| cell.starts_with("Binlog Dump"))).count()
    };
    let insert = |server: &Server, id: i32| {
        server.exec(&format!("INSERT INTO shop.orders VALUES ({id}, 150); INSERT INTO shop.returns VALUES ({id}, 150)"));
    };
    let daemon = home.start();
    until("both are live", || daemon.said().matches(": live").count() == 2);
    insert(&server, 1);
    until("one connection", || dumps(&server) == 1);
    insert(&server, 2);
    server.kill9();
    server.restart();
    insert(&server, 3);
    until("one connection again", || dumps(&server) == 1);
    daemon.kill9();
    insert(&server, 4);
    home.run_until_idle("0.5").well();
    assert_eq!((receiver.totals().accepted_distinct, receiver.totals().contradictions), (8, 0));
    assert_eq!(home.counts().fired, 8);
}

#[test]
fn ddl_while_running() {
    let Some(server) = shop_server() else { return };
    let receiver = receiver();
    let home = Home::new(&shop(&server.url(), &webhook(&receiver)));
    let daemon = home.start_live();
    for round in 0..5 {
        let insert = |id: i32| server.exec(&format!("INSERT INTO shop.orders (id, amount) VALUES ({id}, 150)"));
        insert(round * 2 + 1);
        server.exec(&format!("ALTER TABLE shop.orders ADD COLUMN note{round} VARCHAR(20) FIRST"));
        insert(round * 2 + 2);
        server.exec(&format!("UPDATE shop.orders SET note{round} = 'x', amount = amount + 1"));
    }
    until("all webhooks", || receiver.totals().accepted_distinct == 10);
    // What fell and rises again after all that fires again; what merely got a column does not.
    server.exec("UPDATE shop.orders SET amount = 1 WHERE id = 1; UPDATE shop.orders SET amount = 500 WHERE id = 1");
    until("one more", || receiver.totals().accepted_distinct == 11);
    daemon.stop().well();
    let again = home.run_until_idle("0.3");
    again.well();
    assert_eq!(receiver.totals().accepted, 11);
    assert_eq!(home.counts().fired, 11, "{}", again.said);
}
