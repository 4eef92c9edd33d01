//! Sums of products without error: a binary number that grows where it must.
//!
//! Invariant EXACT-1: the number is `limbs × 2^(64·low)` in two's complement, and its top limb is nothing but sign, so there is
//! always room for one more term of the length of the rest.
//!
//! Cost: some nanoseconds for a term near the others; a term far away makes the number as long as the distance, at most 66 limbs
//! for products of doubles.

use smallvec::{SmallVec, smallvec};

use crate::decimal::wide;

/// A sum of terms `±size × 2^exponent`.
#[derive(Clone, Debug, Default)]
pub(super) struct Exact {
    limbs: SmallVec<[u64; 5]>,
    low: i32,
}

/// Sign, size and exponent of a number: `±size × 2^(64·low)`.
#[derive(Clone, Debug)]
pub(super) struct Big {
    pub negative: bool,
    /// Without leading zeros; empty for 0.
    pub size: Vec<u64>,
    pub low: i32,
}

impl Exact {
    /// Adds `±size × 2^exponent`.
    pub fn add(&mut self, negative: bool, size: u128, exponent: i32) {
        let (at, bit) = (exponent.div_euclid(64), exponent.rem_euclid(64) as u32);
        let (low, high) = (size as u64, (size >> 64) as u64);
        let shifted = match bit {
            0 => [low, high, 0],
            bit => [low << bit, high << bit | low >> (64 - bit), high >> (64 - bit)],
        };
        self.add_limbs(negative, &shifted, at);
    }

    /// Adds `±size × 2^(64·at)`.
    pub fn add_limbs(&mut self, negative: bool, size: &[u64], at: i32) {
        let used = size.iter().rposition(|limb| *limb != 0).map_or(0, |top| top + 1);
        // Zeros below are no reason to grow.
        let skipped = size[..used].iter().take_while(|limb| **limb == 0).count();
        let (size, at) = (&size[skipped..used], at + skipped as i32);
        if size.is_empty() {
            return;
        }
        if self.limbs.is_empty() {
            self.low = at;
            self.limbs = smallvec![0];
        }
        if at < self.low {
            let zeros = std::iter::repeat_n(0, (self.low - at) as usize);
            self.limbs.insert_many(0, zeros);
            self.low = at;
        }
        let place = (at - self.low) as usize;
        let sign = self.sign();
        while self.limbs.len() < place + size.len() + 1 {
            self.limbs.push(sign);
        }
        if negative {
            wide::sub(&mut self.limbs[place..], size);
        } else {
            wide::add(&mut self.limbs[place..], size);
        }
        // EXACT-1
        if let Some(top) = self.limbs.last().copied()
            && top != 0
            && top != u64::MAX
        {
            let sign = self.sign();
            self.limbs.push(sign);
        }
    }

    /// All sign bits.
    fn sign(&self) -> u64 {
        if self.limbs.last().is_some_and(|top| (*top as i64) < 0) { u64::MAX } else { 0 }
    }

    /// The number.
    pub fn big(&self) -> Big {
        let negative = self.sign() != 0;
        let mut size = self.limbs.to_vec();
        if negative {
            wide::negate(&mut size);
        }
        Big { negative, size, low: self.low }.trimmed()
    }

    pub fn heap_bytes(&self) -> usize {
        if self.limbs.spilled() { self.limbs.capacity() * 8 } else { 0 }
    }
}

impl Big {
    /// An integer.
    pub fn of(size: u128) -> Big {
        Big { negative: false, size: vec![size as u64, (size >> 64) as u64], low: 0 }.trimmed()
    }

    /// 10^n
    pub fn power_of_ten(n: u32) -> Big {
        let mut power = Big::of(1);
        for _ in 0..n / 19 {
            power = power.times(&Big::of(10u128.pow(19)));
        }
        power.times(&Big::of(10u128.pow(n % 19)))
    }

    fn trimmed(mut self) -> Big {
        while self.size.last() == Some(&0) {
            self.size.pop();
        }
        let zeros = self.size.iter().take_while(|limb| **limb == 0).count();
        self.size.drain(..zeros);
        self.low = if self.size.is_empty() { 0 } else { self.low + zeros as i32 };
        self
    }

    pub fn is_zero(&self) -> bool {
        self.size.is_empty()
    }

    /// Where its top bit stands: the number is at least 2^(top - 1) and below 2^top. Not for 0.
    pub fn top(&self) -> i32 {
        wide::bits(&self.size) as i32 + 64 * self.low
    }

    pub fn times(&self, other: &Big) -> Big {
        let mut size = vec![0u64; self.size.len() + other.size.len()];
        for (i, x) in self.size.iter().enumerate() {
            let mut carry = 0u128;
            for (slot, y) in size[i..].iter_mut().zip(other.size.iter().chain(std::iter::repeat(&0))) {
                carry += u128::from(*slot) + u128::from(*x) * u128::from(*y);
                *slot = carry as u64;
                carry >>= 64;
            }
        }
        Big { negative: self.negative != other.negative, size, low: self.low + other.low }.trimmed()
    }

    pub fn plus(&self, other: &Big) -> Big {
        let mut sum = Exact::default();
        sum.add_limbs(self.negative, &self.size, self.low);
        sum.add_limbs(other.negative, &other.size, other.low);
        sum.big()
    }

    pub fn minus(&self, other: &Big) -> Big {
        self.plus(&Big { negative: !other.negative, ..other.clone() })
    }

    /// The order of two numbers by size, signs left out.
    pub fn compare_size(&self, other: &Big) -> std::cmp::Ordering {
        let low = self.low.min(other.low);
        let padded = |big: &Big| -> Vec<u64> {
            let zeros = std::iter::repeat_n(0, (big.low - low) as usize);
            zeros.chain(big.size.iter().copied()).collect()
        };
        if self.is_zero() || other.is_zero() {
            return other.is_zero().cmp(&self.is_zero());
        }
        self.top().cmp(&other.top()).then_with(|| wide::compare(&padded(self), &padded(other)))
    }

    /// A size from 1 to 2 that it is about, and the power of two to multiply that by; the top 53 bits, cut off. Not for 0.
    fn about(&self) -> (f64, i32) {
        let top = self.top();
        let from = wide::bits(&self.size) as i32 - 53;
        let limb = |at: usize| self.size.get(at).copied().unwrap_or(0);
        let mantissa = match from {
            ..0 => self.size[0] << -from,
            from => {
                let (at, bit) = (from as usize / 64, from as u32 % 64);
                let above = if bit == 0 { 0 } else { limb(at + 1) << (64 - bit) };
                (limb(at) >> bit | above) & ((1 << 53) - 1)
            }
        };
        (mantissa as f64 / (1u64 << 52) as f64, top - 1)
    }
}

/// `num / den`, rounded once to the nearest double, ties to even; `den` is not 0 and its sign does not count.
pub(super) fn ratio(num: &Big, den: &Big) -> f64 {
    if num.is_zero() {
        return 0.0;
    }
    let ((n, up), (d, down)) = (num.about(), den.about());
    let size = nearest(n / d, up - down, |guess| guess.times(den).compare_size(num));
    if num.negative { -size } else { size }
}

/// The square root of `num / den`, rounded once; neither is negative, `den` is not 0.
pub(super) fn root_of_ratio(num: &Big, den: &Big) -> f64 {
    if num.is_zero() {
        return 0.0;
    }
    let ((n, up), (d, down)) = (num.about(), den.about());
    let exponent = up - down;
    let about = n / d * if exponent.rem_euclid(2) == 1 { 2.0 } else { 1.0 };
    nearest(about.sqrt(), exponent.div_euclid(2), |guess| guess.times(guess).times(den).compare_size(num))
}

/// The double nearest to a positive number that is about `about × 2^exponent`; `side` tells on which side of it a guess is.
///
/// The guess is wrong by a few units in its last place at most, since `about` came of three roundings.
fn nearest(about: f64, exponent: i32, side: impl Fn(&Big) -> std::cmp::Ordering) -> f64 {
    // Into 1..2, so that the last place is known.
    let (about, exponent) = if about < 1.0 { (about * 2.0, exponent - 1) } else { (about, exponent) };
    let (about, exponent) = if about >= 2.0 { (about / 2.0, exponent + 1) } else { (about, exponent) };
    let last = (exponent - 52).max(-1074);
    // Half a unit in the last place is the unit here, so that ties can be asked about.
    let halves = |n: u128| {
        let mut number = Exact::default();
        number.add(false, n, last - 1);
        number.big()
    };
    let mut units = (about * 2f64.powi((exponent - last).max(-60))).round() as u128;
    loop {
        let above = side(&halves(2 * units + 1));
        if above.is_lt() || (above.is_eq() && units % 2 == 1) {
            units += 1;
            continue;
        }
        if units == 0 {
            break;
        }
        let below = side(&halves(2 * units - 1));
        if below.is_gt() || (below.is_eq() && units % 2 == 1) {
            units -= 1;
            continue;
        }
        break;
    }
    scaled(units as f64, last)
}

/// `x × 2^n`, which is exact where the answer is a double.
fn scaled(x: f64, n: i32) -> f64 {
    let part = n / 3;
    x * 2f64.powi(part) * 2f64.powi(part) * 2f64.powi(n - 2 * part)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::decimal::split_f64;

    fn of(x: f64) -> Big {
        let mut sum = Exact::default();
        let (size, exponent) = split_f64(x);
        sum.add(x < 0.0, size.into(), exponent);
        sum.big()
    }

    proptest! {
        #[test]
        fn a_ratio_of_doubles_is_their_quotient(a in crate::exact_sum::tests::any_double(), b in crate::exact_sum::tests::any_double()) {
            prop_assume!(b != 0.0);
            prop_assert_eq!(ratio(&of(a), &of(b)) * b.signum(), a / b + 0.0);
        }

        #[test]
        fn a_root_is_the_nearest(a in crate::exact_sum::tests::any_double()) {
            prop_assert_eq!(root_of_ratio(&of(a.abs()), &Big::of(1)), a.abs().sqrt());
        }

        #[test]
        fn what_was_added_and_taken_leaves_nothing(terms in prop::collection::vec((any::<bool>(), any::<u128>(), -2200i32..2200), 0..20)) {
            let mut sum = Exact::default();
            terms.iter().for_each(|(negative, size, exponent)| sum.add(*negative, *size, *exponent));
            terms.iter().rev().for_each(|(negative, size, exponent)| sum.add(!*negative, *size, *exponent));
            prop_assert!(sum.big().is_zero());
        }
    }

    #[test]
    fn an_overflow_is_infinite_and_an_underflow_rounds() {
        assert_eq!(ratio(&of(f64::MAX), &of(0.5)), f64::INFINITY);
        assert_eq!(ratio(&of(5e-324), &of(2.0)), 0.0);
        assert_eq!(ratio(&of(1.5e-323), &of(2.0)), 1e-323);
        assert_eq!(root_of_ratio(&Big::of(2), &Big::of(9)), 0.4714045207910317);
    }
}
