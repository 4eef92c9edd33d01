//! What programs are written with. Operands that do not fit are an error that names them; lengths that are 1 are repeated.
//!
//! The operations of a first version stand here by their usual names; those that have no rule of their own are written in the others, so
//! their gradients need nothing. [`statistics`] has means and spreads, [`losses`] what is minimised, [`windows`] what slides.

pub mod losses;
pub mod statistics;
pub mod windows;

use crate::error::{Misfit, TensorError};
use crate::graph::{Graph, Id};
use crate::rules::choice::OwnRule;
use crate::rules::layout::has_axis;
use crate::rules::{Binary, Choice, Contract, Index, Layout, Op, Reduce, Unary};
use crate::types::{Dtype, broadcast};

type Built = Result<Id, TensorError>;

macro_rules! unaries {
    ($($name:ident $op:ident $doc:literal;)*) => {
        /// Element by element.
        impl Graph {
            $(#[doc = $doc]
            ///
            /// # Errors
            /// [`TensorError::Dtype`] for row numbers.
            pub fn $name(&mut self, x: Id) -> Built {
                self.try_op(Op::Unary(Unary::$op), &[x])
            })*
        }
    };
}

unaries! {
    neg Neg "`-x`";
    abs Abs "Without its sign; slope 0 at 0.";
    sign Sign "-1, 0 or 1; no slope.";
    exp Exp "e to the power `x`.";
    expm1 Expm1 "`exp(x) - 1`, exact near 0.";
    log Log "The natural logarithm.";
    log1p Log1p "`log(1 + x)`, exact near 0.";
    sqrt Sqrt "The square root; its slope is infinite at 0.";
    rsqrt Rsqrt "One over the square root.";
    sin Sin "The sine of radians.";
    cos Cos "The cosine of radians.";
    tanh Tanh "The hyperbolic tangent.";
    sigmoid Sigmoid "`1 / (1 + exp(-x))`.";
    softplus Softplus "`log(1 + exp(x))`, without overflow.";
    relu Relu "`x` above 0, else 0; slope 0 at 0.";
    erf Erf "The error function.";
}

macro_rules! binaries {
    ($($name:ident $op:ident $doc:literal;)*) => {
        /// Element by element, of two that are repeated to one shape.
        impl Graph {
            $(#[doc = $doc]
            ///
            /// # Errors
            /// [`TensorError::Shape`] or [`TensorError::Dtype`] where they do not fit together.
            pub fn $name(&mut self, a: Id, b: Id) -> Built {
                self.repeated(Op::Binary(Binary::$op), &[a, b])
            })*
        }
    };
}

binaries! {
    add Add "`a + b`";
    sub Sub "`a - b`";
    mul Mul "`a * b`";
    div Div "`a / b`";
    pow Pow "`a` to the power `b`.";
    maximum Max "The greater one; equal ones share the slope.";
    minimum Min "The lesser one; equal ones share the slope.";
    greater Greater "1 where `a > b`, else 0; no slope.";
    equal Equal "1 where `a == b`, else 0; no slope.";
}

impl Graph {
    /// The operands repeated to one shape, then the operation.
    fn repeated(&mut self, op: Op, operands: &[Id]) -> Built {
        let shape = operands.iter().try_fold(Vec::new(), |shape, &id| broadcast(&shape, &self.ty(id).shape));
        let Some(shape) = shape else { return self.try_op(op, operands) };
        let operands: Vec<Id> = operands.iter().map(|&id| self.broadcasted(id, &shape)).collect();
        self.try_op(op, &operands)
    }

    /// `x` with one number: `plus`, `times` and the like are this with a constant.
    ///
    /// # Errors
    /// [`TensorError::Dtype`] for row numbers.
    pub fn add_number(&mut self, a: Id, x: f64) -> Built {
        self.number(a).map(|()| self.plus(a, x))
    }

    /// `a * x`
    ///
    /// # Errors
    /// [`TensorError::Dtype`] for row numbers.
    pub fn mul_number(&mut self, a: Id, x: f64) -> Built {
        self.number(a).map(|()| self.times(a, x))
    }

    /// `a` to the power `x`; where `x` is 2, the product.
    ///
    /// # Errors
    /// [`TensorError::Dtype`] for row numbers.
    pub fn pow_number(&mut self, a: Id, x: f64) -> Built {
        self.number(a)?;
        if x == 2.0 {
            return self.mul(a, a);
        }
        let x = self.like(a, x);
        self.pow(a, x)
    }

    fn number(&mut self, a: Id) -> Result<(), TensorError> {
        self.neg(a).map(|_| ())
    }

    /// `a` where `mask` is not 0, else `b`. What was not taken has no say in the gradient, whatever its slope.
    ///
    /// # Errors
    /// [`TensorError::Shape`] or [`TensorError::Dtype`] where they do not fit together.
    pub fn choose(&mut self, mask: Id, a: Id, b: Id) -> Built {
        self.repeated(Op::Choice(Choice::Select), &[mask, a, b])
    }

    /// The value, without slopes.
    pub fn stop_gradient(&mut self, x: Id) -> Id {
        self.op(Op::Choice(Choice::Stop), &[x])
    }

    /// The same numbers in another width.
    ///
    /// # Errors
    /// [`TensorError::Dtype`] for row numbers, or to them.
    pub fn cast(&mut self, x: Id, to: Dtype) -> Built {
        if !to.is_float() {
            let misfit = Misfit::dtype(format!("{to} is no floating-point number"), "cast to f32 or f64");
            return Err(misfit.at("cast", self.describe(x)));
        }
        if self.ty(x).dtype == to { Ok(x) } else { self.try_op(Op::Choice(Choice::Cast(to)), &[x]) }
    }

    /// `y`, a program over `inputs`, with a rule of one's own for its slopes to them. The rule's answer is again a program, so it may be
    /// differentiated again.
    ///
    /// ```
    /// use thalweg_tensor::{Dtype, Graph, OwnRule, Tensor};
    ///
    /// // Rounds going forward, lets the gradient through going back.
    /// let mut g = Graph::new();
    /// let x = g.input("x", Dtype::F64, []);
    /// let sign = g.sign(x).unwrap();
    /// let straight = OwnRule::new("straight_through", |_, _, _, ct| vec![Some(ct)]);
    /// let y = g.with_rule(sign, &[x], straight);
    /// let slope = g.gradient(y, &[x]).unwrap()[0].unwrap();
    /// let at = [(x, Tensor::of([], [0.3]))];
    /// assert_eq!(g.evaluate(&[y, slope], &at).unwrap(), [Tensor::of([], [1.0]), Tensor::of([], [1.0])]);
    /// ```
    pub fn with_rule(&mut self, y: Id, inputs: &[Id], rule: OwnRule) -> Id {
        let operands: Vec<Id> = std::iter::once(y).chain(inputs.iter().copied()).collect();
        self.op(Op::Choice(Choice::Own(rule)), &operands)
    }
}

/// Places.
impl Graph {
    /// Repeated to `shape`.
    ///
    /// # Errors
    /// [`TensorError::Shape`] where a length is neither equal nor 1.
    pub fn broadcast(&mut self, x: Id, shape: &[usize]) -> Built {
        self.try_op(Op::Layout(Layout::Broadcast(shape.to_vec())), &[x])
    }

    /// The same elements in `shape`.
    ///
    /// # Errors
    /// [`TensorError::Shape`] where it has another number of elements.
    pub fn reshape(&mut self, x: Id, shape: &[usize]) -> Built {
        self.try_op(Op::Layout(Layout::Reshape(shape.to_vec())), &[x])
    }

    /// Axis `i` of the result is axis `axes[i]` of `x`.
    ///
    /// # Errors
    /// [`TensorError::Shape`] where an axis is missing.
    pub fn transpose(&mut self, x: Id, axes: &[usize]) -> Built {
        self.try_op(Op::Layout(Layout::Permute(axes.to_vec())), &[x])
    }

    /// `len` places along `axis`, from `start` on.
    ///
    /// # Errors
    /// [`TensorError::Shape`] where it goes beyond the axis.
    pub fn slice(&mut self, x: Id, axis: usize, start: usize, len: usize) -> Built {
        self.try_op(Op::Layout(Layout::Slice { axis, start, len }), &[x])
    }

    /// Zeros along `axis`, in front and behind.
    ///
    /// # Errors
    /// [`TensorError::Shape`] where there is no such axis.
    pub fn pad(&mut self, x: Id, axis: usize, before: usize, after: usize) -> Built {
        self.number(x)?;
        self.try_op(Op::Layout(Layout::Pad { axis, before, after }), &[x])
    }

    /// One behind the other along `axis`.
    ///
    /// # Errors
    /// [`TensorError::Shape`] where another length differs.
    ///
    /// # Panics
    /// If there are none.
    pub fn concat(&mut self, parts: &[Id], axis: usize) -> Built {
        assert!(!parts.is_empty(), "concat needs a part");
        self.try_op(Op::Layout(Layout::Concat { axis }), parts)
    }
}

/// Sums and extremes.
impl Graph {
    /// The sum of all elements.
    ///
    /// # Errors
    /// [`TensorError::Dtype`] for row numbers.
    pub fn sum(&mut self, x: Id) -> Built {
        let axes: Vec<usize> = (0..self.ty(x).rank()).collect();
        self.sum_over(x, &axes)
    }

    /// The sum over `axes`, which are gone afterwards.
    ///
    /// # Errors
    /// [`TensorError::Shape`] where there is no such axis.
    pub fn sum_over(&mut self, x: Id, axes: &[usize]) -> Built {
        let mut axes = axes.to_vec();
        axes.sort_unstable();
        axes.dedup();
        self.try_op(Op::Reduce(Reduce::Sum(axes)), &[x])
    }

    /// The greatest along `axis`; equal ones share the slope.
    ///
    /// # Errors
    /// [`TensorError::Shape`] where there is no such axis, or nothing along it.
    pub fn max_over(&mut self, x: Id, axis: usize) -> Built {
        self.try_op(Op::Reduce(Reduce::Max(axis)), &[x])
    }

    /// The least along `axis`; equal ones share the slope.
    ///
    /// # Errors
    /// [`TensorError::Shape`] where there is no such axis, or nothing along it.
    pub fn min_over(&mut self, x: Id, axis: usize) -> Built {
        self.try_op(Op::Reduce(Reduce::Min(axis)), &[x])
    }

    /// The greatest of all.
    ///
    /// # Errors
    /// [`TensorError::Shape`] where there is nothing.
    pub fn max(&mut self, x: Id) -> Built {
        let flat = self.reshape(x, &[self.ty(x).len()])?;
        self.max_over(flat, 0)
    }

    /// The least of all.
    ///
    /// # Errors
    /// [`TensorError::Shape`] where there is nothing.
    pub fn min(&mut self, x: Id) -> Built {
        let flat = self.reshape(x, &[self.ty(x).len()])?;
        self.min_over(flat, 0)
    }

    /// Running sums along `axis`.
    ///
    /// # Errors
    /// [`TensorError::Shape`] where there is no such axis.
    pub fn cumsum(&mut self, x: Id, axis: usize) -> Built {
        self.try_op(Op::Reduce(Reduce::Cumsum { axis, reverse: false }), &[x])
    }

    /// The product along `axis`: halves are multiplied, so zeros need no care and the gradient is exact.
    ///
    /// # Errors
    /// [`TensorError::Shape`] where there is no such axis.
    pub fn prod_over(&mut self, x: Id, axis: usize) -> Built {
        self.number(x)?;
        has_axis(self.ty(x), axis).map_err(|misfit| misfit.at("prod", self.describe(x)))?;
        let mut x = x;
        let mut shape = self.ty(x).shape.clone();
        loop {
            let len = self.ty(x).shape[axis];
            if len <= 1 {
                shape.remove(axis);
                return if len == 0 { Ok(self.constant(self.ty(x).dtype, shape, 1.0)) } else { self.reshape(x, &shape) };
            }
            let (first, second) = (self.slice(x, axis, 0, len / 2)?, self.slice(x, axis, len / 2, len / 2)?);
            let product = self.mul(first, second)?;
            x = if len.is_multiple_of(2) {
                product
            } else {
                let last = self.slice(x, axis, len - 1, 1)?;
                self.concat(&[product, last], axis)?
            };
        }
    }
}

/// Products and rows.
impl Graph {
    /// `[.., m, k]` by `[.., k, n]`; leading axes are repeated.
    ///
    /// # Errors
    /// [`TensorError::Shape`] where the inner lengths differ.
    pub fn matmul(&mut self, a: Id, b: Id) -> Built {
        let (x, y) = (self.ty(a).shape.clone(), self.ty(b).shape.clone());
        let (mut left, mut right) = (a, b);
        if let ([lead @ .., m, k], [other @ .., l, n]) = (x.as_slice(), y.as_slice())
            && let Some(shape) = broadcast(lead, other)
        {
            left = self.broadcasted(a, &[&shape, [*m, *k].as_slice()].concat());
            right = self.broadcasted(b, &[&shape, [*l, *n].as_slice()].concat());
        }
        self.try_op(Op::Contract(Contract::Matmul), &[left, right])
    }

    /// The sum of the products of two vectors.
    ///
    /// # Errors
    /// [`TensorError::Shape`] where they differ in shape.
    pub fn dot(&mut self, a: Id, b: Id) -> Built {
        let products = self.try_op(Op::Binary(Binary::Mul), &[a, b])?;
        self.sum(products)
    }

    /// Every element of one vector by every one of the other.
    ///
    /// # Errors
    /// [`TensorError::Dtype`] where they differ.
    pub fn outer(&mut self, a: Id, b: Id) -> Built {
        let (m, n) = (self.ty(a).len(), self.ty(b).len());
        let (a, b) = (self.reshape(a, &[m, 1])?, self.reshape(b, &[1, n])?);
        self.mul(a, b)
    }

    /// `x` of `a x = b`, for a matrix `b`.
    ///
    /// # Errors
    /// [`TensorError::Shape`] where `a` is not square or `b` has another number of rows.
    pub fn solve(&mut self, a: Id, b: Id) -> Built {
        self.try_op(Op::Contract(Contract::Solve), &[a, b])
    }

    /// The logarithm of a determinant; NaN where that is negative.
    ///
    /// # Errors
    /// [`TensorError::Shape`] where `a` is not square.
    pub fn logdet(&mut self, a: Id) -> Built {
        self.try_op(Op::Contract(Contract::LogDet), &[a])
    }

    /// A 1 at the place of each number, on a new last axis.
    ///
    /// # Errors
    /// [`TensorError::Dtype`] where `numbers` are none.
    pub fn one_hot(&mut self, numbers: Id, dtype: Dtype) -> Built {
        self.try_op(Op::Index(Index::OneHot(dtype)), &[numbers])
    }

    /// The rows of `table` that `numbers` name.
    ///
    /// # Errors
    /// [`TensorError::Shape`] where a number could be beyond the table.
    pub fn gather(&mut self, table: Id, numbers: Id) -> Built {
        self.try_op(Op::Index(Index::Gather), &[table, numbers])
    }

    /// `rows` rows, each the sum of those of `values` that `numbers` sends there: a group-by sum.
    ///
    /// # Errors
    /// [`TensorError::Shape`] where a number could be beyond them, or there is not one for each value.
    pub fn scatter_add(&mut self, values: Id, numbers: Id, rows: usize) -> Built {
        self.try_op(Op::Index(Index::Scatter(rows)), &[values, numbers])
    }
}
