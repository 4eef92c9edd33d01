//! Folding row changes into the rows: everything that one epoch says of a row becomes one net change.
//!
//! Writes go to the rows at once and the pad remembers what they held, so insert and update make an insert, insert and delete
//! make nothing, delete and insert make an update. A change that cannot be applied is an error on the table's name, the row
//! stays as it was, and the rest of the transaction goes on: so nothing is written before all of a change is known to fit.
//!
//! `redundant` counts changes after which nothing kept is different, `contradicted` before-images that differ from what is kept;
//! columns that nobody reads are not kept and not compared.

use std::sync::Arc;

use thalweg_formulas::{Error, Value};
use thalweg_graph::outcome::ErrorChange;
use thalweg_graph::{Change, Epoch, Op, Row};

use super::Region;
use super::ahead::AHEAD;
use crate::context::Context;
use crate::intake::mapping::{MappedColumn, NoDocument, verb};
use crate::intake::{Identity, Image, Mapping, RowMap, What, errors};
use crate::state::{KeyBuf, KeyHash};

/// A change about to be folded.
pub(super) struct Folding<'a> {
    pub(super) epoch: Epoch,
    pub(super) mapping: &'a Mapping,
    /// Changes are all that the region hears of in the epoch.
    pub(super) is_untold: bool,
}

impl Region {
    /// Folds one arrival into the epoch at hand; `mappings` are all, by number. `is_untold`: changes are all that the region hears of in the
    /// epoch.
    pub(crate) fn fold(&mut self, epoch: Epoch, what: What, is_untold: bool, mappings: &[Arc<Mapping>], context: &mut Context) {
        let folding = |id: u32| Folding { epoch, mapping: &mappings[id as usize], is_untold };
        match what {
            What::Change(id, mut change) => self.fold_change(&folding(id), &mut change, None, context),
            What::Changes(id, changes) => self.fold_changes(&folding(id), changes, context),
            What::Take(id, taken) => {
                context.out.counts.changes += 1;
                let (identity, mut before) = *taken;
                let mapping = &mappings[id as usize];
                if let Some(row) = self.find(mapping, &identity, context) {
                    self.compare_before(&folding(id), row, before.as_mut(), context);
                }
                self.vanish(mapping, &identity, context);
            }
            What::Place(id, placed) => {
                let (identity, image) = *placed;
                self.appear(&folding(id), &identity, image, context);
            }
            What::Timer(_) => {}
        }
    }

    fn fold_changes(&mut self, folding: &Folding<'_>, mut changes: Vec<Change>, context: &mut Context) {
        if self.can_fill(folding, &changes, context) {
            self.fill(folding, changes, context);
        } else {
            for some in changes.chunks_mut(AHEAD) {
                let rows = self.rows_of_changes(folding.mapping, some, context);
                let known = rows.into_iter().chain(std::iter::repeat(None));
                some.iter_mut().zip(known).for_each(|(change, row)| self.fold_change(folding, change, row, context));
            }
        }
    }

    /// Folds a change; `row` is that of its document, where it is known. A row that a key has stays its own within a batch.
    fn fold_change(&mut self, folding: &Folding<'_>, change: &mut Change, row: Option<u32>, context: &mut Context) {
        context.out.counts.changes += 1;
        if !self.fold_plain(folding, change, row, context) {
            self.fold_any(folding, change, context);
        }
    }

    pub(super) fn refuse(&mut self, epoch: Epoch, key: &[Value], error: Error, context: &mut Context) {
        let node = context.table_names[self.layout.table.0 as usize].clone();
        context.out.errors.push(ErrorChange { epoch, node, key: key.into(), error, cleared: false });
    }

    /// The common case, in which nothing has to be copied: an insert, update or delete of a document that the change names plainly.
    /// Does nothing where it is another case.
    fn fold_plain(&mut self, folding: &Folding<'_>, change: &mut Change, row: Option<u32>, context: &mut Context) -> bool {
        let Some(key) = folding.mapping.plain_key(change) else { return false };
        let key = std::slice::from_ref(key);
        let find = || context.directories[self.layout.table.0 as usize].find(key, KeyHash::of(key));
        let row = row.or_else(find).filter(|row| self.lives(*row));
        match (change.op, row) {
            (Op::Delete, Some(row)) => {
                self.compare_before(folding, row, change.before.as_mut(), context);
                self.vanish_row(row);
            }
            (Op::Update, Some(row)) if self.update_plainly(folding.mapping, row, change, context) => {}
            (Op::Update, Some(row)) => {
                if let Err(error) = self.update(folding, row, change, context) {
                    let key = self.key(row, context);
                    self.refuse(folding.epoch, &key, error, context);
                }
            }
            (Op::Insert, None) => {
                let key: KeyBuf = key.into();
                if let Err(error) = self.insert(folding, &key, change, context) {
                    self.refuse(folding.epoch, &key, error, context);
                }
            }
            _ => return false,
        }
        true
    }

    /// Any change.
    pub(super) fn fold_any(&mut self, folding: &Folding<'_>, change: &mut Change, context: &mut Context) {
        let Identity { key, moved_to } = match folding.mapping.identity(change) {
            Ok(identity) => identity,
            Err(NoDocument { key, error }) => return self.refuse(folding.epoch, &key, error, context),
        };
        let op = change.op;
        let row = self.find(folding.mapping, &key, context);
        let done = match (op, row, &moved_to) {
            (Op::Update | Op::Upsert, Some(row), Some(to)) => self.change_key(folding, row, &key, to, change, context),
            (Op::Upsert, None, Some(to)) => match self.find(folding.mapping, to, context) {
                Some(row) => self.update(folding, row, change, context),
                None => self.insert(folding, to, change, context),
            },
            (Op::Update, Some(row), None) => self.update(folding, row, change, context),
            (Op::Upsert, Some(row), None) if !folding.mapping.key.multiset => self.update(folding, row, change, context),
            (Op::Insert | Op::Upsert, None, _) => self.insert(folding, &key, change, context),
            (Op::Insert | Op::Upsert, Some(_), _) if folding.mapping.key.multiset => self.insert(folding, &key, change, context),
            (Op::Insert | Op::Upsert, Some(_), _) => Err(errors::already_there()),
            (Op::Delete, Some(row), _) => {
                self.compare_before(folding, row, change.before.as_mut(), context);
                self.vanish(folding.mapping, &key, context);
                Ok(())
            }
            (Op::Update | Op::Delete, None, _) => Err(errors::missing(verb(op))),
        };
        if let Err(error) = done {
            // An upsert of a document that is not there is about the key that it gives.
            let named = moved_to.filter(|_| op == Op::Upsert && row.is_none()).unwrap_or(key);
            self.refuse(folding.epoch, &named, error, context);
        }
    }

    /// The living row of a document; of a multiset's, the last of its occurrences.
    fn find(&self, mapping: &Mapping, identity: &[Value], context: &Context) -> Option<u32> {
        let directory = &context.directories[self.layout.table.0 as usize];
        let row = match self.occurrence(mapping, identity) {
            None => directory.find(identity, KeyHash::of(identity))?,
            Some(count) => {
                let key = document_key(identity, count);
                directory.find(&key, KeyHash::of(&key))?
            }
        };
        self.lives(row).then_some(row)
    }

    /// Whether the row's document lives, the epoch at hand included.
    pub(crate) fn lives(&self, row: u32) -> bool {
        self.alive.get(row)
    }

    /// How many rows of these values a multiset has; `None` for a table with a key.
    fn occurrence(&self, mapping: &Mapping, identity: &[Value]) -> Option<u64> {
        let home = self.home.as_ref().filter(|_| mapping.key.multiset)?;
        Some(home.occurrences.get(identity).copied().unwrap_or(0))
    }

    fn insert(&mut self, folding: &Folding<'_>, key: &[Value], change: &mut Change, context: &mut Context) -> Result<(), Error> {
        let after = after(folding.mapping, change.op, &mut change.after)?;
        let (touch, row) = self.come_alive(folding, key, context);
        for (slot, value) in folding.mapping.key_slots(key) {
            self.write(touch, row, slot, value.clone());
        }
        if self.keeps_whole_rows() {
            let mut whole = RowMap::new();
            complete(folding.mapping, &mut whole, after);
            folding.mapping.write_key(&mut whole, key);
            self.put_whole(row, whole);
        }
        for (slot, value) in taken(folding.mapping, after) {
            if !folding.mapping.is_key_slot(slot) {
                self.write(touch, row, slot, value);
            }
        }
        Ok(())
    }

    fn update(&mut self, folding: &Folding<'_>, row: u32, change: &mut Change, context: &mut Context) -> Result<(), Error> {
        let after = after(folding.mapping, change.op, &mut change.after)?;
        self.compare_before(folding, row, change.before.as_mut(), context);
        let touch = self.touch_again(row);
        let mut changed = self.update_whole(folding.mapping, row, after);
        for (slot, value) in taken(folding.mapping, after) {
            changed |= self.write(touch, row, slot, value);
        }
        context.out.counts.redundant += u64::from(!changed);
        Ok(())
    }

    /// A change of key is a delete and an insert, refused whole if the new key is taken.
    fn change_key(
        &mut self,
        folding: &Folding<'_>,
        row: u32,
        from: &KeyBuf,
        to: &KeyBuf,
        change: &mut Change,
        context: &mut Context,
    ) -> Result<(), Error> {
        if !folding.mapping.key.multiset && self.find(folding.mapping, to, context).is_some() {
            return Err(errors::key_taken());
        }
        let after = after(folding.mapping, change.op, &mut change.after)?;
        self.compare_before(folding, row, change.before.as_mut(), context);
        let mut image = self.image(row);
        folding.mapping.overlay(&mut image, after, to);
        self.vanish(folding.mapping, from, context);
        self.appear(folding, to, image, context);
        Ok(())
    }

    /// What the row holds, for a change of key.
    fn image(&self, row: u32) -> Image {
        let slots = self.layout.columns.iter().map(|slot| (*slot, self.rows().last_good(*slot, self.rows().raw(row, *slot))));
        Image { slots: slots.collect(), whole: self.whole(row) }
    }

    /// The row of a living document, as it stands within the epoch at hand.
    pub(crate) fn peek(&self, mapping: &Mapping, identity: &[Value], context: &Context) -> Option<Image> {
        self.find(mapping, identity, context).map(|row| self.image(row))
    }

    /// The document goes; what it held stays in the row until the epoch ends.
    fn vanish(&mut self, mapping: &Mapping, identity: &[Value], context: &mut Context) {
        let Some(row) = self.find(mapping, identity, context) else { return };
        self.vanish_row(row);
        self.count_occurrence(mapping, identity, false);
    }

    fn vanish_row(&mut self, row: u32) {
        self.touch_again(row);
        self.set_alive(row, false);
    }

    /// A whole row comes under a new key.
    fn appear(&mut self, folding: &Folding<'_>, identity: &KeyBuf, image: Image, context: &mut Context) {
        let (touch, row) = self.come_alive(folding, identity, context);
        for (slot, value) in image.slots {
            self.write(touch, row, slot, value);
        }
        if let Some(whole) = image.whole {
            self.put_whole(row, Arc::unwrap_or_clone(whole));
        }
    }

    /// The document lives from now on, with all its columns NULL. Gives its touch and its row.
    fn come_alive(&mut self, folding: &Folding<'_>, identity: &[Value], context: &mut Context) -> (usize, u32) {
        let directory = &mut context.directories[self.layout.table.0 as usize];
        let row = match self.occurrence(folding.mapping, identity) {
            None => directory.intern(identity, KeyHash::of(identity)),
            Some(count) => {
                let key = document_key(identity, count + 1);
                directory.intern(&key, KeyHash::of(&key))
            }
        };
        let known = self.pad.has(row);
        let touch = self.touch_again(row);
        self.set_alive(row, true);
        self.count_occurrence(folding.mapping, identity, true);
        if known {
            for at in 0..self.layout.columns.len() {
                self.write(touch, row, self.layout.columns[at], Value::Null);
            }
        }
        (touch, row)
    }

    fn count_occurrence(&mut self, mapping: &Mapping, identity: &[Value], more: bool) {
        let Some(home) = self.home.as_mut().filter(|_| mapping.key.multiset) else { return };
        match home.occurrences.get_mut(identity) {
            Some(count) if more => *count += 1,
            Some(count) if *count > 1 => *count -= 1,
            Some(_) => drop(home.occurrences.remove(identity)),
            None if more => drop(home.occurrences.insert(identity.iter().cloned().map(Value::owned).collect(), 1)),
            None => {}
        }
    }

    /// The touch of a row that a change is about to write, perhaps not for the first time.
    pub(super) fn touch_again(&mut self, row: u32) -> usize {
        let known = self.pad.has(row);
        let touch = self.touch(row);
        self.pad.get(touch).again |= known;
        touch
    }

    fn write(&mut self, touch: usize, row: u32, slot: u32, value: Value) -> bool {
        let old = self.rows.write(row, slot, value);
        if let Some(old) = old {
            self.pad.log(touch, slot, old);
        }
        old.is_some()
    }

    pub(super) fn keeps_whole_rows(&self) -> bool {
        self.home.as_ref().is_some_and(|home| home.whole.is_some())
    }

    pub(super) fn put_whole(&mut self, row: u32, whole: RowMap) {
        if let Some(rows) = self.home.as_mut().and_then(|home| home.whole.as_mut()) {
            if rows.len() <= row as usize {
                rows.resize(row as usize + 1, None);
            }
            rows[row as usize] = Some(Arc::new(whole));
        }
    }

    fn update_whole(&mut self, mapping: &Mapping, row: u32, given: &Row) -> bool {
        let Some(whole) = self.whole(row) else { return false };
        let differs = mapping.given(given).any(|(column, value)| whole.get(&column.name) != Some(value));
        if differs {
            let mut next = (*whole).clone();
            complete(mapping, &mut next, given);
            self.put_whole(row, next);
        }
        differs
    }

    /// Counts a before-image that says something else than the row that is kept.
    fn compare_before(&self, folding: &Folding<'_>, row: u32, before: Option<&mut Row>, context: &mut Context) {
        let Some(before) = before else { return };
        let stored = |(column, value): (&MappedColumn, &Value)| column.slot.is_none_or(|slot| self.rows.holds(row, slot, value));
        if !self.keeps_whole_rows() && folding.mapping.given(before).all(stored) {
            return;
        }
        if folding.mapping.coerce(before).is_err() {
            context.out.counts.contradicted += 1;
            return;
        }
        let whole = self.whole(row);
        let differs = folding.mapping.given(before).any(|(column, value)| {
            let kept = column.slot.map(|slot| self.rows.holds(row, slot, value));
            let in_whole = whole.as_ref().map(|whole| whole.get(&column.name).unwrap_or(&Value::Null) == value);
            kept == Some(false) || in_whole == Some(false)
        });
        context.out.counts.contradicted += u64::from(differs);
    }
}

/// The image after a change, each column of its type.
fn after<'a>(mapping: &Mapping, op: Op, after: &'a mut Option<Row>) -> Result<&'a mut Row, Error> {
    let after = after.as_mut().ok_or_else(|| errors::no_image(verb(op), "after"))?;
    mapping.coerce(after)?;
    Ok(after)
}

/// The values of an image that have a slot, taken out.
pub(super) fn taken<'a>(mapping: &'a Mapping, image: &'a mut Row) -> impl Iterator<Item = (u32, Value)> + 'a {
    let slots = mapping.columns.iter().map(|column| column.slot);
    slots.enumerate().filter_map(|(at, slot)| Some((slot?, image.take(at)?)))
}

/// The key of a multiset's document: its values, and which of their occurrences it is.
fn document_key(values: &[Value], occurrence: u64) -> KeyBuf {
    values.iter().cloned().chain([Value::Int(occurrence as i64)]).collect()
}

/// Every column of the layout: what is given, else what is there, else NULL.
pub(super) fn complete(mapping: &Mapping, whole: &mut RowMap, given: &Row) {
    for column in &mapping.columns {
        whole.entry(column.name.clone()).or_insert(Value::Null);
    }
    for (column, value) in mapping.given(given) {
        whole.insert(column.name.clone(), value.clone().owned());
    }
}
