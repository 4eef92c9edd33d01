//! Why a document does not go in or come out: place, reason, cure.

use std::fmt;

use thalweg_formulas::{Code, Error, Problem};

/// Why a document does not go in or come out. Nothing has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DocumentError {
    /// `thalweg explain` tells its story.
    pub code: Code,
    /// The document type and the way to the value: `Order.lines[2].price`.
    pub path: String,
    /// What is wrong, lower case, no full stop.
    pub reason: String,
    /// What to do.
    pub cure: Option<String>,
}

impl DocumentError {
    pub(in crate::embed) fn of_problem(table: &str, problem: Problem) -> DocumentError {
        DocumentError { code: problem.code, path: table.into(), reason: problem.message, cure: problem.help }
    }

    pub(super) fn of_error(path: &str, error: &Error) -> DocumentError {
        DocumentError { code: error.code, path: path.into(), reason: error.message.to_string(), cure: None }
    }
}

impl fmt::Display for DocumentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.code, self.path, self.reason)?;
        self.cure.as_ref().map_or(Ok(()), |cure| write!(f, " ({cure})"))
    }
}

impl std::error::Error for DocumentError {}

/// What serde says, with the way to the place, innermost last.
#[derive(Debug)]
pub struct Unfit {
    pub code: Code,
    path: Vec<Step>,
    reason: String,
    pub cure: Option<String>,
}

#[derive(Debug)]
enum Step {
    Name(String),
    Place(usize),
}

impl Unfit {
    pub fn new(code: Code, reason: impl Into<String>) -> Unfit {
        Unfit { code, path: Vec::new(), reason: reason.into(), cure: None }
    }

    pub fn cure(mut self, cure: &str) -> Unfit {
        self.cure.get_or_insert_with(|| cure.into());
        self
    }

    /// The place is inside this member.
    pub fn within(mut self, name: &str) -> Unfit {
        self.path.insert(0, Step::Name(name.into()));
        self
    }

    /// The place is inside this element.
    pub fn at(mut self, place: usize) -> Unfit {
        self.path.insert(0, Step::Place(place));
        self
    }

    /// As an error of a document of this type.
    pub fn of(self, table: &str) -> DocumentError {
        let mut path = table.to_owned();
        for step in &self.path {
            match step {
                Step::Name(name) if path.is_empty() => path.push_str(name),
                Step::Name(name) => path.extend([".", name]),
                Step::Place(place) => path.push_str(&format!("[{place}]")),
            }
        }
        DocumentError { code: self.code, path, reason: self.reason, cure: self.cure }
    }
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

impl std::error::Error for Unfit {}

impl serde::de::Error for Unfit {
    fn custom<T: fmt::Display>(message: T) -> Unfit {
        Unfit::new(super::read::UNFIT, message.to_string())
    }
}

impl serde::ser::Error for Unfit {
    fn custom<T: fmt::Display>(message: T) -> Unfit {
        Unfit::new(super::write::NO_DOCUMENT, message.to_string())
    }
}
