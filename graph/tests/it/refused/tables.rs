//! Tables, keys, relations and columns.

use expect_test::expect;
use serde_json::json;

use super::check;

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
