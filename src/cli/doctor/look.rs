//! What a run needs, asked of everything that it names.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use thalweg::config::{Config, Diag, Environment, MysqlConfig, SourceConfig, SourceKind};
use thalweg::runtime::launch;
use thalweg_formulas::Code;
use thalweg_graph::Schema;
use thalweg_graph::ports::{Store, StoreError};
use thalweg_sources::mysql::{Finding, Grade, Stands, examine};
use thalweg_store::SqliteStore;

use super::Failure;

/// Less free space than this, in bytes, is worth a warning: 1 GiB.
const FREE_MIN: u64 = 1 << 30;

/// The findings about one thing.
#[derive(Debug)]
pub struct Section {
    /// `server shop`, `definition`.
    pub about: String,
    /// For a server: where it is, without the password.
    pub server: Option<String>,
    /// Whether what is bad here is wrong in the definition.
    pub is_definition: bool,
    /// What was found.
    pub findings: Vec<Finding>,
}

impl Section {
    fn of(about: impl Into<String>, findings: Vec<Finding>) -> Section {
        Section { about: about.into(), server: None, is_definition: false, findings }
    }
}

/// `reader@db.example:3306`: nothing of a URL but user, host and port. Everything up to the last `@` may be a password.
pub fn place(url: &str) -> String {
    let behind = url.split_once("://").map_or(url, |(_, behind)| behind);
    let (user, host) = match behind.rsplit_once('@') {
        Some((login, host)) => (login.split(':').next().unwrap_or_default(), host),
        None => ("", behind),
    };
    let host = host.split(['/', '?', '#']).next().unwrap_or_default();
    if user.is_empty() { host.to_owned() } else { format!("{user}@{host}") }
}

/// What `check` says.
pub fn definition(diags: &[Diag]) -> Section {
    let of = |diag: &Diag| {
        let line = diag.file.as_ref().zip(diag.span.as_ref()).map(|(file, span)| (&file.path, file.line_column(span.start)));
        let place = line.map_or(String::new(), |(path, (line, column))| format!("{path}:{line}:{column}: "));
        Finding {
            grade: if diag.is_error() { Grade::Bad } else { Grade::Warn },
            code: Some(diag.code),
            cure: diag.help.clone(),
            ..Finding::ok("definition", format!("{place}{}", diag.message))
        }
    };
    let mut findings: Vec<Finding> = diags.iter().map(of).collect();
    if findings.iter().all(|finding| finding.grade != Grade::Bad) {
        findings.insert(0, Finding::ok("definition", "no errors"));
    }
    Section { is_definition: true, ..Section::of("definition", findings) }
}

/// Where each source stands, by name.
pub type Positions = Vec<(Arc<str>, String)>;

/// The data directory; and the positions in it, if they could be read. A store that is not there is not made.
pub fn data(config: &Config, directory: Option<PathBuf>, show_secret: bool) -> (Section, Option<Positions>) {
    let directory = directory.unwrap_or_else(|| launch::data_directory(config));
    let about = format!("data {}", directory.display());
    let mut findings = vec![writable(&directory)];
    findings.extend(free_space(there(&directory)));
    if !directory.join("thalweg.db").exists() {
        findings.push(Finding::ok("store", "none yet: the first run makes it"));
        return (Section::of(about, findings), Some(Positions::new()));
    }
    let positions = match SqliteStore::open(&directory, launch::store_config(&config.spec)) {
        Ok(store) => {
            let recovered = store.recovered();
            findings.push(Finding::ok("store", format!("at epoch {}", recovered.epoch)));
            findings.push(secret(store.instance_secret(), show_secret));
            Some(recovered.positions)
        }
        Err(error) => {
            findings.push(closed(&error));
            None
        }
    };
    (Section::of(about, findings), positions)
}

/// A store that a run holds is well, and cannot be read meanwhile.
fn closed(error: &StoreError) -> Finding {
    let text = error.to_string();
    let (code, message) = match error {
        StoreError::Retry { code, message } | StoreError::Fatal { code, message } => (Some(*code), message),
        _ => (None, &text),
    };
    let (found, cure) = message.split_once("; ").unwrap_or((message, ""));
    let cure = Some(cure.to_owned()).filter(|cure| !cure.is_empty());
    let grade = if code == Some(Code(601)) { Grade::Warn } else { Grade::Bad };
    Finding { grade, code, cure, ..Finding::ok("store", found) }
}

/// The secret that signs what names none.
fn secret(secret: &str, show: bool) -> Finding {
    let shown = if show { secret } else { "•••• (--show-secret shows it)" };
    Finding::ok("webhook secret", format!("of this instance: {shown}"))
}

/// The directory, or the nearest folder above it that is there.
fn there(directory: &Path) -> &Path {
    let there = directory.ancestors().find(|folder| folder.is_dir());
    there.unwrap_or(Path::new("."))
}

/// What is left on the disk for this user; where the system does not say, nothing is said.
fn free_space(folder: &Path) -> Option<Finding> {
    let disk = rustix::fs::statvfs(folder).ok()?;
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    let shown = format!("{} MiB", free >> 20);
    Some(match free >= FREE_MIN {
        true => Finding::ok("free space", shown),
        false => {
            let cure = "make room: a run stops committing when the disk is full, and goes on when it is not";
            Finding::warn("free space", shown, cure)
        }
    })
}

/// Whether files can be made there, or where it would be made itself. A file is made and taken away again.
fn writable(directory: &Path) -> Finding {
    let probe = there(directory).join(format!(".thalweg-doctor-{}", std::process::id()));
    let made = std::fs::File::create_new(&probe).and_then(|_| std::fs::remove_file(&probe));
    match made {
        Ok(()) => Finding::ok("writable", "yes"),
        Err(why) => {
            let text = why.to_string();
            let text = text.split(" (os error").next().unwrap_or(&text).to_lowercase();
            Finding::bad("writable", format!("no: {text}"), "give this user the folder, or another one by --data")
        }
    }
}

/// Whether the pages of a run can be served; nothing is said where none are. The port is taken and given back.
pub fn pages(config: &Config, is_running: bool) -> Option<Section> {
    let address = config.http.listen?;
    let finding = match std::net::TcpListener::bind(address) {
        Ok(_) => Finding::ok("listen", format!("{address} is free")),
        Err(why) if why.kind() == ErrorKind::AddrInUse && is_running => {
            Finding::ok("listen", format!("{address} is in use, most likely by the run under way"))
        }
        Err(why) => {
            let text = why.to_string();
            let text = text.split(" (os error").next().unwrap_or(&text).to_lowercase();
            let finding = Finding::bad("listen", format!("{address}: {text}"), "name another address in [http]");
            Finding { code: Some(Code(460)), ..finding }
        }
    };
    Some(Section::of("http", vec![finding]))
}

/// Every server among the sources, and the tables that were found there.
pub async fn servers(
    config: &Config,
    positions: Option<&[(Arc<str>, String)]>,
) -> Result<(Vec<Section>, Vec<Arc<Schema>>), Failure> {
    let (mut sections, mut schemas) = (Vec::new(), Vec::new());
    for source in &config.sources {
        match &source.kind {
            SourceKind::Mysql(mysql) => {
                let (section, found) = server(config, source, mysql, positions).await;
                sections.push(section);
                schemas.extend(found);
            }
            SourceKind::BinlogFile(files) => sections.push(files_of(source, &files.paths)),
            SourceKind::Jsonl { path } if path.as_os_str() != "-" => {
                sections.push(files_of(source, std::slice::from_ref(path)));
            }
            SourceKind::Jsonl { .. } | SourceKind::Deliveries | SourceKind::Generate { .. } => {}
        }
    }
    Ok((sections, schemas))
}

async fn server(
    config: &Config,
    source: &SourceConfig,
    mysql: &MysqlConfig,
    positions: Option<&[(Arc<str>, String)]>,
) -> (Section, Vec<Arc<Schema>>) {
    let about = format!("server {}", source.name);
    let url = match mysql.server.url(&Environment::process()) {
        Ok(url) => url,
        Err(why) => {
            let finding = Finding::bad("connection", why.to_string(), "set it as it is set for `thalweg run`");
            return (Section::of(about, vec![Finding { code: Some(Code(286)), ..finding }]), Vec::new());
        }
    };
    let server = Some(place(&url));
    let stands = match positions {
        None => Stands::Unknown,
        Some(known) => known.iter().find(|(name, _)| *name == source.name).map_or(Stands::Nowhere, |(_, at)| Stands::At(at)),
    };
    let examined = examine(&launch::mysql_config(&source.name, url, mysql, &config.spec), stands).await;
    (Section { server, ..Section::of(about, examined.findings) }, examined.schemas)
}

/// The files of a source; one with `*` or `?` in its name is found when it is read.
fn files_of(source: &SourceConfig, paths: &[PathBuf]) -> Section {
    let is_pattern = |path: &Path| path.file_name().is_some_and(|name| name.to_string_lossy().contains(['*', '?']));
    let looked = |path: &PathBuf| {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let read =
            if is_pattern(path) || path.is_dir() { folder.read_dir().map(drop) } else { std::fs::File::open(path).map(drop) };
        let shown = path.display().to_string();
        match read {
            Ok(()) => Finding::ok("file", shown),
            Err(_) => Finding::bad("file", format!("{shown} cannot be read"), "check the path, and that this user may read it"),
        }
    };
    Section::of(format!("source {}", source.name), paths.iter().map(looked).collect())
}
