//! What a step gives, collected as it happens and put in order at its end.
//!
//! The order is that of [`thalweg_graph::outcome`]: epoch, node, key, version. It does not depend on who found what first, so the
//! outcome is the same for any number of workers.

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::sync::Arc;

use hashbrown::HashMap;
use thalweg_graph::Outcome;
use thalweg_graph::outcome::{Counts, Delta, ErrorChange, Fired, Key, TimerArmed};

/// Puts everything in order.
pub fn sort(outcome: &mut Outcome) {
    if !outcome.deltas.is_sorted_by(|a, b| by_place(a, b).is_le()) {
        sort_deltas(&mut outcome.deltas);
    }
    sort_unless_sorted(&mut outcome.fired, |a: &Fired, b: &Fired| {
        let place = a.epoch.cmp(&b.epoch).then_with(|| by_name(&a.node, &b.node)).then_with(|| by_key(&a.key, &b.key));
        place.then_with(|| a.version.cmp(&b.version))
    });
    // A withdrawal stands before the error that takes its place.
    sort_unless_sorted(&mut outcome.errors, |a: &ErrorChange, b: &ErrorChange| {
        let place = a.epoch.cmp(&b.epoch).then_with(|| by_name(&a.node, &b.node)).then_with(|| by_key(&a.key, &b.key));
        place.then_with(|| b.cleared.cmp(&a.cleared)).then_with(|| a.error.cmp(&b.error))
    });
    sort_unless_sorted(&mut outcome.timers, |a: &TimerArmed, b: &TimerArmed| {
        let place = a.epoch.cmp(&b.epoch).then_with(|| a.reaction.cmp(&b.reaction));
        place.then_with(|| by_key(&a.key, &b.key)).then_with(|| a.due.cmp(&b.due))
    });
}

fn by_place(a: &Delta, b: &Delta) -> Ordering {
    a.epoch.cmp(&b.epoch).then_with(|| by_name(&a.node, &b.node)).then_with(|| by_key(&a.key, &b.key))
}

/// Sorts deltas that come row by row: (epoch, node) as one number first, then keys where they are not in order already. Rows
/// that come in key order, as in a fill, thus cost no comparison of keys beyond one each.
fn sort_deltas(deltas: &mut [Delta]) {
    let ranks = ranks(deltas);
    let first = deltas.iter().map(|delta| delta.epoch).min().unwrap_or(0);
    let place = |delta: &Delta| (delta.epoch - first) << 32 | u64::from(ranks[&address(delta)]);
    let mut order: Vec<(u64, u32)> = deltas.iter().zip(0..).map(|(delta, at)| (place(delta), at)).collect();
    order.sort_by_key(|(place, _)| *place);
    for group in order.chunk_by_mut(|a, b| a.0 == b.0) {
        let by_key = |a: &(u64, u32), b: &(u64, u32)| by_key(&deltas[a.1 as usize].key, &deltas[b.1 as usize].key);
        sort_unless_sorted(group, by_key);
    }
    permute(deltas, &mut order);
}

/// Nodes are shared texts, so their addresses tell them apart.
fn address(delta: &Delta) -> usize {
    delta.node.as_ptr() as usize
}

/// The place of each node among the names.
fn ranks(deltas: &[Delta]) -> HashMap<usize, u32, foldhash::fast::FixedState> {
    let nodes: HashMap<usize, &Arc<str>, foldhash::fast::FixedState> =
        deltas.iter().map(|delta| (address(delta), &delta.node)).collect();
    let names: BTreeSet<&Arc<str>> = nodes.values().copied().collect();
    let places: HashMap<&Arc<str>, u32> = names.into_iter().zip(0..).collect();
    nodes.into_iter().map(|(address, name)| (address, places[name])).collect()
}

/// Brings `items[order[i].1]` to place `i`, along the cycles of the permutation.
fn permute<T>(items: &mut [T], order: &mut [(u64, u32)]) {
    for start in 0..items.len() {
        let mut at = start;
        loop {
            let from = std::mem::replace(&mut order[at].1, at as u32) as usize;
            if from == start || from == at {
                break;
            }
            items.swap(at, from);
            at = from;
        }
    }
}

fn sort_unless_sorted<T>(lines: &mut [T], order: impl Fn(&T, &T) -> Ordering) {
    if !lines.is_sorted_by(|a, b| order(a, b).is_le()) {
        lines.sort_by(order);
    }
}

fn by_name(a: &Arc<str>, b: &Arc<str>) -> Ordering {
    if Arc::ptr_eq(a, b) { Ordering::Equal } else { a.cmp(b) }
}

fn by_key(a: &Key, b: &Key) -> Ordering {
    if Arc::ptr_eq(a, b) { Ordering::Equal } else { a.cmp(b) }
}

/// Adds one worker's part of a step.
pub fn merge(into: &mut Outcome, mut part: Outcome) {
    into.deltas.append(&mut part.deltas);
    into.fired.append(&mut part.fired);
    into.errors.append(&mut part.errors);
    into.timers.append(&mut part.timers);
    into.counts = add(into.counts, part.counts);
}

fn add(a: Counts, b: Counts) -> Counts {
    Counts {
        changes: a.changes + b.changes,
        redundant: a.redundant + b.redundant,
        contradicted: a.contradicted + b.contradicted,
        cells: a.cells + b.cells,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use thalweg_formulas::Value;

    #[test]
    fn a_permutation_is_applied_along_its_cycles() {
        let mut items = ['a', 'b', 'c', 'd', 'e'];
        permute(&mut items, &mut [(0, 2), (0, 0), (0, 1), (0, 3), (0, 4)]);
        assert_eq!(items, ['c', 'a', 'b', 'd', 'e']);
        permute(&mut items, &mut [(0, 4), (0, 3), (0, 2), (0, 1), (0, 0)]);
        assert_eq!(items, ['e', 'd', 'b', 'a', 'c']);
    }

    #[test]
    fn deltas_are_sorted_by_epoch_node_and_key() {
        let nodes: [Arc<str>; 3] = ["b".into(), "a".into(), "b".into()];
        let mut deltas = Vec::new();
        for at in 0..200_i64 {
            let key: Key = Arc::new([Value::Int(at * 37 % 11)]);
            let node = nodes[at as usize % 3].clone();
            deltas.push(Delta { epoch: (at * 7 % 5) as u64, node, key, old: Value::Null, new: Value::Int(at), gone: false });
        }
        let mut expected = deltas.clone();
        expected.sort_by(by_place);
        sort_deltas(&mut deltas);
        assert_eq!(deltas, expected);
    }
}
