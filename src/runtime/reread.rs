//! The configuration file read again for a reload: what of it a running process can take, and what it cannot.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use thalweg_graph::GraphSpec;
use thalweg_sinks::Resolver;

use super::clock::Clock;
use super::deliveries::Hatch;
use super::launch::{LaunchError, jsonl_tables, refers_to_self, sink_context, sources_of, watched};
use super::reload::{Definition, Refused, Renewed, Reread};
use crate::config::{Config, ConfigError, Diag, Environment, Look, SourceKind, render_all};

/// Refusals go to logs and through a socket.
const LOOK: Look = Look { color: false, hints: false };

/// What reading again needs of the launch.
pub(super) struct Rereading {
    pub secrets: Resolver,
    pub instance_secret: String,
    pub clock: Arc<dyn Clock>,
    /// The data directory.
    pub directory: PathBuf,
    /// Where sources find the store.
    pub hatch: Hatch,
    /// The configuration that runs.
    pub running: Arc<Mutex<Config>>,
}

impl Rereading {
    pub(super) fn into_reread(self) -> Reread {
        Arc::new(move || self.read())
    }

    fn read(&self) -> Result<Definition, Refused> {
        let before = self.running.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let env = Environment::process();
        let config = Config::load(Path::new(&before.source.path), &env).map_err(|error| match error {
            ConfigError::Wrong(diags) => Refused(render_all(&diags, LOOK)),
            error @ ConfigError::Unreadable { .. } => Refused(format!("E0620: {error}")),
        })?;
        stays(&before, &config)?;
        let sinks = sink_context(&config, &env, self.secrets.clone(), &self.instance_secret).map_err(told)?;
        let sources = if is_read_alike(&before, &config) { None } else { Some(self.sources(&before, &config, &env)?) };
        let (spec, workers, follower) = (config.spec.clone(), config.engine.workers, config.follower());
        let (running, config) = (self.running.clone(), Arc::new(config));
        let told = config.clone();
        Ok(Definition {
            spec,
            sinks,
            workers,
            follower,
            sources,
            tell: Box::new(move |findings| {
                let errors: Vec<Diag> = told.findings(findings).into_iter().filter(Diag::is_error).collect();
                render_all(&errors, LOOK)
            }),
            taken: Box::new(move || *running.lock().unwrap_or_else(PoisonError::into_inner) = Config::clone(&config)),
        })
    }

    /// The sources of a configuration that reads otherwise.
    fn sources(&self, before: &Config, config: &Config, env: &Environment) -> Result<Renewed, Refused> {
        let is_stdin = |kind: &SourceKind| matches!(kind, SourceKind::Jsonl { path } if path.as_os_str() == "-");
        if before.sources.iter().chain(&config.sources).any(|source| is_stdin(&source.kind)) {
            return Err(restart("what the sources read has changed, and standard input cannot be read again"));
        }
        if config.sources.is_empty() {
            return Err(restart("there is no source to follow"));
        }
        let of = |config| sources_of(config, env, self.clock.as_ref(), &self.directory, &self.hatch).map_err(told);
        Ok(Renewed { sources: of(config)?, before: of(before)? })
    }
}

/// Parts that a running process cannot take otherwise.
fn stays(before: &Config, after: &Config) -> Result<(), Refused> {
    let parts = [
        ("`[app] name`", before.app == after.app),
        ("`[engine] data_dir`", before.engine.data_dir == after.engine.data_dir),
        ("`[engine] reload`", before.engine.reload == after.engine.reload),
        ("`[http]`", before.http == after.http),
    ];
    match parts.into_iter().find(|(_, same)| !same) {
        Some((part, _)) => Err(restart(&format!("{part} has changed"))),
        None => Ok(()),
    }
}

fn restart(what: &str) -> Refused {
    Refused(format!("E0620: {what}, which a running process cannot take; restart `thalweg run`"))
}

fn told(error: LaunchError) -> Refused {
    Refused(error.to_string())
}

/// Whether the sources that run read what this configuration asks for.
fn is_read_alike(before: &Config, after: &Config) -> bool {
    let has_lines = after.sources.iter().any(|source| matches!(source.kind, SourceKind::Jsonl { .. }));
    before.sources == after.sources
        && asked(&before.spec) == asked(&after.spec)
        && (!has_lines || jsonl_tables(&before.spec) == jsonl_tables(&after.spec))
}

/// What servers are asked for: the tables, those without a key, and whether a snapshot must be one transaction.
fn asked(spec: &GraphSpec) -> (Vec<String>, Vec<&str>, bool) {
    let keyless = spec.tables.iter().filter(|table| table.key.as_ref().is_some_and(Vec::is_empty));
    let steps = spec.fields.iter().any(|field| refers_to_self(&field.formula));
    (watched(spec), keyless.map(|table| table.name.as_str()).collect(), steps)
}
