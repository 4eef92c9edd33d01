//! `[[source]]`, and `[reactor]`, the short form of one source of kind `mysql`.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use thalweg_formulas::time::parse_duration;

use super::diag::{Diag, SourceText};
use super::reader::{Collector, Section};
use super::secret::{Environment, Secret, Unresolved, percent_encode, url_password};
use super::tree::Origin;

/// How often a branch is looked at where only the branch is named, and how often it may be.
const POLL: Duration = Duration::from_secs(1);
const POLL_MIN: Duration = Duration::from_millis(10);
const POLL_MAX: Duration = Duration::from_secs(3600);

/// A source of transactions.
#[derive(Clone, Debug, PartialEq)]
pub struct SourceConfig {
    /// Its name; part of every event id, so it should not change.
    pub name: Arc<str>,
    /// What it reads.
    pub kind: SourceKind,
}

/// What a source reads.
#[derive(Clone, Debug, PartialEq)]
pub enum SourceKind {
    /// The binlog of a MariaDB, MySQL or Dolt server.
    Mysql(MysqlConfig),
    /// Files that such a server wrote.
    BinlogFile(BinlogFileConfig),
    /// JSON lines.
    Jsonl {
        /// The file; `-` is stdin.
        path: PathBuf,
    },
    /// What becomes of the deliveries of this process.
    Deliveries,
    /// The demonstration shop.
    Generate {
        /// Row changes per second.
        rows_per_s: u32,
        /// The same seed gives the same transactions.
        seed: u64,
    },
}

/// `kind = "mysql"`.
#[derive(Clone, Debug, PartialEq)]
pub struct MysqlConfig {
    /// How to reach the server.
    pub server: Server,
    /// Our id among the server's replicas, unique there; `None`: a random one for each process.
    pub server_id: Option<u32>,
    /// Patterns `db.table`, `db.*`; empty: the tables that the definition names.
    pub tables: Vec<String>,
    /// When the tables are read in full.
    pub snapshot: Snapshot,
    /// Whether rows of a snapshot may fire effects.
    pub snapshot_effects: SnapshotEffects,
    /// How the connection is secured.
    pub tls: Tls,
    /// What happens when the server no longer has the log behind the position.
    pub after_purge: AfterPurge,
    /// `branch` and `poll`: the commits of a Dolt server are followed in place of its log.
    pub polling: Option<Polling>,
}

/// How the commits of a branch are followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Polling {
    /// The branch; `None`: the one that the url names, or else the server's own.
    pub branch: Option<String>,
    /// How often it is looked at.
    pub every: Duration,
}

/// How the connection to a server is secured.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Tls {
    /// As the URL says: `?require_ssl=true`, else not at all.
    #[default]
    AsUrl,
    /// `tls = "required"`: with the server's certificate verified.
    Required {
        /// `tls_ca`: the certificates of the authorities to trust, in PEM; without, the public ones.
        ca: Option<PathBuf>,
        /// `tls_name`: the name in the certificate, where it is not the URL's host.
        name: Option<String>,
    },
    /// `tls = "unverified"`: encrypted, whoever answers.
    Unverified,
}

/// What happens when the server no longer has the log behind the position.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AfterPurge {
    /// The source stops and says what is missing.
    #[default]
    Stop,
    /// The tables are read anew; what has become of each row in between counts as one change and fires nothing.
    Snapshot,
}

/// `kind = "binlog-file"`.
#[derive(Clone, Debug, PartialEq)]
pub struct BinlogFileConfig {
    /// Files, folders, index files, or patterns with `*` and `?` in the last part.
    pub paths: Vec<PathBuf>,
    /// Patterns `db.table`, `db.*`; empty: the tables that the definition names.
    pub tables: Vec<String>,
    /// Wait for more at the end.
    pub follow: bool,
}

/// How to reach a server.
#[derive(Clone, Debug, PartialEq)]
pub enum Server {
    /// `mysql://user:${PASSWORD}@host:3306/db`.
    Url(Secret),
    /// `[reactor]`'s four keys.
    Parts {
        /// Host name or address.
        host: String,
        /// Port.
        port: u16,
        /// User.
        user: String,
        /// Password, if there is one.
        password: Option<Secret>,
    },
}

/// When tables are read in full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Snapshot {
    /// Once, at the first start.
    #[default]
    Initial,
    /// Never: only changes from now on.
    Never,
}

/// What effects make of rows of a snapshot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SnapshotEffects {
    /// Latches are set and nothing fires.
    #[default]
    Suppress,
    /// Conditions that are true fire.
    Fire,
}

impl Server {
    /// The URL to connect to, with every secret in it: not for showing.
    ///
    /// # Errors
    /// A reference without a value.
    pub fn url(&self, env: &Environment) -> Result<String, Unresolved> {
        match self {
            Server::Url(url) => url.reveal_url(env),
            Server::Parts { host, port, user, password } => {
                let password = password.as_ref().map(|p| p.reveal(env)).transpose()?;
                let password = password.map_or(String::new(), |p| format!(":{}", percent_encode(&p)));
                let host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
                Ok(format!("mysql://{}{password}@{host}:{port}", percent_encode(user)))
            }
        }
    }
}

/// `[[source]]`.
pub(super) fn source(mut section: Section<'_>, index: usize) -> Option<SourceConfig> {
    let kind = section.one_of("kind", &["mysql", "jsonl", "generate", "binlog-file", "deliveries"]);
    let has_kind = section.entry("kind").is_some();
    let name = section.text("name").map_or_else(|| format!("source{}", index + 1), |(name, _)| name);
    let kind = match kind {
        Some("mysql") => mysql(&mut section),
        Some("jsonl") => section.required("path").map(|(path, _)| SourceKind::Jsonl { path: PathBuf::from(path) }),
        Some("generate") => {
            let rows_per_s = section.integer("rows_per_s", 1..=1_000_000).map_or(200, |n| n as u32);
            let seed = section.integer("seed", 0..=i64::MAX).map_or(1, |n| n as u64);
            Some(SourceKind::Generate { rows_per_s, seed })
        }
        Some("deliveries") => Some(SourceKind::Deliveries),
        Some(_) => binlog_file(&mut section),
        None if has_kind => return None,
        None => {
            section.required("kind");
            return None;
        }
    };
    section.finish();
    Some(SourceConfig { name: name.into(), kind: kind? })
}

fn binlog_file(section: &mut Section<'_>) -> Option<SourceKind> {
    if section.entry("path").is_none() {
        section.required("path");
    }
    let paths = section.texts("path").map(|paths| paths.into_iter().map(|(path, _)| path.into()).collect());
    let tables = section.texts("tables").unwrap_or_default().into_iter().map(|(table, _)| table).collect();
    let follow = section.boolean("follow").unwrap_or(false);
    Some(SourceKind::BinlogFile(BinlogFileConfig { paths: paths?, tables, follow }))
}

fn mysql(section: &mut Section<'_>) -> Option<SourceKind> {
    let url = section.required("url").and_then(|(url, origin)| checked_url(section.out(), url, &origin));
    let server_id = server_id(section);
    let tables = section.texts("tables").unwrap_or_default().into_iter().map(|(table, _)| table).collect();
    let snapshot = match section.one_of("snapshot", &["initial", "never", "always"]) {
        Some("never") => Snapshot::Never,
        Some("always") => {
            let diag = Diag::error(287, "`snapshot = \"always\"` is not built yet").note("built: initial, never");
            let origin = section.item("snapshot").map_or(section.origin.clone(), |item| item.origin.clone());
            section.out().report(diag, &origin, "not built yet");
            return None;
        }
        _ => Snapshot::Initial,
    };
    let snapshot_effects = match section.one_of("snapshot_effects", &["suppress", "fire"]) {
        Some("fire") => SnapshotEffects::Fire,
        _ => SnapshotEffects::Suppress,
    };
    let tls = tls(section)?;
    let after_purge = match section.one_of("after_purge", &["stop", "snapshot"]) {
        Some("snapshot") => AfterPurge::Snapshot,
        _ => AfterPurge::Stop,
    };
    let polling = polling(section, server_id.is_some())?;
    let server = Server::Url(url?);
    Some(SourceKind::Mysql(MysqlConfig { server, server_id, tables, snapshot, snapshot_effects, tls, after_purge, polling }))
}

/// `branch` and `poll`; one of them is enough. `None`: one of them is wrong.
fn polling(section: &mut Section<'_>, has_server_id: bool) -> Option<Option<Polling>> {
    let (branch, poll) = (section.text("branch"), section.text("poll"));
    if branch.is_none() && poll.is_none() {
        return Some(None);
    }
    if has_server_id {
        let origin = section.item("server_id").map_or(section.origin.clone(), |item| item.origin.clone());
        let diag = Diag::error(282, "`server_id` is for readers of the log, and with `branch` or `poll` the log is not read");
        section.out().report(diag.help("take it out"), &origin, "has no effect");
        return None;
    }
    if let Some((_, origin)) = branch.as_ref().filter(|(branch, _)| branch.is_empty()) {
        section.out().report(Diag::error(282, "`branch` must name a branch").help("branch = \"main\""), origin, "no name");
        return None;
    }
    let every = match poll {
        None => POLL,
        Some((text, origin)) => match interval(&text) {
            Ok(every) => every,
            Err(why) => {
                section.out().report(Diag::error(282, why).help("poll = \"1s\""), &origin, "not an interval");
                return None;
            }
        },
    };
    Some(Some(Polling { branch: branch.map(|(branch, _)| branch), every }))
}

/// How often a branch is looked at.
fn interval(text: &str) -> Result<Duration, String> {
    let every = parse_duration(text)?;
    let micros = u64::try_from(every.0).unwrap_or_default();
    match Duration::from_micros(micros) {
        every if (POLL_MIN..=POLL_MAX).contains(&every) => Ok(every),
        _ => Err(format!("`poll` must be from 10ms to 1h, and {text} is not")),
    }
}

/// `tls`, `tls_ca` and `tls_name`; the last two say what is verified, and nothing without the first.
fn tls(section: &mut Section<'_>) -> Option<Tls> {
    let kind = section.one_of("tls", &["required", "unverified"]);
    let (ca, name) = (section.text("tls_ca"), section.text("tls_name"));
    if kind == Some("required") {
        return Some(Tls::Required { ca: ca.map(|(ca, _)| ca.into()), name: name.map(|(name, _)| name) });
    }
    for (key, given) in [("tls_ca", ca), ("tls_name", name)] {
        if let Some((_, origin)) = given {
            let diag = Diag::error(282, format!("`{key}` says what is verified, and nothing is without `tls = \"required\"`"));
            section.out().report(diag.help("add tls = \"required\""), &origin, "has no effect");
            return None;
        }
    }
    Some(if kind.is_some() { Tls::Unverified } else { Tls::AsUrl })
}

fn server_id(section: &mut Section<'_>) -> Option<u32> {
    section.integer("server_id", 1..=i64::from(u32::MAX)).map(|id| id as u32)
}

fn checked_url(out: &Collector, url: String, origin: &Origin) -> Option<Secret> {
    if !url.starts_with("mysql://") && !url.starts_with("${") {
        let diag = Diag::error(282, "`url` of a source of kind `mysql` must start with mysql://");
        out.report(diag.help("mysql://USER:${PASSWORD}@HOST:3306"), origin, "not a mysql:// URL");
        return None;
    }
    if let Some(password) = url_password(&url) {
        warn_literal(out, "a password", "the URL", origin, &url, password);
    }
    Some(Secret::new(url))
}

/// `[reactor]`, as in a Reactor rules file.
pub(super) fn reactor(mut section: Section<'_>) -> Option<SourceConfig> {
    let host = section.text("dolt_host").map_or_else(|| "localhost".to_owned(), |(host, _)| host);
    let port = section.integer("dolt_port", 1..=65535).map_or(3306, |port| port as u16);
    let user = section.text("dolt_user").map_or_else(|| "root".to_owned(), |(user, _)| user);
    let password = section.text("dolt_password").map(|(password, origin)| {
        if Secret::new(password.as_str()).is_literal() && !password.is_empty() {
            warn_literal(section.out(), "a password", "`dolt_password`", &origin, &password, 0..password.len());
        }
        Secret::new(password)
    });
    let server_id = server_id(&mut section);
    section.finish();
    let server = Server::Parts { host, port, user, password };
    let config = MysqlConfig {
        server,
        server_id,
        tables: Vec::new(),
        snapshot: Snapshot::Initial,
        snapshot_effects: SnapshotEffects::Suppress,
        tls: Tls::AsUrl,
        after_purge: AfterPurge::Stop,
        polling: None,
    };
    Some(SourceConfig { name: "reactor".into(), kind: SourceKind::Mysql(config) })
}

/// Warns of a secret that stands in the file, and hides it from everything that is printed.
pub(super) fn warn_literal(
    out: &Collector,
    what: &str,
    place: &str,
    origin: &Origin,
    text: &str,
    secret: std::ops::Range<usize>,
) {
    let mut shown = origin.clone();
    if let Origin::File(span) = origin {
        let file: &Arc<SourceText> = &out.source;
        let range = match super::reader::content_start(&file.text, span, text) {
            Some(start) => start + secret.start..start + secret.end,
            None => span.clone(),
        };
        file.mask(range.clone());
        shown = Origin::File(range);
    }
    let diag = Diag::warning(285, format!("{what} in clear in {place}"));
    out.report(diag.help("write `${NAME}` for an environment variable or `${file:PATH}` for a file"), &shown, "kept in the file");
}
