//! From nodes to instructions.
//!
//! Nodes are met in their order, each stands behind its operands. What is element by element joins the first region of its shape that
//! comes late enough; what only moves elements stays a view until someone needs it in place; a product takes the bias and the `relu` behind
//! it along; a gradient that is a product, and read by nobody but Adam, is never stored ([`Descent`](super::instruction::Descent)).
//!
//! - INV-TENSOR-INPLACE: nothing reads a parameter after the instruction that writes it.

mod dense;
mod places;
mod regions;

use super::arena::Wanted;
use super::instruction::{Buf, Instruction, Numbers, Product};
use super::program::Program;
use crate::graph::{Graph, Id};
use crate::rules::{Binary, Choice, Contract, Index, Layout, Leaf, Op, Reduce};
use regions::Drafted;
use std::collections::HashMap;

/// What lowering makes.
#[derive(Debug)]
pub(crate) struct Lowered {
    pub instructions: Vec<Instruction>,
    pub wanted: Vec<Wanted>,
    /// Inputs, with the buffers that they lie in.
    pub inputs: HashMap<Id, Buf>,
    pub numbers: HashMap<Id, Numbers>,
    pub outputs: Vec<Buf>,
    /// Copies after the step, where in place is too early.
    pub copies: Vec<(Buf, Buf)>,
}

/// Where a node's value is.
#[derive(Clone, Debug)]
enum Place {
    Buf(Buf),
    /// The same elements as another node.
    Same(Id),
    /// Elements of a stored node, by strides.
    View {
        base: Id,
        offset: usize,
        strides: Vec<usize>,
    },
    /// In a region; stored only if someone asks.
    Region(usize),
}

/// An instruction, or a region that may still grow.
enum Draft {
    Ready(Instruction),
    Region(Drafted),
}

struct Lowering<'p> {
    g: &'p Graph,
    program: &'p Program,
    needed: Vec<bool>,
    uses: Vec<Vec<Id>>,
    place: Vec<Option<Place>>,
    /// After which draft a node's value is there; 0: before all.
    ready: Vec<usize>,
    drafts: Vec<Draft>,
    wanted: Vec<Wanted>,
    inputs: HashMap<Id, Buf>,
    numbers: HashMap<Id, Numbers>,
    numbers_end: usize,
    /// Regions before this one take no more nodes.
    barrier: usize,
    /// Whether gradients may be descended.
    tiles: bool,
    /// Nodes that others make on the way.
    absorbed: Vec<bool>,
}

/// Lowers a program. `tiles`: there are kernels for its element type.
pub(crate) fn lower(program: &Program, tiles: bool) -> Lowered {
    let g = &program.graph;
    let needed = g.needed(&program.results());
    let mut uses = vec![Vec::new(); g.len()];
    for i in (0..g.len()).filter(|&i| needed[i]) {
        let id = Id(i as u32);
        g.node(id).operands.iter().for_each(|operand: &Id| uses[operand.at()].push(id));
    }
    let lowering = Lowering {
        g,
        program,
        uses,
        place: vec![None; g.len()],
        ready: vec![0; g.len()],
        needed,
        drafts: Vec::new(),
        wanted: Vec::new(),
        inputs: HashMap::new(),
        numbers: HashMap::new(),
        numbers_end: 0,
        barrier: 0,
        tiles,
        absorbed: vec![false; g.len()],
    };
    lowering.run()
}

impl Lowering<'_> {
    fn run(mut self) -> Lowered {
        let rules: Vec<_> = self.program.moved.iter().map(|moved| moved.rule_nodes.clone()).collect();
        self.mark_descents();
        for i in 0..self.g.len() {
            if self.needed[i] && !rules.iter().any(|range| range.contains(&i)) {
                self.node(Id(i as u32));
            }
        }
        let outputs: Vec<Buf> = self.program.outputs.iter().map(|&id| self.stored(id)).collect();
        outputs.iter().for_each(|buf| self.wanted[buf.at()].lasting = true);
        // Whoever reads a parameter has read it: now the steps.
        self.barrier = self.drafts.len();
        for (moved, range) in self.program.moved.iter().zip(rules) {
            self.inputs(moved.own, &moved.kept);
            if self.is_descended(moved) {
                self.descent(moved);
                continue;
            }
            for i in range {
                if self.needed[i] {
                    self.node(Id(i as u32));
                }
            }
        }
        let copies = self.updates();
        let Lowering { drafts, wanted, inputs, numbers, .. } = self;
        Lowered { instructions: drafts.into_iter().map(Draft::finished).collect(), wanted, inputs, numbers, outputs, copies }
    }

    /// What steps move has a buffer, also where nothing reads it.
    fn inputs(&mut self, own: Id, kept: &[(Id, Id)]) {
        for id in std::iter::once(own).chain(kept.iter().map(|(id, _)| *id)) {
            self.node(id);
        }
    }

    fn node(&mut self, id: Id) {
        if self.place[id.at()].is_some() || self.absorbed[id.at()] {
            return;
        }
        let node = self.g.node(id).clone();
        let x = &node.operands;
        match &node.op {
            Op::Leaf(leaf, _) => self.leaf(id, leaf),
            Op::Unary(_) | Op::Binary(_) | Op::Choice(Choice::Select) => self.elementwise(id),
            Op::Choice(Choice::Stop | Choice::Own(_) | Choice::Cast(_)) | Op::Layout(Layout::Reshape(_)) => self.same(id, x[0]),
            Op::Choice(Choice::OwnTangent(_)) => {
                unreachable!("invariant: jvp refuses a program with rules of its own for gradients")
            }
            Op::Layout(layout) => self.layout(id, layout, x),
            Op::Reduce(reduce) => self.reduce(id, reduce, x[0]),
            Op::Contract(contract) => self.contract(id, *contract, x),
            Op::Index(index) => self.index(id, *index, x),
        }
    }

    fn leaf(&mut self, id: Id, leaf: &Leaf) {
        let len = self.g.ty(id).len();
        match leaf {
            // A number is written into its users, or filled in where it must lie somewhere.
            Leaf::Splat(_) => {}
            Leaf::Input(_) | Leaf::Iota if !self.g.ty(id).dtype.is_float() => {
                let numbers = Numbers { start: self.numbers_end, len };
                self.numbers.entry(id).or_insert(numbers);
                self.numbers_end += len;
            }
            Leaf::Input(_) => {
                let buf = self.buffer(len, true);
                self.inputs.insert(id, buf);
                self.place[id.at()] = Some(Place::Buf(buf));
            }
            Leaf::Iota | Leaf::Tangent(_) => unreachable!("invariant: a tangent is no part of a gradient"),
        }
    }

    fn reduce(&mut self, id: Id, reduce: &Reduce, x: Id) {
        let shape = self.g.ty(x).shape.clone();
        let around = |axis: usize| (shape[axis], shape[axis + 1..].iter().product::<usize>());
        match reduce {
            Reduce::Sum(axes) => {
                let neighbours = axes.windows(2).all(|pair| pair[1] == pair[0] + 1);
                let (from, outer, len, inner) = if neighbours {
                    let (first, last) = (axes[0], axes[axes.len() - 1]);
                    let product = |shape: &[usize]| shape.iter().product::<usize>();
                    (self.stored(x), product(&shape[..first]), product(&shape[first..=last]), product(&shape[last + 1..]))
                } else {
                    let kept: Vec<usize> = (0..shape.len()).filter(|axis| !axes.contains(axis)).collect();
                    let order: Vec<usize> = kept.iter().chain(axes).copied().collect();
                    let to: Vec<usize> = order.iter().map(|&axis| shape[axis]).collect();
                    let (offset, strides) = Layout::Permute(order).view(&shape, &to);
                    let from = self.stored(x);
                    let moved = self.buffer(shape.iter().product(), false);
                    self.drafts.push(Draft::Ready(Instruction::Move { from, offset, strides, shape: to.clone(), to: moved }));
                    let outer: usize = to[..kept.len()].iter().product();
                    (moved, outer, to[kept.len()..].iter().product(), 1)
                };
                self.emit(id, |to| Instruction::Sum { from, to, outer, len, inner });
            }
            Reduce::Max(axis) | Reduce::Min(axis) => {
                let (from, (len, inner)) = (self.stored(x), around(*axis));
                let op = if matches!(reduce, Reduce::Max(_)) { Binary::Max } else { Binary::Min };
                self.emit(id, |to| Instruction::Extreme { op, from, to, len, inner });
            }
            Reduce::Cumsum { axis, reverse } => {
                let (from, (len, inner)) = (self.stored(x), around(*axis));
                self.emit(id, |to| Instruction::Cumsum { from, to, len, inner, reverse: *reverse });
            }
        }
    }

    fn layout(&mut self, id: Id, layout: &Layout, x: &[Id]) {
        let to_shape = self.g.ty(id).shape.clone();
        let axis = match layout {
            Layout::Broadcast(_) | Layout::Permute(_) | Layout::Slice { .. } | Layout::Reshape(_) => {
                self.stored(x[0]);
                let base = self.root(x[0]);
                let (offset, strides) = layout.view(&self.g.ty(x[0]).shape, &to_shape);
                self.place[id.at()] = Some(Place::View { base, offset, strides });
                self.ready[id.at()] = self.ready[base.at()];
                return;
            }
            Layout::Pad { axis, .. } | Layout::Concat { axis } => *axis,
        };
        let from: Vec<Buf> = x.iter().map(|&x| self.stored(x)).collect();
        let to = self.buffer(self.g.ty(id).len(), false);
        let mut at = if let Layout::Pad { before, .. } = layout { *before } else { 0 };
        if matches!(layout, Layout::Pad { .. }) {
            self.drafts.push(Draft::Ready(Instruction::Fill { to, x: 0.0 }));
        }
        let inner: usize = to_shape[axis + 1..].iter().product();
        for (from, x) in from.into_iter().zip(x) {
            let len = self.g.ty(*x).shape[axis];
            let (block, step) = (len * inner, to_shape[axis] * inner);
            self.drafts.push(Draft::Ready(Instruction::Place { from, to, block, step, at: at * inner }));
            at += len;
        }
        self.settle(id, to);
    }

    fn contract(&mut self, id: Id, contract: Contract, x: &[Id]) {
        match contract {
            Contract::Matmul => self.product(id, x[0], x[1]),
            Contract::Solve => {
                let (a, b) = (self.stored(x[0]), self.stored(x[1]));
                let (n, m) = (self.g.ty(x[1]).shape[0], self.g.ty(x[1]).shape[1]);
                self.emit(id, |to| Instruction::Solve { a, b, to, n, m });
            }
            Contract::LogDet => {
                let (a, n) = (self.stored(x[0]), self.g.ty(x[0]).shape[0]);
                self.emit(id, |to| Instruction::LogDet { a, to, n });
            }
        }
    }

    fn product(&mut self, id: Id, a: Id, b: Id) {
        let (x, y) = (self.g.ty(a).shape.clone(), self.g.ty(b).shape.clone());
        let (rank, times) = (x.len(), x[..x.len() - 2].iter().product());
        let (m, k, n) = (x[rank - 2], x[rank - 1], y[rank - 1]);
        let (last, bias, relu) = self.tail(id);
        let (a, b) = if rank == 2 { (self.matrix(a), self.matrix(b)) } else { (self.whole(a), self.whole(b)) };
        let bias = bias.map(|bias| self.stored(bias));
        self.emit(last, |to| Instruction::Product(Product { a, b, to, m, k, n, times, bias, relu }));
    }

    fn index(&mut self, id: Id, index: Index, x: &[Id]) {
        let numbers = self.numbers[&x[x.len() - 1]];
        match index {
            Index::OneHot(_) => self.emit(id, |to| Instruction::OneHot { numbers, to }),
            Index::Gather => {
                let from = self.stored(x[0]);
                self.emit(id, |to| Instruction::Gather { from, numbers, to });
            }
            Index::Scatter(_) => {
                let from = self.stored(x[0]);
                self.emit(id, |to| Instruction::Scatter { from, numbers, to });
            }
        }
    }

    /// The instruction that makes `id`, behind all others.
    fn emit(&mut self, id: Id, instruction: impl FnOnce(Buf) -> Instruction) {
        let to = self.buffer(self.g.ty(id).len(), false);
        self.drafts.push(Draft::Ready(instruction(to)));
        self.settle(id, to);
    }

    fn settle(&mut self, id: Id, to: Buf) {
        self.place[id.at()] = Some(Place::Buf(to));
        self.ready[id.at()] = self.drafts.len();
    }

    fn buffer(&mut self, len: usize, lasting: bool) -> Buf {
        self.wanted.push(Wanted { len, lasting });
        Buf(self.wanted.len() as u32 - 1)
    }
}
