//! From the syntax tree to the checked expression: names, types, shapes, macros, patterns.
//!
//! Invariants:
//! - Every node of the answer has the type of the value that it gives, or a wider one (`Dyn`); NULL belongs to every type.
//! - A name means, in this order: the variable of an enclosing macro, what the [`Scope`] says, a type's name. A call means a
//!   function of the registry or a macro, whatever columns are called.
//! - All problems are found, each once: what depends on a part in error is not reported again.
//!
//! Next to read: `names` (what a path means), `patterns` (aggregates), `operators`, `calls`, `macros`.

mod bindings;
mod calls;
mod checker;
mod macros;
mod messages;
mod names;
mod operators;
mod patterns;

use std::rc::Rc;

pub use bindings::Bindings;

use crate::ast::Ast;
use crate::expr::{Expr, InputId};
use crate::problem::Problem;
use crate::types::Type;

/// What names mean where a formula stands. The planner implements it for a document type, for the two sides of a
/// reaction, for the bindings of `eval`.
pub trait Scope {
    /// What `name` means here, or `None`.
    fn name(&self, name: &str) -> Option<Binding>;
    /// The names that exist, for "did you mean".
    fn names(&self) -> Vec<String>;
    /// What this scope is, for messages: "table `my_app.issues`".
    fn describe(&self) -> String;
    /// What its names are called, for messages: "column" or "field".
    fn noun(&self) -> &'static str {
        "field"
    }
}

/// What a name is bound to.
#[derive(Clone)]
pub enum Binding {
    /// A value.
    Input {
        /// Its number.
        id: InputId,
        /// Its type.
        ty: Type,
    },
    /// Something with members: `old`, `new`, `customer`, the document type's own name. `whole` is the record as one map value, where that exists.
    Record {
        /// Its members.
        scope: Rc<dyn Scope>,
        /// The record as one value.
        whole: Option<InputId>,
    },
    /// Child rows, to be followed by `[*]` inside an aggregate.
    Children {
        /// The relation's number, for [`crate::expr::ExprKind::Aggregate`].
        relation: u32,
        /// The child's members.
        scope: Rc<dyn Scope>,
    },
}

/// Checks `ast` in `scope`.
///
/// # Errors
/// Every problem found, each with its place (codes E0203 to E0216, or E0107 for a tree that no text could be).
pub fn check(ast: &Ast, scope: &dyn Scope) -> Result<Expr, Vec<Problem>> {
    checker::Checker::run(scope, ast, |checker| checker.value(ast))
}

/// Checks `ast` as a condition: its value must be a bool, or not known before the row is.
///
/// # Errors
/// As [`check`], and E0213 for another type.
pub fn check_condition(ast: &Ast, scope: &dyn Scope) -> Result<Expr, Vec<Problem>> {
    checker::Checker::run(scope, ast, |checker| {
        let condition = checker.value(ast)?;
        match condition.ty() {
            Type::Bool | Type::Dyn => Some(condition),
            ty => checker.fail(messages::not_a_condition(ast, ty)),
        }
    })
}
