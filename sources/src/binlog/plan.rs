//! One decoding plan per table map: for each column how its bytes become a value, and the schema that all rows share.

use std::collections::HashMap;
use std::sync::Arc;

use thalweg_formulas::{Type, Value};
use thalweg_graph::Schema;
use thalweg_graph::transaction::SchemaColumn;

use super::DecodeError;
use super::bytes::Reader;
use super::cells::{Cell, Fault, Op, Rare, Texts, put};
pub(crate) use super::cells::{float, json};
use super::charset::Charset;
use super::control::Flavour;
use super::decimal::Packing;
use super::jsonb::Numbers;
use super::sql_type;
use super::table_map::{Column, TableMap, wire};
use super::temporal::Fraction;

/// What the log does not tell of a column and `information_schema` does. Without a hint such a column is bytes, or the JSON's text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Hint {
    /// UUID, 16 bytes in the log.
    Uuid,
    /// INET4, 4 bytes.
    Inet4,
    /// INET6, 16 bytes.
    Inet6,
    /// JSON, text in the log.
    Json,
    /// A number without sign (Dolt tells no signs).
    Unsigned,
    /// The character set, where the log tells another or none.
    Charset(Charset),
    /// A DATETIME, TIME or TIMESTAMP without fraction in the form of before MySQL 5.6: MariaDB logs those with a fraction in the same way.
    WholeSeconds,
}

/// Hints by table (`db.table`): of its columns, and its key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hints(HashMap<String, TableHints>);

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct TableHints {
    columns: HashMap<String, Hint>,
    key: Vec<String>,
}

impl Hints {
    /// Adds one for a column.
    pub fn add(&mut self, table: &str, column: &str, hint: Hint) {
        self.0.entry(table.to_string()).or_default().columns.insert(column.to_string(), hint);
    }

    /// The primary key's columns in key order, for logs that do not tell it (Dolt).
    pub fn add_key(&mut self, table: &str, columns: impl IntoIterator<Item = String>) {
        self.0.entry(table.to_string()).or_default().key = columns.into_iter().collect();
    }

    fn of(&self, table: &str, column: &str) -> Option<Hint> {
        self.0.get(table)?.columns.get(column).copied()
    }

    /// Positions of the key's columns; none if one of them is not there.
    fn key(&self, table: &str, columns: &[SchemaColumn]) -> Vec<u32> {
        let names = self.0.get(table).map_or(&[][..], |hints| &hints.key);
        let position = |name: &String| columns.iter().position(|c| *c.name == **name).map(|i| i as u32);
        names.iter().map(position).collect::<Option<_>>().unwrap_or_default()
    }
}

/// How the rows of one table map are read.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The layout of the rows.
    pub schema: Arc<Schema>,
    /// Images may leave out columns: Dolt does so with virtual ones.
    pub(crate) may_leave_out: bool,
    ops: Box<[Op]>,
}

const METADATA_CURE: &str = "run on the server: SET GLOBAL binlog_row_metadata = 'FULL'";

impl Plan {
    /// The plan for a table map.
    ///
    /// # Errors
    /// A column without a name (metadata not FULL), or of a type that is refused.
    pub fn new(map: &TableMap, hints: &Hints, flavour: Flavour) -> Result<Plan, DecodeError> {
        let table = format!("{}.{}", map.database, map.table);
        let mut columns = Vec::with_capacity(map.columns.len());
        let mut ops = Vec::with_capacity(map.columns.len());
        for column in &map.columns {
            let name = column.name.as_deref();
            let name =
                name.ok_or_else(|| DecodeError::unsupported(format!("a row of {table} without column names"), METADATA_CURE))?;
            let (op, ty) = compile(column, hints.of(&table, name), flavour).map_err(|e| naming(e, &table, name))?;
            columns.push(SchemaColumn { name: name.into(), ty, sql: sql_type::of_log(column) });
            ops.push(op);
        }
        let key = if map.key.is_empty() { hints.key(&table, &columns) } else { map.key.clone() };
        let schema = Schema { table: table.into(), columns, key };
        Ok(Plan { schema: Arc::new(schema), may_leave_out: flavour == Flavour::Dolt, ops: ops.into() })
    }

    /// How many columns a row has.
    pub fn columns(&self) -> usize {
        self.ops.len()
    }

    /// How many of them hold JSON in MySQL's binary form.
    pub(crate) fn documents(&self) -> usize {
        self.ops.iter().filter(|op| matches!(op, Op::Rare(Rare::Jsonb { .. }))).count()
    }

    /// Whether a row may take far more memory than its bytes in the log: it has documents, or values that are compressed.
    pub(crate) fn may_swell(&self) -> bool {
        self.ops.iter().any(|op| matches!(op, Op::Rare(Rare::Jsonb { .. } | Rare::Json { .. } | Rare::Packed { .. })))
    }

    /// Reads one image whose columns are all there into `cells`, one for each column and all absent; gives back what is behind it.
    ///
    /// # Errors
    /// Bytes that do not fit the table map.
    pub(crate) fn read_row<'a>(&self, rest: &'a [u8], texts: &Texts<'_>, cells: &mut [Cell]) -> Result<&'a [u8], Fault> {
        let (mut nulls, mut rest) = self.nulls(rest)?;
        if self.ops.len() <= 64 {
            return read_cells(&self.ops, bits(&mut nulls), rest, texts, cells);
        }
        for (ops, cells) in self.ops.chunks(64).zip(cells.chunks_mut(64)) {
            rest = read_cells(ops, bits(&mut nulls), rest, texts, cells)?;
        }
        Ok(rest)
    }

    /// The same for the image that follows `before`, which has all columns too.
    ///
    /// # Errors
    /// Bytes that do not fit the table map.
    pub(crate) fn read_row_after<'a>(
        &self,
        rest: &'a [u8],
        texts: &Texts<'_>,
        before: &[Cell],
        cells: &mut [Cell],
    ) -> Result<&'a [u8], Fault> {
        let (mut nulls, mut rest) = self.nulls(rest)?;
        let columns = self.ops.chunks(64).zip(before.chunks(64)).zip(cells.chunks_mut(64));
        for ((ops, before), cells) in columns {
            let mut nulls = bits(&mut nulls);
            for ((op, before), cell) in ops.iter().zip(before).zip(cells) {
                match nulls & 1 {
                    0 => rest = op.read_after(rest, texts, before, cell)?,
                    _ => put(cell, Value::Null),
                }
                nulls >>= 1;
            }
        }
        Ok(rest)
    }

    /// A bit for each column, in as many bytes as they take, and the values behind them.
    #[inline(always)]
    fn nulls<'a>(&self, rest: &'a [u8]) -> Result<(&'a [u8], &'a [u8]), Fault> {
        let too_short = || Fault::from(DecodeError::Truncated { what: "a row" });
        rest.split_at_checked(self.ops.len().div_ceil(8)).ok_or_else(too_short)
    }

    /// The same for any image.
    ///
    /// # Errors
    /// Bytes that do not fit the table map.
    pub(crate) fn read_any_row<'a>(
        &self,
        rest: &'a [u8],
        texts: &Texts<'_>,
        image: AnyImage<'_>,
        cells: &mut [Cell],
    ) -> Result<&'a [u8], Fault> {
        let mut r = Reader::new(rest, "a row");
        let AnyImage { present, partial, before } = image;
        let count: u32 = present.iter().map(|byte| byte.count_ones()).sum();
        let nulls = r.take((count as usize).div_ceil(8))?;
        let is_set = |bits: &[u8], i: usize| bits.get(i / 8).is_some_and(|byte| byte >> (i % 8) & 1 != 0);
        let (mut nth, mut document) = (0, 0);
        for (i, (op, cell)) in self.ops.iter().zip(cells).enumerate() {
            let is_document = matches!(op, Op::Rare(Rare::Jsonb { .. }));
            let is_partial = is_document && partial.is_some_and(|bits| is_set(bits, document));
            document += usize::from(is_document);
            if !is_set(present, i) {
                continue;
            }
            let cell_before = before.map_or(&None, |row| &row[i]);
            match is_set(nulls, nth) {
                true => *cell = Some(Value::Null),
                false if is_partial => op.read_changes(&mut r, cell_before, cell)?,
                false => r = Reader::new(op.read_after(r.take_rest(), texts, cell_before, cell)?, "a row"),
            }
            nth += 1;
        }
        Ok(r.take_rest())
    }
}

/// What an image has that need not have all of its columns.
#[derive(Clone, Copy)]
pub(crate) struct AnyImage<'a> {
    /// A bit for each column that it has.
    pub(crate) present: &'a [u8],
    /// A bit for each JSON column of which it has only the changes against `before`.
    pub(crate) partial: Option<&'a [u8]>,
    /// The image before it.
    pub(crate) before: Option<&'a [Cell]>,
}

/// The inner loop: up to 64 columns, of which `nulls` has a bit each.
#[inline(never)]
fn read_cells<'a>(
    ops: &[Op],
    mut nulls: u64,
    mut rest: &'a [u8],
    texts: &Texts<'_>,
    cells: &mut [Cell],
) -> Result<&'a [u8], Fault> {
    for (op, cell) in ops.iter().zip(cells) {
        match nulls & 1 {
            0 => rest = op.read(rest, texts, cell)?,
            _ => put(cell, Value::Null),
        }
        nulls >>= 1;
    }
    Ok(rest)
}

/// Takes up to eight bytes off, the first one lowest.
#[inline(always)]
fn bits(bytes: &mut &[u8]) -> u64 {
    let (head, rest) = bytes.split_at(bytes.len().min(8));
    *bytes = rest;
    head.iter().rev().fold(0, |bits, byte| bits << 8 | u64::from(*byte))
}

fn naming(error: DecodeError, table: &str, column: &str) -> DecodeError {
    match error {
        DecodeError::Unsupported { what, cure } => {
            DecodeError::Unsupported { what: format!("column `{column}` of {table} ({what})"), cure }
        }
        DecodeError::Malformed { what } => DecodeError::Malformed { what: format!("column `{column}` of {table}: {what}") },
        other => other,
    }
}

fn compile(column: &Column, hint: Option<Hint>, flavour: Flavour) -> Result<(Op, Type), DecodeError> {
    use wire::*;
    let [first, second] = column.meta;
    let number = |signed, unsigned| match column.unsigned || hint == Some(Hint::Unsigned) {
        false => (signed, Type::Int),
        true => (unsigned, Type::Uint),
    };
    Ok(match column.kind {
        TINY => number(Op::Int1, Op::Uint1),
        SHORT => number(Op::Int2, Op::Uint2),
        INT24 => number(Op::Int3, Op::Uint3),
        LONG => number(Op::Int4, Op::Uint4),
        LONGLONG => number(Op::Int8, Op::Uint8),
        FLOAT => (Op::Rare(Rare::Float), Type::Double),
        DOUBLE => (Op::Double, Type::Double),
        DECIMAL => (Op::Decimal(Packing::new(first, second)?), Type::Decimal { precision: first, scale: second }),
        YEAR => (Op::Rare(Rare::Year), Type::Int),
        BIT => bit(first, second)?,
        DATE | NEWDATE => (Op::Date, Type::Timestamp),
        DATETIME => (Op::Datetime(Fraction::new(first)?), Type::Timestamp),
        TIMESTAMP => (Op::Timestamp(Fraction::new(first)?), Type::Timestamp),
        TIME => (Op::Time(Fraction::new(first)?), Type::Duration),
        VARCHAR | VAR_STRING => string(short_prefix(column), column, hint),
        STRING => fixed_string(column, hint),
        BLOB | BLOB_COMPRESSED | GEOMETRY | JSON | VECTOR if !(1..=4).contains(&first) => {
            return Err(DecodeError::malformed(format!("a length of {first} bytes")));
        }
        BLOB => string(first, column, hint),
        GEOMETRY | VECTOR => (Op::Bytes { prefix: first }, Type::Bytes),
        JSON => {
            let numbers = if flavour == Flavour::Dolt { Numbers::Doubles } else { Numbers::Exact };
            (Op::Rare(Rare::Jsonb { prefix: first, numbers }), Type::Dyn)
        }
        ENUM => enumeration(column)?,
        SET => set(column)?,
        VARCHAR_COMPRESSED => packed(short_prefix(column), column),
        BLOB_COMPRESSED => packed(first, column),
        OLD_TIMESTAMP | OLD_TIME | OLD_DATETIME if flavour == Flavour::Mariadb && hint != Some(Hint::WholeSeconds) => {
            let cure = "set mysql56_temporal_format=ON on the server and run ALTER TABLE … FORCE on the table";
            return Err(DecodeError::unsupported("a date or time in the format of before MariaDB 10.1", cure));
        }
        OLD_TIMESTAMP => (Op::Rare(Rare::OldTimestamp), Type::Timestamp),
        OLD_DATETIME => (Op::Rare(Rare::OldDatetime), Type::Timestamp),
        OLD_TIME => (Op::Rare(Rare::OldTime), Type::Duration),
        other => return Err(DecodeError::unsupported(format!("column type {other}"), "leave the table out of `tables`")),
    })
}

/// The bytes of the length of a VARCHAR.
fn short_prefix(column: &Column) -> u8 {
    if u16::from_le_bytes(column.meta) < 256 { 1 } else { 2 }
}

fn packed(prefix: u8, column: &Column) -> (Op, Type) {
    (Op::Rare(Rare::Packed { prefix, charset: column.charset }), text_or_bytes(column.charset))
}

fn bit(bits: u8, bytes: u8) -> Result<(Op, Type), DecodeError> {
    let total = u16::from(bytes) * 8 + u16::from(bits);
    if total == 0 || total > 64 {
        return Err(DecodeError::malformed(format!("BIT({total})")));
    }
    Ok((Op::Rare(Rare::Bit { bytes: total.div_ceil(8) as u8 }), Type::Uint))
}

fn string(prefix: u8, column: &Column, hint: Option<Hint>) -> (Op, Type) {
    let charset = if let Some(Hint::Charset(charset)) = hint { charset } else { column.charset };
    match (charset, hint, prefix) {
        (_, Some(Hint::Json), _) if charset.is_text() => (Op::Rare(Rare::Json { prefix, charset }), Type::Dyn),
        (Charset::Utf8, ..) => (Op::Utf8 { prefix }, Type::Text),
        (Charset::Binary | Charset::Other(_), ..) => (Op::Bytes { prefix }, Type::Bytes),
        _ => (Op::Rare(Rare::Text { prefix, charset }), Type::Text),
    }
}

fn fixed_string(column: &Column, hint: Option<Hint>) -> (Op, Type) {
    let len = column.string_len();
    let prefix = if len > 255 { 2 } else { 1 };
    match (column.charset, hint, len) {
        (Charset::Binary, Some(Hint::Uuid), 16) => (Op::Rare(Rare::Uuid), Type::Text),
        (Charset::Binary, Some(Hint::Inet6), 16) => (Op::Rare(Rare::Inet6), Type::Text),
        (Charset::Binary, Some(Hint::Inet4), 4) => (Op::Rare(Rare::Inet4), Type::Text),
        (Charset::Binary, Some(Hint::Charset(charset)), _) if charset != Charset::Binary => string(prefix, column, hint),
        (Charset::Binary, ..) => (Op::Rare(Rare::Binary { prefix, len }), Type::Bytes),
        _ => string(prefix, column, hint),
    }
}

/// The type of a column with this character set.
pub(crate) fn text_or_bytes(charset: Charset) -> Type {
    if charset.is_text() { Type::Text } else { Type::Bytes }
}

fn enumeration(column: &Column) -> Result<(Op, Type), DecodeError> {
    let bytes = column.meta[1];
    if !(1..=2).contains(&bytes) {
        return Err(DecodeError::malformed(format!("an ENUM of {bytes} bytes")));
    }
    // Number 0 is the empty text of an invalid value.
    let members = [Value::text("")].into_iter().chain(column.members.iter().map(|m| column.charset.decode(m))).collect();
    Ok((Op::Enum { bytes, members }, text_or_bytes(column.charset)))
}

fn set(column: &Column) -> Result<(Op, Type), DecodeError> {
    let bytes = column.meta[1];
    if !(1..=8).contains(&bytes) || column.members.len() > 64 {
        return Err(DecodeError::malformed(format!("a SET of {bytes} bytes and {} members", column.members.len())));
    }
    let text = |m: &Vec<u8>| column.charset.text(m).map(Arc::from);
    let members: Option<Box<[Arc<str>]>> = column.members.iter().map(text).collect();
    let refused = || DecodeError::unsupported("a SET in a character set that is not known here", "convert the column to utf8mb4");
    Ok((Op::Rare(Rare::Set { bytes, members: members.ok_or_else(refused)? }), Type::Text))
}
