//! The configuration: one TOML file, strictly read. What it says about the graph becomes a [`GraphSpec`] with a [`PlaceMap`]; what
//! it says about the process becomes [`App`], [`EngineConfig`], [`HttpConfig`], [`EgressConfig`] and [`SourceConfig`]s.
//!
//! Invariants:
//! - Unknown keys and wrong types are errors with a place; nothing is ignored.
//! - `THALWEG_SECTION__KEY` in the environment wins over the file, flags win over both.
//! - References to secrets stay references; literal secrets are warned of and never shown.
//!
//! Next to read: `reader` (strictness), [`diag`] (how a finding looks).

pub mod diag;

mod definition;
mod goals;
mod groups;
mod joins;
mod places;
mod reader;
mod secret;
mod sections;
mod sources;
mod timing;
mod tree;

use std::path::Path;
use std::sync::Arc;

use thalweg_graph::GraphSpec;
use thalweg_graph::spec::{Finding, Severity};

pub use diag::{Diag, Look, SourceText, render_all};
pub use places::PlaceMap;
pub use secret::{Environment, Secret, Unresolved, percent_encode};
pub use sections::{App, EgressConfig, EngineConfig, HttpConfig};
pub use sources::{
    AfterPurge, BinlogFileConfig, MysqlConfig, Polling, Server, Snapshot, SnapshotEffects, SourceConfig, SourceKind, Tls,
};

use definition::Reader;
use reader::{Collector, Section, wrong_type};
use tree::{Entry, Tree};

/// A configuration whose form is right. Whether the graph is right, the planner says: see [`Config::findings`].
#[derive(Clone, Debug)]
pub struct Config {
    /// The file it was read from.
    pub source: Arc<SourceText>,
    /// `[app]`.
    pub app: App,
    /// `[engine]`.
    pub engine: EngineConfig,
    /// `[http]`.
    pub http: HttpConfig,
    /// `[egress]`.
    pub egress: EgressConfig,
    /// `[[source]]` and `[reactor]`.
    pub sources: Vec<SourceConfig>,
    /// The graph's definition.
    pub spec: GraphSpec,
    /// Where its parts were written.
    pub places: PlaceMap,
    /// What may not be meant.
    pub warnings: Vec<Diag>,
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read {path}: {error}")]
    Unreadable {
        /// The path as given.
        path: String,
        /// The cause.
        error: std::io::Error,
    },
    /// It is wrong; errors and warnings in the order of the file.
    #[error("the configuration has errors")]
    Wrong(Vec<Diag>),
}

impl Config {
    /// Reads a file, with `env` laid over it.
    ///
    /// # Errors
    /// The file cannot be read, or is wrong.
    pub fn load(path: &Path, env: &Environment) -> Result<Config, ConfigError> {
        let shown = path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(|error| ConfigError::Unreadable { path: shown.clone(), error })?;
        Config::parse(SourceText::new(shown, text), env).map_err(ConfigError::Wrong)
    }

    /// Reads a text, with `env` laid over it.
    ///
    /// # Errors
    /// Every finding, if one of them is an error.
    pub fn parse(source: Arc<SourceText>, env: &Environment) -> Result<Config, Vec<Diag>> {
        let mut entries = tree::parse(&source)?;
        tree::overlay(&mut entries, env);
        let out = Collector::new(source.clone());
        let parts = read(&entries, &out);
        let mut diags = out.finish();
        diags.extend(unresolved(&parts.sources, env));
        if diags.iter().any(Diag::is_error) {
            return Err(diags);
        }
        let Parts { app, engine, http, egress, sources, spec, places } = parts;
        Ok(Config { source, app, engine, http, egress, sources, spec, places, warnings: diags })
    }

    /// The source that follows what becomes of deliveries, if there is one.
    pub fn follower(&self) -> Option<Arc<str>> {
        self.sources.iter().find(|source| source.kind == SourceKind::Deliveries).map(|source| source.name.clone())
    }

    /// A planner's findings at their places in the file, in the order of the file.
    pub fn findings(&self, findings: Vec<Finding>) -> Vec<Diag> {
        let place = |finding: Finding| {
            let span = self.places.locate(&finding.place, finding.problem.span);
            let file = span.is_some().then(|| self.source.clone());
            Diag::from_problem(finding.severity, finding.problem, file, span)
        };
        let mut diags: Vec<Diag> = findings.into_iter().map(place).collect();
        diags.sort_by_key(|diag| diag.span.as_ref().map_or(usize::MAX, |span| span.start));
        diags
    }
}

#[derive(Default)]
struct Parts {
    app: App,
    engine: EngineConfig,
    http: HttpConfig,
    egress: EgressConfig,
    sources: Vec<SourceConfig>,
    spec: GraphSpec,
    places: PlaceMap,
}

/// Reads every section.
fn read(entries: &[Entry], out: &Collector) -> Parts {
    let mut root = Section::new("the configuration", tree::Origin::File(0..0), entries, out);
    let mut parts = Parts::default();
    let mut definition = Reader::new(out);
    if let Some(section) = one(&mut root, "app") {
        parts.app = sections::app(section);
    }
    if let Some(section) = one(&mut root, "engine") {
        parts.engine = sections::engine(section);
    }
    if let Some(section) = one(&mut root, "http") {
        parts.http = sections::http(section);
    }
    if let Some(section) = one(&mut root, "egress") {
        parts.egress = sections::egress(section);
    }
    let sources = many(&mut root, "source");
    parts.sources.extend(sources.into_iter().enumerate().filter_map(|(i, section)| sources::source(section, i)));
    if let Some(section) = one(&mut root, "reactor") {
        parts.sources.extend(sources::reactor(section));
    }
    many(&mut root, "table").into_iter().for_each(|section| definition.table(section));
    if let Some(section) = one(&mut root, "fields") {
        definition.fields(section);
    }
    many(&mut root, "effect").into_iter().for_each(|section| definition.effect(section));
    many(&mut root, "classify").into_iter().for_each(|section| definition.classify(section));
    many(&mut root, "reactions").into_iter().for_each(|section| definition.reaction(section));
    many(&mut root, "schedule").into_iter().for_each(|section| definition.schedule(section));
    many(&mut root, "goal").into_iter().for_each(|section| definition.goal(section));
    root.not_built(&["sink", "view", "store"]);
    root.finish();
    duplicate_sources(&parts.sources, entries, out);
    one_follower(&parts.sources, entries, out);
    parts.spec = definition.spec;
    parts.places = definition.places;
    parts
}

/// A section `[name]`.
fn one<'a>(root: &mut Section<'a>, name: &'static str) -> Option<Section<'a>> {
    let item = root.item(name)?;
    if let Tree::Array(_) = item.tree {
        let diag = Diag::error(281, format!("section `[{name}]` is one table, not a list")).help(format!("write `[{name}]`"));
        root.out().report(diag, &item.origin, "expected a table");
        return None;
    }
    Section::of(format!("section `[{name}]`"), item, root.out())
}

/// Sections `[[name]]`.
fn many<'a>(root: &mut Section<'a>, name: &'static str) -> Vec<Section<'a>> {
    let Some(item) = root.item(name) else { return Vec::new() };
    let what = format!("section `[[{name}]]`");
    match &item.tree {
        Tree::Array(items) => items.iter().filter_map(|item| Section::of(what.as_str(), item, root.out())).collect(),
        Tree::Table(_) => {
            let diag = Diag::error(281, format!("{what} is a list of tables, found one table"));
            root.out().report(diag.help(format!("write `[[{name}]]`")), &item.origin, "expected double brackets");
            Vec::new()
        }
        other => wrong_type(root.out(), &what, "a list of tables", other, &item.origin).unwrap_or_default(),
    }
}

/// Deliveries are followed by one source, whose position says what was taken.
fn one_follower(sources: &[SourceConfig], entries: &[Entry], out: &Collector) {
    let followers: Vec<&SourceConfig> = sources.iter().filter(|source| source.kind == SourceKind::Deliveries).collect();
    if let [first, second, ..] = followers[..] {
        let diag = Diag::error(284, format!("sources `{}` and `{}` both have kind `deliveries`", first.name, second.name));
        let origin = entries.iter().find(|e| e.key == "source").map_or(tree::Origin::File(0..0), |e| e.key_origin.clone());
        out.report(diag.help("leave one of them: any number of rules may read its table"), &origin, "one may have it");
    }
}

/// Source names are part of event ids and positions: two of one name are refused.
fn duplicate_sources(sources: &[SourceConfig], entries: &[Entry], out: &Collector) {
    for (i, source) in sources.iter().enumerate() {
        if sources[..i].iter().any(|other| other.name == source.name) {
            let diag = Diag::error(284, format!("two sources are called `{}`", source.name)).help("give each its own `name`");
            let origin = entries.iter().find(|e| e.key == "source").map_or(tree::Origin::File(0..0), |e| e.key_origin.clone());
            out.report(diag, &origin, "the names must differ");
        }
    }
}

/// References of connection settings that have no value yet: a warning, since `check` may run where the secrets are not.
fn unresolved(sources: &[SourceConfig], env: &Environment) -> Vec<Diag> {
    let missing = |source: &SourceConfig| match &source.kind {
        SourceKind::Mysql(mysql) => mysql.server.url(env).err(),
        SourceKind::BinlogFile(_) | SourceKind::Jsonl { .. } | SourceKind::Deliveries | SourceKind::Generate { .. } => None,
    };
    let diag = |(source, why): (&SourceConfig, Unresolved)| Diag {
        severity: Severity::Warning,
        ..Diag::error(286, format!("source `{}`: {why}", source.name)).help("set it before `thalweg run`")
    };
    sources.iter().filter_map(|source| Some((source, missing(source)?))).map(diag).collect()
}

#[cfg(test)]
mod tests;
