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
