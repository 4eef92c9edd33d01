//! From text to syntax tree: CEL's grammar, extended by patterns (`items[*].price`) and `` `quoted names` ``.
//!
//! Invariants:
//! - Any text gives a tree or at least one [`Problem`]; nothing panics, and the work is linear in the text.
//! - A tree is at most [`DEPTH_MAX`] levels deep and its text at most [`LENGTH_MAX`] bytes long, so that everything after the
//!   parser may recurse.
//! - Spans are byte ranges of the text, on character boundaries.
//!
//! What another language would write (`=`, `<>`, `and`, `not`, curly quotes) is refused with the spelling of this one; the
//! parser then goes on as if that had been written, so that one reading names every such place.
//!
//! Next to read: `grammar` (precedence climbing), `values`, `trouble` (what is said), `lexer`, `literal`.

mod grammar;
mod lexer;
mod literal;
mod token;
mod trouble;
mod values;

pub(crate) use grammar::is_keyword;
pub(crate) use lexer::{is_name_part, is_name_start};

use crate::ast::Ast;
use crate::problem::{Problem, Span};

/// The longest formula, in bytes.
pub const LENGTH_MAX: usize = 64 * 1024;

/// The deepest formula: levels of nesting, and operands in one chain of operators.
pub const DEPTH_MAX: usize = 200;

/// How many problems of one formula are reported.
pub(crate) const PROBLEMS_MAX: usize = 20;

/// Reads a formula.
///
/// # Errors
/// What is wrong with the text (codes E0101 to E0108), in the order of the text.
///
/// ```
/// let tree = thalweg_formulas::parse("a + (b * c)").unwrap();
/// assert_eq!(tree.to_string(), "a + b * c");
///
/// let problems = thalweg_formulas::parse("priority <=").unwrap_err();
/// assert_eq!(problems[0].to_string(), "E0102: the formula ends where a value is expected");
/// ```
pub fn parse(text: &str) -> Result<Ast, Vec<Problem>> {
    if text.len() > LENGTH_MAX {
        return Err(vec![too_long(text.len())]);
    }
    let (tokens, problems) = lexer::tokens(text);
    if !problems.is_empty() {
        return Err(problems);
    }
    grammar::tree(text, tokens)
}

fn too_long(bytes: usize) -> Problem {
    Problem::new(107, format!("the formula is too long: {bytes} bytes, and {LENGTH_MAX} are allowed"))
        .at(Span::default(), "")
        .help("make fields of its parts and combine those")
}
