//! The rows of a group in order: by what the call names, then by their keys; without either, by value.
//!
//! A child gives a tuple `[value, by, key…]`; `by` is there where the call names one. Order: rows whose `by` is NULL first, then by the
//! number line, texts by bytes, and so on (values of different types by type); ties by key, in the order of typed keys; rows
//! without a key by value.
//!
//! Where every part is a word (numbers and times of one type, a key of one column), an entry is three words. Anything else makes
//! all entries tuples, until the group is empty again; the order is the same.

use std::cmp::Ordering;
use std::sync::Arc;

use super::extreme::rank;
use super::numbers::have_order;
use super::tree::Tree;
use crate::ops;
use crate::value::Value;
use crate::word::Kind;

/// Rows in order.
#[derive(Clone, Debug)]
pub(super) struct Ordered {
    /// Tuples come, not single values.
    tuples: bool,
    /// Tuples have a `by`.
    has_by: bool,
    /// Ties are in the other order: the last row is the best, and of equals that with the least key.
    backwards: bool,
    /// Rows whose `by` is NULL.
    without_by: usize,
    rows: Rows,
}

#[derive(Clone, Debug)]
enum Rows {
    /// No row has told yet what there is.
    Empty,
    Words(Kinds, Tree<Words>),
    Tuples(Tree<Arc<[Value]>>),
}

/// How an entry's words are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Kinds {
    value: Kind,
    by: Option<Kind>,
    key: Option<Kind>,
}

/// An entry in words; `by` and `key` in an order of their own that is that of numbers without sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Words {
    by: u64,
    key: u64,
    value: u64,
}

impl Ordered {
    /// Of tuples; see the module.
    pub fn of_tuples(has_by: bool, backwards: bool) -> Ordered {
        Ordered { tuples: true, has_by, backwards, without_by: 0, rows: Rows::Empty }
    }

    /// Of values, in their own order.
    pub fn of_values() -> Ordered {
        Ordered { tuples: false, has_by: false, backwards: false, without_by: 0, rows: Rows::Empty }
    }

    pub fn len(&self) -> usize {
        match &self.rows {
            Rows::Empty => 0,
            Rows::Words(_, rows) => rows.len(),
            Rows::Tuples(rows) => rows.len(),
        }
    }

    /// The value of a tuple.
    pub fn value_of<'a>(&self, given: &'a Value) -> &'a Value {
        self.parts(given).first().unwrap_or(given)
    }

    /// Whether a tuple says nothing to order by.
    pub fn lacks_by(&self, given: &Value) -> bool {
        self.has_by && self.parts(given).get(1).is_none_or(Value::is_null)
    }

    fn parts<'a>(&self, given: &'a Value) -> &'a [Value] {
        match given {
            Value::List(parts) if self.tuples && !parts.is_empty() => parts,
            value => std::slice::from_ref(value),
        }
    }

    /// Puts a row in; gives its place.
    pub fn insert(&mut self, given: &Value) -> usize {
        self.without_by += usize::from(self.lacks_by(given));
        if matches!(self.rows, Rows::Empty) {
            self.rows = match self.kinds(given) {
                Some(kinds) => Rows::Words(kinds, Tree::default()),
                None => Rows::Tuples(Tree::default()),
            };
        }
        let words = match &self.rows {
            Rows::Words(kinds, _) => Some((*kinds, self.words(*kinds, given))),
            Rows::Empty | Rows::Tuples(_) => None,
        };
        match (words, &mut self.rows) {
            (Some((_, Some(words))), Rows::Words(_, rows)) => return rows.insert(words, &Words::cmp),
            (Some((kinds, None)), _) => self.widen(kinds),
            _ => {}
        }
        let (tuple, order) = (self.tuple(given), self.order());
        let Rows::Tuples(rows) = &mut self.rows else { unreachable!("invariant: what is not words is tuples") };
        rows.insert(tuple, &order)
    }

    /// Takes a row out, which is in; gives the place where it stood.
    pub fn remove(&mut self, given: &Value) -> Option<usize> {
        self.without_by = self.without_by.saturating_sub(usize::from(self.lacks_by(given)));
        let words = match &self.rows {
            Rows::Words(kinds, _) => self.words(*kinds, given),
            Rows::Empty | Rows::Tuples(_) => None,
        };
        let (tuple, order) = (words.is_none().then(|| self.tuple(given)), self.order());
        let place = match (&mut self.rows, words, tuple) {
            (Rows::Words(_, rows), Some(words), _) => rows.remove(&words, &Words::cmp).map(|(place, _)| place),
            (Rows::Tuples(rows), _, Some(tuple)) => rows.remove(&tuple, &order).map(|(place, _)| place),
            _ => None,
        };
        debug_assert!(place.is_some(), "invariant AGG-1: only what is in is taken out");
        if self.len() == 0 {
            self.rows = Rows::Empty;
        }
        place
    }

    /// The value at a place.
    pub fn get(&self, place: usize) -> Option<Value> {
        match &self.rows {
            Rows::Empty => None,
            Rows::Words(kinds, rows) => rows.get(place).map(|words| kinds.value.value(words.value)),
            Rows::Tuples(rows) => rows.get(place).map(|tuple| tuple[0].clone()),
        }
    }

    /// The values from a place up to, without, another.
    pub fn values(&self, from: usize, to: usize) -> Vec<Value> {
        let mut values = Vec::with_capacity(to.saturating_sub(from));
        match &self.rows {
            Rows::Empty => {}
            Rows::Words(kinds, rows) => rows.each(from, to, &mut |words| values.push(kinds.value.value(words.value))),
            Rows::Tuples(rows) => rows.each(from, to, &mut |tuple| values.push(tuple[0].clone())),
        }
        values
    }

    /// Whether what the rows are ordered by has an order: the ends tell.
    pub fn has_order(&self) -> bool {
        match &self.rows {
            Rows::Tuples(rows) if self.has_by => {
                let ends = rows.get(self.without_by).zip(rows.get(rows.len().wrapping_sub(1)));
                ends.is_none_or(|(least, greatest)| match (least.get(1), greatest.get(1)) {
                    (Some(a), Some(b)) => have_order(a, b),
                    _ => true,
                })
            }
            Rows::Empty | Rows::Words(..) | Rows::Tuples(_) => true,
        }
    }

    pub fn heap_bytes(&self) -> usize {
        match &self.rows {
            Rows::Empty => 0,
            Rows::Words(_, rows) => rows.heap_bytes(),
            Rows::Tuples(rows) => {
                let parts = rows.get(0).map_or(0, |tuple| tuple.len());
                rows.heap_bytes() + rows.len() * (16 + parts * size_of::<Value>())
            }
        }
    }

    /// How a group that begins with this row can keep its rows in words.
    fn kinds(&self, given: &Value) -> Option<Kinds> {
        let parts = self.parts(given);
        let value = Kind::of_value(&parts[0])?;
        let by = if self.has_by { Some(Kind::of_value(parts.get(1)?)?) } else { None };
        let key = match parts.get(1 + usize::from(self.has_by)..) {
            None | Some([]) => None,
            Some([key]) => Some(Kind::of_value(key)?),
            Some(_) => return None,
        };
        Some(Kinds { value, by, key })
    }

    fn words(&self, kinds: Kinds, given: &Value) -> Option<Words> {
        let parts = self.parts(given);
        let value = kinds.value.word(&parts[0])?;
        let by = match kinds.by {
            Some(kind) => place_by_value(kind, kind.word(parts.get(1)?)?),
            None => 0,
        };
        let key = match (kinds.key, parts.get(1 + usize::from(self.has_by)..)) {
            (Some(kind), Some([key])) => place(kind, kind.word(key)?),
            (None, None | Some([])) => place(kinds.value, value),
            _ => return None,
        };
        Some(Words { by, key: if self.backwards { !key } else { key }, value })
    }

    /// From words to tuples.
    fn widen(&mut self, kinds: Kinds) {
        let Rows::Words(_, words) = std::mem::replace(&mut self.rows, Rows::Tuples(Tree::default())) else { return };
        let (order, backwards) = (self.order(), self.backwards);
        let mut rows = Tree::default();
        words.each(0, words.len(), &mut |words| {
            let value = [kinds.value.value(words.value)];
            let by = kinds.by.map(|kind| kind.value(word_at(kind, words.by)));
            let key = if backwards { !words.key } else { words.key };
            let key = kinds.key.map(|kind| kind.value(word_at(kind, key)));
            rows.insert(value.into_iter().chain(by).chain(key).collect(), &order);
        });
        self.rows = Rows::Tuples(rows);
    }

    fn tuple(&self, given: &Value) -> Arc<[Value]> {
        match given {
            Value::List(parts) if self.tuples && !parts.is_empty() => parts.clone(),
            value => [value.clone()].into(),
        }
    }

    fn order(&self) -> impl Fn(&Arc<[Value]>, &Arc<[Value]>) -> Ordering + use<> {
        let (has_by, backwards) = (self.has_by, self.backwards);
        move |a, b| {
            let by = match (has_by, a.get(1), b.get(1)) {
                (true, Some(a), Some(b)) => by_order(a, b),
                _ => Ordering::Equal,
            };
            by.then_with(|| {
                let from = 1 + usize::from(has_by);
                let (a_key, b_key) = (a.get(from..).unwrap_or(&[]), b.get(from..).unwrap_or(&[]));
                let order = a_key.cmp(b_key).then_with(|| rank(&a[0], &b[0]));
                if backwards { order.reverse() } else { order }
            })
        }
    }
}

/// NULL first, numbers as on the number line, everything else by type and value.
fn by_order(a: &Value, b: &Value) -> Ordering {
    ops::number_cmp(a, b).unwrap_or_else(|| a.cmp(b))
}

const SIGN: u64 = 1 << 63;

/// A word as a number without sign, in the order of its values.
fn place(kind: Kind, word: u64) -> u64 {
    match kind {
        Kind::Double if word & SIGN == 0 => word | SIGN,
        Kind::Double => !word,
        Kind::Int | Kind::Timestamp | Kind::Duration | Kind::Decimal(_) => word ^ SIGN,
        Kind::Bool | Kind::Uint | Kind::Boxed | Kind::Open => word,
    }
}

/// The same, where 0.0 and -0.0 are one.
fn place_by_value(kind: Kind, word: u64) -> u64 {
    if kind == Kind::Double && word == SIGN { place(kind, 0) } else { place(kind, word) }
}

/// The word at a place.
fn word_at(kind: Kind, place: u64) -> u64 {
    match kind {
        Kind::Double if place & SIGN != 0 => place ^ SIGN,
        Kind::Double => !place,
        Kind::Int | Kind::Timestamp | Kind::Duration | Kind::Decimal(_) => place ^ SIGN,
        Kind::Bool | Kind::Uint | Kind::Boxed | Kind::Open => place,
    }
}
