//! The checked expression: names resolved to numbered inputs, every node typed (dtype and shape included).
//!
//! This is the one IR of the project: text, TOML and the Rust DSL all become it; the planner shares equal
//! sub-expressions of it; the engine compiles it; gradients will be rewrites of it.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

pub use crate::agg::Agg;
use crate::ast::{BinaryOp, UnaryOp};
use crate::functions::FunctionId;
use crate::types::Type;
use crate::value::Value;

/// The number of an input in its expression's environment; the [`crate::check::Scope`] hands it out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct InputId(pub u32);

/// A checked expression; cheap to clone, structurally compared.
#[derive(Clone, Debug)]
pub struct Expr(pub Arc<ExprNode>);

/// A node: what it does, its type, and the hash of its structure.
#[derive(Debug)]
pub struct ExprNode {
    /// What it computes.
    pub kind: ExprKind,
    /// What it gives.
    pub ty: Type,
    hash: u64,
}

/// What an expression computes. Arguments are evaluated left to right; `And`, `Or`, `If` and comprehensions decide
/// what they need.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ExprKind {
    /// A constant.
    Const(Value),
    /// An input of the environment.
    Input(InputId),
    /// The variable of the enclosing comprehension, counted from the innermost (0).
    Local(u32),
    /// `!a`, `-a`.
    Unary(UnaryOp, Expr),
    /// Arithmetic, comparison, `in`, `&&`, `||`.
    Binary(BinaryOp, Expr, Expr),
    /// `c ? a : b`; NULL takes the else branch.
    If(Expr, Expr, Expr),
    /// A list.
    List(Vec<Expr>),
    /// A map.
    Map(Vec<(Expr, Expr)>),
    /// `a[i]`, and member access on dynamic values and maps: `a.name` is `a["name"]`.
    Index(Expr, Expr),
    /// `has(a.name)`: whether the map `a` holds the key.
    Has(Expr, Expr),
    /// A function of the registry.
    Call(FunctionId, Vec<Expr>),
    /// `list.all(x, body)` and its sisters.
    Comprehension {
        /// Which one.
        kind: Comprehension,
        /// The list, or the map whose keys are visited.
        over: Expr,
        /// The condition of a three-argument `map`.
        filter: Option<Expr>,
        /// The body, in which [`ExprKind::Local`] 0 is the element.
        body: Expr,
    },
    /// An aggregate over the child rows of a relation. The planner replaces it by an input before anything runs.
    Aggregate {
        /// Which aggregate.
        agg: Agg,
        /// The relation, numbered by the scope.
        over: u32,
        /// What is aggregated for each child; its inputs may be the child's or the parent's.
        body: Expr,
        /// The second value of each child, where the aggregate takes one.
        second: Option<Expr>,
    },
}

/// Which comprehension.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Comprehension {
    /// `all`
    All,
    /// `exists`
    Exists,
    /// `exists_one`
    ExistsOne,
    /// `map`
    Map,
    /// `filter`
    Filter,
}

impl Expr {
    /// A node over its arguments.
    pub fn new(kind: ExprKind, ty: Type) -> Expr {
        let mut hasher = std::hash::DefaultHasher::new();
        kind.hash(&mut hasher);
        ty.hash(&mut hasher);
        Expr(Arc::new(ExprNode { kind, ty, hash: hasher.finish() }))
    }

    /// What it computes.
    pub fn kind(&self) -> &ExprKind {
        &self.0.kind
    }

    /// What it gives.
    pub fn ty(&self) -> &Type {
        &self.0.ty
    }

    /// The direct arguments, left to right.
    pub fn args(&self) -> Vec<&Expr> {
        match self.kind() {
            ExprKind::Const(_) | ExprKind::Input(_) | ExprKind::Local(_) => vec![],
            ExprKind::Unary(_, a) => vec![a],
            ExprKind::Binary(_, a, b) | ExprKind::Index(a, b) | ExprKind::Has(a, b) => vec![a, b],
            ExprKind::If(c, a, b) => vec![c, a, b],
            ExprKind::List(xs) | ExprKind::Call(_, xs) => xs.iter().collect(),
            ExprKind::Map(entries) => entries.iter().flat_map(|(k, v)| [k, v]).collect(),
            ExprKind::Comprehension { over, filter, body, .. } => std::iter::once(over).chain(filter).chain([body]).collect(),
            ExprKind::Aggregate { body, second, .. } => std::iter::once(body).chain(second).collect(),
        }
    }

    /// The same expression with every direct argument replaced by `f` of it.
    pub fn map_args(&self, mut f: impl FnMut(&Expr) -> Expr) -> Expr {
        let kind = match self.kind() {
            k @ (ExprKind::Const(_) | ExprKind::Input(_) | ExprKind::Local(_)) => k.clone(),
            ExprKind::Unary(op, a) => ExprKind::Unary(*op, f(a)),
            ExprKind::Binary(op, a, b) => ExprKind::Binary(*op, f(a), f(b)),
            ExprKind::Index(a, b) => ExprKind::Index(f(a), f(b)),
            ExprKind::Has(a, b) => ExprKind::Has(f(a), f(b)),
            ExprKind::If(c, a, b) => ExprKind::If(f(c), f(a), f(b)),
            ExprKind::List(xs) => ExprKind::List(xs.iter().map(f).collect()),
            ExprKind::Call(id, xs) => ExprKind::Call(*id, xs.iter().map(f).collect()),
            ExprKind::Map(entries) => ExprKind::Map(entries.iter().map(|(k, v)| (f(k), f(v))).collect()),
            ExprKind::Comprehension { kind, over, filter, body } => {
                ExprKind::Comprehension { kind: *kind, over: f(over), filter: filter.as_ref().map(&mut f), body: f(body) }
            }
            ExprKind::Aggregate { agg, over, body, second } => {
                ExprKind::Aggregate { agg: agg.clone(), over: *over, body: f(body), second: second.as_ref().map(f) }
            }
        };
        Expr::new(kind, self.ty().clone())
    }

    /// Every input it reads, once each, in first-read order.
    pub fn inputs(&self) -> Vec<InputId> {
        fn walk(e: &Expr, seen: &mut Vec<InputId>) {
            if let ExprKind::Input(id) = e.kind()
                && !seen.contains(id)
            {
                seen.push(*id);
            }
            e.args().into_iter().for_each(|a| walk(a, seen));
        }
        let mut seen = Vec::new();
        walk(self, &mut seen);
        seen
    }
}

impl PartialEq for Expr {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || (self.0.hash == other.0.hash && self.0.kind == other.0.kind && self.0.ty == other.0.ty)
    }
}

impl Eq for Expr {}

impl Hash for Expr {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.0.hash);
    }
}
