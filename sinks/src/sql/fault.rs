//! Why a row was not written, and whether trying again can help.

use mysql_async::{DriverError, Error};
use thalweg_graph::ports::Attempt;

use crate::secret::redact;

/// A failed attempt.
#[derive(Debug)]
pub(super) struct Fault {
    error: String,
    class: Class,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    /// Deadlocks, lock waits, lost connections, a server that is full or going down.
    Transient,
    /// A unique key refused the row.
    Duplicate,
    /// What the catalogue said no longer holds, or does not fit: look again before the next attempt.
    Catalogue,
    /// Everything else: the row itself is refused.
    Permanent,
}

impl Fault {
    pub(super) fn transient(error: String) -> Self {
        Self { error, class: Class::Transient }
    }

    pub(super) fn permanent(error: String) -> Self {
        Self { error, class: Class::Permanent }
    }

    pub(super) fn catalogue(error: String) -> Self {
        Self { error, class: Class::Catalogue }
    }

    /// What the driver or the server said. URLs and passwords are in none of these texts.
    pub(super) fn of(why: &Error) -> Self {
        match why {
            Error::Server(server) => {
                let class = classify(server.code);
                let code = if class == Class::Transient { "E0524" } else { "E0523" };
                let error = format!("{code}: the database refused: {} ({})", redact(&server.message, &[]), server.code);
                Self { error, class }
            }
            Error::Io(io) => Self::transient(format!("E0524: the database cannot be reached: {}", redact(&io.to_string(), &[]))),
            Error::Driver(DriverError::PacketTooLarge) => {
                Self::permanent("E0523: the row is larger than a packet may be".to_owned())
            }
            Error::Driver(driver) => {
                Self::transient(format!("E0524: the connection to the database failed: {}", redact(&driver.to_string(), &[])))
            }
            Error::Url(_) => Self::permanent("E0504: the database url is not valid".to_owned()),
            Error::Other(_) => Self::transient("E0524: the connection to the database failed".to_owned()),
        }
    }

    pub(super) fn is_duplicate(&self) -> bool {
        self.class == Class::Duplicate
    }

    pub(super) fn contradicts_catalogue(&self) -> bool {
        self.class == Class::Catalogue
    }

    /// What the target lacks, or another row of it still has, is waited for: a copy that leaves out changes is none.
    pub(super) fn waiting_for_the_target(self) -> Self {
        match self.class {
            Class::Catalogue | Class::Duplicate => Self { class: Class::Transient, ..self },
            Class::Transient | Class::Permanent => self,
        }
    }

    pub(super) fn into_attempt(self) -> Attempt {
        match self.class {
            Class::Transient => Attempt::Transient { error: self.error, retry_after: None },
            Class::Duplicate | Class::Catalogue | Class::Permanent => Attempt::Permanent { error: self.error },
        }
    }

    #[cfg(test)]
    pub(super) fn into_error(self) -> String {
        self.error
    }
}

/// By the server's error number (the same on MySQL, MariaDB and Dolt where they have it).
fn classify(code: u16) -> Class {
    match code {
        1062 | 1586 => Class::Duplicate,
        // No such database, table or column; a column too short; a column without a value; the wrong number of columns.
        1049 | 1051 | 1054 | 1109 | 1136 | 1146 | 1265 | 1364 | 1406 => Class::Catalogue,
        // A foreign key: the row that it refers to, or the one that refers to it, may be under way.
        1216 | 1217 | 1451 | 1452 => Class::Transient,
        // What the server's file layer says, by numbers of its own: no file made, read, written, closed or lengthened, no disk, no memory.
        1..=5 | 14 | 20 | 21 | 23 | 27 => Class::Transient,
        // The same by the rest of it: no file, table or database made, none locked or opened, an engine's own trouble, a table that has
        // no room to grow, a commit or its log that could not be written.
        1004..=1006 | 1015 | 1016 | 1024..=1026 | 1030 | 1114 | 1180 | 1534 | 1598 | 3675 => Class::Transient,
        // Disk full, no memory, too many connections, a handshake that failed, access denied while connecting, going down.
        1021 | 1037 | 1038 | 1040 | 1041 | 1042 | 1043 | 1045 | 1053 | 1077 | 1079 | 1080 | 1129 => Class::Transient,
        // The connection: aborted, packets out of order, read and write errors and their timeouts, killed.
        1152..=1161 | 1184 | 1189 | 1190 | 1317 | 1927 | 2006 | 2013 => Class::Transient,
        // Too many of something of this user; lock wait, lock table full, deadlock, read-only for now, statement timeout, failover.
        1203 | 1205 | 1206 | 1213 | 1226 | 1290 | 1614 | 1637 | 1792 | 1836 | 1969 | 3024 | 3572 | 4031 => Class::Transient,
        _ => Class::Permanent,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_pass_is_told_from_what_will_not() {
        let attempt = |code| {
            let server = mysql_async::ServerError { code, message: "no\u{7} \n good".to_owned(), state: "HY000".to_owned() };
            match Fault::of(&Error::Server(server)).into_attempt() {
                Attempt::Transient { error, .. } => format!("transient {error}"),
                Attempt::Permanent { error } => format!("permanent {error}"),
                other => format!("{other:?}"),
            }
        };
        for code in [1205, 1452, 1213, 1040, 1045, 1053, 1927, 1290, 1114, 1030, 1026, 3] {
            assert_eq!(attempt(code), format!("transient E0524: the database refused: no    good ({code})"));
        }
        for code in [1054, 1062, 1064, 1142, 1146, 1366, 1406, 3140, 4025] {
            assert_eq!(attempt(code), format!("permanent E0523: the database refused: no    good ({code})"));
        }
    }
}
