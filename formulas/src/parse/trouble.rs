//! What is said where the grammar expects something else, as closely as can be told.

use super::grammar::{Parser, Stop};
use super::token::{Token, TokenKind};
use crate::problem::{Problem, Span};

impl Parser<'_> {
    /// Notes that the next token is not what was expected, as closely as can be told.
    pub fn unexpected<T>(&mut self, expected: &str) -> Result<T, Stop> {
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

/// An operator as another language writes it.
pub(super) fn foreign(written: &str, meant: &str, span: Span) -> Problem {
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
