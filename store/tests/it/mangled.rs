//! What lies in the directory is not what was left there: refused with a reason, or made good; never silently wrong.

use std::fs;
use std::path::Path;

use expect_test::{Expect, expect};
use rusqlite::Connection;
use thalweg_formulas::Timestamp;
use thalweg_graph::ports::{CommitBatch, Digest, Manner, OutboxRow, OutboxState, Store, StoreError};
use thalweg_graph::state::EngineState;
use thalweg_store::{LogRetention, OutboxReader, SqliteStore, StoreConfig};

use crate::support::*;

/// A closed store: nine epochs, two snapshots (at 3 and 6), three deliveries, a timer.
fn fixture(config: StoreConfig) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let mut store = SqliteStore::open(dir.path(), config).unwrap();
    for first in [1, 4, 7] {
        let outbox = vec![delivery(&format!("d{first}"), first, "k")];
        store.commit(&CommitBatch { outbox, timers: vec![timer("t", 5)], ..batch(first, first + 2) }).unwrap();
        if first < 7 {
            store.snapshot(&EngineState { epoch: first + 2, ..EngineState::default() }).unwrap();
            store.finish_snapshot().unwrap();
        }
    }
    store.update_outbox(&[outcome("d1", OutboxState::Acked, 1, 0)]).unwrap();
    dir
}

/// Everything that a start reads, as text; the same for every good state of the fixture.
fn use_it(dir: &Path) -> Result<String, StoreError> {
    let mut store = SqliteStore::open(dir, StoreConfig::default())?;
    let rows = try_rows_after(&mut store, true)?;
    let due = store.due_deliveries(Timestamp(0), 9, &|_| false)?;
    let (counts, timers) = (store.outbox_counts()?, store.timers()?);
    Ok(format!("{:?} {rows:?} {due:?} {counts:?} {timers:?} {}", store.recovered(), store.instance_secret()))
}

fn with_sql(dir: &Path, sql: &str) {
    let conn = Connection::open(dir.join("thalweg.db")).unwrap();
    conn.execute_batch(sql).unwrap();
}

fn edit(path: &Path, change: impl Fn(&mut Vec<u8>)) {
    let mut bytes = fs::read(path).unwrap();
    change(&mut bytes);
    fs::write(path, bytes).unwrap();
}

/// Mangles a copy of `original` and uses it.
fn check_on(original: &Path, name: &str, mangle: impl Fn(&Path), expected: &Expect) {
    let good = use_it(original).unwrap();
    let dir = tempfile::tempdir().unwrap();
    copy(original, dir.path());
    mangle(dir.path());
    let text = match use_it(dir.path()) {
        Ok(found) if found == good => "all there".to_string(),
        Ok(found) => format!("{name}: silently wrong: {found}"),
        Err(error) => error.to_string().replace(&dir.path().display().to_string(), "<dir>"),
    };
    expected.assert_eq(&text);
}

#[test]
fn sto_07_a_file_that_is_not_the_store_is_refused() {
    let fixture = fixture(StoreConfig::default());
    let check = |name, mangle: &dyn Fn(&Path), expected: Expect| check_on(fixture.path(), name, mangle, &expected);
    check("untouched", &|_| (), expect!["all there"]);
    check(
        "no bytes",
        &|dir| fs::write(dir.join("thalweg.db"), "").unwrap(),
        expect!["E0602: <dir>/thalweg.db is empty; restore a backup of the directory, or give the store another directory"],
    );
    check(
        "cut in the header",
        &|dir| edit(&dir.join("thalweg.db"), |b| b.truncate(50)),
        expect![
            "E0602: <dir>/thalweg.db is not a database; restore a backup of the directory, or give the store another directory"
        ],
    );
    check(
        "a text",
        &|dir| fs::write(dir.join("thalweg.db"), "to be or not to be".repeat(20)).unwrap(),
        expect![
            "E0602: <dir>/thalweg.db is not a database; restore a backup of the directory, or give the store another directory"
        ],
    );
    check(
        "cut in half",
        &|dir| edit(&dir.join("thalweg.db"), |b| b.truncate(b.len() / 2)),
        expect![
            "E0605: cannot open <dir>/thalweg.db: database disk image is malformed; keep the files as they are and restore a backup of the directory"
        ],
    );
    check(
        "another program's",
        &|dir| {
            fs::remove_file(dir.join("thalweg.db")).unwrap();
            with_sql(dir, "CREATE TABLE songs(title)");
        },
        expect![
            "E0602: <dir>/thalweg.db is a database of another program; restore a backup of the directory, or give the store another directory"
        ],
    );
    check(
        "newer",
        &|dir| with_sql(dir, "UPDATE meta SET format = 4"),
        expect![
            "E0603: <dir>/thalweg.db has format 4, and this version reads up to 3; use the version that wrote it, or a newer one"
        ],
    );
    check(
        "missing beside snapshots",
        &|dir| fs::remove_file(dir.join("thalweg.db")).unwrap(),
        expect![
            "E0604: <dir>/thalweg.db is missing beside snapshots; restore it from a backup, or give the store another directory"
        ],
    );
    check(
        "missing beside the lock",
        &|dir| {
            fs::remove_file(dir.join("thalweg.db")).unwrap();
            fs::remove_dir_all(dir.join("snapshots")).unwrap();
        },
        expect![
            "E0604: <dir>/thalweg.db is missing beside the record of earlier commits in lock; restore it from a backup, or give the store another directory"
        ],
    );
    check(
        "missing beside a write-ahead log",
        &|dir| {
            fs::rename(dir.join("thalweg.db"), dir.join("thalweg.db-wal")).unwrap();
            fs::remove_file(dir.join("lock")).unwrap();
            fs::remove_dir_all(dir.join("snapshots")).unwrap();
        },
        expect![
            "E0604: <dir>/thalweg.db is missing beside a write-ahead log; restore it from a backup, or give the store another directory"
        ],
    );
}

#[test]
fn sto_06_rows_that_were_changed_behind_the_stores_back_are_noticed() {
    let fixture = fixture(StoreConfig::default());
    let check = |sql: &str, expected: Expect| check_on(fixture.path(), sql, |dir| with_sql(dir, sql), &expected);
    check(
        "UPDATE state SET epoch = 8",
        expect![
            "E0605: <dir>/thalweg.db is damaged: the row that says where the last commit stands; keep the files as they are and restore a backup of the directory"
        ],
    );
    check(
        "DELETE FROM state",
        expect![
            "E0605: <dir>/thalweg.db is damaged: the row that says where the last commit stands; keep the files as they are and restore a backup of the directory"
        ],
    );
    check(
        "UPDATE meta SET secret = 'whsec_x'",
        expect![
            "E0605: <dir>/thalweg.db is damaged: the row that says whose store it is; keep the files as they are and restore a backup of the directory"
        ],
    );
    check(
        "UPDATE source_pos SET position = '0-1-8'",
        expect![
            "E0605: <dir>/thalweg.db is damaged: a source position; keep the files as they are and restore a backup of the directory"
        ],
    );
    check(
        "DELETE FROM source_pos",
        expect![
            "E0605: <dir>/thalweg.db is damaged: it holds 0 source positions, and 1 were written; keep the files as they are and restore a backup of the directory"
        ],
    );
    check(
        "UPDATE log SET blob = zeroblob(length(blob)) WHERE first_epoch = 7",
        expect![
            "E0605: <dir>/thalweg.db is damaged: the log of epochs 7 to 9; keep the files as they are and restore a backup of the directory"
        ],
    );
    check(
        "DELETE FROM log WHERE first_epoch = 7",
        expect![
            "E0605: <dir>/thalweg.db is damaged: the log ends before epoch 7, and 9 was committed; keep the files as they are and restore a backup of the directory"
        ],
    );
    check(
        "UPDATE log SET first_epoch = 8 WHERE first_epoch = 7",
        expect![
            "E0605: <dir>/thalweg.db is damaged: the log of epochs 8 to 9; keep the files as they are and restore a backup of the directory"
        ],
    );
    check(
        "UPDATE schema_history SET name = 'X'",
        expect!["E0605: <dir>/thalweg.db is damaged: a schema; keep the files as they are and restore a backup of the directory"],
    );
    check(
        "DELETE FROM tables",
        expect![
            "E0605: <dir>/thalweg.db is damaged: it holds 0 tables, and 1 were written; keep the files as they are and restore a backup of the directory"
        ],
    );
    check(
        "UPDATE outbox SET node = 'small' WHERE id = 'd4'",
        expect![
            "E0605: <dir>/thalweg.db is damaged: delivery number 2; keep the files as they are and restore a backup of the directory"
        ],
    );
    check(
        "UPDATE outbox SET attempts = 3 WHERE id = 'd4'",
        expect![
            "E0605: <dir>/thalweg.db is damaged: delivery number 2; keep the files as they are and restore a backup of the directory"
        ],
    );
    check(
        "UPDATE outbox_body SET body = x'00'",
        expect![
            "E0605: <dir>/thalweg.db is damaged: delivery number 2; keep the files as they are and restore a backup of the directory"
        ],
    );
    check(
        "DELETE FROM outbox_body",
        expect![
            "E0605: <dir>/thalweg.db is damaged: delivery number 2; keep the files as they are and restore a backup of the directory"
        ],
    );
    check(
        "DELETE FROM outbox WHERE id = 'd7'",
        expect![
            "E0605: <dir>/thalweg.db is damaged: the outbox holds 2 deliveries, 1 pending, 1 due of 1; counted were 3 and 2; keep the files as they are and restore a backup of the directory"
        ],
    );
    check(
        "UPDATE outbox SET state = 'acked' WHERE id = 'd7'",
        expect![
            "E0605: <dir>/thalweg.db is damaged: the outbox holds 3 deliveries, 1 pending, 1 due of 1; counted were 3 and 2; keep the files as they are and restore a backup of the directory"
        ],
    );
    check(
        "UPDATE timers SET due = 6",
        expect!["E0605: <dir>/thalweg.db is damaged: a timer; keep the files as they are and restore a backup of the directory"],
    );
    check(
        "DELETE FROM timers",
        expect![
            "E0605: <dir>/thalweg.db is damaged: it holds 0 timers, and 1 were written; keep the files as they are and restore a backup of the directory"
        ],
    );
    check(
        "DROP INDEX outbox_fresh",
        expect![
            "E0605: <dir>/thalweg.db is damaged: its table definitions; keep the files as they are and restore a backup of the directory"
        ],
    );
    check(
        "UPDATE snapshots SET rows = 1",
        expect![
            "E0605: <dir>/thalweg.db is damaged: the record of the snapshot at epoch 6; keep the files as they are and restore a backup of the directory"
        ],
    );
}

#[test]
fn a_snapshot_that_fails_a_check_gives_way_to_the_one_before_or_to_the_log() {
    let fixture = fixture(StoreConfig::default());
    let other = self::fixture(StoreConfig::default());
    let check = |name, mangle: &dyn Fn(&Path), expected: Expect| check_on(fixture.path(), name, mangle, &expected);
    let newest = |dir: &Path| dir.join("snapshots/6");
    check("rows flipped", &|dir| edit(&newest(dir).join("0000.arrow"), |b| b[300] ^= 1), expect!["all there"]);
    check("rows cut", &|dir| edit(&newest(dir).join("0000.arrow"), |b| b.truncate(b.len() - 1)), expect!["all there"]);
    check("no rows", &|dir| fs::remove_file(newest(dir).join("0000.arrow")).unwrap(), expect!["all there"]);
    check("state flipped", &|dir| edit(&newest(dir).join("state.bin"), |b| b[0] ^= 1), expect!["all there"]);
    check("manifest flipped", &|dir| edit(&newest(dir).join("manifest.json"), |b| b[20] ^= 1), expect!["all there"]);
    check("gone", &|dir| fs::remove_dir_all(newest(dir)).unwrap(), expect!["all there"]);
    check("all gone", &|dir| fs::remove_dir_all(dir.join("snapshots")).unwrap(), expect!["all there"]);
    check(
        "another store's",
        &|dir| {
            fs::remove_dir_all(newest(dir)).unwrap();
            copy(&newest(other.path()), &newest(dir));
        },
        expect!["all there"],
    );
    check(
        "left over",
        &|dir| {
            fs::create_dir(dir.join("snapshots/9.tmp")).unwrap();
            fs::create_dir(dir.join("snapshots/8")).unwrap();
            fs::write(dir.join("thalweg.db.new"), "half").unwrap();
        },
        expect!["all there"],
    );
    check(
        "newer than the database",
        &|dir| fs::create_dir(dir.join("snapshots/10")).unwrap(),
        expect![
            "E0604: <dir>/snapshots/10 is newer than the database, which ends at epoch 9: the database is an older copy or has lost commits; restore the whole directory from one backup"
        ],
    );
}

#[test]
fn sto_07_a_trimmed_log_without_a_usable_snapshot_is_refused() {
    let fixture = fixture(StoreConfig { log_retention: LogRetention::SinceOlderSnapshot, ..StoreConfig::default() });
    let check = |name, mangle: &dyn Fn(&Path), expected: Expect| check_on(fixture.path(), name, mangle, &expected);
    check("newest gone", &|dir| fs::remove_dir_all(dir.join("snapshots/6")).unwrap(), expect!["all there"]);
    check(
        "both gone",
        &|dir| fs::remove_dir_all(dir.join("snapshots")).unwrap(),
        expect![
            "E0611: no snapshot in <dir>/snapshots can be used, and the log begins only at epoch 4; at epoch 6: its manifest.json cannot be read (No such file or directory (os error 2)); at epoch 3: its manifest.json cannot be read (No such file or directory (os error 2)); restore a backup of the directory"
        ],
    );
}

/// A directory as a killed process leaves it: the write-ahead log holds the last commits.
fn killed() -> tempfile::TempDir {
    let fixture = fixture(StoreConfig::default());
    let image = tempfile::tempdir().unwrap();
    let mut store = open(fixture.path());
    store.commit(&batch(10, 11)).unwrap();
    store.commit(&batch(12, 12)).unwrap();
    copy(fixture.path(), image.path());
    image
}

#[test]
fn sto_07_commits_that_went_with_the_write_ahead_log_are_missed() {
    let wal = |dir: &Path| dir.join("thalweg.db-wal");
    for (name, mangle, expected) in [
        ("untouched", &(|_: &Path| ()) as &dyn Fn(&Path), expect!["epoch 12"]),
        (
            "gone",
            &|dir| fs::remove_file(wal(dir)).unwrap(),
            expect![
                "E0604: <dir>/thalweg.db has lost commits (it knows of 7, and 10 were made): its write-ahead log thalweg.db-wal is missing or damaged; restore that file, or delete <dir>/lock to go on from the older state"
            ],
        ),
        (
            "cut",
            &|dir| edit(&wal(dir), |b| b.truncate(b.len() - 10)),
            expect![
                "E0604: <dir>/thalweg.db has lost commits (it knows of 9, and 10 were made): its write-ahead log thalweg.db-wal is missing or damaged; restore that file, or delete <dir>/lock to go on from the older state"
            ],
        ),
        (
            "flipped",
            &|dir| edit(&wal(dir), |b| b[40] ^= 1),
            expect![
                "E0604: <dir>/thalweg.db has lost commits (it knows of 7, and 10 were made): its write-ahead log thalweg.db-wal is missing or damaged; restore that file, or delete <dir>/lock to go on from the older state"
            ],
        ),
        (
            "gone, and the loss accepted",
            &|dir| fs::remove_file(wal(dir)).and(fs::remove_file(dir.join("lock"))).unwrap(),
            expect!["epoch 9"],
        ),
        (
            "shared memory from elsewhere",
            &|dir| fs::write(dir.join("thalweg.db-shm"), vec![7; 32768]).unwrap(),
            expect!["epoch 12"],
        ),
    ] {
        let image = killed();
        mangle(image.path());
        let text = match SqliteStore::open(image.path(), StoreConfig::default()) {
            Ok(store) => format!("epoch {}", store.recovered().epoch),
            Err(error) => error.to_string().replace(&image.path().display().to_string(), "<dir>"),
        };
        eprintln!("{name}");
        expected.assert_eq(&text);
    }
}

#[test]
fn sto_06_any_flipped_bit_in_the_database_is_refused_or_harmless() {
    let fixture = fixture(StoreConfig::default());
    let good = use_it(fixture.path()).unwrap();
    let bytes = fs::read(fixture.path().join("thalweg.db")).unwrap();
    let mut refused = 0;
    for n in 0..160 {
        let dir = tempfile::tempdir().unwrap();
        copy(fixture.path(), dir.path());
        let at = n * bytes.len() / 160 + n % 7;
        edit(&dir.path().join("thalweg.db"), |b| b[at] ^= 1 << (n % 8));
        match use_it(dir.path()) {
            Ok(found) => assert_eq!(found, good, "byte {at} is silently wrong"),
            Err(_) => refused += 1,
        }
    }
    assert!(refused > 0, "the flips hit nothing that matters");
}

#[test]
fn sto_08_a_second_process_is_turned_away() {
    let dir = tempfile::tempdir().unwrap();
    let first = open(dir.path());
    let error = SqliteStore::open(dir.path(), StoreConfig::default()).err().unwrap().to_string();
    let path = dir.path().display();
    let pid = std::process::id();
    assert_eq!(
        error,
        format!("E0601: data directory {path} is in use by process {pid}; stop that process, or give this one another directory")
    );
    drop(first);
    open(dir.path());
}

#[test]
fn sto_07_a_directory_that_cannot_be_one_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("file");
    fs::write(&path, "").unwrap();
    let error = SqliteStore::open(&path, StoreConfig::default()).err().unwrap().to_string();
    assert_eq!(error, format!("E0608: cannot create {}: File exists (os error 17)", path.display()));
}

#[test]
fn a_new_store_has_its_own_secret_and_keeps_it() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let secret = open(one.path()).instance_secret().to_string();
    assert!(secret.starts_with("whsec_") && secret.len() == 6 + 44, "{secret}");
    assert_eq!(open(one.path()).instance_secret(), secret);
    assert_ne!(open(two.path()).instance_secret(), secret);
    assert_eq!(fs::read_to_string(one.path().join(".gitignore")).unwrap(), "*\n");
}

#[test]
fn sto_09_a_directory_that_is_moved_removed_or_replaced_stops_the_process_that_runs() {
    let at = |dir: &Path| dir.join("store");
    let moved = |dir: &Path| fs::rename(at(dir), dir.join("moved")).unwrap();
    let back = |dir: &Path| fs::rename(dir.join("moved"), at(dir)).unwrap();
    let removed = |dir: &Path| fs::rename(at(dir).join("thalweg.db"), dir.join("kept")).unwrap();
    let restored = |dir: &Path| fs::rename(dir.join("kept"), at(dir).join("thalweg.db")).unwrap();
    let replaced = |dir: &Path| {
        removed(dir);
        fs::copy(dir.join("kept"), at(dir).join("thalweg.db")).unwrap();
    };
    type Act<'a> = &'a dyn Fn(&Path);
    for (name, mangle, cure) in
        [("moved", &moved as Act, &back as Act), ("removed", &removed, &restored), ("replaced", &replaced, &restored)]
    {
        let dir = tempfile::tempdir().unwrap();
        let mut store = SqliteStore::open(&at(dir.path()), StoreConfig::default()).unwrap();
        store.commit(&CommitBatch { outbox: vec![delivery("d1", 1, "k")], ..batch(1, 3) }).unwrap();
        mangle(dir.path());
        for refused in [store.commit(&batch(4, 6)), store.update_outbox(&[outcome("d1", OutboxState::Acked, 1, 0)])] {
            let said = refused.unwrap_err().to_string().replace(&at(dir.path()).display().to_string(), "<dir>");
            expect![[r#"
                E0604: <dir>/thalweg.db is not the file that was opened: it was moved, removed or replaced while this process ran, which stops without writing; put it back, or a backup of the directory, and start again
            "#]]
            .assert_eq(&format!("{said}\n"));
        }
        drop(store);
        cure(dir.path());
        let mut store = SqliteStore::open(&at(dir.path()), StoreConfig::default()).unwrap();
        assert_eq!((store.recovered().epoch, store.outbox_counts().unwrap().pending), (3, 1), "{name}");
        store.commit(&batch(4, 6)).unwrap();
    }
}

#[test]
fn sto_06_a_digest_that_says_otherwise_is_found() {
    let digest = Digest { every_us: 0, max: 2, bytes: 1_000, by_key: false };
    let manner = Manner { digest: Some(digest), ..Manner::default() };
    let row = |n: u64| OutboxRow { manner, ..delivery(&format!("d{n}"), n, "k") };
    for (sql, found) in [
        ("UPDATE outbox_digest SET leader = 3 WHERE seq = 2", "2"),
        ("INSERT INTO outbox_digest SELECT 3, leader, crc FROM outbox_digest WHERE seq = 2", "3"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let mut store = open(dir.path());
        store.commit(&CommitBatch { outbox: vec![row(1), row(2), row(3)], ..batch(1, 3) }).unwrap();
        store.gather("d1", &digest, Timestamp(1)).unwrap();
        OutboxReader::open(dir.path()).unwrap().verify().unwrap();
        drop(store);
        with_sql(dir.path(), sql);
        let error = OutboxReader::open(dir.path()).unwrap().verify().unwrap_err().to_string();
        let error = error.replace(&dir.path().display().to_string(), "<dir>");
        let cure = "keep the files as they are and restore a backup of the directory";
        assert_eq!(error, format!("E0605: <dir>/thalweg.db is damaged: the digest of delivery number {found}; {cure}"));
    }
}

#[test]
fn sto_06_what_became_of_deliveries_and_who_follows_it_is_checked() {
    let manner = Manner { depth: 2, ..Manner::default() };
    let row = |n: u64| OutboxRow { manner, ..delivery(&format!("d{n}"), n, &n.to_string()) };
    for (sql, found) in [
        ("UPDATE outbox_settled SET state = 'cancelled' WHERE n = 2", "settled delivery number 2"),
        ("UPDATE outbox_depth SET depth = 1 WHERE seq = 3", "settled delivery number 3"),
        ("DELETE FROM outbox_settled WHERE n = 2", "what is before settled delivery number 3"),
        ("UPDATE outbox_settled SET source = 'others' WHERE n = 1", "settled delivery number 1"),
        ("UPDATE outbox_follower SET source = 'others'", "the name of the source that follows deliveries"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let mut store = open(dir.path());
        store.follow(Some("outcomes".into())).unwrap();
        store.commit(&CommitBatch { outbox: vec![row(1), row(2), row(3)], ..batch(1, 3) }).unwrap();
        for id in ["d1", "d2", "d3"] {
            store.update_outbox(&[outcome(id, OutboxState::Dead, 1, 0)]).unwrap();
        }
        let settled = store.settled(1, 9).unwrap();
        assert_eq!(settled.iter().map(|settled| (settled.number, settled.depth)).collect::<Vec<_>>(), [(2, 2), (3, 2)]);
        OutboxReader::open(dir.path()).unwrap().verify().unwrap();
        drop(store);
        with_sql(dir.path(), sql);
        let error = OutboxReader::open(dir.path()).unwrap().verify().unwrap_err().to_string();
        let error = error.replace(&dir.path().display().to_string(), "<dir>");
        let cure = "keep the files as they are and restore a backup of the directory";
        assert_eq!(error, format!("E0605: <dir>/thalweg.db is damaged: {found}; {cure}"));
    }
}
