//! What ordered aggregates show: the first, the last, so many of them, all of them, and aggregates of the last so many.
//!
//! A window keeps the aggregate of what is in it: a row that comes or goes moves the window's start by one row, so a change costs
//! O(log n) however long the window is.

use super::Accumulator;
use super::ordered::Ordered;
use crate::agg::Agg;
use crate::errors;
use crate::ops::{LIST_MAX, TEXT_MAX};
use crate::types::Type;
use crate::value::{Cell, Value};

/// Rows in order, and what is in the window.
#[derive(Clone, Debug)]
pub(super) struct Shown {
    rows: Ordered,
    window: Option<Window>,
    /// A row without something to order by has no place.
    needs_by: bool,
    /// `string_agg`: values that are no text.
    only_texts: bool,
    misfits: u64,
}

#[derive(Clone, Debug)]
struct Window {
    length: usize,
    inside: Box<Accumulator>,
}

impl Shown {
    /// For tuples of these types: the value's, and that of what they are ordered by.
    pub fn new(agg: &Agg, types: &[Type]) -> Shown {
        let window = match agg {
            Agg::Window(windowed, n) => {
                let inside = Accumulator::new(&windowed.agg(), &types[..1.min(types.len())]);
                Some(Window { length: *n as usize, inside: Box::new(inside) })
            }
            _ => None,
        };
        let ranked = matches!(agg, Agg::Top(_) | Agg::Bottom(_));
        Shown {
            rows: Ordered::of_tuples(types.len() > 1, matches!(agg, Agg::Top(_))),
            window,
            needs_by: ranked,
            only_texts: matches!(agg, Agg::StringAgg(_)),
            misfits: 0,
        }
    }

    /// Puts a tuple in or takes it out; one whose value is NULL does not count.
    pub fn change(&mut self, given: &Value, sign: i8) {
        let value = self.rows.value_of(given);
        if value.is_null() || (self.needs_by && self.rows.lacks_by(given)) {
            return;
        }
        let misfit = self.only_texts && !matches!(value, Value::Text(_));
        if sign > 0 {
            self.misfits += u64::from(misfit);
            let place = self.rows.insert(given);
            if let Some(window) = &mut self.window {
                window.came(&self.rows, place, value);
            }
        } else {
            self.misfits = self.misfits.saturating_sub(u64::from(misfit));
            let place = self.rows.remove(given);
            if let (Some(window), Some(place)) = (&mut self.window, place) {
                window.went(&self.rows, place, value);
            }
        }
    }

    /// What is shown.
    ///
    /// # Errors
    /// E0314 while values do not go together or have no order, E0308 where there is too much to show.
    pub fn value(&self, agg: &Agg) -> Cell {
        if self.misfits > 0 {
            return Err(errors::bad_aggregate("string_agg over values that are not texts"));
        }
        if !self.rows.has_order() {
            return Err(errors::bad_aggregate(format!("{} by values that have no order among them", agg.name())));
        }
        let len = self.rows.len();
        let one = |place: Option<usize>| Ok(place.and_then(|place| self.rows.get(place)).unwrap_or(Value::Null));
        let many = |values: Vec<Value>| Ok(Value::List(values.into()));
        match agg {
            Agg::First => one(Some(0)),
            Agg::Last => one(len.checked_sub(1)),
            Agg::FirstOf(n) | Agg::Bottom(n) => many(self.rows.values(0, len.min(*n as usize))),
            Agg::LastOf(n) => many(self.rows.values(len.saturating_sub(*n as usize), len)),
            Agg::Top(n) => {
                let mut values = self.rows.values(len.saturating_sub(*n as usize), len);
                values.reverse();
                many(values)
            }
            Agg::Collect if len > LIST_MAX => Err(errors::out_of_fuel()),
            Agg::Collect => many(self.rows.values(0, len)),
            Agg::StringAgg(separator) => self.joined(separator),
            _ => self.window.as_ref().map_or(Ok(Value::Null), |window| window.inside.value()),
        }
    }

    fn joined(&self, separator: &str) -> Cell {
        if self.rows.len() == 0 {
            return Ok(Value::Null);
        }
        let mut joined = String::new();
        for (at, value) in self.rows.values(0, self.rows.len()).iter().enumerate() {
            let Value::Text(text) = value else { continue };
            if joined.len() + separator.len() + text.len() > TEXT_MAX {
                return Err(errors::out_of_fuel());
            }
            joined.push_str(if at == 0 { "" } else { separator });
            joined.push_str(text);
        }
        Ok(Value::text(joined))
    }

    pub fn heap_bytes(&self) -> usize {
        self.rows.heap_bytes() + self.window.as_ref().map_or(0, |window| window.inside.bytes())
    }
}

impl Window {
    /// A row has come to a place.
    fn came(&mut self, rows: &Ordered, place: usize, value: &Value) {
        if place + self.length < rows.len() {
            return;
        }
        self.inside.insert(&Ok(value.clone()));
        // The row that was the window's first has moved out.
        if let Some(out) = rows.len().checked_sub(self.length + 1).and_then(|place| rows.get(place)) {
            self.inside.remove(&Ok(out));
        }
    }

    /// A row has gone from a place.
    fn went(&mut self, rows: &Ordered, place: usize, value: &Value) {
        let before = rows.len() + 1;
        if place + self.length < before {
            return;
        }
        self.inside.remove(&Ok(value.clone()));
        // The row that stood before the window has moved in.
        if let Some(new) = rows.len().checked_sub(self.length).and_then(|place| rows.get(place)) {
            self.inside.insert(&Ok(new));
        }
    }
}
