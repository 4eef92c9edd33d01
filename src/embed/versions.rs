//! What fields were: the last values of each document, kept while a graph runs in a program. A graph without a log has nothing else to ask; where there is a
//! log, `thalweg history` asks that.
//!
//! Invariant INV-VERSIONS: from the epoch on at which a field began to be kept, and back to the oldest version of a document that is left, the version in
//! force at an epoch is the value at that epoch.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use thalweg_formulas::{Cell, Problem, Value};
use thalweg_graph::outcome::Key;
use thalweg_graph::{Epoch, Outcome};

use super::live::LiveGraph;
use super::nodes::unknown;
use super::replace::Changed;
use crate::versions::{Had, Past};

/// The kept versions of one field.
pub(super) struct Kept {
    past: Past,
    /// For each document.
    most: usize,
    /// Since when.
    since: Epoch,
    documents: BTreeMap<Key, Document>,
}

#[derive(Default)]
struct Document {
    versions: VecDeque<(Epoch, Had)>,
    /// The oldest ones have been forgotten.
    is_cut: bool,
}

impl LiveGraph {
    /// Keeps the last values of each document of a field, so many, from now on. A lazy field is kept up for it. What was kept of the field before is forgotten.
    ///
    /// ```
    /// use thalweg::prelude::*;
    ///
    /// let mut graph = Graph::new();
    /// graph.state(State::document("Order").key("id"));
    /// graph.derived("Order.total", Derived::formula("price * 2"));
    /// let mut live = graph.start()?;
    /// live.keep_versions("Order.total", 10)?;
    /// live.apply(Changes::new("tx-1").insert("Order", [("id", 1), ("price", 5)]));
    /// live.apply(Changes::new("tx-2").update("Order", [("id", 1), ("price", 6)]));
    /// assert_eq!(live.as_of("Order.total", [1], 1)?, Some(Ok(Value::Int(10))));
    /// assert_eq!(live.as_of("Order.total", [1], 2)?, Some(Ok(Value::Int(12))));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// E0290: there is no such field.
    pub fn keep_versions(&mut self, field: &str, most: usize) -> Result<(), Problem> {
        let Some((_, found)) = self.plan.field(field) else {
            return Err(unknown("field", field, self.plan.fields.iter().map(|field| &*field.name)));
        };
        let (name, table) = (found.name.clone(), self.plan.tables[found.table.0 as usize].name.clone());
        self.close_early();
        let since = self.epoch();
        let mut kept = Kept { past: Past::new(name.clone()), most: most.max(1), since, documents: BTreeMap::new() };
        for row in self.engine.rows(&table, &[field]) {
            let Some(Some(cell)) = row.cells.into_iter().next() else { continue };
            kept.past.begin(&row.key, &cell);
            kept.add(row.key, since, cell.map_or_else(Had::Error, Had::Value));
        }
        self.feed.versions.insert(name, kept);
        self.follow();
        Ok(())
    }

    /// Another definition runs from here on: what fields were under the one before is forgotten where they are other than they were.
    pub(super) fn versions_begin_anew(&mut self, changed: &Changed) {
        let other = self.feed.versions.iter().filter(|(field, _)| changed.node(field) || self.plan.field(field).is_none());
        let other: Vec<(Arc<str>, usize)> = other.map(|(field, kept)| (field.clone(), kept.most)).collect();
        for (field, most) in other {
            if self.keep_versions(&field, most).is_err() {
                self.forget_versions(&field);
            }
        }
    }

    /// Keeps no more versions of a field, and forgets those there are.
    pub fn forget_versions(&mut self, field: &str) {
        self.feed.versions.remove(field);
        self.follow();
    }

    /// The kept versions of a document's field, oldest first: since when, and what; `None`: the document went.
    pub fn versions<V: Into<Value>, const N: usize>(&self, field: &str, key: [V; N]) -> Vec<(Epoch, Option<Cell>)> {
        let Some(kept) = self.feed.versions.get(field) else { return Vec::new() };
        let key = self.key_of(field.rsplit_once('.').map_or("", |(table, _)| table), key);
        let document = kept.documents.get(&key[..]);
        let versions = document.iter().flat_map(|document| &document.versions);
        versions.map(|(epoch, had)| (*epoch, had.cell())).collect()
    }

    /// What a document's field was at the end of an epoch; `None`: the document was not there, or its value had been NULL from the start.
    ///
    /// # Errors
    /// E0295: no versions are kept that go back so far, or the epoch is not closed.
    pub fn as_of<V: Into<Value>, const N: usize>(&self, field: &str, key: [V; N], epoch: Epoch) -> Result<Option<Cell>, Problem> {
        let not_kept = |why: String| Err(Problem::new(295, format!("what `{field}` was at epoch {epoch} is not known: {why}")));
        let Some(kept) = self.feed.versions.get(field) else {
            return not_kept("its versions are not kept".into())
                .map_err(|problem| problem.help("LiveGraph::keep_versions keeps them"));
        };
        if epoch < kept.since || epoch > self.epoch() {
            return not_kept(format!("its versions are kept from epoch {} to {}", kept.since, self.epoch()));
        }
        let key = self.key_of(field.rsplit_once('.').map_or("", |(table, _)| table), key);
        let Some(document) = kept.documents.get(&key[..]) else { return Ok(None) };
        match document.versions.iter().rev().find(|(since, _)| *since <= epoch) {
            Some((_, had)) => Ok(had.cell()),
            None if document.is_cut => {
                not_kept(format!("the document has had more values since than the {} that are kept", kept.most))
            }
            None => Ok(None),
        }
    }
}

impl Kept {
    /// Takes what a step came to.
    pub(super) fn take(&mut self, outcome: &Outcome) {
        for (epoch, key, had) in self.past.take(outcome) {
            self.add(key, epoch, had);
        }
    }

    fn add(&mut self, key: Key, epoch: Epoch, had: Had) {
        let most = self.most;
        let document = self.documents.entry(key).or_default();
        document.versions.push_back((epoch, had));
        if document.versions.len() > most {
            document.versions.pop_front();
            document.is_cut = true;
        }
    }
}
