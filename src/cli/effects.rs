//! `thalweg effects`: deliveries looked at, acknowledged, delivered again, withdrawn; rules paused and resumed.
//!
//! Looking reads the store beside the process that has it. Acting goes through that process where one runs, by its control socket,
//! and else opens the store itself: one writer at any time.

mod acts;
mod list;
mod show;

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use thalweg::formulas::{Timestamp, Value, json};
use thalweg_graph::ports::{Listed, NEVER, OutboxState};
use thalweg_store::OutboxReader;

use super::hand::unreadable;
use super::{Console, Exit, Failure};

/// Look at deliveries, acknowledge them, deliver dead letters again
#[derive(Debug, Args)]
#[command(before_help = "\
Examples:
  thalweg effects ls --state pending                 what waits
  thalweg effects dead                               what was given up
  thalweg effects show 01KAV8Y0ZZ…                   one delivery: body, attempts, answers
  thalweg effects retry 01KAV8Y0ZZ…                  the same id and bytes again
  thalweg effects retry 01KAV8Y0ZZ… --edit new.json  the same id with another body
  thalweg effects retry --dead --effect big_order    every dead letter of an effect, in order
  thalweg effects ack 01KAV8Y0ZZ… --result '{\"by\":\"ann\"}'
  thalweg effects pause big_order                    its deliveries wait until `resume`")]
pub struct EffectsArgs {
    #[command(subcommand)]
    what: What,
    /// The data directory of `thalweg run`
    #[arg(long, global = true, value_name = "DIR", default_value = ".thalweg")]
    data: PathBuf,
    /// A line of JSON for each
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum What {
    /// List deliveries, oldest first
    Ls(list::ListArgs),
    /// List dead letters
    Dead(list::DeadArgs),
    /// Show one delivery with all that happened to it
    Show(show::ShowArgs),
    /// Acknowledge a trigger: all its deliveries are over
    Ack(acts::AckArgs),
    /// Deliver again, with the same id
    Retry(acts::RetryArgs),
    /// Withdraw
    Discard(acts::DiscardArgs),
    /// Let the deliveries of an effect or reaction wait
    Pause(acts::PauseArgs),
    /// Go on with a paused effect or reaction
    Resume(acts::ResumeArgs),
}

/// Which deliveries.
#[derive(Debug, Args)]
struct Which {
    /// Of this effect or reaction
    #[arg(long, value_name = "NAME")]
    effect: Option<String>,
    /// Of this key, as it is listed: '[7]', '["a",1]'
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
}

/// A state as it is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum State {
    Pending,
    Acked,
    Dead,
    Cancelled,
}

impl State {
    fn of_outbox(self) -> OutboxState {
        match self {
            State::Pending => OutboxState::Pending,
            State::Acked => OutboxState::Acked,
            State::Dead => OutboxState::Dead,
            State::Cancelled => OutboxState::Cancelled,
        }
    }
}

pub fn run(args: &EffectsArgs, console: &mut Console) -> Result<Exit, Failure> {
    let at = &At { data: &args.data, json: args.json };
    match &args.what {
        What::Ls(list) => list::ls(at, list, console),
        What::Dead(list) => list::dead(at, list, console),
        What::Show(one) => show::run(at, one, console),
        What::Ack(ack) => acts::ack(at, ack, console),
        What::Retry(retry) => acts::retry(at, retry, console),
        What::Discard(discard) => acts::discard(at, discard, console),
        What::Pause(pause) => acts::pause(at, pause, console),
        What::Resume(resume) => acts::resume(at, resume, console),
    }
}

/// Where the store is, and how to speak.
struct At<'a> {
    data: &'a PathBuf,
    json: bool,
}

impl At<'_> {
    fn reader(&self) -> Result<OutboxReader, Failure> {
        OutboxReader::open(self.data).map_err(unreadable)
    }
}

/// RFC 3339; without the fraction for people.
pub(super) fn time_of(at: Timestamp, json: bool) -> String {
    let text = json::display(&Value::Timestamp(at));
    let text = text.trim_matches('"');
    match text.split_once('.') {
        Some((seconds, _)) if !json => format!("{seconds}Z"),
        _ => text.to_owned(),
    }
}

/// The state in a word: a pending delivery may also wait for an acknowledgement, or for the action before it.
fn word_of(delivery: &Listed) -> &'static str {
    match delivery.state {
        OutboxState::Pending if delivery.deliveries > 0 => "waiting",
        OutboxState::Pending if delivery.not_before == NEVER => "held",
        OutboxState::Pending => "pending",
        OutboxState::Acked => "acked",
        OutboxState::Dead => "dead",
        OutboxState::Cancelled => "cancelled",
    }
}
