//! Start: newest snapshot, then the log's tail. Nothing fires; what has fired stands in the outbox.
//!
//! Invariant INV-RECOVER: after recovery the engine stands exactly where the last commit left it (P5: same log, same result).

use std::sync::Arc;

use thalweg_engine::{Engine, Options};
use thalweg_graph::ports::{LogPart, Store, StoreError};
use thalweg_graph::transaction::Body;
use thalweg_graph::{Plan, Transaction};

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
    let mut engine = Engine::new(plan.clone(), Options { workers, ..Options::default() });
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
    let mut replay = Replay { engine: &mut engine, pushed: 0, open: Open::Nothing };
    store.replay_parts(from, &mut |part| replay.take(part))?;
    step(&mut engine);
    engine.report_fills(true);
    let timers = store.timers()?;
    Ok(Sequencer::new(engine, plan, timers, store.recovered().at))
}

/// The log on its way into the engine.
struct Replay<'a> {
    engine: &'a mut Engine,
    pushed: u64,
    open: Open,
}

/// The transaction whose next part is awaited.
enum Open {
    Nothing,
    /// It is staged.
    Staged,
    /// A fill is taken whole, as it came.
    Fill(Transaction),
}

impl Replay<'_> {
    fn take(&mut self, LogPart { transaction, more, .. }: LogPart) {
        match std::mem::replace(&mut self.open, Open::Nothing) {
            Open::Nothing if !more => self.push(transaction),
            Open::Nothing if matches!(transaction.body, Body::Fill(_)) => self.open = Open::Fill(transaction),
            Open::Nothing => {
                step(self.engine);
                self.engine.begin(&transaction.head());
                self.stage(transaction, more);
            }
            Open::Staged => self.stage(transaction, more),
            Open::Fill(mut fill) => {
                fill.body.append(transaction.body);
                if more { self.open = Open::Fill(fill) } else { self.push(fill) }
            }
        }
    }

    fn push(&mut self, transaction: Transaction) {
        self.engine.push(transaction);
        self.pushed += 1;
        if self.pushed.is_multiple_of(REPLAY_BATCH) {
            step(self.engine);
        }
    }

    fn stage(&mut self, part: Transaction, more: bool) {
        if let Body::Changes(changes) = part.body {
            self.engine.stage(changes);
        }
        if more { self.open = Open::Staged } else { step(self.engine) }
    }
}

/// What has been told before is not told again.
fn step(engine: &mut Engine) {
    let outcome = engine.step();
    engine.recycle(outcome.deltas);
}
