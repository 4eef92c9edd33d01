//! Question: does one edit cost what it touches, or what the graph holds?
//!
//! One order's item is edited again and again, while 1,000 to 1,000,000 other items stand by, and while the order itself has 10 to 1,000
//! items. Expected: the bystanders grow a thousandfold, the time stays flat, and the same two cells are evaluated.
//!
//! `cargo bench -p thalweg-benches --bench bystanders [-- --quick]`

use thalweg_benches::clock::{Figure, time_ns};
use thalweg_benches::graphs::{Doc, Transactions, cents, engine, in_cents};
use thalweg_benches::{Effort, Table, Target, Unit};
use thalweg_engine::Engine;
use thalweg_formulas::Value;

/// The order that is edited.
const HOT: i64 = 0;

/// Other orders have so many items.
const CHILDREN: i64 = 10;

struct World {
    engine: Engine,
    item: Doc,
    transactions: Transactions,
    price: i64,
}

impl World {
    /// One order with `children` items at 1 cent, and `bystanders` items of other orders.
    fn new(children: i64, bystanders: i64) -> World {
        let order = Doc::new("Order", &[("id", "int")]).children("items", "Item", "order");
        let item = Doc::new("Item", &[("id", "int"), ("order", "int"), ("price", "decimal(10,2)")]);
        let fields = [("Order.total", "sum(items[*].price)"), ("Order.taxed", "total * 2")];
        let mut engine = engine(&[&order, &item], &fields);
        let transactions = Transactions::default();
        let orders = (0..=bystanders / CHILDREN).map(|id| order.insert([Value::Int(id)]));
        let own = (0..children).map(|id| item.insert(row(id, HOT, 1)));
        let others = (0..bystanders).map(|n| item.insert(row(children + n, 1 + n / CHILDREN, n % 97)));
        let rows: Vec<_> = orders.chain(own).chain(others).collect();
        engine.push(transactions.fill(rows));
        engine.step();
        World { engine, item, transactions, price: 1 }
    }

    /// The item with key 0 gets another price, so often; the cells evaluated.
    fn edits(&mut self, n: u64) -> u64 {
        let mut cells = 0;
        for _ in 0..n {
            let before = self.price;
            self.price = before % 1_000 + 1;
            let change = self.item.update(row(0, HOT, before), row(0, HOT, self.price));
            self.engine.push(self.transactions.one(change));
            cells += self.engine.step().counts.cells;
        }
        cells
    }
}

fn row(id: i64, order: i64, price: i64) -> [Value; 3] {
    [Value::Int(id), Value::Int(order), cents(price)]
}

/// Edits a fresh world: right answers first, then the time of one edit in microseconds, and the cells it evaluates.
fn measure(children: i64, bystanders: i64, effort: Effort) -> (Figure, u64) {
    let mut world = World::new(children, bystanders);
    let cells = world.edits(1);
    let total = in_cents(world.engine.read("Order.taxed", &[Value::Int(HOT)]));
    assert_eq!(total, 2 * (world.price + children - 1), "{children} items, {bystanders} bystanders");
    world.edits(1_000);
    let ns = time_ns(effort.pick(41, 5), 1_000, || (), |()| assert_eq!(world.edits(1_000), 1_000 * cells));
    (ns.map(|ns| ns / 1e3), cells)
}

fn main() {
    let effort = Effort::from_args();
    let mut table = Table::new("does one edit cost what it touches, or what the graph holds?");
    let (first, cells) = measure(CHILDREN, 1_000, effort);
    table.ours("1,000 bystanders", first, Unit::Us("edit"), Target::None);
    // Flat: at most half as much again, for caches that hold less of it.
    let flat = Target::Reach(1.5 * first.median);
    for (name, bystanders) in [("10,000", 10_000), ("100,000", 100_000), ("1,000,000", 1_000_000)] {
        if effort == Effort::Quick && bystanders > 100_000 {
            continue;
        }
        let (us, same) = measure(CHILDREN, bystanders, effort);
        assert_eq!(same, cells, "bystanders are not evaluated");
        table.ours(format!("{name} bystanders"), us, Unit::Us("edit"), flat);
    }
    for children in [100, 1_000] {
        let (us, same) = measure(children, 1_000, effort);
        assert_eq!(same, cells, "other items of the order are not evaluated");
        table.ours(format!("1,000 bystanders, {children} items in the order"), us, Unit::Us("edit"), flat);
    }
}
