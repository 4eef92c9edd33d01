//! Aggregates that survive retraction: what was put in can be taken out again, in any order, and leaves no trace.
//!
//! Invariants:
//! - AGG-1: [`Accumulator::value`] depends only on which cells are in, and how often; not on their order or on what was in before.
//! - AGG-2: a child in error makes the aggregate an error of one fixed text; when the child is corrected, the value is back.
//!
//! Sums: ints in 128 bits, an overflow of the result is an error as long as it lasts; decimals in 832 bits; doubles
//! exactly, rounded once on reading ([`crate::exact_sum`]). `avg` divides the exact sum and rounds once. `min` and `max` keep
//! every distinct value, sorted. NULLs are skipped; `sum` of nothing is the typed zero, `count` 0, the others NULL.
//!
//! Over dynamic values numbers may be mixed. With a double among them, the answer is a double: the exact sum of ints and
//! doubles and of the decimals' total (as the nearest double), rounded once. Else with a decimal, a decimal; else an
//! int, or a uint where all are uints or it is too large for an int. Values that do not go together (numbers with texts) are
//! error E0314 while they are in.
//!
//! A child gives one cell. It is the value; for a pair (`corr`) the list `[p, q]`; for what stands in an order (`last`, `top`, windows) the list
//! `[value, by, key…]`, without `by` where nothing was said to order by, without a key where rows have none. A child of
//! which any part is in error gives that error.
//!
//! Cost: a few nanoseconds for sums, O(log n) for what keeps its values in order, and what is shown to read lists. Memory:
//! [`Accumulator::bytes`].

mod exact;
mod extreme;
mod moments;
mod numbers;
mod ordered;
mod quantile;
mod shown;
mod tree;

use crate::agg::{Agg, Share};
use crate::errors;
use crate::exact_sum::ExactSum;
use crate::ops;
use crate::types::Type;
use crate::value::{Cell, Duration, Value};

use extreme::{Distinct, Extremes};
use moments::Moments;
use numbers::{DecimalSum, Mixed, mean_of_integers};
use ordered::Ordered;
use shown::Shown;

/// The type of `agg` over values of type `types[0]`, with a second value of each row of type `types[1]`.
///
/// # Errors
/// Why the aggregate has no meaning for them, lower case.
pub fn result_type(agg: &Agg, types: &[Type]) -> Result<Type, String> {
    let ty = types.first().unwrap_or(&Type::Dyn);
    if let (true, Some(by)) = (agg.is_ordered(), types.get(1)) {
        has_order(by)?;
    }
    match agg {
        Agg::Count | Agg::CountDistinct => Ok(Type::Int),
        Agg::Sum => ops::sum_type(ty),
        Agg::Avg => match ty {
            Type::Int | Type::Uint | Type::Double | Type::Null => Ok(Type::Double),
            Type::Decimal { scale, .. } => Ok(Type::Decimal { precision: 76, scale: scale.saturating_add(4).min(76) }),
            Type::Duration | Type::Dyn => Ok(ty.clone()),
            ty => Err(format!("{ty} has no mean")),
        },
        Agg::Min | Agg::Max => has_order(ty).map(|()| ty.clone()),
        Agg::Any | Agg::All => match ty {
            Type::Bool | Type::Dyn | Type::Null => Ok(Type::Bool),
            ty => Err(format!("{ty} is neither true nor false")),
        },
        Agg::Var(_) | Agg::Stddev(_) | Agg::Covar(_) | Agg::Corr => {
            let odd = types.iter().find(|ty| !ty.is_numeric() && !matches!(ty, Type::Dyn | Type::Null));
            odd.map_or(Ok(Type::Double), |ty| Err(format!("{ty} has no variance")))
        }
        Agg::Median | Agg::Quantile(_) => match ty {
            Type::Timestamp => Ok(Type::Timestamp),
            ty => result_type(&Agg::Avg, std::slice::from_ref(ty)).map_err(|_| format!("between two of {ty} lies no third")),
        },
        Agg::First | Agg::Last => Ok(ty.clone()),
        Agg::FirstOf(_) | Agg::LastOf(_) | Agg::Collect | Agg::Top(_) | Agg::Bottom(_) => Ok(Type::List(ty.clone().into())),
        Agg::StringAgg(_) => match ty {
            Type::Text | Type::Dyn | Type::Null => Ok(Type::Text),
            ty => Err(format!("{ty} is not text")),
        },
        Agg::Window(windowed, _) => result_type(&windowed.agg(), &types[..1.min(types.len())]),
    }
}

fn has_order(ty: &Type) -> Result<(), String> {
    match ty {
        Type::List(_) | Type::Map(..) | Type::Tensor(_) => Err(format!("{ty} has no order")),
        _ => Ok(()),
    }
}

/// One aggregate of one group.
#[derive(Clone, Debug)]
pub struct Accumulator {
    agg: Agg,
    /// Cells that are in, of whatever kind.
    rows: u64,
    /// Those that are values, and not NULL.
    values: u64,
    /// Those that are errors.
    errors: u64,
    state: State,
}

#[derive(Clone, Debug)]
enum State {
    Count,
    Int(i128),
    Uint(i128),
    Duration(i128),
    Double(ExactSum),
    Decimal(DecimalSum),
    /// Numbers whose types are known only when they come.
    Mixed(Box<Mixed>),
    Extremes(Extremes),
    Distinct(Distinct),
    Truth(Truth),
    Moments(Box<Moments>),
    /// Values in order.
    Sorted(Box<Ordered>),
    Shown(Box<Shown>),
}

/// What `any` and `all` count.
#[derive(Clone, Copy, Debug, Default)]
struct Truth {
    yes: u64,
    no: u64,
}

impl Accumulator {
    /// The aggregate of nothing, over values of type `types[0]`, with a second value of each row of type `types[1]` if there is one.
    pub fn new(agg: &Agg, types: &[Type]) -> Self {
        let ty = types.first().unwrap_or(&Type::Dyn);
        let state = match (agg, ty) {
            (Agg::Count, _) => State::Count,
            (Agg::Min | Agg::Max, _) => State::Extremes(Extremes::default()),
            (Agg::Sum | Agg::Avg, Type::Int) => State::Int(0),
            (Agg::Sum | Agg::Avg, Type::Uint) => State::Uint(0),
            (Agg::Sum | Agg::Avg, Type::Duration) => State::Duration(0),
            (Agg::Sum | Agg::Avg, Type::Double) => State::Double(ExactSum::new()),
            (Agg::Sum | Agg::Avg, Type::Decimal { scale, .. }) => State::Decimal(DecimalSum::new(*scale)),
            (Agg::Sum | Agg::Avg, _) => State::Mixed(Box::new(Mixed::new(Value::Int(0)))),
            (Agg::CountDistinct, _) => State::Distinct(Distinct::default()),
            (Agg::Any | Agg::All, _) => State::Truth(Truth::default()),
            (Agg::Var(_) | Agg::Stddev(_) | Agg::Covar(_) | Agg::Corr, _) => State::Moments(Box::new(Moments::new(agg))),
            (Agg::Median | Agg::Quantile(_), _) => State::Sorted(Box::new(Ordered::of_values())),
            (Agg::First | Agg::Last | Agg::FirstOf(_) | Agg::LastOf(_) | Agg::Collect | Agg::StringAgg(_), _)
            | (Agg::Top(_) | Agg::Bottom(_) | Agg::Window(..), _) => State::Shown(Box::new(Shown::new(agg, types))),
        };
        Accumulator { agg: agg.clone(), rows: 0, values: 0, errors: 0, state }
    }

    /// The count, sum or mean of `values` values that stand in words, whose words add up to `sum`: as if each had been put in.
    pub fn of_words(agg: &Agg, types: &[Type], sum: i128, values: u64) -> Self {
        let mut all = Accumulator { rows: values, values, ..Accumulator::new(agg, types) };
        match &mut all.state {
            State::Int(total) | State::Uint(total) | State::Duration(total) => *total = sum,
            State::Decimal(total) => *total = DecimalSum::of_mantissas(sum, values, total.declared()),
            _ => {}
        }
        all
    }

    /// Puts a child's cell in.
    #[inline]
    pub fn insert(&mut self, cell: &Cell) {
        self.rows += 1;
        match cell {
            Ok(Value::Null) => {}
            Ok(value) => {
                self.values += 1;
                self.change(value, 1);
            }
            Err(_) => self.errors += 1,
        }
    }

    /// Takes a child's cell out, which is in: an equal cell (by identity) was inserted and not removed since.
    #[inline]
    pub fn remove(&mut self, cell: &Cell) {
        debug_assert!(self.rows > 0, "invariant AGG-1: only what is in is taken out");
        self.rows = self.rows.saturating_sub(1);
        match cell {
            Ok(Value::Null) => {}
            Ok(value) => {
                self.values = self.values.saturating_sub(1);
                self.change(value, -1);
            }
            Err(_) => self.errors = self.errors.saturating_sub(1),
        }
    }

    #[inline]
    fn change(&mut self, value: &Value, sign: i8) {
        match (&mut self.state, value) {
            (State::Count, _) => {}
            (State::Int(sum), Value::Int(x)) => *sum += i128::from(*x) * i128::from(sign),
            (State::Double(sum), Value::Double(x)) if sign > 0 => sum.insert(*x),
            (State::Double(sum), Value::Double(x)) => sum.remove(*x),
            (State::Decimal(sum), Value::Decimal(x)) => sum.change(x, sign),
            (State::Uint(sum), Value::Uint(x)) => *sum += i128::from(*x) * i128::from(sign),
            (State::Duration(sum), Value::Duration(x)) => *sum += i128::from(x.0) * i128::from(sign),
            (State::Mixed(mixed), value) => mixed.change(value, sign),
            (State::Extremes(values), value) if sign > 0 => values.insert(value),
            (State::Extremes(values), value) => values.remove(value),
            (State::Distinct(values), value) if sign > 0 => values.insert(value),
            (State::Distinct(values), value) => values.remove(value),
            (State::Truth(truth), Value::Bool(true)) => truth.yes = truth.yes.saturating_add_signed(sign.into()),
            (State::Truth(truth), Value::Bool(false)) => truth.no = truth.no.saturating_add_signed(sign.into()),
            (State::Moments(moments), value) => moments.change(value, sign),
            (State::Sorted(rows), value) if sign > 0 => drop(rows.insert(value)),
            (State::Sorted(rows), value) => drop(rows.remove(value)),
            (State::Shown(shown), value) => shown.change(value, sign),
            _ => self.change_untyped(value, sign),
        }
    }

    /// A value that is not of the declared type: from here on the sum takes numbers of any type.
    #[cold]
    fn change_untyped(&mut self, value: &Value, sign: i8) {
        // `values` already counts `value`.
        let before = if sign > 0 { self.values.saturating_sub(1) } else { self.values + 1 };
        let mut mixed = match &mut self.state {
            State::Int(sum) => Mixed::of_ints(*sum, before),
            State::Uint(sum) => Mixed::of_uints(*sum, before),
            State::Duration(sum) => Mixed::of_durations(*sum, before),
            State::Double(sum) => Mixed::of_doubles(std::mem::take(sum)),
            State::Decimal(sum) => Mixed::of_decimals(std::mem::take(sum)),
            State::Count | State::Mixed(_) | State::Extremes(_) | State::Distinct(_) | State::Truth(_) => return,
            State::Moments(_) | State::Sorted(_) | State::Shown(_) => return,
        };
        mixed.change(value, sign);
        self.state = State::Mixed(Box::new(mixed));
    }

    /// The aggregate of what is in.
    ///
    /// # Errors
    /// E0310 while a child is in error, E0301 or E0307 while the result does not fit, E0314 while values do not go together.
    pub fn value(&self) -> Cell {
        if self.errors > 0 {
            return Err(errors::child_in_error());
        }
        match (&self.agg, &self.state) {
            (Agg::Count, _) => i64::try_from(self.values).map(Value::Int).map_err(|_| errors::overflow("count")),
            (Agg::Sum, _) => self.sum(),
            (Agg::Avg, _) if self.values == 0 => Ok(Value::Null),
            (Agg::Avg, _) => self.mean(),
            (Agg::Min, _) => self.extreme(Extremes::least),
            (Agg::Max, _) => self.extreme(Extremes::greatest),
            (_, State::Distinct(values)) => Ok(Value::Int(values.len() as i64)),
            (agg, State::Truth(truth)) => self.truth(agg, *truth),
            (agg, State::Moments(moments)) => moments.value(agg),
            (Agg::Quantile(share), State::Sorted(rows)) => quantile::quantile(rows, *share),
            (_, State::Sorted(rows)) => quantile::quantile(rows, Share::HALF),
            (agg, State::Shown(shown)) => shown.value(agg),
            (_, State::Count | State::Int(_) | State::Uint(_) | State::Duration(_) | State::Double(_)) => Ok(Value::Null),
            (_, State::Decimal(_) | State::Mixed(_) | State::Extremes(_)) => Ok(Value::Null),
        }
    }

    /// Kleene's: what decides alone decides, else a NULL makes it NULL.
    fn truth(&self, agg: &Agg, Truth { yes, no }: Truth) -> Cell {
        if self.values > yes + no {
            return Err(errors::bad_aggregate(format!("{} over values that are neither true nor false", agg.name())));
        }
        let unknown = self.rows > self.values;
        match agg {
            Agg::Any if yes > 0 => Ok(Value::Bool(true)),
            Agg::All if no > 0 => Ok(Value::Bool(false)),
            _ if unknown => Ok(Value::Null),
            agg => Ok(Value::Bool(*agg == Agg::All)),
        }
    }

    fn sum(&self) -> Cell {
        match &self.state {
            State::Int(sum) => i64::try_from(*sum).map(Value::Int).map_err(|_| errors::overflow("sum of ints")),
            State::Uint(sum) => u64::try_from(*sum).map(Value::Uint).map_err(|_| errors::overflow("sum of uints")),
            State::Duration(sum) => {
                let sum = i64::try_from(*sum).map_err(|_| errors::time_out_of_range("sum of durations"))?;
                Ok(Value::Duration(Duration(sum)))
            }
            State::Double(sum) => Ok(Value::double(sum.value())),
            State::Decimal(sum) => sum.value().map(Value::Decimal).ok_or_else(errors::decimal_overflow),
            State::Mixed(mixed) => mixed.sum(),
            _ => Ok(Value::Null),
        }
    }

    fn mean(&self) -> Cell {
        match &self.state {
            State::Int(sum) | State::Uint(sum) => Ok(Value::double(mean_of_integers(*sum, self.values))),
            State::Duration(sum) => numbers::mean_duration(*sum, self.values),
            State::Double(sum) => Ok(Value::double(sum.mean(self.values))),
            State::Decimal(sum) => sum.mean(self.values).map(Value::Decimal).ok_or_else(errors::decimal_overflow),
            State::Mixed(mixed) => mixed.mean(),
            _ => Ok(Value::Null),
        }
    }

    fn extreme(&self, pick: fn(&Extremes) -> Cell) -> Cell {
        match &self.state {
            State::Extremes(values) => pick(values),
            _ => Ok(Value::Null),
        }
    }

    /// Whether nothing is in: no value, no NULL, no error.
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// How many cells are in.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Bytes of memory, the accumulator itself and what it holds on the heap; texts are shared and not counted.
    pub fn bytes(&self) -> usize {
        size_of::<Self>()
            + match &self.state {
                State::Count | State::Int(_) | State::Uint(_) | State::Duration(_) => 0,
                State::Double(sum) => sum.heap_bytes(),
                State::Decimal(sum) => sum.heap_bytes(),
                State::Mixed(mixed) => size_of::<Mixed>() + mixed.heap_bytes(),
                State::Extremes(values) => values.heap_bytes(),
                State::Distinct(values) => values.heap_bytes(),
                State::Truth(_) => 0,
                State::Moments(moments) => size_of::<Moments>() + moments.heap_bytes(),
                State::Sorted(rows) => size_of::<Ordered>() + rows.heap_bytes(),
                State::Shown(shown) => size_of::<Shown>() + shown.heap_bytes(),
            }
    }
}

#[cfg(test)]
mod tests;
