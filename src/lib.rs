//! Thalweg: a reactive dataflow engine.

pub mod config;
pub mod explain;
