//! [`MemoryStore`]: the same port without a disk, for tests and simulation.
//!
//! What a commit brings is "durable" at once; [`MemoryStore::crash`] gives the store as it would be opened again, without anything
//! else that this one knew. Everything is kept plainly and looked for by walking: it is also the slow and obvious answer against which
//! the durable store is tested.

mod outbox;

use std::collections::BTreeMap;
use std::sync::Arc;

use thalweg_formulas::Timestamp;
use thalweg_graph::ports::{
    Act, Acted, CommitBatch, DeclaredKeys, DeclaredTypes, Digest, Listed, LogPart, OutboxCounts, OutboxFilter, OutboxRow,
    OutboxUpdate, Paused, PendingDelivery, Recovered, Settled, Shown, Store, StoreError, Timer,
};
use thalweg_graph::state::EngineState;
use thalweg_graph::transaction::{Body, Change, Epoch, Op, Schema, Transaction};

use crate::config::StoreConfig;
use crate::error::{ORDER, fatal, miscounted, unreadable};
use crate::fold::{Fold, TableRows};
use crate::sqlite::{commit::check_order, due, is_paused};

/// Changes in a part of a replay: so few that whoever reads meets parts.
const PART: usize = 2;

/// A store in memory.
#[derive(Clone, Default)]
pub struct MemoryStore {
    config: Arc<StoreConfig>,
    log: Vec<Transaction>,
    positions: BTreeMap<Arc<str>, String>,
    schemas: BTreeMap<Arc<str>, Arc<Schema>>,
    outbox: outbox::Outbox,
    timers: Vec<Timer>,
    snapshot: Option<(EngineState, Arc<[TableRows]>)>,
    chosen: bool,
    /// The error that the next write ends with.
    failing: Option<fn() -> StoreError>,
}

impl MemoryStore {
    /// An empty store.
    pub fn new(config: StoreConfig) -> MemoryStore {
        MemoryStore { config: Arc::new(config), ..MemoryStore::default() }
    }

    /// The process dies: the store as it is when opened again.
    pub fn crash(self) -> MemoryStore {
        MemoryStore { chosen: false, failing: None, ..self }
    }

    /// The next commit or update of the outbox writes nothing and ends with this error.
    pub fn fail_next_write(&mut self, error: fn() -> StoreError) {
        self.failing = Some(error);
    }

    fn epoch(&self) -> Epoch {
        self.log.len() as Epoch
    }

    fn check_deliveries(&self, batch: &CommitBatch) -> Result<(), StoreError> {
        let last = if batch.transactions.is_empty() { self.epoch() } else { batch.first + batch.transactions.len() as Epoch - 1 };
        let mut beyond: Vec<&OutboxRow> = batch.outbox.iter().filter(|row| row.epoch > last).collect();
        beyond.sort_by_key(|row| row.epoch);
        match beyond.first() {
            None => Ok(()),
            Some(row) => Err(fatal(
                ORDER,
                format!("broken invariant: a delivery of epoch {} in a commit that ends at epoch {last}", row.epoch),
            )),
        }
    }

    /// When a delivery of a batch fired.
    fn fired_at(&self, row: &OutboxRow, batch: &CommitBatch) -> Timestamp {
        let place = row.epoch.max(batch.first).checked_sub(batch.first);
        let at = place.and_then(|i| batch.transactions.get(i as usize)).map(|t| t.at);
        at.unwrap_or_else(|| self.recovered().at)
    }
}

/// The transaction with its changes in memory.
fn held(transaction: &Transaction) -> Result<Transaction, StoreError> {
    let Body::Spilled(spill) = &transaction.body else { return Ok(transaction.clone()) };
    let mut changes = Vec::new();
    let take = &mut |part| {
        changes.extend(part);
        true
    };
    spill.read(take).map_err(unreadable)?;
    if changes.len() as u64 != spill.changes() {
        return Err(miscounted(changes.len() as u64, spill.changes()));
    }
    Ok(Transaction { body: Body::Changes(changes), ..transaction.head() })
}

fn changes_of(transaction: &Transaction) -> &[Change] {
    match &transaction.body {
        Body::Changes(changes) | Body::Fill(changes) => changes,
        Body::Timer(_) => &[],
        Body::Spilled(_) => unreachable!("invariant: what is in the log is held"),
    }
}

impl Store for MemoryStore {
    fn declare(&mut self, keys: DeclaredKeys, types: DeclaredTypes) {
        self.config = Arc::new(StoreConfig { keys, types, ..StoreConfig::clone(&self.config) });
    }

    fn follow(&mut self, follower: Option<Arc<str>>) -> Result<(), StoreError> {
        match self.failing.take() {
            Some(error) => Err(error()),
            None => {
                self.outbox.follower = follower;
                Ok(())
            }
        }
    }

    fn recovered(&self) -> Recovered {
        Recovered {
            epoch: self.epoch(),
            at: self.log.iter().map(|t| t.at).max().unwrap_or_default().max(Timestamp(0)),
            positions: self.positions.clone().into_iter().collect(),
            schemas: self.schemas.values().cloned().collect(),
        }
    }

    fn snapshot_state(&mut self) -> Result<Option<EngineState>, StoreError> {
        self.chosen = self.snapshot.is_some();
        Ok(self.snapshot.as_ref().map(|(state, _)| state.clone()))
    }

    fn snapshot_rows(&mut self, rows: &mut dyn FnMut(Transaction)) -> Result<(), StoreError> {
        let tables = self.snapshot.iter().filter(|_| self.chosen).flat_map(|(_, tables)| tables.iter());
        for table in tables {
            let change = |row: &thalweg_graph::Row| Change {
                schema: table.schema.clone(),
                op: Op::Insert,
                key: None,
                before: None,
                after: Some(row.clone()),
            };
            let body = Body::Fill(table.rows.iter().map(change).collect());
            rows(Transaction { source: "".into(), origin: "snapshot".into(), at: Timestamp(0), body });
        }
        Ok(())
    }

    fn replay_parts(&mut self, epoch: Epoch, each: &mut dyn FnMut(LogPart)) -> Result<(), StoreError> {
        for (i, transaction) in self.log.iter().enumerate().skip(epoch as usize) {
            let epoch = i as Epoch + 1;
            let mut parts = changes_of(transaction).chunks(PART).peekable();
            if parts.len() < 2 {
                each(LogPart { epoch, transaction: transaction.clone(), more: false });
                continue;
            }
            while let Some(part) = parts.next() {
                let body = match transaction.body {
                    Body::Fill(_) => Body::Fill(part.to_vec()),
                    _ => Body::Changes(part.to_vec()),
                };
                each(LogPart { epoch, transaction: Transaction { body, ..transaction.head() }, more: parts.peek().is_some() });
            }
        }
        Ok(())
    }

    fn commit(&mut self, batch: &CommitBatch) -> Result<(), StoreError> {
        check_order(batch, self.epoch())?;
        self.check_deliveries(batch)?;
        if let Some(error) = self.failing.take() {
            return Err(error());
        }
        let transactions = batch.transactions.iter().map(held).collect::<Result<Vec<_>, _>>()?;
        let mut rows: Vec<&OutboxRow> = batch.outbox.iter().collect();
        rows.sort_by_key(|row| row.epoch);
        for row in rows {
            let fired_at = self.fired_at(row, batch);
            self.outbox.fire(row, fired_at);
        }
        for change in transactions.iter().flat_map(changes_of) {
            self.schemas.insert(change.schema.table.clone(), change.schema.clone());
        }
        self.log.extend(transactions);
        self.positions.extend(batch.positions.iter().cloned());
        if let Some((_, position)) = batch.positions.iter().rfind(|(source, _)| Some(source) == self.outbox.follower.as_ref()) {
            self.outbox.trim_settled(position);
        }
        for timer in &batch.timers {
            if self.timers.iter().all(|known| known.id != timer.id) {
                self.timers.push(timer.clone());
            }
        }
        self.timers.retain(|timer| !batch.timers_done.contains(&timer.id));
        self.timers.sort_by(|a, b| (a.due, &a.id).cmp(&(b.due, &b.id)));
        Ok(())
    }

    fn update_outbox(&mut self, updates: &[OutboxUpdate]) -> Result<(), StoreError> {
        if let Some(unknown) = updates.iter().find(|update| self.outbox.place(&update.id).is_none()) {
            return Err(fatal(ORDER, format!("broken invariant: delivery {} is not in the outbox", unknown.id)));
        }
        if let Some(error) = self.failing.take().filter(|_| !updates.is_empty()) {
            return Err(error());
        }
        updates.iter().for_each(|update| self.outbox.update(update));
        Ok(())
    }

    fn due_deliveries_except(
        &mut self,
        now: Timestamp,
        limit: usize,
        in_flight: &dyn Fn(&str) -> bool,
        busy: &dyn Fn(&str, u32) -> bool,
    ) -> Result<Vec<PendingDelivery>, StoreError> {
        let paused = &self.outbox.paused;
        let out = |d: &PendingDelivery| {
            in_flight(&d.row.id) || busy(&d.row.node, d.row.action) || is_paused(paused, &d.row.node, d.row.action)
        };
        let waiting: Vec<PendingDelivery> = self.outbox.heads().into_iter().filter(|d| !out(d)).collect();
        let fresh = waiting.iter().filter(|d| d.not_before == Timestamp(0)).take(limit).cloned().collect();
        let mut deferred: Vec<PendingDelivery> =
            waiting.iter().filter(|d| d.not_before > Timestamp(0) && d.not_before <= now).cloned().collect();
        deferred.sort_by_key(|d| d.not_before);
        Ok(due::merge(fresh, deferred, limit))
    }

    fn gather(&mut self, id: &str, digest: &Digest, at: Timestamp) -> Result<Vec<OutboxRow>, StoreError> {
        let place = self.outbox.place(id);
        let place = place.ok_or_else(|| fatal(ORDER, format!("broken invariant: delivery {id} is not in the outbox")))?;
        match self.failing.take() {
            Some(error) => Err(error()),
            None => Ok(self.outbox.gather(place, digest, at)),
        }
    }

    fn next_delivery_at(&mut self) -> Result<Option<Timestamp>, StoreError> {
        Ok(self.outbox.heads().iter().map(|d| d.not_before).min())
    }

    fn next_delivery_after(&mut self, now: Timestamp) -> Result<Option<Timestamp>, StoreError> {
        Ok(self.outbox.heads().iter().map(|d| d.not_before).filter(|at| *at > now && *at > Timestamp(0)).min())
    }

    fn act(&mut self, act: &Act, at: Timestamp) -> Result<Acted, StoreError> {
        match self.failing.take() {
            Some(error) => Err(error()),
            None => Ok(self.outbox.act(act, at)),
        }
    }

    fn paused(&self) -> Vec<Paused> {
        self.outbox.paused.clone()
    }

    fn deliveries(&mut self, filter: &OutboxFilter) -> Result<Vec<Listed>, StoreError> {
        Ok(self.outbox.list(filter))
    }

    fn delivery(&mut self, id: &str) -> Result<Option<Shown>, StoreError> {
        Ok(self.outbox.show(id))
    }

    fn settled(&mut self, after: u64, limit: usize) -> Result<Vec<Settled>, StoreError> {
        Ok(self.outbox.settled(after, limit))
    }

    fn timers(&mut self) -> Result<Vec<Timer>, StoreError> {
        Ok(self.timers.clone())
    }

    fn outbox_counts(&mut self) -> Result<OutboxCounts, StoreError> {
        Ok(self.outbox.counts())
    }

    fn snapshot(&mut self, state: &EngineState) -> Result<(), StoreError> {
        if state.epoch > self.epoch() {
            return Err(fatal(
                ORDER,
                format!("broken invariant: a snapshot at epoch {}, and {} was the last commit", state.epoch, self.epoch()),
            ));
        }
        let mut fold = Fold::new(self.config.clone());
        self.log[..state.epoch as usize].iter().cloned().for_each(|transaction| fold.transaction(transaction));
        self.snapshot = Some((state.clone(), fold.into_tables().collect()));
        Ok(())
    }
}
