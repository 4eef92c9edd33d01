//! The packed form of DECIMAL: groups of nine digits in four bytes, most significant first, the sign in the first bit.

use thalweg_formulas::decimal::Decimal;
use thalweg_formulas::decimal::wide::U256;

use super::DecodeError;
use super::bytes::eight;

/// Bytes of a group of 0 to 9 digits.
const GROUP_BYTES: [usize; 10] = [0, 1, 1, 2, 2, 3, 3, 4, 4, 4];

/// How one DECIMAL(precision, scale) lies in a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Packing {
    whole: u8,
    scale: u8,
    bytes: u8,
    /// A value has at most [`SMALL_DIGITS`] digits, eight bytes and three groups, so it is read as one number.
    is_small: bool,
    /// Its groups then; those behind the last one are empty.
    groups: [Group; 3],
}

/// Where a group lies in the number that all bytes are, and the power of ten that it stays below.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Group {
    shift: u8,
    mask: u32,
    size: u32,
}

/// So many digits fit an `i64`.
const SMALL_DIGITS: u8 = 18;

impl Packing {
    /// # Errors
    /// More than 65 digits, or more behind the point than there are.
    pub(crate) fn new(precision: u8, scale: u8) -> Result<Packing, DecodeError> {
        if precision > 65 || scale > precision || precision == 0 {
            return Err(DecodeError::malformed(format!("DECIMAL({precision},{scale})")));
        }
        let whole = precision - scale;
        let side = |digits: u8| usize::from(digits / 9) * 4 + GROUP_BYTES[usize::from(digits % 9)];
        let bytes = (side(whole) + side(scale)) as u8;
        let mut packing = Packing { whole, scale, bytes, is_small: false, groups: [Group { shift: 0, mask: 0, size: 1 }; 3] };
        if precision <= SMALL_DIGITS && bytes <= 8 {
            packing.is_small = packing.set_groups().is_some();
        }
        Ok(packing)
    }

    /// `None` if there are more than three.
    fn set_groups(&mut self) -> Option<()> {
        let mut bits = 8 * self.bytes;
        for (at, digits) in self.digits().enumerate() {
            let len = 8 * GROUP_BYTES[usize::from(digits)] as u8;
            bits -= len;
            *self.groups.get_mut(at)? = Group { shift: bits, mask: u32::MAX >> (32 - len), size: POW10[usize::from(digits)] };
        }
        Some(())
    }

    /// Bytes of a value.
    #[inline(always)]
    pub(crate) fn len(self) -> usize {
        usize::from(self.bytes)
    }

    /// Reads a value of few digits, as most are: its mantissa, and what is behind it. `None` if there may be more, if fewer than eight bytes
    /// are left, or if no server writes such digits; [`Packing::read`] tells.
    #[inline(always)]
    pub(crate) fn small<'a>(&self, rest: &'a [u8]) -> Option<(i64, &'a [u8])> {
        let raw = eight(rest).filter(|_| self.is_small)?;
        let rest = rest.get(self.len()..)?;
        // Negative numbers have all bits turned, and then the sign bit, which is set for positive ones.
        let turned = if raw >> 63 == 0 { u64::MAX } else { 0 };
        let raw = ((raw ^ turned) << 1 >> 1) >> (64 - 8 * u32::from(self.bytes));
        let [first, second, third] = self.groups.map(|group| (raw >> group.shift) as u32 & group.mask);
        let [a, b, c] = self.groups.map(|group| group.size);
        if (first >= a) | (second >= b) | (third >= c) {
            return None;
        }
        let mantissa = (i64::from(first) * i64::from(b) + i64::from(second)) * i64::from(c) + i64::from(third);
        Some(((mantissa ^ turned as i64) - turned as i64, rest))
    }

    /// Digits behind the point.
    #[inline(always)]
    pub(crate) fn scale(self) -> u8 {
        self.scale
    }

    /// Reads a value of exactly [`Packing::len`] bytes.
    ///
    /// # Errors
    /// Digits that no server writes.
    pub(crate) fn read(self, bytes: &[u8]) -> Result<Decimal, DecodeError> {
        debug_assert_eq!(bytes.len(), self.len());
        let negative = bytes[0] & 0x80 == 0;
        let mut first = 0x80;
        let mut at = 0;
        let mut size: U256 = [0; 4];
        for digits in self.digits() {
            let len = GROUP_BYTES[usize::from(digits)];
            let mut value = 0u32;
            for byte in &bytes[at..at + len] {
                value = value << 8 | u32::from(byte ^ first ^ if negative { 0xff } else { 0 });
                first = 0;
            }
            at += len;
            if value >= POW10[usize::from(digits)] {
                return Err(DecodeError::malformed("digits of a DECIMAL"));
            }
            push(&mut size, POW10[usize::from(digits)], value);
        }
        Decimal::from_wide(negative && size != [0; 4], &size, self.scale)
            .ok_or_else(|| DecodeError::malformed("digits of a DECIMAL"))
    }

    /// The groups of digits in the order of the bytes: the odd one of the whole part first, that of the fraction last.
    fn digits(self) -> impl Iterator<Item = u8> {
        let odd = |digits: u8| Some(digits % 9).filter(|d| *d > 0);
        let full = |digits: u8| std::iter::repeat_n(9, usize::from(digits / 9));
        odd(self.whole).into_iter().chain(full(self.whole)).chain(full(self.scale)).chain(odd(self.scale))
    }
}

const POW10: [u32; 10] = [1, 10, 100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000, 1_000_000_000];

/// `size × factor + digits`; 65 digits fit 256 bits.
fn push(size: &mut U256, factor: u32, digits: u32) {
    let mut carry = u128::from(digits);
    for limb in size {
        carry += u128::from(*limb) * u128::from(factor);
        *limb = carry as u64;
        carry >>= 64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packed_digits_are_read_exactly() {
        // The example of the server's source: 1234567890.1234 as DECIMAL(14,4) is 81 0D FB 38 D2 04 D2.
        for (precision, scale, bytes, text) in [
            (14, 4, &[0x81, 0x0d, 0xfb, 0x38, 0xd2, 0x04, 0xd2][..], "1234567890.1234"),
            (14, 4, &[0x7e, 0xf2, 0x04, 0xc7, 0x2d, 0xfb, 0x2d], "-1234567890.1234"),
            (1, 1, &[0x85], "0.5"),
            (2, 0, &[0x80], "0"),
            (2, 0, &[0x7f], "0"),
            (20, 0, &[0x80, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x07], "7"),
        ] {
            let packing = Packing::new(precision, scale).unwrap();
            assert_eq!(packing.read(bytes).unwrap().to_string(), text);
        }
        assert!(Packing::new(66, 0).is_err());
        assert!(Packing::new(2, 0).unwrap().read(&[0xff]).is_err());
    }
}
