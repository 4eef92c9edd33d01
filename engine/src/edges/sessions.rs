//! Session edges: which session each row is in. Rows of one key that follow each other within a gap are in one session, which is named by
//! the time of its first row.
//!
//! The rows of a key stand in the order of their times on the key's worker. Each row is told the start of its session: when it comes, and
//! when that start becomes another one, because an earlier row joins the session, a row bridges two sessions, or the row that held two
//! parts together is gone. What rows are told is the state at the end of an epoch.
//!
//! - INV-SESSIONS: `sessions` are the longest runs of `rows` without a pause above the gap, by first and last time.
//!
//! Cost: O(log n) for a row that leaves every other row's session as it was; else also a message for each row whose session has another
//! start. Bound: 24 B a row and 16 B a session, and the tree's share.

use std::collections::{BTreeMap, BTreeSet};

use hashbrown::{HashMap, HashSet};
use thalweg_graph::Epoch;
use thalweg_graph::outcome::Key;

use super::mail::{Note, NoteKind, Parcel, ParcelKind, Referrer};
use crate::context::Context;
use crate::state::{KeyBuf, KeyHash};

/// A row comes to a time, or leaves it.
#[derive(Clone, Debug)]
pub struct Visit {
    /// When it is heard.
    pub epoch: Epoch,
    /// The key that the row shares with the others of its sessions.
    pub key: Key,
    /// Its time, in microseconds.
    pub at: i64,
    /// The row.
    pub row: Referrer,
    /// It comes.
    pub comes: bool,
}

impl Context {
    /// Tells the worker of a key that a row of this worker comes to a time, or leaves it.
    pub fn visit(&mut self, epoch: Epoch, edge: u32, key: &KeyBuf, at: i64, row: u32, comes: bool) {
        let owner = KeyHash::of(key).owner(self.workers);
        let (key, row): (Key, _) = (key.as_slice().into(), Referrer::new(self.me, row));
        if owner == self.me {
            self.visits[edge as usize].push(Visit { epoch, key, at, row, comes });
        } else {
            let what = ParcelKind::Visit(edge, key, at, row, comes);
            self.parcels.push(Parcel { to: owner as u32, epoch, what });
        }
    }

    /// Tells a row when its session starts.
    pub fn in_session(&mut self, epoch: Epoch, edge: u32, row: Referrer, start: i64) {
        if row.worker() == self.me {
            let (region, slot) = self.sessions[edge as usize];
            let what = NoteKind::Word(slot, start as u64);
            self.inboxes[region as usize].push(Note { epoch, row: row.row(), what });
        } else {
            let what = ParcelKind::InSession(edge, row.row(), start);
            self.parcels.push(Parcel { to: row.worker() as u32, epoch, what });
        }
    }
}

/// The rows of one key.
#[derive(Debug, Default)]
struct Timeline {
    rows: BTreeSet<(i64, Referrer)>,
    /// By first time: the last one.
    sessions: BTreeMap<i64, i64>,
    /// Spans of time whose rows must be told in this epoch.
    dirty: Vec<(i64, i64)>,
}

/// Timelines by key.
#[derive(Debug)]
pub struct Sessions {
    gap: i64,
    timelines: HashMap<Key, Timeline, foldhash::fast::FixedState>,
    touched: u64,
}

impl Sessions {
    /// Rows that are no further apart than `gap` microseconds are in one session.
    pub fn new(gap: i64) -> Sessions {
        Sessions { gap, timelines: HashMap::default(), touched: 0 }
    }

    /// Applies a batch in epoch order; `tell` gets each row that must be told the start of its session.
    pub fn run(&mut self, visits: &mut Vec<Visit>, mut tell: impl FnMut(Epoch, Referrer, i64)) {
        visits.sort_by_key(|visit| visit.epoch);
        let mut visits = visits.drain(..).peekable();
        while let Some(epoch) = visits.peek().map(|visit| visit.epoch) {
            let mut keys = HashSet::new();
            while let Some(visit) = visits.next_if(|visit| visit.epoch == epoch) {
                self.touched += 1;
                let timeline = self.timelines.entry(visit.key.clone()).or_default();
                match visit.comes {
                    true => timeline.insert(visit.at, visit.row, self.gap),
                    false => timeline.remove(visit.at, visit.row, self.gap),
                }
                keys.insert(visit.key);
            }
            for key in keys {
                let Some(timeline) = self.timelines.get_mut(&key) else { continue };
                timeline.tell(|row, start| tell(epoch, row, start));
                if timeline.rows.is_empty() {
                    self.timelines.remove(&key);
                }
            }
        }
    }

    /// Rows held now.
    pub fn rows(&self) -> u64 {
        self.timelines.values().map(|timeline| timeline.rows.len() as u64).sum()
    }

    /// Visits applied so far.
    pub fn touched(&self) -> u64 {
        self.touched
    }

    /// Bytes held, about.
    pub fn bytes(&self) -> u64 {
        let of = |timeline: &Timeline| timeline.rows.len() * 24 + timeline.sessions.len() * 24;
        let keys = self.timelines.capacity() * (size_of::<Key>() + size_of::<Timeline>());
        (self.timelines.values().map(of).sum::<usize>() + keys) as u64
    }
}

impl Timeline {
    /// A row comes: it makes a session, goes into one, or joins two.
    fn insert(&mut self, at: i64, row: Referrer, gap: i64) {
        self.rows.insert((at, row));
        let near = |from: i64, to: i64| to.saturating_sub(from) <= gap;
        let before =
            self.sessions.range(..=at).next_back().filter(|(_, last)| near(**last, at)).map(|(first, last)| (*first, *last));
        let after = self.sessions.range(at..).find(|(first, _)| **first > at);
        let after = after.filter(|(first, _)| near(at, **first)).map(|(first, last)| (*first, *last));
        let (first, mut last) = before.map_or((at, at), |(first, last)| (first, last.max(at)));
        self.dirty.push((at, at));
        if let Some((start, end)) = after.filter(|(start, _)| *start > last) {
            self.sessions.remove(&start);
            self.dirty.push((start, end));
            last = end;
        }
        self.sessions.insert(first, last);
    }

    /// A row goes: its session stays, begins later, ends earlier, falls into two, or is gone.
    fn remove(&mut self, at: i64, row: Referrer, gap: i64) {
        self.rows.remove(&(at, row));
        let session = self.sessions.range(..=at).next_back().map(|(first, last)| (*first, *last));
        let (first, last) = session.expect("invariant INV-SESSIONS: a row that is there is in a session");
        if self.rows.range((at, Referrer(0))..=(at, Referrer(u64::MAX))).next().is_some() {
            return;
        }
        let before = self.rows.range(..(at, Referrer(0))).next_back().map(|(time, _)| *time).filter(|time| *time >= first);
        let after = self.rows.range((at, Referrer(u64::MAX))..).next().map(|(time, _)| *time).filter(|time| *time <= last);
        match (before, after) {
            (None, None) => drop(self.sessions.remove(&first)),
            (Some(before), None) => drop(self.sessions.insert(first, before)),
            (None, Some(after)) => {
                self.sessions.remove(&first);
                self.begin(after, last);
            }
            (Some(before), Some(after)) if after.saturating_sub(before) > gap => {
                self.sessions.insert(first, before);
                self.begin(after, last);
            }
            (Some(_), Some(_)) => {}
        }
    }

    /// A session with rows that were in another one.
    fn begin(&mut self, first: i64, last: i64) {
        self.sessions.insert(first, last);
        self.dirty.push((first, last));
    }

    /// At the end of an epoch: every row in a dirty span, once.
    fn tell(&mut self, mut tell: impl FnMut(Referrer, i64)) {
        self.dirty.sort_unstable();
        let mut told = i64::MIN;
        for (from, to) in std::mem::take(&mut self.dirty) {
            let from = from.max(told);
            if from > to {
                continue;
            }
            told = to.saturating_add(1);
            let mut sessions = self.sessions.range(..=from).next_back().into_iter().chain(self.sessions.range(from..)).peekable();
            let mut start = None;
            for (at, row) in self.rows.range((from, Referrer(0))..=(to, Referrer(u64::MAX))) {
                while let Some((first, _)) = sessions.next_if(|(first, _)| *first <= at) {
                    start = Some(*first);
                }
                tell(*row, start.expect("invariant INV-SESSIONS: a row that is there is in a session"));
            }
        }
    }
}
