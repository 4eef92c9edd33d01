//! The rows of one key in the order of their times, and the sessions that they make.

use std::collections::{BTreeMap, BTreeSet};

use super::mail::Referrer;

/// The rows of one key.
#[derive(Debug, Default)]
pub(super) struct Timeline {
    /// Those of sessions that are not final.
    pub(super) rows: BTreeSet<(i64, Referrer)>,
    /// By first time: the last one.
    pub(super) sessions: BTreeMap<i64, i64>,
    /// The sessions that do not change any more, in the same way.
    pub(super) finals: BTreeMap<i64, i64>,
    /// The first times of sessions that are over, and will be final.
    pub(super) over: BTreeSet<i64>,
    /// Spans of time whose rows must be told in this epoch.
    pub(super) dirty: Vec<(i64, i64)>,
    /// The first times of sessions that have another end in this epoch, or are new.
    pub(super) changed: Vec<i64>,
}

impl Timeline {
    /// A row comes: it makes a session, goes into one, or joins two.
    pub(super) fn insert(&mut self, at: i64, row: Referrer, gap: i64) {
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
        self.put(first, last);
    }

    /// A row goes: its session stays, begins later, ends earlier, falls into two, or is gone. A row of a final session, or one that was late, goes without a trace.
    pub(super) fn remove(&mut self, at: i64, row: Referrer, gap: i64) {
        if !self.rows.remove(&(at, row)) {
            return;
        }
        let (first, last) = self.session(at);
        if self.rows.range((at, Referrer(0))..=(at, Referrer(u64::MAX))).next().is_some() {
            return;
        }
        let before = self.rows.range(..(at, Referrer(0))).next_back().map(|(time, _)| *time).filter(|time| *time >= first);
        let after = self.rows.range((at, Referrer(u64::MAX))..).next().map(|(time, _)| *time).filter(|time| *time <= last);
        match (before, after) {
            (None, None) => drop(self.sessions.remove(&first)),
            (Some(before), None) => self.put(first, before),
            (None, Some(after)) => {
                self.sessions.remove(&first);
                self.begin(after, last);
            }
            (Some(before), Some(after)) if after.saturating_sub(before) > gap => {
                self.put(first, before);
                self.begin(after, last);
            }
            (Some(_), Some(_)) => {}
        }
    }

    /// The session of a row that is there.
    pub(super) fn session(&self, at: i64) -> (i64, i64) {
        let session = self.sessions.range(..=at).next_back().map(|(first, last)| (*first, *last));
        session.expect("invariant INV-SESSIONS: a row that is there is in a session")
    }

    /// A session with rows that were in another one.
    fn begin(&mut self, first: i64, last: i64) {
        self.put(first, last);
        self.dirty.push((first, last));
    }

    fn put(&mut self, first: i64, last: i64) {
        if self.sessions.insert(first, last) != Some(last) {
            self.changed.push(first);
        }
    }

    /// The first time of the final session within whose gap a time is; the earlier one of two.
    pub(super) fn final_near(&self, at: i64, gap: i64) -> Option<i64> {
        let before = self.finals.range(..=at).next_back().filter(|(_, last)| at.saturating_sub(**last) <= gap);
        let after = || self.finals.range(at..).next().filter(|(first, _)| first.saturating_sub(at) <= gap);
        before.or_else(after).map(|(first, _)| *first)
    }

    /// The sessions that were over and are not any more, or are gone; the rows of those that go on are to be told.
    pub(super) fn reopen(&mut self, is_over: impl Fn(i64) -> bool) -> Vec<i64> {
        let sessions = &self.sessions;
        let open: Vec<i64> =
            self.over.iter().copied().filter(|first| !sessions.get(first).is_some_and(|last| is_over(*last))).collect();
        for first in &open {
            self.over.remove(first);
            self.dirty.extend(sessions.get(first).map(|last| (*first, *last)));
        }
        open
    }

    /// A session that is over becomes final: its rows are not kept any more.
    pub(super) fn finish(&mut self, first: i64) {
        if self.over.remove(&first)
            && let Some(last) = self.sessions.remove(&first)
        {
            self.rows.extract_if((first, Referrer(0))..=(last, Referrer(u64::MAX)), |_| true).for_each(drop);
            self.finals.insert(first, last);
        }
    }

    /// At the end of an epoch: every row in a dirty span, once, with the start of its session, and whether that is over.
    pub(super) fn tell(&mut self, mut tell: impl FnMut(Referrer, i64, bool)) {
        self.changed.clear();
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
                let start = start.expect("invariant INV-SESSIONS: a row that is there is in a session");
                tell(*row, start, self.over.contains(&start));
            }
        }
    }

    /// Bytes held, about.
    pub(super) fn bytes(&self) -> usize {
        (self.rows.len() + self.sessions.len() + self.finals.len()) * 24
    }
}
