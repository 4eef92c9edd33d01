//! The rows and changes of each workload, and what the right answer is: plain arithmetic over the number of a row, so that every contestant
//! in every process gets the same.
//!
//! An answer is a checksum of everything that a view shows: the sum over (node, key) of a hash of its value. A contestant keeps it up to date from
//! its output deltas, hash of the new minus hash of the old, so a delta that is missing, doubled or wrong shows at the end.

/// SplitMix64 of a number.
pub fn mix(x: u64) -> u64 {
    let x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// What one value of one node of one document adds to a checksum. Key and value are words: a number as it is, [`text`], or [`fold`] of several.
/// Zero, which is also NULL and the empty list, adds nothing: some contestants show a count of none and others do not.
pub fn shown(node: u64, key: u64, value: u64) -> u64 {
    if value == 0 { 0 } else { mix(mix(key.wrapping_mul(32).wrapping_add(node)) ^ value) }
}

/// Several words as one; one stays what it is.
pub fn fold(words: impl IntoIterator<Item = u64>) -> u64 {
    words.into_iter().reduce(|all, word| mix(all) ^ word).unwrap_or(0)
}

/// A text as a word.
pub fn text(text: &str) -> u64 {
    let word = |bytes: &[u8]| bytes.iter().fold(0, |word, byte| word << 8 | u64::from(*byte));
    text.as_bytes().chunks(8).map(word).fold(text.len() as u64, |all, word| mix(all) ^ word)
}

/// An average of whole numbers as a word.
pub fn average(sum: i64, count: i64) -> u64 {
    (sum as f64 / count as f64).to_bits()
}

/// Rows that are there at the start, and their changes.
pub trait Source {
    /// A row.
    type Row;
    /// How many rows at the start.
    fn rows(&self) -> u64;
    /// Rows at the start.
    fn start(&self, ids: std::ops::Range<u64>) -> Vec<Self::Row>;
    /// The next changes.
    fn edits(&mut self, n: usize) -> Vec<Edit<Self::Row>>;
    /// The right answer now.
    fn checksum(&self) -> u64;
}

/// A row that changes: what it was, what it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Edit<R> {
    /// Before.
    pub old: R,
    /// After.
    pub new: R,
}

/// Rows that change one after the other in an order that looks random; none comes twice before all have come.
#[derive(Clone, Debug)]
struct Walk {
    rows: u64,
    at: u64,
}

impl Walk {
    /// A prime that divides no number of rows used here.
    const STRIDE: u64 = 2_654_435_761;

    fn new(rows: u64) -> Walk {
        Walk { rows, at: 0 }
    }

    fn step(&mut self) -> u64 {
        self.at += 1;
        (self.at * Self::STRIDE) % self.rows
    }
}

/// A row of w2: one item of an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Item {
    /// Its key.
    pub id: u64,
    /// The order that it belongs to.
    pub order: u64,
    /// From 1 to 10,000.
    pub price: i64,
    /// From 1 to 9.
    pub qty: i64,
}

/// w2: `orders` orders of ten items; for each order sum(price * qty), count and max(price).
#[derive(Clone, Debug)]
pub struct W2 {
    /// How many orders.
    pub orders: u64,
    /// How often each item has changed.
    versions: Vec<u32>,
    walk: Walk,
}

impl W2 {
    /// The start, with so many orders.
    pub fn new(orders: u64) -> W2 {
        W2 { orders, versions: vec![0; orders as usize * 10], walk: Walk::new(orders * 10) }
    }

    /// An item as it is after so many changes. Neighbours belong to different orders, so that loading is random access.
    fn item(&self, id: u64, version: u32) -> Item {
        let seed = mix(id << 20 | u64::from(version));
        Item { id, order: id % self.orders, price: 1 + (seed % 10_000) as i64, qty: 1 + ((seed >> 32) % 9) as i64 }
    }
}

impl Source for W2 {
    type Row = Item;

    fn rows(&self) -> u64 {
        self.versions.len() as u64
    }

    fn start(&self, ids: std::ops::Range<u64>) -> Vec<Item> {
        ids.map(|id| self.item(id, 0)).collect()
    }

    fn edits(&mut self, n: usize) -> Vec<Edit<Item>> {
        let mut edit = || {
            let id = self.walk.step();
            self.versions[id as usize] += 1;
            let version = self.versions[id as usize];
            Edit { old: self.item(id, version - 1), new: self.item(id, version) }
        };
        (0..n).map(|_| edit()).collect()
    }

    fn checksum(&self) -> u64 {
        let mut orders = vec![(0i64, 0i64, 0i64); self.orders as usize];
        for (id, version) in self.versions.iter().enumerate() {
            let item = self.item(id as u64, *version);
            let (sum, count, max) = &mut orders[item.order as usize];
            (*sum, *count, *max) = (*sum + item.price * item.qty, *count + 1, (*max).max(item.price));
        }
        let order = |(id, (sum, count, max)): (usize, &(i64, i64, i64))| w2_shown(id as u64, *sum, *count, *max);
        orders.iter().enumerate().map(order).fold(0, u64::wrapping_add)
    }
}

/// One order's part of the answer.
pub fn w2_shown(order: u64, sum: i64, count: i64, max: i64) -> u64 {
    let parts = [sum, count, max].into_iter().enumerate();
    parts.map(|(node, value)| shown(node as u64, order, value as u64)).fold(0, u64::wrapping_add)
}

/// A row of w3: one order of a customer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sale {
    /// Its key.
    pub id: u64,
    /// Whose it is; never changes.
    pub customer: u64,
    /// From 1 to 100,000.
    pub amount: i64,
}

/// A row of w3: which region a customer belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Customer {
    /// Its key.
    pub id: u64,
    /// Where it is now.
    pub region: u64,
}

/// w3: orders of customers of 100 regions; for each region sum(amount) and count. Customer 0 has a tenth of the orders.
#[derive(Clone, Debug)]
pub struct W3 {
    versions: Vec<u32>,
    regions: Vec<u32>,
    walk: Walk,
    moves: Walk,
}

/// Regions of w3.
pub const REGIONS: u64 = 100;

impl W3 {
    /// Ten orders for each customer on average.
    pub fn new(customers: u64) -> W3 {
        let regions = (0..customers).map(|id| (mix(id) % REGIONS) as u32).collect();
        W3 { versions: vec![0; customers as usize * 10], regions, walk: Walk::new(customers * 10), moves: Walk::new(customers) }
    }

    /// Customers as they are now.
    pub fn customers(&self) -> Vec<Customer> {
        self.regions.iter().enumerate().map(|(id, region)| Customer { id: id as u64, region: u64::from(*region) }).collect()
    }

    fn sale(&self, id: u64, version: u32) -> Sale {
        let customer = if id.is_multiple_of(10) { 0 } else { mix(id) % self.regions.len() as u64 };
        Sale { id, customer, amount: 1 + (mix(id << 20 | u64::from(version)) % 100_000) as i64 }
    }

    /// Other customers than the hot one that move to another region.
    pub fn moves(&mut self, n: usize) -> Vec<Edit<Customer>> {
        let next = |walk: &mut Walk| loop {
            let id = walk.step();
            if id != 0 {
                return id;
            }
        };
        (0..n)
            .map(|_| {
                let id = next(&mut self.moves);
                self.moved(id)
            })
            .collect()
    }

    /// The customer with a tenth of all orders moves.
    pub fn hot_move(&mut self) -> Edit<Customer> {
        self.moved(0)
    }

    fn moved(&mut self, id: u64) -> Edit<Customer> {
        let region = &mut self.regions[id as usize];
        let old = u64::from(*region);
        *region = (*region + 1) % REGIONS as u32;
        Edit { old: Customer { id, region: old }, new: Customer { id, region: u64::from(*region) } }
    }
}

impl Source for W3 {
    type Row = Sale;

    fn rows(&self) -> u64 {
        self.versions.len() as u64
    }

    fn start(&self, ids: std::ops::Range<u64>) -> Vec<Sale> {
        ids.map(|id| self.sale(id, 0)).collect()
    }

    /// The next changes of amounts.
    fn edits(&mut self, n: usize) -> Vec<Edit<Sale>> {
        let mut edit = || {
            let id = self.walk.step();
            self.versions[id as usize] += 1;
            let version = self.versions[id as usize];
            Edit { old: self.sale(id, version - 1), new: self.sale(id, version) }
        };
        (0..n).map(|_| edit()).collect()
    }

    fn checksum(&self) -> u64 {
        let mut regions = vec![(0i64, 0i64); REGIONS as usize];
        for (id, version) in self.versions.iter().enumerate() {
            let sale = self.sale(id as u64, *version);
            let (sum, count) = &mut regions[self.regions[sale.customer as usize] as usize];
            (*sum, *count) = (*sum + sale.amount, *count + 1);
        }
        regions.iter().enumerate().map(|(id, (sum, count))| w3_shown(id as u64, *sum, *count)).fold(0, u64::wrapping_add)
    }
}

/// One region's part of the answer.
pub fn w3_shown(region: u64, sum: i64, count: i64) -> u64 {
    shown(0, region, sum as u64).wrapping_add(shown(1, region, count as u64))
}

/// A row of w4a: a point of a series. They only come, one series after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Point {
    /// Its key, which is its place in time.
    pub id: u64,
    /// The series.
    pub series: u64,
    /// From 1 to 100,000.
    pub value: i64,
}

/// How many points of a series are averaged.
pub const LAST: u64 = 30;

/// w4a: points of so many series, in turn; of each the average of the last [`LAST`].
#[derive(Clone, Debug)]
pub struct W4a {
    series: u64,
    points: u64,
}

impl W4a {
    /// No points yet.
    pub fn new(series: u64) -> W4a {
        W4a { series, points: 0 }
    }

    /// The next points.
    pub fn next(&mut self, n: usize) -> Vec<Point> {
        let first = self.points;
        self.points += n as u64;
        (first..self.points).map(|id| point(id, self.series)).collect()
    }

    /// The right answer now.
    pub fn checksum(&self) -> u64 {
        let of = |series: u64| {
            let points = (self.points + self.series - 1 - series) / self.series;
            let count = points.min(LAST);
            let value = |nth: u64| point(series + nth * self.series, self.series).value;
            w4a_shown(series, (points - count..points).map(value).sum(), count as i64)
        };
        (0..self.series.min(self.points)).map(of).fold(0, u64::wrapping_add)
    }
}

/// A point by its number.
pub fn point(id: u64, series: u64) -> Point {
    Point { id, series: id % series, value: 1 + (mix(id) % 100_000) as i64 }
}

/// One series' part of the answer.
pub fn w4a_shown(series: u64, sum: i64, count: i64) -> u64 {
    shown(0, series, average(sum, count))
}

/// A row of w4b: a player of a board.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Player {
    /// Its key.
    pub id: u64,
    /// Never changes.
    pub board: u64,
    /// No two are equal.
    pub score: i64,
}

/// w4b: so many boards with so many players each; of each board the ten with the greatest scores, the best first.
#[derive(Clone, Debug)]
pub struct W4b {
    /// How many boards.
    pub boards: u64,
    versions: Vec<u32>,
    walk: Walk,
}

/// How many players of a board are shown.
pub const BEST: usize = 10;

impl W4b {
    /// The start.
    pub fn new(boards: u64, players: u64) -> W4b {
        W4b { boards, versions: vec![0; (boards * players) as usize], walk: Walk::new(boards * players) }
    }

    fn player(&self, id: u64, version: u32) -> Player {
        let score = (mix(id << 20 | u64::from(version)) % 1_000_000) << 20 | id;
        Player { id, board: id % self.boards, score: score as i64 }
    }
}

impl Source for W4b {
    type Row = Player;

    fn rows(&self) -> u64 {
        self.versions.len() as u64
    }

    fn start(&self, ids: std::ops::Range<u64>) -> Vec<Player> {
        ids.map(|id| self.player(id, 0)).collect()
    }

    fn edits(&mut self, n: usize) -> Vec<Edit<Player>> {
        let mut edit = || {
            let id = self.walk.step();
            self.versions[id as usize] += 1;
            let version = self.versions[id as usize];
            Edit { old: self.player(id, version - 1), new: self.player(id, version) }
        };
        (0..n).map(|_| edit()).collect()
    }

    fn checksum(&self) -> u64 {
        let best = |board: u64| {
            let ids = (board..self.rows()).step_by(self.boards as usize);
            let mut players: Vec<Player> = ids.map(|id| self.player(id, self.versions[id as usize])).collect();
            players.sort_by_key(|player| std::cmp::Reverse(player.score));
            w4b_shown(board, players.iter().take(BEST).map(|player| player.id))
        };
        (0..self.boards).map(best).fold(0, u64::wrapping_add)
    }
}

/// One board's part of the answer.
pub fn w4b_shown(board: u64, best: impl Iterator<Item = u64>) -> u64 {
    shown(0, board, fold(best))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a view shows, kept up to date by hand.
    fn w2_by_hand(edits: &[Edit<Item>], start: &[Item], orders: u64) -> u64 {
        let mut items: Vec<Item> = start.to_vec();
        for edit in edits {
            let item = &mut items[edit.old.id as usize];
            assert_eq!(*item, edit.old, "an edit knows what was there");
            *item = edit.new;
        }
        let of = |order: u64| items.iter().filter(move |item| item.order == order);
        let part = |order| {
            let (sum, max) = (of(order).map(|item| item.price * item.qty).sum(), of(order).map(|item| item.price).max().unwrap());
            w2_shown(order, sum, of(order).count() as i64, max)
        };
        (0..orders).map(part).fold(0, u64::wrapping_add)
    }

    #[test]
    fn the_answer_of_w2_is_that_of_its_edits() {
        let mut data = W2::new(20);
        let start = data.start(0..data.rows());
        let edits: Vec<Edit<Item>> = [7, 100, 150].into_iter().flat_map(|n| data.edits(n)).collect();
        assert_eq!(data.checksum(), w2_by_hand(&edits, &start, 20));
        let mut touched: Vec<u64> = edits[..200].iter().map(|edit| edit.new.id).collect();
        touched.sort_unstable();
        touched.dedup();
        assert_eq!(touched.len(), 200, "none comes twice before all have come");
    }

    #[test]
    fn the_hot_customer_of_w3_has_a_tenth_of_the_orders() {
        let mut data = W3::new(1_000);
        let hot = data.start(0..data.rows()).iter().filter(|sale| sale.customer == 0).count();
        assert!((1_000..1_050).contains(&hot), "{hot}");
        let before = data.checksum();
        let moved = data.hot_move();
        assert_eq!((moved.old.id, moved.new.region), (0, (moved.old.region + 1) % REGIONS));
        assert_ne!(data.checksum(), before);
    }
}
