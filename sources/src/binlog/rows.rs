//! Row events: the changes of one statement to one table.

use std::borrow::Cow;

use thalweg_graph::{Change, Op};

use super::DecodeError;
use super::bytes::Reader;
use super::control::unpack;
use super::frame::kind;
use super::plan::Plan;

const IMAGE_CURE: &str = "set binlog_row_image = 'FULL' on the server, for all sessions";

/// What a row event does, whatever its version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowsKind {
    /// Insert, update or delete.
    pub op: Op,
    /// Version 2 has an extra header.
    version_2: bool,
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
            kind::WRITE_ROWS_COMPRESSED_V1 => (Op::Insert, false, true),
            kind::UPDATE_ROWS_COMPRESSED_V1 => (Op::Update, false, true),
            kind::DELETE_ROWS_COMPRESSED_V1 => (Op::Delete, false, true),
            kind::WRITE_ROWS_COMPRESSED => (Op::Insert, true, true),
            kind::UPDATE_ROWS_COMPRESSED => (Op::Update, true, true),
            kind::DELETE_ROWS_COMPRESSED => (Op::Delete, true, true),
            _ => return None,
        };
        Some(RowsKind { op, version_2, packed })
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
    require_all(r.take(plan.columns().div_ceil(8))?, plan)?;
    if kind.op == Op::Update {
        require_all(r.take(plan.columns().div_ceil(8))?, plan)?;
    }
    let rows = match kind.packed {
        false => Cow::Borrowed(r.take_rest()),
        true => Cow::Owned(unpack(r.take_rest())?),
    };
    decode_images(kind.op, &rows, plan, changes)
}

fn decode_images(op: Op, rows: &[u8], plan: &Plan, changes: &mut Vec<Change>) -> Result<(), DecodeError> {
    let mut r = Reader::new(rows, "a row");
    while !r.is_empty() {
        let first = plan.read_row(&mut r, None)?;
        let (before, after) = match op {
            Op::Delete => (Some(first), None),
            Op::Update => {
                let after = plan.read_row(&mut r, Some(&first))?;
                (Some(first), Some(after))
            }
            Op::Insert | Op::Upsert => (None, Some(first)),
        };
        changes.push(Change { schema: plan.schema.clone(), op, key: None, before, after });
    }
    Ok(())
}

/// Every column must be in the image.
fn require_all(bits: &[u8], plan: &Plan) -> Result<(), DecodeError> {
    let all = (0..plan.columns()).all(|i| bits[i / 8] & (1 << (i % 8)) != 0);
    let refused = || DecodeError::unsupported(format!("a row of {} with columns left out", plan.schema.table), IMAGE_CURE);
    if all { Ok(()) } else { Err(refused()) }
}
