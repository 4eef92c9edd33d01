//! The runtime: wires sources, sequencer, engine, store, sinks and the HTTP room into one process.
//!
//! ```text
//! sources ──► bounded queue ──► pump (sequencer, engine) ──► commit thread ──► dispatcher ──► sinks
//!   tokio      4,096, 256 MiB    its own thread               one fsync a      tokio
//!                                                             group of batches
//! ```
//!
//! The pump's thread lives in *sessions*: plan, recover from the store, run. When a source's tables change, the session ends, the store
//! comes back, and the next session plans with the new tables and recovers; sources stay connected and nothing fires. So does a changed definition ([`reload`]).
//!
//! Next to read: `pump`, [`commit`], [`dispatch`], [`recover`].

pub mod actions;
mod clears;
pub mod clock;
pub mod commit;
pub mod control;
pub mod deliveries;
pub mod desk;
pub mod dispatch;
pub mod dry;
pub mod endpoints;
pub mod launch;
pub mod lost;
mod pump;
pub mod queue;
pub mod reading;
pub mod recover;
pub mod reload;
pub mod status;
mod verdict;

mod following;
mod reread;
mod session;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use thalweg_graph::GraphSpec;
use thalweg_graph::ports::{Source, SourceStatus, Store, StoreError};
use thalweg_graph::spec::Finding;
use thalweg_sinks::SinkContext;
use tokio::sync::watch;

use clock::Clock;
use deliveries::Hatch;
use desk::Desk;
use following::Following;
use reload::{Reloader, Reread};
use session::Sessions;
use status::{Board, Report};

/// Everything that a run needs, chosen by the caller: nothing here reads a configuration file.
pub struct Setup {
    /// The graph.
    pub spec: GraphSpec,
    /// The sources.
    pub sources: Vec<SourceSetup>,
    /// The durable store, just opened.
    pub store: Box<dyn Store>,
    /// The store's directory, for `/status`; empty for a store in memory.
    pub directory: PathBuf,
    /// What sinks may know.
    pub sinks: SinkContext,
    /// Timely workers.
    pub workers: usize,
    /// Transactions between snapshots.
    pub snapshot_every: u64,
    /// Where `/health`, `/status` and `/metrics` are served, if anywhere.
    pub listen: Option<SocketAddr>,
    /// Stop when nothing has moved for so long.
    pub until_idle: Option<Duration>,
    /// The time for timers and retries.
    pub clock: Arc<dyn Clock>,
    /// Turns true when the run is to end.
    pub stop: watch::Receiver<bool>,
    /// The source that follows what becomes of deliveries finds the store here.
    pub hatch: Hatch,
    /// How the definition is read again for a reload; `None`: it is not.
    pub reread: Option<Reread>,
}

/// One source.
pub struct SourceSetup {
    /// The source.
    pub source: Box<dyn Source>,
    /// Whether it tells its tables' schemas before anything else, so that planning waits for them.
    pub announces: bool,
}

/// Why a run has ended badly.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// The definition does not fit the tables that the sources showed.
    #[error("the definition has errors")]
    Definition(Vec<Finding>),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The address for HTTP cannot be had.
    #[error("E0460: cannot listen on {address}: {error}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The cause.
        error: std::io::Error,
    },
    /// A source has stopped and needs somebody to act.
    #[error("source `{source_name}` stopped: {reason}")]
    SourceStopped {
        /// Which.
        source_name: Arc<str>,
        /// Code, reason and cure.
        reason: String,
    },
}

/// A run that has been set going.
pub struct Running {
    /// What it reports.
    pub board: Arc<Board>,
    /// Where HTTP is served.
    pub address: Option<SocketAddr>,
    /// Acknowledges, replays, withdraws, pauses.
    pub desk: Desk,
    /// Lets a changed definition take the place of the one that runs.
    pub reloader: Reloader,
    main: tokio::task::JoinHandle<Result<(), RunError>>,
}

impl Running {
    /// Whether it has ended.
    pub fn is_finished(&self) -> bool {
        self.main.is_finished()
    }

    /// Waits for its end; gives the last report.
    ///
    /// # Errors
    /// Why it ended badly.
    pub async fn wait(self) -> Result<Report, RunError> {
        self.main.await.expect("invariant: the main task does not panic")?;
        Ok(self.board.read())
    }
}

/// Starts everything.
///
/// # Errors
/// The HTTP address cannot be had.
pub async fn start(setup: Setup) -> Result<Running, RunError> {
    let names: Vec<Arc<str>> = setup.sources.iter().map(|s| s.source.name().into()).collect();
    let control = Some(setup.directory.clone()).filter(|directory| !directory.as_os_str().is_empty());
    let board = Arc::new(Board::new(names.clone(), setup.directory));
    let (stop, stopped) = watch::channel(false);
    let stop = Arc::new(stop);
    let desk = Desk::new(setup.clock.clone(), setup.sinks.secret.clone());
    let (reloader, reloads) = Reloader::new(setup.reread, setup.sinks.handlers.clone());
    let address = match setup.listen {
        Some(address) => Some(listen(address, &board, &desk, setup.clock.clone(), stopped.clone()).await?),
        None => None,
    };
    if let Some(directory) = control {
        // Without it the run is as good; only nobody can act on its deliveries from outside.
        match control::listen(&directory) {
            Ok(listener) => drop(tokio::spawn(control::serve(listener, desk.clone(), reloader.clone(), stopped.clone()))),
            Err(error) => tracing::warn!("no control socket in {}: {error}", directory.display()),
        }
    }
    let recovered = setup.store.recovered();
    let tokio = tokio::runtime::Handle::current();
    let sources = Following::start(setup.sources, &recovered.positions, &tokio);
    let sessions = Sessions {
        rows: launch::store_config(&setup.spec),
        spec: setup.spec,
        sinks: setup.sinks,
        workers: setup.workers,
        snapshot_every: setup.snapshot_every,
        clock: setup.clock,
        board: board.clone(),
        schemas: recovered.schemas,
        stop: stopped,
        desk: desk.clone(),
        hatch: setup.hatch,
        tokio,
    };
    let (done, mut ended) = tokio::sync::oneshot::channel();
    std::thread::Builder::new()
        .name("thalweg-engine".into())
        .spawn(move || done.send(sessions.run(setup.store, sources, reloads)))
        .expect("a thread can be started");
    let (mut ask, watched, idle) = (setup.stop, board.clone(), setup.until_idle);
    let main = tokio::spawn(async move {
        let early = tokio::select! {
            // By itself it ends when the store fails, or when a source stopped before it had told its tables.
            result = &mut ended => {
                result.expect("invariant: the engine thread answers")?;
                return stopped_source(&watched).map_or(Ok(()), Err);
            }
            () = raised(&mut ask) => None,
            outcome = idle_or_stopped(&watched, idle) => outcome,
        };
        stop.send_replace(true);
        ended.await.expect("invariant: the engine thread answers")?;
        early.map_or(Ok(()), Err)
    });
    Ok(Running { board, address, desk, reloader, main })
}

async fn listen(
    address: SocketAddr,
    board: &Arc<Board>,
    desk: &Desk,
    clock: Arc<dyn Clock>,
    mut stop: watch::Receiver<bool>,
) -> Result<SocketAddr, RunError> {
    let failed = |error| RunError::Listen { address, error };
    let listener = tokio::net::TcpListener::bind(address).await.map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    let board = board.clone();
    let status = Arc::new(move || status::snapshot(&board.read(), clock.now()));
    let acks = desk.acks();
    tokio::spawn(async move {
        if let Err(error) = thalweg_server::serve_acking(listener, status, acks, async move { raised(&mut stop).await }).await {
            tracing::error!("HTTP ended: {error}");
        }
    });
    Ok(bound)
}

/// Waits until a stop is asked for (or nobody is left to ask).
async fn raised(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}

/// Ends when nothing has moved for `idle`, or, with `idle` set, when a source has stopped for good or could not connect for so
/// long. Never ends without.
async fn idle_or_stopped(board: &Board, idle: Option<Duration>) -> Option<RunError> {
    let Some(idle) = idle else { return std::future::pending().await };
    let mut connected = Instant::now();
    loop {
        tokio::time::sleep(Duration::from_millis(20).min(idle)).await;
        if let Some(stopped) = stopped_source(board) {
            return Some(stopped);
        }
        let writing = board.is_writing();
        let report = board.read();
        match report.sources.iter().find_map(|(name, source)| Some((name, source.unreachable()?))) {
            Some((name, error)) if connected.elapsed() >= idle => {
                return Some(RunError::SourceStopped { source_name: name.clone(), reason: error.to_owned() });
            }
            Some(_) => {}
            None => connected = Instant::now(),
        }
        let caught_up = report.sources.values().all(status::SourceReport::caught_up);
        // What is being written is looked at first: what comes of it is reported before it is over.
        if !writing && caught_up && report.epoch == report.committed && report.moved.elapsed() >= idle {
            return None;
        }
    }
}

/// A source that has stopped for good, if there is one.
fn stopped_source(board: &Board) -> Option<RunError> {
    board.read().sources.into_iter().find_map(|(source_name, source)| match source.status {
        SourceStatus::Stopped(reason) => Some(RunError::SourceStopped { source_name, reason }),
        _ => None,
    })
}
