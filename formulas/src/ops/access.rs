//! Elements of lists and maps: `a[i]`, `has(a.k)`, `x in a`.

use std::collections::BTreeMap;

use super::{compare, type_name};
use crate::errors;
use crate::json;
use crate::problem::Error;
use crate::value::{Cell, Value};

/// The value of `key` in `map`. Keys are bools, ints, uints and texts; a number finds the key that is equal to it,
/// whatever its type: `{1: 'a'}[1u]` and `{1: 'a'}[1.0]` are `'a'`.
pub(super) fn lookup<'a>(map: &'a BTreeMap<Value, Value>, key: &Value) -> Option<&'a Value> {
    if let Some(found) = map.get(key) {
        return Some(found);
    }
    let whole = whole_number(key)?;
    let as_int = i64::try_from(whole).ok().and_then(|k| map.get(&Value::Int(k)));
    as_int.or_else(|| u64::try_from(whole).ok().and_then(|k| map.get(&Value::Uint(k))))
}

/// The integer that a number is, if it is one and could be a key or an index.
fn whole_number(value: &Value) -> Option<i128> {
    match value {
        Value::Int(x) => Some(i128::from(*x)),
        Value::Uint(x) => Some(i128::from(*x)),
        Value::Double(x) if x.trunc() == *x && x.abs() < 2e19 => Some(*x as i128),
        Value::Decimal(x) if x.is_whole() => x.to_i64().map(i128::from).or_else(|| x.to_u64().map(i128::from)),
        _ => None,
    }
}

/// `a[b]`: an element of a list, counted from 0, or the value of a key in a map. NULL where one is NULL.
///
/// # Errors
/// E0304 outside the list, E0305 for a key that the map does not hold, E0303 for anything else.
pub fn index(a: &Value, b: &Value) -> Cell {
    match (a, b) {
        (Value::Null, _) | (_, Value::Null) => Ok(Value::Null),
        (Value::List(items), at) => {
            let Some(at) = whole_number(at) else {
                return Err(errors::no_overload(format!("a list is indexed by an int, not by {}", type_name(at))));
            };
            let item = usize::try_from(at).ok().and_then(|at| items.get(at));
            item.cloned().ok_or_else(|| errors::out_of_range(at, items.len()))
        }
        (Value::Map(map), key) => lookup(map, key).cloned().ok_or_else(|| errors::no_such_key(json::display(key))),
        (a, _) => Err(errors::no_overload(format!("{} has no elements", type_name(a)))),
    }
}

/// `has(a.b)`: whether the map `a` holds the key `b`, be its value NULL; NULL holds nothing.
///
/// # Errors
/// E0303 where `a` is neither a map nor NULL.
pub fn has(a: &Value, b: &Value) -> Cell {
    match a {
        Value::Null => Ok(Value::Bool(false)),
        Value::Map(map) => Ok(Value::Bool(lookup(map, b).is_some())),
        a => Err(errors::no_overload(format!("{} has no members", type_name(a)))),
    }
}

/// `a in b`: whether the list `b` holds an element equal to `a`, or the map `b` a key. NULL in NULL; a NULL `a` is looked
/// for like any value.
///
/// # Errors
/// E0303 where `b` is neither a list, a map nor NULL.
pub fn member(a: &Value, b: &Value) -> Cell {
    match b {
        Value::Null => Ok(Value::Null),
        Value::List(items) => Ok(Value::Bool(items.iter().any(|item| compare::equal(item, a)))),
        Value::Map(map) => Ok(Value::Bool(lookup(map, a).is_some())),
        b => Err(errors::no_overload(format!("in looks into a list or a map, not into {}", type_name(b)))),
    }
}

/// Whether `map` already holds a key equal to `key`: for building maps.
pub fn contains_key(map: &BTreeMap<Value, Value>, key: &Value) -> bool {
    lookup(map, key).is_some()
}

/// Whether `key` may be a key: a bool, int, uint or text.
///
/// # Errors
/// E0313 for anything else.
pub fn check_key(key: &Value) -> Result<(), Error> {
    match key {
        Value::Bool(_) | Value::Int(_) | Value::Uint(_) | Value::Text(_) => Ok(()),
        key => Err(errors::bad_key(format!("a map key is a bool, int, uint or text, not {}", type_name(key)))),
    }
}
