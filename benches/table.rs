//! The one table in which every bench prints its results.

use std::fmt::Write as _;

use crate::clock::Figure;

/// What a figure counts, and whether less of it is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Nanoseconds of processor time for each of something: less is better.
    Ns(&'static str),
    /// Microseconds of processor time for each of something: less is better.
    Us(&'static str),
    /// Milliseconds of wall time: less is better.
    Ms,
    /// Bytes for each of something: less is better.
    Bytes(&'static str),
    /// Megabytes: less is better.
    Megabytes,
    /// Millions of something a second: more is better.
    MillionPerS(&'static str),
    /// Something a second: more is better.
    PerS(&'static str),
}

impl Unit {
    fn text(self) -> String {
        match self {
            Unit::Ns(each) => format!("ns/{each}"),
            Unit::Us(each) => format!("us/{each}"),
            Unit::Ms => "ms".into(),
            Unit::Bytes(each) => format!("B/{each}"),
            Unit::Megabytes => "MB".into(),
            Unit::MillionPerS(what) => format!("M {what}/s"),
            Unit::PerS(what) => format!("{what}/s"),
        }
    }

    fn more_is_better(self) -> bool {
        matches!(self, Unit::MillionPerS(_) | Unit::PerS(_))
    }
}

/// What our figure is to reach.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Target {
    /// None is set.
    None,
    /// At most this for less-is-better, at least this for more-is-better.
    Reach(f64),
    /// So many times better than a peer of the same case.
    Times(f64),
}

/// The results of one bench. Printed as Markdown on drop, so that a bench that fails still shows what it had.
pub struct Table {
    question: &'static str,
    ours: Option<(String, f64, Unit)>,
    lines: String,
}

impl Table {
    /// A table that answers a question.
    pub fn new(question: &'static str) -> Table {
        Table { question, ours: None, lines: String::new() }
    }

    /// Our figure for a case; the peers of the case follow.
    pub fn ours(&mut self, case: impl Into<String>, figure: impl Into<Figure>, unit: Unit, target: Target) {
        let (case, best) = (case.into(), figure.into());
        let figure = best.median;
        let verdict = match target {
            Target::Reach(bound) => {
                let met = if unit.more_is_better() { figure >= bound } else { figure <= bound };
                let sign = if unit.more_is_better() { ">=" } else { "<=" };
                format!("{sign} {}: {}", number(bound), verdict(met))
            }
            Target::None | Target::Times(_) => String::new(),
        };
        self.line(&case, "**thalweg**", best, unit, "", &verdict);
        self.ours = Some((case, figure, unit));
    }

    /// A peer's figure for the case and in the unit of the last [`Table::ours`].
    ///
    /// # Panics
    /// If no case was begun.
    pub fn peer(&mut self, who: &str, figure: impl Into<Figure>, target: Target) {
        let best = figure.into();
        let figure = best.median;
        let (case, ours, unit) = self.ours.clone().expect("a peer follows our own figure");
        let times = if unit.more_is_better() { ours / figure } else { figure / ours };
        let verdict = match target {
            Target::Times(bound) => format!(">= {}x: {}", number(bound), verdict(times >= bound)),
            Target::None | Target::Reach(_) => String::new(),
        };
        self.line(&case, who, best, unit, &times_text(times), &verdict);
    }

    fn line(&mut self, case: &str, who: &str, figure: Figure, unit: Unit, times: &str, verdict: &str) {
        let best = figure.best.map_or(String::new(), number);
        let figure = format!("{} {}", number(figure.median), unit.text());
        eprintln!("  {case}: {who} {figure} {times} {verdict}");
        writeln!(self.lines, "| {case} | {who} | {figure} | {best} | {times} | {verdict} |")
            .expect("writing to a string does not fail");
    }
}

impl Drop for Table {
    fn drop(&mut self) {
        println!("\n**{}**\n", self.question);
        println!(
            "| case | contestant | median | best tenth | thalweg is better by | target |\n|---|---|---|---|---|---|\n{}",
            self.lines
        );
    }
}

/// How many times better we are; below 1 we have lost, which a rounded 0 would not say.
fn times_text(times: f64) -> String {
    if times < 1.0 { format!("{times:.2}x") } else { format!("{times:.1}x") }
}

fn verdict(met: bool) -> &'static str {
    if met { "met" } else { "MISSED" }
}

/// Three digits that matter.
fn number(figure: f64) -> String {
    match figure.abs() {
        x if x >= 100.0 => format!("{figure:.0}"),
        x if x >= 10.0 => format!("{figure:.1}"),
        _ => format!("{figure:.2}"),
    }
}
