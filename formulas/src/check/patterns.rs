//! Aggregates over patterns: `sum(items[*].price * items[*].qty)`.
//!
//! - All patterns of one aggregate bind the same element, so they follow the same relation, or the same list. A pattern may go
//!   through several relations (`orders[*].items[*]`); then `orders[*]` beside it is the order of that item.
//! - Over child rows the aggregate is an [`ExprKind::Aggregate`]; over a list it is the list function of the same name on a
//!   `map`: `sum(lines[*].price)` is `sum(lines.map(e, e.price))`.
//! - Every other name in the argument is the parent's.

use super::checker::{Checker, constant};
use super::messages;
use super::names::Meaning;
use crate::aggregate;
use crate::ast::{Ast, AstKind};
use crate::expr::{Agg, Comprehension, Expr, ExprKind};
use crate::functions;
use crate::problem::Span;
use crate::types::Type;

/// What `[*]` means inside an aggregate.
pub(super) enum Pattern {
    /// Each child row; the patterns met so far.
    Rows(Vec<Followed>),
    /// Each element of `over`, which was checked below `level` variables and is the variable at that level.
    List { over: Expr, level: usize },
}

/// A pattern over child rows.
#[derive(Clone)]
pub(super) struct Followed {
    /// The relations that it goes through, outermost first.
    relations: Vec<u32>,
    text: String,
    span: Span,
}

/// The aggregate called `name`.
pub(super) fn aggregate(name: &str) -> Option<Agg> {
    [Agg::Sum, Agg::Count, Agg::Avg, Agg::Min, Agg::Max].into_iter().find(|agg| agg.name() == name)
}

/// The argument of a call `sum(argument)` or `argument.sum()`, if a pattern stands in it.
pub(super) fn argument<'a>(target: Option<&'a Ast>, args: &'a [Ast]) -> Option<&'a Ast> {
    let argument = match (target, args) {
        (None, [argument]) | (Some(argument), []) => argument,
        _ => return None,
    };
    first_each(argument).is_some().then_some(argument)
}

/// The first pattern in `ast` that does not belong to an aggregate inside it.
pub(super) fn first_each(ast: &Ast) -> Option<&Ast> {
    let inner = ast.parts().into_iter().find_map(first_each);
    match &ast.kind {
        AstKind::Call { function, target, args, .. } if aggregate(function).is_some() => {
            inner.filter(|_| usize::from(target.is_some()) + args.len() != 1)
        }
        AstKind::Each(_) => inner.or(Some(ast)),
        _ => inner,
    }
}

impl Checker<'_> {
    /// `agg(argument)`, where a pattern stands in the argument.
    pub fn aggregate(&mut self, ast: &Ast, agg: Agg, argument: &Ast) -> Option<Expr> {
        let each = first_each(argument).expect("invariant: called only for arguments with a pattern");
        let AstKind::Each(base) = &each.kind else { unreachable!("invariant: `first_each` gives patterns") };
        let outer = self.pattern.take();
        let checked = match self.meaning(base) {
            None => None,
            Some(Meaning::Children { .. }) => self.over_rows(ast, agg, argument),
            Some(Meaning::Value(over)) => self.over_list(ast, agg, base, argument, over),
            Some(Meaning::Record { .. }) => self.fail(messages::pattern_over_record(base)),
        };
        self.pattern = outer;
        checked
    }

    fn over_rows(&mut self, ast: &Ast, agg: Agg, argument: &Ast) -> Option<Expr> {
        self.pattern = Some(Pattern::Rows(Vec::new()));
        let body = match self.meaning(argument)? {
            Meaning::Value(body) => body,
            Meaning::Record { followed, .. } if agg == Agg::Count && !followed.is_empty() => constant(true.into()),
            Meaning::Record { scope, .. } => return self.fail(messages::aggregate_of_rows(agg, argument, &*scope)),
            Meaning::Children { scope, .. } => return self.fail(messages::children_as_value(argument, &*scope)),
        };
        let Some(Pattern::Rows(followed)) = self.pattern.take() else {
            unreachable!("invariant: nested aggregates put the pattern back")
        };
        let over = self.innermost(ast, &followed)?;
        if reads_local(&body, 0) {
            return self.fail(messages::aggregate_in_macro(ast));
        }
        let ty = self.aggregated(ast, agg, argument, body.ty())?;
        Some(Expr::new(ExprKind::Aggregate { agg, over, body }, ty))
    }

    /// The relation whose rows are aggregated: the one at the end of the longest pattern, on whose way all others must lie.
    fn innermost(&mut self, ast: &Ast, followed: &[Followed]) -> Option<u32> {
        let longest = followed.iter().max_by_key(|f| f.relations.len());
        let longest = longest.expect("invariant: the argument holds a pattern over rows");
        if let Some(other) = followed.iter().find(|f| !longest.relations.starts_with(&f.relations)) {
            let (first, second) = if longest.span.start < other.span.start { (longest, other) } else { (other, longest) };
            return self.fail(messages::two_relations(ast, &first.text, &second.text, second.span));
        }
        longest.relations.last().copied()
    }

    fn aggregated(&mut self, ast: &Ast, agg: Agg, argument: &Ast, ty: &Type) -> Option<Type> {
        match aggregate::result_type(agg, ty) {
            Ok(ty) => Some(ty),
            Err(why) => self.fail(messages::bad_aggregate(ast, agg, argument, ty, why)),
        }
    }

    /// `base[*]` over child rows: the row.
    pub fn each_row(&mut self, ast: &Ast, base: &Ast) -> Option<Meaning> {
        match self.meaning(base)? {
            Meaning::Children { relation, scope, mut followed } => {
                followed.push(relation);
                let pattern = Followed { relations: followed.clone(), text: ast.to_string(), span: ast.span };
                if let Some(Pattern::Rows(all)) = &mut self.pattern {
                    all.push(pattern);
                }
                Some(Meaning::Record { scope, whole: None, followed })
            }
            Meaning::Value(_) => self.fail(messages::list_inside_rows(ast, base)),
            Meaning::Record { .. } => self.fail(messages::pattern_over_record(base)),
        }
    }

    fn over_list(&mut self, ast: &Ast, agg: Agg, base: &Ast, argument: &Ast, over: Expr) -> Option<Expr> {
        let item = match over.ty() {
            Type::List(item) => (**item).clone(),
            Type::Dyn | Type::Null => Type::Dyn,
            ty => return self.fail(messages::pattern_over_value(base, ty)),
        };
        let level = self.locals.len();
        self.pattern = Some(Pattern::List { over: over.clone(), level });
        let body = self.with_local(None, item, |checker| checker.value(argument))?;
        let list = if matches!(body.kind(), ExprKind::Local(0)) {
            over
        } else {
            let ty = Type::List(body.ty().clone().into());
            Expr::new(ExprKind::Comprehension { kind: Comprehension::Map, over, filter: None, body: body.clone() }, ty)
        };
        let ty = self.aggregated(ast, agg, argument, body.ty())?;
        let id = functions::find(agg.name()).expect("invariant: every aggregate is a list function too");
        Some(Expr::new(ExprKind::Call(id, vec![list]), ty))
    }

    /// `base[*]` over a list: the element.
    pub fn each_item(&mut self, ast: &Ast, base: &Ast) -> Option<Expr> {
        let Some(Pattern::List { over, level }) = &self.pattern else { return None };
        let (over, level) = (over.clone(), *level);
        if first_each(base).is_some() {
            return self.fail(messages::nested_list_pattern(ast));
        }
        let added = (self.locals.len() - level) as u32;
        match self.meaning(base)? {
            Meaning::Value(value) if value == shifted(&over, added, 0) => Some(self.local_at(level)),
            _ => self.fail(messages::two_lists(ast)),
        }
    }
}

/// Whether `expr`, below `inner` variables of its own, reads one from outside.
fn reads_local(expr: &Expr, inner: u32) -> bool {
    match expr.kind() {
        ExprKind::Local(back) => *back >= inner,
        ExprKind::Comprehension { over, filter, body, .. } => {
            reads_local(over, inner) || filter.iter().chain([body]).any(|e| reads_local(e, inner + 1))
        }
        _ => expr.args().into_iter().any(|arg| reads_local(arg, inner)),
    }
}

/// `expr`, below `inner` variables of its own, as it reads below `by` more variables from outside.
fn shifted(expr: &Expr, by: u32, inner: u32) -> Expr {
    match expr.kind() {
        ExprKind::Local(back) if *back >= inner => Expr::new(ExprKind::Local(back + by), expr.ty().clone()),
        ExprKind::Comprehension { kind, over, filter, body } => {
            let filter = filter.as_ref().map(|filter| shifted(filter, by, inner + 1));
            let (over, body) = (shifted(over, by, inner), shifted(body, by, inner + 1));
            Expr::new(ExprKind::Comprehension { kind: *kind, over, filter, body }, expr.ty().clone())
        }
        _ => expr.map_args(|arg| shifted(arg, by, inner)),
    }
}
