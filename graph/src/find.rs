//! Finding things in a plan by name, and the names of its nodes.

use std::sync::Arc;

use crate::plan::{Effect, Field, FieldId, Plan, RegionId, SlotId, SlotSource, Table, TableId};

impl Plan {
    /// The table called `name`, or made from the source table `name`.
    pub fn table(&self, name: &str) -> Option<(TableId, &Table)> {
        let by_name = self.tables.iter().position(|table| *table.name == *name);
        let found = by_name.or_else(|| self.tables.iter().position(|table| *table.from == *name))?;
        Some((TableId(found as u32), &self.tables[found]))
    }

    /// The field called `name`.
    pub fn field(&self, name: &str) -> Option<(FieldId, &Field)> {
        let found = self.fields.iter().position(|field| *field.name == *name)?;
        Some((FieldId(found as u32), &self.fields[found]))
    }

    /// The effect called `name`.
    pub fn effect(&self, name: &str) -> Option<(usize, &Effect)> {
        self.effects.iter().enumerate().find(|(_, effect)| *effect.name == *name)
    }

    /// The id of the node in a slot, unique in the plan: `Order.price`, `Order.total`, an effect's name, `Order: sum(items[*].price)`
    /// for a hidden node. A value that is carried between regions has the id of its origin.
    pub fn node_id(&self, region: RegionId, slot: SlotId) -> String {
        let place = &self.regions[region.0 as usize];
        let found = &place.slots[slot.0 as usize];
        let table: &Arc<str> = &self.tables[place.table.0 as usize].name;
        match found.source {
            SlotSource::Carried(from, lower) => self.node_id(from, lower),
            SlotSource::Column(_) => format!("{table}.{}", found.name),
            SlotSource::Cell(cell) => {
                let effect = self.effects.iter().find(|effect| (effect.region, effect.when) == (region, slot));
                match (place.cells[cell as usize].field, effect) {
                    (Some(field), _) => self.fields[field.0 as usize].name.to_string(),
                    (None, Some(effect)) => effect.name.to_string(),
                    (None, None) => hidden(table, &found.name),
                }
            }
            SlotSource::Aggregate(_) | SlotSource::Looked(..) | SlotSource::Nearest(..) | SlotSource::Session(_) => {
                hidden(table, &found.name)
            }
        }
    }

    /// Where a value lives that is carried to `slot`, the place itself otherwise.
    pub fn origin(&self, region: RegionId, slot: SlotId) -> (RegionId, SlotId) {
        match self.regions[region.0 as usize].slots[slot.0 as usize].source {
            SlotSource::Carried(from, lower) => self.origin(from, lower),
            _ => (region, slot),
        }
    }
}

fn hidden(table: &str, name: &str) -> String {
    if table.is_empty() { format!("global: {name}") } else { format!("{table}: {name}") }
}
