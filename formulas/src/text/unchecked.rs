//! The one place of this crate with `unsafe`: bytes of a text are read as a string without being checked again.
//!
//! Why: a text is read far more often than it is made, and checking it costs more than most of what is done with it. Why it is sound:
//! invariant TEXT-1, which the constructors in [`super`] keep; there are no others, and no form can be written to. [`checked`] is the same
//! without `unsafe`; `tests` compares the two.

#![allow(unsafe_code)]

use super::Text;

/// The string that a text is.
#[inline]
pub(super) fn as_str(text: &Text) -> &str {
    debug_assert!(std::str::from_utf8(text.as_bytes()).is_ok(), "invariant TEXT-1: the bytes of a text are UTF-8");
    // SAFETY: invariant TEXT-1.
    unsafe { std::str::from_utf8_unchecked(text.as_bytes()) }
}

/// The same, checked.
#[cfg(test)]
pub(super) fn checked(text: &Text) -> Option<&str> {
    std::str::from_utf8(text.as_bytes()).ok()
}
