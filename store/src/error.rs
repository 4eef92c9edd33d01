//! Why the store did not do as asked, in words that name the place and the cure.
//!
//! Two classes (`ports::StoreError`): `Retry`, nothing was written and the environment can mend it; `Fatal`, durability or integrity
//! is in doubt and the process must stop. SQLite's result codes are mapped in one place, [`from_sqlite`].

use std::path::Path;

use rusqlite::ErrorCode;
use thalweg_formulas::Code;
use thalweg_graph::ports::StoreError;

/// The data directory belongs to a running process.
pub(crate) const IN_USE: u16 = 601;
/// What lies there is not a store.
pub(crate) const NOT_A_STORE: u16 = 602;
/// Written by a newer version.
pub(crate) const NEWER: u16 = 603;
/// Files or commits are missing.
pub(crate) const MISSING: u16 = 604;
/// Content contradicts its checksum or its neighbours.
pub(crate) const DAMAGED: u16 = 605;
/// No room.
pub(crate) const FULL: u16 = 606;
/// Another program holds the database.
pub(crate) const BUSY: u16 = 607;
/// Reading or writing failed.
pub(crate) const IO: u16 = 608;
/// Another process has taken over.
pub(crate) const FENCED: u16 = 609;
/// The caller broke the order of commits.
pub(crate) const ORDER: u16 = 610;
/// No snapshot can be used and the log does not reach back.
pub(crate) const UNUSABLE: u16 = 611;
/// The log was cut while it was read.
pub(crate) const CUT: u16 = 625;
/// A copy would go over what is there.
pub(crate) const EXISTS: u16 = 619;
/// The changes of a large transaction cannot be read.
pub(crate) const SPILLED: u16 = 612;

pub(crate) fn fatal(code: u16, message: impl Into<String>) -> StoreError {
    StoreError::Fatal { code: Code(code), message: message.into() }
}

pub(crate) fn retry(code: u16, message: impl Into<String>) -> StoreError {
    StoreError::Retry { code: Code(code), message: message.into() }
}

/// The source's changes of a large transaction cannot be read; `why` is its whole text.
pub(crate) fn unreadable(why: String) -> StoreError {
    fatal(SPILLED, format!("the changes of a large transaction cannot be read again: {why}"))
}

/// A large transaction has other changes than its source said.
pub(crate) fn miscounted(read: u64, said: u64) -> StoreError {
    fatal(SPILLED, format!("a large transaction gave {read} changes, and its source counted {said}; start again to read it anew"))
}

/// A file operation failed while `doing` something with `path`.
pub(crate) fn from_io(doing: &str, path: &Path, error: &std::io::Error) -> StoreError {
    let place = path.display();
    match error.kind() {
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => {
            retry(FULL, format!("no room to {doing} {place}; free some space, what runs goes on by itself"))
        }
        std::io::ErrorKind::PermissionDenied => {
            fatal(IO, format!("cannot {doing} {place}: permission denied; give this user the right to read and write there"))
        }
        _ => fatal(IO, format!("cannot {doing} {place}: {error}")),
    }
}

/// SQLite failed while `doing` something with the database at `path`.
pub(crate) fn from_sqlite(doing: &str, path: &Path, error: &rusqlite::Error) -> StoreError {
    let place = path.display();
    let Some(failure) = error.sqlite_error() else {
        return fatal(DAMAGED, format!("cannot {doing} {place}: {error}; restore a backup of the directory"));
    };
    match failure.code {
        ErrorCode::DiskFull => full(doing, path),
        // SQLite does not say why that file cannot grow.
        ErrorCode::SystemIoFailure if failure.extended_code == rusqlite::ffi::SQLITE_IOERR_SHMSIZE => retry(
            FULL,
            format!(
                "cannot {doing} {place}: its `-shm` file cannot grow, most often for want of room; free some space on its disk, what runs goes on by itself"
            ),
        ),
        ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => retry(
            BUSY,
            format!("cannot {doing} {place}: another program holds the database; close it, or wait until its transaction ends"),
        ),
        ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => fatal(
            DAMAGED,
            format!("cannot {doing} {place}: {error}; keep the files as they are and restore a backup of the directory"),
        ),
        _ => fatal(
            IO,
            format!(
                "cannot {doing} {place}: {error}; the process stops so that nothing is lost, and recovers when started again"
            ),
        ),
    }
}

fn full(doing: &str, path: &Path) -> StoreError {
    retry(
        FULL,
        format!(
            "no room to {doing} {}; free some space on its disk (or raise the store's limit), what runs goes on by itself",
            path.display()
        ),
    )
}

/// Stored content is not what was written.
pub(crate) fn damaged(path: &Path, what: impl std::fmt::Display) -> StoreError {
    fatal(
        DAMAGED,
        format!("{} is damaged: {what}; keep the files as they are and restore a backup of the directory", path.display()),
    )
}
