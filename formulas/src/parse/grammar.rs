//! From tokens to the tree, by precedence climbing.
//!
//! Every function leaves the parser behind what it has read. `Err(Stop)` means that a problem has been noted and reading ends;
//! a problem with an evident cure is noted and reading goes on.

use super::token::{Token, TokenKind};
use super::{DEPTH_MAX, PROBLEMS_MAX};
use crate::ast::{Ast, AstKind, BinaryOp, UnaryOp};
use crate::problem::{Problem, Span};
use crate::value::Value;

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
struct Stop;

/// A tree and how deep it is.
struct Deep {
    ast: Ast,
    depth: usize,
}

struct Parser<'t> {
    text: &'t str,
    tokens: Vec<Token>,
    at: usize,
    nesting: usize,
    /// The brackets that are open, outermost first.
    open: Vec<Span>,
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

    // ── Tokens ──

    fn peek(&self) -> &Token {
        &self.tokens[self.at]
    }

    fn peek_at(&self, ahead: usize) -> &Token {
        self.tokens.get(self.at + ahead).unwrap_or_else(|| self.end())
    }

    fn end(&self) -> &Token {
        self.tokens.last().expect("invariant: the lexer ends with End")
    }

    /// Takes a token; the end can be taken any number of times.
    fn bump(&mut self) -> Token {
        let token = self.peek().clone();
        if self.at + 1 < self.tokens.len() {
            self.at += 1;
        }
        token
    }

    fn eat(&mut self, symbol: &str) -> bool {
        let found = self.peek().is(symbol);
        if found {
            self.bump();
        }
        found
    }

    fn note(&mut self, problem: Problem) {
        self.problems.push(problem);
    }

    fn stop<T>(&mut self, problem: Problem) -> Result<T, Stop> {
        self.note(problem);
        Err(Stop)
    }

    // ── Depth ──

    fn too_deep<T>(&mut self, span: Span) -> Result<T, Stop> {
        self.stop(
            Problem::new(107, format!("the formula is nested too deeply: {DEPTH_MAX} levels are allowed"))
                .at(span, "this is one level too many")
                .help("make fields of its parts and combine those; for a long chain of `==` and `||` write `x in [a, b, c]`"),
        )
    }

    /// Runs `f` one level further down.
    fn nested<T>(&mut self, f: impl FnOnce(&mut Self) -> Result<T, Stop>) -> Result<T, Stop> {
        if self.nesting >= DEPTH_MAX {
            return self.too_deep(self.peek().span);
        }
        self.nesting += 1;
        let result = f(self);
        self.nesting -= 1;
        result
    }

    /// A node over parts, the deepest of which is `depth` levels.
    fn node(&mut self, kind: AstKind, span: Span, anchor: Span, depth: usize) -> Result<Deep, Stop> {
        if depth >= DEPTH_MAX {
            return self.too_deep(anchor);
        }
        Ok(Deep { ast: Ast { kind, span, anchor }, depth: depth + 1 })
    }

    fn leaf(&self, kind: AstKind, span: Span) -> Deep {
        Deep { ast: Ast::new(kind, span), depth: 1 }
    }

    // ── Operators ──

    fn expression(&mut self) -> Result<Deep, Stop> {
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

    fn written(&self, span: Span) -> &str {
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

    // ── Members ──

    fn postfix(&mut self) -> Result<Deep, Stop> {
        let start = self.peek().span;
        let mut value = self.primary()?;
        loop {
            value = if self.eat(".") {
                self.member(value, start)?
            } else if self.peek().is("[") {
                self.index(value, start)?
            } else if self.peek().is("{") && is_path(&value.ast) {
                return self.message(&value.ast);
            } else {
                return Ok(value);
            }
        }
    }

    fn member(&mut self, target: Deep, start: Span) -> Result<Deep, Stop> {
        let TokenKind::Name { name, .. } = self.peek().kind.clone() else {
            return self.unexpected("a name after `.`");
        };
        let name_span = self.bump().span;
        if !self.peek().is("(") {
            let kind = AstKind::Select(target.ast.into(), name, name_span);
            return self.node(kind, start.to(name_span), name_span, target.depth);
        }
        let (args, depth, close) = self.arguments()?;
        let kind = AstKind::Call { function: name, name_span, target: Some(target.ast.into()), args };
        self.node(kind, start.to(close), name_span, depth.max(target.depth))
    }

    /// `[index]`, or the pattern `[*]`.
    fn index(&mut self, target: Deep, start: Span) -> Result<Deep, Stop> {
        let open = self.peek().span;
        if self.peek_at(1).is("*") && self.peek_at(2).is("]") {
            self.bump();
            self.bump();
            let close = self.bump().span;
            return self.node(AstKind::Each(target.ast.into()), start.to(close), open.to(close), target.depth);
        }
        let index = self.bracketed(|p| p.expression())?;
        let close = self.close("]")?;
        let depth = target.depth.max(index.depth);
        let kind = AstKind::Index(target.ast.into(), index.ast.into());
        self.node(kind, start.to(close), open.to(close), depth)
    }

    fn message<T>(&mut self, name: &Ast) -> Result<T, Stop> {
        let span = name.span.to(self.peek().span);
        self.stop(
            Problem::new(102, format!("`{name}{{…}}` builds a message, and there are none"))
                .at(span, "a message type of protocol buffers")
                .help("write a map: `{'name': value}`"),
        )
    }

    // ── Values ──

    fn primary(&mut self) -> Result<Deep, Stop> {
        let token = self.peek().clone();
        match token.kind {
            TokenKind::Symbol("(") => self.parenthesized(),
            TokenKind::Symbol("[") => self.list(),
            TokenKind::Symbol("{") => self.map(),
            TokenKind::Symbol("-") => {
                self.bump();
                let number = self.bump();
                let span = token.span.to(number.span);
                self.literal(number, true, span)
            }
            TokenKind::Name { name, quoted } => self.name(name, quoted),
            TokenKind::Symbol(_) | TokenKind::End => self.unexpected("a value"),
            _ => {
                self.bump();
                let span = token.span;
                self.literal(token, false, span)
            }
        }
    }

    fn literal(&mut self, token: Token, negative: bool, span: Span) -> Result<Deep, Stop> {
        let value = match token.kind {
            TokenKind::Int(magnitude) => match signed(magnitude, negative) {
                Some(x) => Value::Int(x),
                None => {
                    let text = self.written(span);
                    let problem = Problem::new(105, format!("`{text}` does not fit into a 64-bit signed integer"));
                    self.note(
                        problem.at(span, "").help("write it with a `u` at its end for an unsigned one, or as decimal('…')"),
                    );
                    Value::Int(0)
                }
            },
            TokenKind::Uint(x) => Value::Uint(x),
            TokenKind::Double(x) => Value::double(if negative { -x } else { x }),
            TokenKind::Text(text) => Value::text(text),
            TokenKind::Bytes(bytes) => Value::Bytes(bytes.into()),
            TokenKind::Name { .. } | TokenKind::Symbol(_) | TokenKind::End => unreachable!("invariant: called with literals"),
        };
        Ok(self.leaf(AstKind::Literal(value), span))
    }

    /// A name, a keyword or a call.
    fn name(&mut self, name: String, quoted: bool) -> Result<Deep, Stop> {
        let span = self.peek().span;
        let keyword = match name.as_str() {
            _ if quoted => None,
            "true" => Some(Value::Bool(true)),
            "false" => Some(Value::Bool(false)),
            "null" => Some(Value::Null),
            "in" => return self.unexpected("a value"),
            _ => None,
        };
        self.bump();
        if let Some(value) = keyword {
            return Ok(self.leaf(AstKind::Literal(value), span));
        }
        if !self.peek().is("(") {
            return Ok(self.leaf(AstKind::Ident(name), span));
        }
        let (args, depth, close) = self.arguments()?;
        let kind = AstKind::Call { function: name, name_span: span, target: None, args };
        self.node(kind, span.to(close), span, depth)
    }

    fn parenthesized(&mut self) -> Result<Deep, Stop> {
        let open = self.peek().span;
        let mut inner = self.bracketed(Self::expression)?;
        inner.ast.span = open.to(self.close(")")?);
        Ok(inner)
    }

    fn list(&mut self) -> Result<Deep, Stop> {
        let open = self.peek().span;
        let items = self.bracketed(|p| p.separated("]", Self::expression))?;
        let close = self.close("]")?;
        let depth = items.iter().map(|d| d.depth).max().unwrap_or(0);
        let items = items.into_iter().map(|d| d.ast).collect();
        self.node(AstKind::List(items), open.to(close), open.to(close), depth)
    }

    fn map(&mut self) -> Result<Deep, Stop> {
        let open = self.peek().span;
        let entries = self.bracketed(|p| {
            p.separated("}", |p| {
                let key = p.expression()?;
                if !p.eat(":") {
                    return p.unexpected("`:` and the value of this key");
                }
                Ok((key, p.expression()?))
            })
        })?;
        let close = self.close("}")?;
        let depth = entries.iter().map(|(k, v)| k.depth.max(v.depth)).max().unwrap_or(0);
        let entries = entries.into_iter().map(|(k, v)| (k.ast, v.ast)).collect();
        self.node(AstKind::Map(entries), open.to(close), open.to(close), depth)
    }

    /// The arguments of a call, how deep the deepest is, and the closing parenthesis.
    fn arguments(&mut self) -> Result<(Vec<Ast>, usize, Span), Stop> {
        let args = self.bracketed(|p| p.separated(")", Self::expression))?;
        let close = self.close(")")?;
        let depth = args.iter().map(|d| d.depth).max().unwrap_or(0);
        Ok((args.into_iter().map(|d| d.ast).collect(), depth, close))
    }

    /// Takes an opening bracket and reads what it holds; [`Self::close`] takes the other one.
    fn bracketed<T>(&mut self, f: impl FnOnce(&mut Self) -> Result<T, Stop>) -> Result<T, Stop> {
        let open = self.bump().span;
        self.open.push(open);
        f(self)
    }

    /// Items with commas between them, up to `close`; CEL allows one more comma at the end.
    fn separated<T>(&mut self, close: &str, mut item: impl FnMut(&mut Self) -> Result<T, Stop>) -> Result<Vec<T>, Stop> {
        let mut items = Vec::new();
        while !self.peek().is(close) {
            items.push(item(self)?);
            if !self.eat(",") {
                break;
            }
        }
        Ok(items)
    }

    fn close(&mut self, bracket: &str) -> Result<Span, Stop> {
        if !self.peek().is(bracket) {
            return self.unexpected(&format!("an operator or `{bracket}`"));
        }
        self.open.pop();
        Ok(self.bump().span)
    }

    // ── What went wrong ──

    /// Notes that the next token is not what was expected, as closely as can be told.
    fn unexpected<T>(&mut self, expected: &str) -> Result<T, Stop> {
        let problem = self.unexpected_problem(expected);
        self.stop(problem)
    }

    fn unexpected_problem(&self, expected: &str) -> Problem {
        let token = self.peek();
        let previous = self.at.checked_sub(1).map(|at| &self.tokens[at]);
        let value_expected = expected == "a value";
        let found = token.describe(self.text);
        match &token.kind {
            TokenKind::End if value_expected => self.ends_early(previous),
            TokenKind::End if !self.open.is_empty() => self.unclosed(),
            TokenKind::Symbol(close @ (")" | "]" | "}")) if !value_expected => match self.open.last() {
                Some(open) => self.wrong_bracket(close, *open),
                None => Problem::new(103, format!("`{close}` closes nothing"))
                    .at(token.span, "no bracket is open here")
                    .help("remove it, or open one before"),
            },
            TokenKind::Symbol(close @ (")" | "]" | "}")) if self.open.is_empty() => {
                Problem::new(103, format!("`{close}` closes nothing")).at(token.span, "no bracket is open here")
            }
            _ => {
                let problem = Problem::new(102, format!("expected {expected}, found {found}"));
                let problem = match previous {
                    Some(previous) if value_expected && matches!(previous.kind, TokenKind::Symbol(_)) => {
                        problem.at(token.span, format!("{} needs a value on its right", previous.describe(self.text)))
                    }
                    _ if matches!(token.kind, TokenKind::End) => problem.at(token.span, "the formula ends here"),
                    _ => problem.at(token.span, "not expected here"),
                };
                match self.cure(token, value_expected) {
                    Some(help) => problem.help(help),
                    None => problem,
                }
            }
        }
    }

    fn ends_early(&self, previous: Option<&Token>) -> Problem {
        let end = self.peek().span;
        let problem = Problem::new(102, "the formula ends where a value is expected");
        match previous {
            Some(previous) => problem
                .at(previous.span, format!("nothing follows {}", previous.describe(self.text)))
                .help("write the value, or remove this"),
            None => problem.at(end, ""),
        }
    }

    fn unclosed(&self) -> Problem {
        let open = *self.open.last().expect("invariant: called only with an open bracket");
        let bracket = self.written(open);
        Problem::new(103, format!("unclosed `{bracket}`"))
            .at(open, "this bracket is never closed")
            .help(format!("add `{}`", partner(bracket)))
    }

    fn wrong_bracket(&self, close: &str, open: Span) -> Problem {
        let bracket = self.written(open);
        Problem::new(103, format!("`{bracket}` is closed by `{close}`"))
            .at(self.peek().span, format!("expected `{}`", partner(bracket)))
            .note(format!("`{bracket}` was opened at byte {}", open.start))
    }

    /// The cure for a token that other languages would have here.
    fn cure(&self, token: &Token, value_expected: bool) -> Option<String> {
        let word = token.word().map(str::to_ascii_lowercase);
        Some(match (&token.kind, word.as_deref()) {
            (_, Some("is")) => "compare with null by `== null` and `!= null`".into(),
            (_, Some("not")) => "write `!(x in list)`".into(),
            (_, Some("like")) => "write `x.startsWith('…')`, `x.contains('…')` or `x.matches('…')`".into(),
            (_, Some("between")) => "write `low <= x && x <= high`".into(),
            (_, Some("then" | "if" | "else" | "case" | "when")) => "write `condition ? value : otherwise`".into(),
            (_, Some("mod")) => "write `%`".into(),
            (_, Some("div")) => "write `/`".into(),
            (TokenKind::Symbol("**" | "^"), _) => "write `pow(x, y)`".into(),
            (TokenKind::Symbol("??"), _) => "write `if_null(x, otherwise)`".into(),
            (TokenKind::Symbol(":="), _) => "a formula sets nothing; write only the right side".into(),
            (TokenKind::Symbol(";"), _) => "a formula is one expression; remove the semicolon".into(),
            (TokenKind::Symbol("+"), _) if value_expected => "remove it; a number has no `+` in front".into(),
            (TokenKind::Symbol("*"), _) if value_expected => "a pattern is written `items[*]`".into(),
            (TokenKind::Text(_), _) if !value_expected => "join texts with `+`".into(),
            (TokenKind::Name { .. } | TokenKind::Int(_) | TokenKind::Double(_), _) if !value_expected => {
                "two values stand side by side; write an operator or a comma between them".into()
            }
            _ => return None,
        })
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

fn foreign(written: &str, meant: &str, span: Span) -> Problem {
    let what = match meant {
        "==" => "a comparison",
        "!=" => "an inequality",
        "!" => "negation",
        "&&" => "a conjunction",
        _ => "a disjunction",
    };
    Problem::new(104, format!("`{written}` is not an operator of this language"))
        .at(span, format!("{what} is written `{meant}`"))
        .help(format!("write `{meant}`"))
}

fn partner(open: &str) -> &'static str {
    match open {
        "(" => ")",
        "[" => "]",
        _ => "}",
    }
}

/// The number with its sign, if it fits.
fn signed(magnitude: u64, negative: bool) -> Option<i64> {
    let wide = i128::from(magnitude);
    i64::try_from(if negative { -wide } else { wide }).ok()
}

/// Whether it is names joined by dots, as a message type would be.
fn is_path(ast: &Ast) -> bool {
    match &ast.kind {
        AstKind::Ident(_) => true,
        AstKind::Select(target, _, _) => is_path(target),
        _ => false,
    }
}
