//! Snapshots: all rows and the engine's state at one epoch, so that a start reads what is there now instead of all that ever happened.
//!
//! A snapshot is a folder `snapshots/<epoch>` of Arrow IPC files, one a table, the engine's state, and a manifest; the database records
//! it with the manifest's checksum. It is merged from the snapshot before and the log between, not from the engine, so it holds every
//! column. The rows of a file are in the order of their keys. The two newest snapshots are kept.
//!
//! Invariants:
//! - STORE-5: a recorded snapshot was complete and synced before it was recorded; a folder that is not recorded is nothing.
//! - STORE-6: a snapshot that fails any check is not used at all: the older one and more of the log take its place, with a warning.
//!
//! Cost of writing: O(rows), on a thread of its own; memory for the rows that changed, see [`merge`].
//! Next to read: [`crate::fold`], [`merge`], [`columns`], [`write`], [`read`].

pub(crate) mod columns;
mod manifest;
mod merge;
mod read;
mod write;

use std::path::PathBuf;
use std::sync::Arc;

use rusqlite::{Connection, OpenFlags};
use thalweg_graph::ports::StoreError;
use thalweg_graph::state::EngineState;
use thalweg_graph::transaction::{Epoch, Transaction};

pub(crate) use self::manifest::Manifest;
use self::merge::Merge;
use self::write::Folder;
use crate::codec::wire::Damaged;
use crate::config::StoreConfig;
use crate::error::{UNUSABLE, damaged, fatal, from_sqlite};
use crate::schemas::Schemas;
use crate::sqlite::log::{self, Span};
use crate::sqlite::tables;

/// Metadata that holds a table's schema in an Arrow file.
const SCHEMA_KEY: &str = "thalweg.schema";

/// A snapshot as the database knows it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Recorded {
    pub epoch: Epoch,
    pub manifest_crc: u32,
    pub rows: u64,
    pub bytes: u64,
}

/// Where snapshots are, and what is needed to use them.
#[derive(Clone)]
pub(crate) struct Snapshots {
    pub folder: PathBuf,
    pub database: PathBuf,
    pub instance: String,
    pub config: Arc<StoreConfig>,
    /// The recorded ones, newest first.
    pub recorded: Vec<Recorded>,
    /// The first epoch that the log still holds.
    pub log_start: Epoch,
}

impl Snapshots {
    /// The newest snapshot that passes every check; each that does not is reported.
    ///
    /// # Errors
    /// None passes, and the log does not reach back to the start.
    pub(crate) fn newest_usable(&self) -> Result<Option<Manifest>, StoreError> {
        let mut why = String::new();
        for recorded in &self.recorded {
            match self.usable(recorded) {
                Ok(manifest) => return Ok(Some(manifest)),
                Err(reason) => {
                    tracing::warn!(
                        "the snapshot at epoch {} is not used: {reason}; the log is read from further back",
                        recorded.epoch
                    );
                    why.push_str(&format!("; at epoch {}: {reason}", recorded.epoch));
                }
            }
        }
        if self.log_start <= 1 {
            return Ok(None);
        }
        Err(fatal(
            UNUSABLE,
            format!(
                "no snapshot in {} can be used, and the log begins only at epoch {}{why}; restore a backup of the directory",
                self.folder.display(),
                self.log_start
            ),
        ))
    }

    /// Reads all of a snapshot's files.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn check(&self, recorded: &Recorded) -> Result<(), String> {
        self.usable(recorded).map(|_| ())
    }

    fn usable(&self, recorded: &Recorded) -> Result<Manifest, String> {
        let manifest = read::verify(&self.place(recorded.epoch), &self.instance, recorded)?;
        for table in &manifest.tables {
            if self.config.keys.get(&table.table).is_some_and(|key| *key != table.key) {
                return Err(format!("table {} was folded by ({}), its key is now another", table.table, table.key.join(", ")));
            }
        }
        Ok(manifest)
    }

    fn place(&self, epoch: Epoch) -> PathBuf {
        self.folder.join(epoch.to_string())
    }

    /// The engine's state in a snapshot.
    pub(crate) fn state(&self, manifest: &Manifest) -> Result<EngineState, StoreError> {
        let place = self.place(manifest.epoch);
        read::state(&place).map_err(|reason| damaged(&place, reason))
    }

    /// Hands out a snapshot's rows as fill transactions.
    pub(crate) fn rows(&self, manifest: &Manifest, each: &mut dyn FnMut(Transaction)) -> Result<(), StoreError> {
        let place = self.place(manifest.epoch);
        read::rows(&place, manifest, each).map_err(|reason| damaged(&place, reason))
    }

    /// Merges the newest usable snapshot with the log after it, and writes what comes out. Reads the database by a connection of its own.
    pub(crate) fn write(&self, state: &EngineState) -> Result<Recorded, StoreError> {
        let failed = |e: rusqlite::Error| from_sqlite("read", &self.database, &e);
        let base = self.newest_usable()?;
        let folder = Folder::create(&self.folder, state.epoch)?;
        let mut merge = Merge::new(self.config.clone(), &folder.new);
        if let Some(manifest) = &base {
            merge.begin(&self.place(manifest.epoch), manifest)?;
        }
        let after = base.map_or(0, |manifest| manifest.epoch);
        let conn = Connection::open_with_flags(&self.database, OpenFlags::SQLITE_OPEN_READ_ONLY).map_err(failed)?;
        let schemas = self.schemas(&conn)?;
        let mut merged = Ok(());
        let read = log::read(&conn, &self.database, Span { after, through: state.epoch }, &schemas, &mut |piece| {
            merged = merge.transaction(piece.transaction);
            if merged.is_ok() { Ok(()) } else { Err(Damaged("which cannot be folded")) }
        });
        merged.and(read)?;
        let tables = merge.finish()?;
        let (manifest, manifest_crc) = folder.seal(&self.instance, state, tables)?;
        Ok(Recorded { epoch: state.epoch, manifest_crc, rows: manifest.rows(), bytes: manifest.bytes() })
    }

    /// The schemas as of one commit, however many are made meanwhile: a table's newest schema may come with the next.
    fn schemas(&self, conn: &Connection) -> Result<Schemas, StoreError> {
        let one_view = conn.unchecked_transaction().map_err(|e| from_sqlite("read", &self.database, &e))?;
        let schemas = tables::read_schemas(&one_view, &self.database, None)?;
        Ok(schemas)
    }
}
