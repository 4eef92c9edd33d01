//! Clocks: processor time of this thread, memory of this process.

use rustix::time::{ClockId, clock_gettime};

/// Processor time of this thread since it started, in nanoseconds.
pub fn thread_cpu_ns() -> u64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// Processor time of the call on this thread, in nanoseconds.
pub fn cpu_ns_of(work: impl FnOnce()) -> f64 {
    let start = thread_cpu_ns();
    work();
    (thread_cpu_ns() - start) as f64
}

/// A figure over many chunks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Figure {
    /// The middle one: what is judged.
    pub median: f64,
    /// The best tenth, where there are chunks: what the median comes to on a quiet machine. A neighbour on the other half of a core,
    /// or in the same cache, makes processor time longer too.
    pub best: Option<f64>,
}

impl Figure {
    /// In another unit.
    pub fn map(self, convert: impl Fn(f64) -> f64) -> Figure {
        Figure { median: convert(self.median), best: self.best.map(convert) }
    }
}

impl From<f64> for Figure {
    fn from(median: f64) -> Figure {
        Figure { median, best: None }
    }
}

/// Runs `chunk` so many times, each on fresh input that is made outside the clock; the time of an item, in nanoseconds.
pub fn time_ns<I>(chunks: usize, items: usize, mut input: impl FnMut() -> I, mut chunk: impl FnMut(I)) -> Figure {
    let times = (0..chunks).map(|_| {
        let input = input();
        cpu_ns_of(|| chunk(input)) / items as f64
    });
    let times: Vec<f64> = times.collect();
    Figure { median: median(times.clone()), best: Some(quantile(times, 0.1)) }
}

/// The middle one.
pub fn median(figures: Vec<f64>) -> f64 {
    quantile(figures, 0.5)
}

/// The figure below which the given part of them lies.
pub fn quantile(mut figures: Vec<f64>, part: f64) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[((figures.len() - 1) as f64 * part).round() as usize]
}

/// Resident memory of a process (`self` or its id), in bytes; 0 where there is no `/proc`.
pub fn rss_bytes(process: &str) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
    kilobytes.unwrap_or(0.0) * 1024.0
}

/// Processor time of a process so far, all threads, in seconds; 0 where there is no `/proc`.
pub fn process_cpu_s(process: &str) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or("").split_whitespace().collect();
    let ticks = |i: usize| fields.get(i).and_then(|field| field.parse::<f64>().ok()).unwrap_or(0.0);
    (ticks(11) + ticks(12)) / 100.0
}
