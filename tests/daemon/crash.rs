//! `kill -9` of the server, again and again, under load: what was committed is acted on once, and nothing else.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use mysql_async::prelude::Queryable;
use thalweg_testkit::{MariaDb, require};

use super::harness::{Home, runtime, until};

/// One connection after another that moves money between accounts: both sides and the entry of the ledger in one transaction. What a
/// crash leaves in doubt, the ledger tells.
async fn write(url: String, first: i64, stop: Arc<AtomicBool>) {
    let mut entry = first;
    while !stop.load(Ordering::Relaxed) {
        let Ok(mut conn) = mysql_async::Conn::from_url(&url).await else {
            tokio::time::sleep(Duration::from_millis(10)).await;
            continue;
        };
        while !stop.load(Ordering::Relaxed) {
            entry += 1;
            let (from, to, amount) = (entry % 7, 7 + entry % 5, entry % 100);
            let transaction = format!(
                "BEGIN; UPDATE bank.accounts SET amount = amount - {amount} WHERE id = {from};
                 UPDATE bank.accounts SET amount = amount + {amount} WHERE id = {to};
                 INSERT INTO bank.ledger VALUES ({entry}, {from}, {to}, {amount}); COMMIT"
            );
            if conn.query_drop(transaction).await.is_err() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

fn config(url: &str) -> String {
    format!(
        r#"
        [[source]]
        name = "bank"
        kind = "mysql"
        url = "{url}"
        tables = ["bank.accounts", "bank.ledger"]
        [[classify]]
        database = "bank"
        table = "ledger"
        insert = "moved"
        [[reactions]]
        event = "moved"
        actions = [{{ type = "sql-insert", database = "told", table = "ledger", backoff = "20ms..100ms", columns = {{ entry = "{{new.id}}", amount = "{{new.amount}}" }} }}]
        "#
    )
}

#[test]
fn src_01_the_server_is_killed_again_and_again_under_load_and_the_ledger_is_right() {
    if !require() {
        return;
    }
    let rounds: u32 = std::env::var("THALWEG_ROUNDS").ok().map_or(4, |n| n.parse().expect("THALWEG_ROUNDS is a number"));
    let mut server = MariaDb::start();
    server.exec(
        "CREATE DATABASE bank; CREATE DATABASE told; CREATE TABLE bank.accounts (id INT PRIMARY KEY, amount INT NOT NULL);
         USE bank; INSERT INTO accounts SELECT seq, 1000 FROM seq_0_to_11;
         CREATE TABLE bank.ledger (id BIGINT PRIMARY KEY, `from` INT, `to` INT, amount INT);
         CREATE TABLE told.ledger (n BIGINT AUTO_INCREMENT PRIMARY KEY, entry BIGINT, amount INT, KEY (entry))",
    );
    let home = Home::new(&config(&server.url()));
    let daemon = home.start_live();
    let stop = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> = (1..=3).map(|n| runtime().spawn(write(server.url(), n * 1_000_000_000, stop.clone()))).collect();
    for round in 1..=rounds {
        let told = || server.query("SELECT COUNT(*) FROM told.ledger")[0][0].parse::<u64>().unwrap();
        let before = told();
        until("something was told in this round", || told() > before);
        // At any moment of the next transactions, told or not.
        std::thread::sleep(Duration::from_millis(u64::from(round * 37 % 90)));
        server.kill9();
        server.restart();
    }
    stop.store(true, Ordering::Relaxed);
    writers.into_iter().for_each(|writer| runtime().block_on(writer).expect("a writer does not panic"));
    let of = |sql: &str| server.query(sql);
    let count = of("SELECT COUNT(*) FROM bank.ledger");
    let untold = || -> u64 {
        let sql = "SELECT COUNT(*) FROM bank.ledger b WHERE NOT EXISTS (SELECT 1 FROM told.ledger t WHERE t.entry = b.id)";
        of(sql)[0][0].parse().unwrap()
    };
    loop {
        match untold() {
            0 => break,
            left => {
                until(&format!("less than {left} untold entries of {count:?}; it said:\n{}", daemon.said()), || untold() < left)
            }
        }
    }
    let ended = daemon.stop();
    ended.well();
    let wrong = "SELECT b.id, t.entry, COUNT(*) FROM bank.ledger b LEFT JOIN told.ledger t ON t.entry = b.id AND t.amount = b.amount \
                 GROUP BY 1, 2 HAVING t.entry IS NULL OR COUNT(*) > 1 LIMIT 5";
    assert_eq!(of(wrong), Vec::<Vec<String>>::new(), "lost or doubled\n{}", ended.said);
    assert_eq!(of("SELECT COUNT(*) FROM told.ledger"), count, "invented\n{}", ended.said);
    assert_eq!(of("SELECT SUM(amount) FROM bank.accounts"), [["12000"]], "the server itself keeps its word");
    let counts = home.counts();
    eprintln!(
        "rounds {rounds}, entries {}, {counts:?}, connects {}",
        count[0][0],
        ended.said.matches("connecting again").count()
    );
    assert_eq!((counts.pending, counts.dead), (0, 0), "{counts:?}");
    assert_eq!(counts.fired.to_string(), count[0][0]);
}
