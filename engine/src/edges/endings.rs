//! Sessions that end for good, and the rows that come too late for them.
//!
//! A session is over at the end of an epoch when the watermark has passed its last row's time by more than the gap, and **final** from the next epoch on that is no
//! fill, or follows one ([`crate::region::closing`] says the same of windows). A final session is a span of time: it neither grows, merges nor splits, and its
//! rows are not kept. Its document is told to stand still.
//!
//! - A row is judged once, when it comes to its time. It is late where it is within the gap of a final session; else where the session that it would be in at
//!   the end of its epoch was over by the watermark before that epoch. So the rows of one epoch are judged together, in any order, and one that holds on to a session that is
//!   not over is in time.
//! - A late row is in no session, and bridges none. It is told the start of the session that it missed, and stays late until it comes to another time.
//!
//! A restart brings final sessions, late rows and the watermark back before any row: rows cannot tell them.
//!
//! Cost: O(log n) for each session that changes, a message to the document of one that is over. Bound: 16 B a final session.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use hashbrown::HashSet;
use thalweg_formulas::{Timestamp, Type, Value};
use thalweg_graph::outcome::Key;
use thalweg_graph::plan::{RegionId, TableId};
use thalweg_graph::state::EngineState;
use thalweg_graph::{Epoch, Plan};

use super::mail::{Note, NoteKind, Parcel, ParcelKind};
use super::sessions::{Sessions, Told, Visit};
use crate::context::Context;
use crate::region::closing::{LOADED, in_force_name, watermark_name};
use crate::state::{KeyBuf, KeyHash};

/// Where a session edge's answers go.
#[derive(Clone, Debug)]
pub struct SessionTarget {
    /// The region of the rows that are told.
    pub region: u32,
    /// The slot there that holds the start of a row's session.
    pub slot: u32,
    /// The slot there for the session that a row missed, where sessions end.
    pub missed: Option<u32>,
    /// Under what the latter is exported.
    pub missed_name: Arc<str>,
    /// The tables whose documents are the sessions, where these end, with their regions.
    closes: Vec<(TableId, Vec<u32>)>,
}

/// The targets of a plan's session edges.
pub fn targets(plan: &Plan) -> Vec<SessionTarget> {
    let targets = plan.sessions.iter().enumerate().map(|(at, edge)| {
        let documents = |home: RegionId| {
            let table = plan.regions[home.0 as usize].table;
            let regions = (0..).zip(&plan.regions).filter(|(_, region)| region.table == table);
            (table, regions.map(|(at, _)| at).collect())
        };
        let closes = edge.ending.iter().flat_map(|ending| &ending.closes);
        SessionTarget {
            region: edge.into.0,
            slot: edge.slot.0,
            missed: edge.ending.as_ref().map(|ending| ending.late.0),
            missed_name: format!("late for {}", table_of(plan, at)).into(),
            closes: closes.map(|edge| documents(plan.memberships[edge.0 as usize].to)).collect(),
        }
    });
    targets.collect()
}

/// By watermark: the session edges that end by it.
pub fn by_watermark(plan: &Plan) -> Vec<Vec<u32>> {
    let ends = |watermark: u32| {
        let edges = (0..).zip(&plan.sessions);
        let edges = edges.filter(move |(_, edge)| edge.ending.as_ref().is_some_and(|ending| ending.watermark == watermark));
        edges.map(|(at, _)| at).collect()
    };
    (0..plan.watermarks.len() as u32).map(ends).collect()
}

/// The names of what is exported by key, with the types of the key: the final sessions of each edge, by what their rows share.
pub fn exported(plan: &Plan) -> impl Iterator<Item = (Arc<str>, Vec<Type>)> {
    let ending = plan.sessions.iter().enumerate().filter(|(_, edge)| edge.ending.is_some());
    ending.map(|(at, edge)| (finals_name(plan, at), edge.key_types.clone()))
}

/// The first of the tables whose documents are the sessions of an edge.
fn table_of(plan: &Plan, edge: usize) -> &str {
    let closes = plan.sessions[edge].ending.as_ref().and_then(|ending| ending.closes.first());
    let home = closes.map(|edge| plan.memberships[edge.0 as usize].to);
    home.map_or("", |home| &plan.tables[plan.regions[home.0 as usize].table.0 as usize].name)
}

fn finals_name(plan: &Plan, edge: usize) -> Arc<str> {
    format!("final sessions of {}", table_of(plan, edge)).into()
}

/// What an edge keeps where its sessions end.
#[derive(Debug)]
pub(super) struct Ends {
    lateness: i64,
    /// Rows are told their session from the first on.
    pub(super) early: bool,
    /// The names of its state.
    watermark_name: Arc<str>,
    in_force_name: Arc<str>,
    finals_name: Arc<str>,
    /// The greatest time by which rows are judged.
    in_force: i64,
    /// The greatest time that was seen.
    greatest: i64,
    /// Moves that are not in force yet.
    moves: VecDeque<(Epoch, i64)>,
    /// What this batch brings.
    told: VecDeque<(Epoch, i64)>,
    /// Sessions that are not over, by their last time; some are no more.
    open: BTreeSet<(i64, Key, i64)>,
    /// Sessions that are over and not final yet, and since when.
    closed: VecDeque<(Epoch, Key, i64)>,
}

impl Ends {
    /// As a plan says.
    pub(super) fn new(plan: &Plan, edge: usize) -> Option<Ends> {
        let ending = plan.sessions[edge].ending.as_ref()?;
        let table = table_of(plan, edge);
        Some(Ends {
            lateness: plan.watermarks[ending.watermark as usize].lateness,
            early: ending.early,
            watermark_name: watermark_name(table),
            in_force_name: in_force_name(table),
            finals_name: finals_name(plan, edge),
            in_force: i64::MIN,
            greatest: i64::MIN,
            moves: VecDeque::new(),
            told: VecDeque::new(),
            open: BTreeSet::new(),
            closed: VecDeque::new(),
        })
    }

    /// Takes the moves of the watermark that a batch brings.
    pub(super) fn take_moves(&mut self, moves: &mut Vec<(Epoch, i64)>) {
        moves.sort_unstable();
        self.told.extend(moves.drain(..));
    }

    /// The lowest epoch in which the watermark moves.
    pub(super) fn epoch(&self) -> Option<Epoch> {
        self.told.front().map(|(epoch, _)| *epoch)
    }

    fn hear(&mut self, epoch: Epoch) {
        while let Some((_, at)) = self.told.pop_front_if(|(of, _)| *of == epoch) {
            self.greatest = self.greatest.max(at);
            self.moves.push_back((epoch, at));
        }
    }

    /// Whether a session with this last time is over once this time has been seen.
    fn is_over(&self, last: i64, gap: i64, seen: i64) -> bool {
        last.saturating_add(gap) < seen.saturating_sub(self.lateness)
    }
}

impl Sessions {
    /// Before an epoch: what earlier ones have closed is final, and their watermark is in force.
    pub(super) fn promote(&mut self, epoch: Epoch, context: &Context) {
        let Some(ends) = &mut self.ends else { return };
        let live = context.live_until(epoch);
        let counts = |from: Epoch| from < epoch && live >= from;
        while let Some((_, at)) = ends.moves.pop_front_if(|(from, _)| counts(*from)) {
            ends.in_force = ends.in_force.max(at);
        }
        while let Some((_, key, first)) = ends.closed.pop_front_if(|(from, ..)| counts(*from)) {
            self.timelines.get_mut(&key).into_iter().for_each(|timeline| timeline.finish(first));
        }
    }

    /// Rows come: those that are late go to no session.
    pub(super) fn admit(&mut self, epoch: Epoch, coming: Vec<Visit>, context: &mut Context) {
        let Some(ends) = &self.ends else { return };
        let (gap, restoring) = (self.gap, context.restoring);
        let mut new = Vec::new();
        for visit in coming {
            let timeline = self.timelines.entry(visit.key.clone()).or_default();
            // A row that comes back with a restart is what it was.
            let near = timeline.final_near(visit.at, gap);
            let missed = if restoring { visit.missed } else { near };
            if missed.is_some() || restoring && near.is_some() {
                self.judged(epoch, &visit, missed, near, context);
                continue;
            }
            timeline.insert(visit.at, visit.row, gap);
            new.push(visit);
        }
        let missed = |visit: &Visit| {
            let (first, last) = self.timelines[&visit.key].session(visit.at);
            (!restoring && ends.is_over(last, gap, ends.in_force)).then_some(first)
        };
        let judged: Vec<Option<i64>> = new.iter().map(missed).collect();
        for (visit, missed) in new.iter().zip(judged) {
            if missed.is_some() {
                let timeline = self.timelines.get_mut(&visit.key).expect("invariant: its row has just come");
                timeline.remove(visit.at, visit.row, gap);
                self.judged(epoch, visit, missed, None, context);
            } else {
                context.in_session(epoch, self.edge(), visit.row, Told::Missed(None));
            }
        }
    }

    /// A row is late, or of a session that is final already.
    fn judged(&self, epoch: Epoch, visit: &Visit, missed: Option<i64>, of: Option<i64>, context: &mut Context) {
        context.in_session(epoch, self.edge(), visit.row, Told::Missed(missed));
        context.in_session(epoch, self.edge(), visit.row, Told::Start(of.filter(|_| missed.is_none())));
    }

    /// At the end of an epoch: sessions that are over are closed, and those that go on after all, as a load may bring about, are not. `keys` are those that the epoch has
    /// touched.
    pub(super) fn close(&mut self, epoch: Epoch, keys: &mut HashSet<Key>, context: &mut Context) {
        let (edge, gap) = (self.edge(), self.gap);
        let Some(ends) = &mut self.ends else { return };
        ends.hear(epoch);
        for key in &*keys {
            let Some(timeline) = self.timelines.get_mut(key) else { continue };
            for first in timeline.reopen(|last| ends.is_over(last, gap, ends.greatest)) {
                context.close(epoch, edge, key, first, false);
            }
            for first in std::mem::take(&mut timeline.changed) {
                ends.open.extend(timeline.sessions.get(&first).map(|last| (*last, key.clone(), first)));
            }
        }
        while let Some((last, ..)) = ends.open.first()
            && ends.is_over(*last, gap, ends.greatest)
            && let Some((last, key, first)) = ends.open.pop_first()
        {
            let Some(timeline) = self.timelines.get_mut(&key) else { continue };
            if timeline.sessions.get(&first) == Some(&last) && timeline.over.insert(first) {
                timeline.dirty.push((first, last));
                context.close(epoch, edge, &key, first, true);
                ends.closed.push_back((epoch, key.clone(), first));
                keys.insert(key);
            }
        }
    }

    /// Takes over the final sessions of this worker's keys and the watermark from before a restart.
    pub fn import(&mut self, context: &mut Context) {
        let Some(ends) = &mut self.ends else { return };
        if let Some(Value::Timestamp(at)) = context.memory.self_of(&ends.watermark_name, &[]) {
            ends.greatest = at.0;
            ends.moves.push_back((LOADED, at.0));
        }
        if let Some(Value::Timestamp(at)) = context.memory.self_of(&ends.in_force_name, &[]) {
            ends.in_force = at.0;
        }
        let (memory, me, workers) = (&context.memory, context.me, context.workers);
        for key in memory.keys_of(&ends.finals_name).filter(|key| KeyHash::of(key).owner(workers) == me) {
            let Some(Value::List(times)) = memory.self_of(&ends.finals_name, key) else { continue };
            let spans = times.chunks_exact(2).filter_map(|span| match span {
                [Value::Timestamp(first), Value::Timestamp(last)] => Some((first.0, last.0)),
                _ => None,
            });
            self.timelines.entry(key.clone()).or_default().finals.extend(spans);
        }
    }

    /// All rows of a restart are there. What they have closed counts once an epoch is no fill.
    pub fn end_restart(&mut self) {
        let Some(ends) = &mut self.ends else { return };
        ends.moves.iter_mut().for_each(|(since, _)| *since = LOADED);
        ends.closed.iter_mut().for_each(|(since, ..)| *since = (*since).min(LOADED));
    }

    /// The sessions that are final, or will be with the next epoch that is no fill.
    pub fn export(&self, context: &Context, state: &mut EngineState) {
        let Some(ends) = &self.ends else { return };
        let mut finals: BTreeMap<&Key, BTreeMap<i64, i64>> = BTreeMap::new();
        for (key, timeline) in self.timelines.iter().filter(|(_, timeline)| !timeline.finals.is_empty()) {
            finals.insert(key, timeline.finals.clone());
        }
        for (_, key, first) in ends.closed.iter().filter(|(since, ..)| *since <= context.last_live) {
            let Some(timeline) = self.timelines.get(key).filter(|timeline| timeline.over.contains(first)) else { continue };
            finals.entry(key).or_default().extend(timeline.sessions.get(first).map(|last| (*first, *last)));
        }
        for (key, spans) in finals {
            let times = spans.into_iter().flat_map(|(first, last)| [first, last]).map(|at| Value::Timestamp(Timestamp(at)));
            state.selves.push((ends.finals_name.clone(), key.clone(), Value::list(times)));
        }
    }
}

impl Context {
    /// Tells the documents of a session that it is over, or is not any more.
    fn close(&mut self, epoch: Epoch, edge: u32, key: &Key, start: i64, is_over: bool) {
        let document: KeyBuf = key.iter().cloned().chain([Value::Timestamp(Timestamp(start))]).collect();
        let hash = KeyHash::of(&document);
        let owner = hash.owner(self.workers);
        if owner == self.me {
            self.closed(epoch, edge, &document, hash, is_over);
        } else {
            let what = ParcelKind::Close(edge, document.as_slice().into(), is_over);
            self.parcels.push(Parcel { to: owner as u32, epoch, what });
        }
    }

    /// It has reached the documents' worker.
    pub(crate) fn closed(&mut self, epoch: Epoch, edge: u32, document: &[Value], hash: KeyHash, is_over: bool) {
        for (table, regions) in &self.sessions[edge as usize].closes {
            let directory = &mut self.directories[table.0 as usize];
            let row = directory.intern(document, hash);
            directory.suspect(row);
            for region in regions {
                let what = if is_over { NoteKind::Freeze(epoch, false) } else { NoteKind::Reopen };
                self.inboxes[*region as usize].push(Note { epoch, row, what });
            }
        }
    }
}
