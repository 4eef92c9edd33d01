//! Small batches in few words.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use thalweg_formulas::{Timestamp, Type, Value};
use thalweg_graph::ports::{CommitBatch, Manner, OutboxRow, OutboxState, OutboxUpdate, Store, StoreError, Timer};
use thalweg_graph::transaction::{Body, Change, Epoch, Op, Row, Schema, SchemaColumn, Transaction};
use thalweg_store::fold::{Fold, TableRows};
use thalweg_store::{SqliteStore, StoreConfig};

/// A table `name` with the given columns; the first `key` of them are its key.
pub fn schema(name: &str, columns: &[&str], key: u32) -> Arc<Schema> {
    let columns = columns.iter().map(|name| SchemaColumn::new((*name).into(), Type::Dyn)).collect();
    Arc::new(Schema { table: name.into(), columns, key: (0..key).collect() })
}

/// `Order(id, total)`, keyed by `id`.
pub fn orders() -> Arc<Schema> {
    schema("Order", &["id", "total"], 1)
}

/// A row without absent cells.
pub fn row(values: &[i64]) -> Row {
    values.iter().map(|x| Some(Value::Int(*x))).collect()
}

/// An insert.
pub fn insert(schema: &Arc<Schema>, values: &[i64]) -> Change {
    Change { schema: schema.clone(), op: Op::Insert, key: None, before: None, after: Some(row(values)) }
}

/// An update with both images.
pub fn update(schema: &Arc<Schema>, before: &[i64], after: &[i64]) -> Change {
    Change { schema: schema.clone(), op: Op::Update, key: None, before: Some(row(before)), after: Some(row(after)) }
}

/// A delete.
pub fn delete(schema: &Arc<Schema>, values: &[i64]) -> Change {
    Change { schema: schema.clone(), op: Op::Delete, key: None, before: Some(row(values)), after: None }
}

/// A transaction of the source `shop` at second `n`.
pub fn transaction(n: i64, changes: Vec<Change>) -> Transaction {
    Transaction {
        source: "shop".into(),
        origin: format!("0-1-{n}").into(),
        at: Timestamp(n * 1_000_000),
        body: Body::Changes(changes),
    }
}

/// Epochs `first..=last`, each one insert of its own number.
pub fn batch(first: Epoch, last: Epoch) -> CommitBatch {
    let orders = orders();
    let transactions = (first..=last).map(|e| transaction(e as i64, vec![insert(&orders, &[e as i64, 10])])).collect();
    CommitBatch { first, transactions, positions: vec![("shop".into(), format!("0-1-{last}"))], ..CommitBatch::default() }
}

/// A delivery of `epoch` for `key`.
pub fn delivery(id: &str, epoch: Epoch, key: &str) -> OutboxRow {
    OutboxRow {
        id: id.into(),
        epoch,
        node: "big".into(),
        action: 0,
        key: key.into(),
        version: 2 * epoch - 1,
        body: format!("{{\"id\":\"{id}\"}}").into_bytes().into(),
        settings: "{\"type\":\"webhook\"}".into(),
        manner: Manner::default(),
    }
}

/// What became of a delivery; not before second `not_before`.
pub fn outcome(id: &str, state: OutboxState, attempts: u32, not_before: i64) -> OutboxUpdate {
    let error = if state == OutboxState::Acked { String::new() } else { "503 Service Unavailable".into() };
    let (not_before, at) = (Timestamp(not_before * 1_000_000), Timestamp(1_000_000_000 + not_before));
    OutboxUpdate { id: id.into(), state, attempts, not_before, error, at, deliveries: 0, restarts: false, note: None }
}

/// A timer due at second `due`.
pub fn timer(id: &str, due: i64) -> Timer {
    let key = [Value::Int(7), Value::text("seven")].into();
    Timer {
        id: id.into(),
        rule: "rule".into(),
        event: "overdue".into(),
        table: "Order".into(),
        key,
        due: Timestamp(due * 1_000_000),
    }
}

/// Opens a store that must open.
pub fn open(dir: &Path) -> SqliteStore {
    SqliteStore::open(dir, StoreConfig::default()).expect("the store opens")
}

/// The ids of what is due at second `now`.
pub fn due(store: &mut dyn Store, now: i64, limit: usize) -> Vec<String> {
    due_but(store, now, limit, &[])
}

/// As [`due`], with some in flight.
pub fn due_but(store: &mut dyn Store, now: i64, limit: usize, in_flight: &[&str]) -> Vec<String> {
    let due =
        store.due_deliveries(Timestamp(now * 1_000_000), limit, &|id| in_flight.contains(&id)).expect("the outbox is readable");
    due.into_iter().map(|d| d.row.id.to_string()).collect()
}

/// Everything in the log after `epoch`.
pub fn replayed(store: &mut dyn Store, epoch: Epoch) -> Result<Vec<(Epoch, Transaction)>, StoreError> {
    let mut all = Vec::new();
    store.replay(epoch, &mut |epoch, transaction| all.push((epoch, transaction)))?;
    Ok(all)
}

/// The tables as they are after the last commit: from the newest snapshot and the log after it, or from the log alone.
pub fn rows_after(store: &mut dyn Store, snapshot: bool) -> Vec<TableRows> {
    try_rows_after(store, snapshot).expect("the store is readable")
}

/// As [`rows_after`].
pub fn try_rows_after(store: &mut dyn Store, snapshot: bool) -> Result<Vec<TableRows>, StoreError> {
    let mut fold = Fold::default();
    let mut epoch = 0;
    if snapshot {
        epoch = store.load_snapshot(&mut |fill| fold.transaction(fill))?.map_or(0, |state| state.epoch);
    }
    store.replay(epoch, &mut |_, transaction| fold.transaction(transaction))?;
    Ok(fold.into_tables().collect())
}

/// Copies a directory with all that is in it.
pub fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}
