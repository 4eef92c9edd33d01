//! Unsigned integers of many 64-bit limbs, least significant first: what decimals and their sums compute in.
//!
//! Every function is total. Those that may not fit say so in their answer; the callers' bounds (10^76 < 2^253 for a
//! mantissa, [`WIDE`] limbs for a product or a scaled numerator) make the rest impossible.

use std::cmp::Ordering;

/// The limbs of a mantissa.
pub type U256 = [u64; 4];

/// Limbs of an intermediate result: 832 bits hold 10^76 × 10^152, the largest numerator of a division.
pub const WIDE: usize = 13;

/// An intermediate result.
pub type Wide = [u64; WIDE];

/// 10^0 to 10^76.
pub static POW10: [U256; 77] = powers_of_ten();

const fn powers_of_ten() -> [U256; 77] {
    let mut table = [[0u64; 4]; 77];
    table[0][0] = 1;
    let mut n = 1;
    while n < 77 {
        let mut carry = 0u128;
        let mut limb = 0;
        while limb < 4 {
            carry += table[n - 1][limb] as u128 * 10;
            table[n][limb] = carry as u64;
            carry >>= 64;
            limb += 1;
        }
        n += 1;
    }
    table
}

/// `a`, zero-extended.
pub fn widen(a: &[u64]) -> Wide {
    let mut wide = [0; WIDE];
    wide[..a.len()].copy_from_slice(a);
    wide
}

/// The limbs in use: without leading zeros.
fn trim(a: &[u64]) -> &[u64] {
    let used = a.iter().rposition(|&limb| limb != 0).map_or(0, |i| i + 1);
    &a[..used]
}

/// Whether it is zero.
pub fn is_zero(a: &[u64]) -> bool {
    a.iter().all(|&limb| limb == 0)
}

/// How many bits it needs.
pub fn bits(a: &[u64]) -> u32 {
    let used = trim(a);
    used.last().map_or(0, |top| used.len() as u32 * 64 - top.leading_zeros())
}

/// By value, whatever the lengths.
pub fn compare(a: &[u64], b: &[u64]) -> Ordering {
    let (a, b) = (trim(a), trim(b));
    a.len().cmp(&b.len()).then_with(|| a.iter().rev().cmp(b.iter().rev()))
}

/// `a += b`; whether it did not fit. `b` is no longer than `a`.
pub fn add(a: &mut [u64], b: &[u64]) -> bool {
    let mut carry = false;
    for (i, limb) in a.iter_mut().enumerate() {
        let (sum, c1) = limb.overflowing_add(b.get(i).copied().unwrap_or(0));
        let (sum, c2) = sum.overflowing_add(u64::from(carry));
        *limb = sum;
        carry = c1 | c2;
    }
    carry
}

/// `a -= b`; whether it went below zero. `b` is no longer than `a`.
pub fn sub(a: &mut [u64], b: &[u64]) -> bool {
    let mut borrow = false;
    for (i, limb) in a.iter_mut().enumerate() {
        let (diff, b1) = limb.overflowing_sub(b.get(i).copied().unwrap_or(0));
        let (diff, b2) = diff.overflowing_sub(u64::from(borrow));
        *limb = diff;
        borrow = b1 | b2;
    }
    borrow
}

/// `a = -a` in two's complement.
pub fn negate(a: &mut [u64]) {
    let mut carry = true;
    for limb in a {
        let (value, c) = (!*limb).overflowing_add(u64::from(carry));
        *limb = value;
        carry = c;
    }
}

/// `a × b`; bits above [`WIDE`] limbs are lost, which the callers' bounds rule out.
pub fn mul(a: &[u64], b: &[u64]) -> Wide {
    let (a, b) = (trim(a), trim(b));
    let mut product = [0u64; WIDE];
    for (i, &x) in a.iter().enumerate() {
        let mut carry = 0u128;
        for (slot, &y) in product[i..].iter_mut().zip(b.iter().chain(std::iter::repeat(&0))) {
            carry += u128::from(*slot) + u128::from(x) * u128::from(y);
            *slot = carry as u64;
            carry >>= 64;
        }
    }
    product
}

/// `a × 10^n`, as long as it fits: a mantissa and n ≤ 152.
pub fn scale_up(a: &[u64], mut n: u32) -> Wide {
    let mut product = widen(a);
    while n > 0 {
        let step = n.min(76);
        product = mul(&product, &POW10[step as usize]);
        n -= step;
    }
    product
}

/// `a << n`; bits above [`WIDE`] limbs are lost.
pub fn shift_left(a: &[u64], n: u32) -> Wide {
    let (limbs, bits) = ((n / 64) as usize, n % 64);
    let mut shifted = [0; WIDE];
    for i in (limbs..WIDE).rev() {
        let at = |i: usize| a.get(i).copied().unwrap_or(0);
        let low = if bits > 0 && i > limbs { at(i - limbs - 1) >> (64 - bits) } else { 0 };
        shifted[i] = at(i - limbs) << bits | low;
    }
    shifted
}

/// `a /= d`; gives the remainder. `d` is not 0.
pub fn div_small(a: &mut [u64], d: u64) -> u64 {
    let mut rem = 0u128;
    for limb in a.iter_mut().rev() {
        let n = rem << 64 | u128::from(*limb);
        *limb = (n / u128::from(d)) as u64;
        rem = n % u128::from(d);
    }
    rem as u64
}

/// Quotient and remainder; `den` is not 0.
///
/// Source: Knuth, The Art of Computer Programming, volume 2, 4.3.1, algorithm D, with 64-bit digits.
pub fn div_rem(num: &[u64], den: &[u64]) -> (Wide, Wide) {
    let den = trim(den);
    let mut quotient = widen(num);
    match den {
        [] => return ([0; WIDE], [0; WIDE]),
        [d] => {
            let rem = div_small(&mut quotient, *d);
            return (quotient, widen(&[rem]));
        }
        _ => {}
    }
    let n = den.len();
    let shift = den[n - 1].leading_zeros();
    let divisor = shift_left(den, shift); // D1: the divisor's top bit is set, so that a guessed digit is at most two too large.
    let v = &divisor[..n];
    let mut u = [0u64; WIDE + 1];
    u[..WIDE].copy_from_slice(&shift_left(num, shift));
    if shift > 0 {
        u[WIDE] = num.get(WIDE - 1).map_or(0, |top| top >> (64 - shift));
    }
    quotient = [0; WIDE];
    for j in (0..=WIDE - n).rev() {
        let mut digit = guess(&u[j..=j + n], v);
        if subtract_product(&mut u[j..=j + n], v, digit) {
            digit -= 1; // D6: the guess was one too large.
            add(&mut u[j..=j + n], v);
        }
        quotient[j] = digit;
    }
    (quotient, shift_right(&u, shift))
}

/// D3: the next digit from the top two limbs of the remainder and the top of the divisor; at most one too large.
fn guess(u: &[u64], v: &[u64]) -> u64 {
    let n = v.len();
    let top = u128::from(u[n]) << 64 | u128::from(u[n - 1]);
    let (mut q, mut r) = (top / u128::from(v[n - 1]), top % u128::from(v[n - 1]));
    while q >> 64 != 0 || q * u128::from(v[n - 2]) > (r << 64 | u128::from(u[n - 2])) {
        q -= 1;
        r += u128::from(v[n - 1]);
        if r >> 64 != 0 {
            break;
        }
    }
    q as u64
}

/// D4: `u -= v × digit`; whether it went below zero.
fn subtract_product(u: &mut [u64], v: &[u64], digit: u64) -> bool {
    let (mut carry, mut borrow) = (0u128, false);
    for (i, limb) in u.iter_mut().enumerate() {
        carry += u128::from(v.get(i).copied().unwrap_or(0)) * u128::from(digit);
        let (diff, b1) = limb.overflowing_sub(carry as u64);
        let (diff, b2) = diff.overflowing_sub(u64::from(borrow));
        *limb = diff;
        borrow = b1 | b2;
        carry >>= 64;
    }
    borrow
}

fn shift_right(a: &[u64; WIDE + 1], bits: u32) -> Wide {
    let mut shifted = [0; WIDE];
    for (i, limb) in shifted.iter_mut().enumerate() {
        let high = if bits > 0 { a[i + 1] << (64 - bits) } else { 0 };
        *limb = a[i] >> bits | high;
    }
    shifted
}
