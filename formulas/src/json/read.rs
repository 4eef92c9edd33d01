//! Reading JSON: without a type, and for a declared one.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ndarray::{ArrayD, IxDyn};
use serde_json::Value as Json;

use super::{TAGS, map_of};
use crate::coerce::coerce;
use crate::decimal::Decimal;
use crate::tensor::Tensor;
use crate::time;
use crate::types::{TensorType, Type};
use crate::value::Value;

/// The value that a JSON text says, read as by [`from_json`].
///
/// # Errors
/// What is wrong with the text, lower case.
pub fn parse(text: &str) -> Result<Value, String> {
    let json: Json = serde_json::from_str(text).map_err(|e| format!("bad JSON: {e}"))?;
    from_json(&json)
}

/// The value that JSON says by itself: a number without `.` or `e` is an int (a uint above the largest int), any other a
/// double; an object with one key that is a tag is what the tag says; other objects are maps.
///
/// # Errors
/// A tag whose content it does not fit, lower case.
pub fn from_json(json: &Json) -> Result<Value, String> {
    match json {
        Json::Null => Ok(Value::Null),
        Json::Bool(x) => Ok(Value::Bool(*x)),
        Json::Number(n) => Ok(number(n)),
        Json::String(text) => Ok(Value::text(&**text)),
        Json::Array(items) => items.iter().map(from_json).collect::<Result<Arc<[_]>, _>>().map(Value::List),
        Json::Object(object) => {
            if let (1, Some((tag, content))) = (object.len(), object.iter().next())
                && TAGS.contains(&&**tag)
            {
                return tagged(tag, content);
            }
            map_of(object.iter().map(|(key, value)| Ok((Value::text(&**key), from_json(value)?))))
        }
    }
}

fn number(n: &serde_json::Number) -> Value {
    match (n.as_i64(), n.as_u64()) {
        (Some(x), _) => Value::Int(x),
        (None, Some(x)) => Value::Uint(x),
        (None, None) => Value::double(n.as_f64().unwrap_or(f64::NAN)),
    }
}

/// The value of a tagged object.
fn tagged(tag: &str, content: &Json) -> Result<Value, String> {
    let ty = match tag {
        "$int" => Type::Int,
        "$uint" => Type::Uint,
        "$double" => Type::Double,
        "$bytes" => Type::Bytes,
        "$timestamp" => Type::Timestamp,
        "$duration" => Type::Duration,
        "$decimal" => return decimal(content).map(Value::Decimal).ok_or_else(|| refuse(content, "a decimal of 76 digits")),
        "$map" => return pairs(content, from_json, from_json),
        _ => return tensor(content, None),
    };
    read_as(content, &ty)
}

/// Reads what stands for a value of type `ty`: its plain form, or something that [`coerce`] brings to it without loss, or
/// a tagged object. `null` is NULL for every type.
///
/// # Errors
/// What does not fit, lower case.
pub fn read_as(json: &Json, ty: &Type) -> Result<Value, String> {
    let is_tagged = json.as_object().is_some_and(|o| o.len() == 1 && o.keys().all(|key| TAGS.contains(&&**key)));
    if is_tagged && !matches!(ty, Type::Map(..)) {
        return from_json(json).and_then(|value| coerce(value, ty));
    }
    match (ty, json) {
        (_, Json::Null) => Ok(Value::Null),
        (Type::Dyn, json) => from_json(json),
        (Type::Int, Json::String(text)) => text.parse().map(Value::Int).map_err(|_| refuse(json, "an int of 64 bits")),
        (Type::Uint, Json::String(text)) => text.parse().map(Value::Uint).map_err(|_| refuse(json, "a uint of 64 bits")),
        (Type::Double, Json::String(text)) => text.parse().map(Value::double).map_err(|_| refuse(json, "a double")),
        (Type::Bytes, Json::String(text)) => {
            STANDARD.decode(text).map(|b| Value::Bytes(b.into())).map_err(|_| refuse(json, "base64"))
        }
        (Type::Duration, Json::String(text)) => time::parse_duration(text).map(Value::Duration),
        (Type::List(item), Json::Array(items)) => {
            items.iter().map(|json| read_as(json, item)).collect::<Result<Arc<[_]>, _>>().map(Value::List)
        }
        (Type::Map(key, item), Json::Object(object)) if !is_tagged => {
            let entry = |(k, v): (&String, &Json)| Ok((coerce(Value::text(&**k), key)?, read_as(v, item)?));
            map_of(object.iter().map(entry))
        }
        (Type::Map(key, item), json) => {
            let content = json.get("$map").unwrap_or(json);
            pairs(content, |k| read_as(k, key), |v| read_as(v, item))
        }
        (Type::Tensor(ty), json) => tensor(json, Some(ty)),
        (ty, json) => coerce(from_json(json)?, ty),
    }
}

fn refuse(json: &Json, what: &str) -> String {
    let text = json.to_string();
    let short = text.char_indices().nth(60).map_or(&*text, |(at, _)| &text[..at]);
    format!("{short} is not {what}")
}

/// A decimal from its text, or from a number.
fn decimal(json: &Json) -> Option<Decimal> {
    match json {
        Json::String(text) => text.parse().ok(),
        Json::Number(n) => match number(n) {
            Value::Int(x) => Some(x.into()),
            Value::Uint(x) => Some(x.into()),
            Value::Double(x) => Decimal::from_f64(x),
            _ => None,
        },
        _ => None,
    }
}

/// A map from an array of pairs.
fn pairs(
    json: &Json,
    read_key: impl Fn(&Json) -> Result<Value, String>,
    read_value: impl Fn(&Json) -> Result<Value, String>,
) -> Result<Value, String> {
    let Json::Array(entries) = json else { return Err(refuse(json, "an array of pairs")) };
    map_of(entries.iter().map(|entry| match entry.as_array().map(Vec::as_slice) {
        Some([key, value]) => Ok((read_key(key)?, read_value(value)?)),
        _ => Err(refuse(entry, "a pair")),
    }))
}

/// A tensor from nested arrays; its shape is read from the first element of each, and all must agree.
fn tensor(json: &Json, declared: Option<&TensorType>) -> Result<Value, String> {
    let mut shape = Vec::new();
    let mut inner = json;
    while let Json::Array(items) = inner {
        shape.push(items.len());
        let Some(first) = items.first() else { break };
        inner = first;
    }
    let mut numbers = Vec::new();
    collect(json, &shape, &mut numbers)?;
    if let Some(declared) = declared.filter(|declared| declared.shape != shape) {
        return Err(format!("the shape is {shape:?}, not {:?}", declared.shape));
    }
    let array = ArrayD::from_shape_vec(IxDyn(&shape), numbers).map_err(|e| e.to_string())?;
    Ok(Value::Tensor(Arc::new(Tensor::new(array))))
}

fn collect(json: &Json, shape: &[usize], numbers: &mut Vec<f64>) -> Result<(), String> {
    match (json, shape.split_first()) {
        (Json::Array(items), Some((length, inner))) if items.len() == *length => {
            items.iter().try_for_each(|item| collect(item, inner, numbers))
        }
        (Json::Array(_), _) | (_, Some(_)) => Err("the rows of a tensor must have equal lengths".into()),
        (scalar, None) => match read_as(scalar, &Type::Double)? {
            Value::Double(x) => {
                numbers.push(x);
                Ok(())
            }
            _ => Err(refuse(scalar, "a number")),
        },
    }
}
