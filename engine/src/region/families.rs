//! What many documents that are born together give to their parents: as words, in bulk.
//!
//! A child's key of its parent is looked up once for all aggregates over the same children, and not again while the next child has the
//! same. What is not a word (NULL, an error, a large decimal), or belongs to another worker, goes by itself as any contribution.

use smallvec::SmallVec;
use thalweg_formulas::Agg;
use thalweg_graph::Epoch;

use super::Region;
use super::ends::{Family, GroupOut};
use crate::context::Context;
use crate::edges::mail::{Bulk, Note, NoteKind};
use crate::state::{Kind, Tag};

/// Fewer children than this are not worth a bulk.
const FEW: usize = 8;

/// The families of a region's group edges, and the edges that are in none.
pub fn families(outs: &[GroupOut], kinds: &[Kind]) -> (Vec<Family>, Vec<u32>) {
    let (mut families, mut singles): (Vec<Family>, Vec<u32>) = Default::default();
    for (at, out) in (0..).zip(outs) {
        let Some(key) = word_key(out, kinds) else {
            singles.push(at);
            continue;
        };
        match families.iter_mut().find(|family| (family.to, family.key) == (out.to, key)) {
            Some(family) => family.outs.push(at),
            None => families.push(Family { to: out.to, key, outs: vec![at] }),
        }
    }
    (families, singles)
}

/// The slot that alone holds the parent's key, where that is a whole number, what is aggregated is a word, and order does not count.
fn word_key(out: &GroupOut, kinds: &[Kind]) -> Option<u32> {
    if !out.parent.parts.is_empty() {
        return None;
    }
    let ([slot], [ty]) = (&out.parent.slots[..], &out.parent.types[..]) else { return None };
    let kind = kinds[*slot as usize];
    let is_number = matches!(kind, Kind::Int | Kind::Uint) && kind == Kind::of_type(ty);
    let is_open = !kinds[out.contribution as usize].is_word();
    let is_unordered = matches!(out.agg, Agg::Count | Agg::Sum | Agg::Avg | Agg::Min | Agg::Max);
    (is_number && !is_open && is_unordered).then_some(*slot)
}

impl Region {
    /// Tells everybody of documents that appeared: every watched slot is new.
    pub(super) fn emit_births(&self, epoch: Epoch, born: &[u32], context: &mut Context) {
        let layout = &self.layout;
        if born.len() < FEW {
            return born.iter().for_each(|row| self.emit_birth(epoch, *row, context));
        }
        let is_silent = !context.reports(epoch)
            && (layout.effects.is_empty() || context.batch.info(epoch).fill)
            && layout.watched.is_empty()
            && layout.references.is_empty()
            && layout.members_out.is_empty()
            && layout.sessions_out.is_empty()
            && layout.pairs_out.is_empty()
            && layout.stands_out.is_empty()
            && layout.clocked.is_empty()
            && layout.singles.is_empty();
        for row in born {
            // Errors are always told.
            if !is_silent || !self.rows.is_plain(*row) {
                self.emit_birth_but_families(epoch, *row, context);
            }
        }
        layout.families.iter().for_each(|family| self.give(epoch, family, born, context));
    }

    /// What children that are born give by one family of edges.
    pub(super) fn give(&self, epoch: Epoch, family: &Family, born: &[u32], context: &mut Context) {
        let outs = || family.outs.iter().map(|out| &self.layout.groups_out[*out as usize]);
        let column = |out: &GroupOut| {
            let (place, kind) = (context.groups[out.group as usize].place, self.layout.kinds[out.contribution as usize]);
            (place, kind, Vec::with_capacity(born.len()))
        };
        let mut bulk = Bulk { parents: Vec::with_capacity(born.len()), columns: outs().map(column).collect() };
        let slots: SmallVec<[u32; 8]> = outs().map(|out| out.contribution).collect();
        let group = self.layout.groups_out[family.outs[0] as usize].group;
        let (kind, mut key, mut parent) = (self.layout.kinds[family.key as usize], None, None);
        for row in born {
            let Some(words) = self.rows.plain_words(*row).or_else(|| self.words_of(family, *row)) else {
                family.outs.iter().for_each(|out| self.emit_group_birth(epoch, *row, *out, context));
                continue;
            };
            if key != Some(words[family.key as usize]) {
                key = Some(words[family.key as usize]);
                parent = context.parent(group, kind, words[family.key as usize]);
            }
            let Some(parent) = parent else {
                family.outs.iter().for_each(|out| self.emit_group_birth(epoch, *row, *out, context));
                continue;
            };
            bulk.parents.push(parent);
            for ((.., column), out) in bulk.columns.iter_mut().zip(&slots) {
                column.push(words[*out as usize]);
            }
        }
        for same in bulk.parents.chunk_by(|a, b| a == b) {
            context.hold_parent(group, same[0], (same.len() * family.outs.len()) as u32);
        }
        if !bulk.parents.is_empty() {
            context.inboxes[family.to as usize].push(Note { epoch, row: Note::BULK, what: NoteKind::Bulk(Box::new(bulk)) });
        }
    }

    /// The words of a row's slots, if all that a family reads stand inline.
    fn words_of(&self, family: &Family, row: u32) -> Option<&[u64]> {
        let is_inline = |slot: u32| self.rows.raw(row, slot).tag == Tag::Inline;
        let mut outs = family.outs.iter().map(|out| self.layout.groups_out[*out as usize].contribution);
        (is_inline(family.key) && outs.all(is_inline)).then(|| self.rows.words(row))
    }
}
