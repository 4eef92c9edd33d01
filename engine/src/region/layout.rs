//! A region made ready to run: what each slot is, which cells read it, and who else wants its changes.

use std::collections::HashMap;
use std::sync::Arc;

use thalweg_formulas::Value;
use thalweg_formulas::eval::Program;
use thalweg_graph::Plan;
use thalweg_graph::plan::{
    Cell as PlannedCell, CellKind, ClosingKind, Opens, Rearm, Region as PlannedRegion, RegionId, Slot, SlotId, SlotSource,
    TableId,
};

use super::code::{Assembler, Code, Straight};
use super::ends::{
    Family, GroupIn, GroupOut, MemberOut, PairOut, ReferOut, SessionOut, StandOut, groups_from, groups_into, members_from,
    pairs_from, references_from, sessions_from, stands_from, times_from,
};
use super::families::families;
use super::lazy::LazyCells;
use crate::state::Kind;

/// Who wants to know when a slot changes, beside those who read fields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Consumer {
    /// A slot of a higher region of the same table.
    Carry {
        /// The region.
        region: u32,
        /// The slot there.
        slot: u32,
        /// Both slots' words are read alike, by their type.
        in_words: bool,
    },
    /// A group edge that starts here (place in [`Layout::groups_out`]).
    Group(u32),
    /// A reference that starts here (place in [`Layout::references`]).
    Refer(u32),
    /// A value that a lookup edge shows elsewhere.
    Value {
        /// The lookup edge.
        lookup: u32,
        /// Which of its values.
        position: u32,
    },
    /// A membership edge that starts here (place in [`Layout::members_out`]).
    Member(u32),
    /// A session edge that starts here (place in [`Layout::sessions_out`]).
    Session(u32),
    /// A side of a join edge that starts here (place in [`Layout::pairs_out`]).
    Pair(u32),
    /// A watermark that the slot moves.
    Time(u32),
    /// One end of an as-of edge (place in [`Layout::stands_out`]).
    Stand(u32),
    /// An effect's condition (place in [`Layout::effects`]).
    Effect(u32),
    /// What says when the clock publishes a field (place in [`Layout::clocked`]).
    Clock(u32),
}

/// How a slot that is a user's field is told.
#[derive(Clone, Copy, Debug)]
pub struct Told {
    /// The field's place in the plan.
    pub node: u32,
    /// By words: the slot's type alone says how they are read.
    pub in_words: bool,
}

/// One cell, ready to run: what the loop needs, and no more.
#[derive(Clone, Debug)]
pub struct CellCode {
    /// The cells that read it and share its word of dirty bits.
    pub near: u64,
    /// The other cells that read it: a range of [`Layout::far`].
    pub far: (u32, u32),
    /// Its straight code, if its expression has one; its program is in [`Layout::programs`] at its place.
    pub straight: Straight,
    /// The slot it writes.
    pub slot: u32,
    /// The field that it is, if it is told in words; else [`UNTOLD`].
    pub node: u32,
    /// It reads nothing, so it is the same in every row.
    pub is_constant: bool,
    /// How often it has run since the start.
    pub evaluated: std::cell::Cell<u64>,
}

/// No field, or one whose values are not told in words.
pub const UNTOLD: u32 = u32::MAX;

/// An effect whose condition is a cell here.
#[derive(Clone, Debug)]
pub struct EffectHere {
    /// Its place in the plan.
    pub effect: u32,
    /// Its name.
    pub name: Arc<str>,
    /// The slot of its condition.
    pub when: u32,
    /// Names and slots of what is sent.
    pub payload: Vec<(Arc<str>, u32)>,
    /// When it may fire again.
    pub rearm: Rearm,
    /// The event that brings it up again while its condition holds, where one does.
    pub reminder: Option<Arc<str>>,
}

/// A field that the clock publishes.
#[derive(Clone, Debug)]
pub struct ClockedHere {
    /// The slot that says whether a document waits.
    pub waits: u32,
    /// Its cell.
    pub cell: u32,
    /// What makes the moment.
    pub by: Opens,
    /// Under what a document's own time is exported.
    pub due_name: Arc<str>,
}

/// Dirty bits of one word of cells.
#[derive(Clone, Copy, Debug)]
pub struct Far {
    /// Which word.
    pub word: u32,
    /// Which cells.
    pub mask: u64,
}

/// A region, ready to run.
#[derive(Debug)]
pub struct Layout {
    /// Its number.
    pub id: u32,
    /// Its table.
    pub table: TableId,
    /// Its level.
    pub level: u32,
    /// What each slot is called: as its field, or as the plan calls it.
    pub names: Vec<Arc<str>>,
    /// How each slot's words are read.
    pub kinds: Vec<Kind>,
    /// The cells, in topological order.
    pub cells: Vec<CellCode>,
    /// The straight code of the cells.
    pub code: Code,
    /// The general form of each cell.
    pub programs: Vec<Program>,
    /// By cell: a self-reference's value before its first step.
    pub inits: Vec<Option<Value>>,
    /// The cells that read each slot: ranges of `far`.
    pub readers: Vec<(u32, u32)>,
    /// Masks of dirty bits, by range.
    pub far: Vec<Far>,
    /// Words of dirty bits.
    pub dirty_words: usize,
    /// The cells that are self-references, by word of dirty bits.
    pub selves: Vec<u64>,
    /// The cells that wait to be asked.
    pub lazy: LazyCells,
    /// By slot.
    pub consumers: Vec<Vec<Consumer>>,
    /// Slots that are wanted elsewhere as they are.
    pub watched: Vec<u32>,
    /// There are slots with a consumer.
    pub tells_more: bool,
    /// By slot: whether it is a user's field. It is one at most: fields of equal formulas are cells of their own.
    pub told: Vec<Option<Told>>,
    /// The slots that are.
    pub fields: Vec<(u32, Told)>,
    /// Aggregates that end here, in the order of their places.
    pub groups_in: Vec<GroupIn>,
    /// Group edges that start here.
    pub groups_out: Vec<GroupOut>,
    /// Those that many children can tell in bulk.
    pub families: Vec<Family>,
    /// The others, by their places.
    pub singles: Vec<u32>,
    /// References that start here.
    pub references: Vec<ReferOut>,
    /// Membership edges that start here.
    pub members_out: Vec<MemberOut>,
    /// Session edges that start here.
    pub sessions_out: Vec<SessionOut>,
    /// Sides of join edges that start here.
    pub pairs_out: Vec<PairOut>,
    /// Watermarks that start here, and the slots that hold the time.
    pub times_out: Vec<(u32, u32)>,
    /// The name of its table.
    pub table_name: Arc<str>,
    /// Its documents are windows that end for good.
    pub freezes: bool,
    /// Slots that other documents tell, by aggregates, lookups and sessions.
    pub told_by_others: Vec<u32>,
    /// Slots that hold what a lower region of the same rows holds: the slot, that region and its slot.
    pub carried: Vec<(u32, RegionId, SlotId)>,
    /// Ends of as-of edges that are here.
    pub stands_out: Vec<StandOut>,
    /// Effects.
    pub effects: Vec<EffectHere>,
    /// Fields that the clock publishes.
    pub clocked: Vec<ClockedHere>,
    /// For a home: the other regions of its table, which it tells of births and deaths.
    pub followers: Vec<u32>,
    /// Slots of columns, cleared where an insert leaves them out.
    pub columns: Vec<u32>,
    /// Its table is a derived one.
    pub is_derived: bool,
    /// The home of a derived table: slots of key columns with their places in the key, written at birth.
    pub derived_key: Option<Vec<(u32, usize)>>,
}

impl Layout {
    /// Compiles region `id` of `plan`.
    pub fn new(plan: &Plan, id: u32, is_home: bool) -> Layout {
        let region = &plan.regions[id as usize];
        let kinds: Vec<Kind> = region.slots.iter().map(|slot| Kind::of_type(&slot.ty)).collect();
        let mut assembler = Assembler::new(kinds.clone());
        let mut fan = Fan::new(region);
        let cells = region.cells.iter().enumerate().map(|(at, cell)| {
            let (near, far) = fan.of_cell(cell.slot.0, at);
            let straight = assembler.compile(&cell.expr, cell.slot.0).unwrap_or(Straight::NONE);
            let is_constant = cell.expr.inputs().is_empty();
            CellCode { near, far, straight, slot: cell.slot.0, node: UNTOLD, is_constant, evaluated: 0.into() }
        });
        let cells: Vec<CellCode> = cells.collect();
        let init = |cell: &PlannedCell| match &cell.kind {
            CellKind::Formula => None,
            CellKind::SelfReference { init } => Some(init.clone()),
        };
        let readers = (0..region.slots.len() as u32).map(|slot| fan.of_slot(slot)).collect();
        let groups_out = groups_from(plan, id);
        let (families, singles) = families(&groups_out, &kinds);
        let mut layout = Layout {
            id,
            table: region.table,
            level: region.level,
            names: region.slots.iter().map(|slot| slot.name.clone()).collect(),
            kinds,
            cells,
            code: assembler.finish(),
            programs: region.cells.iter().map(|cell| Program::compile(&cell.expr)).collect(),
            inits: region.cells.iter().map(init).collect(),
            readers,
            far: fan.far,
            dirty_words: region.cells.len().div_ceil(64),
            lazy: LazyCells::new(plan, id, &selves(region)),
            selves: selves(region),
            consumers: vec![Vec::new(); region.slots.len()],
            watched: Vec::new(),
            tells_more: false,
            told: Vec::new(),
            fields: fields_in(plan, id),
            groups_in: groups_into(plan, id),
            groups_out,
            families,
            singles,
            references: references_from(plan, id),
            members_out: members_from(plan, id),
            sessions_out: sessions_from(plan, id),
            pairs_out: pairs_from(plan, id),
            times_out: times_from(plan, id),
            table_name: plan.tables[region.table.0 as usize].name.clone(),
            freezes: freezes(plan, region.table),
            told_by_others: told_by_others(region),
            carried: carried(region),
            stands_out: stands_from(plan, id),
            effects: effects_in(plan, id),
            clocked: clocked_in(plan, id),
            followers: if is_home { followers(&plan.regions, id) } else { Vec::new() },
            columns: slots_of_columns(region),
            is_derived: plan.tables[region.table.0 as usize].is_derived(),
            derived_key: derived_key(plan, region).filter(|_| is_home),
        };
        layout.connect(plan);
        layout
    }

    /// Enters everybody who wants to know of a slot.
    fn connect(&mut self, plan: &Plan) {
        let id = self.id;
        self.told = vec![None; self.kinds.len()];
        let cells: HashMap<u32, usize> = self.cells.iter().enumerate().map(|(at, cell)| (cell.slot, at)).collect();
        for (slot, told) in std::mem::take(&mut self.fields) {
            self.names[slot as usize] = plan.fields[told.node as usize].name.clone();
            let cell = cells.get(&slot).copied();
            if !cell.is_some_and(|cell| self.lazy.cell_waits(cell)) {
                self.tell(cell.map_or(u32::MAX, |cell| cell as u32), slot, told);
            }
        }
        for (region, slot, source) in carried_slots(&plan.regions) {
            if let SlotSource::Carried(from, of) = source
                && from.0 == id
            {
                let kind = Kind::of_type(&plan.regions[region as usize].slots[slot as usize].ty);
                let in_words = kind.is_word() && kind == self.kinds[of.0 as usize];
                self.want(of.0, Consumer::Carry { region, slot, in_words });
            }
        }
        for (lookup, planned) in plan.lookups.iter().enumerate().filter(|(_, lookup)| lookup.to.0 == id) {
            for (position, slot) in planned.values.iter().enumerate() {
                self.want(slot.0, Consumer::Value { lookup: lookup as u32, position: position as u32 });
            }
        }
        for at in 0..self.groups_out.len() {
            self.groups_out[at].reads.clone().into_iter().for_each(|slot| self.want(slot, Consumer::Group(at as u32)));
        }
        for at in 0..self.references.len() {
            self.references[at].via.slots.clone().into_iter().for_each(|slot| self.want(slot, Consumer::Refer(at as u32)));
        }
        for at in 0..self.members_out.len() {
            self.members_out[at].key.slots.clone().into_iter().for_each(|slot| self.want(slot, Consumer::Member(at as u32)));
        }
        for at in 0..self.sessions_out.len() {
            let out = &self.sessions_out[at];
            let slots: Vec<u32> = out.key.slots.iter().chain([&out.on]).copied().collect();
            slots.into_iter().for_each(|slot| self.want(slot, Consumer::Session(at as u32)));
        }
        for at in 0..self.pairs_out.len() {
            self.pairs_out[at].reads.clone().into_iter().for_each(|slot| self.want(slot, Consumer::Pair(at as u32)));
        }
        for (watermark, slot) in self.times_out.clone() {
            self.want(slot, Consumer::Time(watermark));
        }
        for at in 0..self.stands_out.len() {
            self.stands_out[at].place.slots.clone().into_iter().for_each(|slot| self.want(slot, Consumer::Stand(at as u32)));
        }
        for at in 0..self.effects.len() {
            self.want(self.effects[at].when, Consumer::Effect(at as u32));
        }
        for at in 0..self.clocked.len() {
            self.want(self.clocked[at].waits, Consumer::Clock(at as u32));
            if let Opens::At(slot) = self.clocked[at].by {
                self.want(slot.0, Consumer::Clock(at as u32));
            }
        }
        self.tells_more = self.consumers.iter().any(|consumers| !consumers.is_empty());
        let is_carried = |consumer: &Consumer| matches!(consumer, Consumer::Carry { .. } | Consumer::Value { .. });
        self.watched =
            (0u32..).zip(&self.consumers).filter(|(_, all)| all.iter().any(is_carried)).map(|(slot, _)| slot).collect();
    }

    /// The changes of a slot, of a cell if there is one of this number, are told as those of a field.
    pub fn tell(&mut self, cell: u32, slot: u32, told: Told) {
        let before = self.told[slot as usize].replace(told);
        assert!(before.is_none(), "invariant INV-TOLD: a slot is one field at most");
        self.fields.push((slot, told));
        if let Some(cell) = self.cells.get_mut(cell as usize).filter(|_| told.in_words) {
            cell.node = told.node;
        }
    }

    /// The slot's changes are no longer told.
    pub fn tell_no_more(&mut self, cell: u32, slot: u32) {
        self.told[slot as usize] = None;
        self.fields.retain(|(field, _)| *field != slot);
        self.cells[cell as usize].node = UNTOLD;
    }

    /// Enters one consumer, once.
    fn want(&mut self, slot: u32, consumer: Consumer) {
        let consumers = &mut self.consumers[slot as usize];
        if !consumers.contains(&consumer) {
            consumers.push(consumer);
        }
    }

    /// Marks the cells that read a slot.
    #[inline]
    pub fn mark_readers(&self, slot: u32, dirty: &mut [u64]) {
        let (start, end) = self.readers[slot as usize];
        for far in &self.far[start as usize..end as usize] {
            dirty[far.word as usize] |= far.mask;
        }
    }
}

/// The readers of each slot as masks of dirty bits.
struct Fan {
    readers: HashMap<u32, Vec<u32>>,
    far: Vec<Far>,
}

impl Fan {
    fn new(region: &PlannedRegion) -> Fan {
        let mut readers: HashMap<u32, Vec<u32>> = HashMap::new();
        for (at, cell) in region.cells.iter().enumerate() {
            // A self-reference reads its own slot and is not run again by it.
            for input in cell.expr.inputs().into_iter().filter(|input| input.0 != cell.slot.0) {
                readers.entry(input.0).or_default().push(at as u32);
            }
        }
        Fan { readers, far: Vec::new() }
    }

    fn masks(&self, slot: u32) -> Vec<Far> {
        let mut masks: Vec<Far> = Vec::new();
        let mut readers = self.readers.get(&slot).cloned().unwrap_or_default();
        readers.sort_unstable();
        for reader in readers {
            let (word, bit) = (reader / 64, 1 << (reader % 64));
            match masks.last_mut() {
                Some(last) if last.word == word => last.mask |= bit,
                _ => masks.push(Far { word, mask: bit }),
            }
        }
        masks
    }

    fn of_slot(&mut self, slot: u32) -> (u32, u32) {
        let start = self.far.len() as u32;
        self.far.extend(self.masks(slot));
        (start, self.far.len() as u32)
    }

    fn of_cell(&mut self, slot: u32, at: usize) -> (u64, (u32, u32)) {
        let (near, far): (Vec<Far>, Vec<Far>) = self.masks(slot).into_iter().partition(|far| far.word as usize == at / 64);
        let start = self.far.len() as u32;
        self.far.extend(far);
        (near.first().map_or(0, |near| near.mask), (start, self.far.len() as u32))
    }
}

fn carried_slots(regions: &[PlannedRegion]) -> impl Iterator<Item = (u32, u32, &SlotSource)> {
    regions.iter().enumerate().flat_map(|(region, planned)| {
        planned.slots.iter().enumerate().map(move |(slot, planned)| (region as u32, slot as u32, &planned.source))
    })
}

fn selves(region: &PlannedRegion) -> Vec<u64> {
    let mut masks = vec![0; region.cells.len().div_ceil(64)];
    for (at, cell) in region.cells.iter().enumerate() {
        if matches!(cell.kind, CellKind::SelfReference { .. }) {
            masks[at / 64] |= 1 << (at % 64);
        }
    }
    masks
}

fn fields_in(plan: &Plan, id: u32) -> Vec<(u32, Told)> {
    let here = plan.fields.iter().enumerate().filter(|(_, field)| field.region.0 == id);
    here.map(|(node, field)| {
        let kind = Kind::of_type(&plan.regions[id as usize].slots[field.slot.0 as usize].ty);
        (field.slot.0, Told { node: node as u32, in_words: kind.is_word() })
    })
    .collect()
}

/// Whether the table's documents are windows that end for good.
fn freezes(plan: &Plan, table: TableId) -> bool {
    let kept_by = plan.tables[table.0 as usize].kept_by.map(|edge| &plan.memberships[edge.0 as usize]);
    kept_by.and_then(|edge| edge.closing).is_some_and(|closing| closing.kind != ClosingKind::Late)
}

fn carried(region: &PlannedRegion) -> Vec<(u32, RegionId, SlotId)> {
    let carried = |(at, slot): (u32, &Slot)| match slot.source {
        SlotSource::Carried(from, of) => Some((at, from, of)),
        _ => None,
    };
    (0..).zip(&region.slots).filter_map(carried).collect()
}

fn told_by_others(region: &PlannedRegion) -> Vec<u32> {
    let told = |source: &SlotSource| {
        matches!(source, SlotSource::Aggregate(_) | SlotSource::Looked(..) | SlotSource::Nearest(..) | SlotSource::Session(_))
    };
    (0..).zip(&region.slots).filter(|(_, slot)| told(&slot.source)).map(|(slot, _)| slot).collect()
}

/// The slots of a derived table's columns, which all are key columns.
fn derived_key(plan: &Plan, region: &PlannedRegion) -> Option<Vec<(u32, usize)>> {
    if !plan.tables[region.table.0 as usize].is_derived() {
        return None;
    }
    let place = |(slot, planned): (usize, &thalweg_graph::plan::Slot)| match planned.source {
        SlotSource::Column(column) => Some((slot as u32, column.0 as usize)),
        _ => None,
    };
    Some(region.slots.iter().enumerate().filter_map(place).collect())
}

fn effects_in(plan: &Plan, id: u32) -> Vec<EffectHere> {
    let here = plan.effects.iter().enumerate().filter(|(_, effect)| effect.region.0 == id);
    here.map(|(at, effect)| EffectHere {
        effect: at as u32,
        name: effect.name.clone(),
        when: effect.when.0,
        payload: effect.payload.iter().map(|(name, slot)| (name.clone(), slot.0)).collect(),
        rearm: effect.rearm,
        reminder: effect.reminder(),
    })
    .collect()
}

fn clocked_in(plan: &Plan, id: u32) -> Vec<ClockedHere> {
    let here = plan.clocked.iter().filter(|clocked| clocked.region.0 == id);
    here.map(|clocked| {
        let cells = &plan.regions[id as usize].cells;
        let cell = cells.iter().position(|cell| cell.slot == clocked.waits);
        let cell = cell.expect("invariant: who waits is said by a cell") as u32;
        ClockedHere { waits: clocked.waits.0, cell, by: clocked.by, due_name: clocked.due_name.clone() }
    })
    .collect()
}

fn followers(regions: &[PlannedRegion], home: u32) -> Vec<u32> {
    let table = regions[home as usize].table;
    let others = regions.iter().enumerate().filter(|(at, region)| region.table == table && *at as u32 != home);
    others.map(|(at, _)| at as u32).collect()
}

fn slots_of_columns(region: &PlannedRegion) -> Vec<u32> {
    let slots = region.slots.iter().enumerate().filter(|(_, slot)| matches!(slot.source, SlotSource::Column(_)));
    slots.map(|(at, _)| at as u32).collect()
}
