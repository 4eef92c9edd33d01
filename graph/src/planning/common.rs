//! Common sub-expressions of a region become shared cells.
//!
//! An expression is shared when it stands in at least two places of the region's expressions, seen as a graph in which equal
//! expressions are one; so of `a * b + 1` twice only the whole is shared. A cell that is the expression already is read as it is.
//!
//! Left alone: constants, inputs, the insides of comprehensions (their variables have no value outside), and the cells of
//! self-references (which step when an input of theirs changes, as written; a shared cell would hide a change).
//! Cells that wait to be asked share among themselves: they would not be computed for the others.
//!
//! A shared cell is evaluated also where a branch would not have needed it. That costs, but changes nothing: evaluation is total,
//! errors are values, and the error of a branch that is not taken stays in its own cell.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use thalweg_formulas::{Expr, ExprKind};

use super::lazy::Lazy;
use super::nodes::{NodeId, Source};
use super::rewrite::{replace, replace_parts};
use super::world::World;
use crate::show;

/// Shares equal sub-expressions among the cells of one region; new cells join `members`. Returns the cells in topological order.
pub(super) fn share(world: &mut World, table: usize, members: &mut BTreeSet<NodeId>, lazy: &mut Lazy) -> Vec<NodeId> {
    let cells = members.iter().copied().filter(|id| matches!(world.nodes.get(*id).source, Source::Cell { .. }));
    let (waiting, kept): (Vec<NodeId>, Vec<NodeId>) = cells.partition(|id| lazy.waits(*id));
    let shared = share_among(world, table, &kept);
    members.extend(shared);
    for id in share_among(world, table, &waiting) {
        members.insert(id);
        lazy.add(id);
    }
    in_order(world, members)
}

/// Shares equal sub-expressions among cells; gives the new ones.
fn share_among(world: &mut World, table: usize, cells: &[NodeId]) -> Vec<NodeId> {
    let mut made = Vec::new();
    let mut places = Places::default();
    for id in cells {
        if let Source::Cell { expr, init: None } = &world.nodes.get(*id).source {
            places.visit(expr, Some(*id));
        }
    }
    // Inner expressions first, so that an outer shared cell reads the inner one.
    let mut by: HashMap<Expr, Expr> = HashMap::new();
    let mut owners: HashMap<Expr, NodeId> = HashMap::new();
    for expr in &places.order {
        if places.count[expr] < 2 {
            continue;
        }
        let owner = match places.cell_of.get(expr) {
            Some(id) => *id,
            None => {
                let name = show::text(expr, &|id| NodeId::of(id).map_or("self".into(), |node| world.node_name(node)));
                let id = world.nodes.common(table, replace_parts(expr, &by), name);
                made.push(id);
                id
            }
        };
        owners.insert(expr.clone(), owner);
        by.insert(expr.clone(), Expr::new(ExprKind::Input(owner.input()), expr.ty().clone()));
    }
    for id in cells {
        let Source::Cell { expr, init: None } = world.nodes.get(*id).source.clone() else { continue };
        let rewritten = if owners.get(&expr) == Some(id) { replace_parts(&expr, &by) } else { replace(&expr, &by) };
        world.nodes.rewrite(*id, rewritten);
    }
    made
}

/// Where expressions stand.
#[derive(Default)]
struct Places {
    /// In how many places.
    count: HashMap<Expr, usize>,
    /// The first cell that is the expression as a whole; a field's cell before others.
    cell_of: HashMap<Expr, NodeId>,
    /// Expressions that may be shared, parts before wholes.
    order: Vec<Expr>,
}

impl Places {
    /// Counts a place of `expr`, and on its first the places of its parts.
    fn visit(&mut self, expr: &Expr, cell: Option<NodeId>) {
        if matches!(expr.kind(), ExprKind::Const(_) | ExprKind::Input(_) | ExprKind::Local(_)) {
            return;
        }
        let count = self.count.entry(expr.clone()).or_insert(0);
        *count += 1;
        let first = *count == 1;
        if let Some(cell) = cell {
            self.cell_of.entry(expr.clone()).or_insert(cell);
        }
        if !first {
            return;
        }
        match expr.kind() {
            ExprKind::Comprehension { over, .. } => self.visit(over, None),
            _ => expr.args().into_iter().for_each(|arg| self.visit(arg, None)),
        }
        self.order.push(expr.clone());
    }
}

/// The cells of `members`, each after those that it reads, else by number.
fn in_order(world: &World, members: &BTreeSet<NodeId>) -> Vec<NodeId> {
    let mut waiting: BTreeMap<NodeId, BTreeSet<NodeId>> = BTreeMap::new();
    let is_cell = |id: &NodeId| members.contains(id) && matches!(world.nodes.get(*id).source, Source::Cell { .. });
    for id in members.iter().filter(|id| is_cell(id)) {
        waiting.insert(*id, world.nodes.get(*id).inputs().into_iter().filter(is_cell).collect());
    }
    let mut readers: BTreeMap<NodeId, Vec<NodeId>> = BTreeMap::new();
    waiting.iter().for_each(|(id, inputs)| inputs.iter().for_each(|input| readers.entry(*input).or_default().push(*id)));
    let mut ready: BTreeSet<NodeId> = waiting.iter().filter(|(_, inputs)| inputs.is_empty()).map(|(id, _)| *id).collect();
    let mut order = Vec::with_capacity(waiting.len());
    while let Some(id) = ready.pop_first() {
        order.push(id);
        for reader in readers.get(&id).into_iter().flatten() {
            let inputs = waiting.get_mut(reader).expect("invariant: a reader is a cell of the region");
            inputs.remove(&id);
            if inputs.is_empty() {
                ready.insert(*reader);
            }
        }
    }
    assert_eq!(order.len(), waiting.len(), "INV-PLAN-CELLS: the cells of a region have a topological order");
    order
}
