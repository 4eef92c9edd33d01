//! Tables that come to a source which has run before, those that leave it, and those whose rows an `ALTER TABLE` has changed.
//!
//! What is watched is part of the position ([`super::extent`]). A table that is watched now and was not before is read in while the log is
//! followed ([`super::fill`]), from the place on where the source goes on; what it holds fires nothing. One that is no longer watched is
//! cleared there. The same way a table is read again whose rows hold something else without row events: the default of a new column, a
//! conversion, another name.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use mysql_async::{Conn, Opts};
use thalweg_formulas::Timestamp;
use thalweg_graph::Schema;
use thalweg_graph::ports::{RowsRead, SourceStatus};
use thalweg_graph::transaction::{Body, Change, Op, Spill};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::catalog::{Catalog, Missing, Table};
use super::chunk::{Reader, fits, labels};
use super::connect::{Flavour, ask, connect};
use super::estimate;
use super::extent::{Column, Extent, Mark, Partial, Read};
use super::failure::Failure;
use super::fill::{Beside, By, Fills, Parted, Ready, Want};
use super::snapshot::{PIECE_BYTES, PIECE_ROWS, Rows, insert, size};
use super::stream::{Out, Task, answered};
use super::view::{self, View};
use super::{MysqlConfig, Snapshot, SnapshotEffects};
use crate::binlog::{GtidState, Latest, Position, Rewritten, TransactionId, Watch};

/// The pause after which is tried again what the server could not do.
const PAUSE: Duration = Duration::from_millis(50);

/// What to read in, and how.
#[derive(Debug)]
pub(crate) struct Added {
    opts: Opts,
    flavour: Flavour,
    /// What a position says besides its place; `None`: no account is kept.
    extent: Option<Arc<Extent>>,
    fills: Fills,
    /// Columns that are no more, and of which the receiver may still have values.
    gone: Vec<Column>,
    tables: HashMap<String, Table>,
    rules: Rules,
    reader: Reader,
    view: Option<(Conn, View)>,
    /// Nothing is read before this time.
    not_before: Instant,
    /// Rows so far, of all these tables.
    pub(crate) read: RowsRead,
    /// Commit time of the newest transaction that came, so that no row makes time pass.
    pub(crate) at: Timestamp,
    /// Where the log stood before the last event.
    pub(crate) stood: (Position, Option<Latest>),
}

/// What decides how a table is read in.
#[derive(Debug)]
struct Rules {
    /// Tables that the receiver holds without a key.
    keyless: Watch,
    /// All of a table in one transaction.
    in_one: bool,
    effects: SnapshotEffects,
    /// Tables that the receiver has may be read again.
    again: bool,
}

impl Rules {
    /// Whether the receiver tells rows of a table apart by a key.
    fn has_key(&self, table: &Table) -> bool {
        let (database, name) = table.schema.table.split_once('.').unwrap_or_default();
        !table.schema.key.is_empty() && !self.keyless.matches(database, name)
    }

    fn by(&self, table: &Table, flavour: Flavour) -> By {
        let chunks = !self.in_one
            && self.effects == SnapshotEffects::Suppress
            && flavour != Flavour::Dolt
            && !table.order.is_empty()
            && self.has_key(table);
        if chunks { By::Chunks } else { By::View }
    }
}

/// What is watched now, with the tables of it that are not wholly read: those of before, and those that are new.
pub(crate) fn extended(before: Option<&Extent>, watch: &Watch, catalog: &Catalog) -> Result<Extent, Failure> {
    let Some(before) = before else { return Ok(Extent::of(watch)) };
    let was_watched = before.watch();
    let is_in = |watch: &Watch, table: &str| table.split_once('.').is_some_and(|(d, t)| watch.matches(d, t));
    let mut filling: Vec<Partial> = before.filling().iter().filter(|partial| is_in(watch, &partial.table)).cloned().collect();
    let added: Vec<&Table> = catalog.tables.iter().filter(|table| !is_in(&was_watched, &table.schema.table)).collect();
    view::refuse_engines(added.iter().copied())?;
    filling.extend(added.iter().map(|table| Partial {
        table: table.schema.table.to_string(),
        read: Read::Nothing,
        is_whole: false,
    }));
    let gone = before.gone().iter().filter(|(table, _)| is_in(watch, table)).cloned();
    Ok(Extent::of(watch).with(filling).without(gone.collect()))
}

/// About how many rows are to be read in; `None` too where some of a table was read before.
pub(crate) async fn expected(conn: &mut Conn, flavour: Flavour, extent: Option<&Extent>, catalog: &Catalog) -> Option<u64> {
    let filling = extent?.filling();
    if filling.is_empty() || filling.iter().any(|partial| partial.read != Read::Nothing) {
        return None;
    }
    let is_filling = |table: &&Table| filling.iter().any(|partial| partial.table == *table.schema.table);
    estimate::rows(conn, flavour, &catalog.tables.iter().filter(is_filling).collect::<Vec<_>>()).await
}

/// A clear for every table that was watched and is not any more, by the names that the server knows.
pub(crate) async fn cleared(conn: &mut Conn, before: Option<&Extent>, watch: &Watch) -> Result<Vec<Change>, Failure> {
    let dropped = before.map(|before| before.dropped(watch)).unwrap_or_default();
    let Some(before) = before.filter(|_| !dropped.is_empty()) else { return Ok(Vec::new()) };
    let known: Vec<(String, String)> = ask(conn, "SELECT TABLE_SCHEMA, TABLE_NAME FROM information_schema.TABLES").await?;
    let was_watched = before.watch();
    let plain = dropped.iter().filter(|pattern| !Watch::is_wild(pattern)).filter_map(|pattern| pattern.split_once('.'));
    let known = known.iter().map(|(d, t)| (d.as_str(), t.as_str())).filter(|(d, t)| was_watched.matches(d, t));
    let mut gone: Vec<String> =
        known.chain(plain).filter(|(d, t)| !watch.matches(d, t)).map(|(d, t)| format!("{d}.{t}")).collect();
    gone.sort();
    gone.dedup();
    let schema = |table: String| Schema { table: table.into(), columns: Vec::new(), key: Vec::new() };
    Ok(gone.into_iter().map(|table| Change::clear(schema(table).into())).collect())
}

impl Added {
    pub(crate) fn new(
        config: &MysqlConfig,
        opts: Opts,
        flavour: Flavour,
        extent: Option<Arc<Extent>>,
        tables: Vec<Table>,
        expected: Option<u64>,
    ) -> Result<Added, Failure> {
        let keyless = match config.keyless.is_empty() {
            true => Watch::default(),
            false => super::check::watch(&config.keyless, opts.db_name())?,
        };
        let again = config.clears && config.snapshot != Snapshot::Never;
        let rules = Rules { keyless, in_one: config.in_one, effects: config.snapshot_effects, again };
        let tables: HashMap<String, Table> = tables.into_iter().map(|table| (table.schema.table.to_string(), table)).collect();
        let partials = extent.iter().flat_map(|extent| extent.filling().iter().cloned());
        let partials = partials.map(|mut partial| {
            let table = tables.get(&partial.table);
            if matches!(&partial.read, Read::Upto(bound) if !table.is_some_and(|table| fits(bound, &table.order))) {
                partial.read = if partial.is_whole { Read::Nothing } else { Read::Stale };
            }
            let by = table.map_or(By::Chunks, |table| rules.by(table, flavour));
            (partial, by)
        });
        let fills = Fills::new(partials);
        let reader = Reader::new(opts.clone(), flavour);
        let read = RowsRead { rows: 0, expected };
        let (not_before, at, stood) = (Instant::now(), Timestamp(0), <(Position, Option<Latest>)>::default());
        let gone = extent.as_ref().map(|extent| extent.gone().to_vec()).unwrap_or_default();
        let mut added =
            Added { opts, flavour, extent, fills, gone, tables, rules, reader, view: None, not_before, read, at, stood };
        added.note();
        Ok(added)
    }

    /// Whether there are tables to read in.
    pub(crate) fn is_empty(&self) -> bool {
        self.fills.is_empty()
    }

    /// What a position says now besides its place.
    pub(crate) fn extent(&self) -> Option<Arc<Extent>> {
        self.extent.clone()
    }

    /// How long the log may be waited for before there is something to read; `None`: as long as it takes.
    pub(crate) fn pause(&self) -> Option<Duration> {
        self.fills.want().map(|_| self.not_before.saturating_duration_since(Instant::now()))
    }

    /// The layout of the tables is another now, and the rows of these hold something else.
    pub(crate) fn learn(&mut self, tables: Vec<Table>, mut rewritten: Vec<Rewritten>) {
        rewritten.retain(|table| self.rules.again && self.gone(table));
        if self.fills.is_empty() && rewritten.is_empty() {
            return;
        }
        self.tables = tables.into_iter().map(|table| (table.schema.table.to_string(), table)).collect();
        let (tables, rules, flavour) = (&self.tables, &self.rules, self.flavour);
        self.fills.altered(|name| tables.get(name).map(|table| (rules.by(table, flavour), labels(&table.order))));
        if self.fills.is_empty() {
            self.read = RowsRead::default();
        }
        for Rewritten { table, key, .. } in &rewritten {
            let Some(of) = tables.get(&**table) else {
                tracing::warn!(
                    "{table}: its rows hold something else since its layout changed, and this user cannot see the table (any more)"
                );
                continue;
            };
            tracing::info!("{table}: its rows hold something else since its layout changed, and are read again");
            self.fills.rewritten(table, rules.by(of, flavour), !key);
        }
        self.note();
    }

    /// Keeps account of columns that go. Whether the rows of the table are to be read again: also where a column comes that went before.
    fn gone(&mut self, Rewritten { table, values, key, dropped, added }: &Rewritten) -> bool {
        let of_table = |(of, _): &Column| **of == **table;
        self.gone.extend(dropped.iter().map(|column| (table.to_string(), column.to_lowercase())));
        let comes_back =
            self.gone.iter().filter(|gone| of_table(gone)).any(|(_, gone)| added.iter().any(|c| c.to_lowercase() == *gone));
        let is_rewritten = *values || *key || comes_back;
        if is_rewritten {
            self.gone.retain(|gone| !of_table(gone));
        }
        self.gone.sort();
        self.gone.dedup();
        is_rewritten
    }

    /// Brings the extent to where the fills are.
    fn note(&mut self) {
        let partials = self.fills.partials();
        if let Some(extent) = &mut self.extent
            && (partials != extent.filling() || self.gone != extent.gone())
        {
            *extent = Arc::new(extent.with(partials).without(self.gone.clone()));
        }
    }

    /// Begins what is wanted, if it can be had now.
    async fn begin(&mut self, done: &GtidState) -> Result<(), Failure> {
        let name = self.fills.table().unwrap_or_default();
        let begun = match (self.fills.want(), self.tables.get(name)) {
            (None | Some(Want::Clear), _) => return Ok(()),
            (Some(_), None) => {
                self.fills.finish();
                true
            }
            (Some(Want::Chunk(_, after)), Some(table)) => match self.reader.read(table, after, done).await? {
                Some(chunk) => {
                    self.fills.take(chunk);
                    true
                }
                None => false,
            },
            (Some(Want::End), Some(_)) => {
                let end = self.reader.committed().await?;
                self.fills.take_end(end);
                true
            }
            (Some(Want::View(_)), Some(_)) => self.open_view(done).await?,
        };
        if !begun {
            self.not_before = Instant::now() + PAUSE;
        }
        self.note();
        Ok(())
    }

    /// Opens a view that has all that was handed over. `false`: none could be had now.
    async fn open_view(&mut self, done: &GtidState) -> Result<bool, Failure> {
        let only = [self.fills.table().unwrap_or_default().to_string()];
        let watch = super::check::watch(&only, None)?;
        let mut conn = connect(&self.opts).await?;
        let view = view::open(&mut conn, &self.opts, self.flavour, &watch, Missing::Dropped).await?;
        if view.catalog.tables.is_empty() {
            self.fills.finish();
            return Ok(true);
        }
        if !view.position.covers(done) {
            return Ok(false);
        }
        self.fills.take_view(view.position.clone());
        self.view = Some((conn, view));
        Ok(true)
    }
}

/// What a spilled transaction does to the tables that are not read in.
#[derive(Debug)]
struct Others {
    spill: Arc<dyn Spill>,
    /// Tables that are, and that the receiver does not have.
    filling: Vec<Partial>,
    changes: u64,
    clears: Vec<Change>,
}

impl Spill for Others {
    fn changes(&self) -> u64 {
        self.changes
    }

    fn clears(&self) -> &[Change] {
        &self.clears
    }

    fn read(&self, each: &mut dyn FnMut(Vec<Change>) -> bool) -> Result<(), String> {
        self.spill.read(&mut |mut part| {
            part.retain(|change| self.filling.iter().all(|partial| partial.table != *change.schema.table));
            part.is_empty() || each(part)
        })
    }
}

impl Task {
    /// Hands over what a transaction does to tables that are read in; gives the rest. Both are one transaction of the log, so the position
    /// moves with the last of them.
    pub(crate) async fn fill(&mut self, id: &TransactionId, body: Body) -> Result<Option<Body>, Failure> {
        let spill = match body {
            Body::Changes(changes) => {
                let rest = self.fill_part(id, changes).await?;
                return Ok((!rest.is_empty()).then_some(Body::Changes(rest)));
            }
            Body::Spilled(spill) => spill,
            body => return Ok(Some(body)),
        };
        let mut filling = self.added.fills.partials();
        filling.retain(|partial| !partial.is_whole);
        let (sender, mut parts) = mpsc::channel(1);
        let source = spill.clone();
        let reading = tokio::task::spawn_blocking(move || source.read(&mut |part| sender.blocking_send(part).is_ok()));
        let (mut changes, mut clears) = (0, Vec::new());
        while let Some(part) = parts.recv().await {
            let rest = self.fill_part(id, part).await?;
            changes += rest.len() as u64;
            clears.extend(rest.into_iter().take_while(Change::is_clear));
        }
        match reading.await {
            Ok(Ok(())) => {}
            Ok(Err(why)) => return Err(Failure::Retry(why)),
            Err(panic) => return Err(Failure::Retry(format!("E0400: {panic}"))),
        }
        Ok((changes > 0).then(|| Body::Spilled(Arc::new(Others { spill, filling, changes, clears }))))
    }

    async fn fill_part(&mut self, id: &TransactionId, changes: Vec<Change>) -> Result<Vec<Change>, Failure> {
        let Parted { fill, rest } = self.added.fills.part(id, changes);
        self.added.note();
        if !fill.is_empty() {
            let (place, latest) = self.added.stood.clone();
            let mark = Mark { place, latest, extent: self.added.extent() };
            self.send_transaction(format!("fill:{id}").into(), Body::Fill(fill), mark).await?;
        }
        Ok(rest)
    }

    /// Hands over what can be handed over here of the tables that are read in, and begins what comes next. Called between two events, once
    /// the log has been caught up with.
    pub(crate) async fn read_in(&mut self) -> Result<(), Failure> {
        if self.added.is_empty() {
            return Ok(());
        }
        self.hand_over_ready().await?;
        if self.added.fills.want() == Some(Want::Clear) {
            self.take_back().await?;
        }
        if self.added.pause().is_some_and(|pause| pause.is_zero()) {
            let done = self.assembler.position().done.clone();
            answered(self.heartbeat, self.added.begin(&done)).await?;
            self.hand_over_ready().await?;
        }
        if self.added.is_empty() {
            // What was not there any more is not to be read either.
            self.send(Out::Position(self.mark())).await?;
            self.send(Out::Status(SourceStatus::Live(true))).await?;
        }
        Ok(())
    }

    /// The rows that the receiver has of the table that is read now go.
    async fn take_back(&mut self) -> Result<(), Failure> {
        let name = self.added.fills.table().unwrap_or_default().to_string();
        self.added.fills.cleared();
        self.added.note();
        let schema = Schema { table: name.as_str().into(), columns: Vec::new(), key: Vec::new() };
        self.send_transaction(format!("stale:{name}").into(), Body::Fill(vec![Change::clear(schema.into())]), self.mark()).await
    }

    async fn hand_over_ready(&mut self) -> Result<(), Failure> {
        while let Some(table) = self.added.fills.table().map(str::to_string)
            && let Some(ready) = self.added.fills.ready(&self.assembler.position().done)
        {
            self.added.note();
            match ready {
                Ready::Rows(rows) => {
                    self.added.read.rows += rows.len() as u64;
                    self.hand_over_rows(&table, rows).await?;
                }
                Ready::Whole => self.send(Out::Position(self.mark())).await?,
                Ready::View(beside) => self.hand_over_view(&table, beside).await?,
            }
            self.send(Out::Status(SourceStatus::Filling(self.added.read))).await?;
        }
        Ok(())
    }

    async fn hand_over_rows(&mut self, table: &str, rows: Vec<Change>) -> Result<(), Failure> {
        let body = match self.added.rules.effects {
            SnapshotEffects::Suppress => Body::Fill(rows),
            SnapshotEffects::Fire => Body::Changes(rows),
        };
        let origin = format!("fill:{table}@{}", self.assembler.position().done);
        self.send_transaction(origin.into(), body, self.mark()).await
    }

    /// All rows of a view, piece by piece or in one; the log waits. Half of them counts as some: it is read again from its beginning. Rows
    /// that the receiver has are brought up to date where it knows them by a key, else they make place for these at once.
    async fn hand_over_view(&mut self, name: &str, beside: Beside) -> Result<(), Failure> {
        let Some((mut conn, view)) = self.added.view.take() else { return Ok(()) };
        let may_part = !self.added.rules.in_one && self.added.rules.effects == SnapshotEffects::Suppress;
        let mut piece = Vec::new();
        for table in &view.catalog.tables {
            let updates = beside == Beside::All && self.added.rules.has_key(table);
            let in_pieces = may_part && (updates || beside != Beside::All);
            piece.extend((beside != Beside::Nothing && !updates).then(|| Change::clear(table.schema.clone())));
            let mut bytes = 0;
            let asked = Rows::of(&mut conn, table, view.as_of.as_deref(), "");
            let mut rows = answered(self.heartbeat, asked).await?;
            while let Some(cells) = answered(self.heartbeat, rows.next()).await? {
                bytes += size(&cells);
                let row = insert(&table.schema, &table.readings, cells)?;
                piece.push(if updates { Change { op: Op::Upsert, ..row } } else { row });
                self.added.read.rows += 1;
                if in_pieces && (piece.len() >= PIECE_ROWS || bytes >= PIECE_BYTES) {
                    bytes = 0;
                    self.hand_over_rows(name, std::mem::take(&mut piece)).await?;
                    self.send(Out::Status(SourceStatus::Filling(self.added.read))).await?;
                }
            }
            rows.end().await?;
        }
        // With the last piece the table is whole.
        self.added.fills.finish();
        self.added.note();
        match piece.is_empty() {
            true => self.send(Out::Position(self.mark())).await,
            false => self.hand_over_rows(name, piece).await,
        }
    }
}
