//! Changes from the outside world: the binlog of MariaDB, MySQL and Dolt, live or from files; JSON lines; a generator.

pub mod binlog;
pub mod binlog_file;
pub mod generate;
pub mod jsonl;
pub mod mysql;
mod spool;
