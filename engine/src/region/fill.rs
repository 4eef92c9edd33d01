//! Filling: rows that were there before the engine looked, each through its whole birth at once.
//!
//! A fill of inserts touches every row once, so there is no net change to wait for, nothing to remember and nothing to put back: a row
//! is written and born while it is in the cache. What is unusual (a key of another type, a row that is there already) goes the way of
//! any change and is settled at once.

use smallvec::SmallVec;
use thalweg_formulas::Error;
use thalweg_graph::{Change, Op, Row};

use super::Region;
use super::fold::{Folding, complete, taken};
use super::pad::Touch;
use crate::context::Context;
use crate::intake::{RowMap, errors};
use crate::state::{Directory, KeyHash};

/// Rows whose keys are looked for ahead of the first of them, so that their cache lines arrive together.
const AHEAD: usize = 32;

impl Region {
    /// Whether a transaction's changes, the first of its epoch here, can be filled.
    pub(super) fn can_fill(&self, folding: &Folding<'_>, changes: &[Change], context: &Context) -> bool {
        self.pad.is_empty() && context.batch.info(folding.epoch).fill && changes.iter().all(|change| change.op == Op::Insert)
    }

    /// Fills rows in.
    pub(super) fn fill(&mut self, folding: &Folding<'_>, mut changes: Vec<Change>, context: &mut Context) {
        context.out.counts.changes += changes.len() as u64;
        for some in changes.chunks_mut(AHEAD) {
            let directory = &context.directories[self.layout.table.0 as usize];
            let hashes: SmallVec<[Option<KeyHash>; AHEAD]> =
                some.iter().map(|change| look_up(folding, change, directory)).collect();
            for (change, hash) in some.iter_mut().zip(hashes) {
                if !hash.is_some_and(|hash| self.fill_row(folding, change, hash, context)) {
                    self.fold_any(folding, change, context);
                    self.settle(folding.epoch, context);
                }
            }
        }
    }

    /// One row, if its values are of their columns' types. `hash` is that of its key, which the change says plainly.
    fn fill_row(&mut self, folding: &Folding<'_>, change: &mut Change, hash: KeyHash, context: &mut Context) -> bool {
        let Some(after) = &mut change.after else { return false };
        if let Err(error) = folding.mapping.coerce(after) {
            self.refuse_image(folding, after, hash, error, context);
            return true;
        }
        let Some(key) = folding.mapping.only_key(after) else { return false };
        let row = context.directories[self.layout.table.0 as usize].intern(key, hash);
        if self.lives(row) {
            return false;
        }
        self.make_room(row);
        self.set_alive(row, true);
        if self.keeps_whole_rows() {
            let mut whole = RowMap::new();
            complete(folding.mapping, &mut whole, after);
            self.put_whole(row, whole);
        }
        self.rows.fill(row, taken(folding.mapping, after));
        let mut moved = std::mem::take(&mut self.moved);
        self.begin(folding.epoch, row, &mut moved, context);
        self.moved = moved;
        let touch = Touch { row, lived: false, again: false, groups: 0, whole: None };
        self.react_to_change(folding.epoch, &touch, context);
        true
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
    std::hint::black_box(directory.find(key, hash));
    Some(hash)
}
