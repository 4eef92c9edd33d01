//! Regions: block after block of elements through all operations. Registers are blocks, so a region of twenty operations reads and writes
//! memory once.

use super::element::Element;
use super::instruction::{Buf, Constant, Micro, MicroOp, Region, Source};
use crate::rules::{Binary, Unary};
use std::ops::Range;

/// Elements of a block: a register is 1 KiB of singles.
pub(crate) const BLOCK: usize = 256;

/// Runs a region. `registers` holds as many blocks as it needs.
#[inline(always)]
pub(crate) fn run<T: Element>(region: &Region, places: &[Range<usize>], arena: &mut [T], registers: &mut [T]) {
    let at = |buf: Buf| places[buf.at()].start;
    for (register, constant) in &region.constants {
        let x = match constant {
            Constant::Number(x) => T::from_f64(*x),
            Constant::First(buf) => arena[at(*buf)],
        };
        let n = BLOCK.min(region.len);
        registers[*register as usize * BLOCK..][..n].fill(x);
    }
    for start in (0..region.len).step_by(BLOCK) {
        let n = BLOCK.min(region.len - start);
        for (register, source) in &region.loads {
            load(source, at(source.buf()), start, arena, &mut registers[*register as usize * BLOCK..][..n]);
        }
        for micro in &region.ops {
            operate(*micro, n, registers);
        }
        for (register, buf) in &region.stores {
            arena[at(*buf) + start..][..n].copy_from_slice(&registers[*register as usize * BLOCK..][..n]);
        }
    }
}

#[inline(always)]
fn load<T: Element>(source: &Source, at: usize, start: usize, arena: &[T], to: &mut [T]) {
    match source {
        Source::Whole(_) => to.copy_from_slice(&arena[at + start..][..to.len()]),
        Source::Rows { n, .. } => {
            let row = &arena[at..at + n];
            let mut from = start % n;
            for to in to {
                *to = row[from];
                from += 1;
                if from == *n {
                    from = 0;
                }
            }
        }
        Source::Columns { n, .. } => {
            let (mut from, mut left) = (start / n, n - start % n);
            for to in to {
                *to = arena[at + from];
                left -= 1;
                if left == 0 {
                    (from, left) = (from + 1, *n);
                }
            }
        }
        Source::Strided { offset, strides, shape, .. } => {
            for (i, to) in to.iter_mut().enumerate() {
                let (mut rest, mut from) = (start + i, at + offset);
                for (len, stride) in shape.iter().zip(strides).rev() {
                    from += rest % len * stride;
                    rest /= len;
                }
                *to = arena[from];
            }
        }
    }
}

/// One operation over `n` elements. The result never lies where an operand does.
#[inline(always)]
fn operate<T: Element>(micro: Micro, n: usize, registers: &mut [T]) {
    let (before, rest) = registers.split_at_mut(micro.out as usize * BLOCK);
    let (out, after) = rest.split_at_mut(BLOCK);
    let (before, after) = (&*before, &*after);
    let operand = |i: usize| {
        let register = micro.x[i];
        let block = if register < micro.out {
            &before[register as usize * BLOCK..]
        } else {
            &after[(register - micro.out - 1) as usize * BLOCK..]
        };
        &block[..n]
    };
    let out = &mut out[..n];
    match micro.op {
        MicroOp::Unary(op) => each_unary(op, operand(0), out),
        MicroOp::Binary(op) => each_binary(op, operand(0), operand(1), out),
        MicroOp::Select => {
            let (mask, a, b) = (operand(0), operand(1), operand(2));
            for i in 0..out.len() {
                out[i] = if mask[i] == T::ZERO { b[i] } else { a[i] };
            }
        }
    }
}

/// Calls `$each` with the operation as a closure: once written, for one number and for many.
macro_rules! unaries {
    ($op:expr, $t:ident, $each:ident, $($rest:expr),*) => {{
        let (zero, one) = ($t::ZERO, $t::ONE);
        let op = $op;
        match op {
            Unary::Neg => $each($($rest,)* |x: $t| -x),
            Unary::Abs => $each($($rest,)* |x: $t| if x < zero { -x } else { x }),
            Unary::Sign => $each($($rest,)* |x: $t| if x > zero { one } else if x < zero { -one } else { x }),
            Unary::Exp => $each($($rest,)* |x: $t| x.exp()),
            Unary::Sqrt => $each($($rest,)* |x: $t| x.sqrt()),
            Unary::Rsqrt => $each($($rest,)* |x: $t| one / x.sqrt()),
            Unary::Tanh => $each($($rest,)* |x: $t| x.tanh()),
            Unary::Sigmoid => $each($($rest,)* |x: $t| one / (one + (-x).exp())),
            Unary::Relu => $each($($rest,)* |x: $t| if x <= zero { zero } else { x }),
            Unary::Expm1 | Unary::Log | Unary::Log1p | Unary::Sin | Unary::Cos | Unary::Softplus | Unary::Erf => {
                $each($($rest,)* |x: $t| x.rare(op))
            }
        }
    }};
}

macro_rules! binaries {
    ($op:expr, $t:ident, $each:ident, $($rest:expr),*) => {{
        let (zero, one) = ($t::ZERO, $t::ONE);
        let op = $op;
        match op {
            Binary::Add => $each($($rest,)* |a: $t, b: $t| a + b),
            Binary::Sub => $each($($rest,)* |a: $t, b: $t| a - b),
            Binary::Mul => $each($($rest,)* |a: $t, b: $t| a * b),
            Binary::Scale => $each($($rest,)* |a: $t, b: $t| if b == zero { zero } else { a * b }),
            Binary::Div => $each($($rest,)* |a: $t, b: $t| a / b),
            Binary::Pow => $each($($rest,)* |a: $t, b: $t| $t::from_f64(op.apply(a.to_f64(), b.to_f64()))),
            // Written so that NaN stays.
            Binary::Max => $each($($rest,)* |a: $t, b: $t| if b > a || b.is_nan() { b } else { a }),
            Binary::Min => $each($($rest,)* |a: $t, b: $t| if b < a || b.is_nan() { b } else { a }),
            Binary::Greater => $each($($rest,)* |a: $t, b: $t| if a > b { one } else { zero }),
            Binary::Equal => $each($($rest,)* |a: $t, b: $t| if a == b { one } else { zero }),
        }
    }};
}

/// See [`Unary::apply`].
#[inline(always)]
fn each_unary<T: Element>(op: Unary, x: &[T], out: &mut [T]) {
    #[inline(always)]
    fn each<T: Element>(x: &[T], out: &mut [T], f: impl Fn(T) -> T) {
        for (out, x) in out.iter_mut().zip(x) {
            *out = f(*x);
        }
    }
    unaries!(op, T, each, x, out)
}

/// See [`Binary::apply`].
#[inline(always)]
fn each_binary<T: Element>(op: Binary, a: &[T], b: &[T], out: &mut [T]) {
    #[inline(always)]
    fn each<T: Element>(a: &[T], b: &[T], out: &mut [T], f: impl Fn(T, T) -> T) {
        for (out, (a, b)) in out.iter_mut().zip(a.iter().zip(b)) {
            *out = f(*a, *b);
        }
    }
    binaries!(op, T, each, a, b, out)
}

/// See [`Unary::apply`].
#[inline(always)]
pub(crate) fn unary<T: Element>(op: Unary, x: T) -> T {
    #[inline(always)]
    fn one<T>(x: T, f: impl Fn(T) -> T) -> T {
        f(x)
    }
    unaries!(op, T, one, x)
}

/// See [`Binary::apply`].
#[inline(always)]
pub(crate) fn binary<T: Element>(op: Binary, a: T, b: T) -> T {
    #[inline(always)]
    fn one<T>(a: T, b: T, f: impl Fn(T, T) -> T) -> T {
        f(a, b)
    }
    binaries!(op, T, one, a, b)
}
