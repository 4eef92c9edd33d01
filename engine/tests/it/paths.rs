//! Closures, told in whole (the notation is that of [`crate::stories`]), beside differential dataflow, and what they cost.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use differential_dataflow::input::InputSession;
use differential_dataflow::operators::Iterate;
use expect_test::expect;
use thalweg_engine::{Engine, Options};
use thalweg_formulas::Value;
use thalweg_graph::spec::{BySpec, GraphSpec, GroupSpec, OneOrMany, RelationSpec, TableSpec};
use thalweg_graph::transaction::Body;
use thalweg_graph::{Change, Op, Plan, Transaction};

use crate::by_hand::{change, row, schema, tx};
use crate::random::Rng;
use crate::stories::{check, check_with, effect, field, table};
use crate::twins::{self, Cases, STEPS, Updates, deltas, planned, states};

fn closure(of: &str, from: &str, to: &str, filter: Option<&str>) -> TableSpec {
    let by = BySpec::Named([("from".to_owned(), from.to_owned()), ("to".to_owned(), to.to_owned())].into());
    let group = GroupSpec { of: of.into(), by, filter: filter.map(Into::into), closure: true, ..GroupSpec::default() };
    TableSpec { name: "Reach".into(), group: Some(group), ..TableSpec::default() }
}

/// People, who follows whom, and whom that reaches.
fn people(filter: Option<&str>, fields: &[(&str, &str)], effects: &[(&str, &str, &str)]) -> GraphSpec {
    let one = |name: &str| OneOrMany::One(name.into());
    let below = RelationSpec::Children { table: "Reach".into(), key: one("from") };
    let mut reach = closure("Edge", "a", "b", filter);
    reach.relations.insert("end".into(), RelationSpec::Lookup { to: "Person".into(), key: one("to") });
    GraphSpec {
        tables: vec![
            table("Person", &[("name", "text"), ("age", "int")], &["name"], &[("below", below)]),
            table("Edge", &[("id", "int"), ("a", "text"), ("b", "text"), ("open", "int")], &["id"], &[]),
            reach,
        ],
        fields: fields.iter().map(|(name, formula)| field(name, formula)).collect(),
        effects: effects.iter().map(|(name, on, when)| effect(name, on, when)).collect(),
        ..GraphSpec::default()
    }
}

#[test]
fn a_path_lives_as_long_as_links_lead_along_it() {
    let mut spec = people(None, &[("all", "count(Reach[*])")], &[("met", "Reach", "true")]);
    spec.fields.push(field("Reach.text", "from + to"));
    check_with(
        &spec,
        false,
        &[
            "+Edge 1 a b 1; +Edge 2 b c 1",
            // A second way, and a second row that says the same.
            "+Edge 3 a c 1; +Edge 4 b c 1",
            "-Edge 2 b c 1",
            "-Edge 4 b c 1",
            // A circle, which does not hold itself up.
            "+Edge 5 c a 1",
            "~Edge 5 : _ _ null _",
            // There and back within one epoch.
            "-Edge 1 a b 1; +Edge 6 a b 1",
            "~Edge 6 : _ c b _",
            "fill +Edge 7 b b 1",
            "-Edge 3 a c 1; ~Edge 6 : _ a c _",
        ],
        expect![[r#"
            1 Reach.text["a","b"]: null -> "ab"
            1 Reach.text["a","c"]: null -> "ac"
            1 Reach.text["b","c"]: null -> "bc"
            1 all[]: null -> 3
            1 met["a","b"] fires v1 {"from":"a","to":"b"}
            1 met["a","c"] fires v1 {"from":"a","to":"c"}
            1 met["b","c"] fires v1 {"from":"b","to":"c"}
            4 Reach.text["b","c"]: "bc" -> null gone
            4 all[]: 3 -> 2
            5 Reach.text["a","a"]: null -> "aa"
            5 Reach.text["c","a"]: null -> "ca"
            5 Reach.text["c","b"]: null -> "cb"
            5 Reach.text["c","c"]: null -> "cc"
            5 all[]: 2 -> 6
            5 met["a","a"] fires v1 {"from":"a","to":"a"}
            5 met["c","a"] fires v1 {"from":"c","to":"a"}
            5 met["c","b"] fires v1 {"from":"c","to":"b"}
            5 met["c","c"] fires v1 {"from":"c","to":"c"}
            6 Reach.text["a","a"]: "aa" -> null gone
            6 Reach.text["c","a"]: "ca" -> null gone
            6 Reach.text["c","b"]: "cb" -> null gone
            6 Reach.text["c","c"]: "cc" -> null gone
            6 all[]: 6 -> 2
            8 Reach.text["c","b"]: null -> "cb"
            8 all[]: 2 -> 3
            8 met["c","b"] fires v3 {"from":"c","to":"b"}
            9 Reach.text["b","b"]: null -> "bb"
            9 all[]: 3 -> 4
            10 Reach.text["a","b"]: "ab" -> null gone
            10 Reach.text["c","b"]: "cb" -> null gone
            10 all[]: 4 -> 2
        "#]],
    );
}

#[test]
fn a_circle_ends_when_nothing_leads_into_it() {
    check(
        &people(None, &[("Person.reached", "count(below[*])")], &[]),
        &[
            "+Person a 1; +Person b 2; +Edge 1 a b 1; +Edge 2 b c 1; +Edge 3 c d 1; +Edge 4 d b 1",
            "-Edge 1 a b 1",
            "+Edge 5 a d 1; -Edge 3 c d 1",
            "-Edge 4 d b 1",
        ],
        expect![[r#"
            1 Person.reached["a"]: null -> 3
            1 Person.reached["b"]: null -> 3
            2 Person.reached["a"]: 3 -> 0
            3 Person.reached["a"]: 0 -> 3
            3 Person.reached["b"]: 3 -> 1
            4 Person.reached["a"]: 3 -> 1
        "#]],
    );
}

#[test]
fn a_path_is_a_document_like_any_other() {
    check(
        &people(
            Some("open > 0"),
            &[("Reach.age", "end.age"), ("Person.oldest", "max(below[*].age)"), ("Person.n", "count(below[*])")],
            &[("old", "Person", "oldest > 40")],
        ),
        &[
            "+Person a 30; +Person b 35; +Person c 50; +Edge 1 a b 1; +Edge 2 b c 0",
            "~Edge 2 : _ _ _ 1",
            "~Person c : _ 38",
            "~Edge 1 : _ _ _ null",
            "~Edge 1 : _ null _ 1; ~Person c : _ 60",
        ],
        expect![[r#"
            1 Person.n["a"]: null -> 1
            1 Person.n["b"]: null -> 0
            1 Person.n["c"]: null -> 0
            1 Person.oldest["a"]: null -> 35
            1 Reach.age["a","b"]: null -> 35
            2 Person.n["a"]: 1 -> 2
            2 Person.n["b"]: 0 -> 1
            2 Person.oldest["a"]: 35 -> 50
            2 Person.oldest["b"]: null -> 50
            2 Reach.age["a","c"]: null -> 50
            2 Reach.age["b","c"]: null -> 50
            2 old["a"] fires v1 {"name":"a","oldest":50}
            2 old["b"] fires v1 {"name":"b","oldest":50}
            3 Person.oldest["a"]: 50 -> 38
            3 Person.oldest["b"]: 50 -> 38
            3 Reach.age["a","c"]: 50 -> 38
            3 Reach.age["b","c"]: 50 -> 38
            4 Person.n["a"]: 2 -> 0
            4 Person.oldest["a"]: 38 -> null
            4 Reach.age["a","b"]: 35 -> null gone
            4 Reach.age["a","c"]: 38 -> null gone
            5 Person.oldest["b"]: 38 -> 60
            5 Reach.age["b","c"]: 38 -> 60
            5 old["b"] fires v3 {"name":"b","oldest":60}
        "#]],
    );
}

/// Links by row.
type Links = Updates<(i64, i64)>;

const PLACES: usize = 9;

/// Links that come, lead elsewhere and go; the last place is none.
fn history(rng: &mut Rng, rows: usize) -> (Vec<Transaction>, Links) {
    let layout = schema("Edge", &["id", "a", "b"], &[0]);
    let mut held: BTreeMap<i64, (i64, i64)> = BTreeMap::new();
    let mut updates = Vec::new();
    let mut history = Vec::new();
    for epoch in 1..=250_u64 {
        let touched: BTreeSet<i64> = (0..rng.below(4) + 1).map(|_| rng.below(rows) as i64).collect();
        let changes = touched.into_iter().map(|id| {
            let old = held.get(&id).copied();
            let gone = old.is_some() && rng.chance(40);
            let new = (!gone).then(|| (rng.below(PLACES) as i64, rng.below(PLACES) as i64));
            updates.extend(old.map(|link| (link, epoch, -1)));
            updates.extend(new.map(|link| (link, epoch, 1)));
            let value = |place: i64| if place as usize == PLACES - 1 { Value::Null } else { Value::Int(place) };
            let image = |(a, b): (i64, i64)| Some(row([Value::Int(id), value(a), value(b)]));
            match new {
                Some(new) => {
                    held.insert(id, new);
                    change(&layout, Op::Upsert, None, image(new))
                }
                None => {
                    held.remove(&id);
                    change(&layout, Op::Delete, old.and_then(image), None)
                }
            }
        });
        history.push(tx(changes.collect()));
    }
    (history, updates)
}

fn reach_plan() -> Arc<Plan> {
    planned(
        vec![twins::table("Edge", &["id", "a", "b"], None), closure("Edge", "a", "b", None)],
        &[("Reach.at", "from * 100 + to")],
    )
}

#[test]
fn the_closure_is_a_differential_iteration() {
    let plan = reach_plan();
    let mut cases = Cases::new("closure");
    for seed in 500..508 {
        // Few links are trees, many are circles.
        let (history, updates) = history(&mut Rng(seed), [6, 9, 14, 30][seed as usize % 4]);
        let expected = states(reached(updates), history.len() as u64);
        for (workers, step) in STEPS {
            let by_epoch = deltas(&plan, workers, step, &history);
            let mut shown: BTreeSet<(i64, i64)> = BTreeSet::new();
            for epoch in 1..=history.len() as u64 {
                for delta in by_epoch.get(&epoch).into_iter().flatten() {
                    let [Value::Int(from), Value::Int(to)] = delta.key[..] else { panic!("two ints") };
                    let changed = if delta.gone { shown.remove(&(from, to)) } else { shown.insert((from, to)) };
                    assert!(changed, "seed {seed}: {delta:?} is no change");
                }
                assert_eq!(shown, expected[epoch as usize], "seed {seed}, {workers} workers, steps of {step}, epoch {epoch}");
            }
            cases.ran(step, workers);
        }
    }
}

fn reached(links: Links) -> Updates<(i64, i64)> {
    timely::execute_directly(move |worker| {
        let mut rows = InputSession::new();
        let (send, receive) = std::sync::mpsc::channel();
        worker.dataflow(|scope| {
            let none = PLACES as i64 - 1;
            let links = rows.to_collection(scope).filter(move |(a, b): &(i64, i64)| *a != none && *b != none).distinct();
            let paths = links.clone().iterate(move |inner, paths| {
                let links = links.enter(inner);
                let ends = paths.map(|(from, to)| (to, from));
                ends.join_map(links.clone(), |_, from: &i64, to: &i64| (*from, *to)).concat(links).distinct()
            });
            paths.inspect(move |update| send.send(*update).expect("the test listens"));
        });
        for (data, epoch, diff) in links {
            rows.update_at(data, epoch, diff);
        }
        drop(rows);
        while worker.step() {}
        receive.try_iter().collect()
    })
}

/// Cells run when the last link of a chain of ten comes or goes, beside `others` chains like it.
fn cost_of_one_link(plan: &Arc<Plan>, others: i64) -> [u64; 2] {
    let layout = schema("Edge", &["id", "a", "b"], &[0]);
    let mut engine = Engine::new(plan.clone(), Options::default());
    let insert = |a: i64| change(&layout, Op::Insert, None, Some(row([a, a, a + 1].map(Value::Int))));
    let fill: Vec<Change> = (0..=others).flat_map(|chain| (0..9).map(move |at| insert(chain * 100 + at))).collect();
    engine.push(Transaction { body: Body::Fill(fill), ..tx(vec![]) });
    engine.step();
    let mut cells = |change: Change| {
        engine.push(tx(vec![change]));
        engine.step().counts.cells
    };
    let came = cells(insert(9));
    [came, cells(change(&layout, Op::Delete, Some(row([9, 9, 10].map(Value::Int))), None))]
}

#[test]
fn p4_a_link_costs_the_paths_that_it_makes_or_ends() {
    let plan = reach_plan();
    let alone = cost_of_one_link(&plan, 0);
    assert_eq!(cost_of_one_link(&plan, 1_000), alone, "1000 other chains cost nothing");
    expect!["[10, 0]"].assert_eq(&format!("{alone:?}"));
}

/// A circle of many places, cut and closed: every path goes and comes.
#[test]
fn a_large_circle_is_cut_and_closed() {
    const AROUND: i64 = 120;
    let layout = schema("Edge", &["id", "a", "b"], &[0]);
    for workers in [1, 2, 4] {
        let mut engine = Engine::new(reach_plan(), Options { workers, inline_max: crate::INLINE, ..Options::default() });
        let image = |a: i64| Some(row([a, a, (a + 1) % AROUND].map(Value::Int)));
        engine.push(tx((0..AROUND).map(|a| change(&layout, Op::Insert, None, image(a))).collect()));
        let around = AROUND * AROUND;
        assert_eq!(engine.step().deltas.len() as i64, around, "every place reaches every place");
        engine.push(tx(vec![change(&layout, Op::Delete, image(7), None)]));
        assert_eq!(engine.step().deltas.len() as i64, around - AROUND * (AROUND - 1) / 2, "what is left leads forward");
        engine.push(tx(vec![change(&layout, Op::Insert, None, image(7))]));
        assert_eq!(engine.step().deltas.len() as i64, around - AROUND * (AROUND - 1) / 2);
    }
}
