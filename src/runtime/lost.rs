//! Rules that have lost what they read: a column was dropped or changed its type, a table's key is another one.
//!
//! Such a rule is left out with its error, and the rest goes on; when the column is back, so is the rule. Only under a definition that
//! has run before: a first start takes the definition whole or not at all.

use std::sync::Arc;

use thalweg_graph::plan::Plan;
use thalweg_graph::spec::{Finding, GraphSpec, Place, Severity};
use thalweg_graph::{Schema, planning};

/// A rule that is left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lost {
    /// Which: `field Order.total`, `effect big`.
    pub what: String,
    /// Code and reason.
    pub reason: String,
}

/// Plans what can be planned over these tables.
///
/// # Errors
/// What is wrong with more than single rules.
pub(super) fn plan(spec: &GraphSpec, schemas: &[Arc<Schema>]) -> Result<(Plan, Vec<Finding>, Vec<Lost>), Vec<Finding>> {
    let mut spec = spec.clone();
    let mut lost = Vec::new();
    loop {
        match planning::plan(&spec, schemas) {
            Ok((plan, warnings)) => return Ok((plan, warnings, lost)),
            Err(findings) => {
                let left_out = leave_out(&mut spec, &findings).ok_or(findings)?;
                lost.extend(left_out); // What reads a rule that is left out has an error of its own, the next time round.
            }
        }
    }
}

/// Takes the rules with errors out of the definition; `None` if an error stands elsewhere.
fn leave_out(spec: &mut GraphSpec, findings: &[Finding]) -> Option<Vec<Lost>> {
    let mut places: Vec<(Place, String)> = Vec::new();
    for finding in findings.iter().filter(|f| f.severity == Severity::Error) {
        let place = owner(&finding.place)?;
        if !places.iter().any(|(known, _)| *known == place) {
            places.push((place, format!("{}: {}", finding.problem.code, finding.problem.message)));
        }
    }
    places.sort(); // Later ones of a kind are taken out first, so that the earlier ones keep their places.
    let lost = places.into_iter().rev().map(|(place, reason)| Lost { what: take(spec, &place), reason });
    Some(lost.collect()).filter(|lost: &Vec<Lost>| !lost.is_empty())
}

/// The rule that a place belongs to.
fn owner(place: &Place) -> Option<Place> {
    Some(match place {
        Place::Table(table, key) if key.starts_with("relations.") => Place::Table(*table, key.clone()),
        Place::Table(..) | Place::Classify(..) => return None,
        Place::Field(field, _) => Place::Field(*field, ""),
        Place::Effect(effect, _) | Place::Payload(effect, _) => Place::Effect(*effect, ""),
        Place::Reaction(reaction, _) | Place::CancelOn(reaction, _) => Place::Reaction(*reaction, ""),
        Place::Schedule(schedule, _) => Place::Schedule(*schedule, ""),
        Place::Goal(goal, _) => Place::Goal(*goal, String::new()),
        Place::Action { effect: true, owner, .. } => Place::Effect(*owner, ""),
        Place::Action { effect: false, owner, .. } => Place::Reaction(*owner, ""),
    })
}

/// Takes a rule out of the definition and says which it was.
fn take(spec: &mut GraphSpec, place: &Place) -> String {
    match place {
        Place::Table(table, key) => {
            let name = key.trim_start_matches("relations.").split('.').next().unwrap_or_default();
            spec.tables[*table].relations.remove(name);
            format!("relation {}.{name}", spec.tables[*table].name)
        }
        Place::Field(field, _) => format!("field {}", spec.fields.remove(*field).name),
        Place::Reaction(reaction, _) => {
            let removed = spec.reactions.remove(*reaction);
            format!("reaction {}", removed.name.unwrap_or(removed.event))
        }
        Place::Effect(effect, _) => format!("effect {}", spec.effects.remove(*effect).name),
        Place::Schedule(schedule, _) => format!("schedule {}", spec.schedules.remove(*schedule).name),
        Place::Goal(goal, _) => format!("goal {}", spec.goals.remove(*goal).name),
        Place::Payload(..) | Place::CancelOn(..) | Place::Classify(..) | Place::Action { .. } => String::new(),
    }
}
