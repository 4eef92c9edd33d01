//! Runs a plan on timely dataflow.

mod context;
mod driver;
mod edges;
mod engine;
mod intake;
mod memory;
mod names;
mod outcome;
mod region;
mod shard;
mod state;
mod triggers;
mod wiring;

pub use engine::{Engine, Options};
