//! From a configuration file to a plan, as every verb needs it.

use std::path::Path;
use std::sync::Arc;

use thalweg::config::{Config, ConfigError, Diag, Environment, Server, SourceKind};
use thalweg::runtime::deliveries;
use thalweg_graph::spec::{ActionSpec, Finding, Place, Severity};
use thalweg_graph::{Plan, Schema, planning};
use thalweg_sinks::{DeliveryPolicy, EgressPolicy, RetryPolicy, Secret, SettingProblem, SinkContext};

use super::{Exit, Failure};

/// Reads the configuration.
pub fn load(path: &Path) -> Result<Config, Failure> {
    match Config::load(path, &Environment::process()) {
        Ok(config) => Ok(config),
        Err(ConfigError::Wrong(diags)) => Err(Failure::Findings(diags)),
        Err(error @ ConfigError::Unreadable { .. }) => Err(Failure::Said(Exit::Missing, format!("error: {error}"))),
    }
}

/// Plans it, with tables that are known from elsewhere, and looks at the settings of its actions; gives the warnings of file and plan
/// together.
pub fn plan(config: &Config, schemas: &[Arc<Schema>]) -> Result<(Arc<Plan>, Vec<Diag>), Vec<Diag>> {
    let with_warnings = |findings| {
        let mut diags = config.warnings.clone();
        diags.extend(config.findings(findings));
        diags.sort_by_key(|diag| diag.span.as_ref().map_or(usize::MAX, |span| span.start));
        diags
    };
    let actions = action_findings(config);
    let mut schemas = schemas.to_vec();
    if config.follower().is_some() && !schemas.iter().any(|schema| *schema.table == *deliveries::TABLE) {
        schemas.push(deliveries::schema()); // Which nobody has to be asked for.
    }
    match planning::plan(&config.spec, &schemas) {
        Ok((plan, warnings)) if actions.is_empty() => Ok((Arc::new(plan), with_warnings(warnings))),
        Ok((_, findings)) | Err(findings) => Err(with_warnings(findings.into_iter().chain(actions).collect())),
    }
}

/// What is wrong with the settings of actions. Nothing is connected to, and no secret is needed.
fn action_findings(config: &Config) -> Vec<Finding> {
    let mut context = SinkContext::new(Secret::new(""));
    context.egress = Arc::new(EgressPolicy::parse(&config.egress.allow).unwrap_or_default());
    context.database_url = config.sources.iter().find_map(|source| match &source.kind {
        // Only its form counts here, and the form of a reference is that of its value.
        SourceKind::Mysql(mysql) => Some(Secret::new(match &mysql.server {
            Server::Url(_) => "mysql://user@localhost:3306".to_owned(),
            Server::Parts { host, port, .. } => format!("mysql://user@{host}:{port}"),
        })),
        SourceKind::BinlogFile(_) | SourceKind::Jsonl { .. } | SourceKind::Deliveries | SourceKind::Generate { .. } => None,
    });
    let effects = config.spec.effects.iter().enumerate().map(|(i, effect)| (true, i, &effect.actions));
    let reactions = config.spec.reactions.iter().enumerate().map(|(i, reaction)| (false, i, &reaction.actions));
    let mut findings = Vec::new();
    for (effect, owner, actions) in effects.chain(reactions) {
        for (action, spec) in actions.iter().enumerate() {
            let place = |key| Place::Action { effect, owner, action, key };
            let finding = |SettingProblem { key, problem }| Finding { severity: Severity::Error, place: place(key), problem };
            findings.extend(settings(spec, &context).into_iter().map(finding));
        }
    }
    findings
}

/// Every setting of one action that is wrong; an unknown type is the planner's to tell.
fn settings(spec: &ActionSpec, context: &SinkContext) -> Vec<SettingProblem> {
    let sink = thalweg_sinks::build(spec, context).err().unwrap_or_default();
    let retry = RetryPolicy::from_settings(&spec.kind, &spec.settings).err().unwrap_or_default();
    let policy = DeliveryPolicy::from_settings(&spec.kind, &spec.settings).err().unwrap_or_default();
    sink.into_iter().chain(retry).chain(policy).filter(|wrong| wrong.key != "type").collect()
}
