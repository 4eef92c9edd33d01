//! From commit to webhook: right first, then the figures are printed. `THALWEG_LATENCY_SECONDS=10` measures longer.

use std::time::Duration;

use super::harness::{Home, receiver, shop, shop_server, until, webhook};
use super::writers::{Writers, hash_of};

/// Eight connections, together 500 commits a second.
const CONNECTIONS: i64 = 8;
const PAUSE: Duration = Duration::from_millis(16);

#[test]
fn under_load_every_rise_reaches_its_webhook_once() {
    let Some(server) = shop_server() else { return };
    let seconds = std::env::var("THALWEG_LATENCY_SECONDS").map_or(2.0, |n| n.parse().expect("a number of seconds"));
    let receiver = receiver();
    let home = Home::new(&shop(&server.url(), &webhook(&receiver)));
    let daemon = home.start_live();
    let writers = Writers::start(&server.url(), CONNECTIONS, PAUSE);
    std::thread::sleep(Duration::from_secs_f64(seconds));
    let rises = writers.stop();
    until("every webhook", || receiver.totals().accepted_distinct >= rises.len() as u64);
    daemon.stop().well();
    assert_eq!(receiver.totals().accepted, rises.len() as u64, "nobody was killed, so nothing comes twice");

    let received = receiver.received();
    let arrived = |hash: &str| received.iter().find(|(id, _)| hash_of(id) == hash).expect("each has arrived").1.first_at;
    let mut latencies: Vec<Duration> =
        rises.iter().map(|rise| arrived(&rise.hash(0)).duration_since(rise.begun).unwrap_or_default()).collect();
    latencies.sort();
    let at = |share: f64| latencies[((latencies.len() - 1) as f64 * share) as usize];
    eprintln!(
        "{} rises in {seconds} s; from the statement's start to the receipt of its webhook: p50 {:?}, p99 {:?}, max {:?}",
        rises.len(),
        at(0.5),
        at(0.99),
        at(1.0)
    );
}
