//! Drawings of one small graph in every format, and the story of its nodes.

use std::sync::Arc;

use expect_test::expect;
use serde_json::json;
use thalweg_graph::Plan;
use thalweg_graph::drawing::{to_dot, to_json, to_mermaid, to_text};
use thalweg_graph::outcome::NodeStats;
use thalweg_graph::plan::RegionId;

use crate::support::planned;

fn small() -> Plan {
    planned(json!({
        "tables": [
            { "name": "Order", "key": ["id"], "columns": { "id": "int" }, "relations": { "items": { "table": "Item", "key": "order_id" } } },
            { "name": "Item", "key": ["id"], "columns": { "id": "int", "order_id": "int", "price": "int" } },
        ],
        "fields": { "Order.total": "sum(items[*].price)" },
        "effects": [{ "name": "big", "on": "Order", "when": "total > 100", "actions": [{ "type": "log" }] }],
        "classify": [{ "table": "Item", "delete": "item.gone" }],
        "reactions": [{ "event": "item.gone", "condition": "price > 5" }],
    }))
}

fn stats() -> Vec<NodeStats> {
    let stat =
        |node: &str, region, rows| NodeStats { node: Arc::from(node), region, rows, state_bytes: rows * 8, rows_touched: 1 };
    vec![stat("Order.total", Some(RegionId(1)), 3), stat("price", Some(RegionId(0)), 9), stat("Order", None, 3)]
}

#[test]
fn text_shows_figures_where_there_are_any() {
    expect![[r#"
        Order, key id
          region 1, level 1
            0  id: int  column
            1  sum(items[*].price): int  <- sum of Item `price` by order_id, region 0
            2  Order.total: int  = `sum(items[*].price)`
               incremental: sum is an accumulator, one step for each changed row
               rows 3, state bytes 24, rows touched 1
            3  effect big: bool  = Order.total > 100
        Item, key id, whole rows kept
          region 0, level 0
            0  order_id: int  column
            1  price: int  column
               rows 9, state bytes 72, rows touched 1
        effect big on Order when total > 100
          region 1, condition slot 3, sends id = slot 0, total = slot 2
          log
        reaction item.gone to item.gone (delete of Item) when price > 5
    "#]]
    .assert_eq(&to_text(&small(), &stats()));
}

#[test]
fn json_has_every_node_with_its_figures() {
    expect![[r#"
        {
          "v": 1,
          "nodes": [
            {
              "id": "Item.order_id",
              "kind": "state",
              "table": "Item",
              "type": "int",
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
              "id": "Item.price",
              "kind": "state",
              "table": "Item",
              "type": "int",
              "tier": 1,
              "region": 0,
              "carried_to": [],
              "maintenance": "input",
              "why": "it comes from outside",
              "reads": [],
              "state_bytes": 72,
              "rows": 9,
              "rows_touched": 1
            },
            {
              "id": "Order.id",
              "kind": "state",
              "table": "Order",
              "type": "int",
              "tier": 1,
              "region": 1,
              "carried_to": [],
              "maintenance": "input",
              "why": "it comes from outside",
              "reads": [],
              "state_bytes": 0,
              "rows": 0,
              "rows_touched": 0
            },
            {
              "id": "Order: sum(items[*].price)",
              "kind": "hidden",
              "table": "Order",
              "type": "int",
              "tier": 1,
              "region": 1,
              "carried_to": [],
              "maintenance": "incremental",
              "why": "sum is an accumulator, one step for each changed row",
              "reads": [
                "Item.price",
                "Item.order_id"
              ],
              "state_bytes": 0,
              "rows": 0,
              "rows_touched": 0
            },
            {
              "id": "Order.total",
              "kind": "derived",
              "table": "Order",
              "type": "int",
              "tier": 1,
              "region": 1,
              "carried_to": [],
              "maintenance": "incremental",
              "why": "sum is an accumulator, one step for each changed row",
              "reads": [
                "Order: sum(items[*].price)"
              ],
              "state_bytes": 24,
              "rows": 3,
              "rows_touched": 1
            },
            {
              "id": "big",
              "kind": "effect",
              "table": "Order",
              "type": "bool",
              "tier": 1,
              "region": 1,
              "carried_to": [],
              "maintenance": "incremental",
              "why": "a function of its own row",
              "reads": [
                "Order.total"
              ],
              "state_bytes": 0,
              "rows": 0,
              "rows_touched": 0
            },
            {
              "id": "item.gone",
              "kind": "reaction",
              "table": "Item",
              "type": "bool",
              "tier": 1,
              "region": 0,
              "carried_to": [],
              "maintenance": "incremental",
              "why": "judged once for each changed row",
              "reads": [
                "Item.price"
              ],
              "state_bytes": 0,
              "rows": 0,
              "rows_touched": 0
            }
          ],
          "regions": [
            {
              "region": 0,
              "table": "Item",
              "level": 0,
              "home": true,
              "slots": 2,
              "cells": 0
            },
            {
              "region": 1,
              "table": "Order",
              "level": 1,
              "home": true,
              "slots": 4,
              "cells": 2
            }
          ],
          "edges": [
            {
              "kind": "group",
              "aggregate": "sum",
              "from": 0,
              "to": 1,
              "shows": "Order: sum(items[*].price)"
            }
          ],
          "indexes": [
            {
              "id": "Order",
              "rows": 3,
              "state_bytes": 24,
              "rows_touched": 1
            }
          ]
        }
    "#]]
    .assert_eq(&to_json(&small(), &stats()));
}

#[test]
fn dot_has_one_cluster_a_region() {
    expect![[r#"
        digraph thalweg {
          rankdir=LR;
          node [fontname="sans-serif"];
          subgraph cluster_0 {
            label="Item, level 0";
            "Item.order_id" [shape=box, label="Item.order_id\nint"];
            "Item.price" [shape=box, label="Item.price\nint"];
          }
          subgraph cluster_1 {
            label="Order, level 1";
            "Order.id" [shape=box, label="Order.id\nint"];
            "Order: sum(items[*].price)" [shape=plaintext, label="Order: sum(items[*].price)\nint"];
            "Order.total" [shape=ellipse, label="Order.total\nint"];
            "big" [shape=cds, label="big\nbool"];
          }
          "item.gone" [shape=cds, label="item.gone\nbool"];
          "Item.price" -> "Order: sum(items[*].price)";
          "Item.order_id" -> "Order: sum(items[*].price)";
          "Order: sum(items[*].price)" -> "Order.total";
          "Order.total" -> "big";
          "Item.price" -> "item.gone";
        }
    "#]]
    .assert_eq(&to_dot(&small(), &[]));
}

#[test]
fn mermaid_has_one_subgraph_a_region() {
    expect![[r#"
        flowchart LR
          subgraph r0["Item, level 0"]
            n0["Item.order_id<br/>int"]
            n1["Item.price<br/>int"]
          end
          subgraph r1["Order, level 1"]
            n2["Order.id<br/>int"]
            n3("Order: sum(items[*].price)<br/>int")
            n4(["Order.total<br/>int"])
            n5>"big<br/>bool"]
          end
          n6>"item.gone<br/>bool"]
          n1 --> n3
          n0 --> n3
          n3 --> n4
          n4 --> n5
          n1 --> n6
    "#]]
    .assert_eq(&to_mermaid(&small(), &[]));
}

#[test]
fn explain_tells_the_story_of_each_kind_of_node() {
    let plan = small();
    let stories =
        ["Order.total", "Item.price", "Order: sum(items[*].price)", "big", "item.gone"].map(|node| plan.explain(node).unwrap());
    expect![[r#"
        Order.total (derived): int
        formula: sum(items[*].price)
        kept: incremental: sum is an accumulator, one step for each changed row
        place: tier 1, region 1, level 1
        reads: Order: sum(items[*].price)
        read by: big

        Item.price (state): int
        definition: a column of Item
        place: tier 1, region 0, level 0
        read by: Order: sum(items[*].price), item.gone

        Order: sum(items[*].price) (hidden): int
        definition: needed by others, at each document of Order
        kept: incremental: sum is an accumulator, one step for each changed row
        place: tier 1, region 1, level 1
        reads: Item.price, Item.order_id
        read by: Order.total

        big (effect): bool
        fires: when this becomes true: total > 100
        sends: id, total
        kept: incremental: a function of its own row
        place: tier 1, region 1, level 1
        reads: Order.total

        item.gone (reaction): bool
        event: item.gone (delete of Item)
        condition: price > 5
        kept: incremental: judged once for each changed row
        place: tier 1, region 0, level 0
        reads: Item.price
    "#]]
    .assert_eq(&stories.join("\n"));
    assert_eq!(plan.explain("Order.nothing"), None);
}
