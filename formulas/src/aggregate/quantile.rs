//! Medians and quantiles: values in order, and the one at a share of the way, or between two (SQL's `percentile_cont`).
//!
//! With n values the place is share × (n - 1). Between two values the answer lies as far as the place does, computed exactly and rounded once:
//! a double for ints and doubles, a decimal with four more digits for decimals, whole microseconds (halves to even) for times.

use super::exact::{Big, Exact, ratio};
use super::moments::as_decimal;
use super::ordered::Ordered;
use crate::agg::Share;
use crate::decimal::{Decimal, split_f64};
use crate::errors;
use crate::value::{Cell, Duration, Timestamp, Value};

/// The value at `share` of what is in.
///
/// # Errors
/// E0314 while values do not go together, E0307 where a decimal has too many digits.
pub(super) fn quantile(rows: &Ordered, share: Share) -> Cell {
    let Some(last) = rows.len().checked_sub(1) else { return Ok(Value::Null) };
    if !go_together(rows) {
        return Err(errors::bad_aggregate("a median or quantile over values that do not go together"));
    }
    let (digits, parts) = share.ratio();
    let way = u128::from(digits) * last as u128;
    let (place, rest) = ((way / u128::from(parts)) as usize, (way % u128::from(parts)) as u64);
    let (low, high) = (rows.get(place).unwrap_or(Value::Null), rows.get((place + 1).min(last)).unwrap_or(Value::Null));
    Between { low: parts - rest, high: rest, parts }.of(&low, &high)
}

/// Whether the least and the greatest are numbers, or times of one kind; then all are.
fn go_together(rows: &Ordered) -> bool {
    let is_number = |value: &Value| matches!(value, Value::Int(_) | Value::Uint(_) | Value::Double(_) | Value::Decimal(_));
    match (rows.get(0), rows.get(rows.len().wrapping_sub(1))) {
        (Some(Value::Timestamp(_)), Some(Value::Timestamp(_))) => true,
        (Some(Value::Duration(_)), Some(Value::Duration(_))) => true,
        (Some(a), Some(b)) => is_number(&a) && is_number(&b),
        _ => true,
    }
}

/// `(a × low + b × high) / parts`; the weights add up to the parts.
struct Between {
    low: u64,
    high: u64,
    parts: u64,
}

impl Between {
    fn of(&self, a: &Value, b: &Value) -> Cell {
        match (a, b) {
            (Value::Timestamp(a), Value::Timestamp(b)) => Ok(Value::Timestamp(Timestamp(self.micros(a.0, b.0)))),
            (Value::Duration(a), Value::Duration(b)) => Ok(Value::Duration(Duration(self.micros(a.0, b.0)))),
            (Value::Decimal(_), Value::Int(_) | Value::Uint(_) | Value::Decimal(_)) => self.decimal(a, b),
            (Value::Int(_) | Value::Uint(_), Value::Decimal(_)) => self.decimal(a, b),
            _ => Ok(Value::double(self.double(a, b))),
        }
    }

    /// Halves to even; it lies between the two, so it fits.
    fn micros(&self, a: i64, b: i64) -> i64 {
        let parts = i128::from(self.parts);
        let sum = i128::from(a) * i128::from(self.low) + i128::from(b) * i128::from(self.high);
        let (floor, rest) = (sum.div_euclid(parts), sum.rem_euclid(parts));
        let up = match (rest * 2).cmp(&parts) {
            std::cmp::Ordering::Less => 0,
            std::cmp::Ordering::Equal => floor & 1,
            std::cmp::Ordering::Greater => 1,
        };
        (floor + up) as i64
    }

    fn decimal(&self, a: &Value, b: &Value) -> Cell {
        let weighed = |value: &Value, weight: u64| as_decimal(value)?.checked_mul(&Decimal::from(weight));
        let sum = weighed(a, self.low).zip(weighed(b, self.high)).and_then(|(a, b)| a.checked_add(&b));
        let between = sum.and_then(|sum| sum.mean(self.parts));
        between.map(Value::Decimal).ok_or_else(errors::decimal_overflow)
    }

    fn double(&self, a: &Value, b: &Value) -> f64 {
        let (mut sum, mut rough, mut finite) = (Exact::default(), 0.0, true);
        for (value, weight) in [(a, self.low), (b, self.high)] {
            let weight = if weight == 0 { continue } else { weight };
            match value {
                Value::Int(x) => sum.add(*x < 0, u128::from(x.unsigned_abs()) * u128::from(weight), 0),
                Value::Uint(x) => sum.add(false, u128::from(*x) * u128::from(weight), 0),
                Value::Double(x) if x.is_finite() => {
                    let (size, exponent) = split_f64(*x);
                    sum.add(*x < 0.0, u128::from(size) * u128::from(weight), exponent);
                }
                // Beside a double a decimal counts as the nearest one.
                Value::Decimal(x) => {
                    let (size, exponent) = split_f64(x.to_f64());
                    sum.add(x.is_negative(), u128::from(size) * u128::from(weight), exponent);
                }
                Value::Double(x) => {
                    finite = false;
                    rough += x;
                }
                _ => {}
            }
        }
        if finite { ratio(&sum.big(), &Big::of(self.parts.into())) } else { rough }
    }
}
