//! The kernels over addresses, and what else the machine must be asked for. Called with bounds that were checked.

#![allow(unsafe_code)]
// Registers are arrays that are indexed by constants: an iterator's closures would be compiled for any machine.
#![allow(clippy::needless_range_loop)]

use super::lanes::{Lanes, Plain};
use super::{Adam, After, Left, Moving, Right, Size, Width};
use crate::step::Element;
use crate::step::instruction::Region;
use crate::step::region;
use std::ops::Range;

/// Whether the machine has it.
pub(crate) fn has(width: Width) -> bool {
    match width {
        Width::Plain => true,
        #[cfg(target_arch = "x86_64")]
        Width::Avx2 => is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma"),
        #[cfg(target_arch = "x86_64")]
        Width::Avx512 => {
            has(Width::Avx2)
                && is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512vl")
                && is_x86_feature_detected!("avx512dq")
                && is_x86_feature_detected!("avx512bw")
        }
        #[cfg(not(target_arch = "x86_64"))]
        Width::Avx2 | Width::Avx512 => false,
    }
}

/// Calls `$body`, which is inlined whole, compiled for each width. A closure would not do: what it calls would be compiled for any machine.
macro_rules! at_each_width {
    ($(#[$doc:meta])* fn $name:ident $(<$t:ident: $bound:path>)? ($($arg:ident: $ty:ty),* $(,)?) = $plain:expr, $avx2:expr, $avx512:expr) => {
        $(#[$doc])*
        pub(crate) fn $name $(<$t: $bound>)? (width: Width, $($arg: $ty),*) {
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx2,fma")]
                unsafe fn avx2 $(<$t: $bound>)? ($($arg: $ty),*) {
                    $avx2
                }
                #[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw,avx2,fma")]
                unsafe fn avx512 $(<$t: $bound>)? ($($arg: $ty),*) {
                    $avx512
                }
                match width {
                    Width::Plain => $plain,
                    // SAFETY: `Width::widest` and `Width::all` give what the machine has.
                    Width::Avx2 => unsafe { avx2($($arg),*) },
                    Width::Avx512 => unsafe { avx512($($arg),*) },
                }
            }
            #[cfg(not(target_arch = "x86_64"))]
            {
                let _ = width;
                $plain
            }
        }
    };
}

#[cfg(target_arch = "x86_64")]
use super::lanes::{Avx2, Avx512};

at_each_width! {
    /// A region of a step.
    fn region<T: Element>(region: &Region, places: &[Range<usize>], arena: &mut [T], registers: &mut [T]) =
        region::run(region, places, arena, registers),
        region::run(region, places, arena, registers),
        region::run(region, places, arena, registers)
}

// SAFETY: the functions of this module's parent have checked the bounds; each width is called where it is there.
at_each_width! {
    fn contract(a: Left<'_>, b: Right<'_>, size: Size, ends: Ends<'_>) =
        unsafe { tiles::<Plain>(a, b, size, ends) },
        unsafe { tiles::<Avx2>(a, b, size, ends) },
        unsafe { tiles::<Avx512>(a, b, size, ends) }
}

// SAFETY: as above.
at_each_width! {
    /// See `kernels::dot`.
    fn dot(a: Right<'_>, b: Right<'_>, size: Size, after: After<'_>, out: &mut [f32]) =
        unsafe { dots::<Plain>(a, b, size, after, out) },
        unsafe { dots::<Avx2>(a, b, size, after, out) },
        unsafe { dots::<Avx512>(a, b, size, after, out) }
}

/// Where a product goes.
#[derive(Clone, Copy)]
pub(crate) enum Ends<'a> {
    Stored { to: *mut f32, after: After<'a> },
    Descended { param: *mut f32, m: *mut f32, v: *mut f32, adam: &'a Adam },
}

pub(super) fn product(width: Width, a: Left<'_>, b: Right<'_>, size: Size, after: After<'_>, out: &mut [f32]) {
    contract(width, a, b, size, Ends::Stored { to: out.as_mut_ptr(), after });
}

pub(super) fn descend(width: Width, a: Left<'_>, b: Right<'_>, size: Size, adam: &Adam, moving: Moving<'_>) {
    let (param, m, v) = (moving.param.as_mut_ptr(), moving.m.as_mut_ptr(), moving.v.as_mut_ptr());
    contract(width, a, b, size, Ends::Descended { param, m, v, adam });
}

/// Tiles of 5 rows by 64 columns where there are few rows, of 8 by 32 else; what is left over in smaller ones.
#[inline(always)]
unsafe fn tiles<L: Lanes>(a: Left<'_>, b: Right<'_>, size: Size, ends: Ends<'_>) {
    let few = size.rows <= 10;
    let (high, wide) = if few { (5, 64) } else { (8, 32) };
    for row in (0..size.rows).step_by(high) {
        let rows = high.min(size.rows - row);
        for column in (0..size.columns).step_by(wide) {
            let columns = wide.min(size.columns - column);
            let tile = Tile { a, b, size, ends, row, column, columns };
            // SAFETY: the tile is a part of the product.
            unsafe {
                match (rows, columns.div_ceil(16)) {
                    (8, 2) => tile.run::<L, 8, 2>(),
                    (5, 4) => tile.run::<L, 5, 4>(),
                    (4, 2) => tile.run::<L, 4, 2>(),
                    (8, 1) => tile.run::<L, 8, 1>(),
                    _ => tile.one_by_one::<L>(rows),
                }
            }
        }
    }
}

#[derive(Clone, Copy)]
struct Tile<'a> {
    a: Left<'a>,
    b: Right<'a>,
    size: Size,
    ends: Ends<'a>,
    row: usize,
    column: usize,
    columns: usize,
}

impl Tile<'_> {
    /// Row by row, vector by vector.
    #[inline(always)]
    unsafe fn one_by_one<L: Lanes>(mut self, rows: usize) {
        let (first, end) = (self.column, self.column + self.columns);
        for _ in 0..rows {
            self.column = first;
            while self.column < end {
                self.columns = (end - self.column).min(16);
                // SAFETY: as this tile.
                unsafe { self.run::<L, 1, 1>() };
                self.column += self.columns;
            }
            self.row += 1;
        }
    }

    /// `R` rows by `C` vectors, of which the last may be short.
    #[inline(always)]
    unsafe fn run<L: Lanes, const R: usize, const C: usize>(self) {
        let last = self.columns - (C - 1) * 16;
        // SAFETY: rows below `R` and columns below `columns` of the tile are within the factors and the result.
        unsafe {
            let mut sums = [[L::splat(0.0); C]; R];
            let a = self.a.data.as_ptr().add(self.row * self.a.row);
            let b = self.b.data.as_ptr().add(self.column);
            if last == 16 {
                for s in 0..self.size.len {
                    if s < R * C {
                        self.ends.ask::<L>((self.row + s / C) * self.size.columns + self.column + s % C * 16);
                    }
                    let mut row = [L::splat(0.0); C];
                    for c in 0..C {
                        row[c] = L::load(b.add(s * self.b.row + c * 16));
                    }
                    for r in 0..R {
                        let a = L::splat(*a.add(r * self.a.row + s * self.a.column));
                        for c in 0..C {
                            sums[r][c] = a.mul_add(row[c], sums[r][c]);
                        }
                    }
                }
            } else {
                for s in 0..self.size.len {
                    let mut row = [L::splat(0.0); C];
                    for c in 0..C {
                        row[c] = L::load_first(b.add(s * self.b.row + c * 16), if c == C - 1 { last } else { 16 });
                    }
                    for r in 0..R {
                        let a = L::splat(*a.add(r * self.a.row + s * self.a.column));
                        for c in 0..C {
                            sums[r][c] = a.mul_add(row[c], sums[r][c]);
                        }
                    }
                }
            }
            for r in 0..R {
                for c in 0..C {
                    let column = self.column + c * 16;
                    let n = if c == C - 1 { last } else { 16 };
                    self.ends.end(sums[r][c], (self.row + r) * self.size.columns + column, column, n);
                }
            }
        }
    }
}

impl Ends<'_> {
    /// Asks for what a step will move while the product is still computed: it lies rows apart, which no machine foresees.
    #[inline(always)]
    unsafe fn ask<L: Lanes>(self, at: usize) {
        if let Ends::Descended { param, m, v, .. } = self {
            // SAFETY: the place is within the parameter; asking reads nothing.
            unsafe {
                L::ask(param.add(at));
                L::ask(m.add(at));
                L::ask(v.add(at));
            }
        }
    }

    /// What becomes of `n` elements from place `at` on.
    #[inline(always)]
    unsafe fn end<L: Lanes>(self, sum: L, at: usize, column: usize, n: usize) {
        // SAFETY: `n` elements from `at` on are within the result, `n` columns from `column` on within the bias.
        unsafe {
            match self {
                Ends::Stored { to, after } => {
                    let sum =
                        if let Some(bias) = after.bias { sum.add(L::load_first(bias.as_ptr().add(column), n)) } else { sum };
                    let sum = if after.relu { L::splat(0.0).max(sum) } else { sum };
                    if n == 16 { sum.store(to.add(at)) } else { sum.store_first(to.add(at), n) }
                }
                Ends::Descended { param, m, v, adam } => {
                    let (param, m, v) = (param.add(at), m.add(at), v.add(at));
                    if n == 16 {
                        let (p1, m1, v1) = step(adam, sum, L::load(param), L::load(m), L::load(v));
                        p1.store(param);
                        m1.store(m);
                        v1.store(v);
                    } else {
                        let (p1, m1, v1) = step(adam, sum, L::load_first(param, n), L::load_first(m, n), L::load_first(v, n));
                        p1.store_first(param, n);
                        m1.store_first(m, n);
                        v1.store_first(v, n);
                    }
                }
            }
        }
    }
}

/// See `twin::step`.
#[inline(always)]
unsafe fn step<L: Lanes>(adam: &Adam, gradient: L, param: L, m: L, v: L) -> (L, L, L) {
    // SAFETY: the caller has the machine.
    unsafe {
        let g = if adam.decay == 0.0 { gradient } else { gradient.add(L::splat(adam.decay).mul(param)) };
        let m = m.add(L::splat(adam.share1).mul(g.sub(m)));
        let v = L::splat(adam.beta2).mul(v).add(L::splat(adam.share2).mul(g).mul(g));
        let below = v.sqrt().mul(L::splat(adam.root)).add(L::splat(adam.epsilon));
        let next = param.mul(L::splat(adam.shrink)).sub(L::splat(adam.step).mul(m.div(below)));
        let within = if adam.is_bounded() { L::splat(adam.greatest).min(L::splat(adam.least).max(next)) } else { next };
        (within, m, v)
    }
}

/// Four rows by five columns at a time.
#[inline(always)]
unsafe fn dots<L: Lanes>(a: Right<'_>, b: Right<'_>, size: Size, after: After<'_>, out: &mut [f32]) {
    for row in (0..size.rows).step_by(4) {
        for column in (0..size.columns).step_by(5) {
            let (rows, columns) = (4.min(size.rows - row), 5.min(size.columns - column));
            // SAFETY: rows and columns are within the factors.
            unsafe {
                if (rows, columns) == (4, 5) {
                    dot_tile::<L, 4, 5>(a, b, size, after, out, (row, column));
                    continue;
                }
                for row in row..row + rows {
                    for column in column..column + columns {
                        dot_tile::<L, 1, 1>(a, b, size, after, out, (row, column));
                    }
                }
            }
        }
    }
}

#[inline(always)]
unsafe fn dot_tile<L: Lanes, const R: usize, const C: usize>(
    a: Right<'_>,
    b: Right<'_>,
    size: Size,
    after: After<'_>,
    out: &mut [f32],
    (row, column): (usize, usize),
) {
    // SAFETY: `R` rows from `row` and `C` columns from `column` are within the factors.
    unsafe {
        let mut sums = [[L::splat(0.0); C]; R];
        let (a, a_row) = (a.data.as_ptr().add(row * a.row), a.row);
        let (b, b_row) = (b.data.as_ptr().add(column * b.row), b.row);
        let whole = size.len / 16 * 16;
        for s in (0..whole).step_by(16) {
            let mut columns = [L::splat(0.0); C];
            for c in 0..C {
                columns[c] = L::load(b.add(c * b_row + s));
            }
            for r in 0..R {
                let a = L::load(a.add(r * a_row + s));
                for c in 0..C {
                    sums[r][c] = a.mul_add(columns[c], sums[r][c]);
                }
            }
        }
        let rest = size.len - whole;
        if rest > 0 {
            let mut columns = [L::splat(0.0); C];
            for c in 0..C {
                columns[c] = L::load_first(b.add(c * b_row + whole), rest);
            }
            for r in 0..R {
                let a = L::load_first(a.add(r * a_row + whole), rest);
                for c in 0..C {
                    sums[r][c] = a.mul_add(columns[c], sums[r][c]);
                }
            }
        }
        for r in 0..R {
            for c in 0..C {
                let mut lanes = [0.0; 16];
                sums[r][c].store(lanes.as_mut_ptr());
                let sum = super::twin::tree(lanes);
                let sum = after.bias.map_or(sum, |bias| sum + bias[column + c]);
                out[(row + r) * size.columns + column + c] = if after.relu && sum <= 0.0 { 0.0 } else { sum };
            }
        }
    }
}

/// A matrix for [`gemm`]: its elements, from row to row, from column to column.
pub(crate) type Strided<'a, T> = (&'a [T], usize, usize);

/// `out = a b` by the `gemm` crate, one thread; `out` row by row.
pub(crate) fn gemm<T: 'static>(a: Strided<'_, T>, b: Strided<'_, T>, size: Size, one: T, zero: T, out: &mut [T]) {
    let Size { rows, len, columns } = size;
    assert!(super::reach(rows, a.1, len, a.2) <= a.0.len(), "INV-TENSOR-BOUNDS: the left factor");
    assert!(super::reach(len, b.1, columns, b.2) <= b.0.len(), "INV-TENSOR-BOUNDS: the right factor");
    assert_eq!(out.len(), rows * columns, "INV-TENSOR-BOUNDS: the product");
    let [ar, ac, br, bc] = [a.1, a.2, b.1, b.2].map(|stride| stride as isize);
    // SAFETY: every element that the strides and lengths name is within its slice, and `out` is borrowed alone.
    unsafe {
        gemm::gemm(
            rows,
            columns,
            len,
            out.as_mut_ptr(),
            1,
            columns as isize,
            false,
            a.0.as_ptr(),
            ac,
            ar,
            b.0.as_ptr(),
            bc,
            br,
            zero,
            one,
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}

/// Subnormal numbers count as 0 while this lives; afterwards the machine is as it was.
///
/// Moments of dead inputs decay into them, and each touch would cost a hundred cycles.
pub(crate) struct Flushed {
    #[cfg(target_arch = "x86_64")]
    before: u32,
    /// The setting is this thread's.
    _here: std::marker::PhantomData<*const ()>,
}

#[cfg(target_arch = "x86_64")]
impl Flushed {
    /// Flush to zero, and denormals are zero.
    const BITS: u32 = 1 << 15 | 1 << 6;

    pub fn new() -> Flushed {
        let mut before = 0u32;
        // SAFETY: reads and writes the control register of this thread's SSE unit, which every x86-64 has.
        unsafe {
            std::arch::asm!("stmxcsr [{}]", in(reg) &raw mut before, options(nostack));
            let now = before | Flushed::BITS;
            std::arch::asm!("ldmxcsr [{}]", in(reg) &raw const now, options(nostack));
        }
        Flushed { before, _here: std::marker::PhantomData }
    }
}

#[cfg(target_arch = "x86_64")]
impl Drop for Flushed {
    fn drop(&mut self) {
        // SAFETY: as above.
        unsafe { std::arch::asm!("ldmxcsr [{}]", in(reg) &raw const self.before, options(nostack)) }
    }
}

#[cfg(not(target_arch = "x86_64"))]
impl Flushed {
    pub fn new() -> Flushed {
        Flushed { _here: std::marker::PhantomData }
    }
}
