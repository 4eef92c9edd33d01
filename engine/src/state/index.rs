//! Rows by the hash of their keys, in segments: a table that grows splits one segment at a time, so no insert pays for all rows.
//!
//! Extendible hashing (Fagin et al. 1979): some bits of the hash name a segment; one that is full becomes two, told apart by one bit more.
//!
//! Invariant INV-SEGMENT: a segment of depth `d` holds exactly the rows whose hashes agree with its place in the lowest `d` bits of those
//! that name a segment; every place of `roots` that agrees in these names it.
//!
//! Cost: one probe; 5 B for each of a segment's places, of which four to seven eighths are taken.

use hashbrown::HashTable;

/// Rows in a segment.
const FULL: usize = 7_168;

/// The lowest of the bits that name a segment: apart from those that a segment uses itself, the lowest and the highest.
const SHIFT: u32 = 40;

/// The most bits that name a segment; where even so many do not tell rows apart, segments grow.
const DEPTH_MAX: u32 = 16;

/// Rows by hash.
#[derive(Debug)]
pub struct Index {
    segments: Vec<Segment>,
    /// By the bits that name a segment.
    roots: Vec<u32>,
    len: usize,
}

#[derive(Debug, Default)]
struct Segment {
    rows: HashTable<u32>,
    depth: u32,
}

impl Default for Index {
    fn default() -> Self {
        Index { segments: vec![Segment::default()], roots: vec![0], len: 0 }
    }
}

impl Index {
    /// How many rows are in.
    #[inline]
    pub fn len(&self) -> usize {
        self.len
    }

    #[inline]
    fn root(&self, hash: u64) -> usize {
        (hash >> SHIFT) as usize & (self.roots.len() - 1)
    }

    /// The row of this hash that `is` the one.
    #[inline]
    pub fn find(&self, hash: u64, mut is: impl FnMut(u32) -> bool) -> Option<u32> {
        let segment = &self.segments[self.roots[self.root(hash)] as usize];
        segment.rows.find(hash, |row| is(*row)).copied()
    }

    /// Puts a row in that is not there. `hash_of` tells the hash of any row that is in.
    #[inline]
    pub fn insert(&mut self, hash: u64, row: u32, hash_of: impl Fn(u32) -> u64) {
        let root = self.root(hash);
        let segment = &mut self.segments[self.roots[root] as usize];
        if segment.rows.len() >= FULL && segment.depth < DEPTH_MAX {
            self.split(root, &hash_of);
            return self.insert(hash, row, hash_of);
        }
        segment.rows.insert_unique(hash, row, |row| hash_of(*row));
        self.len += 1;
    }

    /// Takes a row of this hash out; whether it was in.
    pub fn remove(&mut self, hash: u64, row: u32) -> bool {
        let root = self.root(hash);
        let rows = &mut self.segments[self.roots[root] as usize].rows;
        let Ok(entry) = rows.find_entry(hash, |entry| *entry == row) else { return false };
        entry.remove();
        self.len -= 1;
        true
    }

    #[cold]
    fn split(&mut self, root: usize, hash_of: &impl Fn(u32) -> u64) {
        let (at, new) = (self.roots[root] as usize, self.segments.len() as u32);
        let depth = self.segments[at].depth;
        if 1 << depth == self.roots.len() {
            self.roots.extend_from_within(..);
        }
        let mut halves = [(); 2].map(|()| HashTable::with_capacity(FULL));
        for row in &self.segments[at].rows {
            let hash = hash_of(*row);
            halves[(hash >> (SHIFT + depth)) as usize & 1].insert_unique(hash, *row, |row| hash_of(*row));
        }
        let [low, high] = halves.map(|rows| Segment { rows, depth: depth + 1 });
        self.segments[at] = low;
        self.segments.push(high);
        // Every place that named the segment and has the new bit.
        for place in (root & ((1 << depth) - 1) | 1 << depth..self.roots.len()).step_by(2 << depth) {
            self.roots[place] = new;
        }
    }

    /// Bytes held.
    pub fn bytes(&self) -> u64 {
        // One control byte for each of a segment's places.
        let places: usize = self.segments.iter().map(|segment| segment.rows.capacity() * 8 / 7).sum();
        (places * (size_of::<u32>() + 1) + self.segments.len() * size_of::<Segment>() + self.roots.len() * 4) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows whose hashes are good, and some whose naming bits are all alike.
    fn hash_of(row: u32) -> u64 {
        let good = u64::from(row).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(31).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        if row.is_multiple_of(3) { good & !(0xffff << SHIFT) } else { good }
    }

    #[test]
    fn segments_split_and_lose_nothing() {
        let mut index = Index::default();
        let rows = 200_000;
        (0..rows).for_each(|row| index.insert(hash_of(row), row, hash_of));
        assert!(index.segments.len() > 20, "{} segments", index.segments.len());
        assert!((0..rows).all(|row| index.find(hash_of(row), |other| other == row) == Some(row)));
        assert_eq!(index.find(hash_of(rows), |other| other == rows), None);
        assert!((0..rows).step_by(2).all(|row| index.remove(hash_of(row), row)));
        assert!(!index.remove(hash_of(0), 0));
        assert_eq!(index.len(), rows as usize / 2);
        assert!((0..rows).all(|row| index.find(hash_of(row), |other| other == row).is_some() == (row % 2 == 1)));
    }
}
