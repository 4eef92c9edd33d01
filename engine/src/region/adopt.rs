//! A region takes over the rows of the same region of the plan before: what both have is moved, what is new is computed from it, column by column.
//!
//! What is told by others (a new aggregate) is not there yet: its children tell it afterwards, in a batch in which nothing fires ([`Region::tell_new_groups`]), and then
//! the cells that read it run again. Only then is it known what is in error, and what stands behind an error is what had the same name ([`Region::settle_heirs`]).

use std::sync::Arc;

use hashbrown::HashMap;
use thalweg_formulas::Value;
use thalweg_graph::Epoch;

use super::Region;
use super::ends::Family;
use super::propagate::begin_cells;
use crate::context::Context;
use crate::state::Tag;

/// Rows that are computed together.
const BLOCK: usize = 1024;

/// What a new slot gets from elsewhere than the slot of the same meaning.
#[derive(Debug)]
pub enum New {
    /// A slot of a lower region of the table; its values come row by row.
    Carried {
        /// The region.
        region: u32,
        /// The slot there.
        slot: u32,
    },
    /// A column of whole rows.
    Whole(Value),
}

/// The values behind errors of one slot, by row.
pub(super) type Heirs = Vec<(u32, HashMap<u32, Value>)>;

impl Region {
    /// Takes over the rows of the same region before. By slot of this one: the slot there that is the same; by place of an aggregate likewise.
    pub fn adopt(&mut self, mut old: Region, slots: &[Option<u32>], places: &[Option<usize>]) {
        self.alive = std::mem::take(&mut old.alive);
        self.living = old.living;
        self.aggregates.adopt(&mut old.aggregates, places);
        if let (Some(home), Some(before)) = (&mut self.home, old.home.take()) {
            home.occurrences = before.occurrences;
            home.whole = home.whole.is_some().then_some(before.whole).flatten();
        }
        let is_same = slots.len() == old.rows.slots() && slots.iter().zip(0..).all(|(from, at)| *from == Some(at));
        if is_same {
            self.rows = old.rows;
            return;
        }
        let pairs: Vec<(u32, u32)> = (0..).zip(slots).filter_map(|(to, from)| Some((to, (*from)?))).collect();
        let living: Vec<u32> = self.alive.ones().collect();
        self.rows.copy_slots(&old.rows, &pairs, &living);
    }

    /// Writes columns that are new here from where they are; gives the rows to which that was done.
    pub fn fill_columns(&mut self, news: &[(u32, New)], lower: &[Region]) {
        let living: Vec<u32> = self.alive.ones().collect();
        for (slot, new) in news {
            for row in &living {
                let cell = match new {
                    New::Carried { region, slot } => lower[*region as usize].rows.cell(*row, *slot),
                    New::Whole(name) => Ok(self.whole(*row).and_then(|whole| whole.get(name).cloned()).unwrap_or(Value::Null)),
                };
                if let Some(old) = self.rows.set(*row, *slot, cell) {
                    self.rows.release(old);
                }
            }
        }
    }

    /// Shows aggregates and runs cells that are new, of every living row.
    pub fn compute_new(&mut self, is_new: &dyn Fn(u32) -> bool) {
        let living: Vec<u32> = self.alive.ones().collect();
        let places: Vec<u32> =
            (0..self.layout.groups_in.len() as u32).filter(|at| is_new(self.layout.groups_in[*at as usize].slot)).collect();
        let cells: Vec<usize> = (0..self.layout.cells.len()).filter(|at| is_new(self.layout.cells[*at].slot)).collect();
        let mut moved = Vec::new();
        for rows in living.chunks(BLOCK) {
            for place in &places {
                rows.iter().for_each(|row| self.show_aggregate(*row, *place, &mut moved));
                self.release_all(&mut moved);
            }
            begin_cells(&self.layout, cells.iter().copied(), &mut self.rows, rows, &mut self.scratch);
        }
    }

    /// Remembers what stands behind errors under the names of slots, where that is not in the slot already. `before` gives the slots of the table
    /// before by name.
    pub fn remember_heirs(
        &mut self,
        slots: &[Option<u32>],
        same: usize,
        before: &std::collections::HashMap<Arc<str>, (usize, u32)>,
        old: &[Region],
    ) {
        for slot in 0..self.layout.kinds.len() as u32 {
            let names = self.held_names(slot);
            let heirs: Vec<(usize, u32)> = names
                .iter()
                .filter_map(|name| before.get(name).copied())
                .filter(|(at, _)| old[*at].layout.table_name == self.layout.table_name)
                .collect();
            let is_itself =
                !heirs.is_empty() && heirs.iter().all(|(region, of)| *region == same && slots[slot as usize] == Some(*of));
            if names.is_empty() || is_itself {
                continue;
            }
            let mut values = HashMap::new();
            for (region, of) in heirs {
                let rows = &old[region].rows;
                for row in old[region].living() {
                    let last = rows.failure(rows.raw(row, of)).map(|failure| &failure.last);
                    values.extend(last.filter(|last| !last.is_null()).map(|last| (row, last.clone())));
                }
            }
            self.heirs.push((slot, values));
        }
    }

    /// Puts what was remembered behind the errors that are there.
    pub fn settle_heirs(&mut self) {
        let living: Vec<u32> = if self.heirs.is_empty() { Vec::new() } else { self.alive.ones().collect() };
        for (slot, mut values) in std::mem::take(&mut self.heirs) {
            for row in &living {
                if self.rows.raw(*row, slot).tag == Tag::Failed {
                    self.rows.set_last_good(*row, slot, values.remove(row).unwrap_or(Value::Null));
                }
            }
        }
    }

    /// Every living row gives what it has along group edges that are new.
    pub fn tell_new_groups(&self, epoch: Epoch, is_new: &dyn Fn(u32) -> bool, context: &mut Context) {
        let is_new = |out: &u32| is_new(self.layout.groups_out[*out as usize].group);
        let singles: Vec<u32> = self.layout.singles.iter().copied().filter(is_new).collect();
        let families = self
            .layout
            .families
            .iter()
            .map(|family| Family { outs: family.outs.iter().copied().filter(is_new).collect(), ..*family });
        let families: Vec<Family> = families.filter(|family| !family.outs.is_empty()).collect();
        if singles.is_empty() && families.is_empty() {
            return;
        }
        let living: Vec<u32> = self.alive.ones().collect();
        for rows in living.chunks(BLOCK) {
            families.iter().for_each(|family| self.give(epoch, family, rows, context));
            for out in &singles {
                rows.iter().for_each(|row| self.emit_group_birth(epoch, *row, *out, context));
            }
        }
    }
}
