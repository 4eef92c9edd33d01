//! Values: literals, names, calls, brackets, and the members behind them.

use super::grammar::{Deep, Parser, Stop};
use super::token::{Token, TokenKind};
use crate::ast::{Ast, AstKind};
use crate::problem::{Problem, Span};
use crate::value::Value;

impl Parser<'_> {
    pub fn postfix(&mut self) -> Result<Deep, Stop> {
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
