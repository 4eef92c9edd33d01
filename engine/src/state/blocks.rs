//! A vector in blocks: more of it never means copying what there is, and what is kept ready for more is at most one block.
//!
//! The first block grows with its items, because many tables are small.

use std::ops::{Index, IndexMut};

/// Items in a block, as a power of two.
const BITS: u32 = 12;

/// Items by dense number.
#[derive(Debug)]
pub struct Blocks<T> {
    /// All full but the last.
    blocks: Vec<Vec<T>>,
    len: usize,
}

impl<T> Default for Blocks<T> {
    fn default() -> Self {
        Blocks { blocks: Vec::new(), len: 0 }
    }
}

impl<T> Blocks<T> {
    /// How many items there are.
    #[inline]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Puts an item behind the others.
    #[inline]
    pub fn push(&mut self, item: T) {
        match self.blocks.last_mut() {
            Some(last) if last.len() < 1 << BITS => last.push(item),
            last => {
                let mut block = Vec::with_capacity(if last.is_none() { 0 } else { 1 << BITS });
                block.push(item);
                self.blocks.push(block);
            }
        }
        self.len += 1;
    }

    /// An item, if there are so many.
    #[inline]
    pub fn get(&self, at: usize) -> Option<&T> {
        self.blocks.get(at >> BITS)?.get(at & ((1 << BITS) - 1))
    }

    /// All items, in order.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.blocks.iter().flatten()
    }

    /// Bytes held, without what the items own.
    pub fn bytes(&self) -> u64 {
        self.blocks.iter().map(|block| (block.capacity() * size_of::<T>()) as u64).sum()
    }
}

impl<T: Clone> Blocks<T> {
    /// Makes `len` items of them, if they are fewer.
    #[inline]
    pub fn grow(&mut self, len: usize, item: &T) {
        while self.len < len {
            self.push(item.clone());
        }
    }
}

impl<T> Index<usize> for Blocks<T> {
    type Output = T;

    #[inline]
    fn index(&self, at: usize) -> &T {
        &self.blocks[at >> BITS][at & ((1 << BITS) - 1)]
    }
}

impl<T> IndexMut<usize> for Blocks<T> {
    #[inline]
    fn index_mut(&mut self, at: usize) -> &mut T {
        &mut self.blocks[at >> BITS][at & ((1 << BITS) - 1)]
    }
}

/// One bit a row.
#[derive(Debug, Default)]
pub struct Bits(Blocks<u64>);

impl Bits {
    /// Makes room for row `row`; its bit is clear if it is new.
    #[inline]
    pub fn ensure(&mut self, row: u32) {
        self.0.grow(row as usize / 64 + 1, &0);
    }

    /// The bit of a row; clear where there is none.
    #[inline]
    pub fn get(&self, row: u32) -> bool {
        self.0.get(row as usize / 64).is_some_and(|word| word >> (row % 64) & 1 != 0)
    }

    /// Changes the bit of a row that there is room for; gives the bit before.
    #[inline]
    pub fn put(&mut self, row: u32, bit: bool) -> bool {
        let (word, shift) = (&mut self.0[row as usize / 64], row % 64);
        let before = *word >> shift & 1 != 0;
        *word = *word & !(1 << shift) | u64::from(bit) << shift;
        before
    }

    /// The rows whose bits are set.
    pub fn ones(&self) -> impl Iterator<Item = u32> + '_ {
        self.0.iter().zip(0u32..).filter(|(word, _)| **word != 0).flat_map(|(word, at)| {
            let word = *word;
            (0..64).filter(move |bit| word >> bit & 1 != 0).map(move |bit| at * 64 + bit)
        })
    }

    /// Bytes held.
    pub fn bytes(&self) -> u64 {
        self.0.bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_stand_where_they_were_put() {
        let mut blocks = Blocks::default();
        (0..10_000u32).for_each(|n| blocks.push(n));
        blocks.grow(10_010, &7);
        blocks[9_000] = 1;
        assert_eq!((blocks.len(), blocks[0], blocks[4_096], blocks[9_000], blocks[10_009]), (10_010, 0, 4_096, 1, 7));
        assert_eq!((blocks.get(10_010), blocks.get(1 << 20), blocks.iter().count()), (None, None, 10_010));
        assert!(blocks.bytes() < 11_000 * 4 + (1 << BITS) * 4);
    }

    #[test]
    fn bits_are_told_apart() {
        let mut bits = Bits::default();
        for row in [0, 63, 64, 300_000] {
            bits.ensure(row);
            assert!(!bits.put(row, true));
        }
        assert!(bits.put(64, false));
        assert_eq!(bits.ones().collect::<Vec<_>>(), [0, 63, 300_000]);
        assert_eq!((bits.get(63), bits.get(64), bits.get(299_999), bits.get(u32::MAX)), (true, false, false, false));
    }
}
