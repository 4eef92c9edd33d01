//! How deep and how large a formula may be.

use expect_test::expect;
use thalweg_formulas::ast::{AstKind, UnaryOp};
use thalweg_formulas::check::check;
use thalweg_formulas::{Ast, parse};

use super::{input_name, order};

#[test]
fn a_tree_too_deep_for_any_text_is_refused() {
    let deep = (0..100_000).fold(Ast::ident("done"), |ast, _| Ast::unary(UnaryOp::Not, ast));
    let problems = check(&deep, &order()).unwrap_err();
    expect!["E0107: the formula is nested too deeply: 200 levels are allowed"].assert_eq(&problems[0].to_string());
    // Taken apart by hand: dropping it would recurse as deep.
    let mut rest = deep;
    while let AstKind::Unary(_, inner) = rest.kind {
        rest = *inner;
    }
}

#[test]
fn checking_costs_no_more_than_the_text_warrants() {
    let mut nested = "[1]".to_owned();
    for _ in 0..40 {
        nested = format!("[sum({nested}[*])]");
    }
    for (text, expected) in [
        ("sum(".repeat(190) + "1" + &")".repeat(190), expect!["1 problems, first E0207: `sum` cannot take int"]),
        (nested, expect!["1 problems, first E0107: the formula is too complex to check"]),
        ("nowhere + ".repeat(199) + "1", expect!["20 problems, first E0203: unknown field `nowhere`"]),
        (format!("[{}]", "a == b, ".repeat(8_000)), expect!["20 problems, first E0203: unknown field `a`"]),
    ] {
        let problems = check(&parse(&text).unwrap(), &order()).unwrap_err();
        expected.assert_eq(&format!("{} problems, first {}", problems.len(), problems[0]));
    }
}

#[test]
fn the_deepest_formula_of_every_kind_checks_within_the_stack_of_a_thread() {
    for text in [
        "(".repeat(199) + "done" + &")".repeat(199),
        "!".repeat(198) + "done",
        "[".repeat(198) + "1" + &"]".repeat(198),
        "priority + ".repeat(199) + "1",
        "done ? 1 : ".repeat(190) + "2",
        "abs(".repeat(190) + "1" + &")".repeat(190),
        "lines".to_owned() + &".a".repeat(198),
        "lines".to_owned() + &"[0]".repeat(198),
        "[1]".to_owned() + &".map(x, [x])".repeat(190),
        "[1].map(x, ".repeat(95) + "x" + &")".repeat(95),
        "sum(items[*].qty * ".repeat(60) + "1" + &")".repeat(60),
    ] {
        let ast = parse(&text).unwrap_or_else(|p| panic!("{text}: {p:?}"));
        let expr = check(&ast, &order()).unwrap_or_else(|p| panic!("{text}: {p:?}"));
        expr.text(&input_name);
    }
}
