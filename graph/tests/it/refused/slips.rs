//! What is likely a slip, and everything at once.

use expect_test::expect;
use serde_json::json;

use super::check;

#[test]
fn an_action_that_writes_a_watched_table_is_warned_of() {
    check(
        json!({ "classify": [{ "database": "app", "table": "log", "insert": "x" }],
            "reactions": [{ "event": "x", "actions": [{ "type": "dolt-insert", "database": "app", "table": "log" }] }] }),
        expect![[r#"
            warning reaction[0].actions[0].table: E0249: this action writes to `log`, which the graph watches: it may cause itself
              help: make sure that a condition stops it, or write to another table
        "#]],
    );
}

#[test]
fn a_slip_in_a_key_or_a_relation_is_warned_of() {
    check(
        json!({ "tables": [
            { "name": "Order", "key": ["order_idd"], "columns": { "order_id": "int", "lines": "dyn" }, "relations": {
                "items": { "table": "Item", "key": "ordr_id" }, "parts": { "json": "linse" },
                "customer": { "to": "Customer", "key": "customer_id" } } },
            { "name": "Item", "key": ["id"], "columns": { "order_id": "int" },
                "relations": { "order": { "to": "Order", "key": "Order_id" } } },
            { "name": "Customer", "key": ["id"] } ] }),
        expect![[r#"
            warning table[0].key.0: E0253: `order_idd` is read as an undeclared column of `Order`
              help: did you mean `order_id`?
            warning table[0].relations.items.key.0: E0253: `ordr_id` is read as an undeclared column of `Item`
              help: did you mean `order_id`?
            warning table[0].relations.parts.json: E0253: `linse` is read as an undeclared column of `Order`
              help: did you mean `lines`?
            warning table[1].relations.order.key.0: E0253: `Order_id` is read as an undeclared column of `Item`
              help: did you mean `order_id`?
        "#]],
    );
}

#[test]
fn a_slip_in_an_open_table_is_warned_of() {
    check(
        json!({ "tables": [
                { "name": "Order", "key": ["id"], "columns": { "amount": "int", "x1": "int" },
                  "relations": { "customer": { "to": "Customer", "key": "customer_id" } } },
                { "name": "Customer", "key": ["id"], "columns": { "region": "text" } }],
            "fields": { "Order.a": "amuont + 1", "Order.b": "x2 + 1", "Order.total": "Amount * 2" },
            "effects": [{ "name": "e", "on": "Order", "when": "totla > 1",
                "payload": ["id", "totl", "other", "customer.regoin", "Order.tota"] }] }),
        expect![[r#"
            warning field[0].formula: E0253: `amuont` is read as an undeclared column of `Order`
              at `amuont`: not declared
              help: did you mean `amount`?
            warning field[2].formula: E0253: `Amount` is read as an undeclared column of `Order`
              at `Amount`: not declared
              help: did you mean `amount`?
            warning effect[0].payload[1]: E0253: `totl` is read as an undeclared column of `Order`
              help: did you mean `total`?
            warning effect[0].payload[3]: E0253: `regoin` is read as an undeclared column of `Customer`
              help: did you mean `region`?
            warning effect[0].payload[4]: E0253: `tota` is read as an undeclared column of `Order`
              help: did you mean `total`?
            warning effect[0].when: E0253: `totla` is read as an undeclared column of `Order`
              at `totla`: not declared
              help: did you mean `total`?
        "#]],
    );
}

#[test]
fn everything_is_found_at_once_in_the_order_of_the_definition() {
    check(
        json!({ "tables": [{ "name": "Order", "columns": { "n": "int", "m": "nope" } }],
            "fields": { "Order.a": "n +", "Order.b": "b", "Order.c": "n + 1" },
            "effects": [{ "name": "e", "on": "Order", "when": "c + 1", "kind": "x" }] }),
        expect![[r#"
            error table[0].columns.m: E0229: unknown type `nope`
              help: types are int, uint, double, decimal(10,2), text, bytes, bool, timestamp, duration, list(int), map(text, int), dyn
            error field[0].formula: E0102: the formula ends where a value is expected
              at `+`: nothing follows `+`
              help: write the value, or remove this
            error field[1].formula: E0235: fields form a cycle: Order.b -> Order.b
              help: read `self` for the field's own value at the previous epoch
            error effect[0].kind: E0242: effect `e` asks for kind `x`, which does not exist
              help: write kind = "queue" or kind = "boolean" or kind = "counter", or leave it out
            error effect[0].when: E0240: the condition of effect `e` is int, not bool
              at `c + 1`
              help: compare it with something
        "#]],
    );
}
