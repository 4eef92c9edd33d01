//! Fields, their formulas and types.

use expect_test::expect;
use serde_json::json;

use super::check;

#[test]
fn a_field_stands_on_a_table_that_exists() {
    check(
        json!({ "tables": [{ "name": "Order" }], "fields": { "Ordr.total": "1" } }),
        expect![[r#"
            error field[0].name: E0230: unknown table `Ordr` in the field `Ordr.total`
              help: did you mean `Order`?
              note: tables: Order
        "#]],
    );
}

#[test]
fn a_field_has_a_name() {
    check(
        json!({ "tables": [{ "name": "Order" }],
            "fields": { "": "1", "Order.": "1", ".x": "1", "Order.a.b": "1" } }),
        expect![[r#"
            error field[0].name: E0237: a field needs a name
              help: write `Type.name`, or a name without a dot for a global field
            error field[1].name: E0237: `Order.` is not the name of a field of `Order`
              help: write `Type.name`, or a name without a dot for a global field
            error field[2].name: E0237: `.x` is not the name of a field
              help: write `Type.name`, or a name without a dot for a global field
            error field[3].name: E0237: `Order.a.b` is not the name of a field of `Order`
              help: write `Type.name`, or a name without a dot for a global field
        "#]],
    );
}

#[test]
fn two_fields_need_different_names() {
    check(
        serde_json::from_str::<serde_json::Value>(
            r#"{"fields": [
            { "name": "Order.total", "formula": "1" }, { "name": "Order.total", "formula": "2" } ] }"#,
        )
        .unwrap(),
        expect![[r#"
            error field[1].name: E0233: field `Order.total` is defined twice
              help: give one of them another name
        "#]],
    );
}

#[test]
fn a_cycle_is_shown_whole() {
    check(
        json!({ "fields": { "Order.a": "b + 1", "Order.b": "c * 2", "Order.c": "a", "Order.d": "d", "Order.e": "a" } }),
        expect![[r#"
            error field[0].formula: E0235: fields form a cycle: Order.a -> Order.b -> Order.c -> Order.a
              help: break it at one field, or read `self` where a field's own previous value is meant
            error field[3].formula: E0235: fields form a cycle: Order.d -> Order.d
              help: read `self` for the field's own value at the previous epoch
        "#]],
    );
}

#[test]
fn a_cycle_through_edges_is_shown_whole() {
    check(
        json!({ "tables": [
            { "name": "Order", "key": ["id"], "relations": { "items": { "table": "Item", "key": "order_id" } } },
            { "name": "Item", "key": ["id"], "relations": { "order": { "to": "Order", "key": "order_id" } } },
        ], "fields": { "Order.total": "sum(items[*].cost)", "Item.cost": "price * order.total" } }),
        expect![[r#"
            error field[0].formula: E0235: fields form a cycle: Order.total -> Item.cost -> Order.total
              help: break it at one field, or read `self` where a field's own previous value is meant
        "#]],
    );
}

#[test]
fn names_of_reactions_are_not_known_to_fields() {
    check(
        json!({ "fields": { "Order.age": "now - created", "Order.change": "old.x != x", "Order.by": "tx.id" },
            "effects": [{ "name": "e", "on": "Order", "when": "event == 'x'" }, { "name": "f", "on": "Order", "when": "self > 1" }] }),
        expect![[r#"
            error field[0].formula: E0246: `now` is known to reactions only
              at `now`: not known here
              help: fields and [[effect]] conditions depend on rows only: read it in a [[reactions]] condition; if it is a column, declare it
            error field[1].formula: E0246: `old` is known to reactions only
              at `old`: not known here
              help: a field reads the row as it is; conditions on a change belong to [[reactions]]; if it is a column, declare it
            error field[2].formula: E0246: `tx` is known to reactions only
              at `tx`: not known here
              help: fields and [[effect]] conditions depend on rows only: read it in a [[reactions]] condition; if it is a column, declare it
            error effect[0].when: E0246: `event` is known to reactions only
              at `event`: not known here
              help: fields and [[effect]] conditions depend on rows only: read it in a [[reactions]] condition; if it is a column, declare it
            error effect[1].when: E0246: `self` is known to fields only
              at `self`: not known here
              help: make a field that reads `self`, and read that field
        "#]],
    );
}

#[test]
fn a_keyless_table_has_no_fields_and_no_effects() {
    check(
        json!({ "tables": [{ "name": "Log", "key": [] }], "fields": { "Log.x": "1" },
            "effects": [{ "name": "e", "on": "Log", "when": "true" }] }),
        expect![[r#"
            error field[0].name: E0236: field `Log.x` needs a key on `Log`, which has none
              help: declare it: key = ["id"] in [[table]] "Log"
            error effect[0].on: E0236: effect `e` needs a key on `Log`, which has none
              help: declare it: key = ["id"] in [[table]] "Log", or use [[reactions]]
        "#]],
    );
}

#[test]
fn only_immediate_timing_exists() {
    check(
        json!({ "fields": { "Order.x": { "formula": "1", "timing": "batched" } } }),
        expect![[r#"
            error field[0].timing: E0242: field `Order.x` asks for timing `batched`, which does not exist
              help: write timing = "immediate", or leave it out
        "#]],
    );
}

#[test]
fn init_fits_the_field_and_needs_self() {
    check(
        json!({ "fields": {
            "Order.a": { "formula": "x + 1", "init": 1 }, "Order.b": { "formula": "self + 1", "init": "one" } } }),
        expect![[r#"
            error field[0].init: E0252: field `Order.a` has an `init`, but its formula does not read `self`
              help: leave `init` out, or read `self`
            error field[1].init: E0245: `init` is not a value of type int: "one" is not an int of 64 bits
              help: write a value of the field's type
        "#]],
    );
}

#[test]
fn a_formula_is_text_that_can_be_read() {
    check(
        json!({ "fields": { "Order.a": "price *" } }),
        expect![[r#"
            error field[0].formula: E0102: the formula ends where a value is expected
              at `*`: nothing follows `*`
              help: write the value, or remove this
        "#]],
    );
}

#[test]
fn an_unknown_field_names_its_near_miss() {
    check(
        json!({ "tables": [{ "name": "Order", "key": ["id"], "closed": true, "columns": { "id": "int", "status": "text" } }],
            "fields": { "Order.open": "staus == 'open'" } }),
        expect![[r#"
            error field[0].formula: E0203: unknown field `staus`
              at `staus`: table `Order` has no field `staus`
              help: did you mean `status`?
              note: fields: id, status, open, Order
        "#]],
    );
}

#[test]
fn types_are_checked_along_the_graph() {
    check(
        json!({ "tables": [{ "name": "Order", "columns": { "name": "text", "n": "int" } }],
            "fields": { "Order.twice": "half * name", "Order.half": "n / 2" } }),
        expect![[r#"
            error field[0].formula: E0206: `*` cannot take int and text
              at `*`: int * text has no meaning
        "#]],
    );
}

#[test]
fn self_is_not_read_inside_an_aggregate() {
    check(
        json!({ "tables": [
            { "name": "Order", "key": ["id"], "relations": { "items": { "table": "Item", "key": "order_id" } } },
            { "name": "Item", "key": ["id"] },
        ], "fields": { "Order.t": "sum(items[*].price * self)" } }),
        expect![[r#"
            error field[0].formula: E0251: `self` cannot be read inside an aggregate
              at `sum(items[*].price * self)`
              help: make a field of the aggregate and combine it with `self`
        "#]],
    );
}

#[test]
fn an_aggregate_over_a_looked_up_documents_rows_cannot_read_this_row() {
    check(
        json!({ "tables": [
            { "name": "Customer", "key": ["id"], "relations": { "orders": { "table": "Order", "key": "customer_id" } } },
            { "name": "Order", "key": ["id"], "relations": { "customer": { "to": "Customer", "key": "customer_id" } } },
        ], "fields": { "Order.t": "sum(customer.orders[*].price * rate)" } }),
        expect![[r#"
            error field[0].formula: E0250: `rate` cannot be read at `customer`: no single row is meant
              at `sum(customer.orders[*].price * rate)`
              help: aggregate one relation at a time, or make a field of one part and read that
        "#]],
    );
}
