//! Decimals against an oracle that works on digits in vectors, as on paper.

use std::cmp::Ordering;

use proptest::prelude::*;

use super::*;

/// A natural number as decimal digits, least significant first.
type Digits = Vec<u32>;

fn digits_of(text: &str) -> Digits {
    trimmed(text.bytes().rev().map(|b| u32::from(b - b'0')).collect())
}

fn trimmed(mut digits: Digits) -> Digits {
    while digits.last() == Some(&0) {
        digits.pop();
    }
    digits
}

fn add(a: &Digits, b: &Digits) -> Digits {
    let mut sum = vec![0; a.len().max(b.len()) + 1];
    for i in 0..sum.len() - 1 {
        sum[i] += a.get(i).unwrap_or(&0) + b.get(i).unwrap_or(&0);
        (sum[i + 1], sum[i]) = (sum[i] / 10, sum[i] % 10);
    }
    trimmed(sum)
}

/// a - b for a ≥ b.
fn sub(a: &Digits, b: &Digits) -> Digits {
    let mut diff: Vec<i64> = (0..a.len()).map(|i| i64::from(a[i]) - i64::from(*b.get(i).unwrap_or(&0))).collect();
    for i in 0..diff.len() {
        if diff[i] < 0 {
            diff[i] += 10;
            diff[i + 1] -= 1;
        }
    }
    trimmed(diff.into_iter().map(|d| d as u32).collect())
}

fn mul(a: &Digits, b: &Digits) -> Digits {
    let mut product = vec![0; a.len() + b.len() + 1];
    for (i, x) in a.iter().enumerate() {
        for (j, y) in b.iter().enumerate() {
            product[i + j] += x * y;
        }
    }
    for i in 0..product.len() - 1 {
        product[i + 1] += product[i] / 10;
        product[i] %= 10;
    }
    trimmed(product)
}

fn compare(a: &Digits, b: &Digits) -> Ordering {
    a.len().cmp(&b.len()).then_with(|| a.iter().rev().cmp(b.iter().rev()))
}

/// Long division, digit by digit.
fn div_rem(a: &Digits, b: &Digits) -> (Digits, Digits) {
    let (mut quotient, mut rest) = (vec![0; a.len()], Digits::new());
    for i in (0..a.len()).rev() {
        rest.insert(0, a[i]);
        rest = trimmed(rest);
        while compare(&rest, b).is_ge() {
            rest = sub(&rest, b);
            quotient[i] += 1;
        }
    }
    (trimmed(quotient), rest)
}

fn tens(n: usize) -> Digits {
    let mut digits = vec![0; n];
    digits.push(1);
    digits
}

/// A number as the oracle sees it.
#[derive(Clone, Debug)]
struct Paper {
    negative: bool,
    digits: Digits,
    scale: usize,
}

impl Paper {
    fn of(x: &Decimal) -> Paper {
        let text = x.to_string();
        let plain = text.trim_start_matches('-');
        let scale = plain.split_once('.').map_or(0, |(_, fraction)| fraction.len());
        Paper { negative: text.starts_with('-'), digits: digits_of(&plain.replace('.', "")), scale }
    }

    fn at(&self, scale: usize) -> Digits {
        trimmed(mul(&self.digits, &tens(scale - self.scale)))
    }

    /// The text it would print, if it has at most 76 digits.
    fn text(&self) -> Option<String> {
        if self.digits.len() > 76 || self.scale > 76 {
            return None;
        }
        let mut text: String = self.digits.iter().rev().map(|d| char::from(b'0' + *d as u8)).collect();
        while text.len() <= self.scale {
            text.insert(0, '0');
        }
        if self.scale > 0 {
            text.insert(text.len() - self.scale, '.');
        }
        let sign = if self.negative && !self.digits.is_empty() { "-" } else { "" };
        Some(format!("{sign}{text}"))
    }
}

fn sum(a: &Paper, b: &Paper) -> Paper {
    let scale = a.scale.max(b.scale);
    let (x, y) = (a.at(scale), b.at(scale));
    let (negative, digits) = match (a.negative == b.negative, compare(&x, &y)) {
        (true, _) => (a.negative, add(&x, &y)),
        (false, Ordering::Less) => (b.negative, sub(&y, &x)),
        (false, _) => (a.negative, sub(&x, &y)),
    };
    Paper { negative, digits, scale }
}

fn quotient(a: &Paper, b: &Paper) -> Paper {
    let scale = (a.scale.max(b.scale) + 4).min(76);
    let numerator = mul(&a.digits, &tens(scale + b.scale - a.scale));
    let (mut digits, rest) = div_rem(&numerator, &b.digits);
    let half = compare(&add(&rest, &rest), &b.digits);
    if half.is_gt() || (half.is_eq() && digits.first().is_some_and(|d| d % 2 == 1)) {
        digits = add(&digits, &vec![1]);
    }
    Paper { negative: a.negative != b.negative, digits, scale }
}

fn printed(x: Option<Decimal>) -> Option<String> {
    x.map(|x| x.to_string())
}

fn d(text: &str) -> Decimal {
    text.parse().unwrap()
}

/// Any decimal: small ones, 64-bit edges, and up to 76 digits, at any scale.
pub(crate) fn any_decimal() -> impl Strategy<Value = Decimal> {
    let digits = prop_oneof![
        (-1000i64..1000).prop_map(|x| x.to_string()),
        any::<i64>().prop_map(|x| x.to_string()),
        prop_oneof![Just(i64::MIN), Just(i64::MAX), Just(0)].prop_map(|x| x.to_string()),
        any::<i128>().prop_map(|x| x.to_string()),
        "-?[1-9][0-9]{40,75}",
        Just("9".repeat(76)),
        Just("1".to_owned() + &"0".repeat(75)),
    ];
    let scale = prop_oneof![3 => 0u8..6, 1 => 0u8..=76];
    (digits, scale).prop_map(|(digits, scale)| {
        let whole: Decimal = digits.parse().unwrap();
        let (negative, size) = whole.sign_and_size();
        Decimal::from_wide(negative, &size, scale).unwrap()
    })
}

/// DEC-1 and DEC-2.
fn is_canonical(x: &Decimal) -> bool {
    let (negative, size) = x.sign_and_size();
    let rebuilt = Decimal::from_wide(negative, &size, x.scale());
    rebuilt.as_ref() == Some(x)
}

proptest! {
    #[test]
    fn arithmetic_agrees_with_paper(a in any_decimal(), b in any_decimal()) {
        let (x, y) = (Paper::of(&a), Paper::of(&b));
        let minus = Paper { negative: !y.negative, ..y.clone() };
        prop_assert_eq!(printed(a.checked_add(&b)), sum(&x, &y).text());
        prop_assert_eq!(printed(a.checked_sub(&b)), sum(&x, &minus).text());
        let product = Paper { negative: x.negative != y.negative, digits: mul(&x.digits, &y.digits), scale: x.scale + y.scale };
        prop_assert_eq!(printed(a.checked_mul(&b)), product.text());
        if b.is_zero() {
            prop_assert!(a.checked_div(&b).is_none() && a.checked_rem(&b).is_none());
        } else {
            prop_assert_eq!(printed(a.checked_div(&b)), quotient(&x, &y).text());
            let scale = x.scale.max(y.scale);
            let rem = Paper { negative: x.negative, digits: div_rem(&x.at(scale), &y.at(scale)).1, scale };
            prop_assert_eq!(printed(a.checked_rem(&b)), rem.text());
        }
        for answer in [a.checked_add(&b), a.checked_sub(&b), a.checked_mul(&b), a.checked_div(&b), a.checked_rem(&b)].into_iter().flatten() {
            prop_assert!(is_canonical(&answer));
        }
    }

    #[test]
    fn order_is_the_sign_of_the_difference(a in any_decimal(), b in any_decimal()) {
        let (x, y) = (Paper::of(&a), Paper::of(&b));
        let difference = sum(&x, &Paper { negative: !y.negative, ..y });
        let expected = match (difference.digits.is_empty(), difference.negative) {
            (true, _) => Ordering::Equal,
            (false, true) => Ordering::Less,
            (false, false) => Ordering::Greater,
        };
        prop_assert_eq!(a.number_cmp(&b), expected);
        prop_assert_eq!(a.identity_cmp(&b).is_eq(), a == b);
    }

    #[test]
    fn text_and_doubles_round_trip(a in any_decimal(), x in any::<f64>()) {
        prop_assert_eq!(&d(&a.to_string()), &a);
        prop_assert_eq!(a.to_f64(), a.to_string().parse::<f64>().unwrap());
        if let Some(exact) = Decimal::from_f64(x) {
            prop_assert_eq!(exact.to_f64(), x + 0.0);
        }
        prop_assert_eq!(a.cmp_f64(a.to_f64()).reverse(), order_by_expansion(a.to_f64(), &a));
    }

    #[test]
    fn rounding_stays_within_its_bounds(a in any_decimal(), scale in 0u8..=76) {
        let floor = a.rescale(scale, Rounding::Floor);
        let ceil = a.rescale(scale, Rounding::Ceil);
        if let (Some(floor), Some(ceil)) = (floor, ceil) {
            prop_assert!(floor.number_cmp(&a).is_le() && ceil.number_cmp(&a).is_ge());
            for rounding in [Rounding::HalfEven, Rounding::HalfAway, Rounding::Truncate] {
                let rounded = a.rescale(scale, rounding).unwrap();
                prop_assert!(rounded == floor || rounded == ceil);
                prop_assert_eq!(rounded.scale(), scale);
            }
        }
        prop_assert!(a.normalized().number_cmp(&a).is_eq());
    }
}

/// A double's exact decimal expansion against a decimal, as on paper.
fn order_by_expansion(x: f64, a: &Decimal) -> Ordering {
    let text = format!("{x:.400}"); // 305 digits behind the point are enough for the doubles nearest to decimals.
    let plain = text.trim_start_matches('-');
    let expansion = Paper { negative: text.starts_with('-'), digits: digits_of(&plain.replace('.', "")), scale: 400 };
    let a = Paper::of(a);
    let difference = sum(&expansion, &Paper { negative: !a.negative, ..a });
    match (difference.digits.is_empty(), difference.negative) {
        (true, _) => Ordering::Equal,
        (false, true) => Ordering::Less,
        (false, false) => Ordering::Greater,
    }
}

#[test]
fn edges_of_every_operation() {
    let max = "9".repeat(76);
    for (told, expected) in [
        (printed(d("1.10").checked_add(&d("2.2"))), Some("3.30")),
        (printed(d("9223372036854775807").checked_add(&d("1"))), Some("9223372036854775808")),
        (printed(d("-9223372036854775808").checked_sub(&d("1"))), Some("-9223372036854775809")),
        (printed(d("9223372036854775808").checked_sub(&d("1"))), Some("9223372036854775807")),
        (printed(d(&max).checked_add(&d("1"))), None),
        (printed(d(&max).checked_mul(&d("10"))), None),
        (printed(d("0.5").checked_mul(&d("-0.5"))), Some("-0.25")),
        (printed(d("10").checked_div(&d("4"))), Some("2.5000")),
        (printed(d("1").checked_div(&d("3"))), Some("0.3333")),
        (printed(d("2").checked_div(&d("3"))), Some("0.6667")),
        (printed(d("-0.00001").checked_div(&d("20"))), Some("-0.000000500")),
        (printed(d("0.00005").checked_div(&d("100000"))), Some("0.000000000")),
        (printed(d("0.00015").checked_div(&d("100000"))), Some("0.000000002")),
        (printed(d("7.5").checked_rem(&d("-2"))), Some("1.5")),
        (printed(d("-7.5").checked_rem(&d("2"))), Some("-1.5")),
        (printed(d("2.345").rescale(2, Rounding::HalfEven)), Some("2.34")),
        (printed(d("2.345").rescale(2, Rounding::HalfAway)), Some("2.35")),
        (printed(d("-2.345").rescale(2, Rounding::Floor)), Some("-2.35")),
        (printed(d("-2.345").rescale(2, Rounding::Ceil)), Some("-2.34")),
        (printed(d("-0.004").rescale(2, Rounding::HalfEven)), Some("0.00")),
        (printed(d("1250").round_whole(2, Rounding::HalfEven)), Some("1200")),
        (printed(d("1250.01").round_whole(2, Rounding::HalfEven)), Some("1300")),
        (printed(d("5").round_whole(77, Rounding::Ceil)), None),
        (printed(d("1").mean(3)), Some("0.3333")),
        (printed(Some(d("-9223372036854775808").negated())), Some("9223372036854775808")),
        (printed(Some(d("9223372036854775808").negated())), Some("-9223372036854775808")),
        (printed(Some(d("12.500").normalized())), Some("12.5")),
        (printed(Some(d("1e3"))), Some("1000")),
        (printed(Some(d("1.5e-3"))), Some("0.0015")),
        (printed(Some(d("-.5"))), Some("-0.5")),
        (printed(Some(d("-0.0"))), Some("0.0")),
    ] {
        assert_eq!(told.as_deref(), expected);
    }
    for bad in ["", "-", ".", "1.2.3", "1e", "1e999999999999", "abc", "1_000", "٣", &"9".repeat(77), "1e-77", "1e76"] {
        assert!(bad.parse::<Decimal>().is_err(), "{bad:?}");
    }
    assert_eq!(Decimal::from_f64(f64::MAX), None);
    assert_eq!(Decimal::from_f64(f64::NAN), None);
    assert!(d("0.1").cmp_f64(0.1).is_lt(), "the double 0.1 is a little above a tenth");
    assert!(d("0.5").cmp_f64(0.5).is_eq() && d("1").cmp_f64(f64::NAN).is_lt() && d("1").cmp_f64(f64::NEG_INFINITY).is_gt());
    assert_eq!(d("18446744073709551615").to_u64(), Some(u64::MAX));
    assert_eq!(d("-1").to_u64(), None);
    assert_eq!(d("-9223372036854775808.9").to_i64(), Some(i64::MIN));
}
