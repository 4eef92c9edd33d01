//! What subscribers are told, epoch by epoch, and what is kept of it for those who come back.
//!
//! Changes are rendered only while somebody subscribes or something is kept, so a graph without readers pays nothing. What is kept is bounded
//! by a number of changes ([`LiveGraph::keep`]); each subscriber's channel by a number of its own ([`Subscribe::room`]).
//!
//! Invariants:
//! - INV-FEED-1: a subscriber's messages are a snapshot, then every epoch that changed something it reads, in order, none twice and none
//!   left out, but where it was too slow and a new snapshot takes the place of what it missed.
//! - INV-FEED-2: every change since `complete_from` is kept.
//!
//! A lazy field is followed while a subscription takes it: the engine then keeps it as any other. Who comes back from before that gets a snapshot.
//!
//! Next to read: [`super::subscription`].

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use thalweg_formulas::{Problem, Value};
use thalweg_graph::outcome::{Delta, Document, ErrorChange};
use thalweg_graph::plan::{Field, Laziness};
use thalweg_graph::{Epoch, Outcome};

use super::live::LiveGraph;
use super::nodes::unknown;
use super::replace::Changed as Changes;
use super::subscription::{Changed, Channel, Subscribe, Subscription, Update};
use super::versions::Kept;

/// Changes that are kept unless [`LiveGraph::keep`] says otherwise.
pub const KEPT_DEFAULT: usize = 65_536;

/// All subscribers of one graph.
#[derive(Default)]
pub(super) struct Feed {
    readers: Vec<Reader>,
    /// Changes to keep; `None` until somebody subscribes.
    keep: Option<usize>,
    kept: VecDeque<Arc<Changed>>,
    kept_changes: usize,
    /// Every change after this epoch is kept (INV-FEED-2), but for lazy fields that nobody followed then.
    complete_from: Epoch,
    /// The lazy fields that somebody follows, and since when.
    followed: BTreeMap<Arc<str>, Epoch>,
    /// The fields whose versions are kept.
    pub versions: BTreeMap<Arc<str>, Kept>,
    /// Tells whoever steps that a reader waits for a snapshot.
    pub wake: Option<Arc<dyn Fn() + Send + Sync>>,
}

struct Reader {
    selects: Selects,
    channel: Arc<Channel>,
}

/// What a subscription is of.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Selects {
    /// One field or column.
    Node(Arc<str>),
    /// Everything of a document type; `""` for global fields.
    Table(Arc<str>),
    /// Everything.
    All,
}

impl Selects {
    fn takes(&self, node: &str) -> bool {
        match self {
            Selects::Node(name) => **name == *node,
            Selects::Table(table) => node.rsplit_once('.').map_or("", |(table, _)| table) == &**table,
            Selects::All => true,
        }
    }

    /// What of an epoch's changes concerns it.
    fn of(&self, changed: &Changed) -> Option<Changed> {
        let deltas: Vec<Delta> = changed.deltas.iter().filter(|delta| self.takes(&delta.node)).cloned().collect();
        let errors: Vec<ErrorChange> = changed.errors.iter().filter(|error| self.takes(&error.node)).cloned().collect();
        (!deltas.is_empty() || !errors.is_empty()).then_some(Changed { epoch: changed.epoch, deltas, errors })
    }
}

impl LiveGraph {
    /// Subscribes to a field or column (`"Order.total"`), to everything of a document type (`"Order"`, `"Order.*"`) or to everything (`"*"`):
    /// a snapshot of what is there, then the changes of each epoch. Columns are told of where the graph was started with `state_deltas`.
    ///
    /// ```
    /// use thalweg::embed::Update;
    /// use thalweg::prelude::*;
    ///
    /// let mut graph = Graph::new();
    /// graph.state(State::document("Order").key("id"));
    /// graph.derived("Order.total", Derived::formula("price * qty"));
    /// let mut live = graph.start()?;
    /// live.apply(Changes::new("tx-1").insert("Order", [("id", 1), ("price", 5), ("qty", 2)]));
    ///
    /// let totals = live.subscribe("Order.total")?;
    /// let Ok(Some(Update::Snapshot { epoch: 1, documents })) = totals.try_recv() else { panic!() };
    /// assert_eq!(documents[0].value, Value::Int(10));
    ///
    /// live.apply(Changes::new("tx-2").update("Order", [("id", 1), ("qty", 3)]));
    /// let Ok(Some(Update::Changed(changed))) = totals.try_recv() else { panic!() };
    /// assert_eq!((changed.epoch, &changed.deltas[0].new), (2, &Value::Int(15)));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// E0290 to E0292: there is no such thing, or nothing keeps it.
    pub fn subscribe(&mut self, pattern: &str) -> Result<Subscription, Problem> {
        self.subscribe_with(pattern, Subscribe::default())
    }

    /// The same with a place to go on from, room and policy of one's own.
    ///
    /// # Errors
    /// As [`LiveGraph::subscribe`].
    pub fn subscribe_with(&mut self, pattern: &str, how: Subscribe) -> Result<Subscription, Problem> {
        let selects = self.selects(pattern)?;
        self.step_before_reading();
        if self.feed.keep.is_none() {
            self.keep(KEPT_DEFAULT);
        }
        let channel = Arc::new(Channel::new(&how, self.feed.wake.clone()));
        self.feed.readers.push(Reader { selects: selects.clone(), channel: channel.clone() });
        self.follow();
        let followed = self.feed.followed.iter().filter(|(field, _)| selects.takes(field)).map(|(_, since)| *since);
        let complete_from = followed.max().unwrap_or(0).max(self.feed.complete_from);
        match how.after.filter(|after| (complete_from..=self.epoch()).contains(after)) {
            Some(after) => {
                let missed = self.feed.kept.iter().filter(|changed| changed.epoch > after);
                missed.filter_map(|changed| selects.of(changed)).for_each(|changed| channel.begin(Update::Changed(changed)));
            }
            None => channel.begin(self.standing(&selects)),
        }
        Ok(Subscription::new(channel))
    }

    /// Keeps so many changes of the newest epochs for subscribers that come back, from now on; [`KEPT_DEFAULT`] from the first subscription on.
    pub fn keep(&mut self, changes: usize) {
        if self.feed.keep.is_none() {
            self.feed.complete_from = self.epoch();
        }
        self.feed.keep = Some(changes);
        self.feed.forget();
    }

    /// The first epoch from which a subscription can go on; `None` while nothing is kept.
    pub fn kept_from(&self) -> Option<Epoch> {
        self.feed.keep.map(|_| self.feed.complete_from)
    }

    /// Has the engine keep those lazy fields that a subscription takes, or whose versions are kept.
    pub(super) fn follow(&mut self) {
        let lazy = self.plan.fields.iter().filter(|field| field.lazy == Some(Laziness::Waits));
        let taken = |field: &&Field| {
            let is_read = self.feed.readers.iter().any(|reader| reader.selects.takes(&field.name));
            is_read || self.feed.versions.contains_key(&field.name)
        };
        let (epoch, before) = (self.engine.epoch(), &self.feed.followed);
        let since = |name: &Arc<str>| before.get(name).copied().unwrap_or(epoch);
        let followed: BTreeMap<Arc<str>, Epoch> =
            lazy.filter(taken).map(|field| (field.name.clone(), since(&field.name))).collect();
        if followed != self.feed.followed {
            self.engine.follow(followed.keys().map(|name| &**name));
            self.feed.followed = followed;
        }
    }

    /// What was pushed is closed first, so that a snapshot is of a closed epoch and what follows it is whole.
    fn step_before_reading(&mut self) {
        self.close_early();
    }

    fn selects(&self, pattern: &str) -> Result<Selects, Problem> {
        if pattern == "*" {
            return Ok(Selects::All);
        }
        let table = pattern.strip_suffix(".*").unwrap_or(pattern);
        if let Some((_, found)) = self.plan.table(table) {
            return self.shape(table).map(|_| Selects::Table(found.name.clone()));
        }
        if let Some((_, field)) = self.plan.field(pattern) {
            return Ok(Selects::Node(field.name.clone()));
        }
        let known: Vec<&str> =
            self.plan.fields.iter().map(|field| &*field.name).chain(self.plan.tables.iter().map(|t| &*t.name)).collect();
        let Some((table, column)) = pattern.rsplit_once('.') else {
            return Err(unknown("field or document type", pattern, known));
        };
        let node = self.shape(table)?.node(column, self)?;
        if !self.keeps_columns {
            let problem = Problem::new(293, format!("changes of column `{pattern}` are not told"));
            return Err(problem.help("start the graph with `Options { state_deltas: true, .. }`, or subscribe to a field"));
        }
        Ok(Selects::Node(node.full))
    }

    /// Tells an epoch's changes to everybody whom they concern; gives a snapshot to whoever was too slow and has caught up.
    pub(super) fn publish(&mut self, outcome: &Outcome) {
        self.feed.versions.values_mut().for_each(|kept| kept.take(outcome));
        let readers = self.feed.readers.len();
        self.feed.readers.retain(|reader| !reader.channel.is_closed());
        if self.feed.readers.len() < readers {
            self.follow();
        }
        if self.feed.keep.is_some() && !(outcome.deltas.is_empty() && outcome.errors.is_empty()) {
            for changed in by_epoch(outcome) {
                for reader in &self.feed.readers {
                    if let Some(changed) = reader.selects.of(&changed) {
                        reader.channel.send(Update::Changed(changed));
                    }
                }
                self.feed.remember(changed);
            }
        }
        let waiting = self.feed.readers.iter().filter(|reader| reader.channel.wants_snapshot());
        let waiting: Vec<(Selects, Arc<Channel>)> =
            waiting.map(|reader| (reader.selects.clone(), reader.channel.clone())).collect();
        for (selects, channel) in waiting {
            channel.begin(self.standing(&selects));
        }
    }

    /// Another definition runs from here on: who is subscribed to what is gone has read everything, who sees what is new or other gets a snapshot.
    /// Who comes back from before gets one too.
    pub(super) fn begin_anew(&mut self, changed: &Changes) {
        let epoch = self.epoch();
        self.feed.kept.clear();
        self.feed.kept_changes = 0;
        self.feed.complete_from = epoch + 1;
        self.follow();
        self.versions_begin_anew(changed);
        let readers = std::mem::take(&mut self.feed.readers);
        for reader in readers {
            let (is_there, is_other) = match &reader.selects {
                Selects::Node(node) => (self.selects(node).is_ok(), changed.node(node)),
                Selects::Table(table) => (self.plan.table(table).is_some(), changed.table(table)),
                Selects::All => (true, changed.any()),
            };
            if !is_there {
                reader.channel.remove(epoch);
                continue;
            }
            if is_other {
                reader.channel.begin(self.standing(&reader.selects));
            }
            self.feed.readers.push(reader);
        }
    }

    /// What stands now.
    fn standing(&mut self, selects: &Selects) -> Update {
        let tables: Vec<Arc<str>> = match selects {
            Selects::All => self.plan.tables.iter().map(|table| table.name.clone()).collect(),
            Selects::Table(table) => vec![table.clone()],
            Selects::Node(node) => match self.plan.field(node) {
                Some((_, field)) => vec![self.plan.tables[field.table.0 as usize].name.clone()],
                None => vec![node.rsplit_once('.').map_or("", |(table, _)| table).into()],
            },
        };
        let mut documents: Vec<Document> = tables.iter().flat_map(|table| self.documents_of(table, selects)).collect();
        documents.sort_by(|a, b| a.node.cmp(&b.node).then_with(|| a.key.cmp(&b.key)));
        Update::Snapshot { epoch: self.epoch(), documents }
    }

    fn documents_of(&mut self, table: &str, selects: &Selects) -> Vec<Document> {
        let Ok(shape) = self.shape(table) else { return Vec::new() };
        let is_field = |node: &str| self.plan.field(node).is_some();
        let nodes: Vec<Arc<str>> = (shape.nodes.iter().map(|node| node.full.clone()))
            .filter(|node| selects.takes(node) && (self.keeps_columns || is_field(node)))
            .collect();
        let names: Vec<&str> = nodes.iter().map(|node| &**node).collect();
        let rows = self.engine.rows(table, &names);
        let mut documents = Vec::with_capacity(rows.len() * nodes.len());
        for row in rows {
            let others = if self.keeps_columns { shape.others(&row) } else { Vec::new() };
            let others = others.into_iter().map(|(name, value)| (format!("{table}.{name}").into(), Some(Ok(value))));
            for (node, cell) in
                nodes.iter().cloned().zip(row.cells).chain(others.filter(|(node, _): &(Arc<str>, _)| selects.takes(node)))
            {
                let Some(cell) = cell else { continue };
                let (value, error) = cell.map_or_else(|error| (Value::Null, Some(error)), |value| (value, None));
                documents.push(Document { node, key: row.key.clone(), value, error });
            }
        }
        documents
    }
}

impl Feed {
    fn remember(&mut self, changed: Changed) {
        self.kept_changes += changed.len();
        self.kept.push_back(Arc::new(changed));
        self.forget();
    }

    /// Lets the oldest epochs go until no more is kept than is to be.
    fn forget(&mut self) {
        while self.kept_changes > self.keep.unwrap_or(0) {
            let Some(oldest) = self.kept.pop_front() else { break };
            self.kept_changes -= oldest.len();
            self.complete_from = oldest.epoch;
        }
    }
}

/// Who steps the graph has ended: so do all subscriptions.
impl Drop for Feed {
    fn drop(&mut self) {
        self.readers.iter().for_each(|reader| reader.channel.stop());
    }
}

/// A step's changes, epoch by epoch.
fn by_epoch(outcome: &Outcome) -> impl Iterator<Item = Changed> {
    let mut all: BTreeMap<Epoch, Changed> = BTreeMap::new();
    let blank = |epoch| Changed { epoch, deltas: Vec::new(), errors: Vec::new() };
    for delta in &outcome.deltas {
        all.entry(delta.epoch).or_insert_with(|| blank(delta.epoch)).deltas.push(delta);
    }
    for error in &outcome.errors {
        all.entry(error.epoch).or_insert_with(|| blank(error.epoch)).errors.push(error.clone());
    }
    all.into_values()
}
