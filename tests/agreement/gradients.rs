//! The gradient that is kept, after any history, is the slope of the goal; and that of an engine which was given the same rows at once.

use proptest::prelude::*;
use serde_json::{Value as Json, json};
use thalweg::prelude::*;
use thalweg_graph::GraphSpec;

/// What is made greatest: sums, means, extremes and spreads over children, lookups, derived tables and the global document, branches.
const OBJECTIVES: [&str; 8] = [
    "sum(Product[*].profit)",
    "sum(Order[*].take) - 0.1 * sum(Product[*].square)",
    "coalesce(avg(Order[*].take), 0.0) + coalesce(max(Product[*].mean), 0.0)",
    "coalesce(var(Order[*].take), 0.0) - coalesce(min(Product[*].price), 0.0)",
    "sum(Band[*].log) + sum(Order[*].share)",
    "sum(Order[*].near)",
    "scale * sum(Product[*].profit) - scale * scale * count(Product[*])",
    "sum(Product[*].price) * sigmoid(sum(Order[*].take) / 100.0)",
];

fn shop(objective: &str) -> GraphSpec {
    let mut variables = json!({"Product.price": {"min": 1.0, "max": 30.0, "init": 9.0}});
    if objective.contains("scale") {
        variables["scale"] = json!({"init": 1.5});
    }
    let field = |(name, formula): (&str, &str)| json!({"name": name, "formula": formula});
    let fields = vec![
        ("Product.profit", "100.0 * exp(-a * price) * (price - cost)"),
        ("Product.square", "price * price"),
        ("Product.mean", "avg(orders[*].take)"),
        ("Order.take", "qty * to.price"),
        ("Order.near", "to.price > 12.0 ? ln(to.price) : 0.5 * to.price"),
        ("Order.share", "to.price / to.band_total"),
        ("Product.band_total", "sum(orders[*].take) + price"),
        ("Band.total", "sum(rows[*].profit)"),
        ("Band.log", "log1p(total * total) + coalesce(stddev(rows[*].price), 0.0)"),
    ];
    serde_json::from_value(json!({
        "tables": [
            {"name": "Product", "key": ["id"], "columns": {"id": "int", "cost": "double", "a": "double", "band": "int"},
             "relations": {"orders": {"table": "Order", "key": "product"}}},
            {"name": "Order", "key": ["id"], "columns": {"id": "int", "product": "int", "qty": "int"},
             "relations": {"to": {"to": "Product", "key": "product"}}},
            {"name": "Band", "group": {"of": "Product", "by": "band", "rows": "rows"}}
        ],
        "fields": fields.into_iter().map(field).collect::<Json>(),
        "goals": [{"name": "g", "maximize": objective, "variables": variables}]
    }))
    .unwrap()
}

/// One change of the shop.
#[derive(Clone, Debug)]
enum Edit {
    Product(i64, Option<i64>, i64, i64),
    Order(i64, Option<i64>, Option<i64>),
    NoProduct(i64),
    NoOrder(i64),
    Price(i64, f64),
}

fn arb_edit() -> impl Strategy<Value = Edit> {
    let maybe = |range: std::ops::Range<i64>| prop_oneof![5 => range.prop_map(Some), 1 => Just(None)];
    prop_oneof![
        4 => (1..6i64, maybe(0..9), 1..9i64, 0..3i64).prop_map(|(id, cost, a, band)| Edit::Product(id, cost, a, band)),
        4 => (1..9i64, maybe(1..7), maybe(0..5)).prop_map(|(id, product, qty)| Edit::Order(id, product, qty)),
        1 => (1..6i64).prop_map(Edit::NoProduct),
        1 => (1..9i64).prop_map(Edit::NoOrder),
        3 => (1..6i64, 1.5..29.0f64).prop_map(|(id, price)| Edit::Price(id, price)),
    ]
}

fn int(value: Option<i64>) -> Value {
    value.map_or(Value::Null, Value::Int)
}

impl Edit {
    /// What it adds to a transaction.
    fn add(&self, changes: Changes) -> Changes {
        match self {
            Edit::Product(id, cost, a, band) => {
                let cost = cost.map_or(Value::Null, |cost| Value::from(cost as f64));
                let row =
                    [("id", Value::Int(*id)), ("cost", cost), ("a", (*a as f64 * 0.02).into()), ("band", Value::Int(*band))];
                changes.upsert("Product", row)
            }
            Edit::Order(id, product, qty) => {
                let row = [("id", Value::Int(*id)), ("product", int(*product)), ("qty", int(*qty))];
                changes.upsert("Order", row)
            }
            Edit::NoProduct(id) => changes.delete("Product", [("id", *id)]),
            Edit::NoOrder(id) => changes.delete("Order", [("id", *id)]),
            Edit::Price(id, price) => priced(changes, *id, *price),
        }
    }

    /// What it is about: a later edit of the same takes its place.
    fn about(&self) -> (u8, i64) {
        match self {
            Edit::Product(id, ..) | Edit::NoProduct(id) => (0, *id),
            Edit::Order(id, ..) | Edit::NoOrder(id) => (1, *id),
            Edit::Price(id, _) => (2, *id),
        }
    }
}

fn priced(changes: Changes, id: i64, price: f64) -> Changes {
    changes.upsert("@Product.price", [("id", Value::Int(id)), ("value", price.into()), ("state", Value::list([]))])
}

fn start(objective: &str, workers: usize) -> LiveGraph {
    Graph::from(shop(objective)).start_with(Options { workers, ..Options::default() }).unwrap()
}

/// Price and slope of each product; the loss is the objective turned round.
fn slopes(live: &mut LiveGraph) -> Vec<(i64, f64, Option<f64>)> {
    let rows = live.engine().rows("Product", &["Product.price", "Product.price gradient"]);
    let number = |cell: &Option<Cell>| match cell {
        Some(Ok(Value::Double(x))) => Some(*x),
        Some(Ok(Value::Null)) => None,
        other => panic!("{other:?}"),
    };
    let key = |key: &[Value]| if let [Value::Int(id)] = key { *id } else { panic!("{key:?}") };
    rows.iter().map(|row| (key(&row.key), number(&row.cells[0]).unwrap(), number(&row.cells[1]).map(|slope| -slope))).collect()
}

fn objective(live: &mut LiveGraph) -> f64 {
    match live.get("goal g", [(); 0].map(|()| Value::Null)) {
        Some(Ok(Value::Double(x))) => x,
        Some(Ok(Value::Int(x))) => x as f64,
        other => panic!("{other:?}"),
    }
}

/// The slope of the objective by one price, from its values around it; none at a kink.
fn difference(live: &mut LiveGraph, id: i64, price: f64) -> Option<f64> {
    let mut at = |price: f64| {
        live.apply(priced(Changes::new("moved"), id, price));
        objective(live)
    };
    const H: f64 = 1e-4;
    let (here, above, below, far) = (at(price), at(price + H), at(price - H), at(price + 2.0 * H) - at(price - 2.0 * H));
    at(price);
    let (narrow, wide) = ((above - below) / (2.0 * H), far / (4.0 * H));
    let sides = ((above - here) / H - (here - below) / H).abs();
    let size = 1.0 + narrow.abs();
    ((wide - narrow).abs() <= 1e-4 * size && sides <= 0.05 + 1e-3 * size).then_some(narrow)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases.div_ceil(16), failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn a_gradient_that_is_kept_is_the_slope_of_the_goal(
        which in 0..OBJECTIVES.len(),
        workers in prop::sample::select(vec![1usize, 2, 4]),
        edits in prop::collection::vec(arb_edit(), 1..24),
    ) {
        let text = OBJECTIVES[which];
        let mut live = start(text, workers);
        for edit in &edits {
            live.apply(edit.add(Changes::new("edit")));
        }
        let before = slopes(&mut live);
        for (id, price, slope) in &before {
            let (Some(slope), Some(expected)) = (slope, difference(&mut live, *id, *price)) else { continue };
            prop_assert!((slope - expected).abs() <= 2e-3 * (1.0 + expected.abs()), "{text} by {id} at {price}: {slope}, not {expected}");
        }
        prop_assert_eq!(&slopes(&mut live), &before, "there and back leaves no trace");
        let mut last: Vec<&Edit> = Vec::new();
        for edit in &edits {
            last.retain(|other| other.about() != edit.about());
            last.push(edit);
        }
        let mut fresh = start(text, 1);
        let there = last.iter().filter(|edit| !matches!(edit, Edit::NoProduct(_) | Edit::NoOrder(_)));
        fresh.apply(there.fold(Changes::new("all"), |changes, edit| edit.add(changes)));
        for (kept, anew) in before.iter().zip(slopes(&mut fresh)) {
            prop_assert_eq!((kept.0, kept.1, kept.2.is_some()), (anew.0, anew.1, anew.2.is_some()));
            let (a, b) = (kept.2.unwrap_or(0.0), anew.2.unwrap_or(0.0));
            prop_assert!((a - b).abs() <= 1e-9 * (1.0 + b.abs()), "{text} by {}: {a} kept, {b} anew", kept.0);
        }
    }
}
