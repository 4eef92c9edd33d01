//! Sums of decimals, and of numbers of any type.

use smallvec::SmallVec;

use crate::decimal::Decimal;
use crate::decimal::wide::{self, Wide};
use crate::errors;
use crate::exact_sum::{self, ExactSum};
use crate::ops;
use crate::value::{Cell, Duration, Value};

/// The mean of integers as the nearest double.
pub(super) fn mean_of_integers(sum: i128, count: u64) -> f64 {
    let size = sum.unsigned_abs();
    if size <= 1 << 53 && count <= 1 << 53 {
        return sum as f64 / count as f64; // Both are exact, so the division rounds once.
    }
    exact_sum::quotient(sum < 0, &mut [0, 0, size as u64, (size >> 64) as u64], -128, count)
}

/// The mean of durations, to the microsecond, halves to even.
pub(super) fn mean_duration(sum: i128, count: u64) -> Cell {
    let count = i128::from(count.max(1));
    let (floor, rest) = (sum.div_euclid(count), sum.rem_euclid(count));
    let up = match (rest * 2).cmp(&count) {
        std::cmp::Ordering::Less => 0,
        std::cmp::Ordering::Equal => floor & 1,
        std::cmp::Ordering::Greater => 1,
    };
    let mean = i64::try_from(floor + up).map_err(|_| errors::time_out_of_range("mean of durations"))?;
    Ok(Value::Duration(Duration(mean)))
}

/// An exact sum of decimals, one total a scale: the answer has the largest scale that is in, and at least the declared one.
#[derive(Clone, Debug, Default)]
pub(super) struct DecimalSum {
    declared: u8,
    totals: SmallVec<[Total; 1]>,
}

/// The sum of the mantissas of one scale: low + high.
#[derive(Clone, Debug)]
struct Total {
    low: i128,
    /// Two's complement.
    high: Option<Box<Wide>>,
    count: u64,
    scale: u8,
}

impl DecimalSum {
    pub fn new(declared: u8) -> Self {
        DecimalSum { declared, totals: SmallVec::new() }
    }

    /// The sum of so many decimals of the declared scale, whose mantissas add up to `sum`.
    pub fn of_mantissas(sum: i128, count: u64, declared: u8) -> Self {
        let total = (count > 0).then_some(Total { low: sum, high: None, count, scale: declared });
        DecimalSum { declared, totals: total.into_iter().collect() }
    }

    /// The scale of an answer at least.
    pub fn declared(&self) -> u8 {
        self.declared
    }

    pub fn count(&self) -> u64 {
        self.totals.iter().map(|total| total.count).sum()
    }

    pub fn heap_bytes(&self) -> usize {
        let spilled = if self.totals.spilled() { self.totals.capacity() * size_of::<Total>() } else { 0 };
        spilled + self.totals.iter().filter(|total| total.high.is_some()).count() * size_of::<Wide>()
    }

    #[inline]
    pub fn change(&mut self, x: &Decimal, sign: i8) {
        let scale = x.scale();
        let place = match self.totals.iter().position(|total| total.scale == scale) {
            Some(place) => place,
            None => {
                self.totals.push(Total { low: 0, high: None, count: 0, scale });
                self.totals.len() - 1
            }
        };
        let total = &mut self.totals[place];
        total.add(x, sign);
        if total.count == 0 {
            self.totals.swap_remove(place);
        }
    }

    /// Sign and size of the sum at the answer's scale, and that scale.
    fn total(&self) -> (bool, Wide, u8) {
        let scale = self.totals.iter().map(|total| total.scale).fold(self.declared, u8::max);
        let mut sum: Wide = [0; wide::WIDE];
        for total in &self.totals {
            let (negative, size) = total.sign_and_size();
            let size = wide::scale_up(&size, u32::from(scale - total.scale));
            if negative {
                wide::sub(&mut sum, &size)
            } else {
                wide::add(&mut sum, &size)
            };
        }
        let negative = (sum[wide::WIDE - 1] as i64) < 0;
        if negative {
            wide::negate(&mut sum);
        }
        (negative, sum, scale)
    }

    /// The sum; `None` above 76 digits.
    pub fn value(&self) -> Option<Decimal> {
        match &self.totals[..] {
            [] => Some(Decimal::zero(self.declared)),
            [Total { low, high: None, scale, .. }] if *scale >= self.declared => Decimal::new(*low, *scale),
            _ => {
                let (negative, size, scale) = self.total();
                from_wide(negative, &size, scale)
            }
        }
    }

    /// The mean at four more digits behind the point, halves to even; `None` above 76 digits.
    pub fn mean(&self, count: u64) -> Option<Decimal> {
        if let Some(sum) = self.value() {
            return sum.mean(count);
        }
        let (negative, size, scale) = self.total(); // The sum has too many digits, its mean need not.
        let up = 4.min(Decimal::DIGITS_MAX - scale);
        let (mut quotient, rest) = wide::div_rem(&wide::scale_up(&size, up.into()), &[count]);
        let twice = u128::from(rest[0]) * 2;
        if twice > u128::from(count) || (twice == u128::from(count) && quotient[0] & 1 == 1) {
            wide::add(&mut quotient, &[1]);
        }
        from_wide(negative, &quotient, scale + up)
    }
}

fn from_wide(negative: bool, size: &Wide, scale: u8) -> Option<Decimal> {
    Decimal::from_wide(negative && !wide::is_zero(size), size, scale)
}

impl Total {
    #[inline]
    fn add(&mut self, x: &Decimal, sign: i8) {
        self.count = if sign > 0 { self.count + 1 } else { self.count.saturating_sub(1) };
        if let Decimal::Small { mantissa, .. } = x {
            let term = i128::from(*mantissa) * i128::from(sign);
            match self.low.checked_add(term) {
                Some(low) => self.low = low,
                None => {
                    let low = std::mem::replace(&mut self.low, term);
                    self.add_high(low < 0, &[low.unsigned_abs() as u64, (low.unsigned_abs() >> 64) as u64]);
                }
            }
        } else {
            let (negative, size) = x.sign_and_size();
            self.add_high(negative != (sign < 0), &size);
        }
    }

    #[cold]
    fn add_high(&mut self, negative: bool, size: &[u64]) {
        let high = self.high.get_or_insert_default();
        if negative {
            wide::sub(&mut high[..], size)
        } else {
            wide::add(&mut high[..], size)
        };
    }

    fn sign_and_size(&self) -> (bool, Wide) {
        let mut sum = self.high.as_deref().copied().unwrap_or_default();
        let size = self.low.unsigned_abs();
        let limbs = [size as u64, (size >> 64) as u64];
        if self.low < 0 {
            wide::sub(&mut sum, &limbs)
        } else {
            wide::add(&mut sum, &limbs)
        };
        let negative = (sum[wide::WIDE - 1] as i64) < 0;
        if negative {
            wide::negate(&mut sum);
        }
        (negative, sum)
    }
}

/// Sums by type, for numbers whose types are known only when they come.
#[derive(Clone, Debug)]
pub(super) struct Mixed {
    /// What the sum of nothing is.
    zero: Value,
    integers: i128,
    ints: u64,
    uints: u64,
    spans: i128,
    durations: u64,
    doubles: ExactSum,
    decimals: DecimalSum,
    /// Values that have no sum.
    misfits: u64,
}

impl Mixed {
    pub fn new(zero: Value) -> Self {
        Mixed {
            zero,
            integers: 0,
            ints: 0,
            uints: 0,
            spans: 0,
            durations: 0,
            doubles: ExactSum::new(),
            decimals: DecimalSum::default(),
            misfits: 0,
        }
    }

    pub fn of_ints(sum: i128, count: u64) -> Self {
        Mixed { integers: sum, ints: count, ..Mixed::new(Value::Int(0)) }
    }

    pub fn of_uints(sum: i128, count: u64) -> Self {
        Mixed { integers: sum, uints: count, ..Mixed::new(Value::Uint(0)) }
    }

    pub fn of_durations(sum: i128, count: u64) -> Self {
        Mixed { spans: sum, durations: count, ..Mixed::new(Value::Duration(Duration(0))) }
    }

    pub fn of_doubles(sum: ExactSum) -> Self {
        Mixed { doubles: sum, ..Mixed::new(Value::Double(0.0)) }
    }

    pub fn of_decimals(sum: DecimalSum) -> Self {
        Mixed { zero: Value::Decimal(Decimal::zero(sum.declared)), decimals: sum, ..Mixed::new(Value::Null) }
    }

    pub fn heap_bytes(&self) -> usize {
        self.doubles.heap_bytes() + self.decimals.heap_bytes()
    }

    pub fn change(&mut self, value: &Value, sign: i8) {
        let counted = |count: u64| if sign > 0 { count + 1 } else { count.saturating_sub(1) };
        match value {
            Value::Int(x) => {
                self.integers += i128::from(*x) * i128::from(sign);
                self.ints = counted(self.ints);
            }
            Value::Uint(x) => {
                self.integers += i128::from(*x) * i128::from(sign);
                self.uints = counted(self.uints);
            }
            Value::Duration(x) => {
                self.spans += i128::from(x.0) * i128::from(sign);
                self.durations = counted(self.durations);
            }
            Value::Double(x) if sign > 0 => self.doubles.insert(*x),
            Value::Double(x) => self.doubles.remove(*x),
            Value::Decimal(x) => self.decimals.change(x, sign),
            Value::Null | Value::Bool(_) | Value::Text(_) | Value::Bytes(_) | Value::Timestamp(_) => {
                self.misfits = counted(self.misfits)
            }
            Value::List(_) | Value::Map(_) | Value::Tensor(_) => self.misfits = counted(self.misfits),
        }
    }

    fn numbers(&self) -> u64 {
        self.ints + self.uints + self.doubles.count() + self.decimals.count()
    }

    /// The durations alone, if that is what is in.
    ///
    /// # Errors
    /// E0314 for values that have no sum, or none together.
    fn only_durations(&self) -> Result<bool, crate::problem::Error> {
        if self.misfits > 0 {
            return Err(errors::bad_aggregate("a sum or mean over values that are not numbers"));
        }
        if self.durations > 0 && self.numbers() > 0 {
            return Err(errors::bad_aggregate("a sum or mean over numbers and durations"));
        }
        Ok(self.durations > 0)
    }

    /// Everything in one exact sum of doubles; the decimals enter as the double nearest to their total.
    fn as_doubles(&self) -> ExactSum {
        let mut sum = self.doubles.clone();
        // An i128 is at most three doubles, exactly.
        let mut rest = self.integers;
        while rest != 0 {
            let part = rest as f64;
            let part = if part.abs() >= 2f64.powi(127) { part / 2.0 } else { part };
            sum.insert(part);
            rest -= part as i128;
        }
        let decimals = self.decimals.value().map_or(f64::NAN, |total| total.to_f64());
        sum.insert(decimals);
        sum
    }

    pub fn sum(&self) -> Cell {
        if self.only_durations()? {
            let sum = i64::try_from(self.spans).map_err(|_| errors::time_out_of_range("sum of durations"))?;
            return Ok(Value::Duration(Duration(sum)));
        }
        match (self.doubles.count(), self.decimals.count(), self.numbers()) {
            (_, _, 0) => Ok(self.zero.clone()),
            (0, 0, _) => self.integer(),
            (0, _, _) => self.decimal().map(Value::Decimal),
            _ => Ok(Value::double(self.as_doubles().value())),
        }
    }

    /// A uint where all are uints or it is too large for an int.
    fn integer(&self) -> Cell {
        let int = i64::try_from(self.integers).ok().filter(|_| self.ints > 0).map(Value::Int);
        let uint = || u64::try_from(self.integers).ok().map(Value::Uint);
        int.or_else(uint).ok_or_else(|| errors::overflow("sum of ints"))
    }

    fn decimal(&self) -> Result<Decimal, crate::problem::Error> {
        let integers = Decimal::new(self.integers, 0);
        let sum = self.decimals.value().zip(integers).and_then(|(a, b)| a.checked_add(&b));
        sum.ok_or_else(errors::decimal_overflow)
    }

    pub fn mean(&self) -> Cell {
        if self.only_durations()? {
            return mean_duration(self.spans, self.durations);
        }
        let count = self.numbers();
        match (self.doubles.count(), self.decimals.count(), count) {
            (_, _, 0) => Ok(Value::Null),
            (0, 0, _) => Ok(Value::double(mean_of_integers(self.integers, count))),
            (0, _, _) => self.decimal()?.mean(count).map(Value::Decimal).ok_or_else(errors::decimal_overflow),
            _ => Ok(Value::double(self.as_doubles().mean(count))),
        }
    }
}

/// Whether two values can stand in one `min` or `max`.
pub(super) fn have_order(a: &Value, b: &Value) -> bool {
    ops::compare(a, b).is_ok()
}
