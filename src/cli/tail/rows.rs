//! What the formats share: how a change is taken apart.

use std::fmt::Write as _;

use thalweg_formulas::time::Civil;
use thalweg_formulas::{Duration, Timestamp, Value, json, time};
use thalweg_graph::Change;
use thalweg_graph::cause::Cause;
use thalweg_graph::transaction::{Body, Row, Schema, SchemaColumn, Transaction};

use super::Out;

/// Every change of a transaction that is no clear, as [`all`] gives them.
///
/// # Errors
/// They cannot be read.
pub(super) fn each(
    transaction: &Transaction,
    out: &mut Out<'_>,
    mut write: impl FnMut(&Change, &mut String),
) -> Result<(), String> {
    all(transaction, out, |change, text| {
        if !change.is_clear() {
            write(change, text);
        }
    })
}

/// Every change of a transaction, in order, with the text for it; what is written is passed on part by part.
///
/// # Errors
/// They cannot be read.
pub(super) fn all(
    transaction: &Transaction,
    out: &mut Out<'_>,
    mut write: impl FnMut(&Change, &mut String),
) -> Result<(), String> {
    transaction.parts(&mut |part| {
        part.iter().for_each(|change| write(change, out.text));
        out.pass_on()
    })
}

/// How many changes [`each`] gives.
pub(super) fn count(transaction: &Transaction) -> u64 {
    match &transaction.body {
        Body::Changes(changes) | Body::Fill(changes) => changes.iter().filter(|change| !change.is_clear()).count() as u64,
        Body::Spilled(spill) => spill.changes() - spill.clears().len() as u64,
        Body::Timer(_) => 0,
    }
}

/// Database and table.
pub(super) fn names(schema: &Schema) -> (&str, &str) {
    schema.table.split_once('.').unwrap_or(("", &schema.table))
}

/// An object with the columns of a row that are there and that `wants` takes, by position.
pub(super) fn object(
    schema: &Schema,
    row: &Row,
    wants: impl Fn(usize) -> bool,
    write: impl Fn(&Value, &SchemaColumn, &mut String),
    out: &mut String,
) {
    out.push('{');
    let mut is_first = true;
    for (at, (column, cell)) in schema.columns.iter().zip(row.iter()).enumerate() {
        let Some(value) = cell.as_ref().filter(|_| wants(at)) else { continue };
        if !std::mem::replace(&mut is_first, false) {
            out.push(',');
        }
        json::write_text(&column.name, out);
        out.push(':');
        write(value, column, out);
    }
    out.push('}');
}

/// A list with commas.
pub(super) fn list<T>(items: impl IntoIterator<Item = T>, out: &mut String, write: impl Fn(T, &mut String)) {
    for (at, item) in items.into_iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        write(item, out);
    }
}

/// A number or anything else that JSON writes as it prints.
pub(super) fn push(out: &mut String, value: impl std::fmt::Display) {
    let _ = write!(out, "{value}");
}

/// The GTID of a transaction's origin, which may also say who wrote it.
pub(super) fn gtid(origin: &str) -> &str {
    Cause::split(origin).0
}

/// A transaction's number in its GTID: the last one of `0-1-42` and of `UUID:1-42`.
pub(super) fn number(origin: &str) -> Option<u64> {
    gtid(origin).rsplit(['-', ':']).next()?.parse().ok()
}

/// The server that a MariaDB GTID names.
pub(super) fn server(origin: &str) -> Option<u64> {
    let mut parts = gtid(origin).split('-');
    let (_, server, _) = (parts.next()?, parts.next()?, parts.next()?);
    server.parse().ok().filter(|_| parts.next().is_none())
}

/// A time as SQL prints it, without zeros at its end: `2024-02-29 12:34:56.789`.
pub(super) fn sql_time(t: Timestamp) -> String {
    time::format_timestamp(t).replace('T', " ").trim_end_matches('Z').to_owned()
}

/// A day: `2024-02-29`.
pub(super) fn date(t: Timestamp) -> String {
    Civil::at(t, 0).date()
}

/// The seconds of a day or of a TIME, with so many digits behind the point: `12:34:56.780`.
fn clock_of(micros: u64, digits: u8) -> String {
    let (seconds, rest) = (micros / 1_000_000, micros % 1_000_000);
    let whole = format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
    match digits.min(6) {
        0 => whole,
        digits => format!("{whole}.{}", &format!("{rest:06}")[..usize::from(digits)]),
    }
}

/// A time with all of its column's digits; `between` stands before the clock.
pub(super) fn padded_time(t: Timestamp, between: char, digits: u8) -> String {
    let micros = Civil::at(t, 0).micros.unsigned_abs();
    format!("{}{between}{}", date(t), clock_of(micros, digits))
}

/// A TIME with all of its column's digits.
pub(super) fn padded_clock(d: Duration, digits: u8) -> String {
    format!("{}{}", if d.0 < 0 { "-" } else { "" }, clock_of(d.0.unsigned_abs(), digits))
}

/// A TIME as SQL prints it, without zeros at its end: `-838:59:59.99`.
pub(super) fn clock(d: Duration) -> String {
    padded_clock(d, 6).trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gtid_tells_number_and_server() {
        for (origin, want) in [
            ("0-1-42", (Some(42), Some(1))),
            ("3e11fa47-71ca-11e1-9e33-c80aa9429562:7", (Some(7), None)),
            ("3e11fa47-71ca-11e1-9e33-c80aa9429562:tag:7", (Some(7), None)),
            ("binlog.000001:1234", (Some(1234), None)),
            ("0-1-42 via 01HQT500000000000000000001:16", (Some(42), Some(1))),
        ] {
            assert_eq!((number(origin), server(origin)), want, "{origin}");
        }
    }

    #[test]
    fn times_print_as_in_sql() {
        assert_eq!(sql_time(Timestamp(1_709_210_096_789_000)), "2024-02-29 12:34:56.789");
        assert_eq!(sql_time(Timestamp(0)), "1970-01-01 00:00:00");
        let clocks = [0, -500_000, 3_600_000_000, -3_020_399_990_000].map(|micros| clock(Duration(micros)));
        assert_eq!(clocks.join(" "), "00:00:00 -00:00:00.5 01:00:00 -838:59:59.99");
        let padded = [0, 3, 6].map(|digits| padded_time(Timestamp(-500_000), ' ', digits));
        assert_eq!(padded.join(" | "), "1969-12-31 23:59:59 | 1969-12-31 23:59:59.500 | 1969-12-31 23:59:59.500000");
        let padded = [0, 2].map(|digits| padded_clock(Duration(-3_020_399_990_000), digits));
        assert_eq!(padded.join(" "), "-838:59:59 -838:59:59.99");
    }
}
