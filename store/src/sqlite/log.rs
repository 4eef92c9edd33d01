//! The log table: blobs in, transactions out.
//!
//! Invariant STORE-4: read in order, the pieces make dense epochs from `log_start` to the committed epoch; a gap, a checksum, a
//! transaction in two kinds or one without its end stops the reading with the place. What lies beyond the committed epoch is staged, and
//! is not read.

use std::path::Path;

use rusqlite::{Connection, params};
use thalweg_graph::ports::StoreError;
use thalweg_graph::transaction::{Body, Epoch};

use crate::codec::log::{Blob, Piece, decode};
use crate::codec::wire::Damaged;
use crate::error::{damaged, from_sqlite};
use crate::schemas::Schemas;

/// Appends a blob.
pub(super) fn insert(conn: &Connection, blob: &Blob) -> rusqlite::Result<()> {
    conn.prepare_cached("INSERT INTO log(first_epoch, last_epoch, more, raw_len, crc, blob) VALUES(?1, ?2, ?3, ?4, ?5, ?6)")?
        .execute(params![blob.first as i64, blob.last as i64, blob.more, blob.raw_len as i64, blob.crc(), &blob.bytes[..]])?;
    Ok(())
}

/// Removes what lies wholly at or before `epoch`; says where the log now starts.
pub(super) fn trim(conn: &Connection, epoch: Epoch) -> rusqlite::Result<Option<Epoch>> {
    let first: Option<i64> =
        conn.query_row("SELECT min(first_epoch) FROM log WHERE last_epoch > ?1", [epoch as i64], |row| row.get(0))?;
    conn.execute("DELETE FROM log WHERE last_epoch <= ?1", [epoch as i64])?;
    Ok(first.map(|first| first as u64))
}

/// Removes what was staged beyond `epoch`; whether there was anything.
///
/// # Errors
/// What lies there is not as it was written: it may be a part of the log, and nothing is removed.
pub(super) fn drop_staged(conn: &Connection, path: &Path, epoch: Epoch) -> Result<bool, StoreError> {
    let failed = |doing: &str, e: rusqlite::Error| from_sqlite(doing, path, &e);
    let beyond = "SELECT min(seq) FROM log WHERE last_epoch > ?1";
    let first: Option<i64> = conn.query_row(beyond, [epoch as i64], |row| row.get(0)).map_err(|e| failed("read", e))?;
    let Some(mut seq) = first else { return Ok(false) };
    while let Some((found, crc, blob)) = next_blob(conn, seq).map_err(|e| failed("read", e))? {
        if crc != blob.crc() || blob.first != epoch + 1 || blob.last != epoch + 1 {
            return Err(damaged(path, format!("the log of epochs {} to {}", blob.first, blob.last)));
        }
        seq = found + 1;
    }
    conn.execute("DELETE FROM log WHERE first_epoch > ?1", [epoch as i64]).map_err(|e| failed("write to", e))?;
    Ok(true)
}

/// Which part of the log is read.
#[derive(Clone, Copy)]
pub(crate) struct Span {
    /// Epochs after this one.
    pub after: Epoch,
    /// Through this one.
    pub through: Epoch,
}

/// Reads the pieces of a span, blob by blob; each blob is a statement of its own, so no read transaction stays open.
pub(crate) fn read(
    conn: &Connection,
    path: &Path,
    span: Span,
    schemas: &Schemas,
    each: &mut dyn FnMut(Piece) -> Result<(), Damaged>,
) -> Result<(), StoreError> {
    let mut reading = Reading { next: span.after + 1, open: None };
    let mut seq = first_seq(conn, span.after).map_err(|e| from_sqlite("read", path, &e))?.unwrap_or(i64::MAX);
    while reading.open.is_some() || reading.next <= span.through {
        let found = next_blob(conn, seq).map_err(|e| from_sqlite("read", path, &e))?;
        let Some((found_seq, crc, blob)) = found else {
            return Err(damaged(path, format!("the log ends before epoch {}, and {} was committed", reading.next, span.through)));
        };
        if crc != blob.crc() {
            return Err(damaged(path, format!("the log of epochs {} to {}", blob.first, blob.last)));
        }
        seq = found_seq + 1;
        if !reading.fits(&blob) {
            return Err(damaged(path, format!("the log has epoch {} where {} should follow", blob.first, reading.next)));
        }
        let mut in_span = |piece: Piece| {
            reading.piece(&piece)?;
            if piece.epoch > span.after && piece.epoch <= span.through { each(piece) } else { Ok(()) }
        };
        let place = format!("the log of epochs {} to {}", blob.first, blob.last);
        decode(&blob, schemas, &mut in_span).map_err(|Damaged(what)| damaged(path, format!("{place}, {what}")))?;
    }
    Ok(())
}

/// What must come next.
struct Reading {
    next: Epoch,
    /// The transaction of epoch `next` has begun and not ended, and is of this kind.
    open: Option<std::mem::Discriminant<Body>>,
}

impl Reading {
    /// The first blob may begin before the span; every other goes on where the one before ended.
    fn fits(&self, blob: &Blob) -> bool {
        blob.first <= self.next && blob.last >= self.next
    }

    fn piece(&mut self, piece: &Piece) -> Result<(), Damaged> {
        if piece.epoch < self.next {
            return Ok(());
        }
        if piece.epoch != self.next || piece.continues != self.open.is_some() {
            return Err(Damaged("a transaction out of its place"));
        }
        let kind = std::mem::discriminant(&piece.transaction.body);
        if self.open.is_some_and(|open| open != kind) {
            return Err(Damaged("a transaction in two kinds"));
        }
        self.open = piece.more.then_some(kind);
        self.next += u64::from(!piece.more);
        Ok(())
    }
}

fn first_seq(conn: &Connection, after: Epoch) -> rusqlite::Result<Option<i64>> {
    let sql = "SELECT min(seq) FROM log WHERE last_epoch = (SELECT min(last_epoch) FROM log WHERE last_epoch > ?1)";
    conn.query_row(sql, [after as i64], |row| row.get(0))
}

fn next_blob(conn: &Connection, seq: i64) -> rusqlite::Result<Option<(i64, u32, Blob)>> {
    let sql = "SELECT seq, first_epoch, last_epoch, more, raw_len, crc, blob FROM log WHERE seq >= ?1 ORDER BY seq LIMIT 1";
    let mut query = conn.prepare_cached(sql)?;
    let mut rows = query.query([seq])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    let blob = Blob {
        first: row.get::<_, i64>(1)? as u64,
        last: row.get::<_, i64>(2)? as u64,
        more: row.get(3)?,
        raw_len: row.get::<_, i64>(4)? as usize,
        bytes: row.get(6)?,
    };
    Ok(Some((row.get(0)?, row.get(5)?, blob)))
}
