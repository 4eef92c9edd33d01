//! The changes of one commit that are too many to be held at once.
//!
//! A source that meets a transaction above a bound keeps its rows elsewhere, in a file, and hands over a [`Spill`]: everybody who needs
//! the changes reads them in order, some thousands at a time. It still is one transaction: one epoch, one position, all or nothing.

use std::fmt::Debug;

use crate::transaction::Change;

/// Changes that are handed out in parts when a part of so many is full. Large enough that the cost of a part does not count, small
/// enough that a part of wide rows is some megabytes.
pub const PART: usize = 2_048;

/// Changes that are read when they are needed, as often as they are needed.
///
/// - Every reading gives the same changes in the same order, with the same schemas (the same `Arc` for the same layout, so that a row
///   costs no comparison of layouts).
/// - Those that are a [`Change::clear`] come first, and few are.
/// - Two threads may read at once.
pub trait Spill: Debug + Send + Sync {
    /// How many changes there are; known before they are read.
    fn changes(&self) -> u64;

    /// The first of them, as far as they empty tables.
    fn clears(&self) -> &[Change] {
        &[]
    }

    /// Hands out the changes, some thousands at a time; no part is empty. Ends early, without an error, when `each` answers `false`.
    ///
    /// # Errors
    /// They cannot be read: a whole text with code, place and cure.
    fn read(&self, each: &mut dyn FnMut(Vec<Change>) -> bool) -> Result<(), String>;
}

/// Changes that are held after all: for tests, and for an embedded user who has them at hand.
impl Spill for Vec<Change> {
    fn changes(&self) -> u64 {
        self.len() as u64
    }

    fn read(&self, each: &mut dyn FnMut(Vec<Change>) -> bool) -> Result<(), String> {
        let _ = self.chunks(PART).all(|part| each(part.to_vec()));
        Ok(())
    }
}
