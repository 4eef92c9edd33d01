//! Digests: what fires in one window goes out as one, with one id and the same bytes, whatever dies meanwhile.

use std::collections::BTreeSet;
use std::io::Write;
use std::os::unix::process::ExitStatusExt;

use serde_json::Value as Json;
use thalweg_graph::ports::{OutboxFilter, OutboxState, Store};
use thalweg_sinks::receiver::{Behaviour, Receiver};
use thalweg_store::OutboxReader;

use super::harness::{Home, receiver, until};

/// Orders from a file of lines; those above 100 are told, five at a time.
fn home(receiver: &Receiver, settings: &str) -> Home {
    Home::new(&format!(
        "[egress]\nallow = [\"127.0.0.0/8\"]\n[[source]]\nname = \"shop\"\nkind = \"jsonl\"\npath = \"orders.jsonl\"\n[[table]]\nname = \"Order\"\nkey = [\"id\"]\n\
         [[effect]]\nname = \"big\"\non = \"Order\"\nwhen = \"amount > 100\"\npayload = [\"id\"]\n\
         actions = [{{ type = \"webhook\", url = \"{}\", secret = \"${{HOOK_SECRET}}\", backoff = \"20ms..50ms\", {settings} }}]\n",
        receiver.url()
    ))
}

/// Adds orders that come now, so that no window has ended.
fn order(home: &Home, ids: std::ops::RangeInclusive<u32>) {
    let now = jiff::Timestamp::now();
    let line = |id| {
        format!(
            "{{\"tx\":\"t{id}\",\"at\":\"{now}\",\"changes\":[{{\"table\":\"Order\",\"op\":\"upsert\",\"after\":{{\"id\":{id},\"amount\":150}}}}]}}\n"
        )
    };
    let mut file = std::fs::OpenOptions::new().create(true).append(true).open(home.path("orders.jsonl")).unwrap();
    file.write_all(ids.map(line).collect::<String>().as_bytes()).unwrap();
}

/// The orders in the last body that came.
fn last_orders(receiver: &Receiver) -> Vec<u64> {
    let all: Vec<Json> = serde_json::from_slice(&receiver.last().1).unwrap();
    all.iter().map(|event| event["data"]["id"].as_u64().unwrap()).collect()
}

/// The ids of digests that the store knows of, and how many deliveries are in none.
fn digests(home: &Home) -> (BTreeSet<String>, usize) {
    let mut store = home.store();
    let all = OutboxFilter { node: None, key: None, state: None, after: 0, limit: 99 };
    let (mut ids, mut alone) = (BTreeSet::new(), 0);
    for listed in store.deliveries(&all).unwrap() {
        let shown = store.delivery(&listed.id).unwrap().unwrap();
        match shown.history.iter().find(|(_, note)| note.what.name() == "gathered") {
            Some((_, note)) => drop(ids.insert(note.detail.clone())),
            None => alone += 1,
        }
    }
    (ids, alone)
}

#[test]
fn p3_a_digest_has_one_id_and_the_same_bytes_whenever_the_process_is_killed() {
    let receiver = receiver();
    receiver.behave(Behaviour::status(503));
    let home = home(&receiver, "digest = { every = \"1h\", max = 5 }");
    order(&home, 1..=12);
    for kill in 1..=6u32 {
        let (daemon, before) = (home.start(), receiver.totals().requests);
        until("an attempt", || receiver.totals().requests > before);
        let ended = daemon.kill9();
        assert_eq!(ended.status.signal(), Some(9), "start {kill} ended by itself:\n{}", ended.said);
        assert_eq!(last_orders(&receiver), [1, 2, 3, 4, 5]);
        // What fires while a digest is tried is not in it.
        order(&home, 12 + kill..=12 + kill);
    }
    receiver.behave(Behaviour::Accept);
    let daemon = home.start();
    until("three digests", || receiver.totals().accepted_distinct == 3);
    let (head, _) = receiver.last();
    assert!(head.to_lowercase().contains("content-type: application/cloudevents-batch+json"), "{head}");
    assert_eq!(last_orders(&receiver), [11, 12, 13, 14, 15]);
    daemon.stop().well();

    assert_eq!((receiver.totals().accepted, receiver.totals().contradictions), (3, 0));
    let counts = home.counts();
    assert_eq!((counts.fired, counts.acked, counts.pending), (18, 15, 3), "three wait for the end of their window");
    let sent: BTreeSet<String> = receiver.received().into_keys().collect();
    assert_eq!(digests(&home), (sent, 3));
}

#[test]
fn where_a_source_tells_no_time_the_window_begins_when_its_rows_are_read() {
    let receiver = receiver();
    let home = home(&receiver, "digest = { every = \"1h\", max = 5 }");
    let line =
        |id| format!("{{\"changes\":[{{\"table\":\"Order\",\"op\":\"upsert\",\"after\":{{\"id\":{id},\"amount\":150}}}}]}}\n");
    std::fs::write(home.path("orders.jsonl"), (1..=12).map(line).collect::<String>()).unwrap();
    let daemon = home.start();
    until("two digests", || receiver.totals().accepted_distinct == 2);
    assert_eq!(last_orders(&receiver), [6, 7, 8, 9, 10]);
    daemon.stop().well();
    let counts = home.counts();
    assert_eq!((counts.fired, counts.acked, counts.pending, receiver.totals().accepted), (12, 10, 2, 2));
}

#[test]
fn a_window_ends_by_itself_and_what_is_refused_is_replayed() {
    let receiver = receiver();
    receiver.behave(Behaviour::status(422));
    let home = home(&receiver, "digest = { every = \"200ms\" }, retries = 0");
    order(&home, 1..=3);
    let daemon = home.start();
    let listed = |state| {
        let reader = OutboxReader::open(&home.path(".thalweg")).unwrap();
        reader.deliveries(&OutboxFilter { node: None, key: None, state: Some(state), after: 0, limit: 99 }).unwrap()
    };
    let exists = || home.path(".thalweg/thalweg.db").exists();
    until("three dead letters", || exists() && listed(OutboxState::Dead).len() == 3);
    for dead in listed(OutboxState::Dead) {
        assert_eq!(dead.error, "E0510: the receiver answered 422 Unprocessable Entity");
    }
    receiver.behave(Behaviour::Accept);
    assert!(home.command(&["effects", "retry", "--dead"]).status().unwrap().success());
    until("all of them", || listed(OutboxState::Acked).len() == 3);
    daemon.stop().well();
    assert_eq!(receiver.totals().contradictions, 0);
    assert_eq!(home.counts().acked, 3);
}

/// A dry run takes nothing of the daemon beside it, and what it shows is what the next run adds.
#[test]
fn a_dry_run_beside_the_daemon_delivers_nothing_and_needs_no_address() {
    let receiver = receiver();
    let home = home(&receiver, "digest = { every = \"1h\", max = 5 }");
    order(&home, 1..=3);
    let daemon = home.start();
    let pending = || {
        let reader = OutboxReader::open(&home.path(".thalweg")).ok()?;
        Some(reader.counts().ok()?.pending)
    };
    until("three that wait", || pending() == Some(3));
    // The address is somebody else's: a run would not start.
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let config = std::fs::read_to_string(home.path("thalweg.toml")).unwrap();
    home.configure(&format!("{config}[http]\nlisten = \"{}\"\n", taken.local_addr().unwrap()));
    let shown = || {
        let output = home.command(&["run", "thalweg.toml", "--dry-run", "--until-idle", "0.3"]).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
        let lines = String::from_utf8(output.stdout).unwrap();
        let body = |line: &str| serde_json::from_str::<Json>(line).unwrap()["body"].clone();
        lines.lines().map(body).collect::<Vec<_>>()
    };
    assert_eq!((shown(), pending()), (Vec::new(), Some(3)), "the daemon has read all there is");
    daemon.stop().well();
    order(&home, 4..=5);
    let dry = shown();
    assert_eq!((dry.len(), pending(), receiver.totals().requests), (2, Some(3), 0));

    home.configure(&config);
    home.run_until_idle("0.5").well();
    let sent: Vec<Json> = serde_json::from_slice(&receiver.last().1).unwrap();
    assert_eq!((last_orders(&receiver), &sent[3..]), (vec![1, 2, 3, 4, 5], &dry[..]));
}

/// Two documents, each of which is told three times.
#[test]
fn each_document_has_digests_of_its_own_where_they_are_by_key() {
    let receiver = receiver();
    let home = home(&receiver, "digest = { every = \"1h\", max = 3, by = \"key\" }");
    let now = jiff::Timestamp::now();
    let line = |n: u32| {
        let (id, amount) = (n % 2, if (n / 2).is_multiple_of(2) { 150 } else { 50 });
        format!(
            "{{\"tx\":\"t{n}\",\"at\":\"{now}\",\"changes\":[{{\"table\":\"Order\",\"op\":\"upsert\",\"after\":{{\"id\":{id},\"amount\":{amount}}}}}]}}\n"
        )
    };
    std::fs::write(home.path("orders.jsonl"), (0..12).map(line).collect::<String>()).unwrap();
    let daemon = home.start();
    until("two digests", || receiver.totals().accepted_distinct == 2);
    let last = last_orders(&receiver);
    assert!(last == [0; 3] || last == [1; 3], "{last:?}");
    daemon.stop().well();
    let counts = home.counts();
    assert_eq!((counts.fired, counts.acked, digests(&home).0.len()), (6, 6, 2));
}

/// At the next full second, on the standard input of a program.
#[test]
fn a_program_gets_what_has_fired_until_the_calendar_says_so() {
    let home = Home::new(
        "[[source]]\nname = \"shop\"\nkind = \"jsonl\"\npath = \"orders.jsonl\"\n[[table]]\nname = \"Order\"\nkey = [\"id\"]\n\
         [[effect]]\nname = \"big\"\non = \"Order\"\nwhen = \"amount > 100\"\npayload = [\"id\"]\n\
         actions = [{ type = \"shell\", command = [\"/bin/sh\", \"-c\", \"cat >> told.jsonl; echo >> told.jsonl\"], digest = { cron = \"* * * * * *\" } }]\n",
    );
    order(&home, 1..=5);
    let daemon = home.start();
    let told = || {
        let text = std::fs::read_to_string(home.path("told.jsonl")).unwrap_or_default();
        let ids = |line: &str| {
            let events: Vec<Json> = serde_json::from_str(line).expect("a digest is a list");
            events.iter().map(|event| event["data"]["id"].as_u64().unwrap()).collect::<Vec<_>>()
        };
        text.lines().filter(|line| line.ends_with(']')).map(ids).collect::<Vec<_>>()
    };
    until("all five", || told().concat().len() == 5);
    daemon.stop().well();
    assert_eq!(told().concat(), [1, 2, 3, 4, 5]);
    assert!(told().len() <= 2, "a second may end among them: {:?}", told());
    let counts = home.counts();
    assert_eq!((counts.fired, counts.acked, counts.pending), (5, 5, 0));
}
