//! What a column is in SQL, beside the type of its values: a DATE and a DATETIME both are timestamps, a SET and a VARCHAR both are text.
//!
//! Nothing that is computed depends on it, and it is not stored: it is for whoever prints rows as another tool does.

/// A column's type in SQL, as far as its values are printed otherwise than those of other columns of the same [`thalweg_formulas::Type`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum SqlType {
    /// Any other, or none: the source is no database.
    #[default]
    Other,
    /// BIGINT, with or without sign.
    BigInt,
    /// BIT of so many bits.
    Bit(u8),
    /// DATE.
    Date,
    /// DATETIME with so many digits behind the seconds' point.
    Datetime(u8),
    /// TIMESTAMP with so many digits.
    Timestamp(u8),
    /// TIME with so many digits.
    Time(u8),
    /// ENUM.
    Enum,
    /// SET.
    Set,
    /// POINT: a number of the reference system in four bytes, then well-known binary.
    Point,
    /// Any other geometry, in the same form.
    Geometry,
    /// VECTOR: floats of four bytes, the lowest first.
    Vector,
}
