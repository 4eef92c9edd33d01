//! One value in bytes: a tag, then what the tag needs.
//!
//! Invariant: `get(put(v)) == v` by identity, which is type and every bit. Small ints and short texts live in their tag, since most
//! cells of most rows are one of the two.

use std::sync::Arc;

use thalweg_formulas::decimal::Decimal;
use thalweg_formulas::{Duration, Text, Timestamp, Value};
use thalweg_graph::Row;

use super::wire::{Damaged, Reader, put_sized, put_varint, put_zigzag};

const ABSENT: u8 = 0;
const NULL: u8 = 1;
const FALSE: u8 = 2;
const TRUE: u8 = 3;
const INT: u8 = 4;
const UINT: u8 = 5;
const DOUBLE: u8 = 6;
const DECIMAL_SMALL: u8 = 7;
const DECIMAL_BIG: u8 = 8;
const TEXT: u8 = 9;
const BYTES: u8 = 10;
const TIMESTAMP: u8 = 11;
const DURATION: u8 = 12;
const LIST: u8 = 13;
const MAP: u8 = 14;
const TENSOR: u8 = 15;
/// The same cell as in the image before.
const SAME: u8 = 16;
/// `SHORT_TEXT + n`: a text of n < 64 bytes.
const SHORT_TEXT: u8 = 0x40;
/// `SMALL_INT + n`: the int n, 0 ≤ n < 128.
const SMALL_INT: u8 = 0x80;

/// Appends a value.
pub(crate) fn put_value(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Null => out.push(NULL),
        Value::Bool(false) => out.push(FALSE),
        Value::Bool(true) => out.push(TRUE),
        Value::Int(x @ 0..128) => out.push(SMALL_INT | *x as u8),
        Value::Int(x) => tagged_zigzag(out, INT, *x),
        Value::Uint(x) => {
            out.push(UINT);
            put_varint(out, *x);
        }
        Value::Double(x) => {
            out.push(DOUBLE);
            out.extend_from_slice(&x.to_bits().to_le_bytes());
        }
        Value::Decimal(x) => put_decimal(out, x),
        Value::Text(x) if x.len() < 64 => {
            out.push(SHORT_TEXT | x.len() as u8);
            out.extend_from_slice(x.as_bytes());
        }
        Value::Text(x) => {
            out.push(TEXT);
            put_sized(out, x.as_bytes());
        }
        Value::Bytes(x) => {
            out.push(BYTES);
            put_sized(out, x);
        }
        Value::Timestamp(x) => tagged_zigzag(out, TIMESTAMP, x.0),
        Value::Duration(x) => tagged_zigzag(out, DURATION, x.0),
        Value::List(items) => {
            out.push(LIST);
            put_varint(out, items.len() as u64);
            items.iter().for_each(|item| put_value(out, item));
        }
        Value::Map(entries) => {
            out.push(MAP);
            put_varint(out, entries.len() as u64);
            for (k, v) in entries.iter() {
                put_value(out, k);
                put_value(out, v);
            }
        }
        Value::Tensor(x) => {
            out.push(TENSOR);
            put_sized(out, &postcard::to_stdvec(x.as_ref()).expect("a tensor is numbers, which postcard always writes"));
        }
    }
}

fn tagged_zigzag(out: &mut Vec<u8>, tag: u8, x: i64) {
    out.push(tag);
    put_zigzag(out, x);
}

fn put_decimal(out: &mut Vec<u8>, x: &Decimal) {
    match x {
        Decimal::Small { mantissa, scale } => {
            out.extend_from_slice(&[DECIMAL_SMALL, *scale]);
            put_zigzag(out, *mantissa);
        }
        Decimal::Big(big) => {
            out.extend_from_slice(&[DECIMAL_BIG, big.1]);
            big.0.iter().for_each(|limb| out.extend_from_slice(&limb.to_le_bytes()));
        }
    }
}

/// Reads a value.
pub(crate) fn get_value(from: &mut Reader<'_>) -> Result<Value, Damaged> {
    let tag = from.byte()?;
    value_of(tag, from)
}

#[inline]
fn value_of(tag: u8, from: &mut Reader<'_>) -> Result<Value, Damaged> {
    Ok(match tag {
        SMALL_INT.. => Value::Int(i64::from(tag & 0x7f)),
        SHORT_TEXT..SMALL_INT => Value::Text(short_text(from.take(usize::from(tag & 0x3f))?)?),
        NULL => Value::Null,
        FALSE => Value::Bool(false),
        TRUE => Value::Bool(true),
        INT => Value::Int(from.zigzag()?),
        UINT => Value::Uint(from.varint()?),
        DOUBLE => Value::double(f64::from_bits(u64::from_le_bytes(from.fixed()?))),
        DECIMAL_SMALL => {
            let scale = from.byte()?;
            Value::Decimal(Decimal::Small { mantissa: from.zigzag()?, scale })
        }
        DECIMAL_BIG => {
            let scale = from.byte()?;
            let mut limbs = [0; 4];
            for limb in &mut limbs {
                *limb = u64::from_le_bytes(from.fixed()?);
            }
            Value::Decimal(Decimal::Big(Arc::new((limbs, scale))))
        }
        TEXT => Value::Text(from.text()?.into()),
        BYTES => Value::Bytes(from.sized()?.into()),
        TIMESTAMP => Value::Timestamp(Timestamp(from.zigzag()?)),
        DURATION => Value::Duration(Duration(from.zigzag()?)),
        _ => return nested(tag, from),
    })
}

fn short_text(bytes: &[u8]) -> Result<Text, Damaged> {
    std::str::from_utf8(bytes).map(Text::from).map_err(|_| Damaged("text"))
}

fn nested(tag: u8, from: &mut Reader<'_>) -> Result<Value, Damaged> {
    match tag {
        LIST => {
            let n = from.count()?;
            let items = (0..n).map(|_| get_value(from)).collect::<Result<Vec<_>, _>>()?;
            Ok(Value::List(items.into()))
        }
        MAP => {
            let n = from.count()?;
            let entries = (0..n).map(|_| Ok((get_value(from)?, get_value(from)?))).collect::<Result<_, _>>()?;
            Ok(Value::Map(Arc::new(entries)))
        }
        TENSOR => {
            let tensor = postcard::from_bytes(from.sized()?).map_err(|_| Damaged("a tensor"))?;
            Ok(Value::Tensor(Arc::new(tensor)))
        }
        _ => Err(Damaged("a value's tag")),
    }
}

/// Appends one cell of a row.
#[inline]
pub(crate) fn put_cell(out: &mut Vec<u8>, cell: &Option<Value>) {
    match cell {
        None => out.push(ABSENT),
        Some(value) => put_value(out, value),
    }
}

/// Reads one cell of a row.
#[inline]
pub(crate) fn get_cell(from: &mut Reader<'_>) -> Result<Option<Value>, Damaged> {
    match from.byte()? {
        ABSENT => Ok(None),
        tag => value_of(tag, from).map(Some),
    }
}

/// Appends a row: how many cells, then the cells. A present cell that equals its cell in `before` takes one byte.
pub(crate) fn put_row(out: &mut Vec<u8>, row: &[Option<Value>], before: &[Option<Value>]) {
    put_varint(out, row.len() as u64);
    for (i, cell) in row.iter().enumerate() {
        match (cell, before.get(i)) {
            (Some(now), Some(Some(then))) if now == then => out.push(SAME),
            _ => put_cell(out, cell),
        }
    }
}

/// Reads a row that was written beside `before`.
pub(crate) fn get_row(from: &mut Reader<'_>, before: &[Option<Value>]) -> Result<Row, Damaged> {
    let n = from.count()?;
    let mut row = Vec::with_capacity(n);
    for i in 0..n {
        row.push(match from.byte()? {
            ABSENT => None,
            SAME => before.get(i).cloned().ok_or(Damaged("a repeated cell"))?,
            tag => Some(value_of(tag, from)?),
        });
    }
    Ok(row.into())
}

/// Appends the values of a key.
pub(crate) fn put_key(out: &mut Vec<u8>, key: &[Value]) {
    put_varint(out, key.len() as u64);
    key.iter().for_each(|value| put_value(out, value));
}

/// Reads the values of a key.
pub(crate) fn get_key<K: FromIterator<Value>>(from: &mut Reader<'_>) -> Result<K, Damaged> {
    let n = from.count()?;
    (0..n).map(|_| get_value(from)).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use thalweg_formulas::Value;

    use super::*;
    use crate::test_data::arb_value;

    proptest! {
        #[test]
        fn a_value_comes_back_the_same(value in arb_value()) {
            let mut out = Vec::new();
            put_value(&mut out, &value);
            let mut reader = Reader::new(&out);
            prop_assert_eq!(get_value(&mut reader), Ok(value));
            prop_assert!(reader.is_empty());
        }

        #[test]
        fn a_row_beside_its_before_image_comes_back_the_same(
            before in prop::collection::vec(prop::option::of(arb_value()), 0..6),
            after in prop::collection::vec(prop::option::of(arb_value()), 0..6),
            keep in any::<u8>(),
        ) {
            let after: Vec<_> =
                after.into_iter().enumerate().map(|(i, v)| if keep >> i & 1 == 1 { before.get(i).cloned().unwrap_or(v) } else { v }).collect();
            let mut out = Vec::new();
            put_row(&mut out, &after, &before);
            prop_assert_eq!(get_row(&mut Reader::new(&out), &before), Ok(after.into()));
        }

        #[test]
        fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            let _ = get_value(&mut Reader::new(&bytes));
            let _ = get_row(&mut Reader::new(&bytes), &[]);
        }
    }

    #[test]
    fn common_cells_are_short() {
        let bytes = |value: &Value| {
            let mut out = Vec::new();
            put_value(&mut out, value);
            out.len()
        };
        assert_eq!(
            [bytes(&Value::Int(7)), bytes(&Value::text("open")), bytes(&Value::Int(1000)), bytes(&Value::Double(1.5))],
            [1, 5, 3, 9]
        );
    }
}
