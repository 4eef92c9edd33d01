//! Operations. Each family states, side by side and without wildcard arms, what an operation's type is, what it computes, its `jvp` (the
//! tangent of the output as a program over the tangents of the inputs) and, where it is linear, its `transpose` (the cotangents of the
//! inputs as a program over that of the output). Reverse mode is these two: `jvp`, then the transpose of what that made.
//!
//! - INV-TENSOR-LINEAR: a `jvp` makes nothing but linear operations of a tangent, so only these have a `transpose` to speak of.
//!
//! A tangent that is absent (`None`) is zero and is never computed with. `Op::eval` is the obvious meaning, in doubles inside: the
//! compiled step is tested against it. Next to read: [`unary`], then `gradient.rs`.

pub mod binary;
pub mod choice;
pub mod contract;
pub mod index;
pub mod layout;
pub mod reduce;
pub mod unary;

use crate::error::Misfit;
use crate::graph::{Graph, Id};
use crate::types::{Dtype, Type};
use crate::value::{Data, Tensor};
pub use {binary::Binary, choice::Choice, contract::Contract, index::Index, layout::Layout, reduce::Reduce, unary::Unary};

/// What has no operands.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Leaf {
    /// A value that is given before each run.
    Input(u32),
    /// One number everywhere; its bits as a double.
    Splat(u64),
    /// 0, 1, 2, … as row numbers.
    Iota,
    /// The tangent of a field, while a gradient is made.
    Tangent(u32),
}

/// An operation.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Op {
    /// No operands.
    Leaf(Leaf, Type),
    /// One operand, element by element.
    Unary(Unary),
    /// Two operands of one shape, element by element.
    Binary(Binary),
    /// Choosing, stopping, casting, own rules.
    Choice(Choice),
    /// The same elements in other places.
    Layout(Layout),
    /// Fewer elements, or sums along an axis.
    Reduce(Reduce),
    /// Products and systems of equations.
    Contract(Contract),
    /// By row number.
    Index(Index),
}

/// A node while a rule is applied to it: the graph, its operands, itself.
pub(crate) struct At<'a> {
    pub g: &'a mut Graph,
    pub x: &'a [Id],
    pub y: Id,
}

impl Op {
    /// What messages call it.
    pub fn name(&self) -> &'static str {
        match self {
            Op::Leaf(Leaf::Input(_), _) => "input",
            Op::Leaf(Leaf::Splat(_), _) => "constant",
            Op::Leaf(Leaf::Iota, _) => "iota",
            Op::Leaf(Leaf::Tangent(_), _) => "tangent",
            Op::Unary(op) => op.name(),
            Op::Binary(op) => op.name(),
            Op::Choice(op) => op.name(),
            Op::Layout(op) => op.name(),
            Op::Reduce(op) => op.name(),
            Op::Contract(op) => op.name(),
            Op::Index(op) => op.name(),
        }
    }

    /// The type of its value, given those of its operands.
    pub(crate) fn ty(&self, x: &[&Type]) -> Result<Type, Misfit> {
        match self {
            Op::Leaf(_, ty) => Ok(ty.clone()),
            Op::Unary(_) => floats(x).map(|()| x[0].clone()),
            Op::Binary(_) => alike(x).map(|()| x[0].clone()),
            Op::Choice(op) => op.ty(x),
            Op::Layout(op) => op.ty(x),
            Op::Reduce(op) => op.ty(x),
            Op::Contract(op) => op.ty(x),
            Op::Index(op) => op.ty(x),
        }
    }

    /// Its value, of type `ty`.
    pub(crate) fn eval(&self, x: &[&Tensor], ty: &Type) -> Tensor {
        let data = match self {
            Op::Leaf(Leaf::Input(_) | Leaf::Tangent(_), _) => panic!("invariant: inputs and tangents are given, not computed"),
            Op::Leaf(Leaf::Splat(bits), _) => floats_of(ty.dtype, std::iter::repeat_n(f64::from_bits(*bits), ty.len())),
            Op::Leaf(Leaf::Iota, _) => Data::Index((0..ty.len() as u32).collect()),
            Op::Unary(op) => floats_of(ty.dtype, x[0].to_f64().into_iter().map(|x| op.apply(x))),
            Op::Binary(op) => floats_of(ty.dtype, x[0].to_f64().into_iter().zip(x[1].to_f64()).map(|(a, b)| op.apply(a, b))),
            Op::Choice(op) => op.eval(x, ty),
            Op::Layout(op) => op.eval(x, ty),
            Op::Reduce(op) => op.eval(x, ty),
            Op::Contract(op) => op.eval(x, ty),
            Op::Index(op) => op.eval(x, ty),
        };
        Tensor::new(ty.clone(), data).expect("invariant: a value has the type that was inferred")
    }

    /// The tangent of the output, `None` where it is zero. `t` has an entry for each operand.
    pub(crate) fn jvp(&self, at: At<'_>, t: &[Option<Id>]) -> Option<Id> {
        match self {
            Op::Leaf(..) => None,
            Op::Unary(op) => op.jvp(at, t[0]?),
            Op::Binary(op) => op.jvp(at, t[0], t[1]),
            Op::Choice(op) => op.jvp(at, t),
            Op::Layout(op) => op.jvp(at, t),
            Op::Reduce(op) => op.jvp(at, t[0]?),
            Op::Contract(op) => op.jvp(at, t),
            Op::Index(op) => op.jvp(at, t),
        }
    }

    /// The cotangents of the operands that `linear` names, given that of the output.
    pub(crate) fn transpose(&self, at: At<'_>, linear: &[bool], ct: Id) -> Vec<Option<Id>> {
        match self {
            Op::Leaf(..) => Vec::new(),
            Op::Unary(op) => vec![op.transpose(at, ct)],
            Op::Binary(op) => op.transpose(at, linear, ct),
            Op::Choice(op) => op.transpose(at, ct),
            Op::Layout(op) => op.transpose(at, ct),
            Op::Reduce(op) => vec![Some(op.transpose(at, ct))],
            Op::Contract(op) => op.transpose(at, linear, ct),
            Op::Index(op) => vec![Some(op.transpose(at, ct)), None],
        }
    }

    /// Whether no slope goes through, whatever the operands.
    pub(crate) fn cuts(&self) -> bool {
        match self {
            Op::Unary(op) => op.cuts(),
            Op::Binary(op) => op.cuts(),
            Op::Choice(op) => matches!(op, Choice::Stop),
            Op::Leaf(..) | Op::Layout(_) | Op::Reduce(_) | Op::Contract(_) | Op::Index(_) => false,
        }
    }
}

/// What INV-TENSOR-LINEAR rules out.
#[track_caller]
pub(crate) fn not_linear(name: &str) -> ! {
    unreachable!("INV-TENSOR-LINEAR: {name} of a tangent")
}

/// Doubles as elements of `dtype`.
pub(crate) fn floats_of(dtype: Dtype, elements: impl Iterator<Item = f64>) -> Data {
    match dtype {
        Dtype::F32 => Data::F32(elements.map(|x| x as f32).collect()),
        Dtype::F64 => Data::F64(elements.collect()),
        Dtype::Index { .. } => panic!("invariant: indexes are not computed"),
    }
}

/// All are floating-point numbers of one width.
pub(crate) fn floats(x: &[&Type]) -> Result<(), Misfit> {
    if let Some(ty) = x.iter().find(|ty| !ty.dtype.is_float()) {
        return Err(Misfit::dtype(format!("{ty} is no number to compute with"), "make a vector of it: one_hot"));
    }
    match x.iter().find(|ty| ty.dtype != x[0].dtype) {
        Some(other) => Err(Misfit::dtype(format!("{} and {} differ", x[0].dtype, other.dtype), "cast one of them")),
        None => Ok(()),
    }
}

/// All are numbers of one width and one shape.
pub(crate) fn alike(x: &[&Type]) -> Result<(), Misfit> {
    floats(x)?;
    match x.iter().find(|ty| ty.shape != x[0].shape) {
        Some(other) => Err(Misfit::shape(
            format!("{:?} and {:?} differ", x[0].shape, other.shape),
            "lengths must be equal or 1, counted from the last axis; reshape one of them",
        )),
        None => Ok(()),
    }
}
