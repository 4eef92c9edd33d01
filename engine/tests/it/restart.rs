//! A restart from rows and exported state changes nothing: what comes after is what would have come without it.

use std::sync::Arc;

use thalweg_engine::{Engine, Options};
use thalweg_formulas::{Timestamp, Value};
use thalweg_graph::spec::{EffectSpec, GraphSpec, OneOrMany, RelationSpec};
use thalweg_graph::transaction::Body;
use thalweg_graph::{Change, Op, Outcome, Plan, Schema, Transaction};

use crate::by_hand::{change, row, schema, tx};
use crate::oracle::Oracle;
use crate::properties::seeds;
use crate::random::{History, Rng, random_plan};
use crate::stories::{effect, field, planned, table};

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

/// The effect stands above the field that its payload shows, so the field's error is carried there, and so is what stands behind it: the first value of
/// a step that failed at once, and the last good one, also after a restart. Another document's field that is in error is NULL.
#[test]
fn a_payload_shows_what_stands_behind_an_error_wherever_the_effect_stands() {
    let above = RelationSpec::Lookup { to: "U".into(), key: OneOrMany::One("up".into()) };
    let spec = GraphSpec {
        tables: vec![
            table("T", &[("id", "int"), ("d", "int"), ("up", "int")], &["id"], &[("above", above)]),
            table("U", &[("id", "int"), ("x", "int")], &["id"], &[]),
        ],
        fields: vec![field("T.steps", "self + 10 / d"), field("T.share", "100 / d"), field("U.part", "1 / (1 - x)")],
        effects: vec![EffectSpec {
            payload: Some(["steps", "share", "above.part"].map(Into::into).into()),
            ..effect("seen", "T", "above.x > 0")
        }],
        ..GraphSpec::default()
    };
    let plan = planned(&spec);
    let rows = schema("T", &["id", "d", "up"], &[0]);
    let others = schema("U", &["id", "x"], &[0]);
    let t = |op, id: i64, d: i64| change(&rows, op, None, Some(row([id, d, 7].map(Value::Int))));
    let u = |op, x: i64| change(&others, op, None, Some(row([7, x].map(Value::Int))));
    let before = [t(Op::Insert, 1, 5), t(Op::Insert, 2, 0), u(Op::Insert, 0), t(Op::Update, 1, 0)];
    let payloads = |engine: &mut Engine| -> Vec<String> {
        engine.push(tx(vec![u(Op::Update, 1)]));
        engine.step().fired.iter().map(|fired| thalweg_formulas::json::display(&fired.payload).to_string()).collect()
    };
    let expected = [r#"{"above.part":null,"share":20,"steps":2}"#, r#"{"above.part":null,"share":null,"steps":0}"#];
    for workers in [1, 2] {
        let options = || Options { workers, inline_max: 0, ..Options::default() };
        let mut engine = Engine::new(plan.clone(), options());
        for change in &before {
            engine.push(tx(vec![change.clone()]));
        }
        engine.step();
        let state = engine.export();
        assert_eq!(payloads(&mut engine), expected, "{workers} workers");

        let mut again = Engine::new(plan.clone(), options());
        again.import(state);
        let fill = vec![t(Op::Insert, 1, 0), t(Op::Insert, 2, 0), u(Op::Insert, 0)];
        again.push(Transaction { body: Body::Fill(fill), ..tx(vec![]) });
        again.step();
        again.resume_at(4);
        assert_eq!(payloads(&mut again), expected, "{workers} workers, after a restart");
    }
}
