//! Another definition takes the place of the one that runs: from its rows and its exported state, as a reload does.

use std::collections::BTreeSet;
use std::sync::Arc;

use thalweg_engine::{Engine, Options};
use thalweg_graph::outcome::{Delta, Document, ErrorChange, Fired};
use thalweg_graph::plan::Laziness;
use thalweg_graph::planning::plan;
use thalweg_graph::spec::GraphSpec;
use thalweg_graph::state::EngineState;
use thalweg_graph::{Outcome, Plan, Transaction};

use crate::oracle::Oracle;
use crate::properties::seeds;
use crate::random::{History, Rng, random_plan};
use crate::restart::fills;

/// Transactions before the swap.
pub const BEFORE: usize = 40;

/// Where the first definition stands at the swap, and what comes then.
pub struct Stand {
    engine: Engine,
    state: EngineState,
    history: History,
    oracle: Oracle,
    pub all: Vec<Transaction>,
}

pub fn stand(plan: &Arc<Plan>, rng: &mut Rng) -> Stand {
    let mut history = History::new();
    let all: Vec<Transaction> = (0..BEFORE + 20).map(|_| history.transaction(rng)).collect();
    let mut engine = Engine::new(plan.clone(), Options::default());
    for tx in &all[..BEFORE] {
        engine.push(tx.clone());
    }
    engine.step();
    let mut oracle = Oracle::new(plan.clone());
    all[..BEFORE].iter().for_each(|tx| oracle.step(tx));
    Stand { state: engine.export(), engine, history, oracle, all }
}

/// `next` in the place of what stands.
pub fn swap(from: &Stand, before: &Plan, next: &Arc<Plan>, workers: usize, rng: &mut Rng) -> Engine {
    let mut engine = Engine::new(next.clone(), Options { workers, ..Options::default() });
    engine.import(from.state.clone());
    for fill in fills(before, &from.oracle, &from.history.schemas, rng) {
        engine.push(fill);
        let outcome = engine.step();
        assert!(outcome.fired.is_empty() && outcome.timers.is_empty(), "a fill never fires");
    }
    engine.resume_at(BEFORE as u64);
    engine
}

/// The rest of the history, in batches of any size.
pub fn rest(engine: &mut Engine, all: &[Transaction], rng: &mut Rng) -> Outcome {
    let mut whole = Outcome::default();
    let mut waiting = all[BEFORE..].iter();
    while waiting.len() > 0 {
        for tx in waiting.by_ref().take(rng.below(6) + 1) {
            engine.push(tx.clone());
        }
        let part = engine.step();
        whole.deltas.append(part.deltas);
        whole.fired.extend(part.fired);
        whole.errors.extend(part.errors);
    }
    whole
}

/// Fields and effects taken out, others put in: what is left means what it meant.
pub fn edited(spec: &GraphSpec, other: &GraphSpec, rng: &mut Rng) -> (GraphSpec, Arc<Plan>) {
    let mut spec = spec.clone();
    let mut attempt = |edit: &dyn Fn(&mut GraphSpec)| {
        let mut next = spec.clone();
        edit(&mut next);
        if plan(&next, &[]).is_ok() {
            spec = next;
        }
    };
    for _ in 0..6 {
        let (at, from) = (rng.below(100), rng.below(100));
        attempt(&|spec| drop((!spec.fields.is_empty()).then(|| spec.fields.remove(at % spec.fields.len()))));
        attempt(&|spec| drop((!spec.effects.is_empty()).then(|| spec.effects.remove(at % spec.effects.len()))));
        attempt(&|spec| {
            let Some(mut field) = other.fields.get(from % other.fields.len().max(1)).cloned() else { return };
            field.name = format!("{}_{at}", field.name);
            spec.fields.push(field);
        });
        attempt(&|spec| {
            let Some(mut effect) = other.effects.get(from % other.effects.len().max(1)).cloned() else { return };
            effect.name = format!("new{at}");
            spec.effects.push(effect);
        });
    }
    let planned = plan(&spec, &[]).expect("every edit was tried").0;
    (spec, Arc::new(planned))
}

/// What of an outcome is of these nodes, without the places of rules in their plan.
fn of(outcome: &Outcome, is_common: &dyn Fn(&str) -> bool) -> (Vec<Delta>, Vec<String>, Vec<ErrorChange>) {
    let deltas = outcome.deltas.sorted().into_iter().filter(|delta| is_common(&delta.node)).collect();
    let text = |fired: &Fired| format!("{} {} {:?} {} {:?}", fired.epoch, fired.node, fired.key, fired.version, fired.payload);
    let fired = outcome.fired.iter().filter(|fired| is_common(&fired.node)).map(text).collect();
    let errors = outcome.errors.iter().filter(|error| is_common(&error.node)).cloned().collect();
    (deltas, fired, errors)
}

#[test]
fn eng_08_what_both_definitions_have_goes_on_as_if_nothing_had_happened() {
    let (mut told, mut fired, mut new) = (0, 0, 0);
    for seed in seeds(20) {
        let mut rng = Rng(seed + 31_000);
        let (spec, before) = random_plan(&mut rng);
        let (other, _) = random_plan(&mut rng);
        let (next_spec, next) = edited(&spec, &other, &mut rng);
        let mut from = stand(&before, &mut rng);
        let is_common = |node: &str| {
            let node = node.strip_prefix("when ").unwrap_or(node);
            let in_both = |has: &dyn Fn(&GraphSpec) -> bool| has(&spec) && has(&next_spec);
            // A lazy field that only one of them keeps tells its deltas there only.
            let waits = |plan: &Plan| plan.field(node).is_some_and(|(_, field)| field.lazy == Some(Laziness::Waits));
            if waits(&before) != waits(&next) {
                return false;
            }
            in_both(&|spec| spec.fields.iter().any(|field| field.name == *node))
                || in_both(&|spec| spec.effects.iter().any(|effect| effect.name == *node))
                || spec
                    .reactions
                    .iter()
                    .any(|reaction| node == reaction.event || node.starts_with(&format!("{}#", reaction.event)))
        };
        let expected = of(&rest(&mut from.engine, &from.all, &mut rng), &is_common);
        (told, fired) = (told + expected.0.len(), fired + expected.1.len());
        let mut first = None;
        for workers in [1, 2, 4] {
            let mut engine = swap(&from, &before, &next, workers, &mut rng);
            let outcome = rest(&mut engine, &from.all, &mut rng);
            assert_eq!(of(&outcome, &is_common), expected, "seed {seed}, {workers} workers");
            let whole = (of(&outcome, &|_| true), engine.documents(), engine.export());
            new += whole.0.0.len() - expected.0.len();
            assert_eq!(*first.get_or_insert_with(|| whole.clone()), whole, "seed {seed}, {workers} workers");
        }
    }
    assert!(
        told > 200 && fired > 15 && new > 200,
        "{told} deltas, {fired} firings, {new} new deltas are too few to mean anything"
    );
}

/// The nodes that were in error somewhere.
fn in_error_at_the_swap(outcome: &Outcome) -> BTreeSet<Arc<str>> {
    let mut standing = BTreeSet::new();
    for error in outcome.errors.iter().filter(|error| error.epoch <= BEFORE as u64) {
        let of = (error.node.clone(), error.key.clone());
        if error.cleared {
            standing.remove(&of)
        } else {
            standing.insert(of)
        };
    }
    standing.into_iter().map(|(node, _)| node).collect()
}

#[test]
fn a_definition_that_uses_the_same_names_otherwise_stands_where_its_own_rows_say() {
    let (mut compared, mut told) = (0, 0);
    for seed in seeds(100) {
        let mut rng = Rng(seed + 47_000);
        let (_, before) = random_plan(&mut rng);
        let (spec, next) = random_plan(&mut rng);
        let remembers = spec.fields.iter().any(|field| field.is_timed() || field.formula.contains("self"))
            || next.memberships.iter().any(|edge| edge.closing.is_some());
        if remembers {
            continue;
        }
        let from = stand(&before, &mut rng);
        let workers = [1, 2, 4][rng.below(3)];
        let mut engine = swap(&from, &before, &next, workers, &mut rng);
        let outcome = rest(&mut engine, &from.all, &mut rng);
        compared += 1;
        let mut oracle = Oracle::new(next.clone());
        from.all.iter().for_each(|tx| oracle.step(tx));
        // What was in error at the swap has no value behind it, as after any fill.
        let documents = oracle.final_documents();
        let whole = oracle.sorted();
        let in_error = in_error_at_the_swap(&whole);
        let is_known = |node: &str| !in_error.contains(node);
        let known = |documents: Vec<Document>| documents.into_iter().filter(|of| is_known(&of.node)).collect::<Vec<_>>();
        assert_eq!(known(engine.documents()), known(documents), "seed {seed}");
        let told_of = |outcome: &Outcome| {
            let sorted = outcome.deltas.sorted().into_iter();
            sorted.filter(|delta| delta.epoch > BEFORE as u64 && is_known(&delta.node)).collect::<Vec<Delta>>()
        };
        let deltas = told_of(&whole);
        assert_eq!(told_of(&outcome), deltas, "seed {seed}");
        told += deltas.len();
        let is_edge = |fired: &&Fired| {
            let rearms = spec.effects.iter().any(|effect| effect.name == *fired.node && effect.rearm.is_some());
            !rearms && fired.epoch > BEFORE as u64 && is_known(&fired.node)
        };
        let text = |fired: &Fired| (fired.epoch, fired.node.clone(), fired.key.clone());
        let mut fired: Vec<_> = outcome.fired.iter().filter(is_edge).map(text).collect();
        let mut wanted: Vec<_> = whole.fired.iter().filter(is_edge).map(text).collect();
        fired.sort();
        wanted.sort();
        assert_eq!(fired, wanted, "seed {seed}");
    }
    eprintln!("{compared} cases, {told} deltas");
    assert!(compared > 3 && told > 150, "{compared} cases and {told} deltas are too few to mean anything");
}
