//! Aggregates: a table of meanings, and the property that only the content counts.

use proptest::prelude::*;

use super::*;
use crate::decimal::Decimal;
use crate::json;
use crate::problem::Error;
use crate::value::Timestamp;

mod ordered;
mod statistics;

const AGGS: [Agg; 5] = [Agg::Sum, Agg::Count, Agg::Avg, Agg::Min, Agg::Max];

fn of(agg: &Agg, ty: &Type, cells: &[Cell]) -> Accumulator {
    let mut accumulator = Accumulator::new(agg, std::slice::from_ref(ty));
    cells.iter().for_each(|cell| accumulator.insert(cell));
    accumulator
}

fn told(cell: &Cell) -> String {
    match cell {
        Ok(value) => {
            let mut out = String::new();
            json::write(value, &mut out);
            out
        }
        Err(e) => e.to_string(),
    }
}

/// The five plain aggregates of the values of a JSON array.
fn all(ty: &str, values: &str) -> String {
    let ty = Type::parse(ty).unwrap();
    let list = serde_json::from_str::<serde_json::Value>(values).unwrap();
    let cells: Vec<Cell> = list.as_array().unwrap().iter().map(|v| Ok(json::read_as(v, &ty).unwrap())).collect();
    AGGS.map(|agg| told(&of(&agg, &ty, &cells).value())).join(" ")
}

#[test]
fn what_each_aggregate_means() {
    for (ty, values, expected) in [
        ("int", "[]", "0 0 null null null"),
        ("uint", "[]", "0 0 null null null"),
        ("double", "[]", "0.0 0 null null null"),
        ("decimal(10,2)", "[]", "\"0.00\" 0 null null null"),
        ("duration", "[]", "\"0s\" 0 null null null"),
        ("dyn", "[]", "0 0 null null null"),
        ("int", "[null, null]", "0 0 null null null"),
        ("int", "[1, null, 2]", "3 2 1.5 1 2"),
        ("int", "[9223372036854775807, 1]", "E0301: sum of ints overflows 2 4.611686018427388e18 1 \"9223372036854775807\""),
        ("uint", "[1, 2]", "3 2 1.5 1 2"),
        ("double", "[0.1, 0.2, 0.3]", "0.6 3 0.2 0.1 0.3"),
        ("double", "[\"NaN\", 1]", "\"NaN\" 2 \"NaN\" 1.0 \"NaN\""),
        ("decimal(10,2)", "[\"1.10\", \"2.20\", \"-0.01\"]", "\"3.29\" 3 \"1.096667\" \"-0.01\" \"2.20\""),
        ("duration", "[\"1s\", \"2s\", \"0.000001s\"]", "\"3.000001s\" 3 \"1s\" \"0.000001s\" \"2s\""),
        ("dyn", "[1, {\"$uint\": \"2\"}]", "3 2 1.5 1 2"),
        ("dyn", "[{\"$uint\": \"1\"}, {\"$uint\": \"2\"}]", "3 2 1.5 1 2"),
        ("dyn", "[1, {\"$decimal\": \"0.50\"}]", "\"1.50\" 2 \"0.750000\" \"0.50\" 1"),
        ("dyn", "[1, 0.5, {\"$decimal\": \"0.1\"}]", "1.6 3 0.5333333333333333 \"0.1\" 1"),
        ("dyn", "[9007199254740993, 0.5, -0.5]", "9007199254740992.0 3 3002399751580331.0 -0.5 \"9007199254740993\""),
    ] {
        assert_eq!(all(ty, values), expected, "{ty} {values}");
    }
    let mixed = "E0314: a sum or mean over values that are not numbers 2 E0314: a sum or mean over values that are not numbers";
    let unordered = "E0314: min or max over values that have no order among them";
    assert_eq!(all("dyn", "[1, \"a\"]"), format!("{mixed} {unordered} {unordered}"));
    let text = |agg| told(&of(&agg, &Type::Text, &[Ok("b".into()), Ok(Value::Null), Ok("a".into())]).value());
    assert_eq!([text(Agg::Count), text(Agg::Min), text(Agg::Max)], ["2", "\"a\"", "\"b\""]);
}

#[test]
fn a_child_in_error_is_one_error_until_it_is_corrected() {
    let bad = |text: &str| -> Cell { Err(Error::new(302, text)) };
    for agg in AGGS {
        let mut accumulator = of(&agg, &Type::Int, &[Ok(1.into()), bad("one"), bad("two")]);
        let expected = "E0310: a child is in error";
        assert_eq!(told(&accumulator.value()), expected);
        accumulator.remove(&bad("one"));
        assert_eq!(told(&accumulator.value()), expected);
        accumulator.remove(&bad("two"));
        assert_eq!(accumulator.value(), of(&agg, &Type::Int, &[Ok(1.into())]).value());
        accumulator.remove(&Ok(1.into()));
        assert!(accumulator.is_empty());
        assert_eq!(accumulator.value(), Accumulator::new(&agg, &[Type::Int]).value());
    }
}

#[test]
fn an_overflow_lasts_as_long_as_its_cause() {
    let mut sum = of(&Agg::Sum, &Type::Int, &[Ok(i64::MAX.into()), Ok(i64::MAX.into())]);
    assert_eq!(told(&sum.value()), "E0301: sum of ints overflows");
    sum.insert(&Ok(i64::MIN.into()));
    assert_eq!(sum.value(), Ok(Value::Int(i64::MAX - 1)));

    let nines: Decimal = "9".repeat(76).parse().unwrap();
    let ty = Type::Decimal { precision: 76, scale: 0 };
    let mut sum = of(&Agg::Sum, &ty, &[Ok(nines.clone().into()), Ok(nines.clone().into())]);
    assert_eq!(told(&sum.value()), "E0307: decimal result needs more than 76 digits");
    sum.remove(&Ok(nines.clone().into()));
    assert_eq!(sum.value(), Ok(Value::Decimal(nines)));
}

#[test]
fn accumulators_are_small() {
    assert!(size_of::<Accumulator>() <= 144, "{}", size_of::<Accumulator>());
    assert_eq!(of(&Agg::Sum, &Type::Int, &[Ok(1.into())]).bytes(), size_of::<Accumulator>());
}

fn any_cell() -> impl Strategy<Value = Cell> {
    let decimal = prop_oneof![
        (-500i128..500, 0u8..4).prop_map(|(m, s)| Decimal::new(m, s).unwrap()),
        crate::decimal::tests::any_decimal(),
    ];
    prop_oneof![
        4 => (-5i64..5).prop_map(|x| Ok(Value::Int(x))),
        2 => any::<i64>().prop_map(|x| Ok(Value::Int(x))),
        2 => any::<u64>().prop_map(|x| Ok(Value::Uint(x))),
        4 => crate::exact_sum::tests::any_double().prop_map(|x| Ok(Value::double(x))),
        1 => prop_oneof![Just(f64::NAN), Just(f64::INFINITY), Just(f64::NEG_INFINITY)].prop_map(|x| Ok(Value::double(x))),
        4 => decimal.prop_map(|x| Ok(Value::Decimal(x))),
        1 => any::<i64>().prop_map(|x| Ok(Value::Duration(Duration(x)))),
        1 => any::<i64>().prop_map(|x| Ok(Value::Timestamp(Timestamp(x)))),
        1 => "[ab]{0,2}".prop_map(|x| Ok(Value::text(x))),
        1 => Just(Ok(Value::Null)),
        1 => Just(Ok(Value::list([Value::Int(1)]))),
        1 => Just(Err(Error::new(302, "division by zero"))),
    ]
}

fn types() -> impl Strategy<Value = Type> {
    prop_oneof![
        Just(Type::Int),
        Just(Type::Uint),
        Just(Type::Double),
        Just(Type::Decimal { precision: 20, scale: 2 }),
        Just(Type::Duration),
        Just(Type::Dyn),
    ]
}

fn is_of(cell: &Cell, ty: &Type) -> bool {
    let Ok(value) = cell else { return true };
    let same = match value {
        Value::Int(_) => *ty == Type::Int,
        Value::Uint(_) => *ty == Type::Uint,
        Value::Double(_) => *ty == Type::Double,
        Value::Decimal(_) => matches!(ty, Type::Decimal { .. }),
        Value::Duration(_) => *ty == Type::Duration,
        value => value.is_null(),
    };
    same || *ty == Type::Dyn
}

proptest! {
    /// AGG-1, with values of the declared type: what was in before leaves no trace.
    #[test]
    fn eng_04_only_the_content_counts(
        ty in types(),
        cells in prop::collection::vec((any_cell(), any::<bool>(), any::<u16>()), 0..60),
        agg in prop::sample::select(AGGS.to_vec()),
    ) {
        let cells: Vec<_> = cells.into_iter().filter(|(cell, ..)| is_of(cell, &ty)).collect();
        let mut accumulator = Accumulator::new(&agg, std::slice::from_ref(&ty));
        let (mut stay, mut go) = (Vec::new(), Vec::new());
        for (cell, stays, place) in cells {
            accumulator.insert(&cell);
            let list: &mut Vec<Cell> = if stays { &mut stay } else { &mut go };
            list.insert(usize::from(place) % (list.len() + 1), cell);
            if place % 3 == 0
                && let Some(cell) = go.pop()
            {
                accumulator.remove(&cell);
            }
        }
        go.iter().for_each(|cell| accumulator.remove(cell));
        prop_assert_eq!(accumulator.value(), of(&agg, &ty, &stay).value());
        prop_assert_eq!(accumulator.rows(), stay.len() as u64);
        stay.reverse();
        prop_assert_eq!(accumulator.value(), of(&agg, &ty, &stay).value());
        stay.iter().for_each(|cell| accumulator.remove(cell));
        prop_assert!(accumulator.is_empty());
        prop_assert_eq!(accumulator.value(), Accumulator::new(&agg, std::slice::from_ref(&ty)).value());
    }

    /// Values of a type that was not declared make a mixed sum, and go again.
    #[test]
    fn strangers_are_summed_too(ty in types(), cells in prop::collection::vec(any_cell(), 0..20), agg in prop::sample::select(AGGS.to_vec())) {
        let mut accumulator = Accumulator::new(&agg, std::slice::from_ref(&ty));
        cells.iter().for_each(|cell| accumulator.insert(cell));
        let present: Vec<_> = cells.iter().filter(|cell| !matches!(cell, Ok(Value::Null))).collect();
        if !present.is_empty() && agg != Agg::Count {
            prop_assert_eq!(accumulator.value().is_ok(), of(&agg, &Type::Dyn, &cells).value().is_ok());
        }
        cells.iter().rev().for_each(|cell| accumulator.remove(cell));
        prop_assert_eq!(accumulator.value(), Accumulator::new(&agg, std::slice::from_ref(&ty)).value());
    }
}
