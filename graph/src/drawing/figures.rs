//! Figures of nodes: rows, bytes and work, added up over the regions that hold a node.

use std::collections::HashMap;

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
    /// Whether there is anything to show.
    pub(super) fn any(self) -> bool {
        self != Figures::default()
    }
}

/// The figures of all nodes, by name.
pub(super) struct Sheet<'a> {
    by_name: HashMap<&'a str, Vec<&'a NodeStats>>,
}

impl<'a> Sheet<'a> {
    /// An index of what the engine counted.
    pub(super) fn new(stats: &'a [NodeStats]) -> Sheet<'a> {
        let mut by_name: HashMap<&str, Vec<&NodeStats>> = HashMap::new();
        stats.iter().for_each(|stat| by_name.entry(&stat.node).or_default().push(stat));
        Sheet { by_name }
    }

    /// The figures of the node with this id and slot name; `regions` are those that hold it, its own first.
    pub(super) fn of(&self, id: &str, name: &str, regions: &[u32]) -> Figures {
        let named = |name: &str| self.by_name.get(name).into_iter().flatten();
        let also = named(name).filter(|_| name != id);
        let mut figures = Figures::default();
        for stat in named(id).chain(also) {
            let Some(region) = stat.region.filter(|region| regions.contains(&region.0)) else { continue };
            if regions.first() == Some(&region.0) {
                figures.rows += stat.rows;
            }
            figures.state_bytes += stat.state_bytes;
            figures.rows_touched += stat.rows_touched;
        }
        figures
    }
}
