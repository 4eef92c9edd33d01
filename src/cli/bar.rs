//! The bar: how far a source is with reading rows, on the last line of a terminal.
//!
//! It is drawn only where stderr is a terminal that can go back in its line (not `TERM=dumb`) and `-q` does not forbid it; elsewhere log lines
//! tell the same every few seconds. It has no colour and no escape sequence, so `NO_COLOR` has nothing to take away. What is logged meanwhile
//! comes above it: whoever writes to stderr goes through the [`Screen`].

use std::io::{self, IsTerminal, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use thalweg::runtime::status::{Board, Reading, Report};
use tracing_subscriber::fmt::MakeWriter;

/// Columns that every terminal has; a longer line would wrap and could not be taken back.
const COLUMNS: usize = 79;
/// Of these the bar itself.
const CELLS: usize = 20;
/// The least time between two drawings.
const PAUSE: Duration = Duration::from_millis(100);

/// Stderr with a line at its end that can be taken back. Clones are the same screen.
pub struct Screen<W = io::Stderr>(Arc<Mutex<Drawn<W>>>);

impl<W> Clone for Screen<W> {
    fn clone(&self) -> Screen<W> {
        Screen(self.0.clone())
    }
}

struct Drawn<W> {
    out: W,
    /// What stands in the last line.
    line: String,
    /// No line is drawn any more.
    is_closed: bool,
}

/// A bar that is shown until this is dropped.
pub struct Shown(Screen);

impl Drop for Shown {
    fn drop(&mut self) {
        self.0.with(|drawn| drawn.put("").map(|()| drawn.is_closed = true));
    }
}

/// Whether a bar may be drawn.
pub fn is_wanted(quiet: bool) -> bool {
    !quiet && io::stderr().is_terminal() && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

impl<W: Write> Screen<W> {
    /// A screen over a stream.
    pub fn new(out: W) -> Screen<W> {
        Screen(Arc::new(Mutex::new(Drawn { out, line: String::new(), is_closed: false })))
    }

    /// Puts a line in the place of the one before; an empty one only takes it back.
    pub fn draw(&self, line: &str) {
        self.with(|drawn| if drawn.is_closed { Ok(()) } else { drawn.put(line) });
    }

    /// Writes above the line.
    fn above(&self, text: &[u8]) {
        self.with(|drawn| {
            let line = drawn.line.clone();
            drawn.put("")?;
            drawn.out.write_all(text)?;
            drawn.put(&line)
        });
    }

    /// Nobody may be reading, and then there is nobody to tell.
    fn with(&self, write: impl FnOnce(&mut Drawn<W>) -> io::Result<()>) {
        let _ = write(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

impl<W: Write> Drawn<W> {
    /// A line in the place of the one that stands there. One that is taken back leaves the cursor at the beginning.
    fn put(&mut self, line: &str) -> io::Result<()> {
        if self.line == line {
            return Ok(());
        }
        let (before, now) = (self.line.chars().count(), line.chars().count());
        write!(self.out, "\r{line}{:1$}{2}", "", before.saturating_sub(now), if line.is_empty() { "\r" } else { "" })?;
        self.line = line.to_owned();
        self.out.flush()
    }
}

impl<'a, W: Write + 'a> MakeWriter<'a> for Screen<W> {
    type Writer = Above<'a, W>;

    fn make_writer(&'a self) -> Above<'a, W> {
        Above(self)
    }
}

/// Writes above the line, a log line at a time.
pub struct Above<'a, W>(&'a Screen<W>);

impl<W: Write> Write for Above<'_, W> {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        self.0.above(text);
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Draws what is read in.
pub fn show(board: Arc<Board>, screen: Screen) -> Shown {
    let shown = Shown(screen.clone());
    tokio::spawn(async move {
        let mut changed = board.changed();
        while changed.changed().await.is_ok() {
            screen.draw(&line(&board.read(), Instant::now()));
            tokio::time::sleep(PAUSE).await;
        }
    });
    shown
}

/// What is said of the first source that reads rows; nothing if none does.
fn line(report: &Report, now: Instant) -> String {
    let reading = report.sources.iter().find_map(|(name, source)| Some((name, source.reading()?)));
    reading.map_or_else(String::new, |(name, reading)| bar(name, reading, now))
}

/// `shop [########            ] 40%  400,000 of ~1,000,000 rows, 200,000/s, 3s left`. What the server expects is a guess: the last
/// percent is not claimed by it, and where more rows come it is forgotten.
fn bar(source: &str, reading: &Reading, now: Instant) -> String {
    let (read, seconds) = (reading.read(), reading.taken(now).as_secs_f64());
    let rate = if seconds > 0.0 { read.rows as f64 / seconds } else { 0.0 };
    let mut line = format!("{source} ");
    match read.expected.filter(|expected| read.rows <= *expected && *expected > 0) {
        Some(expected) => {
            let share = (read.rows as f64 / expected as f64).min(0.99);
            let full = (share * CELLS as f64) as usize;
            line += &format!("[{:#<full$}{:2$}] {3:2.0}%  ", "", "", CELLS - full, (share * 100.0).floor());
            line += &format!("{} of ~{} rows, {}/s", grouped(read.rows), grouped(expected), grouped(rate as u64));
            if rate >= 1.0 {
                line += &format!(", {} left", span((expected - read.rows) as f64 / rate));
            }
        }
        None => line += &format!("{} rows, {}/s", grouped(read.rows), grouped(rate as u64)),
    }
    line.chars().take(COLUMNS).collect()
}

/// `1,234,567`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// `7s`, `3m05s`, `2h10m`.
fn span(seconds: f64) -> String {
    let seconds = seconds.ceil() as u64;
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        _ => format!("{}h{:02}m", seconds / 3600, seconds / 60 % 60),
    }
}

#[cfg(test)]
mod tests {
    use thalweg_graph::ports::RowsRead;

    use super::*;

    #[test]
    fn a_bar_tells_the_share_the_rate_and_what_is_left() {
        let begun = Instant::now();
        for (source, rows, expected, ms, wanted) in [
            ("shop", 0, Some(1_000_000), 0, "shop [                    ]  0%  0 of ~1,000,000 rows, 0/s"),
            (
                "shop",
                400_000,
                Some(1_000_000),
                2_000,
                "shop [########            ] 40%  400,000 of ~1,000,000 rows, 200,000/s, 3s left",
            ),
            ("shop", 1_000, Some(1_000), 10, "shop [################### ] 99%  1,000 of ~1,000 rows, 100,000/s, 0s left"),
            ("shop", 1_001, Some(1_000), 10, "shop 1,001 rows, 100,100/s"),
            ("shop", 12_345, None, 1_000, "shop 12,345 rows, 12,345/s"),
            ("a", 10, Some(2_000), 1_000, "a [                    ]  0%  10 of ~2,000 rows, 10/s, 3m19s left"),
            ("a", 10, Some(200_000), 1_000, "a [                    ]  0%  10 of ~200,000 rows, 10/s, 5h33m left"),
            (
                "long_name_of_a_source",
                500_000,
                Some(1_000_000),
                1_000,
                "long_name_of_a_source [##########          ] 50%  500,000 of ~1,000,000 rows, 5",
            ),
        ] {
            let reading = Reading::new(begun, RowsRead { rows, expected });
            assert_eq!(bar(source, &reading, begun + Duration::from_millis(ms)), wanted);
        }
    }

    /// What a terminal shows in the end: `\r` goes to the beginning of the line, and what is written replaces what stood there.
    fn shown(bytes: &[u8]) -> Vec<String> {
        let line = |line: &str| {
            let mut cells: Vec<char> = Vec::new();
            for part in line.split('\r') {
                let part: Vec<char> = part.chars().collect();
                cells.splice(..part.len().min(cells.len()), part);
            }
            cells.into_iter().collect::<String>().trim_end().to_owned()
        };
        std::str::from_utf8(bytes).unwrap().split('\n').map(line).collect()
    }

    #[test]
    fn what_is_logged_comes_above_the_bar_and_nothing_of_it_stays() {
        let screen = Screen::new(Vec::new());
        let now = || shown(&screen.0.lock().unwrap().out);
        screen.draw("a long line");
        screen.draw("short");
        assert_eq!(now(), ["short"]);
        screen.make_writer().write_all(b"one\n").unwrap();
        assert_eq!(now(), ["one", "short"]);
        screen.draw("");
        screen.make_writer().write_all(b"2\n").unwrap();
        assert_eq!(now(), ["one", "2", ""]);
    }
}
