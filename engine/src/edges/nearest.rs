//! The index of an as-of edge, on the worker of what must be equal: rows in the order of time, and who looks at them.
//!
//! - A row that looks sees the key of the newest row that is no later than itself; of rows of one time the one with the greatest key.
//! - At an epoch's end everybody is told who stands between a row that came or went and the next one: for them, and only for
//!   them, the answer may be another. A row that only moved is one that went and one that came.
//! - INV-NET: what arrives is net; what goes is applied before what comes, so a line never holds a row twice.
//!
//! Cost: O(log n) for a row that comes or goes, and one step for each row that is told. A time and a key a row that may be found, a time
//! and 8 B a row that looks.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use thalweg_formulas::Value;
use thalweg_graph::outcome::Key;
use thalweg_graph::plan::Nearest;
use thalweg_graph::{Epoch, Plan};

use super::mail::{Note, NoteKind, Parcel, ParcelKind, Referrer, Stand, Who};
use crate::context::Context;
use crate::state::KeyHash;

/// Where an as-of edge's answers go.
#[derive(Clone, Debug)]
pub struct NearestTarget {
    /// The region of the rows that look.
    into: u32,
    /// Positions in the key, and the slots there that show them.
    slots: Vec<(u32, u32)>,
}

/// The targets of a plan's as-of edges.
pub fn targets(plan: &Plan) -> Vec<NearestTarget> {
    let target =
        |edge: &Nearest| NearestTarget { into: edge.into.0, slots: edge.slots.iter().map(|(at, slot)| (*at, slot.0)).collect() };
    plan.nearest.iter().map(target).collect()
}

/// The rows with one thing in common.
#[derive(Debug, Default)]
struct Line {
    /// Those that may be found.
    of: BTreeMap<Value, BTreeSet<Key>>,
    /// Those that look.
    near: BTreeSet<(Value, Referrer)>,
}

impl Line {
    /// The newest row at a time.
    fn at(&self, time: &Value) -> Option<&Key> {
        self.of.range(..=time).next_back().and_then(|(_, keys)| keys.last())
    }

    /// Who looks from this time on and before the next row.
    fn between(&self, time: &Value) -> impl Iterator<Item = &(Value, Referrer)> {
        let next = self.of.range::<Value, _>((Bound::Excluded(time), Bound::Unbounded)).next().map(|(next, _)| next);
        let from = (time.clone(), Referrer(0));
        self.near.range(from..).take_while(move |(at, _)| next.is_none_or(|next| at < next))
    }
}

/// Lines by what must be equal.
#[derive(Debug, Default)]
pub struct NearestIndex {
    lines: Vec<Line>,
    references: u64,
    touched: u64,
    /// Of the epoch: who has come to look, and at which times rows came or went.
    came: Vec<(u32, Value, Referrer)>,
    changed: BTreeSet<(u32, Value)>,
}

impl NearestIndex {
    /// Applies a batch in epoch order; `answer` gets what rows that look must be told.
    pub fn run(&mut self, stands: &mut Vec<Stand>, mut answer: impl FnMut(Epoch, Referrer, Option<&Key>)) {
        let order = |stand: &Stand| (stand.epoch, stand.comes);
        if !stands.is_sorted_by_key(order) {
            stands.sort_by_key(order);
        }
        let mut stands = stands.drain(..).peekable();
        while let Some(epoch) = stands.peek().map(|stand| stand.epoch) {
            while let Some(stand) = stands.next_if(|stand| stand.epoch == epoch) {
                self.apply(stand);
            }
            self.answer(epoch, &mut answer);
        }
    }

    fn apply(&mut self, stand: Stand) {
        self.touched += 1;
        if self.lines.len() <= stand.line as usize {
            self.lines.resize_with(stand.line as usize + 1, Line::default);
        }
        let line = &mut self.lines[stand.line as usize];
        self.references = if stand.comes { self.references + 1 } else { self.references - 1 };
        match (stand.who, stand.comes) {
            (Who::Near(row), true) => {
                line.near.insert((stand.time.clone(), row));
                self.came.push((stand.line, stand.time, row));
            }
            (Who::Near(row), false) => drop(line.near.remove(&(stand.time, row))),
            (Who::Of(key), true) => {
                line.of.entry(stand.time.clone()).or_default().insert(key);
                self.changed.insert((stand.line, stand.time));
            }
            (Who::Of(key), false) => {
                let keys = line.of.get_mut(&stand.time).expect("invariant INV-NET: a row leaves where it has come to");
                keys.remove(&key);
                if keys.is_empty() {
                    line.of.remove(&stand.time);
                }
                self.changed.insert((stand.line, stand.time));
            }
        }
    }

    /// At the end of an epoch: everybody for whom the newest row may be another.
    fn answer(&mut self, epoch: Epoch, answer: &mut impl FnMut(Epoch, Referrer, Option<&Key>)) {
        for (line, time, row) in self.came.drain(..) {
            answer(epoch, row, self.lines[line as usize].at(&time));
        }
        for (line, time) in std::mem::take(&mut self.changed) {
            let line = &self.lines[line as usize];
            let newest = line.at(&time);
            line.between(&time).for_each(|(_, row)| answer(epoch, *row, newest));
        }
    }

    /// Rows held now, of both tables.
    pub fn references(&self) -> u64 {
        self.references
    }

    /// Rows that came or went so far.
    pub fn touched(&self) -> u64 {
        self.touched
    }

    /// Bytes held, about.
    pub fn bytes(&self) -> u64 {
        let of = |line: &Line| line.of.values().map(|keys| size_of::<(Value, Key)>() * (keys.len() + 1)).sum::<usize>();
        let line = |line: &Line| size_of::<Line>() + of(line) + line.near.len() * size_of::<(Value, Referrer)>();
        self.lines.iter().map(line).sum::<usize>() as u64
    }
}

impl Context {
    /// Tells an as-of edge that somebody comes to stand at a time, or goes.
    pub fn stand(&mut self, epoch: Epoch, edge: u32, by: &[Value], who: Who, comes: bool, time: Value) {
        let hash = KeyHash::of(by);
        let owner = hash.owner(self.workers);
        if owner == self.me {
            self.stood(edge, by, hash, Stand { epoch, line: 0, who, comes, time });
        } else {
            let what = ParcelKind::Stand(edge, by.into(), who, comes, time);
            self.parcels.push(Parcel { to: owner as u32, epoch, what });
        }
    }

    /// Somebody has reached the worker of the line.
    pub(crate) fn stood(&mut self, edge: u32, by: &[Value], hash: KeyHash, mut stand: Stand) {
        let directory = &mut self.line_keys[edge as usize];
        stand.line = directory.intern(by, hash);
        if stand.comes {
            directory.hold(stand.line)
        } else {
            directory.let_go(stand.line)
        }
        self.stands[edge as usize].push(stand);
    }

    /// Tells a row that looks whom it sees.
    pub fn sees(&mut self, epoch: Epoch, edge: u32, row: Referrer, key: Option<&Key>) {
        if row.worker() == self.me {
            self.seen(epoch, edge, row.row(), key);
        } else {
            let what = ParcelKind::Nearest(edge, row.row(), key.cloned());
            self.parcels.push(Parcel { to: row.worker() as u32, epoch, what });
        }
    }

    pub(crate) fn seen(&mut self, epoch: Epoch, edge: u32, row: u32, key: Option<&Key>) {
        let target = &self.nearest[edge as usize];
        for (at, slot) in &target.slots {
            let value = key.map_or(Value::Null, |key| key[*at as usize].clone());
            let what = NoteKind::Set(*slot, Ok(value).into());
            self.inboxes[target.into as usize].push(Note { epoch, row, what });
        }
    }
}
