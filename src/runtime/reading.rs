//! What is said of rows that are being read in: how many so far and how fast, every few seconds, and the whole at the end.

use std::time::{Duration, Instant};

use thalweg_graph::ports::RowsRead;

/// Between two lines about the same rows.
const PAUSE: Duration = Duration::from_secs(2);

/// The target of these lines in the log: whoever shows a bar in their place leaves them out.
pub const TARGET: &str = "thalweg::reading";

/// Rows of one source that are being read in.
#[derive(Clone, Copy, Debug)]
pub struct Reading {
    begun: Instant,
    said: Instant,
    read: RowsRead,
}

impl Reading {
    /// From now on.
    pub fn new(now: Instant, read: RowsRead) -> Reading {
        Reading { begun: now, said: now, read }
    }

    /// How far it is.
    pub fn read(&self) -> RowsRead {
        self.read
    }

    /// How long it has taken so far.
    pub fn taken(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.begun)
    }

    /// So many rows are there. Gives what is to be said of them, if it is time.
    pub fn at(&mut self, read: RowsRead, now: Instant) -> Option<String> {
        self.read = read;
        if now - self.said < PAUSE {
            return None;
        }
        self.said = now;
        let of = read.expected.map_or_else(String::new, |expected| format!(" of about {expected}"));
        Some(format!("{} rows so far{of}, {:.0} a second", read.rows, read.rows as f64 / self.taken(now).as_secs_f64()))
    }

    /// All are there.
    pub fn end(&self, now: Instant) -> String {
        format!("{} rows in {:.1} s", self.read.rows, self.taken(now).as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_every_few_seconds_and_one_at_the_end() {
        let begun = Instant::now();
        let after = |ms| begun + Duration::from_millis(ms);
        let of = |expected| move |rows| RowsRead { rows, expected };
        let mut reading = Reading::new(begun, RowsRead::default());
        let said: Vec<_> = [(500, 10_000), (1_999, 90_000), (2_500, 100_000), (3_000, 120_000), (4_500, 180_000)]
            .into_iter()
            .filter_map(|(ms, rows)| reading.at(of(None)(rows), after(ms)))
            .collect();
        assert_eq!(said, ["100000 rows so far, 40000 a second", "180000 rows so far, 40000 a second"]);
        let said = reading.at(of(Some(200_000))(185_000), after(6_600)).unwrap();
        assert_eq!(said, "185000 rows so far of about 200000, 28030 a second");
        reading.at(of(Some(200_000))(190_000), after(6_600));
        assert_eq!(reading.end(after(6_750)), "190000 rows in 6.8 s");
    }
}
