//! What the components of one worker share: directories, inboxes, the batch at hand, and what it has produced so far.

use std::collections::HashMap;
use std::sync::Arc;

use thalweg_formulas::{Timestamp, Value};
use thalweg_graph::outcome::deltas::Legend;
use thalweg_graph::outcome::{Deltas, Key};
use thalweg_graph::plan::TableId;
use thalweg_graph::transaction::Body;
use thalweg_graph::{Epoch, Outcome, Plan, Transaction};

use crate::edges::endings::{self, SessionTarget};
use crate::edges::lookup::Seen;
use crate::edges::mail::{Ask, AskKind, Given, Link, Meet, Note, NoteKind, Parcel, ParcelKind, Referrer, Stand};
use crate::edges::members::{self, MemberTarget};
use crate::edges::nearest::{self, NearestTarget};
use crate::edges::pairs::{self, JoinTarget};
use crate::edges::sessions::Visit;
use crate::intake::{Arrival, Mapping};
use crate::memory::Memory;
use crate::region::closing::Latecomer;
use crate::region::moments::Moment;
use crate::state::{Directory, KeyHash, Kind};
use crate::triggers::Triggers;

/// What every worker knows of a transaction.
#[derive(Clone, Debug)]
pub struct EpochInfo {
    /// Commit time.
    pub at: Timestamp,
    /// GTID and the like.
    pub origin: Arc<str>,
    /// Rows that were there before: latches are set, nothing fires.
    pub fill: bool,
    /// It is too large to be held: its changes come in parts.
    pub large: bool,
    /// What the clock publishes in it.
    pub moment: Option<Arc<Moment>>,
}

impl EpochInfo {
    /// Of a transaction that is held.
    pub fn of(transaction: &Transaction) -> EpochInfo {
        let fill = matches!(transaction.body, Body::Fill(_));
        EpochInfo { at: transaction.at, origin: transaction.origin.clone(), fill, large: false, moment: None }
    }
}

/// The epochs of a batch; they are dense.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// The first.
    pub first: Epoch,
    /// One for each.
    pub infos: Arc<Vec<EpochInfo>>,
}

impl Batch {
    /// What is known of an epoch of this batch.
    #[inline]
    pub fn info(&self, epoch: Epoch) -> &EpochInfo {
        &self.infos[(epoch - self.first) as usize]
    }

    /// Whether it is one transaction that was staged in parts.
    pub fn is_staged(&self) -> bool {
        self.infos.first().is_some_and(|info| info.large)
    }
}

/// Where a group edge's contributions go.
#[derive(Clone, Copy, Debug)]
pub struct GroupTarget {
    /// The parent's table.
    pub table: TableId,
    /// The parent's region.
    pub region: u32,
    /// The aggregate's number within that region.
    pub place: u32,
    /// How words of contributions are read.
    pub kind: Kind,
}

/// Where a lookup edge's questions and answers go.
#[derive(Clone, Debug)]
pub struct LookupTarget {
    /// The looked-up table.
    pub table: TableId,
    /// The region that receives the values.
    pub into: u32,
    /// The slots there.
    pub slots: Vec<u32>,
    /// By slot: how its words are read, here and there; boxed if not by their type.
    pub kinds: Vec<Kind>,
}

/// Shared by the components of one worker.
pub struct Context {
    /// Which worker.
    pub me: usize,
    /// Of how many.
    pub workers: usize,
    /// By table.
    pub directories: Vec<Directory>,
    /// By region: changes of its table's rows, if it is the home.
    pub arrivals: Vec<Vec<Arrival>>,
    /// By region.
    pub inboxes: Vec<Vec<Note>>,
    /// By lookup edge.
    pub asks: Vec<Vec<Ask>>,
    /// By join edge.
    pub meets: Vec<Vec<Meet>>,
    /// By join edge: what must be equal.
    pub join_keys: Vec<Directory>,
    /// By join edge.
    pub joins: Vec<JoinTarget>,
    /// By as-of edge.
    pub stands: Vec<Vec<Stand>>,
    /// By as-of edge: what must be equal.
    pub line_keys: Vec<Directory>,
    /// By as-of edge.
    pub nearest: Vec<NearestTarget>,
    /// By closure.
    pub links: Vec<Vec<Link>>,
    /// By closure: the places between which there are paths.
    pub places: Vec<Directory>,
    /// By closure: the membership edge.
    pub closures: Vec<u32>,
    /// For other workers.
    pub parcels: Vec<Parcel>,
    /// By group edge.
    pub groups: Vec<GroupTarget>,
    /// By lookup edge.
    pub lookups: Vec<LookupTarget>,
    /// By membership edge, then by join edge.
    pub members: Vec<MemberTarget>,
    /// By session edge.
    pub sessions: Vec<SessionTarget>,
    /// By session edge.
    pub visits: Vec<Vec<Visit>>,
    /// By session edge: greater times, and since when.
    pub session_moves: Vec<Vec<(Epoch, i64)>>,
    /// By watermark: the session edges that end by it.
    pub ending_sessions: Vec<Vec<u32>>,
    /// By watermark: the home regions of the tables that end by it.
    pub gates: Vec<Vec<u32>>,
    /// By watermark: the greatest time that this worker has told, or that a restart has brought.
    pub greatest: Vec<Option<i64>>,
    /// By region: greater times, and since when.
    pub moves: Vec<Vec<(Epoch, i64)>>,
    /// By region: rows that may be late.
    pub latecomers: Vec<Vec<Latecomer>>,
    /// The last epoch of earlier batches that was no fill.
    pub last_live: Epoch,
    /// Layouts of rows, by number.
    pub mappings: Vec<Arc<Mapping>>,
    /// The names of each table's key columns, once they are known.
    pub key_names: Vec<Option<Arc<[Arc<str>]>>>,
    /// Which tables have no key, as far as is known.
    pub multisets: Vec<bool>,
    /// The tables' names.
    pub table_names: Vec<Arc<str>>,
    /// Names of columns as nodes: `Order.price`.
    column_nodes: HashMap<(TableId, Value), Arc<str>>,
    /// The epochs at hand.
    pub batch: Batch,
    /// The nodes that deltas name.
    pub legend: Arc<Legend>,
    /// What the batch has produced.
    pub out: Outcome,
    /// Firings so far.
    pub triggers: Triggers,
    /// What a restart brought from before.
    pub memory: Memory,
    /// Fills, and transactions that come in parts, report deltas as others do.
    pub reports_fills: bool,
    /// A restart is bringing rows back; see [`crate::region`].
    pub restoring: bool,
    /// The rows are there, and what had failed fails again.
    pub thawing: bool,
}

/// The names of the key that the plan declares; a multiset's come with its first schema.
fn declared_key(table: &thalweg_graph::plan::Table) -> Option<Arc<[Arc<str>]>> {
    let columns = table.key.as_ref().filter(|columns| !columns.is_empty())?;
    Some(columns.iter().map(|column| table.columns[column.0 as usize].name.clone()).collect())
}

/// The home regions of the tables that end by a watermark.
fn gates(plan: &Plan, watermark: u32) -> Vec<u32> {
    let ends = plan.memberships.iter().filter(|edge| edge.closing.is_some_and(|closing| closing.watermark == watermark));
    ends.map(|edge| edge.to.0).collect()
}

impl Context {
    /// For worker `me` of `workers`.
    pub fn new(plan: &Plan, groups: Vec<GroupTarget>, lookups: Vec<LookupTarget>, me: usize, workers: usize) -> Context {
        let types = |table: &thalweg_graph::plan::Table| {
            let key = table.key.as_ref()?;
            Some(key.iter().map(|column| table.columns[column.0 as usize].ty.clone()).collect::<Vec<_>>())
        };
        let node = |field: &thalweg_graph::plan::Field| {
            (field.name.clone(), Kind::of_type(&plan.regions[field.region.0 as usize].slots[field.slot.0 as usize].ty))
        };
        let legend = Arc::new(Legend { nodes: plan.fields.iter().map(node).collect() });
        let closures: Vec<u32> =
            (0..).zip(&plan.memberships).filter(|(_, edge)| edge.closure.is_some()).map(|(at, _)| at).collect();
        Context {
            me,
            workers,
            directories: plan.tables.iter().map(|table| Directory::new(types(table).as_deref())).collect(),
            arrivals: vec![Vec::new(); plan.regions.len()],
            inboxes: vec![Vec::new(); plan.regions.len()],
            asks: vec![Vec::new(); lookups.len()],
            meets: vec![Vec::new(); plan.joins.len()],
            join_keys: plan.joins.iter().map(|join| Directory::new(Some(&join.on_types))).collect(),
            joins: pairs::targets(plan),
            stands: vec![Vec::new(); plan.nearest.len()],
            line_keys: plan.nearest.iter().map(|edge| Directory::new(Some(&edge.types[..edge.types.len() - 1]))).collect(),
            nearest: nearest::targets(plan),
            links: vec![Vec::new(); closures.len()],
            places: closures.iter().map(|edge| Directory::new(Some(&plan.memberships[*edge as usize].key_types[..1]))).collect(),
            closures,
            parcels: Vec::new(),
            groups,
            lookups,
            members: members::targets(plan),
            gates: (0..plan.watermarks.len() as u32).map(|watermark| gates(plan, watermark)).collect(),
            greatest: vec![None; plan.watermarks.len()],
            moves: vec![Vec::new(); plan.regions.len()],
            latecomers: vec![Vec::new(); plan.regions.len()],
            last_live: 0,
            sessions: endings::targets(plan),
            session_moves: vec![Vec::new(); plan.sessions.len()],
            ending_sessions: endings::by_watermark(plan),
            visits: vec![Vec::new(); plan.sessions.len()],
            mappings: Vec::new(),
            key_names: plan.tables.iter().map(declared_key).collect(),
            multisets: plan.tables.iter().map(|table| table.key.as_ref().is_some_and(Vec::is_empty)).collect(),
            table_names: plan.tables.iter().map(|table| table.name.clone()).collect(),
            column_nodes: HashMap::new(),
            batch: Batch::default(),
            out: Outcome { deltas: Deltas::new(legend.clone()), ..Outcome::default() },
            legend,
            triggers: Triggers::default(),
            memory: Memory::default(),
            reports_fills: true,
            restoring: false,
            thawing: false,
        }
    }

    /// Whether the epoch's deltas are wanted.
    #[inline]
    pub fn reports(&self, epoch: Epoch) -> bool {
        self.reports_fills || {
            let info = self.batch.info(epoch);
            !info.fill && !info.large
        }
    }

    /// Writes the key by which a row has its place among others behind what is there; a row of a table without one has none.
    pub fn write_key(&self, table: TableId, row: u32, out: &mut impl Extend<Value>) {
        if !self.multisets[table.0 as usize] {
            out.extend(self.directories[table.0 as usize].key_values(row));
        }
    }

    /// Tells a parent's aggregate what a child of it gives.
    pub fn contribute(&mut self, epoch: Epoch, group: u32, key: &[Value], given: Given) {
        let hash = KeyHash::of(key);
        let owner = hash.owner(self.workers);
        if owner == self.me {
            self.contributed(epoch, group, key, hash, given);
        } else {
            let what = ParcelKind::Contribute(group, key.into(), given.into_cells(self.groups[group as usize].kind));
            self.parcels.push(Parcel { to: owner as u32, epoch, what });
        }
    }

    /// The row of a parent of this worker to which a group edge leads, by its key, a whole number of this kind; whoever asks holds
    /// it.
    #[inline]
    pub fn parent(&mut self, group: u32, kind: Kind, key: u64) -> Option<u32> {
        let table = self.groups[group as usize].table;
        let is_here = KeyHash::of_word(key).owner(self.workers) == self.me;
        is_here.then(|| self.directories[table.0 as usize].intern_word(kind, key))
    }

    /// So many more contributions to a parent to which a group edge leads.
    #[inline]
    pub fn hold_parent(&mut self, group: u32, row: u32, times: u32) {
        self.directories[self.groups[group as usize].table.0 as usize].hold_times(row, times);
    }

    /// A contribution has reached the parent's worker.
    #[inline]
    fn contributed(&mut self, epoch: Epoch, group: u32, key: &[Value], hash: KeyHash, given: Given) {
        let target = self.groups[group as usize];
        let directory = &mut self.directories[target.table.0 as usize];
        let row = directory.intern(key, hash);
        match given.ends() {
            (false, true) => directory.hold(row),
            (true, false) => directory.let_go(row),
            // What comes holds it for what goes.
            (true, true) | (false, false) => {}
        }
        let what = NoteKind::Contribute(target.place, given);
        self.inboxes[target.region as usize].push(Note { epoch, row, what });
    }

    /// Tells a lookup edge's index that a row refers, or no longer refers, to a document.
    pub fn refer(&mut self, epoch: Epoch, lookup: u32, key: &[Value], row: u32, refers: bool) {
        let hash = KeyHash::of(key);
        let owner = hash.owner(self.workers);
        let referrer = Referrer::new(self.me, row);
        if owner == self.me {
            self.referred(epoch, lookup, key, hash, referrer, refers);
        } else {
            let what = ParcelKind::Refer(lookup, key.into(), referrer, refers);
            self.parcels.push(Parcel { to: owner as u32, epoch, what });
        }
    }

    fn referred(&mut self, epoch: Epoch, lookup: u32, key: &[Value], hash: KeyHash, referrer: Referrer, refers: bool) {
        let directory = &mut self.directories[self.lookups[lookup as usize].table.0 as usize];
        let row = directory.intern(key, hash);
        let what = if refers {
            directory.hold(row);
            AskKind::Refer(referrer)
        } else {
            directory.let_go(row);
            AskKind::Leave(referrer)
        };
        self.asks[lookup as usize].push(Ask { epoch, row, what });
    }

    /// Tells a referring row what it sees.
    #[inline]
    pub fn looked(&mut self, epoch: Epoch, lookup: u32, referrer: Referrer, position: u32, seen: &Seen) {
        if referrer.worker() == self.me {
            let target = &self.lookups[lookup as usize];
            let slot = target.slots[position as usize];
            let what = match seen {
                Seen::Word(word) => NoteKind::Word(slot, *word),
                Seen::Cell(cell) => NoteKind::Set(slot, cell.clone()),
            };
            self.inboxes[target.into as usize].push(Note { epoch, row: referrer.row(), what });
        } else {
            let cell = seen.cell(self.lookups[lookup as usize].kinds[position as usize]);
            let what = ParcelKind::Looked(lookup, referrer.row(), position, cell);
            self.parcels.push(Parcel { to: referrer.worker() as u32, epoch, what });
        }
    }

    /// Tells every worker that a row has a time, if it is greater than those before.
    pub fn advance(&mut self, epoch: Epoch, watermark: u32, at: i64) {
        let greatest = &mut self.greatest[watermark as usize];
        if greatest.is_some_and(|greatest| at <= greatest) {
            return;
        }
        *greatest = Some(at);
        self.advanced(epoch, watermark, at);
        let others = (0..self.workers).filter(|worker| *worker != self.me);
        let what = ParcelKind::Advance(watermark, at);
        self.parcels.extend(others.map(|worker| Parcel { to: worker as u32, epoch, what: what.clone() }));
    }

    fn advanced(&mut self, epoch: Epoch, watermark: u32, at: i64) {
        self.gates[watermark as usize].iter().for_each(|region| self.moves[*region as usize].push((epoch, at)));
        let edges = &self.ending_sessions[watermark as usize];
        edges.iter().for_each(|edge| self.session_moves[*edge as usize].push((epoch, at)));
    }

    /// The last epoch up to this one that is no fill.
    pub fn live_until(&self, epoch: Epoch) -> Epoch {
        let live = (self.batch.first..=epoch).rev().find(|epoch| !self.batch.info(*epoch).fill);
        live.unwrap_or(self.last_live)
    }

    /// The batch is over.
    pub fn end_batch(&mut self) {
        if let Some(last) = self.batch.infos.len().checked_sub(1) {
            self.last_live = self.live_until(self.batch.first + last as Epoch);
        }
    }

    /// Takes what another worker has sent.
    pub fn receive(&mut self, parcel: Parcel) {
        let epoch = parcel.epoch;
        match parcel.what {
            ParcelKind::Contribute(group, key, contribution) => {
                self.contributed(epoch, group, &key, KeyHash::of(&key), Given::Cells(Box::new(contribution)));
            }
            ParcelKind::Refer(lookup, key, referrer, refers) => {
                self.referred(epoch, lookup, &key, KeyHash::of(&key), referrer, refers);
            }
            ParcelKind::Member(edge, key, comes) => self.membership(epoch, edge, &key, KeyHash::of(&key), comes),
            ParcelKind::Advance(watermark, at) => self.advanced(epoch, watermark, at),
            ParcelKind::Visit(edge, key, at, row, comes, missed) => {
                self.visits[edge as usize].push(Visit { epoch, key, at, row, comes, missed });
            }
            ParcelKind::InSession(edge, row, told) => self.in_session(epoch, edge, Referrer::new(self.me, row), told),
            ParcelKind::Close(edge, document, is_over) => {
                self.closed(epoch, edge, &document, KeyHash::of(&document), is_over);
            }
            ParcelKind::Meet(join, key, is_right, row, what) => {
                self.met(join, &key, KeyHash::of(&key), Meet { epoch, key: 0, is_right, row, what });
            }
            ParcelKind::Stand(edge, by, who, comes, time) => {
                self.stood(edge, &by, KeyHash::of(&by), Stand { epoch, line: 0, who, comes, time });
            }
            ParcelKind::Link(closure, ends, comes) => self.linked(epoch, closure, &ends, comes),
            ParcelKind::Nearest(edge, row, key) => self.seen(epoch, edge, row, key.as_ref()),
            ParcelKind::Looked(lookup, row, position, cell) => {
                self.looked(epoch, lookup, Referrer::new(self.me, row), position, &Seen::Cell(cell.into()));
            }
        }
    }

    /// The name of a column as a node.
    pub fn column_node(&mut self, table: TableId, column: &Value) -> Arc<str> {
        if let Some(node) = self.column_nodes.get(&(table, column.clone())) {
            return node.clone();
        }
        let Value::Text(name) = column else { return Arc::from("") };
        let node: Arc<str> = format!("{}.{name}", self.table_names[table.0 as usize]).into();
        self.column_nodes.insert((table, column.clone()), node.clone());
        node
    }

    /// A document's key as a map of its columns.
    pub fn key_map(&self, table: TableId, key: &Key) -> Value {
        let names = self.key_names[table.0 as usize].as_deref().unwrap_or(&[]);
        Value::record(names.iter().cloned().zip(key.iter().cloned()))
    }
}
