//! Fields that the clock publishes are state like any other: what is published and what waits survive a crash, and a moment comes once.

use serde_json::Value as Json;
use thalweg_testkit::Server;

use super::harness::{Home, shop, shop_server, until};
use super::reload::{deliveries, effect, reloaded};

/// The timers that wait, as (rule, id).
fn timers(home: &Home) -> Vec<(String, String)> {
    let listed = home.command(&["timers", "ls", "--json"]).output().expect("the binary runs").stdout;
    let of = |line: &str| {
        let timer: Json = serde_json::from_str(line).expect("a line is JSON");
        (timer["rule"].as_str().unwrap().to_owned(), timer["id"].as_str().unwrap().to_owned())
    };
    String::from_utf8(listed).unwrap().lines().map(of).collect()
}

fn rules(home: &Home) -> Vec<String> {
    timers(home).into_iter().map(|(rule, _)| rule).collect()
}

/// The moment of a schedule, now.
fn moment(home: &Home, rule: &str) {
    let (_, id) = timers(home).into_iter().find(|(of, _)| of == rule).expect("the schedule waits");
    assert!(home.command(&["timers", "fire", &id]).output().expect("the binary runs").status.success());
}

/// Waits until exactly these have fired, as (effect, key, version), sorted.
fn fired(home: &Home, wanted: &[(&str, &str, u64)]) {
    let wanted: Vec<_> = wanted.iter().map(|(name, key, version)| ((*name).into(), (*key).into(), *version)).collect();
    until(&format!("{wanted:?}"), || {
        let mut fired = deliveries(home);
        fired.sort();
        fired == wanted
    });
}

const EVERY: &str = "schedule of fields: every 1h";

/// Orders whose amount the clock publishes each hour, and whether it is above 100; `seen` fires when the amount itself is.
fn config(server: &Server, timing: &str) -> String {
    let shop = shop(&server.url(), "{ type = \"log\", path = \"big.log\" }");
    let field = format!("[fields]\n\"Order.shown\" = {{ formula = \"amount\"{timing} }}\n");
    let shop = shop.replace("[fields]\n", &field).replace("\"amount > 100\"", "\"shown > 100\"");
    format!("{shop}{}", effect("seen", "amount > 100"))
}

#[test]
fn what_waits_and_what_is_published_survive_kill_9_and_a_moment_comes_once() {
    let Some(server) = shop_server() else { return };
    let home = Home::new(&config(&server, ", timing = { every = \"1h\" }"));
    let daemon = home.start_live();
    server.exec("INSERT INTO shop.orders VALUES (1, 150), (2, 50)");
    fired(&home, &[("seen", "[1]", 1)]);
    daemon.kill9();
    assert_eq!(rules(&home), [EVERY]);

    // Between a change and its publication nothing is lost.
    let daemon = home.start_live();
    moment(&home, EVERY);
    fired(&home, &[("big", "[1]", 1), ("seen", "[1]", 1)]);
    daemon.kill9();

    // It stays published: the next moment finds it above 100, and only the other one rises.
    let daemon = home.start_live();
    server.exec("UPDATE shop.orders SET amount = 160");
    let second = [("big", "[1]", 1), ("seen", "[1]", 1), ("seen", "[2]", 1)];
    fired(&home, &second);
    moment(&home, EVERY);
    let third = [("big", "[1]", 1), ("big", "[2]", 1), ("seen", "[1]", 1), ("seen", "[2]", 1)];
    fired(&home, &third);
    daemon.stop().well();
    assert_eq!(rules(&home), [EVERY], "the ordinary moment is still to come");
    assert_eq!(home.counts().fired, 4);
}

#[test]
fn a_timing_that_changes_by_a_reload_keeps_what_is_published() {
    let Some(server) = shop_server() else { return };
    let home = Home::new(&config(&server, ", timing = { every = \"1h\" }"));
    let daemon = home.start_live();
    server.exec("INSERT INTO shop.orders VALUES (1, 150)");
    fired(&home, &[("seen", "[1]", 1)]);
    moment(&home, EVERY);
    fired(&home, &[("big", "[1]", 1), ("seen", "[1]", 1)]);
    server.exec("UPDATE shop.orders SET amount = 10; INSERT INTO shop.orders VALUES (2, 200)");
    let second = [("big", "[1]", 1), ("seen", "[1]", 1), ("seen", "[2]", 1)];
    fired(&home, &second);

    // What waited for one schedule waits for another one; nothing fires by it.
    home.configure(&config(&server, ", timing = { every = \"2h\" }"));
    assert_eq!(reloaded(&home), ["~ field Order.shown"]);
    until("the other schedule", || rules(&home) == ["schedule of fields: every 2h"]);
    fired(&home, &second);
    moment(&home, "schedule of fields: every 2h");
    let third = [("big", "[1]", 1), ("big", "[2]", 1), ("seen", "[1]", 1), ("seen", "[2]", 1)];
    fired(&home, &third);

    // It waits for a time of its own from now on, and then for none.
    server.exec("UPDATE shop.orders SET amount = 300 WHERE id = 1");
    fired(&home, &[("big", "[1]", 1), ("big", "[2]", 1), ("seen", "[1]", 1), ("seen", "[1]", 3), ("seen", "[2]", 1)]);
    home.configure(&config(&server, ", timing = { batch = 100, or_after = \"1s\" }"));
    assert_eq!(reloaded(&home), ["~ field Order.shown"]);
    home.configure(&config(&server, ""));
    assert_eq!(reloaded(&home), ["~ field Order.shown"]);
    until("no timer", || rules(&home).is_empty());
    server.exec("UPDATE shop.orders SET amount = 10; UPDATE shop.orders SET amount = 400 WHERE id = 1");
    until("what is computed at once", || deliveries(&home).contains(&("big".into(), "[1]".into(), 3)));
    daemon.stop().well();
}
