//! The privileges that following a server needs, one by one, each with the statement that grants it.

use mysql_async::Conn;

use super::super::check::Facts;
use super::super::connect::{Flavour, ask_first, quoted};
use super::super::failure::{Failure, code};
use super::super::finding::{Finding, Grade};
use super::super::grants::{Grants, account, monitor};
use super::super::{MysqlConfig, Snapshot};
use crate::binlog::Watch;

/// What a reader of commits needs: Dolt shows the history of a database to whoever may read every table of it.
pub(super) async fn history(conn: &mut Conn, database: &str) -> Result<Finding, Failure> {
    let user: String = ask_first(conn, "SELECT CURRENT_USER()").await?.unwrap_or_default();
    let (user, on) = (account(&user), format!("{}.*", quoted(database)));
    let name = format!("privilege SELECT on {database}.*");
    Ok(match Grants::ask(conn, Flavour::Dolt).await {
        // A server that does not tell; a connection that is lost shows at the next question.
        Err(Failure::Retry(text) | Failure::Stop(text)) => {
            let refusal = text.split_once(": ").map_or(text.as_str(), |(_, reason)| reason);
            Finding::warn(name, format!("unknown: {refusal}"), "if commits cannot be read, grant it")
        }
        Err(other) => return Err(other),
        Ok(held) if held.on("SELECT", database, "*") => Finding::ok(name, user),
        Ok(_) => lacks(&user, "SELECT", &on, Grade::Bad, "Dolt shows commits to whoever may read every table"),
    })
}

/// Each privilege that following, and the first snapshot, need. Dolt asks nobody for one that is about its log.
pub(super) async fn privileges(
    conn: &mut Conn,
    config: &MysqlConfig,
    facts: &Facts,
    watch: Option<&Watch>,
) -> Result<Vec<Finding>, Failure> {
    if facts.flavour == Flavour::Dolt {
        return Ok(Vec::new());
    }
    let held = Grants::ask(conn, facts.flavour).await?;
    let user = account(&facts.user);
    let global = |privilege: &str, grade: Grade, why: &str| match held.everywhere(privilege) {
        true => Finding::ok(format!("privilege {privilege}"), user.clone()),
        false => lacks(&user, privilege, "*.*", grade, why),
    };
    let mut findings = vec![
        global("REPLICATION SLAVE", Grade::Bad, "the log cannot be read"),
        global(monitor(facts.flavour), Grade::Warn, "it cannot be told which databases the log leaves out, nor what was purged"),
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
