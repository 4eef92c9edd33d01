//! Row events: the changes of one statement to one table.

use std::borrow::Cow;

use thalweg_graph::{Change, Op};

use super::DecodeError;
use super::bytes::Reader;
use super::cells::Fault;
use super::frame::kind;
use super::packed::unpack;
use super::plan::Plan;

const IMAGE_CURE: &str = "set binlog_row_image = 'FULL' on the server, for all sessions";

/// What a row event does, whatever its version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowsKind {
    /// Insert, update or delete.
    pub op: Op,
    /// Version 2 has an extra header.
    version_2: bool,
    /// MySQL's `binlog_row_value_options`: of JSON there may be only the changes.
    partial: bool,
    /// MariaDB's `log_bin_compress`.
    packed: bool,
}

impl RowsKind {
    /// By event type; `None` if it is no row event.
    pub fn of(event: u8) -> Option<RowsKind> {
        let (op, version_2, packed) = match event {
            kind::WRITE_ROWS_V1 => (Op::Insert, false, false),
            kind::UPDATE_ROWS_V1 => (Op::Update, false, false),
            kind::DELETE_ROWS_V1 => (Op::Delete, false, false),
            kind::WRITE_ROWS => (Op::Insert, true, false),
            kind::UPDATE_ROWS => (Op::Update, true, false),
            kind::DELETE_ROWS => (Op::Delete, true, false),
            kind::PARTIAL_UPDATE_ROWS => (Op::Update, true, false),
            kind::WRITE_ROWS_COMPRESSED_V1 => (Op::Insert, false, true),
            kind::UPDATE_ROWS_COMPRESSED_V1 => (Op::Update, false, true),
            kind::DELETE_ROWS_COMPRESSED_V1 => (Op::Delete, false, true),
            kind::WRITE_ROWS_COMPRESSED => (Op::Insert, true, true),
            kind::UPDATE_ROWS_COMPRESSED => (Op::Update, true, true),
            kind::DELETE_ROWS_COMPRESSED => (Op::Delete, true, true),
            _ => return None,
        };
        Some(RowsKind { op, version_2, partial: event == kind::PARTIAL_UPDATE_ROWS, packed })
    }
}

/// The number of the table map that a row event refers to.
///
/// # Errors
/// Too short.
pub fn table_id(body: &[u8]) -> Result<u64, DecodeError> {
    Reader::new(body, "a row event").u48()
}

/// Reads all rows of an event to the end of `changes`.
///
/// # Errors
/// Bytes that do not fit the plan, or images in which columns are missing. Rows before the bad one are left in `changes`.
pub fn decode(kind: RowsKind, body: &[u8], plan: &Plan, changes: &mut Vec<Change>) -> Result<(), DecodeError> {
    let mut r = Reader::new(body, "a row event");
    r.u48()?;
    r.u16()?;
    if kind.version_2 {
        let extra = usize::from(r.u16()?);
        r.take(extra.saturating_sub(2))?;
    }
    let columns = r.lenenc()?;
    if columns != plan.columns() as u64 {
        return Err(DecodeError::malformed(format!("{columns} columns where the table map has {}", plan.columns())));
    }
    let first = r.take(plan.columns().div_ceil(8))?;
    let second = if kind.op == Op::Update { r.take(plan.columns().div_ceil(8))? } else { first };
    let is_whole = has_all(first, plan) && has_all(second, plan);
    if [first, second].iter().any(|bits| bits.iter().all(|byte| *byte == 0)) {
        return Err(DecodeError::malformed("rows without columns")); // They would take no bytes, and never end.
    }
    if !is_whole && !plan.may_leave_out {
        return Err(DecodeError::unsupported(format!("a row of {} with columns left out", plan.schema.table), IMAGE_CURE));
    }
    let rows = match kind.packed {
        false => Cow::Borrowed(r.take_rest()),
        true => Cow::Owned(unpack(r.take_rest())?),
    };
    let images = Images { plan, first, second };
    let read = if is_whole && !kind.partial { images.whole(kind.op, &rows, changes) } else { images.any(kind, &rows, changes) };
    read.map_err(|fault| *fault)
}

/// The images of an event, one or two for each change.
struct Images<'a> {
    plan: &'a Plan,
    /// The columns that the first image of a change has, and those of the second.
    first: &'a [u8],
    second: &'a [u8],
}

impl Images<'_> {
    /// Reads images that have all columns.
    fn whole(&self, op: Op, rows: &[u8], changes: &mut Vec<Change>) -> Result<(), Fault> {
        let plan = self.plan;
        let mut r = Reader::new(rows, "a row");
        let mut length = rows.len();
        while !r.is_empty() {
            let (first, rest) = plan.read_row(r)?;
            let (before, after) = match op {
                Op::Insert | Op::Upsert => {
                    r = rest;
                    (None, Some(first))
                }
                Op::Delete => {
                    r = rest;
                    (Some(first), None)
                }
                Op::Update => {
                    let after;
                    (after, r) = plan.read_row_after(rest, &first)?;
                    (Some(first), Some(after))
                }
            };
            if changes.len() == changes.capacity() {
                // The other rows of the event are about as long as this one.
                changes.reserve(1 + r.len() / (length - r.len()).max(1));
            }
            length = r.len();
            changes.push(Change { schema: plan.schema.clone(), op, key: None, before, after });
        }
        Ok(())
    }

    /// Reads images that may lack columns, or hold only the changes of JSON columns.
    fn any(&self, kind: RowsKind, rows: &[u8], changes: &mut Vec<Change>) -> Result<(), Fault> {
        let mut r = Reader::new(rows, "a row");
        while !r.is_empty() {
            let first = self.plan.read_any_row(&mut r, self.first, None, None)?;
            let (before, after) = match kind.op {
                Op::Delete => (Some(first), None),
                Op::Insert | Op::Upsert => (None, Some(first)),
                Op::Update => {
                    let partial = if kind.partial { self.partial(&mut r)? } else { None };
                    let after = self.plan.read_any_row(&mut r, self.second, partial, Some(&first))?;
                    (Some(first), Some(after))
                }
            };
            changes.push(Change { schema: self.plan.schema.clone(), op: kind.op, key: None, before, after });
        }
        Ok(())
    }

    /// A bit for each JSON column of the image that follows: whether it is there as changes only.
    fn partial<'b>(&self, r: &mut Reader<'b>) -> Result<Option<&'b [u8]>, DecodeError> {
        const PARTIAL_JSON: u64 = 1;
        match r.lenenc()? {
            0 => Ok(None),
            PARTIAL_JSON => r.take(self.plan.documents().div_ceil(8)).map(Some),
            other => Err(DecodeError::unsupported(
                format!("row value options {other}"),
                "unset binlog_row_value_options on the server",
            )),
        }
    }
}

fn has_all(bits: &[u8], plan: &Plan) -> bool {
    (0..plan.columns()).all(|i| bits[i / 8] & (1 << (i % 8)) != 0)
}
