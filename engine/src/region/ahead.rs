//! Looking ahead: what the next changes, notes and touches will want is asked of memory before the first of them is done.
//!
//! Where data is larger than the caches, a change waits for memory some ten times: for the place of its key, its row, its parent's place,
//! the parent's row and accumulators. Asked for one after the other these waits add up; asked for over some dozens of changes at once they
//! overlap. So each of these passes goes over [`AHEAD`] of them and does one kind of look.
//!
//! Cost: a nanosecond or two for a look that finds its line in a cache.

use std::hint::black_box;
use std::sync::Arc;

use smallvec::SmallVec;
use thalweg_formulas::Value;
use thalweg_graph::{Change, Op};

use super::Region;
use super::pad::Touch;
use super::update::only_change;
use crate::context::Context;
use crate::intake::{Arrival, Mapping};
use crate::state::{Directory, KeyHash};

/// How many are looked at together.
pub(super) const AHEAD: usize = 32;

/// So few are done sooner than looked at.
const FEW: usize = 4;

/// Rows of the next changes.
pub(super) type Ahead = SmallVec<[Option<u32>; AHEAD]>;

/// A key and its hash.
type Named<'a> = (&'a [Value], KeyHash);

/// The key that a change says plainly.
#[inline]
fn key_of<'a>(mapping: &Mapping, change: &'a Change) -> Option<Named<'a>> {
    let key = std::slice::from_ref(mapping.plain_key(change)?);
    Some((key, KeyHash::of(key)))
}

/// The rows of these keys.
fn find(directory: &Directory, keys: SmallVec<[Option<Named<'_>>; AHEAD]>) -> Ahead {
    keys.into_iter().map(|key| key.and_then(|(key, hash)| directory.find(key, hash))).collect()
}

impl Region {
    /// The rows of the next arrivals, where they are plain updates of one; they stay the same within a batch.
    pub(super) fn rows_of_updates(&self, ahead: &[Arrival], mappings: &[Arc<Mapping>], context: &Context) -> Ahead {
        let plain = |arrival| only_change(arrival).filter(|(_, change)| change.op == Op::Update);
        let keys = ahead.iter().map(|arrival| plain(arrival).and_then(|(mapping, change)| key_of(&mappings[mapping], change)));
        let rows = find(&context.directories[self.layout.table.0 as usize], keys.collect());
        self.look_at_rows(rows.iter().flatten().copied(), context);
        rows
    }

    /// The rows of some changes of one epoch, as far as their keys have one; none where there are few changes.
    pub(super) fn rows_of_changes(&self, mapping: &Mapping, changes: &[Change], context: &Context) -> Ahead {
        if changes.len() < FEW {
            return Ahead::new();
        }
        let keys = changes.iter().map(|change| key_of(mapping, change));
        let rows = find(&context.directories[self.layout.table.0 as usize], keys.collect());
        self.look_at_rows(rows.iter().flatten().copied(), context);
        rows
    }

    /// Looks at the next touched rows, and at the places of the parents that they will tell.
    pub(super) fn look_at_touched(&self, touches: &[Touch], context: &Context) {
        if touches.len() >= FEW {
            self.look_at_rows(touches.iter().map(|touch| touch.row), context);
        }
    }

    /// Looks at rows that are told something: their slots and their accumulators.
    pub(super) fn look_at_told(&self, rows: impl Iterator<Item = u32>) {
        let ends = |row: u32| self.rows.ends(row) ^ self.aggregates.look(row);
        black_box(rows.filter(|row| self.lives(*row)).fold(0, |all, row| all ^ ends(row)));
    }

    /// Looks at the rows of children, and at the places of their parents.
    fn look_at_rows(&self, rows: impl Iterator<Item = u32> + Clone, context: &Context) {
        let living = || rows.clone().filter(|row| self.lives(*row));
        black_box(living().fold(0, |all, row| all ^ self.rows.ends(row)));
        for family in &self.layout.families {
            let table = context.groups[self.layout.groups_out[family.outs[0] as usize].group as usize].table;
            let (directory, kind) = (&context.directories[table.0 as usize], self.layout.kinds[family.key as usize]);
            let parents = living().filter_map(|row| directory.find_word(kind, self.rows.words(row)[family.key as usize]));
            black_box(parents.fold(0, |all, parent| all ^ parent));
        }
    }
}
