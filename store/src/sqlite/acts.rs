//! What somebody asks of the outbox, beside the dispatcher: acknowledge, deliver again, withdraw, pause, resume.
//!
//! Invariants:
//! - STORE-10: an act that changes nothing writes nothing, but for an acknowledgement that came too late, which its history keeps.
//! - STORE-11: an acknowledgement ends every pending delivery of its trigger; what is over stays as it ended.

use std::path::Path;
use std::sync::Arc;

use rusqlite::{Connection, params};
use thalweg_formulas::Timestamp;
use thalweg_graph::ports::{Act, Acted, Note, NoteKind, OutboxState, Paused, StoreError};

use super::crc::RowCrc;
use super::outbox::{self, Standing, Turn, row_crc, standing, standing_at};
use super::{digest, due, history};
use crate::error::{damaged, from_sqlite};

/// The outbox inside one SQLite transaction.
pub(super) struct Desk<'a> {
    pub turn: Turn<'a>,
    pub paused: &'a mut Vec<Paused>,
}

impl Desk<'_> {
    /// Does what is asked.
    pub(super) fn act(&mut self, act: &Act) -> Result<Acted, StoreError> {
        match act {
            Act::Pause { node, action, reason } => self.pause(node, *action, reason),
            Act::Resume { node } => self.resume(node),
            Act::Ack { id, .. } | Act::Retry { id, .. } | Act::Discard { id } => {
                match standing(self.turn.conn, self.turn.path, id)? {
                    None => Ok(Acted::Unknown),
                    Some(row) => match act {
                        Act::Ack { result, .. } => self.ack(row, result),
                        Act::Retry { body, .. } => self.retry(row, body.as_deref()),
                        _ => self.discard(row),
                    },
                }
            }
        }
    }

    fn ack(&mut self, row: Standing, result: &str) -> Result<Acted, StoreError> {
        match row.now.state {
            OutboxState::Acked => Ok(Acted::Over(OutboxState::Acked)),
            OutboxState::Cancelled => {
                self.note(row.seq, NoteKind::Late, result)?;
                Ok(Acted::Over(OutboxState::Cancelled))
            }
            OutboxState::Dead => {
                self.note(row.seq, NoteKind::Late, result)?;
                self.end(Standing { result: result.to_owned(), ..row }, OutboxState::Acked)?;
                Ok(Acted::Late)
            }
            OutboxState::Pending => {
                for seq in self.trigger_of(row.seq)? {
                    let other = standing_at(self.turn.conn, self.turn.path, seq)?;
                    if let Some(other) = other.filter(|other| other.now.state == OutboxState::Pending) {
                        self.note(seq, NoteKind::Acknowledged, result)?;
                        self.end(Standing { result: result.to_owned(), ..other }, OutboxState::Acked)?;
                    }
                }
                Ok(Acted::Done)
            }
        }
    }

    /// The places of all deliveries of the trigger that `seq` belongs to (STORE-9).
    fn trigger_of(&self, seq: i64) -> Result<Vec<i64>, StoreError> {
        let sql = "SELECT 1 FROM outbox a JOIN outbox b ON b.seq = ?2 WHERE a.seq = ?1 AND a.epoch = b.epoch AND a.version = b.version \
                   AND a.node = b.node AND a.key = b.key";
        let mut query = self.turn.conn.prepare_cached(sql).map_err(|e| from_sqlite("read", self.turn.path, &e))?;
        let mut same = |other: i64| query.exists([seq, other]).map_err(|e| from_sqlite("read", self.turn.path, &e));
        let (mut first, mut last) = (seq, seq);
        while same(first - 1)? {
            first -= 1;
        }
        while same(last + 1)? {
            last += 1;
        }
        Ok((first..=last).collect())
    }

    fn retry(&mut self, mut row: Standing, body: Option<&str>) -> Result<Acted, StoreError> {
        let was = row.now.state;
        if outbox::is_over(was) {
            return Ok(Acted::Over(was));
        }
        if let Some(body) = body
            && !self.edit(row.seq, body)?
        {
            return Ok(Acted::Malformed);
        }
        self.note(row.seq, NoteKind::Replayed, "")?;
        self.revive(&mut row)?;
        for mut other in digest::others(self.turn.conn, self.turn.path, row.seq)? {
            if !outbox::is_over(other.now.state) {
                self.revive(&mut other)?;
            }
        }
        Ok(Acted::Done)
    }

    /// It is to be delivered, as if it had never been tried.
    fn revive(&mut self, row: &mut Standing) -> Result<(), StoreError> {
        let was = std::mem::replace(&mut row.now.state, OutboxState::Pending);
        (row.now.attempts, row.now.deliveries) = (0, 0);
        (row.now.not_before, row.now.since) = (Timestamp(0), self.turn.at);
        self.turn.settle(row, was)
    }

    /// Replaces the body; `false`: it was JSON, and the new one is not.
    fn edit(&self, seq: i64, body: &str) -> Result<bool, StoreError> {
        let failed = |e: rusqlite::Error| from_sqlite("write to", self.turn.path, &e);
        let whole = due::load(self.turn.conn, seq)
            .map_err(failed)?
            .ok_or_else(|| damaged(self.turn.path, format!("delivery number {seq}")))?;
        let mut row = whole.delivery.row;
        let is_json = |bytes: &[u8]| serde_json::from_slice::<serde::de::IgnoredAny>(bytes).is_ok();
        if is_json(&row.body) && !is_json(body.as_bytes()) {
            return Ok(false);
        }
        self.note(seq, NoteKind::Edited, &String::from_utf8_lossy(&row.body))?;
        row.body = body.as_bytes().into();
        let crc = row_crc(seq, whole.place, &row, whole.delivery.fired_at);
        let set = |sql: &str, value: &dyn rusqlite::ToSql| {
            self.turn.conn.prepare_cached(sql).and_then(|mut q| q.execute(params![seq, value])).map_err(failed)
        };
        set("UPDATE outbox_body SET body = ?2 WHERE seq = ?1", &&row.body[..])?;
        set("UPDATE outbox SET crc = ?2 WHERE seq = ?1", &crc)?;
        Ok(true)
    }

    fn discard(&mut self, row: Standing) -> Result<Acted, StoreError> {
        if outbox::is_over(row.now.state) {
            return Ok(Acted::Over(row.now.state));
        }
        self.note(row.seq, NoteKind::Discarded, "")?;
        self.end(row, OutboxState::Cancelled)?;
        Ok(Acted::Done)
    }

    fn end(&mut self, mut row: Standing, state: OutboxState) -> Result<(), StoreError> {
        let was = row.now.state;
        row.now.state = state;
        self.turn.settle_digest(&mut row, was)
    }

    fn note(&self, seq: i64, what: NoteKind, detail: &str) -> Result<(), StoreError> {
        let note = Note { what, took_us: 0, detail: detail.to_owned() };
        history::add(self.turn.conn, seq, self.turn.at, &note).map_err(|e| from_sqlite("write to", self.turn.path, &e))
    }

    fn pause(&mut self, node: &Arc<str>, action: Option<u32>, reason: &str) -> Result<Acted, StoreError> {
        if self.paused.iter().any(|p| p.node == *node && (p.action.is_none() || p.action == action)) {
            return Ok(Acted::Already);
        }
        let paused = Paused { node: node.clone(), action, at: self.turn.at, reason: reason.to_owned() };
        let sql = "INSERT INTO outbox_paused VALUES(?1, ?2, ?3, ?4, ?5)";
        let values = params![node, number_of(action), self.turn.at.0, reason, paused_crc(&paused)];
        let done = self.turn.conn.prepare_cached(sql).and_then(|mut q| q.execute(values));
        done.map_err(|e| from_sqlite("write to", self.turn.path, &e))?;
        self.paused.push(paused);
        self.paused.sort_by(|a, b| (&a.node, a.action).cmp(&(&b.node, b.action)));
        Ok(Acted::Done)
    }

    fn resume(&mut self, node: &str) -> Result<Acted, StoreError> {
        let before = self.paused.len();
        self.paused.retain(|p| *p.node != *node);
        if self.paused.len() == before {
            return Ok(Acted::Unknown);
        }
        let done = self.turn.conn.prepare_cached("DELETE FROM outbox_paused WHERE node = ?1").and_then(|mut q| q.execute([node]));
        done.map_err(|e| from_sqlite("write to", self.turn.path, &e))?;
        Ok(Acted::Done)
    }
}

/// As stored: −1 is every action.
fn number_of(action: Option<u32>) -> i64 {
    action.map_or(-1, i64::from)
}

fn paused_crc(paused: &Paused) -> i64 {
    RowCrc::new().text(&paused.node).int(number_of(paused.action)).int(paused.at.0).text(&paused.reason).done()
}

/// The rules that are paused, by name.
pub(crate) fn read_paused(conn: &Connection, path: &Path, expected: u64) -> Result<Vec<Paused>, StoreError> {
    let mut intact = true;
    let mut all = || {
        let mut query = conn.prepare("SELECT node, action, at, reason, crc FROM outbox_paused ORDER BY node, action")?;
        let mut rows = query.query([])?;
        let mut all = Vec::new();
        while let Some(row) = rows.next()? {
            let (node, at, reason): (String, _, _) = (row.get(0)?, Timestamp(row.get(2)?), row.get(3)?);
            let paused = Paused { node: node.into(), action: u32::try_from(row.get::<_, i64>(1)?).ok(), at, reason };
            intact &= row.get::<_, i64>(4)? == paused_crc(&paused);
            all.push(paused);
        }
        Ok(all)
    };
    let all = all().map_err(|e: rusqlite::Error| from_sqlite("read", path, &e))?;
    if intact && all.len() as u64 == expected { Ok(all) } else { Err(damaged(path, "the list of paused rules")) }
}
