//! The index of a lookup edge, on the worker of the looked-up document: who refers to it, and what they see.
//!
//! - A reference that comes gets every value, one that stays gets what changed; NULL where the document is absent.
//! - The index keeps its own copy of the values: the looked-up region is already at the end of the batch when the index is
//!   still at an earlier epoch, and a reference that comes at that epoch must see that epoch.
//! - A reference may come before the document exists; then it waits at the document's id.
//! - INV-NET: within an epoch a row leaves a document or comes to it, never both: what arrives here is net.
//!
//! Cost: a change of a value costs one message a reference; a change of a reference one message a value, whatever the
//! number of other references.

use std::sync::Arc;

use hashbrown::HashSet;
use smallvec::SmallVec;
use thalweg_formulas::Cell;
use thalweg_graph::Epoch;

use super::mail::{Ask, AskKind, Referrer};
use crate::state::{Kind, Raw, Rows, Tag};

/// References to one document: few in a row, many in a set, so that one leaves in constant time.
#[derive(Debug)]
enum Referrers {
    Few(SmallVec<[Referrer; 2]>),
    Many(HashSet<Referrer, foldhash::fast::FixedState>),
}

/// From here on a set.
const MANY: usize = 24;

impl Referrers {
    fn insert(&mut self, referrer: Referrer) {
        match self {
            Referrers::Few(few) if few.len() < MANY => few.push(referrer),
            Referrers::Few(few) => *self = Referrers::Many(few.drain(..).chain([referrer]).collect()),
            Referrers::Many(many) => drop(many.insert(referrer)),
        }
    }

    fn remove(&mut self, referrer: Referrer) {
        match self {
            Referrers::Few(few) => {
                if let Some(at) = few.iter().position(|other| *other == referrer) {
                    few.swap_remove(at);
                }
            }
            Referrers::Many(many) => {
                many.remove(&referrer);
                if many.is_empty() {
                    *self = Referrers::Few(SmallVec::new());
                }
            }
        }
    }

    fn each(&self, f: impl FnMut(Referrer)) {
        match self {
            Referrers::Few(few) => few.iter().copied().for_each(f),
            Referrers::Many(many) => many.iter().copied().for_each(f),
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Referrers::Few(few) if few.spilled() => few.capacity() * size_of::<Referrer>(),
            Referrers::Few(_) => 0,
            Referrers::Many(many) => many.capacity() * 8 / 7 * (size_of::<Referrer>() + 1),
        }
    }
}

/// One looked-up value for one referring row.
#[derive(Debug)]
pub struct Answer<'a> {
    /// When.
    pub epoch: Epoch,
    /// For whom.
    pub referrer: Referrer,
    /// Which of the edge's values.
    pub position: u32,
    /// The value.
    pub seen: &'a Seen,
}

/// A looked-up value.
#[derive(Debug)]
pub enum Seen {
    /// As a word, of the kind that its type says.
    Word(u64),
    /// Whatever it is; one for everybody who refers.
    Cell(Arc<Cell>),
}

impl Seen {
    /// As a cell; a word is of this kind.
    pub fn cell(&self, kind: Kind) -> Cell {
        match self {
            Seen::Word(word) => Ok(kind.value(*word)),
            Seen::Cell(cell) => (**cell).clone(),
        }
    }
}

/// References and values by the looked-up document's row.
#[derive(Debug)]
pub struct LookupIndex {
    values: Rows,
    /// By position: a value that stands in a word is told as one.
    in_words: Vec<bool>,
    referrers: Vec<Referrers>,
    references: u64,
    touched: u64,
    came: Vec<(u32, Referrer)>,
    changed: Vec<(u32, u32)>,
}

impl LookupIndex {
    /// An empty index for values of these kinds; those that are words are so for who refers too.
    pub fn new(kinds: Vec<Kind>) -> LookupIndex {
        LookupIndex {
            in_words: kinds.iter().map(|kind| kind.is_word()).collect(),
            values: Rows::new(kinds),
            referrers: Vec::new(),
            references: 0,
            touched: 0,
            came: Vec::new(),
            changed: Vec::new(),
        }
    }

    /// Applies a batch in epoch order; `answer` gets what referring rows must be told.
    pub fn run(&mut self, asks: &mut Vec<Ask>, mut answer: impl FnMut(Answer<'_>)) {
        if !asks.is_sorted_by_key(|ask| ask.epoch) {
            asks.sort_by_key(|ask| ask.epoch);
        }
        let mut asks = asks.drain(..).peekable();
        while let Some(epoch) = asks.peek().map(|ask| ask.epoch) {
            while let Some(ask) = asks.next_if(|ask| ask.epoch == epoch) {
                self.apply(ask);
            }
            self.answer(epoch, &mut answer);
        }
    }

    fn apply(&mut self, ask: Ask) {
        self.ensure(ask.row);
        self.touched += 1;
        let referrers = &mut self.referrers[ask.row as usize];
        match ask.what {
            AskKind::Leave(referrer) => {
                referrers.remove(referrer);
                self.references -= 1;
            }
            AskKind::Refer(referrer) => {
                referrers.insert(referrer);
                self.references += 1;
                self.came.push((ask.row, referrer));
            }
            AskKind::Value(position, cell) => {
                if let Some(old) = self.values.set(ask.row, position, cell) {
                    self.values.release(old);
                    self.changed.push((ask.row, position));
                }
            }
        }
    }

    /// At the end of an epoch: changed values to everybody who refers, all values to who has come.
    fn answer(&mut self, epoch: Epoch, answer: &mut impl FnMut(Answer<'_>)) {
        let (values, in_words) = (&self.values, &self.in_words);
        let seen = |row: u32, position: u32| match values.raw(row, position) {
            Raw { tag: Tag::Inline, word } if in_words[position as usize] => Seen::Word(word),
            raw => Seen::Cell(values.cell_of(position, raw).into()),
        };
        for (row, position) in self.changed.drain(..) {
            let seen = seen(row, position);
            self.referrers[row as usize].each(|referrer| answer(Answer { epoch, referrer, position, seen: &seen }));
        }
        for (row, referrer) in self.came.drain(..) {
            for position in 0..values.slots() as u32 {
                answer(Answer { epoch, referrer, position, seen: &seen(row, position) });
            }
        }
    }

    fn ensure(&mut self, row: u32) {
        self.values.ensure(row);
        while self.referrers.len() <= row as usize {
            self.referrers.push(Referrers::Few(SmallVec::new()));
        }
    }

    /// References held now.
    pub fn references(&self) -> u64 {
        self.references
    }

    /// Questions applied so far.
    pub fn touched(&self) -> u64 {
        self.touched
    }

    /// Bytes held.
    pub fn bytes(&self) -> u64 {
        let values: u64 = (0..self.values.slots() as u32).map(|slot| self.values.slot_bytes(slot)).sum();
        let spilled: usize = self.referrers.iter().map(Referrers::bytes).sum();
        values + (self.referrers.capacity() * size_of::<Referrers>() + spilled) as u64
    }
}
