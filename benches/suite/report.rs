//! The one table that the suite ends with: every figure, the lost ones like the won ones.

use std::fmt::Write as _;

use super::harness::Figure;
use super::workloads::Size;

/// What our figure is to reach.
#[derive(Clone, Copy)]
enum Target {
    /// At most so many microseconds of processor time for each row.
    Cpu(f64),
    /// At most so many microseconds for half of the steps.
    P50(f64),
    /// At most so much memory.
    Megabytes(f64),
    /// So many times less processor time than a peer.
    Times(&'static str, f64),
    /// At most so many times the microseconds that we need in the same phase of another workload.
    Within(&'static str, f64),
}

const OURS: &str = "thalweg";

/// Targets by workload and phase.
const TARGETS: &[(&str, &str, Target)] = &[
    ("w2", "bulk", Target::Cpu(0.12)),
    ("w2", "bulk", Target::Megabytes(260.0)),
    ("w2", "step_1", Target::P50(6.0)),
    ("w2", "step_10", Target::Cpu(2.0)),
    ("w2", "step_100", Target::Cpu(2.0)),
    ("w2", "step_1000", Target::Cpu(2.0)),
    ("w2", "step_10000", Target::Cpu(2.0)),
    ("w3", "step_1", Target::P50(6.0)),
    ("w3", "hot", Target::P50(30.0)),
    ("w4a", "tick", Target::Cpu(0.12)),
    ("w4a", "step_1", Target::P50(10.0)),
    ("w4b", "step_1", Target::P50(8.0)),
    ("w4b", "step_10000", Target::Times("dbsp", 1.0)),
    ("nexmark-q0", "step_40000", Target::Cpu(1.0 / 11.0)),
    ("nexmark-q3", "step_40000", Target::Times("differential", 2.0)),
    ("nexmark-q3", "step_40000", Target::Times("dbsp", 2.0)),
    ("nexmark-q4", "step_40000", Target::Times("differential", 2.0)),
    ("nexmark-q4", "step_40000", Target::Times("dbsp", 2.0)),
    ("nexmark-q9", "step_40000", Target::Times("differential", 2.0)),
    ("nexmark-q9", "step_40000", Target::Times("dbsp", 2.0)),
    ("nexmark-q18", "step_40000", Target::Times("differential", 2.0)),
    ("nexmark-q18", "step_40000", Target::Times("dbsp", 2.0)),
    ("nexmark-q20", "step_40000", Target::Times("differential", 2.0)),
    ("nexmark-q20", "step_40000", Target::Times("dbsp", 2.0)),
    ("w2-2workers", "step_1", Target::Within("w2", 2.5)),
    ("w3-2workers", "step_1", Target::Within("w3", 2.5)),
    ("chain", "cells_1000_step_1", Target::Times("incremental", 5.0)),
    ("chain", "cells_1000_step_1", Target::Times("salsa", 25.0)),
    ("chain", "cells_1000_step_100", Target::Times("incremental", 5.0)),
    ("chain", "cells_1000_step_100", Target::Times("salsa", 25.0)),
    ("grid", "cells_1024_step_1", Target::Times("incremental", 5.0)),
    ("grid", "cells_1024_step_1", Target::Times("salsa", 25.0)),
    ("grid", "cells_1024_step_100", Target::Times("incremental", 5.0)),
    ("grid", "cells_1024_step_100", Target::Times("salsa", 25.0)),
    ("fan", "cells_1000_step_1", Target::Times("incremental", 5.0)),
    ("fan", "cells_1000_step_1", Target::Times("salsa", 25.0)),
    ("fan", "cells_1000_step_100", Target::Times("incremental", 5.0)),
    ("fan", "cells_1000_step_100", Target::Times("salsa", 25.0)),
];

/// The figures as Markdown, phase by phase, ours first in each.
pub fn table(figures: &[Figure], size: Size) -> String {
    let mut places: Vec<(&str, &str)> = Vec::new();
    for figure in figures {
        let place = (figure.workload.as_str(), figure.phase.as_str());
        if !places.contains(&place) {
            places.push(place);
        }
    }
    places.sort_by_key(|(workload, _)| figures.iter().position(|figure| figure.workload == *workload));
    let mut text = String::from(
        "\n| workload | phase | engine | CPU us/row | p50 us | p99 us | peak MB | answer | thalweg is better by: CPU | p50 | target |\n\
         |---|---|---|---|---|---|---|---|---|---|---|\n",
    );
    for (workload, phase) in places {
        let here: Vec<&Figure> = figures.iter().filter(|figure| figure.workload == workload && figure.phase == phase).collect();
        let ours = here.iter().find(|figure| figure.engine == OURS);
        for figure in &here {
            let verdict = if figure.engine == OURS { verdict(figure, &here, figures) } else { String::new() };
            line(&mut text, figure, ours.copied(), &verdict);
        }
    }
    if size == Size::Quick {
        text.push_str("\nA look (`--quick`): a fiftieth of the rows. Targets are those of the full size.\n");
    }
    text
}

fn line(text: &mut String, figure: &Figure, ours: Option<&Figure>, verdict: &str) {
    let is_ours = figure.engine == OURS;
    let ratio = |of: fn(&Figure) -> Option<f64>| match ours.filter(|_| !is_ours) {
        Some(ours) => of(ours).zip(of(figure)).map_or(String::new(), |(ours, theirs)| times(theirs / ours)),
        None => String::new(),
    };
    let (cpu, p50) = (ratio(|figure| Some(figure.cpu_us_per_row)), ratio(|figure| figure.p50_us));
    let engine = if is_ours { format!("**{}**", figure.engine) } else { figure.engine.clone() };
    let answer = if figure.check { "right" } else { "WRONG" };
    let optional = |x: Option<f64>| x.map_or(String::new(), number);
    let Figure { workload, phase, .. } = figure;
    let (spent, half, slow) = (number(figure.cpu_us_per_row), optional(figure.p50_us), optional(figure.p99_us));
    let _ = writeln!(
        text,
        "| {workload} | {phase} | {engine} | {spent} | {half} | {slow} | {:.0} | {answer} | {cpu} | {p50} | {verdict} |",
        figure.peak_mb
    );
}

/// Which of our targets are met here; one that needs a figure which was not taken is left out.
fn verdict(ours: &Figure, here: &[&Figure], all: &[Figure]) -> String {
    let targets = TARGETS.iter().filter(|(workload, phase, _)| *workload == ours.workload && *phase == ours.phase);
    let verdicts = targets.filter_map(|(_, _, target)| {
        let (what, met) = match *target {
            Target::Cpu(most) => (format!("CPU <= {most:.3}"), ours.cpu_us_per_row <= most),
            Target::P50(most) => (format!("p50 <= {most}"), ours.p50_us.is_some_and(|p50| p50 <= most)),
            Target::Megabytes(most) => (format!("<= {most} MB"), ours.peak_mb <= most),
            Target::Times(peer, least) => {
                let peer_figure = here.iter().find(|figure| figure.engine == peer)?;
                (format!("{peer} x{least}"), peer_figure.cpu_us_per_row >= least * ours.cpu_us_per_row)
            }
            Target::Within(workload, most) => {
                let same = |one: &&Figure| one.workload == workload && one.phase == ours.phase && one.engine == OURS;
                let alone = all.iter().find(same)?.p50_us?;
                (format!("p50 <= {most} of {workload}"), ours.p50_us.is_some_and(|p50| p50 <= most * alone))
            }
        };
        Some(format!("{what}: {}", if met { "met" } else { "MISSED" }))
    });
    verdicts.collect::<Vec<_>>().join("; ")
}

/// How many times better we are; below 1 we have lost, which a rounded 0 would not say.
fn times(times: f64) -> String {
    if times < 1.0 { format!("{times:.2}x") } else { format!("{times:.1}x") }
}

/// Three digits that matter.
fn number(figure: f64) -> String {
    match figure.abs() {
        x if x >= 100.0 => format!("{figure:.0}"),
        x if x >= 10.0 => format!("{figure:.1}"),
        x if x >= 1.0 => format!("{figure:.2}"),
        _ => format!("{figure:.3}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figure(engine: &str, cpu_us_per_row: f64, p50_us: f64, check: bool) -> Figure {
        let (workload, phase, engine) = ("w2".into(), "step_1".into(), engine.into());
        Figure { workload, phase, engine, cpu_us_per_row, p50_us: Some(p50_us), p99_us: Some(20.0), peak_mb: 100.4, check }
    }

    #[test]
    fn a_lost_row_is_printed_like_a_won_one() {
        let figures = [figure("thalweg", 7.0, 6.5, true), figure("differential", 3.5, 13.0, false)];
        let table = table(&figures, Size::Full);
        assert_eq!(
            table.lines().skip(3).collect::<Vec<_>>(),
            [
                "| w2 | step_1 | **thalweg** | 7.00 | 6.50 | 20.0 | 100 | right |  |  | p50 <= 6: MISSED |",
                "| w2 | step_1 | differential | 3.50 | 13.0 | 20.0 | 100 | WRONG | 0.50x | 2.0x |  |",
            ]
        );
    }
}
