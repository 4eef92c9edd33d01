//! The invariants of a plan, asserted for every plan that is made.
//!
//! - INV-PLAN-LEVELS: every edge goes from a lower level to a higher one; a lookup's or a join's index stands between.
//! - INV-PLAN-CELLS: a cell reads slots of its own row that are there and, but for its own in a self-reference, computed before it.
//! - INV-PLAN-SLOTS: every slot's source names that slot; columns live in the home region, values are carried from lower regions of the same table.
//! - INV-LAZY: what waits to be asked is read by nothing but cells of its region that wait as well.

use thalweg_formulas::Type;

use crate::plan::{CellKind, Part, Plan, Region, RegionId, Session, SlotId, SlotSource};

/// Panics, naming the invariant, if the plan is wrong.
pub(super) fn assert_holds(plan: &Plan) {
    if let Err(broken) = check(plan) {
        panic!("{broken}");
    }
}

/// The first invariant that does not hold.
fn check(plan: &Plan) -> Result<(), String> {
    levels(plan)?;
    for (ix, region) in plan.regions.iter().enumerate() {
        cells(ix, region)?;
        (0..region.slots.len()).try_for_each(|slot| slot_source(plan, RegionId(ix as u32), SlotId(slot as u32)))?;
    }
    lazy(plan)?;
    tables(plan)
}

fn require(holds: bool, broken: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(broken()) }
}

/// Whether there is no part, or one for each of `columns`, the first of which stands for itself.
fn whole(parts: &[Part], columns: usize) -> bool {
    parts.is_empty() || parts.len() == columns && !matches!(parts[0], Part::Later(_))
}

fn levels(plan: &Plan) -> Result<(), String> {
    let level = |region: RegionId| plan.regions[region.0 as usize].level;
    require(plan.regions.is_sorted_by_key(|region| region.level), || "INV-PLAN-LEVELS: regions are ordered by level".into())?;
    for (ix, group) in plan.groups.iter().enumerate() {
        let keys = group.parent_key.len() == group.key_types.len() && whole(&group.parts, group.parent_key.len());
        let keys = keys && group.second.is_some() >= group.agg.is_of_pairs();
        require(level(group.from) < level(group.to) && keys, || format!("INV-PLAN-LEVELS: group edge {ix} goes up"))?;
    }
    for (ix, membership) in plan.memberships.iter().enumerate() {
        let (from, to) = (level(membership.from), level(membership.to));
        let keys = membership.key.len() == membership.key_types.len() && whole(&membership.parts, membership.key.len());
        let up = membership.closure.map_or(from < to, |paths| from < paths && paths < to && membership.key.len() == 2);
        require(up && keys, || format!("INV-PLAN-LEVELS: membership edge {ix} goes up"))?;
    }
    for closing in plan.memberships.iter().filter_map(|edge| Some((edge.closing?, edge))) {
        let (closing, edge) = closing;
        let watermark = plan.watermarks.get(closing.watermark as usize);
        let up = watermark.is_some_and(|watermark| level(watermark.from) < level(edge.to));
        let ends = closing.end.is_none_or(|end| edge.key_types.get(end as usize) == Some(&Type::Timestamp));
        require(up && ends, || "INV-PLAN-LEVELS: a watermark goes up to windows that have an end".into())?;
    }
    for (ix, session) in plan.sessions.iter().enumerate() {
        let up = level(session.from) < session.level && session.level < level(session.into);
        let same_table = plan.regions[session.from.0 as usize].table == plan.regions[session.into.0 as usize].table;
        require(up && same_table && session.key.len() == session.key_types.len(), || {
            format!("INV-PLAN-LEVELS: session edge {ix} goes up, and comes back to its table")
        })?;
        let watermark = session.ending.as_ref().map(|ending| plan.watermarks[ending.watermark as usize].from);
        require(watermark.is_none_or(|from| level(from) < session.level), || {
            format!("INV-PLAN-LEVELS: the watermark of session edge {ix} stands below it")
        })?;
    }
    for (ix, join) in plan.joins.iter().enumerate() {
        let below = join.sides.iter().all(|side| level(side.from) < join.level && side.on.len() == join.on_types.len());
        require(below && join.level < level(join.to), || format!("INV-PLAN-LEVELS: join edge {ix} goes up"))?;
    }
    for (ix, edge) in plan.nearest.iter().enumerate() {
        let up = level(edge.from).max(level(edge.of)) < edge.level && edge.level < level(edge.into);
        let paired = edge.near.len() == edge.types.len() && edge.line.len() == edge.types.len();
        require(up && paired, || format!("INV-PLAN-LEVELS: as-of edge {ix} goes up"))?;
    }
    for (ix, lookup) in plan.lookups.iter().enumerate() {
        let below = level(lookup.from).max(level(lookup.to));
        let up = below < lookup.level && lookup.level < level(lookup.into);
        let same_table = plan.regions[lookup.from.0 as usize].table == plan.regions[lookup.into.0 as usize].table;
        let paired = lookup.values.len() == lookup.slots.len() && lookup.via.len() == lookup.key_types.len();
        require(up && same_table && paired, || {
            format!("INV-PLAN-LEVELS: lookup edge {ix} goes up, and comes back to its table")
        })?;
    }
    Ok(())
}

fn cells(ix: usize, region: &Region) -> Result<(), String> {
    let mut computed: Vec<bool> = region.slots.iter().map(|slot| !matches!(slot.source, SlotSource::Cell(_))).collect();
    for cell in &region.cells {
        let broken = || format!("INV-PLAN-CELLS: region {ix}, cell at slot {}", cell.slot.0);
        for input in cell.expr.inputs() {
            let itself = input.0 == cell.slot.0 && matches!(cell.kind, CellKind::SelfReference { .. });
            require(itself || computed.get(input.0 as usize) == Some(&true), broken)?;
        }
        let slot = computed.get_mut(cell.slot.0 as usize).ok_or_else(broken)?;
        *slot = true;
    }
    require(computed.iter().all(|computed| *computed), || format!("INV-PLAN-CELLS: region {ix} computes all of its slots"))
}

fn lazy(plan: &Plan) -> Result<(), String> {
    let waits = |region: RegionId, slot: SlotId| {
        let cells = &plan.regions[region.0 as usize].cells;
        cells.iter().any(|cell| cell.slot == slot && cell.waits)
    };
    if plan.regions.iter().all(|region| region.cells.iter().all(|cell| !cell.waits)) {
        return Ok(());
    }
    let ids = |count: usize| (0..count as u32).map(RegionId);
    let of_cells = ids(plan.regions.len()).flat_map(|id| {
        let kept = plan.regions[id.0 as usize].cells.iter().filter(|cell| !cell.waits);
        kept.flat_map(move |cell| cell.expr.inputs().into_iter().map(move |input| (id, SlotId(input.0))))
    });
    let carried = plan.regions.iter().flat_map(|region| &region.slots).filter_map(|slot| match slot.source {
        SlotSource::Carried(from, slot) => Some((from, slot)),
        _ => None,
    });
    let groups = plan.groups.iter().flat_map(|edge| {
        let slots = edge.parent_key.iter().chain(&edge.second).chain([&edge.contribution]);
        slots.map(|slot| (edge.from, *slot))
    });
    let looked = plan.lookups.iter().flat_map(|edge| edge.values.iter().map(|slot| (edge.to, *slot)));
    let via = plan.lookups.iter().flat_map(|edge| edge.via.iter().map(|slot| (edge.from, *slot)));
    let members = plan.memberships.iter().flat_map(|edge| edge.key.iter().map(|slot| (edge.from, *slot)));
    let near = plan.nearest.iter().flat_map(|edge| edge.near.iter().map(|slot| (edge.from, *slot)));
    let line = plan.nearest.iter().flat_map(|edge| edge.line.iter().map(|slot| (edge.of, *slot)));
    let sessions = plan.sessions.iter().flat_map(|edge| edge.key.iter().chain([&edge.on]).map(|slot| (edge.from, *slot)));
    let times = plan.watermarks.iter().map(|watermark| (watermark.from, watermark.on));
    let conditions = plan.effects.iter().map(|effect| (effect.region, effect.when));
    let joined = plan.joins.iter().flat_map(|join| join.reads());
    let read = of_cells.chain(carried).chain(groups).chain(looked).chain(via).chain(members).chain(near).chain(line);
    let mut read = read.chain(sessions).chain(times).chain(conditions).chain(joined);
    match read.find(|(region, slot)| waits(*region, *slot)) {
        Some((region, slot)) => Err(format!("INV-LAZY: region {}, slot {} waits and is read", region.0, slot.0)),
        None => Ok(()),
    }
}

fn slot_source(plan: &Plan, at: RegionId, slot: SlotId) -> Result<(), String> {
    let region = &plan.regions[at.0 as usize];
    let home = plan.tables[region.table.0 as usize].home;
    let holds = match &region.slots[slot.0 as usize].source {
        SlotSource::Column(column) => {
            home == Some(at) && (column.0 as usize) < plan.tables[region.table.0 as usize].columns.len()
        }
        SlotSource::Carried(from, lower) => {
            let below = &plan.regions[from.0 as usize];
            below.table == region.table && below.level < region.level && (lower.0 as usize) < below.slots.len()
        }
        SlotSource::Aggregate(group) => plan.groups.get(group.0 as usize).is_some_and(|edge| edge.to == at && edge.slot == slot),
        SlotSource::Session(session) => {
            let is_told = |edge: &Session| edge.slot == slot || edge.ending.as_ref().is_some_and(|ending| ending.late == slot);
            plan.sessions.get(session.0 as usize).is_some_and(|edge| edge.into == at && is_told(edge))
        }
        SlotSource::Nearest(edge, position) => {
            let edge = plan.nearest.get(edge.0 as usize);
            edge.is_some_and(|edge| edge.into == at && edge.slots.get(*position as usize).is_some_and(|(_, of)| *of == slot))
        }
        SlotSource::Looked(lookup, position) => plan
            .lookups
            .get(lookup.0 as usize)
            .is_some_and(|edge| edge.into == at && edge.slots.get(*position as usize) == Some(&slot)),
        SlotSource::Cell(cell) => region.cells.get(*cell as usize).is_some_and(|cell| cell.slot == slot),
    };
    require(holds, || format!("INV-PLAN-SLOTS: region {}, slot {}", at.0, slot.0))
}

fn tables(plan: &Plan) -> Result<(), String> {
    for (ix, table) in plan.tables.iter().enumerate() {
        let mut of_table = (0..).zip(&plan.regions).filter(|(_, region)| region.table.0 as usize == ix);
        let lowest = of_table.next().map(|(region, _)| RegionId(region));
        require(table.home == lowest, || format!("INV-PLAN-SLOTS: the home of table {ix} is its lowest region"))?;
    }
    Ok(())
}
