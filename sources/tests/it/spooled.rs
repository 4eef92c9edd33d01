//! Transactions that are too large to be held: their rows wait in a file, and nothing else is different.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use thalweg_formulas::Value;
use thalweg_graph::ports::{BoxFuture, Outlet, SourceMessage, SourceStatus};
use thalweg_graph::transaction::{Body, PART};
use thalweg_graph::{Change, Transaction};
use thalweg_sources::binlog::frame::{FileEvents, Header};
use thalweg_sources::binlog::plan::Hints;
use thalweg_sources::binlog::{Assembler, LogError, Spooling, Step, Watch};
use thalweg_sources::binlog_file::{BinlogFileConfig, BinlogFileSource};
use thalweg_sources::mysql::{MysqlConfig, MysqlSource};
use thalweg_testkit::{MariaDb, MySql, Proxy, Server, require, require_mysql};
use tokio::sync::Semaphore;

use crate::decoder::{COMPRESSED, MYSQL, MYSQL_COMPRESSED, RECORDED};
use crate::harness::{config, eventually, id, ids, outlet, runtime, start};

fn assembler(directory: &Path, above: usize) -> Assembler {
    let watch = Watch::new(&["shop.*".into()], None).unwrap();
    let spooling = Spooling { directory: directory.into(), above };
    Assembler::anywhere(watch, Hints::default(), &[]).with_clears().with_spooling(spooling)
}

/// What a file says, a line each, and how many of its transactions were held and how many spilled. Those are read twice.
fn read(file: &[u8], directory: &Path, above: usize) -> (Vec<String>, [usize; 2]) {
    let mut assembler = assembler(directory, above);
    let (mut steps, mut lines, mut counts) = (Vec::new(), Vec::new(), [0, 0]);
    for frame in FileEvents::new(file) {
        let frame = frame.unwrap();
        assembler.event(frame.header, frame.body, &mut steps).unwrap();
        for step in steps.drain(..) {
            lines.push(match step {
                Step::Transaction { id, seconds, body: Body::Changes(changes), .. } => {
                    counts[0] += 1;
                    format!("{id} {seconds} {changes:?}")
                }
                Step::Transaction { id, seconds, body: Body::Spilled(spill), .. } => {
                    counts[1] += 1;
                    let [first, second] = [(); 2].map(|()| {
                        let mut all: Vec<Change> = Vec::new();
                        spill
                            .read(&mut |part| {
                                assert!(!part.is_empty());
                                all.extend(part);
                                true
                            })
                            .unwrap();
                        all
                    });
                    assert_eq!(first, second);
                    assert_eq!(first.len() as u64, spill.changes());
                    format!("{id} {seconds} {first:?}")
                }
                Step::Heartbeat | Step::Passed => format!("at {}", assembler.position()),
                other => format!("{other:?}"),
            });
        }
    }
    (lines, counts)
}

#[test]
fn src_15_what_is_spooled_reads_as_what_is_held() {
    let folder = tempfile::tempdir().unwrap();
    for (name, file) in [("mariadb", RECORDED), ("compressed", COMPRESSED), ("mysql", MYSQL), ("payloads", MYSQL_COMPRESSED)] {
        let (held, [all, _]) = read(file, folder.path(), usize::MAX);
        let spilled = [0, 100, 1000, 3000].map(|above| {
            let (spooled, counts) = read(file, folder.path(), above);
            assert_eq!(spooled, held, "{name} above {above}");
            assert_eq!(counts[0] + counts[1], all);
            counts[1]
        });
        assert_eq!((spilled[0], spilled[1] >= spilled[2]), (all, true), "{name}: {spilled:?}");
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "the files have no names");
}

#[test]
fn sto_2_where_a_spool_cannot_be_written_the_position_stays() {
    let folder = tempfile::tempdir().unwrap();
    let gone = folder.path().join("gone");
    let mut assembler = assembler(&gone, 0);
    let mut steps = Vec::new();
    let events: Vec<(Header, Vec<u8>)> =
        FileEvents::new(RECORDED).map(|f| f.unwrap()).map(|f| (f.header, f.body.to_vec())).collect();
    let mut refused = None;
    for (header, body) in &events {
        let before = assembler.position().clone();
        if let Err(error) = assembler.event(*header, body, &mut steps) {
            assert_eq!(*assembler.position(), before);
            refused = Some(error);
            break;
        }
    }
    let Some(LogError::Spool { directory, .. }) = &refused else { panic!("{refused:?}") };
    assert_eq!(*directory, gone);
    let text = refused.unwrap().to_string().replace(&gone.display().to_string(), "DIR");
    let expected = "a transaction is too large to be held in memory, and its rows cannot be written to DIR \
                    (No such file or directory (os error 2)); make room there, and it goes on by itself";
    assert_eq!(text.split_once(" at path").map_or(text.clone(), |(head, _)| head.to_string()), expected);
    assert!(!steps.iter().any(|step| matches!(step, Step::Transaction { .. })));
}

/// The changes of a transaction that must be spilled: how many, and the sum of their first columns.
fn sum(transaction: &Transaction) -> (u64, i64) {
    let Body::Spilled(spill) = &transaction.body else { panic!("{} is held", transaction.origin) };
    let mut total = 0;
    let mut add = |part: Vec<Change>| {
        assert!(part.len() < 2 * PART, "a part of {}", part.len());
        for change in part {
            match change.after.unwrap()[0] {
                Some(Value::Int(id)) => total += id,
                ref other => panic!("{other:?}"),
            }
        }
        true
    };
    spill.read(&mut add).unwrap();
    (spill.changes(), total)
}

/// One statement makes `rows` rows of `shop.a (id, note)`; one XA transaction as many more.
fn giants(server: &Server, config: MysqlConfig, rows: i64) {
    let folder = tempfile::tempdir().unwrap();
    let spooling = Spooling { directory: folder.path().into(), above: 1 << 20 };
    let mut source = start(MysqlConfig { spooling, ..config }, None);
    source.transaction();
    source.until_live();
    let digits = "(SELECT 0 d UNION SELECT 1 UNION SELECT 2 UNION SELECT 3 UNION SELECT 4 UNION SELECT 5 UNION SELECT 6 UNION SELECT 7 UNION SELECT 8 UNION SELECT 9)";
    let numbers = ["", "0", "00", "000", "0000"].map(|zeros| format!("{digits} t1{zeros}")).join(" JOIN ");
    let number = "(t1.d + 10 * t10.d + 100 * t100.d + 1000 * t1000.d + 10000 * t10000.d)";
    let insert = |from: i64| {
        format!("INSERT INTO shop.a SELECT {from} + {number}, REPEAT('n', 50) FROM {numbers} WHERE {number} < {rows}")
    };
    server.exec(&insert(0));
    let expected = |from: i64| (rows as u64, rows * from + rows * (rows - 1) / 2);
    let first = source.transaction();
    assert_eq!(sum(&first), expected(0));
    server.exec(&format!("XA START 'x'; {}; XA END 'x'; XA PREPARE 'x'", insert(1_000_000)));
    server.exec("INSERT INTO shop.a VALUES (-1, 'between')");
    let between = source.transaction();
    assert_eq!(ids(&between), [-1]);
    server.exec("XA COMMIT 'x'");
    assert_eq!(sum(&source.transaction()), expected(1_000_000));
    assert_eq!(sum(&first), expected(0), "it can still be read");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "the files have no names");
    server.exec("UPDATE shop.a SET note = 'short'; INSERT INTO shop.a VALUES (-2, 'last')");
    let update = source.transaction();
    assert_eq!(sum(&update).0, 2 * rows as u64 + 1);
    assert_eq!(ids(&source.transaction()), [-2]);
}

#[test]
fn src_15_giant_transactions_come_whole_and_out_of_a_file() {
    if !require() {
        return;
    }
    for arguments in [&[][..], &["--log-bin-compress=ON", "--log-bin-compress-min-len=10"]] {
        let server = MariaDb::start_with(arguments);
        server.exec("CREATE DATABASE shop; CREATE TABLE shop.a (id INT PRIMARY KEY, note VARCHAR(60))");
        giants(&server, config(&server.url(), &["shop.a"]), 60_000);
    }
}

/// What takes the place of a table comes behind the clear that empties it.
#[test]
fn src_15_a_giant_that_takes_the_place_of_a_table_comes_out_of_a_file_too() {
    if !require() {
        return;
    }
    let server = MariaDb::start();
    server.exec(
        "CREATE DATABASE shop; CREATE TABLE shop.a (id INT PRIMARY KEY, note VARCHAR(60)); INSERT INTO shop.a VALUES (7, 'x')",
    );
    let folder = tempfile::tempdir().unwrap();
    let spooling = Spooling { directory: folder.path().into(), above: 1 << 20 };
    let mut source = start(MysqlConfig { spooling, clears: true, ..config(&server.url(), &["shop.a"]) }, None);
    source.transaction();
    source.until_live();
    let rows = 30_000;
    server.exec(&format!(
        "USE shop; CREATE OR REPLACE TABLE a (id INT PRIMARY KEY) SELECT seq id, 'new' AS note FROM seq_1_to_{rows}; INSERT INTO a VALUES (0, 'end')"
    ));
    let Body::Spilled(spill) = source.transaction().body else { panic!("it is held") };
    assert_eq!((spill.changes(), spill.clears().len()), (rows + 1, 1));
    let (mut count, mut total) = (0, 0);
    spill
        .read(&mut |part| {
            for change in part.iter().filter(|change| !change.is_clear()) {
                (count, total) = (count + 1, total + id(change));
            }
            true
        })
        .unwrap();
    assert_eq!((count, total), (rows, (rows * (rows + 1) / 2) as i64));
    assert_eq!(ids(&source.transaction()), [0]);
}

#[test]
fn src_15_giant_transactions_of_mysql_come_whole_and_out_of_a_file() {
    if !require_mysql() {
        return;
    }
    for compression in ["OFF", "ON"] {
        let server = MySql::start();
        server.exec(&format!("SET GLOBAL binlog_transaction_compression = {compression}"));
        server.exec("CREATE DATABASE shop; CREATE TABLE shop.a (id INT PRIMARY KEY, note VARCHAR(60))");
        giants(&server, config(&server.url(), &["shop.a"]), 30_000);
    }
}

#[test]
fn src_15_a_full_disk_is_waited_for_and_nothing_is_lost() {
    if !require() {
        return;
    }
    let server = MariaDb::start();
    server.exec("CREATE DATABASE shop; CREATE TABLE shop.a (id INT PRIMARY KEY, note VARCHAR(60))");
    let folder = tempfile::tempdir().unwrap();
    let gone = folder.path().join("gone");
    let spooling = Spooling { directory: gone.clone(), above: 10_000 };
    let mut source = start(MysqlConfig { spooling: spooling.clone(), ..config(&server.url(), &["shop.a"]) }, None);
    source.transaction();
    source.until_live();
    server.exec("USE shop; INSERT INTO shop.a VALUES (0, 'small'); INSERT INTO shop.a SELECT seq, 'large' FROM seq_1_to_5000; INSERT INTO shop.a VALUES (9999, 'small')");
    assert_eq!(ids(&source.transaction()), [0]);
    let text =
        format!("E0425: a transaction is too large to be held in memory, and its rows cannot be written to {}", gone.display());
    source.until("the shortage", |s| matches!(s, SourceStatus::Connecting { error: Some(why) } if why.starts_with(&text)));
    std::fs::create_dir(&gone).unwrap();
    assert_eq!(sum(&source.transaction()), (5000, 5000 * 5001 / 2));
    assert_eq!(ids(&source.transaction()), [9999]);

    // The same out of the server's files.
    server.exec("FLUSH BINARY LOGS");
    std::fs::remove_dir(&gone).unwrap();
    let mut files = BinlogFileConfig::new("files", server.data().join("binlog.*"));
    (files.tables, files.spooling) = (vec!["shop.a".into()], spooling);
    let (outlet, messages) = outlet();
    runtime().spawn(BinlogFileSource::new(files).run(None, outlet));
    let mut next = || loop {
        match messages.recv_timeout(Duration::from_secs(30)).unwrap() {
            SourceMessage::Transaction(transaction, _) => return Ok(transaction),
            SourceMessage::Status(SourceStatus::Connecting { error: Some(why) }) => return Err(why),
            _ => {}
        }
    };
    assert_eq!(ids(&next().unwrap()), [0]);
    assert!(next().unwrap_err().starts_with(&text));
    std::fs::create_dir(&gone).unwrap();
    let large = std::iter::repeat_with(&mut next).find_map(Result::ok).unwrap();
    assert_eq!(sum(&large), (5000, 5000 * 5001 / 2));
    assert_eq!(ids(&next().unwrap()), [9999]);
}

/// Takes a message for each permit, and notes the ids of the rows.
struct Slow {
    permits: Semaphore,
    ids: Mutex<Vec<i64>>,
    lives: Mutex<u32>,
}

impl Outlet for Slow {
    fn send(&self, message: SourceMessage) -> BoxFuture<'_, bool> {
        Box::pin(async move {
            match message {
                SourceMessage::Transaction(transaction, _) => {
                    self.permits.acquire().await.unwrap().forget();
                    self.ids.lock().unwrap().extend(ids(&transaction));
                }
                SourceMessage::Status(SourceStatus::Live(false)) => *self.lives.lock().unwrap() += 1,
                _ => {}
            }
            true
        })
    }
}

#[test]
fn src_17_a_slow_consumer_makes_progress_on_every_connection_and_none_is_made_for_nothing() {
    if !require() {
        return;
    }
    let server = MariaDb::start();
    server.exec("CREATE DATABASE shop; CREATE TABLE shop.a (id INT PRIMARY KEY, note MEDIUMTEXT)");
    let proxy = Proxy::to(server.port());
    let outlet = Arc::new(Slow { permits: Semaphore::new(1), ids: Mutex::default(), lives: Mutex::default() });
    let config = config(&format!("mysql://root@127.0.0.1:{}", proxy.port()), &["shop.a"]);
    let task = runtime().spawn(MysqlSource::new(config).run(None, outlet.clone()));
    eventually("the snapshot", || *outlet.lives.lock().unwrap() == 1);
    // Far more than the queue and all buffers on the way hold: the log stays with the server, and reading waits.
    let rows = 3_000;
    let inserts: String = (0..rows).map(|id| format!("INSERT INTO shop.a VALUES ({id}, REPEAT('n', 20000));")).collect();
    server.exec(&inserts);
    let connections = proxy.accepted();
    let seen = || outlet.ids.lock().unwrap().len();
    for round in 0..5 {
        // A hundredth of the load at a time, and in between silence for longer than a dead link is given.
        outlet.permits.add_permits(10);
        eventually("progress", || seen() == 10 * (round + 1));
    }
    std::thread::sleep(Duration::from_millis(1200));
    assert_eq!((proxy.accepted(), seen()), (connections, 50), "a consumer that is slow is no reason to connect again");
    let feed = || {
        if outlet.permits.available_permits() == 0 {
            outlet.permits.add_permits(20);
        }
    };
    for _ in 0..3 {
        let lives = *outlet.lives.lock().unwrap();
        proxy.cut();
        // What was read before the cut is handed over, slowly, before there is a next connection; then that one brings something.
        eventually("the next connection", || {
            feed();
            *outlet.lives.lock().unwrap() > lives
        });
        let before = seen();
        eventually("progress on it", || {
            feed();
            seen() > before
        });
    }
    assert!(seen() < rows, "the last connection had nothing left to bring");
    outlet.permits.add_permits(rows);
    eventually("all of it", || seen() >= rows);
    assert_eq!(*outlet.ids.lock().unwrap(), (0..rows as i64).collect::<Vec<_>>());
    task.abort();
}
