//! Values: a type and its elements, row-major.

use crate::types::{Dtype, Type};

/// The elements.
#[derive(Clone, Debug, PartialEq)]
pub enum Data {
    /// Singles.
    F32(Vec<f32>),
    /// Doubles.
    F64(Vec<f64>),
    /// Row numbers or classes.
    Index(Vec<u32>),
}

/// A value of a tensor.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    ty: Type,
    data: Data,
}

impl Tensor {
    /// Doubles or singles, after `ty`, or indexes; `None` where their number or range is another one.
    pub fn new(ty: Type, data: Data) -> Option<Tensor> {
        let fits = match (&data, ty.dtype) {
            (Data::F32(x), Dtype::F32) => x.len() == ty.len(),
            (Data::F64(x), Dtype::F64) => x.len() == ty.len(),
            (Data::Index(x), Dtype::Index { below }) => x.len() == ty.len() && x.iter().all(|&i| (i as usize) < below),
            _ => false,
        };
        fits.then_some(Tensor { ty, data })
    }

    /// Floating-point elements of either width.
    ///
    /// # Panics
    /// If the shape has another number of elements.
    pub fn of<T: Real>(shape: impl Into<Vec<usize>>, elements: impl Into<Vec<T>>) -> Tensor {
        let (ty, elements) = (Type::new(T::DTYPE, shape), elements.into());
        assert_eq!(ty.len(), elements.len(), "a tensor of {ty} has {} elements", ty.len());
        Tensor { ty, data: T::wrap(elements) }
    }

    /// Its type.
    pub fn ty(&self) -> &Type {
        &self.ty
    }

    /// Its elements.
    pub fn data(&self) -> &Data {
        &self.data
    }

    /// Its elements as `T`.
    ///
    /// # Panics
    /// If it holds others.
    pub fn elements<T: Real>(&self) -> &[T] {
        T::unwrap(&self.data).expect("invariant: an operation's operands have the type that was checked")
    }

    /// Its row numbers.
    ///
    /// # Panics
    /// If it holds others.
    pub fn indexes(&self) -> &[u32] {
        match &self.data {
            Data::Index(x) => x,
            Data::F32(_) | Data::F64(_) => panic!("invariant: an operation's operands have the type that was checked"),
        }
    }

    /// Its elements as doubles.
    pub fn to_f64(&self) -> Vec<f64> {
        match &self.data {
            Data::F32(x) => x.iter().map(|&x| f64::from(x)).collect(),
            Data::F64(x) => x.clone(),
            Data::Index(x) => x.iter().map(|&x| f64::from(x)).collect(),
        }
    }
}

/// An element that has slopes: `f32` or `f64`.
pub trait Real:
    Copy
    + PartialOrd
    + Default
    + std::fmt::Debug
    + Send
    + Sync
    + std::ops::Add<Output = Self>
    + std::ops::Sub<Output = Self>
    + std::ops::Mul<Output = Self>
    + std::ops::Div<Output = Self>
    + std::ops::Neg<Output = Self>
    + std::ops::AddAssign
    + 'static
{
    /// Which one it is.
    const DTYPE: Dtype;
    /// The nearest to a double.
    fn from_f64(x: f64) -> Self;
    /// As a double.
    fn to_f64(self) -> f64;
    /// As data.
    fn wrap(elements: Vec<Self>) -> Data;
    /// Out of data.
    fn unwrap(data: &Data) -> Option<&[Self]>;
}

macro_rules! real {
    ($t:ident, $variant:ident) => {
        impl Real for $t {
            const DTYPE: Dtype = Dtype::$variant;
            fn from_f64(x: f64) -> $t {
                x as $t
            }
            fn to_f64(self) -> f64 {
                f64::from(self)
            }
            fn wrap(elements: Vec<$t>) -> Data {
                Data::$variant(elements)
            }
            fn unwrap(data: &Data) -> Option<&[$t]> {
                if let Data::$variant(x) = data { Some(x) } else { None }
            }
        }
    };
}
real!(f32, F32);
real!(f64, F64);
