//! The injected clock.

use std::sync::{Arc, Mutex};

use super::*;

fn minutes(n: i64) -> Timestamp {
    Timestamp(n * 60_000_000)
}

fn write(origin: &str, at: i64, status: &str) -> Changes {
    Changes::new(origin).at(minutes(at)).upsert("Order", [("id", Value::Int(1)), ("status", status.into())])
}

fn reminders() -> Graph {
    let mut graph = Graph::new();
    graph.state(State::document("Order").key("id"));
    graph.effect("reminder", Effect::when_changed("Order").after("10m").provided(|ctx| ctx.get("status") == "open"));
    graph
}

#[test]
fn a_timer_fires_in_its_own_epoch_before_what_comes_later() {
    let mut live = reminders().start().unwrap();
    live.push(write("a", 0, "open"));
    // Due at 10, so before this one; that of this one is due at 30, when the order is closed.
    live.push(write("b", 20, "closed"));
    let outcome = live.step();
    let fired: Vec<_> = outcome.fired.iter().map(|fired| (fired.epoch, &*fired.node)).collect();
    assert_eq!((fired, outcome.through), (vec![(2, "reminder")], 3));
    assert_eq!((live.next_due(), live.now()), (Some(minutes(30)), minutes(20)));
    assert_eq!((live.advance_to(minutes(40)).fired.len(), live.epoch(), live.next_due()), (0, 4, None));
}

#[test]
fn time_does_not_go_back() {
    let mut live = reminders().start().unwrap();
    live.apply(write("a", 60, "open"));
    live.apply(write("b", 5, "closed"));
    live.apply(write("c", 6, "open"));
    assert_eq!(live.next_due(), Some(minutes(70)));
    live.advance_to(minutes(1));
    assert_eq!(live.now(), minutes(60));
    assert_eq!(live.advance_to(minutes(70)).fired.len(), 3, "the others are due when they count as written");
}

#[test]
fn what_fires_does_not_depend_on_how_it_is_stepped() {
    let inputs = || (0..20).map(|n| write(&format!("tx {n}"), n * 7 % 50, if n % 5 < 3 { "open" } else { "closed" }));
    let run = |every: usize| {
        let mut live = reminders().start().unwrap();
        let mut fired = Vec::new();
        for (at, input) in inputs().enumerate() {
            live.push(input);
            if at % every == 0 {
                fired.extend(live.step().fired);
            }
        }
        fired.extend(live.advance_to(minutes(500)).fired);
        fired
    };
    let alone = run(1);
    assert!(alone.len() > 1, "{}", alone.len());
    for every in [2, 5, 100] {
        assert_eq!(run(every), alone);
    }
}

#[test]
fn a_handler_is_called_for_what_a_timer_fires() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let (mut graph, inside) = (reminders(), seen.clone());
    graph.handle("reminder", move |fired| inside.lock().unwrap().push(fired.epoch));
    let mut live = graph.start().unwrap();
    live.apply(write("a", 0, "open"));
    live.advance_to(minutes(10));
    assert_eq!(*seen.lock().unwrap(), [2]);
}

#[test]
fn what_a_moment_publishes_is_one_epoch_for_a_subscriber() {
    let mut graph = Graph::new();
    graph.state(State::document("Order").key("id").column("price", "int").column("due", "timestamp"));
    graph.derived("Order.shown", Derived::formula("price").timing(TimingPolicy::every("5m")));
    graph.derived("sum", Derived::formula("sum(Order[*].shown)").timing(TimingPolicy::every("5m")));
    graph.derived("Order.due_price", Derived::formula("price").timing(TimingPolicy::at(|ctx| ctx.get("due"))));
    let mut live = graph.start().unwrap();
    let order = |id: i64, price: i64| [("id", Value::Int(id)), ("price", price.into()), ("due", Value::Timestamp(minutes(7)))];
    live.apply(Changes::new("a").at(minutes(1)).insert("Order", order(1, 10)));
    live.apply(Changes::new("b").at(minutes(2)).insert("Order", order(2, 20)));
    assert_eq!(live.next_due(), Some(minutes(5)));

    let told = |outcome: Outcome| -> Vec<String> {
        let told = outcome.deltas.sorted();
        told.iter().map(|delta| format!("{} {}{:?} {:?}", delta.epoch, delta.node, delta.key, delta.new)).collect()
    };
    expect_test::expect![[r#"
        [
            "3 Order.shown[Int(1)] Int(10)",
            "3 Order.shown[Int(2)] Int(20)",
            "3 sum[] Int(30)",
        ]
    "#]]
    .assert_debug_eq(&told(live.advance_to(minutes(6))));
    // Later moments find nothing that waits, but for those whose own time has come.
    live.advance_to(minutes(20));
    let price = |live: &mut LiveGraph, id: i64| live.get("Order.due_price", [id]).unwrap().unwrap();
    assert_eq!((price(&mut live, 1), price(&mut live, 2)), (Value::Int(10), Value::Int(20)));
    // What comes after its time is published at the next tick of the clock.
    live.apply(Changes::new("c").at(minutes(21)).update("Order", order(1, 11)));
    assert_eq!((price(&mut live, 1), live.next_due()), (Value::Int(10), Some(Timestamp(minutes(21).0 + 100_000))));
    live.advance_to(minutes(22));
    assert_eq!(price(&mut live, 1), Value::Int(11));
}
