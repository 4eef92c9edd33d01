//! What a graph has under a name: the key, columns and fields of a document type, as a user names them.

use std::sync::Arc;

use thalweg_engine::Standing;
use thalweg_formulas::problem::did_you_mean;
use thalweg_formulas::{Problem, Text, Type, Value};
use thalweg_graph::plan::SlotSource;

use super::live::LiveGraph;

/// One column or field of a document type.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Node {
    /// `total`; a global field's whole name.
    pub name: Arc<str>,
    /// `Order.total`.
    pub full: Arc<str>,
    pub ty: Type,
}

/// What the engine keeps of a document type.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Shape {
    /// The document type; `""` for global fields.
    pub table: Arc<str>,
    /// Key columns with their types, in key order.
    pub key: Vec<(Arc<str>, Type)>,
    /// Columns that are kept, then fields, in the order of the definition; no key columns.
    pub nodes: Vec<Node>,
    /// Columns beyond these are in whole rows.
    pub whole: bool,
}

impl LiveGraph {
    /// The shape of a document type.
    ///
    /// # Errors
    /// E0290: there is no such type. E0291: nothing needs its rows, so none is kept.
    pub(super) fn shape(&self, table: &str) -> Result<Shape, Problem> {
        let Some((id, found)) = self.plan.table(table) else {
            return Err(unknown("document type", table, self.plan.tables.iter().map(|table| &*table.name)));
        };
        let Some(home) = found.home else {
            let problem = Problem::new(291, format!("no row of `{table}` is kept, since nothing reads one"));
            return Err(problem.help("let a field, an effect or a relation read it"));
        };
        let slots = self.plan.regions[home.0 as usize].slots.iter();
        let kept: Vec<u32> =
            slots.filter_map(|slot| if let SlotSource::Column(at) = slot.source { Some(at.0) } else { None }).collect();
        let key_names = self.engine.key_names(&found.name);
        let column = |name: &str| found.columns.iter().position(|column| *column.name == *name);
        let ty = |name: &str| column(name).map_or(Type::Dyn, |at| found.columns[at].ty.clone());
        let key = key_names.iter().map(|name| (name.clone(), ty(name))).collect();
        let columns = found
            .columns
            .iter()
            .enumerate()
            .filter(|(at, column)| (kept.contains(&(*at as u32)) || self.keeps_rows) && !key_names.contains(&column.name));
        let columns = columns.map(|(_, column)| Node {
            name: column.name.clone(),
            full: format!("{}.{}", found.name, column.name).into(),
            ty: column.ty.clone(),
        });
        let fields = self.plan.fields.iter().filter(|field| field.table == id).map(|field| Node {
            name: field.name.strip_prefix(&*found.name).and_then(|name| name.strip_prefix('.')).unwrap_or(&field.name).into(),
            full: field.name.clone(),
            ty: field.ty.clone(),
        });
        let nodes = columns.chain(fields).collect();
        Ok(Shape { table: found.name.clone(), key, nodes, whole: self.keeps_rows || found.whole_rows })
    }
}

impl Shape {
    /// The node called `name`.
    ///
    /// # Errors
    /// E0290: the type has no such column or field. E0292: it has, and nothing keeps it.
    pub fn node(&self, name: &str, live: &LiveGraph) -> Result<Node, Problem> {
        if let Some(node) = self.nodes.iter().find(|node| *node.name == *name) {
            return Ok(node.clone());
        }
        let full = if self.table.is_empty() { name.to_owned() } else { format!("{}.{name}", self.table) };
        if self.whole {
            return Ok(Node { name: name.into(), full: full.into(), ty: Type::Dyn });
        }
        let columns = live.plan.table(&self.table).map(|(_, table)| &table.columns[..]).unwrap_or_default();
        if columns.iter().any(|column| *column.name == *name) {
            let problem = Problem::new(292, format!("column `{full}` is not kept, since nothing reads it"));
            return Err(problem.help("start the graph with `Options { keep_columns: true, .. }`, which keeps every column"));
        }
        let known = self.key.iter().map(|(name, _)| &**name).chain(self.nodes.iter().map(|node| &*node.name));
        Err(unknown("column or field", &full, known.collect::<Vec<_>>()))
    }
}

impl Shape {
    /// Key columns, columns and fields.
    pub fn names(&self) -> Vec<&str> {
        self.key.iter().map(|(name, _)| &**name).chain(self.nodes.iter().map(|node| &*node.name)).collect()
    }

    /// Columns of a whole row that the definition does not know, in the order of their names.
    pub fn others(&self, row: &Standing) -> Vec<(Text, Value)> {
        let Some(Value::Map(whole)) = &row.row else { return Vec::new() };
        let known = |name: &str| {
            let of_table = |node: &Node| *node.name == *name && node.full.len() > node.name.len();
            self.key.iter().any(|(key, _)| **key == *name) || self.nodes.iter().any(of_table)
        };
        let others = whole.iter().filter_map(|(name, value)| match name {
            Value::Text(name) if !known(name) => Some((name.clone(), value.clone())),
            _ => None,
        });
        others.collect()
    }
}

/// E0290, with what may have been meant.
pub(super) fn unknown<'a>(what: &str, name: &str, known: impl IntoIterator<Item = &'a str>) -> Problem {
    let known: Vec<&str> = known.into_iter().filter(|known| !known.is_empty()).collect();
    let last = name.rsplit('.').next().unwrap_or(name);
    let near = did_you_mean(if known.iter().any(|known| known.contains('.')) { name } else { last }, known.iter().copied());
    let problem = Problem::new(290, format!("there is no {what} `{name}`"));
    match near.first() {
        Some(near) => problem.help(format!("did you mean `{near}`?")),
        None => problem.help(format!("there are: {}", known.join(", "))),
    }
}
