//! Where training begins, and in which order it meets rows: from a seed, the same on every machine.

use crate::step::Element;

/// Numbers that look random and are the same for a seed. SplitMix64: Steele, Lea & Flood 2014, "Fast splittable pseudorandom number generators".
#[derive(Clone, Debug, PartialEq, Eq)]
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// From 0 up to but without 1.
    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// From 0 up to but without `end`.
    fn below(&mut self, end: usize) -> usize {
        ((u128::from(self.next()) * end as u128) >> 64) as usize
    }
}

/// What a parameter is before the first step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Start {
    /// 0 everywhere.
    Zeros,
    /// Evenly spread from `-bound` to `bound`.
    Uniform {
        /// The greatest distance from 0.
        bound: f64,
    },
    /// Evenly spread up to `sqrt(6 / (inputs + outputs))`. Glorot & Bengio 2010; for layers without a kink.
    Xavier,
    /// Evenly spread up to `sqrt(6 / inputs)`. He et al. 2015; for layers with `relu`.
    He,
}

impl Start {
    /// The numbers of a parameter of this shape. Inputs are its first axis, outputs its last; one that has less than two axes has as
    /// many of both.
    pub fn values<T: Element>(self, shape: &[usize], seed: u64) -> Vec<T> {
        let n = shape.iter().product();
        let (inputs, outputs) = (shape.first().copied().unwrap_or(1), shape.last().copied().unwrap_or(1));
        let bound = match self {
            Start::Zeros => return vec![T::ZERO; n],
            Start::Uniform { bound } => bound,
            Start::Xavier => (6.0 / (inputs + outputs) as f64).sqrt(),
            Start::He => (6.0 / inputs as f64).sqrt(),
        };
        let mut numbers = Numbers(seed);
        (0..n).map(|_| T::from_f64((2.0 * numbers.unit() - 1.0) * bound)).collect()
    }
}

/// Rows in batches: each epoch meets every row once, in an order of its own. What does not fill a batch waits for another epoch's order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batches {
    order: Vec<u32>,
    numbers: Numbers,
    batch: usize,
    at: usize,
}

impl Batches {
    /// Batches of `batch` out of `rows` rows.
    ///
    /// # Panics
    /// If there are fewer rows than a batch has, or the batch has none.
    pub fn new(rows: usize, batch: usize, seed: u64) -> Batches {
        assert!(batch > 0 && batch <= rows, "a batch of {batch} out of {rows} rows");
        let mut batches = Batches { order: (0..rows as u32).collect(), numbers: Numbers(seed), batch, at: 0 };
        batches.shuffle();
        batches
    }

    /// Fisher and Yates.
    fn shuffle(&mut self) {
        for i in (1..self.order.len()).rev() {
            self.order.swap(i, self.numbers.below(i + 1));
        }
        self.at = 0;
    }

    /// How many batches an epoch has.
    pub fn per_epoch(&self) -> usize {
        self.order.len() / self.batch
    }

    /// The rows of the next batch. Allocates nothing.
    pub fn next_rows(&mut self) -> &[u32] {
        if self.at + self.batch > self.order.len() {
            self.shuffle();
        }
        self.at += self.batch;
        &self.order[self.at - self.batch..self.at]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_start_and_another_one_another() {
        let start = |start: Start, seed| start.values::<f64>(&[100, 20], seed);
        assert_eq!(start(Start::Zeros, 1), vec![0.0; 2000]);
        for (kind, bound) in
            [(Start::Uniform { bound: 0.1 }, 0.1), (Start::Xavier, 0.05_f64.sqrt()), (Start::He, 0.06_f64.sqrt())]
        {
            let values = start(kind, 7);
            assert_eq!(values, start(kind, 7));
            assert_ne!(values, start(kind, 8));
            let (most, mean) = (values.iter().fold(0.0_f64, |most, x| most.max(x.abs())), values.iter().sum::<f64>() / 2000.0);
            assert!(most <= bound && most > 0.99 * bound && mean.abs() < 0.05 * bound, "{kind:?}: {most}, {mean}");
        }
        assert_eq!(Start::Uniform { bound: 1.0 }.values::<f64>(&[2], 0), [0.7666216164272852, -0.13694400590298006]);
    }

    #[test]
    fn an_epoch_meets_every_row_once() {
        let mut batches = Batches::new(10, 3, 5);
        assert_eq!(batches.per_epoch(), 3);
        let mut orders = Vec::new();
        for _ in 0..4 {
            let mut rows: Vec<u32> = (0..3).flat_map(|_| batches.next_rows().to_vec()).collect();
            orders.push(rows.clone());
            rows.sort_unstable();
            rows.dedup();
            assert_eq!(rows.len(), 9);
        }
        assert_ne!(orders[0], orders[1]);
        assert_eq!(Batches::new(10, 3, 5).next_rows(), &orders[0][..3]);
    }
}
