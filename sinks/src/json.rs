//! Values as JSON text, as `INTERFACES` §4 writes them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value as Json;
use thalweg_formulas::Value;

pub(crate) fn write(value: &Value, out: &mut String) {
    out.push_str(&to_json(value).to_string());
}

pub(crate) fn write_text(text: &str, out: &mut String) {
    out.push_str(&Json::from(text).to_string());
}

pub(crate) fn display(value: &Value) -> String {
    match to_json(value) {
        Json::String(text) => text,
        other => other.to_string(),
    }
}

fn to_json(value: &Value) -> Json {
    const EXACT: u64 = 1 << 53;
    match value {
        Value::Null => Json::Null,
        Value::Bool(x) => Json::Bool(*x),
        Value::Int(x) if x.unsigned_abs() <= EXACT => (*x).into(),
        Value::Int(x) => x.to_string().into(),
        Value::Uint(x) if *x <= EXACT => (*x).into(),
        Value::Uint(x) => x.to_string().into(),
        Value::Double(x) => double(*x),
        Value::Decimal(x) => x.to_string().into(),
        Value::Text(x) => x.as_ref().into(),
        Value::Bytes(x) => STANDARD.encode(x).into(),
        Value::Timestamp(x) => jiff::Timestamp::from_microsecond(x.0).map_or_else(|_| x.0.into(), |at| at.to_string().into()),
        Value::Duration(x) => format!("{}s", x.0 as f64 / 1e6).into(),
        Value::List(items) => items.iter().map(to_json).collect(),
        Value::Map(entries) if entries.keys().all(|key| matches!(key, Value::Text(_))) => {
            let entries = entries.iter().filter_map(|(key, value)| match key {
                Value::Text(key) => Some((key.to_string(), to_json(value))),
                _ => None,
            });
            Json::Object(entries.collect())
        }
        Value::Map(entries) => entries.iter().map(|(key, value)| Json::Array(vec![to_json(key), to_json(value)])).collect(),
        Value::Tensor(x) => nested(x.array().shape(), &mut x.array().iter().copied()),
    }
}

fn double(x: f64) -> Json {
    match serde_json::Number::from_f64(x) {
        Some(number) => Json::Number(number),
        None if x.is_nan() => "NaN".into(),
        None if x > 0.0 => "Infinity".into(),
        None => "-Infinity".into(),
    }
}

fn nested(shape: &[usize], numbers: &mut impl Iterator<Item = f64>) -> Json {
    match shape {
        [] => numbers.next().map_or(Json::Null, double),
        [len, rest @ ..] => (0..*len).map(|_| nested(rest, numbers)).collect(),
    }
}
