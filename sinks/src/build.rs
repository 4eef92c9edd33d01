//! From a configured action to a sink.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;
use thalweg_formulas::Problem;
use thalweg_formulas::problem::did_you_mean;
use thalweg_graph::ports::Sink;
use thalweg_graph::spec::ActionSpec;

use crate::egress::EgressPolicy;
use crate::log::LogSink;
use crate::retry::RetryPolicy;
use crate::secret::{self, Resolver, Secret};
use crate::settings::{SettingProblem, with_near};
use crate::webhook::{SharedClient, Webhook};

/// The action types.
const KINDS: [&str; 4] = ["webhook", "dolt-insert", "sql-insert", "log"];

/// What the sinks of one process share. Clones share the connection pool.
#[derive(Clone)]
pub struct SinkContext {
    /// The signing secret of webhooks that name none.
    pub secret: Secret,
    /// Which addresses webhooks may reach.
    pub egress: Arc<EgressPolicy>,
    /// Where `sql-insert` writes when it names no `url`: the source's database URL, references and all.
    pub database_url: Option<String>,
    /// Stands before `/db/table` in the `source` of an event; usually empty.
    pub source_prefix: String,
    /// Relative paths start here: the directory of the configuration.
    pub directory: PathBuf,
    /// Resolves references to secrets, at every attempt.
    pub secrets: Resolver,
    pub(crate) client: Arc<SharedClient>,
}

impl SinkContext {
    /// A context with an empty egress policy, no database, references resolved by
    /// [`environment_and_files`](secret::environment_and_files), paths relative to the working directory.
    pub fn new(secret: Secret) -> Self {
        Self {
            secret,
            egress: Arc::default(),
            database_url: None,
            source_prefix: String::new(),
            directory: PathBuf::new(),
            secrets: Arc::new(secret::environment_and_files),
            client: Arc::default(),
        }
    }
}

impl std::fmt::Debug for SinkContext {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SinkContext")
            .field("egress", &self.egress)
            .field("source_prefix", &self.source_prefix)
            .finish_non_exhaustive()
    }
}

/// Sets up one action. Needs no network and no secret: `check` calls it too.
///
/// # Errors
/// Every setting that is unknown, missing or wrong, and an unknown type.
pub fn build(action: &ActionSpec, context: &SinkContext) -> Result<Arc<dyn Sink>, Vec<SettingProblem>> {
    let retry = RetryPolicy::from_settings(&action.kind, &action.settings).err().unwrap_or_default();
    let sink: Result<Arc<dyn Sink>, _> = match action.kind.as_str() {
        "webhook" => Webhook::new(action, context).map(|sink| Arc::new(sink) as _),
        "log" => LogSink::new(action, context).map(|sink| Arc::new(sink) as _),
        other => return Err(vec![SettingProblem { key: "type".to_owned(), problem: unknown_kind(other) }]),
    };
    match sink {
        Ok(sink) if retry.is_empty() => Ok(sink),
        Ok(_) => Err(retry),
        Err(problems) => Err(problems.into_iter().chain(retry).collect()),
    }
}

fn unknown_kind(kind: &str) -> Problem {
    let problem = Problem::new(501, format!("unknown action type `{kind}`")).note(format!("types: {}", KINDS.join(", ")));
    with_near(problem, &did_you_mean(kind, KINDS))
}

/// The action as the outbox keeps it: JSON with its references as written. Equal actions give equal text.
pub fn stored_settings(action: &ActionSpec) -> String {
    let mut sorted: Vec<_> = action.settings.iter().collect();
    sorted.sort_by_key(|(key, _)| key.as_str());
    let mut out = serde_json::Map::new();
    out.insert("type".to_owned(), action.kind.clone().into());
    out.extend(sorted.into_iter().map(|(key, value)| (key.clone(), value.clone())));
    Value::Object(out).to_string()
}

/// Warnings (E0507) for secrets that stand in clear in the definition; they are stored as they stand.
pub fn literal_secrets(action: &ActionSpec) -> Vec<SettingProblem> {
    let mut found = Vec::new();
    for (key, text) in texts(action) {
        let is_secret = key == "secret"
            || (key.starts_with("headers.") && is_credential_header(&key["headers.".len()..]))
            || (key == "url" && has_password(text));
        if is_secret && !secret::has_reference(text) {
            let problem = Problem::new(507, format!("a secret stands in clear in `{key}`"))
                .help("write ${NAME} or ${file:/path} in its place");
            found.push(SettingProblem { key, problem });
        }
    }
    found
}

/// E0506 for each reference that cannot be resolved now: what `run` asks before it starts.
pub fn unresolved_secrets(action: &ActionSpec, context: &SinkContext) -> Vec<SettingProblem> {
    let unresolved = |(key, text): (String, &str)| match secret::resolve(text, &context.secrets) {
        Ok(_) => None,
        Err(why) => Some(SettingProblem { problem: Problem::new(506, format!("`{key}` cannot be resolved: {why}")), key }),
    };
    texts(action).into_iter().filter_map(unresolved).collect()
}

/// Every text of an action with its key; those of a table as `headers.Name`.
fn texts(action: &ActionSpec) -> Vec<(String, &str)> {
    let mut out = Vec::new();
    for (key, value) in &action.settings {
        match value {
            Value::String(text) => out.push((key.clone(), text.as_str())),
            Value::Object(table) => {
                out.extend(table.iter().filter_map(|(name, value)| value.as_str().map(|text| (format!("{key}.{name}"), text))));
            }
            _ => {}
        }
    }
    out
}

fn is_credential_header(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    ["authorization", "cookie", "token", "secret", "password", "api-key", "apikey"].iter().any(|word| name.contains(word))
}

/// Whether a URL has a password before its host.
fn has_password(url: &str) -> bool {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or(rest);
    authority.rsplit_once('@').is_some_and(|(user, _)| user.split_once(':').is_some_and(|(_, password)| !password.is_empty()))
}

/// A sink with its retry policy.
pub struct PreparedSink {
    /// Renders and delivers.
    pub sink: Arc<dyn Sink>,
    /// When to try again.
    pub retry: RetryPolicy,
}

/// Sinks by their stored settings, so that a delivery is made as it was defined when it fired, also after a restart with another
/// definition. One entry per distinct action.
pub struct Sinks {
    context: SinkContext,
    prepared: Mutex<HashMap<Arc<str>, Arc<PreparedSink>>>,
}

impl Sinks {
    /// No sinks yet.
    pub fn new(context: SinkContext) -> Self {
        Self { context, prepared: Mutex::default() }
    }

    /// The sink for [`OutboxRow::settings`](thalweg_graph::ports::OutboxRow::settings), built at first use.
    ///
    /// # Errors
    /// As [`build`]; settings that are no action are E0501.
    pub fn get(&self, settings: &str) -> Result<Arc<PreparedSink>, Vec<SettingProblem>> {
        let mut prepared = self.prepared.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sink) = prepared.get(settings) {
            return Ok(sink.clone());
        }
        let action: ActionSpec = serde_json::from_str(settings).map_err(|why| {
            vec![SettingProblem { key: "type".to_owned(), problem: Problem::new(501, format!("stored action: {why}")) }]
        })?;
        let sink = build(&action, &self.context)?;
        let retry = RetryPolicy::from_settings(&action.kind, &action.settings)?;
        let entry = Arc::new(PreparedSink { sink, retry });
        prepared.insert(settings.into(), entry.clone());
        Ok(entry)
    }
}
