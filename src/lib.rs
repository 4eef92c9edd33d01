//! Thalweg: a reactive dataflow engine.
