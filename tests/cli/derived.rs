//! Derived tables from the command line: `apply`, `check`, and what is refused.

use expect_test::expect;

use super::harness::{Folder, check};

const REGIONS: &str = r#"
[[table]]
name = "Order"
key = ["id"]
columns = { id = "int", region = "text", status = "text", amount = "decimal(10,2)" }
[table.relations]
area = { to = "Region", key = "region" }

[[table]]
name = "Region"
group = { of = "Order", by = "region", where = "status == 'paid'", rows = "orders" }

[fields]
"Region.total" = "sum(orders[*].amount)"
"Order.share" = "amount / area.total"

[[effect]]
name = "big"
on = "Region"
when = "total > 100"
"#;

#[test]
fn a_region_comes_grows_and_goes() {
    let lines = r#"{"changes":[{"table":"Order","op":"insert","after":{"id":1,"region":"north","status":"paid","amount":"60.00"}},{"table":"Order","op":"insert","after":{"id":2,"region":"north","status":"open","amount":"60.00"}}]}
{"changes":[{"table":"Order","op":"update","after":{"id":2,"status":"paid"}}]}
{"changes":[{"table":"Order","op":"update","after":{"id":1,"region":"south"}},{"table":"Order","op":"delete","key":{"id":2}}]}
"#;
    let folder = Folder::new(&[("t.toml", REGIONS), ("in.jsonl", lines)]);
    folder.run(&["apply", "t.toml", "--input", "in.jsonl", "--state", "--final"]).is(expect![[r#"
        exit 0
        --- stdout
        {"epoch":1,"kind":"delta","node":"Order.amount","key":{"id":1},"old":null,"new":"60.00"}
        {"epoch":1,"kind":"delta","node":"Order.amount","key":{"id":2},"old":null,"new":"60.00"}
        {"epoch":1,"kind":"delta","node":"Order.id","key":{"id":1},"old":null,"new":1}
        {"epoch":1,"kind":"delta","node":"Order.id","key":{"id":2},"old":null,"new":2}
        {"epoch":1,"kind":"delta","node":"Order.region","key":{"id":1},"old":null,"new":"north"}
        {"epoch":1,"kind":"delta","node":"Order.region","key":{"id":2},"old":null,"new":"north"}
        {"epoch":1,"kind":"delta","node":"Order.share","key":{"id":1},"old":null,"new":"1.000000"}
        {"epoch":1,"kind":"delta","node":"Order.share","key":{"id":2},"old":null,"new":"1.000000"}
        {"epoch":1,"kind":"delta","node":"Order.status","key":{"id":1},"old":null,"new":"paid"}
        {"epoch":1,"kind":"delta","node":"Order.status","key":{"id":2},"old":null,"new":"open"}
        {"epoch":1,"kind":"delta","node":"Region.region","key":{"region":"north"},"old":null,"new":"north"}
        {"epoch":1,"kind":"delta","node":"Region.total","key":{"region":"north"},"old":null,"new":"60.00"}
        {"epoch":2,"kind":"delta","node":"Order.share","key":{"id":1},"old":"1.000000","new":"0.500000"}
        {"epoch":2,"kind":"delta","node":"Order.share","key":{"id":2},"old":"1.000000","new":"0.500000"}
        {"epoch":2,"kind":"delta","node":"Order.status","key":{"id":2},"old":"open","new":"paid"}
        {"epoch":2,"kind":"delta","node":"Region.total","key":{"region":"north"},"old":"60.00","new":"120.00"}
        {"epoch":2,"kind":"effect","node":"big","key":{"region":"north"},"version":1,"state":"fired","id":"00000000007TJFA0M634Q7JD5W","payload":{"region":"north","total":"120.00"}}
        {"epoch":3,"kind":"delta","node":"Order.amount","key":{"id":2},"old":"60.00","new":null,"gone":true}
        {"epoch":3,"kind":"delta","node":"Order.id","key":{"id":2},"old":2,"new":null,"gone":true}
        {"epoch":3,"kind":"delta","node":"Order.region","key":{"id":1},"old":"north","new":"south"}
        {"epoch":3,"kind":"delta","node":"Order.region","key":{"id":2},"old":"north","new":null,"gone":true}
        {"epoch":3,"kind":"delta","node":"Order.share","key":{"id":1},"old":"0.500000","new":"1.000000"}
        {"epoch":3,"kind":"delta","node":"Order.share","key":{"id":2},"old":"0.500000","new":null,"gone":true}
        {"epoch":3,"kind":"delta","node":"Order.status","key":{"id":2},"old":"paid","new":null,"gone":true}
        {"epoch":3,"kind":"delta","node":"Region.region","key":{"region":"north"},"old":"north","new":null,"gone":true}
        {"epoch":3,"kind":"delta","node":"Region.region","key":{"region":"south"},"old":null,"new":"south"}
        {"epoch":3,"kind":"delta","node":"Region.total","key":{"region":"north"},"old":"120.00","new":null,"gone":true}
        {"epoch":3,"kind":"delta","node":"Region.total","key":{"region":"south"},"old":null,"new":"60.00"}
        {"kind":"final","node":"Order.share","key":{"id":1},"value":"1.000000","error":null}
        {"kind":"final","node":"Region.total","key":{"region":"south"},"value":"60.00","error":null}
    "#]]);
    let one = folder.run(&["apply", "t.toml", "--input", "in.jsonl", "--state", "--final"]).to_string();
    for (workers, batch) in [("1", "3"), ("2", "2"), ("4", "1")] {
        let all = ["apply", "t.toml", "--input", "in.jsonl", "--state", "--final", "--workers", workers, "--batch", batch];
        assert_eq!(folder.run(&all).to_string(), one, "{workers} workers, steps of {batch}");
    }
}

#[test]
fn no_line_speaks_of_a_derived_table() {
    let rows = r#"{"changes":[{"table":"Region","op":"insert","after":{"region":"north"}}]}"#;
    let schema = r#"{"schema":{"table":"Region","key":["region"],"columns":{"region":"text"}}}"#;
    let mut shown = String::new();
    for lines in [rows, schema] {
        let folder = Folder::new(&[("t.toml", REGIONS), ("in.jsonl", lines)]);
        shown += &folder.run(&["apply", "t.toml", "--input", "in.jsonl"]).to_string();
    }
    expect![[r#"
        exit 1
        --- stderr
        error[E0463]: table `Region` is derived, so no line can speak of its rows
         --> in.jsonl:1:22
          = help: write the rows that it is kept from
          = next: thalweg explain E0463
        exit 3
        --- stderr
        error[E0257]: table `Region` is kept from rows of `Order`, but the source has a table `Region`
          --> t.toml:10:8
           |
        10 | name = "Region"
           |        ^^^^^^^^
           |
           = help: give the derived table another name
           = next: thalweg explain E0257
    "#]]
    .assert_eq(&shown);
}

#[test]
fn a_group_is_read_strictly() {
    let table =
        |group: &str| format!("[[table]]\nname = \"Order\"\nkey = [\"id\"]\n\n[[table]]\nname = \"Region\"\ngroup = {group}\n");
    check(
        &[
            ("no table", &table("1")),
            ("keys", &table("{ by = \"region\", were = \"true\" }")),
            ("by", &table("{ of = \"Order\", by = 1 }")),
            ("nothing to group by", &table("{ of = \"Order\" }")),
            ("a formula without a name", &table("{ of = \"Order\", by = [\"region\", \"year(at)\"] }")),
            ("in a formula", &table("{ of = \"Order\", by = { region = \"region +\" }, where = \"amount + )\" }")),
        ],
        expect![[r#"
            === no table
            exit 3
            --- stderr
            error[E0281]: `group` of section `[[table]]` must be a table, found an integer
             --> t.toml:7:9
              |
            7 | group = 1
              |         ^ expected a table

            t.toml: 1 error
            === keys
            exit 3
            --- stderr
            error[E0283]: `group` of section `[[table]]` has no `of`
             --> t.toml:7:9
              |
            7 | group = { by = "region", were = "true" }
              |         ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ `of` is missing

            error[E0280]: unknown key `were` in `group` of section `[[table]]`
             --> t.toml:7:26
              |
            7 | group = { by = "region", were = "true" }
              |                          ^^^^ no such key
              |
              = help: did you mean `where`?
              = note: keys: of, by, where, rows, window

            t.toml: 2 errors
            === by
            exit 3
            --- stderr
            error[E0281]: `by` of `group` of section `[[table]]` must be a name, a list of names or a table of formulas, found an integer
             --> t.toml:7:30
              |
            7 | group = { of = "Order", by = 1 }
              |                              ^ expected a name, a list of names or a table of formulas

            t.toml: 1 error
            === nothing to group by
            exit 3
            --- stderr
            error[E0256]: table `Region` does not say by what its rows are grouped
             --> t.toml:7:9
              |
            7 | group = { of = "Order" }
              |         ^^^^^^^^^^^^^^^^
              |
              = help: write by = "column", or by = { name = "formula" }

            t.toml: 1 error
            === a formula without a name
            exit 3
            --- stderr
            error[E0256]: `year(at)` is a formula, so its key column in `Region` needs a name
             --> t.toml:7:41
              |
            7 | group = { of = "Order", by = ["region", "year(at)"] }
              |                                         ^^^^^^^^^^
              |
              = help: write by = { name = "year(at)" }

            t.toml: 1 error
            === in a formula
            exit 3
            --- stderr
            error[E0102]: the formula ends where a value is expected
             --> t.toml:7:49
              |
            7 | group = { of = "Order", by = { region = "region +" }, where = "amount + )" }
              |                                                 ^ nothing follows `+`
              |
              = help: write the value, or remove this

            error[E0103]: `)` closes nothing
             --> t.toml:7:73
              |
            7 | group = { of = "Order", by = { region = "region +" }, where = "amount + )" }
              |                                                                         ^ no bracket is open here

            t.toml: 2 errors
        "#]],
    );
}

const MATCHES: &str = r#"
[[table]]
name = "Order"
key = ["id"]
columns = { id = "int", sku = "text", qty = "int" }
[table.relations]
matches = { table = "Match", key = "order_id" }

[[table]]
name = "Shipment"
key = ["no"]
columns = { no = "int", sku = "text", qty = "int" }

[[table]]
name = "Match"
join = { left = "Order", right = "Shipment", on = "sku", where = "order.qty <= shipment.qty" }

[fields]
"Match.spare" = "shipment.qty - order.qty"
"Order.served" = "count(matches[*]) > 0"
"#;

const ROADS: &str = r#"
[[table]]
name = "Road"
key = ["id"]
columns = { id = "int", a = "text", b = "text", open = "bool" }

[[table]]
name = "Town"
key = ["name"]
[table.relations]
reached = { table = "Reach", key = "from" }

[[table]]
name = "Reach"
closure = { of = "Road", from = "a", to = "b", where = "open" }

[fields]
"Town.around" = "count(reached[*])"
"#;

#[test]
fn roads_lead_on() {
    let lines = r#"{"changes":[{"table":"Town","op":"insert","after":{"name":"x"}},{"table":"Road","op":"insert","after":{"id":1,"a":"x","b":"y","open":true}}]}
{"changes":[{"table":"Road","op":"insert","after":{"id":2,"a":"y","b":"z","open":true}},{"table":"Road","op":"insert","after":{"id":3,"a":"z","b":"x","open":true}}]}
{"changes":[{"table":"Road","op":"update","after":{"id":2,"open":false}}]}
"#;
    let folder = Folder::new(&[("t.toml", ROADS), ("in.jsonl", lines)]);
    let shown = folder.run(&["apply", "t.toml", "--input", "in.jsonl", "--final"]);
    let one = shown.to_string();
    shown.is(expect![[r#"
        exit 0
        --- stdout
        {"epoch":1,"kind":"delta","node":"Town.around","key":{"name":"x"},"old":null,"new":1}
        {"epoch":2,"kind":"delta","node":"Town.around","key":{"name":"x"},"old":1,"new":3}
        {"epoch":3,"kind":"delta","node":"Town.around","key":{"name":"x"},"old":3,"new":1}
        {"kind":"final","node":"Town.around","key":{"name":"x"},"value":1,"error":null}
    "#]]);
    for workers in ["2", "4"] {
        let other = folder.run(&["apply", "t.toml", "--input", "in.jsonl", "--final", "--workers", workers, "--batch", "100"]);
        assert_eq!(other.to_string(), one, "{workers} workers");
    }
}

#[test]
fn a_closure_is_written_as_links() {
    let table =
        |closure: &str| ROADS.replacen("closure = { of = \"Road\", from = \"a\", to = \"b\", where = \"open\" }", closure, 1);
    check(
        &[
            ("no end", &table("closure = { of = \"Road\", from = \"a\" }")),
            ("another type", &table("closure = { of = \"Road\", from = \"a\", to = \"id\" }")),
            ("a key of groups", &table("closure = { of = \"Road\", from = \"a\", to = \"b\", by = \"a\" }")),
            (
                "a group as well",
                &table("closure = { of = \"Road\", from = \"a\", to = \"b\" }\ngroup = { of = \"Road\", by = \"a\" }"),
            ),
            ("a key", &table("key = [\"id\"]\nclosure = { of = \"Road\", from = \"a\", to = \"b\" }")),
        ],
        expect![[r#"
            === no end
            exit 3
            --- stderr
            error[E0283]: `closure` of section `[[table]]` has no `to`
              --> t.toml:15:11
               |
            15 | closure = { of = "Road", from = "a" }
               |           ^^^^^^^^^^^^^^^^^^^^^^^^^^^ `to` is missing

            t.toml: 1 error
            === another type
            exit 3
            --- stderr
            error[E0256]: in the closure `Reach` no link follows another: `from` is text, and `to` is int
              --> t.toml:15:43
               |
            15 | closure = { of = "Road", from = "a", to = "id" }
               |                                           ^^^^
               |
               = help: convert one of them

            t.toml: 1 error
            === a key of groups
            exit 3
            --- stderr
            error[E0280]: unknown key `by` in `closure` of section `[[table]]`
              --> t.toml:15:48
               |
            15 | closure = { of = "Road", from = "a", to = "b", by = "a" }
               |                                                ^^ no such key
               |
               = note: keys: of, from, to, where

            t.toml: 1 error
            === a group as well
            exit 3
            --- stderr
            error[E0282]: table `Reach` has both a `group` and a `closure`
              --> t.toml:13:1
               |
            13 | [[table]]
               | ^^^^^^^^^ rows that are grouped, or links
               |
               = help: make a table of each: a group may be of a closure

            t.toml: 1 error
            === a key
            exit 3
            --- stderr
            error[E0256]: table `Reach` is kept from rows of `Road`, so it has no `key` of its own
              --> t.toml:15:7
               |
            15 | key = ["id"]
               |       ^^^^^^
               |
               = help: leave it out: it is `from` and `to`

            t.toml: 1 error
        "#]],
    );
}

#[test]
fn orders_meet_shipments() {
    let lines = r#"{"changes":[{"table":"Order","op":"insert","after":{"id":1,"sku":"a","qty":2}},{"table":"Shipment","op":"insert","after":{"no":7,"sku":"a","qty":1}}]}
{"changes":[{"table":"Shipment","op":"update","after":{"no":7,"qty":5}},{"table":"Order","op":"insert","after":{"id":2,"sku":"a","qty":5}}]}
{"changes":[{"table":"Order","op":"update","after":{"id":1,"sku":"b"}}]}
"#;
    let folder = Folder::new(&[("t.toml", MATCHES), ("in.jsonl", lines)]);
    let shown = folder.run(&["apply", "t.toml", "--input", "in.jsonl", "--final"]);
    let one = shown.to_string();
    shown.is(expect![[r#"
        exit 0
        --- stdout
        {"epoch":1,"kind":"delta","node":"Order.served","key":{"id":1},"old":null,"new":false}
        {"epoch":2,"kind":"delta","node":"Match.spare","key":{"order_id":1,"shipment_no":7},"old":null,"new":3}
        {"epoch":2,"kind":"delta","node":"Match.spare","key":{"order_id":2,"shipment_no":7},"old":null,"new":0}
        {"epoch":2,"kind":"delta","node":"Order.served","key":{"id":1},"old":false,"new":true}
        {"epoch":2,"kind":"delta","node":"Order.served","key":{"id":2},"old":null,"new":true}
        {"epoch":3,"kind":"delta","node":"Match.spare","key":{"order_id":1,"shipment_no":7},"old":3,"new":null,"gone":true}
        {"epoch":3,"kind":"delta","node":"Order.served","key":{"id":1},"old":true,"new":false}
        {"kind":"final","node":"Match.spare","key":{"order_id":2,"shipment_no":7},"value":0,"error":null}
        {"kind":"final","node":"Order.served","key":{"id":1},"value":false,"error":null}
        {"kind":"final","node":"Order.served","key":{"id":2},"value":true,"error":null}
    "#]]);
    for (workers, batch) in [("1", "3"), ("2", "2"), ("4", "1")] {
        let all = ["apply", "t.toml", "--input", "in.jsonl", "--final", "--workers", workers, "--batch", batch];
        assert_eq!(folder.run(&all).to_string(), one, "{workers} workers, steps of {batch}");
    }
}

#[test]
fn a_join_is_read_strictly() {
    let before = &MATCHES[..MATCHES.find("join = ").expect("a join")];
    let before = before.replace("matches = { table = \"Match\", key = \"order_id\" }\n", "");
    let table = |join: &str| format!("{before}join = {join}\n");
    check(
        &[
            ("keys", &table(r#"{ left = "Order", on = 1, kind = "left" }"#)),
            ("names", &table(r#"{ left = "Order", right = "Shipment", on = "sku", as = ["one", "one"] }"#)),
            (
                "in a formula",
                &table(
                    r#"{ left = "Order", right = "Shipment", on = ["sku", "id = no"], where = "order.qty < shipment.quantity" }"#,
                ),
            ),
        ],
        expect![[r#"
            === keys
            exit 3
            --- stderr
            error[E0283]: `join` of section `[[table]]` has no `right`
              --> t.toml:15:8
               |
            15 | join = { left = "Order", on = 1, kind = "left" }
               |        ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ `right` is missing

            error[E0281]: `on` of `join` of section `[[table]]` must be a list of strings, found an integer
              --> t.toml:15:31
               |
            15 | join = { left = "Order", on = 1, kind = "left" }
               |                               ^ expected a list of strings

            error[E0280]: unknown key `kind` in `join` of section `[[table]]`
              --> t.toml:15:34
               |
            15 | join = { left = "Order", on = 1, kind = "left" }
               |                                  ^^^^ no such key
               |
               = note: keys: left, right, on, where, as

            t.toml: 3 errors
            === names
            exit 3
            --- stderr
            error[E0256]: both rows of a pair of `Match` are called `one`
              --> t.toml:15:63
               |
            15 | join = { left = "Order", right = "Shipment", on = "sku", as = ["one", "one"] }
               |                                                               ^^^^^^^^^^^^^^
               |
               = help: name them apart: as = ["one", "other"]

            t.toml: 1 error
            === in a formula
            exit 3
            --- stderr
            error[E0104]: `=` is not an operator of this language
              --> t.toml:15:63
               |
            15 | join = { left = "Order", right = "Shipment", on = ["sku", "id = no"], where = "order.qty < shipment.quantity" }
               |                                                               ^ a comparison is written `==`
               |
               = help: write `==`

            t.toml: 1 error
        "#]],
    );
}

const CLICKS: &str = r#"
[[table]]
name = "Click"
key = ["id"]
columns = { id = "int", page = "text", at = "timestamp" }

[[table]]
name = "Minute"
group = { of = "Click", by = "page", window = { on = "at", size = "1m", lateness = "10s", emit = "final", late = "LateClick" }, rows = "clicks" }

[[table]]
name = "Stay"
group = { of = "Click", window = { on = "at", gap = "30s" }, rows = "clicks" }

[fields]
"Minute.n" = "count(clicks[*])"
"Stay.n" = "count(clicks[*])"
"Stay.length" = "max(clicks[*].at) - window_start"

[[effect]]
name = "late"
on = "LateClick"
when = "true"
"#;

#[test]
fn windows_end_and_sessions_grow() {
    let lines = r#"{"changes":[{"table":"Click","op":"insert","after":{"id":1,"page":"a","at":"2026-03-01T10:00:05Z"}},{"table":"Click","op":"insert","after":{"id":2,"page":"b","at":"2026-03-01T10:00:50Z"}}]}
{"changes":[{"table":"Click","op":"insert","after":{"id":3,"page":"a","at":"2026-03-01T10:01:09Z"}}]}
{"changes":[{"table":"Click","op":"insert","after":{"id":4,"page":"a","at":"2026-03-01T10:01:10Z"}},{"table":"Click","op":"insert","after":{"id":5,"page":"a","at":"2026-03-01T10:00:30Z"}}]}
{"changes":[{"table":"Click","op":"insert","after":{"id":6,"page":"b","at":"2026-03-01T10:00:59Z"}},{"table":"Click","op":"delete","key":{"id":1}}]}
"#;
    let folder = Folder::new(&[("t.toml", CLICKS), ("in.jsonl", lines)]);
    folder.run(&["apply", "t.toml", "--input", "in.jsonl", "--final"]).is(expect![[r#"
        exit 0
        --- stdout
        {"epoch":1,"kind":"delta","node":"Stay.length","key":{"window_start":"2026-03-01T10:00:05Z"},"old":null,"new":"0s"}
        {"epoch":1,"kind":"delta","node":"Stay.length","key":{"window_start":"2026-03-01T10:00:50Z"},"old":null,"new":"0s"}
        {"epoch":1,"kind":"delta","node":"Stay.n","key":{"window_start":"2026-03-01T10:00:05Z"},"old":null,"new":1}
        {"epoch":1,"kind":"delta","node":"Stay.n","key":{"window_start":"2026-03-01T10:00:50Z"},"old":null,"new":1}
        {"epoch":2,"kind":"delta","node":"Stay.length","key":{"window_start":"2026-03-01T10:00:50Z"},"old":"0s","new":"19s"}
        {"epoch":2,"kind":"delta","node":"Stay.n","key":{"window_start":"2026-03-01T10:00:50Z"},"old":1,"new":2}
        {"epoch":3,"kind":"delta","node":"Minute.n","key":{"page":"a","window_start":"2026-03-01T10:00:00Z","window_end":"2026-03-01T10:01:00Z"},"old":null,"new":2}
        {"epoch":3,"kind":"delta","node":"Minute.n","key":{"page":"b","window_start":"2026-03-01T10:00:00Z","window_end":"2026-03-01T10:01:00Z"},"old":null,"new":1}
        {"epoch":3,"kind":"delta","node":"Stay.length","key":{"window_start":"2026-03-01T10:00:05Z"},"old":"0s","new":"65s"}
        {"epoch":3,"kind":"delta","node":"Stay.length","key":{"window_start":"2026-03-01T10:00:50Z"},"old":"19s","new":null,"gone":true}
        {"epoch":3,"kind":"delta","node":"Stay.n","key":{"window_start":"2026-03-01T10:00:05Z"},"old":1,"new":5}
        {"epoch":3,"kind":"delta","node":"Stay.n","key":{"window_start":"2026-03-01T10:00:50Z"},"old":2,"new":null,"gone":true}
        {"epoch":4,"kind":"delta","node":"Stay.length","key":{"window_start":"2026-03-01T10:00:05Z"},"old":"65s","new":null,"gone":true}
        {"epoch":4,"kind":"delta","node":"Stay.length","key":{"window_start":"2026-03-01T10:00:30Z"},"old":null,"new":"40s"}
        {"epoch":4,"kind":"delta","node":"Stay.n","key":{"window_start":"2026-03-01T10:00:05Z"},"old":5,"new":null,"gone":true}
        {"epoch":4,"kind":"delta","node":"Stay.n","key":{"window_start":"2026-03-01T10:00:30Z"},"old":null,"new":5}
        {"epoch":4,"kind":"effect","node":"late","key":{"page":"b","window_start":"2026-03-01T10:00:00Z","window_end":"2026-03-01T10:01:00Z","id":6},"version":1,"state":"fired","id":"0000000000EN6M99X325Z364K8","payload":{"id":6,"page":"b","window_end":"2026-03-01T10:01:00Z","window_start":"2026-03-01T10:00:00Z"}}
        {"kind":"final","node":"Minute.n","key":{"page":"a","window_start":"2026-03-01T10:00:00Z","window_end":"2026-03-01T10:01:00Z"},"value":2,"error":null}
        {"kind":"final","node":"Minute.n","key":{"page":"b","window_start":"2026-03-01T10:00:00Z","window_end":"2026-03-01T10:01:00Z"},"value":1,"error":null}
        {"kind":"final","node":"Stay.length","key":{"window_start":"2026-03-01T10:00:30Z"},"value":"40s","error":null}
        {"kind":"final","node":"Stay.n","key":{"window_start":"2026-03-01T10:00:30Z"},"value":5,"error":null}
    "#]]);
}

/// One click comes within the gap of a session that is over, and one would have made a session of its own that was over before.
#[test]
fn sessions_end_for_good() {
    let config = r#"
[[table]]
name = "Click"
key = ["id"]
columns = { at = "timestamp", page = "text" }

[[table]]
name = "Stay"
group = { of = "Click", by = "page", window = { on = "at", gap = "20s", lateness = "10s", emit = "final", late = "Straggler" }, rows = "clicks" }

[fields]
"Stay.n" = "count(clicks[*])"
"Stay.length" = "max(clicks[*].at) - window_start"

[[effect]]
name = "straggler"
on = "Straggler"
when = "true"
"#;
    let lines = r#"{"changes":[{"table":"Click","op":"insert","after":{"id":1,"page":"a","at":"2026-03-01T10:00:05Z"}},{"table":"Click","op":"insert","after":{"id":2,"page":"b","at":"2026-03-01T10:00:50Z"}}]}
{"changes":[{"table":"Click","op":"insert","after":{"id":3,"page":"a","at":"2026-03-01T10:00:20Z"}}]}
{"changes":[{"table":"Click","op":"insert","after":{"id":4,"page":"a","at":"2026-03-01T10:01:10Z"}}]}
{"changes":[{"table":"Click","op":"insert","after":{"id":5,"page":"a","at":"2026-03-01T10:00:30Z"}},{"table":"Click","op":"delete","key":{"id":1}}]}
"#;
    let folder = Folder::new(&[("t.toml", config), ("in.jsonl", lines)]);
    folder.run(&["apply", "t.toml", "--input", "in.jsonl", "--final"]).is(expect![[r#"
        exit 0
        --- stdout
        {"epoch":1,"kind":"delta","node":"Stay.length","key":{"page":"a","window_start":"2026-03-01T10:00:05Z"},"old":null,"new":"0s"}
        {"epoch":1,"kind":"delta","node":"Stay.n","key":{"page":"a","window_start":"2026-03-01T10:00:05Z"},"old":null,"new":1}
        {"epoch":2,"kind":"effect","node":"straggler","key":{"page":"a","window_start":"2026-03-01T10:00:05Z","id":3},"version":1,"state":"fired","id":"00000000008GBRJXQVSCCRD5WT","payload":{"id":3,"page":"a","window_start":"2026-03-01T10:00:05Z"}}
        {"epoch":4,"kind":"effect","node":"straggler","key":{"page":"a","window_start":"2026-03-01T10:00:30Z","id":5},"version":1,"state":"fired","id":"0000000000DQKRBHHAJ81T08QY","payload":{"id":5,"page":"a","window_start":"2026-03-01T10:00:30Z"}}
        {"kind":"final","node":"Stay.length","key":{"page":"a","window_start":"2026-03-01T10:00:05Z"},"value":"0s","error":null}
        {"kind":"final","node":"Stay.n","key":{"page":"a","window_start":"2026-03-01T10:00:05Z"},"value":1,"error":null}
    "#]]);
    folder.run(&["graph", "t.toml"]).is(expect![[r#"
        exit 0
        --- stdout
        Click, key id
          region 0, level 0
            0  at: timestamp  column
            1  page: text  column
            2  id: dyn  column
            3  true: bool  = true
          region 1, level 2
            0  page: text  from region 0
            1  at: timestamp  from region 0
            2  true: bool  from region 0
            3  id: dyn  from region 0
            4  session(at): timestamp  <- start of the session over at by page, gap 20s, region 0, index at level 1
            5  late for session(at): timestamp  <- start of the session that was over when the row came, over at by page, gap 20s, region 0, index at level 1
        Stay, key page, window_start
          <- rows of Click by page, session(at), region 1; a document is born once the greatest at less 10s has passed its last row and the gap, and does not change
          region 2, level 3
            0  page: text  column
            1  window_start: timestamp  column
            2  count(clicks[*]): int  <- count of Click `true` by page, session(at), region 1
            3  max(clicks[*].at): timestamp  <- max of Click `at` by page, session(at), region 1
            4  Stay.n: int  = `count(clicks[*])`
               incremental: count is an accumulator, one step for each changed row
            5  Stay.length: duration  = `max(clicks[*].at)` - window_start
               incremental: max keeps its values in order, O(log n) for each changed row
        Straggler, key page, window_start, id
          <- rows of Click by page, late for session(at), id, region 1; a document lives as long as a row is in it
          region 3, level 3
            0  page: text  column
            1  window_start: timestamp  column
            2  id: dyn  column
            3  effect straggler: bool  = true
        effect straggler on Straggler when true
          region 3, condition slot 3, sends page = slot 0, window_start = slot 1, id = slot 2
    "#]]);
}

#[test]
fn windows_are_read_strictly() {
    let window = |text: &str| CLICKS.replace("on = \"at\", gap = \"30s\"", text);
    let cases = [
        ("keys", window("gap = \"30s\", every = \"1m\", emit = 1")),
        ("emit", window("on = \"at\", size = \"30s\", emit = \"last\"")),
        ("updates", window("on = \"at\", size = \"30s\", lateness = \"1s\", late = \"More\"")),
        ("late and a session", CLICKS.replace("size = \"1m\", lateness = \"10s\"", "gap = \"1m\", lateness = \"soon\"")),
        (
            "no lateness",
            CLICKS.replace("late = \"LateClick\"", "lateness = \"soon\", late = \"Click\"").replace("lateness = \"10s\", ", ""),
        ),
        ("late without a key", CLICKS.replace("key = [\"id\"]\n", "")),
        ("late and a key of one name", CLICKS.replace("by = \"page\"", "by = { id = \"page\" }")),
    ];
    let cases: Vec<(&str, &str)> = cases.iter().map(|(name, text)| (*name, &**text)).collect();
    check(
        &cases,
        expect![[r#"
        === keys
        exit 3
        --- stderr
        error[E0283]: `window` of `group` of section `[[table]]` has no `on`
          --> t.toml:13:34
           |
        13 | group = { of = "Click", window = { gap = "30s", every = "1m", emit = 1 }, rows = "clicks" }
           |                                  ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ `on` is missing

        error[E0280]: unknown key `every` in `window` of `group` of section `[[table]]`
          --> t.toml:13:49
           |
        13 | group = { of = "Click", window = { gap = "30s", every = "1m", emit = 1 }, rows = "clicks" }
           |                                                 ^^^^^ no such key
           |
           = note: keys: on, size, slide, offset, gap, lateness, emit, late

        error[E0281]: `emit` of `window` of `group` of section `[[table]]` must be a string, found an integer
          --> t.toml:13:70
           |
        13 | group = { of = "Click", window = { gap = "30s", every = "1m", emit = 1 }, rows = "clicks" }
           |                                                                      ^ expected a string

        t.toml: 3 errors
        === emit
        exit 3
        --- stderr
        error[E0256]: windows are not emitted as `last`
          --> t.toml:13:68
           |
        13 | group = { of = "Click", window = { on = "at", size = "30s", emit = "last" }, rows = "clicks" }
           |                                                                    ^^^^^^
           |
           = help: write "updates", "final" or "early+final"

        t.toml: 1 error
        === updates
        exit 3
        --- stderr
        error[E0256]: `lateness` counts only for windows that end, and these follow every change
          --> t.toml:13:72
           |
        13 | group = { of = "Click", window = { on = "at", size = "30s", lateness = "1s", late = "More" }, rows = "clicks" }
           |                                                                        ^^^^
           |
           = help: add emit = "final" or emit = "early+final", or leave it out

        error[E0256]: `late` counts only for windows that end, and these follow every change
          --> t.toml:13:85
           |
        13 | group = { of = "Click", window = { on = "at", size = "30s", lateness = "1s", late = "More" }, rows = "clicks" }
           |                                                                                     ^^^^^^
           |
           = help: add emit = "final" or emit = "early+final", or leave it out

        t.toml: 2 errors
        === late and a session
        exit 3
        --- stderr
        error[E0256]: `soon` is no lateness of a window
         --> t.toml:9:83
          |
        9 | group = { of = "Click", by = "page", window = { on = "at", gap = "1m", lateness = "soon", emit = "final", late = "LateClick" }, rows ...
          |                                                                                   ^^^^^^
          |
          = help: write a length such as 10s, 5m or 1d

        error[E0230]: unknown table `LateClick` in effect `late`
          --> t.toml:22:6
           |
        22 | on = "LateClick"
           |      ^^^^^^^^^^^
           |
           = help: declare it: [[table]] name = "LateClick"
           = note: tables: Click, Minute, Stay

        t.toml: 2 errors
        === no lateness
        exit 3
        --- stderr
        error[E0256]: `soon` is no lateness of a window
         --> t.toml:9:100
          |
        9 | group = { of = "Click", by = "page", window = { on = "at", size = "1m", emit = "final", lateness = "soon", late = "Click" }, rows = "...
          |                                                                                                    ^^^^^^
          |
          = help: write a length such as 10s, 5m or 1d

        error[E0230]: unknown table `LateClick` in effect `late`
          --> t.toml:22:6
           |
        22 | on = "LateClick"
           |      ^^^^^^^^^^^
           |
           = help: declare it: [[table]] name = "LateClick"
           = note: tables: Click, Minute, Stay

        t.toml: 2 errors
        === late without a key
        exit 3
        --- stderr
        error[E0256]: late rows need a key, and that of `Click` is not known here
         --> t.toml:8:114
          |
        8 | group = { of = "Click", by = "page", window = { on = "at", size = "1m", lateness = "10s", emit = "final", late = "LateClick" }, rows ...
          |                                                                                                                  ^^^^^^^^^^^
          |
          = help: declare it: key = ["id"] in [[table]] "Click"

        error[E0230]: unknown table `LateClick` in effect `late`
          --> t.toml:21:6
           |
        21 | on = "LateClick"
           |      ^^^^^^^^^^^
           |
           = help: declare it: [[table]] name = "LateClick"
           = note: tables: Click, Minute, Stay

        t.toml: 2 errors
        === late and a key of one name
        exit 3
        --- stderr
        error[E0233]: column `id` would stand twice in the key of `LateClick`
         --> t.toml:9:123
          |
        9 | ...at", size = "1m", lateness = "10s", emit = "final", late = "LateClick" }, rows = "clicks" }
          |                                                               ^^^^^^^^^^^
          |
          = help: give the column of the windows another name: by = { name = "formula" }

        error[E0230]: unknown table `LateClick` in effect `late`
          --> t.toml:22:6
           |
        22 | on = "LateClick"
           |      ^^^^^^^^^^^
           |
           = help: declare it: [[table]] name = "LateClick"
           = note: tables: Click, Minute, Stay

        t.toml: 2 errors
    "#]],
    );
}
