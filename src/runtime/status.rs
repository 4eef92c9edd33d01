//! The board: what every part of the runtime reports, for `/status`, `/metrics`, the demo's live line and idleness.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use thalweg_formulas::{Timestamp, Value, json};
use thalweg_graph::Epoch;
use thalweg_graph::ports::{CommitBatch, OutboxCounts, Paused, SourceStatus};
use thalweg_graph::transaction::Body;
use thalweg_server::status as page;
use thalweg_server::status::BatchSizes;
use tokio::sync::watch;

use super::endpoints::Resting;
use super::lost::Lost;
pub use super::reading::Reading;

/// What is known now. A copy of it is taken for every reader.
#[derive(Clone, Debug)]
pub struct Report {
    /// When the runtime started.
    pub started: Instant,
    /// The last computed epoch.
    pub epoch: Epoch,
    /// The last committed epoch.
    pub committed: Epoch,
    /// Commit time, at its source, of the newest committed transaction.
    pub committed_at: Timestamp,
    /// Transactions, row changes, deltas, firings and errors since the start.
    pub totals: Totals,
    /// Commits since the start.
    pub commits: u64,
    /// How many transactions they held.
    pub batches: BatchSizes,
    /// Delivery attempts since the start, and how many of them failed.
    pub attempts: (u64, u64),
    /// Outbox rows by state.
    pub outbox: OutboxCounts,
    /// Sources by name.
    pub sources: BTreeMap<Arc<str>, SourceReport>,
    /// Why the store does not commit, if it does not.
    pub store_problem: Option<String>,
    /// Rules that are left out, since their tables no longer bear them.
    pub lost: Vec<Lost>,
    /// Rules that are paused.
    pub paused: Vec<Paused>,
    /// Endpoints that are left alone for a while.
    pub resting: Vec<Resting>,
    /// The data directory.
    pub directory: PathBuf,
    /// Timers that wait.
    pub timers: u64,
    /// When the first of them is due.
    pub next_timer: Option<Timestamp>,
    /// Derived fields, effects and reactions.
    pub nodes: u64,
    /// When something last moved.
    pub moved: Instant,
}

/// Totals since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Transactions computed.
    pub transactions: u64,
    /// Row changes in them.
    pub changes: u64,
    /// Deltas of derived fields; what fills move is not counted.
    pub deltas: u64,
    /// Firings.
    pub fired: u64,
    /// Errors raised or withdrawn.
    pub errors: u64,
    /// Changes whose after-image was already stored.
    pub redundant: u64,
}

/// One source.
#[derive(Clone, Debug)]
pub struct SourceReport {
    /// How it is doing.
    pub status: SourceStatus,
    /// Its last committed position.
    pub position: Option<String>,
    /// It has ended.
    pub ended: bool,
    pub(super) reading: Option<Reading>,
}

impl SourceReport {
    fn new() -> SourceReport {
        SourceReport { status: SourceStatus::Connecting { error: None }, position: None, ended: false, reading: None }
    }

    /// The rows that it is reading in, if it is.
    pub fn reading(&self) -> Option<&Reading> {
        self.reading.as_ref()
    }

    /// Whether nothing older than now is still to come from it.
    pub fn caught_up(&self) -> bool {
        self.ended || self.status == SourceStatus::Live(true)
    }

    /// Why it cannot connect, if it has tried and could not.
    pub fn unreachable(&self) -> Option<&str> {
        match &self.status {
            SourceStatus::Connecting { error } => error.as_deref(),
            _ => None,
        }
    }

    /// Whether timers wait for it: it is about to bring what happened before now. One that has ended, stopped or cannot connect is not waited for.
    pub fn is_waited_for(&self) -> bool {
        match &self.status {
            SourceStatus::Connecting { error } => !self.ended && error.is_none(),
            SourceStatus::Snapshot(_) | SourceStatus::Live(false) => !self.ended,
            SourceStatus::Live(true) | SourceStatus::Filling(_) | SourceStatus::Stopped(_) => false,
        }
    }
}

/// Where the parts report. Rings `changed` on every report.
pub struct Board {
    report: Mutex<Report>,
    changed: watch::Sender<u64>,
    /// Something is being made durable: nothing is idle, however long the disk takes.
    writes: AtomicBool,
}

impl Board {
    /// An empty board for these sources and this data directory.
    pub fn new(sources: impl IntoIterator<Item = Arc<str>>, directory: PathBuf) -> Self {
        let report = Report {
            started: Instant::now(),
            epoch: 0,
            committed: 0,
            committed_at: Timestamp(0),
            totals: Totals::default(),
            commits: 0,
            batches: BatchSizes::default(),
            attempts: (0, 0),
            outbox: OutboxCounts::default(),
            sources: sources.into_iter().map(|name| (name, SourceReport::new())).collect(),
            store_problem: None,
            lost: Vec::new(),
            paused: Vec::new(),
            resting: Vec::new(),
            directory,
            timers: 0,
            next_timer: None,
            nodes: 0,
            moved: Instant::now(),
        };
        Self { report: Mutex::new(report), changed: watch::Sender::new(0), writes: AtomicBool::new(false) }
    }

    /// Something is being made durable from here on, or is no more.
    pub(super) fn writes(&self, now: bool) {
        self.writes.store(now, Ordering::Release);
    }

    /// Whether something is being made durable.
    pub(super) fn is_writing(&self) -> bool {
        self.writes.load(Ordering::Acquire)
    }

    /// A copy of what is known.
    pub fn read(&self) -> Report {
        self.lock().clone()
    }

    /// Changes it, and rings.
    pub fn update(&self, change: impl FnOnce(&mut Report)) {
        self.change(false, change);
    }

    /// `quiet`: what changed is no movement (a position that goes on while nothing that matters happens).
    fn change(&self, quiet: bool, change: impl FnOnce(&mut Report)) {
        {
            let mut report = self.lock();
            change(&mut report);
            if !quiet {
                report.moved = Instant::now();
            }
        }
        self.changed.send_modify(|n| *n = n.wrapping_add(1));
    }

    /// Rings when something is reported.
    pub fn changed(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// Other sources take the place of those that ran; one of the same name stands where it stood.
    pub(super) fn follow(&self, names: &[Arc<str>]) {
        self.update(|report| {
            let mut before = std::mem::take(&mut report.sources);
            let position = |name: &Arc<str>| before.remove(name).and_then(|source| source.position);
            let sources = names.iter().cloned().zip(names.iter().map(position));
            report.sources = sources.map(|(name, position)| (name, SourceReport { position, ..SourceReport::new() })).collect();
        });
    }

    /// A batch is durable.
    pub fn committed(&self, batch: &CommitBatch) {
        let quiet = batch.transactions.is_empty();
        self.change(quiet, |report| {
            let transactions = batch.transactions.len() as u64;
            if transactions > 0 {
                report.committed = batch.first + transactions - 1;
            }
            let newest = batch.transactions.iter().filter(|t| !matches!(t.body, Body::Timer(_))).map(|t| t.at).max();
            report.committed_at = report.committed_at.max(newest.unwrap_or_default());
            report.commits += 1;
            report.batches.observe(transactions);
            for (name, position) in &batch.positions {
                if let Some(source) = report.sources.get_mut(name) {
                    source.position = Some(position.clone());
                }
            }
        });
    }

    /// The outbox changed.
    pub fn outbox(&self, counts: OutboxCounts) {
        self.update(|report| report.outbox = counts);
    }

    /// The store commits again, or says why not.
    pub fn store_problem(&self, problem: Option<String>) {
        if self.lock().store_problem != problem {
            self.update(|report| report.store_problem = problem);
        }
    }

    /// A source reports.
    pub fn source(&self, name: &Arc<str>, change: impl FnOnce(&mut SourceReport)) {
        self.update(|report| {
            if let Some(source) = report.sources.get_mut(name) {
                change(source);
            }
        });
    }

    /// A panic while the lock was held leaves at worst a half-written report, which the next one corrects.
    fn lock(&self) -> MutexGuard<'_, Report> {
        self.report.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The report as `/status` and `/metrics` show it, at `now`.
pub fn snapshot(report: &Report, now: Timestamp) -> page::StatusSnapshot {
    let stopped = report.sources.iter().filter_map(|(name, source)| match &source.status {
        SourceStatus::Stopped(reason) => Some(page::Stopped { what: format!("source {name}"), reason: reason.clone() }),
        _ => None,
    });
    let store = report.store_problem.iter().map(|reason| page::Stopped { what: "store".into(), reason: reason.clone() });
    let lost = report.lost.iter().map(|rule| page::Stopped { what: rule.what.clone(), reason: rule.reason.clone() });
    page::StatusSnapshot {
        version: env!("CARGO_PKG_VERSION").into(),
        uptime_seconds: report.started.elapsed().as_secs_f64(),
        live: report.store_problem.is_none(),
        epoch: report.committed,
        nodes: report.nodes,
        sources: report.sources.iter().map(|(name, source)| source_page(name, source, report, now)).collect(),
        outbox: page::Outbox {
            fired: report.outbox.fired,
            acked: report.outbox.acked,
            dead: report.outbox.dead,
            cancelled: report.outbox.cancelled,
            pending: report.outbox.pending,
            coalesced: report.outbox.coalesced,
            oldest_pending_seconds: None,
        },
        timers: page::Timers { armed: report.timers, next_at: report.next_timer.map(time) },
        store: page::Store {
            path: report.directory.display().to_string(),
            bytes: bytes_below(&report.directory),
            snapshot_epoch: None,
        },
        counters: page::Counters {
            transactions: report.totals.transactions,
            deltas: report.totals.deltas,
            effects: report.totals.fired,
            commits: report.commits,
            field_errors: report.totals.errors,
            redundant: report.totals.redundant,
            attempts: report.attempts.0,
            attempts_failed: report.attempts.1,
        },
        batches: report.batches.clone(),
        stopped: stopped.chain(store).chain(lost).chain(report.paused.iter().map(paused_page)).collect(),
        waiting: report.resting.iter().map(resting_page).collect(),
    }
}

/// RFC 3339.
fn time(at: Timestamp) -> String {
    json::display(&Value::Timestamp(at)).trim_matches('"').to_owned()
}

fn paused_page(paused: &Paused) -> page::Stopped {
    let action = paused.action.map_or_else(String::new, |action| format!(", action {action}"));
    let since = time(paused.at);
    let cure = format!("thalweg effects resume {}", paused.node);
    let reason = format!("paused since {}: {}; go on with `{cure}`", since, paused.reason);
    page::Stopped { what: format!("rule {}{action}", paused.node), reason }
}

fn resting_page(resting: &Resting) -> page::Waiting {
    page::Waiting {
        what: format!("endpoint {}", resting.endpoint),
        reason: format!("{} failures in a row, the last: {}", resting.failures, resting.error),
        until: time(resting.until),
    }
}

fn source_page(name: &str, source: &SourceReport, report: &Report, now: Timestamp) -> page::Source {
    let (state, rows, error) = match &source.status {
        _ if source.ended => (page::SourceState::Ended, None, None),
        SourceStatus::Connecting { error } => (page::SourceState::Connecting, None, error.clone()),
        SourceStatus::Snapshot(read) | SourceStatus::Filling(read) => (page::SourceState::Snapshot, Some(read.rows), None),
        SourceStatus::Live(true) => (page::SourceState::Live, None, None),
        SourceStatus::Live(false) => (page::SourceState::Catching, None, None),
        SourceStatus::Stopped(reason) => (page::SourceState::Stopped, None, Some(reason.clone())),
    };
    let behind = (report.committed_at != Timestamp(0)).then(|| (now.0 - report.committed_at.0).max(0) as f64 / 1e6);
    page::Source {
        name: name.into(),
        state,
        position: source.position.as_deref().map(|position| thalweg_sources::mysql::place(position).to_owned()),
        // Caught up is caught up, however long ago the last transaction was.
        lag_seconds: if source.caught_up() { Some(0.0) } else { behind },
        snapshot_rows: rows,
        error,
    }
}

/// The size of the files in the data directory itself and one level below.
fn bytes_below(directory: &std::path::Path) -> u64 {
    let files = |path: &std::path::Path| std::fs::read_dir(path).into_iter().flatten().flatten();
    files(directory)
        .map(|entry| match entry.metadata() {
            Ok(meta) if meta.is_dir() => files(&entry.path()).filter_map(|e| e.metadata().ok()).map(|m| m.len()).sum(),
            Ok(meta) => meta.len(),
            Err(_) => 0,
        })
        .sum()
}
