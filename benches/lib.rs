//! Shared parts of the benchmark suite.
