//! How shards run on timely. Nothing of timely is seen outside of this module.
//!
//! - One worker ([`local`]): all levels are one operator, stepped by the caller; no thread.
//! - Several ([`threads`]): one operator a level on each worker, an exchange between two levels, timely's threads. Small batches run in the
//!   caller's thread.
//!
//! Both run the same [`crate::shard::Shard`]. Time is the number of the batch: one capability and one flush a batch, while the
//! epoch travels in the records.

pub mod local;
pub mod threads;
