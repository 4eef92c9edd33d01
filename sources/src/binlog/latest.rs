//! The newest transaction that was read, and when it was made: how a log that begins anew with the same numbers is told from this one.
//!
//! A reset log, and a server restored from an older backup, count again from where they stand. Once they have grown beyond a position they
//! have every number in it. But what they have under its last number is younger than what was read: so a source begins one transaction
//! before its position, and compares. Another server's log is not compared: a replica has its own times for the same transactions.

use std::fmt;

use super::frame::Header;
use super::gtid::Gtid;
use super::gtid_set::{GtidSet, MysqlGtid};
use super::log_error::LogError;
use super::position::{GtidState, TransactionId};

/// What stands between a position and this.
const LATEST: &str = ";latest=";

/// A transaction that was read, and what is known of its time; printed as `0-1-42,1764000000,1`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Latest {
    /// Its id.
    pub id: TransactionId,
    /// It was not made after this second since 1970.
    pub seconds: u32,
    /// The server whose log had it.
    pub server: u32,
}

impl Latest {
    /// A position's text without this, and this, where it is told.
    pub fn split(position: &str) -> (&str, Option<Latest>) {
        let parts = position.split_once(LATEST).and_then(|(place, text)| Some((place, Latest::parse(text)?)));
        parts.map_or((position, None), |(place, latest)| (place, Some(latest)))
    }

    fn parse(text: &str) -> Option<Latest> {
        let (rest, server) = text.rsplit_once(',')?;
        let (id, seconds) = rest.rsplit_once(',')?;
        let id = match id.parse::<Gtid>() {
            Ok(gtid) => TransactionId::Mariadb(gtid),
            Err(_) => TransactionId::Mysql(the_one(id.parse().ok()?)?),
        };
        Some(Latest { id, seconds: seconds.parse().ok()?, server: server.parse().ok()? })
    }

    /// This behind a position, as it is split off again.
    pub fn behind(&self) -> impl fmt::Display + '_ {
        fmt::from_fn(move |f| write!(f, "{LATEST}{self}"))
    }

    /// The state in which this transaction comes next, if `done` ends with it.
    pub fn before(&self, done: &GtidState) -> Option<GtidState> {
        done.has_passed(&self.id).then(|| done.without(&self.id)).flatten()
    }

    /// Compares it with what a server has under its number.
    ///
    /// # Errors
    /// That was made later.
    pub(crate) fn verify(&self, header: Header, server: u32) -> Result<(), LogError> {
        if header.timestamp <= self.seconds || server != self.server {
            return Ok(());
        }
        Err(LogError::Diverged { gtid: self.id.clone(), read: self.seconds, found: header.timestamp })
    }
}

/// The only member of a set.
fn the_one(set: GtidSet) -> Option<MysqlGtid> {
    let run = set.intervals().next().filter(|_| set.count() == 1)?;
    Some(MysqlGtid { uuid: run.uuid, tag: run.tag.clone(), number: run.first })
}

impl fmt::Display for Latest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{},{},{}", self.id, self.seconds, self.server)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UUID: &str = "3e11fa47-71ca-11e1-9e33-c80aa9429562";

    fn latest(text: &str) -> Latest {
        Latest::parse(text).unwrap()
    }

    #[test]
    fn src_8_it_is_split_from_a_position_as_it_was_put_behind() {
        for id in ["0-1-42", &format!("{UUID}:7"), &format!("{UUID}:nightly:9")] {
            let latest = latest(&format!("{id},1764000000,77"));
            let position = format!("{id};reread=1-1-1{}", latest.behind());
            assert_eq!(position, format!("{id};reread=1-1-1;latest={id},1764000000,77"));
            assert_eq!(Latest::split(&position), (&*format!("{id};reread=1-1-1"), Some(latest)));
        }
        for text in ["0-1-42", "0-1-42;latest=", "0-1-42;latest=0-1-42,1", &format!("0-1-42;latest={UUID}:1-7,1,1")] {
            assert_eq!(Latest::split(text), (text, None));
        }
    }

    #[test]
    fn src_8_a_reader_begins_one_transaction_before_it() {
        let uuid = |numbers: &str| format!("{UUID}:{numbers}");
        for (id, done, before) in [
            ("0-1-42", "0-1-42,1-1-7", Some("0-1-41,1-1-7".to_string())),
            ("0-1-1", "0-1-1,1-1-7", Some("1-1-7".to_string())),
            // What has passed it since, and what it never came to.
            ("0-1-42", "0-1-43", None),
            ("0-2-42", "0-1-42", None),
            ("0-1-42", "0-1-41", None),
            (&uuid("7"), &uuid("1-9"), Some(uuid("1-6:8-9"))),
            (&uuid("7"), &uuid("1-6"), None),
        ] {
            let got = latest(&format!("{id},5,1")).before(&done.parse().unwrap());
            assert_eq!(got.map(|state| state.to_string()), before, "{id} of {done}");
        }
    }

    #[test]
    fn src_8_what_was_made_later_under_its_number_is_another_history() {
        let header = |timestamp| Header { timestamp, kind: 162, server_id: 1, size: 19, end: 0, flags: 0 };
        let latest = latest("0-1-42,1764000000,1");
        assert_eq!(latest.verify(header(1_764_000_000), 1), Ok(()));
        assert_eq!(latest.verify(header(1_764_000_001), 2), Ok(()), "a replica has times of its own");
        let text = latest.verify(header(1_764_000_001), 1).unwrap_err().to_string();
        let told = "transaction 0-1-42 was read as made at 2025-11-24T16:00:00Z, and the server's log has another one of that number, made at 2025-11-24T16:00:01Z";
        assert_eq!(text, told);
    }
}
