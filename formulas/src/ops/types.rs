//! The types of operators: which operands fit, and what comes out. `Dyn` and `Null` fit everywhere.

use std::sync::Arc;

use crate::ast::{BinaryOp, UnaryOp};
use crate::types::Type;

/// The type of `op a`.
///
/// # Errors
/// Why the operand does not fit, lower case, without a full stop.
pub fn unary_type(op: UnaryOp, a: &Type) -> Result<Type, String> {
    match (op, a) {
        (UnaryOp::Not, Type::Bool | Type::Dyn | Type::Null) => Ok(Type::Bool),
        (UnaryOp::Not, a) => Err(format!("! wants a bool, not {a}")),
        (UnaryOp::Neg, Type::Int | Type::Double | Type::Decimal { .. } | Type::Duration | Type::Dyn | Type::Null) => {
            Ok(a.clone())
        }
        (UnaryOp::Neg, Type::Uint) => Err("a uint has no negative: convert it with int()".into()),
        (UnaryOp::Neg, a) => Err(format!("- wants a number or a duration, not {a}")),
    }
}

/// The type of `a op b`.
///
/// # Errors
/// Why the operands do not fit, lower case, without a full stop.
pub fn binary_type(op: BinaryOp, a: &Type, b: &Type) -> Result<Type, String> {
    match op {
        BinaryOp::Add | BinaryOp::Sub | BinaryOp::Mul | BinaryOp::Div | BinaryOp::Rem => arithmetic(op, a, b),
        BinaryOp::Eq | BinaryOp::Ne if comparable(a, b) => Ok(Type::Bool),
        BinaryOp::Eq | BinaryOp::Ne => Err(format!("{a} and {b} are never equal")),
        BinaryOp::Lt | BinaryOp::Le | BinaryOp::Gt | BinaryOp::Ge if ordered(a) && ordered(b) && comparable(a, b) => {
            Ok(Type::Bool)
        }
        BinaryOp::Lt | BinaryOp::Le | BinaryOp::Gt | BinaryOp::Ge => Err(format!("{a} and {b} have no order")),
        BinaryOp::In => match b {
            Type::List(item) if comparable(a, item) => Ok(Type::Bool),
            Type::Map(key, _) if comparable(a, key) => Ok(Type::Bool),
            Type::Dyn | Type::Null => Ok(Type::Bool),
            Type::List(_) | Type::Map(..) => Err(format!("{b} never holds {a}")),
            b => Err(format!("in looks into a list or a map, not into {b}")),
        },
        BinaryOp::And | BinaryOp::Or => match [a, b].into_iter().find(|t| !matches!(t, Type::Bool | Type::Dyn | Type::Null)) {
            None => Ok(Type::Bool),
            Some(t) => Err(format!("{} wants bools, not {t}", op.symbol())),
        },
    }
}

fn arithmetic(op: BinaryOp, a: &Type, b: &Type) -> Result<Type, String> {
    let fail = |cure: &str| Err(format!("{a} {} {b} has no meaning{cure}", op.symbol()));
    match (a, b) {
        (Type::Null, _) | (_, Type::Null) => Ok(Type::Null),
        (Type::Dyn, _) | (_, Type::Dyn) => Ok(Type::Dyn),
        (Type::Int, Type::Int) => Ok(Type::Int),
        (Type::Uint, Type::Uint) => Ok(Type::Uint),
        (Type::Int, Type::Uint) | (Type::Uint, Type::Int) => fail(": convert one with int() or uint()"),
        (Type::Double, b) if b.is_numeric() => Ok(Type::Double),
        (a, Type::Double) if a.is_numeric() => Ok(Type::Double),
        (a, b) if a.is_numeric() && b.is_numeric() => decimal(op, digits(a), digits(b)),
        _ => match op {
            BinaryOp::Add => sum_of_others(a, b).map_or_else(|| fail(""), Ok),
            BinaryOp::Sub => match (a, b) {
                (Type::Timestamp, Type::Duration) => Ok(Type::Timestamp),
                (Type::Timestamp, Type::Timestamp) | (Type::Duration, Type::Duration) => Ok(Type::Duration),
                _ => fail(""),
            },
            _ => fail(""),
        },
    }
}

/// What `+` gives for what is not a number.
fn sum_of_others(a: &Type, b: &Type) -> Option<Type> {
    match (a, b) {
        (Type::Text, Type::Text) => Some(Type::Text),
        (Type::Bytes, Type::Bytes) => Some(Type::Bytes),
        (Type::List(a), Type::List(b)) => Some(Type::List(Arc::new(unify(a, b)))),
        (Type::Timestamp, Type::Duration) | (Type::Duration, Type::Timestamp) => Some(Type::Timestamp),
        (Type::Duration, Type::Duration) => Some(Type::Duration),
        _ => None,
    }
}

/// Precision and scale of a number type, as a decimal.
fn digits(t: &Type) -> (u8, u8) {
    match t {
        Type::Decimal { precision, scale } => (*precision, *scale),
        Type::Int => (19, 0),
        _ => (20, 0),
    }
}

fn decimal(op: BinaryOp, (p1, s1): (u8, u8), (p2, s2): (u8, u8)) -> Result<Type, String> {
    let whole = |p: u8, s: u8| p.saturating_sub(s);
    let common = s1.max(s2);
    let (precision, scale) = match op {
        BinaryOp::Add | BinaryOp::Sub => (whole(p1, s1).max(whole(p2, s2)) + common + 1, common),
        BinaryOp::Mul => (p1.saturating_add(p2), s1.saturating_add(s2)),
        BinaryOp::Div => {
            let scale = (common + 4).min(76);
            (whole(p1, s1).saturating_add(s2).saturating_add(scale), scale)
        }
        _ => (whole(p1, s1).max(whole(p2, s2)) + common, common),
    };
    if scale > 76 {
        return Err(format!("a product with {scale} digits behind the point is too fine: round one side with decimal(x, scale)"));
    }
    Ok(Type::Decimal { precision: precision.min(76), scale })
}

/// Whether `==` between them can ever be true.
fn comparable(a: &Type, b: &Type) -> bool {
    match (a, b) {
        (Type::Dyn | Type::Null, _) | (_, Type::Dyn | Type::Null) => true,
        (Type::List(a), Type::List(b)) => comparable(a, b),
        (Type::Map(k1, v1), Type::Map(k2, v2)) => comparable(k1, k2) && comparable(v1, v2),
        (a, b) => a == b || (a.is_numeric() && b.is_numeric()),
    }
}

fn ordered(t: &Type) -> bool {
    !matches!(t, Type::List(_) | Type::Map(..) | Type::Tensor(_))
}

/// The type of `a[b]`.
///
/// # Errors
/// Why the operands do not fit.
pub fn index_type(a: &Type, b: &Type) -> Result<Type, String> {
    match a {
        Type::Dyn => Ok(Type::Dyn),
        Type::Null => Ok(Type::Null),
        Type::List(item) if b.is_numeric() || matches!(b, Type::Dyn | Type::Null) => Ok((**item).clone()),
        Type::List(_) => Err(format!("a list is indexed by an int, not by {b}")),
        Type::Map(key, value) if comparable(key, b) => Ok((**value).clone()),
        Type::Map(key, _) => Err(format!("the keys are {key}, not {b}")),
        a => Err(format!("{a} has no elements")),
    }
}

/// The type of `sum` over values of type `t`.
///
/// # Errors
/// Why they have no sum.
pub fn sum_type(t: &Type) -> Result<Type, String> {
    match t {
        Type::Int | Type::Uint | Type::Double | Type::Duration | Type::Dyn => Ok(t.clone()),
        Type::Null => Ok(Type::Int),
        Type::Decimal { scale, .. } => Ok(Type::Decimal { precision: 76, scale: *scale }),
        t => Err(format!("{t} has no sum")),
    }
}

/// The type of a place that may hold either: the type itself where they are equal or one is NULL, the wider decimal for
/// two decimals, `Dyn` for the rest (values are not converted).
pub fn unify(a: &Type, b: &Type) -> Type {
    match (a, b) {
        (Type::Null, t) | (t, Type::Null) => t.clone(),
        (Type::Decimal { precision: p1, scale: s1 }, Type::Decimal { precision: p2, scale: s2 }) if s1 == s2 => {
            Type::Decimal { precision: *p1.max(p2), scale: *s1 }
        }
        (Type::List(a), Type::List(b)) => Type::List(Arc::new(unify(a, b))),
        (Type::Map(k1, v1), Type::Map(k2, v2)) => Type::Map(Arc::new(unify(k1, k2)), Arc::new(unify(v1, v2))),
        (a, b) if a == b => a.clone(),
        _ => Type::Dyn,
    }
}
