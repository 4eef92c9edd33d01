//! Discovered schemas: what they add, and which of them become tables.

use expect_test::expect;
use serde_json::json;

use crate::support::{plan_text, schema};

#[test]
fn a_discovered_schema_closes_the_table_that_describes_it() {
    let known = [schema("shop.orders", &[("id", "int"), ("total", "decimal(10,2)"), ("note", "text")], &[0])];
    let text = plan_text(
        json!({
            "tables": [{ "name": "Order", "from": "shop.orders", "columns": { "note": "dyn" } }],
            "fields": { "Order.half": "total / 2", "Order.bad": "totl" },
        }),
        &known,
    );
    expect![[r#"
        error field[1].formula: E0203: unknown field `totl`
          at `totl`: table `Order` has no field `totl`
          help: did you mean `total`?
          note: fields: id, total, note, half, bad, Order
    "#]]
    .assert_eq(&text);
}

#[test]
fn a_discovered_table_that_nothing_names_is_left_out() {
    let known = [schema("shop.orders", &[("id", "int"), ("x", "int")], &[0]), schema("shop.users", &[("id", "int")], &[0])];
    expect![[r#"
        orders from shop.orders, key id
          region 0, level 0
            0  x: int  column
            1  orders.y: int  = x + 1
               incremental: a function of its own row
    "#]]
    .assert_eq(&plan_text(json!({ "fields": { "orders.y": "x + 1" } }), &known));
}

#[test]
fn a_name_that_two_databases_use_must_be_written_in_full() {
    let known = [schema("a.orders", &[("id", "int"), ("x", "int")], &[0]), schema("b.orders", &[("id", "int")], &[0])];
    let both = json!({ "fields": { "a.orders.y": "x + 1", "orders.z": "x" } });
    expect![[r#"
        error field[1].name: E0238: the table name `orders` in a field's name is ambiguous
          help: write `a.orders` or `b.orders`
    "#]]
    .assert_eq(&plan_text(both, &known));
    expect![[r#"
        a.orders, key id
          region 0, level 0
            0  x: int  column
            1  a.orders.y: int  = x + 1
               incremental: a function of its own row
    "#]]
    .assert_eq(&plan_text(json!({ "fields": { "a.orders.y": "x + 1" } }), &known));
}

#[test]
fn reactions_on_a_discovered_table_know_its_columns() {
    let known = [schema("my_app.issues", &[("id", "int"), ("status", "text")], &[0])];
    let definition = json!({
        "classify": [{ "database": "my_app", "table": "issues", "update": "issue.updated" }],
        "reactions": [{ "event": "issue.updated", "condition": "old.staus != new.status" }],
    });
    expect![[r#"
        error reaction[0].condition: E0203: unknown field `staus`
          at `staus`: table `my_app.issues` has no column `staus`
          help: did you mean `status`?
          note: columns: id, status
    "#]]
    .assert_eq(&plan_text(definition, &known));
}
