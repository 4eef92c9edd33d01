//! What is said about wrong definitions: one function a problem, so that a code means one thing.
//!
//! `src/explain/formulas-syntax.md` in the root package tells each code's story.

use super::{Scope, macros};
use crate::ast::{Ast, AstKind, BinaryOp};
use crate::expr::{Agg, Comprehension};
use crate::functions::{self, Function};
use crate::parse::DEPTH_MAX;
use crate::problem::{Problem, Span, did_you_mean};
use crate::types::Type;
use crate::value::Value;

/// How many names a note lists.
const NAMES_MAX: usize = 12;

pub(super) fn too_deep() -> Problem {
    Problem::new(107, format!("the formula is nested too deeply: {DEPTH_MAX} levels are allowed"))
        .help("make fields of its parts and combine those")
}

/// E0107: work that grows beyond all measure with the text.
pub(super) fn too_complex() -> Problem {
    Problem::new(107, "the formula is too complex to check").help("make fields of its nested patterns and combine those")
}

// ── Names ──

/// E0203: a name that its scope does not know.
pub(super) fn unknown_name(scope: &dyn Scope, locals: Vec<String>, name: &str, span: Span) -> Problem {
    let noun = scope.noun();
    let names = scope.names();
    let problem = Problem::new(203, format!("unknown field `{name}`"))
        .at(span, format!("{} has no {noun} `{name}`", scope.describe()))
        .note(listed(&format!("{noun}s"), &names));
    let keyword = name.to_ascii_lowercase();
    if matches!(keyword.as_str(), "null" | "true" | "false") {
        return problem.help(format!("write `{keyword}`"));
    }
    let near = did_you_mean(name, names.iter().chain(&locals).map(String::as_str));
    match near_misses(&near) {
        Some(help) => problem.help(help),
        None if functions::find(name).is_some() => problem.help(format!("`{name}` is a function: write `{name}(…)`")),
        None => problem,
    }
}

fn near_misses(near: &[&str]) -> Option<String> {
    let quoted: Vec<String> = near.iter().map(|name| format!("`{name}`")).collect();
    let (last, others) = quoted.split_last()?;
    Some(if others.is_empty() {
        format!("did you mean {last}?")
    } else {
        format!("did you mean {} or {last}?", others.join(", "))
    })
}

/// "columns: id, status, …"
fn listed(what: &str, names: &[String]) -> String {
    match names.len() {
        0 => format!("{what}: none"),
        n if n <= NAMES_MAX => format!("{what}: {}", names.join(", ")),
        n => format!("{what}: {}, … ({n} in all)", names[..NAMES_MAX].join(", ")),
    }
}

/// E0204: a call of nothing.
pub(super) fn unknown_function(name: &str, span: Span, member: bool) -> Problem {
    let problem = Problem::new(204, format!("unknown function `{name}`")).at(span, "no function is called so");
    if macros::comprehension(name).is_some() && !member {
        return problem.help(format!("`{name}` is called on a list: `list.{name}(x, …)`"));
    }
    let cure = match name.to_ascii_lowercase().as_str() {
        "not" => "write `!x`",
        "and" => "write `a && b`",
        "or" => "write `a || b`",
        "if" | "iff" | "iif" | "case" => "write `condition ? value : otherwise`",
        "len" | "length" | "strlen" | "char_length" => "write `size(x)`",
        "concat" => "join texts with `+`",
        "isnull" | "is_null" => "write `x == null`",
        "nvl" | "ifnull" => "write `if_null(x, otherwise)`",
        "now" | "current_timestamp" => "in a reaction, `now` is a name: write it without parentheses",
        "cast" | "convert" => "write `int(x)`, `double(x)`, `decimal(x)` or `string(x)`",
        "average" | "mean" => "write `avg(…)`",
        _ => "",
    };
    if !cure.is_empty() {
        return problem.help(cure);
    }
    let near = did_you_mean(name, functions::names().chain(macros::NAMES));
    match near_misses(&near) {
        Some(help) => problem.help(help),
        None => problem,
    }
}

/// E0205: too many or too few arguments.
pub(super) fn argument_count(function: &Function, span: Span, member: bool, given: usize) -> Problem {
    let receiver = usize::from(member);
    let (low, high) = (function.args.start().saturating_sub(receiver), function.args.end().saturating_sub(receiver));
    let name = function.name;
    let takes = match (low, high) {
        (1, 1) => "1 argument".to_owned(),
        (low, usize::MAX) => format!("{low} arguments or more"),
        (low, high) if low == high => format!("{low} arguments"),
        (low, high) => format!("{low} to {high} arguments"),
    };
    let besides = if member { " besides its receiver" } else { "" };
    Problem::new(205, format!("`{name}` takes {takes}{besides}, and {given} {} given", is_are(given)))
        .at(span, format!("called with {given}"))
        .note(format!("`{name}`: {}", function.doc))
}

fn is_are(count: usize) -> &'static str {
    if count == 1 { "is" } else { "are" }
}

// ── Types ──

/// E0206: an operand that its operator does not take.
pub(super) fn bad_operand(ast: &Ast, symbol: &str, ty: &Type, why: String) -> Problem {
    Problem::new(206, format!("`{symbol}` cannot take {ty}")).at(ast.anchor, why)
}

/// E0206: operands that do not fit their operator or each other.
pub(super) fn bad_operands(ast: &Ast, op: BinaryOp, a: (&Ast, &Type), b: (&Ast, &Type), why: String) -> Problem {
    let symbol = op.symbol();
    let problem = Problem::new(206, format!("`{symbol}` cannot take {} and {}", a.1, b.1)).at(ast.anchor, why);
    match operand_cure(op, a, b) {
        Some(cure) => problem.help(cure),
        None => problem,
    }
}

fn operand_cure(op: BinaryOp, (left, a): (&Ast, &Type), (right, b): (&Ast, &Type)) -> Option<String> {
    let is_comparison = |op: BinaryOp| op.precedence() == 4 && op != BinaryOp::In;
    if let AstKind::Binary(inner, x, y) = &left.kind
        && is_comparison(op)
        && is_comparison(*inner)
    {
        let (first, second) = (inner.symbol(), op.symbol());
        return Some(format!("write `{x} {first} {y} && {y} {second} {right}`"));
    }
    let text_of = |literal: &Ast, other: &Type| match (&literal.kind, other) {
        (AstKind::Literal(Value::Int(x)), Type::Text) => Some(format!("write it as text: `'{x}'`")),
        _ => None,
    };
    match (op, a, b) {
        (BinaryOp::Add, Type::Text, other) if !matches!(other, Type::List(_) | Type::Map(..)) => {
            Some(format!("write `{left} + string({right})`"))
        }
        (BinaryOp::Add, other, Type::Text) if !matches!(other, Type::List(_) | Type::Map(..)) => {
            Some(format!("write `string({left}) + {right}`"))
        }
        (BinaryOp::In, Type::Text, Type::Text) => {
            Some(format!("for a part of a text write `{}.contains({left})`", receiver(right)))
        }
        (BinaryOp::Eq | BinaryOp::Ne, Type::Bool, Type::Int) => match right.kind {
            AstKind::Literal(Value::Int(1)) => Some("a bool is compared with `true` and `false`, or stands alone".into()),
            AstKind::Literal(Value::Int(0)) => Some("a bool is compared with `true` and `false`, or negated with `!`".into()),
            _ => None,
        },
        (_, Type::Timestamp, Type::Text) => Some(format!("write `timestamp({right})`")),
        (_, Type::Text, Type::Timestamp) => Some(format!("write `timestamp({left})`")),
        (_, Type::Duration, Type::Text) => Some(format!("write `duration({right})`")),
        _ => text_of(left, b).or_else(|| text_of(right, a)),
    }
}

/// `ast` as the receiver of a member call.
fn receiver(ast: &Ast) -> String {
    match &ast.kind {
        AstKind::Binary(..) | AstKind::Unary(..) | AstKind::Ternary(..) => format!("({ast})"),
        _ => ast.to_string(),
    }
}

/// E0207: arguments that their function does not take. `why` may begin with the argument it blames, receiver included.
pub(super) fn bad_arguments(name: &str, span: Span, member: bool, parts: &[&Ast], types: &[Type], why: &str) -> Problem {
    let shown: Vec<String> = types.iter().map(Type::to_string).collect();
    let problem = Problem::new(207, format!("`{name}` cannot take {}", and_list(&shown)));
    let Some((number, rest)) = why.strip_prefix("argument ").and_then(|rest| rest.split_once(' ')) else {
        return problem.at(span, why);
    };
    match number.parse::<usize>().ok().and_then(|n| parts.get(n.wrapping_sub(1)).map(|part| (n, *part))) {
        Some((1, part)) if member => problem.at(part.span, format!("the receiver {rest}")),
        Some((n, part)) => problem.at(part.span, format!("argument {} {rest}", n - usize::from(member))),
        None => problem.at(span, why),
    }
}

fn and_list(items: &[String]) -> String {
    match items {
        [] => "nothing".into(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

/// E0212: two branches of no common type.
pub(super) fn branches_differ(ast: &Ast, a: &Type, b: &Type) -> Problem {
    let help = match (a, b) {
        (Type::Int, Type::Uint) | (Type::Uint, Type::Int) => "convert one of them with int() or uint()",
        (Type::Text, _) | (_, Type::Text) => "convert the other one with string(), or take null for no value",
        _ => "give both the same type, or take null for no value",
    };
    Problem::new(212, format!("the branches of `? :` have different types: {a} and {b}"))
        .at(ast.anchor, "a field has one type")
        .help(help)
}

/// E0213: a condition that is not one.
pub(super) fn not_a_condition(ast: &Ast, ty: &Type) -> Problem {
    let problem =
        Problem::new(213, format!("a condition must be a bool, and this is {ty}")).at(ast.span, format!("this is {ty}"));
    match ty {
        Type::Text => problem.help(format!("compare it: `{} != ''`", receiver(ast))),
        Type::Null => problem.help("write `true` or `false`"),
        ty if ty.is_numeric() => problem.help(format!("compare it: `{} != 0`", receiver(ast))),
        _ => problem.help(format!("compare it: `{} != null`", receiver(ast))),
    }
}

/// E0214: `.name` on what has no members.
pub(super) fn no_members(target: &Ast, ty: &Type, name: &str, span: Span) -> Problem {
    let problem = Problem::new(214, format!("{ty} has no members"));
    let problem = problem.at(span, format!("`{target}` is {ty}, not a record"));
    match ty {
        Type::List(_) => {
            problem.help(format!("aggregate over its elements: `sum({target}[*].{name})`, or take one: `{target}[0].{name}`"))
        }
        _ if functions::find(name).is_some() => problem.help(format!("`{name}` is a function: write `{target}.{name}()`")),
        _ => problem,
    }
}

/// E0214: `value[key]` where there is none.
pub(super) fn bad_index(ast: &Ast, value: &Type, key: &Type, why: String) -> Problem {
    let problem = Problem::new(214, format!("{value} cannot be indexed by {key}")).at(ast.anchor, why);
    match value {
        Type::Text => problem.help("write `text.substring(from, to)`"),
        _ => problem,
    }
}

/// E0215: a map key of a type that keys do not have.
pub(super) fn bad_map_key(ast: &Ast, ty: &Type) -> Problem {
    Problem::new(215, format!("a map key cannot be {ty}"))
        .at(ast.span, "keys are bools, ints, uints or texts")
        .help(format!("write `string({ast})`"))
}

// ── Records and child rows ──

/// E0210: a record where a value is needed.
pub(super) fn record_as_value(ast: &Ast, scope: &dyn Scope, row: bool) -> Problem {
    let what = if row { "a row of a relation" } else { "a record" };
    let names = scope.names();
    let example = names.first().map_or("field", String::as_str);
    Problem::new(210, format!("`{ast}` is {what}, not a value"))
        .at(ast.span, "a value is needed here")
        .help(format!("name one of its {}s: `{ast}.{example}`", scope.noun()))
        .note(listed(&format!("{}s", scope.noun()), &names))
}

/// E0210: a record indexed by what is known only later.
pub(super) fn record_index(target: &Ast, index: &Ast, scope: &dyn Scope) -> Problem {
    Problem::new(210, format!("the {} of `{target}` must be a constant", scope.noun()))
        .at(index.span, "a text in quotes is needed here")
        .help(format!("write `{target}['name']` or `{target}.name`"))
}

/// E0210: child rows where a value is needed.
pub(super) fn children_as_value(ast: &Ast, scope: &dyn Scope) -> Problem {
    let names = scope.names();
    let example = names.first().map_or("field", String::as_str);
    Problem::new(210, format!("`{ast}` is child rows, not a value")).at(ast.span, "a value is needed here").help(format!(
        "aggregate them: `count({ast}[*])`, or sum, avg, min, max of a {}: `max({ast}[*].{example})`",
        scope.noun()
    ))
}

/// E0210: `items.price`.
pub(super) fn member_of_children(target: &Ast, name: &str, span: Span) -> Problem {
    Problem::new(210, format!("`{target}` is child rows, so `{target}.{name}` is not one value"))
        .at(span, "of which row?")
        .help(format!("aggregate over all of them: `sum({target}[*].{name})`, or count, avg, min, max"))
}

// ── Patterns and aggregates ──

/// E0208: `[*]` where nothing aggregates.
pub(super) fn pattern_outside_aggregate(ast: &Ast) -> Problem {
    Problem::new(208, format!("the pattern `{ast}` stands outside an aggregate"))
        .at(ast.span, "this is many values")
        .help(format!("aggregate it: `sum({ast}…)`, or count, avg, min, max"))
}

/// E0208: `customer[*]`.
pub(super) fn pattern_over_record(base: &Ast) -> Problem {
    Problem::new(208, format!("`{base}` is one record, so it has no elements for `[*]`"))
        .at(base.span, "this is one record")
        .help(format!("write `{base}.…` without `[*]`"))
}

/// E0208: `price[*]`.
pub(super) fn pattern_over_value(base: &Ast, ty: &Type) -> Problem {
    let problem = Problem::new(208, format!("`[*]` needs child rows or a list, and `{base}` is {ty}"))
        .at(base.span, format!("this is {ty}"));
    match ty {
        Type::Map(..) => problem.help(format!("take its keys or values: `keys({base})[*]`, `values({base})[*]`")),
        _ => problem,
    }
}

/// E0208: a list in a child row, or a list in a list.
pub(super) fn nested_list_pattern(ast: &Ast) -> Problem {
    Problem::new(208, format!("the pattern `{ast}` goes through a list inside a list"))
        .at(ast.span, "a pattern follows one list")
        .help("aggregate the inner list in a macro: `sum(outer.map(x, sum(x.inner[*].price)))`")
}

/// E0208: a list beside or below child rows.
pub(super) fn list_inside_rows(ast: &Ast, base: &Ast) -> Problem {
    Problem::new(208, format!("`{base}` is a list, and this aggregate follows child rows"))
        .at(ast.span, "a list has no rows")
        .help(format!("make a field of `sum({base}[*]…)` on the type that holds the list, and aggregate that field"))
}

/// E0208: an aggregate with a pattern among several arguments.
pub(super) fn aggregate_arguments(name: &str, span: Span, pattern: &Ast) -> Problem {
    Problem::new(208, format!("the aggregate `{name}` takes one argument, which holds its patterns"))
        .at(span, format!("`{pattern}` is many values"))
        .help(format!("aggregate first, then go on with the value: `{name}({name}({pattern}…), other)`"))
}

/// E0208: rows where the aggregate wants values.
pub(super) fn aggregate_of_rows(agg: Agg, argument: &Ast, scope: &dyn Scope) -> Problem {
    let names = scope.names();
    let example = names.first().map_or("field", String::as_str);
    let name = agg.name();
    Problem::new(208, format!("`{name}` needs a value of each row, and `{argument}` is the rows"))
        .at(argument.span, "these are rows")
        .help(format!("name a {}: `{name}({argument}.{example})`, or count them: `count({argument})`", scope.noun()))
        .note(listed(&format!("{}s", scope.noun()), &names))
}

/// E0208: an aggregate over child rows that reads a macro's variable.
pub(super) fn aggregate_in_macro(ast: &Ast) -> Problem {
    Problem::new(208, "an aggregate over child rows cannot read the variable of a macro")
        .at(ast.span, "this is kept up to date once for the document, not for every element")
        .help("aggregate first, and use the variable outside the aggregate")
}

/// E0209: patterns over two relations in one aggregate.
pub(super) fn two_relations(ast: &Ast, first: &str, second: &str, span: Span) -> Problem {
    let name = ast_name(ast);
    Problem::new(209, format!("one aggregate follows both `{first}` and `{second}`"))
        .at(span, "another relation")
        .help(format!("aggregate each on its own: `{name}({first}…) * {name}({second}…)`"))
}

/// E0209: patterns over two lists, or over rows and a list.
pub(super) fn two_lists(ast: &Ast) -> Problem {
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

/// E0216: values that an aggregate has no meaning for.
pub(super) fn bad_aggregate(ast: &Ast, agg: Agg, argument: &Ast, ty: &Type, why: String) -> Problem {
    let problem = Problem::new(216, format!("`{}` cannot aggregate {ty}", agg.name())).at(ast.anchor, why);
    match ty {
        Type::Bool => problem.help(format!("count what is true: `{}({} ? 1 : 0)`", agg.name(), argument)),
        Type::Text => problem.help(format!("convert it: `{}(decimal({}))`", agg.name(), argument)),
        _ => problem,
    }
}

// ── Macros ──

/// E0211: `has` of something that is no member.
pub(super) fn has_argument(ast: &Ast, span: Span) -> Problem {
    Problem::new(211, format!("`has` asks whether a map holds a member, and `{ast}` names none"))
        .at(span, "not a member")
        .help("write `has(record.member)`; whether a value is there at all is `x != null`")
}

/// E0211: a macro with too many or too few arguments.
pub(super) fn macro_arguments(kind: Comprehension, span: Span, given: usize) -> Problem {
    let name = kind.name();
    let form = match kind {
        Comprehension::Map => "`list.map(x, value)` or `list.map(x, condition, value)`".to_owned(),
        _ => format!("`list.{name}(x, condition)`"),
    };
    Problem::new(211, format!("the macro `{name}` does not take {given} {}", if given == 1 { "argument" } else { "arguments" }))
        .at(span, format!("called with {given}"))
        .help(format!("write {form}"))
}

/// E0211: a macro whose first argument is not a plain name.
pub(super) fn macro_variable(kind: Comprehension, variable: &Ast) -> Problem {
    let name = kind.name();
    Problem::new(211, format!("the first argument of `{name}` is the name for each element"))
        .at(variable.span, "not a plain name")
        .help(format!("write `list.{name}(x, …)`"))
}

/// E0211: a macro over what has no elements.
pub(super) fn macro_over(kind: Comprehension, target: &Ast, ty: &Type) -> Problem {
    Problem::new(211, format!("`{}` goes over a list or the keys of a map, and `{target}` is {ty}", kind.name()))
        .at(target.span, format!("this is {ty}"))
}

/// E0211: a macro over child rows.
pub(super) fn macro_over_children(kind: Comprehension, target: &Ast) -> Problem {
    let help = match kind {
        Comprehension::Exists => format!("write `max({target}[*].field > 0)` or `sum({target}[*].field > 0 ? 1 : 0) > 0`"),
        Comprehension::All => format!("write `sum({target}[*].field > 0 ? 0 : 1) == 0`"),
        _ => format!("write `sum({target}[*].field > 0 ? 1 : 0)` for how many, or another aggregate"),
    };
    Problem::new(211, format!("`{}` goes over a list, and `{target}` is child rows", kind.name()))
        .at(target.span, "these are rows of another table")
        .help(help)
}
