//! What the engine keeps owns its bytes: an event of a log, in whose buffer texts come, is not kept in memory by rows, keys or fields.

use std::sync::Arc;

use thalweg_engine::{Engine, Options};
use thalweg_formulas::{TextBuffer, Timestamp, Type, Value};
use thalweg_graph::planning::plan;
use thalweg_graph::spec::{ClassifySpec, FieldSpec, GraphSpec, OneOrMany, ReactionSpec, RelationSpec, TableSpec};
use thalweg_graph::transaction::{Body, SchemaColumn};
use thalweg_graph::{Change, Op, Schema, Transaction};

const COLUMNS: [&str; 3] = ["name", "label", "owner"];

fn table(name: &str, key: &[&str], relations: &[(&str, RelationSpec)]) -> TableSpec {
    TableSpec {
        name: name.into(),
        key: Some(key.iter().map(|key| (*key).into()).collect()),
        columns: COLUMNS.iter().map(|name| ((*name).into(), "text".into())).collect(),
        column_order: COLUMNS.iter().map(|name| (*name).into()).collect(),
        relations: relations.iter().map(|(name, relation)| ((*name).into(), relation.clone())).collect(),
        ..TableSpec::default()
    }
}

/// Texts as keys, columns, aggregates, references, whole rows and values of a table without a key.
fn spec() -> GraphSpec {
    let one = |name: &str| OneOrMany::One(name.into());
    let items = RelationSpec::Children { table: "Item".into(), key: one("owner") };
    let owner = RelationSpec::Lookup { to: "Owner".into(), key: one("owner") };
    let fields = [("Owner.last", "max(items[*].label)"), ("Item.whose", "by.label + label"), ("Item.again", "label")];
    GraphSpec {
        tables: vec![
            table("Owner", &["name"], &[("items", items)]),
            table("Item", &["name"], &[("by", owner)]),
            table("Note", &[], &[]),
        ],
        fields: fields
            .iter()
            .map(|(name, formula)| FieldSpec { name: (*name).into(), formula: (*formula).into(), ..FieldSpec::default() })
            .collect(),
        classify: vec![ClassifySpec { table: "Item".into(), update: Some("item.changed".into()), ..ClassifySpec::default() }],
        reactions: vec![ReactionSpec { event: "item.changed".into(), ..ReactionSpec::default() }],
        ..GraphSpec::default()
    }
}

/// One transaction of one change to each table, whose texts all lie in one buffer.
fn transaction(op: Op, texts: &[[&str; 3]; 3]) -> (TextBuffer, Transaction) {
    let long = |text: &str| format!("{text}: longer than what a value holds by itself");
    let buffer = TextBuffer::new(texts.iter().flatten().map(|text| long(text)).collect::<String>().into_bytes());
    let mut at = 0;
    let mut row = |texts: &[&str; 3]| {
        let value = |text: &&str| {
            let start = at;
            at += long(text).len();
            Some(Value::Text(buffer.text(start..at).expect("ASCII")))
        };
        texts.iter().map(value).collect()
    };
    let changes = ["Owner", "Item", "Note"].into_iter().zip(texts).map(|(table, texts)| {
        let columns = COLUMNS.iter().map(|name| SchemaColumn::new((*name).into(), Type::Text)).collect();
        let schema = Arc::new(Schema { table: table.into(), columns, key: vec![] });
        let op = if table == "Note" { Op::Insert } else { op };
        Change { schema, op, key: None, before: None, after: Some(row(texts)) }
    });
    let body = Body::Changes(changes.collect());
    (buffer.clone(), Transaction { source: "".into(), origin: "".into(), at: Timestamp(0), body })
}

#[test]
fn what_is_kept_of_an_event_does_not_keep_the_event() {
    for workers in [1, 2] {
        let (plan, _) = plan(&spec(), &[]).unwrap_or_else(|findings| panic!("{findings:#?}"));
        let mut engine = Engine::new(Arc::new(plan), Options { workers, ..Options::default() });
        for (op, label) in [(Op::Insert, "first"), (Op::Update, "second")] {
            let (buffer, transaction) = transaction(op, &[["o", label, ""], ["i", label, "o"], ["n", label, ""]]);
            assert_eq!(buffer.holders(), 10, "the buffer, and nine texts");
            engine.push(transaction);
            let outcome = engine.step();
            assert_eq!((outcome.errors.len(), outcome.fired.len()), (0, usize::from(op == Op::Update)));
            drop(outcome);
            assert_eq!(buffer.holders(), 1, "{op:?} with {workers} workers");
        }
    }
}
