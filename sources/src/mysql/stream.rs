//! One replication connection: events in, whole transactions out, in a task of its own.
//!
//! The task ends with its connection. A panic in the protocol library (malformed lengths can cause one) ends only the task, and counts as
//! a broken connection. A server that sends nothing for three heartbeats is given up: the link may be dead without a word.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_core::Stream;
use mysql_async::binlog::events::Event;
use mysql_async::prelude::Queryable;
use mysql_async::{BinlogStream, BinlogStreamRequest, Conn, Opts, Sid};
use thalweg_formulas::Timestamp;
use thalweg_graph::ports::SourceStatus;
use thalweg_graph::transaction::Body;
use thalweg_graph::{Schema, Transaction};
use tokio::sync::mpsc;

use super::added::Added;
use super::catalog::{Catalog, Missing};
use super::connect::{Flavour, connect};
use super::extent::Mark;
use super::failure::{Failure, NEW_SNAPSHOT, code};
use super::share::{Events, Key, Share};
use crate::binlog::frame::{FLAG_ARTIFICIAL, Header, kind, verify};
use crate::binlog::gtid_set::{GtidSet, Tag, Uuid};
use crate::binlog::{Assembler, DecodeError, GtidState, LogError, Step, Watch};

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

impl Task {
    async fn read(&mut self, conn: Conn) -> Result<(), Failure> {
        let start = self.assembler.position().start();
        let mut events = Events::Own(open(conn, self.flavour, self.server_id, self.heartbeat, start).await?, Instant::now());
        let mut caught_up = self.announce_if_caught_up(false).await?;
        let (mut passed, mut packed) = (0, false);
        let mut steps = Vec::new();
        let silence_max = match self.flavour {
            Flavour::Dolt => SILENCE_MIN_DOLT.max(self.heartbeat * SILENT_HEARTBEATS),
            Flavour::MariaDb | Flavour::MySql => self.heartbeat * SILENT_HEARTBEATS,
        };
        while let Some(event) = self.next(&mut events, silence_max, caught_up).await? {
            let (header, body) = checked(&event)?;
            if header.kind == kind::TRANSACTION_PAYLOAD {
                packed = true; // The events in it follow one by one: the protocol library has unpacked them.
                continue;
            }
            // They are a whole transaction, and have no places of their own. Where it could not unpack them it says nothing.
            if header.end != 0 && std::mem::take(&mut packed) && !self.assembler.is_between() {
                return Err(LogError::from(DecodeError::malformed("a compressed transaction that cannot be unpacked")).into());
            }
            if !self.added.is_empty() {
                self.added.stood.clone_from(self.assembler.position());
            }
            let refused = self.assembler.event(header, body, &mut steps);
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
            Step::Altered => self.read_layout().await,
            Step::Passed | Step::Heartbeat => Ok(()),
        }
    }

    /// Reads the layout of the tables again, on a connection of its own.
    async fn read_layout(&mut self) -> Result<(), Failure> {
        let mut conn = connect(&self.opts).await?;
        let catalog = Catalog::read(&mut conn, self.flavour, &self.watch, Missing::Dropped).await?;
        let schemas = catalog.schemas();
        self.assembler.learn(catalog.hints, &schemas);
        self.added.learn(catalog.tables);
        self.send(Out::Schemas(schemas)).await
    }

    async fn announce_if_caught_up(&self, done: bool) -> Result<bool, Failure> {
        if done || !self.assembler.position().done.covers(&self.target) {
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
        Mark { place: self.assembler.position().clone(), extent: self.added.extent() }
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

/// Asks for the log from behind `start`.
pub(crate) async fn open(
    mut conn: Conn,
    flavour: Flavour,
    server_id: u32,
    heartbeat: Duration,
    start: &GtidState,
) -> Result<BinlogStream, Failure> {
    conn.query_drop("SET SESSION net_write_timeout = 3600").await?;
    conn.query_drop(format!("SET @master_heartbeat_period = {0}, @source_heartbeat_period = {0}", heartbeat.as_nanos())).await?;
    let request = BinlogStreamRequest::new(server_id);
    let request = match flavour {
        Flavour::MariaDb => {
            conn.query_drop("SET @mariadb_slave_capability = 4, @slave_gtid_strict_mode = 0, @slave_gtid_ignore_duplicates = 0")
                .await?;
            conn.query_drop(format!("SET @slave_connect_state = '{start}'")).await?;
            request
        }
        Flavour::MySql | Flavour::Dolt => request.with_gtid().with_gtid_set(sids(start.executed())?),
    };
    Ok(conn.get_binlog_stream(request).await?)
}

/// The set in the protocol library's terms: one entry for each server and tag.
fn sids(set: &GtidSet) -> Result<Vec<Sid<'static>>, Failure> {
    let mut texts: Vec<((Uuid, &Tag), String)> = Vec::new();
    for run in set.intervals() {
        let stream = (run.uuid, run.tag);
        if texts.last().is_none_or(|(last, _)| *last != stream) {
            let tag = run.tag.as_str();
            texts.push((stream, if tag.is_empty() { run.uuid.to_string() } else { format!("{}:{tag}", run.uuid) }));
        }
        let (_, text) = texts.last_mut().expect("invariant: it was pushed above");
        text.push_str(&format!(":{}-{}", run.first, run.last));
    }
    let parse = |(_, text): ((Uuid, &Tag), String)| {
        text.parse().map_err(|e| Failure::stop(code::SETTING, format!("the position {text} cannot be sent: {e}"), NEW_SNAPSHOT))
    };
    texts.into_iter().map(parse).collect()
}

/// The next event; `None` at the end of the stream.
pub(crate) async fn next(stream: &mut BinlogStream, silence_max: Duration) -> Result<Option<Event>, Failure> {
    let event = poll_fn(|cx| Pin::new(&mut *stream).poll_next(cx));
    match tokio::time::timeout(silence_max, event).await {
        Ok(event) => Ok(event.transpose()?),
        Err(_) => Err(Failure::silent(silence_max)),
    }
}

/// The event in this crate's terms, its checksum verified.
pub(crate) fn checked(event: &Event) -> Result<(Header, &[u8]), Failure> {
    let h = event.header();
    let header = Header {
        timestamp: h.timestamp(),
        kind: h.event_type_raw(),
        server_id: h.server_id(),
        size: h.event_size(),
        end: h.log_pos(),
        flags: h.flags_raw(),
    };
    let algorithm = event.footer().get_checksum_alg().ok().flatten().map(|a| a as u8);
    let is_description = header.kind == kind::FORMAT_DESCRIPTION;
    if let (Some(crc), Some(1)) = (event.checksum(), algorithm) {
        // What stands in no file has no checksum that the library could know: it is made up for this connection, or was part of a
        // compressed transaction, whose checksum was verified for the whole. That it says no place is no sign: from 11 on MariaDB's events
        // within a transaction say none.
        let known = header.flags & FLAG_ARTIFICIAL == 0 && event.footer().get_checksum_enabled() || is_description;
        if known {
            verify(header, event.data(), algorithm.filter(|_| is_description), crc).map_err(crate::binlog::LogError::from)?;
        }
    }
    Ok((header, event.data()))
}
