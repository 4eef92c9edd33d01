//! TOML as a tree in which every key and every value knows where it was written: a place in the file, or an environment variable.

use std::ops::Range;
use std::sync::Arc;

use toml::de::{DeTable, DeValue};

use super::diag::{Diag, SourceText};
use super::secret::Environment;

/// Where a value was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Bytes of the file.
    File(Range<usize>),
    /// An environment variable.
    Env(Arc<str>),
}

/// A value and where it was written.
#[derive(Clone, Debug)]
pub struct Item {
    /// What was written.
    pub tree: Tree,
    /// Where.
    pub origin: Origin,
}

/// What was written.
#[derive(Clone, Debug)]
pub enum Tree {
    /// A string.
    Text(String),
    /// An integer.
    Int(i64),
    /// A float.
    Float(f64),
    /// A boolean.
    Bool(bool),
    /// A date or time.
    Datetime(String),
    /// An array.
    Array(Vec<Item>),
    /// A table, in the order written.
    Table(Vec<Entry>),
    /// The text of an environment variable: read as whatever is wanted there.
    Raw(String),
}

/// One key of a table.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The key.
    pub key: String,
    /// Where the key was written.
    pub key_origin: Origin,
    /// Its value.
    pub item: Item,
}

impl Tree {
    /// What it is, for messages: "a string".
    pub fn noun(&self) -> &'static str {
        match self {
            Tree::Text(_) | Tree::Raw(_) => "a string",
            Tree::Int(_) => "an integer",
            Tree::Float(_) => "a float",
            Tree::Bool(_) => "a boolean",
            Tree::Datetime(_) => "a date or time",
            Tree::Array(_) => "an array",
            Tree::Table(_) => "a table",
        }
    }
}

/// Reads TOML; every syntax error is reported with its place.
pub fn parse(source: &Arc<SourceText>) -> Result<Vec<Entry>, Vec<Diag>> {
    let (table, errors) = DeTable::parse_recoverable(&source.text);
    if errors.is_empty() {
        return entries(table.get_ref()).map_err(|(span, message)| vec![syntax(source, span, message)]);
    }
    Err(errors.iter().map(|e| syntax(source, e.span().unwrap_or(0..0), e.message().to_owned())).collect())
}

fn syntax(source: &Arc<SourceText>, span: Range<usize>, message: String) -> Diag {
    let mut lines = message.lines();
    let first = lines.next().unwrap_or("not valid TOML").to_owned();
    let diag = Diag::error(180, format!("bad TOML: {first}")).at(source, span, "");
    lines.fold(diag, |diag, line| diag.note(line))
}

/// The entries of a table in the order written.
fn entries(table: &DeTable<'_>) -> Result<Vec<Entry>, (Range<usize>, String)> {
    let mut out = Vec::with_capacity(table.len());
    for (key, value) in table {
        let item = Item { tree: tree(value.get_ref(), value.span())?, origin: Origin::File(value.span()) };
        out.push(Entry { key: key.get_ref().to_string(), key_origin: Origin::File(key.span()), item });
    }
    out.sort_by_key(|entry: &Entry| match &entry.key_origin {
        Origin::File(span) => span.start,
        Origin::Env(_) => usize::MAX,
    });
    Ok(out)
}

fn tree(value: &DeValue<'_>, span: Range<usize>) -> Result<Tree, (Range<usize>, String)> {
    Ok(match value {
        DeValue::String(text) => Tree::Text(text.to_string()),
        DeValue::Integer(int) => match i64::from_str_radix(int.as_str(), int.radix()) {
            Ok(int) => Tree::Int(int),
            Err(_) => return Err((span, "the integer does not fit 64 bits".to_owned())),
        },
        DeValue::Float(float) => Tree::Float(float.as_str().parse().map_err(|_| (span, "not a float".to_owned()))?),
        DeValue::Boolean(bool) => Tree::Bool(*bool),
        DeValue::Datetime(datetime) => Tree::Datetime(datetime.to_string()),
        DeValue::Array(items) => Tree::Array(
            items
                .iter()
                .map(|item| Ok(Item { tree: tree(item.get_ref(), item.span())?, origin: Origin::File(item.span()) }))
                .collect::<Result<_, _>>()?,
        ),
        DeValue::Table(table) => Tree::Table(entries(table)?),
    })
}

/// Lays `THALWEG_SECTION__KEY` variables over the file: the environment wins over what the file says.
///
/// Only variables with `__` are settings, so `THALWEG_LOG` and its like are left to whom they belong.
pub fn overlay(entries: &mut Vec<Entry>, env: &Environment) {
    for (name, value) in env.starting_with("THALWEG_") {
        let Some((section, key)) = name["THALWEG_".len()..].split_once("__") else { continue };
        let origin = Origin::Env(name.into());
        let section = section_mut(entries, &section.to_lowercase(), &origin);
        let (key, item) = (key.to_lowercase(), Item { tree: Tree::Raw(value.to_owned()), origin: origin.clone() });
        match section.iter_mut().find(|entry| entry.key == key) {
            Some(entry) => *entry = Entry { key, key_origin: origin, item },
            None => section.push(Entry { key, key_origin: origin, item }),
        }
    }
}

/// The entries of a section, made if it is missing. A section that is not a table in the file is left for the reader to refuse.
fn section_mut<'a>(entries: &'a mut Vec<Entry>, name: &str, origin: &Origin) -> &'a mut Vec<Entry> {
    let found = entries.iter().position(|entry| entry.key == name && matches!(entry.item.tree, Tree::Table(_)));
    let at = found.unwrap_or_else(|| {
        let item = Item { tree: Tree::Table(Vec::new()), origin: origin.clone() };
        entries.push(Entry { key: name.to_owned(), key_origin: origin.clone(), item });
        entries.len() - 1
    });
    match &mut entries[at].item.tree {
        Tree::Table(inner) => inner,
        _ => unreachable!("the position was chosen because a table stands there"),
    }
}
