//! The registry of functions: one row a function, with its types, its NULL rule, its body and its derivative.
//!
//! A member call `x.f(a)` is `f(x, a)`. Names may hold a point (`math.greatest`). The registry is the only place that
//! knows functions by name: the checker asks [`find`], then [`get`]`(id).result`, the evaluator `get(id).call`.
//!
//! Every row has an `example` that is true; a test evaluates all of them.

use std::collections::HashMap;
use std::ops::RangeInclusive;
use std::sync::LazyLock;

use crate::errors;
use crate::eval::Fuel;
use crate::expr::{Expr, ExprKind};
use crate::ops;
use crate::problem::Error;
use crate::types::Type;
use crate::value::{Cell, Value};

mod aggregate;
mod convert;
mod list;
mod number;
mod signature;
mod smooth;
mod text;
mod time;
mod window;

pub use text::{matches, pattern};

/// The number of a function in the registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FunctionId(pub u16);

/// One function.
pub struct Function {
    /// What formulas call it.
    pub name: &'static str,
    /// One line: what it gives.
    pub doc: &'static str,
    /// An expression that is true.
    pub example: &'static str,
    /// How many arguments it takes, the receiver of a member call included.
    pub args: RangeInclusive<usize>,
    /// From the types of the arguments to the type of the answer, or why they do not fit: lower case, no full stop.
    /// `Dyn` and `Null` fit everywhere. The number of arguments has been checked against `args`.
    pub result: fn(&[Type]) -> Result<Type, String>,
    /// What a NULL argument does.
    pub nulls: Nulls,
    /// The body. Total: it never panics, and spends fuel before it allocates.
    pub call: fn(&[Value], &mut Fuel) -> Cell,
    /// How cotangents go back through it.
    pub derivative: Derivative,
}

/// What a NULL argument does to a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nulls {
    /// The answer is NULL and the body does not run.
    Propagate,
    /// The body sees the NULL.
    Sees,
}

/// How a cotangent goes back through an operator or function. There is no default: every row says it.
#[derive(Clone, Copy, Debug)]
pub enum Derivative {
    /// A goal that reaches through it is refused.
    None {
        /// Why, for the message.
        why: &'static str,
    },
    /// Piecewise constant: nothing flows back.
    Zero,
    /// The partial derivative by argument `usize`, as an expression of the arguments, which are doubles (conditions apart). The cotangent
    /// is multiplied by it. See [`crate::gradient`].
    Partial(fn(&[Expr], usize) -> Expr),
}

static ALL: LazyLock<Vec<&'static Function>> = LazyLock::new(|| {
    let rooms = [
        number::FUNCTIONS,
        smooth::FUNCTIONS,
        text::FUNCTIONS,
        list::FUNCTIONS,
        aggregate::FUNCTIONS,
        time::FUNCTIONS,
        window::FUNCTIONS,
        convert::FUNCTIONS,
    ];
    rooms.into_iter().flatten().collect()
});

static BY_NAME: LazyLock<HashMap<&'static str, FunctionId>> =
    LazyLock::new(|| ALL.iter().enumerate().map(|(i, f)| (f.name, FunctionId(i as u16))).collect());

/// The function called `name`, in O(1).
pub fn find(name: &str) -> Option<FunctionId> {
    BY_NAME.get(name).copied()
}

/// The function with number `id`, in O(1).
///
/// # Panics
/// If `id` did not come from [`find`].
pub fn get(id: FunctionId) -> &'static Function {
    ALL[usize::from(id.0)]
}

/// Every name, in the order of the registry: for "did you mean" and the reference.
pub fn names() -> impl Iterator<Item = &'static str> {
    ALL.iter().map(|f| f.name)
}

/// A call of a function that takes and gives doubles, for derivatives.
fn call(name: &str, args: &[Expr]) -> Expr {
    let id = find(name).expect("invariant: derivatives call functions of the registry");
    Expr::new(ExprKind::Call(id, args.to_vec()), Type::Double)
}

/// E0303: the function has no meaning for these values.
fn unsupported(function: &str, values: &[Value]) -> Error {
    let types: Vec<_> = values.iter().map(ops::type_name).collect();
    errors::no_overload(format!("{function} has no meaning for {}", types.join(", ")))
}

#[cfg(test)]
mod tests;
