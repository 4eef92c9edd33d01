//! What a step computes, as a graph: the goal, its gradients, the optimiser's rule, the bounds. The interpreter can run it as it is; the
//! lowering makes instructions of it.
//!
//! The graph is copied, without what is not needed. A narrow weight matrix (fewer than 16 columns) is kept with its axes exchanged, so
//! that its long axis lies along the lanes; [`Moved::flipped`] says so.

use super::update::{self, Shared};
use crate::error::TensorError;
use crate::graph::{Graph, Id, Node};
use crate::rules::{Contract, Leaf, Op};
use crate::types::Dtype;
use std::ops::Range;
use thalweg_training::{Bounds, Optimizer, Rule};

/// An input that steps move.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Free {
    /// Which one.
    pub input: Id,
    /// Where it may be.
    pub bounds: Bounds,
}

impl Free {
    /// One that may be anywhere.
    pub fn anywhere(input: Id) -> Free {
        Free { input, bounds: Bounds::default() }
    }
}

/// An input that is moved, with what the rule keeps of it.
#[derive(Clone, Debug)]
pub(crate) struct Moved {
    /// As the user knows it.
    pub input: Id,
    /// The input of this program, perhaps with its axes exchanged.
    pub own: Id,
    pub flipped: bool,
    pub bounds: Bounds,
    /// How the goal changes with it; `None`: it stays as it is.
    pub gradient: Option<Id>,
    /// Its value after the step.
    pub next: Option<Id>,
    /// What the rule keeps: before and after the step.
    pub kept: Vec<(Id, Id)>,
    /// The nodes that only the rule made.
    pub rule_nodes: Range<usize>,
}

#[derive(Clone, Debug)]
pub(crate) struct Program {
    pub graph: Graph,
    /// Given inputs: as the user knows them, and here.
    pub given: Vec<(Id, Id)>,
    /// The goal first.
    pub outputs: Vec<Id>,
    pub moved: Vec<Moved>,
    pub shared: Option<Shared>,
    pub rule: Option<Rule>,
}

impl Program {
    /// The outputs alone.
    pub fn forward(source: &Graph, outputs: &[Id]) -> Program {
        Program::copied(source, outputs, &[])
    }

    /// One step of `free` towards a lesser `goal`; the other outputs are computed beside it, before the step.
    pub fn step(source: &Graph, goal: Id, others: &[Id], free: &[Free], optimizer: &Optimizer) -> Result<Program, TensorError> {
        let refuse = |reason: String, cure| TensorError::Step { goal: source.describe(goal), reason, cure };
        if free.is_empty() {
            return Err(refuse("there is nothing to move".into(), "name an input that may move"));
        }
        if let Some(free) = free.iter().find(|free| !matches!(source.node(free.input).op, Op::Leaf(Leaf::Input(_), _))) {
            return Err(refuse(format!("{} is no input", source.describe(free.input)), "move inputs only"));
        }
        if !optimizer.rule.is_elementwise() {
            let reason = format!("{} moves all parameters at once", optimizer.rule.name());
            return Err(refuse(reason, "use sgd, adam, adamw, rmsprop, adagrad or lion"));
        }
        let outputs: Vec<Id> = std::iter::once(goal).chain(others.iter().copied()).collect();
        let mut program = Program::copied(source, &outputs, free);
        let own: Vec<Id> = program.moved.iter().map(|moved| moved.own).collect();
        let gradients = program.graph.gradient(program.outputs[0], &own)?;
        update::add(&mut program, gradients, optimizer);
        program.rule = Some(optimizer.rule.clone());
        Ok(program)
    }

    fn copied(source: &Graph, outputs: &[Id], free: &[Free]) -> Program {
        let mut needed = source.needed(outputs);
        free.iter().for_each(|free| needed[free.input.at()] = true);
        let mut program =
            Program { graph: Graph::new(), given: Vec::new(), outputs: Vec::new(), moved: Vec::new(), shared: None, rule: None };
        let mut copies: Vec<Option<Id>> = vec![None; source.len()];
        for i in (0..source.len()).filter(|&i| needed[i]) {
            let id = Id(i as u32);
            let node = source.node(id);
            let copy = match &node.op {
                Op::Leaf(Leaf::Input(_), _) => program.input(source, id, free, &needed),
                op => {
                    let operands =
                        node.operands.iter().map(|id| copies[id.at()].expect("invariant: a node stands behind its operands"));
                    program.graph.op(op.clone(), &operands.collect::<Vec<_>>())
                }
            };
            copies[i] = Some(copy);
        }
        program.outputs = outputs.iter().map(|id| copies[id.at()].expect("invariant: an output is needed")).collect();
        program
    }

    fn input(&mut self, source: &Graph, id: Id, free: &[Free], needed: &[bool]) -> Id {
        let ty = source.ty(id).clone();
        let name = source.inputs().find(|(_, input)| *input == id).map_or("", |(name, _)| name);
        let Some(free) = free.iter().find(|free| free.input == id) else {
            let own = self.graph.input(name, ty.dtype, ty.shape);
            self.given.push((id, own));
            return own;
        };
        let flipped = is_narrow(source, id, needed);
        let shape = if flipped { ty.shape.iter().rev().copied().collect() } else { ty.shape };
        let own = self.graph.input(name, ty.dtype, shape);
        let (input, bounds) = (free.input, free.bounds);
        self.moved.push(Moved { input, own, flipped, bounds, gradient: None, next: None, kept: Vec::new(), rule_nodes: 0..0 });
        if flipped { self.graph.permuted(own, vec![1, 0]) } else { own }
    }

    /// The element type, if all numbers have one.
    pub fn dtype(&self) -> Option<Dtype> {
        let needed = self.graph.needed(&self.results());
        let mut floats =
            (0..needed.len()).filter(|&i| needed[i]).map(|i| self.graph.ty(Id(i as u32)).dtype).filter(|d| d.is_float());
        let first = floats.next()?;
        floats.all(|dtype| dtype == first).then_some(first)
    }

    /// Everything that a run computes.
    pub fn results(&self) -> Vec<Id> {
        let moved = self.moved.iter().flat_map(|moved| moved.next.into_iter().chain(moved.kept.iter().map(|(_, next)| *next)));
        self.outputs.iter().copied().chain(moved).collect()
    }
}

/// Whether `w` is the right side of a product, long and with few columns, and nothing but that.
fn is_narrow(g: &Graph, w: Id, needed: &[bool]) -> bool {
    let [rows, columns] = *g.ty(w).shape else { return false };
    let mut users =
        (0..g.len()).filter(|&i| needed[i]).map(|i| g.node(Id(i as u32))).filter(|node| node.operands.contains(&w)).peekable();
    let is_right = |node: &Node| node.op == Op::Contract(Contract::Matmul) && node.operands[1] == w && node.operands[0] != w;
    columns < 16 && rows >= 32 && users.peek().is_some() && users.all(is_right)
}
