use proptest::prelude::*;

use super::*;

/// A document as MySQL lays it out, in the small form or the large one.
fn written(value: &Value, is_large: bool) -> Vec<u8> {
    let (kind, body) = body(value, is_large);
    [vec![kind], body].concat()
}

fn body(value: &Value, is_large: bool) -> (u8, Vec<u8>) {
    match value {
        Value::Null => (4, vec![0]),
        Value::Bool(x) => (4, vec![if *x { 1 } else { 2 }]),
        Value::Int(x) => match (i16::try_from(*x), i32::try_from(*x)) {
            (Ok(x), _) => (5, x.to_le_bytes().to_vec()),
            (_, Ok(x)) => (7, x.to_le_bytes().to_vec()),
            _ => (9, x.to_le_bytes().to_vec()),
        },
        Value::Uint(x) => (10, x.to_le_bytes().to_vec()),
        Value::Double(x) => (11, x.to_le_bytes().to_vec()),
        Value::Text(text) => (12, counted(text.as_bytes())),
        Value::List(items) => (if is_large { 3 } else { 2 }, container(None, &items.iter().collect::<Vec<_>>(), is_large)),
        Value::Map(map) => {
            let keys: Vec<&Value> = map.keys().collect();
            (u8::from(is_large), container(Some(&keys), &map.values().collect::<Vec<_>>(), is_large))
        }
        other => panic!("{other:?}"),
    }
}

fn counted(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut len = bytes.len();
    while len >= 0x80 {
        out.push(len as u8 | 0x80);
        len >>= 7;
    }
    out.push(len as u8);
    [&out, bytes].concat()
}

fn container(keys: Option<&[&Value]>, values: &[&Value], is_large: bool) -> Vec<u8> {
    let width = if is_large { 4 } else { 2 };
    let number = |n: usize| n.to_le_bytes()[..width].to_vec();
    let head = 2 * width + keys.map_or(0, |k| k.len() * (width + 2)) + values.len() * (width + 1);
    let (mut entries, mut tail) = (Vec::new(), Vec::new());
    for key in keys.unwrap_or_default() {
        let Value::Text(key) = key else { panic!("{key:?}") };
        entries.extend([number(head + tail.len()), (key.len() as u16).to_le_bytes().to_vec()].concat());
        tail.extend(key.as_bytes());
    }
    for value in values {
        let (kind, body) = body(value, is_large);
        entries.push(kind);
        if matches!(kind, 4 | 5) || is_large && kind == 7 {
            entries.extend(body.iter().copied().chain(std::iter::repeat(0)).take(width));
        } else {
            entries.extend(number(head + tail.len()));
            tail.extend(body);
        }
    }
    [number(values.len()), number(head + tail.len()), entries, tail].concat()
}

fn documents() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::Int),
        (-70_000i64..70_000).prop_map(Value::Int),
        (i64::MAX as u64 + 1..=u64::MAX).prop_map(Value::Uint),
        any::<f64>().prop_filter("a number of JSON", |x| x.is_finite()).prop_map(Value::double),
        "[a-zé\"\\\\]{0,200}".prop_map(Value::text),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::list),
            prop::collection::btree_map("[a-c \"é]{0,3}".prop_map(Value::text), inner, 0..6)
                .prop_map(|m| Value::Map(Arc::new(m))),
        ]
    })
}

fn json(text: &str) -> Value {
    json::parse(text).unwrap()
}

#[test]
fn src_21_documents_of_a_real_server_are_read() {
    // {"a": [1, 1.5, null, true], "b": "é"} and a DECIMAL(3,2) of 1.10, as MySQL 8 writes them.
    let decimal = [15, 246, 4, 3, 2, 0x81, 10];
    assert_eq!(value(&decimal, Numbers::Exact), Ok(Value::Double(1.1)));
    for is_large in [false, true] {
        let document = json(r#"{"a": [1, 1.5, null, true, 70000, -3000000000], "b": "é"}"#);
        assert_eq!(value(&written(&document, is_large), Numbers::Exact), Ok(document));
    }
    assert_eq!(value(&[], Numbers::Exact), Ok(Value::Null));
    assert_eq!(value(&[10, 7, 0, 0, 0, 0, 0, 0, 0], Numbers::Exact), Ok(Value::Int(7)));
    assert_eq!(value(&[6, 0xff, 0xff], Numbers::Exact), Ok(Value::Int(65_535)));
    assert_eq!(value(&[8, 0xff, 0xff, 0xff, 0xff], Numbers::Exact), Ok(Value::Int(4_294_967_295)));
}

#[test]
fn src_21_what_json_has_no_word_for_is_what_sql_prints() {
    let packed = |kind: u8, packed: i64| [&[15, kind, 8][..], &packed.to_le_bytes()].concat();
    let day: i64 = (2024 * 13 + 2) << 5 | 29;
    let clock: i64 = 12 << 12 | 34 << 6 | 56;
    let moment = (day << 17 | clock) << 24 | 789_000;
    for (document, text) in [
        (packed(10, day << 41), "2024-02-29"),
        (packed(12, moment), "2024-02-29 12:34:56.789000"),
        (packed(7, moment), "2024-02-29 12:34:56.789000"),
        (packed(11, clock << 24), "12:34:56.000000"),
        (packed(11, -((838 << 12 | 59 << 6 | 59) << 24 | 5)), "-838:59:59.000005"),
        (vec![15, 15, 3, 0, 1, 2], "base64:type15:AAEC"),
        ([&[15, 252, 60][..], &[0; 60]].concat(), &format!("base64:type252:{}\nAAAA", "A".repeat(76))),
    ] {
        assert_eq!(value(&document, Numbers::Exact), Ok(Value::text(text)));
    }
}

#[test]
fn whole_numbers_of_dolt_are_ints() {
    let document = Value::list([Value::Double(1.0), Value::Double(1.5), Value::Double(1e300)]);
    let read = value(&written(&document, false), Numbers::Doubles);
    assert_eq!(read, Ok(Value::list([Value::Int(1), Value::Double(1.5), Value::Double(1e300)])));
}

#[test]
fn src_22_a_document_cannot_unfold_into_more_than_itself() {
    // An array whose elements are all the array itself.
    let mut bomb = vec![2, 100, 0, 0, 0];
    (0..100).for_each(|_| bomb.extend([2, 0, 0]));
    let len = bomb.len() as u16 - 1;
    bomb[3..5].copy_from_slice(&len.to_le_bytes());
    assert_eq!(value(&bomb, Numbers::Exact).unwrap_err().to_string(), "malformed event: overlapping parts in a JSON document");
}

#[test]
fn src_14_changes_of_a_document_are_applied() {
    let diff = |operation: u8, path: &str, value: Option<&str>| {
        let mut bytes = vec![operation, path.len() as u8];
        bytes.extend(path.as_bytes());
        if let Some(value) = value {
            let value = written(&json(value), false);
            bytes.push(value.len() as u8);
            bytes.extend(value);
        }
        bytes
    };
    let before = json(r#"{"a": [1, {"b c": 2}, 3], "d": "x"}"#);
    for (diffs, after) in [
        (vec![], r#"{"a": [1, {"b c": 2}, 3], "d": "x"}"#),
        (diff(0, "$.d", Some("[7]")), r#"{"a": [1, {"b c": 2}, 3], "d": [7]}"#),
        (diff(0, "$", Some("1")), "1"),
        (diff(0, "$.a[1].\"b c\"", Some("null")), r#"{"a": [1, {"b c": null}, 3], "d": "x"}"#),
        (diff(1, "$.e", Some("true")), r#"{"a": [1, {"b c": 2}, 3], "d": "x", "e": true}"#),
        (diff(1, "$.a[1]", Some("9")), r#"{"a": [1, 9, {"b c": 2}, 3], "d": "x"}"#),
        (diff(1, "$.a[9]", Some("9")), r#"{"a": [1, {"b c": 2}, 3, 9], "d": "x"}"#),
        (diff(2, "$.a[0]", None), r#"{"a": [{"b c": 2}, 3], "d": "x"}"#),
        (diff(2, "$.a", None), r#"{"d": "x"}"#),
        (diff(0, "$.d[0]", Some("5")), r#"{"a": [1, {"b c": 2}, 3], "d": 5}"#),
        ([diff(2, "$.a", None), diff(1, "$.a", Some("[]")), diff(1, "$.a[0]", Some("1"))].concat(), r#"{"a": [1], "d": "x"}"#),
    ] {
        assert_eq!(apply_diffs(&before, &diffs), Ok(json(after)));
    }
    for diffs in
        [diff(0, "$.x", Some("1")), diff(2, "$.a[3]", None), diff(2, "$", None), diff(0, "a", Some("1")), vec![7, 1, b'$']]
    {
        assert!(apply_diffs(&before, &diffs).is_err(), "{diffs:?}");
    }
}

proptest! {
    #[test]
    fn src_21_every_document_reads_as_it_was_written(document in documents(), is_large in any::<bool>()) {
        prop_assert_eq!(value(&written(&document, is_large), Numbers::Exact), Ok(document));
    }

    #[test]
    fn src_22_damaged_documents_never_panic(document in documents(), is_large in any::<bool>(), damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4), cut in any::<prop::sample::Index>()) {
        let mut bytes = written(&document, is_large);
        for (at, byte) in damage {
            *at.get_mut(&mut bytes) = byte;
        }
        value(&bytes, Numbers::Exact).ok();
        value(&bytes[..cut.index(bytes.len())], Numbers::Doubles).ok();
        apply_diffs(&document, &bytes).ok();
    }

    #[test]
    fn src_22_arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        value(&bytes, Numbers::Exact).ok();
        apply_diffs(&Value::Null, &bytes).ok();
    }
}
