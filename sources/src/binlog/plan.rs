//! One decoding plan per table map: for each column how its bytes become a value, and the schema that all rows share.

use std::collections::HashMap;
use std::sync::Arc;

use thalweg_formulas::{Type, Value};
use thalweg_graph::transaction::SchemaColumn;
use thalweg_graph::{Row, Schema};

use super::DecodeError;
use super::bytes::Reader;
use super::charset::Charset;
use super::decimal::Packing;
use super::table_map::{Column, TableMap, wire};
use super::{temporal, text_forms};

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
}

/// Hints by table (`db.table`) and column.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hints(HashMap<String, HashMap<String, Hint>>);

impl Hints {
    /// Adds one.
    pub fn add(&mut self, table: &str, column: &str, hint: Hint) {
        self.0.entry(table.to_string()).or_default().insert(column.to_string(), hint);
    }

    fn of(&self, table: &str, column: &str) -> Option<Hint> {
        self.0.get(table)?.get(column).copied()
    }
}

/// How the rows of one table map are read.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The layout of the rows.
    pub schema: Arc<Schema>,
    ops: Box<[Op]>,
}

/// How one column is read.
#[derive(Clone, Debug)]
enum Op {
    Int1,
    Uint1,
    Int2,
    Uint2,
    Int3,
    Uint3,
    Int4,
    Uint4,
    Int8,
    Uint8,
    Float,
    Double,
    Decimal(Packing),
    Year,
    Bit {
        bytes: u8,
    },
    Date,
    Datetime {
        digits: u8,
    },
    Timestamp {
        digits: u8,
    },
    Time {
        digits: u8,
    },
    /// Text or bytes with their length before them in `prefix` bytes.
    String {
        prefix: u8,
        charset: Charset,
    },
    /// Fixed bytes whose zeros at the end are cut off in the log.
    Binary {
        prefix: u8,
        len: usize,
    },
    Uuid,
    Inet4,
    Inet6,
    Json {
        prefix: u8,
        charset: Charset,
    },
    Enum {
        bytes: u8,
        members: Box<[Value]>,
    },
    Set {
        bytes: u8,
        members: Box<[Arc<str>]>,
    },
}

const METADATA_CURE: &str = "run on the server: SET GLOBAL binlog_row_metadata = 'FULL'";

impl Plan {
    /// The plan for a table map.
    ///
    /// # Errors
    /// A column without a name (metadata not FULL), or of a type that is refused.
    pub fn new(map: &TableMap, hints: &Hints) -> Result<Plan, DecodeError> {
        let table = format!("{}.{}", map.database, map.table);
        let mut columns = Vec::with_capacity(map.columns.len());
        let mut ops = Vec::with_capacity(map.columns.len());
        for column in &map.columns {
            let name = column.name.as_deref();
            let name =
                name.ok_or_else(|| DecodeError::unsupported(format!("a row of {table} without column names"), METADATA_CURE))?;
            let (op, ty) = compile(column, hints.of(&table, name)).map_err(|e| naming(e, &table, name))?;
            columns.push(SchemaColumn { name: name.into(), ty });
            ops.push(op);
        }
        let schema = Schema { table: table.into(), columns, key: map.key.clone() };
        Ok(Plan { schema: Arc::new(schema), ops: ops.into() })
    }

    /// How many columns a row has.
    pub fn columns(&self) -> usize {
        self.ops.len()
    }

    /// Reads one image whose columns are all there. Text and bytes that are the same in `before`, the image before it, are shared with it.
    ///
    /// # Errors
    /// Bytes that do not fit the table map.
    #[inline]
    pub(crate) fn read_row(&self, r: &mut Reader<'_>, before: Option<&Row>) -> Result<Row, DecodeError> {
        let nulls = r.take(self.ops.len().div_ceil(8))?;
        let mut row = Vec::with_capacity(self.ops.len());
        for (i, op) in self.ops.iter().enumerate() {
            let is_null = nulls[i / 8] & (1 << (i % 8)) != 0;
            row.push(Some(match (op, before) {
                _ if is_null => Value::Null,
                (Op::String { prefix, charset }, Some(before)) => shared(*charset, counted(r, *prefix)?, before[i].as_ref()),
                _ => op.read(r)?,
            }));
        }
        Ok(row.into_boxed_slice())
    }
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

fn compile(column: &Column, hint: Option<Hint>) -> Result<(Op, Type), DecodeError> {
    use wire::*;
    let [first, second] = column.meta;
    let number = |signed, unsigned| match column.unsigned {
        false => (signed, Type::Int),
        true => (unsigned, Type::Uint),
    };
    Ok(match column.kind {
        TINY => number(Op::Int1, Op::Uint1),
        SHORT => number(Op::Int2, Op::Uint2),
        INT24 => number(Op::Int3, Op::Uint3),
        LONG => number(Op::Int4, Op::Uint4),
        LONGLONG => number(Op::Int8, Op::Uint8),
        FLOAT => (Op::Float, Type::Double),
        DOUBLE => (Op::Double, Type::Double),
        DECIMAL => (Op::Decimal(Packing::new(first, second)?), Type::Decimal { precision: first, scale: second }),
        YEAR => (Op::Year, Type::Int),
        BIT => bit(first, second)?,
        DATE | NEWDATE => (Op::Date, Type::Timestamp),
        DATETIME => (Op::Datetime { digits: temporal::digits(first)? }, Type::Timestamp),
        TIMESTAMP => (Op::Timestamp { digits: temporal::digits(first)? }, Type::Timestamp),
        TIME => (Op::Time { digits: temporal::digits(first)? }, Type::Duration),
        VARCHAR | VAR_STRING => string(if u16::from_le_bytes(column.meta) < 256 { 1 } else { 2 }, column, hint),
        STRING => fixed_string(column, hint),
        BLOB | GEOMETRY if !(1..=4).contains(&first) => return Err(DecodeError::malformed(format!("a length of {first} bytes"))),
        BLOB => string(first, column, hint),
        GEOMETRY => (Op::String { prefix: first, charset: Charset::Binary }, Type::Bytes),
        ENUM => enumeration(column)?,
        SET => set(column)?,
        OLD_TIMESTAMP | OLD_TIME | OLD_DATETIME => {
            let cure = "set mysql56_temporal_format=ON on the server and run ALTER TABLE … FORCE on the table";
            return Err(DecodeError::unsupported("a date or time in the format of before MariaDB 10.1", cure));
        }
        VARCHAR_COMPRESSED | BLOB_COMPRESSED => {
            return Err(DecodeError::unsupported(
                "a COMPRESSED column",
                "run ALTER TABLE … MODIFY the column without COMPRESSED",
            ));
        }
        other => return Err(DecodeError::unsupported(format!("column type {other}"), "leave the table out of `tables`")),
    })
}

fn bit(bits: u8, bytes: u8) -> Result<(Op, Type), DecodeError> {
    let total = u16::from(bytes) * 8 + u16::from(bits);
    if total == 0 || total > 64 {
        return Err(DecodeError::malformed(format!("BIT({total})")));
    }
    Ok((Op::Bit { bytes: total.div_ceil(8) as u8 }, Type::Uint))
}

fn string(prefix: u8, column: &Column, hint: Option<Hint>) -> (Op, Type) {
    let charset = column.charset;
    match hint {
        Some(Hint::Json) if charset.is_text() => (Op::Json { prefix, charset }, Type::Dyn),
        _ => (Op::String { prefix, charset }, text_or_bytes(charset)),
    }
}

fn fixed_string(column: &Column, hint: Option<Hint>) -> (Op, Type) {
    let len = column.string_len();
    let prefix = if len > 255 { 2 } else { 1 };
    match (column.charset, hint, len) {
        (Charset::Binary, Some(Hint::Uuid), 16) => (Op::Uuid, Type::Text),
        (Charset::Binary, Some(Hint::Inet6), 16) => (Op::Inet6, Type::Text),
        (Charset::Binary, Some(Hint::Inet4), 4) => (Op::Inet4, Type::Text),
        (Charset::Binary, ..) => (Op::Binary { prefix, len }, Type::Bytes),
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
    let members = column.members.iter().map(|m| column.charset.decode(m)).collect();
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
    Ok((Op::Set { bytes, members: members.ok_or_else(refused)? }, Type::Text))
}

impl Op {
    #[inline]
    fn read(&self, r: &mut Reader<'_>) -> Result<Value, DecodeError> {
        Ok(match self {
            Op::Int1 => Value::Int(i64::from(r.u8()? as i8)),
            Op::Uint1 => Value::Uint(u64::from(r.u8()?)),
            Op::Int2 => Value::Int(i64::from(r.u16()? as i16)),
            Op::Uint2 => Value::Uint(u64::from(r.u16()?)),
            Op::Int3 => Value::Int(i64::from((r.u24()? << 8) as i32 >> 8)),
            Op::Uint3 => Value::Uint(u64::from(r.u24()?)),
            Op::Int4 => Value::Int(i64::from(r.u32()? as i32)),
            Op::Uint4 => Value::Uint(u64::from(r.u32()?)),
            Op::Int8 => Value::Int(r.u64()? as i64),
            Op::Uint8 => Value::Uint(r.u64()?),
            Op::Float => float(f32::from_bits(r.u32()?)),
            Op::Double => Value::double(f64::from_bits(r.u64()?)),
            Op::Decimal(packing) => Value::Decimal(packing.read(r.take(packing.len())?)?),
            Op::Year => Value::Int(year(r.u8()?)),
            Op::Bit { bytes } => Value::Uint(r.uint_be(usize::from(*bytes))?),
            Op::Date => temporal::date(r)?,
            Op::Datetime { digits } => temporal::datetime(r, *digits)?,
            Op::Timestamp { digits } => temporal::timestamp(r, *digits)?,
            Op::Time { digits } => temporal::time(r, *digits)?,
            Op::String { prefix, charset } => charset.decode(counted(r, *prefix)?),
            Op::Binary { prefix, len } => padded(counted(r, *prefix)?, *len)?,
            Op::Uuid => Value::text(text_forms::uuid(padded_array(counted(r, 1)?)?)),
            Op::Inet4 => Value::text(text_forms::inet4(padded_array(counted(r, 1)?)?)),
            Op::Inet6 => Value::text(text_forms::inet6(padded_array(counted(r, 1)?)?)),
            Op::Json { prefix, charset } => json(charset.decode(counted(r, *prefix)?)),
            Op::Enum { bytes, members } => member(members, r.uint_le(usize::from(*bytes))?)?,
            Op::Set { bytes, members } => subset(members, r.uint_le(usize::from(*bytes))?)?,
        })
    }
}

/// A FLOAT as the double of its shortest decimal form: 0.1 is 0.1, not 0.10000000149011612, and every FLOAT keeps a value of its own.
pub(crate) fn float(x: f32) -> Value {
    let mut shortest = [0u8; 64];
    let mut at = std::io::Cursor::new(&mut shortest[..]);
    // The shortest form of any f32 fits 64 bytes in exponent notation.
    let written = std::io::Write::write_fmt(&mut at, format_args!("{x:e}")).is_ok();
    let len = at.position() as usize;
    let text = std::str::from_utf8(&shortest[..len]).ok().filter(|_| written);
    Value::double(text.and_then(|t| t.parse().ok()).unwrap_or(f64::from(x)))
}

/// YEAR: years since 1900; 0 is the year 0000.
fn year(byte: u8) -> i64 {
    if byte == 0 { 0 } else { 1900 + i64::from(byte) }
}

/// A JSON column's text as the value that it says; what is no JSON stays as it is.
pub(crate) fn json(text: Value) -> Value {
    match &text {
        Value::Text(t) => super::json::parse(t).unwrap_or(text),
        _ => text,
    }
}

/// The value of `bytes`, which is that of the image before if its bytes are the same: most columns of most updates.
#[inline]
fn shared(charset: Charset, bytes: &[u8], before: Option<&Value>) -> Value {
    match (charset, before) {
        (Charset::Utf8, Some(Value::Text(text))) if text.as_bytes() == bytes => Value::Text(text.clone()),
        (Charset::Binary, Some(Value::Bytes(same))) if **same == *bytes => Value::Bytes(same.clone()),
        _ => charset.decode(bytes),
    }
}

#[inline]
fn counted<'a>(r: &mut Reader<'a>, prefix: u8) -> Result<&'a [u8], DecodeError> {
    let len = match prefix {
        1 => usize::from(r.u8()?),
        2 => usize::from(r.u16()?),
        _ => r.uint_le(usize::from(prefix))? as usize,
    };
    r.take(len)
}

fn padded(bytes: &[u8], len: usize) -> Result<Value, DecodeError> {
    if bytes.len() > len {
        return Err(DecodeError::malformed(format!("{} bytes in a column of {len}", bytes.len())));
    }
    let zeros = std::iter::repeat_n(0, len - bytes.len());
    Ok(Value::Bytes(bytes.iter().copied().chain(zeros).collect()))
}

fn padded_array<const N: usize>(bytes: &[u8]) -> Result<[u8; N], DecodeError> {
    let mut out = [0; N];
    let head =
        out.get_mut(..bytes.len()).ok_or_else(|| DecodeError::malformed(format!("{} bytes in a column of {N}", bytes.len())))?;
    head.copy_from_slice(bytes);
    Ok(out)
}

/// An ENUM counts its members from 1; 0 is the empty text of an invalid value.
fn member(members: &[Value], index: u64) -> Result<Value, DecodeError> {
    if index == 0 {
        return Ok(Value::text(""));
    }
    let member = usize::try_from(index - 1).ok().and_then(|i| members.get(i));
    member.cloned().ok_or_else(|| DecodeError::malformed(format!("member {index} of an ENUM of {}", members.len())))
}

/// The members whose bits are set, in order, with commas between, as SQL prints them.
fn subset(members: &[Arc<str>], bits: u64) -> Result<Value, DecodeError> {
    let known = if members.len() < 64 { (1 << members.len()) - 1 } else { u64::MAX };
    if bits & !known != 0 {
        return Err(DecodeError::malformed(format!("a member beyond the {} of a SET", members.len())));
    }
    let chosen: Vec<&str> = members.iter().enumerate().filter(|(i, _)| bits >> i & 1 != 0).map(|(_, m)| &**m).collect();
    Ok(Value::text(chosen.join(",")))
}
