//! Writers: connections that commit one row change at a time and keep a ledger of what must come of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use mysql_async::prelude::Queryable;
use thalweg_formulas::{Timestamp, Value};
use thalweg_graph::ids;
use tokio::task::JoinHandle;

use super::harness::runtime;

/// A rise of the condition of [`super::harness::shop`]'s effect.
#[derive(Clone, Debug)]
pub struct Rise {
    pub order: i64,
    /// The commit's GTID.
    pub origin: String,
    /// When its statement was sent.
    pub begun: SystemTime,
}

impl Rise {
    /// What does not depend on the commit time in the id of one of its actions: the 80 bits of hash.
    pub fn hash(&self, action: u32) -> String {
        hash_of(&ids::effect_id(&self.origin, "big", action, &[Value::Int(self.order)], Timestamp(0)))
    }
}

/// The part of an id behind its ten digits of time.
pub fn hash_of(id: &str) -> String {
    id[10..].to_owned()
}

/// Connections that write until they are stopped.
pub struct Writers {
    stop: Arc<AtomicBool>,
    tasks: Vec<JoinHandle<Vec<Rise>>>,
}

impl Writers {
    /// So many connections, each with a pause between its commits.
    pub fn start(url: &str, connections: i64, pause: Duration) -> Writers {
        let stop = Arc::new(AtomicBool::new(false));
        let write = |n: i64| runtime().spawn(write(url.to_owned(), n * 1_000_000, pause, stop.clone()));
        Writers { tasks: (0..connections).map(write).collect(), stop }
    }

    /// Stops them; the ledger of all.
    pub fn stop(self) -> Vec<Rise> {
        self.stop.store(true, Ordering::Relaxed);
        let mut all = Vec::new();
        for task in self.tasks {
            all.extend(runtime().block_on(task).expect("a writer does not panic"));
        }
        all
    }
}

/// New rows rise at once; every third is lowered and raised again, in commits of their own.
async fn write(url: String, first: i64, pause: Duration, stop: Arc<AtomicBool>) -> Vec<Rise> {
    let mut conn = mysql_async::Conn::from_url(url).await.expect("the server lets a writer in");
    let mut rises = Vec::new();
    let mut next = tokio::time::Instant::now();
    let mut order = first;
    while !stop.load(Ordering::Relaxed) {
        order += 1;
        let insert = format!("INSERT INTO shop.orders VALUES ({order}, 150)");
        let lower = format!("UPDATE shop.orders SET amount = 50 WHERE id = {order}");
        let raise = format!("UPDATE shop.orders SET amount = 300 WHERE id = {order}");
        let statements = if order % 3 == 0 { vec![insert, lower, raise] } else { vec![insert] };
        for (n, statement) in statements.into_iter().enumerate() {
            let begun = SystemTime::now();
            conn.query_drop(statement).await.expect("a writer writes");
            let origin: Option<String> = conn.query_first("SELECT @@last_gtid").await.expect("a commit has a GTID");
            if n != 1 {
                rises.push(Rise { order, origin: origin.expect("one row"), begun });
            }
            next += pause;
            tokio::time::sleep_until(next).await;
        }
    }
    conn.disconnect().await.ok();
    rises
}
