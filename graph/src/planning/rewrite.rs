//! Rewrites of checked expressions that keep their types.

use std::collections::HashMap;

use thalweg_formulas::{Expr, ExprKind, InputId, Type};

/// The expression with every input replaced by what `f` makes of its number and type.
pub(super) fn map_inputs(expr: &Expr, f: &dyn Fn(InputId, &Type) -> ExprKind) -> Expr {
    match expr.kind() {
        ExprKind::Input(id) => Expr::new(f(*id, expr.ty()), expr.ty().clone()),
        _ => expr.map_args(|arg| map_inputs(arg, f)),
    }
}

/// The expression with every sub-expression that is a key of `by` replaced; `itself` is not replaced as a whole.
pub(super) fn replace_parts(itself: &Expr, by: &HashMap<Expr, Expr>) -> Expr {
    itself.map_args(|arg| replace(arg, by))
}

/// The expression, or what stands for it.
pub(super) fn replace(expr: &Expr, by: &HashMap<Expr, Expr>) -> Expr {
    match by.get(expr) {
        Some(other) => other.clone(),
        None => expr.map_args(|arg| replace(arg, by)),
    }
}
