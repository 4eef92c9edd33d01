//! Values as JSON, and back. The forms are those of `INTERFACES.md` §4.
//!
//! A value has a *plain* form, which a reader understands who knows its type, and JSON values cannot say every type by
//! themselves. So:
//!
//! - [`write_as`] follows a static type: where it says `uint` or `decimal`, the plain form stands, however deep
//!   (`list(uint)` gives `[1,2]`). Inside what it calls `dyn`, the tagged form stands.
//! - The top level is always plain: [`write()`] takes the value's own type for it, and treats its elements as dynamic.
//! - The *tagged* form ([`write_dynamic`]) reads back as the same value by [`from_json`], bit for bit: what plain JSON would
//!   turn into something else is an object with one key, `$uint $int $double $decimal $bytes $timestamp $duration $map $tensor`.
//!   An int needs its tag beyond 2^53, a double where it is not finite, a map where its keys are not all texts or where
//!   it looks like a tag itself. A uint always does.
//!
//! Cost: proportional to the text. Nothing here fails to print.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::ops;
use crate::tensor::Tensor;
use crate::time;
use crate::types::Type;
use crate::value::Value;

mod read;

pub use read::{from_json, parse, read_as};

/// Integers beyond this are not numbers in JSON: a double does not hold them all.
const EXACT_MAX: u64 = 1 << 53;

/// The tags of the tagged form.
const TAGS: [&str; 9] = ["$uint", "$int", "$double", "$decimal", "$bytes", "$timestamp", "$duration", "$map", "$tensor"];

/// Writes `value`: its own form plain, its elements tagged where they need it.
pub fn write(value: &Value, out: &mut String) {
    match value {
        Value::List(items) => array(items.iter(), out, write_dynamic),
        Value::Map(map) => write_map(map, out, write_dynamic, write_dynamic),
        scalar => write_plain(scalar, out),
    }
}

/// Writes `value` as a reader expects who knows that its type is `ty`; a value of another type is written as by [`write()`].
pub fn write_as(value: &Value, ty: &Type, out: &mut String) {
    match (value, ty) {
        (Value::List(items), Type::List(item)) => array(items.iter(), out, |v, out| write_inner(v, item, out)),
        (Value::Map(map), Type::Map(key, item)) => {
            write_map(map, out, |k, out| write_inner(k, key, out), |v, out| write_inner(v, item, out));
        }
        (value, _) => write(value, out),
    }
}

/// An element whose static type is `ty`.
fn write_inner(value: &Value, ty: &Type, out: &mut String) {
    match (value, ty) {
        (Value::Int(_), Type::Int)
        | (Value::Uint(_), Type::Uint)
        | (Value::Double(_), Type::Double)
        | (Value::Decimal(_), Type::Decimal { .. })
        | (Value::Bytes(_), Type::Bytes)
        | (Value::Timestamp(_), Type::Timestamp)
        | (Value::Duration(_), Type::Duration)
        | (Value::Tensor(_), Type::Tensor(_)) => write_plain(value, out),
        (Value::List(_), Type::List(_)) | (Value::Map(_), Type::Map(..)) => write_as(value, ty, out),
        (value, _) => write_dynamic(value, out),
    }
}

/// Writes `value` so that [`from_json`] reads the same value.
pub fn write_dynamic(value: &Value, out: &mut String) {
    let tag = match value {
        Value::Null | Value::Bool(_) | Value::Text(_) => None,
        Value::Int(x) => (x.unsigned_abs() > EXACT_MAX).then_some("$int"),
        Value::Uint(_) => Some("$uint"),
        Value::Double(x) => (!x.is_finite()).then_some("$double"),
        Value::Decimal(_) => Some("$decimal"),
        Value::Bytes(_) => Some("$bytes"),
        Value::Timestamp(_) => Some("$timestamp"),
        Value::Duration(_) => Some("$duration"),
        Value::List(items) => return array(items.iter(), out, write_dynamic),
        Value::Map(map) => (!has_text_keys(map) || looks_tagged(map)).then_some("$map"),
        Value::Tensor(_) => Some("$tensor"),
    };
    let Some(tag) = tag else { return write(value, out) };
    let _ = write!(out, "{{\"{tag}\":");
    match value {
        Value::Uint(x) => {
            let _ = write!(out, "\"{x}\"");
        }
        Value::Map(map) => write_pairs(map, out, write_dynamic, write_dynamic),
        value => write_plain(value, out),
    }
    out.push('}');
}

/// A scalar or tensor in its plain form.
fn write_plain(value: &Value, out: &mut String) {
    let _ = match value {
        Value::Null => write!(out, "null"),
        Value::Bool(x) => write!(out, "{x}"),
        Value::Int(x) if x.unsigned_abs() > EXACT_MAX => write!(out, "\"{x}\""),
        Value::Int(x) => write!(out, "{x}"),
        Value::Uint(x) if *x > EXACT_MAX => write!(out, "\"{x}\""),
        Value::Uint(x) => write!(out, "{x}"),
        Value::Double(x) => return write_double(*x, out),
        Value::Decimal(x) => write!(out, "\"{x}\""),
        Value::Text(text) => return write_text(text, out),
        Value::Bytes(bytes) => write!(out, "\"{}\"", STANDARD.encode(bytes)),
        Value::Timestamp(t) => write!(out, "\"{}\"", time::format_timestamp(*t)),
        Value::Duration(d) => write!(out, "\"{}\"", time::format_duration(*d)),
        Value::List(_) | Value::Map(_) => return write(value, out),
        Value::Tensor(tensor) => return write_tensor(tensor, out),
    };
}

fn write_double(x: f64, out: &mut String) {
    // Rust's Debug is the shortest round trip, with `.0` where it is whole and an exponent where it is far out.
    let _ = if x.is_finite() { write!(out, "{x:?}") } else { write!(out, "\"{}\"", shortest(x)) };
}

/// The shortest text that reads back as `x`, always with `.` or `e`; `NaN`, `Infinity`, `-Infinity`.
pub fn shortest(x: f64) -> String {
    match x {
        _ if x.is_nan() => "NaN".into(),
        f64::INFINITY => "Infinity".into(),
        f64::NEG_INFINITY => "-Infinity".into(),
        _ => format!("{x:?}"),
    }
}

/// A JSON string.
pub fn write_text(text: &str, out: &mut String) {
    out.push('"');
    let mut done = 0;
    for (at, byte) in text.bytes().enumerate() {
        if byte >= 0x20 && byte != b'"' && byte != b'\\' {
            continue;
        }
        out.push_str(&text[done..at]);
        let _ = match byte {
            b'"' => write!(out, "\\\""),
            b'\\' => write!(out, "\\\\"),
            b'\n' => write!(out, "\\n"),
            b'\r' => write!(out, "\\r"),
            b'\t' => write!(out, "\\t"),
            other => write!(out, "\\u{other:04x}"),
        };
        done = at + 1;
    }
    out.push_str(&text[done..]);
    out.push('"');
}

fn array<'a>(items: impl Iterator<Item = &'a Value>, out: &mut String, element: impl Fn(&Value, &mut String)) {
    out.push('[');
    for (i, item) in items.enumerate() {
        if i > 0 {
            out.push(',');
        }
        element(item, out);
    }
    out.push(']');
}

fn has_text_keys(map: &BTreeMap<Value, Value>) -> bool {
    map.keys().all(|key| matches!(key, Value::Text(_)))
}

/// Whether a reader would take the map for a tagged value.
fn looks_tagged(map: &BTreeMap<Value, Value>) -> bool {
    map.len() == 1 && map.keys().all(|key| matches!(key, Value::Text(key) if TAGS.contains(&&**key)))
}

/// An object, or an array of pairs where the keys are not texts.
fn write_map(
    map: &BTreeMap<Value, Value>,
    out: &mut String,
    write_key: impl Fn(&Value, &mut String),
    write_value: impl Fn(&Value, &mut String),
) {
    if !has_text_keys(map) {
        return write_pairs(map, out, write_key, write_value);
    }
    out.push('{');
    for (i, (key, value)) in map.iter().enumerate() {
        if i > 0 {
            out.push(',');
        }
        write_plain(key, out);
        out.push(':');
        write_value(value, out);
    }
    out.push('}');
}

fn write_pairs(
    map: &BTreeMap<Value, Value>,
    out: &mut String,
    write_key: impl Fn(&Value, &mut String),
    write_value: impl Fn(&Value, &mut String),
) {
    out.push('[');
    for (i, (key, value)) in map.iter().enumerate() {
        out.push_str(if i > 0 { ",[" } else { "[" });
        write_key(key, out);
        out.push(',');
        write_value(value, out);
        out.push(']');
    }
    out.push(']');
}

/// Nested arrays, outermost axis first; a tensor of no axes is its one number.
fn write_tensor(tensor: &Tensor, out: &mut String) {
    fn level(shape: &[usize], numbers: &mut dyn Iterator<Item = f64>, out: &mut String) {
        let Some((&length, inner)) = shape.split_first() else {
            return write_double(numbers.next().unwrap_or(f64::NAN), out);
        };
        out.push('[');
        for i in 0..length {
            if i > 0 {
                out.push(',');
            }
            level(inner, numbers, out);
        }
        out.push(']');
    }
    level(tensor.array().shape(), &mut tensor.array().iter().copied(), out);
}

/// A value for a message or a text: scalars as they are written, the rest as JSON.
pub fn display(value: &Value) -> String {
    let mut out = String::new();
    match value {
        Value::Int(x) => return x.to_string(),
        Value::Uint(x) => return x.to_string(),
        Value::Decimal(x) => return x.to_string(),
        Value::Timestamp(t) => return time::format_timestamp(*t),
        Value::Duration(d) => return time::format_duration(*d),
        value => write(value, &mut out),
    }
    out
}

/// A map from its entries, for readers.
fn map_of(entries: impl IntoIterator<Item = Result<(Value, Value), String>>) -> Result<Value, String> {
    let mut map = BTreeMap::new();
    for entry in entries {
        let (key, value) = entry?;
        ops::check_key(&key).map_err(|e| e.message.to_string())?;
        if ops::contains_key(&map, &key) {
            return Err(format!("the key {} is there twice", display(&key)));
        }
        map.insert(key, value);
    }
    Ok(Value::Map(Arc::new(map)))
}

#[cfg(test)]
mod tests;
