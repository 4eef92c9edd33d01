//! Changes from the outside world: MariaDB binlog, JSON lines, a generator.

pub mod binlog;
pub mod generate;
pub mod jsonl;
pub mod mysql;
