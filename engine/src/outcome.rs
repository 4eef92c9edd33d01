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
    let nodes = Nodes::of(deltas);
    let first = deltas.iter().map(|delta| delta.epoch).min().unwrap_or(0);
    let mut guess = 0;
    let mut place = |delta: &Delta| (delta.epoch - first) << 32 | u64::from(nodes.rank(delta, &mut guess));
    let mut order: Vec<(u64, u32)> = deltas.iter().zip(0..).map(|(delta, at)| (place(delta), at)).collect();
    order.sort_by_key(|(place, _)| *place);
    for group in order.chunk_by_mut(|a, b| a.0 == b.0) {
        let by_key = |a: &(u64, u32), b: &(u64, u32)| by_key(&deltas[a.1 as usize].key, &deltas[b.1 as usize].key);
        sort_unless_sorted(group, by_key);
    }
    permute(deltas, &mut order);
}

/// The nodes of some deltas and their places among the names. Nodes are shared texts, so their addresses tell them apart.
struct Nodes {
    /// (address, rank), in the order of first appearance: rows tell the same nodes one after the other.
    seen: Vec<(usize, u32)>,
    by_address: HashMap<usize, usize, foldhash::fast::FixedState>,
}

impl Nodes {
    fn of(deltas: &[Delta]) -> Nodes {
        let mut nodes = Nodes { seen: Vec::new(), by_address: HashMap::default() };
        let mut names: Vec<&Arc<str>> = Vec::new();
        let mut guess = 0;
        for delta in deltas {
            if nodes.position(delta, &mut guess).is_none() {
                nodes.by_address.insert(address(delta), nodes.seen.len());
                nodes.seen.push((address(delta), 0));
                names.push(&delta.node);
            }
        }
        let sorted: BTreeSet<&Arc<str>> = names.iter().copied().collect();
        let ranks: HashMap<&Arc<str>, u32> = sorted.into_iter().zip(0..).collect();
        nodes.seen.iter_mut().zip(names).for_each(|(seen, name)| seen.1 = ranks[name]);
        nodes
    }

    /// Where the delta's node stands in `seen`; `guess` follows.
    #[inline]
    fn position(&self, delta: &Delta, guess: &mut usize) -> Option<usize> {
        let address = address(delta);
        let at = match self.seen.get(*guess) {
            Some((seen, _)) if *seen == address => *guess,
            _ => *self.by_address.get(&address)?,
        };
        *guess = if at + 1 < self.seen.len() { at + 1 } else { 0 };
        Some(at)
    }

    #[inline]
    fn rank(&self, delta: &Delta, guess: &mut usize) -> u32 {
        self.position(delta, guess).map_or(0, |at| self.seen[at].1)
    }
}

fn address(delta: &Delta) -> usize {
    delta.node.as_ptr() as usize
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
    if into.deltas.is_empty() {
        std::mem::swap(&mut into.deltas, &mut part.deltas);
    }
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
