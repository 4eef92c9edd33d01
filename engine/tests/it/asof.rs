//! Relations by time, told in whole (the notation is that of [`crate::stories`]), beside differential dataflow, and what they cost.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use differential_dataflow::input::InputSession;
use expect_test::expect;
use thalweg_engine::{Engine, Options};
use thalweg_formulas::Value;
use thalweg_graph::spec::{GraphSpec, OneOrMany, RelationSpec};
use thalweg_graph::transaction::Body;
use thalweg_graph::{Change, Op, Plan, Transaction};

use crate::by_hand::{change, row, schema, tx};
use crate::random::Rng;
use crate::stories::{check, effect, field, table};
use crate::twins::{self, Cases, STEPS, Updates, deltas, planned, states};

fn as_of(to: &str, by: &str, asof: &str, on: &str) -> RelationSpec {
    let by = if by.is_empty() { OneOrMany::default() } else { OneOrMany::One(by.into()) };
    RelationSpec::AsOf { to: to.into(), asof: asof.into(), on: Some(on.into()), by }
}

/// Trades of a symbol at a time, and quotes.
fn market(fields: &[(&str, &str)], effects: &[(&str, &str, &str)]) -> GraphSpec {
    let quote = as_of("Quote", "symbol", "sold", "at");
    let trade = [("id", "int"), ("symbol", "text"), ("sold", "int"), ("price", "int")];
    let quoted = [("venue", "text"), ("no", "int"), ("symbol", "text"), ("at", "int"), ("bid", "int")];
    GraphSpec {
        tables: vec![table("Trade", &trade, &["id"], &[("quote", quote)]), table("Quote", &quoted, &["venue", "no"], &[])],
        fields: fields.iter().map(|(name, formula)| field(name, formula)).collect(),
        effects: effects.iter().map(|(name, on, when)| effect(name, on, when)).collect(),
        ..GraphSpec::default()
    }
}

#[test]
fn the_newest_quote_follows_whatever_comes_and_goes() {
    check(
        &market(&[("Trade.gain", "price - quote.bid"), ("Trade.from", "quote.venue"), ("gain", "sum(Trade[*].gain)")], &[]),
        &[
            "+Trade 1 eel 50 100; +Trade 2 eel 60 100; +Trade 3 cod 50 100",
            "+Quote a 1 eel 40 90",
            // Newer for both, and for the second only; of another symbol.
            "+Quote b 1 eel 50 91",
            "+Quote b 2 eel 55 92; +Quote b 3 cod 51 99",
            // An older one, which nobody sees, until the newer ones go.
            "+Quote a 2 eel 45 93",
            "-Quote b 1 eel 50 91",
            "~Quote a 2 : _ _ _ 70 _",
            // Its own value changes, its time, and its symbol.
            "~Quote a 1 : _ _ _ _ 80",
            "~Quote b 2 : _ _ _ 61 _",
            "~Quote b 2 : _ _ cod 50 _",
            // The trades move.
            "~Trade 1 : _ cod _ _; ~Trade 2 : _ _ 39 _",
            "-Trade 1 cod 50 100; +Trade 1 eel 41 100",
        ],
        expect![[r#"
            1 gain[]: null -> 0
            2 Trade.from[1]: null -> "a"
            2 Trade.from[2]: null -> "a"
            2 Trade.gain[1]: null -> 10
            2 Trade.gain[2]: null -> 10
            2 gain[]: 0 -> 20
            3 Trade.from[1]: "a" -> "b"
            3 Trade.from[2]: "a" -> "b"
            3 Trade.gain[1]: 10 -> 9
            3 Trade.gain[2]: 10 -> 9
            3 gain[]: 20 -> 18
            4 Trade.gain[2]: 9 -> 8
            4 gain[]: 18 -> 17
            6 Trade.from[1]: "b" -> "a"
            6 Trade.gain[1]: 9 -> 7
            6 gain[]: 17 -> 15
            7 Trade.gain[1]: 7 -> 10
            7 gain[]: 15 -> 18
            8 Trade.gain[1]: 10 -> 20
            8 gain[]: 18 -> 28
            9 Trade.from[2]: "b" -> "a"
            9 Trade.gain[2]: 8 -> 20
            9 gain[]: 28 -> 40
            10 Trade.from[3]: null -> "b"
            10 Trade.gain[3]: null -> 8
            10 gain[]: 40 -> 48
            11 Trade.from[1]: "a" -> "b"
            11 Trade.from[2]: "a" -> null
            11 Trade.gain[1]: 20 -> 8
            11 Trade.gain[2]: 20 -> null
            11 gain[]: 48 -> 16
            12 Trade.from[1]: "b" -> "a"
            12 Trade.gain[1]: 8 -> 20
            12 gain[]: 16 -> 28
        "#]],
    );
}

#[test]
fn of_quotes_of_one_time_the_one_with_the_greatest_key_counts() {
    check(
        &market(&[("Trade.bid", "quote.bid")], &[("seen", "Trade", "bid > 0")]),
        &[
            "+Trade 1 eel 50 100",
            "+Quote b 2 eel 50 22; +Quote b 1 eel 50 21; +Quote a 9 eel 50 19",
            "+Quote b 10 eel 50 30",
            "-Quote b 10 eel 50 30; +Quote c 1 eel 49 41",
            // A change of key at the same time, there and back.
            "Quote a 9 eel 50 19 => c 9 eel 50 19",
            "Quote c 9 eel 50 19 => a 9 eel 50 19; -Quote b 2 eel 50 22",
            "-Quote b 1 eel 50 21; +Quote b 1 eel 50 21",
        ],
        expect![[r#"
            2 Trade.bid[1]: null -> 22
            2 seen[1] fires v1 {"bid":22,"id":1}
            3 Trade.bid[1]: 22 -> 30
            4 Trade.bid[1]: 30 -> 22
            5 Trade.bid[1]: 22 -> 19
            6 Trade.bid[1]: 19 -> 21
        "#]],
    );
}

#[test]
fn without_a_time_or_what_must_be_equal_there_is_no_quote() {
    check(
        &market(
            &[("Trade.bid", "quote.bid"), ("Trade.none", "quote.venue == null"), ("Trade.rest", "100 / quote.bid")],
            &[("seen", "Trade", "bid > 0")],
        ),
        &[
            "+Quote a 1 eel 40 10; +Quote a 2 null 40 20; +Quote a 3 eel null 30",
            "+Trade 1 eel 50 0; +Trade 2 null 50 0; +Trade 3 eel null 0; +Trade 4 eel 39 0; +Trade 5 eel soon 0",
            "~Trade 1 : _ _ null _; ~Trade 3 : _ _ 40 _",
            "~Trade 1 : _ _ 50 _; ~Quote a 3 : _ _ _ 45 null",
            "~Quote a 1 : _ _ null _ 0; ~Quote a 3 : _ _ _ _ 0",
            "-Quote a 3 eel 45 0",
            "fill ~Quote a 2 : _ _ eel _ _",
        ],
        expect![[r#"
            2 Trade.bid[1]: null -> 10
            2 Trade.none[1]: null -> false
            2 Trade.none[2]: null -> true
            2 Trade.none[3]: null -> true
            2 Trade.none[4]: null -> true
            2 Trade.rest[1]: null -> 10
            2 seen[1] fires v1 {"bid":10,"id":1}
            2 Trade[5] E0332: column `sold`: "soon" is not int
            3 Trade.bid[1]: 10 -> null
            3 Trade.bid[3]: null -> 10
            3 Trade.none[1]: false -> true
            3 Trade.none[3]: true -> false
            3 Trade.rest[1]: 10 -> null
            3 Trade.rest[3]: null -> 10
            3 seen[3] fires v1 {"bid":10,"id":3}
            4 Trade.none[1]: true -> false
            5 Trade.bid[1]: null -> 0
            5 Trade.bid[3]: 10 -> null
            5 Trade.none[3]: false -> true
            5 Trade.rest[3]: 10 -> null
            5 Trade.rest[1] E0302: division by zero
            6 Trade.bid[1]: 0 -> null
            6 Trade.none[1]: false -> true
            6 Trade.rest[1] E0302: division by zero cleared
            7 Trade.bid[1]: null -> 20
            7 Trade.bid[3]: null -> 20
            7 Trade.none[1]: true -> false
            7 Trade.none[3]: true -> false
            7 Trade.rest[1]: null -> 5
            7 Trade.rest[3]: null -> 5
        "#]],
    );
}

#[test]
fn a_row_by_time_is_a_document_like_any_other() {
    // The quote's own field, what it looks up by time itself, and rows of the same table.
    let mut spec = market(
        &[("Quote.step", "bid - earlier.bid"), ("Trade.step", "quote.step"), ("Trade.deep", "quote.earlier.earlier.bid")],
        &[("jump", "Trade", "step > 5")],
    );
    spec.tables[1].columns.insert("before".into(), "int".into());
    spec.tables[1].column_order.push("before".into());
    spec.tables[1].relations.insert("earlier".into(), as_of("Quote", "symbol", "before", "at"));
    check(
        &spec,
        &[
            "+Quote a 1 eel 40 10 39; +Quote a 2 eel 50 20 49; +Quote a 3 eel 60 21 59; +Trade 1 eel 65 0",
            "~Quote a 2 : _ _ _ _ 12 _",
            "+Quote a 4 eel 55 40 null",
            "-Quote a 4 eel 55 40 null; -Quote a 2 eel 50 12 49",
        ],
        expect![[r#"
            1 Quote.step["a",2]: null -> 10
            1 Quote.step["a",3]: null -> 1
            1 Trade.deep[1]: null -> 10
            1 Trade.step[1]: null -> 1
            2 Quote.step["a",2]: 10 -> 2
            2 Quote.step["a",3]: 1 -> 9
            2 Trade.step[1]: 1 -> 9
            2 jump[1] fires v1 {"id":1,"step":9}
            3 Quote.step["a",3]: 9 -> -19
            3 Trade.deep[1]: 10 -> null
            3 Trade.step[1]: 9 -> -19
            4 Quote.step["a",2]: 2 -> null gone
            4 Quote.step["a",3]: -19 -> 11
            4 Trade.step[1]: -19 -> 11
            4 jump[1] fires v3 {"id":1,"step":11}
        "#]],
    );
}

/// Both sides: (symbol, (id, time)).
type Sides = [Updates<(i64, (i64, i64))>; 2];

/// Rows of two tables that come, change their symbols and times, and go.
fn history(rng: &mut Rng) -> (Vec<Transaction>, Sides) {
    let schemas = [schema("T", &["id", "k", "at"], &[0]), schema("Q", &["id", "k", "at"], &[0])];
    let mut held: [BTreeMap<i64, (i64, i64)>; 2] = Default::default();
    let mut updates = Sides::default();
    let mut history = Vec::new();
    for epoch in 1..=250_u64 {
        let touched: BTreeSet<(usize, i64)> = (0..rng.below(4) + 1).map(|_| (rng.below(2), rng.below(30) as i64)).collect();
        let changes = touched.into_iter().map(|(side, id)| {
            let old = held[side].get(&id).copied();
            let gone = old.is_some() && rng.chance(30);
            let new = if gone { None } else { Some((rng.below(4) as i64, rng.below(20) as i64)) };
            updates[side].extend(old.map(|(k, at)| ((k, (id, at)), epoch, -1)));
            updates[side].extend(new.map(|(k, at)| ((k, (id, at)), epoch, 1)));
            // Rows of symbol 3 have none.
            let image = |(k, at): (i64, i64)| {
                let k = if k == 3 { Value::Null } else { Value::Int(k) };
                Some(row([Value::Int(id), k, Value::Int(at)]))
            };
            match new {
                Some(new) => drop(held[side].insert(id, new)),
                None => drop(held[side].remove(&id)),
            }
            match new {
                Some(new) => change(&schemas[side], Op::Upsert, None, image(new)),
                None => change(&schemas[side], Op::Delete, old.and_then(image), None),
            }
        });
        history.push(tx(changes.collect()));
    }
    (history, updates)
}

#[test]
fn the_as_of_edge_is_a_differential_join_and_reduce() {
    let quote = as_of("Q", "k", "at", "at");
    let tables = vec![twins::table("T", &["id", "k", "at"], Some(("quote", quote))), twins::table("Q", &["id", "k", "at"], None)];
    let plan = planned(tables, &[("T.seen", "quote.id")]);
    let mut cases = Cases::new("as-of");
    for seed in 400..404 {
        let (history, updates) = history(&mut Rng(seed));
        let expected = states(newest(updates), history.len() as u64);
        for (workers, step) in STEPS {
            let by_epoch = deltas(&plan, workers, step, &history);
            let mut shown: BTreeMap<i64, i64> = BTreeMap::new();
            for epoch in 1..=history.len() as u64 {
                for delta in by_epoch.get(&epoch).into_iter().flatten() {
                    let Value::Int(id) = delta.key[0] else { panic!("an int") };
                    match delta.new {
                        Value::Int(quote) => shown.insert(id, quote),
                        _ => shown.remove(&id),
                    };
                }
                let shown: BTreeSet<(i64, i64)> = shown.iter().map(|(id, quote)| (*id, *quote)).collect();
                assert_eq!(shown, expected[epoch as usize], "seed {seed}, {workers} workers, steps of {step}, epoch {epoch}");
            }
            cases.ran(step, workers);
        }
    }
}

/// Of all rows with one symbol, the greatest by time and then by key that is no later: (who looks, whom it sees).
fn newest([left, right]: Sides) -> Updates<(i64, i64)> {
    timely::execute_directly(move |worker| {
        let (mut lefts, mut rights) = (InputSession::new(), InputSession::new());
        let (send, receive) = std::sync::mpsc::channel();
        worker.dataflow(|scope| {
            let lefts = lefts.to_collection(scope).filter(|(symbol, _): &(i64, (i64, i64))| *symbol != 3);
            lefts
                .join_map(rights.to_collection(scope), |_, (id, at): &(i64, i64), (other, of): &(i64, i64)| {
                    (*id, (*of, *other, *at))
                })
                .filter(|(_, (of, _, at))| of <= at)
                .reduce(|_, met, newest| newest.extend(met.last().map(|((_, other, _), _)| (*other, 1))))
                .inspect(move |update| send.send(*update).expect("the test listens"));
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

/// Rows touched by node when a quote comes at 55: each of `symbols` has trades at 0, 1, 2, … and quotes at 0, 10, 20, …, `length` in all.
fn cost_of_one_quote(plan: &Arc<Plan>, symbols: i64, length: i64) -> BTreeMap<String, u64> {
    let [trades, quotes] = ["T", "Q"].map(|name| schema(name, &["id", "k", "at"], &[0]));
    let mut engine = Engine::new(plan.clone(), Options::default());
    let insert = |schema, id: i64, k: i64, at: i64| change(schema, Op::Insert, None, Some(row([id, k, at].map(Value::Int))));
    let rows = (0..symbols).flat_map(|k| (0..length).map(move |at| (k, at)));
    let fill: Vec<Change> = rows
        .flat_map(|(k, at)| {
            let quote = (at % 10 == 0).then(|| insert(&quotes, k * length + at, k, at));
            std::iter::once(insert(&trades, k * length + at, k, at)).chain(quote)
        })
        .collect();
    engine.push(Transaction { body: Body::Fill(fill), ..tx(vec![]) });
    engine.step();
    let before: Vec<u64> = engine.stats().iter().map(|node| node.rows_touched).collect();
    engine.push(tx(vec![insert(&quotes, -1, 0, 55)]));
    engine.step();
    let mut cost: BTreeMap<String, u64> = BTreeMap::new();
    for (node, before) in engine.stats().into_iter().zip(before).filter(|(node, before)| node.rows_touched > *before) {
        *cost.entry(node.node.to_string()).or_default() += node.rows_touched - before;
    }
    cost
}

#[test]
fn p4_a_row_costs_the_rows_between_it_and_the_next() {
    let quote = as_of("Q", "k", "at", "at");
    let tables = vec![twins::table("T", &["id", "k", "at"], Some(("quote", quote))), twins::table("Q", &["id", "k", "at"], None)];
    let plan = planned(tables, &[("T.seen", "quote.id")]);
    let cost = cost_of_one_quote(&plan, 1, 100);
    assert_eq!(cost_of_one_quote(&plan, 1, 10_000), cost, "a long line costs what a short one costs");
    assert_eq!(cost_of_one_quote(&plan, 100, 100), cost, "other lines cost nothing");
    let nodes: Vec<String> = cost.iter().map(|(node, rows)| format!("{node}: {rows}")).collect();
    expect![
        "T.k, at -> newest Q: 1, T.key of quote: id -> Q: 11, T.seen: 5, at: 1, id: 1, k: 1, key of quote: id: 5, quote.id: 5"
    ]
    .assert_eq(&nodes.join(", "));
}
