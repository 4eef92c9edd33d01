//! Regions: elementwise nodes of one shape that run together.

use super::{Draft, Lowering, Place};
use crate::graph::Id;
use crate::rules::Op;
use crate::step::instruction::{Buf, Constant, Instruction, Micro, MicroOp, Region, Source};
use std::collections::HashMap;

/// So many nodes have fewer operands and results than there are registers.
const NODES_MAX: usize = 60;

/// A region that may still grow.
pub(super) struct Drafted {
    shape: Vec<usize>,
    nodes: Vec<(Id, MicroOp, Vec<Operand>)>,
    /// What others ask for.
    pub stores: Vec<(Id, Buf)>,
}

/// What a node of a region reads.
#[derive(Clone, Debug, PartialEq)]
enum Operand {
    /// A node of the same region.
    Inner(Id),
    Constant(Constant),
    Source(Source),
}

impl Lowering<'_> {
    /// Puts `id` into the first region of its shape at which its operands are there.
    pub(super) fn elementwise(&mut self, id: Id) {
        let node = self.g.node(id);
        let op = match &node.op {
            Op::Unary(op) => MicroOp::Unary(*op),
            Op::Binary(op) => MicroOp::Binary(*op),
            Op::Choice(_) => MicroOp::Select,
            other => unreachable!("invariant: {} is not elementwise", other.name()),
        };
        let (shape, x) = (node.ty.shape.clone(), node.operands.clone());
        let region = self.region(&shape, &x);
        let operands = x.iter().map(|&x| self.operand(x, region)).collect();
        self.region_mut(region).nodes.push((id, op, operands));
        self.place[id.at()] = Some(Place::Region(region));
        self.ready[id.at()] = region + 1;
    }

    /// The region to join, made if there is none.
    fn region(&mut self, shape: &[usize], x: &[Id]) -> usize {
        let earliest = x.iter().map(|&x| self.earliest(x)).max().unwrap_or(0).max(self.barrier);
        let fits =
            |draft: &Draft| matches!(draft, Draft::Region(drafted) if drafted.shape == shape && drafted.nodes.len() < NODES_MAX);
        if let Some(region) = (earliest..self.drafts.len()).find(|&i| fits(&self.drafts[i])) {
            return region;
        }
        self.drafts.push(Draft::Region(Drafted { shape: shape.to_vec(), nodes: Vec::new(), stores: Vec::new() }));
        self.drafts.len() - 1
    }

    /// The first draft in which `x` can be read: in its own region it is a register.
    fn earliest(&self, x: Id) -> usize {
        let root = self.root(x);
        match &self.place[root.at()] {
            Some(Place::Region(region)) => *region,
            Some(Place::Buf(_)) => match self.ready[root.at()].checked_sub(1).map(|i| (i, &self.drafts[i])) {
                Some((i, Draft::Region(drafted))) if drafted.holds(root) => i,
                _ => self.ready[root.at()],
            },
            Some(Place::View { base, .. }) => self.ready[base.at()],
            Some(Place::Same(_)) | None => 0,
        }
    }

    /// How `x` is read in a region. Its base was stored when the view was made, so nothing is added here.
    fn operand(&mut self, x: Id, region: usize) -> Operand {
        if let Some(number) = self.g.splat(x) {
            return Operand::Constant(Constant::Number(number));
        }
        let root = self.root(x);
        if self.region_mut(region).holds(root) {
            return Operand::Inner(root);
        }
        if let Some(Place::View { base, offset, strides }) = self.place[root.at()].clone() {
            let (buf, shape) = (self.stored(base), self.g.ty(root).shape.clone());
            return view(buf, offset, strides, shape, self.g.ty(base).len());
        }
        let buf = self.stored(root);
        if self.g.ty(x).len() == 1 { Operand::Constant(Constant::First(buf)) } else { Operand::Source(Source::Whole(buf)) }
    }
}

/// How a view is read; the usual ones without strides.
fn view(buf: Buf, offset: usize, strides: Vec<usize>, shape: Vec<usize>, len: usize) -> Operand {
    let axes: Vec<(usize, usize)> = shape.iter().copied().zip(strides.iter().copied()).filter(|(len, _)| *len != 1).collect();
    if offset == 0 && axes.iter().all(|(_, stride)| *stride == 0) {
        return Operand::Constant(Constant::First(buf));
    }
    let in_order = |axes: &[(usize, usize)]| {
        let dense = axes.iter().rev().try_fold(1, |next, (len, stride)| (next == *stride).then_some(next * len));
        dense == Some(len)
    };
    let repeats = axes.iter().take_while(|(_, stride)| *stride == 0).count();
    if offset == 0 && in_order(&axes[repeats..]) {
        return Operand::Source(Source::Rows { buf, n: len });
    }
    let kept = axes.iter().rposition(|(_, stride)| *stride != 0).map_or(0, |last| last + 1);
    if offset == 0 && in_order(&axes[..kept]) {
        return Operand::Source(Source::Columns { buf, n: axes[kept..].iter().map(|(len, _)| len).product() });
    }
    Operand::Source(Source::Strided { buf, offset, strides, shape })
}

impl Draft {
    pub(super) fn finished(self) -> Instruction {
        match self {
            Draft::Ready(instruction) => instruction,
            Draft::Region(drafted) => Instruction::Region(drafted.finished()),
        }
    }

    /// Whether it reads `buf`; in a region only what is not read element by element counts with `askew`.
    pub(super) fn reads(&self, buf: Buf, askew: bool) -> bool {
        match self {
            Draft::Ready(instruction) => instruction.reads().contains(&buf),
            Draft::Region(drafted) => drafted.nodes.iter().flat_map(|(_, _, x)| x).any(|operand| match operand {
                Operand::Inner(_) | Operand::Constant(Constant::Number(_)) => false,
                Operand::Constant(Constant::First(from)) => !askew && *from == buf,
                Operand::Source(source) => source.buf() == buf && !(askew && *source == Source::Whole(buf)),
            }),
        }
    }
}

/// Registers while a region is finished.
#[derive(Default)]
struct Registers {
    free: Vec<u8>,
    count: usize,
}

impl Registers {
    fn take(&mut self) -> u8 {
        self.free.pop().unwrap_or_else(|| self.fresh())
    }

    fn fresh(&mut self) -> u8 {
        self.count += 1;
        u8::try_from(self.count - 1).expect("invariant: 60 nodes have fewer operands and results than 256")
    }

    /// The register of what is loaded before the operations: never that of anything else.
    fn loaded<K: PartialEq + Clone>(&mut self, known: &mut Vec<(u8, K)>, key: &K) -> u8 {
        if let Some((register, _)) = known.iter().find(|(_, k)| k == key) {
            return *register;
        }
        let register = self.fresh();
        known.push((register, key.clone()));
        register
    }
}

impl Drafted {
    pub(super) fn holds(&self, node: Id) -> bool {
        self.nodes.iter().any(|(id, ..)| *id == node)
    }

    fn is_stored(&self, node: Id) -> bool {
        self.stores.iter().any(|(id, _)| *id == node)
    }

    /// Registers for everything; one is free again after its last reader, and what is computed never lies where it is read from.
    fn finished(self) -> Region {
        let mut registers = Registers::default();
        let (mut constants, mut loads, mut ops) = (Vec::new(), Vec::new(), Vec::new());
        let mut held: HashMap<Id, u8> = HashMap::new();
        let last = self.last_readers();
        for (i, (id, op, operands)) in self.nodes.iter().enumerate() {
            let mut x = [0; 3];
            for (slot, operand) in x.iter_mut().zip(operands) {
                *slot = match operand {
                    Operand::Inner(id) => held[id],
                    Operand::Constant(constant) => registers.loaded(&mut constants, constant),
                    Operand::Source(source) => registers.loaded(&mut loads, source),
                };
            }
            let out = registers.take();
            held.insert(*id, out);
            ops.push(Micro { op: *op, x, out });
            for operand in operands {
                if let Operand::Inner(id) = operand
                    && last[id] == i
                    && !self.is_stored(*id)
                    && let Some(register) = held.remove(id)
                {
                    registers.free.push(register);
                }
            }
            if !last.contains_key(id) && !self.is_stored(*id) {
                registers.free.push(out);
            }
        }
        let stores = self.stores.iter().map(|(id, buf)| (held[id], *buf)).collect();
        Region { len: self.shape.iter().product(), constants, loads, ops, stores, registers: registers.count }
    }

    fn last_readers(&self) -> HashMap<Id, usize> {
        let mut last = HashMap::new();
        for (i, (_, _, operands)) in self.nodes.iter().enumerate() {
            for operand in operands {
                if let Operand::Inner(id) = operand {
                    last.insert(*id, i);
                }
            }
        }
        last
    }
}
