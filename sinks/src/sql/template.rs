//! What goes into a column: a text with `{path}` in it, over what is known of a firing.
//!
//! A text that is one placeholder gives the value as it is; otherwise values are written into the text, NULL and missing ones as nothing.
//! `{{` writes a brace.

use thalweg_formulas::Value;
use thalweg_formulas::problem::did_you_mean;

use crate::envelope;

/// What a path may start with.
pub(super) const ROOTS: [&str; 15] = [
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
pub(super) struct Template(Vec<Piece>);

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
    pub(super) fn parse(text: &str) -> Result<Self, String> {
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

    /// The template that is one root.
    pub(super) fn of(root: &str) -> Self {
        Self(vec![Piece::Path(vec![root.to_owned()])])
    }

    /// Whether it is exactly the effect id.
    pub(super) fn is_id(&self) -> bool {
        matches!(self.0.as_slice(), [Piece::Path(path)] if *path == ["id"])
    }

    /// Whether it reads something that starts with this root.
    pub(super) fn reads(&self, root: &str) -> bool {
        self.0.iter().any(|piece| matches!(piece, Piece::Path(path) if path[0] == root))
    }

    /// Its value, over a map of what is known.
    pub(super) fn fill(&self, known: &Value) -> Value {
        if let [Piece::Path(path)] = self.0.as_slice() {
            return find(known, path).cloned().unwrap_or(Value::Null);
        }
        let mut out = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Text(text) => out.push_str(text),
                Piece::Path(path) => match find(known, path) {
                    None | Some(Value::Null) => {}
                    Some(value) => out.push_str(&envelope::plain_text(value)),
                },
            }
        }
        Value::text(out)
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
