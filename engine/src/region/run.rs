//! One batch through a region, epoch by epoch.

use std::sync::Arc;
use std::vec::IntoIter;

use thalweg_graph::Epoch;

use super::aggregates::Aggregates;
use super::layout::Layout;
use super::pad::{Moved, Pad, Touch, net};
use super::propagate::{Scratch, propagate};
use super::{Home, Region};
use crate::context::Context;
use crate::edges::mail::{Bulk, Note, NoteKind};
use crate::intake::{Arrival, What};
use crate::state::{Bits, Rows};

/// Rows that are settled at a time, where an epoch has many and they do not come again.
const SLICE: usize = 4096;

/// Rows that are born together.
const TOGETHER: usize = 64;

/// The touched rows of an epoch on their way.
#[derive(Debug)]
pub(super) struct Settling {
    touches: Vec<Touch>,
    log: Vec<(u32, Moved)>,
    /// Touches that are settled, and how much of the log is theirs.
    at: usize,
    log_at: usize,
}

impl Region {
    /// An empty region; `home` if it takes its table's row changes.
    pub fn new(layout: Layout, home: Option<Home>) -> Region {
        let slots = layout.kinds.len();
        Region {
            rows: Rows::new(layout.kinds.clone()),
            alive: Bits::default(),
            living: 0,
            aggregates: Aggregates::new(&layout.groups_in),
            home,
            pad: Pad::default(),
            scratch: Scratch { dirty: vec![0; layout.dirty_words], frame: layout.code.frame() },
            moved: Vec::new(),
            born: Vec::new(),
            touched: vec![0; slots],
            thawing: hashbrown::HashMap::new(),
            settling: None,
            births_and_deaths: 0,
            layout,
        }
    }

    /// Takes the batch's arrivals and notes to the end, in epoch order. All lower levels are done.
    pub fn run(&mut self, context: &mut Context) {
        let id = self.layout.id as usize;
        let arrivals = std::mem::take(&mut context.arrivals[id]);
        let mut notes = std::mem::take(&mut context.inboxes[id]);
        if !notes.is_sorted_by_key(|note| (note.epoch, note.row)) {
            notes.sort_by_key(|note| (note.epoch, note.row));
        }
        self.expect_fills(&arrivals, context);
        let mappings = std::mem::take(&mut context.mappings);
        let (mut arrivals, mut notes) = (arrivals.into_iter(), notes.into_iter());
        // What was staged for a change of key belongs to the batch's only epoch.
        let mut staged = (!self.pad.is_empty()).then_some(context.batch.first);
        let mut timers = Vec::new();
        while let Some(epoch) = next_epoch(&arrivals, &notes, staged.take()) {
            while arrivals.as_slice().first().is_some_and(|arrival| arrival.epoch == epoch) {
                match arrivals.next().map(|arrival| arrival.what) {
                    Some(What::Timer(timer)) => timers.push(timer),
                    Some(what) => self.fold(epoch, what, &mappings, context),
                    None => {}
                }
            }
            // Notes come row by row: what is in the pad is settled in slices, unless a change has brought it.
            let apart = self.pad.is_empty() && !has_bulk(notes.as_slice(), epoch);
            while notes.as_slice().first().is_some_and(|note| note.epoch == epoch) {
                if apart && self.pad.len() >= SLICE && notes.as_slice().first().is_some_and(|note| !self.pad.has(note.row)) {
                    self.settle(epoch, context);
                }
                notes.next().into_iter().for_each(|note| self.take_note(note));
            }
            self.settle(epoch, context);
            timers.drain(..).for_each(|timer| self.timer(epoch, &timer, context));
        }
        context.mappings = mappings;
    }

    /// Settles some thousands of the rows that a staged epoch has touched here, before the region runs; `false`: there are no more. So what
    /// they tell other regions can be taken up ([`Region::take_ahead`]) before there is more of it than of rows.
    pub fn settle_ahead(&mut self, context: &mut Context) -> bool {
        let mut settling = match self.settling.take() {
            Some(settling) => settling,
            None if self.pad.is_empty() => return false,
            None => {
                // All lower levels are done, so this is all that the rows are told.
                self.take_ahead(context);
                if self.pad.len() <= SLICE {
                    return false;
                }
                let (touches, log) = self.pad.take();
                Settling { touches, log, at: 0, log_at: 0 }
            }
        };
        let end = (settling.at + SLICE).min(settling.touches.len());
        self.settle_touches(context.batch.first, &mut settling, end, context);
        self.settling = (end < settling.touches.len()).then_some(settling);
        self.settling.is_some()
    }

    /// Takes up what others have told this region so far in the batch's only epoch; it is settled when the region runs.
    pub fn take_ahead(&mut self, context: &mut Context) {
        let mut notes = std::mem::take(&mut context.inboxes[self.layout.id as usize]);
        notes.drain(..).for_each(|note| self.take_note(note));
        context.inboxes[self.layout.id as usize] = notes;
    }

    /// Makes room for the rows of fills.
    fn expect_fills(&mut self, arrivals: &[Arrival], context: &mut Context) {
        let filled = |arrival: &Arrival| match &arrival.what {
            What::Changes(_, changes) if context.batch.info(arrival.epoch).fill => changes.len(),
            What::Change(..) if context.batch.info(arrival.epoch).fill => 1,
            _ => 0,
        };
        let rows: usize = arrivals.iter().map(filled).sum();
        if rows > SLICE {
            let deltas = if context.reports_fills { rows } else { 0 };
            context.out.deltas.reserve(deltas, deltas * self.layout.fields.len());
        }
    }

    fn take_note(&mut self, note: Note) {
        match note.what {
            NoteKind::Birth => {
                self.touch(note.row);
                self.set_alive(note.row, true);
            }
            NoteKind::Death => {
                self.touch(note.row);
                self.set_alive(note.row, false);
            }
            NoteKind::Thaw => drop(self.touch(note.row)),
            NoteKind::Set(slot, cell) => {
                let touch = self.touch(note.row);
                if let Some(old) = self.rows.set(note.row, slot, cell) {
                    // A slot may be told twice in an epoch: by the reference and by the value.
                    self.pad.get(touch).again = true;
                    self.pad.log(touch, slot, old);
                }
            }
            NoteKind::Contribute(place, contribution) => {
                let touch = self.touch(note.row);
                self.aggregates.apply(note.row, place, &contribution);
                self.pad.get(touch).groups |= 1 << (place % 16);
            }
            NoteKind::Bulk(bulk) => self.take_bulk(&bulk),
        }
    }

    /// Takes up what many children give; those of one parent often come one after the other.
    fn take_bulk(&mut self, bulk: &Bulk) {
        self.pad.share(bulk.columns.iter().fold(0, |groups, (place, ..)| groups | 1 << (place % 16)));
        for parent in bulk.parents.chunk_by(|a, b| a == b) {
            if !self.pad.has(parent[0]) {
                self.touch(parent[0]);
            }
        }
        for (place, kind, words) in &bulk.columns {
            self.aggregates.add_words(*place, &bulk.parents, *kind, words);
        }
    }

    /// The epoch's touch of a row.
    pub(super) fn touch(&mut self, row: u32) -> usize {
        self.make_room(row);
        let (lived, home) = (self.alive.get(row), &self.home);
        self.pad.touch(row, || Touch {
            row,
            lived,
            again: false,
            groups: 0,
            whole: home.as_ref().and_then(|home| home.whole.as_ref()?.get(row as usize)?.clone()),
        })
    }

    /// The row has a place, all NULL if it is new.
    pub(super) fn make_room(&mut self, row: u32) {
        self.rows.ensure(row);
        self.alive.ensure(row);
    }

    /// Says whether the row's document lives.
    pub(super) fn set_alive(&mut self, row: u32, alive: bool) {
        if self.alive.put(row, alive) != alive {
            self.living = if alive { self.living + 1 } else { self.living - 1 };
        }
    }

    /// Ends the epoch: every touched row once.
    pub(super) fn settle(&mut self, epoch: Epoch, context: &mut Context) {
        let (touches, log) = self.pad.take();
        let mut settling = Settling { touches, log, at: 0, log_at: 0 };
        let all = settling.touches.len();
        self.settle_touches(epoch, &mut settling, all, context);
        self.pad.recycle(settling.touches, settling.log);
    }

    /// Settles the touches up to `end`.
    fn settle_touches(&mut self, epoch: Epoch, settling: &mut Settling, end: usize, context: &mut Context) {
        let mut born = std::mem::take(&mut self.born);
        for at in settling.at..end {
            let touch = &settling.touches[at];
            let rest = &settling.log[settling.log_at..];
            let own = rest.iter().take_while(|(of, _)| *of as usize == at).count();
            let mut moved = std::mem::take(&mut self.moved);
            moved.extend(rest[..own].iter().map(|(_, moved)| *moved));
            settling.log_at += own;
            if !touch.lived && self.lives(touch.row) && !self.keeps_whole_rows() {
                self.release_all(&mut moved);
                born.push(touch.row);
                if born.len() >= TOGETHER {
                    self.begin(epoch, &born, context);
                    born.clear();
                }
            } else {
                self.settle_row(epoch, touch, &mut moved, context);
            }
            moved.clear();
            self.moved = moved;
        }
        self.begin(epoch, &born, context);
        born.clear();
        self.born = born;
        settling.at = end;
    }

    fn settle_row(&mut self, epoch: Epoch, touch: &Touch, moved: &mut Vec<Moved>, context: &mut Context) {
        match (touch.lived, self.alive.get(touch.row)) {
            (true, true) => self.change(epoch, touch, moved, context),
            (false, true) => self.birth(epoch, touch, moved, context),
            (true, false) => self.death(epoch, touch, moved, context),
            (false, false) => self.discard(touch.row, moved, context),
        }
    }

    fn change(&mut self, epoch: Epoch, touch: &Touch, moved: &mut Vec<Moved>, context: &mut Context) {
        let row = touch.row;
        if touch.again {
            net(&mut self.rows, row, moved);
        }
        self.show_aggregates(row, touch.groups, moved);
        for entry in moved.iter() {
            self.touched[entry.slot as usize] += 1;
            self.layout.mark_readers(entry.slot, &mut self.scratch.dirty);
        }
        if !context.restoring {
            self.mark_thawed(row);
        }
        self.propagate(row, moved, context.reports(epoch), context);
        self.emit_change(epoch, row, moved, context);
        self.react_to_change(epoch, touch, context);
        moved.iter().for_each(|entry| self.rows.release(entry.old));
    }

    /// Runs the dirty cells of a row; self-references stand still while a restart brings rows. Of a row that lives on, `tells` tells
    /// the deltas that are words; the others are in `moved`.
    pub(super) fn propagate(&mut self, row: u32, moved: &mut Vec<Moved>, tells: bool, context: &mut Context) {
        let run = if context.restoring { propagate::<true> } else { propagate::<false> };
        let deltas = tells.then_some(&mut context.out.deltas);
        context.out.counts.cells += run(&self.layout, &mut self.rows, row, &mut self.scratch, moved, deltas);
    }

    /// Writes the values of aggregates that got contributions to their slots.
    pub(super) fn show_aggregates(&mut self, row: u32, groups: u16, moved: &mut Vec<Moved>) {
        if groups == 0 {
            return;
        }
        for (place, group) in self.layout.groups_in.iter().enumerate().filter(|(place, _)| groups & 1 << (place % 16) != 0) {
            if let Some(old) = self.rows.set(row, group.slot, self.aggregates.value(row, place as u32)) {
                moved.push(Moved::new(group.slot, old));
            }
        }
    }

    /// Writes the values of all aggregates of a row that nobody has seen.
    pub(super) fn show_all_aggregates(&mut self, row: u32) {
        for (place, group) in self.layout.groups_in.iter().enumerate() {
            if let Some(old) = self.rows.set(row, group.slot, self.aggregates.value(row, place as u32)) {
                self.rows.release(old);
            }
        }
    }

    /// A row that did not live before the epoch and does not after it: as if nothing had been written.
    fn discard(&mut self, row: u32, moved: &[Moved], context: &mut Context) {
        moved.iter().for_each(|entry| self.rows.release(entry.old));
        self.rows.wipe(row);
        self.forget_whole(row);
        context.directories[self.layout.table.0 as usize].suspect(row);
    }

    pub(super) fn forget_whole(&mut self, row: u32) {
        if let Some(whole) = self.home.as_mut().and_then(|home| home.whole.as_mut()) {
            whole.get_mut(row as usize).map(Option::take);
        }
    }

    /// The rows, for those that read from outside.
    pub(super) fn rows(&self) -> &Rows {
        &self.rows
    }

    /// The whole row of a document, where the region keeps whole rows.
    pub(crate) fn whole(&self, row: u32) -> Option<Arc<crate::intake::RowMap>> {
        self.home.as_ref()?.whole.as_ref()?.get(row as usize)?.clone()
    }
}

/// Whether many rows are told at once in an epoch, the first of these notes.
fn has_bulk(notes: &[Note], epoch: Epoch) -> bool {
    let end = notes.partition_point(|note| note.epoch == epoch);
    notes[..end].last().is_some_and(|note| note.row == Note::BULK)
}

/// The lowest epoch that has something to do.
fn next_epoch(arrivals: &IntoIter<Arrival>, notes: &IntoIter<Note>, staged: Option<Epoch>) -> Option<Epoch> {
    let arrival = arrivals.as_slice().first().map(|arrival| arrival.epoch);
    let note = notes.as_slice().first().map(|note| note.epoch);
    [arrival, note, staged].into_iter().flatten().min()
}
