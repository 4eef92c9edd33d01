//! Calls: macros and aggregates first, then functions of the registry.

use super::checker::Checker;
use super::macros;
use super::messages;
use super::patterns::{self, AggregateCall};
use crate::agg::Signature;
use crate::ast::{Ast, AstKind};
use crate::expr::{Expr, ExprKind};
use crate::functions::{self, FunctionId};
use crate::problem::Span;
use crate::types::Type;

impl Checker<'_> {
    pub fn call(&mut self, ast: &Ast, name: &str, name_span: Span, target: Option<&Ast>, args: &[Ast]) -> Option<Expr> {
        let signature = Signature::find(name);
        if let Some(call) = signature.and_then(|signature| AggregateCall::of(signature, target, args)) {
            return self.aggregate(ast, &call);
        }
        match target {
            None if name == "has" => return self.has(ast, args),
            Some(target) => {
                if let Some(kind) = macros::comprehension(name) {
                    return self.comprehension(ast, kind, target, args);
                }
            }
            None => {}
        }
        if let Some(signature) = signature
            && let Some(pattern) = args.iter().chain(target).find_map(patterns::first_each)
        {
            return self.fail(messages::aggregate_arguments(signature, name_span, pattern));
        }
        if let Some(id) = self.qualified(name, target) {
            return self.function(id, name_span, None, args);
        }
        match functions::find(name) {
            Some(id) => self.function(id, name_span, target, args),
            None => self.unknown_function(name, name_span, target, args),
        }
    }

    /// `math.greatest(…)`: a function whose name holds a point, unless what stands before it is a value.
    fn qualified(&mut self, name: &str, target: Option<&Ast>) -> Option<FunctionId> {
        let AstKind::Ident(module) = &target?.kind else { return None };
        let id = functions::find(&format!("{module}.{name}"))?;
        let is_local = self.locals.iter().any(|local| local.name.as_ref() == Some(module));
        let is_value = functions::find(name).is_some() && self.root.name(module).is_some();
        (!is_local && !is_value).then_some(id)
    }

    fn function(&mut self, id: FunctionId, span: Span, target: Option<&Ast>, args: &[Ast]) -> Option<Expr> {
        let parts: Vec<&Ast> = target.into_iter().chain(args).collect();
        let values = self.values(parts.iter().copied());
        let function = functions::get(id);
        if !function.args.contains(&parts.len()) {
            return self.fail(messages::argument_count(function, span, target.is_some(), args.len()));
        }
        let values = values?;
        let types: Vec<Type> = values.iter().map(|value| value.ty().clone()).collect();
        match (function.result)(&types) {
            Ok(ty) => Some(Expr::new(ExprKind::Call(id, values), ty)),
            Err(why) => self.fail(messages::bad_arguments(function.name, span, target.is_some(), &parts, &types, &why)),
        }
    }

    fn unknown_function(&mut self, name: &str, span: Span, target: Option<&Ast>, args: &[Ast]) -> Option<Expr> {
        // In a misspelt macro the first argument is a variable, and the others may name it.
        let like_macro = target.is_some() && args.len() >= 2 && matches!(args[0].kind, AstKind::Ident(_));
        if !like_macro {
            let _ = self.values(target.into_iter().chain(args));
        }
        self.fail(messages::unknown_function(name, span, target.is_some()))
    }
}
