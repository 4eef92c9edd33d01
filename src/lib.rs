//! Thalweg: a reactive dataflow engine. Changes flow in, state and derived fields are kept, effects go out.
//!
//! Define a graph in Rust and step it by hand:
//!
//! ```
//! use thalweg::prelude::*;
//!
//! let mut graph = Graph::new();
//! graph.state(State::document("Item").key("sku"));
//! graph.derived("Item.missing", Derived::compute(|ctx| ctx.get("wanted") - ctx.get("stock")));
//! graph.effect("reorder", Effect::when(|ctx| ctx.get("Item.missing") > 0));
//!
//! let mut live = graph.start()?;
//! let outcome = live.apply(Changes::new("tx-1").insert("Item", [("sku", 7), ("wanted", 5), ("stock", 2)]));
//! assert_eq!(live.get("Item.missing", [7]), Some(Ok(Value::Int(3))));
//! assert_eq!(outcome.fired.len(), 1);
//! # Ok::<(), DefinitionError>(())
//! ```
//!
//! The types that matter: [`dsl::Graph`] and what it is made of, [`dsl::LiveGraph`] that runs it, [`Value`](formulas::Value),
//! [`Outcome`](graph::Outcome). What is around it, in a program of one's own: [`embed`]. The same graph runs as a daemon on a real database from a TOML file: see [`runtime`] and the `thalweg` command.
//!
//! What it refuses: a wrong definition, before anything runs; half a transaction, ever.
//!
//! Next to read: [`dsl`], then `ARCHITECTURE.md`.

pub mod config;
pub mod dsl;
pub mod embed;
pub mod explain;
pub mod goals;
pub mod runtime;
pub mod sequencer;
pub mod versions;

pub use arrow;
pub use thalweg_engine as engine;
pub use thalweg_formulas as formulas;
pub use thalweg_graph as graph;

/// What a program that defines a graph needs.
pub mod prelude {
    pub use crate::dsl::{
        Changes, Ctx, DefinitionError, Derived, Effect, Goal, Graph, LiveGraph, Optimizable, Optimizer, Pattern, State,
        TimingPolicy, Traced, if_else,
    };
    pub use crate::embed::{Running, Slow, Subscribe, Subscription, Update};
    pub use thalweg_engine::Options;
    pub use thalweg_formulas::{Cell, Timestamp, Value};
    pub use thalweg_graph::Outcome;
}
