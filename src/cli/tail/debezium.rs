//! Rows as Debezium's MySQL connector gives their values: no schema, `decimal` and unsigned numbers as strings, times as ISO strings,
//! bytes as base64, no tombstones, nothing for TRUNCATE.
//!
//! Where the log's reader does not keep what Debezium knows, the lines differ: every unsigned number is a string, not only BIGINT; a DATE
//! is a midnight; `file`, `pos`, `thread` and `query` are empty, and `row` counts from the beginning of the transaction. All times are
//! that of the commit, so that the same log gives the same bytes.

use std::sync::Arc;

use thalweg_formulas::{Timestamp, Type, Value, json, time};
use thalweg_graph::transaction::Row;
use thalweg_graph::{Change, Op, Schema, Transaction};

use super::rows::{self, each, names, object, push};
use super::{Lines, Out};

/// Writes each row on its own: it keeps nothing.
pub(super) struct Debezium;

impl Lines for Debezium {
    fn schemas(&mut self, _: &[Arc<Schema>], _: &mut String) {}

    fn transaction(&mut self, transaction: &Transaction, _: &str, out: &mut Out<'_>) -> Result<(), String> {
        let mut numbers = 0..;
        each(transaction, out, |change, text| {
            let at = numbers.next().unwrap_or_default();
            let place = Place { transaction, schema: &change.schema, at };
            let (before, after) = (change.before.as_ref(), change.after.as_ref());
            match change.op {
                Op::Update if has_another_key(change) => {
                    place.line("d", before, None, text);
                    place.line("c", None, after, text);
                }
                Op::Insert => place.line("c", None, after, text),
                Op::Update | Op::Upsert => place.line("u", before, after, text),
                Op::Delete => place.line("d", before, None, text),
            }
        })
    }
}

/// A new key is another record: the old one goes, the new one comes.
fn has_another_key(change: &Change) -> bool {
    let (Some(before), Some(after)) = (&change.before, &change.after) else { return false };
    change.schema.key.iter().any(|at| before[*at as usize] != after[*at as usize])
}

/// Which row of which transaction.
struct Place<'a> {
    transaction: &'a Transaction,
    schema: &'a Schema,
    at: usize,
}

impl Place<'_> {
    fn line(&self, op: &str, before: Option<&Row>, after: Option<&Row>, out: &mut String) {
        for (name, row) in [("{\"before\":", before), (",\"after\":", after)] {
            out.push_str(name);
            match row {
                Some(row) => object(self.schema, row, |_| true, value, out),
                None => out.push_str("null"),
            }
        }
        out.push_str(",\"source\":");
        self.source(out);
        out.push_str(",\"transaction\":null,\"op\":");
        json::write_text(op, out);
        self.times(",\"ts_ms\":", out);
        out.push_str("}\n");
    }

    fn source(&self, out: &mut String) {
        let (database, table) = names(self.schema);
        out.push_str("{\"version\":");
        json::write_text(concat!("thalweg-", env!("CARGO_PKG_VERSION")), out);
        out.push_str(",\"connector\":\"mysql\",\"name\":\"thalweg\"");
        self.times(",\"ts_ms\":", out);
        out.push_str(",\"snapshot\":\"false\",\"db\":");
        json::write_text(database, out);
        out.push_str(",\"sequence\":null,\"table\":");
        json::write_text(table, out);
        out.push_str(",\"server_id\":");
        push(out, rows::server(&self.transaction.origin).unwrap_or(0));
        out.push_str(",\"gtid\":");
        json::write_text(rows::gtid(&self.transaction.origin), out);
        out.push_str(",\"file\":\"\",\"pos\":0,\"row\":");
        push(out, self.at);
        out.push_str(",\"thread\":null,\"query\":null}");
    }

    /// The commit time three times over.
    fn times(&self, first: &str, out: &mut String) {
        let Timestamp(micros) = self.transaction.at;
        out.push_str(first);
        push(out, micros.div_euclid(1000));
        out.push_str(",\"ts_us\":");
        push(out, micros);
        out.push_str(",\"ts_ns\":");
        push(out, i128::from(micros) * 1000);
    }
}

fn value(value: &Value, ty: &Type, out: &mut String) {
    match (value, ty) {
        (Value::Int(x), Type::Int) => push(out, x),
        (Value::Uint(x), _) => push(out, format_args!("\"{x}\"")),
        (Value::Duration(d), _) => json::write_text(&format!("{}Z", rows::clock(*d)), out),
        (Value::Timestamp(t), _) => json::write_text(&time::format_timestamp(*t), out),
        // JSON columns are texts that hold JSON.
        (Value::Null, _) => out.push_str("null"),
        (value, Type::Dyn) => {
            let mut inner = String::new();
            super::maxwell::plain(value, &mut inner);
            json::write_text(&inner, out);
        }
        (value, _) => json::write(value, out),
    }
}
