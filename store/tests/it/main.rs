//! The store from outside: what it keeps, what it refuses, what a crash leaves.

mod acts;
mod conformance;
mod crash;
mod fold;
mod machine;
mod mangled;
mod shortage;
mod staged;
mod support;
