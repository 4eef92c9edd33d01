//! Which aggregates there are, what they are called, and what each takes beside the values.
//!
//! A call is `name(p, parameter, q)`: `p` is what is aggregated; the parameter is a literal (how many, a separator, a share), and is
//! part of the [`Agg`]; `q` is a second value of each row: the other side of a correlation, or what the rows are ordered by.
//! Every aggregate is a list function too, of the same arguments.

use std::ops::RangeInclusive;
use std::sync::Arc;

use crate::decimal::Decimal;
use crate::value::Value;

/// The most values that an aggregate with a count shows or slides over.
pub const COUNT_MAX: u32 = 1_000_000;

/// An aggregate over many values, its literal parameters included.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Agg {
    /// Sum; of nothing, 0. Doubles are summed exactly.
    Sum,
    /// How many are not NULL.
    Count,
    /// Mean; of nothing, NULL. Of integers a double.
    Avg,
    /// Least; of nothing, NULL.
    Min,
    /// Greatest; of nothing, NULL.
    Max,
    /// How many different values, numbers by value.
    CountDistinct,
    /// Whether one is true (Kleene); of nothing, false.
    Any,
    /// Whether all are true (Kleene); of nothing, true.
    All,
    /// Variance, as a double; NULL of too few values.
    Var(Of),
    /// Standard deviation, likewise.
    Stddev(Of),
    /// Covariance of two values of each row.
    Covar(Of),
    /// Correlation; NULL where one side does not vary.
    Corr,
    /// The value in the middle, or between the two in the middle.
    Median,
    /// The value at a share of the way from the least to the greatest.
    Quantile(Share),
    /// The first in order; of nothing, NULL.
    First,
    /// The last in order.
    Last,
    /// The first so many, as a list.
    FirstOf(u32),
    /// The last so many, the oldest first.
    LastOf(u32),
    /// All of them, as a list.
    Collect,
    /// Texts in one, with this between them; of nothing, NULL.
    StringAgg(Arc<str>),
    /// The values of the so many rows that come last by their order, the last first.
    Top(u32),
    /// The values of the so many rows that come first.
    Bottom(u32),
    /// An aggregate of the last so many.
    Window(Windowed, u32),
}

/// Whether values are all there are, or a sample of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Of {
    /// Divided by n - 1; NULL of fewer than two.
    Sample,
    /// Divided by n; NULL of nothing.
    Population,
}

/// What is aggregated in a window of rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Windowed {
    /// [`Agg::Avg`]
    Avg,
    /// [`Agg::Sum`]
    Sum,
    /// [`Agg::Min`]
    Min,
    /// [`Agg::Max`]
    Max,
    /// [`Agg::Count`]
    Count,
}

impl Windowed {
    /// The aggregate of what is in the window.
    pub fn agg(self) -> Agg {
        match self {
            Windowed::Avg => Agg::Avg,
            Windowed::Sum => Agg::Sum,
            Windowed::Min => Agg::Min,
            Windowed::Max => Agg::Max,
            Windowed::Count => Agg::Count,
        }
    }
}

/// A share from 0 to 1, as it was written: `digits / 10^scale`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub struct Share {
    digits: u64,
    scale: u8,
}

impl Share {
    /// One half.
    pub const HALF: Share = Share { digits: 5, scale: 1 };

    /// The share that a number is: 0.95 is 95/100, not the double next to it. `None` outside 0 to 1 or beyond 18 digits.
    pub fn of(value: &Value) -> Option<Share> {
        let decimal = match value {
            Value::Double(x) => Decimal::from_f64(*x)?,
            Value::Decimal(x) => x.clone(),
            Value::Int(x) => Decimal::from(*x),
            Value::Uint(x) => Decimal::from(*x),
            _ => return None,
        };
        match decimal.normalized() {
            Decimal::Small { mantissa, scale: scale @ 0..=18 } => {
                let digits = u64::try_from(mantissa).ok()?;
                (digits <= 10u64.pow(scale.into())).then_some(Share { digits, scale })
            }
            _ => None,
        }
    }

    /// Numerator and denominator; the denominator is a power of ten, at most 10^18.
    pub fn ratio(self) -> (u64, u64) {
        (self.digits, 10u64.pow(self.scale.into()))
    }

    /// As a formula writes it.
    pub fn value(self) -> Value {
        let decimal = Decimal::Small { mantissa: self.digits as i64, scale: self.scale };
        if self.scale == 0 { Value::Int(self.digits as i64) } else { Value::double(decimal.to_f64()) }
    }
}

/// What an aggregate's literal parameter is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parameter {
    /// None.
    None,
    /// A number of rows; `false`: it may be left out.
    Count(bool),
    /// A text.
    Separator,
    /// A share from 0 to 1.
    Share,
}

/// What an aggregate reads of each row beside the value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Second {
    /// Nothing.
    None,
    /// The other value of a pair.
    Pair,
    /// What the rows are ordered by; `false`: it may be left out, and the rows' own order counts.
    By(bool),
}

/// An aggregate as a call names it.
#[derive(Clone, Copy, Debug)]
pub struct Signature {
    /// Its name.
    pub name: &'static str,
    /// Its literal parameter.
    pub parameter: Parameter,
    /// Its second value of each row.
    pub second: Second,
}

const fn row(name: &'static str, parameter: Parameter, second: Second) -> Signature {
    Signature { name, parameter, second }
}

/// Every aggregate.
pub const SIGNATURES: &[Signature] = &[
    row("sum", Parameter::None, Second::None),
    row("count", Parameter::None, Second::None),
    row("avg", Parameter::None, Second::None),
    row("min", Parameter::None, Second::None),
    row("max", Parameter::None, Second::None),
    row("count_distinct", Parameter::None, Second::None),
    row("any", Parameter::None, Second::None),
    row("all", Parameter::None, Second::None),
    row("var", Parameter::None, Second::None),
    row("var_pop", Parameter::None, Second::None),
    row("stddev", Parameter::None, Second::None),
    row("stddev_pop", Parameter::None, Second::None),
    row("covar", Parameter::None, Second::Pair),
    row("covar_pop", Parameter::None, Second::Pair),
    row("corr", Parameter::None, Second::Pair),
    row("median", Parameter::None, Second::None),
    row("quantile", Parameter::Share, Second::None),
    row("first", Parameter::Count(false), Second::By(false)),
    row("last", Parameter::Count(false), Second::By(false)),
    row("collect", Parameter::None, Second::By(false)),
    row("string_agg", Parameter::Separator, Second::By(false)),
    row("top", Parameter::Count(true), Second::By(true)),
    row("bottom", Parameter::Count(true), Second::By(true)),
    row("window_avg", Parameter::Count(true), Second::By(false)),
    row("window_sum", Parameter::Count(true), Second::By(false)),
    row("window_min", Parameter::Count(true), Second::By(false)),
    row("window_max", Parameter::Count(true), Second::By(false)),
    row("window_count", Parameter::Count(true), Second::By(false)),
];

impl Signature {
    /// The aggregate called `name`.
    pub fn find(name: &str) -> Option<&'static Signature> {
        SIGNATURES.iter().find(|signature| signature.name == name)
    }

    /// How many arguments it takes, the values included.
    pub fn arity(&self) -> RangeInclusive<usize> {
        let (needs, takes) = match self.parameter {
            Parameter::None => (0, 0),
            Parameter::Count(false) => (0, 1),
            Parameter::Count(true) | Parameter::Separator | Parameter::Share => (1, 1),
        };
        let (needs_second, takes_second) = match self.second {
            Second::None => (0, 0),
            Second::By(false) => (0, 1),
            Second::By(true) | Second::Pair => (1, 1),
        };
        1 + needs + needs_second..=1 + takes + takes_second
    }

    /// Whether a parameter may be left out, so that the argument in its place tells whether it is one.
    pub fn may_lack_parameter(&self) -> bool {
        self.parameter == Parameter::Count(false)
    }

    /// The aggregate with its parameter.
    ///
    /// # Errors
    /// What the parameter must be, lower case.
    pub fn agg(&self, parameter: Option<&Value>) -> Result<Agg, String> {
        let count = || match parameter {
            Some(Value::Int(n)) if (1..=i64::from(COUNT_MAX)).contains(n) => Ok(*n as u32),
            Some(Value::Uint(n)) if (1..=u64::from(COUNT_MAX)).contains(n) => Ok(*n as u32),
            _ => Err(format!("how many must be an int from 1 to {COUNT_MAX}")),
        };
        let optional = |one: Agg, many: fn(u32) -> Agg| if parameter.is_some() { count().map(many) } else { Ok(one) };
        let window = |windowed| count().map(|n| Agg::Window(windowed, n));
        match self.name {
            "sum" => Ok(Agg::Sum),
            "count" => Ok(Agg::Count),
            "avg" => Ok(Agg::Avg),
            "min" => Ok(Agg::Min),
            "max" => Ok(Agg::Max),
            "count_distinct" => Ok(Agg::CountDistinct),
            "any" => Ok(Agg::Any),
            "all" => Ok(Agg::All),
            "var" => Ok(Agg::Var(Of::Sample)),
            "var_pop" => Ok(Agg::Var(Of::Population)),
            "stddev" => Ok(Agg::Stddev(Of::Sample)),
            "stddev_pop" => Ok(Agg::Stddev(Of::Population)),
            "covar" => Ok(Agg::Covar(Of::Sample)),
            "covar_pop" => Ok(Agg::Covar(Of::Population)),
            "corr" => Ok(Agg::Corr),
            "median" => Ok(Agg::Median),
            "quantile" => {
                let share = parameter.and_then(Share::of).map(Agg::Quantile);
                share.ok_or_else(|| "the share must be a number from 0 to 1, of at most 18 digits".into())
            }
            "first" => optional(Agg::First, Agg::FirstOf),
            "last" => optional(Agg::Last, Agg::LastOf),
            "collect" => Ok(Agg::Collect),
            "string_agg" => match parameter {
                Some(Value::Text(separator)) => Ok(Agg::StringAgg(separator.to_string().into())),
                _ => Err("the separator must be a text".into()),
            },
            "top" => count().map(Agg::Top),
            "bottom" => count().map(Agg::Bottom),
            "window_avg" => window(Windowed::Avg),
            "window_sum" => window(Windowed::Sum),
            "window_min" => window(Windowed::Min),
            "window_max" => window(Windowed::Max),
            "window_count" => window(Windowed::Count),
            name => Err(format!("no aggregate is called {name}")),
        }
    }
}

impl Agg {
    /// As it is written.
    pub fn name(&self) -> &'static str {
        match self {
            Agg::Sum => "sum",
            Agg::Count => "count",
            Agg::Avg => "avg",
            Agg::Min => "min",
            Agg::Max => "max",
            Agg::CountDistinct => "count_distinct",
            Agg::Any => "any",
            Agg::All => "all",
            Agg::Var(Of::Sample) => "var",
            Agg::Var(Of::Population) => "var_pop",
            Agg::Stddev(Of::Sample) => "stddev",
            Agg::Stddev(Of::Population) => "stddev_pop",
            Agg::Covar(Of::Sample) => "covar",
            Agg::Covar(Of::Population) => "covar_pop",
            Agg::Corr => "corr",
            Agg::Median => "median",
            Agg::Quantile(_) => "quantile",
            Agg::First | Agg::FirstOf(_) => "first",
            Agg::Last | Agg::LastOf(_) => "last",
            Agg::Collect => "collect",
            Agg::StringAgg(_) => "string_agg",
            Agg::Top(_) => "top",
            Agg::Bottom(_) => "bottom",
            Agg::Window(Windowed::Avg, _) => "window_avg",
            Agg::Window(Windowed::Sum, _) => "window_sum",
            Agg::Window(Windowed::Min, _) => "window_min",
            Agg::Window(Windowed::Max, _) => "window_max",
            Agg::Window(Windowed::Count, _) => "window_count",
        }
    }

    /// The literal parameter of the call, if it has one; it stands behind the values.
    pub fn parameter(&self) -> Option<Value> {
        match self {
            Agg::FirstOf(n) | Agg::LastOf(n) | Agg::Top(n) | Agg::Bottom(n) | Agg::Window(_, n) => Some(Value::Int((*n).into())),
            Agg::StringAgg(separator) => Some(Value::text(separator.clone())),
            Agg::Quantile(share) => Some(share.value()),
            _ => None,
        }
    }

    /// Whether its rows stand in an order: then a child gives a tuple `[value, by…, key…]`.
    pub fn is_ordered(&self) -> bool {
        match self {
            Agg::First | Agg::Last | Agg::FirstOf(_) | Agg::LastOf(_) | Agg::Collect | Agg::StringAgg(_) => true,
            Agg::Top(_) | Agg::Bottom(_) | Agg::Window(..) => true,
            Agg::Sum | Agg::Count | Agg::Avg | Agg::Min | Agg::Max | Agg::CountDistinct | Agg::Any | Agg::All => false,
            Agg::Var(_) | Agg::Stddev(_) | Agg::Covar(_) | Agg::Corr | Agg::Median | Agg::Quantile(_) => false,
        }
    }

    /// Whether it is of pairs: then a child gives a tuple `[p, q]`.
    pub fn is_of_pairs(&self) -> bool {
        matches!(self, Agg::Covar(_) | Agg::Corr)
    }

    /// Whether a child's NULL counts: `any` and `all` are not known while one is unknown.
    pub fn counts_nulls(&self) -> bool {
        matches!(self, Agg::Any | Agg::All)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_signature_makes_the_aggregate_of_its_name() {
        for signature in SIGNATURES {
            let parameter = match signature.parameter {
                Parameter::None => None,
                Parameter::Count(_) => Some(Value::Int(3)),
                Parameter::Separator => Some(Value::text(", ")),
                Parameter::Share => Some(Value::double(0.95)),
            };
            let agg = signature.agg(parameter.as_ref()).unwrap();
            assert_eq!(agg.name(), signature.name);
            assert_eq!(agg.parameter(), parameter);
            assert_eq!(agg.is_of_pairs(), signature.second == Second::Pair, "{}", signature.name);
            assert_eq!(agg.is_ordered(), matches!(signature.second, Second::By(_)), "{}", signature.name);
            if signature.may_lack_parameter() {
                assert_eq!(signature.agg(None).unwrap().parameter(), None);
            }
        }
    }

    #[test]
    fn a_share_is_the_number_that_was_written() {
        assert_eq!(Share::of(&Value::double(0.95)).map(Share::ratio), Some((95, 100)));
        assert_eq!(Share::of(&Value::Int(1)).map(Share::ratio), Some((1, 1)));
        assert_eq!(Share::of(&Value::double(0.50)), Some(Share::HALF));
        for refused in [Value::double(1.1), Value::double(-0.1), Value::Int(2), Value::double(f64::NAN), Value::text("0.5")] {
            assert_eq!(Share::of(&refused), None, "{refused:?}");
        }
    }
}
