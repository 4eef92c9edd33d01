//! What the operations on words mean, each in one place. `None`: only the program can tell.

/// An operation on two words; those of one operand look at the first.
pub trait Operation {
    /// `a op b`.
    fn of(a: u64, b: u64) -> Option<u64>;
}

/// The operation with its operands the other way round.
pub struct Flipped<O>(std::marker::PhantomData<O>);

impl<O: Operation> Operation for Flipped<O> {
    #[inline(always)]
    fn of(a: u64, b: u64) -> Option<u64> {
        O::of(b, a)
    }
}

macro_rules! operations {
    ($($name:ident($a:ident, $b:pat) = $word:expr;)*) => { $(
        pub struct $name;
        impl Operation for $name {
            #[inline(always)]
            fn of($a: u64, $b: u64) -> Option<u64> {
                Some($word)
            }
        }
    )* };
}

operations! {
    AddI(a, b) = (a as i64).checked_add(b as i64)? as u64;
    SubI(a, b) = (a as i64).checked_sub(b as i64)? as u64;
    MulI(a, b) = (a as i64).checked_mul(b as i64)? as u64;
    DivI(a, b) = (a as i64).checked_div(b as i64)? as u64;
    RemI(a, b) = if b == 0 { None } else { Some((a as i64).wrapping_rem(b as i64)) }? as u64;
    NegI(a, _) = (a as i64).checked_neg()? as u64;
    AddU(a, b) = a.checked_add(b)?;
    SubU(a, b) = a.checked_sub(b)?;
    MulU(a, b) = a.checked_mul(b)?;
    DivU(a, b) = a.checked_div(b)?;
    RemU(a, b) = a.checked_rem(b)?;
    AddF(a, b) = double(f64::from_bits(a) + f64::from_bits(b));
    SubF(a, b) = double(f64::from_bits(a) - f64::from_bits(b));
    MulF(a, b) = double(f64::from_bits(a) * f64::from_bits(b));
    DivF(a, b) = double(f64::from_bits(a) / f64::from_bits(b));
    RemF(a, b) = double(f64::from_bits(a) % f64::from_bits(b));
    NegF(a, _) = double(-f64::from_bits(a));
    IntToDouble(a, _) = (a as i64 as f64).to_bits();
    IntToDoubleExact(a, _) = exact(a as i64)?;
    UintToDouble(a, _) = (a as f64).to_bits();
    UintToInt(a, _) = i64::try_from(a).ok()? as u64;
    Eq(a, b) = u64::from(a == b);
    Ne(a, b) = u64::from(a != b);
    EqF(a, b) = u64::from(equal(a, b));
    NeF(a, b) = u64::from(!equal(a, b));
    LtI(a, b) = u64::from((a as i64) < b as i64);
    LeI(a, b) = u64::from(a as i64 <= b as i64);
    LtU(a, b) = u64::from(a < b);
    LeU(a, b) = u64::from(a <= b);
    LtF(a, b) = u64::from(below(a, b));
    LeF(a, b) = u64::from(!below(b, a));
    And(a, b) = a & b;
    Or(a, b) = a | b;
    Not(a, _) = a ^ 1;
    Copy(a, _) = a;
}

#[inline(always)]
fn double(x: f64) -> u64 {
    if x.is_nan() { the_nan() } else { x.to_bits() }
}

/// Apart, so that no result waits for the question.
#[cold]
fn the_nan() -> u64 {
    f64::NAN.to_bits()
}

#[inline(always)]
fn equal(a: u64, b: u64) -> bool {
    let (a, b) = (f64::from_bits(a), f64::from_bits(b));
    a == b || (a.is_nan() && b.is_nan())
}

#[inline(always)]
fn below(a: u64, b: u64) -> bool {
    let (a, b) = (f64::from_bits(a), f64::from_bits(b));
    a < b || (b.is_nan() && !a.is_nan())
}

/// An int as a double, where no digit is lost for certain.
#[inline(always)]
fn exact(x: i64) -> Option<u64> {
    (x.unsigned_abs() <= 1 << 53).then_some((x as f64).to_bits())
}
