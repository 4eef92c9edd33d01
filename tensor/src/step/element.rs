//! Singles and doubles as a step computes with them: the functions of [`Unary`] written so that loops over them become vectors, and the
//! products that each type has kernels for.

use crate::kernels::{self, Adam, After, Left, Moving, Right, Size, Width, raw};
use crate::rules::Unary;
use crate::value::Real;

/// A factor in a buffer: its elements, from row to row, from column to column.
pub(crate) type Factor<'a, T> = raw::Strided<'a, T>;

/// A number that steps compute with: `f32` or `f64`.
pub trait Element: Real {
    /// Whether [`Element::descend`] is there.
    const TILES: bool;
    /// 0
    const ZERO: Self;
    /// 1
    const ONE: Self;
    /// Moments below this are 0: soon they would be subnormal.
    const TINY: Self;
    /// e to the power of it.
    fn exp(self) -> Self;
    /// The hyperbolic tangent.
    fn tanh(self) -> Self;
    /// The square root.
    fn sqrt(self) -> Self;
    /// Whether it is no number.
    fn is_nan(self) -> bool;
    /// Functions that are rare, through doubles.
    fn rare(self, op: Unary) -> Self {
        Self::from_f64(op.apply(self.to_f64()))
    }
    /// `out = a b`, then what follows.
    fn product(
        width: Width,
        a: Factor<'_, Self>,
        b: Factor<'_, Self>,
        size: Size,
        bias: Option<&[Self]>,
        relu: bool,
        out: &mut [Self],
    );
    /// Adam's step with the gradient `a b`; the parameter, then its moments.
    fn descend(width: Width, a: Factor<'_, Self>, b: Factor<'_, Self>, size: Size, adam: &Adam, moving: [&mut [Self]; 3]);
}

/// Singles: a right factor of so many elements lies beyond the second cache, so the product is packed by the `gemm` crate.
const PACKED_FROM: usize = 1 << 19;

/// Doubles, and factors that lie askew: products of so many multiplications are.
const PACKED_FROM_SIZE: usize = 1 << 20;

impl Element for f32 {
    const TILES: bool = true;
    const ZERO: f32 = 0.0;
    const ONE: f32 = 1.0;
    const TINY: f32 = 1e-35;

    /// Cephes `expf`. Rounds by adding and taking away 1.5 × 2²³, which vectors can.
    #[inline(always)]
    fn exp(self) -> f32 {
        const MAGIC: f32 = 12_582_912.0;
        let x = if self > 89.0 { 89.0 } else { self };
        let x = if x < -104.0 { -104.0 } else { x };
        let shifted = x * std::f32::consts::LOG2_E + MAGIC;
        let n = shifted - MAGIC;
        let r = x - n * 0.693_359_4 + n * 2.121_944_4e-4;
        let p =
            ((((1.987_569_2e-4 * r + 1.398_199_9e-3) * r + 8.333_452e-3) * r + 4.166_579_6e-2) * r + 1.666_666_5e-1) * r + 0.5;
        let y = p * r * r + r + 1.0;
        // Two halves of the exponent, so that neither leaves the range.
        let n = (shifted.to_bits() as i32).wrapping_sub(MAGIC.to_bits() as i32);
        let half = n >> 1;
        let power = |n: i32| f32::from_bits((n.wrapping_add(127) << 23) as u32);
        y * power(half) * power(n.wrapping_sub(half))
    }

    /// Cephes `tanhf`: a polynomial near 0, by `exp` elsewhere.
    #[inline(always)]
    fn tanh(self) -> f32 {
        let z = self * self;
        let near =
            ((((-5.704_988_7e-3 * z + 2.063_909e-2) * z - 5.373_971_5e-2) * z + 1.333_144_2e-1) * z - 3.333_328e-1) * z * self
                + self;
        let far = 1.0 - 2.0 / (Element::exp(2.0 * self.abs()) + 1.0);
        let far = if self < 0.0 { -far } else { far };
        if self.abs() < 0.625 { near } else { far }
    }

    #[inline(always)]
    fn sqrt(self) -> f32 {
        f32::sqrt(self)
    }

    #[inline(always)]
    fn is_nan(self) -> bool {
        f32::is_nan(self)
    }

    fn product(
        width: Width,
        a: Factor<'_, f32>,
        b: Factor<'_, f32>,
        size: Size,
        bias: Option<&[f32]>,
        relu: bool,
        out: &mut [f32],
    ) {
        let after = After { bias, relu };
        let large = size.rows > 16 && size.len * size.columns > PACKED_FROM;
        match (a, b) {
            ((a, row, 1), (b, 1, columns)) if size.columns < 16 => {
                kernels::dot(width, Right { data: a, row }, Right { data: b, row: columns }, size, after, out);
            }
            ((a, row, column), (b, down, 1)) if !large => {
                kernels::product(width, Left { data: a, row, column }, Right { data: b, row: down }, size, after, out);
            }
            _ => strided(a, b, size, bias, relu, out),
        }
    }

    fn descend(width: Width, a: Factor<'_, f32>, b: Factor<'_, f32>, size: Size, adam: &Adam, [param, m, v]: [&mut [f32]; 3]) {
        let (a, b) = (Left { data: a.0, row: a.1, column: a.2 }, Right { data: b.0, row: b.1 });
        kernels::descend(width, a, b, size, adam, Moving { param, m, v });
    }
}

impl Element for f64 {
    const TILES: bool = false;
    const ZERO: f64 = 0.0;
    const ONE: f64 = 1.0;
    const TINY: f64 = 1e-290;

    #[inline(always)]
    fn exp(self) -> f64 {
        f64::exp(self)
    }

    #[inline(always)]
    fn tanh(self) -> f64 {
        f64::tanh(self)
    }

    #[inline(always)]
    fn sqrt(self) -> f64 {
        f64::sqrt(self)
    }

    #[inline(always)]
    fn is_nan(self) -> bool {
        f64::is_nan(self)
    }

    fn product(_: Width, a: Factor<'_, f64>, b: Factor<'_, f64>, size: Size, bias: Option<&[f64]>, relu: bool, out: &mut [f64]) {
        strided(a, b, size, bias, relu, out);
    }

    fn descend(_: Width, _: Factor<'_, f64>, _: Factor<'_, f64>, _: Size, _: &Adam, _: [&mut [f64]; 3]) {
        unreachable!("invariant: gradients are descended where there are tiles");
    }
}

/// Row by row where the product is small, else by the `gemm` crate, which makes room for what it packs in each call; then what follows.
fn strided<T: Element>(a: Factor<'_, T>, b: Factor<'_, T>, size: Size, bias: Option<&[T]>, relu: bool, out: &mut [T]) {
    if size.rows * size.len * size.columns >= PACKED_FROM_SIZE {
        raw::gemm(a, b, size, T::ONE, T::ZERO, out);
    } else {
        rows(a, b, size, out);
    }
    if size.columns == 0 || (bias.is_none() && !relu) {
        return;
    }
    for row in out.chunks_exact_mut(size.columns) {
        if let Some(bias) = bias {
            row.iter_mut().zip(bias).for_each(|(x, bias)| *x += *bias);
        }
        if relu {
            row.iter_mut().for_each(|x| *x = if *x <= T::ZERO { T::ZERO } else { *x });
        }
    }
}

/// Each row of the product is a sum of rows of the right factor.
fn rows<T: Element>(a: Factor<'_, T>, b: Factor<'_, T>, size: Size, out: &mut [T]) {
    for (i, out) in out.chunks_exact_mut(size.columns.max(1)).enumerate() {
        out.fill(T::ZERO);
        for s in 0..size.len {
            let x = a.0[i * a.1 + s * a.2];
            if b.2 == 1 {
                out.iter_mut().zip(&b.0[s * b.1..]).for_each(|(out, y)| *out += x * *y);
            } else {
                out.iter_mut().enumerate().for_each(|(j, out)| *out += x * b.0[s * b.1 + j * b.2]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_of_singles_are_exact_to_3e_7() {
        let (mut exp, mut tanh) = (0.0_f64, 0.0_f64);
        for i in -200_000..200_000 {
            let x = i as f32 * 4.3e-4;
            let off = |own: f32, exact: f64| (f64::from(own) - exact).abs() / exact.abs().max(1e-37);
            exp = exp.max(off(Element::exp(x), f64::from(x).exp()));
            tanh = tanh.max(off(Element::tanh(x), f64::from(x).tanh()));
        }
        assert!(exp < 3e-7 && tanh < 3e-7, "exp {exp}, tanh {tanh}");
        assert_eq!([f32::INFINITY, 90.0, f32::NEG_INFINITY, 0.0].map(Element::exp), [f32::INFINITY, f32::INFINITY, 0.0, 1.0]);
        assert_eq!([f32::INFINITY, f32::NEG_INFINITY, -0.0].map(Element::tanh), [1.0, -1.0, 0.0]);
        assert!(Element::exp(f32::NAN).is_nan() && Element::tanh(f32::NAN).is_nan());
    }
}
