//! Expressions from text to value, formula bombs, and any program on any inputs.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::check::{Bindings, check};
use crate::errors;
use crate::expr::{Agg, Comprehension, ExprKind};
use crate::ops::tests::{any_value, fits};
use crate::types::Type;
use crate::value::Value;
use crate::{functions, json, parse};

/// What stands for the value, error or refusal of `text`, with names bound to JSON.
fn told(text: &str, bind: &str) -> String {
    told_within(Fuel::default(), text, bind)
}

fn told_within(mut fuel: Fuel, text: &str, bind: &str) -> String {
    let bind: BTreeMap<String, serde_json::Value> = serde_json::from_str(bind).unwrap();
    let values: Vec<Cell> = bind
        .values()
        .map(|v| match v.get("$error") {
            Some(_) => Err(errors::division_by_zero()),
            None => Ok(json::from_json(v).unwrap()),
        })
        .collect();
    let scope = Bindings::new(bind.into_keys().map(|name| (name, Type::Dyn)).collect());
    let expr = match parse(text).and_then(|ast| check(&ast, &scope)) {
        Ok(expr) => expr,
        Err(problems) => return format!("refused: {}", problems[0]),
    };
    match Program::compile(&expr).eval_with(&|id: InputId| values[id.0 as usize].clone(), &mut fuel) {
        Ok(value) => {
            assert!(fits(&value, expr.ty()), "{text}: {value:?} is not {}", expr.ty());
            let mut out = String::new();
            json::write_dynamic(&value, &mut out);
            out
        }
        Err(e) => e.to_string(),
    }
}

#[test]
fn every_example_of_the_registry_is_true() {
    for name in functions::names() {
        let function = functions::get(functions::find(name).unwrap());
        assert!(function.example.contains(name), "the example of {name} does not use it");
        assert!(!function.doc.is_empty() && !function.doc.ends_with('.'));
        assert_eq!(told(function.example, "{}"), "true", "{name}: {}", function.example);
    }
}

#[test]
fn only_what_is_needed_is_evaluated() {
    let bind = r#"{"e": {"$error": 1}, "n": null, "t": true, "f": false}"#;
    let error = "E0302: division by zero";
    for (text, expected) in [
        ("f && e", "false"),
        ("e && f", "false"),
        ("t && e", error),
        ("e || t", "true"),
        ("n && e", error),
        ("n || t", "true"),
        ("n && t", "null"),
        ("n && f", "false"),
        ("e || n || t", "true"),
        ("t && t && n && f", "false"),
        ("t ? 1 : e", "1"),
        ("n ? e : 2", "2"),
        ("e ? 1 : 2", error),
        ("coalesce(n, 3, e)", "3"),
        ("coalesce(n, e, 3)", error),
        ("if_null(n, n)", "null"),
        ("[1, 2].exists(x, x == 2 || e)", "true"),
        ("[1, 2].all(x, x == 3 && e)", "false"),
        ("[0, 2].exists(x, 10 / x == 5)", "true"),
        ("[0, 2].all(x, 10 / x == 6)", "false"),
        ("[0, 2].all(x, 10 / x == 5)", error),
        ("[0, 2].exists_one(x, 10 / x == 5)", error),
        ("[n, true].exists(x, x)", "true"),
        ("[n, true].all(x, x)", "null"),
        ("[n, true, true].exists_one(x, x)", "false"),
        ("[1, null, 3].filter(x, x > 1)", "[3]"),
        ("[1, null, 3].map(x, x + 1)", "[2,null,4]"),
        ("[1, 2, 3].map(x, x > 1, x * 10)", "[20,30]"),
        ("{'b': 1, 'a': 2}.map(k, k + '!')", r#"["a!","b!"]"#),
        ("[[1, 2], [3]].map(x, x.map(y, y * size(x)))", "[[2,4],[3]]"),
        ("n.map(x, x)", "null"),
        ("e + n", error),
        ("n + e", error),
        ("size(n)", "null"),
        ("n == null", "true"),
        ("n != 1", "true"),
        ("n < 1", "null"),
        ("e == e", error),
    ] {
        assert_eq!(told(text, bind), expected, "{text}");
    }
}

#[test]
fn expressions_have_the_values_of_cel() {
    let bind = r#"{"row": {"package": "core", "n": {"x": [1, 2.5]}}, "i": 3, "u": {"$uint": "3"}, "d": {"$decimal": "12.50"}}"#;
    for (text, expected) in [
        ("row.package == 'core'", "true"),
        ("row['package'].size()", "4"),
        ("row.n.x[1]", "2.5"),
        ("row.nope", "E0305: no such key: \"nope\""),
        ("has(row.nope)", "false"),
        ("has(row.n.x)", "true"),
        ("i + u", "E0303: int + uint has no meaning: convert one with int() or uint()"),
        ("int(u) + i", "6"),
        ("i == u", "true"),
        ("d * i", r#"{"$decimal":"37.50"}"#),
        ("d / i", r#"{"$decimal":"4.166667"}"#),
        ("d > 12 && d < 12.6", "true"),
        ("i / 2", "1"),
        ("-i % 2", "-1"),
        ("i in [1, 2, 3.0]", "true"),
        ("'package' in row", "true"),
        ("{1: 'a', 1u: 'b'}", "E0313: the key 1 is there twice"),
        ("[1, 2] + [3]", "[1,2,3]"),
        ("'a' + 'b' + string(i)", r#""ab3""#),
        ("timestamp('2024-02-28T23:00:00Z') + duration('2h') > timestamp('2024-02-29T00:59:59Z')", "true"),
        ("(timestamp('2024-03-01T00:00:00Z') - timestamp('2024-02-28T00:00:00Z')).getHours()", "48"),
        ("timestamp('9999-12-31T23:59:59Z') + duration('1s')", "E0312: timestamp is out of range"),
        (
            "timestamp('2024-01-01T00:00:00Z').getHours('Europe/Paris')",
            "E0311: time zone \"Europe/Paris\" is not UTC or an offset like +02:00; names of regions are not known here",
        ),
        ("'abc'.matches('a(b|x)c')", "true"),
        ("'abc'.matches(row.package)", "false"),
        ("'abc'.matches('(' + row.package)", "E0311: \"(core\" is not a regular expression"),
        ("'héllo'.substring(1, 3)", r#""él""#),
        ("'abc'.substring(2, 1)", "E0311: substring: the end is before the start"),
        ("'abc'.charAt(4)", "E0304: index 4 is outside 0..3"),
        ("''.split('')", "[]"),
        ("'abc'.split('')", r#"["a","b","c"]"#),
        ("'a,b'.split(',', 0)", "[]"),
        ("'a,b'.split(',', 1)", r#"["a,b"]"#),
        ("'abc'.replace('', '-')", r#""-a-b-c-""#),
        ("''.lastIndexOf('')", "0"),
        ("'aa'.lastIndexOf('a', 0)", "0"),
        ("round(2.675, 2)", "2.68"),
        ("round(1250, -2)", "1300"),
        ("floor(d)", r#"{"$decimal":"12"}"#),
        ("abs(-9223372036854775807 - 1)", "E0301: abs(int) overflows"),
        ("int(9223372036854775808.0)", "E0306: 9.223372036854776e18 is not an int of 64 bits"),
        ("int('12x')", "E0306: \"12x\" is not an int of 64 bits"),
        ("uint(-1)", "E0306: -1 is not a uint of 64 bits"),
        ("bool('perhaps')", "E0306: \"perhaps\" is not a bool"),
        ("decimal('1e80')", "E0306: \"1e80\" is not a decimal of 76 digits"),
        ("string(b'\\xff')", "E0306: the bytes are not UTF-8"),
        ("duration('1x')", "E0306: \"1x\" is not a duration like 1h30m or 1.5s"),
        ("type(d)", r#""decimal""#),
        ("json('[1, 2')", "E0306: bad JSON: EOF while parsing a list at line 1 column 5"),
        ("json(to_json(row)) == row", "true"),
        ("[1, 'a'].sort()", "E0303: int and text have no order"),
        ("[3, null, 1.5, 2u].sort()", r#"[null,1.5,{"$uint":"2"},3]"#),
        ("max([])", "null"),
        ("min(i, d, 0.5)", "0.5"),
        ("sum([0.1, d])", "12.6"),
        ("range(2, 2)", "[]"),
        ("[1, 2, 3].slice(2, 9)", "E0311: slice: 2..9 is outside 0..3"),
        ("sqrt(-1)", r#"{"$double":"NaN"}"#),
        ("sqrt(-1) == sqrt(-1)", "true"),
        ("0.0 == -0.0", "true"),
        ("1 / 0 == 1", "E0302: division by zero"),
    ] {
        assert_eq!(told(text, bind), expected, "{text}");
    }
}

/// ENG-2 and ENG-3: bombs end in an error value, soon and without the memory that they ask for.
#[test]
fn eng_02_eng_03_bombs_are_bounded() {
    let long = format!(r#"{{"s": "{}", "i": 1000000000000, "l": [1,2,3,4,5,6,7,8,9,10]}}"#, "ab".repeat(50_000));
    let grown = "s".to_owned() + &".replace('a', 'aaaaaaaaaaaaaaaa')".repeat(6);
    let out_of_fuel = "E0308: evaluation is too large: out of fuel";
    for bomb in [
        "range(i)".to_owned(),
        "range(-i, i)".to_owned(),
        "range(1000000).map(x, range(1000000))".to_owned(),
        "range(3000).all(a, range(3000).all(b, range(3000).all(c, a + b + c >= 0)))".to_owned(),
        "l.map(a, l.map(b, l.map(c, l.map(d, l.map(e, l.map(f, l.map(g, l.map(h, 1))))))))".to_owned(),
        grown,
        "range(100000).map(x, s)".to_owned(),
        "range(1000000).map(x, s + s)".to_owned(),
        "range(100000).exists(x, s.contains('ba' + s))".to_owned(),
        "range(100000).exists(x, s == s + 'c')".to_owned(),
        "range(100000).exists(x, s.matches('(a*)*b' + string(x)))".to_owned(),
        "range(1000000).exists(x, 'a'.matches('x' + string(x)))".to_owned(),
        "range(100000).map(x, range(100)).flatten().distinct().size()".to_owned() + " + range(10000000).size()",
        "range(100000).exists(x, range(1000) == range(1000).map(y, y + x + 1))".to_owned(),
    ] {
        assert_eq!(told_within(Fuel::new(1_000_000), &bomb, &long), out_of_fuel, "{bomb}");
    }
    let most = "range(3000000).map(x, x % 10).filter(x, x > 5).size()";
    assert_eq!(told(most, "{}"), out_of_fuel, "the default lasts for a million elements, not for ten");
    // Doubling shared lists: small in memory, endless written out.
    let shared = "[1]".to_owned() + &".map(x, [x, x, x, x, x, x, x, x])[0].map(y, [y, y, y, y, y, y, y, y])".repeat(8);
    assert_eq!(told(&shared, "{}"), out_of_fuel);
    assert_eq!(told("'x'.matches('((a{100}){100}){100}')", "{}"), "E0311: the regular expression is too large");
}

/// `self` that wraps itself, epoch after epoch, does not grow past the bound on depth.
#[test]
fn nesting_is_bounded() {
    let scope = Bindings::new([("me".to_owned(), Type::Dyn)].into());
    let program = Program::compile(&check(&parse("[me]").unwrap(), &scope).unwrap());
    let mut value = Value::Int(1);
    let error = (0..1000).find_map(|_| match program.eval(&|_: InputId| Ok(value.clone())) {
        Ok(next) => {
            value = next;
            None
        }
        Err(e) => Some(e.to_string()),
    });
    assert_eq!(error.as_deref(), Some("E0309: nested deeper than 128 levels"));
}

#[test]
fn deep_expressions_need_little_stack_and_long_ones_none() {
    let int = |x: i64| Expr::new(ExprKind::Const(Value::Int(x)), Type::Int);
    let input = Expr::new(ExprKind::Input(InputId(0)), Type::Int);
    let small_stack = |test: fn(Expr, Expr) -> Cell, a: Expr, b: Expr| {
        let thread = std::thread::Builder::new().stack_size(2 << 20).spawn(move || test(a, b));
        thread.unwrap().join().unwrap()
    };
    let right = |depth: usize| {
        (0..depth).fold(input.clone(), |e, _| Expr::new(ExprKind::Binary(crate::ast::BinaryOp::Sub, int(1), e), Type::Int))
    };
    let eval = |e: Expr, _: Expr| Program::compile(&e).eval(&|_: InputId| Ok(Value::Int(7)));
    assert_eq!(small_stack(eval, right(200), int(0)), Ok(Value::Int(7)));
    assert_eq!(small_stack(eval, right(300), int(0)).map_err(|e| e.code.0), Err(309));
    let long = (0..500).fold(input.clone(), |e, _| Expr::new(ExprKind::Binary(crate::ast::BinaryOp::Add, e, int(1)), Type::Int));
    assert_eq!(small_stack(eval, long, int(0)), Ok(Value::Int(507)));
}

#[test]
fn an_aggregate_without_a_plan_is_an_error_value() {
    let body = Expr::new(ExprKind::Input(InputId(0)), Type::Int);
    let expr = Expr::new(ExprKind::Aggregate { agg: Agg::Sum, over: 0, body, second: None }, Type::Int);
    let answer = Program::compile(&expr).eval(&|_: InputId| Ok(Value::Int(1)));
    assert_eq!(answer.unwrap_err().to_string(), "E0315: an aggregate over child rows has no value outside a plan");
}

/// Any expression over two inputs, well typed or not.
fn any_expr() -> impl Strategy<Value = Expr> {
    use crate::ast::{BinaryOp::*, UnaryOp};
    let leaf = prop_oneof![
        any_value().prop_map(ExprKind::Const),
        (0u32..2).prop_map(|i| ExprKind::Input(InputId(i))),
        (0u32..3).prop_map(ExprKind::Local),
    ];
    let expr = |kind| Expr::new(kind, Type::Dyn);
    let ops = prop::sample::select(vec![Add, Sub, Mul, Div, Rem, Eq, Ne, Lt, Le, Gt, Ge, In, And, Or]);
    let kinds = [Comprehension::All, Comprehension::Exists, Comprehension::ExistsOne, Comprehension::Map, Comprehension::Filter];
    leaf.prop_map(expr).prop_recursive(4, 24, 4, move |inner| {
        let two = (inner.clone(), inner.clone());
        let call = (prop::sample::select(functions::names().collect::<Vec<_>>()), prop::collection::vec(inner.clone(), 1..5));
        prop_oneof![
            4 => (ops.clone(), two.clone()).prop_map(|(op, (a, b))| ExprKind::Binary(op, a, b)),
            1 => inner.clone().prop_map(|a| ExprKind::Unary(UnaryOp::Neg, a)),
            1 => (inner.clone(), two.clone()).prop_map(|(c, (a, b))| ExprKind::If(c, a, b)),
            1 => two.clone().prop_map(|(a, b)| ExprKind::Index(a, b)),
            1 => two.clone().prop_map(|(a, b)| ExprKind::Has(a, b)),
            1 => prop::collection::vec(inner.clone(), 0..3).prop_map(ExprKind::List),
            1 => two.clone().prop_map(|(a, b)| ExprKind::Map(vec![(a, b)])),
            1 => (prop::sample::select(kinds.to_vec()), two, prop::option::of(inner))
                .prop_map(|(kind, (over, body), filter)| ExprKind::Comprehension { kind, over, filter, body }),
            6 => call.prop_map(|(name, mut args)| {
                let id = functions::find(name).unwrap();
                let most = *functions::get(id).args.end();
                let least = *functions::get(id).args.start();
                args.truncate(most);
                while args.len() < least {
                    args.push(args[0].clone());
                }
                ExprKind::Call(id, args)
            }),
        ]
        .prop_map(expr)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// ENG-1: no program panics, whatever it is and whatever it is given; the same inputs give the same answer.
    #[test]
    fn eng_01_every_program_returns(expr in any_expr(), a in any_value(), b in any_value()) {
        let program = Program::compile(&expr);
        let inputs = |id: InputId| if id.0 == 0 { Ok(a.clone()) } else { Ok(b.clone()) };
        let eval = || program.eval_with(&inputs, &mut Fuel::new(100_000));
        prop_assert_eq!(eval(), eval());
    }
}
