//! Programs of single numbers: one cell for each, one operation after the other. A goal over a few prices runs in tens of nanoseconds.

use super::element::Element;
use super::program::{Moved, Program};
use super::region::{binary, unary};
use crate::graph::Id;
use crate::rules::{Binary, Choice, Contract, Leaf, Op, Reduce, Unary};
use std::collections::HashMap;
use thalweg_training::Rule;

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

/// Adam's step of one number, without a cell for each part of it.
#[derive(Clone, Debug)]
struct Descent<T> {
    gradient: u32,
    param: u32,
    m: u32,
    v: u32,
    /// `step`, `root`, `shrink`.
    shared: [u32; 3],
    decoupled: bool,
    share1: T,
    beta2: T,
    share2: T,
    epsilon: T,
    decay: T,
    least: T,
    greatest: T,
}

/// A compiled program of single numbers.
#[derive(Clone, Debug)]
pub(crate) struct Flat<T> {
    operations: Vec<Operation>,
    descents: Vec<Descent<T>>,
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
        let mut flat = Flat {
            operations: Vec::new(),
            descents: Vec::new(),
            copies: Vec::new(),
            cells: Vec::new(),
            inputs: HashMap::new(),
            outputs: Vec::new(),
        };
        let mut cells: Vec<u32> = vec![0; g.len()];
        let kept = program.moved.iter().flat_map(|moved| std::iter::once(moved.own).chain(moved.kept.iter().map(|(id, _)| *id)));
        let shared = program.shared.iter().flat_map(|shared| [shared.step, shared.root, shared.shrink]);
        let kept: Vec<Id> = kept.chain(shared).collect();
        let by_rule: Vec<&Moved> = program.moved.iter().filter(|moved| is_descended(program, moved)).collect();
        for i in 0..g.len() {
            let id = Id(i as u32);
            let in_rule = by_rule.iter().any(|moved| moved.rule_nodes.contains(&i));
            if (!needed[i] || in_rule) && !kept.contains(&id) {
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
            if is_descended(program, moved) {
                flat.descents.extend(descent(program, moved, &cells));
                continue;
            }
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
                Code::Unary(op) => unary(*op, at(0)),
                Code::Binary(op) => binary(*op, at(0), at(1)),
                Code::Select if at(0) == T::ZERO => at(2),
                Code::Select => at(1),
            };
        }
        for descent in &self.descents {
            descent.run(cells);
        }
        for &(from, to) in &self.copies {
            cells[to as usize] = cells[from as usize];
        }
    }
}

/// Whether a parameter's nodes are Adam's, which are run as one; nothing else may read them.
fn is_descended(program: &Program, moved: &Moved) -> bool {
    matches!(program.rule, Some(Rule::Adam { amsgrad: false, .. })) && moved.gradient.is_some()
}

fn descent<T: Element>(program: &Program, moved: &Moved, cells: &[u32]) -> Option<Descent<T>> {
    let (Some(Rule::Adam { beta1, beta2, epsilon, decay, decoupled, .. }), Some(shared)) = (&program.rule, program.shared) else {
        return None;
    };
    let cell = |id: Id| cells[id.at()];
    Some(Descent {
        gradient: cell(moved.gradient?),
        param: cell(moved.own),
        m: cell(moved.kept[0].0),
        v: cell(moved.kept[1].0),
        shared: [shared.step, shared.root, shared.shrink].map(cell),
        decoupled: *decoupled,
        share1: T::from_f64(1.0 - beta1),
        beta2: T::from_f64(*beta2),
        share2: T::from_f64(1.0 - beta2),
        epsilon: T::from_f64(*epsilon),
        decay: T::from_f64(if *decoupled { 0.0 } else { *decay }),
        least: T::from_f64(moved.bounds.least.unwrap_or(f64::NEG_INFINITY)),
        greatest: T::from_f64(moved.bounds.greatest.unwrap_or(f64::INFINITY)),
    })
}

impl<T: Element> Descent<T> {
    /// The operations of the rule's nodes, in their order.
    #[inline(always)]
    fn run(&self, cells: &mut [T]) {
        let [step, root, shrink] = self.shared.map(|cell| cells[cell as usize]);
        let param = cells[self.param as usize];
        let g = if self.decay == T::ZERO {
            cells[self.gradient as usize]
        } else {
            cells[self.gradient as usize] + param * self.decay
        };
        let (m, v) = (cells[self.m as usize], cells[self.v as usize]);
        let m = m + (g - m) * self.share1;
        let v = v * self.beta2 + g * self.share2 * g;
        let direction = m / (v.sqrt() * root + self.epsilon);
        let param = if self.decoupled { param * shrink } else { param };
        let next = param - step * direction;
        let next = if self.least > next { self.least } else { next };
        cells[self.param as usize] = if self.greatest < next { self.greatest } else { next };
        // Where the gradient stays 0 the moments decay for ever: without this into subnormal numbers, where each touch is slow.
        cells[self.m as usize] = if m < T::TINY && m > -T::TINY { T::ZERO } else { m };
        cells[self.v as usize] = if v < T::TINY { T::ZERO } else { v };
    }
}
