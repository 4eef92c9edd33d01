//! What planning has to say about a definition: every problem, each at its place, in the order of the definition.

use thalweg_formulas::Problem;
use thalweg_formulas::problem::did_you_mean;

use crate::spec::{Finding, Place, Severity};

/// Collects problems; nothing is reported twice.
#[derive(Default)]
pub(super) struct Findings {
    all: Vec<Finding>,
}

impl Findings {
    /// The definition is refused.
    pub(super) fn error(&mut self, place: Place, problem: Problem) {
        self.push(Severity::Error, place, problem);
    }

    /// It runs, and something may not be meant.
    pub(super) fn warn(&mut self, place: Place, problem: Problem) {
        self.push(Severity::Warning, place, problem);
    }

    /// Several errors at one place.
    pub(super) fn errors(&mut self, place: &Place, problems: Vec<Problem>) {
        problems.into_iter().for_each(|problem| self.error(place.clone(), problem));
    }

    /// Whether nothing refuses the definition.
    pub(super) fn acceptable(&self) -> bool {
        self.all.iter().all(|finding| finding.severity == Severity::Warning)
    }

    /// Says what was found at other places.
    pub(super) fn place_by(&mut self, f: impl Fn(Place) -> Place) {
        for finding in std::mem::take(&mut self.all) {
            self.push(finding.severity, f(finding.place), finding.problem);
        }
    }

    /// Everything found, by place, then by position in the text, then by code.
    pub(super) fn sorted(mut self) -> Vec<Finding> {
        self.all.sort_by_cached_key(|finding| {
            let problem = &finding.problem;
            let part = match finding.place {
                Place::Payload(_, name) | Place::CancelOn(_, name) => name + 1,
                _ => 0,
            };
            (whole(&finding.place), part, problem.span.map(|span| span.start), problem.code, problem.message.clone())
        });
        self.all
    }

    fn push(&mut self, severity: Severity, place: Place, problem: Problem) {
        let finding = Finding { severity, place, problem };
        if !self.all.contains(&finding) {
            self.all.push(finding);
        }
    }
}

/// The entry that a place is part of: the payload for a name in it.
fn whole(place: &Place) -> Place {
    match place {
        Place::Payload(effect, _) => Place::Effect(*effect, "payload"),
        Place::CancelOn(rule, _) => Place::Reaction(*rule, "timer.cancel_on"),
        place => place.clone(),
    }
}

/// The same problem with the near misses of `name` as its cure and the names that exist as a note.
pub(super) fn with_near_misses<'a>(
    problem: Problem,
    name: &str,
    what: &str,
    known: impl IntoIterator<Item = &'a str>,
) -> Problem {
    let known: Vec<&str> = known.into_iter().filter(|known| !known.is_empty()).collect();
    let problem = match did_you_mean(name, known.iter().copied()).as_slice() {
        [] => problem,
        near => problem.help(format!("did you mean {}?", one_of(near))),
    };
    if known.is_empty() { problem } else { problem.note(format!("{what}: {}", listed(&known))) }
}

/// `` `a`, `b` or `c` ``.
pub(super) fn one_of(names: &[&str]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    match quoted.as_slice() {
        [] => String::new(),
        [one] => one.clone(),
        [init @ .., last] => format!("{} or {last}", init.join(", ")),
    }
}

/// At most twelve names, then how many more.
fn listed(names: &[&str]) -> String {
    const SHOWN: usize = 12;
    match names.len().checked_sub(SHOWN) {
        None | Some(0) => names.join(", "),
        Some(more) => format!("{} and {more} more", names[..SHOWN].join(", ")),
    }
}
