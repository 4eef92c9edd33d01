//! The obvious evaluator of one group: what its rows give, sorted and looked through anew.

use std::cmp::Ordering;

use thalweg_formulas::agg::Agg;
use thalweg_formulas::aggregate::Accumulator;
use thalweg_formulas::{Cell, Type, Value, errors, ops};
use thalweg_graph::plan::Group;

/// What a row gives an aggregate.
#[derive(Clone, Debug)]
pub struct Given {
    pub value: Cell,
    pub second: Option<Cell>,
    /// Empty for a table without a key.
    pub key: Vec<Value>,
}

/// A row whose parts are values.
struct Row {
    value: Value,
    second: Value,
    key: Vec<Value>,
}

/// The aggregate of a group's rows.
pub fn aggregate(group: &Group, types: &[Type], given: &[Given]) -> Cell {
    let mut rows = Vec::new();
    for given in given {
        let second = given.second.clone().unwrap_or(Ok(Value::Null));
        match (given.value.clone(), second) {
            (Ok(value), Ok(second)) => rows.push(Row { value, second, key: given.key.clone() }),
            _ => return Err(errors::child_in_error()),
        }
    }
    let values = || rows.iter().map(|row| row.value.clone());
    match &group.agg {
        Agg::CountDistinct => Ok(Value::Int(distinct(values()) as i64)),
        Agg::Any | Agg::All => truth(&group.agg, values().collect()),
        Agg::Covar(_) | Agg::Corr => {
            let there = rows.iter().filter(|row| !row.value.is_null() && !row.second.is_null());
            put_in(&group.agg, types, there.map(|row| Value::list([row.value.clone(), row.second.clone()])))
        }
        agg if agg.is_ordered() => in_order(agg, types, rows),
        agg => put_in(agg, types, values()),
    }
}

/// By an accumulator into which everything is put once.
fn put_in(agg: &Agg, types: &[Type], values: impl Iterator<Item = Value>) -> Cell {
    let mut accumulator = Accumulator::new(agg, types);
    values.for_each(|value| accumulator.insert(&Ok(value)));
    accumulator.value()
}

fn distinct(values: impl Iterator<Item = Value>) -> usize {
    let mut seen: Vec<Value> = Vec::new();
    for value in values.filter(|value| !value.is_null()) {
        if !seen.iter().any(|other| ops::equal(other, &value)) {
            seen.push(value);
        }
    }
    seen.len()
}

fn truth(agg: &Agg, values: Vec<Value>) -> Cell {
    if values.iter().any(|value| !matches!(value, Value::Null | Value::Bool(_))) {
        return Err(errors::bad_aggregate(format!("{} over values that are neither true nor false", agg.name())));
    }
    let decides = Value::Bool(*agg == Agg::Any);
    Ok(match (values.contains(&decides), values.contains(&Value::Null)) {
        (true, _) => decides,
        (false, true) => Value::Null,
        (false, false) => Value::Bool(*agg == Agg::All),
    })
}

fn in_order(agg: &Agg, types: &[Type], mut rows: Vec<Row>) -> Cell {
    let ranked = matches!(agg, Agg::Top(_) | Agg::Bottom(_));
    rows.retain(|row| !(row.value.is_null() || ranked && row.second.is_null()));
    if matches!(agg, Agg::StringAgg(_)) && rows.iter().any(|row| !matches!(row.value, Value::Text(_))) {
        return Err(errors::bad_aggregate("string_agg over values that are not texts"));
    }
    let has_by = types.len() > 1;
    let named: Vec<&Value> = rows.iter().map(|row| &row.second).filter(|by| has_by && !by.is_null()).collect();
    // Every two must have an order, and one with itself.
    if named.iter().any(|a| named.iter().any(|b| ops::compare(a, b).is_err())) {
        return Err(errors::bad_aggregate(format!("{} by values that have no order among them", agg.name())));
    }
    rows.sort_by(|a, b| {
        let by = match (a.second.is_null(), b.second.is_null()) {
            (false, false) => ops::compare(&a.second, &b.second).expect("looked at above").expect("not NULL"),
            (a, b) => b.cmp(&a),
        };
        let by = if matches!(agg, Agg::Top(_)) { by.reverse() } else { by };
        by.then_with(|| a.key.cmp(&b.key)).then_with(|| by_number(&a.value, &b.value))
    });
    let values: Vec<Value> = rows.into_iter().map(|row| row.value).collect();
    let first = |n: u32| values[..values.len().min(n as usize)].to_vec();
    let last = |n: u32| values[values.len().saturating_sub(n as usize)..].to_vec();
    match agg {
        Agg::First => Ok(values.first().cloned().unwrap_or(Value::Null)),
        Agg::Last => Ok(values.last().cloned().unwrap_or(Value::Null)),
        Agg::FirstOf(n) | Agg::Top(n) | Agg::Bottom(n) => Ok(Value::list(first(*n))),
        Agg::LastOf(n) => Ok(Value::list(last(*n))),
        Agg::Collect => Ok(Value::list(values)),
        Agg::StringAgg(_) if values.is_empty() => Ok(Value::Null),
        Agg::StringAgg(separator) => {
            let texts: Vec<String> =
                values.iter().map(|value| if let Value::Text(text) = value { text.to_string() } else { String::new() }).collect();
            Ok(Value::text(texts.join(separator)))
        }
        Agg::Window(windowed, n) => put_in(&windowed.agg(), &types[..1], last(*n).into_iter()),
        other => panic!("{other:?} has no order"),
    }
}

/// Numbers by the number line and then by type, everything else by type and value.
fn by_number(a: &Value, b: &Value) -> Ordering {
    match ops::number_cmp(a, b) {
        None | Some(Ordering::Equal) => a.cmp(b),
        Some(order) => order,
    }
}
