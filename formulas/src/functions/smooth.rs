//! Functions that models are made of: smooth steps and ramps, circles, and what stops a gradient. All give doubles.
//!
//! Kinks, where frameworks differ: the slope of `relu` at 0 is 0, and of `clamp` at a bound 0, as in PyTorch.

use super::number::as_double;
use super::signature::{Want, takes};
use super::{Derivative, Function, Nulls, call};
use crate::ast::BinaryOp::{Add, Div, Ge, Gt, Lt, Mul, Sub};
use crate::expr::{Expr, ExprKind};
use crate::ops::derivative::{apply, either, holds, negative, number};
use crate::types::Type;
use crate::value::{Cell, Value};

/// A function of one number.
macro_rules! smooth {
    ($name:literal, $doc:literal, $example:literal, $value:expr, $slope:expr) => {
        Function {
            name: $name,
            doc: $doc,
            example: $example,
            args: 1..=1,
            result: |t| takes(t, &[Want::Number], Type::Double),
            nulls: Nulls::Propagate,
            call: |v, _| Ok(Value::double($value(as_double($name, &v[0])?))),
            derivative: Derivative::Partial(|x, _| $slope(x)),
        }
    };
}

pub(super) const FUNCTIONS: &[Function] = &[
    smooth!("sigmoid", "a smooth step from 0 to 1: 1 / (1 + exp(-x))", "sigmoid(0) == 0.5", sigmoid, |x: &[Expr]| {
        let s = call("sigmoid", x);
        apply(Mul, s.clone(), apply(Sub, number(1.0), s))
    }),
    smooth!("tanh", "the hyperbolic tangent, a smooth step from -1 to 1", "tanh(0) == 0.0", f64::tanh, |x: &[Expr]| {
        let t = call("tanh", x);
        apply(Sub, number(1.0), apply(Mul, t.clone(), t))
    }),
    smooth!("relu", "the number, or 0 where it is below", "relu(-2) == 0.0 && relu(3) == 3.0", ramp, |x: &[Expr]| {
        either(holds(Gt, x[0].clone(), number(0.0)), number(1.0), number(0.0))
    }),
    smooth!("softplus", "a smooth ramp: ln(1 + exp(x))", "softplus(0) == ln(2)", softplus, |x: &[Expr]| call("sigmoid", x)),
    smooth!("sin", "the sine of an angle in radians", "sin(0) == 0.0", f64::sin, |x: &[Expr]| call("cos", x)),
    smooth!("cos", "the cosine of an angle in radians", "cos(0) == 1.0", f64::cos, |x: &[Expr]| negative(call("sin", x))),
    smooth!("log1p", "ln(1 + x), exact also near 0", "log1p(0) == 0.0", f64::ln_1p, |x: &[Expr]| {
        apply(Div, number(1.0), apply(Add, number(1.0), x[0].clone()))
    }),
    smooth!("expm1", "exp(x) - 1, exact also near 0", "expm1(0) == 0.0", f64::exp_m1, |x: &[Expr]| call("exp", x)),
    Function {
        name: "clamp",
        doc: "the number, or the bound that it is beyond: clamp(x, least, greatest), as a double",
        example: "clamp(5, 1, 3) == 3.0 && clamp(0, 1, 3) == 1.0 && clamp(2, 1, 3) == 2.0",
        args: 3..=3,
        result: |t| takes(t, &[Want::Number], Type::Double),
        nulls: Nulls::Propagate,
        call: |v, _| clamp(v),
        derivative: Derivative::Partial(clamp_partial),
    },
    Function {
        name: "stop_gradient",
        doc: "the value as it is, through which no gradient flows",
        example: "stop_gradient(2.5) == 2.5",
        args: 1..=1,
        result: |t| Ok(t[0].clone()),
        nulls: Nulls::Sees,
        call: |v, _| Ok(v[0].clone()),
        derivative: Derivative::Zero,
    },
];

fn sigmoid(x: f64) -> f64 {
    // Each side where its power does not overflow.
    if x >= 0.0 { 1.0 / (1.0 + (-x).exp()) } else { x.exp() / (1.0 + x.exp()) }
}

/// NaN stays NaN.
fn ramp(x: f64) -> f64 {
    if x < 0.0 { 0.0 } else { x }
}

fn softplus(x: f64) -> f64 {
    ramp(x) + (-x.abs()).exp().ln_1p()
}

fn clamp(v: &[Value]) -> Cell {
    let [x, least, greatest] = [0, 1, 2].map(|i| as_double("clamp", &v[i]));
    let (x, least, greatest) = (x?, least?, greatest?);
    Ok(Value::double(if x < least {
        least
    } else if x > greatest {
        greatest
    } else {
        x
    }))
}

/// The one of the three that is the answer, and none where two are.
fn clamp_partial(x: &[Expr], i: usize) -> Expr {
    let is = |op, a: usize, b: usize| holds(op, x[a].clone(), x[b].clone());
    let one = |condition| either(condition, number(1.0), number(0.0));
    let both = |a: Expr, b: Expr| Expr::new(ExprKind::Binary(crate::ast::BinaryOp::And, a, b), Type::Bool);
    match i {
        0 => one(both(is(Gt, 0, 1), is(Lt, 0, 2))),
        1 => one(is(Lt, 0, 1)),
        _ => one(both(is(Gt, 0, 2), is(Ge, 0, 1))),
    }
}
