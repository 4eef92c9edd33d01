//! Windows that end for good, and the rows that come too late for them.
//!
//! The home region of such windows, the **gate**, counts their rows as any derived table's does, and keeps the windows that are not over by
//! their end. A watermark moves when a row with a greater time than all before is there at the end of an epoch; every worker hears of it, so all gates
//! agree. At the end of each epoch the gate closes the windows whose end the watermark has reached. From the next epoch on they are **frozen**
//! in all regions of their table: notes to them are dropped. A row whose window was over before its epoch is late; the gate of the table of
//! late rows judges by the same watermark, by itself.
//!
//! - INV-CLOSING: what an epoch brings is judged by the watermark as it stood before, so the order of rows within an epoch does not matter.
//! - A fill is one load, whatever pieces it comes in: what fills close is frozen, and the watermark that they move is in force, once an epoch is
//!   no fill.
//!
//! A restart brings frozen windows back with their values, late rows by their keys and the watermark, before any row: rows cannot tell them.
//!
//! Cost: O(log n) for a window's first row and its end, a message for each worker when the watermark moves. Bound: 16 B for a window that
//! is not over, a bit for one that is.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use hashbrown::HashSet;
use thalweg_formulas::{Error, Timestamp, Value};
use thalweg_graph::outcome::Key;
use thalweg_graph::plan::{Closing, ClosingKind};
use thalweg_graph::state::EngineState;
use thalweg_graph::{Epoch, Plan};

use super::Region;
use crate::context::Context;
use crate::edges::mail::{Note, NoteKind};
use crate::state::{Bits, KeyHash};

/// Since when what a restart brings counts: not before an epoch that is no fill.
pub const LOADED: Epoch = 1;

/// What a row that is late, or is no longer, has for a key.
#[derive(Clone, Debug)]
pub struct Latecomer {
    /// When.
    pub epoch: Epoch,
    /// The window's key and the row's.
    pub key: Key,
    /// It comes.
    pub comes: bool,
}

/// What the home region of windows that end keeps, or that of late rows.
#[derive(Debug)]
pub struct Gate {
    kind: ClosingKind,
    /// Its watermark.
    watermark: u32,
    /// The place of the window's end in the key; `None`: they are sessions, and their edge tells which are over.
    end: Option<usize>,
    lateness: i64,
    /// The names of its state: the watermark, what is final or late.
    watermark_name: Arc<str>,
    in_force_name: Arc<str>,
    kept_name: Arc<str>,
    /// Windows that are not over, by their end.
    waiting: BTreeMap<i64, BTreeSet<u32>>,
    /// Windows whose number of rows has left 0 or come back to it in the epoch.
    fresh: Vec<u32>,
    /// The greatest time by which rows are judged.
    in_force: i64,
    /// The greatest time that was seen.
    greatest: i64,
    /// Moves that are not in force yet.
    moves: VecDeque<(Epoch, i64)>,
    /// What this batch brings: moves of the watermark, and rows of a table of late rows.
    told: VecDeque<(Epoch, i64)>,
    latecomers: VecDeque<Latecomer>,
    /// Frozen windows that a restart brings back.
    reborn: Vec<Key>,
}

impl Gate {
    /// As a plan says.
    pub fn new(plan: &Plan, table: usize) -> Option<Gate> {
        let Closing { watermark, end, kind } = plan.memberships[plan.tables[table].kept_by?.0 as usize].closing?;
        let name = &plan.tables[table].name;
        Some(Gate {
            kind,
            watermark,
            end: end.map(|end| end as usize),
            lateness: plan.watermarks[watermark as usize].lateness,
            watermark_name: watermark_name(name),
            in_force_name: in_force_name(name),
            kept_name: kept_name(kind, name),
            waiting: BTreeMap::new(),
            fresh: Vec::new(),
            in_force: i64::MIN,
            greatest: i64::MIN,
            moves: VecDeque::new(),
            told: VecDeque::new(),
            latecomers: VecDeque::new(),
            reborn: Vec::new(),
        })
    }

    /// A row came into the window as its first, or left it as its last.
    pub fn note(&mut self, row: u32) {
        self.fresh.push(row);
    }

    fn end(&self, key: &[Value]) -> i64 {
        match self.end.and_then(|end| key.get(end)) {
            Some(Value::Timestamp(end)) => end.0,
            _ => i64::MAX,
        }
    }

    /// Whether a window with this end was over before the epoch.
    fn is_over(&self, end: i64) -> bool {
        end <= self.in_force.saturating_sub(self.lateness)
    }

    /// Takes the moves of an epoch.
    fn hear(&mut self, epoch: Epoch) {
        while let Some((_, at)) = self.told.pop_front_if(|(of, _)| *of == epoch) {
            self.greatest = self.greatest.max(at);
            self.moves.push_back((epoch, at));
        }
    }
}

/// The documents of one region that do not change any more.
#[derive(Debug, Default)]
pub struct Freezer {
    frozen: Bits,
    /// Closed, and since when; frozen once an epoch is no fill.
    closed: VecDeque<(Epoch, u32)>,
    /// Brought back by a restart in this epoch: what others tell of them is known already.
    restored: HashSet<u32>,
}

impl Freezer {
    fn forget(&mut self, row: u32) {
        self.closed.retain(|(_, closed)| *closed != row);
    }
}

impl Region {
    /// Whether its documents end by a watermark.
    pub(super) fn is_gated(&self) -> bool {
        self.freezer.is_some() || self.gate().is_some()
    }

    fn gate(&self) -> Option<&Gate> {
        self.home.as_ref()?.gate.as_ref()
    }

    /// Takes what the batch brings to the gate.
    pub(super) fn open_gate(&mut self, context: &mut Context) {
        let id = self.layout.id as usize;
        let Some(gate) = self.home.as_mut().and_then(|home| home.gate.as_mut()) else { return };
        let (mut moves, mut late) = (std::mem::take(&mut context.moves[id]), std::mem::take(&mut context.latecomers[id]));
        moves.sort_unstable();
        late.sort_by_key(|latecomer| latecomer.epoch);
        gate.told.extend(moves);
        gate.latecomers.extend(late);
    }

    /// The lowest epoch that the gate has something to do in.
    pub(super) fn gate_epoch(&self, context: &Context) -> Option<Epoch> {
        let gate = self.gate()?;
        let reborn = (!gate.reborn.is_empty()).then_some(context.batch.first);
        let told = gate.told.front().map(|(epoch, _)| *epoch);
        let late = gate.latecomers.front().map(|latecomer| latecomer.epoch);
        [reborn, told, late].into_iter().flatten().min()
    }

    /// Before an epoch: what earlier ones have closed is frozen, and their watermark is in force.
    pub(super) fn promote(&mut self, epoch: Epoch, context: &Context) {
        let live = context.live_until(epoch);
        let counts = |from: Epoch| from < epoch && live >= from;
        let alive = &self.alive;
        if let Some(freezer) = &mut self.freezer {
            while let Some((_, row)) = freezer.closed.pop_front_if(|(from, _)| counts(*from)) {
                if alive.get(row) {
                    freezer.frozen.ensure(row);
                    freezer.frozen.put(row, true);
                }
            }
        }
        if let Some(gate) = self.home.as_mut().and_then(|home| home.gate.as_mut()) {
            while let Some((_, at)) = gate.moves.pop_front_if(|(from, _)| counts(*from)) {
                gate.in_force = gate.in_force.max(at);
            }
        }
    }

    /// Whether a note to a row is dropped; learns from notes that close.
    pub(super) fn drops(&mut self, row: u32, what: &NoteKind) -> bool {
        let Some(freezer) = &mut self.freezer else { return false };
        match what {
            NoteKind::Freeze(since, restored) => {
                freezer.closed.push_back((*since, row));
                if *restored {
                    freezer.restored.insert(row);
                }
                true
            }
            NoteKind::Reopen => {
                freezer.forget(row);
                true
            }
            NoteKind::Death => {
                freezer.forget(row);
                false
            }
            NoteKind::Word(slot, _) | NoteKind::Set(slot, _) | NoteKind::Fail(slot, _) if freezer.restored.contains(&row) => {
                self.layout.told_by_others.contains(slot)
            }
            // What has failed fails again once all rows of a restart are there.
            NoteKind::Thaw => false,
            _ => freezer.frozen.get(row),
        }
    }

    /// A row came into a window, or left it. `false`: the windows do not end, or they are sessions, which rows are told once they are there.
    pub(super) fn note_at_gate(&mut self, row: u32, changes: bool) -> bool {
        let gate = self.home.as_mut().and_then(|home| home.gate.as_mut()).filter(|gate| gate.end.is_some());
        let Some(gate) = gate else { return false };
        if changes {
            gate.note(row);
        }
        true
    }

    /// A document has gone at the end of an epoch; what came into it again within the epoch has kept it, and it is closed as it was.
    pub(super) fn forget_closed(&mut self, row: u32) {
        self.freezer.iter_mut().for_each(|freezer| freezer.forget(row));
    }

    /// At the end of an epoch, before its rows are settled: windows are born and closed, late rows come and go.
    pub(super) fn run_gate(&mut self, epoch: Epoch, context: &mut Context) {
        let Some(mut gate) = self.home.as_mut().and_then(|home| home.gate.take()) else { return };
        if gate.kind == ClosingKind::Late {
            while let Some(latecomer) = gate.latecomers.pop_front_if(|latecomer| latecomer.epoch == epoch) {
                self.latecomer(&gate, &latecomer, context);
            }
            gate.hear(epoch);
        } else {
            std::mem::take(&mut gate.reborn).iter().for_each(|key| self.bear_again(epoch, key, context));
            self.open_windows(&mut gate, context);
            gate.hear(epoch);
            self.close_windows(epoch, &mut gate, context);
        }
        if let Some(home) = &mut self.home {
            home.gate = Some(gate);
        }
    }

    /// A row of a table of late rows; most are not late.
    fn latecomer(&mut self, gate: &Gate, latecomer: &Latecomer, context: &mut Context) {
        let (key, hash) = (&latecomer.key, KeyHash::of(&latecomer.key));
        let table = self.layout.table.0 as usize;
        if latecomer.comes {
            let is_late = match context.restoring {
                true => context.memory.self_of(&gate.kept_name, key).is_some(),
                false => gate.is_over(gate.end(key)),
            };
            if is_late {
                let row = context.directories[table].intern(key, hash);
                context.directories[table].hold(row);
                self.touch(row);
                self.count_in(row);
                self.set_alive(row, true);
            }
        } else if let Some(row) = context.directories[table].find(key, hash).filter(|row| self.lives(*row)) {
            context.directories[table].let_go(row);
            self.touch(row);
            if self.home.as_mut().is_some_and(|home| home.members.leave(row)) {
                self.set_alive(row, false);
            }
        }
    }

    fn count_in(&mut self, row: u32) {
        if let Some(home) = &mut self.home {
            home.members.join(row);
        }
    }

    fn count(&self, row: u32) -> u32 {
        self.home.as_ref().map_or(0, |home| home.members.count(row))
    }

    /// Windows that have rows and are not over wait for their end; those that have none do not.
    fn open_windows(&mut self, gate: &mut Gate, context: &Context) {
        for row in std::mem::take(&mut gate.fresh) {
            let end = gate.end(&self.key(row, context));
            if self.count(row) == 0 {
                gate.waiting.get_mut(&end).map(|rows| rows.remove(&row));
            } else if !gate.is_over(end) {
                gate.waiting.entry(end).or_default().insert(row);
                if gate.kind == ClosingKind::EarlyAndFinal {
                    self.set_alive(row, true);
                }
            }
        }
    }

    /// Closes the windows whose end the watermark has reached.
    fn close_windows(&mut self, epoch: Epoch, gate: &mut Gate, context: &mut Context) {
        let over = gate.greatest.saturating_sub(gate.lateness);
        while let Some(first) = gate.waiting.first_entry().filter(|first| *first.key() <= over) {
            for row in first.remove().into_iter().filter(|row| self.count(*row) > 0).collect::<Vec<_>>() {
                self.touch(row);
                self.set_alive(row, true);
                self.freeze(epoch, row, (epoch, false), context);
            }
        }
    }

    /// A frozen window that a restart brings back.
    fn bear_again(&mut self, epoch: Epoch, key: &Key, context: &mut Context) {
        let directory = &mut context.directories[self.layout.table.0 as usize];
        let row = directory.intern(key, KeyHash::of(key));
        self.touch(row);
        self.set_alive(row, true);
        self.freeze(epoch, row, (0, true), context);
    }

    /// Says in all regions of the table that a document does not change after `since`.
    fn freeze(&mut self, epoch: Epoch, row: u32, (since, restored): (Epoch, bool), context: &mut Context) {
        self.drops(row, &NoteKind::Freeze(since, restored));
        for follower in &self.layout.followers {
            let what = NoteKind::Freeze(since, restored);
            context.inboxes[*follower as usize].push(Note { epoch, row, what });
        }
    }

    /// Gives documents that a restart brings back frozen what others told them.
    pub(super) fn show_restored(&mut self, born: &[u32], context: &Context) {
        let restored: Vec<u32> = match &self.freezer {
            Some(freezer) => born.iter().copied().filter(|row| freezer.restored.contains(row)).collect(),
            None => return,
        };
        for row in restored {
            let key = self.key(row, context);
            for slot in self.layout.told_by_others.clone() {
                let name = self.frozen_name(slot);
                let error = context.memory.self_of(&error_name(&name), &key).and_then(told_error);
                let value = context.memory.self_of(&name, &key).cloned().unwrap_or(Value::Null);
                if let Some(old) = self.rows.set(row, slot, error.map_or(Ok(value), Err)) {
                    self.rows.release(old);
                }
            }
        }
    }

    fn frozen_name(&self, slot: u32) -> String {
        frozen_name(&self.layout.table_name, &self.layout.names[slot as usize])
    }

    /// All rows of a restart are there. What they have closed counts once an epoch is no fill.
    pub(super) fn end_restart(&mut self) {
        if let Some(freezer) = &mut self.freezer {
            freezer.restored.clear();
            freezer.closed.iter_mut().for_each(|(since, _)| *since = (*since).min(LOADED));
        }
        if let Some(gate) = self.home.as_mut().and_then(|home| home.gate.as_mut()) {
            gate.moves.iter_mut().for_each(|(since, _)| *since = LOADED);
        }
    }

    /// Takes over the watermark and the frozen windows from before a restart; those of this worker begin with the next epoch. Where there was none, the
    /// rows to come are a load.
    pub(crate) fn import_gate(&mut self, context: &mut Context) {
        let Some(gate) = self.home.as_mut().and_then(|home| home.gate.as_mut()) else { return };
        let (memory, me, workers) = (&context.memory, context.me, context.workers);
        if let Some(Value::Timestamp(at)) = memory.self_of(&gate.watermark_name, &[]) {
            gate.greatest = at.0;
            gate.moves.push_back((LOADED, at.0));
            context.greatest[gate.watermark as usize] = Some(at.0);
        }
        if let Some(Value::Timestamp(at)) = memory.self_of(&gate.in_force_name, &[]) {
            gate.in_force = at.0;
        }
        if gate.kind != ClosingKind::Late {
            gate.reborn = memory.keys_of(&gate.kept_name).filter(|key| KeyHash::of(key).owner(workers) == me).cloned().collect();
            gate.reborn.sort();
        }
    }

    /// What rows cannot rebuild.
    pub(super) fn export_gate(&self, context: &Context, state: &mut EngineState) {
        if let Some(freezer) = &self.freezer {
            let of_now = |(since, _): &&(Epoch, u32)| *since <= context.last_live;
            let soon: HashSet<u32> = freezer.closed.iter().filter(of_now).map(|(_, row)| *row).collect();
            let closed = |row: &u32| freezer.frozen.get(*row) || soon.contains(row);
            for row in self.living().filter(closed) {
                let key = self.key(row, context);
                for slot in &self.layout.told_by_others {
                    let name = self.frozen_name(*slot);
                    match self.rows.cell(row, *slot) {
                        Ok(Value::Null) => {}
                        Ok(value) => state.selves.push((name.into(), key.clone(), value)),
                        Err(error) => state.selves.push((error_name(&name).into(), key.clone(), error_value(&error))),
                    }
                }
                if let Some(gate) = self.gate() {
                    state.selves.push((gate.kept_name.clone(), key, Value::Bool(true)));
                }
            }
        }
        let Some(gate) = self.gate() else { return };
        if gate.kind == ClosingKind::Late {
            let late = |row| (gate.kept_name.clone(), self.key(row, context), Value::Bool(true));
            state.selves.extend(self.living().map(late));
        }
        let moved = gate.moves.iter().filter(|(since, _)| *since <= context.last_live).map(|(_, at)| *at);
        let in_force = moved.fold(gate.in_force, i64::max);
        for (name, at) in [(&gate.watermark_name, gate.greatest), (&gate.in_force_name, in_force)] {
            if context.me == 0 && at > i64::MIN {
                state.selves.push((name.clone(), [].into(), Value::Timestamp(Timestamp(at))));
            }
        }
    }
}

/// The name of a table's watermark.
pub fn watermark_name(table: &str) -> Arc<str> {
    format!("watermark of {table}").into()
}

/// The name of the watermark by which a table's rows are judged.
pub fn in_force_name(table: &str) -> Arc<str> {
    format!("watermark in force of {table}").into()
}

/// The name under which the documents of a table that closes are kept.
pub fn kept_name(kind: ClosingKind, table: &str) -> Arc<str> {
    let kept = if kind == ClosingKind::Late { "late" } else { "final" };
    format!("{kept} {table}").into()
}

/// The name under which the value in a slot of a frozen document is kept.
pub fn frozen_name(table: &str, slot: &str) -> String {
    format!("final {table}.{slot}")
}

/// The name under which the error in a frozen slot is kept.
fn error_name(slot: &str) -> String {
    format!("error of {slot}")
}

fn error_value(error: &Error) -> Value {
    Value::list([Value::Int(error.code.0.into()), Value::text(error.message.clone())])
}

fn told_error(value: &Value) -> Option<Error> {
    match value {
        Value::List(parts) => match &parts[..] {
            [Value::Int(code), Value::Text(message)] => Some(Error::new(u16::try_from(*code).ok()?, message.to_string())),
            _ => None,
        },
        _ => None,
    }
}
