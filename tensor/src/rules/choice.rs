//! Choosing between values, stopping slopes, casting, and rules of one's own.

use super::{At, floats, floats_of, not_linear};
use crate::error::Misfit;
use crate::graph::{Graph, Id};
use crate::types::{Dtype, Type};
use crate::value::{Data, Tensor};
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// What passes a value on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Choice {
    /// `b` where the first operand is not 0, else `c`.
    Select,
    /// The value, without slopes.
    Stop,
    /// The value in another width.
    Cast(Dtype),
    /// The first operand, whose slopes to the others are a rule of one's own.
    Own(OwnRule),
    /// The tangent of that: after the value and the inputs, the inputs' tangents.
    OwnTangent(OwnRule),
}

/// How a cotangent is pulled back: from the inputs, the value and its cotangent, as a program.
pub type Pull = dyn Fn(&mut Graph, &[Id], Id, Id) -> Vec<Option<Id>> + Send + Sync;

/// A named rule for the gradients of a part of a program.
#[derive(Clone)]
pub struct OwnRule {
    /// What messages call it.
    pub name: &'static str,
    pub(crate) pull: Arc<Pull>,
}

impl OwnRule {
    /// A rule. `pull` gives for each input its cotangent, of the input's type, or `None`.
    pub fn new(
        name: &'static str,
        pull: impl Fn(&mut Graph, &[Id], Id, Id) -> Vec<Option<Id>> + Send + Sync + 'static,
    ) -> OwnRule {
        OwnRule { name, pull: Arc::new(pull) }
    }

    fn address(&self) -> *const () {
        Arc::as_ptr(&self.pull).cast()
    }
}

impl std::fmt::Debug for OwnRule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "OwnRule({})", self.name)
    }
}

impl PartialEq for OwnRule {
    fn eq(&self, other: &OwnRule) -> bool {
        self.address() == other.address()
    }
}

impl Eq for OwnRule {}

impl Hash for OwnRule {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.address().hash(state);
    }
}

impl Choice {
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Choice::Select => "where",
            Choice::Stop => "stop_gradient",
            Choice::Cast(_) => "cast",
            Choice::Own(rule) | Choice::OwnTangent(rule) => rule.name,
        }
    }

    pub(crate) fn ty(&self, x: &[&Type]) -> Result<Type, Misfit> {
        match self {
            Choice::Select => super::alike(x).map(|()| x[0].clone()),
            Choice::Stop | Choice::Own(_) | Choice::OwnTangent(_) => Ok(x[0].clone()),
            Choice::Cast(to) => {
                floats(x)?;
                Ok(Type::new(*to, x[0].shape.clone()))
            }
        }
    }

    pub(crate) fn eval(&self, x: &[&Tensor], ty: &Type) -> Data {
        match self {
            Choice::Select => {
                let (mask, a, b) = (x[0].to_f64(), x[1].to_f64(), x[2].to_f64());
                let chosen = mask.iter().zip(a.iter().zip(&b)).map(|(m, (a, b))| if *m == 0.0 { *b } else { *a });
                floats_of(ty.dtype, chosen)
            }
            Choice::Stop | Choice::Own(_) => x[0].data().clone(),
            Choice::Cast(to) => floats_of(*to, x[0].to_f64().into_iter()),
            Choice::OwnTangent(_) => panic!("invariant: jvp refuses a program with rules of its own for gradients"),
        }
    }

    pub(crate) fn jvp(&self, at: At<'_>, t: &[Option<Id>]) -> Option<Id> {
        let At { g, x, y } = at;
        match self {
            Choice::Select => {
                let (a, b) = (t[1], t[2]);
                if a.is_none() && b.is_none() {
                    return None;
                }
                let [a, b] = [a, b].map(|t| t.unwrap_or_else(|| g.like(y, 0.0)));
                Some(g.select(x[0], a, b))
            }
            Choice::Stop => None,
            Choice::Cast(to) => {
                let to = *to;
                t[0].map(|t| g.op(super::Op::Choice(Choice::Cast(to)), &[t]))
            }
            Choice::Own(rule) => {
                if t[1..].iter().all(Option::is_none) {
                    return None;
                }
                let mut operands = vec![y];
                operands.extend_from_slice(&x[1..]);
                for (&x, &t) in x[1..].iter().zip(&t[1..]) {
                    let t = t.unwrap_or_else(|| g.like(x, 0.0));
                    operands.push(t);
                }
                Some(g.op(super::Op::Choice(Choice::OwnTangent(rule.clone())), &operands))
            }
            Choice::OwnTangent(_) => panic!("invariant: jvp refuses a program with rules of its own for gradients"),
        }
    }

    pub(crate) fn transpose(&self, at: At<'_>, ct: Id) -> Vec<Option<Id>> {
        let At { g, x, .. } = at;
        match self {
            Choice::Select => {
                let zero = g.like(ct, 0.0);
                let first = g.select(x[0], ct, zero);
                let second = g.select(x[0], zero, ct);
                vec![None, Some(first), Some(second)]
            }
            Choice::Cast(_) => {
                let from = g.ty(x[0]).dtype;
                vec![Some(g.op(super::Op::Choice(Choice::Cast(from)), &[ct]))]
            }
            Choice::OwnTangent(rule) => {
                let n = x.len() / 2;
                let mut cotangents = (rule.pull)(g, &x[1..=n], x[0], ct);
                cotangents.resize(n, None);
                std::iter::repeat_n(None, n + 1).chain(cotangents).collect()
            }
            Choice::Stop | Choice::Own(_) => not_linear(self.name()),
        }
    }
}
