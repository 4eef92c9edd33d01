//! The workloads as circuits of `dbsp`, in memory, with its runtime and as many workers as asked for.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use dbsp::algebra::UnimplementedSemigroup;
use dbsp::operator::Fold;
use dbsp::typed_batch::IndexedZSetReader;
use dbsp::utils::{Tup2, Tup3};
use dbsp::{DBData, DBSPHandle, OrdIndexedZSet, RootCircuit, Runtime, Stream, ZWeight};
use thalweg_benches::suite::data::{BEST, Customer, Edit, Item, Player, Sale, w2_shown, w3_shown, w4b_shown};
use thalweg_benches::suite::workloads::{Contestant, Takes};

/// Rows that come and go, by key.
pub type Rows<K, V> = Vec<Tup2<K, Tup2<V, ZWeight>>>;

/// A circuit, how it takes what a step brings, and the sum of what its output shows.
pub struct Circuit<I> {
    handle: DBSPHandle,
    give: Box<dyn FnMut(I)>,
    shown: Shown,
}

/// The sum over all output so far, of all workers.
#[derive(Clone, Default)]
pub struct Shown(Arc<AtomicU64>);

impl Shown {
    /// Reads a stream's output where it comes: a transaction gives it in pieces.
    pub fn watch<K: DBData, O: DBData>(&self, stream: &Stream<RootCircuit, OrdIndexedZSet<K, O>>, part: fn(&K, &O) -> u64) {
        let shown = self.clone();
        stream.inspect(move |batch| {
            let parts = batch.iter().map(|(key, value, weight)| part(&key, &value).wrapping_mul(weight as u64));
            shown.0.fetch_add(parts.fold(0, u64::wrapping_add), Ordering::Relaxed);
        });
    }
}

impl<I> Circuit<I> {
    /// A circuit whose output `shown` watches.
    pub fn new(handle: DBSPHandle, give: impl FnMut(I) + 'static, shown: Shown) -> Circuit<I> {
        Circuit { handle, give: Box::new(give), shown }
    }

    fn close(&mut self) {
        self.handle.transaction().expect("a circuit runs");
    }
}

impl<I> Contestant for Circuit<I> {
    type Input = I;

    fn load(&mut self, rows: I) {
        (self.give)(rows);
    }

    fn loaded(&mut self) {
        self.close();
    }

    fn step(&mut self, changes: I) {
        (self.give)(changes);
        self.close();
    }

    fn checksum(&mut self) -> u64 {
        self.shown.0.load(Ordering::Relaxed)
    }
}

type ItemRow = Tup2<u32, u32>;
type Totals = Tup3<i64, i64, i64>;

/// One fold over an order's items.
pub fn w2(workers: usize) -> Circuit<Rows<u32, ItemRow>> {
    let shown = Shown::default();
    let watched = shown.clone();
    let (handle, input) = Runtime::init_circuit(workers, move |circuit| {
        let (items, input) = circuit.add_input_indexed_zset::<u32, ItemRow>();
        let step = |all: &mut Totals, Tup2(price, qty): &ItemRow, weight: ZWeight| {
            let price = i64::from(*price);
            *all = Tup3(all.0 + price * i64::from(*qty) * weight, all.1 + weight, all.2.max(price));
        };
        let fold = <Fold<ItemRow, Totals, UnimplementedSemigroup<Totals>, _, _>>::new(Tup3(0, 0, 0), step);
        watched.watch(&items.aggregate(fold), |order, Tup3(sum, count, max)| w2_shown(u64::from(*order), *sum, *count, *max));
        Ok(input)
    })
    .expect("a circuit can be built");
    Circuit::new(handle, move |mut rows| input.append(&mut rows), shown)
}

/// Input of either side of w3.
pub enum Either {
    Sales(Rows<u32, u32>),
    Customers(Rows<u32, u32>),
}

type Sums = Tup2<i64, i64>;

fn w3_part(region: &u32, Tup2(sum, count): &Sums) -> u64 {
    w3_shown(u64::from(*region), *sum, *count)
}

type Column = Stream<RootCircuit, OrdIndexedZSet<u32, u32>>;
type Regions = Stream<RootCircuit, OrdIndexedZSet<u32, Sums>>;

fn join(workers: usize, plan: fn(&Column, &Column) -> Regions) -> Circuit<Either> {
    let shown = Shown::default();
    let watched = shown.clone();
    let (handle, (sales, customers)) = Runtime::init_circuit(workers, move |circuit| {
        let (sales, first) = circuit.add_input_indexed_zset::<u32, u32>();
        let (customers, second) = circuit.add_input_indexed_zset::<u32, u32>();
        watched.watch(&plan(&sales, &customers), w3_part);
        Ok((first, second))
    })
    .expect("a circuit can be built");
    let give = move |input| match input {
        Either::Sales(mut rows) => sales.append(&mut rows),
        Either::Customers(mut rows) => customers.append(&mut rows),
    };
    Circuit::new(handle, give, shown)
}

/// Orders joined with customers, then summed up by region.
pub fn w3(workers: usize) -> Circuit<Either> {
    join(workers, |sales, customers| summed(&sales.join_index(customers, |_, amount, region| Some((*region, *amount)))))
}

/// The same with orders summed up by customer before the join.
pub fn w3_pushed(workers: usize) -> Circuit<Either> {
    join(workers, |sales, customers| {
        let joined = summed(sales).join_index(customers, |_, sums, region| Some((*region, sums.clone())));
        joined.aggregate_linear(|sums: &Sums| sums.clone())
    })
}

/// Amounts summed up and counted by key.
fn summed(amounts: &Column) -> Regions {
    amounts.aggregate_linear(|amount| Tup2(i64::from(*amount), 1))
}

/// The ten greatest scores of each board, one row each.
pub fn w4b() -> Circuit<Rows<u32, u64>> {
    let shown = Shown::default();
    let watched = shown.clone();
    let (handle, input) = Runtime::init_circuit(1, move |circuit| {
        let (players, input) = circuit.add_input_indexed_zset::<u32, u64>();
        let step = |all: &mut Vec<u64>, score: &u64, _: ZWeight| all.push(*score);
        let list = <Fold<u64, Vec<u64>, UnimplementedSemigroup<Vec<u64>>, _, _>>::new(Vec::new(), step);
        watched.watch(&players.topk_desc(BEST).aggregate(list), |board, scores| {
            w4b_shown(u64::from(*board), scores.iter().rev().map(|score| score & 0xf_ffff))
        });
        Ok(input)
    })
    .expect("a circuit can be built");
    Circuit::new(handle, move |mut rows| input.append(&mut rows), shown)
}

fn inserts<R, V>(rows: &[R], row: fn(&R) -> (u32, V)) -> Rows<u32, V> {
    let insert = |r: &R| {
        let (key, value) = row(r);
        Tup2(key, Tup2(value, 1))
    };
    rows.iter().map(insert).collect()
}

fn changes<R, V>(edits: &[Edit<R>], row: fn(&R) -> (u32, V)) -> Rows<u32, V> {
    let weighted = |r: &R, weight: ZWeight| {
        let (key, value) = row(r);
        Tup2(key, Tup2(value, weight))
    };
    edits.iter().flat_map(|edit| [weighted(&edit.old, -1), weighted(&edit.new, 1)]).collect()
}

fn item_row(item: &Item) -> (u32, ItemRow) {
    (item.order as u32, Tup2(item.price as u32, item.qty as u32))
}

fn sale_row(sale: &Sale) -> (u32, u32) {
    (sale.customer as u32, sale.amount as u32)
}

fn customer_row(customer: &Customer) -> (u32, u32) {
    (customer.id as u32, customer.region as u32)
}

fn player_row(player: &Player) -> (u32, u64) {
    (player.board as u32, player.score as u64)
}

impl Takes<Item> for Circuit<Rows<u32, ItemRow>> {
    fn inserts(&mut self, rows: &[Item]) -> Self::Input {
        inserts(rows, item_row)
    }

    fn edits(&mut self, edits: &[Edit<Item>]) -> Self::Input {
        changes(edits, item_row)
    }
}

impl Takes<Sale> for Circuit<Either> {
    fn inserts(&mut self, rows: &[Sale]) -> Self::Input {
        Either::Sales(inserts(rows, sale_row))
    }

    fn edits(&mut self, edits: &[Edit<Sale>]) -> Self::Input {
        Either::Sales(changes(edits, sale_row))
    }
}

impl Takes<Customer> for Circuit<Either> {
    fn inserts(&mut self, rows: &[Customer]) -> Self::Input {
        Either::Customers(inserts(rows, customer_row))
    }

    fn edits(&mut self, edits: &[Edit<Customer>]) -> Self::Input {
        Either::Customers(changes(edits, customer_row))
    }
}

impl Takes<Player> for Circuit<Rows<u32, u64>> {
    fn inserts(&mut self, rows: &[Player]) -> Self::Input {
        inserts(rows, player_row)
    }

    fn edits(&mut self, edits: &[Edit<Player>]) -> Self::Input {
        changes(edits, player_row)
    }
}
