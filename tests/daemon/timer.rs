//! Timers are part of what a commit makes durable.

use std::process::Output;

use serde_json::Value as Json;
use thalweg_graph::ports::Store;

use super::harness::{Home, receiver, shop_server, until, webhook};
use super::status::get;

#[test]
fn a_schedule_raises_its_event_for_each_row_and_a_timer_is_called_off_across_kill_9() {
    let Some(server) = shop_server() else { return };
    let (placed, ticks, reminded) = (receiver(), receiver(), receiver());
    let home = Home::new(&format!(
        r#"
[egress]
allow = ["127.0.0.0/8"]

[[source]]
name = "shop"
kind = "mysql"
url = "{}"
tables = ["shop.orders"]

[[table]]
name = "Order"
from = "shop.orders"

[[classify]]
database = "shop"
table = "orders"
insert = "order.placed"

[[schedule]]
name = "rounds"
cron = "* * * * * *"
event = "round"
on = "Order"

[[reactions]]
event = "round"
condition = "amount > 100"
actions = [{}]

[[reactions]]
event = "order.placed"
timer = {{ delay = "8s", event = "order.reminder", cancel_when = "amount > 100" }}
actions = [{}]

[[reactions]]
event = "order.reminder"
actions = [{}]
"#,
        server.url(),
        webhook(&ticks),
        webhook(&placed),
        webhook(&reminded)
    ));
    let daemon = home.start_live();
    server.exec("INSERT INTO shop.orders VALUES (1, 50), (2, 50), (3, 50)");
    until("the commit that armed the timers", || placed.totals().accepted_distinct == 3);
    daemon.kill9();

    let daemon = home.start_live();
    server.exec("UPDATE shop.orders SET amount = 200 WHERE id IN (1, 2)");
    until("a round of the two", || ticks.totals().accepted_distinct >= 2);
    until("the reminder of the third", || reminded.totals().accepted_distinct == 1);
    until("a later round", || ticks.totals().accepted_distinct >= 6);
    daemon.kill9();
    let waiting = home.store().timers().expect("timers can be read");
    let rules: Vec<&str> = waiting.iter().map(|timer| &*timer.rule).collect();
    assert_eq!(rules, ["schedule rounds * * * * * * UTC"], "the reminders of two were called off, the third has fired");
    assert_eq!((reminded.totals().accepted_distinct, ticks.totals().contradictions), (1, 0));
}

#[test]
fn tim_01_a_timer_survives_kill_9_and_fires_once() {
    let Some(server) = shop_server() else { return };
    let (placed, reminded) = (receiver(), receiver());
    let home = Home::new(&format!(
        r#"
[egress]
allow = ["127.0.0.0/8"]

[[source]]
name = "shop"
kind = "mysql"
url = "{}"
tables = ["shop.orders"]

[[classify]]
database = "shop"
table = "orders"
insert = "order.placed"

[[reactions]]
event = "order.placed"
timer = {{ delay = "2s", event = "order.reminder" }}
actions = [{}]

[[reactions]]
event = "order.reminder"
condition = "amount > 100"
actions = [{}]
"#,
        server.url(),
        webhook(&placed),
        webhook(&reminded)
    ));
    let daemon = home.start_live();
    server.exec("INSERT INTO shop.orders VALUES (1, 150), (2, 50), (3, 200)");
    until("the commit that armed the timers", || placed.totals().accepted_distinct == 3);
    daemon.kill9();
    assert_eq!(home.store().timers().expect("timers can be read").len(), 3);

    let daemon = home.start();
    until("the reminders", || reminded.totals().accepted_distinct == 2);
    daemon.kill9();
    home.run_until_idle("0.5").well();
    let totals = reminded.totals();
    assert_eq!((totals.accepted_distinct, totals.contradictions), (2, 0), "one order is not worth a reminder: {totals:?}");
    let (counts, timers) = (home.counts(), home.store().timers().expect("timers can be read"));
    assert_eq!((counts.fired, counts.acked, timers.len()), (5, 5, 0), "{counts:?}");
}

/// What `thalweg timers` says on stdout and stderr, and its exit code.
fn timers(home: &Home, args: &[&str]) -> (String, i32) {
    let Output { status, stdout, stderr } = home.command(&[&["timers"], args].concat()).output().expect("the binary runs");
    let text = String::from_utf8(stdout).unwrap() + &String::from_utf8(stderr).unwrap();
    (text, status.code().unwrap_or(-1))
}

#[test]
fn timers_are_listed_brought_forward_and_called_off_beside_the_daemon_and_without_one() {
    let receiver = receiver();
    let order = |id: u32| {
        format!(
            "{{\"at\":\"2100-01-01T00:00:0{id}Z\",\"changes\":[{{\"table\":\"Order\",\"op\":\"insert\",\"after\":{{\"id\":{id},\"amount\":150}}}}]}}\n"
        )
    };
    let home = Home::new(&format!(
        "[egress]\nallow = [\"127.0.0.0/8\"]\n[http]\nlisten = \"127.0.0.1:0\"\n[[source]]\nname = \"shop\"\nkind = \"jsonl\"\npath = \"orders.jsonl\"\n\
         [[table]]\nname = \"Order\"\nkey = [\"id\"]\ncolumns = {{ id = \"int\", amount = \"int\" }}\n\
         [[classify]]\ntable = \"Order\"\ninsert = \"order.placed\"\n\
         [[reactions]]\nevent = \"order.placed\"\ntimer = {{ delay = \"24h\", event = \"order.late\" }}\n\
         [[reactions]]\nevent = \"order.late\"\nactions = [{}]\n\
         [[effect]]\nname = \"big\"\non = \"Order\"\nwhen = \"amount > 100\"\nrearm = \"level\"\nevery = \"1h\"\nactions = []\n",
        webhook(&receiver)
    ));
    std::fs::write(home.path("orders.jsonl"), (1..=3).map(order).collect::<String>()).unwrap();
    let daemon = home.start();
    until("six timers", || home.path(".thalweg/thalweg.db").exists() && timers(&home, &["ls"]).0.lines().count() == 7);
    let (table, _) = timers(&home, &["ls", "--key", "[2]"]);
    let without_ids: Vec<String> = table.lines().map(|line| [&line[..20], &line[47..]].concat()).collect();
    expect_test::expect![[r#"
        DUE                  RULE                 EVENT                TABLE          KEY
        2100-01-01T01:00:02Z effect big           effect big           Order          [2]
        2100-01-02T00:00:02Z order.placed         order.late           Order          [2]
    "#]]
    .assert_eq(&(without_ids.join("\n") + "\n"));
    let listed = |args: &[&str]| -> Vec<Json> {
        timers(&home, &[&["ls", "--json"], args].concat()).0.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let late = listed(&["--rule", "order.placed"]);
    assert_eq!(late.len(), 3);
    let first = &late[0];
    assert_eq!(
        (&first["v"], &first["event"], &first["table"], &first["key"], &first["due"]),
        (&1.into(), &"order.late".into(), &"Order".into(), &"[1]".into(), &"2100-01-02T00:00:01Z".into())
    );
    let address =
        daemon.said().split_once("status at http://").expect("the address is said").1.split('/').next().unwrap().to_owned();
    let status: Json = serde_json::from_str(&get(&address, "/status").1).unwrap();
    assert_eq!(status["timers"], serde_json::json!({ "armed": 6, "next_at": "2100-01-01T01:00:01Z" }));

    let id = |timer: &Json| timer["id"].as_str().unwrap().to_owned();
    assert_eq!(timers(&home, &["cancel", &id(first)]), (format!("{} cancelled\n", id(first)), 0));
    let gone = format!(
        "error: E0617: no timer that waits has the id {}\n  = help: thalweg timers ls shows those that wait\n",
        id(first)
    );
    assert_eq!(timers(&home, &["fire", &id(first)]), (gone, 1));
    assert_eq!(timers(&home, &["fire", &id(&late[1])]), (format!("{} fired\n", id(&late[1])), 0));
    until("the timer that was brought forward", || receiver.totals().accepted_distinct == 1);
    assert_eq!(timers(&home, &["cancel", "--rule", "effect big", "--key", "[3]"]).1, 0);
    daemon.stop().well();
    assert_eq!((listed(&[]).len(), listed(&["--rule", "effect big"]).len()), (3, 2));

    assert_eq!(timers(&home, &["fire", &id(&late[2])]), (format!("{} fired\n", id(&late[2])), 0));
    assert_eq!(timers(&home, &["cancel", "--rule", "effect big"]).1, 0);
    home.run_until_idle("0.5").well();
    assert_eq!((receiver.totals().accepted_distinct, listed(&[]).len()), (2, 0));
}
