//! Health, status and metrics over HTTP, and acknowledgements.
//!
//! Three pages that only tell, all made from one [`StatusSnapshot`] that the runtime gives on demand: `/health` (200 or 503),
//! `/status` (JSON), `/metrics` (OpenMetrics). One that takes: `POST /effects/ID/ack` ([`Ack`]). The room holds no state of its own and knows neither the engine nor a database.
//!
//! Without a token it listens on loopback only ([`check_listen`]); with one, every page but `/health` asks for it. Slow and greedy clients
//! meet bounds ([`Limits`]).
//!
//! ```
//! use std::sync::Arc;
//! use thalweg_server::{StatusFn, StatusSnapshot, metrics};
//!
//! let status: StatusFn = Arc::new(|| StatusSnapshot { live: true, epoch: 7, ..Default::default() });
//! assert!(metrics::render(&status()).contains("\nthalweg_epoch 7\n"));
//! ```
//!
//! Next to read: [`status`], [`metrics`], [`serve()`].

mod access;
mod acks;
pub mod metrics;
mod pages;
pub mod serve;
pub mod status;

pub use access::{ListenError, Token, check_listen};
pub use acks::{Ack, AckAnswer, AckFn};
pub use serve::{Limits, serve, serve_acking, serve_with};
pub use status::StatusSnapshot;

use std::sync::Arc;

/// Where the pages come from: called once per request, on a server thread, so it must be quick and must not block.
pub type StatusFn = Arc<dyn Fn() -> StatusSnapshot + Send + Sync>;
