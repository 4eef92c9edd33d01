//! The row of a firing: the columns of `reactor_events`, or those that `columns` names.

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json};
use thalweg_formulas::Value;
use thalweg_graph::ports::Firing;

use super::own::{self, ORIGIN};
use super::template::Template;
use crate::envelope;
use crate::settings::{Reader, wrong};

/// The columns of the event table, in its order.
pub(super) const EVENT_COLUMNS: [&str; 9] =
    ["id", "timestamp", "event_type", "source_db", "source_table", "subject_id", "actor", "summary", "payload"];

/// What a row holds.
#[derive(Debug)]
pub(super) enum RowShape {
    /// The columns of `reactor_events`.
    Event {
        /// Who did it; without, NULL.
        actor: Option<Template>,
        /// A line for people; without, event, table and subject.
        summary: Template,
    },
    /// These columns.
    Custom(Vec<(String, Template)>),
}

impl RowShape {
    /// Reads `columns`, `actor` and `summary`.
    pub(super) fn read(reader: &mut Reader<'_>) -> Self {
        let columns = reader.texts("columns");
        let template = |reader: &mut Reader<'_>, key: String, text: &str| match Template::parse(text) {
            Ok(template) => Some(template),
            Err(why) => {
                reader.refuse(key.as_str(), wrong(&key, &why));
                None
            }
        };
        let one = |reader: &mut Reader<'_>, key: &'static str| {
            let text = reader.text(key)?;
            if !columns.is_empty() {
                reader.refuse(key, wrong(key, "this does not go with `columns`, which names every column"));
            }
            template(reader, key.to_owned(), text)
        };
        let (actor, summary) = (one(reader, "actor"), one(reader, "summary"));
        if columns.is_empty() {
            let usual = || {
                Template::parse("{event_type} {source_table} {subject_id}").expect("invariant: the usual summary is a template")
            };
            return Self::Event { actor, summary: summary.unwrap_or_else(usual) };
        }
        let read = |(name, text): (&str, &str)| Some((name.to_owned(), template(reader, format!("columns.{name}"), text)?));
        Self::Custom(columns.into_iter().filter_map(read).collect())
    }

    /// Whether `columns` was given.
    pub(super) fn is_custom(&self) -> bool {
        matches!(self, Self::Custom(_))
    }

    /// Whether the column `id` gets the effect id.
    pub(super) fn writes_own_id(&self) -> bool {
        match self {
            Self::Event { .. } => true,
            Self::Custom(columns) => columns.iter().any(|(name, template)| name.eq_ignore_ascii_case("id") && template.is_id()),
        }
    }

    /// The row, by column: NULL, booleans, integers, everything else as text. (No JSON number with decimals: reading one back may
    /// differ in its last bit.) With it goes who wrote it.
    pub(super) fn row(&self, firing: &Firing<'_>) -> Map<String, Json> {
        let mut row = self.columns(firing);
        let cause = own::cause(firing, &Images::of(firing.payload));
        row.entry(ORIGIN).or_insert_with(|| own::origin(firing.id, cause.as_ref()).to_string().into());
        row
    }

    fn columns(&self, firing: &Firing<'_>) -> Map<String, Json> {
        let known = known(firing);
        let column = |name: &str, template: &Template| (name.to_owned(), cell(&template.fill(&known)));
        match self {
            Self::Custom(columns) => columns.iter().map(|(name, template)| column(name, template)).collect(),
            Self::Event { actor, summary } => {
                let usual = |name: &str| cell(&Template::of(name).fill(&known));
                let value = |name: &&str| match *name {
                    "actor" => actor.as_ref().map_or(Json::Null, |actor| cell(&actor.fill(&known))),
                    "summary" => cell(&summary.fill(&known)),
                    "payload" => envelope::data(firing.payload).into(),
                    name => usual(name),
                };
                EVENT_COLUMNS.iter().map(|name| ((*name).to_owned(), value(name))).collect()
            }
        }
    }
}

fn cell(value: &Value) -> Json {
    match value {
        Value::Null => Json::Null,
        Value::Bool(flag) => (*flag).into(),
        Value::Int(int) => (*int).into(),
        Value::Uint(uint) => (*uint).into(),
        Value::Map(_) => envelope::data(value).into(),
        other => envelope::plain_text(other).into(),
    }
}

/// Everything that a template may name, as a map.
pub(super) fn known(firing: &Firing<'_>) -> Value {
    let (database, table) = envelope::split_table(firing.table);
    let key = Value::record(firing.key.iter().cloned());
    let Images { op, old, new, row } = Images::of(firing.payload);
    Value::record([
        ("id", Value::text(firing.id)),
        ("timestamp", Value::Timestamp(firing.at)),
        ("event_type", Value::text(firing.event)),
        ("source_db", database.map_or(Value::Null, Value::text)),
        ("source_table", Value::text(table)),
        ("subject_id", Value::text(envelope::key_text(firing))),
        ("key", key),
        ("version", Value::Uint(firing.version)),
        ("txid", Value::text(firing.origin)),
        ("rule", Value::text(firing.node)),
        ("payload", firing.payload.clone()),
        ("op", Value::text(op)),
        ("old", old),
        ("new", new),
        ("row", row),
    ])
}

/// The row that a firing is about. An effect's payload is one row, as it is now; a reaction's holds both images.
pub(super) struct Images {
    /// `insert`, `update`, `delete`, `timer`; of an effect `upsert`.
    pub(super) op: String,
    /// The row before, or NULL.
    pub(super) old: Value,
    /// The row after, or NULL.
    pub(super) new: Value,
    /// The row after, or where there is none the one that went.
    pub(super) row: Value,
}

impl Images {
    pub(super) fn of(payload: &Value) -> Self {
        let member = |name: &str| match payload {
            Value::Map(members) => members.get(&Value::text(name)).cloned().unwrap_or(Value::Null),
            _ => Value::Null,
        };
        let of_reaction = |members: &BTreeMap<Value, Value>| {
            ["event", "table", "key", "old", "new"].iter().all(|name| members.contains_key(&Value::text(*name)))
        };
        let op = match (payload, member("op")) {
            (Value::Map(members), Value::Text(op)) if of_reaction(members) => op,
            _ => return Self { op: "upsert".to_owned(), old: Value::Null, new: payload.clone(), row: payload.clone() },
        };
        let (old, new) = (member("old"), member("new"));
        let row = if matches!(new, Value::Map(_)) { new.clone() } else { old.clone() };
        Self { op: op.to_string(), old, new, row }
    }
}
