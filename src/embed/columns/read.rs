//! From Arrow columns to rows. Every Arrow type that says a value of ours is taken, in any width, plain or as a dictionary.

use std::sync::Arc;

use arrow::array::*;
use arrow::datatypes::*;
use thalweg_formulas::decimal::Decimal;
use thalweg_formulas::{Duration, Timestamp, Value};
use thalweg_graph::transaction::SchemaColumn;
use thalweg_graph::{Change, Op, RowBlock, Schema};

use super::BatchError;

/// The rows of a batch as inserts. Their columns are untyped here: the definition's types are those that count.
pub(super) fn rows(table: &str, batch: &RecordBatch) -> Result<Vec<Change>, BatchError> {
    let arrow = batch.schema();
    let width = batch.num_columns();
    let mut cells: Vec<Option<Value>> = vec![None; width * batch.num_rows()];
    for (at, (field, array)) in arrow.fields().iter().zip(batch.columns()).enumerate() {
        let refused = |reason: String| BatchError::new(format!("{table}.{}", field.name()), reason, "cast the column first");
        let is_json = field.metadata().get("thalweg.encoding").is_some_and(|encoding| encoding == "json");
        for (row, value) in values(array.as_ref()).map_err(refused)?.into_iter().enumerate() {
            cells[row * width + at] = Some(if is_json { parsed(value).map_err(refused)? } else { value });
        }
    }
    let columns = arrow.fields().iter().map(|field| SchemaColumn::new(field.name().as_str().into(), thalweg_formulas::Type::Dyn));
    let schema = Arc::new(Schema { table: table.into(), columns: columns.collect(), key: Vec::new() });
    let block = RowBlock::new(cells);
    let insert = |row: usize| Change {
        schema: schema.clone(),
        op: Op::Insert,
        key: None,
        before: None,
        after: Some(block.row(row * width..(row + 1) * width)),
    };
    Ok((0..batch.num_rows()).map(insert).collect())
}

/// A cell of a column whose values are of several types, as [`super::write`] writes it.
fn parsed(value: Value) -> Result<Value, String> {
    let Value::Text(text) = &value else { return Ok(value) };
    let json: serde_json::Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
    thalweg_formulas::json::from_json(&json).map_err(|error| error.to_string())
}

/// The values of an array.
fn values(array: &dyn Array) -> Result<Vec<Value>, String> {
    macro_rules! primitive {
        ($ty:ty, $value:expr) => {
            Ok(array.as_primitive::<$ty>().iter().map(|x| x.map_or(Value::Null, $value)).collect())
        };
    }
    /// Instants and spans in microseconds; what is finer must be whole there.
    macro_rules! time {
        ($ty:ty, $times:expr, $over:expr, $value:expr) => {
            array
                .as_primitive::<$ty>()
                .iter()
                .map(|x| x.map_or(Ok(Value::Null), |x| micros(x.into(), $times, $over).map($value)))
                .collect()
        };
    }
    let at = |x| Value::Timestamp(Timestamp(x));
    let span = |x| Value::Duration(Duration(x));
    match array.data_type() {
        DataType::Null => Ok(vec![Value::Null; array.len()]),
        DataType::Boolean => Ok(array.as_boolean().iter().map(|x| x.map_or(Value::Null, Value::Bool)).collect()),
        DataType::Int8 => primitive!(Int8Type, |x| Value::Int(x.into())),
        DataType::Int16 => primitive!(Int16Type, |x| Value::Int(x.into())),
        DataType::Int32 => primitive!(Int32Type, |x| Value::Int(x.into())),
        DataType::Int64 => primitive!(Int64Type, Value::Int),
        DataType::UInt8 => primitive!(UInt8Type, |x| Value::Int(x.into())),
        DataType::UInt16 => primitive!(UInt16Type, |x| Value::Int(x.into())),
        DataType::UInt32 => primitive!(UInt32Type, |x| Value::Int(x.into())),
        DataType::UInt64 => primitive!(UInt64Type, Value::Uint),
        DataType::Float32 => primitive!(Float32Type, |x| Value::double(x.into())),
        DataType::Float64 => primitive!(Float64Type, Value::double),
        DataType::Decimal32(_, scale) => {
            decimals(array.as_primitive::<Decimal32Type>().iter().map(|x| x.map(|x| i256::from_i128(x.into()))), *scale)
        }
        DataType::Decimal64(_, scale) => {
            decimals(array.as_primitive::<Decimal64Type>().iter().map(|x| x.map(|x| i256::from_i128(x.into()))), *scale)
        }
        DataType::Decimal128(_, scale) => {
            decimals(array.as_primitive::<Decimal128Type>().iter().map(|x| x.map(i256::from_i128)), *scale)
        }
        DataType::Decimal256(_, scale) => decimals(array.as_primitive::<Decimal256Type>().iter(), *scale),
        DataType::Utf8 => Ok(array.as_string::<i32>().iter().map(text).collect()),
        DataType::LargeUtf8 => Ok(array.as_string::<i64>().iter().map(text).collect()),
        DataType::Utf8View => Ok(array.as_string_view().iter().map(text).collect()),
        DataType::Binary => Ok(array.as_binary::<i32>().iter().map(bytes).collect()),
        DataType::LargeBinary => Ok(array.as_binary::<i64>().iter().map(bytes).collect()),
        DataType::BinaryView => Ok(array.as_binary_view().iter().map(bytes).collect()),
        DataType::FixedSizeBinary(_) => Ok(array.as_fixed_size_binary().iter().map(bytes).collect()),
        DataType::Date32 => time!(Date32Type, 86_400_000_000, 1, at),
        DataType::Date64 => time!(Date64Type, 1_000, 1, at),
        DataType::Timestamp(TimeUnit::Second, _) => time!(TimestampSecondType, 1_000_000, 1, at),
        DataType::Timestamp(TimeUnit::Millisecond, _) => time!(TimestampMillisecondType, 1_000, 1, at),
        DataType::Timestamp(TimeUnit::Microsecond, _) => time!(TimestampMicrosecondType, 1, 1, at),
        DataType::Timestamp(TimeUnit::Nanosecond, _) => time!(TimestampNanosecondType, 1, 1_000, at),
        DataType::Time32(TimeUnit::Second) => time!(Time32SecondType, 1_000_000, 1, span),
        DataType::Time32(TimeUnit::Millisecond) => time!(Time32MillisecondType, 1_000, 1, span),
        DataType::Time64(TimeUnit::Microsecond) => time!(Time64MicrosecondType, 1, 1, span),
        DataType::Time64(TimeUnit::Nanosecond) => time!(Time64NanosecondType, 1, 1_000, span),
        DataType::Duration(TimeUnit::Second) => time!(DurationSecondType, 1_000_000, 1, span),
        DataType::Duration(TimeUnit::Millisecond) => time!(DurationMillisecondType, 1_000, 1, span),
        DataType::Duration(TimeUnit::Microsecond) => time!(DurationMicrosecondType, 1, 1, span),
        DataType::Duration(TimeUnit::Nanosecond) => time!(DurationNanosecondType, 1, 1_000, span),
        DataType::List(_) => lists(array.as_list::<i32>().iter()),
        DataType::LargeList(_) => lists(array.as_list::<i64>().iter()),
        DataType::FixedSizeList(..) => lists(array.as_fixed_size_list().iter()),
        DataType::Map(..) => maps(array.as_map()),
        DataType::Struct(fields) => structs(array.as_struct(), fields),
        DataType::Dictionary(..) => {
            let dictionary = array.as_any_dictionary();
            let known = values(dictionary.values().as_ref())?;
            let place = |(row, key): (usize, usize)| if array.is_null(row) { Value::Null } else { known[key].clone() };
            // A key of a NULL may be anything.
            let keys = if known.is_empty() { vec![0; array.len()] } else { dictionary.normalized_keys() };
            Ok(keys.into_iter().enumerate().map(place).collect())
        }
        other => Err(format!("there is no value of Arrow's type {other}")),
    }
}

fn text(x: Option<&str>) -> Value {
    x.map_or(Value::Null, Value::text)
}

fn bytes(x: Option<&[u8]>) -> Value {
    x.map_or(Value::Null, |x| Value::Bytes(x.into()))
}

fn micros(x: i64, times: i64, over: i64) -> Result<i64, String> {
    if x % over != 0 {
        return Err(format!("{x} ns are no whole microseconds"));
    }
    (x / over).checked_mul(times).ok_or_else(|| format!("{x} is too far away"))
}

fn decimals(mantissas: impl Iterator<Item = Option<i256>>, scale: i8) -> Result<Vec<Value>, String> {
    let scale = u8::try_from(scale).map_err(|_| format!("a scale of {scale} is below zero"))?;
    let decimal = |x: i256| {
        let (negative, size) = (x.is_negative(), x.wrapping_abs().to_le_bytes());
        let limb = |at: usize| u64::from_le_bytes(*size[at * 8..].first_chunk().expect("32 bytes are four times eight"));
        let limbs = [limb(0), limb(1), limb(2), limb(3)];
        Decimal::from_wide(negative, &limbs, scale).map(Value::Decimal).ok_or_else(|| format!("{x} has more than 76 digits"))
    };
    mantissas.map(|x| x.map_or(Ok(Value::Null), decimal)).collect()
}

fn lists(arrays: impl Iterator<Item = Option<ArrayRef>>) -> Result<Vec<Value>, String> {
    arrays.map(|items| items.map_or(Ok(Value::Null), |items| values(items.as_ref()).map(Value::list))).collect()
}

fn maps(array: &MapArray) -> Result<Vec<Value>, String> {
    let (keys, items) = (values(array.keys().as_ref())?, values(array.values().as_ref())?);
    let map = |row: usize| {
        let span = array.value_offsets()[row] as usize..array.value_offsets()[row + 1] as usize;
        let entries = keys[span.clone()].iter().cloned().zip(items[span].iter().cloned());
        if array.is_null(row) { Value::Null } else { Value::Map(Arc::new(entries.collect())) }
    };
    Ok((0..array.len()).map(map).collect())
}

fn structs(array: &StructArray, fields: &Fields) -> Result<Vec<Value>, String> {
    let members = array.columns().iter().map(|member| values(member.as_ref())).collect::<Result<Vec<_>, String>>()?;
    let record = |row: usize| {
        let entries = fields.iter().zip(&members).map(|(field, member)| (field.name().as_str(), member[row].clone()));
        if array.is_null(row) { Value::Null } else { Value::record(entries) }
    };
    Ok((0..array.len()).map(record).collect())
}
