//! What a store can be told.

use std::collections::BTreeMap;

use thalweg_formulas::Type;

/// What a store can be told. The default suits `run` with a definition that declares no keys and no types.
#[derive(Clone, Debug, Default)]
pub struct StoreConfig {
    /// Key columns by source table, where the definition declares them; elsewhere the first schema of a table tells.
    /// Used when rows are folded for a snapshot.
    pub keys: BTreeMap<String, Vec<String>>,
    /// Declared column types by source table and column: a change whose values do not fit is left out of a snapshot, as the engine
    /// refuses it.
    pub types: BTreeMap<String, BTreeMap<String, Type>>,
    /// What of the input log stays.
    pub log_retention: LogRetention,
    /// The most bytes that the database may take; beyond it a commit is refused as on a full disk. `None`: what the disk has.
    pub max_bytes: Option<u64>,
    /// A transaction stands in the log in pieces of about so many bytes; one that comes in parts is written ahead of its commit, eight
    /// pieces at a time. The hash chain depends on it. `None`: 1 MiB.
    pub piece_bytes: Option<usize>,
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
