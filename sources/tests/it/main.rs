//! The sources against real servers.

mod binlog_file;
mod ddl;
mod decoder;
mod dolt;
mod faults;
mod harness;
mod live;
mod mysql9;
mod refusals;
mod snapshot;
mod tls;
mod types;
