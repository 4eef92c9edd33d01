//! Random histories on the durable store and on the plain one: every answer the same, after every step.

use proptest::prelude::*;
use thalweg_formulas::Timestamp;
use thalweg_graph::ports::{CommitBatch, OutboxState, Store};
use thalweg_graph::state::EngineState;
use thalweg_store::MemoryStore;

use crate::support::*;

#[derive(Clone, Debug)]
enum Step {
    /// Epochs to commit, and deliveries: (id, epoch within the batch, lane).
    Commit(u64, Vec<(u8, u64, u8)>),
    /// Ids, new states, seconds.
    Update(Vec<(u8, OutboxState, i64)>),
    Arm(u8),
    Disarm(u8),
    Snapshot(u64),
    Reopen,
}

fn arb_step() -> impl Strategy<Value = Step> {
    let state = prop_oneof![
        3 => Just(OutboxState::Pending),
        3 => Just(OutboxState::Acked),
        2 => Just(OutboxState::Dead),
        1 => Just(OutboxState::Cancelled)
    ];
    prop_oneof![
        4 => (0u64..4, prop::collection::vec((0u8..40, 0u64..4, 0u8..3), 0..6)).prop_map(|(n, rows)| Step::Commit(n, rows)),
        4 => prop::collection::vec((0u8..40, state, 0i64..5), 0..4).prop_map(Step::Update),
        1 => (0u8..6).prop_map(Step::Arm),
        1 => (0u8..6).prop_map(Step::Disarm),
        1 => (0u64..5).prop_map(Step::Snapshot),
        2 => Just(Step::Reopen),
    ]
}

fn batch_of(store: &dyn Store, step: &Step) -> CommitBatch {
    let last = store.recovered().epoch;
    match step {
        Step::Commit(n, rows) => {
            let mut batch = if *n == 0 { CommitBatch::default() } else { batch(last + 1, last + n) };
            let epoch = |offset: u64| (last + 1 + offset).min(last + n).max(1);
            let rows = if last + n == 0 { &[][..] } else { rows };
            batch.outbox =
                rows.iter().map(|(id, offset, lane)| delivery(&format!("d{id}"), epoch(*offset), &lane.to_string())).collect();
            batch
        }
        Step::Arm(id) => CommitBatch { timers: vec![timer(&format!("t{id}"), i64::from(*id % 3))], ..CommitBatch::default() },
        Step::Disarm(id) => CommitBatch { timers_done: vec![format!("t{id}").into()], ..CommitBatch::default() },
        _ => CommitBatch::default(),
    }
}

fn take(store: &mut dyn Store, step: &Step) -> Result<(), String> {
    let done = match step {
        Step::Update(updates) => {
            let updates: Vec<_> =
                updates.iter().map(|(id, state, at)| outcome(&format!("d{id}"), *state, u32::from(*id), *at)).collect();
            store.update_outbox(&updates)
        }
        Step::Snapshot(back) => {
            store.snapshot(&EngineState { epoch: store.recovered().epoch.saturating_sub(*back), ..EngineState::default() })
        }
        step => store.commit(&batch_of(store, step)),
    };
    done.map_err(|e| e.to_string())
}

/// Every answer that a store gives, as text.
fn answers(store: &mut dyn Store) -> String {
    let mut text = format!("{:?}\n{:?}\n{:?}\n", store.recovered(), store.timers(), store.outbox_counts());
    for now in 0..5 {
        let now = Timestamp(now * 1_000_000);
        let skip = |id: &str| id.ends_with('7');
        text += &format!("{:?}\n{:?}\n", store.due_deliveries(now, 3, &|_| false), store.due_deliveries(now, 9, &skip));
        text += &format!("{:?} {:?}\n", store.next_delivery_at(), store.next_delivery_after(now));
    }
    text + &format!("{:?}", replayed(store, 0))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]
    #[test]
    fn the_durable_store_answers_as_the_plain_one(steps in prop::collection::vec(arb_step(), 1..14)) {
        let dir = tempfile::tempdir().unwrap();
        let mut durable = Some(open(dir.path()));
        let mut plain = MemoryStore::default();
        for step in &steps {
            if let Step::Reopen = step {
                durable = None;
                durable = Some(durable.unwrap_or_else(|| open(dir.path())));
                plain = plain.crash();
            } else {
                let store = durable.as_mut().unwrap();
                prop_assert_eq!(take(store, step), take(&mut plain, step));
            }
            let store = durable.as_mut().unwrap();
            prop_assert_eq!(answers(store), answers(&mut plain));
            let counts = store.outbox_counts().unwrap();
            prop_assert_eq!(counts.fired, counts.acked + counts.dead + counts.cancelled + counts.pending);
        }
        let store = durable.as_mut().unwrap();
        let rows = rows_after(store, false);
        prop_assert_eq!(rows_after(store, true), rows.clone());
        prop_assert_eq!(rows_after(&mut plain, true), rows);
    }

    #[test]
    fn the_hash_chain_is_the_same_for_any_batching(cuts in prop::collection::vec(1u64..6, 1..6)) {
        let last: u64 = cuts.iter().sum();
        let chain = |cuts: &[u64]| {
            let dir = tempfile::tempdir().unwrap();
            let mut store = open(dir.path());
            for n in cuts {
                let first = store.recovered().epoch + 1;
                let outbox = (first..first + n).filter(|e| e % 2 == 0).map(|e| delivery(&format!("d{e}"), e, "k")).collect();
                store.commit(&CommitBatch { outbox, ..batch(first, first + n - 1) }).unwrap();
            }
            store.chain()
        };
        prop_assert_eq!(chain(&cuts), chain(&[last]));
    }
}
