//! Our contestants: planned graphs, fed with transactions as a source brings them.

use thalweg_engine::{Engine, Options};
use thalweg_formulas::Value;
use thalweg_formulas::word::Kind;
use thalweg_graph::outcome::deltas::Shown;
use thalweg_graph::{Change, Outcome, Transaction};

use super::data::{BEST, Customer, Edit, Item, LAST, Player, Point, REGIONS, Sale, fold, shown, text};
use super::workloads::{Contestant, Takes};
use crate::graphs::{Doc, Transactions, engine_with};

/// An engine whose output is read as it comes.
pub struct Ours {
    engine: Engine,
    /// Makes what is pushed.
    pub(super) transactions: Transactions,
    /// The document types.
    pub(super) docs: Vec<Doc>,
    /// The nodes that are shown, by their place in a checksum.
    shows: &'static [&'static str],
    /// Documents that are not rows of the workload; they are loaded with the first rows.
    parents: u64,
    checksum: u64,
}

impl Ours {
    /// Documents, fields, and which of them are shown.
    pub fn new(docs: Vec<Doc>, fields: &[(&str, &str)], shows: &'static [&'static str], parents: u64, workers: usize) -> Ours {
        let refs: Vec<&Doc> = docs.iter().collect();
        let engine = engine_with(&refs, fields, Options { workers, ..Options::default() });
        Ours { engine, transactions: Transactions::default(), docs, shows, parents, checksum: 0 }
    }

    /// `Order.sum`, `Order.count`, `Order.max` over items.
    pub fn w2(orders: u64, workers: usize) -> Ours {
        let order = Doc::new("Order", &[("id", "int")]).children("items", "Item", "order");
        let item = Doc::new("Item", &[("id", "int"), ("order", "int"), ("price", "int"), ("qty", "int")]);
        let fields = [
            ("Order.sum", "sum(items[*].price * items[*].qty)"),
            ("Order.count", "count(items[*].id)"),
            ("Order.max", "max(items[*].price)"),
        ];
        Ours::new(vec![order, item], &fields, &["Order.sum", "Order.count", "Order.max"], orders, workers)
    }

    /// `Region.total` over the orders of its customers: summed up at each customer first, which the planner does.
    pub fn w3(workers: usize) -> Ours {
        let region = Doc::new("Region", &[("id", "int")]).children("customers", "Customer", "region");
        let customer = Doc::new("Customer", &[("id", "int"), ("region", "int")]).children("orders", "Order", "customer");
        let order = Doc::new("Order", &[("id", "int"), ("customer", "int"), ("amount", "int")]);
        let fields =
            [("Region.total", "sum(customers[*].orders[*].amount)"), ("Region.count", "count(customers[*].orders[*].id)")];
        Ours::new(vec![region, customer, order], &fields, &["Region.total", "Region.count"], REGIONS, workers)
    }

    /// `Series.average` over the last points, by their keys.
    pub fn w4a(series: u64) -> Ours {
        let doc = Doc::new("Series", &[("id", "int")]).children("points", "Point", "series");
        let point = Doc::new("Point", &[("id", "int"), ("series", "int"), ("value", "int")]);
        let average = format!("window_avg(points[*].value, {LAST})");
        Ours::new(vec![doc, point], &[("Series.average", &average)], &["Series.average"], series, 1)
    }

    /// `Board.best` over players by their score.
    pub fn w4b(boards: u64) -> Ours {
        let board = Doc::new("Board", &[("id", "int")]).children("players", "Player", "board");
        let player = Doc::new("Player", &[("id", "int"), ("board", "int"), ("score", "int")]);
        let best = format!("top(players[*].id, {BEST}, players[*].score)");
        Ours::new(vec![board, player], &[("Board.best", &best)], &["Board.best"], boards, 1)
    }

    /// Rows of the first table that are no rows of the workload, with keys from 0 on; handed over once.
    fn parents(&mut self) -> impl Iterator<Item = Change> {
        let first = &self.docs[0];
        (0..std::mem::take(&mut self.parents)).map(|id| first.insert([int(id)]))
    }

    /// Updates of a table's rows: one transaction.
    fn changes<R, const N: usize>(&self, table: usize, edits: &[Edit<R>], row: fn(&R) -> [Value; N]) -> Transaction {
        let doc = &self.docs[table];
        self.transactions.all(edits.iter().map(|edit| doc.update(row(&edit.old), row(&edit.new))).collect())
    }

    /// Hands a transaction over, an epoch of the next step.
    pub fn push(&mut self, transaction: Transaction) {
        self.engine.push(transaction);
    }

    /// A step with all that was pushed, and its output read.
    pub fn close(&mut self) {
        let outcome = self.engine.step();
        self.read(outcome);
    }

    /// Takes the output in: what is shown now instead of what was shown before.
    fn read(&mut self, outcome: Outcome) {
        assert!(outcome.errors.is_empty(), "{:?}", outcome.errors[0]);
        let (checksum, shows) = (&mut self.checksum, self.shows);
        outcome.deltas.each(|node, key, old, new| {
            let Some(place) = shows.iter().position(|shown| **shown == **node) else { return };
            let key = fold(key.iter().map(word));
            let part = |value: Shown<'_>| shown(place as u64, key, shown_word(value));
            *checksum = checksum.wrapping_add(part(new)).wrapping_sub(part(old));
        });
        self.engine.recycle(outcome.deltas);
    }
}

/// What is shown as a word of a checksum.
fn shown_word(value: Shown<'_>) -> u64 {
    match value {
        Shown::Word(Kind::Int | Kind::Bool | Kind::Double | Kind::Timestamp, word) => word,
        Shown::Value(value) => word(value),
        other => word(&other.value()),
    }
}

/// A value as a word of a checksum.
fn word(value: &Value) -> u64 {
    match value {
        Value::Null => 0,
        Value::Int(x) => *x as u64,
        Value::Bool(x) => u64::from(*x),
        Value::Double(x) => x.to_bits(),
        Value::Timestamp(at) => at.0 as u64,
        Value::Text(shown) => text(shown),
        Value::List(all) => fold(all.iter().map(word)),
        other => panic!("{other:?} is in no answer"),
    }
}

fn int(x: u64) -> Value {
    Value::Int(x as i64)
}

fn item_row(item: &Item) -> [Value; 4] {
    [int(item.id), int(item.order), Value::Int(item.price), Value::Int(item.qty)]
}

fn sale_row(sale: &Sale) -> [Value; 3] {
    [int(sale.id), int(sale.customer), Value::Int(sale.amount)]
}

fn point_row(point: &Point) -> [Value; 3] {
    [int(point.id), int(point.series), Value::Int(point.value)]
}

fn player_row(player: &Player) -> [Value; 3] {
    [int(player.id), int(player.board), Value::Int(player.score)]
}

fn customer_row(customer: &Customer) -> [Value; 2] {
    [int(customer.id), int(customer.region)]
}

impl Contestant for Ours {
    type Input = Transaction;

    fn load(&mut self, rows: Transaction) {
        self.step(rows);
    }

    fn loaded(&mut self) {}

    fn step(&mut self, changes: Transaction) {
        self.push(changes);
        self.close();
    }

    fn checksum(&mut self) -> u64 {
        self.checksum
    }
}

impl Takes<Item> for Ours {
    fn inserts(&mut self, rows: &[Item]) -> Transaction {
        let [order, item] = &self.docs[..] else { unreachable!("w2 has two tables") };
        // An order comes with its first item.
        let orders = rows.iter().filter(|row| row.id < self.parents).map(|row| order.insert([int(row.order)]));
        let changes: Vec<Change> = orders.chain(rows.iter().map(|row| item.insert(item_row(row)))).collect();
        self.transactions.fill(changes)
    }

    fn edits(&mut self, edits: &[Edit<Item>]) -> Transaction {
        self.changes(1, edits, item_row)
    }
}

impl Takes<Sale> for Ours {
    fn inserts(&mut self, rows: &[Sale]) -> Transaction {
        let order = &self.docs[2];
        self.transactions.fill(rows.iter().map(|row| order.insert(sale_row(row))).collect())
    }

    fn edits(&mut self, edits: &[Edit<Sale>]) -> Transaction {
        self.changes(2, edits, sale_row)
    }
}

impl Takes<Customer> for Ours {
    fn inserts(&mut self, rows: &[Customer]) -> Transaction {
        let mut changes: Vec<Change> = self.parents().collect();
        changes.extend(rows.iter().map(|row| self.docs[1].insert(customer_row(row))));
        self.transactions.fill(changes)
    }

    fn edits(&mut self, edits: &[Edit<Customer>]) -> Transaction {
        self.changes(1, edits, customer_row)
    }
}

impl Takes<Point> for Ours {
    fn inserts(&mut self, rows: &[Point]) -> Transaction {
        let mut changes: Vec<Change> = self.parents().collect();
        changes.extend(rows.iter().map(|row| self.docs[1].insert(point_row(row))));
        self.transactions.all(changes)
    }

    fn edits(&mut self, edits: &[Edit<Point>]) -> Transaction {
        self.changes(1, edits, point_row)
    }
}

impl Takes<Player> for Ours {
    fn inserts(&mut self, rows: &[Player]) -> Transaction {
        let mut changes: Vec<Change> = self.parents().collect();
        changes.extend(rows.iter().map(|row| self.docs[1].insert(player_row(row))));
        self.transactions.fill(changes)
    }

    fn edits(&mut self, edits: &[Edit<Player>]) -> Transaction {
        self.changes(1, edits, player_row)
    }
}
