//! MariaDB's GTIDs.

use std::fmt;
use std::str::FromStr;

/// One transaction's id: domain, server, sequence number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Gtid {
    /// A stream of its own within the server's log.
    pub domain: u32,
    /// Where the transaction was first committed.
    pub server: u32,
    /// Its number within the domain.
    pub sequence: u64,
}

impl fmt::Display for Gtid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}-{}", self.domain, self.server, self.sequence)
    }
}

impl FromStr for Gtid {
    type Err = GtidError;

    fn from_str(text: &str) -> Result<Self, GtidError> {
        let bad = || GtidError { text: text.to_string() };
        let mut parts = text.trim().split('-');
        let mut next = || parts.next().filter(|p| p.bytes().all(|b| b.is_ascii_digit())).ok_or_else(bad);
        let (domain, server, sequence) = (next()?, next()?, next()?);
        let gtid = Gtid {
            domain: domain.parse().map_err(|_| bad())?,
            server: server.parse().map_err(|_| bad())?,
            sequence: sequence.parse().map_err(|_| bad())?,
        };
        if parts.next().is_some() { Err(bad()) } else { Ok(gtid) }
    }
}

/// A text that is no GTID position.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{text}\" is not a GTID position such as 0-1-42,1-1-7 (MariaDB) or 3e11fa47-71ca-11e1-9e33-c80aa9429562:1-5 (MySQL)")]
pub struct GtidError {
    /// The text.
    pub text: String,
}
