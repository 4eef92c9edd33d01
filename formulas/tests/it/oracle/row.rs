//! What the names of an expression are bound to.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;
use thalweg_formulas::{Type, Value};

/// The types of the subset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ty {
    Bool,
    Int,
    Uint,
    Double,
    Text,
    Bytes,
    List(Item),
    Map(Item),
}

/// What a list holds; a map holds it under keys that are texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Item {
    Bool,
    Int,
    Double,
    Text,
}

impl Item {
    pub const ALL: [Item; 4] = [Item::Int, Item::Text, Item::Double, Item::Bool];

    pub fn one(self) -> Ty {
        match self {
            Item::Bool => Ty::Bool,
            Item::Int => Ty::Int,
            Item::Double => Ty::Double,
            Item::Text => Ty::Text,
        }
    }
}

impl Ty {
    /// The checker's word for it.
    pub fn ty(self) -> Type {
        match self {
            Ty::Bool => Type::Bool,
            Ty::Int => Type::Int,
            Ty::Uint => Type::Uint,
            Ty::Double => Type::Double,
            Ty::Text => Type::Text,
            Ty::Bytes => Type::Bytes,
            Ty::List(item) => Type::List(item.one().ty().into()),
            Ty::Map(item) => Type::Map(Type::Text.into(), item.one().ty().into()),
        }
    }
}

/// The names, in their order.
pub const NAMES: [(&str, Ty); 14] = [
    ("b", Ty::Bool),
    ("bs", Ty::Bytes),
    ("i", Ty::Int),
    ("j", Ty::Int),
    ("lb", Ty::List(Item::Bool)),
    ("ld", Ty::List(Item::Double)),
    ("li", Ty::List(Item::Int)),
    ("lt", Ty::List(Item::Text)),
    ("mi", Ty::Map(Item::Int)),
    ("mt", Ty::Map(Item::Text)),
    ("s", Ty::Text),
    ("t", Ty::Text),
    ("u", Ty::Uint),
    ("x", Ty::Double),
];

/// One value for every name. No NULL among them: CEL has no order and no arithmetic with it, Thalweg has SQL's
/// (`INTERFACES`, "NULL"); no NaN: it equals itself here and does not there ("Numbers").
#[derive(Clone, Debug)]
pub struct Row(Vec<Value>);

impl Row {
    /// In the order of [`NAMES`].
    pub fn values(&self) -> &[Value] {
        &self.0
    }
}

pub fn arb_row() -> impl Strategy<Value = Row> {
    NAMES.iter().map(|(_, ty)| arb_value(*ty)).collect::<Vec<_>>().prop_map(Row)
}

fn arb_value(ty: Ty) -> BoxedStrategy<Value> {
    match ty {
        Ty::Bool => any::<bool>().prop_map(Value::Bool).boxed(),
        Ty::Int => arb_int().prop_map(Value::Int).boxed(),
        Ty::Uint => prop_oneof![4 => 0..6u64, 1 => prop::sample::select(vec![u64::MAX, 1 << 63, (1 << 53) + 1])]
            .prop_map(Value::Uint)
            .boxed(),
        Ty::Double => arb_double().prop_map(Value::Double).boxed(),
        Ty::Text => arb_text().prop_map(Value::text).boxed(),
        Ty::Bytes => prop::collection::vec(prop::sample::select(b"ab\x00\xc3\xbc".to_vec()), 0..4)
            .prop_map(|b| Value::Bytes(b.into()))
            .boxed(),
        Ty::List(item) => prop::collection::vec(arb_value(item.one()), 0..5).prop_map(Value::list).boxed(),
        Ty::Map(item) => prop::collection::btree_map("[abk]", arb_value(item.one()), 0..4)
            .prop_map(|map| Value::Map(Arc::new(map.into_iter().map(|(k, v)| (Value::text(k), v)).collect::<BTreeMap<_, _>>())))
            .boxed(),
    }
}

fn arb_int() -> impl Strategy<Value = i64> {
    prop_oneof![6 => -4..8i64, 1 => prop::sample::select(vec![i64::MAX, i64::MIN, i64::MAX - 1, (1 << 53) + 1, 1 << 32])]
}

/// Far from infinity, which arithmetic would turn into NaN.
fn arb_double() -> impl Strategy<Value = f64> {
    prop::sample::select(vec![0.0, -0.0, 1.0, -1.5, 0.1, -0.1, 2.5, 3.0, 1e-7, 1024.0])
}

fn arb_text() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => "[abAB ,1üß🐱]{0,5}",
        1 => prop::sample::select(vec!["a", "ab", "7", "-12", "1.5", "true", "\u{a0}x\u{2003}", "\t\n", "İ"]).prop_map(str::to_owned),
    ]
}
