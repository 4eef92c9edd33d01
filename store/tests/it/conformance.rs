//! What every store does, asked of each of them.

use thalweg_formulas::{Timestamp, Value};
use thalweg_graph::ports::{CommitBatch, OutboxCounts, OutboxRow, OutboxState, Store};
use thalweg_graph::state::EngineState;
use thalweg_graph::transaction::{Body, Change, Op, TimerFired, Transaction};
use thalweg_store::fold::TableRows;

use crate::support::*;

/// A store that can be closed and opened again.
trait Reopen {
    fn store(&mut self) -> &mut dyn Store;
    fn reopen(&mut self);
}

struct OnDisk(tempfile::TempDir, Option<thalweg_store::SqliteStore>);

impl OnDisk {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path());
        OnDisk(dir, Some(store))
    }
}

impl Reopen for OnDisk {
    fn store(&mut self) -> &mut dyn Store {
        self.1.as_mut().unwrap()
    }

    fn reopen(&mut self) {
        self.1 = None;
        self.1 = Some(open(self.0.path()));
    }
}

struct InMemory(thalweg_store::MemoryStore);

impl Reopen for InMemory {
    fn store(&mut self) -> &mut dyn Store {
        &mut self.0
    }

    fn reopen(&mut self) {
        self.0 = std::mem::take(&mut self.0).crash();
    }
}

fn on_each_store(check: impl Fn(&mut dyn Reopen)) {
    check(&mut OnDisk::new());
    check(&mut InMemory(thalweg_store::MemoryStore::default()));
}

#[test]
fn what_was_committed_is_recovered_and_replayed() {
    on_each_store(|s| {
        assert_eq!(s.store().recovered(), Default::default());
        let (one, two) = (batch(1, 3), batch(4, 5));
        s.store().commit(&one).unwrap();
        s.store().commit(&two).unwrap();
        s.reopen();
        let recovered = s.store().recovered();
        assert_eq!((recovered.epoch, recovered.at), (5, Timestamp(5_000_000)));
        assert_eq!(recovered.positions, [("shop".into(), "0-1-5".to_string())]);
        assert_eq!(recovered.schemas, [orders()]);
        let logged: Vec<_> = (1..).zip(one.transactions.into_iter().chain(two.transactions)).collect();
        for after in 0..=5 {
            assert_eq!(replayed(s.store(), after).unwrap(), logged[after as usize..]);
        }
    });
}

#[test]
fn every_kind_of_transaction_comes_back_the_same() {
    on_each_store(|s| {
        let (wide, bag) = (schema("Wide", &["a", "b", "c"], 2), schema("Bag", &["x"], 0));
        let partial = Change {
            schema: wide.clone(),
            op: Op::Update,
            key: Some(vec![Value::text("k"), Value::Uint(1)].into()),
            before: None,
            after: Some(vec![None, Some(Value::Null), Some(Value::double(f64::NAN))].into()),
        };
        let fired = TimerFired {
            id: "t".into(),
            event: "overdue".into(),
            table: "Wide".into(),
            key: vec![Value::Int(1)].into(),
            due: Timestamp(-5),
        };
        let tx = |source: &str, at: i64, body: Body| Transaction {
            source: source.into(),
            origin: "o".into(),
            at: Timestamp(at),
            body,
        };
        let transactions = vec![
            tx("", i64::MIN, Body::Changes(vec![])),
            tx("b", i64::MAX, Body::Fill(vec![insert(&bag, &[1]), partial.clone(), insert(&bag, &[1]), delete(&bag, &[1])])),
            tx("", 0, Body::Timer(fired)),
            tx("b", 3, Body::Changes(vec![Change { op: Op::Upsert, ..partial }, update(&bag, &[5], &[5])])),
        ];
        s.store().commit(&CommitBatch { first: 1, transactions: transactions.clone(), ..CommitBatch::default() }).unwrap();
        s.reopen();
        let found: Vec<_> = replayed(s.store(), 0).unwrap().into_iter().map(|(_, t)| t).collect();
        assert_eq!(found, transactions);
    });
}

#[test]
fn a_batch_that_does_not_follow_the_last_is_refused_and_nothing_is_written() {
    on_each_store(|s| {
        s.store().commit(&batch(1, 2)).unwrap();
        for first in [2, 4] {
            let error = s.store().commit(&batch(first, first)).unwrap_err().to_string();
            assert_eq!(error, format!("E0610: broken invariant: a commit begins at epoch {first}, and epoch 2 was the last"));
        }
        let stray = CommitBatch { outbox: vec![delivery("a", 9, "k")], ..batch(3, 3) };
        let error = s.store().commit(&stray).unwrap_err().to_string();
        assert_eq!(error, "E0610: broken invariant: a delivery of epoch 9 in a commit that ends at epoch 3");
        assert_eq!(s.store().recovered().epoch, 2);
        s.store().commit(&batch(3, 3)).unwrap();
        assert_eq!(replayed(s.store(), 2).unwrap().len(), 1);
    });
}

#[test]
fn deliveries_of_one_lane_go_one_after_another_and_lanes_go_side_by_side() {
    on_each_store(|s| {
        let rows = vec![
            delivery("a1", 1, "a"),
            delivery("b1", 1, "b"),
            delivery("a2", 2, "a"),
            delivery("a3", 3, "a"),
            delivery("c1", 3, "c"),
        ];
        s.store().commit(&CommitBatch { outbox: rows, ..batch(1, 3) }).unwrap();
        assert_eq!(due(s.store(), 0, 10), ["a1", "b1", "c1"]);
        assert_eq!(due(s.store(), 0, 2), ["a1", "b1"]);
        assert_eq!(due_but(s.store(), 0, 10, &["a1"]), ["b1", "c1"]);
        s.store().update_outbox(&[outcome("a1", OutboxState::Acked, 1, 0), outcome("b1", OutboxState::Dead, 9, 0)]).unwrap();
        s.reopen();
        assert_eq!(due(s.store(), 0, 10), ["a2", "c1"]);
        s.store().update_outbox(&[outcome("a2", OutboxState::Pending, 1, 60)]).unwrap();
        assert_eq!(due(s.store(), 59, 10), ["c1"]);
        assert_eq!(due(s.store(), 60, 10), ["c1", "a2"]);
        assert_eq!(s.store().next_delivery_after(Timestamp(0)).unwrap(), Some(Timestamp(60_000_000)));
        assert_eq!(s.store().next_delivery_after(Timestamp(60_000_000)).unwrap(), None);
        assert_eq!(
            s.store().outbox_counts().unwrap(),
            OutboxCounts { fired: 5, acked: 1, dead: 1, pending: 3, ..Default::default() }
        );
    });
}

#[test]
fn a_busy_action_does_not_stand_before_the_others() {
    on_each_store(|s| {
        let of = |id: &str, epoch, action, node: &str| OutboxRow { action, node: node.into(), ..delivery(id, epoch, id) };
        let rows = vec![
            of("a", 1, 0, "slow"),
            of("b", 1, 1, "slow"),
            of("c", 2, 0, "slow"),
            of("d", 2, 0, "fast"),
            of("e", 3, 1, "slow"),
        ];
        s.store().commit(&CommitBatch { outbox: rows, ..batch(1, 3) }).unwrap();
        s.store().update_outbox(&[outcome("c", OutboxState::Pending, 1, 1), outcome("e", OutboxState::Pending, 1, 2)]).unwrap();
        let due = |s: &mut dyn Store, limit, in_flight: &dyn Fn(&str) -> bool, busy: &dyn Fn(&str, u32) -> bool| {
            let due = s.due_deliveries_except(Timestamp(9_000_000), limit, in_flight, busy).unwrap();
            due.iter().map(|d| d.row.id.to_string()).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(due(s.store(), 9, &|_| false, &|_, _| false), "c a b e d");
        assert_eq!(due(s.store(), 9, &|_| false, &|node, action| (node, action) == ("slow", 0)), "b e d");
        assert_eq!(due(s.store(), 1, &|id| id == "b", &|node, action| (node, action) == ("slow", 0)), "e");
        assert_eq!(due(s.store(), 9, &|_| false, &|_, _| true), "");
        assert_eq!(s.store().next_delivery_after(Timestamp(1_000_000)).unwrap(), Some(Timestamp(2_000_000)));
    });
}

#[test]
fn the_next_delivery_time_is_that_of_the_first_head() {
    on_each_store(|s| {
        assert_eq!(s.store().next_delivery_at().unwrap(), None);
        s.store().commit(&CommitBatch { outbox: vec![delivery("a1", 1, "a"), delivery("a2", 1, "a")], ..batch(1, 1) }).unwrap();
        assert_eq!(s.store().next_delivery_at().unwrap(), Some(Timestamp(0)));
        s.store().update_outbox(&[outcome("a1", OutboxState::Pending, 1, 30)]).unwrap();
        assert_eq!(s.store().next_delivery_at().unwrap(), Some(Timestamp(30_000_000)));
        s.store().update_outbox(&[outcome("a1", OutboxState::Cancelled, 1, 0), outcome("a2", OutboxState::Acked, 1, 0)]).unwrap();
        assert_eq!(s.store().next_delivery_at().unwrap(), None);
    });
}

#[test]
fn a_delivery_keeps_its_id_and_its_bytes_on_every_attempt() {
    on_each_store(|s| {
        let first = delivery("a1", 1, "a");
        s.store().commit(&CommitBatch { outbox: vec![first.clone()], ..batch(1, 1) }).unwrap();
        let again = OutboxRow { body: b"other bytes".as_slice().into(), ..delivery("a1", 2, "a") };
        s.store().commit(&CommitBatch { outbox: vec![again], ..batch(2, 2) }).unwrap();
        s.store().update_outbox(&[outcome("a1", OutboxState::Pending, 3, 5)]).unwrap();
        s.reopen();
        let found = s.store().due_deliveries(Timestamp(5_000_000), 9, &|_| false).unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!(
            (&found[0].row, found[0].attempts, found[0].fired_at, found[0].not_before),
            (&first, 3, Timestamp(1_000_000), Timestamp(5_000_000))
        );
        assert_eq!(s.store().outbox_counts().unwrap(), OutboxCounts { fired: 1, pending: 1, ..Default::default() });
    });
}

#[test]
fn what_is_over_stays_over_and_a_dead_letter_can_be_sent_again_in_its_place() {
    on_each_store(|s| {
        let rows = vec![delivery("a1", 1, "a"), delivery("a2", 1, "a"), delivery("a3", 1, "a")];
        s.store().commit(&CommitBatch { outbox: rows, ..batch(1, 1) }).unwrap();
        s.store().update_outbox(&[outcome("a1", OutboxState::Dead, 1, 0)]).unwrap();
        assert_eq!(due(s.store(), 0, 9), ["a2"]);
        s.store().update_outbox(&[outcome("a1", OutboxState::Pending, 0, 0)]).unwrap();
        assert_eq!(due(s.store(), 0, 9), ["a1"]);
        s.store().update_outbox(&[outcome("a1", OutboxState::Acked, 1, 0), outcome("a1", OutboxState::Dead, 2, 0)]).unwrap();
        assert_eq!(due(s.store(), 0, 9), ["a2"]);
        assert_eq!(s.store().outbox_counts().unwrap(), OutboxCounts { fired: 3, acked: 1, pending: 2, ..Default::default() });
        s.reopen();
        assert_eq!(due(s.store(), 0, 9), ["a2"]);
    });
}

#[test]
fn an_update_of_an_unknown_delivery_is_a_broken_invariant_and_takes_nothing_with_it() {
    on_each_store(|s| {
        s.store().commit(&CommitBatch { outbox: vec![delivery("a1", 1, "a")], ..batch(1, 1) }).unwrap();
        let error = s
            .store()
            .update_outbox(&[outcome("a1", OutboxState::Acked, 1, 0), outcome("zz", OutboxState::Acked, 1, 0)])
            .unwrap_err();
        assert_eq!(error.to_string(), "E0610: broken invariant: delivery zz is not in the outbox");
        assert_eq!(due(s.store(), 0, 9), ["a1"]);
        assert_eq!(s.store().outbox_counts().unwrap().pending, 1);
    });
}

#[test]
fn timers_wait_soonest_first_until_they_are_done() {
    on_each_store(|s| {
        let timers = vec![timer("late", 90), timer("soon", 10), timer("also-soon", 10), timer("soon", 11)];
        s.store().commit(&CommitBatch { timers, ..batch(1, 1) }).unwrap();
        s.reopen();
        assert_eq!(s.store().timers().unwrap(), [timer("also-soon", 10), timer("soon", 10), timer("late", 90)]);
        let done = vec!["soon".into(), "never-armed".into(), "brief".into()];
        s.store().commit(&CommitBatch { timers: vec![timer("brief", 1)], timers_done: done, ..batch(2, 2) }).unwrap();
        assert_eq!(s.store().timers().unwrap(), [timer("also-soon", 10), timer("late", 90)]);
    });
}

#[test]
fn a_commit_without_transactions_can_carry_positions_deliveries_and_timers() {
    on_each_store(|s| {
        s.store().commit(&batch(1, 1)).unwrap();
        let positions = vec![("shop".into(), "0-1-9".into()), ("web".into(), "3".into())];
        let extra =
            CommitBatch { positions, outbox: vec![delivery("x", 1, "k")], timers: vec![timer("t", 1)], ..CommitBatch::default() };
        s.store().commit(&extra).unwrap();
        s.reopen();
        assert_eq!(s.store().recovered().epoch, 1);
        assert_eq!(s.store().recovered().positions, [("shop".into(), "0-1-9".to_string()), ("web".into(), "3".to_string())]);
        assert_eq!((due(s.store(), 0, 9), s.store().timers().unwrap().len()), (vec!["x".to_string()], 1));
    });
}

#[test]
fn the_newest_schema_of_a_table_is_recovered_also_when_an_old_one_returns() {
    on_each_store(|s| {
        let (narrow, wide) = (schema("T", &["id"], 1), schema("T", &["id", "x"], 1));
        for (epoch, schema) in [(1, &narrow), (2, &wide), (3, &narrow)] {
            let values = vec![0; schema.columns.len()];
            let transactions = vec![transaction(1, vec![insert(schema, &values)])];
            s.store().commit(&CommitBatch { first: epoch, transactions, ..CommitBatch::default() }).unwrap();
            s.reopen();
            assert_eq!(s.store().recovered().schemas, std::slice::from_ref(schema));
        }
        assert_eq!(replayed(s.store(), 1).unwrap().len(), 2);
    });
}

#[test]
fn a_snapshot_and_the_log_after_it_give_the_same_rows_as_the_whole_log() {
    on_each_store(|s| {
        s.store().commit(&batch(1, 3)).unwrap();
        let state = EngineState {
            epoch: 2,
            selves: vec![("Order.running".into(), [Value::Int(1)].into(), Value::double(0.5))],
            triggers: vec![("big".into(), [].into(), 7)],
            ..EngineState::default()
        };
        s.store().snapshot(&state).unwrap();
        s.reopen();
        let changes = vec![update(&orders(), &[1, 10], &[1, 11]), delete(&orders(), &[3, 10])];
        s.store()
            .commit(&CommitBatch { first: 4, transactions: vec![transaction(4, changes)], ..CommitBatch::default() })
            .unwrap();
        let mut fills = Vec::new();
        assert_eq!(s.store().load_snapshot(&mut |fill| fills.push(fill)).unwrap(), Some(state.clone()));
        let rows = vec![insert(&orders(), &[1, 10]), insert(&orders(), &[2, 10])];
        let fill = Transaction { source: "".into(), origin: "snapshot".into(), at: Timestamp(0), body: Body::Fill(rows) };
        assert_eq!(fills, [fill]);
        let expected = vec![TableRows { schema: orders(), rows: vec![row(&[1, 11]), row(&[2, 10])] }];
        assert_eq!((rows_after(s.store(), false), rows_after(s.store(), true)), (expected.clone(), expected.clone()));

        s.store().snapshot(&EngineState { epoch: 4, ..state }).unwrap();
        s.reopen();
        assert_eq!(rows_after(s.store(), true), expected);
        let mut from = None;
        s.store().load_snapshot(&mut |_| ()).map(|state| from = state.map(|s| s.epoch)).unwrap();
        assert_eq!(from, Some(4));
    });
}

#[test]
fn a_snapshot_of_what_is_not_committed_is_refused() {
    on_each_store(|s| {
        let error = s.store().snapshot(&EngineState { epoch: 1, ..EngineState::default() }).unwrap_err().to_string();
        assert_eq!(error, "E0610: broken invariant: a snapshot at epoch 1, and 0 was the last commit");
        assert_eq!(s.store().load_snapshot(&mut |_| ()).unwrap(), None);
    });
}

#[test]
fn a_transaction_larger_than_a_blob_is_one_epoch_all_the_same() {
    let noise = |n: i64| {
        let mut x = n as u64 | 1;
        let bytes = (0..1 << 17).flat_map(|_| {
            x ^= x << 13;
            x ^= x >> 7;
            x ^= x << 17;
            x.to_le_bytes()
        });
        Value::Bytes(bytes.collect())
    };
    let big = schema("Big", &["id", "noise"], 1);
    let change = |n: i64| Change {
        schema: big.clone(),
        op: Op::Insert,
        key: None,
        before: None,
        after: Some([Some(Value::Int(n)), Some(noise(n))].into()),
    };
    let giant = Transaction { body: Body::Fill((0..40).map(change).collect()), ..transaction(2, vec![]) };
    let small = |n| transaction(n, vec![insert(&orders(), &[n, 1])]);
    let transactions = [small(1), giant, small(3)];
    let chains = [vec![3], vec![1, 1, 1], vec![2, 1]].map(|cuts| {
        let dir = tempfile::tempdir().unwrap();
        let mut store = open(dir.path());
        let mut left = transactions.iter().cloned();
        for n in cuts {
            let first = store.recovered().epoch + 1;
            store
                .commit(&CommitBatch { first, transactions: left.by_ref().take(n).collect(), ..CommitBatch::default() })
                .unwrap();
        }
        for after in 0..3 {
            let found: Vec<_> = replayed(&mut store, after).unwrap().into_iter().map(|(_, t)| t).collect();
            assert!(found == transactions[after as usize..], "after epoch {after}");
        }
        store.chain()
    });
    assert_eq!((&chains[0], &chains[0]), (&chains[1], &chains[2]));
}
