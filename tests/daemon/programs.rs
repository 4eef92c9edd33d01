//! Programs that the daemon runs: they get every event, and none outlives it.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use thalweg::config::{Config, Environment};
use thalweg::runtime::actions::{Failure, environment_and_files};
use thalweg::runtime::launch::{self, Launch};

use super::harness::{Home, runtime, shop, shop_server, until};

/// Notes each event it is given, once for each id; answers every third only when it is asked again.
const HANDLER: &str = r#"#!/bin/sh
echo $$ >> handlers
sleep 1000 &
echo $! >> sleepers
while IFS= read -r line; do
    id=$(echo "$line" | cut -d'"' -f4)
    if ! grep -q "$id" handled 2>/dev/null; then
        echo "$id" >> handled
        if [ $(($(wc -l < handled) % 3)) = 0 ]; then
            echo "{\"id\":\"$id\",\"error\":\"ask me again\",\"retry\":true}"
            continue
        fi
    fi
    echo "{\"id\":\"$id\",\"ok\":true}"
done
"#;

/// Notes the effect id, once, and fails the first time.
const SHELL: &str =
    "cat > /dev/null; if grep -q $THALWEG_EFFECT_ID ran; then exit 0; fi; echo $THALWEG_EFFECT_ID >> ran; exit 75";

fn lines(home: &Home, name: &str) -> Vec<String> {
    let mut lines: Vec<String> = std::fs::read_to_string(home.path(name)).unwrap_or_default().lines().map(String::from).collect();
    lines.sort();
    lines.dedup();
    lines
}

/// `orders.jsonl` is the source, and `effect` is what becomes of an order.
fn orders(home: &Home, effect: &str) {
    home.configure(&format!(
        r#"
        [[source]]
        name = "orders"
        kind = "jsonl"
        path = "{}"
        [[table]]
        name = "Order"
        key = ["id"]
        [[effect]]
        on = "Order"
        {effect}
        "#,
        home.path("orders.jsonl").display()
    ));
}

fn is_running(pid: &str) -> bool {
    let stat = std::fs::read_to_string(Path::new("/proc").join(pid).join("stat")).unwrap_or_default();
    !stat.is_empty() && !stat.contains(") Z ")
}

#[test]
fn every_event_reaches_its_programs_and_they_end_with_the_daemon() {
    let Some(server) = shop_server() else { return };
    let handler = r#"{ type = "handler", command = ["sh", "handler.sh"], backoff = "20ms..50ms" }"#;
    let shell =
        format!("{{ type = \"shell\", command = [\"sh\", \"-c\", \"{SHELL}\"], backoff = \"20ms..50ms\", concurrency = 8 }}");
    let home = Home::new(&shop(&server.url(), &format!("{handler}, {shell}"))).env("PATH", &std::env::var("PATH").unwrap());
    std::fs::write(home.path("handler.sh"), HANDLER).unwrap();
    std::fs::write(home.path("ran"), "").unwrap();
    let mut daemon = home.start_live();
    for n in 0..40 {
        server.exec(&format!("INSERT INTO shop.orders VALUES ({n}, {})", 101 + n));
        if n % 15 == 14 {
            daemon.kill9();
            daemon = home.start_live();
        }
    }
    until("all events", || lines(&home, "handled").len() == 40 && lines(&home, "ran").len() == 40);
    let begun = lines(&home, "handlers").len();
    daemon.stop().well();
    home.run_until_idle("0.5").well();
    let counts = home.counts();
    assert_eq!((counts.fired, counts.acked, counts.pending, counts.dead), (80, 80, 0, 0), "{counts:?}");
    assert_eq!((lines(&home, "handled").len(), lines(&home, "ran").len()), (40, 40));
    assert!(begun >= 3, "each start of the daemon has its own");
    // A daemon that is killed cannot end what its programs have started; one that stops ends all. The input of a handler ends either way.
    until("the handlers are gone", || !lines(&home, "handlers").iter().any(|pid| is_running(pid)));
    let left: Vec<String> = lines(&home, "sleepers").into_iter().filter(|pid| is_running(pid)).collect();
    assert!(left.len() <= 2, "only those of the two killed daemons: {left:?}");
    for pid in left {
        std::process::Command::new("kill").args(["-9", &pid]).status().unwrap();
    }
}

#[test]
fn a_program_that_embeds_the_runtime_handles_events_itself() {
    let home = Home::new("");
    orders(
        &home,
        r#"
        name = "big"
        when = "total > 100"
        actions = [{ type = "handler", name = "charge", backoff = "10ms..20ms" }]
        "#,
    );
    let line =
        |id: u32| format!(r#"{{"changes":[{{"table":"Order","op":"insert","after":{{"id":{id},"total":{}}}}}]}}"#, 99 + id);
    std::fs::write(home.path("orders.jsonl"), (1..=5).map(|id| line(id) + "\n").collect::<String>()).unwrap();
    let config = Config::load(&home.path("thalweg.toml"), &Environment::default()).unwrap();
    let (_stop, stop) = tokio::sync::watch::channel(false);
    let (data, secrets) = (Some(home.path(".thalweg")), Arc::new(environment_and_files));
    let mut setup = launch::setup(Launch { config, data, until_idle: Some(Duration::from_millis(300)), secrets, stop }).unwrap();
    let charged = Arc::new(Mutex::new(Vec::new()));
    let charges = charged.clone();
    setup.sinks.handlers.on("charge", move |event| {
        if event.attempt == 1 {
            return Err(Failure::Retry("the bank is closed".into()));
        }
        let id = event.data()["id"].as_i64().ok_or_else(|| Failure::Refused("no id".into()))?;
        charges.lock().unwrap().push(id);
        Ok(())
    });
    runtime().block_on(async { thalweg::runtime::start(setup).await.unwrap().wait().await.unwrap() });
    let mut charged = std::mem::take(&mut *charged.lock().unwrap());
    charged.sort_unstable();
    assert_eq!(charged, [2, 3, 4, 5]);
    let counts = home.counts();
    assert_eq!((counts.fired, counts.acked), (4, 4), "{counts:?}");
}

#[test]
fn snk_12_a_daemon_that_stops_ends_a_program_that_does_not() {
    let home = Home::new("").env("PATH", &std::env::var("PATH").unwrap());
    orders(
        &home,
        r#"
        name = "new"
        when = "id > 0"
        actions = [{ type = "shell", command = ["sh", "-c", "trap '' TERM; sleep 600 & echo $! > other; echo $$ > leader; wait"] }]
        "#,
    );
    std::fs::write(home.path("orders.jsonl"), "{\"changes\":[{\"table\":\"Order\",\"op\":\"insert\",\"after\":{\"id\":1}}]}\n")
        .unwrap();
    let daemon = home.start();
    until("the program runs", || lines(&home, "leader").len() == 1);
    daemon.stop().well();
    let pids = [lines(&home, "leader"), lines(&home, "other")].concat();
    until("the program and what it has started are gone", || !pids.iter().any(|pid| is_running(pid)));
    let counts = home.counts();
    assert_eq!((counts.fired, counts.pending), (1, 1), "it is tried again at the next start: {counts:?}");
}

#[test]
fn the_example_writes_invoices_and_announces() {
    if std::process::Command::new("python3").arg("--version").output().is_err() {
        return eprintln!("skipped: python3 is not installed, so the example's handler is not run");
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/handlers");
    let home = Home::new("").env("PATH", &std::env::var("PATH").unwrap());
    for name in ["thalweg.toml", "orders.jsonl", "invoice.py", "announce.sh"] {
        std::fs::copy(folder.join(name), home.path(name)).unwrap();
    }
    let config = std::fs::read_to_string(folder.join("thalweg.toml")).unwrap();
    home.configure(&config.replace("examples/handlers/orders.jsonl", "orders.jsonl"));
    home.run_until_idle("0.5").well();
    let invoices =
        std::fs::read_dir(home.path("invoices")).unwrap().map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap());
    let mut invoices: Vec<String> = invoices.collect();
    invoices.sort();
    assert_eq!(invoices, ["Invoice for Ada: 12.50\n", "Invoice for Bob: 99.00\n"]);
    let mut announced: Vec<String> = lines(&home, "announcements.txt").iter().map(|line| line[27..].to_owned()).collect();
    announced.sort();
    assert_eq!(announced, ["a paid order from Ada", "a paid order from Bob"]);
    let counts = home.counts();
    assert_eq!((counts.fired, counts.acked), (4, 4), "{counts:?}");
}
