//! By row number. Taking rows and adding rows are each other's transpose.

use super::{At, Op, floats, floats_of, not_linear};
use crate::error::Misfit;
use crate::graph::Id;
use crate::types::{Dtype, Type};
use crate::value::{Data, Real, Tensor};

/// What goes by row number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Index {
    /// A 1 at the place of each number, on a new last axis of this element type.
    OneHot(Dtype),
    /// The rows of the first operand that the second names.
    Gather,
    /// As many rows, each the sum of those of the first operand that the second sends there.
    Scatter(usize),
}

impl Index {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Index::OneHot(_) => "one_hot",
            Index::Gather => "gather",
            Index::Scatter(_) => "scatter_add",
        }
    }

    pub(crate) fn ty(self, x: &[&Type]) -> Result<Type, Misfit> {
        let numbers = x[x.len() - 1];
        let Dtype::Index { below } = numbers.dtype else {
            return Err(Misfit::dtype(format!("{numbers} are no row numbers"), "give an input of type index"));
        };
        if let [values, _] = x {
            floats(&[values])?;
        }
        let joined = |a: &[usize], b: &[usize]| a.iter().chain(b).copied().collect::<Vec<_>>();
        match self {
            Index::OneHot(dtype) => Ok(Type::new(dtype, joined(&numbers.shape, &[below]))),
            Index::Gather => {
                let rows = x[0].shape.first().copied().unwrap_or(0);
                if below > rows {
                    let reason = format!("row numbers go up to {} of {rows} rows", below.saturating_sub(1));
                    return Err(Misfit::shape(reason, "declare the numbers below the number of rows"));
                }
                Ok(Type::new(x[0].dtype, joined(&numbers.shape, &x[0].shape[1..])))
            }
            Index::Scatter(rows) => {
                let leading = numbers.rank();
                if x[0].rank() < leading || x[0].shape[..leading] != numbers.shape {
                    let reason = format!("{:?} does not begin with {:?}", x[0].shape, numbers.shape);
                    return Err(Misfit::shape(reason, "give one number for each row"));
                }
                if below > rows {
                    let reason = format!("row numbers go up to {} of {rows} rows", below.saturating_sub(1));
                    return Err(Misfit::shape(reason, "declare the numbers below the number of rows"));
                }
                Ok(Type::new(x[0].dtype, joined(&[rows], &x[0].shape[leading..])))
            }
        }
    }

    pub(crate) fn eval(self, x: &[&Tensor], ty: &Type) -> Data {
        fn all<T: Real>(op: Index, x: &[&Tensor], len: usize) -> Data {
            let mut out = vec![T::default(); len];
            op.eval_into(x[0].elements::<T>(), x[1].indexes(), &mut out);
            T::wrap(out)
        }
        match (self, ty.dtype) {
            (Index::OneHot(dtype), _) => {
                let below = ty.shape[ty.rank() - 1];
                let row = |&i: &u32| (0..below).map(move |k| if k == i as usize { 1.0 } else { 0.0 });
                floats_of(dtype, x[0].indexes().iter().flat_map(row))
            }
            (Index::Gather | Index::Scatter(_), Dtype::F32) => all::<f32>(self, x, ty.len()),
            (Index::Gather | Index::Scatter(_), Dtype::F64) => all::<f64>(self, x, ty.len()),
            (Index::Gather | Index::Scatter(_), Dtype::Index { .. }) => panic!("invariant: indexes are not computed"),
        }
    }

    /// Writes every element of the result; `values` is not read for a one-hot.
    pub(crate) fn eval_into<T: Real>(self, values: &[T], numbers: &[u32], out: &mut [T]) {
        let n = numbers.len();
        if n == 0 {
            return out.fill(T::default());
        }
        match self {
            Index::OneHot(_) => {
                out.fill(T::default());
                let below = out.len() / n;
                numbers.iter().enumerate().for_each(|(row, &i)| out[row * below + i as usize] = T::from_f64(1.0));
            }
            Index::Gather => {
                let width = out.len() / n;
                for (row, &i) in numbers.iter().enumerate() {
                    out[row * width..][..width].copy_from_slice(&values[i as usize * width..][..width]);
                }
            }
            Index::Scatter(_) => {
                out.fill(T::default());
                let width = values.len() / n;
                for (row, &i) in numbers.iter().enumerate() {
                    let to = &mut out[i as usize * width..][..width];
                    to.iter_mut().zip(&values[row * width..]).for_each(|(to, x)| *to += *x);
                }
            }
        }
    }

    pub(crate) fn jvp(self, at: At<'_>, t: &[Option<Id>]) -> Option<Id> {
        match self {
            Index::OneHot(_) => None,
            Index::Gather | Index::Scatter(_) => t[0].map(|t| at.g.op(Op::Index(self), &[t, at.x[1]])),
        }
    }

    pub(crate) fn transpose(self, at: At<'_>, ct: Id) -> Id {
        let At { g, x, .. } = at;
        match self {
            Index::Gather => {
                let rows = g.ty(x[0]).shape[0];
                g.op(Op::Index(Index::Scatter(rows)), &[ct, x[1]])
            }
            Index::Scatter(_) => g.op(Op::Index(Index::Gather), &[ct, x[1]]),
            Index::OneHot(_) => not_linear(self.name()),
        }
    }
}
