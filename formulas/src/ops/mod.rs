//! Operators on values: what `+`, `<`, `in`, `[…]` mean once the operands are known.
//!
//! Each operator stands in four places, none of them with a wildcard arm over operators: its value ([`binary`]), its type
//! ([`binary_type`]), its derivative ([`binary_derivative`]), and one table in the tests.
//!
//! - NULL: `==` and `!=` are two-valued; ordering and arithmetic with NULL give NULL; `! && ||` are Kleene's.
//! - Numbers: integers and decimals are exact, and what does not fit is an error value; int or uint with decimal gives
//!   decimal, anything with double gives double; int with uint is an error. Comparison is exact, as on one number line,
//!   with NaN above every number and equal to itself, and -0.0 equal to 0.0.
//! - Nothing here panics, and sizes are checked before anything is allocated.
//!
//! Next to read: [`crate::eval`].

mod access;
mod arith;
mod compare;
pub(crate) mod derivative;
mod types;

pub use access::{check_key, contains_key, has, index, member};
pub use arith::{LIST_MAX, TEXT_MAX};
pub use compare::{compare, double_cmp, equal, number_cmp};
pub use derivative::{binary_derivative, unary_derivative};
pub use types::{binary_type, index_type, sum_type, unary_type, unify};

use std::cmp::Ordering;

use crate::ast::{BinaryOp, UnaryOp};
use crate::errors;
use crate::problem::Error;
use crate::value::{Cell, Value};

/// `!a`, `-a`.
///
/// # Errors
/// E0301 where the negative does not fit, E0303 for a type without the operator.
pub fn unary(op: UnaryOp, a: &Value) -> Cell {
    match op {
        UnaryOp::Not => match a {
            Value::Bool(a) => Ok(Value::Bool(!a)),
            Value::Null => Ok(Value::Null),
            a => Err(errors::no_overload(format!("! has no meaning for {}", type_name(a)))),
        },
        UnaryOp::Neg => arith::neg(a),
    }
}

/// `a op b` on two evaluated operands. See [`logic`] for `&&` and `||` where an operand may be in error.
///
/// # Errors
/// E0301, E0302, E0303, E0307, E0308, E0312, as the code says.
#[inline]
pub fn binary(op: BinaryOp, a: &Value, b: &Value) -> Cell {
    match op {
        BinaryOp::Add => arith::add(a, b),
        BinaryOp::Sub => arith::sub(a, b),
        BinaryOp::Mul => arith::mul(a, b),
        BinaryOp::Div => arith::div(a, b),
        BinaryOp::Rem => arith::rem(a, b),
        BinaryOp::Eq => Ok(Value::Bool(equal(a, b))),
        BinaryOp::Ne => Ok(Value::Bool(!equal(a, b))),
        BinaryOp::Lt => ordered(a, b, Ordering::is_lt),
        BinaryOp::Le => ordered(a, b, Ordering::is_le),
        BinaryOp::Gt => ordered(a, b, Ordering::is_gt),
        BinaryOp::Ge => ordered(a, b, Ordering::is_ge),
        BinaryOp::In => member(a, b),
        BinaryOp::And => conjunction(truth(a), truth(b)),
        BinaryOp::Or => disjunction(truth(a), truth(b)),
    }
}

/// `&&` and `||` on two cells, either of which may be in error: what decides alone wins, in either order, so
/// `false && error` and `error && false` are false. Otherwise the first error, then NULL.
///
/// # Errors
/// The first operand in error that the other does not decide; E0303 for an operand that is not a bool.
pub fn logic(op: Logic, a: Cell, b: Cell) -> Cell {
    let (a, b) = (a.and_then(|a| truth(&a)), b.and_then(|b| truth(&b)));
    match op {
        Logic::And => conjunction(a, b),
        Logic::Or => disjunction(a, b),
    }
}

/// The two operators that may decide on one operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Logic {
    /// `&&`
    And,
    /// `||`
    Or,
}

/// The truth of a value: NULL is `None`.
///
/// # Errors
/// E0303 for what is neither a bool nor NULL.
pub fn truth(a: &Value) -> Result<Option<bool>, Error> {
    match a {
        Value::Bool(a) => Ok(Some(*a)),
        Value::Null => Ok(None),
        a => Err(errors::no_overload(format!("a condition must be a bool, not {}", type_name(a)))),
    }
}

fn conjunction(a: Result<Option<bool>, Error>, b: Result<Option<bool>, Error>) -> Cell {
    match (a, b) {
        (Ok(Some(false)), _) | (_, Ok(Some(false))) => Ok(Value::Bool(false)),
        (Err(e), _) | (_, Err(e)) => Err(e),
        (Ok(Some(true)), Ok(Some(true))) => Ok(Value::Bool(true)),
        (Ok(None), Ok(_)) | (Ok(_), Ok(None)) => Ok(Value::Null),
    }
}

fn disjunction(a: Result<Option<bool>, Error>, b: Result<Option<bool>, Error>) -> Cell {
    match (a, b) {
        (Ok(Some(true)), _) | (_, Ok(Some(true))) => Ok(Value::Bool(true)),
        (Err(e), _) | (_, Err(e)) => Err(e),
        (Ok(Some(false)), Ok(Some(false))) => Ok(Value::Bool(false)),
        (Ok(None), Ok(_)) | (Ok(_), Ok(None)) => Ok(Value::Null),
    }
}

#[inline]
fn ordered(a: &Value, b: &Value, holds: fn(Ordering) -> bool) -> Cell {
    Ok(compare(a, b)?.map_or(Value::Null, |order| Value::Bool(holds(order))))
}

/// What the type of a value is called in messages.
pub fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Int(_) => "int",
        Value::Uint(_) => "uint",
        Value::Double(_) => "double",
        Value::Decimal(_) => "decimal",
        Value::Text(_) => "text",
        Value::Bytes(_) => "bytes",
        Value::Timestamp(_) => "timestamp",
        Value::Duration(_) => "duration",
        Value::List(_) => "list",
        Value::Map(_) => "map",
        Value::Tensor(_) => "tensor",
    }
}

#[cfg(test)]
pub(crate) mod tests;
