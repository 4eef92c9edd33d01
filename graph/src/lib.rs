//! What a graph is: the definition ([`spec::GraphSpec`]), the checked plan ([`plan::Plan`], made by [`planning::plan`]), what flows through it
//! ([`transaction::Transaction`] in, [`outcome::Outcome`] out), and the ports by which the rooms meet ([`ports`]).
//!
//! The room is pure: it builds and tests without timely, tokio, a database or a clock. No petgraph index leaves it.
//!
//! ```
//! use thalweg_graph::spec::{FieldSpec, GraphSpec};
//! use thalweg_graph::{drawing, planning};
//!
//! let field = |name: &str, formula: &str| FieldSpec { name: name.into(), formula: formula.into(), ..Default::default() };
//! let spec = GraphSpec { fields: vec![field("Order.net", "price * qty"), field("Order.gross", "net * 1.2")], ..Default::default() };
//! let (plan, _warnings) = planning::plan(&spec, &[]).expect("an accepted definition");
//! assert!(drawing::to_text(&plan, &[]).contains("Order.gross: dyn  = Order.net * 1.2"));
//! assert_eq!(plan.field("Order.net").map(|(_, field)| &*field.formula), Some("price * qty"));
//! ```
//!
//! Next to read: [`spec`], [`plan`], [`planning`], [`drawing`], [`transaction`], [`outcome`].

pub mod cause;
pub mod drawing;
mod find;
pub mod ids;
pub mod outbox;
pub mod outcome;
pub mod plan;
pub mod planning;
pub mod ports;
pub mod row;
pub mod schedule;
mod show;
pub mod spec;
mod spill;
mod sql_type;
pub mod state;
pub mod transaction;

pub use outcome::Outcome;
pub use plan::Plan;
pub use row::{Row, RowBlock};
pub use spec::GraphSpec;
pub use transaction::{Change, Epoch, Op, Schema, Transaction};
