//! Arbitrary values.

use std::sync::Arc;

use proptest::prelude::*;
use thalweg_formulas::decimal::Decimal;
use thalweg_formulas::{Duration, Timestamp, Value};

/// Any value, nested a little.
pub fn arb_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::Int),
        (-200i64..200).prop_map(Value::Int),
        any::<u64>().prop_map(Value::Uint),
        any::<u64>().prop_map(|bits| Value::double(f64::from_bits(bits))),
        (any::<i64>(), 0u8..30).prop_map(|(mantissa, scale)| Value::Decimal(Decimal::Small { mantissa, scale })),
        (any::<[u64; 3]>(), 1u64..1 << 40, 0u8..77)
            .prop_map(|([a, b, c], d, scale)| Value::Decimal(Decimal::Big(Arc::new(([a, b, c, d], scale))))),
        ".{0,80}".prop_map(Value::from),
        prop::collection::vec(any::<u8>(), 0..80).prop_map(|bytes| Value::Bytes(bytes.into())),
        any::<i64>().prop_map(|x| Value::Timestamp(Timestamp(x))),
        any::<i64>().prop_map(|x| Value::Duration(Duration(x))),
    ];
    leaf.prop_recursive(2, 12, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::list),
            prop::collection::vec((inner.clone(), inner), 0..4)
                .prop_map(|entries| Value::Map(Arc::new(entries.into_iter().collect()))),
        ]
    })
}
