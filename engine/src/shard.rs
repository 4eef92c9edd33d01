//! One worker's share of a plan: its regions and indexes, and the order in which a batch goes through them.
//!
//! A batch goes level by level. A level sees the batch's epochs in order, and it sees nothing of a higher level; so when a level is
//! done on every worker, the mail for the next is complete. With one worker the levels follow each other in one call; with
//! several, each level is a timely operator and an exchange stands between ([`crate::wiring`]).

use std::collections::BTreeSet;
use std::sync::Arc;

use thalweg_formulas::{Cell, Timestamp, Value};
use thalweg_graph::outcome::{Deltas, Document, NodeStats};
use thalweg_graph::plan::{REMINDER, TableId};
use thalweg_graph::state::EngineState;
use thalweg_graph::{Epoch, Outcome, Plan, Row};

use crate::context::{Batch, Context, GroupTarget, LookupTarget};
use crate::edges::lookup::LookupIndex;
use crate::edges::mail::{Note, NoteKind, Parcel};
use crate::edges::members::Members;
use crate::edges::nearest::NearestIndex;
use crate::edges::pairs::PairIndex;
use crate::edges::paths::PathIndex;
use crate::edges::sessions::Sessions;
use crate::engine::{Options, Standing};
use crate::intake::{Arrival, Image, Mapping, MappingId, What};
use crate::memory::Memory;
use crate::names::Target;
use crate::region::adopt::New;
use crate::region::closing::Gate;
use crate::region::layout::Layout;
use crate::region::{Home, Region};
use crate::replace::{Alike, Stored};
use crate::state::{Directory, KeyHash, Kind, spare};

/// What the driver hands to one worker: a batch, and the layouts that it has not seen.
#[derive(Clone, Debug)]
pub struct Ingress {
    /// The epochs.
    pub batch: Batch,
    /// New mappings, in the order of their numbers.
    pub mappings: Vec<Arc<Mapping>>,
    /// What concerns this worker's documents, in epoch order.
    pub arrivals: Vec<Arrival>,
    /// All rows of a restart are there: its history-dependent state comes into force.
    pub thaw: bool,
}

impl Ingress {
    /// How many changes of rows there are, and timers.
    pub fn changes(&self) -> usize {
        let count = |arrival: &Arrival| match &arrival.what {
            What::Changes(_, changes) => changes.len(),
            What::Change(..) | What::Take(..) | What::Place(..) | What::Timer(_) => 1,
        };
        self.arrivals.iter().map(count).sum()
    }
}

/// One worker's share.
pub struct Shard {
    plan: Arc<Plan>,
    regions: Vec<Region>,
    lookups: Vec<(u32, LookupIndex)>,
    sessions: Vec<(u32, Sessions)>,
    joins: Vec<(u32, PairIndex)>,
    nearest: Vec<(u32, NearestIndex)>,
    closures: Vec<(u32, PathIndex)>,
    homes: Vec<Option<u32>>,
    levels: Vec<u32>,
    context: Context,
    spare: Option<Deltas>,
    started: bool,
    /// By group edge, while a plan takes the place of another: whether nothing has been told along it.
    new_groups: Vec<bool>,
}

/// The most deltas that room is made for in advance.
const DELTAS_EXPECTED_MAX: usize = 16_384;

/// Whether each table keeps whole rows.
pub fn whole_rows(plan: &Plan, options: &Options) -> Vec<bool> {
    let all = options.state_deltas || options.keep_columns;
    let reacts = |at: usize| plan.reactions.iter().any(|reaction| reaction.table.0 as usize == at);
    let keeps = |(at, table): (usize, &thalweg_graph::plan::Table)| table.whole_rows || all || reacts(at);
    plan.tables.iter().enumerate().map(keeps).collect()
}

impl Shard {
    /// Worker `me` of those that `options` say.
    pub fn new(plan: Arc<Plan>, options: &Options, me: usize) -> Shard {
        let (whole, workers) = (whole_rows(&plan, options), options.workers.max(1));
        // The global document has no rows: its regions are told of its birth once.
        let homes = plan.tables.iter().map(|table| table.home.filter(|_| !table.name.is_empty()).map(|home| home.0));
        let homes: Vec<Option<u32>> = homes.collect();
        let regions = (0..plan.regions.len() as u32).map(|id| {
            let table = plan.regions[id as usize].table.0 as usize;
            let is_home = homes[table] == Some(id);
            let home = is_home.then(|| Home::new(&plan, table as u32, whole[table], options.state_deltas));
            Region::new(Layout::new(&plan, id, is_home), home)
        });
        let regions: Vec<Region> = regions.collect();
        let lookups = plan.lookups.iter().map(|lookup| (lookup.level, LookupIndex::new(kinds_looked_up(&plan, lookup))));
        let lookups: Vec<_> = lookups.collect();
        let joins: Vec<_> = plan.joins.iter().map(|join| (join.level, PairIndex::new(join))).collect();
        let sessions = plan.sessions.iter().enumerate().map(|(at, edge)| (edge.level, Sessions::new(&plan, at)));
        let sessions: Vec<(u32, Sessions)> = sessions.collect();
        let nearest: Vec<_> = plan.nearest.iter().map(|edge| (edge.level, NearestIndex::default())).collect();
        let closures = plan.memberships.iter().filter_map(|edge| edge.closure);
        let closures: Vec<_> = closures.map(|level| (level, PathIndex::default())).collect();
        let indexes = lookups.iter().map(|(level, _)| *level).chain(joins.iter().map(|(level, _)| *level));
        let indexes = indexes.chain(nearest.iter().map(|(level, _)| *level)).chain(closures.iter().map(|(level, _)| *level));
        let indexes = indexes.chain(sessions.iter().map(|(level, _)| *level));
        let mut levels: Vec<u32> = regions.iter().map(|region| region.layout.level).chain(indexes).collect();
        levels.sort_unstable();
        levels.dedup();
        let context = Context::new(&plan, group_targets(&plan), lookup_targets(&plan), me, workers);
        Shard {
            regions,
            lookups,
            joins,
            nearest,
            closures,
            sessions,
            homes,
            levels,
            context,
            spare: None,
            started: false,
            new_groups: Vec::new(),
            plan,
        }
    }

    /// The levels, ascending; each is to be run once a batch.
    pub fn levels(&self) -> &[u32] {
        &self.levels
    }

    /// Takes a batch in; nothing runs yet.
    pub fn begin(&mut self, ingress: Ingress) {
        self.learn(ingress.mappings);
        self.context.batch = ingress.batch;
        self.sort_by_home(ingress.arrivals);
        self.context.thawing = ingress.thaw;
        if ingress.thaw {
            self.context.restoring = false;
            self.regions.iter_mut().for_each(|region| region.thaw(self.context.batch.first, &mut self.context));
            self.sessions.iter_mut().for_each(|(_, sessions)| sessions.end_restart());
        }
        if !std::mem::replace(&mut self.started, true) {
            self.bear_global_document(self.context.batch.first);
        }
    }

    /// Puts arrivals where they are folded; those of a single table as they are.
    fn sort_by_home(&mut self, arrivals: Vec<Arrival>) {
        let home = |arrival: &Arrival| self.reminded(arrival).or(self.homes[arrival.table.0 as usize]);
        if let Some(first) = arrivals.first().and_then(home)
            && arrivals.iter().all(|arrival| home(arrival) == Some(first))
        {
            self.context.arrivals[first as usize] = arrivals;
            return;
        }
        for arrival in arrivals {
            if let Some(home) = self.reminded(&arrival).or(self.homes[arrival.table.0 as usize]) {
                self.context.arrivals[home as usize].push(arrival);
            }
        }
    }

    /// The region of the effect that a timer brings up again, if it is such a timer.
    fn reminded(&self, arrival: &Arrival) -> Option<u32> {
        let What::Timer(timer) = &arrival.what else { return None };
        let name = timer.event.strip_prefix(REMINDER)?;
        let effect = self.plan.effects.iter().find(|effect| *effect.name == *name && effect.reminder().is_some())?;
        Some(effect.region.0)
    }

    fn learn(&mut self, mappings: Vec<Arc<Mapping>>) {
        for mapping in mappings {
            self.context.key_names[mapping.table.0 as usize] = Some(mapping.key.names.clone());
            self.context.multisets[mapping.table.0 as usize] = mapping.key.multiset;
            self.context.mappings.push(mapping);
        }
    }

    /// The global document lives from the first epoch on.
    fn bear_global_document(&mut self, epoch: Epoch) {
        let hash = KeyHash::of(&[]);
        if hash.owner(self.context.workers) != self.context.me {
            return;
        }
        for at in 0..self.regions.len() {
            let table = self.regions[at].layout.table.0 as usize;
            if self.plan.tables[table].name.is_empty() {
                let row = self.context.directories[table].intern(&[], hash);
                self.context.directories[table].hold(row);
                self.context.inboxes[at].push(Note { epoch, row, what: NoteKind::Birth });
            }
        }
    }

    /// Runs one level of the batch; all lower ones are done, on every worker.
    pub fn run_level(&mut self, level: u32) {
        for at in 0..self.regions.len() {
            if self.regions[at].layout.level == level {
                if !self.new_groups.is_empty() {
                    let epoch = self.context.batch.first;
                    self.regions[at].tell_new_groups(epoch, &|group| self.new_groups[group as usize], &mut self.context);
                }
                self.settle_ahead(at);
                self.regions[at].run(&mut self.context);
            }
        }
        for (at, (_, index)) in self.lookups.iter_mut().enumerate().filter(|(_, (of, _))| *of == level) {
            let mut asks = std::mem::take(&mut self.context.asks[at]);
            let used = asks.len();
            index.run(&mut asks, |answer| {
                self.context.looked(answer.epoch, at as u32, answer.referrer, answer.position, answer.seen);
            });
            spare(&mut asks, used);
            self.context.asks[at] = asks;
        }
        self.run_sessions(level);
        self.run_joins(level);
        self.run_closures(level);
    }

    /// Runs the join edges of a level.
    fn run_joins(&mut self, level: u32) {
        for (at, (_, index)) in self.joins.iter_mut().enumerate().filter(|(_, (of, _))| *of == level) {
            let mut meets = std::mem::take(&mut self.context.meets[at]);
            let used = meets.len();
            index.run(&mut meets, self.context.joins[at], &mut self.context);
            spare(&mut meets, used);
            self.context.meets[at] = meets;
        }
        for (at, (_, index)) in self.nearest.iter_mut().enumerate().filter(|(_, (of, _))| *of == level) {
            let mut stands = std::mem::take(&mut self.context.stands[at]);
            let used = stands.len();
            index.run(&mut stands, |epoch, row, key| self.context.sees(epoch, at as u32, row, key));
            spare(&mut stands, used);
            self.context.stands[at] = stands;
        }
    }

    /// Runs the closures of a level.
    fn run_closures(&mut self, level: u32) {
        for (at, (_, index)) in self.closures.iter_mut().enumerate().filter(|(_, (of, _))| *of == level) {
            let mut links = std::mem::take(&mut self.context.links[at]);
            let used = links.len();
            index.run(&mut links, |epoch, from, to, comes| self.context.path(epoch, at as u32, [from, to], comes));
            spare(&mut links, used);
            self.context.links[at] = links;
        }
    }

    /// Runs the session edges of a level.
    fn run_sessions(&mut self, level: u32) {
        for (at, (_, sessions)) in self.sessions.iter_mut().enumerate().filter(|(_, (of, _))| *of == level) {
            let mut visits = std::mem::take(&mut self.context.visits[at]);
            let used = visits.len();
            sessions.run(&mut visits, &mut self.context);
            spare(&mut visits, used);
            self.context.visits[at] = visits;
        }
    }

    /// Settles a staged epoch that has touched many rows of a region, some at a time; in between, the regions above take up what they are
    /// told, so that their inboxes do not grow with the transaction.
    fn settle_ahead(&mut self, at: usize) {
        while self.context.batch.is_staged() && self.regions[at].settle_ahead(&mut self.context) {
            let level = self.regions[at].layout.level;
            for region in self.regions.iter_mut().filter(|region| region.layout.level > level) {
                region.take_ahead(&mut self.context);
            }
        }
    }

    /// Mail for other workers since the last call.
    pub fn parcels(&mut self) -> Vec<Parcel> {
        std::mem::take(&mut self.context.parcels)
    }

    /// Mail from another worker.
    pub fn receive(&mut self, parcel: Parcel) {
        self.context.receive(parcel);
    }

    /// Ends the batch: what it has produced here, in no order.
    pub fn finish(&mut self) -> Outcome {
        let context = &mut self.context;
        context
            .directories
            .iter_mut()
            .chain(&mut context.join_keys)
            .chain(&mut context.line_keys)
            .chain(&mut context.places)
            .for_each(Directory::sweep);
        context.end_batch();
        // Batches of one kind follow each other, so the next will have about as many deltas.
        let deltas = self.spare.take().unwrap_or_else(|| self.context.out.deltas.like(DELTAS_EXPECTED_MAX));
        std::mem::replace(&mut self.context.out, Outcome { deltas, ..Outcome::default() })
    }

    /// Takes back deltas for the next batch but one.
    pub fn recycle(&mut self, deltas: Deltas) {
        self.spare = Some(deltas.cleared(self.context.legend.clone()));
    }

    /// Folds arrivals of the next batch's only epoch ahead of it, so that [`Shard::peek`] sees them.
    pub fn stage(&mut self, batch: Batch, mappings: Vec<Arc<Mapping>>, arrivals: Vec<Arrival>) {
        self.learn(mappings);
        self.context.batch = batch;
        let mappings = std::mem::take(&mut self.context.mappings);
        for arrival in arrivals {
            if let Some(home) = self.homes[arrival.table.0 as usize] {
                self.regions[home as usize].fold(arrival.epoch, arrival.what, false, &mappings, &mut self.context);
            }
        }
        self.context.mappings = mappings;
    }

    /// The row of a living document, with what is staged.
    pub fn peek(&mut self, batch: Batch, mappings: Vec<Arc<Mapping>>, mapping: MappingId, identity: &[Value]) -> Option<Image> {
        self.learn(mappings);
        self.context.batch = batch;
        let mapping = &self.context.mappings[mapping as usize];
        let home = self.homes[mapping.table.0 as usize]?;
        self.regions[home as usize].peek(mapping, identity, &self.context)
    }

    /// Takes over what rows cannot rebuild, until the thaw. `state` holds this worker's documents only.
    pub fn import(&mut self, state: EngineState) {
        self.context.restoring = true;
        state.selves.into_iter().for_each(|(name, key, value)| self.context.memory.remember_self(name, key, value));
        state.held.into_iter().for_each(|(name, key, value)| self.context.memory.remember_held(name, key, value));
        state.triggers.into_iter().for_each(|(name, key, count)| self.context.triggers.import(&name, key, count));
        self.regions.iter_mut().for_each(|region| region.import_gate(&mut self.context));
        self.sessions.iter_mut().for_each(|(_, sessions)| sessions.import(&mut self.context));
    }

    /// Takes over from the shard of the plan before what both plans have, and computes what rows alone can tell of the rest.
    pub fn adopt(&mut self, before: &mut Shard, alike: &Alike, news: &[Vec<(u32, New)>]) {
        for (to, from) in alike.tables.iter().enumerate().filter_map(|(to, from)| Some((to, (*from)?))) {
            std::mem::swap(&mut self.context.directories[to], &mut before.context.directories[from]);
            self.context.key_names[to] = before.context.key_names[from].take();
            self.context.multisets[to] = before.context.multisets[from];
        }
        self.context.triggers = std::mem::take(&mut before.context.triggers);
        self.context.last_live = before.context.last_live;
        self.started = before.started;
        let names = names_held(&before.regions);
        let mut old: Vec<Option<Region>> = Vec::new();
        for (at, from) in alike.regions.iter().enumerate().filter_map(|(at, from)| Some((at, (*from)?))) {
            self.regions[at].remember_heirs(&alike.slots[at], from, &names, &before.regions);
        }
        old.extend(before.regions.drain(..).map(Some));
        for (at, from) in alike.regions.iter().enumerate().filter_map(|(at, from)| Some((at, (*from)?))) {
            let places = places(&self.plan, &before.plan, at, alike);
            let (lower, rest) = self.regions.split_at_mut(at);
            let (region, from) = (&mut rest[0], old[from].take().expect("invariant: an old region is one new one's"));
            region.adopt(from, &alike.slots[at], &places);
            region.fill_columns(&news[at], lower);
            region.compute_new(&|slot| alike.slots[at][slot as usize].is_none());
        }
        let mut lookups: Vec<Option<(u32, LookupIndex)>> = before.lookups.drain(..).map(Some).collect();
        for (at, from) in alike.lookups.iter().enumerate() {
            self.lookups[at].1 = lookups[*from].take().expect("invariant: an old edge is one new one's").1;
        }
        self.new_groups = alike.groups.iter().map(Option::is_none).collect();
    }

    /// What was new has been told: what stands behind errors comes to its place.
    pub fn adopted(&mut self) {
        self.new_groups.clear();
        self.regions.iter_mut().for_each(Region::settle_heirs);
        self.carry_last_good();
    }

    /// What came to stand behind errors does so wherever they are carried to.
    fn carry_last_good(&mut self) {
        for at in 0..self.regions.len() {
            let (lower, upper) = self.regions.split_at_mut(at);
            upper[0].carry_last_good(lower);
        }
    }

    /// Whether fills report deltas.
    pub fn report_fills(&mut self, wanted: bool) {
        self.context.reports_fills = wanted;
    }

    /// The thaw has run: what is left of the state from before comes to its place.
    pub fn thawed(&mut self) {
        self.regions.iter_mut().for_each(|region| region.restore_held(&mut self.context));
        self.carry_last_good();
        self.regions.iter().for_each(|region| region.restore_clocks(&mut self.context));
        self.context.memory = Memory::default();
    }

    /// Keeps these fields of those that would wait to be asked, and no others.
    pub fn follow(&mut self, fields: &BTreeSet<u32>) {
        self.regions.iter_mut().for_each(|region| region.follow(fields));
    }

    /// The times for which documents wait here.
    pub fn appointments(&self) -> Vec<Timestamp> {
        self.regions.iter().flat_map(Region::appointments).collect()
    }

    /// What rows cannot rebuild, in no order.
    pub fn export(&self, state: &mut EngineState) {
        self.regions.iter().for_each(|region| region.export(&self.context, state));
        self.sessions.iter().for_each(|(_, sessions)| sessions.export(&self.context, state));
        state.triggers.extend(self.context.triggers.export());
    }

    /// A field or column of a living document.
    pub fn read(&mut self, target: &Target, key: &[Value]) -> Option<Cell> {
        match target {
            Target::Slot(region, slot) => self.regions[*region as usize].read(*slot, key, &self.context),
            Target::Column(table, name) => {
                let home = self.homes[table.0 as usize]?;
                self.regions[home as usize].read_column(&Value::text(name.clone()), key, &self.context)
            }
        }
    }

    /// A table's living documents with these nodes, in no order.
    pub fn rows(&mut self, table: TableId, targets: &[Option<Target>]) -> Vec<Standing> {
        for target in targets.iter().flatten() {
            if let Target::Slot(region, slot) = target {
                self.regions[*region as usize].ask_all(*slot);
            }
        }
        let is_global = self.plan.tables[table.0 as usize].name.is_empty();
        let of_table = |region: &&Region| region.layout.table == table;
        let lowest = self.homes[table.0 as usize].map(|home| &self.regions[home as usize]);
        let lowest = if is_global { self.regions.iter().find(of_table) } else { lowest };
        let Some(lowest) = lowest else { return Vec::new() };
        let column = |name: &Arc<str>, whole: &Option<Value>| match whole {
            Some(Value::Map(row)) => row.get(&Value::text(name.clone())).cloned().map(Ok),
            _ => None,
        };
        let standing = |row: u32| {
            let whole = lowest.whole(row).map(Value::Map);
            let cell = |target: &Option<Target>| match target.as_ref()? {
                Target::Slot(region, slot) => self.regions[*region as usize].cell(row, *slot),
                Target::Column(_, name) => column(name, &whole),
            };
            Standing { key: lowest.key(row, &self.context), cells: targets.iter().map(cell).collect(), row: whole }
        };
        lowest.living().map(standing).collect()
    }

    /// A table's living rows, each with what is stored of these columns.
    pub fn each_stored(&self, table: TableId, columns: &[Stored], mut each: impl FnMut(Row)) {
        let Some(home) = self.homes[table.0 as usize].map(|home| &self.regions[home as usize]) else { return };
        for row in home.living() {
            let (key, whole) = (home.key(row, &self.context), home.whole(row));
            let value = |stored: &Stored| match stored {
                Stored::Slot(slot) => home.cell(row, *slot)?.ok(),
                Stored::Key(at) => key.get(*at).cloned(),
                Stored::Whole(name) => whole.as_ref()?.get(name).cloned(),
            };
            each(columns.iter().map(value).collect());
        }
    }

    /// The fields of every living document, in no order.
    pub fn documents(&mut self) -> Vec<Document> {
        let mut documents = Vec::new();
        self.regions.iter_mut().for_each(Region::ask_for_all);
        self.regions.iter().for_each(|region| region.documents(&self.context, &mut documents));
        documents
    }

    /// What each node holds and has cost here, in the order of the plan.
    pub fn stats(&self) -> Vec<NodeStats> {
        let mut stats = Vec::new();
        for (at, table) in self.plan.tables.iter().enumerate().filter(|(_, table)| !table.name.is_empty()) {
            let directory = &self.context.directories[at];
            let regions = self.regions.iter().filter(|region| region.layout.table.0 as usize == at);
            let state_bytes = directory.bytes() + regions.map(Region::row_bytes).sum::<u64>();
            let rows = directory.len() as u64;
            stats.push(NodeStats { node: table.name.clone(), region: None, rows, state_bytes, rows_touched: 0 });
        }
        self.regions.iter().for_each(|region| region.stats(&mut stats));
        for (planned, (_, index)) in self.plan.lookups.iter().zip(&self.lookups) {
            let node = lookup_name(&self.plan, planned);
            let (rows, state_bytes, rows_touched) = (index.references(), index.bytes(), index.touched());
            stats.push(NodeStats { node, region: None, rows, state_bytes, rows_touched });
        }
        for (planned, (_, sessions)) in self.plan.sessions.iter().zip(&self.sessions) {
            let table = &self.plan.tables[self.plan.regions[planned.into.0 as usize].table.0 as usize].name;
            let slot = &self.plan.regions[planned.into.0 as usize].slots[planned.slot.0 as usize].name;
            let (node, rows, state_bytes) = (format!("{table}: {slot}").into(), sessions.rows(), sessions.bytes());
            stats.push(NodeStats { node, region: None, rows, state_bytes, rows_touched: sessions.touched() });
        }
        for (at, (planned, (_, index))) in self.plan.joins.iter().zip(&self.joins).enumerate() {
            let node = join_name(&self.plan, planned);
            let state_bytes = index.bytes() + self.context.join_keys[at].bytes();
            let (rows, rows_touched) = (index.references(), index.touched());
            stats.push(NodeStats { node, region: None, rows, state_bytes, rows_touched });
        }
        for (at, (planned, (_, index))) in self.plan.nearest.iter().zip(&self.nearest).enumerate() {
            let node = nearest_name(&self.plan, planned);
            let state_bytes = index.bytes() + self.context.line_keys[at].bytes();
            let (rows, rows_touched) = (index.references(), index.touched());
            stats.push(NodeStats { node, region: None, rows, state_bytes, rows_touched });
        }
        let closures = self.plan.memberships.iter().filter(|edge| edge.closure.is_some());
        for (at, (planned, (_, index))) in closures.zip(&self.closures).enumerate() {
            let node = closure_name(&self.plan, planned);
            let state_bytes = index.bytes() + self.context.places[at].bytes();
            stats.push(NodeStats { node, region: None, rows: index.rows(), state_bytes, rows_touched: index.touched() });
        }
        stats
    }
}

/// Where values behind errors are exported from, by name.
fn names_held(regions: &[Region]) -> std::collections::HashMap<Arc<str>, (usize, u32)> {
    let mut names = std::collections::HashMap::new();
    for (at, region) in regions.iter().enumerate() {
        for slot in 0..region.layout.kinds.len() as u32 {
            names.extend(region.held_names(slot).into_iter().map(|name| (name, (at, slot))));
        }
    }
    names
}

/// By place of an aggregate in a new region: its place in the old one.
fn places(new: &Plan, old: &Plan, region: usize, alike: &Alike) -> Vec<Option<usize>> {
    let into = |plan: &Plan, region: usize| -> Vec<usize> {
        (0..plan.groups.len()).filter(|at| plan.groups[*at].to.0 as usize == region).collect()
    };
    let before = alike.regions[region].map(|from| into(old, from)).unwrap_or_default();
    let place = |group: usize| before.iter().position(|of| Some(*of) == alike.groups[group]);
    into(new, region).into_iter().map(place).collect()
}

fn group_targets(plan: &Plan) -> Vec<GroupTarget> {
    let mut places = vec![0; plan.regions.len()];
    let targets = plan.groups.iter().map(|group| {
        let place = places[group.to.0 as usize];
        places[group.to.0 as usize] += 1;
        let contribution = &plan.regions[group.from.0 as usize].slots[group.contribution.0 as usize];
        let (table, kind) = (plan.regions[group.to.0 as usize].table, Kind::of_type(&contribution.ty));
        GroupTarget { table, region: group.to.0, place, kind }
    });
    targets.collect()
}

fn lookup_targets(plan: &Plan) -> Vec<LookupTarget> {
    let targets = plan.lookups.iter().map(|lookup| LookupTarget {
        table: plan.regions[lookup.to.0 as usize].table,
        into: lookup.into.0,
        slots: lookup.slots.iter().map(|slot| slot.0).collect(),
        kinds: kinds_looked_up(plan, lookup),
    });
    targets.collect()
}

/// How the words of an edge's values are read by both of its ends; where they differ the values go as cells.
fn kinds_looked_up(plan: &Plan, lookup: &thalweg_graph::plan::Lookup) -> Vec<Kind> {
    let (from, into) = (&plan.regions[lookup.to.0 as usize].slots, &plan.regions[lookup.into.0 as usize].slots);
    let ends = lookup.values.iter().zip(&lookup.slots);
    let kinds = ends.map(|(value, slot)| (&from[value.0 as usize].ty, &into[slot.0 as usize].ty));
    let kinds = kinds.map(|(value, slot)| (Kind::of_type(value), Kind::of_type(slot)));
    kinds.map(|(value, slot)| if value == slot || !value.is_word() { value } else { Kind::Boxed }).collect()
}

/// What a lookup edge is called: `Order.customer_id -> Customer`.
fn lookup_name(plan: &Plan, lookup: &thalweg_graph::plan::Lookup) -> Arc<str> {
    let (from, to) = (&plan.regions[lookup.from.0 as usize], &plan.regions[lookup.to.0 as usize]);
    let via: Vec<&str> = lookup.via.iter().map(|slot| &*from.slots[slot.0 as usize].name).collect();
    let (from, to) = (&plan.tables[from.table.0 as usize].name, &plan.tables[to.table.0 as usize].name);
    format!("{from}.{} -> {to}", via.join(", ")).into()
}

/// What a join edge is called: `Order, Shipment -> Match`.
fn join_name(plan: &Plan, join: &thalweg_graph::plan::Join) -> Arc<str> {
    let name = |region: thalweg_graph::plan::RegionId| {
        let table = plan.regions[region.0 as usize].table;
        plan.tables[table.0 as usize].name.clone()
    };
    format!("{}, {} -> {}", name(join.sides[0].from), name(join.sides[1].from), name(join.to)).into()
}

/// What a closure is called: `Edge -> paths of Reach`.
fn closure_name(plan: &Plan, edge: &thalweg_graph::plan::Membership) -> Arc<str> {
    let name = |region: thalweg_graph::plan::RegionId| &plan.tables[plan.regions[region.0 as usize].table.0 as usize].name;
    format!("{} -> paths of {}", name(edge.from), name(edge.to)).into()
}

/// What an as-of edge is called: `Trade.symbol, at -> newest Quote`.
fn nearest_name(plan: &Plan, edge: &thalweg_graph::plan::Nearest) -> Arc<str> {
    let (from, of) = (&plan.regions[edge.from.0 as usize], &plan.regions[edge.of.0 as usize]);
    let near: Vec<&str> = edge.near.iter().map(|slot| &*from.slots[slot.0 as usize].name).collect();
    let (from, of) = (&plan.tables[from.table.0 as usize].name, &plan.tables[of.table.0 as usize].name);
    format!("{from}.{} -> newest {of}", near.join(", ")).into()
}

impl Home {
    fn new(plan: &Plan, table: u32, whole: bool, tells_columns: bool) -> Home {
        Home {
            whole: whole.then(Vec::new),
            tells_columns,
            occurrences: hashbrown::HashMap::new(),
            reactions: crate::region::Reactions::new(plan, table),
            members: Members::default(),
            gate: Gate::new(plan, table as usize),
        }
    }
}
