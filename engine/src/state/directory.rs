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
//! A key that is one whole number may stand on a page ([`super::pages`]); every other is found by its hash ([`super::index`]).
//!
//! Cost: 8 B a key column, 4 B of page or about 8 of index, 4 B of count a row; one probe a key. No insert pays for all keys.

use std::hash::{BuildHasher, Hash, Hasher};

use smallvec::SmallVec;
use thalweg_formulas::{Type, Value};
use thalweg_graph::outcome::Key;

use super::blocks::Blocks;
use super::index::Index;
use super::pages::Pages;
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
        match key {
            [Value::Int(x)] => KeyHash::of_word(*x as u64),
            [Value::Uint(x)] => KeyHash::of_word(*x),
            _ => KeyHash::of_any(key),
        }
    }

    /// Of a key that is one whole number.
    #[inline]
    pub fn of_word(word: u64) -> KeyHash {
        let product = u128::from(word ^ 0x7468_616c_7765_6721) * 0x9e37_79b9_7f4a_7c15;
        KeyHash(product as u64 ^ (product >> 64) as u64)
    }

    fn of_any(key: &[Value]) -> KeyHash {
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
    /// Rows of keys that are whole numbers, where those are dense.
    pages: Pages,
    /// The other rows, by the hash of their keys.
    index: Index,
    holds: Blocks<u32>,
    free: Vec<u32>,
    suspects: Vec<u32>,
}

impl Directory {
    /// For keys of these types; without, the first key tells.
    pub fn new(types: Option<&[Type]>) -> Directory {
        Directory {
            keys: types.map_or(Keys::Unknown, Keys::of_types),
            pages: Pages::default(),
            index: Index::default(),
            holds: Blocks::default(),
            free: Vec::new(),
            suspects: Vec::new(),
        }
    }

    /// The row of a key, if it has one.
    #[inline]
    pub fn find(&self, key: &[Value], hash: KeyHash) -> Option<u32> {
        match self.keys.number(key).and_then(|number| self.pages.find(number)) {
            Some(row) => row,
            None => self.index.find(hash.0, |row| self.keys.are(row, key)),
        }
    }

    /// The row of a key, new if need be. Who asks holds it, or gives it up by [`Directory::suspect`].
    #[inline]
    pub fn intern(&mut self, key: &[Value], hash: KeyHash) -> u32 {
        match self.find(key, hash) {
            Some(row) => row,
            None => self.add(key, hash),
        }
    }

    /// As [`Directory::find`], for a key that is a word of this kind, a whole number.
    #[inline]
    pub fn find_word(&self, kind: Kind, number: u64) -> Option<u32> {
        if !self.keys.are_words_of(kind) {
            let key = [kind.value(number)];
            return self.find(&key, KeyHash::of(&key));
        }
        match self.pages.find(number) {
            Some(row) => row,
            None => self.index.find(KeyHash::of_word(number).0, |row| self.keys.number_of(row) == Some(number)),
        }
    }

    /// As [`Directory::intern`], for a key that is a word of this kind, a whole number.
    #[inline]
    pub fn intern_word(&mut self, kind: Kind, number: u64) -> u32 {
        if let Some(row) = self.find_word(kind, number) {
            return row;
        }
        if !self.keys.are_words_of(kind) {
            let key = [kind.value(number)];
            return self.add(&key, KeyHash::of(&key));
        }
        let row = self.new_row();
        self.keys.put_word(row, number);
        self.enter_number(number, row);
        row
    }

    #[inline]
    fn new_row(&mut self) -> u32 {
        self.free.pop().unwrap_or_else(|| {
            self.holds.push(0);
            self.holds.len() as u32 - 1
        })
    }

    /// Gives a key, which has none, a row.
    fn add(&mut self, key: &[Value], hash: KeyHash) -> u32 {
        let row = self.new_row();
        self.keys.put(row, key);
        match self.keys.number(key) {
            Some(number) => self.enter_number(number, row),
            None => self.index.insert(hash.0, row, |row| self.keys.hash(row)),
        }
        row
    }

    /// Makes the row of a whole number to be found.
    #[inline]
    fn enter_number(&mut self, number: u64, row: u32) {
        if !self.put_on_page(number, row) {
            self.index.insert(KeyHash::of_word(number).0, row, |row| self.keys.hash(row));
        }
    }

    /// Puts the row of a whole number on its page, if that is open or worth opening.
    fn put_on_page(&mut self, number: u64, row: u32) -> bool {
        if self.pages.put(number, row) {
            return true;
        }
        if !self.pages.wants(number, self.len()) {
            return false;
        }
        for number in self.pages.open(number) {
            let hash = KeyHash::of_word(number).0;
            if self.index.len() > 0
                && let Some(row) = self.index.find(hash, |row| self.keys.number_of(row) == Some(number))
            {
                self.index.remove(hash, row);
                self.pages.put(number, row);
            }
        }
        self.pages.put(number, row)
    }

    /// The key of a row.
    pub fn key(&self, row: u32) -> Key {
        self.key_values(row).collect()
    }

    /// The values of a row's key, column by column.
    #[inline]
    pub fn key_values(&self, row: u32) -> impl Iterator<Item = Value> {
        (0..self.keys.columns()).map(move |column| self.keys.value(row, column))
    }

    /// Writes the key of a row behind others.
    #[inline]
    pub fn write_key(&self, row: u32, out: &mut Vec<Value>) {
        match &self.keys {
            Keys::Words(kind, words) => out.push(kind.value(words[row as usize])),
            keys => (0..keys.columns()).for_each(|column| out.push(keys.value(row, column))),
        }
    }

    /// One more reason to keep the id.
    #[inline]
    pub fn hold(&mut self, row: u32) {
        self.holds[row as usize] += 1;
    }

    /// So many more.
    #[inline]
    pub fn hold_times(&mut self, row: u32, times: u32) {
        self.holds[row as usize] += times;
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
            let on_page = self.keys.number_of(row).map(|number| self.pages.take(number, row));
            let was_in = on_page.flatten().unwrap_or_else(|| self.index.remove(self.keys.hash(row), row));
            if was_in {
                self.keys.wipe(row);
                self.free.push(row);
            }
        }
    }

    /// Keys that have an id now.
    pub fn len(&self) -> usize {
        self.pages.len() + self.index.len()
    }

    /// Bytes held.
    pub fn bytes(&self) -> u64 {
        let lists = (self.free.capacity() + self.suspects.capacity()) * size_of::<u32>();
        self.keys.bytes() + self.pages.bytes() + self.index.bytes() + self.holds.bytes() + lists as u64
    }
}

/// The keys by row. The common one, a single column of a type whose values are all words, is kept as words.
#[derive(Debug)]
enum Keys {
    /// The plan does not tell the types, and there was no key yet.
    Unknown,
    Words(Kind, Blocks<u64>),
    Rows(Rows),
}

impl Keys {
    #[inline]
    fn are_words_of(&self, kind: Kind) -> bool {
        matches!(self, Keys::Words(of, _) if *of == kind)
    }

    /// A key as a whole number, where all keys are.
    #[inline]
    fn number(&self, key: &[Value]) -> Option<u64> {
        match (self, key) {
            (Keys::Words(Kind::Int, _), [Value::Int(x)]) => Some(*x as u64),
            (Keys::Words(Kind::Uint, _), [Value::Uint(x)]) => Some(*x),
            _ => None,
        }
    }

    /// A row's key as a whole number, where all keys are.
    #[inline]
    fn number_of(&self, row: u32) -> Option<u64> {
        match self {
            Keys::Words(Kind::Int | Kind::Uint, words) => Some(words[row as usize]),
            _ => None,
        }
    }

    fn of_types(types: &[Type]) -> Keys {
        let kinds: Vec<Kind> = types.iter().map(Kind::of_type).collect();
        match kinds[..] {
            [] => Keys::Unknown,
            // A decimal may need more than a word.
            [kind] if kind.is_word() && !matches!(kind, Kind::Decimal(_)) => Keys::Words(kind, Blocks::default()),
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
            Keys::Words(kind, _) => {
                let word = key.first().and_then(|value| kind.word(value));
                self.put_word(row, word.expect("invariant INV-KEY: a key is of its table's types"));
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

    /// Writes the key of a row, where keys are words.
    #[inline]
    fn put_word(&mut self, row: u32, word: u64) {
        let Keys::Words(_, words) = self else { return };
        if words.len() == row as usize {
            return words.push(word);
        }
        words.grow(row as usize + 1, &0);
        words[row as usize] = word;
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

    fn bytes(&self) -> u64 {
        match self {
            Keys::Unknown => 0,
            Keys::Words(_, words) => words.bytes(),
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

    /// Numbers that come one after the other, near each other, far from each other, around 0 and at the ends.
    fn number(next: &mut impl FnMut() -> u64, last: u64) -> u64 {
        match next() % 8 {
            0..=2 => last.wrapping_add(1),
            3 => last.wrapping_add(next() % 2_000).wrapping_sub(1_000),
            4 => next() % 3_000,
            5 => (next() % 3_000).wrapping_sub(1_500),
            6 => [0, u64::MAX, 1 << 63, (1 << 63) - 1][next() as usize % 4],
            _ => next(),
        }
    }

    #[test]
    fn keys_are_found_whether_they_are_dense_or_not() {
        let mut state = 1u64;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            state >> 20 ^ state << 44
        };
        for ty in [Type::Int, Type::Uint, Type::Timestamp] {
            let value = |number: u64| match ty {
                Type::Int => Value::Int(number as i64),
                Type::Uint => Value::Uint(number),
                _ => Value::Timestamp(thalweg_formulas::Timestamp(number as i64)),
            };
            let mut directory = Directory::new(Some(std::slice::from_ref(&ty)));
            let mut known = hashbrown::HashMap::new();
            let mut last = 0;
            for step in 0..60_000 {
                last = number(&mut next, last);
                let key = [value(last)];
                let hash = KeyHash::of(&key);
                assert_eq!(directory.find(&key, hash), known.get(&last).copied(), "{ty} {last}");
                if next() % 4 == 0 {
                    known.remove(&last).into_iter().for_each(|row| directory.let_go(row));
                } else if !known.contains_key(&last) {
                    let row = directory.intern(&key, hash);
                    directory.hold(row);
                    known.insert(last, row);
                }
                if step % 100 == 0 || !known.contains_key(&last) {
                    directory.sweep();
                }
            }
            assert_eq!(directory.len(), known.len());
            for (number, row) in &known {
                let key = [value(*number)];
                assert_eq!(directory.find(&key, KeyHash::of(&key)), Some(*row));
                assert_eq!(*directory.key(*row), key);
            }
            assert_eq!(directory.pages.len() > 0, ty != Type::Timestamp, "{ty}");
        }
    }

    #[test]
    fn dense_keys_take_four_bytes_of_page() {
        let mut directory = Directory::new(Some(&[Type::Int]));
        for number in 0..100_000 {
            let key = [Value::Int(number)];
            directory.intern(&key, KeyHash::of(&key));
        }
        assert_eq!(directory.index.len(), 0);
        assert!(directory.bytes() < 100_000 * 17, "{} bytes", directory.bytes());
        let mut directory = Directory::new(Some(&[Type::Int]));
        for number in 0..100_000 {
            let key = [Value::Int(number * 1_000_003)];
            directory.intern(&key, KeyHash::of(&key));
        }
        assert_eq!(directory.pages.len(), 0, "sparse keys open none");
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
