//! Session edges: which session each row is in. Rows of one key that follow each other within a gap are in one session, which is named by
//! the time of its first row.
//!
//! The rows of a key stand in the order of their times on the key's worker. Each row is told the start of its session: when it comes, and
//! when that start becomes another one, because an earlier row joins the session, a row bridges two sessions, or the row that held two
//! parts together is gone. What rows are told is the state at the end of an epoch.
//!
//! Sessions may end for good ([`super::endings`]).
//!
//! - INV-SESSIONS: `sessions` are the longest runs of `rows` without a pause above the gap, by first and last time, and further than the gap from any
//!   that is final.
//!
//! Cost: O(log n) for a row that leaves every other row's session as it was; else also a message for each row whose session has another
//! start. Bound: 24 B a row of a session that is not final and 16 B a session, and the tree's share.

use hashbrown::{HashMap, HashSet};
use serde::{Deserialize, Serialize};
use thalweg_formulas::{Cell, Value};
use thalweg_graph::outcome::Key;
use thalweg_graph::plan::Session;
use thalweg_graph::{Epoch, Plan};

use super::endings::Ends;
use super::mail::{Note, NoteKind, Parcel, ParcelKind, Referrer};
use super::timeline::Timeline;
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
    /// It was late before a restart: when the session starts that it missed.
    pub missed: Option<i64>,
}

/// What a row is told.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub enum Told {
    /// When its session starts; `None`: it is in none that there is.
    Start(Option<i64>),
    /// When the session starts that it missed; `None`: it is not late.
    Missed(Option<i64>),
}

impl Context {
    /// Tells the worker of a key that a row of this worker comes to a time, or leaves it.
    pub fn visit(&mut self, edge: u32, key: &KeyBuf, visit: Visit) {
        let owner = KeyHash::of(key).owner(self.workers);
        if owner == self.me {
            self.visits[edge as usize].push(visit);
        } else {
            let Visit { epoch, key, at, row, comes, missed } = visit;
            let what = ParcelKind::Visit(edge, key, at, row, comes, missed);
            self.parcels.push(Parcel { to: owner as u32, epoch, what });
        }
    }

    /// Tells a row about its session.
    pub fn in_session(&mut self, epoch: Epoch, edge: u32, row: Referrer, told: Told) {
        if row.worker() != self.me {
            let what = ParcelKind::InSession(edge, row.row(), told);
            return self.parcels.push(Parcel { to: row.worker() as u32, epoch, what });
        }
        let target = &self.sessions[edge as usize];
        let (slot, start) = match told {
            Told::Start(start) => (Some(target.slot), start),
            Told::Missed(start) => (target.missed, start),
        };
        let Some(slot) = slot else { return };
        let none: Cell = Ok(Value::Null);
        let what = start.map_or_else(|| NoteKind::Set(slot, none.into()), |start| NoteKind::Word(slot, start as u64));
        self.inboxes[target.region as usize].push(Note { epoch, row: row.row(), what });
    }
}

type Timelines = HashMap<Key, Timeline, foldhash::fast::FixedState>;

/// Timelines by key.
#[derive(Debug)]
pub struct Sessions {
    edge: u32,
    pub(super) gap: i64,
    pub(super) timelines: Timelines,
    pub(super) ends: Option<Ends>,
    touched: u64,
}

impl Sessions {
    /// Of edge number `edge` of a plan.
    pub fn new(plan: &Plan, edge: usize) -> Sessions {
        let Session { gap, .. } = plan.sessions[edge];
        Sessions { edge: edge as u32, gap, timelines: HashMap::default(), ends: Ends::new(plan, edge), touched: 0 }
    }

    /// Applies a batch in epoch order; each row is told that must be.
    pub fn run(&mut self, visits: &mut Vec<Visit>, context: &mut Context) {
        visits.sort_by_key(|visit| visit.epoch);
        if let Some(ends) = &mut self.ends {
            ends.take_moves(&mut context.session_moves[self.edge as usize]);
        }
        let mut visits = visits.drain(..).peekable();
        loop {
            let moved = self.ends.as_ref().and_then(Ends::epoch);
            let Some(epoch) = visits.peek().map(|visit| visit.epoch).into_iter().chain(moved).min() else { return };
            self.promote(epoch, context);
            let mut keys = HashSet::new();
            let mut coming = Vec::new();
            while let Some(visit) = visits.next_if(|visit| visit.epoch == epoch) {
                self.touched += 1;
                let timeline = self.timelines.entry(visit.key.clone()).or_default();
                keys.insert(visit.key.clone());
                match (visit.comes, &self.ends) {
                    (true, None) => timeline.insert(visit.at, visit.row, self.gap),
                    // Whether it is late is asked once all that the epoch brings is there.
                    (true, Some(_)) => coming.push(visit),
                    (false, _) => timeline.remove(visit.at, visit.row, self.gap),
                }
            }
            self.admit(epoch, coming, context);
            self.close(epoch, &mut keys, context);
            keys.into_iter().for_each(|key| self.tell(epoch, &key, context));
        }
    }

    /// Tells the rows of a key what has changed for them.
    fn tell(&mut self, epoch: Epoch, key: &Key, context: &mut Context) {
        let Some(timeline) = self.timelines.get_mut(key) else { return };
        let only_over = self.ends.as_ref().is_some_and(|ends| !ends.early);
        timeline.tell(|row, start, is_over| {
            let start = (is_over || !only_over).then_some(start);
            context.in_session(epoch, self.edge, row, Told::Start(start));
        });
        if timeline.rows.is_empty() && timeline.finals.is_empty() {
            self.timelines.remove(key);
        }
    }

    /// The edge's number.
    pub(super) fn edge(&self) -> u32 {
        self.edge
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
        let keys = self.timelines.capacity() * (size_of::<Key>() + size_of::<Timeline>());
        (self.timelines.values().map(Timeline::bytes).sum::<usize>() + keys) as u64
    }
}
