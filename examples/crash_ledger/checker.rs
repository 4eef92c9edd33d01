//! The checker, a process of its own: it knows the databases, the receivers' logs and the command line, and nothing of how any of it came
//! about.
//!
//! What must have happened follows from the ledger alone: for each order the amounts in their order, a rise at each step from "not above
//! the limit" to "above it".

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;
use std::process::{Command, ExitCode};

use mysql_async::prelude::Queryable;
use serde_json::{Value as Json, json};

use crate::scene::{Facts, LIMIT};

/// An order, and which of its rises.
type Rise = (i64, u64);

/// What a receiver logged.
struct Log {
    /// How often each id was accepted.
    accepted: HashMap<String, u64>,
    /// Requests that contradict an earlier one, or could not be verified or read.
    wrong: u64,
}

/// A delivery as `thalweg effects ls --json` tells it.
struct Delivery {
    id: String,
    effect: String,
    action: u64,
    rise: Rise,
    state: String,
}

pub fn main(folder: &Path) -> ExitCode {
    let text = std::fs::read_to_string(folder.join("facts.json")).expect("the facts can be read");
    let facts: Facts = serde_json::from_str(&text).expect("the facts are JSON");
    let mut problems = Vec::new();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime can be built");
    let (committed, rises, told) = runtime.block_on(read(&facts.url));
    let deliveries = deliveries(folder, &facts);
    let [idempotent, naive, hostile] = ["idempotent", "naive", "hostile"].map(|name| log(folder, name));

    let mut lost = BTreeSet::new();
    let mut invented = BTreeSet::new();
    let mut compare = |what: &str, got: &BTreeSet<Rise>| {
        lost.extend(rises.keys().filter(|rise| !got.contains(rise)).map(|rise| format!("{what} {rise:?}")));
        invented.extend(got.iter().filter(|rise| !rises.contains_key(rise)).map(|rise| format!("{what} {rise:?}")));
    };
    for (what, effect, action, receiver) in [
        ("idempotent", "big", 0, &idempotent),
        ("naive", "big", 1, &naive),
        ("hostile", "big", 2, &hostile),
        ("asked", "asked", 0, &idempotent),
    ] {
        let of = deliveries.iter().filter(|d| d.effect == effect && d.action == action && receiver.accepted.contains_key(&d.id));
        compare(what, &of.map(|d| d.rise).collect());
    }
    compare("sink", &told.iter().map(|(rise, _)| *rise).collect());
    for (rise, amount) in &told {
        if rises.get(rise).is_some_and(|expected| expected != amount) {
            problems.push(format!("the sink has {amount} for {rise:?}, and the ledger {}", rises[rise]));
        }
    }
    let merged: BTreeSet<Rise> = deliveries.iter().filter(|d| d.effect == "merged").map(|d| d.rise).collect();
    let first_of = |order: i64| rises.range((order, 1)..(order + 1, 0)).next().is_some();
    problems.extend(merged.iter().filter(|rise| !rises.contains_key(rise)).map(|rise| format!("merged {rise:?} was invented")));
    let orders: BTreeSet<i64> = rises.keys().map(|rise| rise.0).filter(|order| first_of(*order)).collect();
    problems
        .extend(orders.iter().filter(|order| !merged.contains(&(**order, 1))).map(|order| format!("merged {order} never fired")));

    // Two ids for one rise would be acted on twice even by a receiver that drops repeated ids.
    let known: HashMap<&str, &Delivery> = deliveries.iter().map(|d| (&d.id[..], d)).collect();
    let mut acted: BTreeMap<(&str, u64, Rise), u64> = BTreeMap::new();
    for id in idempotent.accepted.keys() {
        match known.get(&id[..]) {
            Some(d) => *acted.entry((&d.effect, d.action, d.rise)).or_default() += 1,
            None => problems.push(format!("nobody knows of the delivery {id}")),
        }
    }
    let duplicated_idempotent = acted.values().map(|n| n - 1).sum::<u64>() + (told.len() - rises.len().min(told.len())) as u64;
    let duplicated_naive: u64 = naive.accepted.values().map(|n| n.saturating_sub(1)).sum();
    problems.extend(
        [&idempotent, &naive, &hostile].iter().filter(|log| log.wrong > 0).map(|log| format!("{} wrong requests", log.wrong)),
    );

    let count = |state: &str| deliveries.iter().filter(|d| d.state == state).count();
    let (acked, dead, cancelled, pending) = (count("acked"), count("dead"), count("cancelled"), count("pending"));
    let verified = verified(folder, &facts);
    let coalesced = verified["coalesced"].as_u64().unwrap_or(0);
    let conserved =
        [("fired", deliveries.len()), ("acked", acked), ("dead", dead), ("cancelled", cancelled), ("pending", pending)];
    if conserved.iter().any(|(name, count)| verified[*name] != *count) || rises.len() as u64 != merged.len() as u64 + coalesced {
        problems.push(format!(
            "{} rises, {} merged, {conserved:?}, and `thalweg verify` says {verified}",
            rises.len(),
            merged.len()
        ));
    }
    if dead + cancelled + pending > 0 || deliveries.len() != 5 * rises.len() + merged.len() {
        problems.push(format!(
            "{} deliveries for {} rises, of them {dead} dead, {cancelled} cancelled, {pending} pending",
            deliveries.len(),
            rises.len()
        ));
    }
    problems
        .extend(lost.iter().map(|what| format!("lost: {what}")).chain(invented.iter().map(|what| format!("invented: {what}"))));
    problems.iter().take(20).for_each(|problem| eprintln!("wrong: {problem}"));
    let result = json!({
        "kills": facts.kills, "committed": committed, "fired": deliveries.len(), "acked": acked, "dead": dead, "cancelled": cancelled,
        "pending": pending, "coalesced": coalesced, "lost": lost.len(), "duplicated_idempotent": duplicated_idempotent,
        "duplicated_naive": duplicated_naive, "seed": facts.seed,
    });
    println!("{result}");
    if problems.is_empty() && duplicated_idempotent == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The ledger's entries, the rises that follow from them with their amounts, and the rows of the sink.
async fn read(url: &str) -> (usize, BTreeMap<Rise, i64>, Vec<(Rise, i64)>) {
    let mut conn = mysql_async::Conn::from_url(url).await.expect("the server answers");
    let ledger: Vec<(i64, Option<i64>)> =
        conn.query("SELECT order_id, amount FROM book.ledger ORDER BY writer, nth").await.expect("the ledger can be read");
    let mut is_big: HashMap<i64, (bool, u64)> = HashMap::new();
    let mut rises = BTreeMap::new();
    for (order, amount) in &ledger {
        let (was, count) = is_big.entry(*order).or_default();
        let is = amount.is_some_and(|amount| amount > LIMIT);
        if is && !*was {
            *count += 1;
            rises.insert((*order, *count), amount.expect("it is above the limit"));
        }
        *was = is;
    }
    let told: Vec<(i64, u64, i64)> =
        conn.query("SELECT order_id, version, amount FROM told.events").await.expect("the sink's table can be read");
    (ledger.len(), rises, told.into_iter().map(|(order, version, amount)| ((order, version.div_ceil(2)), amount)).collect())
}

/// What `thalweg verify` says; null where it finds something wrong.
fn verified(folder: &Path, facts: &Facts) -> Json {
    let said = Command::new(&facts.binary).args(["verify", "--json"]).current_dir(folder).output().expect("the binary runs");
    serde_json::from_slice(&said.stdout).unwrap_or_else(|_| {
        eprintln!("wrong: {}", String::from_utf8_lossy(&said.stderr).trim_end());
        Json::Null
    })
}

fn deliveries(folder: &Path, facts: &Facts) -> Vec<Delivery> {
    let listed =
        Command::new(&facts.binary).args(["effects", "ls", "--json", "--limit", "1000000000"]).current_dir(folder).output();
    let text = String::from_utf8(listed.expect("the binary runs").stdout).expect("what it prints is text");
    let delivery = |line: &str| {
        let line: Json = serde_json::from_str(line).expect("a delivery is JSON");
        let text = |name: &str| line[name].as_str().expect("a text").to_owned();
        let order = text("key").trim_matches(['[', ']']).parse().expect("the key of an order");
        let version = line["version"].as_u64().expect("a version");
        Delivery {
            id: text("id"),
            effect: text("effect"),
            action: line["action"].as_u64().expect("an action"),
            rise: (order, version.div_ceil(2)),
            state: text("state"),
        }
    };
    text.lines().map(delivery).collect()
}

fn log(folder: &Path, name: &str) -> Log {
    let text = std::fs::read_to_string(folder.join(format!("{name}.jsonl"))).expect("the receiver's log can be read");
    let mut log = Log { accepted: HashMap::new(), wrong: 0 };
    for line in text.lines() {
        let line: Json = serde_json::from_str(line).expect("an entry is JSON");
        let accepted = line["accepted"].as_u64().unwrap_or(0);
        match line["id"].as_str() {
            None => log.wrong += line["wrong"].as_u64().expect("a number"),
            Some(id) if accepted > 0 => {
                log.accepted.insert(id.to_owned(), accepted);
            }
            Some(_) => {}
        }
    }
    log
}
