//! The same by hand, for differential dataflow: typed rows of the least width, one time for each step.
//!
//! The first worker lives in the caller's thread and takes all input; what is keyed finds its worker by an exchange.

use differential_dataflow::operators::CountTotal;

use super::data::{BEST, Customer, Edit, Item, LAST, Player, Point, Sale, point, w2_shown, w3_shown, w4a_shown, w4b_shown};
use super::flow::{Collection, Flow, Input, Inputs, Output, changes, inserts};
use super::workloads::Takes;

/// An item as it travels: order, then price and quantity.
type ItemRow = (u32, (u32, u32));

/// An order of w3: customer, amount.
type SaleRow = (u32, u32);

/// A customer: key, region.
type CustomerRow = (u32, u32);

/// A point: series, then value. The difference holds the sum.
type PointRow = (u32, u32);

/// A player: board, then score, which holds the key too.
type PlayerRow = (u32, u64);

/// One `reduce` over an order's items.
pub fn w2(workers: usize) -> Flow<ItemRow> {
    Flow::new(workers, |inputs: Inputs<'_, ItemRow>, output| {
        let orders = inputs.a.reduce(|_order, items: &[(&(u32, u32), isize)], out: &mut Vec<(_, isize)>| {
            let mut all = (0i64, 0i64, 0i64);
            for ((price, qty), diff) in items {
                let (price, diff) = (i64::from(*price), *diff as i64);
                all = (all.0 + price * i64::from(*qty) * diff, all.1 + diff, all.2.max(price));
            }
            out.push((all, 1));
        });
        output.note(orders, |(order, (sum, count, max))| w2_shown(u64::from(*order), *sum, *count, *max));
    })
}

/// What a region shows.
fn w3_part((region, (sum, count)): &(u32, (isize, isize))) -> u64 {
    w3_shown(u64::from(*region), *sum as i64, *count as i64)
}

/// Orders joined with customers, then summed up by region.
pub fn w3(workers: usize) -> Flow<SaleRow, CustomerRow> {
    Flow::new(workers, |inputs: Inputs<'_, SaleRow, CustomerRow>, output| {
        let (sales, customers) = (inputs.a.arrange_by_key(), inputs.b.arrange_by_key());
        let amounts = sales.join_core(customers, |_, amount, region| Some((*region, *amount)));
        let regions = amounts.explode(|(region, amount): (u32, u32)| Some((region, (amount as isize, 1isize))));
        output.note(regions.count_total_core::<isize>(), w3_part);
    })
}

/// The same with orders summed up by customer before the join, as somebody would write it who knows that it pays.
pub fn w3_pushed(workers: usize) -> Flow<SaleRow, CustomerRow> {
    Flow::new(workers, |inputs: Inputs<'_, SaleRow, CustomerRow>, output| {
        let sales = inputs.a.explode(|(customer, amount): (u32, u32)| Some((customer, (amount as isize, 1isize))));
        let customers = inputs.b.arrange_by_key();
        let totals = sales.count_total_core::<isize>().arrange_by_key();
        let totals = totals.join_core(customers, |_, total, region| Some((*region, *total)));
        let regions = totals.explode(|(region, total): (u32, (isize, isize))| Some((region, total)));
        output.note(regions.count_total_core::<isize>(), w3_part);
    })
}

/// Sum and count of a series in the difference; the points that leave are told to it, outside the clock.
pub struct Averages {
    flow: Flow<PointRow>,
    series: u64,
}

/// `series` is how many there are.
pub fn w4a(series: u64) -> Averages {
    let flow = Flow::new(1, |inputs: Inputs<'_, PointRow>, output: &Output| {
        let sums = inputs.a.explode(|(series, value): (u32, u32)| Some((series, (value as isize, 1isize))));
        output.note(sums.count_total_core::<isize>(), |(series, (sum, count))| {
            w4a_shown(u64::from(*series), *sum as i64, *count as i64)
        });
    });
    Averages { flow, series }
}

/// The ten greatest of each group, the best first.
pub fn best<'scope>(rows: Collection<'scope, (u32, u64)>) -> Collection<'scope, (u32, Vec<u64>)> {
    rows.reduce(|_, rows: &[(&u64, isize)], out: &mut Vec<(Vec<u64>, isize)>| {
        out.push((rows.iter().rev().take(BEST).map(|(row, _)| **row).collect(), 1));
    })
}

/// What a board shows; a score ends with the player's key.
fn w4b_part((board, scores): &(u32, Vec<u64>)) -> u64 {
    w4b_shown(u64::from(*board), scores.iter().map(|score| score & 0xf_ffff))
}

/// One `reduce` over a board's players.
pub fn w4b(_boards: u64) -> Flow<PlayerRow> {
    Flow::new(1, |inputs: Inputs<'_, PlayerRow>, output| output.note(best(inputs.a), w4b_part))
}

/// The same in two layers, as somebody would write it who knows that it pays: the ten greatest of each of 32 parts of a board, then of them.
pub fn w4b_layers(_boards: u64) -> Flow<PlayerRow> {
    Flow::new(1, |inputs: Inputs<'_, PlayerRow>, output| {
        let parts = inputs.a.map(|(board, score)| ((board << 5) | ((score & 0xf_ffff) as u32 / 1_000 % 32), score));
        let some = parts.reduce(|_, players: &[(&u64, isize)], out: &mut Vec<(u64, isize)>| {
            out.extend(players.iter().rev().take(BEST).map(|(score, _)| (**score, 1)));
        });
        let some = some.map(|(part, score)| (part >> 5, score));
        output.note(best(some), w4b_part);
    })
}

fn item_row(item: &Item) -> ItemRow {
    (item.order as u32, (item.price as u32, item.qty as u32))
}

fn sale_row(sale: &Sale) -> SaleRow {
    (sale.customer as u32, sale.amount as u32)
}

fn customer_row(customer: &Customer) -> CustomerRow {
    (customer.id as u32, customer.region as u32)
}

fn point_row(point: &Point) -> PointRow {
    (point.series as u32, point.value as u32)
}

fn player_row(player: &Player) -> PlayerRow {
    (player.board as u32, player.score as u64)
}

impl Takes<Item> for Flow<ItemRow> {
    fn inserts(&mut self, rows: &[Item]) -> Self::Input {
        Input { a: inserts(rows, item_row), ..Input::default() }
    }

    fn edits(&mut self, edits: &[Edit<Item>]) -> Self::Input {
        Input { a: changes(edits, item_row), ..Input::default() }
    }
}

impl Takes<Sale> for Flow<SaleRow, CustomerRow> {
    fn inserts(&mut self, rows: &[Sale]) -> Self::Input {
        Input { a: inserts(rows, sale_row), ..Input::default() }
    }

    fn edits(&mut self, edits: &[Edit<Sale>]) -> Self::Input {
        Input { a: changes(edits, sale_row), ..Input::default() }
    }
}

impl Takes<Customer> for Flow<SaleRow, CustomerRow> {
    fn inserts(&mut self, rows: &[Customer]) -> Self::Input {
        Input { b: inserts(rows, customer_row), ..Input::default() }
    }

    fn edits(&mut self, edits: &[Edit<Customer>]) -> Self::Input {
        Input { b: changes(edits, customer_row), ..Input::default() }
    }
}

impl Takes<Player> for Flow<PlayerRow> {
    fn inserts(&mut self, rows: &[Player]) -> Self::Input {
        Input { a: inserts(rows, player_row), ..Input::default() }
    }

    fn edits(&mut self, edits: &[Edit<Player>]) -> Self::Input {
        Input { a: changes(edits, player_row), ..Input::default() }
    }
}

impl super::workloads::Contestant for Averages {
    type Input = Input<PointRow>;

    fn load(&mut self, rows: Self::Input) {
        self.flow.load(rows);
    }

    fn loaded(&mut self) {
        self.flow.loaded();
    }

    fn step(&mut self, changes: Self::Input) {
        self.flow.step(changes);
    }

    fn checksum(&mut self) -> u64 {
        self.flow.checksum()
    }
}

impl Takes<Point> for Averages {
    fn inserts(&mut self, rows: &[Point]) -> Self::Input {
        let left = |row: &Point| row.id.checked_sub(LAST * self.series).map(|id| (point_row(&point(id, self.series)), -1));
        let a = rows.iter().flat_map(|row| [Some((point_row(row), 1)), left(row)]).flatten().collect();
        Input { a, ..Input::default() }
    }

    fn edits(&mut self, edits: &[Edit<Point>]) -> Self::Input {
        Input { a: changes(edits, point_row), ..Input::default() }
    }
}
