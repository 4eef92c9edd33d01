//! Several workers: timely's threads, one operator a level, an exchange between two levels.
//!
//! The driver hands every worker every batch, also an empty one, and waits for all outcomes; so at most one batch is under way,
//! and between batches a worker sleeps in its channel. Within a batch it parks in timely until mail or progress comes.
//!
//! To wake another thread takes as long as some dozens of changes. So a batch of few changes runs in the caller's thread, which takes the
//! shards one after the other through the same levels: one change costs about what it costs one worker. What a few changes reach, however
//! much that is, is then not shared out either.
//!
//! - INV-LEVEL: a level's operator runs a batch once, when its input's frontier has passed the batch: then every worker has
//!   finished the level below, and all mail is here.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Instant;

use thalweg_graph::{Outcome, Plan};
use timely::communication::{Allocator, WorkerGuards, initialize_from};
use timely::container::CapacityContainerBuilder;
use timely::dataflow::channels::pact::{Exchange, Pipeline};
use timely::dataflow::operators::generic::Operator;
use timely::dataflow::operators::{Input, Probe};
use timely::dataflow::{InputHandle, ProbeHandle, Scope, Stream};
use timely::worker::{ProgressMode, Worker};
use timely::{CommunicationConfig, WorkerConfig};

use crate::edges::mail::Parcel;
use crate::engine::Options;
use crate::shard::{Ingress, Shard};

/// A shard: its worker's while a batch is run there, else the driver's.
type Shared = Arc<Mutex<Shard>>;

/// The workers, seen from the driver.
pub struct Threads {
    shards: Vec<Shared>,
    /// Batches to run, by worker.
    batches: Vec<Sender<Ingress>>,
    outcomes: Receiver<Outcome>,
    guards: Option<WorkerGuards<()>>,
    /// The most changes of a batch that runs in the caller's thread.
    inline_max: usize,
}

fn lock(shard: &Shared) -> MutexGuard<'_, Shard> {
    shard.lock().expect("invariant INV-WORKERS: who panics with a shard ends the engine")
}

impl Threads {
    /// Starts as many threads as `options` say.
    pub fn new(plan: &Arc<Plan>, options: &Options) -> Threads {
        let Options { workers, inline_max, .. } = *options;
        let shards: Vec<Shared> = (0..workers).map(|me| Arc::new(Mutex::new(Shard::new(plan.clone(), options, me)))).collect();
        let (batches, inboxes): (Vec<_>, Vec<_>) = (0..workers).map(|_| channel()).unzip();
        let (outcome, outcomes) = channel();
        let inboxes: Arc<Vec<_>> = Arc::new(inboxes.into_iter().map(|inbox| Mutex::new(Some(inbox))).collect());
        let (builders, guard) = CommunicationConfig::Process(workers)
            .try_build()
            .expect("invariant INV-WORKERS: workers of one process need nothing that could be missing");
        let inside = shards.clone();
        let guards = initialize_from(builders, guard, move |allocator: Allocator| {
            let config = WorkerConfig::default().progress_mode(ProgressMode::Eager).idle_spin(std::time::Duration::ZERO);
            let mut worker = Worker::new(config, allocator, Some(Instant::now()));
            let _watch = StopsTheProcess;
            let inbox = inboxes[worker.index()].lock().ok().and_then(|mut inbox| inbox.take());
            let shard = inside[worker.index()].clone();
            if let Some(inbox) = inbox {
                serve(&mut worker, &shard, &inbox, &outcome);
            }
        });
        let guards = guards.expect("invariant INV-WORKERS: threads can be started");
        Threads { shards, batches, outcomes, guards: Some(guards), inline_max }
    }

    /// Runs a batch, given one ingress for each worker: in their threads, or here where it has few changes.
    pub fn run(&mut self, ingress: Vec<Ingress>) -> Outcome {
        let changes: usize = ingress.iter().map(Ingress::changes).sum();
        if changes <= self.inline_max && !ingress.iter().any(|ingress| ingress.thaw || ingress.batch.is_staged()) {
            return self.run_here(ingress);
        }
        for (batches, ingress) in self.batches.iter().zip(ingress) {
            batches.send(ingress).expect("invariant INV-WORKERS: a worker lives as long as its engine");
        }
        let mut all = Outcome::default();
        for _ in &self.batches {
            let part = self.outcomes.recv().expect("invariant INV-WORKERS: a worker lives as long as its engine");
            crate::outcome::merge(&mut all, part);
        }
        all
    }

    /// Runs a batch in the caller's thread, level by level, as INV-LEVEL says.
    fn run_here(&self, ingress: Vec<Ingress>) -> Outcome {
        let mut shards: Vec<_> = self.shards.iter().map(lock).collect();
        shards.iter_mut().zip(ingress).for_each(|(shard, ingress)| shard.begin(ingress));
        for at in 0..shards[0].levels().len() {
            let level = shards[0].levels()[at];
            shards.iter_mut().for_each(|shard| shard.run_level(level));
            let mail: Vec<Parcel> = shards.iter_mut().flat_map(|shard| shard.parcels()).collect();
            mail.into_iter().for_each(|parcel| shards[parcel.to as usize].receive(parcel));
        }
        let mut all = Outcome::default();
        shards.iter_mut().for_each(|shard| crate::outcome::merge(&mut all, shard.finish()));
        all
    }

    /// One worker's shard, between batches.
    pub fn shard(&self, worker: usize) -> MutexGuard<'_, Shard> {
        lock(&self.shards[worker])
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        self.batches.clear();
        drop(self.guards.take());
    }
}

/// A worker that panics has met a broken invariant and has named it; the others would wait for it for ever.
struct StopsTheProcess;

impl Drop for StopsTheProcess {
    fn drop(&mut self) {
        if std::thread::panicking() {
            std::process::abort();
        }
    }
}

/// A worker's life: batch after batch until the driver hangs up.
fn serve(worker: &mut Worker, shard: &Shared, inbox: &Receiver<Ingress>, outcome: &Sender<Outcome>) {
    let mut input = InputHandle::new_with_builder();
    let probe = ProbeHandle::new();
    worker.dataflow::<u64, _, _>(|scope| build(scope, &mut input, shard, &probe));
    for (ingress, batches) in inbox.iter().zip(1..) {
        input.send(ingress);
        input.advance_to(batches);
        while probe.less_than(&batches) {
            worker.step_or_park(None);
        }
        let done = lock(shard).finish();
        if outcome.send(done).is_err() {
            break;
        }
    }
    drop(input);
    while !probe.done() {
        worker.step_or_park(None);
    }
}

type Batches = InputHandle<u64, CapacityContainerBuilder<Vec<Ingress>>>;
type Mail<'scope> = Stream<'scope, u64, Vec<Parcel>>;

fn build<'scope>(scope: Scope<'scope, u64>, input: &mut Batches, shard: &Shared, probe: &ProbeHandle<u64>) {
    let batches = scope.input_from(input);
    let levels = lock(shard).levels().to_vec();
    let inside = shard.clone();
    // The first level takes the batches in; they are on their worker already.
    let first = levels.first().copied();
    let mut mail: Mail<'scope> =
        batches.unary_frontier::<CapacityContainerBuilder<Vec<Parcel>>, _, _, _>(Pipeline, "intake", move |capability, _| {
            let mut stage = Stage { shard: inside, level: first, capability: Some(capability) };
            move |(input, frontier), output| {
                input.for_each(|_, batches: &mut Vec<Ingress>| {
                    batches.drain(..).for_each(|batch| lock(&stage.shard).begin(batch));
                });
                stage.advance(frontier.frontier().first().copied(), output);
            }
        });
    for level in levels.into_iter().skip(1) {
        let inside = shard.clone();
        let by_worker = Exchange::new(|parcel: &Parcel| u64::from(parcel.to));
        mail = mail.unary_frontier::<CapacityContainerBuilder<Vec<Parcel>>, _, _, _>(by_worker, "level", move |capability, _| {
            let mut stage = Stage { shard: inside, level: Some(level), capability: Some(capability) };
            move |(input, frontier), output| {
                input.for_each(|_, parcels: &mut Vec<Parcel>| {
                    let mut shard = lock(&stage.shard);
                    parcels.drain(..).for_each(|parcel| shard.receive(parcel));
                });
                stage.advance(frontier.frontier().first().copied(), output);
            }
        });
    }
    mail.probe_with(probe);
}

/// One level on one worker.
struct Stage {
    shard: Shared,
    level: Option<u32>,
    /// For the next batch; dropped when no more will come.
    capability: Option<timely::dataflow::operators::Capability<u64>>,
}

impl Stage {
    /// Runs the level for a batch that the frontier has passed (INV-LEVEL).
    fn advance(
        &mut self,
        frontier: Option<u64>,
        output: &mut timely::dataflow::operators::generic::OutputBuilderSession<'_, u64, CapacityContainerBuilder<Vec<Parcel>>>,
    ) {
        let Some(capability) = &mut self.capability else { return };
        let Some(frontier) = frontier else {
            self.capability = None;
            return;
        };
        if frontier > *capability.time() {
            let mut shard = lock(&self.shard);
            if let Some(level) = self.level {
                shard.run_level(level);
            }
            output.session(capability).give_iterator(shard.parcels().into_iter());
            capability.downgrade(&frontier);
        }
    }
}
