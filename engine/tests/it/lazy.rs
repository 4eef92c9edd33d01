//! Fields that are computed when somebody asks: never before, once for each change, and always what the formula gives at that epoch.

use std::collections::{BTreeMap, BTreeSet};

use expect_test::expect;
use thalweg_engine::{Engine, Options};
use thalweg_formulas::{Cell, Value};
use thalweg_graph::outcome::Document;
use thalweg_graph::plan::Laziness;
use thalweg_graph::spec::{FieldSpec, GraphSpec};
use thalweg_graph::transaction::Body;
use thalweg_graph::{Outcome, Plan, Transaction};

use crate::oracle::Oracle;
use crate::properties::seeds;
use crate::random::{History, Rng, random_plan};
use crate::stories::{check, planned, shop, transaction};

fn lazy(name: &str, formula: &str) -> FieldSpec {
    FieldSpec { name: name.into(), formula: formula.into(), timing: Some("lazy".into()), ..FieldSpec::default() }
}

/// A shop with these lazy fields, and kept ones.
fn lazy_shop(fields: &[(&str, &str)], lazies: &[(&str, &str)]) -> GraphSpec {
    let mut spec = shop(fields, &[]);
    spec.fields.extend(lazies.iter().map(|(name, formula)| lazy(name, formula)));
    spec
}

/// How often cells of these names have run.
fn runs<const N: usize>(engine: &mut Engine, names: [&str; N]) -> [u64; N] {
    let stats = engine.stats();
    let runs = |name: &str| stats.iter().filter(|node| &*node.node == name).map(|node| node.rows_touched).sum();
    names.map(runs)
}

fn step(engine: &mut Engine, transaction: Transaction) -> Outcome {
    engine.push(transaction);
    engine.step()
}

#[test]
fn p4_what_nobody_asks_about_is_not_computed_and_what_somebody_asks_about_is_once() {
    let spec = lazy_shop(&[], &[("Order.twice", "qty * 2"), ("Order.text", "string(twice) + '!'"), ("Order.far", "id * 7")]);
    let mut engine = Engine::new(planned(&spec), Options::default());
    let names = ["Order.twice", "Order.text", "Order.far"];
    let mut cells = 0;
    for id in 1..=3 {
        cells += step(&mut engine, transaction(&spec, id, &format!("+Order {id} 1 0"))).counts.cells;
    }
    for qty in 1..=50 {
        cells += step(&mut engine, transaction(&spec, qty + 3, &format!("~Order 1 : _ _ {qty}"))).counts.cells;
    }
    assert_eq!((cells, runs(&mut engine, names)), (0, [0, 0, 0]));

    let key = [Value::Int(1)];
    assert_eq!(engine.read("Order.text", &key), Some(Ok("100!".into())));
    assert_eq!(runs(&mut engine, names), [1, 1, 0], "what it reads is computed with it, and nothing else");
    assert_eq!(engine.read("Order.text", &key), Some(Ok("100!".into())));
    assert_eq!(engine.read("Order.twice", &key), Some(Ok(Value::Int(100))));
    assert_eq!(runs(&mut engine, names), [1, 1, 0], "nothing has changed");

    step(&mut engine, transaction(&spec, 60, "~Order 1 : _ 2 _"));
    step(&mut engine, transaction(&spec, 61, "~Order 2 : _ _ 9"));
    assert_eq!(engine.read("Order.text", &key), Some(Ok("100!".into())));
    assert_eq!(runs(&mut engine, names), [1, 1, 0], "no change has reached it");

    step(&mut engine, transaction(&spec, 62, "~Order 1 : _ _ 7"));
    step(&mut engine, transaction(&spec, 63, "~Order 1 : _ _ 8"));
    assert_eq!(engine.read("Order.twice", &key), Some(Ok(Value::Int(16))));
    assert_eq!(engine.read("Order.text", &key), Some(Ok("16!".into())));
    assert_eq!(runs(&mut engine, names), [2, 2, 0]);
}

#[test]
fn a_lazy_field_tells_no_deltas_and_an_effect_that_sends_it_asks_for_it() {
    let mut spec =
        lazy_shop(&[], &[("Order.label", "string(total) + ' for ' + string(qty)"), ("Order.broken", "10 / (qty - 1)")]);
    spec.fields.push(FieldSpec { name: "Order.total".into(), formula: "sum(items[*].price)".into(), ..FieldSpec::default() });
    let mut effect = shop(&[], &[("big", "Order", "qty > 0")]).effects.remove(0);
    effect.payload = Some(["label", "broken"].map(str::to_owned).to_vec());
    spec.effects.push(effect);
    check(
        &spec,
        &["+Order 1 1 0; +Item 1 1 5", "~Order 1 : _ _ 3", "~Order 1 : _ _ 0", "~Order 1 : _ _ 1; +Item 2 1 2"],
        expect![[r#"
            1 Order.total[1]: null -> 5.00
            2 big[1] fires v1 {"broken":5,"label":"5.00 for 3"}
            4 Order.total[1]: 5.00 -> 7.00
            4 big[1] fires v3 {"broken":null,"label":"7.00 for 1"}
        "#]],
    );
}

#[test]
fn no_value_stands_behind_an_error_whoever_has_asked_before() {
    let spec = lazy_shop(&[], &[("Order.part", "10 / qty")]);
    for asks in [false, true] {
        let mut engine = Engine::new(planned(&spec), Options::default());
        step(&mut engine, transaction(&spec, 1, "+Order 1 1 5"));
        if asks {
            assert_eq!(engine.read("Order.part", &[Value::Int(1)]), Some(Ok(Value::Int(2))));
        }
        let outcome = step(&mut engine, transaction(&spec, 2, "~Order 1 : _ _ 0"));
        assert_eq!((outcome.errors.len(), outcome.deltas.len()), (0, 0));
        let [Document { value, error: Some(error), .. }] = &engine.documents()[..] else { panic!("one document, in error") };
        assert_eq!((value, &*error.message), (&Value::Null, "division by zero"));
        assert_eq!(engine.export(), thalweg_graph::state::EngineState { epoch: 2, ..Default::default() });
    }
}

#[test]
fn the_plan_says_what_keeps_a_lazy_field() {
    let mut spec = lazy_shop(
        &[("Order.kept", "read + 1"), ("seen", "sum(Order[*].added)")],
        &[("Order.read", "qty"), ("Order.added", "qty + 2"), ("Order.judged", "qty + 3"), ("Order.alone", "read + 4")],
    );
    spec.effects = shop(&[], &[("big", "Order", "judged > 5")]).effects;
    let plan = planned(&spec);
    let lazy: Vec<String> =
        plan.fields.iter().filter_map(|field| Some(format!("{}: {:?}\n", field.name, field.lazy.as_ref()?))).collect();
    expect![[r#"
        Order.read: Kept("`Order.kept`")
        Order.added: Kept("`seen`")
        Order.judged: Kept("effect big")
        Order.alone: Waits
    "#]]
    .assert_eq(&lazy.concat());
}

#[test]
fn who_follows_a_lazy_field_is_told_as_of_any_other_and_nobody_afterwards() {
    let spec = lazy_shop(&[], &[("Order.twice", "qty * 2"), ("Order.text", "string(twice)")]);
    let mut engine = Engine::new(planned(&spec), Options::default());
    step(&mut engine, transaction(&spec, 1, "+Order 1 1 4"));
    engine.follow(["Order.text"]);
    assert_eq!(runs(&mut engine, ["Order.twice", "Order.text"]), [1, 1]);
    let outcome = step(&mut engine, transaction(&spec, 2, "~Order 1 : _ _ 5; +Order 2 1 1"));
    let told: Vec<String> = outcome
        .deltas
        .sorted()
        .iter()
        .map(|delta| format!("{} {:?} {:?} -> {:?}\n", delta.node, delta.key, delta.old, delta.new))
        .collect();
    expect![[r#"
        Order.text [Int(1)] Text("8") -> Text("10")
        Order.text [Int(2)] Null -> Text("2")
    "#]]
    .assert_eq(&told.concat());
    // Another definition goes on with it.
    engine.replace(planned(&lazy_shop(&[], &[("Order.text", "string(qty * 2)")])), Vec::new()).unwrap();
    let outcome = step(&mut engine, transaction(&spec, 3, "~Order 1 : _ _ 8"));
    assert_eq!(outcome.deltas.sorted()[0].new, "16".into());
    engine.follow([]);
    assert!(step(&mut engine, transaction(&spec, 3, "~Order 1 : _ _ 6")).deltas.is_empty());
    assert_eq!(engine.read("Order.text", &[Value::Int(1)]), Some(Ok("12".into())));
}

/// The fields that wait.
fn waiting(plan: &Plan) -> Vec<String> {
    let waits = plan.fields.iter().filter(|field| field.lazy == Some(Laziness::Waits));
    waits.map(|field| field.name.to_string()).collect()
}

/// What a cell is to whoever asks.
fn asked(document: &Document) -> Cell {
    document.error.clone().map_or(Ok(document.value.clone()), Err)
}

/// P1 for what is asked for: at any closed epoch a lazy field equals its formula over the inputs as of that epoch, whoever asked for what before. One
/// that is followed is a snapshot and then its deltas.
#[test]
fn p1_a_lazy_field_is_its_formula_at_the_epoch_at_which_it_is_asked_for() {
    let (mut answers, mut deltas) = (0, 0);
    for seed in seeds(40) {
        let mut rng = Rng(seed + 11_000);
        let (mut spec, _) = random_plan(&mut rng);
        for at in 0..spec.fields.len() {
            let before = spec.fields[at].clone();
            let epsilon = None;
            spec.fields[at] = FieldSpec { timing: rng.chance(60).then(|| "lazy".into()), epsilon, ..before.clone() };
            if thalweg_graph::planning::plan(&spec, &[]).is_err() {
                spec.fields[at] = before;
            }
        }
        let plan = planned(&spec);
        let lazy = waiting(&plan);
        let mut history = History::new();
        let transactions: Vec<Transaction> = (0..40).map(|_| history.transaction(&mut rng)).collect();
        for workers in [1, 2, 4] {
            let mut rng = Rng(seed ^ workers as u64);
            let mut engine = Engine::new(plan.clone(), Options { workers, inline_max: crate::INLINE, ..Options::default() });
            let mut oracle = Oracle::new(plan.clone());
            let mut followed: BTreeSet<&str> = BTreeSet::new();
            let mut seen: BTreeMap<(String, Vec<Value>), Value> = BTreeMap::new();
            let mut rest = transactions.iter();
            loop {
                let size = rng.below(4) + 1;
                let part: Vec<&Transaction> = rest.by_ref().take(size).collect();
                if part.is_empty() {
                    break;
                }
                part.iter().for_each(|tx| oracle.step(tx));
                part.iter().for_each(|tx| assert!(engine.push((*tx).clone()) > 0));
                let outcome = engine.step();
                let documents = oracle.final_documents();
                let at = format!("seed {seed}, {workers} workers, epoch {}: {:#?}", engine.epoch(), spec.fields);
                for delta in outcome.deltas.sorted().iter().filter(|delta| lazy.iter().any(|field| **field == *delta.node)) {
                    assert!(followed.contains(&*delta.node), "nobody follows {}: {at}", delta.node);
                    seen.insert((delta.node.to_string(), delta.key.to_vec()), delta.new.clone());
                    deltas += 1;
                }
                let of_lazy = |document: &&Document| lazy.iter().any(|field| **field == *document.node);
                for document in documents.iter().filter(of_lazy) {
                    if followed.contains(&*document.node) && document.error.is_none() {
                        let told = seen.get(&(document.node.to_string(), document.key.to_vec()));
                        assert_eq!(told.unwrap_or(&Value::Null), &document.value, "{} {:?}, {at}", document.node, document.key);
                    }
                    if rng.chance(30) {
                        let answer = engine.read(&document.node, &document.key);
                        assert_eq!(answer, Some(asked(document)), "{} {:?}, {at}", document.node, document.key);
                        answers += 1;
                    }
                }
                if rng.chance(10) && followed.is_empty() {
                    assert_eq!(engine.documents(), documents, "{at}");
                }
                if rng.chance(20) {
                    followed = lazy.iter().map(String::as_str).filter(|_| rng.chance(30)).collect();
                    engine.follow(followed.iter().copied());
                    let standing = documents.iter().filter(|document| followed.contains(&*document.node));
                    seen = standing
                        .map(|document| ((document.node.to_string(), document.key.to_vec()), document.value.clone()))
                        .collect();
                }
            }
        }
    }
    assert!(answers > 2_000, "{answers} answers are too few to mean anything");
    assert!(deltas > 200, "{deltas} deltas of followed fields are too few to mean anything");
}

#[test]
fn rows_of_a_fill_and_documents_of_a_second_life_are_asked_for_like_any_other() {
    let spec = lazy_shop(&[], &[("Order.twice", "qty * 2")]);
    let mut engine = Engine::new(planned(&spec), Options::default());
    let Transaction { body: Body::Changes(rows), .. } = transaction(&spec, 1, "+Order 1 1 4; +Order 2 1 5") else {
        panic!("changes")
    };
    step(&mut engine, Transaction { body: Body::Fill(rows), ..transaction(&spec, 1, "-Order 1 1 4") });
    let twice = |engine: &mut Engine| {
        let rows = engine.rows("Order", &["Order.twice"]);
        rows.into_iter().map(|row| row.cells[0].clone().unwrap().unwrap()).collect::<Vec<Value>>()
    };
    assert_eq!(twice(&mut engine), [8, 10].map(Value::Int));
    step(&mut engine, transaction(&spec, 2, "-Order 1 1 4"));
    assert_eq!(twice(&mut engine), [10].map(Value::Int));
    assert_eq!(engine.read("Order.twice", &[Value::Int(1)]), None);
    step(&mut engine, transaction(&spec, 3, "+Order 3 1 6"));
    assert_eq!(twice(&mut engine), [10, 12].map(Value::Int));
}
