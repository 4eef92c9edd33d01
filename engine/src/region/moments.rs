//! Moments: epochs in which the clock publishes fields.
//!
//! A document **waits** where its cell [`Clocked::waits`](thalweg_graph::plan::Clocked) is above 0. The region remembers who does, and a moment touches
//! those rows only: it writes [`OPENED`] to the cell, which runs and lets the published cell follow. A row that something else touches in a schedule's
//! moment is opened with the others, so that a field that reads another one of the same moment is published with it.
//!
//! A document that waits for a time of its own has one where the plan says so: so long after it began, or as its row says. It never is
//! in the past: a time that is over means [`SOONEST`] from now, and is not put off by what comes until then.
//!
//! Invariant INV-MOMENTS: who waits is what the cells say, and until when is what the row says or is exported; so a restart goes on with
//! the same moments.
//!
//! Cost: of a change, O(log waiting); of a moment, the rows that wait. Memory: 4 bytes a row that waits for a schedule, about 60 for a time of its own.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::sync::Arc;

use hashbrown::{HashMap, HashSet};
use thalweg_formulas::{Timestamp, Value};
use thalweg_graph::outcome::Appointment;
use thalweg_graph::plan::{OPENED, Opens, PUBLISH, SOONEST};
use thalweg_graph::state::EngineState;
use thalweg_graph::transaction::TimerFired;
use thalweg_graph::{Epoch, Plan};

use super::Region;
use super::layout::ClockedHere;
use crate::context::Context;
use crate::state::Tag;

/// What a timer of the clock opens.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Moment {
    /// Schedules: places in the plan.
    schedules: Vec<u32>,
    /// Documents whose time has come by now.
    due: Option<i64>,
}

/// The fields of one region that the clock publishes.
#[derive(Debug, Default)]
pub struct Clocks {
    /// By place in [`super::layout::Layout::clocked`].
    waiting: RefCell<Vec<Waiting>>,
    /// In a moment: what it opens here.
    open: Vec<Opened>,
}

/// The rows that wait for one field to be published.
#[derive(Debug, Default)]
struct Waiting {
    /// For a schedule: each row that has begun to wait since the last moment. Some may wait no more.
    rows: Vec<u32>,
    /// For times of their own: when each is due.
    due: HashMap<u32, i64>,
    agenda: BTreeSet<(i64, u32)>,
}

/// What a moment opens.
#[derive(Debug)]
struct Opened {
    /// The place of the field.
    at: usize,
    /// The rows; `None`: all.
    rows: Option<HashSet<u32>>,
}

impl Moment {
    /// What a timer means, if it is one that publishes fields.
    pub fn of(plan: &Plan, timer: &TimerFired) -> Option<Arc<Moment>> {
        if *timer.event != *PUBLISH || !timer.table.is_empty() {
            return None;
        }
        let mut moment = Moment::default();
        for part in timer.key.iter() {
            match part {
                Value::Timestamp(due) => moment.due = moment.due.max(Some(due.0)),
                Value::Text(name) => {
                    let known =
                        (0..).zip(&plan.schedules).filter(|(_, schedule)| schedule.publishes && schedule.name[..] == name[..]);
                    moment.schedules.extend(known.map(|(at, _)| at));
                }
                _ => {}
            }
        }
        Some(Arc::new(moment))
    }

    fn opens(&self, by: Opens) -> bool {
        match by {
            Opens::Schedule(schedule) => self.schedules.contains(&schedule),
            Opens::After(_) | Opens::At(_) => self.due.is_some(),
        }
    }
}

impl Clocks {
    /// For so many fields.
    pub fn new(fields: usize) -> Clocks {
        Clocks { waiting: RefCell::new((0..fields).map(|_| Waiting::default()).collect()), open: Vec::new() }
    }
}

impl Waiting {
    /// The row is due at another time, or at none; whether that is a new time.
    fn put_off(&mut self, row: u32, due: Option<i64>) -> bool {
        let before = match due {
            Some(due) => self.due.insert(row, due),
            None => self.due.remove(&row),
        };
        if before == due {
            return false;
        }
        before.map(|before| self.agenda.remove(&(before, row)));
        due.is_some_and(|due| self.agenda.insert((due, row)))
    }

    /// Takes those whom a moment concerns: all, or who is due by a time.
    fn take(&mut self, by: Opens, until: Option<i64>) -> Vec<u32> {
        if !by.is_of_document() {
            return std::mem::take(&mut self.rows);
        }
        let mut rows = Vec::new();
        while let Some((due, row)) = self.agenda.first().copied().filter(|(due, _)| until.is_some_and(|until| *due <= until)) {
            self.agenda.remove(&(due, row));
            self.due.remove(&row);
            rows.push(row);
        }
        rows
    }
}

impl Region {
    /// The moments of the batch that open something here.
    pub(super) fn moments(&self, context: &Context) -> Vec<Epoch> {
        if self.layout.clocked.is_empty() {
            return Vec::new();
        }
        let is_ours = |moment: &Arc<Moment>| self.layout.clocked.iter().any(|clocked| moment.opens(clocked.by));
        let moments = (context.batch.first..).zip(&*context.batch.infos);
        moments.filter(|(_, info)| info.moment.as_ref().is_some_and(is_ours)).map(|(epoch, _)| epoch).collect()
    }

    /// A moment begins: who waits is touched, and opened when it is settled.
    pub(super) fn open_moment(&mut self, epoch: Epoch, context: &Context) {
        let Some(moment) = context.batch.info(epoch).moment.clone() else { return };
        for at in 0..self.layout.clocked.len() {
            let ClockedHere { waits, by, .. } = self.layout.clocked[at];
            if !moment.opens(by) {
                continue;
            }
            let mut rows = self.clocks.waiting.borrow_mut()[at].take(by, moment.due);
            rows.retain(|row| self.lives(*row) && (by.is_of_document() || self.waits(*row, waits)));
            for row in &rows {
                self.touch(*row);
            }
            let rows = by.is_of_document().then(|| rows.into_iter().collect());
            self.clocks.open.push(Opened { at, rows });
        }
    }

    /// The moment is over.
    pub(super) fn close_moment(&mut self) {
        self.clocks.open.clear();
    }

    /// In a moment, opens a row that is about to be settled.
    pub(super) fn open_row(&mut self, row: u32) {
        for opened in &self.clocks.open {
            if opened.rows.as_ref().is_none_or(|rows| rows.contains(&row)) {
                let ClockedHere { waits, cell, .. } = self.layout.clocked[opened.at];
                if let Some(old) = self.rows.set(row, waits, Ok(Value::Int(OPENED))) {
                    self.rows.release(old);
                }
                self.scratch.dirty[cell as usize / 64] |= 1 << (cell % 64);
            }
        }
    }

    /// The value that a cell which says who waits begins with, in a moment that opens all.
    pub(super) fn opened_at_birth(&self, cell: usize) -> Option<Value> {
        let is_open = |opened: &Opened| opened.rows.is_none() && self.layout.clocked[opened.at].cell as usize == cell;
        self.clocks.open.iter().any(is_open).then_some(Value::Int(OPENED))
    }

    fn waits(&self, row: u32, slot: u32) -> bool {
        let raw = self.rows.raw(row, slot);
        raw.tag == Tag::Inline && raw.word as i64 > 0
    }

    /// The time that a row tells, if it is one.
    fn time_in(&self, row: u32, slot: u32) -> Option<i64> {
        match self.rows.cell(row, slot) {
            Ok(Value::Timestamp(at)) => Some(at.0),
            _ => None,
        }
    }

    /// What says when a row is published has moved, or its document came or goes.
    pub(super) fn tell_clock(&self, epoch: Epoch, row: u32, at: usize, lives: bool, context: &mut Context) {
        if context.restoring || context.thawing {
            return;
        }
        let ClockedHere { waits, by, .. } = self.layout.clocked[at];
        let waits = lives && self.waits(row, waits);
        let waiting = &mut self.clocks.waiting.borrow_mut()[at];
        if !by.is_of_document() {
            if waits {
                waiting.rows.push(row);
            }
            return;
        }
        let (now, before) = (context.batch.info(epoch).at.0, waiting.due.get(&row).copied());
        let due = match by {
            Opens::After(delay) if waits => before.or(Some(now.saturating_add(delay))),
            Opens::At(slot) if waits => {
                let soonest = now.saturating_add(SOONEST);
                self.time_in(row, slot.0).map(|due| due.max(before.map_or(soonest, |before| before.min(soonest))))
            }
            _ => None,
        };
        if waiting.put_off(row, due) {
            context.out.appointments.extend(due.map(|due| Appointment { epoch, due: Timestamp(due) }));
        }
    }

    /// The times for which documents wait here.
    pub(crate) fn appointments(&self) -> Vec<Timestamp> {
        let waiting = self.clocks.waiting.borrow();
        waiting.iter().flat_map(|waiting| waiting.agenda.iter().map(|(due, _)| Timestamp(*due))).collect()
    }

    /// The times that no row says.
    pub(super) fn export_clocks(&self, context: &Context, state: &mut EngineState) {
        for (clocked, waiting) in self.layout.clocked.iter().zip(&*self.clocks.waiting.borrow()) {
            for (row, due) in &waiting.due {
                if !matches!(clocked.by, Opens::At(slot) if self.time_in(*row, slot.0) == Some(*due)) {
                    state.selves.push((clocked.due_name.clone(), self.key(*row, context), Value::Timestamp(Timestamp(*due))));
                }
            }
        }
    }

    /// All rows of a restart are there: who waits goes on waiting until the time from before. One that is new to waiting for a time, since
    /// the definition has changed, waits no longer than it must.
    pub(crate) fn restore_clocks(&self, context: &mut Context) {
        for (at, clocked) in self.layout.clocked.iter().enumerate() {
            let waiting = &mut self.clocks.waiting.borrow_mut()[at];
            for row in self.living().filter(|row| self.waits(*row, clocked.waits)) {
                let known = match clocked.by {
                    Opens::Schedule(_) => {
                        waiting.rows.push(row);
                        continue;
                    }
                    Opens::After(_) | Opens::At(_) => context.memory.take_self(&clocked.due_name, &self.key(row, context)),
                };
                let due = match (known, clocked.by) {
                    (Some(Value::Timestamp(due)), _) => Some(due.0),
                    (_, Opens::At(slot)) => self.time_in(row, slot.0),
                    _ => Some(0),
                };
                waiting.put_off(row, due);
            }
        }
    }
}
