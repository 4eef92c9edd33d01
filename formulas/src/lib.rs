//! Values, types, expressions: what a formula is and what it means.
//!
//! A formula is written as text in CEL's syntax with patterns (`sum(items[*].price)`), and takes four steps:
//!
//! ```
//! use thalweg_formulas::{InputId, Type, Value, check, eval::Program, parse};
//!
//! // What the names mean here: a planner's scope knows tables and relations, this one two bindings.
//! let scope = check::Bindings::new([("price".to_owned(), Type::Double), ("qty".to_owned(), Type::Int)].into());
//!
//! let tree = parse("price * qty > 100.0 ? 'gold' : 'std'").unwrap();
//! let expr = check::check(&tree, &scope).unwrap();
//! assert_eq!(expr.ty(), &Type::Text);
//!
//! let program = Program::compile(&expr);
//! let row = [Value::from(12.5), Value::from(9)];
//! assert_eq!(program.eval(&|InputId(id)| Ok(row[id as usize].clone())), Ok(Value::text("gold")));
//!
//! // What is wrong is found before anything runs, with its place and its cure.
//! let problems = check::check(&parse("prize * qty").unwrap(), &scope).unwrap_err();
//! assert_eq!(problems[0].to_string(), "E0203: unknown field `prize`");
//! assert_eq!(problems[0].help.as_deref(), Some("did you mean `price`?"));
//! ```
//!
//! The types that matter: [`Ast`] is what was written, and prints as text again; [`Expr`] is what it means, every node
//! typed, the one form that planner, engine and gradients work on; [`eval::Program`] computes it; [`Value`] is what a cell
//! holds; [`Problem`] is wrong with a definition, [`Error`] with a row.
//!
//! What the room refuses: no clock, no I/O, no randomness, no loops without a bound; the same inputs give the same answer.
//! It knows no tables and no relations: a [`check::Scope`] tells it what names mean, and an aggregate over child rows
//! leaves it as a node that a plan replaces.
//!
//! Next to read: [`value`], [`types`], [`parse`](mod@parse), [`check`], [`expr`], [`eval`].

pub mod coerce;
pub mod decimal;
pub mod json;
pub mod tensor;
pub mod text;
pub mod time;
pub mod types;
pub mod value;
pub mod word;

pub mod agg;
pub mod ast;
pub mod check;
pub mod expr;
pub mod parse;
mod print;

pub mod aggregate;
pub mod eval;
pub mod exact_sum;
pub mod functions;
pub mod gradient;
pub mod ops;

pub mod errors;
pub mod problem;

pub use ast::Ast;
pub use expr::{Agg, Expr, ExprKind, InputId};
pub use parse::parse;
pub use problem::{Code, Error, Problem, Span};
pub use text::{Text, TextBuffer};
pub use types::Type;
pub use value::{Cell, Duration, Timestamp, Value};
