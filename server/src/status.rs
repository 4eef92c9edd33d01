//! What the daemon says about itself: one snapshot, from which every page is made.
//!
//! Conservation is shown, not assumed: `fired = acked + dead + cancelled + pending` of [`Outbox`] is what the store counted.

use serde::Serialize;

/// Everything at one moment.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct StatusSnapshot {
    /// The program's version.
    pub version: String,
    /// Seconds since it started.
    pub uptime_seconds: f64,
    /// Whether the process does its work; `false` makes `/health` answer 503.
    pub live: bool,
    /// The last committed epoch.
    pub epoch: u64,
    /// Nodes in the plan.
    pub nodes: u64,
    /// The sources.
    pub sources: Vec<Source>,
    /// Deliveries by state, as the store counts them.
    pub outbox: Outbox,
    /// Timers that wait.
    pub timers: Timers,
    /// The store.
    pub store: Store,
    /// Counters since the process started.
    pub counters: Counters,
    /// Transactions per commit.
    pub batches: BatchSizes,
    /// What has stopped and waits for somebody, with the reason and the cure.
    pub stopped: Vec<Stopped>,
    /// What waits by itself: endpoints that failed and are left alone for a while. Absent where there are none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub waiting: Vec<Waiting>,
}

/// One source.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Source {
    /// Its name in the configuration.
    pub name: String,
    /// What it does.
    pub state: SourceState,
    /// The position after the last committed transaction, as the source prints it.
    pub position: Option<String>,
    /// Seconds between a transaction's commit at the source and its commit here, for the last one; `None` before the first.
    pub lag_seconds: Option<f64>,
    /// Rows read of the initial snapshot, while it runs.
    pub snapshot_rows: Option<u64>,
    /// Why it is connecting again, or stopped. Without secrets.
    pub error: Option<String>,
}

/// What a source does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum SourceState {
    /// It connects.
    #[default]
    Connecting,
    /// It reads what was there before.
    Snapshot,
    /// It follows, behind where the server stood when it connected.
    Catching,
    /// It follows.
    Live,
    /// It has come to its end.
    Ended,
    /// It waits for somebody to act.
    Stopped,
}

impl SourceState {
    /// All of them, for metrics that show one of a set.
    pub(crate) const ALL: [SourceState; 6] =
        [Self::Connecting, Self::Snapshot, Self::Catching, Self::Live, Self::Ended, Self::Stopped];

    /// Its name in JSON and in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Connecting => "connecting",
            Self::Snapshot => "snapshot",
            Self::Catching => "catching",
            Self::Live => "live",
            Self::Ended => "ended",
            Self::Stopped => "stopped",
        }
    }
}

/// Deliveries by state.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Outbox {
    /// All that ever fired.
    pub fired: u64,
    /// Delivered.
    pub acked: u64,
    /// Given up.
    pub dead: u64,
    /// Withdrawn.
    pub cancelled: u64,
    /// Still to deliver, or to be acknowledged.
    pub pending: u64,
    /// Triggers that were merged into one that was pending: `rises = fired + coalesced`.
    pub coalesced: u64,
    /// How long the oldest pending one has waited, in seconds.
    pub oldest_pending_seconds: Option<f64>,
}

/// Timers that wait.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Timers {
    /// How many.
    pub armed: u64,
    /// When the first of them is due, RFC 3339; `None` where none waits.
    pub next_at: Option<String>,
}

/// The store.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Store {
    /// Its directory.
    pub path: String,
    /// Bytes on disk.
    pub bytes: u64,
    /// The epoch of the newest snapshot; `None` before the first.
    pub snapshot_epoch: Option<u64>,
}

/// Counters since the process started.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Counters {
    /// Transactions committed.
    pub transactions: u64,
    /// Deltas of derived fields.
    pub deltas: u64,
    /// Effects and reactions fired, before they were multiplied by their actions.
    pub effects: u64,
    /// Commits.
    pub commits: u64,
    /// Field errors that appeared.
    pub field_errors: u64,
    /// Changes whose row stood as they said already.
    pub redundant: u64,
    /// Delivery attempts.
    pub attempts: u64,
    /// Delivery attempts that failed.
    pub attempts_failed: u64,
}

/// Something that has stopped.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Stopped {
    /// What: `source app`, `store`.
    pub what: String,
    /// Why, with code and cure.
    pub reason: String,
}

/// Something that waits by itself.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Waiting {
    /// What: `endpoint https://hooks.example.com`.
    pub what: String,
    /// Why.
    pub reason: String,
    /// Until when, RFC 3339.
    pub until: String,
}

/// A histogram of transactions per commit; bucket *i* counts commits of at most 2^*i*.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct BatchSizes {
    /// Commits of more than half of and at most 2^*i* transactions; the last bucket has no upper bound.
    pub buckets: [u64; 12],
    /// Commits.
    pub count: u64,
    /// Transactions in them.
    pub sum: u64,
}

impl BatchSizes {
    /// Counts one commit of `transactions`.
    pub fn observe(&mut self, transactions: u64) {
        let bucket = transactions.max(1).next_power_of_two().trailing_zeros() as usize;
        self.buckets[bucket.min(self.buckets.len() - 1)] += 1;
        self.count += 1;
        self.sum += transactions;
    }
}
