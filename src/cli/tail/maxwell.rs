//! Rows as Maxwell 1.44 writes them with its default configuration: no lines for DDL and TRUNCATE, `commit` on the last row of a
//! transaction.
//!
//! The lines differ where Maxwell's would say less: `xid` is the transaction's number in its GTID, not the storage engine's; a TIME that
//! is negative or longer than a day is printed as SQL does, not modulo a day; a date that names no day is its text; types that Maxwell
//! refuses (UUID, INET, VECTOR) are there. An ENUM's invalid value is null, also where the empty text is a member.

use std::sync::Arc;

use thalweg_formulas::decimal::Decimal;
use thalweg_formulas::{Value, json};
use thalweg_graph::transaction::{SchemaColumn, SqlType};
use thalweg_graph::{Change, Op, Schema, Transaction};

use super::rows::{self, each, list, names, object, push};
use super::{Lines, Out, geometry};

/// Writes each row on its own: it keeps nothing.
pub(super) struct Maxwell;

impl Lines for Maxwell {
    fn schemas(&mut self, _: &[Arc<Schema>], _: &mut String) {}

    fn transaction(&mut self, transaction: &Transaction, _: &str, out: &mut Out<'_>) -> Result<(), String> {
        let mut left = rows::count(transaction);
        each(transaction, out, |change, text| {
            left -= 1;
            line(change, transaction, left == 0, text);
        })
    }
}

fn line(change: &Change, transaction: &Transaction, is_last: bool, out: &mut String) {
    let (database, table) = names(&change.schema);
    out.push_str("{\"database\":");
    json::write_text(database, out);
    out.push_str(",\"table\":");
    json::write_text(table, out);
    out.push_str(match change.op {
        Op::Insert => ",\"type\":\"insert\",\"ts\":",
        Op::Update | Op::Upsert => ",\"type\":\"update\",\"ts\":",
        Op::Delete => ",\"type\":\"delete\",\"ts\":",
    });
    push(out, transaction.at.0.div_euclid(1_000_000));
    if let Some(number) = rows::number(&transaction.origin) {
        out.push_str(",\"xid\":");
        push(out, number);
    }
    if is_last {
        out.push_str(",\"commit\":true");
    }
    if let Some(row) = change.after.as_ref().or(change.before.as_ref()) {
        out.push_str(",\"data\":");
        object(&change.schema, row, |_| true, value, out);
    }
    old(change, out);
    out.push_str("}\n");
}

/// What the changed columns of an update were.
fn old(change: &Change, out: &mut String) {
    let (Some(before), Some(after)) = (&change.before, &change.after) else { return };
    let is_changed = |at: usize| before[at].is_some() && after[at].is_some() && before[at] != after[at];
    if (0..before.len()).any(is_changed) {
        out.push_str(",\"old\":");
        object(&change.schema, before, is_changed, value, out);
    }
}

/// A value as Maxwell prints it in a column of this type.
fn value(value: &Value, column: &SchemaColumn, out: &mut String) {
    match (value, column.sql) {
        (Value::Timestamp(t), SqlType::Date) => json::write_text(&rows::date(*t), out),
        (Value::Timestamp(t), SqlType::Datetime(digits) | SqlType::Timestamp(digits)) => {
            json::write_text(&rows::padded_time(*t, ' ', digits), out);
        }
        (Value::Duration(d), SqlType::Time(digits)) => json::write_text(&rows::padded_clock(*d, digits), out),
        (Value::Text(members), SqlType::Set) => {
            out.push('[');
            list(members.split(',').filter(|member| !member.is_empty()), out, json::write_text);
            out.push(']');
        }
        (Value::Text(member), SqlType::Enum) if member.is_empty() => out.push_str("null"),
        (Value::Bytes(stored), SqlType::Point | SqlType::Geometry) => {
            match geometry::parts(stored).and_then(|(_, wkb)| geometry::text(wkb)) {
                Some(text) => json::write_text(&text, out),
                None => plain(value, out),
            }
        }
        _ => plain(value, out),
    }
}

/// A value without tags, however deep.
pub(super) fn plain(value: &Value, out: &mut String) {
    match value {
        Value::Int(x) => push(out, x),
        Value::Uint(x) => push(out, x),
        Value::Double(x) if x.is_finite() => out.push_str(&java_double(*x)),
        Value::Decimal(x) => out.push_str(&java_decimal(x)),
        Value::Timestamp(t) => json::write_text(&rows::sql_time(*t), out),
        Value::Duration(d) => json::write_text(&rows::clock(*d), out),
        Value::List(items) => {
            out.push('[');
            list(items.iter(), out, plain);
            out.push(']');
        }
        Value::Map(map) => {
            out.push('{');
            list(map.iter(), out, |(key, value), out| {
                match key {
                    Value::Text(name) => json::write_text(name, out),
                    other => json::write_text(&json::display(other), out),
                }
                out.push(':');
                plain(value, out);
            });
            out.push('}');
        }
        Value::Null | Value::Bool(_) | Value::Double(_) | Value::Text(_) | Value::Bytes(_) | Value::Tensor(_) => {
            json::write(value, out);
        }
    }
}

/// A double as Java prints it: an exponent below 0.001 and from 10 million on.
pub(super) fn java_double(x: f64) -> String {
    if x == 0.0 || (1e-3..1e7).contains(&x.abs()) {
        return format!("{x:?}");
    }
    let text = format!("{x:e}");
    match text.split_once('e') {
        Some((digits, exponent)) if !digits.contains('.') => format!("{digits}.0E{exponent}"),
        _ => text.replace('e', "E"),
    }
}

/// A decimal as Java's BigDecimal prints it: an exponent where more than five zeros would follow the point.
fn java_decimal(x: &Decimal) -> String {
    let plain = x.to_string();
    let digits: String = plain.chars().filter(char::is_ascii_digit).collect();
    let digits = match digits.trim_start_matches('0') {
        "" => "0",
        digits => digits,
    };
    let exponent = digits.len() as i64 - 1 - i64::from(x.scale());
    if exponent >= -6 {
        return plain;
    }
    let sign = if plain.starts_with('-') { "-" } else { "" };
    match digits.split_at(1) {
        (first, "") => format!("{sign}{first}E{exponent}"),
        (first, rest) => format!("{sign}{first}.{rest}E{exponent}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_columns_are_json_without_tags() {
        let text = r#"{"a":[1,{"$uint":"18446744073709551615"},"x \"y\"",null,{"b":{"$decimal":"0.10"}}]}"#;
        let mut out = String::new();
        plain(&json::parse(text).unwrap(), &mut out);
        assert_eq!(out, r#"{"a":[1,18446744073709551615,"x \"y\"",null,{"b":0.10}]}"#);
    }

    #[test]
    fn doubles_print_as_in_java() {
        let shown: Vec<String> =
            [0.0, -0.5, 0.001, 0.0009, 1.5, 9_999_999.0, 1e7, 12_345_678.9, -2.5e300, 1e21].map(java_double).into();
        let want = "0.0 -0.5 0.001 9.0E-4 1.5 9999999.0 1.0E7 1.23456789E7 -2.5E300 1.0E21";
        assert_eq!(shown.join(" "), want);
    }

    #[test]
    fn decimals_print_as_in_java() {
        let texts = ["0.00", "12.50", "-1.000001", "0.000001", "0.0000012", "-0.0000001", "0.0000000", "99999999999999999999"];
        let shown: Vec<String> = texts.map(|text| java_decimal(&text.parse().unwrap())).into();
        assert_eq!(shown.join(" "), "0.00 12.50 -1.000001 0.000001 0.0000012 -1E-7 0E-7 99999999999999999999");
    }
}
