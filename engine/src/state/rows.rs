//! Rows of slots: a fixed number of 64-bit words each, tags first, so that one row is one or two cache lines.
//!
//! Layout of a row of `n` slots: `ceil(n / 32)` words of tags (two bits a slot), then `n` words. Rows stand in blocks of some 256 KiB,
//! so that more of them never means copying those there are.
//!
//! Invariants:
//! - INV-INLINE: a value that can stand inline does, so equal tags and words mean equal values (see [`super::raw`]).
//! - INV-ARENA: every boxed or failed slot owns its handle; who takes an old content out of a slot releases it.
//! - A text in a slot owns its bytes, so that no row keeps what it came in (an event of a log) in memory.
//! - A row that was never written, and a wiped one, is all NULL.
//!
//! Cost: 8 B a slot, 8 B of tags for each 32 of them; 32 B more for a boxed value, and its heap.

use thalweg_formulas::{Cell, Error, Value};

use super::arena::Arena;
use super::raw::{Kind, Raw, Tag};

/// The tags of 32 NULL slots.
const ALL_NULL: u64 = 0x5555_5555_5555_5555;

/// Words in a block, about.
const BLOCK_WORDS: usize = 1 << 15;

/// Words of rows that are made at a time, once there are as many.
const AHEAD_WORDS: usize = 256;

/// Tag words that are looked at to say whether a row is plain: a change of one cell in a wide row must not pay for its width.
const TAG_WORDS_SEEN: usize = 64;

/// An error in a slot, and the value that was there before it.
#[derive(Clone, Debug, PartialEq)]
pub struct Failure {
    /// Why there is no value.
    pub error: Error,
    /// The last good value; NULL if there was none.
    pub last: Value,
}

/// Rows by dense id.
#[derive(Debug)]
pub struct Rows {
    kinds: Vec<Kind>,
    tag_words: usize,
    stride: usize,
    /// A row that is all NULL.
    blank: Box<[u64]>,
    /// All full but the last.
    blocks: Vec<Vec<u64>>,
    /// Rows in a block, as a power of two.
    block_bits: u32,
    values: Arena<Value>,
    failures: Arena<Failure>,
}

impl Rows {
    /// No rows yet, of slots of these kinds.
    pub fn new(kinds: Vec<Kind>) -> Rows {
        let (slots, tag_words) = (kinds.len(), kinds.len().div_ceil(32));
        let mut blank = vec![ALL_NULL; slots / 32];
        // What no slot has is clear, as if it stood inline.
        blank.extend((!slots.is_multiple_of(32)).then_some(ALL_NULL & !(u64::MAX << (slots % 32 * 2))));
        blank.resize((tag_words + slots).max(1), 0);
        Rows {
            kinds,
            tag_words,
            stride: blank.len(),
            block_bits: (BLOCK_WORDS / blank.len()).max(1).ilog2(),
            blank: blank.into(),
            blocks: Vec::new(),
            values: Arena::default(),
            failures: Arena::default(),
        }
    }

    /// Slots in a row.
    pub fn slots(&self) -> usize {
        self.kinds.len()
    }

    /// Words of a row.
    pub fn stride(&self) -> usize {
        self.stride
    }

    /// Makes room for row `row`, all NULL.
    #[inline]
    pub fn ensure(&mut self, row: u32) {
        let (block, place) = self.place(row);
        if self.blocks.get(block).is_none_or(|block| block.len() <= place) {
            self.grow(block, place);
        }
    }

    #[inline(never)]
    fn grow(&mut self, to: usize, place: usize) {
        let full = self.stride << self.block_bits;
        while self.blocks.get(to).is_none_or(|block| block.len() <= place) {
            match self.blocks.last_mut() {
                Some(last) if last.len() < full => {
                    // Others follow, but where rows are few they may be all.
                    let more = if last.len() < AHEAD_WORDS { 1 } else { (AHEAD_WORDS / self.stride).max(1) };
                    let more = more.min((full - last.len()) / self.stride);
                    (0..more).for_each(|_| last.extend_from_slice(&self.blank));
                }
                // The first grows with its rows: many tables are small.
                last => {
                    let room = if last.is_none() { 0 } else { full };
                    self.blocks.push(Vec::with_capacity(room));
                }
            }
        }
    }

    /// The block of a row, and where in it the row begins.
    #[inline(always)]
    fn place(&self, row: u32) -> (usize, usize) {
        let (block, place) = (row >> self.block_bits, row & !(u32::MAX << self.block_bits));
        (block as usize, place as usize * self.stride)
    }

    /// The words of a row: tags, then slots.
    #[inline]
    pub fn row(&self, row: u32) -> &[u64] {
        let (block, place) = self.place(row);
        &self.blocks[block][place..place + self.stride]
    }

    /// The first and the last word of a row, for one who only wants them to be near.
    #[inline]
    pub fn ends(&self, row: u32) -> u64 {
        let words = self.row(row);
        words[0] ^ words[words.len() - 1]
    }

    /// The words of a row's slots, whatever their tags say.
    #[inline]
    pub fn words(&self, row: u32) -> &[u64] {
        &self.row(row)[self.tag_words..]
    }

    /// A row, to be written by one who keeps the invariants.
    #[inline]
    pub fn row_mut(&mut self, row: u32) -> RowMut<'_> {
        let (block, place) = self.place(row);
        RowMut { words: &mut self.blocks[block][place..place + self.stride], tag_words: self.tag_words }
    }

    /// What a slot holds.
    #[inline]
    pub fn raw(&self, row: u32, slot: u32) -> Raw {
        self.raw_in(self.row(row), slot)
    }

    /// What a slot holds in the words of its row.
    #[inline]
    pub fn raw_in(&self, words: &[u64], slot: u32) -> Raw {
        let tag = Tag::from_bits(words[slot as usize >> 5] >> ((slot & 31) * 2));
        Raw { tag, word: words[self.tag_words + slot as usize] }
    }

    /// Puts `raw` into a slot. The content before is the caller's to release.
    #[inline]
    pub fn put(&mut self, row: u32, slot: u32, raw: Raw) {
        self.row_mut(row).put(slot, raw);
    }

    /// Writes a value; gives the content before, for the caller to release, if that was another.
    #[inline]
    pub fn write(&mut self, row: u32, slot: u32, value: Value) -> Option<Raw> {
        match self.kinds[slot as usize].word(&value) {
            Some(word) => self.row_mut(row).replace(slot, Raw::inline(word)),
            None => self.set(row, slot, Ok(value)),
        }
    }

    /// Writes values into slots that are NULL.
    #[inline]
    pub fn fill(&mut self, row: u32, values: impl Iterator<Item = (u32, Value)>) {
        for (slot, value) in values {
            match self.kinds[slot as usize].word(&value) {
                Some(word) => self.put(row, slot, Raw::inline(word)),
                None => drop(self.set(row, slot, Ok(value))),
            }
        }
    }

    /// How the words of a slot are read.
    pub fn kind(&self, slot: u32) -> Kind {
        self.kinds[slot as usize]
    }

    /// Writes words into slots that own nothing.
    #[inline]
    pub fn put_words(&mut self, row: u32, words: &[(u32, u64)]) {
        let mut here = self.row_mut(row);
        words.iter().for_each(|(slot, word)| here.put(*slot, Raw::inline(*word)));
    }

    /// The words of a row's slots, if all of them stand inline, as far as that is quickly said.
    #[inline]
    pub fn plain_words(&self, row: u32) -> Option<&[u64]> {
        let (tags, words) = self.row(row).split_at(self.tag_words);
        (tags.len() <= TAG_WORDS_SEEN && tags.iter().all(|tags| *tags == 0)).then_some(words)
    }

    /// Whether every slot of a row stands inline, as far as that is quickly said.
    #[inline]
    pub fn is_plain(&self, row: u32) -> bool {
        self.tag_words <= TAG_WORDS_SEEN && self.row(row)[..self.tag_words].iter().all(|tags| *tags == 0)
    }

    /// Writes a cell; gives the content before, for the caller to release, if that was another value.
    ///
    /// An error keeps the last good value of the slot behind it.
    pub fn set(&mut self, row: u32, slot: u32, cell: Cell) -> Option<Raw> {
        let old = self.raw(row, slot);
        let new = match cell {
            Ok(value) => self.encode_unless_same(slot, old, value)?,
            Err(error) => self.fail_unless_same(old, slot, error)?,
        };
        self.put(row, slot, new);
        Some(old)
    }

    #[inline]
    fn encode_unless_same(&mut self, slot: u32, old: Raw, value: Value) -> Option<Raw> {
        if let Some(word) = self.kinds[slot as usize].word(&value) {
            let new = Raw::inline(word);
            return (new != old).then_some(new);
        }
        self.encode_boxed(slot, old, value)
    }

    fn encode_boxed(&mut self, slot: u32, old: Raw, value: Value) -> Option<Raw> {
        if value.is_null() {
            return (old.tag != Tag::Null).then_some(Raw::NULL);
        }
        if self.kinds[slot as usize] == Kind::Open
            && let Some(kind) = Kind::of_value(&value)
        {
            self.kinds[slot as usize] = kind;
            let word = kind.word(&value).expect("invariant INV-INLINE: a value fits its own kind");
            return Some(Raw::inline(word));
        }
        if old.tag == Tag::Boxed && *self.values.get(old.word as u32) == value {
            return None;
        }
        Some(Raw { tag: Tag::Boxed, word: u64::from(self.values.insert(value.owned())) })
    }

    #[cold]
    fn fail_unless_same(&mut self, old: Raw, slot: u32, error: Error) -> Option<Raw> {
        if old.tag == Tag::Failed && self.failures.get(old.word as u32).error == error {
            return None;
        }
        let last = self.last_good(slot, old);
        Some(Raw { tag: Tag::Failed, word: u64::from(self.failures.insert(Failure { error, last })) })
    }

    /// Writes an error with the last good value behind it; gives what [`Rows::set`] gives.
    pub fn fail(&mut self, row: u32, slot: u32, failure: Failure) -> Option<Raw> {
        let old = self.set(row, slot, Err(failure.error));
        self.set_last_good(row, slot, failure.last);
        old
    }

    /// Whether any slot of any row is in error.
    pub fn has_failures(&self) -> bool {
        self.failures.iter().next().is_some()
    }

    /// Sets the value behind an error, or the value itself: what a restart knows of the time before it.
    pub fn set_last_good(&mut self, row: u32, slot: u32, last: Value) {
        let old = self.raw(row, slot);
        if old.tag == Tag::Failed {
            let error = self.failures.remove(old.word as u32).error;
            let word = u64::from(self.failures.insert(Failure { error, last }));
            self.put(row, slot, Raw { tag: Tag::Failed, word });
        }
    }

    /// The cell that a content of `slot` is.
    #[inline]
    pub fn cell_of(&self, slot: u32, raw: Raw) -> Cell {
        match raw.tag {
            Tag::Inline => Ok(self.kinds[slot as usize].value(raw.word)),
            Tag::Null => Ok(Value::Null),
            Tag::Boxed => Ok(self.values.get(raw.word as u32).clone()),
            Tag::Failed => Err(self.failures.get(raw.word as u32).error.clone()),
        }
    }

    /// The value that a content of `slot` shows: the last good one where it is an error.
    #[inline]
    pub fn last_good(&self, slot: u32, raw: Raw) -> Value {
        if raw.tag == Tag::Inline { self.kinds[slot as usize].value(raw.word) } else { self.last_good_elsewhere(raw) }
    }

    #[inline(never)]
    fn last_good_elsewhere(&self, raw: Raw) -> Value {
        match raw.tag {
            Tag::Inline | Tag::Null => Value::Null,
            Tag::Boxed => self.values.get(raw.word as u32).clone(),
            Tag::Failed => self.failures.get(raw.word as u32).last.clone(),
        }
    }

    /// The failure that a content is, if it is one.
    pub fn failure(&self, raw: Raw) -> Option<&Failure> {
        (raw.tag == Tag::Failed).then(|| self.failures.get(raw.word as u32))
    }

    /// The cell in a slot.
    #[inline]
    pub fn cell(&self, row: u32, slot: u32) -> Cell {
        self.cell_of(slot, self.raw(row, slot))
    }

    /// Whether a slot holds this very value; never allocates.
    #[inline]
    pub fn holds(&self, row: u32, slot: u32, value: &Value) -> bool {
        let raw = self.raw(row, slot);
        match raw.tag {
            Tag::Inline => self.kinds[slot as usize].word(value) == Some(raw.word),
            Tag::Null => value.is_null(),
            Tag::Boxed => self.values.get(raw.word as u32) == value,
            Tag::Failed => false,
        }
    }

    /// Whether two contents of one slot are the same cell.
    pub fn same(&self, a: Raw, b: Raw) -> bool {
        match (a.tag, b.tag) {
            (Tag::Boxed, Tag::Boxed) => a.word == b.word || self.values.get(a.word as u32) == self.values.get(b.word as u32),
            (Tag::Failed, Tag::Failed) => self.failures.get(a.word as u32).error == self.failures.get(b.word as u32).error,
            _ => a == b,
        }
    }

    /// Gives back what a content taken out of a slot owned.
    #[inline]
    pub fn release(&mut self, old: Raw) {
        match old.tag {
            Tag::Inline | Tag::Null => {}
            Tag::Boxed => drop(self.values.remove(old.word as u32)),
            Tag::Failed => drop(self.failures.remove(old.word as u32)),
        }
    }

    /// Makes a row all NULL and releases what it owned.
    pub fn wipe(&mut self, row: u32) {
        for slot in 0..self.kinds.len() as u32 {
            let old = self.raw(row, slot);
            self.release(old);
            self.put(row, slot, Raw::NULL);
        }
    }

    /// Writes what rows of another layout hold into rows that are all NULL: pairs of the slot here and there.
    pub fn copy_slots(&mut self, from: &Rows, pairs: &[(u32, u32)], rows: &[u32]) {
        pairs.iter().for_each(|(to, of)| self.kinds[*to as usize] = from.kinds[*of as usize]);
        for row in rows {
            self.ensure(*row);
            let words = from.row(*row);
            let (block, place) = self.place(*row);
            let here = &mut self.blocks[block][place..place + self.stride];
            let mut here = RowMut { words: here, tag_words: self.tag_words };
            for (to, of) in pairs {
                let raw = from.raw_in(words, *of);
                let word = match raw.tag {
                    Tag::Inline | Tag::Null => raw.word,
                    Tag::Boxed => u64::from(self.values.insert(from.values.get(raw.word as u32).clone())),
                    Tag::Failed => u64::from(self.failures.insert(from.failures.get(raw.word as u32).clone())),
                };
                here.put(*to, Raw { tag: raw.tag, word });
            }
        }
    }

    /// Bytes of one slot over all rows, its share of tag words and boxed values included; texts and the like by their length.
    pub fn slot_bytes(&self, slot: u32) -> u64 {
        let words: usize = self.blocks.iter().map(Vec::len).sum();
        let count = (words / self.stride) as u64;
        let boxed: u64 = (0..count as u32)
            .map(|row| match self.raw(row, slot) {
                Raw { tag: Tag::Boxed, word } => size_of::<Value>() as u64 + heap_bytes(self.values.get(word as u32)),
                Raw { tag: Tag::Failed, word } => {
                    let failure = self.failures.get(word as u32);
                    (size_of::<Failure>() + failure.error.message.len()) as u64 + heap_bytes(&failure.last)
                }
                _ => 0,
            })
            .sum();
        count * 8 + count * 8 * self.tag_words as u64 / self.kinds.len() as u64 + boxed
    }
}

/// One row, being written.
pub struct RowMut<'a> {
    words: &'a mut [u64],
    tag_words: usize,
}

impl RowMut<'_> {
    /// Its words: tags, then slots.
    #[inline]
    pub fn all(&self) -> &[u64] {
        self.words
    }

    /// Puts `raw` into a slot. The content before is the caller's to release.
    #[inline]
    pub fn put(&mut self, slot: u32, raw: Raw) {
        let shift = (slot & 31) * 2;
        let tags = &mut self.words[slot as usize >> 5];
        *tags = *tags & !(3 << shift) | (raw.tag as u64) << shift;
        self.words[self.tag_words + slot as usize] = raw.word;
    }

    /// Puts a word into a slot that is inline, and stays so; gives the word before. Does nothing where the slot is not; with `PLAIN`,
    /// every slot of the row is.
    #[inline(always)]
    pub fn swap_inline<const PLAIN: bool>(&mut self, slot: u32, word: u64) -> Option<u64> {
        let is_inline = PLAIN || self.words[slot as usize >> 5] >> ((slot & 31) * 2) & 3 == Tag::Inline as u64;
        is_inline.then(|| std::mem::replace(&mut self.words[self.tag_words + slot as usize], word))
    }

    /// Puts a word into a slot that owns nothing; does nothing where the slot does.
    #[inline(always)]
    pub fn begin_inline(&mut self, slot: u32, word: u64) -> bool {
        let owns_nothing = self.words[slot as usize >> 5] >> ((slot & 31) * 2) & 2 == 0;
        if owns_nothing {
            self.put(slot, Raw::inline(word));
        }
        owns_nothing
    }

    /// Puts `new` into a slot, unless it is there already; gives the content before, for the caller to release.
    #[inline]
    pub fn replace(&mut self, slot: u32, new: Raw) -> Option<Raw> {
        let tags = self.words[slot as usize >> 5] >> ((slot & 31) * 2);
        let old = Raw { tag: Tag::from_bits(tags), word: self.words[self.tag_words + slot as usize] };
        if old == new {
            return None;
        }
        if old.tag == new.tag {
            self.words[self.tag_words + slot as usize] = new.word;
        } else {
            self.put(slot, new);
        }
        Some(old)
    }
}

/// Bytes that a value holds on the heap, those it shares included.
pub fn heap_bytes(value: &Value) -> u64 {
    const SHARED: u64 = 16; // The two counters of an `Arc`.
    match value {
        Value::Null | Value::Bool(_) | Value::Int(_) | Value::Uint(_) | Value::Double(_) => 0,
        Value::Timestamp(_) | Value::Duration(_) => 0,
        Value::Decimal(thalweg_formulas::decimal::Decimal::Small { .. }) => 0,
        Value::Decimal(thalweg_formulas::decimal::Decimal::Big(_)) => SHARED + 40,
        Value::Text(x) => x.heap_bytes(),
        Value::Bytes(x) => SHARED + x.len() as u64,
        Value::List(items) => SHARED + items.iter().map(|x| size_of::<Value>() as u64 + heap_bytes(x)).sum::<u64>(),
        Value::Map(entries) => {
            SHARED + entries.iter().map(|(k, v)| 2 * size_of::<Value>() as u64 + heap_bytes(k) + heap_bytes(v)).sum::<u64>()
        }
        Value::Tensor(t) => SHARED + 8 * t.array().len() as u64,
    }
}
