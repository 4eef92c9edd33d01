//! Sessions of the engine's thread: plan, recover, run; again when the tables or the definition change.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use thalweg_graph::plan::Plan;
use thalweg_graph::ports::{SourceMessage, Store, StoreError};
use thalweg_graph::spec::Finding;
use thalweg_graph::{GraphSpec, Schema, planning};
use thalweg_sinks::SinkContext;
use thalweg_store::StoreConfig;
use tokio::sync::{mpsc, watch};

use super::actions::Actions;
use super::clears;
use super::clock::Clock;
use super::commit;
use super::deliveries::Hatch;
use super::desk::{Desk, Hall};
use super::dispatch::{Dispatcher, End};
use super::following::Following;
use super::launch;
use super::lost;
use super::pump::{Arrival, Ended, Pump};
use super::raised;
use super::recover::recover;
use super::reload::{self, Accepted, Renewed, Taking};
use super::status::Board;
use super::{RunError, SourceSetup};

/// How long a reload waits for its sources' tables; nothing is computed meanwhile.
const TELLING: Duration = Duration::from_secs(10);

/// What every session of a run shares.
pub(super) struct Sessions {
    pub spec: GraphSpec,
    pub sinks: SinkContext,
    pub workers: usize,
    pub snapshot_every: u64,
    pub clock: Arc<dyn Clock>,
    pub board: Arc<Board>,
    /// The tables as known so far.
    pub schemas: Vec<Arc<Schema>>,
    /// Declared keys and types, for rows that are taken from the store.
    pub rows: StoreConfig,
    pub stop: watch::Receiver<bool>,
    /// Where acts come in.
    pub desk: Desk,
    /// Where what becomes of deliveries is followed.
    pub hatch: Hatch,
    pub tokio: tokio::runtime::Handle,
}

impl Sessions {
    /// Runs sessions until one ends for good.
    pub(super) fn run(
        mut self,
        mut store: Box<dyn Store>,
        sources: Following,
        mut reloads: mpsc::Receiver<reload::Ask>,
    ) -> Result<(), RunError> {
        let local = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime can be built");
        local.block_on(async {
            let mut queue = Arrivals { early: VecDeque::new(), sources };
            let mut taking = None;
            // A definition may name tables that the store has not seen: its sources tell them.
            let is_known = !self.schemas.is_empty() && lost::plan(&self.spec, &self.schemas).is_ok();
            if !is_known && !self.first_schemas(&mut queue).await {
                return Ok(());
            }
            loop {
                let (ended, back) = self.session(store, &mut queue, &mut reloads, taking.take()).await?;
                store = back;
                match ended {
                    Ended::Clear(held) => {
                        let Arrival { source, message, held } = *held;
                        tracing::info!("source {source}: a table was emptied, its rows are taken from the store");
                        let message = clears::told(message, store.as_mut(), &self.rows)?;
                        queue.early.push_front(Arrival { source, message, held });
                    }
                    Ended::Schemas(source, schemas) => {
                        tracing::info!("source {source}: tables changed, planning again");
                        self.learn(schemas);
                    }
                    Ended::Reload(ask) => {
                        taking = self.reload(*ask, store.as_mut(), &mut queue).await?;
                    }
                    Ended::Unreadable(source_name, reason) => return Err(RunError::SourceStopped { source_name, reason }),
                    Ended::Stopped | Ended::StoreClosed => return Ok(()),
                }
            }
        })
    }

    /// Goes on with another definition. `None`: its sources show tables that do not bear it, so all is as it was.
    async fn reload(
        &mut self,
        mut ask: reload::Ask,
        store: &mut dyn Store,
        arrivals: &mut Arrivals,
    ) -> Result<Option<Taking>, StoreError> {
        if let Some(Renewed { sources, before }) = ask.definition.sources.take() {
            let schemas = self.schemas.clone();
            self.connect(sources, store, arrivals).await;
            let checked = match tokio::time::timeout(TELLING, self.first_schemas(arrivals)).await {
                Ok(true) => ask.check(&self.schemas),
                _ => {
                    ask.refuse(format!("E0620: the sources did not tell their tables within {TELLING:?}; look at the log, or restart `thalweg run`"));
                    None
                }
            };
            let Some(checked) = checked else {
                self.schemas = schemas;
                self.connect(before, store, arrivals).await;
                return Ok(None);
            };
            ask = checked;
        }
        let (Accepted { spec, sinks, workers, follower }, taking) = ask.accept(&self.spec);
        self.rows = launch::store_config(&spec);
        store.declare(self.rows.keys.clone(), self.rows.types.clone());
        store.follow(follower)?;
        (self.spec, self.sinks, self.workers) = (spec, sinks, workers);
        Ok(Some(taking))
    }

    /// Sources take the place of those that run, from the last commit on.
    async fn connect(&mut self, sources: Vec<SourceSetup>, store: &mut dyn Store, arrivals: &mut Arrivals) {
        let none = Following::start(Vec::new(), &[], &self.tokio);
        std::mem::replace(&mut arrivals.sources, none).end().await;
        arrivals.early.clear();
        arrivals.sources = Following::start(sources, &store.recovered().positions, &self.tokio);
        self.board.follow(&arrivals.sources.names);
    }

    /// Waits until every source that announces its tables has done so. `false`: asked to stop before.
    async fn first_schemas(&mut self, arrivals: &mut Arrivals) -> bool {
        let mut missing = arrivals.sources.announcing.clone();
        while !missing.is_empty() {
            let arrival = tokio::select! {
                () = raised(&mut self.stop) => return false,
                arrival = arrivals.sources.queue.recv() => arrival,
            };
            let Some(Arrival { source, message, held }) = arrival else { return false };
            match message {
                SourceMessage::Schemas(schemas) => {
                    missing.remove(&source);
                    self.learn(schemas);
                }
                SourceMessage::Status(status) => super::pump::report_status(&self.board, &source, status),
                message => arrivals.early.push_back(Arrival { source, message, held }),
            }
        }
        true
    }

    /// The newest schema of a table replaces the one before.
    fn learn(&mut self, schemas: Vec<Arc<Schema>>) {
        for schema in schemas {
            self.schemas.retain(|known| known.table != schema.table);
            self.schemas.push(schema);
        }
        self.schemas.sort_by(|a, b| a.table.cmp(&b.table));
    }

    /// The plan over the tables as they are. A definition that has run before goes on without the rules that its tables no longer bear.
    fn plan(&self, has_run: bool) -> Result<(Plan, Vec<Finding>), RunError> {
        if !has_run {
            return planning::plan(&self.spec, &self.schemas).map_err(RunError::Definition);
        }
        let (plan, warnings, lost) = lost::plan(&self.spec, &self.schemas).map_err(RunError::Definition)?;
        if self.board.read().lost != lost {
            lost.iter().for_each(|rule| tracing::error!("{} is left out: {}", rule.what, rule.reason));
            self.board.update(|report| report.lost = lost);
        }
        Ok((plan, warnings))
    }

    async fn session(
        &self,
        mut store: Box<dyn Store>,
        arrivals: &mut Arrivals,
        reloads: &mut mpsc::Receiver<reload::Ask>,
        taking: Option<Taking>,
    ) -> Result<(Ended, Box<dyn Store>), RunError> {
        let (plan, warnings) = self.plan(store.recovered().epoch > 0)?;
        for finding in &warnings {
            tracing::warn!("{}", finding.problem);
        }
        let actions = Arc::new(Actions::new(self.sinks.clone()));
        let plan_actions = actions.of_plan(&plan).map_err(RunError::Definition)?;
        let plan = Arc::new(plan);
        let mut sequencer = recover(plan.clone(), self.workers, store.as_mut())?;
        let epoch = sequencer.engine().epoch();
        self.board.update(|report| {
            (report.epoch, report.committed) = (epoch, epoch);
            report.nodes = (plan.fields.len() + plan.effects.len() + plan.reactions.len()) as u64;
            (report.timers, report.next_timer) = (sequencer.timers() as u64, sequencer.next_due());
        });
        if let Some(taking) = taking {
            taking.done(epoch);
        }
        let (committer, outbox, thread) = commit::start(store, self.board.clone());
        let (timers, timer_asks) = mpsc::channel(1);
        let (goals, goal_asks) = mpsc::channel(1);
        self.desk.serve(Some(Hall { outbox: outbox.clone(), timers, goals }));
        self.hatch.serve(Some(outbox.clone()));
        let (hush, quiet) = watch::channel(None);
        let dispatcher = self.tokio.spawn(Dispatcher::new(outbox, actions, self.clock.clone(), self.board.clone()).run(quiet));
        let mut pump = Pump {
            sequencer,
            actions: plan_actions,
            committer,
            board: self.board.clone(),
            clock: self.clock.clone(),
            secret: self.sinks.secret.clone(),
            snapshot_every: self.snapshot_every,
            schemas: self.schemas.clone(),
            positions: VecDeque::new(),
            idle_positions: Vec::new(),
            since_snapshot: 0,
            timer_asks,
            goal_asks,
        };
        let ended = pump.run(arrivals, reloads, &mut self.stop.clone()).await;
        self.desk.serve(None);
        self.hatch.serve(None);
        drop(pump);
        let goes_on = !matches!(ended, Ended::Stopped | Ended::StoreClosed | Ended::Unreadable(..));
        hush.send_replace(Some(if goes_on { End::Settle } else { End::Drain }));
        dispatcher.await.expect("invariant: the dispatcher does not panic");
        let store = thread.join().expect("invariant: the commit thread does not panic")?;
        Ok((ended, store))
    }
}

/// The sources' queue, with what arrived while the first plan was waited for.
pub(super) struct Arrivals {
    early: VecDeque<Arrival>,
    sources: Following,
}

impl Arrivals {
    #[cfg(test)]
    pub(super) fn of(queue: mpsc::Receiver<Arrival>) -> Arrivals {
        let mut sources = Following::start(Vec::new(), &[], &tokio::runtime::Handle::current());
        sources.queue = queue;
        Arrivals { early: VecDeque::new(), sources }
    }

    /// The next arrival; `None` when every source is gone.
    pub(super) async fn recv(&mut self) -> Option<Arrival> {
        match self.early.pop_front() {
            Some(arrival) => Some(arrival),
            None => self.sources.queue.recv().await,
        }
    }

    /// The next arrival, if it is there.
    pub(super) fn try_recv(&mut self) -> Option<Arrival> {
        self.early.pop_front().or_else(|| self.sources.queue.try_recv().ok())
    }
}
