//! `thalweg tail`: what happens in a database, or stands in a binlog, a JSON line each.
//!
//! It keeps nothing: no store, no snapshot. The sources are those of `run`, so a line is there exactly once and in log order, whatever
//! breaks in between; where the log cannot be followed exactly, `tail` ends and says why.
//!
//! Invariants:
//! - TAIL-1: what is written is a prefix of the log, whole transactions only, behind the place that `--from` names.
//! - TAIL-2: `native` lines read back as the same changes (`tail/native.rs`).
//!
//! Next to read: `tail/native.rs`.

mod debezium;
mod feed;
mod geometry;
mod maxwell;
mod native;
mod rows;

use std::sync::Arc;
use std::time::Duration;

use clap::{Args, ValueEnum};
use thalweg::runtime::queue::{Gate, Held};
use thalweg_graph::ports::{BoxFuture, Outlet, SourceMessage, SourceStatus};
use thalweg_graph::{Schema, Transaction};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::run::{in_runtime, interrupted, seconds};
use super::{Console, Exit, Failure};
use feed::{Feed, Place};

/// Messages that may wait between the source and the writing.
const QUEUE: usize = 256;

/// Print the changes of a database or a binlog file
#[derive(Debug, Args)]
#[command(before_help = "\
Examples:
  thalweg tail mysql://root@localhost/shop                       what happens from now on
  thalweg tail mysql://root@localhost/shop --from 0-1-42         what has happened since a GTID
  thalweg tail mysql://root@localhost/shop/dev --from start      each commit of a Dolt branch
  thalweg tail binlog.000003 --tables 'shop.order*'              what stands in a file
  thalweg tail binlog.000003 | thalweg apply thalweg.toml --input -

Exit: 0 at the end of the file or idle, 1 failed while running, 4 the server or file cannot be had, 130 interrupted")]
pub struct TailArgs {
    /// mysql://user:password@host:port/database, for a Dolt branch with /branch; or a binlog file, a folder of them, a pattern
    #[arg(value_name = "URL-or-BINLOG-FILE")]
    subject: String,
    /// How the lines look
    #[arg(long, value_enum, default_value = "native")]
    format: Format,
    /// Where to begin: behind a GTID position or a commit, at the start of the log, or now; default: now for a server, start for a file
    #[arg(long, value_name = "GTIDSET|start|now", value_parser = Place::parse)]
    from: Option<Place>,
    /// Only tables that match `db.table` or `table`, with `*` and `?`; several: with commas, or given again
    #[arg(long, value_name = "GLOB", value_delimiter = ',')]
    tables: Vec<String>,
    /// End when nothing has changed for so many seconds; a file is watched for more until then
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    until_idle: Option<Duration>,
}

/// How the lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// One transaction a line, as `thalweg apply` reads them
    Native,
    /// One row a line, as Maxwell 1.44 writes them
    Maxwell,
    /// One row a line, as Debezium's values without schema
    Debezium,
}

/// Makes lines. What it writes ends with a newline.
trait Lines {
    /// The layouts of tables, before their rows.
    fn schemas(&mut self, schemas: &[Arc<Schema>], out: &mut String);
    /// A transaction; `position` is the place behind it. One that is large is read part by part, and what is written of a part is passed on.
    ///
    /// # Errors
    /// No line of this format can say it, or it cannot be read: reason and cure.
    fn transaction(&mut self, transaction: &Transaction, position: &str, out: &mut Out<'_>) -> Result<(), String>;
}

/// Text on its way out.
struct Out<'a> {
    text: &'a mut String,
    write: &'a mut dyn FnMut(&str) -> std::io::Result<()>,
    failed: Option<std::io::Error>,
}

impl Out<'_> {
    /// Passes on what is written so far; `false`: nobody takes it.
    fn pass_on(&mut self) -> bool {
        self.failed = (self.write)(self.text).err();
        self.text.clear();
        self.failed.is_none()
    }
}

pub fn run(args: &TailArgs, console: &mut Console) -> Result<Exit, Failure> {
    let lines: Box<dyn Lines> = match args.format {
        Format::Native => Box::<native::Native>::default(),
        Format::Maxwell => Box::new(maxwell::Maxwell),
        Format::Debezium => Box::new(debezium::Debezium),
    };
    let feed = Feed::new(&args.subject, args.from.as_ref(), &args.tables, args.until_idle.is_some());
    in_runtime(async {
        let (sender, queue) = mpsc::channel(QUEUE);
        let skipping = feed.skips_to_the_end;
        tokio::spawn(feed.source.run(feed.position, Arc::new(Pipe { sender, gate: Gate::default() })));
        let (stop, by_hand) = interrupted();
        let mut tail = Tail { lines, console, text: String::new(), position: String::new(), skipping, progress: Progress::new() };
        let exit = tail.follow(queue, stop, args.until_idle).await?;
        tail.hint();
        let by_hand = by_hand.load(std::sync::atomic::Ordering::Relaxed);
        Ok(if by_hand { Exit::Interrupted } else { exit })
    })
}

/// The source's end of the queue.
struct Pipe {
    sender: mpsc::Sender<(SourceMessage, Held)>,
    gate: Gate,
}

impl Outlet for Pipe {
    fn send(&self, message: SourceMessage) -> BoxFuture<'_, bool> {
        Box::pin(async move {
            let held = self.gate.enter(&message).await;
            self.sender.send((message, held)).await.is_ok()
        })
    }
}

/// What is known of how the source is doing.
struct Progress {
    /// It has reached where the log stood, and is connected.
    is_live: bool,
    /// It has been connected at least once.
    was_connected: bool,
    /// Why it is not connected now.
    trouble: Option<String>,
    /// Since when nothing has changed.
    since: Instant,
}

impl Progress {
    fn new() -> Progress {
        Progress { is_live: false, was_connected: false, trouble: None, since: Instant::now() }
    }

    /// When idling ends; nobody is idle who is catching up.
    fn deadline(&self, idle: Option<Duration>) -> Option<Instant> {
        idle.filter(|_| self.is_live || self.trouble.is_some()).map(|idle| self.since + idle)
    }
}

/// From messages to lines.
struct Tail<'a> {
    lines: Box<dyn Lines>,
    console: &'a mut Console,
    /// The lines of one message.
    text: String,
    /// Behind what has been written.
    position: String,
    /// What there is already is passed over.
    skipping: bool,
    progress: Progress,
}

impl Tail<'_> {
    /// Writes until the end, the interrupt, or idleness. What is written is flushed whenever nothing waits.
    async fn follow(
        &mut self,
        mut queue: mpsc::Receiver<(SourceMessage, Held)>,
        mut stop: watch::Receiver<bool>,
        idle: Option<Duration>,
    ) -> Result<Exit, Failure> {
        while !*stop.borrow() {
            let message = match queue.try_recv() {
                Ok(message) => Some(message),
                Err(_) => {
                    self.console.out().flush()?;
                    let deadline = self.progress.deadline(idle);
                    tokio::select! {
                        message = queue.recv() => message,
                        _ = stop.changed() => return Ok(Exit::Ok),
                        () = passed(deadline) => return self.idle(),
                    }
                }
            };
            match message {
                Some((SourceMessage::End, _)) | None => return Ok(Exit::Ok),
                Some((message, _held)) => self.message(message)?,
            }
        }
        Ok(Exit::Ok)
    }

    fn message(&mut self, message: SourceMessage) -> Result<(), Failure> {
        match message {
            SourceMessage::Schemas(schemas) => self.lines.schemas(&schemas, &mut self.text),
            SourceMessage::Transaction(transaction, position) => {
                self.progress.since = Instant::now();
                self.position = position.to_string();
                if !self.skipping {
                    let mut out = Out { text: &mut self.text, write: &mut |text| self.console.data(text), failed: None };
                    let written = self.lines.transaction(&transaction, &self.position, &mut out);
                    out.failed.map_or(Ok(()), Err)?;
                    written.map_err(|why| Failure::Said(Exit::Failed, format!("error: {why}")))?;
                }
            }
            SourceMessage::Position(position) => {
                let position = position.to_string();
                if self.position.is_empty() && !position.is_empty() && !self.skipping {
                    self.console.say(&format!("begins behind {position}"));
                }
                self.position = position;
            }
            SourceMessage::Status(status) => self.status(status)?,
            SourceMessage::End => {}
        }
        self.console.data(&self.text)?;
        self.text.clear();
        Ok(())
    }

    fn status(&mut self, status: SourceStatus) -> Result<(), Failure> {
        let progress = &mut self.progress;
        match status {
            SourceStatus::Stopped(why) => return Err(missing(&why)),
            SourceStatus::Connecting { error: Some(why) } if !progress.was_connected => return Err(missing(&why)),
            SourceStatus::Connecting { error: Some(why) } => {
                if progress.trouble.as_ref() != Some(&why) {
                    self.console.say(&format!("connection lost, trying again: {why}"));
                }
                if progress.trouble.replace(why).is_none() {
                    progress.since = Instant::now();
                }
                progress.is_live = false;
            }
            SourceStatus::Live(is_live) => {
                (progress.was_connected, progress.trouble, progress.is_live) = (true, None, is_live);
                progress.since = Instant::now();
                self.skipping &= !is_live;
            }
            SourceStatus::Connecting { error: None } | SourceStatus::Snapshot(_) | SourceStatus::Filling(_) => {}
        }
        Ok(())
    }

    /// Nothing has changed for long enough: the end, or the reason.
    fn idle(&self) -> Result<Exit, Failure> {
        self.progress.trouble.as_ref().map_or(Ok(Exit::Ok), |why| Err(missing(why)))
    }

    fn hint(&mut self) {
        if !self.position.is_empty() {
            self.console.next(&format!("go on behind this with --from '{}'", self.position));
        }
    }
}

async fn passed(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

/// The source cannot be followed, and nobody here can help. What `run` would do about it is not what helps here.
fn missing(why: &str) -> Failure {
    let cure = "begin elsewhere with --from";
    let why = ["tables", "files"]
        .iter()
        .fold(why.to_owned(), |why, what| why.replace(&format!("start with a new data directory to read the {what} anew"), cure));
    Failure::Said(Exit::Missing, format!("error: {why}"))
}
