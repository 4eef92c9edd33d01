//! A document's first and last epoch in a region.

use thalweg_graph::Epoch;
use thalweg_graph::outcome::Key;

use super::Region;
use super::layout::Consumer;
use super::pad::{Moved, Touch};
use super::propagate::propagate_births;
use crate::context::Context;
use crate::edges::mail::{Note, NoteKind};
use crate::memory::condition_name;

impl Region {
    /// The document lives from this epoch on: every cell runs, every watched slot is told.
    pub(super) fn birth(&mut self, epoch: Epoch, touch: &Touch, moved: &mut Vec<Moved>, context: &mut Context) {
        self.release_all(moved);
        self.begin(epoch, &[touch.row], context);
        self.react_to_change(epoch, touch, context);
    }

    /// The life of rows that are written begins: their cells, and who hears of them.
    pub(super) fn begin(&mut self, epoch: Epoch, born: &[u32], context: &mut Context) {
        if born.is_empty() {
            return;
        }
        self.births_and_deaths += born.len() as u64;
        if self.layout.derived_key.is_some() {
            born.iter().for_each(|row| self.write_key(*row, context));
        }
        if !self.layout.groups_in.is_empty() {
            born.iter().for_each(|row| self.show_all_aggregates(*row));
        }
        if context.restoring && self.layout.freezes {
            self.show_restored(born, context);
        }
        if self.layout.selves.iter().any(|selves| *selves != 0) {
            born.iter().for_each(|row| self.start_selves(*row, context));
        }
        self.begin_stale(born);
        let run = if context.restoring { propagate_births::<true> } else { propagate_births::<false> };
        context.out.counts.cells += run(&self.layout, &mut self.rows, born, &mut self.scratch);
        if self.home.is_some() {
            let directory = &mut context.directories[self.layout.table.0 as usize];
            born.iter().for_each(|row| directory.hold(*row));
        }
        if !self.layout.followers.is_empty() {
            born.iter().for_each(|row| self.tell_followers(epoch, *row, &NoteKind::Birth, context));
        }
        self.emit_births(epoch, born, context);
    }

    /// The document is gone: the row goes back to how it was before the epoch, takes its leave, and is blank.
    pub(super) fn death(&mut self, epoch: Epoch, touch: &Touch, moved: &mut Vec<Moved>, context: &mut Context) {
        let row = touch.row;
        self.births_and_deaths += 1;
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
        self.forget_thaw(row);
        self.forget_closed(row);
        if self.home.is_some() {
            context.directories[self.layout.table.0 as usize].let_go(row);
        }
    }

    pub(super) fn release_all(&mut self, moved: &mut Vec<Moved>) {
        moved.drain(..).for_each(|entry| self.rows.release(entry.old));
    }

    fn tell_followers(&self, epoch: Epoch, row: u32, what: &NoteKind, context: &mut Context) {
        for follower in &self.layout.followers {
            context.inboxes[*follower as usize].push(Note { epoch, row, what: what.clone() });
        }
    }

    /// Gives self-references their value before the first step, or the one from before a restart.
    fn start_selves(&mut self, row: u32, context: &mut Context) {
        for at in 0..self.layout.cells.len() {
            let Some(init) = self.layout.inits[at].clone() else { continue };
            let slot = self.layout.cells[at].slot;
            let value = if context.restoring { self.restored_self(row, at, context) } else { self.opened_at_birth(at) };
            if let Some(old) = self.rows.set(row, slot, Ok(value.unwrap_or(init))) {
                self.rows.release(old);
            }
        }
    }

    /// The name under which a cell's state is exported: its field's, else its slot's.
    pub(super) fn node_name(&self, slot: u32) -> std::sync::Arc<str> {
        self.layout.names[slot as usize].clone()
    }

    /// The names under which the value behind a cell's error is held.
    pub(crate) fn held_names(&self, slot: u32) -> Vec<std::sync::Arc<str>> {
        let field = self.layout.told[slot as usize].map(|_| self.node_name(slot));
        let conditions = self.layout.consumers[slot as usize].iter().filter_map(|consumer| match consumer {
            Consumer::Effect(at) => Some(condition_name(&self.layout.effects[*at as usize].name)),
            _ => None,
        });
        field.into_iter().chain(conditions).collect()
    }

    /// The key of a row's document.
    pub(crate) fn key(&self, row: u32, context: &Context) -> Key {
        context.directories[self.layout.table.0 as usize].key(row)
    }
}
