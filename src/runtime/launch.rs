//! From a configuration to a [`Setup`]: opens the store, builds the sources, tells the sinks what they may know.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use thalweg_graph::GraphSpec;
use thalweg_graph::ports::{Source, Store, StoreError};
use thalweg_sinks::{EgressPolicy, Resolver, SettingProblem, SinkContext, unresolved_secrets};
use thalweg_sources::binlog::Spooling;
use thalweg_sources::binlog_file::{BinlogFileConfig, BinlogFileSource};
use thalweg_sources::generate::GenerateSource;
use thalweg_sources::jsonl::{Input, JsonTable, JsonlSource};
use thalweg_sources::mysql::{self, MysqlSource};
use thalweg_store::{SqliteStore, StoreConfig};
use tokio::sync::watch;

use super::clock::{Clock, SystemClock};
use super::deliveries::{self, DeliveriesSource, Hatch};
use super::reread::Rereading;
use super::{Setup, SourceSetup};
use crate::config::{self, Config, Environment, SourceKind, Unresolved};

/// Transactions between snapshots.
const SNAPSHOT_EVERY: u64 = 200_000;

/// What a run is asked for.
pub struct Launch {
    /// The configuration.
    pub config: Config,
    /// The data directory; `None`: the configuration's, else `.thalweg` beside it.
    pub data: Option<PathBuf>,
    /// Stop when nothing has moved for so long.
    pub until_idle: Option<Duration>,
    /// How references to secrets in actions are resolved.
    pub secrets: Resolver,
    /// Turns true when the run is to end.
    pub stop: watch::Receiver<bool>,
}

/// Why a run cannot begin.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LaunchError {
    /// The store cannot be opened.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A source's URL holds a reference that has no value.
    #[error("E0286: source `{0}`: {1}")]
    Unresolved(Arc<str>, Unresolved),
    /// `[egress] allow` holds what is no network.
    #[error("{}: {}", .0.code, .0.message)]
    Egress(Box<thalweg_formulas::Problem>),
    /// An action's secret has no value.
    #[error("{}: {}", .0.problem.code, .0.problem.message)]
    Secret(Box<SettingProblem>),
}

/// Opens and builds everything; nothing runs yet.
///
/// # Errors
/// What is missing outside, with its cure.
pub fn setup(launch: Launch) -> Result<Setup, LaunchError> {
    let Launch { config, data, until_idle, secrets, stop } = launch;
    let directory = data.unwrap_or_else(|| data_directory(&config));
    let mut store = SqliteStore::open(&directory, store_config(&config.spec))?;
    store.follow(config.follower())?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let env = Environment::process();
    let sinks = sink_context(&config, &env, secrets.clone(), store.instance_secret())?;
    let hatch = Hatch::default();
    let sources = sources_of(&config, &env, clock.as_ref(), &directory, &hatch)?;
    let reread = Rereading {
        secrets,
        instance_secret: store.instance_secret().to_owned(),
        clock: clock.clone(),
        directory: directory.clone(),
        hatch: hatch.clone(),
        running: Arc::new(Mutex::new(config.clone())),
    };
    Ok(Setup {
        spec: config.spec,
        sources,
        store: Box::new(store),
        directory,
        sinks,
        workers: config.engine.workers,
        snapshot_every: SNAPSHOT_EVERY,
        listen: config.http.listen,
        until_idle,
        clock,
        stop,
        hatch,
        reread: Some(reread.into_reread()),
    })
}

/// The sources of a configuration, not yet running.
pub(super) fn sources_of(
    config: &Config,
    env: &Environment,
    clock: &dyn Clock,
    directory: &Path,
    hatch: &Hatch,
) -> Result<Vec<SourceSetup>, LaunchError> {
    let common = Common {
        share: share(config),
        spooling: Spooling { directory: directory.into(), ..Spooling::default() },
        hatch: hatch.clone(),
    };
    config.sources.iter().map(|source| source_setup(source, &config.spec, env, clock, &common)).collect()
}

/// Where a run of this configuration keeps its data, unless it is told otherwise.
pub fn data_directory(config: &Config) -> PathBuf {
    let beside = beside(config);
    beside.join(config.engine.data_dir.clone().unwrap_or_else(|| ".thalweg".into()))
}

/// The folder of the configuration file.
fn beside(config: &Config) -> PathBuf {
    PathBuf::from(&config.source.path).parent().map_or_else(PathBuf::new, PathBuf::from)
}

/// Keys and types that the definition declares, for folding rows into snapshots.
pub fn store_config(spec: &GraphSpec) -> StoreConfig {
    let mut store = StoreConfig::default();
    for table in &spec.tables {
        let types = table.columns.iter().filter_map(|(name, ty)| Some((name.clone(), thalweg_formulas::Type::parse(ty).ok()?)));
        let types: BTreeMap<_, _> = types.collect();
        // A source may call a table by the name behind it or by its document type.
        for name in table.from.iter().chain([&table.name]) {
            if let Some(key) = &table.key {
                store.keys.insert(name.clone(), key.clone());
            }
            store.types.insert(name.clone(), types.clone());
        }
    }
    store
}

pub(super) fn sink_context(
    config: &Config,
    env: &Environment,
    secrets: Resolver,
    instance_secret: &str,
) -> Result<SinkContext, LaunchError> {
    let mut context = SinkContext::new(thalweg_sinks::Secret::new(instance_secret));
    let allow: Vec<&str> = config.egress.allow.iter().map(String::as_str).collect();
    let egress = EgressPolicy::parse(&allow);
    context.egress = Arc::new(egress.map_err(|mut wrong| LaunchError::Egress(Box::new(wrong.swap_remove(0).1)))?);
    context.directory = beside(config);
    context.secrets = secrets;
    for source in &config.sources {
        if let SourceKind::Mysql(mysql) = &source.kind {
            let url = mysql.server.url(env).map_err(|why| LaunchError::Unresolved(source.name.clone(), why))?;
            context.database_url = Some(thalweg_sinks::Secret::new(url));
            break;
        }
    }
    let effects = config.spec.effects.iter().flat_map(|effect| &effect.actions);
    let reactions = config.spec.reactions.iter().flat_map(|reaction| &reaction.actions);
    match effects.chain(reactions).flat_map(|action| unresolved_secrets(action, &context)).next() {
        Some(missing) => Err(LaunchError::Secret(Box::new(missing))),
        None => Ok(context),
    }
}

/// Where sources of one server share a connection, if there is more than one.
fn share(config: &Config) -> Option<mysql::Share> {
    let servers = config.sources.iter().filter(|source| matches!(source.kind, SourceKind::Mysql(_)));
    (servers.count() > 1).then(mysql::Share::default)
}

/// What the sources of a run have in common.
#[derive(Clone)]
struct Common {
    share: Option<mysql::Share>,
    spooling: Spooling,
    hatch: Hatch,
}

fn source_setup(
    source: &config::SourceConfig,
    spec: &GraphSpec,
    env: &Environment,
    clock: &dyn Clock,
    common: &Common,
) -> Result<SourceSetup, LaunchError> {
    let name = source.name.clone();
    Ok(match &source.kind {
        SourceKind::Mysql(mysql) => {
            let url = mysql.server.url(env).map_err(|why| LaunchError::Unresolved(name.clone(), why))?;
            let config = mysql_config(&name, url, mysql, spec);
            let Common { share, spooling, .. } = common.clone();
            SourceSetup { source: MysqlSource::new(mysql::MysqlConfig { share, spooling, ..config }), announces: true }
        }
        SourceKind::BinlogFile(files) => {
            let files = binlog_file_config(&name, files, spec);
            let source = BinlogFileSource::new(BinlogFileConfig { spooling: common.spooling.clone(), ..files });
            SourceSetup { source, announces: true }
        }
        SourceKind::Jsonl { path } => {
            let input = if path.as_os_str() == "-" { Input::Stdin } else { Input::File(path.clone()) };
            let source = JsonlSource::new(name, input, jsonl_tables(spec));
            SourceSetup { announces: source.announces(), source: Box::new(source) }
        }
        SourceKind::Deliveries => {
            SourceSetup { source: Box::new(DeliveriesSource::new(name, common.hatch.clone())), announces: true }
        }
        SourceKind::Generate { rows_per_s, seed } => {
            let source: Box<dyn Source> = Box::new(GenerateSource::new(name, *rows_per_s, *seed, clock.now()));
            SourceSetup { source, announces: true }
        }
    })
}

/// The settings of a source of kind `mysql`, with its URL as it resolves now.
pub fn mysql_config(name: &str, url: String, from: &config::MysqlConfig, spec: &GraphSpec) -> mysql::MysqlConfig {
    let mut config = mysql::MysqlConfig::new(name, url);
    config.server_id = from.server_id;
    config.clears = true;
    config.in_one = spec.fields.iter().any(|field| field.is_timed() || refers_to_self(&field.formula));
    let keyless = spec.tables.iter().filter(|table| table.key.as_ref().is_some_and(Vec::is_empty));
    config.keyless = keyless.map(|table| table.from.clone().unwrap_or_else(|| table.name.clone())).collect();
    config.tls = match &from.tls {
        config::Tls::AsUrl => mysql::Tls::AsUrl,
        config::Tls::Required { ca, name } => mysql::Tls::Verified { ca: ca.clone(), server_name: name.clone() },
        config::Tls::Unverified => mysql::Tls::Unverified,
    };
    config.after_purge = match from.after_purge {
        config::AfterPurge::Stop => mysql::AfterPurge::Stop,
        config::AfterPurge::Snapshot => mysql::AfterPurge::Snapshot,
    };
    if let Some(config::Polling { branch, every }) = &from.polling {
        let in_url = config.polling.take().and_then(|polling| polling.branch);
        config.polling = Some(mysql::Polling { branch: branch.clone().or(in_url), every: *every });
    }
    config.tables = if from.tables.is_empty() { watched(spec) } else { from.tables.clone() };
    config.snapshot = match from.snapshot {
        config::Snapshot::Initial => mysql::Snapshot::Initial,
        config::Snapshot::Never => mysql::Snapshot::Never,
    };
    config.snapshot_effects = match from.snapshot_effects {
        config::SnapshotEffects::Suppress => mysql::SnapshotEffects::Suppress,
        config::SnapshotEffects::Fire => mysql::SnapshotEffects::Fire,
    };
    config
}

/// Whether a formula may read its own last value, which steps once for the whole snapshot.
pub(super) fn refers_to_self(formula: &str) -> bool {
    formula.split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| word == "self")
}

fn binlog_file_config(name: &str, from: &config::BinlogFileConfig, spec: &GraphSpec) -> BinlogFileConfig {
    let mut config = BinlogFileConfig::new(name, "");
    config.paths.clone_from(&from.paths);
    config.follow = from.follow;
    config.tables = match from.tables.is_empty() {
        // A file has no default database: a table that is named without one may be in any.
        true => watched(spec).into_iter().map(|t| if t.contains('.') { t } else { format!("*.{t}") }).collect(),
        false => from.tables.clone(),
    };
    config
}

/// The tables that a definition names, where the source does not list any: classified ones, and those behind document types.
pub(super) fn watched(spec: &GraphSpec) -> Vec<String> {
    let classified = spec.classify.iter().map(|c| match &c.database {
        Some(database) => format!("{database}.{}", c.table),
        None => c.table.clone(),
    });
    let declared = spec.tables.iter().map(|t| t.from.clone().unwrap_or_else(|| t.name.clone()));
    let declared_names: BTreeSet<&str> = spec.tables.iter().map(|t| t.name.as_str()).collect();
    let all: BTreeSet<String> = classified.filter(|name| !declared_names.contains(name.as_str())).chain(declared).collect();
    // No server has this one.
    all.into_iter().filter(|name| name != deliveries::TABLE).collect()
}

/// The tables that lines may speak of before any schema line: those of the definition, as it plans without a server.
pub(super) fn jsonl_tables(spec: &GraphSpec) -> Vec<JsonTable> {
    thalweg_graph::planning::plan(spec, &[]).map(|(plan, _)| JsonTable::all(&plan)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::refers_to_self;

    #[test]
    fn a_formula_that_reads_its_own_last_value_is_known_by_the_word() {
        assert!(refers_to_self("self + sum(items[*].price)") && refers_to_self("coalesce(self,0)"));
        assert!(!refers_to_self("myself + selfish + it_self"));
    }
}
