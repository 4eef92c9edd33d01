//! Another plan takes the place of the one that runs, at a closed epoch, without its sources.
//!
//! INV-REPLACE: it means what a restart with the other plan means, and nothing of it fires or is told. What rows cannot rebuild goes to what has the same name ([`crate::fit`]), the rows come back as
//! fills, in which nothing fires. But the rows come from the engine itself, as far as it keeps them, and no source is asked.
//!
//! What both plans have is moved, if nothing but cells and group edges is new ([`alike`]); else all rows are brought back, which means the same and takes longer.
//!
//! Rows are a [`Stock`]: the columns of the home region, the key, or the whole row where that is kept. A column that no formula reads is not kept;
//! where the new plan reads such a one, [`Lacks`] says so before anything has changed.
//!
//! Next to read: [`Driver::replaced`].

mod alike;

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use thalweg_formulas::{Type, Value};
use thalweg_graph::outcome::ErrorChange;
use thalweg_graph::plan::{SlotSource, TableId};
use thalweg_graph::transaction::SchemaColumn;
use thalweg_graph::{Change, Epoch, Op, Plan, Row, Schema};

pub use self::alike::Alike;
use crate::driver::Driver;
use crate::engine::Options;
use crate::region::adopt::New;
use crate::shard::whole_rows;

/// Rows that come back together.
const TOGETHER: usize = 1 << 14;

/// What a replacement came to.
#[derive(Clone, Debug, PartialEq)]
pub struct Replaced {
    /// Rows that were given and refused.
    pub refused: Vec<ErrorChange>,
    /// What is as it was has been moved, and only the rest computed. Else all rows were brought back.
    pub moved: bool,
}

/// Why a plan cannot take the place of the one that runs: its rows lack columns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lacks {
    /// One entry a column, by table and name.
    pub columns: Vec<Lack>,
}

/// A column that rows have had and that cannot be given to another plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lack {
    /// The document type.
    pub table: Arc<str>,
    /// The column.
    pub column: Arc<str>,
    /// Another type as which it is kept, and the one that is wanted; `None`: it is not kept.
    pub kept_as: Option<(Type, Type)>,
}

impl fmt::Display for Lacks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, Lack { table, column, kept_as }) in self.columns.iter().enumerate() {
            f.write_str(if at == 0 { "" } else { "; " })?;
            match kept_as {
                None => write!(f, "column `{table}.{column}` is not kept, since nothing read it")?,
                Some((kept, wanted)) => write!(f, "column `{table}.{column}` is kept as {kept}, not as {wanted}")?,
            }
        }
        Ok(())
    }
}

impl std::error::Error for Lacks {}

/// Where a column of stored rows is.
#[derive(Clone, Debug, PartialEq)]
pub enum Stored {
    /// A slot of the home region.
    Slot(u32),
    /// A place in the key.
    Key(usize),
    /// The whole row, under this name.
    Whole(Value),
}

/// The rows of one table, as another plan takes them.
struct Stock {
    from: TableId,
    to: TableId,
    schema: Arc<Schema>,
    /// By column of the schema.
    stored: Vec<Stored>,
}

impl Driver {
    /// A driver for `plan` that stands where this one does at the end of `epoch`, and the rows among `given` that were refused. Tables of which rows are
    /// given have those, and none of their own.
    ///
    /// Cost: what is new of every row, and a copy of rows that get another layout, where the rest can be moved; else that of a restart, O(rows), without reading them
    /// from anywhere. The rows of both are held meanwhile.
    ///
    /// # Errors
    /// What the rows lack; nothing has changed.
    pub fn replaced(
        &mut self,
        plan: Arc<Plan>,
        options: &Options,
        epoch: Epoch,
        given: Vec<Change>,
    ) -> Result<(Driver, Replaced), Lacks> {
        let mut next = Driver::new(plan, options);
        next.router.follow(&self.router);
        let sources: BTreeSet<&Arc<str>> = given.iter().map(|change| &change.schema.table).collect();
        let anew = sources.into_iter().flat_map(|source| next.router.tables_of(source)).copied().collect();
        let stocks = self.stocks(&next, options, &anew)?;
        next.follow(self.followed_in(&next.plan));
        if !self.has_started() && given.is_empty() {
            return Ok((next, Replaced { refused: Vec::new(), moved: true }));
        }
        next.report_fills(false);
        if let Some((alike, news)) = self.alike(&next, options).filter(|_| given.is_empty()) {
            self.give_over(&mut next, epoch, alike, news);
            return Ok((next, Replaced { refused: Vec::new(), moved: true }));
        }
        let mut state = self.export();
        state.epoch = epoch;
        next.import(state);
        for stock in stocks {
            self.refill(&stock, &mut next, epoch);
        }
        let refused = next.fill(epoch, given);
        next.thaw(epoch);
        Ok((next, Replaced { refused, moved: false }))
    }

    /// What of the next plan is as it is in this one, and by region where new columns come from; `None` where rows must be brought back.
    fn alike(&self, next: &Driver, options: &Options) -> Option<(Alike, News)> {
        if !self.has_started() {
            return None;
        }
        let alike = Alike::between(&self.plan, &next.plan)?;
        let whole = [&self.plan, &next.plan].map(|plan| whole_rows(plan, options));
        let same_rows = |(at, of): (usize, &Option<usize>)| of.is_none_or(|of| whole[0][of] || !whole[1][at]);
        if !alike.tables.iter().enumerate().all(same_rows) {
            return None;
        }
        let news = next.plan.regions.iter().enumerate().map(|(at, region)| {
            let kept = &alike.slots[at];
            let table = region.table.0 as usize;
            let from = alike.tables[table];
            let news = (0..).zip(&region.slots).filter(|(slot, _)| from.is_some() && kept[*slot as usize].is_none());
            let mut columns = Vec::new();
            for (slot, planned) in news {
                match planned.source {
                    SlotSource::Carried(region, of) => columns.push((slot, New::Carried { region: region.0, slot: of.0 })),
                    SlotSource::Column(column) => {
                        let name = &next.plan.tables[table].columns[column.0 as usize].name;
                        columns.extend(self.new_column(next, table, from?, name, whole[0][from?])?.map(|new| (slot, new)));
                    }
                    _ => {}
                }
            }
            Some(columns)
        });
        let news = news.collect::<Option<_>>()?;
        Some((alike, news))
    }

    /// Where a column comes from that has no slot yet: nowhere, if no row has had it. `None`: its values must be read as another type.
    fn new_column(&self, next: &Driver, to: usize, from: usize, name: &Arc<str>, whole: bool) -> Option<Option<New>> {
        let table = &next.plan.tables[to];
        let given = self.router.columns_given([&table.from, &table.name]);
        if !given.is_some_and(|given| given.contains(name)) {
            return Some(None);
        }
        let shelf = Shelf { driver: self, next, to: TableId(to as u32), from: Some(from), whole };
        let (place, ty) = shelf.find(name)?;
        match place {
            Stored::Whole(name) if shelf.wanted_type(&Arc::from(name_text(&name))) == Some(ty) => Some(Some(New::Whole(name))),
            _ => None,
        }
    }

    /// Moves everything that is alike to the next driver, and lets it compute the rest.
    fn give_over(&mut self, next: &mut Driver, epoch: Epoch, alike: Alike, news: News) {
        for worker in 0..self.workers() {
            self.with(worker, |before| next.with(worker, |shard| shard.adopt(before, &alike, &news)));
        }
        next.hydrate(epoch);
    }

    /// The rows of all tables that the next plan has, and that this one has rows of; but those of `anew`.
    fn stocks(&self, next: &Driver, options: &Options, anew: &BTreeSet<TableId>) -> Result<Vec<Stock>, Lacks> {
        let whole = [&self.plan, &next.plan].map(|plan| whole_rows(plan, options));
        let (mut stocks, mut lacks) = (Vec::new(), Vec::new());
        for (at, table) in next.plan.tables.iter().enumerate() {
            let to = TableId(at as u32);
            let given = self.router.columns_given([&table.from, &table.name]);
            let Some(given) = given.filter(|_| !anew.contains(&to) && !table.name.is_empty() && !table.is_derived()) else {
                continue;
            };
            let from = self.plan.tables.iter().position(|known| known.name == table.name && known.from == table.from);
            let shelf = Shelf { driver: self, next, to, from, whole: from.is_some_and(|from| whole[0][from]) };
            match shelf.stock(&given, whole[1][at]) {
                Ok(stock) => stocks.extend(stock),
                Err(more) => lacks.extend(more),
            }
        }
        if lacks.is_empty() { Ok(stocks) } else { Err(Lacks { columns: lacks }) }
    }

    /// Gives the next driver a table's rows, some thousands at a time.
    fn refill(&mut self, stock: &Stock, next: &mut Driver, epoch: Epoch) {
        let insert =
            |row: Row| Change { schema: stock.schema.clone(), op: Op::Insert, key: None, before: None, after: Some(row) };
        next.router.learn(stock.to, &stock.schema);
        for worker in 0..self.workers() {
            self.with(worker, |shard| {
                let mut waiting = Vec::new();
                shard.each_stored(stock.from, &stock.stored, |row| {
                    waiting.push(insert(row));
                    if waiting.len() == TOGETHER {
                        next.fill_table(epoch, stock.to, std::mem::take(&mut waiting));
                    }
                });
                next.fill_table(epoch, stock.to, waiting);
            });
        }
    }
}

/// By region: columns that are new there, and where they come from.
type News = Vec<Vec<(u32, New)>>;

/// What is known of a table's rows.
struct Shelf<'a> {
    driver: &'a Driver,
    next: &'a Driver,
    to: TableId,
    /// The table before, by its place.
    from: Option<usize>,
    /// Whole rows are kept.
    whole: bool,
}

impl Shelf<'_> {
    /// The rows, if any have come; `given` are the columns that they have had.
    fn stock(&self, given: &BTreeSet<Arc<str>>, wants_whole: bool) -> Result<Option<Stock>, Vec<Lack>> {
        let (mut columns, mut stored, mut lacks) = (Vec::new(), Vec::new(), Vec::new());
        let key = self.from.and_then(|from| self.driver.router.key(TableId(from as u32)));
        let key_names = key.map_or(&[][..], |key| &key.names[..key.types.len()]);
        let wanted = self.wanted(given, wants_whole);
        let others = wanted.iter().filter(|name| !key_names.contains(name));
        for name in key_names.iter().chain(others) {
            match self.find(name) {
                Some((place, ty)) => {
                    let want = self.wanted_type(name).filter(|_| wanted.contains(name));
                    if let Some(want) = want.filter(|want| *want != ty && ty != Type::Dyn) {
                        lacks.push(Lack { table: self.table(), column: name.clone(), kept_as: Some((ty.clone(), want)) });
                    }
                    columns.push(SchemaColumn::new(name.clone(), ty));
                    stored.push(place);
                }
                None => lacks.push(Lack { table: self.table(), column: name.clone(), kept_as: None }),
            }
        }
        if !lacks.is_empty() {
            return Err(lacks);
        }
        let (Some(from), Some(key)) = (self.from, key) else { return Ok(None) };
        let key = if key.multiset { Vec::new() } else { (0..key.types.len() as u32).collect() };
        let schema = Arc::new(Schema { table: self.next.plan.tables[self.to.0 as usize].from.clone(), columns, key });
        Ok(Some(Stock { from: TableId(from as u32), to: self.to, schema, stored }))
    }

    fn table(&self) -> Arc<str> {
        self.next.plan.tables[self.to.0 as usize].name.clone()
    }

    /// The columns that the next plan takes, of those that rows have had.
    fn wanted(&self, given: &BTreeSet<Arc<str>>, whole: bool) -> Vec<Arc<str>> {
        if whole {
            return given.iter().cloned().collect();
        }
        // Of a table that the plan before did not have, nothing is kept.
        if self.from.is_none() {
            return given.iter().cloned().collect();
        }
        let table = &self.next.plan.tables[self.to.0 as usize];
        let home = table.home.map(|home| &self.next.plan.regions[home.0 as usize]);
        let in_slots = home.iter().flat_map(|home| &home.slots).filter_map(|slot| match slot.source {
            SlotSource::Column(column) => Some(column),
            _ => None,
        });
        let columns: BTreeSet<_> = in_slots.chain(table.key.iter().flatten().copied()).collect();
        let names = columns.into_iter().map(|column| table.columns[column.0 as usize].name.clone());
        names.filter(|name| given.contains(name)).collect()
    }

    /// Where a column is, and the type as which it is kept.
    fn find(&self, name: &Arc<str>) -> Option<(Stored, Type)> {
        let from = self.from?;
        let key = self.driver.router.key(TableId(from as u32));
        let in_key = key.and_then(|key| {
            let at = key.names[..key.types.len()].iter().position(|known| known == name)?;
            Some((Stored::Key(at), key.types[at].clone()))
        });
        let table = &self.driver.plan.tables[from];
        let column = table.columns.iter().position(|column| column.name == *name);
        let ty = column.map_or(Type::Dyn, |column| table.columns[column].ty.clone());
        let home = table.home.map(|home| &self.driver.plan.regions[home.0 as usize]);
        let is_it = |source: &SlotSource| matches!(source, SlotSource::Column(at) if Some(at.0 as usize) == column);
        let slot = home.and_then(|home| home.slots.iter().position(|slot| is_it(&slot.source)));
        let in_slot = || slot.map(|slot| (Stored::Slot(slot as u32), ty.clone()));
        let in_whole = || self.whole.then(|| (Stored::Whole(Value::text(name.clone())), ty.clone()));
        in_key.or_else(in_whole).or_else(in_slot)
    }

    fn wanted_type(&self, name: &Arc<str>) -> Option<Type> {
        let columns = &self.next.plan.tables[self.to.0 as usize].columns;
        Some(columns.iter().find(|column| column.name == *name).map_or(Type::Dyn, |column| column.ty.clone()))
    }
}

fn name_text(name: &Value) -> &str {
    if let Value::Text(name) = name { name } else { "" }
}
