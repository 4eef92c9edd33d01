//! Dates and times as they lie in a row. A date that names no day (`0000-00-00`, `2024-00-15`, `2024-02-31`) is the text that SQL prints.

use thalweg_formulas::{Duration, Timestamp, Value};

use super::DecodeError;
use super::bytes::Reader;

const DAY_US: i64 = 86_400_000_000;

/// Days from 1970-01-01 to a day of the proleptic Gregorian calendar.
///
/// # Source
/// Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", `days_from_civil`.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

fn month_len(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => 0,
    }
}

/// A date and time of day as SQL has them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Civil {
    pub(crate) year: u16,
    pub(crate) month: u8,
    pub(crate) day: u8,
    pub(crate) hour: u8,
    pub(crate) minute: u8,
    pub(crate) second: u8,
    pub(crate) micros: u32,
}

impl Civil {
    /// The instant, taken as UTC; `None` if the date names no day or the time no moment of it. The year 0000 is none of the years
    /// 1 to 9999 that formulas know.
    fn instant(self) -> Option<Timestamp> {
        let (year, month, day) = (i64::from(self.year), i64::from(self.month), i64::from(self.day));
        let real =
            year >= 1 && day >= 1 && day <= month_len(year, month) && self.hour < 24 && self.minute < 60 && self.second < 60;
        let seconds = i64::from(self.hour) * 3600 + i64::from(self.minute) * 60 + i64::from(self.second);
        let micros = seconds * 1_000_000 + i64::from(self.micros);
        real.then(|| Timestamp(days_from_civil(year, month, day) * DAY_US + micros))
    }

    /// A DATE: midnight UTC, or the text of what names no day.
    pub(crate) fn date(self) -> Value {
        let text = || Value::text(format!("{:04}-{:02}-{:02}", self.year, self.month, self.day));
        self.instant().map_or_else(text, Value::Timestamp)
    }

    /// A DATETIME or TIMESTAMP with `digits` behind the seconds' point.
    pub(crate) fn datetime(self, digits: u8) -> Value {
        self.instant().map_or_else(|| Value::text(self.text(digits)), Value::Timestamp)
    }

    fn text(self, digits: u8) -> String {
        let mut text =
            format!("{:04}-{:02}-{:02} {:02}:{:02}:{:02}", self.year, self.month, self.day, self.hour, self.minute, self.second);
        if digits > 0 {
            let micros = format!("{:06}", self.micros);
            text.push('.');
            text.push_str(&micros[..usize::from(digits).min(6)]);
        }
        text
    }
}

/// Bytes of the fraction of a second.
fn fraction_len(digits: u8) -> usize {
    usize::from(digits.div_ceil(2))
}

/// A fraction of `len` bytes in microseconds.
fn fraction_micros(fraction: u64, len: usize) -> u32 {
    (fraction * [1_000_000, 10_000, 100, 1][len]) as u32 % 1_000_000
}

/// Refuses a number of digits that no column has.
pub(crate) fn digits(meta: u8) -> Result<u8, DecodeError> {
    if meta <= 6 { Ok(meta) } else { Err(DecodeError::malformed(format!("{meta} digits of a second"))) }
}

/// DATE: three bytes, day 5 bits, month 4, year the rest.
pub(crate) fn date(r: &mut Reader<'_>) -> Result<Value, DecodeError> {
    let raw = r.u24()?;
    let civil = Civil {
        year: (raw >> 9) as u16,
        month: (raw >> 5 & 0x0f) as u8,
        day: (raw & 0x1f) as u8,
        hour: 0,
        minute: 0,
        second: 0,
        micros: 0,
    };
    Ok(civil.date())
}

/// DATETIME(digits): five bytes, most significant first, and the fraction.
pub(crate) fn datetime(r: &mut Reader<'_>, digits: u8) -> Result<Value, DecodeError> {
    let len = fraction_len(digits);
    let raw = r.uint_be(5)? & 0x7f_ffff_ffff;
    let micros = fraction_micros(r.uint_be(len)?, len);
    let (day_part, time) = (raw >> 17, raw & 0x1_ffff);
    let (months, day) = (day_part >> 5, day_part & 0x1f);
    let civil = Civil {
        year: (months / 13) as u16,
        month: (months % 13) as u8,
        day: day as u8,
        hour: (time >> 12) as u8,
        minute: (time >> 6 & 0x3f) as u8,
        second: (time & 0x3f) as u8,
        micros,
    };
    Ok(civil.datetime(digits))
}

/// TIMESTAMP(digits): seconds since 1970, most significant byte first, and the fraction; 0 is the zero date.
pub(crate) fn timestamp(r: &mut Reader<'_>, digits: u8) -> Result<Value, DecodeError> {
    let len = fraction_len(digits);
    let seconds = r.uint_be(4)?;
    let micros = fraction_micros(r.uint_be(len)?, len);
    if seconds == 0 && micros == 0 {
        let zero = Civil { year: 0, month: 0, day: 0, hour: 0, minute: 0, second: 0, micros: 0 };
        return Ok(zero.datetime(digits));
    }
    Ok(Value::Timestamp(Timestamp(seconds as i64 * 1_000_000 + i64::from(micros))))
}

/// TIME(digits): three bytes and the fraction, most significant first, offset so that negative times sort below.
pub(crate) fn time(r: &mut Reader<'_>, digits: u8) -> Result<Value, DecodeError> {
    let len = fraction_len(digits);
    let raw = r.uint_be(3 + len)? as i64 - (0x80_0000 << (8 * len));
    let size = raw.unsigned_abs();
    let (clock, fraction) = (size >> (8 * len), size & ((1 << (8 * len)) - 1));
    let seconds = (clock >> 12 & 0x3ff) * 3600 + (clock >> 6 & 0x3f) * 60 + (clock & 0x3f);
    let micros = seconds as i64 * 1_000_000 + i64::from(fraction_micros(fraction, len));
    Ok(Value::Duration(Duration(if raw < 0 { -micros } else { micros })))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_counted_as_the_calendar_does() {
        for (date, days) in
            [((1970, 1, 1), 0), ((2000, 2, 29), 11_016), ((1969, 12, 31), -1), ((0, 1, 1), -719_528), ((9999, 12, 31), 2_932_896)]
        {
            assert_eq!(days_from_civil(date.0, date.1, date.2), days, "{date:?}");
        }
    }

    #[test]
    fn a_negative_time_with_a_fraction_is_one_number() {
        // TIME(2) '-00:00:00.50' and '-838:59:59.99'.
        for (bytes, micros) in [(&[0x7f, 0xff, 0xff, 0xce][..], -500_000), (&[0x4b, 0x91, 0x04, 0x9d], -3_020_399_990_000)] {
            let mut r = Reader::new(bytes, "a time");
            assert_eq!(time(&mut r, 2).unwrap(), Value::Duration(Duration(micros)));
        }
    }

    #[test]
    fn a_date_that_names_no_day_is_its_text() {
        let civil = |year, month, day| Civil { year, month, day, hour: 1, minute: 2, second: 3, micros: 40_000 };
        assert_eq!(civil(2024, 2, 30).date(), Value::text("2024-02-30"));
        assert_eq!(civil(2024, 0, 15).datetime(2), Value::text("2024-00-15 01:02:03.04"));
        assert_eq!(civil(0, 0, 0).datetime(0), Value::text("0000-00-00 01:02:03"));
    }
}
