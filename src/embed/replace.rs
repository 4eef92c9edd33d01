//! A running graph changes: fields, effects, document types and relations come, go and mean something else, between two transactions.
//!
//! The new definition is checked whole; where anything is wrong with it the graph goes on as it is. Else it takes the place of the one before at once, at
//! the last closed epoch: no transaction is computed by some of both. What is there by the same name goes on, as over a restart: `self`, what is published,
//! latches, versions, timers. What is new is computed from the rows that the engine keeps; filling it fires nothing and has no deltas. A subscriber to
//! whom something is new gets a snapshot.
//!
//! Next to read: [`thalweg_engine::Engine::replace`], which does it; [`super::feed`], which tells.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::Serialize;
use thalweg_engine::Lacks;
use thalweg_formulas::Problem;
use thalweg_graph::outcome::ErrorChange;
use thalweg_graph::{Change, Epoch, GraphSpec, Plan};

use super::live::LiveGraph;
use super::running::{Running, Stopped};
use crate::dsl::{Definition, DefinitionError, Graph};

/// What a replacement came to.
#[derive(Clone, Debug, PartialEq)]
pub struct Replaced {
    /// The last epoch of the definition before.
    pub epoch: Epoch,
    /// Rows that were given anew and refused.
    pub refused: Vec<ErrorChange>,
}

/// Why a graph goes on as it is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReplaceError {
    /// The new definition is wrong.
    #[error("{0}")]
    Definition(DefinitionError),
    /// E0294: it reads columns that the rows that are there lack.
    #[error("{}", with_cure(.0))]
    Lacks(Problem),
    /// The graph has ended.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

impl LiveGraph {
    /// Changes the graph that runs: `edit` gets its definition, adds to it and takes from it ([`Graph::remove`]), and what it leaves takes the place of what
    /// was, all at once. What was pushed is closed first.
    ///
    /// ```
    /// use thalweg::prelude::*;
    ///
    /// let mut graph = Graph::new();
    /// graph.state(State::document("Order").key("id"));
    /// graph.derived("Order.total", Derived::formula("price * qty"));
    /// let mut live = graph.start_with(Options { keep_columns: true, ..Options::default() })?;
    /// let order = |id: i64, price: i64, qty: i64| [("id", id), ("customer", 7), ("price", price), ("qty", qty)];
    /// live.apply(Changes::new("tx-1").insert("Order", order(1, 5, 2)).insert("Order", order(2, 4, 4)));
    ///
    /// live.edit(|graph| {
    ///     graph.state(State::document("Customer").key("id").children("orders", "Order", "customer"));
    ///     graph.derived("Customer.spent", Derived::formula("sum(orders[*].total)"));
    ///     graph.remove("Order.total").derived("Order.total", Derived::formula("price * qty + 1"));
    /// })?;
    /// live.apply(Changes::new("tx-2").insert("Customer", [("id", 7)]));
    /// assert_eq!(live.get("Customer.spent", [7]), Some(Ok(Value::Int(28))));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// What is wrong with the new definition; E0294 where it reads columns that are not kept. Nothing has changed then.
    pub fn edit(&mut self, edit: impl FnOnce(&mut Graph)) -> Result<Replaced, ReplaceError> {
        let mut graph = Graph::from(self.spec.clone());
        edit(&mut graph);
        self.replace(graph)
    }

    /// Lets another definition take the place of the one that runs. Handlers stay with the effects whose names they have, but where the new one has
    /// its own.
    ///
    /// # Errors
    /// As [`LiveGraph::edit`].
    pub fn replace(&mut self, graph: Graph) -> Result<Replaced, ReplaceError> {
        self.replace_with(graph, Vec::new())
    }

    /// The same with rows given anew, as inserts: tables of which there are any forget their own. So a definition may read columns that were not kept.
    ///
    /// # Errors
    /// As [`LiveGraph::edit`].
    pub fn replace_with(&mut self, graph: Graph, rows: Vec<Change>) -> Result<Replaced, ReplaceError> {
        let Definition { spec, plan, mut handlers } = graph.planned().map_err(ReplaceError::Definition)?;
        self.close_early();
        let anew: BTreeSet<Arc<str>> = rows.iter().map(|row| row.schema.table.clone()).collect();
        let replaced = self.engine.replace(plan.clone(), rows).map_err(|lacks| ReplaceError::Lacks(lacking(&lacks)))?;
        std::mem::take(&mut self.handlers.by_name).into_iter().for_each(|(name, handler)| {
            handlers.by_name.entry(name).or_insert(handler);
        });
        self.handlers = handlers;
        let changed = Changed::between((&self.spec, &self.plan), (&spec, &plan), &anew);
        self.spec = spec;
        self.plan = plan;
        let appointments = self.engine.appointments();
        self.clock.replace(self.plan.clone(), appointments);
        self.trainer.replace(self.plan.clone(), &mut self.engine);
        self.begin_anew(&changed);
        Ok(Replaced { epoch: self.epoch(), refused: replaced.refused })
    }
}

impl Running {
    /// Changes the graph; see [`LiveGraph::edit`]. Everything that was handed over before is computed by the definition before.
    ///
    /// # Errors
    /// As [`LiveGraph::edit`]; the graph has ended.
    pub fn edit(&self, edit: impl FnOnce(&mut Graph) + Send + 'static) -> Result<Replaced, ReplaceError> {
        self.call(move |live| live.edit(edit))?
    }

    /// Lets another definition take the place of the one that runs; see [`LiveGraph::replace_with`].
    ///
    /// # Errors
    /// As [`LiveGraph::edit`]; the graph has ended.
    pub fn replace_with(&self, graph: Graph, rows: Vec<Change>) -> Result<Replaced, ReplaceError> {
        self.call(move |live| live.replace_with(graph, rows))?
    }
}

fn with_cure(problem: &Problem) -> String {
    problem.help.as_ref().map_or_else(|| problem.to_string(), |cure| format!("{problem} ({cure})"))
}

fn lacking(lacks: &Lacks) -> Problem {
    let cure = "start the graph with `Options { keep_columns: true, .. }`, or give the table's rows again with `replace_with`";
    Problem::new(294, lacks.to_string()).help(cure)
}

/// All that is said of a table or field.
fn text(item: &impl Serialize) -> String {
    serde_json::to_string(item).expect("a definition is JSON")
}

/// What is other than before, as far as subscribers may see.
#[derive(Debug, Default)]
pub(super) struct Changed {
    /// Fields that are new, gone, or may have other values.
    fields: BTreeSet<Arc<str>>,
    /// Document types that are new or gone, or of which other rows may be there.
    tables: BTreeSet<Arc<str>>,
}

impl Changed {
    fn between(before: (&GraphSpec, &Plan), after: (&GraphSpec, &Plan), anew: &BTreeSet<Arc<str>>) -> Changed {
        let tables =
            |spec: &GraphSpec| spec.tables.iter().map(|table| (table.name.clone(), text(table))).collect::<BTreeSet<_>>();
        let fields =
            |spec: &GraphSpec| spec.fields.iter().map(|field| (field.name.clone(), text(field))).collect::<BTreeSet<_>>();
        let names = |all: [BTreeSet<(String, String)>; 2]| -> BTreeSet<Arc<str>> {
            all[0].symmetric_difference(&all[1]).map(|(name, _)| name.as_str().into()).collect()
        };
        let mut changed =
            Changed { fields: names([fields(before.0), fields(after.0)]), tables: names([tables(before.0), tables(after.0)]) };
        let given = after.1.tables.iter().filter(|table| anew.contains(&table.from) || anew.contains(&table.name));
        changed.tables.extend(given.map(|table| table.name.clone()));
        // What a type's relations mean concerns whoever reads through them, and what reads a changed field is changed.
        let all = !changed.tables.is_empty();
        let is_old = |name: &str| before.1.field(name).is_some();
        loop {
            let reads_changed = |field: &&thalweg_graph::plan::Field| {
                !changed.fields.contains(&field.name)
                    && (all && is_old(&field.name) && !field.reads.is_empty()
                        || field.reads.iter().any(|read| changed.fields.contains(read)))
            };
            let more: Vec<Arc<str>> = after.1.fields.iter().filter(reads_changed).map(|field| field.name.clone()).collect();
            if more.is_empty() {
                return changed;
            }
            changed.fields.extend(more);
        }
    }

    /// Whether a field or a document type is other than before.
    pub fn node(&self, node: &str) -> bool {
        self.fields.contains(node) || node.rsplit_once('.').is_some_and(|(table, _)| self.tables.contains(table))
    }

    /// Whether anything of a document type is.
    pub fn table(&self, table: &str) -> bool {
        self.tables.contains(table) || self.fields.iter().any(|field| field.rsplit_once('.').map_or("", |(of, _)| of) == table)
    }

    /// Whether anything is.
    pub fn any(&self) -> bool {
        !self.fields.is_empty() || !self.tables.is_empty()
    }
}
