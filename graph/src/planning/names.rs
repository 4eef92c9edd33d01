//! Names of effects and reactions: each has one, and no two have the same, because effect ids derive from them.

use std::collections::BTreeMap;

use thalweg_formulas::Problem;

use super::findings::Findings;
use super::reactions;
use crate::spec::{GraphSpec, Place};

/// Refuses missing and repeated names of effects and reactions, and effects named like a global field.
pub(super) fn check(spec: &GraphSpec, findings: &mut Findings) {
    let mut taken: BTreeMap<&str, &str> = spec.fields.iter().map(|field| (field.name.as_str(), "a field")).collect();
    for (ix, effect) in spec.effects.iter().enumerate() {
        if effect.name.is_empty() {
            let problem = Problem::new(237, "an effect needs a name").help("write name = \"…\"; it is part of every effect id");
            findings.error(Place::Effect(ix, "name"), problem);
        } else {
            claim(&mut taken, &effect.name, "effect", Place::Effect(ix, "name"), findings);
        }
    }
    let names = reactions::names(&spec.reactions);
    for (ix, name) in names.iter().enumerate().filter(|(_, name)| !name.is_empty()) {
        claim(&mut taken, name, "reaction", Place::Reaction(ix, "name"), findings);
    }
}

fn claim<'a>(taken: &mut BTreeMap<&'a str, &'a str>, name: &'a str, what: &str, place: Place, findings: &mut Findings) {
    let kept = if what == "effect" { "an effect" } else { "a reaction" };
    if let Some(other) = taken.insert(name, kept) {
        let problem = Problem::new(233, format!("{what} `{name}` has the name of {other}")).help("give one of them another name");
        findings.error(place, problem);
    }
}
