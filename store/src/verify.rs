//! Looking through a whole data directory, and copying it, also while a process uses it.
//!
//! Both see one commit: what the process writes meanwhile is not looked at and not copied. While it is looked through, SQLite keeps the
//! write-ahead log from that commit on, so it grows by what is written meanwhile.

use std::fs::{self, File};
use std::path::Path;
use std::sync::Arc;

use rusqlite::{Connection, OpenFlags};
use thalweg_graph::Epoch;
use thalweg_graph::ports::{OutboxCounts, StoreError};

use crate::beside::OutboxReader;
use crate::config::StoreConfig;
use crate::dir::sync_dir;
use crate::error::{EXISTS, UNUSABLE, damaged, fatal, from_io, from_sqlite};
use crate::snapshot::{Recorded, Snapshots};
use crate::sqlite::log::{self, Span};
use crate::sqlite::state::State;
use crate::sqlite::{acts, digest, due, open, outbox, settled, snapshots, tables};

/// What was looked through and found right.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verified {
    /// The last committed epoch.
    pub epoch: Epoch,
    /// The first epoch that the log still holds.
    pub log_start: Epoch,
    /// Transactions in the log.
    pub transactions: u64,
    /// Deliveries by state, counted one by one.
    pub counts: OutboxCounts,
    /// Timers that wait.
    pub timers: u64,
    /// Snapshots, newest first.
    pub snapshots: Vec<Epoch>,
}

/// How often a copy is begun anew because the process replaced a snapshot meanwhile.
const TRIES: usize = 5;

impl OutboxReader {
    /// Looks through everything: SQLite's own structure, that the log's epochs are dense and every checksum is right, that every delivery is
    /// there once and the states add up to what was counted, timers, positions, snapshots. Time grows with the store; memory does not.
    ///
    /// # Errors
    /// The first thing that is not right, with its place.
    pub fn verify(&self) -> Result<Verified, StoreError> {
        let failed = |e: rusqlite::Error| from_sqlite("read", self.path(), &e);
        let view = self.conn().unchecked_transaction().map_err(failed)?;
        let state = open::read_state(&view, self.path())?;
        let sound: String = view.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0)).map_err(failed)?;
        if sound != "ok" {
            return Err(damaged(self.path(), format!("SQLite's structure: {sound}")));
        }
        let transactions = self.read_log(&view, &state)?;
        let counts = self.read_outbox(&view, &state)?;
        tables::read_positions(&view, self.path(), &state)?;
        acts::read_paused(&view, self.path(), state.paused)?;
        let timers = tables::read_timers(&view, self.path(), &state)?.len() as u64;
        drop(view);
        let snapshots = self.read_snapshots(&state)?;
        Ok(Verified { epoch: state.epoch, log_start: state.log_start, transactions, counts, timers, snapshots })
    }

    fn read_log(&self, view: &Connection, state: &State) -> Result<u64, StoreError> {
        let schemas = tables::read_schemas(view, self.path(), Some((state.schemas, state.tables)))?;
        let mut transactions = 0;
        let span = Span { after: state.log_start.saturating_sub(1), through: state.epoch };
        log::read(view, self.path(), span, &schemas, &mut |piece| {
            transactions += u64::from(!piece.more);
            Ok(())
        })?;
        Ok(transactions)
    }

    /// Every delivery, body and all.
    fn read_outbox(&self, view: &Connection, state: &State) -> Result<OutboxCounts, StoreError> {
        outbox::check(view, self.path(), &state.counts)?;
        let mut counts = OutboxCounts { coalesced: state.counts.coalesced, ..OutboxCounts::default() };
        for seq in 1..=state.counts.fired as i64 {
            let whole = due::load(view, seq).map_err(|e| from_sqlite("read", self.path(), &e))?;
            let whole = whole.ok_or_else(|| damaged(self.path(), format!("delivery number {seq}")))?;
            counts.fired += 1;
            *outbox::count_of(&mut counts, whole.state()) += 1;
        }
        digest::check(view, self.path())?;
        settled::check(view, self.path())?;
        settled::read_follower(view, self.path())?;
        if counts == state.counts {
            Ok(counts)
        } else {
            Err(damaged(self.path(), format!("there are {counts:?}, and counted were {:?}", state.counts)))
        }
    }

    /// Those that are recorded when it is their turn: the process replaces old ones meanwhile.
    fn read_snapshots(&self, state: &State) -> Result<Vec<Epoch>, StoreError> {
        let folder = self.path().with_file_name("snapshots");
        let recorded = || snapshots::read(self.conn(), self.path());
        let (database, instance) = (self.path().to_path_buf(), self.instance().to_owned());
        let all = Snapshots {
            folder,
            database,
            instance,
            config: Arc::new(StoreConfig::default()),
            recorded: recorded()?,
            log_start: state.log_start,
        };
        let mut right = Vec::new();
        for snapshot in &all.recorded {
            match all.check(snapshot) {
                Ok(()) => right.push(snapshot.epoch),
                Err(_) if !recorded()?.contains(snapshot) => {}
                Err(why) => {
                    return Err(fatal(UNUSABLE, format!("the snapshot at epoch {} cannot be used: {why}", snapshot.epoch)));
                }
            }
        }
        Ok(right)
    }

    /// Copies the data directory as of one commit to `to`, which must not be there or be empty. The copy is a data directory: run on it,
    /// or put it back in the place of the one that it is of.
    ///
    /// # Errors
    /// `to` holds something, or reading or writing failed; what was written of the copy is no data directory then.
    pub fn back_up(&self, to: &Path) -> Result<Verified, StoreError> {
        if fs::read_dir(to).is_ok_and(|mut entries| entries.next().is_some()) {
            return Err(fatal(EXISTS, format!("{} is not empty; name a directory that is not there yet", to.display())));
        }
        fs::create_dir_all(to).map_err(|e| from_io("create", to, &e))?;
        for _ in 0..TRIES {
            if self.copy(to)? {
                return OutboxReader::open(to)?.verify();
            }
            fs::remove_dir_all(to.join("snapshots")).map_err(|e| from_io("remove", to, &e))?;
        }
        Err(fatal(
            UNUSABLE,
            format!("snapshots were replaced {TRIES} times while {} was copied; try again", self.path().display()),
        ))
    }

    /// Database first, under another name; then the snapshots that it knows of; the name last. `false`: one of them was replaced.
    fn copy(&self, to: &Path) -> Result<bool, StoreError> {
        let new = to.join("thalweg.db.new");
        let wrote = |e: rusqlite::Error| from_sqlite("write to", &new, &e);
        if new.exists() {
            fs::remove_file(&new).map_err(|e| from_io("remove", &new, &e))?;
        }
        let name = new.to_str().ok_or_else(|| fatal(EXISTS, format!("{} is no text; name another directory", to.display())))?;
        let source = Connection::open_with_flags(self.path(), OpenFlags::SQLITE_OPEN_READ_WRITE).map_err(wrote)?;
        source.execute("VACUUM INTO ?1", [name]).map_err(wrote)?;
        let copied = Connection::open(&new).map_err(wrote)?;
        copied.pragma_update(None, "journal_mode", "wal").map_err(wrote)?;
        let recorded = snapshots::read(&copied, &new)?;
        copied.close().map_err(|(_, e)| wrote(e))?;
        let from = self.path().with_file_name("snapshots");
        for snapshot in &recorded {
            if !copy_snapshot(&from, &to.join("snapshots"), snapshot)? {
                return Ok(false);
            }
        }
        File::open(&new).and_then(|file| file.sync_all()).map_err(|e| from_io("sync", &new, &e))?;
        fs::rename(&new, to.join("thalweg.db")).map_err(|e| from_io("rename", &new, &e))?;
        sync_dir(to)?;
        Ok(true)
    }
}

/// `false`: it is not there any more.
fn copy_snapshot(from: &Path, to: &Path, snapshot: &Recorded) -> Result<bool, StoreError> {
    let (from, to) = (from.join(snapshot.epoch.to_string()), to.join(snapshot.epoch.to_string()));
    fs::create_dir_all(&to).map_err(|e| from_io("create", &to, &e))?;
    let Ok(entries) = fs::read_dir(&from) else { return Ok(false) };
    for entry in entries {
        let Ok(entry) = entry else { return Ok(false) };
        let file = to.join(entry.file_name());
        match fs::copy(entry.path(), &file) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(false),
            copied => copied.map_err(|e| from_io("copy", &entry.path(), &e))?,
        };
        File::open(&file).and_then(|file| file.sync_all()).map_err(|e| from_io("sync", &file, &e))?;
    }
    sync_dir(&to)?;
    Ok(true)
}
