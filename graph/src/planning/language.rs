//! The seam to `formulas`: text to syntax tree to checked expression, type names, and `init` values.

use thalweg_formulas::ast::Ast;
use thalweg_formulas::check::{Scope, check};
use thalweg_formulas::{Expr, Problem, Type, Value};

/// Reads a formula.
pub(super) fn parse_formula(text: &str) -> Result<Ast, Vec<Problem>> {
    thalweg_formulas::parse::parse(text)
}

/// Checks a formula in a scope.
pub(super) fn check_formula(ast: &Ast, scope: &dyn Scope) -> Result<Expr, Vec<Problem>> {
    check(ast, scope)
}

/// Reads the name of a type: `decimal(10,2)`.
pub(super) fn parse_type(text: &str) -> Result<Type, Problem> {
    Type::parse(text)
}

/// Reads a JSON value as a value of type `ty`.
pub(super) fn read_json(json: &serde_json::Value, ty: &Type) -> Result<Value, String> {
    thalweg_formulas::json::read_as(json, ty)
}
