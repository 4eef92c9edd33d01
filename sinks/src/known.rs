//! What is known of a firing, by name: for templates, and for sinks that keep rows.

use std::collections::BTreeMap;

use thalweg_formulas::Value;
use thalweg_graph::ports::Firing;

use crate::envelope;

/// Everything that a template may name, as a map.
pub(crate) fn known(firing: &Firing<'_>) -> Value {
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
pub(crate) struct Images {
    /// `insert`, `update`, `delete`, `timer`; of an effect `upsert`.
    pub(crate) op: String,
    /// The row before, or NULL.
    pub(crate) old: Value,
    /// The row after, or NULL.
    pub(crate) new: Value,
    /// The row after, or where there is none the one that went.
    pub(crate) row: Value,
}

impl Images {
    pub(crate) fn of(payload: &Value) -> Self {
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
