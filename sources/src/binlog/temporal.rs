//! Dates and times as they lie in a row. A date that names no day (`0000-00-00`, `2024-00-15`, `2024-02-31`) is the text that SQL prints.

use thalweg_formulas::{Duration, Timestamp, Value};

use super::DecodeError;
use super::bytes::{Reader, eight};

const DAY_US: i64 = 86_400_000_000;

/// Days from 1970-01-01 to a day of the proleptic Gregorian calendar.
///
/// # Source
/// Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", `days_from_civil`.
#[inline]
fn days_from_civil(year: u32, month: u32, day: u32) -> i64 {
    // Counted from March of the year before the year 0, so that nothing is negative and leap days come last.
    let (year, month) = if month <= 2 { (year + 399, month + 9) } else { (year + 400, month - 3) };
    let (era, of_era) = (year / 400, year % 400);
    let of_year = (153 * month + 2) / 5 + day - 1;
    i64::from(era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year) - 719_468 - 146_097
}

const fn month_len(year: u32, month: u32) -> u32 {
    match month {
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => 29,
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
    /// The instant in microseconds, taken as UTC; `None` if the date names no day or the time no moment of it. The year 0000 is none of
    /// the years 1 to 9999 that formulas know.
    #[inline]
    fn instant(self) -> Option<i64> {
        let (year, month, day) = (u32::from(self.year), u32::from(self.month), u32::from(self.day));
        let is_month = matches!(month, 1..=12) && (1..=9999).contains(&year);
        let is_day = is_month && day >= 1 && (day <= 28 || day <= month_len(year, month));
        let is_real = is_day && self.hour < 24 && self.minute < 60 && self.second < 60;
        let seconds = u32::from(self.hour) * 3600 + u32::from(self.minute) * 60 + u32::from(self.second);
        let micros = i64::from(seconds) * 1_000_000 + i64::from(self.micros);
        is_real.then(|| days_from_civil(year, month, day) * DAY_US + micros)
    }

    /// A DATE: midnight UTC, or the text of what names no day.
    pub(crate) fn date(self) -> Value {
        let text = || Value::text(format!("{:04}-{:02}-{:02}", self.year, self.month, self.day));
        self.instant().map_or_else(text, |t| Value::Timestamp(Timestamp(t)))
    }

    /// A DATETIME or TIMESTAMP with `digits` behind the seconds' point.
    pub(crate) fn datetime(self, digits: u8) -> Value {
        self.instant().map_or_else(|| Value::text(self.text(digits)), |t| Value::Timestamp(Timestamp(t)))
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

/// How the fraction of a second lies behind a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fraction {
    digits: u8,
    /// Two digits a byte.
    len: u8,
    /// Microseconds of the last digit that is there.
    unit: u32,
}

impl Fraction {
    /// # Errors
    /// A number of digits that no column has.
    pub(crate) fn new(digits: u8) -> Result<Fraction, DecodeError> {
        match digits {
            0..=6 => {
                let len = digits.div_ceil(2);
                Ok(Fraction { digits, len, unit: [0, 10_000, 100, 1][usize::from(len)] })
            }
            _ => Err(DecodeError::malformed(format!("{digits} digits of a second"))),
        }
    }

    /// The value of a DATETIME or TIMESTAMP: its instant, or the text of what names no day.
    pub(crate) fn datetime(self, instant: Result<i64, Civil>) -> Value {
        instant.map_or_else(|civil| civil.datetime(self.digits), |t| Value::Timestamp(Timestamp(t)))
    }

    /// Reads the fraction, in microseconds.
    pub(crate) fn micros(self, r: &mut Reader<'_>) -> Result<u32, DecodeError> {
        Ok(match self.len {
            0 => 0,
            1 => u32::from(r.u8()?) * 10_000 % 1_000_000,
            2 => u32::from(u16::from_be_bytes(r.array()?)) * 100 % 1_000_000,
            _ => r.u24_be()? % 1_000_000,
        })
    }

    /// Reads a TIME, in microseconds: three bytes and the fraction, most significant first, offset so that negative times sort below.
    pub(crate) fn time(self, r: &mut Reader<'_>) -> Result<i64, DecodeError> {
        let bits = 8 * u32::from(self.len);
        let raw = match self.len {
            0 => u64::from(r.u24_be()?),
            len => r.uint_be(3 + usize::from(len))?,
        };
        let raw = raw as i64 - (0x80_0000 << bits);
        let size = raw.unsigned_abs();
        let (clock, fraction) = (size >> bits, size & ((1 << bits) - 1));
        let seconds = (clock >> 12 & 0x3ff) * 3600 + (clock >> 6 & 0x3f) * 60 + (clock & 0x3f);
        let micros = fraction * [1_000_000, 10_000, 100, 1][usize::from(self.len)] % 1_000_000;
        let span = (seconds * 1_000_000 + micros) as i64;
        Ok(if raw < 0 { -span } else { span })
    }

    /// Reads a DATETIME that is an instant of the years 1900 to 2155, and gives what is behind it. `None` if it is another, or if fewer than
    /// eight bytes are left; [`datetime`] tells.
    #[inline(always)]
    pub(crate) fn usual_datetime<'a>(&self, rest: &'a [u8]) -> Option<(i64, &'a [u8])> {
        let (raw, micros, rest) = self.split::<5>(rest)?;
        let (date, time) = ((raw >> 17) as u32 & 0x3f_ffff, raw as u32 & 0x1_ffff);
        let days = day(date >> 5, date & 0x1f)?;
        let (hour, minute, second) = (time >> 12, time >> 6 & 0x3f, time & 0x3f);
        if (hour > 23) | (minute > 59) | (second > 59) {
            return None;
        }
        let seconds = i64::from(days) * 86_400 + i64::from(hour * 3600 + minute * 60 + second);
        Some((seconds * 1_000_000 + micros, rest))
    }

    /// Reads a TIMESTAMP that is not the zero date, and gives what is behind it. `None` if it is, or if fewer than eight bytes are left;
    /// [`timestamp`] tells.
    #[inline(always)]
    pub(crate) fn usual_timestamp<'a>(&self, rest: &'a [u8]) -> Option<(i64, &'a [u8])> {
        let (seconds, micros, rest) = self.split::<4>(rest)?;
        let instant = seconds as i64 * 1_000_000 + micros;
        (instant != 0).then_some((instant, rest))
    }

    /// The first `N` bytes as a number, and the fraction behind them in microseconds, if that is less than a second.
    #[inline(always)]
    fn split<'a, const N: u32>(&self, rest: &'a [u8]) -> Option<(u64, i64, &'a [u8])> {
        let raw = eight(rest)?;
        let rest = rest.get(N as usize + usize::from(self.len)..)?;
        // Without a fraction the unit is 0.
        let fraction = raw << (8 * N) >> 40 >> (24 - 8 * u32::from(self.len));
        let micros = fraction * u64::from(self.unit);
        (micros < 1_000_000).then_some((raw >> (64 - 8 * N), micros as i64, rest))
    }
}

/// The first year of [`MONTHS`].
const FIRST: u32 = 1900;

/// For each month of the years 1900 to 2155, counted as `(year - 1900) × 13 + month`: the days from 1900-01-01 to its first day, times 32, and
/// its days. There is no month 0.
static MONTHS: [u32; 256 * 13] = {
    let mut months = [0; 256 * 13];
    let (mut at, mut days) = (0, 0);
    while at < months.len() {
        let len = month_len(FIRST + at as u32 / 13, at as u32 % 13);
        months[at] = days << 5 | len;
        days += len;
        at += 1;
    }
    months
};

/// Days from 1970-01-01 to a day of the years 1900 to 2155, whose month is counted as `year × 13 + month`; `None` if there is none.
#[inline(always)]
fn day(months: u32, day: u32) -> Option<i32> {
    const BEFORE_1970: i32 = 25_567;
    let month = *MONTHS.get(months.wrapping_sub(FIRST * 13) as usize)?;
    (day.wrapping_sub(1) < (month & 0x1f)).then(|| (month >> 5) as i32 + day as i32 - 1 - BEFORE_1970)
}

/// As [`date`], for the years 1900 to 2155; `None` if it is of others, or names no day.
#[inline(always)]
pub(crate) fn usual_date(raw: u32) -> Option<i64> {
    let month = raw >> 5 & 0x0f;
    let days = day((raw >> 9) * 13 + month, raw & 0x1f).filter(|_| month <= 12)?;
    Some(i64::from(days) * DAY_US)
}

/// DATE: day 5 bits, month 4, year the rest. The instant in microseconds, or what names no day.
#[inline]
pub(crate) fn date(raw: u32) -> Result<i64, Civil> {
    let (year, month, day) = ((raw >> 9) as u16, (raw >> 5 & 0x0f) as u8, (raw & 0x1f) as u8);
    let civil = Civil { year, month, day, hour: 0, minute: 0, second: 0, micros: 0 };
    civil.instant().ok_or(civil)
}

/// DATETIME: five bytes, and the fraction. The instant in microseconds, or what names no day.
#[inline]
pub(crate) fn datetime(raw: u64, micros: u32) -> Result<i64, Civil> {
    let raw = raw & 0x7f_ffff_ffff;
    let (day_part, time) = ((raw >> 17) as u32, (raw & 0x1_ffff) as u32);
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
    civil.instant().ok_or(civil)
}

/// TIMESTAMP: seconds since 1970, and the fraction; 0 is the zero date.
#[inline]
pub(crate) fn timestamp(seconds: u32, micros: u32) -> Result<i64, Civil> {
    match (seconds, micros) {
        (0, 0) => Err(Civil { year: 0, month: 0, day: 0, hour: 0, minute: 0, second: 0, micros: 0 }),
        _ => Ok(i64::from(seconds) * 1_000_000 + i64::from(micros)),
    }
}

/// DATETIME as the decimal number `YYYYMMDDHHMMSS`.
pub(crate) fn old_datetime(number: u64) -> Value {
    let (day, clock) = (number / 1_000_000, number % 1_000_000);
    let civil = Civil {
        year: (day / 10_000 % 10_000) as u16,
        month: (day / 100 % 100) as u8,
        day: (day % 100) as u8,
        hour: (clock / 10_000) as u8,
        minute: (clock / 100 % 100) as u8,
        second: (clock % 100) as u8,
        micros: 0,
    };
    civil.datetime(0)
}

/// TIMESTAMP as seconds since 1970.
pub(crate) fn old_timestamp(seconds: u32) -> Value {
    timestamp(seconds, 0).map_or_else(|civil| civil.datetime(0), |t| Value::Timestamp(Timestamp(t)))
}

/// TIME as the decimal number `HHMMSS`, negative as a whole.
pub(crate) fn old_time(number: i32) -> Value {
    let size = i64::from(number.unsigned_abs());
    let seconds = size / 10_000 * 3600 + size / 100 % 100 * 60 + size % 100;
    Value::Duration(Duration(if number < 0 { -seconds } else { seconds } * 1_000_000))
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
            assert_eq!(Fraction::new(2).unwrap().time(&mut r).unwrap(), micros);
        }
    }

    #[test]
    fn the_forms_of_before_mysql_5_6_are_decimal_numbers() {
        let at = |t: i64| Value::Timestamp(Timestamp(t * 1_000_000));
        assert_eq!(old_datetime(20_240_229_123_456), at(1_709_210_096));
        assert_eq!(old_datetime(0), Value::text("0000-00-00 00:00:00"));
        assert_eq!(old_datetime(20_240_231_000_000), Value::text("2024-02-31 00:00:00"));
        assert_eq!(old_timestamp(1_709_210_096), at(1_709_210_096));
        assert_eq!(old_timestamp(0), Value::text("0000-00-00 00:00:00"));
        assert_eq!(old_time(-8_385_959), Value::Duration(Duration(-3_020_399_000_000)));
        assert_eq!(old_time(1), Value::Duration(Duration(1_000_000)));
    }

    #[test]
    fn a_date_that_names_no_day_is_its_text() {
        let civil = |year, month, day| Civil { year, month, day, hour: 1, minute: 2, second: 3, micros: 40_000 };
        assert_eq!(civil(2024, 2, 30).date(), Value::text("2024-02-30"));
        assert_eq!(civil(2024, 0, 15).datetime(2), Value::text("2024-00-15 01:02:03.04"));
        assert_eq!(civil(0, 0, 0).datetime(0), Value::text("0000-00-00 01:02:03"));
    }
}
