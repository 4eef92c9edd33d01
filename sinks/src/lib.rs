//! Effects into the outside world: webhook, SQL, programs, log.
//!
//! [`build`] turns one configured action into a [`Sink`](thalweg_graph::ports::Sink), strictly: an unknown, missing or wrong setting is a
//! [`SettingProblem`] before anything runs. A sink renders a firing once, when it fires; what is stored is what every attempt sends.
//! [`RetryPolicy`] says when to try again, as a pure function. The outbox, the clock and the order of deliveries are not here: the
//! runtime owns them.
//!
//! ```
//! use thalweg_sinks::{Secret, SinkContext, build};
//!
//! let action = serde_json::from_str(r#"{"type": "webhook", "url": "http://169.254.169.254/latest"}"#)?;
//! let problems = build(&action, &SinkContext::new(Secret::new("instance secret"))).err().unwrap_or_default();
//! assert_eq!(
//!     problems[0].problem.message,
//!     "this url may not be reached: 169.254.169.254 is a link-local address, and [egress] allow does not name it",
//! );
//! # Ok::<(), serde_json::Error>(())
//! ```
//!
//! The room refuses to follow redirects, to reach inside addresses that nobody allowed ([`egress`]), to cut a value that is too long for its
//! column, and to print a secret ([`secret`]).
//!
//! Next to read: [`retry`], [`egress`], [`receiver`].

mod body;
mod build;
mod digest;
pub mod egress;
mod envelope;
mod handler;
mod held;
mod known;
mod log;
mod policy;
mod process;
pub mod receiver;
pub mod retry;
pub mod secret;
mod settings;
mod shell;
pub mod sign;
mod sql;
mod template;
mod webhook;

pub use build::{SinkContext, build, unresolved_secrets};
pub use digest::{DigestPolicy, together};
pub use egress::EgressPolicy;
pub use handler::{Event, Failure, Handlers};
pub use held::HELD;
pub use policy::{AckPolicy, DeliveryPolicy};
pub use retry::{Next, RetryPolicy, next_delay};
pub use secret::{Resolver, Secret};
pub use settings::SettingProblem;
