//! What can be wrong: [`Problem`] with a definition, [`Error`] with a row.

use std::fmt;
use std::sync::Arc;

/// A stable error code, printed `E0203`; `thalweg explain E0203` tells its story.
///
/// E01xx syntax, E02xx names and types, E03xx evaluation, E04xx source, E05xx sink, E06xx store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct Code(pub u16);

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "E{:04}", self.0)
    }
}

/// Bytes `start..end` of the formula text that a message is about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct Span {
    /// First byte.
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
}

impl Span {
    /// The bytes `start..end`.
    pub fn new(start: usize, end: usize) -> Self {
        Self { start: start as u32, end: end as u32 }
    }

    /// The smallest span that holds both.
    pub fn to(self, other: Span) -> Span {
        Span { start: self.start.min(other.start), end: self.end.max(other.end) }
    }
}

/// Why a definition is refused. Nothing has run when this is returned.
///
/// `message` says what is wrong and `label` what stands at `span`; `help` is the cure, `notes` are facts that help.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The stable code.
    pub code: Code,
    /// Lower case, no full stop: "unknown field `staus` in condition".
    pub message: String,
    /// What stands at the place, beside the caret; may be empty.
    pub label: String,
    /// The place in the formula text, where there is one.
    pub span: Option<Span>,
    /// The cure: "did you mean `status`?".
    pub help: Option<String>,
    /// Further facts: "columns: id, status, …".
    pub notes: Vec<String>,
}

impl Problem {
    /// A problem without a place yet.
    pub fn new(code: u16, message: impl Into<String>) -> Self {
        Self { code: Code(code), message: message.into(), label: String::new(), span: None, help: None, notes: Vec::new() }
    }

    /// The same, at `span`, with a label beside the caret.
    pub fn at(mut self, span: Span, label: impl Into<String>) -> Self {
        self.span = Some(span);
        self.label = label.into();
        self
    }

    /// The same, with a cure.
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// The same, with one more note.
    pub fn note(mut self, note: impl Into<String>) -> Self {
        self.notes.push(note.into());
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.message)
    }
}

impl std::error::Error for Problem {}

/// Why one row has no value in one field: an error is a value, it spreads along the graph and is withdrawn when
/// the row is corrected (promise P6).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct Error {
    /// The stable code, E03xx for evaluation.
    pub code: Code,
    /// What happened, lower case, no full stop.
    pub message: Arc<str>,
}

impl Error {
    /// An error value.
    pub fn new(code: u16, message: impl Into<Arc<str>>) -> Self {
        Self { code: Code(code), message: message.into() }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.message)
    }
}

impl std::error::Error for Error {}

/// The names of `known` that `name` may have been meant as, nearest first, at most three.
pub fn did_you_mean<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let lower = name.to_lowercase();
    let mut near: Vec<(f64, &str)> = known
        .into_iter()
        .map(|k| (strsim::jaro_winkler(&lower, &k.to_lowercase()), k))
        .filter(|(score, _)| *score > 0.8)
        .collect();
    near.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(b.1)));
    near.dedup_by(|a, b| a.1 == b.1);
    near.into_iter().take(3).map(|(_, k)| k).collect()
}
