//! Gradients: every rule and random expressions against central differences, again for the gradient of the gradient, and what is said
//! where there is none.

use proptest::prelude::*;
use thalweg_formulas::check::{Bindings, check};
use thalweg_formulas::eval::Program;
use thalweg_formulas::gradient::{Cotangent, pull};
use thalweg_formulas::{Expr, InputId, Type, Value, parse};

/// The inputs `x`, `y` and `z`, in the order in which the scope numbers them, and `c`, which nobody wants.
const NAMES: [&str; 4] = ["c", "x", "y", "z"];

fn checked(text: &str) -> Expr {
    let doubles = NAMES.iter().map(|name| (name.to_string(), Type::Double)).collect();
    check(&parse(text).unwrap(), &Bindings::new(doubles)).unwrap_or_else(|problems| panic!("{text}: {problems:?}"))
}

fn wanted(id: InputId) -> bool {
    id.0 > 0
}

/// The value on these inputs; NaN for what is no double.
fn value(expr: &Expr, at: &[f64; 4]) -> f64 {
    match Program::compile(expr).eval(&|InputId(id)| Ok(Value::double(at[id as usize]))) {
        Ok(Value::Double(y)) => y,
        Ok(Value::Int(y)) => y as f64,
        _ => f64::NAN,
    }
}

/// The slope by input `i`, and how much it can be trusted: two step widths must agree.
fn difference(expr: &Expr, at: &[f64; 4], i: usize) -> Option<f64> {
    let slope = |h: f64| {
        let moved = |d: f64| {
            let mut moved = *at;
            moved[i] += d;
            value(expr, &moved)
        };
        (moved(h) - moved(-h)) / (2.0 * h)
    };
    let (wide, narrow) = (slope(2e-5), slope(1e-5));
    let agree = (wide - narrow).abs() <= 1e-7 * (1.0 + narrow.abs());
    (agree && narrow.is_finite() && narrow.abs() < 1e4 && value(expr, at).abs() < 1e4).then_some(narrow)
}

/// The gradient of `expr` by its inputs; 0 where nothing arrives.
fn gradient(expr: &Expr) -> [Option<Expr>; 4] {
    let mut pulled = pull(expr, &Cotangent::one(), &wanted).unwrap();
    [0, 1, 2, 3].map(|i| pulled.inputs.remove(&InputId(i)).map(|cotangent| cotangent.expr))
}

/// How many slopes could be compared.
fn assert_slopes(expr: &Expr, text: &str, at: &[f64; 4]) -> usize {
    let mut compared = 0;
    for (i, slope) in gradient(expr).iter().enumerate().skip(1) {
        let Some(expected) = difference(expr, at, i) else { continue };
        let slope = slope.as_ref().map_or(0.0, |slope| value(slope, at));
        // `sqrt(x - x)` has two infinite slopes, which do not add up to the 0 that the difference shows.
        if !slope.is_finite() && ["sqrt", "pow", "ln", "log", "/"].iter().any(|f| text.contains(f)) {
            continue;
        }
        assert!(
            (slope - expected).abs() <= 1e-5 * (1.0 + expected.abs()),
            "{text} by {} at {at:?}: {slope}, not {expected}",
            NAMES[i]
        );
        compared += 1;
    }
    compared
}

#[test]
fn every_rule_agrees_with_central_differences() {
    let formulas = [
        "x + y - z",
        "x * y * z",
        "x / y",
        "-x",
        "x > 1.0 ? x * x : y",
        "abs(x - 3.0)",
        "sqrt(x)",
        "pow(x, y)",
        "exp(x)",
        "ln(x)",
        "log(x)",
        "log(x, y)",
        "min(x, y, z)",
        "max(x, 1.2, z)",
        "math.least(x, y)",
        "math.greatest(x, y)",
        "double(x)",
        "coalesce(null, x, y)",
        "if_null(x, y)",
        "if_else(x > y, x * z, y * z)",
        "sigmoid(x)",
        "tanh(x)",
        "relu(x - 1.0)",
        "softplus(x)",
        "sin(x) + cos(y)",
        "log1p(x) + expm1(y)",
        "clamp(x, 1.0, y)",
        "clamp(x, y, 9.0)",
        "x * 2 + 3 * y / 4",
    ];
    for text in formulas {
        let expr = checked(text);
        let mut compared = 0;
        for at in [[1.0, 1.3, 2.7, 0.6], [1.0, 0.4, 1.6, 1.1], [1.0, 3.6, 0.7, 1.9], [1.0, 2.2, 0.9, 2.4]] {
            compared += assert_slopes(&expr, text, &at);
        }
        assert!(compared >= 8, "{text} was compared {compared} times");
    }
}

#[test]
fn kinks_have_the_slopes_that_are_written_down() {
    let at = [1.0, 0.0, 0.0, 2.0];
    for (text, by_x) in [
        ("relu(x)", 0.0),
        ("abs(x)", 0.0),
        ("max(x, y)", 0.5),
        ("min(x, y, 5.0)", 0.5),
        ("max(x, 0.0, y)", 1.0 / 3.0),
        ("clamp(x, 0.0, 1.0)", 0.0),
        ("pow(x, 2)", 0.0),
        ("sqrt(x)", f64::INFINITY),
        // The branch that is not taken does not make it a NaN.
        ("x > 0.0 ? ln(x) : 0.0", 0.0),
        ("x > 0.0 ? sqrt(x) : x * 3.0", 3.0),
        ("coalesce(x, 1.0 / y)", 1.0),
        ("max(1.0, sqrt(x))", 0.0),
    ] {
        let slope = gradient(&checked(text))[1].as_ref().map_or(0.0, |slope| value(slope, &at));
        assert_eq!(slope, by_x, "{text}");
    }
}

#[test]
fn a_guarded_cotangent_that_is_zero_lets_nothing_through() {
    let cotangent = Cotangent { expr: checked("c"), guarded: true };
    let pulled = pull(&checked("ln(x) + y"), &cotangent, &wanted).unwrap();
    let by_x = &pulled.inputs[&InputId(1)];
    assert_eq!((value(&by_x.expr, &[0.0, 0.0, 1.0, 1.0]), by_x.guarded), (0.0, true));
    assert_eq!(value(&by_x.expr, &[3.0, 0.5, 1.0, 1.0]), 6.0);
}

#[test]
fn absent_is_not_zero_and_what_is_flat_is_told() {
    for (text, arrives, flat) in [
        ("x * 2.0", vec![1], vec![]),
        ("stop_gradient(x) * y", vec![2], vec!["stop_gradient"]),
        ("round(x) + sign(z)", vec![], vec!["round", "sign"]),
        ("x > 1.0 ? y : 2.0", vec![2], vec!["a condition"]),
        ("c * 3.0", vec![], vec![]),
        ("(x - x) * y", vec![1, 2], vec![]),
    ] {
        let pulled = pull(&checked(text), &Cotangent::one(), &wanted).unwrap();
        assert_eq!(pulled.inputs.keys().map(|id| id.0).collect::<Vec<_>>(), arrives, "{text}");
        assert_eq!(pulled.flat.iter().map(String::as_str).collect::<Vec<_>>(), flat, "{text}");
    }
}

#[test]
fn what_has_no_slope_is_refused_by_name() {
    for (text, of, why) in [
        ("x % 2.0", "%", "a remainder jumps"),
        ("sum([x, y])", "sum", "it works on lists, which have no slope"),
        ("max([x, y])", "max", "what is not a number has no slope"),
        ("(x > 1.0) == true ? 1.0 : double(string(x))", "double", "what is not a number has no slope"),
        ("[x][0]", "a map or an index", "what is in a list or a map has no slope"),
    ] {
        let refused = pull(&checked(text), &Cotangent::one(), &wanted).unwrap_err();
        assert_eq!((refused.of.as_str(), refused.why.as_str()), (of, why), "{text}");
    }
}

fn arb_formula() -> impl Strategy<Value = String> {
    let leaf = prop::sample::select(vec!["x", "y", "z", "c", "2", "0.5", "1.25"]).prop_map(str::to_owned);
    leaf.prop_recursive(5, 24, 3, |inner| {
        let one = (
            prop::sample::select(vec![
                "sqrt", "exp", "ln", "sigmoid", "tanh", "relu", "softplus", "sin", "cos", "abs", "log1p", "-",
            ]),
            inner.clone(),
        );
        let two = (prop::sample::select(vec!["+", "-", "*", "/"]), inner.clone(), inner.clone());
        let named = (prop::sample::select(vec!["min", "max", "pow", "coalesce"]), inner.clone(), inner.clone());
        let branch = (inner.clone(), inner.clone(), inner.clone(), inner);
        prop_oneof![
            2 => one.prop_map(|(f, a)| format!("{f}({a})")),
            4 => two.prop_map(|(op, a, b)| format!("({a} {op} double({b}))")),
            1 => named.prop_map(|(f, a, b)| format!("{f}({a}, {b})")),
            1 => branch.prop_map(|(a, b, c, d)| format!("({a} < {b} ? {c} : {d})")),
        ]
    })
}

proptest! {
    #[test]
    fn random_expressions_agree_with_central_differences(text in arb_formula(), at in prop::array::uniform4(0.3..2.5f64)) {
        assert_slopes(&checked(&text), &text, &at);
    }

    #[test]
    fn the_gradient_of_a_gradient_is_one_too(text in arb_formula(), at in prop::array::uniform4(0.3..2.5f64)) {
        for slope in gradient(&checked(&text)).iter().flatten() {
            assert_slopes(slope, &format!("a slope of {text}"), &at);
        }
    }
}
