//! Products and systems of equations.

use super::{At, Op, floats, not_linear};
use crate::error::Misfit;
use crate::graph::{Graph, Id};
use crate::rules::{Binary, Unary};
use crate::types::Type;
use crate::value::{Data, Real, Tensor};

/// What contracts an axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Contract {
    /// `[.., m, k]` by `[.., k, n]`, for each place of the leading axes.
    Matmul,
    /// `x` of `a x = b`, `a` `[n, n]`, `b` `[n, m]`. A singular `a` gives infinities or NaN.
    Solve,
    /// The logarithm of the determinant of `[n, n]`; NaN where that is negative.
    LogDet,
}

impl Contract {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Contract::Matmul => "matmul",
            Contract::Solve => "solve",
            Contract::LogDet => "logdet",
        }
    }

    pub(crate) fn ty(self, x: &[&Type]) -> Result<Type, Misfit> {
        floats(x)?;
        let with = |shape: Vec<usize>| Ok(Type::new(x[0].dtype, shape));
        let square = |a: &[usize]| match *a {
            [n, m] if n == m => Ok(n),
            _ => Err(Misfit::shape(format!("{a:?} is no square matrix"), "give one of shape [n, n]")),
        };
        match self {
            Contract::Matmul => {
                let (a, b) = (&x[0].shape, &x[1].shape);
                let ([.., m, k], [.., l, n]) = (a.as_slice(), b.as_slice()) else {
                    return Err(Misfit::shape("both need two axes", "reshape a vector to [1, n] or [n, 1], or use dot"));
                };
                if k != l {
                    return Err(Misfit::shape(
                        format!("the inner lengths {k} and {l} differ"),
                        "transpose one of them, or correct its shape",
                    ));
                }
                let leading = &a[..a.len() - 2];
                if *leading != b[..b.len() - 2] {
                    let reason = format!("the leading axes {leading:?} and {:?} differ", &b[..b.len() - 2]);
                    return Err(Misfit::shape(reason, "broadcast one of them"));
                }
                with(leading.iter().copied().chain([*m, *n]).collect())
            }
            Contract::Solve => {
                let n = square(&x[0].shape)?;
                match *x[1].shape {
                    [rows, m] if rows == n => with(vec![n, m]),
                    _ => Err(Misfit::shape(
                        format!("{:?} has no {n} rows", x[1].shape),
                        "give a matrix with one row for each equation",
                    )),
                }
            }
            Contract::LogDet => square(&x[0].shape).and_then(|_| with(Vec::new())),
        }
    }

    pub(crate) fn eval(self, x: &[&Tensor], ty: &Type) -> Data {
        fn all<T: Real>(op: Contract, x: &[&Tensor], ty: &Type) -> Data {
            let shapes: Vec<&[usize]> = x.iter().map(|x| x.ty().shape.as_slice()).collect();
            let data: Vec<&[T]> = x.iter().map(|x| x.elements::<T>()).collect();
            let (mut out, mut work) = (vec![T::default(); ty.len()], vec![0.0; op.workspace(&shapes)]);
            op.eval_into(&data, &shapes, &mut work, &mut out);
            T::wrap(out)
        }
        match x[0].data() {
            Data::F32(_) => all::<f32>(self, x, ty),
            Data::F64(_) => all::<f64>(self, x, ty),
            Data::Index(_) => panic!("invariant: indexes are not multiplied"),
        }
    }

    /// How many doubles it works in.
    pub(crate) fn workspace(self, shapes: &[&[usize]]) -> usize {
        match self {
            Contract::Matmul => 0,
            Contract::Solve => shapes[0][0] * (shapes[0][0] + shapes[1][1]),
            Contract::LogDet => shapes[0][0] * shapes[0][0],
        }
    }

    /// Writes every element of the result.
    pub(crate) fn eval_into<T: Real>(self, x: &[&[T]], shapes: &[&[usize]], work: &mut [f64], out: &mut [T]) {
        match self {
            Contract::Matmul => {
                let (a, b) = (shapes[0], shapes[1]);
                let (m, k, n) = (a[a.len() - 2], a[a.len() - 1], b[b.len() - 1]);
                for (i, out) in out.iter_mut().enumerate() {
                    let (row, column, matrix) = (i / n % m, i % n, i / n / m);
                    let product =
                        |l: usize| x[0][(matrix * m + row) * k + l].to_f64() * x[1][(matrix * k + l) * n + column].to_f64();
                    *out = T::from_f64((0..k).map(product).sum());
                }
            }
            Contract::Solve => {
                let (n, m) = (shapes[0][0], shapes[1][1]);
                let (a, b) = work.split_at_mut(n * n);
                a.iter_mut().zip(x[0]).for_each(|(to, x)| *to = x.to_f64());
                b.iter_mut().zip(x[1]).for_each(|(to, x)| *to = x.to_f64());
                eliminate(a, n, b, m);
                substitute(a, n, b, m);
                out.iter_mut().zip(b).for_each(|(out, x)| *out = T::from_f64(*x));
            }
            Contract::LogDet => {
                let n = shapes[0][0];
                work.iter_mut().zip(x[0]).for_each(|(to, x)| *to = x.to_f64());
                let mut sign = eliminate(work, n, &mut [], 0);
                let mut log = 0.0;
                for i in 0..n {
                    sign *= work[i * n + i].signum();
                    log += work[i * n + i].abs().ln();
                }
                out[0] = T::from_f64(if sign < 0.0 { f64::NAN } else { log });
            }
        }
    }

    pub(crate) fn jvp(self, at: At<'_>, t: &[Option<Id>]) -> Option<Id> {
        let At { g, x, y } = at;
        match self {
            Contract::Matmul => {
                let ta = t[0].map(|t| g.product(t, x[1]));
                let tb = t[1].map(|t| g.product(x[0], t));
                g.sum_of(ta, tb)
            }
            Contract::Solve => {
                let ta = t[0].map(|t| {
                    let moved = g.product(t, y);
                    g.unary(Unary::Neg, moved)
                });
                g.sum_of(ta, t[1]).map(|right| g.op(Op::Contract(Contract::Solve), &[x[0], right]))
            }
            // The derivative of log det a along t is the trace of a⁻¹ t.
            Contract::LogDet => t[0].map(|t| {
                let unit = g.unit(x[0]);
                let inverse = g.op(Op::Contract(Contract::Solve), &[x[0], unit]);
                let inverse = flipped(g, inverse);
                let terms = g.binary(Binary::Mul, inverse, t);
                g.sum_axes(terms, vec![0, 1])
            }),
        }
    }

    /// Products are linear in each operand apart, a solution in the right side.
    pub(crate) fn transpose(self, at: At<'_>, linear: &[bool], ct: Id) -> Vec<Option<Id>> {
        let At { g, x, .. } = at;
        match self {
            // Giles 2008, "Collected Matrix Derivative Results": the cotangents are ct bᵀ and aᵀ ct.
            Contract::Matmul if linear[0] => {
                let b = flipped(g, x[1]);
                vec![Some(g.product(ct, b)), None]
            }
            Contract::Matmul => {
                let a = flipped(g, x[0]);
                vec![None, Some(g.product(a, ct))]
            }
            Contract::Solve if !linear[0] => {
                let a = flipped(g, x[0]);
                vec![None, Some(g.op(Op::Contract(Contract::Solve), &[a, ct]))]
            }
            Contract::Solve | Contract::LogDet => not_linear(self.name()),
        }
    }
}

/// The last two axes exchanged.
fn flipped(g: &mut Graph, x: Id) -> Id {
    let rank = g.ty(x).rank();
    let mut axes: Vec<usize> = (0..rank).collect();
    axes.swap(rank - 2, rank - 1);
    g.permuted(x, axes)
}

/// Gaussian elimination with the greatest pivot of each column; the sign of the permutation.
fn eliminate(a: &mut [f64], n: usize, b: &mut [f64], m: usize) -> f64 {
    let mut sign = 1.0;
    for k in 0..n {
        let pivot = (k..n).fold(k, |best, i| if a[i * n + k].abs() > a[best * n + k].abs() { i } else { best });
        if pivot != k {
            sign = -sign;
            (0..n).for_each(|j| a.swap(k * n + j, pivot * n + j));
            (0..m).for_each(|j| b.swap(k * m + j, pivot * m + j));
        }
        for i in k + 1..n {
            let factor = a[i * n + k] / a[k * n + k];
            (k..n).for_each(|j| a[i * n + j] -= factor * a[k * n + j]);
            (0..m).for_each(|j| b[i * m + j] -= factor * b[k * m + j]);
        }
    }
    sign
}

/// Solves a triangle from its last row up.
fn substitute(a: &[f64], n: usize, b: &mut [f64], m: usize) {
    for i in (0..n).rev() {
        for j in 0..m {
            let known: f64 = (i + 1..n).map(|k| a[i * n + k] * b[k * m + j]).sum();
            b[i * m + j] = (b[i * m + j] - known) / a[i * n + i];
        }
    }
}
