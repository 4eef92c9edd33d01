//! What slides: moving sums and means, delays, convolutions and pools. Written as sums of slices.

use super::Built;
use crate::error::Misfit;
use crate::graph::{Graph, Id};
use crate::rules::layout::has_axis;

impl Graph {
    /// The sums of `window` neighbours along `axis`; the axis becomes `window - 1` shorter.
    ///
    /// # Errors
    /// [`TensorError::Shape`](crate::TensorError::Shape) where the axis is shorter than the window, or the window 0.
    pub fn moving_sum(&mut self, x: Id, axis: usize, window: usize) -> Built {
        let len = self.windows("moving_sum", x, axis, window)?;
        let mut sum = self.slice(x, axis, 0, len)?;
        for start in 1..window {
            let next = self.slice(x, axis, start, len)?;
            sum = self.add(sum, next)?;
        }
        Ok(sum)
    }

    /// The means of `window` neighbours along `axis`.
    ///
    /// # Errors
    /// [`TensorError::Shape`](crate::TensorError::Shape) where the axis is shorter than the window, or the window 0.
    pub fn moving_mean(&mut self, x: Id, axis: usize, window: usize) -> Built {
        let sum = self.moving_sum(x, axis, window)?;
        self.mul_number(sum, 1.0 / window as f64)
    }

    /// The value `by` places earlier along `axis`, 0 before the first.
    ///
    /// # Errors
    /// [`TensorError::Shape`](crate::TensorError::Shape) where there is no such axis.
    pub fn lag(&mut self, x: Id, axis: usize, by: usize) -> Built {
        has_axis(self.ty(x), axis).map_err(|misfit| misfit.at("lag", self.describe(x)))?;
        let len = self.ty(x).shape[axis];
        let by = by.min(len);
        let kept = self.slice(x, axis, 0, len - by)?;
        self.pad(kept, axis, by, 0)
    }

    /// `[n, height, width, channels]` by `[rows, columns, channels, filters]`, without padding: `[n, height - rows + 1, …, filters]`.
    ///
    /// # Errors
    /// [`TensorError::Shape`](crate::TensorError::Shape) where the filter is larger than the picture, or reads other channels.
    pub fn conv2d(&mut self, x: Id, filter: Id) -> Built {
        let (x_shape, f_shape) = (self.ty(x).shape.clone(), self.ty(filter).shape.clone());
        let (&[n, ..], &[rows, columns, channels, filters]) = (x_shape.as_slice(), f_shape.as_slice()) else {
            let misfit = Misfit::shape(
                "a picture has the axes n, height, width, channels, a filter rows, columns, channels, filters",
                "reshape them",
            );
            return Err(misfit.at("conv2d", format!("{} and {}", self.describe(x), self.describe(filter))));
        };
        let high = self.windows("conv2d", x, 1, rows)?;
        let wide = self.windows("conv2d", x, 2, columns)?;
        let mut sum = None;
        for row in 0..rows {
            for column in 0..columns {
                let patch = self.slice(x, 1, row, high)?;
                let patch = self.slice(patch, 2, column, wide)?;
                let patch = self.reshape(patch, &[n * high * wide, *x_shape.last().unwrap_or(&0)])?;
                let weights = self.slice(filter, 0, row, 1)?;
                let weights = self.slice(weights, 1, column, 1)?;
                let weights = self.reshape(weights, &[channels, filters])?;
                let part = self.matmul(patch, weights)?;
                sum = self.sum_of(sum, Some(part));
            }
        }
        let sum = sum.expect("invariant: windows refuses a filter without a place");
        self.reshape(sum, &[n, high, wide, filters])
    }

    /// The greatest of each `size` by `size` block of `[n, height, width, channels]`.
    ///
    /// # Errors
    /// [`TensorError::Shape`](crate::TensorError::Shape) where the sides are no multiples of `size`.
    pub fn max_pool(&mut self, x: Id, size: usize) -> Built {
        let blocks = self.blocks("max_pool", x, size)?;
        let rows = self.max_over(blocks, 2)?;
        self.max_over(rows, 3)
    }

    /// The mean of each `size` by `size` block of `[n, height, width, channels]`.
    ///
    /// # Errors
    /// [`TensorError::Shape`](crate::TensorError::Shape) where the sides are no multiples of `size`.
    pub fn mean_pool(&mut self, x: Id, size: usize) -> Built {
        let blocks = self.blocks("mean_pool", x, size)?;
        let sum = self.sum_over(blocks, &[2, 4])?;
        self.mul_number(sum, 1.0 / (size * size) as f64)
    }

    /// `[n, height / size, size, width / size, size, channels]`
    fn blocks(&mut self, op: &'static str, x: Id, size: usize) -> Built {
        match *self.ty(x).shape {
            [n, high, wide, channels] if size > 0 && high % size == 0 && wide % size == 0 => {
                self.reshape(x, &[n, high / size, size, wide / size, size, channels])
            }
            _ => {
                let misfit = Misfit::shape(
                    format!("it does not consist of blocks of {size} by {size}"),
                    "pad or slice height and width first",
                );
                Err(misfit.at(op, self.describe(x)))
            }
        }
    }

    /// How many windows fit along `axis`.
    fn windows(&self, op: &'static str, x: Id, axis: usize, window: usize) -> Result<usize, crate::TensorError> {
        let misfit = |misfit: Misfit| misfit.at(op, self.describe(x));
        has_axis(self.ty(x), axis).map_err(misfit)?;
        let len = self.ty(x).shape[axis];
        if window == 0 || window > len {
            let reason = format!("a window of {window} does not fit into axis {axis} of length {len}");
            return Err(misfit(Misfit::shape(reason, "use a window between 1 and that length")));
        }
        Ok(len + 1 - window)
    }
}
