//! Whether the server's log holds what follows a position: what was purged, and what is another history.

use mysql_async::Conn;
use mysql_async::prelude::Queryable;
use mysql_async::{Opts, Row};

use super::connect::connect;
use super::failure::{Failure, NEW_SNAPSHOT, code};
use crate::binlog::{GtidState, Position};

/// A position beyond the server's own belongs to another history: a restored backup, a reset log, another server.
pub(crate) fn require_same(position: &Position, server: &GtidState) -> Result<(), Failure> {
    let Some(gtid) = position.done.iter().find(|gtid| !server.contains(*gtid)) else { return Ok(()) };
    let stands = if server.is_empty() { "nothing".to_string() } else { server.to_string() };
    let reason = format!("this source stands at {gtid}, and the server's log has only {stands}: its history is another one");
    Err(Failure::stop(code::DIVERGED, reason, format!("connect to the right server, or {NEW_SNAPSHOT}")))
}

/// The server says that the log behind `position` was purged: names what is missing, or passes on the server's own words where this user
/// may not look.
pub(crate) async fn purged(opts: &Opts, position: &GtidState, message: &str) -> Failure {
    let first = async { log_begin(&mut connect(opts).await?).await };
    match first.await {
        Ok(Some(first)) if !position.covers(&first) => after_purge(position, &first),
        _ => Failure::stop(
            code::PURGED,
            format!("the server no longer has the log from this position on ({message})"),
            NEW_SNAPSHOT,
        ),
    }
}

/// What came before the first file that the server still has: its GTID list.
async fn log_begin(conn: &mut Conn) -> Result<Option<GtidState>, Failure> {
    let files: Vec<Row> = conn.query("SHOW BINARY LOGS").await?;
    let Some(file) = files.first().and_then(|row| row.get::<String, _>(0)) else { return Ok(None) };
    let sql = format!("SHOW BINLOG EVENTS IN '{}' LIMIT 10", file.replace('\'', "''"));
    let events: Vec<Row> = conn.query(sql).await?;
    let list = events.iter().find(|e| e.get::<String, _>("Event_type").as_deref() == Some("Gtid_list"));
    let text = list.and_then(|e| e.get::<String, _>("Info"));
    Ok(text.and_then(|text| text.trim_matches(['[', ']']).parse().ok()))
}

/// The stop after a purge, with what is missing.
pub(crate) fn after_purge(position: &GtidState, first: &GtidState) -> Failure {
    let at = if position.is_empty() { "its beginning".to_string() } else { position.to_string() };
    let reason = format!("this source stands at {at}, and the server no longer has {} in its log", missing(position, first));
    let cure = format!("{NEW_SNAPSHOT}; a larger binlog_expire_logs_seconds keeps the log longer");
    Failure::stop(code::PURGED, reason, cure)
}

/// The transactions between two states, by domain: `0-1-11 … 0-1-40`.
fn missing(position: &GtidState, first: &GtidState) -> String {
    let ranges = first.iter().filter(|gtid| !position.contains(*gtid)).map(|gtid| {
        let next = position.of(gtid.domain).map_or(1, |own| own.sequence + 1);
        if next == gtid.sequence { gtid.to_string() } else { format!("{}-{}-{next} … {gtid}", gtid.domain, gtid.server) }
    });
    ranges.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_named_by_domain() {
        let missing = |position: &str, first: &str| missing(&position.parse().unwrap(), &first.parse().unwrap());
        assert_eq!(missing("0-1-10,1-1-7", "0-2-40,1-1-7,2-1-1"), "0-2-11 … 0-2-40, 2-1-1");
        assert_eq!(missing("", "0-1-1"), "0-1-1");
    }
}
