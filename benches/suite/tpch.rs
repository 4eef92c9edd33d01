//! Joins of many tables under updates, after TPC-H.
//!
//! Customers order; an order has four lines, each from a supplier; customers and suppliers have nations, and a nation's number tells its region. `tpch-q3`: the revenue of each
//! order of one market segment that is not shipped yet. `tpch-q5`: the revenue of each nation of one region, of lines whose customer and supplier are of
//! that nation, in one year. Prices of lines change, customers go to another segment and nation, suppliers move. Money is in hundredths of cents.

use differential_dataflow::operators::CountTotal;
use thalweg_formulas::Value;
use thalweg_graph::Change;

use super::Entry;
use super::data::{Edit, mix, shown};
use super::flow::{Flow, Input, Inputs, Output, changes, inserts};
use super::harness::Runner;
use super::ours::Ours;
use super::workloads::{Contestant, Size};
use crate::graphs::Doc;

/// A customer: key, segment, nation.
pub type Customer = (u32, (u32, u32));
/// An order: key, customer, day.
pub type Order = (u32, (u32, u32));
/// A line: key, order, supplier, price, discount in hundredths, day of shipping.
pub type Line = (u32, (u32, u32, u32, u32, u32));
/// A supplier: key, nation.
pub type Supplier = (u32, u32);

/// Nation `n` is in region `n % 5`.
const NATIONS: u32 = 25;
const REGION: u32 = 2;
const SEGMENT: u32 = 1;
/// q3: ordered before, shipped after. q5: the first day of its year.
const DAY: u32 = 1_200;

/// Rows as they are now; those of the start are arithmetic over their numbers.
struct Shop {
    customers: Vec<Customer>,
    orders: Vec<Order>,
    lines: Vec<Line>,
    suppliers: Vec<Supplier>,
    walk: u64,
}

/// New and changed rows of each table.
#[derive(Default)]
pub struct Batch {
    customers: Vec<Edit<Customer>>,
    lines: Vec<Edit<Line>>,
    suppliers: Vec<Edit<Supplier>>,
}

/// A number below `end` that looks random, for each row and each of its columns.
fn number(row: u32, column: u64, end: u32) -> u32 {
    (mix(u64::from(row) << 8 | column) % u64::from(end)) as u32
}

impl Shop {
    fn new(orders: u32) -> Shop {
        let (customers, suppliers) = (orders / 10, orders / 150 + 1);
        let line = |id: u32| {
            let day = number(id / 4, 5, 2_400) + number(id, 6, 120);
            (id, (id / 4, number(id, 7, suppliers), 1 + number(id, 8, 100_000), number(id, 9, 11), day))
        };
        Shop {
            customers: (0..customers).map(|id| (id, (number(id, 1, 5), number(id, 2, NATIONS)))).collect(),
            orders: (0..orders).map(|id| (id, (number(id, 4, customers), number(id, 5, 2_400)))).collect(),
            lines: (0..orders * 4).map(line).collect(),
            suppliers: (0..suppliers).map(|id| (id, number(id, 3, NATIONS))).collect(),
            walk: 0,
        }
    }

    /// The next row of a table that changes.
    fn next(&mut self, rows: usize) -> usize {
        self.walk += 1;
        (mix(self.walk) % rows as u64) as usize
    }

    fn prices(&mut self, n: usize) -> Batch {
        let mut edit = || {
            let at = self.next(self.lines.len());
            let price = 1 + number(self.walk as u32, 10, 100_000);
            let line = &mut self.lines[at];
            let old = *line;
            line.1.2 = price;
            Edit { old, new: *line }
        };
        // A row changes once in a transaction.
        let mut lines: Vec<Edit<Line>> = (0..n).map(|_| edit()).collect();
        lines.sort_by_key(|edit| edit.new.0);
        lines.dedup_by(|later, first| {
            let same = later.new.0 == first.new.0;
            if same {
                first.new = later.new;
            }
            same
        });
        Batch { lines, ..Batch::default() }
    }

    fn customer(&mut self) -> Batch {
        let at = self.next(self.customers.len());
        let (_, (segment, nation)) = &mut self.customers[at];
        let old = (at as u32, (*segment, *nation));
        (*segment, *nation) = ((*segment + 1) % 5, (*nation + 1) % NATIONS);
        let new = (at as u32, (*segment, *nation));
        Batch { customers: vec![Edit { old, new }], ..Batch::default() }
    }

    fn supplier(&mut self) -> Batch {
        let at = self.next(self.suppliers.len());
        let (_, nation) = &mut self.suppliers[at];
        let old = (at as u32, *nation);
        *nation = (*nation + 1) % NATIONS;
        let new = (at as u32, *nation);
        Batch { suppliers: vec![Edit { old, new }], ..Batch::default() }
    }

    fn q3(&self) -> u64 {
        let mut revenue = vec![0i64; self.orders.len()];
        for (_, (order, _, price, discount, _)) in self.lines.iter().filter(|line| line.1.4 > DAY) {
            revenue[*order as usize] += worth(*price, *discount);
        }
        let of = |(id, (customer, day)): &Order| {
            let wanted = *day < DAY && self.customers[*customer as usize].1.0 == SEGMENT && revenue[*id as usize] > 0;
            if wanted { shown(0, u64::from(*id), revenue[*id as usize] as u64) } else { 0 }
        };
        self.orders.iter().map(of).fold(0, u64::wrapping_add)
    }

    fn q5(&self) -> u64 {
        let mut nations = std::collections::BTreeMap::<u32, i64>::new();
        for (_, (order, supplier, price, discount, _)) in &self.lines {
            let (_, (customer, day)) = self.orders[*order as usize];
            let (nation, of_customer) = (self.suppliers[*supplier as usize].1, self.customers[customer as usize].1.1);
            if nation == of_customer && nation % 5 == REGION && in_year(day) {
                *nations.entry(nation).or_default() += worth(*price, *discount);
            }
        }
        nations.iter().map(|(nation, sum)| shown(0, u64::from(*nation), *sum as u64)).fold(0, u64::wrapping_add)
    }
}

fn worth(price: u32, discount: u32) -> i64 {
    i64::from(price) * (100 - i64::from(discount))
}

fn in_year(day: u32) -> bool {
    (DAY..DAY + 365).contains(&day)
}

/// A contestant of these.
trait Takes: Contestant {
    fn customers(&mut self, rows: &[Customer]) -> Self::Input;
    fn orders(&mut self, rows: &[Order]) -> Self::Input;
    fn lines(&mut self, rows: &[Line]) -> Self::Input;
    fn suppliers(&mut self, rows: &[Supplier]) -> Self::Input;
    fn changed(&mut self, batch: &Batch) -> Self::Input;
}

fn run<E: Takes>(mut runner: Runner<'_>, size: Size, answer: fn(&Shop) -> u64, mut engine: E) {
    let mut shop = Shop::new(size.pick(300_000, 15_000, 600));
    let measured = load(&runner, &shop, &mut engine);
    runner.tell("bulk", measured, engine.checksum() == answer(&shop));
    for rows in size.pick(&[1, 100, 10_000][..], &[1, 100, 10_000], &[1, 100]) {
        let prepare = |engine: &mut E| engine.changed(&shop.prices(*rows));
        let steps = (size.pick(100_000, 20_000, 200) / rows).max(2);
        let measured = runner.measure((steps, *rows), &mut engine, prepare, E::step);
        runner.tell(&format!("step_{rows}"), measured, engine.checksum() == answer(&shop));
    }
    let steps = size.pick(2_000, 500, 20);
    let measured = runner.measure((steps, 1), &mut engine, |engine| engine.changed(&shop.customer()), E::step);
    runner.tell("customer", measured, engine.checksum() == answer(&shop));
    let measured = runner.measure((steps / 10, 1), &mut engine, |engine| engine.changed(&shop.supplier()), E::step);
    runner.tell("supplier", measured, engine.checksum() == answer(&shop));
}

/// All rows at the start, table by table.
fn load<E: Takes>(runner: &Runner<'_>, shop: &Shop, engine: &mut E) -> super::harness::Measured {
    enum Part<'a> {
        Customers(&'a [Customer]),
        Orders(&'a [Order]),
        Lines(&'a [Line]),
        Suppliers(&'a [Supplier]),
        End,
    }
    const SLICE: usize = 10_000;
    let parts = shop.customers.chunks(SLICE).map(Part::Customers);
    let parts = parts.chain(shop.suppliers.chunks(SLICE).map(Part::Suppliers));
    let parts = parts.chain(shop.orders.chunks(SLICE).map(Part::Orders)).chain(shop.lines.chunks(SLICE).map(Part::Lines));
    let prepare = |engine: &mut E, part: Part<'_>| match part {
        Part::Customers(rows) => Some(engine.customers(rows)),
        Part::Orders(rows) => Some(engine.orders(rows)),
        Part::Lines(rows) => Some(engine.lines(rows)),
        Part::Suppliers(rows) => Some(engine.suppliers(rows)),
        Part::End => None,
    };
    runner.measure_parts(shop.lines.len() as u64, engine, parts.chain([Part::End]), prepare, |engine, part| match part {
        Some(rows) => engine.load(rows),
        None => engine.loaded(),
    })
}

/// Both queries, ours and by hand.
pub(super) fn entries() -> Vec<Entry> {
    vec![
        Entry::new("tpch-q3", "thalweg", |runner, size| run(runner, size, Shop::q3, ours(Q3, &["Order.open"], Vec::new()))),
        Entry::new("tpch-q3", "differential", |runner, size| run(runner, size, Shop::q3, Flow::new(1, q3))),
        Entry::new("tpch-q5", "thalweg", |runner, size| run(runner, size, Shop::q5, ours(Q5, &["Nation.revenue"], nations()))),
        Entry::new("tpch-q5", "differential", |runner, size| run(runner, size, Shop::q5, Flow::new(1, q5))),
    ]
}

/// An order without a line to be shipped shows nothing.
const Q3: &[(&str, &str)] = &[
    ("Order.revenue", "sum(lines[*].day > 1200 ? lines[*].price * (100 - lines[*].discount) : null)"),
    ("Order.open", "day < 1200 && buyer.segment == 1 && revenue > 0 ? revenue : null"),
];

const Q5: &[(&str, &str)] = &[
    ("Order.nation", "day >= 1200 && day < 1565 ? buyer.nation : null"),
    ("Line.nation", "source.nation % 5 == 2 && source.nation == order_of.nation ? source.nation : null"),
    ("Nation.revenue", "sum(lines[*].price * (100 - lines[*].discount))"),
];

fn nations() -> Vec<Doc> {
    vec![Doc::group("Nation", "Line", &[("nation", "nation")], "lines")]
}

fn ours(fields: &[(&str, &str)], shows: &'static [&'static str], kept: Vec<Doc>) -> Ours {
    let int = |name: &'static str| (name, "int");
    let customer = Doc::new("Customer", &["id", "segment", "nation"].map(int));
    let order = Doc::new("Order", &["id", "customer", "day"].map(int));
    let order = order.children("lines", "Line", "order").lookup("buyer", "Customer", "customer");
    let line = Doc::new("Line", &["id", "order", "supplier", "price", "discount", "day"].map(int));
    let line = line.lookup("order_of", "Order", "order").lookup("source", "Supplier", "supplier");
    let supplier = Doc::new("Supplier", &["id", "nation"].map(int));
    let docs = [customer, order, line, supplier].into_iter().chain(kept).collect();
    Ours::new(docs, fields, shows, 0, 1)
}

fn row<const N: usize>(numbers: [u32; N]) -> [Value; N] {
    numbers.map(|x| Value::Int(i64::from(x)))
}

fn customer_row((id, (segment, nation)): &Customer) -> [Value; 3] {
    row([*id, *segment, *nation])
}

fn line_row((id, (order, supplier, price, discount, day)): &Line) -> [Value; 6] {
    row([*id, *order, *supplier, *price, *discount, *day])
}

fn supplier_row((id, nation): &Supplier) -> [Value; 2] {
    row([*id, *nation])
}

impl Takes for Ours {
    fn customers(&mut self, rows: &[Customer]) -> Self::Input {
        self.transactions.fill(rows.iter().map(|row| self.docs[0].insert(customer_row(row))).collect())
    }

    fn orders(&mut self, rows: &[Order]) -> Self::Input {
        let insert = |(id, (customer, day)): &Order| self.docs[1].insert(row([*id, *customer, *day]));
        self.transactions.fill(rows.iter().map(insert).collect())
    }

    fn lines(&mut self, rows: &[Line]) -> Self::Input {
        self.transactions.fill(rows.iter().map(|row| self.docs[2].insert(line_row(row))).collect())
    }

    fn suppliers(&mut self, rows: &[Supplier]) -> Self::Input {
        self.transactions.fill(rows.iter().map(|row| self.docs[3].insert(supplier_row(row))).collect())
    }

    fn changed(&mut self, batch: &Batch) -> Self::Input {
        let [customer, _, line, supplier] = &self.docs[..4] else { unreachable!("there are four tables") };
        let customers = batch.customers.iter().map(|edit| customer.update(customer_row(&edit.old), customer_row(&edit.new)));
        let lines = batch.lines.iter().map(|edit| line.update(line_row(&edit.old), line_row(&edit.new)));
        let suppliers = batch.suppliers.iter().map(|edit| supplier.update(supplier_row(&edit.old), supplier_row(&edit.new)));
        let all: Vec<Change> = customers.chain(lines).chain(suppliers).collect();
        self.transactions.all(all)
    }
}

/// Customers, orders, lines, suppliers.
type All<'scope> = Inputs<'scope, Customer, Order, Line, Supplier>;

fn q3(all: All<'_>, output: &Output) {
    let customers = all.a.flat_map(|(id, (segment, _))| (segment == SEGMENT).then_some(id)).arrange_by_self();
    let orders = all.b.flat_map(|(id, (customer, day))| (day < DAY).then_some((customer, id))).arrange_by_key();
    let wanted = orders.join_core(customers, |_, order, ()| Some(*order)).arrange_by_self();
    let lines = all.c.explode(|(_, (order, _, price, discount, day)): Line| {
        (day > DAY).then_some((order, (worth(price, discount) as isize, 1isize)))
    });
    let revenue = lines.count_total_core::<isize>().arrange_by_key();
    let open = revenue.join_core(wanted, |order, (revenue, _), ()| Some((*order, *revenue)));
    output.note(open, |(order, revenue)| shown(0, u64::from(*order), *revenue as u64));
}

fn q5(all: All<'_>, output: &Output) {
    let customers = all.a.flat_map(|(id, (_, nation))| (nation % 5 == REGION).then_some((id, nation))).arrange_by_key();
    let orders = all.b.flat_map(|(id, (customer, day))| in_year(day).then_some((customer, id))).arrange_by_key();
    let orders = orders.join_core(customers, |_, order, nation| Some((*order, *nation))).arrange_by_key();
    let lines =
        all.c.map(|(_, (order, supplier, price, discount, _))| (order, (supplier, worth(price, discount)))).arrange_by_key();
    let lines = lines.join_core(orders, |_, (supplier, worth), nation| Some(((*supplier, *nation), *worth))).arrange_by_key();
    let suppliers = all.d.arrange_by_self();
    let local = lines.join_core(suppliers, |(_, nation), worth, ()| Some((*nation, *worth)));
    let nations = local.explode(|(nation, worth): (u32, i64)| Some((nation, (worth as isize, 1isize))));
    output.note(nations.count_total_core::<isize>(), |(nation, (sum, _))| shown(0, u64::from(*nation), *sum as u64));
}

impl Takes for Flow<Customer, Order, Line, Supplier> {
    fn customers(&mut self, rows: &[Customer]) -> Self::Input {
        Input { a: inserts(rows, |row| *row), ..Input::default() }
    }

    fn orders(&mut self, rows: &[Order]) -> Self::Input {
        Input { b: inserts(rows, |row| *row), ..Input::default() }
    }

    fn lines(&mut self, rows: &[Line]) -> Self::Input {
        Input { c: inserts(rows, |row| *row), ..Input::default() }
    }

    fn suppliers(&mut self, rows: &[Supplier]) -> Self::Input {
        Input { d: inserts(rows, |row| *row), ..Input::default() }
    }

    fn changed(&mut self, batch: &Batch) -> Self::Input {
        Input {
            a: changes(&batch.customers, |row| *row),
            b: Vec::new(),
            c: changes(&batch.lines, |row| *row),
            d: changes(&batch.suppliers, |row| *row),
        }
    }
}
