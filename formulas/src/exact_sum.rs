//! Sums of doubles without error: what was added and taken away leaves nothing, in any order.
//!
//! A double is an integer times a power of two, so a sum of doubles is one too. It is kept as a 128-bit integer times
//! 2^`exponent`, the *window*, which moves while it can; sums whose parts lie too far apart spill into a full accumulator
//! of 2176 bits, which holds 2^64 doubles of any size. NaN and the infinities are counted apart.
//!
//! Invariants:
//! - SUM-1: [`ExactSum::value`] is the sum of what is in, rounded once, to nearest, ties to even; it depends on nothing else.
//! - SUM-2: when everything has been taken out again, the value is +0.0 and the spilled memory is given back.
//!
//! Cost: two or three nanoseconds for a value inside the window. A sum of zeros of either sign is +0.0.
//! Related work: Kulisch's accumulator; Neal 2015, "Fast exact summation using small and large superaccumulators".

use crate::decimal::wide;

/// Limbs of the full accumulator: from 2^-1074 to 2^1024, with 64 bits for carries and a sign.
const FULL: usize = 34;
/// The exponent of the smallest double.
const LEAST: i32 = -1074;
/// Where in its window the top bit of a first value stands: 20 bits below its 53 for finer values, 54 above for larger ones and carries.
const FIRST_TOP: i32 = 73;

/// An exact sum of doubles. 48 bytes, unless it has spilled.
#[derive(Clone, Debug, Default)]
pub struct ExactSum {
    window: i128,
    /// The spilled part, in two's complement, in units of 2^-1074; the window is then empty.
    full: Option<Box<[u64; FULL]>>,
    /// How many NaNs, +∞ and -∞ are in.
    special: Option<Box<[u64; 3]>>,
    /// How many values are in, finite or not.
    count: u64,
    exponent: i32,
}

impl ExactSum {
    /// Nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many values are in.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Bytes on the heap.
    pub fn heap_bytes(&self) -> usize {
        self.full.as_ref().map_or(0, |_| FULL * 8) + self.special.as_ref().map_or(0, |_| 24)
    }

    /// Puts `x` in.
    #[inline]
    pub fn insert(&mut self, x: f64) {
        self.count += 1;
        if x.is_finite() {
            self.add(x);
        } else {
            let special = self.special.get_or_insert_default();
            let place = &mut special[kind(x)];
            *place += 1;
        }
    }

    /// Takes `x` out, which is in.
    #[inline]
    pub fn remove(&mut self, x: f64) {
        self.count = self.count.saturating_sub(1);
        if self.count == 0 {
            *self = Self::new(); // SUM-2
        } else if x.is_finite() {
            self.add(-x);
        } else if let Some(special) = &mut self.special {
            let place = &mut special[kind(x)];
            *place = place.saturating_sub(1);
        }
    }

    #[inline]
    fn add(&mut self, x: f64) {
        let bits = x.to_bits();
        let field = (bits >> 52 & 0x7ff) as i32;
        let mantissa = (bits & ((1 << 52) - 1)) | u64::from(field != 0) << 52;
        let exponent = field.max(1) - 1075;
        let shift = exponent - self.exponent;
        if self.full.is_none() && (0..=72).contains(&shift) {
            let term = i128::from(mantissa) << shift; // Below 2^125.
            if let Some(sum) = self.window.checked_add(if x.is_sign_negative() { -term } else { term }) {
                self.window = sum;
                return;
            }
        }
        self.add_outside(x.is_sign_negative(), mantissa, exponent);
    }

    /// Adds what does not fit the window as it stands: moves the window, or spills.
    #[cold]
    fn add_outside(&mut self, negative: bool, mantissa: u64, exponent: i32) {
        if mantissa == 0 {
            return;
        }
        let zeros = mantissa.trailing_zeros();
        let (odd, exponent) = (mantissa >> zeros, exponent + zeros as i32);
        let fits = self.full.is_none() && self.move_window(odd, exponent);
        if fits {
            let term = i128::from(odd) << (exponent - self.exponent);
            if let Some(sum) = self.window.checked_add(if negative { -term } else { term }) {
                self.window = sum;
                return;
            }
        }
        self.spill();
        if let Some(full) = &mut self.full {
            add_to(full, negative, u128::from(odd), exponent);
        }
    }

    /// Moves the window so that odd × 2^exponent fits beside what is in it; whether it could.
    fn move_window(&mut self, odd: u64, exponent: i32) -> bool {
        if self.window == 0 {
            let top = 64 - odd.leading_zeros() as i32;
            self.exponent = (exponent - (FIRST_TOP - top)).max(LEAST);
            return exponent >= self.exponent;
        }
        let zeros = self.window.trailing_zeros() as i32;
        let lowest = (self.exponent + zeros).min(exponent);
        let top_of = |bits: u32, exponent: i32| bits as i32 + exponent - lowest;
        let window_top = top_of(128 - self.window.unsigned_abs().leading_zeros(), self.exponent);
        if window_top > 125 || top_of(64 - odd.leading_zeros(), exponent) > 125 {
            return false;
        }
        let shift = self.exponent - lowest;
        self.window = if shift >= 0 { self.window << shift } else { self.window >> -shift };
        self.exponent = lowest;
        true
    }

    fn spill(&mut self) {
        if self.full.is_none() {
            let mut full = Box::new([0; FULL]);
            add_to(&mut full, self.window < 0, self.window.unsigned_abs(), self.exponent);
            self.full = Some(full);
            self.window = 0;
        }
    }

    /// The sum, rounded once (SUM-1).
    pub fn value(&self) -> f64 {
        match &self.full {
            _ if self.special.is_some() => self.special_or(|| self.finite(1)),
            None if self.exponent >= -1022 && self.exponent <= 900 => {
                // The conversion rounds to 53 bits, ties to even; the power of two is exact unless it overflows.
                let size = self.window.unsigned_abs() as f64 * power_of_two(self.exponent);
                if self.window < 0 { -size } else { size }
            }
            _ => self.finite(1),
        }
    }

    /// The sum divided by `count`, rounded once; NaN for a count of 0.
    pub fn mean(&self, count: u64) -> f64 {
        match count {
            0 => f64::NAN,
            _ if self.special.is_some() => self.special_or(|| self.finite(count)),
            _ => self.finite(count),
        }
    }

    fn special_or(&self, finite: impl Fn() -> f64) -> f64 {
        match self.special.as_deref() {
            None | Some([0, 0, 0]) => finite(),
            Some([0, _, 0]) => f64::INFINITY,
            Some([0, 0, _]) => f64::NEG_INFINITY,
            Some(_) => f64::NAN,
        }
    }

    fn finite(&self, count: u64) -> f64 {
        match &self.full {
            None => {
                let size = self.window.unsigned_abs();
                quotient(self.window < 0, &mut [0, 0, size as u64, (size >> 64) as u64], self.exponent - 128, count)
            }
            Some(full) => {
                let negative = (full[FULL - 1] as i64) < 0;
                let mut size = [0; FULL + 2];
                size[2..].copy_from_slice(&full[..]);
                if negative {
                    wide::negate(&mut size[2..]);
                }
                quotient(negative, &mut size, LEAST - 128, count)
            }
        }
    }
}

/// Where a value that is not finite is counted.
fn kind(x: f64) -> usize {
    match x {
        f64::INFINITY => 1,
        f64::NEG_INFINITY => 2,
        _ => 0,
    }
}

/// Adds ±size × 2^exponent to a full accumulator.
fn add_to(full: &mut [u64; FULL], negative: bool, size: u128, exponent: i32) {
    let place = (exponent - LEAST).max(0) as usize;
    let (limb, bit) = (place / 64, place % 64);
    let high = if bit == 0 { 0 } else { (size >> (128 - bit)) as u64 };
    let low = size << bit;
    let Some(limbs) = full.get_mut(limb..) else { return };
    let term = [low as u64, (low >> 64) as u64, high];
    if negative {
        wide::sub(limbs, &term);
    } else {
        wide::add(limbs, &term);
    }
}

/// ±size × 2^exponent / count, rounded once. `size` has two zero limbs below its value, so that the quotient has digits to round.
pub(crate) fn quotient(negative: bool, size: &mut [u64], exponent: i32, count: u64) -> f64 {
    let inexact = count > 1 && wide::div_small(size, count) != 0;
    size[0] |= u64::from(inexact); // Far below the last bit that counts: it only tells a tie from more than a tie.
    let rounded = round(size, exponent);
    if negative { -rounded } else { rounded }
}

/// size × 2^exponent as the nearest double, ties to even.
fn round(size: &[u64], exponent: i32) -> f64 {
    let bits = wide::bits(size) as i32;
    let top = bits - 1 + exponent;
    if bits == 0 {
        return 0.0;
    }
    if top > 1023 {
        return f64::INFINITY;
    }
    let kept = if top >= -1022 { 53 } else { top + 1075 };
    let dropped = bits - kept;
    if kept < 0 {
        return 0.0;
    }
    let mantissa = if dropped <= 0 { bits_from(size, 0) } else { round_off(size, dropped as u32, kept as u32) };
    mantissa as f64 * power_of_two(exponent + dropped.max(0))
}

/// The `kept` bits above the lowest `dropped`, plus one if those are more than half, or half and the rest odd.
fn round_off(size: &[u64], dropped: u32, kept: u32) -> u64 {
    let mantissa = if kept == 0 { 0 } else { bits_from(size, dropped) };
    let half = bits_from(size, dropped - 1) & 1 == 1;
    let full_limbs = (dropped - 1) / 64;
    let below = size[..full_limbs as usize].iter().any(|&limb| limb != 0)
        || size[full_limbs as usize] & ((1u64 << ((dropped - 1) % 64)) - 1) != 0;
    mantissa + u64::from(half && (below || mantissa & 1 == 1))
}

/// 64 bits, from bit `at` upwards.
fn bits_from(size: &[u64], at: u32) -> u64 {
    let (limb, bit) = ((at / 64) as usize, at % 64);
    let part = |i: usize| size.get(i).copied().unwrap_or(0);
    if bit == 0 { part(limb) } else { part(limb) >> bit | part(limb + 1) << (64 - bit) }
}

/// 2^n for a double's exponents; 0 below, infinity above.
fn power_of_two(n: i32) -> f64 {
    match n {
        1024.. => f64::INFINITY,
        -1022..=1023 => f64::from_bits(((n + 1023) as u64) << 52),
        LEAST..=-1023 => f64::from_bits(1 << (n - LEAST)),
        _ => 0.0,
    }
}

#[cfg(test)]
pub(crate) mod tests;
