//! One replication connection: events in, whole transactions out, in a task of its own.
//!
//! The task ends with its connection. A panic in the protocol library (malformed lengths can cause one) ends only the task, and counts as
//! a broken connection. A server that sends nothing for three heartbeats is given up: the link may be dead without a word.

use std::sync::Arc;
use std::time::{Duration, Instant};

use mysql_async::{Conn, Opts};
use thalweg_formulas::Timestamp;
use thalweg_graph::ports::SourceStatus;
use thalweg_graph::transaction::Body;
use thalweg_graph::{Schema, Transaction};
use tokio::sync::mpsc;

use super::added::Added;
use super::catalog::{Catalog, Missing};
use super::connect::{Flavour, connect};
use super::dump::{Dump, Event};
use super::extent::Mark;
use super::failure::Failure;
use super::follow::ANSWER_HEARTBEATS;
use super::share::{Events, Key, Share};
use crate::binlog::{Assembler, GtidState, Rewritten, Step, Watch};

/// What the task hands over.
#[derive(Debug)]
pub(crate) enum Out {
    /// New layouts.
    Schemas(Vec<Arc<Schema>>),
    /// A transaction, and the position after it.
    Transaction(Transaction, Mark),
    /// The position alone.
    Position(Mark),
    /// How it goes.
    Status(SourceStatus),
}

/// Transactions that wait for the runtime before reading pauses.
pub(crate) const QUEUE: usize = 256;
/// Transactions that are passed by before the position is handed over without any.
const PASSED_MAX: u32 = 1000;
/// Heartbeats without a byte until a connection is given up.
const SILENT_HEARTBEATS: u32 = 3;

/// Dolt's heartbeats come every 30 seconds, whatever it is asked for.
pub(crate) const SILENCE_MIN_DOLT: Duration = Duration::from_secs(90);

/// What a connection needs to know.
#[derive(Debug)]
pub(crate) struct Task {
    pub(crate) source: Arc<str>,
    pub(crate) opts: Opts,
    pub(crate) flavour: Flavour,
    pub(crate) watch: Watch,
    pub(crate) server_id: u32,
    pub(crate) heartbeat: Duration,
    /// Where the server stood at connect.
    pub(crate) target: GtidState,
    pub(crate) assembler: Assembler,
    /// Where its connection becomes one with those of other sources.
    pub(crate) share: Option<(Share, Key)>,
    /// Tables that are read in beside the log.
    pub(crate) added: Added,
    pub(crate) out: mpsc::Sender<Out>,
}

/// Reads until the connection breaks, the log cannot be followed, or nobody listens.
pub(crate) async fn run(mut task: Task, conn: Conn) -> Failure {
    match task.read(conn).await {
        Ok(()) => Failure::Retry("E0400: the server ended the connection".to_string()),
        Err(failure) => failure,
    }
}

/// The server's answer, unless it takes too long: where it is asked something there are no heartbeats.
pub(crate) async fn answered<T>(heartbeat: Duration, asked: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let silence_max = heartbeat * ANSWER_HEARTBEATS;
    tokio::time::timeout(silence_max, asked).await.unwrap_or_else(|_| Err(Failure::silent(silence_max)))
}

impl Task {
    async fn read(&mut self, conn: Conn) -> Result<(), Failure> {
        let start = self.assembler.start();
        let opened = answered(self.heartbeat, Dump::open(conn, self.flavour, self.server_id, self.heartbeat, start)).await?;
        let mut events = Events::Own(opened, Instant::now());
        let mut caught_up = self.announce_if_caught_up(false).await?;
        let mut passed = 0;
        let mut steps = Vec::new();
        let silence_max = match self.flavour {
            Flavour::Dolt => SILENCE_MIN_DOLT.max(self.heartbeat * SILENT_HEARTBEATS),
            Flavour::MariaDb | Flavour::MySql => self.heartbeat * SILENT_HEARTBEATS,
        };
        while let Some(event) = self.next(&mut events, silence_max, caught_up).await? {
            if !self.added.is_empty() {
                self.added.stood = (self.assembler.position().clone(), self.assembler.latest().cloned());
            }
            let refused = self.assembler.event(event.header, event.body(), &mut steps);
            for step in steps.drain(..) {
                let is_heartbeat = matches!(step, Step::Heartbeat);
                passed = if matches!(step, Step::Passed) {
                    passed + 1
                } else if is_heartbeat {
                    passed
                } else {
                    0
                };
                self.hand_over(step).await?;
                if passed >= PASSED_MAX || passed > 0 && is_heartbeat {
                    passed = 0;
                    self.send(Out::Position(self.mark())).await?;
                }
            }
            refused?;
            caught_up = self.announce_if_caught_up(caught_up).await?;
            // While tables are read in, the log waits for them now and then, and no other source should.
            if caught_up
                && self.added.is_empty()
                && !events.is_settled()
                && self.assembler.is_between()
                && let Some((share, key)) = &self.share
            {
                events = events.settle(share, key, &self.assembler.position().done, silence_max).await;
            }
        }
        Ok(())
    }

    async fn hand_over(&mut self, step: Step) -> Result<(), Failure> {
        match step {
            Step::Schema(schema) => self.send(Out::Schemas(vec![schema])).await,
            Step::Transaction { id, seconds, cause, body } => {
                self.added.at = Timestamp(i64::from(seconds) * 1_000_000);
                let body = match body {
                    body if self.added.is_empty() => Some(body),
                    body => self.fill(&id, body).await?,
                };
                match body {
                    Some(body) => self.send_transaction(id.origin(cause.as_ref()), body, self.mark()).await,
                    None => self.send(Out::Position(self.mark())).await,
                }
            }
            Step::Altered { rewritten } => self.read_layout(rewritten).await,
            Step::Passed | Step::Heartbeat => Ok(()),
        }
    }

    /// Reads the layout of the tables again, on a connection of its own; the rows of some may hold something else.
    async fn read_layout(&mut self, rewritten: Vec<Rewritten>) -> Result<(), Failure> {
        let asked = async {
            let mut conn = connect(&self.opts).await?;
            Catalog::read(&mut conn, self.flavour, &self.watch, Missing::Dropped).await
        };
        let catalog = answered(self.heartbeat, asked).await?;
        let schemas = catalog.schemas();
        self.assembler.learn(catalog.hints, &schemas);
        self.added.learn(catalog.tables, rewritten);
        self.send(Out::Schemas(schemas)).await
    }

    async fn announce_if_caught_up(&self, done: bool) -> Result<bool, Failure> {
        if done || !self.assembler.is_verified() || !self.assembler.position().done.covers(&self.target) {
            return Ok(done);
        }
        let status = if self.added.is_empty() { SourceStatus::Live(true) } else { SourceStatus::Filling(self.added.read) };
        self.send(Out::Status(status)).await?;
        Ok(true)
    }

    /// The next event; until it comes, what is to be read in beside the log.
    async fn next(&mut self, events: &mut Events, silence_max: Duration, caught_up: bool) -> Result<Option<Arc<Event>>, Failure> {
        while caught_up && !self.added.is_empty() {
            self.read_in().await?;
            let Some(pause) = self.added.pause() else { break };
            if let Ok(event) = tokio::time::timeout(pause, events.arrives()).await {
                return event;
            }
        }
        events.next(silence_max).await
    }

    /// What has been handed over up to here.
    pub(crate) fn mark(&self) -> Mark {
        let (place, latest) = (self.assembler.position().clone(), self.assembler.latest().cloned());
        Mark { place, latest, extent: self.added.extent() }
    }

    /// A transaction at the time of the newest one of the log.
    pub(crate) async fn send_transaction(&self, origin: Arc<str>, body: Body, mark: Mark) -> Result<(), Failure> {
        let transaction = Transaction { source: self.source.clone(), origin, at: self.added.at, body };
        self.send(Out::Transaction(transaction, mark)).await
    }

    pub(crate) async fn send(&self, out: Out) -> Result<(), Failure> {
        self.out.send(out).await.map_err(|_| Failure::Gone)
    }
}
