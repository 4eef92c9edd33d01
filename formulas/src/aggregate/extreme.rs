//! Values in order, each with how often it is in: what `min`, `max` and `count_distinct` need to survive a retraction.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::marker::PhantomData;

use super::numbers::have_order;
use crate::errors;
use crate::ops;
use crate::value::{Cell, Value};

/// Up to so many distinct values stay in one sorted vector; beyond, in a tree.
const FEW: usize = 32;

/// A sorted multiset; `O` says what is the same.
#[derive(Clone, Debug)]
pub(super) enum Multiset<O> {
    Few(Vec<(Ranked<O>, u64)>),
    Many(BTreeMap<Ranked<O>, u64>),
}

/// What `min` and `max` keep.
pub(super) type Extremes = Multiset<ByRank>;

/// What `count_distinct` keeps.
pub(super) type Distinct = Multiset<ByEquality>;

impl<O> Default for Multiset<O> {
    fn default() -> Self {
        Multiset::Few(Vec::new())
    }
}

/// An order of values.
pub(super) trait Order {
    fn order(a: &Value, b: &Value) -> Ordering;
}

/// [`rank`]
#[derive(Clone, Copy, Debug)]
pub(super) struct ByRank;

impl Order for ByRank {
    #[inline]
    fn order(a: &Value, b: &Value) -> Ordering {
        rank(a, b)
    }
}

/// [`by_equality`]
#[derive(Clone, Copy, Debug)]
pub(super) struct ByEquality;

impl Order for ByEquality {
    #[inline]
    fn order(a: &Value, b: &Value) -> Ordering {
        by_equality(a, b)
    }
}

/// A value in an order.
#[derive(Clone, Debug)]
pub(super) struct Ranked<O>(Value, PhantomData<O>);

impl<O: Order> Ord for Ranked<O> {
    #[inline]
    fn cmp(&self, other: &Self) -> Ordering {
        O::order(&self.0, &other.0)
    }
}

/// An order in which exactly the values that are `==` in a formula are the same, inside lists and maps too.
fn by_equality(a: &Value, b: &Value) -> Ordering {
    match (a, b) {
        (Value::List(a), Value::List(b)) => {
            let differs = a.iter().zip(b.iter()).map(|(a, b)| by_equality(a, b)).find(|order| order.is_ne());
            differs.unwrap_or_else(|| a.len().cmp(&b.len()))
        }
        (Value::Map(a), Value::Map(b)) => {
            // Keys of other types may be equal numbers, so their order as keys does not count.
            let sorted = |map: &BTreeMap<Value, Value>| {
                let mut entries: Vec<(Value, Value)> = map.iter().map(|(key, value)| (key.clone(), value.clone())).collect();
                entries.sort_by(|a, b| by_equality(&a.0, &b.0));
                entries
            };
            let (a, b) = (sorted(a), sorted(b));
            let entry =
                |(a, b): (&(Value, Value), &(Value, Value))| by_equality(&a.0, &b.0).then_with(|| by_equality(&a.1, &b.1));
            let differs = a.iter().zip(&b).map(entry).find(|order| order.is_ne());
            differs.unwrap_or_else(|| a.len().cmp(&b.len()))
        }
        (Value::Tensor(a), Value::Tensor(b)) => {
            let pairs = || a.array().iter().zip(b.array().iter());
            let differs = || pairs().map(|(a, b)| ops::double_cmp(*a, *b)).find(|order| order.is_ne());
            a.array().shape().cmp(b.array().shape()).then_with(|| differs().unwrap_or(Ordering::Equal))
        }
        _ => ops::number_cmp(a, b).unwrap_or_else(|| a.cmp(b)),
    }
}

/// The order of the number line; equal numbers of different types by type, everything else by identity.
#[inline]
pub(super) fn rank(a: &Value, b: &Value) -> Ordering {
    // Numbers stand together in the order of types, so mixing the two orders stays transitive.
    match ops::number_cmp(a, b) {
        None | Some(Ordering::Equal) => a.cmp(b),
        Some(order) => order,
    }
}

impl<O: Order> PartialOrd for Ranked<O> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<O: Order> PartialEq for Ranked<O> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl<O: Order> Eq for Ranked<O> {}

impl<O: Order> Multiset<O> {
    pub fn insert(&mut self, value: &Value) {
        match self {
            Multiset::Few(entries) => match entries.binary_search_by(|(entry, _)| O::order(&entry.0, value)) {
                Ok(at) => entries[at].1 += 1,
                Err(at) if entries.len() < FEW => entries.insert(at, (Ranked(value.clone(), PhantomData), 1)),
                Err(_) => {
                    let mut tree: BTreeMap<_, _> = entries.drain(..).collect();
                    tree.insert(Ranked(value.clone(), PhantomData), 1);
                    *self = Multiset::Many(tree);
                }
            },
            Multiset::Many(tree) => *tree.entry(Ranked(value.clone(), PhantomData)).or_insert(0) += 1,
        }
    }

    pub fn remove(&mut self, value: &Value) {
        match self {
            Multiset::Few(entries) => {
                let found = entries.binary_search_by(|(entry, _)| O::order(&entry.0, value));
                debug_assert!(found.is_ok(), "invariant AGG-1: only what is in is taken out");
                if let Ok(at) = found {
                    entries[at].1 -= 1;
                    if entries[at].1 == 0 {
                        entries.remove(at);
                    }
                }
            }
            Multiset::Many(tree) => {
                let key = Ranked(value.clone(), PhantomData);
                if let Some(count) = tree.get_mut(&key) {
                    *count -= 1;
                    if *count == 0 {
                        tree.remove(&key);
                    }
                }
                // Half of `FEW`, so that a group around the bound does not go to and fro.
                if tree.len() <= FEW / 2 {
                    *self = Multiset::Few(std::mem::take(tree).into_iter().collect());
                }
            }
        }
    }

    /// How many different ones.
    pub fn len(&self) -> usize {
        match self {
            Multiset::Few(entries) => entries.len(),
            Multiset::Many(tree) => tree.len(),
        }
    }

    fn ends(&self) -> Option<(&Value, &Value)> {
        match self {
            Multiset::Few(entries) => Some((&entries.first()?.0.0, &entries.last()?.0.0)),
            Multiset::Many(tree) => Some((&tree.first_key_value()?.0.0, &tree.last_key_value()?.0.0)),
        }
    }

    /// The least; NULL of nothing; E0314 where the values have no order among them, which the two ends tell.
    pub fn least(&self) -> Cell {
        self.pick(|(least, _)| least)
    }

    /// The greatest, likewise.
    pub fn greatest(&self) -> Cell {
        self.pick(|(_, greatest)| greatest)
    }

    fn pick<'a>(&'a self, end: fn((&'a Value, &'a Value)) -> &'a Value) -> Cell {
        match self.ends() {
            None => Ok(Value::Null),
            Some((a, b)) if have_order(a, b) => Ok(end((a, b)).clone()),
            Some(_) => Err(errors::bad_aggregate("min or max over values that have no order among them")),
        }
    }

    pub fn heap_bytes(&self) -> usize {
        const ENTRY: usize = size_of::<(Ranked<ByRank>, u64)>();
        match self {
            Multiset::Few(entries) => entries.capacity() * ENTRY,
            Multiset::Many(tree) => tree.len() * (ENTRY + ENTRY / 2), // Nodes are two thirds full on average.
        }
    }
}
