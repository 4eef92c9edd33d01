//! The ends of a region's edges: what its rows tell rows elsewhere, and what is told to them.

use thalweg_formulas::{Agg, Type};
use thalweg_graph::Plan;
use thalweg_graph::plan::{Part, SlotId};

use crate::state::Kind;

/// An aggregate that ends here.
#[derive(Clone, Debug)]
pub struct GroupIn {
    /// Which aggregate.
    pub agg: Agg,
    /// The type of the values, and that of the second value of each row if there is one.
    pub of: Vec<Type>,
    /// The slot that shows it.
    pub slot: u32,
}

/// A group edge that starts here.
#[derive(Clone, Debug)]
pub struct GroupOut {
    /// The edge.
    pub group: u32,
    /// The parents' region.
    pub to: u32,
    /// What becomes of it there.
    pub agg: Agg,
    /// The slot that holds what is aggregated.
    pub contribution: u32,
    /// It is all that a row gives, and its words are read as its type says.
    pub in_words: bool,
    /// The slot with the second value of each row.
    pub second: Option<u32>,
    /// What a row gives.
    pub gives: Gives,
    /// The slots that hold the parent's key, and its types.
    pub parent: KeySlots,
    /// All slots that the edge reads.
    pub reads: Vec<u32>,
}

/// Group edges that start here and lead to the same parents.
#[derive(Clone, Debug)]
pub struct Family {
    /// The parents' region.
    pub to: u32,
    /// The slot that alone holds the parent's key, a whole number.
    pub key: u32,
    /// The edges: places in [`Layout::groups_out`].
    pub outs: Vec<u32>,
}

/// What a row gives its aggregate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gives {
    /// Its value; NULL is nothing.
    Value,
    /// Its value, also where that is NULL.
    ValueOrNull,
    /// Both of its values.
    Pair,
    /// Its value, what it is ordered by, and its key.
    Place,
}

/// A reference that starts here.
#[derive(Clone, Debug)]
pub struct ReferOut {
    /// The lookup edge.
    pub lookup: u32,
    /// The slots that hold the other document's key, and its types.
    pub via: KeySlots,
    /// The region, on this worker, that receives the values.
    pub into: u32,
    /// The slots there.
    pub slots: Vec<u32>,
}

/// A membership edge that starts here.
#[derive(Clone, Debug)]
pub struct MemberOut {
    /// The edge.
    pub edge: u32,
    /// The slots that hold the derived document's key, and its types.
    pub key: KeySlots,
}

/// A session edge that starts here.
#[derive(Clone, Debug)]
pub struct SessionOut {
    /// The edge.
    pub edge: u32,
    /// The slots that hold the key, and its types.
    pub key: KeySlots,
    /// The slot that holds the time.
    pub on: u32,
}

/// Slots that hold another document's key.
#[derive(Clone, Debug)]
pub struct KeySlots {
    /// The slots, in key order.
    pub slots: Vec<u32>,
    /// How each gives its column, where a row may name several documents; else empty.
    pub parts: Vec<Part>,
    /// The types of the other table's key columns.
    pub types: Vec<Type>,
}

/// One side of a join edge, whose rows are here.
#[derive(Clone, Debug)]
pub struct PairOut {
    /// The join edge.
    pub join: u32,
    /// Which side.
    pub is_right: bool,
    /// What must be equal.
    pub on: KeySlots,
    /// What the condition reads.
    pub given: Vec<u32>,
    /// Every slot of these.
    pub reads: Vec<u32>,
}

/// One end of an as-of edge.
#[derive(Clone, Debug)]
pub struct StandOut {
    /// The as-of edge.
    pub edge: u32,
    /// What must be equal, then the time.
    pub place: KeySlots,
    /// For rows that look: the region and the slots that show whom they see. Without, the rows may be found.
    pub looks: Option<(u32, Vec<u32>)>,
}

impl KeySlots {
    /// Where a row names one document at most.
    fn one(slots: &[SlotId], types: &[Type]) -> KeySlots {
        KeySlots { slots: slots.iter().map(|slot| slot.0).collect(), parts: Vec::new(), types: types.to_vec() }
    }
}

/// The aggregates that end in a region.
pub(super) fn groups_into(plan: &Plan, id: u32) -> Vec<GroupIn> {
    let here = plan.groups.iter().filter(|group| group.to.0 == id);
    here.map(|group| {
        let slots = &plan.regions[group.from.0 as usize].slots;
        let of = std::iter::once(group.contribution).chain(group.second).map(|slot| slots[slot.0 as usize].ty.clone());
        GroupIn { agg: group.agg.clone(), of: of.collect(), slot: group.slot.0 }
    })
    .collect()
}

/// The group edges that start in a region.
pub(super) fn groups_from(plan: &Plan, id: u32) -> Vec<GroupOut> {
    let here = plan.groups.iter().enumerate().filter(|(_, group)| group.from.0 == id);
    here.map(|(at, group)| GroupOut {
        group: at as u32,
        to: group.to.0,
        agg: group.agg.clone(),
        contribution: group.contribution.0,
        second: group.second.map(|slot| slot.0),
        gives: match &group.agg {
            agg if agg.is_ordered() => Gives::Place,
            agg if agg.is_of_pairs() => Gives::Pair,
            agg if agg.counts_nulls() => Gives::ValueOrNull,
            _ => Gives::Value,
        },
        in_words: !group.agg.is_ordered()
            && !group.agg.is_of_pairs()
            && Kind::of_type(&plan.regions[id as usize].slots[group.contribution.0 as usize].ty).is_word(),
        parent: KeySlots {
            slots: group.parent_key.iter().map(|slot| slot.0).collect(),
            parts: group.parts.clone(),
            types: group.key_types.clone(),
        },
        reads: std::iter::once(&group.contribution).chain(&group.second).chain(&group.parent_key).map(|slot| slot.0).collect(),
    })
    .collect()
}

/// The references that start in a region.
pub(super) fn references_from(plan: &Plan, id: u32) -> Vec<ReferOut> {
    let here = plan.lookups.iter().enumerate().filter(|(_, lookup)| lookup.from.0 == id);
    here.map(|(at, lookup)| ReferOut {
        lookup: at as u32,
        via: KeySlots::one(&lookup.via, &lookup.key_types),
        into: lookup.into.0,
        slots: lookup.slots.iter().map(|slot| slot.0).collect(),
    })
    .collect()
}

/// The session edges that start in a region.
pub(super) fn sessions_from(plan: &Plan, id: u32) -> Vec<SessionOut> {
    let here = plan.sessions.iter().enumerate().filter(|(_, edge)| edge.from.0 == id);
    here.map(|(at, edge)| SessionOut { edge: at as u32, key: KeySlots::one(&edge.key, &edge.key_types), on: edge.on.0 }).collect()
}

/// The membership edges that start in a region.
pub(super) fn members_from(plan: &Plan, id: u32) -> Vec<MemberOut> {
    let here = plan.memberships.iter().enumerate().filter(|(_, edge)| edge.from.0 == id);
    here.map(|(at, edge)| MemberOut {
        edge: at as u32,
        key: KeySlots {
            slots: edge.key.iter().map(|slot| slot.0).collect(),
            parts: edge.parts.clone(),
            types: edge.key_types.clone(),
        },
    })
    .collect()
}

/// The sides of join edges whose rows are in a region.
pub(super) fn pairs_from(plan: &Plan, id: u32) -> Vec<PairOut> {
    let sides = plan.joins.iter().enumerate().flat_map(|(at, join)| {
        [false, true].map(|is_right| (at as u32, is_right, &join.sides[usize::from(is_right)], &join.on_types))
    });
    sides
        .filter(|(_, _, side, _)| side.from.0 == id)
        .map(|(join, is_right, side, types)| PairOut {
            join,
            is_right,
            on: KeySlots::one(&side.on, types),
            given: side.given.iter().map(|slot| slot.0).collect(),
            reads: side.on.iter().chain(&side.given).map(|slot| slot.0).collect(),
        })
        .collect()
}

/// The ends of as-of edges whose rows are in a region.
pub(super) fn stands_from(plan: &Plan, id: u32) -> Vec<StandOut> {
    let ends = (0..).zip(&plan.nearest).flat_map(|(at, edge)| {
        let slots = edge.slots.iter().map(|(_, slot)| slot.0).collect();
        let looks = Some((edge.into.0, slots));
        [(at, edge.from, &edge.near, &edge.types, looks), (at, edge.of, &edge.line, &edge.types, None)]
    });
    ends.filter(|end| end.1.0 == id)
        .map(|(edge, _, slots, types, looks)| StandOut { edge, place: KeySlots::one(slots, types), looks })
        .collect()
}

/// The watermarks that rows of a region move: which, and the slot that holds the time.
pub(super) fn times_from(plan: &Plan, id: u32) -> Vec<(u32, u32)> {
    let numbered = (0..).zip(&plan.watermarks);
    numbered.filter(|(_, watermark)| watermark.from.0 == id).map(|(at, watermark)| (at, watermark.on.0)).collect()
}
