//! Derived tables: their plans, and what is refused of them.

use expect_test::{Expect, expect};
use serde_json::{Value, json};
use thalweg_graph::drawing::{to_dot, to_json, to_mermaid};

use crate::support::{plan_text, planned, schema};

fn check(definition: Value, expected: Expect) {
    expected.assert_eq(&plan_text(definition, &[]));
}

/// Orders by region, which know their region; customers.
fn orders(group: Value) -> Value {
    json!([
        { "name": "Order", "key": ["id"], "columns": { "id": "int", "region": "text", "customer": "int", "status": "text", "amount": "decimal(10,2)" },
          "relations": { "area": { "to": "Region", "key": "region" }, "buyer": { "to": "Customer", "key": "customer" } } },
        { "name": "Customer", "key": ["id"], "columns": { "id": "int", "country": "text" }, "relations": { "orders": { "table": "Order", "key": "customer" } } },
        { "name": "Region", "group": group },
    ])
}

/// The same without the relation to regions.
fn without_area(mut tables: Value) -> Value {
    tables[0]["relations"].as_object_mut().expect("relations").remove("area");
    tables
}

#[test]
fn a_region_is_kept_from_its_orders_and_read_by_them() {
    check(
        json!({ "tables": orders(json!({ "of": "Order", "by": "region", "where": "status == 'paid'", "rows": "orders" })),
            "fields": { "Region.total": "sum(orders[*].amount)", "Order.share": "amount / area.total" },
            "effects": [{ "name": "big", "on": "Region", "when": "total > 100" }] }),
        expect![[r#"
            Order, key id
              region 0, level 0
                0  amount: decimal(10,2)  column
                1  region: text  column
                2  status: text  column
                3  status == 'paid' ? region : null: text  = status == 'paid' ? region : null
              region 3, level 3
                0  amount: decimal(10,2)  from region 0
                1  area.total: decimal(76,2)  <- Region `Region.total` by region, region 2, index at level 2
                2  Order.share: decimal(16,6)  = amount / area.total
                   incremental: a looked-up value follows its document, one step for each row that refers to it
            Customer, key id
              region 1, level 0
            Region, key region
              <- rows of Order by status == 'paid' ? region : null, region 0; a document lives as long as a row is in it
              region 2, level 1
                0  region: text  column
                1  sum(orders[*].amount): decimal(76,2)  <- sum of Order `amount` by status == 'paid' ? region : null, region 0
                2  Region.total: decimal(76,2)  = `sum(orders[*].amount)`
                   incremental: sum is an accumulator, one step for each changed row
                3  effect big: bool  = Region.total > 100
            effect big on Region when total > 100
              region 2, condition slot 3, sends region = slot 0, total = slot 2
        "#]],
    );
}

#[test]
fn a_group_needs_no_fields() {
    check(
        json!({ "tables": without_area(orders(json!({ "of": "Order", "by": ["region", "status"] }))) }),
        expect![[r#"
        Order, key id
          region 0, level 0
            0  region: text  column
            1  status: text  column
        Customer, key id
          region 1, level 0
        Region, key region, status
          <- rows of Order by region, status, region 0; a document lives as long as a row is in it
          region 2, level 1
            0  region: text  column
            1  status: text  column
    "#]],
    );
}

#[test]
fn a_key_may_be_a_formula_and_a_group_may_be_grouped_again() {
    let mut tables = without_area(orders(
        json!({ "of": "Order", "by": { "country": "buyer.country", "status": "status" }, "rows": "orders" }),
    ));
    let all = tables.as_array_mut().expect("tables");
    all.push(json!({ "name": "Size", "group": { "of": "Region", "by": { "n": "orders_n" }, "rows": "regions" } }));
    check(
        json!({ "tables": tables, "fields": {
            "Region.orders_n": "count(orders[*])", "Region.rate": "2", "Region.rated": "sum(orders[*].amount * rate)",
            "Size.amount": "sum(regions[*].orders[*].amount)", "all": "count(Size[*])" } }),
        expect![[r#"
            Order, key id
              region 0, level 0
                0  amount: decimal(10,2)  column
                1  customer: int  column
                2  status: text  column
                3  true: bool  = true
              region 2, level 2
                0  status: text  from region 0
                1  true: bool  from region 0
                2  amount: decimal(10,2)  from region 0
                3  buyer.country: text  <- Customer `country` by customer, region 1, index at level 1
              region 5, level 5
                0  buyer.country: text  from region 2
                1  status: text  from region 0
                2  amount: decimal(10,2)  from region 0
                3  Region.rate: int  <- Region `Region.rate` by buyer.country, status, region 3, index at level 4
                4  amount * Region.rate: decimal(29,2)  = amount * Region.rate
            Customer, key id
              region 1, level 0
                0  country: text  column
            Region, key country, status
              <- rows of Order by buyer.country, status, region 2; a document lives as long as a row is in it
              region 3, level 3
                0  country: text  column
                1  status: text  column
                2  count(orders[*]): int  <- count of Order `true` by buyer.country, status, region 2
                3  sum(orders[*].amount): decimal(76,2)  <- sum of Order `amount` by buyer.country, status, region 2
                4  Region.orders_n: int  = `count(orders[*])`
                   incremental: count is an accumulator, one step for each changed row
                5  Region.rate: int  = 2
                   incremental: a function of its own row
              region 7, level 6
                0  sum(orders[*].amount * rate): decimal(76,2)  <- sum of Order `amount * Region.rate` by buyer.country, status, region 5
                1  Region.rated: decimal(76,2)  = `sum(orders[*].amount * rate)`
                   incremental: sum is an accumulator, one step for each changed row
            Size, key n
              <- rows of Region by Region.orders_n, region 3; a document lives as long as a row is in it
              region 4, level 4
                0  n: int  column
                1  sum(regions[*].orders[*].amount): decimal(76,2)  <- sum of Region `sum(orders[*].amount)` by Region.orders_n, region 3
                2  Size.amount: decimal(76,2)  = `sum(regions[*].orders[*].amount)`
                   incremental: sum is an accumulator, one step for each changed row
                3  true: bool  = true
            global
              region 6, level 5
                0  count(Size[*]): int  <- count of Size `true`, region 4
                1  all: int  = `count(Size[*])`
                   incremental: count is an accumulator, one step for each changed row
        "#]],
    );
}

#[test]
fn every_drawing_shows_the_edge() {
    let plan = planned(json!({ "tables": orders(json!({ "of": "Order", "by": "region", "rows": "orders" })),
        "fields": { "Region.total": "sum(orders[*].amount)" } }));
    let text =
        [to_json(&plan, &[]), to_dot(&plan, &[]), to_mermaid(&plan, &[]), plan.explain("Region.region").unwrap_or_default()];
    expect![[r#"
        {
          "v": 1,
          "nodes": [
            {
              "id": "Order.amount",
              "kind": "state",
              "table": "Order",
              "type": "decimal(10,2)",
              "tier": 1,
              "region": 0,
              "carried_to": [],
              "maintenance": "input",
              "why": "it comes from outside",
              "reads": [],
              "state_bytes": 0,
              "rows": 0,
              "rows_touched": 0
            },
            {
              "id": "Order.region",
              "kind": "state",
              "table": "Order",
              "type": "text",
              "tier": 1,
              "region": 0,
              "carried_to": [],
              "maintenance": "input",
              "why": "it comes from outside",
              "reads": [],
              "state_bytes": 0,
              "rows": 0,
              "rows_touched": 0
            },
            {
              "id": "Region.region",
              "kind": "derived",
              "table": "Region",
              "type": "text",
              "tier": 2,
              "region": 2,
              "carried_to": [],
              "maintenance": "incremental",
              "why": "rows in a document are counted, one step for each that comes or goes",
              "reads": [
                "Order.region"
              ],
              "state_bytes": 0,
              "rows": 0,
              "rows_touched": 0
            },
            {
              "id": "Region: sum(orders[*].amount)",
              "kind": "hidden",
              "table": "Region",
              "type": "decimal(76,2)",
              "tier": 2,
              "region": 2,
              "carried_to": [],
              "maintenance": "incremental",
              "why": "sum is an accumulator, one step for each changed row",
              "reads": [
                "Order.amount",
                "Order.region"
              ],
              "state_bytes": 0,
              "rows": 0,
              "rows_touched": 0
            },
            {
              "id": "Region.total",
              "kind": "derived",
              "table": "Region",
              "type": "decimal(76,2)",
              "tier": 1,
              "region": 2,
              "carried_to": [],
              "maintenance": "incremental",
              "why": "sum is an accumulator, one step for each changed row",
              "reads": [
                "Region: sum(orders[*].amount)"
              ],
              "state_bytes": 0,
              "rows": 0,
              "rows_touched": 0
            }
          ],
          "regions": [
            {
              "region": 0,
              "table": "Order",
              "level": 0,
              "home": true,
              "slots": 2,
              "cells": 0
            },
            {
              "region": 1,
              "table": "Customer",
              "level": 0,
              "home": true,
              "slots": 0,
              "cells": 0
            },
            {
              "region": 2,
              "table": "Region",
              "level": 1,
              "home": true,
              "slots": 3,
              "cells": 1
            }
          ],
          "edges": [
            {
              "kind": "group",
              "aggregate": "sum",
              "from": 0,
              "to": 2,
              "shows": "Region: sum(orders[*].amount)"
            },
            {
              "kind": "members",
              "from": 0,
              "to": 2,
              "by": [
                "Order.region"
              ]
            }
          ],
          "indexes": []
        }

        digraph thalweg {
          rankdir=LR;
          node [fontname="sans-serif"];
          subgraph cluster_0 {
            label="Order, level 0";
            "Order.amount" [shape=box, label="Order.amount\ndecimal(10,2)"];
            "Order.region" [shape=box, label="Order.region\ntext"];
          }
          subgraph cluster_1 {
            label="Customer, level 0";
          }
          subgraph cluster_2 {
            label="Region, level 1";
            "Region.region" [shape=ellipse, label="Region.region\ntext"];
            "Region: sum(orders[*].amount)" [shape=plaintext, label="Region: sum(orders[*].amount)\ndecimal(76,2)"];
            "Region.total" [shape=ellipse, label="Region.total\ndecimal(76,2)"];
          }
          "Order.region" -> "Region.region";
          "Order.amount" -> "Region: sum(orders[*].amount)";
          "Order.region" -> "Region: sum(orders[*].amount)";
          "Region: sum(orders[*].amount)" -> "Region.total";
        }

        flowchart LR
          subgraph r0["Order, level 0"]
            n0["Order.amount<br/>decimal(10,2)"]
            n1["Order.region<br/>text"]
          end
          subgraph r1["Customer, level 0"]
          end
          subgraph r2["Region, level 1"]
            n2(["Region.region<br/>text"])
            n3("Region: sum(orders[*].amount)<br/>decimal(76,2)")
            n4(["Region.total<br/>decimal(76,2)"])
          end
          n1 --> n2
          n0 --> n3
          n1 --> n3
          n3 --> n4

        Region.region (derived): text
        definition: a key column of Region, whose documents are kept
        kept: incremental: rows in a document are counted, one step for each that comes or goes
        place: tier 2, region 2, level 1
        reads: Order.region
    "#]]
    .assert_eq(&text.join("\n"));
}

#[test]
fn what_makes_no_sense_is_refused_by_name() {
    let cases = [
        json!({ "of": "Order", "by": [] }),
        json!({ "of": "Ordr", "by": "region" }),
        json!({ "of": "Order", "by": ["region", "region", "buyer.country", ""] }),
        json!({ "of": "Order", "by": "regon", "where": "amount + 1" }),
        json!({ "of": "Order", "by": { "x": "amount +" }, "where": "status ==" }),
        json!({ "of": "Region", "by": "region" }),
        json!({ "of": "Order", "by": "region", "rows": "region" }),
    ];
    let text = cases.into_iter().map(|group| {
        let mut definition = json!({ "tables": without_area(orders(group.clone())) });
        definition["tables"][0]["closed"] = true.into();
        format!("=== {group}\n{}", plan_text(definition, &[]))
    });
    expect![[r#"
        === {"of":"Order","by":[]}
        error table[2].group.by: E0256: table `Region` does not say by what its rows are grouped
          help: write by = "column", or by = { name = "formula" }
        === {"of":"Ordr","by":"region"}
        error table[2].group.of: E0230: unknown table `Ordr` in the group of `Region`
          help: did you mean `Order`?
          note: tables: Customer, Order, Region
        === {"of":"Order","by":["region","region","buyer.country",""]}
        error table[2].group.by.1: E0233: column `region` stands twice in the key of `Region`
          help: name each key column once
        error table[2].group.by.2: E0256: `buyer.country` is a formula, so its key column in `Region` needs a name
          help: write by = { name = "buyer.country" }
        error table[2].group.by.3: E0237: the key of `Region` names a column without a name
        === {"of":"Order","by":"regon","where":"amount + 1"}
        error table[2].group.by: E0203: unknown field `regon`
          help: did you mean `region`?
          note: columns: amount, customer, id, region, status, buyer, Order
        error table[2].group.where: E0240: the `where` of `Region` is decimal(22,2), not bool
          help: compare it with something
        === {"of":"Order","by":{"x":"amount +"},"where":"status =="}
        error table[2].group.by.x: E0102: the formula ends where a value is expected
          help: write the value, or remove this
        error table[2].group.where: E0102: the formula ends where a value is expected
          help: write the value, or remove this
        === {"of":"Region","by":"region"}
        error table[2].group.of: E0256: table `Region` cannot be kept from rows of itself
          help: name the table whose rows are grouped
        === {"of":"Order","by":"region","rows":"region"}
        error table[2].group.rows: E0233: `Region` has a column called `region` beside the relation to its rows
          help: give one of them another name
    "#]]
    .assert_eq(&text.collect::<String>());
}

#[test]
fn a_derived_table_is_no_source_s() {
    let mut tables = orders(json!({ "of": "Order", "by": "region" }));
    let given = json!({ "from": "shop.regions", "key": ["id"], "columns": { "region": "text" } });
    for (key, value) in given.as_object().expect("members") {
        tables[2][key] = value.clone();
    }
    let definition = json!({ "tables": tables, "classify": [{ "table": "Region", "insert": "came" }],
        "schedules": [{ "name": "nightly", "cron": "@daily", "event": "look", "on": "Region" }] });
    let known = [
        schema("shop.Region", &[("id", "int")], &[0]),
        schema(
            "shop.Order",
            &[("id", "int"), ("region", "text"), ("customer", "int"), ("status", "text"), ("amount", "decimal(10,2)")],
            &[0],
        ),
    ];
    expect![[r#"
        error table[2].columns: E0256: table `Region` is kept from rows of `Order`, so it has no `columns` of its own
          help: leave it out: `by` says it
        error table[2].from: E0256: table `Region` is kept from rows of `Order`, so it has no `from` of its own
          help: leave it out
        error table[2].key: E0256: table `Region` is kept from rows of `Order`, so it has no `key` of its own
          help: leave it out: `by` says it
        error table[2].name: E0257: table `Region` is kept from rows of `Order`, but the source has a table `shop.Region`
          help: give the derived table another name
        error classify[0].table: E0257: [[classify]] names `Region`, whose rows no source changes
          help: use [[effect]] on = "Region" for a condition on it
        warning schedule[0].event: E0248: nothing reacts to the event `look` that this schedule raises
          help: write [[reactions]] event = "look"
        error schedule[0].on: E0257: schedule `nightly` names `Region`, whose rows no source changes
          help: name a table that a source has
    "#]]
    .assert_eq(&plan_text(definition, &known));
}

#[test]
fn a_cycle_through_a_derived_table_is_refused() {
    let group = json!({ "of": "Order", "by": { "region": "share > 1 ? region : 'rest'" }, "rows": "orders" });
    check(
        json!({ "tables": orders(group), "fields": { "Region.total": "sum(orders[*].amount)", "Order.share": "amount / area.total" } }),
        expect![[r#"
            error field[0].formula: E0235: fields form a cycle: Region.total -> the key of Region -> Order.share -> Region.total
              help: break it at one field, or read `self` where a field's own previous value is meant
        "#]],
    );
}

#[test]
fn a_row_may_be_in_several_documents() {
    let visits = json!([
        { "name": "Visit", "key": ["id"], "columns": { "id": "int", "at": "timestamp", "tags": "list(text)", "page": "text" } },
        { "name": "Tag", "group": { "of": "Visit", "by": { "tag": "tags[*]", "page": "page" }, "rows": "visits" } },
        { "name": "Minute", "group": { "of": "Visit", "by": "page", "window": { "on": "at", "size": "1m" }, "rows": "visits" } },
        { "name": "Sliding", "group": { "of": "Visit", "by": "page", "where": "id > 0",
            "window": { "on": "at", "size": "1m", "slide": "10s", "offset": "5s" }, "rows": "visits" } },
        { "name": "Stay", "group": { "of": "Visit", "by": "page", "where": "id > 0", "window": { "on": "at", "gap": "30m" }, "rows": "visits" } },
    ]);
    check(
        json!({ "tables": visits, "fields": { "Tag.n": "count(visits[*])", "Minute.n": "count(visits[*])",
            "Minute.first": "min(visits[*].at - window_start)", "Sliding.n": "count(visits[*])",
            "Stay.seconds": "max(visits[*].at) - window_start" } }),
        expect![[r#"
            Visit, key id
              region 0, level 0
                0  at: timestamp  column
                1  id: int  column
                2  page: text  column
                3  tags: list(text)  column
                4  true: bool  = true
                5  window(at, duration('60s')): timestamp  = window(at, duration('60s'))
                6  window(at, duration('60s')) + duration('60s'): timestamp  = `window(at, duration('60s'))` + duration('60s')
                7  id > 0 ? at : null: timestamp  = id > 0 ? at : null
                8  windows(id > 0 ? at : null, duration('60s'), duration('10s'), duration('5s')): list(timestamp)  = windows(`id > 0 ? at : null`, duration('60s'), duration('10s'), duration('5s'))
              region 4, level 2
                0  page: text  from region 0
                1  at: timestamp  from region 0
                2  session(id > 0 ? at : null): timestamp  <- start of the session over id > 0 ? at : null by page, gap 30m, region 0, index at level 1
              region 5, level 3
                0  page: text  from region 0
                1  at: timestamp  from region 0
                2  window(at, duration('60s')): timestamp  from region 0
                3  window(at, duration('60s')) + duration('60s'): timestamp  from region 0
                4  Minute.window_start: timestamp  <- Minute `window_start` by page, window(at, duration('60s')), window(at, duration('60s')) + duration('60s'), region 2, index at level 2
                5  at - Minute.window_start: duration  = at - Minute.window_start
            Tag, key page, tag
              <- rows of Visit by page, each of tags, region 0; a document lives as long as a row is in it
              region 1, level 1
                0  page: text  column
                1  tag: text  column
                2  count(visits[*]): int  <- count of Visit `true` by page, each of tags, region 0
                3  Tag.n: int  = `count(visits[*])`
                   incremental: count is an accumulator, one step for each changed row
            Minute, key page, window_start, window_end
              <- rows of Visit by page, window(at, duration('60s')), window(at, duration('60s')) + duration('60s'), region 0; a document lives as long as a row is in it
              region 2, level 1
                0  page: text  column
                1  window_start: timestamp  column
                2  window_end: timestamp  column
                3  count(visits[*]): int  <- count of Visit `true` by page, window(at, duration('60s')), window(at, duration('60s')) + duration('60s'), region 0
                4  Minute.n: int  = `count(visits[*])`
                   incremental: count is an accumulator, one step for each changed row
              region 7, level 4
                0  min(visits[*].at - window_start): duration  <- min of Visit `at - Minute.window_start` by page, window(at, duration('60s')), window(at, duration('60s')) + duration('60s'), region 5
                1  Minute.first: duration  = `min(visits[*].at - window_start)`
                   incremental: min keeps its values in order, O(log n) for each changed row
            Sliding, key page, window_start, window_end
              <- rows of Visit by page, each of windows(id > 0 ? at : null, duration('60s'), duration('10s'), duration('5s')), 1m later, region 0; a document lives as long as a row is in it
              region 3, level 1
                0  page: text  column
                1  window_start: timestamp  column
                2  window_end: timestamp  column
                3  count(visits[*]): int  <- count of Visit `true` by page, each of windows(id > 0 ? at : null, duration('60s'), duration('10s'), duration('5s')), 1m later, region 0
                4  Sliding.n: int  = `count(visits[*])`
                   incremental: count is an accumulator, one step for each changed row
            Stay, key page, window_start
              <- rows of Visit by page, session(id > 0 ? at : null), region 4; a document lives as long as a row is in it
              region 6, level 3
                0  page: text  column
                1  window_start: timestamp  column
                2  max(visits[*].at): timestamp  <- max of Visit `at` by page, session(id > 0 ? at : null), region 4
                3  Stay.seconds: duration  = `max(visits[*].at)` - window_start
                   incremental: max keeps its values in order, O(log n) for each changed row
        "#]],
    );
}

#[test]
fn lists_and_windows_are_refused_by_name() {
    let cases = [
        (json!({ "by": { "x": "status[*]" } }), "1"),
        (json!({ "by": { "x": "marks[*]" }, "rows": "orders" }), "sum(orders[*].amount * rate)"),
        (json!({ "window": { "on": "amount", "size": "0s" } }), "1"),
        (
            json!({ "by": { "window_end": "region" }, "window": { "on": "at", "size": "soon", "slide": "-1s", "offset": "1 moon" } }),
            "1",
        ),
        (json!({ "window": { "on": "at", "size": "30d", "slide": "1s" } }), "1"),
        (json!({ "window": { "on": "at", "slide": "1s" } }), "1"),
        (json!({ "window": { "on": "at", "gap": "1s", "size": "1m", "offset": "1s" } }), "1"),
        (json!({ "by": { "x": "marks[*]" }, "window": { "on": "at", "gap": "a while" } }), "1"),
        (json!({ "window": { "on": "at", "gap": "1s" }, "rows": "window_start" }), "1"),
    ];
    let text = cases.into_iter().map(|(mut group, total)| {
        group["of"] = "Order".into();
        let mut tables = without_area(orders(group.clone()));
        tables[0]["columns"]["marks"] = "list(int)".into();
        tables[0]["columns"]["at"] = "timestamp".into();
        let fields = json!({ "Region.rate": "2", "Region.total": total });
        format!("=== {group}\n{}", plan_text(json!({ "tables": tables, "fields": fields }), &[]))
    });
    expect![[r#"
        === {"by":{"x":"status[*]"},"of":"Order"}
        error table[2].group.by.x: E0256: `[*]` in the key of `Region` follows text, which is no list
          help: name a list, or leave `[*]` out
        === {"by":{"x":"marks[*]"},"rows":"orders","of":"Order"}
        error field[1].formula: E0250: `rate` cannot be read at `orders[*]`: no single row is meant
          at `sum(orders[*].amount * rate)`
          help: aggregate one relation at a time, or make a field of one part and read that
        === {"window":{"on":"amount","size":"0s"},"of":"Order"}
        error table[2].group.window.on: E0256: the windows of `Region` are over decimal(10,2), which is no timestamp
          help: name a timestamp, or make one: timestamp(text)
        error table[2].group.window.size: E0256: `0s` is no size of a window
          help: write a length such as 10s, 5m or 1d
        === {"by":{"window_end":"region"},"window":{"on":"at","size":"soon","slide":"-1s","offset":"1 moon"},"of":"Order"}
        error table[2].group.window: E0233: column `window_end` stands twice in the key of `Region`
          help: a window has a column of this name: give yours another one
        error table[2].group.window.offset: E0256: `1 moon` is no offset of a window
          help: write a length such as 10s, 5m or 1d
        error table[2].group.window.size: E0256: `soon` is no size of a window
          help: write a length such as 10s, 5m or 1d
        error table[2].group.window.slide: E0256: `-1s` is no slide of a window
          help: write a length such as 10s, 5m or 1d
        === {"window":{"on":"at","size":"30d","slide":"1s"},"of":"Order"}
        error table[2].group.window.slide: E0256: a row would be in 10000 windows or more
          help: take a longer slide, or a shorter size
        === {"window":{"on":"at","slide":"1s"},"of":"Order"}
        error table[2].group.window: E0256: a window needs a `size`
          help: write size = "1m", or gap = "30s" for sessions
        === {"window":{"on":"at","gap":"1s","size":"1m","offset":"1s"},"of":"Order"}
        error table[2].group.window.offset: E0256: a window with a `gap` has no `offset`: a session ends where a pause is longer
          help: leave one of the two out
        error table[2].group.window.size: E0256: a window with a `gap` has no `size`: a session ends where a pause is longer
          help: leave one of the two out
        === {"by":{"x":"marks[*]"},"window":{"on":"at","gap":"a while"},"of":"Order"}
        error table[2].group.by: E0256: the sessions of `Region` need one key for each row, so no `[*]` in `by`
          help: group by a value, or take windows of a `size`
        error table[2].group.window.gap: E0256: `a while` is no gap of a window
          help: write a length such as 10s, 5m or 1d
        === {"window":{"on":"at","gap":"1s"},"rows":"window_start","of":"Order"}
        error table[2].group.rows: E0233: `Region` has a column called `window_start` beside the relation to its rows
          help: give one of them another name
    "#]]
    .assert_eq(&text.collect::<String>());
}

#[test]
fn edges_say_how_documents_come_and_end() {
    let visits = json!([
        { "name": "Visit", "key": ["id"], "columns": { "id": "int", "at": "timestamp", "page": "text" } },
        { "name": "Minute", "group": { "of": "Visit", "by": "page", "rows": "visits",
            "window": { "on": "at", "size": "1m", "lateness": "10s", "emit": "final", "late": "Late" } } },
        { "name": "Hour", "group": { "of": "Visit", "where": "id > 0", "window": { "on": "at", "size": "1h", "emit": "early+final" } } },
        { "name": "Stay", "group": { "of": "Visit", "by": "page", "window": { "on": "at", "gap": "30m" }, "rows": "visits" } },
    ]);
    let definition = json!({ "tables": visits, "fields": { "Minute.n": "count(visits[*])", "Late.n": "count(visits[*])" } });
    check(
        definition.clone(),
        expect![[r#"
        Visit, key id
          region 0, level 0
            0  at: timestamp  column
            1  id: int  column
            2  page: text  column
            3  window(at, duration('60s')): timestamp  = window(at, duration('60s'))
            4  window(at, duration('60s')) + duration('60s'): timestamp  = `window(at, duration('60s'))` + duration('60s')
            5  true: bool  = true
            6  window(id > 0 ? at : null, duration('3600s')): timestamp  = window(id > 0 ? at : null, duration('3600s'))
            7  window(id > 0 ? at : null, duration('3600s')) + duration('3600s'): timestamp  = `window(id > 0 ? at : null, duration('3600s'))` + duration('3600s')
          region 4, level 2
            0  page: text  from region 0
            1  session(at): timestamp  <- start of the session over at by page, gap 30m, region 0, index at level 1
        Minute, key page, window_start, window_end
          <- rows of Visit by page, window(at, duration('60s')), window(at, duration('60s')) + duration('60s'), region 0; a document is born once the greatest at less 10s has reached window_end, and does not change
          region 1, level 1
            0  page: text  column
            1  window_start: timestamp  column
            2  window_end: timestamp  column
            3  count(visits[*]): int  <- count of Visit `true` by page, window(at, duration('60s')), window(at, duration('60s')) + duration('60s'), region 0
            4  Minute.n: int  = `count(visits[*])`
               incremental: count is an accumulator, one step for each changed row
        Hour, key window_start, window_end
          <- rows of Visit by window(id > 0 ? at : null, duration('3600s')), window(id > 0 ? at : null, duration('3600s')) + duration('3600s'), region 0; a document lives as long as a row is in it; once the greatest at less 0s has reached window_end it does not change
          region 2, level 1
            0  window_start: timestamp  column
            1  window_end: timestamp  column
        Stay, key page, window_start
          <- rows of Visit by page, session(at), region 4; a document lives as long as a row is in it
          region 5, level 3
            0  page: text  column
            1  window_start: timestamp  column
        Late, key page, window_start, window_end, id
          <- rows of Visit by page, window(at, duration('60s')), window(at, duration('60s')) + duration('60s'), id, region 0; a document is a row that came when the greatest at less 10s has reached window_end
          region 3, level 1
            0  page: text  column
            1  window_start: timestamp  column
            2  window_end: timestamp  column
            3  id: int  column
            4  count(visits[*]): int  <- count of Visit `true` by page, window(at, duration('60s')), window(at, duration('60s')) + duration('60s'), id, region 0
            5  Late.n: int  = `count(visits[*])`
               incremental: count is an accumulator, one step for each changed row
    "#]],
    );
    let drawn: Value = serde_json::from_str(&to_json(&planned(definition), &[])).expect("it is JSON");
    let edges = drawn["edges"].as_array().expect("edges").iter().filter(|edge| edge["kind"] != "group");
    let edges: Vec<String> = edges.map(|edge| format!("{edge}\n")).collect();
    expect![[r#"
        {"kind":"members","from":0,"to":1,"by":["Visit.page","Visit: window(at, duration('60s'))","Visit: window(at, duration('60s')) + duration('60s')"],"emit":"final","on":"Visit.at","lateness_us":10000000}
        {"kind":"members","from":0,"to":2,"by":["Visit: window(id > 0 ? at : null, duration('3600s'))","Visit: window(id > 0 ? at : null, duration('3600s')) + duration('3600s')"],"emit":"early+final","on":"Visit.at","lateness_us":0}
        {"kind":"members","from":4,"to":5,"by":["Visit.page","Visit: session(at)"]}
        {"kind":"members","from":0,"to":3,"by":["Visit.page","Visit: window(at, duration('60s'))","Visit: window(at, duration('60s')) + duration('60s')","Visit.id"],"emit":"late","on":"Visit.at","lateness_us":10000000}
        {"kind":"session","from":0,"to":4,"index_level":1,"by":["Visit.page"],"on":"Visit.at","gap_us":1800000000,"shows":"Visit: session(at)"}
    "#]].assert_eq(&edges.concat());
}
