//! The Rust DSL: define a graph in Rust, run it in your own thread.
//!
//! Everything here produces the same [`GraphSpec`](thalweg_graph::GraphSpec) that a TOML file produces; formulas become text on the way.
//! A closure over `ctx` is *traced*: it runs once per path through its comparisons, at definition time, and what it did becomes a
//! formula that is type-checked, shared, explained and differentiated like any other. See [`trace`].
//!
//! ```
//! use thalweg::prelude::*;
//!
//! let mut graph = Graph::new();
//! graph.state(State::document("Order").key("id").children("items", "Item", "order_id"));
//! graph.state(State::document("Item").key("id"));
//! graph.derived("Order.total", Derived::sum(Pattern::new("Order.items[*].price")));
//! graph.effect("big", Effect::when(|ctx| ctx.get("Order.total") > 100));
//!
//! let mut live = graph.start()?;
//! live.apply(Changes::new("tx-1").insert("Order", [("id", 1)]));
//! let outcome = live.apply(Changes::new("tx-2")
//!     .insert("Item", [("id", 10), ("order_id", 1), ("price", 70)])
//!     .insert("Item", [("id", 11), ("order_id", 1), ("price", 50)]));
//!
//! assert_eq!(live.get("Order.total", [1]), Some(Ok(Value::Int(120))));
//! assert_eq!(outcome.fired.len(), 1);
//! # Ok::<(), DefinitionError>(())
//! ```
//!
//! Next to read: [`Graph`], [`Derived`] (its aggregates in [`aggregates`]), [`Effect`], [`Goal`], [`LiveGraph`].

pub mod aggregates;
mod changes;
mod closures;
mod definition;
mod goals;
mod groups;
mod joins;
mod timing;
pub mod trace;

pub use crate::embed::{Handler, LiveGraph};
pub use aggregates::Pattern;
pub use changes::Changes;
pub use closures::Closure;
pub(crate) use definition::Definition;
pub use definition::{Accumulate, DefinitionError, Derived, Effect, Graph, State};
pub use goals::{Goal, Optimizable, Optimizer};
pub use groups::Grouped;
pub use joins::Joined;
pub use timing::TimingPolicy;
pub use trace::{Ctx, Traced, if_else};
