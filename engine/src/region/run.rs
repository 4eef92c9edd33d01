//! One batch through a region, epoch by epoch.

use std::sync::Arc;

use thalweg_graph::Epoch;

use super::aggregates::Aggregates;
use super::ahead::AHEAD;
use super::arrivals::Arrivals;
use super::closing::Freezer;
use super::layout::Layout;
use super::moments::Clocks;
use super::notes::Notes;
use super::pad::{Moved, Pad, Touch, net};
use super::propagate::{Scratch, Still, propagate};
use super::{Home, Region};
use crate::context::Context;
use crate::edges::mail::Bulk;
use crate::intake::{Arrival, Mapping, What};
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
            scratch: Scratch {
                dirty: vec![0; layout.dirty_words],
                frame: layout.code.frame(),
                frozen: layout.lazy.still.clone(),
                stale: vec![0; layout.dirty_words],
            },
            moved: Vec::new(),
            born: Vec::new(),
            news: Vec::new(),
            touched: vec![0; slots],
            thawing: hashbrown::HashMap::new(),
            settling: None,
            fresh: layout.lazy.all.iter().map(|_| Bits::default()).collect(),
            heirs: Vec::new(),
            clocks: Clocks::new(layout.clocked.len()),
            freezer: layout.freezes.then(Freezer::default),
            births_and_deaths: 0,
            layout,
        }
    }

    /// Takes the batch's arrivals and notes to the end, in epoch order. All lower levels are done.
    pub fn run(&mut self, context: &mut Context) {
        let id = self.layout.id as usize;
        let arrivals = std::mem::take(&mut context.arrivals[id]);
        let mut notes = Notes::new(std::mem::take(&mut context.inboxes[id]));
        self.expect_fills(&arrivals, context);
        self.open_gate(context);
        let is_gated = self.is_gated();
        let mappings = std::mem::take(&mut context.mappings);
        let mut arrivals = Arrivals::new(arrivals);
        // What was staged for a change of key belongs to the batch's only epoch.
        let mut staged = (!self.pad.is_empty()).then_some(context.batch.first);
        let mut timers = Vec::new();
        let mut moments = self.moments(context).into_iter().peekable();
        let next = |a: Option<Epoch>, b: Option<Epoch>| a.into_iter().chain(b).min();
        while let Some(epoch) =
            next_epoch(&arrivals, &notes, next(staged.take().or(self.gate_epoch(context)), moments.peek().copied()))
        {
            if is_gated {
                self.promote(epoch, context);
            }
            let is_moment = moments.next_if_eq(&epoch).is_some();
            if is_moment {
                self.open_moment(epoch, context);
            }
            let untold = !is_moment && !is_gated && self.pad.is_empty() && notes.epoch() != Some(epoch);
            if untold && arrivals.is_alone() && self.run_alone(epoch, &mut arrivals, &mappings, context) {
                continue;
            }
            while let Some(what) = arrivals.next_of(epoch) {
                match what {
                    What::Timer(timer) => timers.push(timer),
                    what => self.fold(epoch, what, untold, &mappings, context),
                }
            }
            // Many rows that are told at once may be any of those that are told by themselves.
            if self.pad.is_empty() && !is_moment && !is_gated && !notes.has_bulk(epoch) {
                self.run_notes(epoch, &mut notes, context);
            } else {
                while let Some((row, what)) = notes.next_of(epoch) {
                    self.take_note(row, what);
                }
            }
            if is_gated {
                self.run_gate(epoch, context);
            }
            self.settle(epoch, context);
            self.close_moment();
            timers.drain(..).for_each(|timer| {
                self.timer(epoch, &timer, context);
                self.remind(epoch, &timer, context);
            });
        }
        context.mappings = mappings;
        context.inboxes[id] = notes.recycled();
    }

    /// Runs an epoch whose only arrival is a plain update; does nothing where it is another case.
    fn run_alone(&mut self, epoch: Epoch, arrivals: &mut Arrivals, mappings: &[Arc<Mapping>], context: &mut Context) -> bool {
        arrivals.look_ahead(|ahead| self.rows_of_updates(ahead, mappings, context));
        let Some((row, mapping, change)) = arrivals.next_update() else { return false };
        let done = self.update_alone(epoch, &mappings[mapping], row, change, context);
        if done {
            arrivals.next_of(epoch);
        }
        done
    }

    /// Settles some thousands of the rows that a staged epoch has touched here, before the region runs; `false`: there are no more. So what
    /// they tell other regions can be taken up ([`Region::take_ahead`]) before there is more of it than of rows.
    pub fn settle_ahead(&mut self, context: &mut Context) -> bool {
        let mut settling = match self.settling.take() {
            Some(settling) => settling,
            None if self.pad.is_empty() || self.is_gated() => return false,
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
        if self.is_gated() {
            self.promote(context.batch.first, context);
        }
        let mut notes = std::mem::take(&mut context.inboxes[self.layout.id as usize]);
        notes.drain(..).for_each(|note| self.take_note(note.row, note.what));
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

    /// Takes up what many children give; those of one parent often come one after the other.
    pub(super) fn take_bulk(&mut self, bulk: &Bulk) {
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
        match self.pad.has(row) {
            true => self.pad.touched(row),
            false => self.pad.touch(self.first_touch(row)),
        }
    }

    /// A row that nothing has touched in the epoch.
    pub(super) fn first_touch(&self, row: u32) -> Touch {
        Touch { row, lived: self.alive.get(row), again: false, groups: 0, whole: self.whole(row) }
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
            if (at - settling.at).is_multiple_of(AHEAD) {
                self.look_at_touched(&settling.touches[at..end.min(at + AHEAD)], context);
            }
            let touch = &settling.touches[at];
            let rest = &settling.log[settling.log_at..];
            let own = rest.iter().take_while(|(of, _)| *of as usize == at).count();
            let mut moved = std::mem::take(&mut self.moved);
            moved.extend(rest[..own].iter().map(|(_, moved)| *moved));
            settling.log_at += own;
            self.settle_or_bear(epoch, touch, &mut moved, &mut born, context);
            moved.clear();
            self.moved = moved;
        }
        self.begin(epoch, &born, context);
        born.clear();
        self.born = born;
        settling.at = end;
    }

    /// Settles a row, or puts it to those that are born together.
    #[inline]
    pub(super) fn settle_or_bear(
        &mut self,
        epoch: Epoch,
        touch: &Touch,
        moved: &mut Vec<Moved>,
        born: &mut Vec<u32>,
        context: &mut Context,
    ) {
        if touch.lived || !self.lives(touch.row) || self.keeps_whole_rows() {
            return self.settle_row(epoch, touch, moved, context);
        }
        self.release_all(moved);
        born.push(touch.row);
        if born.len() >= TOGETHER {
            self.begin(epoch, born, context);
            born.clear();
        }
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
        if touch.groups != 0 {
            self.show_aggregates(row, touch.groups, moved);
        }
        if !context.restoring {
            self.mark_thawed(row);
        }
        self.open_row(row);
        self.run_change(epoch, row, moved, context);
        if context.thawing {
            self.freeze_again();
        }
        if self.home.is_some() {
            self.react_to_change(epoch, touch, context);
        }
    }

    /// What the net change of a living row comes to, and who hears of it.
    pub(super) fn run_change(&mut self, epoch: Epoch, row: u32, moved: &mut Vec<Moved>, context: &mut Context) {
        for entry in moved.iter() {
            self.touched[entry.slot as usize] += 1;
            self.layout.mark_readers(entry.slot, &mut self.scratch.dirty);
        }
        self.propagate(row, moved, context.reports(epoch), context);
        self.emit_change(epoch, row, moved, context);
        moved.iter().for_each(|entry| self.rows.release(entry.old));
    }

    /// Runs the dirty cells of a row, but those that wait to be asked; self-references stand still while a restart brings rows, and then all but those that thaw. Of a row that lives on, `tells` tells
    /// the deltas that are words; the others are in `moved`.
    pub(super) fn propagate(&mut self, row: u32, moved: &mut Vec<Moved>, tells: bool, context: &mut Context) {
        let deltas = tells.then_some(&mut context.out.deltas);
        let (layout, rows, scratch) = (&self.layout, &mut self.rows, &mut self.scratch);
        let still = match context.restoring || context.thawing {
            true => Still::Frozen,
            false if !layout.lazy.is_empty() => Still::Waiting,
            false => Still::Nothing,
        };
        context.out.counts.cells += match still {
            Still::Nothing => propagate::<false>(layout, still, rows, row, scratch, moved, deltas),
            Still::Waiting | Still::Frozen => propagate::<true>(layout, still, rows, row, scratch, moved, deltas),
        };
        self.go_stale(row);
    }

    /// Writes the values of aggregates that got contributions to their slots.
    pub(super) fn show_aggregates(&mut self, row: u32, groups: u16, moved: &mut Vec<Moved>) {
        for place in (0..self.layout.groups_in.len() as u32).filter(|place| groups & 1 << (place % 16) != 0) {
            self.show_aggregate(row, place, moved);
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

    /// Writes the value of one aggregate to its slot.
    #[inline]
    pub(super) fn show_aggregate(&mut self, row: u32, place: u32, moved: &mut Vec<Moved>) {
        let slot = self.layout.groups_in[place as usize].slot;
        let old = match self.aggregates.value(row, place) {
            Ok(value) => self.rows.write(row, slot, value),
            failed => self.rows.set(row, slot, failed),
        };
        old.into_iter().for_each(|old| moved.push(Moved::new(slot, old)));
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

/// The lowest epoch that has something to do.
fn next_epoch(arrivals: &Arrivals, notes: &Notes, staged: Option<Epoch>) -> Option<Epoch> {
    [arrivals.epoch(), notes.epoch(), staged].into_iter().flatten().min()
}
