//! Question: how fast are a million rows taken in at the start, and what do they hold in memory?
//!
//! Two graphs: a product of two columns (plain), and the sum over each order's ten items (child aggregate). Rows come as one fill
//! transaction; for memory they come in fills of 10,000, as a source's snapshot brings them, in a process of their own for each contestant,
//! so that what one has freed does not hide what the next one takes. Expected: 3 million rows a second; `count_total` keeps 40 bytes a
//! group and no rows, and is faster.
//!
//! `cargo bench -p thalweg-benches --bench backfill [-- --quick]`

use thalweg_benches::clock::{cpu_ns_of, median, rss_bytes};
use thalweg_benches::dataflow::{self, Edit, Peer, price_of};
use thalweg_benches::graphs::{Doc, Transactions, cents, engine, in_cents};
use thalweg_benches::{Effort, Table, Target, Unit};
use thalweg_engine::Engine;
use thalweg_formulas::Value;
use thalweg_graph::Change;

/// Items of an order.
const CHILDREN: u64 = 10;

/// Rows of one fill where memory is measured.
const SLICE: u64 = 10_000;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Graph {
    Plain,
    Children,
}

/// What a contestant's process prints: nanoseconds and bytes a row, by `/proc` and by its own account.
struct Load {
    ns: f64,
    resident: f64,
    counted: f64,
}

impl Graph {
    fn name(self) -> &'static str {
        match self {
            Graph::Plain => "plain",
            Graph::Children => "child aggregate",
        }
    }

    fn peers(self) -> &'static [&'static str] {
        match self {
            Graph::Plain => &["differential map, arranged"],
            Graph::Children => &["differential reduce", "differential count_total"],
        }
    }

    /// What a row may hold: 8 bytes a slot (its columns, and the field of its own) and 24 for its key.
    fn bytes_max(self) -> f64 {
        match self {
            Graph::Plain => 4.0 * 8.0 + 24.0,
            Graph::Children => 3.0 * 8.0 + 24.0,
        }
    }

    fn ids(self, rows: u64) -> u64 {
        match self {
            Graph::Plain => rows,
            Graph::Children => rows / CHILDREN,
        }
    }
}

/// The right answer, computed the obvious way.
fn answer(graph: Graph, id: u64) -> i64 {
    match graph {
        Graph::Plain => price_of(id) * quantity(id),
        Graph::Children => (id * CHILDREN..(id + 1) * CHILDREN).map(quantity).sum(),
    }
}

fn quantity(row: u64) -> i64 {
    (row % 89) as i64 + 1
}

fn edits(rows: std::ops::Range<u64>) -> Vec<Edit> {
    rows.map(|row| Edit { row, group: row / CHILDREN, before: 0, after: quantity(row) }).collect()
}

/// Our contestant: the engine and its rows.
struct Ours {
    graph: Graph,
    engine: Engine,
    docs: [Doc; 2],
}

impl Ours {
    fn new(graph: Graph) -> Ours {
        let order =
            Doc::new("Order", &[("id", "int"), ("price", "decimal(10,2)"), ("qty", "int")]).children("items", "Item", "order");
        let item = Doc::new("Item", &[("id", "int"), ("order", "int"), ("price", "decimal(10,2)")]);
        let engine = match graph {
            Graph::Plain => engine(&[&order, &item], &[("Order.total", "price * qty")]),
            Graph::Children => engine(&[&order, &item], &[("Order.total", "sum(items[*].price)")]),
        };
        Ours { graph, engine, docs: [order, item] }
    }

    fn rows(&self, rows: std::ops::Range<u64>) -> Vec<Change> {
        let [order, item] = &self.docs;
        let int = |n: u64| Value::Int(n as i64);
        match self.graph {
            Graph::Plain => rows.map(|n| order.insert([int(n), cents(price_of(n)), Value::Int(quantity(n))])).collect(),
            Graph::Children => rows.map(|n| item.insert([int(n), int(n / CHILDREN), cents(quantity(n))])).collect(),
        }
    }

    /// Orders are there before their items; they are not counted.
    fn parents(&mut self, rows: u64) {
        if self.graph == Graph::Children {
            let row = |id: u64| [Value::Int(id as i64), cents(0), Value::Int(0)];
            let orders = (0..rows / CHILDREN).map(|id| self.docs[0].insert(row(id))).collect();
            self.engine.push(Transactions::default().fill(orders));
            self.engine.step();
        }
    }

    fn fill(&mut self, rows: Vec<Change>) {
        self.engine.push(Transactions::default().fill(rows));
        std::hint::black_box(self.engine.step());
    }

    fn check(&mut self, rows: u64) {
        for id in (0..self.graph.ids(rows)).step_by(997) {
            let read = in_cents(self.engine.read("Order.total", &[Value::Int(id as i64)]));
            assert_eq!(read, answer(self.graph, id), "{} {id}", self.graph.name());
        }
    }
}

fn peer(who: &str, ids: u64) -> Box<dyn Peer> {
    match who {
        "differential map, arranged" => dataflow::map_arranged(ids),
        "differential reduce" => dataflow::reduce(ids),
        "differential count_total" => dataflow::count_total(ids),
        _ => panic!("nobody is called {who}"),
    }
}

fn our_load(graph: Graph, rows: u64) -> Load {
    let mut whole = Ours::new(graph);
    // As a daemon fills: nobody reads what the rows that were there before have moved.
    whole.engine.report_fills(false);
    whole.parents(rows);
    let input = whole.rows(0..rows);
    let ns = cpu_ns_of(|| whole.fill(input)) / rows as f64;
    whole.check(rows);
    Load { ns, resident: 0.0, counted: 0.0 }
}

fn our_memory(graph: Graph, rows: u64) -> Load {
    let mut sliced = Ours::new(graph);
    // The first slices bring the engine's buffers to their size.
    let warm = 2 * SLICE;
    sliced.parents(rows + warm);
    let slices = |sliced: &mut Ours, rows: std::ops::Range<u64>| {
        for first in rows.step_by(SLICE as usize) {
            let slice = sliced.rows(first..first + SLICE);
            sliced.fill(slice);
        }
    };
    slices(&mut sliced, 0..warm);
    let (before, counted) = (rss_bytes("self"), state_bytes(&mut sliced.engine));
    slices(&mut sliced, warm..warm + rows);
    let resident = (rss_bytes("self") - before) / rows as f64;
    sliced.check(rows + warm);
    Load { ns: 0.0, resident, counted: (state_bytes(&mut sliced.engine) - counted) / rows as f64 }
}

fn state_bytes(engine: &mut Engine) -> f64 {
    engine.stats().iter().map(|node| node.state_bytes as f64).sum()
}

fn peer_load(graph: Graph, who: &str, rows: u64) -> Load {
    let mut loaded = peer(who, graph.ids(rows));
    let input = edits(0..rows);
    let before = rss_bytes("self");
    let ns = cpu_ns_of(|| loaded.load(&input)) / rows as f64;
    let resident = (rss_bytes("self") - before) / rows as f64;
    (0..graph.ids(rows)).step_by(997).for_each(|id| assert_eq!(loaded.answer(id), answer(graph, id), "{who} {id}"));
    Load { ns, resident, counted: 0.0 }
}

fn peer_memory(graph: Graph, who: &str, rows: u64) -> Load {
    let mut sliced = peer(who, graph.ids(rows));
    let before = rss_bytes("self");
    (0..rows).step_by(SLICE as usize).for_each(|first| sliced.load(&edits(first..first + SLICE)));
    Load { ns: 0.0, resident: (rss_bytes("self") - before) / rows as f64, counted: 0.0 }
}

/// Runs one contestant in a process of its own.
fn apart(graph: Graph, who: &str, what: &str, rows: u64) -> Load {
    let program = std::env::current_exe().expect("the bench knows where it is");
    let output = std::process::Command::new(program)
        .args(["--contestant", graph.name(), who, what, &rows.to_string()])
        .stderr(std::process::Stdio::inherit())
        .output()
        .expect("the bench starts itself");
    assert!(output.status.success(), "{who} failed");
    let text = String::from_utf8(output.stdout).expect("figures are text");
    let figures: Vec<f64> = text.split_whitespace().map(|figure| figure.parse().expect("a figure")).collect();
    Load { ns: figures[0], resident: figures[1], counted: figures[2] }
}

fn contestant(args: &[String]) {
    let graph = if args[0] == "plain" { Graph::Plain } else { Graph::Children };
    let rows = args[3].parse().expect("a number of rows");
    let load = match (args[1].as_str(), args[2].as_str()) {
        ("thalweg", "time") => our_load(graph, rows),
        ("thalweg", _) => our_memory(graph, rows),
        (who, "time") => peer_load(graph, who, rows),
        (who, _) => peer_memory(graph, who, rows),
    };
    println!("{} {} {}", load.ns, load.resident, load.counted);
}

fn main() {
    let args: Vec<String> = std::env::args().collect();
    if let Some(at) = args.iter().position(|arg| arg == "--contestant") {
        return contestant(&args[at + 1..]);
    }
    let effort = Effort::from_args();
    let rows = effort.pick(1_000_000, 100_000);
    let rounds = effort.pick(3, 1);
    let mut table = Table::new("how fast are a million rows taken in at the start, and what do they hold in memory?");
    for graph in [Graph::Plain, Graph::Children] {
        let speed = |who: &str| 1e3 / median((0..rounds).map(|_| apart(graph, who, "time", rows).ns).collect());
        let case = format!("{}, {rows} rows", graph.name());
        table.ours(format!("{case}, one fill"), speed("thalweg"), Unit::MillionPerS("rows"), Target::Reach(3.0));
        graph.peers().iter().for_each(|who| table.peer(who, speed(who), Target::None));
        let memory = apart(graph, "thalweg", "memory", rows);
        table.ours(format!("{case}, by its own account"), memory.counted, Unit::Bytes("row"), Target::Reach(graph.bytes_max()));
        table.ours(format!("{case}, resident"), memory.resident, Unit::Bytes("row"), Target::Reach(graph.bytes_max()));
        graph.peers().iter().for_each(|who| table.peer(who, apart(graph, who, "memory", rows).resident, Target::None));
    }
}
