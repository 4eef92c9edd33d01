//! The JSON forms: a table of what each looks like, and the round trip of the tagged form.

use proptest::prelude::*;

use super::*;
use crate::ops::tests::any_value;
use crate::value::{Duration, Timestamp};

fn plain(value: &Value) -> String {
    let mut out = String::new();
    write(value, &mut out);
    out
}

fn tagged(value: &Value) -> String {
    let mut out = String::new();
    write_dynamic(value, &mut out);
    out
}

fn typed(value: &Value, ty: &str) -> String {
    let mut out = String::new();
    write_as(value, &Type::parse(ty).unwrap(), &mut out);
    out
}

#[test]
fn every_type_has_a_plain_and_a_tagged_form() {
    let decimal = Value::Decimal("12.50".parse().unwrap());
    let tensor = ndarray::ArrayD::from_shape_vec(vec![2, 2], vec![1.0, 2.0, 3.0, f64::NAN]).unwrap();
    for (value, in_plain, in_tags) in [
        (Value::Null, "null", "null"),
        (Value::Bool(true), "true", "true"),
        (Value::Int(-5), "-5", "-5"),
        (Value::Int(1 << 53), "9007199254740992", "9007199254740992"),
        (Value::Int((1 << 53) + 1), r#""9007199254740993""#, r#"{"$int":"9007199254740993"}"#),
        (Value::Int(i64::MIN), r#""-9223372036854775808""#, r#"{"$int":"-9223372036854775808"}"#),
        (Value::Uint(7), "7", r#"{"$uint":"7"}"#),
        (Value::Uint(u64::MAX), r#""18446744073709551615""#, r#"{"$uint":"18446744073709551615"}"#),
        (Value::Double(12.5), "12.5", "12.5"),
        (Value::Double(1.0), "1.0", "1.0"),
        (Value::Double(-0.0), "-0.0", "-0.0"),
        (Value::Double(1e21), "1e21", "1e21"),
        (Value::Double(0.1 + 0.2), "0.30000000000000004", "0.30000000000000004"),
        (Value::Double(5e-324), "5e-324", "5e-324"),
        (Value::double(f64::NAN), r#""NaN""#, r#"{"$double":"NaN"}"#),
        (Value::Double(f64::NEG_INFINITY), r#""-Infinity""#, r#"{"$double":"-Infinity"}"#),
        (decimal.clone(), r#""12.50""#, r#"{"$decimal":"12.50"}"#),
        (Value::text("a\"\\\n\u{1}é"), r#""a\"\\\n\u0001é""#, r#""a\"\\\n\u0001é""#),
        (Value::Bytes(b"\x00\xff!"[..].into()), r#""AP8h""#, r#"{"$bytes":"AP8h"}"#),
        (Value::Timestamp(Timestamp(1_500_000)), r#""1970-01-01T00:00:01.5Z""#, r#"{"$timestamp":"1970-01-01T00:00:01.5Z"}"#),
        (Value::Duration(Duration(-1_500_000)), r#""-1.5s""#, r#"{"$duration":"-1.5s"}"#),
        (
            Value::list([Value::Uint(1), decimal]),
            r#"[{"$uint":"1"},{"$decimal":"12.50"}]"#,
            r#"[{"$uint":"1"},{"$decimal":"12.50"}]"#,
        ),
        (Value::record([("b", Value::Int(1)), ("a", Value::Null)]), r#"{"a":null,"b":1}"#, r#"{"a":null,"b":1}"#),
        (Value::record([("$uint", Value::text("7"))]), r#"{"$uint":"7"}"#, r#"{"$map":[["$uint","7"]]}"#),
        (
            Value::Map(Arc::new([(Value::Int(1), Value::Uint(2))].into())),
            r#"[[1,{"$uint":"2"}]]"#,
            r#"{"$map":[[1,{"$uint":"2"}]]}"#,
        ),
        (Value::Tensor(Arc::new(Tensor::new(tensor))), r#"[[1.0,2.0],[3.0,"NaN"]]"#, r#"{"$tensor":[[1.0,2.0],[3.0,"NaN"]]}"#),
    ] {
        assert_eq!(plain(&value), in_plain);
        assert_eq!(tagged(&value), in_tags);
        assert_eq!(parse(in_tags), Ok(value));
    }
}

#[test]
fn a_static_type_needs_no_tags_inside() {
    let uints = Value::list([Value::Uint(1), Value::Uint(u64::MAX)]);
    assert_eq!(typed(&uints, "list(uint)"), r#"[1,"18446744073709551615"]"#);
    assert_eq!(typed(&uints, "list(dyn)"), r#"[{"$uint":"1"},{"$uint":"18446744073709551615"}]"#);
    let nested = Value::record([("a", Value::list([Value::Decimal("1.0".parse().unwrap())]))]);
    assert_eq!(typed(&nested, "map(text, list(decimal(3,1)))"), r#"{"a":["1.0"]}"#);
    assert_eq!(typed(&nested, "dyn"), r#"{"a":[{"$decimal":"1.0"}]}"#);
}

#[test]
fn json_is_read_for_a_declared_type() {
    let read = |json: &str, ty: &str| {
        let json: serde_json::Value = serde_json::from_str(json).unwrap();
        match read_as(&json, &Type::parse(ty).unwrap()) {
            Ok(value) => tagged(&value),
            Err(reason) => format!("error: {reason}"),
        }
    };
    for (json, ty, expected) in [
        ("1", "int", "1"),
        ("\"9007199254740993\"", "int", r#"{"$int":"9007199254740993"}"#),
        ("1", "uint", r#"{"$uint":"1"}"#),
        ("-1", "uint", "error: int -1 is not uint"),
        ("1", "double", "1.0"),
        ("\"-Infinity\"", "double", r#"{"$double":"-Infinity"}"#),
        ("1.0", "int", "1"),
        ("1.5", "int", "error: double 1.5 is not int"),
        ("12.5", "decimal(10,2)", r#"{"$decimal":"12.50"}"#),
        ("\"12.5\"", "decimal(10,2)", r#"{"$decimal":"12.50"}"#),
        ("12.345", "decimal(10,2)", "error: 12.345 needs 3 digits behind the point, decimal(10,2) has 2"),
        ("123456789", "decimal(10,2)", "error: 123456789 is too large for decimal(10,2)"),
        ("\"abc\"", "decimal(10,2)", "error: \"abc\" is not decimal(10,2)"),
        ("{\"$decimal\":\"1\"}", "decimal(10,2)", r#"{"$decimal":"1.00"}"#),
        ("null", "int", "null"),
        ("\"AP8h\"", "bytes", r#"{"$bytes":"AP8h"}"#),
        ("\"?\"", "bytes", "error: \"?\" is not base64"),
        ("\"2024-01-02 03:04:05\"", "timestamp", r#"{"$timestamp":"2024-01-02T03:04:05Z"}"#),
        ("\"soon\"", "timestamp", "error: \"soon\" is not a timestamp like 2024-01-02T03:04:05Z"),
        ("\"1h30m\"", "duration", r#"{"$duration":"5400s"}"#),
        ("1", "bool", "true"),
        ("2", "bool", "error: int 2 is not bool"),
        ("1", "text", "error: int 1 is not text"),
        ("[1, 2]", "list(uint)", r#"[{"$uint":"1"},{"$uint":"2"}]"#),
        ("{\"a\": 1}", "map(text, double)", r#"{"a":1.0}"#),
        ("[[1, true]]", "map(int, bool)", r#"{"$map":[[1,true]]}"#),
        ("[[1, 2], [1, 3]]", "map(int, int)", "error: the key 1 is there twice"),
        ("[[1, 2], [3, 4]]", "tensor(f64, [2, 2])", r#"{"$tensor":[[1.0,2.0],[3.0,4.0]]}"#),
        ("[[1, 2], [3]]", "tensor(f64, [2, 2])", "error: the rows of a tensor must have equal lengths"),
        ("[1]", "tensor(f64, [2])", "error: the shape is [1], not [2]"),
        ("18446744073709551615", "dyn", r#"{"$uint":"18446744073709551615"}"#),
        ("1e2", "dyn", "100.0"),
        ("{\"$uint\": -1}", "dyn", "error: int -1 is not uint"),
        ("{\"$date\": 1}", "dyn", r#"{"$date":1}"#),
    ] {
        assert_eq!(read(json, ty), expected, "{json} as {ty}");
    }
}

proptest! {
    #[test]
    fn the_tagged_form_reads_back_as_the_same_value(value in any_value()) {
        prop_assert_eq!(parse(&tagged(&value)), Ok(value.clone()));
        prop_assert!(serde_json::from_str::<serde_json::Value>(&plain(&value)).is_ok());
    }
}
