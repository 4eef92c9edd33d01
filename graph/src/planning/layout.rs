//! From nodes to the plan: regions with their slots and cells, and the edges between them.
//!
//! Every table has a home region, its lowest, where its columns live; a row exists in every region of its table. A value that
//! a region needs from a lower region of its table is carried there. All that an edge reads of one row is read in one region:
//! the highest of those that its nodes live in.

use std::collections::{BTreeMap, BTreeSet};

use thalweg_formulas::{ExprKind, InputId, Type};

use super::clocked;
use super::common;
use super::derived::GroupDef;
use super::effects::EffectDef;
use super::joins::equal_type;
use super::lazy::Lazy;
use super::levels::Levels;
use super::maintenance::maintenance;
use super::nodes::{NodeId, SELF, Source};
use super::rewrite::map_inputs;
use super::timing;
use super::world::{FieldDef, World};
use crate::plan::{
    Cancel, Cell, CellKind, Clocked, Closing, ClosingKind, ColumnId, Effect, Field, FieldId, Group, GroupId, Join, JoinId,
    JoinSide, Laziness, Lookup, LookupId, Maintenance, Membership, MembershipId, Nearest, NearestId, Plan, Published, Reaction,
    Region, RegionId, Schedule, Session, SessionEnding, SessionId, Slot, SlotId, SlotSource, Table, TableId, Watermark,
};
use crate::spec::GraphSpec;

/// What is judged on changes and times, beside regions and edges; tables are those of the catalogue.
pub(super) struct Later {
    pub(super) reactions: Vec<Reaction>,
    pub(super) cancels: Vec<Cancel>,
    pub(super) schedules: Vec<Schedule>,
}

/// The plan of an accepted definition.
pub(super) fn plan(mut world: World, spec: &GraphSpec, effects: &[EffectDef], later: Later) -> Plan {
    let roots = world.fields.iter().filter_map(|field| field.node).chain(effects.iter().map(|effect| effect.when));
    let roots = roots.chain(world.kept.iter().copied());
    let is_key = |source: &Source| matches!(source, Source::Key { .. } | Source::Pair { .. });
    let keys = world.nodes.ids().filter(|id| is_key(&world.nodes.get(*id).source));
    let lazy = Lazy::find(&world, effects);
    let levels = Levels::place(&world.nodes, roots.chain(keys).collect::<Vec<_>>(), &lazy);
    let tables = Tables::of(&world, &levels);
    let mut layout = Layout::new(&mut world, &levels, &tables, lazy);
    layout.carry(&world, effects);
    layout.number_slots(&world);
    let mut plan = Plan::default();
    plan.tables = tables.plan(&world, &layout, &later.reactions);
    plan.regions = layout.regions(&world, &tables);
    plan.groups = layout.groups(&world);
    plan.lookups = layout.lookups(&world, &plan.regions);
    plan.memberships = layout.memberships(&world, &plan.regions);
    plan.sessions = layout.sessions(&world, &plan.regions);
    plan.joins = layout.joins(&world, &plan.regions);
    plan.watermarks = layout.watermarks(&world);
    plan.nearest = layout.nearest(&world, &plan.regions);
    plan.fields = layout.fields(&world, spec, &tables);
    plan.effects = effects.iter().map(|effect| layout.effect(&world, spec, effect, &tables)).collect();
    let Later { mut reactions, mut cancels, mut schedules } = later;
    reactions.iter_mut().for_each(|reaction| reaction.table = tables.id(reaction.table.0 as usize));
    cancels.iter_mut().for_each(|cancel| cancel.table = tables.id(cancel.table.0 as usize));
    schedules.iter_mut().for_each(|schedule| schedule.table = tables.id(schedule.table.0 as usize));
    plan.clocked = layout.clocked(&world, &tables, &mut schedules);
    (plan.reactions, plan.cancels, plan.schedules) = (reactions, cancels, schedules);
    plan
}

/// The tables of the plan: all of the catalogue, the global one only if it holds something.
struct Tables {
    ids: Vec<Option<TableId>>,
}

impl Tables {
    fn of(world: &World, levels: &Levels) -> Tables {
        let mut next = 0;
        let used = |ix: usize, name: &str| !name.is_empty() || levels.regions.keys().any(|(_, table)| *table == ix);
        let tables = world.catalogue.tables.iter().enumerate();
        let ids = tables.map(|(ix, def)| {
            used(ix, &def.name).then(|| {
                next += 1;
                TableId(next - 1)
            })
        });
        Tables { ids: ids.collect() }
    }

    fn id(&self, table: usize) -> TableId {
        self.ids[table].expect("invariant: a table that holds something is in the plan")
    }

    fn plan(&self, world: &World, layout: &Layout, reactions: &[Reaction]) -> Vec<Table> {
        let tables = world.catalogue.tables.iter().enumerate().filter(|(ix, _)| self.ids[*ix].is_some());
        let columns = |ids: &Vec<usize>| ids.iter().map(|column| ColumnId(*column as u32)).collect();
        tables
            .map(|(ix, def)| Table {
                name: def.name.clone(),
                from: def.from.clone(),
                key: def.key.as_ref().map(columns),
                columns: def.columns.clone(),
                home: Some(layout.home(ix)),
                whole_rows: reactions.iter().any(|reaction| reaction.table.0 as usize == ix),
                kept_by: world.group_of(ix).map(|group| MembershipId(group as u32)),
                paired_by: world.join_of(ix).map(|join| JoinId(join as u32)),
            })
            .collect()
    }
}

/// A lookup edge before its slots are numbered: from where, by what, at which document's region, into where.
type LookupEdge = (RegionId, Vec<NodeId>, RegionId, RegionId);

/// An as-of edge before its slots are numbered: from where, by what, of which region, by what there, into where.
type NearestEdge = (RegionId, Vec<NodeId>, RegionId, Vec<NodeId>, RegionId);

/// Regions and what lives in them.
struct Layout {
    /// (level, table) of each region.
    places: Vec<(u32, usize)>,
    /// The nodes of each region, its cells apart.
    members: Vec<BTreeSet<NodeId>>,
    /// The cells of each region, in topological order.
    cells: Vec<Vec<NodeId>>,
    /// The position of each cell in its region.
    cell_of: BTreeMap<NodeId, u32>,
    region_of: BTreeMap<NodeId, RegionId>,
    /// What each region needs from lower regions of its table.
    carried: Vec<BTreeSet<NodeId>>,
    /// The looked-up nodes of each lookup edge.
    lookup_edges: BTreeMap<LookupEdge, Vec<NodeId>>,
    lookup_of: BTreeMap<NodeId, (LookupId, u32)>,
    /// The parts of the key that each as-of edge tells.
    nearest_edges: BTreeMap<NearestEdge, Vec<NodeId>>,
    nearest_of: BTreeMap<NodeId, (NearestId, u32)>,
    /// What waits to be asked.
    lazy: Lazy,
    group_of: BTreeMap<NodeId, GroupId>,
    session_of: BTreeMap<NodeId, SessionId>,
    /// The nodes of each region in slot order.
    slots: Vec<Vec<NodeId>>,
    slot_of: BTreeMap<(RegionId, NodeId), SlotId>,
}

impl Layout {
    /// Lays out regions and shares common sub-expressions in each.
    fn new(world: &mut World, levels: &Levels, tables: &Tables, lazy: Lazy) -> Layout {
        let mut regions = levels.regions.clone();
        for (table, id) in tables.ids.iter().enumerate() {
            if id.is_some() && regions.keys().all(|(_, of)| *of != table) {
                regions.insert((0, table), BTreeSet::new());
            }
        }
        let mut layout = Layout {
            places: regions.keys().copied().collect(),
            members: Vec::new(),
            cells: Vec::new(),
            cell_of: BTreeMap::new(),
            region_of: BTreeMap::new(),
            carried: vec![BTreeSet::new(); regions.len()],
            lookup_edges: BTreeMap::new(),
            lookup_of: BTreeMap::new(),
            nearest_edges: BTreeMap::new(),
            nearest_of: BTreeMap::new(),
            lazy,
            group_of: BTreeMap::new(),
            session_of: BTreeMap::new(),
            slots: Vec::new(),
            slot_of: BTreeMap::new(),
        };
        for (ix, ((_, table), mut members)) in regions.into_iter().enumerate() {
            let cells = common::share(world, table, &mut members, &mut layout.lazy);
            layout.cell_of.extend(cells.iter().copied().zip(0..));
            layout.cells.push(cells);
            layout.region_of.extend(members.iter().map(|id| (*id, RegionId(ix as u32))));
            members.retain(|id| !matches!(world.nodes.get(*id).source, Source::Cell { .. }));
            layout.members.push(members);
        }
        layout
    }

    /// The lowest region of a table.
    fn home(&self, table: usize) -> RegionId {
        let lowest = self.places.iter().position(|(_, of)| *of == table);
        RegionId(lowest.expect("invariant: every table of the plan has a region") as u32)
    }

    /// The region in which all of `ids`, nodes of one table, can be read.
    fn meeting(&self, ids: impl IntoIterator<Item = NodeId>) -> RegionId {
        let highest = ids.into_iter().map(|id| self.region_of[&id]).max();
        highest.expect("invariant: an edge reads something of its row")
    }

    /// The session edge of a node: the start of a session and what tells who missed it are of one.
    fn edge_of(&self, world: &World, id: NodeId) -> SessionId {
        let inputs = |id: NodeId| world.nodes.get(id).inputs();
        let is_other = |other: &NodeId| match (&world.nodes.get(*other).source, &world.nodes.get(id).source) {
            (Source::Session { gap, ending, .. }, Source::Session { gap: own, ending: ends, .. }) => {
                (gap, ending) == (own, ends) && inputs(*other) == inputs(id)
            }
            _ => false,
        };
        let next = SessionId(self.session_of.values().map(|edge| edge.0 + 1).max().unwrap_or(0));
        self.session_of.iter().find(|(other, _)| is_other(other)).map_or(next, |(_, edge)| *edge)
    }

    /// Makes `id` readable in `region`.
    fn need(&mut self, region: RegionId, id: NodeId) {
        if self.region_of[&id] != region {
            self.carried[region.0 as usize].insert(id);
        }
    }

    /// Finds the edges, and what each region must carry for its cells, edges and effects.
    fn carry(&mut self, world: &World, effects: &[EffectDef]) {
        for id in self.region_of.keys().copied().collect::<Vec<_>>() {
            let node = world.nodes.get(id);
            let region = self.region_of[&id];
            match &node.source {
                Source::Column(_) => {}
                Source::Cell { .. } => node.inputs().into_iter().for_each(|input| self.need(region, input)),
                Source::Key { rows, .. } => {
                    let from = self.meeting(rows.iter().copied());
                    rows.iter().for_each(|read| self.need(from, *read));
                }
                Source::Pair { left, right, .. } => {
                    for side in [left, right] {
                        let from = self.meeting(side.iter().copied());
                        side.iter().for_each(|read| self.need(from, *read));
                    }
                }
                Source::Aggregate { .. } => {
                    self.group_of.insert(id, GroupId(self.group_of.len() as u32));
                    let from = self.meeting(node.inputs());
                    node.inputs().into_iter().for_each(|read| self.need(from, read));
                }
                Source::Session { .. } => {
                    let edge = self.edge_of(world, id);
                    self.session_of.insert(id, edge);
                    let from = self.meeting(node.inputs());
                    node.inputs().into_iter().for_each(|read| self.need(from, read));
                }
                Source::Nearest { near, of, .. } => {
                    let (from, line) = (self.meeting(near.iter().copied()), self.meeting(of.iter().copied()));
                    near.iter().for_each(|read| self.need(from, *read));
                    of.iter().for_each(|read| self.need(line, *read));
                    self.nearest_edges.entry((from, near.clone(), line, of.clone(), region)).or_default().push(id);
                }
                Source::Looked { via, value, .. } => {
                    let from = self.meeting(via.iter().chain(&node.beside).copied());
                    via.iter().for_each(|read| self.need(from, *read));
                    let edge = (from, via.clone(), self.region_of[value], region);
                    self.lookup_edges.entry(edge).or_default().push(id);
                }
            }
        }
        for (edge, looked) in self.lookup_edges.values().enumerate() {
            let position = |(position, id): (usize, &NodeId)| (*id, (LookupId(edge as u32), position as u32));
            self.lookup_of.extend(looked.iter().enumerate().map(position));
        }
        for (edge, parts) in self.nearest_edges.values().enumerate() {
            let position = |(position, id): (usize, &NodeId)| (*id, (NearestId(edge as u32), position as u32));
            self.nearest_of.extend(parts.iter().enumerate().map(position));
        }
        for effect in effects {
            let region = self.region_of[&effect.when];
            effect.payload.iter().for_each(|(_, id)| self.need(region, *id));
        }
    }

    /// Slots: columns in table order, then what is carried, aggregates, looked-up values, cells.
    fn number_slots(&mut self, world: &World) {
        for ix in 0..self.places.len() {
            let mut slots: Vec<NodeId> = self.members[ix].iter().copied().chain(self.carried[ix].iter().copied()).collect();
            let region = RegionId(ix as u32);
            slots.sort_by_key(|id| match world.nodes.get(*id).source {
                _ if self.region_of[id] != region => (1, id.0),
                Source::Column(column) | Source::Key { column, .. } | Source::Pair { column, .. } => (0, column as u32),
                Source::Aggregate { .. } => (2, id.0),
                Source::Nearest { .. } | Source::Looked { .. } | Source::Session { .. } | Source::Cell { .. } => (3, id.0),
            });
            slots.extend(&self.cells[ix]);
            let numbered = slots.iter().enumerate().map(|(slot, id)| ((region, *id), SlotId(slot as u32)));
            self.slot_of.extend(numbered);
            self.slots.push(slots);
        }
    }

    fn slot(&self, region: RegionId, id: NodeId) -> SlotId {
        self.slot_of[&(region, id)]
    }

    fn regions(&self, world: &World, tables: &Tables) -> Vec<Region> {
        let regions = self.places.iter().enumerate().map(|(ix, (level, table))| {
            let region = RegionId(ix as u32);
            Region {
                table: tables.id(*table),
                level: *level,
                slots: self.slots[ix].iter().map(|id| self.plan_slot(world, region, *id)).collect(),
                cells: self.cells[ix].iter().map(|id| self.plan_cell(world, region, *id)).collect(),
            }
        });
        regions.collect()
    }

    fn plan_slot(&self, world: &World, region: RegionId, id: NodeId) -> Slot {
        let node = world.nodes.get(id);
        let lives = self.region_of[&id];
        let source = match &node.source {
            _ if lives != region => SlotSource::Carried(lives, self.slot(lives, id)),
            Source::Column(column) | Source::Key { column, .. } | Source::Pair { column, .. } => {
                SlotSource::Column(ColumnId(*column as u32))
            }
            Source::Aggregate { .. } => SlotSource::Aggregate(self.group_of[&id]),
            Source::Nearest { .. } => SlotSource::Nearest(self.nearest_of[&id].0, self.nearest_of[&id].1),
            Source::Looked { .. } => SlotSource::Looked(self.lookup_of[&id].0, self.lookup_of[&id].1),
            Source::Session { .. } => SlotSource::Session(self.session_of[&id]),
            Source::Cell { .. } => SlotSource::Cell(self.cell_of[&id]),
        };
        Slot { name: node.name.clone(), ty: node.ty.clone(), source }
    }

    fn plan_cell(&self, world: &World, region: RegionId, id: NodeId) -> Cell {
        let node = world.nodes.get(id);
        let Source::Cell { expr, init } = &node.source else { unreachable!("invariant: only cells are listed as cells") };
        let slot = self.slot(region, id);
        let expr = map_inputs(expr, &|input, _| match NodeId::of(input) {
            Some(read) => ExprKind::Input(InputId(self.slot(region, read).0)),
            None => ExprKind::Input(InputId(slot.0)),
        });
        debug_assert!(!expr.inputs().contains(&SELF));
        let kind = init.clone().map_or(CellKind::Formula, |init| CellKind::SelfReference { init });
        Cell { slot, expr, kind, waits: self.lazy.waits(id), field: node.field.map(|field| FieldId(field as u32)) }
    }

    fn groups(&self, world: &World) -> Vec<Group> {
        let groups = self.group_of.keys().map(|id| {
            let node = world.nodes.get(*id);
            let Source::Aggregate { agg, contribution, second, parent_key, parts, .. } = &node.source else {
                unreachable!("invariant: only aggregates have group edges")
            };
            let from = self.meeting(node.inputs());
            let to = self.region_of[id];
            Group {
                agg: agg.clone(),
                from,
                contribution: self.slot(from, *contribution),
                second: second.map(|second| self.slot(from, second)),
                parent_key: parent_key.iter().map(|key| self.slot(from, *key)).collect(),
                parts: parts.clone(),
                key_types: world.catalogue.tables[node.table].key_types(parent_key.len()),
                to,
                slot: self.slot(to, *id),
            }
        });
        groups.collect()
    }

    fn memberships(&self, world: &World, regions: &[Region]) -> Vec<Membership> {
        let memberships = world.groups.iter().enumerate().map(|(at, group)| {
            let key = group.key.as_ref().expect("invariant: every derived table of an accepted definition has its key");
            let from = self.meeting(group.rows());
            Membership {
                from,
                key: key.iter().map(|node| self.slot(from, *node)).collect(),
                parts: group.parts.clone(),
                closing: closing(world, at),
                closure: group.closure.then(|| regions[from.0 as usize].level + 1),
                key_types: world.catalogue.tables[group.table].key_types(key.len()),
                to: self.home(group.table),
            }
        });
        memberships.collect()
    }

    fn watermarks(&self, world: &World) -> Vec<Watermark> {
        let ends = world.groups.iter().filter(|group| group.late_for.is_none());
        let ends = ends.filter_map(|group| Some((group, group.ending?, group.watched?)));
        let watermarks = ends.map(|(group, ending, watched)| {
            // A session edge hears of times before it tells rows.
            let edge = group.missed.map(|missed| world.nodes.get(missed).inputs());
            let from = self.meeting(edge.unwrap_or_else(|| group.rows()));
            Watermark { from, on: self.slot(from, watched), lateness: ending.lateness }
        });
        watermarks.collect()
    }

    fn sessions(&self, world: &World, regions: &[Region]) -> Vec<Session> {
        // The node of late rows comes second.
        let starts: BTreeMap<SessionId, NodeId> = self.session_of.iter().rev().map(|(id, edge)| (*edge, *id)).collect();
        let sessions = starts.values().map(|id| {
            let node = world.nodes.get(*id);
            let Source::Session { by, on, gap, ending, .. } = &node.source else {
                unreachable!("invariant: only sessions have session edges")
            };
            let (from, into) = (self.meeting(node.inputs()), self.region_of[id]);
            let ending = ending.map(|ending| self.session_ending(world, *id, into, ending.early));
            Session {
                from,
                key: by.iter().map(|node| self.slot(from, *node)).collect(),
                key_types: by.iter().map(|node| world.nodes.get(*node).ty.clone()).collect(),
                on: self.slot(from, *on),
                gap: *gap,
                level: regions[from.0 as usize].level + 1,
                into,
                slot: self.slot(into, *id),
                ending,
            }
        });
        sessions.collect()
    }

    /// How the sessions end whose start a node holds.
    fn session_ending(&self, world: &World, start: NodeId, into: RegionId, early: bool) -> SessionEnding {
        let groups = || (0..).zip(&world.groups);
        let of_start =
            |group: &GroupDef| group.late_for.is_none() && group.key.as_ref().and_then(|key| key.last()) == Some(&start);
        let (first, missed) = groups()
            .find_map(|(at, group)| Some((at, group.missed.filter(|_| of_start(group))?)))
            .expect("invariant: sessions that end are documents");
        SessionEnding {
            watermark: watermark_of(world, first),
            early,
            late: self.slot(into, missed),
            closes: groups().filter(|(_, group)| of_start(group)).map(|(at, _)| MembershipId(at as u32)).collect(),
        }
    }

    fn joins(&self, world: &World, regions: &[Region]) -> Vec<Join> {
        let joins = world.joins.iter().map(|join| {
            let met = join.met.as_ref().expect("invariant: every join of an accepted definition has its nodes");
            let sides = [0, 1].map(|side| {
                let from = self.meeting(met.shown(side));
                let slots = |nodes: &[NodeId]| nodes.iter().map(|node| self.slot(from, *node)).collect();
                JoinSide {
                    name: join.names[side].as_str().into(),
                    from,
                    on: slots(&met.on[side]),
                    given: slots(&met.given[side]),
                }
            });
            let level = sides.iter().map(|side| regions[side.from.0 as usize].level + 1).max().unwrap_or(0);
            let to = self.home(join.table);
            Join { sides, on_types: met.types.clone(), condition: met.condition.clone(), level, to }
        });
        joins.collect()
    }

    fn nearest(&self, world: &World, regions: &[Region]) -> Vec<Nearest> {
        let level = |region: RegionId| regions[region.0 as usize].level;
        let edges = self.nearest_edges.iter().map(|((from, near, of, line, into), parts)| {
            let ty = |id: &NodeId| &world.nodes.get(*id).ty;
            let slots = |region: RegionId, ids: &[NodeId]| ids.iter().map(|id| self.slot(region, *id)).collect();
            let shown = |id: &NodeId| match &world.nodes.get(*id).source {
                Source::Nearest { at, .. } => (*at as u32, self.slot(*into, *id)),
                _ => unreachable!("invariant: only parts of keys have as-of edges"),
            };
            Nearest {
                from: *from,
                near: slots(*from, near),
                of: *of,
                line: slots(*of, line),
                // Derived columns whose types do not fit are never equal.
                types: near.iter().zip(line).map(|(a, b)| equal_type(ty(a), ty(b)).unwrap_or(Type::Dyn)).collect(),
                level: level(*from).max(level(*of)) + 1,
                into: *into,
                slots: parts.iter().map(shown).collect(),
            }
        });
        edges.collect()
    }

    fn lookups(&self, world: &World, regions: &[Region]) -> Vec<Lookup> {
        let level = |region: RegionId| regions[region.0 as usize].level;
        let lookups = self.lookup_edges.iter().map(|((from, via, to, into), looked)| {
            let value = |id: &NodeId| match &world.nodes.get(*id).source {
                Source::Looked { value, .. } => self.slot(*to, *value),
                _ => unreachable!("invariant: only looked-up nodes have lookup edges"),
            };
            Lookup {
                from: *from,
                via: via.iter().map(|id| self.slot(*from, *id)).collect(),
                key_types: world.catalogue.tables[self.places[to.0 as usize].1].key_types(via.len()),
                to: *to,
                values: looked.iter().map(value).collect(),
                level: level(*from).max(level(*to)) + 1,
                into: *into,
                slots: looked.iter().map(|id| self.slot(*into, *id)).collect(),
            }
        });
        lookups.collect()
    }

    fn fields(&self, world: &World, spec: &GraphSpec, tables: &Tables) -> Vec<Field> {
        let fields = world.fields.iter().map(|def| {
            let node = def.node.expect("invariant: every field of an accepted definition has its node");
            let region = self.region_of[&node];
            Field {
                name: def.name.clone(),
                table: tables.id(def.table),
                formula: spec.fields[def.spec].formula.as_str().into(),
                ty: def.ty.clone(),
                region,
                slot: self.slot(region, node),
                reads: def.reads.clone(),
                maintenance: self.maintenance(world, spec, def, node),
                published: def.computed.map(|computed| Published {
                    when: timing::words(&spec.fields[def.spec]).into(),
                    computed: self.slot(region, computed),
                }),
                lazy: def.lazy.then(|| self.lazy.kept_for(node).cloned().map_or(Laziness::Waits, Laziness::Kept)),
            }
        });
        fields.collect()
    }

    /// How a field is kept, and when it is published or computed.
    fn maintenance(&self, world: &World, spec: &GraphSpec, def: &FieldDef, node: NodeId) -> Maintenance {
        let kept = maintenance(world, node);
        match self.lazy.kept_for(node) {
            _ if def.computed.is_some() => kept.and(&format!("published {}", timing::words(&spec.fields[def.spec]))),
            _ if self.lazy.waits(node) => kept.when_asked(),
            Some(by) if def.lazy => kept.and(&format!("lazy, but kept for {by}")),
            _ => kept,
        }
    }

    /// The fields that the clock publishes; their schedules join `schedules`.
    fn clocked(&self, world: &World, tables: &Tables, schedules: &mut Vec<Schedule>) -> Vec<Clocked> {
        let clocked = world.fields.iter().filter_map(|def| Some((def, def.clocked.as_ref()?)));
        let clocked = clocked.map(|(def, clocked)| {
            let region = self.region_of[&clocked.waits];
            let by = clocked::opens(&clocked.by, tables.id(def.table), |node| self.slot(region, node), schedules);
            let due_name = format!("{} due", def.name).into();
            Clocked { region, waits: self.slot(region, clocked.waits), by, due_name }
        });
        clocked.collect()
    }

    fn effect(&self, world: &World, spec: &GraphSpec, def: &EffectDef, tables: &Tables) -> Effect {
        let region = self.region_of[&def.when];
        let written = &spec.effects[def.spec];
        debug_assert_eq!(world.nodes.get(def.when).table, def.table);
        Effect {
            name: written.name.as_str().into(),
            table: tables.id(def.table),
            region,
            when: self.slot(region, def.when),
            condition: written.when.as_str().into(),
            payload: def.payload.iter().map(|(name, id)| (name.clone(), self.slot(region, *id))).collect(),
            rearm: def.options.rearm,
            kind: def.options.kind,
            mode: def.options.mode,
            actions: written.actions.clone(),
        }
    }
}

/// How the documents of the group at `at` end, if they do.
fn closing(world: &World, at: usize) -> Option<Closing> {
    let group = &world.groups[at];
    let (ending, windows) = (group.ending?, group.late_for.unwrap_or(at));
    let of_sessions = world.groups[windows].missed.is_some();
    if of_sessions && group.late_for.is_some() {
        return None; // The session edge says which rows are late.
    }
    let watermark = watermark_of(world, windows);
    let end = (!of_sessions).then(|| world.catalogue.tables[world.groups[windows].table].columns.len() as u32 - 1);
    let kind = match (group.late_for, ending.early) {
        (Some(_), _) => ClosingKind::Late,
        (None, true) => ClosingKind::EarlyAndFinal,
        (None, false) => ClosingKind::Final,
    };
    Some(Closing { watermark, end, kind })
}

/// The watermark of the windows of the group at `at`.
fn watermark_of(world: &World, at: usize) -> u32 {
    let with_watermark = |group: &&GroupDef| group.ending.is_some() && group.late_for.is_none();
    world.groups[..at].iter().filter(with_watermark).count() as u32
}
