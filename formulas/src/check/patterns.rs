//! Aggregates over patterns: `sum(items[*].price * items[*].qty)`.
//!
//! - All patterns of one aggregate bind the same element, so they follow the same relation, or the same list. A pattern may go
//!   through several relations (`orders[*].items[*]`); then `orders[*]` beside it is the order of that item.
//! - Over child rows the aggregate is an [`ExprKind::Aggregate`]; over a list it is the list function of the same name on a
//!   `map`: `sum(lines[*].price)` is `sum(lines.map(e, e.price))`, `top(lines[*].price, 3, lines[*].at)` is
//!   `top(lines.map(e, e.price), 3, lines.map(e, e.at))`.
//! - A second value (what rows are ordered by, the other of a pair) is of the same element. Parameters are literals.
//! - Every other name in the argument is the parent's.

use super::checker::{Checker, constant};
use super::messages;
use super::names::Meaning;
use crate::agg::{Agg, Parameter, Signature};
use crate::aggregate;
use crate::ast::{Ast, AstKind, BinaryOp};
use crate::expr::{Comprehension, Expr, ExprKind};
use crate::functions;
use crate::problem::Span;
use crate::types::Type;
use crate::value::Value;

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

/// A call of an aggregate: `sum(p)`, `p.sum()`, `top(p, 3, q)`.
pub(super) struct AggregateCall<'a> {
    signature: &'static Signature,
    value: &'a Ast,
    parameter: Option<&'a Ast>,
    second: Option<&'a Ast>,
}

impl<'a> AggregateCall<'a> {
    /// The call, if a pattern stands in it and it has as many arguments as the aggregate takes.
    pub fn of(signature: &'static Signature, target: Option<&'a Ast>, args: &'a [Ast]) -> Option<AggregateCall<'a>> {
        if !signature.arity().contains(&(usize::from(target.is_some()) + args.len())) {
            return None;
        }
        let mut parts = target.into_iter().chain(args);
        let value = parts.next()?;
        let mut parts = parts.peekable();
        let has_parameter = match signature.parameter {
            Parameter::None => false,
            // What can be left out is known by being a literal.
            Parameter::Count(false) => parts.peek().is_some_and(|part| is_literal(part)),
            Parameter::Count(true) | Parameter::Separator | Parameter::Share => true,
        };
        let parameter = if has_parameter { parts.next() } else { None };
        let second = parts.next();
        if parts.next().is_some() {
            return None;
        }
        let call = AggregateCall { signature, value, parameter, second };
        let has_pattern = call.values().find_map(first_each).is_some();
        has_pattern.then_some(call)
    }

    /// What it reads of each element.
    fn values(&self) -> impl Iterator<Item = &'a Ast> {
        std::iter::once(self.value).chain(self.second)
    }
}

fn is_literal(ast: &Ast) -> bool {
    match &ast.kind {
        AstKind::Literal(_) => true,
        AstKind::Unary(_, inner) => is_literal(inner),
        _ => false,
    }
}

/// The first pattern in `ast` that does not belong to an aggregate inside it.
pub(super) fn first_each(ast: &Ast) -> Option<&Ast> {
    let inner = ast.parts().into_iter().find_map(first_each);
    match &ast.kind {
        AstKind::Call { function, target, args, .. } => match Signature::find(function) {
            Some(signature) => {
                let given = usize::from(target.is_some()) + args.len();
                inner.filter(|_| !signature.arity().contains(&given))
            }
            None => inner,
        },
        AstKind::Each(_) => inner.or(Some(ast)),
        _ => inner,
    }
}

impl Checker<'_> {
    /// An aggregate with a pattern.
    pub fn aggregate(&mut self, ast: &Ast, call: &AggregateCall<'_>) -> Option<Expr> {
        let agg = self.parameter(call)?;
        let each = call.values().find_map(first_each).expect("invariant: only calls with a pattern are aggregates");
        let AstKind::Each(base) = &each.kind else { unreachable!("invariant: `first_each` gives patterns") };
        let outer = self.pattern.take();
        let checked = match self.meaning(base) {
            None => None,
            Some(Meaning::Children { .. }) => self.over_rows(ast, agg, call),
            Some(Meaning::Value(over)) => self.over_list(ast, agg, base, call, over),
            Some(Meaning::Record { .. }) => self.fail(messages::pattern_over_record(base)),
        };
        self.pattern = outer;
        checked
    }

    /// The aggregate with its literal parameter.
    fn parameter(&mut self, call: &AggregateCall<'_>) -> Option<Agg> {
        let literal = match call.parameter {
            None => None,
            Some(ast) => match self.value(ast)?.kind() {
                ExprKind::Const(value) => Some(value.clone()),
                // `-1` is an operator on a literal.
                _ => Some(Value::Null),
            },
        };
        match call.signature.agg(literal.as_ref()) {
            Ok(agg) => Some(agg),
            Err(why) => self.fail(messages::bad_parameter(call.signature, call.parameter.unwrap_or(call.value), &why)),
        }
    }

    fn over_rows(&mut self, ast: &Ast, agg: Agg, call: &AggregateCall<'_>) -> Option<Expr> {
        self.pattern = Some(Pattern::Rows(Vec::new()));
        let body = self.of_each_row(&agg, call.value);
        let second = call.second.map(|second| self.of_each_row(&agg, second));
        let (body, second) = (body?, second.map_or(Some(None), |second| second.map(Some))?);
        let Some(Pattern::Rows(followed)) = self.pattern.take() else {
            unreachable!("invariant: nested aggregates put the pattern back")
        };
        let over = self.innermost(ast, &followed)?;
        if reads_local(&body, 0) || second.as_ref().is_some_and(|second| reads_local(second, 0)) {
            return self.fail(messages::aggregate_in_macro(ast));
        }
        let ty = self.aggregated(ast, &agg, call, &body, second.as_ref())?;
        Some(Expr::new(ExprKind::Aggregate { agg, over, body, second }, ty))
    }

    /// What an aggregate reads of each child row.
    fn of_each_row(&mut self, agg: &Agg, argument: &Ast) -> Option<Expr> {
        match self.meaning(argument)? {
            Meaning::Value(body) => Some(body),
            Meaning::Record { followed, .. } if *agg == Agg::Count && !followed.is_empty() => Some(constant(true.into())),
            Meaning::Record { scope, .. } => self.fail(messages::aggregate_of_rows(agg, argument, &*scope)),
            Meaning::Children { scope, .. } => self.fail(messages::children_as_value(argument, &*scope)),
        }
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

    fn aggregated(&mut self, ast: &Ast, agg: &Agg, call: &AggregateCall<'_>, body: &Expr, second: Option<&Expr>) -> Option<Type> {
        let types: Vec<Type> = std::iter::once(body).chain(second).map(|expr| expr.ty().clone()).collect();
        match aggregate::result_type(agg, &types) {
            Ok(ty) => Some(ty),
            Err(why) => {
                let second = call.second.zip(types.get(1)).filter(|_| aggregate::result_type(agg, &types[..1]).is_ok());
                self.fail(match second {
                    Some((by, ty)) if agg.is_ordered() => messages::bad_order(agg, by, ty, why),
                    Some((other, ty)) => messages::bad_aggregate(ast, agg, other, ty, why),
                    None => messages::bad_aggregate(ast, agg, call.value, &types[0], why),
                })
            }
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

    fn over_list(&mut self, ast: &Ast, agg: Agg, base: &Ast, call: &AggregateCall<'_>, over: Expr) -> Option<Expr> {
        let item = match over.ty() {
            Type::List(item) => (**item).clone(),
            Type::Dyn | Type::Null => Type::Dyn,
            ty => return self.fail(messages::pattern_over_value(base, ty)),
        };
        self.pattern = Some(Pattern::List { over: over.clone(), level: self.locals.len() });
        let body = self.with_local(None, item.clone(), |checker| checker.value(call.value));
        let second = call.second.map(|second| self.with_local(None, item, |checker| checker.value(second)));
        let (body, second) = (body?, second.map_or(Some(None), |second| second.map(Some))?);
        let ty = self.aggregated(ast, &agg, call, &body, second.as_ref())?;
        // The list functions `first` and `last` see NULLs, which aggregates leave out.
        let filter = matches!(agg, Agg::First | Agg::Last | Agg::FirstOf(_) | Agg::LastOf(_)).then(|| is_there(&body));
        let mut args = vec![listed(&over, &body, filter.as_ref())];
        args.extend(agg.parameter().map(constant));
        args.extend(second.map(|second| listed(&over, &second, filter.as_ref())));
        let id = functions::find(agg.name()).expect("invariant: every aggregate is a list function too");
        Some(Expr::new(ExprKind::Call(id, args), ty))
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

/// `body` of each element of `over`.
fn listed(over: &Expr, body: &Expr, filter: Option<&Expr>) -> Expr {
    if filter.is_none() && matches!(body.kind(), ExprKind::Local(0)) {
        return over.clone();
    }
    let (filter, ty) = (filter.cloned(), Type::List(body.ty().clone().into()));
    Expr::new(ExprKind::Comprehension { kind: Comprehension::Map, over: over.clone(), filter, body: body.clone() }, ty)
}

/// `value != null`
fn is_there(value: &Expr) -> Expr {
    Expr::new(ExprKind::Binary(BinaryOp::Ne, value.clone(), constant(Value::Null)), Type::Bool)
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
