//! What somebody asks of the outbox, on each store; and a directory of format 1, brought to this one.

use std::path::Path;

use expect_test::expect;
use thalweg_formulas::Timestamp;
use thalweg_graph::ports::{
    Act, Acted, CommitBatch, Digest, Manner, NEVER, Note, NoteKind, OutboxFilter, OutboxRow, OutboxState, OutboxUpdate, Store,
};
use thalweg_store::{MemoryStore, OutboxReader};

use crate::support::*;

const AT: Timestamp = Timestamp(9_000_000);

fn on_each_store(test: impl Fn(&mut dyn Store)) {
    let dir = tempfile::tempdir().unwrap();
    test(&mut open(dir.path()));
    test(&mut MemoryStore::default());
}

fn ack(id: &str) -> Act {
    Act::Ack { id: id.into(), result: "{\"by\":\"ann\"}".into() }
}

fn retry(id: &str) -> Act {
    Act::Retry { id: id.into(), body: None }
}

fn discard(id: &str) -> Act {
    Act::Discard { id: id.into() }
}

fn state_of(store: &mut dyn Store, id: &str) -> OutboxState {
    store.delivery(id).unwrap().unwrap().listed.state
}

/// What a delivery's history says, a word an entry.
fn story(store: &mut dyn Store, id: &str) -> String {
    let shown = store.delivery(id).unwrap().unwrap();
    shown.history.iter().map(|(_, note)| note.what.name()).collect::<Vec<_>>().join(" ")
}

#[test]
fn snk_09_an_acknowledgement_counts_once_whenever_it_comes() {
    on_each_store(|s| {
        let rows = ["pending", "acked", "dead", "gone"].map(|id| delivery(id, 1, id));
        s.commit(&CommitBatch { outbox: rows.to_vec(), ..batch(1, 1) }).unwrap();
        let over = [
            outcome("acked", OutboxState::Acked, 1, 0),
            outcome("dead", OutboxState::Dead, 3, 0),
            outcome("gone", OutboxState::Cancelled, 0, 0),
        ];
        s.update_outbox(&over).unwrap();
        for (id, expected, again) in [
            ("pending", Acted::Done, OutboxState::Acked),
            ("acked", Acted::Over(OutboxState::Acked), OutboxState::Acked),
            ("dead", Acted::Late, OutboxState::Acked),
            ("gone", Acted::Over(OutboxState::Cancelled), OutboxState::Cancelled),
        ] {
            assert_eq!(s.act(&ack(id), AT).unwrap(), expected, "{id}");
            assert_eq!(s.act(&ack(id), AT).unwrap(), Acted::Over(again), "{id} again");
            assert_eq!(state_of(s, id), again);
        }
        assert_eq!(s.act(&ack("never fired"), AT).unwrap(), Acted::Unknown);
        assert_eq!([story(s, "pending"), story(s, "acked"), story(s, "dead")], ["acknowledged", "", "late"]);
        // An attempt that was under way meanwhile changes nothing any more.
        s.update_outbox(&[outcome("pending", OutboxState::Dead, 1, 0)]).unwrap();
        assert_eq!(state_of(s, "pending"), OutboxState::Acked);
        let counts = s.outbox_counts().unwrap();
        assert_eq!((counts.fired, counts.acked, counts.dead, counts.cancelled, counts.pending), (4, 3, 0, 1, 0));
    });
}

#[test]
fn an_acknowledgement_is_for_all_actions_of_its_trigger_and_for_no_other() {
    on_each_store(|s| {
        let row = |id: &str, epoch, action, key| OutboxRow { action, ..delivery(id, epoch, key) };
        let rows = [row("a0", 1, 0, "k"), row("a1", 1, 1, "k"), row("b0", 1, 0, "l"), row("c0", 2, 0, "k")];
        s.commit(&CommitBatch { outbox: rows.to_vec(), ..batch(1, 2) }).unwrap();
        assert_eq!(s.act(&ack("a1"), AT).unwrap(), Acted::Done);
        let states = ["a0", "a1", "b0", "c0"].map(|id| state_of(s, id));
        assert_eq!(states, [OutboxState::Acked, OutboxState::Acked, OutboxState::Pending, OutboxState::Pending]);
        assert_eq!(due(s, 0, 9), ["b0", "c0"]);
    });
}

#[test]
fn a_dead_letter_is_replayed_with_its_id_and_its_bytes_or_edited_with_a_note() {
    on_each_store(|s| {
        s.commit(&CommitBatch { outbox: vec![delivery("a", 1, "k"), delivery("b", 1, "k")], ..batch(1, 1) }).unwrap();
        let failed = Note { what: NoteKind::Failed, took_us: 1500, detail: "E0510: 400".into() };
        let dead = OutboxUpdate { note: Some(failed), ..outcome("a", OutboxState::Dead, 3, 0) };
        s.update_outbox(&[dead]).unwrap();
        assert_eq!(due(s, 0, 9), ["b"]);
        assert_eq!(s.act(&retry("a"), AT).unwrap(), Acted::Done);
        let again = s.due_deliveries(AT, 9, &|_| false).unwrap();
        assert_eq!(again.len(), 1, "the lane's order is kept");
        let one = &again[0];
        assert_eq!((&*one.row.id, &one.row.body[..], one.attempts, one.since), ("a", &b"{\"id\":\"a\"}"[..], 0, AT));

        let edit = |body: &str| Act::Retry { id: "a".into(), body: Some(body.into()) };
        assert_eq!(s.act(&edit("{\"id\":"), AT).unwrap(), Acted::Malformed);
        assert_eq!(s.act(&edit("{\"id\":\"a\",\"total\":2}"), AT).unwrap(), Acted::Done);
        let shown = s.delivery("a").unwrap().unwrap();
        assert_eq!(&shown.body[..], b"{\"id\":\"a\",\"total\":2}");
        assert_eq!(story(s, "a"), "failed replayed edited replayed");
        assert_eq!(shown.history[2].1.detail, "{\"id\":\"a\"}", "the body before");
        assert_eq!(s.act(&discard("a"), AT).unwrap(), Acted::Done);
        assert_eq!(s.act(&retry("a"), AT).unwrap(), Acted::Over(OutboxState::Cancelled));
        assert_eq!(due(s, 0, 9), ["b"]);
    });
}

#[test]
fn snk_14_a_boolean_effect_coalesces_while_it_is_pending() {
    on_each_store(|s| {
        let row = |epoch| OutboxRow {
            manner: Manner { coalesces: true, ..Manner::default() },
            ..delivery(&format!("d{epoch}"), epoch, "k")
        };
        s.commit(&CommitBatch { outbox: vec![row(1), row(2), row(3)], ..batch(1, 3) }).unwrap();
        s.update_outbox(&[outcome("d1", OutboxState::Acked, 1, 0)]).unwrap();
        s.commit(&CommitBatch { outbox: vec![row(4)], ..batch(4, 4) }).unwrap();
        let counts = s.outbox_counts().unwrap();
        assert_eq!((counts.fired, counts.coalesced, counts.acked, counts.pending), (2, 2, 1, 1));
        let shown = s.delivery("d1").unwrap().unwrap();
        let merged: Vec<_> = shown.history.iter().map(|(at, note)| (at.0, note.what, note.detail.as_str())).collect();
        assert_eq!(merged, [(2_000_000, NoteKind::Coalesced, "3"), (3_000_000, NoteKind::Coalesced, "5")]);
        assert_eq!(due(s, 0, 9), ["d4"]);
    });
}

#[test]
fn an_action_behind_another_waits_until_that_is_over() {
    for (how, released) in [("acked", true), ("discarded", true), ("dead", false), ("pending", false)] {
        on_each_store(|s| {
            let row = |action| OutboxRow {
                action,
                manner: Manner { after_previous: action > 0, ..Manner::default() },
                ..delivery(&format!("a{action}"), 1, "k")
            };
            s.commit(&CommitBatch { outbox: vec![row(0), row(1), row(2)], ..batch(1, 1) }).unwrap();
            assert_eq!(due(s, 1_000_000, 9), ["a0"]);
            assert_eq!(s.delivery("a1").unwrap().unwrap().listed.not_before, NEVER);
            match how {
                "acked" => s.update_outbox(&[outcome("a0", OutboxState::Acked, 1, 0)]).unwrap(),
                "dead" => s.update_outbox(&[outcome("a0", OutboxState::Dead, 1, 0)]).unwrap(),
                "discarded" => assert_eq!(s.act(&discard("a0"), AT).unwrap(), Acted::Done),
                _ => s.update_outbox(&[outcome("a0", OutboxState::Pending, 1, 5)]).unwrap(),
            }
            assert_eq!(due(s, 1_000_000, 9).contains(&"a1".to_owned()), released, "{how}");
            assert!(!due(s, 1_000_000, 9).contains(&"a2".to_owned()), "{how}");
        });
    }
}

#[test]
fn a_paused_rule_waits_as_a_whole_or_in_one_action() {
    on_each_store(|s| {
        let row = |id: &str, node: &str, action| OutboxRow { node: node.into(), action, ..delivery(id, 1, id) };
        s.commit(&CommitBatch { outbox: vec![row("a", "x", 0), row("b", "x", 1), row("c", "y", 0)], ..batch(1, 1) }).unwrap();
        let pause = |action| Act::Pause { node: "x".into(), action, reason: "410".into() };
        assert_eq!(s.act(&pause(Some(1)), AT).unwrap(), Acted::Done);
        assert_eq!(due(s, 0, 9), ["a", "c"]);
        assert_eq!(s.act(&pause(None), AT).unwrap(), Acted::Done);
        assert_eq!(s.act(&pause(Some(1)), AT).unwrap(), Acted::Already);
        assert_eq!(due(s, 0, 9), ["c"]);
        assert_eq!(s.paused().len(), 2);
        assert_eq!(s.act(&Act::Resume { node: "x".into() }, AT).unwrap(), Acted::Done);
        assert_eq!(s.act(&Act::Resume { node: "x".into() }, AT).unwrap(), Acted::Unknown);
        assert_eq!(due(s, 0, 9), ["a", "b", "c"]);
    });
}

#[test]
fn a_history_keeps_its_first_entry_and_the_last_ones() {
    on_each_store(|s| {
        s.commit(&CommitBatch { outbox: vec![delivery("a", 1, "k")], ..batch(1, 1) }).unwrap();
        for n in 1..=100 {
            let note = Some(Note { what: NoteKind::Failed, took_us: n, detail: String::new() });
            s.update_outbox(&[OutboxUpdate { note, ..outcome("a", OutboxState::Pending, n as u32, 0) }]).unwrap();
        }
        let took: Vec<i64> = s.delivery("a").unwrap().unwrap().history.iter().map(|(_, note)| note.took_us).collect();
        assert_eq!(took, std::iter::once(1).chain(70..=100).collect::<Vec<_>>());
    });
}

#[test]
fn deliveries_are_looked_at_beside_the_process_that_has_the_store() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(dir.path());
    let rows = (1..=5).map(|e| delivery(&format!("d{e}"), e, &(e % 2).to_string())).collect();
    store.commit(&CommitBatch { outbox: rows, ..batch(1, 5) }).unwrap();
    store.update_outbox(&[outcome("d1", OutboxState::Dead, 3, 0), outcome("d4", OutboxState::Dead, 3, 0)]).unwrap();
    let reader = OutboxReader::open(dir.path()).unwrap();
    let ids = |key: Option<&str>, state, after, limit| {
        let filter = OutboxFilter { node: None, key: key.map(Into::into), state, after, limit };
        reader.deliveries(&filter).unwrap().into_iter().map(|d| d.id.to_string()).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(ids(None, None, 0, 9), "d1 d2 d3 d4 d5");
    assert_eq!(ids(None, Some(OutboxState::Dead), 0, 9), "d1 d4");
    assert_eq!(ids(Some("1"), Some(OutboxState::Pending), 0, 9), "d3 d5");
    assert_eq!(ids(None, None, 2, 2), "d3 d4");
    store.act(&retry("d1"), AT).unwrap();
    assert_eq!(ids(None, Some(OutboxState::Dead), 0, 9), "d4", "the next question sees the next commit");
    assert_eq!(reader.counts().unwrap(), store.outbox_counts().unwrap());
    assert_eq!(reader.instance_secret(), store.instance_secret());
    assert!(reader.delivery("d9").unwrap().is_none());
    let nothing = tempfile::tempdir().unwrap();
    let error =
        OutboxReader::open(nothing.path()).err().unwrap().to_string().replace(&nothing.path().display().to_string(), "<dir>");
    expect!["E0604: there is no store in <dir>; name the directory that `thalweg run` uses with --data"].assert_eq(&error);
}

#[test]
fn sto_12_a_directory_of_format_1_is_brought_to_this_one_with_all_that_is_in_it() {
    let dir = tempfile::tempdir().unwrap();
    copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/format-1"), dir.path());
    let older = OutboxReader::open(dir.path()).err().unwrap().to_string().replace(&dir.path().display().to_string(), "<dir>");
    expect!["E0603: <dir>/thalweg.db has the older format 1; start `thalweg run` on it once, which brings it up to date"]
        .assert_eq(&older);
    for _ in 0..2 {
        let mut store = open(dir.path());
        assert_eq!(store.recovered().epoch, 9);
        assert_eq!(store.chain(), "3a5235eb48c1a6921107c3b7431cecc89021a34093af269fe8f8768009e876ba");
        let counts = store.outbox_counts().unwrap();
        assert_eq!((counts.fired, counts.acked, counts.dead, counts.pending, counts.coalesced), (9, 1, 1, 7, 0));
        assert_eq!(due(&mut store, 0, 9), ["d4", "d5"]);
        assert_eq!(due(&mut store, 60, 9), ["d4", "d5", "d3"]);
        assert_eq!(store.timers().unwrap().len(), 1);
        let dead = store.delivery("d2").unwrap().unwrap();
        assert_eq!((dead.listed.state, dead.listed.ended_at), (OutboxState::Dead, None));
        assert_eq!(dead.listed.error, "E0510: the receiver answered 400 Bad Request");
    }
}

/// What fires in one window goes out as one, whatever the keys; what comes later, or does not fit any more, in the next.
#[test]
fn sto_14_a_digest_is_the_same_at_every_attempt_and_ends_as_one() {
    let digest = Digest { every_us: 60_000_000, max: 3, bytes: 1_000, by_key: false };
    let row = |n: u64| OutboxRow {
        manner: Manner { digest: Some(digest), ..Manner::default() },
        ..delivery(&format!("d{n}"), n, &n.to_string())
    };
    on_each_store(|s| {
        let ids = |rows: Vec<OutboxRow>| rows.iter().map(|row| row.id.to_string()).collect::<Vec<_>>().join(" ");
        s.commit(&CommitBatch { outbox: vec![row(1), row(2)], ..batch(1, 2) }).unwrap();
        let fired = s.delivery("d1").unwrap().unwrap().listed.fired_at.0 / 1_000_000;
        assert_eq!(due(s, fired + 59, 9), [""; 0], "its window has not ended");
        assert_eq!(due(s, fired + 60, 9), ["d1"]);
        assert_eq!(ids(s.gather("d1", &digest, AT).unwrap()), "d1 d2");
        s.commit(&CommitBatch { outbox: vec![row(3), row(4), row(5)], ..batch(3, 5) }).unwrap();
        assert_eq!(ids(s.gather("d1", &digest, AT).unwrap()), "d1 d2", "who is in it stays");
        assert_eq!(due(s, fired + 600, 9), ["d1"], "the next one waits for it");

        s.update_outbox(&[outcome("d1", OutboxState::Dead, 3, 0)]).unwrap();
        assert_eq!((state_of(s, "d1"), state_of(s, "d2")), (OutboxState::Dead, OutboxState::Dead));
        assert_eq!(due(s, 0, 9), ["d3"], "three are as many as one may hold: they wait no longer");
        assert_eq!(s.act(&retry("d2"), AT).unwrap(), Acted::Done);
        assert_eq!(due(s, 0, 9), ["d1"], "all of it is delivered again, and first");
        s.update_outbox(&[outcome("d1", OutboxState::Acked, 1, 0)]).unwrap();
        s.commit(&CommitBatch { outbox: vec![row(6), row(7), row(8)], ..batch(6, 8) }).unwrap();
        assert_eq!(ids(s.gather("d3", &digest, AT).unwrap()), "d3 d4 d5");
        assert_eq!(s.act(&discard("d5"), AT).unwrap(), Acted::Done);
        let counts = s.outbox_counts().unwrap();
        assert_eq!((counts.fired, counts.acked, counts.cancelled, counts.pending), (8, 2, 3, 3));
        assert_eq!(due(s, 0, 9), ["d6"], "three waited behind it");
        assert_eq!(story(s, "d2"), "gathered replayed");
        let mut digest_of = |id: &str| s.delivery(id).unwrap().unwrap().history[0].1.detail.clone();
        assert_eq!((digest_of("d1"), digest_of("d1").len()), (digest_of("d2"), 26));
    });
}

#[test]
fn sto_14_a_backlog_goes_out_digest_by_digest_without_waiting() {
    let digest = Digest { every_us: 3_600_000_000, max: 5, bytes: 1_000, by_key: false };
    on_each_store(|s| {
        let manner = Manner { digest: Some(digest), ..Manner::default() };
        let outbox = (1..=18).map(|n| OutboxRow { manner, ..delivery(&format!("d{n}"), n, &n.to_string()) }).collect();
        s.commit(&CommitBatch { outbox, ..batch(1, 18) }).unwrap();
        for first in ["d1", "d6", "d11"] {
            assert_eq!(due(s, 0, 9), [first]);
            assert_eq!(s.gather(first, &digest, AT).unwrap().len(), 5);
            s.update_outbox(&[outcome(first, OutboxState::Acked, 1, 0)]).unwrap();
        }
        assert_eq!(due(s, 0, 9), [""; 0], "three wait for the end of their window");
    });
}

#[test]
fn sto_12_a_directory_of_format_2_is_brought_to_this_one() {
    let dir = tempfile::tempdir().unwrap();
    copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/format-2"), dir.path());
    for _ in 0..2 {
        let mut store = open(dir.path());
        let counts = store.outbox_counts().unwrap();
        assert_eq!((store.recovered().epoch, counts.fired, counts.acked, counts.pending), (3, 5, 3, 2));
        let all = OutboxFilter { node: None, key: None, state: None, after: 0, limit: 9 };
        assert_eq!(store.deliveries(&all).unwrap().len(), 5);
    }
    OutboxReader::open(dir.path()).unwrap().verify().unwrap();
}
