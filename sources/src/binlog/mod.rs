//! The binary log as bytes: framing, events, table maps, rows, GTIDs. No socket, no clock, no server; a file only where a transaction is
//! too large to be held ([`Spooling`]).
//!
//! The same bytes come over a replication connection and stand in a binlog file, so this module serves both. Its layers:
//! [`frame`] splits events and verifies checksums; [`control`] and [`gtid_event`] read the small events; [`position`] says how far a log
//! was read, and [`latest`] what stood there; [`table_map`] and [`plan`] turn a table's description into one decoding plan; [`rows`] runs that plan over row events, column by column (`cells`); [`statement`] says what a statement in the log does to
//! tables; [`assemble`] puts whole transactions together.
//!
//! Invariants:
//! - Any bytes give a result or a [`DecodeError`]: no panic, no allocation beyond a small multiple of the input.
//! - A value is either right or refused; nothing is guessed by position (names, signs, character sets come from the table map).

pub mod assemble;
mod bytes;
mod cells;
pub mod charset;
pub mod control;
mod decimal;
mod error;
pub mod frame;
pub mod gtid;
pub mod gtid_event;
pub mod gtid_set;
mod json;
mod jsonb;
pub mod latest;
mod log_error;
mod marks;
mod packed;
pub mod plan;
pub mod position;
pub mod rows;
pub(crate) mod sql_type;
pub mod statement;
pub mod table_map;
pub(crate) mod temporal;
mod text_forms;
pub mod watch;

pub(crate) use assemble::SPOOL;
pub use assemble::{Assembler, Rewritten, Spooling, Step};
pub use control::Flavour;
pub use error::DecodeError;
pub use gtid::Gtid;
pub use gtid_set::{GtidSet, MysqlGtid};
pub use latest::Latest;
pub use log_error::LogError;
pub use position::{GtidState, Place, Position, TransactionId};
pub use watch::Watch;
