//! The store's own encoding of values, rows and transactions: compact, fast, and independent of any library's format.
//!
//! postcard of a `Transaction` would write the schema once per change; here a change names its schema by the number that the store
//! gave it when it was first seen. An after-image that repeats a cell of the before-image says so in one byte.
//!
//! Next to read: [`wire`], [`value`], [`log`].

pub(crate) mod log;
pub(crate) mod value;
pub(crate) mod wire;
