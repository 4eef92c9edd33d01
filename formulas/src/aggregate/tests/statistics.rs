//! Statistics, truths, distinct values and quantiles: tables of meanings, and exactness against rational arithmetic.

use proptest::prelude::*;

use super::*;
use crate::agg::Signature;

/// The aggregate `name`, with a parameter, of the values of a JSON array; an array in it is a pair.
fn shown(name: &str, parameter: Option<Value>, ty: &str, values: &str) -> String {
    let agg = Signature::find(name).unwrap().agg(parameter.as_ref()).unwrap();
    let ty = Type::parse(ty).unwrap();
    let list = serde_json::from_str::<serde_json::Value>(values).unwrap();
    let read = |v: &serde_json::Value| match v {
        serde_json::Value::Array(parts) => Value::list(parts.iter().map(|v| json::read_as(v, &ty).unwrap())),
        v => json::read_as(v, &ty).unwrap(),
    };
    let cells: Vec<Cell> = list.as_array().unwrap().iter().map(|v| Ok(read(v))).collect();
    told(&of(&agg, &ty, &cells).value())
}

#[test]
fn what_each_statistic_means() {
    let not_numbers = |name: &str| format!("E0314: {name} over values that are not numbers");
    for (name, ty, values, expected) in [
        ("count_distinct", "int", "[]", "0"),
        ("count_distinct", "dyn", "[1, {\"$double\": 1}, {\"$decimal\": \"1.00\"}, {\"$uint\": \"1\"}, 2, null, \"1\"]", "3"),
        ("count_distinct", "double", "[0.0, -0.0, \"NaN\", \"NaN\"]", "2"),
        ("count_distinct", "dyn", "[{\"a\": [1]}, {\"a\": [{\"$double\": 1}]}, {\"a\": [2]}]", "2"),
        ("any", "bool", "[]", "false"),
        ("any", "bool", "[false, null]", "null"),
        ("any", "bool", "[false, null, true]", "true"),
        ("any", "dyn", "[true, 1]", "E0314: any over values that are neither true nor false"),
        ("all", "bool", "[]", "true"),
        ("all", "bool", "[true, null]", "null"),
        ("all", "bool", "[false, null, true]", "false"),
        ("var", "int", "[]", "null"),
        ("var", "int", "[7]", "null"),
        ("var_pop", "int", "[7]", "0.0"),
        ("var", "int", "[1, 2, null, 3, 4]", "1.6666666666666667"),
        ("var", "int", "[9223372036854775807, 9223372036854775806]", "0.5"),
        ("var", "double", "[1e300, -1e300]", "\"Infinity\""),
        ("stddev", "double", "[1e300, -1e300]", "1.4142135623730952e300"),
        ("var", "double", "[1.0, \"NaN\"]", "\"NaN\""),
        ("var", "double", "[1.0, \"Infinity\"]", "\"NaN\""),
        ("var", "double", "[\"Infinity\"]", "null"),
        ("var", "decimal(30,2)", "[\"1000000000000000000.01\", \"1000000000000000000.03\"]", "0.0002"),
        ("stddev", "decimal(30,2)", "[\"1000000000000000000.01\", \"1000000000000000000.03\"]", "0.01414213562373095"),
        ("stddev_pop", "dyn", "[1, {\"$decimal\": \"1.5\"}, 2.0]", "0.408248290463863"),
        ("var", "dyn", "[1, \"x\"]", &not_numbers("var")),
        ("covar", "int", "[[1, 2], [2, 4], [3, 6], [null, 9], [9, null]]", "2.0"),
        ("covar_pop", "int", "[[1, 2]]", "0.0"),
        ("covar", "int", "[[1, 2]]", "null"),
        ("corr", "int", "[[1, 6], [2, 4], [3, 2]]", "-1.0"),
        ("corr", "int", "[[1, 6], [1, 4]]", "null"),
        ("corr", "int", "[]", "null"),
        ("corr", "dyn", "[[1, 1.5], [{\"$decimal\": \"2.5\"}, 7.25], [3, 2]]", "0.3519021130102119"),
        ("corr", "dyn", "[[1, true]]", &not_numbers("corr")),
        ("median", "int", "[]", "null"),
        ("median", "int", "[3, 1, 2]", "2.0"),
        ("median", "int", "[1, 2, 3, 9223372036854775807]", "2.5"),
        ("median", "double", "[1e308, 1.5e308]", "1.25e308"),
        ("median", "double", "[1.0, \"NaN\"]", "\"NaN\""),
        ("median", "decimal(8,2)", "[\"1.00\", \"1.01\"]", "\"1.005000\""),
        ("median", "timestamp", "[\"2024-01-01T00:00:00Z\", \"2024-01-02T00:00:00Z\"]", "\"2024-01-01T12:00:00Z\""),
        ("median", "duration", "[\"1s\", \"2s\"]", "\"1.5s\""),
        ("median", "dyn", "[1, {\"$decimal\": \"2.0\"}]", "\"1.50000\""),
        ("median", "dyn", "[1, \"x\"]", "E0314: a median or quantile over values that do not go together"),
        ("median", "dyn", "[true]", "E0314: a median or quantile over values that do not go together"),
    ] {
        assert_eq!(shown(name, None, ty, values), expected, "{name} of {ty} {values}");
    }
    for (share, values, expected) in [
        (0.0, "[1, 2, 3]", "1.0"),
        (1.0, "[1, 2, 3]", "3.0"),
        (0.95, "[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20]", "19.0"),
        (0.9, "[10, 20]", "19.0"),
        (0.1, "[0.1, 0.2]", "0.11"),
    ] {
        assert_eq!(shown("quantile", Some(Value::double(share)), "double", values), expected, "{share} of {values}");
    }
}

/// The sample variance of integers over a power of two, the long way: a fraction of 128-bit integers.
fn variance(xs: &[i64], shift: i32) -> f64 {
    let n = xs.len() as i128;
    let (sum, squares) = xs.iter().fold((0i128, 0i128), |(s, q), x| (s + i128::from(*x), q + i128::from(*x) * i128::from(*x)));
    // Both are below 2^53 where the test keeps them small, so this rounds once.
    (n * squares - sum * sum) as f64 / (n * (n - 1)) as f64 * 2f64.powi(-2 * shift)
}

fn statistics() -> Vec<Agg> {
    let parameter = |signature: &Signature| match signature.parameter {
        crate::agg::Parameter::Share => Some(Value::double(0.3)),
        _ => None,
    };
    ["count_distinct", "any", "all", "var", "stddev_pop", "median", "quantile"]
        .map(|name| Signature::find(name).unwrap())
        .map(|signature| signature.agg(parameter(signature).as_ref()).unwrap())
        .to_vec()
}

proptest! {
    #[test]
    fn a_variance_is_rounded_once(xs in prop::collection::vec(-1000i64..1000, 2..30), shift in 0i32..20) {
        let cells: Vec<Cell> = xs.iter().map(|x| Ok(Value::double(*x as f64 / 2f64.powi(shift)))).collect();
        let got = of(&Agg::Var(crate::agg::Of::Sample), &Type::Double, &cells).value();
        prop_assert_eq!(got, Ok(Value::double(variance(&xs, shift))));
    }

    /// AGG-1 for those that look at single values.
    #[test]
    fn only_the_content_counts_here_too(
        cells in prop::collection::vec((any_cell(), any::<bool>()), 0..50),
        agg in prop::sample::select(statistics()),
    ) {
        let mut accumulator = Accumulator::new(&agg, &[Type::Dyn]);
        cells.iter().for_each(|(cell, _)| accumulator.insert(cell));
        cells.iter().filter(|(_, stays)| !stays).for_each(|(cell, _)| accumulator.remove(cell));
        let mut stay: Vec<Cell> = cells.into_iter().filter(|(_, stays)| *stays).map(|(cell, _)| cell).collect();
        stay.reverse();
        prop_assert_eq!(accumulator.value(), of(&agg, &Type::Dyn, &stay).value());
        stay.iter().for_each(|cell| accumulator.remove(cell));
        prop_assert!(accumulator.is_empty());
        prop_assert_eq!(accumulator.value(), Accumulator::new(&agg, &[Type::Dyn]).value());
    }

    /// The same for pairs.
    #[test]
    fn only_the_pairs_count(cells in prop::collection::vec((any_cell(), any_cell(), any::<bool>()), 0..30)) {
        let agg = Agg::Corr;
        let pair = |a: &Cell, b: &Cell| -> Cell { Ok(Value::list([a.clone()?, b.clone()?])) };
        let mut accumulator = Accumulator::new(&agg, &[Type::Dyn, Type::Dyn]);
        cells.iter().for_each(|(a, b, _)| accumulator.insert(&pair(a, b)));
        cells.iter().filter(|(.., stays)| !stays).for_each(|(a, b, _)| accumulator.remove(&pair(a, b)));
        let stay: Vec<Cell> = cells.iter().rev().filter(|(.., stays)| *stays).map(|(a, b, _)| pair(a, b)).collect();
        prop_assert_eq!(accumulator.value(), of(&agg, &Type::Dyn, &stay).value());
        if let Ok(Value::Double(r)) = accumulator.value() {
            prop_assert!(r.is_nan() || r.abs() <= 1.0, "{}", r);
        }
    }
}
