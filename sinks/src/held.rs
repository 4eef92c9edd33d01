//! An effect without actions that waits to be acknowledged: nothing is sent, its body is there to be looked at.

use thalweg_graph::ports::{Attempt, BoxFuture, Firing, PendingDelivery, Sink};

use crate::envelope::Format;

/// The kind that stands in stored settings.
pub const HELD: &str = "held";

pub(crate) struct Held;

impl Sink for Held {
    fn render(&self, firing: &Firing<'_>) -> Vec<u8> {
        Format::CloudEvents.render(firing, "")
    }

    fn deliver<'a>(&'a self, _: &'a PendingDelivery) -> BoxFuture<'a, Attempt> {
        Box::pin(std::future::ready(Attempt::Done))
    }
}
