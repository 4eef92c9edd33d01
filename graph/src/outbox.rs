//! The outbox as data: how deliveries stand to each other, what happens to them, what may be asked of them.
//!
//! A delivery is pending until it is over: acked, dead or cancelled. Its history keeps what is not evident from that: attempts that failed,
//! deliveries that nobody acknowledged, edits. The state of an effect is a fold over its deliveries, so it cannot drift from them:
//! for a document, a boolean effect stands at true while one of its deliveries is pending, a counter counts them, a queue lists them.

use std::sync::Arc;

use thalweg_formulas::Timestamp;

use crate::ports::OutboxRow;
use crate::transaction::Epoch;

/// How a delivery stands to those before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Manner {
    /// A trigger while an earlier one of the same (node, action, key) is pending writes no row and is counted as coalesced (`kind = "boolean"`).
    pub coalesces: bool,
    /// Triggers of one key do not wait for each other (`mode = "count"`).
    pub unordered: bool,
    /// It waits until the action before it, of the same trigger, is over (`after = "previous"`).
    pub after_previous: bool,
    /// It is delivered together with others of its (node, action).
    pub digest: Option<Digest>,
    /// How many effects are before it in its chain; 0: what it fired on was no effect's doing.
    pub depth: u32,
}

/// How triggers are gathered into one delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Digest {
    /// How long after the first of them fired, in microseconds.
    pub every_us: i64,
    /// How many at most; as many do not wait any longer.
    pub max: u32,
    /// How many bytes their bodies have at most, unless one alone has more.
    pub bytes: u64,
    /// Those of each key are gathered by themselves.
    pub by_key: bool,
}

/// Not before somebody says so: an acknowledgement, an action before it, an act.
pub const NEVER: Timestamp = Timestamp(i64::MAX);

/// The state of an outbox row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OutboxState {
    /// To be delivered, perhaps again.
    Pending,
    /// Delivered.
    Acked,
    /// Given up; a dead letter.
    Dead,
    /// Withdrawn before delivery.
    Cancelled,
}

impl OutboxState {
    /// All of them.
    pub const ALL: [OutboxState; 4] = [Self::Pending, Self::Acked, Self::Dead, Self::Cancelled];

    /// Its name, as stored and shown.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Acked => "acked",
            Self::Dead => "dead",
            Self::Cancelled => "cancelled",
        }
    }
}

/// An entry of a delivery's history.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Note {
    /// What happened.
    pub what: NoteKind,
    /// How long it took, in microseconds; 0 where nothing was waited for.
    pub took_us: i64,
    /// The error, the head of the answer, the result of an acknowledgement, the body before an edit.
    pub detail: String,
}

/// What can happen to a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum NoteKind {
    /// An attempt failed.
    Failed,
    /// An attempt delivered; an acknowledgement is awaited.
    Delivered,
    /// No acknowledgement came in time.
    Unacknowledged,
    /// It was acknowledged; the detail is the result.
    Acknowledged,
    /// It was acknowledged when it was a dead letter already, or discarded.
    Late,
    /// A further trigger found it pending and was coalesced into it; the detail is that trigger's version.
    Coalesced,
    /// It is to be delivered again.
    Replayed,
    /// Its body was replaced; the detail is the body before.
    Edited,
    /// It was withdrawn.
    Discarded,
    /// It was gathered into a digest; the detail is the digest's id.
    Gathered,
}

impl NoteKind {
    /// All of them.
    pub const ALL: [NoteKind; 10] = [
        Self::Failed,
        Self::Delivered,
        Self::Unacknowledged,
        Self::Acknowledged,
        Self::Late,
        Self::Coalesced,
        Self::Replayed,
        Self::Edited,
        Self::Discarded,
        Self::Gathered,
    ];

    /// Its name, as stored and shown.
    pub fn name(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Delivered => "delivered",
            Self::Unacknowledged => "unacknowledged",
            Self::Acknowledged => "acknowledged",
            Self::Late => "late",
            Self::Coalesced => "coalesced",
            Self::Replayed => "replayed",
            Self::Edited => "edited",
            Self::Discarded => "discarded",
            Self::Gathered => "gathered",
        }
    }
}

/// What somebody asks of a delivery or of a rule, beside the dispatcher.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(tag = "act", rename_all = "lowercase")]
pub enum Act {
    /// The trigger that the delivery belongs to has been taken care of: all its actions are over.
    Ack {
        /// The effect id of any of its actions.
        id: Arc<str>,
        /// What came of it, kept in the history.
        result: String,
    },
    /// Deliver again, at once, with the same id.
    Retry {
        /// The effect id.
        id: Arc<str>,
        /// Another body from now on; without, the same bytes.
        body: Option<String>,
    },
    /// Withdraw.
    Discard {
        /// The effect id.
        id: Arc<str>,
    },
    /// Attempt no deliveries of a rule until it is resumed; they wait.
    Pause {
        /// The effect's or reaction's name.
        node: Arc<str>,
        /// One of its actions; without, all of them.
        action: Option<u32>,
        /// Why, shown in `/status`.
        reason: String,
    },
    /// Go on with a paused rule, all its actions.
    Resume {
        /// The effect's or reaction's name.
        node: Arc<str>,
    },
}

/// What somebody asks of a timer that waits.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(tag = "timer", rename_all = "lowercase")]
pub enum TimerAct {
    /// It comes now, not when it is due. That of a schedule comes once more.
    Fire {
        /// Its id.
        id: Arc<str>,
    },
    /// It does not come. That of a schedule is left out this time.
    Cancel {
        /// Its id.
        id: Arc<str>,
    },
}

impl TimerAct {
    /// The id of the timer.
    pub fn id(&self) -> &Arc<str> {
        let (Self::Fire { id } | Self::Cancel { id }) = self;
        id
    }
}

/// What came of an [`Act`].
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(tag = "outcome", content = "state", rename_all = "lowercase")]
pub enum Acted {
    /// Done.
    Done,
    /// A dead letter was acknowledged after all.
    Late,
    /// Nothing has changed: it is over, in this state.
    Over(OutboxState),
    /// Nothing has changed: it is so already.
    Already,
    /// There is no such delivery, or no such pause.
    Unknown,
    /// The body was JSON, and the new one is not.
    Malformed,
}

/// A rule that is paused.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Paused {
    /// The effect's or reaction's name.
    pub node: Arc<str>,
    /// One of its actions; `None`: all of them.
    pub action: Option<u32>,
    /// Since when.
    #[serde(skip)]
    pub at: Timestamp,
    /// Why.
    pub reason: String,
}

/// A delivery as it is listed.
#[derive(Clone, Debug, PartialEq)]
pub struct Listed {
    /// Its place among all deliveries, from 1.
    pub seq: u64,
    /// The effect id.
    pub id: Arc<str>,
    /// Its epoch.
    pub epoch: Epoch,
    /// The effect's or reaction's name.
    pub node: Arc<str>,
    /// Which of its actions.
    pub action: u32,
    /// The canonical key as text.
    pub key: Arc<str>,
    /// 2k−1; its acknowledgement is 2k.
    pub version: u64,
    /// Its state.
    pub state: OutboxState,
    /// Attempts since it fired or was replayed.
    pub attempts: u32,
    /// How often it was delivered without an acknowledgement.
    pub deliveries: u32,
    /// When it fired.
    pub fired_at: Timestamp,
    /// Not before this time, while it is pending.
    pub not_before: Timestamp,
    /// When it was over; `None` while it is pending, and where an older version recorded it.
    pub ended_at: Option<Timestamp>,
    /// The last error.
    pub error: String,
}

/// What became of a delivery: it moved from one state to another.
#[derive(Clone, Debug, PartialEq)]
pub struct Settled {
    /// Its place among all that were noted, from 1, without gaps; for whomever they were.
    pub number: u64,
    /// The delivery.
    pub row: OutboxRow,
    /// How many effects are before the delivery in its chain.
    pub depth: u32,
    /// Its new state; a dead letter that is delivered again is pending.
    pub state: OutboxState,
    /// Attempts since it fired or was replayed.
    pub attempts: u32,
    /// What its acknowledgement said; empty if nothing.
    pub result: String,
    /// The last error; empty if none.
    pub error: String,
    /// When it fired.
    pub fired_at: Timestamp,
    /// When it became so.
    pub at: Timestamp,
}

/// A delivery with all that is known of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Shown {
    /// What a list shows.
    pub listed: Listed,
    /// The action's settings as JSON.
    pub settings: Arc<str>,
    /// What is sent.
    pub body: Arc<[u8]>,
    /// What happened to it and when, oldest first: the first entry, and the last 31.
    pub history: Vec<(Timestamp, Note)>,
}

/// Which deliveries are asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutboxFilter {
    /// Of this effect or reaction.
    pub node: Option<Arc<str>>,
    /// Of this key, as its text.
    pub key: Option<Arc<str>>,
    /// In this state.
    pub state: Option<OutboxState>,
    /// Behind this place.
    pub after: u64,
    /// At most so many.
    pub limit: usize,
}
