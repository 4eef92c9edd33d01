//! Types: what a tensor holds, and how many along each axis. Known before anything runs.

use std::fmt;

/// What one element is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dtype {
    /// A single: half the memory, twice the lanes.
    F32,
    /// A double.
    F64,
    /// A row number or a class, from 0 up to but without `below`. Checked when a value is given, so that no operation need.
    Index {
        /// The first number that is too large.
        below: usize,
    },
}

impl Dtype {
    /// Whether there are slopes.
    pub fn is_float(self) -> bool {
        !matches!(self, Dtype::Index { .. })
    }
}

impl fmt::Display for Dtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Dtype::F32 => f.write_str("f32"),
            Dtype::F64 => f.write_str("f64"),
            Dtype::Index { below } => write!(f, "index<{below}>"),
        }
    }
}

/// Element type and the length of each axis; row-major, no axis at all is a scalar.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Type {
    /// What an element is.
    pub dtype: Dtype,
    /// The length of each axis; 0 is allowed.
    pub shape: Vec<usize>,
}

impl Type {
    /// A type.
    pub fn new(dtype: Dtype, shape: impl Into<Vec<usize>>) -> Type {
        Type { dtype, shape: shape.into() }
    }

    /// How many elements.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether an axis has no length.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many axes.
    pub fn rank(&self) -> usize {
        self.shape.len()
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{:?}", self.dtype, self.shape)
    }
}

/// How far apart neighbours along each axis lie, row-major.
pub(crate) fn strides(shape: &[usize]) -> Vec<usize> {
    let mut strides = vec![1; shape.len()];
    for axis in (1..shape.len()).rev() {
        strides[axis - 1] = strides[axis] * shape[axis];
    }
    strides
}

/// The shape that both become, aligned at the last axis: lengths are equal, or one of them is 1.
pub(crate) fn broadcast(a: &[usize], b: &[usize]) -> Option<Vec<usize>> {
    let rank = a.len().max(b.len());
    let at = |shape: &[usize], axis: usize| if axis + shape.len() < rank { 1 } else { shape[axis + shape.len() - rank] };
    (0..rank)
        .map(|axis| match (at(a, axis), at(b, axis)) {
            (x, y) if x == y => Some(x),
            (1, x) | (x, 1) => Some(x),
            _ => None,
        })
        .collect()
}
