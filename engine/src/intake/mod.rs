//! From row changes as sources tell them to changes of slots: which document, which columns, which worker.
//!
//! [`Router`] reads each transaction once, on the driver's side: which tables a schema feeds ([`Mapping`]), and which worker owns
//! the document. The rows themselves are folded where they live, in [`crate::region`].

pub mod arrival;
pub mod errors;
pub mod mapping;
pub mod router;

pub use arrival::{Arrival, Image, RowMap, What};
pub use mapping::{Identity, Mapping, MappingId};
pub use router::Router;
