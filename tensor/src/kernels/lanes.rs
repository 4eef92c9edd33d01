//! Sixteen singles: one register of AVX-512, two of AVX2, or an array. The same operations in the same order on each.

#![allow(unsafe_code)]

/// Sixteen singles.
///
/// # Safety
/// Every method needs the machine that the implementation is for; loads and stores need 16 elements, or `n`, at the address.
pub(crate) trait Lanes: Copy {
    unsafe fn splat(x: f32) -> Self;
    /// Says that the place will be needed soon.
    unsafe fn ask(at: *const f32);
    unsafe fn load(from: *const f32) -> Self;
    /// The first `n`; the others are 0.
    unsafe fn load_first(from: *const f32, n: usize) -> Self;
    unsafe fn store(self, to: *mut f32);
    unsafe fn store_first(self, to: *mut f32, n: usize);
    /// `self * b + c`, rounded once.
    unsafe fn mul_add(self, b: Self, c: Self) -> Self;
    unsafe fn add(self, b: Self) -> Self;
    unsafe fn sub(self, b: Self) -> Self;
    unsafe fn mul(self, b: Self) -> Self;
    unsafe fn div(self, b: Self) -> Self;
    unsafe fn sqrt(self) -> Self;
    /// `b` where `self` is no more than it or NaN.
    unsafe fn max(self, b: Self) -> Self;
    /// `b` where `self` is no less than it or NaN.
    unsafe fn min(self, b: Self) -> Self;
}

/// An array, for any machine.
#[derive(Clone, Copy)]
pub(crate) struct Plain([f32; 16]);

impl Plain {
    #[inline(always)]
    fn zip(self, b: Plain, f: impl Fn(f32, f32) -> f32) -> Plain {
        Plain(std::array::from_fn(|i| f(self.0[i], b.0[i])))
    }
}

impl Lanes for Plain {
    #[inline(always)]
    unsafe fn ask(_: *const f32) {}
    #[inline(always)]
    unsafe fn splat(x: f32) -> Plain {
        Plain([x; 16])
    }
    #[inline(always)]
    unsafe fn load(from: *const f32) -> Plain {
        // SAFETY: the caller has 16 elements there.
        Plain(unsafe { from.cast::<[f32; 16]>().read_unaligned() })
    }
    #[inline(always)]
    unsafe fn load_first(from: *const f32, n: usize) -> Plain {
        // SAFETY: the caller has n elements there.
        Plain(std::array::from_fn(|i| if i < n { unsafe { *from.add(i) } } else { 0.0 }))
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: the caller has 16 elements there.
        unsafe { to.cast::<[f32; 16]>().write_unaligned(self.0) }
    }
    #[inline(always)]
    unsafe fn store_first(self, to: *mut f32, n: usize) {
        for (i, x) in self.0.into_iter().enumerate().take(n) {
            // SAFETY: the caller has n elements there.
            unsafe { *to.add(i) = x }
        }
    }
    #[inline(always)]
    unsafe fn mul_add(self, b: Plain, c: Plain) -> Plain {
        Plain(std::array::from_fn(|i| self.0[i].mul_add(b.0[i], c.0[i])))
    }
    #[inline(always)]
    unsafe fn add(self, b: Plain) -> Plain {
        self.zip(b, |a, b| a + b)
    }
    #[inline(always)]
    unsafe fn sub(self, b: Plain) -> Plain {
        self.zip(b, |a, b| a - b)
    }
    #[inline(always)]
    unsafe fn mul(self, b: Plain) -> Plain {
        self.zip(b, |a, b| a * b)
    }
    #[inline(always)]
    unsafe fn div(self, b: Plain) -> Plain {
        self.zip(b, |a, b| a / b)
    }
    #[inline(always)]
    unsafe fn sqrt(self) -> Plain {
        self.zip(self, |a, _| a.sqrt())
    }
    #[inline(always)]
    unsafe fn max(self, b: Plain) -> Plain {
        self.zip(b, |a, b| if a > b { a } else { b })
    }
    #[inline(always)]
    unsafe fn min(self, b: Plain) -> Plain {
        self.zip(b, |a, b| if a < b { a } else { b })
    }
}

#[cfg(target_arch = "x86_64")]
pub(crate) use x86::{Avx2, Avx512};

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::Lanes;
    use std::arch::x86_64::*;

    /// One register.
    #[derive(Clone, Copy)]
    pub(crate) struct Avx512(__m512);

    /// Two registers.
    #[derive(Clone, Copy)]
    pub(crate) struct Avx2(__m256, __m256);

    // SAFETY of all that follows: the caller has the machine and, where there is an address, the elements.
    impl Lanes for Avx512 {
        #[inline(always)]
        unsafe fn ask(at: *const f32) {
            unsafe { _mm_prefetch::<_MM_HINT_T0>(at.cast()) }
        }
        #[inline(always)]
        unsafe fn splat(x: f32) -> Avx512 {
            unsafe { Avx512(_mm512_set1_ps(x)) }
        }
        #[inline(always)]
        unsafe fn load(from: *const f32) -> Avx512 {
            unsafe { Avx512(_mm512_loadu_ps(from)) }
        }
        #[inline(always)]
        unsafe fn load_first(from: *const f32, n: usize) -> Avx512 {
            unsafe { Avx512(_mm512_maskz_loadu_ps(first(n), from)) }
        }
        #[inline(always)]
        unsafe fn store(self, to: *mut f32) {
            unsafe { _mm512_storeu_ps(to, self.0) }
        }
        #[inline(always)]
        unsafe fn store_first(self, to: *mut f32, n: usize) {
            unsafe { _mm512_mask_storeu_ps(to, first(n), self.0) }
        }
        #[inline(always)]
        unsafe fn mul_add(self, b: Avx512, c: Avx512) -> Avx512 {
            unsafe { Avx512(_mm512_fmadd_ps(self.0, b.0, c.0)) }
        }
        #[inline(always)]
        unsafe fn add(self, b: Avx512) -> Avx512 {
            unsafe { Avx512(_mm512_add_ps(self.0, b.0)) }
        }
        #[inline(always)]
        unsafe fn sub(self, b: Avx512) -> Avx512 {
            unsafe { Avx512(_mm512_sub_ps(self.0, b.0)) }
        }
        #[inline(always)]
        unsafe fn mul(self, b: Avx512) -> Avx512 {
            unsafe { Avx512(_mm512_mul_ps(self.0, b.0)) }
        }
        #[inline(always)]
        unsafe fn div(self, b: Avx512) -> Avx512 {
            unsafe { Avx512(_mm512_div_ps(self.0, b.0)) }
        }
        #[inline(always)]
        unsafe fn sqrt(self) -> Avx512 {
            unsafe { Avx512(_mm512_sqrt_ps(self.0)) }
        }
        #[inline(always)]
        unsafe fn max(self, b: Avx512) -> Avx512 {
            unsafe { Avx512(_mm512_max_ps(self.0, b.0)) }
        }
        #[inline(always)]
        unsafe fn min(self, b: Avx512) -> Avx512 {
            unsafe { Avx512(_mm512_min_ps(self.0, b.0)) }
        }
    }

    fn first(n: usize) -> __mmask16 {
        if n >= 16 { !0 } else { (1 << n) - 1 }
    }

    impl Lanes for Avx2 {
        #[inline(always)]
        unsafe fn ask(at: *const f32) {
            unsafe { _mm_prefetch::<_MM_HINT_T0>(at.cast()) }
        }
        #[inline(always)]
        unsafe fn splat(x: f32) -> Avx2 {
            unsafe { Avx2(_mm256_set1_ps(x), _mm256_set1_ps(x)) }
        }
        #[inline(always)]
        unsafe fn load(from: *const f32) -> Avx2 {
            unsafe { Avx2(_mm256_loadu_ps(from), _mm256_loadu_ps(from.add(8))) }
        }
        #[inline(always)]
        unsafe fn load_first(from: *const f32, n: usize) -> Avx2 {
            let mut lanes = [0.0; 16];
            for (i, lane) in lanes.iter_mut().enumerate().take(n) {
                *lane = unsafe { *from.add(i) };
            }
            unsafe { Avx2::load(lanes.as_ptr()) }
        }
        #[inline(always)]
        unsafe fn store(self, to: *mut f32) {
            unsafe {
                _mm256_storeu_ps(to, self.0);
                _mm256_storeu_ps(to.add(8), self.1);
            }
        }
        #[inline(always)]
        unsafe fn store_first(self, to: *mut f32, n: usize) {
            let mut lanes = [0.0; 16];
            unsafe { self.store(lanes.as_mut_ptr()) };
            for (i, lane) in lanes.into_iter().enumerate().take(n) {
                unsafe { *to.add(i) = lane };
            }
        }
        #[inline(always)]
        unsafe fn mul_add(self, b: Avx2, c: Avx2) -> Avx2 {
            unsafe { Avx2(_mm256_fmadd_ps(self.0, b.0, c.0), _mm256_fmadd_ps(self.1, b.1, c.1)) }
        }
        #[inline(always)]
        unsafe fn add(self, b: Avx2) -> Avx2 {
            unsafe { Avx2(_mm256_add_ps(self.0, b.0), _mm256_add_ps(self.1, b.1)) }
        }
        #[inline(always)]
        unsafe fn sub(self, b: Avx2) -> Avx2 {
            unsafe { Avx2(_mm256_sub_ps(self.0, b.0), _mm256_sub_ps(self.1, b.1)) }
        }
        #[inline(always)]
        unsafe fn mul(self, b: Avx2) -> Avx2 {
            unsafe { Avx2(_mm256_mul_ps(self.0, b.0), _mm256_mul_ps(self.1, b.1)) }
        }
        #[inline(always)]
        unsafe fn div(self, b: Avx2) -> Avx2 {
            unsafe { Avx2(_mm256_div_ps(self.0, b.0), _mm256_div_ps(self.1, b.1)) }
        }
        #[inline(always)]
        unsafe fn sqrt(self) -> Avx2 {
            unsafe { Avx2(_mm256_sqrt_ps(self.0), _mm256_sqrt_ps(self.1)) }
        }
        #[inline(always)]
        unsafe fn max(self, b: Avx2) -> Avx2 {
            unsafe { Avx2(_mm256_max_ps(self.0, b.0), _mm256_max_ps(self.1, b.1)) }
        }
        #[inline(always)]
        unsafe fn min(self, b: Avx2) -> Avx2 {
            unsafe { Avx2(_mm256_min_ps(self.0, b.0), _mm256_min_ps(self.1, b.1)) }
        }
    }
}
