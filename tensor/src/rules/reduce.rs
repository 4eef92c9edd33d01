//! Fewer elements, or running sums. Sums run in the order of the elements, in doubles, so their bits depend on nothing else.

use super::layout::has_axis;
use super::{At, Op, floats, not_linear};
use crate::error::Misfit;
use crate::graph::Id;
use crate::rules::Binary;
use crate::types::{Type, strides};
use crate::value::{Data, Real, Tensor};

/// What makes few of many.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Reduce {
    /// The sum over these axes, which are gone afterwards.
    Sum(Vec<usize>),
    /// The greatest along an axis, which is gone afterwards; equal ones share the slope.
    Max(usize),
    /// The least along an axis, which is gone afterwards; equal ones share the slope.
    Min(usize),
    /// Running sums along an axis.
    Cumsum {
        /// Along which axis.
        axis: usize,
        /// From its end.
        reverse: bool,
    },
}

impl Reduce {
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Reduce::Sum(_) => "sum",
            Reduce::Max(_) => "max",
            Reduce::Min(_) => "min",
            Reduce::Cumsum { .. } => "cumsum",
        }
    }

    pub(crate) fn ty(&self, x: &[&Type]) -> Result<Type, Misfit> {
        floats(x)?;
        let without = |axes: &[usize]| {
            let kept = x[0].shape.iter().enumerate().filter(|(axis, _)| !axes.contains(axis));
            Type::new(x[0].dtype, kept.map(|(_, &len)| len).collect::<Vec<_>>())
        };
        match self {
            Reduce::Sum(axes) => {
                axes.iter().try_for_each(|&axis| has_axis(x[0], axis))?;
                Ok(without(axes))
            }
            Reduce::Max(axis) | Reduce::Min(axis) => {
                has_axis(x[0], *axis)?;
                if x[0].shape[*axis] == 0 {
                    return Err(Misfit::shape(
                        format!("axis {axis} has length 0"),
                        "the extreme of nothing has no value; concat one first",
                    ));
                }
                Ok(without(&[*axis]))
            }
            Reduce::Cumsum { axis, .. } => has_axis(x[0], *axis).map(|()| x[0].clone()),
        }
    }

    pub(crate) fn eval(&self, x: &[&Tensor], ty: &Type) -> Data {
        fn all<T: Real>(reduce: &Reduce, x: &Tensor, len: usize) -> Data {
            let (mut out, mut sums) = (vec![T::default(); len], vec![0.0; len]);
            reduce.eval_into(x.elements::<T>(), &x.ty().shape, &mut sums, &mut out);
            T::wrap(out)
        }
        match x[0].data() {
            Data::F32(_) => all::<f32>(self, x[0], ty.len()),
            Data::F64(_) => all::<f64>(self, x[0], ty.len()),
            Data::Index(_) => panic!("invariant: indexes are not summed"),
        }
    }

    /// Writes every element of the result. `sums` is as long as it.
    pub(crate) fn eval_into<T: Real>(&self, x: &[T], shape: &[usize], sums: &mut [f64], out: &mut [T]) {
        let along = |axis: usize| (shape[axis], shape[axis + 1..].iter().product::<usize>());
        match self {
            Reduce::Sum(axes) => {
                sums.fill(0.0);
                walk_kept(shape, axes, |from, to| sums[to] += x[from].to_f64());
                out.iter_mut().zip(sums).for_each(|(out, sum)| *out = T::from_f64(*sum));
            }
            Reduce::Max(axis) | Reduce::Min(axis) => {
                let op = if matches!(self, Reduce::Max(_)) { Binary::Max } else { Binary::Min };
                let (len, inner) = along(*axis);
                for (i, out) in out.iter_mut().enumerate() {
                    let first = i / inner * len * inner + i % inner;
                    let each = (0..len).map(|k| x[first + k * inner].to_f64());
                    *out = T::from_f64(each.reduce(|a, b| op.apply(a, b)).expect("invariant: the axis has a length"));
                }
            }
            Reduce::Cumsum { axis, reverse } => {
                let (len, inner) = along(*axis);
                for first in (0..x.len()).filter(|i| inner > 0 && i / inner % len == 0) {
                    let mut sum = 0.0;
                    for k in 0..len {
                        let k = if *reverse { len - 1 - k } else { k };
                        sum += x[first + k * inner].to_f64();
                        out[first + k * inner] = T::from_f64(sum);
                    }
                }
            }
        }
    }

    pub(crate) fn jvp(&self, at: At<'_>, t: Id) -> Option<Id> {
        let At { g, x, y } = at;
        Some(match self {
            Reduce::Sum(_) | Reduce::Cumsum { .. } => g.op(Op::Reduce(self.clone()), &[t]),
            Reduce::Max(axis) | Reduce::Min(axis) => {
                let shape = g.ty(x[0]).shape.clone();
                let spread = g.spread(y, *axis, &shape);
                let chosen = g.binary(Binary::Equal, x[0], spread);
                let count = g.sum_axes(chosen, vec![*axis]);
                let routed = g.binary(Binary::Mul, chosen, t);
                let routed = g.sum_axes(routed, vec![*axis]);
                g.binary(Binary::Div, routed, count)
            }
        })
    }

    pub(crate) fn transpose(&self, at: At<'_>, ct: Id) -> Id {
        let At { g, x, .. } = at;
        match self {
            Reduce::Sum(axes) => {
                let shape = g.ty(x[0]).shape.clone();
                let kept: Vec<usize> = (0..shape.len()).map(|axis| if axes.contains(&axis) { 1 } else { shape[axis] }).collect();
                let kept = g.reshaped(ct, &kept);
                g.broadcasted(kept, &shape)
            }
            Reduce::Cumsum { axis, reverse } => g.op(Op::Reduce(Reduce::Cumsum { axis: *axis, reverse: !reverse }), &[ct]),
            Reduce::Max(_) | Reduce::Min(_) => not_linear(self.name()),
        }
    }
}

/// Every place of `shape` in order, with its place once `axes` are gone.
fn walk_kept(shape: &[usize], axes: &[usize], mut each: impl FnMut(usize, usize)) {
    let kept: Vec<usize> = (0..shape.len()).filter(|axis| !axes.contains(axis)).collect();
    let own = strides(&kept.iter().map(|&axis| shape[axis]).collect::<Vec<_>>());
    let mut to = vec![0; shape.len()];
    kept.iter().zip(own).for_each(|(&axis, stride)| to[axis] = stride);
    super::layout::walk(shape, &to, 0, &mut each);
}
