//! What a field was, as far back as it is kept.

use expect_test::expect;
use thalweg_formulas::Problem;

use super::*;

/// A cell as one who does not tell a document that is not there from a NULL.
fn plain(cell: Option<Cell>) -> Cell {
    cell.unwrap_or(Ok(Value::Null))
}

#[test]
fn as_of_is_what_was_read_then_or_says_that_it_is_not_known() {
    let fields = ["Order.total", "Order.share", "Order.label", "Turnover"];
    let (mut known, mut cut) = (0, 0);
    for seed in 0..20u64 {
        let mut graph = orders();
        graph.derived("Order.label", Derived::formula("'#' + string(total)").timing(TimingPolicy::lazy()));
        let mut live = graph.start().unwrap();
        let mut state = seed;
        let mut below = |n: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            ((state >> 33) % n) as i64
        };
        let mut seen = Vec::new();
        for step in 0..60 {
            if step == 10 {
                fields.iter().for_each(|field| live.keep_versions(field, 4 + seed as usize).unwrap());
            }
            let changes = Changes::new(&format!("{step}"));
            let changes = match below(6) {
                0 => changes.upsert("Order", [("id", below(3))]),
                1 => changes.delete("Order", [("id", below(3))]),
                2 => changes.delete("Item", [("id", below(5))]),
                _ => changes.upsert("Item", [("id", below(5)), ("order_id", below(3)), ("price", below(9))]),
            };
            live.push(changes);
            if below(3) > 0 {
                live.step();
                let cells = |live: &mut LiveGraph, field: &str| (0..3).map(|id| plain(live.get(field, [id]))).collect::<Vec<_>>();
                let cells = fields[..3].iter().map(|field| cells(&mut live, field)).collect::<Vec<_>>();
                seen.push((live.epoch(), cells, plain(live.get::<Value, 0>("Turnover", []))));
            }
        }
        for (epoch, cells, turnover) in seen {
            for (field, cells) in fields.iter().zip(cells) {
                for (id, cell) in (0i64..).zip(cells) {
                    match live.as_of(field, [id], epoch) {
                        Ok(then) => assert_eq!(plain(then), cell, "seed {seed}, {field} {id} at {epoch}"),
                        Err(problem) => assert_eq!(problem.code.0, 295),
                    }
                }
            }
            match live.as_of::<Value, 0>("Turnover", [], epoch) {
                Ok(then) => {
                    assert_eq!(plain(then), turnover, "seed {seed}, turnover at {epoch}");
                    known += 1;
                }
                Err(_) => cut += 1,
            }
        }
    }
    assert!(known > 200 && cut > 200, "{known} known and {cut} unknown values are too few to mean anything");
}

#[test]
fn what_is_not_kept_is_said() {
    let mut live = orders().start().unwrap();
    let text = |problem: Problem| problem.to_string();
    expect!["E0295: what `Order.total` was at epoch 0 is not known: its versions are not kept"]
        .assert_eq(&text(live.as_of("Order.total", [1], 0).unwrap_err()));
    expect!["E0290: there is no field `Order.totl`"].assert_eq(&text(live.keep_versions("Order.totl", 3).unwrap_err()));
    live.apply(order(1));
    live.keep_versions("Order.total", 1).unwrap();
    live.apply(item(1, 1, "2.50"));
    expect!["E0295: what `Order.total` was at epoch 0 is not known: its versions are kept from epoch 1 to 2"]
        .assert_eq(&text(live.as_of("Order.total", [1], 0).unwrap_err()));
    expect![
        "E0295: what `Order.total` was at epoch 1 is not known: the document has had more values since than the 1 that are kept"
    ]
    .assert_eq(&text(live.as_of("Order.total", [1], 1).unwrap_err()));
    assert_eq!(live.as_of("Order.total", [1], 2).unwrap(), live.get("Order.total", [1]));
    live.forget_versions("Order.total");
    assert!(live.versions("Order.total", [1]).is_empty());
}
