//! A graph that runs changes: what goes on, what is new, what is told to whom.

use std::sync::{Arc, Mutex};

use super::{item, order, orders};
use crate::embed::Ended;
use crate::prelude::*;

fn keeping(workers: usize) -> Options {
    Options { workers, keep_columns: true, ..Options::default() }
}

fn decimal(value: &Value) -> String {
    match value {
        Value::Decimal(decimal) => decimal.to_string(),
        other => format!("{other:?}"),
    }
}

/// Field and value of a snapshot's documents.
fn snapshot(subscription: &Subscription) -> Vec<(String, Value)> {
    match subscription.try_recv() {
        Ok(Some(Update::Snapshot { documents, .. })) => {
            documents.into_iter().map(|document| (format!("{} {:?}", document.node, document.key), document.value)).collect()
        }
        other => panic!("no snapshot but {other:?}"),
    }
}

#[test]
fn a_new_field_is_computed_from_what_is_there_and_only_its_subscribers_hear_of_it() {
    for workers in [1, 2] {
        let mut live = orders().start_with(keeping(workers)).unwrap();
        for changes in [order(1), order(2), item(10, 1, "2.50"), item(11, 1, "1.00"), item(12, 2, "4.00")] {
            live.apply(changes);
        }
        let of_total = live.subscribe("Order.total").unwrap();
        let of_share = live.subscribe("Order.share").unwrap();
        let of_items = live.subscribe("Item.*").unwrap();
        let of_all = live.subscribe("*").unwrap();
        [&of_total, &of_share, &of_items, &of_all].into_iter().for_each(|of| drop(snapshot(of)));

        let replaced = live
            .edit(|graph| {
                graph.remove("Order.share").derived("Item.length", Derived::formula("size(order.note)"));
                graph.change_state("Item", |state| state.lookup("order", "Order", "order_id"));
                graph.remove("Turnover").derived("Turnover", Derived::formula("sum(Item[*].price) * 2"));
            })
            .unwrap();
        assert_eq!((replaced.epoch, replaced.refused), (5, Vec::new()));
        assert_eq!(of_share.try_recv(), Err(Ended::Removed { after: 5 }));
        let length = |id: i64| (format!("Item.length [Int({id})]"), Value::Int(6));
        assert_eq!(snapshot(&of_items), [10, 11, 12].map(length));
        let all = snapshot(&of_all);
        assert_eq!(all.len(), 6, "{all:?}");
        assert_eq!(live.get::<Value, 0>("Turnover", []).map(|cell| cell.map(|value| decimal(&value))), Some(Ok("15.00".into())));

        let outcome = live.apply(item(13, 2, "0.50"));
        let told: Vec<String> = outcome.deltas.sorted().iter().map(|delta| format!("{} {:?}", delta.node, delta.key)).collect();
        assert_eq!(told, ["Item.length [Int(13)]", "Order.total [Int(2)]", "Turnover []"]);
        assert!(matches!(of_total.try_recv(), Ok(Some(Update::Snapshot { epoch: 5, .. } | Update::Changed(_)))));
        assert!(matches!(of_items.try_recv(), Ok(Some(Update::Changed(changed))) if changed.epoch == 6));
    }
}

#[test]
fn a_subscriber_of_what_stays_as_it_is_hears_of_nothing() {
    let mut live = orders().start_with(keeping(1)).unwrap();
    live.apply(order(1));
    live.apply(item(10, 1, "2.50"));
    let of_total = live.subscribe("Order.total").unwrap();
    snapshot(&of_total);
    live.edit(|graph| {
        graph.derived("Item.twice", Derived::formula("price * 2"));
    })
    .unwrap();
    assert_eq!(of_total.try_recv(), Ok(None));
    let of_twice = live.subscribe_with("Item.twice", Subscribe { after: Some(2), ..Subscribe::default() }).unwrap();
    assert_eq!(snapshot(&of_twice).len(), 1, "the epoch is closed, and the field is new since");
}

#[test]
fn handlers_latches_and_timers_go_on() {
    let fired = Arc::new(Mutex::new(Vec::new()));
    let note = |text: &'static str| {
        let fired = fired.clone();
        move |by: &crate::graph::outcome::Fired| fired.lock().unwrap().push(format!("{text} {:?} v{}", by.key[0], by.version))
    };
    let minutes = |n: i64| Timestamp(n * 60_000_000);
    let mut graph = orders();
    graph.effect("dear", Effect::when(|ctx| ctx.get("Order.total") > 10).action(note("dear")));
    graph.effect("look", Effect::when_changed("Order").after("15m").action(note("look")));
    let mut live = graph.start_with(keeping(1)).unwrap();
    live.apply(order(1).at(minutes(1)));
    live.apply(item(10, 1, "20").at(minutes(1)));
    live.edit(|graph| {
        graph.effect("cheap", Effect::when(|ctx| ctx.get("Order.total") < 50).action(note("cheap")));
    })
    .unwrap();
    assert_eq!(*fired.lock().unwrap(), ["dear Int(1) v1"], "filling fires nothing");
    live.advance_to(minutes(20));
    live.apply(Changes::new("down").update("Item", [("id", Value::Int(10)), ("price", "60".into())]));
    live.apply(Changes::new("up").update("Item", [("id", Value::Int(10)), ("price", "5".into())]));
    live.apply(Changes::new("more").update("Item", [("id", Value::Int(10)), ("price", "30".into())]));
    assert_eq!(*fired.lock().unwrap(), ["dear Int(1) v1", "look Int(1) v1", "cheap Int(1) v1", "dear Int(1) v3"]);
}

#[test]
fn a_wrong_definition_changes_nothing() {
    let mut live = orders().start().unwrap();
    live.apply(order(1));
    live.apply(item(10, 1, "2.50"));
    let texts = [
        live.edit(|graph| {
            graph.derived("Order.sum", Derived::formula("total +"));
        })
        .unwrap_err()
        .to_string(),
        live.edit(|graph| {
            graph.derived("Order.length", Derived::formula("size(note)"));
        })
        .unwrap_err()
        .to_string(),
    ];
    assert_eq!(texts[0], "E0102: Order.sum: the formula ends where a value is expected (write the value, or remove this)");
    assert_eq!(
        texts[1],
        "E0294: column `Order.note` is not kept, since nothing read it (start the graph with `Options { keep_columns: true, .. }`, or give the table's rows again with `replace_with`)"
    );
    assert_eq!(live.get("Order.share", [1]), Some(Ok(Value::Int(100))));
    assert_eq!(live.get("Order.sum", [1]), None);
}

#[test]
fn a_graph_on_a_thread_of_its_own_changes_between_two_transactions() {
    let running = orders().spawn_with(keeping(2)).unwrap();
    running.push(order(1)).unwrap();
    running.push(item(10, 1, "2.50")).unwrap();
    running
        .edit(|graph| {
            graph.derived("Order.double", Derived::formula("total * 2"));
        })
        .unwrap();
    running.push(item(11, 1, "1.50")).unwrap();
    let double = running.get("Order.double", [1]).unwrap().unwrap().unwrap();
    assert_eq!(decimal(&double), "8.00");
}
