//! Transactions that come in parts: what is kept is what one in one piece leaves, and before the commit there is nothing.

use std::path::Path;
use std::sync::Arc;

use expect_test::expect;
use proptest::prelude::*;
use thalweg_formulas::Value;
use thalweg_graph::ports::{CommitBatch, Store, StoreError};
use thalweg_graph::transaction::{Body, Change, Op, PART, Spill, Transaction};
use thalweg_store::{MemoryStore, SqliteStore, StoreConfig};

use crate::support::*;

/// A store that cuts so early that some rows are several pieces, and some more several blobs.
pub fn open_small(dir: &Path) -> SqliteStore {
    SqliteStore::open(dir, StoreConfig { piece_bytes: Some(12), ..StoreConfig::default() }).expect("the store opens")
}

/// The transaction of second `n` with its changes spilled.
pub fn spilled(n: i64, changes: Vec<Change>) -> Transaction {
    Transaction { body: Body::Spilled(Arc::new(changes)), ..transaction(n, vec![]) }
}

/// Changes of two tables in turn, of keys from `first` on.
pub fn rows(first: i64, n: i64) -> Vec<Change> {
    let (a, b) = (orders(), schema("Item", &["id", "of", "n"], 1));
    let row = |id: i64| if id % 5 < 3 { insert(&a, &[id, 10]) } else { insert(&b, &[id, id / 2, 7]) };
    (first..first + n).map(row).collect()
}

fn held(transaction: &Transaction) -> Transaction {
    let mut changes = Vec::new();
    let take = &mut |part: &[Change]| {
        changes.extend_from_slice(part);
        true
    };
    transaction.parts(take).unwrap();
    Transaction { body: Body::Changes(changes), ..transaction.head() }
}

/// Stages the parts of `transaction` from change `from` on, `size` at a time, at most `parts` of them.
fn stage(store: &mut dyn Store, transaction: &Transaction, from: usize, size: usize, parts: usize) -> Result<(), StoreError> {
    let Body::Changes(changes) = held(transaction).body else { unreachable!() };
    let epoch = store.recovered().epoch + 1;
    let cut = changes[from.min(changes.len())..].chunks(size).take(parts).enumerate();
    cut.into_iter().try_for_each(|(at, part)| store.stage(epoch, transaction, (from + at * size) as u64, part))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// STORE-8. `steps`: the size of each transaction, how it is cut, how many parts are staged and how many of those once more, whether
    /// the store is closed in between, and how many small ones follow in the same commit.
    #[test]
    fn store_8_parts_leave_what_one_piece_leaves(
        steps in prop::collection::vec((1i64..80, 1usize..30, 0usize..8, 0usize..3, any::<bool>(), 0i64..3), 1..6)
    ) {
        let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (mut parts, mut whole, mut plain) = (open_small(dir.path()), open_small(other.path()), MemoryStore::default());
        let mut next = 1;
        for (n, size, staged, again, reopens, small) in steps {
            let first = parts.recovered().epoch + 1;
            let large = spilled(first as i64, rows(next, n));
            next += n;
            stage(&mut parts, &large, 0, size, staged).unwrap();
            stage(&mut parts, &large, 0, size, again.min(staged)).unwrap();
            prop_assert_eq!((parts.recovered().epoch, replayed(&mut parts, 0).unwrap().len() as u64), (first - 1, first - 1));
            if reopens {
                drop(parts);
                parts = open_small(dir.path());
                stage(&mut parts, &large, 0, 7, 3).unwrap();
            }
            let smalls = (1..=small).map(|k| transaction(first as i64 + k, rows(next + k, 1)));
            let mut transactions: Vec<_> = std::iter::once(large).chain(smalls).collect();
            next += small + 1;
            let outbox = vec![delivery(&format!("d{first}"), first, "k")];
            let batch = |transactions| CommitBatch { first, transactions, outbox: outbox.clone(), ..CommitBatch::default() };
            parts.commit(&batch(transactions.clone())).unwrap();
            plain.commit(&batch(transactions.clone())).unwrap();
            transactions.iter_mut().for_each(|transaction| *transaction = held(transaction));
            whole.commit(&batch(transactions)).unwrap();
        }
        prop_assert_eq!(parts.chain(), whole.chain());
        let log = replayed(&mut whole, 0).unwrap();
        prop_assert_eq!(&replayed(&mut parts, 0).unwrap(), &log);
        prop_assert_eq!(&replayed(&mut plain, 0).unwrap(), &log);
        prop_assert_eq!(parts.recovered(), plain.recovered());
        drop(parts);
        let mut parts = open_small(dir.path());
        prop_assert_eq!((replayed(&mut parts, 0).unwrap(), parts.chain()), (log, whole.chain()));
        let state = thalweg_graph::state::EngineState { epoch: parts.recovered().epoch, ..Default::default() };
        parts.snapshot(&state).unwrap();
        prop_assert_eq!(rows_after(&mut parts, true), rows_after(&mut whole, false));
    }
}

#[test]
fn a_spilled_transaction_behind_others_in_a_batch_needs_no_staging() {
    let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (mut spilling, mut plain) = (open_small(dir.path()), open_small(other.path()));
    let transactions = [transaction(1, rows(1, 2)), spilled(2, rows(10, 90)), transaction(3, rows(200, 1)), spilled(4, vec![])];
    for (store, transactions) in [(&mut spilling, transactions.to_vec()), (&mut plain, transactions.iter().map(held).collect())] {
        store.commit(&CommitBatch { first: 1, transactions, ..CommitBatch::default() }).unwrap();
    }
    assert_eq!(spilling.chain(), plain.chain());
    assert_eq!(replayed(&mut spilling, 0).unwrap(), replayed(&mut plain, 0).unwrap());
}

#[test]
fn a_large_transaction_is_replayed_in_parts() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open_small(dir.path());
    let transactions = vec![spilled(1, rows(1, 60)), transaction(2, rows(100, 1))];
    store.commit(&CommitBatch { first: 1, transactions, ..CommitBatch::default() }).unwrap();
    let mut parts = Vec::new();
    store.replay_parts(0, &mut |part| parts.push((part.epoch, part.more))).unwrap();
    assert!(parts.len() > 8, "{parts:?}");
    assert_eq!(parts.iter().filter(|(_, more)| !more).collect::<Vec<_>>(), [&(1, false), &(2, false)]);
}

#[test]
fn store_7_another_commit_drops_what_was_staged() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open_small(dir.path());
    store.commit(&batch(1, 1)).unwrap();
    let before = store.chain();
    stage(&mut store, &spilled(2, rows(10, 90)), 0, 20, 4).unwrap();
    assert_eq!(store.chain(), before);
    store.commit(&batch(2, 2)).unwrap();

    let other = tempfile::tempdir().unwrap();
    let mut untouched = open_small(other.path());
    untouched.commit(&batch(1, 2)).unwrap();
    assert_eq!(store.chain(), untouched.chain());
    assert_eq!(replayed(&mut store, 0).unwrap(), replayed(&mut untouched, 0).unwrap());
}

#[test]
fn a_part_that_does_not_follow_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open_small(dir.path());
    let large = spilled(1, rows(1, 20));
    stage(&mut store, &large, 0, 5, 2).unwrap();
    let gap = store.stage(1, &large, 15, &rows(16, 5)).unwrap_err();
    expect!["E0610: broken invariant: a part from change 15 on, and 10 were staged"].assert_eq(&gap.to_string());
    let elsewhere = store.stage(3, &large, 0, &rows(1, 5)).unwrap_err();
    expect!["E0610: broken invariant: a commit begins at epoch 3, and epoch 0 was the last"].assert_eq(&elsewhere.to_string());
}

#[test]
fn staging_waits_for_room_and_goes_on_where_it_stood() {
    let dir = tempfile::tempdir().unwrap();
    let config = StoreConfig { max_bytes: Some(600_000), piece_bytes: Some(1 << 12), ..StoreConfig::default() };
    let mut store = SqliteStore::open(dir.path(), config).unwrap();
    let mut x = 1u64;
    let noise = std::iter::repeat_with(|| {
        x = x.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (x >> 33) as u8
    });
    let bytes: Vec<u8> = noise.take(3_000_000).collect();
    let row = |(id, noise): (usize, &[u8])| Change {
        schema: orders(),
        op: Op::Insert,
        key: None,
        before: None,
        after: Some([Some(Value::Int(id as i64)), Some(Value::Bytes(noise.to_vec().into()))].into()),
    };
    let large = spilled(1, bytes.chunks(1_000).enumerate().map(row).collect());
    let full = stage(&mut store, &large, 0, 100, usize::MAX).unwrap_err();
    assert!(matches!(full, StoreError::Retry { .. }), "{full}");
    expect!["E0606: no room to write to <dir>/thalweg.db; free some space on its disk (or raise the store's limit), what runs goes on by itself"]
        .assert_eq(&full.to_string().replace(&dir.path().display().to_string(), "<dir>"));
    assert!(matches!(
        store.commit(&CommitBatch { first: 1, transactions: vec![large], ..CommitBatch::default() }),
        Err(StoreError::Retry { .. })
    ));
    assert_eq!((store.recovered().epoch, replayed(&mut store, 0).unwrap()), (0, vec![]));
    store.commit(&batch(1, 1)).unwrap();
    assert_eq!(replayed(&mut store, 0).unwrap().len(), 1);
}

/// Fewer changes than it says, or an end in the middle.
#[derive(Debug)]
struct Broken(Vec<Change>, Option<&'static str>);

impl Spill for Broken {
    fn changes(&self) -> u64 {
        self.0.len() as u64 + u64::from(self.1.is_none())
    }

    fn read(&self, each: &mut dyn FnMut(Vec<Change>) -> bool) -> Result<(), String> {
        self.0.read(each)?;
        self.1.map_or(Ok(()), |why| Err(why.into()))
    }
}

#[test]
fn what_cannot_be_read_is_not_committed() {
    let broken =
        |why| Transaction { body: Body::Spilled(Arc::new(Broken(rows(1, PART as i64 + 50), why))), ..transaction(1, vec![]) };
    let dir = tempfile::tempdir().unwrap();
    for (why, text) in [
        (Some("E0499: gone"), expect!["E0612: the changes of a large transaction cannot be read again: E0499: gone"]),
        (None, expect!["E0612: a large transaction gave 2098 changes, and its source counted 2099; start again to read it anew"]),
    ] {
        for store in [&mut open_small(dir.path()) as &mut dyn Store, &mut MemoryStore::default()] {
            let batch = CommitBatch { first: 1, transactions: vec![broken(why)], ..CommitBatch::default() };
            text.assert_eq(&store.commit(&batch).unwrap_err().to_string());
            assert_eq!((store.recovered().epoch, replayed(store, 0).unwrap()), (0, vec![]));
        }
    }
}
