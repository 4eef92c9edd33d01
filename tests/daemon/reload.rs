//! A running process takes a changed definition: between two transactions, whole or not at all, whatever dies around it.

use std::collections::BTreeSet;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Output};
use std::time::Duration;

use expect_test::expect;
use serde_json::Value as Json;

use super::harness::{Daemon, Home, SECRET, receiver, receiver_at, shop, shop_server, until, webhook, webhook_to};
use super::writers::{Writers, hash_of};

/// What `thalweg reload` says, and its exit code.
fn reload(home: &Home, args: &[&str]) -> (String, i32) {
    let Output { status, stdout, stderr } = home.command(&[&["reload"], args].concat()).output().expect("the binary runs");
    (String::from_utf8(stdout).unwrap() + &String::from_utf8(stderr).unwrap(), status.code().unwrap_or(-1))
}

/// The same for a reload that is taken: what has changed.
pub fn reloaded(home: &Home) -> Vec<String> {
    let (text, code) = reload(home, &["--json"]);
    assert_eq!(code, 0, "{text}");
    let json: Json = serde_json::from_str(&text).unwrap();
    json["changes"].as_array().unwrap().iter().map(|change| change.as_str().unwrap().to_owned()).collect()
}

fn hang_up(daemon: &Daemon) {
    let told = Command::new("kill").args(["-HUP", &daemon.pid().to_string()]).status();
    assert!(told.expect("`kill` runs").success());
}

/// (effect, key, version) of every delivery, oldest first.
pub fn deliveries(home: &Home) -> Vec<(String, String, u64)> {
    let Output { stdout, .. } = home.command(&["effects", "ls", "--json"]).output().expect("the binary runs");
    let lines = String::from_utf8(stdout).unwrap();
    let row = |line: &str| {
        let row: Json = serde_json::from_str(line).unwrap();
        (row["effect"].as_str().unwrap().to_owned(), row["key"].as_str().unwrap().to_owned(), row["version"].as_u64().unwrap())
    };
    lines.lines().map(row).collect()
}

pub fn effect(name: &str, condition: &str) -> String {
    format!(
        "\n[[effect]]\nname = \"{name}\"\non = \"Order\"\nwhen = \"{condition}\"\nactions = [{{ type = \"log\", path = \"{name}.log\" }}]\n"
    )
}

#[test]
fn effects_are_added_changed_and_removed_and_nothing_fires_by_it() {
    let Some(server) = shop_server() else { return };
    let log = "{ type = \"log\", path = \"big.log\" }";
    let plain = shop(&server.url(), log);
    let home = Home::new(&plain);
    let daemon = home.start_live();
    let fired = |wanted: &[(&str, &str, u64)]| {
        let wanted: Vec<_> = wanted.iter().map(|(name, key, version)| ((*name).into(), (*key).into(), *version)).collect();
        until(&format!("{wanted:?}"), || deliveries(&home) == wanted);
    };
    server.exec("INSERT INTO shop.orders VALUES (1, 150), (2, 50)");
    fired(&[("big", "[1]", 1)]);

    // What is true already does not fire; what is as it was keeps its state.
    home.configure(&format!("{plain}{}", effect("huge", "amount > 140")));
    assert_eq!(reloaded(&home), ["+ effect huge"]);
    server.exec("UPDATE shop.orders SET amount = 160 WHERE id = 1; INSERT INTO shop.orders VALUES (3, 200)");
    let after_first = [("big", "[1]", 1), ("big", "[3]", 1), ("huge", "[3]", 1)];
    fired(&after_first);

    // It falls and rises: versions go on where they were.
    server.exec("UPDATE shop.orders SET amount = 10 WHERE id = 1; UPDATE shop.orders SET amount = 300 WHERE id = 1");
    let after_second = [&after_first[..], &[("big", "[1]", 3), ("huge", "[1]", 1)]].concat();
    fired(&after_second);

    // Another condition by the same name: what it makes true does not fire.
    home.configure(&format!("{plain}{}", effect("huge", "amount > 40")));
    assert_eq!(reloaded(&home), ["~ effect huge"]);
    server.exec("UPDATE shop.orders SET amount = 45 WHERE id = 2; INSERT INTO shop.orders VALUES (4, 45)");
    let after_third = [&after_second[..], &[("huge", "[4]", 1)]].concat();
    fired(&after_third);

    // Removed; the same again changes nothing.
    home.configure(&plain);
    assert_eq!(reloaded(&home), ["- effect huge"]);
    assert_eq!(reloaded(&home), [""; 0]);
    server.exec("INSERT INTO shop.orders VALUES (5, 500)");
    let all = [&after_third[..], &[("big", "[5]", 1)]].concat();
    fired(&all);
    daemon.stop().well();

    // A restart goes on from there.
    let daemon = home.start_live();
    server.exec("UPDATE shop.orders SET amount = 1 WHERE id = 5; UPDATE shop.orders SET amount = 500 WHERE id = 5");
    fired(&[&all[..], &[("big", "[5]", 3)]].concat());
    daemon.stop().well();
}

#[test]
fn snk_15_what_fired_before_its_rule_changed_and_went_is_delivered_as_it_fired() {
    let Some(server) = shop_server() else { return };
    let dead = receiver();
    let (address, url) = (dead.address().to_string(), dead.url());
    drop(dead);
    let plain = shop(&server.url(), &webhook_to(&url));
    let home = Home::new(&plain);
    let daemon = home.start_live();
    server.exec("INSERT INTO shop.orders VALUES (1, 150)");
    let pending = [("big".to_owned(), "[1]".to_owned(), 1)];
    until("it fired", || deliveries(&home) == pending);
    home.configure(&plain.replace("payload = [\"id\", \"amount\"]", "payload = [\"id\"]"));
    assert_eq!(reloaded(&home), ["~ effect big"]);
    let (without, _) = plain.split_once("[[effect]]").expect("there is an effect");
    home.configure(without);
    assert_eq!(reloaded(&home), ["- effect big"]);
    assert_eq!(deliveries(&home), pending, "it can be seen still");
    let back = receiver_at(&address, SECRET);
    until("the webhook", || back.totals().accepted_distinct == 1);
    daemon.stop().well();
    let body = String::from_utf8(back.last().1).expect("a body is text");
    assert!(body.contains("\"amount\":150"), "{body}");
    assert_eq!(back.totals().unverified, 0);
}

#[test]
fn a_definition_with_errors_is_refused_with_their_places_and_the_one_before_runs_on() {
    let Some(server) = shop_server() else { return };
    let plain = shop(&server.url(), "{ type = \"log\", path = \"big.log\" }");
    let home = Home::new(&plain);
    let mut daemon = home.start_live();
    let refused = |config: &str, exact: expect_test::Expect| {
        home.configure(config);
        let (text, code) = reload(&home, &[]);
        assert_eq!(code, 1, "{text}");
        exact.assert_eq(&text);
    };
    refused(
        &plain.replace("amount > 100\"\n\n", "amonut > 100\"\n\"Order.bad\" = \"1 + \"\n\n"),
        expect![[r#"
        error[E0203]: unknown field `amonut`
          --> thalweg.toml:16:16
           |
        16 | "Order.big" = "amonut > 100"
           |                ^^^^^^ table `Order` has no field `amonut`
           |
           = help: did you mean `amount`?
           = note: fields: id, amount, big, bad, Order

        error[E0102]: the formula ends where a value is expected
          --> thalweg.toml:17:18
           |
        17 | "Order.bad" = "1 + "
           |                  ^ nothing follows `+`
           |
           = help: write the value, or remove this
    "#]],
    );
    refused(
        &plain.replace("type = \"log\"", "type = \"logg\""),
        expect![[r#"
        error[E0243]: unknown action type `logg`
          --> thalweg.toml:23:21
           |
        23 | actions = [{ type = "logg", path = "big.log" }]
           |                     ^^^^^^
           |
           = help: did you mean `log`?
           = note: types: webhook, dolt-insert, sql-insert, sql-upsert, sql-delete, sql-sync, shell, handler, log
    "#]],
    );
    refused(
        "[fields",
        expect![[r#"
        error[E0180]: bad TOML: unclosed table, expected `]`
         --> thalweg.toml:1:8
          |
        1 | [fields
          |        ^
    "#]],
    );
    refused(
        &format!("{plain}\n[http]\nlisten = \"127.0.0.1:0\"\n"),
        expect![[r#"
        error: E0620: `[http]` has changed, which a running process cannot take; restart `thalweg run`
    "#]],
    );
    assert!(daemon.runs());
    server.exec("INSERT INTO shop.orders VALUES (1, 150)");
    until("the old definition's effect", || deliveries(&home).len() == 1);
    daemon.stop().well();
    let (text, code) = reload(&home, &[]);
    expect![[r#"
        error: E0621: no process runs on .thalweg
          = help: what is changed is taken by the next `thalweg run`
    "#]]
    .assert_eq(&text);
    assert_eq!(code, 4);
}

#[test]
fn a_signal_and_a_changed_file_reload_and_a_table_comes_with_its_rows() {
    let Some(server) = shop_server() else { return };
    server.exec("CREATE TABLE shop.items (id INT PRIMARY KEY, order_id INT NOT NULL, price INT NOT NULL); INSERT INTO shop.items VALUES (1, 1, 60), (2, 1, 70)");
    let plain = shop(&server.url(), "{ type = \"log\", path = \"big.log\" }") + "\n[engine]\nreload = true\n";
    let home = Home::new(&plain);
    let daemon = home.start_live();
    server.exec("INSERT INTO shop.orders VALUES (1, 150)");
    until("the first effect", || deliveries(&home).len() == 1);

    home.configure(&(plain.clone() + &effect("huge", "amount > 140")));
    daemon.until_said("1 change\n  + effect huge\n");
    home.configure(&(plain.clone() + "\n[fieldz]\n"));
    daemon.until_said("the definition was not reloaded, the one before runs on:");

    let items =
        "relations = { items = { table = \"Item\", key = \"order_id\" } }\n\n[[table]]\nname = \"Item\"\nfrom = \"shop.items\"\n";
    let with_items = plain.replace("from = \"shop.orders\"\n", &format!("from = \"shop.orders\"\n{items}"));
    let with_items = with_items.replace("[\"shop.orders\"]", "[\"shop.orders\", \"shop.items\"]")
        + &effect("rich", "sum(items[*].price) > 200");
    // What only the server can tell is found out too, and the sources of before go on.
    home.configure(&with_items.replace("shop.items", "shop.itmes"));
    daemon.until_said("unknown table `shop.itmes`");
    home.configure(&with_items);
    daemon.until_said("4 changes\n");
    let is_read =
        || daemon.said().split_once("reading the tables that were added\n").is_some_and(|(_, then)| then.contains(": live\n"));
    until("the table to be read in", is_read);
    server.exec("INSERT INTO shop.items VALUES (3, 1, 71)");
    until("the effect over the new table", || deliveries(&home).contains(&("rich".into(), "[1]".into(), 1)));

    home.configure(&plain);
    hang_up(&daemon);
    until("both", || daemon.said().contains("\n  - effect rich\n"));
    server.exec("INSERT INTO shop.orders VALUES (2, 151)");
    until("the effect that stayed", || deliveries(&home).len() == 3);
    daemon.stop().well();
}

#[test]
fn clu_06_kill_9_around_reloads_under_load_loses_nothing() {
    let Some(server) = shop_server() else { return };
    let kills: u64 = std::env::var("THALWEG_KILLS").ok().map_or(8, |n| n.parse().expect("THALWEG_KILLS is a number"));
    let receiver = receiver();
    let plain = shop(&server.url(), &webhook(&receiver));
    let home = Home::new(&plain);
    home.run_until_idle("0.3").well();
    let variants = [
        plain.clone(),
        plain.clone() + &effect("other", "amount > 50"),
        plain.replace("[fields]", "[fields]\n\"Order.x\" = \"amount * 2\""),
    ];
    let writers = Writers::start(&server.url(), 3, Duration::from_millis(15));
    let mut taken = 0;
    for kill in 0..kills {
        let daemon = home.start_live();
        for round in 0..6_u64 {
            // Whole, since the reload before may be about to read it.
            std::fs::write(home.path("next.toml"), &variants[((kill + round) % 3) as usize]).unwrap();
            std::fs::rename(home.path("next.toml"), home.path("thalweg.toml")).unwrap();
            hang_up(&daemon);
            // Some are over before the next one comes, some are not.
            std::thread::sleep(Duration::from_millis(kill * 37 % 90 + round * 13 % 40));
        }
        let ended = daemon.kill9();
        assert_eq!(ended.status.signal(), Some(9), "it ended by itself:\n{}", ended.said);
        assert!(!ended.said.contains("not reloaded"), "{}", ended.said);
        taken += ended.said.matches("reloaded after epoch").count();
    }
    assert!(taken > 0, "no reload was ever over");
    let rises = writers.stop();
    home.configure(&plain);
    home.run_until_idle("1").well();
    let counts = home.counts();
    assert_eq!((counts.pending, counts.dead, counts.cancelled), (0, 0, 0), "{counts:?}");
    let expected: BTreeSet<String> = rises.iter().map(|rise| rise.hash(0)).collect();
    let received: BTreeSet<String> = receiver.received().keys().map(|id| hash_of(id)).collect();
    let (lost, invented): (Vec<_>, Vec<_>) = (expected.difference(&received).collect(), received.difference(&expected).collect());
    eprintln!("kills {kills}, reloads {taken}, rises {}, fired {}", rises.len(), counts.fired);
    assert!(lost.is_empty() && invented.is_empty(), "lost {lost:?}, invented {invented:?}");
}
