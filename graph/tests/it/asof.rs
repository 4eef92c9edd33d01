//! Relations by time: their plans, their drawings, and what is refused of them.

use expect_test::{Expect, expect};
use serde_json::{Value, json};
use thalweg_graph::drawing::{to_dot, to_json, to_mermaid};

use crate::support::{plan_text, planned};

fn check(definition: Value, expected: Expect) {
    expected.assert_eq(&plan_text(definition, &[]));
}

/// Trades of an account in a symbol, and quotes.
fn market(relation: Value) -> Value {
    json!([
        { "name": "Trade", "key": ["id"], "columns": { "id": "int", "symbol": "text", "sold_at": "timestamp", "price": "decimal(10,2)", "paid": "bool" },
          "relations": { "quote": relation }, "closed": true },
        { "name": "Quote", "key": ["venue", "no"],
          "columns": { "venue": "text", "no": "int", "of": "text", "at": "timestamp", "bid": "decimal(10,2)", "size": "int" }, "closed": true },
        { "name": "Log", "key": [] },
    ])
}

fn newest() -> Value {
    json!({ "to": "Quote", "by": "symbol == of", "asof": "sold_at", "on": "at" })
}

#[test]
fn the_edge_tells_a_key_and_a_lookup_follows() {
    check(
        json!({ "tables": market(newest()),
            "fields": { "Quote.worth": "bid * size", "Trade.gain": "price - quote.bid", "Trade.share": "price / quote.worth" } }),
        expect![[r#"
            Trade, key id
              region 0, level 0
                0  price: decimal(10,2)  column
                1  sold_at: timestamp  column
                2  symbol: text  column
              region 3, level 2
                0  key of quote: venue: text  <- newest Quote by of, at as of symbol, sold_at, region 1, index at level 1
                1  key of quote: no: int  <- newest Quote by of, at as of symbol, sold_at, region 1, index at level 1
              region 4, level 4
                0  price: decimal(10,2)  from region 0
                1  quote.bid: decimal(10,2)  <- Quote `bid` by key of quote: venue, key of quote: no, region 1, index at level 3
                2  quote.worth: decimal(29,2)  <- Quote `Quote.worth` by key of quote: venue, key of quote: no, region 1, index at level 3
                3  Trade.gain: decimal(11,2)  = price - quote.bid
                   incremental: a looked-up value follows its document, one step for each row that refers to it; rows stand in the order of time, so a change costs O(log n) and one step for each row between it and the next
                4  Trade.share: decimal(16,6)  = price / quote.worth
                   incremental: a looked-up value follows its document, one step for each row that refers to it; rows stand in the order of time, so a change costs O(log n) and one step for each row between it and the next
            Quote, key venue, no
              region 1, level 0
                0  at: timestamp  column
                1  bid: decimal(10,2)  column
                2  of: text  column
                3  size: int  column
                4  Quote.worth: decimal(29,2)  = bid * size
                   incremental: a function of its own row
            Log, no key
              region 2, level 0
        "#]],
    );
}

#[test]
fn every_drawing_shows_the_edge() {
    let plan = planned(json!({ "tables": market(newest()), "fields": { "Trade.gain": "price - quote.bid" } }));
    let json: Value = serde_json::from_str(&to_json(&plan, &[])).expect("json");
    let named = |name: &str| json["nodes"].as_array().and_then(|nodes| nodes.iter().find(|node| node["id"] == name));
    let edge = json["edges"].as_array().and_then(|edges| edges.iter().find(|edge| edge["kind"] == "as-of"));
    let (key, field) = (named("Trade: key of quote: venue"), named("Trade.gain"));
    expect![[r#"
        {
          "id": "Trade: key of quote: venue",
          "kind": "hidden",
          "table": "Trade",
          "type": "text",
          "tier": 2,
          "region": 3,
          "carried_to": [],
          "maintenance": "incremental",
          "why": "rows stand in the order of time, so a change costs O(log n) and one step for each row between it and the next",
          "reads": [
            "Trade.symbol",
            "Trade.sold_at",
            "Quote.of",
            "Quote.at"
          ],
          "state_bytes": 0,
          "rows": 0,
          "rows_touched": 0
        }
        "a looked-up value follows its document, one step for each row that refers to it; rows stand in the order of time, so a change costs O(log n) and one step for each row between it and the next"
        {
          "kind": "as-of",
          "from": 0,
          "of": 1,
          "to": 3,
          "index_level": 1,
          "by": [
            [
              "Trade.symbol",
              "Trade.sold_at"
            ],
            [
              "Quote.of",
              "Quote.at"
            ]
          ]
        }
    "#]].assert_eq(&format!(
        "{:#}\n{}\n{:#}\n",
        key.expect("the key"),
        field.expect("the field")["why"],
        edge.expect("the edge")
    ));
    let of_key = |drawing: String| -> String {
        let told = drawing.lines().filter(|line| line.contains("key of quote: venue"));
        told.map(|line| format!("{}\n", line.trim())).collect()
    };
    expect![[r#"
        "Trade: key of quote: venue" [shape=plaintext, label="Trade: key of quote: venue\ntext"];
        "Trade.symbol" -> "Trade: key of quote: venue";
        "Trade.sold_at" -> "Trade: key of quote: venue";
        "Quote.of" -> "Trade: key of quote: venue";
        "Quote.at" -> "Trade: key of quote: venue";
        "Trade: key of quote: venue" -> "Trade: quote.bid";
        n6("Trade: key of quote: venue<br/>text")
    "#]]
    .assert_eq(&(of_key(to_dot(&plan, &[])) + &of_key(to_mermaid(&plan, &[]))));
}

#[test]
fn what_cannot_be_found_by_time_is_refused() {
    let cases = [
        json!({ "to": "Qote", "by": "symbol == of", "asof": "sold_at", "on": "at" }),
        json!({ "to": "Log", "asof": "sold_at", "on": "at" }),
        json!({ "to": "Quote", "by": "symbol", "asof": "sold_at", "on": "at" }),
        json!({ "to": "Quote", "by": ["symbol == of", "sybol == of"], "asof": "sold_at", "on": "at" }),
        json!({ "to": "Quote", "by": "symbol == of", "asof": "sold_at" }),
        json!({ "to": "Quote", "by": "symbol == of", "asof": "soldat", "on": "at" }),
        json!({ "to": "Quote", "by": "symbol == no", "asof": "sold_at", "on": "at" }),
        json!({ "to": "Quote", "by": "symbol == of", "asof": "sold_at", "on": "size" }),
        json!({ "to": "Quote", "by": "symbol == of", "asof": "paid", "on": "at" }),
    ];
    let refused: Vec<String> = cases
        .into_iter()
        .map(|relation| {
            let text = relation.to_string();
            let fields = json!({ "Trade.gain": "price - quote.bid" });
            format!("{text}\n{}", plan_text(json!({ "tables": market(relation), "fields": fields }), &[]))
        })
        .collect();
    expect![[r#"
        {"to":"Qote","by":"symbol == of","asof":"sold_at","on":"at"}
        error table[0].relations.quote.to: E0230: unknown table `Qote` in relation `quote` of `Trade`
          help: did you mean `Quote`?
          note: tables: Log, Quote, Trade

        {"to":"Log","asof":"sold_at","on":"at"}
        error table[0].relations.quote: E0236: relation `quote` of `Trade` needs a key on `Log`, which has none
          help: declare it: key = ["id"] in [[table]] "Log"

        {"to":"Quote","by":"symbol","asof":"sold_at","on":"at"}
        error table[0].relations.quote.by: E0231: table `Quote` has no column `symbol`, which relation `quote` of `Trade` names
          note: columns: at, bid, no, of, size, venue

        {"to":"Quote","by":["symbol == of","sybol == of"],"asof":"sold_at","on":"at"}
        error table[0].relations.quote.by.1: E0231: table `Trade` has no column `sybol`, which relation `quote` of `Trade` names
          help: did you mean `symbol`?
          note: columns: id, paid, price, sold_at, symbol

        {"to":"Quote","by":"symbol == of","asof":"sold_at"}
        error table[0].relations.quote.on: E0231: table `Quote` has no column `sold_at`, which relation `quote` of `Trade` names
          note: columns: at, bid, no, of, size, venue

        {"to":"Quote","by":"symbol == of","asof":"soldat","on":"at"}
        error table[0].relations.quote.asof: E0231: table `Trade` has no column `soldat`, which relation `quote` of `Trade` names
          help: did you mean `sold_at`?
          note: columns: id, paid, price, sold_at, symbol

        {"to":"Quote","by":"symbol == no","asof":"sold_at","on":"at"}
        error table[0].relations.quote: E0234: relation `quote` of `Trade` cannot compare its columns: `symbol` is text and `no` of `Quote` is int
          help: name columns of one type

        {"to":"Quote","by":"symbol == of","asof":"sold_at","on":"size"}
        error table[0].relations.quote: E0234: relation `quote` of `Trade` cannot compare its columns: `sold_at` is timestamp and `size` of `Quote` is int
          help: name columns of one type

        {"to":"Quote","by":"symbol == of","asof":"paid","on":"at"}
        error table[0].relations.quote: E0234: relation `quote` of `Trade` cannot compare its columns: `paid` is bool and `at` of `Quote` is timestamp
          help: name columns of one type
    "#]].assert_eq(&refused.join("\n"));
}

#[test]
fn a_time_that_has_no_order_is_refused_and_one_that_is_not_known_is_not() {
    let tables = |of: &str| {
        json!([{ "name": "A", "key": ["id"], "columns": { "on": of }, "relations": { "last": { "to": "B", "asof": "on" } } },
            { "name": "B", "key": ["id"], "columns": { "on": of } }])
    };
    let fields = json!({ "A.x": "last.id" });
    let of = |of: &str| plan_text(json!({ "tables": tables(of), "fields": fields }), &[]);
    expect![[r#"
        error table[0].relations.last.asof: E0234: relation `last` of `A` needs a time, but `on` is list(int)
          help: declare the column's type: timestamp, or a number
        A, key id
          region 0, level 0
            0  on: dyn  column
          region 2, level 2
            0  key of last: id: dyn  <- newest B by on as of on, region 1, index at level 1
          region 3, level 4
            0  last.id: dyn  <- B `id` by key of last: id, region 1, index at level 3
            1  A.x: dyn  = last.id
               incremental: a looked-up value follows its document, one step for each row that refers to it; rows stand in the order of time, so a change costs O(log n) and one step for each row between it and the next
        B, key id
          region 1, level 0
            0  on: dyn  column
            1  id: dyn  column
    "#]].assert_eq(&(of("list(int)") + &of("dyn")));
}

#[test]
fn a_row_cannot_read_by_time_what_reads_it() {
    check(
        json!({ "tables": [{ "name": "A", "key": ["id"], "columns": { "at": "int", "before": "int" },
            "relations": { "last": { "to": "A", "asof": "before", "on": "at" } } }],
            "fields": { "A.sum": "at + last.sum" } }),
        expect![[r#"
            error field[0].formula: E0235: fields form a cycle: A.sum -> A.sum
              help: read `self` for the field's own value at the previous epoch
        "#]],
    );
}
