//! The targets of actions: tables that are written, and receivers that are sent to.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use thalweg::config::{Config, Environment, Secret, SourceKind, Unresolved};
use thalweg_graph::spec::ActionSpec;
use thalweg_sinks::{SinkContext, unresolved_secrets};
use thalweg_sources::mysql::{Finding, Target, examine_targets};

use super::look::{Section, place};

/// How long a receiver may take to take a connection, which is what a delivery gives it.
const CONNECT_MAX: Duration = Duration::from_secs(5);

/// Everything outside that an action names; the same server or receiver once. Nothing is sent.
pub async fn sections(config: &Config) -> Vec<Section> {
    let env = Environment::process();
    let effects = config.spec.effects.iter().flat_map(|effect| &effect.actions);
    let reactions = config.spec.reactions.iter().flat_map(|reaction| &reaction.actions);
    let context = SinkContext::new(thalweg_sinks::Secret::new(""));
    let (mut databases, mut receivers, mut found) = (BTreeMap::new(), BTreeSet::new(), Vec::new());
    for action in effects.chain(reactions) {
        // A url without its value is told here, and cannot be looked at.
        found.extend(unresolved_secrets(action, &context).into_iter().map(|missing| {
            let message = format!("{}: {}", action.kind, missing.problem.message);
            Finding { code: Some(missing.problem.code), ..Finding::bad("secret", message, "set it as for `thalweg run`") }
        }));
        match action.kind.as_str() {
            "webhook" => receivers.extend(receiver(action, &env).ok().flatten()),
            _ => {
                if let Ok(Some((url, targets))) = database(action, config, &env) {
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

/// The tables that a SQL action writes: its own, and those in which what was written is noted.
fn database(action: &ActionSpec, config: &Config, env: &Environment) -> Result<Option<(String, Vec<Target>)>, Unresolved> {
    let (own, noted): (&[&'static str], _) = match action.kind.as_str() {
        "dolt-insert" | "sql-insert" => (&["SELECT", "INSERT"], None),
        "sql-upsert" => (&["SELECT", "INSERT", "UPDATE"], Some("thalweg_rows")),
        "sql-delete" => (&["SELECT", "DELETE"], Some("thalweg_rows")),
        "sql-sync" => (&["SELECT", "INSERT", "UPDATE", "DELETE"], Some("thalweg_rows")),
        _ => return Ok(None),
    };
    let Some(table) = setting(action, "table") else { return Ok(None) };
    let url = match setting(action, "url") {
        Some(url) => Some(Secret::new(url).reveal_url(env)?),
        None => config.sources.iter().find_map(|source| match &source.kind {
            // What is wrong with it is said where the source is looked at.
            SourceKind::Mysql(mysql) => mysql.server.url(env).ok(),
            SourceKind::BinlogFile(_) | SourceKind::Jsonl { .. } | SourceKind::Generate { .. } => None,
        }),
    };
    let Some(url) = url else { return Ok(None) };
    let database = setting(action, "database").map(str::to_owned);
    let is_made = action.settings.get("create").and_then(serde_json::Value::as_bool).unwrap_or(false);
    let privileges = own.iter().copied().chain(is_made.then_some("CREATE")).collect();
    let mut targets = vec![Target { database: database.clone(), table: table.to_owned(), privileges, is_made }];
    targets.extend(noted.map(|noted| Target {
        database,
        table: noted.to_owned(),
        privileges: vec!["CREATE", "SELECT", "INSERT", "UPDATE"],
        is_made: true,
    }));
    Ok(Some((url, targets)))
}

/// Each table once, with all that is done to it.
fn merged(targets: Vec<Target>) -> Vec<Target> {
    let mut merged: Vec<Target> = Vec::new();
    for target in targets {
        match merged.iter_mut().find(|known| (&known.database, &known.table) == (&target.database, &target.table)) {
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
