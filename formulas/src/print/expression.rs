//! Checked expressions as text, for `explain`.

use std::fmt::{self, Display, Formatter, Write};

use super::literal::Literal;
use super::{MEMBER, TERNARY, UNARY, ident, literal_precedence, separated};
use crate::ast::UnaryOp;
use crate::expr::{Comprehension, Expr, ExprKind, InputId};
use crate::functions;
use crate::value::Value;

impl Expr {
    /// Text of the expression; `name` names its inputs.
    ///
    /// For people: a variable of a comprehension is called `e`, `e2`, … from the outside in, and an aggregate over
    /// relation 3 reads `sum(each 3: body)`.
    pub fn text(&self, name: &dyn Fn(InputId) -> String) -> String {
        Shown { expr: self, name, level: 0 }.to_string()
    }
}

/// An expression below `level` comprehensions.
struct Shown<'a> {
    expr: &'a Expr,
    name: &'a dyn Fn(InputId) -> String,
    level: u32,
}

impl<'a> Shown<'a> {
    fn with(&self, expr: &'a Expr) -> Shown<'a> {
        Shown { expr, name: self.name, level: self.level }
    }

    fn inside(&self, expr: &'a Expr) -> Shown<'a> {
        Shown { expr, name: self.name, level: self.level + 1 }
    }

    /// `expr` where at least `precedence` is needed.
    fn at(&self, expr: &'a Expr, needed: u8) -> String {
        if precedence(expr) < needed { format!("({})", self.with(expr)) } else { self.with(expr).to_string() }
    }

    fn list(&self, f: &mut Formatter<'_>, items: &[Expr]) -> fmt::Result {
        separated(f, items, |f, item| write!(f, "{}", self.with(item)))
    }

    fn member(&self, f: &mut Formatter<'_>, target: &'a Expr, key: &'a Expr) -> fmt::Result {
        match key.kind() {
            ExprKind::Const(Value::Text(name)) => {
                write!(f, "{}.", self.at(target, MEMBER))?;
                ident(f, name)
            }
            _ => write!(f, "{}[{}]", self.at(target, MEMBER), self.with(key)),
        }
    }

    fn comprehension(
        &self,
        f: &mut Formatter<'_>,
        kind: Comprehension,
        over: &'a Expr,
        filter: Option<&'a Expr>,
        body: &'a Expr,
    ) -> fmt::Result {
        write!(f, "{}.{}({}, ", self.at(over, MEMBER), kind.name(), Local(self.level))?;
        if let Some(filter) = filter {
            write!(f, "{}, ", self.inside(filter))?;
        }
        write!(f, "{})", self.inside(body))
    }
}

impl Display for Shown<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.expr.kind() {
            ExprKind::Const(value) => Literal(value).fmt(f),
            ExprKind::Input(id) => f.write_str(&(self.name)(*id)),
            ExprKind::Local(back) => Local(self.level.saturating_sub(back + 1)).fmt(f),
            ExprKind::Unary(op @ UnaryOp::Neg, a) if matches!(a.kind(), ExprKind::Const(_)) => {
                write!(f, "{}({})", op.symbol(), self.with(a))
            }
            ExprKind::Unary(op, a) => write!(f, "{}{}", op.symbol(), self.at(a, UNARY)),
            ExprKind::Binary(op, a, b) => {
                let (left, right) = (self.at(a, op.precedence()), self.at(b, op.precedence() + 1));
                write!(f, "{left} {} {right}", op.symbol())
            }
            ExprKind::If(c, a, b) => {
                let (c, a) = (self.at(c, TERNARY + 1), self.at(a, TERNARY + 1));
                write!(f, "{c} ? {a} : {}", self.at(b, TERNARY))
            }
            ExprKind::List(items) => {
                f.write_char('[')?;
                self.list(f, items)?;
                f.write_char(']')
            }
            ExprKind::Map(entries) => {
                f.write_char('{')?;
                separated(f, entries, |f, (k, v)| write!(f, "{}: {}", self.with(k), self.with(v)))?;
                f.write_char('}')
            }
            ExprKind::Index(target, key) => self.member(f, target, key),
            ExprKind::Has(target, key) => {
                f.write_str("has(")?;
                self.member(f, target, key)?;
                f.write_char(')')
            }
            ExprKind::Call(id, args) => {
                write!(f, "{}(", functions::get(*id).name)?;
                self.list(f, args)?;
                f.write_char(')')
            }
            ExprKind::Comprehension { kind, over, filter, body } => self.comprehension(f, *kind, over, filter.as_ref(), body),
            ExprKind::Aggregate { agg, over, body, second } => {
                write!(f, "{}(each {over}: {}", agg.name(), self.with(body))?;
                if let Some(parameter) = agg.parameter() {
                    write!(f, ", {}", Literal(&parameter))?;
                }
                second.iter().try_for_each(|second| write!(f, ", {}", self.with(second)))?;
                f.write_char(')')
            }
        }
    }
}

fn precedence(expr: &Expr) -> u8 {
    match expr.kind() {
        ExprKind::If(..) => TERNARY,
        ExprKind::Binary(op, ..) => op.precedence(),
        ExprKind::Unary(..) => UNARY,
        ExprKind::Const(value) => literal_precedence(value),
        _ => MEMBER,
    }
}

/// The variable of the comprehension at this level, the outermost being 0.
struct Local(u32);

impl Display for Local {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => f.write_char('e'),
            level => write!(f, "e{}", level + 1),
        }
    }
}

impl Comprehension {
    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            Comprehension::All => "all",
            Comprehension::Exists => "exists",
            Comprehension::ExistsOne => "exists_one",
            Comprehension::Map => "map",
            Comprehension::Filter => "filter",
        }
    }
}
