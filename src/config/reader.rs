//! Strict reading: every key of a table is asked for by name; what nobody asked for is an unknown key, and a wrong type says
//! what was expected. Reading goes on after a finding, so that one run shows them all.

use std::cell::RefCell;
use std::ops::Range;
use std::sync::Arc;

use thalweg_formulas::problem::did_you_mean;

use super::diag::{Diag, SourceText};
use super::tree::{Entry, Item, Origin, Tree};

/// Collects findings about one file.
#[derive(Debug)]
pub struct Collector {
    /// The file.
    pub source: Arc<SourceText>,
    diags: RefCell<Vec<Diag>>,
}

impl Collector {
    /// Nothing found yet.
    pub fn new(source: Arc<SourceText>) -> Collector {
        Collector { source, diags: RefCell::default() }
    }

    /// Records `diag` at `origin`.
    pub fn report(&self, diag: Diag, origin: &Origin, label: impl Into<String>) {
        let placed = match origin {
            Origin::File(span) => diag.at(&self.source, span.clone(), label),
            Origin::Env(name) => diag.note(format!("set by environment variable {name}")),
        };
        self.diags.borrow_mut().push(placed);
    }

    /// Everything found, in the order of the file.
    pub fn finish(self) -> Vec<Diag> {
        let mut diags = self.diags.into_inner();
        diags.sort_by_key(|diag| diag.span.as_ref().map_or(usize::MAX, |span| span.start));
        diags
    }
}

/// A table being read.
pub struct Section<'a> {
    /// What it is, for messages: "section `[http]`".
    pub what: String,
    /// Where it was written.
    pub origin: Origin,
    entries: &'a [Entry],
    out: &'a Collector,
    asked: Vec<&'static str>,
    later: Vec<&'static str>,
}

impl<'a> Section<'a> {
    /// The table `entries`.
    pub fn new(what: impl Into<String>, origin: Origin, entries: &'a [Entry], out: &'a Collector) -> Section<'a> {
        Section { what: what.into(), origin, entries, out, asked: Vec::new(), later: Vec::new() }
    }

    /// `item` as a table; reports if it is something else.
    pub fn of(what: impl Into<String>, item: &'a Item, out: &'a Collector) -> Option<Section<'a>> {
        let what = what.into();
        match &item.tree {
            Tree::Table(entries) => Some(Section::new(what, item.origin.clone(), entries, out)),
            other => {
                wrong_type::<()>(out, &what, "a table", other, &item.origin);
                None
            }
        }
    }

    /// The collector.
    pub fn out(&self) -> &'a Collector {
        self.out
    }

    /// Asks for `key`.
    pub fn entry(&mut self, key: &'static str) -> Option<&'a Entry> {
        if !self.asked.contains(&key) {
            self.asked.push(key);
        }
        self.entries.iter().find(|entry| entry.key == key)
    }

    /// Asks for `key`'s value.
    pub fn item(&mut self, key: &'static str) -> Option<&'a Item> {
        self.entry(key).map(|entry| &entry.item)
    }

    /// Keys that are planned and not built: refused by name.
    pub fn not_built(&mut self, keys: &[&'static str]) {
        self.later.extend(keys);
    }

    /// All entries, for a table whose keys are the user's own.
    pub fn all(&mut self) -> &'a [Entry] {
        self.entries
    }

    /// A string.
    pub fn text(&mut self, key: &'static str) -> Option<(String, Origin)> {
        let item = self.item(key)?;
        text_of(self.out, &self.path(key), item).map(|text| (text, item.origin.clone()))
    }

    /// A string that must be there.
    pub fn required(&mut self, key: &'static str) -> Option<(String, Origin)> {
        if self.entry(key).is_none() {
            let diag = Diag::error(283, format!("{} has no `{key}`", self.what));
            self.out.report(diag, &self.origin.clone(), format!("`{key}` is missing"));
            return None;
        }
        self.text(key)
    }

    /// An integer within `range`.
    pub fn integer(&mut self, key: &'static str, range: std::ops::RangeInclusive<i64>) -> Option<i64> {
        let (item, what) = (self.item(key)?, self.path(key));
        let found = match &item.tree {
            Tree::Int(int) => *int,
            Tree::Raw(raw) if raw.trim().parse::<i64>().is_ok() => raw.trim().parse().unwrap_or_default(),
            other => return wrong_type(self.out, &what, "an integer", other, &item.origin),
        };
        if range.contains(&found) {
            return Some(found);
        }
        let bounds = format!("{} to {}", range.start(), range.end());
        let diag = Diag::error(282, format!("{what} must be from {bounds}, found {found}"));
        self.out.report(diag, &item.origin, format!("expected {bounds}"));
        None
    }

    /// `true` or `false`.
    pub fn boolean(&mut self, key: &'static str) -> Option<bool> {
        let (item, what) = (self.item(key)?, self.path(key));
        match &item.tree {
            Tree::Bool(found) => Some(*found),
            Tree::Raw(raw) if raw.trim().parse::<bool>().is_ok() => raw.trim().parse().ok(),
            other => wrong_type(self.out, &what, "true or false", other, &item.origin),
        }
    }

    /// One of the words.
    pub fn one_of(&mut self, key: &'static str, words: &[&'static str]) -> Option<&'static str> {
        let (text, origin) = self.text(key)?;
        if let Some(word) = words.iter().find(|word| **word == text) {
            return Some(word);
        }
        let list = words.iter().map(|w| format!("`{w}`")).collect::<Vec<_>>().join(", ");
        let mut diag = Diag::error(282, format!("unknown value `{text}` for {}", self.path(key)));
        if let Some(near) = did_you_mean(&text, words.iter().copied()).first() {
            diag = diag.help(format!("did you mean `{near}`?"));
        }
        self.out.report(diag.note(format!("possible: {list}")), &origin, "not one of the possible values");
        None
    }

    /// A list of strings, or one string.
    pub fn texts(&mut self, key: &'static str) -> Option<Vec<(String, Origin)>> {
        let (item, what) = (self.item(key)?, self.path(key));
        match &item.tree {
            Tree::Array(items) => items
                .iter()
                .map(|i| text_of(self.out, &format!("an element of {what}"), i).map(|t| (t, i.origin.clone())))
                .collect(),
            Tree::Raw(raw) => Some(
                raw.split(',').filter(|s| !s.trim().is_empty()).map(|s| (s.trim().to_owned(), item.origin.clone())).collect(),
            ),
            Tree::Text(text) => Some(vec![(text.clone(), item.origin.clone())]),
            other => wrong_type(self.out, &what, "a list of strings", other, &item.origin),
        }
    }

    /// How a key of this table is called in messages.
    pub fn path(&self, key: &str) -> String {
        format!("`{key}` of {}", self.what)
    }

    /// Reports the keys that nobody asked for.
    pub fn finish(self) {
        for entry in self.entries {
            if self.asked.contains(&entry.key.as_str()) {
                continue;
            }
            if self.later.contains(&entry.key.as_str()) {
                let diag = Diag::error(287, format!("`{}` of {} is not built yet", entry.key, self.what));
                self.out.report(diag.help("leave it out"), &entry.key_origin, "not built yet");
                continue;
            }
            let mut diag = Diag::error(280, format!("unknown key `{}` in {}", entry.key, self.what));
            if let Some(near) = did_you_mean(&entry.key, self.asked.iter().copied()).first() {
                diag = diag.help(format!("did you mean `{near}`?"));
            }
            if !self.asked.is_empty() {
                diag = diag.note(format!("keys: {}", self.asked.join(", ")));
            }
            self.out.report(diag, &entry.key_origin, "no such key");
        }
    }
}

/// `item` as a string.
pub fn text_of(out: &Collector, what: &str, item: &Item) -> Option<String> {
    match &item.tree {
        Tree::Text(text) | Tree::Raw(text) => Some(text.clone()),
        other => wrong_type(out, what, "a string", other, &item.origin),
    }
}

/// Reports that something else was expected.
pub fn wrong_type<T>(out: &Collector, what: &str, expected: &str, found: &Tree, origin: &Origin) -> Option<T> {
    let diag = Diag::error(281, format!("{what} must be {expected}, found {}", found.noun()));
    out.report(diag, origin, format!("expected {expected}"));
    None
}

/// Where the content of a string starts inside its quotes, if every byte of the content stands as written.
pub fn content_start(source: &str, span: &Range<usize>, content: &str) -> Option<usize> {
    let raw = source.get(span.clone())?;
    let quotes = if raw.starts_with("\"\"\"") || raw.starts_with("'''") { 3 } else { 1 };
    let newline = match raw.get(quotes..)? {
        rest if quotes == 3 && rest.starts_with("\r\n") => 2,
        rest if quotes == 3 && rest.starts_with('\n') => 1,
        _ => 0,
    };
    let start = quotes + newline;
    (raw.get(start..raw.len().checked_sub(quotes)?)? == content).then_some(span.start + start)
}
