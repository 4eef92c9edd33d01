//! The sources against real servers.

mod accidents;
mod added;
mod binlog_file;
mod cascades;
mod charsets;
mod cuts;
mod ddl;
mod decoder;
mod dolt;
mod dolt_commits;
mod faults;
mod harness;
mod hostile;
mod live;
mod mariadb11;
mod marks;
mod mysql9;
mod rare_columns;
mod refusals;
mod share;
mod snapshot;
mod spooled;
mod storm;
mod tls;
mod types;
