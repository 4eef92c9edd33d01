//! What others tell the rows of a region: births and deaths, values, contributions.
//!
//! Notes come in the order of epochs and rows. So where they are all that an epoch brings, each row is settled as soon as its notes are
//! read, without the pad. Where changes of rows come too, notes go to the pad as the changes do.

use std::sync::Arc;

use thalweg_formulas::Value;
use thalweg_graph::Epoch;

use super::Region;
use super::ahead::AHEAD;
use super::pad::{Moved, Touch};
use crate::context::Context;
use crate::edges::mail::{Note, NoteKind};
use crate::state::rows::Failure;
use crate::state::{Raw, Tag, spare};

/// Notes of a batch on their way.
pub(super) struct Notes {
    all: Vec<Note>,
    at: usize,
    /// Up to here their rows were looked at.
    seen: usize,
    /// There is one that is about many rows.
    has_bulk: bool,
}

impl Notes {
    /// In the order of epochs and rows.
    pub fn new(mut all: Vec<Note>) -> Notes {
        if !all.is_sorted_by_key(|note| (note.epoch, note.row)) {
            all.sort_by_key(|note| (note.epoch, note.row));
        }
        Notes { has_bulk: all.iter().any(|note| note.row == Note::BULK), all, at: 0, seen: 0 }
    }

    /// The epoch of the next.
    #[inline]
    pub fn epoch(&self) -> Option<Epoch> {
        self.all.get(self.at).map(|note| note.epoch)
    }

    /// Whether many rows are told at once in the epoch of the next.
    pub fn has_bulk(&self, epoch: Epoch) -> bool {
        self.has_bulk && self.all[self.at..].iter().any(|note| note.epoch == epoch && note.row == Note::BULK)
    }

    /// The row of the next, if it is of this epoch.
    #[inline]
    fn row(&self, epoch: Epoch) -> Option<u32> {
        self.all.get(self.at).filter(|note| note.epoch == epoch).map(|note| note.row)
    }

    /// The next, if it is of this epoch.
    #[inline]
    pub fn next_of(&mut self, epoch: Epoch) -> Option<(u32, NoteKind)> {
        let note = self.all.get_mut(self.at).filter(|note| note.epoch == epoch)?;
        self.at += 1;
        Some((note.row, std::mem::replace(&mut note.what, NoteKind::Thaw)))
    }

    /// The emptied vector, for its memory; what a large batch took is given back to the system.
    pub fn recycled(mut self) -> Vec<Note> {
        let used = self.all.len();
        self.all.clear();
        spare(&mut self.all, used);
        self.all
    }
}

impl Region {
    /// Settles the rows that an epoch's notes are about, one after the other. Nothing else has touched them.
    pub(super) fn run_notes(&mut self, epoch: Epoch, notes: &mut Notes, context: &mut Context) {
        let mut born = std::mem::take(&mut self.born);
        while let Some(row) = notes.row(epoch) {
            self.look_ahead(notes);
            if self.run_only_note(epoch, row, notes, context) {
                continue;
            }
            self.make_room(row);
            let mut touch = self.first_touch(row);
            let mut moved = std::mem::take(&mut self.moved);
            while notes.row(epoch) == Some(row) {
                notes.next_of(epoch).into_iter().for_each(|(_, what)| self.hear(what, &mut touch, &mut moved));
            }
            self.settle_or_bear(epoch, &touch, &mut moved, &mut born, context);
            moved.clear();
            self.moved = moved;
        }
        self.begin(epoch, &born, context);
        born.clear();
        self.born = born;
    }

    /// The usual case: a living row's only note in the epoch, and it is a word or what a child gives. Does nothing where it is another.
    #[inline]
    fn run_only_note(&mut self, epoch: Epoch, row: u32, notes: &mut Notes, context: &mut Context) -> bool {
        let Some((note, rest)) = notes.all[notes.at..].split_first() else { return false };
        let is_only = rest.first().is_none_or(|next| (next.epoch, next.row) != (epoch, row));
        if !is_only || !self.lives(row) || self.keeps_whole_rows() || !self.thawing.is_empty() {
            return false;
        }
        let mut moved = std::mem::take(&mut self.moved);
        match &note.what {
            NoteKind::Word(slot, word) => {
                let old = self.rows.row_mut(row).replace(*slot, Raw::inline(*word));
                old.into_iter().for_each(|old| moved.push(Moved::new(*slot, old)));
            }
            NoteKind::Contribute(place, given) => {
                self.aggregates.apply(row, *place, given);
                self.show_aggregate(row, *place, &mut moved);
            }
            NoteKind::Birth
            | NoteKind::Death
            | NoteKind::Join
            | NoteKind::Leave
            | NoteKind::Thaw
            | NoteKind::Freeze(..)
            | NoteKind::Reopen
            | NoteKind::Set(..)
            | NoteKind::Fail(..)
            | NoteKind::Bulk(_) => {
                self.moved = moved;
                return false;
            }
        }
        notes.at += 1;
        if !moved.is_empty() {
            self.run_change(epoch, row, &mut moved, context);
            moved.clear();
        }
        self.moved = moved;
        true
    }

    /// Looks at the rows of the notes to come, once for each.
    #[inline]
    fn look_ahead(&self, notes: &mut Notes) {
        if notes.at >= notes.seen {
            notes.seen = notes.all.len().min(notes.at + AHEAD);
            self.look_at_told(notes.all[notes.at..notes.seen].iter().map(|note| note.row));
        }
    }

    /// Takes up a note while others of its row are still to come.
    #[inline]
    fn hear(&mut self, what: NoteKind, touch: &mut Touch, moved: &mut Vec<Moved>) {
        let row = touch.row;
        match what {
            NoteKind::Birth => self.set_alive(row, true),
            NoteKind::Death => self.set_alive(row, false),
            NoteKind::Join => self.join(row),
            NoteKind::Leave => self.leave(row),
            // A bulk goes to the pad, and so does whatever windows that end are told.
            NoteKind::Thaw | NoteKind::Freeze(..) | NoteKind::Reopen | NoteKind::Bulk(_) => {}
            NoteKind::Contribute(place, given) => {
                self.aggregates.apply(row, place, &given);
                touch.groups |= 1 << (place % 16);
            }
            NoteKind::Word(..) | NoteKind::Set(..) | NoteKind::Fail(..) => {
                if let Some((slot, old)) = self.set_told(row, what) {
                    // A slot may be told twice in an epoch: by the reference and by the value.
                    touch.again |= moved.iter().any(|earlier| earlier.slot == slot);
                    if touch.lived || old.tag != Tag::Null {
                        moved.push(Moved::new(slot, old));
                    }
                }
            }
        }
    }

    /// Writes a value that a row is told; gives the slot and what it held, if that was another value.
    #[inline]
    fn set_told(&mut self, row: u32, what: NoteKind) -> Option<(u32, Raw)> {
        match what {
            NoteKind::Word(slot, word) => Some((slot, self.rows.row_mut(row).replace(slot, Raw::inline(word))?)),
            NoteKind::Set(slot, cell) => match Arc::unwrap_or_clone(cell) {
                Ok(value) => Some((slot, self.rows.set(row, slot, Ok(value))?)),
                // What was seen before may have been another document's.
                Err(error) => Some((slot, self.rows.fail(row, slot, Failure { error, last: Value::Null })?)),
            },
            NoteKind::Fail(slot, failure) => Some((slot, self.rows.fail(row, slot, Arc::unwrap_or_clone(failure))?)),
            NoteKind::Birth
            | NoteKind::Death
            | NoteKind::Join
            | NoteKind::Leave
            | NoteKind::Thaw
            | NoteKind::Freeze(..)
            | NoteKind::Reopen
            | NoteKind::Contribute(..)
            | NoteKind::Bulk(_) => None,
        }
    }

    /// Takes a note to the pad.
    pub(super) fn take_note(&mut self, row: u32, what: NoteKind) {
        if let NoteKind::Bulk(bulk) = &what {
            return self.take_bulk(bulk);
        }
        if self.drops(row, &what) {
            return;
        }
        let at = self.touch(row);
        match what {
            NoteKind::Birth => self.set_alive(row, true),
            NoteKind::Death => self.set_alive(row, false),
            NoteKind::Join => self.join(row),
            NoteKind::Leave => self.leave(row),
            NoteKind::Thaw | NoteKind::Freeze(..) | NoteKind::Reopen | NoteKind::Bulk(_) => {}
            NoteKind::Contribute(place, given) => {
                self.aggregates.apply(row, place, &given);
                self.pad.get(at).groups |= 1 << (place % 16);
            }
            NoteKind::Word(..) | NoteKind::Set(..) | NoteKind::Fail(..) => {
                if let Some((slot, old)) = self.set_told(row, what) {
                    self.pad.get(at).again = true;
                    self.pad.log(at, slot, old);
                }
            }
        }
    }
}
