//! Cells that are computed when somebody asks.
//!
//! A change that reaches such a cell makes it **stale**, and those that read it, which are of its kind: a bit each, and nothing is computed. Whoever
//! asks for it has it computed then, over the row as it is, with those under it that are stale; afterwards it is **fresh** until the next change
//! that reaches it. So a cell runs at most once for each change that somebody asks about.
//!
//! Between two steps a row is what it is at the closed epoch, so an answer is the formula at that epoch. An effect that sends such a field asks
//! while its epoch runs, when all that its row is told has come; there the value is computed and not kept.
//!
//! Nothing of it has a history: no value is kept behind an error, no delta is told. A field that somebody **follows** is kept as any
//! other until nobody does.

use std::collections::BTreeSet;

use thalweg_formulas::{Cell, InputId, Value};
use thalweg_graph::Plan;

use super::Region;
use super::layout::Told;
use super::propagate::run;
use crate::state::{Bits, Kind, Raw, Tag};

/// A cell that waits to be asked, unless somebody follows it.
#[derive(Clone, Debug)]
pub struct LazyCell {
    /// Its cell.
    pub cell: u32,
    /// The slot it writes.
    pub slot: u32,
    /// The cells of its kind that it reads, directly or not, by their places here; itself last.
    pub needs: Vec<u32>,
    /// The user's field that it is.
    pub told: Option<Told>,
}

/// The lazy cells of a region and which of them wait.
#[derive(Clone, Debug, Default)]
pub struct LazyCells {
    /// All of them, in topological order.
    pub all: Vec<LazyCell>,
    /// Those that wait, by word of dirty bits.
    pub waits: Vec<u64>,
    /// Those and the self-references, which stand still while a restart brings rows.
    pub still: Vec<u64>,
}

impl LazyCells {
    /// Those of region `id`; all of them wait.
    pub fn new(plan: &Plan, id: u32, selves: &[u64]) -> LazyCells {
        let region = &plan.regions[id as usize];
        let mut lazy = LazyCells { waits: vec![0; selves.len()], still: selves.to_vec(), ..LazyCells::default() };
        for (at, cell) in region.cells.iter().enumerate().filter(|(_, cell)| cell.waits) {
            let mut needs: BTreeSet<u32> = BTreeSet::new();
            for (place, read) in lazy.all.iter().enumerate() {
                if cell.expr.inputs().iter().any(|input| input.0 == read.slot) {
                    needs.extend(read.needs.iter().copied().chain([place as u32]));
                }
            }
            needs.insert(lazy.all.len() as u32);
            let told = cell.field.map(|field| {
                let kind = Kind::of_type(&region.slots[cell.slot.0 as usize].ty);
                Told { node: field.0, in_words: kind.is_word() }
            });
            let needs = needs.into_iter().collect();
            lazy.all.push(LazyCell { cell: at as u32, slot: cell.slot.0, needs, told });
            lazy.set(at, true);
        }
        lazy
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Whether a cell waits.
    #[inline]
    pub fn cell_waits(&self, cell: usize) -> bool {
        self.waits[cell / 64] >> (cell % 64) & 1 != 0
    }

    fn set(&mut self, cell: usize, waits: bool) {
        for words in [&mut self.waits, &mut self.still] {
            words[cell / 64] = words[cell / 64] & !(1 << (cell % 64)) | u64::from(waits) << (cell % 64);
        }
    }

    /// The place of the cell that writes a slot, if it waits.
    fn waiting(&self, slot: u32) -> Option<usize> {
        let place = self.all.binary_search_by_key(&slot, |lazy| lazy.slot).ok()?;
        self.cell_waits(self.all[place].cell as usize).then_some(place)
    }

    /// The fields that wait.
    pub fn fields(&self) -> impl Iterator<Item = (u32, Told)> + '_ {
        let waiting = self.all.iter().filter(|lazy| self.cell_waits(lazy.cell as usize));
        waiting.filter_map(|lazy| Some((lazy.slot, lazy.told?)))
    }
}

/// Which cells of which rows have been computed since the last change that reached them, by the cell's place in [`LazyCells::all`].
pub type Fresh = Vec<Bits>;

impl Region {
    /// The cells that a row's change has reached are stale.
    #[inline]
    pub(super) fn go_stale(&mut self, row: u32) {
        if self.layout.lazy.is_empty() {
            return;
        }
        for (place, lazy) in self.layout.lazy.all.iter().enumerate() {
            let stale = self.scratch.stale[lazy.cell as usize / 64] >> (lazy.cell % 64) & 1 != 0;
            if stale && self.fresh[place].get(row) {
                self.fresh[place].put(row, false);
            }
        }
        self.scratch.stale.fill(0);
    }

    /// Nothing of rows that begin to live has been computed. Words stand where values will, so that a row of words is one from the start.
    pub(super) fn begin_stale(&mut self, born: &[u32]) {
        for (place, lazy) in self.layout.lazy.all.iter().enumerate() {
            let in_words = self.layout.kinds[lazy.slot as usize].is_word() && self.layout.lazy.cell_waits(lazy.cell as usize);
            for row in born {
                if self.fresh[place].get(*row) {
                    self.fresh[place].put(*row, false);
                }
                if in_words {
                    self.rows.row_mut(*row).begin_inline(lazy.slot, 0);
                }
            }
        }
    }

    /// Somebody asks for a slot of a living row: it is computed, if it waits and is stale.
    pub(super) fn ask(&mut self, row: u32, slot: u32) {
        if let Some(place) = self.layout.lazy.waiting(slot) {
            self.compute(row, place);
        }
    }

    /// Somebody asks for a slot of every living row.
    pub(crate) fn ask_all(&mut self, slot: u32) {
        if let Some(place) = self.layout.lazy.waiting(slot) {
            self.living().collect::<Vec<_>>().into_iter().for_each(|row| self.compute(row, place));
        }
    }

    /// Somebody asks for all there is.
    pub(crate) fn ask_for_all(&mut self) {
        let fields: Vec<u32> = self.layout.lazy.fields().map(|(slot, _)| slot).collect();
        fields.into_iter().for_each(|slot| self.ask_all(slot));
    }

    fn compute(&mut self, row: u32, place: usize) {
        if self.fresh[place].get(row) {
            return;
        }
        let Region { layout, rows, fresh, scratch, .. } = self;
        for need in layout.lazy.all[place].needs.iter().map(|need| *need as usize) {
            let lazy = &layout.lazy.all[need];
            if !layout.lazy.cell_waits(lazy.cell as usize) || fresh[need].get(row) {
                continue;
            }
            // No value stands behind an error: whether there was one depends on who has asked before.
            let before = rows.raw(row, lazy.slot);
            if before.tag != Tag::Inline {
                rows.put(row, lazy.slot, Raw::NULL);
                rows.release(before);
            }
            let cell = &layout.cells[lazy.cell as usize];
            cell.evaluated.set(cell.evaluated.get() + 1);
            if let Some(old) = run(layout, lazy.cell as usize, rows, row, &mut scratch.frame) {
                rows.release(old);
            }
            rows.set_last_good(row, lazy.slot, Value::Null);
            fresh[need].ensure(row);
            fresh[need].put(row, true);
        }
    }

    /// What a slot shows to an effect that fires: of one that waits, its value as it would be now.
    pub(super) fn shown(&self, row: u32, slot: u32) -> Value {
        match self.layout.lazy.waiting(slot) {
            Some(_) => self.asked(row, slot).unwrap_or(Value::Null),
            None => self.rows.last_good(slot, self.rows.raw(row, slot)),
        }
    }

    /// The cell of a slot as it would be now; nothing is kept.
    fn asked(&self, row: u32, slot: u32) -> Cell {
        match self.layout.lazy.waiting(slot) {
            Some(place) if !self.fresh[place].get(row) => {
                let cell = self.layout.lazy.all[place].cell as usize;
                let code = &self.layout.cells[cell];
                code.evaluated.set(code.evaluated.get() + 1);
                self.layout.programs[cell].eval(&|input: InputId| self.asked(row, input.0))
            }
            _ => self.rows.cell(row, slot),
        }
    }

    /// From now on these fields are kept, with what they read, and no others of those that would wait.
    pub(crate) fn follow(&mut self, fields: &BTreeSet<u32>) {
        let followed = self.layout.lazy.all.iter().filter(|lazy| lazy.told.is_some_and(|told| fields.contains(&told.node)));
        let wanted: BTreeSet<u32> = followed.flat_map(|lazy| lazy.needs.iter().copied()).collect();
        for place in 0..self.layout.lazy.all.len() {
            let LazyCell { cell, slot, told, .. } = self.layout.lazy.all[place].clone();
            match (self.layout.lazy.cell_waits(cell as usize), wanted.contains(&(place as u32))) {
                (true, true) => {
                    self.ask_all(slot);
                    self.layout.lazy.set(cell as usize, false);
                }
                (false, false) => {
                    self.layout.lazy.set(cell as usize, true);
                    self.fresh[place] = Bits::default();
                }
                _ => {}
            }
            let Some(told) = told else { continue };
            match (self.layout.told[slot as usize].is_some(), fields.contains(&told.node)) {
                (false, true) => self.layout.tell(cell, slot, told),
                (true, false) => self.layout.tell_no_more(cell, slot),
                _ => {}
            }
        }
        self.scratch.frozen.copy_from_slice(&self.layout.lazy.still);
    }
}
