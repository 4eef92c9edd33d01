//! How one layout of rows (a schema) meets one table of the plan: positions to slots, values to types, rows to documents.

use std::sync::Arc;

use thalweg_formulas::coerce::coerce;
use thalweg_formulas::decimal::Decimal;
use thalweg_formulas::{Error, Type, Value};
use thalweg_graph::plan::{ColumnId, TableId};
use thalweg_graph::{Change, Op, Plan, Row, Schema};

use super::arrival::{Image, RowMap};
use super::errors;
use crate::state::{KeyBuf, Kind};

/// Position of a mapping in the list that driver and workers share.
pub type MappingId = u32;

/// The key of a table, once it is known.
#[derive(Clone, Debug)]
pub struct TableKey {
    /// The names of its columns; for a multiset all columns, and `#` for the occurrence.
    pub names: Arc<[Arc<str>]>,
    /// Their types, without the occurrence.
    pub types: Vec<Type>,
    /// The rows have no key: a document is a value and which of its occurrences.
    pub multiset: bool,
}

/// One column of the layout.
#[derive(Clone, Debug)]
pub struct MappedColumn {
    /// Its name, as a value.
    pub name: Value,
    /// Its slot in the home region, if it has one.
    pub slot: Option<u32>,
    /// The type that the plan gives it; [`Type::Dyn`] where it knows none.
    pub ty: Type,
    /// How values of that type are read as words.
    kind: Kind,
    /// The greatest size of a word that is a value of the type: what a decimal's digits allow.
    size_max: u64,
}

/// A schema seen from one table.
#[derive(Debug)]
pub struct Mapping {
    /// The table.
    pub table: TableId,
    /// Its key.
    pub key: TableKey,
    /// Where each key column stands in a row; `None`: the layout lacks it.
    key_at: Vec<Option<usize>>,
    /// The home region's slot of each key column.
    key_slots: Vec<Option<u32>>,
    /// The columns, in row order.
    pub columns: Vec<MappedColumn>,
}

/// Which document a change is about.
#[derive(Clone, Debug, PartialEq)]
pub struct Identity {
    /// The key before it; for a multiset the values, without the occurrence.
    pub key: KeyBuf,
    /// The key after it, where that is another.
    pub moved_to: Option<KeyBuf>,
}

/// A change that names no document.
#[derive(Clone, Debug)]
pub struct NoDocument {
    /// As much of the key as there was.
    pub key: KeyBuf,
    /// Why.
    pub error: Error,
}

impl TableKey {
    /// From the plan, or from the first schema seen; a declared key without columns means a multiset.
    pub fn new(plan: &Plan, table: TableId, schema: &Schema) -> TableKey {
        let known = &plan.tables[table.0 as usize];
        let named = |name: &Arc<str>| known.columns.iter().find(|c| c.name == *name).map(|c| c.ty.clone());
        if let Some(columns) = known.key.as_ref().filter(|columns| !columns.is_empty()) {
            return TableKey::of_columns(plan, table, columns);
        }
        let multiset = known.key.is_some() || schema.key.is_empty();
        let picked: Vec<usize> =
            if multiset { (0..schema.columns.len()).collect() } else { schema.key.iter().map(|at| *at as usize).collect() };
        let columns: Vec<_> = picked.into_iter().filter_map(|at| schema.columns.get(at)).collect();
        let occurrence = multiset.then(|| Arc::from("#"));
        TableKey {
            names: columns.iter().map(|c| c.name.clone()).chain(occurrence).collect(),
            types: columns.iter().map(|c| named(&c.name).unwrap_or_else(|| c.ty.clone())).collect(),
            multiset,
        }
    }

    /// The key that the plan declares.
    pub fn of_columns(plan: &Plan, table: TableId, columns: &[ColumnId]) -> TableKey {
        let known = &plan.tables[table.0 as usize].columns;
        let columns = columns.iter().map(|column| &known[column.0 as usize]);
        TableKey {
            names: columns.clone().map(|c| c.name.clone()).collect(),
            types: columns.map(|c| c.ty.clone()).collect(),
            multiset: false,
        }
    }
}

impl Mapping {
    /// How `schema` feeds `table`, whose columns have these slots in its home region.
    pub fn new(plan: &Plan, table: TableId, key: TableKey, schema: &Schema, slots: &[Option<u32>]) -> Mapping {
        let known = &plan.tables[table.0 as usize].columns;
        let position = |name: &Arc<str>| known.iter().position(|column| column.name == *name);
        let columns = schema.columns.iter().map(|column| {
            let known_at = position(&column.name);
            let ty = known_at.map_or(Type::Dyn, |at| known[at].ty.clone());
            MappedColumn::new(&column.name, known_at.and_then(|at| slots[at]), ty)
        });
        let key_names = || key.names.iter().take(key.types.len());
        Mapping {
            table,
            key_at: key_names().map(|name| schema.columns.iter().position(|column| column.name == *name)).collect(),
            key_slots: key_names().map(|name| position(name).and_then(|at| slots[at])).collect(),
            columns: columns.collect(),
            key,
        }
    }

    /// Which document the change is about.
    ///
    /// # Errors
    /// It names none: a key column is absent, NULL or of a wrong type, or a multiset's row is not whole.
    pub fn identity(&self, change: &Change) -> Result<Identity, NoDocument> {
        if self.key.multiset { self.values(change) } else { self.keyed(change) }
    }

    fn keyed(&self, change: &Change) -> Result<Identity, NoDocument> {
        let key = self.old_key(change)?;
        let moves = matches!(change.op, Op::Update | Op::Upsert);
        let moved_to = match &change.after {
            Some(after) if moves => self.key_after(&key, after)?,
            _ => None,
        };
        Ok(Identity { key, moved_to })
    }

    fn old_key(&self, change: &Change) -> Result<KeyBuf, NoDocument> {
        if let Some(given) = &change.key {
            if given.len() != self.key.types.len() {
                return Err(NoDocument {
                    key: given.iter().cloned().collect(),
                    error: errors::key_length(given.len(), self.key.types.len()),
                });
            }
            return self.coerce_key(given.iter().map(Some));
        }
        let (first, second) = match change.op {
            Op::Insert | Op::Upsert => (&change.after, &change.before),
            Op::Update | Op::Delete => (&change.before, &change.after),
        };
        match (first, second) {
            (Some(image), _) if self.names_key(image) => self.key_of(image),
            (_, Some(image)) if self.names_key(image) => self.key_of(image),
            (Some(image), _) | (None, Some(image)) => self.key_of(image),
            (None, None) => self.coerce_key(self.key.types.iter().map(|_| None)),
        }
    }

    fn names_key(&self, image: &Row) -> bool {
        self.key_at.iter().all(|at| at.is_some_and(|at| image.get(at).is_some_and(Option::is_some)))
    }

    fn key_of(&self, image: &Row) -> Result<KeyBuf, NoDocument> {
        self.coerce_key(self.key_at.iter().map(|at| at.and_then(|at| image.get(at)).and_then(Option::as_ref)))
    }

    fn coerce_key<'a>(&self, values: impl Iterator<Item = Option<&'a Value>>) -> Result<KeyBuf, NoDocument> {
        let mut key = KeyBuf::new();
        let mut wrong = None;
        for (at, value) in values.enumerate() {
            let value = value.cloned().unwrap_or(Value::Null);
            let (name, ty) = (&self.key.names[at], &self.key.types[at]);
            match coerced(value.clone(), ty) {
                Ok(Value::Null) => {
                    wrong.get_or_insert_with(|| errors::no_key(name));
                    key.push(Value::Null);
                }
                Ok(value) => key.push(value),
                Err(error) => {
                    wrong.get_or_insert_with(|| errors::wrong_type(name, &error));
                    key.push(value);
                }
            }
        }
        match wrong {
            None => Ok(key),
            Some(error) => Err(NoDocument { key, error }),
        }
    }

    /// The key that `after` gives, where it is another than `old`.
    fn key_after(&self, old: &KeyBuf, after: &Row) -> Result<Option<KeyBuf>, NoDocument> {
        let given = |at: &Option<usize>| at.and_then(|at| after.get(at)).and_then(Option::as_ref);
        if self.key_at.iter().zip(old).all(|(at, old)| given(at).is_none_or(|value| value == old)) {
            return Ok(None);
        }
        let new = self.coerce_key(self.key_at.iter().zip(old).map(|(at, old)| Some(given(at).unwrap_or(old))))?;
        Ok((new != *old).then_some(new))
    }

    fn values(&self, change: &Change) -> Result<Identity, NoDocument> {
        let verb = verb(change.op);
        let lacks = |which| NoDocument { key: KeyBuf::new(), error: errors::no_image(verb, which) };
        match change.op {
            Op::Insert | Op::Upsert => {
                let after = change.after.as_ref().ok_or_else(|| lacks("after"))?;
                Ok(Identity { key: self.values_of(|at| after.get(at).and_then(Option::as_ref))?, moved_to: None })
            }
            Op::Update | Op::Delete => {
                let before =
                    change.before.as_ref().filter(|row| row.iter().all(Option::is_some)).ok_or_else(|| lacks("before"))?;
                let key = self.values_of(|at| before.get(at).and_then(Option::as_ref))?;
                if change.op == Op::Delete {
                    return Ok(Identity { key, moved_to: None });
                }
                let after = change.after.as_ref().ok_or_else(|| lacks("after"))?;
                let new = self
                    .values_of(|at| after.get(at).and_then(Option::as_ref).or_else(|| before.get(at).and_then(Option::as_ref)))?;
                let moved_to = (new != key).then_some(new);
                Ok(Identity { key, moved_to })
            }
        }
    }

    fn values_of<'a>(&self, value: impl Fn(usize) -> Option<&'a Value>) -> Result<KeyBuf, NoDocument> {
        let mut values = KeyBuf::new();
        for (place, at) in self.key_at.iter().enumerate() {
            let given = at.and_then(&value).cloned().unwrap_or(Value::Null);
            let (name, ty) = (&self.key.names[place], &self.key.types[place]);
            let value =
                coerced(given, ty).map_err(|error| NoDocument { key: KeyBuf::new(), error: errors::wrong_type(name, &error) })?;
            values.push(value);
        }
        Ok(values)
    }

    /// Whether the given columns of an image are of their types already, as far as that is quickly said.
    #[inline]
    fn fits(&self, image: &Row) -> bool {
        image.iter().zip(&self.columns).all(|(value, column)| value.as_ref().is_none_or(|value| fits(value, &column.ty)))
    }

    /// The key in an image, where it is one column.
    #[inline]
    pub fn only_key<'a>(&self, image: &'a Row) -> Option<&'a [Value]> {
        let [Some(at)] = self.key_at[..] else { return None };
        image.get(at)?.as_ref().map(std::slice::from_ref)
    }

    /// Brings the given columns of an image to their types, in place.
    ///
    /// # Errors
    /// A value does not fit its column; the image is then of no use.
    #[inline]
    pub fn coerce(&self, image: &mut Row) -> Result<(), Error> {
        if self.fits(image) { Ok(()) } else { self.coerce_each(image) }
    }

    fn coerce_each(&self, image: &mut Row) -> Result<(), Error> {
        for (at, column) in self.columns.iter().enumerate() {
            if let Some(Some(value)) = image.get(at)
                && !fits(value, &column.ty)
            {
                let value = coerce(value.clone(), &column.ty).map_err(|why| errors::wrong_type(column.name_text(), &why))?;
                image.cells_mut()[at] = Some(value);
            }
        }
        Ok(())
    }

    /// The columns that an image gives, and their values.
    pub fn given<'a>(&'a self, image: &'a Row) -> impl Iterator<Item = (&'a MappedColumn, &'a Value)> + Clone {
        self.columns.iter().zip(image).filter_map(|(column, value)| Some((column, value.as_ref()?)))
    }

    /// The document of a change that says it plainly: by one column, of its type already, the same before and after.
    #[inline]
    pub fn plain_key<'a>(&self, change: &'a Change) -> Option<&'a Value> {
        let ([Some(at)], [ty], None, false) = (&self.key_at[..], &self.key.types[..], &change.key, self.key.multiset) else {
            return None;
        };
        let of = |image: &'a Option<Row>| image.as_ref().and_then(|image| image.get(*at)?.as_ref());
        let key = match (change.op, of(&change.before), of(&change.after)) {
            (Op::Insert, _, Some(key)) | (Op::Delete, Some(key), _) => key,
            (Op::Update, Some(old), Some(new)) if old == new => old,
            (Op::Update, None, Some(key)) if change.before.is_none() => key,
            _ => return None,
        };
        (!key.is_null() && fits(key, ty)).then_some(key)
    }

    /// The place and type of the key, where it is one column of the layout.
    pub fn only_key_column(&self) -> Option<(usize, &Type)> {
        match (&self.key_at[..], &self.key.types[..]) {
            ([Some(at)], [ty]) if !self.key.multiset => Some((*at, ty)),
            _ => None,
        }
    }

    /// The slots of the key's columns and their values under `key`.
    pub fn key_slots<'a>(&'a self, key: &'a [Value]) -> impl Iterator<Item = (u32, &'a Value)> {
        self.key_slots.iter().zip(key).filter_map(|(slot, value)| slot.map(|slot| (slot, value)))
    }

    /// Whether the slot holds a column of the key.
    pub fn is_key_slot(&self, slot: u32) -> bool {
        self.key_slots.contains(&Some(slot))
    }

    /// `image` changed by the given columns and brought under `key`.
    pub fn overlay(&self, image: &mut Image, given: &Row, key: &[Value]) {
        let named = self.given(given);
        for (column, value) in named.clone() {
            if let Some(slot) = column.slot {
                put(&mut image.slots, slot, value.clone());
            }
        }
        for (slot, value) in self.key_slots(key) {
            put(&mut image.slots, slot, value.clone());
        }
        if let Some(whole) = &mut image.whole {
            let whole = Arc::make_mut(whole);
            named.for_each(|(column, value)| drop(whole.insert(column.name.clone(), value.clone().owned())));
            self.write_key(whole, key);
        }
    }

    /// Writes the key's columns into a whole row.
    pub fn write_key(&self, whole: &mut RowMap, key: &[Value]) {
        for (name, value) in self.key.names.iter().take(self.key.types.len()).zip(key) {
            whole.insert(Value::text(name.clone()), value.clone().owned());
        }
    }
}

impl MappedColumn {
    fn new(name: &Arc<str>, slot: Option<u32>, ty: Type) -> MappedColumn {
        MappedColumn { name: Value::text(name.clone()), slot, kind: Kind::of_type(&ty), size_max: size_max(&ty), ty }
    }

    /// The word of a value that is one of the column's type already, and stands in a word.
    #[inline]
    pub fn word(&self, value: &Value) -> Option<u64> {
        self.kind.word(value).filter(|word| (*word as i64).unsigned_abs() <= self.size_max)
    }

    /// Whether the value is one of the column's type already, as far as that is quickly said.
    #[inline]
    pub fn fits(&self, value: &Value) -> bool {
        fits(value, &self.ty)
    }

    fn name_text(&self) -> &str {
        match &self.name {
            Value::Text(name) => name,
            _ => "",
        }
    }
}

fn put(slots: &mut Vec<(u32, Value)>, slot: u32, value: Value) {
    match slots.iter_mut().find(|(at, _)| *at == slot) {
        Some(entry) => entry.1 = value,
        None => slots.push((slot, value)),
    }
}

/// What an operation is called in messages.
pub fn verb(op: Op) -> &'static str {
    match op {
        Op::Insert => "insert",
        Op::Update => "update",
        Op::Delete => "delete",
        Op::Upsert => "upsert",
    }
}

/// Powers of ten: what a mantissa of so many digits stays below.
const POWERS: [u64; 19] = {
    let mut powers = [1; 19];
    let mut at = 1;
    while at < 19 {
        powers[at] = powers[at - 1] * 10;
        at += 1;
    }
    powers
};

/// The greatest size of a word, as two's complement, that is a value of type `ty`: what a decimal's digits allow.
pub fn size_max(ty: &Type) -> u64 {
    match ty {
        Type::Decimal { precision, .. } => POWERS.get(usize::from(*precision)).map_or(u64::MAX, |limit| limit - 1),
        _ => u64::MAX,
    }
}

/// Whether the value is one of type `ty` already, as far as that is quickly said.
#[inline]
pub fn fits(value: &Value, ty: &Type) -> bool {
    match (value, ty) {
        (_, Type::Dyn) | (Value::Null, _) => true,
        (Value::Int(_), Type::Int) | (Value::Uint(_), Type::Uint) | (Value::Double(_), Type::Double) => true,
        (Value::Bool(_), Type::Bool) | (Value::Text(_), Type::Text) | (Value::Timestamp(_), Type::Timestamp) => true,
        (Value::Decimal(Decimal::Small { mantissa, scale: has }), Type::Decimal { precision, scale }) => {
            has == scale && POWERS.get(usize::from(*precision)).is_some_and(|limit| mantissa.unsigned_abs() < *limit)
        }
        _ => false,
    }
}

/// `value` as one of type `ty`.
///
/// # Errors
/// It does not fit.
#[inline]
pub fn coerced(value: Value, ty: &Type) -> Result<Value, String> {
    if fits(&value, ty) { Ok(value) } else { coerce(value, ty) }
}
