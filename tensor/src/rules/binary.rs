//! Two operands of one shape, element by element. Comparisons give 1 or 0 and have no slope.

use super::{At, not_linear};
use crate::graph::Id;
use crate::rules::Unary;

/// An operation on two elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Binary {
    /// `a + b`
    Add,
    /// `a - b`
    Sub,
    /// `a * b`
    Mul,
    /// `a * b`, but 0 where `b` is 0, whatever `a`: a slope times a tangent that may not count.
    Scale,
    /// `a / b`
    Div,
    /// `a` to the power `b`
    Pow,
    /// The greater one; equal ones share the slope.
    Max,
    /// The lesser one; equal ones share the slope.
    Min,
    /// 1 where `a > b`, else 0
    Greater,
    /// 1 where `a == b`, else 0
    Equal,
}

impl Binary {
    /// Every one, for tests and tables.
    pub const ALL: [Binary; 10] = {
        use Binary::*;
        [Add, Sub, Mul, Scale, Div, Pow, Max, Min, Greater, Equal]
    };

    /// What messages call it.
    pub fn name(self) -> &'static str {
        match self {
            Binary::Add => "add",
            Binary::Sub => "sub",
            Binary::Mul => "mul",
            Binary::Scale => "scale",
            Binary::Div => "div",
            Binary::Pow => "pow",
            Binary::Max => "maximum",
            Binary::Min => "minimum",
            Binary::Greater => "greater",
            Binary::Equal => "equal",
        }
    }

    /// What it computes.
    pub fn apply(self, a: f64, b: f64) -> f64 {
        let truth = |holds: bool| if holds { 1.0 } else { 0.0 };
        match self {
            Binary::Add => a + b,
            Binary::Sub => a - b,
            Binary::Mul => a * b,
            Binary::Scale if b == 0.0 => 0.0,
            Binary::Scale => a * b,
            Binary::Div => a / b,
            Binary::Pow => a.powf(b),
            Binary::Max if a.is_nan() || a > b => a,
            Binary::Max => b,
            Binary::Min if a.is_nan() || a < b => a,
            Binary::Min => b,
            Binary::Greater => truth(a > b),
            Binary::Equal => truth(a == b),
        }
    }

    /// The sum of what each operand's tangent does.
    pub(crate) fn jvp(self, at: At<'_>, ta: Option<Id>, tb: Option<Id>) -> Option<Id> {
        let At { g, x, y } = at;
        let (a, b) = (x[0], x[1]);
        let (ta, tb) = match self {
            Binary::Add => (ta, tb),
            Binary::Sub => (ta, tb.map(|t| g.unary(Unary::Neg, t))),
            Binary::Mul => (ta.map(|t| g.binary(Binary::Mul, b, t)), tb.map(|t| g.binary(Binary::Mul, a, t))),
            Binary::Scale => (ta.map(|t| g.binary(Binary::Scale, t, b)), tb.map(|t| g.binary(Binary::Scale, a, t))),
            Binary::Div => {
                let slope = g.recip(b);
                let ta = ta.map(|t| g.binary(Binary::Scale, slope, t));
                let tb = tb.map(|t| {
                    let slope = g.binary(Binary::Mul, y, slope);
                    let slope = g.unary(Unary::Neg, slope);
                    g.binary(Binary::Scale, slope, t)
                });
                (ta, tb)
            }
            Binary::Pow => {
                let ta = ta.map(|t| {
                    let less = g.plus(b, -1.0);
                    let power = g.binary(Binary::Pow, a, less);
                    let slope = g.binary(Binary::Scale, power, b);
                    g.binary(Binary::Scale, slope, t)
                });
                let tb = tb.map(|t| {
                    let log = g.unary(Unary::Log, a);
                    let slope = g.binary(Binary::Scale, log, y);
                    g.binary(Binary::Scale, slope, t)
                });
                (ta, tb)
            }
            Binary::Max | Binary::Min => {
                let (above, below) = if self == Binary::Max { (a, b) } else { (b, a) };
                let first = g.binary(Binary::Greater, above, below);
                let tie = g.binary(Binary::Equal, a, b);
                let half = g.times(tie, 0.5);
                let share = g.binary(Binary::Add, first, half);
                let rest = g.minus_from(1.0, share);
                (ta.map(|t| g.binary(Binary::Mul, share, t)), tb.map(|t| g.binary(Binary::Mul, rest, t)))
            }
            Binary::Greater | Binary::Equal => (None, None),
        };
        g.sum_of(ta, tb)
    }

    /// Sums are linear in both together, products in each apart, quotients in the first.
    pub(crate) fn transpose(self, at: At<'_>, linear: &[bool], ct: Id) -> Vec<Option<Id>> {
        let At { g, x, .. } = at;
        match self {
            Binary::Add => vec![Some(ct), Some(ct)],
            Binary::Sub => vec![Some(ct), Some(g.unary(Unary::Neg, ct))],
            Binary::Mul if linear[0] => vec![Some(g.binary(Binary::Mul, ct, x[1])), None],
            Binary::Mul => vec![None, Some(g.binary(Binary::Mul, x[0], ct))],
            Binary::Scale if linear[0] => vec![Some(g.binary(Binary::Scale, ct, x[1])), None],
            Binary::Scale => vec![None, Some(g.binary(Binary::Scale, x[0], ct))],
            Binary::Div if linear[0] => vec![Some(g.binary(Binary::Div, ct, x[1])), None],
            Binary::Div | Binary::Pow | Binary::Max | Binary::Min | Binary::Greater | Binary::Equal => not_linear(self.name()),
        }
    }

    pub(crate) fn cuts(self) -> bool {
        matches!(self, Binary::Greater | Binary::Equal)
    }
}
