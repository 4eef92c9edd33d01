//! A table that somebody writes: whether it is there, and whether the user of the URL may do to it what will be done. Nothing is changed.

use mysql_async::Conn;

use super::Tls;
use super::connect::{Flavour, Server, ask, ask_first, connect, options, quoted};
use super::examine::without_database;
use super::failure::{Failure, code};
use super::finding::Finding;
use super::grants::{Grants, account};

/// What is to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The database; `None`: the URL's.
    pub database: Option<String>,
    /// The table.
    pub table: String,
    /// What is done to it: `INSERT`, `UPDATE`.
    pub privileges: Vec<&'static str>,
    /// It is made where it is not there; CREATE is needed only then.
    pub is_made: bool,
}

/// Looks at targets of one server. Needs a tokio runtime.
pub async fn examine_targets(url: &str, targets: &[Target]) -> Vec<Finding> {
    let mut findings = Vec::new();
    if let Err(failure) = look(url, targets, &mut findings).await {
        findings.extend(Finding::about("connection", &failure));
    }
    findings
}

async fn look(url: &str, targets: &[Target], findings: &mut Vec<Finding>) -> Result<(), Failure> {
    let opts = options(url, &Tls::AsUrl)?;
    let mut conn = connect(&without_database(&opts)).await?;
    findings.push(Finding::ok("connection", format!("{}:{}", opts.ip_or_hostname(), opts.tcp_port())));
    let flavour = Server::ask(&mut conn).await?.flavour;
    let user: String = ask_first(&mut conn, "SELECT CURRENT_USER()").await?.unwrap_or_default();
    let held = match flavour {
        Flavour::Dolt => None,
        Flavour::MariaDb | Flavour::MySql => Some(Grants::ask(&mut conn, flavour).await?),
    };
    for target in targets {
        let Some(database) = target.database.as_deref().or(opts.db_name()) else { continue };
        let is_there = is_there(&mut conn, database, &target.table).await?;
        let target = &needed(target, is_there);
        let lacking = held.as_ref().and_then(|held| lacks(held, &account(&user), database, target));
        findings.push(judged(database, target, is_there, lacking));
    }
    Ok(())
}

/// A target with the privileges that count now.
fn needed(target: &Target, is_there: bool) -> Target {
    let counts = |privilege: &&&str| !is_there || **privilege != "CREATE";
    Target { privileges: target.privileges.iter().filter(counts).copied().collect(), ..target.clone() }
}

/// A table without any privilege on it is invisible.
async fn is_there(conn: &mut Conn, database: &str, table: &str) -> Result<bool, Failure> {
    let tables: Vec<(String, String)> = ask(conn, "SELECT TABLE_SCHEMA, TABLE_NAME FROM information_schema.TABLES").await?;
    Ok(tables.iter().any(|(d, t)| d == database && t == table))
}

/// What the user lacks, and the statement that gives it.
fn lacks(held: &Grants, user: &str, database: &str, target: &Target) -> Option<(String, String)> {
    let missing: Vec<&str> = target.privileges.iter().copied().filter(|p| !held.on(p, database, &target.table)).collect();
    let list = missing.join(", ");
    let on = format!("{}.{}", quoted(database), quoted(&target.table));
    (!missing.is_empty()).then(|| (format!("{user} lacks {list}"), format!("GRANT {list} ON {on} TO {user};")))
}

fn judged(database: &str, target: &Target, is_there: bool, lacking: Option<(String, String)>) -> Finding {
    let name = format!("table {database}.{}", target.table);
    match (is_there, lacking) {
        (_, Some((reason, grant))) => {
            let found = if is_there || target.is_made { reason } else { format!("not there, or invisible: {reason}") };
            Finding { cure: None, ..Finding::bad(name, found, "") }.code(code::PRIVILEGE).sql([grant])
        }
        (true, None) => Finding::ok(name, format!("there, and {} granted", target.privileges.join(", "))),
        (false, None) if target.is_made => Finding::ok(name, "not there: the first delivery makes it"),
        (false, None) => Finding::bad(name, "not there", "make it, or name another `table` in the action"),
    }
}
