//! Checked expressions as text, for the names of hidden nodes and for `explain`.

use thalweg_formulas::ast::{Ast, AstKind};
use thalweg_formulas::expr::Comprehension;
use thalweg_formulas::{Agg, Expr, ExprKind, InputId, Span, Value};

use crate::plan::{Due, TimerRule};

/// The expression as a formula in which each input has the name that `name` gives it.
pub(crate) fn text(expr: &Expr, name: &dyn Fn(InputId) -> String) -> String {
    tree(expr, name, 0).to_string()
}

/// An aggregate of what is shown as `of`: `top(items[*].price, 3, items[*].at)`.
pub(crate) fn aggregate(agg: &Agg, of: &str, second: Option<&str>) -> String {
    let parameter = agg.parameter().map(|parameter| value(&parameter));
    let args: Vec<&str> = std::iter::once(of).chain(parameter.as_deref()).chain(second).collect();
    format!("{}({})", agg.name(), args.join(", "))
}

/// The syntax tree whose text shows the expression; `depth` comprehensions are around it.
fn tree(expr: &Expr, name: &dyn Fn(InputId) -> String, depth: u32) -> Ast {
    let sub = |expr: &Expr| Box::new(tree(expr, name, depth));
    let kind = match expr.kind() {
        ExprKind::Const(value) => AstKind::Literal(value.clone()),
        ExprKind::Input(id) => return path(&name(*id)),
        ExprKind::Local(up) => AstKind::Ident(variable(depth - 1 - up)),
        ExprKind::Unary(op, a) => AstKind::Unary(*op, sub(a)),
        ExprKind::Binary(op, a, b) => AstKind::Binary(*op, sub(a), sub(b)),
        ExprKind::If(c, a, b) => AstKind::Ternary(sub(c), sub(a), sub(b)),
        ExprKind::List(items) => AstKind::List(items.iter().map(|item| *sub(item)).collect()),
        ExprKind::Map(entries) => AstKind::Map(entries.iter().map(|(k, v)| (*sub(k), *sub(v))).collect()),
        ExprKind::Index(a, b) => member(sub(a), sub(b)),
        ExprKind::Has(a, b) => call("has", None, vec![ast(member(sub(a), sub(b)))]),
        ExprKind::Call(id, args) => {
            call(thalweg_formulas::functions::get(*id).name, None, args.iter().map(|arg| *sub(arg)).collect())
        }
        ExprKind::Comprehension { kind, over, filter, body } => {
            let inner = |expr: &Expr| tree(expr, name, depth + 1);
            let variable = ast(AstKind::Ident(variable(depth)));
            let args = std::iter::once(variable).chain(filter.iter().map(inner)).chain([inner(body)]).collect();
            call(comprehension_name(*kind), Some(sub(over)), args)
        }
        ExprKind::Aggregate { agg, body, second, .. } => {
            let parameter = agg.parameter().map(|parameter| ast(AstKind::Literal(parameter)));
            let second = second.as_ref().map(|second| *sub(second));
            call(agg.name(), None, std::iter::once(*sub(body)).chain(parameter).chain(second).collect())
        }
    };
    ast(kind)
}

fn ast(kind: AstKind) -> Ast {
    Ast::new(kind, Span::default())
}

fn call(function: &str, target: Option<Box<Ast>>, args: Vec<Ast>) -> AstKind {
    AstKind::Call { function: function.to_owned(), name_span: Span::default(), target, args }
}

/// `a.name` where the index is a name, else `a[b]`.
fn member(of: Box<Ast>, index: Box<Ast>) -> AstKind {
    match &index.kind {
        AstKind::Literal(Value::Text(name)) => AstKind::Select(of, name.to_string(), Span::default()),
        _ => AstKind::Index(of, index),
    }
}

/// `customer.items[*].price` as members and patterns; any other text is one name.
fn path(text: &str) -> Ast {
    let mut parts = text.split('.').map(|part| (part.trim_end_matches("[*]"), part.ends_with("[*]")));
    let plain = |part: &str| !part.is_empty() && !part.contains(|c: char| !(c.is_alphanumeric() || c == '_'));
    if !parts.clone().all(|(part, _)| plain(part)) {
        return ast(AstKind::Ident(text.to_owned()));
    }
    let each = |tree: Ast, all: bool| if all { ast(AstKind::Each(Box::new(tree))) } else { tree };
    let first =
        parts.next().map_or(ast(AstKind::Ident(String::new())), |(part, all)| each(ast(AstKind::Ident(part.into())), all));
    parts.fold(first, |tree, (part, all)| each(ast(AstKind::Select(Box::new(tree), part.into(), Span::default())), all))
}

/// The name of the variable of the comprehension that `depth` others surround.
fn variable(depth: u32) -> String {
    match depth {
        0 => "x".into(),
        1 => "y".into(),
        2 => "z".into(),
        deeper => format!("x{deeper}"),
    }
}

fn comprehension_name(kind: Comprehension) -> &'static str {
    match kind {
        Comprehension::All => "all",
        Comprehension::Exists => "exists",
        Comprehension::ExistsOne => "exists_one",
        Comprehension::Map => "map",
        Comprehension::Filter => "filter",
    }
}

/// A value as a formula writes it.
pub(crate) fn value(value: &Value) -> String {
    ast(AstKind::Literal(value.clone())).to_string()
}

/// Microseconds as days, hours, minutes and seconds.
pub(crate) fn delay(micros: i64) -> String {
    const UNITS: [(i64, &str); 6] =
        [(86_400_000_000, "d"), (3_600_000_000, "h"), (60_000_000, "m"), (1_000_000, "s"), (1_000, "ms"), (1, "us")];
    let mut rest = micros;
    let mut parts = Vec::new();
    for (unit, name) in UNITS {
        if rest >= unit {
            parts.push(format!("{}{name}", rest / unit));
            rest %= unit;
        }
    }
    if parts.is_empty() { "0s".into() } else { parts.join(" ") }
}

/// `after 24h`, `at due_at`, and whether each arming puts the time off.
pub(crate) fn due(timer: &TimerRule) -> String {
    let when = match &timer.due {
        Due::After(micros) => format!("after {}", delay(*micros)),
        Due::At { text, .. } => format!("at {text}"),
    };
    if timer.reset { when + ", one for each row" } else { when }
}
