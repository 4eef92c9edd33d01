//! Numbers: rounding, roots, logarithms, extremes.

use super::signature::{Want, takes};
use super::{Derivative, Function, Nulls, call, unsupported};
use crate::ast::BinaryOp;
use crate::decimal::{Decimal, Rounding};
use crate::errors;
use crate::eval::Fuel;
use crate::expr::Expr;
use crate::ops::derivative::{apply, either, holds, number};
use crate::ops::{self, unify};
use crate::types::Type;
use crate::value::{Cell, Value};

pub(super) const FUNCTIONS: &[Function] = &[
    Function {
        name: "abs",
        doc: "the number without its sign",
        example: "abs(-3) == 3 && abs(-2.5) == 2.5",
        args: 1..=1,
        result: |t| takes(t, &[Want::Number], t[0].clone()),
        nulls: Nulls::Propagate,
        call: abs,
        derivative: Derivative::Partial(|x, _| call("sign", x)),
    },
    Function {
        name: "sign",
        doc: "-1, 0 or 1, in the number's own type",
        example: "sign(-3) == -1 && sign(0.0) == 0.0",
        args: 1..=1,
        result: |t| takes(t, &[Want::Number], t[0].clone()),
        nulls: Nulls::Propagate,
        call: sign,
        derivative: Derivative::Zero,
    },
    Function {
        name: "floor",
        doc: "the largest whole number not above it; with a second argument, at so many digits behind the point",
        example: "floor(2.7) == 2.0 && floor(-2.5) == -3.0",
        args: 1..=2,
        result: rounded,
        nulls: Nulls::Propagate,
        call: |v, _| round_with(v, Rounding::Floor),
        derivative: Derivative::Zero,
    },
    Function {
        name: "ceil",
        doc: "the smallest whole number not below it; with a second argument, at so many digits behind the point",
        example: "ceil(2.1) == 3.0 && ceil(decimal('2.341'), 2) == decimal('2.35')",
        args: 1..=2,
        result: rounded,
        nulls: Nulls::Propagate,
        call: |v, _| round_with(v, Rounding::Ceil),
        derivative: Derivative::Zero,
    },
    Function {
        name: "round",
        doc: "the nearest whole number, halves away from zero; with a second argument, at so many digits behind the point",
        example: "round(2.5) == 3.0 && round(decimal('2.345'), 2) == decimal('2.35')",
        args: 1..=2,
        result: rounded,
        nulls: Nulls::Propagate,
        call: |v, _| round_with(v, Rounding::HalfAway),
        derivative: Derivative::Zero,
    },
    Function {
        name: "trunc",
        doc: "the whole part; with a second argument, cut off after so many digits behind the point",
        example: "trunc(-2.7) == -2.0 && trunc(2.79, 1) == 2.7",
        args: 1..=2,
        result: rounded,
        nulls: Nulls::Propagate,
        call: |v, _| round_with(v, Rounding::Truncate),
        derivative: Derivative::Zero,
    },
    Function {
        name: "sqrt",
        doc: "the square root, as a double",
        example: "sqrt(9) == 3.0",
        args: 1..=1,
        result: |t| takes(t, &[Want::Number], Type::Double),
        nulls: Nulls::Propagate,
        call: |v, _| real("sqrt", v, f64::sqrt),
        // d√x = dx / 2√x
        derivative: Derivative::Partial(|x, _| apply(BinaryOp::Div, number(0.5), call("sqrt", x))),
    },
    Function {
        name: "pow",
        doc: "the first to the power of the second, as a double",
        example: "pow(2, 10) == 1024.0",
        args: 2..=2,
        result: |t| takes(t, &[Want::Number], Type::Double),
        nulls: Nulls::Propagate,
        call: pow,
        derivative: Derivative::Partial(pow_partial),
    },
    Function {
        name: "exp",
        doc: "e to the power of it, as a double",
        example: "exp(0) == 1.0",
        args: 1..=1,
        result: |t| takes(t, &[Want::Number], Type::Double),
        nulls: Nulls::Propagate,
        call: |v, _| real("exp", v, f64::exp),
        derivative: Derivative::Partial(|x, _| call("exp", x)),
    },
    Function {
        name: "ln",
        doc: "the natural logarithm, as a double",
        example: "ln(1) == 0.0",
        args: 1..=1,
        result: |t| takes(t, &[Want::Number], Type::Double),
        nulls: Nulls::Propagate,
        call: |v, _| real("ln", v, f64::ln),
        derivative: Derivative::Partial(|x, _| apply(BinaryOp::Div, number(1.0), x[0].clone())),
    },
    Function {
        name: "log",
        doc: "the logarithm to base 10, or to the base given second, as a double",
        example: "log(1000) == 3.0 && log(8, 2) == 3.0",
        args: 1..=2,
        result: |t| takes(t, &[Want::Number], Type::Double),
        nulls: Nulls::Propagate,
        call: log,
        derivative: Derivative::Partial(log_partial),
    },
    Function {
        name: "min",
        doc: "the least of its arguments, or of a list; NULLs are skipped",
        example: "min(3, 1, 2) == 1 && min([2.5, 1.5]) == 1.5",
        args: 1..=usize::MAX,
        result: extreme,
        nulls: Nulls::Sees,
        call: |v, fuel| pick(v, fuel, std::cmp::Ordering::is_lt),
        derivative: Derivative::Partial(|x, i| share_of("min", x, i)),
    },
    Function {
        name: "max",
        doc: "the greatest of its arguments, or of a list; NULLs are skipped",
        example: "max(3, 1, 2) == 3 && max([1, null]) == 1",
        args: 1..=usize::MAX,
        result: extreme,
        nulls: Nulls::Sees,
        call: |v, fuel| pick(v, fuel, std::cmp::Ordering::is_gt),
        derivative: Derivative::Partial(|x, i| share_of("max", x, i)),
    },
    Function {
        name: "math.least",
        doc: "the least of its arguments, or of a list; NULLs are skipped",
        example: "math.least(3, 1u, 2.5) == 1u",
        args: 1..=usize::MAX,
        result: extreme,
        nulls: Nulls::Sees,
        call: |v, fuel| pick(v, fuel, std::cmp::Ordering::is_lt),
        derivative: Derivative::Partial(|x, i| share_of("min", x, i)),
    },
    Function {
        name: "math.greatest",
        doc: "the greatest of its arguments, or of a list; NULLs are skipped",
        example: "math.greatest([3, 1u, 2.5]) == 3",
        args: 1..=usize::MAX,
        result: extreme,
        nulls: Nulls::Sees,
        call: |v, fuel| pick(v, fuel, std::cmp::Ordering::is_gt),
        derivative: Derivative::Partial(|x, i| share_of("max", x, i)),
    },
];

/// d(x^y) = y x^(y-1) dx + ln(x) x^y dy; 0 by x where y is 0, and by y where x is 0.
fn pow_partial(x: &[Expr], i: usize) -> Expr {
    let unless_zero = |of: usize, slope| either(holds(BinaryOp::Eq, x[of].clone(), number(0.0)), number(0.0), slope);
    match i {
        0 => {
            let less = apply(BinaryOp::Sub, x[1].clone(), number(1.0));
            unless_zero(1, apply(BinaryOp::Mul, x[1].clone(), call("pow", &[x[0].clone(), less])))
        }
        _ => unless_zero(0, apply(BinaryOp::Mul, call("ln", &x[..1]), call("pow", x))),
    }
}

/// The chosen argument's slope is 1; arguments that are equally least or greatest share it.
fn share_of(name: &str, x: &[Expr], i: usize) -> Expr {
    let chosen = call(name, x);
    let is_chosen = |j: usize| either(holds(BinaryOp::Eq, x[j].clone(), chosen.clone()), number(1.0), number(0.0));
    let ties = (0..x.len()).map(is_chosen).reduce(|a, b| apply(BinaryOp::Add, a, b)).expect("invariant: it takes an argument");
    either(holds(BinaryOp::Eq, x[i].clone(), chosen.clone()), apply(BinaryOp::Div, number(1.0), ties), number(0.0))
}

/// d log10 x = dx / (x ln 10); d log_b x = dx / (x ln b) - log_b(x) db / (b ln b).
fn log_partial(x: &[Expr], i: usize) -> Expr {
    let slope = |of: &Expr, base: Expr| apply(BinaryOp::Div, number(1.0), apply(BinaryOp::Mul, of.clone(), base));
    match (x.get(1), i) {
        (None, _) => slope(&x[0], number(std::f64::consts::LN_10)),
        (Some(_), 0) => slope(&x[0], call("ln", &x[1..2])),
        (Some(base), _) => {
            let minus = apply(BinaryOp::Mul, number(-1.0), call("log", x));
            apply(BinaryOp::Mul, minus, slope(base, call("ln", &x[1..2])))
        }
    }
}

/// The number as a double.
pub(super) fn as_double(function: &str, value: &Value) -> Result<f64, crate::problem::Error> {
    match value {
        Value::Int(x) => Ok(*x as f64),
        Value::Uint(x) => Ok(*x as f64),
        Value::Double(x) => Ok(*x),
        Value::Decimal(x) => Ok(x.to_f64()),
        _ => Err(unsupported(function, std::slice::from_ref(value))),
    }
}

fn real(name: &str, v: &[Value], f: fn(f64) -> f64) -> Cell {
    Ok(Value::double(f(as_double(name, &v[0])?)))
}

fn pow(v: &[Value], _: &mut Fuel) -> Cell {
    Ok(Value::double(as_double("pow", &v[0])?.powf(as_double("pow", &v[1])?)))
}

fn log(v: &[Value], _: &mut Fuel) -> Cell {
    let x = as_double("log", &v[0])?;
    let Some(base) = v.get(1) else { return Ok(Value::double(x.log10())) };
    Ok(Value::double(match as_double("log", base)? {
        2.0 => x.log2(),
        10.0 => x.log10(),
        base => x.ln() / base.ln(),
    }))
}

fn abs(v: &[Value], _: &mut Fuel) -> Cell {
    match &v[0] {
        Value::Int(x) => x.checked_abs().map(Value::Int).ok_or_else(|| errors::overflow("abs(int)")),
        Value::Uint(x) => Ok(Value::Uint(*x)),
        Value::Double(x) => Ok(Value::double(x.abs())),
        Value::Decimal(x) => Ok(Value::Decimal(x.abs())),
        _ => Err(unsupported("abs", v)),
    }
}

fn sign(v: &[Value], _: &mut Fuel) -> Cell {
    match &v[0] {
        Value::Int(x) => Ok(Value::Int(x.signum())),
        Value::Uint(x) => Ok(Value::Uint((*x).min(1))),
        Value::Double(x) => Ok(Value::double(if *x == 0.0 { 0.0 } else { x.signum() })),
        Value::Decimal(x) => {
            let sign = if x.is_zero() { 0 } else { 1 - 2 * i64::from(x.is_negative()) };
            let sign = Decimal::from(sign).rescale(x.scale().min(75), Rounding::Truncate);
            sign.map(Value::Decimal).ok_or_else(errors::decimal_overflow)
        }
        _ => Err(unsupported("sign", v)),
    }
}

/// Integers and doubles keep their type; a decimal keeps it with scale 0, or the scale of a constant second argument is not
/// known here and the answer is dynamic.
fn rounded(t: &[Type]) -> Result<Type, String> {
    let answer = match (&t[0], t.len()) {
        (Type::Decimal { precision, .. }, 1) => Type::Decimal { precision: *precision, scale: 0 },
        (Type::Decimal { .. }, _) => Type::Dyn,
        (t, _) => t.clone(),
    };
    takes(t, &[Want::Number, Want::Whole], answer)
}

fn round_with(v: &[Value], rounding: Rounding) -> Cell {
    let digits = match v.get(1) {
        None => 0,
        Some(digits) => small_int("round", digits)?,
    };
    match &v[0] {
        x @ (Value::Int(_) | Value::Uint(_)) if digits >= 0 => Ok(x.clone()),
        Value::Int(x) => {
            let rounded = round_decimal(&Decimal::from(*x), digits, rounding)?;
            rounded.to_i64().map(Value::Int).ok_or_else(|| errors::overflow("rounding an int"))
        }
        Value::Uint(x) => {
            let rounded = round_decimal(&Decimal::from(*x), digits, rounding)?;
            rounded.to_u64().map(Value::Uint).ok_or_else(|| errors::overflow("rounding a uint"))
        }
        Value::Double(x) => Ok(Value::double(round_double(*x, digits, rounding))),
        Value::Decimal(x) => round_decimal(x, digits, rounding).map(Value::Decimal),
        _ => Err(unsupported("rounding", v)),
    }
}

/// Rounds at `digits` behind the point; negative digits round whole tens, hundreds, …
fn round_decimal(x: &Decimal, digits: i64, rounding: Rounding) -> Result<Decimal, crate::problem::Error> {
    let rounded = match u8::try_from(digits) {
        Ok(digits) => x.rescale(digits.min(x.scale()), rounding),
        Err(_) if digits > 0 => Some(x.clone()),
        Err(_) => x.round_whole(digits.unsigned_abs().min(77) as u8, rounding),
    };
    rounded.ok_or_else(errors::decimal_overflow)
}

/// Doubles with digits go through their shortest decimal, so that round(2.675, 2) is 2.68.
fn round_double(x: f64, digits: i64, rounding: Rounding) -> f64 {
    if digits == 0 {
        return match rounding {
            Rounding::HalfEven => x.round_ties_even(),
            Rounding::HalfAway => x.round(),
            Rounding::Truncate => x.trunc(),
            Rounding::Floor => x.floor(),
            Rounding::Ceil => x.ceil(),
        };
    }
    Decimal::from_f64(x).and_then(|d| round_decimal(&d, digits, rounding).ok()).map_or(x, |d| d.to_f64())
}

/// An argument that counts something, as an `i64`.
pub(super) fn small_int(function: &str, value: &Value) -> Result<i64, crate::problem::Error> {
    match value {
        Value::Int(x) => Ok(*x),
        Value::Uint(x) => i64::try_from(*x).map_err(|_| errors::bad_argument(format!("{function}: {x} is too large"))),
        _ => Err(unsupported(function, std::slice::from_ref(value))),
    }
}

/// The common type of the arguments, or of the elements of the one list.
fn extreme(t: &[Type]) -> Result<Type, String> {
    if let [list @ (Type::List(_) | Type::Dyn)] = t {
        return Ok(super::signature::item(list));
    }
    for t in t {
        if matches!(t, Type::List(_) | Type::Map(..) | Type::Tensor(_)) {
            return Err(format!("{t} has no order"));
        }
    }
    if let Some(pair) = t.windows(2).find(|pair| ops::binary_type(BinaryOp::Lt, &pair[0], &pair[1]).is_err()) {
        return Err(format!("{} and {} have no order", pair[0], pair[1]));
    }
    Ok(t.iter().fold(Type::Null, |a, b| unify(&a, b)))
}

/// The first argument that is beyond all others; NULLs are skipped, and NULL is the answer when nothing is left.
fn pick(v: &[Value], fuel: &mut Fuel, beyond: fn(std::cmp::Ordering) -> bool) -> Cell {
    let values = match v {
        [Value::List(items)] => &items[..],
        values => values,
    };
    let mut best = &Value::Null;
    for value in values.iter().filter(|value| !value.is_null()) {
        fuel.weigh(value)?;
        let order = ops::compare(value, best)?;
        if order.is_none_or(beyond) {
            best = value;
        }
    }
    match best {
        Value::List(_) | Value::Map(_) | Value::Tensor(_) => Err(unsupported("min and max", std::slice::from_ref(best))),
        best => Ok(best.clone()),
    }
}
