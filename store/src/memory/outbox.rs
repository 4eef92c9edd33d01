//! The outbox kept plainly: what each delivery and each act means, without indexes.

use std::sync::Arc;

use thalweg_formulas::Timestamp;
use thalweg_graph::ids;
use thalweg_graph::ports::{
    Act, Acted, Digest, Listed, Manner, NEVER, Note, NoteKind, OutboxCounts, OutboxFilter, OutboxRow, OutboxState, OutboxUpdate,
    Paused, PendingDelivery, Settled, Shown,
};

use crate::sqlite::digest::window_end;
use crate::sqlite::history::KEPT;
use crate::sqlite::outbox::{count_of, is_over};

/// All deliveries, in the order in which they fired.
#[derive(Clone, Default)]
pub(super) struct Outbox {
    deliveries: Vec<Delivery>,
    pub(super) paused: Vec<Paused>,
    coalesced: u64,
    /// For whom each was noted.
    settled: Vec<(Arc<str>, Settled)>,
    /// The source that follows what becomes of deliveries.
    pub(super) follower: Option<Arc<str>>,
}

#[derive(Clone)]
struct Delivery {
    pending: PendingDelivery,
    state: OutboxState,
    error: String,
    ended_at: Option<Timestamp>,
    history: Vec<(Timestamp, Note)>,
    /// The place of the first delivery of the digest that it is in.
    digest: Option<usize>,
}

impl Delivery {
    fn is_pending(&self) -> bool {
        self.state == OutboxState::Pending
    }

    fn note(&mut self, at: Timestamp, what: NoteKind, detail: &str) {
        self.add(at, Note { what, took_us: 0, detail: detail.to_owned() });
    }

    fn add(&mut self, at: Timestamp, note: Note) {
        self.history.push((at, note));
        if self.history.len() > KEPT {
            self.history.remove(1);
        }
    }

    fn end(&mut self, state: OutboxState, at: Timestamp) {
        self.state = state;
        self.ended_at = Some(at).filter(|at| at.0 > 0);
    }

    fn is_of(&self, other: &OutboxRow) -> bool {
        let row = &self.pending.row;
        (&row.node, &row.key, row.version, row.epoch) == (&other.node, &other.key, other.version, other.epoch)
    }

    /// What a lane is told apart by.
    fn in_lane_of(&self, other: &OutboxRow) -> bool {
        let row = &self.pending.row;
        if (row.manner.digest.is_some(), other.manner.digest.is_some()) != (false, false) {
            let by_key = |row: &OutboxRow| row.manner.digest.map(|digest| digest.by_key.then(|| row.key.clone()));
            return by_key(row) == by_key(other) && (&row.node, row.action) == (&other.node, other.action);
        }
        let same = (&row.node, row.action, &row.key) == (&other.node, other.action, &other.key);
        let unordered = (row.manner.unordered, other.manner.unordered);
        same && (unordered == (false, false) || (unordered == (true, true) && row.version == other.version))
    }
}

impl Outbox {
    pub(super) fn place(&self, id: &str) -> Option<usize> {
        self.deliveries.iter().position(|d| *d.pending.row.id == *id)
    }

    pub(super) fn fire(&mut self, row: &OutboxRow, fired_at: Timestamp) {
        if self.place(&row.id).is_some() {
            return;
        }
        let standing = self.deliveries.iter_mut().find(|d| d.is_pending() && d.in_lane_of(row));
        if let Some(standing) = standing.filter(|_| row.manner.coalesces) {
            self.coalesced += 1;
            return standing.note(fired_at, NoteKind::Coalesced, &row.version.to_string());
        }
        let before = self.deliveries.last().filter(|d| !is_over(d.state));
        let held = row.manner.after_previous && before.is_some_and(|d| d.is_of(row) && d.pending.row.action + 1 == row.action);
        let not_before = match &row.manner.digest {
            Some(digest) => window_end(digest, fired_at),
            None if held => NEVER,
            None => Timestamp(0),
        };
        let pending = PendingDelivery { row: row.clone(), attempts: 0, fired_at, not_before, since: fired_at, deliveries: 0 };
        let (state, history) = (OutboxState::Pending, Vec::new());
        self.deliveries.push(Delivery { pending, state, error: String::new(), ended_at: None, history, digest: None });
        if let Some(digest) = &row.manner.digest {
            self.ripen(row, digest);
        }
    }

    /// Who waits in a lane goes at once if they are as many as a digest may hold.
    fn ripen(&mut self, row: &OutboxRow, digest: &Digest) {
        let waiting = self.waiting(row, 0, digest.max);
        if waiting.len() == digest.max as usize {
            self.deliveries[waiting[0]].pending.not_before = Timestamp(0);
        }
    }

    /// Pending deliveries in one lane with `row`, from a place on, that are in no digest.
    fn waiting(&self, row: &OutboxRow, from: usize, limit: u32) -> Vec<usize> {
        let waits = |place: &usize| {
            let delivery = &self.deliveries[*place];
            delivery.is_pending() && delivery.digest.is_none() && delivery.in_lane_of(row)
        };
        (from..self.deliveries.len()).filter(waits).take(limit as usize).collect()
    }

    /// The delivery at `place` and those that are in one digest with it.
    fn together(&self, place: usize) -> Vec<usize> {
        let digest = self.deliveries[place].digest;
        (0..self.deliveries.len())
            .filter(|other| *other == place || (digest.is_some() && self.deliveries[*other].digest == digest))
            .collect()
    }

    pub(super) fn gather(&mut self, place: usize, digest: &Digest, at: Timestamp) -> Vec<OutboxRow> {
        if !self.deliveries[place].is_pending() {
            return Vec::new();
        }
        let first = self.deliveries[place].pending.clone();
        if self.deliveries[place].digest.is_none() {
            let mut bytes = 0;
            for member in self.waiting(&first.row, place, digest.max) {
                bytes += self.deliveries[member].pending.row.body.len() as u64;
                if bytes > digest.bytes && member != place {
                    break;
                }
                self.deliveries[member].digest = Some(place);
                self.deliveries[member].note(at, NoteKind::Gathered, &ids::digest_id(&first.row.id, first.fired_at));
            }
            self.deliveries[place].pending.since = at;
            self.ripen(&first.row, digest);
        }
        let row = |member: usize| OutboxRow { manner: Manner::default(), ..self.deliveries[member].pending.row.clone() };
        self.together(place).into_iter().map(row).collect()
    }

    /// The first pending delivery of each lane.
    pub(super) fn heads(&self) -> Vec<PendingDelivery> {
        let mut heads: Vec<&Delivery> = Vec::new();
        for delivery in self.deliveries.iter().filter(|d| d.is_pending()) {
            if !heads.iter().any(|head| head.in_lane_of(&delivery.pending.row)) {
                heads.push(delivery);
            }
        }
        let as_read = |d: &Delivery| {
            let row = OutboxRow { manner: Manner::default(), ..d.pending.row.clone() };
            PendingDelivery { row, ..d.pending.clone() }
        };
        heads.into_iter().map(as_read).collect()
    }

    pub(super) fn update(&mut self, update: &OutboxUpdate) {
        let Some(place) = self.place(&update.id) else { return };
        let delivery = &mut self.deliveries[place];
        if let Some(note) = &update.note {
            delivery.add(update.at, note.clone());
        }
        if is_over(delivery.state) {
            return;
        }
        delivery.pending.attempts = update.attempts;
        delivery.pending.not_before = update.not_before.max(Timestamp(0));
        delivery.pending.deliveries = update.deliveries;
        delivery.error.clone_from(&update.error);
        if update.restarts {
            delivery.pending.since = update.at;
        }
        self.end(place, update.state, "", update.at);
    }

    /// What becomes of a delivery; if it is not pending any more, nor are those that are in one digest with it.
    fn end(&mut self, place: usize, state: OutboxState, result: &str, at: Timestamp) {
        self.become_of(place, state, result, at);
        if state == OutboxState::Pending {
            return;
        }
        let error = self.deliveries[place].error.clone();
        for other in self.together(place).into_iter().filter(|other| *other != place).rev() {
            if !is_over(self.deliveries[other].state) {
                self.deliveries[other].error.clone_from(&error);
                self.become_of(other, state, result, at);
            }
        }
    }

    fn become_of(&mut self, place: usize, state: OutboxState, result: &str, at: Timestamp) {
        let number = self.settled.last().map_or(0, |(_, last)| last.number) + 1;
        let delivery = &mut self.deliveries[place];
        if let Some(follower) = self.follower.clone().filter(|_| delivery.state != state) {
            let (result, error, row) = (result.to_owned(), delivery.error.clone(), delivery.pending.row.clone());
            let (depth, attempts, fired_at) = (row.manner.depth, delivery.pending.attempts, delivery.pending.fired_at);
            let row = OutboxRow { manner: Manner::default(), ..row };
            self.settled.push((follower, Settled { number, row, depth, state, attempts, result, error, fired_at, at }));
        }
        delivery.end(state, at);
        if state == OutboxState::Pending {
            delivery.ended_at = None;
        }
        let (over, row) = (is_over(state), delivery.pending.row.clone());
        if let Some(next) = self.deliveries.get_mut(place + 1).filter(|_| over)
            && next.is_pending()
            && next.is_of(&row)
            && next.pending.row.action == row.action + 1
            && next.pending.not_before == NEVER
            && next.pending.deliveries == 0
        {
            next.pending.not_before = Timestamp(0);
        }
    }

    pub(super) fn act(&mut self, act: &Act, at: Timestamp) -> Acted {
        match act {
            Act::Ack { id, result } => self.place(id).map_or(Acted::Unknown, |place| self.ack(place, result, at)),
            Act::Retry { id, body } => self.place(id).map_or(Acted::Unknown, |place| self.retry(place, body.as_deref(), at)),
            Act::Discard { id } => match self.place(id) {
                None => Acted::Unknown,
                Some(place) if is_over(self.deliveries[place].state) => Acted::Over(self.deliveries[place].state),
                Some(place) => {
                    self.deliveries[place].note(at, NoteKind::Discarded, "");
                    self.end(place, OutboxState::Cancelled, "", at);
                    Acted::Done
                }
            },
            Act::Pause { node, action, reason } => {
                if self.paused.iter().any(|p| p.node == *node && (p.action.is_none() || p.action == *action)) {
                    return Acted::Already;
                }
                self.paused.push(Paused { node: node.clone(), action: *action, at, reason: reason.clone() });
                self.paused.sort_by(|a, b| (&a.node, a.action).cmp(&(&b.node, b.action)));
                Acted::Done
            }
            Act::Resume { node } => {
                let before = self.paused.len();
                self.paused.retain(|p| p.node != *node);
                if self.paused.len() == before { Acted::Unknown } else { Acted::Done }
            }
        }
    }

    fn ack(&mut self, place: usize, result: &str, at: Timestamp) -> Acted {
        let state = self.deliveries[place].state;
        match state {
            OutboxState::Acked => Acted::Over(state),
            OutboxState::Cancelled => {
                self.deliveries[place].note(at, NoteKind::Late, result);
                Acted::Over(state)
            }
            OutboxState::Dead => {
                self.deliveries[place].note(at, NoteKind::Late, result);
                self.end(place, OutboxState::Acked, result, at);
                Acted::Late
            }
            OutboxState::Pending => {
                let row = self.deliveries[place].pending.row.clone();
                for other in 0..self.deliveries.len() {
                    let delivery = &mut self.deliveries[other];
                    if delivery.is_pending() && delivery.is_of(&row) {
                        delivery.note(at, NoteKind::Acknowledged, result);
                        self.end(other, OutboxState::Acked, result, at);
                    }
                }
                Acted::Done
            }
        }
    }

    fn retry(&mut self, place: usize, body: Option<&str>, at: Timestamp) -> Acted {
        let delivery = &mut self.deliveries[place];
        if is_over(delivery.state) {
            return Acted::Over(delivery.state);
        }
        if let Some(body) = body {
            let is_json = |bytes: &[u8]| serde_json::from_slice::<serde::de::IgnoredAny>(bytes).is_ok();
            if is_json(&delivery.pending.row.body) && !is_json(body.as_bytes()) {
                return Acted::Malformed;
            }
            let before = String::from_utf8_lossy(&delivery.pending.row.body).into_owned();
            delivery.note(at, NoteKind::Edited, &before);
            delivery.pending.row.body = body.as_bytes().into();
        }
        delivery.note(at, NoteKind::Replayed, "");
        for place in self.together(place) {
            let delivery = &mut self.deliveries[place];
            if !is_over(delivery.state) {
                (delivery.pending.attempts, delivery.pending.deliveries) = (0, 0);
                (delivery.pending.not_before, delivery.pending.since) = (Timestamp(0), at);
                self.become_of(place, OutboxState::Pending, "", at);
            }
        }
        Acted::Done
    }

    fn listed(&self, place: usize) -> Listed {
        let Delivery { pending, state, error, ended_at, .. } = &self.deliveries[place];
        let PendingDelivery { row, attempts, fired_at, not_before, deliveries, .. } = pending.clone();
        Listed {
            seq: place as u64 + 1,
            id: row.id,
            epoch: row.epoch,
            node: row.node,
            action: row.action,
            key: row.key,
            version: row.version,
            state: *state,
            attempts,
            deliveries,
            fired_at,
            not_before,
            ended_at: *ended_at,
            error: error.clone(),
        }
    }

    pub(super) fn list(&self, filter: &OutboxFilter) -> Vec<Listed> {
        let all = (0..self.deliveries.len()).map(|place| self.listed(place)).filter(|d| d.seq > filter.after);
        let meets = |d: &Listed| {
            filter.node.as_ref().is_none_or(|node| *node == d.node)
                && filter.key.as_ref().is_none_or(|key| *key == d.key)
                && filter.state.is_none_or(|state| state == d.state)
        };
        all.filter(meets).take(filter.limit).collect()
    }

    pub(super) fn show(&self, id: &str) -> Option<Shown> {
        let place = self.place(id)?;
        let Delivery { pending, history, .. } = &self.deliveries[place];
        let (settings, body) = (pending.row.settings.clone(), pending.row.body.clone());
        Some(Shown { listed: self.listed(place), settings, body, history: history.clone() })
    }

    pub(super) fn settled(&self, after: u64, limit: usize) -> Vec<Settled> {
        let read = |settled: &Settled| {
            let now = &self.deliveries[self.place(&settled.row.id).expect("a delivery stays")].pending.row;
            Settled { row: OutboxRow { body: now.body.clone(), ..settled.row.clone() }, ..settled.clone() }
        };
        let behind =
            self.settled.iter().filter(|(source, settled)| settled.number > after && Some(source) == self.follower.as_ref());
        behind.take(limit).map(|(_, settled)| read(settled)).collect()
    }

    /// Drops what is before a position.
    pub(super) fn trim_settled(&mut self, position: &str) {
        let before: u64 = position.parse().unwrap_or(0);
        self.settled.retain(|(_, settled)| settled.number >= before);
    }

    pub(super) fn counts(&self) -> OutboxCounts {
        let fired = self.deliveries.len() as u64;
        let mut counts = OutboxCounts { fired, coalesced: self.coalesced, ..OutboxCounts::default() };
        for delivery in &self.deliveries {
            *count_of(&mut counts, delivery.state) += 1;
        }
        counts
    }
}
