//! Text of trees with as few parentheses as the grammar allows: [`Ast`] by `Display`, [`crate::Expr`] by [`crate::Expr::text`].
//!
//! Invariant: the text of an [`Ast`] that holds literals of CEL parses to the same tree. Constants that no literal writes
//! (decimals, timestamps, durations, tensors, infinities) print as the call that makes them.

mod expression;
mod literal;

use std::fmt::{self, Display, Formatter, Write};

use crate::ast::{Ast, AstKind, UnaryOp};
use crate::parse::{is_keyword, is_name_part, is_name_start};
use crate::value::Value;

/// Precedence of the ternary.
const TERNARY: u8 = 1;
/// Precedence of prefix operators.
const UNARY: u8 = 7;
/// Precedence of members, calls and literals.
const MEMBER: u8 = 8;

impl Display for Ast {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match &self.kind {
            AstKind::Literal(value) => literal::Literal(value).fmt(f),
            AstKind::Ident(name) => ident(f, name),
            AstKind::Select(target, name, _) => write!(f, "{}.{}", At(target, MEMBER), Member(name)),
            AstKind::Each(target) => write!(f, "{}[*]", At(target, MEMBER)),
            AstKind::Index(target, index) => write!(f, "{}[{index}]", At(target, MEMBER)),
            AstKind::Call { function, target, args, .. } => {
                if let Some(target) = target {
                    write!(f, "{}.", At(target, MEMBER))?;
                }
                write!(f, "{}({})", Member(function), Commas(args))
            }
            AstKind::Unary(op, a) if *op == UnaryOp::Neg && begins_with_digit(a) => write!(f, "-({a})"),
            AstKind::Unary(op, a) => write!(f, "{}{}", op.symbol(), At(a, UNARY)),
            AstKind::Binary(op, a, b) => {
                write!(f, "{} {} {}", At(a, op.precedence()), op.symbol(), At(b, op.precedence() + 1))
            }
            AstKind::Ternary(c, a, b) => write!(f, "{} ? {} : {}", At(c, TERNARY + 1), At(a, TERNARY + 1), At(b, TERNARY)),
            AstKind::List(items) => write!(f, "[{}]", Commas(items)),
            AstKind::Map(entries) => {
                f.write_char('{')?;
                separated(f, entries, |f, (k, v)| write!(f, "{k}: {v}"))?;
                f.write_char('}')
            }
        }
    }
}

fn precedence(ast: &Ast) -> u8 {
    match &ast.kind {
        AstKind::Ternary(..) => TERNARY,
        AstKind::Binary(op, ..) => op.precedence(),
        AstKind::Unary(..) => UNARY,
        AstKind::Literal(value) => literal_precedence(value),
        _ => MEMBER,
    }
}

/// A sign in front makes a number an operand, not a receiver.
fn literal_precedence(value: &Value) -> u8 {
    match value {
        Value::Int(x) if *x < 0 => UNARY,
        Value::Double(x) if x.is_finite() && x.is_sign_negative() => UNARY,
        _ => MEMBER,
    }
}

/// Whether the text begins with a number, so that a `-` in front would become part of it.
fn begins_with_digit(ast: &Ast) -> bool {
    match &ast.kind {
        AstKind::Literal(value) => matches!(value, Value::Int(_) | Value::Double(_)) && literal_precedence(value) == MEMBER,
        AstKind::Select(a, ..) | AstKind::Each(a) | AstKind::Index(a, _) => begins_with_digit(a),
        AstKind::Call { target: Some(a), .. } => begins_with_digit(a),
        _ => false,
    }
}

/// A tree where at least this precedence is needed.
struct At<'a>(&'a Ast, u8);

impl Display for At<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if precedence(self.0) < self.1 { write!(f, "({})", self.0) } else { self.0.fmt(f) }
    }
}

struct Commas<'a>(&'a [Ast]);

impl Display for Commas<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        separated(f, self.0, |f, item| write!(f, "{item}"))
    }
}

/// A name behind a dot or before a parenthesis.
struct Member<'a>(&'a str);

impl Display for Member<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        ident(f, self.0)
    }
}

/// Items with commas between them.
fn separated<T>(f: &mut impl Write, items: &[T], mut write: impl FnMut(&mut dyn Write, &T) -> fmt::Result) -> fmt::Result {
    for (i, item) in items.iter().enumerate() {
        if i > 0 {
            f.write_str(", ")?;
        }
        write(f, item)?;
    }
    Ok(())
}

/// A name, in backticks where the grammar would not take it otherwise.
fn ident(f: &mut impl Write, name: &str) -> fmt::Result {
    let mut chars = name.chars();
    let plain = chars.next().is_some_and(is_name_start) && chars.all(is_name_part) && !is_keyword(name);
    if plain { f.write_str(name) } else { write!(f, "`{}`", name.replace('`', "``")) }
}
