//! Cells of one document: a chain, a fan and a grid, of which one input is edited. The cost of a row is that of one cell that is computed again.
//!
//! The peers keep no rows, no errors and no epochs, and tell nobody what has changed; a step of a hundred edits is a hundred runs for
//! `incremental` and `salsa`, and a hundred epochs for us and for differential.

use incremental::{Incr, IncrState, Observer, Var};
use salsa::Setter;
use thalweg_engine::Engine;
use thalweg_formulas::Value;
use thalweg_graph::Transaction;

use super::Entry;
use super::harness::Runner;
use super::workloads::Size;
use crate::dataflow;
use crate::graphs::{Doc, Transactions, double, engine};

/// How cells depend on each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    /// Each on the one before.
    Chain,
    /// All on the input.
    Fan,
    /// A square of them, each on the one above and the one to the left.
    Grid,
}

fn link(x: f64) -> f64 {
    x * 1.000_000_1 + 1.0
}

fn branch(i: usize, x: f64) -> f64 {
    x * (i as f64 + 0.5)
}

fn knot(up: f64, left: f64) -> f64 {
    (up + left) * 0.5 + 1.0
}

/// The side of the grid of so many cells.
fn side(cells: usize) -> usize {
    cells.isqrt()
}

impl Shape {
    /// The cell's formula over the cells before it, and `x`.
    fn formula(self, i: usize, cells: usize) -> String {
        match self {
            Shape::Chain => format!("{} * 1.0000001 + 1.0", if i == 0 { "x".into() } else { format!("f{}", i - 1) }),
            Shape::Fan => format!("x * {i}.5"),
            Shape::Grid => {
                let n = side(cells);
                let cell = |there: bool, at: usize| if there { format!("f{}", i - at) } else { "x".into() };
                format!("({} + {}) * 0.5 + 1.0", cell(i >= n, n), cell(!i.is_multiple_of(n), 1))
            }
        }
    }

    /// The cells whose values are compared: the fan's all, else the last.
    fn ends(self, cells: usize) -> std::ops::Range<usize> {
        if self == Shape::Fan { 0..cells } else { cells - 1..cells }
    }

    /// The right answer.
    fn direct(self, cells: usize, x: f64) -> Vec<f64> {
        let mut all: Vec<f64> = Vec::with_capacity(cells);
        let n = side(cells);
        for i in 0..cells {
            let before = |there: bool, at: usize| if there { all[i - at] } else { x };
            let value = match self {
                Shape::Chain => link(before(i > 0, 1)),
                Shape::Fan => branch(i, x),
                Shape::Grid => knot(before(i >= n, n), before(!i.is_multiple_of(n), 1)),
            };
            all.push(value);
        }
        all[self.ends(cells)].to_vec()
    }
}

/// Who computes cells.
trait Cells {
    type Input;
    fn input(&mut self, edits: &[f64]) -> Self::Input;
    fn step(&mut self, input: Self::Input);
    fn values(&mut self) -> Vec<f64>;
}

struct Ours {
    engine: Engine,
    doc: Doc,
    transactions: Transactions,
    now: f64,
    ends: std::ops::Range<usize>,
}

fn ours(shape: Shape, cells: usize) -> Ours {
    let doc = Doc::new("T", &[("id", "int"), ("x", "double")]);
    let fields: Vec<(String, String)> = (0..cells).map(|i| (format!("T.f{i}"), shape.formula(i, cells))).collect();
    let fields: Vec<(&str, &str)> = fields.iter().map(|(name, formula)| (name.as_str(), formula.as_str())).collect();
    let transactions = Transactions::default();
    let mut engine = engine(&[&doc], &fields);
    engine.push(transactions.one(doc.insert([Value::Int(1), Value::Double(0.0)])));
    engine.step();
    Ours { engine, doc, transactions, now: 0.0, ends: shape.ends(cells) }
}

impl Cells for Ours {
    type Input = Vec<Transaction>;

    fn input(&mut self, edits: &[f64]) -> Vec<Transaction> {
        let row = |x: f64| [Value::Int(1), Value::Double(x)];
        let update = |x: &f64| self.transactions.one(self.doc.update(row(std::mem::replace(&mut self.now, *x)), row(*x)));
        edits.iter().map(update).collect()
    }

    fn step(&mut self, input: Vec<Transaction>) {
        for transaction in input {
            self.engine.push(transaction);
        }
        let outcome = self.engine.step();
        let mut read = 0u64;
        outcome.deltas.each(|_, _, _, new| read += u64::from(!new.is_null()));
        std::hint::black_box(read);
        self.engine.recycle(outcome.deltas);
    }

    fn values(&mut self) -> Vec<f64> {
        self.ends.clone().map(|i| double(self.engine.read(&format!("T.f{i}"), &[Value::Int(1)]))).collect()
    }
}

struct Incremental {
    state: IncrState,
    x: Var<f64>,
    ends: Vec<Observer<f64>>,
}

fn incremental(shape: Shape, cells: usize) -> Incremental {
    let state = IncrState::new_with_height(cells + 10);
    let x = state.var(0.0);
    let n = side(cells);
    let mut all: Vec<Incr<f64>> = Vec::with_capacity(cells);
    for i in 0..cells {
        let before = |there: bool, at: usize| if there { all[i - at].clone() } else { x.watch() };
        let cell = match shape {
            Shape::Chain => before(i > 0, 1).map(|x| link(*x)),
            Shape::Fan => x.map(move |x| branch(i, *x)),
            Shape::Grid => before(i >= n, n).map2(&before(!i.is_multiple_of(n), 1), |up, left| knot(*up, *left)),
        };
        all.push(cell);
    }
    let ends = all[shape.ends(cells)].iter().map(Incr::observe).collect();
    state.stabilise();
    Incremental { state, x, ends }
}

impl Cells for Incremental {
    type Input = Vec<f64>;

    fn input(&mut self, edits: &[f64]) -> Vec<f64> {
        edits.to_vec()
    }

    fn step(&mut self, input: Vec<f64>) {
        for x in input {
            self.x.set(x);
            self.state.stabilise();
        }
    }

    fn values(&mut self) -> Vec<f64> {
        self.ends.iter().map(Observer::value).collect()
    }
}

/// The input of salsa's queries; doubles travel as their bits.
#[salsa::input]
struct Source {
    x: u64,
    side: u32,
}

#[salsa::tracked]
fn chain_cell(db: &dyn salsa::Database, source: Source, i: u32) -> u64 {
    let before = if i == 0 { source.x(db) } else { chain_cell(db, source, i - 1) };
    link(f64::from_bits(*before)).to_bits()
}

#[salsa::tracked]
fn fan_cell(db: &dyn salsa::Database, source: Source, i: u32) -> u64 {
    branch(i as usize, f64::from_bits(*source.x(db))).to_bits()
}

#[salsa::tracked]
fn grid_cell(db: &dyn salsa::Database, source: Source, i: u32) -> u64 {
    let n = *source.side(db);
    let before = |there: bool, at: u32| f64::from_bits(*if there { grid_cell(db, source, i - at) } else { source.x(db) });
    knot(before(i >= n, n), before(!i.is_multiple_of(n), 1)).to_bits()
}

struct Salsa {
    db: salsa::DatabaseImpl,
    source: Source,
    shape: Shape,
    ends: std::ops::Range<usize>,
}

fn salsa(shape: Shape, cells: usize) -> Salsa {
    let db = salsa::DatabaseImpl::new();
    let source = Source::new(&db, 0f64.to_bits(), side(cells) as u32);
    let mut salsa = Salsa { db, source, shape, ends: shape.ends(cells) };
    salsa.values();
    salsa
}

impl Cells for Salsa {
    type Input = Vec<f64>;

    fn input(&mut self, edits: &[f64]) -> Vec<f64> {
        edits.to_vec()
    }

    fn step(&mut self, input: Vec<f64>) {
        for x in input {
            self.source.set_x(&mut self.db).to(x.to_bits());
            for i in self.ends.clone() {
                std::hint::black_box(self.cell(i as u32));
            }
        }
    }

    fn values(&mut self) -> Vec<f64> {
        self.ends.clone().map(|i| f64::from_bits(self.cell(i as u32))).collect()
    }
}

impl Salsa {
    fn cell(&self, i: u32) -> u64 {
        *match self.shape {
            Shape::Chain => chain_cell(&self.db, self.source, i),
            Shape::Fan => fan_cell(&self.db, self.source, i),
            Shape::Grid => grid_cell(&self.db, self.source, i),
        }
    }
}

struct Differential(dataflow::Cells);

fn differential(shape: Shape, cells: usize) -> Differential {
    Differential(if shape == Shape::Fan { dataflow::Cells::fan(cells, branch) } else { dataflow::Cells::chain(cells, link) })
}

impl Cells for Differential {
    type Input = Vec<f64>;

    fn input(&mut self, edits: &[f64]) -> Vec<f64> {
        edits.to_vec()
    }

    fn step(&mut self, input: Vec<f64>) {
        let per_step = input.len();
        self.0.run(&input, per_step);
    }

    fn values(&mut self) -> Vec<f64> {
        self.0.values()
    }
}

/// Runs a shape in some sizes, with one edit and with a hundred edits a step.
fn measure<C: Cells>(mut runner: Runner<'_>, shape: Shape, size: Size, make: fn(Shape, usize) -> C) {
    let sizes: &[usize] = if shape == Shape::Grid { &[1024] } else { &[10, 100, 1000] };
    for &cells in sizes {
        let mut contestant = make(shape, cells);
        let mut round = 0u32;
        for edits in [1, 100] {
            let mut last = 0.0;
            // Numbers that differ from one to the next, so that nothing is cut off.
            let mut next = || {
                round += 1;
                last = f64::from(round % 977) + 0.25;
                last
            };
            let steps = (size.pick(4_000_000, 400_000, 0) / (cells * edits)).clamp(size.pick(20, 20, 2), 20_000);
            let prepare = |contestant: &mut C| contestant.input(&(0..edits).map(|_| next()).collect::<Vec<_>>());
            let measured = runner.measure((steps, edits * cells), &mut contestant, prepare, C::step);
            let right = contestant.values() == shape.direct(cells, last);
            runner.tell(&format!("cells_{cells}_step_{edits}"), measured, right);
        }
    }
}

macro_rules! entries {
    ($($shape:ident $name:literal: $($engine:literal $make:ident),*;)*) => {
        vec![$($(Entry::new($name, $engine, |runner, size| measure(runner, Shape::$shape, size, $make))),*),*]
    };
}

/// All shapes, ours and the peers'.
pub(super) fn entries() -> Vec<Entry> {
    entries! {
        Chain "chain": "thalweg" ours, "incremental" incremental, "salsa" salsa, "differential" differential;
        Fan "fan": "thalweg" ours, "incremental" incremental, "salsa" salsa, "differential" differential;
        Grid "grid": "thalweg" ours, "incremental" incremental, "salsa" salsa;
    }
}
