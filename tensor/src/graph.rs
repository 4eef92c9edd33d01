//! The program: nodes that are written once. What is written twice is the same node, so a value and its gradient share their work.
//!
//! Nodes are only added, and each stands behind its operands: the order of the numbers is an order to compute in. Whatever a goal does
//! not need is left out when it runs.

use crate::error::TensorError;
use crate::rules::{Binary, Contract, Index, Layout, Leaf, Op, Reduce, Unary};
use crate::types::{Dtype, Type};
use std::collections::HashMap;

/// A node of a [`Graph`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Id(pub(crate) u32);

impl Id {
    pub(crate) fn at(self) -> usize {
        self.0 as usize
    }
}

/// An operation with its operands.
#[derive(Clone, Debug)]
pub struct Node {
    /// What it does.
    pub op: Op,
    /// With what.
    pub operands: Vec<Id>,
    /// What comes out.
    pub ty: Type,
}

/// A tensor program.
#[derive(Clone, Debug, Default)]
pub struct Graph {
    nodes: Vec<Node>,
    same: HashMap<(Op, Vec<Id>), Id>,
    inputs: Vec<(String, Id)>,
    tangents: u32,
}

impl Graph {
    /// An empty one.
    pub fn new() -> Graph {
        Graph::default()
    }

    /// A value that is given before each run. Names need not differ; values are given by node.
    pub fn input(&mut self, name: &str, dtype: Dtype, shape: impl Into<Vec<usize>>) -> Id {
        let leaf = Leaf::Input(self.inputs.len() as u32);
        let id = self.op(Op::Leaf(leaf, Type::new(dtype, shape)), &[]);
        self.inputs.push((name.into(), id));
        id
    }

    /// One number everywhere.
    pub fn constant(&mut self, dtype: Dtype, shape: impl Into<Vec<usize>>, x: f64) -> Id {
        let x = if dtype == Dtype::F32 { f64::from(x as f32) } else { x };
        self.op(Op::Leaf(Leaf::Splat(x.to_bits()), Type::new(dtype, shape)), &[])
    }

    /// The type of a node.
    pub fn ty(&self, id: Id) -> &Type {
        &self.nodes[id.at()].ty
    }

    /// A node.
    pub fn node(&self, id: Id) -> &Node {
        &self.nodes[id.at()]
    }

    /// How many nodes there are, also those that nothing needs.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// The inputs in the order in which they were declared.
    pub fn inputs(&self) -> impl Iterator<Item = (&str, Id)> {
        self.inputs.iter().map(|(name, id)| (name.as_str(), *id))
    }

    /// What messages call a node: `w: f32[784, 10]`.
    pub fn describe(&self, id: Id) -> String {
        let node = self.node(id);
        match &node.op {
            Op::Leaf(Leaf::Input(i), _) => format!("{}: {}", self.inputs[*i as usize].0, node.ty),
            op => format!("{}: {}", op.name(), node.ty),
        }
    }

    /// Adds an operation whose operands may not fit.
    pub(crate) fn try_op(&mut self, op: Op, operands: &[Id]) -> Result<Id, TensorError> {
        let types: Vec<&Type> = operands.iter().map(|&id| self.ty(id)).collect();
        match op.ty(&types) {
            Ok(ty) => Ok(self.push(op, operands, ty)),
            Err(misfit) => {
                let operands: Vec<String> = operands.iter().map(|&id| self.describe(id)).collect();
                Err(misfit.at(op.name(), operands.join(" and ")))
            }
        }
    }

    /// Adds an operation whose operands fit.
    pub(crate) fn op(&mut self, op: Op, operands: &[Id]) -> Id {
        self.try_op(op, operands).unwrap_or_else(|error| unreachable!("invariant: rules fit what they are applied to: {error}"))
    }

    fn push(&mut self, op: Op, operands: &[Id], ty: Type) -> Id {
        if let Some(simpler) = self.simpler(&op, operands, &ty) {
            return simpler;
        }
        let key = (op, operands.to_vec());
        if let Some(&id) = self.same.get(&key) {
            return id;
        }
        let id = Id(self.nodes.len() as u32);
        self.nodes.push(Node { op: key.0.clone(), operands: key.1.clone(), ty });
        self.same.insert(key, id);
        id
    }

    /// The number that a node is everywhere.
    pub(crate) fn splat(&self, id: Id) -> Option<f64> {
        match self.node(id).op {
            Op::Leaf(Leaf::Splat(bits), _) => Some(f64::from_bits(bits)),
            _ => None,
        }
    }

    /// The node that means the same with less work. Nothing here changes a value that is finite, except the sign of a zero.
    fn simpler(&mut self, op: &Op, operands: &[Id], ty: &Type) -> Option<Id> {
        let splats: Vec<Option<f64>> = operands.iter().map(|&id| self.splat(id)).collect();
        let before = |graph: &Graph, id: Id| (graph.node(id).op.clone(), graph.node(id).operands.clone());
        match (op, operands, splats.as_slice()) {
            (Op::Unary(op), _, [Some(x)]) => Some(self.constant(ty.dtype, ty.shape.clone(), op.apply(*x))),
            (Op::Binary(op), _, [Some(a), Some(b)]) => Some(self.constant(ty.dtype, ty.shape.clone(), op.apply(*a, *b))),
            (Op::Layout(Layout::Broadcast(_) | Layout::Reshape(_) | Layout::Permute(_) | Layout::Slice { .. }), _, [Some(x)]) => {
                Some(self.constant(ty.dtype, ty.shape.clone(), *x))
            }
            (Op::Reduce(Reduce::Sum(_)), [of], [Some(x)]) => {
                let times = if ty.is_empty() { 0 } else { self.ty(*of).len() / ty.len() };
                Some(self.constant(ty.dtype, ty.shape.clone(), x * times as f64))
            }
            (Op::Binary(Binary::Mul), [a, _], [_, Some(1.0)]) | (Op::Binary(Binary::Mul), [_, a], [Some(1.0), _]) => Some(*a),
            (Op::Binary(Binary::Scale), [_, a], [Some(1.0), _]) => Some(*a),
            (Op::Binary(Binary::Mul), [a, _], [_, Some(-1.0)]) => Some(self.unary(Unary::Neg, *a)),
            (Op::Binary(Binary::Mul | Binary::Scale), [_, a], [Some(-1.0), _]) => Some(self.unary(Unary::Neg, *a)),
            (Op::Binary(Binary::Add), [a, _], [_, Some(0.0)]) | (Op::Binary(Binary::Add), [_, a], [Some(0.0), _]) => Some(*a),
            (Op::Binary(Binary::Sub), [a, _], [_, Some(0.0)]) | (Op::Binary(Binary::Div), [a, _], [_, Some(1.0)]) => Some(*a),
            (Op::Unary(Unary::Neg), [x], _) => match before(self, *x) {
                (Op::Unary(Unary::Neg), inner) => Some(inner[0]),
                _ => None,
            },
            (Op::Layout(Layout::Broadcast(_) | Layout::Reshape(_) | Layout::Slice { .. } | Layout::Pad { .. }), [x], _)
                if self.ty(*x).shape == ty.shape =>
            {
                Some(*x)
            }
            (Op::Layout(Layout::Reshape(to)), [x], _) => match before(self, *x) {
                (Op::Layout(Layout::Reshape(_)), inner) => Some(self.reshaped(inner[0], to)),
                _ => None,
            },
            (Op::Layout(Layout::Permute(axes)), [x], _) => match before(self, *x) {
                _ if axes.iter().copied().eq(0..axes.len()) => Some(*x),
                (Op::Layout(Layout::Permute(first)), inner) => {
                    Some(self.permuted(inner[0], axes.iter().map(|&axis| first[axis]).collect()))
                }
                // (a b)ᵀ is bᵀ aᵀ: the product is written where it is needed.
                (Op::Contract(Contract::Matmul), inner) if axes == &[1, 0] => {
                    let [a, b] = [inner[0], inner[1]].map(|id| self.permuted(id, vec![1, 0]));
                    Some(self.product(b, a))
                }
                _ => None,
            },
            (Op::Layout(Layout::Concat { .. }), [x], _) => Some(*x),
            (Op::Reduce(Reduce::Sum(axes)), [x], _) if axes.is_empty() => Some(*x),
            _ => None,
        }
    }

    /// A field's tangent, new each time.
    pub(crate) fn tangent(&mut self, of: Id) -> Id {
        self.tangents += 1;
        let ty = self.ty(of).clone();
        self.op(Op::Leaf(Leaf::Tangent(self.tangents), ty), &[])
    }
}

/// What the rules are written with: operands that fit.
impl Graph {
    pub(crate) fn unary(&mut self, op: Unary, x: Id) -> Id {
        self.op(Op::Unary(op), &[x])
    }

    pub(crate) fn binary(&mut self, op: Binary, a: Id, b: Id) -> Id {
        self.op(Op::Binary(op), &[a, b])
    }

    pub(crate) fn select(&mut self, mask: Id, a: Id, b: Id) -> Id {
        self.op(Op::Choice(crate::rules::Choice::Select), &[mask, a, b])
    }

    pub(crate) fn like(&mut self, of: Id, x: f64) -> Id {
        let Type { dtype, shape } = self.ty(of).clone();
        self.constant(dtype, shape, x)
    }

    pub(crate) fn plus(&mut self, a: Id, x: f64) -> Id {
        let x = self.like(a, x);
        self.binary(Binary::Add, a, x)
    }

    pub(crate) fn times(&mut self, a: Id, x: f64) -> Id {
        let x = self.like(a, x);
        self.binary(Binary::Mul, a, x)
    }

    pub(crate) fn minus_from(&mut self, x: f64, a: Id) -> Id {
        let x = self.like(a, x);
        self.binary(Binary::Sub, x, a)
    }

    pub(crate) fn recip(&mut self, a: Id) -> Id {
        let one = self.like(a, 1.0);
        self.binary(Binary::Div, one, a)
    }

    pub(crate) fn sum_of(&mut self, a: Option<Id>, b: Option<Id>) -> Option<Id> {
        match (a, b) {
            (Some(a), Some(b)) => Some(self.binary(Binary::Add, a, b)),
            (one, other) => one.or(other),
        }
    }

    pub(crate) fn product(&mut self, a: Id, b: Id) -> Id {
        self.op(Op::Contract(Contract::Matmul), &[a, b])
    }

    pub(crate) fn sum_axes(&mut self, x: Id, axes: Vec<usize>) -> Id {
        self.op(Op::Reduce(Reduce::Sum(axes)), &[x])
    }

    pub(crate) fn reshaped(&mut self, x: Id, shape: &[usize]) -> Id {
        self.op(Op::Layout(Layout::Reshape(shape.to_vec())), &[x])
    }

    pub(crate) fn broadcasted(&mut self, x: Id, shape: &[usize]) -> Id {
        self.op(Op::Layout(Layout::Broadcast(shape.to_vec())), &[x])
    }

    pub(crate) fn permuted(&mut self, x: Id, axes: Vec<usize>) -> Id {
        self.op(Op::Layout(Layout::Permute(axes)), &[x])
    }

    pub(crate) fn sliced(&mut self, x: Id, axis: usize, start: usize, len: usize) -> Id {
        self.op(Op::Layout(Layout::Slice { axis, start, len }), &[x])
    }

    /// `x`, in which `axis` is gone, repeated along it.
    pub(crate) fn spread(&mut self, x: Id, axis: usize, shape: &[usize]) -> Id {
        let mut kept = shape.to_vec();
        kept[axis] = 1;
        let kept = self.reshaped(x, &kept);
        self.broadcasted(kept, shape)
    }

    /// The unit matrix of the shape of `a`.
    pub(crate) fn unit(&mut self, a: Id) -> Id {
        let Type { dtype, shape } = self.ty(a).clone();
        let ty = Type::new(Dtype::Index { below: shape[0] }, vec![shape[0]]);
        let numbers = self.op(Op::Leaf(Leaf::Iota, ty), &[]);
        self.op(Op::Index(Index::OneHot(dtype)), &[numbers])
    }
}
