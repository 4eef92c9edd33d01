//! Values, types, expressions: what a formula is and what it means.
//!
//! A formula is written as text ([`parse`]), read into a syntax tree ([`ast::Ast`]), checked against a
//! [`check::Scope`] into a typed expression ([`expr::Expr`]), compiled ([`eval::Program`]) and evaluated on
//! values ([`value::Value`]). The room is pure: no clock, no I/O, no randomness; the same inputs give the same answer.
//!
//! Next to read: [`value`], [`types`], [`expr`].

pub mod aggregate;
pub mod ast;
pub mod check;
pub mod coerce;
pub mod decimal;
pub mod errors;
pub mod eval;
pub mod exact_sum;
pub mod expr;
pub mod functions;
pub mod json;
pub mod ops;
pub mod parse;
mod print;
pub mod problem;
pub mod tensor;
pub mod time;
pub mod types;
pub mod value;

pub use ast::Ast;
pub use expr::{Agg, Expr, ExprKind, InputId};
pub use parse::parse;
pub use problem::{Code, Error, Problem, Span};
pub use types::Type;
pub use value::{Cell, Duration, Timestamp, Value};
