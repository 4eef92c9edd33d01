//! What a step gives, collected as it happens and put in order at its end.
//!
//! The order is that of [`thalweg_graph::outcome`]: epoch, node, key, version. It does not depend on who found what first, so the
//! outcome is the same for any number of workers.

use std::cmp::Ordering;
use std::sync::Arc;

use thalweg_graph::Outcome;
use thalweg_graph::outcome::{Counts, ErrorChange, Fired, Key, TimerArmed, TimerCancelled};

/// Puts everything in order but the deltas, which are put in order when they are read.
pub fn sort(outcome: &mut Outcome) {
    sort_unless_sorted(&mut outcome.fired, |a: &Fired, b: &Fired| {
        let place = a.epoch.cmp(&b.epoch).then_with(|| by_name(&a.node, &b.node)).then_with(|| by_key(&a.key, &b.key));
        place.then_with(|| a.version.cmp(&b.version))
    });
    // A withdrawal stands before the error that takes its place.
    sort_unless_sorted(&mut outcome.errors, |a: &ErrorChange, b: &ErrorChange| {
        let place = a.epoch.cmp(&b.epoch).then_with(|| by_name(&a.node, &b.node)).then_with(|| by_key(&a.key, &b.key));
        place.then_with(|| b.cleared.cmp(&a.cleared)).then_with(|| a.error.cmp(&b.error))
    });
    sort_unless_sorted(&mut outcome.timers, |a: &TimerArmed, b: &TimerArmed| {
        let place = a.epoch.cmp(&b.epoch).then_with(|| a.rule.cmp(&b.rule));
        place.then_with(|| by_key(&a.key, &b.key)).then_with(|| a.due.cmp(&b.due))
    });
    outcome.appointments.sort_unstable();
    outcome.appointments.dedup();
    sort_unless_sorted(&mut outcome.cancelled, |a: &TimerCancelled, b: &TimerCancelled| {
        let place = a.epoch.cmp(&b.epoch).then_with(|| a.rule.cmp(&b.rule));
        place.then_with(|| a.table.cmp(&b.table)).then_with(|| by_key(&a.key, &b.key))
    });
}

fn sort_unless_sorted<T>(lines: &mut [T], order: impl Fn(&T, &T) -> Ordering) {
    if !lines.is_sorted_by(|a, b| order(a, b).is_le()) {
        lines.sort_by(order);
    }
}

fn by_name(a: &Arc<str>, b: &Arc<str>) -> Ordering {
    if Arc::ptr_eq(a, b) { Ordering::Equal } else { a.cmp(b) }
}

fn by_key(a: &Key, b: &Key) -> Ordering {
    if Arc::ptr_eq(a, b) { Ordering::Equal } else { a.cmp(b) }
}

/// Adds one worker's part of a step.
pub fn merge(into: &mut Outcome, mut part: Outcome) {
    into.deltas.append(part.deltas);
    into.fired.append(&mut part.fired);
    into.errors.append(&mut part.errors);
    into.timers.append(&mut part.timers);
    into.cancelled.append(&mut part.cancelled);
    into.appointments.append(&mut part.appointments);
    into.counts = add(into.counts, part.counts);
}

fn add(a: Counts, b: Counts) -> Counts {
    Counts {
        changes: a.changes + b.changes,
        redundant: a.redundant + b.redundant,
        contradicted: a.contradicted + b.contradicted,
        cells: a.cells + b.cells,
    }
}
