//! Operator tables: every operator on every pair of kinds, and properties over any values.

use std::cmp::Ordering;

use expect_test::expect;
use proptest::prelude::*;

use super::*;
use crate::decimal::Decimal;
use crate::json;
use crate::types::Type;
use crate::value::{Duration, Timestamp};

const OPS: [BinaryOp; 14] = [
    BinaryOp::Add,
    BinaryOp::Sub,
    BinaryOp::Mul,
    BinaryOp::Div,
    BinaryOp::Rem,
    BinaryOp::Eq,
    BinaryOp::Ne,
    BinaryOp::Lt,
    BinaryOp::Le,
    BinaryOp::Gt,
    BinaryOp::Ge,
    BinaryOp::In,
    BinaryOp::And,
    BinaryOp::Or,
];

/// One value of each kind, with its type.
fn samples() -> Vec<(Value, Type)> {
    vec![
        (Value::Null, Type::Null),
        (Value::Bool(true), Type::Bool),
        (Value::Int(7), Type::Int),
        (Value::Uint(2), Type::Uint),
        (Value::Double(2.5), Type::Double),
        (Value::Decimal("1.50".parse().unwrap()), Type::Decimal { precision: 3, scale: 2 }),
        (Value::text("ab"), Type::Text),
        (Value::Bytes(b"ab"[..].into()), Type::Bytes),
        (Value::Timestamp(Timestamp(60_000_000)), Type::Timestamp),
        (Value::Duration(Duration(1_500_000)), Type::Duration),
        (Value::list([Value::Int(7)]), Type::List(Type::Int.into())),
        (Value::record([("ab", Value::Int(1))]), Type::Map(Type::Text.into(), Type::Int.into())),
    ]
}

fn told(cell: &Cell) -> String {
    match cell {
        Ok(value) => {
            let mut out = String::new();
            json::write_dynamic(value, &mut out);
            out
        }
        Err(e) => e.code.to_string(),
    }
}

/// One row a left operand, one column a right operand, `.` for E0303.
fn table(op: BinaryOp) -> String {
    let kinds = ["null", "bool", "int", "uint", "double", "dec", "text", "bytes", "ts", "dur", "list", "map"];
    let mut out = String::new();
    for ((a, _), kind) in samples().iter().zip(kinds) {
        let row: Vec<_> = samples().iter().map(|(b, _)| told(&binary(op, a, b)).replace("E0303", ".")).collect();
        out.push_str(&format!("{kind:6} {} {}\n", op.symbol(), row.join(" ")));
    }
    out
}

#[test]
fn addition() {
    expect![[r#"
        null   + null null null null null null null null null null null null
        bool   + null . . . . . . . . . . .
        int    + null . 14 . 9.5 {"$decimal":"8.50"} . . . . . .
        uint   + null . . {"$uint":"4"} 4.5 {"$decimal":"3.50"} . . . . . .
        double + null . 9.5 4.5 5.0 4.0 . . . . . .
        dec    + null . {"$decimal":"8.50"} {"$decimal":"3.50"} 4.0 {"$decimal":"3.00"} . . . . . .
        text   + null . . . . . "abab" . . . . .
        bytes  + null . . . . . . {"$bytes":"YWJhYg=="} . . . .
        ts     + null . . . . . . . . {"$timestamp":"1970-01-01T00:01:01.5Z"} . .
        dur    + null . . . . . . . {"$timestamp":"1970-01-01T00:01:01.5Z"} {"$duration":"3s"} . .
        list   + null . . . . . . . . . [7,7] .
        map    + null . . . . . . . . . . .
    "#]]
    .assert_eq(&table(BinaryOp::Add));
}

#[test]
fn subtraction() {
    expect![[r#"
        null   - null null null null null null null null null null null null
        bool   - null . . . . . . . . . . .
        int    - null . 0 . 4.5 {"$decimal":"5.50"} . . . . . .
        uint   - null . . {"$uint":"0"} -0.5 {"$decimal":"0.50"} . . . . . .
        double - null . -4.5 0.5 0.0 1.0 . . . . . .
        dec    - null . {"$decimal":"-5.50"} {"$decimal":"-0.50"} -1.0 {"$decimal":"0.00"} . . . . . .
        text   - null . . . . . . . . . . .
        bytes  - null . . . . . . . . . . .
        ts     - null . . . . . . . {"$duration":"0s"} {"$timestamp":"1970-01-01T00:00:58.5Z"} . .
        dur    - null . . . . . . . . {"$duration":"0s"} . .
        list   - null . . . . . . . . . . .
        map    - null . . . . . . . . . . .
    "#]]
    .assert_eq(&table(BinaryOp::Sub));
}

#[test]
fn multiplication() {
    expect![[r#"
        null   * null null null null null null null null null null null null
        bool   * null . . . . . . . . . . .
        int    * null . 49 . 17.5 {"$decimal":"10.50"} . . . . . .
        uint   * null . . {"$uint":"4"} 5.0 {"$decimal":"3.00"} . . . . . .
        double * null . 17.5 5.0 6.25 3.75 . . . . . .
        dec    * null . {"$decimal":"10.50"} {"$decimal":"3.00"} 3.75 {"$decimal":"2.2500"} . . . . . .
        text   * null . . . . . . . . . . .
        bytes  * null . . . . . . . . . . .
        ts     * null . . . . . . . . . . .
        dur    * null . . . . . . . . . . .
        list   * null . . . . . . . . . . .
        map    * null . . . . . . . . . . .
    "#]]
    .assert_eq(&table(BinaryOp::Mul));
}

#[test]
fn division() {
    expect![[r#"
        null   / null null null null null null null null null null null null
        bool   / null . . . . . . . . . . .
        int    / null . 1 . 2.8 {"$decimal":"4.666667"} . . . . . .
        uint   / null . . {"$uint":"1"} 0.8 {"$decimal":"1.333333"} . . . . . .
        double / null . 0.35714285714285715 1.25 1.0 1.6666666666666667 . . . . . .
        dec    / null . {"$decimal":"0.214286"} {"$decimal":"0.750000"} 0.6 {"$decimal":"1.000000"} . . . . . .
        text   / null . . . . . . . . . . .
        bytes  / null . . . . . . . . . . .
        ts     / null . . . . . . . . . . .
        dur    / null . . . . . . . . . . .
        list   / null . . . . . . . . . . .
        map    / null . . . . . . . . . . .
    "#]]
    .assert_eq(&table(BinaryOp::Div));
}

#[test]
fn remainder() {
    expect![[r#"
        null   % null null null null null null null null null null null null
        bool   % null . . . . . . . . . . .
        int    % null . 0 . 2.0 {"$decimal":"1.00"} . . . . . .
        uint   % null . . {"$uint":"0"} 2.0 {"$decimal":"0.50"} . . . . . .
        double % null . 2.5 0.5 0.0 1.0 . . . . . .
        dec    % null . {"$decimal":"1.50"} {"$decimal":"1.50"} 1.5 {"$decimal":"0.00"} . . . . . .
        text   % null . . . . . . . . . . .
        bytes  % null . . . . . . . . . . .
        ts     % null . . . . . . . . . . .
        dur    % null . . . . . . . . . . .
        list   % null . . . . . . . . . . .
        map    % null . . . . . . . . . . .
    "#]]
    .assert_eq(&table(BinaryOp::Rem));
}

#[test]
fn less() {
    expect![[r#"
        null   < null null null null null null null null null null null null
        bool   < null false . . . . . . . . . .
        int    < null . false false false false . . . . . .
        uint   < null . true false true false . . . . . .
        double < null . true false false false . . . . . .
        dec    < null . true true true false . . . . . .
        text   < null . . . . . false . . . . .
        bytes  < null . . . . . . false . . . .
        ts     < null . . . . . . . false . . .
        dur    < null . . . . . . . . false . .
        list   < null . . . . . . . . . . .
        map    < null . . . . . . . . . . .
    "#]]
    .assert_eq(&table(BinaryOp::Lt));
}

#[test]
fn membership() {
    expect![[r#"
        null   in null . . . . . . . . . false false
        bool   in null . . . . . . . . . false false
        int    in null . . . . . . . . . true false
        uint   in null . . . . . . . . . false false
        double in null . . . . . . . . . false false
        dec    in null . . . . . . . . . false false
        text   in null . . . . . . . . . false true
        bytes  in null . . . . . . . . . false false
        ts     in null . . . . . . . . . false false
        dur    in null . . . . . . . . . false false
        list   in null . . . . . . . . . false false
        map    in null . . . . . . . . . false false
    "#]]
    .assert_eq(&table(BinaryOp::In));
}

#[test]
fn and() {
    expect![[r#"
        null   && null null . . . . . . . . . .
        bool   && null true . . . . . . . . . .
        int    && . . . . . . . . . . . .
        uint   && . . . . . . . . . . . .
        double && . . . . . . . . . . . .
        dec    && . . . . . . . . . . . .
        text   && . . . . . . . . . . . .
        bytes  && . . . . . . . . . . . .
        ts     && . . . . . . . . . . . .
        dur    && . . . . . . . . . . . .
        list   && . . . . . . . . . . . .
        map    && . . . . . . . . . . . .
    "#]]
    .assert_eq(&table(BinaryOp::And));
}

fn text(op: BinaryOp, a: Value, b: Value) -> String {
    match binary(op, &a, &b) {
        Ok(value) => told(&Ok(value)),
        Err(e) => e.to_string(),
    }
}

fn dec(text: &str) -> Value {
    Value::Decimal(text.parse().unwrap())
}

#[test]
fn arithmetic_at_its_edges() {
    use BinaryOp::{Add, Div, Mul, Rem, Sub};
    let last = Timestamp(253_402_300_799_999_999);
    for (op, a, b, expected) in [
        (Add, Value::Int(i64::MAX), Value::Int(1), "E0301: int + int overflows"),
        (Sub, Value::Uint(1), Value::Uint(2), "E0301: uint - uint overflows"),
        (Mul, Value::Int(i64::MIN), Value::Int(-1), "E0301: int * int overflows"),
        (Div, Value::Int(i64::MIN), Value::Int(-1), "E0301: int / int overflows"),
        (Rem, Value::Int(i64::MIN), Value::Int(-1), "0"),
        (Div, Value::Int(-7), Value::Int(2), "-3"),
        (Rem, Value::Int(-7), Value::Int(2), "-1"),
        (Div, Value::Int(1), Value::Int(0), "E0302: division by zero"),
        (Rem, Value::Uint(1), Value::Uint(0), "E0302: division by zero"),
        (Div, dec("1.0"), Value::Int(0), "E0302: division by zero"),
        (Rem, dec("1.0"), dec("0.00"), "E0302: division by zero"),
        (Div, Value::Double(1.0), Value::Int(0), r#"{"$double":"Infinity"}"#),
        (Rem, Value::Double(1.0), Value::Int(0), r#"{"$double":"NaN"}"#),
        (Add, Value::Int(1), Value::Uint(1), "E0303: int + uint has no meaning: convert one with int() or uint()"),
        (Add, Value::Int(1), Value::text("a"), "E0303: int + text has no meaning"),
        (Div, Value::Int(10), dec("4.00"), r#"{"$decimal":"2.500000"}"#),
        (Div, dec("1"), dec("3"), r#"{"$decimal":"0.3333"}"#),
        (Mul, dec(&"9".repeat(76)), Value::Int(10), "E0307: decimal result needs more than 76 digits"),
        (Add, dec("0.1"), Value::Double(0.2), "0.30000000000000004"),
        (Add, Value::Timestamp(last), Value::Duration(Duration(1)), "E0312: timestamp is out of range"),
        (Sub, Value::Duration(Duration(i64::MIN)), Value::Duration(Duration(1)), "E0312: duration is out of range"),
        (Sub, Value::Timestamp(Timestamp(0)), Value::Duration(Duration(1)), r#"{"$timestamp":"1969-12-31T23:59:59.999999Z"}"#),
    ] {
        assert_eq!(text(op, a.clone(), b.clone()), expected, "{a:?} {} {b:?}", op.symbol());
    }
    let neg = |a: Value| unary(UnaryOp::Neg, &a).map_or_else(|e| e.to_string(), |v| told(&Ok(v)));
    assert_eq!(neg(Value::Int(i64::MIN)), "E0301: -int overflows");
    assert_eq!(neg(Value::Uint(1)), "E0303: - has no meaning for uint");
    assert_eq!(neg(dec("-1.50")), r#"{"$decimal":"1.50"}"#);
}

#[test]
fn numbers_are_compared_on_one_line() {
    let line = [
        Value::Double(f64::NEG_INFINITY),
        dec("-9223372036854775808.5"),
        Value::Int(i64::MIN),
        Value::Double(-1.5),
        dec("-1.4999999999999999999999"),
        Value::Int(0),
        Value::Double(5e-324),
        dec("0.1"),
        Value::Double(0.1),
        Value::Uint(1),
        dec("1.0000000000000000000001"),
        Value::Double(9_007_199_254_740_992.0),
        Value::Int(9_007_199_254_740_993),
        dec("9223372036854775806.5"),
        Value::Int(i64::MAX),
        Value::Double(9_223_372_036_854_775_808.0),
        Value::Uint(u64::MAX),
        Value::Double(18_446_744_073_709_551_616.0),
        dec("18446744073709551616.1"),
        Value::Double(1e300),
        Value::Double(f64::INFINITY),
        Value::double(f64::NAN),
    ];
    for (i, a) in line.iter().enumerate() {
        for (j, b) in line.iter().enumerate() {
            assert_eq!(compare(a, b), Ok(Some(i.cmp(&j))), "{a:?} {b:?}");
            assert_eq!(equal(a, b), i == j, "{a:?} {b:?}");
        }
    }
    for same in [
        [Value::Int(1), Value::Uint(1), Value::Double(1.0), dec("1.00")],
        [Value::Int(0), Value::Double(-0.0), Value::Double(0.0), dec("0.000")],
    ] {
        assert!(same.iter().all(|a| same.iter().all(|b| equal(a, b) && compare(a, b) == Ok(Some(Ordering::Equal)))));
    }
}

#[test]
fn null_is_two_valued_in_equality_and_absorbs_elsewhere() {
    for (v, _) in samples() {
        assert_eq!(equal(&v, &Value::Null), v.is_null());
        for op in [BinaryOp::Add, BinaryOp::Sub, BinaryOp::Mul, BinaryOp::Div, BinaryOp::Rem, BinaryOp::Lt, BinaryOp::Ge] {
            assert_eq!(binary(op, &v, &Value::Null), Ok(Value::Null));
            assert_eq!(binary(op, &Value::Null, &v), Ok(Value::Null));
        }
    }
}

#[test]
fn logic_is_kleenes_with_errors() {
    let error: Cell = Err(errors::division_by_zero());
    let cells = [("t", Ok(Value::Bool(true))), ("f", Ok(Value::Bool(false))), ("n", Ok(Value::Null)), ("e", error)];
    let row = |op| {
        let mut out = String::new();
        for (_, a) in &cells {
            for (_, b) in &cells {
                let answer = logic(op, a.clone(), b.clone());
                out.push_str(cells.iter().find(|(_, c)| *c == answer).map_or("?", |(name, _)| name));
            }
            out.push(' ');
        }
        out
    };
    assert_eq!(row(Logic::And), "tfne ffff nfne efee ");
    assert_eq!(row(Logic::Or), "tttt tfne tnne teee ");
}

#[test]
fn elements_and_members() {
    let list = Value::list([Value::Int(10), Value::Int(20)]);
    let map = Value::Map(std::sync::Arc::new([(Value::Int(1), Value::text("one")), (Value::text("k"), Value::Null)].into()));
    let show = |cell: Cell| cell.map_or_else(|e| e.to_string(), |v| told(&Ok(v)));
    for (a, b, expected) in [
        (&list, Value::Int(1), "20"),
        (&list, Value::Uint(0), "10"),
        (&list, Value::Double(1.0), "20"),
        (&list, Value::Double(0.5), "E0303: a list is indexed by an int, not by double"),
        (&list, Value::Int(-1), "E0304: index -1 is outside 0..2"),
        (&list, Value::Int(2), "E0304: index 2 is outside 0..2"),
        (&list, Value::Null, "null"),
        (&map, Value::Uint(1), "\"one\""),
        (&map, Value::Double(1.0), "\"one\""),
        (&map, dec("1.00"), "\"one\""),
        (&map, Value::text("k"), "null"),
        (&map, Value::text("x"), "E0305: no such key: \"x\""),
        (&Value::Int(1), Value::Int(1), "E0303: int has no elements"),
        (&Value::Null, Value::Int(1), "null"),
    ] {
        assert_eq!(show(index(a, &b)), expected, "{b:?}");
    }
    assert_eq!(show(has(&map, &Value::text("k"))), "true");
    assert_eq!(show(has(&map, &Value::text("x"))), "false");
    assert_eq!(show(has(&Value::Null, &Value::text("x"))), "false");
    assert_eq!(show(has(&list, &Value::text("x"))), "E0303: list has no members");
}

/// What the type rules accept, the operators compute, and the answer has the type they promise.
#[test]
fn types_and_values_agree() {
    for op in OPS {
        for (a, ta) in samples() {
            for (b, tb) in samples() {
                match (binary_type(op, &ta, &tb), binary(op, &a, &b)) {
                    (Ok(ty), Ok(value)) => assert!(fits(&value, &ty), "{ta} {} {tb}: {value:?} is not {ty}", op.symbol()),
                    (Ok(ty), Err(e)) => assert_ne!(e.code.0, 303, "{ta} {} {tb} is {ty}, but: {e}", op.symbol()),
                    (Err(reason), Ok(value)) => assert!(
                        // What can never be equal is unequal, and what is decided is decided: the checker tells the writer, the evaluator goes on.
                        value.is_null()
                            || matches!(op, BinaryOp::Eq | BinaryOp::Ne | BinaryOp::In | BinaryOp::And | BinaryOp::Or),
                        "{reason}, but {value:?}"
                    ),
                    (Err(_), Err(e)) => assert_eq!(e.code.0, 303),
                }
            }
        }
    }
}

/// Whether a value belongs to a type.
pub(crate) fn fits(value: &Value, ty: &Type) -> bool {
    match (value, ty) {
        (Value::Null, _) | (_, Type::Dyn) => true,
        (Value::Decimal(x), Type::Decimal { precision, scale }) => x.scale() == *scale && x.digits() <= *precision,
        (Value::List(items), Type::List(item)) => items.iter().all(|v| fits(v, item)),
        (Value::Map(map), Type::Map(key, item)) => map.iter().all(|(k, v)| fits(k, key) && fits(v, item)),
        (value, Type::Bool) => matches!(value, Value::Bool(_)),
        (value, Type::Int) => matches!(value, Value::Int(_)),
        (value, Type::Uint) => matches!(value, Value::Uint(_)),
        (value, Type::Double) => matches!(value, Value::Double(_)),
        (value, Type::Text) => matches!(value, Value::Text(_)),
        (value, Type::Bytes) => matches!(value, Value::Bytes(_)),
        (value, Type::Timestamp) => matches!(value, Value::Timestamp(_)),
        (value, Type::Duration) => matches!(value, Value::Duration(_)),
        (value, Type::Tensor(_)) => matches!(value, Value::Tensor(_)),
        _ => false,
    }
}

/// Any value, nested a little.
pub(crate) fn any_value() -> impl Strategy<Value = Value> {
    let int = prop_oneof![-3i64..4, any::<i64>(), Just(i64::MIN), Just(i64::MAX)];
    let double = prop_oneof![crate::exact_sum::tests::any_double(), any::<f64>()];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        int.prop_map(Value::Int),
        prop_oneof![0u64..4, any::<u64>()].prop_map(Value::Uint),
        double.prop_map(Value::double),
        crate::decimal::tests::any_decimal().prop_map(Value::Decimal),
        "[a-c\"\\\\\n\u{e9}]{0,3}".prop_map(Value::text),
        prop_oneof![Just("$uint"), Just("$map")].prop_map(Value::text),
        prop::collection::vec(any::<u8>(), 0..3).prop_map(|b| Value::Bytes(b.into())),
        (-62_135_596_800_000_000i64..253_402_300_800_000_000).prop_map(|x| Value::Timestamp(Timestamp(x))),
        any::<i64>().prop_map(|x| Value::Duration(Duration(x))),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        let key = prop_oneof![
            "[a-b]{0,2}".prop_map(Value::text),
            Just(Value::text("$uint")),
            (-2i64..3).prop_map(Value::Int),
            any::<bool>().prop_map(Value::Bool)
        ];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::list),
            prop::collection::btree_map(key, inner, 0..4).prop_map(|map| Value::Map(std::sync::Arc::new(map))),
            prop::collection::vec(any::<f64>(), 4)
                .prop_map(|x| ndarray::ArrayD::from_shape_vec(vec![2, 2], x).unwrap())
                .prop_map(|x| Value::Tensor(std::sync::Arc::new(crate::tensor::Tensor::new(x)))),
        ]
    })
}

proptest! {
    #[test]
    fn every_operator_returns(a in any_value(), b in any_value()) {
        for op in OPS {
            let _ = binary(op, &a, &b);
        }
        let _ = (unary(UnaryOp::Not, &a), unary(UnaryOp::Neg, &a), index(&a, &b), has(&a, &b), member(&a, &b));
    }

    #[test]
    fn equality_and_order_are_consistent(a in any_value(), b in any_value(), c in any_value()) {
        prop_assert!(equal(&a, &a));
        prop_assert_eq!(equal(&a, &b), equal(&b, &a));
        if a == b {
            prop_assert!(equal(&a, &b), "identity implies equality");
        }
        if equal(&a, &b) && equal(&b, &c) {
            prop_assert!(equal(&a, &c));
        }
        if let (Some(ab), Some(bc)) = (number_cmp(&a, &b), number_cmp(&b, &c)) {
            prop_assert_eq!(ab.is_eq(), equal(&a, &b));
            prop_assert_eq!(number_cmp(&b, &a), Some(ab.reverse()));
            if ab == bc || ab.is_eq() {
                prop_assert_eq!(number_cmp(&a, &c), Some(bc));
            }
        }
    }

    #[test]
    fn integers_meet_doubles_exactly(a in any::<i64>(), near in -3i64..4) {
        let b = a.wrapping_add(near) as f64;
        let (x, y) = (Decimal::from(a), Value::Double(b));
        prop_assert_eq!(number_cmp(&Value::Int(a), &y), number_cmp(&Value::Decimal(x), &y));
    }
}
