//! Which snapshots are recorded, and which folders are left over.

use std::fs;
use std::path::Path;

use rusqlite::{Connection, params};
use thalweg_graph::ports::StoreError;
use thalweg_graph::transaction::Epoch;

use super::crc::RowCrc;
use crate::error::{MISSING, damaged, fatal, from_io, from_sqlite};
use crate::snapshot::Recorded;

/// Snapshots kept: the newest, and one in case the newest is damaged.
pub(super) const KEPT: usize = 2;

fn crc(recorded: &Recorded) -> i64 {
    let crc = RowCrc::new().int(recorded.epoch as i64).int(recorded.manifest_crc.into());
    crc.int(recorded.rows as i64).int(recorded.bytes as i64).done()
}

/// The recorded snapshots, newest first.
pub(crate) fn read(conn: &Connection, path: &Path) -> Result<Vec<Recorded>, StoreError> {
    let read = || {
        let mut query = conn.prepare("SELECT epoch, manifest_crc, rows, bytes, crc FROM snapshots ORDER BY epoch DESC")?;
        let rows = query.query_map([], |row| {
            let recorded = Recorded {
                epoch: row.get::<_, i64>(0)? as u64,
                manifest_crc: row.get(1)?,
                rows: row.get::<_, i64>(2)? as u64,
                bytes: row.get::<_, i64>(3)? as u64,
            };
            Ok((row.get::<_, i64>(4)? == crc(&recorded), recorded))
        })?;
        rows.collect::<Result<Vec<_>, _>>()
    };
    let found = read().map_err(|e: rusqlite::Error| from_sqlite("read", path, &e))?;
    match found.iter().find(|(intact, _)| !intact) {
        Some((_, recorded)) => Err(damaged(path, format!("the record of the snapshot at epoch {}", recorded.epoch))),
        None => Ok(found.into_iter().map(|(_, recorded)| recorded).collect()),
    }
}

/// Records a snapshot and forgets those that are too many; gives those that stay, newest first.
pub(super) fn record(conn: &Connection, known: &[Recorded], new: &Recorded) -> rusqlite::Result<Vec<Recorded>> {
    let values = params![new.epoch as i64, new.manifest_crc, new.rows as i64, new.bytes as i64, crc(new)];
    conn.execute("INSERT INTO snapshots VALUES(?1, ?2, ?3, ?4, ?5)", values)?;
    let mut all = vec![new.clone()];
    all.extend(known.iter().cloned());
    for old in all.drain(KEPT.min(all.len())..) {
        conn.execute("DELETE FROM snapshots WHERE epoch = ?1", [old.epoch as i64])?;
    }
    Ok(all)
}

/// Removes folders that are not recorded: a snapshot that was cut short, or one that was replaced.
///
/// # Errors
/// A folder is newer than the database: the database is an older copy, and nothing is removed.
pub(super) fn sweep(folder: &Path, recorded: &[Recorded], committed: Epoch) -> Result<(), StoreError> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(from_io("read", folder, &e)),
    };
    let mut leftover = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|e| from_io("read", folder, &e))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.strip_suffix(".tmp").is_some_and(|epoch| epoch.parse::<Epoch>().is_ok()) {
            leftover.push(entry.path());
        } else if let Ok(epoch) = name.parse::<Epoch>() {
            refuse_newer(&entry.path(), epoch, committed)?;
            if recorded.iter().all(|known| known.epoch != epoch) {
                leftover.push(entry.path());
            }
        }
    }
    leftover.iter().try_for_each(|path| fs::remove_dir_all(path).map_err(|e| from_io("remove", path, &e)))
}

fn refuse_newer(path: &Path, epoch: Epoch, committed: Epoch) -> Result<(), StoreError> {
    if epoch <= committed {
        return Ok(());
    }
    Err(fatal(
        MISSING,
        format!(
            "{} is newer than the database, which ends at epoch {committed}: the database is an older copy or has lost commits; \
             restore the whole directory from one backup",
            path.display()
        ),
    ))
}
