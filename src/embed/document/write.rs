//! From a type of the program to values: what serde's data model is in a row.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::ser::{
    Serialize, SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant, SerializeTuple, SerializeTupleStruct,
    SerializeTupleVariant, Serializer,
};
use thalweg_formulas::decimal::Decimal;
use thalweg_formulas::{Code, Value};

use super::error::{DocumentError, Unfit};

pub(super) const NO_DOCUMENT: Code = Code(340);

/// One value of the program as a value of a cell.
///
/// # Errors
/// E0340: it has no place in one, such as a whole number beyond 128 bits.
pub fn value_of<T: Serialize + ?Sized>(value: &T) -> Result<Value, DocumentError> {
    value.serialize(Writer).map(Written::value).map_err(|unfit| unfit.of("value"))
}

/// The members of a struct or map, in their order.
pub(super) fn columns<T: Serialize + ?Sized>(document: &T) -> Result<Vec<(String, Value)>, Unfit> {
    let Written::Members(members) = document.serialize(Writer)? else {
        return Err(Unfit::new(NO_DOCUMENT, "a document is a struct or a map").cure("give a type whose fields are the columns"));
    };
    let column = |(name, value): (Value, Value)| match name {
        Value::Text(name) => Ok((name.to_string(), value)),
        other => Err(Unfit::new(NO_DOCUMENT, format!("a column's name is text, not {other:?}"))),
    };
    members.into_iter().map(column).collect()
}

/// What a value was written as; the members of a document keep their order.
pub(super) enum Written {
    Value(Value),
    Members(Vec<(Value, Value)>),
}

impl Written {
    fn value(self) -> Value {
        match self {
            Written::Value(value) => value,
            Written::Members(members) => Value::Map(Arc::new(members.into_iter().collect())),
        }
    }
}

fn write<T: Serialize + ?Sized>(value: &T) -> Result<Value, Unfit> {
    value.serialize(Writer).map(Written::value)
}

struct Writer;

macro_rules! whole {
    ($($method:ident: $ty:ty),*) => {
        $(fn $method(self, x: $ty) -> Result<Written, Unfit> {
            i64::try_from(x).map_or_else(|_| self.serialize_i128(i128::try_from(x).unwrap_or(i128::MAX)), |x| done(Value::Int(x)))
        })*
    };
}

fn done(value: Value) -> Result<Written, Unfit> {
    Ok(Written::Value(value))
}

impl Serializer for Writer {
    type Ok = Written;
    type Error = Unfit;
    type SerializeSeq = Items;
    type SerializeTuple = Items;
    type SerializeTupleStruct = Items;
    type SerializeTupleVariant = Items;
    type SerializeMap = Members;
    type SerializeStruct = Members;
    type SerializeStructVariant = Members;

    whole!(serialize_i8: i8, serialize_i16: i16, serialize_i32: i32, serialize_i64: i64);
    whole!(serialize_u8: u8, serialize_u16: u16, serialize_u32: u32);

    fn serialize_u64(self, x: u64) -> Result<Written, Unfit> {
        done(i64::try_from(x).map_or(Value::Uint(x), Value::Int))
    }

    fn serialize_i128(self, x: i128) -> Result<Written, Unfit> {
        match (i64::try_from(x), u64::try_from(x)) {
            (Ok(x), _) => done(Value::Int(x)),
            (_, Ok(x)) => done(Value::Uint(x)),
            _ => Decimal::new(x, 0).map_or_else(|| Err(Unfit::new(NO_DOCUMENT, format!("{x} is too large"))), |x| done(x.into())),
        }
    }

    fn serialize_u128(self, x: u128) -> Result<Written, Unfit> {
        match i128::try_from(x) {
            Ok(x) => self.serialize_i128(x),
            Err(_) => Err(Unfit::new(NO_DOCUMENT, format!("{x} is too large")).cure("write it as text into a decimal column")),
        }
    }

    fn serialize_bool(self, x: bool) -> Result<Written, Unfit> {
        done(Value::Bool(x))
    }

    fn serialize_f32(self, x: f32) -> Result<Written, Unfit> {
        done(Value::double(x.into()))
    }

    fn serialize_f64(self, x: f64) -> Result<Written, Unfit> {
        done(Value::double(x))
    }

    fn serialize_char(self, x: char) -> Result<Written, Unfit> {
        done(Value::text(x.to_string()))
    }

    fn serialize_str(self, x: &str) -> Result<Written, Unfit> {
        done(Value::text(x))
    }

    fn serialize_bytes(self, x: &[u8]) -> Result<Written, Unfit> {
        done(Value::Bytes(x.into()))
    }

    fn serialize_none(self) -> Result<Written, Unfit> {
        done(Value::Null)
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<Written, Unfit> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<Written, Unfit> {
        done(Value::Null)
    }

    fn serialize_unit_struct(self, _name: &'static str) -> Result<Written, Unfit> {
        done(Value::Null)
    }

    fn serialize_unit_variant(self, _name: &'static str, _index: u32, variant: &'static str) -> Result<Written, Unfit> {
        done(Value::text(variant))
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _name: &'static str, value: &T) -> Result<Written, Unfit> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        _index: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<Written, Unfit> {
        let inner = write(value).map_err(|unfit| unfit.within(variant))?;
        match (name, variant, &inner) {
            (DECIMAL, "Big", Value::List(parts)) => done(big(parts).unwrap_or_else(|| tagged(variant, inner.clone()))),
            _ => done(tagged(variant, inner)),
        }
    }

    fn serialize_seq(self, len: Option<usize>) -> Result<Items, Unfit> {
        Ok(Items { items: Vec::with_capacity(len.unwrap_or(0).min(1024)), variant: None })
    }

    fn serialize_tuple(self, len: usize) -> Result<Items, Unfit> {
        self.serialize_seq(Some(len))
    }

    fn serialize_tuple_struct(self, _name: &'static str, len: usize) -> Result<Items, Unfit> {
        self.serialize_seq(Some(len))
    }

    fn serialize_tuple_variant(self, _: &'static str, _: u32, variant: &'static str, _: usize) -> Result<Items, Unfit> {
        Ok(Items { items: Vec::new(), variant: Some(variant) })
    }

    fn serialize_map(self, _len: Option<usize>) -> Result<Members, Unfit> {
        Ok(Members::default())
    }

    fn serialize_struct(self, _name: &'static str, _len: usize) -> Result<Members, Unfit> {
        Ok(Members::default())
    }

    fn serialize_struct_variant(self, name: &'static str, _: u32, variant: &'static str, _: usize) -> Result<Members, Unfit> {
        Ok(Members { variant: Some((name, variant)), ..Members::default() })
    }
}

/// serde's name of [`Decimal`], whose parts make one value and not a map.
pub(super) const DECIMAL: &str = "Decimal";

/// A variant with something in it, as JSON has it: `{"Variant": …}`.
fn tagged(variant: &str, inner: Value) -> Value {
    Value::record([(variant, inner)])
}

/// The decimal behind `[[limb; 4], scale]`.
fn big(parts: &[Value]) -> Option<Value> {
    let [Value::List(limbs), Value::Int(scale)] = parts else { return None };
    let limb = |value: &Value| match value {
        Value::Int(x) => u64::try_from(*x).ok(),
        Value::Uint(x) => Some(*x),
        _ => None,
    };
    let limbs: [u64; 4] = limbs.iter().map(limb).collect::<Option<Vec<_>>>()?.try_into().ok()?;
    Some(Value::Decimal(Decimal::Big(Arc::new((limbs, u8::try_from(*scale).ok()?)))))
}

/// A list under construction.
struct Items {
    items: Vec<Value>,
    variant: Option<&'static str>,
}

impl Items {
    fn push<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Unfit> {
        let value = write(value).map_err(|unfit| unfit.at(self.items.len()))?;
        self.items.push(value);
        Ok(())
    }

    fn close(self) -> Result<Written, Unfit> {
        let list = Value::list(self.items);
        done(self.variant.map_or(list.clone(), |variant| tagged(variant, list)))
    }
}

macro_rules! items {
    ($($trait:ident::$method:ident),*) => {
        $(impl $trait for Items {
            type Ok = Written;
            type Error = Unfit;
            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Unfit> {
                self.push(value)
            }
            fn end(self) -> Result<Written, Unfit> {
                self.close()
            }
        })*
    };
}

items!(
    SerializeSeq::serialize_element,
    SerializeTuple::serialize_element,
    SerializeTupleStruct::serialize_field,
    SerializeTupleVariant::serialize_field
);

/// A map under construction.
#[derive(Default)]
struct Members {
    members: Vec<(Value, Value)>,
    key: Option<Value>,
    variant: Option<(&'static str, &'static str)>,
}

impl Members {
    fn member<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Result<(), Unfit> {
        let value = write(value).map_err(|unfit| unfit.within(name))?;
        self.members.push((Value::text(name), value));
        Ok(())
    }

    fn close(self) -> Result<Written, Unfit> {
        let Some((name, variant)) = self.variant else { return Ok(Written::Members(self.members)) };
        if let (DECIMAL, "Small", [(_, Value::Int(mantissa)), (_, Value::Int(scale))]) = (name, variant, &self.members[..])
            && let Some(decimal) = u8::try_from(*scale).ok().and_then(|scale| Decimal::new((*mantissa).into(), scale))
        {
            return done(Value::Decimal(decimal));
        }
        let members: BTreeMap<Value, Value> = self.members.into_iter().collect();
        done(tagged(variant, Value::Map(Arc::new(members))))
    }
}

impl SerializeMap for Members {
    type Ok = Written;
    type Error = Unfit;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Unfit> {
        self.key = Some(write(key)?);
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Unfit> {
        let key = self.key.take().unwrap_or(Value::Null);
        let place = thalweg_formulas::json::display(&key);
        let value = write(value).map_err(|unfit| unfit.within(&place))?;
        self.members.push((key, value));
        Ok(())
    }

    fn end(self) -> Result<Written, Unfit> {
        self.close()
    }
}

impl SerializeStruct for Members {
    type Ok = Written;
    type Error = Unfit;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Result<(), Unfit> {
        self.member(name, value)
    }

    fn end(self) -> Result<Written, Unfit> {
        self.close()
    }
}

impl SerializeStructVariant for Members {
    type Ok = Written;
    type Error = Unfit;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Result<(), Unfit> {
        self.member(name, value)
    }

    fn end(self) -> Result<Written, Unfit> {
        self.close()
    }
}
