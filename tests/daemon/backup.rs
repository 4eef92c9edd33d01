//! A data directory is looked through and copied beside the daemon; the copy goes on where it was.

use std::process::Output;

use serde_json::Value as Json;

use super::harness::{Daemon, Home, receiver, shop, shop_server, until, webhook};

/// What a verb says on stdout and stderr, and its exit code.
fn said(home: &Home, args: &[&str]) -> (String, i32) {
    let Output { status, stdout, stderr } = home.command(args).output().expect("the binary runs");
    let text = String::from_utf8(stdout).unwrap() + &String::from_utf8(stderr).unwrap();
    (text, status.code().unwrap_or(-1))
}

#[test]
fn sto_13_a_backup_beside_the_daemon_goes_on_and_repeats_nothing_that_was_acknowledged() {
    let Some(server) = shop_server() else { return };
    let receiver = receiver();
    let home = Home::new(&shop(&server.url(), &webhook(&receiver)));
    // A snapshot to be copied, then rows behind it.
    server.exec("INSERT INTO shop.orders VALUES (1, 10), (2, 20)");
    home.run_until_idle("0.3").well();
    let daemon = home.start_live();
    server.exec("UPDATE shop.orders SET amount = 200; INSERT INTO shop.orders VALUES (3, 300)");
    until("three deliveries recorded", || {
        let (text, _) = said(&home, &["verify", "--json"]);
        serde_json::from_str::<Json>(&text).is_ok_and(|line| line["acked"] == 3)
    });
    let (text, code) = said(&home, &["backup", ".thalweg", "copy", "--json"]);
    assert_eq!(code, 0, "{text}");
    let copied: Json = serde_json::from_str(&text).unwrap();
    assert_eq!(
        (&copied["v"], &copied["fired"], &copied["acked"], &copied["pending"]),
        (&1.into(), &3.into(), &3.into(), &0.into())
    );
    assert_eq!(copied["snapshots"].as_array().map(Vec::len), Some(1), "{copied}");
    let again = "error: E0619: copy is not empty; name a directory that is not there yet\n".to_owned();
    assert_eq!(said(&home, &["backup", ".thalweg", "copy"]), (again, 1));

    server.exec("INSERT INTO shop.orders VALUES (4, 400)");
    until("what came after the copy", || receiver.totals().accepted_distinct == 4);
    daemon.stop().well();
    let (before, _) = said(&home, &["verify", ".thalweg"]);
    Daemon::of(home.command(&["run", "thalweg.toml", "--data", "copy", "--until-idle", "0.5"])).wait().well();
    let totals = receiver.totals();
    assert_eq!(
        (totals.accepted, totals.accepted_distinct, totals.contradictions),
        (5, 4, 0),
        "only what came after it, with its id"
    );
    let deliveries = |text: &str| text.lines().nth(1).unwrap().to_owned();
    let (after, _) = said(&home, &["verify", "copy"]);
    assert_eq!(deliveries(&after), "deliveries 4 fired = 4 acked + 0 dead + 0 cancelled + 0 pending; 0 coalesced");
    assert_eq!(deliveries(&after), deliveries(&before));
}

#[test]
fn sto_06_a_changed_byte_of_a_delivery_is_found_and_named() {
    let receiver = receiver();
    let home = Home::new(&format!(
        "[egress]\nallow = [\"127.0.0.0/8\"]\n[[source]]\nname = \"shop\"\nkind = \"jsonl\"\npath = \"orders.jsonl\"\n[[table]]\nname = \"Order\"\nkey = [\"id\"]\n\
         [[effect]]\nname = \"big\"\non = \"Order\"\nwhen = \"amount > 100\"\npayload = [\"id\", \"amount\"]\nactions = [{}]\n",
        webhook(&receiver)
    ));
    let order = "{\"changes\":[{\"table\":\"Order\",\"op\":\"upsert\",\"after\":{\"id\":7,\"amount\":4321}}]}\n";
    std::fs::write(home.path("orders.jsonl"), order).unwrap();
    home.run_until_idle("0.3").well();
    assert_eq!(said(&home, &["verify"]).1, 0);
    drop(home.store()); // Leaves no write-ahead log.
    let path = home.path(".thalweg/thalweg.db");
    let mut bytes = std::fs::read(&path).unwrap();
    let at = bytes
        .windows(16)
        .position(|found| found == b"\"amount\":4321}}]" || found.starts_with(b"\"amount\":4321"))
        .expect("the body lies there");
    bytes[at + 9] = b'5';
    std::fs::write(&path, bytes).unwrap();
    let (text, code) = said(&home, &["verify"]);
    assert_eq!(code, 1, "{text}");
    assert!(text.starts_with("error: E0605: "), "{text}");
    assert!(text.contains("delivery number 1"), "{text}");
}
