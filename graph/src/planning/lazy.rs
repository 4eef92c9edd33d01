//! Fields that are computed when somebody asks, and what makes them necessary.
//!
//! A lazy field waits to be asked unless something that is kept reads it: another field, a condition, an edge to other documents, windows that
//! stand still once they are over. So do the cells under it that nobody else reads. What comes to its document over edges (aggregates,
//! looked-up values) is kept, since nobody could bring it when it is asked for: a parent does not store its children.
//!
//! What waits has no level to keep, since no edge starts at it; so all of a table's stands in one region, the highest that any of it needs, and
//! with it the conditions of effects that send it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::effects::EffectDef;
use super::nodes::{Node, NodeId, Nodes, Source};
use super::world::World;

/// What waits to be asked.
#[derive(Default)]
pub(super) struct Lazy {
    /// The cells.
    waiting: BTreeSet<NodeId>,
    /// The lazy fields that do not wait, and what reads them.
    kept: BTreeMap<NodeId, Arc<str>>,
}

impl Lazy {
    /// What of an accepted definition waits.
    pub(super) fn find(world: &World, effects: &[EffectDef]) -> Lazy {
        let fields: BTreeSet<NodeId> = world.fields.iter().filter(|field| field.lazy).filter_map(|field| field.node).collect();
        if fields.is_empty() {
            return Lazy::default();
        }
        let mut needs = Needs { nodes: &world.nodes, fields: &fields, by: BTreeMap::new() };
        for field in &world.fields {
            let Some(node) = field.node else { continue };
            match world.groups.iter().any(|group| group.table == field.table && group.ending.is_some()) {
                true => needs.need(node, &"windows that stand still once they are over".into()),
                false if !field.lazy => needs.need(node, &quoted(&field.name)),
                false => {}
            }
        }
        for effect in effects {
            needs.need(effect.when, &world.nodes.get(effect.when).name);
        }
        world.kept.iter().for_each(|node| needs.need(*node, &"a goal".into()));
        for id in world.nodes.ids() {
            if matches!(world.nodes.get(id).source, Source::Key { .. } | Source::Pair { .. }) {
                let table = &world.catalogue.tables[world.nodes.get(id).table].name;
                needs.need(id, &quoted(table));
            }
        }
        let mut reached = BTreeSet::new();
        fields.iter().for_each(|field| needs.under(*field, &mut reached));
        let by = needs.by;
        reached.retain(|id| !by.contains_key(id));
        Lazy { waiting: reached, kept: by.into_iter().filter(|(id, _)| fields.contains(id)).collect() }
    }

    /// Whether the cell is computed when somebody asks.
    pub(super) fn waits(&self, id: NodeId) -> bool {
        self.waiting.contains(&id)
    }

    /// What reads a lazy field that does not wait.
    pub(super) fn kept_for(&self, id: NodeId) -> Option<&Arc<str>> {
        self.kept.get(&id)
    }

    /// Whether nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Whether the node stands where its table's cells wait: it is one of them, or sends one.
    pub(super) fn stands_high(&self, id: NodeId, node: &Node) -> bool {
        self.waits(id) || node.beside.iter().any(|sent| self.waits(*sent))
    }

    /// A cell that is part of several that wait, and of no other, waits with them.
    pub(super) fn add(&mut self, id: NodeId) {
        self.waiting.insert(id);
    }
}

fn quoted(name: &str) -> Arc<str> {
    format!("`{name}`").into()
}

/// The walk from what is kept to all that it needs.
struct Needs<'a> {
    nodes: &'a Nodes,
    /// The lazy fields.
    fields: &'a BTreeSet<NodeId>,
    /// What is needed, and by what that has a name.
    by: BTreeMap<NodeId, Arc<str>>,
}

impl Needs<'_> {
    /// `id` is kept, and with it all that it reads.
    fn need(&mut self, id: NodeId, by: &Arc<str>) {
        let mut next = vec![(id, by.clone())];
        while let Some((id, by)) = next.pop() {
            if self.by.contains_key(&id) {
                continue;
            }
            let node = self.nodes.get(id);
            let reader = if node.field.is_some() { quoted(&node.name) } else { by.clone() };
            self.by.insert(id, by);
            // An effect asks for what it sends.
            let asked = |read: &NodeId| self.fields.contains(read) && node.beside.contains(read) && !reads(node, *read);
            next.extend(node.inputs().into_iter().filter(|read| !asked(read)).map(|read| (read, reader.clone())));
        }
    }

    /// The cells under a lazy field; what edges bring to them is kept.
    fn under(&mut self, id: NodeId, reached: &mut BTreeSet<NodeId>) {
        if !reached.insert(id) {
            return;
        }
        let node = self.nodes.get(id);
        match &node.source {
            Source::Cell { init: None, .. } => node.inputs().into_iter().for_each(|read| self.under(read, reached)),
            _ => self.need(id, &quoted(&node.name)),
        }
    }
}

/// Whether the expression of a cell reads the node.
fn reads(node: &Node, id: NodeId) -> bool {
    matches!(&node.source, Source::Cell { expr, .. } if expr.inputs().contains(&id.input()))
}
