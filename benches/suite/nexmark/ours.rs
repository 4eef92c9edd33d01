//! Nexmark as definitions.

use thalweg_engine::Options;
use thalweg_formulas::{Timestamp, Value};
use thalweg_graph::Transaction;

use super::Auctions;
use super::answers;
use super::differential::{self, Build};
use super::events::{Auction, Batch, Bid, Person};
use crate::graphs::Doc;
use crate::suite::ours::Ours;

/// A query: the document types that are kept, the fields, and which of them are shown.
pub struct Query {
    /// `nexmark-q4`.
    pub name: &'static str,
    kept: fn() -> Vec<Doc>,
    fields: &'static [(&'static str, &'static str)],
    shows: &'static [&'static str],
    /// The same directly.
    pub answer: fn(&Batch) -> u64,
    /// The same by hand.
    pub twin: Build,
}

impl Query {
    /// The graph with no rows yet.
    pub fn start(&self) -> Ours {
        let mut docs = vec![person(), auction(), bid()];
        docs.extend((self.kept)());
        Ours::new(docs, self.fields, self.shows, 0, Options::default().workers)
    }
}

fn person() -> Doc {
    let columns = ["name", "email", "credit_card", "city", "state"].map(|name| (name, "text"));
    Doc::new("Person", &[&[("id", "int")], &columns[..], &[("at", "timestamp"), ("extra", "text")]].concat())
}

fn auction() -> Doc {
    let columns = [
        ("id", "int"),
        ("item", "text"),
        ("description", "text"),
        ("initial_bid", "int"),
        ("reserve", "int"),
        ("at", "timestamp"),
        ("expires", "timestamp"),
        ("seller", "int"),
        ("category", "int"),
        ("extra", "text"),
    ];
    Doc::new("Auction", &columns).children("bids", "Bid", "auction").lookup("owner", "Person", "seller")
}

fn bid() -> Doc {
    let columns = [
        ("id", "int"),
        ("auction", "int"),
        ("bidder", "int"),
        ("price", "int"),
        ("channel", "text"),
        ("url", "text"),
        ("at", "timestamp"),
        ("extra", "text"),
    ];
    Doc::new("Bid", &columns).lookup("offer", "Auction", "auction")
}

/// A bid's price while the auction is open.
const VALID: (&str, &str) = ("Bid.valid", "at >= offer.at && at <= offer.expires ? price : null");

/// What is counted in q15 and q16.
macro_rules! statistics {
    ($($table:literal),*) => {
        &[$(
            (concat!($table, ".total"), "count(bids[*].id)"),
            (concat!($table, ".low"), "count(bids[*].price < 10000 ? bids[*].id : null)"),
            (concat!($table, ".middle"), "count(bids[*].price >= 10000 && bids[*].price < 1000000 ? bids[*].id : null)"),
            (concat!($table, ".high"), "count(bids[*].price >= 1000000 ? bids[*].id : null)"),
            (concat!($table, ".bidders"), "count_distinct(bids[*].bidder)"),
            (concat!($table, ".low_bidders"), "count_distinct(bids[*].price < 10000 ? bids[*].bidder : null)"),
            (concat!($table, ".middle_bidders"), "count_distinct(bids[*].price >= 10000 && bids[*].price < 1000000 ? bids[*].bidder : null)"),
            (concat!($table, ".high_bidders"), "count_distinct(bids[*].price >= 1000000 ? bids[*].bidder : null)"),
            (concat!($table, ".auctions"), "count_distinct(bids[*].auction)"),
            (concat!($table, ".low_auctions"), "count_distinct(bids[*].price < 10000 ? bids[*].auction : null)"),
            (concat!($table, ".middle_auctions"), "count_distinct(bids[*].price >= 10000 && bids[*].price < 1000000 ? bids[*].auction : null)"),
            (concat!($table, ".high_auctions"), "count_distinct(bids[*].price >= 1000000 ? bids[*].auction : null)"),
        )*]
    };
}

macro_rules! statistics_shown {
    ($table:literal) => {
        &[
            concat!($table, ".total"),
            concat!($table, ".low"),
            concat!($table, ".middle"),
            concat!($table, ".high"),
            concat!($table, ".bidders"),
            concat!($table, ".low_bidders"),
            concat!($table, ".middle_bidders"),
            concat!($table, ".high_bidders"),
            concat!($table, ".auctions"),
            concat!($table, ".low_auctions"),
            concat!($table, ".middle_auctions"),
            concat!($table, ".high_auctions"),
        ]
    };
}

/// All that there are.
pub const QUERIES: &[Query] = &[
    // Bids as they are.
    Query {
        name: "nexmark-q0",
        kept: Vec::new,
        fields: &[
            ("Bid.seen_auction", "auction"),
            ("Bid.seen_bidder", "bidder"),
            ("Bid.seen_price", "price"),
            ("Bid.seen_at", "at"),
            ("Bid.seen_extra", "extra"),
        ],
        shows: &["Bid.seen_auction", "Bid.seen_bidder", "Bid.seen_price", "Bid.seen_at", "Bid.seen_extra"],
        answer: answers::q0,
        twin: differential::q0,
    },
    // Prices in another currency.
    Query {
        name: "nexmark-q1",
        kept: Vec::new,
        fields: &[("Bid.euro", "price * 0.908")],
        shows: &["Bid.euro"],
        answer: answers::q1,
        twin: differential::q1,
    },
    // Bids for some auctions.
    Query {
        name: "nexmark-q2",
        kept: Vec::new,
        fields: &[("Bid.hit", "auction % 123 == 0 ? price : null")],
        shows: &["Bid.hit"],
        answer: answers::q2,
        twin: differential::q2,
    },
    // Who sells in category 10, in three states.
    Query {
        name: "nexmark-q3",
        kept: Vec::new,
        fields: &[
            ("Person.near", "state == 'or' || state == 'id' || state == 'ca'"),
            ("Auction.name", "category == 10 && owner.near ? owner.name : null"),
            ("Auction.city", "category == 10 && owner.near ? owner.city : null"),
            ("Auction.state", "category == 10 && owner.near ? owner.state : null"),
        ],
        shows: &["Auction.name", "Auction.city", "Auction.state"],
        answer: answers::q3,
        twin: differential::q3,
    },
    // The average winning price of each category.
    Query {
        name: "nexmark-q4",
        kept: || vec![Doc::group("Category", "Auction", &[("category", "category")], "auctions")],
        fields: &[VALID, ("Auction.final", "max(bids[*].valid)"), ("Category.average", "avg(auctions[*].final)")],
        shows: &["Category.average"],
        answer: answers::q4,
        twin: differential::q4,
    },
    // Of each ten seconds, every two, the auctions with the most bids.
    Query {
        name: "nexmark-q5",
        kept: || {
            let heat = Doc::group("Heat", "Bid", &[("auction", "auction")], "bids").windows("at", "10s", Some("2s"));
            let times = [("window_end", "window_end"), ("window_start", "window_start")];
            let hot = Doc::group("Hot", "Heat", &times, "auctions");
            vec![heat.lookup_by("hot", "Hot", &["window_end", "window_start"]), hot]
        },
        fields: &[
            ("Heat.bids_count", "count(bids[*].id)"),
            ("Hot.most", "max(auctions[*].bids_count)"),
            ("Heat.hottest", "bids_count >= hot.most ? bids_count : null"),
        ],
        shows: &["Heat.hottest"],
        answer: answers::q5,
        twin: differential::q5,
    },
    // The average winning price of each seller's last ten auctions.
    Query {
        name: "nexmark-q6",
        kept: || vec![Doc::group("Seller", "Auction", &[("seller", "seller")], "auctions")],
        fields: &[
            VALID,
            ("Auction.final", "max(bids[*].valid)"),
            ("Seller.average", "window_avg(auctions[*].final, 10, auctions[*].expires)"),
        ],
        shows: &["Seller.average"],
        answer: answers::q6,
        twin: differential::q6,
    },
    // The highest bids of each ten seconds.
    Query {
        name: "nexmark-q7",
        kept: || {
            let best = Doc::group("Best", "Bid", &[], "bids").windows("at", "10s", None);
            let on = ["highest == price", "window_start == window(at, duration('10s'))"];
            vec![best, Doc::join("Highest", "Best", "Bid", &on)]
        },
        fields: &[("Best.highest", "max(bids[*].price)"), ("Highest.bidder", "bid.bidder"), ("Highest.price", "bid.price")],
        shows: &["Highest.bidder", "Highest.price"],
        answer: answers::q7,
        twin: differential::q7,
    },
    // Who came and sold within the same ten seconds.
    Query {
        name: "nexmark-q8",
        kept: || {
            let newcomer = Doc::group("Newcomer", "Person", &[("id", "id")], "persons").windows("at", "10s", None);
            let seller = Doc::group("Seller", "Auction", &[("id", "seller")], "auctions").windows("at", "10s", None);
            vec![newcomer, seller, Doc::join("Both", "Newcomer", "Seller", &["id", "window_start"])]
        },
        fields: &[("Newcomer.name", "max(persons[*].name)"), ("Both.name", "newcomer.name")],
        shows: &["Both.name"],
        answer: answers::q8,
        twin: differential::q8,
    },
    // The winning bid of each auction: the highest one, and the first of those.
    Query {
        name: "nexmark-q9",
        kept: Vec::new,
        fields: &[VALID, ("Auction.won", "top([bids[*].id, bids[*].bidder, bids[*].price], 1, bids[*].valid)")],
        shows: &["Auction.won"],
        answer: answers::q9,
        twin: differential::q9,
    },
    // How many bids, bidders and auctions a day has, by price.
    Query {
        name: "nexmark-q15",
        kept: || vec![Doc::group("Day", "Bid", &[("day", "date(at)")], "bids")],
        fields: statistics!("Day"),
        shows: statistics_shown!("Day"),
        answer: answers::q15,
        twin: differential::q15,
    },
    // The same for each channel.
    Query {
        name: "nexmark-q16",
        kept: || vec![Doc::group("Channel", "Bid", &[("channel", "channel"), ("day", "date(at)")], "bids")],
        fields: statistics!("Channel"),
        shows: statistics_shown!("Channel"),
        answer: answers::q16,
        twin: differential::q16,
    },
    // Bids and prices of each auction and day.
    Query {
        name: "nexmark-q17",
        kept: || vec![Doc::group("Lot", "Bid", &[("auction", "auction"), ("day", "date(at)")], "bids")],
        fields: &[
            ("Lot.total", "count(bids[*].id)"),
            ("Lot.low", "count(bids[*].price < 10000 ? bids[*].id : null)"),
            ("Lot.middle", "count(bids[*].price >= 10000 && bids[*].price < 1000000 ? bids[*].id : null)"),
            ("Lot.high", "count(bids[*].price >= 1000000 ? bids[*].id : null)"),
            ("Lot.least", "min(bids[*].price)"),
            ("Lot.greatest", "max(bids[*].price)"),
            ("Lot.average", "avg(bids[*].price)"),
            ("Lot.sum", "sum(bids[*].price)"),
        ],
        shows: &["Lot.total", "Lot.low", "Lot.middle", "Lot.high", "Lot.least", "Lot.greatest", "Lot.average", "Lot.sum"],
        answer: answers::q17,
        twin: differential::q17,
    },
    // The last bid of each bidder for each auction.
    Query {
        name: "nexmark-q18",
        kept: || vec![Doc::group("Pair", "Bid", &[("auction", "auction"), ("bidder", "bidder")], "bids")],
        fields: &[("Pair.last", "last(bids[*].id, bids[*].at)")],
        shows: &["Pair.last"],
        answer: answers::q18,
        twin: differential::q18,
    },
    // The ten highest bids of each auction.
    Query {
        name: "nexmark-q19",
        kept: || vec![Doc::group("Lot", "Bid", &[("auction", "auction")], "bids")],
        fields: &[("Lot.best", "top(bids[*].id, 10, bids[*].price)")],
        shows: &["Lot.best"],
        answer: answers::q19,
        twin: differential::q19,
    },
    // Bids with their auctions, of category 10.
    Query {
        name: "nexmark-q20",
        kept: Vec::new,
        fields: &[
            ("Bid.item", "offer.category == 10 ? offer.item : null"),
            ("Bid.seller", "offer.category == 10 ? offer.seller : null"),
            ("Bid.expires", "offer.category == 10 ? offer.expires : null"),
        ],
        shows: &["Bid.item", "Bid.seller", "Bid.expires"],
        answer: answers::q20,
        twin: differential::q20,
    },
    // The number of a channel, from its name or its page.
    Query {
        name: "nexmark-q21",
        kept: Vec::new,
        fields: &[(
            "Bid.channel_id",
            "lower(channel) == 'apple' ? '0' : lower(channel) == 'google' ? '1' : lower(channel) == 'facebook' ? '2' \
             : lower(channel) == 'baidu' ? '3' : contains(url, 'channel_id=') ? split(split(url, 'channel_id=')[1], '&')[0] : null",
        )],
        shows: &["Bid.channel_id"],
        answer: answers::q21,
        twin: differential::q21,
    },
    // The folders of a page.
    Query {
        name: "nexmark-q22",
        kept: Vec::new,
        fields: &[("Bid.dir1", "split(url, '/')[3]"), ("Bid.dir2", "split(url, '/')[4]"), ("Bid.dir3", "split(url, '/')[5]")],
        shows: &["Bid.dir1", "Bid.dir2", "Bid.dir3"],
        answer: answers::q22,
        twin: differential::q22,
    },
];

fn int(x: u32) -> Value {
    Value::Int(i64::from(x))
}

fn time(millis: i64) -> Value {
    Value::Timestamp(Timestamp(millis * 1_000))
}

fn text(text: &std::sync::Arc<str>) -> Value {
    Value::text(text.clone())
}

fn person_row(p: &Person) -> [Value; 8] {
    [int(p.id), text(&p.name), text(&p.email), text(&p.credit_card), text(&p.city), text(&p.state), time(p.at), text(&p.extra)]
}

fn auction_row(a: &Auction) -> [Value; 10] {
    [
        int(a.id),
        text(&a.item),
        text(&a.description),
        int(a.initial_bid),
        int(a.reserve),
        time(a.at),
        time(a.expires),
        int(a.seller),
        int(a.category),
        text(&a.extra),
    ]
}

fn bid_row(b: &Bid) -> [Value; 8] {
    [int(b.id), int(b.auction), int(b.bidder), int(b.price), text(&b.channel), text(&b.url), time(b.at), text(&b.extra)]
}

impl Auctions for Ours {
    fn events(&mut self, batch: &Batch) -> Transaction {
        let persons = batch.persons.iter().map(|person| self.docs[0].insert(person_row(person)));
        let auctions = batch.auctions.iter().map(|auction| self.docs[1].insert(auction_row(auction)));
        let bids = batch.bids.iter().map(|bid| self.docs[2].insert(bid_row(bid)));
        self.transactions.all(persons.chain(auctions).chain(bids).collect())
    }
}
