//! Timers are part of what a commit makes durable.

use thalweg_graph::ports::Store;

use super::harness::{Home, receiver, shop_server, until, webhook};

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
timer = {{ delay = "3s", event = "order.reminder", cancel_when = "amount > 100" }}
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
fn a_timer_survives_kill_9_and_fires_once() {
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
