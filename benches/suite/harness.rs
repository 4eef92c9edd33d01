//! How the suite measures, and the figures that come of it.
//!
//! Each contestant of each workload has a process of its own, so that its peak memory is its own and nobody finds another's caches. Inputs are
//! made outside the clock, a chunk at a time, just before they are needed. A step is one transaction; it ends when its output deltas
//! have been read. The cost of a row is processor time of the whole process, the middle one of many chunks; latencies are wall time.

use std::time::Instant;

use rustix::time::{ClockId, clock_gettime};

/// One line of the report.
#[derive(Clone, Debug, PartialEq)]
pub struct Figure {
    /// `w2`.
    pub workload: String,
    /// `step_100`.
    pub phase: String,
    /// `thalweg`, or a peer.
    pub engine: String,
    /// Processor time for each row that came or changed.
    pub cpu_us_per_row: f64,
    /// Wall time of a step; absent where a phase is one long step.
    pub p50_us: Option<f64>,
    /// The same, but for the slowest hundredth.
    pub p99_us: Option<f64>,
    /// The most memory so far, the harness included.
    pub peak_mb: f64,
    /// The answer is that of the direct computation.
    pub check: bool,
}

impl Figure {
    /// The line that `--json` prints.
    pub fn json(&self) -> String {
        let number = |x: Option<f64>| x.map_or("null".to_owned(), |x| format!("{x:.4}"));
        format!(
            r#"{{"workload":"{}","phase":"{}","engine":"{}","cpu_us_per_row":{:.4},"p50_us":{},"p99_us":{},"peak_mb":{:.1},"check":{}}}"#,
            self.workload,
            self.phase,
            self.engine,
            self.cpu_us_per_row,
            number(self.p50_us),
            number(self.p99_us),
            self.peak_mb,
            self.check
        )
    }

    /// A line of [`Figure::json`] read again.
    pub fn parse(line: &str) -> Option<Figure> {
        let member = |name: &str| {
            let rest = line.split_once(&format!("\"{name}\":"))?.1;
            Some(rest.split([',', '}']).next()?.trim_matches('"'))
        };
        let number = |name: &str| member(name)?.parse::<f64>().ok();
        Some(Figure {
            workload: member("workload")?.into(),
            phase: member("phase")?.into(),
            engine: member("engine")?.into(),
            cpu_us_per_row: number("cpu_us_per_row")?,
            p50_us: number("p50_us"),
            p99_us: number("p99_us"),
            peak_mb: number("peak_mb")?,
            check: member("check")? == "true",
        })
    }
}

/// Measures the phases of one contestant.
pub struct Runner<'a> {
    /// What is run.
    pub workload: &'static str,
    /// Who runs it.
    pub engine: &'static str,
    /// Takes each figure as it is there.
    pub take: &'a mut dyn FnMut(Figure),
}

/// What a phase came to.
pub struct Measured {
    cpu_us_per_row: f64,
    p50_us: Option<f64>,
    p99_us: Option<f64>,
    peak_mb: f64,
}

/// How many rows a chunk has at most, so that its input stays small and warm.
const CHUNK_ROWS: usize = 20_000;

impl Runner<'_> {
    /// Runs `steps` steps of `rows` rows each. `prepare` makes the input of one step outside the clock.
    pub fn measure<E, S>(
        &self,
        (steps, rows): (usize, usize),
        engine: &mut E,
        mut prepare: impl FnMut(&mut E) -> S,
        mut run: impl FnMut(&mut E, S),
    ) -> Measured {
        let per_chunk = (CHUNK_ROWS / rows).clamp(1, steps.div_ceil(10).max(1));
        let (mut costs, mut latencies) = (Vec::new(), Vec::with_capacity(steps));
        let mut left = steps;
        while left > 0 {
            let inputs: Vec<S> = (0..per_chunk.min(left)).map(|_| prepare(engine)).collect();
            left -= inputs.len();
            let (count, start) = (inputs.len() * rows, cpu_ns());
            for input in inputs {
                let begun = Instant::now();
                run(engine, input);
                latencies.push(begun.elapsed().as_nanos() as f64 / 1e3);
            }
            costs.push((cpu_ns() - start) as f64 / 1e3 / count as f64);
        }
        let (p50_us, p99_us) = (Some(quantile(&mut latencies, 0.5)), Some(quantile(&mut latencies, 0.99)));
        Measured { cpu_us_per_row: quantile(&mut costs, 0.5), p50_us, p99_us, peak_mb: peak_mb() }
    }

    /// Runs one long step in parts, each made just before it is handed over; the cost is that of all of them.
    pub fn measure_parts<E, P, S>(
        &self,
        rows: u64,
        engine: &mut E,
        parts: impl Iterator<Item = P>,
        mut prepare: impl FnMut(&mut E, P) -> S,
        mut run: impl FnMut(&mut E, S),
    ) -> Measured {
        let mut ns = 0;
        for part in parts {
            let input = prepare(engine, part);
            let start = cpu_ns();
            run(engine, input);
            ns += cpu_ns() - start;
        }
        Measured { cpu_us_per_row: ns as f64 / 1e3 / rows as f64, p50_us: None, p99_us: None, peak_mb: peak_mb() }
    }

    /// Hands over the figure of a phase; `check`: the answer is right.
    pub fn tell(&mut self, phase: &str, measured: Measured, check: bool) {
        let Measured { cpu_us_per_row, p50_us, p99_us, peak_mb } = measured;
        let (workload, phase, engine) = (self.workload.into(), phase.into(), self.engine.into());
        (self.take)(Figure { workload, phase, engine, cpu_us_per_row, p50_us, p99_us, peak_mb, check });
    }
}

/// Processor time of this process so far, all threads.
pub fn cpu_ns() -> u64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// The most memory that this process has had resident; 0 where there is no `/proc`.
fn peak_mb() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
    kilobytes.unwrap_or(0.0) / 1024.0
}

fn quantile(figures: &mut [f64], part: f64) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[((figures.len() - 1) as f64 * part).round() as usize]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_is_one_line_and_is_read_again() {
        let figure = |p50_us| Figure {
            workload: "w2".into(),
            phase: "step_1".into(),
            engine: "thalweg".into(),
            cpu_us_per_row: 5.25,
            p50_us,
            p99_us: None,
            peak_mb: 12.5,
            check: true,
        };
        assert_eq!(
            figure(Some(4.5)).json(),
            r#"{"workload":"w2","phase":"step_1","engine":"thalweg","cpu_us_per_row":5.2500,"p50_us":4.5000,"p99_us":null,"peak_mb":12.5,"check":true}"#
        );
        for figure in [figure(Some(4.5)), figure(None)] {
            assert_eq!(Figure::parse(&figure.json()), Some(figure));
        }
        assert_eq!(Figure::parse("anything else"), None);
    }
}
