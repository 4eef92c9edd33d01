//! MySQL's binary JSON: as a value, and the changes that a partial update logs instead of the whole document.
//!
//! The value is the one that the document's text gives: what JSON has no word for (dates, times, bytes) is the text that SQL prints, a
//! DECIMAL is a number, an unsigned number that fits is an int.
//!
//! Invariant: places inside a document are offsets, and hostile ones could name the same bytes again and again; so everything that is read
//! is paid for from a budget of the document's own length, which an honest document never exceeds.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine;
use thalweg_formulas::Value;

use super::DecodeError;
use super::bytes::Reader;
use super::decimal::Packing;
use super::json;
use super::table_map::wire;

/// How deep a document may nest; MySQL allows 100.
const DEPTH_MAX: usize = 200;

/// How a server writes numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Numbers {
    /// As they are.
    Exact,
    /// Dolt: all of them are doubles, whole ones were ints.
    Doubles,
}

/// The value of a document; one of no bytes is `null`.
///
/// # Errors
/// Bytes that no server writes.
pub(crate) fn value(document: &[u8], numbers: Numbers) -> Result<Value, DecodeError> {
    let Some((kind, rest)) = document.split_first() else { return Ok(Value::Null) };
    let mut document = Document { numbers, budget: document.len() };
    document.value(*kind, rest, 0)
}

struct Document {
    numbers: Numbers,
    budget: usize,
}

/// The widths of the two forms of arrays and objects.
#[derive(Clone, Copy)]
struct Form {
    is_object: bool,
    /// Bytes of a count, a size and an offset.
    width: usize,
}

fn malformed(what: &str) -> DecodeError {
    DecodeError::malformed(format!("{what} in a JSON document"))
}

impl Document {
    fn pay(&mut self, bytes: usize) -> Result<(), DecodeError> {
        self.budget = self.budget.checked_sub(bytes).ok_or_else(|| malformed("overlapping parts"))?;
        Ok(())
    }

    fn value(&mut self, kind: u8, bytes: &[u8], depth: usize) -> Result<Value, DecodeError> {
        if depth > DEPTH_MAX {
            return Err(malformed("too many levels"));
        }
        let mut r = Reader::new(bytes, "a JSON document");
        Ok(match kind {
            0 | 1 => self.container(Form { is_object: true, width: if kind == 0 { 2 } else { 4 } }, bytes, depth)?,
            2 | 3 => self.container(Form { is_object: false, width: if kind == 2 { 2 } else { 4 } }, bytes, depth)?,
            4 => match r.u8()? {
                0 => Value::Null,
                1 => Value::Bool(true),
                2 => Value::Bool(false),
                _ => return Err(malformed("a literal")),
            },
            5 => Value::Int(i64::from(r.u16()? as i16)),
            6 => Value::Int(i64::from(r.u16()?)),
            7 => Value::Int(i64::from(r.u32()? as i32)),
            8 => Value::Int(i64::from(r.u32()?)),
            9 => Value::Int(r.u64()? as i64),
            10 => {
                let number = r.u64()?;
                i64::try_from(number).map_or(Value::Uint(number), Value::Int)
            }
            11 => self.double(f64::from_bits(r.u64()?)),
            12 => Value::text(self.text(&mut r)?),
            15 => self.opaque(&mut r)?,
            _ => return Err(malformed("an unknown kind of value")),
        })
    }

    fn double(&self, x: f64) -> Value {
        const WHOLE_MAX: f64 = 9_007_199_254_740_992.0;
        match self.numbers {
            Numbers::Doubles if x.fract() == 0.0 && x.abs() <= WHOLE_MAX => Value::Int(x as i64),
            _ => Value::double(x),
        }
    }

    fn text<'a>(&mut self, r: &mut Reader<'a>) -> Result<&'a str, DecodeError> {
        let bytes = self.bytes(r)?;
        std::str::from_utf8(bytes).map_err(|_| malformed("text that is not UTF-8"))
    }

    /// Bytes with their length before them, seven bits a byte.
    fn bytes<'a>(&mut self, r: &mut Reader<'a>) -> Result<&'a [u8], DecodeError> {
        let mut len = 0usize;
        for shift in [0, 7, 14, 21, 28] {
            let byte = r.u8()?;
            len |= usize::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                let bytes = r.take(len)?;
                self.pay(len)?;
                return Ok(bytes);
            }
        }
        Err(malformed("a length"))
    }

    fn container(&mut self, form: Form, bytes: &[u8], depth: usize) -> Result<Value, DecodeError> {
        let mut r = Reader::new(bytes, "a JSON document");
        let count = r.uint_le(form.width)? as usize;
        let size = r.uint_le(form.width)? as usize;
        let bytes = bytes.get(..size).ok_or(DecodeError::Truncated { what: "a JSON document" })?;
        let keys = r.take(if form.is_object { count.saturating_mul(form.width + 2) } else { 0 })?;
        let values = r.take(count.saturating_mul(form.width + 1))?;
        self.pay(keys.len() + values.len())?;
        let mut values = Reader::new(values, "a JSON document");
        if !form.is_object {
            let items = (0..count).map(|_| self.entry(form, &mut values, bytes, depth)).collect::<Result<Vec<_>, _>>()?;
            return Ok(Value::list(items));
        }
        let mut keys = Reader::new(keys, "a JSON document");
        let mut map = BTreeMap::new();
        for _ in 0..count {
            let (offset, len) = (keys.uint_le(form.width)? as usize, usize::from(keys.u16()?));
            let key = offset.checked_add(len).and_then(|end| bytes.get(offset..end)).ok_or_else(|| malformed("a key"))?;
            self.pay(len)?;
            let key = std::str::from_utf8(key).map_err(|_| malformed("a key that is not UTF-8"))?;
            map.insert(Value::text(key), self.entry(form, &mut values, bytes, depth)?);
        }
        Ok(Value::Map(Arc::new(map)))
    }

    /// A value of a container: its kind, then itself where it is short, else its offset.
    fn entry(&mut self, form: Form, r: &mut Reader<'_>, bytes: &[u8], depth: usize) -> Result<Value, DecodeError> {
        let kind = r.u8()?;
        let here = r.take(form.width)?;
        let is_short = matches!(kind, 4..=6) || form.width == 4 && matches!(kind, 7 | 8);
        if is_short {
            return self.value(kind, here, depth + 1);
        }
        let offset = here.iter().rev().fold(0usize, |x, b| x << 8 | usize::from(*b));
        let there = bytes.get(offset..).ok_or_else(|| malformed("an offset"))?;
        self.value(kind, there, depth + 1)
    }

    /// What JSON has no word for: a column type, then its bytes.
    fn opaque(&mut self, r: &mut Reader<'_>) -> Result<Value, DecodeError> {
        let kind = r.u8()?;
        let bytes = self.bytes(r)?;
        let packed = || match <[u8; 8]>::try_from(bytes) {
            Ok(bytes) => Ok(i64::from_le_bytes(bytes)),
            Err(_) => Err(malformed("a date or time")),
        };
        Ok(match kind {
            wire::DECIMAL => decimal(bytes)?,
            wire::DATE | wire::NEWDATE => Value::text(moment(packed()?).0),
            wire::OLD_TIMESTAMP | wire::OLD_DATETIME | wire::TIMESTAMP | wire::DATETIME => {
                let (date, time) = moment(packed()?);
                Value::text(format!("{date} {time}"))
            }
            wire::OLD_TIME | wire::TIME => Value::text(span(packed()?)),
            other => Value::text(format!("base64:type{other}:{}", wrapped(bytes))),
        })
    }
}

/// A DECIMAL as the number that its digits are in JSON text.
fn decimal(bytes: &[u8]) -> Result<Value, DecodeError> {
    let [precision, scale, packed @ ..] = bytes else { return Err(malformed("a DECIMAL")) };
    let packing = Packing::new(*precision, *scale)?;
    if packed.len() != packing.len() {
        return Err(malformed("a DECIMAL"));
    }
    let text = packing.read(packed)?.to_string();
    json::parse(&text).ok_or_else(|| malformed("a DECIMAL"))
}

/// Date and time of day of MySQL's packed form.
fn moment(packed: i64) -> (String, String) {
    let (whole, micros) = (packed >> 24, packed & 0xff_ffff);
    let (days, clock) = (whole >> 17, whole & 0x1_ffff);
    let (months, day) = (days >> 5, days & 0x1f);
    let date = format!("{:04}-{:02}-{day:02}", months / 13, months % 13);
    (date, format!("{:02}:{:02}:{:02}.{micros:06}", clock >> 12, clock >> 6 & 0x3f, clock & 0x3f))
}

/// TIME in the same form, negative as a whole.
fn span(packed: i64) -> String {
    let size = packed.unsigned_abs();
    let (clock, micros) = (size >> 24, size & 0xff_ffff);
    let sign = if packed < 0 { "-" } else { "" };
    format!("{sign}{:02}:{:02}:{:02}.{micros:06}", clock >> 12 & 0x3ff, clock >> 6 & 0x3f, clock & 0x3f)
}

/// Base64 with the line breaks that MySQL puts in: after every 76 characters.
fn wrapped(bytes: &[u8]) -> String {
    let text = base64::engine::general_purpose::STANDARD.encode(bytes);
    let lines: Vec<&str> = text.as_bytes().chunks(76).filter_map(|line| std::str::from_utf8(line).ok()).collect();
    lines.join("\n")
}

/// The document after the changes of a partial update: a list of operation, path and, but for removals, a new value.
///
/// # Errors
/// Bytes that no server writes, or a path that the document does not have: then its image before is not the one that was changed.
pub(crate) fn apply_diffs(before: &Value, diffs: &[u8]) -> Result<Value, DecodeError> {
    let mut r = Reader::new(diffs, "the changes of a JSON document");
    let mut document = before.clone();
    while !r.is_empty() {
        let operation = r.u8()?;
        let path = std::str::from_utf8(r.lenenc_bytes()?).ok().and_then(path);
        let path = path.ok_or_else(|| malformed("a path"))?;
        let change = match operation {
            0 => Change::Replace(value(r.lenenc_bytes()?, Numbers::Exact)?),
            1 => Change::Insert(value(r.lenenc_bytes()?, Numbers::Exact)?),
            2 => Change::Remove,
            _ => return Err(malformed("an unknown operation")),
        };
        document = changed(document, &path, change).ok_or_else(|| malformed("a change of a place that is not there"))?;
    }
    Ok(document)
}

enum Change {
    Replace(Value),
    Insert(Value),
    Remove,
}

/// A step of a path.
#[derive(Debug, PartialEq)]
enum Leg {
    Member(String),
    Cell(usize),
}

/// `$.name."other name"[3]`.
fn path(text: &str) -> Option<Vec<Leg>> {
    let mut legs = Vec::new();
    let mut rest = text.strip_prefix('$')?;
    while !rest.is_empty() {
        if legs.len() > DEPTH_MAX {
            return None;
        }
        if let Some(inner) = rest.strip_prefix('[') {
            let (index, after) = inner.split_once(']')?;
            legs.push(Leg::Cell(index.parse().ok()?));
            rest = after;
        } else if rest.starts_with(".\"") {
            let quoted = &rest[1..];
            let end = json::string_end(quoted)?;
            legs.push(Leg::Member(serde_json::from_str(&quoted[..end]).ok()?));
            rest = &quoted[end..];
        } else {
            let name = rest.strip_prefix('.')?;
            let end = name.find(['.', '[']).unwrap_or(name.len());
            legs.push(Leg::Member(name[..end].to_string()));
            rest = &name[end..];
        }
    }
    Some(legs)
}

/// The document with one change; `None` if it has no such place.
fn changed(document: Value, path: &[Leg], change: Change) -> Option<Value> {
    let Some((leg, deeper)) = path.split_first() else {
        return match change {
            Change::Replace(value) => Some(value),
            Change::Insert(_) | Change::Remove => None,
        };
    };
    match (document, leg) {
        (Value::Map(map), Leg::Member(name)) => {
            let mut map = Arc::unwrap_or_clone(map);
            let name = Value::text(name.as_str());
            match (deeper, change) {
                ([], Change::Insert(value)) => drop(map.insert(name, value)),
                ([], Change::Remove) => drop(map.remove(&name)?),
                (_, change) => {
                    let place = map.get_mut(&name)?;
                    *place = changed(std::mem::replace(place, Value::Null), deeper, change)?;
                }
            }
            Some(Value::Map(Arc::new(map)))
        }
        (Value::List(items), Leg::Cell(at)) => {
            let mut items = items.to_vec();
            match (deeper, change) {
                ([], Change::Insert(value)) => items.insert((*at).min(items.len()), value),
                ([], Change::Remove) => {
                    items.get(*at)?;
                    items.remove(*at);
                }
                (_, change) => {
                    let place = items.get_mut(*at)?;
                    *place = changed(std::mem::replace(place, Value::Null), deeper, change)?;
                }
            }
            Some(Value::list(items))
        }
        // A scalar counts as an array of itself.
        (scalar, Leg::Cell(0)) if !matches!(change, Change::Remove) => changed(scalar, deeper, change),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
