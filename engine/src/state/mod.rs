//! What a worker remembers: keys, rows of slots, and the values that do not fit a slot.

pub mod arena;
pub mod blocks;
pub mod directory;
mod index;
mod pages;
pub mod raw;
pub mod rows;

pub use blocks::Bits;
pub use directory::{Directory, KeyBuf, KeyHash};
pub use raw::{Kind, Raw, Tag};
pub use rows::{RowMut, Rows};

/// Entries for which a list keeps its memory in any case, and at most.
const KEPT: (usize, usize) = (1 << 12, 1 << 18);

/// Gives the memory of an emptied list back, but for what the next batch needs if it is like the last, which had `used` entries: to ask the
/// system for it anew costs more than the work.
pub fn spare<T>(list: &mut Vec<T>, used: usize) {
    list.shrink_to((4 * used).clamp(KEPT.0, KEPT.1));
}
