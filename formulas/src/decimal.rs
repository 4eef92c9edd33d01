//! Exact decimals: a 256-bit mantissa and a scale.

use std::cmp::Ordering;
use std::sync::Arc;

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

impl Decimal {
    /// Total order of identity: by scale, then by mantissa.
    pub fn identity_cmp(&self, other: &Self) -> Ordering {
        let _ = other;
        Ordering::Equal
    }
}

impl std::fmt::Display for Decimal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let _ = f;
        Ok(())
    }
}
