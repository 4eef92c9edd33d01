//! Where in a formula's text a name stands.

use thalweg_formulas::ast::{Ast, AstKind};
use thalweg_formulas::{Problem, Span};

/// The problem at the place where `name` stands.
pub(super) fn located(problem: Problem, ast: &Ast, name: &str, label: &str) -> Problem {
    match span_of(ast, name) {
        Some(span) => problem.at(span, label),
        None => problem,
    }
}

/// Where `name` first stands, at the start of a path or as a member.
fn span_of(ast: &Ast, name: &str) -> Option<Span> {
    match &ast.kind {
        AstKind::Ident(found) if found == name => Some(ast.span),
        AstKind::Select(of, member, span) => span_of(of, name).or((member == name).then_some(*span)),
        _ => ast.parts().into_iter().find_map(|part| span_of(part, name)),
    }
}
