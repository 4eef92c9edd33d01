//! From cells to Arrow columns, by type.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::*;
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::datatypes::{DataType, Field, Fields, i256};
use thalweg_formulas::decimal::{Decimal, Rounding};
use thalweg_formulas::ops::type_name;
use thalweg_formulas::types::TensorType;
use thalweg_formulas::{Cell, Type, Value, json};

use super::BatchError;

/// One column with its Arrow field.
pub(super) fn column(table: &str, name: &str, ty: &Type, cells: Vec<Cell>) -> Result<(Field, ArrayRef), BatchError> {
    let errors = cells.iter().filter(|cell| cell.is_err()).count();
    let mut values: Vec<Value> = cells.into_iter().map(|cell| cell.unwrap_or(Value::Null)).collect();
    let (ty, is_json) = settled(ty, &mut values);
    let array = array(&ty, &values).map_err(|(row, reason)| {
        let path = if table.is_empty() { name.to_owned() } else { format!("{table}.{name}") };
        BatchError::new(format!("{path}, row {row}"), reason, "declare the column with a type that holds it")
    })?;
    let mut metadata = HashMap::new();
    if errors > 0 {
        metadata.insert("thalweg.errors".into(), errors.to_string());
    }
    if is_json {
        metadata.insert("thalweg.encoding".into(), "json".into());
    }
    Ok((Field::new(name, array.data_type().clone(), true).with_metadata(metadata), array))
}

/// The type of the column: the declared one, where there is none that of the values, and text with JSON where they are of several.
fn settled(ty: &Type, values: &mut [Value]) -> (Type, bool) {
    if !is_open(ty) {
        return (ty.clone(), false);
    }
    if let Some(ty) = common(values.iter()) {
        return (ty, false);
    }
    for value in values.iter_mut().filter(|value| !value.is_null()) {
        let mut text = String::new();
        json::write_dynamic(value, &mut text);
        *value = Value::text(text);
    }
    (Type::Text, true)
}

/// Whether the definition leaves the type, or something inside it, to the values.
fn is_open(ty: &Type) -> bool {
    match ty {
        Type::Dyn => true,
        Type::List(item) => is_open(item),
        Type::Map(key, item) => is_open(key) || is_open(item),
        Type::Null
        | Type::Bool
        | Type::Int
        | Type::Uint
        | Type::Double
        | Type::Decimal { .. }
        | Type::Text
        | Type::Bytes
        | Type::Timestamp
        | Type::Duration
        | Type::Tensor(_) => false,
    }
}

/// The one type of all values; NULL is of every type.
fn common<'a>(values: impl IntoIterator<Item = &'a Value>) -> Option<Type> {
    values.into_iter().try_fold(Type::Null, |all, value| joined(all, type_of(value)?))
}

fn joined(a: Type, b: Type) -> Option<Type> {
    match (a, b) {
        (Type::Null, ty) | (ty, Type::Null) => Some(ty),
        (Type::Decimal { precision: p, scale: s }, Type::Decimal { precision: q, scale: t }) => {
            let (scale, whole) = (s.max(t), (p - s.min(p)).max(q - t.min(q)));
            (whole + scale <= Decimal::DIGITS_MAX).then_some(Type::Decimal { precision: whole + scale, scale })
        }
        (Type::List(a), Type::List(b)) => joined((*a).clone(), (*b).clone()).map(|item| Type::List(item.into())),
        (Type::Map(k, a), Type::Map(l, b)) => {
            let (key, item) = (joined((*k).clone(), (*l).clone())?, joined((*a).clone(), (*b).clone())?);
            Some(Type::Map(key.into(), item.into()))
        }
        (a, b) => (a == b).then_some(a),
    }
}

fn type_of(value: &Value) -> Option<Type> {
    Some(match value {
        Value::Null => Type::Null,
        Value::Bool(_) => Type::Bool,
        Value::Int(_) => Type::Int,
        Value::Uint(_) => Type::Uint,
        Value::Double(_) => Type::Double,
        Value::Decimal(x) => Type::Decimal { precision: x.digits().max(x.scale()), scale: x.scale() },
        Value::Text(_) => Type::Text,
        Value::Bytes(_) => Type::Bytes,
        Value::Timestamp(_) => Type::Timestamp,
        Value::Duration(_) => Type::Duration,
        Value::List(items) => Type::List(common(items.iter())?.into()),
        Value::Map(map) => Type::Map(common(map.keys())?.into(), common(map.values())?.into()),
        Value::Tensor(tensor) => {
            Type::Tensor(TensorType { dtype: thalweg_formulas::types::Dtype::F64, shape: tensor.array().shape().to_vec() })
        }
    })
}

/// Where a value does not fit, and why.
type Misfit = (usize, String);

fn misfit<T>(row: usize, value: &Value, ty: &Type) -> Result<T, Misfit> {
    Err((row, format!("{} {} is not {ty}", type_name(value), json::display(value))))
}

/// The values as an array of the type.
fn array(ty: &Type, values: &[Value]) -> Result<ArrayRef, Misfit> {
    /// What the variant holds, value by value; NULL is `None`.
    macro_rules! pick {
        ($pattern:pat => $value:expr) => {{
            let picked = values.iter().enumerate().map(|(row, value)| match value {
                Value::Null => Ok(None),
                $pattern => Ok(Some($value)),
                other => misfit(row, other, ty),
            });
            picked.collect::<Result<Vec<_>, Misfit>>()?
        }};
    }
    Ok(match ty {
        Type::Dyn | Type::Null => {
            if let Some((row, value)) = values.iter().enumerate().find(|(_, value)| !value.is_null()) {
                return misfit(row, value, ty);
            }
            Arc::new(NullArray::new(values.len()))
        }
        Type::Bool => Arc::new(BooleanArray::from(pick!(Value::Bool(x) => *x))),
        Type::Int => Arc::new(Int64Array::from(pick!(Value::Int(x) => *x))),
        Type::Uint => Arc::new(UInt64Array::from(pick!(Value::Uint(x) => *x))),
        Type::Double => Arc::new(Float64Array::from(pick!(Value::Double(x) => *x))),
        Type::Decimal { precision, scale } => decimals(ty, *precision, *scale, values)?,
        Type::Text => Arc::new(LargeStringArray::from(pick!(Value::Text(x) => &**x))),
        Type::Bytes => Arc::new(LargeBinaryArray::from(pick!(Value::Bytes(x) => &**x))),
        Type::Timestamp => Arc::new(TimestampMicrosecondArray::from(pick!(Value::Timestamp(x) => x.0)).with_timezone("UTC")),
        Type::Duration => Arc::new(DurationMicrosecondArray::from(pick!(Value::Duration(x) => x.0))),
        Type::List(item) => {
            let lists = pick!(Value::List(items) => &**items);
            let nulls = NullBuffer::from_iter(lists.iter().map(Option::is_some));
            let offsets = OffsetBuffer::<i64>::from_lengths(lists.iter().map(|items| items.map_or(0, <[Value]>::len)));
            let items: Vec<Value> = lists.into_iter().flatten().flatten().cloned().collect();
            let items = array(item, &items).map_err(|(_, reason)| (0, reason))?;
            let field = Field::new("item", items.data_type().clone(), true);
            Arc::new(LargeListArray::new(Arc::new(field), offsets, items, Some(nulls)))
        }
        Type::Map(key, item) => maps(key, item, &pick!(Value::Map(map) => map))?,
        Type::Tensor(tensor) => {
            let tensors = pick!(Value::Tensor(x) => x);
            let size = tensor.shape.iter().product::<usize>();
            let nulls = NullBuffer::from_iter(tensors.iter().map(Option::is_some));
            let numbers = tensors.iter().flat_map(|x| match x {
                Some(tensor) => tensor.array().iter().copied().collect(),
                None => vec![0.0; size],
            });
            let numbers = Float64Array::from_iter_values(numbers);
            if numbers.len() != size * values.len() {
                return Err((0, format!("a value is not {ty}")));
            }
            let field = Field::new("item", DataType::Float64, false);
            Arc::new(FixedSizeListArray::new(Arc::new(field), size as i32, Arc::new(numbers), Some(nulls)))
        }
    })
}

/// Decimals at one scale, without rounding.
fn decimals(ty: &Type, precision: u8, scale: u8, values: &[Value]) -> Result<ArrayRef, Misfit> {
    let fit = |value: &Value| match value {
        Value::Decimal(x) => {
            x.rescale(scale, Rounding::Truncate).filter(|same| same.number_cmp(x).is_eq() && same.digits() <= precision)
        }
        _ => None,
    };
    let mantissas = values.iter().enumerate().map(|(row, value)| match value {
        Value::Null => Ok(None),
        value => fit(value).map_or_else(|| misfit(row, value, ty), |x| Ok(Some(mantissa(&x)))),
    });
    let mantissas = mantissas.collect::<Result<Vec<Option<i256>>, Misfit>>()?;
    if precision <= 38 {
        let narrow = mantissas.into_iter().map(|x| x.map(i256::as_i128));
        let precision = precision.max(1);
        return Ok(Arc::new(Decimal128Array::from_iter(narrow).with_data_type(DataType::Decimal128(precision, scale as i8))));
    }
    Ok(Arc::new(Decimal256Array::from_iter(mantissas).with_data_type(DataType::Decimal256(precision, scale as i8))))
}

fn mantissa(x: &Decimal) -> i256 {
    match x {
        Decimal::Small { mantissa, .. } => i256::from_i128((*mantissa).into()),
        Decimal::Big(big) => {
            let mut bytes = [0; 32];
            bytes.chunks_exact_mut(8).zip(big.0).for_each(|(chunk, limb)| chunk.copy_from_slice(&limb.to_le_bytes()));
            i256::from_le_bytes(bytes)
        }
    }
}

type Entries = Arc<std::collections::BTreeMap<Value, Value>>;

fn maps(key: &Type, item: &Type, maps: &[Option<&Entries>]) -> Result<ArrayRef, Misfit> {
    let nulls = NullBuffer::from_iter(maps.iter().map(Option::is_some));
    let offsets = OffsetBuffer::<i32>::from_lengths(maps.iter().map(|map| map.map_or(0, |map| map.len())));
    let entries = || maps.iter().flatten().flat_map(|map| map.iter());
    let keys: Vec<Value> = entries().map(|(key, _)| key.clone()).collect();
    let items: Vec<Value> = entries().map(|(_, value)| value.clone()).collect();
    let inside = |(_, reason)| (0, reason);
    let (keys, items) = (array(key, &keys).map_err(inside)?, array(item, &items).map_err(inside)?);
    let fields = Fields::from(vec![
        Field::new("key", keys.data_type().clone(), false),
        Field::new("value", items.data_type().clone(), true),
    ]);
    let entries = StructArray::new(fields.clone(), vec![keys, items], None);
    let field = Field::new("entries", DataType::Struct(fields), false);
    Ok(Arc::new(MapArray::new(Arc::new(field), offsets, entries, Some(nulls), true)))
}
