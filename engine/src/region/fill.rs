//! Filling: rows that were there before the engine looked, each through its whole birth at once.
//!
//! A fill of inserts touches every row once, so there is no net change to wait for, nothing to remember and nothing to put back: a row
//! is written and born while it is in the cache. What is unusual (a key of another type, a row that is there already) goes the way of
//! any change and is settled at once.

use smallvec::SmallVec;
use thalweg_graph::{Change, Op};

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
        for some in changes.chunks_mut(AHEAD) {
            let directory = &context.directories[self.layout.table.0 as usize];
            let hashes: SmallVec<[KeyHash; AHEAD]> = some.iter().map(|change| look_up(folding, change, directory)).collect();
            for (change, hash) in some.iter_mut().zip(hashes) {
                context.out.counts.changes += 1;
                if !self.fill_row(folding, change, hash, context) {
                    self.fold_any(folding, change, context);
                    self.settle(folding.epoch, context);
                }
            }
        }
    }

    /// One row, if its change says plainly what is to be done. `hash` is its key's.
    fn fill_row(&mut self, folding: &Folding<'_>, change: &mut Change, hash: KeyHash, context: &mut Context) -> bool {
        let Some(key) = folding.mapping.plain_key(change) else { return false };
        let key = [key.clone()];
        let Some(after) = &mut change.after else { return false };
        let directory = &mut context.directories[self.layout.table.0 as usize];
        if let Err(error) = folding.mapping.coerce(after) {
            let is_there = directory.find(&key, hash).is_some_and(|row| self.lives(row));
            let error = if is_there { errors::already_there() } else { error };
            self.refuse(folding.epoch, &key, error, context);
            return true;
        }
        let row = directory.intern(&key, hash);
        if self.lives(row) {
            self.refuse(folding.epoch, &key, errors::already_there(), context);
            return true;
        }
        self.make_room(row);
        self.set_alive(row, true);
        if self.keeps_whole_rows() {
            let mut whole = RowMap::new();
            complete(folding.mapping, &mut whole, after);
            self.put_whole(row, whole);
        }
        for (slot, value) in taken(folding.mapping, after) {
            if let Some(old) = self.rows.write(row, slot, value) {
                self.rows.release(old);
            }
        }
        let mut moved = std::mem::take(&mut self.moved);
        self.begin(folding.epoch, row, &mut moved, context);
        self.moved = moved;
        let touch = Touch { row, lived: false, again: false, groups: 0, whole: None };
        self.react_to_change(folding.epoch, &touch, context);
        true
    }
}

/// The hash of a row's key, once the places where its key would stand have been looked at.
fn look_up(folding: &Folding<'_>, change: &Change, directory: &Directory) -> KeyHash {
    let key = folding.mapping.plain_key(change).map_or(&[][..], std::slice::from_ref);
    let hash = KeyHash::of(key);
    std::hint::black_box(directory.find(key, hash));
    hash
}
