//! Filling: rows that were there before the engine looked, and those of a transaction that brings new ones only, each through its whole
//! birth at once.
//!
//! Inserts touch every row once, so there is no net change to wait for, nothing to remember and nothing to put back. Rows are taken in
//! blocks that stay in the cache: their keys are looked for together, they are written, their cells run column by column
//! ([`Region::begin`]), and their images are dropped. What is unusual (a key of another type, a row that is there already) goes the way of
//! any change and is settled at once.

use std::hint::black_box;

use smallvec::SmallVec;
use thalweg_formulas::Error;
use thalweg_graph::{Change, Epoch, Op, Row};

use super::Region;
use super::fold::{Folding, complete, taken};
use super::images::Reading;
use super::pad::Touch;
use crate::context::Context;
use crate::intake::{RowMap, errors};
use crate::state::{Directory, KeyHash};

/// Rows whose keys are looked for ahead of the first of them, so that their cache lines arrive together.
const AHEAD: usize = 32;

/// Fewer rows of a transaction that is no fill go the usual way.
const FEW: usize = 4;

/// Words of the rows of a block, about.
const BLOCK_WORDS: usize = 1 << 12;

/// What has become of an image.
enum Written {
    /// It is the row of a document that is to begin.
    Row(u32),
    /// It is refused.
    Refused,
    /// Nothing: it is not for here.
    Unusual,
}

impl Region {
    /// Whether a transaction's changes, the first of its epoch here, can be filled: those of a fill, and others that are all that the epoch
    /// says of the table.
    pub(super) fn can_fill(&self, folding: &Folding<'_>, changes: &[Change], context: &Context) -> bool {
        let comes_at_once = folding.is_untold && changes.len() >= FEW && !folding.mapping.key.multiset;
        let can_be = context.batch.info(folding.epoch).fill || comes_at_once;
        can_be && self.pad.is_empty() && changes.iter().all(|change| change.op == Op::Insert)
    }

    /// Fills rows in.
    pub(super) fn fill(&mut self, folding: &Folding<'_>, changes: Vec<Change>, context: &mut Context) {
        context.out.counts.changes += changes.len() as u64;
        let block = (BLOCK_WORDS / self.rows.stride()).clamp(AHEAD / 4, 8 * AHEAD);
        let reading = if self.keeps_whole_rows() { None } else { Reading::of(folding.mapping, &self.rows) };
        let mut changes = changes.into_iter();
        while !changes.as_slice().is_empty() {
            let some = block.min(changes.len());
            let changes_here = &mut changes.as_mut_slice()[..some];
            match &reading {
                Some(reading) => self.fill_words(folding, reading, changes_here, context),
                None => self.fill_block(folding, changes_here, context),
            }
            changes.by_ref().take(some).for_each(drop);
        }
    }

    /// Fills a block of images that are mostly words.
    fn fill_words(&mut self, folding: &Folding<'_>, reading: &Reading<'_>, changes: &mut [Change], context: &mut Context) {
        let table = self.layout.table.0 as usize;
        let (mut born, mut words) = (std::mem::take(&mut self.born), Vec::new());
        let (kind, mut keys) = (reading.key_kind, [None; AHEAD]);
        for some in changes.chunks_mut(AHEAD) {
            for (key, change) in keys.iter_mut().zip(&*some) {
                *key = reading.key(change);
                black_box(key.and_then(|key| context.directories[table].find_word(kind, key)));
            }
            for (key, change) in keys.iter().zip(some) {
                let is_read = change.after.as_ref().is_some_and(|after| reading.words(after, &mut words));
                let row = key.filter(|_| is_read).map(|key| context.directories[table].intern_word(kind, key));
                match row.filter(|row| !self.lives(*row)) {
                    Some(row) => {
                        self.make_room(row);
                        self.set_alive(row, true);
                        self.rows.put_words(row, &words);
                        born.push(row);
                    }
                    None => {
                        self.begin_filled(folding.epoch, &mut born, context);
                        self.fill_block(folding, std::slice::from_mut(change), context);
                    }
                }
            }
        }
        self.begin_filled(folding.epoch, &mut born, context);
        self.born = born;
    }

    /// Fills a block of any images.
    fn fill_block(&mut self, folding: &Folding<'_>, changes: &mut [Change], context: &mut Context) {
        let mut born = std::mem::take(&mut self.born);
        for some in changes.chunks_mut(AHEAD) {
            let directory = &context.directories[self.layout.table.0 as usize];
            let hashes: SmallVec<[Option<KeyHash>; AHEAD]> =
                some.iter().map(|change| look_up(folding, change, directory)).collect();
            for (change, hash) in some.iter_mut().zip(hashes) {
                match hash.map_or(Written::Unusual, |hash| self.write_image(folding, change, hash, context)) {
                    Written::Row(row) => born.push(row),
                    Written::Refused => {}
                    Written::Unusual => {
                        self.begin_filled(folding.epoch, &mut born, context);
                        self.fold_any(folding, change, context);
                        self.settle(folding.epoch, context);
                    }
                }
            }
        }
        self.begin_filled(folding.epoch, &mut born, context);
        self.born = born;
    }

    /// Writes one row, if its values are of their columns' types. `hash` is that of its key, which the change says plainly.
    fn write_image(&mut self, folding: &Folding<'_>, change: &mut Change, hash: KeyHash, context: &mut Context) -> Written {
        let Some(after) = &mut change.after else { return Written::Unusual };
        if let Err(error) = folding.mapping.coerce(after) {
            self.refuse_image(folding, after, hash, error, context);
            return Written::Refused;
        }
        let Some(key) = folding.mapping.only_key(after) else { return Written::Unusual };
        let row = context.directories[self.layout.table.0 as usize].intern(key, hash);
        if self.lives(row) {
            return Written::Unusual;
        }
        self.make_room(row);
        self.set_alive(row, true);
        if self.keeps_whole_rows() {
            let mut whole = RowMap::new();
            complete(folding.mapping, &mut whole, after);
            self.put_whole(row, whole);
        }
        self.rows.fill(row, taken(folding.mapping, after));
        Written::Row(row)
    }

    /// The rows that are written begin to live; none are left.
    fn begin_filled(&mut self, epoch: Epoch, born: &mut Vec<u32>, context: &mut Context) {
        self.begin(epoch, born, context);
        if self.keeps_whole_rows() {
            for row in born.iter() {
                let touch = Touch { row: *row, lived: false, again: false, groups: 0, whole: None };
                self.react_to_change(epoch, &touch, context);
            }
        }
        born.clear();
    }

    /// A row that does not fit its table; that it is there already would be the first thing wrong with it.
    #[cold]
    fn refuse_image(&mut self, folding: &Folding<'_>, image: &Row, hash: KeyHash, error: Error, context: &mut Context) {
        let key = folding.mapping.only_key(image).unwrap_or_default();
        let row = context.directories[self.layout.table.0 as usize].find(key, hash);
        let is_there = row.is_some_and(|row| self.lives(row));
        self.refuse(folding.epoch, key, if is_there { errors::already_there() } else { error }, context);
    }
}

/// The hash of a row's key, once the places where its key would stand have been looked at; `None` if the change does not say it plainly.
fn look_up(folding: &Folding<'_>, change: &Change, directory: &Directory) -> Option<KeyHash> {
    let key = std::slice::from_ref(folding.mapping.plain_key(change)?);
    let hash = KeyHash::of(key);
    black_box(directory.find(key, hash));
    Some(hash)
}
