//! From a configured action to a sink.

use std::path::PathBuf;
use std::sync::Arc;

use serde_json::Value;
use thalweg_formulas::Problem;
use thalweg_formulas::problem::did_you_mean;
use thalweg_graph::ports::Sink;
use thalweg_graph::spec::ActionSpec;

use crate::egress::EgressPolicy;
use crate::handler::{self, Handlers};
use crate::held::{HELD, Held};
use crate::log::LogSink;
use crate::secret::{self, Resolver, Secret};
use crate::settings::{SettingProblem, with_near};
use crate::shell::Shell;
use crate::sql::{SqlInsert, SqlWrite};
use crate::webhook::{SharedClient, Webhook};

/// The action types.
const KINDS: [&str; 9] =
    ["webhook", "dolt-insert", "sql-insert", "sql-upsert", "sql-delete", "sql-sync", "shell", "handler", "log"];

/// What the sinks of one process share. Clones share the connection pool.
#[derive(Clone)]
pub struct SinkContext {
    /// The signing secret of webhooks that name none.
    pub secret: Secret,
    /// Which addresses webhooks may reach.
    pub egress: Arc<EgressPolicy>,
    /// Where `sql-insert` writes when it names no `url`: the source's database URL, with its references resolved. It is stored nowhere.
    pub database_url: Option<Secret>,
    /// Stands before `/db/table` in the `source` of an event; usually empty.
    pub source_prefix: String,
    /// Relative paths start here: the directory of the configuration.
    pub directory: PathBuf,
    /// Resolves references to secrets, at every attempt.
    pub secrets: Resolver,
    /// The Rust functions that actions of type `handler` may name.
    pub handlers: Handlers,
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
            handlers: Handlers::default(),
            client: Arc::default(),
        }
    }
}

impl std::fmt::Debug for SinkContext {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SinkContext")
            .field("egress", &self.egress)
            .field("source_prefix", &self.source_prefix)
            .field("handlers", &self.handlers)
            .finish_non_exhaustive()
    }
}

/// Sets up one action. Needs no network, no runtime and no secret: `check` calls it too. The keys of
/// [`RetryPolicy`](crate::RetryPolicy) are let pass: [`RetryPolicy::from_settings`](crate::RetryPolicy::from_settings) reads them.
///
/// # Errors
/// Every setting that is unknown, missing or wrong, and an unknown type.
pub fn build(action: &ActionSpec, context: &SinkContext) -> Result<Arc<dyn Sink>, Vec<SettingProblem>> {
    match action.kind.as_str() {
        "webhook" => Ok(Arc::new(Webhook::new(action, context)?)),
        "dolt-insert" | "sql-insert" => Ok(Arc::new(SqlInsert::new(action, context)?)),
        "sql-upsert" | "sql-delete" | "sql-sync" => Ok(Arc::new(SqlWrite::new(action, context)?)),
        "shell" => Ok(Arc::new(Shell::new(action, context)?)),
        "handler" => handler::build(action, context),
        "log" => Ok(Arc::new(LogSink::new(action, context)?)),
        HELD => Ok(Arc::new(Held)),
        other => Err(vec![SettingProblem { key: "type".to_owned(), problem: unknown_kind(other) }]),
    }
}

fn unknown_kind(kind: &str) -> Problem {
    let problem = Problem::new(501, format!("unknown action type `{kind}`")).note(format!("types: {}", KINDS.join(", ")));
    with_near(problem, &did_you_mean(kind, KINDS))
}

/// E0506 for each reference that cannot be resolved now: what `run` asks before it starts.
pub fn unresolved_secrets(action: &ActionSpec, context: &SinkContext) -> Vec<SettingProblem> {
    let unresolved = |(key, text): (String, &str)| match secret::resolve(text, &context.secrets) {
        Ok(_) => None,
        Err(why) => Some(SettingProblem { problem: Problem::new(506, format!("`{key}` cannot be resolved: {why}")), key }),
    };
    texts(action).into_iter().filter_map(unresolved).collect()
}

/// Every text of an action with its key; those of a table as `headers.Name`, those of a list with the list's.
fn texts(action: &ActionSpec) -> Vec<(String, &str)> {
    let mut out = Vec::new();
    for (key, value) in &action.settings {
        match value {
            Value::String(text) => out.push((key.clone(), text.as_str())),
            Value::Array(items) => out.extend(items.iter().filter_map(Value::as_str).map(|text| (key.clone(), text))),
            Value::Object(table) => {
                out.extend(table.iter().filter_map(|(name, value)| value.as_str().map(|text| (format!("{key}.{name}"), text))));
            }
            _ => {}
        }
    }
    out
}
