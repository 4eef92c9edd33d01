//! From events to whole transactions of the watched tables.
//!
//! A transaction begins with its GTID event and ends with XID, XA PREPARE, `COMMIT` or, standing alone, with its one statement. Only
//! then are its changes handed out and the position moves; what a broken connection leaves half-read is dropped and read again.
//!
//! The changes of a distributed transaction are kept from its PREPARE to its COMMIT, and are handed out under the commit's GTID, in its
//! place. As long as one is prepared, [`Position::reread`] stays before it, so that a restart finds its rows again.
//!
//! Invariants:
//! - SRC-A: the position covers exactly the transactions that were handed out or passed by.
//! - SRC-B: a change of a watched table is handed out or the log is refused with a [`LogError`]; none is skipped.

use std::collections::HashMap;
use std::sync::Arc;

use thalweg_graph::{Change, Schema};

use super::DecodeError;
use super::control::{self, GtidEvent, Xa, Xid};
use super::frame::{FLAG_IGNORABLE, Header, kind};
use super::gtid::{Gtid, GtidState, Position};
use super::plan::{Hints, Plan};
use super::rows::{self, RowsKind};
use super::statement::{self, Name, Statement};
use super::table_map::{self, TableMap};
use super::watch::Watch;

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
        gtid: Gtid,
        /// Commit time in seconds since 1970 on the server's clock.
        seconds: u32,
        /// Its changes in log order.
        changes: Vec<Change>,
    },
    /// A transaction without any was passed by; the position has moved.
    Passed,
    /// The layout of watched tables may be another now.
    Altered,
    /// Nothing happened at the server for a heartbeat's time.
    Heartbeat,
}

/// Why a log cannot be followed further. The position stays before the transaction that is meant.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LogError {
    /// An event cannot be read.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// The log has a statement where it should have rows.
    #[error("transaction {gtid} is logged as a statement, not as rows: {sql}")]
    Statement {
        /// The transaction.
        gtid: Gtid,
        /// The beginning of the statement.
        sql: String,
    },
    /// Rows of a watched table went or came without row events.
    #[error("transaction {gtid} changes rows of {table} without telling which: {sql}")]
    Replaced {
        /// The transaction.
        gtid: Gtid,
        /// The table, or the database.
        table: String,
        /// The beginning of the statement.
        sql: String,
    },
    /// The server says that something is missing in its log.
    #[error("the server reports an incident after {position}: events are missing in its log")]
    Incident {
        /// The position before it.
        position: String,
    },
    /// The log begins after the position.
    #[error("the log begins after {first}, and {position} was the last that was read")]
    Gap {
        /// Where reading should go on.
        position: GtidState,
        /// What the log's first file says was before it.
        first: GtidState,
    },
    /// The rows of a distributed transaction were logged before the position.
    #[error("transaction {gtid} commits a prepared transaction whose rows were logged before this reader began")]
    UnknownXa {
        /// The commit.
        gtid: Gtid,
    },
    /// Part of a transaction over several engines was taken back.
    #[error("transaction {gtid} was rolled back in part, and the log does not tell which rows of {table} hold")]
    PartlyRolledBack {
        /// The transaction.
        gtid: Gtid,
        /// A watched table that it changed.
        table: String,
    },
}

/// The transaction that is being read.
#[derive(Debug)]
struct Group {
    event: GtidEvent,
    /// It was delivered before this reader began, and is read again only for its XA side.
    delivered: bool,
    changes: Vec<Change>,
    altered: bool,
}

/// A distributed transaction between PREPARE and COMMIT.
#[derive(Debug)]
struct Prepared {
    xid: Xid,
    /// The state before its PREPARE.
    before: GtidState,
    changes: Vec<Change>,
}

/// A table map that was seen: its bytes, so that the same one is not read again, and the plan if the table is watched.
#[derive(Debug)]
struct KnownMap {
    body: Box<[u8]>,
    plan: Option<Arc<Plan>>,
}

/// Puts transactions together; one for each connection or file.
#[derive(Debug)]
pub struct Assembler {
    watch: Watch,
    hints: Hints,
    position: Position,
    /// What this reader itself has passed.
    read: GtidState,
    /// Where reading began, until the log's own beginning was compared with it.
    unchecked_start: Option<GtidState>,
    /// What was delivered before this reader began, if it reads some of that again.
    delivered: Option<GtidState>,
    group: Option<Group>,
    prepared: Vec<Prepared>,
    maps: HashMap<u64, KnownMap>,
    schemas: HashMap<Arc<str>, Arc<Schema>>,
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
            delivered,
            position,
            group: None,
            prepared: Vec::new(),
            maps: HashMap::new(),
            schemas: schemas.iter().map(|s| (s.table.clone(), s.clone())).collect(),
        }
    }

    /// Everything up to here was handed out.
    pub fn position(&self) -> &Position {
        &self.position
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
            kind::MARIADB_GTID => {
                self.begin(control::gtid(header.server_id, body)?);
                Ok(())
            }
            kind::XID => self.end(header, steps),
            kind::QUERY | kind::QUERY_COMPRESSED => self.query(header, body, steps),
            kind::XA_PREPARE => self.prepare(header, body, steps),
            kind::HEARTBEAT => {
                steps.push(Step::Heartbeat);
                Ok(())
            }
            kind::MARIADB_GTID_LIST if !header.is_artificial() => self.log_begins(control::gtid_list(body)?),
            kind::FORMAT_DESCRIPTION => {
                control::format_description(body)?;
                self.maps.clear(); // A new file: no row event refers to the maps of the one before.
                Ok(())
            }
            kind::INCIDENT => Err(LogError::Incident { position: self.position.to_string() }),
            kind::START_ENCRYPTION => {
                Err(DecodeError::unsupported("an encrypted log", "set encrypt_binlog=OFF on the server").into())
            }
            kind::BEGIN_LOAD_QUERY | kind::EXECUTE_LOAD_QUERY => Err(self.statement("LOAD DATA INFILE")),
            kind::ROTATE | kind::STOP | kind::INTVAR | kind::RAND | kind::USER_VAR => Ok(()),
            kind::ANNOTATE_ROWS | kind::BINLOG_CHECKPOINT | kind::MARIADB_GTID_LIST => Ok(()),
            other => match RowsKind::of(other) {
                Some(rows) => self.rows(rows, body),
                None if header.flags & FLAG_IGNORABLE != 0 => Ok(()),
                None => {
                    Err(DecodeError::unsupported(format!("event type {other}"), "this server is newer than what is known here")
                        .into())
                }
            },
        }
    }

    /// The first file that the server sends must not begin after the place where reading goes on.
    fn log_begins(&mut self, list: Vec<Gtid>) -> Result<(), LogError> {
        let first: GtidState = list.into_iter().collect();
        match self.unchecked_start.take() {
            Some(position) if !position.covers(&first) => Err(LogError::Gap { position, first }),
            _ => Ok(()),
        }
    }

    fn begin(&mut self, event: GtidEvent) {
        if self.maps.len() > TABLE_MAPS_MAX {
            self.maps.clear();
        }
        let delivered = self.delivered.as_ref().is_some_and(|d| d.contains(event.gtid));
        self.group = Some(Group { event, delivered, changes: Vec::new(), altered: false });
    }

    fn table_map(&mut self, body: &[u8], steps: &mut Vec<Step>) -> Result<(), LogError> {
        let (id, database, table) = table_map::name(body)?;
        if self.maps.get(&id).is_some_and(|known| *known.body == *body) {
            return Ok(());
        }
        let plan = match self.watch.matches(database, table) {
            true => Some(self.plan(body, steps)?),
            false => None,
        };
        self.maps.insert(id, KnownMap { body: body.into(), plan });
        Ok(())
    }

    /// A plan whose schema is the known one where that is equal, so that rows share it.
    fn plan(&mut self, body: &[u8], steps: &mut Vec<Step>) -> Result<Arc<Plan>, LogError> {
        let mut plan = Plan::new(&TableMap::parse(body)?, &self.hints)?;
        match self.schemas.get(&plan.schema.table) {
            Some(known) if *known == plan.schema => plan.schema = known.clone(),
            _ => {
                self.schemas.insert(plan.schema.table.clone(), plan.schema.clone());
                steps.push(Step::Schema(plan.schema.clone()));
            }
        }
        Ok(Arc::new(plan))
    }

    fn rows(&mut self, kind: RowsKind, body: &[u8]) -> Result<(), LogError> {
        const DUMMY: u64 = 0xff_ffff; // Ends a statement that changed nothing.
        let id = rows::table_id(body)?;
        let Some(known) = self.maps.get(&id) else {
            return if id == DUMMY {
                Ok(())
            } else {
                Err(DecodeError::malformed(format!("rows of table {id} without its map")).into())
            };
        };
        let Some(plan) = &known.plan else { return Ok(()) };
        let group = self.group.as_mut().ok_or_else(|| DecodeError::malformed("rows outside a transaction"))?;
        Ok(rows::decode(kind, body, plan, &mut group.changes)?)
    }

    fn query(&mut self, header: Header, body: &[u8], steps: &mut Vec<Step>) -> Result<(), LogError> {
        let Some(group) = &mut self.group else { return Ok(()) }; // The server's own remarks between transactions.
        let query = control::query(body, header.kind == kind::QUERY_COMPRESSED)?;
        let standalone = group.event.standalone;
        match statement::classify(&query.sql, &query.database) {
            Statement::Commit => return self.end(header, steps),
            Statement::Rollback | Statement::RollbackToSavepoint if !group.changes.is_empty() => {
                return Err(LogError::PartlyRolledBack {
                    gtid: group.event.gtid,
                    table: group.changes[0].schema.table.to_string(),
                });
            }
            Statement::Rollback => return self.end(header, steps),
            Statement::XaCommit => return self.complete(header, steps),
            Statement::XaRollback => self.forget_prepared(),
            Statement::Dml => return Err(self.statement(&query.sql)),
            Statement::Replaced(names) => self.refuse_replaced(&names, &query.sql)?,
            Statement::DroppedDatabase(database) if self.watch.reaches(&database) => {
                return Err(self.replaced(&database, &query.sql));
            }
            Statement::Altered(names) => group.altered |= names.iter().any(|n| self.watch.matches(&n.database, &n.table)),
            Statement::DroppedDatabase(_) | Statement::RollbackToSavepoint | Statement::Other => {}
        }
        if standalone { self.end(header, steps) } else { Ok(()) }
    }

    fn refuse_replaced(&self, names: &[Name], sql: &str) -> Result<(), LogError> {
        match names.iter().find(|n| self.watch.matches(&n.database, &n.table)) {
            Some(name) => Err(self.replaced(&format!("{}.{}", name.database, name.table), sql)),
            None => Ok(()),
        }
    }

    fn replaced(&self, table: &str, sql: &str) -> LogError {
        LogError::Replaced { gtid: self.gtid(), table: table.to_string(), sql: shortened(sql) }
    }

    fn statement(&self, sql: &str) -> LogError {
        LogError::Statement { gtid: self.gtid(), sql: shortened(sql) }
    }

    /// The transaction being read; only for messages.
    fn gtid(&self) -> Gtid {
        self.group.as_ref().map_or(Gtid { domain: 0, server: 0, sequence: 0 }, |g| g.event.gtid)
    }

    /// The transaction is whole: hands out its changes and moves the position.
    fn end(&mut self, header: Header, steps: &mut Vec<Step>) -> Result<(), LogError> {
        let Some(group) = self.group.take() else { return Ok(()) };
        let gtid = group.event.gtid;
        self.read.advance(gtid);
        self.position.reread = self.prepared.first().map(|p| p.before.clone());
        if group.delivered {
            return Ok(());
        }
        self.position.done.advance(gtid);
        if group.altered {
            steps.push(Step::Altered);
        }
        steps.push(match group.changes.is_empty() {
            true => Step::Passed,
            false => Step::Transaction { gtid, seconds: header.timestamp, changes: group.changes },
        });
        Ok(())
    }

    /// PREPARE of a distributed transaction: its changes wait for the COMMIT.
    fn prepare(&mut self, header: Header, body: &[u8], steps: &mut Vec<Step>) -> Result<(), LogError> {
        let one_phase = control::xa_prepare_is_one_phase(body)?;
        if let Some(Group { event: GtidEvent { xa: Xa::Prepared(xid), .. }, changes, .. }) = &mut self.group
            && !one_phase
        {
            let (xid, changes) = (xid.clone(), std::mem::take(changes));
            self.prepared.push(Prepared { xid, before: self.read.clone(), changes });
        }
        self.end(header, steps)
    }

    /// COMMIT of a distributed transaction: the changes of its PREPARE happen now.
    fn complete(&mut self, header: Header, steps: &mut Vec<Step>) -> Result<(), LogError> {
        let Some(group) = &mut self.group else { return Ok(()) };
        let prepared = match &group.event.xa {
            Xa::Completed(xid) => self.prepared.iter().position(|p| p.xid == *xid),
            _ => None,
        };
        match prepared {
            Some(at) => group.changes = self.prepared.remove(at).changes,
            None if group.delivered => {}
            None => return Err(LogError::UnknownXa { gtid: group.event.gtid }),
        }
        self.end(header, steps)
    }

    /// ROLLBACK of a distributed transaction.
    fn forget_prepared(&mut self) {
        if let Some(Group { event: GtidEvent { xa: Xa::Completed(xid), .. }, .. }) = &self.group {
            self.prepared.retain(|p| p.xid != *xid);
        }
    }
}

/// The beginning of a statement for a message; values in it may be secrets, so it is short.
fn shortened(sql: &str) -> String {
    const CHARS_MAX: usize = 60;
    match sql.char_indices().nth(CHARS_MAX) {
        Some((at, _)) => format!("{}…", &sql[..at]),
        None => sql.to_string(),
    }
}
