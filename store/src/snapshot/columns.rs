//! A table's rows as Arrow columns, and back.
//!
//! A column whose values are all of one type is a native Arrow column, so any Arrow reader can use it. Any other column, and one with
//! absent cells, is a binary column of the store's own encoding. Validity is NULL. Invariant: `rows(batch(rows)) == rows`, by identity.

use std::sync::Arc;

use arrow::array::*;
use arrow::datatypes::{DataType, Field, TimeUnit, i256};
use thalweg_formulas::decimal::Decimal;
use thalweg_formulas::{Duration, Timestamp, Value};
use thalweg_graph::transaction::Row;

use crate::codec::value::{get_cell, put_cell};
use crate::codec::wire::{Damaged, Reader};

/// How a column is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Bool,
    Int,
    Uint,
    Double,
    /// All of one scale, mantissas of up to 127 bits.
    Decimal(u8),
    /// All of one scale.
    WideDecimal(u8),
    Text,
    Bytes,
    Timestamp,
    Duration,
    /// The store's own encoding, one cell each.
    Tagged,
}

/// Metadata by which a tagged column is told from a column of bytes.
const TAGGED: (&str, &str) = ("thalweg.encoding", "tagged");

impl Kind {
    /// The narrowest kind that holds a column's cells.
    #[cfg(test)]
    fn of<'a>(cells: impl Iterator<Item = Option<&'a Value>>) -> Kind {
        cells.fold(None, Kind::with).unwrap_or(Kind::Tagged)
    }

    /// The narrowest kind that also holds `cell`; `None`: there were only NULLs.
    #[inline]
    pub(super) fn with(kind: Option<Kind>, cell: Option<&Value>) -> Option<Kind> {
        match cell {
            None => Some(Kind::Tagged),
            Some(Value::Null) => kind,
            Some(value) => Kind::join(kind, Some(Kind::of_value(value))),
        }
    }

    /// The narrowest kind that holds what both hold.
    #[inline]
    pub(super) fn join(a: Option<Kind>, b: Option<Kind>) -> Option<Kind> {
        match (a, b) {
            (None, kind) | (kind, None) => kind,
            (Some(a), Some(b)) if a == b => Some(a),
            (Some(Kind::Decimal(a) | Kind::WideDecimal(a)), Some(Kind::Decimal(b) | Kind::WideDecimal(b))) if a == b => {
                Some(Kind::WideDecimal(a))
            }
            _ => Some(Kind::Tagged),
        }
    }

    fn of_value(value: &Value) -> Kind {
        match value {
            Value::Bool(_) => Kind::Bool,
            Value::Int(_) => Kind::Int,
            Value::Uint(_) => Kind::Uint,
            Value::Double(_) => Kind::Double,
            Value::Decimal(Decimal::Small { scale, .. }) if *scale <= 38 => Kind::Decimal(*scale),
            Value::Decimal(Decimal::Small { scale, .. }) if *scale <= 76 => Kind::WideDecimal(*scale),
            Value::Decimal(Decimal::Big(big)) if big.1 <= 76 => Kind::WideDecimal(big.1),
            Value::Text(_) => Kind::Text,
            Value::Bytes(_) => Kind::Bytes,
            Value::Timestamp(_) => Kind::Timestamp,
            Value::Duration(_) => Kind::Duration,
            Value::Null | Value::Decimal(_) | Value::List(_) | Value::Map(_) | Value::Tensor(_) => Kind::Tagged,
        }
    }

    /// The Arrow field of a column of this kind.
    pub(super) fn field(self, name: &str) -> Field {
        let ty = match self {
            Kind::Bool => DataType::Boolean,
            Kind::Int => DataType::Int64,
            Kind::Uint => DataType::UInt64,
            Kind::Double => DataType::Float64,
            Kind::Decimal(scale) => DataType::Decimal128(38, scale as i8),
            Kind::WideDecimal(scale) => DataType::Decimal256(76, scale as i8),
            Kind::Text => DataType::LargeUtf8,
            Kind::Bytes => DataType::LargeBinary,
            Kind::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            Kind::Duration => DataType::Duration(TimeUnit::Microsecond),
            Kind::Tagged => DataType::LargeBinary,
        };
        let field = Field::new(name, ty, self != Kind::Tagged);
        match self {
            Kind::Tagged => field.with_metadata([(TAGGED.0.to_string(), TAGGED.1.to_string())].into()),
            _ => field,
        }
    }

    /// One column of some rows. Every cell is of this kind, NULL, or the kind is tagged.
    pub(super) fn column(self, rows: &[Row], at: usize) -> ArrayRef {
        let cells = || rows.iter().map(|row| row[at].as_ref().unwrap_or(&Value::Null));
        /// Picks what the variant holds; NULL is `None`.
        macro_rules! pick {
            ($pattern:pat => $value:expr) => {
                cells().map(|cell| match cell {
                    $pattern => Some($value),
                    _ => None,
                })
            };
        }
        match self {
            Kind::Bool => Arc::new(BooleanArray::from_iter(pick!(Value::Bool(x) => *x))),
            Kind::Int => Arc::new(Int64Array::from_iter(pick!(Value::Int(x) => *x))),
            Kind::Uint => Arc::new(UInt64Array::from_iter(pick!(Value::Uint(x) => *x))),
            Kind::Double => Arc::new(Float64Array::from_iter(pick!(Value::Double(x) => *x))),
            Kind::Decimal(_) => {
                let mantissas = pick!(Value::Decimal(Decimal::Small { mantissa, .. }) => i128::from(*mantissa));
                Arc::new(Decimal128Array::from_iter(mantissas).with_data_type(self.field("").data_type().clone()))
            }
            Kind::WideDecimal(_) => {
                let mantissas = pick!(Value::Decimal(x) => wide(x));
                Arc::new(Decimal256Array::from_iter(mantissas).with_data_type(self.field("").data_type().clone()))
            }
            Kind::Text => Arc::new(LargeStringArray::from_iter(pick!(Value::Text(x) => &**x))),
            Kind::Bytes => Arc::new(LargeBinaryArray::from_iter(pick!(Value::Bytes(x) => &**x))),
            Kind::Timestamp => {
                let instants = pick!(Value::Timestamp(x) => x.0);
                Arc::new(TimestampMicrosecondArray::from_iter(instants).with_timezone("UTC"))
            }
            Kind::Duration => Arc::new(DurationMicrosecondArray::from_iter(pick!(Value::Duration(x) => x.0))),
            Kind::Tagged => Arc::new(tagged(rows, at)),
        }
    }
}

fn tagged(rows: &[Row], at: usize) -> LargeBinaryArray {
    let mut builder = LargeBinaryBuilder::new();
    let mut bytes = Vec::new();
    for row in rows {
        bytes.clear();
        put_cell(&mut bytes, &row[at]);
        builder.append_value(&bytes);
    }
    builder.finish()
}

fn wide(x: &Decimal) -> i256 {
    match x {
        Decimal::Small { mantissa, .. } => i256::from_i128((*mantissa).into()),
        Decimal::Big(big) => {
            let mut bytes = [0; 32];
            bytes.chunks_exact_mut(8).zip(big.0).for_each(|(chunk, limb)| chunk.copy_from_slice(&limb.to_le_bytes()));
            i256::from_le_bytes(bytes)
        }
    }
}

/// A mantissa that fits an `i64` is small, as decimals are everywhere.
fn narrow(x: i256, scale: u8) -> Decimal {
    match x.to_i128().and_then(|x| i64::try_from(x).ok()) {
        Some(mantissa) => Decimal::Small { mantissa, scale },
        None => {
            let bytes = x.to_le_bytes();
            let limb = |i: usize| u64::from_le_bytes(*bytes[i * 8..].first_chunk().expect("32 bytes are four times eight"));
            Decimal::Big(Arc::new(([limb(0), limb(1), limb(2), limb(3)], scale)))
        }
    }
}

/// A column as it is read, cell by cell.
enum Cells<'a> {
    Bool(&'a BooleanArray),
    Int(&'a Int64Array),
    Uint(&'a UInt64Array),
    Double(&'a Float64Array),
    Decimal(&'a Decimal128Array, u8),
    WideDecimal(&'a Decimal256Array, u8),
    Text(&'a LargeStringArray),
    Bytes(&'a LargeBinaryArray),
    Timestamp(&'a TimestampMicrosecondArray),
    Duration(&'a DurationMicrosecondArray),
    Tagged(&'a LargeBinaryArray),
}

impl<'a> Cells<'a> {
    fn of(field: &Field, array: &'a dyn Array) -> Result<Cells<'a>, Damaged> {
        fn as_array<T: 'static>(array: &dyn Array) -> Result<&T, Damaged> {
            array.as_any().downcast_ref().ok_or(Damaged("a column's type"))
        }
        Ok(match field.data_type() {
            DataType::Boolean => Cells::Bool(as_array(array)?),
            DataType::Int64 => Cells::Int(as_array(array)?),
            DataType::UInt64 => Cells::Uint(as_array(array)?),
            DataType::Float64 => Cells::Double(as_array(array)?),
            DataType::Decimal128(_, scale) => Cells::Decimal(as_array(array)?, *scale as u8),
            DataType::Decimal256(_, scale) => Cells::WideDecimal(as_array(array)?, *scale as u8),
            DataType::LargeUtf8 => Cells::Text(as_array(array)?),
            DataType::LargeBinary if field.metadata().contains_key(TAGGED.0) => Cells::Tagged(as_array(array)?),
            DataType::LargeBinary => Cells::Bytes(as_array(array)?),
            DataType::Timestamp(TimeUnit::Microsecond, _) => Cells::Timestamp(as_array(array)?),
            DataType::Duration(TimeUnit::Microsecond) => Cells::Duration(as_array(array)?),
            _ => return Err(Damaged("a column's type")),
        })
    }

    /// The cell, where it is not NULL.
    #[inline]
    fn value(&self, i: usize) -> Result<Option<Value>, Damaged> {
        Ok(Some(match self {
            Cells::Bool(a) => Value::Bool(a.value(i)),
            Cells::Int(a) => Value::Int(a.value(i)),
            Cells::Uint(a) => Value::Uint(a.value(i)),
            Cells::Double(a) => Value::double(a.value(i)),
            Cells::Decimal(a, scale) => Value::Decimal(narrow(i256::from_i128(a.value(i)), *scale)),
            Cells::WideDecimal(a, scale) => Value::Decimal(narrow(a.value(i), *scale)),
            Cells::Text(a) => Value::Text(a.value(i).into()),
            Cells::Bytes(a) => Value::Bytes(a.value(i).into()),
            Cells::Timestamp(a) => Value::Timestamp(Timestamp(a.value(i))),
            Cells::Duration(a) => Value::Duration(Duration(a.value(i))),
            Cells::Tagged(a) => return get_cell(&mut Reader::new(a.value(i))),
        }))
    }
}

/// Hands out the rows of a batch.
pub(super) fn rows(batch: &RecordBatch, each: &mut dyn FnMut(Row)) -> Result<(), Damaged> {
    let schema = batch.schema();
    let columns = schema.fields().iter().zip(batch.columns()).map(|(field, array)| {
        let nulls = array.nulls().filter(|nulls| nulls.null_count() > 0);
        Ok((Cells::of(field, array.as_ref())?, nulls))
    });
    let columns = columns.collect::<Result<Vec<_>, Damaged>>()?;
    for i in 0..batch.num_rows() {
        let mut row = Vec::with_capacity(columns.len());
        for (cells, nulls) in &columns {
            let null = nulls.is_some_and(|nulls| nulls.is_null(i));
            row.push(if null { Some(Value::Null) } else { cells.value(i)? });
        }
        each(row.into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::Schema;
    use proptest::prelude::*;

    use super::*;
    use crate::test_data::arb_value;

    fn round_trip(rows_in: &[Row], width: usize) -> Vec<Row> {
        let kinds: Vec<Kind> = (0..width).map(|at| Kind::of(rows_in.iter().map(|row| row[at].as_ref()))).collect();
        let fields: Vec<Field> = kinds.iter().map(|kind| kind.field("c")).collect();
        let columns = kinds.iter().enumerate().map(|(at, kind)| kind.column(rows_in, at)).collect();
        let mut found = Vec::new();
        rows(&RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap(), &mut |row| found.push(row)).unwrap();
        found
    }

    /// Cells that are alike, so that native columns are met: the value, its kind again, NULL or absent.
    fn arb_column(n: usize) -> impl Strategy<Value = Vec<Option<Value>>> {
        (arb_value(), prop::collection::vec((arb_value(), 0u8..20), n), any::<bool>()).prop_map(|(first, others, mixed)| {
            let kind = Kind::of_value(&first);
            let cell = |(other, dice): (Value, u8)| match dice {
                0 if mixed => None,
                1 => Some(Value::Null),
                _ if mixed || Kind::of_value(&other) == kind => Some(other),
                _ => Some(first.clone()),
            };
            others.into_iter().map(cell).collect()
        })
    }

    proptest! {
        #[test]
        fn rows_come_back_the_same(a in arb_column(9), b in arb_column(9)) {
            let rows_in: Vec<Row> = a.into_iter().zip(b).map(|(a, b)| [a, b].into()).collect();
            prop_assert_eq!(round_trip(&rows_in, 2), rows_in);
        }
    }

    #[test]
    fn a_column_is_native_where_its_values_are_alike() {
        let small = |mantissa, scale| Value::Decimal(Decimal::Small { mantissa, scale });
        let big = |scale| Value::Decimal(Decimal::Big(Arc::new(([0, 1, 0, 0], scale))));
        for (cells, kind) in [
            (vec![Value::Int(1), Value::Null], Kind::Int),
            (vec![Value::Int(1), Value::Uint(1)], Kind::Tagged),
            (vec![small(1, 2), small(7, 2)], Kind::Decimal(2)),
            (vec![small(1, 2), big(2)], Kind::WideDecimal(2)),
            (vec![small(1, 2), small(1, 3)], Kind::Tagged),
            (vec![small(1, 77)], Kind::Tagged),
            (vec![Value::text("a"), Value::text("b")], Kind::Text),
            (vec![Value::list([])], Kind::Tagged),
        ] {
            assert_eq!(Kind::of(cells.iter().map(Some)), kind, "{cells:?}");
        }
        assert_eq!(Kind::of([Some(&Value::Int(1)), None].into_iter()), Kind::Tagged);
    }
}
