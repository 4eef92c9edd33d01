//! The accumulators of a region's rows, ghosts included: children may come before their parent.

use thalweg_formulas::Cell;
use thalweg_formulas::aggregate::Accumulator;

use super::layout::GroupIn;
use crate::edges::mail::Contribution;
use crate::state::Kind;
use crate::state::blocks::Blocks;

/// Accumulators by row and place.
#[derive(Debug)]
pub struct Aggregates {
    blank: Vec<Accumulator>,
    all: Blocks<Accumulator>,
}

impl Aggregates {
    /// For these aggregates in each row.
    pub fn new(groups: &[GroupIn]) -> Aggregates {
        Aggregates { blank: groups.iter().map(|group| Accumulator::new(group.agg, &group.of)).collect(), all: Blocks::default() }
    }

    fn ensure(&mut self, row: u32) {
        while self.all.len() < (row as usize + 1) * self.blank.len() {
            self.blank.iter().for_each(|blank| self.all.push(blank.clone()));
        }
    }

    /// Takes what a child no longer gives out, and puts in what it gives now.
    #[inline]
    pub fn apply(&mut self, row: u32, place: u32, contribution: &Contribution) {
        self.ensure(row);
        let accumulator = &mut self.all[row as usize * self.blank.len() + place as usize];
        if let Some(cell) = &contribution.remove {
            accumulator.remove(cell);
        }
        if let Some(cell) = &contribution.add {
            accumulator.insert(cell);
        }
    }

    /// Puts in what children give that are born.
    pub fn add_words(&mut self, row: u32, place: u32, kind: Kind, words: &[u64]) {
        self.ensure(row);
        let accumulator = &mut self.all[row as usize * self.blank.len() + place as usize];
        words.iter().for_each(|word| accumulator.insert(&Ok(kind.value(*word))));
    }

    /// What an aggregate shows.
    #[inline]
    pub fn value(&mut self, row: u32, place: u32) -> Cell {
        self.ensure(row);
        self.all[row as usize * self.blank.len() + place as usize].value()
    }

    /// Groups that hold something at one place, and the bytes of all of them.
    pub fn size(&self, place: usize) -> (u64, u64) {
        let here = self.all.iter().skip(place).step_by(self.blank.len().max(1));
        here.fold((0, 0), |(groups, bytes), accumulator| {
            (groups + u64::from(!accumulator.is_empty()), bytes + accumulator.bytes() as u64)
        })
    }
}
