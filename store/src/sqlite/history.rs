//! What happened to a delivery: its first entry and the last 31, so that one that fails for days stays small.
//!
//! A delivery that went through at its first attempt has no entries: its row says when it fired and when it was over.

use std::path::Path;

use rusqlite::{Connection, params};
use thalweg_formulas::Timestamp;
use thalweg_graph::ports::{Note, NoteKind, StoreError};

use super::crc::RowCrc;
use crate::error::{damaged, from_sqlite};

/// Entries kept of one delivery.
pub(crate) const KEPT: usize = 32;

/// Adds an entry to the history of delivery `seq`.
pub(super) fn add(conn: &Connection, seq: i64, at: Timestamp, note: &Note) -> rusqlite::Result<()> {
    let last = "SELECT coalesce(max(n), 0) FROM outbox_history WHERE seq = ?1";
    let n = conn.prepare_cached(last)?.query_row([seq], |row| row.get::<_, i64>(0))? + 1;
    let (what, took_us, detail) = (note.what.name(), note.took_us, &note.detail);
    let crc = crc(seq, n, at, note);
    let sql = "INSERT INTO outbox_history VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7)";
    conn.prepare_cached(sql)?.execute(params![seq, n, at.0, what, took_us, detail, crc])?;
    let stale = n - KEPT as i64 + 1;
    if stale > 1 {
        conn.prepare_cached("DELETE FROM outbox_history WHERE seq = ?1 AND n = ?2")?.execute(params![seq, stale])?;
    }
    Ok(())
}

fn crc(seq: i64, n: i64, at: Timestamp, note: &Note) -> i64 {
    RowCrc::new().int(seq).int(n).int(at.0).text(note.what.name()).int(note.took_us).text(&note.detail).done()
}

/// The history of delivery `seq`, oldest first.
pub(super) fn read(conn: &Connection, path: &Path, seq: i64) -> Result<Vec<(Timestamp, Note)>, StoreError> {
    let mut intact = true;
    let mut entries = || {
        let sql = "SELECT n, at, what, took_us, detail, crc FROM outbox_history WHERE seq = ?1 ORDER BY n";
        let mut query = conn.prepare_cached(sql)?;
        let mut rows = query.query([seq])?;
        let mut entries = Vec::new();
        while let Some(row) = rows.next()? {
            let (n, at, name): (i64, _, String) = (row.get(0)?, Timestamp(row.get(1)?), row.get(2)?);
            let Some(what) = NoteKind::ALL.into_iter().find(|what| what.name() == name) else {
                intact = false;
                continue;
            };
            let note = Note { what, took_us: row.get(3)?, detail: row.get(4)? };
            intact &= row.get::<_, i64>(5)? == crc(seq, n, at, &note);
            entries.push((at, note));
        }
        Ok(entries)
    };
    let entries = entries().map_err(|e: rusqlite::Error| from_sqlite("read", path, &e))?;
    if intact { Ok(entries) } else { Err(damaged(path, format!("the history of delivery number {seq}"))) }
}
