//! Mail between components: what a region or an index tells another, each with its epoch.
//!
//! On the same worker a note is put into the receiver's inbox; to another worker it goes as a [`Parcel`] through timely's exchange
//! and is put into the inbox there. A receiver reads its inbox when all lower levels are done, in epoch order.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use thalweg_formulas::{Cell, Value};
use thalweg_graph::Epoch;
use thalweg_graph::outcome::Key;

use super::sessions::Told;
use crate::state::Kind;
use crate::state::rows::Failure;

/// To one row of a region.
#[derive(Clone, Debug)]
pub struct Note {
    /// When.
    pub epoch: Epoch,
    /// The row.
    pub row: u32,
    /// What happens to it.
    pub what: NoteKind,
}

impl Note {
    /// The row of a note that is about many: it comes behind the others of its epoch.
    pub const BULK: u32 = u32::MAX;
}

/// What happens to a row of a region.
#[derive(Clone, Debug)]
pub enum NoteKind {
    /// Its document lives from now on.
    Birth,
    /// Its document is gone.
    Death,
    /// One more row is in this document of a derived table.
    Join,
    /// One row less is.
    Leave,
    /// It does not change once this epoch is over; a restart brings it back so (`true`).
    Freeze(Epoch, bool),
    /// It goes on changing after all.
    Reopen,
    /// Its self-references that a restart did not bring, or brought in error, step.
    Thaw,
    /// A carried or looked-up slot has the value of this word.
    Word(u32, u64),
    /// A carried or looked-up slot has this value.
    Set(u32, Arc<Cell>),
    /// A carried slot is in error, with a last good value behind it.
    Fail(u32, Arc<Failure>),
    /// A child's contribution to one of the row's aggregates (numbered within the region) changed.
    Contribute(u32, Given),
    /// Children that are born contribute to their parents.
    Bulk(Box<Bulk>),
}

/// There is a note for every child and every reference.
const _: () = assert!(size_of::<Note>() <= 48);

/// A contribution on its way: words of the aggregated slot's kind where they are, which is usual.
#[derive(Clone, Debug)]
pub enum Given {
    /// To be put in.
    Add(u64),
    /// To be taken out.
    Remove(u64),
    /// The first goes, the other comes.
    Swap(u64, u64),
    /// Whatever they are.
    Cells(Box<Contribution>),
}

impl Given {
    /// Whether it takes something out, and whether it puts something in.
    #[inline]
    pub fn ends(&self) -> (bool, bool) {
        match self {
            Given::Add(_) => (false, true),
            Given::Remove(_) => (true, false),
            Given::Swap(..) => (true, true),
            Given::Cells(cells) => (cells.remove.is_some(), cells.add.is_some()),
        }
    }

    /// The same in cells; its words are of this kind.
    pub fn into_cells(self, kind: Kind) -> Contribution {
        let cell = |word: u64| Some(Ok(kind.value(word)));
        match self {
            Given::Add(add) => Contribution { remove: None, add: cell(add) },
            Given::Remove(remove) => Contribution { remove: cell(remove), add: None },
            Given::Swap(remove, add) => Contribution { remove: cell(remove), add: cell(add) },
            Given::Cells(cells) => *cells,
        }
    }
}

/// What many children that are born in one epoch give to their parents.
#[derive(Clone, Debug)]
pub struct Bulk {
    /// The parents' rows, child by child.
    pub parents: Vec<u32>,
    /// What they get, aggregate by aggregate: its number within the parents' region, how its words are read, a word a child.
    pub columns: Vec<(u32, Kind, Vec<u64>)>,
}

/// One child's part in an aggregate: what it no longer gives, and what it gives now.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Contribution {
    /// To be taken out.
    pub remove: Option<Cell>,
    /// To be put in.
    pub add: Option<Cell>,
}

/// A row that refers to a document: its worker in the upper half, its row there in the lower.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Referrer(pub u64);

impl Referrer {
    /// Row `row` on worker `worker`.
    pub fn new(worker: usize, row: u32) -> Referrer {
        Referrer((worker as u64) << 32 | u64::from(row))
    }

    /// Its worker.
    pub fn worker(self) -> usize {
        (self.0 >> 32) as usize
    }

    /// Its row there.
    pub fn row(self) -> u32 {
        self.0 as u32
    }
}

/// To the index of a lookup edge, about one looked-up document.
#[derive(Clone, Debug)]
pub struct Ask {
    /// When.
    pub epoch: Epoch,
    /// The looked-up document's row.
    pub row: u32,
    /// What changed.
    pub what: AskKind,
}

/// What a lookup edge's index must know.
#[derive(Clone, Debug)]
pub enum AskKind {
    /// This row no longer refers to the document.
    Leave(Referrer),
    /// This row refers to the document from now on.
    Refer(Referrer),
    /// One of the looked-up values changed.
    Value(u32, Cell),
}

/// To the index of a join edge, about a row of one side.
#[derive(Clone, Debug)]
pub struct Meet {
    /// When.
    pub epoch: Epoch,
    /// The row of what must be equal, in the edge's directory.
    pub key: u32,
    /// Its side.
    pub is_right: bool,
    /// The row.
    pub row: Referrer,
    /// What becomes of it.
    pub what: MeetKind,
}

/// What becomes of a row under a key of a join edge.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum MeetKind {
    /// It is there no longer.
    Leave,
    /// It is there from now on.
    Come(Shown),
}

/// What a join edge is told of a row.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Shown {
    /// What the condition reads of it.
    pub given: Box<[Cell]>,
    /// Its key, for a worker that does not have its table's row.
    pub name: Option<Key>,
}

/// To the index of an as-of edge.
#[derive(Clone, Debug)]
pub struct Stand {
    /// When.
    pub epoch: Epoch,
    /// The row of what must be equal, in the edge's directory.
    pub line: u32,
    /// Who stands there, or no longer does.
    pub who: Who,
    /// It comes, or it goes.
    pub comes: bool,
    /// At which time.
    pub time: Value,
}

/// Who stands on the line of an as-of edge.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Who {
    /// A row that looks.
    Near(Referrer),
    /// The row with this key, which may be found.
    Of(Key),
}

/// To the paths of a closure: a row says that a link leads from one place to another, or no longer does.
#[derive(Clone, Copy, Debug)]
pub struct Link {
    /// When.
    pub epoch: Epoch,
    /// Where it begins, in the closure's directory.
    pub from: u32,
    /// Where it ends.
    pub to: u32,
    /// This worker keeps the paths from its beginning.
    pub is_own: bool,
    /// It comes, or it goes.
    pub comes: bool,
}

/// A note or question to another worker.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Parcel {
    /// The worker.
    pub to: u32,
    /// When.
    pub epoch: Epoch,
    /// What.
    pub what: ParcelKind,
}

/// What crosses between workers. Documents are named by key where the sender cannot know their row.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum ParcelKind {
    /// Of group edge `.0`, to the document with this key.
    Contribute(u32, Key, Contribution),
    /// Of lookup edge `.0`: the row refers (`true`) or no longer refers to the document with this key.
    Refer(u32, Key, Referrer, bool),
    /// Of membership edge `.0`: a row comes into (`true`) or leaves the document with this key.
    Member(u32, Key, bool),
    /// Of session edge `.0`: a row comes to a time (`true`) among those of this key, or leaves it.
    /// With a restart: when the session starts that it missed before.
    Visit(u32, Key, i64, Referrer, bool, Option<i64>),
    /// Of session edge `.0`: what a row of the receiver is told.
    InSession(u32, u32, Told),
    /// Of session edge `.0`: the session that is this document is over (`true`), or is not any more.
    Close(u32, Key, bool),
    /// Of join edge `.0`: under this key, on the right side (`true`) or the left one, this row comes or leaves.
    Meet(u32, Key, bool, Referrer, MeetKind),
    /// Of watermark `.0`: a row has this time.
    Advance(u32, i64),
    /// Of closure `.0`: a row makes a link between these (`true`), or no longer does.
    Link(u32, Key, bool),
    /// Of as-of edge `.0`: with this in common, somebody comes (`true`) or goes, at this time.
    Stand(u32, Key, Who, bool, Value),
    /// Of as-of edge `.0`: for this row of the receiver, the key of the newest row; `None`: there is none.
    Nearest(u32, u32, Option<Key>),
    /// Of lookup edge `.0`: the value at this position, for a row of the receiver.
    Looked(u32, u32, u32, Cell),
}
