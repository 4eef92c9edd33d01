//! How often each rule has fired for each document. The counts outlive the documents, so that versions go on.

use std::sync::Arc;

use hashbrown::HashMap;
use thalweg_graph::outcome::Key;

/// Counts by rule name and document.
#[derive(Debug, Default)]
pub struct Triggers {
    names: HashMap<Arc<str>, usize>,
    counts: Vec<(Arc<str>, HashMap<Key, u64, foldhash::fast::FixedState>)>,
}

impl Triggers {
    /// The number of a rule's name, for the calls below.
    pub fn rule(&mut self, name: &Arc<str>) -> usize {
        *self.names.entry(name.clone()).or_insert_with(|| {
            self.counts.push((name.clone(), HashMap::default()));
            self.counts.len() - 1
        })
    }

    /// Counts one more trigger and gives its version: 2k−1 for the k-th.
    pub fn fire(&mut self, rule: usize, key: &Key) -> u64 {
        let count = self.counts[rule].1.entry(key.clone()).or_insert(0);
        *count += 1;
        2 * *count - 1
    }

    /// Whether the rule has ever fired for the document.
    pub fn has_fired(&self, rule: usize, key: &Key) -> bool {
        self.counts[rule].1.contains_key(key)
    }

    /// Takes over a count from before a restart.
    pub fn import(&mut self, name: &Arc<str>, key: Key, count: u64) {
        let rule = self.rule(name);
        self.counts[rule].1.insert(key, count);
    }

    /// Every count, in no order.
    pub fn export(&self) -> impl Iterator<Item = (Arc<str>, Key, u64)> + '_ {
        self.counts.iter().flat_map(|(name, counts)| counts.iter().map(move |(key, count)| (name.clone(), key.clone(), *count)))
    }
}
