//! One table, one field, one effect.

use std::sync::Arc;

use expect_test::expect;
use thalweg_engine::{Engine, Options};
use thalweg_formulas::ast::BinaryOp;
use thalweg_formulas::{Type, Value};
use thalweg_graph::plan::*;
use thalweg_graph::{Op, Outcome, Plan};

use crate::by_hand::*;

/// `Order.total = price * qty`, and an effect when it is above 100.
fn orders() -> Arc<Plan> {
    let ints = [("id", Type::Int), ("price", Type::Int), ("qty", Type::Int)];
    let total = binary(BinaryOp::Mul, input(1, Type::Int), input(2, Type::Int), Type::Int);
    let big = binary(BinaryOp::Gt, input(3, Type::Int), constant(100, Type::Int), Type::Bool);
    Arc::new(Plan {
        tables: vec![table("Order", &[0], &ints, 0)],
        fields: vec![field("Order.total", 0, 0, 3, Type::Int)],
        effects: vec![Effect {
            name: "big".into(),
            table: TableId(0),
            region: RegionId(0),
            when: SlotId(4),
            condition: "total > 100".into(),
            payload: vec![("id".into(), SlotId(0)), ("total".into(), SlotId(3))],
            rearm: Rearm::Edge,
            kind: EffectKind::Queue,
            mode: EffectMode::Fire,
            actions: vec![],
        }],
        regions: vec![Region {
            table: TableId(0),
            level: 0,
            slots: vec![
                slot("id", Type::Int, SlotSource::Column(ColumnId(0))),
                slot("price", Type::Int, SlotSource::Column(ColumnId(1))),
                slot("qty", Type::Int, SlotSource::Column(ColumnId(2))),
                slot("Order.total", Type::Int, SlotSource::Cell(0)),
                slot("total > 100", Type::Bool, SlotSource::Cell(1)),
            ],
            cells: vec![formula(3, total, Some(0)), formula(4, big, None)],
        }],
        ..Plan::default()
    })
}

fn show(outcome: &Outcome) -> String {
    let deltas = outcome.deltas.sorted().into_iter().map(|d| {
        format!("{} {} {:?}: {:?} -> {:?}{}\n", d.epoch, d.node, d.key, d.old, d.new, if d.gone { " gone" } else { "" })
    });
    let fired = outcome.fired.iter().map(|f| format!("{} {} {:?} v{} {:?}\n", f.epoch, f.node, f.key, f.version, f.payload));
    let errors = outcome
        .errors
        .iter()
        .map(|e| format!("{} {} {:?} {}{}\n", e.epoch, e.node, e.key, e.error, if e.cleared { " cleared" } else { "" }));
    deltas.chain(fired).chain(errors).collect()
}

#[test]
fn a_row_change_reaches_its_field_and_its_effect() {
    for workers in [1, 2, 4] {
        let mut engine = Engine::new(orders(), Options { workers, ..Options::default() });
        let order = schema("Order", &["id", "price", "qty"], &[0]);
        let int = Value::Int;
        engine.push(tx(vec![change(&order, Op::Insert, None, Some(row([int(1), int(30), int(2)])))]));
        engine.push(tx(vec![change(&order, Op::Update, None, Some(row([int(1), int(30), int(4)])))]));
        engine.push(tx(vec![change(&order, Op::Update, None, Some(row([int(1), int(60), int(2)])))]));
        engine.push(tx(vec![change(&order, Op::Insert, None, Some(row([int(1), int(1), int(1)])))]));
        engine.push(tx(vec![change(
            &order,
            Op::Update,
            Some(row([int(1), int(60), int(2)])),
            Some(row([int(2), int(1), int(1)])),
        )]));
        expect![[r#"
            1 Order.total [Int(1)]: Null -> Int(60)
            2 Order.total [Int(1)]: Int(60) -> Int(120)
            5 Order.total [Int(1)]: Int(120) -> Null gone
            5 Order.total [Int(2)]: Null -> Int(1)
            2 big [Int(1)] v1 Map({Text("id"): Int(1), Text("total"): Int(120)})
            4 Order [Int(1)] E0330: insert of a row that exists
        "#]]
        .assert_eq(&show(&engine.step()));
        assert_eq!(engine.read("Order.total", &[int(2)]), Some(Ok(int(1))));
        assert_eq!(engine.read("Order.price", &[int(1)]), None);
    }
}
