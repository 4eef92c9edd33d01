//! Peers written by hand for differential dataflow: typed rows, one dataflow each, on one worker in the caller's thread.
//!
//! They are what somebody who knows the library and the question would write: no dynamic values, no keys to resolve. Every edit has its
//! own timestamp, and no trace is held back from compaction. Answers are kept by an `inspect`, a few nanoseconds for each output.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Instant;

use differential_dataflow::input::InputSession;
use differential_dataflow::operators::CountTotal;
use differential_dataflow::{Data, VecCollection, difference::Semigroup};
use timely::WorkerConfig;
use timely::communication::Allocator;
use timely::dataflow::operators::Probe as _;
use timely::dataflow::operators::probe::Handle as Probe;
use timely::worker::Worker;

/// A row's value before and after, and what it belongs to.
#[derive(Clone, Copy, Debug)]
pub struct Edit {
    /// The row.
    pub row: u64,
    /// The document it belongs to.
    pub group: u64,
    /// The value before; ignored by [`Peer::load`].
    pub before: i64,
    /// The value after.
    pub after: i64,
}

/// A price that a row has for good, in cents.
pub fn price_of(row: u64) -> i64 {
    1_000 + (row % 997) as i64
}

/// A dataflow that answers one number for each row or group.
pub trait Peer {
    /// Adds rows, all at one time.
    fn load(&mut self, rows: &[Edit]);
    /// Applies edits, each at its own time, so many a step.
    fn run(&mut self, edits: &[Edit], per_step: usize);
    /// The answer now.
    fn answer(&self, id: u64) -> i64;
}

/// The newest answer of each id, with its time.
type Answers = Rc<RefCell<Vec<(u64, i64)>>>;

struct Dataflow<D: Data, R: Semigroup + 'static> {
    worker: Worker,
    input: InputSession<u64, D, R>,
    probe: Probe<u64>,
    answers: Answers,
    /// A row as this dataflow takes it: added, or (`false`) taken away.
    make: fn(&Edit, i64, bool) -> (D, R),
}

fn worker() -> Worker {
    Worker::new(WorkerConfig::default(), Allocator::Thread(Default::default()), Some(Instant::now()))
}

impl<D: Data, R: Semigroup + 'static> Dataflow<D, R> {
    fn new(ids: u64, make: fn(&Edit, i64, bool) -> (D, R)) -> Self {
        let answers = Rc::new(RefCell::new(vec![(0, 0); ids as usize]));
        Dataflow { worker: worker(), input: InputSession::new(), probe: Probe::new(), answers, make }
    }

    fn close(&mut self) {
        self.input.flush();
        let time = *self.input.time();
        while self.probe.less_than(&time) {
            self.worker.step();
        }
    }
}

impl<D: Data, R: Semigroup + 'static> Peer for Dataflow<D, R> {
    fn load(&mut self, rows: &[Edit]) {
        for row in rows {
            let (data, diff) = (self.make)(row, row.after, true);
            self.input.update(data, diff);
        }
        self.input.advance_to(self.input.time() + 1);
        self.close();
    }

    fn run(&mut self, edits: &[Edit], per_step: usize) {
        for step in edits.chunks(per_step) {
            for edit in step {
                for (value, added) in [(edit.before, false), (edit.after, true)] {
                    let (data, diff) = (self.make)(edit, value, added);
                    self.input.update(data, diff);
                }
                self.input.advance_to(self.input.time() + 1);
            }
            self.close();
        }
    }

    fn answer(&self, id: u64) -> i64 {
        self.answers.borrow()[id as usize].1
    }
}

/// Keeps the newest answers of a collection.
fn keep<'scope>(
    answers: &Answers,
    outputs: VecCollection<'scope, u64, (u64, i64), isize>,
) -> VecCollection<'scope, u64, (u64, i64), isize> {
    let answers = answers.clone();
    outputs.inspect(move |((id, value), time, diff)| {
        let newest = &mut answers.borrow_mut()[*id as usize];
        if *diff > 0 && *time >= newest.0 {
            *newest = (*time, *value);
        }
    })
}

fn sign(added: bool) -> isize {
    if added { 1 } else { -1 }
}

/// `map`: price times quantity of each row. Keeps nothing: the least that a differential dataflow can do.
pub fn map(rows: u64) -> Box<dyn Peer> {
    let mut peer = Dataflow::new(rows, |edit, value, added| ((edit.row, (price_of(edit.row), value)), sign(added)));
    let (input, probe, answers) = (&mut peer.input, &peer.probe, &peer.answers);
    peer.worker.dataflow::<u64, _, _>(|scope| {
        let totals = input.to_collection(scope).map(|(row, (price, quantity)): (u64, (i64, i64))| (row, price * quantity));
        keep(answers, totals).inner.probe_with(probe);
    });
    Box::new(peer)
}

/// `map`, and its result arranged by row: what is needed to read a field.
pub fn map_arranged(rows: u64) -> Box<dyn Peer> {
    let mut peer = Dataflow::new(rows, |edit, value, added| ((edit.row, (price_of(edit.row), value)), sign(added)));
    let (input, probe, answers) = (&mut peer.input, &peer.probe, &peer.answers);
    peer.worker.dataflow::<u64, _, _>(|scope| {
        let totals = input.to_collection(scope).map(|(row, (price, quantity)): (u64, (i64, i64))| (row, price * quantity));
        keep(answers, totals).arrange_by_key().as_collection(|row, total| (*row, *total)).inner.probe_with(probe);
    });
    Box::new(peer)
}

/// `reduce`: the sum of each group's values.
pub fn reduce(groups: u64) -> Box<dyn Peer> {
    let mut peer = Dataflow::new(groups, |edit, value, added| ((edit.group, (edit.row, value)), sign(added)));
    let (input, probe, answers) = (&mut peer.input, &peer.probe, &peer.answers);
    peer.worker.dataflow::<u64, _, _>(|scope| {
        let sums = input.to_collection(scope).reduce(|_group, rows: &[(&(u64, i64), isize)], sums: &mut Vec<(i64, isize)>| {
            sums.push((rows.iter().map(|((_, value), diff)| value * *diff as i64).sum(), 1));
        });
        keep(answers, sums).inner.probe_with(probe);
    });
    Box::new(peer)
}

/// `count_total` with the sum in the difference: the best that differential can do for a sum, and for nothing else.
pub fn count_total(groups: u64) -> Box<dyn Peer> {
    let mut peer = Dataflow::new(groups, |edit, value, added| (edit.group, if added { (value, 1) } else { (-value, -1) }));
    let (input, probe, answers) = (&mut peer.input, &peer.probe, &peer.answers);
    peer.worker.dataflow::<u64, _, _>(|scope| {
        let sums =
            input.to_collection(scope).count_total_core::<isize>().map(|(group, (sum, _)): (u64, (i64, i64))| (group, sum));
        keep(answers, sums).inner.probe_with(probe);
    });
    Box::new(peer)
}

/// Rows times the price of what they refer to, by `join`. Edits change the prices; the answer is by row.
pub struct Join {
    prices: Dataflow<(u64, i64), isize>,
    rows: InputSession<u64, (u64, (u64, i64)), isize>,
}

impl Join {
    /// `rows` of `(product, (row, quantity))`.
    pub fn new(rows: &[(u64, (u64, i64))]) -> Join {
        let mut prices = Dataflow::new(rows.len() as u64, |edit, value, added| ((edit.group, value), sign(added)));
        let mut input = InputSession::new();
        let (price_input, probe, answers) = (&mut prices.input, &prices.probe, &prices.answers);
        prices.worker.dataflow::<u64, _, _>(|scope| {
            let products = price_input.to_collection(scope).arrange_by_key();
            let rows: VecCollection<'_, u64, (u64, (u64, i64)), isize> = input.to_collection(scope);
            let costs = rows.arrange_by_key().join_core(products, |_, (row, quantity), price| Some((*row, quantity * price)));
            keep(answers, costs).inner.probe_with(probe);
        });
        rows.iter().for_each(|row| input.insert(*row));
        Join { prices, rows: input }
    }
}

impl Peer for Join {
    fn load(&mut self, products: &[Edit]) {
        // The rows are all there: their input ends, so that it does not hold back the times of the prices.
        let ended = std::mem::replace(&mut self.rows, InputSession::new());
        drop(ended);
        self.prices.load(products);
    }

    fn run(&mut self, edits: &[Edit], per_step: usize) {
        self.prices.run(edits, per_step);
    }

    fn answer(&self, id: u64) -> i64 {
        self.prices.answer(id)
    }
}

/// A cell and those that depend on it, one `map` each; doubles travel as their bits.
pub struct Cells {
    worker: Worker,
    input: InputSession<u64, u64, isize>,
    probe: Probe<u64>,
    values: Rc<RefCell<Vec<(u64, f64)>>>,
    now: Option<f64>,
}

impl Cells {
    fn new(cells: usize) -> Cells {
        let values = Rc::new(RefCell::new(vec![(0, 0.0); cells]));
        Cells { worker: worker(), input: InputSession::new(), probe: Probe::new(), values, now: None }
    }

    /// `n` cells, each a formula of the one before.
    pub fn chain(n: usize, formula: fn(f64) -> f64) -> Cells {
        let mut cells = Cells::new(1);
        let (input, probe, values) = (&mut cells.input, &cells.probe, cells.values.clone());
        cells.worker.dataflow::<u64, _, _>(|scope| {
            let mut last = input.to_collection(scope);
            for _ in 0..n {
                last = last.map(move |bits| formula(f64::from_bits(bits)).to_bits());
            }
            note(values, last.map(|bits| (0, bits))).inner.probe_with(probe);
        });
        cells
    }

    /// `n` cells that all depend on the first.
    pub fn fan(n: usize, formula: fn(usize, f64) -> f64) -> Cells {
        let mut cells = Cells::new(n);
        let (input, probe, values) = (&mut cells.input, &cells.probe, cells.values.clone());
        cells.worker.dataflow::<u64, _, _>(|scope| {
            let first = input.to_collection(scope);
            let mut all = (0..n).map(|i| first.clone().map(move |bits| (i, formula(i, f64::from_bits(bits)).to_bits())));
            let head = all.next().expect("at least one cell");
            note(values, head.concatenate(all.collect::<Vec<_>>())).inner.probe_with(probe);
        });
        cells
    }

    /// Edits the first cell, each time at its own time, so many a step.
    pub fn run(&mut self, edits: &[f64], per_step: usize) {
        for step in edits.chunks(per_step) {
            for x in step {
                if let Some(before) = self.now.replace(*x) {
                    self.input.update(before.to_bits(), -1);
                }
                self.input.update(x.to_bits(), 1);
                self.input.advance_to(self.input.time() + 1);
            }
            self.input.flush();
            while self.probe.less_than(self.input.time()) {
                self.worker.step();
            }
        }
    }

    /// The values at the end of the chain or of each branch.
    pub fn values(&self) -> Vec<f64> {
        self.values.borrow().iter().map(|(_, value)| *value).collect()
    }
}

fn note<'scope>(
    values: Rc<RefCell<Vec<(u64, f64)>>>,
    cells: VecCollection<'scope, u64, (usize, u64), isize>,
) -> VecCollection<'scope, u64, (usize, u64), isize> {
    cells.inspect(move |((at, bits), time, diff)| {
        let newest = &mut values.borrow_mut()[*at];
        if *diff > 0 && *time >= newest.0 {
            *newest = (*time, f64::from_bits(*bits));
        }
    })
}
