//! P4: one edit costs what it touches, counted in cells run and rows touched, not in time.

use std::collections::BTreeMap;

use expect_test::expect;
use thalweg_engine::{Engine, Options};
use thalweg_formulas::Value;
use thalweg_graph::spec::{BySpec, GroupSpec, OneOrMany, RelationSpec, TableSpec, WindowSpec};
use thalweg_graph::transaction::Body;
use thalweg_graph::{Change, Op, Transaction};

use crate::by_hand::{change, row, schema, tx};
use crate::twins::{planned, table};

/// Cells run, and rows touched by node, when the price of one item changes: of an order with `children` items, in a graph with
/// `bystanders` more orders of one item each.
fn cost_of_one_edit(children: i64, bystanders: i64) -> (u64, BTreeMap<String, u64>) {
    let items = RelationSpec::Children { table: "Item".into(), key: OneOrMany::One("order".into()) };
    let buyer = RelationSpec::Lookup { to: "Order".into(), key: OneOrMany::One("order".into()) };
    let tables = vec![
        table("Order", &["id"], Some(("items", items))),
        table("Item", &["id", "order", "price"], None),
        table("Invoice", &["id", "order"], Some(("order_row", buyer))),
    ];
    let fields = [
        ("Order.total", "sum(items[*].price)"),
        ("Order.most", "max(items[*].price)"),
        ("Order.large", "total > 1000000"),
        ("Invoice.due", "order_row.total * 2"),
    ];
    let mut engine = Engine::new(planned(tables, &fields), Options::default());
    let orders = schema("Order", &["id"], &[0]);
    let layout = schema("Item", &["id", "order", "price"], &[0]);
    let invoices = schema("Invoice", &["id", "order"], &[0]);
    let item = |op, id: i64, order: i64, price: i64| change(&layout, op, None, Some(row([id, order, price].map(Value::Int))));
    let mut fill: Vec<Change> =
        (0..=bystanders).map(|id| change(&orders, Op::Insert, None, Some(row([Value::Int(id)])))).collect();
    fill.extend((0..children).map(|id| item(Op::Insert, id, 0, id)));
    fill.extend((0..bystanders).map(|id| item(Op::Insert, children + id, id + 1, id)));
    fill.push(change(&invoices, Op::Insert, None, Some(row([1, 0].map(Value::Int)))));
    engine.push(Transaction { body: Body::Fill(fill), ..tx(vec![]) });
    engine.step();

    let touched = |engine: &mut Engine| engine.stats().into_iter().map(|node| node.rows_touched).collect::<Vec<_>>();
    let before = touched(&mut engine);
    engine.push(tx(vec![item(Op::Update, 3, 0, 5_000)]));
    let cells = engine.step().counts.cells;
    let after = touched(&mut engine);
    let mut by_node: BTreeMap<String, u64> = BTreeMap::new();
    for (node, (before, after)) in engine.stats().into_iter().zip(before.into_iter().zip(after)) {
        if after > before {
            *by_node.entry(node.node.to_string()).or_default() += after - before;
        }
    }
    (cells, by_node)
}

#[test]
fn p4_cost_follows_the_change() {
    let alone = cost_of_one_edit(10, 0);
    assert_eq!(cost_of_one_edit(1_000, 0), alone, "1000 children cost what 10 cost");
    assert_eq!(cost_of_one_edit(10, 100_000), alone, "100000 bystanders cost nothing");
    let nodes: Vec<String> = alone.1.iter().map(|(node, rows)| format!("{node}: {rows}")).collect();
    expect!["4 cells; Invoice.due: 1, Invoice.order -> Order: 1, Order.large: 1, Order.most: 1, Order.total: 1, max(items[*].price): 1, order_row.total: 1, price: 1, sum(items[*].price): 1"].assert_eq(&format!("{} cells; {}", alone.0, nodes.join(", ")));
}

/// A document of ten thousand cells in a chain, and one beside it.
#[test]
fn p4_a_wide_document_costs_what_an_edit_reaches() {
    const CHAIN: usize = 9_999;
    let formula = |at: usize| if at == 0 { "x + 1".to_owned() } else { format!("f{} + 1", at - 1) };
    let fields: Vec<(String, String)> = (0..CHAIN).map(|at| (format!("T.f{at}"), formula(at))).collect();
    let mut fields: Vec<(&str, &str)> = fields.iter().map(|(name, formula)| (name.as_str(), formula.as_str())).collect();
    fields.push(("T.beside", "y + 1"));
    let mut engine = Engine::new(planned(vec![table("T", &["id", "x", "y"], None)], &fields), Options::default());
    let layout = schema("T", &["id", "x", "y"], &[0]);
    let mut cells = |op, x: i64, y: i64| {
        engine.push(tx(vec![change(&layout, op, None, Some(row([1, x, y].map(Value::Int))))]));
        engine.step().counts.cells
    };
    assert_eq!(cells(Op::Insert, 1, 1), CHAIN as u64 + 1);
    assert_eq!(cells(Op::Update, 1, 2), 1, "the cell that reads what changed");
    assert_eq!(cells(Op::Update, 2, 2), CHAIN as u64, "the chain, and not the cell beside it");
    assert_eq!(cells(Op::Update, 2, 2), 0);
}

/// ENG-10: a thousand items of ever new orders come while the thousand before them go, and their groups, windows and references with them.
#[test]
fn eng_10_memory_is_that_of_what_there_is_and_not_of_what_has_been() {
    let items = RelationSpec::Children { table: "Item".into(), key: OneOrMany::One("order".into()) };
    let parent = RelationSpec::Lookup { to: "Order".into(), key: OneOrMany::One("order".into()) };
    let derived = |name: &str, group: GroupSpec| TableSpec {
        name: name.into(),
        group: Some(GroupSpec { of: "Item".into(), rows: Some("items".into()), ..group }),
        ..TableSpec::default()
    };
    let session = WindowSpec { on: "at".into(), gap: Some("2us".into()), ..WindowSpec::default() };
    let tables = vec![
        table("Order", &["id"], Some(("items", items))),
        table("Item", &["id", "order", "price"], Some(("parent", parent))),
        derived("Price", GroupSpec { by: BySpec::One("price".into()), ..GroupSpec::default() }),
        derived("Visit", GroupSpec { by: BySpec::One("order".into()), window: Some(session), ..GroupSpec::default() }),
    ];
    let fields = [
        ("Item.at", "timestamp(id)"),
        ("Order.total", "sum(items[*].price)"),
        ("Order.most", "max(items[*].price)"),
        ("Item.share", "price / parent.total"),
        ("Price.n", "count(items[*].id)"),
        ("Visit.n", "count(items[*].id)"),
    ];
    let mut engine = Engine::new(planned(tables, &fields), Options::default());
    let (orders, layout) = (schema("Order", &["id"], &[0]), schema("Item", &["id", "order", "price"], &[0]));
    let rows = |round: i64, op: Op| -> Vec<Change> {
        let image = |values: Vec<i64>| {
            let values = values.into_iter().map(|value| Some(Value::Int(value))).collect();
            if op == Op::Delete { (Some(values), None) } else { (None, Some(values)) }
        };
        let numbers = round * 1_000..(round + 1) * 1_000;
        let items = numbers.clone().map(|id| (&layout, image(vec![id * 5, id / 4, id % 700 + round])));
        let orders = numbers.filter(|id| id % 4 == 0).map(|id| (&orders, image(vec![id / 4])));
        items.chain(orders).map(|(schema, (before, after))| change(schema, op, before, after)).collect()
    };
    let mut held = |rounds: std::ops::Range<i64>| {
        for round in rounds {
            engine.push(tx(rows(round, Op::Insert)));
            if round > 0 {
                engine.push(tx(rows(round - 1, Op::Delete)));
            }
            engine.step();
        }
        engine.stats().iter().map(|node| node.state_bytes).sum::<u64>()
    };
    let early = held(0..10);
    let late = held(10..100);
    assert!(early > 100_000 && late < early + early / 4, "{early} bytes after 10 rounds, {late} after 100");
}
