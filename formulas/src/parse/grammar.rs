//! From tokens to the tree, by precedence climbing.
//!
//! Every function leaves the parser behind what it has read. `Err(Stop)` means that a problem has been noted and reading ends;
//! a problem with an evident cure is noted and reading goes on.

use super::token::{Token, TokenKind};
use super::trouble::foreign;
use super::{DEPTH_MAX, PROBLEMS_MAX};
use crate::ast::{Ast, AstKind, BinaryOp, UnaryOp};
use crate::problem::{Problem, Span};

/// Whether an unquoted `name` is a keyword. Every other name, CEL's reserved words included, may name a column.
pub(crate) fn is_keyword(name: &str) -> bool {
    matches!(name, "true" | "false" | "null" | "in")
}

/// The tree that `tokens` of `text` write.
pub(super) fn tree(text: &str, tokens: Vec<Token>) -> Result<Ast, Vec<Problem>> {
    let mut parser = Parser { text, tokens, at: 0, nesting: 0, open: Vec::new(), problems: Vec::new() };
    let parsed = parser.whole();
    match parsed {
        Ok(ast) if parser.problems.is_empty() => Ok(ast),
        _ => {
            parser.problems.truncate(PROBLEMS_MAX);
            Err(parser.problems)
        }
    }
}

/// A problem has been noted that reading cannot go on from.
pub(super) struct Stop;

/// A tree and how deep it is.
pub(super) struct Deep {
    pub ast: Ast,
    pub depth: usize,
}

pub(super) struct Parser<'t> {
    pub text: &'t str,
    pub tokens: Vec<Token>,
    pub at: usize,
    nesting: usize,
    /// The brackets that are open, outermost first.
    pub open: Vec<Span>,
    problems: Vec<Problem>,
}

impl Parser<'_> {
    fn whole(&mut self) -> Result<Ast, Stop> {
        if matches!(self.peek().kind, TokenKind::End) {
            return self.stop(
                Problem::new(108, "the formula is empty")
                    .at(self.peek().span, "")
                    .help("write an expression, such as `price * quantity`"),
            );
        }
        let whole = self.expression()?;
        if !matches!(self.peek().kind, TokenKind::End) {
            return self.unexpected("an operator or the end");
        }
        Ok(whole.ast)
    }

    pub fn peek(&self) -> &Token {
        &self.tokens[self.at]
    }

    pub fn peek_at(&self, ahead: usize) -> &Token {
        self.tokens.get(self.at + ahead).unwrap_or_else(|| self.end())
    }

    fn end(&self) -> &Token {
        self.tokens.last().expect("invariant: the lexer ends with End")
    }

    /// Takes a token; the end can be taken any number of times.
    pub fn bump(&mut self) -> Token {
        let token = self.peek().clone();
        if self.at + 1 < self.tokens.len() {
            self.at += 1;
        }
        token
    }

    pub fn eat(&mut self, symbol: &str) -> bool {
        let found = self.peek().is(symbol);
        if found {
            self.bump();
        }
        found
    }

    pub fn note(&mut self, problem: Problem) {
        self.problems.push(problem);
    }

    pub fn stop<T>(&mut self, problem: Problem) -> Result<T, Stop> {
        self.note(problem);
        Err(Stop)
    }

    fn too_deep<T>(&mut self, span: Span) -> Result<T, Stop> {
        self.stop(
            Problem::new(107, format!("the formula is nested too deeply: {DEPTH_MAX} levels are allowed"))
                .at(span, "this is one level too many")
                .help("make fields of its parts and combine those; for a long chain of `==` and `||` write `x in [a, b, c]`"),
        )
    }

    /// Runs `f` one level further down.
    pub fn nested<T>(&mut self, f: impl FnOnce(&mut Self) -> Result<T, Stop>) -> Result<T, Stop> {
        if self.nesting >= DEPTH_MAX {
            return self.too_deep(self.peek().span);
        }
        self.nesting += 1;
        let result = f(self);
        self.nesting -= 1;
        result
    }

    /// A node over parts, the deepest of which is `depth` levels.
    pub fn node(&mut self, kind: AstKind, span: Span, anchor: Span, depth: usize) -> Result<Deep, Stop> {
        if depth >= DEPTH_MAX {
            return self.too_deep(anchor);
        }
        Ok(Deep { ast: Ast { kind, span, anchor }, depth: depth + 1 })
    }

    pub fn leaf(&self, kind: AstKind, span: Span) -> Deep {
        Deep { ast: Ast::new(kind, span), depth: 1 }
    }

    pub fn expression(&mut self) -> Result<Deep, Stop> {
        self.nested(|p| {
            let condition = p.binary(1)?;
            if !p.peek().is("?") {
                return Ok(condition);
            }
            let mark = p.bump().span;
            let then = p.expression()?;
            if !p.eat(":") {
                return p.unexpected("`:` and the value for when the condition is not true");
            }
            let otherwise = p.expression()?;
            let depth = condition.depth.max(then.depth).max(otherwise.depth);
            let span = condition.ast.span.to(otherwise.ast.span);
            let kind = AstKind::Ternary(condition.ast.into(), then.ast.into(), otherwise.ast.into());
            p.node(kind, span, mark, depth)
        })
    }

    /// Operands joined by operators that bind at least as tightly as `floor`.
    fn binary(&mut self, floor: u8) -> Result<Deep, Stop> {
        let mut left = self.unary()?;
        while let Some(op) = self.infix(floor)? {
            let anchor = self.tokens[self.at - 1].span;
            let right = self.binary(op.precedence() + 1)?;
            let span = left.ast.span.to(right.ast.span);
            let depth = left.depth.max(right.depth);
            left = self.node(AstKind::Binary(op, left.ast.into(), right.ast.into()), span, anchor, depth)?;
        }
        Ok(left)
    }

    /// Takes the next infix operator if it binds at least as tightly as `floor`.
    fn infix(&mut self, floor: u8) -> Result<Option<BinaryOp>, Stop> {
        let token = self.peek().clone();
        let (op, meant) = match &token.kind {
            TokenKind::Symbol(symbol) => match own_operator(symbol) {
                Some(op) => (op, false),
                None => match foreign_operator(symbol) {
                    Some(op) => (op, true),
                    None => return Ok(None),
                },
            },
            TokenKind::Name { name, quoted: false } if name == "in" => (BinaryOp::In, false),
            TokenKind::Name { name, quoted: false } => match name.to_ascii_lowercase().as_str() {
                "and" => (BinaryOp::And, true),
                "or" => (BinaryOp::Or, true),
                _ => return Ok(None),
            },
            _ => return Ok(None),
        };
        if op.precedence() < floor {
            return Ok(None);
        }
        if meant {
            self.note(foreign(self.written(token.span), op.symbol(), token.span));
        }
        self.bump();
        Ok(Some(op))
    }

    pub fn written(&self, span: Span) -> &str {
        &self.text[span.start as usize..span.end as usize]
    }

    fn unary(&mut self) -> Result<Deep, Stop> {
        let token = self.peek().clone();
        let op = match &token.kind {
            TokenKind::Symbol("!") => UnaryOp::Not,
            TokenKind::Symbol("-") if matches!(self.peek_at(1).kind, TokenKind::Int(_) | TokenKind::Double(_)) => {
                return self.postfix();
            }
            TokenKind::Symbol("-") => UnaryOp::Neg,
            _ if self.is_foreign_not() => {
                self.note(foreign(self.written(token.span), "!", token.span));
                UnaryOp::Not
            }
            _ => return self.postfix(),
        };
        self.bump();
        let operand = self.nested(Self::unary)?;
        let span = token.span.to(operand.ast.span);
        self.node(AstKind::Unary(op, operand.ast.into()), span, token.span, operand.depth)
    }

    /// `not x`, where `not` cannot be a column or a call.
    fn is_foreign_not(&self) -> bool {
        let next = self.peek_at(1);
        let operand = next.begins_value() && !["(", "[", "{", "-"].iter().any(|s| next.is(s));
        let infix = next.word().is_some_and(|w| matches!(w.to_ascii_lowercase().as_str(), "and" | "or" | "is"));
        self.peek().word().is_some_and(|w| w.eq_ignore_ascii_case("not")) && operand && !infix
    }
}

fn own_operator(symbol: &str) -> Option<BinaryOp> {
    use BinaryOp::*;
    [Add, Sub, Mul, Div, Rem, Eq, Ne, Lt, Le, Gt, Ge, And, Or].into_iter().find(|op| op.symbol() == symbol)
}

/// The operator meant by the spelling of another language.
fn foreign_operator(symbol: &str) -> Option<BinaryOp> {
    Some(match symbol {
        "=" | "===" => BinaryOp::Eq,
        "<>" | "!==" => BinaryOp::Ne,
        "&" => BinaryOp::And,
        "|" => BinaryOp::Or,
        _ => return None,
    })
}
