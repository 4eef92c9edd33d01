//! Nexmark: an auction house, as the published generator makes it (crate `nexmark`), 10 ms from event to event; two million events in steps of
//! 40,000, each of which is one transaction.
//!
//! [`ours`] has the queries as definitions, [`differential`] by hand, [`answers`] directly over all events. What a query shows of a document are
//! the values that are not already columns of it; the peers carry the row that the published SQL selects. Timestamps are in order, and every window
//! is kept, as SQL says. Not here: q10 (writes files), q11 and q12 (processing time), q13 (a side file), q14 (a function in Java).

pub mod answers;
pub mod differential;
pub mod events;
pub mod ours;

use super::Entry;
use super::harness::Runner;
use super::workloads::{Contestant, Size};
use events::{Batch, Events};

/// A contestant of Nexmark.
pub trait Auctions: Contestant {
    /// The events of a step. What it makes of them is made outside the clock.
    fn events(&mut self, batch: &Batch) -> Self::Input;
}

/// Runs one query.
pub fn run<E: Auctions>(mut runner: Runner<'_>, size: Size, answer: fn(&Batch) -> u64, mut engine: E) {
    let (steps, events) = (size.pick(50, 10, 5), size.pick(40_000, 4_000, 500));
    let (mut source, mut all) = (Events::default(), Batch::default());
    let prepare = |engine: &mut E| {
        let batch = source.next(events);
        all.extend(&batch);
        engine.events(&batch)
    };
    let measured = runner.measure((steps, events), &mut engine, prepare, E::step);
    runner.tell("step_40000", measured, engine.checksum() == answer(&all));
}

/// All queries, ours and the peers'.
pub(super) fn entries() -> Vec<Entry> {
    let mut all = Vec::new();
    for query in ours::QUERIES {
        let answer = query.answer;
        all.push(Entry::new(query.name, "thalweg", move |runner, size| run(runner, size, answer, query.start())));
        let twin = query.twin;
        all.push(Entry::new(query.name, "differential", move |runner, size| {
            run(runner, size, answer, differential::start(twin))
        }));
    }
    all
}
