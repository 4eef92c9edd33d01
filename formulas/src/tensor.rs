//! Tensors as values: numbers of one dtype in a shape.

use std::cmp::Ordering;
use std::hash::{Hash, Hasher};

use ndarray::ArrayD;

/// An n-dimensional array of doubles in row-major order; identity is shape and bits.
#[derive(Clone, Debug)]
pub struct Tensor {
    data: ArrayD<f64>,
}

impl Tensor {
    /// Wraps an array; NaNs become the canonical one.
    pub fn new(data: ArrayD<f64>) -> Self {
        Self { data: data.mapv(|x| if x.is_nan() { f64::NAN } else { x }) }
    }

    /// The array.
    pub fn array(&self) -> &ArrayD<f64> {
        &self.data
    }

    /// Total order of identity: shape, then elements by `total_cmp`.
    pub fn identity_cmp(&self, other: &Self) -> Ordering {
        self.data.shape().cmp(other.data.shape()).then_with(|| {
            let pairs = self.data.iter().zip(other.data.iter());
            pairs.map(|(a, b)| a.total_cmp(b)).find(|o| o.is_ne()).unwrap_or(Ordering::Equal)
        })
    }
}

impl Hash for Tensor {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.data.shape().hash(state);
        for x in &self.data {
            x.to_bits().hash(state);
        }
    }
}

/// Stored as (shape, elements).
impl serde::Serialize for Tensor {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        (self.data.shape(), self.data.iter().collect::<Vec<_>>()).serialize(s)
    }
}

impl<'de> serde::Deserialize<'de> for Tensor {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let (shape, data): (Vec<usize>, Vec<f64>) = serde::Deserialize::deserialize(d)?;
        ArrayD::from_shape_vec(shape, data).map(Tensor::new).map_err(serde::de::Error::custom)
    }
}
