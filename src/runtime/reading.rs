//! What is said of rows that are being read in: how many so far and how fast, every few seconds, and the whole at the end.

use std::time::{Duration, Instant};

/// Between two lines about the same rows.
const PAUSE: Duration = Duration::from_secs(2);

/// Rows of one source that are being read in.
#[derive(Clone, Copy, Debug)]
pub struct Reading {
    begun: Instant,
    said: Instant,
    rows: u64,
}

impl Reading {
    /// From now on.
    pub fn new(now: Instant) -> Reading {
        Reading { begun: now, said: now, rows: 0 }
    }

    /// So many rows are there. Gives what is to be said of them, if it is time.
    pub fn at(&mut self, rows: u64, now: Instant) -> Option<String> {
        self.rows = rows;
        if now - self.said < PAUSE {
            return None;
        }
        self.said = now;
        let seconds = (now - self.begun).as_secs_f64();
        Some(format!("{rows} rows so far, {:.0} a second", rows as f64 / seconds))
    }

    /// All are there.
    pub fn end(&self, now: Instant) -> String {
        format!("{} rows in {:.1} s", self.rows, (now - self.begun).as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_every_few_seconds_and_one_at_the_end() {
        let begun = Instant::now();
        let after = |ms| begun + Duration::from_millis(ms);
        let mut reading = Reading::new(begun);
        let said: Vec<_> = [(500, 10_000), (1_999, 90_000), (2_500, 100_000), (3_000, 120_000), (4_500, 180_000)]
            .into_iter()
            .filter_map(|(ms, rows)| reading.at(rows, after(ms)))
            .collect();
        assert_eq!(said, ["100000 rows so far, 40000 a second", "180000 rows so far, 40000 a second"]);
        reading.at(190_000, after(4_600));
        assert_eq!(reading.end(after(4_750)), "190000 rows in 4.8 s");
    }
}
