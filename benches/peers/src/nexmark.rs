//! Nexmark as circuits of `dbsp`: the queries that move wide rows, and those of joins. Texts are `String`s, which circuits copy.

use dbsp::operator::{Max, Min};
use dbsp::utils::{Tup2, Tup3, Tup4, Tup6, Tup8};
use dbsp::{DBData, OrdIndexedZSet, OrdZSet, RootCircuit, Runtime, Stream, ZWeight};
use thalweg_benches::suite::data::{fold, shown, text};
use thalweg_benches::suite::nexmark::answers::{q2_part, q4_part, q18_part};
use thalweg_benches::suite::nexmark::events::{Auction, Batch, Bid, Person};
use thalweg_benches::suite::nexmark::{Auctions, answers};

use crate::circuits::{Circuit, Shown};

/// Key, name, city, state.
type PersonRow = Tup4<u32, String, String, String>;
/// Key, item, description, time, time of expiry, seller, category, extra.
type AuctionRow = Tup8<u32, String, String, i64, i64, u32, u32, String>;
/// Key, auction, bidder, price, time, extra.
type BidRow = Tup6<u32, u32, u32, u32, i64, String>;

/// Rows that come.
type Rows<R> = Vec<Tup2<R, ZWeight>>;

/// What a step brings.
pub struct Input {
    persons: Rows<PersonRow>,
    auctions: Rows<AuctionRow>,
    bids: Rows<BidRow>,
}

type Persons = Stream<RootCircuit, OrdZSet<PersonRow>>;
type Lots = Stream<RootCircuit, OrdZSet<AuctionRow>>;
type Bids = Stream<RootCircuit, OrdZSet<BidRow>>;
type Shows<K, O> = Stream<RootCircuit, OrdIndexedZSet<K, O>>;

fn circuit<K: DBData, O: DBData>(plan: fn(&Persons, &Lots, &Bids) -> Shows<K, O>, part: fn(&K, &O) -> u64) -> Circuit<Input> {
    let shown = Shown::default();
    let watched = shown.clone();
    let (handle, (persons, auctions, bids)) = Runtime::init_circuit(1, move |circuit| {
        let (persons, first) = circuit.add_input_zset::<PersonRow>();
        let (auctions, second) = circuit.add_input_zset::<AuctionRow>();
        let (bids, third) = circuit.add_input_zset::<BidRow>();
        watched.watch(&plan(&persons, &auctions, &bids), part);
        Ok((first, second, third))
    })
    .expect("a circuit can be built");
    let give = move |mut input: Input| {
        persons.append(&mut input.persons);
        auctions.append(&mut input.auctions);
        bids.append(&mut input.bids);
    };
    Circuit::new(handle, give, shown)
}

fn person_row(p: &Person) -> PersonRow {
    Tup4(p.id, p.name.to_string(), p.city.to_string(), p.state.to_string())
}

fn auction_row(a: &Auction) -> AuctionRow {
    Tup8(a.id, a.item.to_string(), a.description.to_string(), a.at, a.expires, a.seller, a.category, a.extra.to_string())
}

fn bid_row(b: &Bid) -> BidRow {
    Tup6(b.id, b.auction, b.bidder, b.price, b.at, b.extra.to_string())
}

impl Auctions for Circuit<Input> {
    fn events(&mut self, batch: &Batch) -> Input {
        Input {
            persons: batch.persons.iter().map(|person| Tup2(person_row(person), 1)).collect(),
            auctions: batch.auctions.iter().map(|auction| Tup2(auction_row(auction), 1)).collect(),
            bids: batch.bids.iter().map(|bid| Tup2(bid_row(bid), 1)).collect(),
        }
    }
}

/// Bids as they are.
pub fn q0() -> Circuit<Input> {
    circuit(
        |_, _, bids| bids.map_index(|bid| (bid.0, bid.clone())),
        |id, Tup6(_, auction, bidder, price, at, extra)| {
            let words = [u64::from(*auction), u64::from(*bidder), u64::from(*price), (*at * 1_000) as u64, text(extra)];
            words.into_iter().enumerate().map(|(node, word)| shown(node as u64, u64::from(*id), word)).fold(0, u64::wrapping_add)
        },
    )
}

/// Bids for some auctions.
pub fn q2() -> Circuit<Input> {
    circuit(|_, _, bids| bids.filter(|bid| bid.1 % 123 == 0).map_index(|bid| (bid.0, bid.3)), |id, price| q2_part(*id, *price))
}

/// Auctions of category 10 with their sellers, of three states.
pub fn q3() -> Circuit<Input> {
    circuit(
        |persons, auctions, _| {
            let near = persons.filter(|person| ["or", "id", "ca"].contains(&person.3.as_str()));
            let near = near.map_index(|person| (person.0, Tup3(person.1.clone(), person.2.clone(), person.3.clone())));
            let auctions = auctions.filter(|auction| auction.6 == 10).map_index(|auction| (auction.5, auction.0));
            auctions.join_index(&near, |_, auction, person| Some((*auction, person.clone())))
        },
        |auction, Tup3(name, city, state)| {
            let words = [text(name), text(city), text(state)].into_iter().enumerate();
            words.map(|(node, word)| shown(node as u64, u64::from(*auction), word)).fold(0, u64::wrapping_add)
        },
    )
}

/// The average winning price of each category.
pub fn q4() -> Circuit<Input> {
    circuit(
        |_, auctions, bids| {
            let auctions = auctions.map_index(|auction| (auction.0, Tup3(auction.3, auction.4, auction.6)));
            let bids = bids.map_index(|bid| (bid.1, Tup2(bid.4, bid.3)));
            let prices = auctions.join_index(&bids, |id, Tup3(from, to, category), Tup2(at, price)| {
                (*from..=*to).contains(at).then(|| (Tup2(*id, *category), *price))
            });
            let finals = prices.aggregate(Max).map_index(|(Tup2(_, category), price)| (*category, *price));
            finals.aggregate_linear(|price| Tup2(i64::from(*price), 1i64))
        },
        |category, Tup2(sum, count)| q4_part(*category, *sum, *count),
    )
}

/// The winning bid of each auction, with the rows of both.
pub fn q9() -> Circuit<Input> {
    circuit(
        |_, auctions, bids| {
            let auctions = auctions.map_index(|auction| (auction.0, auction.clone()));
            let bids = bids.map_index(|bid| (bid.1, bid.clone()));
            let valid = auctions.join_index(&bids, |_, auction, bid| {
                let one = || (auction.clone(), Tup3(-i64::from(bid.3), bid.0, bid.clone()));
                (auction.3..=auction.4).contains(&bid.4).then(one)
            });
            valid.aggregate(Min)
        },
        |auction, Tup3(_, _, bid)| shown(0, u64::from(auction.0), fold([bid.0, bid.2, bid.3].map(u64::from))),
    )
}

/// The last bid of each bidder for each auction.
pub fn q18() -> Circuit<Input> {
    circuit(
        |_, _, bids| bids.map_index(|bid| (Tup2(bid.1, bid.2), Tup3(bid.4, bid.0, bid.clone()))).aggregate(Max),
        |Tup2(auction, bidder), Tup3(_, bid, _)| q18_part(*auction, *bidder, *bid),
    )
}

/// Bids with their auctions, of category 10.
pub fn q20() -> Circuit<Input> {
    circuit(
        |_, auctions, bids| {
            let auctions = auctions.filter(|auction| auction.6 == 10).map_index(|auction| (auction.0, auction.clone()));
            let bids = bids.map_index(|bid| (bid.1, bid.clone()));
            bids.join_index(&auctions, |_, bid, auction| Some((bid.clone(), auction.clone())))
        },
        |bid, auction| {
            let words = [text(&auction.1), u64::from(auction.5), (auction.4 * 1_000) as u64].into_iter().enumerate();
            words.map(|(node, word)| shown(node as u64, u64::from(bid.0), word)).fold(0, u64::wrapping_add)
        },
    )
}

/// A query beside ours: what the right answer is, and the circuit.
macro_rules! entries {
    ($($name:literal $query:ident),*) => {
        vec![$(thalweg_benches::suite::Entry::new($name, "dbsp", |runner, size| {
            thalweg_benches::suite::nexmark::run(runner, size, answers::$query, $query())
        })),*]
    };
}

/// All of them.
pub fn entries() -> Vec<thalweg_benches::suite::Entry> {
    entries!(
        "nexmark-q0" q0, "nexmark-q2" q2, "nexmark-q3" q3, "nexmark-q4" q4, "nexmark-q9" q9, "nexmark-q18" q18, "nexmark-q20" q20
    )
}
