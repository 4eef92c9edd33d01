//! Question: how long does a running graph stand still when it gets a new field over a million rows?
//!
//! A field of each row's own columns, and the sum of them over each order's ten items; the rows stay where they are, so it should take what computing the field for
//! each row takes. Beside them the same with a field taken out whose edge goes: then all rows are brought back, as a restart does.
//! Expected: below 50 ms for what is new.
//!
//! `cargo bench -p thalweg-benches --bench new_view [-- --quick]`

use std::time::Instant;

use thalweg_benches::clock::median;
use thalweg_benches::graphs::{Doc, Transactions, engine, plan_of};
use thalweg_benches::{Effort, Table, Target, Unit};
use thalweg_engine::Engine;
use thalweg_formulas::Value;

/// Items of an order.
const CHILDREN: i64 = 10;

/// The fields before.
const BEFORE: [(&str, &str); 2] = [("Item.cost", "price * qty"), ("Order.total", "sum(items[*].price)")];

fn docs() -> [Doc; 2] {
    let order = Doc::new("Order", &[("id", "int")]).children("items", "Item", "order");
    [order, Doc::new("Item", &[("id", "int"), ("order", "int"), ("price", "int"), ("qty", "int")])]
}

/// Orders with their items.
fn world(rows: i64) -> Engine {
    let [order, item] = docs();
    let mut engine = engine(&[&order, &item], &BEFORE);
    engine.report_fills(false);
    let orders = (0..rows / CHILDREN).map(|id| order.insert([Value::Int(id)]));
    let items = (0..rows).map(|id| item.insert([id, id / CHILDREN, id % 97, id % 7].map(Value::Int)));
    engine.push(Transactions::default().fill(orders.chain(items).collect()));
    engine.step();
    engine
}

fn main() {
    let effort = Effort::from_args();
    let mut table = Table::new("how long does a running graph stand still when it gets a new field over a million rows?");
    let rows = effort.pick(1_000_000, 100_000) as i64;
    let [order, item] = docs();
    let id = rows - 3;
    let cost = |id: i64| id % 97 * (id % 7);
    let of_order: i64 = (id / CHILDREN * CHILDREN..).take(CHILDREN as usize).map(cost).sum();
    let cases: [(&str, Vec<(&str, &str)>, (&str, i64, i64), bool); 3] = [
        ("a field of its own row", vec![("Item.taxed", "cost * 119 + qty")], ("Item.taxed", id, cost(id) * 119 + id % 7), true),
        ("a sum over children", vec![("Order.costs", "sum(items[*].cost)")], ("Order.costs", id / CHILDREN, of_order), true),
        ("an edge goes, rows are brought back", vec![], ("Item.cost", id, cost(id)), false),
    ];
    for (case, more, (node, key, expected), moved) in cases {
        let kept = if moved { &BEFORE[..] } else { &BEFORE[..1] };
        let fields: Vec<_> = kept.iter().copied().chain(more).collect();
        let next = plan_of(&[&order, &item], &fields);
        let times = (0..effort.pick(7, 3)).map(|_| {
            let mut engine = world(rows);
            let since = Instant::now();
            let replaced = engine.replace(next.clone(), Vec::new()).expect("every column is read");
            let ms = since.elapsed().as_secs_f64() * 1e3;
            assert_eq!(replaced.moved, moved, "{case}");
            assert_eq!(engine.read(node, &[Value::Int(key)]), Some(Ok(Value::Int(expected))), "{case}");
            ms
        });
        let ms = median(times.collect());
        let target = if moved { Target::Reach(50.0) } else { Target::None };
        table.ours(case, ms, Unit::Ms, target);
    }
}
