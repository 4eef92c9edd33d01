//! A restart: rows come back by fills, in any order and in several epochs, before the history-dependent state is in place.
//!
//! While rows come back, self-references stand still at the values from before; their inputs are not yet what they were. When all
//! rows are there, those **thaw** that are new, and those whose last step had failed: they step on the inputs as they are, so an
//! error is there again. The others stand still meanwhile: that an error of their inputs is there again is no change. Then the last good
//! values are put behind the errors.

use hashbrown::HashMap;
use thalweg_formulas::Value;
use thalweg_graph::Epoch;

use super::Region;
use crate::context::Context;
use crate::edges::mail::{Note, NoteKind};
use crate::state::Tag;

impl Region {
    /// The value of a self-reference from before the restart. Remembers it for the thaw if it must step.
    pub(super) fn restored_self(&mut self, row: u32, cell: usize, context: &mut Context) -> Option<Value> {
        let key = self.key(row, context);
        let name = self.node_name(self.layout.cells[cell].slot);
        // A derived document may be born twice while rows come back: its rows may be in another one until all they read is there.
        let value = match self.layout.is_derived {
            true => context.memory.self_of(&name, &key).cloned(),
            false => context.memory.take_self(&name, &key),
        };
        if value.is_none() || context.memory.held(&name, &key).is_some() {
            self.thawing.entry(row).or_default().push(cell as u32);
        }
        value
    }

    /// A document that was there in passing, while rows came back, has nothing to step.
    pub(super) fn forget_thaw(&mut self, row: u32) {
        if !self.thawing.is_empty() {
            self.thawing.remove(&row);
        }
    }

    /// All rows are there: asks the rows that must step to do so in `epoch`.
    pub(crate) fn thaw(&mut self, epoch: Epoch, context: &mut Context) {
        self.end_restart();
        let inbox = &mut context.inboxes[self.layout.id as usize];
        inbox.extend(self.thawing.keys().map(|row| Note { epoch, row: *row, what: NoteKind::Thaw }));
    }

    /// Marks the self-references of a row that thaw.
    pub(super) fn mark_thawed(&mut self, row: u32) {
        if self.thawing.is_empty() {
            return;
        }
        for cell in self.thawing.remove(&row).unwrap_or_default() {
            self.scratch.dirty[cell as usize / 64] |= 1 << (cell % 64);
            self.scratch.frozen[cell as usize / 64] &= !(1 << (cell % 64));
        }
    }

    /// The next row's self-references stand still, all of them.
    pub(super) fn freeze_again(&mut self) {
        self.scratch.frozen.copy_from_slice(&self.layout.lazy.still);
    }

    /// Puts the last good values of the regions below behind the errors that are carried from there.
    pub(crate) fn carry_last_good(&mut self, lower: &[Region]) {
        if !self.rows.has_failures() {
            return;
        }
        let living: Vec<u32> = self.alive.ones().collect();
        for (slot, from, of) in &self.layout.carried {
            let below = &lower[from.0 as usize].rows;
            for row in &living {
                if self.rows.raw(*row, *slot).tag == Tag::Failed {
                    self.rows.set_last_good(*row, *slot, below.last_good(of.0, below.raw(*row, of.0)));
                }
            }
        }
    }

    /// Puts the last good values from before behind the errors that are there again; where none is known there was none.
    pub(crate) fn restore_held(&mut self, context: &mut Context) {
        let living: Vec<u32> = self.alive.ones().collect();
        for at in 0..self.layout.cells.len() {
            let slot = self.layout.cells[at].slot;
            // The definition before may have had it under another one of its names.
            let mut names = self.held_names(slot);
            if names.is_empty() && self.layout.inits[at].is_some() {
                names.push(self.node_name(slot));
            }
            if names.is_empty() {
                continue;
            }
            let mut held = HashMap::new();
            names.iter().for_each(|name| held.extend(context.memory.take_all_held(name)));
            for row in living.iter().copied() {
                if self.rows.failure(self.rows.raw(row, slot)).is_some() {
                    let last = held.remove(&self.key(row, context)).unwrap_or(Value::Null);
                    self.rows.set_last_good(row, slot, last);
                }
            }
        }
    }
}
