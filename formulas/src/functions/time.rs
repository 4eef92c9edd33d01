//! Timestamps and durations: parts of the calendar, in UTC or at a fixed offset.

use super::signature::{Want, takes};
use super::{Derivative, Function, Nulls, unsupported};
use crate::errors;
use crate::eval::Fuel;
use crate::time::{Civil, SECOND, parse_zone};
use crate::types::Type;
use crate::value::{Cell, Value};

/// A part of a timestamp.
const fn part(name: &'static str, doc: &'static str, example: &'static str, call: fn(&[Value], &mut Fuel) -> Cell) -> Function {
    Function {
        name,
        doc,
        example,
        args: 1..=2,
        result: |t| takes(t, &[Want::Timestamp, Want::Text], Type::Int),
        nulls: Nulls::Propagate,
        call,
        derivative: Derivative::None { why: "a part of a date jumps" },
    }
}

/// A part of a timestamp, or the whole of a duration in that unit.
const fn part_or_total(
    name: &'static str,
    doc: &'static str,
    example: &'static str,
    call: fn(&[Value], &mut Fuel) -> Cell,
) -> Function {
    Function {
        result: |t| match &t[0] {
            Type::Duration => takes(t, &[Want::Duration, Want::Text], Type::Int),
            _ => takes(t, &[Want::Timestamp, Want::Text], Type::Int),
        },
        ..part(name, doc, example, call)
    }
}

pub(super) const FUNCTIONS: &[Function] = &[
    part("getFullYear", "the year", "timestamp('2024-03-05T06:07:08.9Z').getFullYear() == 2024", |v, _| {
        civil("getFullYear", v, |c| c.year)
    }),
    part("getMonth", "the month, January is 0", "timestamp('2024-03-05T06:07:08.9Z').getMonth() == 2", |v, _| {
        civil("getMonth", v, |c| i64::from(c.month) - 1)
    }),
    part("getDate", "the day of the month, from 1", "timestamp('2024-03-05T06:07:08.9Z').getDate() == 5", |v, _| {
        civil("getDate", v, |c| i64::from(c.day))
    }),
    part("getDayOfMonth", "the day of the month, from 0", "timestamp('2024-03-05T06:07:08.9Z').getDayOfMonth() == 4", |v, _| {
        civil("getDayOfMonth", v, |c| i64::from(c.day) - 1)
    }),
    part(
        "getDayOfWeek",
        "the day of the week, Sunday is 0",
        "timestamp('2024-03-05T06:07:08.9Z').getDayOfWeek() == 2",
        |v, _| civil("getDayOfWeek", v, Civil::weekday),
    ),
    part("getDayOfYear", "the day of the year, from 0", "timestamp('2024-03-05T06:07:08.9Z').getDayOfYear() == 64", |v, _| {
        civil("getDayOfYear", v, Civil::day_of_year)
    }),
    part_or_total(
        "getHours",
        "the hour of the day, or the whole hours of a duration",
        "timestamp('2024-03-05T06:07:08Z').getHours('+02:00') == 8 && duration('90m').getHours() == 1",
        |v, _| clock("getHours", v, |micros| micros / (3600 * SECOND), |micros| micros / (3600 * SECOND)),
    ),
    part_or_total(
        "getMinutes",
        "the minute of the hour, or the whole minutes of a duration",
        "timestamp('2024-03-05T06:07:08Z').getMinutes() == 7 && duration('2h').getMinutes() == 120",
        |v, _| clock("getMinutes", v, |micros| micros / (60 * SECOND) % 60, |micros| micros / (60 * SECOND)),
    ),
    part_or_total(
        "getSeconds",
        "the second of the minute, or the whole seconds of a duration",
        "timestamp('2024-03-05T06:07:08Z').getSeconds() == 8 && duration('1m').getSeconds() == 60",
        |v, _| clock("getSeconds", v, |micros| micros / SECOND % 60, |micros| micros / SECOND),
    ),
    part_or_total(
        "getMilliseconds",
        "the millisecond of the second, of a timestamp or a duration",
        "timestamp('2024-03-05T06:07:08.9Z').getMilliseconds() == 900 && duration('1.5s').getMilliseconds() == 500",
        |v, _| clock("getMilliseconds", v, |micros| micros / 1000 % 1000, |micros| micros / 1000 % 1000),
    ),
    part("year", "the year", "year(timestamp('2024-03-05T06:07:08Z')) == 2024", |v, _| civil("year", v, |c| c.year)),
    part("month", "the month, January is 1", "month(timestamp('2024-03-05T06:07:08Z')) == 3", |v, _| {
        civil("month", v, |c| i64::from(c.month))
    }),
    part("day", "the day of the month, from 1", "day(timestamp('2024-03-05T06:07:08Z')) == 5", |v, _| {
        civil("day", v, |c| i64::from(c.day))
    }),
    part(
        "weekday",
        "the day of the week, Monday is 1 and Sunday 7",
        "weekday(timestamp('2024-03-05T06:07:08Z')) == 2",
        |v, _| civil("weekday", v, |c| (c.weekday() + 6) % 7 + 1),
    ),
    part("hour", "the hour of the day", "hour(timestamp('2024-03-05T06:07:08Z')) == 6", |v, _| {
        civil("hour", v, |c| c.micros / (3600 * SECOND))
    }),
    part("minute", "the minute of the hour", "minute(timestamp('2024-03-05T06:07:08Z')) == 7", |v, _| {
        civil("minute", v, |c| c.micros / (60 * SECOND) % 60)
    }),
    part("second", "the second of the minute", "second(timestamp('2024-03-05T06:07:08Z')) == 8", |v, _| {
        civil("second", v, |c| c.micros / SECOND % 60)
    }),
    Function {
        result: |t| takes(t, &[Want::Timestamp, Want::Text], Type::Text),
        ..part(
            "date",
            "the day as text, YYYY-MM-DD",
            "date(timestamp('2024-03-05T23:07:08Z'), '+02:00') == '2024-03-06'",
            |v, _| Ok(Value::text(calendar("date", v)?.date())),
        )
    },
];

/// What the calendar says at the timestamp, in the zone of the second argument.
fn calendar(name: &str, v: &[Value]) -> Result<Civil, crate::problem::Error> {
    let offset = match v {
        [_, Value::Text(zone)] => parse_zone(zone).map_err(errors::bad_argument)?,
        _ => 0,
    };
    match &v[0] {
        Value::Timestamp(t) => Ok(Civil::at(*t, offset)),
        _ => Err(unsupported(name, v)),
    }
}

fn civil(name: &str, v: &[Value], part: fn(&Civil) -> i64) -> Cell {
    Ok(Value::Int(part(&calendar(name, v)?)))
}

/// A part of the time of day, or a total of a duration.
fn clock(name: &str, v: &[Value], of_day: fn(i64) -> i64, of_span: fn(i64) -> i64) -> Cell {
    match &v[0] {
        Value::Duration(d) => Ok(Value::Int(of_span(d.0))),
        _ => Ok(Value::Int(of_day(calendar(name, v)?.micros))),
    }
}
