//! Subscriptions: a snapshot, then every epoch's changes, within bounds that are stated.

use std::collections::BTreeMap;
use std::time::Duration;

use expect_test::{Expect, expect};
use proptest::prelude::*;

use super::*;
use crate::embed::Ended;

fn read(subscription: &Subscription) -> String {
    let mut shown = String::new();
    loop {
        match subscription.try_recv() {
            Ok(Some(Update::Snapshot { epoch, documents })) => {
                let documents = documents.iter().map(|d| match &d.error {
                    None => format!(" {}{:?}={}", d.node, d.key, thalweg_formulas::json::display(&d.value)),
                    Some(error) => format!(" {}{:?}!{}", d.node, d.key, error.code),
                });
                shown += &format!("{epoch} snapshot:{}\n", documents.collect::<String>());
            }
            Ok(Some(Update::Changed(changed))) => {
                let deltas = changed.deltas.iter().map(|d| {
                    let gone = if d.gone { " gone" } else { "" };
                    format!(" {}{:?}={}{gone}", d.node, d.key, thalweg_formulas::json::display(&d.new))
                });
                let errors = changed
                    .errors
                    .iter()
                    .map(|e| format!(" {}{:?}!{}", e.node, e.key, if e.cleared { "cleared" } else { "error" }));
                shown += &format!("{}:{}\n", changed.epoch, deltas.chain(errors).collect::<String>());
            }
            Ok(None) => return shown,
            Err(ended) => return format!("{shown}{ended}\n"),
        }
    }
}

fn check(subscription: &Subscription, expect: &Expect) {
    expect.assert_eq(&read(subscription));
}

#[test]
fn a_lazy_field_is_followed_while_somebody_subscribes_to_it() {
    let mut graph = orders();
    graph.derived("Order.label", Derived::formula("'#' + string(total)").timing(TimingPolicy::lazy()));
    let mut live = graph.start().unwrap();
    live.apply(order(1));
    live.apply(item(1, 1, "2.50"));
    let total = live.subscribe("Order.total").unwrap();
    assert!(live.apply(item(2, 1, "1.00")).deltas.sorted().iter().all(|delta| &*delta.node != "Order.label"));
    let label = live.subscribe("Order.label").unwrap();
    live.apply(item(3, 1, "1.00"));
    check(
        &label,
        &expect![[r##"
        3 snapshot: Order.label[Int(1)]="#3.50"
        4: Order.label[Int(1)]="#4.50"
    "##]],
    );
    drop(label);
    live.apply(item(4, 1, "1.00"));
    live.apply(item(5, 1, "1.00"));
    assert_eq!(live.get("Order.label", [1]), Some(Ok("#6.50".into())));
    // Who comes back has missed what nobody followed meanwhile.
    let label = live.subscribe_with("Order.label", Subscribe { after: Some(4), ..Subscribe::default() }).unwrap();
    check(
        &label,
        &expect![[r##"
        6 snapshot: Order.label[Int(1)]="#6.50"
    "##]],
    );
    check(
        &total,
        &expect![[r#"
        2 snapshot: Order.total[Int(1)]=2.50
        3: Order.total[Int(1)]=3.50
        4: Order.total[Int(1)]=4.50
        5: Order.total[Int(1)]=5.50
        6: Order.total[Int(1)]=6.50
    "#]],
    );
}

#[test]
fn a_subscription_is_a_snapshot_and_then_each_epoch() {
    let mut live = orders().start().unwrap();
    live.apply(order(1));
    live.apply(item(1, 1, "2.50"));
    let (total, all, global) =
        (live.subscribe("Order.total").unwrap(), live.subscribe("Order.*").unwrap(), live.subscribe("Turnover").unwrap());
    // Two epochs of one step are told apart; an epoch that changes nothing here is not told.
    live.push(item(2, 1, "1.00"));
    live.push(item(3, 7, "1.00"));
    live.push(order(2));
    live.step();
    live.apply(Changes::new("gone").delete("Order", [("id", 1)]));
    check(
        &total,
        &expect![[r#"
        2 snapshot: Order.total[Int(1)]=2.50
        3: Order.total[Int(1)]=3.50
        5: Order.total[Int(2)]=0.00
        6: Order.total[Int(1)]=null gone
    "#]],
    );
    check(
        &all,
        &expect![[r#"
        2 snapshot: Order.share[Int(1)]=100 Order.total[Int(1)]=2.50
        3: Order.share[Int(1)]=50 Order.total[Int(1)]=3.50
        5: Order.total[Int(2)]=0.00 Order.share[Int(2)]!error
        6: Order.share[Int(1)]=null gone Order.total[Int(1)]=null gone
    "#]],
    );
    check(
        &global,
        &expect![[r#"
        2 snapshot: Turnover[]=2.50
        3: Turnover[]=3.50
        4: Turnover[]=4.50
    "#]],
    );
    drop(live);
    check(&total, &expect!["the graph has ended\n"]);
}

#[test]
fn names_that_are_not_there_are_refused_with_the_cure() {
    let mut live = orders().start().unwrap();
    let mut refused = |pattern: &str| {
        let problem = live.subscribe(pattern).unwrap_err();
        format!("{problem} ({})", problem.help.as_deref().unwrap_or_default())
    };
    for (pattern, expect) in [
        ("Order.totl", expect!["E0290: there is no column or field `Order.totl` (did you mean `total`?)"]),
        ("Turnovr", expect!["E0290: there is no field or document type `Turnovr` (did you mean `Turnover`?)"]),
        ("Ordr.total", expect!["E0290: there is no document type `Ordr` (did you mean `Order`?)"]),
        (
            "Order.note",
            expect![
                "E0292: column `Order.note` is not kept, since nothing reads it (start the graph with `Options { keep_columns: true, .. }`, which keeps every column)"
            ],
        ),
        (
            "Item.price",
            expect![
                "E0293: changes of column `Item.price` are not told (start the graph with `Options { state_deltas: true, .. }`, or subscribe to a field)"
            ],
        ),
    ] {
        expect.assert_eq(&refused(pattern));
    }
}

#[test]
fn columns_are_told_where_they_are_kept() {
    let mut live = orders().start_with(Options { state_deltas: true, workers: 2, ..Options::default() }).unwrap();
    live.apply(Changes::new("a").insert("Order", [("id", Value::Int(1)), ("note", "x".into()), ("other", Value::Int(5))]));
    let (all, note) = (live.subscribe("Order").unwrap(), live.subscribe("Order.note").unwrap());
    live.apply(Changes::new("b").update("Order", [("id", Value::Int(1)), ("note", "y".into()), ("other", Value::Int(6))]));
    check(
        &all,
        &expect![[r#"
            1 snapshot: Order.note[Int(1)]="x" Order.other[Int(1)]=5 Order.share[Int(1)]!E0302 Order.total[Int(1)]=0.00
            2: Order.note[Int(1)]="y" Order.other[Int(1)]=6
        "#]],
    );
    check(
        &note,
        &expect![[r#"
            1 snapshot: Order.note[Int(1)]="x"
            2: Order.note[Int(1)]="y"
        "#]],
    );
}

fn many(live: &mut LiveGraph, items: std::ops::Range<i64>) {
    for id in items {
        live.apply(item(id, 1, "1.00"));
    }
}

#[test]
fn a_reader_comes_back_where_it_was_as_far_as_is_kept() {
    let mut live = orders().start().unwrap();
    live.keep(3);
    live.apply(order(1));
    let after = |live: &mut LiveGraph, after| {
        let how = Subscribe { after: Some(after), ..Subscribe::default() };
        read(&live.subscribe_with("Order.total", how).unwrap())
    };
    assert_eq!(after(&mut live, 1), "", "nothing has come since");
    many(&mut live, 1..3);
    // Two epochs of three changes each, and three are kept.
    assert_eq!(live.kept_from(), Some(2));
    assert_eq!(after(&mut live, 2), "3: Order.total[Int(1)]=2.00\n");
    assert_eq!(after(&mut live, 1), "3 snapshot: Order.total[Int(1)]=2.00\n");
    assert_eq!(after(&mut live, 9), "3 snapshot: Order.total[Int(1)]=2.00\n", "of another life of the graph");
}

#[test]
fn a_slow_reader_gets_what_it_asked_for() {
    let with = |slow| {
        let mut live = orders().start().unwrap();
        live.apply(order(1));
        let subscription = live.subscribe_with("Order.total", Subscribe { room: 2, slow, ..Subscribe::default() }).unwrap();
        (live, subscription)
    };
    let (mut live, resumes) = with(Slow::Snapshot);
    many(&mut live, 1..6);
    check(
        &resumes,
        &expect![[r#"
            1 snapshot: Order.total[Int(1)]=0.00
            2: Order.total[Int(1)]=1.00
            3: Order.total[Int(1)]=2.00
        "#]],
    );
    live.step();
    many(&mut live, 6..8);
    check(
        &resumes,
        &expect![[r#"
            6 snapshot: Order.total[Int(1)]=5.00
            7: Order.total[Int(1)]=6.00
            8: Order.total[Int(1)]=7.00
        "#]],
    );
    let (mut live, ends) = with(Slow::End);
    many(&mut live, 1..6);
    check(
        &ends,
        &expect![[r#"
            1 snapshot: Order.total[Int(1)]=0.00
            2: Order.total[Int(1)]=1.00
            3: Order.total[Int(1)]=2.00
            the reader was too slow: subscribe again after epoch 3, or with more room
        "#]],
    );
    assert_eq!(ends.recv(), Err(Ended::Slow { after: 3 }));
    let (mut live, waits) = with(Slow::Wait);
    let reader = std::thread::spawn(move || waits.map(|update| update.epoch()).collect::<Vec<_>>());
    many(&mut live, 1..20);
    drop(live);
    assert_eq!(reader.join().unwrap(), (1..21).collect::<Vec<_>>());
}

#[test]
fn an_epoch_larger_than_the_room_is_told_whole() {
    let mut live = orders().start().unwrap();
    live.apply(item(1, 9, "1.00"));
    let how = Subscribe { room: 1, slow: Slow::End, ..Subscribe::default() };
    let subscription = live.subscribe_with("*", how).unwrap();
    subscription.recv().unwrap();
    live.apply(order(1).insert("Order", [("id", 2)]).insert("Order", [("id", 3)]));
    assert!(matches!(subscription.recv_timeout(Duration::ZERO), Ok(Some(Update::Changed(changed))) if changed.len() == 6));
    assert_eq!(subscription.recv_timeout(Duration::ZERO), Ok(None));
}

/// What a reader knows after some updates.
#[derive(Default)]
struct View(BTreeMap<(String, Vec<Value>), Value>);

impl View {
    fn take(&mut self, update: Update) {
        match update {
            Update::Snapshot { documents, .. } => {
                let documents = documents.into_iter().filter(|d| d.error.is_none() && !d.value.is_null());
                self.0 = documents.map(|d| ((d.node.to_string(), d.key.to_vec()), d.value)).collect();
            }
            Update::Changed(changed) => {
                for delta in changed.deltas {
                    let place = (delta.node.to_string(), delta.key.to_vec());
                    if delta.new.is_null() {
                        self.0.remove(&place)
                    } else {
                        self.0.insert(place, delta.new)
                    };
                }
            }
        }
    }
}

proptest! {
    /// Whatever the reader's pace and room, what it knows is what stands.
    #[test]
    fn a_reader_ends_with_what_stands(
        edits in prop::collection::vec((0i64..6, 0i64..3, 0i64..50, any::<bool>(), any::<bool>()), 1..60),
        room in 1usize..8,
        keep in 0usize..40,
        workers in 1usize..3,
    ) {
        let mut live = orders().start_with(Options { workers, ..Options::default() }).unwrap();
        live.keep(keep);
        let how = Subscribe { room, ..Subscribe::default() };
        let mut reader = live.subscribe_with("Order.total", how).unwrap();
        let (mut view, mut last) = (View::default(), 0);
        for (id, of, price, reads, leaves) in edits {
            let row = [("id", Value::Int(id)), ("order_id", Value::Int(of)), ("price", Value::Int(price))];
            live.push(Changes::new("item").upsert("Item", row).upsert("Order", [("id", of)]));
            if price % 7 == 0 {
                live.push(Changes::new("gone").delete("Order", [("id", of)]));
            }
            live.step();
            if reads {
                while let Some(update) = reader.try_recv().unwrap() {
                    prop_assert!(update.epoch() > last || last == 0, "in order, none twice");
                    last = update.epoch();
                    view.take(update);
                }
            }
            if leaves && last > 0 {
                reader = live.subscribe_with("Order.total", Subscribe { after: Some(last), ..how }).unwrap();
            }
        }
        for _ in 0..2 {
            while let Some(update) = reader.try_recv().unwrap() {
                view.take(update);
            }
            live.step();
        }
        let mut stands = View::default();
        stands.take(live.subscribe("Order.total").unwrap().recv().unwrap());
        prop_assert_eq!(view.0, stands.0);
    }
}
