//! The same elements in other places. All of it is linear: the tangent moves like the value.

use super::{At, Op};
use crate::error::Misfit;
use crate::graph::Id;
use crate::types::{Type, broadcast, strides};
use crate::value::{Data, Tensor};

/// What moves elements.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Layout {
    /// Axes of length 1, and new ones in front, are repeated up to this shape.
    Broadcast(Vec<usize>),
    /// The elements in the same order, in this shape.
    Reshape(Vec<usize>),
    /// Axis `i` of the result is axis `axes[i]` of the operand.
    Permute(Vec<usize>),
    /// `len` places along `axis`, from `start` on.
    Slice {
        /// Along which axis.
        axis: usize,
        /// The first place.
        start: usize,
        /// How many.
        len: usize,
    },
    /// Zeros along `axis`.
    Pad {
        /// Along which axis.
        axis: usize,
        /// How many in front.
        before: usize,
        /// How many behind.
        after: usize,
    },
    /// One behind the other along `axis`.
    Concat {
        /// Along which axis.
        axis: usize,
    },
}

impl Layout {
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Layout::Broadcast(_) => "broadcast",
            Layout::Reshape(_) => "reshape",
            Layout::Permute(_) => "transpose",
            Layout::Slice { .. } => "slice",
            Layout::Pad { .. } => "pad",
            Layout::Concat { .. } => "concat",
        }
    }

    pub(crate) fn ty(&self, x: &[&Type]) -> Result<Type, Misfit> {
        let with = |shape: Vec<usize>| Ok(Type::new(x[0].dtype, shape));
        let from = &x[0].shape;
        match self {
            Layout::Broadcast(to) if broadcast(from, to).as_ref() == Some(to) => with(to.clone()),
            Layout::Broadcast(to) => Err(Misfit::shape(
                format!("{from:?} cannot be repeated to {to:?}"),
                "lengths must be equal or 1, counted from the last axis; reshape it first",
            )),
            Layout::Reshape(to) if to.iter().product::<usize>() == x[0].len() => with(to.clone()),
            Layout::Reshape(to) => Err(Misfit::shape(
                format!("{from:?} has {} elements, {to:?} has {}", x[0].len(), to.iter().product::<usize>()),
                "give a shape with as many",
            )),
            Layout::Permute(axes) => {
                let mut sorted = axes.clone();
                sorted.sort_unstable();
                if !sorted.iter().copied().eq(0..from.len()) {
                    let reason = format!("{axes:?} does not name each of {} axes once", from.len());
                    return Err(Misfit::shape(reason, "name every axis once, counted from 0"));
                }
                with(axes.iter().map(|&axis| from[axis]).collect())
            }
            Layout::Slice { axis, start, len } => {
                has_axis(x[0], *axis)?;
                if start.saturating_add(*len) > from[*axis] {
                    let reason = format!("places {start} to {} of an axis of length {}", start.saturating_add(*len), from[*axis]);
                    return Err(Misfit::shape(reason, "end within the axis"));
                }
                with(replaced(from, *axis, *len))
            }
            Layout::Pad { axis, before, after } => {
                has_axis(x[0], *axis)?;
                with(replaced(from, *axis, before + from[*axis] + after))
            }
            Layout::Concat { axis } => {
                super::floats(x)?;
                for x in x {
                    has_axis(x, *axis)?;
                    if replaced(&x.shape, *axis, 0) != replaced(from, *axis, 0) {
                        let reason = format!("{from:?} and {:?} differ beside axis {axis}", x.shape);
                        return Err(Misfit::shape(reason, "all other lengths must be equal"));
                    }
                }
                with(replaced(from, *axis, x.iter().map(|x| x.shape[*axis]).sum()))
            }
        }
    }

    pub(crate) fn eval(&self, x: &[&Tensor], ty: &Type) -> Data {
        match x[0].data() {
            Data::F32(_) => Data::F32(self.moved(&x.iter().map(|x| x.elements::<f32>()).collect::<Vec<_>>(), x, ty)),
            Data::F64(_) => Data::F64(self.moved(&x.iter().map(|x| x.elements::<f64>()).collect::<Vec<_>>(), x, ty)),
            Data::Index(_) => Data::Index(self.moved(&x.iter().map(|x| x.indexes()).collect::<Vec<_>>(), x, ty)),
        }
    }

    fn moved<E: Copy + Default>(&self, data: &[&[E]], x: &[&Tensor], ty: &Type) -> Vec<E> {
        let shapes: Vec<&[usize]> = x.iter().map(|x| x.ty().shape.as_slice()).collect();
        let mut out = vec![E::default(); ty.len()];
        self.move_into(data, &shapes, &ty.shape, &mut out);
        out
    }

    /// Writes every element of the result.
    pub(crate) fn move_into<E: Copy + Default>(&self, data: &[&[E]], shapes: &[&[usize]], to: &[usize], out: &mut [E]) {
        match self {
            Layout::Concat { axis } => {
                let mut at = 0;
                for (data, shape) in data.iter().zip(shapes) {
                    place(data, shape, *axis, at, to, out);
                    at += shape[*axis];
                }
            }
            Layout::Pad { axis, before, .. } => {
                out.fill(E::default());
                place(data[0], shapes[0], *axis, *before, to, out);
            }
            Layout::Reshape(_) => out.copy_from_slice(data[0]),
            Layout::Broadcast(_) | Layout::Permute(_) | Layout::Slice { .. } => {
                let (offset, strides) = self.view(shapes[0], to);
                walk(to, &strides, offset, |i, from| out[i] = data[0][from]);
            }
        }
    }

    /// Where the elements of the result lie in the operand: the first one, and how far apart neighbours along each axis are.
    pub(crate) fn view(&self, from: &[usize], to: &[usize]) -> (usize, Vec<usize>) {
        let own = strides(from);
        match self {
            Layout::Broadcast(_) => {
                let new = to.len() - from.len();
                let stride = |axis: usize| if axis < new || from[axis - new] == 1 { 0 } else { own[axis - new] };
                (0, (0..to.len()).map(stride).collect())
            }
            Layout::Permute(axes) => (0, axes.iter().map(|&axis| own[axis]).collect()),
            Layout::Slice { axis, start, .. } => (start * own[*axis], own),
            Layout::Reshape(_) | Layout::Pad { .. } | Layout::Concat { .. } => (0, strides(to)),
        }
    }

    pub(crate) fn jvp(&self, at: At<'_>, t: &[Option<Id>]) -> Option<Id> {
        if t.iter().all(Option::is_none) {
            return None;
        }
        let operands: Vec<Id> = at.x.iter().zip(t).map(|(&x, t)| t.unwrap_or_else(|| at.g.like(x, 0.0))).collect();
        Some(at.g.op(Op::Layout(self.clone()), &operands))
    }

    pub(crate) fn transpose(&self, at: At<'_>, ct: Id) -> Vec<Option<Id>> {
        let At { g, x, .. } = at;
        let from = g.ty(x[0]).shape.clone();
        let back = match self {
            Layout::Broadcast(to) => {
                let new = to.len() - from.len();
                let axes = (0..to.len()).filter(|&axis| axis < new || from[axis - new] != to[axis]).collect();
                let sum = g.sum_axes(ct, axes);
                g.reshaped(sum, &from)
            }
            Layout::Reshape(_) => g.reshaped(ct, &from),
            Layout::Permute(axes) => {
                let mut inverse = vec![0; axes.len()];
                axes.iter().enumerate().for_each(|(i, &axis)| inverse[axis] = i);
                g.permuted(ct, inverse)
            }
            Layout::Slice { axis, start, len } => {
                let after = from[*axis] - start - len;
                g.op(Op::Layout(Layout::Pad { axis: *axis, before: *start, after }), &[ct])
            }
            Layout::Pad { axis, before, .. } => g.sliced(ct, *axis, *before, from[*axis]),
            Layout::Concat { axis } => {
                let mut start = 0;
                let part = |&x: &Id| {
                    let len = g.ty(x).shape[*axis];
                    start += len;
                    Some(g.sliced(ct, *axis, start - len, len))
                };
                return x.iter().map(part).collect();
            }
        };
        vec![Some(back)]
    }
}

fn replaced(shape: &[usize], axis: usize, len: usize) -> Vec<usize> {
    let mut shape = shape.to_vec();
    shape[axis] = len;
    shape
}

pub(crate) fn has_axis(x: &Type, axis: usize) -> Result<(), Misfit> {
    if axis < x.rank() {
        return Ok(());
    }
    Err(Misfit::shape(format!("there is no axis {axis} in {x}"), "axes are counted from 0"))
}

/// Copies `data` into `out`, from place `at` on along `axis`.
fn place<E: Copy>(data: &[E], shape: &[usize], axis: usize, at: usize, to: &[usize], out: &mut [E]) {
    let inner: usize = shape[axis + 1..].iter().product();
    let (block, step) = (shape[axis] * inner, to[axis] * inner);
    if block == 0 {
        return;
    }
    for (i, block) in data.chunks_exact(block).enumerate() {
        out[i * step + at * inner..][..block.len()].copy_from_slice(block);
    }
}

/// Every place of `shape` in order, with where it lies under `strides`.
pub(crate) fn walk(shape: &[usize], strides: &[usize], offset: usize, mut each: impl FnMut(usize, usize)) {
    fn go(shape: &[usize], strides: &[usize], from: usize, i: &mut usize, each: &mut impl FnMut(usize, usize)) {
        match (shape, strides) {
            ([len, shape @ ..], [stride, strides @ ..]) => {
                for k in 0..*len {
                    go(shape, strides, from + k * stride, i, each);
                }
            }
            _ => {
                each(*i, from);
                *i += 1;
            }
        }
    }
    go(shape, strides, offset, &mut 0, &mut each);
}
