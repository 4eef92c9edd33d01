//! A dataflow that is written by hand, as a contestant: up to four inputs, one or several workers.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use differential_dataflow::input::InputSession;
use differential_dataflow::{Data, VecCollection};
use timely::communication::{Allocator, WorkerGuards, initialize_from};
use timely::dataflow::operators::Probe as _;
use timely::dataflow::operators::probe::Handle as Probe;
use timely::worker::Worker;
use timely::{CommunicationConfig, WorkerConfig};

use super::data::Edit;
use super::workloads::Contestant;

/// Rows that come and go.
pub type Rows<D> = Vec<(D, isize)>;

/// A collection inside a dataflow.
pub type Collection<'scope, D> = VecCollection<'scope, u32, D, isize>;

/// What a step brings to each of the inputs.
#[derive(Debug)]
pub struct Input<A, B = (), C = (), D = ()> {
    /// To the first.
    pub a: Rows<A>,
    /// To the second.
    pub b: Rows<B>,
    /// To the third.
    pub c: Rows<C>,
    /// To the fourth.
    pub d: Rows<D>,
}

impl<A, B, C, D> Default for Input<A, B, C, D> {
    fn default() -> Self {
        Input { a: Vec::new(), b: Vec::new(), c: Vec::new(), d: Vec::new() }
    }
}

/// The inputs inside the dataflow.
pub struct Inputs<'scope, A: Data, B: Data = (), C: Data = (), D: Data = ()> {
    /// The first.
    pub a: Collection<'scope, A>,
    /// The second.
    pub b: Collection<'scope, B>,
    /// The third.
    pub c: Collection<'scope, C>,
    /// The fourth.
    pub d: Collection<'scope, D>,
}

/// Where a dataflow's output is read.
#[derive(Default)]
pub struct Output {
    probe: Probe<u32>,
    shown: Arc<AtomicU64>,
}

impl Output {
    /// Adds up what is shown as it comes and goes.
    pub fn note<D: Data>(&self, output: Collection<'_, D>, part: impl Fn(&D) -> u64 + 'static) {
        let shown = self.shown.clone();
        let add = move |(data, _, diff): &(D, u32, isize)| {
            shown.fetch_add(part(data).wrapping_mul(*diff as u64), Relaxed);
        };
        output.inspect(add).inner.probe_with(&self.probe);
    }
}

/// The ends of a worker's inputs.
struct Sessions<A: Data, B: Data, C: Data, D: Data> {
    a: InputSession<u32, A, isize>,
    b: InputSession<u32, B, isize>,
    c: InputSession<u32, C, isize>,
    d: InputSession<u32, D, isize>,
}

/// A worker with its ends of the inputs.
struct Local<A: Data, B: Data, C: Data, D: Data> {
    worker: Worker,
    sessions: Sessions<A, B, C, D>,
    output: Output,
}

fn give<D: Data>(session: &mut InputSession<u32, D, isize>, rows: Rows<D>) {
    rows.into_iter().for_each(|(row, diff)| session.update(row, diff));
}

fn advance<D: Data>(session: &mut InputSession<u32, D, isize>, time: u32) {
    session.advance_to(time);
    session.flush();
}

impl<A: Data, B: Data, C: Data, D: Data> Local<A, B, C, D> {
    fn new(allocator: Allocator, shown: Arc<AtomicU64>, build: fn(Inputs<'_, A, B, C, D>, &Output)) -> Self {
        let mut worker = Worker::new(WorkerConfig::default(), allocator, Some(Instant::now()));
        let output = Output { shown, ..Output::default() };
        let sessions = worker.dataflow::<u32, _, _>(|scope| {
            let mut all =
                Sessions { a: InputSession::new(), b: InputSession::new(), c: InputSession::new(), d: InputSession::new() };
            let inputs = Inputs {
                a: all.a.to_collection(scope),
                b: all.b.to_collection(scope),
                c: all.c.to_collection(scope),
                d: all.d.to_collection(scope),
            };
            build(inputs, &output);
            all
        });
        Local { worker, sessions, output }
    }

    fn give(&mut self, input: Input<A, B, C, D>) {
        give(&mut self.sessions.a, input.a);
        give(&mut self.sessions.b, input.b);
        give(&mut self.sessions.c, input.c);
        give(&mut self.sessions.d, input.d);
    }

    /// Closes the step and waits for its output. With others it sleeps while they work: spinning takes their core where there is none to spare.
    fn close(&mut self) {
        let time = self.sessions.a.time() + 1;
        advance(&mut self.sessions.a, time);
        advance(&mut self.sessions.b, time);
        advance(&mut self.sessions.c, time);
        advance(&mut self.sessions.d, time);
        let alone = self.worker.peers() == 1;
        while self.output.probe.less_than(&time) {
            if alone {
                self.worker.step()
            } else {
                self.worker.step_or_park(None)
            };
        }
    }
}

/// Rows for the first worker; without any, the step is over.
type Order<A, B, C, D> = Option<Input<A, B, C, D>>;

/// Who works.
enum Workers<A: Data, B: Data, C: Data, D: Data> {
    /// One, in the caller's thread.
    One(Box<Local<A, B, C, D>>),
    /// Several threads. The first takes all input, and answers when a step is over.
    Several { orders: Sender<Order<A, B, C, D>>, done: Receiver<()>, _guards: WorkerGuards<()> },
}

/// The workers, and the sum of what their output shows.
pub struct Flow<A: Data, B: Data = (), C: Data = (), D: Data = ()> {
    workers: Workers<A, B, C, D>,
    shown: Arc<AtomicU64>,
}

impl<A: Data + Send, B: Data + Send, C: Data + Send, D: Data + Send> Flow<A, B, C, D> {
    /// The dataflow that `build` makes of its inputs, on so many workers.
    ///
    /// # Panics
    /// If no thread can be started.
    pub fn new(workers: usize, build: fn(Inputs<'_, A, B, C, D>, &Output)) -> Self {
        let shown = Arc::new(AtomicU64::new(0));
        let workers = match workers {
            1 => Workers::One(Box::new(Local::new(Allocator::Thread(Default::default()), shown.clone(), build))),
            several => Self::several(several, &shown, build),
        };
        Flow { workers, shown }
    }

    fn several(workers: usize, shown: &Arc<AtomicU64>, build: fn(Inputs<'_, A, B, C, D>, &Output)) -> Workers<A, B, C, D> {
        let (builders, guard) =
            CommunicationConfig::Process(workers).try_build().expect("workers of one process need nothing that could be missing");
        let ((orders, inbox), (over, done)) = (channel::<Order<A, B, C, D>>(), channel());
        let (inbox, shown) = (Mutex::new(Some(inbox)), shown.clone());
        let guards = initialize_from(builders, guard, move |allocator: Allocator| {
            let mut local = Local::new(allocator, shown.clone(), build);
            if local.worker.index() == 0 {
                let inbox = inbox.lock().ok().and_then(|mut inbox| inbox.take());
                for order in inbox.into_iter().flatten() {
                    match order {
                        Some(rows) => local.give(rows),
                        None => {
                            local.close();
                            // Nobody listens any more while the process ends.
                            let _ = over.send(());
                        }
                    }
                }
            }
            let Local { mut worker, sessions, .. } = local;
            drop(sessions);
            while worker.has_dataflows() {
                worker.step_or_park(None);
            }
        });
        Workers::Several { orders, done, _guards: guards.expect("threads can be started") }
    }
}

impl<A: Data, B: Data, C: Data, D: Data> Contestant for Flow<A, B, C, D> {
    type Input = Input<A, B, C, D>;

    fn load(&mut self, rows: Self::Input) {
        match &mut self.workers {
            Workers::One(local) => local.give(rows),
            Workers::Several { orders, .. } => orders.send(Some(rows)).expect("the first worker runs"),
        }
    }

    fn loaded(&mut self) {
        match &mut self.workers {
            Workers::One(local) => local.close(),
            Workers::Several { orders, done, .. } => {
                orders.send(None).expect("the first worker runs");
                done.recv().expect("the first worker runs");
            }
        }
    }

    fn step(&mut self, changes: Self::Input) {
        self.load(changes);
        self.loaded();
    }

    fn checksum(&mut self) -> u64 {
        self.shown.load(Relaxed)
    }
}

/// Rows that come.
pub fn inserts<R, D>(rows: &[R], row: fn(&R) -> D) -> Rows<D> {
    rows.iter().map(|r| (row(r), 1)).collect()
}

/// Rows that go, and what comes in their place.
pub fn changes<R, D>(edits: &[Edit<R>], row: fn(&R) -> D) -> Rows<D> {
    edits.iter().flat_map(|edit| [(row(&edit.old), -1), (row(&edit.new), 1)]).collect()
}
