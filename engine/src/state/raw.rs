//! What a slot holds: a tag of two bits and a word of 64, without the slot's kind no value yet.
//!
//! Encoding is canonical: a value that can stand inline in a slot of that kind always does. So two inline slots hold the same
//! value exactly if tag and word are equal, which is what cut-off compares.

use thalweg_formulas::decimal::Decimal;
use thalweg_formulas::{Duration, Timestamp, Type, Value};

/// How to read a slot's word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tag {
    /// The word is the value, as the slot's [`Kind`] says.
    Inline = 0,
    /// NULL.
    Null = 1,
    /// The word is a handle into the arena of values.
    Boxed = 2,
    /// The word is a handle into the arena of failures.
    Failed = 3,
}

impl Tag {
    /// The tag with these two bits.
    pub fn from_bits(bits: u64) -> Tag {
        match bits & 3 {
            0 => Tag::Inline,
            1 => Tag::Null,
            2 => Tag::Boxed,
            _ => Tag::Failed,
        }
    }
}

/// The content of one slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Raw {
    /// How to read the word.
    pub tag: Tag,
    /// The value or a handle; 0 for NULL.
    pub word: u64,
}

impl Raw {
    /// NULL.
    pub const NULL: Raw = Raw { tag: Tag::Null, word: 0 };

    /// A value that is its own word.
    pub fn inline(word: u64) -> Raw {
        Raw { tag: Tag::Inline, word }
    }
}

/// Which values of a slot stand inline.
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
    /// Not known from the type; the first value that could stand inline decides for all rows.
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

    /// The kind in which this value stands inline, if there is one.
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

    /// The word of a value that stands inline in this kind.
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

    /// The value of an inline word.
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
            Kind::Boxed | Kind::Open => unreachable!("invariant INV-INLINE: nothing stands inline in a boxed slot"),
        }
    }
}
