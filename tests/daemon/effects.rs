//! Dead letters from the command line alone: found, understood, replayed, edited, withdrawn; beside a daemon and without one.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Output;

use serde_json::Value as Json;
use thalweg_sinks::receiver::{Behaviour, Receiver};

use super::harness::{Home, receiver, until};
use super::status::get;

/// Orders from a file of lines; each above 100 is told.
fn home(receiver: &Receiver, orders: &[(u32, u32)]) -> Home {
    let hook = format!(
        "{{ type = \"webhook\", url = \"{}\", secret = \"${{HOOK_SECRET}}\", backoff = \"20ms..50ms\" }}",
        receiver.url()
    );
    let home = Home::new(&config(&hook, ""));
    let line = |(id, amount): &(u32, u32)| {
        format!(
            "{{\"tx\":\"t{id}\",\"changes\":[{{\"table\":\"Order\",\"op\":\"upsert\",\"after\":{{\"id\":{id},\"amount\":{amount}}}}}]}}\n"
        )
    };
    std::fs::write(home.path("orders.jsonl"), orders.iter().map(line).collect::<String>()).unwrap();
    home
}

fn config(actions: &str, options: &str) -> String {
    format!(
        "[egress]\nallow = [\"127.0.0.0/8\"]\n\n[[source]]\nname = \"shop\"\nkind = \"jsonl\"\npath = \"orders.jsonl\"\n\n[[table]]\nname = \"Order\"\nkey = [\"id\"]\n\n\
         [[effect]]\nname = \"big\"\non = \"Order\"\nwhen = \"amount > 100\"\npayload = [\"id\", \"amount\"]\n{options}actions = [{actions}]\n"
    )
}

/// What `thalweg effects` says on stdout, and its exit code.
fn effects(home: &Home, args: &[&str]) -> (String, i32) {
    let Output { status, stdout, stderr } = home.command(&[&["effects"], args].concat()).output().expect("the binary runs");
    let text = String::from_utf8(stdout).unwrap() + &String::from_utf8(stderr).unwrap();
    (text, status.code().unwrap_or(-1))
}

/// The lines of a list.
fn listed(home: &Home, args: &[&str]) -> Vec<Json> {
    let (text, code) = effects(home, &[args, &["--json"]].concat());
    assert_eq!(code, 0, "{text}");
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_dead_letter_is_found_understood_and_replayed_beside_the_daemon() {
    let receiver = receiver();
    let refusal = Behaviour::Answer { status: 422, headers: Vec::new(), body: "no such customer".into() };
    receiver.behave(refusal);
    let home = home(&receiver, &[(1, 150), (2, 50), (3, 250), (4, 350)]);
    let daemon = home.start();
    until("three dead letters", || home.path(".thalweg/thalweg.db").exists() && listed(&home, &["dead"]).len() == 3);

    let dead = listed(&home, &["dead", "--effect", "big", "--key", "[3]"]);
    assert_eq!(
        (dead.len(), &dead[0]["state"], &dead[0]["attempts"], &dead[0]["version"]),
        (1, &"dead".into(), &3.into(), &1.into())
    );
    let error = "E0510: the receiver answered 422 Unprocessable Entity: no such customer";
    assert_eq!(dead[0]["error"], error);
    let id = dead[0]["id"].as_str().unwrap().to_owned();
    let shown = listed(&home, &["show", &id]).remove(0);
    assert_eq!(shown["body"]["data"], serde_json::json!({"id": 3, "amount": 250}));
    let history: Vec<_> = shown["history"].as_array().unwrap().iter().map(|entry| (&entry["what"], &entry["detail"])).collect();
    assert_eq!(history, [(&"failed".into(), &error.into()); 3]);
    let (table, _) = effects(&home, &["dead"]);
    assert_eq!(table.lines().count(), 4, "{table}");

    // The receiver is mended: the same id and bytes, in place.
    receiver.behave(Behaviour::Accept);
    assert_eq!(effects(&home, &["retry", &id]), (format!("{id} to be delivered again\n"), 0));
    until("its delivery", || listed(&home, &["ls", "--state", "acked"]).len() == 1);
    assert_eq!(receiver.received()[&id].requests, 4);
    assert_eq!(receiver.totals().contradictions, 0);

    // Another is edited, the third is withdrawn.
    let other = listed(&home, &["dead", "--key", "[1]"])[0]["id"].as_str().unwrap().to_owned();
    std::fs::write(home.path("new.json"), "{\"id\": 1, \"customer\": 7}\n").unwrap();
    std::fs::write(home.path("bad.json"), "{\"id\": 1").unwrap();
    let (refused, code) = effects(&home, &["retry", &other, "--edit", "bad.json"]);
    assert_eq!((refused.contains("E0615: the body of"), code), (true, 1), "{refused}");
    assert_eq!(effects(&home, &["retry", &other, "--edit", "new.json"]).1, 0);
    until("the edited delivery", || receiver.last().1 == b"{\"id\": 1, \"customer\": 7}");
    let words = |id: &str| {
        let shown = listed(&home, &["show", id]).remove(0);
        shown["history"].as_array().unwrap().iter().map(|e| e["what"].as_str().unwrap().to_owned()).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(words(&other), "failed failed failed edited replayed");
    let third = listed(&home, &["dead"])[0]["id"].as_str().unwrap().to_owned();
    assert_eq!(effects(&home, &["discard", &third]), (format!("{third} discarded\n"), 0));
    assert_eq!(effects(&home, &["discard", &third]), (format!("{third} is discarded already\n"), 0));
    let (text, code) = effects(&home, &["retry", &third]);
    assert_eq!((text.as_str(), code), (format!("error: E0616: {third} is discarded already, and stays so\n").as_str(), 1));
    let nobody = effects(&home, &["ack", "01KAV8Y0ZZ0000000000000000"]);
    let help = "  = help: thalweg effects ls shows those that there are\n";
    assert_eq!(nobody, (format!("error: E0614: no delivery has the id 01KAV8Y0ZZ0000000000000000\n{help}"), 1));
    daemon.stop().well();
    let counts = home.counts();
    assert_eq!((counts.fired, counts.acked, counts.cancelled, counts.dead, counts.pending), (3, 2, 1, 0, 0));
}

#[test]
fn all_dead_letters_are_replayed_in_order_while_no_daemon_runs() {
    let receiver = receiver();
    receiver.behave(Behaviour::status(400));
    let home = home(&receiver, &[(1, 150), (2, 120), (3, 250)]);
    home.run_until_idle("0.5").well();
    assert_eq!(listed(&home, &["dead"]).len(), 3);
    let (text, code) = effects(&home, &["retry", "--dead", "--effect", "big"]);
    assert_eq!((text.lines().count(), code), (3, 0), "{text}");
    assert_eq!(effects(&home, &["ls", "--data", "nowhere"]).1, 4);
    assert_eq!(effects(&home, &["ack", "x", "--data", "nowhere"]).1, 4);
    assert!(!home.path("nowhere").exists());
    receiver.behave(Behaviour::Accept);
    home.run_until_idle("0.5").well();
    assert_eq!((home.counts().acked, home.counts().dead), (3, 0));
}

#[test]
fn a_paused_rule_waits_and_status_says_so() {
    let receiver = receiver();
    let home = home(&receiver, &[(1, 150)]);
    home.run_until_idle("0.5").well();
    assert_eq!(effects(&home, &["pause", "big", "--reason", "the receiver moves"]).1, 0);
    std::fs::OpenOptions::new()
        .append(true)
        .open(home.path("orders.jsonl"))
        .and_then(|mut file| {
            file.write_all(
                b"{\"tx\":\"t2\",\"changes\":[{\"table\":\"Order\",\"op\":\"upsert\",\"after\":{\"id\":2,\"amount\":500}}]}\n",
            )
        })
        .unwrap();
    let daemon = home.start();
    until("the second firing", || listed(&home, &["ls", "--state", "pending"]).len() == 1);
    assert_eq!(effects(&home, &["pause", "big"]), ("big was paused already\n".to_owned(), 0));
    assert_eq!(receiver.totals().accepted, 1);
    assert_eq!(effects(&home, &["resume", "big"]), ("big resumed\n".to_owned(), 0));
    until("its delivery", || receiver.totals().accepted == 2);
    daemon.stop().well();
}

#[test]
fn snk_02_an_endpoint_that_is_gone_is_paused_until_somebody_says_otherwise() {
    let receiver = receiver();
    receiver.behave(Behaviour::status(410));
    let home = home(&receiver, &[(1, 150)]);
    let daemon = home.start();
    daemon.until_said("E0510: the receiver answered 410 Gone");
    until("one attempt and no more", || listed(&home, &["ls", "--state", "pending"]).first().is_some_and(|d| d["attempts"] == 1));
    receiver.behave(Behaviour::Accept);
    assert_eq!(effects(&home, &["resume", "big"]).1, 0);
    until("its delivery", || receiver.totals().accepted == 1);
    assert_eq!(receiver.totals().requests, 2);
    daemon.stop().well();
}

const ACKED: &str = "mode = \"ack\"\nack = { timeout = \"400ms\", retries = 1 }\n";

/// A request to acknowledge; the status line's code and the outcome.
fn post(address: &str, id: &str, token: &str, body: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).expect("the daemon listens");
    let head =
        format!("POST /effects/{id}/ack HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\nauthorization: Bearer {token}");
    write!(stream, "{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer is text");
    let code = answer.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap();
    let body: Json = serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap_or_default();
    (code, body["outcome"].as_str().unwrap_or_default().to_owned())
}

fn acking(receiver: &Receiver, options: &str) -> Home {
    let home = home(receiver, &[(1, 150)]);
    let hook = format!(
        "{{ type = \"webhook\", url = \"{}\", secret = \"${{HOOK_SECRET}}\", backoff = \"20ms..50ms\" }}",
        receiver.url()
    );
    home.configure(&(config(&hook, options) + "\n[http]\nlisten = \"127.0.0.1:0\"\n"));
    home
}

fn address_of(said: &str) -> String {
    said.split_once("status at http://").expect("the address is said").1.split('/').next().unwrap().to_owned()
}

#[test]
fn snk_09_acknowledgements_over_http_count_once_and_forged_ones_never() {
    let receiver = receiver();
    let home = acking(&receiver, "mode = \"ack\"\n");
    let daemon = home.start();
    until("the first delivery", || receiver.totals().accepted == 1);
    until("it waits for its acknowledgement", || listed(&home, &["ls"])[0]["phase"] == "waiting");
    let address = address_of(&daemon.said());
    let id = listed(&home, &["ls"])[0]["id"].as_str().unwrap().to_owned();
    let (head, body) = receiver.last();
    let token =
        head.lines().find_map(|line| line.to_lowercase().starts_with("webhook-ack-token: ").then(|| line[19..].to_owned()));
    let token = token.expect("the delivery carries its token");
    let body: Json = serde_json::from_slice(&body).unwrap();
    assert_eq!(body["acktoken"], token.as_str());
    assert_eq!(listed(&home, &["show", &id])[0]["ack_token"], token.as_str());

    let stranger = "01KAV8Y0ZZ0000000000000000";
    assert_eq!(post(&address, &id, "", ""), (403, "forbidden".into()));
    assert_eq!(post(&address, &id, &token.chars().rev().collect::<String>(), ""), (403, "forbidden".into()));
    assert_eq!(post(&address, stranger, &token, ""), (403, "forbidden".into()));
    let own = thalweg_sinks::sign::ack_token(home.store_secret().as_str(), stranger).unwrap();
    assert_eq!(post(&address, stranger, &own, ""), (404, "unknown".into()));
    assert_eq!(listed(&home, &["ls"])[0]["state"], "pending");
    assert_eq!(post(&address, &id, &token, "{\"approved\":true}"), (200, "acked".into()));
    assert_eq!(post(&address, &id, &token, "{\"approved\":false}"), (200, "already_acked".into()));
    let shown = listed(&home, &["show", &id]).remove(0);
    assert_eq!((&shown["state"], &shown["version"], &shown["ack_version"]), (&"acked".into(), &1.into(), &2.into()));
    let history = shown["history"].as_array().unwrap();
    assert_eq!((&history[1]["what"], &history[1]["detail"]), (&"acknowledged".into(), &"{\"approved\":true}".into()));
    daemon.stop().well();
    assert_eq!(home.counts().acked, 1);
}

#[test]
fn what_nobody_acknowledges_is_delivered_again_and_then_a_dead_letter_until_somebody_does() {
    let receiver = receiver();
    let home = acking(&receiver, ACKED);
    let daemon = home.start();
    until("the dead letter", || home.path(".thalweg/thalweg.db").exists() && listed(&home, &["dead"]).len() == 1);
    let dead = listed(&home, &["dead"]).remove(0);
    assert_eq!(
        (&dead["error"], &dead["deliveries"]),
        (&"E0560: not acknowledged within 400ms, after 2 deliveries".into(), &2.into())
    );
    let totals = receiver.totals();
    assert_eq!((totals.accepted, totals.accepted_distinct, totals.contradictions), (2, 1, 0), "the same id and the same bytes");
    let id = dead["id"].as_str().unwrap();
    assert_eq!(
        effects(&home, &["ack", id, "--result", "by phone"]).0,
        format!("{id} acknowledged, late: it was a dead letter\n")
    );
    assert_eq!(effects(&home, &["ack", id]), (format!("{id} is acknowledged already\n"), 0));
    daemon.stop().well();
    let counts = home.counts();
    assert_eq!((counts.fired, counts.acked, counts.dead), (1, 1, 0));
}

#[test]
fn an_answer_may_acknowledge_at_once() {
    let receiver = receiver();
    receiver.behave(Behaviour::Answer { status: 200, headers: Vec::new(), body: "{\"ack\": true, \"result\": 7}".into() });
    let home = acking(&receiver, ACKED);
    home.run_until_idle("0.5").well();
    assert_eq!((home.counts().acked, receiver.totals().requests), (1, 1));
    let shown = listed(&home, &["ls"]).remove(0);
    assert_eq!(listed(&home, &["show", shown["id"].as_str().unwrap()])[0]["history"][0]["detail"], "7");
}

/// Three orders of one key: up, down, up again, each rise a trigger.
const FLAPS: &str = "{\"changes\":[{\"table\":\"Order\",\"op\":\"upsert\",\"after\":{\"id\":1,\"amount\":AMOUNT}}]}\n";

#[test]
fn snk_14_queue_counter_and_boolean_keep_count_and_merge_as_they_say() {
    for (options, fired, coalesced, sent) in [
        ("mode = \"ack\"\n", 3, 0, 1),
        ("kind = \"counter\"\nmode = \"count\"\n", 3, 0, 3),
        ("kind = \"boolean\"\nmode = \"ack\"\n", 1, 2, 1),
    ] {
        let receiver = receiver();
        let home = acking(&receiver, options);
        let flaps = ["150", "1", "160", "2", "170", "3"].map(|amount| FLAPS.replace("AMOUNT", amount)).concat();
        std::fs::write(home.path("orders.jsonl"), flaps).unwrap();
        let daemon = home.start();
        until("what may be sent is sent", || receiver.totals().accepted >= sent && listed(&home, &["ls"]).len() as u64 == fired);
        let address = address_of(&daemon.said());
        until("it waits", || listed(&home, &["ls"]).iter().filter(|d| d["phase"] == "waiting").count() as u64 == sent);
        let status: Json = serde_json::from_str(&get(&address, "/status").1).unwrap();
        let outbox = &status["outbox"];
        assert_eq!(
            (&outbox["fired"], &outbox["coalesced"], &outbox["pending"]),
            (&fired.into(), &coalesced.into(), &fired.into())
        );
        let versions: Vec<_> = listed(&home, &["ls"]).iter().map(|d| d["version"].as_u64().unwrap()).collect();
        assert_eq!(versions, (1..=fired).map(|k| 2 * k - 1).collect::<Vec<_>>());
        // One acknowledged after the other, every one is over, in order.
        for _ in 0..fired {
            until("one waits", || listed(&home, &["ls", "--state", "pending"])[0]["phase"] == "waiting");
            let id = listed(&home, &["ls", "--state", "pending"])[0]["id"].as_str().unwrap().to_owned();
            assert_eq!(effects(&home, &["ack", &id]).1, 0);
        }
        daemon.stop().well();
        let counts = home.counts();
        assert_eq!((counts.acked, counts.pending, counts.coalesced), (fired, 0, coalesced));
        assert_eq!(receiver.totals().accepted, fired);
    }
}

#[test]
fn an_effect_without_actions_waits_for_its_acknowledgement() {
    let receiver = receiver();
    let home = home(&receiver, &[(1, 150)]);
    home.configure(&config("", "mode = \"ack\"\n"));
    home.run_until_idle("0.5").well();
    let one = listed(&home, &["ls"]).remove(0);
    assert_eq!((&one["state"], &one["phase"]), (&"pending".into(), &"waiting".into()));
    assert_eq!(effects(&home, &["ack", one["id"].as_str().unwrap()]).1, 0);
    assert_eq!((home.counts().acked, home.counts().pending), (1, 0));
}

#[test]
fn an_action_behind_another_goes_when_that_has_gone() {
    let (first, second) = (receiver(), receiver());
    first.behave(Behaviour::FailFirst(3));
    let home = home(&first, &[(1, 150)]);
    let hook = |r: &Receiver, more: &str| {
        format!("{{ type = \"webhook\", url = \"{}\", secret = \"${{HOOK_SECRET}}\", backoff = \"20ms..50ms\"{more} }}", r.url())
    };
    home.configure(&config(&format!("{}, {}", hook(&first, ""), hook(&second, ", after = \"previous\"")), ""));
    home.run_until_idle("1").well();
    assert_eq!((first.totals().accepted, second.totals().accepted), (1, 1));
    let at = |r: &Receiver| r.received().values().next().unwrap().first_at;
    assert!(at(&second) > at(&first));
    assert_eq!(home.counts().acked, 2);
}

#[test]
fn at_most_once_is_one_attempt_and_a_failure_is_a_dead_letter() {
    let receiver = receiver();
    receiver.behave(Behaviour::AcceptAndCut);
    let home = home(&receiver, &[(1, 150)]);
    let hook = format!(
        "{{ type = \"webhook\", url = \"{}\", secret = \"${{HOOK_SECRET}}\", delivery = \"at-most-once\" }}",
        receiver.url()
    );
    home.configure(&config(&hook, ""));
    home.run_until_idle("0.5").well();
    assert_eq!((receiver.totals().requests, home.counts().dead), (1, 1));
    home.run_until_idle("0.5").well();
    assert_eq!(receiver.totals().requests, 1);
}
