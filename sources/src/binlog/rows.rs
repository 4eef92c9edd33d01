//! Row events: the changes of one statement to one table.

use std::borrow::Cow;

use thalweg_graph::{Change, Op, Row, RowBlock};

use super::DecodeError;
use super::bytes::Reader;
use super::cells::{Cell, Fault, Texts};
use super::frame::kind;
use super::packed::unpack;
use super::plan::{AnyImage, Plan};

/// Cells of a block: it is in memory as long as one of its rows is, so it does not grow with its event.
const BLOCK_CELLS: usize = 1_024;

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
    let images = Images { plan, first, second, texts: Texts::new(&rows) };
    let mut rest = &*rows;
    while !rest.is_empty() {
        rest = images.block(kind, is_whole && !kind.partial, rest, changes).map_err(|fault| *fault)?;
    }
    Ok(())
}

/// The images of an event, one or two for each change.
struct Images<'a> {
    plan: &'a Plan,
    /// The columns that the first image of a change has, and those of the second.
    first: &'a [u8],
    second: &'a [u8],
    texts: Texts<'a>,
}

impl Images<'_> {
    /// Reads changes whose images lie in one block, which is most of an event of 8 KiB, as servers write them by default.
    fn block<'b>(
        &self,
        kind: RowsKind,
        is_whole: bool,
        mut rest: &'b [u8],
        changes: &mut Vec<Change>,
    ) -> Result<&'b [u8], Fault> {
        let each = self.plan.columns() * if kind.op == Op::Update { 2 } else { 1 };
        let mut cells = Vec::with_capacity(each);
        let result = loop {
            let (left, used) = (rest.len(), cells.len());
            // Made right before they are written, while they are in the cache.
            cells.extend((0..each).map(|_| None));
            let of_change = &mut cells[used..];
            match if is_whole { self.whole(kind.op, rest, of_change) } else { self.any(kind, rest, of_change) } {
                Ok(after) => rest = after,
                Err(fault) => {
                    cells.truncate(used);
                    break Err(fault);
                }
            }
            if rest.is_empty() || cells.len() >= BLOCK_CELLS {
                break Ok(rest);
            }
            if cells.len() == cells.capacity() {
                // The other rows of the event are about as long as this one.
                let more = (1 + rest.len() / (left - rest.len()).max(1)).min(1 + BLOCK_CELLS / each);
                cells.reserve_exact(more * each);
            }
        };
        let has_heap = self.texts.take_heap() || !is_whole;
        self.hand_out(kind.op, cells, has_heap, changes);
        result
    }

    /// The changes whose cells these are; of which some may have bytes on the heap, or none has.
    fn hand_out(&self, op: Op, cells: Vec<Cell>, has_heap: bool, changes: &mut Vec<Change>) {
        let (columns, count) = (self.plan.columns(), cells.len());
        let change = |before, after| Change { schema: self.plan.schema.clone(), op, key: None, before, after };
        if count == columns && op != Op::Update {
            let row = Some(Row::from(cells));
            return changes.push(if op == Op::Delete { change(row, None) } else { change(None, row) });
        }
        let block = if has_heap { RowBlock::new(cells) } else { RowBlock::of_plain(cells) };
        let row = |start: usize| Some(block.row(start..start + columns));
        match op {
            Op::Insert | Op::Upsert => changes.extend((0..count).step_by(columns).map(|at| change(None, row(at)))),
            Op::Delete => changes.extend((0..count).step_by(columns).map(|at| change(row(at), None))),
            Op::Update => changes.extend((0..count).step_by(2 * columns).map(|at| change(row(at), row(at + columns)))),
        }
    }

    /// Reads one change whose images have all columns.
    #[inline]
    fn whole<'b>(&self, op: Op, rest: &'b [u8], cells: &mut [Cell]) -> Result<&'b [u8], Fault> {
        let (first, second) = cells.split_at_mut(self.plan.columns());
        let rest = self.plan.read_row(rest, &self.texts, first)?;
        if op == Op::Update { self.plan.read_row_after(rest, &self.texts, first, second) } else { Ok(rest) }
    }

    /// Reads one change whose images may lack columns, or hold only the changes of JSON columns.
    fn any<'b>(&self, kind: RowsKind, rest: &'b [u8], cells: &mut [Cell]) -> Result<&'b [u8], Fault> {
        let (first, second) = cells.split_at_mut(self.plan.columns());
        let image = AnyImage { present: self.first, partial: None, before: None };
        let rest = self.plan.read_any_row(rest, &self.texts, image, first)?;
        if kind.op != Op::Update {
            return Ok(rest);
        }
        let mut r = Reader::new(rest, "a row");
        let partial = if kind.partial { self.partial(&mut r)? } else { None };
        let image = AnyImage { present: self.second, partial, before: Some(first) };
        self.plan.read_any_row(r.take_rest(), &self.texts, image, second)
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
