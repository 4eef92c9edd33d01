//! What becomes of a delivery, before an attempt and after it. Pure: the clock is an argument.

use thalweg_formulas::Timestamp;
use thalweg_graph::ports::{Attempt, NEVER, Note, NoteKind, OutboxState, OutboxUpdate, PendingDelivery};
use thalweg_sinks::Next;

use super::actions::Action;

/// Bytes of an error or an answer that are kept.
const DETAIL_MAX: usize = 4_096;

/// What is done with a delivery that is due.
pub(super) enum Before {
    /// It is attempted.
    Attempt,
    /// It is attempted as soon as it is durable that it may have been.
    Claim(Box<OutboxUpdate>),
    /// It is over without an attempt.
    Over(Box<OutboxUpdate>),
}

/// Looks at a delivery that is due.
pub(super) fn before(action: &Action, delivery: &PendingDelivery, now: Timestamp) -> Before {
    let as_it_is = OutboxUpdate {
        id: delivery.row.id.clone(),
        state: OutboxState::Pending,
        attempts: delivery.attempts,
        not_before: delivery.not_before,
        error: String::new(),
        at: now,
        deliveries: delivery.deliveries,
        restarts: false,
        note: None,
    };
    if let Some(ack) = action.policy.ack.filter(|ack| delivery.deliveries > ack.retries) {
        let waited = ack
            .timeout_us
            .map_or(String::new(), |us| format!(" within {:?}", std::time::Duration::from_micros(us.unsigned_abs())));
        let error = format!("E0560: not acknowledged{waited}, after {} deliveries", delivery.deliveries);
        let note = Some(Note { what: NoteKind::Unacknowledged, took_us: 0, detail: error.clone() });
        return Before::Over(Box::new(OutboxUpdate { state: OutboxState::Dead, error, note, ..as_it_is }));
    }
    if !action.policy.at_most_once {
        return Before::Attempt;
    }
    if delivery.attempts > 0 {
        let error = "E0561: the process ended while it was attempted, and it may be attempted only once".to_owned();
        let note = Some(Note { what: NoteKind::Failed, took_us: 0, detail: error.clone() });
        return Before::Over(Box::new(OutboxUpdate { state: OutboxState::Dead, error, note, ..as_it_is }));
    }
    Before::Claim(Box::new(OutboxUpdate { attempts: 1, ..as_it_is }))
}

/// What an attempt that took `took_us` makes of a delivery.
pub(super) fn after(
    action: &Action,
    delivery: &PendingDelivery,
    attempt: &Attempt,
    took_us: i64,
    now: Timestamp,
) -> OutboxUpdate {
    let attempts = delivery.attempts + 1;
    let error = match attempt {
        Attempt::Done | Attempt::Acknowledged { .. } => String::new(),
        Attempt::Transient { error, .. } | Attempt::Permanent { error } | Attempt::Gone { error } => cut(error),
    };
    let note = |what, detail: &str| Some(Note { what, took_us, detail: cut(detail) });
    let failed = OutboxUpdate {
        id: delivery.row.id.clone(),
        state: OutboxState::Pending,
        attempts,
        not_before: now,
        at: now,
        deliveries: delivery.deliveries,
        restarts: false,
        note: note(NoteKind::Failed, &error),
        error,
    };
    let acked = |note| OutboxUpdate { state: OutboxState::Acked, error: String::new(), note, ..failed.clone() };
    match attempt {
        Attempt::Acknowledged { result } => acked(note(NoteKind::Acknowledged, result)),
        Attempt::Done => match action.policy.ack {
            None => acked(None),
            Some(ack) => {
                let waits = ack.timeout_us.map_or(NEVER, |us| Timestamp(now.0.saturating_add(us)));
                let (deliveries, note) = (delivery.deliveries + 1, note(NoteKind::Delivered, ""));
                OutboxUpdate { attempts: 0, not_before: waits, deliveries, restarts: true, note, error: String::new(), ..failed }
            }
        },
        Attempt::Gone { .. } => failed,
        Attempt::Transient { .. } | Attempt::Permanent { .. } if action.policy.at_most_once => {
            OutboxUpdate { state: OutboxState::Dead, ..failed }
        }
        Attempt::Transient { .. } | Attempt::Permanent { .. } => {
            match action.retry.decide(&delivery.row.id, attempts, delivery.since, now, attempt) {
                Next::Retry { at } => OutboxUpdate { not_before: at, ..failed },
                Next::Ack | Next::Dead => OutboxUpdate { state: OutboxState::Dead, ..failed },
            }
        }
    }
}

/// The head of a text that may be long.
fn cut(text: &str) -> String {
    text[..text.floor_char_boundary(DETAIL_MAX)].to_owned()
}
