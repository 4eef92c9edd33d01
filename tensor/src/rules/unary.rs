//! One operand, element by element.

use super::{At, not_linear};
use crate::graph::Id;
use crate::rules::Binary;

/// An operation on one element.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)] // They are what they are called.
pub enum Unary {
    Neg,
    Abs,
    Sign,
    Exp,
    Expm1,
    Log,
    Log1p,
    Sqrt,
    Rsqrt,
    Sin,
    Cos,
    Tanh,
    Sigmoid,
    Softplus,
    Relu,
    Erf,
}

/// 2 / sqrt(pi).
const ERF_SLOPE_AT_0: f64 = std::f64::consts::FRAC_2_SQRT_PI;

impl Unary {
    /// Every one, for tests and tables.
    pub const ALL: [Unary; 16] = {
        use Unary::*;
        [Neg, Abs, Sign, Exp, Expm1, Log, Log1p, Sqrt, Rsqrt, Sin, Cos, Tanh, Sigmoid, Softplus, Relu, Erf]
    };

    /// What messages call it.
    pub fn name(self) -> &'static str {
        match self {
            Unary::Neg => "neg",
            Unary::Abs => "abs",
            Unary::Sign => "sign",
            Unary::Exp => "exp",
            Unary::Expm1 => "expm1",
            Unary::Log => "log",
            Unary::Log1p => "log1p",
            Unary::Sqrt => "sqrt",
            Unary::Rsqrt => "rsqrt",
            Unary::Sin => "sin",
            Unary::Cos => "cos",
            Unary::Tanh => "tanh",
            Unary::Sigmoid => "sigmoid",
            Unary::Softplus => "softplus",
            Unary::Relu => "relu",
            Unary::Erf => "erf",
        }
    }

    /// What it computes.
    pub fn apply(self, x: f64) -> f64 {
        match self {
            Unary::Neg => -x,
            Unary::Abs => x.abs(),
            Unary::Sign if x == 0.0 => 0.0,
            Unary::Sign => x.signum(),
            Unary::Exp => x.exp(),
            Unary::Expm1 => x.exp_m1(),
            Unary::Log => x.ln(),
            Unary::Log1p => x.ln_1p(),
            Unary::Sqrt => x.sqrt(),
            Unary::Rsqrt => 1.0 / x.sqrt(),
            Unary::Sin => x.sin(),
            Unary::Cos => x.cos(),
            Unary::Tanh => x.tanh(),
            Unary::Sigmoid => 1.0 / (1.0 + (-x).exp()),
            Unary::Softplus => x.max(0.0) + (-x.abs()).exp().ln_1p(),
            Unary::Relu if x <= 0.0 => 0.0,
            Unary::Relu => x,
            Unary::Erf => libm::erf(x),
        }
    }

    /// The slope times the tangent. Kinks: `abs` and `relu` have slope 0 at 0. Where a slope may be infinite, a tangent of 0 stays 0: a
    /// branch that was not taken has no say.
    pub(crate) fn jvp(self, at: At<'_>, t: Id) -> Option<Id> {
        let At { g, x, y } = at;
        let x = x[0];
        Some(match self {
            Unary::Neg => g.unary(Unary::Neg, t),
            Unary::Abs => {
                let sign = g.unary(Unary::Sign, x);
                g.binary(Binary::Mul, sign, t)
            }
            Unary::Sign => return None,
            Unary::Exp => g.binary(Binary::Mul, y, t),
            Unary::Expm1 => {
                let slope = g.plus(y, 1.0);
                g.binary(Binary::Mul, slope, t)
            }
            Unary::Log => {
                let slope = g.recip(x);
                g.binary(Binary::Scale, slope, t)
            }
            Unary::Log1p => {
                let above = g.plus(x, 1.0);
                let slope = g.recip(above);
                g.binary(Binary::Scale, slope, t)
            }
            Unary::Sqrt => {
                let twice = g.times(y, 2.0);
                let slope = g.recip(twice);
                g.binary(Binary::Scale, slope, t)
            }
            Unary::Rsqrt => {
                let slope = g.binary(Binary::Div, y, x);
                let slope = g.times(slope, -0.5);
                g.binary(Binary::Scale, slope, t)
            }
            Unary::Sin => {
                let slope = g.unary(Unary::Cos, x);
                g.binary(Binary::Mul, slope, t)
            }
            Unary::Cos => {
                let slope = g.unary(Unary::Sin, x);
                let slope = g.unary(Unary::Neg, slope);
                g.binary(Binary::Mul, slope, t)
            }
            Unary::Tanh => {
                let square = g.binary(Binary::Mul, y, y);
                let slope = g.minus_from(1.0, square);
                g.binary(Binary::Mul, slope, t)
            }
            Unary::Sigmoid => {
                let other = g.minus_from(1.0, y);
                let slope = g.binary(Binary::Mul, y, other);
                g.binary(Binary::Mul, slope, t)
            }
            Unary::Softplus => {
                let slope = g.unary(Unary::Sigmoid, x);
                g.binary(Binary::Mul, slope, t)
            }
            Unary::Relu => {
                let zero = g.like(x, 0.0);
                let slope = g.binary(Binary::Greater, y, zero);
                g.binary(Binary::Mul, slope, t)
            }
            Unary::Erf => {
                let square = g.binary(Binary::Mul, x, x);
                let square = g.unary(Unary::Neg, square);
                let bell = g.unary(Unary::Exp, square);
                let slope = g.times(bell, ERF_SLOPE_AT_0);
                g.binary(Binary::Mul, slope, t)
            }
        })
    }

    /// Of these only `neg` is linear.
    pub(crate) fn transpose(self, at: At<'_>, ct: Id) -> Option<Id> {
        match self {
            Unary::Neg => Some(at.g.unary(Unary::Neg, ct)),
            Unary::Abs
            | Unary::Sign
            | Unary::Exp
            | Unary::Expm1
            | Unary::Log
            | Unary::Log1p
            | Unary::Sqrt
            | Unary::Rsqrt
            | Unary::Sin
            | Unary::Cos
            | Unary::Tanh
            | Unary::Sigmoid
            | Unary::Softplus
            | Unary::Relu
            | Unary::Erf => not_linear(self.name()),
        }
    }

    pub(crate) fn cuts(self) -> bool {
        self == Unary::Sign
    }
}
