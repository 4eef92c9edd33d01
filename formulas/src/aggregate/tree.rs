//! A sorted sequence that knows places: the n-th entry, and where an entry stands.
//!
//! A tree of wide nodes, in which every branch says how many entries are below it. Few entries are one sorted vector.
//!
//! Cost: O(log n) to put in, take out, and find by place. Entries that are put in at the end leave full leaves behind.

use std::cmp::Ordering;

/// Entries of a leaf, at most.
const LEAF: usize = 64;
/// Branches of an inner node, at most.
const FAN: usize = 32;

/// A sorted sequence of entries, equal ones included. The order is given with each call, and is the same each time.
#[derive(Clone, Debug)]
pub(super) struct Tree<E> {
    root: Node<E>,
    len: usize,
}

#[derive(Clone, Debug)]
enum Node<E> {
    Leaf(Vec<E>),
    Inner(Vec<Branch<E>>),
}

#[derive(Clone, Debug)]
struct Branch<E> {
    /// The first entry below it.
    least: E,
    len: usize,
    node: Node<E>,
}

impl<E> Default for Tree<E> {
    fn default() -> Self {
        Tree { root: Node::Leaf(Vec::new()), len: 0 }
    }
}

impl<E: Clone> Tree<E> {
    pub fn len(&self) -> usize {
        self.len
    }

    /// Puts an entry in, behind those that are equal; gives its place.
    pub fn insert(&mut self, entry: E, order: &impl Fn(&E, &E) -> Ordering) -> usize {
        self.len += 1;
        let (place, split) = self.root.insert(entry, order);
        if let Some(right) = split {
            let left = std::mem::replace(&mut self.root, Node::Inner(Vec::new()));
            self.root = Node::Inner(vec![Branch::of(left), right]);
        }
        place
    }

    /// Takes one out of the entries that are equal to `entry`; gives it, and the place where it stood.
    pub fn remove(&mut self, entry: &E, order: &impl Fn(&E, &E) -> Ordering) -> Option<(usize, E)> {
        let removed = self.root.remove(entry, order)?;
        self.len -= 1;
        while let Node::Inner(branches) = &mut self.root {
            match branches.len() {
                0 => self.root = Node::Leaf(Vec::new()),
                1 => self.root = branches.swap_remove(0).node,
                _ => break,
            }
        }
        Some(removed)
    }

    /// The entry at a place.
    pub fn get(&self, mut place: usize) -> Option<&E> {
        let mut node = &self.root;
        loop {
            match node {
                Node::Leaf(entries) => return entries.get(place),
                Node::Inner(branches) => {
                    let mut below = branches.iter();
                    node = loop {
                        let branch = below.next()?;
                        if place < branch.len {
                            break &branch.node;
                        }
                        place -= branch.len;
                    };
                }
            }
        }
    }

    /// Shows the entries from a place up to, without, another.
    pub fn each<'a>(&'a self, from: usize, to: usize, f: &mut impl FnMut(&'a E)) {
        self.root.each(from, to, f);
    }

    /// Bytes on the heap; what entries point to is not counted.
    pub fn heap_bytes(&self) -> usize {
        self.root.heap_bytes()
    }
}

impl<E: Clone> Branch<E> {
    fn of(node: Node<E>) -> Branch<E> {
        let least = node.first().expect("invariant: a node is not empty when it is split").clone();
        Branch { least, len: node.len(), node }
    }
}

impl<E: Clone> Node<E> {
    fn first(&self) -> Option<&E> {
        match self {
            Node::Leaf(entries) => entries.first(),
            Node::Inner(branches) => branches.first()?.node.first(),
        }
    }

    fn len(&self) -> usize {
        match self {
            Node::Leaf(entries) => entries.len(),
            Node::Inner(branches) => branches.iter().map(|branch| branch.len).sum(),
        }
    }

    fn insert(&mut self, entry: E, order: &impl Fn(&E, &E) -> Ordering) -> (usize, Option<Branch<E>>) {
        match self {
            Node::Leaf(entries) => {
                let behind_last = entries.last().is_none_or(|last| order(last, &entry).is_le());
                let at = if behind_last { entries.len() } else { entries.partition_point(|other| order(other, &entry).is_le()) };
                if entries.len() < LEAF {
                    entries.insert(at, entry);
                    return (at, None);
                }
                // Where entries come in order, leaves stay full.
                let mut right = if behind_last { Vec::new() } else { entries.split_off(LEAF / 2) };
                if at > entries.len() || behind_last {
                    right.insert(at - entries.len(), entry);
                } else {
                    entries.insert(at, entry);
                }
                (at, Some(Branch::of(Node::Leaf(right))))
            }
            Node::Inner(branches) => {
                let at = branches.partition_point(|branch| order(&branch.least, &entry).is_le()).saturating_sub(1);
                let before: usize = branches[..at].iter().map(|branch| branch.len).sum();
                let branch = &mut branches[at];
                if order(&entry, &branch.least).is_lt() {
                    branch.least = entry.clone();
                }
                let (place, split) = branch.node.insert(entry, order);
                branch.len += 1;
                if let Some(right) = split {
                    branch.len -= right.len;
                    branches.insert(at + 1, right);
                }
                let full = branches.len() > FAN;
                let at_end = full && at + 3 > branches.len();
                let right = full.then(|| branches.split_off(if at_end { FAN } else { FAN / 2 }));
                (before + place, right.map(|right| Branch::of(Node::Inner(right))))
            }
        }
    }

    fn remove(&mut self, entry: &E, order: &impl Fn(&E, &E) -> Ordering) -> Option<(usize, E)> {
        match self {
            Node::Leaf(entries) => {
                let at = entries.binary_search_by(|other| order(other, entry)).ok()?;
                Some((at, entries.remove(at)))
            }
            Node::Inner(branches) => {
                // The last branch that may hold it does, if any does: what follows begins with something greater.
                let at = branches.partition_point(|branch| order(&branch.least, entry).is_le()).checked_sub(1)?;
                let before: usize = branches[..at].iter().map(|branch| branch.len).sum();
                let (place, removed) = branches[at].node.remove(entry, order)?;
                branches[at].len -= 1;
                if branches[at].len == 0 {
                    branches.remove(at);
                } else {
                    if place == 0
                        && let Some(first) = branches[at].node.first().cloned()
                    {
                        branches[at].least = first;
                    }
                    merge(branches, at);
                }
                Some((before + place, removed))
            }
        }
    }

    fn each<'a>(&'a self, from: usize, to: usize, f: &mut impl FnMut(&'a E)) {
        match self {
            Node::Leaf(entries) => entries[from.min(entries.len())..to.min(entries.len())].iter().for_each(f),
            Node::Inner(branches) => {
                let mut start = 0;
                for branch in branches {
                    if start >= to {
                        break;
                    }
                    if start + branch.len > from {
                        branch.node.each(from.saturating_sub(start), to - start, f);
                    }
                    start += branch.len;
                }
            }
        }
    }

    fn heap_bytes(&self) -> usize {
        match self {
            Node::Leaf(entries) => entries.capacity() * size_of::<E>(),
            Node::Inner(branches) => {
                let below: usize = branches.iter().map(|branch| branch.node.heap_bytes()).sum();
                branches.capacity() * size_of::<Branch<E>>() + below
            }
        }
    }
}

/// Puts a small leaf together with the next or the one before, where both fit into half a leaf: so removals leave no crumbs.
fn merge<E: Clone>(branches: &mut Vec<Branch<E>>, at: usize) {
    let other = if at + 1 < branches.len() { at + 1 } else { at.wrapping_sub(1) };
    let (left, right) = (at.min(other), at.max(other));
    if right >= branches.len() || branches[left].len + branches[right].len > LEAF / 2 {
        return;
    }
    if !matches!((&branches[left].node, &branches[right].node), (Node::Leaf(_), Node::Leaf(_))) {
        return;
    }
    let taken = branches.remove(right);
    if let (Node::Leaf(entries), Node::Leaf(more)) = (&mut branches[left].node, taken.node) {
        entries.extend(more);
        branches[left].len += taken.len;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// The tree is a sorted vector, whatever is done to it.
        #[test]
        fn a_tree_is_a_sorted_vector(steps in prop::collection::vec((0u32..400, 0u8..5), 0..1500), grows in any::<bool>()) {
            let (mut tree, mut plain) = (Tree::default(), Vec::new());
            let order = |a: &(u32, u32), b: &(u32, u32)| a.cmp(b);
            for (step, (x, kind)) in steps.into_iter().enumerate() {
                let entry = if grows { (step as u32 / 3, x % 3) } else { (x, 0) };
                if kind > 1 {
                    let place = tree.insert(entry, &order);
                    prop_assert_eq!(place, plain.partition_point(|other| *other <= entry));
                    plain.insert(place, entry);
                } else if let Some((place, removed)) = tree.remove(&entry, &order) {
                    prop_assert_eq!(removed, entry);
                    prop_assert_eq!(plain.remove(place), entry);
                } else {
                    prop_assert!(!plain.contains(&entry));
                }
                prop_assert_eq!(tree.len(), plain.len());
            }
            prop_assert_eq!((0..=plain.len()).map(|place| tree.get(place).copied()).collect::<Vec<_>>(), plain.iter().copied().map(Some).chain([None]).collect::<Vec<_>>());
            let mut shown = Vec::new();
            let (from, to) = (plain.len() / 3, plain.len() / 2);
            tree.each(from, to, &mut |entry| shown.push(*entry));
            prop_assert_eq!(&shown[..], &plain[from..to]);
            for entry in plain {
                prop_assert!(tree.remove(&entry, &order).is_some());
            }
            prop_assert_eq!(tree.len(), 0);
        }
    }
}
