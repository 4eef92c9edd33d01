//! Transactions as JSON lines: `{"tx":"…","at":"RFC 3339","changes":[…]}`, one a line, and `{"schema":{…}}` lines between them.
//!
//! [`JsonlReader`] is a plain iterator, for `apply`; [`JsonlSource`] brings the same lines through the source port.
//!
//! Invariants:
//! - A line counts whole or not at all: bad JSON, an unknown op or an unknown table is an error with line and column, and nothing
//!   of that line has been handed on.
//! - Digits of decimals never pass through a float.
//!
//! Cost: one pass over the bytes; no allocation per member name. Bound: nesting 128.

mod cursor;
mod layout;
mod line;
mod source;

use std::collections::{HashMap, HashSet};
use std::io::BufRead;
use std::sync::Arc;

use thalweg_formulas::Timestamp;
use thalweg_graph::transaction::{Body, Transaction};

pub use layout::JsonTable;
pub use line::SchemaLine;
pub use source::{Input, JsonlSource};

use cursor::Fault;
use layout::Layout;

/// What a line holds.
#[derive(Debug)]
pub enum Line {
    /// A transaction.
    Transaction(Transaction),
    /// A table declared or changed; the layout of its rows has changed already.
    Schema(SchemaLine),
    /// White space.
    Blank,
}

/// Why a line was not taken; nothing of it was applied.
#[derive(Debug, thiserror::Error)]
pub enum LineError {
    /// The line is wrong.
    #[error("line {line}, column {column}: {code}: {message}")]
    Bad {
        /// E046x.
        code: thalweg_formulas::Code,
        /// From 1.
        line: u64,
        /// In characters, from 1.
        column: usize,
        /// What is wrong.
        message: String,
        /// The cure.
        help: Option<String>,
    },
    /// The input cannot be read.
    #[error("line {line}: {error}")]
    Input {
        /// From 1.
        line: u64,
        /// The cause.
        error: std::io::Error,
    },
}

/// Reads lines, one after another.
pub struct JsonlReader<R> {
    input: R,
    buffer: Vec<u8>,
    tables: Known,
    /// Lines read so far.
    line: u64,
    /// Bytes read so far.
    offset: u64,
    at: Timestamp,
    source: Arc<str>,
}

/// The tables that lines may speak of.
struct Known {
    names: HashMap<Arc<str>, usize>,
    layouts: Vec<Layout>,
    last: Option<(String, usize)>,
    /// Derived tables.
    kept: HashSet<Arc<str>>,
}

impl<R: BufRead> JsonlReader<R> {
    /// Reads `input`, in which lines speak of `tables` and of those that `schema` lines declare.
    pub fn new(input: R, tables: Vec<JsonTable>) -> JsonlReader<R> {
        let mut known = Known { names: HashMap::new(), layouts: Vec::new(), last: None, kept: HashSet::new() };
        tables.iter().for_each(|table| known.add(table));
        JsonlReader { input, buffer: Vec::new(), tables: known, line: 0, offset: 0, at: Timestamp(0), source: "".into() }
    }

    /// The same, for a source with a name.
    pub fn named(mut self, source: Arc<str>) -> JsonlReader<R> {
        self.source = source;
        self
    }

    /// The number of the last line read, from 1.
    pub fn line(&self) -> u64 {
        self.line
    }

    /// Bytes read.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// The time of the last transaction: that of the next one, where it has none.
    pub fn at(&self) -> Timestamp {
        self.at
    }

    /// Goes on as if `line` lines of `offset` bytes had been read, the last transaction at `at`.
    fn resume(&mut self, line: u64, offset: u64, at: Timestamp) {
        (self.line, self.offset, self.at) = (line, offset, at);
    }

    /// The next line; `None` at the end.
    ///
    /// # Errors
    /// The line is wrong, or the input cannot be read.
    pub fn next_line(&mut self) -> Option<Result<Line, LineError>> {
        self.buffer.clear();
        let read = self.input.read_until(b'\n', &mut self.buffer);
        self.line += 1;
        match read {
            Ok(0) => {
                self.line -= 1;
                None
            }
            Ok(n) => {
                self.offset += n as u64;
                let buffer = std::mem::take(&mut self.buffer);
                let result = self.read(&buffer);
                self.buffer = buffer;
                Some(result)
            }
            Err(error) => Some(Err(LineError::Input { line: self.line, error })),
        }
    }

    fn read(&mut self, bytes: &[u8]) -> Result<Line, LineError> {
        let text = match std::str::from_utf8(bytes) {
            Ok(text) => text,
            Err(e) => {
                let valid = String::from_utf8_lossy(&bytes[..e.valid_up_to()]).into_owned();
                return Err(self.placed(Fault::new(461, valid.len(), "bad JSON: not UTF-8"), &valid));
            }
        };
        // A byte order mark may stand before the first line only.
        let text = if self.line == 1 { text.trim_start_matches('\u{feff}') } else { text };
        let text = text.trim_end_matches(['\n', '\r']);
        if text.trim().is_empty() {
            return Ok(Line::Blank);
        }
        self.read_text(text).map_err(|fault| self.placed(fault, text))
    }

    fn read_text(&mut self, text: &str) -> Result<Line, Fault> {
        let draft = line::read(text, &mut self.tables)?;
        if let Some((schema, at)) = draft.schema {
            self.tables.declare(&schema, at)?;
            return Ok(Line::Schema(schema));
        }
        self.at = draft.at.unwrap_or(self.at);
        let origin: Arc<str> = match draft.tx {
            Some(tx) => tx.into(),
            None if self.source.is_empty() => self.line.to_string().into(),
            None => format!("{}:{}", self.source, self.line).into(),
        };
        Ok(Line::Transaction(Transaction {
            source: self.source.clone(),
            origin,
            at: self.at,
            body: Body::Changes(draft.changes),
        }))
    }

    fn placed(&self, fault: Fault, text: &str) -> LineError {
        let Fault { code, message, at, help } = fault;
        let column = text[..text.floor_char_boundary(at)].chars().count() + 1;
        LineError::Bad { code: thalweg_formulas::Code(code), line: self.line, column, message, help }
    }
}

impl<R: BufRead> Iterator for JsonlReader<R> {
    type Item = Result<Line, LineError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_line()
    }
}

impl Known {
    fn add(&mut self, table: &JsonTable) {
        if table.kept {
            self.kept.insert(table.name.clone());
            return;
        }
        let at = self.layouts.len();
        self.layouts.push(Layout::new(table));
        self.names.insert(table.name.clone(), at);
        self.names.entry(table.from.clone()).or_insert(at);
    }

    fn declare(&mut self, line: &SchemaLine, at: usize) -> Result<(), Fault> {
        let wrong =
            |problem: thalweg_formulas::Problem| Fault { help: problem.help, ..Fault::new(problem.code.0, at, problem.message) };
        if self.kept.contains(line.table.as_str()) {
            return Err(line::of_derived(&line.table, at));
        }
        let schema = line.schema().map_err(wrong)?;
        let known = match self.names.get(line.table.as_str()) {
            Some(known) => *known,
            None => {
                let name: Arc<str> = line.table.as_str().into();
                self.add(&JsonTable { name: name.clone(), from: name, key: None, columns: Vec::new(), kept: false });
                self.layouts.len() - 1
            }
        };
        self.layouts[known].declare(&schema, line.key.is_some());
        Ok(())
    }
}

impl line::Tables for Known {
    fn find(&mut self, name: &str) -> Option<usize> {
        if let Some((last, at)) = &self.last
            && last == name
        {
            return Some(*at);
        }
        let at = *self.names.get(name)?;
        self.last = Some((name.to_owned(), at));
        Some(at)
    }

    fn is_kept(&self, name: &str) -> bool {
        self.kept.contains(name)
    }

    fn names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.names.keys().map(|name| &**name).collect();
        names.sort_unstable();
        names
    }

    fn layout(&mut self, table: usize) -> &mut Layout {
        &mut self.layouts[table]
    }
}

/// Every `schema` line of an input with its line number, so that a plan can be made before the first row. Lines that are wrong are passed
/// over: reading them again says what is wrong with them.
///
/// # Errors
/// The input cannot be read.
pub fn schema_lines(mut input: impl BufRead) -> std::io::Result<Vec<(u64, SchemaLine)>> {
    let (mut found, mut buffer, mut number) = (Vec::new(), Vec::new(), 0);
    while input.read_until(b'\n', &mut buffer)? > 0 {
        number += 1;
        // Most lines are transactions: look at the first member's name before reading a line.
        let maybe = buffer.windows(8).take(64).any(|w| w == b"\"schema\"") || !buffer.windows(9).any(|w| w == b"\"changes\"");
        if maybe {
            let schema = std::str::from_utf8(&buffer).ok().and_then(|text| line::read_schema(text).ok().flatten());
            found.extend(schema.map(|schema| (number, schema)));
        }
        buffer.clear();
    }
    Ok(found)
}

#[cfg(test)]
mod tests;
