//! Aggregates of lists: each aggregate over child rows is a list function too, of the same arguments, and so it is the aggregate over a
//! JSON array. What a row is to the one, an element is to the other; its key is its place.
//!
//! Where a pattern stands in the call (`last(lines[*].price)`) the checker hands the values as lists.

use super::list::{elements, steps_of_sorting};
use super::number::small_int;
use super::signature::{item, list};
use super::{Derivative, Function, Nulls, unsupported};
use crate::agg::{Agg, Parameter, Second, Signature};
use crate::aggregate::{Accumulator, result_type};
use crate::errors;
use crate::eval::Fuel;
use crate::problem::Error;
use crate::types::Type;
use crate::value::{Cell, Value};

/// A row of the registry.
macro_rules! aggregate {
    ($name:literal, $args:expr, $doc:literal, $example:literal) => {
        Function {
            name: $name,
            doc: $doc,
            example: $example,
            args: $args,
            result: |t| result($name, t),
            nulls: Nulls::Propagate,
            call: |v, fuel| call($name, v, fuel),
            derivative: Derivative::None { why: "it works on lists, which have no slope" },
        }
    };
}

pub(super) const FUNCTIONS: &[Function] = &[
    aggregate!("count_distinct", 1..=1, "how many different values, numbers by value", "count_distinct([1, 1.0, 2, null]) == 2"),
    aggregate!(
        "any",
        1..=1,
        "whether one is true; of nothing, false",
        "any([false, true, null]) && any([false, null]) == null && !any([])"
    ),
    aggregate!(
        "all",
        1..=1,
        "whether all are true; of nothing, true",
        "all([true, true]) && all([true, null]) == null && all([])"
    ),
    aggregate!(
        "var",
        1..=1,
        "the variance of a sample, as a double; NULL of fewer than two",
        "var([1, 2, 3, 4]) == 5.0 / 3.0 && var([1]) == null"
    ),
    aggregate!("var_pop", 1..=1, "the variance of all there is", "var_pop([1, 2, 3, 4]) == 1.25"),
    aggregate!("stddev", 1..=1, "the standard deviation of a sample", "stddev([1, 3]) == sqrt(2.0)"),
    aggregate!("stddev_pop", 1..=1, "the standard deviation of all there is", "stddev_pop([1, 3]) == 1.0"),
    aggregate!(
        "covar",
        2..=2,
        "the covariance of two lists, a sample; pairs with a NULL left out",
        "covar([1, 2, 3], [2, 4, 6]) == 2.0"
    ),
    aggregate!("covar_pop", 2..=2, "the covariance of two lists, all there is", "covar_pop([1, 3], [2, 6]) == 2.0"),
    aggregate!(
        "corr",
        2..=2,
        "the correlation of two lists; NULL where one does not vary",
        "corr([1, 2, 3], [6, 4, 2]) == -1.0 && corr([1, 1], [1, 2]) == null"
    ),
    aggregate!(
        "median",
        1..=1,
        "the value in the middle, or between the two",
        "median([3, 1, 2]) == 2.0 && median([1, 2]) == 1.5"
    ),
    aggregate!(
        "quantile",
        2..=2,
        "the value at a share of the way from the least to the greatest",
        "quantile([1, 2, 3, 4, 5], 0.25) == 2.0 && quantile([10, 20], 0.75) == 17.5"
    ),
    aggregate!(
        "first",
        1..=3,
        "the first element, of an empty list NULL; with an int the first so many; with a list, in its order",
        "[3, 1].first() == 3 && first([]) == null && [3, 1, 2].first(2) == [3, 1] && [3, 1, 2].first([9, 8, 7]) == 2"
    ),
    aggregate!(
        "last",
        1..=3,
        "the last element, of an empty list NULL; with an int the last so many; with a list, in its order",
        "[3, 1].last() == 1 && [3, 1, 2].last(2) == [1, 2] && [3, 1, 2].last(2, [9, 8, 7]) == [1, 3]"
    ),
    aggregate!(
        "collect",
        1..=2,
        "the elements that are not NULL; with a list, in its order",
        "collect([3, null, 1]) == [3, 1] && collect([3, 1], [2, 1]) == [1, 3]"
    ),
    aggregate!(
        "string_agg",
        2..=3,
        "texts in one, with the second argument between them; with a list, in its order",
        "string_agg(['a', 'b'], ', ') == 'a, b' && string_agg(['a', 'b'], '', [2, 1]) == 'ba'"
    ),
    aggregate!(
        "top",
        3..=3,
        "the elements with the greatest in the last list, so many, the greatest first",
        "top(['a', 'b', 'c'], 2, [1, 3, 2]) == ['b', 'c']"
    ),
    aggregate!(
        "bottom",
        3..=3,
        "the elements with the least in the last list, so many, the least first",
        "bottom(['a', 'b', 'c'], 2, [1, 3, 2]) == ['a', 'c']"
    ),
    aggregate!(
        "window_avg",
        2..=3,
        "the mean of the last so many that are not NULL; with a list, in its order",
        "window_avg([9, 1, 2], 2) == 1.5"
    ),
    aggregate!("window_sum", 2..=3, "the sum of the last so many that are not NULL", "window_sum([9, 1, null, 2], 2) == 3"),
    aggregate!("window_min", 2..=3, "the least of the last so many that are not NULL", "window_min([0, 1, 2], 2) == 1"),
    aggregate!("window_max", 2..=3, "the greatest of the last so many that are not NULL", "window_max([9, 1, 2], 2) == 2"),
    aggregate!("window_count", 2..=3, "how many of the last so many there are", "window_count([9, null, 2], 5) == 2"),
];

/// The arguments behind the values: the parameter, and the second list.
struct Rest<T> {
    parameter: Option<T>,
    second: Option<T>,
}

impl<T: Clone> Rest<T> {
    fn of(signature: &Signature, rest: &[T], may_be_parameter: fn(&T) -> bool) -> Rest<T> {
        let has_parameter = match signature.parameter {
            Parameter::None => false,
            Parameter::Count(false) => rest.first().is_some_and(may_be_parameter),
            Parameter::Count(true) | Parameter::Separator | Parameter::Share => true,
        };
        let mut rest = rest.iter().cloned();
        let parameter = if has_parameter { rest.next() } else { None };
        Rest { parameter, second: rest.next() }
    }
}

fn signature(name: &str) -> &'static Signature {
    Signature::find(name).expect("invariant: the registry's aggregates have signatures")
}

/// The type of an aggregate of a list.
pub(super) fn result(name: &str, types: &[Type]) -> Result<Type, String> {
    let signature = signature(name);
    let is_list = |ty: &Type| matches!(ty, Type::List(_) | Type::Dyn | Type::Null);
    if !is_list(&types[0]) {
        return Err(format!("argument 1 must be a list, not {}", types[0]));
    }
    let rest = Rest::of(signature, &types[1..], |ty| !matches!(ty, Type::List(_)));
    // Whether a dynamic second argument is a number or a list is known when it comes.
    let unknown = signature.may_lack_parameter() && types.len() == 2 && matches!(types[1], Type::Dyn | Type::Null);
    let wanted = match signature.parameter {
        Parameter::None => None,
        Parameter::Count(_) => Some(("an int", Value::Int(1))),
        Parameter::Separator => Some(("text", Value::text(""))),
        Parameter::Share => Some(("a number", Value::Int(1))),
    };
    if let (Some(ty), Some((name, _))) = (&rest.parameter, &wanted) {
        let fits = match signature.parameter {
            Parameter::Separator => matches!(ty, Type::Text),
            Parameter::Share => ty.is_numeric(),
            Parameter::None | Parameter::Count(_) => matches!(ty, Type::Int | Type::Uint),
        };
        if !fits && !matches!(ty, Type::Dyn | Type::Null) {
            return Err(format!("argument 2 must be {name}, not {ty}"));
        }
    }
    if let Some(second) = rest.second.as_ref().filter(|second| !is_list(second)) {
        return Err(format!("argument {} must be a list, not {second}", types.len()));
    }
    if unknown {
        return Ok(Type::Dyn);
    }
    let example = wanted.map(|(_, value)| value).filter(|_| rest.parameter.is_some());
    let agg = signature.agg(example.as_ref())?;
    let items: Vec<Type> = std::iter::once(item(&types[0])).chain(rest.second.iter().map(item)).collect();
    let answer = result_type(&agg, &items)?;
    // The list itself may not be known to be one.
    Ok(match (types[0] == Type::Dyn || types[0] == Type::Null, answer) {
        (true, Type::List(_)) => list(Type::Dyn),
        (_, answer) => answer,
    })
}

/// An aggregate of a list.
pub(super) fn call(name: &str, v: &[Value], fuel: &mut Fuel) -> Cell {
    let signature = signature(name);
    let items = elements(name, v)?;
    let rest = Rest::of(signature, &v[1..], |value| !matches!(value, Value::List(_)));
    let agg = agg(signature, rest.parameter.as_ref())?;
    let second = match &rest.second {
        None => None,
        Some(Value::List(second)) if second.len() == items.len() => Some(second),
        Some(Value::List(second)) => {
            let message = format!("{name}: lists of {} and {} elements", items.len(), second.len());
            return Err(errors::bad_argument(message));
        }
        Some(_) => return Err(unsupported(name, v)),
    };
    if let (Agg::First, None) = (&agg, second) {
        return Ok(items.first().cloned().unwrap_or(Value::Null));
    }
    if let (Agg::Last, None) = (&agg, second) {
        return Ok(items.last().cloned().unwrap_or(Value::Null));
    }
    fuel.elements(items.len())?;
    if signature.second != Second::None || matches!(agg, Agg::Median | Agg::Quantile(_) | Agg::CountDistinct) {
        fuel.weigh(&v[0])?;
        fuel.spend(steps_of_sorting(items.len()))?;
    }
    if let (Agg::FirstOf(n), None) = (&agg, second) {
        return Ok(Value::List(items[..items.len().min(*n as usize)].into()));
    }
    if let (Agg::LastOf(n), None) = (&agg, second) {
        return Ok(Value::List(items[items.len().saturating_sub(*n as usize)..].into()));
    }
    let types = if second.is_some() { vec![Type::Dyn; 2] } else { vec![Type::Dyn] };
    let mut accumulator = Accumulator::new(&agg, &types);
    for (place, item) in items.iter().enumerate() {
        let second = second.map(|second| second[place].clone());
        let given = match (agg.is_ordered(), second) {
            (false, None) => item.clone(),
            (false, Some(second)) => Value::list([item.clone(), second]),
            (true, None) => Value::list([item.clone(), Value::Int(place as i64)]),
            (true, Some(by)) => Value::list([item.clone(), by, Value::Int(place as i64)]),
        };
        accumulator.insert(&Ok(given));
    }
    accumulator.value()
}

/// The aggregate with its parameter, which here may be computed.
fn agg(signature: &Signature, parameter: Option<&Value>) -> Result<Agg, Error> {
    if let (Parameter::Count(_), Some(count)) = (signature.parameter, parameter) {
        small_int(signature.name, count)?;
    }
    signature.agg(parameter).map_err(|why| errors::bad_argument(format!("{}: {why}", signature.name)))
}
