//! From the syntax tree to the checked expression: names, types, shapes, macros, patterns.

use std::rc::Rc;

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
/// Every problem found, each with its place.
pub fn check(ast: &Ast, scope: &dyn Scope) -> Result<Expr, Vec<Problem>> {
    let _ = (ast, scope);
    Err(vec![])
}
