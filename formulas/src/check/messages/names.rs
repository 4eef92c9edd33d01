//! Names and calls that mean nothing: E0203 to E0205.

use crate::check::{Scope, macros};
use crate::functions::{self, Function};
use crate::problem::{Problem, Span, did_you_mean};

/// How many names a note lists.
const NAMES_MAX: usize = 12;

/// E0203: a name that its scope does not know.
pub(in crate::check) fn unknown_name(scope: &dyn Scope, locals: Vec<String>, name: &str, span: Span) -> Problem {
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
pub(super) fn listed(what: &str, names: &[String]) -> String {
    match names.len() {
        0 => format!("{what}: none"),
        n if n <= NAMES_MAX => format!("{what}: {}", names.join(", ")),
        n => format!("{what}: {}, … ({n} in all)", names[..NAMES_MAX].join(", ")),
    }
}

/// E0204: a call of nothing.
pub(in crate::check) fn unknown_function(name: &str, span: Span, member: bool) -> Problem {
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
pub(in crate::check) fn argument_count(function: &Function, span: Span, member: bool, given: usize) -> Problem {
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
