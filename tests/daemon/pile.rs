//! SNK-6: deliveries pile up behind a receiver that is down. Others are not held up, memory is bounded, and when it is back everything is
//! delivered, in order. `THALWEG_PILE` sets how many (2,000; the drill is 100,000).

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Instant;

use serde_json::Value as Json;

use super::harness::{Daemon, Home, SECRET, receiver, receiver_at, until, webhook};
use super::status::get;

/// Documents; each rises again and again.
const KEYS: u64 = 500;

/// Each document goes above the limit and below it, round by round.
fn flaps(rises: u64) -> String {
    let mut text = String::new();
    for n in 0..rises {
        for amount in [100 + n, 1] {
            let after = format!("{{\"id\":{},\"amount\":{amount}}}", n % KEYS);
            writeln!(text, "{{\"changes\":[{{\"table\":\"Order\",\"op\":\"upsert\",\"after\":{after}}}]}}").unwrap();
        }
    }
    text
}

/// The most memory that the daemon ever had, in MiB.
fn peak_mib(daemon: &Daemon) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", daemon.pid())).expect("the daemon runs");
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("Linux tells the peak");
    peak.trim().trim_end_matches(" kB").parse::<u64>().unwrap() / 1024
}

#[test]
fn snk_06_what_piles_up_behind_a_dead_receiver_is_delivered_in_order_when_it_is_back() {
    let rises: u64 = std::env::var("THALWEG_PILE").ok().map_or(2_000, |n| n.parse().expect("THALWEG_PILE is a number"));
    let (dead, alive) = (receiver(), receiver());
    let (url, address) = (webhook(&dead), dead.address());
    drop(dead);
    let effect = |name: &str, action: &str| {
        format!(
            "[[effect]]\nname = \"{name}\"\non = \"Order\"\nwhen = \"amount >= 100\"\npayload = [\"id\", \"amount\"]\nactions = [{action}]\n"
        )
    };
    let home = Home::new(&format!(
        "[egress]\nallow = [\"127.0.0.0/8\"]\n[http]\nlisten = \"127.0.0.1:0\"\n[[source]]\nname = \"shop\"\nkind = \"jsonl\"\npath = \"orders.jsonl\"\n\
         [[table]]\nname = \"Order\"\nkey = [\"id\"]\n{}{}",
        effect("dead", &url),
        effect("alive", &webhook(&alive))
    ));
    std::fs::write(home.path("orders.jsonl"), flaps(rises)).unwrap();
    let daemon = home.start();
    let begun = Instant::now();
    for n in (1..=10).map(|part| rises * part / 10) {
        until(&format!("{n} of {rises} deliveries to the receiver that is up"), || alive.totals().accepted_distinct >= n);
    }
    let others = begun.elapsed();
    let status = || -> Json {
        let said = daemon.said();
        let address = said.split_once("status at http://").expect("the address is said").1.split('/').next().unwrap().to_owned();
        serde_json::from_str(&get(&address, "/status").1).expect("/status is JSON")
    };
    until("the last of them recorded", || status()["outbox"]["acked"] == rises);
    let page = status();
    assert_eq!((&page["outbox"]["fired"], &page["outbox"]["pending"]), (&(2 * rises).into(), &rises.into()));
    let waiting = page["waiting"][0]["what"].as_str().expect("/status names the endpoint");
    assert_eq!(waiting, format!("endpoint http://{address}"));

    let back = receiver_at(&address.to_string(), SECRET);
    until("the first probe", || back.totals().accepted > 0);
    let begun = Instant::now();
    for n in (1..=10).map(|part| rises * part / 10) {
        until(&format!("{n} of {rises} deliveries to the receiver that is back"), || back.totals().accepted_distinct >= n);
    }
    let rate = rises as f64 / begun.elapsed().as_secs_f64();
    until("all recorded", || status()["outbox"]["acked"] == 2 * rises);
    let peak = peak_mib(&daemon);
    eprintln!("{rises} piled up: others took {others:?}, then {rate:.0} deliveries a second, peak {peak} MiB");
    assert!(peak <= 256, "{peak} MiB");
    daemon.stop().well();

    let listed = home.command(&["effects", "ls", "--effect", "dead", "--limit", "10000000", "--json"]).output().unwrap();
    let received = back.received();
    let mut last = BTreeMap::new();
    for line in String::from_utf8(listed.stdout).unwrap().lines() {
        let delivery: Json = serde_json::from_str(line).unwrap();
        let at = received[delivery["id"].as_str().unwrap()].first_at;
        let before = last.insert(delivery["key"].to_string(), at);
        assert!(before.is_none_or(|before| before <= at), "out of order: {line}");
    }
    assert_eq!((last.len() as u64, received.len() as u64), (KEYS.min(rises), rises));
    let totals = back.totals();
    assert_eq!((totals.accepted, totals.contradictions, totals.unverified), (rises, 0, 0));
}
