//! What is advised of a server's settings, ids that clash, and clocks that differ.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Row};

use super::super::MysqlConfig;
use super::super::check::kept;
use super::super::connect::{Flavour, ask, ask_first};
use super::super::failure::{Failure, code};
use super::super::finding::Finding;

/// A log that is kept for less may be gone after a weekend's outage is noticed.
const KEPT_MIN: Duration = Duration::from_secs(24 * 3600);
/// What is proposed instead.
const KEPT_PROPOSED: Duration = Duration::from_secs(7 * 24 * 3600);
/// Clocks that differ by less make no difference to timers that anybody sets.
const CLOCK_MAX: Duration = Duration::from_secs(2);

/// What is advised, and ids that clash.
pub(super) async fn advice(conn: &mut Conn, config: &MysqlConfig, flavour: Flavour) -> Result<Vec<Finding>, Failure> {
    let names = "'server_id', 'gtid_strict_mode', 'binlog_expire_logs_seconds', 'expire_logs_days', 'log_bin_branch'";
    let rows: Vec<(String, String)> = ask(conn, format!("SHOW GLOBAL VARIABLES WHERE Variable_name IN ({names})")).await?;
    let value = |name: &str| rows.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
    let mut findings = Vec::new();
    if let (Flavour::MariaDb, Some(mode)) = (flavour, value("gtid_strict_mode")) {
        findings.push(strict(mode));
    }
    if let (Flavour::Dolt, Some(branch)) = (flavour, value("log_bin_branch").filter(|branch| !branch.is_empty())) {
        findings.push(logged_branch(branch));
    }
    findings.extend(log_kept(flavour, value("binlog_expire_logs_seconds"), value("expire_logs_days")));
    if let Some(own) = value("server_id").and_then(|id| id.parse().ok()) {
        findings.push(server_id(conn, config.server_id, flavour, own).await?);
    }
    Ok(findings)
}

fn strict(mode: &str) -> Finding {
    if mode == "ON" || mode == "1" {
        return Finding::ok("gtid_strict_mode", "ON");
    }
    let cure = "switch it on, so that the server refuses transactions out of order, which a position cannot tell apart";
    Finding::warn("gtid_strict_mode", "OFF", cure).sql(kept(Flavour::MariaDb, "gtid_strict_mode", "ON"))
}

/// Dolt logs one branch, and none whose name has a slash.
fn logged_branch(branch: &str) -> Finding {
    if !branch.contains('/') {
        return Finding::ok("log_bin_branch", format!("{branch}: what happens on others is not in the log"));
    }
    let cure = "log another one and restart the server, or follow this one by its commits: write branch in the source's section";
    let found = format!("{branch} has a slash in its name, so Dolt logs nothing");
    Finding::bad("log_bin_branch", found, cure).code(code::LOG_OFF).sql(kept(Flavour::Dolt, "log_bin_branch", "'main'"))
}

/// How long the log is kept, which is how long a run may be down.
fn log_kept(flavour: Flavour, seconds: Option<&str>, days: Option<&str>) -> Option<Finding> {
    let seconds: Option<u64> = seconds.and_then(|s| s.parse().ok());
    let days: Option<f64> = days.and_then(|d| d.parse().ok());
    let whole = seconds.filter(|s| *s > 0).or(days.map(|d| (d * 86_400.0) as u64));
    let shown = |seconds: u64| match seconds {
        s if s % 86_400 == 0 && s > 86_400 => format!("{} days", s / 86_400),
        s if s % 3_600 == 0 && s > 3_600 => format!("{} hours", s / 3_600),
        s => format!("{s} seconds"),
    };
    Some(match whole.or(seconds)? {
        0 => Finding::ok("log kept", "until it is purged by hand"),
        long if long >= KEPT_MIN.as_secs() => Finding::ok("log kept", shown(long)),
        short => {
            let cure = "keep it longer than any outage: what is purged before it is read is missing";
            let proposed = KEPT_PROPOSED.as_secs().to_string();
            Finding::warn("log kept", shown(short), cure).sql(kept(flavour, "binlog_expire_logs_seconds", &proposed))
        }
    })
}

/// Ours must differ from the server's own and from every other reader's.
async fn server_id(conn: &mut Conn, ours: Option<u32>, flavour: Flavour, own: u32) -> Result<Finding, Failure> {
    if own == 0 {
        let finding = Finding::bad("server_id", "the server has none, so nobody may read its log", "give it one");
        return Ok(finding.code(code::SERVER_ID).sql(kept(flavour, "server_id", "1")));
    }
    let Some(ours) = ours else { return Ok(Finding::ok("server_id", format!("{own}; this reader's is random at each run"))) };
    if ours == own {
        let finding = Finding::bad(
            "server_id",
            format!("this reader's is {ours}, which is the server's own"),
            "choose another `server_id` for the source, or leave it out",
        );
        return Ok(finding.code(code::SERVER_ID));
    }
    let readers: Vec<Row> =
        match conn.query(if flavour == Flavour::MariaDb { "SHOW REPLICA HOSTS" } else { "SHOW REPLICAS" }).await {
            Err(mysql_async::Error::Server(_)) => return Ok(Finding::ok("server_id", format!("{own}; this reader's is {ours}"))),
            answer => answer?,
        };
    let is_ours = |row: &Row| row.get_opt::<u32, _>(0).and_then(Result::ok) == Some(ours);
    Ok(match readers.iter().any(is_ours) {
        false => Finding::ok("server_id", format!("{own}; this reader's is {ours}, which no other uses")),
        true => {
            let cure =
                "if that is this source, running, all is well; else choose another `server_id`: the two push each other out";
            Finding::warn("server_id", format!("a reader with this source's {ours} is connected"), cure).code(code::SERVER_ID)
        }
    })
}

/// How far the clocks are apart; the half of the question's way is the doubt.
pub(super) async fn clock(conn: &mut Conn) -> Result<Finding, Failure> {
    let micros = || SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros() as i64);
    let before = micros();
    let sql = "SELECT TIMESTAMPDIFF(MICROSECOND, '1970-01-01 00:00:00', UTC_TIMESTAMP(6))";
    let cure = "let both follow a time server: timers count from the server's times and fire by this machine's clock";
    let server: i64 = match ask_first(conn, sql).await {
        // A server that does not know the question; a connection that is lost shows at the next one.
        Err(Failure::Retry(text) | Failure::Stop(text)) => {
            let refusal = text.split_once(": ").map_or(text.as_str(), |(_, reason)| reason);
            return Ok(Finding::warn("clock", format!("unknown: {refusal}"), cure));
        }
        answer => answer?.unwrap_or_default(),
    };
    let after = micros();
    let ahead = server - (before + after) / 2;
    let doubt = Duration::from_micros(((after - before) / 2).unsigned_abs());
    if Duration::from_micros(ahead.unsigned_abs()) <= CLOCK_MAX + doubt {
        return Ok(Finding::ok("clock", "that of this machine, within 2 seconds"));
    }
    let direction = if ahead > 0 { "ahead of" } else { "behind" };
    let seconds = ahead.unsigned_abs() / 1_000_000;
    Ok(Finding::warn("clock", format!("{seconds} seconds {direction} this machine's"), cure))
}
