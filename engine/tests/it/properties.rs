//! The promises, each as one property on random definitions and histories. A failure names its seed.

use std::collections::BTreeSet;
use std::sync::Arc;

use thalweg_engine::{Engine, Options};
use thalweg_graph::outcome::Document;
use thalweg_graph::plan::{Closing, ClosingKind};
use thalweg_graph::spec::{FieldSpec, GraphSpec, TimingSpec};
use thalweg_graph::state::EngineState;
use thalweg_graph::{Outcome, Plan, Transaction};

use crate::oracle::Oracle;
use crate::random::{AS_OF, CLOSURE, GROUPS, History, JOINS, LATE, Rng, random_plan};

/// One definition with its history.
struct Case {
    seed: u64,
    spec: GraphSpec,
    plan: Arc<Plan>,
    transactions: Vec<Transaction>,
}

fn case(seed: u64, length: usize) -> Case {
    let mut rng = Rng(seed);
    let (spec, plan) = random_plan(&mut rng);
    let mut history = History::new();
    let transactions = (0..length).map(|_| history.transaction(&mut rng)).collect();
    Case { seed, spec, plan, transactions }
}

/// The engine's lines over the whole history, its documents and its state at the end.
fn run(case: &Case, workers: usize, batch: impl Fn(&mut Rng) -> usize) -> (Outcome, Vec<Document>, EngineState) {
    // All steps in the workers' threads, some of them, or none.
    let inline_max = [0, 8, 128][(case.seed as usize).wrapping_add(workers) % 3];
    let mut engine = Engine::new(case.plan.clone(), Options { workers, inline_max, ..Options::default() });
    let mut rng = Rng(case.seed ^ 0xba7c);
    let mut all = Outcome::default();
    let mut rest = case.transactions.iter();
    loop {
        let size = batch(&mut rng);
        let pushed = rest.by_ref().take(size).map(|tx| engine.push(tx.clone())).count();
        if pushed == 0 {
            break;
        }
        let part = engine.step();
        all.through = part.through;
        all.deltas.append(part.deltas);
        all.fired.extend(part.fired);
        all.errors.extend(part.errors);
        all.timers.extend(part.timers);
        all.cancelled.extend(part.cancelled);
        all.appointments.extend(part.appointments);
        all.counts.changes += part.counts.changes;
        all.counts.redundant += part.counts.redundant;
        all.counts.contradicted += part.counts.contradicted;
        all.counts.cells += part.counts.cells;
    }
    let documents = engine.documents();
    (all, documents, engine.export())
}

fn expected(case: &Case) -> (Outcome, Vec<Document>) {
    let mut oracle = Oracle::new(case.plan.clone());
    case.transactions.iter().for_each(|tx| oracle.step(tx));
    let documents = oracle.final_documents();
    (oracle.sorted(), documents)
}

fn assert_same<T: PartialEq + std::fmt::Debug>(case: &Case, what: &str, engine: &[T], oracle: &[T]) {
    if let Some(at) = (0..engine.len().max(oracle.len())).find(|at| engine.get(*at) != oracle.get(*at)) {
        let formulas: Vec<String> = case.spec.fields.iter().map(|field| format!("{} = {}", field.name, field.formula)).collect();
        let effects: Vec<String> =
            case.spec.effects.iter().map(|effect| format!("{}: {:?} when {}", effect.name, effect.on, effect.when)).collect();
        let groups: Vec<String> =
            case.spec.tables.iter().filter_map(|table| Some(format!("{} {:?}", table.name, table.group.as_ref()?))).collect();
        let joins: Vec<String> =
            case.spec.tables.iter().filter_map(|table| Some(format!("{} {:?}", table.name, table.join.as_ref()?))).collect();
        panic!(
            "seed {}, {what} {at}:\nengine {:#?}\noracle {:#?}\nfields {formulas:#?}\neffects {effects:#?}\ngroups {groups:#?}\njoins {joins:#?}",
            case.seed,
            engine.get(at),
            oracle.get(at)
        );
    }
}

/// The seeds to run; `THALWEG_SEED` and `THALWEG_CASES` say others.
pub fn seeds(default: u64) -> std::ops::Range<u64> {
    let first = std::env::var("THALWEG_SEED").ok().and_then(|seed| seed.parse().ok());
    let count = std::env::var("THALWEG_CASES").ok().and_then(|count| count.parse().ok());
    let first = first.unwrap_or(0);
    first..first + count.unwrap_or(default)
}

fn is_clocked(spec: &GraphSpec, field: &str) -> bool {
    let by_clock = |timing: &TimingSpec| match timing {
        TimingSpec::Policy(policy) => [&policy.every, &policy.cron, &policy.at, &policy.or_after].iter().any(|set| set.is_some()),
        TimingSpec::Word(_) => false,
    };
    spec.fields.iter().any(|known| known.name == field && known.timing.as_ref().is_some_and(by_clock))
}

/// P1: at every closed epoch every field equals its formula on the inputs as of that epoch, for any batching.
#[test]
fn p1_prefix() {
    let (mut deltas, mut derived, mut paired, mut ended, mut late, mut by_time, mut paths) = (0, 0, 0, 0, 0, 0, 0);
    let (mut clocked, mut sessions, mut missed) = (0, 0, 0);
    for seed in seeds(75) {
        let case = case(seed, 60);
        let (lines, documents) = expected(&case);
        let (engine, finally, _) = run(&case, 1, |rng| rng.below(7) + 1);
        assert_same(&case, "delta", &engine.deltas.sorted(), &lines.deltas.sorted());
        assert_same(&case, "document", &finally, &documents);
        deltas += lines.deltas.len();
        let of_pairs = |node: &str| JOINS.iter().any(|join| node.starts_with(join.0));
        paired += lines.deltas.sorted().iter().filter(|delta| of_pairs(&delta.node)).count();
        let reads_by_time = |field: &&FieldSpec| AS_OF.iter().any(|relation| field.formula.contains(&format!("{}.", relation.1)));
        let read: BTreeSet<&str> = case.spec.fields.iter().filter(reads_by_time).map(|field| field.name.as_str()).collect();
        by_time += lines.deltas.sorted().iter().filter(|delta| read.contains(&*delta.node)).count();
        paths += lines.deltas.sorted().iter().filter(|delta| delta.node.starts_with(CLOSURE)).count();
        clocked += lines.deltas.sorted().iter().filter(|delta| is_clocked(&case.spec, &delta.node)).count();
        for edge in &case.plan.memberships {
            let table = &case.plan.tables[case.plan.regions[edge.to.0 as usize].table.0 as usize].name;
            let told = lines.deltas.sorted().iter().filter(|delta| delta.node.starts_with(&**table)).count();
            match edge.closing {
                Some(Closing { kind: ClosingKind::Late, .. }) => late += told,
                Some(Closing { end: Some(_), .. }) => ended += told,
                Some(Closing { end: None, .. }) => sessions += told,
                None if LATE.iter().any(|(_, late)| **table == **late) => missed += told,
                None => {}
            }
        }
        derived +=
            lines.deltas.sorted().iter().filter(|delta| GROUPS.iter().any(|group| delta.node.starts_with(group.0))).count();
    }
    assert!(clocked > 50, "{clocked} deltas of what the clock publishes are too few to mean anything");
    assert!(deltas > 2_000, "{deltas} deltas are too few to mean anything");
    assert!(paired > 100, "{paired} deltas of pairs are too few to mean anything");
    assert!(paths > 300, "{paths} deltas of paths are too few to mean anything");
    assert!(by_time > 300, "{by_time} deltas of what is read by time are too few to mean anything");
    assert!(ended > 100 && late > 10, "{ended} deltas of windows that end and {late} of late rows are too few to mean anything");
    assert!(
        sessions > 60 && missed > 5,
        "{sessions} deltas of sessions that end and {missed} of rows that missed one are too few"
    );
    assert!(derived > 300, "{derived} deltas of derived tables are too few to mean anything");
}

/// P2: an effect fires exactly as often as its condition rises, a reaction as often as a row change matches.
#[test]
fn p2_every_edge() {
    let mut firings = 0;
    for seed in seeds(60) {
        let case = case(seed + 1_000, 80);
        let (lines, _) = expected(&case);
        for batch in [1, 80] {
            let (engine, ..) = run(&case, 1, |_| batch);
            assert_same(&case, "firing", &engine.fired, &lines.fired);
            assert_same(&case, "timer", &engine.timers, &lines.timers);
            assert_same(&case, "appointment", &engine.appointments, &lines.appointments);
            assert_same(&case, "cancelled timer", &engine.cancelled, &lines.cancelled);
        }
        firings += lines.fired.len();
    }
    assert!(firings > 500, "{firings} firings are too few to mean anything");
}

/// P5: the same log gives the same result, for any number of workers and any batching.
#[test]
fn p5_eng_05_same_log_same_result() {
    for seed in seeds(25) {
        let case = case(seed + 2_000, 50);
        let (one, documents, state) = run(&case, 1, |_| 1);
        for workers in [1, 2, 4] {
            let (other, finally, exported) = run(&case, workers, |rng| rng.below(20) + 1);
            assert_same(&case, "delta", &other.deltas.sorted(), &one.deltas.sorted());
            assert_same(&case, "firing", &other.fired, &one.fired);
            assert_same(&case, "error", &other.errors, &one.errors);
            assert_same(&case, "timer", &other.timers, &one.timers);
            assert_same(&case, "appointment", &other.appointments, &one.appointments);
            assert_same(&case, "cancelled timer", &other.cancelled, &one.cancelled);
            assert_same(&case, "document", &finally, &documents);
            assert_eq!(other.counts, one.counts, "seed {} with {workers} workers", case.seed);
            assert_eq!(exported, state, "seed {} with {workers} workers", case.seed);
        }
    }
}

/// P6: errors are values: they stand in the field, keep the last good value beside them, and are withdrawn.
#[test]
fn p6_errors_are_values() {
    let mut withdrawn = 0;
    for seed in seeds(90) {
        let case = case(seed + 3_000, 60);
        let (lines, documents) = expected(&case);
        let (engine, finally, _) = run(&case, 1, |rng| rng.below(30) + 1);
        assert_same(&case, "error", &engine.errors, &lines.errors);
        assert_same(&case, "document", &finally, &documents);
        withdrawn += lines.errors.iter().filter(|error| error.cleared).count();
    }
    assert!(withdrawn > 100, "{withdrawn} withdrawn errors are too few to mean anything");
}
