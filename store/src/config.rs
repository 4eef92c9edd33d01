//! What a store can be told.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use thalweg_graph::transaction::Change;

/// How the engine reads one change by itself: it may put values into the types that the definition declares, and says `false` for a
/// change that it refuses. A pure function of the change.
pub type ReadChange = Arc<dyn Fn(&mut Change) -> bool + Send + Sync>;

/// What a store can be told. The default suits `run`.
#[derive(Clone, Default)]
pub struct StoreConfig {
    /// Key columns by source table, where the definition declares them; elsewhere the first schema of a table tells.
    /// Used when rows are folded for a snapshot.
    pub keys: BTreeMap<String, Vec<String>>,
    /// How changes are read when rows are folded for a snapshot; without, as they are.
    pub read: Option<ReadChange>,
    /// What of the input log stays.
    pub log_retention: LogRetention,
    /// The most bytes that the database may take; beyond it a commit is refused as on a full disk. `None`: what the disk has.
    pub max_bytes: Option<u64>,
}

impl fmt::Debug for StoreConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoreConfig")
            .field("keys", &self.keys)
            .field("read", &self.read.is_some())
            .field("log_retention", &self.log_retention)
            .field("max_bytes", &self.max_bytes)
            .finish()
    }
}

/// What of the input log stays.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogRetention {
    /// All of it: as-of reads reach back to the first epoch, and a damaged snapshot costs time only.
    #[default]
    All,
    /// What the older of the two kept snapshots does not hold.
    SinceOlderSnapshot,
}
