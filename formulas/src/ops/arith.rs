//! Arithmetic. One screen an operator: the same-type cases first, which are the hot ones, then promotion.

use std::sync::Arc;

use super::type_name;
use crate::ast::BinaryOp;
use crate::decimal::Decimal;
use crate::errors;
use crate::problem::Error;
use crate::text::Text;
use crate::time;
use crate::value::{Cell, Duration, Timestamp, Value};

/// The most bytes that a text or byte string made by an operator or function has.
pub const TEXT_MAX: usize = 64 << 20;

/// The most elements that a list made by an operator or function has.
pub const LIST_MAX: usize = 4 << 20;

/// Two numbers brought to one type.
enum Promoted {
    Doubles(f64, f64),
    Decimals(Decimal, Decimal),
}

/// Decimal if one is a decimal and none a double, double if one is a double; `None` for the rest, int with uint included.
fn promote(a: &Value, b: &Value) -> Option<Promoted> {
    if matches!(a, Value::Double(_)) || matches!(b, Value::Double(_)) {
        return Some(Promoted::Doubles(as_double(a)?, as_double(b)?));
    }
    if matches!(a, Value::Decimal(_)) || matches!(b, Value::Decimal(_)) {
        return Some(Promoted::Decimals(as_decimal(a)?, as_decimal(b)?));
    }
    None
}

fn as_double(x: &Value) -> Option<f64> {
    match x {
        Value::Int(x) => Some(*x as f64),
        Value::Uint(x) => Some(*x as f64),
        Value::Double(x) => Some(*x),
        Value::Decimal(x) => Some(x.to_f64()),
        _ => None,
    }
}

fn as_decimal(x: &Value) -> Option<Decimal> {
    match x {
        Value::Int(x) => Some(Decimal::from(*x)),
        Value::Uint(x) => Some(Decimal::from(*x)),
        Value::Decimal(x) => Some(x.clone()),
        _ => None,
    }
}

fn int(x: Option<i64>, what: &str) -> Cell {
    x.map(Value::Int).ok_or_else(|| errors::overflow(what))
}

fn uint(x: Option<u64>, what: &str) -> Cell {
    x.map(Value::Uint).ok_or_else(|| errors::overflow(what))
}

fn decimal(x: Option<Decimal>) -> Cell {
    x.map(Value::Decimal).ok_or_else(errors::decimal_overflow)
}

/// An instant that must lie in the years 1 to 9999.
fn instant(x: Option<i64>) -> Cell {
    x.map(Timestamp).filter(|t| time::in_range(*t)).map(Value::Timestamp).ok_or_else(|| errors::time_out_of_range("timestamp"))
}

fn span(x: Option<i64>) -> Cell {
    x.map(|x| Value::Duration(Duration(x))).ok_or_else(|| errors::time_out_of_range("duration"))
}

/// NULL if one operand is; else there is no such operator.
#[cold]
fn refuse(op: BinaryOp, a: &Value, b: &Value) -> Cell {
    let cure = match (a, b) {
        (Value::Null, _) | (_, Value::Null) => return Ok(Value::Null),
        (Value::Int(_), Value::Uint(_)) | (Value::Uint(_), Value::Int(_)) => ": convert one with int() or uint()",
        _ => "",
    };
    Err(errors::no_overload(format!("{} {} {} has no meaning{cure}", type_name(a), op.symbol(), type_name(b))))
}

pub(super) fn neg(a: &Value) -> Cell {
    match a {
        Value::Null => Ok(Value::Null),
        Value::Int(a) => int(a.checked_neg(), "-int"),
        Value::Double(a) => Ok(Value::double(-a)),
        Value::Decimal(a) => Ok(Value::Decimal(a.negated())),
        Value::Duration(a) => span(a.0.checked_neg()),
        a => Err(errors::no_overload(format!("- has no meaning for {}", type_name(a)))),
    }
}

#[inline]
pub(super) fn add(a: &Value, b: &Value) -> Cell {
    match (a, b) {
        (Value::Int(a), Value::Int(b)) => int(a.checked_add(*b), "int + int"),
        (Value::Double(a), Value::Double(b)) => Ok(Value::double(a + b)),
        (Value::Decimal(a), Value::Decimal(b)) => decimal(a.checked_add(b)),
        (Value::Uint(a), Value::Uint(b)) => uint(a.checked_add(*b), "uint + uint"),
        (Value::Text(a), Value::Text(b)) => concat_text(a, b),
        (Value::Bytes(a), Value::Bytes(b)) => concat_bytes(a, b),
        (Value::List(a), Value::List(b)) => concat_lists(a, b),
        (Value::Timestamp(a), Value::Duration(b)) | (Value::Duration(b), Value::Timestamp(a)) => instant(a.0.checked_add(b.0)),
        (Value::Duration(a), Value::Duration(b)) => span(a.0.checked_add(b.0)),
        _ => match promote(a, b) {
            Some(Promoted::Doubles(a, b)) => Ok(Value::double(a + b)),
            Some(Promoted::Decimals(a, b)) => decimal(a.checked_add(&b)),
            None => refuse(BinaryOp::Add, a, b),
        },
    }
}

#[inline]
pub(super) fn sub(a: &Value, b: &Value) -> Cell {
    match (a, b) {
        (Value::Int(a), Value::Int(b)) => int(a.checked_sub(*b), "int - int"),
        (Value::Double(a), Value::Double(b)) => Ok(Value::double(a - b)),
        (Value::Decimal(a), Value::Decimal(b)) => decimal(a.checked_sub(b)),
        (Value::Uint(a), Value::Uint(b)) => uint(a.checked_sub(*b), "uint - uint"),
        (Value::Timestamp(a), Value::Duration(b)) => instant(a.0.checked_sub(b.0)),
        (Value::Timestamp(a), Value::Timestamp(b)) => span(a.0.checked_sub(b.0)),
        (Value::Duration(a), Value::Duration(b)) => span(a.0.checked_sub(b.0)),
        _ => match promote(a, b) {
            Some(Promoted::Doubles(a, b)) => Ok(Value::double(a - b)),
            Some(Promoted::Decimals(a, b)) => decimal(a.checked_sub(&b)),
            None => refuse(BinaryOp::Sub, a, b),
        },
    }
}

#[inline]
pub(super) fn mul(a: &Value, b: &Value) -> Cell {
    match (a, b) {
        (Value::Int(a), Value::Int(b)) => int(a.checked_mul(*b), "int * int"),
        (Value::Double(a), Value::Double(b)) => Ok(Value::double(a * b)),
        (Value::Decimal(a), Value::Decimal(b)) => decimal(a.checked_mul(b)),
        (Value::Uint(a), Value::Uint(b)) => uint(a.checked_mul(*b), "uint * uint"),
        _ => match promote(a, b) {
            Some(Promoted::Doubles(a, b)) => Ok(Value::double(a * b)),
            Some(Promoted::Decimals(a, b)) => decimal(a.checked_mul(&b)),
            None => refuse(BinaryOp::Mul, a, b),
        },
    }
}

/// Integers truncate; decimals round half-even at scale max(s1, s2) + 4; doubles follow IEEE 754.
#[inline]
pub(super) fn div(a: &Value, b: &Value) -> Cell {
    match (a, b) {
        (Value::Int(_), Value::Int(0)) | (Value::Uint(_), Value::Uint(0)) => Err(errors::division_by_zero()),
        (Value::Int(a), Value::Int(b)) => int(a.checked_div(*b), "int / int"),
        (Value::Double(a), Value::Double(b)) => Ok(Value::double(a / b)),
        (Value::Uint(a), Value::Uint(b)) => uint(a.checked_div(*b), "uint / uint"),
        _ => match promote(a, b) {
            Some(Promoted::Doubles(a, b)) => Ok(Value::double(a / b)),
            Some(Promoted::Decimals(_, b)) if b.is_zero() => Err(errors::division_by_zero()),
            Some(Promoted::Decimals(a, b)) => decimal(a.checked_div(&b)),
            None => refuse(BinaryOp::Div, a, b),
        },
    }
}

/// The remainder of truncating division: it has the sign of the dividend.
#[inline]
pub(super) fn rem(a: &Value, b: &Value) -> Cell {
    match (a, b) {
        (Value::Int(_), Value::Int(0)) | (Value::Uint(_), Value::Uint(0)) => Err(errors::division_by_zero()),
        (Value::Int(a), Value::Int(b)) => Ok(Value::Int(a.wrapping_rem(*b))), // Wraps only in MIN % -1, which is 0.
        (Value::Double(a), Value::Double(b)) => Ok(Value::double(a % b)),
        (Value::Uint(a), Value::Uint(b)) => uint(a.checked_rem(*b), "uint % uint"),
        _ => match promote(a, b) {
            Some(Promoted::Doubles(a, b)) => Ok(Value::double(a % b)),
            Some(Promoted::Decimals(_, b)) if b.is_zero() => Err(errors::division_by_zero()),
            Some(Promoted::Decimals(a, b)) => decimal(a.checked_rem(&b)),
            None => refuse(BinaryOp::Rem, a, b),
        },
    }
}

fn fits(a: usize, b: usize, max: usize) -> Result<(), Error> {
    if a.saturating_add(b) > max { Err(errors::out_of_fuel()) } else { Ok(()) }
}

fn concat_text(a: &Text, b: &Text) -> Cell {
    fits(a.len(), b.len(), TEXT_MAX)?;
    Ok(match (a.len(), b.len()) {
        (_, 0) => Value::Text(a.clone()),
        (0, _) => Value::Text(b.clone()),
        _ => Value::text([&**a, &**b].concat()),
    })
}

fn concat_bytes(a: &Arc<[u8]>, b: &Arc<[u8]>) -> Cell {
    fits(a.len(), b.len(), TEXT_MAX)?;
    Ok(Value::Bytes([&**a, &**b].concat().into()))
}

fn concat_lists(a: &Arc<[Value]>, b: &Arc<[Value]>) -> Cell {
    fits(a.len(), b.len(), LIST_MAX)?;
    Ok(Value::List(a.iter().chain(b.iter()).cloned().collect()))
}
