//! Question: what does a dependent cell cost when its document is hot?
//!
//! One row is edited; 10, 100 or 1000 fields depend on it, in a chain (each on the one before) or in a fan (all on the row). Expected: ten
//! nanoseconds a cell once the step is shared (100 edits a step, each its own epoch); alone, a short chain pays for its step. `incremental`
//! keeps no rows, no errors and no epochs, tells nobody what has changed, and runs once for each edit in both cases; a differential dataflow has an
//! operator for each cell. Our figure holds the delta of every cell, with its old and its new value.
//!
//! `cargo bench -p thalweg-benches --bench cells [-- --quick]`

use incremental::{Incr, IncrState, Observer, Var};
use thalweg_benches::clock::time_ns;
use thalweg_benches::dataflow::Cells;
use thalweg_benches::graphs::{Doc, Transactions, double, engine};
use thalweg_benches::{Effort, Table, Target, Unit};
use thalweg_engine::Engine;
use thalweg_formulas::Value;
use thalweg_graph::Transaction;

const KEY: i64 = 1;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Shape {
    Chain,
    Fan,
}

fn link(x: f64) -> f64 {
    x * 1.000_000_1 + 1.0
}

fn branch(i: usize, x: f64) -> f64 {
    x * (i as f64 + 0.5)
}

impl Shape {
    fn formula(self, i: usize) -> String {
        match self {
            Shape::Chain if i == 0 => "x * 1.0000001 + 1.0".into(),
            Shape::Chain => format!("f{} * 1.0000001 + 1.0", i - 1),
            Shape::Fan => format!("x * {i}.5"),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Shape::Chain => "chain",
            Shape::Fan => "fan",
        }
    }

    /// The cells whose values are compared: the chain's last, the fan's all.
    fn ends(self, n: usize) -> std::ops::Range<usize> {
        match self {
            Shape::Chain => n - 1..n,
            Shape::Fan => 0..n,
        }
    }
}

/// Our contestant.
struct Ours {
    engine: Engine,
    cells: u64,
}

/// Edits of the row as transactions.
struct Inputs {
    doc: Doc,
    transactions: Transactions,
    now: f64,
}

impl Inputs {
    fn new() -> Inputs {
        let doc = Doc::new("T", &[("id", "int"), ("x", "double")]);
        Inputs { doc, transactions: Transactions::default(), now: 0.0 }
    }

    fn of(&mut self, edits: &[f64]) -> Vec<Transaction> {
        let row = |x: f64| [Value::Int(KEY), Value::Double(x)];
        let update = |x: &f64| self.doc.update(row(std::mem::replace(&mut self.now, *x)), row(*x));
        edits.iter().map(update).map(|change| self.transactions.one(change)).collect()
    }
}

impl Ours {
    fn new(shape: Shape, n: usize) -> Ours {
        let Inputs { doc, transactions, now } = Inputs::new();
        let fields: Vec<(String, String)> = (0..n).map(|i| (format!("T.f{i}"), shape.formula(i))).collect();
        let fields: Vec<(&str, &str)> = fields.iter().map(|(name, formula)| (name.as_str(), formula.as_str())).collect();
        let mut engine = engine(&[&doc], &fields);
        engine.push(transactions.one(doc.insert([Value::Int(KEY), Value::Double(now)])));
        engine.step();
        Ours { engine, cells: 0 }
    }

    fn run(&mut self, input: Vec<Transaction>, per_step: usize) {
        let mut waiting = 0;
        for transaction in input {
            self.engine.push(transaction);
            waiting += 1;
            if waiting == per_step {
                let outcome = self.engine.step();
                self.cells += outcome.counts.cells;
                self.engine.recycle(outcome.deltas);
                waiting = 0;
            }
        }
    }

    fn values(&mut self, cells: std::ops::Range<usize>) -> Vec<f64> {
        cells.map(|i| double(self.engine.read(&format!("T.f{i}"), &[Value::Int(KEY)]))).collect()
    }
}

/// `incremental`, the ends observed.
struct Peer {
    state: IncrState,
    x: Var<f64>,
    ends: Vec<Observer<f64>>,
}

impl Peer {
    fn new(shape: Shape, n: usize) -> Peer {
        let state = IncrState::new_with_height(n + 10);
        let x = state.var(0.0);
        let ends = match shape {
            Shape::Chain => {
                let mut last: Incr<f64> = x.watch();
                for _ in 0..n {
                    last = last.map(|x| link(*x));
                }
                vec![last.observe()]
            }
            Shape::Fan => (0..n).map(|i| x.map(move |x| branch(i, *x)).observe()).collect(),
        };
        state.stabilise();
        Peer { state, x, ends }
    }

    fn run(&self, edits: &[f64]) {
        for x in edits {
            self.x.set(*x);
            self.state.stabilise();
        }
    }

    fn values(&self) -> Vec<f64> {
        self.ends.iter().map(Observer::value).collect()
    }
}

fn differential(shape: Shape, n: usize) -> Cells {
    match shape {
        Shape::Chain => Cells::chain(n, link),
        Shape::Fan => Cells::fan(n, branch),
    }
}

/// All contestants agree after some edits.
fn check(shape: Shape, n: usize) {
    let (mut ours, peer, mut flow) = (Ours::new(shape, n), Peer::new(shape, n), differential(shape, n));
    let edits = [0.25, 17.5, -3.0];
    ours.run(Inputs::new().of(&edits), 3);
    peer.run(&edits);
    flow.run(&edits, 3);
    let values = ours.values(shape.ends(n));
    assert_eq!(values, peer.values());
    assert_eq!(values, flow.values());
    assert_eq!(ours.cells, (edits.len() * n) as u64, "no cell is left out, none runs twice");
}

/// Numbers that differ from one to the next, so that nothing is cut off.
fn edits(round: &mut u32, n: usize) -> Vec<f64> {
    (0..n)
        .map(|_| {
            *round += 1;
            f64::from(*round % 977) + 0.25
        })
        .collect()
}

fn main() {
    let effort = Effort::from_args();
    let mut table = Table::new("what does a dependent cell cost when its document is hot?");
    for shape in [Shape::Chain, Shape::Fan] {
        for n in [10, 100, 1000] {
            check(shape, n);
            for per_step in [100, 1] {
                measure(shape, n, per_step, effort, &mut table);
            }
        }
    }
}

fn measure(shape: Shape, n: usize, per_step: usize, effort: Effort, table: &mut Table) {
    let (chunks, chunk) = (effort.pick(41, 5), 100.max(2_000 / n));
    let chunk = chunk - chunk % per_step;
    let cells = chunk * n;
    let mut round = 0;
    let mut ours = Ours::new(shape, n);
    let mut inputs = Inputs::new();
    ours.run(inputs.of(&edits(&mut round, chunk)), per_step);
    let figure = time_ns(chunks, cells, || inputs.of(&edits(&mut round, chunk)), |input| ours.run(input, per_step));
    let target = if per_step > 1 { Target::Reach(10.0) } else { Target::None };
    let case = format!("{} of {n}, {per_step} edits a step", shape.name());
    table.ours(&case, figure, Unit::Ns("cell"), target);
    let peer = Peer::new(shape, n);
    peer.run(&edits(&mut round, chunk));
    let figure = time_ns(chunks, cells, || edits(&mut round, chunk), |edits| peer.run(&edits));
    table.peer("incremental 0.2.8", figure, if per_step > 1 { Target::Times(5.0) } else { Target::None });
    let mut flow = differential(shape, n);
    flow.run(&edits(&mut round, chunk), per_step);
    let chunks = chunks.div_ceil(if n < 1000 { 1 } else { 8 });
    let figure = time_ns(chunks, cells, || edits(&mut round, chunk), |edits| flow.run(&edits, per_step));
    table.peer("differential, a map a cell", figure, Target::None);
}
