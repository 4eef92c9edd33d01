//! Records, child rows and aggregates in the wrong place: E0208 to E0210, E0216.

use super::names::listed;
use crate::agg::{Agg, Parameter, Second, Signature};
use crate::ast::{Ast, AstKind};
use crate::check::Scope;
use crate::problem::{Problem, Span};
use crate::types::Type;

/// E0210: a record where a value is needed.
pub(in crate::check) fn record_as_value(ast: &Ast, scope: &dyn Scope, row: bool) -> Problem {
    let what = if row { "a row of a relation" } else { "a record" };
    let names = scope.names();
    let example = names.first().map_or("field", String::as_str);
    Problem::new(210, format!("`{ast}` is {what}, not a value"))
        .at(ast.span, "a value is needed here")
        .help(format!("name one of its {}s: `{ast}.{example}`", scope.noun()))
        .note(listed(&format!("{}s", scope.noun()), &names))
}

/// E0210: a record indexed by what is known only later.
pub(in crate::check) fn record_index(target: &Ast, index: &Ast, scope: &dyn Scope) -> Problem {
    Problem::new(210, format!("the {} of `{target}` must be a constant", scope.noun()))
        .at(index.span, "a text in quotes is needed here")
        .help(format!("write `{target}['name']` or `{target}.name`"))
}

/// E0210: child rows where a value is needed.
pub(in crate::check) fn children_as_value(ast: &Ast, scope: &dyn Scope) -> Problem {
    let names = scope.names();
    let example = names.first().map_or("field", String::as_str);
    Problem::new(210, format!("`{ast}` is child rows, not a value")).at(ast.span, "a value is needed here").help(format!(
        "aggregate them: `count({ast}[*])`, or sum, avg, min, max of a {}: `max({ast}[*].{example})`",
        scope.noun()
    ))
}

/// E0210: `items.price`.
pub(in crate::check) fn member_of_children(target: &Ast, name: &str, span: Span) -> Problem {
    Problem::new(210, format!("`{target}` is child rows, so `{target}.{name}` is not one value"))
        .at(span, "of which row?")
        .help(format!("aggregate over all of them: `sum({target}[*].{name})`, or count, avg, min, max"))
}

/// E0208: `[*]` where nothing aggregates.
pub(in crate::check) fn pattern_outside_aggregate(ast: &Ast) -> Problem {
    Problem::new(208, format!("the pattern `{ast}` stands outside an aggregate"))
        .at(ast.span, "this is many values")
        .help(format!("aggregate it: `sum({ast}…)`, or count, avg, min, max"))
}

/// E0208: `customer[*]`.
pub(in crate::check) fn pattern_over_record(base: &Ast) -> Problem {
    Problem::new(208, format!("`{base}` is one record, so it has no elements for `[*]`"))
        .at(base.span, "this is one record")
        .help(format!("write `{base}.…` without `[*]`"))
}

/// E0208: `price[*]`.
pub(in crate::check) fn pattern_over_value(base: &Ast, ty: &Type) -> Problem {
    let problem = Problem::new(208, format!("`[*]` needs child rows or a list, and `{base}` is {ty}"))
        .at(base.span, format!("this is {ty}"));
    match ty {
        Type::Map(..) => problem.help(format!("take its keys or values: `keys({base})[*]`, `values({base})[*]`")),
        _ => problem,
    }
}

/// E0208: a list in a child row, or a list in a list.
pub(in crate::check) fn nested_list_pattern(ast: &Ast) -> Problem {
    Problem::new(208, format!("the pattern `{ast}` goes through a list inside a list"))
        .at(ast.span, "a pattern follows one list")
        .help("aggregate the inner list in a macro: `sum(outer.map(x, sum(x.inner[*].price)))`")
}

/// E0208: a list beside or below child rows.
pub(in crate::check) fn list_inside_rows(ast: &Ast, base: &Ast) -> Problem {
    Problem::new(208, format!("`{base}` is a list, and this aggregate follows child rows"))
        .at(ast.span, "a list has no rows")
        .help(format!("make a field of `sum({base}[*]…)` on the type that holds the list, and aggregate that field"))
}

/// E0208: an aggregate with a pattern, and other arguments than it takes.
pub(in crate::check) fn aggregate_arguments(signature: &Signature, span: Span, pattern: &Ast) -> Problem {
    let name = signature.name;
    if *signature.arity().end() > 1 {
        let usage = usage(signature);
        let problem = Problem::new(208, format!("the aggregate `{name}` is written `{usage}`"));
        let problem = problem.at(span, format!("`{pattern}` is many values"));
        return if usage.contains('[') { problem.help("what is in brackets may be left out") } else { problem };
    }
    Problem::new(208, format!("the aggregate `{name}` takes one argument, which holds its patterns"))
        .at(span, format!("`{pattern}` is many values"))
        .help(format!("aggregate first, then go on with the value: `{name}({name}({pattern}…), other)`"))
}

/// `first(value[, n][, by])`
fn usage(signature: &Signature) -> String {
    let parameter = match signature.parameter {
        Parameter::None => "",
        Parameter::Count(false) => "[, n]",
        Parameter::Count(true) => ", n",
        Parameter::Separator => ", separator",
        Parameter::Share => ", share",
    };
    let second = match signature.second {
        Second::None => "",
        Second::Pair => ", other",
        Second::By(false) => "[, by]",
        Second::By(true) => ", by",
    };
    format!("{}(value{parameter}{second})", signature.name)
}

/// E0217: a parameter that is no literal, or not one that the aggregate takes.
pub(in crate::check) fn bad_parameter(signature: &Signature, parameter: &Ast, why: &str) -> Problem {
    Problem::new(217, format!("`{parameter}` is not a parameter of `{}`", signature.name))
        .at(parameter.span, why)
        .help(format!("write `{}`, with a literal", usage(signature)))
}

/// E0208: rows where the aggregate wants values.
pub(in crate::check) fn aggregate_of_rows(agg: &Agg, argument: &Ast, scope: &dyn Scope) -> Problem {
    let names = scope.names();
    let example = names.first().map_or("field", String::as_str);
    let name = agg.name();
    Problem::new(208, format!("`{name}` needs a value of each row, and `{argument}` is the rows"))
        .at(argument.span, "these are rows")
        .help(format!("name a {}: `{name}({argument}.{example})`, or count them: `count({argument})`", scope.noun()))
        .note(listed(&format!("{}s", scope.noun()), &names))
}

/// E0208: an aggregate over child rows that reads a macro's variable.
pub(in crate::check) fn aggregate_in_macro(ast: &Ast) -> Problem {
    Problem::new(208, "an aggregate over child rows cannot read the variable of a macro")
        .at(ast.span, "this is kept up to date once for the document, not for every element")
        .help("aggregate first, and use the variable outside the aggregate")
}

/// E0209: patterns over two relations in one aggregate.
pub(in crate::check) fn two_relations(ast: &Ast, first: &str, second: &str, span: Span) -> Problem {
    let name = ast_name(ast);
    Problem::new(209, format!("one aggregate follows both `{first}` and `{second}`"))
        .at(span, "another relation")
        .help(format!("aggregate each on its own: `{name}({first}…) * {name}({second}…)`"))
}

/// E0209: patterns over two lists, or over rows and a list.
pub(in crate::check) fn two_lists(ast: &Ast) -> Problem {
    Problem::new(209, format!("`{ast}` is not the list that the first pattern of this aggregate follows"))
        .at(ast.span, "another list")
        .help("aggregate each on its own")
}

fn ast_name(ast: &Ast) -> &str {
    match &ast.kind {
        AstKind::Call { function, .. } => function,
        _ => "sum",
    }
}

/// E0216: rows that would be ordered by what has no order.
pub(in crate::check) fn bad_order(agg: &Agg, by: &Ast, ty: &Type, why: String) -> Problem {
    Problem::new(216, format!("`{}` cannot order rows by {ty}", agg.name()))
        .at(by.span, why)
        .help("name a number, a text or a time of each row")
}

/// E0216: values that an aggregate has no meaning for.
pub(in crate::check) fn bad_aggregate(ast: &Ast, agg: &Agg, argument: &Ast, ty: &Type, why: String) -> Problem {
    let problem = Problem::new(216, format!("`{}` cannot aggregate {ty}", agg.name())).at(ast.anchor, why);
    match (agg, ty) {
        (Agg::Any | Agg::All, _) => problem.help(format!("compare it: `{}({argument} != null)`", agg.name())),
        (Agg::StringAgg(_), _) => problem.help(format!("convert it: `string({argument})`")),
        (agg, _) if agg.is_ordered() && !matches!(agg, Agg::Window(..)) => problem,
        (_, Type::Bool) => problem.help(format!("count what is true: `{}({} ? 1 : 0)`", agg.name(), argument)),
        (_, Type::Text) => problem.help(format!("convert it: `{}(decimal({}))`", agg.name(), argument)),
        _ => problem,
    }
}
