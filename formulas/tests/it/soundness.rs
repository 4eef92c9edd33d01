//! The type that the checker promises is the type of the value that the evaluator gives.

use proptest::prelude::*;
use thalweg_formulas::check::{Bindings, check};
use thalweg_formulas::eval::Program;
use thalweg_formulas::{Type, Value, functions, parse};

/// Operands of every type; `n`, `u`, `d`, `x`, `s`, `b`, `t`, `p`, `l`, `m`, `j` are bound below.
const LEAVES: [&str; 26] = [
    "1",
    "-7",
    "0",
    "2u",
    "1.5",
    "-0.25",
    "'ab'",
    "''",
    "'2024-02-03'",
    "b'xy'",
    "true",
    "false",
    "null",
    "[1, 2]",
    "['a', null]",
    "n",
    "u",
    "d",
    "x",
    "s",
    "b",
    "t",
    "p",
    "l",
    "m",
    "j",
];

const INFIX: [&str; 14] = ["+", "-", "*", "/", "%", "==", "!=", "<", "<=", ">", ">=", "in", "&&", "||"];

/// What the names are bound to.
fn bindings() -> Vec<(&'static str, Type, Value)> {
    let parsed = |text: &str| {
        let expr = check(&parse(text).unwrap(), &Bindings::default()).unwrap();
        Program::compile(&expr).eval(&|_| Ok(Value::Null)).unwrap()
    };
    vec![
        ("b", Type::Bool, Value::Bool(true)),
        ("d", Type::Decimal { precision: 10, scale: 2 }, parsed("decimal('12.50')")),
        ("j", Type::Dyn, parsed("{'a': [1, {'b': 2.5}], 'c': 'text'}")),
        ("l", Type::List(Type::Int.into()), parsed("[3, 1, 2]")),
        ("m", Type::Map(Type::Text.into(), Type::Double.into()), parsed("{'k': 1.5}")),
        ("n", Type::Int, Value::Int(42)),
        ("p", Type::Duration, parsed("duration('90s')")),
        ("s", Type::Text, Value::text("some text")),
        ("t", Type::Timestamp, parsed("timestamp('2024-02-03T04:05:06Z')")),
        ("u", Type::Uint, Value::Uint(7)),
        ("x", Type::Double, Value::Double(2.5)),
    ]
}

fn arb_text() -> impl Strategy<Value = String> {
    let names: Vec<&'static str> = functions::names().collect();
    let leaf = prop::sample::select(LEAVES.to_vec()).prop_map(str::to_owned);
    leaf.prop_recursive(3, 12, 3, move |inner| {
        let name = prop::sample::select(names.clone());
        let args = prop::collection::vec(inner.clone(), 1..4);
        let infix = prop::sample::select(INFIX.to_vec());
        let body = prop::sample::select(vec!["e", "e == e", "[e]", "string(e)", "dyn(e)"]);
        let item = prop::sample::select(vec!["filter(e, e != null)", "map(e, [e, 1])", "exists(e, e == 1)"]);
        prop_oneof![
            4 => (infix, inner.clone(), inner.clone()).prop_map(|(op, a, b)| format!("({a}) {op} ({b})")),
            4 => (name, args.clone()).prop_map(|(name, args)| format!("{name}({})", args.join(", "))),
            1 => inner.clone().prop_map(|a| format!("-({a})")),
            1 => inner.clone().prop_map(|a| format!("!({a})")),
            2 => (inner.clone(), inner.clone(), inner.clone()).prop_map(|(c, a, b)| format!("({c}) == null ? {a} : {b}")),
            1 => (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a})[{b}]")),
            1 => args.prop_map(|items| format!("[{}]", items.join(", "))),
            1 => (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("{{'k': {a}, 'l': {b}}}")),
            1 => (inner.clone(), body).prop_map(|(a, body)| format!("({a}).map(e, {body})")),
            1 => (inner.clone(), item).prop_map(|(a, item)| format!("({a}).{item}")),
            1 => (inner, prop::sample::select(vec!["sum", "count", "avg", "min", "max"])).prop_map(|(a, agg)| format!("{agg}(({a})[*])")),
        ]
    })
}

/// Whether a value may stand where the checker says `ty`.
fn fits(value: &Value, ty: &Type) -> bool {
    match (value, ty) {
        (Value::Null, _) | (_, Type::Dyn) => true,
        (Value::Bool(_), Type::Bool) | (Value::Int(_), Type::Int) | (Value::Uint(_), Type::Uint) => true,
        (Value::Double(_), Type::Double) | (Value::Text(_), Type::Text) | (Value::Bytes(_), Type::Bytes) => true,
        (Value::Timestamp(_), Type::Timestamp) | (Value::Duration(_), Type::Duration) => true,
        (Value::Decimal(x), Type::Decimal { precision, scale }) => x.scale() == *scale && x.digits() <= *precision,
        (Value::List(items), Type::List(item)) => items.iter().all(|v| fits(v, item)),
        (Value::Map(map), Type::Map(key, item)) => map.iter().all(|(k, v)| fits(k, key) && fits(v, item)),
        _ => false,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, ..ProptestConfig::default() })]

    #[test]
    fn values_have_the_types_that_were_promised(text in arb_text()) {
        let bound = bindings();
        let scope = Bindings::new(bound.iter().map(|(name, ty, _)| ((*name).to_owned(), ty.clone())).collect());
        let ast = parse(&text).expect(&text);
        let Ok(expr) = check(&ast, &scope) else { return Ok(()) };
        if let Ok(value) = Program::compile(&expr).eval(&|id: thalweg_formulas::InputId| Ok(bound[id.0 as usize].2.clone())) {
            prop_assert!(fits(&value, expr.ty()), "{} promised {} and gave {:?}", text, expr.ty(), value);
        }
    }
}
