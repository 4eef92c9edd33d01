//! What a user calls things, resolved: `Order.total` to a slot, `Order.price` to a slot or a column of whole rows.

use std::collections::HashMap;
use std::sync::Arc;

use thalweg_graph::Plan;
use thalweg_graph::plan::{Laziness, SlotSource, TableId};

/// Where a name leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// A slot of a region.
    Slot(u32, u32),
    /// A column that has no slot; only whole rows hold it.
    Column(TableId, Arc<str>),
}

/// Names of a plan.
pub struct Names {
    slots: HashMap<Arc<str>, Target>,
    tables: HashMap<Arc<str>, TableId>,
    /// Fields that wait to be asked, by their places in the plan.
    lazy: HashMap<Arc<str>, u32>,
}

impl Names {
    /// Of every field and column.
    pub fn new(plan: &Plan) -> Names {
        let mut slots = HashMap::new();
        for table in &plan.tables {
            let Some(home) = table.home else { continue };
            for (at, slot) in plan.regions[home.0 as usize].slots.iter().enumerate() {
                if let SlotSource::Column(column) = slot.source {
                    let name = format!("{}.{}", table.name, table.columns[column.0 as usize].name);
                    slots.insert(name.into(), Target::Slot(home.0, at as u32));
                }
            }
        }
        for field in &plan.fields {
            slots.insert(field.name.clone(), Target::Slot(field.region.0, field.slot.0));
        }
        let tables = plan.tables.iter().enumerate().map(|(at, table)| (table.name.clone(), TableId(at as u32)));
        let lazy = (0..).zip(&plan.fields).filter(|(_, field)| field.lazy == Some(Laziness::Waits));
        let lazy = lazy.map(|(at, field)| (field.name.clone(), at)).collect();
        Names { slots, tables: tables.collect(), lazy }
    }

    /// Where `node` leads.
    pub fn target(&self, node: &str) -> Option<Target> {
        if let Some(target) = self.slots.get(node) {
            return Some(target.clone());
        }
        // A document type's name may hold a point itself.
        let splits = node.match_indices('.').map(|(at, _)| node.split_at(at));
        let mut splits = splits.filter_map(|(table, column)| Some((*self.tables.get(table)?, &column[1..])));
        splits.next_back().map(|(table, column)| Target::Column(table, column.into()))
    }

    /// The place of a field that waits to be asked.
    pub fn lazy_field(&self, name: &str) -> Option<u32> {
        self.lazy.get(name).copied()
    }

    /// The table of this name.
    pub fn table(&self, name: &str) -> Option<TableId> {
        self.tables.get(name).copied()
    }
}
