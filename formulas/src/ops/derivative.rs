//! The derivatives of operators: each arm says how a cotangent goes back, or why none does. No wildcard: a missing rule does not compile.

use crate::ast::{BinaryOp, UnaryOp};
use crate::expr::{Expr, ExprKind};
use crate::functions::Derivative;
use crate::types::Type;
use crate::value::Value;

/// How a cotangent goes back through `op a`.
pub fn unary_derivative(op: UnaryOp) -> Derivative {
    match op {
        UnaryOp::Not => Derivative::None { why: "a truth value has no slope" },
        UnaryOp::Neg => Derivative::Partial(|_, _| number(-1.0)),
    }
}

/// How a cotangent goes back through `a op b`.
pub fn binary_derivative(op: BinaryOp) -> Derivative {
    match op {
        BinaryOp::Add => Derivative::Partial(|_, _| number(1.0)),
        BinaryOp::Sub => Derivative::Partial(|_, i| number(if i == 0 { 1.0 } else { -1.0 })),
        BinaryOp::Mul => Derivative::Partial(|x, i| x[1 - i].clone()),
        // d(a/b) = da/b - a/b² db
        BinaryOp::Div => Derivative::Partial(|x, i| match i {
            0 => apply(BinaryOp::Div, number(1.0), x[1].clone()),
            _ => apply(BinaryOp::Div, negative(x[0].clone()), apply(BinaryOp::Mul, x[1].clone(), x[1].clone())),
        }),
        BinaryOp::Rem => Derivative::None { why: "a remainder jumps" },
        BinaryOp::Eq | BinaryOp::Ne | BinaryOp::Lt | BinaryOp::Le | BinaryOp::Gt | BinaryOp::Ge => {
            Derivative::None { why: "a comparison has no slope" }
        }
        BinaryOp::In => Derivative::None { why: "membership has no slope" },
        BinaryOp::And | BinaryOp::Or => Derivative::None { why: "a truth value has no slope" },
    }
}

/// A constant double.
pub(crate) fn number(x: f64) -> Expr {
    Expr::new(ExprKind::Const(Value::double(x)), Type::Double)
}

/// `a op b` as a double.
pub(crate) fn apply(op: BinaryOp, a: Expr, b: Expr) -> Expr {
    Expr::new(ExprKind::Binary(op, a, b), Type::Double)
}

/// `-a` as a double.
pub(crate) fn negative(a: Expr) -> Expr {
    Expr::new(ExprKind::Unary(UnaryOp::Neg, a), Type::Double)
}

/// `a op b` as a condition.
pub(crate) fn holds(op: BinaryOp, a: Expr, b: Expr) -> Expr {
    Expr::new(ExprKind::Binary(op, a, b), Type::Bool)
}

/// `condition ? a : b` as a double.
pub(crate) fn either(condition: Expr, a: Expr, b: Expr) -> Expr {
    Expr::new(ExprKind::If(condition, a, b), Type::Double)
}
