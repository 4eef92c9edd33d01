//! Rows as Debezium's MySQL connector gives their values: no schema, `decimal` and `bigint unsigned` as strings, times as ISO strings,
//! bytes as base64, a BIT as its bytes (of one bit: as a boolean), geometries as objects, no tombstones, nothing for TRUNCATE.
//!
//! Where the log's reader does not keep what Debezium knows, the lines differ: `file`, `pos`, `thread` and `query` are empty, and `row`
//! counts from the beginning of the transaction. All times are that of the commit, so that the same log gives the same bytes. A date that
//! names no day is null, in a column that is NOT NULL too.

use std::sync::Arc;

use thalweg_formulas::{Timestamp, Type, Value, json, time};
use thalweg_graph::transaction::{Row, SchemaColumn, SqlType};
use thalweg_graph::{Change, Op, Schema, Transaction};

use super::maxwell::{java_double, plain};
use super::rows::{self, each, list, names, object, push};
use super::{Lines, Out, geometry};

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

fn value(value: &Value, column: &SchemaColumn, out: &mut String) {
    match (value, column.sql) {
        (Value::Null, _) => out.push_str("null"),
        (value, _) if column.ty == Type::Dyn => document(value, out),
        (Value::Int(x), _) => push(out, x),
        (Value::Uint(x), SqlType::BigInt) => push(out, format_args!("\"{x}\"")),
        (Value::Uint(x), SqlType::Bit(1)) => push(out, *x != 0),
        (Value::Uint(x), SqlType::Bit(bits)) => bytes(&x.to_le_bytes()[..usize::from(bits).div_ceil(8).min(8)], out),
        (Value::Uint(x), _) => push(out, x),
        (Value::Double(x), _) if x.is_finite() => out.push_str(&java_double(*x)),
        (Value::Timestamp(t), SqlType::Date) => json::write_text(&format!("{}Z", rows::date(*t)), out),
        (Value::Timestamp(t), SqlType::Timestamp(digits)) => {
            json::write_text(&format!("{}Z", rows::padded_time(*t, 'T', digits)), out);
        }
        (Value::Timestamp(t), _) => json::write_text(&time::format_timestamp(*t), out),
        (Value::Text(_), SqlType::Date | SqlType::Datetime(_) | SqlType::Timestamp(_)) => out.push_str("null"),
        (Value::Duration(d), _) => json::write_text(&format!("{}Z", rows::clock(*d)), out),
        (Value::Bytes(stored), SqlType::Point | SqlType::Geometry) => shape(stored, column.sql, out),
        (Value::Bytes(stored), SqlType::Vector) => floats(stored, out),
        (value, _) => json::write(value, out),
    }
}

/// A JSON column: a text that holds JSON.
fn document(value: &Value, out: &mut String) {
    let mut inner = String::new();
    plain(value, &mut inner);
    json::write_text(&inner, out);
}

fn bytes(bytes: &[u8], out: &mut String) {
    json::write(&Value::Bytes(bytes.into()), out);
}

/// A geometry; a POINT with its coordinates.
fn shape(stored: &[u8], kind: SqlType, out: &mut String) {
    let Some((srid, wkb)) = geometry::parts(stored) else { return bytes(stored, out) };
    out.push('{');
    if let Some((x, y)) = geometry::point(wkb).filter(|_| kind == SqlType::Point) {
        push(out, format_args!("\"x\":{},\"y\":{},", java_double(x), java_double(y)));
    }
    out.push_str("\"wkb\":");
    bytes(wkb, out);
    out.push_str(",\"srid\":");
    match srid {
        0 => out.push_str("null}"),
        srid => push(out, format_args!("{srid}}}")),
    }
}

/// A VECTOR.
fn floats(stored: &[u8], out: &mut String) {
    let (parts, _) = stored.as_chunks();
    out.push('[');
    list(parts, out, |part, out| {
        // The double with the shortest text of the float, as Java prints it.
        let shortest = f32::from_le_bytes(*part).to_string().parse().unwrap_or(f64::NAN);
        out.push_str(&java_double(shortest));
    });
    out.push(']');
}
