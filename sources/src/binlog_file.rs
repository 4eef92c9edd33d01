//! Binlog files as a source: one file, several, or a folder of them, read in the order of their names.
//!
//! ```no_run
//! use thalweg_sources::binlog_file::{BinlogFileConfig, BinlogFileSource};
//!
//! let mut config = BinlogFileConfig::new("archive", "/backup/binlog.*");
//! config.tables = vec!["shop.*".into()];
//! let source = BinlogFileSource::new(config);
//! ```
//!
//! Transactions carry the same ids as over a connection to the server that wrote the files, so both ways cause the same effects. The position
//! is the GTID state; in a log without GTIDs it is file and offset.
//!
//! What no file tells: MariaDB's UUID and INET columns are their bytes, its JSON is text, and no rows are there that were written before
//! the first file. Column names must be in the files (`binlog_row_metadata = FULL`).
//!
//! Invariants:
//! - FILE-1: whole transactions in order, each once; half a transaction at the end is not delivered, and is read again from its beginning
//!   when there is more.
//! - FILE-2: nothing is skipped: a file that is missing between two others, or before the first, stops the source.
//!
//! Cost: one event in memory at a time, besides the transaction that it belongs to; of a very large one only its beginning ([`Spooling`]).
//! Next to read: `chain`.

mod chain;
mod events;
mod files;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use thalweg_graph::ports::{BoxFuture, Outlet, Source, SourceMessage, SourceStatus};
use tokio::sync::mpsc;

use crate::binlog::Spooling;
use chain::Chain;

/// The pause after a shortage that passes; it doubles up to [`PAUSE_MAX`].
const PAUSE_MIN: Duration = Duration::from_millis(200);
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// Messages that may wait between the reading thread and the outlet.
const QUEUE: usize = 256;

/// The codes of this source that a server has not; `src/explain/binlog-file.md` tells each one's story.
mod code {
    /// The files cannot be found or read.
    pub(super) const FILES: u16 = 430;
    /// A file is missing.
    pub(super) const MISSING: u16 = 431;
}

/// The settings of a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BinlogFileConfig {
    /// The source's name in the configuration.
    pub name: String,
    /// Files, folders, server's index files (`binlog.index`), or patterns with `*` and `?` in the last part.
    pub paths: Vec<PathBuf>,
    /// `db.table` with `*` and `?`; empty: every table of every database but the server's own.
    pub tables: Vec<String>,
    /// Wait for more at the end, also for further files, instead of ending.
    pub follow: bool,
    /// How often to look for more.
    pub poll: Duration,
    /// Where the rows of very large transactions wait, and what very large is.
    pub spooling: Spooling,
}

impl BinlogFileConfig {
    /// The usual settings: all tables, and an end at the end.
    pub fn new(name: impl Into<String>, path: impl Into<PathBuf>) -> BinlogFileConfig {
        BinlogFileConfig {
            name: name.into(),
            paths: vec![path.into()],
            tables: Vec::new(),
            follow: false,
            poll: Duration::from_millis(200),
            spooling: Spooling::default(),
        }
    }
}

/// The source. It reads in a thread of its own.
#[derive(Debug)]
pub struct BinlogFileSource {
    config: BinlogFileConfig,
}

impl BinlogFileSource {
    /// A source with these settings; nothing is opened before it runs, and wrong settings come as a `Stopped` status then.
    #[expect(clippy::new_ret_no_self, reason = "sources are used through their port")]
    pub fn new(config: BinlogFileConfig) -> Box<dyn Source> {
        Box::new(BinlogFileSource { config })
    }
}

impl Source for BinlogFileSource {
    fn name(&self) -> &str {
        &self.config.name
    }

    fn run(self: Box<Self>, position: Option<String>, outlet: Arc<dyn Outlet>) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            let (messages, mut queue) = mpsc::channel(QUEUE);
            std::thread::spawn(move || read(&self.config, position, &messages));
            while let Some(message) = queue.recv().await {
                if !outlet.send(message).await {
                    return;
                }
            }
        })
    }
}

/// Why reading has ended.
#[derive(Debug)]
enum Ended {
    /// The runtime wants nothing more.
    Gone,
    /// Something is short here that may be there later; everything up to `position` was handed over.
    Short { why: String, position: Option<String> },
    /// Nobody but the user can help; code, reason and cure.
    Stopped(String),
}

impl Ended {
    fn stopped(code: u16, reason: impl std::fmt::Display, cure: &str) -> Ended {
        Ended::Stopped(format!("{}: {reason}; {cure}", thalweg_formulas::Code(code)))
    }
}

/// Reads to the end, again from where it stands after a shortage. A closed queue means that nobody listens any more.
fn read(config: &BinlogFileConfig, mut position: Option<String>, messages: &mpsc::Sender<SourceMessage>) {
    let mut pause = PAUSE_MIN;
    loop {
        let ended = Chain::open(config.clone(), position.as_deref(), messages).and_then(Chain::read);
        let (why, at) = match ended {
            Ok(()) | Err(Ended::Gone) => return,
            Err(Ended::Short { why, position }) => (why, position),
            Err(Ended::Stopped(text)) => {
                let _ = messages.blocking_send(SourceMessage::Status(SourceStatus::Stopped(text)));
                return;
            }
        };
        let status = SourceMessage::Status(SourceStatus::Connecting { error: Some(why) });
        if messages.blocking_send(status).is_err() {
            return;
        }
        std::thread::sleep(pause);
        pause = if at == position { (pause * 2).min(PAUSE_MAX) } else { PAUSE_MIN };
        position = at;
    }
}
