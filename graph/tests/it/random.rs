//! Random definitions: planning never panics, and a plan that is made keeps its invariants (which `plan` asserts by name:
//! INV-PLAN-LEVELS, INV-PLAN-CELLS, INV-PLAN-SLOTS) and is the same every time.

use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::{Value, json};
use thalweg_formulas::Code;
use thalweg_graph::drawing::{to_dot, to_json, to_mermaid, to_text};
use thalweg_graph::planning::plan;

use crate::support::definition;

/// Four tables, each the child of the one before, each looking two others up.
fn tables() -> Value {
    json!([
        { "name": "A", "key": ["id"], "columns": { "id": "int", "x": "int" },
          "relations": { "bs": { "table": "B", "key": "a_id" }, "d": { "to": "D", "key": ["x", "d_id"] } } },
        { "name": "B", "key": ["id"], "columns": { "id": "int", "x": "int" },
          "relations": { "cs": { "table": "C", "key": "b_id" }, "a": { "to": "A", "key": "a_id" } } },
        { "name": "C", "key": ["id"], "columns": { "id": "int", "x": "int" },
          "relations": { "kids": { "table": "C", "key": "c_id" }, "c": { "to": "C", "key": "c_id" }, "b": { "to": "B", "key": "b_id" } } },
        { "name": "D", "key": ["k", "l"], "columns": { "x": "int" },
          "relations": { "as": { "table": "A", "key": ["x", "id"] }, "c": { "to": "C", "key": "x" } } },
    ])
}

const TYPES: [&str; 4] = ["A", "B", "C", "D"];

/// A path of relations, right or wrong, from anywhere.
fn path() -> impl Strategy<Value = String> {
    let step = prop::sample::select(vec!["bs[*]", "cs[*]", "kids[*]", "as[*]", "a", "b", "c", "d"]);
    let end = prop::sample::select(vec!["x", "id", "f0", "f1", "f2", "f3", "new_one"]);
    (prop::collection::vec(step, 0..3), end).prop_map(|(steps, end)| {
        let mut path: Vec<&str> = steps;
        path.push(end);
        path.join(".")
    })
}

fn formula() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        4 => path(),
        2 => path().prop_map(|path| format!("sum({path})")),
        1 => path().prop_map(|path| format!("max({path})")),
        1 => Just("G0".to_owned()),
        1 => Just("self".to_owned()),
        1 => Just("sum(B[*].f0)".to_owned()),
        1 => (0..4i64).prop_map(|n| n.to_string()),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a} + {b})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a} * {b})")),
            (inner.clone(), inner.clone(), inner.clone()).prop_map(|(a, b, c)| format!("({a} > {b} ? {b} : {c})")),
            inner.clone().prop_map(|a| format!("sum({a})")),
        ]
    })
}

/// A definition with fields `f0`…, global fields and effects.
fn any_definition() -> impl Strategy<Value = Value> {
    let field = (0..5usize, 0..4usize, formula());
    let effect = (prop::sample::select(TYPES.to_vec()), formula(), prop::option::of(prop::collection::vec(path(), 0..3)));
    (prop::collection::vec(field, 0..8), prop::collection::vec(effect, 0..3), any::<bool>()).prop_map(|(fields, effects, declared)| {
        let name = |table: usize, number: usize| match TYPES.get(table) {
            Some(table) => format!("{table}.f{number}"),
            None => format!("G{number}"),
        };
        let fields: Vec<Value> = fields
            .into_iter()
            .map(|(table, number, formula)| json!({ "name": name(table, number), "formula": formula }))
            .collect();
        let effects: Vec<Value> = effects
            .into_iter()
            .enumerate()
            .map(|(ix, (on, when, payload))| json!({ "name": format!("e{ix}"), "on": on, "when": format!("{when} > 3"), "payload": payload }))
            .collect();
        let tables = if declared { tables() } else { json!([]) };
        json!({ "tables": tables, "fields": fields, "effects": effects })
    })
}

/// Columns and aggregates of one type, such that most definitions are accepted: each field reads fields with a lower number.
fn layered_definition() -> impl Strategy<Value = Value> {
    let reads = |table: &'static str, number: usize| -> Vec<String> {
        let below: Vec<String> = (0..number).map(|n| format!("f{n}")).chain(["x".into(), "id".into()]).collect();
        let children = match table {
            "A" => "bs[*]",
            "B" => "cs[*]",
            "C" => "kids[*]",
            _ => "as[*]",
        };
        let lookup = match table {
            "A" => "d",
            "B" => "a",
            "C" => "b",
            _ => "c",
        };
        let each = |name: &String| {
            [name.clone(), format!("sum({children}.{name})"), format!("min({children}.{name} + x)"), format!("{lookup}.{name}")]
        };
        below.iter().flat_map(each).collect()
    };
    let names: Vec<(&str, usize)> = (0..4).flat_map(|number| TYPES.map(|table| (table, number))).collect();
    let fields: Vec<_> = names
        .into_iter()
        .map(|(table, number)| {
            let part = || prop::sample::select(reads(table, number));
            (any::<bool>(), part(), part(), part()).prop_map(move |(there, a, b, c)| {
                there.then(|| json!({ "name": format!("{table}.f{number}"), "formula": format!("{a} + {b} * {c}") }))
            })
        })
        .collect();
    fields.prop_map(|fields| json!({ "tables": tables(), "fields": fields.into_iter().flatten().collect::<Vec<_>>() }))
}

fn drawn(plan: &thalweg_graph::Plan) -> [String; 4] {
    [to_text(plan, &[]), to_json(plan, &[]), to_dot(plan, &[]), to_mermaid(plan, &[])]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn planning_never_panics(json in any_definition()) {
        let spec = definition(json);
        if let (Ok((first, _)), Ok((again, _))) = (plan(&spec, &[]), plan(&spec, &[])) {
            prop_assert_eq!(drawn(&first), drawn(&again));
        }
    }

    #[test]
    fn layered_fields_over_all_relations_are_planned(json in layered_definition()) {
        let spec = definition(json);
        // An undeclared `f2` of another table is a column there, so nothing is refused.
        let (made, _) = plan(&spec, &[]).map_err(|findings| TestCaseError::fail(crate::support::findings_text(&spec, &findings)))?;
        prop_assert_eq!(made.fields.len(), spec.fields.len());
        prop_assert_eq!(drawn(&made), drawn(&plan(&spec, &[]).expect("planned once").0));
    }
}

/// Fields of an order and of its items; each reads some of all of them, over the relation where they are on the other side.
fn who_reads_whom() -> impl Strategy<Value = Vec<Vec<usize>>> {
    (2..9usize).prop_flat_map(|count| prop::collection::vec(prop::collection::vec(0..count, 0..3), count))
}

fn named(field: usize) -> String {
    format!("{}.f{field}", if field.is_multiple_of(2) { "Order" } else { "Item" })
}

fn read_from(reader: usize, read: usize) -> String {
    match (reader % 2, read % 2) {
        (0, 1) => format!("sum(items[*].f{read})"),
        (1, 0) => format!("order.f{read}"),
        _ => format!("f{read}"),
    }
}

/// Fields that are left when those that read none of what is left are taken away, again and again.
fn on_cycles_or_behind(reads: &[Vec<usize>]) -> BTreeSet<usize> {
    let mut left: BTreeSet<usize> = (0..reads.len()).collect();
    while let Some(free) = left.iter().copied().find(|field| reads[*field].iter().all(|read| !left.contains(read))) {
        left.remove(&free);
    }
    left
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// ENG-6: a definition is refused where it has a cycle and only there, and what is shown is one.
    #[test]
    fn eng_06_a_cycle_is_refused_however_it_goes(reads in who_reads_whom()) {
        let formula = |field: usize| reads[field].iter().map(|read| read_from(field, *read)).chain(["1".into()]).collect::<Vec<_>>().join(" + ");
        let fields: Vec<Value> = (0..reads.len()).map(|field| json!({ "name": named(field), "formula": formula(field) })).collect();
        let spec = definition(json!({ "tables": [
            { "name": "Order", "key": ["id"], "columns": { "id": "int" }, "relations": { "items": { "table": "Item", "key": "order_id" } } },
            { "name": "Item", "key": ["id"], "columns": { "id": "int", "order_id": "int" }, "relations": { "order": { "to": "Order", "key": "order_id" } } },
        ], "fields": fields }));
        let left = on_cycles_or_behind(&reads);
        let cycles: Vec<String> = match plan(&spec, &[]) {
            Ok(_) => Vec::new(),
            Err(findings) => findings.iter().filter(|finding| finding.problem.code == Code(235)).map(|finding| finding.problem.message.to_string()).collect(),
        };
        prop_assert_eq!(cycles.is_empty(), left.is_empty(), "{:?}", cycles);
        for cycle in &cycles {
            let shown = cycle.split_once(": ").expect("a cycle is shown").1.split(" -> ");
            let shown: Vec<usize> = shown.map(|name| name.split_once(".f").expect("a field").1.parse().expect("a number")).collect();
            prop_assert!(shown.len() > 1 && shown[0] == shown[shown.len() - 1], "{}", cycle);
            prop_assert!(shown.windows(2).all(|pair| reads[pair[0]].contains(&pair[1])), "{}", cycle);
        }
    }
}
