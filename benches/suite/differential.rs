//! The same by hand, for differential dataflow: typed rows of the least width, one worker in the caller's thread, one time for each step.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Instant;

use differential_dataflow::input::InputSession;
use differential_dataflow::operators::CountTotal;
use differential_dataflow::{Data, VecCollection};
use timely::WorkerConfig;
use timely::communication::Allocator;
use timely::dataflow::operators::Probe as _;
use timely::dataflow::operators::probe::Handle as Probe;
use timely::worker::Worker;

use super::data::{Customer, Edit, Item, Sale, w2_shown, w3_shown};
use super::workloads::{Contestant, GroupBy, Join};

/// Rows that come and go.
type Rows<D> = Vec<(D, isize)>;

/// An item as it travels: order, then price and quantity.
type ItemRow = (u32, (u32, u32));

/// An order of w3: customer, amount.
type SaleRow = (u32, u32);

/// A customer: key, region.
type CustomerRow = (u32, u32);

/// A worker with one or two inputs, and the sum of what its output shows.
pub struct Dataflow<A: Data, B: Data> {
    worker: Worker,
    first: InputSession<u32, A, isize>,
    second: InputSession<u32, B, isize>,
    probe: Probe<u32>,
    shown: Rc<Cell<u64>>,
}

/// Input of either side.
pub enum Input<A, B> {
    /// Of the first.
    First(Rows<A>),
    /// Of the second.
    Second(Rows<B>),
}

impl<A: Data, B: Data> Dataflow<A, B> {
    fn new() -> Self {
        let worker = Worker::new(WorkerConfig::default(), Allocator::Thread(Default::default()), Some(Instant::now()));
        let (first, second) = (InputSession::new(), InputSession::new());
        Dataflow { worker, first, second, probe: Probe::new(), shown: Rc::default() }
    }

    fn give(&mut self, input: Input<A, B>) {
        match input {
            Input::First(rows) => rows.into_iter().for_each(|(row, diff)| self.first.update(row, diff)),
            Input::Second(rows) => rows.into_iter().for_each(|(row, diff)| self.second.update(row, diff)),
        }
    }

    fn close(&mut self) {
        let time = self.first.time() + 1;
        self.first.advance_to(time);
        self.second.advance_to(time);
        self.first.flush();
        self.second.flush();
        while self.probe.less_than(&time) {
            self.worker.step();
        }
    }
}

/// Adds up what is shown as it comes and goes.
fn note<'scope, D: Data>(
    output: VecCollection<'scope, u32, D, isize>,
    shown: &Rc<Cell<u64>>,
    part: impl Fn(&D) -> u64 + 'static,
) -> VecCollection<'scope, u32, D, isize> {
    let shown = shown.clone();
    output.inspect(move |(data, _, diff)| shown.set(shown.get().wrapping_add(part(data).wrapping_mul(*diff as u64))))
}

impl<A: Data, B: Data> Contestant for Dataflow<A, B> {
    type Input = Input<A, B>;

    fn load(&mut self, rows: Self::Input) {
        self.give(rows);
    }

    fn loaded(&mut self) {
        self.close();
    }

    fn step(&mut self, changes: Self::Input) {
        self.give(changes);
        self.close();
    }

    fn checksum(&mut self) -> u64 {
        self.shown.get()
    }
}

/// One `reduce` over an order's items.
pub fn w2(_orders: u64) -> Dataflow<ItemRow, ()> {
    let mut flow = Dataflow::new();
    let (first, second, probe, shown) = (&mut flow.first, &mut flow.second, &flow.probe, &flow.shown);
    flow.worker.dataflow::<u32, _, _>(|scope| {
        // Nothing comes here; it ends with the others.
        let _: VecCollection<'_, u32, (), isize> = second.to_collection(scope);
        let orders = first.to_collection(scope).reduce(|_order, items: &[(&(u32, u32), isize)], out: &mut Vec<(_, isize)>| {
            let mut all = (0i64, 0i64, 0i64);
            for ((price, qty), diff) in items {
                let (price, diff) = (i64::from(*price), *diff as i64);
                all = (all.0 + price * i64::from(*qty) * diff, all.1 + diff, all.2.max(price));
            }
            out.push((all, 1));
        });
        let part = |(order, (sum, count, max)): &(u32, (i64, i64, i64))| w2_shown(u64::from(*order), *sum, *count, *max);
        note(orders, shown, part).inner.probe_with(probe);
    });
    flow
}

/// What a region shows.
fn w3_part((region, (sum, count)): &(u32, (isize, isize))) -> u64 {
    w3_shown(u64::from(*region), *sum as i64, *count as i64)
}

/// Orders joined with customers, then summed up by region.
pub fn w3(_customers: u64) -> Dataflow<SaleRow, CustomerRow> {
    let mut flow = Dataflow::new();
    let (first, second, probe, shown) = (&mut flow.first, &mut flow.second, &flow.probe, &flow.shown);
    flow.worker.dataflow::<u32, _, _>(|scope| {
        let (sales, customers) = (first.to_collection(scope).arrange_by_key(), second.to_collection(scope).arrange_by_key());
        let amounts = sales.join_core(customers, |_, amount, region| Some((*region, *amount)));
        let regions = amounts.explode(|(region, amount): (u32, u32)| Some((region, (amount as isize, 1isize))));
        note(regions.count_total_core::<isize>(), shown, w3_part).inner.probe_with(probe);
    });
    flow
}

/// The same with orders summed up by customer before the join, as somebody would write it who knows that it pays.
pub fn w3_pushed(_customers: u64) -> Dataflow<SaleRow, CustomerRow> {
    let mut flow = Dataflow::new();
    let (first, second, probe, shown) = (&mut flow.first, &mut flow.second, &flow.probe, &flow.shown);
    flow.worker.dataflow::<u32, _, _>(|scope| {
        let sales =
            first.to_collection(scope).explode(|(customer, amount): (u32, u32)| Some((customer, (amount as isize, 1isize))));
        let customers = second.to_collection(scope).arrange_by_key();
        let totals = sales.count_total_core::<isize>().arrange_by_key();
        let totals = totals.join_core(customers, |_, total, region| Some((*region, *total)));
        let regions = totals.explode(|(region, total): (u32, (isize, isize))| Some((region, total)));
        note(regions.count_total_core::<isize>(), shown, w3_part).inner.probe_with(probe);
    });
    flow
}

fn item_row(item: &Item) -> ItemRow {
    (item.order as u32, (item.price as u32, item.qty as u32))
}

fn sale_row(sale: &Sale) -> SaleRow {
    (sale.customer as u32, sale.amount as u32)
}

fn customer_row(customer: &Customer) -> CustomerRow {
    (customer.id as u32, customer.region as u32)
}

fn inserts<R, D>(rows: &[R], row: fn(&R) -> D) -> Rows<D> {
    rows.iter().map(|r| (row(r), 1)).collect()
}

fn changes<R, D>(edits: &[Edit<R>], row: fn(&R) -> D) -> Rows<D> {
    edits.iter().flat_map(|edit| [(row(&edit.old), -1), (row(&edit.new), 1)]).collect()
}

impl GroupBy for Dataflow<ItemRow, ()> {
    fn items(&mut self, rows: &[Item]) -> Self::Input {
        Input::First(inserts(rows, item_row))
    }

    fn item_edits(&mut self, edits: &[Edit<Item>]) -> Self::Input {
        Input::First(changes(edits, item_row))
    }
}

impl Join for Dataflow<SaleRow, CustomerRow> {
    fn customers(&mut self, rows: &[Customer]) -> Self::Input {
        Input::Second(inserts(rows, customer_row))
    }

    fn sales(&mut self, rows: &[Sale]) -> Self::Input {
        Input::First(inserts(rows, sale_row))
    }

    fn sale_edits(&mut self, edits: &[Edit<Sale>]) -> Self::Input {
        Input::First(changes(edits, sale_row))
    }

    fn customer_edits(&mut self, edits: &[Edit<Customer>]) -> Self::Input {
        Input::Second(changes(edits, customer_row))
    }
}
