//! One subscriber's channel: bounded, with a stated policy for a reader that is slow.
//!
//! The graph's side never holds more than [`Subscribe::room`] changes for a reader, but for a snapshot and for a single epoch that is larger by
//! itself. What happens beyond that is the reader's choice: [`Slow`].

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use thalweg_graph::Epoch;
use thalweg_graph::outcome::{Delta, Document, ErrorChange};

/// What a subscriber gets.
#[derive(Clone, Debug, PartialEq)]
pub enum Update {
    /// Everything that is subscribed to, as it stood at the end of this epoch; it replaces whatever was told before.
    Snapshot {
        /// When.
        epoch: Epoch,
        /// Each field (and column) of each living document, sorted by node and key; a field in error has its error and NULL.
        documents: Vec<Document>,
    },
    /// What one epoch changed.
    Changed(Changed),
}

/// What one epoch changed.
#[derive(Clone, Debug, PartialEq)]
pub struct Changed {
    /// When.
    pub epoch: Epoch,
    /// Changed fields, sorted by node and key.
    pub deltas: Vec<Delta>,
    /// Fields and rows that went into or out of error.
    pub errors: Vec<ErrorChange>,
}

impl Changed {
    /// How many changes.
    pub fn len(&self) -> usize {
        self.deltas.len() + self.errors.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Update {
    /// The epoch that it ends with: where to go on from.
    pub fn epoch(&self) -> Epoch {
        match self {
            Update::Snapshot { epoch, .. } | Update::Changed(Changed { epoch, .. }) => *epoch,
        }
    }
}

/// What happens when a reader's channel is full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Slow {
    /// Later changes are left out; when the reader has read what waits, it gets a new snapshot and goes on from there.
    #[default]
    Snapshot,
    /// The subscription ends with [`Ended::Slow`] once what waits has been read.
    End,
    /// Stepping waits for the reader. Not for a reader in the thread that steps: that one would wait for itself.
    Wait,
}

/// How to subscribe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subscribe {
    /// The last epoch that the reader has: it gets what came after, where that is still kept, else a snapshot.
    pub after: Option<Epoch>,
    /// The most changes that wait for the reader.
    pub room: usize,
    /// What happens beyond that.
    pub slow: Slow,
}

impl Default for Subscribe {
    fn default() -> Self {
        Self { after: None, room: 16_384, slow: Slow::Snapshot }
    }
}

/// Why a subscription has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Ended {
    /// The graph has.
    #[error("the graph has ended")]
    Stopped,
    /// What was subscribed to is not in the graph any more ([`LiveGraph::edit`](super::LiveGraph::edit)).
    #[error("what was subscribed to was removed after epoch {after}")]
    Removed {
        /// The last epoch of the definition that had it.
        after: Epoch,
    },
    /// The channel was full ([`Slow::End`]).
    #[error("the reader was too slow: subscribe again after epoch {after}, or with more room")]
    Slow {
        /// The last epoch that was told.
        after: Epoch,
    },
}

/// The reader's end. Can go to any thread; dropping it ends the subscription. An iterator over updates that waits for each.
#[derive(Debug)]
pub struct Subscription {
    channel: Arc<Channel>,
}

impl Subscription {
    pub(super) fn new(channel: Arc<Channel>) -> Subscription {
        Subscription { channel }
    }

    /// The next update, if one is there.
    ///
    /// # Errors
    /// The subscription has ended, and everything has been read.
    pub fn try_recv(&self) -> Result<Option<Update>, Ended> {
        self.channel.take(&mut self.channel.lock())
    }

    /// Waits for the next update.
    ///
    /// # Errors
    /// As [`Subscription::try_recv`].
    pub fn recv(&self) -> Result<Update, Ended> {
        let mut state = self.channel.lock();
        loop {
            if let Some(update) = self.channel.take(&mut state)? {
                return Ok(update);
            }
            state = self.channel.readable.wait(state).unwrap_or_else(|poisoned| poisoned.into_inner());
        }
    }

    /// Waits for the next update, but not for longer than this.
    ///
    /// # Errors
    /// As [`Subscription::try_recv`].
    pub fn recv_timeout(&self, wait: Duration) -> Result<Option<Update>, Ended> {
        let until = Instant::now() + wait;
        let mut state = self.channel.lock();
        loop {
            let left = until.saturating_duration_since(Instant::now());
            match self.channel.take(&mut state)? {
                None if !left.is_zero() => {
                    state = self.channel.readable.wait_timeout(state, left).unwrap_or_else(|poisoned| poisoned.into_inner()).0;
                }
                update => return Ok(update),
            }
        }
    }
}

impl Iterator for Subscription {
    type Item = Update;

    fn next(&mut self) -> Option<Update> {
        self.recv().ok()
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.channel.lock().closed = true;
        self.channel.writable.notify_all();
    }
}

/// What lies between the graph and one reader.
pub(super) struct Channel {
    state: Mutex<State>,
    readable: Condvar,
    writable: Condvar,
    room: usize,
    slow: Slow,
    wake: Option<Arc<dyn Fn() + Send + Sync>>,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Update>,
    /// Changes in `waiting`; a snapshot counts as none.
    changes: usize,
    /// The last epoch that was sent.
    last: Epoch,
    /// Something was left out.
    behind: bool,
    ended: Option<Ended>,
    /// The reader has gone.
    closed: bool,
}

impl std::fmt::Debug for Channel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Channel").field("room", &self.room).field("slow", &self.slow).field("state", &self.state).finish()
    }
}

impl Channel {
    pub fn new(how: &Subscribe, wake: Option<Arc<dyn Fn() + Send + Sync>>) -> Channel {
        let state = Mutex::new(State { last: how.after.unwrap_or(0), ..State::default() });
        Channel { state, readable: Condvar::new(), writable: Condvar::new(), room: how.room, slow: how.slow, wake }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn take(&self, state: &mut State) -> Result<Option<Update>, Ended> {
        let Some(update) = state.waiting.pop_front() else { return state.ended.map_or(Ok(None), Err) };
        if let Update::Changed(changed) = &update {
            state.changes -= changed.len();
        }
        self.writable.notify_all();
        if let (true, true, Some(wake)) = (state.behind, state.waiting.is_empty(), &self.wake) {
            wake();
        }
        Ok(Some(update))
    }

    /// What a reader begins with, or goes on with after it was slow: whatever it takes.
    pub fn begin(&self, update: Update) {
        let mut state = self.lock();
        state.behind = false;
        self.put(&mut state, update);
    }

    /// The next epoch's changes, as far as there is room.
    pub fn send(&self, update: Update) {
        let Update::Changed(changed) = &update else { return self.begin(update) };
        let mut state = self.lock();
        let fits = |state: &State| state.changes == 0 || state.changes + changed.len() <= self.room;
        while self.slow == Slow::Wait && !fits(&state) && !state.closed {
            state = self.writable.wait(state).unwrap_or_else(|poisoned| poisoned.into_inner());
        }
        if state.closed || state.behind || state.ended.is_some() {
            return;
        }
        if fits(&state) {
            return self.put(&mut state, update);
        }
        match self.slow {
            Slow::End => state.ended = Some(Ended::Slow { after: state.last }),
            Slow::Snapshot | Slow::Wait => state.behind = true,
        }
    }

    fn put(&self, state: &mut State, update: Update) {
        if let Update::Changed(changed) = &update {
            state.changes += changed.len();
        }
        state.last = update.epoch();
        state.waiting.push_back(update);
        self.readable.notify_all();
    }

    /// Whether the reader was slow and has read everything that waited.
    pub fn wants_snapshot(&self) -> bool {
        let state = self.lock();
        state.behind && state.waiting.is_empty() && !state.closed
    }

    pub fn is_closed(&self) -> bool {
        let state = self.lock();
        state.closed || state.ended.is_some()
    }

    /// What the reader is subscribed to is gone.
    pub fn remove(&self, after: Epoch) {
        self.lock().ended.get_or_insert(Ended::Removed { after });
        self.readable.notify_all();
    }

    /// The graph has ended.
    pub fn stop(&self) {
        self.lock().ended.get_or_insert(Ended::Stopped);
        self.readable.notify_all();
    }
}
