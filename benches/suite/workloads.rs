//! The workloads as every contestant runs them.

use super::data::{Customer, Edit, Item, Sale, W2, W3};
use super::harness::Runner;

/// How large.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    /// As in the published tables: ten million rows.
    Full,
    /// A look: a fiftieth of the rows.
    Quick,
    /// For tests: some hundred rows.
    Tiny,
}

impl Size {
    /// One of three.
    pub fn pick<T>(self, full: T, quick: T, tiny: T) -> T {
        match self {
            Size::Full => full,
            Size::Quick => quick,
            Size::Tiny => tiny,
        }
    }
}

/// Rows that are handed over at once while a workload is loaded.
const SLICE: u64 = 10_000;

fn slices(rows: u64) -> impl Iterator<Item = std::ops::Range<u64>> {
    (0..rows.div_ceil(SLICE)).map(move |at| at * SLICE..((at + 1) * SLICE).min(rows))
}

/// The steps of a phase whose steps have so many changes, and that number: 100,000 changes in full.
fn steps(size: Size, rows: usize) -> (usize, usize) {
    ((size.pick(100_000, 20_000, 200) / rows).max(2), rows)
}

const STEP_SIZES: [usize; 5] = [1, 10, 100, 1_000, 10_000];

/// What a contestant does with what it is given.
pub trait Contestant {
    /// Input, as its source would hand it over.
    type Input;
    /// Takes rows that are there at the start. More may follow before [`Contestant::loaded`].
    fn load(&mut self, rows: Self::Input);
    /// All rows of the start are there: afterwards all output of theirs has been read.
    fn loaded(&mut self);
    /// One transaction; afterwards its output has been read.
    fn step(&mut self, changes: Self::Input);
    /// The sum over all that is shown, see [`super::data`].
    fn checksum(&mut self) -> u64;
}

/// A contestant of w2.
pub trait GroupBy: Contestant {
    /// Items at the start.
    fn items(&mut self, rows: &[Item]) -> Self::Input;
    /// Changes of items.
    fn item_edits(&mut self, edits: &[Edit<Item>]) -> Self::Input;
}

/// A contestant of w3.
pub trait Join: Contestant {
    /// Customers at the start.
    fn customers(&mut self, rows: &[Customer]) -> Self::Input;
    /// Orders at the start.
    fn sales(&mut self, rows: &[Sale]) -> Self::Input;
    /// Changes of amounts.
    fn sale_edits(&mut self, edits: &[Edit<Sale>]) -> Self::Input;
    /// Customers that move.
    fn customer_edits(&mut self, edits: &[Edit<Customer>]) -> Self::Input;
}

/// What one call of a load hands over; the last hands over nothing and waits for the end.
enum Part<I> {
    Rows(I),
    End,
}

fn take<E: Contestant>(engine: &mut E, part: Part<E::Input>) {
    match part {
        Part::Rows(rows) => engine.load(rows),
        Part::End => engine.loaded(),
    }
}

/// w2: a million orders of ten items; for each order sum(price * qty), count and max(price).
pub fn w2<E: GroupBy>(mut runner: Runner<'_>, size: Size, make: impl FnOnce(u64) -> E) {
    let mut data = W2::new(size.pick(1_000_000, 20_000, 50));
    let mut engine = make(data.orders);
    let rows = |engine: &mut E, part: Option<_>| part.map_or(Part::End, |ids| Part::Rows(engine.items(&data.start(ids))));
    let parts = slices(data.rows()).map(Some).chain([None]);
    let measured = runner.measure_parts(data.rows(), &mut engine, parts, rows, take);
    runner.tell("bulk", measured, engine.checksum() == data.checksum());
    for changes in size.pick(&STEP_SIZES[..], &STEP_SIZES, &STEP_SIZES[..3]).iter().copied() {
        let prepare = |engine: &mut E| engine.item_edits(&data.edits(changes));
        let measured = runner.measure(steps(size, changes), &mut engine, prepare, E::step);
        runner.tell(&format!("step_{changes}"), measured, engine.checksum() == data.checksum());
    }
}

/// w3: five million orders of half a million customers of a hundred regions; for each region sum(amount) and count.
pub fn w3<E: Join>(mut runner: Runner<'_>, size: Size, make: impl FnOnce(u64) -> E) {
    let mut data = W3::new(size.pick(500_000, 10_000, 1_000));
    let customers = data.customers();
    let mut engine = make(customers.len() as u64);
    let parts =
        customers.chunks(SLICE as usize).map(Piece::Customers).chain(slices(data.rows()).map(Piece::Sales)).chain([Piece::End]);
    let prepare = |engine: &mut E, piece: Piece<'_>| match piece {
        Piece::Customers(rows) => Part::Rows(engine.customers(rows)),
        Piece::Sales(ids) => Part::Rows(engine.sales(&data.start(ids))),
        Piece::End => Part::End,
    };
    let measured = runner.measure_parts(data.rows(), &mut engine, parts, prepare, take);
    runner.tell("bulk", measured, engine.checksum() == data.checksum());
    for changes in size.pick(&STEP_SIZES[..], &STEP_SIZES, &STEP_SIZES[..3]).iter().copied() {
        let prepare = |engine: &mut E| engine.sale_edits(&data.edits(changes));
        let measured = runner.measure(steps(size, changes), &mut engine, prepare, E::step);
        runner.tell(&format!("step_{changes}"), measured, engine.checksum() == data.checksum());
    }
    let prepare = |engine: &mut E| engine.customer_edits(&data.moves(1));
    let measured = runner.measure((size.pick(10_000, 2_000, 20), 1), &mut engine, prepare, E::step);
    runner.tell("region", measured, engine.checksum() == data.checksum());
    let prepare = |engine: &mut E| engine.customer_edits(&[data.hot_move()]);
    let measured = runner.measure((11, 1), &mut engine, prepare, E::step);
    runner.tell("hot", measured, engine.checksum() == data.checksum());
}

/// A part of what w3 begins with.
enum Piece<'a> {
    Customers(&'a [Customer]),
    Sales(std::ops::Range<u64>),
    End,
}
