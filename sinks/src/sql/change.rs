//! What `sql-upsert`, `sql-delete` and `sql-sync` do to which row: read from the settings, rendered when a rule fires, read back at each
//! attempt.

use std::collections::BTreeMap;

use thalweg_formulas::{Problem, Value, json};
use thalweg_graph::ports::Firing;

use super::fault::Fault;
use super::own::{self, ORIGIN};
use crate::envelope;
use crate::known::{Images, known};
use crate::settings::{Reader, wrong};
use crate::template::Template;

/// What an action does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verb {
    /// Makes the row so.
    Upsert,
    /// Deletes it.
    Delete,
    /// Does to it what was done to the source's row.
    Sync,
}

/// Which row and what is in it, as configured.
#[derive(Debug)]
pub(super) struct Shape {
    verb: Verb,
    /// Without: the name of the source's table.
    table: Option<String>,
    /// The columns that name the row; without: the source's key.
    key: Option<Vec<String>>,
    /// Without: the source's columns.
    columns: Vec<(String, Template)>,
    except: Vec<String>,
    /// Whether a row that is not as the source's was before the change is left alone.
    keeps: bool,
}

impl Shape {
    /// Reads `table`, `key`, `columns`, `except` and `conflict`.
    pub(super) fn read(verb: Verb, reader: &mut Reader<'_>) -> Self {
        let table = match verb {
            Verb::Sync => reader.text("table"),
            Verb::Upsert | Verb::Delete => reader.required("table", "\"orders\""),
        };
        let key = reader.list("key").map(owned);
        let columns = reader.texts("columns");
        let read = |(name, text): (&str, &str)| match Template::parse(text) {
            Ok(template) => Some((name.to_owned(), template)),
            Err(why) => {
                let key = format!("columns.{name}");
                reader.refuse(key.as_str(), wrong(&key, &why));
                None
            }
        };
        let columns: Vec<(String, Template)> = columns.into_iter().filter_map(read).collect();
        let except = if verb == Verb::Delete { None } else { reader.list("except") };
        let keeps = verb == Verb::Sync && reader.choice("conflict", &["overwrite", "keep"]) == "keep";
        let except = except.map(owned).unwrap_or_default();
        let shape = Self { verb, table: table.map(str::to_owned), key, columns, except, keeps };
        shape.check(reader);
        shape
    }

    /// The table, where the settings name it.
    pub(super) fn table(&self) -> Option<&str> {
        self.table.as_deref()
    }

    fn check(&self, reader: &mut Reader<'_>) {
        if self.key.as_ref().is_some_and(Vec::is_empty) {
            reader.refuse("key", wrong("key", "no column is named"));
        }
        if self.columns.is_empty() {
            return;
        }
        if !self.except.is_empty() {
            reader.refuse("except", wrong("except", "this does not go with `columns`, which names every column"));
        }
        if self.keeps {
            let why = "`keep` compares the columns of the source, so it does not go with `columns`; leave some out with `except`";
            reader.refuse("conflict", wrong("conflict", why));
        }
        match (&self.key, self.verb) {
            (None, Verb::Delete) => {}
            (Some(_), Verb::Delete) => {
                reader.refuse("key", wrong("key", "this does not go with `columns`, which names the row to delete"));
            }
            (None, _) => {
                let problem = Problem::new(503, "`columns` needs the setting `key`, which tells the columns that name the row");
                reader.refuse("key", problem.help(format!("write key = [\"{}\"]", self.columns[0].0)));
            }
            (Some(key), _) => key.iter().for_each(|name| self.check_key(reader, name)),
        }
    }

    fn check_key(&self, reader: &mut Reader<'_>, name: &str) {
        match self.columns.iter().find(|(column, _)| column.eq_ignore_ascii_case(name)) {
            None => reader.refuse("key", wrong("key", &format!("`{name}` is not among `columns`"))),
            Some((column, template)) if self.verb == Verb::Sync && template.reads("new") => {
                let key = format!("columns.{column}");
                let why = "a column of the key must not read `new`, which is NULL when the row is deleted; read `row`";
                reader.refuse(key.as_str(), wrong(&key, why));
            }
            Some(_) => {}
        }
    }

    /// The write of a firing, as text.
    pub(super) fn render(&self, firing: &Firing<'_>) -> Vec<u8> {
        let images = Images::of(firing.payload);
        let cause = own::cause(firing, &images);
        let has_new = matches!(images.new, Value::Map(_));
        let op = match self.verb {
            Verb::Delete => "delete",
            Verb::Sync if !has_new || images.op == "delete" => "delete",
            _ if images.op == "insert" => "insert",
            Verb::Upsert | Verb::Sync => "update",
        };
        let key: Vec<&str> = match (&self.key, self.verb) {
            (Some(key), _) => key.iter().map(String::as_str).collect(),
            (None, Verb::Delete) if !self.columns.is_empty() => self.columns.iter().map(|(name, _)| name.as_str()).collect(),
            (None, _) => firing.key.iter().map(|(name, _)| &**name).collect(),
        };
        let mut row = self.row(firing, &images);
        if op == "delete" {
            row = row.map(|row| row.into_iter().filter(|(name, _)| key.iter().any(|k| k.eq_ignore_ascii_case(name))).collect());
        }
        let table = self.table.as_deref().unwrap_or_else(|| envelope::split_table(firing.table).1);
        let body = Value::record([
            ("op", Value::from(op)),
            ("table", Value::text(table)),
            ("key", Value::list(key.into_iter().map(Value::text))),
            ("row", row.map_or(Value::Null, Value::record)),
            ("keeps", Value::Bool(self.keeps)),
            ("old", if self.keeps { self.image(firing, &images.old).map_or(Value::Null, Value::record) } else { Value::Null }),
            ("whole", Value::Bool(self.columns.is_empty())),
            ("depth", Value::Int(own::origin(firing.id, cause.as_ref()).depth.into())),
            ("own", Value::Bool(cause.is_some())),
        ]);
        let mut text = String::new();
        json::write_dynamic(&body, &mut text);
        text.into_bytes()
    }

    /// The columns to write; `None`: there is no row.
    fn row(&self, firing: &Firing<'_>, images: &Images) -> Option<BTreeMap<String, Value>> {
        if !self.columns.is_empty() {
            let known = known(firing);
            return Some(self.columns.iter().map(|(name, template)| (name.clone(), template.fill(&known))).collect());
        }
        self.image(firing, if self.verb == Verb::Upsert { &images.new } else { &images.row })
    }

    /// The source's columns of an image, but for those that are left out.
    fn image(&self, firing: &Firing<'_>, image: &Value) -> Option<BTreeMap<String, Value>> {
        let Value::Map(image) = image else { return None };
        let from_row = image.iter().filter_map(|(name, value)| match name {
            Value::Text(name) => Some((name.to_string(), value.clone())),
            _ => None,
        });
        let mut row: BTreeMap<String, Value> = firing.key.iter().map(|(name, value)| (name.to_string(), value.clone())).collect();
        row.extend(from_row);
        row.retain(|name, _| name != ORIGIN && !self.except.iter().any(|except| except.eq_ignore_ascii_case(name)));
        Some(row)
    }
}

fn owned(names: Vec<&str>) -> Vec<String> {
    names.into_iter().map(str::to_owned).collect()
}

/// What is done to the row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Op {
    /// It is made so; it was new at the source, and most likely is here.
    Insert,
    /// It is made so.
    Update,
    /// It goes.
    Delete,
}

/// What the target's row must be for a write to be carried out.
#[derive(Debug)]
pub(super) enum Expected {
    /// Whatever it is.
    Anything,
    /// These columns.
    Row(BTreeMap<String, Value>),
    /// Not there.
    Nothing,
}

/// A write, as it is stored with its delivery.
#[derive(Debug)]
pub(super) struct Change {
    pub(super) op: Op,
    pub(super) table: String,
    /// The columns that name the row.
    pub(super) key: Vec<String>,
    /// The columns to write, those of the key among them.
    pub(super) row: BTreeMap<String, Value>,
    /// Whether these are all columns.
    pub(super) whole: bool,
    /// What the row must be to be written at all.
    pub(super) expected: Expected,
    /// How many effects lie behind it, this one included.
    pub(super) depth: u32,
    /// Whether what it reacts to was written by a sink.
    pub(super) own: bool,
}

impl Change {
    /// Reads a stored write.
    ///
    /// # Errors
    /// E0525: it does not tell a row.
    pub(super) fn read(body: &[u8]) -> Result<Self, Fault> {
        let unreadable = |why: &str| Fault::permanent(format!("E0523: the stored row cannot be read: {why}"));
        let text = std::str::from_utf8(body).map_err(|_| unreadable("it is not text"))?;
        let Value::Map(body) = json::parse(text).map_err(|why| unreadable(&why))? else {
            return Err(unreadable("it is not a record"));
        };
        let member = |name: &str| body.get(&Value::text(name)).cloned().unwrap_or(Value::Null);
        let key = match member("key") {
            Value::List(names) => names.iter().map(envelope::plain_text).collect(),
            _ => Vec::new(),
        };
        let Value::Map(row) = member("row") else {
            let error = "E0525: there is no row to write: the event is a delete; use sql-sync, or name `columns`";
            return Err(Fault::permanent(error.to_owned()));
        };
        let columns =
            |row: &BTreeMap<Value, Value>| row.iter().map(|(name, value)| (envelope::plain_text(name), value.clone())).collect();
        let change = Self {
            op: match &*envelope::plain_text(&member("op")) {
                "insert" => Op::Insert,
                "delete" => Op::Delete,
                _ => Op::Update,
            },
            table: envelope::plain_text(&member("table")),
            key,
            row: columns(&row),
            whole: member("whole") == Value::Bool(true),
            expected: match (member("keeps"), member("old")) {
                (Value::Bool(true), Value::Map(old)) => Expected::Row(columns(&old)),
                (Value::Bool(true), _) => Expected::Nothing,
                _ => Expected::Anything,
            },
            depth: match member("depth") {
                Value::Int(depth) => u32::try_from(depth).unwrap_or(u32::MAX),
                _ => 1,
            },
            own: member("own") == Value::Bool(true),
        };
        change.check_key().map(|()| change)
    }

    fn check_key(&self) -> Result<(), Fault> {
        if self.key.is_empty() {
            let error = "E0525: the change names no row, since its table has no key; write key = [\"…\"] in the action";
            return Err(Fault::permanent(error.to_owned()));
        }
        match self.key.iter().find(|name| self.value(name).is_none()) {
            None => Ok(()),
            Some(missing) => {
                Err(Fault::permanent(format!("E0525: the change names no row: it has no value for the key column `{missing}`")))
            }
        }
    }

    /// The value of a column, named in any case.
    pub(super) fn value(&self, name: &str) -> Option<&Value> {
        self.row.iter().find(|(column, _)| column.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }
}
