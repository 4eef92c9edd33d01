//! Another plan takes the place of the one that runs: it means what a restart with the other plan means, and nothing of it is told.

use std::sync::Arc;

use thalweg_engine::{Engine, Options};
use thalweg_formulas::{Timestamp, Type, Value};
use thalweg_graph::outcome::Document;
use thalweg_graph::planning::plan;
use thalweg_graph::spec::{EffectSpec, FieldSpec, GraphSpec, TableSpec};
use thalweg_graph::state::EngineState;
use thalweg_graph::transaction::{Body, SchemaColumn};
use thalweg_graph::{Change, Op, Outcome, Plan, Schema, Transaction};

use crate::properties::seeds;
use crate::random::{Rng, random_plan};
use crate::swap::{BEFORE, edited, rest, stand, swap};

/// An engine that has run the first part of the history.
fn running(plan: &Arc<Plan>, workers: usize, all: &[Transaction]) -> Engine {
    let options = Options { workers, inline_max: [0, 128][workers % 2], keep_columns: true, ..Options::default() };
    let mut engine = Engine::new(plan.clone(), options);
    for tx in &all[..BEFORE] {
        engine.push(tx.clone());
    }
    engine.step();
    engine
}

/// Everything that can be seen of an engine and of what it goes on to do.
fn seen(
    engine: &mut Engine,
    all: &[Transaction],
    rng: &mut Rng,
) -> (Vec<Document>, EngineState, Outcome, Vec<Document>, EngineState) {
    let (documents, state) = (engine.documents(), engine.export());
    let outcome = rest(engine, all, rng);
    (documents, state, outcome, engine.documents(), engine.export())
}

#[test]
fn a_replaced_plan_stands_where_a_restart_with_it_stands() {
    let (mut told, mut fired, mut documents) = (0, 0, 0);
    for seed in seeds(30) {
        let mut rng = Rng(seed + 61_000);
        let (spec, before) = random_plan(&mut rng);
        let (other_spec, other) = random_plan(&mut rng);
        // Most replacements are edits of what is there; some are something else altogether.
        let next = if rng.chance(75) { edited(&spec, &other_spec, &mut rng).1 } else { other };
        let from = stand(&before, &mut rng);
        let mut restarted = swap(&from, &before, &next, 1, &mut rng);
        let expected = seen(&mut restarted, &from.all, &mut rng);
        for workers in [1, 2, 4] {
            let mut engine = running(&before, workers, &from.all);
            let refused = engine.replace(next.clone(), Vec::new()).expect("every column is kept");
            assert_eq!(refused, [], "seed {seed}, {workers} workers");
            assert_eq!(engine.epoch(), BEFORE as u64);
            let got = seen(&mut engine, &from.all, &mut rng);
            assert_eq!(got.0, expected.0, "seed {seed}, {workers} workers: documents at the replacement");
            assert_eq!(got.1, expected.1, "seed {seed}, {workers} workers: state at the replacement");
            assert_eq!(got.2.deltas.sorted(), expected.2.deltas.sorted(), "seed {seed}, {workers} workers");
            assert_eq!(got.2.fired, expected.2.fired, "seed {seed}, {workers} workers");
            assert_eq!(got.2.errors, expected.2.errors, "seed {seed}, {workers} workers");
            assert_eq!((got.3, got.4), (expected.3.clone(), expected.4.clone()), "seed {seed}, {workers} workers");
        }
        told += expected.2.deltas.len();
        fired += expected.2.fired.len();
        documents += expected.0.len();
    }
    assert!(
        told > 800 && fired > 50 && documents > 500,
        "{told} deltas, {fired} firings and {documents} documents are too few to mean anything"
    );
}

/// Orders by id, and these fields; formulas are of the order.
fn orders(fields: &[(&str, &str)]) -> Arc<Plan> {
    let order = TableSpec { name: "Order".into(), key: Some(vec!["id".into()]), ..TableSpec::default() };
    let field = |(name, formula): &(&str, &str)| FieldSpec {
        name: format!("Order.{name}"),
        formula: (*formula).into(),
        ..FieldSpec::default()
    };
    let big = EffectSpec { name: "big".into(), on: Some("Order".into()), when: "price > 10".into(), ..EffectSpec::default() };
    let fields = fields.iter().map(field).collect();
    Arc::new(plan(&GraphSpec { tables: vec![order], fields, effects: vec![big], ..GraphSpec::default() }, &[]).unwrap().0)
}

/// An order in a layout whose columns have these types.
fn order(types: [Type; 4], row: [i64; 4]) -> Change {
    let columns = ["id", "price", "qty", "tax"].into_iter().zip(types);
    let columns = columns.map(|(name, ty)| SchemaColumn::new(name.into(), ty)).collect();
    let schema = Arc::new(Schema { table: "Order".into(), columns, key: vec![0] });
    Change { schema, op: Op::Insert, key: None, before: None, after: Some(row.map(|x| Some(Value::Int(x))).into()) }
}

const INTS: [Type; 4] = [Type::Int, Type::Int, Type::Int, Type::Int];

fn run(engine: &mut Engine, changes: Vec<Change>) -> Outcome {
    engine.push(Transaction { source: "".into(), origin: "t".into(), at: Timestamp(0), body: Body::Changes(changes) });
    engine.step()
}

#[test]
fn what_is_not_kept_is_named_and_nothing_has_changed() {
    for workers in [1, 2] {
        let mut engine = Engine::new(orders(&[("double", "price * 2")]), Options { workers, ..Options::default() });
        let fired = run(&mut engine, vec![order(INTS, [1, 20, 3, 1]), order(INTS, [2, 5, 2, 1])]).fired;
        assert_eq!(fired.len(), 1);
        let next = orders(&[("total", "price * qty + tax"), ("double", "price * 2")]);
        let lacks = engine.replace(next.clone(), Vec::new()).unwrap_err();
        let text = "column `Order.qty` is not kept, since nothing read it; column `Order.tax` is not kept, since nothing read it";
        assert_eq!(lacks.to_string(), text);
        assert_eq!(engine.read("Order.double", &[Value::Int(1)]), Some(Ok(Value::Int(40))));
        assert_eq!(engine.read("Order.total", &[Value::Int(1)]), None);

        // What is dropped once is not kept, also if a plan in between does not read it either.
        engine.replace(orders(&[("half", "price / 2")]), Vec::new()).unwrap();
        assert_eq!(engine.replace(next.clone(), Vec::new()).unwrap_err().to_string(), text);

        // The rows given again do, and one of them twice does not.
        let again = [[1, 20, 3, 1], [2, 5, 2, 1], [2, 6, 6, 6]].map(|row| order(INTS, row)).to_vec();
        let refused = engine.replace(next, again).unwrap();
        let texts: Vec<String> = refused.iter().map(|error| format!("{} {:?} {}", error.node, error.key, error.error)).collect();
        assert_eq!(texts, ["Order [Int(2)] E0330: insert of a row that exists"]);
        assert_eq!(engine.read("Order.total", &[Value::Int(1)]), Some(Ok(Value::Int(61))));
        // The latch of `big` is up for 1 since the first transaction.
        let fired = run(&mut engine, vec![order(INTS, [3, 11, 1, 0])]).fired;
        assert_eq!(fired.iter().map(|fired| &fired.key[0]).collect::<Vec<_>>(), [&Value::Int(3)]);
    }
}

#[test]
fn a_column_that_is_kept_as_another_type_is_not_guessed() {
    let typed = |ty: &str| {
        let mut order = TableSpec { name: "Order".into(), key: Some(vec!["id".into()]), ..TableSpec::default() };
        order.columns.insert("price".into(), ty.into());
        let double = FieldSpec { name: "Order.double".into(), formula: "price * 2".into(), ..FieldSpec::default() };
        Arc::new(plan(&GraphSpec { tables: vec![order], fields: vec![double], ..GraphSpec::default() }, &[]).unwrap().0)
    };
    let mut engine = Engine::new(typed("double"), Options::default());
    run(&mut engine, vec![order(INTS, [1, 20, 3, 1])]);
    let lacks = engine.replace(typed("int"), Vec::new()).unwrap_err();
    assert_eq!(lacks.to_string(), "column `Order.price` is kept as double, not as int");
}

#[test]
fn before_the_first_row_any_plan_will_do() {
    let mut engine = Engine::new(orders(&[("double", "price * 2")]), Options::default());
    engine.replace(orders(&[("total", "price * qty + tax")]), Vec::new()).unwrap();
    let deltas = run(&mut engine, vec![order(INTS, [1, 20, 3, 1])]).deltas.sorted();
    assert_eq!(deltas.iter().map(|delta| (&*delta.node, &delta.new)).collect::<Vec<_>>(), [("Order.total", &Value::Int(61))]);
}
