//! Sessions of the obvious evaluator: all rows in the order of their times, cut where a pause is above the gap.

use super::edges::other_key;
use super::*;

/// What is kept of sessions that end for good.
#[derive(Clone, Default)]
pub(super) struct Ended {
    /// By key: first and last times of sessions that do not change any more.
    finals: BTreeMap<Key, Vec<(i64, i64)>>,
    /// Sessions that are over, and since when.
    pub(super) over: Vec<(Key, (i64, i64), Epoch)>,
    /// Where each row stands.
    places: BTreeMap<Key, (Key, i64)>,
    /// Rows that were late when they came to their place: the start of the session that they missed.
    late: BTreeMap<Key, i64>,
    /// Rows of sessions that do not change any more, with the start.
    of_finals: BTreeMap<Key, i64>,
}

/// The start of a row's session, and that of the session that it missed.
pub(super) type Starts = [Option<i64>; 2];

/// What an epoch is judged by.
pub(super) struct Moment<'a> {
    pub(super) epoch: Epoch,
    /// The watermark before the epoch, and after it.
    pub(super) in_force: i64,
    pub(super) now: i64,
    /// Whether what an earlier epoch has closed is final.
    pub(super) counts: &'a dyn Fn(Epoch) -> bool,
}

/// Where rows stand that are in sessions.
fn places(session: &Session, rows: &BTreeMap<Key, Vec<Cell>>) -> BTreeMap<Key, (Key, i64)> {
    let place = |row: &Vec<Cell>| match (other_key(row, &session.key, &session.key_types), &row[session.on.0 as usize]) {
        (Some(key), Ok(Value::Timestamp(at))) => Some((key, at.0)),
        _ => None,
    };
    rows.iter().filter_map(|(key, row)| Some((key.clone(), place(row)?))).collect()
}

/// The longest runs without a pause above the gap: key, first and last time, rows.
fn runs(places: &BTreeMap<Key, (Key, i64)>, gap: i64, counts: impl Fn(&Key) -> bool) -> Vec<(Key, (i64, i64), Vec<Key>)> {
    let mut all: Vec<(&Key, i64, &Key)> =
        places.iter().filter(|(row, _)| counts(row)).map(|(row, (key, at))| (key, *at, row)).collect();
    all.sort();
    let follows = |a: &(&Key, i64, &Key), b: &(&Key, i64, &Key)| a.0 == b.0 && b.1 - a.1 <= gap;
    let run = |run: &[(&Key, i64, &Key)]| {
        let span = (run[0].1, run[run.len() - 1].1);
        (run[0].0.clone(), span, run.iter().map(|(.., row)| (*row).clone()).collect())
    };
    all.chunk_by(follows).map(run).collect()
}

/// When the session of each row starts, where sessions follow every change.
pub(super) fn in_sessions(session: &Session, rows: &BTreeMap<Key, Vec<Cell>>) -> BTreeMap<Key, Starts> {
    let runs = runs(&places(session, rows), session.gap, |_| true);
    runs.into_iter().flat_map(|(_, (first, _), rows)| rows.into_iter().map(move |row| (row, [Some(first), None]))).collect()
}

impl Ended {
    /// One epoch.
    pub(super) fn step(
        &mut self,
        session: &Session,
        early: bool,
        rows: &BTreeMap<Key, Vec<Cell>>,
        moment: &Moment<'_>,
    ) -> BTreeMap<Key, Starts> {
        for (key, (first, last), since) in std::mem::take(&mut self.over) {
            if (moment.counts)(since) {
                self.finals.entry(key.clone()).or_default().push((first, last));
                let of_it = self
                    .places
                    .iter()
                    .filter(|(row, (of, at))| !self.late.contains_key(*row) && *of == key && (first..=last).contains(at));
                self.of_finals.extend(of_it.map(|(row, _)| (row.clone(), first)));
            }
        }
        let places = places(session, rows);
        let stays = |row: &Key| self.places.get(row) == places.get(row);
        self.late.retain(|row, _| stays(row));
        self.of_finals.retain(|row, _| stays(row));
        let new: Vec<Key> = places.keys().filter(|row| !stays(row)).cloned().collect();
        for row in &new {
            let (key, at) = &places[row];
            let near = |(first, last): &&(i64, i64)| first - session.gap <= *at && *at <= last + session.gap;
            let missed = self.finals.get(key).into_iter().flatten().filter(near).map(|(first, _)| *first).min();
            self.late.extend(missed.map(|first| (row.clone(), first)));
        }
        let is_over = |last: i64, watermark: i64| last + session.gap < watermark;
        for (_, (first, last), rows) in runs(&places, session.gap, |row| self.is_open(row)) {
            if is_over(last, moment.in_force) {
                self.late.extend(rows.into_iter().filter(|row| new.contains(row)).map(|row| (row, first)));
            }
        }
        let mut starts: BTreeMap<Key, Starts> =
            self.late.iter().map(|(row, first)| (row.clone(), [None, Some(*first)])).collect();
        starts.extend(self.of_finals.iter().map(|(row, first)| (row.clone(), [Some(*first), None])));
        for (key, span, rows) in runs(&places, session.gap, |row| self.is_open(row)) {
            let over = is_over(span.1, moment.now);
            if over {
                self.over.push((key, span, moment.epoch));
            }
            starts.extend(rows.into_iter().map(|row| (row, [Some(span.0).filter(|_| over || early), None])));
        }
        self.places = places;
        starts
    }

    fn is_open(&self, row: &Key) -> bool {
        !self.late.contains_key(row) && !self.of_finals.contains_key(row)
    }
}

impl Oracle {
    /// What the rows of a session edge are told.
    pub(super) fn sessions(&mut self, at: usize, all: &[BTreeMap<Key, Vec<Cell>>]) -> BTreeMap<Key, Starts> {
        let plan = self.plan.clone();
        let session = &plan.sessions[at];
        let rows = &all[session.from.0 as usize];
        let Some(ending) = &session.ending else { return in_sessions(session, rows) };
        let (in_force, now) = (self.in_force(ending.watermark), self.watermark(ending.watermark, all));
        let mut ended = std::mem::take(&mut self.ended[at]);
        let counts = |since| self.counts(since);
        let starts = ended.step(session, ending.early, rows, &Moment { epoch: self.epoch, in_force, now, counts: &counts });
        self.ended[at] = ended;
        starts
    }

    /// The sessions that are documents of a table, where they end: those that do not change any more, and those that rows are in.
    pub(super) fn sessions_in_time(&mut self, table: usize, edge: MembershipId, keys: BTreeSet<Key>) -> BTreeSet<Key> {
        let plan = self.plan.clone();
        let closes = |session: &Session| session.ending.as_ref().is_some_and(|ending| ending.closes.contains(&edge));
        let at = plan.sessions.iter().position(closes).expect("sessions that end have an edge");
        let mut closed = std::mem::take(&mut self.closed[table]);
        closed.retain(|_, since| self.counts(*since));
        let there = closed.keys().cloned().chain(keys).collect();
        for (key, (first, _), since) in &self.ended[at].over {
            let document: Key = key.iter().cloned().chain([Value::Timestamp(Timestamp(*first))]).collect();
            closed.entry(document).or_insert(*since);
        }
        self.closed[table] = closed;
        there
    }
}
