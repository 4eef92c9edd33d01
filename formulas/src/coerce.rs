//! Bringing a row's values to the declared types of its columns, without loss or not at all.

use std::sync::Arc;

use crate::decimal::{Decimal, Rounding};
use crate::json;
use crate::ops::{self, type_name};
use crate::time;
use crate::types::Type;
use crate::value::Value;

/// `value` as a value of type `ty`. NULL fits every type, every value fits `Dyn`.
///
/// Numbers change type where they stay the same number; texts become numbers, timestamps and durations where they say one;
/// 0, 1, 'true' and 'false' become bools; a decimal takes the declared scale.
///
/// # Errors
/// Why it does not fit, lower case: "12.345 needs 3 digits behind the point, decimal(10,2) has 2".
pub fn coerce(value: Value, ty: &Type) -> Result<Value, String> {
    let refuse = |value: &Value| Err(format!("{} is not {ty}", brief(value)));
    match (ty, value) {
        (_, Value::Null) => Ok(Value::Null),
        (Type::Dyn, value) => Ok(value),
        (Type::Null, value) => refuse(&value),
        (Type::Bool, value) => to_bool(&value).map_or_else(|| refuse(&value), Ok),
        (Type::Int, value) => to_int(&value).map_or_else(|| refuse(&value), |x| Ok(Value::Int(x))),
        (Type::Uint, value) => to_uint(&value).map_or_else(|| refuse(&value), |x| Ok(Value::Uint(x))),
        (Type::Double, value) => to_double(&value).map_or_else(|| refuse(&value), |x| Ok(Value::double(x))),
        (Type::Decimal { precision, scale }, value) => match to_decimal(&value) {
            Some(exact) => fit(exact, *precision, *scale),
            None => refuse(&value),
        },
        (Type::Timestamp, Value::Text(text)) => time::parse_timestamp(&text).map(Value::Timestamp),
        (Type::Duration, Value::Text(text)) => time::parse_duration(&text).map(Value::Duration),
        (Type::Bytes, Value::Text(text)) => Ok(Value::Bytes(text.as_bytes().into())),
        (Type::Text, value @ Value::Text(_))
        | (Type::Bytes, value @ Value::Bytes(_))
        | (Type::Timestamp, value @ Value::Timestamp(_))
        | (Type::Duration, value @ Value::Duration(_)) => Ok(value),
        (Type::List(item), Value::List(items)) => {
            items.iter().map(|v| coerce(v.clone(), item)).collect::<Result<Arc<[_]>, _>>().map(Value::List)
        }
        (Type::Map(key, item), Value::Map(map)) => {
            let entries = map.iter().map(|(k, v)| Ok((coerce(k.clone(), key)?, coerce(v.clone(), item)?)));
            entries.collect::<Result<_, String>>().map(|map| Value::Map(Arc::new(map)))
        }
        (Type::Tensor(t), Value::Tensor(tensor)) if tensor.array().shape() == t.shape => Ok(Value::Tensor(tensor)),
        (
            Type::Text | Type::Bytes | Type::Timestamp | Type::Duration | Type::List(_) | Type::Map(..) | Type::Tensor(_),
            value,
        ) => refuse(&value),
    }
}

/// The value with its type, short, for messages.
fn brief(value: &Value) -> String {
    let text = match value {
        Value::Text(_) => return shorten(&json::display(value)),
        value => json::display(value),
    };
    format!("{} {}", type_name(value), shorten(&text))
}

fn shorten(text: &str) -> String {
    match text.char_indices().nth(60) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

fn to_bool(value: &Value) -> Option<Value> {
    match value {
        Value::Bool(_) => Some(value.clone()),
        Value::Text(text) if &**text == "true" => Some(Value::Bool(true)),
        Value::Text(text) if &**text == "false" => Some(Value::Bool(false)),
        value if ops::equal(value, &Value::Int(0)) => Some(Value::Bool(false)),
        value if ops::equal(value, &Value::Int(1)) => Some(Value::Bool(true)),
        _ => None,
    }
}

fn to_int(value: &Value) -> Option<i64> {
    match value {
        Value::Int(x) => Some(*x),
        Value::Uint(x) => i64::try_from(*x).ok(),
        Value::Bool(x) => Some(i64::from(*x)),
        Value::Double(x) if x.trunc() == *x => Decimal::from_f64(*x)?.to_i64(),
        Value::Decimal(x) if x.is_whole() => x.to_i64(),
        Value::Text(text) => text.parse().ok(),
        _ => None,
    }
}

fn to_uint(value: &Value) -> Option<u64> {
    match value {
        Value::Uint(x) => Some(*x),
        Value::Int(x) => u64::try_from(*x).ok(),
        Value::Bool(x) => Some(u64::from(*x)),
        Value::Double(x) if x.trunc() == *x => Decimal::from_f64(*x)?.to_u64(),
        Value::Decimal(x) if x.is_whole() => x.to_u64(),
        Value::Text(text) => text.parse().ok(),
        _ => None,
    }
}

/// The double that is the same number; a decimal takes the nearest, for most have no double of their own.
fn to_double(value: &Value) -> Option<f64> {
    match value {
        Value::Double(x) => Some(*x),
        Value::Int(x) => Some(*x as f64).filter(|d| ops::equal(value, &Value::Double(*d))),
        Value::Uint(x) => Some(*x as f64).filter(|d| ops::equal(value, &Value::Double(*d))),
        Value::Decimal(x) => Some(x.to_f64()),
        Value::Text(text) => text.parse().ok(),
        _ => None,
    }
}

fn to_decimal(value: &Value) -> Option<Decimal> {
    match value {
        Value::Decimal(x) => Some(x.clone()),
        Value::Int(x) => Some(Decimal::from(*x)),
        Value::Uint(x) => Some(Decimal::from(*x)),
        Value::Double(x) => Decimal::from_f64(*x),
        Value::Text(text) => text.parse().ok(),
        _ => None,
    }
}

/// The decimal at the declared scale, where no digit is lost.
fn fit(exact: Decimal, precision: u8, scale: u8) -> Result<Value, String> {
    let ty = format!("decimal({precision},{scale})");
    let cut = exact.rescale(scale, Rounding::Truncate).ok_or_else(|| format!("{exact} is too large for {ty}"))?;
    if cut.number_cmp(&exact).is_ne() {
        let needed = exact.normalized().scale();
        return Err(format!("{exact} needs {needed} digits behind the point, {ty} has {scale}"));
    }
    if cut.digits() > precision {
        return Err(format!("{exact} is too large for {ty}"));
    }
    Ok(Value::Decimal(cut))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_take_the_declared_type_or_say_why_not() {
        let dec = |text: &str| Value::Decimal(text.parse().expect("a decimal"));
        for (value, ty, expected) in [
            (Value::Null, "int", "null"),
            (Value::Int(1), "uint", r#"{"$uint":"1"}"#),
            (Value::Int(-1), "uint", "error: int -1 is not uint"),
            (Value::Uint(u64::MAX), "int", "error: uint 18446744073709551615 is not int"),
            (Value::Int(1), "double", "1.0"),
            (Value::Int((1 << 53) + 1), "double", "error: int 9007199254740993 is not double"),
            (Value::Int(1), "decimal(4,2)", r#"{"$decimal":"1.00"}"#),
            (Value::Int(100), "decimal(4,2)", "error: 100 is too large for decimal(4,2)"),
            (Value::Double(0.1), "decimal(4,2)", r#"{"$decimal":"0.10"}"#),
            (
                Value::Double(0.1 + 0.2),
                "decimal(4,2)",
                "error: 0.30000000000000004 needs 17 digits behind the point, decimal(4,2) has 2",
            ),
            (Value::double(f64::NAN), "decimal(4,2)", "error: double \"NaN\" is not decimal(4,2)"),
            (dec("1.500"), "decimal(4,1)", r#"{"$decimal":"1.5"}"#),
            (dec("2.0"), "int", "2"),
            (dec("2.5"), "int", "error: decimal 2.5 is not int"),
            (dec("0.1"), "double", "0.1"),
            (Value::text("2.50"), "decimal(4,2)", r#"{"$decimal":"2.50"}"#),
            (Value::text("12"), "int", "12"),
            (Value::text("x"), "int", "error: \"x\" is not int"),
            (Value::text("2024-01-02"), "timestamp", r#"{"$timestamp":"2024-01-02T00:00:00Z"}"#),
            (Value::text("90s"), "duration", r#"{"$duration":"90s"}"#),
            (Value::text("ab"), "bytes", r#"{"$bytes":"YWI="}"#),
            (Value::Int(0), "bool", "false"),
            (dec("1.0"), "bool", "true"),
            (Value::Int(2), "bool", "error: int 2 is not bool"),
            (Value::Bool(true), "int", "1"),
            (Value::Int(5), "text", "error: int 5 is not text"),
            (Value::list([Value::Int(1), Value::Null]), "list(double)", "[1.0,null]"),
            (Value::list([Value::text("a")]), "list(int)", "error: \"a\" is not int"),
            (Value::record([("a", Value::Int(1))]), "map(text, uint)", r#"{"a":{"$uint":"1"}}"#),
            (Value::Int(1), "null", "error: int 1 is not null"),
        ] {
            let told = match coerce(value.clone(), &Type::parse(ty).expect("a type")) {
                Ok(value) => {
                    let mut out = String::new();
                    json::write_dynamic(&value, &mut out);
                    out
                }
                Err(reason) => format!("error: {reason}"),
            };
            assert_eq!(told, expected, "{value:?} as {ty}");
        }
    }
}
