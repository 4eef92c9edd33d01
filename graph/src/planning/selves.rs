//! Self-references: the type of `self` and its value before the first step.
//!
//! The type of `self` is the type of the field, which depends on `self`: it is found by iteration, from the type of `init` or
//! from each type that has a zero, until it no longer changes. A decimal that grows a digit at every step settles on the widest; what does not settle is dynamic.

use std::rc::Rc;
use std::sync::Arc;

use thalweg_formulas::ast::Ast;
use thalweg_formulas::decimal::Decimal;
use thalweg_formulas::{Duration, Expr, Problem, Timestamp, Type, Value};

use super::fields::check_at;
use super::language;
use super::scope::Reading;
use super::world::Shared;

/// A formula that was accepted.
pub(super) struct Checked {
    pub(super) reading: Rc<Reading>,
    pub(super) expr: Expr,
    /// `self` before the first step.
    pub(super) init: Value,
}

/// What was refused.
pub(super) enum Refused {
    Formula(Vec<Problem>),
    Init(Problem),
}

/// Digits of the widest decimal.
const DIGITS_MAX: u8 = 76;

/// Checks a formula that reads `self`.
pub(super) fn check(world: &Shared, table: usize, ast: &Ast, init: Option<&serde_json::Value>) -> Result<Checked, Refused> {
    let settled = settle(world, table, ast, &starts(init)).map_err(Refused::Formula)?;
    let (reading, expr) = check_at(world, table, ast, Some(settled.clone())).map_err(Refused::Formula)?;
    let init = match init {
        Some(json) => language::read_json(json, &settled).map_err(|why| {
            let problem = Problem::new(245, format!("`init` is not a value of type {settled}: {why}"));
            Refused::Init(problem.help("write a value of the field's type"))
        })?,
        None => zero(&settled),
    };
    Ok(Checked { reading, expr, init })
}

/// A type of `self` for which the formula has that same type: from the first of `starts` that leads to one.
fn settle(world: &Shared, table: usize, ast: &Ast, starts: &[Type]) -> Result<Type, Vec<Problem>> {
    let settled = starts.iter().find_map(|start| settle_from(world, table, ast, start.clone()));
    match settled {
        Some(ty) => Ok(ty),
        None => check_at(world, table, ast, Some(Type::Dyn)).map(|_| Type::Dyn),
    }
}

fn settle_from(world: &Shared, table: usize, ast: &Ast, start: Type) -> Option<Type> {
    const ROUNDS_MAX: usize = 4;
    let mut ty = start;
    for _ in 0..ROUNDS_MAX {
        let (_, expr) = check_at(world, table, ast, Some(ty.clone())).ok()?;
        ty = match (expr.ty(), &ty) {
            (Type::Null, _) => return None,
            (next, ty) if next == ty => return Some(ty.clone()),
            // Sums of decimals gain a digit a step: give them all the digits there are.
            (Type::Decimal { scale, .. }, Type::Decimal { precision: DIGITS_MAX, scale: before }) if scale == before => {
                return Some(ty);
            }
            (Type::Decimal { scale, .. }, Type::Decimal { .. }) => Type::Decimal { precision: DIGITS_MAX, scale: *scale },
            (next, _) => next.clone(),
        };
    }
    None
}

/// The types to start from: that of `init`, NULL, which takes on whatever it meets, then the types with a zero.
fn starts(init: Option<&serde_json::Value>) -> Vec<Type> {
    let scalars = [Type::Null, Type::Int, Type::Uint, Type::Double, Type::Bool, Type::Text, Type::Timestamp, Type::Duration];
    let list = Type::List(Type::Dyn.into());
    init.map(type_of_json).into_iter().chain(scalars).chain([list]).collect()
}

/// The type that an `init` suggests.
fn type_of_json(json: &serde_json::Value) -> Type {
    match json {
        serde_json::Value::Null => Type::Null,
        serde_json::Value::Bool(_) => Type::Bool,
        serde_json::Value::Number(n) if n.is_i64() => Type::Int,
        serde_json::Value::Number(_) => Type::Double,
        serde_json::Value::String(_) => Type::Text,
        serde_json::Value::Array(_) | serde_json::Value::Object(_) => Type::Dyn,
    }
}

/// The typed zero; of a dynamic field the int, which promotes to whatever is added.
fn zero(ty: &Type) -> Value {
    match ty {
        Type::Null => Value::Null,
        Type::Bool => Value::Bool(false),
        Type::Int | Type::Dyn => Value::Int(0),
        Type::Uint => Value::Uint(0),
        Type::Double => Value::double(0.0),
        Type::Decimal { scale, .. } => Value::Decimal(Decimal::zero(*scale)),
        Type::Text => Value::text(""),
        Type::Bytes => Value::Bytes(Arc::from([])),
        Type::Timestamp => Value::Timestamp(Timestamp(0)),
        Type::Duration => Value::Duration(Duration(0)),
        Type::List(_) => Value::list([]),
        Type::Map(..) => Value::record::<&str>([]),
        // No formula makes a tensor yet; `init` gives one where a column brings it.
        Type::Tensor(_) => Value::Null,
    }
}
