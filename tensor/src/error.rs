//! What can be wrong with a tensor program: told when it is defined or given values, before anything is computed.

use crate::types::Type;

/// Why a program, its gradient or its values cannot be. Every one says where, why and what helps.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum TensorError {
    /// The operands of an operation do not fit together.
    #[error("{op} of {operands}: {reason}; {cure}")]
    Shape {
        /// The operation.
        op: &'static str,
        /// The operands with their types.
        operands: String,
        /// What does not fit.
        reason: String,
        /// What helps.
        cure: String,
    },
    /// The operands hold different kinds of elements.
    #[error("{op} of {operands}: {reason}; {cure}")]
    Dtype {
        /// The operation.
        op: &'static str,
        /// The operands with their types.
        operands: String,
        /// What differs.
        reason: String,
        /// What helps.
        cure: String,
    },
    /// No slope leads from a goal to a field.
    #[error("{goal} cannot be moved by {field}: every way between them goes through {op}, which has no slope; {cure}")]
    Cut {
        /// The goal.
        goal: String,
        /// The field.
        field: String,
        /// Where the way ends.
        op: &'static str,
        /// What helps.
        cure: &'static str,
    },
    /// A value does not fit its input.
    #[error("input \"{input}\" is {expected}: {reason}; {cure}")]
    Value {
        /// The input.
        input: String,
        /// Its type.
        expected: Type,
        /// What does not fit.
        reason: String,
        /// What helps.
        cure: &'static str,
    },
    /// The step cannot be made of this program.
    #[error("the step of {goal} cannot be compiled: {reason}; {cure}")]
    Step {
        /// The goal.
        goal: String,
        /// Why.
        reason: String,
        /// What helps.
        cure: &'static str,
    },
}

impl TensorError {
    /// The code that `thalweg explain` knows.
    pub fn code(&self) -> &'static str {
        match self {
            TensorError::Shape { .. } => "E0701",
            TensorError::Dtype { .. } => "E0702",
            TensorError::Cut { .. } => "E0703",
            TensorError::Value { .. } => "E0704",
            TensorError::Step { .. } => "E0705",
        }
    }
}

/// What an operation finds wrong; the graph adds the place.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Misfit {
    Shape(String, String),
    Dtype(String, String),
}

impl Misfit {
    pub(crate) fn shape(reason: impl Into<String>, cure: impl Into<String>) -> Misfit {
        Misfit::Shape(reason.into(), cure.into())
    }

    pub(crate) fn dtype(reason: impl Into<String>, cure: impl Into<String>) -> Misfit {
        Misfit::Dtype(reason.into(), cure.into())
    }

    pub(crate) fn at(self, op: &'static str, operands: String) -> TensorError {
        match self {
            Misfit::Shape(reason, cure) => TensorError::Shape { op, operands, reason, cure },
            Misfit::Dtype(reason, cure) => TensorError::Dtype { op, operands, reason, cure },
        }
    }
}
