//! Derived tables of paths: their plans, their drawings, and what is refused of them.

use expect_test::{Expect, expect};
use serde_json::{Value, json};
use thalweg_graph::drawing::{to_dot, to_json, to_mermaid};

use crate::support::{plan_text, planned};

fn check(definition: Value, expected: Expect) {
    expected.assert_eq(&plan_text(definition, &[]));
}

/// Roads between towns, and which town can be reached from which.
fn tables(closure: Value) -> Value {
    json!([
        { "name": "Town", "key": ["name"], "columns": { "name": "text", "people": "int" },
          "relations": { "reached": { "table": "Reach", "key": "from" } }, "closed": true },
        { "name": "Road", "key": ["id"], "columns": { "id": "int", "a": "text", "b": "text", "stops": "list(text)", "open": "bool", "miles": "int" }, "closed": true },
        { "name": "Reach", "group": closure, "relations": { "end": { "to": "Town", "key": "to" } } },
    ])
}

fn roads(filter: Option<&str>) -> Value {
    json!({ "of": "Road", "by": { "from": "a", "to": "b" }, "where": filter, "closure": true })
}

#[test]
fn paths_are_kept_above_their_links() {
    check(
        json!({ "tables": tables(roads(Some("open"))),
            "fields": { "Reach.people": "end.people", "Town.around": "sum(reached[*].people)", "Town.size": "around > 10 ? 2 : 1" },
            "effects": [{ "name": "cut", "on": "Town", "when": "count(reached[*]) == 0" }] }),
        expect![[r#"
            Town, key name
              region 0, level 0
                0  name: text  column
                1  people: int  column
              region 4, level 5
                0  name: text  from region 0
                1  sum(reached[*].people): int  <- sum of Reach `Reach.people` by from, region 3
                2  count(reached[*]): int  <- count of Reach `true` by from, region 2
                3  Town.around: int  = `sum(reached[*].people)`
                   incremental: sum is an accumulator, one step for each changed row
                4  Town.size: int  = Town.around > 10 ? 2 : 1
                   incremental: a function of its own row
                5  effect cut: bool  = `count(reached[*])` == 0
            Road, key id
              region 1, level 0
                0  a: text  column
                1  b: text  column
                2  open: bool  column
                3  open ? a : null: text  = open ? a : null
            Reach, key from, to
              <- paths over Road by open ? a : null, b, region 1, paths at level 1; recursion: a link that comes or goes costs the starts that reach it, and for each the places whose shortest way changes
              region 2, level 2
                0  from: text  column
                1  to: text  column
                2  true: bool  = true
              region 3, level 4
                0  from: text  from region 2
                1  end.people: int  <- Town `people` by to, region 0, index at level 3
                2  Reach.people: int  = end.people
                   incremental: a looked-up value follows its document, one step for each row that refers to it
            effect cut on Town when count(reached[*]) == 0
              region 4, condition slot 5, sends name = slot 0
        "#]],
    );
}

#[test]
fn ends_may_be_elements_of_lists_and_formulas() {
    check(
        json!({ "tables": tables(json!({ "of": "Road", "by": { "from": "lower(a)", "to": "stops[*]" }, "closure": true })),
            "fields": { "n": "count(Reach[*])" } }),
        expect![[r#"
            Town, key name
              region 0, level 0
            Road, key id
              region 1, level 0
                0  a: text  column
                1  stops: list(text)  column
                2  lower(a): text  = lower(a)
            Reach, key from, to
              <- paths over Road by lower(a), each of stops, region 1, paths at level 1; recursion: a link that comes or goes costs the starts that reach it, and for each the places whose shortest way changes
              region 2, level 2
                0  from: text  column
                1  to: text  column
                2  true: bool  = true
            global
              region 3, level 3
                0  count(Reach[*]): int  <- count of Reach `true`, region 2
                1  n: int  = `count(Reach[*])`
                   incremental: count is an accumulator, one step for each changed row
        "#]],
    );
}

#[test]
fn every_drawing_shows_the_closure() {
    let plan = planned(json!({ "tables": tables(roads(None)), "fields": { "Town.n": "count(reached[*])" } }));
    let json: Value = serde_json::from_str(&to_json(&plan, &[])).expect("json");
    let key = json["nodes"].as_array().and_then(|nodes| nodes.iter().find(|node| node["id"] == "Reach.from"));
    let edge = json["edges"].as_array().and_then(|edges| edges.iter().find(|edge| edge["kind"] == "closure"));
    let explained = plan.explain("Reach.from").unwrap_or_default();
    expect![[r#"
        {
          "id": "Reach.from",
          "kind": "derived",
          "table": "Reach",
          "type": "text",
          "tier": 3,
          "region": 1,
          "carried_to": [],
          "maintenance": "incremental",
          "why": "recursion: a link that comes or goes costs the starts that reach it, and for each the places whose shortest way changes",
          "reads": [
            "Road.a",
            "Road.b"
          ],
          "state_bytes": 0,
          "rows": 0,
          "rows_touched": 0
        }
        {
          "kind": "closure",
          "from": 0,
          "to": 1,
          "by": [
            "Road.a",
            "Road.b"
          ],
          "index_level": 1
        }
        Reach.from (derived): text
        definition: a key column of Reach, whose documents are kept
        kept: incremental: recursion: a link that comes or goes costs the starts that reach it, and for each the places whose shortest way changes
        place: tier 3, region 1, level 2
        reads: Road.a, Road.b
        read by: Town: count(reached[*])
    "#]].assert_eq(&format!("{:#}\n{:#}\n{explained}", key.expect("the key"), edge.expect("the edge")));
    let of_key = |drawing: String| -> String {
        let told = drawing.lines().filter(|line| line.contains("Reach.from"));
        told.map(|line| format!("{}\n", line.trim())).collect()
    };
    expect![[r#"
        "Reach.from" [shape=ellipse, label="Reach.from\ntext"];
        "Road.a" -> "Reach.from";
        "Road.b" -> "Reach.from";
        "Reach.from" -> "Town: count(reached[*])";
        n2(["Reach.from<br/>text"])
    "#]]
    .assert_eq(&(of_key(to_dot(&plan, &[])) + &of_key(to_mermaid(&plan, &[]))));
}

#[test]
fn what_is_no_closure_is_refused() {
    let by = |from: &str, to: &str| json!({ "of": "Road", "by": { "from": from, "to": to }, "closure": true });
    let with = |key: &str, value: Value| {
        let mut closure = roads(None);
        closure[key] = value;
        closure
    };
    let cases = [
        by("a", "id"),
        by("a", "c"),
        by("a", "miles / 2.0"),
        with("of", json!("Rod")),
        with("of", json!("Reach")),
        with("by", json!("a")),
        with("by", json!({ "from": "a", "onto": "b" })),
        with("rows", json!("roads")),
        with("window", json!({ "on": "id", "size": "1m" })),
        with("where", json!("miles")),
    ];
    let refused: Vec<String> = cases
        .into_iter()
        .map(|closure| {
            let text = closure.to_string();
            format!("{text}\n{}", plan_text(json!({ "tables": tables(closure), "fields": { "n": "count(Reach[*])" } }), &[]))
        })
        .collect();
    expect![[r#"
        {"of":"Road","by":{"from":"a","to":"id"},"closure":true}
        error table[2].group.by.to: E0256: in the closure `Reach` no link follows another: `from` is text, and `to` is int
          help: convert one of them

        {"of":"Road","by":{"from":"a","to":"c"},"closure":true}
        error table[2].group.by.to: E0203: unknown field `c`
          note: columns: a, b, id, miles, open, stops, n, Road

        {"of":"Road","by":{"from":"a","to":"miles / 2.0"},"closure":true}
        error table[2].group.by.to: E0256: in the closure `Reach` no link follows another: `from` is text, and `to` is double
          help: convert one of them

        {"of":"Rod","by":{"from":"a","to":"b"},"where":null,"closure":true}
        error table[2].group.of: E0230: unknown table `Rod` in the closure of `Reach`
          help: did you mean `Road`?
          note: tables: Reach, Road, Town

        {"of":"Reach","by":{"from":"a","to":"b"},"where":null,"closure":true}
        error table[2].group.of: E0256: table `Reach` cannot be kept from rows of itself
          help: name the table whose rows are grouped

        {"of":"Road","by":"a","where":null,"closure":true}
        error table[0].relations.reached.key.0: E0231: table `Reach` has no column `from`, which relation `reached` of `Town` names
          note: columns: a
        error table[2].group.by: E0256: the key of the closure `Reach` is not `from` and `to`
          help: write closure = { of = "Edge", from = "a", to = "b" }
        error table[2].relations.end.key.0: E0231: table `Reach` has no column `to`, which relation `end` of `Reach` names
          note: columns: a

        {"of":"Road","by":{"from":"a","onto":"b"},"where":null,"closure":true}
        error table[2].group.by: E0256: the key of the closure `Reach` is not `from` and `to`
          help: write closure = { of = "Edge", from = "a", to = "b" }
        error table[2].relations.end.key.0: E0231: table `Reach` has no column `to`, which relation `end` of `Reach` names
          note: columns: from, onto

        {"of":"Road","by":{"from":"a","to":"b"},"where":null,"closure":true,"rows":"roads"}
        error table[2].group.rows: E0256: the closure `Reach` has no `rows`: a path has no rows of its own
          help: leave it out, or make a group of the closure

        {"of":"Road","by":{"from":"a","to":"b"},"where":null,"closure":true,"window":{"on":"id","size":"1m"}}
        error table[2].group.window: E0256: the closure `Reach` has no `window`: a path has no rows of its own
          help: leave it out, or make a group of the closure
        error table[2].group.window.on: E0256: the windows of `Reach` are over int, which is no timestamp
          help: name a timestamp, or make one: timestamp(text)

        {"of":"Road","by":{"from":"a","to":"b"},"where":"miles","closure":true}
        error table[2].group.where: E0240: the `where` of `Reach` is int, not bool
          help: compare it with something
    "#]].assert_eq(&refused.join("\n"));
}

#[test]
fn a_table_is_a_closure_or_a_join() {
    let mut tables = tables(roads(None));
    tables[2]["join"] = json!({ "left": "Town", "right": "Road", "on": "name == a" });
    check(
        json!({ "tables": tables }),
        expect![[r#"
        error table[0].relations.reached.key.0: E0231: table `Reach` has no column `from`, which relation `reached` of `Town` names
          note: columns: town_name, road_id
        error table[2].group: E0256: table `Reach` has both a `closure` and a `join`
          help: make a table of each: a closure may be of a join
        error table[2].relations.end.key.0: E0231: table `Reach` has no column `to`, which relation `end` of `Reach` names
          note: columns: town_name, road_id
    "#]],
    );
}

#[test]
fn a_link_cannot_read_the_paths_that_it_makes() {
    check(
        json!({ "tables": [
            { "name": "Road", "key": ["id"], "columns": { "id": "int", "a": "int", "b": "int" }, "relations": { "paths": { "table": "Reach", "key": "from" } } },
            { "name": "Reach", "group": { "of": "Road", "by": { "from": "a", "to": "b" }, "where": "n < 3", "closure": true } }],
            "fields": { "Road.n": "count(paths[*])" } }),
        expect![[r#"
            error field[0].formula: E0235: fields form a cycle: Road.n -> the key of Reach -> Road.n
              help: break it at one field, or read `self` where a field's own previous value is meant
        "#]],
    );
}
