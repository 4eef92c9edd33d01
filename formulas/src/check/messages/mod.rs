//! What is said about wrong definitions: one function a problem, so that a code means one thing.
//!
//! `src/explain/formulas-syntax.md` in the root package tells each code's story.

mod macros;
mod names;
mod rows;
mod types;

pub(super) use macros::*;
pub(super) use names::*;
pub(super) use rows::*;
pub(super) use types::*;

use crate::parse::DEPTH_MAX;
use crate::problem::Problem;

/// E0107: a tree that no text could be.
pub(in crate::check) fn too_deep() -> Problem {
    Problem::new(107, format!("the formula is nested too deeply: {DEPTH_MAX} levels are allowed"))
        .help("make fields of its parts and combine those")
}

/// E0107: work that grows beyond all measure with the text.
pub(in crate::check) fn too_complex() -> Problem {
    Problem::new(107, "the formula is too complex to check").help("make fields of its nested patterns and combine those")
}
