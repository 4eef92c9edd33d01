//! The engine inside a program of one's own.
//!
//! A graph is stepped by hand ([`LiveGraph`]) or runs on a thread of its own ([`Running`]); both take the same transactions and give the same
//! answers, with one worker or with several. Nothing here opens a file or a socket or looks at a clock: time is an input
//! ([`LiveGraph::advance_to`]).
//!
//! - **In**: transactions ([`Changes`](crate::dsl::Changes)), typed documents through serde ([`LiveGraph::insert`]), Arrow batches
//!   ([`LiveGraph::fill_batch`]).
//! - **Out**: the outcome of each step, single cells ([`LiveGraph::get`]), typed documents ([`LiveGraph::read`]), Arrow batches
//!   ([`LiveGraph::snapshot`]), subscriptions ([`LiveGraph::subscribe`]), what a field was ([`LiveGraph::as_of`]).
//!
//! - **Change**: fields, effects and document types come and go while it runs ([`LiveGraph::edit`]).
//!
//! Next to read: [`LiveGraph`], [`Running`], [`Subscription`], then `examples/service`.

mod clock;
mod columns;
mod document;
mod feed;
mod live;
mod nodes;
mod replace;
mod running;
mod subscription;
mod versions;

pub use columns::BatchError;
pub use document::{DocumentError, document_of, value_of};
pub use feed::KEPT_DEFAULT;
pub(crate) use live::Handlers;
pub use live::{Handler, LiveGraph};
pub use replace::{ReplaceError, Replaced};
pub use running::{Applied, Running, Stopped};
pub use subscription::{Changed, Ended, Slow, Subscribe, Subscription, Update};

#[cfg(test)]
mod tests;
