//! Nexmark by hand. Rows are shared, so that nothing copies a text.

use std::cmp::Reverse;
use std::sync::Arc;

use differential_dataflow::operators::CountTotal;

use super::Auctions;
use super::answers::{self, day, hot_windows, is_near, is_valid, rank, window};
use super::events::{Auction, Batch, Bid, Person};
use crate::suite::differential::best;
use crate::suite::flow::{Collection, Flow, Input, Inputs, Output};

/// Persons, auctions, bids.
type All<'scope> = Inputs<'scope, Arc<Person>, Arc<Auction>, Arc<Bid>>;

/// Writes a query down.
pub type Build = fn(All<'_>, &Output);

/// A dataflow of one worker.
pub fn start(build: Build) -> Flow<Arc<Person>, Arc<Auction>, Arc<Bid>> {
    Flow::new(1, build)
}

impl Auctions for Flow<Arc<Person>, Arc<Auction>, Arc<Bid>> {
    fn events(&mut self, batch: &Batch) -> Self::Input {
        Input {
            a: batch.persons.iter().map(|person| (person.clone(), 1)).collect(),
            b: batch.auctions.iter().map(|auction| (auction.clone(), 1)).collect(),
            c: batch.bids.iter().map(|bid| (bid.clone(), 1)).collect(),
            d: Vec::new(),
        }
    }
}

pub(super) fn q0(all: All<'_>, output: &Output) {
    output.note(all.c, |bid| answers::q0_part(bid));
}

pub(super) fn q1(all: All<'_>, output: &Output) {
    let euros = all.c.map(|bid| {
        let euro = f64::from(bid.price) * 0.908;
        (bid, euro.to_bits())
    });
    output.note(euros, |(bid, euro)| answers::q1_part(bid.id, f64::from_bits(*euro)));
}

pub(super) fn q2(all: All<'_>, output: &Output) {
    output.note(all.c.filter(|bid| bid.auction % 123 == 0), |bid| answers::q2_part(bid.id, bid.price));
}

pub(super) fn q3(all: All<'_>, output: &Output) {
    let auctions = all.b.filter(|auction| auction.category == 10).map(|auction| (auction.seller, auction.id));
    let persons = all.a.filter(|person| is_near(person)).map(|person| (person.id, person));
    let both = auctions.join_map(persons, |_, auction, person| (*auction, person.clone()));
    output.note(both, |(auction, person)| answers::q3_part(*auction, person));
}

/// Bids while their auction is open.
fn valid<'scope>(all: All<'scope>) -> Collection<'scope, (Arc<Auction>, Arc<Bid>)> {
    let auctions = all.b.map(|auction| (auction.id, auction)).arrange_by_key();
    let bids = all.c.map(|bid| (bid.auction, bid)).arrange_by_key();
    auctions.join_core(bids, |_, auction, bid| is_valid(auction, bid).then(|| (auction.clone(), bid.clone())))
}

/// An auction's key, then seller, category and when it expires.
type Told = (u32, (u32, u32, i64));

/// The highest price of each auction.
fn finals<'scope>(all: All<'scope>) -> Collection<'scope, (Told, u32)> {
    let told = |auction: Arc<Auction>| (auction.at, (auction.seller, auction.category, auction.expires));
    let auctions = all.b.map(move |auction| (auction.id, told(auction))).arrange_by_key();
    let bids = all.c.map(|bid| (bid.auction, (bid.at, bid.price))).arrange_by_key();
    let prices =
        auctions.join_core(bids, |id, (from, told), (at, price)| (*from..=told.2).contains(at).then_some(((*id, *told), *price)));
    prices.reduce(|_, prices: &[(&u32, isize)], out: &mut Vec<(u32, isize)>| {
        out.extend(prices.last().map(|(price, _)| (**price, 1)));
    })
}

/// Of each group all rows whose first number is the greatest.
fn greatest<'scope>(rows: Collection<'scope, (i64, (u32, u32, u32))>) -> Collection<'scope, (i64, (u32, u32, u32))> {
    rows.reduce(|_, rows: &[(&(u32, u32, u32), isize)], out: &mut Vec<((u32, u32, u32), isize)>| {
        let best = rows.last().map(|((first, _, _), _)| *first);
        out.extend(rows.iter().rev().take_while(|((first, _, _), _)| Some(*first) == best).map(|(one, _)| (**one, 1)));
    })
}

pub(super) fn q4(all: All<'_>, output: &Output) {
    let prices = finals(all).explode(|((_, (_, category, _)), price): (Told, u32)| Some((category, (price as isize, 1isize))));
    output.note(prices.count_total_core::<isize>(), |(category, (sum, count))| {
        answers::q4_part(*category, *sum as i64, *count as i64)
    });
}

pub(super) fn q5(all: All<'_>, output: &Output) {
    let bids = all.c.flat_map(|bid| {
        let auction = bid.auction;
        hot_windows(bid.at).map(move |start| (auction, start))
    });
    let counts = bids.count_total_core::<isize>().map(|((auction, start), bids)| (start, (bids as u32, auction, 0)));
    output.note(greatest(counts), |(start, (bids, auction, _))| answers::q5_part(*auction, *start, i64::from(*bids)));
}

pub(super) fn q6(all: All<'_>, output: &Output) {
    let sellers = finals(all).map(|((id, (seller, _, expires)), price)| (seller, (expires, id, price)));
    let averages = sellers.reduce(|_, auctions: &[(&(i64, u32, u32), isize)], out: &mut Vec<((i64, i64), isize)>| {
        let last = auctions.iter().rev().take(10);
        out.push(((last.map(|((_, _, price), _)| i64::from(*price)).sum(), auctions.len().min(10) as i64), 1));
    });
    output.note(averages, |(seller, (sum, count))| answers::q6_part(*seller, *sum, *count));
}

pub(super) fn q7(all: All<'_>, output: &Output) {
    let bids = all.c.map(|bid| (window(bid.at), (bid.price, bid.id, bid.bidder)));
    output.note(greatest(bids), |(start, (price, bid, bidder))| answers::q7_part(*start, *bid, *bidder, *price));
}

pub(super) fn q8(all: All<'_>, output: &Output) {
    let persons = all.a.map(|person| ((person.id, window(person.at)), person.name.clone()));
    let sellers = all.b.map(|auction| (auction.seller, window(auction.at))).distinct();
    let both = persons.semijoin(sellers);
    output.note(both, |((person, start), name)| answers::q8_part(*person, *start, name));
}

/// A bid behind what it is ordered by.
type Ordered<A> = (A, u32, Arc<Bid>);

pub(super) fn q9(all: All<'_>, output: &Output) {
    let bids = valid(all).map(|(auction, bid)| (auction, (Reverse(bid.price), bid.id, bid)));
    let winners = bids.reduce(|_, bids: &[(&Ordered<Reverse<u32>>, isize)], out: &mut Vec<(Arc<Bid>, isize)>| {
        out.extend(bids.first().map(|((_, _, bid), _)| (bid.clone(), 1)));
    });
    output.note(winners, |(auction, bid)| answers::q9_part(auction.id, bid));
}

/// The counts of q15 and q16, whose key is a word.
fn statistics(bids: Collection<'_, Arc<Bid>>, output: &Output, key: fn(&Bid) -> u64) {
    let ranks = bids.flat_map(move |bid| {
        let key = key(&bid);
        [0, rank(bid.price)].map(|rank| ((key, rank as u8), (bid.bidder, bid.auction)))
    });
    let of = |what: u64| {
        move |((key, rank), count): &((u64, u8), isize)| answers::statistic_part(*key, what, usize::from(*rank), *count as i64)
    };
    output.note(ranks.clone().map(|(group, _)| group).count_total(), of(0));
    let bidders = ranks.clone().map(|(group, (bidder, _))| (group, bidder)).distinct();
    output.note(bidders.map(|(group, _)| group).count_total(), of(1));
    let auctions = ranks.map(|(group, (_, auction))| (group, auction)).distinct();
    output.note(auctions.map(|(group, _)| group).count_total(), of(2));
}

pub(super) fn q15(all: All<'_>, output: &Output) {
    statistics(all.c, output, |bid| day(bid.at));
}

pub(super) fn q16(all: All<'_>, output: &Output) {
    statistics(all.c, output, answers::q16_key);
}

pub(super) fn q17(all: All<'_>, output: &Output) {
    let prices = all.c.map(|bid| (answers::q17_key(&bid), bid.price));
    let sums = prices.clone().explode(|(key, price): (u64, u32)| {
        let one = |which: usize| isize::from(rank(price) == which);
        Some((key, (1isize, (one(1), (one(2), (one(3), price as isize))))))
    });
    output.note(sums.count_total_core::<isize>(), |(key, (all, (low, (middle, (high, sum)))))| {
        answers::q17_counts(*key, [*all, *low, *middle, *high].map(|count| count as i64), *sum as i64)
    });
    let ends = prices.reduce(|_, prices: &[(&u32, isize)], out: &mut Vec<((u32, u32), isize)>| {
        out.extend(prices.first().zip(prices.last()).map(|((least, _), (greatest, _))| ((**least, **greatest), 1)));
    });
    output.note(ends, |(key, (least, greatest))| answers::q17_ends(*key, *least, *greatest));
}

pub(super) fn q18(all: All<'_>, output: &Output) {
    let bids = all.c.map(|bid| ((bid.auction, bid.bidder), (bid.at, bid.id, bid)));
    let last = bids.reduce(|_, bids: &[(&Ordered<i64>, isize)], out: &mut Vec<(Arc<Bid>, isize)>| {
        out.extend(bids.last().map(|((_, _, bid), _)| (bid.clone(), 1)));
    });
    output.note(last, |((auction, bidder), bid)| answers::q18_part(*auction, *bidder, bid.id));
}

pub(super) fn q19(all: All<'_>, output: &Output) {
    // Of equal prices the first bid is the best.
    let bids = all.c.map(|bid| (bid.auction, u64::from(bid.price) << 32 | u64::from(!bid.id)));
    output.note(best(bids), |(auction, bids)| answers::q19_part(*auction, bids.iter().map(|bid| !(*bid as u32))));
}

pub(super) fn q20(all: All<'_>, output: &Output) {
    let auctions = all.b.filter(|auction| auction.category == 10).map(|auction| (auction.id, auction));
    let bids = all.c.map(|bid| (bid.auction, bid));
    let both = bids.join_map(auctions, |_, bid, auction| (bid.clone(), auction.clone()));
    output.note(both, |(bid, auction)| answers::q20_part(bid.id, auction));
}

pub(super) fn q21(all: All<'_>, output: &Output) {
    let channels = all.c.flat_map(|bid| {
        let channel = answers::channel_id(&bid).map(str::to_owned);
        channel.map(|channel| (bid, channel))
    });
    output.note(channels, |(bid, channel)| answers::q21_part(bid.id, channel));
}

pub(super) fn q22(all: All<'_>, output: &Output) {
    let folders = all.c.map(|bid| {
        let folders = answers::folders(&bid.url).map(str::to_owned);
        (bid, folders)
    });
    output.note(folders, |(bid, [one, two, three])| answers::q22_part(bid.id, [one, two, three]));
}
