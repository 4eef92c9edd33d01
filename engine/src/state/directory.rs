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
//! - INV-KEY: who asks for a row brings a key of the table's types; only then can it be kept in words.
//!
//! Cost: 8 B a key column, about 7 B of index, 4 B of count a row; one probe a key.

use std::hash::{BuildHasher, Hash, Hasher};

use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
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
}

/// Keys of one table.
#[derive(Debug)]
pub struct Directory {
    keys: Keys,
    /// Rows by the hash of their keys.
    index: HashTable<u32>,
    holds: Vec<u32>,
    free: Vec<u32>,
    suspects: Vec<u32>,
}

impl Directory {
    /// For keys of these types; without, the first key tells.
    pub fn new(types: Option<&[Type]>) -> Directory {
        Directory {
            keys: types.map_or(Keys::Unknown, Keys::of_types),
            index: HashTable::new(),
            holds: Vec::new(),
            free: Vec::new(),
            suspects: Vec::new(),
        }
    }

    /// The row of a key, if it has one.
    #[inline]
    pub fn find(&self, key: &[Value], hash: KeyHash) -> Option<u32> {
        self.index.find(hash.0, |row| self.keys.are(*row, key)).copied()
    }

    /// The row of a key, new if need be. Who asks holds it, or gives it up by [`Directory::suspect`].
    pub fn intern(&mut self, key: &[Value], hash: KeyHash) -> u32 {
        let keys = &self.keys;
        let vacant = match self.index.entry(hash.0, |row| keys.are(*row, key), |row| keys.hash(*row)) {
            Entry::Occupied(entry) => return *entry.get(),
            Entry::Vacant(vacant) => vacant,
        };
        let row = self.free.pop().unwrap_or_else(|| {
            self.holds.push(0);
            self.holds.len() as u32 - 1
        });
        self.keys.put(row, key);
        vacant.insert(row);
        row
    }

    /// Expects so many more keys.
    pub fn reserve(&mut self, keys: usize) {
        self.index.reserve(keys, |row| self.keys.hash(*row));
        self.holds.reserve(keys);
        self.keys.reserve(keys);
    }

    /// The key of a row.
    pub fn key(&self, row: u32) -> Key {
        (0..self.keys.columns()).map(|column| self.keys.value(row, column)).collect()
    }

    /// Writes the key of a row behind others.
    #[inline]
    pub fn write_key(&self, row: u32, out: &mut Vec<Value>) {
        (0..self.keys.columns()).for_each(|column| out.push(self.keys.value(row, column)));
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
        for row in self.suspects.drain(..) {
            if self.holds[row as usize] > 0 {
                continue;
            }
            if let Ok(entry) = self.index.find_entry(self.keys.hash(row), |entry| *entry == row) {
                entry.remove();
                self.keys.wipe(row);
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
        let keys = self.keys.bytes();
        // One control byte for each of the index's places.
        let index = self.index.capacity() * 8 / 7 * (size_of::<u32>() + 1);
        keys + (index + (self.holds.capacity() + self.free.capacity() + self.suspects.capacity()) * 4) as u64
    }
}

/// The keys by row. The common one, a single column of a type whose values are all words, is kept as words.
#[derive(Debug)]
enum Keys {
    /// The plan does not tell the types, and there was no key yet.
    Unknown,
    Words(Kind, Vec<u64>),
    Rows(Rows),
}

impl Keys {
    fn of_types(types: &[Type]) -> Keys {
        let kinds: Vec<Kind> = types.iter().map(Kind::of_type).collect();
        match kinds[..] {
            [] => Keys::Unknown,
            // A decimal may need more than a word.
            [kind] if kind.is_word() && !matches!(kind, Kind::Decimal(_)) => Keys::Words(kind, Vec::new()),
            _ => Keys::Rows(Rows::new(kinds)),
        }
    }

    fn columns(&self) -> u32 {
        match self {
            Keys::Unknown => 0,
            Keys::Words(..) => 1,
            Keys::Rows(rows) => rows.slots() as u32,
        }
    }

    #[inline]
    fn are(&self, row: u32, key: &[Value]) -> bool {
        match (self, key) {
            (Keys::Unknown, _) => false,
            (Keys::Words(kind, words), [value]) => kind.word(value) == Some(words[row as usize]),
            (Keys::Words(..), _) => false,
            (Keys::Rows(rows), _) => {
                key.len() == rows.slots() && key.iter().enumerate().all(|(slot, value)| rows.holds(row, slot as u32, value))
            }
        }
    }

    #[inline]
    fn put(&mut self, row: u32, key: &[Value]) {
        match self {
            Keys::Words(kind, words) => {
                let word = key.first().and_then(|value| kind.word(value));
                if words.len() <= row as usize {
                    words.resize(row as usize + 1, 0);
                }
                words[row as usize] = word.expect("invariant INV-KEY: a key is of its table's types");
            }
            Keys::Rows(rows) => {
                rows.ensure(row);
                for (slot, value) in key.iter().enumerate() {
                    rows.write(row, slot as u32, value.clone());
                }
            }
            Keys::Unknown => {
                *self = Keys::Rows(Rows::new(vec![Kind::Open; key.len()]));
                self.put(row, key);
            }
        }
    }

    #[inline]
    fn value(&self, row: u32, column: u32) -> Value {
        match self {
            Keys::Unknown => Value::Null,
            Keys::Words(kind, words) => kind.value(words[row as usize]),
            Keys::Rows(rows) => rows.last_good(column, rows.raw(row, column)),
        }
    }

    /// The hash of a row's key.
    fn hash(&self, row: u32) -> u64 {
        match self {
            Keys::Words(kind, words) => KeyHash::of(&[kind.value(words[row as usize])]).0,
            Keys::Unknown | Keys::Rows(_) => {
                let key: KeyBuf = (0..self.columns()).map(|column| self.value(row, column)).collect();
                KeyHash::of(&key).0
            }
        }
    }

    fn wipe(&mut self, row: u32) {
        if let Keys::Rows(rows) = self {
            rows.wipe(row);
        }
    }

    fn reserve(&mut self, keys: usize) {
        match self {
            Keys::Words(_, words) => words.reserve(keys),
            Keys::Unknown | Keys::Rows(_) => {}
        }
    }

    fn bytes(&self) -> u64 {
        match self {
            Keys::Unknown => 0,
            Keys::Words(_, words) => words.capacity() as u64 * 8,
            Keys::Rows(rows) => (0..rows.slots() as u32).map(|slot| rows.slot_bytes(slot)).sum(),
        }
    }
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
