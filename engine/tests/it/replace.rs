//! Another plan takes the place of the one that runs: it means what a restart with the other plan means, and nothing of it is told.

use std::sync::Arc;

use thalweg_engine::{Engine, Options};
use thalweg_formulas::{Timestamp, Type, Value};
use thalweg_graph::outcome::Document;
use thalweg_graph::planning::plan;
use thalweg_graph::spec::{EffectSpec, FieldSpec, GraphSpec, RelationSpec, TableSpec};
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

/// How much a test has compared.
#[derive(Debug, Default)]
struct Compared {
    told: usize,
    fired: usize,
    documents: usize,
    moved: usize,
}

/// `next` takes the place of `before` in a random history: what follows is what follows a restart with it.
fn compare(seed: u64, before: &Arc<Plan>, next: &Arc<Plan>, rng: &mut Rng, compared: &mut Compared) {
    let from = stand(before, rng);
    let mut restarted = swap(&from, before, next, 1, rng);
    let expected = seen(&mut restarted, &from.all, rng);
    for workers in [1, 2, 4] {
        let mut engine = running(before, workers, &from.all);
        let replaced = engine.replace(next.clone(), Vec::new()).expect("every column is kept");
        assert_eq!(replaced.refused, [], "seed {seed}, {workers} workers");
        assert_eq!(engine.epoch(), BEFORE as u64);
        let got = seen(&mut engine, &from.all, rng);
        let case = format!("seed {seed}, {workers} workers, moved: {}", replaced.moved);
        assert_eq!(got.0, expected.0, "{case}: documents at the replacement");
        assert_eq!(got.1, expected.1, "{case}: state at the replacement");
        assert_eq!(got.2.deltas.sorted(), expected.2.deltas.sorted(), "{case}");
        assert_eq!(got.2.fired, expected.2.fired, "{case}");
        assert_eq!(got.2.timers, expected.2.timers, "{case}");
        assert_eq!(got.2.errors, expected.2.errors, "{case}");
        assert_eq!((got.3, got.4), (expected.3.clone(), expected.4.clone()), "{case}");
        compared.moved += usize::from(replaced.moved);
    }
    compared.told += expected.2.deltas.len();
    compared.fired += expected.2.fired.len();
    compared.documents += expected.0.len();
}

/// INV-REPLACE, whatever changes.
#[test]
fn a_replaced_plan_stands_where_a_restart_with_it_stands() {
    let mut compared = Compared::default();
    for seed in seeds(30) {
        let mut rng = Rng(seed + 61_000);
        let (spec, before) = random_plan(&mut rng);
        let (other_spec, other) = random_plan(&mut rng);
        // Most replacements are edits of what is there; some are something else altogether.
        let next = if rng.chance(75) { edited(&spec, &other_spec, &mut rng).1 } else { other };
        compare(seed, &before, &next, &mut rng, &mut compared);
    }
    let Compared { told, fired, documents, .. } = compared;
    assert!(told > 800 && fired > 25 && documents > 500, "{compared:?} is too little to mean anything");
}

/// What of a random definition keeps no more than rows, contributions and references: no derived tables, nothing by time.
fn plain(rng: &mut Rng) -> (GraphSpec, Arc<Plan>) {
    const TABLES: [&str; 5] = ["Customer", "Order", "Item", "Node", "Note"];
    let whole = random_plan(rng).0;
    let mut spec = GraphSpec { fields: Vec::new(), effects: Vec::new(), ..whole.clone() };
    spec.tables.retain(|table| TABLES.contains(&table.name.as_str()));
    for table in &mut spec.tables {
        table.relations.retain(|_, relation| match relation {
            RelationSpec::Children { table, .. } | RelationSpec::Lookup { to: table, .. } => TABLES.contains(&table.as_str()),
            _ => false,
        });
    }
    for field in whole.fields {
        spec.fields.push(FieldSpec { timing: None, ..field });
        if plan(&spec, &[]).is_err() {
            spec.fields.pop();
        }
    }
    for effect in whole.effects {
        spec.effects.push(effect);
        if plan(&spec, &[]).is_err() {
            spec.effects.pop();
        }
    }
    let planned = plan(&spec, &[]).expect("every field was tried").0;
    (spec, Arc::new(planned))
}

/// Fields and effects of another definition besides those that there are; sometimes one fewer, or one that means something else.
fn grown(spec: &GraphSpec, other: &GraphSpec, rng: &mut Rng) -> Arc<Plan> {
    let mut grown = spec.clone();
    for n in 0..rng.below(4) + 1 {
        let mut next = grown.clone();
        if other.fields.is_empty() || next.fields.is_empty() {
            break;
        }
        let mut field = rng.pick(&other.fields).clone();
        field.name = format!("{}_{n}", field.name);
        match rng.below(6) {
            0 => drop(next.fields.remove(rng.below(next.fields.len()))),
            1 => {
                let at = rng.below(next.fields.len());
                next.fields[at].formula = field.formula;
            }
            2 if !other.effects.is_empty() => {
                let name = format!("new{n}");
                next.effects.push(EffectSpec { name, ..rng.pick(&other.effects).clone() });
            }
            _ => next.fields.push(field),
        }
        if !next.fields.is_empty() && plan(&next, &[]).is_ok() {
            grown = next;
        }
    }
    Arc::new(plan(&grown, &[]).expect("every edit was tried").0)
}

/// INV-REPLACE, where most of what is there stays and is moved.
#[test]
fn what_stays_is_moved_and_what_is_new_is_computed() {
    let mut compared = Compared::default();
    for seed in seeds(40) {
        let mut rng = Rng(seed + 67_000);
        let (spec, before) = plain(&mut rng);
        let (other, _) = plain(&mut rng);
        let next = grown(&spec, &other, &mut rng);
        compare(seed, &before, &next, &mut rng, &mut compared);
    }
    let Compared { told, documents, moved, .. } = compared;
    eprintln!("{compared:?}");
    assert!(told > 500 && documents > 500 && moved > 30, "{compared:?} is too little to mean anything");
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
        let refused = engine.replace(next, again).unwrap().refused;
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
