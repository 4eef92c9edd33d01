//! Which tables a schema feeds, and what its rows mean there.
//!
//! One router stands before the workers, so that all agree on keys that only a source can tell: the first schema seen for a table
//! decides, for good. Mappings are numbered in the order of their making, and every worker gets every one.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use smallvec::SmallVec;
use thalweg_graph::plan::{SlotSource, TableId};
use thalweg_graph::{Plan, Schema};

use super::mapping::{Mapping, MappingId, TableKey};

/// Schemas known by address at one time; a source that makes a new one for every row must not fill the memory.
const ADDRESSES_MAX: usize = 1024;

type Mappings = SmallVec<[MappingId; 1]>;

/// Schemas to mappings.
pub struct Router {
    plan: Arc<Plan>,
    by_source: HashMap<Arc<str>, Vec<TableId>>,
    keys: Vec<Option<TableKey>>,
    slots: Vec<Vec<Option<u32>>>,
    mappings: Vec<Arc<Mapping>>,
    by_address: HashMap<usize, (Arc<Schema>, Mappings)>,
    by_content: HashMap<Arc<str>, Vec<(Arc<Schema>, Mappings)>>,
    last: Option<(Arc<Schema>, Mappings)>,
    /// By table of a source: the columns that its rows have had under earlier plans.
    past: HashMap<Arc<str>, BTreeSet<Arc<str>>>,
}

impl Router {
    /// For `plan`.
    pub fn new(plan: Arc<Plan>) -> Router {
        let mut by_source: HashMap<Arc<str>, Vec<TableId>> = HashMap::new();
        // The global document and those of derived tables come from no source.
        let is_read = |(_, table): &(usize, &thalweg_graph::plan::Table)| !table.name.is_empty() && !table.is_derived();
        for (at, table) in plan.tables.iter().enumerate().filter(is_read) {
            by_source.entry(table.from.clone()).or_default().push(TableId(at as u32));
        }
        // A source may also name the document type itself (JSON lines).
        for (at, table) in plan.tables.iter().enumerate().filter(is_read) {
            by_source.entry(table.name.clone()).or_insert_with(|| vec![TableId(at as u32)]);
        }
        let keys = plan.tables.iter().enumerate().map(|(at, table)| {
            let columns = table.key.as_ref().filter(|columns| !columns.is_empty())?;
            Some(TableKey::of_columns(&plan, TableId(at as u32), columns))
        });
        Router {
            by_source,
            keys: keys.collect(),
            slots: (0..plan.tables.len()).map(|table| home_slots(&plan, table)).collect(),
            mappings: Vec::new(),
            by_address: HashMap::new(),
            by_content: HashMap::new(),
            last: None,
            past: HashMap::new(),
            plan,
        }
    }

    /// The mappings of a schema, one for each table that it feeds.
    #[inline]
    pub fn mappings_of(&mut self, schema: &Arc<Schema>) -> &[MappingId] {
        if !self.last.as_ref().is_some_and(|(last, _)| Arc::ptr_eq(last, schema)) {
            let mappings = self.known(schema);
            self.last = Some((schema.clone(), mappings));
        }
        self.last.as_ref().map_or(&[], |(_, mappings)| mappings)
    }

    fn known(&mut self, schema: &Arc<Schema>) -> Mappings {
        let address = Arc::as_ptr(schema) as usize;
        if let Some((_, mappings)) = self.by_address.get(&address) {
            return mappings.clone();
        }
        if self.by_address.len() >= ADDRESSES_MAX {
            self.by_address.clear();
        }
        let mappings = self.by_content(schema);
        self.by_address.insert(address, (schema.clone(), mappings.clone()));
        mappings
    }

    fn by_content(&mut self, schema: &Arc<Schema>) -> Mappings {
        let equal = self.by_content.get(&schema.table).and_then(|known| known.iter().find(|(known, _)| known == schema));
        if let Some((_, mappings)) = equal {
            return mappings.clone();
        }
        let tables = self.by_source.get(&schema.table).cloned().unwrap_or_default();
        let mappings: Mappings = tables.into_iter().map(|table| self.make(table, schema)).collect();
        self.by_content.entry(schema.table.clone()).or_default().push((schema.clone(), mappings.clone()));
        mappings
    }

    fn make(&mut self, table: TableId, schema: &Schema) -> MappingId {
        let at = table.0 as usize;
        let key = self.keys[at].get_or_insert_with(|| TableKey::new(&self.plan, table, schema)).clone();
        self.mappings.push(Arc::new(Mapping::new(&self.plan, table, key, schema, &self.slots[at])));
        self.mappings.len() as MappingId - 1
    }

    /// Makes a layout for this table alone, whoever else its source feeds.
    pub fn learn(&mut self, table: TableId, schema: &Schema) {
        self.make(table, schema);
    }

    /// The tables that rows of a source's table go to.
    pub fn tables_of(&self, source: &str) -> &[TableId] {
        self.by_source.get(source).map_or(&[], Vec::as_slice)
    }

    /// The columns that rows of these tables of a source have had so far; `None` if no row has come.
    pub fn columns_given(&self, sources: [&Arc<str>; 2]) -> Option<BTreeSet<Arc<str>>> {
        let has_come = |source: &&&Arc<str>| self.past.contains_key(**source) || self.by_content.contains_key(**source);
        sources.iter().find(has_come)?;
        let now = sources.iter().flat_map(|source| self.by_content.get(*source)).flatten();
        let now = now.flat_map(|(schema, _)| schema.columns.iter().map(|column| &column.name));
        Some(sources.iter().flat_map(|source| self.past.get(*source)).flatten().chain(now).cloned().collect())
    }

    /// Goes on from the router of another plan: what it has seen, and the keys that only a source can tell.
    pub fn follow(&mut self, before: &Router) {
        for source in before.past.keys().chain(before.by_content.keys()) {
            self.past.entry(source.clone()).or_insert_with(|| before.columns_given([source, source]).unwrap_or_default());
        }
        for (at, table) in self.plan.tables.iter().enumerate() {
            if self.keys[at].is_some() {
                continue;
            }
            let same = |known: &thalweg_graph::plan::Table| known.name == table.name && known.from == table.from;
            let known = before.plan.tables.iter().position(same);
            let key = known.and_then(|known| before.keys[known].clone());
            // A multiset's key is what the first schema has said; one that was declared in the plan before is not.
            self.keys[at] = key.filter(|key| table.key.is_none() || key.multiset);
        }
    }

    /// All mappings so far, by number.
    pub fn mappings(&self) -> &[Arc<Mapping>] {
        &self.mappings
    }

    /// A table's key, once it is known.
    pub fn key(&self, table: TableId) -> Option<&TableKey> {
        self.keys[table.0 as usize].as_ref()
    }
}

/// The slot of each column in the table's home region.
fn home_slots(plan: &Plan, table: usize) -> Vec<Option<u32>> {
    let table = &plan.tables[table];
    let mut slots = vec![None; table.columns.len()];
    let region = table.home.map(|home| &plan.regions[home.0 as usize]);
    for (slot, source) in region.iter().flat_map(|region| region.slots.iter().map(|slot| &slot.source).enumerate()) {
        if let SlotSource::Column(column) = source {
            slots[column.0 as usize] = Some(slot as u32);
        }
    }
    slots
}
