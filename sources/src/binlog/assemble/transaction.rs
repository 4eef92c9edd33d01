//! One transaction from its begin to its end: what statements mean for it, and XA.

use std::sync::Arc;

use thalweg_graph::Schema;
use thalweg_graph::cause::Cause;

use super::super::DecodeError;
use super::super::control::{self, Flavour};
use super::super::frame::{Header, kind};
use super::super::gtid_event::{self, Bounds, GtidEvent, Xa, Xid};
use super::super::latest::Latest;
use super::super::log_error::LogError;
use super::super::position::{Place, TransactionId};
use super::super::statement::{self, Name, Rewrite, Statement};
use super::gathered::Gathered;
use super::{Assembler, Group, Prepared, Rewritten, Step, TABLE_MAPS_MAX};

impl Assembler {
    pub(super) fn begin(&mut self, header: Header, event: GtidEvent) -> Result<(), LogError> {
        // Where a server finds the place by an index (MariaDB from 11.4 on), it sends no list of what came before it, and the next list is
        // that of a later file.
        self.unchecked_start = None;
        if self.maps.len() > TABLE_MAPS_MAX {
            self.maps.clear();
        }
        let id = match event.id {
            Some(id) => id,
            None => TransactionId::Place(self.place(header.end.saturating_sub(header.size))?),
        };
        let delivered = self.delivered.as_ref().is_some_and(|d| d.has_passed(&id));
        self.verify(header, &id, delivered)?;
        let is_xa = event.xa != Xa::None;
        let GtidEvent { bounds, xa, .. } = event;
        let (changes, cause, altered, rewritten) = (Gathered::default(), None, false, Vec::new());
        self.group =
            Some(Group { id, seconds: header.timestamp, bounds, xa, delivered, is_xa, changes, cause, altered, rewritten });
        Ok(())
    }

    /// Compares what the log has under the number of the newest transaction that was read. Should that not come, nothing can be said.
    fn verify(&mut self, header: Header, id: &TransactionId, delivered: bool) -> Result<(), LogError> {
        match &self.latest {
            Some(latest) if self.unverified && latest.id == *id => latest.verify(header, self.server)?,
            _ if delivered => return Ok(()),
            _ => {}
        }
        self.unverified = false;
        Ok(())
    }

    /// A place in the file that is being read.
    fn place(&self, offset: u32) -> Result<Place, DecodeError> {
        let file =
            self.file.clone().ok_or_else(|| DecodeError::malformed("a transaction without GTID in a file without name"))?;
        Ok(Place { file, offset: u64::from(offset) })
    }

    pub(super) fn query(&mut self, header: Header, body: &[u8], steps: &mut Vec<Step>) -> Result<(), LogError> {
        if self.group.is_none() {
            // MariaDB's own remarks between transactions. In a log of MySQL from before there were GTID events, a transaction.
            match self.flavour {
                Some(Flavour::Mysql) => self.begin(header, gtid_event::mysql_anonymous())?,
                _ => return Ok(()),
            }
        }
        let Some(group) = &mut self.group else { return Ok(()) };
        let query = control::query(body, header.kind == kind::QUERY_COMPRESSED)?;
        let statement = statement::classify(&query.sql, &query.database);
        if group.bounds == Bounds::ByFirstStatement {
            let is_marked = matches!(statement, Statement::Begin | Statement::XaStart);
            group.bounds = if is_marked { Bounds::Marked } else { Bounds::OneStatement };
        }
        let is_alone = group.bounds == Bounds::OneStatement;
        group.is_xa |= statement == Statement::XaStart;
        match statement {
            Statement::Commit => return self.end(header, steps),
            // What was delivered has been judged then.
            Statement::Dml
            | Statement::Emptied(_)
            | Statement::Replaced(_)
            | Statement::DroppedDatabase(_)
            | Statement::Altered(_)
            | Statement::Rewritten(..)
                if group.delivered => {}
            Statement::Rollback | Statement::RollbackToSavepoint if let Some(table) = group.changes.table() => {
                return Err(LogError::PartlyRolledBack { gtid: group.id.clone(), table: table.to_string() });
            }
            Statement::Rollback => return self.end(header, steps),
            Statement::XaCommit(xid) => return self.complete(header, xid, steps),
            Statement::XaRollback(xid) => self.forget_prepared(xid),
            Statement::Dml => return Err(self.statement(&query.sql)),
            Statement::Emptied(names) if self.clears => self.clear(&names)?,
            Statement::DroppedDatabase(database) if self.clears => self.clear_database(&database)?,
            Statement::Emptied(names) | Statement::Replaced(names) => self.refuse_replaced(&names, &query.sql)?,
            Statement::DroppedDatabase(database) if self.watch.reaches(&database) => {
                return Err(self.replaced(&database, &query.sql));
            }
            Statement::Altered(names) => group.altered |= names.iter().any(|n| self.watch.matches(&n.database, &n.table)),
            Statement::Rewritten(name, rewrite) => self.rewrite(&name, rewrite),
            Statement::DroppedDatabase(_) | Statement::RollbackToSavepoint | Statement::Other => {}
            Statement::Begin | Statement::XaStart => {}
        }
        if is_alone { self.end(header, steps) } else { Ok(()) }
    }

    /// The layout of a table is another, and what its rows hold may be.
    fn rewrite(&mut self, name: &Name, rewrite: Rewrite) {
        let Some(group) = self.group.as_mut().filter(|_| self.watch.matches(&name.database, &name.table)) else { return };
        group.altered = true;
        let table: Arc<str> = format!("{}.{}", name.database, name.table).into();
        let Rewrite { mut values, mut key, changed, dropped, added } = rewrite;
        if let Some(schema) = self.schemas.get(&table) {
            let is = |at: usize, column: &String| schema.columns[at].name.eq_ignore_ascii_case(column);
            key |= schema.key.iter().any(|at| changed.iter().chain(&dropped).any(|column| is(*at as usize, column)));
            // One that comes and is known already: it has gone before, unseen, and what the receiver has is from then.
            values |= (0..schema.columns.len()).any(|at| added.iter().any(|column| is(at, column)));
        }
        group.rewritten.push(Rewritten { table, values, key, dropped, added });
    }

    /// Every row of these tables goes. Their layout may be another one behind it, or they may be gone.
    fn clear(&mut self, names: &[Name]) -> Result<(), LogError> {
        let watched = names.iter().filter(|n| self.watch.matches(&n.database, &n.table));
        let tables: Vec<String> = watched.map(|n| format!("{}.{}", n.database, n.table)).collect();
        tables.iter().try_for_each(|table| self.clear_table(table))
    }

    /// Every table of a database; which those were, the receiver knows best.
    fn clear_database(&mut self, database: &str) -> Result<(), LogError> {
        if self.watch.reaches(database) { self.clear_table(&format!("{database}.*")) } else { Ok(()) }
    }

    fn clear_table(&mut self, table: &str) -> Result<(), LogError> {
        let unknown = || Arc::new(Schema { table: table.into(), columns: Vec::new(), key: Vec::new() });
        let schema = self.schemas.get(table).cloned().unwrap_or_else(unknown);
        let Some(group) = &mut self.group else { return Ok(()) };
        group.altered = true;
        group.changes.clear(schema, &group.id)
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

    pub(super) fn statement(&self, sql: &str) -> LogError {
        LogError::Statement { gtid: self.gtid(), sql: shortened(sql) }
    }

    /// The transaction being read; only for messages.
    fn gtid(&self) -> TransactionId {
        let none = || TransactionId::Place(Place { file: self.file.clone().unwrap_or_default(), offset: 0 });
        self.group.as_ref().map_or_else(none, |g| g.id.clone())
    }

    /// The transaction is whole: hands out its changes and moves the position.
    pub(super) fn end(&mut self, header: Header, steps: &mut Vec<Step>) -> Result<(), LogError> {
        let Some(group) = self.group.take() else { return Ok(()) };
        let end = match group.id {
            TransactionId::Place(_) => Some(self.place(self.payload_end.unwrap_or(header.end))?),
            _ => None,
        };
        // Before the position moves: what cannot be written must be read again.
        let body = if group.delivered { None } else { group.changes.finish(&group.id, &self.spooling)? };
        self.read.pass(&group.id, end.as_ref());
        self.position.reread = self.prepared.first().map(|p| p.before.clone());
        if group.delivered {
            return Ok(());
        }
        self.position.done.pass(&group.id, end.as_ref());
        if end.is_none() {
            self.latest = Some(Latest { id: group.id.clone(), seconds: group.seconds, server: self.server });
        }
        if group.altered {
            steps.push(Step::Altered { rewritten: group.rewritten });
        }
        steps.push(match body {
            None => Step::Passed,
            Some(body) => Step::Transaction { id: group.id, seconds: header.timestamp, cause: group.cause, body },
        });
        Ok(())
    }

    /// PREPARE of a distributed transaction: its changes wait for the COMMIT.
    pub(super) fn prepare(&mut self, header: Header, body: &[u8], steps: &mut Vec<Step>) -> Result<(), LogError> {
        let (one_phase, named) = control::xa_prepare(body)?;
        if let Some(Group { id, xa, changes, cause, .. }) = &mut self.group
            && !one_phase
        {
            let xid = match (std::mem::replace(xa, Xa::None), id) {
                (Xa::Prepared(xid), _) => Some(xid),
                (_, TransactionId::Mariadb(_)) => None,
                _ => Some(named),
            };
            if let Some(xid) = xid {
                let (changes, cause) = (std::mem::take(changes), cause.take());
                self.prepared.push(Prepared { xid, before: self.read.clone(), changes, cause });
            }
        }
        self.end(header, steps)
    }

    /// COMMIT of a distributed transaction: the changes of its PREPARE happen now. MariaDB's GTID event names it, MySQL's statement.
    fn complete(&mut self, header: Header, named: Option<Xid>, steps: &mut Vec<Step>) -> Result<(), LogError> {
        let Some(group) = &mut self.group else { return Ok(()) };
        let xid = group.completes().or(named.as_ref());
        match self.prepared.iter().position(|p| Some(&p.xid) == xid) {
            Some(at) => Prepared { changes: group.changes, cause: group.cause, .. } = self.prepared.remove(at),
            None if group.delivered => {}
            None => return Err(LogError::UnknownXa { gtid: group.id.clone() }),
        }
        // Rows that were read again for their commit may have a layout that was not told.
        let schemas = if group.delivered { Vec::new() } else { group.changes.schemas() };
        schemas.iter().for_each(|schema| self.announce(schema, steps));
        self.end(header, steps)
    }

    /// ROLLBACK of a distributed transaction.
    fn forget_prepared(&mut self, named: Option<Xid>) {
        let xid = self.group.as_ref().and_then(Group::completes).or(named.as_ref());
        self.prepared.retain(|p| Some(&p.xid) != xid);
    }
}

impl Group {
    /// One more mark of a sink.
    pub(super) fn add_cause(&mut self, cause: Option<Cause>) {
        let depth = |cause: &Option<Cause>| cause.as_ref().map_or(0, |cause| cause.depth);
        if depth(&cause) > depth(&self.cause) {
            self.cause = cause;
        }
    }

    /// The distributed transaction that it commits or rolls back, where its GTID event tells.
    fn completes(&self) -> Option<&Xid> {
        match &self.xa {
            Xa::Completed(xid) => Some(xid),
            Xa::None | Xa::Prepared(_) => None,
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
