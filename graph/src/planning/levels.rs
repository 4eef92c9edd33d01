//! Levels: at which height of the graph each node stands.
//!
//! INV-PLAN-LEVELS: a value crosses from one table to another (or to itself, by an edge) only upwards. An aggregate stands above
//! what it aggregates; a looked-up value stands two above its reference and its origin, so that the index of references has a
//! level of its own between them. Within a table a cell stands at the level of its highest input.
//!
//! A document of a derived table stands above the rows that it is kept from, and so does everything that it holds; a pair stands two above
//! its rows, since the index of what they have in common has a level of its own.
//!
//! Then regions of a table move up into the next region of the same table wherever every edge still leads upwards, so that
//! for example an order's columns and the totals of its items are one region.

use std::collections::{BTreeMap, BTreeSet};

use super::lazy::Lazy;
use super::nodes::{NodeId, Nodes, Source};

/// Where nodes stand.
pub(super) struct Levels {
    /// The level of each live node.
    of: BTreeMap<NodeId, u32>,
    /// The live nodes of each region, by level from low to high, then table.
    pub(super) regions: BTreeMap<(u32, usize), BTreeSet<NodeId>>,
}

impl Levels {
    /// Places everything that `roots` need, directly or not.
    pub(super) fn place(nodes: &Nodes, roots: impl IntoIterator<Item = NodeId>, lazy: &Lazy) -> Levels {
        let live = live(nodes, roots);
        let mut levels = Levels::above(nodes, &live, &BTreeMap::new(), lazy);
        if !lazy.is_empty() {
            let mut heights: BTreeMap<usize, u32> = BTreeMap::new();
            for (id, level) in levels.of.iter().filter(|(id, _)| lazy.stands_high(**id, nodes.get(**id))) {
                let height = heights.entry(nodes.get(*id).table).or_default();
                *height = (*height).max(*level);
            }
            levels = Levels::above(nodes, &live, &heights, lazy);
        }
        levels.merge_upwards(nodes);
        levels
    }

    /// Every live node as low as it can stand; what waits to be asked no lower than its table's height.
    fn above(nodes: &Nodes, live: &BTreeSet<NodeId>, heights: &BTreeMap<usize, u32>, lazy: &Lazy) -> Levels {
        let mut levels = Levels { of: BTreeMap::new(), regions: BTreeMap::new() };
        // By derived table: the level of its key. The key's nodes were made before the others of its table.
        let mut floors: BTreeMap<usize, u32> = BTreeMap::new();
        for id in nodes.ids().filter(|id| live.contains(id)) {
            let node = nodes.get(id);
            let height = heights.get(&node.table).filter(|_| lazy.stands_high(id, node));
            let floor = floors.get(&node.table).max(height).copied().unwrap_or(0);
            let level = levels.lowest(nodes, id).max(floor);
            if matches!(node.source, Source::Key { .. } | Source::Pair { .. }) {
                floors.insert(node.table, level);
            }
            levels.of.insert(id, level);
            levels.regions.entry((level, nodes.get(id).table)).or_default().insert(id);
        }
        levels
    }

    /// The level of a live node.
    pub(super) fn level(&self, id: NodeId) -> u32 {
        self.of[&id]
    }

    /// The live nodes, in topological order.
    pub(super) fn live(&self) -> impl Iterator<Item = NodeId> {
        self.of.keys().copied()
    }

    /// The highest level of several nodes of one table: where all of them can be read in one row.
    pub(super) fn highest(&self, ids: impl IntoIterator<Item = NodeId>) -> Option<u32> {
        ids.into_iter().map(|id| self.level(id)).max()
    }

    /// The lowest level at which a node can stand; its inputs have been placed.
    fn lowest(&self, nodes: &Nodes, id: NodeId) -> u32 {
        let node = nodes.get(id);
        let inputs = self.highest(node.inputs()).unwrap_or(0);
        match &node.source {
            Source::Column(_) => 0,
            Source::Cell { .. } => inputs,
            Source::Aggregate { .. } | Source::Key { far: false, .. } => inputs + 1,
            Source::Key { far: true, .. } => inputs + 2,
            Source::Looked { .. } | Source::Nearest { .. } | Source::Pair { .. } | Source::Session { .. } => inputs + 2,
        }
    }

    /// Moves regions up, highest first: where a region's consumers have gone up, it may follow.
    fn merge_upwards(&mut self, nodes: &Nodes) {
        let ceilings = consumers(nodes, self.live());
        let from_the_top: Vec<(u32, usize)> = self.regions.keys().rev().copied().collect();
        for (level, table) in from_the_top {
            let above = self.regions.keys().find(|(other, of)| *of == table && *other > level).copied();
            let Some(above) = above else { continue };
            let members = self.regions[&(level, table)].clone();
            let edges = members.iter().flat_map(|id| ceilings.get(id)).flatten();
            if edges.clone().all(|(consumer, height)| above.0 + height <= self.level(*consumer)) {
                self.regions.remove(&(level, table));
                self.of.extend(members.iter().map(|id| (*id, above.0)));
                self.regions.entry(above).or_default().extend(members);
            }
        }
    }
}

/// What `roots` need.
fn live(nodes: &Nodes, roots: impl IntoIterator<Item = NodeId>) -> BTreeSet<NodeId> {
    let mut live: BTreeSet<NodeId> = roots.into_iter().collect();
    for id in nodes.ids().rev() {
        if live.contains(&id) {
            live.extend(nodes.get(id).inputs());
        }
    }
    live
}

/// The nodes at the upper end of each node's edges, and the height of the edge.
fn consumers(nodes: &Nodes, live: impl Iterator<Item = NodeId>) -> BTreeMap<NodeId, Vec<(NodeId, u32)>> {
    let mut consumers: BTreeMap<NodeId, Vec<(NodeId, u32)>> = BTreeMap::new();
    for id in live {
        let height = match nodes.get(id).source {
            Source::Column(_) | Source::Cell { .. } => continue,
            Source::Aggregate { .. } | Source::Key { far: false, .. } => 1,
            Source::Key { far: true, .. } => 2,
            Source::Looked { .. } | Source::Nearest { .. } | Source::Pair { .. } | Source::Session { .. } => 2,
        };
        for input in nodes.get(id).inputs() {
            consumers.entry(input).or_default().push((id, height));
        }
    }
    consumers
}
