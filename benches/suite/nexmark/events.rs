//! Persons, auctions and bids, typed, as the published generator makes them.

use std::sync::Arc;

use nexmark::EventGenerator;
use nexmark::config::NexmarkConfig;
use nexmark::event::Event;
use serde::{Deserialize, Serialize};

/// Somebody who sells or bids.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Person {
    /// The key.
    pub id: u32,
    /// First and last name.
    pub name: Arc<str>,
    /// An address.
    pub email: Arc<str>,
    /// A number.
    pub credit_card: Arc<str>,
    /// One of ten.
    pub city: Arc<str>,
    /// One of six, in lower case.
    pub state: Arc<str>,
    /// Milliseconds since 1970.
    pub at: i64,
    /// Filling.
    pub extra: Arc<str>,
}

/// Something for sale.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Auction {
    /// The key.
    pub id: u32,
    /// What it is.
    pub item: Arc<str>,
    /// What it is like.
    pub description: Arc<str>,
    /// In cents.
    pub initial_bid: u32,
    /// In cents.
    pub reserve: u32,
    /// Milliseconds since 1970.
    pub at: i64,
    /// Milliseconds since 1970.
    pub expires: i64,
    /// A person, who may come later.
    pub seller: u32,
    /// From 10 to 14.
    pub category: u32,
    /// Filling.
    pub extra: Arc<str>,
}

/// What somebody would pay.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Bid {
    /// The key: which of all bids it is.
    pub id: u32,
    /// An auction, which may come later.
    pub auction: u32,
    /// A person.
    pub bidder: u32,
    /// In cents.
    pub price: u32,
    /// Where it came from.
    pub channel: Arc<str>,
    /// The same as a page.
    pub url: Arc<str>,
    /// Milliseconds since 1970.
    pub at: i64,
    /// Filling.
    pub extra: Arc<str>,
}

/// Some events, by what they are.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// New persons.
    pub persons: Vec<Arc<Person>>,
    /// New auctions.
    pub auctions: Vec<Arc<Auction>>,
    /// New bids.
    pub bids: Vec<Arc<Bid>>,
}

impl Batch {
    /// These too.
    pub fn extend(&mut self, other: &Batch) {
        self.persons.extend(other.persons.iter().cloned());
        self.auctions.extend(other.auctions.iter().cloned());
        self.bids.extend(other.bids.iter().cloned());
    }
}

/// All events, one after the other.
pub struct Events {
    generator: EventGenerator,
    bids: u32,
}

/// 2024-03-01T00:00:00Z, in milliseconds.
const BEGIN: u64 = 1_709_251_200_000;

/// Events a second.
const RATE: usize = 100;

impl Default for Events {
    fn default() -> Self {
        let config = NexmarkConfig { base_time: BEGIN, first_rate: RATE, next_rate: RATE, ..NexmarkConfig::default() };
        Events { generator: EventGenerator::new(config), bids: 0 }
    }
}

impl Events {
    /// The next so many.
    pub fn next(&mut self, n: usize) -> Batch {
        let mut batch = Batch::default();
        for event in self.generator.by_ref().take(n) {
            match event {
                Event::Person(person) => batch.persons.push(Arc::new(person.into())),
                Event::Auction(auction) => batch.auctions.push(Arc::new(auction.into())),
                Event::Bid(bid) => {
                    self.bids += 1;
                    batch.bids.push(Arc::new(numbered(self.bids, bid)));
                }
            }
        }
        batch
    }
}

impl From<nexmark::event::Person> for Person {
    fn from(person: nexmark::event::Person) -> Person {
        Person {
            id: person.id as u32,
            name: person.name.into(),
            email: person.email_address.into(),
            credit_card: person.credit_card.into(),
            city: person.city.into(),
            state: person.state.into(),
            at: person.date_time as i64,
            extra: person.extra.into(),
        }
    }
}

impl From<nexmark::event::Auction> for Auction {
    fn from(auction: nexmark::event::Auction) -> Auction {
        Auction {
            id: auction.id as u32,
            item: auction.item_name.into(),
            description: auction.description.into(),
            initial_bid: auction.initial_bid as u32,
            reserve: auction.reserve as u32,
            at: auction.date_time as i64,
            expires: auction.expires as i64,
            seller: auction.seller as u32,
            category: auction.category as u32,
            extra: auction.extra.into(),
        }
    }
}

fn numbered(id: u32, bid: nexmark::event::Bid) -> Bid {
    Bid {
        id,
        auction: bid.auction as u32,
        bidder: bid.bidder as u32,
        price: bid.price as u32,
        channel: bid.channel.into(),
        url: bid.url.into(),
        at: bid.date_time as i64,
        extra: bid.extra.into(),
    }
}
