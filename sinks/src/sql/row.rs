//! The row of a firing: the columns of `reactor_events`, or those that `columns` names.

use serde_json::{Map, Value as Json};
use thalweg_formulas::Value;
use thalweg_graph::ports::Firing;

use super::own::{self, ORIGIN};
use crate::envelope;
use crate::known::{Images, known};
use crate::settings::{Reader, wrong};
use crate::template::Template;

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
        let one = |reader: &mut Reader<'_>, key: &'static str| {
            let text = reader.text(key)?;
            if !columns.is_empty() {
                reader.refuse(key, wrong(key, "this does not go with `columns`, which names every column"));
            }
            Template::read(reader, key.to_owned(), text)
        };
        let (actor, summary) = (one(reader, "actor"), one(reader, "summary"));
        if columns.is_empty() {
            return Self::Event { actor, summary: summary.unwrap_or_else(Template::usual) };
        }
        let read = |(name, text): (&str, &str)| Some((name.to_owned(), Template::read(reader, format!("columns.{name}"), text)?));
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
