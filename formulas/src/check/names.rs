//! What a path means: a value, a record, or child rows.

use std::rc::Rc;

use super::checker::{Checker, constant, whole_record};
use super::patterns::Pattern;
use super::{Binding, Scope, messages};
use crate::ast::{Ast, AstKind};
use crate::expr::{Expr, ExprKind, InputId};
use crate::ops;
use crate::problem::Span;
use crate::types::Type;
use crate::value::Value;

/// What a path means. `followed` are the relations whose child rows were entered on the way, outermost first.
pub(super) enum Meaning {
    Value(Expr),
    Record { scope: Rc<dyn Scope>, whole: Option<InputId>, followed: Vec<u32> },
    Children { relation: u32, scope: Rc<dyn Scope>, followed: Vec<u32> },
}

impl Meaning {
    fn of(binding: Binding, followed: Vec<u32>) -> Meaning {
        match binding {
            Binding::Input { id, ty } => Meaning::Value(Expr::new(ExprKind::Input(id), ty)),
            Binding::Record { scope, whole } => Meaning::Record { scope, whole, followed },
            Binding::Children { relation, scope } => Meaning::Children { relation, scope, followed },
        }
    }
}

impl Checker<'_> {
    /// What `ast` means where a record would do as well as a value.
    pub fn meaning(&mut self, ast: &Ast) -> Option<Meaning> {
        self.visit()?;
        match &ast.kind {
            AstKind::Ident(name) => self.ident(name, ast.anchor),
            AstKind::Select(target, name, span) => self.select(target, name, *span),
            AstKind::Index(target, index) => self.index(ast, target, index),
            AstKind::Each(base) => self.each(ast, base),
            _ => self.value(ast).map(Meaning::Value),
        }
    }

    fn ident(&mut self, name: &str, span: Span) -> Option<Meaning> {
        if let Some(local) = self.local(name) {
            return Some(Meaning::Value(local));
        }
        if let Some(binding) = self.root.name(name) {
            return Some(Meaning::of(binding, vec![]));
        }
        if let Some(type_name) = type_name(name) {
            return Some(Meaning::Value(constant(Value::text(type_name))));
        }
        let locals = self.locals.iter().filter_map(|l| l.name.clone()).collect();
        self.fail(messages::unknown_name(self.root, locals, name, span))
    }

    /// The variable of the innermost comprehension that calls it so.
    fn local(&self, name: &str) -> Option<Expr> {
        let back = self.locals.iter().rev().position(|local| local.name.as_deref() == Some(name))?;
        Some(self.local_at(self.locals.len() - 1 - back))
    }

    /// The variable at `level`, counted from the outermost.
    pub fn local_at(&self, level: usize) -> Expr {
        let back = self.locals.len() - 1 - level;
        Expr::new(ExprKind::Local(back as u32), self.locals[level].ty.clone())
    }

    fn select(&mut self, target: &Ast, name: &str, span: Span) -> Option<Meaning> {
        match self.meaning(target)? {
            Meaning::Value(value) => self.member(target, value, name, span).map(Meaning::Value),
            Meaning::Record { scope, followed, .. } => self.record_member(&*scope, followed, name, span),
            Meaning::Children { .. } => self.fail(messages::member_of_children(target, name, span)),
        }
    }

    fn record_member(&mut self, scope: &dyn Scope, followed: Vec<u32>, name: &str, span: Span) -> Option<Meaning> {
        match scope.name(name) {
            Some(binding) => Some(Meaning::of(binding, followed)),
            None => self.fail(messages::unknown_name(scope, vec![], name, span)),
        }
    }

    /// `value.name` on a value: a map's entry.
    pub fn member(&mut self, target: &Ast, value: Expr, name: &str, span: Span) -> Option<Expr> {
        let ty = match value.ty() {
            Type::Dyn => Type::Dyn,
            Type::Null => Type::Null,
            Type::Map(key, entry) if matches!(**key, Type::Text | Type::Dyn | Type::Null) => (**entry).clone(),
            ty => return self.fail(messages::no_members(target, ty, name, span)),
        };
        Some(Expr::new(ExprKind::Index(value, constant(Value::text(name))), ty))
    }

    fn index(&mut self, ast: &Ast, target: &Ast, index: &Ast) -> Option<Meaning> {
        let meaning = self.meaning(target);
        if let (Some(Meaning::Record { scope, followed, .. }), AstKind::Literal(Value::Text(name))) = (&meaning, &index.kind) {
            return self.record_member(&**scope, followed.clone(), name, index.span);
        }
        let key = self.value(index);
        let (meaning, key) = (meaning?, key?);
        let value = match meaning {
            Meaning::Value(value) => value,
            Meaning::Record { whole: Some(id), .. } => whole_record(id),
            Meaning::Record { scope, .. } => return self.fail(messages::record_index(target, index, &*scope)),
            Meaning::Children { scope, .. } => return self.fail(messages::children_as_value(target, &*scope)),
        };
        match ops::index_type(value.ty(), key.ty()) {
            Ok(ty) => Some(Meaning::Value(Expr::new(ExprKind::Index(value, key), ty))),
            Err(why) => self.fail(messages::bad_index(ast, value.ty(), key.ty(), why)),
        }
    }

    fn each(&mut self, ast: &Ast, base: &Ast) -> Option<Meaning> {
        match self.pattern {
            None => match self.meaning(base)? {
                Meaning::Record { .. } => self.fail(messages::pattern_over_record(base)),
                Meaning::Value(_) | Meaning::Children { .. } => self.fail(messages::pattern_outside_aggregate(ast)),
            },
            Some(Pattern::Rows(_)) => self.each_row(ast, base),
            Some(Pattern::List { .. }) => self.each_item(ast, base).map(Meaning::Value),
        }
    }
}

/// What `type()` answers for a type that CEL calls `name`.
fn type_name(name: &str) -> Option<&'static str> {
    Some(match name {
        "bool" => "bool",
        "int" => "int",
        "uint" => "uint",
        "double" => "double",
        "decimal" => "decimal",
        "string" | "text" => "text",
        "bytes" => "bytes",
        "list" => "list",
        "map" => "map",
        "null_type" => "null",
        "timestamp" => "timestamp",
        "duration" => "duration",
        "tensor" => "tensor",
        _ => return None,
    })
}
