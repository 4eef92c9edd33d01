//! Programs of single numbers: one cell for each, one operation after the other. A goal over a few prices runs in tens of nanoseconds.

use super::element::Element;
use super::program::Program;
use super::region::{binary, unary};
use crate::graph::Id;
use crate::rules::{Binary, Choice, Contract, Leaf, Op, Reduce, Unary};
use std::collections::HashMap;

#[derive(Clone, Copy, Debug)]
enum Code {
    Unary(Unary),
    Binary(Binary),
    Select,
}

#[derive(Clone, Copy, Debug)]
struct Operation {
    code: Code,
    x: [u32; 3],
    out: u32,
}

/// A compiled program of single numbers.
#[derive(Clone, Debug)]
pub(crate) struct Flat<T> {
    operations: Vec<Operation>,
    copies: Vec<(u32, u32)>,
    pub cells: Vec<T>,
    pub inputs: HashMap<Id, u32>,
    pub outputs: Vec<u32>,
}

impl<T: Element> Flat<T> {
    /// `None` where some tensor has more or fewer elements than one.
    pub fn new(program: &Program) -> Option<Flat<T>> {
        let g = &program.graph;
        let needed = g.needed(&program.results());
        let mut flat =
            Flat { operations: Vec::new(), copies: Vec::new(), cells: Vec::new(), inputs: HashMap::new(), outputs: Vec::new() };
        let mut cells: Vec<u32> = vec![0; g.len()];
        let kept = program.moved.iter().flat_map(|moved| std::iter::once(moved.own).chain(moved.kept.iter().map(|(id, _)| *id)));
        let kept: Vec<Id> = kept.collect();
        for i in 0..g.len() {
            let id = Id(i as u32);
            if !needed[i] && !kept.contains(&id) {
                continue;
            }
            let node = g.node(id);
            if node.ty.len() != 1 || !node.ty.dtype.is_float() {
                return None;
            }
            let x: Vec<u32> = node.operands.iter().map(|id| cells[id.at()]).collect();
            cells[i] = match &node.op {
                Op::Leaf(Leaf::Splat(bits), _) => flat.cell(T::from_f64(f64::from_bits(*bits))),
                Op::Leaf(..) => {
                    let cell = flat.cell(T::ZERO);
                    flat.inputs.insert(id, cell);
                    cell
                }
                Op::Unary(op) => flat.push(Code::Unary(*op), &x),
                Op::Binary(op) => flat.push(Code::Binary(*op), &x),
                Op::Choice(Choice::Select) => flat.push(Code::Select, &x),
                Op::Contract(Contract::Matmul) => flat.push(Code::Binary(Binary::Mul), &x),
                Op::Contract(Contract::Solve) => flat.push(Code::Binary(Binary::Div), &[x[1], x[0]]),
                Op::Contract(Contract::LogDet) => flat.push(Code::Unary(Unary::Log), &x),
                Op::Choice(_)
                | Op::Layout(_)
                | Op::Reduce(Reduce::Sum(_) | Reduce::Max(_) | Reduce::Min(_) | Reduce::Cumsum { .. }) => x[0],
                Op::Index(_) => return None,
            };
        }
        flat.outputs = program.outputs.iter().map(|id| cells[id.at()]).collect();
        for moved in &program.moved {
            let next = moved.next.map(|next| (moved.own, next));
            flat.copies.extend(next.iter().chain(&moved.kept).map(|(own, next)| (cells[next.at()], cells[own.at()])));
        }
        // A cell that is copied over must not be the source of a later copy.
        let written: Vec<u32> = flat.copies.iter().map(|(_, to)| *to).collect();
        flat.copies.iter().all(|(from, to)| from == to || !written.contains(from)).then_some(flat)
    }

    fn cell(&mut self, x: T) -> u32 {
        self.cells.push(x);
        self.cells.len() as u32 - 1
    }

    fn push(&mut self, code: Code, x: &[u32]) -> u32 {
        let out = self.cell(T::ZERO);
        let mut operands = [0; 3];
        operands[..x.len()].copy_from_slice(x);
        self.operations.push(Operation { code, x: operands, out });
        out
    }

    /// Runs everything once.
    pub fn run(&mut self) {
        let cells = self.cells.as_mut_slice();
        for Operation { code, x, out } in &self.operations {
            let at = |i: usize| cells[x[i] as usize];
            cells[*out as usize] = match code {
                Code::Unary(op) => one(|out| unary(*op, &[at(0)], out)),
                Code::Binary(op) => one(|out| binary(*op, &[at(0)], &[at(1)], out)),
                Code::Select if at(0) == T::ZERO => at(2),
                Code::Select => at(1),
            };
        }
        for &(from, to) in &self.copies {
            cells[to as usize] = cells[from as usize];
        }
    }
}

#[inline(always)]
fn one<T: Element>(f: impl FnOnce(&mut [T; 1])) -> T {
    let mut out = [T::ZERO];
    f(&mut out);
    out[0]
}
