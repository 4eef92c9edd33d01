//! Misused macros: E0211.

use crate::ast::Ast;
use crate::expr::Comprehension;
use crate::problem::{Problem, Span};
use crate::types::Type;

/// E0211: `has` of something that is no member.
pub(in crate::check) fn has_argument(ast: &Ast, span: Span) -> Problem {
    Problem::new(211, format!("`has` asks whether a map holds a member, and `{ast}` names none"))
        .at(span, "not a member")
        .help("write `has(record.member)`; whether a value is there at all is `x != null`")
}

/// E0211: a macro with too many or too few arguments.
pub(in crate::check) fn macro_arguments(kind: Comprehension, span: Span, given: usize) -> Problem {
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
pub(in crate::check) fn macro_variable(kind: Comprehension, variable: &Ast) -> Problem {
    let name = kind.name();
    Problem::new(211, format!("the first argument of `{name}` is the name for each element"))
        .at(variable.span, "not a plain name")
        .help(format!("write `list.{name}(x, …)`"))
}

/// E0211: a macro over what has no elements.
pub(in crate::check) fn macro_over(kind: Comprehension, target: &Ast, ty: &Type) -> Problem {
    Problem::new(211, format!("`{}` goes over a list or the keys of a map, and `{target}` is {ty}", kind.name()))
        .at(target.span, format!("this is {ty}"))
}

/// E0211: a macro over child rows.
pub(in crate::check) fn macro_over_children(kind: Comprehension, target: &Ast) -> Problem {
    let help = match kind {
        Comprehension::Exists => format!("write `max({target}[*].field > 0)` or `sum({target}[*].field > 0 ? 1 : 0) > 0`"),
        Comprehension::All => format!("write `sum({target}[*].field > 0 ? 0 : 1) == 0`"),
        _ => format!("write `sum({target}[*].field > 0 ? 1 : 0)` for how many, or another aggregate"),
    };
    Problem::new(211, format!("`{}` goes over a list, and `{target}` is child rows", kind.name()))
        .at(target.span, "these are rows of another table")
        .help(help)
}
