//! Fields that the clock publishes: what is written, and what makes the moment.
//!
//! Such a field is two cells as any timed one is, and a third that says whether the document **waits**: a self-reference that is above 0 from the
//! first change that is not published on. A moment opens it: the engine writes [`OPENED`](crate::plan::OPENED) there before the cell runs, and the
//! published cell follows. So a moment costs the documents that wait, whatever they are published by:
//!
//! - `every` and `cron`: a schedule. Fields with the same times and the same `misfire` have one, and move in one epoch.
//! - `at`: a time that the document tells. - `or_after`: so long after the document began to wait.

use thalweg_formulas::ast::Ast;
use thalweg_formulas::{Problem, Type};

use super::delay::parse_delay;
use super::fields::{self, check_at};
use super::findings::Findings;
use super::nodes::NodeId;
use super::world::{Shared, World};
use super::{lower, schedules, slips};
use crate::plan::{Opens, PUBLISH, Schedule, TableId};
use crate::schedule::{Misfire, Times};
use crate::spec::{Place, PolicySpec};

/// How the clock publishes a field, while the plan is made.
pub(super) struct ClockedDef {
    /// The cell that says whether the document waits.
    pub(super) waits: NodeId,
    /// What makes the moment.
    pub(super) by: By,
}

/// What makes the moment.
#[derive(Clone, PartialEq)]
pub(super) enum By {
    /// A schedule.
    Schedule(Times, Misfire),
    /// So many microseconds after the document began to wait.
    After(i64),
    /// The time in a node of the document.
    At(NodeId),
}

/// Moments are no closer than this, in microseconds: each is an epoch, also where nothing waits.
const EVERY_MIN: i64 = 1_000_000;

/// The times of `every` or `cron`.
pub(super) fn times(ix: usize, name: &str, spec: &PolicySpec, findings: &mut Findings) -> Option<(Times, Misfire)> {
    let misfire = schedules::misfire(spec.misfire.as_deref(), Place::Field(ix, "timing.misfire"), findings);
    let times = match (&spec.every, &spec.cron) {
        (Some(every), _) => Times::Every(span(ix, name, every, findings)?),
        (None, Some(cron)) => {
            let places = [Place::Field(ix, "timing.cron"), Place::Field(ix, "timing.zone")];
            Times::Cron(schedules::cron(cron, spec.zone.as_deref(), places, findings)?.into())
        }
        (None, None) => return None,
    };
    Some((times, misfire?))
}

fn span(ix: usize, name: &str, text: &str, findings: &mut Findings) -> Option<i64> {
    let problem = match parse_delay(text) {
        None => Problem::new(260, format!("field `{name}` is to be published every `{text}`, which is no span of time"))
            .help("write a number and a unit: \"5m\", \"1h 30m\", \"PT90M\""),
        Some(span) if span < EVERY_MIN => {
            Problem::new(260, format!("field `{name}` is to be published every `{text}`, and moments are a second apart or more"))
                .help(format!(
                    "write timing = {{ batch = 1000, or_after = \"{text}\" }}, which costs nothing where nothing waits"
                ))
        }
        Some(span) => return Some(span),
    };
    findings.error(Place::Field(ix, "timing.every"), problem);
    None
}

/// How long after the first change that waits a batch is published in any case.
pub(super) fn or_after(ix: usize, name: &str, text: &str, findings: &mut Findings) -> Option<i64> {
    let delay = parse_delay(text).filter(|delay| *delay > 0);
    if delay.is_none() {
        let problem =
            Problem::new(260, format!("a batch of field `{name}` is to be published after `{text}`, which is no span of time"));
        findings
            .error(Place::Field(ix, "timing.or_after"), problem.help("write a number and a unit: \"5s\", \"1h 30m\", \"PT90M\""));
    }
    delay
}

/// The keys that stand beside a policy that does not know them.
pub(super) fn misplaced(ix: usize, name: &str, spec: &PolicySpec, findings: &mut Findings) -> bool {
    let by_calendar = spec.every.is_some() || spec.cron.is_some();
    let wrong = [
        ("timing.zone", "zone", spec.zone.is_some() && spec.cron.is_none(), "cron", "every and at are the same in all zones"),
        (
            "timing.misfire",
            "misfire",
            spec.misfire.is_some() && !by_calendar,
            "every` or `cron",
            "no other moments can be missed",
        ),
        (
            "timing.or_after",
            "or_after",
            spec.or_after.is_some() && spec.batch.is_none(),
            "batch",
            "for a time alone there is `every`",
        ),
    ];
    let wrong: Vec<_> = wrong.into_iter().filter(|(_, _, is_wrong, ..)| *is_wrong).collect();
    for (place, key, _, needs, why) in &wrong {
        let problem = Problem::new(260, format!("the timing of field `{name}` has `{key}` and no `{needs}`"));
        findings.error(Place::Field(ix, place), problem.help(format!("leave it out: {why}")));
    }
    !wrong.is_empty()
}

/// Whether the clock may publish fields of the table: windows that stand still once they are over do not move with it.
pub(super) fn refuse_windows(world: &World, (table, ix, name): (usize, usize, &str), findings: &mut Findings) -> bool {
    let ends = world.groups.iter().any(|group| group.table == table && group.ending.is_some() && group.late_for.is_none());
    if ends {
        let windows = &world.catalogue.tables[table].name;
        let message =
            format!("the clock cannot publish field `{name}`: the windows of `{windows}` stand still once they are over");
        let help = "leave the timing out: fields of windows that end are published once; or write emit = \"updates\"";
        findings.error(Place::Field(ix, "timing"), Problem::new(260, message).help(help));
    }
    ends
}

/// The node of the time at which a document is published, and its type.
pub(super) fn time(
    world: &Shared,
    (table, ix, name): (usize, usize, &str),
    ast: &Ast,
    findings: &mut Findings,
) -> Option<(NodeId, Type)> {
    let place = Place::Field(ix, "timing.at");
    let (reading, expr) = check_at(world, table, ast, None).map_err(|problems| findings.errors(&place, problems)).ok()?;
    slips::warn(&world.borrow(), reading.columns(), ast, &place, findings);
    if !matches!(expr.ty(), Type::Timestamp | Type::Dyn | Type::Null) {
        let problem = Problem::new(240, format!("the `at` of field `{name}` is {}, not a timestamp", expr.ty()));
        findings.error(place, problem.at(ast.span, "").help("write a column or formula that gives one: due_at - duration('1h')"));
        return None;
    }
    if !fields::is_lowerable(world, &reading) {
        return None;
    }
    let lowered = lower::lower(&reading, &expr);
    let lowered = lowered.map_err(|problem| findings.error(place, problem.at(ast.span, ""))).ok()?;
    Some((lower::hidden(&mut world.borrow_mut(), table, &lowered), lowered.ty().clone()))
}

/// When the clock publishes, in words.
pub(super) fn words(spec: &PolicySpec) -> Option<String> {
    let every = spec.every.as_ref().map(|every| format!("every {every}"));
    let zone = spec.zone.as_ref().map_or(String::new(), |zone| format!(" in {zone}"));
    let cron = spec.cron.as_ref().map(|cron| format!("by {cron}{zone}"));
    every.or(cron).or(spec.at.as_ref().map(|at| format!("at {at}")))
}

/// What makes the moments of a field of `table`; a schedule joins those of the plan if it is a new one.
pub(super) fn opens(by: &By, table: TableId, at: impl Fn(NodeId) -> crate::plan::SlotId, all: &mut Vec<Schedule>) -> Opens {
    let (times, misfire) = match by {
        By::After(delay) => return Opens::After(*delay),
        By::At(node) => return Opens::At(at(*node)),
        By::Schedule(times, misfire) => (times, *misfire),
    };
    let missed = match misfire {
        Misfire::Once => "",
        Misfire::All => ", each that was missed",
        Misfire::Skip => ", none that was missed",
    };
    let name = format!("{}{missed}", times.text());
    let known = all.iter().position(|schedule| schedule.publishes && *schedule.name == *name);
    let place = known.unwrap_or_else(|| {
        let (name, times, event) = (name.into(), times.clone(), PUBLISH.into());
        all.push(Schedule { name, times, event, table, each_row: false, misfire, publishes: true });
        all.len() - 1
    });
    Opens::Schedule(place as u32)
}
