//! The epoch at hand in one region: which rows it touches, and what they held before.
//!
//! Writes go to the rows at once; the pad remembers the first old content of each slot. So at the end of the epoch the net
//! change of a row is known whatever happened in between, and a row that dies can be put back to how it was before.

use std::sync::Arc;

use hashbrown::HashMap;

use crate::intake::RowMap;
use crate::state::{Raw, Rows, Tag};

/// A slot and what it held before.
#[derive(Clone, Copy, Debug)]
pub struct Moved {
    /// The slot.
    pub slot: u32,
    /// Its old content; whoever drains the list releases it.
    pub old: Raw,
    /// Its delta is told already.
    pub told: bool,
}

impl Moved {
    /// Not told yet.
    pub fn new(slot: u32, old: Raw) -> Moved {
        Moved { slot, old, told: false }
    }
}

/// A row that the epoch touches.
#[derive(Debug)]
pub struct Touch {
    /// The row.
    pub row: u32,
    /// Whether its document lived before the epoch.
    pub lived: bool,
    /// More than one change wrote it, so a slot may stand in the log twice.
    pub again: bool,
    /// Aggregates (by place, modulo 16) that got contributions.
    pub groups: u16,
    /// The whole row before, where the region keeps whole rows.
    pub whole: Option<Arc<RowMap>>,
}

/// A large transaction touches every row it brings.
const _: () = assert!(size_of::<Touch>() <= 16);

/// So many touches are looked through before an index is made.
const SEARCHED: usize = 16;

/// Touches and log entries for which memory is kept; what a large transaction took is given back.
const KEPT_MAX: usize = 1 << 16;

/// The touched rows of one epoch, in the order of their first touch.
#[derive(Debug, Default)]
pub struct Pad {
    touches: Vec<Touch>,
    /// By row, one bit: it is touched.
    marks: Vec<u64>,
    /// The touches by row, once an epoch has many and comes back to one.
    places: HashMap<u32, u32, foldhash::fast::FixedState>,
    log: Vec<(u32, Moved)>,
    /// The log is not in the order of touches.
    mixed: bool,
    /// Aggregates that every touch is said to have got contributions to.
    shared: u16,
}

impl Pad {
    /// Takes the first touch of a row; gives its position.
    #[inline]
    pub fn touch(&mut self, first: Touch) -> usize {
        let row = first.row;
        let (word, bit) = (row as usize / 64, 1 << (row % 64));
        if self.marks.len() <= word {
            self.marks.resize(word + 1, 0);
        }
        self.marks[word] |= bit;
        self.touches.push(Touch { groups: first.groups | self.shared, ..first });
        let place = self.touches.len() - 1;
        if !self.places.is_empty() {
            self.places.insert(row, place as u32);
        }
        place
    }

    /// Where the touch of a touched row stands. It is often the last one, and epochs are mostly small.
    pub fn touched(&mut self, row: u32) -> usize {
        let few = self.touches.len().saturating_sub(SEARCHED);
        if let Some(place) = self.touches[few..].iter().rposition(|touch| touch.row == row) {
            return few + place;
        }
        if self.places.is_empty() {
            self.places.extend(self.touches.iter().zip(0..).map(|(touch, place)| (touch.row, place)));
        }
        self.places[&row] as usize
    }

    /// Says of every touch of the epoch that it may have got contributions to these aggregates: to show one again that has not changes
    /// nothing, and so nobody looks for the touch of each row.
    pub fn share(&mut self, groups: u16) {
        if self.shared & groups != groups {
            self.shared |= groups;
            self.touches.iter_mut().for_each(|touch| touch.groups |= groups);
        }
    }

    /// The touch at a position.
    pub fn get(&mut self, touch: usize) -> &mut Touch {
        &mut self.touches[touch]
    }

    /// Remembers what a slot of a touched row held. Of a row that did not live, NULL need not be remembered.
    #[inline]
    pub fn log(&mut self, touch: usize, slot: u32, old: Raw) {
        if old.tag == Tag::Null && !self.touches[touch].lived {
            return;
        }
        self.mixed |= self.log.last().is_some_and(|(last, _)| *last as usize > touch);
        self.log.push((touch as u32, Moved::new(slot, old)));
    }

    /// Whether the epoch has touched `row`.
    pub fn has(&self, row: u32) -> bool {
        self.marks.get(row as usize / 64).is_some_and(|marks| marks >> (row % 64) & 1 != 0)
    }

    /// Bytes held between epochs.
    pub fn bytes(&self) -> u64 {
        self.marks.capacity() as u64 * 8
    }

    /// How many rows are touched.
    pub fn len(&self) -> usize {
        self.touches.len()
    }

    /// Whether nothing is touched.
    pub fn is_empty(&self) -> bool {
        self.touches.is_empty()
    }

    /// Ends the epoch: the touches and the log, in the order of touches.
    #[inline]
    pub fn take(&mut self) -> (Vec<Touch>, Vec<(u32, Moved)>) {
        let (touches, mut log) = (std::mem::take(&mut self.touches), std::mem::take(&mut self.log));
        touches.iter().for_each(|touch| self.marks[touch.row as usize / 64] &= !(1 << (touch.row % 64)));
        self.places.clear();
        self.shared = 0;
        if std::mem::take(&mut self.mixed) {
            log.sort_by_key(|(touch, _)| *touch);
        }
        (touches, log)
    }

    /// Takes the emptied vectors back, for their memory.
    #[inline]
    pub fn recycle(&mut self, mut touches: Vec<Touch>, mut log: Vec<(u32, Moved)>) {
        if touches.capacity() > KEPT_MAX || log.capacity() > KEPT_MAX {
            return;
        }
        touches.clear();
        log.clear();
        self.touches = touches;
        self.log = log;
    }
}

/// Keeps the first old content of each slot, and drops slots that are as they were.
pub fn net(rows: &mut Rows, row: u32, moved: &mut Vec<Moved>) {
    let mut kept = 0;
    for at in 0..moved.len() {
        let entry = moved[at];
        if moved[..kept].iter().any(|earlier| earlier.slot == entry.slot) {
            rows.release(entry.old);
        } else {
            moved[kept] = entry;
            kept += 1;
        }
    }
    moved.truncate(kept);
    moved.retain(|entry| {
        let there_and_back = rows.same(rows.raw(row, entry.slot), entry.old);
        if there_and_back {
            rows.release(entry.old);
        }
        !there_and_back
    });
}
