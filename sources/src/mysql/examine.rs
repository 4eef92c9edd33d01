//! Everything about a server that a run may stumble over, as findings, each with the SQL that mends it. Nothing is changed, and nothing
//! ends at the first that is wrong: what can still be looked at is.
//!
//! Next to read: `check`, which holds what a start requires; this adds what is advised, and what will bite later.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Opts, OptsBuilder, Row};
use thalweg_formulas::Code;
use thalweg_graph::Schema;

use super::catalog::{Catalog, Missing, Table};
use super::check::{Check, Facts, from_text, grants, watch};
use super::connect::{Flavour, Server, ask, ask_first, connect, options, quoted};
use super::failure::{Failure, code};
use super::grants::Grants;
use super::{AfterPurge, MysqlConfig, Snapshot, Tls, history, snapshot};
use crate::binlog::{Position, Watch};

/// A log that is kept for less may be gone after a weekend's outage is noticed.
const KEPT_MIN: Duration = Duration::from_secs(24 * 3600);
/// What is proposed instead.
const KEPT_PROPOSED: Duration = Duration::from_secs(7 * 24 * 3600);
/// Clocks that differ by less make no difference to timers that anybody sets.
const CLOCK_MAX: Duration = Duration::from_secs(2);
/// More tables than these are counted, not listed.
const LISTED_MAX: usize = 20;
/// The versions that the tests run against.
const TESTED: [(Flavour, &str); 2] = [(Flavour::MariaDb, "10.11."), (Flavour::MySql, "9.7.")];

/// How a finding is to be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grade {
    /// As it should be.
    Ok,
    /// It works, and may hurt one day.
    Warn,
    /// A run fails, or will.
    Bad,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What: `binlog_format`, `table shop.orders`.
    pub name: String,
    /// How it is.
    pub grade: Grade,
    /// What was found; no password is in it.
    pub found: String,
    /// The code that `thalweg explain` knows, if it has one.
    pub code: Option<Code>,
    /// What to do, in words.
    pub cure: Option<String>,
    /// The same as lines that a client of the server takes: statements with their semicolons, and comments.
    pub sql: Vec<String>,
}

impl Finding {
    /// A finding that is well.
    pub fn ok(name: impl Into<String>, found: impl Into<String>) -> Finding {
        Finding { name: name.into(), grade: Grade::Ok, found: found.into(), code: None, cure: None, sql: Vec::new() }
    }

    /// A finding that works for now.
    pub fn warn(name: impl Into<String>, found: impl Into<String>, cure: impl Into<String>) -> Finding {
        Finding { grade: Grade::Warn, cure: Some(cure.into()), ..Finding::ok(name, found) }
    }

    /// A finding that stops a run.
    pub fn bad(name: impl Into<String>, found: impl Into<String>, cure: impl Into<String>) -> Finding {
        Finding { grade: Grade::Bad, ..Finding::warn(name, found, cure) }
    }

    pub(super) fn code(mut self, number: u16) -> Finding {
        self.code = Some(Code(number));
        self
    }

    pub(super) fn sql(mut self, lines: impl IntoIterator<Item = String>) -> Finding {
        self.sql.extend(lines);
        self
    }

    /// A failure's text, `E0408: reason; cure`.
    pub(super) fn failed(name: &str, failure: &Failure) -> Option<Finding> {
        Some(Finding { name: name.into(), ..Finding::from(from_text(failure.text()?)) })
    }
}

impl From<Check> for Finding {
    fn from(check: Check) -> Finding {
        match check.cure {
            None => Finding::ok(check.name, check.found),
            Some((number, cure)) if cure.is_empty() => {
                Finding { cure: None, ..Finding::bad(check.name, check.found, cure) }.code(number.0)
            }
            Some((number, cure)) => Finding::bad(check.name, check.found, cure).code(number.0),
        }
    }
}

/// What is known of where a source stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stands<'a> {
    /// Nothing: there is no data directory to ask.
    Unknown,
    /// It has not begun.
    Nowhere,
    /// At this position.
    At(&'a str),
}

/// What was found on a server.
#[derive(Clone, Debug, Default)]
pub struct Examined {
    /// In the order in which they were looked at.
    pub findings: Vec<Finding>,
    /// The watched tables, as far as they could be read.
    pub schemas: Vec<Arc<Schema>>,
}

/// Looks at a server as far as it lets one: connection, version, settings, privileges, tables, clock, and whether its log still holds
/// what follows the position. Without tables, and without a database in the URL, tables are left out. Needs a tokio runtime; takes a
/// dozen small queries, and at most 10 seconds where nobody answers.
pub async fn examine(config: &MysqlConfig, stands: Stands<'_>) -> Examined {
    let mut examined = Examined::default();
    if let Err(failure) = look(config, stands, &mut examined).await {
        examined.findings.extend(failure.text().map(|text| Finding::from(from_text(text))));
    }
    examined
}

async fn look(config: &MysqlConfig, stands: Stands<'_>, out: &mut Examined) -> Result<(), Failure> {
    let opts = options(&config.url, &config.tls)?;
    let names_none = config.tables.is_empty() && opts.db_name().is_none();
    let watch = if names_none { None } else { Some(watch(&config.tables, opts.db_name())?) };
    let mut conn = connect(&without_database(&opts)).await?;
    out.findings.push(Finding::ok("connection", format!("{}:{}", opts.ip_or_hostname(), opts.tcp_port())));
    out.findings.push(tls(&mut conn, &opts, &config.tls).await?);
    let server = Server::ask(&mut conn).await?;
    out.findings.push(version(&server));
    let facts = Facts::read(&mut conn, server.flavour).await?;
    out.findings.extend(settings(&facts, watch.as_ref()));
    out.findings.extend(advice(&mut conn, config, server.flavour).await?);
    out.findings.push(clock(&mut conn).await?);
    let lacking = privileges(&mut conn, config, &facts, watch.as_ref()).await?;
    let may_read = !lacking.iter().any(|f| f.grade == Grade::Bad && f.name.contains("SELECT"));
    out.findings.extend(lacking);
    if let Some(watch) = watch.as_ref().filter(|_| may_read) {
        tables(&mut conn, config, server.flavour, watch, out).await?;
    }
    out.findings.extend(position(&mut conn, config, &facts, stands).await);
    Ok(())
}

/// Whoever may not enter the URL's database may not even connect with it, and nothing else could be looked at.
pub(super) fn without_database(opts: &Opts) -> Opts {
    OptsBuilder::from_opts(opts.clone()).db_name(None::<String>).into()
}

/// Whether others can read along.
async fn tls(conn: &mut Conn, opts: &Opts, wanted: &Tls) -> Result<Finding, Failure> {
    let row: Option<(String, String)> = ask_first(conn, "SHOW SESSION STATUS LIKE 'Ssl_version'").await.unwrap_or_default();
    let version = row.map(|(_, version)| version).filter(|version| !version.is_empty());
    let host = opts.ip_or_hostname();
    let is_here = host == "localhost" || host.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback());
    Ok(match (version, wanted) {
        (Some(version), Tls::Unverified) => {
            let cure = "write tls = \"required\", with `tls_ca` where the certificate is the server's own";
            Finding::warn("tls", format!("{version}, whoever answers: safe from eavesdroppers, not from impostors"), cure)
        }
        (Some(version), _) => Finding::ok("tls", version),
        (None, _) if opts.ssl_opts().is_some() => Finding::ok("tls", "on"), // A server that does not say by which version.
        (None, _) if is_here => Finding::ok("tls", "none, and none needed on this machine"),
        (None, _) => {
            let cure = "write tls = \"required\" in the source, or ?require_ssl=true behind the url";
            Finding::warn("tls", "none: whoever is on the way can read the rows", cure)
        }
    })
}

fn version(server: &Server) -> Finding {
    let kind = match server.flavour {
        Flavour::MariaDb => "MariaDB ",
        Flavour::MySql => "MySQL ",
        Flavour::Dolt => "",
    };
    let shown = format!("{kind}{}", server.version);
    if TESTED.iter().any(|(flavour, begin)| *flavour == server.flavour && server.version.starts_with(begin)) {
        return Finding::ok("version", shown);
    }
    let cure = "none is needed: it reads MariaDB from 10.5, MySQL from 8.0 and Dolt; tests run against MariaDB 10.11, MySQL 9.7 and a \
                stand-in of Dolt";
    Finding::warn("version", format!("{shown}, which no test runs against"), cure)
}

/// What a start requires.
fn settings(facts: &Facts, watch: Option<&Watch>) -> Vec<Finding> {
    let checks = facts.checks().into_iter().chain(watch.and_then(|watch| facts.unlogged(watch)));
    let mended = |check: Check| {
        let (name, finding) = (check.name, Finding::from(check));
        let Some(cure) = finding.cure.clone() else { return finding };
        let mut lines = statements(&cure);
        if facts.flavour == Flavour::MariaDb && !lines.is_empty() {
            lines.push(kept_in_configuration(name, &lines[0]));
        }
        finding.sql(lines)
    };
    checks.map(mended).collect()
}

/// The statements of a cure that reads `run on the server: STATEMENT; STATEMENT; and what else`.
fn statements(cure: &str) -> Vec<String> {
    let steps = cure.strip_prefix("run on the server: ").unwrap_or_default().split("; ");
    steps.filter(|step| step.starts_with("SET ")).map(|step| format!("{step};")).collect()
}

/// MariaDB forgets at a restart what it was told by SQL.
fn kept_in_configuration(name: &str, set: &str) -> String {
    let value = set.rsplit_once(" = ").map_or("", |(_, value)| value.trim_matches([';', '\'']));
    format!("-- and so that a restart keeps it, below [mariadbd] in the server's configuration: {name} = {value}")
}

/// A setting by SQL, as the server keeps it.
fn set(flavour: Flavour, name: &str, value: &str) -> Vec<String> {
    match flavour {
        Flavour::MariaDb => {
            let set = format!("SET GLOBAL {name} = {value};");
            let kept = kept_in_configuration(name, &set);
            vec![set, kept]
        }
        Flavour::MySql | Flavour::Dolt => vec![format!("SET PERSIST {name} = {value};")],
    }
}

/// What is advised, and ids that clash.
async fn advice(conn: &mut Conn, config: &MysqlConfig, flavour: Flavour) -> Result<Vec<Finding>, Failure> {
    let names = "'server_id', 'gtid_strict_mode', 'binlog_expire_logs_seconds', 'expire_logs_days'";
    let rows: Vec<(String, String)> = ask(conn, format!("SHOW GLOBAL VARIABLES WHERE Variable_name IN ({names})")).await?;
    let value = |name: &str| rows.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
    let mut findings = Vec::new();
    if let (Flavour::MariaDb, Some(mode)) = (flavour, value("gtid_strict_mode")) {
        findings.push(strict(mode));
    }
    findings.extend(kept(flavour, value("binlog_expire_logs_seconds"), value("expire_logs_days")));
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
    Finding::warn("gtid_strict_mode", "OFF", cure).sql(set(Flavour::MariaDb, "gtid_strict_mode", "ON"))
}

/// How long the log is kept, which is how long a run may be down.
fn kept(flavour: Flavour, seconds: Option<&str>, days: Option<&str>) -> Option<Finding> {
    let seconds: Option<u64> = seconds.and_then(|s| s.parse().ok());
    let days: Option<f64> = days.and_then(|d| d.parse().ok());
    let kept = seconds.filter(|s| *s > 0).or(days.map(|d| (d * 86_400.0) as u64));
    let kept = kept.or(seconds)?;
    let shown = |seconds: u64| match seconds {
        s if s % 86_400 == 0 && s > 86_400 => format!("{} days", s / 86_400),
        s if s % 3_600 == 0 && s > 3_600 => format!("{} hours", s / 3_600),
        s => format!("{s} seconds"),
    };
    Some(match kept {
        0 => Finding::ok("log kept", "until it is purged by hand"),
        kept if kept >= KEPT_MIN.as_secs() => Finding::ok("log kept", shown(kept)),
        kept => {
            let cure = "keep it longer than any outage: what is purged before it is read is missing";
            let proposed = KEPT_PROPOSED.as_secs().to_string();
            Finding::warn("log kept", shown(kept), cure).sql(set(flavour, "binlog_expire_logs_seconds", &proposed))
        }
    })
}

/// Ours must differ from the server's own and from every other reader's.
async fn server_id(conn: &mut Conn, ours: Option<u32>, flavour: Flavour, own: u32) -> Result<Finding, Failure> {
    if own == 0 {
        let finding = Finding::bad("server_id", "the server has none, so nobody may read its log", "give it one");
        return Ok(finding.code(code::SERVER_ID).sql(set(flavour, "server_id", "1")));
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
async fn clock(conn: &mut Conn) -> Result<Finding, Failure> {
    let micros = || SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros() as i64);
    let before = micros();
    let sql = "SELECT TIMESTAMPDIFF(MICROSECOND, '1970-01-01 00:00:00', UTC_TIMESTAMP(6))";
    let server: i64 = ask_first(conn, sql).await?.unwrap_or_default();
    let after = micros();
    let ahead = server - (before + after) / 2;
    let doubt = Duration::from_micros(((after - before) / 2).unsigned_abs());
    if Duration::from_micros(ahead.unsigned_abs()) <= CLOCK_MAX + doubt {
        return Ok(Finding::ok("clock", "that of this machine, within 2 seconds"));
    }
    let direction = if ahead > 0 { "ahead of" } else { "behind" };
    let seconds = ahead.unsigned_abs() / 1_000_000;
    let cure = "let both follow a time server: timers count from the server's times and fire by this machine's clock";
    Ok(Finding::warn("clock", format!("{seconds} seconds {direction} this machine's"), cure))
}

/// Each privilege that following, and the first snapshot, need. Dolt asks nobody for one.
async fn privileges(
    conn: &mut Conn,
    config: &MysqlConfig,
    facts: &Facts,
    watch: Option<&Watch>,
) -> Result<Vec<Finding>, Failure> {
    if facts.flavour == Flavour::Dolt {
        return Ok(Vec::new());
    }
    let held = Grants::parse(&grants(conn, facts.flavour).await?);
    let user = account(&facts.user);
    let monitor = if facts.flavour == Flavour::MariaDb { "BINLOG MONITOR" } else { "REPLICATION CLIENT" };
    let global = |privilege: &str, grade: Grade, why: &str| match held.everywhere(privilege) {
        true => Finding::ok(format!("privilege {privilege}"), user.clone()),
        false => lacks(&user, privilege, "*.*", grade, why),
    };
    let mut findings = vec![
        global("REPLICATION SLAVE", Grade::Bad, "the log cannot be read"),
        global(monitor, Grade::Warn, "it cannot be told which databases the log leaves out, nor what was purged"),
    ];
    let Some(watch) = watch else { return Ok(findings) };
    let named: Vec<(&str, &str)> = watch.patterns().filter(|(database, _)| !Watch::is_wild(database)).collect();
    findings.extend(named.iter().map(|(database, table)| select(&held, &user, database, table)));
    let has_snapshot = config.snapshot != Snapshot::Never;
    if facts.flavour == Flavour::MySql && has_snapshot && !held.everywhere("RELOAD") && !held.everywhere("FLUSH_TABLES") {
        let mut databases: Vec<&str> = named.iter().map(|(database, _)| *database).collect();
        databases.dedup();
        findings.extend(databases.into_iter().map(|database| match held.on("LOCK TABLES", database, "*") {
            true => Finding::ok(format!("privilege LOCK TABLES on {database}"), user.clone()),
            false => {
                let why = "the first snapshot cannot hold the tables still (RELOAD would do as well)";
                lacks(&user, "LOCK TABLES", &format!("{}.*", quoted(database)), Grade::Bad, why)
            }
        }));
    }
    Ok(findings)
}

/// `'reader'@'%'`.
pub(super) fn account(user: &str) -> String {
    let (name, host) = user.rsplit_once('@').unwrap_or((user, "%"));
    format!("'{}'@'{}'", name.replace('\'', "''"), host.replace('\'', "''"))
}

fn lacks(user: &str, privilege: &str, on: &str, grade: Grade, why: &str) -> Finding {
    let place = if on == "*.*" { String::new() } else { format!(" on {}", on.replace('`', "")) };
    let finding = Finding::bad(format!("privilege {privilege}{place}"), format!("{user} lacks it: {why}"), "");
    Finding { grade, cure: None, ..finding }.code(code::PRIVILEGE).sql([format!("GRANT {privilege} ON {on} TO {user};")])
}

fn select(held: &Grants, user: &str, database: &str, table: &str) -> Finding {
    let is_wild = Watch::is_wild(table);
    let (table, on) = match is_wild {
        true => ("*", format!("{}.*", quoted(database))),
        false => (table, format!("{}.{}", quoted(database), quoted(table))),
    };
    match held.on("SELECT", database, table) || is_wild && held.somewhere_in("SELECT", database) {
        true => Finding::ok(format!("privilege SELECT on {database}.{table}"), user),
        false => lacks(user, "SELECT", &on, Grade::Bad, "the rows cannot be read"),
    }
}

/// Each watched table, with its key.
async fn tables(
    conn: &mut Conn,
    config: &MysqlConfig,
    flavour: Flavour,
    watch: &Watch,
    out: &mut Examined,
) -> Result<(), Failure> {
    let catalog = match Catalog::read(conn, flavour, watch, Missing::Refused).await {
        Ok(catalog) => catalog,
        Err(failure) => {
            out.findings.extend(Finding::failed("tables", &failure));
            return Ok(());
        }
    };
    let (well, ill): (Vec<_>, Vec<_>) =
        catalog.tables.iter().map(|t| table(t, config, flavour)).partition(|f| f.grade == Grade::Ok);
    match well.len() {
        0..=LISTED_MAX => out.findings.extend(well),
        count => out.findings.push(Finding::ok("tables", format!("{count} with a key"))),
    }
    out.findings.extend(ill);
    out.schemas = catalog.schemas();
    Ok(())
}

fn table(table: &Table, config: &MysqlConfig, flavour: Flavour) -> Finding {
    let schema = &table.schema;
    let name = format!("table {}", schema.table);
    let is_transactional = flavour == Flavour::Dolt || table.engine == "InnoDB";
    if !is_transactional && config.snapshot != Snapshot::Never {
        let found = format!("its engine is {}, which cannot be read as of one moment", table.engine);
        let finding = Finding::bad(name, found, "move it to InnoDB, or leave it out of `tables`");
        return finding.code(code::TABLE).sql([format!("ALTER TABLE {} ENGINE = InnoDB;", table.sql)]);
    }
    let key: Vec<&str> = schema.key.iter().map(|i| &*schema.columns[*i as usize].name).collect();
    match key.is_empty() {
        false => Finding::ok(name, format!("{} columns, key {}", schema.columns.len(), key.join(", "))),
        true => {
            let cure =
                "give it a primary key, or declare `key` in its [[table]]: without one, equal rows are one row several times";
            Finding::warn(name, format!("{} columns, no primary key", schema.columns.len()), cure)
        }
    }
}

/// Whether the log still holds what follows the stored position.
async fn position(conn: &mut Conn, config: &MysqlConfig, facts: &Facts, stands: Stands<'_>) -> Option<Finding> {
    let text = match stands {
        Stands::Unknown => return None,
        Stands::Nowhere => return Some(Finding::ok("position", "none yet: the first run begins")),
        Stands::At(snapshot::INCOMPLETE) => {
            return Some(Finding::ok("position", "in the middle of a snapshot, which the next run begins anew"));
        }
        Stands::At(text) => text,
    };
    let judged = async {
        let position: Position =
            text.parse().map_err(|e| Failure::stop(code::SETTING, format!("the position {e}"), super::failure::NEW_SNAPSHOT))?;
        history::require_same(&position, &facts.executed)?;
        let purged = match facts.flavour {
            Flavour::MariaDb => history::log_begin(conn).await?,
            Flavour::MySql | Flavour::Dolt => Some(facts.purged.clone()),
        };
        purged.map_or(Ok(()), |purged| history::require_log(&position, &purged))
    };
    match judged.await {
        Ok(()) => Some(Finding::ok("position", format!("{text}, and the log has all that follows"))),
        Err(Failure::Lost(text)) if config.after_purge == AfterPurge::Snapshot => {
            let finding = Finding::from(from_text(&text));
            let cure = "the next run reads the tables anew, as `after_purge` says".to_owned();
            Some(Finding { name: "position".into(), grade: Grade::Warn, cure: Some(cure), ..finding })
        }
        Err(Failure::Stop(text)) if text.starts_with("E0407") => {
            let cure = "grant what is named above, and ask again".to_owned();
            let finding = Finding::warn("position", format!("{}; this user may not ask what was purged", stands_at(&text)), cure);
            Some(finding.code(code::PRIVILEGE))
        }
        Err(failure) => Finding::failed("position", &failure),
    }
}

fn stands_at(refusal: &str) -> &str {
    refusal.split_once(": ").map_or(refusal, |(_, reason)| reason).split("; ").next().unwrap_or(refusal)
}
