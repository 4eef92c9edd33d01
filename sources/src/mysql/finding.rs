//! What was found when a server was looked at: how it is, and what mends it.

use thalweg_formulas::Code;

use super::failure::{Failure, code};

/// How a finding is to be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grade {
    /// As it should be.
    Ok,
    /// It works, and may hurt one day.
    Warn,
    /// A run fails, or will.
    Bad,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What: `binlog_format`, `table shop.orders`.
    pub name: String,
    /// How it is.
    pub grade: Grade,
    /// What was found; no password is in it.
    pub found: String,
    /// The code that `thalweg explain` knows, if it has one.
    pub code: Option<Code>,
    /// What to do, in words.
    pub cure: Option<String>,
    /// The same as lines that a client of the server takes: statements with their semicolons, and comments.
    pub sql: Vec<String>,
}

impl Finding {
    /// A finding that is well.
    pub fn ok(name: impl Into<String>, found: impl Into<String>) -> Finding {
        Finding { name: name.into(), grade: Grade::Ok, found: found.into(), code: None, cure: None, sql: Vec::new() }
    }

    /// A finding that works for now.
    pub fn warn(name: impl Into<String>, found: impl Into<String>, cure: impl Into<String>) -> Finding {
        Finding { grade: Grade::Warn, cure: Some(cure.into()), ..Finding::ok(name, found) }
    }

    /// A finding that stops a run.
    pub fn bad(name: impl Into<String>, found: impl Into<String>, cure: impl Into<String>) -> Finding {
        Finding { grade: Grade::Bad, ..Finding::warn(name, found, cure) }
    }

    pub(super) fn code(mut self, number: u16) -> Finding {
        self.code = Some(Code(number));
        self
    }

    pub(super) fn sql(mut self, lines: impl IntoIterator<Item = String>) -> Finding {
        self.sql.extend(lines);
        self
    }

    /// The finding that a failure is, if it has a text: `E0408: reason; cure`.
    pub(super) fn of(failure: &Failure) -> Option<Finding> {
        failure.text().map(Finding::from_text)
    }

    /// The same about a thing that is known.
    pub(super) fn about(name: &str, failure: &Failure) -> Option<Finding> {
        Some(Finding { name: name.into(), ..Finding::of(failure)? })
    }

    fn from_text(text: &str) -> Finding {
        let (number, rest) = text.split_once(": ").unwrap_or(("", text));
        let (reason, cure) = rest.split_once("; ").unwrap_or((rest, ""));
        let number: u16 = number.trim_start_matches('E').parse().unwrap_or(code::CONNECTION);
        let name = match number {
            code::CONNECTION | code::ACCESS_DENIED | code::TLS => "connection",
            code::SERVER => "version",
            code::PRIVILEGE => "privileges",
            code::UNKNOWN_TABLE | code::TABLE => "tables",
            _ => "settings",
        };
        let cure = Some(cure.to_owned()).filter(|cure| !cure.is_empty());
        Finding { grade: Grade::Bad, cure, ..Finding::ok(name, reason) }.code(number)
    }

    /// The reason to stop that it is, if it is one with a code and a cure.
    pub(super) fn failure(&self) -> Option<Failure> {
        let (code, cure) = self.code.zip(self.cure.as_ref())?;
        (self.grade == Grade::Bad).then(|| Failure::stop(code.0, &self.found, cure))
    }
}
