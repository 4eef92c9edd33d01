//! One worker in the caller's thread: the whole shard is one operator.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Instant;

use thalweg_graph::Outcome;
use timely::WorkerConfig;
use timely::communication::Allocator;
use timely::container::CapacityContainerBuilder;
use timely::dataflow::channels::pact::Pipeline;
use timely::dataflow::operators::generic::Operator;
use timely::dataflow::operators::{Input, Probe};
use timely::dataflow::{InputHandle, ProbeHandle};
use timely::worker::Worker;

use crate::shard::{Ingress, Shard};

/// A shard and the timely worker that runs it.
pub struct Local {
    worker: Worker,
    input: InputHandle<u64, CapacityContainerBuilder<Vec<Ingress>>>,
    probe: ProbeHandle<u64>,
    shard: Rc<RefCell<Shard>>,
    batches: u64,
}

impl Local {
    /// Builds the dataflow: input, shard, probe.
    pub fn new(shard: Shard) -> Local {
        let shard = Rc::new(RefCell::new(shard));
        let mut worker = Worker::new(WorkerConfig::default(), Allocator::Thread(Default::default()), Some(Instant::now()));
        let mut input = InputHandle::new_with_builder();
        let probe = ProbeHandle::new();
        let inside = shard.clone();
        worker.dataflow::<u64, _, _>(|scope| {
            let batches = scope.input_from(&mut input);
            let done = batches.unary(Pipeline, "shard", move |_, _| {
                move |input, _: &mut timely::dataflow::operators::generic::OutputBuilderSession<'_, u64, Nothing>| {
                    input.for_each(|_, batches: &mut Vec<Ingress>| batches.drain(..).for_each(|batch| run(&inside, batch)));
                }
            });
            done.probe_with(&probe);
        });
        Local { worker, input, probe, shard, batches: 0 }
    }

    /// Runs a batch to its end.
    pub fn run(&mut self, ingress: Ingress) -> Outcome {
        self.input.send(ingress);
        self.batches += 1;
        self.input.advance_to(self.batches);
        while self.probe.less_than(&self.batches) {
            self.worker.step();
        }
        self.shard.borrow_mut().finish()
    }

    /// The shard, between batches.
    pub fn shard(&self) -> std::cell::RefMut<'_, Shard> {
        self.shard.borrow_mut()
    }
}

/// The operator gives nothing downstream; outcomes are taken from the shard.
type Nothing = CapacityContainerBuilder<Vec<()>>;

fn run(shard: &RefCell<Shard>, batch: Ingress) {
    let mut shard = shard.borrow_mut();
    shard.begin(batch);
    for at in 0..shard.levels().len() {
        let level = shard.levels()[at];
        shard.run_level(level);
    }
}
