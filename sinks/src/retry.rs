//! When to try again: pure functions of the attempt, the id and the clock that the caller passes in.
//!
//! Full jitter: attempt *n* waits between nothing and 1 s × 2ⁿ⁻¹, at most 10 minutes. The draw is a hash of (id, attempt), so a replay draws
//! the same and two deliveries that failed together do not come back together.
//!
//! A transient failure is tried until the deadline (72 h after firing), and at least [`TRIES_MIN`] times whatever the clock says: a daemon
//! that was down for a week, or an input whose times lie in the past, still gives every receiver a fair chance. A permanent one gets three
//! tries. `retries` in the settings replaces both limits by a number.
//!
//! Source: M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.

use std::time::Duration;

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use thalweg_formulas::Timestamp;
use thalweg_graph::ports::Attempt;

use crate::settings::{Reader, SettingProblem, parse_duration, wrong};

/// Tries that a transient failure gets even when the deadline has passed.
pub const TRIES_MIN: u32 = 10;
/// Tries of a delivery that was refused for good.
pub const TRIES_PERMANENT: u32 = 3;
/// A receiver's `Retry-After` counts up to this.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(24 * 3600);
const DAY: Duration = Duration::from_secs(24 * 3600);

/// The settings that every action may have for its delivery; see [`crate::policy`].
pub(crate) const KEYS: [&str; 8] = ["retries", "backoff", "deadline", "after", "delivery", "rate", "digest", "ack"];

/// How long one action is tried, and how often.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Retries after the first try, if limited by number.
    pub retries: Option<u32>,
    /// The longest wait before the first retry; doubled for each further one.
    pub base: Duration,
    /// The longest wait at all.
    pub cap: Duration,
    /// How long after firing a transient failure is still tried; `None` where only `retries` limits.
    pub deadline: Option<Duration>,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self { retries: None, base: Duration::from_secs(1), cap: Duration::from_secs(600), deadline: Some(3 * DAY) }
    }
}

/// What happens to a delivery after an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// It is delivered.
    Ack,
    /// It is tried again, not before this time.
    Retry {
        /// Not before.
        at: Timestamp,
    },
    /// It is given up: a dead letter.
    Dead,
}

impl RetryPolicy {
    /// Reads `retries`, `backoff = "1s..10m"` and `deadline` of an action; other keys are not looked at.
    ///
    /// # Errors
    /// A value that does not serve, with its key.
    pub fn from_settings(kind: &str, settings: &Map<String, Value>) -> Result<Self, Vec<SettingProblem>> {
        let mut reader = Reader::new(kind, settings);
        let mut policy = Self::default();
        if let Some(retries) = reader.count("retries", 1_000_000) {
            policy.retries = Some(retries as u32);
            policy.deadline = None;
        }
        if let Some(text) = reader.text("backoff") {
            match parse_backoff(text) {
                Some((base, cap)) => (policy.base, policy.cap) = (base, cap),
                None => reader.refuse("backoff", wrong("backoff", &format!("`{text}` is not a range like \"1s..10m\""))),
            }
        }
        if let Some(deadline) = reader.duration("deadline", 365 * DAY) {
            policy.deadline = Some(deadline);
        }
        reader.problems().map(|()| policy)
    }

    /// What happens after the `attempts`-th attempt (counted from 1, this one included) at `now`.
    pub fn decide(&self, id: &str, attempts: u32, fired_at: Timestamp, now: Timestamp, attempt: &Attempt) -> Next {
        let wait = match attempt {
            Attempt::Done | Attempt::Acknowledged { .. } => return Next::Ack,
            // Nothing is wrong with the delivery: it goes when its receiver is back.
            Attempt::Gone { .. } => return Next::Retry { at: now },
            Attempt::Permanent { .. } if attempts >= self.tries_permanent() => return Next::Dead,
            Attempt::Transient { .. } if self.is_exhausted(attempts, fired_at, now) => return Next::Dead,
            Attempt::Permanent { .. } | Attempt::Transient { retry_after: None, .. } => Duration::ZERO,
            Attempt::Transient { retry_after: Some(seconds), .. } => Duration::from_secs(*seconds).min(RETRY_AFTER_MAX),
        };
        let wait = wait.max(next_delay(attempts, id, self.base, self.cap));
        let at = after(now, wait);
        // The last try is made at the deadline itself rather than never.
        let last = self.deadline.map_or(at, |deadline| after(fired_at, deadline));
        Next::Retry { at: if last > now { at.min(last) } else { at } }
    }

    fn tries_permanent(&self) -> u32 {
        self.retries.map_or(TRIES_PERMANENT, |retries| TRIES_PERMANENT.min(retries.saturating_add(1)))
    }

    fn is_exhausted(&self, attempts: u32, fired_at: Timestamp, now: Timestamp) -> bool {
        let by_number = self.retries.is_some_and(|retries| attempts > retries);
        let by_time = self.deadline.is_some_and(|deadline| now >= after(fired_at, deadline));
        by_number || (by_time && attempts >= TRIES_MIN)
    }
}

/// How long to wait after the `attempt`-th failure (from 1): a draw in `0..=min(cap, base × 2^(attempt−1))` that depends on `id` and
/// `attempt` only.
pub fn next_delay(attempt: u32, id: &str, base: Duration, cap: Duration) -> Duration {
    let doubled = base.saturating_mul(2u32.saturating_pow(attempt.saturating_sub(1).min(31)));
    let top = doubled.min(cap).as_micros();
    let digest = Sha256::new().chain_update(id.as_bytes()).chain_update(attempt.to_be_bytes()).finalize();
    let draw = digest[..8].iter().fold(0u128, |acc, byte| acc << 8 | u128::from(*byte));
    // A product of two numbers below 2^64 (caps are days at most) cannot overflow; the quotient is at most `top`.
    let micros = (draw * (top.min(u128::from(u64::MAX)) + 1)) >> 64;
    Duration::from_micros(micros as u64)
}

fn after(at: Timestamp, wait: Duration) -> Timestamp {
    Timestamp(at.0.saturating_add(i64::try_from(wait.as_micros()).unwrap_or(i64::MAX)))
}

fn parse_backoff(text: &str) -> Option<(Duration, Duration)> {
    let (base, cap) = text.split_once("..")?;
    let (base, cap) = (parse_duration(base)?, parse_duration(cap)?);
    (!base.is_zero() && base <= cap && cap <= DAY).then_some((base, cap))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECOND: i64 = 1_000_000;
    const HOUR: i64 = 3600 * SECOND;

    fn transient() -> Attempt {
        Attempt::Transient { error: String::new(), retry_after: None }
    }

    fn asked(seconds: u64) -> Attempt {
        Attempt::Transient { error: String::new(), retry_after: Some(seconds) }
    }

    fn permanent() -> Attempt {
        Attempt::Permanent { error: String::new() }
    }

    fn policy(settings: serde_json::Value) -> RetryPolicy {
        RetryPolicy::from_settings("webhook", settings.as_object().unwrap()).unwrap()
    }

    /// The name of what follows, without the time.
    fn outcome(policy: &RetryPolicy, attempts: u32, now: i64, attempt: &Attempt) -> &'static str {
        match policy.decide("01J", attempts, Timestamp(0), Timestamp(now), attempt) {
            Next::Ack => "ack",
            Next::Retry { .. } => "retry",
            Next::Dead => "dead",
        }
    }

    #[test]
    fn snk_02_the_table_of_what_follows_an_attempt() {
        let standard = RetryPolicy::default();
        let none = policy(serde_json::json!({"retries": 0}));
        let five = policy(serde_json::json!({"retries": 5}));
        let hour = policy(serde_json::json!({"retries": 100, "deadline": "1h"}));
        let rows = [
            (&standard, 1, 0, Attempt::Done, "ack"),
            (&standard, 99, 99 * HOUR, Attempt::Done, "ack"),
            (&standard, 1, 0, transient(), "retry"),
            (&standard, 500, 71 * HOUR, transient(), "retry"),
            (&standard, 500, 72 * HOUR, transient(), "dead"),
            (&standard, 9, 99 * HOUR, transient(), "retry"), // Down for days: still ten tries.
            (&standard, 10, 99 * HOUR, transient(), "dead"),
            (&standard, 2, 0, permanent(), "retry"),
            (&standard, 3, 0, permanent(), "dead"),
            (&none, 1, 0, transient(), "dead"),
            (&none, 1, 0, permanent(), "dead"),
            (&none, 1, 0, Attempt::Done, "ack"),
            (&five, 5, 999 * HOUR, transient(), "retry"),
            (&five, 6, 0, transient(), "dead"),
            (&five, 3, 0, permanent(), "dead"),
            (&hour, 50, HOUR, transient(), "dead"),
            (&hour, 50, HOUR - 1, transient(), "retry"),
        ];
        for (policy, attempts, now, attempt, expected) in rows {
            assert_eq!(outcome(policy, attempts, now, &attempt), expected, "{policy:?} attempt {attempts} at {now}: {attempt:?}");
        }
    }

    #[test]
    fn a_receivers_wait_is_obeyed_up_to_a_day_and_never_beyond_the_deadline() {
        let at = |attempt: &Attempt, now: i64| match RetryPolicy::default().decide("x", 1, Timestamp(0), Timestamp(now), attempt)
        {
            Next::Retry { at } => at.0,
            other => panic!("{other:?}"),
        };
        assert_eq!(at(&asked(90), 0), 90 * SECOND);
        assert_eq!(at(&asked(u64::MAX), 0), 24 * HOUR);
        assert_eq!(at(&asked(24 * 3600), 60 * HOUR), 72 * HOUR);
        assert!(at(&asked(0), 0) <= SECOND, "the usual wait, when the receiver asks for none");
    }

    #[test]
    fn settings_are_read_or_refused_by_key() {
        assert_eq!(policy(serde_json::json!({})), RetryPolicy::default());
        let own = policy(serde_json::json!({"backoff": "250ms..30s", "deadline": "1d", "url": "x"}));
        assert_eq!((own.base, own.cap, own.deadline), (Duration::from_millis(250), Duration::from_secs(30), Some(DAY)));
        for (settings, text) in [
            (
                serde_json::json!({"retries": -1}),
                "retries: E0504: setting `retries`: expected a whole number from 0 to 1000000, found -1",
            ),
            (
                serde_json::json!({"backoff": "10m..1s"}),
                "backoff: E0504: setting `backoff`: `10m..1s` is not a range like \"1s..10m\"",
            ),
            (serde_json::json!({"deadline": 3}), "deadline: E0504: setting `deadline`: expected a text, found a number"),
        ] {
            let problems = RetryPolicy::from_settings("webhook", settings.as_object().unwrap()).unwrap_err();
            let shown: Vec<_> = problems.iter().map(|p| format!("{}: {}", p.key, p.problem)).collect();
            assert_eq!(shown, [text]);
        }
    }

    proptest! {
        #[test]
        fn a_delay_is_within_its_bounds_and_always_the_same(attempt in 1u32..200, id in "[0-9A-Z]{26}") {
            let (base, cap) = (Duration::from_secs(1), Duration::from_secs(600));
            let delay = next_delay(attempt, &id, base, cap);
            prop_assert!(delay <= cap && delay <= base.saturating_mul(2u32.saturating_pow(attempt - 1)));
            prop_assert_eq!(delay, next_delay(attempt, &id, base, cap));
        }
    }

    #[test]
    fn the_draws_fill_the_range_evenly() {
        let draws: Vec<f64> = (0..2000)
            .map(|n| next_delay(1, &format!("id{n}"), Duration::from_secs(1), Duration::from_secs(600)).as_secs_f64())
            .collect();
        let mean = draws.iter().sum::<f64>() / draws.len() as f64;
        assert!((mean - 0.5).abs() < 0.03, "{mean}");
        assert!(draws.iter().any(|d| *d < 0.01) && draws.iter().any(|d| *d > 0.99));
    }
}
