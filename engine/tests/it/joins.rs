//! Derived tables of pairs, told in whole (the notation is that of [`crate::stories`]), and beside differential dataflow.

use std::collections::{BTreeMap, BTreeSet};

use differential_dataflow::input::InputSession;
use expect_test::expect;
use thalweg_formulas::Value;
use thalweg_graph::spec::{GraphSpec, JoinSpec, OneOrMany, RelationSpec, TableSpec};
use thalweg_graph::{Op, Transaction};

use crate::by_hand::{change, row, schema, tx};
use crate::random::Rng;
use crate::stories::{check, check_with, shop};
use crate::twins::{Cases, STEPS, Updates, deltas, planned, states, table};

fn join(left: &str, right: &str, on: &[&str], filter: Option<&str>, names: [&str; 2]) -> JoinSpec {
    JoinSpec {
        left: left.into(),
        right: right.into(),
        on: OneOrMany::Many(on.iter().map(|on| (*on).into()).collect()),
        filter: filter.map(Into::into),
        names: Some(names.map(Into::into).to_vec()),
    }
}

/// The shop, with a table of pairs.
fn with_pairs(spec: &mut GraphSpec, name: &str, join: JoinSpec) {
    spec.tables.push(TableSpec { name: name.into(), join: Some(join), ..TableSpec::default() });
}

/// Items by the quantity of an order that they cost.
fn offers(filter: Option<&str>, fields: &[(&str, &str)], effects: &[(&str, &str, &str)]) -> GraphSpec {
    let mut spec = shop(fields, effects);
    with_pairs(&mut spec, "Offer", join("Order", "Item", &["qty == int(price)"], filter, ["need", "item"]));
    let offers = RelationSpec::Children { table: "Offer".into(), key: OneOrMany::One("need_id".into()) };
    spec.tables[0].relations.insert("offers".into(), offers);
    spec
}

#[test]
fn a_pair_lives_as_long_as_its_rows_meet() {
    check_with(
        &offers(
            None,
            &[("Offer.left", "need.qty - item.price"), ("Order.n", "count(offers[*])")],
            &[("met", "Offer", "left >= 0")],
        ),
        true,
        &[
            "+Order 1 9 2; +Item 7 0 2.00",
            "+Item 8 0 2.50",
            "~Order 1 : _ _ 3; ~Item 7 : _ _ 3.00",
            "~Order 1 : _ _ null",
            "+Order 2 9 3; ~Order 1 : _ _ 3",
            "-Item 7 0 3.00; +Item 7 0 3.25",
            "~Item 7 : _ _ null",
            "-Order 1 9 3; -Order 2 9 3",
        ],
        expect![[r#"
            1 Item.id[7]: null -> 7
            1 Item.order[7]: null -> 0
            1 Item.price[7]: null -> 2.00
            1 Offer.item_id[1,7]: null -> 7
            1 Offer.left[1,7]: null -> 0.00
            1 Offer.need_id[1,7]: null -> 1
            1 Order.customer[1]: null -> 9
            1 Order.id[1]: null -> 1
            1 Order.n[1]: null -> 1
            1 Order.qty[1]: null -> 2
            1 met[1,7] fires v1 {"item_id":7,"left":{"$decimal":"0.00"},"need_id":1}
            2 Item.id[8]: null -> 8
            2 Item.order[8]: null -> 0
            2 Item.price[8]: null -> 2.50
            2 Offer.item_id[1,8]: null -> 8
            2 Offer.left[1,8]: null -> -0.50
            2 Offer.need_id[1,8]: null -> 1
            2 Order.n[1]: 1 -> 2
            3 Item.price[7]: 2.00 -> 3.00
            3 Offer.item_id[1,8]: 8 -> null gone
            3 Offer.left[1,8]: -0.50 -> null gone
            3 Offer.need_id[1,8]: 1 -> null gone
            3 Order.n[1]: 2 -> 1
            3 Order.qty[1]: 2 -> 3
            4 Offer.item_id[1,7]: 7 -> null gone
            4 Offer.left[1,7]: 0.00 -> null gone
            4 Offer.need_id[1,7]: 1 -> null gone
            4 Order.n[1]: 1 -> 0
            4 Order.qty[1]: 3 -> null
            5 Offer.item_id[1,7]: null -> 7
            5 Offer.item_id[2,7]: null -> 7
            5 Offer.left[1,7]: null -> 0.00
            5 Offer.left[2,7]: null -> 0.00
            5 Offer.need_id[1,7]: null -> 1
            5 Offer.need_id[2,7]: null -> 2
            5 Order.customer[2]: null -> 9
            5 Order.id[2]: null -> 2
            5 Order.n[1]: 0 -> 1
            5 Order.n[2]: null -> 1
            5 Order.qty[1]: null -> 3
            5 Order.qty[2]: null -> 3
            5 met[1,7] fires v3 {"item_id":7,"left":{"$decimal":"0.00"},"need_id":1}
            5 met[2,7] fires v1 {"item_id":7,"left":{"$decimal":"0.00"},"need_id":2}
            6 Item.price[7]: 3.00 -> 3.25
            6 Offer.left[1,7]: 0.00 -> -0.25
            6 Offer.left[2,7]: 0.00 -> -0.25
            7 Item.price[7]: 3.25 -> null
            7 Offer.item_id[1,7]: 7 -> null gone
            7 Offer.item_id[2,7]: 7 -> null gone
            7 Offer.left[1,7]: -0.25 -> null gone
            7 Offer.left[2,7]: -0.25 -> null gone
            7 Offer.need_id[1,7]: 1 -> null gone
            7 Offer.need_id[2,7]: 2 -> null gone
            7 Order.n[1]: 1 -> 0
            7 Order.n[2]: 1 -> 0
            8 Order.customer[1]: 9 -> null gone
            8 Order.customer[2]: 9 -> null gone
            8 Order.id[1]: 1 -> null gone
            8 Order.id[2]: 2 -> null gone
            8 Order.n[1]: 0 -> null gone
            8 Order.n[2]: 0 -> null gone
            8 Order.qty[1]: 3 -> null gone
            8 Order.qty[2]: 3 -> null gone
        "#]],
    );
}

#[test]
fn a_condition_follows_what_it_reads_of_either_row() {
    check(
        &offers(
            Some("need.buyer.region == item.label && item_id > 1"),
            &[("Item.label", "order == 0 ? 'north' : 'south'"), ("Order.n", "count(offers[*])"), ("offers", "count(Offer[*])")],
            &[],
        ),
        &[
            "+Customer 9 north; +Order 1 9 2; +Item 1 0 2.00; +Item 7 0 2.00; +Item 8 1 2.00",
            "~Customer 9 : _ south",
            "~Item 7 : _ 1 _; ~Item 8 : _ 0 _",
            "~Customer 9 : _ north; ~Item 7 : _ 0 _",
            "~Order 1 : _ 10 _",
        ],
        expect![[r#"
            1 Item.label[1]: null -> "north"
            1 Item.label[7]: null -> "north"
            1 Item.label[8]: null -> "south"
            1 Order.n[1]: null -> 1
            1 offers[]: null -> 1
            3 Item.label[7]: "north" -> "south"
            3 Item.label[8]: "south" -> "north"
            4 Item.label[7]: "south" -> "north"
            4 Order.n[1]: 1 -> 2
            4 offers[]: 1 -> 2
            5 Order.n[1]: 2 -> 0
            5 offers[]: 2 -> 0
        "#]],
    );
}

#[test]
fn rows_of_one_table_meet_each_other() {
    let mut spec =
        shop(&[("Twin.diff", "other.qty - one.qty"), ("Order.behind", "count(twins[*])")], &[("found", "Twin", "true")]);
    with_pairs(&mut spec, "Twin", join("Order", "Order", &["customer"], Some("one_id < other_id"), ["one", "other"]));
    let twins = RelationSpec::Children { table: "Twin".into(), key: OneOrMany::One("one_id".into()) };
    spec.tables[0].relations.insert("twins".into(), twins);
    check(
        &spec,
        &[
            "+Order 1 9 2; +Order 2 9 5; +Order 3 9 7",
            "~Order 2 : _ 8 _",
            "fill ~Order 2 : _ 9 _",
            "~Order 1 : 4 _ _",
            "-Order 3 9 7",
        ],
        expect![[r#"
            1 Order.behind[1]: null -> 2
            1 Order.behind[2]: null -> 1
            1 Order.behind[3]: null -> 0
            1 Twin.diff[1,2]: null -> 3
            1 Twin.diff[1,3]: null -> 5
            1 Twin.diff[2,3]: null -> 2
            1 found[1,2] fires v1 {"one_id":1,"other_id":2}
            1 found[1,3] fires v1 {"one_id":1,"other_id":3}
            1 found[2,3] fires v1 {"one_id":2,"other_id":3}
            2 Order.behind[1]: 2 -> 1
            2 Order.behind[2]: 1 -> 0
            2 Twin.diff[1,2]: 3 -> null gone
            2 Twin.diff[2,3]: 2 -> null gone
            3 Order.behind[1]: 1 -> 2
            3 Order.behind[2]: 0 -> 1
            3 Twin.diff[1,2]: null -> 3
            3 Twin.diff[2,3]: null -> 2
            4 Order.behind[1]: 2 -> null gone
            4 Order.behind[2]: 1 -> 2
            4 Order.behind[3]: 0 -> 1
            4 Order.behind[4]: null -> 0
            4 Twin.diff[1,2]: 3 -> null gone
            4 Twin.diff[1,3]: 5 -> null gone
            4 Twin.diff[2,4]: null -> -3
            4 Twin.diff[3,4]: null -> -5
            4 found[2,4] fires v1 {"one_id":2,"other_id":4}
            4 found[3,4] fires v1 {"one_id":3,"other_id":4}
            5 Order.behind[2]: 2 -> 1
            5 Order.behind[3]: 1 -> null gone
            5 Twin.diff[2,3]: 2 -> null gone
            5 Twin.diff[3,4]: -5 -> null gone
        "#]],
    );
}

#[test]
fn joins_of_joins_follow_in_one_epoch() {
    let mut spec = shop(&[("Chain.worth", "bought.order.qty * item.price"), ("all", "sum(Chain[*].worth)")], &[]);
    with_pairs(&mut spec, "Chain", join("Bought", "Item", &["order_id == order"], None, ["bought", "item"]));
    with_pairs(&mut spec, "Bought", join("Order", "Customer", &["customer == id"], None, ["order", "who"]));
    check(
        &spec,
        &[
            "+Order 1 9 2; +Customer 9 north; +Item 7 1 2.00",
            "+Item 8 1 3.00",
            "~Order 1 : _ 8 5",
            "+Customer 8 south",
            "~Item 8 : _ 2 _",
        ],
        expect![[r#"
            1 Chain.worth[1,9,7]: null -> 4.00
            1 all[]: null -> 4.00
            2 Chain.worth[1,9,8]: null -> 6.00
            2 all[]: 4.00 -> 10.00
            3 Chain.worth[1,9,7]: 4.00 -> null gone
            3 Chain.worth[1,9,8]: 6.00 -> null gone
            3 all[]: 10.00 -> 0.00
            4 Chain.worth[1,8,7]: null -> 10.00
            4 Chain.worth[1,8,8]: null -> 15.00
            4 all[]: 0.00 -> 25.00
            5 Chain.worth[1,8,8]: 15.00 -> null gone
            5 all[]: 25.00 -> 10.00
        "#]],
    );
}

/// Both sides: (key, id).
type Sides = [Updates<(i64, i64)>; 2];

/// Rows of two tables that come, change their keys and go.
fn history(rng: &mut Rng) -> (Vec<Transaction>, Sides) {
    let schemas = [schema("L", &["id", "k", "x"], &[0]), schema("R", &["id", "k", "x"], &[0])];
    let mut held: [BTreeMap<i64, i64>; 2] = Default::default();
    let mut updates = Sides::default();
    let mut history = Vec::new();
    for epoch in 1..=250_u64 {
        let touched: BTreeSet<(usize, i64)> = (0..rng.below(4) + 1).map(|_| (rng.below(2), rng.below(30) as i64)).collect();
        let changes = touched.into_iter().map(|(side, id)| {
            let old = held[side].get(&id).copied();
            let new = if old.is_some() && rng.chance(30) { None } else { Some(rng.below(8) as i64) };
            updates[side].extend(old.map(|key| ((key, id), epoch, -1)));
            updates[side].extend(new.map(|key| ((key, id), epoch, 1)));
            // Rows of key 7 have none.
            let image = |key: i64| {
                let key = if key == 7 { Value::Null } else { Value::Int(key) };
                Some(row([Value::Int(id), key, Value::Int(id % 5)]))
            };
            match new {
                Some(key) => drop(held[side].insert(id, key)),
                None => drop(held[side].remove(&id)),
            }
            match new {
                Some(key) => change(&schemas[side], Op::Upsert, None, image(key)),
                None => change(&schemas[side], Op::Delete, old.and_then(image), None),
            }
        });
        history.push(tx(changes.collect()));
    }
    (history, updates)
}

#[test]
fn the_join_edge_is_a_differential_join() {
    for (operator, filter) in [("join", None), ("join where", Some("l.x < r.x"))] {
        let pairs =
            TableSpec { name: "P".into(), join: Some(join("L", "R", &["k"], filter, ["l", "r"])), ..TableSpec::default() };
        let tables = vec![table("L", &["id", "k", "x"], None), table("R", &["id", "k", "x"], None), pairs];
        let plan = planned(tables, &[("P.both", "l_id * 100 + r_id")]);
        let mut cases = Cases::new(operator);
        for seed in 200..204 {
            let (history, updates) = history(&mut Rng(seed));
            let joined = states(joined(updates, filter.is_some()), history.len() as u64);
            for (workers, step) in STEPS {
                let by_epoch = deltas(&plan, workers, step, &history);
                let mut shown: BTreeSet<(i64, i64)> = BTreeSet::new();
                for epoch in 1..=history.len() as u64 {
                    for delta in by_epoch.get(&epoch).into_iter().flatten() {
                        let [Value::Int(left), Value::Int(right)] = delta.key[..] else { panic!("two ints") };
                        let changed = if delta.gone { shown.remove(&(left, right)) } else { shown.insert((left, right)) };
                        assert!(changed, "seed {seed}: {delta:?} is no change");
                    }
                    assert_eq!(shown, joined[epoch as usize], "seed {seed}, {workers} workers, steps of {step}, epoch {epoch}");
                }
                cases.ran(step, workers);
            }
        }
    }
}

/// Rows of `L` to which a row of `R` refers, and those to which none does.
#[test]
fn exists_is_a_differential_semijoin() {
    let children = RelationSpec::Children { table: "R".into(), key: OneOrMany::One("k".into()) };
    let tables = vec![table("L", &["id", "k", "x"], Some(("rs", children))), table("R", &["id", "k", "x"], None)];
    let plan =
        planned(tables, &[("L.found", "count(rs[*]) > 0"), ("L.big", "any(rs[*].x > 2)"), ("L.alone", "count(rs[*]) == 0")]);
    let mut cases = Cases::new("exists, not exists");
    for seed in 300..304 {
        let (history, updates) = history(&mut Rng(seed));
        let epochs = history.len() as u64;
        let (found, big) = (states(referred(updates.clone(), false), epochs), states(referred(updates.clone(), true), epochs));
        let rows = states(updates[0].iter().map(|((_, id), epoch, diff)| (*id, *epoch, *diff)).collect(), epochs);
        for (workers, step) in STEPS {
            let by_epoch = deltas(&plan, workers, step, &history);
            let mut shown: BTreeMap<&str, BTreeSet<i64>> =
                ["L.found", "L.big", "L.alone"].map(|name| (name, BTreeSet::new())).into();
            for epoch in 1..=epochs {
                for delta in by_epoch.get(&epoch).into_iter().flatten() {
                    let Value::Int(id) = delta.key[0] else { panic!("an int") };
                    let held = shown.get_mut(&*delta.node).expect("a field");
                    if delta.new.is_true() {
                        held.insert(id)
                    } else {
                        held.remove(&id)
                    };
                }
                let alone: BTreeSet<i64> = rows[epoch as usize].difference(&found[epoch as usize]).copied().collect();
                let expected = [&found[epoch as usize], &big[epoch as usize], &alone];
                for (name, expected) in ["L.found", "L.big", "L.alone"].iter().zip(expected) {
                    assert_eq!(shown[name], *expected, "seed {seed}, {workers} workers, steps of {step}, epoch {epoch}, {name}");
                }
            }
            cases.ran(step, workers);
        }
    }
}

fn referred([left, right]: Sides, only_big: bool) -> Updates<i64> {
    timely::execute_directly(move |worker| {
        let (mut lefts, mut rights) = (InputSession::new(), InputSession::new());
        let (send, receive) = std::sync::mpsc::channel();
        worker.dataflow(|scope| {
            let right = rights.to_collection(scope).filter(move |(key, id): &(i64, i64)| *key != 7 && (!only_big || id % 5 > 2));
            let keys = right.map(|(key, _)| key).distinct();
            let found = lefts.to_collection(scope).map(|(_, id): (i64, i64)| (id, ())).semijoin(keys).map(|(id, ())| id);
            found.inspect(move |update| send.send(*update).expect("the test listens"));
        });
        for (side, updates) in [(&mut lefts, left), (&mut rights, right)] {
            for (data, epoch, diff) in updates {
                side.update_at(data, epoch, diff);
            }
        }
        drop((lefts, rights));
        while worker.step() {}
        receive.try_iter().collect()
    })
}

fn joined([left, right]: Sides, filtered: bool) -> Updates<(i64, i64)> {
    timely::execute_directly(move |worker| {
        let (mut lefts, mut rights) = (InputSession::new(), InputSession::new());
        let (send, receive) = std::sync::mpsc::channel();
        worker.dataflow(|scope| {
            let pairs = lefts
                .to_collection(scope)
                .filter(|(key, _): &(i64, i64)| *key != 7)
                .join_map(rights.to_collection(scope), |_, left: &i64, right: &i64| (*left, *right))
                .filter(move |(left, right)| !filtered || left % 5 < right % 5);
            pairs.inspect(move |update| send.send(*update).expect("the test listens"));
        });
        for (side, updates) in [(&mut lefts, left), (&mut rights, right)] {
            for (data, epoch, diff) in updates {
                side.update_at(data, epoch, diff);
            }
        }
        drop((lefts, rights));
        while worker.step() {}
        receive.try_iter().collect()
    })
}
