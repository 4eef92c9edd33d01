//! How the bytes of one column become one cell of a row.
//!
//! This is the inner loop of reading a log, so its shape is dictated by what it costs: an operation is chosen once per table map
//! ([`super::plan`]), and each one writes its value straight into its cell. A value that is returned first and moved then costs
//! more than reading it: its bytes are written in pieces, and the processor must wait before it can read them as a whole. Long texts are
//! not copied one by one: they are parts of one copy of the event's rows ([`Texts`]).
//!
//! A value is read in one of two ways. The straight one ([`Op::usual`]) knows what nearly all values are, has no errors, and so lies wholly in
//! registers: eight bytes are read where eight are left, a date of these centuries is looked up by its month, a DECIMAL has few digits.
//! The other ([`Op::unusual`]) knows everything else, and says what is wrong. Where both know a value they tell the same (`tests`).

use std::cell::{Cell as Flag, OnceCell};
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
    /// A value with bytes on the heap was read.
    has_heap: Flag<bool>,
}

impl<'a> Texts<'a> {
    pub(crate) fn new(rows: &'a [u8]) -> Self {
        Texts { rows, buffer: OnceCell::new(), has_heap: Flag::new(false) }
    }

    /// Whether a value with bytes on the heap was read since this was asked last.
    pub(crate) fn take_heap(&self) -> bool {
        self.has_heap.take()
    }

    /// Puts the text of `len` bytes at the beginning of `rest` into `cell`, and gives back what is behind it. `None`: it is no UTF-8, or is
    /// short and has letters beyond ASCII, or so few bytes are left that the row is about to end; [`Texts::read`] tells.
    #[inline(always)]
    fn usual<'b>(&self, rest: &'b [u8], len: usize, cell: &mut Cell) -> Option<&'b [u8]> {
        let behind = rest.get(len..)?;
        // Two ways to the cell, so that each text is written right into it.
        if len <= Text::SHORT_MAX {
            put(cell, Value::Text(Text::of_window(rest.first_chunk()?, len)?));
        } else {
            put(cell, Value::Text(self.part(rest.len(), len)?));
        }
        Some(behind)
    }

    /// Any `bytes`, with `left` bytes behind them: text, or bytes if they are no UTF-8.
    fn read(&self, bytes: &[u8], left: usize) -> Value {
        let text = match bytes.len() {
            0..=Text::SHORT_MAX => Text::from_utf8(bytes),
            len => self.part(left + len, len),
        };
        text.map_or_else(|| Value::Bytes(bytes.into()), Value::Text)
    }

    /// The text of `len` bytes that begins where `left` bytes are left.
    #[inline(always)]
    fn part(&self, left: usize, len: usize) -> Option<Text> {
        let start = self.rows.len().checked_sub(left)?;
        self.has_heap.set(true);
        self.buffer.get_or_init(|| TextBuffer::new(self.rows)).text(start..start + len)
    }
}

impl Op {
    /// Reads one value, which is not NULL, into `cell`, which was absent; gives back what is behind it.
    #[inline(always)]
    pub(crate) fn read<'a>(&self, rest: &'a [u8], texts: &Texts<'_>, cell: &mut Cell) -> Result<&'a [u8], Fault> {
        match self.usual(rest, texts, cell) {
            Some(rest) => Ok(rest),
            None => {
                let left = self.unusual(rest, texts, cell)?;
                Ok(&rest[rest.len() - left..])
            }
        }
    }

    /// The straight path, for what most values of most types are. `None`, and nothing is read: this value is none of these, or bytes lack.
    #[inline(always)]
    fn usual<'a>(&self, rest: &'a [u8], texts: &Texts<'_>, cell: &mut Cell) -> Option<&'a [u8]> {
        match self {
            Op::Int1 => fixed(rest, cell, |[byte]| Value::Int(i64::from(byte as i8))),
            Op::Uint1 => fixed(rest, cell, |[byte]| Value::Uint(u64::from(byte))),
            Op::Int2 => fixed(rest, cell, |bytes| Value::Int(i64::from(i16::from_le_bytes(bytes)))),
            Op::Uint2 => fixed(rest, cell, |bytes| Value::Uint(u64::from(u16::from_le_bytes(bytes)))),
            Op::Int3 => fixed(rest, cell, |[a, b, c]| Value::Int(i64::from(i32::from_le_bytes([0, a, b, c]) >> 8))),
            Op::Uint3 => fixed(rest, cell, |[a, b, c]| Value::Uint(u64::from(u32::from_le_bytes([a, b, c, 0])))),
            Op::Int4 => fixed(rest, cell, |bytes| Value::Int(i64::from(i32::from_le_bytes(bytes)))),
            Op::Uint4 => fixed(rest, cell, |bytes| Value::Uint(u64::from(u32::from_le_bytes(bytes)))),
            Op::Int8 => fixed(rest, cell, |bytes| Value::Int(i64::from_le_bytes(bytes))),
            Op::Uint8 => fixed(rest, cell, |bytes| Value::Uint(u64::from_le_bytes(bytes))),
            Op::Double => fixed(rest, cell, |bytes| Value::double(f64::from_le_bytes(bytes))),
            Op::Decimal(packing) => {
                let (mantissa, rest) = packing.small(rest)?;
                put(cell, Value::Decimal(Decimal::Small { mantissa, scale: packing.scale() }));
                Some(rest)
            }
            Op::Date => {
                let ([a, b, c], rest) = rest.split_first_chunk()?;
                put(cell, Value::Timestamp(Timestamp(temporal::usual_date(u32::from_le_bytes([*a, *b, *c, 0]))?)));
                Some(rest)
            }
            Op::Datetime(fraction) => instant(fraction.usual_datetime(rest)?, cell),
            Op::Timestamp(fraction) => instant(fraction.usual_timestamp(rest)?, cell),
            Op::Utf8 { prefix } => {
                let (len, rest) = length(rest, *prefix)?;
                texts.usual(rest, len, cell)
            }
            Op::Enum { bytes: 1, members } => {
                let (number, rest) = rest.split_first()?;
                match members.get(usize::from(*number))? {
                    Value::Text(text) if text.is_short() => put(cell, Value::Text(text.clone())),
                    _ => return None,
                }
                Some(rest)
            }
            Op::Time(_) | Op::Bytes { .. } | Op::Enum { .. } | Op::Rare(_) => None,
        }
    }

    /// Every value that is not on the straight path, and what is wrong with those that are none. Gives back how many bytes are left: a number
    /// comes in a register, as a slice does not.
    #[inline(never)]
    fn unusual(&self, rest: &[u8], texts: &Texts<'_>, cell: &mut Cell) -> Result<usize, Fault> {
        let r = &mut Reader::new(rest, "a row");
        let value = match self {
            Op::Int1 | Op::Uint1 | Op::Int2 | Op::Uint2 | Op::Int3 | Op::Uint3 => return Err(r.too_short().into()),
            Op::Int4 | Op::Uint4 | Op::Int8 | Op::Uint8 | Op::Double => return Err(r.too_short().into()),
            Op::Decimal(packing) => Value::Decimal(packing.read(r.take(packing.len())?)?),
            Op::Date => temporal::date(r.u24()?).map_or_else(temporal::Civil::date, |t| Value::Timestamp(Timestamp(t))),
            Op::Datetime(fraction) => fraction.datetime(temporal::datetime(r.u40_be()?, fraction.micros(r)?)),
            Op::Timestamp(fraction) => {
                fraction.datetime(temporal::timestamp(u32::from_be_bytes(r.array()?), fraction.micros(r)?))
            }
            Op::Time(fraction) => Value::Duration(Duration(fraction.time(r)?)),
            Op::Utf8 { prefix } => {
                let bytes = counted(r, *prefix)?;
                texts.read(bytes, r.len())
            }
            Op::Enum { bytes, members } => member(members, r.uint_le(usize::from(*bytes))?)?.clone(),
            Op::Bytes { prefix } => Value::Bytes(counted(r, *prefix)?.into()),
            Op::Rare(rare) => rare.read(r)?,
        };
        texts.has_heap.set(texts.has_heap.get() | value.has_heap());
        put(cell, value);
        Ok(r.len())
    }

    /// As [`Op::read`], for a cell of an image behind another: text and bytes that are the same in `before` are shared with it, as most
    /// columns of most updates are.
    #[inline(always)]
    pub(crate) fn read_after<'a>(
        &self,
        rest: &'a [u8],
        texts: &Texts<'_>,
        before: &Cell,
        cell: &mut Cell,
    ) -> Result<&'a [u8], Fault> {
        let (Op::Utf8 { prefix } | Op::Bytes { prefix }, Some(same)) = (self, before) else {
            return self.read(rest, texts, cell);
        };
        let old = match same {
            Value::Text(text) if !text.is_short() => text.as_bytes(),
            Value::Bytes(bytes) => bytes,
            _ => return self.read(rest, texts, cell),
        };
        match length(rest, *prefix).and_then(|(len, rest)| rest.split_at_checked(len)) {
            Some((bytes, rest)) if bytes == old => {
                texts.has_heap.set(true);
                put(cell, same.clone());
                Ok(rest)
            }
            _ => self.read(rest, texts, cell),
        }
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
    fn read(&self, r: &mut Reader<'_>) -> Result<Value, Fault> {
        Ok(match self {
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
        })
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

/// Writes to a cell that was absent: nothing is there to be dropped, so nothing is looked at.
#[inline(always)]
pub(crate) fn put(cell: &mut Cell, value: Value) {
    std::mem::forget(cell.replace(value));
}

/// A value of `N` bytes.
#[inline(always)]
fn fixed<'a, const N: usize>(rest: &'a [u8], cell: &mut Cell, value: impl FnOnce([u8; N]) -> Value) -> Option<&'a [u8]> {
    let (bytes, rest) = rest.split_first_chunk()?;
    put(cell, value(*bytes));
    Some(rest)
}

#[inline(always)]
fn instant<'a>((t, rest): (i64, &'a [u8]), cell: &mut Cell) -> Option<&'a [u8]> {
    put(cell, Value::Timestamp(Timestamp(t)));
    Some(rest)
}

/// The length before a text, if it has one or two bytes.
#[inline(always)]
fn length(rest: &[u8], prefix: u8) -> Option<(usize, &[u8])> {
    match prefix {
        1 => rest.split_first().map(|(len, rest)| (usize::from(*len), rest)),
        2 => rest.split_first_chunk().map(|(len, rest)| (usize::from(u16::from_le_bytes(*len)), rest)),
        _ => None,
    }
}

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

#[cfg(test)]
mod tests;
