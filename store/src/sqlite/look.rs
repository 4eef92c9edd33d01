//! Deliveries as somebody looks at them: lists, and one with all that is known of it.
//!
//! A list reads no bodies. Cost: the rows behind `after` that it has to pass over; dead letters have an index.

use std::path::Path;

use rusqlite::{Connection, OptionalExtension, params};
use thalweg_formulas::Timestamp;
use thalweg_graph::ports::{Listed, OutboxFilter, OutboxState, PendingDelivery, Shown, StoreError};

use super::outbox::Mutable;
use super::{due, history};
use crate::error::{damaged, from_sqlite};

/// Deliveries that meet the filter, oldest first.
pub(crate) fn list(conn: &Connection, path: &Path, filter: &OutboxFilter) -> Result<Vec<Listed>, StoreError> {
    let indexed =
        if filter.state == Some(OutboxState::Dead) { "INDEXED BY outbox_dead WHERE state = 'dead'" } else { "WHERE true" };
    let sql = format!(
        "SELECT seq, id, epoch, node, action, key, version, fired_at, {} FROM outbox {indexed} AND seq > ?1 \
         AND (?2 IS NULL OR node = ?2) AND (?3 IS NULL OR key = ?3) AND (?4 IS NULL OR state = ?4) ORDER BY seq LIMIT ?5",
        Mutable::COLUMNS
    );
    let mut broken = None;
    let mut read = || {
        let mut query = conn.prepare_cached(&sql)?;
        let limit = i64::try_from(filter.limit).unwrap_or(i64::MAX);
        let mut rows =
            query.query(params![filter.after as i64, filter.node, filter.key, filter.state.map(OutboxState::name), limit])?;
        let mut all = Vec::new();
        while let Some(row) = rows.next()? {
            let seq: i64 = row.get(0)?;
            let Some(now) = Mutable::read(seq, row, 8)? else {
                broken = Some(seq);
                break;
            };
            let text = |i: usize| row.get_ref(i)?.as_str().map_err(rusqlite::Error::from).map(std::sync::Arc::<str>::from);
            all.push(Listed {
                seq: seq as u64,
                id: text(1)?,
                epoch: row.get::<_, i64>(2)? as u64,
                node: text(3)?,
                action: row.get(4)?,
                key: text(5)?,
                version: row.get::<_, i64>(6)? as u64,
                state: now.state,
                attempts: now.attempts,
                deliveries: now.deliveries,
                fired_at: Timestamp(row.get(7)?),
                not_before: now.not_before,
                ended_at: (now.ended_at.0 > 0).then_some(now.ended_at),
                error: now.error,
            });
        }
        Ok(all)
    };
    let all = read().map_err(|e: rusqlite::Error| from_sqlite("read", path, &e))?;
    match broken {
        None => Ok(all),
        Some(seq) => Err(damaged(path, format!("delivery number {seq}"))),
    }
}

/// One delivery with its settings, body and history.
pub(crate) fn show(conn: &Connection, path: &Path, id: &str) -> Result<Option<Shown>, StoreError> {
    let failed = |e: rusqlite::Error| from_sqlite("read", path, &e);
    let _one_view = conn.unchecked_transaction().map_err(failed)?;
    let seq = conn.prepare_cached("SELECT seq FROM outbox WHERE id = ?1");
    let seq = seq.and_then(|mut q| q.query_row([id], |row| row.get::<_, i64>(0)).optional()).map_err(failed)?;
    let Some(seq) = seq else { return Ok(None) };
    let whole = due::load(conn, seq).map_err(failed)?.ok_or_else(|| damaged(path, format!("delivery number {seq}")))?;
    let history = history::read(conn, path, seq)?;
    let (PendingDelivery { row, fired_at, .. }, now) = (whole.delivery, whole.now);
    let listed = Listed {
        seq: seq as u64,
        id: row.id,
        epoch: row.epoch,
        node: row.node,
        action: row.action,
        key: row.key,
        version: row.version,
        state: now.state,
        attempts: now.attempts,
        deliveries: now.deliveries,
        fired_at,
        not_before: now.not_before,
        ended_at: (now.ended_at.0 > 0).then_some(now.ended_at),
        error: now.error,
    };
    Ok(Some(Shown { listed, settings: row.settings, body: row.body, history }))
}
