//! Operators, ternaries, lists and maps.

use super::checker::{Checker, constant};
use super::messages;
use crate::ast::{Ast, BinaryOp, UnaryOp};
use crate::decimal::{Decimal, Rounding};
use crate::expr::{Expr, ExprKind};
use crate::functions;
use crate::ops;
use crate::types::Type;
use crate::value::Value;

impl Checker<'_> {
    pub fn unary(&mut self, ast: &Ast, op: UnaryOp, a: &Ast) -> Option<Expr> {
        let a = self.value(a)?;
        match ops::unary_type(op, a.ty()) {
            Ok(ty) => Some(Expr::new(ExprKind::Unary(op, a), ty)),
            Err(why) => self.fail(messages::bad_operand(ast, op.symbol(), a.ty(), why)),
        }
    }

    pub fn binary(&mut self, ast: &Ast, op: BinaryOp, left: &Ast, right: &Ast) -> Option<Expr> {
        let (a, b) = (self.value(left), self.value(right));
        let (a, b) = (a?, b?);
        let (a, b) = if is_arithmetic(op) { (adapted(&a, b.ty()), adapted(&b, a.ty())) } else { (a, b) };
        match ops::binary_type(op, a.ty(), b.ty()) {
            Ok(ty) => Some(Expr::new(ExprKind::Binary(op, a, b), ty)),
            Err(why) => self.fail(messages::bad_operands(ast, op, (left, a.ty()), (right, b.ty()), why)),
        }
    }

    pub fn ternary(&mut self, ast: &Ast, condition: &Ast, then: &Ast, otherwise: &Ast) -> Option<Expr> {
        let (c, a, b) = (self.value(condition), self.value(then), self.value(otherwise));
        let c = match c {
            Some(c) if !matches!(c.ty(), Type::Bool | Type::Dyn | Type::Null) => {
                self.fail(messages::not_a_condition(condition, c.ty()))
            }
            c => c,
        };
        let (c, a, b) = (c?, a?, b?);
        let Some((a, b)) = alike(&a, &b) else {
            return self.fail(messages::branches_differ(ast, a.ty(), b.ty()));
        };
        let ty = ops::unify(a.ty(), b.ty());
        Some(Expr::new(ExprKind::If(c, a, b), ty))
    }

    pub fn list(&mut self, items: &[Ast]) -> Option<Expr> {
        let items = self.values(items)?;
        let ty = Type::List(common(items.iter()).into());
        Some(Expr::new(ExprKind::List(items), ty))
    }

    pub fn map(&mut self, entries: &[(Ast, Ast)]) -> Option<Expr> {
        let checked: Vec<_> = entries.iter().map(|(key, value)| (self.map_key(key), self.value(value))).collect();
        let entries: Vec<(Expr, Expr)> = checked.into_iter().map(|(key, value)| Some((key?, value?))).collect::<Option<_>>()?;
        let keys = common(entries.iter().map(|(key, _)| key));
        let values = common(entries.iter().map(|(_, value)| value));
        Some(Expr::new(ExprKind::Map(entries), Type::Map(keys.into(), values.into())))
    }

    fn map_key(&mut self, ast: &Ast) -> Option<Expr> {
        let key = self.value(ast)?;
        match key.ty() {
            Type::Dyn | Type::Bool | Type::Int | Type::Uint | Type::Text => Some(key),
            ty => self.fail(messages::bad_map_key(ast, ty)),
        }
    }
}

fn is_arithmetic(op: BinaryOp) -> bool {
    matches!(op, BinaryOp::Add | BinaryOp::Sub | BinaryOp::Mul | BinaryOp::Div | BinaryOp::Rem)
}

/// The type of a place that may hold any of them; of none, `Dyn`.
fn common<'a>(items: impl Iterator<Item = &'a Expr>) -> Type {
    items.map(|item| item.ty().clone()).reduce(|a, b| ops::unify(&a, &b)).unwrap_or(Type::Dyn)
}

/// An int constant beside a uint is the uint of the same number; everything else stays.
fn adapted(expr: &Expr, beside: &Type) -> Expr {
    match (expr.kind(), beside) {
        (ExprKind::Const(Value::Int(x)), Type::Uint) => {
            u64::try_from(*x).map_or_else(|_| expr.clone(), |x| constant(Value::Uint(x)))
        }
        _ => expr.clone(),
    }
}

/// Two branches as values of one type, so that the type of the whole is known: numbers are converted as arithmetic would.
fn alike(a: &Expr, b: &Expr) -> Option<(Expr, Expr)> {
    let (a, b) = (adapted(a, b.ty()), adapted(b, a.ty()));
    let either_is_open = [&a, &b].iter().any(|e| matches!(e.ty(), Type::Dyn | Type::Null));
    if either_is_open || ops::unify(a.ty(), b.ty()) != Type::Dyn {
        return Some((a, b));
    }
    match (a.ty(), b.ty()) {
        (Type::Int, Type::Uint) | (Type::Uint, Type::Int) => None,
        (x, y) if x.is_numeric() && y.is_numeric() => {
            let target =
                if matches!(x, Type::Double) || matches!(y, Type::Double) { Type::Double } else { wider_decimal(&a, &b) };
            Some((converted(a, &target), converted(b, &target)))
        }
        _ => None,
    }
}

/// The decimal type that holds every value of both. A constant needs no more digits than it has.
fn wider_decimal(a: &Expr, b: &Expr) -> Type {
    let digits = |e: &Expr| match (e.ty(), e.kind()) {
        (Type::Decimal { precision, scale }, _) => (precision.saturating_sub(*scale), *scale),
        (_, ExprKind::Const(Value::Int(x))) => (Decimal::from(*x).digits(), 0),
        (Type::Uint, _) => (20, 0),
        _ => (19, 0),
    };
    let ((whole_a, scale_a), (whole_b, scale_b)) = (digits(a), digits(b));
    let scale = scale_a.max(scale_b);
    Type::Decimal { precision: (whole_a.max(whole_b) + scale).min(76), scale }
}

/// `expr` as a value of the number type `target`.
fn converted(expr: Expr, target: &Type) -> Expr {
    let same = match (expr.ty(), target) {
        (Type::Decimal { scale: a, .. }, Type::Decimal { scale: b, .. }) => a == b,
        (a, b) => a == b,
    };
    if same {
        return expr;
    }
    let call = |name: &str, args| {
        let id = functions::find(name).expect("invariant: the registry holds the conversions");
        Expr::new(ExprKind::Call(id, args), target.clone())
    };
    if let (ExprKind::Const(Value::Int(x)), Type::Decimal { scale, .. }) = (expr.kind(), target)
        && let Some(exact) = Decimal::from(*x).rescale(*scale, Rounding::HalfEven)
    {
        return Expr::new(ExprKind::Const(Value::Decimal(exact)), target.clone());
    }
    match (expr.kind(), target) {
        (ExprKind::Const(Value::Int(x)), Type::Double) => constant(Value::double(*x as f64)),
        (_, Type::Decimal { scale, .. }) => call("decimal", vec![expr, constant(Value::Int(i64::from(*scale)))]),
        _ => call("double", vec![expr]),
    }
}
