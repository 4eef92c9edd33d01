//! The syntax tree: what was written, before names and types are known.
//!
//! `Display` prints a tree as text that parses to the same tree (a property test says so), so text is the one
//! stored form of a formula: TOML, the Rust DSL and HTTP all end here.

use crate::problem::Span;
use crate::value::Value;

/// One written expression and its place.
#[derive(Clone, Debug, PartialEq)]
pub struct Ast {
    /// What it is.
    pub kind: AstKind,
    /// Where it stands in the text.
    pub span: Span,
}

/// What was written.
#[derive(Clone, Debug, PartialEq)]
pub enum AstKind {
    /// `1`, `1u`, `1.5`, `'text'`, `b'bytes'`, `true`, `null`.
    Literal(Value),
    /// `price`, `` `quoted name` ``.
    Ident(String),
    /// `customer.region`; the span is that of the member's name.
    Select(Box<Ast>, String, Span),
    /// `items[*]`: each element or child row.
    Each(Box<Ast>),
    /// `list[0]`, `row["package"]`.
    Index(Box<Ast>, Box<Ast>),
    /// `f(a)` or `target.f(a)`; macros (`has all exists exists_one map filter`) too. The span is that of the name.
    Call {
        /// The function's name.
        function: String,
        /// Where the name stands.
        name_span: Span,
        /// The receiver of a member call.
        target: Option<Box<Ast>>,
        /// The arguments.
        args: Vec<Ast>,
    },
    /// `!a`, `-a`.
    Unary(UnaryOp, Box<Ast>),
    /// `a + b`.
    Binary(BinaryOp, Box<Ast>, Box<Ast>),
    /// `c ? a : b`.
    Ternary(Box<Ast>, Box<Ast>, Box<Ast>),
    /// `[a, b]`.
    List(Vec<Ast>),
    /// `{k: v}`.
    Map(Vec<(Ast, Ast)>),
}

/// Prefix operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum UnaryOp {
    /// `!`
    Not,
    /// `-`
    Neg,
}

/// Infix operators, CEL's, with CEL's precedence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BinaryOp {
    /// `+`
    Add,
    /// `-`
    Sub,
    /// `*`
    Mul,
    /// `/`
    Div,
    /// `%`
    Rem,
    /// `==`
    Eq,
    /// `!=`
    Ne,
    /// `<`
    Lt,
    /// `<=`
    Le,
    /// `>`
    Gt,
    /// `>=`
    Ge,
    /// `in`
    In,
    /// `&&`
    And,
    /// `||`
    Or,
}
