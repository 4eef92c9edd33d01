//! Writers: connections that change orders and write into the ledger, in the same transaction, what they have done.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use mysql_async::prelude::Queryable;
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

use crate::nemesis::Random;

/// Orders of each writer. They rise and fall again and again.
const ORDERS: u64 = 40;

/// Connections that write until they are stopped.
pub struct Writers {
    stop: Arc<AtomicBool>,
    tasks: Vec<JoinHandle<u64>>,
}

impl Writers {
    pub fn start(runtime: &Runtime, url: &str, writers: i64, pause: Duration, random: &mut Random) -> Writers {
        let stop = Arc::new(AtomicBool::new(false));
        let write = |n| {
            let (url, stop, random) = (url.to_owned(), stop.clone(), Random::new(random.next()));
            runtime.spawn(Writer { number: n, nth: 0, in_doubt: 0, random, pause }.write(url, stop))
        };
        Writers { tasks: (0..writers).map(write).collect(), stop }
    }

    /// Stops them; how many transactions ended without an answer. The ledger knows what became of those.
    pub fn stop(self, runtime: &Runtime) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        self.tasks.into_iter().map(|task| runtime.block_on(task).expect("a writer does not panic")).sum()
    }
}

struct Writer {
    number: i64,
    nth: u64,
    in_doubt: u64,
    random: Random,
    pause: Duration,
}

impl Writer {
    async fn write(mut self, url: String, stop: Arc<AtomicBool>) -> u64 {
        while !stop.load(Ordering::Relaxed) {
            let Ok(mut conn) = mysql_async::Conn::from_url(&url).await else {
                tokio::time::sleep(Duration::from_millis(20)).await;
                continue;
            };
            while !stop.load(Ordering::Relaxed) {
                let transaction = self.transaction();
                if conn.query_drop(transaction).await.is_err() {
                    self.in_doubt += 1;
                    break;
                }
                tokio::time::sleep(self.pause).await;
            }
            conn.disconnect().await.ok();
        }
        self.in_doubt
    }

    /// One or two orders change; some of them there and back in the same transaction, some go.
    fn transaction(&mut self) -> String {
        let mut sql = "BEGIN;".to_owned();
        let first = self.random.below(ORDERS);
        for order in first..=first + self.random.below(2) {
            self.nth += 1;
            let id = self.number * 1_000 + order as i64;
            if self.random.below(5) == 0 {
                sql += &upsert(id, 1 + self.random.below(1_000));
            }
            let amount = match self.random.below(10) {
                0 => {
                    sql += &format!("DELETE FROM shop.orders WHERE id = {id};");
                    "NULL".to_owned()
                }
                _ => {
                    // Both sides of the limit are as likely; no two amounts of a writer that follow each other are alike.
                    let amount = self.random.below(2) * 1_000_000 + self.nth % 99 + 1;
                    sql += &upsert(id, amount);
                    amount.to_string()
                }
            };
            let (writer, nth) = (self.number, self.nth);
            sql += &format!("INSERT INTO book.ledger (writer, nth, order_id, amount) VALUES ({writer}, {nth}, {id}, {amount});");
        }
        sql + "COMMIT"
    }
}

fn upsert(id: i64, amount: u64) -> String {
    format!("INSERT INTO shop.orders (id, amount) VALUES ({id}, {amount}) ON DUPLICATE KEY UPDATE amount = {amount};")
}
