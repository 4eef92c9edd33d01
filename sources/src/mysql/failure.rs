//! Why a connection ended, and what follows from that: try again, or stop with a cure.

use std::time::Duration;

use mysql_async::{DriverError, Error};
use thalweg_formulas::Code;

use super::history::{after_purge, diverged};
use crate::binlog::{DecodeError, LogError, SPOOL};

/// The codes of this source; `src/explain/mysql.md` tells each one's story.
pub(crate) mod code {
    pub(crate) const CONNECTION: u16 = 400;
    pub(crate) const ACCESS_DENIED: u16 = 401;
    pub(crate) const SERVER: u16 = 402;
    pub(crate) const LOG_OFF: u16 = 403;
    pub(crate) const LOG_FORMAT: u16 = 404;
    pub(crate) const ROW_IMAGE: u16 = 405;
    pub(crate) const ROW_METADATA: u16 = 406;
    pub(crate) const PRIVILEGE: u16 = 407;
    pub(crate) const UNKNOWN_TABLE: u16 = 408;
    pub(crate) const TABLE: u16 = 409;
    pub(crate) const PURGED: u16 = 410;
    pub(crate) const DIVERGED: u16 = 411;
    pub(crate) const SERVER_ID: u16 = 412;
    pub(crate) const STATEMENT: u16 = 413;
    pub(crate) const REPLACED: u16 = 414;
    pub(crate) const DAMAGED: u16 = 415;
    pub(crate) const UNSUPPORTED: u16 = 416;
    pub(crate) const INCIDENT: u16 = 417;
    pub(crate) const SETTING: u16 = 418;
    pub(crate) const PREPARED: u16 = 419;
    pub(crate) const GTID_MODE: u16 = 420;
    pub(crate) const TLS: u16 = 421;
    pub(crate) const LOG_FILTER: u16 = 422;
}

/// How to read the tables anew, the cure of all that has lost the thread.
pub(crate) const NEW_SNAPSHOT: &str = "start with a new data directory to read the tables anew";

/// How an attempt to follow the server ended.
#[derive(Clone, Debug)]
pub(crate) enum Failure {
    /// The runtime wants nothing more.
    Gone,
    /// It is to be tried once more at once, in another way.
    Again,
    /// Something that passes; the text is for the status.
    Retry(String),
    /// Damaged bytes arrived: read them once more before believing it.
    Damaged(String),
    /// A value came in another form than the layout says, as a text to stop with: a change of layout just then, unless it comes again.
    Form(String),
    /// Somebody else reads with the same server id; try again, but not at once.
    DuplicateServerId(String),
    /// The server no longer has the log behind the position; its own words.
    Purged(String),
    /// The position is not in the server's log; its own words.
    NotThere(String),
    /// The same with what is missing, as a text to stop with: only reading the tables anew can help.
    Lost(String),
    /// Rows of a watched table came or went without row events, as a text to stop with: reading the tables anew helps.
    Replaced(String),
    /// Nobody but the user can help; code, reason and cure.
    Stop(String),
}

impl Failure {
    /// Stops: reason, then cure.
    pub(crate) fn stop(code: u16, reason: impl AsRef<str>, cure: impl AsRef<str>) -> Failure {
        Failure::Stop(format!("{}: {}; {}", Code(code), reason.as_ref(), cure.as_ref()))
    }

    /// Nothing came for so long.
    pub(crate) fn silent(silence_max: Duration) -> Failure {
        Failure::Retry(format!("E0400: no sign of life from the server for {silence_max:?}"))
    }

    /// Its text, if it has one.
    pub(crate) fn text(&self) -> Option<&str> {
        match self {
            Failure::Gone | Failure::Again => None,
            Failure::Retry(text)
            | Failure::Damaged(text)
            | Failure::Form(text)
            | Failure::DuplicateServerId(text)
            | Failure::Purged(text)
            | Failure::NotThere(text)
            | Failure::Lost(text)
            | Failure::Replaced(text)
            | Failure::Stop(text) => Some(text),
        }
    }

    fn retry(reason: impl std::fmt::Display) -> Failure {
        Failure::Retry(format!("{}: {reason}", Code(code::CONNECTION)))
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        match error {
            Error::Server(e) => of_server(e.code, &e.message),
            Error::Url(e) => Failure::stop(
                code::SETTING,
                format!("the url cannot be used: {e}"),
                "write mysql://user:password@host:3306/database",
            ),
            Error::Driver(DriverError::PacketTooLarge) => Failure::stop(
                code::UNSUPPORTED,
                "the server sent a packet above 1 GiB",
                "leave the table with that row out of `tables`",
            ),
            Error::Io(mysql_async::IoError::Tls(e)) => of_tls(e),
            Error::Driver(DriverError::NoClientSslFlagFromServer) => Failure::stop(
                code::TLS,
                "the server offers no TLS",
                "give it a certificate (`ssl_cert` and `ssl_key` in its configuration), or connect without",
            ),
            other => Failure::retry(other),
        }
    }
}

/// What is wrong with the server's certificate, or with ours.
pub(crate) fn of_tls(why: impl std::fmt::Display) -> Failure {
    let cure = "check the server's certificate, the name in it, and the authority that is trusted here";
    Failure::stop(code::TLS, format!("TLS with the server failed: {why}"), cure)
}

/// Server errors by number; what is not known passes, perhaps.
fn of_server(number: u16, message: &str) -> Failure {
    match number {
        1045 | 1698 | 1862 | 1820 | 4151 => Failure::stop(
            code::ACCESS_DENIED,
            lower(message),
            "check user and password in the url, and that the user may connect from here",
        ),
        1044 | 1142 | 1143 => {
            Failure::stop(code::PRIVILEGE, lower(message), "run on the server: GRANT SELECT ON the watched tables TO this user")
        }
        1227 => Failure::stop(
            code::PRIVILEGE,
            lower(message),
            "run on the server: GRANT REPLICATION SLAVE, BINLOG MONITOR ON *.* TO this user",
        ),
        3159 => Failure::stop(code::TLS, "the server takes no connection without TLS", "switch TLS on for this source"),
        1049 => Failure::stop(code::UNKNOWN_TABLE, lower(message), "check the database in the url"),
        1236 | 4052 => of_dump(message),
        _ => Failure::retry(format!("the server says {number}: {message}")),
    }
}

/// Error 1236 covers all that can go wrong in reading the log; only its text tells what.
fn of_dump(message: &str) -> Failure {
    let has = |part: &str| message.contains(part);
    if has("same server_uuid/server_id") || has("same server_id") {
        return Failure::DuplicateServerId(format!(
            "{}: another reader has the same server id; give each its own `server_id`, or none for a random one",
            Code(code::SERVER_ID)
        ));
    }
    if has("purged") || has("Could not find first log") || has("could not find next log") {
        return Failure::Purged(message.to_string());
    }
    if has("not in the master's binlog") || has("has more GTIDs") || has("missing the GTID") || has("is ahead") || has("diverge")
    {
        return Failure::NotThere(message.to_string());
    }
    if has("GTID_MODE") {
        return Failure::stop(code::GTID_MODE, message, "run on the server: SET PERSIST gtid_mode = ON");
    }
    if has("not open") || has("Binary log is not") {
        return Failure::stop(code::LOG_OFF, message, "start the server with --log-bin");
    }
    if has("max_allowed_packet") || has("bogus data") || has("crc") || has("checksum") || has("event read") {
        return Failure::Damaged(format!("{}: the server cannot read its log ({message})", Code(code::DAMAGED)));
    }
    Failure::retry(format!("the server says 1236: {message}"))
}

/// What the assembler refuses.
impl From<LogError> for Failure {
    fn from(error: LogError) -> Failure {
        let text = error.to_string();
        match error {
            LogError::Decode(DecodeError::Unsupported { what, cure }) => {
                Failure::stop(code::UNSUPPORTED, format!("{what} cannot be read"), cure)
            }
            LogError::Decode(_) => Failure::Damaged(format!("{}: {text}", Code(code::DAMAGED))),
            LogError::Statement { .. } => {
                let cure =
                    format!("run on the server: SET GLOBAL binlog_format = 'ROW', reconnect its clients; then {NEW_SNAPSHOT}");
                Failure::stop(code::STATEMENT, text, cure)
            }
            LogError::Replaced { .. } | LogError::PartlyRolledBack { .. } => {
                Failure::Replaced(format!("{}: {text}; {NEW_SNAPSHOT}", Code(code::REPLACED)))
            }
            LogError::Incident { .. } => Failure::stop(code::INCIDENT, text, NEW_SNAPSHOT),
            LogError::Gap { position, first } => after_purge(&position, &first),
            LogError::Diverged { .. } => diverged(format!("{text}: its history is another one")),
            LogError::UnknownXa { .. } => Failure::stop(code::PREPARED, text, NEW_SNAPSHOT),
            LogError::Spool { .. } => Failure::Retry(format!("{SPOOL}: {text}")),
        }
    }
}

/// The server's messages begin with a capital, ours do not; a word in capitals stays as it is.
pub(crate) fn lower(message: &str) -> String {
    let mut chars = message.chars();
    match (chars.next(), chars.clone().next()) {
        (Some(first), Some(second)) if second.is_lowercase() => first.to_lowercase().chain(chars).collect(),
        _ => message.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What MariaDB 10.11 and 11.8 and MySQL 8 and 9 say as error 1236.
    #[test]
    fn src_7_every_reason_of_error_1236_is_told_by_its_text() {
        let place = "; the first event '.' at 4, the last event read from 'binlog.000002' at 1021, the last byte read from 'binlog.000002' at 1040.";
        for (wanted, message) in [
            ("purged", "Could not find first log file name in binary log index file"),
            ("purged", "could not find next log"),
            (
                "purged",
                "Could not find GTID state requested by slave in any binlog files. Probably the slave state is too old and required binlog files have been purged.",
            ),
            (
                "purged",
                "Cannot replicate because the source purged required binary logs. Replicate the missing transactions from elsewhere, or provision a new replica from backup. Consider increasing the source's binary log expiration period. The GTID set sent by the replica is 'x', and the missing transactions are 'y'",
            ),
            (
                "not there",
                "Error: connecting slave requested to start from GTID 0-1-41, which is not in the master's binlog. Since the master's binlog contains GTIDs with higher sequence numbers, it probably means that the slave has diverged due to executing extra erroneous transactions",
            ),
            ("not there", "Error: connecting slave requested to start from GTID 0-1-900, which is not in the master's binlog"),
            (
                "not there",
                "The binlog on the master is missing the GTID 0-1-41 requested by the slave (even though both a prior and a subsequent sequence number does exist), and GTID strict mode is enabled",
            ),
            (
                "not there",
                "Replica has more GTIDs than the source has, using the source's SERVER_UUID. This may indicate that the end of the binary log was truncated or that the last binary log file was lost",
            ),
            (
                "another reader",
                "A slave with the same server_uuid/server_id as this slave has connected to the master; the first event '.' at 4",
            ),
            ("another reader", "A replica with the same server_uuid/server_id as this replica has connected to the source"),
            ("stop E0403", "Binary log is not open"),
            (
                "stop E0420",
                "The replication sender thread cannot start in AUTO_POSITION mode: this server has GTID_MODE = OFF instead of ON.",
            ),
            ("damaged", "event read from binlog did not pass crc check"),
            ("damaged", "bogus data in log event"),
            ("damaged", &format!("binlog truncated in the middle of event; consider out of disk space on master{place}")),
            ("damaged", &format!("log event entry exceeded max_allowed_packet; Increase max_allowed_packet on master{place}")),
            ("retry", "memory allocation failed reading log event"),
            ("retry", "Failed to reopen the log file"),
        ] {
            let told = match of_dump(message) {
                Failure::Purged(_) => "purged".to_string(),
                Failure::NotThere(_) => "not there".to_string(),
                Failure::DuplicateServerId(_) => "another reader".to_string(),
                Failure::Damaged(_) => "damaged".to_string(),
                Failure::Retry(_) => "retry".to_string(),
                Failure::Stop(text) => format!("stop {}", &text[..5]),
                other => format!("{other:?}"),
            };
            assert_eq!(told, wanted, "{message}");
        }
    }
}
