//! Tensor programs: typed operations on arrays, their gradients as programs, and the training step that is compiled of both.
//!
//! ```
//! use thalweg_tensor::{Dtype, Graph, Tensor};
//!
//! // A line through three points: how the error changes with its slope.
//! let mut g = Graph::new();
//! let x = g.constant(Dtype::F64, [3], 2.0);
//! let truth = g.input("truth", Dtype::F64, [3]);
//! let slope = g.input("slope", Dtype::F64, []);
//! let line = g.mul(x, slope).unwrap();
//! let error = g.mse(line, truth).unwrap();
//! let gradient = g.gradient(error, &[slope]).unwrap()[0].unwrap();
//!
//! let at = [(truth, Tensor::of([3], [2.0, 4.0, 6.0])), (slope, Tensor::of([], [1.0]))];
//! assert_eq!(g.evaluate(&[gradient], &at).unwrap()[0].to_f64(), [-8.0]);
//!
//! // What does not fit is told at once, with the place and the cure.
//! let wide = g.input("wide", Dtype::F64, [3, 2]);
//! let error = g.matmul(wide, wide).unwrap_err();
//! assert_eq!(
//!     error.to_string(),
//!     "matmul of wide: f64[3, 2] and wide: f64[3, 2]: the inner lengths 2 and 3 differ; transpose one of them, or correct its shape",
//! );
//! ```
//!
//! - [`Graph`]: a program, written by calling its operations; shapes and element types are inferred and checked as it is written.
//! - [`Graph::gradient`]: reverse mode as a rewrite. Gradients are nodes like others: shared, readable, differentiable again.
//! - [`Step`]: forward, backward, optimiser and bounds compiled to one list of instructions over planned memory.
//! - [`Start`], [`Batches`]: where training begins and in which order it meets rows, from a seed.
//! - [`Graph::evaluate`]: the obvious meaning, node by node, that everything fast is tested against.
//!
//! Nothing here knows fields, rows, time or threads. Next to read: [`rules`], then [`step`].

pub mod graph;
pub mod kernels;
pub mod rules;
pub mod step;
pub mod surface;

mod error;
mod gradient;
mod interpret;
mod start;
mod types;
mod value;

pub use error::TensorError;
pub use graph::{Graph, Id};
pub use rules::choice::OwnRule;
pub use start::{Batches, Start};
pub use step::{Free, State, Step, Unfused};
pub use types::{Dtype, Type};
pub use value::{Data, Real, Tensor};
