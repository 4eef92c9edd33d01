//! `thalweg reload`: a running process takes the changed definition.

use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use clap::Args;
use serde_json::json;
use thalweg::runtime::control::{ReloadAct, socket_of};
use thalweg::runtime::reload::Reloaded;

use super::hand::{answer_of, missing};
use super::{Console, Exit, Failure};

/// Let a running process take the changed definition, between two transactions
#[derive(Debug, Args)]
#[command(before_help = "\
Examples:
  thalweg reload                             the process that has .thalweg reads its file again
  thalweg reload --data /var/lib/thalweg
  kill -HUP PID                              the same; what it came to is in its log

The new definition is checked whole first: where it has errors nothing changes. Unchanged fields keep their values, effects
their versions; nothing fires by a reload. What has fired is delivered as it was written.

Exit: 0 the new definition runs, 1 it was refused and the old one runs on, 4 no process has the directory")]
pub struct ReloadArgs {
    /// The data directory of `thalweg run`
    #[arg(long, value_name = "DIR", default_value = ".thalweg")]
    data: PathBuf,
    /// A line of JSON
    #[arg(long)]
    json: bool,
}

pub fn run(args: &ReloadArgs, console: &mut Console) -> Result<Exit, Failure> {
    let socket = socket_of(&args.data).map_err(|error| missing(&args.data, &error.to_string()))?;
    if UnixStream::connect(&socket).is_err() {
        let cure = "what is changed is taken by the next `thalweg run`";
        let why = format!("error: E0621: no process runs on {}\n  = help: {cure}", args.data.display());
        return Err(Failure::Said(Exit::Missing, why));
    }
    let reloaded: Reloaded = answer_of(&socket, &ReloadAct::File).map_err(|why| Failure::Said(Exit::Failed, refusal(&why)))?;
    let line = if args.json {
        format!("{}\n", json!({ "v": 1, "epoch": reloaded.epoch, "changes": reloaded.changes, "took_ms": reloaded.took_ms }))
    } else {
        format!("{}\n", told(&reloaded))
    };
    console.data(&line)?;
    Ok(Exit::Ok)
}

/// What a reload came to, for people: a line, and one for each change.
pub fn told(reloaded: &Reloaded) -> String {
    let Reloaded { epoch, changes, took_ms } = reloaded;
    let of = match changes.len() {
        0 => "nothing has changed".to_owned(),
        1 => "1 change".to_owned(),
        n => format!("{n} changes"),
    };
    let lines: String = changes.iter().map(|change| format!("\n  {change}")).collect();
    format!("reloaded after epoch {epoch} in {took_ms} ms: {of}{lines}")
}

/// Findings say themselves that they are errors.
fn refusal(why: &str) -> String {
    let why = why.trim_end();
    if why.starts_with("error") { why.to_owned() } else { format!("error: {why}") }
}
