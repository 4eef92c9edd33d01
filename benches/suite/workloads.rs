//! The workloads as every contestant runs them.

use super::data::{Customer, Edit, Point, Sale, Source, W2, W3, W4a, W4b};
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

    /// How many changes a step has, from phase to phase.
    fn steps(self) -> &'static [usize] {
        const ALL: &[usize] = &[1, 10, 100, 1_000, 10_000];
        self.pick(ALL, ALL, &ALL[..3])
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

/// A contestant that takes rows of this kind. What it makes of them is made outside the clock.
pub trait Takes<R>: Contestant {
    /// Rows that are new.
    fn inserts(&mut self, rows: &[R]) -> Self::Input;
    /// Rows that change; a contestant whose rows only come has no use for it.
    fn edits(&mut self, edits: &[Edit<R>]) -> Self::Input;
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
pub fn w2<E: Takes<super::data::Item>>(mut runner: Runner<'_>, size: Size, make: impl FnOnce(u64) -> E) {
    let mut data = W2::new(size.pick(1_000_000, 20_000, 50));
    let mut engine = make(data.orders);
    load_rows(&mut runner, &data, &mut engine);
    change_rows(&mut runner, size, &mut data, &mut engine);
}

/// w4b: a thousand groups of a thousand rows; of each group the ten with the greatest scores.
pub fn w4b<E: Takes<super::data::Player>>(mut runner: Runner<'_>, size: Size, make: impl FnOnce(u64) -> E) {
    let mut data = W4b::new(size.pick(1_000, 100, 5), size.pick(1_000, 200, 30));
    let mut engine = make(data.boards);
    load_rows(&mut runner, &data, &mut engine);
    change_rows(&mut runner, size, &mut data, &mut engine);
}

/// All rows at the start.
fn load_rows<S: Source, E: Takes<S::Row>>(runner: &mut Runner<'_>, data: &S, engine: &mut E) {
    let rows = |engine: &mut E, part: Option<_>| part.map_or(Part::End, |ids| Part::Rows(engine.inserts(&data.start(ids))));
    let parts = slices(data.rows()).map(Some).chain([None]);
    let measured = runner.measure_parts(data.rows(), engine, parts, rows, take);
    runner.tell("bulk", measured, engine.checksum() == data.checksum());
}

/// Changes of rows, 1 to 10,000 a transaction.
fn change_rows<S: Source, E: Takes<S::Row>>(runner: &mut Runner<'_>, size: Size, data: &mut S, engine: &mut E) {
    for changes in size.steps().iter().copied() {
        let prepare = |engine: &mut E| engine.edits(&data.edits(changes));
        let measured = runner.measure(steps(size, changes), engine, prepare, E::step);
        runner.tell(&format!("step_{changes}"), measured, engine.checksum() == data.checksum());
    }
}

/// w3: five million orders of half a million customers of a hundred regions; for each region sum(amount) and count.
pub fn w3<E: Takes<Sale> + Takes<Customer>>(mut runner: Runner<'_>, size: Size, make: impl FnOnce(u64) -> E) {
    let mut data = W3::new(size.pick(500_000, 10_000, 1_000));
    let customers = data.customers();
    let mut engine = make(customers.len() as u64);
    let parts =
        customers.chunks(SLICE as usize).map(Piece::Customers).chain(slices(data.rows()).map(Piece::Sales)).chain([Piece::End]);
    let prepare = |engine: &mut E, piece: Piece<'_>| match piece {
        Piece::Customers(rows) => Part::Rows(engine.inserts(rows)),
        Piece::Sales(ids) => Part::Rows(engine.inserts(&data.start(ids))),
        Piece::End => Part::End,
    };
    let measured = runner.measure_parts(data.rows(), &mut engine, parts, prepare, take);
    runner.tell("bulk", measured, engine.checksum() == data.checksum());
    change_rows(&mut runner, size, &mut data, &mut engine);
    let prepare = |engine: &mut E| engine.edits(&data.moves(1));
    let measured = runner.measure((size.pick(10_000, 2_000, 20), 1), &mut engine, prepare, E::step);
    runner.tell("region", measured, engine.checksum() == data.checksum());
    let prepare = |engine: &mut E| engine.edits(&[data.hot_move()]);
    let measured = runner.measure((11, 1), &mut engine, prepare, E::step);
    runner.tell("hot", measured, engine.checksum() == data.checksum());
}

/// A part of what w3 begins with.
enum Piece<'a> {
    Customers(&'a [Customer]),
    Sales(std::ops::Range<u64>),
    End,
}

/// w4a: ten million points of ten thousand series; of each series the average of its last thirty points. First a point of every series in one
/// transaction, which is a tick, then single points.
pub fn w4a<E: Takes<Point>>(mut runner: Runner<'_>, size: Size, make: impl FnOnce(u64) -> E) {
    let series = size.pick(10_000, 1_000, 10);
    let mut data = W4a::new(series);
    let mut engine = make(series);
    for (phase, steps, points) in
        [("tick", size.pick(1_000, 200, 40), series as usize), ("step_1", size.pick(100_000, 20_000, 200), 1)]
    {
        let prepare = |engine: &mut E| engine.inserts(&data.next(points));
        let measured = runner.measure((steps, points), &mut engine, prepare, E::step);
        runner.tell(phase, measured, engine.checksum() == data.checksum());
    }
}
