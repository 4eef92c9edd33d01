//! What a slot holds: a tag of two bits and a word of 64, without the slot's kind no value yet.
//!
//! Encoding is canonical: a value that can stand inline in a slot of that kind always does. So two inline slots hold the same
//! value exactly if tag and word are equal, which is what cut-off compares.

pub use thalweg_formulas::word::Kind;

/// How to read a slot's word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tag {
    /// The word is the value, as the slot's [`Kind`] says.
    Inline = 0,
    /// NULL.
    Null = 1,
    /// The word is a handle into the arena of values.
    Boxed = 2,
    /// The word is a handle into the arena of failures.
    Failed = 3,
}

impl Tag {
    /// The tag with these two bits.
    pub fn from_bits(bits: u64) -> Tag {
        match bits & 3 {
            0 => Tag::Inline,
            1 => Tag::Null,
            2 => Tag::Boxed,
            _ => Tag::Failed,
        }
    }
}

/// The content of one slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Raw {
    /// How to read the word.
    pub tag: Tag,
    /// The value or a handle; 0 for NULL.
    pub word: u64,
}

impl Raw {
    /// NULL.
    pub const NULL: Raw = Raw { tag: Tag::Null, word: 0 };

    /// A value that is its own word.
    pub fn inline(word: u64) -> Raw {
        Raw { tag: Tag::Inline, word }
    }
}
