//! A process that is killed while it commits.
//!
//! The test runs its own binary as the victim: [`victim`] does nothing unless it is told a directory.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use thalweg_formulas::Timestamp;
use thalweg_graph::ports::{CommitBatch, OutboxState, Store};
use thalweg_graph::state::EngineState;
use thalweg_graph::transaction::{Body, Transaction};

use crate::staged::{open_small, rows, spilled};
use crate::support::*;

const VICTIM_DIR: &str = "THALWEG_STORE_VICTIM_DIR";
const KILLS: u64 = 36;
const EPOCHS_PER_BATCH: u64 = 3;

/// Rows of a large transaction: some blobs of the small store.
const LARGE: i64 = 200;

/// Commits batches of three epochs, each with its delivery; acknowledges the delivery of every first epoch; now and then a snapshot. Every other
/// batch begins with a large transaction, which is staged in parts.
#[test]
fn victim() {
    let Ok(dir) = std::env::var(VICTIM_DIR) else { return };
    let mut store = open_small(Path::new(&dir));
    loop {
        let first = store.recovered().epoch + 1;
        let last = first + EPOCHS_PER_BATCH - 1;
        let mut batch = batch(first, last);
        if first.is_multiple_of(2) {
            let changes = rows(first as i64 * 1_000, LARGE);
            batch.transactions[0] = spilled(first as i64, changes.clone());
            for (at, part) in changes.chunks(20).enumerate() {
                store.stage(first, &batch.transactions[0], at as u64 * 20, part).unwrap();
                println!("staged {at}");
            }
        }
        let outbox = (first..=last).map(|e| delivery(&format!("d{e}"), e, &format!("k{}", e % 7))).collect();
        store.commit(&CommitBatch { outbox, timers: vec![timer(&format!("t{first}"), 1)], ..batch }).unwrap();
        println!("committed {last}");
        store.update_outbox(&[outcome(&format!("d{first}"), OutboxState::Acked, 1, 0)]).unwrap();
        println!("acked {first}");
        if first.is_multiple_of(5) {
            store.snapshot(&EngineState { epoch: last, ..EngineState::default() }).unwrap();
        }
    }
}

/// Runs the victim until it has said `lines` lines and `extra_us` more have passed; the last epoch committed, and the last acknowledged.
fn run_and_kill(dir: &Path, lines: u64, extra_us: u64) -> (u64, u64) {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "crash::victim", "--nocapture"]).env(VICTIM_DIR, dir);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let (mut committed, mut acked, mut said) = (0, 0, 0);
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        let number = |word: &str| line.split_once(word).and_then(|(_, n)| n.trim().parse().ok());
        committed = number("committed ").unwrap_or(committed);
        acked = number("acked ").unwrap_or(acked);
        said += u64::from(line.contains("ed "));
        if said == lines {
            std::thread::sleep(std::time::Duration::from_micros(extra_us));
            child.kill().unwrap();
        }
    }
    child.wait().unwrap();
    (committed, acked)
}

#[test]
fn sto_01_a_process_killed_at_any_moment_leaves_whole_batches_and_loses_none() {
    let dir = tempfile::tempdir().unwrap();
    let mut random = 0x2545_f491_4f6c_dd1d_u64;
    for kill in 0..KILLS {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let (committed, acked) = run_and_kill(dir.path(), 1 + kill % 29, random % 4_000);
        let mut store = open_small(dir.path());
        let recovered = store.recovered();
        let epoch = recovered.epoch;
        assert!(epoch >= committed, "kill {kill}: committed {committed}, found {epoch}");
        assert_eq!(epoch % EPOCHS_PER_BATCH, 0, "kill {kill}: part of a batch");
        assert_eq!(recovered.positions, [("shop".into(), format!("0-1-{epoch}"))]);
        let log = replayed(&mut store, 0).unwrap();
        let whole = |(e, transaction): &(u64, Transaction)| match &transaction.body {
            Body::Changes(changes) if e % EPOCHS_PER_BATCH == 1 && e.is_multiple_of(2) => changes.len() as i64 == LARGE,
            Body::Changes(changes) => changes.len() == 1,
            _ => false,
        };
        assert!(log.iter().all(whole), "kill {kill}: a part of a transaction");
        let epochs: Vec<u64> = log.into_iter().map(|(e, _)| e).collect();
        assert_eq!(epochs, (1..=epoch).collect::<Vec<_>>());
        let counts = store.outbox_counts().unwrap();
        assert_eq!(counts.fired, epoch, "kill {kill}: one delivery for each epoch");
        assert_eq!(counts.fired, counts.acked + counts.dead + counts.cancelled + counts.pending);
        assert_eq!(store.timers().unwrap().len() as u64, epoch / EPOCHS_PER_BATCH);
        let waiting = store.due_deliveries(Timestamp(0), usize::MAX, &|_| false).unwrap();
        assert!(waiting.iter().all(|d| *d.row.id != *format!("d{acked}")), "kill {kill}: {acked} was acknowledged");
        assert_eq!(rows_after(&mut store, true), rows_after(&mut store, false));
    }
}
