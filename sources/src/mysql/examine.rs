//! Everything about a server that a run may stumble over, as findings, each with the SQL that mends it. Nothing is changed, and nothing
//! ends at the first that is wrong: what can still be looked at is.
//!
//! Next to read: `check`, which holds what a start requires; this adds what is advised, and what will bite later.

mod commits;
mod privileges;
mod settings;

use std::sync::Arc;

use mysql_async::{Conn, Opts, OptsBuilder};
use thalweg_graph::Schema;

use super::cascades;
use super::catalog::{Catalog, Missing, Table};
use super::check::{Facts, watch};
use super::connect::{Flavour, Server, ask_first, connect, options};
use super::dolt::resync;
use super::extent::place;
use super::failure::{Failure, code};
use super::finding::{Finding, Grade};
use super::{AfterPurge, MysqlConfig, Snapshot, Tls, history, snapshot};
use crate::binlog::Watch;

/// More tables than these are counted, not listed.
const LISTED_MAX: usize = 20;
/// The versions that the tests run against.
const TESTED: [(Flavour, &str); 3] = [(Flavour::MariaDb, "10.11."), (Flavour::MariaDb, "11.8."), (Flavour::MySql, "9.7.")];

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
        examined.findings.extend(Finding::of(&failure));
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
    if let Some(polling) = &config.polling {
        return commits::look(&mut conn, (config, polling), &server, watch.as_ref(), stands, out).await;
    }
    let facts = Facts::read(&mut conn, server.flavour).await?;
    out.findings.extend(facts.settings());
    out.findings.extend(watch.as_ref().and_then(|watch| facts.unlogged(watch)));
    out.findings.extend(settings::advice(&mut conn, config, server.flavour).await?);
    out.findings.push(settings::clock(&mut conn).await?);
    let lacking = privileges::privileges(&mut conn, config, &facts, watch.as_ref()).await?;
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
    let cure = "none is needed: it reads MariaDB from 10.5, MySQL from 8.0 and Dolt; tests run against MariaDB 10.11 and 11.8, MySQL 9.7 and a \
                stand-in of Dolt";
    Finding::warn("version", format!("{shown}, which no test runs against"), cure)
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
            out.findings.extend(Finding::about("tables", &failure));
            return Ok(());
        }
    };
    listed(&catalog, config, flavour, out);
    out.findings.extend(cascades::unlogged(conn, flavour, watch).await?);
    Ok(())
}

/// Each table of a catalog.
fn listed(catalog: &Catalog, config: &MysqlConfig, flavour: Flavour, out: &mut Examined) {
    let (well, ill): (Vec<_>, Vec<_>) =
        catalog.tables.iter().map(|t| table(t, config, flavour)).partition(|f| f.grade == Grade::Ok);
    match well.len() {
        0..=LISTED_MAX => out.findings.extend(well),
        count => out.findings.push(Finding::ok("tables", format!("{count} with a key"))),
    }
    out.findings.extend(ill);
    out.schemas = catalog.schemas();
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
        Stands::At(text) if place(text) == snapshot::INCOMPLETE => {
            return Some(Finding::ok("position", "in the middle of a snapshot, which the next run begins anew"));
        }
        Stands::At(text) => place(text),
    };
    let judged = async {
        let position = history::parsed(text)?;
        history::require_same(&position, &facts.executed)?;
        let purged = match facts.flavour {
            Flavour::MariaDb => history::log_begin(conn).await?,
            Flavour::MySql | Flavour::Dolt => Some(facts.purged.clone()),
        };
        purged.map_or(Ok(()), |purged| history::require_log(&position, &purged))
    };
    match judged.await {
        Ok(()) => Some(Finding::ok("position", format!("{text}, and the log has all that follows"))),
        Err(failure @ (Failure::Lost(_) | Failure::Stop(_)))
            if facts.flavour == Flavour::Dolt && resync::split(text).1.is_some() =>
        {
            let cure = "the next run tells what differs since that commit as one transaction, if it is still there".to_owned();
            Some(Finding { grade: Grade::Warn, cure: Some(cure), ..Finding::about("position", &failure)? })
        }
        Err(lost @ Failure::Lost(_)) if config.after_purge == AfterPurge::Snapshot => {
            let cure = "the next run reads the tables anew, as `after_purge` says".to_owned();
            Some(Finding { grade: Grade::Warn, cure: Some(cure), ..Finding::about("position", &lost)? })
        }
        Err(Failure::Stop(text)) if text.starts_with("E0407") => {
            let cure = "grant what is named above, and ask again".to_owned();
            let finding = Finding::warn("position", format!("{}; this user may not ask what was purged", stands_at(&text)), cure);
            Some(finding.code(code::PRIVILEGE))
        }
        Err(failure) => Finding::about("position", &failure),
    }
}

fn stands_at(refusal: &str) -> &str {
    refusal.split_once(": ").map_or(refusal, |(_, reason)| reason).split("; ").next().unwrap_or(refusal)
}
