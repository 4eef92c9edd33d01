//! A restart from rows and exported state changes nothing: what comes after is what would have come without it.

use std::sync::Arc;

use thalweg_engine::{Engine, Options};
use thalweg_formulas::{Timestamp, Value};
use thalweg_graph::transaction::Body;
use thalweg_graph::{Change, Op, Outcome, Plan, Schema, Transaction};

use crate::oracle::Oracle;
use crate::properties::seeds;
use crate::random::{History, Rng, random_plan};

/// The rows of every table as fills of a few rows each, in an order that is not the order of their making.
pub fn fills(plan: &Plan, oracle: &Oracle, schemas: &[Arc<Schema>], rng: &mut Rng) -> Vec<Transaction> {
    let mut changes = Vec::new();
    for (at, table) in plan.tables.iter().enumerate() {
        let Some(schema) = schemas.iter().find(|schema| schema.table == table.from) else { continue };
        for row in oracle.tables[at].values() {
            let after = schema.columns.iter().map(|column| row.get(&Value::text(column.name.clone())).cloned());
            changes.push(Change {
                schema: schema.clone(),
                op: Op::Insert,
                key: None,
                before: None,
                after: Some(after.collect()),
            });
        }
    }
    for at in (1..changes.len()).rev() {
        changes.swap(at, rng.below(at + 1));
    }
    let chunk = rng.below(10) + 1;
    let fill = |changes: &[Change]| Transaction {
        source: "".into(),
        origin: "snapshot".into(),
        at: Timestamp(0),
        body: Body::Fill(changes.to_vec()),
    };
    changes.chunks(chunk).map(fill).collect()
}

fn rest(engine: &mut Engine, transactions: &[Transaction]) -> Outcome {
    for transaction in transactions {
        engine.push(transaction.clone());
    }
    Outcome { counts: Default::default(), ..engine.step() }
}

#[test]
fn a_restart_changes_nothing() {
    for seed in seeds(40) {
        let mut rng = Rng(seed + 7_000);
        let (spec, plan) = random_plan(&mut rng);
        let mut history = History::new();
        let transactions: Vec<Transaction> = (0..60).map(|_| history.transaction(&mut rng)).collect();
        let (before, after) = transactions.split_at(40);

        let mut whole = Engine::new(plan.clone(), Options::default());
        rest(&mut whole, before);
        let state = whole.export();
        let documents = whole.documents();
        let expected = rest(&mut whole, after);

        let mut oracle = Oracle::new(plan.clone());
        before.iter().for_each(|tx| oracle.step(tx));
        for workers in [1, 2] {
            let mut engine = Engine::new(plan.clone(), Options { workers, ..Options::default() });
            engine.import(state.clone());
            for fill in fills(&plan, &oracle, &history.schemas, &mut rng) {
                engine.push(fill);
                let fired = engine.step().fired;
                assert_eq!(fired, [], "seed {seed}: a fill never fires");
            }
            engine.resume_at(40);
            assert_eq!(engine.documents(), documents, "seed {seed}, {workers} workers: {:#?}", spec.fields);
            assert_eq!(engine.export(), state, "seed {seed}, {workers} workers");
            assert_eq!(rest(&mut engine, after), expected, "seed {seed}, {workers} workers");
            assert_eq!(engine.export(), whole.export(), "seed {seed}, {workers} workers");
        }
    }
}
