//! The data directory: what lies in it, who may use it, and what it knows of the last commit.
//!
//! ```text
//! thalweg.db      the database (and -wal, -shm)
//! snapshots/      one folder a snapshot, named by its epoch
//! lock            held by the one process that uses the directory
//! .gitignore      *
//! ```
//!
//! `lock` also bears witness: after every commit the number of commits is written there, without a sync. It never runs ahead of what
//! is durable, and it survives a killed process; a database that knows of fewer commits has therefore lost some (a removed, truncated
//! or damaged write-ahead log, which SQLite itself takes for a shorter one).

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use thalweg_graph::ports::StoreError;

use crate::error::{IN_USE, MISSING, fatal, from_io};

const PID_LINE: usize = 15;

/// A data directory that this process holds.
pub(crate) struct Dir {
    path: PathBuf,
    lock: File,
    witness: u64,
    /// Device and inode of the database once it is open.
    database: Option<(u64, u64)>,
}

impl Dir {
    /// Creates the directory if need be and takes it for this process.
    pub(crate) fn enter(path: &Path) -> Result<Dir, StoreError> {
        fs::create_dir_all(path).map_err(|e| from_io("create", path, &e))?;
        let lock_path = path.join("lock");
        let open = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&lock_path);
        let mut lock = open.map_err(|e| from_io("open", &lock_path, &e))?;
        let held = lock.try_lock();
        let mut text = String::new();
        // Not UTF-8: no witness; whoever wrote that was not a store.
        let _ = lock.read_to_string(&mut text);
        match held {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(in_use(path, &text)),
            Err(TryLockError::Error(e)) => return Err(from_io("lock", &lock_path, &e)),
        }
        let witness = text.lines().find_map(|line| line.strip_prefix("commits ")?.trim().parse().ok()).unwrap_or(0);
        let mut dir = Dir { path: path.to_path_buf(), lock, witness, database: None };
        dir.write_at(0, &format!("pid {:>10}\n", std::process::id())).map_err(|e| from_io("write", &lock_path, &e))?;
        dir.ignore_in_git()?;
        Ok(dir)
    }

    fn ignore_in_git(&self) -> Result<(), StoreError> {
        let path = self.path.join(".gitignore");
        if path.exists() { Ok(()) } else { fs::write(&path, "*\n").map_err(|e| from_io("write", &path, &e)) }
    }

    /// The directory.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The database file.
    pub(crate) fn database(&self) -> PathBuf {
        self.path.join("thalweg.db")
    }

    /// Notes which file the database is.
    pub(crate) fn opened(&mut self) {
        self.database = identity(&self.database());
    }

    /// The database has the name that it was opened by; SQLite itself would write on into a file that was moved or removed. One system call.
    pub(crate) fn check_in_place(&self) -> Result<(), StoreError> {
        let path = self.database();
        if identity(&path) == self.database {
            return Ok(());
        }
        Err(fatal(
            MISSING,
            format!(
                "{} is not the file that was opened: it was moved, removed or replaced while this process ran, which stops without writing; \
                 put it back, or a backup of the directory, and start again",
                path.display()
            ),
        ))
    }

    /// The folder of snapshots.
    pub(crate) fn snapshots(&self) -> PathBuf {
        self.path.join("snapshots")
    }

    /// The least number of commits that the database must know of.
    pub(crate) fn witness(&self) -> u64 {
        self.witness
    }

    /// Notes that `commits` are durable. Costs one small write to the page cache; a failure only weakens the check.
    pub(crate) fn testify(&mut self, commits: u64) {
        self.witness = commits;
        if let Err(error) = self.write_at(PID_LINE as u64, &format!("commits {commits:>20}\n")) {
            tracing::debug!(%error, "the number of commits could not be noted in the lock file");
        }
    }

    fn write_at(&mut self, offset: u64, text: &str) -> std::io::Result<()> {
        self.lock.seek(SeekFrom::Start(offset))?;
        self.lock.write_all(text.as_bytes())
    }
}

impl Drop for Dir {
    /// Closing the file would do, were it not for a child process just being started, which holds a copy of it for a moment.
    fn drop(&mut self) {
        if let Err(error) = self.lock.unlock() {
            tracing::debug!(%error, "the lock file could not be unlocked; closing it does so");
        }
    }
}

fn identity(path: &Path) -> Option<(u64, u64)> {
    fs::metadata(path).ok().map(|file| (file.dev(), file.ino()))
}

fn in_use(path: &Path, text: &str) -> StoreError {
    let pid = text.lines().find_map(|line| line.strip_prefix("pid ")).map_or("unknown", str::trim);
    fatal(
        IN_USE,
        format!(
            "data directory {} is in use by process {pid}; stop that process, or give this one another directory",
            path.display()
        ),
    )
}

/// Makes the names in a directory durable.
pub(crate) fn sync_dir(path: &Path) -> Result<(), StoreError> {
    File::open(path).and_then(|dir| dir.sync_all()).map_err(|e| from_io("sync", path, &e))
}
