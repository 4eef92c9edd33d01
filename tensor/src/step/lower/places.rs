//! Where values are, and how they get where they are needed.

use super::{Draft, Lowering, Place};
use crate::graph::Id;
use crate::step::instruction::{Buf, Instruction, Mat};

impl Lowering<'_> {
    /// The same elements as `x`, under another name.
    pub(super) fn same(&mut self, id: Id, x: Id) {
        if self.g.splat(x).is_some() || matches!(self.place[x.at()], Some(Place::View { .. })) {
            self.stored(x);
        }
        self.place[id.at()] = Some(Place::Same(x));
        self.ready[id.at()] = self.ready[x.at()];
    }

    /// The node whose elements these are.
    pub(super) fn root(&self, mut id: Id) -> Id {
        while let Some(Place::Same(x)) = self.place[id.at()] {
            id = x;
        }
        id
    }

    /// The buffer that holds `id` row by row; made if there is none yet.
    pub(super) fn stored(&mut self, id: Id) -> Buf {
        let id = self.root(id);
        match self.place[id.at()].clone() {
            Some(Place::Buf(buf)) => buf,
            Some(Place::Same(_)) => unreachable!("invariant: a root is the same as no other"),
            Some(Place::Region(region)) => {
                let buf = self.buffer(self.g.ty(id).len(), false);
                self.region_mut(region).stores.push((id, buf));
                self.place[id.at()] = Some(Place::Buf(buf));
                buf
            }
            Some(Place::View { base, offset, strides }) => {
                let from = self.stored(base);
                let shape = self.g.ty(id).shape.clone();
                self.emit(id, |to| Instruction::Move { from, offset, strides, shape, to });
                self.stored(id)
            }
            None => {
                let x = self.g.splat(id).expect("invariant: a node stands behind its operands");
                self.emit(id, |to| Instruction::Fill { to, x });
                self.stored(id)
            }
        }
    }

    pub(super) fn region_mut(&mut self, region: usize) -> &mut super::regions::Drafted {
        match &mut self.drafts[region] {
            Draft::Region(drafted) => drafted,
            Draft::Ready(_) => unreachable!("invariant: a node in a region names a region"),
        }
    }

    /// A matrix, where it is.
    pub(super) fn matrix(&mut self, id: Id) -> Mat {
        let id = self.root(id);
        if let Some(Place::View { base, offset, strides }) = self.place[id.at()].clone() {
            return Mat { buf: self.stored(base), offset, row: strides[0], column: strides[1] };
        }
        self.whole(id)
    }

    /// A matrix that lies row by row, the first of several perhaps.
    pub(super) fn whole(&mut self, id: Id) -> Mat {
        let columns = *self.g.ty(id).shape.last().expect("invariant: a matrix has axes");
        Mat { buf: self.stored(id), offset: 0, row: columns, column: 1 }
    }
}
