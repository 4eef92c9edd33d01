//! Values: what a cell holds.
//!
//! `Eq`, `Ord` and `Hash` are *identity*: the type and every bit count (`1`, `1u` and `1.0` differ; NaN equals NaN). Cut-off, keys and
//! output order use identity. The `==` of the formula language, which compares numbers as on one number line, is an operator of its own.
//!
//! A `Value` is 24 bytes; a clone never allocates.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use crate::decimal::Decimal;
use crate::problem::Error;
use crate::tensor::Tensor;
use crate::text::Text;

/// An instant: microseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct Timestamp(pub i64);

/// A span of time in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct Duration(pub i64);

/// What a field of one document is at one epoch: a value, or the error that stands in its place.
pub type Cell = Result<Value, Error>;

/// One value. See the module for what equality means.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub enum Value {
    /// Absent, SQL's NULL.
    Null,
    /// A truth value.
    Bool(bool),
    /// 64-bit signed integer.
    Int(i64),
    /// 64-bit unsigned integer.
    Uint(u64),
    /// A double; build it with [`Value::double`], which keeps one NaN.
    Double(f64),
    /// Exact decimal.
    Decimal(Decimal),
    /// UTF-8 text.
    Text(Text),
    /// Bytes.
    Bytes(Arc<[u8]>),
    /// An instant.
    Timestamp(Timestamp),
    /// A span of time.
    Duration(Duration),
    /// A list.
    List(Arc<[Value]>),
    /// A map, in key order.
    Map(Arc<BTreeMap<Value, Value>>),
    /// A tensor.
    Tensor(Arc<Tensor>),
}

impl Value {
    /// A double with the one canonical NaN.
    pub fn double(x: f64) -> Value {
        Value::Double(if x.is_nan() { f64::NAN } else { x })
    }

    /// Text.
    pub fn text(s: impl Into<Text>) -> Value {
        Value::Text(s.into())
    }

    /// A list.
    pub fn list(items: impl IntoIterator<Item = Value>) -> Value {
        Value::List(items.into_iter().collect())
    }

    /// A map from text keys.
    pub fn record<K: Into<Text>>(entries: impl IntoIterator<Item = (K, Value)>) -> Value {
        Value::Map(Arc::new(entries.into_iter().map(|(k, v)| (Value::Text(k.into()), v)).collect()))
    }

    /// The same value with bytes of its own where it is a text, to be kept for long (see [`Text::owned`]). What is inside lists and maps
    /// is left as it is: whoever builds one of what sources tell owns it first.
    #[inline]
    pub fn owned(self) -> Value {
        match self {
            Value::Text(text) => Value::Text(text.owned()),
            other => other,
        }
    }

    /// Whether it has bytes on the heap, so that dropping it does something.
    #[inline]
    pub fn has_heap(&self) -> bool {
        match self {
            Value::Null | Value::Bool(_) | Value::Int(_) | Value::Uint(_) | Value::Double(_) => false,
            Value::Timestamp(_) | Value::Duration(_) | Value::Decimal(Decimal::Small { .. }) => false,
            Value::Text(text) => !text.is_short(),
            Value::Decimal(Decimal::Big(_)) | Value::Bytes(_) | Value::List(_) | Value::Map(_) | Value::Tensor(_) => true,
        }
    }

    /// Whether it is NULL.
    pub fn is_null(&self) -> bool {
        matches!(self, Value::Null)
    }

    /// Whether it is `true`: the only value on which a condition fires.
    pub fn is_true(&self) -> bool {
        matches!(self, Value::Bool(true))
    }

    /// The place of the variant in the order of types.
    fn rank(&self) -> u8 {
        match self {
            Value::Null => 0,
            Value::Bool(_) => 1,
            Value::Int(_) => 2,
            Value::Uint(_) => 3,
            Value::Double(_) => 4,
            Value::Decimal(_) => 5,
            Value::Text(_) => 6,
            Value::Bytes(_) => 7,
            Value::Timestamp(_) => 8,
            Value::Duration(_) => 9,
            Value::List(_) => 10,
            Value::Map(_) => 11,
            Value::Tensor(_) => 12,
        }
    }
}

impl Ord for Value {
    /// Total: by type, then by value. Doubles by `total_cmp`.
    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Value::Null, Value::Null) => Ordering::Equal,
            (Value::Bool(a), Value::Bool(b)) => a.cmp(b),
            (Value::Int(a), Value::Int(b)) => a.cmp(b),
            (Value::Uint(a), Value::Uint(b)) => a.cmp(b),
            (Value::Double(a), Value::Double(b)) => a.total_cmp(b),
            (Value::Decimal(a), Value::Decimal(b)) => a.identity_cmp(b),
            (Value::Text(a), Value::Text(b)) => a.cmp(b),
            (Value::Bytes(a), Value::Bytes(b)) => a.cmp(b),
            (Value::Timestamp(a), Value::Timestamp(b)) => a.cmp(b),
            (Value::Duration(a), Value::Duration(b)) => a.cmp(b),
            (Value::List(a), Value::List(b)) => a.cmp(b),
            (Value::Map(a), Value::Map(b)) => a.cmp(b),
            (Value::Tensor(a), Value::Tensor(b)) => a.identity_cmp(b),
            (a, b) => a.rank().cmp(&b.rank()),
        }
    }
}

impl PartialOrd for Value {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Value {}

impl Hash for Value {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u8(self.rank());
        match self {
            Value::Null => {}
            Value::Bool(x) => x.hash(state),
            Value::Int(x) => x.hash(state),
            Value::Uint(x) => x.hash(state),
            Value::Double(x) => x.to_bits().hash(state),
            Value::Decimal(x) => x.hash(state),
            Value::Text(x) => x.hash(state),
            Value::Bytes(x) => x.hash(state),
            Value::Timestamp(x) => x.hash(state),
            Value::Duration(x) => x.hash(state),
            Value::List(x) => x.hash(state),
            Value::Map(x) => x.hash(state),
            Value::Tensor(x) => x.hash(state),
        }
    }
}

impl From<bool> for Value {
    fn from(x: bool) -> Self {
        Value::Bool(x)
    }
}

impl From<i64> for Value {
    fn from(x: i64) -> Self {
        Value::Int(x)
    }
}

impl From<i32> for Value {
    fn from(x: i32) -> Self {
        Value::Int(x.into())
    }
}

impl From<u64> for Value {
    fn from(x: u64) -> Self {
        Value::Uint(x)
    }
}

impl From<f64> for Value {
    fn from(x: f64) -> Self {
        Value::double(x)
    }
}

impl From<&str> for Value {
    fn from(x: &str) -> Self {
        Value::text(x)
    }
}

impl From<String> for Value {
    fn from(x: String) -> Self {
        Value::text(x)
    }
}

impl From<Arc<str>> for Value {
    fn from(x: Arc<str>) -> Self {
        Value::text(x)
    }
}

impl From<Text> for Value {
    fn from(x: Text) -> Self {
        Value::Text(x)
    }
}

impl From<Decimal> for Value {
    fn from(x: Decimal) -> Self {
        Value::Decimal(x)
    }
}
