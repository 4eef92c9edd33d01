//! The store from outside: what it keeps, what it refuses, what a crash leaves.

mod conformance;
mod data;
mod support;
