//! No room: nothing is written, everything goes on when there is room again.

use expect_test::expect;
use thalweg_formulas::Value;
use thalweg_graph::ports::{CommitBatch, OutboxFilter, OutboxRow, OutboxState, Store, StoreError};
use thalweg_graph::state::EngineState;
use thalweg_graph::transaction::{Body, Change, Op};
use thalweg_store::{LogRetention, OutboxReader, SqliteStore, StoreConfig};

use crate::support::*;

/// One epoch with about `bytes` bytes that do not compress.
fn heavy(epoch: u64, bytes: usize) -> CommitBatch {
    let mut x = epoch.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let noise: Vec<u8> = (0..bytes)
        .map(|_| {
            x ^= x << 13;
            x ^= x >> 7;
            x ^= x << 17;
            x as u8
        })
        .collect();
    let mut heavy = batch(epoch, epoch);
    let after = Some([Some(Value::Int(epoch as i64)), Some(Value::Bytes(noise.into()))].into());
    heavy.transactions[0].body = Body::Changes(vec![Change { schema: orders(), op: Op::Insert, key: None, before: None, after }]);
    heavy
}

#[test]
fn sto_03_a_full_store_refuses_the_batch_whole_and_takes_it_when_the_limit_is_raised() {
    let dir = tempfile::tempdir().unwrap();
    let config = |max_bytes| StoreConfig { max_bytes, ..StoreConfig::default() };
    let mut store = SqliteStore::open(dir.path(), config(Some(400_000))).unwrap();
    store.commit(&batch(1, 1)).unwrap();
    let error = store.commit(&heavy(2, 1_000_000)).unwrap_err();
    assert!(matches!(error, StoreError::Retry { .. }));
    expect!["E0606: no room to write to <dir>/thalweg.db; free some space on its disk (or raise the store's limit), what runs goes on by itself"]
        .assert_eq(&error.to_string().replace(&dir.path().display().to_string(), "<dir>"));
    assert_eq!((store.recovered().epoch, replayed(&mut store, 0).unwrap().len()), (1, 1));
    store.commit(&batch(2, 2)).unwrap();
    drop(store);

    let mut store = SqliteStore::open(dir.path(), config(None)).unwrap();
    store.commit(&heavy(3, 1_000_000)).unwrap();
    assert_eq!(replayed(&mut store, 0).unwrap().len(), 3);
}

#[test]
fn snk_16_no_dead_letter_makes_room_for_another_and_what_would_fire_waits() {
    let dir = tempfile::tempdir().unwrap();
    let config = |max_bytes| StoreConfig { max_bytes, ..StoreConfig::default() };
    let mut store = SqliteStore::open(dir.path(), config(Some(1_000_000))).unwrap();
    let mut dead = 0;
    let refused = loop {
        let (epoch, id) = (dead + 1, format!("delivery-{dead}"));
        let row = OutboxRow { body: vec![b'x'; 20_000].into(), ..delivery(&id, epoch, "[1]") };
        let fired = CommitBatch { outbox: vec![row], ..batch(epoch, epoch) };
        match store.commit(&fired).and_then(|()| store.update_outbox(&[outcome(&id, OutboxState::Dead, 5, 0)])) {
            Ok(()) => dead += 1,
            Err(refused) => break refused,
        }
    };
    assert!(matches!(&refused, StoreError::Retry { .. }) && dead > 10, "{refused} after {dead}");
    let listed = |store: &mut SqliteStore| {
        let filter = OutboxFilter { node: None, key: None, state: Some(OutboxState::Dead), after: 0, limit: usize::MAX };
        store.deliveries(&filter).unwrap().len() as u64
    };
    let was = listed(&mut store);
    assert_eq!(was, dead, "each is there");
    drop(store);

    let mut store = SqliteStore::open(dir.path(), config(None)).unwrap();
    let next = store.recovered().epoch + 1;
    store.commit(&batch(next, next)).unwrap();
    assert_eq!(listed(&mut store), was, "and stays, when there is room again");
}

#[test]
fn sto_10_a_slow_reader_of_the_log_does_not_make_the_store_grow() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(dir.path());
    (1..=4).for_each(|epoch| store.commit(&heavy(epoch, 400_000)).unwrap());
    let reader = OutboxReader::open(dir.path()).unwrap();
    let (mut read, mut epoch) = (Vec::new(), 4);
    let mut longest = 0;
    let whole = reader.log(&mut |at, _| {
        read.push(at);
        // Between two transactions the writer has committed three times the write-ahead log that it lets come about.
        for _ in 0..60 {
            epoch += 1;
            store.commit(&heavy(epoch, 400_000)).unwrap();
            longest = longest.max(std::fs::metadata(dir.path().join("thalweg.db-wal")).unwrap().len());
        }
    });
    whole.unwrap();
    assert_eq!(read, (1..=4).collect::<Vec<_>>(), "what was there when it was asked");
    assert!(longest < 16 << 20, "{longest} bytes of write-ahead log");
}

#[test]
fn sto_14_a_reader_is_told_that_the_log_was_cut_before_it() {
    let dir = tempfile::tempdir().unwrap();
    let config = StoreConfig { log_retention: LogRetention::SinceOlderSnapshot, ..StoreConfig::default() };
    let mut store = SqliteStore::open(dir.path(), config).unwrap();
    (1..=4).for_each(|epoch| store.commit(&batch(epoch, epoch)).unwrap());
    let reader = OutboxReader::open(dir.path()).unwrap();
    let mut read = Vec::new();
    let cut = reader.log(&mut |at, _| {
        read.push(at);
        if at == 2 {
            for epoch in 5..=9 {
                store.commit(&batch(epoch, epoch)).unwrap();
                store.snapshot(&EngineState { epoch, ..EngineState::default() }).unwrap();
                store.finish_snapshot().unwrap();
            }
        }
    });
    assert_eq!(read, [1, 2]);
    expect!["E0625: the log of <dir>/thalweg.db was cut behind a snapshot while it was read: epoch 3 was next, and it begins at 9 now; read it again"].assert_eq(&cut.unwrap_err().to_string().replace(&dir.path().display().to_string(), "<dir>"));
    let mut rest = Vec::new();
    reader.log(&mut |at, _| rest.push(at)).unwrap();
    expect!["[9]"].assert_eq(&format!("{rest:?}"));
}

/// A file system of the given size; `None` where this user may not mount one.
struct Tmpfs(tempfile::TempDir);

impl Tmpfs {
    fn mount(kib: usize) -> Option<Tmpfs> {
        let dir = tempfile::tempdir().unwrap();
        let size = format!("size={kib}k");
        let mount = std::process::Command::new("mount").args(["-t", "tmpfs", "-o", &size, "none"]).arg(dir.path()).output();
        mount.is_ok_and(|done| done.status.success()).then_some(Tmpfs(dir))
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg(self.0.path()).status();
    }
}

#[test]
fn sto_03_a_full_disk_stops_commits_at_any_size_and_frees_them_again() {
    for kib in (260..460).step_by(8) {
        let Some(disk) = Tmpfs::mount(kib) else {
            eprintln!("skipped: no right to mount a small file system");
            return;
        };
        let ballast = disk.0.path().join("ballast");
        std::fs::write(&ballast, vec![1; 64 << 10]).unwrap();
        let dir = disk.0.path().join("data");
        let mut store = match SqliteStore::open(&dir, StoreConfig::default()) {
            Ok(store) => store,
            Err(StoreError::Retry { .. }) => continue,
            Err(error) => panic!("{kib} KiB: {error}"),
        };
        let mut epoch = 0;
        let refused = loop {
            match store.commit(&heavy(epoch + 1, 9_000)) {
                Ok(()) => epoch += 1,
                Err(error) => break error,
            }
        };
        assert!(matches!(refused, StoreError::Retry { .. }), "{kib} KiB: {refused}");
        std::fs::remove_file(&ballast).unwrap();
        store.commit(&heavy(epoch + 1, 9_000)).unwrap_or_else(|e| panic!("{kib} KiB, with room again: {e}"));
        assert_eq!(replayed(&mut store, 0).unwrap().len() as u64, epoch + 1);
        drop(store);
        // Even a start needs a little room, so it starts elsewhere.
        let roomy = tempfile::tempdir().unwrap();
        copy(&dir, roomy.path());
        assert_eq!(replayed(&mut open(roomy.path()), 0).unwrap().len() as u64, epoch + 1, "{kib} KiB");
    }
}
