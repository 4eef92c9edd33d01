//! What is minimised: means over all elements, for classes over all rows.

use super::Built;
use crate::graph::{Graph, Id};

impl Graph {
    /// How surprised scores `[n, classes]` are by the classes `[n]`, in nats, on average.
    ///
    /// # Errors
    /// [`TensorError::Shape`](crate::TensorError::Shape) or [`TensorError::Dtype`](crate::TensorError::Dtype) where they do not fit together.
    pub fn cross_entropy(&mut self, scores: Id, classes: Id) -> Built {
        let dtype = self.ty(scores).dtype;
        let truth = self.one_hot(classes, dtype)?;
        self.soft_cross_entropy(scores, truth)
    }

    /// The same for classes as probabilities, of the shape of the scores.
    ///
    /// # Errors
    /// [`TensorError::Shape`](crate::TensorError::Shape) or [`TensorError::Dtype`](crate::TensorError::Dtype) where they do not fit together.
    pub fn soft_cross_entropy(&mut self, scores: Id, truth: Id) -> Built {
        let last = self.ty(scores).rank().saturating_sub(1);
        let log = self.log_softmax(scores, last)?;
        let sum = self.dot(truth, log)?;
        let rows: usize = self.ty(scores).shape[..last].iter().product();
        self.mul_number(sum, -1.0 / rows as f64)
    }

    /// The mean of squared differences.
    ///
    /// # Errors
    /// [`TensorError::Shape`](crate::TensorError::Shape) or [`TensorError::Dtype`](crate::TensorError::Dtype) where they do not fit together.
    pub fn mse(&mut self, a: Id, b: Id) -> Built {
        let off = self.sub(a, b)?;
        let squares = self.mul(off, off)?;
        self.mean(squares)
    }

    /// The mean of absolute differences.
    ///
    /// # Errors
    /// [`TensorError::Shape`](crate::TensorError::Shape) or [`TensorError::Dtype`](crate::TensorError::Dtype) where they do not fit together.
    pub fn l1(&mut self, a: Id, b: Id) -> Built {
        let off = self.sub(a, b)?;
        let off = self.abs(off)?;
        self.mean(off)
    }

    /// Squares below `delta`, lines above, on average.
    ///
    /// # Errors
    /// [`TensorError::Shape`](crate::TensorError::Shape) or [`TensorError::Dtype`](crate::TensorError::Dtype) where they do not fit together.
    pub fn huber(&mut self, a: Id, b: Id, delta: f64) -> Built {
        let off = self.sub(a, b)?;
        let far = self.abs(off)?;
        let bound = self.like(far, delta);
        let near = self.greater(bound, far)?;
        let square = self.mul(off, off)?;
        let square = self.mul_number(square, 0.5)?;
        let line = self.add_number(far, -0.5 * delta)?;
        let line = self.mul_number(line, delta)?;
        let each = self.choose(near, square, line)?;
        self.mean(each)
    }

    /// The cross entropy of yes and no, from scores and from truths between 0 and 1, on average.
    ///
    /// # Errors
    /// [`TensorError::Shape`](crate::TensorError::Shape) or [`TensorError::Dtype`](crate::TensorError::Dtype) where they do not fit together.
    pub fn bce_with_logits(&mut self, scores: Id, truth: Id) -> Built {
        let most = self.softplus(scores)?;
        let product = self.mul(scores, truth)?;
        let each = self.sub(most, product)?;
        self.mean(each)
    }

    /// `max(0, 1 - score * truth)` for truths -1 and 1, on average.
    ///
    /// # Errors
    /// [`TensorError::Shape`](crate::TensorError::Shape) or [`TensorError::Dtype`](crate::TensorError::Dtype) where they do not fit together.
    pub fn hinge(&mut self, scores: Id, truth: Id) -> Built {
        let product = self.mul(scores, truth)?;
        let margin = self.minus_from(1.0, product);
        let each = self.relu(margin)?;
        self.mean(each)
    }

    /// The squared distance to `target` in units of `tolerance`: below 1 once the goal is met.
    ///
    /// # Errors
    /// [`TensorError::Dtype`](crate::TensorError::Dtype) for row numbers.
    pub fn target(&mut self, x: Id, target: f64, tolerance: f64) -> Built {
        let off = self.add_number(x, -target)?;
        let off = self.mul_number(off, 1.0 / tolerance)?;
        self.mul(off, off)
    }
}
