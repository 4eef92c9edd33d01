//! The disk fails, or the process dies, at each write and sync that the daemon makes, one after the other.
//!
//! `strace` makes the n-th call of a kind fail, or kills the daemon in it; n goes over all of them. What was fired in the end, and with which
//! ids, is what an undisturbed run fires.
//!
//! One point of a few is tried, from a first one that the clock draws and the test says, or that `THALWEG_POINTS` names;
//! `THALWEG_POINTS=all` tries each.

use std::collections::BTreeSet;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::json;
use thalweg_sinks::receiver::Receiver;

use super::harness::{Daemon, Ended, Home, SECRET, receiver, webhook};

const STRACE: &str = "/usr/bin/strace";
const TRANSACTIONS: u64 = 50;

/// Ids of deliveries, by where they went.
type Told = [BTreeSet<String>; 4];

/// Fifty transactions in a file, an effect that rises in a third of them, a receiver that drops repeated ids, a timer for each new order that
/// is due as soon as it is armed, and an effect that sees each of those deliveries go through.
struct Scene {
    home: Home,
    receiver: Receiver,
}

impl Scene {
    fn new() -> Scene {
        Scene::of(TRANSACTIONS)
    }

    fn of(transactions: u64) -> Scene {
        let receiver = receiver();
        let home = Home::new(&format!(
            r#"
[egress]
allow = ["127.0.0.0/8"]

[[source]]
name = "shop"
kind = "jsonl"
path = "orders.jsonl"

[[table]]
name = "Order"
key = ["id"]
columns = {{ id = "int", amount = "int" }}

[fields]
"Order.double" = "amount * 2"

[[effect]]
name = "big"
on = "Order"
when = "double > 200"
payload = ["id", "amount"]
actions = [{}, {{ type = "log", path = "fired.jsonl", backoff = "10ms..100ms" }}]

[[classify]]
database = "shop"
table = "Order"
insert = "order.placed"

[[reactions]]
event = "order.placed"
timer = {{ delay = "1ms", event = "order.due" }}

[[reactions]]
event = "order.due"
actions = [{{ type = "log", path = "due.jsonl", backoff = "10ms..100ms" }}]

[[source]]
name = "outcomes"
kind = "deliveries"

[[table]]
name = "Delivery"
from = "thalweg.deliveries"

[[effect]]
name = "seen"
on = "Delivery"
when = "rule == 'big' && state == 'acked'"
actions = [{{ type = "log", path = "seen.jsonl", backoff = "10ms..100ms" }}]
"#,
            webhook(&receiver)
        ));
        let line = |n: u64| {
            let order = json!({"table": "Order", "op": "upsert", "key": {"id": n % (transactions / 7)}, "after": {"amount": n % 3 * 100 + n % TRANSACTIONS}});
            format!("{}\n", json!({"tx": n.to_string(), "at": "2026-01-01T00:00:00Z", "changes": [order]}))
        };
        std::fs::write(home.path("orders.jsonl"), (0..transactions).map(line).collect::<String>())
            .expect("the folder can be written");
        Scene { home, receiver }
    }

    /// A run to the end of the file, with what `strace` is told to do to it. Undisturbed it waits for what is to be tried again.
    fn run(&self, inject: Option<&str>) -> Ended {
        let idle = if inject.is_some() { "0.1" } else { "0.5" };
        let run = ["run", "thalweg.toml", "--until-idle", idle];
        let Some(inject) = inject else { return Daemon::of(self.home.command(&run)).wait() };
        let calls = inject.split(':').next().expect("calls come first");
        let mut strace = Command::new(STRACE);
        // The tracer is the grandchild (-D), so that the daemon is this process's child.
        strace.args(["-D", "-f", "-qq", "-o", "/dev/null", "-e", &format!("trace={calls}"), "-e", &format!("inject={inject}")]);
        strace.arg(env!("CARGO_BIN_EXE_thalweg")).args(run);
        strace.current_dir(self.home.path("")).env_clear().env("HOOK_SECRET", SECRET);
        Daemon::of(strace).wait()
    }

    /// What the receiver and the files have been told.
    fn told(&self) -> Told {
        let received = self.receiver.received().into_keys().collect();
        let seen = self.logged("seen.jsonl");
        // Their ids hold when a delivery went through, which is never the same; each is told under one id.
        let deliveries: BTreeSet<String> = seen.iter().map(|event| event["subject"].to_string()).collect();
        let ids: BTreeSet<String> = seen.iter().map(|event| event["id"].to_string()).collect();
        assert_eq!(ids.len(), deliveries.len(), "{seen:?}");
        [received, self.ids("fired.jsonl"), self.ids("due.jsonl"), deliveries]
    }

    fn ids(&self, name: &str) -> BTreeSet<String> {
        self.logged(name).iter().map(|event| event["id"].as_str().expect("an event has an id").to_owned()).collect()
    }

    /// The events in a file that actions append to.
    fn logged(&self, name: &str) -> Vec<serde_json::Value> {
        let logged = std::fs::read_to_string(self.home.path(name)).unwrap_or_default();
        // A line that a kill has cut is whole further on.
        logged.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// Runs to the end, undisturbed: everything has been told once, and the directory is in order.
    fn ends_as(&self, expected: &Told, point: &str) {
        let mut last = self.run(None);
        if last.status.success() && &self.told() != expected {
            // A machine that stood still for as long as idleness takes leaves the rest to the next run.
            last = self.run(None);
        }
        assert_eq!(last.status.code(), Some(0), "after {point}: {}", last.said);
        assert_eq!(&self.told(), expected, "after {point}: {}", last.said);
        let counts = self.home.counts();
        assert_eq!(
            (counts.pending, counts.dead, counts.fired as usize),
            (0, 0, expected.iter().map(BTreeSet::len).sum()),
            "after {point}: {counts:?}"
        );
        let verified = self.home.command(&["verify"]).output().expect("the binary runs");
        assert!(verified.status.success(), "after {point}: {}", String::from_utf8_lossy(&verified.stderr));
    }
}

/// What an undisturbed run tells; `None`, and it is said, where calls cannot be struck.
fn undisturbed(test: &str) -> Option<Told> {
    let works =
        Path::new(STRACE).exists() && Command::new(STRACE).args(["-o", "/dev/null", "true"]).status().is_ok_and(|s| s.success());
    if !works {
        eprintln!("skipped: {test}, since {STRACE} is not there or may not trace");
        return None;
    }
    let scene = Scene::new();
    scene.run(None).well();
    let told = scene.told();
    // Both actions of each firing were seen to go through.
    assert!(
        told[0].len() > 10 && told[0].len() == told[1].len() && told[2].len() == 7 && told[3].len() == told[0].len() * 2,
        "{told:?}"
    );
    Some(told)
}

/// Tries one point of `stride`, and says how many: `strike` is asked until it says that a run made fewer such calls.
fn each_point(calls: &str, stride: u64, mut strike: impl FnMut(u64) -> bool) -> u64 {
    let drawn = || u64::from(SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970").subsec_nanos()) % stride + 1;
    let (first, stride) = match std::env::var("THALWEG_POINTS").as_deref() {
        Ok("all") => (1, 1),
        Ok(first) => (first.parse().expect("THALWEG_POINTS is `all` or the first point"), stride),
        Err(_) => (drawn(), stride),
    };
    let tried = (0..).take_while(|n| strike(first + n * stride)).count() as u64;
    eprintln!("{calls}: {tried} points, each {stride}. from the {first}.");
    tried
}

#[test]
fn sto_01_tim_05_killed_in_any_write_or_sync_it_goes_on_and_tells_each_thing_once() {
    let Some(expected) = undisturbed("kills at each write and sync") else { return };
    let mut tried = 0;
    for call in ["pwrite64", "write", "fsync", "fdatasync", "unlink", "rename", "ftruncate", "mkdir"] {
        tried += each_point(call, 8, |n| {
            let scene = Scene::new();
            let point = format!("a kill in {call} {n}");
            let ended = scene.run(Some(&format!("{call}:signal=SIGKILL:when={n}")));
            let was_struck = ended.status.signal() == Some(9);
            assert!(was_struck || ended.status.success(), "{point}: {}", ended.said);
            scene.ends_as(&expected, &point);
            was_struck
        });
    }
    assert!(tried >= 10, "only {tried} points");
}

#[test]
fn sto_03_a_disk_that_is_full_for_some_writes_is_waited_for() {
    let Some(expected) = undisturbed("a disk that is full at each write") else { return };
    let tried = each_point("pwrite64, ENOSPC", 10, |n| {
        let scene = Scene::new();
        let point = format!("no room from write {n} on, three times");
        let ended = scene.run(Some(&format!("pwrite64:error=ENOSPC:when={n}..{}", n + 2)));
        let was_told = ended.said.contains("free some space");
        // A directory that cannot even be made is refused, with the reason.
        assert!(ended.status.success() || was_told, "{point}: {}", ended.said);
        scene.ends_as(&expected, &point);
        was_told
    });
    assert!(tried >= 3, "only {tried} points");
}

#[test]
fn sto_04_a_sync_that_fails_ends_it_at_once_and_the_next_start_goes_on() {
    let Some(expected) = undisturbed("a failure of each sync") else { return };
    let tried = each_point("fdatasync and fsync, EIO", 3, |n| {
        let scene = Scene::new();
        let point = format!("a failure of sync {n}");
        let ended = scene.run(Some(&format!("fdatasync,fsync:error=EIO:when={n}")));
        let was_told = ended.said.contains("E0608");
        assert_eq!(ended.status.success(), !was_told, "{point}: {}", ended.said);
        scene.ends_as(&expected, &point);
        was_told
    });
    assert!(tried >= 1, "only {tried} points");
}

#[test]
fn sto_05_a_write_that_fails_ends_it_and_the_next_start_goes_on() {
    let Some(expected) = undisturbed("a failure of each write") else { return };
    let tried = each_point("pwrite64, EIO", 10, |n| {
        let scene = Scene::new();
        let point = format!("a failure of write {n}");
        let ended = scene.run(Some(&format!("pwrite64:error=EIO:when={n}")));
        let was_told = ended.said.contains("E0608") || ended.said.contains("`-shm` file cannot grow");
        assert_eq!(ended.status.success(), !was_told, "{point}: {}", ended.said);
        scene.ends_as(&expected, &point);
        was_told
    });
    assert!(tried >= 3, "only {tried} points");
}

/// A transaction, a delivery and its outcome would be three commits of 0.1 s each; they share them.
#[test]
fn sto_11_the_slower_a_sync_the_more_a_commit_holds() {
    if undisturbed("syncs that take long").is_none() {
        return;
    }
    let scene = Scene::of(600);
    scene.run(Some("fdatasync:delay_exit=100000")).well();
    let counts = scene.home.counts();
    assert_eq!((counts.pending, counts.dead), (0, 0), "{counts:?}");
    let lock = std::fs::read_to_string(scene.home.path(".thalweg/lock")).expect("the store has a lock");
    let commits: u64 =
        lock.lines().find_map(|line| line.strip_prefix("commits ")?.trim().parse().ok()).expect("it counts commits");
    assert!(counts.fired > 400 && commits < counts.fired / 4, "{commits} commits for {counts:?}");
}

/// Between what is sent and what is read of the answer, and before the outcome is committed.
#[test]
fn snk_05_killed_around_a_request_it_sends_the_same_again() {
    let Some(expected) = undisturbed("kills at each request and answer") else { return };
    for call in ["sendto,writev", "recvfrom"] {
        let tried = each_point(call, 3, |n| {
            let scene = Scene::new();
            let point = format!("a kill in {call} {n}");
            let ended = scene.run(Some(&format!("{call}:signal=SIGKILL:when={n}")));
            let was_struck = ended.status.signal() == Some(9);
            assert!(was_struck || ended.status.success(), "{point}: {}", ended.said);
            scene.ends_as(&expected, &point);
            assert_eq!(scene.receiver.totals().contradictions, 0, "after {point}");
            was_struck
        });
        assert!(tried >= 1, "no point in {call}");
    }
}
