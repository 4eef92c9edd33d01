//! Our contestants: planned graphs, fed with transactions as a source brings them.

use thalweg_engine::{Engine, Options};
use thalweg_formulas::Value;
use thalweg_graph::{Change, Outcome, Transaction};

use super::data::{Customer, Edit, Item, REGIONS, Sale, shown};
use super::workloads::{Contestant, GroupBy, Join};
use crate::graphs::{Doc, Transactions, engine_with};

/// An engine whose output is read as it comes.
pub struct Ours {
    engine: Engine,
    transactions: Transactions,
    docs: Vec<Doc>,
    /// The nodes that are shown, by their place in a checksum.
    shows: &'static [&'static str],
    /// Documents that are not rows of the workload; they are loaded with the first rows.
    parents: u64,
    checksum: u64,
}

impl Ours {
    fn new(docs: Vec<Doc>, fields: &[(&str, &str)], shows: &'static [&'static str], parents: u64, workers: usize) -> Ours {
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

    /// `Region.total` over customers' totals over orders: summed up before the join, by the way in which it is written.
    pub fn w3(workers: usize) -> Ours {
        let region = Doc::new("Region", &[("id", "int")]).children("customers", "Customer", "region");
        let customer = Doc::new("Customer", &[("id", "int"), ("region", "int")]).children("orders", "Order", "customer");
        let order = Doc::new("Order", &[("id", "int"), ("customer", "int"), ("amount", "int")]);
        let fields = [
            ("Customer.orders_total", "sum(orders[*].amount)"),
            ("Customer.orders_count", "count(orders[*].id)"),
            ("Region.total", "sum(customers[*].orders_total)"),
            ("Region.count", "sum(customers[*].orders_count)"),
        ];
        Ours::new(vec![region, customer, order], &fields, &["Region.total", "Region.count"], REGIONS, workers)
    }

    /// Takes the output in: what is shown now instead of what was shown before.
    fn read(&mut self, outcome: Outcome) {
        assert!(outcome.errors.is_empty(), "{:?}", outcome.errors[0]);
        let (checksum, shows) = (&mut self.checksum, self.shows);
        outcome.deltas.each(|node, key, old, new| {
            if let (Some(place), [Value::Int(key)]) = (shows.iter().position(|shown| **shown == **node), key) {
                let part = |value: &Value| match value {
                    Value::Int(x) => shown(place as u64, *key as u64, *x),
                    _ => 0,
                };
                *checksum = checksum.wrapping_add(part(&new)).wrapping_sub(part(&old));
            }
        });
        self.engine.recycle(outcome.deltas);
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
        self.engine.push(changes);
        let outcome = self.engine.step();
        self.read(outcome);
    }

    fn checksum(&mut self) -> u64 {
        self.checksum
    }
}

impl GroupBy for Ours {
    fn items(&mut self, rows: &[Item]) -> Transaction {
        let [order, item] = &self.docs[..] else { unreachable!("w2 has two tables") };
        // An order comes with its first item.
        let orders = rows.iter().filter(|row| row.id < self.parents).map(|row| order.insert([int(row.order)]));
        let changes: Vec<Change> = orders.chain(rows.iter().map(|row| item.insert(item_row(row)))).collect();
        self.transactions.fill(changes)
    }

    fn item_edits(&mut self, edits: &[Edit<Item>]) -> Transaction {
        let item = &self.docs[1];
        self.transactions.all(edits.iter().map(|edit| item.update(item_row(&edit.old), item_row(&edit.new))).collect())
    }
}

impl Join for Ours {
    fn customers(&mut self, rows: &[Customer]) -> Transaction {
        let [region, customer, _] = &self.docs[..] else { unreachable!("w3 has three tables") };
        let regions = (0..std::mem::take(&mut self.parents)).map(|id| region.insert([int(id)]));
        let changes: Vec<Change> = regions.chain(rows.iter().map(|row| customer.insert(customer_row(row)))).collect();
        self.transactions.fill(changes)
    }

    fn sales(&mut self, rows: &[Sale]) -> Transaction {
        let order = &self.docs[2];
        self.transactions.fill(rows.iter().map(|row| order.insert(sale_row(row))).collect())
    }

    fn sale_edits(&mut self, edits: &[Edit<Sale>]) -> Transaction {
        let order = &self.docs[2];
        self.transactions.all(edits.iter().map(|edit| order.update(sale_row(&edit.old), sale_row(&edit.new))).collect())
    }

    fn customer_edits(&mut self, edits: &[Edit<Customer>]) -> Transaction {
        let customer = &self.docs[1];
        self.transactions
            .all(edits.iter().map(|edit| customer.update(customer_row(&edit.old), customer_row(&edit.new))).collect())
    }
}
