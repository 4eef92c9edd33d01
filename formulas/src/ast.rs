//! The syntax tree: what was written, before names and types are known.
//!
//! Trees come from [`crate::parse()`] or are built by a program with the constructors of [`Ast`]; the second kind has no places.
//! `Display` prints a tree as text that parses to the same tree (a property test says so), so text is the one
//! stored form of a formula: TOML, the Rust DSL and HTTP all end here.

use crate::problem::Span;
use crate::value::Value;

/// One written expression and its place.
#[derive(Clone, Debug, PartialEq)]
pub struct Ast {
    /// What it is.
    pub kind: AstKind,
    /// Where it stands in the text, its parentheses included.
    pub span: Span,
    /// Where to point when the node itself is wrong: at the operator of a unary or binary operation, at the name of a
    /// member or call, else at all of it.
    pub anchor: Span,
}

impl Ast {
    /// A node at a place.
    pub fn new(kind: AstKind, span: Span) -> Ast {
        Ast { kind, span, anchor: span }
    }

    /// A node that stands in no text, for trees that a program builds.
    pub fn of(kind: AstKind) -> Ast {
        Ast::new(kind, Span::default())
    }

    /// `name`.
    pub fn ident(name: impl Into<String>) -> Ast {
        Ast::of(AstKind::Ident(name.into()))
    }

    /// A constant.
    pub fn literal(value: impl Into<Value>) -> Ast {
        Ast::of(AstKind::Literal(value.into()))
    }

    /// `self.name`.
    pub fn select(self, name: impl Into<String>) -> Ast {
        Ast::of(AstKind::Select(Box::new(self), name.into(), Span::default()))
    }

    /// `self[*]`.
    pub fn each(self) -> Ast {
        Ast::of(AstKind::Each(Box::new(self)))
    }

    /// `op self`.
    pub fn unary(op: UnaryOp, a: Ast) -> Ast {
        Ast::of(AstKind::Unary(op, Box::new(a)))
    }

    /// `a op b`.
    pub fn binary(op: BinaryOp, a: Ast, b: Ast) -> Ast {
        Ast::of(AstKind::Binary(op, Box::new(a), Box::new(b)))
    }

    /// `c ? a : b`.
    pub fn ternary(c: Ast, a: Ast, b: Ast) -> Ast {
        Ast::of(AstKind::Ternary(Box::new(c), Box::new(a), Box::new(b)))
    }

    /// `function(args…)`.
    pub fn call(function: impl Into<String>, args: Vec<Ast>) -> Ast {
        Ast::of(AstKind::Call { function: function.into(), name_span: Span::default(), target: None, args })
    }

    /// The direct parts, in the order written.
    pub fn parts(&self) -> Vec<&Ast> {
        match &self.kind {
            AstKind::Literal(_) | AstKind::Ident(_) => vec![],
            AstKind::Select(a, _, _) | AstKind::Each(a) | AstKind::Unary(_, a) => vec![a],
            AstKind::Index(a, b) | AstKind::Binary(_, a, b) => vec![a, b],
            AstKind::Call { target, args, .. } => target.iter().map(|t| &**t).chain(args).collect(),
            AstKind::Ternary(c, a, b) => vec![c, a, b],
            AstKind::List(items) => items.iter().collect(),
            AstKind::Map(entries) => entries.iter().flat_map(|(k, v)| [k, v]).collect(),
        }
    }

    /// The same tree with every place forgotten: what two texts of one formula share.
    pub fn without_spans(&self) -> Ast {
        let again = |a: &Ast| Box::new(a.without_spans());
        let all = |items: &[Ast]| items.iter().map(Ast::without_spans).collect();
        Ast::of(match &self.kind {
            k @ (AstKind::Literal(_) | AstKind::Ident(_)) => k.clone(),
            AstKind::Select(a, name, _) => AstKind::Select(again(a), name.clone(), Span::default()),
            AstKind::Each(a) => AstKind::Each(again(a)),
            AstKind::Index(a, b) => AstKind::Index(again(a), again(b)),
            AstKind::Call { function, target, args, .. } => AstKind::Call {
                function: function.clone(),
                name_span: Span::default(),
                target: target.as_deref().map(again),
                args: all(args),
            },
            AstKind::Unary(op, a) => AstKind::Unary(*op, again(a)),
            AstKind::Binary(op, a, b) => AstKind::Binary(*op, again(a), again(b)),
            AstKind::Ternary(c, a, b) => AstKind::Ternary(again(c), again(a), again(b)),
            AstKind::List(items) => AstKind::List(all(items)),
            AstKind::Map(entries) => AstKind::Map(entries.iter().map(|(k, v)| (k.without_spans(), v.without_spans())).collect()),
        })
    }
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

impl UnaryOp {
    /// As it is written.
    pub fn symbol(self) -> &'static str {
        match self {
            UnaryOp::Not => "!",
            UnaryOp::Neg => "-",
        }
    }
}

impl BinaryOp {
    /// As it is written.
    pub fn symbol(self) -> &'static str {
        match self {
            BinaryOp::Add => "+",
            BinaryOp::Sub => "-",
            BinaryOp::Mul => "*",
            BinaryOp::Div => "/",
            BinaryOp::Rem => "%",
            BinaryOp::Eq => "==",
            BinaryOp::Ne => "!=",
            BinaryOp::Lt => "<",
            BinaryOp::Le => "<=",
            BinaryOp::Gt => ">",
            BinaryOp::Ge => ">=",
            BinaryOp::In => "in",
            BinaryOp::And => "&&",
            BinaryOp::Or => "||",
        }
    }

    /// How tightly it binds, as in CEL: 2 for `||`, 3 for `&&`, 4 for comparisons, 5 for sums, 6 for products. All
    /// associate to the left. The ternary binds looser (1), prefix operators (7) and members (8) tighter.
    pub fn precedence(self) -> u8 {
        match self {
            BinaryOp::Or => 2,
            BinaryOp::And => 3,
            BinaryOp::Eq | BinaryOp::Ne | BinaryOp::Lt | BinaryOp::Le | BinaryOp::Gt | BinaryOp::Ge | BinaryOp::In => 4,
            BinaryOp::Add | BinaryOp::Sub => 5,
            BinaryOp::Mul | BinaryOp::Div | BinaryOp::Rem => 6,
        }
    }
}
