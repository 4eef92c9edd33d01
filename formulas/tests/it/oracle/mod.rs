//! The language's common subset means what the `cel` crate says it means.
//!
//! `text` writes expressions that both languages have, `row` binds their names, `peer` is the other evaluator. Every
//! expression is evaluated twice here: with the types of the bindings known to the checker, and with none of them known.
//!
//! What the two may differ in is kept out by the generator, each with its reason, where it would be written. That an
//! error is an error is compared, its code is not: which of two errors is met first is not CEL's to say.

mod peer;
mod row;
mod text;

use proptest::prelude::*;
use thalweg_formulas::check::{Bindings, check};
use thalweg_formulas::eval::Program;
use thalweg_formulas::{Cell, InputId, Type, parse};

use peer::Peer;
use row::{NAMES, Row};

/// The cell of `text` on `row`; `typed` says whether the checker knows the types of the names.
fn ours(text: &str, row: &Row, typed: bool) -> Cell {
    let ty = |ty: &Type| if typed { ty.clone() } else { Type::Dyn };
    let scope = Bindings::new(NAMES.iter().map(|(name, t)| ((*name).to_owned(), ty(&t.ty()))).collect());
    let ast = parse(text).unwrap_or_else(|problems| panic!("{text}: {problems:?}"));
    let expr = check(&ast, &scope).unwrap_or_else(|problems| panic!("{text}: {problems:?}"));
    // Bindings are numbered in the order of their names.
    Program::compile(&expr).eval(&|id: InputId| Ok(row.values()[id.0 as usize].clone()))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, max_shrink_iters: 4000, ..ProptestConfig::default() })]

    #[test]
    fn evaluation_agrees_with_the_cel_crate(
        choices in prop::collection::vec(any::<u16>(), 0..160),
        row in row::arb_row(),
    ) {
        let text = text::write(&choices);
        let theirs = Peer::shared().eval(&text, &row);
        for typed in [true, false] {
            let ours = ours(&text, &row, typed);
            prop_assert_eq!(
                ours.as_ref().ok(), theirs.as_ref().ok(),
                "\n{}\nours ({}): {:?}\ncel: {:?}\n{:?}", text, if typed { "typed" } else { "untyped" }, ours, theirs, row
            );
        }
    }
}
