//! Schedules: events that come by the calendar.
//!
//! A schedule without `on` has a table of its own name that never has a row: its event is raised once, and what reacts to it reads
//! nothing but `event`, `tx` and `now`. One with `on` raises it for each row of that table.

use thalweg_formulas::Problem;

use super::findings::Findings;
use super::world::Shared;
use crate::plan::{Schedule, TableId};
use crate::schedule::{Cron, CronError, Misfire, Times};
use crate::spec::{GraphSpec, Place, ScheduleSpec};

/// All schedules, in the order of the definition; `None` for one that is refused.
pub(super) fn check_schedules(world: &Shared, spec: &GraphSpec, findings: &mut Findings) -> Vec<Option<Schedule>> {
    spec.schedules.iter().enumerate().map(|(ix, schedule)| check(world, ix, schedule, spec, findings)).collect()
}

fn check(world: &Shared, ix: usize, schedule: &ScheduleSpec, spec: &GraphSpec, findings: &mut Findings) -> Option<Schedule> {
    let places = [Place::Schedule(ix, "cron"), Place::Schedule(ix, "zone")];
    let cron = cron(&schedule.cron, schedule.zone.as_deref(), places, findings);
    let misfire = misfire(schedule.misfire.as_deref(), Place::Schedule(ix, "misfire"), findings);
    for (key, text, what) in
        [("name", &schedule.name, "a name"), ("event", &schedule.event, "the name of the event that it raises")]
    {
        if text.is_empty() {
            let problem = Problem::new(237, format!("a schedule needs {what}")).help(format!("write {key} = \"…\""));
            findings.error(Place::Schedule(ix, key), problem);
        }
    }
    if spec.schedules[..ix].iter().any(|other| other.name == schedule.name && !schedule.name.is_empty()) {
        let problem = Problem::new(233, format!("schedule `{}` is declared twice", schedule.name));
        findings.error(Place::Schedule(ix, "name"), problem.help("give one of them another name"));
        return None;
    }
    if !schedule.event.is_empty() && spec.reactions.iter().all(|rule| rule.event != schedule.event) {
        let problem = Problem::new(248, format!("nothing reacts to the event `{}` that this schedule raises", schedule.event));
        findings.warn(Place::Schedule(ix, "event"), problem.help(format!("write [[reactions]] event = \"{}\"", schedule.event)));
    }
    let table = table(world, ix, schedule, findings)?;
    let (name, event) = (schedule.name.as_str().into(), schedule.event.as_str().into());
    let each_row = schedule.on.is_some();
    let times = Times::Cron(cron?.into());
    Some(Schedule { name, times, event, table: TableId(table as u32), each_row, misfire: misfire?, publishes: false })
}

/// A pattern and its zone; `places` are those of the two.
pub(super) fn cron(pattern: &str, zone: Option<&str>, places: [Place; 2], findings: &mut Findings) -> Option<Cron> {
    let read = Cron::parse(pattern, zone.unwrap_or("UTC"));
    read.map_err(|why| {
        let [pattern_place, zone_place] = places;
        let (place, problem) = match &why {
            CronError::Zone(_) => {
                let problem = Problem::new(259, why.to_string());
                (zone_place, problem.help("write a name of the IANA database, such as \"Europe/Berlin\" or \"UTC\""))
            }
            _ => {
                let problem = Problem::new(259, format!("`{pattern}` is not a schedule: {why}"));
                let help = "write minute, hour, day, month and weekday: \"30 3 * * MON-FRI\"; \"*/15 * * * *\" is every quarter of an hour";
                (pattern_place, problem.help(help))
            }
        };
        findings.error(place, problem);
    })
    .ok()
}

/// What becomes of times that passed.
pub(super) fn misfire(word: Option<&str>, place: Place, findings: &mut Findings) -> Option<Misfire> {
    match word {
        None | Some("once") => Some(Misfire::Once),
        Some("all") => Some(Misfire::All),
        Some("skip") => Some(Misfire::Skip),
        Some(other) => {
            let problem = Problem::new(242, format!("`{other}` is no way to treat times that have passed"));
            findings.error(place, problem.help("write \"once\", \"all\" or \"skip\""));
            None
        }
    }
}

/// The table whose rows its reactions are judged on.
fn table(world: &Shared, ix: usize, schedule: &ScheduleSpec, findings: &mut Findings) -> Option<usize> {
    let catalogue = &mut world.borrow_mut().catalogue;
    match &schedule.on {
        Some(on) => {
            let table = catalogue.expect(on, &format!("schedule `{}`", schedule.name), Place::Schedule(ix, "on"), findings)?;
            if catalogue.tables[table].derived {
                let problem =
                    Problem::new(257, format!("schedule `{}` names `{on}`, whose rows no source changes", schedule.name));
                findings.error(Place::Schedule(ix, "on"), problem.help("name a table that a source has"));
                return None;
            }
            Some(table)
        }
        None if schedule.name.is_empty() => None,
        None => {
            let added = catalogue.add_rowless(&schedule.name);
            if added.is_none() {
                let problem = Problem::new(233, format!("schedule `{}` has the name of a table", schedule.name));
                let help = format!("give it another name, or write on = \"{}\" to raise its event for each row", schedule.name);
                findings.error(Place::Schedule(ix, "name"), problem.help(help));
            }
            added
        }
    }
}
