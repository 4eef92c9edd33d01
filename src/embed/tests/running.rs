//! A graph on a thread of its own.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::*;
use crate::embed::{Ended, Stopped};

#[test]
fn many_threads_write_and_each_learns_of_its_own_epoch() {
    let running = orders().spawn_with(Options { workers: 2, ..Options::default() }).unwrap();
    running.apply(order(1)).unwrap();
    let writers = (0..4).map(|writer| {
        let running = running.clone();
        std::thread::spawn(move || {
            (0..25).map(|n| running.apply(item(writer * 100 + n, 1, "1.00")).unwrap().epoch).collect::<Vec<_>>()
        })
    });
    let mut epochs: Vec<u64> = writers.collect::<Vec<_>>().into_iter().flat_map(|writer| writer.join().unwrap()).collect();
    epochs.sort_unstable();
    assert_eq!(epochs, (2..102).collect::<Vec<_>>());
    assert_eq!(running.read::<std::collections::BTreeMap<String, String>>("", [0; 0]).unwrap().unwrap()["Turnover"], "100.00");
    assert_eq!(running.snapshot("Order").unwrap().num_rows(), 1);
    let refused = running.insert("Order", &std::collections::BTreeMap::from([("id", 1)])).unwrap_err();
    assert_eq!(refused.to_string(), "E0330: Order: insert of a row that exists");
}

#[test]
fn a_slow_reader_catches_up_though_nothing_more_happens() {
    let running = orders().spawn().unwrap();
    running.apply(order(1)).unwrap();
    let subscription = running.subscribe_with("Order.total", Subscribe { room: 1, ..Subscribe::default() }).unwrap();
    for id in 0..10 {
        running.apply(item(id, 1, "1.00")).unwrap();
    }
    let mut epochs = Vec::new();
    while epochs.last() != Some(&11) {
        let update = subscription.recv_timeout(Duration::from_secs(60)).unwrap().expect("a snapshot comes");
        epochs.push(update.epoch());
    }
    assert_eq!(epochs, [1, 2, 11]);
}

#[test]
fn the_graph_ends_with_its_last_handle_and_its_readers_learn_of_it() {
    let running = orders().spawn().unwrap();
    let (other, subscription) = (running.clone(), running.subscribe("*").unwrap());
    drop(running);
    other.apply(order(1)).unwrap();
    drop(other);
    assert_eq!(subscription.last().map(|update| update.epoch()), Some(1));
}

#[test]
fn a_graph_whose_handler_panics_has_ended() {
    let mut graph = orders();
    let handled = Arc::new(Mutex::new(0));
    let count = handled.clone();
    graph.effect(
        "order",
        Effect::when_changed("Order").action(move |_| {
            *count.lock().unwrap() += 1;
            panic!("on purpose");
        }),
    );
    let running = graph.spawn().unwrap();
    let subscription = running.subscribe("Turnover").unwrap();
    assert_eq!(running.apply(order(1)).map(|applied| applied.epoch), Err(Stopped));
    assert_eq!(running.get("Turnover", [0; 0]), Err(Stopped));
    assert_eq!(running.snapshot("Order").unwrap_err().to_string(), "E0343: Order: the graph has ended");
    let ended = (0..10).find_map(|_| subscription.recv().err());
    assert_eq!(ended, Some(Ended::Stopped), "after what was told");
    assert_eq!(*handled.lock().unwrap(), 1);
}
