//! Figures of the engine alone: ns a cell, µs a transaction, transactions and rows a second, all of processor time.
//!
//! `cargo run --release -p thalweg-engine --example speed [NAME]`

use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

/// The allocator of the binary.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

use thalweg_engine::{Engine, Options};
use thalweg_formulas::{Timestamp, Type, Value};
use thalweg_graph::planning::plan;
use thalweg_graph::spec::{EffectSpec, FieldSpec, GraphSpec, OneOrMany, RelationSpec, TableSpec};
use thalweg_graph::transaction::{Body, SchemaColumn};
use thalweg_graph::{Change, Op, Schema, Transaction};

fn table(name: &str, columns: &[(&str, &str)], relations: &[(&str, RelationSpec)]) -> TableSpec {
    TableSpec {
        name: name.into(),
        key: Some(vec!["id".into()]),
        columns: columns.iter().map(|(name, ty)| ((*name).into(), (*ty).into())).collect(),
        column_order: columns.iter().map(|(name, _)| (*name).into()).collect(),
        relations: relations.iter().map(|(name, relation)| ((*name).into(), relation.clone())).collect(),
        ..TableSpec::default()
    }
}

fn field(name: impl Into<String>, formula: impl Into<String>) -> FieldSpec {
    FieldSpec { name: name.into(), formula: formula.into(), ..FieldSpec::default() }
}

fn schema(table: &str, columns: &[(&str, Type)]) -> Arc<Schema> {
    let columns = columns.iter().map(|(name, ty)| SchemaColumn::new((*name).into(), ty.clone())).collect();
    Arc::new(Schema { table: table.into(), columns, key: vec![0] })
}

fn change<const N: usize>(schema: &Arc<Schema>, op: Op, row: [Value; N]) -> Change {
    Change { schema: schema.clone(), op, key: None, before: None, after: Some(row.into_iter().map(Some).collect()) }
}

fn tx(body: Body) -> Transaction {
    Transaction { source: empty(), origin: empty(), at: Timestamp(0), body }
}

fn empty() -> Arc<str> {
    thread_local!(static EMPTY: Arc<str> = "".into());
    EMPTY.with(Clone::clone)
}

fn engine(spec: &GraphSpec, workers: usize) -> Engine {
    let (plan, _) = plan(spec, &[]).unwrap_or_else(|findings| panic!("{findings:#?}"));
    Engine::new(Arc::new(plan), Options { workers, ..Options::default() })
}

/// The processor's time that this thread has had: what others take does not count. With `WALL` in the environment the time on the wall: a
/// profiler that simulates a processor knows no other.
fn cpu() -> Duration {
    static WALL: LazyLock<Option<Instant>> = LazyLock::new(|| std::env::var_os("WALL").map(|_| Instant::now()));
    if let Some(start) = *WALL {
        return start.elapsed();
    }
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// The middle of the measured times, and the least: what an idle machine would show lies between.
fn spread(mut times: Vec<f64>) -> (f64, f64) {
    times.sort_by(f64::total_cmp);
    (times[times.len() / 2], times[0])
}

/// One edit of a row with `n` cells in a chain or a fan; ns a cell, the step's fixed cost taken off.
fn cells(shape: &str, n: usize) {
    let formula = |i: usize| match shape {
        "chain" if i == 0 => "x * 1.0000001 + 1.0".to_owned(),
        "chain" => format!("f{} * 1.0000001 + 1.0", i - 1),
        "quiet" => format!("x + {i}.5 > -1.0 ? 1.0 : 0.0"),
        _ => format!("x * {i}.5"),
    };
    let spec = GraphSpec {
        tables: vec![table("T", &[("id", "int"), ("x", "double")], &[])],
        fields: (0..n).map(|i| field(format!("T.f{i}"), formula(i))).collect(),
        ..GraphSpec::default()
    };
    let mut engine = engine(&spec, 1);
    let layout = schema("T", &[("id", Type::Int), ("x", Type::Double)]);
    engine.push(tx(Body::Changes(vec![change(&layout, Op::Insert, [Value::Int(1), Value::double(0.0)])])));
    engine.step();
    let edits = (12_000 / n).clamp(10, 1_000);
    let mut round = 0.0;
    let times = (0..40).map(|_| {
        let start = cpu();
        for _ in 0..edits {
            round += 1.0;
            engine.push(tx(Body::Changes(vec![change(&layout, Op::Update, [Value::Int(1), Value::double(round)])])));
        }
        let outcome = engine.step();
        assert_eq!(outcome.counts.cells, (edits * n) as u64);
        engine.recycle(outcome.deltas);
        (cpu() - start).as_nanos() as f64 / (edits * n) as f64
    });
    let (middle, least) = spread(times.collect());
    println!("{shape} of {n}: {middle:.1} ns a cell, at best {least:.1}, deltas and all");
}

fn orders() -> (GraphSpec, Arc<Schema>) {
    let spec = GraphSpec {
        tables: vec![table("Order", &[("id", "int"), ("price", "decimal(10,2)"), ("qty", "int")], &[])],
        fields: vec![field("Order.total", "price * qty"), field("Order.big", "total > 100000")],
        effects: vec![EffectSpec { name: "big".into(), on: Some("Order".into()), when: "big".into(), ..EffectSpec::default() }],
        ..GraphSpec::default()
    };
    let layout = schema("Order", &[("id", Type::Int), ("price", Type::Decimal { precision: 10, scale: 2 }), ("qty", Type::Int)]);
    (spec, layout)
}

fn order(layout: &Arc<Schema>, op: Op, id: i64, qty: i64) -> Change {
    let price = thalweg_formulas::decimal::Decimal::Small { mantissa: 1_000 + id % 997, scale: 2 };
    change(layout, op, [Value::Int(id), Value::Decimal(price), Value::Int(qty)])
}

/// Rows that were there before, in fills of 10,000, as a snapshot brings them.
fn backfill(rows: i64, deltas: bool) {
    let (spec, layout) = orders();
    let mut engine = engine(&spec, 1);
    engine.report_fills(deltas);
    let (mut took, mut told) = (0.0, 0);
    for first in (0..rows).step_by(10_000) {
        let fill: Vec<Change> = (first..first + 10_000).map(|id| order(&layout, Op::Insert, id, id % 7)).collect();
        engine.push(tx(Body::Fill(fill)));
        let start = cpu();
        let outcome = engine.step();
        took += (cpu() - start).as_secs_f64();
        told += outcome.deltas.len();
        assert_eq!(outcome.counts.changes, 10_000);
        engine.recycle(outcome.deltas);
    }
    println!("backfill of {rows} rows, {} deltas: {:.2} M rows/s", told, rows as f64 / took / 1e6);
    for node in engine.stats().into_iter().filter(|_| deltas) {
        println!("  {} {:?}: {} rows, {:.1} B a row", node.node, node.region, node.rows, node.state_bytes as f64 / rows as f64);
    }
}

/// Transactions between two looks at the clock, which costs as much as half of one.
const CHUNK: usize = 1_000;

/// Single-row transactions on random documents, `batch` to a step.
fn transactions(documents: i64, batch: usize) {
    let (spec, layout) = orders();
    let mut engine = engine(&spec, 1);
    engine.push(tx(Body::Fill((0..documents).map(|id| order(&layout, Op::Insert, id, 1)).collect())));
    engine.step();
    let mut held = vec![1; documents as usize];
    let mut at: u64 = 1;
    let mut times = Vec::new();
    for round in 0..1_000 {
        let start = cpu();
        for place in 0..CHUNK {
            at = at.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let id = (at >> 33) as i64 % documents;
            let change = order(&layout, Op::Update, id, 2 + round % 1000 + at as i64 % 13);
            let before = order(&layout, Op::Insert, id, held[id as usize]).after;
            held[id as usize] = 2 + round % 1000 + at as i64 % 13;
            engine.push(tx(Body::Changes(vec![Change { before, ..change }])));
            if (place + 1) % batch == 0 {
                let outcome = engine.step();
                assert_eq!(outcome.counts.contradicted, 0);
                engine.recycle(outcome.deltas);
            }
        }
        times.push((cpu() - start).as_nanos() as f64 / CHUNK as f64);
    }
    let (middle, least) = spread(times);
    println!("{documents} documents, {batch} a step: {middle:.0} ns a transaction ({:.2} M/s), at best {least:.0}", 1e3 / middle);
}

/// One edit of a child in a document of `children`.
fn child(children: i64) {
    let items = RelationSpec::Children { table: "Item".into(), key: OneOrMany::One("order".into()) };
    let spec = GraphSpec {
        tables: vec![
            table("Order", &[("id", "int")], &[("items", items)]),
            table("Item", &[("id", "int"), ("order", "int"), ("price", "double")], &[]),
        ],
        fields: vec![field("Order.total", "sum(items[*].price)"), field("Order.most", "max(items[*].price)")],
        ..GraphSpec::default()
    };
    let mut engine = engine(&spec, 1);
    let orders = schema("Order", &[("id", Type::Int)]);
    let layout = schema("Item", &[("id", Type::Int), ("order", Type::Int), ("price", Type::Double)]);
    let item = |op, id: i64, price: f64| change(&layout, op, [Value::Int(id), Value::Int(id / children), Value::double(price)]);
    let mut fill: Vec<Change> = (0..100).map(|id| change(&orders, Op::Insert, [Value::Int(id)])).collect();
    fill.extend((0..100 * children).map(|id| item(Op::Insert, id, id as f64)));
    engine.push(tx(Body::Fill(fill)));
    engine.step();
    for batch in [1, 1000] {
        let mut price = 0.0;
        let times = (0..20).map(|round| {
            let start = cpu();
            for at in 0..CHUNK as i64 {
                price += 0.25;
                engine.push(tx(Body::Changes(vec![item(Op::Update, (round * 7919 + at * 104_729) % (100 * children), price)])));
                if (at + 1) % batch == 0 {
                    std::hint::black_box(engine.step());
                }
            }
            (cpu() - start).as_nanos() as f64 / CHUNK as f64
        });
        let (middle, least) = spread(times.collect());
        println!("an item of {children}, {batch} a step: {middle:.0} ns an edit, at best {least:.0}");
    }
}

/// Orders of ten items, with a sum, a count and a maximum each; the items in fills of 10,000, as a snapshot brings them.
fn bulk(orders: i64) {
    let items = RelationSpec::Children { table: "Item".into(), key: OneOrMany::One("order".into()) };
    let columns = [("id", "int"), ("order", "int"), ("price", "decimal(10,2)"), ("qty", "int")];
    let spec = GraphSpec {
        tables: vec![table("Order", &[("id", "int")], &[("items", items)]), table("Item", &columns, &[])],
        fields: vec![
            field("Order.total", "sum(items[*].price * items[*].qty)"),
            field("Order.lines", "count(items[*])"),
            field("Order.dearest", "max(items[*].price)"),
        ],
        ..GraphSpec::default()
    };
    let price = Type::Decimal { precision: 10, scale: 2 };
    let layouts = [
        schema("Order", &[("id", Type::Int)]),
        schema("Item", &[("id", Type::Int), ("order", Type::Int), ("price", price), ("qty", Type::Int)]),
    ];
    let item = |id: i64| {
        let price = thalweg_formulas::decimal::Decimal::Small { mantissa: 1_000 + id % 997, scale: 2 };
        change(&layouts[1], Op::Insert, [Value::Int(id), Value::Int(id / 10), Value::Decimal(price), Value::Int(id % 7)])
    };
    let mut engine = engine(&spec, 1);
    engine.report_fills(false);
    let mut fill = |name: &str, rows: i64, row: &dyn Fn(i64) -> Change| {
        let mut took = 0.0;
        for first in (0..rows).step_by(10_000) {
            engine.push(tx(Body::Fill((first..rows.min(first + 10_000)).map(row).collect())));
            let start = cpu();
            let outcome = engine.step();
            took += (cpu() - start).as_secs_f64();
            engine.recycle(outcome.deltas);
        }
        println!("bulk of {rows} {name}: {:.3} us a row", took * 1e6 / rows as f64);
    };
    fill("orders", orders, &|id| change(&layouts[0], Op::Insert, [Value::Int(id)]));
    fill("items", orders * 10, &item);
    let total: i64 = (0..10).map(|id| (1_000 + id) * (id % 7)).sum();
    let shown = engine.read("Order.total", &[Value::Int(0)]);
    assert_eq!(shown, Some(Ok(Value::Decimal(thalweg_formulas::decimal::Decimal::Small { mantissa: total, scale: 2 }))));
    let bytes: u64 = engine.stats().iter().map(|node| node.state_bytes).sum();
    println!("  {:.1} B an item, orders and all", bytes as f64 / (orders * 10) as f64);
}

/// Points of ten thousand sensors, each with the mean of its last 30: filled in, then a tick of all sensors a step, then point by point.
fn moving(sensors: i64, ticks: i64) {
    let points = RelationSpec::Children { table: "Point".into(), key: OneOrMany::One("sensor".into()) };
    let spec = GraphSpec {
        tables: vec![
            table("Sensor", &[("id", "int")], &[("points", points)]),
            table("Point", &[("id", "int"), ("sensor", "int"), ("value", "double")], &[]),
        ],
        fields: vec![field("Sensor.mean", "window_avg(points[*].value, 30)")],
        ..GraphSpec::default()
    };
    let mut engine = engine(&spec, 1);
    let layout = schema("Sensor", &[("id", Type::Int)]);
    engine.push(tx(Body::Fill((0..sensors).map(|id| change(&layout, Op::Insert, [Value::Int(id)])).collect())));
    engine.step();
    let layout = schema("Point", &[("id", Type::Int), ("sensor", Type::Int), ("value", Type::Double)]);
    let point = |id: i64| {
        change(
            &layout,
            Op::Insert,
            [Value::Int(id), Value::Int(id % sensors), Value::double(((id + id / sensors * 31) * 7919 % 1000) as f64 / 8.0)],
        )
    };
    let mut step = |from: i64, to: i64, fill: bool| {
        let changes = (from..to).map(point).collect();
        engine.push(tx(if fill { Body::Fill(changes) } else { Body::Changes(changes) }));
        let start = cpu();
        let outcome = engine.step();
        let took = (cpu() - start).as_nanos() as f64 / (to - from) as f64;
        assert!(fill || !outcome.deltas.is_empty());
        engine.recycle(outcome.deltas);
        took
    };
    for (name, from, to, size, fill) in [
        ("filled", 0, ticks / 2, sensors, true),
        ("a tick a step", ticks / 2, ticks, sensors, false),
        ("a point a step", ticks, ticks + 1, 1, false),
    ] {
        let times: Vec<f64> = (from * sensors..to * sensors).step_by(size as usize).map(|at| step(at, at + size, fill)).collect();
        let mean = times.iter().sum::<f64>() / times.len() as f64;
        let (middle, least) = spread(times);
        println!("moving average, {name}: {middle:.0} ns a point, mean {mean:.0}, at best {least:.0}");
    }
    for node in engine.stats().into_iter().filter(|node| node.state_bytes > 0) {
        println!("  {} {:?}: {} rows, {:.1} MB", node.node, node.region, node.rows, node.state_bytes as f64 / 1e6);
    }
}

/// Groups of a thousand rows, each with its ten best; scores change.
fn top(groups: i64) {
    let players = RelationSpec::Children { table: "Player".into(), key: OneOrMany::One("league".into()) };
    let spec = GraphSpec {
        tables: vec![
            table("League", &[("id", "int")], &[("players", players)]),
            table("Player", &[("id", "int"), ("league", "int"), ("score", "int")], &[]),
        ],
        fields: vec![field("League.best", "top(players[*].id, 10, players[*].score)")],
        ..GraphSpec::default()
    };
    let mut engine = engine(&spec, 1);
    let leagues = schema("League", &[("id", Type::Int)]);
    let layout = schema("Player", &[("id", Type::Int), ("league", Type::Int), ("score", Type::Int)]);
    let player = |op, id: i64, score: i64| change(&layout, op, [Value::Int(id), Value::Int(id / 1000), Value::Int(score)]);
    let mut fill: Vec<Change> = (0..groups).map(|id| change(&leagues, Op::Insert, [Value::Int(id)])).collect();
    fill.extend((0..groups * 1000).map(|id| player(Op::Insert, id, id * 7919 % 100_003)));
    engine.push(tx(Body::Fill(fill)));
    engine.step();
    let mut at = 0;
    for batch in [1, 100, 10_000] {
        let times = (0..20).map(|_| {
            let rounds = 10_000 / batch;
            let start = cpu();
            for _ in 0..rounds {
                let changes = (0..batch).map(|_| {
                    at += 1;
                    player(Op::Update, at * 104_729 % (groups * 1000), at * 31_337 % 100_019)
                });
                engine.push(tx(Body::Changes(changes.collect())));
                let outcome = engine.step();
                engine.recycle(outcome.deltas);
            }
            (cpu() - start).as_nanos() as f64 / 10_000.0
        });
        let (middle, least) = spread(times.collect());
        println!("top 10 of 1000, {batch} changes a step: {middle:.0} ns a change, at best {least:.0}");
    }
}

/// A document of many cells in a chain: planned, made ready, and edited at its end.
fn wide(cells: usize) {
    let formula = |i: usize| if i == 0 { "x + 1".to_owned() } else { format!("f{} + 1", i - 1) };
    let spec = GraphSpec {
        tables: vec![table("T", &[("id", "int"), ("x", "int"), ("y", "int")], &[])],
        fields: (0..cells).map(|i| field(format!("T.f{i}"), formula(i))).chain([field("T.end", "y + 1")]).collect(),
        ..GraphSpec::default()
    };
    let start = cpu();
    let planned = plan(&spec, &[]).unwrap_or_else(|findings| panic!("{findings:#?}")).0;
    println!("{cells} formulas: planned in {:.2} s", (cpu() - start).as_secs_f64());
    let start = cpu();
    let mut engine = Engine::new(Arc::new(planned), Options::default());
    println!("  made ready in {:.2} s", (cpu() - start).as_secs_f64());
    let layout = schema("T", &[("id", Type::Int), ("x", Type::Int), ("y", Type::Int)]);
    let row = |op, x: i64, y: i64| tx(Body::Changes(vec![change(&layout, op, [Value::Int(1), Value::Int(x), Value::Int(y)])]));
    for (what, transaction, expected) in [
        ("the first row", row(Op::Insert, 1, 1), cells as u64 + 1),
        ("an edit of one cell", row(Op::Update, 1, 2), 1),
        ("an edit of another", row(Op::Update, 1, 3), 1),
        ("an edit of the chain", row(Op::Update, 2, 3), cells as u64),
    ] {
        engine.push(transaction);
        let start = cpu();
        let outcome = engine.step();
        assert_eq!(outcome.counts.cells, expected);
        println!("  {what}: {:.1} us", (cpu() - start).as_nanos() as f64 / 1e3);
        engine.recycle(outcome.deltas);
    }
}

fn main() {
    let only = std::env::args().nth(1).unwrap_or_default();
    let wanted = |name: &str| only.is_empty() || name == only;
    for n in [10, 60, 1000] {
        for shape in ["chain", "fan", "quiet"] {
            if wanted("cells") || only == format!("{shape} of {n}") {
                cells(shape, n);
            }
        }
    }
    for (name, deltas) in [("fill", false), ("fill with deltas", true)] {
        if wanted(name) {
            backfill(1_000_000, deltas);
        }
    }
    if wanted("bulk") {
        bulk(100_000);
    }
    if only == "bulk of many" {
        bulk(1_000_000);
    }
    for (name, batch) in [("alone", 1), ("batched", 1_000)] {
        if wanted(name) {
            transactions(1_000, batch);
            transactions(100_000, batch);
        }
    }
    if wanted("moving") {
        moving(10_000, 200);
    }
    if wanted("top") {
        top(1_000);
    }
    if wanted("wide") {
        wide(10_000);
        wide(1_000_000);
    }
    for (name, children) in [("child", 10), ("child of many", 1_000)] {
        if wanted(name) {
            child(children);
        }
    }
}
