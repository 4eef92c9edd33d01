//! Exact decimals: a 256-bit mantissa and a scale.
//!
//! A decimal has at most [`Decimal::DIGITS_MAX`] digits, at most that many behind the point (MySQL's `DECIMAL` has 65
//! and 30). Add, subtract, multiply and remainder are exact or `None`; division rounds half-even at scale
//! max(s1, s2) + 4. Nothing here passes through a double except where the name says `f64`.
//!
//! Invariants:
//! - DEC-1: a mantissa that fits an `i64` is `Small`; so identity (derived `Eq` and `Hash`) is structural.
//! - DEC-2: |mantissa| < 10^76 and scale ≤ 76.
//!
//! Cost: `Small` with `Small` takes a few nanoseconds and does not allocate, unless the answer is big.
//! Next to read: [`wide`], the limbs; `text`, parsing and printing.

use std::cmp::Ordering;
use std::sync::Arc;

mod double;
mod text;
pub mod wide;

pub use double::split_f64;

use wide::U256;

/// An exact decimal number, up to 76 digits. 16 bytes; the common small ones live inline.
///
/// Invariant: a mantissa that fits an `i64` is always `Small`, so identity is structural.
#[derive(Clone, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub enum Decimal {
    /// `mantissa × 10^-scale`.
    Small {
        /// All digits.
        mantissa: i64,
        /// Digits behind the point.
        scale: u8,
    },
    /// A mantissa that needs more than 64 bits: two's complement, least significant limb first, and the scale.
    Big(Arc<([u64; 4], u8)>),
}

/// What happens to digits that are cut off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rounding {
    /// To the nearest; a half goes to the even neighbour.
    HalfEven,
    /// To the nearest; a half goes away from zero, as MySQL's `ROUND`.
    HalfAway,
    /// Towards zero.
    Truncate,
    /// Towards minus infinity.
    Floor,
    /// Towards plus infinity.
    Ceil,
}

/// Sign and size, for computing.
#[derive(Clone, Copy)]
struct Parts {
    negative: bool,
    size: U256,
    scale: u8,
}

impl Decimal {
    /// The most digits a mantissa has, and the largest scale.
    pub const DIGITS_MAX: u8 = 76;

    /// Zero with `scale` digits behind the point; a scale above 76 counts as 76.
    pub fn zero(scale: u8) -> Self {
        Decimal::Small { mantissa: 0, scale: scale.min(Self::DIGITS_MAX) }
    }

    /// `mantissa × 10^-scale`; `None` for a scale above 76.
    pub fn new(mantissa: i128, scale: u8) -> Option<Self> {
        if scale > Self::DIGITS_MAX {
            return None;
        }
        if let Ok(mantissa) = i64::try_from(mantissa) {
            return Some(Decimal::Small { mantissa, scale });
        }
        let size = mantissa.unsigned_abs();
        Self::from_wide(mantissa < 0, &[size as u64, (size >> 64) as u64], scale)
    }

    /// From sign, size and scale: `None` where DEC-2 does not hold.
    pub fn from_wide(negative: bool, size: &[u64], scale: u8) -> Option<Self> {
        if scale > Self::DIGITS_MAX || wide::compare(size, &wide::POW10[76]).is_ge() {
            return None;
        }
        let mut limbs: U256 = [0; 4];
        for (limb, &s) in limbs.iter_mut().zip(size) {
            *limb = s;
        }
        let small_max = if negative { 1 << 63 } else { i64::MAX as u64 };
        if limbs[1..] == [0; 3] && limbs[0] <= small_max {
            let mantissa = if negative { (limbs[0] as i64).wrapping_neg() } else { limbs[0] as i64 };
            return Some(Decimal::Small { mantissa, scale });
        }
        if negative {
            wide::negate(&mut limbs);
        }
        Some(Decimal::Big(Arc::new((limbs, scale))))
    }

    /// Digits behind the point.
    pub fn scale(&self) -> u8 {
        match self {
            Decimal::Small { scale, .. } => *scale,
            Decimal::Big(big) => big.1,
        }
    }

    /// How many digits the mantissa has; 0 has one.
    pub fn digits(&self) -> u8 {
        let size = self.parts().size;
        let digits = wide::POW10.iter().position(|p| wide::compare(&size, p).is_lt());
        digits.unwrap_or(77).max(1) as u8
    }

    /// Whether it is zero.
    pub fn is_zero(&self) -> bool {
        matches!(self, Decimal::Small { mantissa: 0, .. })
    }

    /// Whether it is below zero.
    pub fn is_negative(&self) -> bool {
        match self {
            Decimal::Small { mantissa, .. } => *mantissa < 0,
            Decimal::Big(big) => (big.0[3] as i64) < 0,
        }
    }

    /// Whether it is negative, and the size of the mantissa.
    pub fn sign_and_size(&self) -> (bool, U256) {
        let parts = self.parts();
        (parts.negative, parts.size)
    }

    fn parts(&self) -> Parts {
        match self {
            Decimal::Small { mantissa, scale } => {
                Parts { negative: *mantissa < 0, size: [mantissa.unsigned_abs(), 0, 0, 0], scale: *scale }
            }
            Decimal::Big(big) => {
                let (mut size, scale) = **big;
                let negative = (size[3] as i64) < 0;
                if negative {
                    wide::negate(&mut size);
                }
                Parts { negative, size, scale }
            }
        }
    }

    /// The number with the other sign.
    pub fn negated(&self) -> Self {
        let parts = self.parts();
        Self::from_wide(!parts.negative && !self.is_zero(), &parts.size, parts.scale)
            .expect("invariant DEC-2: a sign adds no digits")
    }

    /// The number without its sign.
    pub fn abs(&self) -> Self {
        if self.is_negative() { self.negated() } else { self.clone() }
    }

    /// The sum, at the larger scale; `None` above 76 digits.
    pub fn checked_add(&self, other: &Self) -> Option<Self> {
        if let (Some(a), Some(b)) = (self.small_at(other.scale()), other.small_at(self.scale())) {
            return Self::new(a + b, self.scale().max(other.scale()));
        }
        let (a, b) = (self.parts(), other.parts());
        let scale = a.scale.max(b.scale);
        let (mut x, mut y) = (a.size_at(scale), b.size_at(scale));
        if a.negative == b.negative {
            wide::add(&mut x, &y);
            return Self::from_wide(a.negative, &x, scale);
        }
        if wide::compare(&x, &y).is_ge() {
            wide::sub(&mut x, &y);
            Self::from_wide(a.negative && !wide::is_zero(&x), &x, scale)
        } else {
            wide::sub(&mut y, &x);
            Self::from_wide(b.negative, &y, scale)
        }
    }

    /// The difference, at the larger scale; `None` above 76 digits.
    pub fn checked_sub(&self, other: &Self) -> Option<Self> {
        if let (Some(a), Some(b)) = (self.small_at(other.scale()), other.small_at(self.scale())) {
            return Self::new(a - b, self.scale().max(other.scale()));
        }
        self.checked_add(&other.negated())
    }

    /// The product, at the sum of the scales; `None` above 76 digits.
    pub fn checked_mul(&self, other: &Self) -> Option<Self> {
        let scale = self.scale().checked_add(other.scale())?;
        if let (Decimal::Small { mantissa: a, .. }, Decimal::Small { mantissa: b, .. }) = (self, other) {
            return Self::new(i128::from(*a) * i128::from(*b), scale);
        }
        let (a, b) = (self.parts(), other.parts());
        Self::from_wide(a.negative != b.negative, &wide::mul(&a.size, &b.size), scale)
    }

    /// The quotient at scale max(s1, s2) + 4 (at most 76), rounded half-even; `None` for a zero divisor or above 76 digits.
    pub fn checked_div(&self, other: &Self) -> Option<Self> {
        let scale = (self.scale().max(other.scale()) + 4).min(Self::DIGITS_MAX);
        self.divided(other, scale)
    }

    /// The quotient at `scale`, which is at least this number's scale, rounded half-even.
    fn divided(&self, other: &Self, scale: u8) -> Option<Self> {
        if other.is_zero() {
            return None;
        }
        let (a, b) = (self.parts(), other.parts());
        let shift = u32::from(scale) + u32::from(b.scale) - u32::from(a.scale);
        if let (&[x, 0, 0, 0], &[y, 0, 0, 0], 0..=19) = (&a.size, &b.size, shift) {
            let (x, y) = (u128::from(x) * 10u128.pow(shift), u128::from(y));
            let q = x / y;
            let up = round_up(Rounding::HalfEven, false, q & 1 == 1, (x % y * 2).cmp(&y), x % y == 0);
            let q = q + u128::from(up);
            return Self::from_wide(a.negative != b.negative && q != 0, &[q as u64, (q >> 64) as u64], scale);
        }
        let numerator = wide::scale_up(&a.size, shift);
        Self::rounded(a.negative != b.negative, &numerator, &b.size, scale, Rounding::HalfEven)
    }

    /// `±num/den` rounded to an integer mantissa with `scale`.
    fn rounded(negative: bool, num: &[u64], den: &[u64], scale: u8, rounding: Rounding) -> Option<Self> {
        let (mut quotient, rem) = wide::div_rem(num, den);
        let half = wide::compare(&wide::shift_left(&rem, 1), den);
        if round_up(rounding, negative, quotient[0] & 1 == 1, half, wide::is_zero(&rem)) {
            wide::add(&mut quotient, &[1]);
        }
        Self::from_wide(negative && !wide::is_zero(&quotient), &quotient, scale)
    }

    /// The mean of a sum over `count` values, at four more digits behind the point (at most 76), rounded half-even.
    pub fn mean(&self, count: u64) -> Option<Self> {
        let count = Decimal::from(count);
        self.divided(&count, (self.scale() + 4).min(Self::DIGITS_MAX))
    }

    /// The remainder of truncating division, with the sign of the dividend, at the larger scale; `None` for a zero divisor.
    pub fn checked_rem(&self, other: &Self) -> Option<Self> {
        if other.is_zero() {
            return None;
        }
        let (a, b) = (self.parts(), other.parts());
        let scale = a.scale.max(b.scale);
        let (_, rem) = wide::div_rem(&a.size_at(scale), &b.size_at(scale));
        Self::from_wide(a.negative && !wide::is_zero(&rem), &rem, scale)
    }

    /// The same number with `scale` digits behind the point; `None` above 76 digits.
    pub fn rescale(&self, scale: u8, rounding: Rounding) -> Option<Self> {
        if self.scale() == scale {
            return Some(self.clone());
        }
        let parts = self.parts();
        if scale >= parts.scale {
            let up = u32::from(scale - parts.scale);
            return if scale > Self::DIGITS_MAX {
                None
            } else {
                Self::from_wide(parts.negative, &wide::scale_up(&parts.size, up), scale)
            };
        }
        Self::rounded(parts.negative, &parts.size, &wide::POW10[usize::from(parts.scale - scale)], scale, rounding)
    }

    /// Rounded to a multiple of 10^`zeros`, at scale 0; `None` above 76 digits.
    pub fn round_whole(&self, zeros: u8, rounding: Rounding) -> Option<Self> {
        let zeros = zeros.min(77);
        let parts = self.parts();
        let unit = wide::scale_up(&[1], u32::from(zeros) + u32::from(parts.scale)); // At most 10^153, below 2^509.
        let count = Self::rounded(parts.negative, &parts.size, &unit, 0, rounding)?.parts();
        Self::from_wide(count.negative, &wide::scale_up(&count.size, zeros.into()), 0)
    }

    /// The same number without trailing zeros behind the point: 12.500 is 12.5, 12.00 is 12.
    pub fn normalized(&self) -> Self {
        let parts = self.parts();
        let (mut size, mut scale) = (parts.size, parts.scale);
        while scale > 0 {
            let mut tenth = size;
            if wide::div_small(&mut tenth, 10) != 0 {
                break;
            }
            (size, scale) = (tenth, scale - 1);
        }
        Self::from_wide(parts.negative, &size, scale).expect("invariant DEC-2: fewer digits still fit")
    }

    /// Order on the number line: 1.5 equals 1.50.
    pub fn number_cmp(&self, other: &Self) -> Ordering {
        if let (Some(a), Some(b)) = (self.small_at(other.scale()), other.small_at(self.scale())) {
            return a.cmp(&b);
        }
        let (a, b) = (self.parts(), other.parts());
        match (a.negative, b.negative) {
            (false, true) => Ordering::Greater,
            (true, false) => Ordering::Less,
            (negative, _) => {
                let scale = a.scale.max(b.scale);
                let order = wide::compare(&a.size_at(scale), &b.size_at(scale));
                if negative { order.reverse() } else { order }
            }
        }
    }

    /// The mantissa as it would be at `scale` (or at its own, if that is larger), where the number is small and the step is.
    fn small_at(&self, scale: u8) -> Option<i128> {
        match self {
            Decimal::Small { mantissa, scale: own } => match scale.saturating_sub(*own) {
                0 => Some(i128::from(*mantissa)),
                up @ 1..=18 => Some(i128::from(*mantissa) * 10i128.pow(up.into())),
                _ => None,
            },
            Decimal::Big(_) => None,
        }
    }

    /// The integer part, towards zero; `None` outside `i64`.
    pub fn to_i64(&self) -> Option<i64> {
        match self.rescale(0, Rounding::Truncate)? {
            Decimal::Small { mantissa, .. } => Some(mantissa),
            Decimal::Big(_) => None,
        }
    }

    /// The integer part, towards zero; `None` outside `u64`.
    pub fn to_u64(&self) -> Option<u64> {
        let whole = self.rescale(0, Rounding::Truncate)?.parts();
        (!whole.negative && whole.size[1..] == [0; 3]).then_some(whole.size[0])
    }

    /// Whether nothing stands behind the point.
    pub fn is_whole(&self) -> bool {
        self.rescale(0, Rounding::Truncate).is_some_and(|whole| whole.number_cmp(self).is_eq())
    }

    /// Total order of identity: by scale, then by mantissa.
    pub fn identity_cmp(&self, other: &Self) -> Ordering {
        self.scale().cmp(&other.scale()).then_with(|| self.number_cmp(other))
    }
}

/// Whether the size of a rounded quotient grows by one; `half` compares twice the remainder with the divisor.
fn round_up(rounding: Rounding, negative: bool, odd: bool, half: Ordering, exact: bool) -> bool {
    match rounding {
        Rounding::HalfEven => half.is_gt() || (half.is_eq() && odd),
        Rounding::HalfAway => half.is_ge(),
        Rounding::Truncate => false,
        Rounding::Floor => negative && !exact,
        Rounding::Ceil => !negative && !exact,
    }
}

impl Parts {
    /// The size of the mantissa at a scale that is at least its own.
    fn size_at(&self, scale: u8) -> wide::Wide {
        wide::scale_up(&self.size, u32::from(scale - self.scale))
    }
}

impl From<i64> for Decimal {
    fn from(mantissa: i64) -> Self {
        Decimal::Small { mantissa, scale: 0 }
    }
}

impl From<u64> for Decimal {
    fn from(x: u64) -> Self {
        Decimal::new(i128::from(x), 0).expect("invariant DEC-2: a u64 has at most 20 digits")
    }
}

#[cfg(test)]
pub(crate) mod tests;
