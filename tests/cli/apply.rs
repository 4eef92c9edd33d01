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
        expect![""],
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
        expect![""],
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
        expect![""],
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
        expect![""],
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
        expect![""],
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
        expect![""],
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
        expect![""],
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
    expect![""].assert_eq(&shown);
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
