//! The row changes of a batch on their way into a region.

use thalweg_graph::{Change, Epoch};

use super::ahead::{AHEAD, Ahead};
use super::update::only_change;
use crate::intake::{Arrival, What};

/// Arrivals in the order of epochs, and the rows of the next ones where they are plain updates.
pub(super) struct Arrivals {
    all: Vec<Arrival>,
    at: usize,
    /// Of the arrivals from `seen_from`.
    rows: Ahead,
    seen_from: usize,
}

impl Arrivals {
    /// Of a batch.
    pub fn new(all: Vec<Arrival>) -> Arrivals {
        Arrivals { all, at: 0, rows: Ahead::new(), seen_from: 0 }
    }

    /// The epoch of the next.
    #[inline]
    pub fn epoch(&self) -> Option<Epoch> {
        self.all.get(self.at).map(|arrival| arrival.epoch)
    }

    /// Whether the next is the only one of its epoch.
    #[inline]
    pub fn is_alone(&self) -> bool {
        self.epoch().is_some_and(|epoch| self.all.get(self.at + 1).is_none_or(|next| next.epoch != epoch))
    }

    /// Has the rows of the next ones looked for, unless they are known.
    #[inline]
    pub fn look_ahead(&mut self, look: impl FnOnce(&[Arrival]) -> Ahead) {
        if self.at >= self.seen_from + self.rows.len() {
            let end = self.all.len().min(self.at + AHEAD);
            self.rows = look(&self.all[self.at..end]);
            self.seen_from = self.at;
        }
    }

    /// The next, if it is a plain update of a row that was found: the row, the number of the mapping, the change.
    #[inline]
    pub fn next_update(&self) -> Option<(u32, usize, &Change)> {
        let row = (*self.rows.get(self.at - self.seen_from)?)?;
        let (mapping, change) = only_change(self.all.get(self.at)?)?;
        Some((row, mapping, change))
    }

    /// The next, if it is of this epoch.
    #[inline]
    pub fn next_of(&mut self, epoch: Epoch) -> Option<What> {
        let arrival = self.all.get_mut(self.at).filter(|arrival| arrival.epoch == epoch)?;
        self.at += 1;
        Some(arrival.take())
    }
}
