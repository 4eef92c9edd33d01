//! Where a reader of a log stands: what it has read by GTID, of either kind, or the place in the files.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use thalweg_graph::cause::Cause;

use super::gtid::{Gtid, GtidError};
use super::gtid_set::{GtidSet, MysqlGtid, Tag, Uuid};

/// The id of one transaction, whatever the server.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum TransactionId {
    /// MariaDB's.
    Mariadb(Gtid),
    /// MySQL's and Dolt's.
    Mysql(MysqlGtid),
    /// Where it begins, in a log without GTIDs.
    Place(Place),
}

impl TransactionId {
    /// The origin of a transaction with this id, which the given effect wrote.
    pub fn origin(&self, cause: Option<&Cause>) -> Arc<str> {
        cause.map_or_else(|| self.to_string(), |cause| cause.mark(&self.to_string())).into()
    }
}

impl fmt::Display for TransactionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TransactionId::Mariadb(gtid) => gtid.fmt(f),
            TransactionId::Mysql(gtid) => gtid.fmt(f),
            TransactionId::Place(place) => place.fmt(f),
        }
    }
}

/// A place between two events of a file: `binlog.000007:4`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Place {
    /// The file's name, without its folder.
    pub file: String,
    /// Bytes from the file's beginning.
    pub offset: u64,
}

impl Place {
    /// The parts of a file's name that order it: what stands before the last point, then the number behind it.
    fn order(&self) -> (&str, u64, &str) {
        let (stem, number) = self.file.rsplit_once('.').unwrap_or((&self.file, ""));
        (stem, number.parse().unwrap_or(0), number)
    }
}

impl PartialOrd for Place {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Place {
    /// By file, `binlog.999999` before `binlog.1000000`, then by offset.
    fn cmp(&self, other: &Self) -> Ordering {
        (self.order(), self.offset).cmp(&(other.order(), other.offset))
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.offset)
    }
}

impl FromStr for Place {
    type Err = GtidError;

    fn from_str(text: &str) -> Result<Self, GtidError> {
        let place = text.rsplit_once(':').filter(|(file, _)| !file.is_empty());
        let place = place.and_then(|(file, offset)| Some(Place { file: file.to_string(), offset: offset.parse().ok()? }));
        place.ok_or_else(|| GtidError { text: text.to_string() })
    }
}

/// How far a log was read. MariaDB: the latest GTID of every domain, printed as `0-1-42,1-1-7`. MySQL and Dolt: the executed set. A log
/// without GTIDs: the place, printed as `@binlog.000007:1234`, behind the set where there is one too.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GtidState {
    domains: BTreeMap<u32, Gtid>,
    executed: GtidSet,
    place: Option<Place>,
}

impl GtidState {
    /// Nothing was read.
    pub fn is_empty(&self) -> bool {
        self.domains.is_empty() && self.executed.is_empty() && self.place.is_none()
    }

    /// `gtid` of MariaDB was read.
    pub fn advance(&mut self, gtid: Gtid) {
        self.domains.insert(gtid.domain, gtid);
    }

    /// A transaction was read that ends at `end`, where that is known.
    pub fn pass(&mut self, id: &TransactionId, end: Option<&Place>) {
        match id {
            TransactionId::Mariadb(gtid) => self.advance(*gtid),
            TransactionId::Mysql(gtid) => self.executed.add(gtid),
            TransactionId::Place(_) => self.place = end.cloned().or(self.place.take()),
        }
    }

    /// The same from before the newest transaction of a row was read; `None` if `id` is not that.
    pub(crate) fn without(&self, id: &TransactionId) -> Option<GtidState> {
        let mut before = self.clone();
        match id {
            TransactionId::Mariadb(gtid) if self.of(gtid.domain) != Some(*gtid) => return None,
            TransactionId::Mariadb(gtid) if gtid.sequence > 1 => before.advance(Gtid { sequence: gtid.sequence - 1, ..*gtid }),
            TransactionId::Mariadb(gtid) => drop(before.domains.remove(&gtid.domain)),
            TransactionId::Mysql(gtid) => {
                let mut one = GtidSet::default();
                one.add(gtid);
                before.executed = self.executed.minus(&one);
            }
            TransactionId::Place(_) => return None,
        }
        Some(before)
    }

    /// The newest transaction that was made on a server, if the state ends with one: MariaDB's has an id, MySQL's a UUID.
    pub(crate) fn newest_of(&self, server: u32, uuid: Option<Uuid>) -> Option<TransactionId> {
        let runs = self.executed.intervals().filter(|run| Some(run.uuid) == uuid && *run.tag == Tag::none());
        let of_mysql = runs.last().map(|run| MysqlGtid { uuid: run.uuid, tag: run.tag.clone(), number: run.last });
        let of_mariadb = self.iter().find(|gtid| gtid.server == server);
        of_mysql.map(TransactionId::Mysql).or(of_mariadb.map(TransactionId::Mariadb))
    }

    /// The latest of a domain of MariaDB.
    pub fn of(&self, domain: u32) -> Option<Gtid> {
        self.domains.get(&domain).copied()
    }

    /// Every domain's latest of MariaDB, by domain.
    pub fn iter(&self) -> impl Iterator<Item = Gtid> + '_ {
        self.domains.values().copied()
    }

    /// The executed set of MySQL.
    pub fn executed(&self) -> &GtidSet {
        &self.executed
    }

    /// The place, in a log without GTIDs.
    pub fn place(&self) -> Option<&Place> {
        self.place.as_ref()
    }

    /// Whether this reader has read `gtid`: numbers rise within a domain.
    pub fn contains(&self, gtid: Gtid) -> bool {
        self.of(gtid.domain).is_some_and(|own| own.sequence >= gtid.sequence)
    }

    /// Whether this reader has read a transaction. One without GTID was read if it begins before the place.
    pub fn has_passed(&self, id: &TransactionId) -> bool {
        match id {
            TransactionId::Mariadb(gtid) => self.contains(*gtid),
            TransactionId::Mysql(gtid) => self.executed.contains(gtid),
            TransactionId::Place(begin) => self.place.as_ref().is_some_and(|place| begin < place),
        }
    }

    /// Whether everything that `other` has read was read here too.
    pub fn covers(&self, other: &GtidState) -> bool {
        let place = other.place.as_ref().is_none_or(|theirs| self.place.as_ref().is_some_and(|own| own >= theirs));
        place && other.iter().all(|gtid| self.contains(gtid)) && self.executed.covers(&other.executed)
    }

    /// What of `other` is to be read here until it is covered: the less is left, the less it costs to ask.
    pub(crate) fn left_of(&self, other: GtidState) -> GtidState {
        GtidState { executed: other.executed.minus(&self.executed), ..other }
    }

    /// What one of the two has read.
    pub fn union(mut self, other: &GtidState) -> GtidState {
        other.iter().filter(|gtid| !self.contains(*gtid)).collect::<Vec<_>>().into_iter().for_each(|gtid| self.advance(gtid));
        GtidState {
            domains: self.domains,
            executed: self.executed.union(&other.executed),
            place: self.place.max(other.place.clone()),
        }
    }

    /// What was read here and not there. The numbers of a domain count as one row, whichever server gave them.
    pub fn minus(&self, other: &GtidState) -> Difference {
        let domains = self.iter().filter(|gtid| !other.contains(*gtid)).map(|last| {
            let first = other.of(last.domain).map_or(1, |own| own.sequence + 1);
            (first, last)
        });
        Difference { domains: domains.collect(), executed: self.executed.minus(&other.executed) }
    }
}

/// Transactions that one state has and another has not, printed as `0-1-11 … 0-1-40, 1-1-8`, or as a set of MySQL.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Difference {
    /// MariaDB: the first number that is missing and the last GTID, by domain.
    pub domains: Vec<(u64, Gtid)>,
    /// MySQL.
    pub executed: GtidSet,
}

impl Difference {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.domains.is_empty() && self.executed.is_empty()
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, (first, last)) in self.domains.iter().enumerate() {
            f.write_str(if i > 0 { ", " } else { "" })?;
            if *first < last.sequence {
                write!(f, "{} … ", Gtid { sequence: *first, ..*last })?;
            }
            last.fmt(f)?;
        }
        let both = !self.domains.is_empty() && !self.executed.is_empty();
        write!(f, "{}{}", if both { ", " } else { "" }, self.executed)
    }
}

impl FromIterator<Gtid> for GtidState {
    fn from_iter<I: IntoIterator<Item = Gtid>>(iter: I) -> Self {
        GtidState { domains: iter.into_iter().map(|gtid| (gtid.domain, gtid)).collect(), ..GtidState::default() }
    }
}

impl From<GtidSet> for GtidState {
    fn from(executed: GtidSet) -> Self {
        GtidState { executed, ..GtidState::default() }
    }
}

impl From<Place> for GtidState {
    fn from(place: Place) -> Self {
        GtidState { place: Some(place), ..GtidState::default() }
    }
}

impl fmt::Display for GtidState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, gtid) in self.iter().enumerate() {
            write!(f, "{}{gtid}", if i > 0 { "," } else { "" })?;
        }
        self.executed.fmt(f)?;
        match &self.place {
            Some(place) => write!(f, "@{place}"),
            None => Ok(()),
        }
    }
}

impl FromStr for GtidState {
    type Err = GtidError;

    fn from_str(text: &str) -> Result<Self, GtidError> {
        let bad = |_| GtidError { text: text.to_string() };
        let (gtids, place) = match text.split_once('@') {
            Some((gtids, place)) => (gtids.trim(), Some(place.parse::<Place>().map_err(bad)?)),
            None => (text.trim(), None),
        };
        let state = if gtids.is_empty() {
            GtidState::default()
        } else if gtids.contains(':') {
            GtidState::from(gtids.parse::<GtidSet>().map_err(bad)?)
        } else {
            gtids.split(',').map(str::parse::<Gtid>).collect::<Result<_, _>>().map_err(bad)?
        };
        Ok(GtidState { place, ..state })
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

    const UUID: &str = "3e11fa47-71ca-11e1-9e33-c80aa9429562";

    #[test]
    fn positions_print_as_they_parse() {
        for text in [
            "",
            "0-1-42",
            "0-1-42,1-1-7",
            "0-1-42;reread=0-1-39",
            "0-1-18446744073709551615;reread=",
            "U:1-5:tag:7",
            "U:1-5@binlog.000007:1234",
            "@binlog.000007:1234;reread=@binlog.000006:4",
        ] {
            let text = text.replace('U', UUID);
            assert_eq!(text.parse::<Position>().unwrap().to_string(), text);
        }
        assert_eq!("1-1-7, 0-1-42".parse::<Position>().unwrap().to_string(), "0-1-42,1-1-7");
        for text in ["0-1", "0-1-2-3", "a-1-2", "0-1-+2", "uuid:1-5", "0-1-18446744073709551616", "@binlog.000007", "@:4"] {
            let error = text.parse::<Position>().unwrap_err().to_string();
            assert_eq!(error, format!("\"{text}\" is not a GTID position such as 0-1-42,1-1-7 (MariaDB) or {UUID}:1-5 (MySQL)"));
        }
    }

    #[test]
    fn a_state_contains_what_its_domains_have_passed() {
        let state: GtidState = "0-2-42,1-1-7".parse().unwrap();
        for (gtid, contained) in [("0-1-42", true), ("0-1-43", false), ("1-9-1", true), ("2-1-1", false)] {
            assert_eq!(state.contains(gtid.parse().unwrap()), contained, "{gtid}");
        }
    }

    #[test]
    fn src_10_states_of_domains_are_joined_and_compared() {
        let state = |text: &str| text.replace('U', UUID).parse::<GtidState>().unwrap();
        for (a, b, union, minus) in [
            ("0-1-10,1-1-7", "0-2-40,2-1-1", "0-2-40,1-1-7,2-1-1", "1-1-1 … 1-1-7"),
            ("0-2-40,1-1-8,2-1-1", "0-1-10,1-1-7", "0-2-40,1-1-8,2-1-1", "0-2-11 … 0-2-40, 1-1-8, 2-1-1"),
            ("U:1-9", "U:4-5:7", "U:1-9", "U:1-3:6:8-9"),
            ("U:1-2@binlog.000002:4", "@binlog.000001:900", "U:1-2@binlog.000002:4", "U:1-2"),
        ] {
            assert_eq!(state(a).union(&state(b)), state(union));
            assert_eq!(state(a).minus(&state(b)).to_string(), minus.replace('U', UUID));
            assert!(state(union).covers(&state(a)) && state(union).covers(&state(b)));
            assert_eq!(state(b).covers(&state(a)), state(a).minus(&state(b)).is_empty());
        }
    }

    #[test]
    fn places_follow_one_another_by_number() {
        let place = |text: &str| text.parse::<Place>().unwrap();
        assert!(place("binlog.999999:9000") < place("binlog.1000000:4"));
        assert!(place("binlog.000002:5") > place("binlog.000002:4"));
    }
}
