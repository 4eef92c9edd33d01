//! Types that do not fit: E0206, E0207, E0212 to E0215.

use crate::ast::{Ast, AstKind, BinaryOp};
use crate::functions;
use crate::problem::{Problem, Span};
use crate::types::Type;
use crate::value::Value;

/// E0206: an operand that its operator does not take.
pub(in crate::check) fn bad_operand(ast: &Ast, symbol: &str, ty: &Type, why: String) -> Problem {
    Problem::new(206, format!("`{symbol}` cannot take {ty}")).at(ast.anchor, why)
}

/// E0206: operands that do not fit their operator or each other.
pub(in crate::check) fn bad_operands(ast: &Ast, op: BinaryOp, a: (&Ast, &Type), b: (&Ast, &Type), why: String) -> Problem {
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
pub(super) fn receiver(ast: &Ast) -> String {
    match &ast.kind {
        AstKind::Binary(..) | AstKind::Unary(..) | AstKind::Ternary(..) => format!("({ast})"),
        _ => ast.to_string(),
    }
}

/// E0207: arguments that their function does not take. `why` may begin with the argument it blames, receiver included.
pub(in crate::check) fn bad_arguments(
    name: &str,
    span: Span,
    member: bool,
    parts: &[&Ast],
    types: &[Type],
    why: &str,
) -> Problem {
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
pub(in crate::check) fn branches_differ(ast: &Ast, a: &Type, b: &Type) -> Problem {
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
pub(in crate::check) fn not_a_condition(ast: &Ast, ty: &Type) -> Problem {
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
pub(in crate::check) fn no_members(target: &Ast, ty: &Type, name: &str, span: Span) -> Problem {
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
pub(in crate::check) fn bad_index(ast: &Ast, value: &Type, key: &Type, why: String) -> Problem {
    let problem = Problem::new(214, format!("{value} cannot be indexed by {key}")).at(ast.anchor, why);
    match value {
        Type::Text => problem.help("write `text.substring(from, to)`"),
        _ => problem,
    }
}

/// E0215: a map key of a type that keys do not have.
pub(in crate::check) fn bad_map_key(ast: &Ast, ty: &Type) -> Problem {
    Problem::new(215, format!("a map key cannot be {ty}"))
        .at(ast.span, "keys are bools, ints, uints or texts")
        .help(format!("write `string({ast})`"))
}
