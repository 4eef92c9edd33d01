//! Aggregates through several relations, which are kept level by level: beside a direct computation over all rows, and what they cost.

use std::collections::BTreeMap;
use std::sync::Arc;

use thalweg_engine::{Engine, Options};
use thalweg_formulas::Value;
use thalweg_graph::spec::{OneOrMany, RelationSpec, TableSpec};
use thalweg_graph::transaction::Body;
use thalweg_graph::{Change, Op, Plan, Schema, Transaction};

use crate::by_hand::{change, row, schema, tx};
use crate::random::Rng;
use crate::twins::{Cases, planned, table};

/// Each table's rows refer to one of the table before.
const TABLES: [&str; 4] = ["City", "Customer", "Order", "Item"];
const COLUMNS: [&str; 3] = ["id", "up", "v"];

fn tables() -> Vec<TableSpec> {
    let children = |at: usize| {
        let child = TABLES.get(at + 1)?;
        Some(("below", RelationSpec::Children { table: (*child).into(), key: OneOrMany::One("up".into()) }))
    };
    TABLES.iter().enumerate().map(|(at, name)| table(name, &COLUMNS, children(at))).collect()
}

/// What is kept at each city, and over all customers.
fn plan() -> Arc<Plan> {
    let items = "below[*].below[*].below[*]";
    let fields = [
        ("City.count", format!("count({items}.v)")),
        ("City.rows", format!("count({items})")),
        ("City.sum", format!("sum({items}.v)")),
        ("City.least", format!("min({items}.v)")),
        ("City.greatest", format!("max({items}.v)")),
        ("City.some", format!("any({items}.v > 2)")),
        ("City.every", format!("all({items}.v > 1)")),
        ("City.parts", format!("sum(12 / {items}.v)")),
        ("City.mean", format!("avg({items}.v)")),
        ("City.own", format!("sum({items}.v * v)")),
        ("all", "sum(Customer[*].below[*].below[*].v)".into()),
    ];
    planned(tables(), &fields.each_ref().map(|(name, formula)| (*name, formula.as_str())))
}

/// A row: its parent and its value.
type Line = (Option<i64>, Option<i64>);
type World = [BTreeMap<i64, Line>; 4];

/// The values of the items below a document of table `at`.
fn below(world: &World, at: usize, id: i64) -> Vec<Option<i64>> {
    let rows = world[at + 1].iter().filter(|(_, line)| line.0 == Some(id));
    match at {
        2 => rows.map(|(_, line)| line.1).collect(),
        _ => rows.flat_map(|(id, _)| below(world, at + 1, *id)).collect(),
    }
}

/// A field of a city by its definition; `None` is an error.
fn expected(world: &World, field: &str, city: i64) -> Option<Value> {
    let rows = below(world, 0, city);
    let values: Vec<i64> = rows.iter().flatten().copied().collect();
    let int = |n: usize| Value::Int(n as i64);
    let or_null = |value: Option<i64>| value.map_or(Value::Null, Value::Int);
    // True, unknown, or false.
    let kleene = |is: fn(i64) -> bool, wins: bool| match rows.iter().any(|v| v.is_some_and(|v| is(v) == wins)) {
        true => Value::Bool(wins),
        false if rows.contains(&None) => Value::Null,
        false => Value::Bool(!wins),
    };
    let own = world[0][&city].1;
    Some(match field {
        "City.count" => int(values.len()),
        "City.rows" => int(rows.len()),
        "City.sum" => Value::Int(values.iter().sum()),
        "City.least" => or_null(values.iter().min().copied()),
        "City.greatest" => or_null(values.iter().max().copied()),
        "City.some" => kleene(|v| v > 2, true),
        "City.every" => kleene(|v| v > 1, false),
        "City.parts" => Value::Int(values.iter().map(|v| 12i64.checked_div(*v)).sum::<Option<i64>>()?),
        "City.mean" if values.is_empty() => Value::Null,
        "City.mean" => Value::Double(values.iter().sum::<i64>() as f64 / values.len() as f64),
        "City.own" => Value::Int(own.map_or(0, |own| values.iter().map(|v| v * own).sum())),
        other => panic!("{other}"),
    })
}

fn values(id: i64, line: &Line) -> [Value; 3] {
    let or_null = |value: Option<i64>| value.map_or(Value::Null, Value::Int);
    [Value::Int(id), or_null(line.0), or_null(line.1)]
}

/// Some rows come, change their parents and values, and go; parents need not be there.
fn edit(world: &mut World, rng: &mut Rng, schemas: &[Arc<Schema>]) -> Transaction {
    let changes = (0..1 + rng.below(12)).map(|_| {
        let at = *rng.pick(&[0, 1, 1, 2, 2, 3, 3, 3, 3]);
        let id = rng.below([3, 5, 8, 30][at]) as i64;
        let parents = [1, 4, 6, 9][at];
        let new = (!rng.chance(25)).then(|| {
            let up = (!rng.chance(8)).then(|| rng.below(parents) as i64);
            (up, (!rng.chance(15)).then(|| rng.below(5) as i64))
        });
        let old = match &new {
            Some(line) => world[at].insert(id, *line),
            None => world[at].remove(&id),
        };
        let image = |line: &Line| row(values(id, line));
        let op = match (&old, &new) {
            (None, Some(_)) => Op::Insert,
            (Some(_), Some(_)) => Op::Update,
            _ => Op::Delete,
        };
        (old.is_some() || new.is_some()).then(|| change(&schemas[at], op, old.as_ref().map(image), new.as_ref().map(image)))
    });
    tx(changes.flatten().collect::<Vec<Change>>())
}

/// P1 of patterns through three relations.
#[test]
fn p1_what_is_kept_level_by_level_is_the_aggregate_of_all() {
    let mut cases = Cases::new("aggregates through three relations");
    let plan = plan();
    let schemas = TABLES.map(|name| schema(name, &COLUMNS, &[0]));
    let (mut errors, mut unknown, mut empty) = (0, 0, 0);
    for (seed, step, workers) in [(1, 1, 1), (2, 5, 1), (3, 1, 2), (4, 7, 2), (5, 3, 4)] {
        let mut rng = Rng(seed);
        let mut world = World::default();
        let mut engine = Engine::new(plan.clone(), Options { workers, inline_max: crate::INLINE, ..Options::default() });
        for _ in 0..60 {
            for _ in 0..step {
                engine.push(edit(&mut world, &mut rng, &schemas));
            }
            engine.step();
            for city in world[0].keys() {
                for field in plan.fields.iter().filter(|field| &*field.name != "all") {
                    let shown = engine.read(&field.name, &[Value::Int(*city)]).expect("a city that is there");
                    let expected = expected(&world, &field.name, *city);
                    errors += u32::from(expected.is_none());
                    unknown += u32::from(&*field.name == "City.some" && expected == Some(Value::Null));
                    empty += u32::from(&*field.name == "City.least" && expected == Some(Value::Null));
                    assert_eq!(shown.ok(), expected, "seed {seed}: {} of {city} in {world:?}", field.name);
                }
            }
            let total: i64 = world[1].keys().flat_map(|id| below(&world, 1, *id)).flatten().sum();
            assert_eq!(engine.read("all", &[]), Some(Ok(Value::Int(total))), "seed {seed}");
            cases.ran(step, workers);
        }
    }
    assert!(errors > 100 && unknown > 20 && empty > 20, "{errors} {unknown} {empty}");
}

/// Cells run and rows touched when the only customer of a city moves to another one.
fn cost_of_a_move(orders: i64) -> (u64, u64) {
    let fields = [("City.sum", "sum(below[*].below[*].v)"), ("City.most", "max(below[*].below[*].v)")];
    let mut engine = Engine::new(planned(tables(), &fields), Options::default());
    let schemas = TABLES.map(|name| schema(name, &COLUMNS, &[0]));
    let insert =
        |at: usize, id: i64, up: i64| change(&schemas[at], Op::Insert, None, Some(row(values(id, &(Some(up), Some(id % 5))))));
    let rows = [insert(0, 0, 0), insert(0, 1, 0), insert(1, 7, 0)].into_iter().chain((0..orders).map(|id| insert(2, id, 7)));
    engine.push(Transaction { body: Body::Fill(rows.collect()), ..tx(vec![]) });
    engine.step();
    let touched = |engine: &mut Engine| engine.stats().iter().map(|node| node.rows_touched).sum::<u64>();
    let before = touched(&mut engine);
    let [from, to] = [0, 1].map(|city| row(values(7, &(Some(city), Some(2)))));
    engine.push(tx(vec![change(&schemas[1], Op::Update, Some(from), Some(to))]));
    let cells = engine.step().counts.cells;
    let sum = (0..orders).map(|id| id % 5).sum();
    assert_eq!(engine.read("City.sum", &[Value::Int(1)]), Some(Ok(Value::Int(sum))));
    assert_eq!(engine.read("City.sum", &[Value::Int(0)]), Some(Ok(Value::Int(0))));
    (cells, touched(&mut engine) - before)
}

#[test]
fn p4_a_document_that_moves_takes_its_aggregates_with_it_and_not_its_rows() {
    assert_eq!(cost_of_a_move(20_000), cost_of_a_move(5));
}
