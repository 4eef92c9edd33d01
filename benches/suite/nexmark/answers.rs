//! The right answers, directly over all events, and what a row of each answer adds to a checksum.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::events::{Auction, Batch, Bid, Person};
use crate::suite::data::{average, fold, shown, text};

/// Of q5: how long a window is, and how far apart windows start, in milliseconds.
pub const HOT: (i64, i64) = (10_000, 2_000);

/// Windows of ten seconds, in milliseconds.
pub const WINDOW: i64 = 10_000;

/// When the window begins that a time is in.
pub fn window(at: i64) -> i64 {
    at.div_euclid(WINDOW) * WINDOW
}

/// When the windows of q5 begin that a time is in.
pub fn hot_windows(at: i64) -> impl Iterator<Item = i64> {
    let last = at.div_euclid(HOT.1) * HOT.1;
    (0..HOT.0 / HOT.1).map(move |back| last - back * HOT.1)
}

/// Whether a bid counts.
pub fn is_valid(auction: &Auction, bid: &Bid) -> bool {
    (auction.at..=auction.expires).contains(&bid.at)
}

/// The day of a time; there are few of them.
pub fn day(at: i64) -> u64 {
    let day = at.div_euclid(86_400_000);
    // As `date(at)` writes it; the events begin on the first of March 2024 and take some hours.
    text(&format!("2024-03-{:02}", 1 + day - 19_783))
}

/// Whether q3 wants a person.
pub fn is_near(person: &Person) -> bool {
    ["or", "id", "ca"].contains(&&*person.state)
}

fn sum(parts: impl Iterator<Item = u64>) -> u64 {
    parts.fold(0, u64::wrapping_add)
}

/// Several values of one document.
fn row(key: u64, values: impl IntoIterator<Item = u64>) -> u64 {
    sum(values.into_iter().enumerate().map(|(node, value)| shown(node as u64, key, value)))
}

/// A bid as it is.
pub fn q0_part(bid: &Bid) -> u64 {
    let numbers = [bid.auction, bid.bidder, bid.price].map(u64::from);
    row(u64::from(bid.id), numbers.into_iter().chain([(bid.at * 1_000) as u64, text(&bid.extra)]))
}

/// Bids as they are.
pub fn q0(all: &Batch) -> u64 {
    sum(all.bids.iter().map(|bid| q0_part(bid)))
}

/// A bid in another currency.
pub fn q1_part(bid: u32, euro: f64) -> u64 {
    shown(0, u64::from(bid), euro.to_bits())
}

/// Bids in another currency.
pub fn q1(all: &Batch) -> u64 {
    sum(all.bids.iter().map(|bid| q1_part(bid.id, f64::from(bid.price) * 0.908)))
}

/// A bid for one of some auctions.
pub fn q2_part(bid: u32, price: u32) -> u64 {
    shown(0, u64::from(bid), u64::from(price))
}

/// Bids for some auctions.
pub fn q2(all: &Batch) -> u64 {
    sum(all.bids.iter().filter(|bid| bid.auction % 123 == 0).map(|bid| q2_part(bid.id, bid.price)))
}

/// An auction and its seller.
pub fn q3_part(auction: u32, seller: &Person) -> u64 {
    row(u64::from(auction), [text(&seller.name), text(&seller.city), text(&seller.state)])
}

/// Auctions of category 10 and their sellers, of three states.
pub fn q3(all: &Batch) -> u64 {
    let persons: HashMap<u32, &Person> = all.persons.iter().map(|person| (person.id, &**person)).collect();
    let sellers = all.auctions.iter().filter(|auction| auction.category == 10).filter_map(|auction| {
        let seller = persons.get(&auction.seller).filter(|person| is_near(person))?;
        Some(q3_part(auction.id, seller))
    });
    sum(sellers)
}

/// Auctions by their key.
fn auctions(all: &Batch) -> HashMap<u32, &Auction> {
    all.auctions.iter().map(|auction| (auction.id, &**auction)).collect()
}

/// The winning bids by auction: the highest, and the first of those.
fn winners(all: &Batch) -> BTreeMap<u32, &Bid> {
    let auctions = auctions(all);
    let mut winners: BTreeMap<u32, &Bid> = BTreeMap::new();
    for bid in &all.bids {
        if auctions.get(&bid.auction).is_some_and(|auction| is_valid(auction, bid)) {
            let best = winners.entry(bid.auction).or_insert(bid);
            if bid.price > best.price {
                *best = bid;
            }
        }
    }
    winners
}

/// A category's average.
pub fn q4_part(category: u32, sum: i64, count: i64) -> u64 {
    shown(0, u64::from(category), average(sum, count))
}

/// The average winning price of each category.
pub fn q4(all: &Batch) -> u64 {
    let auctions = auctions(all);
    let mut categories: BTreeMap<u32, (i64, i64)> = BTreeMap::new();
    for (auction, bid) in winners(all) {
        let (sum, count) = categories.entry(auctions[&auction].category).or_default();
        (*sum, *count) = (*sum + i64::from(bid.price), *count + 1);
    }
    sum(categories.iter().map(|(category, (sum, count))| q4_part(*category, *sum, *count)))
}

/// An auction with the most bids of a window.
pub fn q5_part(auction: u32, start: i64, bids: i64) -> u64 {
    let times = [start, start + HOT.0].map(|at| (at * 1_000) as u64);
    shown(0, fold([u64::from(auction), times[0], times[1]]), bids as u64)
}

/// Of each window the auctions with the most bids.
pub fn q5(all: &Batch) -> u64 {
    let mut windows: BTreeMap<i64, HashMap<u32, i64>> = BTreeMap::new();
    for bid in &all.bids {
        hot_windows(bid.at).for_each(|start| *windows.entry(start).or_default().entry(bid.auction).or_default() += 1);
    }
    let hottest = windows.iter().flat_map(|(start, auctions)| {
        let most = auctions.values().max().copied();
        let hot = auctions.iter().filter(move |(_, bids)| Some(**bids) == most);
        hot.map(|(auction, bids)| q5_part(*auction, *start, *bids))
    });
    sum(hottest)
}

/// A seller's average.
pub fn q6_part(seller: u32, sum: i64, count: i64) -> u64 {
    shown(0, u64::from(seller), average(sum, count))
}

/// The average winning price of each seller's last ten auctions, by when they expire.
pub fn q6(all: &Batch) -> u64 {
    let auctions = auctions(all);
    let mut sellers: BTreeMap<u32, BTreeMap<(i64, u32), i64>> = BTreeMap::new();
    for (id, bid) in winners(all) {
        let auction = auctions[&id];
        sellers.entry(auction.seller).or_default().insert((auction.expires, id), i64::from(bid.price));
    }
    let last = |(seller, prices): (&u32, &BTreeMap<(i64, u32), i64>)| {
        let count = prices.len().min(10);
        q6_part(*seller, prices.values().rev().take(count).sum(), count as i64)
    };
    sum(sellers.iter().map(last))
}

/// One of the highest bids of a window.
pub fn q7_part(start: i64, bid: u32, bidder: u32, price: u32) -> u64 {
    let times = [start, start + WINDOW].map(|at| (at * 1_000) as u64);
    row(fold([times[0], times[1], u64::from(bid)]), [bidder, price].map(u64::from))
}

/// The highest bids of each window.
pub fn q7(all: &Batch) -> u64 {
    let mut highest: HashMap<i64, u32> = HashMap::new();
    for bid in &all.bids {
        let price = highest.entry(window(bid.at)).or_default();
        *price = (*price).max(bid.price);
    }
    let bids = all.bids.iter().filter(|bid| highest[&window(bid.at)] == bid.price);
    sum(bids.map(|bid| q7_part(window(bid.at), bid.id, bid.bidder, bid.price)))
}

/// Who came and sold within a window.
pub fn q8_part(person: u32, start: i64, name: &str) -> u64 {
    let one = [i64::from(person), start * 1_000, (start + WINDOW) * 1_000].map(|word| word as u64);
    shown(0, fold(one.into_iter().chain(one)), text(name))
}

/// Who came and sold within the same window.
pub fn q8(all: &Batch) -> u64 {
    let sellers: BTreeSet<(u32, i64)> = all.auctions.iter().map(|auction| (auction.seller, window(auction.at))).collect();
    let both = all.persons.iter().filter(|person| sellers.contains(&(person.id, window(person.at))));
    sum(both.map(|person| q8_part(person.id, window(person.at), &person.name)))
}

/// An auction's winning bid.
pub fn q9_part(auction: u32, bid: &Bid) -> u64 {
    shown(0, u64::from(auction), fold([bid.id, bid.bidder, bid.price].map(u64::from)))
}

/// The winning bid of each auction.
pub fn q9(all: &Batch) -> u64 {
    sum(winners(all).iter().map(|(auction, bid)| q9_part(*auction, bid)))
}

/// Which of three a price is: from 1.
pub fn rank(price: u32) -> usize {
    match price {
        ..10_000 => 1,
        10_000..1_000_000 => 2,
        _ => 3,
    }
}

/// A count of q15 or q16: `what` is 0 for bids, 1 for bidders, 2 for auctions; `rank` is 0 for all prices.
pub fn statistic_part(key: u64, what: u64, rank: usize, count: i64) -> u64 {
    shown(what * 4 + rank as u64, key, count as u64)
}

/// How many bids, which bidders, which auctions.
type Statistics = (i64, BTreeSet<u32>, BTreeSet<u32>);

fn statistics(all: &Batch, key: impl Fn(&Bid) -> u64) -> u64 {
    let mut groups: BTreeMap<u64, [Statistics; 4]> = BTreeMap::new();
    for bid in &all.bids {
        let group = groups.entry(key(bid)).or_default();
        for rank in [0, rank(bid.price)] {
            group[rank].0 += 1;
            group[rank].1.insert(bid.bidder);
            group[rank].2.insert(bid.auction);
        }
    }
    let parts = |(key, group): (&u64, &[Statistics; 4])| {
        let counts = |(rank, (bids, bidders, auctions)): (usize, &Statistics)| {
            let counts = [*bids, bidders.len() as i64, auctions.len() as i64].into_iter().enumerate();
            sum(counts.map(|(what, count)| statistic_part(*key, what as u64, rank, count)))
        };
        sum(group.iter().enumerate().map(counts))
    };
    sum(groups.iter().map(parts))
}

/// How many bids, bidders and auctions a day has, by price.
pub fn q15(all: &Batch) -> u64 {
    statistics(all, |bid| day(bid.at))
}

/// The key of a channel and day.
pub fn q16_key(bid: &Bid) -> u64 {
    fold([text(&bid.channel), day(bid.at)])
}

/// The same for each channel.
pub fn q16(all: &Batch) -> u64 {
    statistics(all, q16_key)
}

/// The key of an auction and day.
pub fn q17_key(bid: &Bid) -> u64 {
    fold([u64::from(bid.auction), day(bid.at)])
}

/// Bids by price, and the sum of prices.
pub fn q17_counts(key: u64, bids: [i64; 4], sum: i64) -> u64 {
    let values = [(0, bids[0]), (1, bids[1]), (2, bids[2]), (3, bids[3]), (7, sum)];
    let parts = values.iter().map(|(node, value)| shown(*node, key, *value as u64));
    parts.fold(shown(6, key, average(sum, bids[0])), u64::wrapping_add)
}

/// The least and the greatest price.
pub fn q17_ends(key: u64, least: u32, greatest: u32) -> u64 {
    shown(4, key, u64::from(least)).wrapping_add(shown(5, key, u64::from(greatest)))
}

/// Bids and prices of each auction and day.
pub fn q17(all: &Batch) -> u64 {
    let mut lots: HashMap<u64, Vec<u32>> = HashMap::new();
    all.bids.iter().for_each(|bid| lots.entry(q17_key(bid)).or_default().push(bid.price));
    let parts = lots.iter().map(|(key, prices)| {
        let mut bids = [prices.len() as i64, 0, 0, 0];
        prices.iter().for_each(|price| bids[rank(*price)] += 1);
        let (least, greatest) = (prices.iter().min().copied(), prices.iter().max().copied());
        let ends = q17_ends(*key, least.unwrap_or(0), greatest.unwrap_or(0));
        q17_counts(*key, bids, prices.iter().map(|price| i64::from(*price)).sum()).wrapping_add(ends)
    });
    sum(parts)
}

/// The last bid of a pair.
pub fn q18_part(auction: u32, bidder: u32, bid: u32) -> u64 {
    shown(0, fold([auction, bidder].map(u64::from)), u64::from(bid))
}

/// The last bid of each bidder for each auction.
pub fn q18(all: &Batch) -> u64 {
    let last: HashMap<(u32, u32), u32> = all.bids.iter().map(|bid| ((bid.auction, bid.bidder), bid.id)).collect();
    sum(last.iter().map(|((auction, bidder), bid)| q18_part(*auction, *bidder, *bid)))
}

/// The highest bids of an auction, the best first.
pub fn q19_part(auction: u32, bids: impl Iterator<Item = u32>) -> u64 {
    shown(0, u64::from(auction), fold(bids.map(u64::from)))
}

/// The ten highest bids of each auction; of equal ones the first come first.
pub fn q19(all: &Batch) -> u64 {
    let mut lots: HashMap<u32, Vec<(std::cmp::Reverse<u32>, u32)>> = HashMap::new();
    all.bids.iter().for_each(|bid| lots.entry(bid.auction).or_default().push((std::cmp::Reverse(bid.price), bid.id)));
    let best = |(auction, bids): (&u32, &mut Vec<(std::cmp::Reverse<u32>, u32)>)| {
        bids.sort_unstable();
        q19_part(*auction, bids.iter().take(10).map(|(_, bid)| *bid))
    };
    sum(lots.iter_mut().map(best))
}

/// A bid and its auction.
pub fn q20_part(bid: u32, auction: &Auction) -> u64 {
    row(u64::from(bid), [text(&auction.item), u64::from(auction.seller), (auction.expires * 1_000) as u64])
}

/// Bids with their auctions, of category 10.
pub fn q20(all: &Batch) -> u64 {
    let auctions = auctions(all);
    let of = |bid: &Bid| auctions.get(&bid.auction).filter(|auction| auction.category == 10).map(|it| q20_part(bid.id, it));
    sum(all.bids.iter().filter_map(|bid| of(bid)))
}

/// The number of a channel.
pub fn channel_id(bid: &Bid) -> Option<&str> {
    match bid.channel.to_lowercase().as_str() {
        "apple" => Some("0"),
        "google" => Some("1"),
        "facebook" => Some("2"),
        "baidu" => Some("3"),
        _ => bid.url.split_once("channel_id=")?.1.split('&').next(),
    }
}

/// A bid and the number of its channel.
pub fn q21_part(bid: u32, channel: &str) -> u64 {
    shown(0, u64::from(bid), text(channel))
}

/// The number of each bid's channel.
pub fn q21(all: &Batch) -> u64 {
    sum(all.bids.iter().filter_map(|bid| Some(q21_part(bid.id, channel_id(bid)?))))
}

/// A bid and the folders of its page.
pub fn q22_part(bid: u32, folders: [&str; 3]) -> u64 {
    row(u64::from(bid), folders.map(text))
}

/// The three folders of a page.
pub fn folders(url: &str) -> [&str; 3] {
    let mut parts = url.split('/').skip(3);
    std::array::from_fn(|_| parts.next().unwrap_or(""))
}

/// The folders of each bid's page.
pub fn q22(all: &Batch) -> u64 {
    sum(all.bids.iter().map(|bid| q22_part(bid.id, folders(&bid.url))))
}
