//! Row images: the values of one row in the order of its schema's columns.
//!
//! An image owns its cells, or is a range of a [`RowBlock`] that many images share: those of one event of a log, which come and go
//! together, so that an image costs no allocation. A range keeps its whole block in memory until the last of them is dropped; what is kept
//! for long is not kept as rows.
//!
//! Which of the two an image is cannot be seen in what it says. Reading costs the same; writing to a range copies it first.

use std::fmt;
use std::ops::{Deref, Range};
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use thalweg_formulas::Value;

/// One row image in the order of its schema's columns; `None` = absent (unchanged), `Some(Value::Null)` = NULL.
#[derive(Clone)]
pub struct Row(Image);

#[derive(Clone)]
enum Image {
    Own(Box<[Option<Value>]>),
    Range { block: RowBlock, start: u32, len: u32 },
}

/// The cells of many images, one image behind the other.
#[derive(Clone, Debug)]
pub struct RowBlock(Arc<Cells>);

/// Cells that are dropped together.
#[derive(Debug)]
struct Cells {
    cells: Vec<Option<Value>>,
    /// None of them has bytes on the heap.
    is_plain: bool,
}

impl Drop for Cells {
    /// To drop a cell means to look at it, and when that is due it has long left the cache: so plain ones are not.
    fn drop(&mut self) {
        if self.is_plain {
            std::mem::take(&mut self.cells).into_iter().for_each(std::mem::forget);
        }
    }
}

impl RowBlock {
    /// Cells that are shared from now on.
    pub fn new(cells: Vec<Option<Value>>) -> RowBlock {
        RowBlock(Arc::new(Cells { cells, is_plain: false }))
    }

    /// The same for cells of which none has bytes on the heap ([`Value::has_heap`]): they are given back at once. Those of one that has are
    /// never given back.
    pub fn of_plain(cells: Vec<Option<Value>>) -> RowBlock {
        debug_assert!(!cells.iter().flatten().any(Value::has_heap), "plain cells have nothing on the heap");
        RowBlock(Arc::new(Cells { cells, is_plain: true }))
    }

    /// A range of them as an image. Cells beyond the end are left out; so is a range that begins behind the first four billion.
    #[inline]
    pub fn row(&self, cells: Range<usize>) -> Row {
        match (u32::try_from(cells.start), u32::try_from(cells.len())) {
            (Ok(start), Ok(len)) if cells.end <= self.0.cells.len() => Row(Image::Range { block: self.clone(), start, len }),
            _ => Row(Image::Own(self.0.cells.get(cells).unwrap_or_default().into())),
        }
    }
}

impl Row {
    /// Takes a value out: by a move where the image owns it, else by a clone, which never allocates. The cell may be absent afterwards.
    #[inline]
    pub fn take(&mut self, at: usize) -> Option<Value> {
        match &mut self.0 {
            Image::Own(cells) => cells.get_mut(at)?.take(),
            Image::Range { .. } => self.get(at)?.clone(),
        }
    }

    /// The cells, cloned if they lie in a block.
    pub fn into_vec(self) -> Vec<Option<Value>> {
        match self.0 {
            Image::Own(cells) => cells.into_vec(),
            Image::Range { .. } => self.to_vec(),
        }
    }

    /// The cells, to be written to. Copies the range of a block.
    pub fn cells_mut(&mut self) -> &mut [Option<Value>] {
        if let Image::Range { .. } = self.0 {
            self.0 = Image::Own(self[..].into());
        }
        match &mut self.0 {
            Image::Own(cells) => cells,
            Image::Range { .. } => &mut [],
        }
    }
}

impl Deref for Row {
    type Target = [Option<Value>];

    #[inline]
    fn deref(&self) -> &[Option<Value>] {
        match &self.0 {
            Image::Own(cells) => cells,
            Image::Range { block, start, len } => &block.0.cells[*start as usize..][..*len as usize],
        }
    }
}

impl fmt::Debug for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self[..].fmt(f)
    }
}

impl PartialEq for Row {
    fn eq(&self, other: &Row) -> bool {
        self[..] == other[..]
    }
}

impl Eq for Row {}

impl FromIterator<Option<Value>> for Row {
    fn from_iter<I: IntoIterator<Item = Option<Value>>>(cells: I) -> Row {
        Row(Image::Own(cells.into_iter().collect()))
    }
}

impl From<Vec<Option<Value>>> for Row {
    #[inline]
    fn from(cells: Vec<Option<Value>>) -> Row {
        Row(Image::Own(cells.into()))
    }
}

impl From<Box<[Option<Value>]>> for Row {
    #[inline]
    fn from(cells: Box<[Option<Value>]>) -> Row {
        Row(Image::Own(cells))
    }
}

impl<const N: usize> From<[Option<Value>; N]> for Row {
    fn from(cells: [Option<Value>; N]) -> Row {
        Row(Image::Own(cells.into()))
    }
}

impl<'a> IntoIterator for &'a Row {
    type Item = &'a Option<Value>;
    type IntoIter = std::slice::Iter<'a, Option<Value>>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl IntoIterator for Row {
    type Item = Option<Value>;
    type IntoIter = std::vec::IntoIter<Option<Value>>;

    fn into_iter(self) -> Self::IntoIter {
        self.into_vec().into_iter()
    }
}

impl Serialize for Row {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self[..].serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Row {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Row, D::Error> {
        Vec::deserialize(deserializer).map(Row::from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cells() -> Vec<Option<Value>> {
        vec![Some(Value::Int(1)), None, Some(Value::text("a text that is too long to lie in the value")), Some(Value::Null)]
    }

    #[test]
    fn an_image_takes_little_room() {
        assert_eq!([size_of::<Row>(), size_of::<Option<Row>>()], [24; 2]);
    }

    #[test]
    fn a_range_of_a_block_is_the_row_that_owns_the_same_cells() {
        let block = RowBlock::new([cells(), cells()].concat());
        let (own, range) = (Row::from(cells()), block.row(4..8));
        assert_eq!((&range, format!("{range:?}")), (&own, format!("{own:?}")));
        assert_eq!(range.clone().into_iter().collect::<Row>(), own);
        assert_eq!(serde_json::to_string(&range).unwrap(), serde_json::to_string(&own).unwrap());
        assert_eq!(serde_json::from_str::<Row>(&serde_json::to_string(&own).unwrap()).unwrap(), range);
        let taken = |mut row: Row| (0..5).map(|at| row.take(at)).collect::<Vec<_>>();
        assert_eq!(taken(range.clone()), taken(own));
        let mut written = range.clone();
        written.cells_mut()[1] = Some(Value::Int(2));
        assert_eq!((&written[1], &range[1]), (&Some(Value::Int(2)), &None));
        assert_eq!(*block.row(6..9), [], "beyond the end");
    }

    #[test]
    fn what_the_cells_of_a_block_hold_is_given_back() {
        let held: Arc<[u8]> = [1, 2].into();
        let block = RowBlock::new(vec![Some(Value::Bytes(held.clone())), None]);
        let row = block.row(0..2);
        drop(block);
        assert_eq!((Arc::strong_count(&held), row.len()), (2, 2));
        drop(row);
        assert_eq!(Arc::strong_count(&held), 1);
        let plain = [Some(Value::Int(1)), None, Some(Value::text("short"))];
        assert_eq!(RowBlock::of_plain(plain.to_vec()).row(0..3), Row::from(plain));
    }
}
