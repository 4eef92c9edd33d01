//! Endpoints: where deliveries go, how they fare there, and how many may be under way.
//!
//! - INV-ENDPOINT: an endpoint that failed `FAILURES_MAX` times in a row gets no attempt for a second, twice that after each failed probe,
//!   a minute at most; then one attempt probes it. What waits meanwhile uses up no attempts. After a success the number of attempts under
//!   way grows by one with each further one, so that whoever comes back is not run over.
//!
//! A `Retry-After` holds the endpoint as a whole. A rate lets a tenth of a second's worth go at once.
//! Pure: time is an argument. Memory only; a start begins with open doors.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use thalweg_formulas::Timestamp;
use thalweg_graph::ports::Attempt;

/// Failures in a row before an endpoint is left alone.
const FAILURES_MAX: u32 = 5;
/// Attempts under way to one endpoint.
const WINDOW_MAX: usize = 256;
const SECOND_US: i64 = 1_000_000;
/// The longest time between probes.
const PAUSE_MAX_US: i64 = 60 * SECOND_US;
/// The longest time for which a `Retry-After` holds a whole endpoint.
const RETRY_AFTER_MAX_US: i64 = 600 * SECOND_US;
/// How much of a rate may go at once.
const BURST_US: f64 = 100_000.0;

/// An action of a rule.
pub(super) type ActionId = (Arc<str>, u32);

/// All endpoints that deliveries have gone to.
#[derive(Default)]
pub(super) struct Endpoints {
    by_name: HashMap<Arc<str>, Endpoint>,
    /// Where each action goes; several where its settings changed while deliveries waited.
    of_action: HashMap<ActionId, BTreeSet<Arc<str>>>,
}

/// An endpoint that is left alone, for `/status`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resting {
    /// Scheme, host and port.
    pub endpoint: Arc<str>,
    /// The next attempt is not before.
    pub until: Timestamp,
    /// Failures in a row.
    pub failures: u32,
    /// The last one.
    pub error: String,
}

struct Endpoint {
    under_way: usize,
    window: usize,
    failures: u32,
    /// Pauses in a row.
    pauses: u32,
    until: Timestamp,
    error: String,
    /// Attempts a second.
    rate: Option<f64>,
    /// When the rate's next attempt is due, in microseconds.
    paced: f64,
}

impl Endpoint {
    fn new() -> Endpoint {
        let until = Timestamp(0);
        Endpoint { under_way: 0, window: WINDOW_MAX, failures: 0, pauses: 0, until, error: String::new(), rate: None, paced: 0.0 }
    }

    /// When it can take another attempt; `None`: when one of those under way has ended.
    fn free_at(&self, now: Timestamp) -> Option<Timestamp> {
        if self.under_way >= self.window {
            return None;
        }
        let paced = if self.rate.is_some() { Timestamp((self.paced - BURST_US).max(0.0) as i64) } else { now };
        Some(self.until.max(paced))
    }

    fn succeed(&mut self) {
        (self.failures, self.pauses) = (0, 0);
        self.window = (self.window + 1).min(WINDOW_MAX);
        self.error.clear();
    }

    fn fail(&mut self, error: &str, retry_after: Option<u64>, now: Timestamp) {
        if now < self.until {
            return; // It was under way when the door was shut.
        }
        self.failures = self.failures.saturating_add(1);
        error.clone_into(&mut self.error);
        let asked = i64::try_from(retry_after.unwrap_or(0)).unwrap_or(i64::MAX).saturating_mul(SECOND_US).min(RETRY_AFTER_MAX_US);
        let mut pause = asked;
        if self.failures >= FAILURES_MAX {
            pause = pause.max((SECOND_US << self.pauses.min(16)).min(PAUSE_MAX_US));
            self.pauses += 1;
            self.window = 1;
        }
        self.until = Timestamp(now.0.saturating_add(pause)).max(self.until);
    }
}

impl Endpoints {
    /// Takes a place for an attempt; `false`: there is none now.
    pub(super) fn enter(&mut self, action: &ActionId, name: &Arc<str>, rate: Option<f64>, now: Timestamp) -> bool {
        let names = self.of_action.entry(action.clone()).or_default();
        if !names.contains(name) {
            names.insert(name.clone());
        }
        let endpoint = self.by_name.entry(name.clone()).or_insert_with(Endpoint::new);
        endpoint.rate = rate;
        if endpoint.free_at(now).is_none_or(|at| at > now) {
            return false;
        }
        endpoint.under_way += 1;
        if let Some(rate) = rate {
            endpoint.paced = endpoint.paced.max(now.0 as f64) + SECOND_US as f64 / rate;
        }
        true
    }

    /// An attempt has ended.
    pub(super) fn leave(&mut self, name: &Arc<str>, attempt: &Attempt, now: Timestamp) {
        let Some(endpoint) = self.by_name.get_mut(name) else { return };
        endpoint.under_way -= 1;
        match attempt {
            // Whoever refuses a delivery is there.
            Attempt::Done | Attempt::Acknowledged { .. } | Attempt::Permanent { .. } | Attempt::Gone { .. } => endpoint.succeed(),
            Attempt::Transient { error, retry_after } => endpoint.fail(error, *retry_after, now),
        }
    }

    /// Actions that may have no further attempt now.
    pub(super) fn busy(&self, now: Timestamp) -> HashSet<ActionId> {
        let shut = |name: &Arc<str>| self.by_name.get(name).is_some_and(|e| e.free_at(now).is_none_or(|at| at > now));
        self.of_action.iter().filter(|(_, names)| names.iter().any(shut)).map(|(action, _)| action.clone()).collect()
    }

    /// When the next endpoint is free that is not now, where time alone frees it.
    pub(super) fn next_at(&self, now: Timestamp) -> Option<Timestamp> {
        self.by_name.values().filter_map(|e| e.free_at(now)).filter(|at| *at > now).min()
    }

    /// Those that are left alone at `now`, by name.
    pub(super) fn resting(&self, now: Timestamp) -> Vec<Resting> {
        let shown = |(name, e): (&Arc<str>, &Endpoint)| Resting {
            endpoint: name.clone(),
            until: e.until,
            failures: e.failures,
            error: e.error.clone(),
        };
        let mut resting: Vec<_> = self.by_name.iter().filter(|(_, e)| e.pauses > 0 || e.until > now).map(shown).collect();
        resting.sort_by(|a, b| a.endpoint.cmp(&b.endpoint));
        resting
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAME: &str = "https://hooks.example";

    fn transient(retry_after: Option<u64>) -> Attempt {
        Attempt::Transient { error: "E0511: cannot connect".into(), retry_after }
    }

    fn at(ms: i64) -> Timestamp {
        Timestamp(ms * 1_000)
    }

    fn enter(endpoints: &mut Endpoints, rate: Option<f64>, now: Timestamp) -> bool {
        endpoints.enter(&("big".into(), 0), &NAME.into(), rate, now)
    }

    #[test]
    fn snk_06_snk_07_an_endpoint_that_is_down_is_probed_ever_more_rarely_and_comes_back_slowly() {
        let mut all = Endpoints::default();
        let mut probes = Vec::new();
        for ms in 0..200_000 {
            if enter(&mut all, None, at(ms)) {
                probes.push(ms);
                all.leave(&NAME.into(), &transient(None), at(ms));
            }
        }
        assert_eq!(probes, [0, 1, 2, 3, 4, 1_004, 3_004, 7_004, 15_004, 31_004, 63_004, 123_004, 183_004]);
        assert_eq!(all.busy(at(200_000)).len(), 1);
        assert_eq!(all.next_at(at(200_000)), Some(at(243_004)));
        assert_eq!(all.resting(at(200_000))[0].failures, 13);
        // Back: one, then two, then four at a time.
        let mut waves = Vec::new();
        for wave in 0..4 {
            let now = at(243_004 + wave);
            let mut entered = 0;
            while enter(&mut all, None, now) {
                entered += 1;
            }
            waves.push(entered);
            (0..entered).for_each(|_| all.leave(&NAME.into(), &Attempt::Done, now));
        }
        assert_eq!(waves, [1, 2, 4, 8]);
        assert!(all.resting(at(243_010)).is_empty() && all.busy(at(243_010)).is_empty());
    }

    #[test]
    fn what_was_under_way_when_the_door_was_shut_does_not_count_again() {
        let mut all = Endpoints::default();
        (0..64).for_each(|_| assert!(enter(&mut all, None, at(0))));
        (0..64).for_each(|_| all.leave(&NAME.into(), &transient(None), at(10)));
        assert_eq!(all.next_at(at(10)), Some(at(1_010)));
        assert!(!enter(&mut all, None, at(1_009)) && enter(&mut all, None, at(1_010)));
        assert!(!enter(&mut all, None, at(1_010)), "one probe at a time");
    }

    #[test]
    fn a_refusal_shuts_no_door_and_retry_after_shuts_it_at_once() {
        let mut all = Endpoints::default();
        for _ in 0..20 {
            assert!(enter(&mut all, None, at(0)));
            all.leave(&NAME.into(), &Attempt::Permanent { error: "E0510: 400".into() }, at(0));
        }
        assert!(enter(&mut all, None, at(0)));
        all.leave(&NAME.into(), &transient(Some(90)), at(0));
        assert_eq!(all.next_at(at(0)), Some(at(90_000)));
        assert!(enter(&mut all, None, at(90_000)));
        all.leave(&NAME.into(), &transient(Some(u64::MAX)), at(90_000));
        assert_eq!(all.next_at(at(90_000)), Some(at(690_000)));
    }

    #[test]
    fn a_rate_is_kept_over_time_whatever_waits() {
        let mut all = Endpoints::default();
        let mut sent = Vec::new();
        for ms in 0..10_000 {
            while enter(&mut all, Some(50.0), at(ms)) {
                sent.push(ms);
                all.leave(&NAME.into(), &Attempt::Done, at(ms));
            }
        }
        assert_eq!(sent.len(), 505, "five at once, then fifty a second");
        assert!(sent.windows(52).all(|w| w[51] - w[0] >= 900));
    }
}
