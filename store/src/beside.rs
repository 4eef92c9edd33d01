//! [`OutboxReader`]: looks at a data directory's deliveries, also while a process uses it. It writes nothing and takes no lock: SQLite's
//! write-ahead log gives each question one view, that of a commit.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};
use thalweg_graph::ports::{Listed, OutboxCounts, OutboxFilter, Paused, Shown, StoreError, Timer};
use thalweg_graph::{Epoch, Schema, Transaction};

use crate::error::{CUT, MISSING, fatal, from_sqlite};
use crate::schemas::Schemas;
use crate::sqlite::log::{self, Span};
use crate::sqlite::{acts, look, open, tables};

/// A reader of deliveries.
pub struct OutboxReader {
    conn: Connection,
    path: PathBuf,
    secret: String,
    instance: String,
}

impl OutboxReader {
    /// Opens the store in `dir` for reading.
    ///
    /// # Errors
    /// There is none, it is of another format, or it is damaged.
    pub fn open(dir: &Path) -> Result<OutboxReader, StoreError> {
        let path = dir.join("thalweg.db");
        if !path.exists() {
            let cure = "name the directory that `thalweg run` uses with --data";
            return Err(fatal(MISSING, format!("there is no store in {}; {cure}", dir.display())));
        }
        let failed = |e: rusqlite::Error| from_sqlite("open", &path, &e);
        open::check_header(&path)?;
        // The right to write is for the file that readers and writers share (-shm); the connection itself may only ask.
        let conn = Connection::open_with_flags(&path, OpenFlags::SQLITE_OPEN_READ_WRITE).map_err(failed)?;
        conn.busy_timeout(Duration::from_secs(5)).map_err(failed)?;
        conn.pragma_update(None, "query_only", 1).map_err(failed)?;
        let meta = open::read_current(&conn, &path)?;
        Ok(OutboxReader { conn, path, secret: meta.secret, instance: meta.instance })
    }

    /// The secret of the instance, with which tokens of acknowledgement are made.
    pub fn instance_secret(&self) -> &str {
        &self.secret
    }

    pub(crate) fn conn(&self) -> &Connection {
        &self.conn
    }

    /// The database.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn instance(&self) -> &str {
        &self.instance
    }

    /// Deliveries that meet the filter, oldest first.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn deliveries(&self, filter: &OutboxFilter) -> Result<Vec<Listed>, StoreError> {
        look::list(&self.conn, &self.path, filter)
    }

    /// One delivery, whole.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn delivery(&self, id: &str) -> Result<Option<Shown>, StoreError> {
        look::show(&self.conn, &self.path, id)
    }

    /// The counts: `fired = acked + dead + cancelled + pending`.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn counts(&self) -> Result<OutboxCounts, StoreError> {
        Ok(open::read_state(&self.conn, &self.path)?.counts)
    }

    /// Timers that wait, soonest first.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn timers(&self) -> Result<Vec<Timer>, StoreError> {
        let failed = |e: rusqlite::Error| from_sqlite("read", &self.path, &e);
        let _one_view = self.conn.unchecked_transaction().map_err(failed)?;
        let state = open::read_state(&self.conn, &self.path)?;
        tables::read_timers(&self.conn, &self.path, &state)
    }

    /// Every transaction that the log holds, in order, each whole. No view is held while `each` works or waits, so the write-ahead log of
    /// the process that writes stays short, however slowly it is read.
    ///
    /// # Errors
    /// The store cannot be read, is damaged, or the process that writes has removed what was not read yet.
    pub fn log(&self, each: &mut dyn FnMut(Epoch, Transaction)) -> Result<(), StoreError> {
        let (span, schemas) = self.span()?;
        let (mut begun, mut next): (Option<Transaction>, Epoch) = (None, span.after + 1);
        let read = log::read(&self.conn, &self.path, span, &schemas, &mut |piece| {
            let whole = match begun.take() {
                None => piece.transaction,
                Some(mut whole) => {
                    whole.body.append(piece.transaction.body);
                    whole
                }
            };
            if piece.more {
                begun = Some(whole);
            } else {
                next = piece.epoch + 1;
                each(piece.epoch, whole);
            }
            Ok(())
        });
        let start = open::read_state(&self.conn, &self.path)?.log_start;
        read.map_err(|error| if start > next { self.cut(next, start) } else { error })
    }

    /// The part of the log that there is, and what its rows look like.
    fn span(&self) -> Result<(Span, Schemas), StoreError> {
        let view = self.conn.unchecked_transaction().map_err(|e| from_sqlite("read", &self.path, &e))?;
        let state = open::read_state(&view, &self.path)?;
        let schemas = tables::read_schemas(&view, &self.path, Some((state.schemas, state.tables)))?;
        Ok((Span { after: state.log_start.saturating_sub(1), through: state.epoch }, schemas))
    }

    fn cut(&self, next: Epoch, start: Epoch) -> StoreError {
        let what = format!("the log of {} was cut behind a snapshot while it was read", self.path.display());
        fatal(CUT, format!("{what}: epoch {next} was next, and it begins at {start} now; read it again"))
    }

    /// The newest schema of each table.
    ///
    /// # Errors
    /// The store cannot be read, or is damaged.
    pub fn schemas(&self) -> Result<Vec<Arc<Schema>>, StoreError> {
        let failed = |e: rusqlite::Error| from_sqlite("read", &self.path, &e);
        let view = self.conn.unchecked_transaction().map_err(failed)?;
        let state = open::read_state(&view, &self.path)?;
        Ok(tables::read_schemas(&view, &self.path, Some((state.schemas, state.tables)))?.newest())
    }

    /// The rules that are paused.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn paused(&self) -> Result<Vec<Paused>, StoreError> {
        let failed = |e: rusqlite::Error| from_sqlite("read", &self.path, &e);
        let _one_view = self.conn.unchecked_transaction().map_err(failed)?;
        let expected = open::read_state(&self.conn, &self.path)?.paused;
        acts::read_paused(&self.conn, &self.path, expected)
    }
}
