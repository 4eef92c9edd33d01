//! The demonstration shop: customers, products, orders with items; made up, endless, and the same for the same seed.
//!
//! Transactions look as a database would tell them: whole, with full images before and after, tables called `shop.orders`. The number
//! of live orders is bounded, stock never falls below zero, and what an order takes from stock its cancelling gives back.
//!
//! The position is the number of transactions handed over. Starting again makes the shop anew up to there, silently: the same seed
//! gives the same shop, so nothing has to be stored.
//!
//! Next to read: `shop`, which decides what happens.

mod rng;
mod shop;
mod tables;

use std::sync::Arc;
use std::time::Duration;

use thalweg_formulas::Timestamp;
use thalweg_graph::ports::{BoxFuture, Outlet, Source, SourceMessage, SourceStatus};
use thalweg_graph::transaction::{Body, Transaction};
use thalweg_graph::{Change, Schema};

pub use shop::Shop;

/// How often the source wakes up to hand over what is due.
const PULSE: Duration = Duration::from_millis(10);

/// The shop as a source.
#[derive(Debug)]
pub struct GenerateSource {
    name: Arc<str>,
    rows_per_s: u32,
    seed: u64,
    start: Timestamp,
}

impl GenerateSource {
    /// A shop with `seed` that changes `rows_per_s` rows a second (at least one); its first transaction is at `start`, so time is the
    /// caller's and not this room's.
    pub fn new(name: impl Into<Arc<str>>, rows_per_s: u32, seed: u64, start: Timestamp) -> GenerateSource {
        GenerateSource { name: name.into(), rows_per_s: rows_per_s.max(1), seed, start }
    }

    /// The tables that it tells of.
    pub fn schemas() -> Vec<Arc<Schema>> {
        tables::Tables::new().all()
    }
}

impl Source for GenerateSource {
    fn name(&self) -> &str {
        &self.name
    }

    fn run(self: Box<Self>, position: Option<String>, outlet: Arc<dyn Outlet>) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            let mut shop = Shop::new(self.seed);
            let done: u64 = position.and_then(|position| position.parse().ok()).unwrap_or(0);
            (0..done).for_each(|_| drop(shop.next_changes()));
            if !outlet.send(SourceMessage::Schemas(shop.schemas())).await {
                return;
            }
            if outlet.send(SourceMessage::Status(SourceStatus::Live(true))).await {
                self.pace(shop, done, outlet).await;
            }
        })
    }
}

impl GenerateSource {
    /// Hands over transactions so that rows come at the rate asked for.
    async fn pace(&self, mut shop: Shop, mut number: u64, outlet: Arc<dyn Outlet>) {
        let began = tokio::time::Instant::now();
        // The stock of goods and customers comes at once; the rate is for what happens afterwards.
        let mut rows: u64 = 0;
        loop {
            let due = (began.elapsed().as_micros() as u64).saturating_mul(self.rows_per_s.into()) / 1_000_000;
            while rows <= due {
                let opening = number == 0;
                let changes = shop.next_changes();
                number += 1;
                let at = Timestamp(self.start.0 + (rows * 1_000_000 / u64::from(self.rows_per_s)) as i64);
                rows += if opening { 0 } else { changes.len() as u64 };
                let transaction = self.transaction(number, at, changes);
                if !outlet.send(SourceMessage::Transaction(transaction, number.to_string().into())).await {
                    return;
                }
            }
            tokio::time::sleep(PULSE).await;
        }
    }

    fn transaction(&self, number: u64, at: Timestamp, changes: Vec<Change>) -> Transaction {
        let origin = format!("{}-{}-{number}", self.name, self.seed).into();
        Transaction { source: self.name.clone(), origin, at, body: Body::Changes(changes) }
    }
}

#[cfg(test)]
mod tests;
