//! From events to whole transactions of the watched tables.
//!
//! A transaction begins with its GTID event and ends with XID, XA PREPARE, `COMMIT` or, standing alone, with its one statement. Only
//! then are its changes handed out and the position moves; what a broken connection leaves half-read is dropped and read again. In a log
//! without GTIDs the place where it begins is its id.
//!
//! The changes of a distributed transaction are kept from its PREPARE to its COMMIT, and are handed out under the commit's GTID, in its
//! place. As long as one is prepared, [`Position::reread`] stays before it, so that a restart finds its rows again.
//!
//! Invariants:
//! - SRC-A: the position covers exactly the transactions that were handed out or passed by.
//! - SRC-B: a change of a watched table is handed out or the log is refused with a [`LogError`]; none is skipped.

mod gathered;
mod transaction;

use std::collections::HashMap;
use std::sync::Arc;

use thalweg_graph::Schema;
use thalweg_graph::cause::Cause;
use thalweg_graph::transaction::Body;

use super::DecodeError;
use super::control::{self, Flavour};
use super::frame::{FLAG_IGNORABLE, Header, kind};
use super::gtid_event::{self, Bounds, Xa, Xid};
use super::latest::Latest;
use super::log_error::LogError;
use super::marks::Marks;
use super::packed::Payload;
use super::plan::{Hints, Plan};
use super::position::{GtidState, Position, TransactionId};
use super::rows::{self, RowsKind};
use super::table_map::{self, TableMap};
use super::watch::Watch;
use gathered::Gathered;
pub(crate) use gathered::SPOOL;
pub use gathered::Spooling;

/// Table maps that are kept before the old ones are dropped; a table gets a new number at each change of its layout.
const TABLE_MAPS_MAX: usize = 4096;

/// What the log says, in its order.
#[derive(Debug)]
pub enum Step {
    /// The rows that follow have this layout: the first of their table, or a new one.
    Schema(Arc<Schema>),
    /// A whole transaction with changes of watched tables.
    Transaction {
        /// Its id.
        id: TransactionId,
        /// Commit time in seconds since 1970 on the server's clock.
        seconds: u32,
        /// The effect that wrote it, where a SQL sink did: of several the one at the end of the longest chain.
        cause: Option<Cause>,
        /// Its changes in log order: held, or spooled where they are too many.
        body: Body,
    },
    /// A transaction without any was passed by; the position has moved.
    Passed,
    /// The layout of watched tables may be another now.
    Altered {
        /// Those whose rows hold something else, without row events.
        rewritten: Vec<Rewritten>,
    },
    /// Nothing happened at the server for a heartbeat's time.
    Heartbeat,
}

/// A watched table whose rows hold something else since its layout changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rewritten {
    /// Its name.
    pub table: Arc<str>,
    /// Rows hold values that no row event tells.
    pub values: bool,
    /// Rows are told apart otherwise.
    pub key: bool,
    /// Columns that went; what the receiver has of them is not to come back.
    pub dropped: Vec<String>,
    /// Columns that came, and are NULL everywhere.
    pub added: Vec<String>,
}

/// The transaction that is being read.
#[derive(Debug)]
struct Group {
    id: TransactionId,
    /// When it began to be written, in seconds since 1970.
    seconds: u32,
    bounds: Bounds,
    xa: Xa,
    /// It was delivered before this reader began, and is passed by; read again only for its XA side.
    delivered: bool,
    /// Its rows may be needed later, when it is completed.
    is_xa: bool,
    changes: Gathered,
    cause: Option<Cause>,
    altered: bool,
    rewritten: Vec<Rewritten>,
}

/// A distributed transaction between PREPARE and COMMIT.
#[derive(Debug)]
struct Prepared {
    xid: Xid,
    /// The state before its PREPARE.
    before: GtidState,
    changes: Gathered,
    cause: Option<Cause>,
}

/// A table map that was seen: its bytes, so that the same one is not read again, and what its rows are.
#[derive(Clone, Debug)]
struct KnownMap {
    body: Box<[u8]>,
    rows: Rows,
}

/// What the rows of a table are.
#[derive(Clone, Debug)]
enum Rows {
    /// Nobody's concern.
    Passed,
    /// Changes of a watched table.
    Changes(Arc<Plan>),
    /// Marks of sinks in a watched database.
    Marks(Arc<Marks>),
}

/// Puts transactions together; one for each connection or file.
#[derive(Debug)]
pub struct Assembler {
    watch: Watch,
    hints: Hints,
    position: Position,
    /// What this reader itself has passed.
    read: GtidState,
    /// Where reading began, until the log's own beginning was compared with it, or a transaction came first.
    unchecked_start: Option<GtidState>,
    /// The first thing that the log says to have come before it is the position.
    from_anywhere: bool,
    /// What was delivered before this reader began, if it reads some of that again.
    delivered: Option<GtidState>,
    /// The newest transaction that was read.
    latest: Option<Latest>,
    /// It is still to be compared with what the log has under its number.
    unverified: bool,
    /// The server that writes this log, by its id.
    server: u32,
    group: Option<Group>,
    prepared: Vec<Prepared>,
    maps: HashMap<u64, KnownMap>,
    schemas: HashMap<Arc<str>, Arc<Schema>>,
    /// Who wrote the log; `None` until it has told.
    flavour: Option<Flavour>,
    /// What empties tables is handed out as [`Change::clear`], not refused.
    clears: bool,
    /// Where the rows of very large transactions wait.
    spooling: Spooling,
    /// The name of the file that is being read, once known.
    file: Option<String>,
    /// Where the compressed transaction ends whose events are being read: they have no places of their own.
    payload_end: Option<u32>,
}

impl Assembler {
    /// Starts at `position`; `schemas` are the layouts that the receiver knows already.
    pub fn new(watch: Watch, hints: Hints, position: Position, schemas: &[Arc<Schema>]) -> Assembler {
        let delivered = position.reread.is_some().then(|| position.done.clone());
        Assembler {
            watch,
            hints,
            unchecked_start: Some(position.start().clone()),
            read: position.start().clone(),
            from_anywhere: false,
            delivered,
            position,
            latest: None,
            unverified: false,
            server: 0,
            group: None,
            prepared: Vec::new(),
            maps: HashMap::new(),
            schemas: schemas.iter().map(|s| (s.table.clone(), s.clone())).collect(),
            flavour: None,
            clears: false,
            spooling: Spooling::default(),
            file: None,
            payload_end: None,
        }
    }

    /// Starts at the first event that comes, whatever the log says was before it: that becomes the position.
    pub fn anywhere(watch: Watch, hints: Hints, schemas: &[Arc<Schema>]) -> Assembler {
        Assembler { unchecked_start: None, from_anywhere: true, ..Assembler::new(watch, hints, Position::default(), schemas) }
    }

    /// The events begin before the position, as in a file that is read from its beginning: what was delivered is passed by.
    pub fn from_earlier(mut self) -> Assembler {
        self.delivered = Some(self.position.done.clone());
        self
    }

    /// The events begin one transaction before the position: what the log has there is to be `latest`, else it is refused.
    pub fn behind(self, latest: Latest, before: GtidState) -> Assembler {
        let start = if self.position.reread.is_some() { self.position.start().clone() } else { before };
        Assembler {
            latest: Some(latest),
            unverified: true,
            unchecked_start: Some(start.clone()),
            read: start,
            ..self.from_earlier()
        }
    }

    /// The receiver understands [`thalweg_graph::Change::clear`]: TRUNCATE and DROP do not stop the reading.
    pub fn with_clears(mut self) -> Assembler {
        self.clears = true;
        self
    }

    /// Where the rows of very large transactions wait, and what very large is.
    pub fn with_spooling(mut self, spooling: Spooling) -> Assembler {
        self.spooling = spooling;
        self
    }

    /// The name of the file that the next events stand in. A server tells it by itself, with a ROTATE.
    pub fn set_file(&mut self, name: impl Into<String>) {
        self.file = Some(name.into());
    }

    /// Whether it has not yet learned where it begins, after [`Assembler::anywhere`].
    pub fn is_fresh(&self) -> bool {
        self.from_anywhere
    }

    /// Looks at one event for layouts only: those of the table maps behind the position, also in compressed transactions.
    ///
    /// # Errors
    /// As [`Assembler::event`].
    pub fn layouts(&mut self, header: Header, body: &[u8], steps: &mut Vec<Step>) -> Result<(), LogError> {
        match header.kind {
            kind::FORMAT_DESCRIPTION => self.about_the_log(header, body),
            kind::TRANSACTION_PAYLOAD => {
                let mut payload = Payload::new(body)?;
                while let Some(frame) = payload.next()? {
                    self.layouts(frame.header, frame.body, steps)?;
                }
                Ok(())
            }
            // Without GTIDs every statement is a place behind which the next rows stand.
            kind::QUERY => match &self.group {
                None | Some(Group { id: TransactionId::Place(_), .. }) if self.flavour == Some(Flavour::Mysql) => {
                    self.begin(header, gtid_event::mysql_anonymous())
                }
                _ => Ok(()),
            },
            other if Assembler::tells_layouts(other) => self.event(header, body, steps),
            _ => Ok(()),
        }
    }

    /// Whether [`Assembler::layouts`] wants to see events of this type.
    pub fn tells_layouts(event: u8) -> bool {
        use kind::*;
        let begins = matches!(event, MARIADB_GTID | MYSQL_GTID | MYSQL_ANONYMOUS_GTID | MYSQL_TAGGED_GTID);
        begins || matches!(event, TABLE_MAP | FORMAT_DESCRIPTION | TRANSACTION_PAYLOAD | QUERY)
    }

    /// Everything up to here was handed out.
    pub fn position(&self) -> &Position {
        &self.position
    }

    /// Where the log is to begin.
    pub fn start(&self) -> &GtidState {
        &self.read
    }

    /// The newest transaction that was read, where one is known.
    pub fn latest(&self) -> Option<&Latest> {
        self.latest.as_ref()
    }

    /// Whether the log is known to be the one that was read, as far as that can be known.
    pub fn is_verified(&self) -> bool {
        !self.unverified
    }

    /// Whether the last event has left no transaction half-read.
    pub fn is_between(&self) -> bool {
        self.group.is_none()
    }

    /// New hints and layouts, read after [`Step::Altered`].
    pub fn learn(&mut self, hints: Hints, schemas: &[Arc<Schema>]) {
        self.hints = hints;
        self.maps.clear();
        self.schemas.extend(schemas.iter().map(|s| (s.table.clone(), s.clone())));
    }

    /// Reads one event and adds what it completes to `steps`.
    ///
    /// # Errors
    /// The log cannot be followed further; the position stays where the last whole transaction left it.
    pub fn event(&mut self, header: Header, body: &[u8], steps: &mut Vec<Step>) -> Result<(), LogError> {
        match header.kind {
            kind::TABLE_MAP => self.table_map(body, steps),
            kind::XID => self.end(header, steps),
            kind::QUERY | kind::QUERY_COMPRESSED => self.query(header, body, steps),
            kind::MARIADB_GTID => self.begin(header, gtid_event::mariadb(header.server_id, body)?),
            kind::MYSQL_GTID => self.begin(header, gtid_event::mysql(body)?),
            kind::MYSQL_ANONYMOUS_GTID => self.begin(header, gtid_event::mysql_anonymous()),
            kind::MYSQL_TAGGED_GTID => self.begin(header, gtid_event::mysql_tagged(body)?),
            kind::XA_PREPARE => self.prepare(header, body, steps),
            kind::TRANSACTION_PAYLOAD => self.payload(header, body, steps),
            kind::HEARTBEAT | kind::HEARTBEAT_V2 => {
                // At the end of the log: what was looked for has not come. MySQL sends them also while it passes by what was read.
                self.unverified &= self.flavour == Some(Flavour::Mysql);
                steps.push(Step::Heartbeat);
                Ok(())
            }
            other => match RowsKind::of(other) {
                Some(rows) => self.rows(other, rows, body),
                None => self.about_the_log(header, body),
            },
        }
    }

    /// Events that belong to no transaction.
    fn about_the_log(&mut self, header: Header, body: &[u8]) -> Result<(), LogError> {
        match header.kind {
            kind::MARIADB_GTID_LIST if !header.is_artificial() => {
                self.log_begins(gtid_event::mariadb_list(body)?.into_iter().collect())
            }
            kind::MYSQL_PREVIOUS_GTIDS => self.log_begins(gtid_event::mysql_previous(body)?.into()),
            kind::FORMAT_DESCRIPTION => {
                self.flavour = Some(Flavour::of_version(&control::format_description(body)?));
                self.server = header.server_id;
                self.maps.clear(); // A new file: no row event refers to the maps of the one before,
                self.group = None; // and what the one before left half-written will not go on.
                Ok(())
            }
            kind::ROTATE => {
                self.file = Some(control::rotate(header, body)?);
                Ok(())
            }
            kind::INCIDENT => Err(LogError::Incident { position: self.position.to_string() }),
            kind::START_ENCRYPTION => {
                Err(DecodeError::unsupported("an encrypted log", "set encrypt_binlog=OFF on the server").into())
            }
            kind::BEGIN_LOAD_QUERY | kind::EXECUTE_LOAD_QUERY => Err(self.statement("LOAD DATA INFILE")),
            kind::STOP | kind::INTVAR | kind::RAND | kind::USER_VAR | kind::MARIADB_GTID_LIST => Ok(()),
            kind::ANNOTATE_ROWS | kind::BINLOG_CHECKPOINT | kind::IGNORABLE | kind::ROWS_QUERY => Ok(()),
            kind::TRANSACTION_CONTEXT | kind::VIEW_CHANGE => Ok(()),
            _ if header.flags & FLAG_IGNORABLE != 0 => Ok(()),
            other => {
                let cure = "this server is newer than what is known here";
                Err(DecodeError::unsupported(format!("event type {other}"), cure).into())
            }
        }
    }

    /// The first file that is read must not begin after the place where reading goes on.
    fn log_begins(&mut self, first: GtidState) -> Result<(), LogError> {
        if std::mem::take(&mut self.from_anywhere) {
            self.position.done = self.position.done.clone().union(&first);
            self.read = self.position.done.clone();
        }
        match self.unchecked_start.take() {
            // A place says nothing of what has GTIDs and stands before it.
            Some(position) if position.place().is_none() && !position.covers(&first) => {
                Err(LogError::Gap { position: Box::new(position), first: Box::new(first) })
            }
            _ => Ok(()),
        }
    }

    /// The events of a compressed transaction.
    fn payload(&mut self, header: Header, body: &[u8], steps: &mut Vec<Step>) -> Result<(), LogError> {
        if self.payload_end.is_some() {
            return Err(DecodeError::malformed("a compressed transaction inside another").into());
        }
        self.payload_end = Some(header.end);
        let result = self.unpacked(body, steps);
        self.payload_end = None;
        result
    }

    fn unpacked(&mut self, body: &[u8], steps: &mut Vec<Step>) -> Result<(), LogError> {
        let mut payload = Payload::new(body)?;
        while let Some(frame) = payload.next()? {
            self.event(frame.header, frame.body, steps)?;
        }
        Ok(())
    }

    fn table_map(&mut self, body: &[u8], steps: &mut Vec<Step>) -> Result<(), LogError> {
        if self.is_passing() {
            return Ok(());
        }
        let (id, database, table) = table_map::name(body)?;
        let rows = match self.maps.get(&id) {
            Some(known) if *known.body == *body => known.rows.clone(),
            _ => {
                let rows = match self.watch.matches(database, table) {
                    true => Rows::Changes(self.plan(body)?),
                    false if self.watch.marks(database, table) => self.marks(body),
                    false => Rows::Passed,
                };
                self.maps.insert(id, KnownMap { body: body.into(), rows: rows.clone() });
                rows
            }
        };
        match rows {
            Rows::Changes(plan) if !self.group.as_ref().is_some_and(|group| group.delivered) => {
                self.announce(&plan.schema, steps);
            }
            _ => {}
        }
        Ok(())
    }

    /// Whether rows are of no concern, whatever they are: they were delivered, and no later commit needs them.
    fn is_passing(&self) -> bool {
        self.group.as_ref().is_some_and(|group| group.delivered && !group.is_xa)
    }

    /// A plan whose schema is the known one where that is equal, so that rows share it.
    fn plan(&mut self, body: &[u8]) -> Result<Arc<Plan>, LogError> {
        let flavour = self.flavour.unwrap_or_default();
        let mut plan = Plan::new(&TableMap::parse(body, flavour)?, &self.hints, flavour)?;
        if let Some(known) = self.schemas.get(&plan.schema.table).filter(|known| **known == plan.schema) {
            plan.schema = known.clone();
        }
        Ok(Arc::new(plan))
    }

    /// A table of that name with other columns is somebody else's, and says nothing.
    fn marks(&self, body: &[u8]) -> Rows {
        Marks::of(body, self.flavour.unwrap_or_default()).map_or(Rows::Passed, |marks| Rows::Marks(Arc::new(marks)))
    }

    /// Tells a layout that the receiver does not know.
    fn announce(&mut self, schema: &Arc<Schema>, steps: &mut Vec<Step>) {
        if self.schemas.get(&schema.table).is_none_or(|known| known != schema) {
            self.schemas.insert(schema.table.clone(), schema.clone());
            steps.push(Step::Schema(schema.clone()));
        }
    }

    fn rows(&mut self, event: u8, kind: RowsKind, body: &[u8]) -> Result<(), LogError> {
        const DUMMY: u64 = 0xff_ffff; // Ends a statement that changed nothing.
        if self.is_passing() {
            return Ok(());
        }
        let id = rows::table_id(body)?;
        let Some(known) = self.maps.get(&id) else {
            return if id == DUMMY {
                Ok(())
            } else {
                Err(DecodeError::malformed(format!("rows of table {id} without its map")).into())
            };
        };
        let group = match (&known.rows, &mut self.group) {
            (Rows::Passed, _) => return Ok(()),
            (_, None) => return Err(DecodeError::malformed("rows outside a transaction").into()),
            (_, Some(group)) => group,
        };
        match &known.rows {
            Rows::Passed => {}
            Rows::Changes(plan) => group.changes.rows(event, body, plan, &self.spooling)?,
            Rows::Marks(marks) => group.add_cause(marks.cause(kind, body)?),
        }
        Ok(())
    }
}
