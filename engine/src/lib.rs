//! Runs a plan on timely dataflow: transactions in, deltas, firings and errors out, epoch by epoch.
//!
//! ```
//! use std::sync::Arc;
//! use thalweg_engine::{Engine, Options};
//! use thalweg_formulas::{Timestamp, Type, Value};
//! use thalweg_graph::spec::{FieldSpec, GraphSpec, TableSpec};
//! use thalweg_graph::transaction::{Body, SchemaColumn};
//! use thalweg_graph::{Change, Op, Schema, Transaction};
//!
//! let order = TableSpec { name: "Order".into(), key: Some(vec!["id".into()]), ..TableSpec::default() };
//! let total = FieldSpec { name: "Order.total".into(), formula: "price * qty".into(), ..FieldSpec::default() };
//! let spec = GraphSpec { tables: vec![order], fields: vec![total], ..GraphSpec::default() };
//! let (plan, _warnings) = thalweg_graph::planning::plan(&spec, &[]).expect("a right definition");
//! let mut engine = Engine::new(Arc::new(plan), Options::default());
//!
//! let columns = ["id", "price", "qty"].map(|name| SchemaColumn::new(name.into(), Type::Int));
//! let schema = Arc::new(Schema { table: "Order".into(), columns: columns.into(), key: vec![0] });
//! let after = Some([1, 30, 2].map(|x| Some(Value::Int(x))).into());
//! let insert = Change { schema, op: Op::Insert, key: None, before: None, after };
//! let body = Body::Changes(vec![insert]);
//! engine.push(Transaction { source: "".into(), origin: "t1".into(), at: Timestamp(0), body });
//!
//! let outcome = engine.step();
//! assert_eq!(outcome.deltas.sorted()[0].new, Value::Int(60));
//! assert_eq!(engine.read("Order.total", &[Value::Int(1)]), Some(Ok(Value::Int(60))));
//! ```
//!
//! A transaction's way through:
//!
//! 1. [`Engine::push`] numbers it; [`Engine::step`] closes all that were pushed as one batch.
//! 2. `driver` finds each change's document (`intake`) and hands it to the worker that owns it.
//! 3. `shard` takes the batch through its components level by level; `wiring` is where that happens on timely.
//! 4. A `region` folds changes into its rows, runs the cells that they reach (`region::propagate`, the loop that everything is
//!    about) and tells whom it concerns; `edges` carry that to other documents.
//! 5. `outcome` puts what all workers have produced in order.
//!
//! The engine knows no database, no file, no clock and no socket: time and randomness enter as transactions. With one worker it
//! has no thread of its own. No timely type leaves this crate.
//!
//! Next to read: [`Engine`], then `region/propagate.rs`.

mod context;
mod driver;
mod edges;
mod engine;
mod fit;
mod intake;
mod memory;
mod names;
mod outcome;
mod region;
mod replace;
mod shard;
mod state;
mod triggers;
mod wiring;

pub use engine::{Engine, Options, Standing};
pub use replace::{Lack, Lacks, Replaced};
