//! Time windows: half-open spans of one size, at steps from the epoch plus an offset.

use super::signature::{Want, takes};
use super::{Derivative, Function, Nulls, unsupported};
use crate::errors;
use crate::eval::Fuel;
use crate::types::Type;
use crate::value::{Cell, Duration, Timestamp, Value};

pub(super) const FUNCTIONS: &[Function] = &[
    Function {
        name: "window",
        doc: "when the time window of this size that holds the timestamp starts; windows follow each other from the epoch, moved by the offset, if there is one",
        example: "timestamp('2024-03-05T06:07:08Z').window(duration('5m')) == timestamp('2024-03-05T06:05:00Z')",
        args: 2..=3,
        result: |t| takes(t, &[Want::Timestamp, Want::Duration, Want::Duration], Type::Timestamp),
        nulls: Nulls::Propagate,
        call: window,
        derivative: Derivative::Zero,
    },
    Function {
        name: "windows",
        doc: "when the time windows of this size that hold the timestamp start, first to last; a window starts at every slide from the epoch, moved by the offset, if there is one",
        example: "timestamp('1970-01-01T00:01:05Z').windows(duration('1m'), duration('30s')) == [timestamp('1970-01-01T00:00:30Z'), timestamp('1970-01-01T00:01:00Z')]",
        args: 3..=4,
        result: |t| {
            takes(t, &[Want::Timestamp, Want::Duration, Want::Duration, Want::Duration], Type::List(Type::Timestamp.into()))
        },
        nulls: Nulls::Propagate,
        call: windows,
        derivative: Derivative::None { why: "a list of windows has no slope" },
    },
];

fn window(v: &[Value], _: &mut Fuel) -> Cell {
    let (at, size, offset) = match v {
        [Value::Timestamp(at), Value::Duration(size)] => (at, size, 0),
        [Value::Timestamp(at), Value::Duration(size), Value::Duration(offset)] => (at, size, offset.0),
        _ => return Err(unsupported("window", v)),
    };
    let start = start(*at, *size, offset).ok_or_else(|| errors::time_out_of_range("window"))?;
    Ok(Value::Timestamp(Timestamp(start)))
}

fn windows(v: &[Value], fuel: &mut Fuel) -> Cell {
    let (at, size, slide, offset) = match v {
        [Value::Timestamp(at), Value::Duration(size), Value::Duration(slide)] => (at, size, slide, 0),
        [Value::Timestamp(at), Value::Duration(size), Value::Duration(slide), Value::Duration(offset)] => {
            (at, size, slide, offset.0)
        }
        _ => return Err(unsupported("windows", v)),
    };
    let outside = || errors::time_out_of_range("windows");
    let last = start(*at, *slide, offset).ok_or_else(outside)?;
    let first_after = at.0.checked_sub(size.0).filter(|_| size.0 > 0).ok_or_else(outside)?;
    let mut starts = Vec::new();
    let mut start = last;
    while start > first_after {
        fuel.elements(1)?;
        starts.push(Value::Timestamp(Timestamp(start)));
        start = start.checked_sub(slide.0).ok_or_else(outside)?;
    }
    starts.reverse();
    Ok(Value::list(starts))
}

/// The last start at or before `at`.
fn start(at: Timestamp, step: Duration, offset: i64) -> Option<i64> {
    (step.0 > 0).then_some(())?;
    let past = at.0.checked_sub(offset)?.rem_euclid(step.0);
    at.0.checked_sub(past)
}
