//! `kill -9`, again and again, under load: nothing is lost, nothing is acted on twice by a receiver that drops repeated ids.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::process::ExitStatusExt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use thalweg_graph::ports::Store;

use super::harness::{Home, receiver, shop, shop_server, webhook};
use super::writers::{Writers, hash_of};

const EVENT_LOG: &str = "CREATE TABLE shop.event_log (
    id VARCHAR(26) PRIMARY KEY, timestamp DATETIME(3) NOT NULL, event_type VARCHAR(50) NOT NULL, source_db VARCHAR(50),
    source_table VARCHAR(50), subject_id VARCHAR(50), actor VARCHAR(100), summary TEXT, payload JSON)";

/// Every tenth start ends in order, so that later ones begin from a snapshot.
const ORDERLY: u32 = 10;
/// Every fifth kill the store is looked into.
const LOOK: u32 = 5;

#[test]
fn sto_01_kill_9_at_random_points_under_load_loses_nothing() {
    let Some(server) = shop_server() else { return };
    let kills: u32 = std::env::var("THALWEG_KILLS").ok().map_or(30, |n| n.parse().expect("THALWEG_KILLS is a number"));
    let mut random = Random::new();
    server.exec(EVENT_LOG);
    let receiver = receiver();
    let insert = "{ type = \"dolt-insert\", database = \"shop\", table = \"event_log\", backoff = \"50ms..200ms\" }";
    let config = shop(&server.url(), &format!("{}, {insert}", webhook(&receiver)));
    let home = Home::new(&config);
    home.run_until_idle("0.3").well();

    let writers = Writers::start(&server.url(), 4, Duration::from_millis(30));
    let (mut epochs, mut starts) = (vec![home.store().recovered().epoch], 0);
    for kill in 1..=kills {
        starts += 1;
        // What a crash left is taken up by one worker or two, whatever wrote it.
        home.configure(&format!("{config}\n[engine]\nworkers = {}\n", random.between(1, 3)));
        if kill % ORDERLY == 0 {
            home.start_live().stop().well();
        }
        // Half of them at any moment of the start, half while it follows.
        let daemon = if kill % 2 == 0 { home.start() } else { home.start_live() };
        std::thread::sleep(Duration::from_millis(random.between(50, 700)));
        let ended = daemon.kill9();
        assert_eq!(ended.status.signal(), Some(9), "start {starts} ended by itself:\n{}", ended.said);
        if kill % LOOK == 0 {
            home.counts();
            epochs.push(home.store().recovered().epoch);
        }
    }
    let rises = writers.stop();
    assert!(epochs.is_sorted(), "a restart went back: {epochs:?}");
    let advanced = epochs.windows(2).filter(|pair| pair[0] < pair[1]).count();
    assert!(advanced * 2 >= epochs.len() - 1, "restarts do not go on: {epochs:?}");
    let last = home.run_until_idle("1");
    last.well();

    let (counts, totals) = (home.counts(), receiver.totals());
    eprintln!(
        "kills {kills}, rises {}, fired {}, acknowledged {}, webhooks accepted {}, distinct {}, duplicates for a naive receiver {}",
        rises.len(),
        counts.fired,
        counts.acked,
        totals.accepted,
        totals.accepted_distinct,
        totals.accepted - totals.accepted_distinct
    );
    assert_eq!((totals.contradictions, totals.unverified, totals.malformed), (0, 0, 0), "{totals:?}");
    assert_eq!((counts.pending, counts.dead, counts.cancelled), (0, 0, 0), "{counts:?}\n{}", last.said);
    let expected: BTreeSet<String> = rises.iter().map(|rise| rise.hash(0)).collect();
    let received: BTreeSet<String> = receiver.received().keys().map(|id| hash_of(id)).collect();
    let (lost, invented): (Vec<_>, Vec<_>) = (expected.difference(&received).collect(), received.difference(&expected).collect());
    assert!(lost.is_empty() && invented.is_empty(), "lost {lost:?}, invented {invented:?}\n{}", last.said);
    assert_eq!(received.len(), rises.len());
    assert_eq!(counts.fired, 2 * rises.len() as u64);

    let rows = server.query("SELECT id, subject_id FROM shop.event_log");
    assert_eq!(rows.len(), rises.len(), "one row for each rise");
    let inserted: BTreeSet<String> = rows.iter().map(|row| hash_of(&row[0])).collect();
    assert_eq!(inserted, rises.iter().map(|rise| rise.hash(1)).collect());
    let by_order = |orders: &mut dyn Iterator<Item = String>| {
        orders.fold(BTreeMap::<String, u32>::new(), |mut counts, order| {
            *counts.entry(order).or_default() += 1;
            counts
        })
    };
    let of_rows = by_order(&mut rows.iter().map(|row| row[1].clone()));
    assert_eq!(of_rows, by_order(&mut rises.iter().map(|rise| rise.order.to_string())));
}

/// Xorshift; the seed is printed, though the machine's own timing plays a part too.
struct Random(u64);

impl Random {
    fn new() -> Random {
        let seed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64 | 1;
        eprintln!("seed {seed}");
        Random(seed)
    }

    fn between(&mut self, low: u64, high: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        low + self.0 % (high - low)
    }
}
