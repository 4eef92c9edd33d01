//! The sources against real servers.

mod decoder;
mod faults;
mod harness;
mod live;
mod refusals;
mod snapshot;
mod types;
