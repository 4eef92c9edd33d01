//! The story of one node: what it is, what it reads, who reads it, where it lives, what a change costs.

use super::view::{Kind, Node, cancelled_by, kept, nodes, raised_by};
use crate::plan::Plan;
use crate::show;

impl Plan {
    /// The story of the node with this id (`Order.total`, an effect's or reaction's name, `Order.price`), or `None` if there is none.
    pub fn explain(&self, node: &str) -> Option<String> {
        let nodes = nodes(self);
        let found = nodes.iter().find(|found| found.id == node)?;
        let mut lines = vec![format!("{} ({}): {}", found.id, found.kind.name(), found.ty)];
        lines.extend(self.definition(found));
        if let Some(maintenance) = &found.maintenance {
            let (how, why) = kept(maintenance);
            lines.push(format!("kept: {how}: {why}"));
        }
        lines.extend(self.place(found));
        lines.extend(list("reads", found.reads.iter().map(String::as_str)));
        let readers = nodes.iter().filter(|other| other.reads.contains(&found.id));
        lines.extend(list("read by", readers.map(|reader| reader.id.as_str())));
        Some(lines.join("\n") + "\n")
    }

    /// What was written.
    fn definition(&self, node: &Node) -> Vec<String> {
        match node.kind {
            Kind::State => vec![format!("definition: a column of {}", node.table)],
            Kind::Key => vec![format!("definition: a key column of {}, whose documents are kept", node.table)],
            Kind::Hidden => vec![format!("definition: needed by others, at each document of {}", node.table)],
            Kind::Derived => self.field(&node.id).map(|(_, field)| format!("formula: {}", field.formula)).into_iter().collect(),
            Kind::Effect => self.effect(&node.id).map_or(vec![], |(_, effect)| {
                let names: Vec<&str> = effect.payload.iter().map(|(name, _)| &**name).collect();
                let fires = format!("fires: when this becomes true: {}", effect.condition);
                vec![fires, format!("sends: {}", names.join(", "))]
            }),
            Kind::Reaction => self.reaction_definition(&node.id),
        }
    }

    fn reaction_definition(&self, name: &str) -> Vec<String> {
        let rule: Vec<_> = self.reactions.iter().filter(|reaction| *reaction.name == *name).collect();
        let Some(first) = rule.first() else { return vec![] };
        let raised: Vec<String> = rule.iter().map(|reaction| raised_by(self, reaction)).collect();
        let mut lines = vec![format!("event: {} ({})", first.event, raised.join(", "))];
        lines.extend(first.condition_text.as_ref().map(|text| format!("condition: {text}")));
        lines.extend(first.timer.as_ref().map(|timer| format!("timer: {} {}", timer.event, show::due(timer))));
        let cancels = self.cancels.iter().filter(|cancel| *cancel.name == *name).map(|cancel| cancelled_by(self, cancel));
        let cancels: Vec<String> = cancels.collect();
        lines.extend((!cancels.is_empty()).then(|| format!("timer cancelled by: {}", cancels.join(", "))));
        lines
    }

    fn place(&self, node: &Node) -> Option<String> {
        let (own, carried) = node.regions.split_first()?;
        let level = self.regions[*own as usize].level;
        let carried: Vec<String> = carried.iter().map(u32::to_string).collect();
        let also = if carried.is_empty() { String::new() } else { format!(", carried to region {}", carried.join(", ")) };
        Some(format!("place: tier {}, region {own}, level {level}{also}", node.tier))
    }
}

fn list<'a>(what: &str, names: impl Iterator<Item = &'a str>) -> Option<String> {
    let names: Vec<&str> = names.collect();
    (!names.is_empty()).then(|| format!("{what}: {}", names.join(", ")))
}
