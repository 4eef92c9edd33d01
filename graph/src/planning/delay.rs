//! Delays of timers: `24h`, `1d 2h`, `1h30m`, `500ms`, and ISO 8601's `PT24H`, `P1DT2H`. Pure: text to microseconds.

const SECOND: i64 = 1_000_000;

/// The delay in microseconds; `None` if the text is not one, or longer than an `i64` of microseconds.
pub(super) fn parse_delay(text: &str) -> Option<i64> {
    let text = text.trim();
    match text.strip_prefix(['P', 'p']) {
        Some(iso) => parse_iso(iso),
        None => sum(text, short_unit),
    }
}

/// What follows `P`: days and weeks, then `T` and hours, minutes, seconds. Months and years have no fixed length.
fn parse_iso(text: &str) -> Option<i64> {
    let upper = text.to_ascii_uppercase();
    let (days, time) = match upper.split_once('T') {
        Some((_, "")) => return None,
        Some((days, time)) => (days, time),
        None => (upper.as_str(), ""),
    };
    let part = |text: &str, unit: fn(&str) -> Option<i64>| if text.is_empty() { Some(0) } else { sum(text, unit) };
    if days.is_empty() && time.is_empty() {
        return None;
    }
    part(days, iso_day_unit)?.checked_add(part(time, iso_time_unit)?)
}

/// The sum of `number unit` pairs, spaces between them allowed.
fn sum(text: &str, unit: fn(&str) -> Option<i64>) -> Option<i64> {
    let mut rest = text;
    let mut total: i64 = 0;
    while !rest.is_empty() {
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.').len();
        let (number, after) = rest.split_at(digits);
        let letters = after.len() - after.trim_start_matches(|c: char| c.is_alphabetic()).len();
        let (name, after) = after.split_at(letters);
        total = total.checked_add(scaled(number, unit(name)?)?)?;
        rest = after.trim_start();
    }
    (!text.is_empty()).then_some(total)
}

/// `number` times `unit`, exactly; a fraction finer than a microsecond is refused.
fn scaled(number: &str, unit: i64) -> Option<i64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() || number.ends_with('.') || fraction.contains('.') {
        return None;
    }
    let whole = whole.parse::<i64>().ok()?.checked_mul(unit)?;
    if fraction.is_empty() {
        return Some(whole);
    }
    let denominator = 10i64.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    let numerator = fraction.parse::<i64>().ok()?.checked_mul(unit)?;
    (numerator % denominator == 0).then_some(whole.checked_add(numerator / denominator)?)
}

fn short_unit(name: &str) -> Option<i64> {
    Some(match name {
        "us" | "µs" => 1,
        "ms" => 1_000,
        "s" => SECOND,
        "m" | "min" => 60 * SECOND,
        "h" => 3_600 * SECOND,
        "d" => 86_400 * SECOND,
        "w" => 7 * 86_400 * SECOND,
        _ => return None,
    })
}

fn iso_day_unit(name: &str) -> Option<i64> {
    match name {
        "D" => short_unit("d"),
        "W" => short_unit("w"),
        _ => None,
    }
}

fn iso_time_unit(name: &str) -> Option<i64> {
    match name {
        "H" => short_unit("h"),
        "M" => short_unit("m"),
        "S" => short_unit("s"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delay_is_read_exactly_or_not_at_all() {
        for (text, expected) in [
            ("24h", Some(86_400 * SECOND)),
            ("1d 2h", Some(93_600 * SECOND)),
            ("1h30m", Some(5_400 * SECOND)),
            ("90s", Some(90 * SECOND)),
            ("500ms", Some(500_000)),
            ("1.5h", Some(5_400 * SECOND)),
            ("PT24H", Some(86_400 * SECOND)),
            ("PT90M", Some(5_400 * SECOND)),
            ("P1DT2H", Some(93_600 * SECOND)),
            ("P2W", Some(14 * 86_400 * SECOND)),
            ("0s", Some(0)),
            ("", None),
            ("24", None),
            ("h", None),
            ("1x", None),
            ("-1h", None),
            ("1.h", None),
            ("0.0000001s", None),
            ("P", None),
            ("PT", None),
            ("P1M", None),
            ("99999999999999d", None),
        ] {
            assert_eq!(parse_delay(text), expected, "{text:?}");
        }
    }
}
