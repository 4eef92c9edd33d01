//! The tiles: products with what follows them, and Adam's step inside the product that is its gradient.
//!
//! One kernel is written over 16 lanes (`lanes`) and compiled three times: AVX-512, AVX2 with FMA, and plain Rust. Each element of a
//! result is one chain of fused multiply-adds in the order of the summed axis, or 16 of them and a fixed tree ([`dot`]), so its bits
//! depend neither on the machine's width nor on threads. [`twin`] says the same without `unsafe`; the tests compare bits.
//!
//! All `unsafe` of this crate is in `lanes` and `raw`: loads and stores within bounds that the functions here have checked.

pub(crate) mod lanes;
pub(crate) mod raw;
pub mod twin;

/// How wide the machine is; found out once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Width {
    /// Plain Rust.
    Plain,
    /// AVX2 and FMA.
    Avx2,
    /// AVX-512 F, VL, DQ and BW.
    Avx512,
}

impl Width {
    /// The widest that this machine has.
    pub fn widest() -> Width {
        if raw::has(Width::Avx512) {
            Width::Avx512
        } else if raw::has(Width::Avx2) {
            Width::Avx2
        } else {
            Width::Plain
        }
    }

    /// Those that this machine has.
    pub fn all() -> impl Iterator<Item = Width> {
        [Width::Plain, Width::Avx2, Width::Avx512].into_iter().filter(|&width| raw::has(width))
    }
}

/// The left factor of a product: element `(i, s)` lies at `offset + i * row + s * column`.
#[derive(Clone, Copy, Debug)]
pub struct Left<'a> {
    /// Where it lies.
    pub data: &'a [f32],
    /// From row to row.
    pub row: usize,
    /// From column to column.
    pub column: usize,
}

/// The right factor: its rows lie `row` apart, their elements side by side.
#[derive(Clone, Copy, Debug)]
pub struct Right<'a> {
    /// Where it lies.
    pub data: &'a [f32],
    /// From row to row.
    pub row: usize,
}

/// `rows × len` by `len × columns`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Rows of the left factor.
    pub rows: usize,
    /// What is summed over.
    pub len: usize,
    /// Columns of the right factor.
    pub columns: usize,
}

/// What follows a product.
#[derive(Clone, Copy, Debug)]
pub struct After<'a> {
    /// Added to each row.
    pub bias: Option<&'a [f32]>,
    /// Nothing below 0 remains.
    pub relu: bool,
}

/// What Adam does with a gradient. See `thalweg_training::Rule`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Adam {
    /// The rate with its correction.
    pub step: f32,
    /// What the root of squares is multiplied by.
    pub root: f32,
    /// What the parameter is multiplied by before.
    pub shrink: f32,
    /// `1 - beta1`
    pub share1: f32,
    /// `beta2`
    pub beta2: f32,
    /// `1 - beta2`
    pub share2: f32,
    /// Added to the root.
    pub epsilon: f32,
    /// Decay as a part of the gradient.
    pub decay: f32,
    /// Where the parameter may be.
    pub least: f32,
    /// Where the parameter may be.
    pub greatest: f32,
}

impl Adam {
    /// Whether the parameter may not be anywhere.
    #[inline(always)]
    fn is_bounded(&self) -> bool {
        self.least > f32::NEG_INFINITY || self.greatest < f32::INFINITY
    }
}

/// A parameter and its moments, `rows × columns` each.
#[derive(Debug)]
pub struct Moving<'a> {
    /// The parameter.
    pub param: &'a mut [f32],
    /// The mean of the gradient.
    pub m: &'a mut [f32],
    /// The mean of its square.
    pub v: &'a mut [f32],
}

/// Ends where the last element of a strided matrix lies.
fn reach(rows: usize, row: usize, columns: usize, column: usize) -> usize {
    if rows == 0 || columns == 0 { 0 } else { (rows - 1) * row + (columns - 1) * column + 1 }
}

fn check(a: Left<'_>, b: Right<'_>, size: Size) {
    assert!(reach(size.rows, a.row, size.len, a.column) <= a.data.len(), "INV-TENSOR-BOUNDS: the left factor");
    assert!(reach(size.len, b.row, size.columns, 1) <= b.data.len(), "INV-TENSOR-BOUNDS: the right factor");
}

/// `out = a b`, then what follows.
pub fn product(width: Width, a: Left<'_>, b: Right<'_>, size: Size, after: After<'_>, out: &mut [f32]) {
    check(a, b, size);
    assert_eq!(out.len(), size.rows * size.columns, "INV-TENSOR-BOUNDS: the product");
    assert!(after.bias.is_none_or(|bias| bias.len() == size.columns), "INV-TENSOR-BOUNDS: the bias");
    raw::product(width, a, b, size, after, out);
}

/// `out = a bᵀ`, both with rows whose elements lie side by side; then what follows. Sums in 16 lanes, then a fixed tree.
pub fn dot(width: Width, a: Right<'_>, b: Right<'_>, size: Size, after: After<'_>, out: &mut [f32]) {
    assert!(reach(size.rows, a.row, size.len, 1) <= a.data.len(), "INV-TENSOR-BOUNDS: the left factor");
    assert!(reach(size.columns, b.row, size.len, 1) <= b.data.len(), "INV-TENSOR-BOUNDS: the right factor");
    assert_eq!(out.len(), size.rows * size.columns, "INV-TENSOR-BOUNDS: the product");
    assert!(after.bias.is_none_or(|bias| bias.len() == size.columns), "INV-TENSOR-BOUNDS: the bias");
    raw::dot(width, a, b, size, after, out);
}

/// Adam's step of a parameter whose gradient is `a b`.
pub fn descend(width: Width, a: Left<'_>, b: Right<'_>, size: Size, adam: &Adam, moving: Moving<'_>) {
    check(a, b, size);
    for part in [&moving.param, &moving.m, &moving.v] {
        assert_eq!(part.len(), size.rows * size.columns, "INV-TENSOR-BOUNDS: the parameter");
    }
    raw::descend(width, a, b, size, adam, moving);
}
