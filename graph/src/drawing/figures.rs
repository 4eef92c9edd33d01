//! Figures of nodes: rows, bytes and work, added up over the regions that hold a node.

use crate::outcome::NodeStats;

/// What one node holds and has cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Figures {
    /// Documents that have it, in its own region.
    pub(super) rows: u64,
    /// Bytes of state in all regions that hold it.
    pub(super) state_bytes: u64,
    /// Rows written or evaluated in all regions that hold it.
    pub(super) rows_touched: u64,
}

impl Figures {
    /// The figures of the node with this id and slot name; `regions` are those that hold it, its own first.
    pub(super) fn of(stats: &[NodeStats], id: &str, name: &str, regions: &[u32]) -> Figures {
        let mut figures = Figures::default();
        for stat in stats.iter().filter(|stat| *stat.node == *id || *stat.node == *name) {
            let Some(region) = stat.region.filter(|region| regions.contains(&region.0)) else { continue };
            if regions.first() == Some(&region.0) {
                figures.rows += stat.rows;
            }
            figures.state_bytes += stat.state_bytes;
            figures.rows_touched += stat.rows_touched;
        }
        figures
    }

    /// Whether there is anything to show.
    pub(super) fn any(self) -> bool {
        self != Figures::default()
    }
}
