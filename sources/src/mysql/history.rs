//! Whether the server's log holds what follows a position: what was purged, and what is another history.

use mysql_async::Conn;
use mysql_async::prelude::Queryable;
use mysql_async::{Opts, Row};
use thalweg_formulas::Code;

use super::check::Facts;
use super::connect::{Flavour, ask_first, connect};
use super::dolt::place::CommitPlace;
use super::dolt::resync;
use super::extent::Extent;
use super::failure::{Failure, NEW_SNAPSHOT, code};
use crate::binlog::{GtidState, Latest, Position};

/// A position as it was handed over once.
pub(crate) fn parsed(text: &str) -> Result<Position, Failure> {
    if CommitPlace::is_meant(text) {
        let cure = format!("name its `branch` again in the source's section, or {NEW_SNAPSHOT}");
        let reason = format!("the position {text} is a commit, and this source follows the binary log");
        return Err(Failure::stop(code::SETTING, reason, cure));
    }
    let (position, _) = resync::split(text);
    position.parse().map_err(|e| Failure::stop(code::SETTING, format!("the position {e}"), NEW_SNAPSHOT))
}

/// The parts of a position: the place, the transaction that it is behind, and which tables it is of.
pub(crate) fn parts(text: &str) -> Result<(&str, Option<Latest>, Option<Extent>), Failure> {
    let unreadable = || Failure::stop(code::SETTING, format!("the position \"{text}\" cannot be read"), NEW_SNAPSHOT);
    let (rest, extent) = Extent::split(text).ok_or_else(unreadable)?;
    let (place, latest) = Latest::split(rest);
    Ok((place, latest, extent))
}

/// A position beyond the server's own belongs to another history: a restored backup, a reset log, another server.
pub(crate) fn require_same(position: &Position, server: &GtidState) -> Result<(), Failure> {
    let ahead = position.done.minus(server);
    if ahead.is_empty() {
        return Ok(());
    }
    let at = match ahead.domains.first() {
        Some((_, gtid)) => format!("stands at {gtid}"),
        None => format!("has read {}", ahead.executed),
    };
    let stands = if server.is_empty() { "nothing".to_string() } else { server.to_string() };
    let reason = format!("this source {at}, and the server's log has only {stands}: its history is another one");
    Err(diverged(reason))
}

/// The stop at another history.
pub(crate) fn diverged(reason: String) -> Failure {
    Failure::stop(code::DIVERGED, reason, format!("connect to the right server, or {NEW_SNAPSHOT}"))
}

/// What is known now of the newest transaction that this server has made, of those in `position`.
pub(crate) async fn latest(conn: &mut Conn, flavour: Flavour, position: &GtidState) -> Result<Option<Latest>, Failure> {
    let sql = match flavour {
        Flavour::MariaDb => "SELECT @@server_id, '', UNIX_TIMESTAMP()",
        Flavour::MySql => "SELECT @@server_id, @@server_uuid, UNIX_TIMESTAMP()",
        Flavour::Dolt => return Ok(None),
    };
    let Some((server, uuid, seconds)) = ask_first::<(u32, String, u32)>(conn, sql).await? else { return Ok(None) };
    Ok(position.newest_of(server, uuid.parse().ok()).map(|id| Latest { id, seconds, server }))
}

/// What was purged must have been read.
pub(crate) fn require_log(position: &Position, purged: &GtidState) -> Result<(), Failure> {
    match position.start().covers(purged) {
        true => Ok(()),
        false => Err(after_purge(position.start(), purged)),
    }
}

/// The server says that the log behind `position` was purged: names what is missing, or passes on the server's own words where this user
/// may not look.
pub(crate) async fn purged(opts: &Opts, flavour: Flavour, position: &GtidState, message: &str) -> Failure {
    let first = async {
        let mut conn = connect(opts).await?;
        match flavour {
            Flavour::MariaDb => log_begin(&mut conn).await,
            Flavour::MySql | Flavour::Dolt => Ok(Some(Facts::read(&mut conn, flavour).await?.purged)),
        }
    };
    match first.await {
        Ok(Some(first)) if !position.covers(&first) => after_purge(position, &first),
        _ => {
            let reason = format!("the server no longer has the log from this position on ({message})");
            Failure::Lost(format!("{}: {reason}; {NEW_SNAPSHOT}", Code(code::PURGED)))
        }
    }
}

/// What came before the first file that the server still has: its GTID list.
pub(crate) async fn log_begin(conn: &mut Conn) -> Result<Option<GtidState>, Failure> {
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
    let missing = first.minus(position);
    let reason = format!("this source stands at {at}, and the server no longer has {missing} in its log");
    let cure = format!("{NEW_SNAPSHOT}; a larger binlog_expire_logs_seconds keeps the log longer");
    Failure::Lost(format!("{}: {reason}; {cure}", Code(code::PURGED)))
}
