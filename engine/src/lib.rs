//! Runs a plan on timely dataflow.

mod engine;

pub use engine::{Engine, Options};
