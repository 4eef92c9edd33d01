//! From transactions to the workers that own their documents, and back.
//!
//! The driver numbers epochs, finds each change's document and hands every worker its share of a batch.
//!
//! A transaction can also be **staged**: it is a batch of its own, whose changes are folded part by part before the batch runs
//! ([`Driver::begin`], [`Driver::stage`], [`Driver::finish`]). So is one that is too large to be held, and one with a change of key between
//! two workers: that needs to know the stored row of one, with the changes before it, before the other can act.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use thalweg_formulas::{Cell, Error, Timestamp, Value};
use thalweg_graph::outcome::{Deltas, Document, ErrorChange, NodeStats};
use thalweg_graph::plan::TableId;
use thalweg_graph::state::EngineState;
use thalweg_graph::transaction::Body;
use thalweg_graph::{Change, Epoch, Op, Outcome, Plan, Transaction};

use crate::context::{Batch, EpochInfo};
use crate::engine::{Options, Standing};
use crate::fit;
use crate::intake::mapping::verb;
use crate::intake::{Arrival, Mapping, MappingId, Router, What, errors};
use crate::memory::condition_name;
use crate::names::Target;
use crate::outcome;
use crate::region::moments::Moment;
use crate::shard::{Ingress, Shard};
use crate::state::{KeyBuf, KeyHash};
use crate::wiring::local::Local;
use crate::wiring::threads::Threads;

/// Transactions of fewer changes are handed over change by change.
const SORTED_MIN: usize = 8;

/// Where the shards run.
enum Host {
    /// In the caller's thread.
    Local(Box<Local>),
    /// In timely's threads.
    Threads(Threads),
}

/// Routes transactions to shards.
pub struct Driver {
    pub(crate) plan: Arc<Plan>,
    pub(crate) router: Router,
    host: Host,
    /// By worker: how many mappings it knows.
    taught: Vec<usize>,
    /// A restart is bringing rows back.
    restoring: bool,
    started: bool,
    staging: Option<Staging>,
    /// The lazy fields that are kept, by their places in the plan.
    followed: BTreeSet<u32>,
}

/// A transaction that is being staged.
struct Staging {
    batch: Batch,
    /// What has come of it so far: errors of changes of key.
    all: Outcome,
}

/// A batch while it is being filled.
struct Open {
    first: Epoch,
    infos: Vec<EpochInfo>,
    /// By worker.
    arrivals: Vec<Vec<Arrival>>,
    thaw: bool,
}

impl Open {
    fn new(first: Epoch, workers: usize) -> Open {
        Open { first, infos: Vec::new(), arrivals: vec![Vec::new(); workers], thaw: false }
    }
}

impl Driver {
    /// Shards for `plan`, as `options` say.
    pub fn new(plan: Arc<Plan>, options: &Options) -> Driver {
        let workers = options.workers.max(1);
        let host = match workers {
            1 => Host::Local(Box::new(Local::new(Shard::new(plan.clone(), options, 0)))),
            _ => Host::Threads(Threads::new(&plan, options)),
        };
        let router = Router::new(plan.clone());
        let (taught, followed) = (vec![0; workers], BTreeSet::new());
        Driver { plan, router, host, taught, restoring: false, started: false, staging: None, followed }
    }

    pub(crate) fn workers(&self) -> usize {
        self.taught.len()
    }

    /// Runs transactions as the epochs from `first`.
    pub fn run(&mut self, first: Epoch, transactions: &mut Vec<Transaction>) -> Outcome {
        let mut all = Outcome::default();
        if self.restoring && transactions.iter().any(|transaction| !matches!(transaction.body, Body::Fill(_))) {
            all = self.thaw(first.saturating_sub(1));
        }
        let mut open = Open::new(first, self.workers());
        open.infos.reserve(transactions.len());
        if self.workers() == 1 {
            open.arrivals[0].reserve(transactions.len());
        }
        for (epoch, transaction) in (first..).zip(transactions.drain(..)) {
            if matches!(transaction.body, Body::Spilled(_)) || self.workers() > 1 && self.crosses(&transaction) {
                let whole = std::mem::replace(&mut open, Open::new(epoch + 1, self.workers()));
                self.close(whole, &mut all);
                outcome::merge(&mut all, self.run_alone(epoch, transaction));
            } else {
                self.add(epoch, transaction, &mut open);
            }
        }
        self.close(open, &mut all);
        all
    }

    /// One transaction as a batch of its own: its changes are folded in their order, so that a change of key sees those before it.
    fn run_alone(&mut self, epoch: Epoch, transaction: Transaction) -> Outcome {
        let large = matches!(transaction.body, Body::Spilled(_));
        self.begin(epoch, EpochInfo { large, ..EpochInfo::of(&transaction) });
        match transaction.body {
            Body::Changes(changes) | Body::Fill(changes) => self.stage(changes),
            Body::Spilled(spill) => {
                let read = spill.read(&mut |part| {
                    self.stage(part);
                    true
                });
                read.unwrap_or_else(|why| panic!("what is pushed can be read (else it is staged by its owner): {why}"));
            }
            Body::Timer(_) => {}
        }
        self.finish()
    }

    /// Opens the epoch of a transaction that is staged.
    pub fn begin(&mut self, epoch: Epoch, info: EpochInfo) {
        let thaws = self.restoring && !info.fill;
        let all = if thaws { self.thaw(epoch.saturating_sub(1)) } else { Outcome::default() };
        self.staging = Some(Staging { batch: Batch { first: epoch, infos: Arc::new(vec![info]) }, all });
    }

    /// Whether a transaction is being staged.
    pub fn is_staging(&self) -> bool {
        self.staging.is_some()
    }

    /// Folds the next changes of the staged transaction.
    pub fn stage(&mut self, changes: Vec<Change>) {
        let mut staging = self.staging.take().expect("invariant: what is staged was begun");
        let (batch, workers) = (staging.batch.clone(), self.workers());
        let mut open = Open::new(batch.first, workers);
        let mut changes = changes.into_iter();
        if let Some(id) = self.one_mapping(changes.as_slice()).filter(|_| !batch.infos[0].fill) {
            let table = self.router.mappings()[id as usize].table;
            open.arrivals[0].push(Arrival { epoch: batch.first, table, what: What::Changes(id, changes.by_ref().collect()) });
        }
        for change in changes {
            self.stage_change(change, &mut open, &mut staging);
        }
        self.hand_over(&batch, &mut open);
        self.staging = Some(staging);
    }

    /// Runs the staged transaction: its epoch is closed.
    pub fn finish(&mut self) -> Outcome {
        let Staging { batch, mut all } = self.staging.take().expect("invariant: what is finished was begun");
        let infos = batch.infos.to_vec();
        self.close(Open { infos, ..Open::new(batch.first, self.workers()) }, &mut all);
        all
    }

    /// Ends a restart: all rows are there. What moves by it belongs to `epoch`, as a fill does.
    pub fn thaw(&mut self, epoch: Epoch) -> Outcome {
        let mut all = Outcome::default();
        if std::mem::take(&mut self.restoring) {
            // The first of the two brings the global document back if no row has.
            for thaw in [false, true] {
                let open = Open { infos: vec![filled()], thaw, ..Open::new(epoch, self.workers()) };
                self.close(open, &mut all);
            }
            (0..self.workers()).for_each(|worker| self.with(worker, Shard::thawed));
        }
        all
    }

    /// Ends a replacement whose rows were moved: new group edges are told, in an epoch that is closed and in which nothing fires.
    pub fn hydrate(&mut self, epoch: Epoch) {
        let open = Open { infos: vec![filled()], ..Open::new(epoch, self.workers()) };
        self.close(open, &mut Outcome::default());
        (0..self.workers()).for_each(|worker| self.with(worker, Shard::adopted));
    }

    /// Rows of a restart, as a fill of `epoch`; gives those that are refused.
    pub fn fill(&mut self, epoch: Epoch, changes: Vec<Change>) -> Vec<ErrorChange> {
        let mut open = Open { infos: vec![filled()], ..Open::new(epoch, self.workers()) };
        changes.into_iter().for_each(|change| self.add_change(epoch, change, &mut open));
        let mut outcome = Outcome::default();
        self.close(open, &mut outcome);
        outcome.errors.retain(|error| self.plan.tables.iter().any(|table| table.name == error.node));
        outcome.errors
    }

    /// The same for rows of one table, in the layout that the router has learned for it last.
    pub fn fill_table(&mut self, epoch: Epoch, table: TableId, changes: Vec<Change>) {
        let (workers, id) = (self.workers(), self.router.mappings().len() - 1);
        let mut sorted = vec![Vec::new(); workers];
        for change in changes {
            sorted[owner(&self.router.mappings()[id], &change, workers)].push(change);
        }
        let mut open = Open { infos: vec![filled()], ..Open::new(epoch, workers) };
        for (worker, changes) in sorted.into_iter().enumerate().filter(|(_, changes)| !changes.is_empty()) {
            open.arrivals[worker].push(Arrival { epoch, table, what: What::Changes(id as MappingId, changes) });
        }
        self.close(open, &mut Outcome::default());
    }

    /// Puts a transaction's changes where their documents live.
    fn add(&mut self, epoch: Epoch, transaction: Transaction, open: &mut Open) {
        let Transaction { origin, at, body, .. } = transaction;
        let moment = if let Body::Timer(timer) = &body { Moment::of(&self.plan, timer) } else { None };
        open.infos.push(EpochInfo { at, origin, fill: matches!(body, Body::Fill(_)), large: false, moment });
        match body {
            Body::Changes(changes) | Body::Fill(changes) => match self.one_mapping(&changes) {
                Some(id) => {
                    let (table, what) = (self.router.mappings()[id as usize].table, What::Changes(id, changes));
                    open.arrivals[0].push(Arrival { epoch, table, what });
                }
                None => {
                    let rest = if changes.len() < SORTED_MIN { Err(changes) } else { self.add_sorted(epoch, changes, open) };
                    rest.err().into_iter().flatten().for_each(|change| self.add_change(epoch, change, open));
                }
            },
            Body::Spilled(_) => unreachable!("invariant: a spilled transaction is a batch of its own"),
            Body::Timer(timer) => {
                let Some(table) = self.plan.tables.iter().position(|table| table.name == timer.table) else { return };
                let owner = KeyHash::of(&timer.key).owner(self.workers());
                let table = TableId(table as u32);
                let each_row = timer.key.is_empty() && self.plan.schedules.iter().any(|s| s.each_row && s.table == table);
                let (workers, timer) = (if each_row { 0..self.workers() } else { owner..owner + 1 }, Arc::new(timer));
                for worker in workers {
                    open.arrivals[worker].push(Arrival { epoch, table, what: What::Timer(timer.clone()) });
                }
            }
        }
    }

    /// The mapping of all changes of a transaction, where they have one layout, feed one table and belong to one worker.
    fn one_mapping(&mut self, changes: &[Change]) -> Option<MappingId> {
        let (first, rest) = changes.split_first().filter(|_| self.workers() == 1)?;
        if !rest.iter().all(|change| Arc::ptr_eq(&change.schema, &first.schema)) {
            return None;
        }
        match self.router.mappings_of(&first.schema) {
            [id] => Some(*id),
            _ => None,
        }
    }

    /// Hands a transaction over sorted by worker and table, so that each home takes all that is its own at once; gives the changes back where
    /// that may not be. It may where each change feeds one table at most and all of a table come in one layout: changes of two tables never
    /// meet in their homes, so between them the order does not count.
    fn add_sorted(&mut self, epoch: Epoch, mut changes: Vec<Change>, open: &mut Open) -> Result<(), Vec<Change>> {
        let (workers, tables) = (self.workers(), self.plan.tables.len());
        let mut mappings: Vec<Option<MappingId>> = vec![None; tables];
        let (mut places, mut counts) = (Vec::with_capacity(changes.len()), vec![0; workers * tables + 1]);
        for change in &changes {
            let place = match *self.router.mappings_of(&change.schema) {
                [] => workers * tables,
                [id] => {
                    let mapping = &self.router.mappings()[id as usize];
                    let table = mapping.table.0 as usize;
                    if *mappings[table].get_or_insert(id) != id {
                        return Err(changes);
                    }
                    owner(mapping, change, workers) * tables + table
                }
                _ => return Err(changes),
            };
            places.push(place as u32);
            counts[place] += 1;
        }
        // Most are of one table: those stay where they are.
        let most = (0..workers * tables).max_by_key(|place| counts[*place]).unwrap_or_default();
        let mut sorted: Vec<Vec<Change>> = vec![Vec::new(); counts.len()];
        let mut at = places.iter();
        let others = changes.extract_if(.., |_| at.next().is_some_and(|place| *place as usize != most));
        let to = places.iter().map(|place| *place as usize).filter(|place| *place != most);
        others.zip(to).for_each(|(change, place)| sorted[place].push(change));
        sorted[most] = changes;
        for (at, changes) in sorted.into_iter().enumerate().take(workers * tables).filter(|(_, changes)| !changes.is_empty()) {
            let (worker, table) = (at / tables, at % tables);
            let id = mappings[table].expect("invariant: a table that is fed has a mapping");
            open.arrivals[worker].push(Arrival { epoch, table: TableId(table as u32), what: What::Changes(id, changes) });
        }
        Ok(())
    }

    fn add_change(&mut self, epoch: Epoch, change: Change, open: &mut Open) {
        let workers = self.workers();
        let [more @ .., last] = self.router.mappings_of(&change.schema) else { return };
        let (more, last) = (smallvec::SmallVec::<[MappingId; 2]>::from_slice(more), *last);
        for id in more {
            let mapping = &self.router.mappings()[id as usize];
            let (table, owner) = (mapping.table, owner(mapping, &change, workers));
            open.arrivals[owner].push(Arrival { epoch, table, what: What::Change(id, change.clone()) });
        }
        let mapping = &self.router.mappings()[last as usize];
        let (table, owner) = (mapping.table, owner(mapping, &change, workers));
        open.arrivals[owner].push(Arrival { epoch, table, what: What::Change(last, change) });
    }

    /// Runs what is open; nothing if no epoch is.
    fn close(&mut self, open: Open, all: &mut Outcome) {
        if open.infos.is_empty() {
            return;
        }
        self.started = true;
        let batch = Batch { first: open.first, infos: Arc::new(open.infos) };
        let (thaw, ingress) = (open.thaw, open.arrivals.into_iter().enumerate());
        let ingress: Vec<Ingress> = ingress
            .map(|(worker, arrivals)| Ingress { batch: batch.clone(), mappings: self.lesson(worker), arrivals, thaw })
            .collect();
        let part = match &mut self.host {
            Host::Local(local) => ingress.into_iter().map(|ingress| local.run(ingress)).next_back().unwrap_or_default(),
            Host::Threads(threads) => threads.run(ingress),
        };
        outcome::merge(all, part);
    }

    /// The mappings that a worker does not know yet.
    fn lesson(&mut self, worker: usize) -> Vec<Arc<Mapping>> {
        let known = std::mem::replace(&mut self.taught[worker], self.router.mappings().len());
        self.router.mappings()[known..].to_vec()
    }

    /// Whether a change of the transaction takes a document from one worker to another.
    fn crosses(&mut self, transaction: &Transaction) -> bool {
        let (Body::Changes(changes) | Body::Fill(changes)) = &transaction.body else { return false };
        changes.iter().filter(|change| matches!(change.op, Op::Update | Op::Upsert)).any(|change| {
            let ids = self.router.mappings_of(&change.schema).to_vec();
            ids.iter().any(|id| self.crossing(*id, change).is_some())
        })
    }

    /// The two keys of a change that takes a document from one worker to another.
    fn crossing(&self, id: MappingId, change: &Change) -> Option<(KeyBuf, KeyBuf)> {
        let identity = self.router.mappings()[id as usize].identity(change).ok()?;
        let to = identity.moved_to?;
        let of = |key: &KeyBuf| KeyHash::of(key).owner(self.workers());
        (of(&identity.key) != of(&to)).then_some((identity.key, to))
    }

    /// One change of the staged transaction: to its worker with the others, or by itself where it takes its document to another worker.
    fn stage_change(&mut self, change: Change, open: &mut Open, staging: &mut Staging) {
        let epoch = staging.batch.first;
        let crosses = |driver: &mut Driver| {
            let ids = driver.router.mappings_of(&change.schema).to_vec();
            ids.iter().any(|id| driver.crossing(*id, &change).is_some())
        };
        if self.workers() == 1 || !matches!(change.op, Op::Update | Op::Upsert) || !crosses(self) {
            return self.add_change(epoch, change, open);
        }
        // It must see what comes before it.
        self.hand_over(&staging.batch, open);
        for id in self.router.mappings_of(&change.schema).to_vec() {
            let Some((from, to)) = self.crossing(id, &change) else {
                let mapping = &self.router.mappings()[id as usize];
                let (table, owner) = (mapping.table, owner(mapping, &change, self.workers()));
                open.arrivals[owner].push(Arrival { epoch, table, what: What::Change(id, change.clone()) });
                continue;
            };
            if let Err(error) = self.change_key(&staging.batch, id, &from, &to, change.clone()) {
                staging.all.counts.changes += 1;
                let node = self.plan.tables[self.router.mappings()[id as usize].table.0 as usize].name.clone();
                staging.all.errors.push(ErrorChange { epoch, node, key: from.as_slice().into(), error, cleared: false });
            }
        }
    }

    /// Gives every worker what is collected for it.
    fn hand_over(&mut self, batch: &Batch, open: &mut Open) {
        for worker in 0..self.workers() {
            let arrivals = std::mem::take(&mut open.arrivals[worker]);
            if !arrivals.is_empty() {
                let (batch, mappings) = (batch.clone(), self.lesson(worker));
                self.with(worker, move |shard| shard.stage(batch, mappings, arrivals));
            }
        }
    }

    fn stage_one(&mut self, batch: &Batch, worker: usize, id: MappingId, what: What) {
        let (batch, mappings) = (batch.clone(), self.lesson(worker));
        let (epoch, table) = (batch.first, self.router.mappings()[id as usize].table);
        self.with(worker, move |shard| shard.stage(batch, mappings, vec![Arrival { epoch, table, what }]));
    }

    /// A change of key between workers, as [`crate::region`] does one within a worker.
    fn change_key(&mut self, batch: &Batch, id: MappingId, from: &KeyBuf, to: &KeyBuf, mut change: Change) -> Result<(), Error> {
        let mapping = self.router.mappings()[id as usize].clone();
        let [giver, taker] = [from, to].map(|key| KeyHash::of(key).owner(self.workers()));
        let Some(mut image) = self.peek(batch, giver, id, from) else {
            if change.op != Op::Upsert {
                return Err(errors::missing(verb(change.op)));
            }
            change.key = Some(to.iter().cloned().collect());
            self.stage_one(batch, taker, id, What::Change(id, change));
            return Ok(());
        };
        if !mapping.key.multiset && self.peek(batch, taker, id, to).is_some() {
            return Err(errors::key_taken());
        }
        let mut after = change.after.ok_or_else(|| errors::no_image(verb(change.op), "after"))?;
        mapping.coerce(&mut after)?;
        mapping.overlay(&mut image, &after, to);
        self.stage_one(batch, giver, id, What::Take(id, Box::new((from.clone(), change.before))));
        self.stage_one(batch, taker, id, What::Place(id, Box::new((to.clone(), image))));
        Ok(())
    }

    fn peek(&mut self, batch: &Batch, worker: usize, id: MappingId, key: &KeyBuf) -> Option<crate::intake::Image> {
        let (batch, mappings, key) = (batch.clone(), self.lesson(worker), key.clone());
        self.with(worker, move |shard| shard.peek(batch, mappings, id, &key))
    }

    pub(crate) fn with<R>(&mut self, worker: usize, f: impl FnOnce(&mut Shard) -> R) -> R {
        match &mut self.host {
            Host::Local(local) => f(&mut local.shard()),
            Host::Threads(threads) => f(&mut threads.shard(worker)),
        }
    }

    /// Takes back deltas for their memory. With several workers nobody could use it: each makes its own, and they are brought together.
    pub fn recycle(&mut self, deltas: Deltas) {
        if let Host::Local(local) = &self.host {
            local.shard().recycle(deltas);
        }
    }

    /// Whether fills report deltas.
    pub fn report_fills(&mut self, wanted: bool) {
        (0..self.workers()).for_each(|worker| self.with(worker, move |shard| shard.report_fills(wanted)));
    }

    /// Gives every worker what it must remember of its documents. Where the key alone does not tell the worker, as for the rows of a table
    /// without a key, every worker gets it: only the one that has the document uses it. What the plan has no place for is left out: the state may
    /// be that of another definition.
    pub fn import(&mut self, mut state: EngineState) {
        fit::fit(&self.plan, &mut state);
        self.restoring = true;
        let (workers, keyed) = (self.workers(), keyed_rules(&self.plan));
        let owners = |name: &Arc<str>, key: &[Value]| match keyed.get(name) {
            Some(true) => KeyHash::of(key).owner(workers)..KeyHash::of(key).owner(workers) + 1,
            _ => 0..workers,
        };
        let mut parts = vec![EngineState::default(); workers];
        for entry in &state.selves {
            parts[owners(&entry.0, &entry.1)].iter_mut().for_each(|part| part.selves.push(entry.clone()));
        }
        for entry in &state.held {
            parts[owners(&entry.0, &entry.1)].iter_mut().for_each(|part| part.held.push(entry.clone()));
        }
        for entry in &state.triggers {
            parts[owners(&entry.0, &entry.1)].iter_mut().for_each(|part| part.triggers.push(entry.clone()));
        }
        for (worker, part) in parts.into_iter().enumerate() {
            self.with(worker, move |shard| shard.import(part));
        }
        if !self.plan.watermarks.is_empty() {
            // Windows that do not change any more are there before the rows, which are told to them in vain.
            let open = Open { infos: vec![filled()], ..Open::new(state.epoch, self.workers()) };
            self.close(open, &mut Outcome::default());
        }
    }

    /// What rows cannot rebuild, in no order.
    pub fn export(&mut self) -> EngineState {
        let mut state = EngineState::default();
        for worker in 0..self.workers() {
            let part = self.with(worker, |shard| {
                let mut part = EngineState::default();
                shard.export(&mut part);
                part
            });
            state.selves.extend(part.selves);
            state.triggers.extend(part.triggers);
            state.held.extend(part.held);
        }
        // A count that every worker was given has gone on with one of them.
        state.triggers.sort_by(|a, b| (&a.0, &a.1).cmp(&(&b.0, &b.1)).then(b.2.cmp(&a.2)));
        state.triggers.dedup_by(|later, first| (&later.0, &later.1) == (&first.0, &first.1));
        state
    }

    /// A field or column of one document.
    pub fn read(&mut self, target: Target, key: &[Value]) -> Option<Cell> {
        let key: KeyBuf = key.into();
        (0..self.workers()).find_map(|worker| {
            let (target, key) = (target.clone(), key.clone());
            self.with(worker, move |shard| shard.read(&target, &key))
        })
    }

    /// A table's documents, in no order.
    pub fn rows(&mut self, table: TableId, targets: &Arc<[Option<Target>]>) -> Vec<Standing> {
        let of = |targets: Arc<[Option<Target>]>| move |shard: &mut Shard| shard.rows(table, &targets);
        (0..self.workers()).flat_map(|worker| self.with(worker, of(targets.clone()))).collect()
    }

    /// Keeps these fields of those that would wait to be asked, and no others.
    pub fn follow(&mut self, fields: BTreeSet<u32>) {
        self.followed = fields;
        let fields = Arc::new(self.followed.clone());
        for worker in 0..self.workers() {
            let fields = fields.clone();
            self.with(worker, move |shard| shard.follow(&fields));
        }
    }

    /// The lazy fields that are kept, as the fields of the same names in another plan.
    pub fn followed_in(&self, plan: &Plan) -> BTreeSet<u32> {
        let name = |at: &u32| &self.plan.fields[*at as usize].name;
        self.followed.iter().filter_map(|at| Some(plan.field(name(at))?.0.0)).collect()
    }

    /// The times for which documents wait, in no order.
    pub fn appointments(&mut self) -> Vec<Timestamp> {
        (0..self.workers()).flat_map(|worker| self.with(worker, |shard| shard.appointments())).collect()
    }

    /// All documents, in no order.
    pub fn documents(&mut self) -> Vec<Document> {
        (0..self.workers()).flat_map(|worker| self.with(worker, |shard| shard.documents())).collect()
    }

    /// Whether any epoch has been closed.
    pub fn has_started(&self) -> bool {
        self.started
    }

    /// The documents that are there without any row.
    pub fn unborn(&self) -> Vec<Document> {
        let mut blank = Driver::new(self.plan.clone(), &Options::default());
        let (info, mut outcome) = (filled(), Outcome::default());
        blank.close(Open { infos: vec![info], ..Open::new(1, 1) }, &mut outcome);
        blank.documents()
    }

    /// A table's key columns, once they are known.
    pub fn key_names(&self, table: TableId) -> Option<Arc<[Arc<str>]>> {
        self.router.key(table).map(|key| key.names.clone())
    }

    /// Each node's sizes and costs, added up over the workers.
    pub fn stats(&mut self) -> Vec<NodeStats> {
        let mut all = self.with(0, |shard| shard.stats());
        for worker in 1..self.workers() {
            for (sum, part) in all.iter_mut().zip(self.with(worker, |shard| shard.stats())) {
                sum.rows += part.rows;
                sum.state_bytes += part.state_bytes;
                sum.rows_touched += part.rows_touched;
            }
        }
        all
    }
}

/// Fields, effects, their conditions and reactions by name: whether the tables of all that bear it have a declared key.
fn keyed_rules(plan: &Plan) -> HashMap<Arc<str>, bool> {
    let fields = plan.fields.iter().map(|field| (field.name.clone(), field.table));
    let effects = plan.effects.iter().map(|effect| (effect.name.clone(), effect.table));
    let conditions = plan.effects.iter().map(|effect| (condition_name(&effect.name), effect.table));
    let reactions = plan.reactions.iter().map(|reaction| (reaction.name.clone(), reaction.table));
    let mut keyed = HashMap::new();
    for (name, table) in fields.chain(effects).chain(conditions).chain(reactions) {
        let declared = plan.tables[table.0 as usize].key.as_ref().is_some_and(|key| !key.is_empty());
        keyed.entry(name).and_modify(|all| *all &= declared).or_insert(declared);
    }
    keyed
}

/// An epoch without a transaction, in which nothing fires.
fn filled() -> EpochInfo {
    EpochInfo { at: Timestamp::default(), origin: "".into(), fill: true, large: false, moment: None }
}

/// The worker of the document that a change is about; a change that names none is refused on the first.
fn owner(mapping: &Mapping, change: &Change, workers: usize) -> usize {
    if workers == 1 {
        return 0;
    }
    mapping.identity(change).map_or(0, |identity| KeyHash::of(&identity.key).owner(workers))
}
