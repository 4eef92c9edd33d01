//! From text to tokens. After a problem it goes on with its best guess, so that one reading finds them all.

use super::PROBLEMS_MAX;
use super::literal;
use super::token::{Token, TokenKind};
use crate::problem::{Problem, Span};

/// Longest first, because the first that fits is taken. Those of other languages are here so that the grammar can name the
/// cure.
const SYMBOLS: [&str; 37] = [
    "===", "!==", "==", "!=", "<=", ">=", "<>", "&&", "||", "**", ":=", "??", "=", "<", ">", "!", "+", "-", "*", "/", "%", "?",
    ":", "(", ")", "[", "]", "{", "}", ",", ".", "&", "|", "^", "~", ";", "@",
];

/// The tokens of `text`, the last of which is `End`, and what could not be read.
pub(super) fn tokens(text: &str) -> (Vec<Token>, Vec<Problem>) {
    let mut lexer = Lexer { text, at: 0, tokens: Vec::new(), problems: Vec::new() };
    while lexer.problems.len() < PROBLEMS_MAX && lexer.next() {}
    let end = Span::new(text.len(), text.len());
    lexer.tokens.push(Token { kind: TokenKind::End, span: end });
    (lexer.tokens, lexer.problems)
}

/// Whether a name can begin with it unquoted: CEL's letters and `_`, and the letters of every other script.
pub(crate) fn is_name_start(c: char) -> bool {
    c == '_' || c.is_alphabetic()
}

/// Whether a name can go on with it unquoted.
pub(crate) fn is_name_part(c: char) -> bool {
    c == '_' || c.is_alphanumeric()
}

struct Lexer<'t> {
    text: &'t str,
    at: usize,
    tokens: Vec<Token>,
    problems: Vec<Problem>,
}

impl<'t> Lexer<'t> {
    fn rest(&self) -> &'t str {
        &self.text[self.at..]
    }

    /// Reads one token or skips one blank; `false` at the end.
    fn next(&mut self) -> bool {
        let rest = self.rest();
        let Some(c) = rest.chars().next() else { return false };
        if c.is_whitespace() {
            self.at += c.len_utf8();
        } else if rest.starts_with("//") {
            self.at += rest.find('\n').unwrap_or(rest.len());
        } else if literal::opens_text(rest) {
            self.quoted_text();
        } else if is_name_start(c) {
            let end = rest.find(|c| !is_name_part(c)).unwrap_or(rest.len());
            self.push(TokenKind::Name { name: rest[..end].to_owned(), quoted: false }, end);
        } else if c.is_ascii_digit() || (c == '.' && rest[1..].starts_with(|d: char| d.is_ascii_digit())) {
            self.number();
        } else if c == '`' {
            self.quoted_name();
        } else if let Some(symbol) = SYMBOLS.into_iter().find(|s| rest.starts_with(s)) {
            self.push(TokenKind::Symbol(symbol), symbol.len());
        } else if let Some(close) = closing_quote(c) {
            self.curly_text(c, close);
        } else {
            self.stray(c);
        }
        true
    }

    fn push(&mut self, kind: TokenKind, length: usize) {
        let span = Span::new(self.at, self.at + length);
        self.tokens.push(Token { kind, span });
        self.at += length;
    }

    fn quoted_text(&mut self) {
        let scanned = literal::text(self.rest(), self.at);
        self.problems.extend(scanned.problems);
        self.push(scanned.kind, scanned.length);
    }

    fn number(&mut self) {
        let rest = self.rest();
        let length = literal::number_length(rest);
        match literal::number(&rest[..length]) {
            Ok(kind) => self.push(kind, length),
            Err(problem) => {
                self.problems.push(problem.at(Span::new(self.at, self.at + length), ""));
                self.push(TokenKind::Int(0), length);
            }
        }
    }

    /// `` `name` ``; a doubled backtick stands for one.
    fn quoted_name(&mut self) {
        let rest = self.rest();
        let mut name = String::new();
        let mut chars = rest.char_indices().skip(1).peekable();
        let mut end = None;
        while let Some((i, c)) = chars.next() {
            match c {
                '`' if chars.peek().is_some_and(|(_, next)| *next == '`') => {
                    chars.next();
                    name.push('`');
                }
                '`' => {
                    end = Some(i + 1);
                    break;
                }
                _ => name.push(c),
            }
        }
        let open = Span::new(self.at, self.at + 1);
        match end {
            None => self.problems.push(
                Problem::new(101, "unclosed quoted name")
                    .at(open, "this backtick is never closed")
                    .help("close the name with a backtick"),
            ),
            Some(length) if name.is_empty() => {
                let span = Span::new(self.at, self.at + length);
                self.problems.push(Problem::new(101, "a quoted name is empty").at(span, "no name between the backticks"));
            }
            Some(_) => {}
        }
        self.push(TokenKind::Name { name, quoted: true }, end.unwrap_or(rest.len()));
    }

    /// Text in the quotes of a word processor: a problem, and then a text.
    fn curly_text(&mut self, open: char, close: char) {
        let rest = self.rest();
        let body = &rest[open.len_utf8()..];
        let (body, length) = match body.find([close, open]) {
            Some(end) => (&body[..end], open.len_utf8() + end + close.len_utf8()),
            None => (body, rest.len()),
        };
        let span = Span::new(self.at, self.at + open.len_utf8());
        self.problems.push(
            Problem::new(106, format!("`{open}` is not a quote of this language"))
                .at(span, "a typographic quote")
                .help("write text in straight quotes: 'text' or \"text\""),
        );
        self.push(TokenKind::Text(body.to_owned()), length);
    }

    fn stray(&mut self, c: char) {
        let span = Span::new(self.at, self.at + c.len_utf8());
        let shown = if c.is_control() { format!("U+{:04X}", u32::from(c)) } else { c.to_string() };
        let problem = Problem::new(106, format!("unexpected character `{shown}`")).at(span, "no token begins with this");
        self.problems.push(match stray_help(c) {
            Some(help) => problem.help(help),
            None => problem,
        });
        self.at += c.len_utf8();
    }
}

/// The partner of a typographic quote.
fn closing_quote(c: char) -> Option<char> {
    Some(match c {
        '‘' | '’' | '‚' => '’',
        '“' | '”' | '„' => '”',
        '«' => '»',
        _ => return None,
    })
}

fn stray_help(c: char) -> Option<&'static str> {
    Some(match c {
        '≤' => "write `<=`",
        '≥' => "write `>=`",
        '≠' => "write `!=`",
        '×' | '·' => "write `*`",
        '÷' => "write `/`",
        '−' | '–' | '—' => "write `-`",
        '∧' => "write `&&`",
        '∨' => "write `||`",
        '#' => "a comment begins with `//`",
        '$' => "a name with such characters stands in backticks: `` `$name` ``",
        _ => return None,
    })
}
