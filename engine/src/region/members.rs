//! The home region of a derived table: its documents live as long as rows are in them, and their columns are their key. And the rows: what
//! they tell of the documents that they are in, of which there may be several.

use foldhash::fast::FixedState;
use hashbrown::HashSet;
use thalweg_formulas::{Cell, Timestamp, Value};
use thalweg_graph::plan::Part;

use super::Region;
use super::emit::Telling;
use super::ends::{GroupOut, KeySlots, MemberOut, SessionOut};
use crate::context::Context;
use crate::edges::mail::{Contribution, Given, Referrer};
use crate::edges::sessions::{Told, Visit};
use crate::intake::RowMap;
use crate::intake::mapping::coerced;
use crate::state::KeyBuf;

/// Keys of the documents that a row is in.
type Keys = HashSet<KeyBuf, FixedState>;

impl Region {
    /// A row comes into the document, which the epoch touches.
    pub(super) fn join(&mut self, row: u32) {
        let is_first = self.home.as_mut().is_some_and(|home| home.members.join(row));
        if !self.note_at_gate(row, is_first) && is_first {
            self.set_alive(row, true);
        }
    }

    /// A row leaves the document, which the epoch touches.
    pub(super) fn leave(&mut self, row: u32) {
        let was_last = self.home.as_mut().is_some_and(|home| home.members.leave(row));
        self.note_at_gate(row, was_last);
        if was_last {
            self.set_alive(row, false);
        }
    }

    /// Writes the key into the columns of a document that is born.
    #[cold]
    pub(super) fn write_key(&mut self, row: u32, context: &Context) {
        let key = self.key(row, context);
        let columns = self.layout.derived_key.iter().flatten();
        for (slot, at) in columns {
            if let Some(old) = self.rows.write(row, *slot, key[*at].clone()) {
                self.rows.release(old);
            }
        }
        if self.keeps_whole_rows() {
            let names = context.key_names[self.layout.table.0 as usize].clone();
            let names = names.iter().flat_map(|names| names.iter().cloned().map(Value::text));
            self.put_whole(row, names.zip(key.iter().cloned()).collect::<RowMap>());
        }
    }
}

impl Telling<'_> {
    /// The derived documents that the row leaves, and those that it comes into.
    pub(super) fn membership(&self, out: &MemberOut, context: &mut Context) {
        if !out.key.parts.is_empty() {
            let (from, to) = self.old_and_new_keys(&out.key);
            from.difference(&to).for_each(|key| context.member(self.epoch, out.edge, key, false));
            to.difference(&from).for_each(|key| context.member(self.epoch, out.edge, key, true));
            return;
        }
        let from = if self.is_born() { None } else { self.old_key(&out.key) };
        let to = if self.dies() { None } else { self.new_key(&out.key) };
        if from != to {
            from.iter().for_each(|key| context.member(self.epoch, out.edge, key, false));
            to.iter().for_each(|key| context.member(self.epoch, out.edge, key, true));
        }
    }

    /// What the row gives to the documents that it is in, and takes from those that it leaves.
    #[cold]
    pub(super) fn group_of_many(&self, out: &GroupOut, context: &mut Context) {
        let (from, to) = self.old_and_new_keys(&out.parent);
        let (remove, add) = self.given_before_and_now(out, context);
        let cells = |remove, add| Given::Cells(Contribution { remove, add }.into());
        for key in from.difference(&to) {
            self.contribute(out, Some(key.clone()), cells(remove.clone(), None), context);
        }
        for key in to {
            let stays = from.contains(&key);
            if !stays || remove != add {
                self.contribute(out, Some(key), cells(remove.clone().filter(|_| stays), add.clone()), context);
            }
        }
    }

    /// The time that the row leaves among those of a key, and the one that it comes to.
    pub(super) fn session(&self, out: &SessionOut, context: &mut Context) {
        let place = |key: Option<KeyBuf>, on: Cell| match (key, on) {
            (Some(key), Ok(Value::Timestamp(at))) => Some((key, at.0)),
            _ => None,
        };
        let from = if self.is_born() { None } else { place(self.old_key(&out.key), self.old_cell(out.on)) };
        let to = if self.dies() { None } else { place(self.new_key(&out.key), self.new_cell(out.on)) };
        if from == to {
            return;
        }
        let row = Referrer::new(context.me, self.row);
        let visit =
            |key: &KeyBuf, at, comes, missed| Visit { epoch: self.epoch, key: key.as_slice().into(), at, row, comes, missed };
        from.iter().for_each(|(key, at)| context.visit(out.edge, key, visit(key, *at, false, None)));
        match &to {
            Some((key, at)) => {
                let missed = if context.restoring { self.missed(out, context) } else { None };
                context.visit(out.edge, key, visit(key, *at, true, missed));
            }
            None if self.lives => {
                context.in_session(self.epoch, out.edge, row, Told::Start(None));
                context.in_session(self.epoch, out.edge, row, Told::Missed(None));
            }
            None => {}
        }
    }

    /// When the session starts for which the row came too late before a restart.
    fn missed(&self, out: &SessionOut, context: &Context) -> Option<i64> {
        let name = &context.sessions[out.edge as usize].missed_name;
        match context.memory.self_of(name, &self.key(context)) {
            Some(Value::Timestamp(start)) => Some(start.0),
            _ => None,
        }
    }

    /// A row that is there has a time, which may move a watermark.
    pub(super) fn time(&self, watermark: u32, slot: u32, context: &mut Context) {
        if let (true, Ok(Value::Timestamp(at))) = (self.lives, self.new_cell(slot)) {
            context.advance(self.epoch, watermark, at.0);
        }
    }

    pub(super) fn is_born(&self) -> bool {
        self.moved.is_none() && self.lives
    }

    pub(super) fn dies(&self) -> bool {
        self.moved.is_none() && !self.lives
    }

    fn old_and_new_keys(&self, slots: &KeySlots) -> (Keys, Keys) {
        let old = if self.is_born() { Keys::default() } else { slots.read_all(|slot| self.old_cell(slot)) };
        let new = if self.dies() { Keys::default() } else { slots.read_all(|slot| self.new_cell(slot)) };
        (old, new)
    }
}

impl KeySlots {
    /// The keys of all documents that the slots name; a key with a part that is NULL, in error or not of its type is none.
    ///
    /// Cost: the product of the lengths of the lists among them.
    fn read_all(&self, cell: impl Fn(u32) -> Cell) -> Keys {
        let mut keys = vec![KeyBuf::new()];
        for ((slot, ty), part) in self.slots.iter().zip(&self.types).zip(&self.parts) {
            let Ok(value) = cell(*slot) else { return Keys::default() };
            let typed = |value: Value| coerced(value, ty).ok().filter(|value| !value.is_null());
            let values: Vec<Value> = match (part, value) {
                (Part::One, value) => typed(value).into_iter().collect(),
                (Part::Each, Value::List(items)) => items.iter().cloned().filter_map(typed).collect(),
                (Part::Each, _) => Vec::new(),
                (Part::Later(by), _) => {
                    keys.retain_mut(|key| lengthen(key, *by));
                    continue;
                }
            };
            let with = |key: &KeyBuf, value: &Value| key.iter().chain([value]).cloned().collect::<KeyBuf>();
            keys = keys.iter().flat_map(|key| values.iter().map(move |value| with(key, value))).collect();
        }
        keys.into_iter().collect()
    }
}

/// Adds the timestamp that is so much later than the key's last; `false` if there is none.
fn lengthen(key: &mut KeyBuf, by: i64) -> bool {
    let Some(Value::Timestamp(start)) = key.last() else { return false };
    let end = start.0.checked_add(by);
    key.extend(end.map(|end| Value::Timestamp(Timestamp(end))));
    end.is_some()
}
