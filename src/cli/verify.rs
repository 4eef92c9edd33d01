//! `thalweg verify` and `thalweg backup`: a data directory looked through, and copied, also while a process uses it.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;
use thalweg_graph::ports::StoreError;
use thalweg_store::{OutboxReader, Verified};

use super::hand::unreadable;
use super::{Console, Exit, Failure};

/// Look through a data directory: is everything there that was committed, and is it what was written?
#[derive(Debug, Args)]
#[command(before_help = "\
Examples:
  thalweg verify .thalweg              beside the daemon or without one; exit 1 where something is wrong
  thalweg verify .thalweg --json")]
pub struct VerifyArgs {
    /// The data directory of `thalweg run`
    #[arg(value_name = "DIR", default_value = ".thalweg")]
    data: PathBuf,
    /// A line of JSON
    #[arg(long)]
    json: bool,
}

/// Copy a data directory as of one commit, and look through the copy
#[derive(Debug, Args)]
#[command(before_help = "\
Examples:
  thalweg backup .thalweg /backup/thalweg-monday      beside the daemon or without one
  thalweg run thalweg.toml --data /backup/thalweg-monday
                                                      a copy is a data directory: what it holds is gone on with")]
pub struct BackupArgs {
    /// The data directory of `thalweg run`
    #[arg(value_name = "DIR")]
    data: PathBuf,
    /// Where the copy goes; not there yet, or empty
    #[arg(value_name = "TO")]
    to: PathBuf,
    /// A line of JSON
    #[arg(long)]
    json: bool,
}

pub fn verify(args: &VerifyArgs, console: &mut Console) -> Result<Exit, Failure> {
    let reader = OutboxReader::open(&args.data).map_err(unreadable)?;
    let verified = reader.verify().map_err(wrong)?;
    tell(&verified, args.json, console)
}

pub fn backup(args: &BackupArgs, console: &mut Console) -> Result<Exit, Failure> {
    let reader = OutboxReader::open(&args.data).map_err(unreadable)?;
    let verified = reader.back_up(&args.to).map_err(wrong)?;
    tell(&verified, args.json, console)
}

fn wrong(error: StoreError) -> Failure {
    Failure::Said(Exit::Failed, format!("error: {error}"))
}

fn tell(verified: &Verified, json: bool, console: &mut Console) -> Result<Exit, Failure> {
    let text = if json { as_json(verified) } else { as_text(verified) };
    console.data(&text)?;
    Ok(Exit::Ok)
}

fn as_json(verified: &Verified) -> String {
    let c = &verified.counts;
    let line = json!({
        "v": 1,
        "epoch": verified.epoch,
        "log_start": verified.log_start,
        "transactions": verified.transactions,
        "fired": c.fired, "acked": c.acked, "dead": c.dead, "cancelled": c.cancelled, "pending": c.pending, "coalesced": c.coalesced,
        "timers": verified.timers,
        "snapshots": verified.snapshots,
    });
    format!("{line}\n")
}

fn as_text(verified: &Verified) -> String {
    let c = &verified.counts;
    let log = match verified.transactions {
        0 => format!("empty; the last epoch is {}", verified.epoch),
        n => format!("{n} transactions, epochs {} to {} without a gap", verified.log_start, verified.epoch),
    };
    let snapshots: Vec<String> = verified.snapshots.iter().map(ToString::to_string).collect();
    let snapshots = if snapshots.is_empty() { "none".to_owned() } else { format!("at epoch {}", snapshots.join(", ")) };
    format!(
        "log        {log}\ndeliveries {} fired = {} acked + {} dead + {} cancelled + {} pending; {} coalesced\ntimers     {}\nsnapshots  {snapshots}\n",
        c.fired, c.acked, c.dead, c.cancelled, c.pending, c.coalesced, verified.timers
    )
}
