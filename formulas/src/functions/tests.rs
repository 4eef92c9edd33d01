//! Derivatives against finite differences, and what functions say of wrong types.

use super::*;
use crate::ast::{BinaryOp, UnaryOp};
use crate::eval::Program;
use crate::expr::{ExprKind, InputId};

/// The value of `expr` with inputs of doubles.
fn value(expr: &Expr, x: &[f64]) -> f64 {
    match Program::compile(expr).eval(&|id: InputId| Ok(Value::double(x[id.0 as usize]))) {
        Ok(Value::Double(y)) => y,
        other => panic!("{other:?}"),
    }
}

fn assert_partials_match_differences(name: &str, derivative: Derivative, expr: &Expr, inputs: &[Expr], x: &[f64]) {
    for i in 0..x.len() {
        let slope = match derivative {
            Derivative::None { .. } => return,
            Derivative::Zero => 0.0,
            Derivative::Partial(partial) => value(&partial(inputs, i), x),
        };
        let h = 1e-5;
        let at = |d: f64| {
            let mut moved = x.to_vec();
            moved[i] += d;
            value(expr, &moved)
        };
        let difference = (at(h) - at(-h)) / (2.0 * h);
        assert!((slope - difference).abs() < 1e-6 * (1.0 + slope.abs()), "{name} by {i} at {x:?}: {slope}, not {difference}");
    }
}

fn inputs(n: usize) -> Vec<Expr> {
    (0..n).map(|i| Expr::new(ExprKind::Input(InputId(i as u32)), Type::Double)).collect()
}

#[test]
fn partial_derivatives_agree_with_finite_differences() {
    let points = [[1.3, 2.7], [0.4, 1.6], [3.6, 0.7]];
    for x in points {
        for (name, n) in [
            ("abs", 1),
            ("sign", 1),
            ("floor", 1),
            ("sqrt", 1),
            ("pow", 2),
            ("exp", 1),
            ("ln", 1),
            ("log", 1),
            ("log", 2),
            ("min", 2),
            ("max", 2),
            ("sigmoid", 1),
            ("tanh", 1),
            ("relu", 1),
            ("softplus", 1),
            ("sin", 1),
            ("cos", 1),
            ("log1p", 1),
            ("expm1", 1),
            ("double", 1),
            ("coalesce", 2),
            ("if_null", 2),
        ] {
            let id = find(name).unwrap();
            let expr = Expr::new(ExprKind::Call(id, inputs(n)), Type::Double);
            assert_partials_match_differences(name, get(id).derivative, &expr, &inputs(n), &x[..n]);
        }
        for op in [BinaryOp::Add, BinaryOp::Sub, BinaryOp::Mul, BinaryOp::Div, BinaryOp::Rem] {
            let expr = Expr::new(ExprKind::Binary(op, inputs(2)[0].clone(), inputs(2)[1].clone()), Type::Double);
            assert_partials_match_differences(op.symbol(), ops::binary_derivative(op), &expr, &inputs(2), &x);
        }
        let negated = Expr::new(ExprKind::Unary(UnaryOp::Neg, inputs(1)[0].clone()), Type::Double);
        assert_partials_match_differences("neg", ops::unary_derivative(UnaryOp::Neg), &negated, &inputs(1), &x[..1]);
    }
}

#[test]
fn a_name_is_found_once_and_every_function_has_a_number() {
    let all: Vec<_> = names().collect();
    for (i, name) in all.iter().enumerate() {
        assert_eq!(find(name), Some(FunctionId(i as u16)), "{name} is there twice");
        assert_eq!(get(FunctionId(i as u16)).name, *name);
    }
    assert_eq!(find("nope"), None);
}

#[test]
fn wrong_types_are_refused_with_a_reason() {
    let text = |t: &str| Type::parse(t).unwrap();
    for (name, types, expected) in [
        ("size", vec!["int"], "argument 1 must be text, bytes, a list or a map, not int"),
        ("contains", vec!["text", "int"], "argument 2 must be text, not int"),
        ("sqrt", vec!["text"], "argument 1 must be a number, not text"),
        ("sum", vec!["list(text)"], "text has no sum"),
        ("avg", vec!["list(bool)"], "bool has no mean"),
        ("max", vec!["int", "text"], "int and text have no order"),
        ("max", vec!["map(text, int)"], "map(text, int) has no order"),
        ("int", vec!["bytes"], "bytes does not convert to int"),
        ("join", vec!["list(int)"], "join wants texts, not int"),
        ("year", vec!["text"], "argument 1 must be a timestamp, not text"),
        ("sort", vec!["list(list(int))"], "list(int) has no order"),
        ("keys", vec!["list(int)"], "argument 1 must be a map, not list(int)"),
        ("if_else", vec!["int", "int", "int"], "argument 1 must be a bool, not int"),
    ] {
        let types: Vec<_> = types.into_iter().map(text).collect();
        assert_eq!((get(find(name).unwrap()).result)(&types), Err(expected.to_owned()), "{name}");
    }
    for name in names() {
        let function = get(find(name).unwrap());
        let dynamic = vec![Type::Dyn; *function.args.start()];
        assert!((function.result)(&dynamic).is_ok(), "{name} must take dynamic values");
        assert!((function.result)(&vec![Type::Null; *function.args.start()]).is_ok(), "{name} must take NULL");
    }
}
