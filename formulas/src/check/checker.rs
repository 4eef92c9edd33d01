//! The walk over the tree. `None` means that a problem has been noted.

use super::Scope;
use super::messages;
use super::names::Meaning;
use super::patterns::Pattern;
use crate::ast::{Ast, AstKind};
use crate::expr::{Expr, ExprKind};
use crate::parse::{DEPTH_MAX, PROBLEMS_MAX};
use crate::problem::Problem;
use crate::types::{Dtype, TensorType, Type};
use crate::value::Value;

pub(super) struct Checker<'s> {
    /// What names mean at the start of a path.
    pub root: &'s dyn Scope,
    /// The variables of the enclosing comprehensions, outermost first.
    pub locals: Vec<Local>,
    /// What `[*]` means here; outside an aggregate, nothing.
    pub pattern: Option<Pattern>,
    problems: Vec<Problem>,
    /// How many more nodes may be visited.
    work_left: u32,
}

/// How many nodes are visited at most. Nested patterns visit their lists twice, so a hostile text could double the work
/// with every level; an honest one stays far below.
const WORK_MAX: u32 = 250_000;

/// The variable of a comprehension; the element of a pattern has no name.
pub(super) struct Local {
    pub name: Option<String>,
    pub ty: Type,
}

impl<'s> Checker<'s> {
    /// Runs `check` on `ast`, unless that is deeper than the parser would have let it be.
    pub fn run(root: &'s dyn Scope, ast: &Ast, check: impl FnOnce(&mut Self) -> Option<Expr>) -> Result<Expr, Vec<Problem>> {
        if is_deeper(ast, DEPTH_MAX) {
            return Err(vec![messages::too_deep()]);
        }
        let mut checker = Checker { root, locals: Vec::new(), pattern: None, problems: Vec::new(), work_left: WORK_MAX };
        match check(&mut checker) {
            Some(expr) if checker.problems.is_empty() => Ok(expr),
            _ => {
                checker.problems.sort_by_key(|p| p.span.map_or(0, |span| span.start));
                checker.problems.dedup();
                checker.problems.truncate(PROBLEMS_MAX);
                Err(checker.problems)
            }
        }
    }

    /// Notes a problem.
    pub fn fail<T>(&mut self, problem: Problem) -> Option<T> {
        self.problems.push(problem);
        None
    }

    /// Counts one visit; `None` once there is no point in going on.
    pub fn visit(&mut self) -> Option<()> {
        if self.problems.len() >= PROBLEMS_MAX {
            return None;
        }
        match self.work_left.checked_sub(1) {
            Some(left) => self.work_left = left,
            None => {
                self.problems.clear();
                self.problems.resize(PROBLEMS_MAX, messages::too_complex());
            }
        }
        Some(())
    }

    /// The value that `ast` stands for.
    pub fn value(&mut self, ast: &Ast) -> Option<Expr> {
        self.visit()?;
        match &ast.kind {
            AstKind::Literal(value) => Some(constant(value.clone())),
            AstKind::Ident(_) | AstKind::Select(..) | AstKind::Each(_) | AstKind::Index(..) => {
                let meaning = self.meaning(ast)?;
                self.meaning_as_value(ast, meaning)
            }
            AstKind::Call { function, name_span, target, args } => self.call(ast, function, *name_span, target.as_deref(), args),
            AstKind::Unary(op, a) => self.unary(ast, *op, a),
            AstKind::Binary(op, a, b) => self.binary(ast, *op, a, b),
            AstKind::Ternary(c, a, b) => self.ternary(ast, c, a, b),
            AstKind::List(items) => self.list(items),
            AstKind::Map(entries) => self.map(entries),
        }
    }

    /// The values of several parts; every one is checked before any failure counts.
    pub fn values<'a>(&mut self, parts: impl IntoIterator<Item = &'a Ast>) -> Option<Vec<Expr>> {
        let checked: Vec<Option<Expr>> = parts.into_iter().map(|part| self.value(part)).collect();
        checked.into_iter().collect()
    }

    fn meaning_as_value(&mut self, ast: &Ast, meaning: Meaning) -> Option<Expr> {
        match meaning {
            Meaning::Value(expr) => Some(expr),
            Meaning::Record { whole: Some(id), .. } => Some(whole_record(id)),
            Meaning::Record { scope, followed, .. } => {
                let row = !followed.is_empty() && matches!(ast.kind, AstKind::Each(_));
                self.fail(messages::record_as_value(ast, &*scope, row))
            }
            Meaning::Children { scope, .. } => self.fail(messages::children_as_value(ast, &*scope)),
        }
    }

    /// Checks with one more variable in scope.
    pub fn with_local<T>(&mut self, name: Option<&str>, ty: Type, f: impl FnOnce(&mut Self) -> T) -> T {
        self.locals.push(Local { name: name.map(str::to_owned), ty });
        let result = f(self);
        self.locals.pop();
        result
    }
}

/// A record as one map from names to values.
pub(super) fn whole_record(id: crate::expr::InputId) -> Expr {
    Expr::new(ExprKind::Input(id), Type::Map(Type::Text.into(), Type::Dyn.into()))
}

/// A constant with the type of its value.
pub(super) fn constant(value: Value) -> Expr {
    let ty = type_of(&value);
    Expr::new(ExprKind::Const(value), ty)
}

/// The type of a constant. What lists and maps hold is not looked at: literals write them as expressions.
fn type_of(value: &Value) -> Type {
    match value {
        Value::Null => Type::Null,
        Value::Bool(_) => Type::Bool,
        Value::Int(_) => Type::Int,
        Value::Uint(_) => Type::Uint,
        Value::Double(_) => Type::Double,
        Value::Text(_) => Type::Text,
        Value::Bytes(_) => Type::Bytes,
        Value::Timestamp(_) => Type::Timestamp,
        Value::Duration(_) => Type::Duration,
        Value::Decimal(x) => Type::Decimal { precision: x.digits().max(x.scale()).max(1), scale: x.scale() },
        Value::List(_) => Type::List(Type::Dyn.into()),
        Value::Map(_) => Type::Map(Type::Dyn.into(), Type::Dyn.into()),
        Value::Tensor(x) => Type::Tensor(TensorType { dtype: Dtype::F64, shape: x.array().shape().to_vec() }),
    }
}

/// Whether any path through `ast` is longer than `limit`, found without recursion.
fn is_deeper(ast: &Ast, limit: usize) -> bool {
    let mut todo = vec![(ast, 1)];
    while let Some((ast, depth)) = todo.pop() {
        if depth > limit {
            return true;
        }
        todo.extend(ast.parts().into_iter().map(|part| (part, depth + 1)));
    }
    false
}
