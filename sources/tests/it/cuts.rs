//! A stream of a real server that breaks off at every byte: whole transactions only, and each once.
//!
//! The stream is recorded and played by a stand-in, so that a cut costs no server's time. The suite takes the borders of all packets;
//! `THALWEG_CUTS=some cargo nextest run --release -p thalweg-sources -E 'test(every_byte)'` takes some transactions byte by byte too, which are
//! 18 000 cuts in a few minutes, `THALWEG_CUTS=all` every byte of the stream.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use thalweg_graph::ports::SourceStatus;
use thalweg_testkit::{MariaDb, Proxy, Recorder, Replay, Tape, require};

use crate::harness::{config, follow, ids, line, start};

/// As many readers at once, since each waits a moment before it connects again.
const READERS: usize = 48;

/// Transactions of all sizes, with all kinds of events.
fn history() -> String {
    let insert = |n: usize| {
        let rows: Vec<String> =
            (0..n % 7 + 1).map(|i| format!("({}, REPEAT('{}', {}))", n * 100 + i, i, n * 37 % 1500)).collect();
        let (first, all) = (n * 100, rows.join(","));
        match n % 5 {
            0 => format!("INSERT INTO a VALUES {all};"),
            1 => format!("BEGIN; INSERT INTO a VALUES {all}; UPDATE a SET note = 'changed' WHERE id = {first}; COMMIT;"),
            2 => format!("BEGIN; INSERT INTO a VALUES {all}; SAVEPOINT s; DELETE FROM a; ROLLBACK TO s; COMMIT;"),
            3 => format!("INSERT INTO a VALUES {all}; DELETE FROM a WHERE id > {first} LIMIT 1;"),
            _ => format!("INSERT INTO other VALUES ({n}); INSERT INTO a VALUES {all}; FLUSH BINARY LOGS;"),
        }
    };
    (1..=40).map(insert).collect()
}

/// The stream of a history, with what a reader asks before it, and its transactions as they read where nothing breaks.
fn recorded() -> (Tape, Vec<String>) {
    let server = MariaDb::start();
    server.exec("CREATE DATABASE shop; USE shop; CREATE TABLE a (id INT PRIMARY KEY, note TEXT); CREATE TABLE other (id INT)");
    server.exec(&format!("USE shop; {}", history()));
    let recorder = Recorder::to(server.port());
    let mut source = start(config(&format!("mysql://root@127.0.0.1:{}", recorder.port()), &["shop.a"]), Some(""));
    let came = source.all_until_position(&server.gtid());
    (recorder.tape(), came.iter().map(line).collect())
}

/// A cut: the transaction before which reading begins, and after how many bytes of the dump it breaks off.
type Cut = (usize, usize);

fn cuts(replay: &Replay) -> Vec<Cut> {
    let (near, every) = match std::env::var("THALWEG_CUTS").as_deref() {
        Ok("all") => (0, 1),
        Ok("some") => (3, 16),
        _ => (1, usize::MAX),
    };
    let mut cuts = Vec::new();
    for begin in 1..replay.positions().len() - 1 {
        let borders = replay.borders(begin, begin);
        let ends: BTreeSet<usize> = borders.iter().flat_map(|end| end - near..=end + near).collect();
        // What comes before the first transaction is the same each time.
        let (first, end) = (if begin == 1 { 0 } else { replay.head() - 3 }, borders[borders.len() - 1]);
        cuts.extend((first..=end).filter(|at| begin % every == 0 || ends.contains(at)).map(|at| (begin, at)));
    }
    cuts
}

/// Reads on to a transaction behind the one that breaks off.
fn survives(replay: &Replay, expected: &[String], (begin, bytes): Cut) {
    let positions = replay.positions();
    let of = |at: usize| expected.iter().filter(|line| line.starts_with(&format!("{}: ", positions[at]))).collect::<Vec<_>>();
    // What is not watched is told only now and then.
    let Some(end) = (begin + 1..positions.len()).find(|at| !of(*at).is_empty()) else { return };
    replay.cut_next_dump(bytes, end);
    let mut settings = config(&format!("mysql://root@127.0.0.1:{}", replay.port()), &["shop.a"]);
    settings.heartbeat = Duration::from_secs(30);
    let mut source = start(settings, Some(positions[begin - 1]));
    let came: Vec<String> = source.all_until_position(positions[end]).iter().map(line).collect();
    let wanted: Vec<String> = (begin..=end).flat_map(of).cloned().collect();
    assert_eq!(came, wanted, "cut at byte {bytes} of a dump from {}", positions[begin - 1]);
    let broke = source.statuses.iter().filter(|s| matches!(s, SourceStatus::Connecting { error: Some(_) })).count();
    assert!(broke > 0, "not cut at byte {bytes}: {:?}", source.statuses);
}

#[test]
fn src_2_4_a_stream_cut_at_every_byte_gives_whole_transactions_each_once() {
    if !require() {
        return;
    }
    let (tape, expected) = recorded();
    let replay = Replay::of(&tape);
    let cuts = cuts(&replay);
    let size = replay.borders(0, replay.positions().len() - 1).pop().unwrap();
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..READERS {
            scope.spawn(|| {
                let replay = Replay::of(&tape);
                while let Some(cut) = cuts.get(next.fetch_add(1, Ordering::Relaxed)) {
                    survives(&replay, &expected, *cut);
                }
            });
        }
    });
    println!("{} cuts in a stream of {size} bytes and {} transactions", cuts.len(), expected.len());
}

/// Breaks at random while a writer writes as fast as it can: the reader has what the server has, once.
#[test]
fn src_2_random_cuts_under_load_lose_and_repeat_nothing() {
    if !require() {
        return;
    }
    let server = MariaDb::start();
    server.exec("CREATE DATABASE shop; CREATE TABLE shop.a (id INT PRIMARY KEY AUTO_INCREMENT, note TEXT)");
    let proxy = Proxy::to(server.port());
    let mut source = follow(&format!("mysql://root@127.0.0.1:{}", proxy.port()), &["shop.a"]);
    let (ended, came) = (AtomicBool::new(false), Mutex::new(Vec::new()));
    let rounds: u32 = std::env::var("THALWEG_ROUNDS").ok().and_then(|n| n.parse().ok()).unwrap_or(20);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let one = "BEGIN; INSERT INTO shop.a (note) VALUES (REPEAT('x', RAND() * 900)); INSERT INTO shop.a (note) VALUES ('y'), ('z'); COMMIT;";
            while !ended.load(Ordering::Relaxed) {
                server.exec(&one.repeat(50));
            }
        });
        let mut came = came.lock().unwrap();
        let mut seed = 0x9e37_79b9_u64;
        for _ in 0..rounds {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let accepted = proxy.accepted();
            proxy.cut_after(1 + (seed >> 33) % 60_000);
            while proxy.accepted() < accepted + 2 {
                let transaction = source.transaction();
                assert_eq!(ids(&transaction).len(), 3, "{}", line(&transaction));
                came.extend(ids(&transaction));
            }
        }
        ended.store(true, Ordering::Relaxed);
    });
    let mut came = came.into_inner().unwrap();
    server.exec("INSERT INTO shop.a VALUES (-1, 'last')");
    while came.last() != Some(&-1) {
        came.extend(ids(&source.transaction()));
    }
    came.pop();
    let stored: Vec<i64> =
        server.query("SELECT id FROM shop.a WHERE id > 0 ORDER BY id").iter().map(|row| row[0].parse().unwrap()).collect();
    assert_eq!(came, stored);
}
