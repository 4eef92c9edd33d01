//! Question: what does a single-row transaction cost, alone and in batches, each its own epoch?
//!
//! Three graphs: a product of two columns of the row (region only); the sum over an order's items, edited by the item (child aggregate);
//! a product with the price of what the row refers to, edited there, ten rows following (lookup). Expected: 3.5 us alone within the
//! region, 8 us with an edge; a million a second in batches; a differential `reduce` is five times slower. `map` keeps no rows, so it
//! cannot be read; `count_total` can sum and nothing else.
//!
//! `cargo bench -p thalweg-benches --bench transactions [-- --quick]`

use thalweg_benches::clock::time_ns;
use thalweg_benches::dataflow::{self, Edit, Join, Peer, price_of};
use thalweg_benches::graphs::{Doc, Transactions, cents, engine, in_cents};
use thalweg_benches::{Effort, Numbers, Table, Target, Unit};
use thalweg_engine::Engine;
use thalweg_formulas::Value;
use thalweg_graph::{Change, Transaction};

/// Rows in each graph.
const ROWS: u64 = 100_000;

/// Rows that belong to one document.
const CHILDREN: u64 = 10;

/// A graph, its rows and its peers.
struct World {
    name: &'static str,
    rows: u64,
    engine: Engine,
    transactions: Transactions,
    /// What an edit changes.
    change: Box<dyn Fn(&Edit) -> Change>,
    /// The field and the key that answer for an id.
    field: &'static str,
    answers: u64,
    /// Our target alone, in microseconds.
    alone_us: f64,
    peers: Vec<(&'static str, Target, Box<dyn Peer>)>,
}

/// `Order.total = price * qty`.
fn region(rows: u64) -> World {
    let doc = Doc::new("Order", &[("id", "int"), ("price", "decimal(10,2)"), ("qty", "int")]);
    let mut engine = engine(&[&doc], &[("Order.total", "price * qty")]);
    let row = |edit: &Edit, qty: i64| [Value::Int(edit.row as i64), cents(price_of(edit.row)), Value::Int(qty)];
    let transactions = Transactions::default();
    let start = rows_at_start(rows, 1);
    engine.push(transactions.fill(start.iter().map(|edit| doc.insert(row(edit, edit.after))).collect()));
    engine.step();
    let mut peers: Vec<(_, _, Box<dyn Peer>)> = vec![
        ("differential map", Target::None, dataflow::map(rows)),
        ("differential map, arranged", Target::None, dataflow::map_arranged(rows)),
    ];
    peers.iter_mut().for_each(|(_, _, peer)| peer.load(&start));
    let change = Box::new(move |edit: &Edit| doc.update(row(edit, edit.before), row(edit, edit.after)));
    World { name: "region", rows, engine, transactions, change, field: "Order.total", answers: rows, alone_us: 3.5, peers }
}

/// `Order.total = sum(items[*].price)`.
fn children(rows: u64) -> World {
    let order = Doc::new("Order", &[("id", "int")]).children("items", "Item", "order");
    let item = Doc::new("Item", &[("id", "int"), ("order", "int"), ("price", "decimal(10,2)")]);
    let mut engine = engine(&[&order, &item], &[("Order.total", "sum(items[*].price)")]);
    let row = |edit: &Edit, price: i64| [Value::Int(edit.row as i64), Value::Int(edit.group as i64), cents(price)];
    let transactions = Transactions::default();
    let start = rows_at_start(rows, CHILDREN);
    let orders = (0..rows / CHILDREN).map(|id| order.insert([Value::Int(id as i64)]));
    engine.push(transactions.fill(orders.chain(start.iter().map(|edit| item.insert(row(edit, edit.after)))).collect()));
    engine.step();
    let groups = rows / CHILDREN;
    let mut peers: Vec<(_, _, Box<dyn Peer>)> = vec![
        ("differential reduce", Target::Times(5.0), dataflow::reduce(groups)),
        ("differential count_total", Target::None, dataflow::count_total(groups)),
    ];
    peers.iter_mut().for_each(|(_, _, peer)| peer.load(&start));
    let change = Box::new(move |edit: &Edit| item.update(row(edit, edit.before), row(edit, edit.after)));
    World {
        name: "child aggregate",
        rows,
        engine,
        transactions,
        change,
        field: "Order.total",
        answers: groups,
        alone_us: 8.0,
        peers,
    }
}

/// `Item.cost = product.price * qty`; the edits change products, and ten items follow each.
fn lookup(products: u64) -> World {
    let product = Doc::new("Product", &[("id", "int"), ("price", "decimal(10,2)")]);
    let item =
        Doc::new("Item", &[("id", "int"), ("product_id", "int"), ("qty", "int")]).lookup("product", "Product", "product_id");
    let mut engine = engine(&[&product, &item], &[("Item.cost", "product.price * qty")]);
    let row = |edit: &Edit, price: i64| [Value::Int(edit.row as i64), cents(price)];
    let transactions = Transactions::default();
    let start = rows_at_start(products, 1);
    let items: Vec<(u64, (u64, i64))> = (0..products * CHILDREN).map(|id| (id / CHILDREN, (id, 1 + (id % 7) as i64))).collect();
    let item_row = |(of, (id, qty)): &(u64, (u64, i64))| [Value::Int(*id as i64), Value::Int(*of as i64), Value::Int(*qty)];
    let rows = start.iter().map(|edit| product.insert(row(edit, edit.after)));
    engine.push(transactions.fill(rows.chain(items.iter().map(|i| item.insert(item_row(i)))).collect()));
    engine.step();
    let mut join: Box<dyn Peer> = Box::new(Join::new(&items));
    join.load(&start);
    let peers = vec![("differential join", Target::None, join)];
    let change = Box::new(move |edit: &Edit| product.update(row(edit, edit.before), row(edit, edit.after)));
    let answers = products * CHILDREN;
    World {
        name: "lookup, 10 rows follow",
        rows: products,
        engine,
        transactions,
        change,
        field: "Item.cost",
        answers,
        alone_us: 8.0,
        peers,
    }
}

fn rows_at_start(rows: u64, to_a_group: u64) -> Vec<Edit> {
    (0..rows).map(|row| Edit { row, group: row / to_a_group, before: 0, after: value_at_start(row) }).collect()
}

fn value_at_start(row: u64) -> i64 {
    (row % 89) as i64 + 1
}

/// Edits of random rows; every edit changes its value. All contestants get the same ones.
fn edits(world: &World, n: usize) -> Vec<Edit> {
    let mut numbers = Numbers::new(7);
    let mut now: Vec<i64> = (0..world.rows).map(value_at_start).collect();
    let to_a_group = if world.name == "child aggregate" { CHILDREN } else { 1 };
    (0..n)
        .map(|_| {
            let row = numbers.below(world.rows);
            let before = now[row as usize];
            let after = before % 1_000 + 1 + numbers.below(50) as i64;
            now[row as usize] = after;
            Edit { row, group: row / to_a_group, before, after }
        })
        .collect()
}

fn run(engine: &mut Engine, input: Vec<Transaction>, per_step: usize) {
    let mut input = input.into_iter().peekable();
    while input.peek().is_some() {
        input.by_ref().take(per_step).for_each(|transaction| {
            engine.push(transaction);
        });
        std::hint::black_box(engine.step());
    }
}

impl World {
    /// All contestants have the same answers.
    fn check(&mut self) {
        for id in (0..self.answers).step_by(7) {
            let ours = in_cents(self.engine.read(self.field, &[Value::Int(id as i64)]));
            for (who, _, peer) in &self.peers {
                assert_eq!(ours, peer.answer(id), "{}: {who} on {id}", self.name);
            }
        }
    }
}

fn main() {
    let effort = Effort::from_args();
    let mut table = Table::new("what does a single-row transaction cost, alone and in batches, each its own epoch?");
    for make in [|| region(ROWS), || children(ROWS), || lookup(ROWS / CHILDREN)] as [fn() -> World; 3] {
        measure(&mut make(), effort, &mut table);
    }
}

/// Each size of step goes over its own part of the same edits, first ours, then each peer. Transactions are built chunk by chunk, just
/// before they are timed, so that they are as warm as those of a source.
fn measure(world: &mut World, effort: Effort, table: &mut Table) {
    let chunk = 2_000;
    let chunks = effort.pick(15, 3);
    let sizes = [1, 10, 100, 1000];
    let all = edits(world, chunk * (1 + chunks * sizes.len()));
    let (warm, rest) = all.split_at(chunk);
    run(&mut world.engine, world.transactions.each(warm, &world.change), 100);
    world.peers.iter_mut().for_each(|(_, _, peer)| peer.run(warm, 100));
    world.check();
    for (per_step, part) in sizes.into_iter().zip(rest.chunks(chunk * chunks)) {
        let case = format!("{}, {} rows, {per_step} a step", world.name, world.rows);
        let World { engine, transactions, change, .. } = world;
        let mut parts = part.chunks(chunk);
        let mut input = || transactions.each(parts.next().expect("a chunk for each"), &*change);
        let ns = time_ns(chunks, chunk, &mut input, |input| run(engine, input, per_step));
        let target = Target::Reach(if per_step == 1 { world.alone_us } else { 1.0 });
        table.ours(&case, ns.map(|ns| ns / 1e3), Unit::Us("transaction"), target);
        for (who, target, peer) in &mut world.peers {
            let mut parts = part.chunks(chunk);
            let ns = time_ns(chunks, chunk, || parts.next().expect("a chunk for each"), |edits| peer.run(edits, per_step));
            table.peer(who, ns.map(|ns| ns / 1e3), *target);
        }
        world.check();
    }
}
