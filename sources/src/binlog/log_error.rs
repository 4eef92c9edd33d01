//! Why a log cannot be followed.

use std::fmt;
use std::path::PathBuf;

use super::DecodeError;
use super::position::{GtidState, TransactionId};

/// Why a log cannot be followed further. The position stays before the transaction that is meant.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LogError {
    /// An event cannot be read.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// The log has a statement where it should have rows.
    #[error("transaction {gtid} is logged as a statement, not as rows: {sql}")]
    Statement {
        /// The transaction.
        gtid: TransactionId,
        /// The beginning of the statement.
        sql: String,
    },
    /// Rows of a watched table went or came without row events.
    #[error("transaction {gtid} changes rows of {table} without telling which: {sql}")]
    Replaced {
        /// The transaction.
        gtid: TransactionId,
        /// The table, or the database.
        table: String,
        /// The beginning of the statement.
        sql: String,
    },
    /// The server says that something is missing in its log.
    #[error("the server reports an incident after {position}: events are missing in its log")]
    Incident {
        /// The position before it.
        position: String,
    },
    /// The log begins after the position.
    #[error("the log begins after {first}, and {position} was the last that was read")]
    Gap {
        /// Where reading should go on.
        position: Box<GtidState>,
        /// What the log's first file says was before it.
        first: Box<GtidState>,
    },
    /// Under the number of a transaction that was read stands one that is younger.
    #[error("transaction {gtid} was read as made {}, and the server's log has another one of that number, made {}", made_at(*.read), made_at(*.found))]
    Diverged {
        /// Their number.
        gtid: TransactionId,
        /// Seconds since 1970 after which the one that was read was not made.
        read: u32,
        /// The second since 1970 in which the other one was made.
        found: u32,
    },
    /// The rows of a distributed transaction were logged before the position.
    #[error("transaction {gtid} commits a prepared transaction whose rows were logged before this reader began")]
    UnknownXa {
        /// The commit.
        gtid: TransactionId,
    },
    /// Part of a transaction over several engines was taken back.
    #[error("transaction {gtid} was rolled back in part, and the log does not tell which rows of {table} hold")]
    PartlyRolledBack {
        /// The transaction.
        gtid: TransactionId,
        /// A watched table that it changed.
        table: String,
    },
    /// The rows of a transaction that is too large to be held cannot be written where they should wait. That passes with the shortage.
    #[error("a transaction is too large to be held in memory, and its rows cannot be written to {} ({why}); make room there, and it goes on by itself", .directory.display())]
    Spool {
        /// Where they should wait.
        directory: PathBuf,
        /// What the system says.
        why: String,
    },
}

/// `at 2025-11-24T16:00:00Z`.
fn made_at(seconds: u32) -> impl fmt::Display {
    let at = jiff::Timestamp::from_second(i64::from(seconds));
    fmt::from_fn(move |f| at.as_ref().map_or(Ok(()), |at| write!(f, "at {at}")))
}
