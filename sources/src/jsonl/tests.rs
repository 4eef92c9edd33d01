use std::fmt::Write as _;

use expect_test::{Expect, expect};
use proptest::prelude::*;
use thalweg_formulas::{Type, Value};

use super::*;

fn tables() -> Vec<JsonTable> {
    let order = JsonTable {
        name: "Order".into(),
        from: "shop.orders".into(),
        key: Some(vec!["id".into()]),
        columns: vec![("id".into(), Type::Int), ("price".into(), Type::Decimal { precision: 10, scale: 2 })],
        kept: false,
    };
    let bag = JsonTable { name: "Bag".into(), from: "Bag".into(), key: Some(vec![]), columns: vec![], kept: false };
    let open = JsonTable { name: "Open".into(), from: "Open".into(), key: None, columns: vec![], kept: false };
    vec![order, bag, open]
}

fn check(lines: &str, want: Expect) {
    let mut out = String::new();
    for line in JsonlReader::new(lines.as_bytes(), tables()) {
        match line {
            Ok(Line::Transaction(tx)) => {
                let Body::Changes(changes) = &tx.body else { panic!("only changes come from lines") };
                writeln!(out, "{} at {}", tx.origin, tx.at.0).unwrap();
                for c in changes {
                    let names: Vec<&str> = c.schema.columns.iter().map(|c| &*c.name).collect();
                    let image = |row: &Option<thalweg_graph::Row>| match row {
                        None => "-".to_owned(),
                        Some(row) => {
                            assert_eq!(row.len(), names.len());
                            let cells = names.iter().zip(row).filter_map(|(n, v)| Some(format!("{n}={}", show(v.as_ref()?))));
                            cells.collect::<Vec<_>>().join(" ")
                        }
                    };
                    let key = c.key.as_ref().map(|key| key.iter().map(show).collect::<Vec<_>>().join(","));
                    let (before, after) = (image(&c.before), image(&c.after));
                    writeln!(out, "  {} {:?} key {:?} of {:?}: {before} -> {after}", c.schema.table, c.op, key, c.schema.key)
                        .unwrap();
                }
            }
            Ok(Line::Schema(schema)) => writeln!(out, "{schema:?}").unwrap(),
            Ok(Line::Blank) => writeln!(out, "blank").unwrap(),
            Err(LineError::Bad { code, line, column, message, help }) => {
                let help = help.map_or(String::new(), |help| format!(" | {help}"));
                writeln!(out, "{line}:{column} {code}: {message}{help}").unwrap();
            }
            Err(error) => writeln!(out, "{error}").unwrap(),
        }
    }
    want.assert_eq(&out);
}

fn show(value: &Value) -> String {
    match value {
        Value::Decimal(x) => format!("{x}d"),
        Value::Text(x) => format!("{x:?}"),
        Value::List(items) => format!("{:?}", items.iter().map(show).collect::<Vec<_>>()),
        Value::Map(entries) => {
            format!("{:?}", entries.iter().map(|(k, v)| format!("{}:{}", show(k), show(v))).collect::<Vec<_>>())
        }
        other => format!("{other:?}"),
    }
}

#[test]
fn a_line_is_a_transaction_with_typed_rows() {
    check(
        concat!(
            r#"{"tx":"a","at":"2026-01-31T12:00:00.5Z","changes":[{"table":"Order","op":"insert","after":{"id":1,"price":0.10,"note":"x","n":9223372036854775808,"f":1.5,"e":1e2}}]}"#,
            "\n",
            r#"{"changes":[{"op":"update","key":{"id":1},"after":{"price":"12.50","id":2},"before":null,"table":"shop.orders"}]}"#,
            "\r\n\n",
            r#"{"tx":7,"at":"2026-01-31T13:00:00+01:00","changes":[{"table":"Bag","op":"delete","before":{"a":null,"b":[1,{"c":true}]}}]}"#,
            "\n",
            r#"{"changes":[]}"#,
        ),
        expect![[r#"
            a at 1769860800500000
              Order Insert key None of [0]: - -> id=Int(1) price=0.10d note="x" n=Uint(9223372036854775808) f=Double(1.5) e=Double(100.0)
            2 at 1769860800500000
              Order Update key Some("Int(1)") of [0]: - -> id=Int(2) price="12.50"
            blank
            7 at 1769860800000000
              Bag Delete key None of []: a=Null b=["Int(1)", "[\"\\\"c\\\":Bool(true)\"]"] -> -
            5 at 1769860800000000
        "#]],
    );
}

#[test]
fn an_undeclared_key_is_that_of_the_first_change_that_gives_one() {
    check(
        concat!(
            r#"{"changes":[{"table":"Open","op":"upsert","key":{"b":1,"a":"x"},"after":{"c":1}}]}"#,
            "\n",
            r#"{"changes":[{"table":"Open","op":"delete","key":{"a":"y","b":2}}]}"#,
            "\n",
            r#"{"changes":[{"table":"Open","op":"delete","key":{"a":"y"}}]}"#,
            "\n",
        ),
        expect![[r#"
            1 at 0
              Open Upsert key Some("Int(1),\"x\"") of [0, 1]: - -> c=Int(1)
            2 at 0
              Open Delete key Some("Int(2),\"y\"") of [0, 1]: - -> -
            3:49 E0464: `key` has no member `b`
        "#]],
    );
}

#[test]
fn a_schema_line_declares_or_changes_a_table() {
    check(
        concat!(
            r#"{"schema":{"table":"New","key":["k"],"columns":{"k":"int","p":"decimal(10,2)"}}}"#,
            "\n",
            r#"{"changes":[{"table":"New","op":"insert","after":{"k":1,"p":0.30}}]}"#,
            "\n",
            r#"{"schema":{"table":"Order","columns":{"price":"double"}}}"#,
            "\n",
            r#"{"changes":[{"table":"Order","op":"insert","after":{"id":1,"price":0.30}}]}"#,
            "\n",
            r#"{"schema":{"table":"Order","columns":{"price":"dubble"}}}"#,
        ),
        expect![[r#"
            SchemaLine { table: "New", key: Some(["k"]), columns: [("k", "int"), ("p", "decimal(10,2)")] }
            2 at 0
              New Insert key None of [0]: - -> k=Int(1) p=0.30d
            SchemaLine { table: "Order", key: None, columns: [("price", "double")] }
            4 at 0
              Order Insert key None of [0]: - -> id=Int(1) price=Double(0.3)
            5:2 E0229: column `price`: unknown type `dubble` | did you mean `double`?
        "#]],
    );
    let lines =
        "{\"changes\":[]}\n{\"schema\":{\"table\":\"A\"}}\n{\"schema\":}\n{\"schema\":{\"table\":\"B\",\"key\":[\"k\"]}}\n";
    let found: Vec<(u64, String)> = schema_lines(lines.as_bytes()).unwrap().into_iter().map(|(n, s)| (n, s.table)).collect();
    assert_eq!(found, [(2, "A".to_owned()), (4, "B".to_owned())]);
}

#[test]
fn a_string_is_base64_where_bytes_are_declared() {
    check(
        concat!(
            r#"{"schema":{"table":"New","key":["k"],"columns":{"k":"int","b":"bytes"}}}"#,
            "\n",
            r#"{"changes":[{"table":"New","op":"insert","after":{"k":1,"b":"AP8\u003d","c":"AP8="}}]}"#,
            "\n",
            r#"{"changes":[{"table":"New","op":"insert","after":{"k":2,"b":{"$bytes":"AP8="}}}]}"#,
            "\n",
            r#"{"changes":[{"table":"New","op":"insert","after":{"k":3,"b":"grün"}}]}"#,
        ),
        expect![[r#"
            SchemaLine { table: "New", key: Some(["k"]), columns: [("k", "int"), ("b", "bytes")] }
            2 at 0
              New Insert key None of [0]: - -> k=Int(1) b=Bytes([0, 255]) c="AP8="
            3 at 0
              New Insert key None of [0]: - -> k=Int(2) b=Bytes([0, 255])
            4:61 E0464: "grün" is not base64
        "#]],
    );
}

#[test]
fn what_is_wrong_is_said_with_line_and_column() {
    let lines = [
        r#"{"changes":[}"#,
        r#"{"changes":[]"#,
        r#"{"changes":[]} x"#,
        r#"[]"#,
        r#"{"tx":"1"}"#,
        r#"{"changes":[],"schema":{"table":"a"}}"#,
        r#"{"changes":[{"table":"Ordr","op":"insert","after":{}}]}"#,
        r#"{"changes":[{"table":"Zzz","op":"insert","after":{}}]}"#,
        r#"{"changes":[{"table":"Order","op":"replace","after":{}}]}"#,
        r#"{"changes":[{"table":"Order","op":"insert"}]}"#,
        r#"{"changes":[{"table":"Order","op":"delete"}]}"#,
        r#"{"changes":[{"op":"delete"}]}"#,
        r#"{"changes":[{"table":"Order","op":"update","key":{"x":1},"after":{}}]}"#,
        r#"{"changes":[{"table":"Bag","op":"update","key":{"x":1},"after":{}}]}"#,
        r#"{"at":"yesterday","changes":[]}"#,
        r#"{"tx":{},"changes":[]}"#,
        r#"{"tx":"ä\q","changes":[]}"#,
        r#"{"tx":"abc"#,
        r#"{"changes":[{"table":"Order","op":"insert","after":{"id":01}}]}"#,
        r#"{"changes":[{"table":"Order","op":"insert","after":{"id":1e999}}]}"#,
        r#"{"changes":[{"table":"Order","op":"insert","after":{"id":"\ud800"}}]}"#,
        r#"{"changes":[{"table":"Order","op":"insert","after":[1]}]}"#,
        r#"{"changes":nul}"#,
    ];
    let deep = format!("{{\"changes\":{}", "[".repeat(300));
    let deep_row = format!(r#"{{"changes":[{{"table":"Bag","op":"insert","after":{{"a":{}"#, "[".repeat(300));
    let all = lines.iter().map(|l| (*l).to_owned()).chain([deep, deep_row]).collect::<Vec<_>>().join("\n");
    check(
        &all,
        expect![[r#"
        1:13 E0461: bad JSON: expected a change (an object), found `}`
        2:14 E0461: bad JSON: expected `,` or `}`, found the end of the line
        3:16 E0461: bad JSON: expected the end of the line, found `x`
        4:1 E0461: bad JSON: expected an object, found `[`
        5:1 E0464: a line needs either `changes` or `schema`
        6:1 E0464: a line needs either `changes` or `schema`
        7:22 E0463: unknown table `Ordr` | did you mean `Order`?
        8:22 E0463: unknown table `Zzz` | declare it with [[table]] in the configuration, or with a `schema` line
        9:35 E0462: unknown op `replace` | write insert, update, delete, upsert or clear
        10:13 E0464: insert needs `after`
        11:13 E0464: delete needs `key` or `before`
        12:13 E0464: a change needs `table`
        13:50 E0464: `key` has no member `id`
        14:48 E0464: table `Bag` has no key, so a change of it cannot have one
        15:7 E0464: `yesterday` is not an RFC 3339 time | for example "2026-01-31T12:00:00Z"
        16:7 E0464: `tx` must be a string
        17:9 E0461: bad JSON: unknown escape in a string
        18:7 E0461: bad JSON: the string is not closed
        19:58 E0461: bad JSON: not a number
        20:58 E0464: the number 1e999 is too large
        21:59 E0461: bad JSON: `\u` needs four hexadecimal digits of a character
        22:52 E0461: bad JSON: expected an object with the row after, found `[`
        23:12 E0461: bad JSON: expected a list of changes, found `n`
        24:13 E0461: bad JSON: expected a change (an object), found `[`
        25:179 E0461: bad JSON: nested deeper than 128
    "#]],
    );
}

#[test]
fn escapes_are_read_as_json_says() {
    check(
        r#"{"changes":[{"table":"Bag","op":"insert","after":{"a\tb":"\u00e4\ud83d\ude00\"\\\/\b\f\n\r\t","":"ö"}}]}"#,
        expect![[r#"
            1 at 0
              Bag Insert key None of []: - -> a	b="ä😀\"\\/\u{8}\u{c}\n\r\t" ="ö"
        "#]],
    );
}

/// JSON with numbers that both readers can hold, and white space between the tokens.
fn arb_json() -> impl Strategy<Value = String> {
    let number =
        prop_oneof![any::<i64>().prop_map(|n| n.to_string()), (-1e9..1e9f64).prop_map(|x| format!("{x:e}")), Just("-0".into())];
    let text = "\\PC{0,6}".prop_map(|s| serde_json::to_string(&s).unwrap());
    let leaf = prop_oneof![number, text.clone(), "true|false|null", "\"(\\\\u[0-9a-fA-F]{4}|\\\\[nrtbf/\"\\\\])*\""];
    leaf.prop_recursive(4, 24, 4, move |inner| {
        let members = proptest::collection::vec((text.clone(), "[ \\t]{0,2}", inner.clone()), 0..4);
        prop_oneof![
            proptest::collection::vec(inner, 0..4).prop_map(|items| format!("[{}]", items.join(" ,"))),
            members.prop_map(|ms| format!(
                "{{{}}}",
                ms.iter().map(|(k, s, v)| format!("{s}{k}{s}:{v}")).collect::<Vec<_>>().join(",")
            )),
        ]
    })
}

proptest! {
    /// What counts as JSON is what another reader says, for right texts and for texts with one byte changed.
    #[test]
    fn the_grammar_is_that_of_json(text in arb_json(), at in any::<prop::sample::Index>(), byte in prop_oneof![b' '..=b'~', Just(0)]) {
        let mut bytes = text.clone().into_bytes();
        if byte > 0 && !bytes.is_empty() {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        // A change inside a character beyond ASCII leaves what is no text.
        let text = String::from_utf8(bytes).unwrap_or(text);
        let mut cursor = cursor::Cursor::new(&text);
        let ours = cursor.value(&Type::Dyn).and_then(|value| cursor.end().map(|()| value));
        let theirs = serde_json::from_str::<serde_json::Value>(&text);
        let tagged = text.contains("\"$");
        let too_large = matches!(&ours, Err(fault) if fault.code == 464) || theirs.as_ref().is_err_and(|e| e.to_string().contains("out of range"));
        if !tagged && !too_large {
            prop_assert_eq!(ours.is_ok(), theirs.is_ok(), "{} {:?} {:?}", text, ours, theirs);
            let mut skipper = cursor::Cursor::new(&text);
            prop_assert_eq!(skipper.skip().and_then(|()| skipper.end()).is_ok(), theirs.is_ok());
        }
    }

    /// No text, however broken, does more than fail.
    #[test]
    fn any_line_is_read_or_refused(text in "\\PC{0,60}") {
        let line = format!("{{\"changes\":[{text}]}}");
        let _ = JsonlReader::new(line.as_bytes(), tables()).next_line();
        let _ = JsonlReader::new(text.as_bytes(), tables()).next_line();
    }
}

/// Keeps what a source says.
#[derive(Default)]
struct Kept(std::sync::Mutex<Vec<String>>);

impl thalweg_graph::ports::Outlet for Kept {
    fn send(&self, message: thalweg_graph::ports::SourceMessage) -> thalweg_graph::ports::BoxFuture<'_, bool> {
        use thalweg_graph::ports::SourceMessage::{End, Position, Schemas, Status, Transaction};
        let text = match message {
            Schemas(schemas) => format!("schemas {:?}", schemas.iter().map(|s| s.table.to_string()).collect::<Vec<_>>()),
            Transaction(tx, position) => format!("transaction {} of {}, then {position}", tx.origin, tx.source),
            Position(position) => format!("position {position}"),
            Status(status) => format!("{status:?}"),
            End => "end".to_owned(),
        };
        self.0.lock().unwrap().push(text);
        Box::pin(async { true })
    }
}

#[test]
fn a_file_is_read_from_its_position_and_a_shorter_one_is_refused() {
    use thalweg_graph::ports::Source;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("in.jsonl");
    let lines = [
        "{\"schema\":{\"table\":\"New\",\"key\":[\"k\"]}}",
        "{\"at\":\"1970-01-01T00:00:01Z\",\"changes\":[{\"table\":\"New\",\"op\":\"upsert\",\"key\":{\"k\":1},\"after\":{}}]}",
        "{\"tx\":\"b\",\"changes\":[{\"table\":\"New\",\"op\":\"delete\",\"key\":{\"k\":1}}]}",
        "{\"changes\":",
    ];
    std::fs::write(&path, lines.join("\n")).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let run = |position: Option<&str>| {
        let kept = Arc::new(Kept::default());
        let source = JsonlSource::new("file", Input::File(path.clone()), tables());
        assert!(source.announces());
        runtime.block_on(Box::new(source).run(position.map(str::to_owned), kept.clone()));
        let said = kept.0.lock().unwrap().join("\n").replace(&path.display().to_string(), "in.jsonl");
        format!("{said}\n")
    };
    expect![[r#"
        schemas ["New"]
        Live(false)
        transaction file:2 of file, then 2:136:1000000
        transaction b of file, then 3:203:1000000
        Stopped("E0461: in.jsonl:4:12: bad JSON: expected a list of changes, found the end of the line")
    "#]]
    .assert_eq(&run(None));
    expect![[r#"
        schemas ["New"]
        Live(false)
        transaction b of file, then 3:203:1000000
        Stopped("E0461: in.jsonl:4:12: bad JSON: expected a list of changes, found the end of the line")
    "#]]
    .assert_eq(&run(Some("2:136:1000000")));
    expect![[r#"
        Stopped("E0465: in.jsonl: the file is shorter than the stored position, 9999 bytes")
    "#]]
    .assert_eq(&run(Some("9:9999:0")));
    expect![[r#"
        Stopped("E0465: the stored position sense is none")
    "#]]
    .assert_eq(&run(Some("sense")));
}
