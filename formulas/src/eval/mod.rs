//! The evaluator: a checked expression, compiled once, evaluated on the cells of a row.
//!
//! Evaluation is total: it ends, it does not panic, and what goes wrong is an error value (E03xx).
//!
//! - Straight-line code costs what its text holds. Loops (comprehensions) and everything that produces bytes or elements
//!   spend [`Fuel`] *before* they do it, so an evaluation is bounded in time and memory: about 80 MB with the default.
//! - A value made here is nested at most [`DEPTH_MAX`] levels, and its logical size (shared parts counted every time) is
//!   paid for, so that comparing, printing or dropping it later is bounded too.
//! - Operands are evaluated left to right, and the first error is the answer; `&&`, `||`, `? :`, `all`, `exists`, `coalesce`,
//!   `if_null` and `if_else` take only what they need, and the first four absorb errors as CEL does.
//!
//! Cost: a few nanoseconds a scalar operator, without allocation. Constants are folded, constant patterns compiled once.
//! Next to read: `compile`, which makes the nodes; `run`, which walks them.

mod compile;
mod fuel;
mod run;

pub use fuel::Fuel;

use crate::expr::{Expr, InputId};
use crate::value::Cell;

/// How deep a value made by an evaluation may be nested.
pub const DEPTH_MAX: usize = 128;

/// How deep an expression may be nested; chains of infix operators (`a + b + c`) count once.
pub const EXPRESSION_DEPTH_MAX: usize = 256;

/// Where an expression finds its inputs.
pub trait Inputs {
    /// The cell of input `id`.
    fn get(&self, id: InputId) -> Cell;
}

impl<F: Fn(InputId) -> Cell> Inputs for F {
    fn get(&self, id: InputId) -> Cell {
        self(id)
    }
}

/// A compiled expression. Shared freely between threads; evaluating it changes nothing.
#[derive(Clone, Debug)]
pub struct Program {
    root: compile::Node,
    inputs: Vec<InputId>,
}

impl Program {
    /// Compiles `expr`, in time proportional to its size. An expression nested deeper than [`EXPRESSION_DEPTH_MAX`]
    /// compiles to error E0309, an aggregate that no plan has replaced to E0315.
    pub fn compile(expr: &Expr) -> Program {
        Program { root: compile::compile(expr), inputs: expr.inputs() }
    }

    /// The inputs that the expression may read, once each.
    pub fn inputs(&self) -> &[InputId] {
        &self.inputs
    }

    /// The value on `inputs`, with the default fuel.
    ///
    /// # Errors
    /// An error value, E03xx, or an input's own error.
    pub fn eval(&self, inputs: &dyn Inputs) -> Cell {
        run::run(&self.root, inputs, &mut Fuel::default())
    }

    /// The value on `inputs`, spending from `fuel`.
    ///
    /// # Errors
    /// As [`Program::eval`].
    pub fn eval_with(&self, inputs: &dyn Inputs, fuel: &mut Fuel) -> Cell {
        run::run(&self.root, inputs, fuel)
    }
}

#[cfg(test)]
mod tests;
