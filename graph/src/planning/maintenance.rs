//! How a field is kept, in words: what a change costs, or why the field is computed again from all of its input.

use std::collections::BTreeSet;

use thalweg_formulas::agg::Windowed;
use thalweg_formulas::{Agg, Expr, ExprKind, Type};

use super::nodes::{NodeId, Source};
use super::world::World;
use crate::plan::Maintenance;

/// How the field whose cell is `node` is kept.
pub(super) fn maintenance(world: &World, node: NodeId) -> Maintenance {
    let mut parts = Parts::default();
    // A field that is published later is kept as what is computed at once.
    let timed = world.nodes.get(node).field.and_then(|field| world.fields[field].computed);
    match timed {
        Some(computed) if world.nodes.get(computed).field.is_none() => parts.collect(world, computed),
        Some(_) => {}
        None => parts.collect(world, node),
    }
    if let Some(list) = parts.list {
        return Maintenance::Recomputed(match list {
            Some(name) => format!("the array `{name}` is one value"),
            None => "a list is one value".into(),
        });
    }
    let mut said: Vec<String> = parts.aggregates.into_iter().collect();
    if parts.looked_up {
        said.push("a looked-up value follows its document, one step for each row that refers to it".into());
    }
    if parts.by_time {
        said.push(NEAREST.into());
    }
    if parts.itself {
        said.push("one step for each epoch in which an input changes".into());
    }
    if said.is_empty() {
        said.push("a function of its own row".into());
    }
    Maintenance::Incremental(said.join("; "))
}

/// What a change costs an as-of edge.
pub(crate) const NEAREST: &str =
    "rows stand in the order of time, so a change costs O(log n) and one step for each row between it and the next";

/// What a field is made of, down to the nodes of its own row that have a name.
#[derive(Default)]
struct Parts {
    aggregates: BTreeSet<String>,
    looked_up: bool,
    by_time: bool,
    itself: bool,
    /// A list that is read whole, by its name if it has one.
    list: Option<Option<String>>,
}

impl Parts {
    fn collect(&mut self, world: &World, id: NodeId) {
        let node = world.nodes.get(id);
        let Source::Cell { expr, init } = &node.source else { return };
        self.itself |= init.is_some();
        if let Some(name) = list_read(world, expr) {
            self.list = Some(name);
        }
        for input in node.inputs() {
            let read = world.nodes.get(input);
            match &read.source {
                Source::Column(_) | Source::Key { .. } | Source::Pair { .. } => {}
                Source::Aggregate { agg, .. } => drop(self.aggregates.insert(kept_aggregate(agg))),
                Source::Looked { via, .. } => {
                    self.looked_up = true;
                    self.by_time |= via.iter().any(|id| matches!(world.nodes.get(*id).source, Source::Nearest { .. }));
                }
                Source::Nearest { .. } => self.by_time = true,
                Source::Session { .. } => {}
                // Another field says for itself how it is kept.
                Source::Cell { .. } if read.field.is_some() => {}
                Source::Cell { .. } => self.collect(world, input),
            }
        }
    }
}

/// What one changed child row costs its aggregate.
pub(crate) fn kept_aggregate(agg: &Agg) -> String {
    let name = agg.name();
    match agg {
        Agg::Sum | Agg::Count | Agg::Avg | Agg::Any | Agg::All => {
            format!("{name} is an accumulator, one step for each changed row")
        }
        Agg::Var(_) | Agg::Stddev(_) | Agg::Covar(_) | Agg::Corr => {
            format!("{name} is exact sums of values and products, one step for each changed row")
        }
        Agg::Min | Agg::Max | Agg::CountDistinct | Agg::Median | Agg::Quantile(_) => {
            format!("{name} keeps its values in order, O(log n) for each changed row")
        }
        Agg::First | Agg::Last => format!("{name} keeps its rows in order, O(log n) for each changed row"),
        Agg::FirstOf(n) | Agg::LastOf(n) | Agg::Top(n) | Agg::Bottom(n) => {
            format!("{name} keeps its rows in order, O(log n) for each changed row and {n} values to show")
        }
        Agg::Collect | Agg::StringAgg(_) => {
            format!("{name} keeps its rows in order, O(log n) for each changed row and all values to show")
        }
        Agg::Window(Windowed::Min | Windowed::Max, _) => {
            format!("{name} keeps its rows and the window's values in order, O(log n) for each changed row")
        }
        Agg::Window(..) => format!("{name} keeps its rows in order and a sum of the window, O(log n) for each changed row"),
    }
}

/// Whether an expression goes through a list, and the list's name where it is a column or field.
fn list_read(world: &World, expr: &Expr) -> Option<Option<String>> {
    let list = match expr.kind() {
        ExprKind::Comprehension { over, .. } => Some(over),
        ExprKind::Call(_, args) => args.iter().find(|arg| matches!(arg.ty(), Type::List(_))),
        _ => None,
    };
    match list {
        Some(list) => Some(list_name(world, list)),
        None => expr.args().into_iter().find_map(|arg| list_read(world, arg)),
    }
}

/// The name of the column or field that a list comes from.
fn list_name(world: &World, list: &Expr) -> Option<String> {
    match list.kind() {
        ExprKind::Input(id) => NodeId::of(*id).map(|id| world.node_name(id)),
        ExprKind::Comprehension { over, .. } => list_name(world, over),
        _ => list.args().into_iter().find_map(|arg| list_name(world, arg)),
    }
}
