//! Instants and spans as calendars and texts see them. UTC, proleptic Gregorian, microseconds; no clock, no zone files.
//!
//! A timestamp that an expression makes lies in the years 1 to 9999 (CEL's range); printing is total beyond it.

use crate::value::{Duration, Timestamp};

/// Microseconds of a second.
pub const SECOND: i64 = 1_000_000;
/// Microseconds of a day.
pub const DAY: i64 = 86_400 * SECOND;

const FIRST: i64 = -62_135_596_800 * SECOND; // 0001-01-01T00:00:00Z
const LAST: i64 = 253_402_300_800 * SECOND - 1; // 9999-12-31T23:59:59.999999Z

/// Whether it lies in the years 1 to 9999.
pub fn in_range(t: Timestamp) -> bool {
    (FIRST..=LAST).contains(&t.0)
}

/// A day of the calendar and the time of that day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Civil {
    /// The year; 0 is 1 BC.
    pub year: i64,
    /// 1 to 12.
    pub month: u8,
    /// 1 to 31.
    pub day: u8,
    /// Days since 1970-01-01.
    pub day_number: i64,
    /// Microseconds since midnight.
    pub micros: i64,
}

impl Civil {
    /// What the calendar says at `t`, `offset` microseconds east of UTC.
    pub fn at(t: Timestamp, offset: i64) -> Civil {
        let local = t.0.saturating_add(offset);
        let day_number = local.div_euclid(DAY);
        let (year, month, day) = civil_from_days(day_number);
        Civil { year, month, day, day_number, micros: local.rem_euclid(DAY) }
    }

    /// 0 is Sunday, as in CEL.
    pub fn weekday(&self) -> i64 {
        (self.day_number + 4).rem_euclid(7)
    }

    /// 0 is January 1st, as in CEL.
    pub fn day_of_year(&self) -> i64 {
        self.day_number - days_from_civil(self.year, 1, 1)
    }

    /// `YYYY-MM-DD`.
    pub fn date(&self) -> String {
        let mut out = String::with_capacity(28); // A whole timestamp.
        match self.year {
            year @ 0..=9999 => {
                push_two(year / 100, &mut out);
                push_two(year, &mut out);
            }
            year => out.push_str(&format!("{year:+07}")),
        }
        for part in [self.month, self.day] {
            out.push('-');
            push_two(part.into(), &mut out);
        }
        out
    }
}

/// Year, month and day of a day counted from 1970-01-01.
///
/// Source: Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", `civil_from_days`.
fn civil_from_days(days: i64) -> (i64, u8, u8) {
    let z = days + 719_468; // Days since 0000-03-01.
    let era = z.div_euclid(146_097);
    let day_of_era = z.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = (day_of_year - (153 * shifted_month + 2) / 5 + 1) as u8;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 } as u8;
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

/// The other way round.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let y = year - i64::from(month <= 2);
    let era = y.div_euclid(400);
    let year_of_era = y.rem_euclid(400);
    let day_of_year = (153 * (if month > 2 { month - 3 } else { month + 9 }) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// RFC 3339 in UTC: `2024-01-02T03:04:05.5Z`, as many digits behind the point as are needed.
pub fn format_timestamp(t: Timestamp) -> String {
    let civil = Civil::at(t, 0);
    let seconds = civil.micros / SECOND;
    let mut out = civil.date();
    for (before, part) in [('T', seconds / 3600), (':', seconds / 60 % 60), (':', seconds % 60)] {
        out.push(before);
        push_two(part, &mut out);
    }
    out.push_str(&fraction(civil.micros % SECOND));
    out.push('Z');
    out
}

/// The last two digits.
fn push_two(n: i64, out: &mut String) {
    for digit in [n / 10 % 10, n % 10] {
        out.push(char::from(b'0' + digit as u8));
    }
}

/// `.5` for half a million microseconds; nothing for none.
fn fraction(micros: i64) -> String {
    if micros == 0 { String::new() } else { format!(".{micros:06}").trim_end_matches('0').to_owned() }
}

/// Reads RFC 3339 (`2024-01-02T03:04:05.5+02:00`); also `2024-01-02 03:04:05` and `2024-01-02`, which are taken as UTC.
/// Digits behind the sixth are cut off.
///
/// # Errors
/// What is wrong, lower case.
pub fn parse_timestamp(text: &str) -> Result<Timestamp, String> {
    let instant = instant(text.as_bytes()).ok_or_else(|| format!("{text:?} is not a timestamp like 2024-01-02T03:04:05Z"))?;
    Some(Timestamp(instant)).filter(|t| in_range(*t)).ok_or_else(|| format!("{text:?} is outside the years 1 to 9999"))
}

/// Microseconds since 1970 of a date, a date and time, or a date, time and zone.
fn instant(text: &[u8]) -> Option<i64> {
    let (date, rest) = text.split_at_checked(10)?;
    let [y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2] = date else { return None };
    let year = number(&[*y1, *y2, *y3, *y4])?;
    let (month, day) = (number(&[*m1, *m2])?, number(&[*d1, *d2])?);
    if !(1..=12).contains(&month) || !(1..=days_of_month(year, month)).contains(&day) {
        return None;
    }
    let midnight = days_from_civil(year, month, day) * DAY;
    let [b'T' | b't' | b' ', rest @ ..] = rest else { return rest.is_empty().then_some(midnight) };
    let (clock, rest) = rest.split_at_checked(8)?;
    let [h1, h2, b':', m1, m2, b':', s1, s2] = clock else { return None };
    let (hour, minute, second) = (number(&[*h1, *h2])?, number(&[*m1, *m2])?, number(&[*s1, *s2])?);
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let (micros, zone) = micros_behind(rest)?;
    let offset = match zone {
        [] | [b'Z' | b'z'] => 0,
        [sign @ (b'+' | b'-'), h1, h2, b':', m1, m2] => {
            let (h, m) = (number(&[*h1, *h2])?, number(&[*m1, *m2])?);
            let size = (h <= 23 && m <= 59).then_some((h * 3600 + m * 60) * SECOND)?;
            if *sign == b'-' { -size } else { size }
        }
        _ => return None,
    };
    Some(midnight + (hour * 3600 + minute * 60 + second) * SECOND + micros - offset)
}

/// The microseconds that `.5` says, and what follows; digits behind the sixth are cut off.
fn micros_behind(text: &[u8]) -> Option<(i64, &[u8])> {
    let [b'.', digits @ ..] = text else { return Some((0, text)) };
    let end = digits.iter().position(|b| !b.is_ascii_digit()).unwrap_or(digits.len());
    let (digits, rest) = digits.split_at(end);
    let six: Vec<u8> = digits.iter().copied().chain(std::iter::repeat(b'0')).take(6).collect();
    if digits.is_empty() { None } else { Some((number(&six)?, rest)) }
}

fn number(digits: &[u8]) -> Option<i64> {
    digits.iter().try_fold(0, |n, d| d.is_ascii_digit().then(|| n * 10 + i64::from(d - b'0')))
}

fn days_of_month(year: i64, month: i64) -> i64 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        _ => 31,
    }
}

/// Seconds: `1.5s`, `-0.000001s`, `0s`.
pub fn format_duration(d: Duration) -> String {
    let size = d.0.unsigned_abs();
    let sign = if d.0 < 0 { "-" } else { "" };
    format!("{sign}{}{}s", size / SECOND as u64, fraction((size % SECOND as u64) as i64))
}

/// Reads CEL's durations: numbers with units `h m s ms us ns`, one after the other: `1h30m`, `-1.5s`, `250ms`, `0`.
///
/// # Errors
/// What is wrong, lower case; less than a microsecond is refused.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let refuse = || format!("{text:?} is not a duration like 1h30m or 1.5s");
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Ok(Duration(0));
    }
    if rest.is_empty() {
        return Err(refuse());
    }
    let mut nanos: i128 = 0;
    while !rest.is_empty() {
        let unit_at = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(refuse)?;
        let (number, tail) = rest.split_at(unit_at);
        let unit_end = tail.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit_end);
        let part = unit_nanos(unit).and_then(|unit| count_nanos(number, unit)).ok_or_else(refuse)?;
        nanos = nanos.checked_add(part).ok_or_else(refuse)?;
        rest = tail;
    }
    if nanos % 1000 != 0 {
        return Err(format!("{text:?} is finer than a microsecond"));
    }
    let micros = nanos / 1000 * if negative { -1 } else { 1 };
    i64::try_from(micros).map(Duration).map_err(|_| format!("{text:?} is longer than 292,471 years"))
}

fn unit_nanos(unit: &str) -> Option<i128> {
    Some(match unit {
        "h" => 3_600_000_000_000,
        "m" => 60_000_000_000,
        "s" => 1_000_000_000,
        "ms" => 1_000_000,
        "us" | "µs" | "μs" => 1_000,
        "ns" => 1,
        _ => return None,
    })
}

/// `number × unit` in nanoseconds, cut off below one.
fn count_nanos(number: &str, unit: i128) -> Option<i128> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') || fraction.len() > 18 {
        return None;
    }
    let whole: i128 = if whole.is_empty() { 0 } else { whole.parse::<u64>().ok()?.into() };
    let part: i128 = if fraction.is_empty() { 0 } else { fraction.parse::<u64>().ok()?.into() };
    whole.checked_mul(unit)?.checked_add(part * unit / 10i128.pow(fraction.len() as u32))
}

/// The offset east of UTC, in microseconds, that a zone name means: `UTC`, `Z`, `+02:00`, `-0530`, `02:00`.
///
/// # Errors
/// Names of regions are refused: their rules change, and the same inputs must give the same answer.
pub fn parse_zone(zone: &str) -> Result<i64, String> {
    if matches!(zone, "UTC" | "Z" | "GMT" | "Etc/UTC" | "") {
        return Ok(0);
    }
    let (sign, digits) = match zone.as_bytes()[0] {
        b'-' => (-1, &zone[1..]),
        b'+' => (1, &zone[1..]),
        _ => (1, zone),
    };
    let parsed = match digits.split_once(':') {
        Some((h, m)) => two_digits(h).zip(two_digits(m)),
        None if digits.len() == 4 && digits.is_ascii() => two_digits(&digits[..2]).zip(two_digits(&digits[2..])),
        None => None,
    };
    match parsed {
        Some((h @ 0..=23, m @ 0..=59)) => Ok(sign * (h * 3600 + m * 60) * SECOND),
        _ => Err(format!("time zone {zone:?} is not UTC or an offset like +02:00; names of regions are not known here")),
    }
}

fn two_digits(text: &str) -> Option<i64> {
    (text.len() == 2 && text.bytes().all(|b| b.is_ascii_digit())).then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn timestamps_are_read_as_rfc_3339() {
        for (text, expected) in [
            ("1970-01-01T00:00:00Z", "1970-01-01T00:00:00Z"),
            ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z"),
            ("9999-12-31T23:59:59.999999999Z", "9999-12-31T23:59:59.999999Z"),
            ("2024-02-29", "2024-02-29T00:00:00Z"),
            ("2000-02-29 01:02:03", "2000-02-29T01:02:03Z"),
            ("2024-01-01t00:30:00.25+02:00", "2023-12-31T22:30:00.25Z"),
            ("2024-01-01T00:30:00-00:30", "2024-01-01T01:00:00Z"),
            ("1969-12-31T23:59:59.999999Z", "1969-12-31T23:59:59.999999Z"),
        ] {
            assert_eq!(parse_timestamp(text).map(format_timestamp).as_deref(), Ok(expected), "{text}");
        }
        let bad = [
            "",
            "2024",
            "2024-02-30",
            "1900-02-29",
            "2024-13-01",
            "2024-01-00",
            "2024-01-01T",
            "2024-01-01T24:00:00Z",
            "0000-00-00",
        ];
        let worse = [
            "2024-01-01T00:00Z",
            "2024-01-01T00:00:60Z",
            "2024-01-01T00:00:00.Z",
            "2024-01-01T00:00:00+2:00",
            "2024-01-01Z",
            "２024-01-01",
        ];
        for text in bad.into_iter().chain(worse) {
            assert_eq!(parse_timestamp(text), Err(format!("{text:?} is not a timestamp like 2024-01-02T03:04:05Z")));
        }
        assert_eq!(
            parse_timestamp("0001-01-01T00:00:00+01:00"),
            Err("\"0001-01-01T00:00:00+01:00\" is outside the years 1 to 9999".to_owned())
        );
    }

    #[test]
    fn durations_are_read_as_in_cel() {
        for (text, expected) in [
            ("1h30m", "5400s"),
            ("-1.5s", "-1.5s"),
            ("+250ms", "0.25s"),
            ("0", "0s"),
            ("1.5h", "5400s"),
            ("3us", "0.000003s"),
            ("1000ns", "0.000001s"),
            ("9223372036854.775807s", "9223372036854.775807s"),
        ] {
            assert_eq!(parse_duration(text).map(format_duration).as_deref(), Ok(expected), "{text}");
        }
        for text in ["", "-", "1", "s", "1d", "1.2.3s", ".s", "1 s", "99999999999999999999h"] {
            assert_eq!(parse_duration(text), Err(format!("{text:?} is not a duration like 1h30m or 1.5s")));
        }
        assert_eq!(parse_duration("1ns"), Err("\"1ns\" is finer than a microsecond".to_owned()));
        assert_eq!(
            parse_duration("9223372036854.775808s"),
            Err("\"9223372036854.775808s\" is longer than 292,471 years".to_owned())
        );
        assert_eq!(format_duration(Duration(i64::MIN)), "-9223372036854.775808s");
    }

    proptest! {
        #[test]
        fn what_is_printed_reads_back(t in FIRST..=LAST, d in any::<i64>(), wild in any::<i64>()) {
            prop_assert_eq!(parse_timestamp(&format_timestamp(Timestamp(t))), Ok(Timestamp(t)));
            prop_assert_eq!(parse_duration(&format_duration(Duration(d))), Ok(Duration(d)));
            prop_assert!(format_timestamp(Timestamp(wild)).ends_with('Z'));
        }

        #[test]
        fn the_calendar_goes_day_by_day(day in -719_162i64..2_932_896) {
            let at = |day: i64| Civil::at(Timestamp(day * DAY), 0);
            let (today, tomorrow) = (at(day), at(day + 1));
            let last = days_of_month(today.year, today.month.into()) == i64::from(today.day);
            let expected = match (last, today.month) {
                (false, month) => (today.year, month, today.day + 1),
                (true, 12) => (today.year + 1, 1, 1),
                (true, month) => (today.year, month + 1, 1),
            };
            prop_assert_eq!((tomorrow.year, tomorrow.month, tomorrow.day), expected);
            prop_assert_eq!(tomorrow.weekday(), (today.weekday() + 1) % 7);
        }
    }
}
