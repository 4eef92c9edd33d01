//! MariaDB's GTIDs, and the position of a reader: the latest GTID of every domain.

use std::collections::BTreeMap;
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
#[error("\"{text}\" is not a MariaDB GTID position such as 0-1-42 or 0-1-42,1-1-7")]
pub struct GtidError {
    /// The text.
    pub text: String,
}

/// How far a log was read: the latest GTID of every domain. Printed as `0-1-42,1-1-7`, by domain.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GtidState(BTreeMap<u32, Gtid>);

impl GtidState {
    /// Nothing was read.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// `gtid` was read.
    pub fn advance(&mut self, gtid: Gtid) {
        self.0.insert(gtid.domain, gtid);
    }

    /// The latest of a domain.
    pub fn of(&self, domain: u32) -> Option<Gtid> {
        self.0.get(&domain).copied()
    }

    /// Every domain's latest, by domain.
    pub fn iter(&self) -> impl Iterator<Item = Gtid> + '_ {
        self.0.values().copied()
    }

    /// Whether this reader has read `gtid`: numbers rise within a domain.
    pub fn contains(&self, gtid: Gtid) -> bool {
        self.of(gtid.domain).is_some_and(|own| own.sequence >= gtid.sequence)
    }

    /// Whether everything that `other` has read was read here too.
    pub fn covers(&self, other: &GtidState) -> bool {
        other.iter().all(|gtid| self.contains(gtid))
    }
}

impl FromIterator<Gtid> for GtidState {
    fn from_iter<I: IntoIterator<Item = Gtid>>(iter: I) -> Self {
        GtidState(iter.into_iter().map(|gtid| (gtid.domain, gtid)).collect())
    }
}

impl fmt::Display for GtidState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, gtid) in self.iter().enumerate() {
            write!(f, "{}{gtid}", if i > 0 { "," } else { "" })?;
        }
        Ok(())
    }
}

impl FromStr for GtidState {
    type Err = GtidError;

    fn from_str(text: &str) -> Result<Self, GtidError> {
        if text.trim().is_empty() {
            return Ok(GtidState::default());
        }
        text.split(',').map(str::parse).collect()
    }
}

/// Where a reader goes on.
///
/// Printed as its state, `0-1-42`. While a distributed transaction is prepared and not completed, its rows are needed again after a restart:
/// then `0-1-42;reread=0-1-39` says where to start reading, though everything up to `0-1-42` was delivered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Position {
    /// Every transaction up to here was delivered.
    pub done: GtidState,
    /// Where to start reading, if before `done`.
    pub reread: Option<GtidState>,
}

impl Position {
    /// Where the server is asked to start.
    pub fn start(&self) -> &GtidState {
        self.reread.as_ref().unwrap_or(&self.done)
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.reread {
            None => write!(f, "{}", self.done),
            Some(reread) => write!(f, "{};reread={reread}", self.done),
        }
    }
}

impl FromStr for Position {
    type Err = GtidError;

    fn from_str(text: &str) -> Result<Self, GtidError> {
        match text.split_once(";reread=") {
            None => Ok(Position { done: text.parse()?, reread: None }),
            Some((done, reread)) => Ok(Position { done: done.parse()?, reread: Some(reread.parse()?) }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_print_as_they_parse() {
        for text in ["", "0-1-42", "0-1-42,1-1-7", "0-1-42;reread=0-1-39", "0-1-18446744073709551615;reread="] {
            assert_eq!(text.parse::<Position>().unwrap().to_string(), text);
        }
        assert_eq!("1-1-7, 0-1-42".parse::<Position>().unwrap().to_string(), "0-1-42,1-1-7");
        for text in ["0-1", "0-1-2-3", "a-1-2", "0-1-+2", "uuid:1-5", "0-1-18446744073709551616"] {
            let error = text.parse::<Position>().unwrap_err().to_string();
            assert_eq!(error, format!("\"{text}\" is not a MariaDB GTID position such as 0-1-42 or 0-1-42,1-1-7"));
        }
    }

    #[test]
    fn a_state_contains_what_its_domains_have_passed() {
        let state: GtidState = "0-2-42,1-1-7".parse().unwrap();
        for (gtid, contained) in [("0-1-42", true), ("0-1-43", false), ("1-9-1", true), ("2-1-1", false)] {
            assert_eq!(state.contains(gtid.parse().unwrap()), contained, "{gtid}");
        }
    }
}
