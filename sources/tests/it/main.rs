//! The sources against real servers.

mod ddl;
mod decoder;
mod dolt;
mod faults;
mod harness;
mod live;
mod mysql9;
mod refusals;
mod snapshot;
mod types;
