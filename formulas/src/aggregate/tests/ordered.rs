//! What stands in an order: a table of meanings, and windows against a sorted list.

use proptest::prelude::*;

use super::*;
use crate::agg::{Parameter, SIGNATURES, Second, Signature, Windowed};

/// The aggregate of tuples `[value, by, key]`, or `[value, key]`, in a JSON array.
fn shown(agg: &Agg, has_by: bool, tuples: &str) -> String {
    let list = serde_json::from_str::<serde_json::Value>(tuples).unwrap();
    let types = vec![Type::Dyn; 1 + usize::from(has_by)];
    let mut accumulator = Accumulator::new(agg, &types);
    for tuple in list.as_array().unwrap() {
        accumulator.insert(&Ok(json::read_as(tuple, &Type::Dyn).unwrap()));
    }
    told(&accumulator.value())
}

#[test]
fn what_stands_in_an_order_is_shown_in_it() {
    let by_key = "[[\"b\", 2], [\"c\", 3], [null, 0], [\"a\", 1]]";
    let text = |separator: &str| Agg::StringAgg(separator.into());
    for (agg, expected) in [
        (Agg::First, "\"a\""),
        (Agg::Last, "\"c\""),
        (Agg::FirstOf(2), "[\"a\",\"b\"]"),
        (Agg::LastOf(2), "[\"b\",\"c\"]"),
        (Agg::LastOf(9), "[\"a\",\"b\",\"c\"]"),
        (Agg::Collect, "[\"a\",\"b\",\"c\"]"),
        (text("-"), "\"a-b-c\""),
        (Agg::Window(Windowed::Count, 2), "2"),
        (Agg::Window(Windowed::Max, 2), "\"c\""),
        (Agg::Window(Windowed::Min, 2), "\"b\""),
    ] {
        assert_eq!(shown(&agg, false, by_key), expected, "{agg:?}");
    }
    let nothing = [Agg::First, Agg::LastOf(2), Agg::Collect, text(","), Agg::Top(1), Agg::Window(Windowed::Sum, 2)];
    assert_eq!(nothing.map(|agg| shown(&agg, false, "[]")).join(" "), "null [] [] null [] 0");

    // NULL before all others, then by `by`; ties by key.
    let by = "[[1, 5, 1], [2, 4, 2], [3, 5.0, 3], [4, null, 4], [5, 9, 5]]";
    for (agg, expected) in [
        (Agg::First, "4"),
        (Agg::Last, "5"),
        (Agg::Collect, "[4,2,1,3,5]"),
        (Agg::Top(3), "[5,1,3]"),
        (Agg::Bottom(3), "[2,1,3]"),
        (Agg::Window(Windowed::Sum, 3), "9"),
        (Agg::Window(Windowed::Avg, 2), "4.0"),
    ] {
        assert_eq!(shown(&agg, true, by), expected, "{agg:?}");
    }
    assert_eq!(shown(&Agg::Last, true, "[[1, 5, 1], [2, \"x\", 2]]"), "E0314: last by values that have no order among them");
    assert_eq!(shown(&text(","), false, "[[\"a\", 1], [2, 2]]"), "E0314: string_agg over values that are not texts");
    // Rows without a key: by value.
    assert_eq!(shown(&Agg::Collect, false, "[[2], [1], [\"x\"], [2]]"), "[1,2,2,\"x\"]");
}

#[test]
fn a_row_in_error_is_an_error_until_it_is_corrected() {
    let mut last = Accumulator::new(&Agg::LastOf(2), &[Type::Int]);
    let tuple = |value: i64, key: i64| -> Cell { Ok(Value::list([value.into(), key.into()])) };
    last.insert(&tuple(1, 1));
    last.insert(&Err(Error::new(302, "division by zero")));
    assert_eq!(told(&last.value()), "E0310: a child is in error");
    last.remove(&Err(Error::new(302, "division by zero")));
    last.insert(&tuple(2, 2));
    assert_eq!(told(&last.value()), "[1,2]");
}

fn ordered() -> Vec<Agg> {
    let parameter = |signature: &Signature| match signature.parameter {
        Parameter::Separator => Some(Value::text(",")),
        Parameter::Count(_) => Some(Value::Int(3)),
        Parameter::None | Parameter::Share => None,
    };
    let of = SIGNATURES.iter().filter(|signature| matches!(signature.second, Second::By(_)));
    let mut all: Vec<Agg> = of.map(|signature| signature.agg(parameter(signature).as_ref()).unwrap()).collect();
    all.extend([Agg::First, Agg::Last]);
    all
}

/// The same by sorting everything anew.
fn sorted_anew(agg: &Agg, has_by: bool, tuples: &[Value]) -> Cell {
    let parts = |tuple: &Value| -> (Value, Value, Value) {
        let Value::List(parts) = tuple else { panic!("{tuple:?}") };
        (parts[0].clone(), if has_by { parts[1].clone() } else { Value::Null }, parts.last().unwrap().clone())
    };
    let ranked = matches!(agg, Agg::Top(_) | Agg::Bottom(_));
    let mut rows: Vec<_> =
        tuples.iter().map(parts).filter(|(value, by, _)| !(value.is_null() || ranked && by.is_null())).collect();
    let class = |by: &Value| match by {
        Value::Double(x) if x.fract() == 0.0 && x.abs() < 1e9 => Value::Int(*x as i64),
        by => by.clone(),
    };
    rows.sort_by(|a, b| {
        let by = match (&a.1, &b.1) {
            (Value::Null, Value::Null) => std::cmp::Ordering::Equal,
            (Value::Null, _) => std::cmp::Ordering::Less,
            (_, Value::Null) => std::cmp::Ordering::Greater,
            (a, b) => ops::compare(&class(a), &class(b)).unwrap().unwrap(),
        };
        let by = if matches!(agg, Agg::Top(_)) { by.reverse() } else { by };
        by.then_with(|| a.2.cmp(&b.2))
    });
    let values: Vec<Value> = rows.into_iter().map(|row| row.0).collect();
    let last = |n: u32| values[values.len().saturating_sub(n as usize)..].to_vec();
    let first = |n: u32| values[..values.len().min(n as usize)].to_vec();
    Ok(match agg {
        Agg::First => values.first().cloned().unwrap_or(Value::Null),
        Agg::Last => values.last().cloned().unwrap_or(Value::Null),
        Agg::FirstOf(n) | Agg::Top(n) | Agg::Bottom(n) => Value::list(first(*n)),
        Agg::LastOf(n) => Value::list(last(*n)),
        Agg::Collect => Value::list(values),
        Agg::Window(windowed, n) => {
            return of(&windowed.agg(), &Type::Dyn, &last(*n).into_iter().map(Ok).collect::<Vec<_>>()).value();
        }
        other => panic!("{other:?}"),
    })
}

proptest! {
    /// Whatever comes and goes, the rows stand as if they had been sorted anew; in words or in tuples, in small groups and large ones.
    #[test]
    fn rows_stand_as_sorted_anew(
        agg in prop::sample::select(ordered()),
        has_by in any::<bool>(),
        steps in prop::collection::vec((0i64..200, 0i64..30, 0u8..12, any::<bool>()), 0..400),
    ) {
        let has_by = has_by || matches!(agg, Agg::Top(_) | Agg::Bottom(_));
        prop_assume!(!matches!(agg, Agg::StringAgg(_)));
        let mut accumulator = Accumulator::new(&agg, &vec![Type::Dyn; 1 + usize::from(has_by)]);
        let mut rows: std::collections::BTreeMap<i64, Value> = Default::default();
        for (key, by, kind, stays) in steps {
            if let Some(old) = rows.remove(&key) {
                accumulator.remove(&Ok(old));
            }
            if stays || kind > 2 {
                let value = if kind == 3 { Value::Null } else { Value::Int(key % 7) };
                let by = match kind {
                    4 => Value::Null,
                    5 => Value::double(by as f64),
                    _ => Value::Int(by),
                };
                let by = has_by.then_some(by);
                let tuple = Value::list(std::iter::once(value).chain(by).chain([Value::Int(key)]));
                accumulator.insert(&Ok(tuple.clone()));
                rows.insert(key, tuple);
            }
        }
        let rows: Vec<Value> = rows.into_values().collect();
        prop_assert_eq!(accumulator.value(), sorted_anew(&agg, has_by, &rows));
        rows.into_iter().for_each(|row| accumulator.remove(&Ok(row)));
        prop_assert_eq!(accumulator.value(), Accumulator::new(&agg, &[Type::Dyn]).value());
    }
}
