//! Values in order, each with how often it is in: what `min` and `max` need to survive a retraction.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use super::numbers::have_order;
use crate::errors;
use crate::ops;
use crate::value::{Cell, Value};

/// Up to so many distinct values stay in one sorted vector; beyond, in a tree.
const FEW: usize = 32;

/// A sorted multiset.
#[derive(Clone, Debug)]
pub(super) enum Extremes {
    Few(Vec<(Ranked, u64)>),
    Many(BTreeMap<Ranked, u64>),
}

impl Default for Extremes {
    fn default() -> Self {
        Extremes::Few(Vec::new())
    }
}

/// A value in the order of the number line; equal numbers of different types by type, everything else by identity.
#[derive(Clone, Debug)]
pub(super) struct Ranked(Value);

impl Ord for Ranked {
    #[inline]
    fn cmp(&self, other: &Self) -> Ordering {
        rank(&self.0, &other.0)
    }
}

#[inline]
fn rank(a: &Value, b: &Value) -> Ordering {
    // Numbers stand together in the order of types, so mixing the two orders stays transitive.
    match ops::number_cmp(a, b) {
        None | Some(Ordering::Equal) => a.cmp(b),
        Some(order) => order,
    }
}

impl PartialOrd for Ranked {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Ranked {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Ranked {}

impl Extremes {
    pub fn insert(&mut self, value: &Value) {
        match self {
            Extremes::Few(entries) => match entries.binary_search_by(|(entry, _)| rank(&entry.0, value)) {
                Ok(at) => entries[at].1 += 1,
                Err(at) if entries.len() < FEW => entries.insert(at, (Ranked(value.clone()), 1)),
                Err(_) => {
                    let mut tree: BTreeMap<_, _> = entries.drain(..).collect();
                    tree.insert(Ranked(value.clone()), 1);
                    *self = Extremes::Many(tree);
                }
            },
            Extremes::Many(tree) => *tree.entry(Ranked(value.clone())).or_insert(0) += 1,
        }
    }

    pub fn remove(&mut self, value: &Value) {
        match self {
            Extremes::Few(entries) => {
                let found = entries.binary_search_by(|(entry, _)| rank(&entry.0, value));
                debug_assert!(found.is_ok(), "invariant AGG-1: only what is in is taken out");
                if let Ok(at) = found {
                    entries[at].1 -= 1;
                    if entries[at].1 == 0 {
                        entries.remove(at);
                    }
                }
            }
            Extremes::Many(tree) => {
                let key = Ranked(value.clone());
                if let Some(count) = tree.get_mut(&key) {
                    *count -= 1;
                    if *count == 0 {
                        tree.remove(&key);
                    }
                }
                // Half of `FEW`, so that a group around the bound does not go to and fro.
                if tree.len() <= FEW / 2 {
                    *self = Extremes::Few(std::mem::take(tree).into_iter().collect());
                }
            }
        }
    }

    fn ends(&self) -> Option<(&Value, &Value)> {
        match self {
            Extremes::Few(entries) => Some((&entries.first()?.0.0, &entries.last()?.0.0)),
            Extremes::Many(tree) => Some((&tree.first_key_value()?.0.0, &tree.last_key_value()?.0.0)),
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
        const ENTRY: usize = size_of::<(Ranked, u64)>();
        match self {
            Extremes::Few(entries) => entries.capacity() * ENTRY,
            Extremes::Many(tree) => tree.len() * (ENTRY + ENTRY / 2), // Nodes are two thirds full on average.
        }
    }
}
