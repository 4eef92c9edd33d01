//! Definitions that are refused, or warned of: place, message and cure as whole text.

use expect_test::{Expect, expect};
use serde_json::{Value, json};

use crate::support::{definition, findings_text};

/// The findings of a definition.
fn check(json: Value, expected: Expect) {
    let spec = definition(json);
    let findings = match thalweg_graph::planning::plan(&spec, &[]) {
        Ok((_, warnings)) => warnings,
        Err(findings) => findings,
    };
    expected.assert_eq(&findings_text(&spec, &findings));
}

#[test]
fn an_unknown_table_in_a_relation_names_its_near_miss() {
    check(
        json!({ "tables": [
            { "name": "Order", "key": ["id"], "relations": { "items": { "table": "Itm", "key": "order_id" } } },
            { "name": "Item", "key": ["id"] },
        ] }),
        expect![[r#"
            error table[0].relations.items.table: E0230: unknown table `Itm` in relation `items` of `Order`
              help: did you mean `Item`?
              note: tables: Item, Order
        "#]],
    );
}

#[test]
fn an_unknown_column_in_a_closed_table_names_its_near_miss() {
    check(
        json!({ "tables": [
            { "name": "Order", "key": ["id"], "relations": { "items": { "table": "Item", "key": "ordr_id" } } },
            { "name": "Item", "key": ["idd"], "closed": true, "columns": { "id": "int", "order_id": "int" } },
        ] }),
        expect![[r#"
            error table[0].relations.items.key.0: E0231: table `Item` has no column `ordr_id`, which relation `items` of `Order` names
              help: did you mean `order_id`?
              note: columns: id, order_id
            error table[1].key.0: E0231: table `Item` has no column `idd`, which the key of `Item` names
              help: did you mean `id`?
              note: columns: id, order_id
        "#]],
    );
}

#[test]
fn a_relation_has_as_many_columns_as_the_key() {
    check(
        json!({ "tables": [
            { "name": "Order", "key": ["shop", "id"], "relations": { "items": { "table": "Item", "key": "order_id" } } },
            { "name": "Item", "key": ["id"], "relations": { "order": { "to": "Order", "key": ["a", "b", "c"] } } },
        ] }),
        expect![[r#"
            error table[0].relations.items.key: E0232: relation `items` of `Order` names 1 column of `Item`, but the key of `Order` has 2 columns
              help: name one column for each of: shop, id
            error table[1].relations.order.key: E0232: relation `order` of `Item` names 3 columns of `Item`, but the key of `Order` has 2 columns
              help: name one column for each of: shop, id
        "#]],
    );
}

#[test]
fn a_relation_needs_a_key_on_the_side_that_is_referred_to() {
    check(
        json!({ "tables": [
            { "name": "Log", "key": [] },
            { "name": "Item", "key": ["id"], "relations": { "log": { "to": "Log", "key": "log_id" } } },
        ] }),
        expect![[r#"
            error table[1].relations.log: E0236: relation `log` of `Item` needs a key on `Log`, which has none
              help: declare it: key = ["id"] in [[table]] "Log"
        "#]],
    );
}

#[test]
fn a_json_relation_needs_an_array() {
    check(
        json!({ "tables": [
            { "name": "Order", "key": ["id"], "columns": { "n": "int" }, "relations": { "lines": { "json": "n" } } },
        ] }),
        expect![[r#"
            error table[0].relations.lines.json: E0234: relation `lines` of `Order` needs an array, but column `n` is int
              help: name a JSON column, or declare its type: list(dyn)
        "#]],
    );
}

#[test]
fn a_broken_relation_is_refused_once() {
    check(
        json!({ "tables": [
            { "name": "Order", "key": ["id"], "relations": { "items": { "table": "Nothing", "key": "order_id" } } },
        ], "fields": { "Order.total": "sum(items[*].price)", "Order.n": "count(items[*])" } }),
        expect![[r#"
            error table[0].relations.items.table: E0230: unknown table `Nothing` in relation `items` of `Order`
              help: declare it: [[table]] name = "Nothing"
              note: tables: Order
        "#]],
    );
}

#[test]
fn a_relation_and_a_column_need_different_names() {
    check(
        json!({ "tables": [
            { "name": "Order", "key": ["id"], "columns": { "customer": "int" },
              "relations": { "customer": { "to": "Order", "key": "customer" } } },
        ] }),
        expect![[r#"
            error table[0].relations.customer: E0233: `Order` has both a column and a relation called `customer`
              help: give the relation another name
        "#]],
    );
}

#[test]
fn a_field_and_a_column_need_different_names() {
    check(
        json!({ "tables": [{ "name": "Order", "key": ["id"], "columns": { "total": "int" } }],
            "fields": { "Order.total": "1", "Order.id": "2" } }),
        expect![[r#"
            error field[0].name: E0233: `Order.total` is both a field and a column
              help: give one of them another name
            error field[1].name: E0233: `Order.id` is both a field and a column
              help: give one of them another name
        "#]],
    );
}

#[test]
fn a_table_is_declared_once() {
    check(
        json!({ "tables": [{ "name": "Order" }, { "name": "Order" }, { "name": "Sale", "from": "Order" }, {}] }),
        expect![[r#"
            error table[1].name: E0233: table `Order` is declared twice
              help: give one of them another name
            error table[2].from: E0233: tables `Order` and `Sale` are both made from `Order`
              help: use one document type for a table
            error table[3].name: E0237: a table needs a name
              help: write name = "Order", or from = "database.table"
        "#]],
    );
}

#[test]
fn a_column_stands_in_a_key_and_in_a_relation_once() {
    check(
        json!({ "tables": [{ "name": "Order", "key": ["id", "id"] }, { "name": "Shop", "key": [""] },
            { "name": "Pair", "key": ["a", "b"], "relations": { "items": { "table": "Item", "key": ["x", "x"] } } },
            { "name": "Item", "key": ["id"] }],
            "fields": { "Pair.n": "count(items[*])" } }),
        expect![[r#"
            error table[0].key.1: E0233: column `id` stands twice in the key of `Order`
              help: name each key column once
            error table[1].key.0: E0237: the key of `Shop` names a column without a name
              help: write key = ["id"]; a table without a key has key = []
            error table[2].relations.items.key.1: E0233: column `x` stands twice in relation `items` of `Pair`
              help: name one column for each column of the key
        "#]],
    );
}

#[test]
fn a_column_has_a_type_that_exists() {
    check(
        json!({ "tables": [{ "name": "Order", "columns": { "total": "decmal(10,2)" } }] }),
        expect![[r#"
            error table[0].columns.total: E0229: unknown type `decmal(10,2)`
              help: did you mean `decimal`?
        "#]],
    );
}

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

#[test]
fn an_effect_has_a_name_of_its_own() {
    check(
        json!({ "fields": { "Total": "1" }, "effects": [
            { "when": "Total > 1" }, { "name": "e", "when": "Total > 1" }, { "name": "e", "when": "Total > 2" },
            { "name": "Total", "when": "Total > 2" } ],
            "reactions": [{ "name": "e", "event": "x" }] }),
        expect![[r#"
            error effect[0].name: E0237: an effect needs a name
              help: write name = "…"; it is part of every effect id
            error effect[2].name: E0233: effect `e` has the name of an effect
              help: give one of them another name
            error effect[3].name: E0233: effect `Total` has the name of a field
              help: give one of them another name
            warning reaction[0].event: E0248: nothing raises the event `x`
              help: name it in [[classify]], in [[schedule]], or in the timer of a reaction
            error reaction[0].name: E0233: reaction `e` has the name of an effect
              help: give one of them another name
        "#]],
    );
}

#[test]
fn an_effect_stands_on_documents() {
    check(
        json!({ "tables": [{ "name": "Order" }, { "name": "Item" }], "effects": [
            { "name": "a", "when": "total > 1" }, { "name": "b", "when": "Order.x > Item.y" }, { "name": "c", "on": "Ordr", "when": "true" } ] }),
        expect![[r#"
            error effect[0].when: E0239: effect `a` does not say on which documents it stands
              help: write on = "…", or start a path with the type's name
            error effect[1].when: E0239: effect `b` does not say on which documents it stands
              help: write on = "…", or start a path with the type's name
            error effect[2].on: E0230: unknown table `Ordr` in effect `c`
              help: did you mean `Order`?
              note: tables: Item, Order
        "#]],
    );
}

#[test]
fn a_condition_is_a_truth_value() {
    check(
        json!({ "tables": [{ "name": "Order", "columns": { "n": "int" } }],
            "effects": [{ "name": "a", "on": "Order", "when": "n + 1" }],
            "classify": [{ "table": "Order", "insert": "x" }], "reactions": [{ "event": "x", "condition": "n" }] }),
        expect![[r#"
            error effect[0].when: E0240: the condition of effect `a` is int, not bool
              at `n + 1`
              help: compare it with something
            error reaction[0].condition: E0240: the condition of a reaction is int, not bool
              at `n`
              help: compare it with something
        "#]],
    );
}

#[test]
fn a_payload_names_what_the_document_has() {
    check(
        json!({ "tables": [{ "name": "Order", "closed": true, "columns": { "total": "int", "id": "int" } }],
            "effects": [{ "name": "a", "on": "Order", "when": "total > 1", "payload": ["totl", "total + 1", "id"] }] }),
        expect![[r#"
            error effect[0].payload[0]: E0241: the payload of effect `a` names `totl`, which `Order` does not have
              help: did you mean `total`?
              note: names: id, total
            error effect[0].payload[1]: E0241: the payload of effect `a` names `total + 1`, which is a formula
              help: make it a field, and name the field
        "#]],
    );
}

#[test]
fn options_that_do_not_exist_are_refused() {
    check(
        json!({ "effects": [
            { "name": "a", "on": "Order", "when": "x > 1", "kind": "stack", "mode": "shout", "rearm": "levels" },
            { "name": "b", "on": "Order", "when": "x > 1", "ack": { "timeout": "30s" },
              "actions": [{ "type": "log", "ack": true }] },
            { "name": "c", "on": "Order", "when": "x > 1", "mode": "ack", "ack": { "timeout": "soon" } },
            { "name": "d", "on": "Order", "when": "x > 1", "mode": "count", "ack": { "retries": 2 } },
            { "name": "e", "on": "Order", "when": "x > 1", "rearm": "level" },
            { "name": "f", "on": "Order", "when": "x > 1", "rearm": "level", "every": "1ms" },
            { "name": "g", "on": "Order", "when": "x > 1", "every": "1h" } ] }),
        expect![[r#"
            error effect[0].kind: E0242: effect `a` asks for kind `stack`, which does not exist
              help: write kind = "queue" or kind = "boolean" or kind = "counter", or leave it out
            error effect[0].mode: E0242: effect `a` asks for mode `shout`, which does not exist
              help: write mode = "fire" or mode = "ack" or mode = "count", or leave it out
            error effect[0].rearm: E0242: effect `a` asks for rearm `levels`, which does not exist
              help: write rearm = "edge" or rearm = "once" or rearm = "level", or leave it out
            error effect[1].ack: E0242: effect `b` has `ack`, and in its mode no acknowledgement is waited for
              help: write mode = "ack" or mode = "count", or leave `ack` out
            error effect[2].ack: E0244: `soon` is not a time to wait for an acknowledgement
              help: write for example "30s", "10m", "24h" or "PT24H"
            error effect[3].ack: E0242: effect `d` repeats what is not acknowledged, and does not say after what time
              help: add timeout = "30s"
            error effect[4].rearm: E0242: effect `e` fires again while its condition holds, and does not say how often
              help: add every = "24h"
            error effect[5].every: E0244: `1ms` is not a time after which an effect fires again
              help: write for example "10m", "24h" or "PT24H"; 100 ms is the least
            error effect[6].every: E0242: effect `g` says every when it fires again, and does not ask for it
              help: add rearm = "level"
            error effect[1].actions[0].ack: E0242: an action asks for `ack`, which belongs to the effect
              help: write it beside mode = "ack" in [[effect]]
        "#]],
    );
}

#[test]
fn an_action_has_a_type_that_exists() {
    check(
        json!({ "effects": [{ "name": "a", "on": "Order", "when": "x > 1",
            "actions": [{ "type": "webhok" }, { "type": "" }] }] }),
        expect![[r#"
            error effect[0].actions[0].type: E0243: unknown action type `webhok`
              help: did you mean `webhook`?
              note: types: webhook, dolt-insert, sql-insert, sql-upsert, sql-delete, sql-sync, shell, handler, log
            error effect[0].actions[1].type: E0243: an action needs a type
              note: types: webhook, dolt-insert, sql-insert, sql-upsert, sql-delete, sql-sync, shell, handler, log
        "#]],
    );
}

#[test]
fn a_delay_can_be_read_and_a_timer_names_its_event() {
    check(
        json!({ "classify": [{ "table": "t", "insert": "x" }],
            "reactions": [{ "event": "x", "timer": { "delay": "soon", "event": "" } }] }),
        expect![[r#"
            error reaction[0].timer.delay: E0244: `soon` is not a delay
              help: write for example "24h", "1d 2h", "90s" or "PT24H"
            error reaction[0].timer.event: E0237: a timer needs the name of the event that it raises
              help: write event = "…"
        "#]],
    );
}

#[test]
fn a_timer_knows_when_it_comes_and_what_cancels_it() {
    let on = json!([{ "name": "t", "key": ["id"], "columns": { "id": "int", "due": "timestamp", "n": "int" } }]);
    check(
        json!({ "tables": on, "classify": [{ "table": "t", "insert": "x", "delete": "gone" }, { "table": "u", "insert": "other" }],
            "reactions": [
                { "event": "x", "name": "none", "timer": { "event": "late" } },
                { "event": "x", "name": "both", "timer": { "delay": "1h", "at": "due", "event": "late" } },
                { "event": "x", "name": "type", "timer": { "at": "n + 1", "event": "late" } },
                { "event": "x", "name": "text", "timer": { "at": "due -", "event": "late" } },
                { "event": "x", "name": "when", "timer": { "delay": "1h", "event": "late", "cancel_when": "n" } },
                { "event": "x", "name": "on", "timer": { "delay": "1h", "event": "late", "cancel_on": ["gone", "gine", "other"] } },
            ] }),
        expect![[r#"
            error classify[1].table: E0230: unknown table `u` in [[classify]]
              help: declare it: [[table]] name = "u"
              note: tables: t
            error reaction[0].timer: E0244: a timer needs to know when it comes
              help: write delay = "24h", or at = "due_at" with a formula that gives a timestamp
            error reaction[1].timer.at: E0244: a timer has a `delay` or a time `at` which it comes, not both
              help: leave one of them out
            error reaction[2].timer.at: E0244: the time of a timer is int, not a timestamp
              at `n + 1`
              help: write a column or formula that gives one, such as timestamp(due) or tx.at + duration('1h')
            error reaction[3].timer.at: E0102: the formula ends where a value is expected
              at `-`: nothing follows `-`
              help: write the value, or remove this
            error reaction[4].timer.cancel_when: E0240: the condition of a reaction is int, not bool
              at `n`
              help: compare it with something
            warning reaction[5].timer.cancel_on[1]: E0248: nothing raises the event `gine` for a row that this timer waits for
              help: did you mean `gone`?
              note: events: gone, late, x
            warning reaction[5].timer.cancel_on[2]: E0248: nothing raises the event `other` for a row that this timer waits for
              note: events: gone, late, x
        "#]],
    );
}

#[test]
fn a_schedule_has_a_time_a_name_and_an_event() {
    check(
        json!({ "tables": [{ "name": "t", "key": ["id"] }], "schedules": [
            { "name": "a", "cron": "0 3 * *", "event": "x" },
            { "name": "b", "cron": "0 0 31 2 *", "event": "x" },
            { "name": "c", "cron": "@daily", "zone": "Europe/Berln", "event": "x" },
            { "cron": "@daily" },
            { "name": "d", "cron": "@daily", "event": "y", "misfire": "never" },
            { "name": "d", "cron": "@daily", "event": "x" },
            { "name": "t", "cron": "@daily", "event": "x" },
            { "name": "e", "cron": "@daily", "event": "x", "on": "tt" },
        ], "reactions": [{ "event": "x" }] }),
        expect![[r#"
            warning reaction[0].event: E0248: nothing raises the event `x`
              help: name it in [[classify]], in [[schedule]], or in the timer of a reaction
            error schedule[0].cron: E0259: `0 3 * *` is not a schedule: Invalid pattern: Pattern must have 5 or 6 fields when years are disallowed
              help: write minute, hour, day, month and weekday: "30 3 * * MON-FRI"; "*/15 * * * *" is every quarter of an hour
            error schedule[1].cron: E0259: `0 0 31 2 *` is not a schedule: no time ever matches it
              help: write minute, hour, day, month and weekday: "30 3 * * MON-FRI"; "*/15 * * * *" is every quarter of an hour
            error schedule[2].zone: E0259: no time zone is called `Europe/Berln`
              help: write a name of the IANA database, such as "Europe/Berlin" or "UTC"
            error schedule[3].event: E0237: a schedule needs the name of the event that it raises
              help: write event = "…"
            error schedule[3].name: E0237: a schedule needs a name
              help: write name = "…"
            warning schedule[4].event: E0248: nothing reacts to the event `y` that this schedule raises
              help: write [[reactions]] event = "y"
            error schedule[4].misfire: E0242: `never` is no way to treat times that have passed
              help: write "once", "all" or "skip"
            error schedule[5].name: E0233: schedule `d` is declared twice
              help: give one of them another name
            error schedule[6].name: E0233: schedule `t` has the name of a table
              help: give it another name, or write on = "t" to raise its event for each row
            error schedule[7].on: E0230: unknown table `tt` in schedule `e`
              help: did you mean `t`?
              note: tables: a, b, c, d, t
        "#]],
    );
}

#[test]
fn an_event_that_nothing_raises_is_warned_of() {
    check(
        json!({ "classify": [{ "table": "t", "insert": "issue.created" }],
            "reactions": [{ "event": "issue.craeted" }, { "event": "y" }, { "event": "" },
                { "event": "issue.created", "timer": { "delay": "1h", "event": "z" } } ] }),
        expect![[r#"
            warning reaction[0].event: E0248: nothing raises the event `issue.craeted`
              help: did you mean `issue.created`?
              note: events: issue.created, z
            warning reaction[1].event: E0248: nothing raises the event `y`
              help: name it in [[classify]], in [[schedule]], or in the timer of a reaction
              note: events: issue.created, z
            error reaction[2].event: E0237: a reaction needs the name of its event
              help: write event = "…"
            warning reaction[3].timer.event: E0248: nothing reacts to the event `z` that this timer raises
              help: did you mean `y`?
        "#]],
    );
}

#[test]
fn a_classification_names_events_of_a_table_that_exists() {
    check(
        json!({ "tables": [{ "name": "issues", "from": "app.issues" }], "classify": [
            { "database": "app", "table": "issues" }, { "database": "app", "table": "isues", "insert": "x" },
            { "table": "orders", "insert": "x" } ] }),
        expect![[r#"
            error classify[0].table: E0254: the classification of `issues` names no event
              help: write insert = "…", update = "…" or delete = "…"
            warning classify[1].table: E0255: table `app.isues` is named here only
              help: did you mean `app.issues`?
            error classify[2].table: E0230: unknown table `orders` in [[classify]]
              help: declare it: [[table]] name = "orders"
              note: tables: issues, isues
        "#]],
    );
}

#[test]
fn a_reaction_sees_one_change_of_one_row() {
    check(
        json!({ "fields": { "issues.score": "votes * 2" },
            "classify": [{ "table": "issues", "update": "x" }],
            "reactions": [{ "event": "x", "condition": "score > 3 && old.score < 3" }] }),
        expect![[r#"
            error reaction[0].condition: E0247: `score` is a derived field of `issues`: a reaction sees one change of one row
              at `score`: not part of a change
              help: use [[effect]] on = "issues" for a condition on it
        "#]],
    );
}

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
