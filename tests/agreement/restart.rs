//! P5 and P3 on the path through the store: an engine that is lost and recovered tells, epoch by epoch, what one that never stopped
//! tells, and every delivery stands in the outbox once.

use std::collections::BTreeMap;
use std::path::Path;

use proptest::prelude::*;
use thalweg::runtime::recover::recover;
use thalweg::sequencer::Batch;
use thalweg_graph::ports::{CommitBatch, OutboxRow, Store};
use thalweg_graph::{Epoch, Plan, Transaction};
use thalweg_store::{MemoryStore, SqliteStore, StoreConfig};

use super::history::{arb_history, definition};

/// What each epoch brought, ids of firings and timers included.
type Told = BTreeMap<Epoch, Vec<String>>;

fn tell(told: &mut Told, plan: &Plan, batch: &Batch) {
    let outcome = &batch.outcome;
    let mut say = |epoch: Epoch, text: String| told.entry(epoch).or_default().push(text);
    outcome.deltas.sorted().into_iter().for_each(|delta| say(delta.epoch, format!("{delta:?}")));
    outcome.fired.iter().for_each(|fired| say(fired.epoch, format!("{} {fired:?}", batch.effect_id(plan, fired, 0))));
    outcome.errors.iter().for_each(|error| say(error.epoch, format!("{error:?}")));
    outcome.timers.iter().for_each(|timer| say(timer.epoch, format!("{timer:?}")));
    outcome.appointments.iter().for_each(|appointment| say(appointment.epoch, format!("{appointment:?}")));
}

/// The batch as a commit, a delivery for each firing.
fn commit(plan: &Plan, batch: Batch) -> CommitBatch {
    let delivery = |fired: &thalweg_graph::outcome::Fired| OutboxRow {
        id: batch.effect_id(plan, fired, 0).into(),
        epoch: fired.epoch,
        node: fired.node.clone(),
        action: 0,
        key: format!("{:?}", fired.key).into(),
        version: fired.version,
        body: format!("{:?}", fired.payload).into_bytes().into(),
        settings: "{}".into(),
        manner: thalweg_graph::ports::Manner::default(),
    };
    let outbox = batch.outcome.fired.iter().map(delivery).collect();
    CommitBatch {
        first: batch.first,
        transactions: batch.transactions,
        positions: Vec::new(),
        outbox,
        timers: batch.armed,
        timers_done: batch.timers_done,
    }
}

/// A store that can be lost and opened again.
enum Disk<'a> {
    Memory(MemoryStore),
    Folder(Option<Box<SqliteStore>>, &'a Path, StoreConfig),
}

impl Disk<'_> {
    fn store(&mut self) -> &mut dyn Store {
        match self {
            Disk::Memory(store) => store,
            Disk::Folder(store, folder, config) => {
                &mut **store.get_or_insert_with(|| Box::new(SqliteStore::open(folder, config.clone()).expect("the store opens")))
            }
        }
    }

    fn crash(&mut self) {
        match self {
            Disk::Memory(store) => *store = std::mem::take(store).crash(),
            Disk::Folder(store, ..) => *store = None,
        }
    }
}

/// What comes between two batches.
#[derive(Clone, Copy, Debug)]
enum Between {
    Nothing,
    Snapshot,
    Crash,
}

fn arb_between() -> impl Strategy<Value = Vec<(usize, Between)>> {
    let between = prop_oneof![2 => Just(Between::Nothing), 1 => Just(Between::Snapshot), 2 => Just(Between::Crash)];
    prop::collection::vec((1usize..6, between), 1..8)
}

/// Takes the history in batches, is interrupted between them, and gives what was told and how the documents and the outbox stand.
fn run(history: &[Transaction], disk: &mut Disk<'_>, steps: &[(usize, Between)], workers: usize) -> (Told, String) {
    let (plan, _) = definition();
    let mut told = Told::new();
    let mut sequencer = recover(plan.clone(), workers, disk.store()).expect("the store is readable");
    // The transactions are a source that goes on after the last one that was committed.
    let taken = |disk: &mut Disk<'_>| {
        let mut taken = 0;
        let counted = &mut |_: Epoch, transaction: Transaction| taken += usize::from(&*transaction.source == "shop");
        disk.store().replay(0, counted).expect("the log is readable");
        taken
    };
    history.iter().for_each(|transaction| sequencer.offer(transaction.clone()));
    for (max, between) in steps.iter().cycle() {
        let Some(batch) = sequencer.batch(*max, true).expect("what is spilled is held") else { break };
        tell(&mut told, &plan, &batch);
        disk.store().commit(&commit(&plan, batch)).expect("the store takes it");
        match between {
            Between::Nothing => {}
            Between::Snapshot => disk.store().snapshot(&sequencer.engine().export()).expect("the store takes it"),
            Between::Crash => {
                disk.crash();
                sequencer = recover(plan.clone(), workers, disk.store()).expect("the store is readable");
                let rest = &history[taken(disk)..];
                rest.iter().for_each(|transaction| sequencer.offer(transaction.clone()));
            }
        }
    }
    let counts = disk.store().outbox_counts().expect("the outbox is readable");
    let state = format!("{:?}\n{:?}\n{counts:?}", sequencer.engine().documents(), sequencer.engine().export());
    (told, state)
}

fn agree(history: &[Transaction], disk: &mut Disk<'_>, steps: &[(usize, Between)], workers: usize) -> Result<(), TestCaseError> {
    let (_, config) = definition();
    let straight = run(history, &mut Disk::Memory(MemoryStore::new(config)), &[(1, Between::Nothing)], 1);
    let broken = run(history, disk, steps, workers);
    for epoch in straight.0.keys().chain(broken.0.keys()) {
        prop_assert_eq!(broken.0.get(epoch), straight.0.get(epoch), "epoch {}", epoch);
    }
    prop_assert_eq!(broken.1, straight.1);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_restart_changes_nothing(history in arb_history(), steps in arb_between(), workers in 1usize..3) {
        agree(&history, &mut Disk::Memory(MemoryStore::new(definition().1)), &steps, workers)?;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 8, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_restart_from_disk_changes_nothing(history in arb_history(), steps in arb_between()) {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        agree(&history, &mut Disk::Folder(None, folder.path(), definition().1), &steps, 1)?;
    }
}
