//! One transaction of many rows, staged in parts, tells what it tells in one piece: parents, lookups, changes of key and errors included.

use std::sync::Arc;

use thalweg_engine::{Engine, Options};
use thalweg_formulas::{Timestamp, Type, Value};
use thalweg_graph::spec::{EffectSpec, FieldSpec, GraphSpec, OneOrMany, RelationSpec, TableSpec};
use thalweg_graph::transaction::{Body, SchemaColumn};
use thalweg_graph::{Change, Op, Outcome, Plan, Row, Schema, Transaction, planning};

/// More than are settled at a time, twice over.
const ROWS: i64 = 9_000;

fn table(name: &str, columns: &[&str], relation: (&str, RelationSpec)) -> TableSpec {
    TableSpec {
        name: name.into(),
        key: Some(vec!["id".into()]),
        columns: columns.iter().map(|column| ((*column).into(), "int".into())).collect(),
        relations: [(relation.0.into(), relation.1)].into(),
        ..TableSpec::default()
    }
}

fn plan() -> Arc<Plan> {
    let of = || OneOrMany::One("of".into());
    let items = ("items", RelationSpec::Children { table: "Item".into(), key: of() });
    let order = ("order", RelationSpec::Lookup { to: "Order".into(), key: of() });
    let tables = vec![table("Order", &["id", "rate"], items), table("Item", &["id", "of", "n"], order)];
    let fields = [
        ("Order.sum", "sum(items[*].n)"),
        ("Item.cost", "n * order.rate"),
        ("Item.share", "n / (order.sum - 1000)"),
        ("all", "sum(Order[*].sum)"),
        ("rows", "count(Item[*])"),
        ("Item.steps", "self + n"),
    ];
    let fields = fields.map(|(name, formula)| FieldSpec { name: name.into(), formula: formula.into(), ..FieldSpec::default() });
    let effects = [("much", "Order", "sum > 10000"), ("dear", "Item", "cost > 1500")];
    let effects = effects.map(|(name, on, when)| EffectSpec {
        name: name.into(),
        on: Some(on.into()),
        when: when.into(),
        ..EffectSpec::default()
    });
    let spec = GraphSpec { tables, fields: fields.into(), effects: effects.into(), ..GraphSpec::default() };
    Arc::new(planning::plan(&spec, &[]).unwrap_or_else(|findings| panic!("{findings:?}")).0)
}

fn schema(table: &str, columns: &[&str]) -> Arc<Schema> {
    let columns = columns.iter().map(|name| SchemaColumn::new((*name).into(), Type::Int));
    Arc::new(Schema { table: table.into(), columns: columns.collect(), key: vec![0] })
}

fn row(values: &[i64]) -> Option<Row> {
    Some(values.iter().map(|x| Some(Value::Int(*x))).collect())
}

fn transactions() -> [Transaction; 3] {
    let (orders, items) = (schema("Order", &["id", "rate"]), schema("Item", &["id", "of", "n"]));
    let change = |schema: &Arc<Schema>, op, before, after| Change { schema: schema.clone(), op, key: None, before, after };
    let item = |id: i64, n: i64| [id, id % 300, n];
    let first = (0..200).map(|id| change(&orders, Op::Insert, None, row(&[id, id % 4])));
    let before = (0..ROWS / 2).map(|id| change(&items, Op::Insert, None, row(&item(id, 1))));
    let large = (0..ROWS).flat_map(|id| {
        let known = id < ROWS / 2;
        let (old, new) = (item(id, 1), item(id, id % 1000));
        match id % 7 {
            // Deleted, and perhaps there again.
            0 => vec![change(&items, Op::Delete, row(&old), None), change(&items, Op::Insert, None, row(&new))],
            1 => vec![change(&items, Op::Insert, None, row(&new)), change(&items, Op::Delete, row(&new), None)],
            // Another key, and a key that is taken.
            2 if known => vec![change(&items, Op::Update, row(&old), row(&[id + 100_000, 7, 5]))],
            3 if known => vec![change(&items, Op::Update, row(&old), row(&item(id + 1, 9)))],
            4 => vec![change(&items, Op::Upsert, None, row(&new)), change(&items, Op::Update, row(&new), row(&item(id, 3)))],
            _ if known => vec![change(&items, Op::Update, row(&old), row(&new))],
            _ => vec![change(&items, Op::Insert, None, row(&new))],
        }
    });
    let more = (200..290).map(|id| change(&orders, Op::Insert, None, row(&[id, id % 4])));
    let last = (0..50).map(|id| change(&orders, Op::Update, None, row(&[id, 9])));
    let changes = [first.chain(before).collect(), large.chain(more).collect(), last.collect::<Vec<_>>()];
    let mut at = 0;
    changes.map(|changes| {
        at += 1;
        let (source, origin) = ("".into(), format!("t{at}").into());
        Transaction { source, origin, at: Timestamp(at), body: Body::Changes(changes) }
    })
}

/// Everything that is told, and how it stands at the end.
fn told(engine: &mut Engine, mut outcomes: Vec<Outcome>) -> String {
    let deltas: Vec<_> = outcomes.iter().map(|outcome| outcome.deltas.sorted()).collect();
    outcomes.iter_mut().for_each(|outcome| outcome.deltas = Default::default());
    format!("{deltas:?}\n{outcomes:?}\n{:?}\n{:?}", engine.documents(), engine.export())
}

#[test]
fn src_15_a_large_transaction_in_parts_tells_what_it_tells_in_one_piece() {
    let plan = plan();
    let mut held = Engine::new(plan.clone(), Options::default());
    let outcomes = transactions().map(|transaction| {
        held.push(transaction);
        held.step()
    });
    assert!(outcomes[1].fired.len() > 100 && outcomes[1].errors.len() > 100, "it means something");
    let expected = told(&mut held, outcomes.into());
    for (workers, size) in [(1, 2_048), (1, 7), (2, 500)] {
        let mut engine = Engine::new(plan.clone(), Options { workers, ..Options::default() });
        let outcomes = transactions().map(|transaction| {
            let Body::Changes(changes) = &transaction.body else { unreachable!() };
            let epoch = engine.begin(&transaction.head());
            changes.chunks(size).for_each(|part| engine.stage(part.to_vec()));
            let outcome = engine.step();
            assert_eq!((outcome.through, engine.epoch()), (epoch, epoch));
            outcome
        });
        assert!(told(&mut engine, outcomes.into()) == expected, "with {workers} workers and parts of {size}");
    }
}

#[test]
fn what_is_staged_is_told_without_deltas_where_they_are_not_wanted() {
    let mut engine = Engine::new(plan(), Options::default());
    engine.report_fills(false);
    let [first, ..] = transactions();
    let Body::Changes(changes) = first.body.clone() else { unreachable!() };
    engine.begin(&first.head());
    engine.stage(changes);
    let outcome = engine.step();
    assert_eq!((outcome.deltas.len(), outcome.counts.changes), (0, ROWS as u64 / 2 + 200));
    assert_eq!(engine.read("rows", &[]), Some(Ok(Value::Int(ROWS / 2))));
}
