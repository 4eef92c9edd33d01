//! The error values of evaluation, E03xx: one constructor a code, so that a code means one thing.
//!
//! `explain/formulas-eval.md` in the root package tells each one's story.

use crate::problem::Error;

/// E0301: an integer result does not fit its 64 bits.
pub fn overflow(what: &str) -> Error {
    Error::new(301, format!("{what} overflows"))
}

/// E0302: an exact division by zero.
pub fn division_by_zero() -> Error {
    Error::new(302, "division by zero")
}

/// E0303: an operator or function has no meaning for values of these types.
pub fn no_overload(message: impl Into<String>) -> Error {
    Error::new(303, message.into())
}

/// E0304: an index outside its list or text.
pub fn out_of_range(index: impl std::fmt::Display, len: usize) -> Error {
    Error::new(304, format!("index {index} is outside 0..{len}"))
}

/// E0305: a map does not hold the key.
pub fn no_such_key(key: impl std::fmt::Display) -> Error {
    Error::new(305, format!("no such key: {key}"))
}

/// E0306: a value cannot be converted.
pub fn conversion(message: impl Into<String>) -> Error {
    Error::new(306, message.into())
}

/// E0307: a decimal needs more than 76 digits.
pub fn decimal_overflow() -> Error {
    Error::new(307, "decimal result needs more than 76 digits")
}

/// E0308: the evaluation used up its fuel.
pub fn out_of_fuel() -> Error {
    Error::new(308, "evaluation is too large: out of fuel")
}

/// E0309: a value or expression is nested too deep.
pub fn too_deep(levels: usize) -> Error {
    Error::new(309, format!("nested deeper than {levels} levels"))
}

/// E0310: an aggregate over a child that is in error. One text, whichever child and however many.
pub fn child_in_error() -> Error {
    Error::new(310, "a child is in error")
}

/// E0311: an argument that its function refuses.
pub fn bad_argument(message: impl Into<String>) -> Error {
    Error::new(311, message.into())
}

/// E0312: a timestamp outside the years 1 to 9999, or a duration outside its 64 bits of microseconds.
pub fn time_out_of_range(what: &str) -> Error {
    Error::new(312, format!("{what} is out of range"))
}

/// E0313: a map key that cannot be one, or that is there twice.
pub fn bad_key(message: impl Into<String>) -> Error {
    Error::new(313, message.into())
}

/// E0314: an aggregate over values that do not go together.
pub fn bad_aggregate(message: impl Into<String>) -> Error {
    Error::new(314, message.into())
}

/// E0315: an aggregate over child rows that no plan has replaced by an input.
pub fn unplanned_aggregate() -> Error {
    Error::new(315, "an aggregate over child rows has no value outside a plan")
}
