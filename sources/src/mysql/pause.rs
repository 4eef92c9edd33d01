//! The pauses between attempts: short ones at first and after a good connection, then longer ones.

use std::time::Duration;

use rand::Rng;

/// The first pause after a break; it doubles up to [`PAUSE_MAX`].
pub(crate) const PAUSE_MIN: Duration = Duration::from_millis(200);
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// A connection that held so long, or that brought something, was a good one: the next pause is a short one again.
pub(crate) const GOOD_CONNECTION: Duration = Duration::from_secs(10);

/// How long the next one is.
#[derive(Debug)]
pub(crate) struct Pauses(Duration);

impl Pauses {
    pub(crate) fn new() -> Pauses {
        Pauses(PAUSE_MIN)
    }

    /// Waits before the next attempt. No two readers wait alike, so that they do not all come at once.
    pub(crate) async fn wait(&mut self, was_good: bool, at_least: Duration) {
        self.0 = if was_good { PAUSE_MIN } else { self.0 }.max(at_least);
        let jitter = rand::rng().random_range(0.5..1.0);
        tokio::time::sleep(self.0.mul_f64(jitter)).await;
        self.0 = (self.0 * 2).min(PAUSE_MAX);
    }
}
