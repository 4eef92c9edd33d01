//! Decimals as text: `-12.50` keeps its scale both ways.

use std::fmt;
use std::str::FromStr;

use super::{Decimal, wide};

/// Why a text is not a decimal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseDecimalError {
    /// Not digits with at most one point, a sign and an exponent.
    #[error("not a decimal number")]
    Malformed,
    /// More than 76 digits, or more than 76 behind the point.
    #[error("more than 76 digits")]
    TooLong,
}

impl FromStr for Decimal {
    type Err = ParseDecimalError;

    /// Reads `12`, `-12.50`, `+.5`, `1.5e3`; the scale is the number of digits behind the point, less the exponent.
    fn from_str(text: &str) -> Result<Self, ParseDecimalError> {
        let (negative, rest) = match text.as_bytes() {
            [b'-', ..] => (true, &text[1..]),
            [b'+', ..] => (false, &text[1..]),
            _ => (false, text),
        };
        let (digits, exponent) = match rest.find(['e', 'E']) {
            Some(at) => (&rest[..at], rest[at + 1..].parse::<i32>().map_err(|_| ParseDecimalError::Malformed)?),
            None => (rest, 0),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        if whole.is_empty() && fraction.is_empty() {
            return Err(ParseDecimalError::Malformed);
        }
        let mut size = [0u64; 5];
        for byte in whole.bytes().chain(fraction.bytes()) {
            push_digit(&mut size, byte)?;
        }
        place(negative, size, fraction.len(), exponent).ok_or(ParseDecimalError::TooLong)
    }
}

/// `size = size × 10 + digit`, within 76 digits.
fn push_digit(size: &mut [u64; 5], byte: u8) -> Result<(), ParseDecimalError> {
    if !byte.is_ascii_digit() {
        return Err(ParseDecimalError::Malformed);
    }
    let mut carry = u128::from(byte - b'0');
    for limb in size.iter_mut() {
        carry += u128::from(*limb) * 10;
        *limb = carry as u64;
        carry >>= 64;
    }
    if wide::compare(size, &wide::POW10[76]).is_ge() { Err(ParseDecimalError::TooLong) } else { Ok(()) }
}

/// The number with its digits shifted by the exponent.
fn place(negative: bool, size: [u64; 5], behind: usize, exponent: i32) -> Option<Decimal> {
    let negative = negative && !wide::is_zero(&size);
    let scale = i64::try_from(behind).ok()? - i64::from(exponent);
    if scale >= 0 {
        return Decimal::from_wide(negative, &size, u8::try_from(scale).ok()?);
    }
    if wide::is_zero(&size) {
        return Some(Decimal::zero(0));
    }
    let up = u32::try_from(-scale).ok().filter(|up| *up <= 76)?;
    Decimal::from_wide(negative, &wide::scale_up(&size, up), 0)
}

impl fmt::Display for Decimal {
    /// The scale shows: `12.50`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const GROUP: u64 = 10u64.pow(19);
        let scale = usize::from(self.scale());
        let (negative, mut size) = self.sign_and_size();
        let mut buffer = [b'0'; 80];
        let mut at = buffer.len();
        let mut written = 0;
        let mut group = 0; // 19 digits at a time, so that most of the work is on one limb.
        while written <= scale || group > 0 || !wide::is_zero(&size) {
            if written % 19 == 0 {
                group = match size {
                    [low @ 0..GROUP, 0, 0, 0] => {
                        size[0] = 0;
                        low
                    }
                    _ => wide::div_small(&mut size, GROUP),
                };
            }
            if written == scale && scale > 0 {
                at -= 1;
                buffer[at] = b'.';
            }
            at -= 1;
            buffer[at] = b'0' + (group % 10) as u8;
            group /= 10;
            written += 1;
        }
        let digits = std::str::from_utf8(&buffer[at..]).map_err(|_| fmt::Error)?;
        f.pad_integral(!negative, "", digits)
    }
}
