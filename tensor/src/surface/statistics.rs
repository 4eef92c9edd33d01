//! Means, spreads, norms, and what makes scores into probabilities.

use super::Built;
use crate::graph::{Graph, Id};
use crate::rules::{Binary, Unary};

impl Graph {
    /// The mean of all elements; NaN where there are none.
    ///
    /// # Errors
    /// [`TensorError::Dtype`](crate::TensorError::Dtype) for row numbers.
    pub fn mean(&mut self, x: Id) -> Built {
        let n = self.ty(x).len();
        let sum = self.sum(x)?;
        self.mul_number(sum, 1.0 / n as f64)
    }

    /// The mean along `axis`.
    ///
    /// # Errors
    /// [`TensorError::Shape`](crate::TensorError::Shape) where there is no such axis.
    pub fn mean_over(&mut self, x: Id, axis: usize) -> Built {
        let sum = self.sum_over(x, &[axis])?;
        let n = self.ty(x).shape[axis];
        self.mul_number(sum, 1.0 / n as f64)
    }

    /// How far each element is above the mean along `axis`.
    pub(crate) fn centered(&mut self, x: Id, axis: usize) -> Built {
        let mean = self.mean_over(x, axis)?;
        let mean = self.kept(x, mean, axis);
        self.sub(x, mean)
    }

    /// `reduced`, in which `axis` is gone, repeated along it again.
    fn kept(&mut self, x: Id, reduced: Id, axis: usize) -> Id {
        let shape = self.ty(x).shape.clone();
        self.spread(reduced, axis, &shape)
    }

    /// The variance along `axis`, over `n - less`: 0 for a whole population, 1 for a sample.
    ///
    /// # Errors
    /// [`TensorError::Shape`](crate::TensorError::Shape) where there is no such axis.
    pub fn var_over(&mut self, x: Id, axis: usize, less: usize) -> Built {
        let off = self.centered(x, axis)?;
        let squares = self.mul(off, off)?;
        let sum = self.sum_over(squares, &[axis])?;
        let n = self.ty(x).shape[axis] as f64 - less as f64;
        self.mul_number(sum, 1.0 / n)
    }

    /// The standard deviation along `axis`; see [`Graph::var_over`].
    ///
    /// # Errors
    /// [`TensorError::Shape`](crate::TensorError::Shape) where there is no such axis.
    pub fn std_over(&mut self, x: Id, axis: usize, less: usize) -> Built {
        let var = self.var_over(x, axis, less)?;
        self.sqrt(var)
    }

    /// The Euclidean length of all elements; slope 0 where it is 0.
    ///
    /// # Errors
    /// [`TensorError::Dtype`](crate::TensorError::Dtype) for row numbers.
    pub fn norm(&mut self, x: Id) -> Built {
        let squares = self.mul(x, x)?;
        let sum = self.sum(squares)?;
        let zero = self.like(sum, 0.0);
        let some = self.binary(Binary::Greater, sum, zero);
        let root = self.unary(Unary::Sqrt, sum);
        self.choose(some, root, zero)
    }

    /// `log(sum(exp(x)))` along `axis`, without overflow.
    ///
    /// # Errors
    /// [`TensorError::Shape`](crate::TensorError::Shape) where there is no such axis, or nothing along it.
    pub fn logsumexp(&mut self, x: Id, axis: usize) -> Built {
        let most = self.max_over(x, axis)?;
        let most = self.stop_gradient(most);
        let spread = self.kept(x, most, axis);
        let off = self.sub(x, spread)?;
        let exp = self.exp(off)?;
        let sum = self.sum_over(exp, &[axis])?;
        let log = self.log(sum)?;
        self.add(log, most)
    }

    /// The logarithms of [`Graph::softmax`].
    ///
    /// # Errors
    /// [`TensorError::Shape`](crate::TensorError::Shape) where there is no such axis, or nothing along it.
    pub fn log_softmax(&mut self, x: Id, axis: usize) -> Built {
        let total = self.logsumexp(x, axis)?;
        let total = self.kept(x, total, axis);
        self.sub(x, total)
    }

    /// Scores along `axis` as probabilities.
    ///
    /// # Errors
    /// [`TensorError::Shape`](crate::TensorError::Shape) where there is no such axis, or nothing along it.
    pub fn softmax(&mut self, x: Id, axis: usize) -> Built {
        let log = self.log_softmax(x, axis)?;
        self.exp(log)
    }

    /// Mean 0 and variance 1 along `axis`; `epsilon` is added to the variance.
    ///
    /// # Errors
    /// [`TensorError::Shape`](crate::TensorError::Shape) where there is no such axis.
    pub fn layer_norm(&mut self, x: Id, axis: usize, epsilon: f64) -> Built {
        let off = self.centered(x, axis)?;
        let var = self.var_over(x, axis, 0)?;
        let var = self.add_number(var, epsilon)?;
        let scale = self.rsqrt(var)?;
        let scale = self.kept(x, scale, axis);
        self.mul(off, scale)
    }

    /// The covariances of the columns of a matrix, over `n - less` rows.
    ///
    /// # Errors
    /// [`TensorError::Shape`](crate::TensorError::Shape) where `x` is no matrix.
    pub fn covariance(&mut self, x: Id, less: usize) -> Built {
        let off = self.centered(x, 0)?;
        let flipped = self.transpose(off, &[1, 0])?;
        let products = self.matmul(flipped, off)?;
        let n = self.ty(x).shape[0] as f64 - less as f64;
        self.mul_number(products, 1.0 / n)
    }

    /// The correlations of the columns of a matrix.
    ///
    /// # Errors
    /// [`TensorError::Shape`](crate::TensorError::Shape) where `x` is no matrix.
    pub fn corrcoef(&mut self, x: Id) -> Built {
        let covariance = self.covariance(x, 1)?;
        let deviation = self.std_over(x, 0, 1)?;
        let products = self.outer(deviation, deviation)?;
        self.div(covariance, products)
    }
}

/// What stands behind a layer.
impl Graph {
    /// Within the bounds; slope 0 at them and beyond.
    ///
    /// # Errors
    /// [`TensorError::Dtype`](crate::TensorError::Dtype) for row numbers.
    pub fn clamp(&mut self, x: Id, least: f64, greatest: f64) -> Built {
        let [low, high] = [least, greatest].map(|bound| self.like(x, bound));
        let (above, below) = (self.greater(x, low)?, self.greater(high, x)?);
        let capped = self.choose(below, x, high)?;
        self.choose(above, capped, low)
    }

    /// `x` above 0, `slope * x` below.
    ///
    /// # Errors
    /// [`TensorError::Dtype`](crate::TensorError::Dtype) for row numbers.
    pub fn leaky_relu(&mut self, x: Id, slope: f64) -> Built {
        let zero = self.like(x, 0.0);
        let above = self.greater(x, zero)?;
        let leak = self.mul_number(x, slope)?;
        self.choose(above, x, leak)
    }

    /// `x * sigmoid(x)`
    ///
    /// # Errors
    /// [`TensorError::Dtype`](crate::TensorError::Dtype) for row numbers.
    pub fn silu(&mut self, x: Id) -> Built {
        let gate = self.sigmoid(x)?;
        self.mul(x, gate)
    }

    /// `x` times the normal distribution up to it.
    ///
    /// # Errors
    /// [`TensorError::Dtype`](crate::TensorError::Dtype) for row numbers.
    pub fn gelu(&mut self, x: Id) -> Built {
        let scaled = self.mul_number(x, std::f64::consts::FRAC_1_SQRT_2)?;
        let erf = self.erf(scaled)?;
        self.gate(x, erf)
    }

    /// [`Graph::gelu`] by a tangent, as some networks have it.
    ///
    /// # Errors
    /// [`TensorError::Dtype`](crate::TensorError::Dtype) for row numbers.
    pub fn gelu_tanh(&mut self, x: Id) -> Built {
        let square = self.mul(x, x)?;
        let inner = self.mul_number(square, 0.044_715)?;
        let inner = self.add_number(inner, 1.0)?;
        let inner = self.mul(x, inner)?;
        let inner = self.mul_number(inner, (2.0 / std::f64::consts::PI).sqrt())?;
        let tanh = self.tanh(inner)?;
        self.gate(x, tanh)
    }

    /// `x * (1 + gate) / 2`
    fn gate(&mut self, x: Id, gate: Id) -> Built {
        let above = self.add_number(gate, 1.0)?;
        let product = self.mul(x, above)?;
        self.mul_number(product, 0.5)
    }
}
