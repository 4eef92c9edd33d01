//! The paths of a closure: from which place a way leads to which, over links that come and go, in circles or not.
//!
//! Every worker holds all links, as pairs of numbers, and the paths from the places that it owns. Of a path it keeps how many links the shortest way has.
//! That number is what makes deletes exact: a place is still reached over a link from a place that is one link nearer, and a circle cannot hold itself up.
//!
//! - At an epoch's end, for each start from which a link that came or went begins: what has lost its last nearer neighbour is let go, nearest
//!   first; then ways are sought again from what is left, and over links that came, shortest first (Ramalingam & Reps 1996).
//! - INV-NET: a link is there as long as a row says so, and what goes out is net: a pair that is parted and joined again by one epoch is not told.
//!
//! Cost: a link that comes or goes costs the starts that reach its beginning, and for each the places whose shortest way changes, with their links. A word a link
//! and worker, two a pair.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use hashbrown::{HashMap, HashSet};
use thalweg_formulas::Value;
use thalweg_graph::Epoch;
use thalweg_graph::outcome::Key;

use super::mail::{Link, Parcel, ParcelKind};
use crate::context::Context;
use crate::state::{KeyBuf, KeyHash};

type Numbers<V> = HashMap<u32, V, foldhash::fast::FixedState>;
type Set = HashSet<u32, foldhash::fast::FixedState>;

/// A place that links lead from or to.
#[derive(Debug, Default)]
struct Place {
    /// This worker keeps the paths from here.
    is_own: bool,
    /// Where links lead, and how many rows say so.
    next: Numbers<u32>,
    /// From where links lead here.
    prior: Set,
    /// Of an own place: where paths lead, and how many links the shortest has.
    ways: Numbers<u32>,
    /// The own places from which a path leads here.
    starts: Set,
}

/// Places by their number in the closure's directory.
#[derive(Debug, Default)]
pub struct PathIndex {
    places: Vec<Place>,
    /// Links that the epoch has touched, and whether they were there before.
    links: BTreeMap<(u32, u32), bool>,
    rows: u64,
    touched: u64,
}

/// What an epoch has done to the paths from one place.
#[derive(Debug, Default)]
struct Change {
    born: Vec<u32>,
    dead: Set,
}

impl PathIndex {
    /// Applies a batch in epoch order; `tell` gets the pairs that come and go: from, to, whether it comes.
    pub fn run(&mut self, links: &mut Vec<Link>, mut tell: impl FnMut(Epoch, u32, u32, bool)) {
        if !links.is_sorted_by_key(|link| link.epoch) {
            links.sort_by_key(|link| link.epoch);
        }
        let mut links = links.drain(..).peekable();
        while let Some(epoch) = links.peek().map(|link| link.epoch) {
            while let Some(link) = links.next_if(|link| link.epoch == epoch) {
                self.apply(&link);
            }
            self.settle(|from, to, comes| tell(epoch, from, to, comes));
        }
    }

    fn apply(&mut self, link: &Link) {
        self.touched += 1;
        let least = link.from.max(link.to) as usize + 1;
        if self.places.len() < least {
            self.places.resize_with(least, Place::default);
        }
        let from = &mut self.places[link.from as usize];
        from.is_own = link.is_own;
        let rows = from.next.entry(link.to).or_insert(0);
        self.links.entry((link.from, link.to)).or_insert(*rows > 0);
        if link.comes {
            *rows += 1;
            self.rows += 1;
        } else {
            *rows = rows.checked_sub(1).expect("invariant INV-NET: a row takes back what it has said");
            self.rows -= 1;
        }
        if *rows == 0 {
            from.next.remove(&link.to);
            self.places[link.to as usize].prior.remove(&link.from);
        } else {
            self.places[link.to as usize].prior.insert(link.from);
        }
    }

    /// At the end of an epoch: every start that reaches a link that has come or gone.
    fn settle(&mut self, mut tell: impl FnMut(u32, u32, bool)) {
        let mut work: BTreeMap<u32, Vec<(u32, u32)>> = BTreeMap::new();
        for ((from, to), was) in std::mem::take(&mut self.links) {
            if was != self.is_linked(from, to) {
                let begin = &self.places[from as usize];
                let starts = begin.starts.iter().copied().chain(begin.is_own.then_some(from));
                starts.for_each(|start| work.entry(start).or_default().push((from, to)));
            }
        }
        for (start, mut links) in work {
            // A place on a circle reaches itself, and is told of its own links twice.
            links.sort_unstable();
            links.dedup();
            let mut change = Change { dead: self.let_go(start, &links), ..Change::default() };
            self.seek(start, &links, &mut change);
            for to in change.born {
                self.places[to as usize].starts.insert(start);
                tell(start, to, true);
            }
            for to in change.dead {
                self.places[to as usize].starts.remove(&start);
                tell(start, to, false);
            }
        }
    }

    fn is_linked(&self, from: u32, to: u32) -> bool {
        self.places[from as usize].next.contains_key(&to)
    }

    /// How many links lead from a start to the beginning of another link.
    fn ahead(&self, start: u32, at: u32) -> Option<u32> {
        if at == start { Some(0) } else { self.places[start as usize].ways.get(&at).copied() }
    }

    /// Takes back the ways from `start` that have lost their last support; where they led.
    fn let_go(&mut self, start: u32, links: &[(u32, u32)]) -> Set {
        let ways = &self.places[start as usize].ways;
        let mut dead = Set::default();
        let mut doubted = BinaryHeap::new();
        for (from, to) in links.iter().filter(|(from, to)| !self.is_linked(*from, *to)) {
            let way = self.ahead(start, *from).map(|ahead| ahead + 1);
            doubted.extend(way.filter(|way| ways.get(to) == Some(way)).map(|way| Reverse((way, *to))));
        }
        while let Some(Reverse((way, at))) = doubted.pop() {
            let supports = |prior: &u32| !dead.contains(prior) && ways.get(prior).is_some_and(|nearer| nearer + 1 == way);
            let first = way == 1 && self.is_linked(start, at);
            if dead.contains(&at) || first || self.places[at as usize].prior.iter().any(supports) {
                continue;
            }
            dead.insert(at);
            let further = self.places[at as usize].next.keys().filter(|next| ways.get(*next) == Some(&(way + 1)));
            doubted.extend(further.map(|next| Reverse((way + 1, *next))));
        }
        for at in &dead {
            self.places[start as usize].ways.remove(at);
        }
        dead
    }

    /// Seeks ways from `start` to places that have lost theirs, and over links that have come.
    fn seek(&mut self, start: u32, links: &[(u32, u32)], change: &mut Change) {
        let mut found = BinaryHeap::new();
        for at in &change.dead {
            let ahead = self.places[*at as usize].prior.iter().filter_map(|prior| self.ahead(start, *prior));
            found.extend(ahead.min().map(|ahead| Reverse((ahead + 1, *at))));
        }
        for (from, to) in links.iter().filter(|(from, to)| self.is_linked(*from, *to)) {
            found.extend(self.ahead(start, *from).map(|ahead| Reverse((ahead + 1, *to))));
        }
        let mut ways = std::mem::take(&mut self.places[start as usize].ways);
        while let Some(Reverse((way, at))) = found.pop() {
            match ways.get(&at) {
                Some(shorter) if *shorter <= way => continue,
                Some(_) => {}
                None if change.dead.remove(&at) => {}
                None => change.born.push(at),
            }
            ways.insert(at, way);
            let further = self.places[at as usize].next.keys();
            let longer = further.filter(|next| ways.get(*next).is_none_or(|known| *known > way + 1));
            found.extend(longer.map(|next| Reverse((way + 1, *next))));
        }
        self.places[start as usize].ways = ways;
    }

    /// Rows that make links.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Rows that came or went so far.
    pub fn touched(&self) -> u64 {
        self.touched
    }

    /// Bytes held, about.
    pub fn bytes(&self) -> u64 {
        let place = |place: &Place| {
            let (pairs, numbers) =
                (place.next.capacity() + place.ways.capacity(), place.prior.capacity() + place.starts.capacity());
            size_of::<Place>() + (pairs * 9 + numbers * 5) * 8 / 7
        };
        self.places.iter().map(place).sum::<usize>() as u64
    }
}

impl Context {
    /// Tells every worker that a row makes a link, or no longer does.
    pub(super) fn link(&mut self, epoch: Epoch, closure: u32, ends: &[Value], comes: bool) {
        let key: Key = ends.into();
        let others = (0..self.workers).filter(|worker| *worker != self.me);
        let parcel = |worker: usize| Parcel { to: worker as u32, epoch, what: ParcelKind::Link(closure, key.clone(), comes) };
        self.parcels.extend(others.map(parcel));
        self.linked(epoch, closure, ends, comes);
    }

    pub(crate) fn linked(&mut self, epoch: Epoch, closure: u32, ends: &[Value], comes: bool) {
        let places = &mut self.places[closure as usize];
        let mut number = |at: usize| {
            let end = std::slice::from_ref(&ends[at]);
            let hash = KeyHash::of(end);
            let place = places.intern(end, hash);
            if comes {
                places.hold(place)
            } else {
                places.let_go(place)
            }
            (place, hash)
        };
        let ((from, hash), (to, _)) = (number(0), number(1));
        let is_own = hash.owner(self.workers) == self.me;
        self.links[closure as usize].push(Link { epoch, from, to, is_own, comes });
    }

    /// Tells a closure's table that a way leads between two places, or no longer does.
    pub fn path(&mut self, epoch: Epoch, closure: u32, ends: [u32; 2], comes: bool) {
        let mut key = KeyBuf::new();
        ends.iter().for_each(|end| key.extend(self.places[closure as usize].key_values(*end)));
        self.enter(epoch, self.closures[closure as usize], &key, comes);
    }
}
