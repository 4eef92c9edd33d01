//! Several workers: timely's threads, one operator a level, an exchange between two levels.
//!
//! The driver hands every worker every batch, also an empty one, and waits for all outcomes; so at most one batch is under way,
//! and between batches a worker sleeps in its channel. Within a batch it parks in timely until mail or progress comes.
//!
//! - INV-LEVEL: a level's operator runs a batch once, when its input's frontier has passed the batch: then every worker has
//!   finished the level below, and all mail is here.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
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
use crate::shard::{Ingress, Shard};

/// What the driver asks of a worker.
enum Command {
    /// Run a batch and send its outcome.
    Run(Ingress),
    /// Do this with the shard, between batches.
    With(Box<dyn FnOnce(&mut Shard) + Send>),
}

/// The workers, seen from the driver.
pub struct Threads {
    commands: Vec<Sender<Command>>,
    outcomes: Receiver<Outcome>,
    guards: Option<WorkerGuards<()>>,
}

impl Threads {
    /// Starts `workers` threads.
    pub fn new(plan: &Arc<Plan>, state_deltas: bool, workers: usize) -> Threads {
        let (commands, inboxes): (Vec<_>, Vec<_>) = (0..workers).map(|_| channel()).unzip();
        let (outcome, outcomes) = channel();
        let inboxes: Arc<Vec<_>> = Arc::new(inboxes.into_iter().map(|inbox| std::sync::Mutex::new(Some(inbox))).collect());
        let (builders, guard) = CommunicationConfig::Process(workers)
            .try_build()
            .expect("invariant INV-WORKERS: workers of one process need nothing that could be missing");
        let plan = plan.clone();
        let guards = initialize_from(builders, guard, move |allocator: Allocator| {
            let config = WorkerConfig::default().progress_mode(ProgressMode::Eager).idle_spin(std::time::Duration::ZERO);
            let mut worker = Worker::new(config, allocator, Some(Instant::now()));
            let _watch = StopsTheProcess;
            let inbox = inboxes[worker.index()].lock().ok().and_then(|mut inbox| inbox.take());
            let shard = Shard::new(plan.clone(), state_deltas, worker.index(), worker.peers());
            if let Some(inbox) = inbox {
                serve(&mut worker, shard, &inbox, &outcome);
            }
        });
        let guards = guards.expect("invariant INV-WORKERS: threads can be started");
        Threads { commands, outcomes, guards: Some(guards) }
    }

    /// Runs a batch on all workers, given one ingress for each.
    pub fn run(&mut self, ingress: Vec<Ingress>) -> Outcome {
        for (command, ingress) in self.commands.iter().zip(ingress) {
            send(command, Command::Run(ingress));
        }
        let mut all = Outcome::default();
        for _ in 0..self.commands.len() {
            crate::outcome::merge(
                &mut all,
                self.outcomes.recv().expect("invariant INV-WORKERS: a worker lives as long as its engine"),
            );
        }
        all
    }

    /// Does something with one worker's shard, and waits for the answer.
    pub fn with<R: Send + 'static>(&self, worker: usize, f: impl FnOnce(&mut Shard) -> R + Send + 'static) -> R {
        let (answer, answers) = channel();
        let ask = Box::new(move |shard: &mut Shard| drop(answer.send(f(shard))));
        send(&self.commands[worker], Command::With(ask));
        answers.recv().expect("invariant INV-WORKERS: a worker lives as long as its engine")
    }
}

fn send(to: &Sender<Command>, command: Command) {
    to.send(command).expect("invariant INV-WORKERS: a worker lives as long as its engine");
}

impl Drop for Threads {
    fn drop(&mut self) {
        self.commands.clear();
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

/// A worker's life: command after command until the driver hangs up.
fn serve(worker: &mut Worker, shard: Shard, inbox: &Receiver<Command>, outcome: &Sender<Outcome>) {
    let shard = Rc::new(RefCell::new(shard));
    let mut input = InputHandle::new_with_builder();
    let probe = ProbeHandle::new();
    worker.dataflow::<u64, _, _>(|scope| build(scope, &mut input, &shard, &probe));
    let mut batches = 0;
    while let Ok(command) = inbox.recv() {
        match command {
            Command::With(f) => f(&mut shard.borrow_mut()),
            Command::Run(ingress) => {
                input.send(ingress);
                batches += 1;
                input.advance_to(batches);
                while probe.less_than(&batches) {
                    worker.step_or_park(None);
                }
                if outcome.send(shard.borrow_mut().finish()).is_err() {
                    break;
                }
            }
        }
    }
    drop(input);
    while !probe.done() {
        worker.step_or_park(None);
    }
}

type Batches = InputHandle<u64, CapacityContainerBuilder<Vec<Ingress>>>;
type Mail<'scope> = Stream<'scope, u64, Vec<Parcel>>;

fn build<'scope>(scope: Scope<'scope, u64>, input: &mut Batches, shard: &Rc<RefCell<Shard>>, probe: &ProbeHandle<u64>) {
    let batches = scope.input_from(input);
    let levels = shard.borrow().levels().to_vec();
    let inside = shard.clone();
    // The first level takes the batches in; they are on their worker already.
    let first = levels.first().copied();
    let mut mail: Mail<'scope> =
        batches.unary_frontier::<CapacityContainerBuilder<Vec<Parcel>>, _, _, _>(Pipeline, "intake", move |capability, _| {
            let mut stage = Stage { shard: inside, level: first, capability: Some(capability) };
            move |(input, frontier), output| {
                input.for_each(|_, batches: &mut Vec<Ingress>| {
                    batches.drain(..).for_each(|batch| stage.shard.borrow_mut().begin(batch));
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
                    parcels.drain(..).for_each(|parcel| stage.shard.borrow_mut().receive(parcel));
                });
                stage.advance(frontier.frontier().first().copied(), output);
            }
        });
    }
    mail.probe_with(probe);
}

/// One level on one worker.
struct Stage {
    shard: Rc<RefCell<Shard>>,
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
            let mut shard = self.shard.borrow_mut();
            if let Some(level) = self.level {
                shard.run_level(level);
            }
            output.session(capability).give_iterator(shard.parcels().into_iter());
            capability.downgrade(&frontier);
        }
    }
}
