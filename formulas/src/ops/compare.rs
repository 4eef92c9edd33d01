//! Equality and order of the formula language: numbers exactly, as on one number line.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use super::{access, type_name};
use crate::errors;
use crate::problem::Error;
use crate::value::Value;

/// `a == b`: numbers by value whatever their types, NaN equal to NaN, -0.0 equal to 0.0, NULL only to NULL; lists and maps
/// element by element; values of different types are not equal.
#[inline]
pub fn equal(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Int(a), Value::Int(b)) => a == b,
        (Value::Text(a), Value::Text(b)) => a == b,
        (Value::List(a), Value::List(b)) => a.len() == b.len() && a.iter().zip(b.iter()).all(|(a, b)| equal(a, b)),
        (Value::Map(a), Value::Map(b)) => equal_maps(a, b),
        (Value::Null, Value::Null) => true,
        (Value::Bool(a), Value::Bool(b)) => a == b,
        (Value::Bytes(a), Value::Bytes(b)) => a == b,
        (Value::Timestamp(a), Value::Timestamp(b)) => a == b,
        (Value::Duration(a), Value::Duration(b)) => a == b,
        (Value::Tensor(a), Value::Tensor(b)) => a.array().shape() == b.array().shape() && equal_elements(a.array(), b.array()),
        _ => number_cmp(a, b).is_some_and(Ordering::is_eq),
    }
}

fn equal_elements(a: &ndarray::ArrayD<f64>, b: &ndarray::ArrayD<f64>) -> bool {
    a.iter().zip(b.iter()).all(|(a, b)| double_cmp(*a, *b).is_eq())
}

/// Keys that are equal numbers of different types are one key, so a lookup and not the order decides.
fn equal_maps(a: &BTreeMap<Value, Value>, b: &BTreeMap<Value, Value>) -> bool {
    a.len() == b.len() && a.iter().all(|(key, value)| access::lookup(b, key).is_some_and(|other| equal(value, other)))
}

/// The order of two values; `None` where one is NULL. Numbers as on one number line, NaN above all; texts and bytes by
/// bytes; `false` below `true`; timestamps and durations by time.
///
/// # Errors
/// E0303 for values of different types, and for lists, maps and tensors, which have no order.
#[inline]
pub fn compare(a: &Value, b: &Value) -> Result<Option<Ordering>, Error> {
    match (a, b) {
        (Value::Int(a), Value::Int(b)) => Ok(Some(a.cmp(b))),
        (Value::Null, _) | (_, Value::Null) => Ok(None),
        (Value::Text(a), Value::Text(b)) => Ok(Some(a.cmp(b))),
        (Value::Bool(a), Value::Bool(b)) => Ok(Some(a.cmp(b))),
        (Value::Bytes(a), Value::Bytes(b)) => Ok(Some(a.cmp(b))),
        (Value::Timestamp(a), Value::Timestamp(b)) => Ok(Some(a.cmp(b))),
        (Value::Duration(a), Value::Duration(b)) => Ok(Some(a.cmp(b))),
        _ => match number_cmp(a, b) {
            Some(order) => Ok(Some(order)),
            None => Err(errors::no_overload(format!("{} and {} have no order", type_name(a), type_name(b)))),
        },
    }
}

/// The order of two numbers of any types, exactly; `None` if one is not a number.
#[inline]
pub fn number_cmp(a: &Value, b: &Value) -> Option<Ordering> {
    Some(match (a, b) {
        (Value::Int(a), Value::Int(b)) => a.cmp(b),
        (Value::Uint(a), Value::Uint(b)) => a.cmp(b),
        (Value::Double(a), Value::Double(b)) => double_cmp(*a, *b),
        (Value::Decimal(a), Value::Decimal(b)) => a.number_cmp(b),
        (Value::Int(a), Value::Uint(b)) => i128::from(*a).cmp(&i128::from(*b)),
        (Value::Uint(a), Value::Int(b)) => i128::from(*a).cmp(&i128::from(*b)),
        (Value::Int(a), Value::Double(b)) => integer_cmp_double(i128::from(*a), *b),
        (Value::Uint(a), Value::Double(b)) => integer_cmp_double(i128::from(*a), *b),
        (Value::Double(a), Value::Int(b)) => integer_cmp_double(i128::from(*b), *a).reverse(),
        (Value::Double(a), Value::Uint(b)) => integer_cmp_double(i128::from(*b), *a).reverse(),
        (Value::Decimal(a), Value::Int(b)) => a.number_cmp(&(*b).into()),
        (Value::Decimal(a), Value::Uint(b)) => a.number_cmp(&(*b).into()),
        (Value::Int(a), Value::Decimal(b)) => b.number_cmp(&(*a).into()).reverse(),
        (Value::Uint(a), Value::Decimal(b)) => b.number_cmp(&(*a).into()).reverse(),
        (Value::Decimal(a), Value::Double(b)) => a.cmp_f64(*b),
        (Value::Double(a), Value::Decimal(b)) => b.cmp_f64(*a).reverse(),
        _ => return None,
    })
}

/// The order of doubles: IEEE 754's, with NaN equal to itself and above everything.
#[inline]
pub fn double_cmp(a: f64, b: f64) -> Ordering {
    a.partial_cmp(&b).unwrap_or_else(|| a.is_nan().cmp(&b.is_nan()))
}

/// A 64-bit integer against a double, without rounding either.
fn integer_cmp_double(a: i128, b: f64) -> Ordering {
    if b.is_nan() {
        return Ordering::Less;
    }
    let whole = b.trunc() as i128; // Saturates far outside 64 bits, where only the sign matters.
    a.cmp(&whole).then_with(|| double_cmp(0.0, b - b.trunc()))
}
