//! A plain update in one look: its images are read where they lie and compared with the row word by word, and only what is new is
//! written. What is unusual (a value of another type, a before-image that says something else than the row) is left to the general way.
//!
//! Most epochs are one plain update of one row. Such an epoch needs no pad: what the look has found is the row's net change, so the row is
//! settled at once ([`Region::update_alone`]).
//!
//! Cost: a few nanoseconds a column, no allocation, no copy of a value that stays.

use thalweg_formulas::Value;
use thalweg_graph::{Change, Epoch};

use super::Region;
use super::pad::Moved;
use crate::context::Context;
use crate::intake::{Arrival, Mapping, What};
use crate::state::Raw;

/// What an update writes into one slot.
#[derive(Debug)]
pub(super) struct New {
    slot: u32,
    /// The column it comes from.
    column: u32,
    old: Raw,
    /// The new content, where it is a word.
    word: Option<u64>,
}

/// The only change of an arrival, and the number of its mapping.
pub(super) fn only_change(arrival: &Arrival) -> Option<(usize, &Change)> {
    match &arrival.what {
        What::Changes(id, changes) => match &changes[..] {
            [change] => Some((*id as usize, change)),
            _ => None,
        },
        What::Change(id, change) => Some((*id as usize, change)),
        What::Take(..) | What::Place(..) | What::Timer(_) => None,
    }
}

impl Region {
    /// Runs an epoch that is a plain update of this row and nothing else. Does nothing where it is another case.
    pub(super) fn update_alone(
        &mut self,
        epoch: Epoch,
        mapping: &Mapping,
        row: u32,
        change: &Change,
        context: &mut Context,
    ) -> bool {
        if !self.thawing.is_empty() || !self.look(mapping, row, change) {
            return false;
        }
        context.out.counts.changes += 1;
        let mut moved = std::mem::take(&mut self.moved);
        self.write_news(row, change, |_, slot, old| moved.push(Moved::new(slot, old)));
        if moved.is_empty() {
            context.out.counts.redundant += 1;
        } else {
            self.run_change(epoch, row, &mut moved, context);
            moved.clear();
        }
        self.moved = moved;
        true
    }

    /// Folds a plain update into the epoch at hand. Does nothing where it is another case.
    pub(super) fn update_plainly(&mut self, mapping: &Mapping, row: u32, change: &Change, context: &mut Context) -> bool {
        if !self.look(mapping, row, change) {
            return false;
        }
        let touch = self.touch_again(row);
        context.out.counts.redundant += u64::from(self.news.is_empty());
        self.write_news(row, change, |pad, slot, old| pad.log(touch, slot, old));
        true
    }

    /// Looks an update of a row through: afterwards `news` has what it writes. `false`: it is no plain one.
    #[inline]
    fn look(&mut self, mapping: &Mapping, row: u32, change: &Change) -> bool {
        self.news.clear();
        let Some(after) = change.after.as_deref().filter(|_| self.lives(row) && !self.keeps_whole_rows()) else { return false };
        let before = change.before.as_deref().unwrap_or_default();
        let (rows, words) = (&self.rows, self.rows.row(row));
        let holds = |slot: u32, here: Raw, word: Option<u64>, value: &Value| match word {
            Some(word) => here == Raw::inline(word),
            None => rows.holds(row, slot, value),
        };
        for (at, (column, new)) in mapping.columns.iter().zip(after).enumerate() {
            let Some(slot) = column.slot else {
                if new.as_ref().is_some_and(|new| !column.fits(new)) {
                    return false;
                }
                continue;
            };
            let here = rows.raw_in(words, slot);
            if let Some(Some(old)) = before.get(at)
                && !holds(slot, here, column.word(old), old)
            {
                return false;
            }
            let Some(new) = new else { continue };
            let word = column.word(new);
            if word.is_none() && !column.fits(new) {
                return false;
            }
            if !holds(slot, here, word, new) {
                self.news.push(New { slot, column: at as u32, old: here, word });
            }
        }
        before.len() <= after.len()
    }

    /// Writes what the look has found; `each` gets every slot and what it held.
    #[inline]
    fn write_news(&mut self, row: u32, change: &Change, mut each: impl FnMut(&mut super::pad::Pad, u32, Raw)) {
        let Region { news, rows, pad, .. } = self;
        for New { slot, column, old, word } in news.drain(..) {
            match word {
                Some(word) => rows.put(row, slot, Raw::inline(word)),
                None => {
                    let value = change.after.as_ref().and_then(|after| after.get(column as usize)?.clone());
                    value.and_then(|value| rows.set(row, slot, Ok(value)));
                }
            }
            each(pad, slot, old);
        }
    }
}
