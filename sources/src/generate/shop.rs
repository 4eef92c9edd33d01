//! What happens in the shop.

use std::sync::Arc;

use thalweg_graph::{Change, Schema};

use super::rng::Rng;
use super::tables::{Customer, Item, Order, Product, Record, Tables};

const CUSTOMERS: i64 = 60;
const PRODUCTS: i64 = 40;
/// Above this, an order that is done leaves the database.
const ORDERS_MAX: usize = 2_000;

const REGIONS: [&str; 4] = ["north", "east", "south", "west"];
const FIRST: [&str; 10] = ["Ada", "Ben", "Cleo", "Dov", "Eva", "Finn", "Gul", "Hana", "Ivo", "Jun"];
const LAST: [&str; 8] = ["Aalto", "Brook", "Costa", "Dale", "Elm", "Ford", "Glen", "Hill"];
const GOODS: [&str; 10] = ["kettle", "lamp", "chair", "rope", "tent", "flask", "stove", "map", "boots", "whistle"];
const KINDS: [&str; 4] = ["small", "plain", "fine", "large"];

/// A shop and its whole content; every call of [`Shop::next_changes`] is one committed transaction.
#[derive(Clone, Debug)]
pub struct Shop {
    rng: Rng,
    tables: Tables,
    opened: bool,
    customers: Vec<Customer>,
    products: Vec<Product>,
    /// In the order of their ids, so the oldest is first.
    orders: Vec<(Order, Vec<Item>)>,
    next_order: i64,
    next_item: i64,
}

impl Shop {
    /// A shop that has not opened yet.
    pub fn new(seed: u64) -> Shop {
        Shop {
            rng: Rng::new(seed),
            tables: Tables::new(),
            opened: false,
            customers: Vec::new(),
            products: Vec::new(),
            orders: Vec::new(),
            next_order: 1,
            next_item: 1,
        }
    }

    /// Its tables.
    pub fn schemas(&self) -> Vec<Arc<Schema>> {
        self.tables.all()
    }

    /// The row changes of the next transaction: first the opening (all customers and products), then never empty, at most a dozen.
    pub fn next_changes(&mut self) -> Vec<Change> {
        if !self.opened {
            self.opened = true;
            return self.open();
        }
        if self.orders.len() > ORDERS_MAX {
            return self.archive();
        }
        let changes = match self.rng.below(100) {
            0..45 => self.order(),
            45..75 => self.progress(),
            75..82 => self.change_quantity(),
            82..88 => self.cancel(),
            88..95 => self.restock(),
            _ => self.reprice(),
        };
        // What has nothing to work on (no open order yet) becomes an order, and where nothing can be ordered, a delivery comes.
        let changes = if changes.is_empty() { self.order() } else { changes };
        if changes.is_empty() { self.restock() } else { changes }
    }

    fn open(&mut self) -> Vec<Change> {
        for id in 1..=CUSTOMERS {
            let name = format!("{} {}", self.rng.pick(&FIRST), self.rng.pick(&LAST));
            let region = REGIONS[self.rng.below(REGIONS.len())];
            self.customers.push(Customer { id, name, region });
        }
        for id in 1..=PRODUCTS {
            let name = format!("{} {}", KINDS[(id as usize - 1) / GOODS.len()], GOODS[(id as usize - 1) % GOODS.len()]);
            let (price, stock, reorder) = (self.rng.between(199, 9_999), self.rng.between(20, 80), self.rng.between(5, 15));
            self.products.push(Product { id, name, price, stock, reorder });
        }
        let customers = self.customers.iter().map(|customer| self.tables.insert(customer));
        customers.chain(self.products.iter().map(|product| self.tables.insert(product))).collect()
    }

    /// A customer orders one to four things that are there.
    fn order(&mut self) -> Vec<Change> {
        let customer = self.rng.pick(&self.customers).id;
        let order = Order { id: self.next_order, customer, status: "open" };
        let (mut changes, mut items) = (vec![self.tables.insert(&order)], Vec::new());
        for _ in 0..self.rng.between(1, 4) {
            let at = self.rng.below(self.products.len());
            let wanted = self.rng.between(1, 5).min(self.products[at].stock);
            if wanted == 0 || items.iter().any(|item: &Item| item.product == self.products[at].id) {
                continue;
            }
            let product = &self.products[at];
            let item = Item { id: self.next_item, order: order.id, product: product.id, qty: wanted, price: product.price };
            self.next_item += 1;
            changes.push(self.tables.insert(&item));
            changes.push(self.move_stock(item.product, -wanted));
            items.push(item);
        }
        if items.is_empty() {
            return Vec::new();
        }
        self.next_order += 1;
        self.orders.push((order, items));
        changes
    }

    /// An order is paid, or shipped.
    fn progress(&mut self) -> Vec<Change> {
        let Some(at) = self.some_order(|order| order.status != "shipped") else { return Vec::new() };
        let order = &mut self.orders[at].0;
        let before = order.row();
        order.status = if order.status == "open" { "paid" } else { "shipped" };
        vec![self.tables.update(before, order)]
    }

    /// The oldest order that is done leaves.
    fn archive(&mut self) -> Vec<Change> {
        let at = self.orders.iter().position(|(order, _)| order.status == "shipped").unwrap_or(0);
        let (order, items) = self.orders.remove(at);
        let items = items.iter().map(|item| self.tables.delete(item));
        items.chain([self.tables.delete(&order)]).collect()
    }

    /// An open order's item becomes more or less.
    fn change_quantity(&mut self) -> Vec<Change> {
        let Some(at) = self.some_order(|order| order.status == "open") else { return Vec::new() };
        let which = self.rng.below(self.orders[at].1.len());
        let (product, qty) = (self.orders[at].1[which].product, self.orders[at].1[which].qty);
        let room = self.products[product as usize - 1].stock;
        let more = if qty > 1 && self.rng.below(2) == 0 { -1 } else { self.rng.between(1, 3).min(room) };
        if more == 0 {
            return Vec::new();
        }
        let stock = self.move_stock(product, -more);
        let item = &mut self.orders[at].1[which];
        let before = item.row();
        item.qty += more;
        vec![self.tables.update(before, item), stock]
    }

    /// An open order is taken back: everything returns to the shelves.
    fn cancel(&mut self) -> Vec<Change> {
        let Some(at) = self.some_order(|order| order.status == "open") else { return Vec::new() };
        let (order, items) = self.orders.remove(at);
        let mut changes = Vec::new();
        for item in &items {
            changes.push(self.tables.delete(item));
            changes.push(self.move_stock(item.product, item.qty));
        }
        changes.push(self.tables.delete(&order));
        changes
    }

    /// A delivery for the product with the least stock.
    fn restock(&mut self) -> Vec<Change> {
        let Some(product) = self.products.iter().min_by_key(|product| product.stock).map(|product| product.id) else {
            return Vec::new();
        };
        let delivered = self.rng.between(20, 60);
        vec![self.move_stock(product, delivered)]
    }

    /// A price moves by up to a tenth.
    fn reprice(&mut self) -> Vec<Change> {
        let at = self.rng.below(self.products.len());
        let product = &mut self.products[at];
        let before = product.row();
        let step = self.rng.between(-10, 10);
        let moved = product.price + product.price * step / 100;
        // A move too small to show is one cent.
        product.price = if moved == product.price || moved < 99 { product.price + 1 } else { moved };
        vec![self.tables.update(before, product)]
    }

    /// Moves a product's stock; a product's id is its place plus one.
    fn move_stock(&mut self, product: i64, by: i64) -> Change {
        let product = &mut self.products[product as usize - 1];
        let before = product.row();
        product.stock += by;
        self.tables.update(before, product)
    }

    /// A random one among the youngest orders that fit.
    fn some_order(&mut self, fits: impl Fn(&Order) -> bool) -> Option<usize> {
        let young: Vec<usize> = (0..self.orders.len()).rev().filter(|at| fits(&self.orders[*at].0)).take(50).collect();
        (!young.is_empty()).then(|| *self.rng.pick(&young))
    }
}
