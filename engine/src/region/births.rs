//! A document's first and last epoch in a region.

use thalweg_graph::Epoch;
use thalweg_graph::outcome::Key;

use super::Region;
use super::layout::Consumer;
use super::pad::{Moved, Touch};
use super::propagate::propagate;
use crate::context::Context;
use crate::edges::mail::{Note, NoteKind};
use crate::memory::condition_name;

impl Region {
    /// The document lives from this epoch on: every cell runs, every watched slot is told.
    pub(super) fn birth(&mut self, epoch: Epoch, touch: &Touch, moved: &mut Vec<Moved>, context: &mut Context) {
        let row = touch.row;
        self.release_all(moved);
        self.show_aggregates(row, u64::MAX, moved);
        self.layout.mark_all(&mut self.scratch.dirty);
        self.start_selves(epoch, row, context);
        context.out.counts.cells += propagate(&self.layout, &mut self.rows, row, &mut self.scratch, moved);
        self.restore_held(epoch, row, context);
        self.release_all(moved);
        if self.home.is_some() {
            context.directories[self.layout.table.0 as usize].hold(row);
        }
        self.tell_followers(epoch, row, &NoteKind::Birth, context);
        self.emit_birth(epoch, row, context);
        self.react_to_change(epoch, touch, context);
    }

    /// The document is gone: the row goes back to how it was before the epoch, takes its leave, and is blank.
    pub(super) fn death(&mut self, epoch: Epoch, touch: &Touch, moved: &mut Vec<Moved>, context: &mut Context) {
        let row = touch.row;
        for entry in moved.drain(..).rev() {
            let written = self.rows.raw(row, entry.slot);
            self.rows.put(row, entry.slot, entry.old);
            self.rows.release(written);
        }
        self.emit_death(epoch, row, context);
        self.tell_followers(epoch, row, &NoteKind::Death, context);
        self.react_to_change(epoch, touch, context);
        self.rows.wipe(row);
        self.forget_whole(row);
        if self.home.is_some() {
            context.directories[self.layout.table.0 as usize].let_go(row);
        }
    }

    fn release_all(&mut self, moved: &mut Vec<Moved>) {
        moved.drain(..).for_each(|entry| self.rows.release(entry.old));
    }

    fn tell_followers(&self, epoch: Epoch, row: u32, what: &NoteKind, context: &mut Context) {
        for follower in &self.layout.followers {
            context.inboxes[*follower as usize].push(Note { epoch, row, what: what.clone() });
        }
    }

    /// Gives self-references their value before the first step; one that a restart brings back does not step.
    fn start_selves(&mut self, epoch: Epoch, row: u32, context: &mut Context) {
        let remembers = context.batch.info(epoch).fill && !context.memory.is_empty();
        for at in 0..self.layout.cells.len() {
            let cell = &self.layout.cells[at];
            let Some(init) = cell.init.clone() else { continue };
            let slot = cell.slot;
            let imported = if remembers { self.import_self(row, slot, context) } else { None };
            let steps = imported.as_ref().is_none_or(|(_, failed)| *failed);
            let value = imported.map_or(init, |(value, _)| value);
            if let Some(old) = self.rows.set(row, slot, Ok(value)) {
                self.rows.release(old);
            }
            if !steps {
                self.scratch.dirty[at / 64] &= !(1 << (at % 64));
            }
        }
    }

    /// What a restart knows of a self-reference: its last good value, and whether its last step failed.
    fn import_self(&mut self, row: u32, slot: u32, context: &mut Context) -> Option<(thalweg_formulas::Value, bool)> {
        let key = self.key(row, context);
        let name = self.node_name(slot);
        let value = context.memory.take_self(&name, &key)?;
        let failed = context.memory.take_held(&name, &key).is_some();
        Some((value, failed))
    }

    /// The name under which a cell's state is exported: its field's, else its slot's.
    pub(super) fn node_name(&self, slot: u32) -> std::sync::Arc<str> {
        let field = self.layout.consumers[slot as usize].iter().find_map(|consumer| match consumer {
            Consumer::Field(name) => Some(name.clone()),
            _ => None,
        });
        field.unwrap_or_else(|| self.layout.names[slot as usize].clone())
    }

    /// Puts the last good values from before a restart behind errors that are there again.
    fn restore_held(&mut self, epoch: Epoch, row: u32, context: &mut Context) {
        if !context.batch.info(epoch).fill || context.memory.is_empty() {
            return;
        }
        let key = self.key(row, context);
        for at in 0..self.layout.cells.len() {
            let slot = self.layout.cells[at].slot;
            if self.rows.failure(self.rows.raw(row, slot)).is_none() {
                continue;
            }
            for name in self.held_names(slot) {
                if let Some(value) = context.memory.take_held(&name, &key) {
                    self.rows.set_last_good(row, slot, value);
                }
            }
        }
    }

    /// The names under which the value behind a cell's error is held.
    pub(super) fn held_names(&self, slot: u32) -> Vec<std::sync::Arc<str>> {
        let consumers = self.layout.consumers[slot as usize].iter();
        let names = consumers.filter_map(|consumer| match consumer {
            Consumer::Field(name) => Some(name.clone()),
            Consumer::Effect(at) => Some(condition_name(&self.layout.effects[*at as usize].name)),
            _ => None,
        });
        names.collect()
    }

    /// The key of a row's document.
    pub(super) fn key(&self, row: u32, context: &Context) -> Key {
        context.directories[self.layout.table.0 as usize].key(row)
    }
}
