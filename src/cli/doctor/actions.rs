//! The targets of actions: tables that are written, and receivers that are sent to.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use thalweg::config::{Config, Environment, Secret, SourceKind, Unresolved};
use thalweg_graph::cause::{APPLIED, ROWS};
use thalweg_graph::spec::ActionSpec;
use thalweg_sinks::{SinkContext, unresolved_secrets};
use thalweg_sources::mysql::{Finding, Target, examine_targets};

use super::look::{Section, place};

/// How long a receiver may take to take a connection, which is what a delivery gives it.
const CONNECT_MAX: Duration = Duration::from_secs(5);

/// Everything outside that an action names; the same server or receiver once. Nothing is sent.
pub async fn sections(config: &Config) -> Vec<Section> {
    let env = Environment::process();
    let effects = config.spec.effects.iter().flat_map(|effect| effect.actions.iter().map(|action| (action, None)));
    let reactions = config.spec.reactions.iter();
    let reactions = reactions.flat_map(|reaction| reaction.actions.iter().map(|action| (action, Some(reaction.event.as_str()))));
    let context = SinkContext::new(thalweg_sinks::Secret::new(""));
    let (mut databases, mut receivers, mut found) = (BTreeMap::new(), BTreeSet::new(), Vec::new());
    for (action, event) in effects.chain(reactions) {
        // A url without its value is told here, and cannot be looked at.
        found.extend(unresolved_secrets(action, &context).into_iter().map(|missing| {
            let message = format!("{}: {}", action.kind, missing.problem.message);
            Finding { code: Some(missing.problem.code), ..Finding::bad("secret", message, "set it as for `thalweg run`") }
        }));
        match action.kind.as_str() {
            "webhook" => receivers.extend(receiver(action, &env).ok().flatten()),
            _ => {
                if let Ok(Some((url, targets))) = database(action, event, config, &env) {
                    databases.entry(url).or_insert_with(Vec::new).extend(targets);
                }
            }
        }
    }
    let mut sections = Vec::new();
    for (url, targets) in databases {
        let server = Some(place(&url));
        let findings = examine_targets(&url, &merged(targets)).await;
        sections.push(Section { about: "target".into(), server, is_definition: false, findings });
    }
    for (host, port) in receivers {
        found.push(reached(&host, port).await);
    }
    if !found.is_empty() {
        sections.push(Section { about: "actions".into(), server: None, is_definition: false, findings: found });
    }
    sections
}

fn setting<'a>(action: &'a ActionSpec, key: &str) -> Option<&'a str> {
    action.settings.get(key)?.as_str()
}

/// The tables that a SQL action writes, and the database's url: its own, and those in which what was written is noted.
fn database(
    action: &ActionSpec,
    event: Option<&str>,
    config: &Config,
    env: &Environment,
) -> Result<Option<(String, Vec<Target>)>, Unresolved> {
    let privileges: &[&'static str] = match action.kind.as_str() {
        "dolt-insert" | "sql-insert" => &["SELECT", "INSERT"],
        "sql-upsert" => &["SELECT", "INSERT", "UPDATE"],
        "sql-delete" => &["SELECT", "DELETE"],
        "sql-sync" => &["SELECT", "INSERT", "UPDATE", "DELETE"],
        _ => return Ok(None),
    };
    let url = match setting(action, "url") {
        Some(url) => Some(Secret::new(url).reveal_url(env)?),
        None => config.sources.iter().find_map(|source| match &source.kind {
            // What is wrong with it is said where the source is looked at.
            SourceKind::Mysql(mysql) => mysql.server.url(env).ok(),
            SourceKind::BinlogFile(_) | SourceKind::Jsonl { .. } | SourceKind::Deliveries | SourceKind::Generate { .. } => None,
        }),
    };
    let Some(url) = url else { return Ok(None) };
    let database = setting(action, "database").map(str::to_owned);
    let is_made = action.settings.get("create").and_then(serde_json::Value::as_bool).unwrap_or(false);
    let own = privileges.iter().copied().chain(is_made.then_some("CREATE"));
    let target =
        |table: &str| Target { database: database.clone(), table: table.to_owned(), privileges: own.clone().collect(), is_made };
    let tables = match setting(action, "table") {
        Some(table) => vec![table],
        None => classified(config, event),
    };
    let mut targets: Vec<Target> = tables.iter().map(|table| target(table)).collect();
    targets.push(marks(action, database.as_ref()));
    Ok(Some((url, targets)))
}

/// The tables whose changes are this event: what a `sql-sync` without `table` writes.
fn classified<'a>(config: &'a Config, event: Option<&str>) -> Vec<&'a str> {
    let is_it = |name: &Option<String>| event.is_some() && name.as_deref() == event;
    let rules = config.spec.classify.iter().filter(|rule| rule.database.is_some());
    let rules = rules.filter(|rule| [&rule.insert, &rule.update, &rule.delete].into_iter().any(is_it));
    rules.map(|rule| rule.table.as_str()).collect()
}

/// The table in which a SQL action notes what it has written.
fn marks(action: &ActionSpec, database: Option<&String>) -> Target {
    let (table, privileges): (_, &[&'static str]) = match action.kind.as_str() {
        "sql-insert" | "dolt-insert" => (APPLIED, &["CREATE", "SELECT", "INSERT"]),
        _ => (ROWS, &["CREATE", "SELECT", "INSERT", "UPDATE"]),
    };
    Target { database: database.cloned(), table: table.to_owned(), privileges: privileges.to_vec(), is_made: true }
}

/// Each table once, with all that is done to it.
fn merged(targets: Vec<Target>) -> Vec<Target> {
    let mut merged: Vec<Target> = Vec::new();
    for target in targets {
        let same = |known: &&mut Target| (&known.database, &known.table) == (&target.database, &target.table);
        match merged.iter_mut().find(same) {
            None => merged.push(target),
            Some(known) => {
                known.is_made |= target.is_made;
                let more: Vec<_> = target.privileges.into_iter().filter(|p| !known.privileges.contains(p)).collect();
                known.privileges.extend(more);
            }
        }
    }
    merged
}

/// The host and port of a webhook; nothing else of its URL is shown, since a path may be a secret.
fn receiver(action: &ActionSpec, env: &Environment) -> Result<Option<(String, u16)>, Unresolved> {
    let Some(url) = setting(action, "url") else { return Ok(None) };
    Ok(host_and_port(&Secret::new(url).reveal_url(env)?))
}

/// Of an http or https URL; what stands behind the host may hold an `@` of its own.
fn host_and_port(url: &str) -> Option<(String, u16)> {
    let (scheme, behind) = url.split_once("://")?;
    let authority = behind.split(['/', '?', '#']).next()?;
    let host = authority.rsplit('@').next()?;
    let standard = if scheme == "https" { 443 } else { 80 };
    let (host, port) = match host.rsplit_once(':').map(|(name, port)| (name, port.parse())) {
        Some((name, Ok(port))) => (name, port),
        _ => (host, standard),
    };
    Some((host.trim_matches(['[', ']']).to_owned(), port))
}

/// Whether the receiver takes a connection.
async fn reached(host: &str, port: u16) -> Finding {
    let shown = format!("{host}:{port}");
    let connected = tokio::time::timeout(CONNECT_MAX, tokio::net::TcpStream::connect((host, port))).await;
    match connected {
        Ok(Ok(_)) => Finding::ok("webhook", format!("{shown} takes connections")),
        _ => {
            let cure = "deliveries wait in the outbox and are tried again until their deadline";
            Finding::warn("webhook", format!("{shown} takes no connection now"), cure)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_of_a_webhook_is_what_stands_before_its_path() {
        for (url, host, port) in [
            ("https://hooks.example/a@b:9/c", "hooks.example", 443),
            ("http://u:p@hooks.example:8080/?to=a@b", "hooks.example", 8080),
            ("http://[::1]:80", "::1", 80),
        ] {
            assert_eq!(host_and_port(url), Some((host.to_owned(), port)), "{url}");
        }
    }
}
