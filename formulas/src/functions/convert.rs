//! Conversions between types, named after the type they give.

use super::number::{as_double, small_int};
use super::signature::{Want, takes};
use super::{Derivative, Function, Nulls, unsupported};
use crate::decimal::{Decimal, Rounding};
use crate::errors;
use crate::eval::Fuel;
use crate::json;
use crate::ops;
use crate::problem::Error;
use crate::time;
use crate::types::Type;
use crate::value::{Cell, Duration, Timestamp, Value};

const NO_SLOPE: Derivative = Derivative::None { why: "what is not a number has no slope" };

pub(super) const FUNCTIONS: &[Function] = &[
    Function {
        name: "int",
        doc: "an int from a number (cut off behind the point), a text, a bool, or a timestamp (seconds since 1970)",
        example: "int('42') == 42 && int(-2.9) == -2 && int(timestamp('1970-01-01T00:01:00Z')) == 60",
        args: 1..=1,
        result: |t| convertible(t, Type::Int, |t| t.is_numeric() || matches!(t, Type::Text | Type::Bool | Type::Timestamp)),
        nulls: Nulls::Propagate,
        call: |v, _| int(&v[0]),
        derivative: Derivative::Zero,
    },
    Function {
        name: "uint",
        doc: "a uint from a number (cut off behind the point), a text or a bool",
        example: "uint('42') == 42u && uint(2.9) == 2u",
        args: 1..=1,
        result: |t| convertible(t, Type::Uint, |t| t.is_numeric() || matches!(t, Type::Text | Type::Bool)),
        nulls: Nulls::Propagate,
        call: |v, _| uint(&v[0]),
        derivative: Derivative::Zero,
    },
    Function {
        name: "double",
        doc: "the nearest double to a number or a text",
        example: "double('2.5') == 2.5 && double(1) == 1.0",
        args: 1..=1,
        result: |t| convertible(t, Type::Double, |t| t.is_numeric() || matches!(t, Type::Text)),
        nulls: Nulls::Propagate,
        call: |v, _| double(&v[0]),
        derivative: Derivative::Partial(|_, _| crate::ops::derivative::number(1.0)),
    },
    Function {
        name: "decimal",
        doc: "an exact decimal from a number or a text; a second argument sets the scale, rounding halves away from zero",
        example: "decimal('12.50') * 2 == 25 && decimal(0.1) == decimal('0.1') && decimal('2.345', 2) == decimal('2.35')",
        args: 1..=2,
        result: decimal_type,
        nulls: Nulls::Propagate,
        call: decimal,
        derivative: Derivative::Partial(|_, _| crate::ops::derivative::number(1.0)),
    },
    Function {
        name: "string",
        doc: "the text of a value: numbers as written, timestamps as RFC 3339, durations as seconds, bytes as UTF-8",
        example: "string(1.5) == '1.5' && string(true) == 'true' && string(duration('90s')) == '90s'",
        args: 1..=1,
        result: |t| convertible(t, Type::Text, |t| !matches!(t, Type::List(_) | Type::Map(..) | Type::Tensor(_))),
        nulls: Nulls::Propagate,
        call: string,
        derivative: NO_SLOPE,
    },
    Function {
        name: "bytes",
        doc: "the UTF-8 bytes of a text",
        example: "bytes('abc') == b'abc'",
        args: 1..=1,
        result: |t| convertible(t, Type::Bytes, |t| matches!(t, Type::Text | Type::Bytes)),
        nulls: Nulls::Propagate,
        call: |v, fuel| match &v[0] {
            Value::Text(text) => {
                fuel.bytes(text.len())?;
                Ok(Value::Bytes(text.as_bytes().into()))
            }
            Value::Bytes(_) => Ok(v[0].clone()),
            _ => Err(unsupported("bytes", v)),
        },
        derivative: NO_SLOPE,
    },
    Function {
        name: "bool",
        doc: "a bool from a text (true, false, t, f, 1, 0, in CEL's spellings) or from the numbers 0 and 1",
        example: "bool('true') && !bool(0)",
        args: 1..=1,
        result: |t| convertible(t, Type::Bool, |t| t.is_numeric() || matches!(t, Type::Text | Type::Bool)),
        nulls: Nulls::Propagate,
        call: |v, _| boolean(&v[0]),
        derivative: NO_SLOPE,
    },
    Function {
        name: "timestamp",
        doc: "an instant from a text (RFC 3339; without a zone, UTC) or from seconds since 1970",
        example: "timestamp('2024-01-02T03:04:05Z') + duration('1s') == timestamp('2024-01-02 03:04:06')",
        args: 1..=1,
        result: |t| convertible(t, Type::Timestamp, |t| t.is_numeric() || matches!(t, Type::Text | Type::Timestamp)),
        nulls: Nulls::Propagate,
        call: |v, _| timestamp(&v[0]),
        derivative: NO_SLOPE,
    },
    Function {
        name: "duration",
        doc: "a span of time from a text like 1h30m or 1.5s, or from seconds",
        example: "duration('1h30m') == duration('5400s') && duration(1.5) == duration('1500ms')",
        args: 1..=1,
        result: |t| convertible(t, Type::Duration, |t| t.is_numeric() || matches!(t, Type::Text | Type::Duration)),
        nulls: Nulls::Propagate,
        call: |v, _| duration(&v[0]),
        derivative: NO_SLOPE,
    },
    Function {
        name: "type",
        doc: "the name of a value's type",
        example: "type(1) == 'int' && type(null) == 'null'",
        args: 1..=1,
        result: |_| Ok(Type::Text),
        nulls: Nulls::Sees,
        call: |v, _| Ok(Value::text(ops::type_name(&v[0]))),
        derivative: NO_SLOPE,
    },
    Function {
        name: "dyn",
        doc: "the value, with its type no longer known to the checker",
        example: "dyn('a') != 1",
        args: 1..=1,
        result: |_| Ok(Type::Dyn),
        nulls: Nulls::Sees,
        call: |v, _| Ok(v[0].clone()),
        derivative: Derivative::Partial(|_, _| crate::ops::derivative::number(1.0)),
    },
    Function {
        name: "json",
        doc: "the value that a JSON text says",
        example: "json('{\"a\": [1, 2.5]}').a[1] == 2.5",
        args: 1..=1,
        result: |t| takes(t, &[Want::Text], Type::Dyn),
        nulls: Nulls::Propagate,
        call: |v, fuel| {
            let Value::Text(text) = &v[0] else { return Err(unsupported("json", v)) };
            fuel.bytes(text.len().saturating_mul(16))?; // `[0,0,…]`: two bytes become a value of 24 and its JSON twin.
            let parsed = json::parse(text).map_err(errors::conversion)?;
            fuel.weigh(&parsed)?;
            Ok(parsed)
        },
        derivative: NO_SLOPE,
    },
    Function {
        name: "to_json",
        doc: "the JSON text of a value; what JSON cannot say is tagged",
        example: "to_json({'a': [1, 2.5]}) == '{\"a\":[1,2.5]}'",
        args: 1..=1,
        result: |_| Ok(Type::Text),
        nulls: Nulls::Sees,
        call: |v, fuel| {
            fuel.weigh(&v[0])?;
            fuel.weigh(&v[0])?; // Escapes and tags.
            let mut text = String::new();
            json::write_dynamic(&v[0], &mut text);
            fuel.bytes(text.len())?;
            Ok(Value::text(text))
        },
        derivative: NO_SLOPE,
    },
];

fn convertible(t: &[Type], answer: Type, from: fn(&Type) -> bool) -> Result<Type, String> {
    match &t[0] {
        Type::Dyn | Type::Null => Ok(answer),
        t if from(t) => Ok(answer),
        t => Err(format!("{t} does not convert to {answer}")),
    }
}

fn refuse(value: &Value, to: &str) -> Error {
    match value {
        Value::Text(text) => errors::conversion(format!("{:?} is not {to}", short(text))),
        value => errors::conversion(format!("{} is not {to}", short(&json::display(value)))),
    }
}

/// The beginning of a text, for messages.
fn short(text: &str) -> String {
    match text.char_indices().nth(60) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

fn int(value: &Value) -> Cell {
    let converted = match value {
        Value::Int(x) => Some(*x),
        Value::Uint(x) => i64::try_from(*x).ok(),
        // ±2^63 are what the ints at either end round to, so CEL takes neither for an int.
        Value::Double(x) => (x.abs() < 2f64.powi(63)).then_some(*x as i64),
        Value::Decimal(x) => x.to_i64(),
        Value::Bool(x) => Some(i64::from(*x)),
        Value::Text(text) => text.parse().ok(),
        Value::Timestamp(t) => Some(t.0.div_euclid(time::SECOND)),
        _ => return Err(unsupported("int", std::slice::from_ref(value))),
    };
    converted.map(Value::Int).ok_or_else(|| refuse(value, "an int of 64 bits"))
}

fn uint(value: &Value) -> Cell {
    let converted = match value {
        Value::Uint(x) => Some(*x),
        Value::Int(x) => u64::try_from(*x).ok(),
        // Below zero is out of range, also where the whole part is 0: so say CEL's evaluators.
        Value::Double(x) => (0.0..2f64.powi(64)).contains(x).then_some(*x as u64),
        Value::Decimal(x) => x.to_u64().filter(|_| x.is_zero() || !x.is_negative()),
        Value::Bool(x) => Some(u64::from(*x)),
        Value::Text(text) => text.parse().ok(),
        _ => return Err(unsupported("uint", std::slice::from_ref(value))),
    };
    converted.map(Value::Uint).ok_or_else(|| refuse(value, "a uint of 64 bits"))
}

fn double(value: &Value) -> Cell {
    match value {
        Value::Text(text) => text.parse().map(Value::double).map_err(|_| refuse(value, "a double")),
        value => as_double("double", value).map(Value::double),
    }
}

fn decimal_type(t: &[Type]) -> Result<Type, String> {
    convertible(&t[..1], Type::Dyn, |t| t.is_numeric() || matches!(t, Type::Text))?;
    takes(&t[1..], &[Want::Whole], Type::Dyn)?;
    Ok(match (&t[0], t.len()) {
        (Type::Decimal { .. }, 1) => t[0].clone(),
        (Type::Int, 1) => Type::Decimal { precision: 19, scale: 0 },
        (Type::Uint, 1) => Type::Decimal { precision: 20, scale: 0 },
        _ => Type::Dyn, // The scale is not known before the value is.
    })
}

fn decimal(v: &[Value], _: &mut Fuel) -> Cell {
    let exact = match &v[0] {
        Value::Int(x) => Decimal::from(*x),
        Value::Uint(x) => Decimal::from(*x),
        Value::Decimal(x) => x.clone(),
        Value::Double(x) => Decimal::from_f64(*x).ok_or_else(|| refuse(&v[0], "a decimal of 76 digits"))?,
        Value::Text(text) => text.parse().map_err(|_| refuse(&v[0], "a decimal of 76 digits"))?,
        value => return Err(unsupported("decimal", std::slice::from_ref(value))),
    };
    let Some(scale) = v.get(1) else { return Ok(Value::Decimal(exact)) };
    let scale = small_int("decimal", scale)?;
    let scale = u8::try_from(scale).ok().filter(|scale| *scale <= Decimal::DIGITS_MAX);
    let scale = scale.ok_or_else(|| errors::bad_argument("decimal: the scale must be from 0 to 76"))?;
    exact.rescale(scale, Rounding::HalfAway).map(Value::Decimal).ok_or_else(errors::decimal_overflow)
}

fn string(v: &[Value], fuel: &mut Fuel) -> Cell {
    match &v[0] {
        Value::Text(_) => Ok(v[0].clone()),
        Value::Bytes(bytes) => {
            fuel.bytes(bytes.len())?;
            std::str::from_utf8(bytes).map(Value::text).map_err(|_| errors::conversion("the bytes are not UTF-8"))
        }
        Value::List(_) | Value::Map(_) | Value::Tensor(_) => Err(unsupported("string", v)),
        Value::Double(x) => Ok(Value::text(json::shortest(*x))),
        value => Ok(Value::text(json::display(value))),
    }
}

fn boolean(value: &Value) -> Cell {
    match value {
        Value::Bool(_) => Ok(value.clone()),
        Value::Text(text) => match &**text {
            "true" | "True" | "TRUE" | "t" | "1" => Ok(Value::Bool(true)),
            "false" | "False" | "FALSE" | "f" | "0" => Ok(Value::Bool(false)),
            _ => Err(refuse(value, "a bool")),
        },
        value if ops::equal(value, &Value::Int(0)) => Ok(Value::Bool(false)),
        value if ops::equal(value, &Value::Int(1)) => Ok(Value::Bool(true)),
        value => Err(refuse(value, "a bool")),
    }
}

/// Seconds as microseconds, cut off behind the sixth digit; `None` where they do not fit.
fn micros(seconds: &Value) -> Option<i64> {
    match seconds {
        Value::Int(x) => x.checked_mul(time::SECOND),
        Value::Uint(x) => i64::try_from(*x).ok()?.checked_mul(time::SECOND),
        Value::Double(x) => Decimal::from_f64(*x)?.checked_mul(&Decimal::from(time::SECOND))?.to_i64(),
        Value::Decimal(x) => x.checked_mul(&Decimal::from(time::SECOND))?.to_i64(),
        _ => None,
    }
}

fn timestamp(value: &Value) -> Cell {
    match value {
        Value::Timestamp(_) => Ok(value.clone()),
        Value::Text(text) => time::parse_timestamp(text).map(Value::Timestamp).map_err(errors::conversion),
        Value::Int(_) | Value::Uint(_) | Value::Double(_) | Value::Decimal(_) => {
            let instant = micros(value).map(Timestamp).filter(|t| time::in_range(*t));
            instant.map(Value::Timestamp).ok_or_else(|| errors::time_out_of_range("timestamp"))
        }
        _ => Err(unsupported("timestamp", std::slice::from_ref(value))),
    }
}

fn duration(value: &Value) -> Cell {
    match value {
        Value::Duration(_) => Ok(value.clone()),
        Value::Text(text) => time::parse_duration(text).map(Value::Duration).map_err(errors::conversion),
        Value::Int(_) | Value::Uint(_) | Value::Double(_) | Value::Decimal(_) => {
            micros(value).map(|d| Value::Duration(Duration(d))).ok_or_else(|| errors::time_out_of_range("duration"))
        }
        _ => Err(unsupported("duration", std::slice::from_ref(value))),
    }
}
