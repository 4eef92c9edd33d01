use std::sync::atomic::{AtomicU32, Ordering};

use thalweg_engine::{Engine, Options};
use thalweg_formulas::Timestamp;
use thalweg_graph::ports::StoreError;
use thalweg_graph::{GraphSpec, planning};
use thalweg_sinks::{Secret, SinkContext};
use thalweg_store::{MemoryStore, StoreConfig};

use super::*;
use crate::runtime::actions::Actions;
use crate::runtime::clock::SystemClock;
use crate::runtime::commit;

/// What a source brings: a transaction with the position after it, or a position alone.
#[derive(Clone, Copy)]
enum Brings {
    Transaction(&'static str),
    Position(&'static str),
}
use Brings::{Position as P, Transaction as T};

/// A pump over no definition, and its commit thread over that store.
fn pump(store: MemoryStore) -> (Pump, commit::Outbox, commit::CommitHandle) {
    let (plan, _) = planning::plan(&GraphSpec::default(), &[]).expect("an empty definition is right");
    let plan = Arc::new(plan);
    let engine = Engine::new(plan.clone(), Options::default());
    let actions = Actions::new(SinkContext::new(Secret::new("none"))).of_plan(&plan);
    let board = Arc::new(Board::new([], std::path::PathBuf::new()));
    let (committer, outbox, thread) = commit::start(Box::new(store), board.clone());
    let pump = Pump {
        sequencer: Sequencer::new(engine, plan, Vec::new(), Timestamp(0)),
        actions: actions.unwrap_or_else(|findings| panic!("{findings:?}")),
        committer,
        board,
        clock: Arc::new(SystemClock),
        secret: Secret::new("none"),
        snapshot_every: u64::MAX,
        schemas: Vec::new(),
        positions: VecDeque::new(),
        idle_positions: Vec::new(),
        since_snapshot: 0,
        timer_asks: tokio::sync::mpsc::channel(1).1,
        goal_asks: tokio::sync::mpsc::channel(1).1,
    };
    (pump, outbox, thread)
}

fn arrival(source: &str, brings: Brings) -> Arrival {
    let message = match brings {
        P(position) => SourceMessage::Position(position.into()),
        T(position) => {
            let (source, origin) = (source.into(), position.into());
            let transaction = Transaction { source, origin, at: Timestamp(0), body: Body::Changes(Vec::new()) };
            SourceMessage::Transaction(transaction, position.into())
        }
    };
    Arrival { source: source.into(), message, held: Held::default() }
}

/// The positions that are durable after all of this was taken in one go.
fn committed(arrivals: &[(&str, Brings)]) -> Vec<(String, String)> {
    let (mut pump, outbox, thread) = pump(MemoryStore::new(StoreConfig::default()));
    for (source, brings) in arrivals {
        assert!(pump.arrive(arrival(source, *brings)).is_none());
    }
    assert!(pump.step_all().is_ok());
    drop((pump, outbox));
    let store = thread.join().expect("the commit thread does not panic").expect("a store in memory does not fail");
    let mut positions: Vec<_> = store.recovered().positions.into_iter().map(|(s, p)| (s.to_string(), p)).collect();
    positions.sort();
    positions
}

/// A commit fails, and nothing comes after it that would be refused.
#[tokio::test]
async fn sto_04_it_ends_with_the_store_though_nothing_more_arrives() {
    let mut store = MemoryStore::new(StoreConfig::default());
    store.fail_next_write(|| StoreError::Fatal { code: thalweg_formulas::Code(608), message: "the disk failed".into() });
    let (mut pump, outbox, thread) = pump(store);
    let (arrivals, queue) = mpsc::channel(1);
    arrivals.send(arrival("shop", T("1"))).await.expect("there is room");
    let mut following = Arrivals::of(queue);
    let (_stop, mut stopped) = watch::channel(false);
    let (_reloads, mut reloads) = mpsc::channel(1);
    let ended = tokio::time::timeout(LOOK_AGAIN, pump.run(&mut following, &mut reloads, &mut stopped)).await;
    assert!(matches!(ended, Ok(Ended::StoreClosed)), "it goes on");
    drop((pump, outbox, arrivals));
    let failed = thread.join().expect("the commit thread does not panic").map(|_| ());
    assert_eq!(failed.unwrap_err().to_string(), "E0608: the disk failed");
}

#[test]
fn src_28_of_the_positions_of_a_batch_only_the_last_of_each_source_is_printed() {
    /// Counts how often it is printed.
    struct Printed(u32, Arc<AtomicU32>);
    impl std::fmt::Display for Printed {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            self.1.fetch_add(1, Ordering::Relaxed);
            self.0.fmt(f)
        }
    }
    let count = Arc::new(AtomicU32::new(0));
    let source = |n: u32| Arc::from(if n.is_multiple_of(2) { "even" } else { "odd" });
    let positions = (0..1000).map(|n| (source(n), SourcePosition::new(Printed(n, count.clone()))));
    assert_eq!(last_of_each(positions), [("even".into(), "998".to_string()), ("odd".into(), "999".to_string())]);
    assert_eq!(count.load(Ordering::Relaxed), 2);
}

#[test]
fn inv_pump_1_a_position_that_came_before_a_transaction_is_not_committed_after_it() {
    for (arrivals, expected) in [
        (&[("a", P("1"))][..], &[("a", "1")][..]),
        (&[("a", P("1")), ("a", P("2"))], &[("a", "2")]),
        (&[("a", P("1")), ("a", T("2"))], &[("a", "2")]),
        (&[("a", T("1")), ("a", P("2"))], &[("a", "2")]),
        (&[("a", P("1")), ("a", T("2")), ("a", P("3")), ("a", T("4"))], &[("a", "4")]),
        (&[("a", T("1")), ("b", T("1")), ("a", P("2")), ("a", T("3"))], &[("a", "3"), ("b", "1")]),
        (&[("a", P("1")), ("b", T("1")), ("a", T("2")), ("b", P("2"))], &[("a", "2"), ("b", "2")]),
    ] {
        let expected: Vec<_> = expected.iter().map(|(s, p)| (s.to_string(), p.to_string())).collect();
        assert_eq!(committed(arrivals), expected);
    }
}
