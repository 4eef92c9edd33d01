//! Lists, and what counts or reverses: JSON arrays are lists, so these are the aggregates over a JSON array too.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use super::number::small_int;
use super::signature::{Want, item, list, takes};
use super::{Derivative, Function, Nulls, aggregate, unsupported};
use crate::ast::BinaryOp;
use crate::errors;
use crate::eval::Fuel;
use crate::expr::{Expr, ExprKind};
use crate::ops::derivative::{either, holds, number};
use crate::ops::{self, unify};
use crate::problem::Error;
use crate::types::Type;
use crate::value::{Cell, Value};

const NO_SLOPE: Derivative = Derivative::None { why: "it works on lists, which have no slope" };

/// A function on lists with the usual rules.
const fn function(
    name: &'static str,
    doc: &'static str,
    example: &'static str,
    args: std::ops::RangeInclusive<usize>,
    result: fn(&[Type]) -> Result<Type, String>,
    call: fn(&[Value], &mut Fuel) -> Cell,
) -> Function {
    Function { name, doc, example, args, result, nulls: Nulls::Propagate, call, derivative: NO_SLOPE }
}

pub(super) const FUNCTIONS: &[Function] = &[
    function(
        "size",
        "how many characters, bytes, elements or entries",
        "size('héllo') == 5 && [1, 2].size() == 2 && size({'a': 1}) == 1",
        1..=1,
        |t| takes(t, &[Want::Sized], Type::Int),
        size,
    ),
    function(
        "sum",
        "the sum of a list's numbers or durations, NULLs skipped; of nothing, 0; doubles are summed exactly",
        "sum([1, 2, null]) == 3 && sum([0.1, 0.2, 0.3, -0.3, -0.2, -0.1]) == 0.0",
        1..=1,
        |t| ops::sum_type(&item(&t[0])).and_then(|sum| takes(t, &[Want::List], sum)),
        |v, fuel| aggregate::call("sum", v, fuel),
    ),
    function(
        "avg",
        "the mean of a list's numbers, NULLs skipped; of nothing, NULL",
        "avg([1, 2]) == 1.5",
        1..=1,
        |t| aggregate::result("avg", t),
        |v, fuel| aggregate::call("avg", v, fuel),
    ),
    function(
        "count",
        "how many elements of a list are not NULL",
        "count([1, null, 3]) == 2",
        1..=1,
        |t| takes(t, &[Want::List], Type::Int),
        |v, fuel| aggregate::call("count", v, fuel),
    ),
    function(
        "distinct",
        "the elements, each once, in the order of their first places; numbers count by value",
        "[1, 2, 1.0].distinct() == [1, 2]",
        1..=1,
        |t| takes(t, &[Want::List], list(item(&t[0]))),
        distinct,
    ),
    function(
        "flatten",
        "the elements of the lists in a list; the second argument says how many levels, 1 if absent",
        "[[1], [2, [3]]].flatten() == [1, 2, [3]]",
        1..=2,
        |t| {
            let one_level = match item(&t[0]) {
                Type::List(inner) if t.len() == 1 => (*inner).clone(),
                _ => Type::Dyn,
            };
            takes(t, &[Want::List, Want::Whole], list(one_level))
        },
        flatten,
    ),
    function(
        "slice",
        "the elements from the second argument up to, without, the third, or to the end; -n alone: the last n, or all if there are fewer",
        "[1, 2, 3, 4].slice(1, 3) == [2, 3] && [1, 2, 3].slice(-2) == [2, 3] && [1].slice(-2) == [1]",
        2..=3,
        |t| takes(t, &[Want::List, Want::Whole], list(item(&t[0]))),
        slice,
    ),
    function(
        "sort",
        "the elements in order, NULLs first",
        "[3, 1, 2].sort() == [1, 2, 3]",
        1..=1,
        |t| match item(&t[0]) {
            item @ (Type::List(_) | Type::Map(..) | Type::Tensor(_)) => Err(format!("{item} has no order")),
            item => takes(t, &[Want::List], list(item)),
        },
        sort,
    ),
    function(
        "reverse",
        "the list or text, last first",
        "[1, 2, 3].reverse() == [3, 2, 1] && 'abc'.reverse() == 'cba'",
        1..=1,
        |t| match &t[0] {
            Type::Text => Ok(Type::Text),
            Type::Dyn => Ok(Type::Dyn),
            t0 => takes(t, &[Want::List], list(item(t0))),
        },
        reverse,
    ),
    function(
        "range",
        "the ints from 0, or from the first of two arguments, up to, without, the last",
        "range(3) == [0, 1, 2] && range(2, 4) == [2, 3]",
        1..=2,
        |t| takes(t, &[Want::Whole], list(Type::Int)),
        range,
    ),
    function(
        "keys",
        "the keys of a map, in order",
        "{'b': 1, 'a': 2}.keys() == ['a', 'b']",
        1..=1,
        |t| match &t[0] {
            Type::Map(key, _) => Ok(Type::List(key.clone())),
            Type::Dyn | Type::Null => Ok(list(Type::Dyn)),
            t => Err(format!("argument 1 must be a map, not {t}")),
        },
        |v, fuel| entries("keys", v, fuel, |(key, _)| key.clone()),
    ),
    function(
        "values",
        "the values of a map, in the order of its keys",
        "{'b': 1, 'a': 2}.values() == [2, 1]",
        1..=1,
        |t| match &t[0] {
            Type::Map(_, value) => Ok(Type::List(value.clone())),
            Type::Dyn | Type::Null => Ok(list(Type::Dyn)),
            t => Err(format!("argument 1 must be a map, not {t}")),
        },
        |v, fuel| entries("values", v, fuel, |(_, value)| value.clone()),
    ),
    Function {
        name: "coalesce",
        doc: "the first argument that is not NULL; later ones are not evaluated",
        example: "coalesce(null, 2, 1 / 0) == 2",
        args: 1..=usize::MAX,
        result: |t| Ok(t.iter().fold(Type::Null, |a, b| unify(&a, b))),
        nulls: Nulls::Sees,
        call: |v, _| Ok(v.iter().find(|v| !v.is_null()).cloned().unwrap_or(Value::Null)),
        derivative: Derivative::Partial(is_first),
    },
    Function {
        name: "if_null",
        doc: "the first argument, or the second where it is NULL",
        example: "if_null(null, 2) == 2 && if_null(1, 2) == 1",
        args: 2..=2,
        result: |t| Ok(unify(&t[0], &t[1])),
        nulls: Nulls::Sees,
        call: |v, _| Ok(v.iter().find(|v| !v.is_null()).cloned().unwrap_or(Value::Null)),
        derivative: Derivative::Partial(is_first),
    },
    Function {
        name: "if_else",
        doc: "the second argument where the first is true, else the third; the other is not evaluated",
        example: "if_else(true, 1, 1 / 0) == 1 && if_else(null, 1, 2) == 2",
        args: 3..=3,
        result: |t| takes(t, &[Want::Bool, Want::Any], unify(&t[1], &t[2])),
        nulls: Nulls::Sees,
        call: |v, _| Ok(v[if ops::truth(&v[0])? == Some(true) { 1 } else { 2 }].clone()),
        derivative: Derivative::Partial(is_branch),
    },
];

/// 1 for the first argument that is not NULL.
fn is_first(x: &[Expr], i: usize) -> Expr {
    let null = || Expr::new(ExprKind::Const(Value::Null), Type::Null);
    let before = x[..i].iter().rev().map(|x| holds(BinaryOp::Eq, x.clone(), null()));
    let own = either(holds(BinaryOp::Ne, x[i].clone(), null()), number(1.0), number(0.0));
    before.fold(own, |counts, absent| either(absent, counts, number(0.0)))
}

/// 1 for the branch that is taken; nothing flows to the condition.
fn is_branch(x: &[Expr], i: usize) -> Expr {
    match i {
        0 => number(0.0),
        1 => either(x[0].clone(), number(1.0), number(0.0)),
        _ => either(x[0].clone(), number(0.0), number(1.0)),
    }
}

pub(super) fn elements<'a>(function: &str, v: &'a [Value]) -> Result<&'a [Value], Error> {
    match v {
        [Value::List(items), ..] => Ok(items),
        _ => Err(unsupported(function, v)),
    }
}

fn size(v: &[Value], fuel: &mut Fuel) -> Cell {
    let size = match &v[0] {
        Value::Text(text) => {
            fuel.bytes(text.len())?;
            text.chars().count()
        }
        Value::Bytes(bytes) => bytes.len(),
        Value::List(items) => items.len(),
        Value::Map(map) => map.len(),
        _ => return Err(unsupported("size", v)),
    };
    Ok(Value::Int(size as i64))
}

/// The order in which equal numbers meet, whatever their types, and everything else by identity.
fn by_value(a: &Value, b: &Value) -> Ordering {
    ops::number_cmp(a, b).unwrap_or_else(|| a.cmp(b))
}

/// A value that is sorted by value.
struct ByValue<'a>(&'a Value);

impl Ord for ByValue<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        // Numbers stand together in the order of types, so mixing the two orders stays transitive.
        by_value(self.0, other.0)
    }
}

impl PartialOrd for ByValue<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for ByValue<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for ByValue<'_> {}

fn distinct(v: &[Value], fuel: &mut Fuel) -> Cell {
    let items = elements("distinct", v)?;
    fuel.weigh(&v[0])?;
    fuel.spend(steps_of_sorting(items.len()))?;
    let mut seen = BTreeSet::new();
    Ok(Value::list(items.iter().filter(|item| seen.insert(ByValue(item))).cloned()))
}

pub(super) fn steps_of_sorting(n: usize) -> u64 {
    n as u64 * u64::from(usize::BITS - n.leading_zeros())
}

fn flatten(v: &[Value], fuel: &mut Fuel) -> Cell {
    let items = elements("flatten", v)?;
    let levels = v.get(1).map_or(Ok(1), |levels| small_int("flatten", levels))?;
    fuel.weigh(&v[0])?; // The walk, and more than the answer.
    let mut flat = Vec::new();
    flatten_into(items, levels.max(0), &mut flat);
    Ok(Value::List(flat.into()))
}

fn flatten_into(items: &[Value], levels: i64, flat: &mut Vec<Value>) {
    for item in items {
        match item {
            Value::List(inner) if levels > 0 => flatten_into(inner, levels - 1, flat),
            item => flat.push(item.clone()),
        }
    }
}

fn slice(v: &[Value], fuel: &mut Fuel) -> Cell {
    let items = elements("slice", v)?;
    let len = items.len() as i64;
    let (from, to) = match (small_int("slice", &v[1])?, v.get(2)) {
        (from, Some(to)) => (from, small_int("slice", to)?),
        (back, None) if back < 0 => (len.saturating_add(back).max(0), len),
        (from, None) => (from, len),
    };
    let range = usize::try_from(from).ok().zip(usize::try_from(to).ok()).filter(|(from, to)| from <= to && *to <= items.len());
    let Some((from, to)) = range else {
        return Err(errors::bad_argument(format!("slice: {from}..{to} is outside 0..{}", items.len())));
    };
    fuel.elements(to - from)?;
    Ok(Value::List(items[from..to].into()))
}

fn sort(v: &[Value], fuel: &mut Fuel) -> Cell {
    let items = elements("sort", v)?;
    fuel.weigh(&v[0])?;
    fuel.spend(steps_of_sorting(items.len()))?;
    let mut sorted = items.to_vec();
    // Everything has an order with everything if it has one with its neighbour in a sequence by type.
    let plain = sorted.iter().filter(|x| !x.is_null()).collect::<Vec<_>>();
    for pair in plain.windows(2) {
        ops::compare(pair[0], pair[1])?;
    }
    if let [only @ (Value::List(_) | Value::Map(_) | Value::Tensor(_))] = plain[..] {
        return Err(unsupported("sort", std::slice::from_ref(only)));
    }
    sorted.sort_by(by_value);
    Ok(Value::List(sorted.into()))
}

fn reverse(v: &[Value], fuel: &mut Fuel) -> Cell {
    match &v[0] {
        Value::List(items) => {
            fuel.elements(items.len())?;
            Ok(Value::list(items.iter().rev().cloned()))
        }
        Value::Text(text) => {
            fuel.bytes(text.len())?;
            Ok(Value::text(text.chars().rev().collect::<String>()))
        }
        _ => Err(unsupported("reverse", v)),
    }
}

fn range(v: &[Value], fuel: &mut Fuel) -> Cell {
    let (from, to) = match v {
        [to] => (0, small_int("range", to)?),
        [from, to, ..] => (small_int("range", from)?, small_int("range", to)?),
        [] => (0, 0),
    };
    let length = i128::from(to) - i128::from(from);
    fuel.elements(usize::try_from(length.max(0)).unwrap_or(usize::MAX))?;
    Ok(Value::list((from..to).map(Value::Int)))
}

fn entries(name: &str, v: &[Value], fuel: &mut Fuel, part: fn((&Value, &Value)) -> Value) -> Cell {
    let Value::Map(map) = &v[0] else { return Err(unsupported(name, v)) };
    fuel.elements(map.len())?;
    Ok(Value::list(map.iter().map(part)))
}
