//! Exact sums against Shewchuk's expansions, which are another algorithm, and against themselves in other orders.

use proptest::prelude::*;

use super::*;

/// The sum of finite doubles, rounded once: partial sums that do not overlap, then one rounding.
///
/// Source: Shewchuk 1997, "Adaptive Precision Floating-Point Arithmetic"; the rounding as in Python's `math.fsum`.
fn shewchuk(xs: &[f64]) -> f64 {
    let mut partials: Vec<f64> = Vec::new();
    for &x in xs {
        let mut x = x;
        let mut kept = Vec::new();
        for &y in &partials {
            let (big, small) = if x.abs() >= y.abs() { (x, y) } else { (y, x) };
            let high = big + small;
            let low = small - (high - big);
            if low != 0.0 {
                kept.push(low);
            }
            x = high;
        }
        kept.push(x);
        partials = kept;
    }
    let mut high = partials.pop().unwrap_or(0.0);
    let mut low = 0.0;
    while let Some(y) = partials.pop() {
        let x = high;
        high = x + y;
        low = y - (high - x);
        if low != 0.0 {
            break;
        }
    }
    if let Some(&next) = partials.last() {
        // A tie is no tie if something smaller stands behind it.
        if (low < 0.0 && next < 0.0) || (low > 0.0 && next > 0.0) {
            let doubled = low * 2.0;
            let candidate = high + doubled;
            if doubled == candidate - high {
                high = candidate;
            }
        }
    }
    high + 0.0
}

fn sum(xs: &[f64]) -> ExactSum {
    let mut sum = ExactSum::new();
    xs.iter().for_each(|x| sum.insert(*x));
    sum
}

/// Doubles of all sizes, with many that cancel or lie close.
pub(crate) fn any_double() -> impl Strategy<Value = f64> {
    prop_oneof![
        4 => (-100_000i64..100_000).prop_map(|x| x as f64 / 100.0),
        2 => any::<i64>().prop_map(|x| x as f64),
        2 => any::<f64>().prop_filter("finite", |x| x.is_finite()),
        1 => prop_oneof![Just(0.0), Just(-0.0), Just(f64::MIN_POSITIVE), Just(5e-324), Just(-5e-324), Just(f64::MAX), Just(f64::MIN)],
    ]
}

fn moderate_double() -> impl Strategy<Value = f64> {
    any_double().prop_map(|x| if x.abs() > 1e300 { x / 1e20 } else { x })
}

proptest! {
    #[test]
    fn the_sum_is_rounded_once(xs in prop::collection::vec(moderate_double(), 0..40)) {
        prop_assert_eq!(sum(&xs).value().to_bits(), shewchuk(&xs).to_bits(), "{:?}", xs);
        prop_assert_eq!(sum(&xs).mean(1).to_bits(), shewchuk(&xs).to_bits());
    }

    #[test]
    fn what_goes_out_leaves_nothing(
        stay in prop::collection::vec(any_double(), 0..12),
        go in prop::collection::vec(prop_oneof![9 => any_double(), 1 => any::<f64>()], 0..12),
        order in any::<u64>(),
    ) {
        let mut both: Vec<(f64, bool)> = stay.iter().map(|x| (*x, false)).chain(go.iter().map(|x| (*x, true))).collect();
        shuffle(&mut both, order);
        let mut mixed = ExactSum::new();
        let mut waiting = Vec::new();
        for (i, (x, goes)) in both.iter().enumerate() {
            mixed.insert(*x);
            if *goes {
                waiting.push(*x);
            }
            if i % 2 == 1
                && let Some(x) = waiting.pop()
            {
                mixed.remove(x);
            }
        }
        waiting.into_iter().for_each(|x| mixed.remove(x));
        prop_assert_eq!(mixed.value().to_bits(), sum(&stay).value().to_bits());
        prop_assert_eq!(mixed.mean(7).to_bits(), sum(&stay).mean(7).to_bits());
        prop_assert_eq!(mixed.count(), stay.len() as u64);
        stay.iter().for_each(|x| mixed.remove(*x));
        prop_assert_eq!(mixed.value().to_bits(), 0.0f64.to_bits());
        prop_assert_eq!(mixed.heap_bytes(), 0);
    }

    /// No double is nearer to the quotient of two integers than its mean.
    #[test]
    fn a_mean_is_the_nearest_double(total in (1i128 << 60)..(1i128 << 80), negative in any::<bool>(), count in 1u64..1_000_000) {
        let total = if negative { -total } else { total };
        let size = total.unsigned_abs();
        let mean = quotient(total < 0, &mut [0, 0, size as u64, (size >> 64) as u64], -128, count);
        let distance = |x: f64| {
            let (k, e) = crate::decimal::split_f64(x);
            let sign = if x < 0.0 { -1 } else { 1 };
            let product = sign * i128::from(k) * i128::from(count); // In units of 2^e, and e is above -40: the mean is above 2^40.
            ((product << (e + 40)) - (total << 40)).unsigned_abs()
        };
        prop_assert!(distance(mean) <= distance(mean.next_up()) && distance(mean) <= distance(mean.next_down()));
    }
}

fn shuffle<T>(items: &mut [T], seed: u64) {
    let mut state = seed | 1;
    for i in (1..items.len()).rev() {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        items.swap(i, (state >> 33) as usize % (i + 1));
    }
}

#[test]
fn edges_of_the_range() {
    let two_53 = 9_007_199_254_740_992.0;
    for (xs, expected) in [
        (vec![], 0.0),
        (vec![-0.0], 0.0),
        (vec![0.1; 10], 1.0),
        (vec![1e16, 1.0, -1e16], 1.0),
        (vec![1e308, 1e308, -1e308], 1e308),
        (vec![1e308, 1e308], f64::INFINITY),
        (vec![-1e308, -1e308], f64::NEG_INFINITY),
        (vec![f64::MAX, -f64::MAX, 5e-324], 5e-324),
        (vec![5e-324, 5e-324], 1e-323),
        (vec![f64::MIN_POSITIVE, -5e-324], 2.225073858507201e-308),
        (vec![two_53, 1.0], two_53),
        (vec![two_53, 1.0, 5e-324], two_53 + 2.0),
        (vec![two_53, 1.0, -5e-324], two_53),
        (vec![f64::MAX, f64::MAX / 2e16], f64::MAX),
        (vec![f64::MAX, f64::MAX / 9e15], f64::INFINITY),
        (vec![f64::INFINITY, 1.0], f64::INFINITY),
        (vec![f64::NEG_INFINITY, f64::MAX], f64::NEG_INFINITY),
    ] {
        assert_eq!(sum(&xs).value().to_bits(), f64::to_bits(expected), "{xs:?}");
    }
    assert!(sum(&[f64::INFINITY, f64::NEG_INFINITY]).value().is_nan());
    let mut special = sum(&[f64::NAN, 1.0, f64::INFINITY]);
    special.remove(f64::NAN);
    assert_eq!(special.value(), f64::INFINITY);
    special.remove(f64::INFINITY);
    assert_eq!(special.value(), 1.0);
    assert_eq!(sum(&[f64::MAX, f64::MAX]).mean(2), f64::MAX, "the sum overflows, its mean does not");
    assert_eq!(sum(&[5e-324]).mean(2), 0.0, "half of the smallest goes to the even neighbour");
    assert_eq!(sum(&[1.5e-323]).mean(2), 1e-323, "one and a half of the smallest likewise");
    assert_eq!(sum(&vec![0.01; 100_000]).heap_bytes(), 0, "money never spills");
}
