//! Values that fit a word: how 64 bits are read, and which values can be written in them.
//!
//! A word alone is no value; its [`Kind`] says which it is. Whoever keeps many values of one type keeps words and one kind.

use crate::decimal::Decimal;
use crate::{Duration, Timestamp, Type, Value};

/// Which values stand in words, and how a word is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `false` 0, `true` 1.
    Bool,
    /// Two's complement.
    Int,
    /// As it is.
    Uint,
    /// The bits.
    Double,
    /// Microseconds.
    Timestamp,
    /// Microseconds.
    Duration,
    /// The mantissa of a small decimal of this scale.
    Decimal(u8),
    /// None: texts, lists and the like.
    Boxed,
    /// Not known from the type; the first value that could stand in a word decides.
    Open,
}

impl Kind {
    /// The kind for values of a static type.
    pub fn of_type(ty: &Type) -> Kind {
        match ty {
            Type::Bool => Kind::Bool,
            Type::Int => Kind::Int,
            Type::Uint => Kind::Uint,
            Type::Double => Kind::Double,
            Type::Timestamp => Kind::Timestamp,
            Type::Duration => Kind::Duration,
            Type::Decimal { scale, .. } => Kind::Decimal(*scale),
            Type::Dyn | Type::Null => Kind::Open,
            Type::Text | Type::Bytes | Type::List(_) | Type::Map(..) | Type::Tensor(_) => Kind::Boxed,
        }
    }

    /// The kind in which this value stands in a word, if there is one.
    pub fn of_value(value: &Value) -> Option<Kind> {
        match value {
            Value::Bool(_) => Some(Kind::Bool),
            Value::Int(_) => Some(Kind::Int),
            Value::Uint(_) => Some(Kind::Uint),
            Value::Double(_) => Some(Kind::Double),
            Value::Timestamp(_) => Some(Kind::Timestamp),
            Value::Duration(_) => Some(Kind::Duration),
            Value::Decimal(Decimal::Small { scale, .. }) => Some(Kind::Decimal(*scale)),
            Value::Decimal(Decimal::Big(_)) | Value::Null => None,
            Value::Text(_) | Value::Bytes(_) | Value::List(_) | Value::Map(_) | Value::Tensor(_) => None,
        }
    }

    /// Whether words of this kind are values without anything else known.
    pub fn is_word(self) -> bool {
        !matches!(self, Kind::Boxed | Kind::Open)
    }

    /// The word of a value that stands in one in this kind.
    #[inline]
    pub fn word(self, value: &Value) -> Option<u64> {
        match (self, value) {
            (Kind::Bool, Value::Bool(x)) => Some(u64::from(*x)),
            (Kind::Int, Value::Int(x)) => Some(*x as u64),
            (Kind::Uint, Value::Uint(x)) => Some(*x),
            (Kind::Double, Value::Double(x)) => Some(x.to_bits()),
            (Kind::Timestamp, Value::Timestamp(x)) => Some(x.0 as u64),
            (Kind::Duration, Value::Duration(x)) => Some(x.0 as u64),
            (Kind::Decimal(of), Value::Decimal(Decimal::Small { mantissa, scale })) if of == *scale => Some(*mantissa as u64),
            _ => None,
        }
    }

    /// The value of a word.
    #[inline]
    pub fn value(self, word: u64) -> Value {
        match self {
            Kind::Bool => Value::Bool(word != 0),
            Kind::Int => Value::Int(word as i64),
            Kind::Uint => Value::Uint(word),
            Kind::Double => Value::Double(f64::from_bits(word)),
            Kind::Timestamp => Value::Timestamp(Timestamp(word as i64)),
            Kind::Duration => Value::Duration(Duration(word as i64)),
            Kind::Decimal(scale) => Value::Decimal(Decimal::Small { mantissa: word as i64, scale }),
            Kind::Boxed | Kind::Open => unreachable!("invariant INV-INLINE: no word without a kind that reads it"),
        }
    }
}
