//! Variance, covariance, correlation: exact sums of values and of their products, rounded once on reading.
//!
//! Ints, uints and doubles are binary numbers; a decimal is an integer over a power of ten. Values are summed by their powers of ten and
//! brought together on reading, so nothing is rounded on the way: the answer depends on what is in, and on nothing else (AGG-1). With n
//! values it is (n Σxy - Σx Σy) / n² or / n(n - 1).
//!
//! NaN and the infinities are counted apart, and make the answer NaN while they are in.
//!
//! Cost: some ten nanoseconds a value, a microsecond or less to read.

use smallvec::SmallVec;

use super::exact::{Big, Exact, ratio, root_of_ratio};
use crate::agg::{Agg, Of};
use crate::decimal::{Decimal, split_f64};
use crate::errors;
use crate::value::{Cell, Value};

/// Sums of one number of each row, or of two.
#[derive(Clone, Debug)]
pub(super) struct Moments {
    pairs: bool,
    /// Rows in which every number is finite.
    finite: u64,
    /// Rows with NaN or an infinity.
    special: u64,
    /// Rows with what is not a number.
    misfits: u64,
    /// By scale: mostly there is one.
    sums: SmallVec<[Sums; 1]>,
}

/// The rows whose numbers are `x / 10^scales.0` and `y / 10^scales.1`.
#[derive(Clone, Debug)]
struct Sums {
    scales: (u8, u8),
    count: u64,
    x: Exact,
    xx: Exact,
    /// Only of pairs.
    y: Exact,
    yy: Exact,
    xy: Exact,
}

/// `±size × 2^exponent / 10^scale`
struct Number {
    negative: bool,
    size: [u64; 4],
    exponent: i32,
    scale: u8,
}

/// What a value is to a sum.
enum Part {
    Number(Number),
    Special,
    Misfit,
}

fn part(value: &Value) -> Part {
    let small = |negative, size, exponent| Part::Number(Number { negative, size: [size, 0, 0, 0], exponent, scale: 0 });
    match value {
        Value::Int(x) => small(*x < 0, x.unsigned_abs(), 0),
        Value::Uint(x) => small(false, *x, 0),
        Value::Double(x) if x.is_finite() => {
            let (size, exponent) = split_f64(*x);
            small(*x < 0.0, size, exponent)
        }
        Value::Double(_) => Part::Special,
        Value::Decimal(x) => {
            let (negative, size) = x.sign_and_size();
            Part::Number(Number { negative, size, exponent: 0, scale: x.scale() })
        }
        Value::Null | Value::Bool(_) | Value::Text(_) | Value::Bytes(_) | Value::Timestamp(_) => Part::Misfit,
        Value::Duration(_) | Value::List(_) | Value::Map(_) | Value::Tensor(_) => Part::Misfit,
    }
}

impl Number {
    fn big(&self) -> Big {
        let mut number = Exact::default();
        self.add_to(&mut number, 1);
        number.big()
    }

    /// Adds the number, without its scale, or takes it away.
    fn add_to(&self, sum: &mut Exact, sign: i8) {
        let negative = self.negative != (sign < 0);
        match self.size {
            [size, 0, 0, 0] => sum.add(negative, size.into(), self.exponent),
            size => sum.add_limbs(negative, &size, 0),
        }
    }

    /// Adds the product of two numbers, without their scales, or takes it away.
    fn add_product_to(&self, other: &Number, sum: &mut Exact, sign: i8) {
        let negative = self.negative != other.negative;
        match (self.size, other.size) {
            ([a, 0, 0, 0], [b, 0, 0, 0]) => {
                sum.add(negative != (sign < 0), u128::from(a) * u128::from(b), self.exponent + other.exponent);
            }
            _ => {
                let product = self.big().times(&other.big());
                sum.add_limbs(negative != (sign < 0), &product.size, product.low);
            }
        }
    }
}

impl Sums {
    fn new(scales: (u8, u8)) -> Sums {
        let zero = Exact::default;
        Sums { scales, count: 0, x: zero(), xx: zero(), y: zero(), yy: zero(), xy: zero() }
    }
}

/// The sums of all rows, brought to one scale: `2 · scale` digits for products.
struct Totals {
    x: Big,
    y: Big,
    xx: Big,
    yy: Big,
    xy: Big,
}

impl Moments {
    pub fn new(agg: &Agg) -> Moments {
        Moments { pairs: agg.is_of_pairs(), finite: 0, special: 0, misfits: 0, sums: SmallVec::new() }
    }

    /// Puts a value, or a pair of values, in or takes it out. A pair with a NULL does not count.
    pub fn change(&mut self, value: &Value, sign: i8) {
        let (x, y) = match value {
            Value::List(pair) if self.pairs => match &pair[..] {
                [Value::Null, _] | [_, Value::Null] => return,
                [x, y] => (part(x), Some(part(y))),
                _ => (Part::Misfit, None),
            },
            value => (part(value), None),
        };
        let counted = |count: u64| if sign > 0 { count + 1 } else { count.saturating_sub(1) };
        match (x, y) {
            (Part::Misfit, _) | (_, Some(Part::Misfit)) => self.misfits = counted(self.misfits),
            (Part::Special, _) | (_, Some(Part::Special)) => self.special = counted(self.special),
            (Part::Number(x), y) => {
                self.finite = counted(self.finite);
                let y = y.and_then(|y| if let Part::Number(y) = y { Some(y) } else { None });
                self.add(&x, y.as_ref(), sign);
            }
        }
    }

    fn add(&mut self, x: &Number, y: Option<&Number>, sign: i8) {
        let scales = (x.scale, y.map_or(0, |y| y.scale));
        let place = match self.sums.iter().position(|sums| sums.scales == scales) {
            Some(place) => place,
            None => {
                self.sums.push(Sums::new(scales));
                self.sums.len() - 1
            }
        };
        let sums = &mut self.sums[place];
        sums.count = if sign > 0 { sums.count + 1 } else { sums.count.saturating_sub(1) };
        if sums.count == 0 {
            self.sums.swap_remove(place);
            return;
        }
        x.add_to(&mut sums.x, sign);
        x.add_product_to(x, &mut sums.xx, sign);
        if let Some(y) = y {
            y.add_to(&mut sums.y, sign);
            y.add_product_to(y, &mut sums.yy, sign);
            x.add_product_to(y, &mut sums.xy, sign);
        }
    }

    /// The answer of what is in.
    ///
    /// # Errors
    /// E0314 while something in it is no number.
    pub fn value(&self, agg: &Agg) -> Cell {
        if self.misfits > 0 {
            return Err(errors::bad_aggregate(format!("{} over values that are not numbers", agg.name())));
        }
        let count = self.finite + self.special;
        let least = match agg {
            Agg::Var(Of::Population) | Agg::Stddev(Of::Population) | Agg::Covar(Of::Population) => 1,
            _ => 2,
        };
        if count < least {
            return Ok(Value::Null);
        }
        if self.special > 0 {
            return Ok(Value::double(f64::NAN));
        }
        Ok(self.finite_value(agg, count))
    }

    fn finite_value(&self, agg: &Agg, count: u64) -> Value {
        let (x_scale, y_scale) = self.sums.iter().fold((0, 0), |(x, y), sums| (x.max(sums.scales.0), y.max(sums.scales.1)));
        let totals = self.totals(x_scale, y_scale);
        let n = Big::of(count.into());
        let spread = |xy: &Big, x: &Big, y: &Big| n.times(xy).minus(&x.times(y));
        let per = |of: &Of| match of {
            Of::Sample => Big::of(u128::from(count) * u128::from(count - 1)),
            Of::Population => Big::of(u128::from(count) * u128::from(count)),
        };
        let ten = |digits: u8| Big::power_of_ten(digits.into());
        match agg {
            Agg::Var(of) => {
                let den = per(of).times(&ten(x_scale)).times(&ten(x_scale));
                Value::double(ratio(&spread(&totals.xx, &totals.x, &totals.x), &den))
            }
            Agg::Stddev(of) => {
                let den = per(of).times(&ten(x_scale)).times(&ten(x_scale));
                Value::double(root_of_ratio(&spread(&totals.xx, &totals.x, &totals.x), &den))
            }
            Agg::Covar(of) => {
                let den = per(of).times(&ten(x_scale)).times(&ten(y_scale));
                Value::double(ratio(&spread(&totals.xy, &totals.x, &totals.y), &den))
            }
            _ => {
                let (x, y) = (spread(&totals.xx, &totals.x, &totals.x), spread(&totals.yy, &totals.y, &totals.y));
                if x.is_zero() || y.is_zero() {
                    return Value::Null;
                }
                let both = spread(&totals.xy, &totals.x, &totals.y);
                let size = root_of_ratio(&both.times(&both), &x.times(&y));
                Value::double(if both.negative { -size } else { size })
            }
        }
    }

    fn totals(&self, x_scale: u8, y_scale: u8) -> Totals {
        let total = |sum: fn(&Sums) -> &Exact, lacks: &dyn Fn(&Sums) -> u8| {
            let part = |sums: &Sums| match lacks(sums) {
                0 => sum(sums).big(),
                digits => sum(sums).big().times(&Big::power_of_ten(digits.into())),
            };
            match &self.sums[..] {
                [only] => part(only),
                all => all.iter().fold(Exact::default().big(), |total, sums| total.plus(&part(sums))),
            }
        };
        let (lacks_x, lacks_y) = (move |sums: &Sums| x_scale - sums.scales.0, move |sums: &Sums| y_scale - sums.scales.1);
        Totals {
            x: total(|sums| &sums.x, &lacks_x),
            y: total(|sums| &sums.y, &lacks_y),
            xx: total(|sums| &sums.xx, &|sums| 2 * lacks_x(sums)),
            yy: total(|sums| &sums.yy, &|sums| 2 * lacks_y(sums)),
            xy: total(|sums| &sums.xy, &|sums| lacks_x(sums) + lacks_y(sums)),
        }
    }

    pub fn heap_bytes(&self) -> usize {
        let spilled = if self.sums.spilled() { self.sums.capacity() * size_of::<Sums>() } else { 0 };
        let numbers = |sums: &Sums| [&sums.x, &sums.xx, &sums.y, &sums.yy, &sums.xy].map(Exact::heap_bytes).iter().sum::<usize>();
        spilled + self.sums.iter().map(numbers).sum::<usize>()
    }
}

/// A decimal that a value is, where it is a number that has one.
pub(super) fn as_decimal(value: &Value) -> Option<Decimal> {
    match value {
        Value::Int(x) => Some(Decimal::from(*x)),
        Value::Uint(x) => Some(Decimal::from(*x)),
        Value::Decimal(x) => Some(x.clone()),
        _ => None,
    }
}
