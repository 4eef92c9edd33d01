//! `thalweg apply`: every rule of the format, on whole outputs; and the same bytes for any number of workers and any batch.

use expect_test::{Expect, expect};

use super::harness::Folder;

const SHOP: &str = r#"
[[table]]
name = "Order"
key = ["id"]
columns = { id = "int", customer_id = "int", status = "text" }
[table.relations]
items = { table = "Item", key = "order_id" }
customer = { to = "Customer", key = "customer_id" }

[[table]]
name = "Item"
from = "shop.items"
key = ["id"]
columns = { id = "int", order_id = "int", price = "decimal(10,2)", qty = "int" }

[[table]]
name = "Customer"
key = ["id"]
columns = { id = "int", region = "text" }

[fields]
"Order.total" = "sum(items[*].price * items[*].qty)"
"Order.region" = "customer.region"
"Order.each" = "100 / count(items[*].id)"

[[effect]]
name = "big"
when = "Order.total > 100"
payload = ["id", "total", "region"]

[[classify]]
table = "Order"
insert = "order.placed"
update = "order.changed"

[[reactions]]
event = "order.changed"
condition = "old.status != new.status"

[[reactions]]
event = "order.placed"
timer = { delay = "1h", event = "order.late" }

[[reactions]]
event = "order.late"
condition = "status == 'open'"
"#;

fn apply(toml: &str, lines: &str, args: &[&str], want: Expect) {
    let folder = Folder::new(&[("t.toml", toml), ("in.jsonl", lines)]);
    let all: Vec<&str> = ["apply", "t.toml", "--input", "in.jsonl"].into_iter().chain(args.iter().copied()).collect();
    folder.run(&all).is(want);
}

#[test]
fn deltas_effects_and_timers_come_sorted_and_numbered() {
    apply(
        SHOP,
        r#"{"tx":"a","at":"2026-01-31T12:00:00Z","changes":[{"table":"Customer","op":"insert","after":{"id":1,"region":"north"}}]}
{"tx":"b","changes":[{"table":"Order","op":"insert","after":{"id":7,"customer_id":1,"status":"open"}},{"table":"Item","op":"insert","after":{"id":1,"order_id":7,"price":"60.00","qty":2}}]}
{"tx":"c","changes":[{"table":"shop.items","op":"update","key":{"id":1},"after":{"qty":1}}]}
{"tx":"d","at":"2026-01-31T12:30:00Z","changes":[{"table":"Order","op":"update","key":{"id":7},"after":{"status":"paid"}},{"table":"Item","op":"upsert","after":{"id":2,"order_id":7,"price":99.90,"qty":1}}]}
{"tx":"e","at":"2026-01-31T13:30:00Z","changes":[{"table":"Order","op":"update","key":{"id":7},"after":{"status":"open"}}]}
{"tx":"f","at":"2026-01-31T11:00:00Z","changes":[{"table":"Order","op":"delete","key":{"id":7}}]}
"#,
        &["--final"],
        expect![[r#"
            exit 0
            --- stdout
            {"epoch":2,"kind":"delta","node":"Order.each","key":{"id":7},"old":null,"new":100}
            {"epoch":2,"kind":"delta","node":"Order.region","key":{"id":7},"old":null,"new":"north"}
            {"epoch":2,"kind":"delta","node":"Order.total","key":{"id":7},"old":null,"new":"120.00"}
            {"epoch":2,"kind":"effect","node":"big","key":{"id":7},"version":1,"state":"fired","id":"01KG9YS7G0VQ57V5HQGE162VNQ","payload":{"id":7,"region":"north","total":"120.00"}}
            {"epoch":2,"kind":"effect","node":"order.placed","key":{"id":7},"version":1,"state":"fired","id":"01KG9YS7G0M2J5N0DVYG557599","payload":{"event":"order.placed","key":{"id":7},"new":{"customer_id":1,"id":7,"status":"open"},"old":null,"op":"insert","table":"Order"}}
            {"epoch":3,"kind":"delta","node":"Order.total","key":{"id":7},"old":"120.00","new":"60.00"}
            {"epoch":4,"kind":"delta","node":"Order.each","key":{"id":7},"old":100,"new":50}
            {"epoch":4,"kind":"delta","node":"Order.total","key":{"id":7},"old":"60.00","new":"159.90"}
            {"epoch":4,"kind":"effect","node":"big","key":{"id":7},"version":3,"state":"fired","id":"01KGA0G5A0RK5784QPMH28TPY4","payload":{"id":7,"region":"north","total":"159.90"}}
            {"epoch":4,"kind":"effect","node":"order.changed","key":{"id":7},"version":1,"state":"fired","id":"01KGA0G5A0WV489HGM2R1AYS81","payload":{"event":"order.changed","key":{"id":7},"new":{"customer_id":1,"id":7,"status":"paid"},"old":{"customer_id":1,"id":7,"status":"open"},"op":"update","table":"Order"}}
            {"epoch":6,"kind":"effect","node":"order.changed","key":{"id":7},"version":3,"state":"fired","id":"01KGA3Y0Y0TWKSMZ521Q7H7DWG","payload":{"event":"order.changed","key":{"id":7},"new":{"customer_id":1,"id":7,"status":"open"},"old":{"customer_id":1,"id":7,"status":"paid"},"op":"update","table":"Order"}}
            {"epoch":7,"kind":"delta","node":"Order.each","key":{"id":7},"old":50,"new":null,"gone":true}
            {"epoch":7,"kind":"delta","node":"Order.region","key":{"id":7},"old":"north","new":null,"gone":true}
            {"epoch":7,"kind":"delta","node":"Order.total","key":{"id":7},"old":"159.90","new":null,"gone":true}
        "#]],
    );
}

#[test]
fn a_timer_takes_an_epoch_before_the_line_that_reaches_it() {
    apply(
        SHOP,
        r#"{"at":"2026-01-31T12:00:00Z","changes":[{"table":"Order","op":"insert","after":{"id":1,"status":"open"}}]}
{"at":"2026-01-31T12:00:01Z","changes":[{"table":"Order","op":"insert","after":{"id":2,"status":"paid"}}]}
{"at":"2026-01-31T12:59:59Z","changes":[{"table":"Order","op":"insert","after":{"id":3,"status":"open"}}]}
{"at":"2026-01-31T13:00:01Z","changes":[{"table":"Customer","op":"insert","after":{"id":1,"region":"south"}}]}
{"changes":[{"table":"Order","op":"update","key":{"id":3},"after":{"customer_id":1}}]}
"#,
        &[],
        expect![[r#"
            exit 0
            --- stdout
            {"epoch":1,"kind":"delta","node":"Order.total","key":{"id":1},"old":null,"new":"0.00"}
            {"epoch":1,"kind":"effect","node":"order.placed","key":{"id":1},"version":1,"state":"fired","id":"01KG9YS7G0J5AG7SYBJRCCEV3A","payload":{"event":"order.placed","key":{"id":1},"new":{"customer_id":null,"id":1,"status":"open"},"old":null,"op":"insert","table":"Order"}}
            {"epoch":1,"kind":"error","node":"Order.each","key":{"id":1},"code":"E0302","message":"division by zero"}
            {"epoch":2,"kind":"delta","node":"Order.total","key":{"id":2},"old":null,"new":"0.00"}
            {"epoch":2,"kind":"effect","node":"order.placed","key":{"id":2},"version":1,"state":"fired","id":"01KG9YS8F8THW2WR947Z2T3ARP","payload":{"event":"order.placed","key":{"id":2},"new":{"customer_id":null,"id":2,"status":"paid"},"old":null,"op":"insert","table":"Order"}}
            {"epoch":2,"kind":"error","node":"Order.each","key":{"id":2},"code":"E0302","message":"division by zero"}
            {"epoch":3,"kind":"delta","node":"Order.total","key":{"id":3},"old":null,"new":"0.00"}
            {"epoch":3,"kind":"effect","node":"order.placed","key":{"id":3},"version":1,"state":"fired","id":"01KGA2724R2X3R3TJET7PCF1N7","payload":{"event":"order.placed","key":{"id":3},"new":{"customer_id":null,"id":3,"status":"open"},"old":null,"op":"insert","table":"Order"}}
            {"epoch":3,"kind":"error","node":"Order.each","key":{"id":3},"code":"E0302","message":"division by zero"}
            {"epoch":4,"kind":"effect","node":"order.late","key":{"id":1},"version":1,"state":"fired","id":"01KGA273400NVKKE8E55E49ZRV","payload":{"event":"order.late","key":{"id":1},"new":{"customer_id":null,"id":1,"status":"open"},"old":null,"op":"timer","table":"Order"}}
            {"epoch":7,"kind":"delta","node":"Order.region","key":{"id":3},"old":null,"new":"south"}
        "#]],
    );
}

#[test]
fn a_row_that_cannot_be_applied_is_an_error_line_and_the_rest_of_its_line_goes_on() {
    apply(
        SHOP,
        r#"{"changes":[{"table":"Item","op":"insert","after":{"id":1,"order_id":1,"price":"1.00","qty":1}},{"table":"Order","op":"insert","after":{"id":1}}]}
{"changes":[{"table":"Item","op":"insert","after":{"id":1,"order_id":1,"price":"2.00","qty":1}},{"table":"Item","op":"insert","after":{"id":2,"order_id":1,"price":"3.00","qty":1}}]}
{"changes":[{"table":"Item","op":"update","key":{"id":9},"after":{"qty":5}},{"table":"Item","op":"delete","key":{"id":9}}]}
{"changes":[{"table":"Item","op":"update","key":{"id":2},"after":{"qty":"many"}}]}
{"changes":[{"table":"Item","op":"delete","key":{"id":2}}]}
"#,
        &["--final"],
        expect![[r#"
            exit 0
            --- stdout
            {"epoch":1,"kind":"delta","node":"Order.each","key":{"id":1},"old":null,"new":100}
            {"epoch":1,"kind":"delta","node":"Order.total","key":{"id":1},"old":null,"new":"1.00"}
            {"epoch":1,"kind":"effect","node":"order.placed","key":{"id":1},"version":1,"state":"fired","id":"0000000000J5AG7SYBJRCCEV3A","payload":{"event":"order.placed","key":{"id":1},"new":{"customer_id":null,"id":1,"status":null},"old":null,"op":"insert","table":"Order"}}
            {"epoch":2,"kind":"delta","node":"Order.each","key":{"id":1},"old":100,"new":50}
            {"epoch":2,"kind":"delta","node":"Order.total","key":{"id":1},"old":"1.00","new":"4.00"}
            {"epoch":2,"kind":"error","node":"Item","key":{"id":1},"code":"E0330","message":"insert of a row that exists"}
            {"epoch":3,"kind":"error","node":"Item","key":{"id":9},"code":"E0331","message":"delete of a row that does not exist"}
            {"epoch":3,"kind":"error","node":"Item","key":{"id":9},"code":"E0331","message":"update of a row that does not exist"}
            {"epoch":4,"kind":"error","node":"Item","key":{"id":2},"code":"E0332","message":"column `qty`: \"many\" is not int"}
            {"epoch":5,"kind":"delta","node":"Order.each","key":{"id":1},"old":50,"new":100}
            {"epoch":5,"kind":"delta","node":"Order.total","key":{"id":1},"old":"4.00","new":"1.00"}
            {"kind":"final","node":"Order.each","key":{"id":1},"value":100,"error":null}
            {"kind":"final","node":"Order.region","key":{"id":1},"value":null,"error":null}
            {"kind":"final","node":"Order.total","key":{"id":1},"value":"1.00","error":null}
        "#]],
    );
}

#[test]
fn an_error_value_stands_beside_the_last_good_one_and_is_withdrawn() {
    apply(
        SHOP,
        r#"{"changes":[{"table":"Order","op":"insert","after":{"id":1}}]}
{"changes":[{"table":"Item","op":"insert","after":{"id":1,"order_id":1,"price":"1.00","qty":1}}]}
{"changes":[{"table":"Item","op":"delete","key":{"id":1}}]}
"#,
        &["--final"],
        expect![[r#"
            exit 0
            --- stdout
            {"epoch":1,"kind":"delta","node":"Order.total","key":{"id":1},"old":null,"new":"0.00"}
            {"epoch":1,"kind":"effect","node":"order.placed","key":{"id":1},"version":1,"state":"fired","id":"0000000000J5AG7SYBJRCCEV3A","payload":{"event":"order.placed","key":{"id":1},"new":{"customer_id":null,"id":1,"status":null},"old":null,"op":"insert","table":"Order"}}
            {"epoch":1,"kind":"error","node":"Order.each","key":{"id":1},"code":"E0302","message":"division by zero"}
            {"epoch":2,"kind":"delta","node":"Order.each","key":{"id":1},"old":null,"new":100}
            {"epoch":2,"kind":"delta","node":"Order.total","key":{"id":1},"old":"0.00","new":"1.00"}
            {"epoch":2,"kind":"error","node":"Order.each","key":{"id":1},"code":"E0302","message":"division by zero","cleared":true}
            {"epoch":3,"kind":"delta","node":"Order.total","key":{"id":1},"old":"1.00","new":"0.00"}
            {"epoch":3,"kind":"error","node":"Order.each","key":{"id":1},"code":"E0302","message":"division by zero"}
            {"kind":"final","node":"Order.each","key":{"id":1},"value":100,"error":{"code":"E0302","message":"division by zero"}}
            {"kind":"final","node":"Order.region","key":{"id":1},"value":null,"error":null}
            {"kind":"final","node":"Order.total","key":{"id":1},"value":"0.00","error":null}
        "#]],
    );
}

#[test]
fn keys_change_partial_rows_keep_what_is_absent_and_null_is_null() {
    apply(
        SHOP,
        r#"{"changes":[{"table":"Order","op":"insert","after":{"id":1,"customer_id":1}},{"table":"Customer","op":"insert","after":{"id":1,"region":"west"}}]}
{"changes":[{"table":"Order","op":"update","key":{"id":1},"after":{"id":2}}]}
{"changes":[{"table":"Order","op":"update","before":{"id":2,"customer_id":1},"after":{"id":3}}]}
{"changes":[{"table":"Order","op":"update","key":{"id":3},"after":{"customer_id":null}}]}
{"changes":[{"table":"Order","op":"insert","after":{"id":4}},{"table":"Order","op":"delete","key":{"id":4}}]}
"#,
        &["--state"],
        expect![[r#"
            exit 0
            --- stdout
            {"epoch":1,"kind":"delta","node":"Customer.id","key":{"id":1},"old":null,"new":1}
            {"epoch":1,"kind":"delta","node":"Customer.region","key":{"id":1},"old":null,"new":"west"}
            {"epoch":1,"kind":"delta","node":"Order.customer_id","key":{"id":1},"old":null,"new":1}
            {"epoch":1,"kind":"delta","node":"Order.id","key":{"id":1},"old":null,"new":1}
            {"epoch":1,"kind":"delta","node":"Order.region","key":{"id":1},"old":null,"new":"west"}
            {"epoch":1,"kind":"delta","node":"Order.total","key":{"id":1},"old":null,"new":"0.00"}
            {"epoch":1,"kind":"effect","node":"order.placed","key":{"id":1},"version":1,"state":"fired","id":"0000000000J5AG7SYBJRCCEV3A","payload":{"event":"order.placed","key":{"id":1},"new":{"customer_id":1,"id":1,"status":null},"old":null,"op":"insert","table":"Order"}}
            {"epoch":1,"kind":"error","node":"Order.each","key":{"id":1},"code":"E0302","message":"division by zero"}
            {"epoch":2,"kind":"delta","node":"Order.customer_id","key":{"id":1},"old":1,"new":null,"gone":true}
            {"epoch":2,"kind":"delta","node":"Order.customer_id","key":{"id":2},"old":null,"new":1}
            {"epoch":2,"kind":"delta","node":"Order.id","key":{"id":1},"old":1,"new":null,"gone":true}
            {"epoch":2,"kind":"delta","node":"Order.id","key":{"id":2},"old":null,"new":2}
            {"epoch":2,"kind":"delta","node":"Order.region","key":{"id":1},"old":"west","new":null,"gone":true}
            {"epoch":2,"kind":"delta","node":"Order.region","key":{"id":2},"old":null,"new":"west"}
            {"epoch":2,"kind":"delta","node":"Order.total","key":{"id":1},"old":"0.00","new":null,"gone":true}
            {"epoch":2,"kind":"delta","node":"Order.total","key":{"id":2},"old":null,"new":"0.00"}
            {"epoch":2,"kind":"effect","node":"order.placed","key":{"id":2},"version":1,"state":"fired","id":"0000000000THW2WR947Z2T3ARP","payload":{"event":"order.placed","key":{"id":2},"new":{"customer_id":1,"id":2,"status":null},"old":null,"op":"insert","table":"Order"}}
            {"epoch":2,"kind":"error","node":"Order.each","key":{"id":1},"code":"E0302","message":"division by zero","cleared":true}
            {"epoch":2,"kind":"error","node":"Order.each","key":{"id":2},"code":"E0302","message":"division by zero"}
            {"epoch":3,"kind":"delta","node":"Order.customer_id","key":{"id":2},"old":1,"new":null,"gone":true}
            {"epoch":3,"kind":"delta","node":"Order.customer_id","key":{"id":3},"old":null,"new":1}
            {"epoch":3,"kind":"delta","node":"Order.id","key":{"id":2},"old":2,"new":null,"gone":true}
            {"epoch":3,"kind":"delta","node":"Order.id","key":{"id":3},"old":null,"new":3}
            {"epoch":3,"kind":"delta","node":"Order.region","key":{"id":2},"old":"west","new":null,"gone":true}
            {"epoch":3,"kind":"delta","node":"Order.region","key":{"id":3},"old":null,"new":"west"}
            {"epoch":3,"kind":"delta","node":"Order.total","key":{"id":2},"old":"0.00","new":null,"gone":true}
            {"epoch":3,"kind":"delta","node":"Order.total","key":{"id":3},"old":null,"new":"0.00"}
            {"epoch":3,"kind":"effect","node":"order.placed","key":{"id":3},"version":1,"state":"fired","id":"00000000002X3R3TJET7PCF1N7","payload":{"event":"order.placed","key":{"id":3},"new":{"customer_id":1,"id":3,"status":null},"old":null,"op":"insert","table":"Order"}}
            {"epoch":3,"kind":"error","node":"Order.each","key":{"id":2},"code":"E0302","message":"division by zero","cleared":true}
            {"epoch":3,"kind":"error","node":"Order.each","key":{"id":3},"code":"E0302","message":"division by zero"}
            {"epoch":4,"kind":"delta","node":"Order.customer_id","key":{"id":3},"old":1,"new":null}
            {"epoch":4,"kind":"delta","node":"Order.region","key":{"id":3},"old":"west","new":null}
        "#]],
    );
}

#[test]
fn schema_lines_declare_tables_and_count_as_lines() {
    apply(
        "[fields]\n\"Thing.double\" = \"price * 2\"\n",
        r#"{"schema":{"table":"Thing","key":["a","b"],"columns":{"a":"int","b":"text","price":"decimal(10,2)"}}}
{"changes":[{"table":"Thing","op":"insert","after":{"a":1,"b":"x","price":"1.10"}}]}

{"changes":[{"table":"Thing","op":"update","key":{"a":1,"b":"x"},"after":{"price":2.20}}]}
"#,
        &[],
        expect![[r#"
            exit 0
            --- stdout
            {"epoch":2,"kind":"delta","node":"Thing.double","key":{"a":1,"b":"x"},"old":null,"new":"2.20"}
            {"epoch":4,"kind":"delta","node":"Thing.double","key":{"a":1,"b":"x"},"old":"2.20","new":"4.40"}
        "#]],
    );
}

#[test]
fn a_table_without_a_key_is_a_multiset() {
    apply(
        "[[table]]\nname = \"Tick\"\nkey = []\ncolumns = { n = \"int\" }\n\n[fields]\n\"total\" = \"sum(Tick[*].n)\"\n",
        r#"{"changes":[{"table":"Tick","op":"insert","after":{"n":1}},{"table":"Tick","op":"insert","after":{"n":1}}]}
{"changes":[{"table":"Tick","op":"delete","before":{"n":1}}]}
{"changes":[{"table":"Tick","op":"update","before":{"n":1},"after":{"n":5}}]}
{"changes":[{"table":"Tick","op":"delete","before":{"n":7}}]}
"#,
        &[],
        expect![[r#"
            exit 0
            --- stdout
            {"epoch":1,"kind":"delta","node":"total","key":{},"old":null,"new":2}
            {"epoch":2,"kind":"delta","node":"total","key":{},"old":2,"new":1}
            {"epoch":3,"kind":"delta","node":"total","key":{},"old":1,"new":5}
            {"epoch":4,"kind":"error","node":"Tick","key":{"n":7},"code":"E0331","message":"delete of a row that does not exist"}
        "#]],
    );
}

#[test]
fn a_wrong_line_stops_it_with_line_and_column_and_what_came_before_counts() {
    let lines =
        |last: &str| format!("{}\n{last}\n", r#"{"changes":[{"table":"Order","op":"insert","after":{"id":1,"customer_id":1}}]}"#);
    let mut shown = String::new();
    for last in [
        r#"{"changes":[{"table":"Order","op":"insert","after":{"id":2}}, {"table":"Ordr","op":"insert","after":{"id":3}}]}"#,
        r#"{"changes":[{"table":"Order","op":"replace","after":{"id":2}}]}"#,
        r#"{"changes":[{"table":"Order","op":"insert","after":{"id":2}}"#,
        r#"{"schema":{"table":"Order","columns":{"id":"itn"}}}"#,
    ] {
        let folder = Folder::new(&[("t.toml", SHOP), ("in.jsonl", &lines(last))]);
        shown += &folder.run(&["apply", "t.toml", "--input", "in.jsonl"]).to_string();
    }
    expect![[r#"
        exit 1
        --- stdout
        {"epoch":1,"kind":"delta","node":"Order.total","key":{"id":1},"old":null,"new":"0.00"}
        {"epoch":1,"kind":"effect","node":"order.placed","key":{"id":1},"version":1,"state":"fired","id":"0000000000J5AG7SYBJRCCEV3A","payload":{"event":"order.placed","key":{"id":1},"new":{"customer_id":1,"id":1,"status":null},"old":null,"op":"insert","table":"Order"}}
        {"epoch":1,"kind":"error","node":"Order.each","key":{"id":1},"code":"E0302","message":"division by zero"}
        --- stderr
        error[E0463]: unknown table `Ordr`
         --> in.jsonl:2:72
          = help: did you mean `Order`?
          = next: thalweg explain E0463
        exit 1
        --- stdout
        {"epoch":1,"kind":"delta","node":"Order.total","key":{"id":1},"old":null,"new":"0.00"}
        {"epoch":1,"kind":"effect","node":"order.placed","key":{"id":1},"version":1,"state":"fired","id":"0000000000J5AG7SYBJRCCEV3A","payload":{"event":"order.placed","key":{"id":1},"new":{"customer_id":1,"id":1,"status":null},"old":null,"op":"insert","table":"Order"}}
        {"epoch":1,"kind":"error","node":"Order.each","key":{"id":1},"code":"E0302","message":"division by zero"}
        --- stderr
        error[E0462]: unknown op `replace`
         --> in.jsonl:2:35
          = help: write insert, update, delete, upsert or clear
          = next: thalweg explain E0462
        exit 1
        --- stdout
        {"epoch":1,"kind":"delta","node":"Order.total","key":{"id":1},"old":null,"new":"0.00"}
        {"epoch":1,"kind":"effect","node":"order.placed","key":{"id":1},"version":1,"state":"fired","id":"0000000000J5AG7SYBJRCCEV3A","payload":{"event":"order.placed","key":{"id":1},"new":{"customer_id":1,"id":1,"status":null},"old":null,"op":"insert","table":"Order"}}
        {"epoch":1,"kind":"error","node":"Order.each","key":{"id":1},"code":"E0302","message":"division by zero"}
        --- stderr
        error[E0461]: bad JSON: expected `,` or `]`, found the end of the line
         --> in.jsonl:2:61
          = next: thalweg explain E0461
        exit 1
        --- stderr
        error[E0229]: column `id`: unknown type `itn`
         --> in.jsonl:2:1
          = help: types are int, uint, double, decimal(10,2), text, bytes, bool, timestamp, duration, list(int), map(text, int), dyn
          = next: thalweg explain E0229
    "#]].assert_eq(&shown);
}

#[test]
fn the_result_goes_where_it_is_asked_to_and_input_may_come_from_a_pipe() {
    let line = r#"{"changes":[{"table":"Order","op":"insert","after":{"id":1}}]}"#;
    let folder = Folder::new(&[("t.toml", SHOP)]);
    let ran = folder.run_with_input(&["apply", "t.toml", "--input", "-", "--output", "out.jsonl"], line);
    assert_eq!((ran.code, ran.out.as_str(), ran.err.as_str()), (0, "", ""));
    let piped = folder.run_with_input(&["apply", "t.toml", "--input", "-"], line);
    assert_eq!(piped.out, folder.read("out.jsonl"));
    assert!(!piped.out.is_empty());
}

/// A history that meets every kind of change, made by a small generator of numbers.
fn history(lines: usize) -> String {
    let mut state: u64 = 42;
    let mut next = |n: u64| {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 33) % n
    };
    let mut out = String::new();
    for line in 0..lines {
        let mut changes = Vec::new();
        for _ in 0..=next(3) {
            let (id, op) = (next(6), ["insert", "update", "upsert", "delete"][next(4) as usize]);
            let after = match next(3) {
                0 => ("Customer", format!(r#"{{"id":{id},"region":"r{}"}}"#, next(3))),
                1 => ("Order", format!(r#"{{"id":{id},"customer_id":{},"status":"s{}"}}"#, next(6), next(2))),
                _ => (
                    "Item",
                    format!(r#"{{"id":{id},"order_id":{},"price":"{}.{:02}","qty":{}}}"#, next(6), next(90), next(100), next(4)),
                ),
            };
            let (table, row) = after;
            changes.push(match op {
                "delete" => format!(r#"{{"table":"{table}","op":"delete","key":{{"id":{id}}}}}"#),
                _ => format!(r#"{{"table":"{table}","op":"{op}","key":{{"id":{id}}},"after":{row}}}"#),
            });
        }
        if next(25) == 0 {
            let table = ["Customer", "Order", "Item"][next(3) as usize];
            changes.insert(next(changes.len() as u64 + 1) as usize, format!(r#"{{"table":"{table}","op":"clear"}}"#));
        }
        let (hour, minute) = (line / 6 % 24, line % 6 * 10);
        out += &format!(
            "{{\"at\":\"2026-01-{:02}T{hour:02}:{minute:02}:00Z\",\"changes\":[{}]}}\n",
            1 + line / 144,
            changes.join(",")
        );
    }
    out
}

#[test]
fn the_bytes_are_the_same_for_any_number_of_workers_and_any_batch() {
    let folder = Folder::new(&[("t.toml", SHOP), ("in.jsonl", &history(400))]);
    let run = |extra: &[&str]| {
        let args: Vec<&str> =
            ["apply", "t.toml", "--input", "in.jsonl", "--final", "--state"].into_iter().chain(extra.iter().copied()).collect();
        let ran = folder.run(&args);
        assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{extra:?}");
        ran.out
    };
    let one = run(&["--workers", "1", "--batch", "1"]);
    for kind in ["delta", "effect", "error", "final"] {
        assert!(one.contains(&format!("\"kind\":\"{kind}\"")), "the history brings a {kind}");
    }
    for workers in ["1", "2", "4"] {
        for batch in ["1", "2", "7", "1000"] {
            let other = run(&["--workers", workers, "--batch", batch]);
            assert!(one == other, "{workers} workers, batches of {batch}: {}", first_difference(&one, &other));
        }
    }
}

fn first_difference(one: &str, other: &str) -> String {
    let pairs = one.lines().zip(other.lines()).enumerate().find(|(_, (a, b))| a != b);
    pairs.map_or_else(|| "one is longer".into(), |(n, (a, b))| format!("line {}\n  {a}\n  {b}", n + 1))
}

#[test]
fn the_error_of_a_condition_is_told_under_the_rules_name() {
    let toml = r#"
[[table]]
name = "Order"
key = ["id"]
columns = { id = "int", qty = "int" }

[[effect]]
name = "dear"
on = "Order"
when = "100 / qty > 40"

[[classify]]
table = "Order"
update = "order.changed"

[[reactions]]
event = "order.changed"
condition = "100 % new.qty == 0"
"#;
    apply(
        toml,
        r#"{"changes":[{"table":"Order","op":"insert","after":{"id":1,"qty":0}}]}
{"changes":[{"table":"Order","op":"update","key":{"id":1},"after":{"qty":2}}]}
{"changes":[{"table":"Order","op":"update","key":{"id":1},"after":{"qty":0}}]}
"#,
        &[],
        expect![[r#"
            exit 0
            --- stdout
            {"epoch":1,"kind":"error","node":"dear","key":{"id":1},"code":"E0302","message":"division by zero"}
            {"epoch":2,"kind":"effect","node":"dear","key":{"id":1},"version":1,"state":"fired","id":"00000000002GSSGEYBF8X78YR0","payload":{"id":1,"qty":2}}
            {"epoch":2,"kind":"effect","node":"order.changed","key":{"id":1},"version":1,"state":"fired","id":"0000000000SZTTJ2NVRNPC2TV3","payload":{"event":"order.changed","key":{"id":1},"new":{"id":1,"qty":2},"old":{"id":1,"qty":0},"op":"update","table":"Order"}}
            {"epoch":2,"kind":"error","node":"dear","key":{"id":1},"code":"E0302","message":"division by zero","cleared":true}
            {"epoch":3,"kind":"error","node":"dear","key":{"id":1},"code":"E0302","message":"division by zero"}
            {"epoch":3,"kind":"error","node":"order.changed","key":{"id":1},"code":"E0302","message":"division by zero"}
        "#]],
    );
}

const SENSORS: &str = r#"
[[table]]
name = "Sensor"
key = ["id"]
columns = { id = "int", log = "list(dyn)" }
[table.relations]
points = { table = "Point", key = "sensor" }
entries = { json = "log" }

[[table]]
name = "Point"
key = ["id"]
columns = { id = "int", sensor = "int", value = "double", at = "int", note = "text" }

[fields]
"Sensor.mean" = "window_avg(points[*].value, 2, points[*].at)"
"Sensor.last" = "last(points[*].value, 2)"
"Sensor.best" = "top(points[*].id, 2, points[*].value)"
"Sensor.notes" = "string_agg(points[*].note, ', ', points[*].at)"
"Sensor.trend" = "corr(points[*].at, points[*].value)"
"Sensor.middle" = "median(entries[*].v)"
"Sensor.latest" = "last(entries[*].v, entries[*].t)"
"Sensor.good" = "all(entries[*].v > 0)"
"kinds" = "count_distinct(Point[*].note)"
"#;

const MEASURED: &str = r#"{"changes":[{"table":"Sensor","op":"insert","after":{"id":1,"log":[{"v":3,"t":9},{"v":null,"t":10},{"v":4.5,"t":8}]}}]}
{"changes":[{"table":"Point","op":"insert","after":{"id":1,"sensor":1,"value":1.5,"at":30,"note":"a"}},{"table":"Point","op":"insert","after":{"id":2,"sensor":1,"value":2.5,"at":10,"note":"b"}},{"table":"Point","op":"insert","after":{"id":3,"sensor":1,"value":9.0,"at":20}}]}
{"changes":[{"table":"Point","op":"update","key":{"id":3},"after":{"value":-1.0,"note":"a"}}]}
{"changes":[{"table":"Point","op":"delete","key":{"id":1}},{"table":"Sensor","op":"update","key":{"id":1},"after":{"log":[{"v":-1,"t":1}]}}]}
"#;

#[test]
fn aggregates_of_rows_and_of_arrays_follow_every_change() {
    apply(
        SENSORS,
        MEASURED,
        &["--final"],
        expect![[r#"
        exit 0
        --- stdout
        {"epoch":1,"kind":"delta","node":"Sensor.best","key":{"id":1},"old":null,"new":[]}
        {"epoch":1,"kind":"delta","node":"Sensor.last","key":{"id":1},"old":null,"new":[]}
        {"epoch":1,"kind":"delta","node":"Sensor.latest","key":{"id":1},"old":null,"new":3}
        {"epoch":1,"kind":"delta","node":"Sensor.middle","key":{"id":1},"old":null,"new":3.75}
        {"epoch":1,"kind":"delta","node":"kinds","key":{},"old":null,"new":0}
        {"epoch":2,"kind":"delta","node":"Sensor.best","key":{"id":1},"old":[],"new":[3,2]}
        {"epoch":2,"kind":"delta","node":"Sensor.last","key":{"id":1},"old":[],"new":[2.5,9.0]}
        {"epoch":2,"kind":"delta","node":"Sensor.mean","key":{"id":1},"old":null,"new":5.25}
        {"epoch":2,"kind":"delta","node":"Sensor.notes","key":{"id":1},"old":null,"new":"b, a"}
        {"epoch":2,"kind":"delta","node":"Sensor.trend","key":{"id":1},"old":null,"new":-0.1227818263605087}
        {"epoch":2,"kind":"delta","node":"kinds","key":{},"old":0,"new":2}
        {"epoch":3,"kind":"delta","node":"Sensor.best","key":{"id":1},"old":[3,2],"new":[2,1]}
        {"epoch":3,"kind":"delta","node":"Sensor.last","key":{"id":1},"old":[2.5,9.0],"new":[2.5,-1.0]}
        {"epoch":3,"kind":"delta","node":"Sensor.mean","key":{"id":1},"old":5.25,"new":0.25}
        {"epoch":3,"kind":"delta","node":"Sensor.notes","key":{"id":1},"old":"b, a","new":"b, a, a"}
        {"epoch":3,"kind":"delta","node":"Sensor.trend","key":{"id":1},"old":-0.1227818263605087,"new":-0.2773500981126146}
        {"epoch":4,"kind":"delta","node":"Sensor.best","key":{"id":1},"old":[2,1],"new":[2,3]}
        {"epoch":4,"kind":"delta","node":"Sensor.good","key":{"id":1},"old":null,"new":false}
        {"epoch":4,"kind":"delta","node":"Sensor.latest","key":{"id":1},"old":3,"new":-1}
        {"epoch":4,"kind":"delta","node":"Sensor.mean","key":{"id":1},"old":0.25,"new":0.75}
        {"epoch":4,"kind":"delta","node":"Sensor.middle","key":{"id":1},"old":3.75,"new":-1.0}
        {"epoch":4,"kind":"delta","node":"Sensor.notes","key":{"id":1},"old":"b, a, a","new":"b, a"}
        {"epoch":4,"kind":"delta","node":"Sensor.trend","key":{"id":1},"old":-0.2773500981126146,"new":-1.0}
        {"kind":"final","node":"Sensor.best","key":{"id":1},"value":[2,3],"error":null}
        {"kind":"final","node":"Sensor.good","key":{"id":1},"value":false,"error":null}
        {"kind":"final","node":"Sensor.last","key":{"id":1},"value":[2.5,-1.0],"error":null}
        {"kind":"final","node":"Sensor.latest","key":{"id":1},"value":-1,"error":null}
        {"kind":"final","node":"Sensor.mean","key":{"id":1},"value":0.75,"error":null}
        {"kind":"final","node":"Sensor.middle","key":{"id":1},"value":-1.0,"error":null}
        {"kind":"final","node":"Sensor.notes","key":{"id":1},"value":"b, a","error":null}
        {"kind":"final","node":"Sensor.trend","key":{"id":1},"value":-1.0,"error":null}
        {"kind":"final","node":"kinds","key":{},"value":2,"error":null}
    "#]],
    );
}

/// Rows that go with their table go as if each was deleted there: whatever they were made by, in the same line too, and by the table's other
/// name; what comes behind begins anew.
#[test]
fn a_table_is_emptied_in_the_place_of_the_clear() {
    let lines = r#"{"tx":"a","changes":[{"table":"Order","op":"insert","after":{"id":1,"customer_id":7,"status":"open"}},{"table":"Item","op":"insert","after":{"id":1,"order_id":1,"price":"2.00","qty":3}}]}
{"tx":"b","changes":[{"table":"Item","op":"insert","after":{"id":2,"order_id":1,"price":"5.00","qty":1}},{"table":"Item","op":"update","key":{"id":1},"after":{"qty":4}}]}
{"tx":"c","changes":[{"table":"Item","op":"insert","after":{"id":3,"order_id":1,"price":"1.00","qty":1}},{"table":"shop.items","op":"clear"},{"table":"Item","op":"insert","after":{"id":2,"order_id":1,"price":"0.25","qty":2}}]}
{"tx":"d","changes":[{"table":"Item","op":"delete","key":{"id":1}}]}
{"tx":"e","changes":[{"table":"Item","op":"clear"}]}
{"tx":"f","changes":[{"table":"Item","op":"clear"},{"table":"Item","op":"insert","after":{"id":1,"order_id":1,"price":"9.00","qty":1}}]}
"#;
    let config = r#"
[[table]]
name = "Order"
key = ["id"]
[table.relations]
items = { table = "Item", key = "order_id" }
[[table]]
name = "Item"
from = "shop.items"
key = ["id"]
columns = { price = "decimal(10,2)", qty = "int" }
[fields]
"Order.total" = "sum(items[*].price * items[*].qty)"
"#;
    apply(
        config,
        lines,
        &[],
        expect![[r#"
            exit 0
            --- stdout
            {"epoch":1,"kind":"delta","node":"Order.total","key":{"id":1},"old":null,"new":"6.00"}
            {"epoch":2,"kind":"delta","node":"Order.total","key":{"id":1},"old":"6.00","new":"13.00"}
            {"epoch":3,"kind":"delta","node":"Order.total","key":{"id":1},"old":"13.00","new":"0.50"}
            {"epoch":4,"kind":"error","node":"Item","key":{"id":1},"code":"E0331","message":"delete of a row that does not exist"}
            {"epoch":5,"kind":"delta","node":"Order.total","key":{"id":1},"old":"0.50","new":"0.00"}
            {"epoch":6,"kind":"delta","node":"Order.total","key":{"id":1},"old":"0.00","new":"9.00"}
        "#]],
    );
    let wrong = r#"{"changes":[{"table":"Item","op":"clear","key":{"id":1}}]}"#;
    apply(
        config,
        wrong,
        &[],
        expect![[r#"
        exit 1
        --- stderr
        error[E0464]: clear is of all rows, so it takes no `key`, `before` or `after`
         --> in.jsonl:1:13
          = next: thalweg explain E0464
    "#]],
    );
}

/// Fields that the clock publishes: all of one moment in one epoch, by the time that the lines tell.
const CLOCKED: &str = r#"
[[table]]
name = "Shop"
key = ["id"]
columns = { id = "int", opens_at = "timestamp" }
[table.relations]
orders = { table = "Order", key = "shop_id" }

[[table]]
name = "Order"
key = ["id"]
columns = { id = "int", shop_id = "int", price = "int" }

[fields]
"Shop.sales" = { formula = "sum(orders[*].price)", timing = { every = "5m" } }
"all" = { formula = "sum(Shop[*].sales)", timing = { every = "5m" } }
"Shop.nightly" = { formula = "count(orders[*])", timing = { cron = "0 3 * * *", zone = "Europe/Berlin" } }
"Shop.live" = { formula = "count(orders[*])", timing = { batch = 100, or_after = "10s" } }
"Shop.best" = { formula = "max(orders[*].price)", timing = { at = "opens_at" } }

[[effect]]
name = "busy"
on = "Shop"
when = "sales > 10"
"#;

#[test]
fn the_clock_publishes_by_the_time_of_the_input() {
    apply(
        CLOCKED,
        r#"{"at":"2026-03-01T01:50:00Z","changes":[{"table":"Shop","op":"insert","after":{"id":1,"opens_at":"2026-03-01T01:54:00Z"}},{"table":"Shop","op":"insert","after":{"id":2}}]}
{"at":"2026-03-01T01:51:00Z","changes":[{"table":"Order","op":"insert","after":{"id":1,"shop_id":1,"price":7}},{"table":"Order","op":"insert","after":{"id":2,"shop_id":2,"price":3}}]}
{"at":"2026-03-01T01:52:00Z","changes":[{"table":"Order","op":"insert","after":{"id":3,"shop_id":1,"price":9}}]}
{"at":"2026-03-01T01:58:00Z","changes":[{"table":"Order","op":"insert","after":{"id":4,"shop_id":1,"price":20}}]}
{"at":"2026-03-01T02:01:00Z","changes":[]}
"#,
        &[],
        expect![[r#"
            exit 0
            --- stdout
            {"epoch":1,"kind":"delta","node":"Shop.live","key":{"id":1},"old":null,"new":0}
            {"epoch":1,"kind":"delta","node":"Shop.live","key":{"id":2},"old":null,"new":0}
            {"epoch":3,"kind":"delta","node":"Shop.live","key":{"id":1},"old":0,"new":1}
            {"epoch":3,"kind":"delta","node":"Shop.live","key":{"id":2},"old":0,"new":1}
            {"epoch":5,"kind":"delta","node":"Shop.live","key":{"id":1},"old":1,"new":2}
            {"epoch":6,"kind":"delta","node":"Shop.best","key":{"id":1},"old":null,"new":9}
            {"epoch":7,"kind":"delta","node":"Shop.sales","key":{"id":1},"old":null,"new":16}
            {"epoch":7,"kind":"delta","node":"Shop.sales","key":{"id":2},"old":null,"new":3}
            {"epoch":7,"kind":"delta","node":"all","key":{},"old":null,"new":19}
            {"epoch":7,"kind":"effect","node":"busy","key":{"id":1},"version":1,"state":"fired","id":"01KJKHP990RS48WGWJ388KTCEQ","payload":{"id":1,"sales":16}}
            {"epoch":9,"kind":"delta","node":"Shop.best","key":{"id":1},"old":9,"new":20}
            {"epoch":10,"kind":"delta","node":"Shop.live","key":{"id":1},"old":2,"new":3}
            {"epoch":11,"kind":"delta","node":"Shop.nightly","key":{"id":1},"old":null,"new":3}
            {"epoch":11,"kind":"delta","node":"Shop.nightly","key":{"id":2},"old":null,"new":1}
            {"epoch":11,"kind":"delta","node":"Shop.sales","key":{"id":1},"old":16,"new":36}
            {"epoch":11,"kind":"delta","node":"all","key":{},"old":19,"new":39}
        "#]],
    );
}

#[test]
fn a_graph_says_what_the_clock_publishes() {
    let folder = Folder::new(&[("t.toml", CLOCKED)]);
    folder.run(&["check", "t.toml"]).is(expect![[r#"
        exit 0
        --- stdout
        t.toml: 10 fields, 5 formulas, 1 effect, 0 reactions, 0 sources
    "#]]);
    folder.run(&["graph", "t.toml", "--format", "text"]).is(expect![[r#"
        exit 0
        --- stdout
        Shop, key id
          region 1, level 1
            0  id: int  column
            1  opens_at: timestamp  column
            2  sum(orders[*].price): int  <- sum of Order `price` by shop_id, region 0
            3  count(orders[*]): int  <- count of Order `true` by shop_id, region 0
            4  max(orders[*].price): int  <- max of Order `price` by shop_id, region 0
            5  Shop.sales waits: int  = true || `sum(orders[*].price)` == null ? (self < 0 ? 0 : 1) : 0, self at first 0
            6  Shop.sales: int  = `Shop.sales waits` == 0 ? `sum(orders[*].price)` : self, self at first null
               incremental: a function of its own row; published every 5m
            7  Shop.nightly waits: int  = true || `count(orders[*])` == null ? (self < 0 ? 0 : 1) : 0, self at first 0
            8  Shop.nightly: int  = `Shop.nightly waits` == 0 ? `count(orders[*])` : self, self at first null
               incremental: a function of its own row; published by 0 3 * * * in Europe/Berlin
            9  Shop.live waiting: int  = true || `count(orders[*])` == null ? (self < 0 || self + 1 >= 100 ? 0 : self + 1) : 0, self at first 99
            10  Shop.live: int  = `Shop.live waiting` == 0 ? `count(orders[*])` : self, self at first null
               incremental: a function of its own row; published in batches of 100 or after 10s
            11  Shop.best waits: int  = true || `max(orders[*].price)` == null || opens_at == null ? (self < 0 ? 0 : 1) : 0, self at first 0
            12  Shop.best: int  = `Shop.best waits` == 0 ? `max(orders[*].price)` : self, self at first null
               incremental: a function of its own row; published at opens_at
            13  effect busy: bool  = Shop.sales > 10
        Order, key id
          region 0, level 0
            0  price: int  column
            1  shop_id: int  column
            2  true: bool  = true
        global
          region 2, level 2
            0  sum(Shop[*].sales): int  <- sum of Shop `Shop.sales`, region 1
            1  all waits: int  = true || `sum(Shop[*].sales)` == null ? (self < 0 ? 0 : 1) : 0, self at first 0
            2  all: int  = `all waits` == 0 ? `sum(Shop[*].sales)` : self, self at first null
               incremental: a function of its own row; published every 5m
        effect busy on Shop when sales > 10
          region 1, condition slot 13, sends id = slot 0, sales = slot 6
        moments that publish fields: every 5m
        moments that publish fields: 0 3 * * * Europe/Berlin
    "#]]);
}
