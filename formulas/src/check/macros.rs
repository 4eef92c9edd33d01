//! CEL's macros: `has`, and the comprehensions over lists and the keys of maps.

use super::checker::{Checker, constant};
use super::messages;
use super::names::Meaning;
use crate::ast::{Ast, AstKind, BinaryOp};
use crate::expr::{Comprehension, Expr, ExprKind};
use crate::types::Type;
use crate::value::Value;

/// The comprehension called `name`.
pub(super) fn comprehension(name: &str) -> Option<Comprehension> {
    Some(match name {
        "all" => Comprehension::All,
        "exists" => Comprehension::Exists,
        "exists_one" | "existsOne" => Comprehension::ExistsOne,
        "map" => Comprehension::Map,
        "filter" => Comprehension::Filter,
        _ => return None,
    })
}

/// Every macro, for "did you mean".
pub(super) const NAMES: [&str; 6] = ["has", "all", "exists", "exists_one", "map", "filter"];

impl Checker<'_> {
    /// `has(a.name)`: whether the map holds the key; of a record's field, whether it is not NULL.
    pub fn has(&mut self, ast: &Ast, args: &[Ast]) -> Option<Expr> {
        let [argument] = args else { return self.fail(messages::has_argument(ast, ast.anchor)) };
        let (target, name, span) = match &argument.kind {
            AstKind::Select(target, name, span) => (target, name.as_str(), *span),
            AstKind::Index(target, index) => match &index.kind {
                AstKind::Literal(Value::Text(name)) => (target, &**name, index.span),
                _ => return self.fail(messages::has_argument(ast, argument.span)),
            },
            _ => return self.fail(messages::has_argument(ast, argument.span)),
        };
        if let Meaning::Value(map) = self.meaning(target)? {
            self.member(target, map.clone(), name, span)?;
            return Some(Expr::new(ExprKind::Has(map, constant(Value::text(name))), Type::Bool));
        }
        let field = self.value(argument)?;
        Some(Expr::new(ExprKind::Binary(BinaryOp::Ne, field, constant(Value::Null)), Type::Bool))
    }

    /// `over.all(x, condition)`, `over.map(x, condition, body)` and their sisters.
    pub fn comprehension(&mut self, ast: &Ast, kind: Comprehension, target: &Ast, args: &[Ast]) -> Option<Expr> {
        let (variable, filter, body) = match args {
            [variable, body] => (variable, None, body),
            [variable, filter, body] if kind == Comprehension::Map => (variable, Some(filter), body),
            _ => return self.fail(messages::macro_arguments(kind, ast.anchor, args.len())),
        };
        let AstKind::Ident(name) = &variable.kind else {
            return self.fail(messages::macro_variable(kind, variable));
        };
        let over = match self.meaning(target)? {
            Meaning::Value(over) => over,
            Meaning::Children { .. } => return self.fail(messages::macro_over_children(kind, target)),
            Meaning::Record { scope, .. } => return self.fail(messages::record_as_value(target, &*scope, false)),
        };
        let Some(item) = element(over.ty()) else {
            return self.fail(messages::macro_over(kind, target, over.ty()));
        };
        let (filter, body) = self.with_local(Some(name), item.clone(), |checker| {
            let filter = filter.map(|filter| checker.condition(filter));
            let body = if kind == Comprehension::Map { checker.value(body) } else { checker.condition(body) };
            (filter, body)
        });
        let filter = match filter {
            Some(filter) => Some(filter?),
            None => None,
        };
        let body = body?;
        let ty = match kind {
            Comprehension::All | Comprehension::Exists | Comprehension::ExistsOne => Type::Bool,
            Comprehension::Map => Type::List(body.ty().clone().into()),
            Comprehension::Filter => Type::List(item.into()),
        };
        Some(Expr::new(ExprKind::Comprehension { kind, over, filter, body }, ty))
    }

    /// A value that a macro asks the truth of.
    fn condition(&mut self, ast: &Ast) -> Option<Expr> {
        let condition = self.value(ast)?;
        match condition.ty() {
            Type::Bool | Type::Dyn | Type::Null => Some(condition),
            ty => self.fail(messages::not_a_condition(ast, ty)),
        }
    }
}

/// What a comprehension visits: elements of lists, keys of maps.
pub(super) fn element(ty: &Type) -> Option<Type> {
    match ty {
        Type::List(item) => Some((**item).clone()),
        Type::Map(key, _) => Some((**key).clone()),
        Type::Dyn | Type::Null => Some(Type::Dyn),
        _ => None,
    }
}
