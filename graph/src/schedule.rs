//! Calendars: the times that a cron pattern names, on the clocks of a zone. Pure: it is asked for the next time after a given one.
//!
//! Zones come from the database that is compiled in, so the same version gives the same times everywhere. A time that clocks skip
//! in spring comes right after the gap; one that they repeat in autumn comes once where the pattern names a time of day, and each time
//! where it names every hour or minute (croner's rules, which are those of Vixie cron).

use std::fmt;
use std::sync::Arc;

use croner::parser::{CronParser, Year};
use jiff::tz::{TimeZone, TimeZoneDatabase};
use thalweg_formulas::Timestamp;

/// A cron pattern in a zone.
#[derive(Clone)]
pub struct Cron {
    pattern: croner::Cron,
    text: Arc<str>,
    zone: TimeZone,
    zone_name: Arc<str>,
}

/// When a schedule comes.
#[derive(Clone, Debug, PartialEq)]
pub enum Times {
    /// At the times that a pattern names.
    Cron(Box<Cron>),
    /// At the multiples of so many microseconds since 1970 in UTC.
    Every(i64),
}

impl Times {
    /// The first time after `at`. `None` beyond the calendar's end.
    pub fn next_after(&self, at: Timestamp) -> Option<Timestamp> {
        match self {
            Times::Cron(cron) => cron.next_after(at),
            Times::Every(span) => at.0.div_euclid(*span).checked_add(1)?.checked_mul(*span).map(Timestamp),
        }
    }

    /// In words, as they tell one schedule from another: `0 3 * * * UTC`, `every 5m`.
    pub fn text(&self) -> String {
        match self {
            Times::Cron(cron) => cron.text(),
            Times::Every(span) => format!("every {}", crate::show::delay(*span)),
        }
    }
}

/// What becomes of times that passed while nothing ran.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Misfire {
    /// The first of them is raised, late; the others are left out.
    #[default]
    Once,
    /// Each is raised, one after the other.
    All,
    /// None is raised.
    Skip,
}

/// How late an event may be before it counts as one that was missed: a minute, in microseconds.
pub const LATE: i64 = 60_000_000;

/// Why a schedule cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CronError {
    /// The pattern.
    #[error("{0}")]
    Pattern(String),
    /// The zone.
    #[error("no time zone is called `{0}`")]
    Zone(String),
    /// A pattern that names no time, such as the 30th of February.
    #[error("no time ever matches it")]
    Never,
}

impl Cron {
    /// Reads five fields (minute, hour, day, month, weekday), six with seconds first, or a word like `@daily`.
    ///
    /// # Errors
    /// What is wrong with the pattern or the zone.
    pub fn parse(pattern: &str, zone: &str) -> Result<Cron, CronError> {
        let parser = CronParser::builder().year(Year::Disallowed).build();
        let parsed = parser.parse(pattern).map_err(|why| CronError::Pattern(why.to_string().trim_end_matches('.').to_owned()))?;
        let known = if zone == "UTC" { Ok(TimeZone::UTC) } else { TimeZoneDatabase::bundled().get(zone) };
        let tz = known.map_err(|_| CronError::Zone(zone.to_owned()))?;
        let cron = Cron { pattern: parsed, text: pattern.trim().into(), zone: tz, zone_name: zone.into() };
        // From any time: 2000 was a leap year.
        cron.next_after(Timestamp(946_684_800_000_000)).map(|_| cron).ok_or(CronError::Never)
    }

    /// The first time after `at`, in whole seconds. `None` beyond the calendar's end.
    pub fn next_after(&self, at: Timestamp) -> Option<Timestamp> {
        let from = jiff::Timestamp::from_microsecond(at.0).ok()?.to_zoned(self.zone.clone());
        let next = self.pattern.find_next_occurrence(&from, false).ok()?;
        Some(Timestamp(next.timestamp().as_microsecond()))
    }

    /// The pattern and its zone, as they tell one schedule from another.
    pub fn text(&self) -> String {
        format!("{} {}", self.text, self.zone_name)
    }
}

impl PartialEq for Cron {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text && self.zone_name == other.zone_name
    }
}

impl fmt::Debug for Cron {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cron({})", self.text())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        Timestamp(text.parse::<jiff::Timestamp>().expect("a time").as_microsecond())
    }

    fn times(pattern: &str, zone: &str, from: &str, n: usize) -> Vec<String> {
        let cron = Cron::parse(pattern, zone).expect("a schedule");
        let mut now = at(from);
        (0..n)
            .map(|_| {
                now = cron.next_after(now).expect("a next time");
                jiff::Timestamp::from_microsecond(now.0).expect("in range").to_string()
            })
            .collect()
    }

    #[test]
    fn the_next_time_is_after_the_given_one() {
        assert_eq!(times("0 3 * * *", "UTC", "2026-11-22T03:00:00Z", 2), ["2026-11-23T03:00:00Z", "2026-11-24T03:00:00Z"]);
        assert_eq!(times("*/15 * * * * *", "UTC", "2026-11-22T03:00:14.9Z", 2), ["2026-11-22T03:00:15Z", "2026-11-22T03:00:30Z"]);
        assert_eq!(times("@daily", "UTC", "2026-12-31T12:00:00Z", 1), ["2027-01-01T00:00:00Z"]);
        assert_eq!(times("0 9 29 2 *", "UTC", "2026-01-01T00:00:00Z", 1), ["2028-02-29T09:00:00Z"]);
        assert_eq!(times("0 9 * * MON-FRI", "UTC", "2026-11-20T10:00:00Z", 1), ["2026-11-23T09:00:00Z"]);
    }

    #[test]
    fn spans_are_counted_from_1970() {
        let every = Times::Every(300_000_000);
        let next = |text: &str| {
            every.next_after(at(text)).map(|next| jiff::Timestamp::from_microsecond(next.0).expect("a time").to_string())
        };
        assert_eq!(next("2026-11-22T03:00:00Z").as_deref(), Some("2026-11-22T03:05:00Z"));
        assert_eq!(next("2026-11-22T03:04:59.999999Z").as_deref(), Some("2026-11-22T03:05:00Z"));
        assert_eq!(next("1969-12-31T23:59:59Z").as_deref(), Some("1970-01-01T00:00:00Z"));
        assert_eq!(every.next_after(Timestamp(i64::MAX)), None);
        assert_eq!(every.text(), "every 5m");
    }

    #[test]
    fn clocks_that_jump_skip_nothing_and_repeat_nothing() {
        // 02:30 is not there on 2026-03-29 in Berlin, and twice on 2026-10-25.
        assert_eq!(
            times("30 2 * * *", "Europe/Berlin", "2026-03-28T00:00:00Z", 3),
            ["2026-03-28T01:30:00Z", "2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"]
        );
        assert_eq!(
            times("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", 2),
            ["2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"]
        );
        // Every hour is every hour.
        assert_eq!(
            times("0 * * * *", "Europe/Berlin", "2026-10-25T00:00:00Z", 3),
            ["2026-10-25T01:00:00Z", "2026-10-25T02:00:00Z", "2026-10-25T03:00:00Z"]
        );
    }

    #[test]
    fn what_cannot_be_read_is_told() {
        assert_eq!(Cron::parse("0 3 * * *", "Mars/Olympus").err(), Some(CronError::Zone("Mars/Olympus".into())));
        assert_eq!(Cron::parse("0 0 30 2 *", "UTC").err(), Some(CronError::Never));
        for pattern in ["", "every day", "61 * * * *", "* * *", "* * * * * * *"] {
            assert!(matches!(Cron::parse(pattern, "UTC"), Err(CronError::Pattern(_))), "{pattern:?}");
        }
    }
}
