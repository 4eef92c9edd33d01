//! Membership edges: which documents of a derived table there are.
//!
//! A row tells the document's worker that it comes into a document or leaves it; the table's home region counts. A document is born
//! when its count leaves 0 and dies when it comes back to it, by the epoch's net: a document that empties and fills again within an
//! epoch lives on.
//!
//! - INV-MEMBERS: a row leaves only a document that it came into in an earlier epoch, so a count is never below 0 at an epoch's end, nor on the
//!   way there, whatever the order in which an epoch's rows arrive.
//!
//! Cost: a message for each row that comes or goes, 4 B a document.

use thalweg_graph::plan::{ClosingKind, RegionId, TableId};
use thalweg_graph::{Epoch, Plan};

use super::mail::{Note, NoteKind, Parcel, ParcelKind};
use crate::context::Context;
use crate::region::closing::Latecomer;
use crate::state::KeyHash;
use thalweg_formulas::Value;

/// Where a membership edge's rows are counted.
#[derive(Clone, Copy, Debug)]
pub struct MemberTarget {
    /// The derived table.
    pub table: TableId,
    /// Its home region.
    pub region: u32,
    /// Its documents are rows that came too late: most rows are in none.
    pub late: bool,
    /// Its documents are the paths over these, which a closure with this number keeps.
    pub closure: Option<u32>,
}

/// The targets of a plan's membership edges, then those of its join edges, whose pairs are counted in the same way.
pub fn targets(plan: &Plan) -> Vec<MemberTarget> {
    let mut closures = 0..;
    let kept = plan.memberships.iter().map(|edge| {
        let late = edge.closing.is_some_and(|closing| closing.kind == ClosingKind::Late);
        (edge.to, late, edge.closure.and_then(|_| closures.next()))
    });
    let to = kept.chain(plan.joins.iter().map(|join| (join.to, false, None)));
    let target = |(to, late, closure): (RegionId, _, _)| {
        let table = plan.regions[to.0 as usize].table;
        MemberTarget { table, region: to.0, late, closure }
    };
    to.map(target).collect()
}

/// How many rows are in each document, by the document's row.
#[derive(Debug, Default)]
pub struct Members(Vec<u32>);

impl Members {
    /// One more; `true` if it is the first.
    pub fn join(&mut self, row: u32) -> bool {
        if self.0.len() <= row as usize {
            self.0.resize(row as usize + 1, 0);
        }
        self.0[row as usize] += 1;
        self.0[row as usize] == 1
    }

    /// One less; `true` if it was the last.
    pub fn leave(&mut self, row: u32) -> bool {
        let count = self.0.get_mut(row as usize).filter(|count| **count > 0);
        let count = count.expect("invariant INV-MEMBERS: a row leaves what it has come into");
        *count -= 1;
        *count == 0
    }

    /// How many there are.
    pub fn count(&self, row: u32) -> u32 {
        self.0.get(row as usize).copied().unwrap_or(0)
    }

    /// Bytes held.
    pub fn bytes(&self) -> u64 {
        self.0.capacity() as u64 * 4
    }
}

impl Context {
    /// Tells a derived document that a row comes into it, or leaves it.
    pub fn member(&mut self, epoch: Epoch, edge: u32, key: &[Value], comes: bool) {
        match self.members[edge as usize].closure {
            Some(closure) => self.link(epoch, closure, key, comes),
            None => self.enter(epoch, edge, key, comes),
        }
    }

    /// The same, for what the edge itself keeps.
    pub(super) fn enter(&mut self, epoch: Epoch, edge: u32, key: &[Value], comes: bool) {
        let hash = KeyHash::of(key);
        let owner = hash.owner(self.workers);
        if owner == self.me {
            self.membership(epoch, edge, key, hash, comes);
        } else {
            let what = ParcelKind::Member(edge, key.into(), comes);
            self.parcels.push(Parcel { to: owner as u32, epoch, what });
        }
    }

    /// A membership has reached the document's worker.
    pub(crate) fn membership(&mut self, epoch: Epoch, edge: u32, key: &[Value], hash: KeyHash, comes: bool) {
        let target = self.members[edge as usize];
        if target.late {
            let latecomer = Latecomer { epoch, key: key.into(), comes };
            return self.latecomers[target.region as usize].push(latecomer);
        }
        let directory = &mut self.directories[target.table.0 as usize];
        let row = directory.intern(key, hash);
        let what = if comes {
            directory.hold(row);
            NoteKind::Join
        } else {
            directory.let_go(row);
            NoteKind::Leave
        };
        self.inboxes[target.region as usize].push(Note { epoch, row, what });
    }
}
