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
//! Cost: a few nanoseconds for sums, O(log n) for `min` and `max`. Memory: [`Accumulator::bytes`].

mod extreme;
mod numbers;

use crate::errors;
use crate::exact_sum::ExactSum;
use crate::expr::Agg;
use crate::ops;
use crate::types::Type;
use crate::value::{Cell, Duration, Value};

use extreme::Extremes;
use numbers::{DecimalSum, Mixed, mean_of_integers};

/// The type of `agg` over values of type `ty`.
///
/// # Errors
/// Why the aggregate has no meaning for them, lower case.
pub fn result_type(agg: Agg, ty: &Type) -> Result<Type, String> {
    match agg {
        Agg::Count => Ok(Type::Int),
        Agg::Sum => ops::sum_type(ty),
        Agg::Avg => match ty {
            Type::Int | Type::Uint | Type::Double | Type::Null => Ok(Type::Double),
            Type::Decimal { scale, .. } => Ok(Type::Decimal { precision: 76, scale: scale.saturating_add(4).min(76) }),
            Type::Duration | Type::Dyn => Ok(ty.clone()),
            ty => Err(format!("{ty} has no mean")),
        },
        Agg::Min | Agg::Max => match ty {
            Type::List(_) | Type::Map(..) | Type::Tensor(_) => Err(format!("{ty} has no order")),
            ty => Ok(ty.clone()),
        },
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
}

impl Accumulator {
    /// The aggregate of nothing, over values of type `ty`.
    pub fn new(agg: Agg, ty: &Type) -> Self {
        let state = match (agg, ty) {
            (Agg::Count, _) => State::Count,
            (Agg::Min | Agg::Max, _) => State::Extremes(Extremes::default()),
            (Agg::Sum | Agg::Avg, Type::Int) => State::Int(0),
            (Agg::Sum | Agg::Avg, Type::Uint) => State::Uint(0),
            (Agg::Sum | Agg::Avg, Type::Duration) => State::Duration(0),
            (Agg::Sum | Agg::Avg, Type::Double) => State::Double(ExactSum::new()),
            (Agg::Sum | Agg::Avg, Type::Decimal { scale, .. }) => State::Decimal(DecimalSum::new(*scale)),
            (Agg::Sum | Agg::Avg, _) => State::Mixed(Box::new(Mixed::new(Value::Int(0)))),
        };
        Accumulator { agg, rows: 0, values: 0, errors: 0, state }
    }

    /// The count, sum or mean of `values` values that stand in words, whose words add up to `sum`: as if each had been put in.
    pub fn of_words(agg: Agg, ty: &Type, sum: i128, values: u64) -> Self {
        let mut all = Accumulator { rows: values, values, ..Accumulator::new(agg, ty) };
        match &mut all.state {
            State::Int(total) | State::Uint(total) | State::Duration(total) => *total = sum,
            State::Decimal(total) => *total = DecimalSum::of_mantissas(sum, values, total.declared()),
            State::Count | State::Double(_) | State::Mixed(_) | State::Extremes(_) => {}
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
            State::Count | State::Mixed(_) | State::Extremes(_) => return,
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
        match self.agg {
            Agg::Count => i64::try_from(self.values).map(Value::Int).map_err(|_| errors::overflow("count")),
            Agg::Sum => self.sum(),
            Agg::Avg if self.values == 0 => Ok(Value::Null),
            Agg::Avg => self.mean(),
            Agg::Min => self.extreme(Extremes::least),
            Agg::Max => self.extreme(Extremes::greatest),
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
            State::Count | State::Extremes(_) => Ok(Value::Null),
        }
    }

    fn mean(&self) -> Cell {
        match &self.state {
            State::Int(sum) | State::Uint(sum) => Ok(Value::double(mean_of_integers(*sum, self.values))),
            State::Duration(sum) => numbers::mean_duration(*sum, self.values),
            State::Double(sum) => Ok(Value::double(sum.mean(self.values))),
            State::Decimal(sum) => sum.mean(self.values).map(Value::Decimal).ok_or_else(errors::decimal_overflow),
            State::Mixed(mixed) => mixed.mean(),
            State::Count | State::Extremes(_) => Ok(Value::Null),
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
            }
    }
}

#[cfg(test)]
mod tests;
