//! The nodes of a plan with their edges, in a fixed order: what every drawing shows.

use std::collections::BTreeMap;

use super::figures::{Figures, Sheet};
use crate::plan::{Cancel, Maintenance, Plan, Reaction, ReactionInput, RegionId, SlotId, SlotSource, Trigger};
use crate::planning::{NEAREST, kept_aggregate};

/// How the pairs of a closure are kept, and what a link costs.
pub(super) const PATHS: &str =
    "recursion: a link that comes or goes costs the starts that reach it, and for each the places whose shortest way changes";

/// What a node is to a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    State,
    Derived,
    Effect,
    Reaction,
    /// A key column of a derived table.
    Key,
    Hidden,
}

impl Kind {
    pub(super) fn name(self) -> &'static str {
        match self {
            Kind::State => "state",
            Kind::Derived | Kind::Key => "derived",
            Kind::Effect => "effect",
            Kind::Reaction => "reaction",
            Kind::Hidden => "hidden",
        }
    }
}

/// One node.
pub(super) struct Node {
    /// As [`Plan::node_id`] gives it.
    pub(super) id: String,
    /// The name of its slots.
    name: String,
    pub(super) kind: Kind,
    /// The document type.
    pub(super) table: String,
    pub(super) ty: String,
    /// 1: computed within a region, child aggregates included. 2: brought by an edge between documents.
    pub(super) tier: u8,
    /// The regions that hold it, its own first.
    pub(super) regions: Vec<u32>,
    pub(super) maintenance: Option<Maintenance>,
    /// Ids of the nodes that it reads.
    pub(super) reads: Vec<String>,
}

impl Node {
    /// What it holds and has cost.
    pub(super) fn figures(&self, sheet: &Sheet<'_>) -> Figures {
        sheet.of(&self.id, &self.name, &self.regions)
    }
}

/// All nodes: those of the regions, level by level, then reactions.
pub(super) fn nodes(plan: &Plan) -> Vec<Node> {
    let mut places: BTreeMap<(RegionId, SlotId), Vec<u32>> = BTreeMap::new();
    for (region, slot) in slots(plan) {
        places.entry(plan.origin(region, slot)).or_default().push(region.0);
    }
    let own = slots(plan).filter(|at| plan.origin(at.0, at.1) == *at);
    let mut nodes: Vec<Node> = own.map(|(region, slot)| slot_node(plan, region, slot, &places[&(region, slot)])).collect();
    for (ix, reaction) in plan.reactions.iter().enumerate() {
        if plan.reactions[..ix].iter().all(|other| other.name != reaction.name) {
            nodes.push(reaction_node(plan, reaction));
        }
    }
    nodes
}

fn slots(plan: &Plan) -> impl Iterator<Item = (RegionId, SlotId)> + '_ {
    let numbered = (0u32..).zip(&plan.regions);
    numbered.flat_map(|(ix, region)| (0..region.slots.len() as u32).map(move |slot| (RegionId(ix), SlotId(slot))))
}

fn slot_node(plan: &Plan, region: RegionId, slot: SlotId, regions: &[u32]) -> Node {
    let place = &plan.regions[region.0 as usize];
    let found = &place.slots[slot.0 as usize];
    let kept_by = plan.tables[place.table.0 as usize].kept_by.map(|edge| &plan.memberships[edge.0 as usize]);
    let paired_by = plan.tables[place.table.0 as usize].paired_by.map(|join| &plan.joins[join.0 as usize]);
    let (kind, tier, maintenance, reads) = match found.source {
        SlotSource::Column(_) if let Some(join) = paired_by => {
            let kept = Maintenance::Incremental("a row that comes or goes costs the rows of the other side that it meets".into());
            (Kind::Key, 2, Some(kept), join.reads())
        }
        SlotSource::Column(column) if let Some(edge) = kept_by => {
            let (tier, kept, read) = match edge.closure {
                Some(_) => (3, PATHS, edge.key.as_slice()),
                None => {
                    let kept = "rows in a document are counted, one step for each that comes or goes";
                    (2, kept, std::slice::from_ref(&edge.key[column.0 as usize]))
                }
            };
            let kept = Maintenance::Incremental(kept.into());
            (Kind::Key, tier, Some(kept), read.iter().map(|slot| (edge.from, *slot)).collect())
        }
        SlotSource::Column(_) | SlotSource::Carried(..) => (Kind::State, 1, None, Vec::new()),
        SlotSource::Aggregate(group) => {
            let group = &plan.groups[group.0 as usize];
            let reads = std::iter::once(&group.contribution).chain(&group.second).chain(&group.parent_key);
            let reads = reads.map(|slot| (group.from, *slot));
            let tier = if group.parent_key.is_empty() || kept_by.is_some() { 2 } else { 1 };
            (Kind::Hidden, tier, Some(Maintenance::Incremental(kept_aggregate(&group.agg))), reads.collect())
        }
        SlotSource::Session(session) => {
            let session = &plan.sessions[session.0 as usize];
            let reads = session.key.iter().chain([&session.on]).map(|slot| (session.from, *slot));
            let why = "rows stand in the order of their times, O(log n) for each that comes or goes; one step for each row whose session has another start";
            (Kind::Hidden, 2, Some(Maintenance::Incremental(why.into())), reads.collect())
        }
        SlotSource::Nearest(edge, _) => {
            let edge = &plan.nearest[edge.0 as usize];
            let reads = edge.near.iter().map(|slot| (edge.from, *slot)).chain(edge.line.iter().map(|slot| (edge.of, *slot)));
            (Kind::Hidden, 2, Some(Maintenance::Incremental(NEAREST.into())), reads.collect())
        }
        SlotSource::Looked(lookup, position) => {
            let lookup = &plan.lookups[lookup.0 as usize];
            let reads = lookup.via.iter().map(|slot| (lookup.from, *slot));
            let value = (lookup.to, lookup.values[position as usize]);
            let kept = Maintenance::Incremental("one step for each row that refers to a changed document".into());
            (Kind::Hidden, 2, Some(kept), reads.chain([value]).collect())
        }
        SlotSource::Cell(cell) => {
            let cell = &place.cells[cell as usize];
            let reads = cell.expr.inputs().into_iter().map(|input| (region, SlotId(input.0))).collect();
            let effect = plan.effects.iter().any(|effect| (effect.region, effect.when) == (region, slot));
            let own_row = || Maintenance::Incremental("a function of its own row".into());
            match cell.field {
                Some(field) => (Kind::Derived, 1, Some(plan.fields[field.0 as usize].maintenance.clone()), reads),
                None if cell.waits => (Kind::Hidden, 1, Some(own_row().when_asked()), reads),
                None if effect => (Kind::Effect, 1, Some(own_row()), reads),
                None => (Kind::Hidden, 1, Some(own_row()), reads),
            }
        }
    };
    let mut read_ids: Vec<String> = Vec::new();
    for id in reads.into_iter().map(|(region, slot)| plan.node_id(region, slot)) {
        if !read_ids.contains(&id) {
            read_ids.push(id);
        }
    }
    Node {
        id: plan.node_id(region, slot),
        name: found.name.to_string(),
        kind,
        table: plan.tables[place.table.0 as usize].name.to_string(),
        ty: found.ty.to_string(),
        tier,
        regions: regions.to_vec(),
        maintenance,
        reads: read_ids,
    }
}

/// One node for all reactions of a rule.
fn reaction_node(plan: &Plan, reaction: &Reaction) -> Node {
    let rule: Vec<&Reaction> = plan.reactions.iter().filter(|other| other.name == reaction.name).collect();
    let mut reads: Vec<String> = Vec::new();
    for input in rule.iter().flat_map(|reaction| reaction.inputs.iter().map(|input| input_id(plan, reaction, input))) {
        if let Some(id) = input.filter(|id| !reads.contains(id)) {
            reads.push(id);
        }
    }
    let mut tables: Vec<&str> = rule.iter().map(|reaction| &*plan.tables[reaction.table.0 as usize].name).collect();
    tables.dedup();
    let home = plan.tables[reaction.table.0 as usize].home;
    Node {
        id: reaction.name.to_string(),
        name: reaction.name.to_string(),
        kind: Kind::Reaction,
        table: tables.join(", "),
        ty: "bool".into(),
        tier: 1,
        regions: home.iter().map(|region| region.0).collect(),
        maintenance: Some(Maintenance::Incremental("judged once for each changed row".into())),
        reads,
    }
}

fn input_id(plan: &Plan, reaction: &Reaction, input: &ReactionInput) -> Option<String> {
    let table = &plan.tables[reaction.table.0 as usize];
    match input {
        ReactionInput::Old(column) | ReactionInput::New(column) | ReactionInput::Bare(column) => {
            Some(format!("{}.{}", table.name, table.columns[column.0 as usize].name))
        }
        ReactionInput::OldRow | ReactionInput::NewRow | ReactionInput::BareRow => Some(table.name.to_string()),
        ReactionInput::EventName | ReactionInput::TxOrigin | ReactionInput::Now => None,
    }
}

/// `insert of Order`, `a timer of Order`.
pub(super) fn raised_by(plan: &Plan, reaction: &Reaction) -> String {
    let table = &plan.tables[reaction.table.0 as usize].name;
    match reaction.trigger {
        Trigger::Insert => format!("insert of {table}"),
        Trigger::Update => format!("update of {table}"),
        Trigger::Delete => format!("delete of {table}"),
        Trigger::Timer => format!("a timer of {table}"),
    }
}

/// `update of Order where …`, `the timer x of Order`.
pub(super) fn cancelled_by(plan: &Plan, cancel: &Cancel) -> String {
    let table = &plan.tables[cancel.table.0 as usize].name;
    let trigger = match (cancel.trigger, &cancel.event) {
        (Trigger::Insert, _) => format!("insert of {table}"),
        (Trigger::Update, _) => format!("update of {table}"),
        (Trigger::Delete, _) => format!("delete of {table}"),
        (Trigger::Timer, event) => format!("the event {} of {table}", event.as_deref().unwrap_or_default()),
    };
    match &cancel.condition {
        Some(_) => format!("{trigger} where its condition holds"),
        None => trigger,
    }
}

/// `incremental` or `recomputed`, and why.
pub(super) fn kept(maintenance: &Maintenance) -> (&'static str, &str) {
    match maintenance {
        Maintenance::Incremental(why) => ("incremental", why),
        Maintenance::Recomputed(why) => ("recomputed", why),
    }
}
