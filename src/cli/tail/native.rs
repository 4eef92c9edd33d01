//! Lines that `thalweg apply` reads: a transaction each, with a `schema` line before the first row of a table and at every change of its layout.
//!
//! Invariants:
//! - A row's values read back as the same values: by the type that the schema line tells, or, where the value is of another type or the
//!   column is dynamic, by a tag.
//! - Nothing is lost silently: a table that is emptied (TRUNCATE, DROP) is a change `{"table":…,"op":"clear"}`, for each table that was told.
//!
//! Cost: proportional to the text. It keeps one schema for each table.

use std::collections::HashMap;
use std::sync::Arc;

use thalweg_formulas::{Type, Value, json, time};
use thalweg_graph::{Change, Op, Schema, Transaction};

use super::rows::{all, list, object};
use super::{Lines, Out};

/// What was written so far.
#[derive(Default)]
pub(super) struct Native {
    /// The last schema line of each table.
    told: HashMap<Arc<str>, Arc<Schema>>,
}

impl Lines for Native {
    fn schemas(&mut self, schemas: &[Arc<Schema>], out: &mut String) {
        schemas.iter().for_each(|schema| self.tell(schema, out));
    }

    fn transaction(&mut self, transaction: &Transaction, _: &str, out: &mut Out<'_>) -> Result<(), String> {
        // The schema lines stand before the line, so what is large is read twice.
        let mut says = false;
        all(transaction, out, |change, text| match change.is_clear() {
            true => says |= self.emptied(change).next().is_some(),
            false => {
                self.tell(&change.schema, text);
                says = true;
            }
        })?;
        if !says {
            return Ok(());
        }
        begin(transaction, out.text);
        let mut is_first = true;
        all(transaction, out, |change, text| {
            let mut next = |text: &mut String| {
                if !std::mem::replace(&mut is_first, false) {
                    text.push(',');
                }
            };
            if !change.is_clear() {
                next(text);
                return self::change(change, text);
            }
            for table in self.emptied(change) {
                next(text);
                clear(table, text);
            }
        })?;
        out.text.push_str("]}\n");
        Ok(())
    }
}

impl Native {
    /// Writes a schema line, unless it is the one that the reader has.
    fn tell(&mut self, schema: &Arc<Schema>, out: &mut String) {
        let known = self.told.get(&schema.table);
        if known.is_some_and(|known| Arc::ptr_eq(known, schema) || known == schema) {
            return;
        }
        self.told.insert(schema.table.clone(), schema.clone());
        schema_line(schema, out);
    }

    /// The tables that a clear empties, of those that the reader knows, by name.
    fn emptied<'a>(&'a self, clear: &'a Change) -> impl Iterator<Item = &'a str> {
        let name: &str = &clear.schema.table;
        let mut tables: Vec<&str> = match name.strip_suffix('*') {
            Some(database) => self.told.keys().map(|table| &**table).filter(|table| table.starts_with(database)).collect(),
            None => self.told.contains_key(name).then_some(name).into_iter().collect(),
        };
        tables.sort_unstable();
        tables.into_iter()
    }
}

fn schema_line(schema: &Schema, out: &mut String) {
    out.push_str("{\"schema\":{\"table\":");
    json::write_text(&schema.table, out);
    out.push_str(",\"key\":[");
    list(&schema.key, out, |at, out| json::write_text(&schema.columns[*at as usize].name, out));
    out.push_str("],\"columns\":{");
    list(&schema.columns, out, |column, out| {
        json::write_text(&column.name, out);
        out.push(':');
        json::write_text(&column.ty.to_string(), out);
    });
    out.push_str("}}}\n");
}

/// The line as far as its changes.
fn begin(transaction: &Transaction, out: &mut String) {
    out.push_str("{\"tx\":");
    json::write_text(&transaction.origin, out);
    out.push_str(",\"at\":");
    json::write_text(&time::format_timestamp(transaction.at), out);
    out.push_str(",\"changes\":[");
}

fn change(change: &Change, out: &mut String) {
    let schema = &change.schema;
    out.push_str("{\"table\":");
    json::write_text(&schema.table, out);
    out.push_str(match change.op {
        Op::Insert => ",\"op\":\"insert\"",
        Op::Update => ",\"op\":\"update\"",
        Op::Delete => ",\"op\":\"delete\"",
        Op::Upsert => ",\"op\":\"upsert\"",
    });
    if let Some(key) = &change.key {
        out.push_str(",\"key\":{");
        list(schema.key.iter().zip(key.iter()), out, |(at, part), out| {
            let column = &schema.columns[*at as usize];
            json::write_text(&column.name, out);
            out.push(':');
            value(part, &column.ty, out);
        });
        out.push('}');
    }
    for (name, row) in [(",\"before\":", &change.before), (",\"after\":", &change.after)] {
        if let Some(row) = row {
            out.push_str(name);
            object(schema, row, |_| true, |cell, column, out| value(cell, &column.ty, out), out);
        }
    }
    out.push('}');
}

/// Every row of a table goes.
fn clear(table: &str, out: &mut String) {
    out.push_str("{\"table\":");
    json::write_text(table, out);
    out.push_str(",\"op\":\"clear\"}");
}

/// A value of a column: plain where the type tells how to read it.
fn value(value: &Value, ty: &Type, out: &mut String) {
    match (value, ty) {
        (Value::Bool(_), Type::Bool)
        | (Value::Int(_), Type::Int)
        | (Value::Uint(_), Type::Uint)
        | (Value::Double(_), Type::Double)
        | (Value::Decimal(_), Type::Decimal { .. })
        | (Value::Bytes(_), Type::Bytes)
        | (Value::Timestamp(_), Type::Timestamp)
        | (Value::Duration(_), Type::Duration) => json::write(value, out),
        // In a column of bytes a text is its bytes.
        (Value::Text(text), Type::Bytes) => json::write(&Value::Bytes(text.as_bytes().into()), out),
        // Text is text everywhere else, also a date that names no day; what is left needs to say what it is.
        _ => json::write_dynamic(value, out),
    }
}

#[cfg(test)]
mod tests;
