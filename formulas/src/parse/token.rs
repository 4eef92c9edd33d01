//! What the lexer hands to the grammar.

use crate::problem::Span;

/// A token and its place.
#[derive(Clone, Debug)]
pub(super) struct Token {
    pub kind: TokenKind,
    pub span: Span,
}

/// Kinds of tokens. Numbers have no sign yet; keywords are unquoted names, and the grammar knows them.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum TokenKind {
    Name {
        name: String,
        quoted: bool,
    },
    Int(u64),
    Uint(u64),
    Double(f64),
    Text(String),
    Bytes(Vec<u8>),
    /// An operator or bracket, of this language or of one that it is mistaken for.
    Symbol(&'static str),
    End,
}

impl Token {
    /// Whether it is this symbol.
    pub fn is(&self, symbol: &str) -> bool {
        matches!(self.kind, TokenKind::Symbol(s) if s == symbol)
    }

    /// The name, where it is one without quotes: a keyword, perhaps.
    pub fn word(&self) -> Option<&str> {
        match &self.kind {
            TokenKind::Name { name, quoted: false } => Some(name),
            _ => None,
        }
    }

    /// Whether a value can begin with it.
    pub fn begins_value(&self) -> bool {
        match &self.kind {
            TokenKind::Symbol(s) => matches!(*s, "(" | "[" | "{" | "-" | "!"),
            TokenKind::End => false,
            TokenKind::Name { name, quoted } => *quoted || name != "in",
            TokenKind::Int(_) | TokenKind::Uint(_) | TokenKind::Double(_) | TokenKind::Text(_) | TokenKind::Bytes(_) => true,
        }
    }

    /// What it is, in words, for "expected …, found …".
    pub fn describe(&self, text: &str) -> String {
        let written = shortened(&text[self.span.start as usize..self.span.end as usize]);
        match &self.kind {
            TokenKind::Name { name, quoted: false } if super::grammar::is_keyword(name) => format!("`{written}`"),
            TokenKind::Name { .. } => format!("name `{}`", written.trim_matches('`')),
            TokenKind::Int(_) | TokenKind::Uint(_) | TokenKind::Double(_) => format!("number `{written}`"),
            TokenKind::Text(_) => format!("text `{written}`"),
            TokenKind::Bytes(_) => format!("bytes `{written}`"),
            TokenKind::Symbol(_) => format!("`{written}`"),
            TokenKind::End => "the end".into(),
        }
    }
}

/// At most 30 characters of `text`, on one line.
fn shortened(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    match line.char_indices().nth(30) {
        Some((cut, _)) => format!("{}…", &line[..cut]),
        None if line.len() < text.len() => format!("{line}…"),
        None => line.to_owned(),
    }
}
