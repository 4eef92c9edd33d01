//! What goes into a column or a body: a text with `{path}` in it, over what is known of a firing.
//!
//! A text that is one placeholder gives the value as it is; otherwise values are written into the text, NULL and missing ones as nothing.
//! `{{` writes a brace.

use thalweg_formulas::Value;
use thalweg_formulas::problem::did_you_mean;

use crate::envelope;
use crate::settings::{Reader, wrong};

/// What a path may start with.
pub(crate) const ROOTS: [&str; 15] = [
    "id",
    "timestamp",
    "event_type",
    "source_db",
    "source_table",
    "subject_id",
    "key",
    "version",
    "txid",
    "rule",
    "payload",
    "op",
    "old",
    "new",
    "row",
];

/// A checked template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Template(Vec<Piece>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    Path(Vec<String>),
}

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    /// A brace without its partner, or a path that starts with nothing known.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut pieces = Vec::new();
        let mut plain = String::new();
        let mut rest = text;
        while let Some(at) = rest.find('{') {
            plain.push_str(&rest[..at]);
            rest = &rest[at + 1..];
            if let Some(after) = rest.strip_prefix('{') {
                plain.push('{');
                rest = after;
                continue;
            }
            let end = rest.find('}').ok_or_else(|| "a `{` is not closed; write `{{` for a brace".to_owned())?;
            if !plain.is_empty() {
                pieces.push(Piece::Text(std::mem::take(&mut plain)));
            }
            pieces.push(Piece::Path(path(&rest[..end])?));
            rest = &rest[end + 1..];
        }
        plain.push_str(rest);
        if !plain.is_empty() {
            pieces.push(Piece::Text(plain));
        }
        Ok(Self(pieces))
    }

    /// The template that stands in a setting; what is wrong with it is noted.
    pub(crate) fn read(reader: &mut Reader<'_>, key: String, text: &str) -> Option<Self> {
        let read = Self::parse(text);
        read.map_err(|why| reader.refuse(key.as_str(), wrong(&key, &why))).ok()
    }

    /// A line for people where nobody gave one: event, table and subject.
    pub(crate) fn usual() -> Self {
        Self::parse("{event_type} {source_table} {subject_id}").expect("invariant: the usual summary is a template")
    }

    /// The template that is one root.
    pub(crate) fn of(root: &str) -> Self {
        Self(vec![Piece::Path(vec![root.to_owned()])])
    }

    /// Whether it is exactly the effect id.
    pub(crate) fn is_id(&self) -> bool {
        matches!(self.0.as_slice(), [Piece::Path(path)] if *path == ["id"])
    }

    /// Whether it reads something that starts with this root.
    pub(crate) fn reads(&self, root: &str) -> bool {
        self.0.iter().any(|piece| matches!(piece, Piece::Path(path) if path[0] == root))
    }

    /// Its value, over a map of what is known.
    pub(crate) fn fill(&self, known: &Value) -> Value {
        match self.0.as_slice() {
            [Piece::Path(path)] => find(known, path).cloned().unwrap_or(Value::Null),
            _ => Value::text(self.text(known, |value| value)),
        }
    }

    /// The text, with each value that is written into it as `each` makes it.
    pub(crate) fn text(&self, known: &Value, each: impl Fn(String) -> String) -> String {
        let mut out = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Text(text) => out.push_str(text),
                Piece::Path(path) => match find(known, path) {
                    None | Some(Value::Null) => {}
                    Some(value) => out.push_str(&each(envelope::plain_text(value))),
                },
            }
        }
        out
    }
}

fn path(text: &str) -> Result<Vec<String>, String> {
    let path: Vec<String> = text.split('.').map(|name| name.trim().to_owned()).collect();
    if path.iter().any(String::is_empty) {
        return Err(format!("`{{{text}}}` has an empty name in it"));
    }
    if ROOTS.contains(&path[0].as_str()) {
        return Ok(path);
    }
    // The commonest slip is to leave out `payload`.
    match did_you_mean(&path[0], ROOTS).first() {
        Some(near) => Err(format!("`{{{text}}}` names nothing; did you mean `{{{near}}}`?")),
        None => Err(format!("`{{{text}}}` names nothing; a column of the payload is `{{payload.{}}}`", path[0])),
    }
}

fn find<'a>(known: &'a Value, path: &[String]) -> Option<&'a Value> {
    path.iter().try_fold(known, |value, name| match value {
        Value::Map(entries) => entries.get(&Value::text(name.as_str())),
        Value::List(items) => items.get(name.parse::<usize>().ok()?),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_filled_typed_or_as_text() {
        let text = |text: &str| Value::text(text);
        let list = Value::list([Value::record([("a", Value::Int(1))])]);
        let payload = Value::record([("n", Value::Int(7)), ("s", text("x")), ("none", Value::Null), ("list", list)]);
        let known = Value::record([("id", text("01J")), ("payload", payload)]);
        for (template, expected) in [
            ("{id}", text("01J")),
            ("{payload.n}", Value::Int(7)),
            ("{ payload . list.0.a }", Value::Int(1)),
            ("{payload.missing}", Value::Null),
            ("{payload.n.deeper}", Value::Null),
            ("n={payload.n} s={payload.s} none={payload.none}.", text("n=7 s=x none=.")),
            ("{{n}", text("{n}")),
            ("plain", text("plain")),
            ("", text("")),
        ] {
            assert_eq!(Template::parse(template).unwrap().fill(&known), expected, "{template}");
        }
        for (template, expected) in [
            ("{", "a `{` is not closed; write `{{` for a brace"),
            ("{title}", "`{title}` names nothing; a column of the payload is `{payload.title}`"),
            ("{paylod.x}", "`{paylod.x}` names nothing; did you mean `{payload}`?"),
            ("{payload..x}", "`{payload..x}` has an empty name in it"),
        ] {
            assert_eq!(Template::parse(template).unwrap_err(), expected, "{template}");
        }
    }
}
