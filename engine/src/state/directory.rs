//! A table's directory on one worker: keys to dense row ids, for every region of the table alike.
//!
//! A row id stands for a key, not for a live document: a parent that its children already name, or a document that a reference
//! names, has an id before it exists (a *ghost*). Which documents live is each region's to know, in epoch order; so one id
//! serves through a death and a birth of the same key within a batch.
//!
//! Invariants:
//! - INV-HOLD: `holds[row]` counts what needs the id: the live document, contributions to it, references to it.
//! - An id is given back only between batches ([`Directory::sweep`]), when nothing holds it, and then its row is blank.
//!
//! Cost: 8 B a key column, about 14 B of index, 4 B of count a row; one probe a key.

use std::hash::{BuildHasher, Hash, Hasher};

use hashbrown::HashTable;
use smallvec::SmallVec;
use thalweg_formulas::{Type, Value};
use thalweg_graph::outcome::Key;

use super::raw::Kind;
use super::rows::Rows;

/// A key on its way: usually one value, kept off the heap.
pub type KeyBuf = SmallVec<[Value; 2]>;

/// The hash of a key: the same on every worker, in every run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyHash(u64);

impl KeyHash {
    /// Of these values.
    #[inline]
    pub fn of(key: &[Value]) -> KeyHash {
        let mut hasher = foldhash::fast::FixedState::with_seed(0x7468_616c).build_hasher();
        key.iter().for_each(|value| value.hash(&mut hasher));
        KeyHash(hasher.finish())
    }

    /// The worker that owns the document.
    #[inline]
    pub fn owner(self, workers: usize) -> usize {
        if workers == 1 { 0 } else { (self.0 >> 32) as usize % workers }
    }

    fn short(self) -> u32 {
        self.0 as u32
    }
}

/// The part of the hash that an entry keeps, spread over a table's 64 bits.
#[inline]
fn spread(short: u32) -> u64 {
    u64::from(short).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    short: u32,
    row: u32,
}

/// Keys of one table.
#[derive(Debug)]
pub struct Directory {
    kinds: Vec<Kind>,
    keys: Option<Rows>,
    index: HashTable<Entry>,
    holds: Vec<u32>,
    free: Vec<u32>,
    suspects: Vec<u32>,
}

impl Directory {
    /// For keys of these types; without, the first key tells.
    pub fn new(types: Option<&[Type]>) -> Directory {
        let kinds = types.unwrap_or(&[]).iter().map(Kind::of_type).collect();
        Directory { kinds, keys: None, index: HashTable::new(), holds: Vec::new(), free: Vec::new(), suspects: Vec::new() }
    }

    /// The row of a key, if it has one.
    #[inline]
    pub fn find(&self, key: &[Value], hash: KeyHash) -> Option<u32> {
        let keys = self.keys.as_ref()?;
        let short = hash.short();
        let same = |entry: &Entry| entry.short == short && holds_key(keys, entry.row, key);
        self.index.find(spread(short), same).map(|entry| entry.row)
    }

    /// The row of a key, new if need be. Who asks holds it, or gives it up by [`Directory::suspect`].
    pub fn intern(&mut self, key: &[Value], hash: KeyHash) -> u32 {
        if let Some(row) = self.find(key, hash) {
            return row;
        }
        let kinds = &mut self.kinds;
        let keys = self.keys.get_or_insert_with(|| {
            kinds.resize(key.len(), Kind::Open);
            Rows::new(std::mem::take(kinds))
        });
        let row = self.free.pop().unwrap_or_else(|| {
            self.holds.push(0);
            self.holds.len() as u32 - 1
        });
        keys.ensure(row);
        for (slot, value) in key.iter().enumerate() {
            keys.set(row, slot as u32, Ok(value.clone()));
        }
        let short = hash.short();
        self.index.insert_unique(spread(short), Entry { short, row }, |entry| spread(entry.short));
        row
    }

    /// Expects so many more keys.
    pub fn reserve(&mut self, keys: usize) {
        self.index.reserve(keys, |entry| spread(entry.short));
        self.holds.reserve(keys);
        self.keys.iter_mut().for_each(|rows| rows.reserve(keys));
    }

    /// The key of a row.
    pub fn key(&self, row: u32) -> Key {
        (0..self.arity()).map(|slot| self.value(row, slot)).collect()
    }

    /// Writes the key of a row behind others.
    #[inline]
    pub fn write_key(&self, row: u32, out: &mut Vec<Value>) {
        (0..self.arity()).for_each(|slot| out.push(self.value(row, slot)));
    }

    /// One value of a row's key.
    pub fn value(&self, row: u32, slot: u32) -> Value {
        let keys = self.keys.as_ref().expect("invariant INV-HOLD: a row id comes from a key");
        keys.last_good(slot, keys.raw(row, slot))
    }

    fn arity(&self) -> u32 {
        self.keys.as_ref().map_or(0, Rows::slots) as u32
    }

    /// One more reason to keep the id.
    #[inline]
    pub fn hold(&mut self, row: u32) {
        self.holds[row as usize] += 1;
    }

    /// One reason less.
    #[inline]
    pub fn let_go(&mut self, row: u32) {
        let holds = &mut self.holds[row as usize];
        *holds = holds.checked_sub(1).expect("invariant INV-HOLD: let go once per hold");
        if *holds == 0 {
            self.suspects.push(row);
        }
    }

    /// The next sweep is to look whether anything holds the id.
    pub fn suspect(&mut self, row: u32) {
        self.suspects.push(row);
    }

    /// Gives back the ids that nothing holds. Between batches only: what is in flight names rows by id.
    pub fn sweep(&mut self) {
        let Some(keys) = self.keys.as_mut() else { return };
        for row in self.suspects.drain(..) {
            if self.holds[row as usize] > 0 {
                continue;
            }
            let key: KeyBuf = (0..keys.slots() as u32).map(|slot| keys.last_good(slot, keys.raw(row, slot))).collect();
            let short = KeyHash::of(&key).short();
            if let Ok(entry) = self.index.find_entry(spread(short), |entry| entry.row == row) {
                entry.remove();
                keys.wipe(row);
                self.free.push(row);
            }
        }
    }

    /// Keys that have an id now.
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// Bytes held.
    pub fn bytes(&self) -> u64 {
        let keys = self.keys.as_ref().map_or(0, |keys| (0..keys.slots() as u32).map(|slot| keys.slot_bytes(slot)).sum());
        // One control byte for each of the index's places.
        let index = self.index.capacity() * 8 / 7 * (size_of::<Entry>() + 1);
        keys + (index + (self.holds.capacity() + self.free.capacity() + self.suspects.capacity()) * 4) as u64
    }
}

fn holds_key(keys: &Rows, row: u32, key: &[Value]) -> bool {
    key.len() == keys.slots() && key.iter().enumerate().all(|(slot, value)| keys.holds(row, slot as u32, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_keeps_its_id_while_something_holds_it() {
        let mut directory = Directory::new(Some(&[Type::Int]));
        let key = [Value::Int(7)];
        let hash = KeyHash::of(&key);
        let row = directory.intern(&key, hash);
        directory.hold(row);
        directory.sweep();
        assert_eq!(directory.find(&key, hash), Some(row));
        assert_eq!(*directory.key(row), key);
        directory.let_go(row);
        assert_eq!(directory.find(&key, hash), Some(row), "not before the sweep");
        directory.sweep();
        assert_eq!(directory.find(&key, hash), None);
        let other = [Value::Int(8)];
        assert_eq!(directory.intern(&other, KeyHash::of(&other)), row, "the place is used again");
    }

    #[test]
    fn keys_of_other_types_are_other_keys() {
        let mut directory = Directory::new(None);
        let rows: Vec<u32> = [Value::Int(1), Value::Uint(1), Value::from("1"), Value::double(1.0), Value::Null]
            .iter()
            .map(|value| directory.intern(std::slice::from_ref(value), KeyHash::of(std::slice::from_ref(value))))
            .collect();
        assert_eq!(rows, [0, 1, 2, 3, 4]);
    }
}
