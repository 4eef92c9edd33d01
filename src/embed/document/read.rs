//! From cells to a type of the program. A value is never made to fit by rounding or cutting: it fits, or the error says why not.

use serde::de::value::StrDeserializer;
use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, EnumAccess, Error as _, MapAccess, SeqAccess, Unexpected, VariantAccess,
    Visitor,
};
use serde::forward_to_deserialize_any;
use thalweg_formulas::ops::type_name;
use thalweg_formulas::{Cell, Code, Value, json, time};

use super::error::Unfit;
use super::write::DECIMAL;

pub(super) const UNFIT: Code = Code(341);
const IN_ERROR: Code = Code(342);

/// The names of a struct's fields as serde knows them; `None` for what is read as a map.
pub(super) fn fields_of<T: DeserializeOwned>() -> Option<Vec<&'static str>> {
    let mut found = None;
    let _ = T::deserialize(Asker(&mut found));
    found
}

/// Asks a type what it wants, and gives it nothing.
struct Asker<'a>(&'a mut Option<Vec<&'static str>>);

impl<'de> Deserializer<'de> for Asker<'_> {
    type Error = Unfit;

    fn deserialize_any<V: Visitor<'de>>(self, _visitor: V) -> Result<V::Value, Unfit> {
        Err(Unfit::new(UNFIT, "asked only"))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Unfit> {
        *self.0 = Some(fields.to_vec());
        self.deserialize_any(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _name: &'static str, visitor: V) -> Result<V::Value, Unfit> {
        visitor.visit_newtype_struct(self)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct seq tuple
        tuple_struct map enum identifier ignored_any
    }
}

/// A document as serde reads it.
pub(super) struct DocumentReader<'a>(pub Vec<(&'a str, CellReader)>);

impl<'de> Deserializer<'de> for DocumentReader<'_> {
    type Error = Unfit;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unfit> {
        visitor.visit_map(Members { members: self.0.into_iter().map(|(name, cell)| (name.to_owned(), cell)), open: None })
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _name: &'static str, visitor: V) -> Result<V::Value, Unfit> {
        visitor.visit_newtype_struct(self)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct seq tuple
        tuple_struct map struct enum identifier ignored_any
    }
}

/// Named members, each an error's place.
struct Members<I> {
    members: I,
    open: Option<(String, CellReader)>,
}

impl<'de, I: Iterator<Item = (String, CellReader)>> MapAccess<'de> for Members<I> {
    type Error = Unfit;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Unfit> {
        self.open = self.members.next();
        let Some((name, _)) = &self.open else { return Ok(None) };
        seed.deserialize(StrDeserializer::<Unfit>::new(name)).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Unfit> {
        let (name, cell) = self.open.take().ok_or_else(|| Unfit::custom("a value is read after its name"))?;
        seed.deserialize(cell).map_err(|unfit| unfit.within(&name))
    }
}

/// One cell as serde reads it.
pub(super) struct CellReader(pub Cell);

impl CellReader {
    fn value(self) -> Result<Value, Unfit> {
        self.0.map_err(|error| {
            let unfit = Unfit::new(IN_ERROR, format!("is in error: {error}"));
            unfit.cure("correct the row, or read the field as `Result<T, String>`")
        })
    }
}

macro_rules! numbers {
    ($($method:ident),*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unfit> {
            match self.value()? {
                Value::Timestamp(at) => visitor.visit_i64(at.0),
                Value::Duration(span) => visitor.visit_i64(span.0),
                decimal @ Value::Decimal(_) => Err(exact(&decimal)),
                value => any(value, visitor),
            }
        })*
    };
}

/// Money is not rounded behind anybody's back.
fn exact(decimal: &Value) -> Unfit {
    let unfit =
        Unfit::new(UNFIT, format!("{} is a decimal, which this number type may not hold exactly", json::display(decimal)));
    unfit.cure("read it as `String` or `Decimal`, or convert it in the formula: `double(…)`, `int(…)`")
}

impl<'de> Deserializer<'de> for CellReader {
    type Error = Unfit;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unfit> {
        any(self.value()?, visitor)
    }

    numbers!(
        deserialize_i8,
        deserialize_i16,
        deserialize_i32,
        deserialize_i64,
        deserialize_i128,
        deserialize_u8,
        deserialize_u16,
        deserialize_u32,
        deserialize_u64,
        deserialize_u128,
        deserialize_f32,
        deserialize_f64
    );

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unfit> {
        match self.0 {
            Ok(Value::Null) => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _name: &'static str, visitor: V) -> Result<V::Value, Unfit> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unfit> {
        self.deserialize_byte_buf(visitor)
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unfit> {
        match self.value()? {
            Value::Bytes(bytes) => visitor.visit_bytes(&bytes),
            value => any(value, visitor),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Unfit> {
        if let ("Result", ["Ok", "Err"]) = (name, variants) {
            return visitor.visit_enum(match self.0 {
                Ok(value) => Variant { name: "Ok".into(), inner: Some(value) },
                Err(error) => Variant { name: "Err".into(), inner: Some(Value::text(error.to_string())) },
            });
        }
        match self.value()? {
            Value::Decimal(decimal) if name == DECIMAL => {
                let parts = serde_json::to_value(&decimal).map_err(Unfit::custom)?;
                parts.deserialize_enum(name, variants, visitor).map_err(Unfit::custom)
            }
            Value::Text(variant) => visitor.visit_enum(Variant { name: variant.to_string(), inner: None }),
            Value::Map(ref map) if let (1, Some((Value::Text(variant), inner))) = (map.len(), map.first_key_value()) => {
                visitor.visit_enum(Variant { name: variant.to_string(), inner: Some(inner.clone()) })
            }
            other => Err(Unfit::custom(format!("invalid type: {}, expected one of {}", type_name(&other), variants.join(", ")))),
        }
    }

    forward_to_deserialize_any! {
        bool char str string unit unit_struct seq tuple tuple_struct map struct identifier ignored_any
    }
}

/// A value in serde's data model: what has no place there is text.
fn any<'de, V: Visitor<'de>>(value: Value, visitor: V) -> Result<V::Value, Unfit> {
    match value {
        Value::Null => visitor.visit_unit(),
        Value::Bool(x) => visitor.visit_bool(x),
        Value::Int(x) => visitor.visit_i64(x),
        Value::Uint(x) => visitor.visit_u64(x),
        Value::Double(x) => visitor.visit_f64(x),
        Value::Decimal(x) => visitor.visit_string(x.to_string()),
        Value::Text(x) => visitor.visit_str(&x),
        Value::Bytes(x) => visitor.visit_bytes(&x),
        Value::Timestamp(x) => visitor.visit_string(time::format_timestamp(x)),
        Value::Duration(x) => visitor.visit_string(time::format_duration(x)),
        Value::List(items) => visitor.visit_seq(Items { items: items.iter().cloned().collect::<Vec<_>>().into_iter(), at: 0 }),
        Value::Map(map) => {
            let name = |key: &Value| match key {
                Value::Text(text) => text.to_string(),
                other => json::display(other),
            };
            let members: Vec<(String, CellReader)> =
                map.iter().map(|(key, value)| (name(key), CellReader(Ok(value.clone())))).collect();
            visitor.visit_map(Members { members: members.into_iter(), open: None })
        }
        Value::Tensor(tensor) => {
            let numbers: Vec<Value> = tensor.array().iter().map(|x| Value::double(*x)).collect();
            visitor.visit_seq(Items { items: numbers.into_iter(), at: 0 })
        }
    }
}

/// Elements, each an error's place.
struct Items {
    items: std::vec::IntoIter<Value>,
    at: usize,
}

impl<'de> SeqAccess<'de> for Items {
    type Error = Unfit;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Unfit> {
        let Some(item) = self.items.next() else { return Ok(None) };
        self.at += 1;
        seed.deserialize(CellReader(Ok(item))).map(Some).map_err(|unfit| unfit.at(self.at - 1))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.items.len())
    }
}

/// A variant, as JSON has it: text, or `{"Variant": …}`.
struct Variant {
    name: String,
    inner: Option<Value>,
}

impl<'de> EnumAccess<'de> for Variant {
    type Error = Unfit;
    type Variant = Inner;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Inner), Unfit> {
        let variant = seed.deserialize(StrDeserializer::<Unfit>::new(&self.name))?;
        Ok((variant, Inner(self.inner)))
    }
}

struct Inner(Option<Value>);

impl Inner {
    fn reader(self) -> CellReader {
        CellReader(Ok(self.0.unwrap_or(Value::Null)))
    }
}

impl<'de> VariantAccess<'de> for Inner {
    type Error = Unfit;

    fn unit_variant(self) -> Result<(), Unfit> {
        self.0.map_or(Ok(()), |_| Err(Unfit::invalid_type(Unexpected::NewtypeVariant, &"a variant without a value")))
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Unfit> {
        seed.deserialize(self.reader())
    }

    fn tuple_variant<V: Visitor<'de>>(self, _len: usize, visitor: V) -> Result<V::Value, Unfit> {
        self.reader().deserialize_any(visitor)
    }

    fn struct_variant<V: Visitor<'de>>(self, _fields: &'static [&'static str], visitor: V) -> Result<V::Value, Unfit> {
        self.reader().deserialize_any(visitor)
    }
}
