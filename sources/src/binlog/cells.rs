//! How the bytes of one column become one cell of a row.
//!
//! This is the inner loop of reading a log, so its shape is dictated by what it costs: an operation is chosen once per table map
//! ([`super::plan`]), and each one writes its value straight into its cell. A value that is returned first and moved then costs
//! more than reading it: its bytes are written in pieces, and the processor must wait before it can read them as a whole. Long texts are
//! not copied one by one: they are parts of one copy of the event's rows ([`Texts`]).

use std::cell::OnceCell;
use std::sync::Arc;

use thalweg_formulas::decimal::Decimal;
use thalweg_formulas::{Duration, Text, TextBuffer, Timestamp, Value};

use super::DecodeError;
use super::bytes::Reader;
use super::charset::Charset;
use super::decimal::Packing;
use super::jsonb::Numbers;
use super::packed::unpack_column;
use super::temporal::{self, Fraction};
use super::{json, jsonb, text_forms};

/// A cell; `None`: the image does not have the column.
pub(crate) type Cell = Option<Value>;

/// What a cell may fail with; boxed, so that success is one register.
pub(crate) type Fault = Box<DecodeError>;

/// How one column is read. With a tag of its own, not one hidden in a field, since it is looked at for every value.
#[derive(Clone, Debug)]
#[repr(u8)]
pub(crate) enum Op {
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
    Double,
    Decimal(Packing),
    Date,
    Datetime(Fraction),
    Timestamp(Fraction),
    Time(Fraction),
    /// UTF-8 text with its length before it in `prefix` bytes.
    Utf8 {
        prefix: u8,
    },
    Bytes {
        prefix: u8,
    },
    Enum {
        bytes: u8,
        members: Box<[Value]>,
    },
    Rare(Rare),
}

/// What is less frequent, or slow in itself.
#[derive(Clone, Debug)]
pub(crate) enum Rare {
    Float,
    Year,
    Bit {
        bytes: u8,
    },
    /// The forms from before MySQL 5.6, without fractions.
    OldDatetime,
    OldTimestamp,
    OldTime,
    /// Text in another character set than UTF-8.
    Text {
        prefix: u8,
        charset: Charset,
    },
    /// Text or bytes, each value compressed by itself (MariaDB).
    Packed {
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
    /// JSON as text (MariaDB).
    Json {
        prefix: u8,
        charset: Charset,
    },
    /// JSON in MySQL's binary form.
    Jsonb {
        prefix: u8,
        numbers: Numbers,
    },
    Set {
        bytes: u8,
        members: Box<[Arc<str>]>,
    },
}

/// The bytes of an event's rows, shared by the texts that are parts of them; copied when the first text needs it.
pub(crate) struct Texts<'a> {
    rows: &'a [u8],
    buffer: OnceCell<TextBuffer>,
}

impl<'a> Texts<'a> {
    pub(crate) fn new(rows: &'a [u8]) -> Self {
        Texts { rows, buffer: OnceCell::new() }
    }

    /// Puts `bytes`, with `left` bytes behind them, into `cell`: as text, or as bytes if they are no UTF-8.
    #[inline(always)]
    fn read(&self, bytes: &[u8], left: usize, cell: &mut Cell) {
        let text = match bytes.len() {
            0..=Text::SHORT_MAX => Text::from_utf8(bytes),
            len => {
                let end = self.rows.len() - left;
                self.buffer.get_or_init(|| TextBuffer::new(self.rows)).text(end - len..end)
            }
        };
        match text {
            Some(text) => *cell = Some(Value::Text(text)),
            None => *cell = Some(Value::Bytes(bytes.into())),
        }
    }
}

impl Op {
    /// Reads one value, which is not NULL, into `cell`.
    #[inline(always)]
    pub(crate) fn read(&self, r: &mut Reader<'_>, texts: &Texts<'_>, cell: &mut Cell) -> Result<(), Fault> {
        match self {
            Op::Int1 => *cell = Some(Value::Int(i64::from(r.u8()? as i8))),
            Op::Uint1 => *cell = Some(Value::Uint(u64::from(r.u8()?))),
            Op::Int2 => *cell = Some(Value::Int(i64::from(r.u16()? as i16))),
            Op::Uint2 => *cell = Some(Value::Uint(u64::from(r.u16()?))),
            Op::Int3 => *cell = Some(Value::Int(i64::from((r.u24()? << 8) as i32 >> 8))),
            Op::Uint3 => *cell = Some(Value::Uint(u64::from(r.u24()?))),
            Op::Int4 => *cell = Some(Value::Int(i64::from(r.u32()? as i32))),
            Op::Uint4 => *cell = Some(Value::Uint(u64::from(r.u32()?))),
            Op::Int8 => *cell = Some(Value::Int(r.u64()? as i64)),
            Op::Uint8 => *cell = Some(Value::Uint(r.u64()?)),
            Op::Double => *cell = Some(Value::double(f64::from_bits(r.u64()?))),
            Op::Decimal(packing) => match packing.small(r)? {
                Some((mantissa, scale)) => *cell = Some(Value::Decimal(Decimal::Small { mantissa, scale })),
                None => *cell = Some(Value::Decimal(packing.read(r.take(packing.len())?)?)),
            },
            Op::Date => match temporal::date(r.u24()?) {
                Ok(t) => *cell = Some(Value::Timestamp(Timestamp(t))),
                Err(civil) => *cell = Some(civil.date()),
            },
            Op::Datetime(fraction) => match temporal::datetime(r.u40_be()?, fraction.micros(r)?) {
                Ok(t) => *cell = Some(Value::Timestamp(Timestamp(t))),
                Err(civil) => *cell = Some(civil.datetime(fraction.digits())),
            },
            Op::Timestamp(fraction) => match temporal::timestamp(u32::from_be_bytes(r.array()?), fraction.micros(r)?) {
                Ok(t) => *cell = Some(Value::Timestamp(Timestamp(t))),
                Err(civil) => *cell = Some(civil.datetime(fraction.digits())),
            },
            Op::Time(fraction) => *cell = Some(Value::Duration(Duration(fraction.time(r)?))),
            Op::Utf8 { prefix } => {
                let bytes = counted(r, *prefix)?;
                texts.read(bytes, r.len(), cell);
            }
            Op::Enum { bytes, members } => match member(members, r.uint_le(usize::from(*bytes))?)? {
                Value::Text(text) => *cell = Some(Value::Text(text.clone())),
                other => *cell = Some(other.clone()),
            },
            Op::Bytes { prefix } => *cell = Some(Value::Bytes(counted(r, *prefix)?.into())),
            // The reader is passed by value, so that it need not be in memory for the sake of this one.
            Op::Rare(rare) => {
                let (value, after) = rare.read(*r)?;
                *r = after;
                *cell = Some(value);
            }
        }
        Ok(())
    }

    /// The same for a cell of an image behind another: text and bytes that are the same in `before` are shared with it, as most columns of
    /// most updates are.
    #[inline(always)]
    pub(crate) fn read_after(&self, r: &mut Reader<'_>, texts: &Texts<'_>, before: &Cell, cell: &mut Cell) -> Result<(), Fault> {
        match (self, before) {
            (Op::Utf8 { prefix }, Some(Value::Text(same))) => match counted(r, *prefix)? {
                bytes if *bytes == *same.as_bytes() => *cell = Some(Value::Text(same.clone())),
                bytes => texts.read(bytes, r.len(), cell),
            },
            (Op::Bytes { prefix }, Some(Value::Bytes(same))) => match counted(r, *prefix)? {
                bytes if *bytes == **same => *cell = Some(Value::Bytes(same.clone())),
                bytes => *cell = Some(Value::Bytes(bytes.into())),
            },
            _ => self.read(r, texts, cell)?,
        }
        Ok(())
    }

    /// The same for a JSON column of which only the changes were logged.
    pub(crate) fn read_changes(&self, r: &mut Reader<'_>, before: &Cell, cell: &mut Cell) -> Result<(), Fault> {
        let (Op::Rare(Rare::Jsonb { .. }), Some(before)) = (self, before) else {
            return Err(DecodeError::malformed("changes of what is no JSON document").into());
        };
        *cell = Some(jsonb::apply_diffs(before, counted(r, 4)?)?);
        Ok(())
    }
}

impl Rare {
    #[inline(never)]
    fn read<'a>(&self, mut reader: Reader<'a>) -> Result<(Value, Reader<'a>), Fault> {
        let r = &mut reader;
        let value = match self {
            Rare::Float => float(f32::from_bits(r.u32()?)),
            Rare::Year => Value::Int(year(r.u8()?)),
            Rare::Bit { bytes } => Value::Uint(r.uint_be(usize::from(*bytes))?),
            Rare::OldDatetime => temporal::old_datetime(r.u64()?),
            Rare::OldTimestamp => temporal::old_timestamp(r.u32()?),
            Rare::OldTime => temporal::old_time((r.u24()? << 8) as i32 >> 8),
            Rare::Text { prefix, charset } => charset.decode(counted(r, *prefix)?),
            Rare::Packed { prefix, charset } => charset.decode(&unpack_column(counted(r, *prefix)?)?),
            Rare::Binary { prefix, len } => padded(counted(r, *prefix)?, *len)?,
            Rare::Uuid => Value::text(text_forms::uuid(padded_array(counted(r, 1)?)?)),
            Rare::Inet4 => Value::text(text_forms::inet4(padded_array(counted(r, 1)?)?)),
            Rare::Inet6 => Value::text(text_forms::inet6(padded_array(counted(r, 1)?)?)),
            Rare::Json { prefix, charset } => json(charset.decode(counted(r, *prefix)?)),
            Rare::Jsonb { prefix, numbers } => jsonb::value(counted(r, *prefix)?, *numbers)?,
            Rare::Set { bytes, members } => subset(members, r.uint_le(usize::from(*bytes))?)?,
        };
        Ok((value, reader))
    }
}

/// A FLOAT as the double of its shortest decimal form: 0.1 is 0.1, not 0.10000000149011612, and every FLOAT keeps a value of its own.
pub(crate) fn float(x: f32) -> Value {
    if x.fract() == 0.0 && x.abs() < 1e6 {
        return Value::Double(f64::from(x));
    }
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
        Value::Text(t) => json::parse(t).unwrap_or(text),
        _ => text,
    }
}

#[inline(always)]
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

/// An ENUM counts its members from 1; 0 is the empty text of an invalid value, which stands before them.
#[inline(always)]
fn member(members: &[Value], index: u64) -> Result<&Value, DecodeError> {
    let member = usize::try_from(index).ok().and_then(|i| members.get(i));
    member.ok_or_else(|| DecodeError::malformed(format!("member {index} of an ENUM of {}", members.len() - 1)))
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
