//! Reverse mode as a rewrite: from an expression and its cotangent to the cotangents of its inputs, as expressions.
//!
//! A cotangent says how much a goal rises with a value. It goes from an expression to its arguments by the rule that stands beside each
//! operator and function ([`ops::binary_derivative`], [`functions::Derivative`]); what comes out are ordinary expressions, so they are
//! shared, shown and kept like any other, and can be differentiated again.
//!
//! - Gradients are doubles: ints and decimals are read as doubles.
//! - Absent is not zero: an input that no path leads to has no entry.
//! - Of `c ? a : b` only the branch that is taken gets a cotangent, and the slope of the other one is not even computed: `x > 0 ? ln(x) : 0`
//!   has the slope 0 at 0. Nothing flows to `c`.
//! - What is flat (`round`, `sign`) and `stop_gradient` pass nothing on, and are told of as [`Pulled::flat`].
//!
//! Kinks: `relu` and `abs` have the slope 0 at 0, `clamp` 0 at a bound, and arguments that are equally least or greatest share it.
//!
//! Cost: linear in the expression times its depth.

use std::collections::{BTreeMap, BTreeSet};

use crate::ast::BinaryOp;
use crate::expr::{Expr, ExprKind, InputId};
use crate::functions::{self, Derivative};
use crate::ops::derivative::{apply, either, holds, negative, number};
use crate::ops::{self};
use crate::types::Type;
use crate::value::Value;

/// The cotangent of a value.
#[derive(Clone, Debug, PartialEq)]
pub struct Cotangent {
    /// What it is.
    pub expr: Expr,
    /// It is 0 where the value does not count (a branch that was not taken), and there nothing may be computed from it: the slope of a dead
    /// branch may be infinite, or NULL. It is then an input or a constant, which costs nothing to ask.
    pub guarded: bool,
}

impl Cotangent {
    /// That of the goal itself.
    pub fn one() -> Cotangent {
        Cotangent { expr: number(1.0), guarded: false }
    }

    /// The sum of two.
    pub fn plus(self, other: Cotangent) -> Cotangent {
        Cotangent { expr: apply(BinaryOp::Add, self.expr, other.expr), guarded: self.guarded || other.guarded }
    }
}

/// What comes of going back through an expression.
#[derive(Clone, Debug, Default)]
pub struct Pulled {
    /// The cotangents of its inputs.
    pub inputs: BTreeMap<InputId, Cotangent>,
    /// What passed nothing on to a wanted input: `round`, `a condition`.
    pub flat: BTreeSet<String>,
}

/// Why there is no way back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoSlope {
    /// The operator or function.
    pub of: String,
    /// Why, lower case, without a full stop.
    pub why: String,
}

/// The cotangents of the inputs of `expr` that are `wanted`, where that of its value is `cotangent`.
///
/// # Errors
/// A wanted input is read through something that has no slope.
pub fn pull(expr: &Expr, cotangent: &Cotangent, wanted: &dyn Fn(InputId) -> bool) -> Result<Pulled, NoSlope> {
    let mut pull = Pull { wanted, start: cotangent, branches: Vec::new(), pulled: Pulled::default() };
    pull.through(expr, cotangent.expr.clone())?;
    Ok(pull.pulled)
}

/// A way back, and where it stands.
struct Pull<'a> {
    wanted: &'a dyn Fn(InputId) -> bool,
    start: &'a Cotangent,
    /// The conditions under which this place counts, the outermost first, and whether they hold there.
    branches: Vec<(Expr, bool)>,
    pulled: Pulled,
}

impl Pull<'_> {
    /// Through `expr`, whose cotangent is `bar`.
    fn through(&mut self, expr: &Expr, bar: Expr) -> Result<(), NoSlope> {
        if !self.reads_wanted(expr) {
            return Ok(());
        }
        match expr.kind() {
            ExprKind::Const(_) | ExprKind::Local(_) => Ok(()),
            ExprKind::Input(id) => {
                self.arrive(*id, bar);
                Ok(())
            }
            ExprKind::Unary(op, a) => self.by_rule(op.symbol(), ops::unary_derivative(*op), std::slice::from_ref(a), &bar),
            ExprKind::Binary(op, a, b) => self.by_rule(op.symbol(), ops::binary_derivative(*op), &[a.clone(), b.clone()], &bar),
            ExprKind::If(c, a, b) => {
                if self.reads_wanted(c) {
                    self.pulled.flat.insert("a condition".into());
                }
                for (branch, holds) in [(a, true), (b, false)] {
                    self.branches.push((c.clone(), holds));
                    self.through(branch, bar.clone())?;
                    self.branches.pop();
                }
                Ok(())
            }
            ExprKind::Call(id, args) => {
                let function = functions::get(*id);
                self.by_rule(function.name, function.derivative, args, &bar)
            }
            ExprKind::List(_) | ExprKind::Comprehension { .. } => {
                Err(no_slope("a list", "it works on lists, which have no slope"))
            }
            ExprKind::Map(_) | ExprKind::Has(..) | ExprKind::Index(..) => {
                Err(no_slope("a map or an index", "what is in a list or a map has no slope"))
            }
            ExprKind::Aggregate { agg, .. } => Err(no_slope(agg.name(), "no plan has replaced it")),
        }
    }

    /// Through an operator or function.
    fn by_rule(&mut self, name: &str, rule: Derivative, args: &[Expr], bar: &Expr) -> Result<(), NoSlope> {
        let partial = match rule {
            Derivative::None { why } => return Err(no_slope(name, why)),
            Derivative::Zero => {
                self.pulled.flat.insert(name.to_owned());
                return Ok(());
            }
            Derivative::Partial(partial) => partial,
        };
        let doubles: Vec<Expr> = args.iter().map(as_double).collect();
        for (i, arg) in args.iter().enumerate() {
            if !self.reads_wanted(arg) {
                continue;
            }
            if matches!(arg.ty(), Type::List(_) | Type::Map(..) | Type::Tensor(_) | Type::Text | Type::Bytes) {
                return Err(no_slope(name, "what is not a number has no slope"));
            }
            let (slope, branches) = unbranched(partial(&doubles, i));
            let before = self.branches.len();
            self.branches.extend(branches);
            if let Some(bar) = times(bar, &slope) {
                self.through(arg, bar)?;
            }
            self.branches.truncate(before);
        }
        Ok(())
    }

    /// A cotangent has come to an input.
    fn arrive(&mut self, id: InputId, bar: Expr) {
        let inner = self.branches.iter().rev().fold(bar, |bar, (condition, holds)| match holds {
            true => either(condition.clone(), bar, number(0.0)),
            false => either(condition.clone(), number(0.0), bar),
        });
        let guarded = self.start.guarded || !self.branches.is_empty();
        let expr = match self.start.guarded {
            true if inner != self.start.expr => {
                either(holds(BinaryOp::Eq, self.start.expr.clone(), number(0.0)), number(0.0), inner)
            }
            _ => inner,
        };
        let more = Cotangent { expr, guarded };
        let sum = match self.pulled.inputs.remove(&id) {
            Some(before) => before.plus(more),
            None => more,
        };
        self.pulled.inputs.insert(id, sum);
    }

    fn reads_wanted(&self, expr: &Expr) -> bool {
        match expr.kind() {
            ExprKind::Input(id) => (self.wanted)(*id),
            _ => expr.args().into_iter().any(|arg| self.reads_wanted(arg)),
        }
    }
}

fn no_slope(of: &str, why: &str) -> NoSlope {
    NoSlope { of: of.to_owned(), why: why.to_owned() }
}

/// A number as a double; what is no number as it is.
pub fn as_double(expr: &Expr) -> Expr {
    match (expr.kind(), expr.ty()) {
        (ExprKind::Const(value), ty) if ty.is_numeric() => match value {
            Value::Int(x) => number(*x as f64),
            Value::Uint(x) => number(*x as f64),
            Value::Decimal(x) => number(x.to_f64()),
            _ => expr.clone(),
        },
        (_, Type::Double) => expr.clone(),
        (_, ty) if ty.is_numeric() || *ty == Type::Dyn => {
            let id = functions::find("double").expect("invariant: the registry has its conversions");
            Expr::new(ExprKind::Call(id, vec![expr.clone()]), Type::Double)
        }
        _ => expr.clone(),
    }
}

/// A slope that is 0 unless conditions hold, without them.
fn unbranched(mut slope: Expr) -> (Expr, Vec<(Expr, bool)>) {
    let is_zero = |expr: &Expr| matches!(expr.kind(), ExprKind::Const(Value::Double(0.0)));
    let mut branches = Vec::new();
    loop {
        slope = match slope.kind() {
            ExprKind::If(c, a, b) if is_zero(b) => {
                branches.push((c.clone(), true));
                a.clone()
            }
            ExprKind::If(c, a, b) if is_zero(a) => {
                branches.push((c.clone(), false));
                b.clone()
            }
            _ => return (slope, branches),
        }
    }
}

/// A cotangent times a slope; nothing where the slope is 0 whatever the row.
fn times(bar: &Expr, slope: &Expr) -> Option<Expr> {
    let constant = |expr: &Expr| match expr.kind() {
        ExprKind::Const(Value::Double(x)) => Some(*x),
        _ => None,
    };
    match (constant(bar), constant(slope)) {
        (_, Some(0.0)) => None,
        (Some(a), Some(b)) => Some(number(a * b)),
        (_, Some(1.0)) => Some(bar.clone()),
        (_, Some(-1.0)) => Some(negative(bar.clone())),
        (Some(1.0), _) => Some(slope.clone()),
        (Some(-1.0), _) => Some(negative(slope.clone())),
        _ => Some(apply(BinaryOp::Mul, bar.clone(), slope.clone())),
    }
}
