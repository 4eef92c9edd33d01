//! What a store can be told.

use std::collections::BTreeMap;

use thalweg_formulas::Type;
use thalweg_graph::Plan;
use thalweg_graph::plan::ColumnId;

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
}

impl StoreConfig {
    /// The keys and types that a plan declares; the rest as by default.
    pub fn for_plan(plan: &Plan) -> StoreConfig {
        let mut config = StoreConfig::default();
        for table in plan.tables.iter().filter(|table| !table.name.is_empty()) {
            let name_of = |at: &ColumnId| table.columns[at.0 as usize].name.to_string();
            let types: BTreeMap<String, Type> =
                table.columns.iter().map(|column| (column.name.to_string(), column.ty.clone())).collect();
            // A source may name the table behind it, or the document type itself.
            for source in [&table.from, &table.name] {
                if let Some(key) = &table.key {
                    config.keys.entry(source.to_string()).or_insert_with(|| key.iter().map(name_of).collect());
                }
                config.types.entry(source.to_string()).or_insert_with(|| types.clone());
            }
        }
        config
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
