//! The wall clock as a port, so that whatever waits can be tested with time as an argument.

use std::time::{SystemTime, UNIX_EPOCH};

use thalweg_formulas::Timestamp;

/// Tells the time.
pub trait Clock: Send + Sync {
    /// Now, in UTC.
    fn now(&self) -> Timestamp;
}

/// The machine's clock.
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_micros());
        Timestamp(i64::try_from(since).unwrap_or(i64::MAX))
    }
}
