//! Nodes: what documents of a type hold, before levels and regions.
//!
//! Invariants:
//! - a node's inputs were made before it, so the order of creation is a topological order (a self-reference reads itself by [`SELF`]);
//! - equal hidden nodes of a table are one node, across the whole graph.

use std::collections::HashMap;
use std::sync::Arc;

use crate::plan::Part;
use thalweg_formulas::{Agg, Expr, ExprKind, InputId, Type, Value};

/// A node of the graph under construction; in the expressions of cells, inputs are these numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct NodeId(pub(super) u32);

/// The input that stands for the cell's own previous value.
pub(super) const SELF: InputId = InputId(u32::MAX);

impl NodeId {
    /// The node as an input of an expression.
    pub(super) fn input(self) -> InputId {
        InputId(self.0)
    }

    /// The node that an input means; `None` for [`SELF`].
    pub(super) fn of(input: InputId) -> Option<NodeId> {
        (input != SELF).then_some(NodeId(input.0))
    }
}

/// Where a node's value comes from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Source {
    /// A column of the table.
    Column(usize),
    /// A key column of a derived table; `rows` are the nodes that hold the key at the rows it is kept from, and their time where windows end.
    /// Of a closure (`far`) an index stands between.
    Key { column: usize, rows: Vec<NodeId>, far: bool },
    /// A key column of a derived table of pairs; the nodes say at the rows of each side which of them meet.
    Pair { column: usize, left: Vec<NodeId>, right: Vec<NodeId> },
    /// An aggregate of `contribution` over the rows of table `from` whose `parent_key` holds this document's key.
    /// With a `second` value of each row, where the aggregate takes one. `parts` as in [`crate::plan::Group::parts`].
    Aggregate { agg: Agg, from: usize, contribution: NodeId, second: Option<NodeId>, parent_key: Vec<NodeId>, parts: Vec<Part> },
    /// Part `at` of the key of the newest row at this row's time: what must be equal, then the time, of this row and of the other table's.
    Nearest { at: usize, near: Vec<NodeId>, of: Vec<NodeId> },
    /// `value` of the document of table `to` whose key `via` holds.
    Looked { via: Vec<NodeId>, to: usize, value: NodeId },
    /// When the row's session starts, among the rows of its table that have the same key; they are no further apart than `gap` microseconds.
    /// `late`: when the session starts for which the row came too late.
    Session { by: Vec<NodeId>, on: NodeId, gap: i64, ending: Option<Ending>, late: bool },
    /// A function of the row; `init` marks a self-reference.
    Cell { expr: Expr, init: Option<Value> },
}

/// How sessions end for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Ending {
    /// The node that holds the time of each row, also of those that do not count.
    pub(super) watched: NodeId,
    /// How far the watermark is behind the greatest time, in microseconds.
    pub(super) lateness: i64,
    /// Documents are there from the first row on.
    pub(super) early: bool,
}

/// One node.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) table: usize,
    pub(super) source: Source,
    pub(super) ty: Type,
    /// A name that is unique in its table.
    pub(super) name: Arc<str>,
    /// The user's field that it is.
    pub(super) field: Option<usize>,
    /// Nodes that must stand in the same row: the payload of an effect, the row that looks up the global document.
    pub(super) beside: Vec<NodeId>,
}

impl Node {
    /// The nodes it reads: those of its own table, then those of another.
    pub(super) fn inputs(&self) -> Vec<NodeId> {
        match &self.source {
            Source::Column(_) => vec![],
            Source::Key { rows, .. } => rows.clone(),
            Source::Nearest { near, of, .. } => [near.as_slice(), of].concat(),
            Source::Pair { left, right, .. } => [left.as_slice(), right].concat(),
            Source::Aggregate { contribution, second, parent_key, .. } => {
                std::iter::once(contribution).chain(second).chain(parent_key).copied().collect()
            }
            Source::Session { by, on, ending, .. } => {
                by.iter().chain([on]).chain(ending.as_ref().map(|ending| &ending.watched)).copied().collect()
            }
            Source::Looked { via, value, .. } => [via.as_slice(), &self.beside, &[*value]].concat(),
            Source::Cell { expr, .. } => expr.inputs().into_iter().filter_map(NodeId::of).chain(self.beside.clone()).collect(),
        }
    }
}

/// The arena.
#[derive(Default)]
pub(super) struct Nodes {
    all: Vec<Node>,
    hidden: HashMap<(usize, Source), NodeId>,
    names: HashMap<(usize, Arc<str>), u32>,
}

impl Nodes {
    /// The node.
    pub(super) fn get(&self, id: NodeId) -> &Node {
        &self.all[id.0 as usize]
    }

    /// All ids, in topological order.
    pub(super) fn ids(&self) -> impl DoubleEndedIterator<Item = NodeId> + use<> {
        (0..self.all.len() as u32).map(NodeId)
    }

    /// The one node of `table` with this source.
    pub(super) fn shared(&mut self, table: usize, source: Source, ty: Type, name: impl FnOnce() -> String) -> NodeId {
        if let Some(id) = self.hidden.get(&(table, source.clone())) {
            return *id;
        }
        let id = self.push(table, source.clone(), ty, name().into());
        self.hidden.insert((table, source), id);
        id
    }

    /// The cell of a field: a hidden cell that computes the same becomes it; where another field computes the same, it copies that one.
    pub(super) fn field(&mut self, table: usize, expr: Expr, field: usize, name: Arc<str>) -> NodeId {
        let source = Source::Cell { expr: expr.clone(), init: None };
        match self.hidden.get(&(table, source.clone())).copied() {
            Some(id) if self.get(id).field.is_none() => {
                let node = &mut self.all[id.0 as usize];
                node.field = Some(field);
                node.name = name;
                id
            }
            Some(same) => {
                let ty = expr.ty().clone();
                let copy = Source::Cell { expr: Expr::new(ExprKind::Input(same.input()), ty.clone()), init: None };
                self.named(table, copy, ty, field, name)
            }
            None => {
                let id = self.named(table, source.clone(), expr.ty().clone(), field, name);
                self.hidden.insert((table, source), id);
                id
            }
        }
    }

    /// A self-referencing field.
    pub(super) fn self_reference(&mut self, table: usize, expr: Expr, init: Value, field: usize, name: Arc<str>) -> NodeId {
        let ty = expr.ty().clone();
        self.named(table, Source::Cell { expr, init: Some(init) }, ty, field, name)
    }

    /// A hidden self-reference, which is known by its name over a restart: it says which field it is of.
    pub(super) fn hidden_self(&mut self, table: usize, expr: Expr, init: Value, name: String) -> NodeId {
        let ty = expr.ty().clone();
        self.push(table, Source::Cell { expr, init: Some(init) }, ty, name.into())
    }

    /// A value of the global document at every document of `table`: it needs a row to stand in, but no key.
    pub(super) fn global(&mut self, table: usize, to: usize, value: NodeId, ty: Type, name: String) -> NodeId {
        let row = Expr::new(ExprKind::Const(Value::Bool(true)), Type::Bool);
        let row = self.shared(table, Source::Cell { expr: row, init: None }, Type::Bool, || "true".into());
        let id = self.shared(table, Source::Looked { via: Vec::new(), to, value }, ty, || name);
        self.all[id.0 as usize].beside = vec![row];
        id
    }

    /// The condition of an effect, in one row with its payload.
    pub(super) fn condition(&mut self, table: usize, expr: Expr, beside: Vec<NodeId>, name: String) -> NodeId {
        let ty = expr.ty().clone();
        let id = self.push(table, Source::Cell { expr, init: None }, ty, name.into());
        self.all[id.0 as usize].beside = beside;
        id
    }

    fn named(&mut self, table: usize, source: Source, ty: Type, field: usize, name: Arc<str>) -> NodeId {
        let id = NodeId(self.all.len() as u32);
        *self.names.entry((table, name.clone())).or_insert(0) += 1;
        self.all.push(Node { table, source, ty, name, field: Some(field), beside: Vec::new() });
        id
    }

    /// Adds a hidden node or a column; a name that is taken gets a number.
    fn push(&mut self, table: usize, source: Source, ty: Type, name: Arc<str>) -> NodeId {
        let id = NodeId(self.all.len() as u32);
        let taken = self.names.entry((table, name.clone())).or_insert(0);
        *taken += 1;
        let name = if *taken == 1 { name } else { format!("{name} #{taken}").into() };
        self.all.push(Node { table, source, ty, name, field: None, beside: Vec::new() });
        id
    }

    /// A sub-expression that several cells of a table share.
    pub(super) fn common(&mut self, table: usize, expr: Expr, name: String) -> NodeId {
        let ty = expr.ty().clone();
        self.push(table, Source::Cell { expr, init: None }, ty, name.into())
    }

    /// The same cell with another expression of equal meaning.
    pub(super) fn rewrite(&mut self, id: NodeId, expr: Expr) {
        if let Source::Cell { expr: old, .. } = &mut self.all[id.0 as usize].source {
            *old = expr;
        }
    }
}
