//! Telling everybody who wants to know what a row's epoch has changed.
//!
//! - A field's line says what a reader sees: the last good value where the field is in error. So an error alone is no delta.
//! - A group edge hears the net change of its contribution and parent; a lookup edge that of its reference.
//! - An effect fires when its condition rises: it is true and was not, errors in between left out. The condition's errors are told
//!   under the effect's name. With `rearm = "level"` each firing arms a timer, which fires it again; it goes when the condition falls.

use std::cell::OnceCell;
use std::sync::Arc;

use smallvec::SmallVec;
use thalweg_formulas::{Cell, Timestamp, Value};
use thalweg_graph::Epoch;
use thalweg_graph::outcome::deltas::Side;
use thalweg_graph::outcome::{ErrorChange, Fired, Key, RuleId, TimerArmed, TimerCancelled, TimerOf};
use thalweg_graph::plan::Rearm;
use thalweg_graph::transaction::TimerFired;

use super::Region;
use super::ends::{Gives, GroupOut, KeySlots, PairOut, ReferOut, StandOut};
use super::layout::{Consumer, EffectHere, Told};
use super::pad::Moved;
use crate::context::Context;
use crate::edges::mail::{Ask, AskKind, Contribution, Given, MeetKind, Note, NoteKind, Referrer, Shown, Who};
use crate::intake::mapping::coerced;
use crate::state::{KeyBuf, KeyHash, Raw, Tag};

/// One row in one epoch, as its consumers hear of it.
pub(super) struct Telling<'a> {
    region: &'a Region,
    pub(super) epoch: Epoch,
    pub(super) row: u32,
    /// What moved; `None` at birth and death.
    pub(super) moved: Option<&'a [Moved]>,
    pub(super) lives: bool,
    /// Deltas are wanted.
    reports: bool,
    key: OnceCell<Key>,
}

impl Region {
    /// A living document changed.
    pub(super) fn emit_change(&self, epoch: Epoch, row: u32, moved: &[Moved], context: &mut Context) {
        let telling = self.telling(epoch, row, Some(moved), true, context);
        if !self.layout.fields.is_empty() {
            for entry in moved.iter().filter(|entry| !entry.told) {
                if let Some(told) = self.layout.told[entry.slot as usize] {
                    telling.field(told, entry.slot, entry.old, self.rows.raw(row, entry.slot), context);
                }
            }
            telling.end_record(context);
        }
        if self.layout.tells_more {
            for (at, entry) in moved.iter().enumerate() {
                for consumer in &self.layout.consumers[entry.slot as usize] {
                    telling.tell(consumer, entry, &moved[..at], context);
                }
            }
        }
    }

    /// A document appeared: every watched slot is new.
    pub(super) fn emit_birth(&self, epoch: Epoch, row: u32, context: &mut Context) {
        self.telling(epoch, row, None, true, context).tell_all(context);
    }

    /// As [`Region::emit_birth`], without what its families of edges give.
    pub(super) fn emit_birth_but_families(&self, epoch: Epoch, row: u32, context: &mut Context) {
        let telling = self.telling(epoch, row, None, true, context);
        telling.tell_most(context);
        self.layout.singles.iter().for_each(|out| telling.group(&self.layout.groups_out[*out as usize], context));
    }

    /// What a document that appeared gives along one group edge.
    pub(super) fn emit_group_birth(&self, epoch: Epoch, row: u32, out: u32, context: &mut Context) {
        self.telling(epoch, row, None, true, context).group(&self.layout.groups_out[out as usize], context);
    }

    /// A document is about to go: every watched slot ends.
    pub(super) fn emit_death(&self, epoch: Epoch, row: u32, context: &mut Context) {
        self.telling(epoch, row, None, false, context).tell_all(context);
    }

    /// Effects that the timer brings up again for its document.
    pub(super) fn remind(&self, epoch: Epoch, timer: &TimerFired, context: &mut Context) {
        let effects = self.layout.effects.iter().filter(|effect| effect.reminder.as_ref() == Some(&timer.event));
        let directory = &context.directories[self.layout.table.0 as usize];
        let row = directory.find(&timer.key, KeyHash::of(&timer.key)).filter(|row| self.alive.get(*row));
        if let Some(row) = row {
            effects.for_each(|effect| self.telling(epoch, row, None, true, context).remind(effect, context));
        }
    }

    fn telling<'a>(&'a self, epoch: Epoch, row: u32, moved: Option<&'a [Moved]>, lives: bool, context: &Context) -> Telling<'a> {
        Telling { region: self, epoch, row, moved, lives, reports: context.reports(epoch), key: OnceCell::new() }
    }
}

impl Telling<'_> {
    /// Everybody, at birth or death.
    fn tell_all(&self, context: &mut Context) {
        self.tell_most(context);
        self.region.layout.groups_out.iter().for_each(|out| self.group(out, context));
    }

    /// Everybody but the group edges, at birth or death.
    fn tell_most(&self, context: &mut Context) {
        let layout = &self.region.layout;
        // Where nobody reads deltas, fields tell only their errors, and so do effects in a fill.
        let may_fail = !self.region.rows.is_plain(self.row);
        if self.reports || may_fail {
            self.tell_fields(context);
        }
        // A document that goes in a fill takes its reminders along.
        if may_fail || !self.lives || !context.batch.info(self.epoch).fill {
            layout.effects.iter().for_each(|effect| self.effect(effect, None, context));
        }
        for slot in &layout.watched {
            for consumer in &layout.consumers[*slot as usize] {
                self.tell_value(consumer, *slot, context);
            }
        }
        layout.references.iter().for_each(|out| self.reference(out, context));
        layout.members_out.iter().for_each(|out| self.membership(out, context));
        layout.sessions_out.iter().for_each(|out| self.session(out, context));
        layout.pairs_out.iter().for_each(|out| self.pairing(out, context));
        layout.times_out.iter().for_each(|(watermark, slot)| self.time(*watermark, *slot, context));
        layout.stands_out.iter().for_each(|out| self.standing(out, context));
        (0..layout.clocked.len()).for_each(|at| self.region.tell_clock(self.epoch, self.row, at, self.lives, context));
    }

    /// The fields, at birth or death.
    fn tell_fields(&self, context: &mut Context) {
        for (slot, told) in &self.region.layout.fields {
            let here = self.region.rows.raw(self.row, *slot);
            if !self.reports && here.tag != Tag::Failed {
                continue;
            }
            let (before, after) = if self.lives { (Raw::NULL, here) } else { (here, Raw::NULL) };
            self.field(*told, *slot, before, after, context);
        }
        self.end_record(context);
    }

    /// One consumer of a slot that moved; an edge that reads several slots is told at the first of them.
    fn tell(&self, consumer: &Consumer, entry: &Moved, earlier: &[Moved], context: &mut Context) {
        let told = |slots: &[u32]| earlier.iter().any(|entry| slots.contains(&entry.slot));
        let layout = &self.region.layout;
        match consumer {
            Consumer::Carry { .. } | Consumer::Value { .. } => self.tell_value(consumer, entry.slot, context),
            Consumer::Group(at) => {
                let out = &layout.groups_out[*at as usize];
                if !told(&out.reads) {
                    self.group(out, context);
                }
            }
            Consumer::Refer(at) => {
                let out = &layout.references[*at as usize];
                if !told(&out.via.slots) {
                    self.reference(out, context);
                }
            }
            Consumer::Member(at) => {
                let out = &layout.members_out[*at as usize];
                if !told(&out.key.slots) {
                    self.membership(out, context);
                }
            }
            Consumer::Time(watermark) => self.time(*watermark, entry.slot, context),
            Consumer::Session(at) => {
                let out = &layout.sessions_out[*at as usize];
                if !told(&out.key.slots) && !told(&[out.on]) {
                    self.session(out, context);
                }
            }
            Consumer::Pair(at) => {
                let out = &layout.pairs_out[*at as usize];
                if !told(&out.reads) {
                    self.pairing(out, context);
                }
            }
            Consumer::Stand(at) => {
                let out = &layout.stands_out[*at as usize];
                if !told(&out.place.slots) {
                    self.standing(out, context);
                }
            }
            Consumer::Effect(at) => self.effect(&layout.effects[*at as usize], Some(entry.old), context),
            Consumer::Clock(at) => self.region.tell_clock(self.epoch, self.row, *at as usize, self.lives, context),
        }
    }

    /// A slot that is wanted elsewhere as it is.
    fn tell_value(&self, consumer: &Consumer, slot: u32, context: &mut Context) {
        match consumer {
            Consumer::Carry { region, slot: to, in_words } if self.lives => {
                let what = match self.region.rows.raw(self.row, slot) {
                    Raw { tag: Tag::Inline, word } if *in_words => NoteKind::Word(*to, word),
                    raw => match self.region.rows.failure(raw) {
                        Some(failure) => NoteKind::Fail(*to, failure.clone().into()),
                        None => NoteKind::Set(*to, self.new_cell(slot).into()),
                    },
                };
                context.inboxes[*region as usize].push(Note { epoch: self.epoch, row: self.row, what });
            }
            Consumer::Value { lookup, position } => {
                let cell = if self.lives { self.new_cell(slot) } else { Ok(Value::Null) };
                let what = AskKind::Value(*position, cell);
                context.asks[*lookup as usize].push(Ask { epoch: self.epoch, row: self.row, what });
            }
            Consumer::Carry { .. }
            | Consumer::Group(_)
            | Consumer::Refer(_)
            | Consumer::Member(_)
            | Consumer::Session(_)
            | Consumer::Pair(_)
            | Consumer::Time(_)
            | Consumer::Stand(_)
            | Consumer::Effect(_)
            | Consumer::Clock(_) => {}
        }
    }

    pub(super) fn key(&self, context: &Context) -> Key {
        self.key.get_or_init(|| self.region.key(self.row, context)).clone()
    }

    pub(super) fn new_cell(&self, slot: u32) -> Cell {
        self.region.rows.cell(self.row, slot)
    }

    /// What a slot held before the epoch; NULL for a document that was not there.
    pub(super) fn old_cell(&self, slot: u32) -> Cell {
        match self.moved {
            Some(moved) => {
                let old = moved.iter().find(|entry| entry.slot == slot).map(|entry| entry.old);
                old.map_or_else(|| self.new_cell(slot), |old| self.region.rows.cell_of(slot, old))
            }
            None if self.lives => Ok(Value::Null),
            None => self.new_cell(slot),
        }
    }

    /// What a field tells: its new value, and errors where there are any.
    #[inline]
    fn field(&self, told: Told, slot: u32, before: Raw, after: Raw, context: &mut Context) {
        if told.in_words && before.tag == Tag::Inline && after.tag == Tag::Inline {
            if self.reports && before.word != after.word {
                context.out.deltas.words(told.node, before.word, after.word);
            }
        } else {
            self.field_of_any_kind(told, slot, before, after, context);
        }
    }

    fn field_of_any_kind(&self, told: Told, slot: u32, before: Raw, after: Raw, context: &mut Context) {
        let failed = before.tag == Tag::Failed || after.tag == Tag::Failed;
        let moved = if failed {
            self.errors(&context.legend.nodes[told.node as usize].0.clone(), before, after, context);
            self.region.rows.last_good(slot, before) != self.region.rows.last_good(slot, after)
        } else {
            before != after
        };
        if self.reports && moved {
            context.out.deltas.change(told.node, self.side(told, slot, before), self.side(told, slot, after));
        }
    }

    fn side(&self, told: Told, slot: u32, raw: Raw) -> Side {
        match raw.tag {
            Tag::Null => Side::Null,
            Tag::Inline if told.in_words => Side::Word(raw.word),
            Tag::Inline | Tag::Boxed | Tag::Failed => match self.region.rows.last_good(slot, raw) {
                Value::Null => Side::Null,
                value => Side::Value(value),
            },
        }
    }

    /// The fields that were told are those of this document.
    #[inline]
    fn end_record(&self, context: &mut Context) {
        let directory = &context.directories[self.region.layout.table.0 as usize];
        context.out.deltas.end_record(self.epoch, !self.lives, |keys| directory.write_key(self.row, keys));
    }

    /// The error of a field or of an effect's condition withdrawn, and its new one.
    #[cold]
    fn errors(&self, name: &Arc<str>, before: Raw, after: Raw, context: &mut Context) {
        let rows = &self.region.rows;
        for (failure, cleared) in [(rows.failure(before), true), (rows.failure(after), false)] {
            if let Some(failure) = failure {
                let (node, error) = (name.clone(), failure.error.clone());
                context.out.errors.push(ErrorChange { epoch: self.epoch, node, key: self.key(context), error, cleared });
            }
        }
    }

    fn group(&self, out: &GroupOut, context: &mut Context) {
        if !out.parent.parts.is_empty() {
            self.group_of_many(out, context);
        } else if !self.group_in_words(out, context) {
            self.group_of_any_kind(out, context);
        }
    }

    /// The usual case: the child stays with its parent, or comes or goes with what it gives, and that is a word before and after.
    fn group_in_words(&self, out: &GroupOut, context: &mut Context) -> bool {
        let here = self.region.rows.raw(self.row, out.contribution);
        let given = match self.moved {
            _ if !out.in_words || here.tag != Tag::Inline => return false,
            None if self.lives => Given::Add(here.word),
            None => Given::Remove(here.word),
            Some(moved) => {
                let moves = |slots: &[u32]| moved.iter().any(|entry| slots.contains(&entry.slot));
                match moved.iter().find(|entry| entry.slot == out.contribution) {
                    Some(entry) if entry.old.tag == Tag::Inline && !moves(&out.parent.slots) => {
                        Given::Swap(entry.old.word, here.word)
                    }
                    _ => return false,
                }
            }
        };
        match self.only_key(&out.parent) {
            Some(key) => context.contribute(self.epoch, out.group, std::slice::from_ref(&key), given),
            None => self.contribute(out, self.new_key(&out.parent), given, context),
        }
        true
    }

    fn group_of_any_kind(&self, out: &GroupOut, context: &mut Context) {
        let (remove, add) = self.given_before_and_now(out, context);
        let moves = self.moved.is_some_and(|moved| moved.iter().any(|entry| out.parent.slots.contains(&entry.slot)));
        if moves {
            let (from, to) = (self.old_key(&out.parent), self.new_key(&out.parent));
            if from != to {
                self.contribute(out, from, Given::Cells(Contribution { remove, add: None }.into()), context);
                self.contribute(out, to, Given::Cells(Contribution { remove: None, add }.into()), context);
                return;
            }
        }
        if remove != add {
            self.contribute(out, self.new_key(&out.parent), Given::Cells(Contribution { remove, add }.into()), context);
        }
    }

    /// What the row gave an aggregate before the epoch, and what it gives now.
    pub(super) fn given_before_and_now(&self, out: &GroupOut, context: &Context) -> (Option<Cell>, Option<Cell>) {
        let skips = out.gives != Gives::ValueOrNull;
        let give = |cell: Cell| if skips && matches!(cell, Ok(Value::Null)) { None } else { Some(cell) };
        let remove = if self.is_born() { None } else { give(self.given(out, |slot| self.old_cell(slot), context)) };
        let add = if self.dies() { None } else { give(self.given(out, |slot| self.new_cell(slot), context)) };
        (remove, add)
    }

    /// What the row gives an aggregate, as told by `cell`; NULL: nothing.
    #[inline]
    fn given(&self, out: &GroupOut, cell: impl Fn(u32) -> Cell, context: &Context) -> Cell {
        match out.gives {
            Gives::Value | Gives::ValueOrNull => cell(out.contribution),
            Gives::Pair | Gives::Place => self.given_tuple(out, cell, context),
        }
    }

    fn given_tuple(&self, out: &GroupOut, cell: impl Fn(u32) -> Cell, context: &Context) -> Cell {
        let value = cell(out.contribution)?;
        let second = out.second.map(cell).transpose()?;
        if value.is_null() {
            return Ok(Value::Null);
        }
        let mut tuple: SmallVec<[Value; 4]> = std::iter::once(value).chain(second).collect();
        if out.gives == Gives::Place {
            context.write_key(self.region.layout.table, self.row, &mut tuple);
        }
        Ok(Value::List(Arc::from(&tuple[..])))
    }

    #[inline]
    pub(super) fn contribute(&self, out: &GroupOut, key: Option<KeyBuf>, given: Given, context: &mut Context) {
        if let Some(key) = key.filter(|_| given.ends() != (false, false)) {
            context.contribute(self.epoch, out.group, &key, given);
        }
    }

    fn reference(&self, out: &ReferOut, context: &mut Context) {
        let born = self.moved.is_none() && self.lives;
        let dies = self.moved.is_none() && !self.lives;
        let from = if born { None } else { self.old_key(&out.via) };
        let to = if dies { None } else { self.new_key(&out.via) };
        if from == to {
            return;
        }
        if let Some(from) = &from {
            context.refer(self.epoch, out.lookup, from, self.row, false);
        }
        match &to {
            Some(to) => context.refer(self.epoch, out.lookup, to, self.row, true),
            None if self.lives => self.sees_nothing(out.into, &out.slots, context),
            None => {}
        }
    }

    /// The rows of a join's other side that the row leaves, and those that it meets.
    fn pairing(&self, out: &PairOut, context: &mut Context) {
        let born = self.moved.is_none() && self.lives;
        let dies = self.moved.is_none() && !self.lives;
        let from = if born { None } else { self.old_key(&out.on) };
        let to = if dies { None } else { self.new_key(&out.on) };
        let shows_more = self.moved.is_some_and(|moved| moved.iter().any(|entry| out.given.contains(&entry.slot)));
        if from == to && !shows_more {
            return;
        }
        if let Some(from) = &from {
            context.meet(self.epoch, out.join, out.is_right, from, self.row, MeetKind::Leave);
        }
        if let Some(to) = &to {
            let shown = Shown { given: out.given.iter().map(|slot| self.new_cell(*slot)).collect(), name: None };
            context.meet(self.epoch, out.join, out.is_right, to, self.row, MeetKind::Come(shown));
        }
    }

    /// Where the row stands on the line of an as-of edge, and where it no longer does.
    fn standing(&self, out: &StandOut, context: &mut Context) {
        let born = self.moved.is_none() && self.lives;
        let dies = self.moved.is_none() && !self.lives;
        let from = if born { None } else { self.old_key(&out.place) };
        let to = if dies { None } else { self.new_key(&out.place) };
        if from == to {
            return;
        }
        if let (None, true, Some((into, slots))) = (&to, self.lives, &out.looks) {
            self.sees_nothing(*into, slots, context);
        }
        for (place, comes) in [(from, false), (to, true)] {
            let Some((time, by)) = place.as_ref().and_then(|place| place.split_last()) else { continue };
            let who = match &out.looks {
                Some(_) => Who::Near(Referrer::new(context.me, self.row)),
                None => Who::Of(self.key(context)),
            };
            context.stand(self.epoch, out.edge, by, who, comes, time.clone());
        }
    }

    /// A row that refers to nothing sees NULL.
    fn sees_nothing(&self, into: u32, slots: &[u32], context: &mut Context) {
        for slot in slots {
            let what = NoteKind::Set(*slot, Ok(Value::Null).into());
            context.inboxes[into as usize].push(Note { epoch: self.epoch, row: self.row, what });
        }
    }

    /// The other document's key where it is one value that stands in a word of the key's type.
    #[inline]
    fn only_key(&self, slots: &KeySlots) -> Option<Value> {
        let ([slot], [ty]) = (&slots.slots[..], &slots.types[..]) else { return None };
        let raw = self.region.rows.raw(self.row, *slot);
        let value = (raw.tag == Tag::Inline).then(|| self.region.rows.last_good(*slot, raw))?;
        coerced(value, ty).ok()
    }

    pub(super) fn new_key(&self, slots: &KeySlots) -> Option<KeyBuf> {
        slots.read(|slot| self.new_cell(slot))
    }

    pub(super) fn old_key(&self, slots: &KeySlots) -> Option<KeyBuf> {
        slots.read(|slot| self.old_cell(slot))
    }

    fn effect(&self, effect: &EffectHere, old: Option<Raw>, context: &mut Context) {
        let rows = &self.region.rows;
        let here = rows.raw(self.row, effect.when);
        let (before, after) = match old {
            Some(old) => (old, here),
            None if self.lives => (Raw::NULL, here),
            None => (here, Raw::NULL),
        };
        if before.tag == Tag::Failed || after.tag == Tag::Failed {
            self.errors(&effect.name, before, after, context);
        }
        if effect.reminder.is_some() {
            self.stop_reminding(effect, before, after, context);
        }
        if context.batch.info(self.epoch).fill {
            return;
        }
        let was = old.is_some_and(|old| rows.last_good(effect.when, old).is_true());
        let is = self.lives && self.new_cell(effect.when).is_ok_and(|value| value.is_true());
        if !was && is {
            self.fire(effect, context);
        }
    }

    /// The condition of an effect with reminders has fallen: its timer goes. An error is no fall: the last good value stands.
    fn stop_reminding(&self, effect: &EffectHere, before: Raw, after: Raw, context: &mut Context) {
        let held = |raw: Raw| self.region.rows.last_good(effect.when, raw).is_true();
        if held(before) && !held(after) {
            let table = context.table_names[self.region.layout.table.0 as usize].clone();
            let (epoch, rule, key) = (self.epoch, TimerOf::Effect(effect.effect), self.key(context));
            context.out.cancelled.push(TimerCancelled { epoch, rule, table, key });
        }
    }

    /// A reminder is due: the effect fires again if its condition holds, and is brought up later where that is in error.
    fn remind(&self, effect: &EffectHere, context: &mut Context) {
        let rows = &self.region.rows;
        match self.new_cell(effect.when) {
            Ok(value) if value.is_true() => self.fire(effect, context),
            Err(_) if rows.last_good(effect.when, rows.raw(self.row, effect.when)).is_true() => {
                self.remind_later(effect, context)
            }
            _ => {}
        }
    }

    fn remind_later(&self, effect: &EffectHere, context: &mut Context) {
        let (Rearm::Level(every), Some(event)) = (effect.rearm, &effect.reminder) else { return };
        let table = context.table_names[self.region.layout.table.0 as usize].clone();
        let due = Timestamp(context.batch.info(self.epoch).at.0.saturating_add(every));
        let (epoch, rule, event, key) = (self.epoch, RuleId::Effect(effect.effect), event.clone(), self.key(context));
        context.out.timers.push(TimerArmed { epoch, rule, event, table, key, due });
    }

    fn fire(&self, effect: &EffectHere, context: &mut Context) {
        let key = self.key(context);
        let rule = context.triggers.rule(&effect.name);
        if effect.rearm == Rearm::Once && context.triggers.has_fired(rule, &key) {
            return;
        }
        let version = context.triggers.fire(rule, &key);
        let shown = |slot: u32| self.region.shown(self.row, slot);
        let payload = Value::record(effect.payload.iter().map(|(name, slot)| (name.clone(), shown(*slot))));
        let (epoch, node, rule) = (self.epoch, effect.name.clone(), RuleId::Effect(effect.effect));
        context.out.fired.push(Fired { epoch, node, rule, key, version, payload });
        self.remind_later(effect, context);
    }
}

impl KeySlots {
    /// The other document's key; none where a part is NULL, in error, or not of the key's type.
    fn read(&self, cell: impl Fn(u32) -> Cell) -> Option<KeyBuf> {
        let mut key = KeyBuf::new();
        for (slot, ty) in self.slots.iter().zip(&self.types) {
            match coerced(cell(*slot).ok()?, ty).ok()? {
                Value::Null => return None,
                value => key.push(value),
            }
        }
        Some(key)
    }
}
