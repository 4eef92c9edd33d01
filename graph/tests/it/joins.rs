//! Derived tables of pairs: their plans, and what is refused of them.

use expect_test::{Expect, expect};
use serde_json::{Value, json};
use thalweg_graph::drawing::{to_dot, to_json, to_mermaid};

use crate::support::{plan_text, planned};

fn check(definition: Value, expected: Expect) {
    expected.assert_eq(&plan_text(definition, &[]));
}

/// Orders and shipments, which know what they are matched with; customers.
fn tables(join: Value) -> Value {
    json!([
        { "name": "Order", "key": ["id"], "columns": { "id": "int", "sku": "text", "qty": "int", "price": "decimal(10,2)", "customer": "int", "at": "timestamp" },
          "relations": { "matches": { "table": "Match", "key": "order_id" }, "buyer": { "to": "Customer", "key": "customer" } }, "closed": true },
        { "name": "Shipment", "key": ["depot", "no"],
          "columns": { "depot": "text", "no": "int", "sku": "text", "qty": "int", "cost": "decimal(10,2)", "sent_at": "timestamp" }, "closed": true },
        { "name": "Customer", "key": ["id"], "columns": { "id": "int", "vip": "bool" }, "closed": true },
        { "name": "Match", "join": join },
    ])
}

fn by_sku() -> Value {
    json!({ "left": "Order", "right": "Shipment", "on": ["sku", "date(at) == date(sent_at)"],
        "where": "order.qty <= shipment.qty && order.buyer.vip" })
}

#[test]
fn pairs_read_their_rows_and_are_read_by_them() {
    check(
        json!({ "tables": tables(by_sku()),
            "fields": { "Match.margin": "order.price - shipment.cost", "Order.best": "max(matches[*].margin)", "Order.met": "count(matches[*]) > 0" },
            "effects": [{ "name": "thin", "on": "Match", "when": "margin < 1" }] }),
        expect![[r#"
            Order, key id
              region 0, level 0
                0  at: timestamp  column
                1  customer: int  column
                2  price: decimal(10,2)  column
                3  qty: int  column
                4  sku: text  column
                5  date(at): text  = date(at)
              region 3, level 2
                0  sku: text  from region 0
                1  qty: int  from region 0
                2  date(at): text  from region 0
                3  buyer.vip: bool  <- Customer `vip` by customer, region 2, index at level 1
                4  buyer.vip ? sku : null: text  = buyer.vip ? sku : null
              region 6, level 7
                0  max(matches[*].margin): decimal(11,2)  <- max of Match `Match.margin` by order_id, region 5
                1  count(matches[*]): int  <- count of Match `true` by order_id, region 4
                2  Order.best: decimal(11,2)  = `max(matches[*].margin)`
                   incremental: max keeps its values in order, O(log n) for each changed row
                3  Order.met: bool  = `count(matches[*])` > 0
                   incremental: count is an accumulator, one step for each changed row
            Shipment, key depot, no
              region 1, level 0
                0  cost: decimal(10,2)  column
                1  qty: int  column
                2  sent_at: timestamp  column
                3  sku: text  column
                4  date(sent_at): text  = date(sent_at)
            Customer, key id
              region 2, level 0
                0  vip: bool  column
            Match, key order_id, shipment_depot, shipment_no
              <- pairs of Order by buyer.vip ? sku : null, date(at), region 3 and Shipment by sku, date(sent_at), region 1, index at level 3 where order.qty <= shipment.qty; a row that comes or goes costs the rows it meets
              region 4, level 4
                0  order_id: int  column
                1  shipment_depot: text  column
                2  shipment_no: int  column
                3  true: bool  = true
              region 5, level 6
                0  order_id: int  from region 4
                1  shipment_depot: text  from region 4
                2  shipment_no: int  from region 4
                3  order.price: decimal(10,2)  <- Order `price` by order_id, region 0, index at level 5
                4  shipment.cost: decimal(10,2)  <- Shipment `cost` by shipment_depot, shipment_no, region 1, index at level 5
                5  Match.margin: decimal(11,2)  = order.price - shipment.cost
                   incremental: a looked-up value follows its document, one step for each row that refers to it
                6  effect thin: bool  = Match.margin < 1
            effect thin on Match when margin < 1
              region 5, condition slot 6, sends order_id = slot 0, shipment_depot = slot 1, shipment_no = slot 2, margin = slot 5
        "#]],
    );
}

#[test]
fn every_drawing_shows_the_join() {
    let plan = planned(json!({ "tables": tables(by_sku()), "fields": { "Match.margin": "order.price - shipment.cost" } }));
    let json: Value = serde_json::from_str(&to_json(&plan, &[])).expect("json");
    let key = json["nodes"].as_array().and_then(|nodes| nodes.iter().find(|node| node["id"] == "Match.order_id"));
    let join = json["edges"].as_array().and_then(|edges| edges.iter().find(|edge| edge["kind"] == "join"));
    expect![[r#"
        {
          "id": "Match.order_id",
          "kind": "derived",
          "table": "Match",
          "type": "int",
          "tier": 2,
          "region": 4,
          "carried_to": [],
          "maintenance": "incremental",
          "why": "a row that comes or goes costs the rows of the other side that it meets",
          "reads": [
            "Order: buyer.vip ? sku : null",
            "Order: date(at)",
            "Shipment.sku",
            "Shipment: date(sent_at)",
            "Order.qty",
            "Shipment.qty"
          ],
          "state_bytes": 0,
          "rows": 0,
          "rows_touched": 0
        }
        {
          "kind": "join",
          "from": [
            3,
            1
          ],
          "to": 4,
          "index_level": 3,
          "by": [
            [
              "Order: buyer.vip ? sku : null",
              "Order: date(at)"
            ],
            [
              "Shipment.sku",
              "Shipment: date(sent_at)"
            ]
          ],
          "where_reads": [
            "Order.qty",
            "Shipment.qty"
          ]
        }
    "#]]
    .assert_eq(&format!("{:#}\n{:#}\n", key.expect("the key"), join.expect("the edge")));
    let of_key = |drawing: String| {
        drawing
            .lines()
            .filter(|line| line.contains("Match.order_id"))
            .map(|line| format!("{}\n", line.trim()))
            .collect::<String>()
    };
    expect![[r#"
        "Match.order_id" [shape=ellipse, label="Match.order_id\nint"];
        "Order: buyer.vip ? sku : null" -> "Match.order_id";
        "Order: date(at)" -> "Match.order_id";
        "Shipment.sku" -> "Match.order_id";
        "Shipment: date(sent_at)" -> "Match.order_id";
        "Order.qty" -> "Match.order_id";
        "Shipment.qty" -> "Match.order_id";
        "Match.order_id" -> "Match: order.price";
        n14(["Match.order_id<br/>int"])
    "#]]
    .assert_eq(&(of_key(to_dot(&plan, &[])) + &of_key(to_mermaid(&plan, &[]))));
}

#[test]
fn joins_of_joins_come_in_any_order() {
    check(
        json!({ "tables": [
            { "name": "Abc", "join": { "left": "Ab", "right": "C", "on": "b_y == y", "as": ["ab", "c"], "where": "ab.sum > c.id && ab_a_id != c_id" } },
            { "name": "Ab", "join": { "left": "A", "right": "B", "on": "x" } },
            { "name": "A", "key": ["id"], "columns": { "id": "int", "x": "int" } },
            { "name": "B", "key": ["id"], "columns": { "id": "int", "x": "decimal(8,2)", "y": "text" } },
            { "name": "C", "key": ["id"], "columns": { "id": "uint", "y": "text" } },
            { "name": "Twin", "join": { "left": "A", "right": "A", "on": "x", "as": ["one", "other"], "where": "one_id < other_id" } }],
            "fields": { "Ab.b_y": "b.y", "Ab.sum": "a.id + b.id", "Abc.all": "ab.sum + ab.a.x" } }),
        expect![[r#"
            Abc, key ab_a_id, ab_b_id, c_id
              <- pairs of Ab by Ab.b_y, region 5 and C by y, region 2, index at level 5 where ab.sum > c.id && ab.a_id != c.id; a row that comes or goes costs the rows it meets
              region 6, level 6
                0  ab_a_id: int  column
                1  ab_b_id: int  column
                2  c_id: uint  column
              region 7, level 8
                0  ab.sum: int  <- Ab `Ab.sum` by ab_a_id, ab_b_id, region 5, index at level 7
                1  ab.a.x: int  <- Ab `a.x` by ab_a_id, ab_b_id, region 5, index at level 7
                2  Abc.all: int  = ab.sum + ab.a.x
                   incremental: a looked-up value follows its document, one step for each row that refers to it
            Ab, key a_id, b_id
              <- pairs of A by x, region 0 and B by x, region 1, index at level 1; a row that comes or goes costs the rows it meets
              region 3, level 2
                0  a_id: int  column
                1  b_id: int  column
              region 5, level 4
                0  a_id: int  from region 3
                1  b.y: text  <- B `y` by b_id, region 1, index at level 3
                2  a.id: int  <- A `id` by a_id, region 0, index at level 3
                3  b.id: int  <- B `id` by b_id, region 1, index at level 3
                4  a.x: int  <- A `x` by a_id, region 0, index at level 3
                5  Ab.b_y: text  = b.y
                   incremental: a looked-up value follows its document, one step for each row that refers to it
                6  Ab.sum: int  = a.id + b.id
                   incremental: a looked-up value follows its document, one step for each row that refers to it
            A, key id
              region 0, level 0
                0  id: int  column
                1  x: int  column
            B, key id
              region 1, level 0
                0  id: int  column
                1  x: decimal(8,2)  column
                2  y: text  column
            C, key id
              region 2, level 0
                0  id: uint  column
                1  y: text  column
            Twin, key one_id, other_id
              <- pairs of A by x, region 0 and A by x, region 0, index at level 1 where one.id < other.id; a row that comes or goes costs the rows it meets
              region 4, level 2
                0  one_id: int  column
                1  other_id: int  column
        "#]],
    );
}

#[test]
fn joins_that_make_no_sense_are_refused() {
    let cases = [
        json!({ "left": "Order", "right": "Shipment" }),
        json!({ "left": "Ordr", "right": "Shipment", "on": "sku" }),
        json!({ "left": "Order", "right": "Order", "on": "sku" }),
        json!({ "left": "Order", "right": "Shipment", "on": "sku", "as": ["order"] }),
        json!({ "left": "Order", "right": "Shipment", "on": "sku", "as": ["order", ""] }),
        json!({ "left": "Order", "right": "Shipment", "on": "sku", "as": ["order", "partner"] }),
        json!({ "left": "Order", "right": "Match", "on": "sku" }),
        json!({ "left": "Order", "right": "Shipment", "on": ["skuu", "sku = sku", "sku == qty", "id =="] }),
        json!({ "left": "Order", "right": "Shipment", "on": "sku", "where": "order.qty" }),
        json!({ "left": "Order", "right": "Shipment", "on": "sku", "where": "order.qty <= count(shipment.depots[*])" }),
        json!({ "left": "Order", "right": "Shipment", "on": "sku", "where": "limit > order.qty" }),
        json!({ "left": "Order", "right": "Shipment", "on": "sku", "where": "margin > 1" }),
        json!({ "left": "Order", "right": "Shipment", "on": "sku", "where": "count(siblings[*]) > 1" }),
        json!({ "left": "Order", "right": "Log", "on": "sku", "as": ["order", "log"] }),
        json!({ "left": "Order", "right": "Bare", "on": "sku", "as": ["order", "bare"] }),
    ];
    let text = cases.into_iter().map(|join| {
        let mut tables = tables(join.clone());
        tables[3]["relations"] = json!({ "partner": { "to": "Customer", "key": "order_id" }, "siblings": { "table": "Match", "key": ["order_id", "shipment_depot", "shipment_no"] } });
        if join["as"].is_array() || join["right"] != "Shipment" || join["left"] == "Ordr" {
            tables[3].as_object_mut().expect("a table").remove("relations");
        }
        if join["as"] == json!(["order", "partner"]) {
            tables[3]["relations"] = json!({ "partner": { "to": "Customer", "key": "order_id" } });
        }
        tables[0]["relations"].as_object_mut().expect("relations").remove("matches");
        let more = [json!({ "name": "Log", "key": [], "columns": { "sku": "text" } }), json!({ "name": "Bare", "columns": { "sku": "text" } })];
        tables.as_array_mut().expect("tables").extend(more);
        let mut fields = json!({ "limit": "count(Order[*])" });
        if join["where"] == "margin > 1" {
            fields["Match.margin"] = "order.price - shipment.cost".into();
        }
        format!("=== {join}\n{}", plan_text(json!({ "tables": tables, "fields": fields }), &[]))
    });
    expect![[r#"
        === {"left":"Order","right":"Shipment"}
        error table[3].join.on: E0256: the join of `Match` does not say what is equal in two rows that meet
          help: write on = "sku", or on = ["sku", "date(at) == date(sent_at)"]
        === {"left":"Ordr","right":"Shipment","on":"sku"}
        error table[3].join.left: E0230: unknown table `Ordr` in the join of `Match`
          help: did you mean `Order`?
          note: tables: Bare, Customer, Log, Match, Order, Shipment
        === {"left":"Order","right":"Order","on":"sku"}
        error table[3].join.as: E0256: both rows of a pair of `Match` are called `order`
          help: name them apart: as = ["one", "other"]
        === {"left":"Order","right":"Shipment","on":"sku","as":["order"]}
        error table[3].join.as: E0256: a pair of `Match` has 2 rows, but `as` has 1 name
          help: name them both: as = ["one", "other"]
        === {"left":"Order","right":"Shipment","on":"sku","as":["order",""]}
        error table[3].join.as: E0237: a row of a pair of `Match` has no name
          help: name both: as = ["one", "other"]
        === {"left":"Order","right":"Shipment","on":"sku","as":["order","partner"]}
        error table[3].join.as: E0233: `Match` has a relation called `partner` beside the row of that name
          help: give one of them another name
        === {"left":"Order","right":"Match","on":"sku"}
        error table[3].join.left: E0256: table `Match` joins `Order` and `Match`, of which one is made from it
          help: join tables that are there without it
        === {"left":"Order","right":"Shipment","on":["skuu","sku = sku","sku == qty","id =="]}
        error table[3].join.on.0: E0203: unknown field `skuu`
          help: did you mean `sku`?
          note: columns: at, customer, id, price, qty, sku, buyer, limit, Order
        error table[3].join.on.0: E0203: unknown field `skuu`
          help: did you mean `sku`?
          note: columns: cost, depot, no, qty, sent_at, sku, limit, Shipment
        error table[3].join.on.1: E0104: `=` is not an operator of this language
          help: write `==`
        error table[3].join.on.2: E0240: text of `Order` is never equal to int of `Shipment`
          help: convert one of them: `sku == qty` compares values of one type
        error table[3].join.on.3: E0102: the formula ends where a value is expected
          help: write the value, or remove this
        === {"left":"Order","right":"Shipment","on":"sku","where":"order.qty"}
        error table[3].join.where: E0240: the `where` of `Match` is int, not bool
          help: compare it with something
        === {"left":"Order","right":"Shipment","on":"sku","where":"order.qty <= count(shipment.depots[*])"}
        error table[3].join.where: E0203: unknown field `depots`
          help: did you mean `depot`?
          note: columns: cost, depot, no, qty, sent_at, sku
        === {"left":"Order","right":"Shipment","on":"sku","where":"limit > order.qty"}
        error table[3].join.where: E0250: the `where` of a join reads its two rows, and a global field is neither
          help: read it through one of the two rows, or make a field of it there
        === {"left":"Order","right":"Shipment","on":"sku","where":"margin > 1"}
        error field[1].formula: E0235: fields form a cycle: Match.margin -> the key of Match -> Match.margin
          help: break it at one field, or read `self` where a field's own previous value is meant
        === {"left":"Order","right":"Shipment","on":"sku","where":"count(siblings[*]) > 1"}
        error table[3].join.where: E0250: the `where` of a join reads its two rows, and `siblings[*]` is neither
          help: read it through one of the two rows, or make a field of it there
        === {"left":"Order","right":"Log","on":"sku","as":["order","log"]}
        error table[3].join.right: E0236: the join of `Match` needs a key on `Log`, which has none
          help: declare it: key = ["id"] in [[table]] "Log"
        === {"left":"Order","right":"Bare","on":"sku","as":["order","bare"]}
        error table[3].join.right: E0236: the join of `Match` needs a key on `Bare`, which is not known
          help: declare it: key = ["id"] in [[table]] "Bare"
    "#]]
    .assert_eq(&text.collect::<String>());
}

#[test]
fn pairs_are_no_source_s() {
    let mut tables = tables(json!({ "left": "Order", "right": "Shipment", "on": "sku" }));
    let given =
        json!({ "from": "shop.matches", "key": ["id"], "columns": { "id": "int" }, "group": { "of": "Order", "by": "sku" } });
    for (key, value) in given.as_object().expect("members") {
        tables[3][key] = value.clone();
    }
    check(
        json!({ "tables": tables, "classify": [{ "table": "Match", "insert": "came" }] }),
        expect![[r#"
        error table[3].columns: E0256: table `Match` is kept from pairs of rows of `Order` and `Shipment`, so it has no `columns` of its own
          help: leave it out: it is the keys of both rows
        error table[3].from: E0256: table `Match` is kept from pairs of rows of `Order` and `Shipment`, so it has no `from` of its own
          help: leave it out
        error table[3].group: E0256: table `Match` has both a `group` and a `join`
          help: make a table of each: a group may be of a join
        error table[3].key: E0256: table `Match` is kept from pairs of rows of `Order` and `Shipment`, so it has no `key` of its own
          help: leave it out: it is the keys of both rows
        error classify[0].table: E0257: [[classify]] names `Match`, whose rows no source changes
          help: use [[effect]] on = "Match" for a condition on it
    "#]],
    );
}
