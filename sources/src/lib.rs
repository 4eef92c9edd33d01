//! Changes from the outside world: MariaDB binlog, JSON lines, a generator.

pub mod binlog;
