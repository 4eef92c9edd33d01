//! One worker in the caller's thread: the whole shard is one operator.
//!
//! A batch is done when the operator has run it. Timely's time stands still meanwhile: epochs are told apart within the shard, nothing
//! downstream waits for a frontier, and moving it would cost more than the work of a small transaction.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Instant;

use thalweg_graph::Outcome;
use timely::WorkerConfig;
use timely::communication::Allocator;
use timely::container::CapacityContainerBuilder;
use timely::dataflow::InputHandle;
use timely::dataflow::channels::pact::Pipeline;
use timely::dataflow::operators::Input;
use timely::dataflow::operators::generic::Operator;
use timely::worker::Worker;

use crate::shard::{Ingress, Shard};

/// A shard and the timely worker that runs it.
pub struct Local {
    worker: Worker,
    input: InputHandle<u64, CapacityContainerBuilder<Vec<Ingress>>>,
    shard: Rc<RefCell<Shard>>,
    /// Batches sent.
    batches: u64,
    /// Batches that the operator has run.
    done: Rc<Cell<u64>>,
}

impl Local {
    /// Builds the dataflow: input, shard.
    pub fn new(shard: Shard) -> Local {
        let shard = Rc::new(RefCell::new(shard));
        let mut worker = Worker::new(WorkerConfig::default(), Allocator::Thread(Default::default()), Some(Instant::now()));
        let mut input = InputHandle::new_with_builder();
        let done = Rc::new(Cell::new(0));
        let (inside, count) = (shard.clone(), done.clone());
        worker.dataflow::<u64, _, _>(|scope| {
            let batches = scope.input_from(&mut input);
            batches.sink(Pipeline, "shard", move |(input, _)| {
                input.for_each(|_, batches: &mut Vec<Ingress>| {
                    for batch in batches.drain(..) {
                        run(&inside, batch);
                        count.set(count.get() + 1);
                    }
                });
            });
        });
        Local { worker, input, shard, batches: 0, done }
    }

    /// Runs a batch to its end.
    pub fn run(&mut self, ingress: Ingress) -> Outcome {
        self.input.send(ingress);
        self.input.flush();
        self.batches += 1;
        while self.done.get() < self.batches {
            self.worker.step();
        }
        self.shard.borrow_mut().finish()
    }

    /// The shard, between batches.
    pub fn shard(&self) -> std::cell::RefMut<'_, Shard> {
        self.shard.borrow_mut()
    }
}

fn run(shard: &RefCell<Shard>, batch: Ingress) {
    let mut shard = shard.borrow_mut();
    shard.begin(batch);
    for at in 0..shard.levels().len() {
        let level = shard.levels()[at];
        shard.run_level(level);
    }
}
