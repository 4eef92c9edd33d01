//! Images whose values are words, read without taking them apart: what a fill's usual row costs.
//!
//! How a layout's columns are read is settled once for a fill. An image that has anything else (a value of another type, a text that is
//! kept, a key that is no whole number) is left to the general way.

use thalweg_formulas::{Type, Value};
use thalweg_graph::Change;

use crate::intake::Mapping;
use crate::intake::mapping::{fits, size_max};
use crate::state::{Kind, Rows};

/// How the images of one layout are read.
pub struct Reading<'a> {
    /// Where the key stands in an image.
    key: usize,
    /// How the key is a word: a whole number.
    pub key_kind: Kind,
    columns: Vec<Column<'a>>,
}

/// One column of the layout.
struct Column<'a> {
    /// Its slot, if it has one.
    slot: Option<u32>,
    ty: &'a Type,
    /// How its values are words; `None`: they are not, and it has no slot.
    kind: Option<Kind>,
    /// The greatest size of a word.
    size_max: u64,
}

impl<'a> Reading<'a> {
    /// Of a layout whose kept columns all stand in words, with a key of one whole number.
    pub fn of(mapping: &'a Mapping, rows: &Rows) -> Option<Reading<'a>> {
        let (key, ty) = mapping.only_key_column()?;
        let key_kind = Some(Kind::of_type(ty)).filter(|kind| matches!(kind, Kind::Int | Kind::Uint))?;
        let columns = mapping.columns.iter().map(|column| {
            let kind = Some(Kind::of_type(&column.ty)).filter(|kind| kind.is_word());
            let is_kept_otherwise = column.slot.is_some_and(|slot| kind != Some(rows.kind(slot)));
            let (slot, ty, size_max) = (column.slot, &column.ty, size_max(&column.ty));
            (!is_kept_otherwise).then_some(Column { slot, ty, kind, size_max })
        });
        Some(Reading { key, key_kind, columns: columns.collect::<Option<_>>()? })
    }

    /// The key that a change names by its image alone.
    #[inline]
    pub fn key(&self, change: &Change) -> Option<u64> {
        let (None, Some(after)) = (&change.key, &change.after) else { return None };
        self.key_kind.word(after.get(self.key)?.as_ref()?)
    }

    /// The slots and words of an image, NULLs left out; `false` if there is anything else in it.
    #[inline]
    pub fn words(&self, image: &[Option<Value>], words: &mut Vec<(u32, u64)>) -> bool {
        words.clear();
        for (column, value) in self.columns.iter().zip(image) {
            let Some(value) = value else { continue };
            match (column.kind.and_then(|kind| kind.word(value)), column.slot) {
                (Some(word), _) if (word as i64).unsigned_abs() > column.size_max => return false,
                (Some(word), Some(slot)) => words.push((slot, word)),
                (Some(_), None) => {}
                (None, _) if value.is_null() => {}
                (None, _) if column.kind.is_none() && fits(value, column.ty) => {}
                (None, _) => return false,
            }
        }
        true
    }
}
