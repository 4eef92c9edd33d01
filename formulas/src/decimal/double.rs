//! Decimals and doubles: conversions that round once, comparison that does not round.

use std::cmp::Ordering;

use super::{Decimal, wide};

/// Powers of ten that a double holds exactly.
const EXACT: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21,
    1e22,
];

impl Decimal {
    /// The nearest double, ties to even.
    pub fn to_f64(&self) -> f64 {
        match self {
            // Both are exact, so the division rounds once.
            Decimal::Small { mantissa, scale } if mantissa.unsigned_abs() <= 1 << 53 && usize::from(*scale) < EXACT.len() => {
                *mantissa as f64 / EXACT[usize::from(*scale)]
            }
            _ => self.to_string().parse().expect("invariant: a printed decimal reads as a double"),
        }
    }

    /// The shortest decimal that reads back as `x`: 0.1 gives 0.1. `None` for NaN, infinities, and what needs more than 76
    /// digits.
    pub fn from_f64(x: f64) -> Option<Self> {
        if x == 0.0 {
            return Some(Decimal::zero(0));
        }
        x.is_finite().then(|| format!("{x:e}").parse().ok()).flatten()
    }

    /// Exact order on the number line; NaN is above every number.
    pub fn cmp_f64(&self, x: f64) -> Ordering {
        if x.is_nan() {
            return Ordering::Less;
        }
        // Rounding keeps order, so only equal doubles need a closer look.
        match self.to_f64().partial_cmp(&x) {
            Some(Ordering::Equal) => self.cmp_near_f64(x),
            Some(order) => order,
            None => Ordering::Less,
        }
    }

    /// Exact order against a finite double that this number rounds to: m / 10^s against k × 2^e, cross-multiplied.
    ///
    /// Both sides stay below 2^520: |x| is 0 or between 10^-76 and 10^76.
    fn cmp_near_f64(&self, x: f64) -> Ordering {
        let (negative, size) = self.sign_and_size();
        let (k, e) = split_f64(x);
        let scaled = wide::scale_up(&[k], self.scale().into());
        let order = if e >= 0 {
            wide::compare(&size, &wide::shift_left(&scaled, e.unsigned_abs()))
        } else {
            wide::compare(&wide::shift_left(&size, e.unsigned_abs()), &scaled)
        };
        if negative { order.reverse() } else { order }
    }
}

/// A finite double as |x| = k × 2^e, with k odd or 0.
pub fn split_f64(x: f64) -> (u64, i32) {
    let bits = x.to_bits();
    let (field, fraction) = ((bits >> 52 & 0x7ff) as i32, bits & ((1 << 52) - 1));
    let (k, e) = if field == 0 { (fraction, -1074) } else { (fraction | 1 << 52, field - 1075) };
    match k {
        0 => (0, 0),
        _ => (k >> k.trailing_zeros(), e + k.trailing_zeros() as i32),
    }
}
