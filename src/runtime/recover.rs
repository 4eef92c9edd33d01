//! Start: newest snapshot, then the log's tail. Nothing fires; what has fired stands in the outbox.
//!
//! Invariant INV-RECOVER: after recovery the engine stands exactly where the last commit left it (P5: same log, same result).

use std::sync::Arc;

use thalweg_engine::{Engine, Options};
use thalweg_graph::Plan;
use thalweg_graph::ports::{Store, StoreError};

use crate::sequencer::Sequencer;

/// Transactions replayed in one step.
const REPLAY_BATCH: u64 = 1_000;

/// A sequencer that stands where the store's last commit stands.
///
/// Cost: O(rows in the snapshot + transactions after it).
///
/// # Errors
/// A store that cannot be read.
pub fn recover(plan: Arc<Plan>, workers: usize, store: &mut dyn Store) -> Result<Sequencer, StoreError> {
    let mut engine = Engine::new(plan.clone(), Options { workers, state_deltas: false });
    // Nobody reads what filling moves.
    engine.report_fills(false);
    let mut from = 0;
    if let Some(state) = store.snapshot_state()? {
        from = state.epoch;
        // The history-dependent state first: a document takes its own when its row arrives.
        engine.import(state);
        store.snapshot_rows(&mut |rows| {
            engine.push(rows);
            step(&mut engine);
        })?;
        engine.resume_at(from);
    }
    let mut pushed = 0;
    store.replay(from, &mut |_, transaction| {
        engine.push(transaction);
        pushed += 1;
        if pushed % REPLAY_BATCH == 0 {
            step(&mut engine);
        }
    })?;
    step(&mut engine);
    engine.report_fills(true);
    let timers = store.timers()?;
    Ok(Sequencer::new(engine, plan, timers, store.recovered().at))
}

/// What has been told before is not told again.
fn step(engine: &mut Engine) {
    let outcome = engine.step();
    engine.recycle(outcome.deltas);
}
