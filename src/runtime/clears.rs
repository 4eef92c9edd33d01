//! Clears: a source says that every row of a table went, and the store knows which rows those were.
//!
//! A transaction with a clear ends the session, so that everything before it is committed and the store is at hand. The rows are folded
//! from the newest snapshot and the log, and the clear becomes one delete for each of them: the engine and the log see ordinary changes,
//! and a replay needs nothing else. A transaction that is too large to be held stays so: the deletes are handed out before it.
//!
//! Cost: as a restart, and memory for the rows of the cleared tables. Clears are as rare as TRUNCATE.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use thalweg_graph::Transaction;
use thalweg_graph::ports::{SourceMessage, Store, StoreError};
use thalweg_graph::transaction::{Body, Change, Op, PART, Spill};
use thalweg_store::StoreConfig;
use thalweg_store::fold::{Fold, TableRows};

/// Whether a message holds a clear.
pub(super) fn is_in(message: &SourceMessage) -> bool {
    let SourceMessage::Transaction(transaction, _) = message else { return false };
    match &transaction.body {
        Body::Changes(changes) | Body::Fill(changes) => changes.iter().any(Change::is_clear),
        Body::Spilled(spill) => !spill.clears().is_empty(),
        Body::Timer(_) => false,
    }
}

/// The same message with a delete for every row that a clear takes; everything before it must be committed.
///
/// # Errors
/// A store that cannot be read.
pub(super) fn told(message: SourceMessage, store: &mut dyn Store, config: &StoreConfig) -> Result<SourceMessage, StoreError> {
    let SourceMessage::Transaction(mut transaction, position) = message else { return Ok(message) };
    match &mut transaction.body {
        Body::Changes(changes) | Body::Fill(changes) => {
            let mut rows = rows_of(&cleared(changes), store, config)?;
            let mut told: Vec<Change> = Vec::new();
            for change in std::mem::take(changes) {
                if !change.is_clear() {
                    told.push(change);
                    continue;
                }
                // What the same transaction did to the table before goes with it.
                let takes = |table: &str| is_cleared(table, &change.schema.table);
                told.retain(|earlier| !takes(&earlier.schema.table));
                let tables: Vec<Arc<str>> = rows.keys().filter(|table| takes(table)).cloned().collect();
                told.extend(tables.iter().flat_map(|table| rows.remove(table)).flat_map(deletes));
            }
            *changes = told;
        }
        Body::Spilled(spill) => {
            let rows = rows_of(&cleared(spill.clears()), store, config)?;
            let deletes = rows.into_values().flat_map(deletes).collect();
            *spill = Arc::new(Behind { deletes, spill: spill.clone() });
        }
        Body::Timer(_) => {}
    }
    Ok(SourceMessage::Transaction(transaction, position))
}

/// The tables that are emptied, as the clears name them.
fn cleared(changes: &[Change]) -> BTreeSet<Arc<str>> {
    changes.iter().filter(|change| change.is_clear()).map(|change| change.schema.table.clone()).collect()
}

/// A large transaction with deletes in place of its clears.
#[derive(Debug)]
struct Behind {
    deletes: Vec<Change>,
    spill: Arc<dyn Spill>,
}

impl Spill for Behind {
    fn changes(&self) -> u64 {
        self.deletes.len() as u64 + self.spill.changes() - self.spill.clears().len() as u64
    }

    fn read(&self, each: &mut dyn FnMut(Vec<Change>) -> bool) -> Result<(), String> {
        if !self.deletes.chunks(PART).all(|part| each(part.to_vec())) {
            return Ok(());
        }
        self.spill.read(&mut |mut part| {
            part.retain(|change| !change.is_clear());
            part.is_empty() || each(part)
        })
    }
}

/// Whether a clear of `cleared`, a table or `db.*`, takes the rows of `table`.
fn is_cleared(table: &str, cleared: &str) -> bool {
    match cleared.strip_suffix('*') {
        Some(database) => table.starts_with(database),
        None => table == cleared,
    }
}

fn deletes(table: TableRows) -> impl Iterator<Item = Change> {
    let TableRows { schema, rows } = table;
    rows.into_iter().map(move |row| Change { schema: schema.clone(), op: Op::Delete, key: None, before: Some(row), after: None })
}

/// The rows of these tables as of the last commit.
fn rows_of(
    tables: &BTreeSet<Arc<str>>,
    store: &mut dyn Store,
    config: &StoreConfig,
) -> Result<BTreeMap<Arc<str>, TableRows>, StoreError> {
    let mut fold = Fold::new(Arc::new(config.clone()));
    let mut take = |mut transaction: Transaction| {
        if let Body::Changes(changes) | Body::Fill(changes) = &mut transaction.body {
            changes.retain(|change| tables.iter().any(|cleared| is_cleared(&change.schema.table, cleared)));
            fold.transaction(transaction);
        }
    };
    let mut from = 0;
    if let Some(state) = store.snapshot_state()? {
        from = state.epoch;
        store.snapshot_rows(&mut take)?;
    }
    store.replay_parts(from, &mut |part| take(part.transaction))?;
    Ok(fold.into_tables().map(|table| (table.schema.table.clone(), table)).collect())
}

#[cfg(test)]
mod tests {
    use thalweg_formulas::{Timestamp, Type, Value};
    use thalweg_graph::Schema;
    use thalweg_graph::ports::CommitBatch;
    use thalweg_graph::transaction::SchemaColumn;
    use thalweg_store::MemoryStore;

    use super::*;

    fn schema(table: &str) -> Arc<Schema> {
        let column = |name: &str| SchemaColumn::new(name.into(), Type::Int);
        Arc::new(Schema { table: table.into(), columns: vec![column("id"), column("n")], key: vec![0] })
    }

    fn row(id: i64, n: i64) -> Option<thalweg_graph::Row> {
        Some([id, n].map(|x| Some(Value::Int(x))).into())
    }

    fn insert(table: &str, id: i64, n: i64) -> Change {
        Change { schema: schema(table), op: Op::Insert, key: None, before: None, after: row(id, n) }
    }

    fn transaction(changes: Vec<Change>) -> Transaction {
        Transaction { source: "db".into(), origin: "0-1-9".into(), at: Timestamp(0), body: Body::Changes(changes) }
    }

    #[test]
    fn a_clear_becomes_a_delete_for_every_row_that_was_committed() {
        let mut store = MemoryStore::new(StoreConfig::default());
        let update = Change { op: Op::Update, before: row(1, 10), ..insert("db.a", 1, 11) };
        let committed = transaction(vec![insert("db.a", 1, 10), insert("other.b", 7, 70), insert("db.a", 2, 20), update]);
        let batch = CommitBatch { first: 1, transactions: vec![committed], ..CommitBatch::default() };
        store.commit(&batch).unwrap();

        let clear = |table: &str| Change::clear(Arc::new(Schema { table: table.into(), columns: Vec::new(), key: Vec::new() }));
        let came = vec![insert("db.a", 3, 30), insert("other.b", 8, 80), clear("db.a"), insert("db.a", 4, 40), clear("other.*")];
        let message = SourceMessage::Transaction(transaction(came), "0-1-9".into());
        assert!(is_in(&message));
        let SourceMessage::Transaction(told, position) = told(message, &mut store, &StoreConfig::default()).unwrap() else {
            panic!("a transaction stays one")
        };
        let delete = |table, id, n| Change { op: Op::Delete, before: row(id, n), after: None, ..insert(table, id, n) };
        assert_eq!(position.to_string(), "0-1-9");
        assert_eq!(
            told,
            transaction(vec![delete("db.a", 1, 11), delete("db.a", 2, 20), insert("db.a", 4, 40), delete("other.b", 7, 70)])
        );
        assert!(!is_in(&SourceMessage::Transaction(told, position)));
    }

    /// It begins with a clear.
    #[derive(Debug)]
    struct Large(Vec<Change>);

    impl Spill for Large {
        fn changes(&self) -> u64 {
            self.0.changes()
        }

        fn clears(&self) -> &[Change] {
            &self.0[..1]
        }

        fn read(&self, each: &mut dyn FnMut(Vec<Change>) -> bool) -> Result<(), String> {
            self.0.read(each)
        }
    }

    #[test]
    fn a_clear_before_a_large_transaction_becomes_deletes_before_it() {
        let mut store = MemoryStore::new(StoreConfig::default());
        let rows = |ids: std::ops::Range<i64>| ids.map(|id| insert("db.a", id, 1));
        let batch = CommitBatch { first: 1, transactions: vec![transaction(rows(0..3_000).collect())], ..CommitBatch::default() };
        store.commit(&batch).unwrap();
        let came = std::iter::once(Change::clear(schema("db.a"))).chain(rows(0..5_000)).collect();
        let large = Transaction { body: Body::Spilled(Arc::new(Large(came))), ..transaction(Vec::new()) };
        let message = SourceMessage::Transaction(large, "0-1-9".into());
        assert!(is_in(&message));
        let told = told(message, &mut store, &StoreConfig::default()).unwrap();
        assert!(!is_in(&told));
        let SourceMessage::Transaction(Transaction { body: Body::Spilled(spill), .. }, _) = told else {
            panic!("it stays large")
        };
        let mut ops = Vec::new();
        spill
            .read(&mut |part| {
                assert!(!part.is_empty());
                ops.extend(part.iter().map(|change| change.op));
                true
            })
            .unwrap();
        assert_eq!(ops, [[Op::Delete].repeat(3_000), [Op::Insert].repeat(5_000)].concat());
        assert_eq!(spill.changes(), 8_000);
    }
}
