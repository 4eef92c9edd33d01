//! Random histories on the durable store and on the plain one: every answer the same, after every step.

use proptest::prelude::*;
use thalweg_formulas::Timestamp;
use thalweg_graph::ports::{
    Act, CommitBatch, Digest, Manner, Note, NoteKind, OutboxFilter, OutboxRow, OutboxState, OutboxUpdate, Store,
};
use thalweg_graph::state::EngineState;
use thalweg_store::MemoryStore;

use crate::support::*;

#[derive(Clone, Debug)]
enum Step {
    /// Epochs to commit, and triggers.
    Commit(u64, Vec<Trigger>),
    /// Deliveries, new states, seconds, whether they are delivered and not acknowledged.
    Update(Vec<(Id, OutboxState, i64, bool)>),
    Act(Asked),
    /// A digest, and the second at which it is asked for.
    Gather(Id, i64),
    Arm(u8),
    Disarm(u8),
    Snapshot(u64),
    /// One of two sources follows what becomes of deliveries, or none does.
    Follow(Option<bool>),
    /// The source's position: so many behind the last one that there is to take, or beyond.
    Take(u64),
    Reopen,
}

/// Its number, and its action.
type Id = (u8, u32);

fn name_of((trigger, action): Id) -> String {
    format!("d{trigger}a{action}")
}

#[derive(Clone, Debug)]
struct Trigger {
    number: u8,
    /// Its epoch within the batch.
    offset: u64,
    key: u8,
}

impl Trigger {
    /// Its deliveries, always all of them together. How many they are and how they stand to others depends on the number, so that a
    /// trigger that comes again is the same one.
    fn rows(&self, epoch: u64) -> impl Iterator<Item = OutboxRow> {
        let Trigger { number, key, .. } = *self;
        let of = move |n: u8| number % 5 == n;
        (0..1 + u32::from(number) % 3).map(move |action| OutboxRow {
            action,
            version: 2 * u64::from(number) + 1,
            manner: Manner {
                coalesces: of(1),
                unordered: of(2),
                after_previous: of(3) && action > 0,
                digest: (of(4) || (of(0) && number >= 10)).then(|| digest_of(action)),
                depth: u32::from(number) % 4,
            },
            ..delivery(&name_of((number, action)), epoch, &key.to_string())
        })
    }
}

/// By number, with the second action by bytes (a body has 13 or 14 of them), with the third those of each key.
fn digest_of(action: u32) -> Digest {
    let (max, bytes) = if action == 1 { (4, 30) } else { (3, 1_000) };
    Digest { every_us: 2_000_000, max, bytes, by_key: action == 2 }
}

#[derive(Clone, Copy, Debug)]
enum Asked {
    Ack(Id),
    Retry(Id),
    Edit(Id),
    Garble(Id),
    Discard(Id),
    Pause(Option<u32>),
    Resume,
}

impl Asked {
    fn act(self) -> Act {
        let id = |id| name_of(id).into();
        match self {
            Asked::Ack(of) => Act::Ack { id: id(of), result: "seen".into() },
            Asked::Retry(of) => Act::Retry { id: id(of), body: None },
            Asked::Edit(of) => Act::Retry { id: id(of), body: Some("{\"id\":\"edited\"}".into()) },
            Asked::Garble(of) => Act::Retry { id: id(of), body: Some("{".into()) },
            Asked::Discard(of) => Act::Discard { id: id(of) },
            Asked::Pause(action) => Act::Pause { node: "big".into(), action, reason: "lunch".into() },
            Asked::Resume => Act::Resume { node: "big".into() },
        }
    }
}

fn arb_step() -> impl Strategy<Value = Step> {
    let state = prop_oneof![
        3 => Just(OutboxState::Pending),
        3 => Just(OutboxState::Acked),
        2 => Just(OutboxState::Dead),
        1 => Just(OutboxState::Cancelled)
    ];
    let id = || (0u8..20, 0u32..3);
    let trigger = (0u8..20, 0u64..4, 0u8..3).prop_map(|(number, offset, key)| Trigger { number, offset, key });
    let asked = prop_oneof![
        4 => id().prop_map(Asked::Ack),
        3 => id().prop_map(Asked::Retry),
        1 => id().prop_map(Asked::Edit),
        1 => id().prop_map(Asked::Garble),
        2 => id().prop_map(Asked::Discard),
        1 => prop::option::of(0u32..3).prop_map(Asked::Pause),
        1 => Just(Asked::Resume),
    ];
    prop_oneof![
        4 => (0u64..4, prop::collection::vec(trigger, 0..6)).prop_map(|(n, rows)| Step::Commit(n, rows)),
        4 => prop::collection::vec((id(), state, 0i64..5, any::<bool>()).prop_map(|(a, b, c, d)| (a, b, c, d)), 0..4).prop_map(Step::Update),
        5 => asked.prop_map(Step::Act),
        3 => (id(), 0i64..5).prop_map(|(id, at)| Step::Gather(id, at)),
        1 => (0u8..6).prop_map(Step::Arm),
        1 => (0u8..6).prop_map(Step::Disarm),
        1 => (0u64..5).prop_map(Step::Snapshot),
        2 => any::<Option<bool>>().prop_map(Step::Follow),
        2 => (0u64..4).prop_map(Step::Take),
        2 => Just(Step::Reopen),
    ]
}

fn batch_of(store: &mut dyn Store, step: &Step) -> CommitBatch {
    let last = store.recovered().epoch;
    match step {
        Step::Commit(n, triggers) => {
            let mut batch = if *n == 0 { CommitBatch::default() } else { batch(last + 1, last + n) };
            let epoch = |offset: u64| (last + 1 + offset).min(last + n).max(1);
            let triggers = if last + n == 0 { &[][..] } else { triggers };
            batch.outbox = triggers.iter().flat_map(|trigger| trigger.rows(epoch(trigger.offset))).collect();
            batch
        }
        Step::Take(behind) => {
            let last = store.settled(0, usize::MAX >> 1).expect("it can be read").last().map_or(0, |settled| settled.number);
            let position = last.saturating_sub(*behind).to_string();
            CommitBatch { positions: vec![("outbox".into(), position)], ..CommitBatch::default() }
        }
        Step::Arm(id) => CommitBatch { timers: vec![timer(&format!("t{id}"), i64::from(*id % 3))], ..CommitBatch::default() },
        Step::Disarm(id) => CommitBatch { timers_done: vec![format!("t{id}").into()], ..CommitBatch::default() },
        _ => CommitBatch::default(),
    }
}

fn take(store: &mut dyn Store, step: &Step) -> Result<String, String> {
    let done = match step {
        Step::Update(updates) => {
            let note = Note { what: NoteKind::Failed, took_us: 7, detail: "503".into() };
            let update = |(id, state, at, delivered): &(Id, OutboxState, i64, bool)| OutboxUpdate {
                deliveries: u32::from(*delivered),
                restarts: *delivered,
                note: (*state != OutboxState::Acked).then(|| note.clone()),
                ..outcome(&name_of(*id), *state, u32::from(id.0), *at)
            };
            let updates: Vec<_> = updates.iter().map(update).collect();
            store.update_outbox(&updates)
        }
        Step::Act(asked) => {
            return store.act(&asked.act(), Timestamp(77)).map(|acted| format!("{acted:?}")).map_err(|e| e.to_string());
        }
        Step::Gather(id, at) => {
            let rows = store.gather(&name_of(*id), &digest_of(id.1), Timestamp(at * 1_000_000));
            return rows.map(|rows| format!("{rows:?}")).map_err(|e| e.to_string());
        }
        Step::Snapshot(back) => {
            store.snapshot(&EngineState { epoch: store.recovered().epoch.saturating_sub(*back), ..EngineState::default() })
        }
        Step::Follow(source) => store.follow(source.map(|first| if first { "outbox" } else { "other" }.into())),
        step => {
            let batch = batch_of(store, step);
            store.commit(&batch)
        }
    };
    done.map(|()| String::new()).map_err(|e| e.to_string())
}

/// Every answer that a store gives, as text.
fn answers(store: &mut dyn Store) -> String {
    let mut text = format!("{:?}\n{:?}\n{:?}\n", store.recovered(), store.timers(), store.outbox_counts());
    for now in 0..5 {
        let now = Timestamp(now * 1_000_000);
        let skip = |id: &str| id.starts_with("d7");
        text += &format!("{:?}\n{:?}\n", store.due_deliveries(now, 3, &|_| false), store.due_deliveries(now, 9, &skip));
        text += &format!("{:?} {:?}\n", store.next_delivery_at(), store.next_delivery_after(now));
    }
    text += &format!("{:?}\n{:?}\n{:?}\n", store.paused(), store.settled(0, 99), store.settled(3, 2));
    let all = |node: &str, state| OutboxFilter { node: Some(node.into()), key: None, state, after: 2, limit: 7 };
    for filter in [all("big", None), all("big", Some(OutboxState::Dead)), all("small", None)] {
        text += &format!("{:?}\n", store.deliveries(&filter));
    }
    for number in 0..20 {
        text += &format!("{:?}\n", store.delivery(&name_of((number, 1))));
    }
    text + &format!("{:?}", replayed(store, 0))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]
    #[test]
    fn the_durable_store_answers_as_the_plain_one(steps in prop::collection::vec(arb_step(), 1..20)) {
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
