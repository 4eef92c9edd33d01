//! Runs a plan on timely dataflow.
